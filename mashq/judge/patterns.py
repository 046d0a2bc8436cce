"""What a score looks like in a judge's folded reply: numbers, what links them to a name, and what makes them counts.

Every pattern is matched against text in the form of `words.folded`: lower case, western digits, alef and ya bare, so
that there is no ى here.
"""

from __future__ import annotations

import re

from mashq.judge.words import SCORE

__all__ = [
    "ALONE",
    "ASIDE",
    "AT_LINE_END",
    "BECAUSE",
    "BEFORE_KEY",
    "BEHIND",
    "BEHIND_KEY",
    "BEHIND_OUT_OF",
    "BRACKETED",
    "CELL",
    "CORRECTS",
    "COUNTED",
    "COUNT_OF",
    "CUE",
    "EACH",
    "EACH_BEHIND",
    "EARNS",
    "ENDS_LEVEL",
    "EVERY",
    "EXAMPLE",
    "EXCEPT",
    "FILLER",
    "FOR",
    "FOR_IT",
    "FULL",
    "GIVES",
    "LEVEL",
    "LINE_START",
    "LINK",
    "NAMED_BEHIND",
    "NEGATED",
    "NUMBER",
    "OF_SCHEMA",
    "OTHER_SCALE",
    "OUT_OF",
    "PER_FIVE",
    "RANGE",
    "REVISED",
    "SCALE",
    "STARS",
    "TAG",
    "TOTAL",
    "WORD",
    "WORDS",
]

NUMBER = r"\d+(?:\.\d+)?"
WORDS = {
    "واحد": 1, "واحده": 1, "one": 1, "اثنان": 2, "اثنين": 2, "اثنتان": 2, "اثنتين": 2, "two": 2, "ثلاثه": 3, "ثلاث": 3,
    "three": 3, "اربعه": 4, "اربع": 4, "four": 4, "خمسه": 5, "خمس": 5, "five": 5,
    "تلاته": 3, "تلات": 3, "اتنين": 2, "تنين": 2, "ثنين": 2, "درجتان": 2, "درجتين": 2, "نقطتان": 2, "نقطتين": 2,
    "نجمتان": 2, "نجمتين": 2,
}  # fmt: skip
WORD = "|".join(sorted(WORDS, key=len, reverse=True))
STARS = re.compile(r"([★⭐🌟](?:\s?[★⭐🌟])*)(?:\s?☆)*")
GIVES = "i(?:'d| would)? (?:give|rate|award|assign)(?: it| this)?"
GIVES += "|i(?:'ll| will)? (?:settle on|go with|choose|assign|award)"
GIVES += "|ساعطيها|ساعطيه|ساختار|اختار|اخترت|استقر علي|استقررت علي|ساستقر علي"
GIVES += "|كنعطيها|كنعطيه|هديها|هديه|اديها|اديه|بديها|بديه|نعطيها|نعطيه|راح اعطيها"
GIVES += "|اعطيها|اعطيه|اعطي|امنحها|امنحه|امنح|منحتها|منحته"
# Between a name and its value. A comma and a full stop end a thought, so they are not here.
LINK = rf"(?:the )?(?:{SCORE})|final|level|is|was|which is|gets?|deserves|scores|scored|rated|at|a|as|of"
LINK += "|المستوي|هي|هو|بدرجه|علي|الا علي|نجمه|نقطه|فقد|قد"
LINK += "|عندي|بقي|بقا|يبقي|تبقي|كمان|برضو|بتاخد|بياخد|بتاخذ|بياخذ|تاخد|ياخد|تاخذ|ياخذ|الا|اي|الكامله|ف"
LINK += "|(?:the |this )?(?:story|reply|response|text|answer)|هذا|هذه|القصه|الرد|النص|الاجابه"
EARNS = "deserves|earns|gets|receives|received|is rated|is given|تستحق|يستحق|استحقت?|نالت?|حصلت?|بلغت?|سجلت?"
LINK += f"|{EARNS}"
TAG = r"</?(?:td|th|b|i|em|strong|span|p|li|br|name|criterion|item|metric|aspect|score|rating|value|grade|points)\b"
TAG += r"[^<>\n]{0,60}>"
FILLER = re.compile(
    rf"""[ \t"'“”‘’`*_\#:=|>→()\[\]{{}}«»•…–—-]|\+(?=\d)|\\boxed|\.{{2,}}|{TAG}|ف?(?:{LINK}|{GIVES})(?!\w)"""
    rf"""|[,،](?=[ \t]*(?:{GIVES}|which (?:is|gets)|(?:اي|ف?(?:(?:the )?(?:{SCORE})|{EARNS}))(?!\w)"""
    rf"""|{NUMBER}[ \t]*(?:/|out of|من)[ \t]*5))"""
)
ASIDE = re.compile(r"\(\s*(?:[^()\d\s][^()\n]{0,120})?\)|\[\s*(?:[^\[\]\d\s][^\[\]\n]{0,120})?\]")
OUT_OF = re.compile(rf"\s*(?:/|out of|من اصل|من|علي|of)\s*({NUMBER}|five|خمسه|خمس)(?!\w)")
# What may stand behind a number that is a score: an end, a sign, the reason. Another word makes it a count of things.
BECAUSE = "because|since|as|due|with|for|but|and|stars?|points?|on a scale|لان|لانه|لانها|بسبب|حيث|نظرا|اذ|مع|لكن"
BECAUSE += "|except|apart from|other than|too|also|as well|ايضا|كذلك|ما عدا|باستثناء|عدا|سوي"
BECAUSE += "|نجوم|نقاط|درجات|علي مقياس|في مقياس|بعد|علشان|عشان|لانو|حيت|وليست?|not|instead of|بدلا|علي التوالي"
BEHIND_OUT_OF = re.compile(rf"""[ \t]*(?:$|[\n.,،;؛:)\]}}|"'“”*_`–—!?(<-]|(?:{BECAUSE})(?!\w))""")
RANGE = re.compile(
    rf"[ \t]*(?:-|–|—|~|→|->|=>|to|or|الي|او|حتي|و|(?:,|،)[ \t]*)[ \t]*(?:{NUMBER}|{WORD})(?![\w:)]|\s?[%٪])"
    rf"|[ \t]*[?؟][ \t]*(?:{NUMBER})(?![\w:)])"
    rf"|[ \t]*[,،(?؟]?[ \t]*(?:or|maybe|perhaps|possibly|no,|او|ربما|لا،)[ \t]+(?:a[ \t]+)?(?:{NUMBER}|{WORD})(?!\w)"
)
# "4 (out of 7)", "4 on a scale of 10", "4/ten": a number on another scale, whose end is the group.
OTHER_SCALE = re.compile(
    r"[ \t]*[(\[]?[ \t]*(?:/|out of|من اصل|من|(?:on|in) a scale|علي مقياس|في مقياس)[ \t]*(?:of|from|من)?[ \t]*"
    r"(?:[01][ \t]*(?:to|-|–|الي)[ \t]*)?(\d+|six|seven|ten|hundred|سته|سبعه|عشره|مئه|مائه)(?!\w)"
)
NEGATED = re.compile(r"(?<!\w)(?:لا|لن|لم|ما|ليس|ليست|not|never|cannot|\w+n't)(?: \w+){0,3}[ \t\"'*_]*\Z")
BEHIND = re.compile(rf"""[ \t]*(?:\Z|[\n.,،;؛:)\]}}|"'“”‘’*_`–—=!?؟(<&\[«»\\/\#-]|(?:{BECAUSE})(?!\w))""")
# "4 - 2 slips": a reason that begins with a count, unless the writer wavers between the two.
COUNTED = re.compile(
    rf"[ \t]+[-–—][ \t]+{NUMBER}[ \t]+(?!(?:{BECAUSE}|or|to|depending|او|الي|حسب|بحسب|وفق)(?!\w))"
    rf"(?:[^\W\d_]|[^\d\n]{{0,9}}5)"
)
# A line that says: what stands below holds, what stood above does not.
CORRECTS = re.compile(
    r"""(?:^|\n|[.!?؟])[ \t*_\#>"'-]*(?:final|corrected|correction|revised|updated|sorry|my mistake|actually|wait"""
    r"""|تصحيح|التصحيح|مصحح|تعديل|بعد المراجعه|بعد اعاده النظر|عذرا|عفوا|اخطات|(?:الدرجه|الدرجات) الصحيحه"""
    r"""|(?:on|upon|after)[ ][^\n{}|:]{0,60}?(?:final|revised|updated|corrected|adjusted)[ ](?:score|rating|verdict)"""
    r"""|بعد[ ][^\n{}|:]{0,60}?(?:النهاييه|المعدله|المصححه)|(?:الدرجات|التقييم|النتيجه|الاجابه|النتايج)[ \t]+النهايي)"""
    r"""[^\n{}|]{0,100}?(?::|\n|(?=\{))"""
    # Or a sentence that takes something back, where whole scores follow it.
    r"""|(?:^|\n)[^\n{}|]{0,200}?(?<!\w)(?:revis(?:e|ed|ing)|re-?evaluat\w*|reconsider\w*|re-?reading|second thought"""
    r"""|(?:let me|i) correct|mistaken?|اعدت النظر|اعاده النظر|اعاده القراءه|اراجع|راجعت|اصحح|تراجعت)(?!\w)"""
    r"""[^\n{}|]{0,200}(?=\s*(?:```\w*\s*)?\{)""",
    re.I,
)
SCALE = re.compile(
    r"(?<![\d.])1(?:\s*(?:-|–|—|to|through|الي|حتي|و|\.\.+)\s*5|"
    r"[ \t]*[|/,،;-]?[ \t]*2[ \t]*[|/,،;-]?[ \t]*3[ \t]*[|/,،;-]?[ \t]*4"
    r"[ \t]*(?:[|/;-]|[,،]?(?:[ \t]*(?:and|or|و|او))?)[ \t]*5)"
    r"(?![\d.]*\d|\s*/)"
)
LEVEL = re.compile(
    r"""(?<![\d.,/])([1-5])[ \t]*+(?:[=:|.)(–—-]|->|→)"""
    r"""(?!(?<=-)(?:day|week|month|year|hour|point|star|word|line|sentence|step|part)s?(?!\w))"""  # "a 5-day limit"
    r"""[ \t*]*+(?=["'“«]?[^\W\d_])"""
)
ENDS_LEVEL = re.compile(r"[\n;)\]}|]")
BRACKETED = re.compile(r"(?:^|\n)[ \t*•-]*\[(\d)\][ \t*_\"']*\Z")
# Right before an object that only shows a form.
EXAMPLE = re.compile(
    r"(?<!\w)(?:for instance|e\.g\.|examples?(?: (?:of|format|output|reply|answer))?"
    r"|مثلا|مثال|علي سبيل المثال|للتمثيل)(?!\w)[^{}\n]{0,120}\n?[ \t`]*(?:json)?\s*\Z"
)
# Of names that stand together: what follows holds for each of them.
EACH = re.compile(
    r"[\s,،:-]*(?:(?:are|get|receive|score|deserve|have|earn) )?"
    r"(?:each|all|both|كل منها|كل منهما|كلاهما|كليهما|كلها|جميعها|كلتاهما)(?!\w)"
)
EVERY = re.compile(
    r"(?<!\w)(?:all|every|each)(?: (?:of|the|these|those|five|four|six|seven|three|\d)){0,3}"
    r" (?:criteria|criterion|aspects?|dimensions?)"
    r"|(?<!\w)(?:جميع|كل|كافه|لجميع|لكل|لكافه) (?:المعايير|معيار|البنود|بند|الجوانب|جانب)"
    r"|(?:المعايير|البنود|الجوانب) (?:(?:الثلاثه|الاربعه|الخمسه|السته) )?(?:كلها|جميعها|جميعا)"
)
EACH_BEHIND = re.compile(r"[ \t*_]*(?:each|apiece|for (?:each|both)|لكل منهما|لكل منها|لكليهما|لكل واحد)(?!\w)")
EXCEPT = re.compile(
    r"(?<!\w)(?:except(?: for)?|apart from|other than|but not|besides|ما عدا|ماعدا|باستثناء|عدا|الا|سوي)(?!\w)"
)
FULL = re.compile(
    r"""[\s:=*_"'|(–—-]*(?:(?:is|gets?|deserves|earns|تستحق|يستحق|نالت?|حصلت? علي|هي)[ \t]+)?"""
    r"""(?:full (?:marks?|score|points)|top marks"""
    r"""|العلامه الكامله|الدرجه الكامله|الدرجه القصوي|العلامه القصوي|التقييم الكامل)"""
    r"""[*_"']*[ \t]*(?=\Z|[\n.,،;؛)}|(–—])"""
)
# "3/5 of the requirements", "one, the length, was missed": counts that look like scores.
COUNT_OF = re.compile(
    r"[ \t]+(?:(?:of|من) (?:the |all |his |its |these |those |ال)?\w"
    r"|(?:requirements?|constraints?|conditions?|instructions|criteria|demands|sentences|words|items|elements|facts)(?!\w)"
    r"|(?:شروط|جمل|طلبات|مطالب|تعليمات|عناصر|معايير|كلمات)(?!\w))"
)
NAMED_BEHIND = re.compile(r"[,،][ \t]*(?:the|which|namely|وهو|وهي|هو|هي)(?!\w)(?! (?:fluency|variety))")
TOTAL = re.compile(r"(?<!\w)(?:overall|total|average|mean|sum|المجموع|الاجمالي|المتوسط|المعدل|العام|النهايي)(?!\w)")
CUE = re.compile(rf"(?<!\w)(?:[فو]?(?:{SCORE})|ف?(?:{GIVES}))(?!\w)")
PER_FIVE = re.compile(rf"(?<![\d.,/])({NUMBER}|{WORD})\s*(?:/|out of|من اصل|من)\s*(?:5|five|خمسه)(?![\w/.]*\d|\w)")
# A bare number for what follows it.
ALONE = rf"(?<![\d.,/\w])و?({NUMBER}|{WORD})[ \t*_]+"
FOR = re.compile(
    rf"{ALONE}(?:(?:for|to)(?: each of| both)?|on|in terms of|في|علي|عن|لكل من|لكل)(?: the)?[ \t]+[*_\"'(]*\Z"
)
FOR_IT = re.compile(rf"{ALONE}\Z")
# "between 2 and 4, so 3": what a sentence ends with.
SO = r"(?<!\w)(?:so|hence|therefore|thus|final|i\.e\.|push(?:es)? it (?:down|up) to|اذن|لذا|لذلك|ف?النتيجه|ف?الدرجه)"
SO += r"(?: (?:it is|it gets|i give|a|an|score|هي))?[ ,:،]+"
AT_LINE_END = re.compile(rf"(?:[:=→(|]|[–—-]\s|{SO})[\s*_]*({NUMBER})\s*[)\]*|.\"'_]*\s*$")
# "3... actually, on a second reading": what stands before may not hold.
REVISED = re.compile(
    r"(?<!\w)(?:actually|on (?:a )?(?:second|closer|further) (?:thought|reading|look)s?|on reflection|wait|scratch that"
    r"|let me (?:revise|correct)|بل|[وف]?(?:عند|بعد) اعاده (?:القراءه|النظر)|في الحقيقه|تراجعت|عفوا)(?!\w)"
)
CELL = re.compile(rf"(?<=\|)[\s*_]*({NUMBER})[\s*_]*(?=\|)")
LINE_START = re.compile(r"""[ \t"'“”‘’`*_\#>|(\[{•–—+-]*(?:\d{1,2}[.):-]+|[a-zا-ي][.)])?[ \t"'“”`*_\#>|(\[{–—-]*\Z""")
BEFORE_KEY = re.compile(r"""[{,،;؛.|(\[]\s*["'“”`*_]*\Z""")
BEHIND_KEY = re.compile(r"""["'“”`*_)\s]*[:=|]""")
OF_SCHEMA = {"type", "enum", "minimum", "maximum", "$ref", "labels", "ask", "title"}
