"""A score that is changed in words after it was given: "fluency should be 3", «الطلاقة يجب أن تكون 3»."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from mashq.judge.patterns import NUMBER, WORD
from mashq.judge.values import PlainText
from mashq.judge.words import Claim, Fault, Vocabulary

__all__ = ["amendments", "apart"]

SCORE_OF = r"(?:the |its |my )?(?:(?:score|rating|grade|mark)s? (?:for |of |on |in )?)?(?:the )?[*_\"'`]{0,3}"
DARAJA = r"(?:(?:درجه|تقييم|علامه) )?[*_\"'`«]{0,3}"
ENDS = r"(?=[ \t*_\"'`]{0,4}(?:\Z|[\n.!;؛)،,–—]"
ENDS += r"|(?:because|since|as|for|due|given|instead|not|لان\w*|بسبب|نظرا|حيث|بدلا)(?!\w)))"
VALUE = rf"(?:a |an )?[*_\"'`]{{0,3}}(?P<value>{NUMBER}|{WORD})(?:[ \t]*/[ \t]*5| out of 5| من 5)?{ENDS}"
FROM = rf"(?:from (?:a )?(?:{NUMBER}|{WORD}) |من (?:{NUMBER}|{WORD}) )?"
CHANGE = (
    "lower|raise|reduce|change|adjust|revise|correct|bump|drop|downgrade|upgrade|increase|decrease|set|move|update|make"
)
CHANGED = (
    "changed|lowered|raised|reduced|adjusted|corrected|revised|bumped|dropped|increased|decreased|moved|updated|set"
)
AR_CHANGE = r"(?:سا|ا|ن|سن)?(?:عدل|خفض|رفع|صحح|غير|نقص|زيد)\w*|(?:تعديل|تخفيض|رفع|تصحيح|تغيير|خفض)"
AR_CHANGED = r"(?:تم )?(?:عدلت|عدل|خفضت|رفعت|صححت|غيرت|تعديلها|تخفيضها|رفعها|تصحيحها|تصبح|اصبحت|صارت|تغيرت)"
BACK = r"(?<!\w)(?:ا?تراجعت? عن|(?:i )?(?:take back|withdraw)) (?:my |the |درجه |تقييم |score (?:of|for) )*"
TOO = r"(?:is |was |seems? |looks? )?(?:a bit |a little |much |far )?too (?:generous|harsh|lenient|strict|high|low)"
BUT = re.compile(r"(?<!\w)(?:but|however|yet|if|unless|لكن\w*|ولكن\w*|غير ان|لو|اذا)(?!\w)")


@functools.lru_cache(maxsize=64)
def _patterns(mention: str) -> tuple[re.Pattern[str], ...]:
    name = rf"{mention}[*_\"'`]{{0,3}}"
    score = r"(?: (?:score|rating|grade|mark))?"
    should = r"(?:should|must|ought to|needs to)"
    should += r"(?: (?:really|rather|actually|instead|probably|now|have))?(?: been)? be(?:en)?"
    lead = r"(?:^|(?<=[\n.!?؟])|(?<=[.!?؟] ))[ \t*_(>-]*"
    lead += r"(?:actually|in fact|no|wait|hmm|sorry|oops|لا بل|بل|في الواقع|في الحقيقه|عفوا|عذرا)"
    return tuple(
        re.compile(one)
        for one in (
            rf"{name}{score} {should} {VALUE}",
            rf"{DARAJA}{name} (?:يجب|ينبغي|لا بد|المفروض|الصحيح)(?: ان)? (?:تكون|يكون|تصبح|يصبح) {VALUE}",
            rf"(?<!\w)(?:{CHANGE})(?:ing)? {SCORE_OF}{name}{score} {FROM}(?:down |up )?to {VALUE}",
            rf"(?<!\w)make {SCORE_OF}{name}{score} {VALUE}",
            rf"{name}{score}:? (?:was |is |has been |to be )?(?:{CHANGED}) {FROM}(?:down |up )?to {VALUE}",
            rf"{name}{score} [^\n.\d]{{0,60}}?(?<!\w)(?:make|call) (?:it|that) {VALUE}",
            rf"(?<!\w)(?:{AR_CHANGE}) {DARAJA}{name} {FROM}(?:الي|ل) {VALUE}",
            rf"{name}:? (?:{AR_CHANGED}) {FROM}(?:الي )?{VALUE}",
            rf"{lead}[ \t]*[,،:–—-]?[ \t]+{SCORE_OF}{DARAJA}{name}{score}"
            rf"[ \t]*(?:deserves|is really|is|gets|:|=|تستحق|يستحق|هي|درجتها)?[ \t]*{VALUE}",
        )
    )


@functools.lru_cache(maxsize=64)
def _too(mention: str) -> re.Pattern[str]:
    some = r"(?:[^\W\d_]+ )"
    change = r"should|might|could|must|gets?|reduced|lowered|raised|revised|changed|adjusted|تعدل|تخفض|ترفع|يجب|ينبغي"
    loose = rf"{some}{{0,4}}?(?:{change}) {some}{{0,4}}?(?:be|to|تكون|يكون|الي) {some}{{0,2}}?"
    loose += r"[1-5](?=[ \t]*(?:\Z|[\n.,;!،]))"
    return re.compile(rf"(?P<back>{BACK})?{mention}(?: (?:score|rating|grade))?(?(back)| (?:{TOO}(?!\w)|{loose}))")


def amendments(text: str, known: Vocabulary) -> tuple[dict[str, Claim], list[tuple[int, int]]]:
    """Criterion -> what it is changed to, or a fault where that cannot be known; and where it stands, in order."""
    said: dict[str, list[Claim]] = {}
    spans: list[tuple[int, int]] = []
    for pattern in _patterns(known.mention.pattern):
        for found in pattern.finditer(text):
            rest = re.compile(r"[^.\n!]{0,120}").match(text, found.end())
            unclear = rest and BUT.search(rest[0])
            claim = PlainText.number(found["value"])
            said.setdefault(known.of(found), []).append(Fault("ambiguous: changed, with a doubt") if unclear else claim)
            spans.append(found.span())
    for found in _too(known.mention.pattern).finditer(text):
        said.setdefault(known.of(found), [Fault("ambiguous: taken back in words")])
    return {name: _one(several) for name, several in said.items()}, apart(spans)


def _one(several: list[Claim]) -> Claim:
    faults = [one for one in several if isinstance(one, Fault)]
    if faults or len(set(several)) > 1:
        return faults[0] if faults else Fault("ambiguous: changed twice")
    return several[0]


def apart(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, without those that overlap one before."""
    kept: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
    return kept
