"""How a judge names a side of a pair, and how it says that one is better."""

from __future__ import annotations

import re

__all__ = [
    "ASIDE_OF_SIDE",
    "BEST",
    "BEST_AT_THIS",
    "CONCLUDES",
    "DENIED",
    "HELD",
    "IF_SO",
    "NEITHER",
    "OVERALLS",
    "SIDE",
    "SIDES",
    "SIDE_ENDS",
    "THERE",
    "TIED",
    "WINNING",
    "WORSE",
]

KIND = "reply|response|answer|text|story|option|one|assistant|model|candidate|output|version"
KIND += "|الرد|الاجابه|النص|القصه|الجواب|رد|اجابه|نص|قصه"
THING = rf"(?:the )?(?:{KIND})?[\s_]?(?:number|no\.?|رقم)?\s?#?"
AGAIN = rf"(?:\s(?:{KIND}))?"  # "the first reply"
ARE_EQUAL = r"(?:equally|equal(?:ly good)?|the same|tied|comparable)"
SIDES = {
    "first": rf"{THING}\s?(?:first|1st|one|1|a|(?:ال)?اول[يى]?){AGAIN}",
    "second": rf"{THING}\s?(?:second|2nd|two|2|b|(?:ال)?ثاني(?:ه)?){AGAIN}",
    "tie": rf"(?:both(?: (?:\w+ )?(?:replies|responses|stories|answers|texts|of them))?"
    r"|they|the two(?: replies| responses)?)"
    rf" ?(?:are|'re) {ARE_EQUAL}(?: good| bad| well)?"
    "|neither (?:reply |response |one |story )?is better"
    "|(?:it'?s )?(?:a )?(?:tied?|draw|equal(?:ly good)?|(?:the )?same(?!\\sas)|both|neither|no difference)"
    "|(?:كلا )?(?:الردين|الردان|القصتان|القصتين|النصان|النصين)? ?(?:متعادل(?:ان|تان|ين)|متساوي(?:ان|تان|ين))"
    "|تعادل(?: بينهما)?|سواء|لا فرق(?: بينهما| بين الردين)?|(?:كلاهما|كلتاهما)(?: (?:متساو|متعادل|سواء)\\w*)?"
    "|لا احد منهما",
}
OVERALLS: tuple[str, ...] = ("overall", "better", "winner", "verdict", "preference", "preferred", "best", "choice")
OVERALLS += ("عموما", "الافضل", "الحكم", "الفائز", "بشكل عام", "المجمل", "اجمالا", "الاختيار", "التفضيل")
OVERALLS += ("الاجمالي", "النتيجه", "decision")
SIDE = re.compile("|".join(rf"(?P<{side}>(?:{words}))(?!\w)" for side, words in SIDES.items()))
# What may stand behind a side: no colon ("Second: fluency 3"), no other side ("1-2", "1/2", "first or second"), no rest
# of a word ("a tie-breaker").
FOR_THAT = "because|since|as|due|with|but|and|too|also|not|لان\\w*|بسبب|حيث|نظرا|اذ|مع|لكن\\w*|علشان|عشان"
SIDE_ENDS = re.compile(
    r"""(?!\s?(?:and|or|nor|&|vs\.?|و|او)\s?(?:the\s)?(?:second|first|b|a|2|1|ال?ثاني\w*|ال?اول\w*)(?!\w))"""
    rf"""[ \t]*(?:\Z|[\n.,،;؛)\]}}|"'“”‘’*_`!»](?![ \t]?:)|[–—(\[]|\s-\s|(?:{FOR_THAT})(?!\w))"""
)
PRAISE = r"better|best|winner|wins|stronger|superior|preferable|beats|ahead|الافضل|افضل|احسن|اقوي|اجود|ارجح"
HOW = r"(?:clearly|slightly|marginally|much|far|somewhat|a bit|a little|obviously|definitely|still|just)"
IS_BETTER = rf"\s?(?:is|was|هو|هي)?\s?(?:{HOW} )*(?:the )?(?:{PRAISE})(?:\s(?:one|reply|response))?(?!\w)"
# "better than the second" is a verdict, "better than I expected" is none.
OTHER_SIDE = rf"(?:{SIDES['first']}|{SIDES['second']}|the other|الاخر|غيره|حيث|ناحيه)(?!\w)"
IS_BETTER += rf"(?!\s(?:than|من)\s(?!{OTHER_SIDE}))"
# By one criterion a side is better in more words.
AT_THIS = r"smoother|clearer|safer|closer|more (?:fluent|coherent|accurate|correct)"
AT_THIS += "|more (?:consistent|natural|complete|relevant|readable)"
AT_THIS += "|اسلس|اوضح|ادق|اكمل|امن|اقرب|اصح"
BEST_AT_THIS = re.compile(
    "|".join(
        rf"(?P<{side}>{SIDES[side]})\s?(?:is|was|هو|هي)?\s?(?:{HOW} )*(?:{AT_THIS})(?!\w)"
        for side in ("first", "second")
    )
)
# "the second is worse than the first": the side that is meant is the other.
WORSE = re.compile(
    "|".join(
        rf"(?P<{side}>(?<!\w)(?:{SIDES[other]}))\s?(?:is|was|هو|هي)?\s?(?:{HOW} )*"
        rf"(?:worse|weaker|inferior|poorer|اسوا|اضعف)\s(?:than|to|من)\s(?:{SIDES[side]}|the other|الاخر)(?!\w)"
        for side, other in (("first", "second"), ("second", "first"))
    )
)
DENIED = re.compile(r"(?<!\w)(?:لا|لن|لم|ليس|ليست|not|never|cannot|can't|\w+n't)(?: (?!but|لكن)\w+){0,6} ?\Z")
TIED = re.compile(rf"(?<!\w)(?:{SIDES['tie']})(?!\w)")
BEST = re.compile(
    "|".join(rf"(?P<{side}>(?<!\w)(?:{SIDES[side]})){IS_BETTER}" for side in ("first", "second"))
    + "|"
    + "|".join(
        rf"(?<!\w)i (?:would |'d )?(?:prefer|choose|favou?r|pick) (?P<{side}_>(?:{SIDES[side]}))(?!\w)"
        for side in ("first", "second")
    )
)
# "so the better one is the second", "فالافضل الثاني".
CONCLUDES = re.compile(
    r"(?<!\w)(?:ف?الافضل(?: هو| هي)?|so (?:the )?(?:better|best|winner)(?: one| reply)? is) "
    + "(?:"
    + "|".join(rf"(?P<{side}>(?:{SIDES[side]}))(?!\w)" for side in ("first", "second"))
    + ")"
)
THERE = re.compile(r"""[\s:=*_"'`|(\[—–-]*(?:[,،]?[ ]?(?:where|حيث)[ ])?(?:is(?:[ ]that)?(?!\w))?[:\s*_"'`|(\[]*""")
# "A > B", "B < A": the sign says which.
HELD = re.compile(
    rf"(?<!\w)(?P<one>{SIDES['first']}|{SIDES['second']})\s?(?P<sign>>+|<+|=+|≈)\s?"
    rf"(?P<other>{SIDES['first']}|{SIDES['second']})(?!\w)(?!\s?[?؟])"
)
IF_SO = re.compile(r"(?<!\w)(?:if|unless|provided|لو|اذا|بشرط)(?!\w)")
NEITHER = re.compile(r"(?<!\w)(?:neither|nor|ولا)\s\Z")
ASIDE_OF_SIDE = re.compile(r"(?P<side>[^()\[\]]+?)\s*\((?P<aside>[^()]*)\)\s*")
WINNING = re.compile(
    r"\W*(?:better|best|winner|verdict|preferred|preference|choice|الافضل|الفائز|الحكم|النتيجه|الارجح)"
    r"(?: reply| response|)\W*"
)
