"""What a reply says without meaning it: deductions, what others would give, what would be if, what a text demands.

All of it holds numbers beside names of criteria and claims nothing. It is taken out of prose before claims are
gathered, so that nothing else has to know of it. Text is in the form of `words.folded`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mashq.judge.patterns import NUMBER, WORD

__all__ = ["DOUBT", "cleared", "first_turn", "not_meant"]

SOME = rf"(?:{NUMBER}|{WORD}|a|an|half a)"
POINTS = r"(?:points?|marks?|stars?|grades?|levels?)"
NUQTA = "درجه|درجات|نقطه|نقاط|درجتان|درجتين|نقطتان|نقطتين|علامه|علامات"
# "1 point deducted", "minus 2 points", "خصمت درجه واحده": what is taken off, not what is left.
DEDUCTED = re.compile(
    rf"(?<![\w.])(?:{SOME} {POINTS} (?:is |was |were |are |has been |have been )?"
    r"(?:deducted|deduction|off|lost|subtracted|docked|removed|taken(?: off| away)?)"
    rf"|(?:deduct(?:ed|ing|s)?|los[te](?:s|ing)?|docked|subtract(?:ed|ing)?|minus|took off|taking off):? {SOME}"
    rf"(?: {POINTS})?(?: off| away)?|-{NUMBER} {POINTS})(?!\w)[ \t]*[,;]?"
    rf"|(?<!\w)و?(?:(?:تم )?(?:خصم\w*|اخصم|نخصم|تخصم|يخصم|انقص\w*|ناقص|فقدت?|خسرت?|طرحت?)(?: (?:منها|منه|له|لها))?"
    rf" (?:(?:{NUQTA})(?: (?:{WORD}|{NUMBER}))?|(?:{WORD}|{NUMBER})(?: (?:{NUQTA}))?)"
    rf"|(?:{NUQTA}|(?:{WORD}|{NUMBER}) (?:{NUQTA}))(?: واحده)? (?:مخصوم\w*|محسوم\w*|ناقص\w*))(?!\w)[ \t]*[،,]?"
)
# "see point 3", "النقطه 3": a place, no score.
REFERRED = re.compile(
    r"(?<!\w)(?:(?:see|in|at|under|per|from|cf\.?|to) (?:the )?)?"
    r"(?:point|item|step|no\.|criterion|paragraph|sentence|line) "
    r"(?:no\.? |number |#)?\d{1,3}(?![\w/])(?![ \t]*[:=])"
    r"|(?<!\w)(?:انظر|راجع|في) (?:النقطه|البند|الفقره|السطر) (?:رقم )?\d{1,3}(?!\w)"
)
# "not 2 but 3": what is denied in the same breath as what holds.
NOT_BUT = re.compile(
    r"(?<!\w)(?:is |was )?(?:not|never) (?:a |the )?(?:\d|first|second|tie),? but (?:rather )?"
    r"(?=(?:a |the )?(?:\d|first|second|tie))"
    r"|(?<!\w)not (?:the )?(?:first|second); (?=(?:the )?(?:first|second)(?:[.\n]|\Z))"
    r"|(?<!\w)(?:ليست?|لا|مش|مو) (?:الرد )?(?:\d|الاول|الثاني)،? "
    r"(?:بل|وانما|انما|ولكن) (?=\d|الرد|الاول|الثاني|تعادل)"
)
# "at first I preferred the first, but": what was thought before.
EARLIER = re.compile(
    r"(?<!\w)(?:at first|initially|first,? i (?:thought|preferred|gave)"
    r"|i (?:first|initially|originally) (?:thought|preferred|gave|considered))(?!\w)"
    r"[^.\n;؛:]{0,80}?[,،]? (?:but|however|yet)(?!\w),?"
    r"|(?<!\w)(?:في البدايه|اول الامر|للوهله الاولي|بدايه)[^.\n;؛:]{0,80}?[,،]? ?(?:لكن\w*|ولكن\w*|ثم|غير ان\w*)(?!\w)"
)
STOP = " . "  # in the place of what is taken out, so that a name is not linked to a number behind it
SENTENCE = re.compile(r"[^\n.!?؟]+(?:\.(?=\d)[^\n.!?؟]+)*[.!?؟]*")
IF_I_MUST = r"(?! (?:i|we) (?:had to|have to|must|am)|.{0,4}(?:forced|pressed|asked|need|you))"
WOULD = r"(?:would|might|could|should)(?!\w)"
IF = rf"(?<!\w)if(?!\w){IF_I_MUST}[^\n]{{0,160}}?(?<!\w)(?:were|had|was|did|could|weren't|wasn't|hadn't|didn't)(?!\w)"
IF += r"|(?<!\w)(?:assuming|suppos(?:e|ing)|imagine)(?!\w)"
IF += r"|(?<!\w)(?:had|were) (?:the|it|this|there)(?!\w)"
AR_IF = r"(?<!\w)(?:(?:و|ف)?لو(?:لا)?|(?:ان|اذا) كانت?|(?:علي|ب)[ ]?افتراض|بفرض)(?!\w)"
AR_WOULD = r"(?<!\w)(?:ل(?:كان\w*|اعطي\w*|نال\w*|حصل\w*|استحق\w*|منح\w*|صار\w*|بلغ\w*|ارتفع\w*|قل?ت)|ربما|ف?قد)(?!\w)"
RATERS = r"(?:raters?|judges?|readers?|annotators?|reviewers?|people|critics?|evaluators?)"
OTHERS = re.compile(
    rf"(?<!\w)(?:(?:some|other|another|many|most)(?: {RATERS})? (?:would|might|may|could|gave|give|rated?|say)"
    rf"|(?:a |an |another |some )(?:\w+ )?{RATERS} (?:would|might|may|could)"
    rf"|(?:the )?(?:previous|earlier|human|other|former) {RATERS}(?:'s?)?|gpt[ -]?\d\S{{0,6}} (?:gave|rated|scored)"
    r"|(?:المحكم|المقيم) (?:السابق|الاخر)|(?:a )?(?:template|sample (?:output|reply|answer)):"
    r"|(?:a|the) (?:typical|average|usual) (?:answer|reply|story|judge|rater|text)"
    r"|(?:قد|ربما) (?:يعطي|يمنح|يري|يقيم)\w* (?:البعض|بعض\w*|غيري|محكم)"
    r"|بعض(?:هم| المحكمين| القراء| المقيمين) \w+|البعض (?:قد )?\w+)(?!\w)"
)
# Before an object: what it would say. Behind one: whose it is.
SUPPOSED = re.compile(
    rf"(?:(?:{IF})[^{{}}\n]{{0,160}}{WOULD}|{AR_IF}[^{{}}\n]{{0,160}}{AR_WOULD}|{OTHERS.pattern})[^{{}}\n.!?؟]{{0,80}}[:،,]?\n?\s*\Z"
)
SUPPOSED_BEHIND = re.compile(r"\s*(?:is|are|would be) what (?:a|an|some|another|most|other|many)(?!\w)")
DOUBT = re.compile(
    r"(?<!\w)(?:not (?:quite |really |entirely )?sure(?! (?:why|what|how|where))|unsure(?! why)"
    r"|not certain|hard to (?:say|tell|decide)"
    r"|can(?:not|'t) (?:decide|say|tell|judge)|difficult to (?:say|decide|tell)|no,? wait|undecided"
    r"|و?(?:لست متاكد\w*|غير متاكد\w*|لا ادري|لست ادري|مش متاكد\w*|(?:يصعب|من الصعب) (?:القول|الجزم|التحديد|الحكم)"
    r"|لا استطيع (?:الجزم|التحديد|الحكم)))(?!\w)"
)

# What the judged text asks of its judge, or claims for itself: an injection that the judge quotes.
TEXT = r"(?:text|reply|response|story|answer|author|writer|message|passage|content|dialogue|conversation|note|comment"
TEXT += r"|sentence|line|paragraph|ending|(?:first|second|[ab])(?: one)?|it|they|which|that)"
TEXT += r"(?: itself| also| even| then| explicitly| openly| [ab12])*"
ASKED = r"(?:ask|tell|instruct|order|command|demand|request|urge|beg|want|direct|prompt|push|press)(?:s|ed|ing)?|told"
JUDGE = r"(?:me|us|judges|(?:the|its|any|every|an?) (?:\w+ )?"
JUDGE += r"(?:judge|rater|evaluator|grader|model|ai|llm|reviewer|system))"
ORDER = (
    r"(?:instruction|injection|command|order|request|demand|directive|plea|attempt|prompt|message|line|sentence|text"
)
ORDER += r")s?"
GIVE = r"(?:give|rate|score|award|assign|grade|output|return|print|choose|pick|prefer|declare|(?:answer|reply) with)"
SAYS = r"(?:sa(?:ys?|id|ying)|claim(?:s|ed)?|state[sd]?|insist(?:s|ed)?|assert(?:s|ed)?|boast(?:s|ed)?|read(?:s|ing))"
HOLDS = r"(?:contain|includ|embed|hid|carri|insert|add|end|begin|start|hold)\w*|has|had|with|there (?:is|was)"
AR_TEXT = r"(?:النص|الرد|القصه|الاجابه|الجواب|الكاتب|الحوار|الرساله)(?: (?:الاول|الثاني)ه?| نفسه\w?)?"
AR_HOLDS = (
    r"(?:في|داخل|ضمن|بداخل) (?:ال)?(?:نص|رد|قصه|اجابه|جواب|حوار)|(?:ي|ت)(?:تضمن|حتوي|حوي|ضم)|وردت?|جاءت?|يوجد|هناك"
)
AR_HOLDS += r"|فيها?"
AR_ORDER = r"امرا?|اوامر|طلبا?|توجيها?|توجيهات|تعليمه|تعليمات|محاوله|رساله|عباره|جمله|حقنا?|سطرا?"
AR_GIVE = (
    r"(?:ب|ل|بان |ان )?[انيت]?(?:عطاء|عطي|عطو|منح|قيم|قييم|ختيار|ختار|خراج|طباعه|كتابه)\w*|\w*تاثير|[يت]طلب|[يت]قول"
)
AR_ASKS = "طلب مني|طلب منا|امرني|طالبني|دعوني|وجهني|حثني"
AR_JUDGE = "(?:المحكم|المقيم|الحكم|النموذج)(?:ين)?"
DEMANDED = re.compile(
    rf"(?<!\w){TEXT} (?:{ASKED}) {JUDGE}(?:(?: \w+)? to(?!\w)| for(?!\w)| that i(?!\w)|[ ,]*[:\"“«])"
    rf"|(?<!\w){TEXT} (?:tr(?:y|ies|ied|ying)|attempt(?:s|ed|ing)?) to "
    rf"(?:make|get|trick|force|persuade|convince|manipulate|influence) {JUDGE}(?!\w)"
    rf"|(?<!\w){TEXT}(?: \w+){{0,3}} (?:demand|request|order|ask for|asks for)s?:"
    rf"|(?<!\w)(?:{HOLDS}) [^\n.;:]{{0,40}}?(?<!\w){ORDER}(?!\w)[^\n.;:]{{0,40}}?"
    rf"(?<!\w)(?:to|that i|which|asking|telling|instructing|ordering|demanding|saying|says|for)"
    rf"(?: \w+){{0,4}}? {GIVE}(?!\w)"
    rf"|(?<!\w){ORDER} (?:\w+ )?to (?:influence|manipulate|inflate|trick|sway)(?!\w)"
    r"|(?<!\w)(?:prompt[ -]injections?"
    r"|(?:injected|hidden|embedded|malicious) (?:instruction|command|prompt|order|text|score|rating)s?"
    rf"|(?:requested|demanded|asked for|instructed|ordered|dictated) by the {TEXT}|(?:dear )?judge,? please"
    rf"|(?:instruction|order|request|command|demand|plea)s? (?:to|for) {JUDGE}"
    r"|(?:instruction|command|order|request)s? (?:in|inside|within|hidden in|embedded in) "
    rf"the {TEXT} (?:to|that|sa|{ASKED})"
    r"|(?:ignore|disregard|forget) (?:all |any |the |your |my )*(?:previous|prior|above|earlier) "
    r"(?:instruction|rule)s?)"
    rf"|(?<!\w){TEXT} {SAYS}(?: that)?[ :,\"'“«]+(?:{GIVE}(?!\w)"
    rf"|(?:i|you|the judge|judges|we) (?:should|must) {GIVE}(?!\w)"
    r"|(?:it|this \w+|its \w+) (?:deserve|merit|is worth|should (?:get|receive|be (?:given|rated|scored))))"
    rf"|(?<!\w){TEXT} (?:giv|gave|rat|award|scor|grad)\w* itself(?!\w)"
    rf"|(?<!\w)(?:{AR_TEXT}|وهو|وهي|انه|انها) [يت](?:{AR_ASKS}|(?:طلب من|امر|طالب) {AR_JUDGE})(?!\w)"
    rf"|(?<!\w)و?[يت](?:{AR_ASKS}) {AR_TEXT}(?!\w)"
    rf"|(?<!\w)و?[يت](?:طلب|امر|طالب) {AR_TEXT} (?:من )?{AR_JUDGE}(?!\w)"
    rf"|(?<!\w)و?[يت]حاول (?:{AR_TEXT} )?(?:التاثير|اقناعي|خداعي|دفعي|توجيهي|اقناع {AR_JUDGE})(?!\w)"
    rf"|(?<!\w)[وف]?(?:{AR_HOLDS})(?!\w)[^\n.؛:]{{0,40}}?(?<!\w)(?:{AR_ORDER})(?!\w)"
    rf"[^\n.؛]{{0,60}}?(?<!\w)(?:{AR_GIVE})(?!\w)"
    rf"|(?<!\w){TEXT} (?:demand|request|insist)(?:s|ed)? that(?!\w)"
    rf"|(?<!\w)(?:ب?ما )?[يت]?طلب(?:ت?ه)? {AR_TEXT} (?:من|بان|ان)(?!\w)"
    r"|(?<!\w)(?:تجاهل|انس) (?:كل |جميع )?(?:ال)?تعليمات(?:ك| السابقه)(?!\w)"
    rf"|(?<!\w)[يت](?:قول|زعم|دعي) {AR_TEXT}[^\n.؛]{{0,40}}?(?<!\w)(?:[يت]ستحق|اعط|امنح)\w*"
    rf"|(?<!\w){AR_TEXT} [يت](?:قول|زعم|دعي)[^\n.؛]{{0,40}}?(?<!\w)(?:[يت]ستحق|اعط|امنح)\w*"
    rf"|(?<!\w){AR_TEXT} [يت](?:منح|عطي) نفسه"
)
# Behind a quotation, what the judge says of it: "I will not follow that".
OBEY = r"(?:follow|obey|comply|accept|act on|heed|execute|adopt|use|honou?r|take)(?:ing|ed)?(?: with| to)?"
IT = r"(?:that|this|it|these|those|such|them)(?!\w)"
REFUSED = re.compile(
    r"(?:(?:but|so|and|however|therefore|which)(?!\w)[, ]*)*(?:"
    rf"(?:i|we)(?:'ll|'m)? (?:\w+ ){{0,2}}?(?:not|never|cannot|can't|won't|don't) (?:be )?{OBEY}"
    rf"(?: {IT}|(?=[.,;!\n]|\Z))"
    rf"|(?:i|we)(?:'m|'ve|'ll)? (?:\w+ ){{0,2}}?(?:ignor|disregard|refus|reject|declin|dismiss)\w*"
    rf"(?: to {OBEY})? {IT}"
    r"|(?:that|this|these|such) (?:\w+ )?(?:is|are|was|were|will be|has been|have been)"
    r" (?:ignored|disregarded|rejected|not (?:followed|obeyed|for me))(?!\w)"
    r"|i (?:will |do )?(?:ignore|disregard|refuse|reject|not follow)(?=[.,;!\n]|\Z)"
    r"|[وف]?(?:لكن\w* )?(?:(?:لن|لا|لم) (?:اتبع|انفذ|التزم|استجيب|استجب|اطيع|اطع|اخذ|اعمل|امتثل|اقبل)"
    r"(?:ه\w?|(?=[ .،؛\n]|\Z)(?! ب?ما(?!\w)))|سا?تجاهل\w*|اتجاهل\w*|تجاهلته\w?|(?:ا|سا)?رفضت?ه\w?))"
)
QUOTE_ENDS = re.compile(r"[\s\"'“”«»‘’`*_>.,،;؛:)\]–—-]*")
QUOTES = {'"': '"', "“": "”", "«": "»"}
SAYING = re.compile(r"[\"“«]|(?<!\w)(?:says?|said|reads?|asks?|claims?|[يت](?:قول|طلب|امر)\w*|جاء|ورد)(?!\w)")
OWN_RATING = re.compile(
    r"(?<!\w)(?:(?:but|instead|however)(?: i(?!\w)|,? my(?!\w))"
    r"|my (?:\w+ )?(?:rating|score|verdict|evaluation|assessment)s?"
    r"|i(?:'ll| will| do|'m| am)? (?:ignore|not|disregard|refuse)\w*|[وف]?(?:تقييمي|درجاتي|حكمي|اتجاهل\w*|لن)"
    r"|[وف]?لكن\w* (?:اعطي|اقيم|امنح)\w*)(?!\w)"
)
# Right before an object: whose words it is. Behind it: that it is not the judge's.
HOLDS_NEXT = re.compile(
    rf"(?<!\w)(?:{TEXT} (?:(?:contain|includ|end|conclud|writ|sa[yi]|read|claim|stat|demand|output|print|insert"
    r"|embed)\w*|wrote|asks? for)"
    r"(?: (?:with|by|in|the|an?|this|these|its|own|following|text|string|line|json|object|block|words))*"
    rf"|(?:[يت](?:قول|كتب|تضمن|حتوي|نتهي)|جاءت?|وردت?)(?: (?:في|علي|ب))? {AR_TEXT}"
    rf"|{AR_TEXT} [يت](?:قول|كتب|تضمن|حتوي|نتهي)(?: (?:في|علي|ب\w*))?)[ :،,\n\"“«`]*\Z"
)
NOT_MINE = re.compile(r"(?<!\w)(?:(?:is|are) not my|not mine|(?:ليست?|ليس هذا) (?:تقييمي|درجاتي|حكمي))(?!\w)")
OPENS_QUOTED = re.compile(r"[^{}\n.!?؟]{0,160}\s*(?:```\w*\s*)?[\"'“«`]*\s*")


# A judge that went on to write the next turn of a person.
NEXT_TURN = re.compile(
    r"<\|im_start\|>\s*user|<\|start_header_id\|>\s*user|<start_of_turn>\s*user|<\|user\|>|<｜User｜>|\[INST\]", re.I
)


def first_turn(reply: str) -> str:
    """A reply as it came, without a person's turn that it goes on to write itself."""
    found = NEXT_TURN.search(reply)
    return reply[: found.start()] if found and reply[: found.start()].strip() else reply


def cleared(text: str) -> str:
    """Prose without what it says and does not mean."""
    text = NOT_BUT.sub("", text)
    text = EARLIER.sub(" ", text)
    pieces, at = [], 0
    for start, end in _supposed(text):
        if start >= at:
            pieces += [text[at:start], STOP]
            at = end
    text = "".join([*pieces, text[at:]])
    return REFERRED.sub(STOP, DEDUCTED.sub(STOP, text))


def not_meant(text: str, start: int, end: int) -> bool:
    """Whether an object is no judgement: what would be or others would give, or what the judged text asks or claims."""
    before, behind = text[max(0, start - 300) : start], text[end : end + 120].partition("\n")[0].partition("{")[0]
    if SUPPOSED.search(before) or SUPPOSED_BEHIND.match(text, end):
        return True
    refused = REFUSED.search(behind) or NOT_MINE.search(behind)
    if REFUSED.match(text, _behind_quote(text, end)) or HOLDS_NEXT.search(before):
        return True
    if refused and not DEMANDED.search(behind[: refused.start()]):
        return True
    last = next(reversed([*DEMANDED.finditer(before)]), None)
    joint = before[last.end() :] if last else ""
    return bool(last and OPENS_QUOTED.fullmatch(joint) and not OWN_RATING.search(joint))


def _behind_quote(text: str, at: int) -> int:
    found = QUOTE_ENDS.match(text, at)
    return found.end() if found else at


def _supposed(text: str) -> Iterator[tuple[int, int]]:
    """Where sentences say what others would give, what would be if, or what the judged text demands.

    With a list below that such a line opens.
    """
    before: re.Match[str] | None = None
    for sentence in SENTENCE.finditer(text):
        said = sentence[0][:2_000]
        refuses = before and before.end() == sentence.start() and SAYING.search(before[0][:2_000])
        if before and refuses and REFUSED.match(text, _behind_quote(text, sentence.start())):
            yield before.span()
        before = sentence
        if demand := DEMANDED.search(said):
            yield sentence.start() + demand.start(), _demand_ends(text, sentence, demand.end())
            continue
        start = _begins(said)
        if start is None:
            continue
        end = sentence.end()
        if said.rstrip().endswith(":"):
            below = re.compile(r"\n[ \t]*\n").search(text, end + 2)
            end = below.start() if below else len(text)
        yield sentence.start() + start, end


def _demand_ends(text: str, sentence: re.Match[str], at: int) -> int:
    """Where what a text demands ends: with its sentence, its quotation or its list, or where the judge speaks again."""
    end = sentence.end()
    if own := OWN_RATING.search(text, sentence.start() + at, end):
        return own.start()
    demand = text[sentence.start() : end]
    for opening, closing in QUOTES.items():
        is_open = demand.count(opening) % 2 if opening == closing else demand.count(opening) > demand.count(closing)
        closed = text.find(closing, end, end + 600) if is_open else -1
        if closed >= 0:
            return closed + 1
    if demand.rstrip().endswith(":"):
        below = re.compile(rf"\n[ \t]*\n|{OWN_RATING.pattern}").search(text, end + 2)
        return below.start() if below else len(text)
    return end


def _begins(said: str) -> int | None:
    """Where in a sentence a supposition begins; None where it holds none."""
    if others := OTHERS.search(said):
        return others.start()
    found = None
    if re.search("if|had|were|assum|suppos|imagin", said):
        found, would = re.search(IF, said), re.search(rf"(?<!\w){WOULD}", said)
    if not found and re.search("لو|ان كان|اذا كان|فتراض|بفرض", said):
        found, would = re.search(AR_IF, said), re.search(AR_WOULD, said)
    if not found or not would:
        return None
    before = said[: min(found.start(), would.start())]
    return max((before.rfind(sign) + 1 for sign in ",،;؛:(—"), default=0)
