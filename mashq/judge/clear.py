"""What a reply says without meaning it: deductions, references, what others would give, what would be if.

All of it holds numbers beside names of criteria and claims nothing. It is taken out of prose before claims are
gathered, so that nothing else has to know of it. Text is in the form of `words.folded`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mashq.judge.patterns import NUMBER, WORD

__all__ = ["DOUBT", "SUPPOSED", "SUPPOSED_BEHIND", "cleared", "first_turn"]

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
    r"|(?<!\w)(?:ليست?|لا|مش|مو) (?:الرد )?(?:\d|الاول|الثاني)،? "
    r"(?:بل|وانما|انما|ولكن) (?=\d|الرد|الاول|الثاني|تعادل)"
)
# "at first I preferred the first, but": what was thought before.
EARLIER = re.compile(
    r"(?<!\w)(?:at first|initially|first,? i (?:thought|preferred|gave))(?!\w)"
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


def _supposed(text: str) -> Iterator[tuple[int, int]]:
    """Where sentences say what others would give, or what would be if; with a list below that such a line opens."""
    for sentence in SENTENCE.finditer(text):
        said = sentence[0][:2_000]
        start = _begins(said)
        if start is None:
            continue
        end = sentence.end()
        if said.rstrip().endswith(":"):
            below = re.compile(r"\n[ \t]*\n").search(text, end + 2)
            end = below.start() if below else len(text)
        yield sentence.start() + start, end


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
