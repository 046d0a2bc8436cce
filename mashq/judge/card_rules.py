"""What to conclude from a judge card, by fixed rules: what to beware of, what is open, where no fault was found.

A bias is stated where its test, after Holm, is below `ALPHA`; where it is not, the card says which size would have been
seen. Where none could have been, or the interval leaves out 0 and the test does not, it is open, and the card says how
many groups the test takes. A judge that gives (nearly) every reply one score shows no bias and no skill, so nothing is
called clear of its scores. Sentences stand in `mashq/data/judge/words.yaml`, in English and Arabic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mashq.judge.card_words import interval_text, isolated, name_of, number_text, unit_of
from mashq.judge.intervals import groups_needed
from mashq.judge.measures import HIGHEST, LOWEST, JudgeCard, Measure
from mashq.metrics.detectable import ALPHA
from mashq.packaged import parsed

__all__ = ["LANGUAGES", "Conclusion", "conclusions"]

LANGUAGES = ("en", "ar")
STEADY = 0.9  # share of equal scores below which a judge is not steady
FLIPS = 0.1  # share of flipped verdicts above which to beware
SEEN = 0.5  # a defect seen in fewer cases is seldom seen
MISSED = 0.3  # a defect whose detection is surely not so far above false alarms is not seen
ALIKE = 0.8  # two criteria whose rho is surely above are one opinion
UNREAD = 0.05  # share of unreadable answers above which to beware
CROWDED = 0.8  # share of cases with one score from which on it hides biases; share of pairs called a tie
STILL = 0.05  # steps (one in twenty cases) up to which a criterion does not move, whatever was changed in the texts
COARSE = {"steps": 1.0, "points": 0.3}  # an effect that would not have been seen at this size is open, not clear
MARGIN = 0.1  # how far below (above) its limit the interval of a share may reach where no fault is found
MOVES: tuple[tuple[str, str], ...] = (
    ("retest", "moved"),
    ("rubric", "gap"),
    ("rubric", "moved"),
    ("length", "slope"),
    ("dialect", "gap"),
)
MOVES += (("spelling", "change"), ("defects", "moved"))  # measures of how far a criterion moves


@dataclass(frozen=True)
class Conclusion:
    """One thing to know before using the judge, in both languages."""

    status: str  # "concern", "open" or "clear"
    key: str  # of `conclusions` in words.yaml
    probe: str
    criterion: str
    about: str
    en: str
    ar: str


def conclusions(card: JudgeCard) -> list[Conclusion]:
    """What to conclude from a card: what to beware of first, then what is open, then what is clear."""
    found = [one for of in _RULES for one in of(card)]
    order = ("concern", "open", "clear")
    return sorted(found, key=lambda one: order.index(one.status))


def _concluded(status: str, key: str, one: Measure, *, absolute: bool = True, other: str = "–") -> Conclusion:
    """The sentence with this measure's numbers. `absolute`: the size without its sign, which the sentence says."""
    unit, value, low, high = unit_of(one.probe, one.what), one.value, one.low, one.high
    if absolute and value is not None and value < 0:
        value, low, high = -value, None if high is None else -high, None if low is None else -low
    numbers = {
        "value": number_text(value, unit),
        "interval": interval_text(low, high, unit),
        "detectable": number_text(one.detectable, unit),
        "n": str(one.n),
        "other": other,
    } | _of_test(one)
    said = []
    for language in LANGUAGES:
        names = {name: name_of(getattr(one, name), language) for name in ("criterion", "about")}
        shown = {name: isolated(text, language) for name, text in numbers.items()}
        said.append(str(parsed("judge/words")["conclusions"][key][language]).format_map(names | shown))
    return Conclusion(status, key, one.probe, one.criterion, one.about, *said)


def _of_test(one: Measure) -> dict[str, str]:
    """What a measure's test is made of: its p, how many tests p is corrected for, its groups, and how many it takes."""
    p = "–" if one.p is None else f"{one.p:.2f}"
    needed = groups_needed(one.family) if one.family else None
    groups = "–" if one.noise is None else str(one.noise.groups)
    return {"p": p, "family": str(one.family), "groups": groups, "needed": "–" if needed is None else str(needed)}


# --- what was not found ----------------------------------------------------------------------------------------------


def _found(one: Measure) -> bool:
    return one.p is not None and one.p < ALPHA


def _hinted(one: Measure) -> bool:
    """Whether the interval leaves out 0 where the test, corrected, finds nothing."""
    return not _found(one) and one.p is not None and ((one.low or 0.0) > 0 or (one.high or 0.0) < 0)


def _powerless(one: Measure) -> bool:
    """Whether its test could not be significant with so few groups, whatever the effect."""
    return one.noise is not None and one.family * one.noise.least_p >= ALPHA


def _hint(one: Measure) -> Conclusion:
    """That an effect shows which the test cannot, or does not, make sure of."""
    key = "hint_few_groups" if _powerless(one) else "hint"
    points = unit_of(one.probe, one.what) == "points"
    return _concluded("open", f"{key}_points" if points else key, _named(one), absolute=False)


def _unseen(one: Measure) -> Conclusion:
    """That no effect could have been found, and why."""
    return _concluded("open", "few_groups" if _powerless(one) else "too_noisy", replace(one, about=one.probe))


def _named(one: Measure) -> Measure:
    """With the probe's name where it is about nothing that has one."""
    return one if one.about else replace(one, about=one.probe)


def _none_seen(key: str, one: Measure, *, absolute: bool = True) -> Conclusion:
    """That nothing was found: clear where an effect would have been, open where only a very large one would."""
    if one.detectable is None:
        return _unseen(one)
    status = "open" if one.detectable > COARSE[unit_of(one.probe, one.what)] else "clear"
    return _concluded(status, key, one, absolute=absolute)


# --- the rules -------------------------------------------------------------------------------------------------------


def _of_position(card: JudgeCard) -> Iterator[Conclusion]:
    tied = [one for one in card.of("position", "tie") if one.value is not None and one.value >= CROWDED]
    for one in tied:
        yield _concluded("open", "all_tied", one)
    for one in card.of("position", "advantage"):
        if one.value is None:
            continue
        if _found(one):
            yield _concluded("concern", "prefers_first" if one.value > 0 else "prefers_second", one)
        elif _hinted(one):
            yield _hint(one)
        elif not tied and one.p is not None:
            yield _none_seen("no_place", one, absolute=False)
    for one in card.of("position", "flip"):
        if one.value is None or (tied and one.value <= FLIPS):
            continue
        if one.value > FLIPS:
            yield _concluded("concern", "flips", one)
        else:
            surely = one.high is not None and one.high <= FLIPS + MARGIN
            yield _concluded("clear" if surely else "open", "seldom_flips", one)


# --- scores that do not move -----------------------------------------------------------------------------------------


def _crowd(card: JudgeCard, criterion: str) -> tuple[str, float, int] | None:
    """The score that a criterion gives most often, the share of its cases, and their number; None if none is read."""
    counts = {score: n for score, n in card.distribution[criterion].items() if score not in ("unparsed", "not asked")}
    if not counts:
        return None
    score = max(counts, key=lambda one: counts[one])
    return score, counts[score] / sum(counts.values()), sum(counts.values())


def _stuck(card: JudgeCard) -> dict[str, tuple[str, float, int]]:
    """Criteria that give nearly every reply one score and that nothing moves, with what `_crowd` says of them.

    A right judge, too, gives equally good replies one score: it counts only where a defect that the criterion should
    mind was planted. A criterion for which there is none is stuck where all others are.
    """
    aimed = {(one.criterion, one.about) for one in card.of("defects", "detection")}
    tried = {one.criterion for one in card.of("defects", "moved") if one.n and (one.criterion, one.about) in aimed}
    still = {
        name: crowd for name in card.distribution if (crowd := _crowd(card, name)) and _is_still(card, name, crowd)
    }
    if not tried or not tried <= set(still):
        return {name: crowd for name, crowd in still.items() if name in tried}
    return still


def _is_still(card: JudgeCard, criterion: str, crowd: tuple[str, float, int]) -> bool:
    moved = [one.value for one in card.measures if one.criterion == criterion and (one.probe, one.what) in MOVES]
    return crowd[1] >= CROWDED and all(abs(value) <= STILL for value in moved if value is not None)


def _of_ends(card: JudgeCard) -> Iterator[Conclusion]:
    """A criterion whose scores crowd at one end of the scale, or on any score that nothing moves."""
    stuck = _stuck(card)
    same = {crowd[0] for crowd in stuck.values() if crowd[1] == 1}
    if len(stuck) == len(card.distribution) > 1 and len(same) == 1 and all(c[1] == 1 for c in stuck.values()):
        least = min(stuck, key=lambda criterion: stuck[criterion][2])
        yield _of_crowd("constant_everywhere", "", stuck[least])
        return
    for criterion in card.distribution:
        if (crowd := _crowd(card, criterion)) is None or crowd[1] < CROWDED:
            continue
        ends = {f"{HIGHEST:g}": "at_top", f"{LOWEST:g}": "at_bottom"}
        key = "constant" if criterion in stuck and crowd[1] == 1 else ends.get(crowd[0], "crowded")
        if key != "crowded" or criterion in stuck:
            yield _of_crowd(key, criterion, crowd)


def _of_crowd(key: str, criterion: str, crowd: tuple[str, float, int]) -> Conclusion:
    score, share, scored = crowd
    one = Measure("unparsed", "share", criterion, "", share, None, None, scored, "")
    return replace(_concluded("concern", key, one, other=score), probe="distribution")


# --- differences -----------------------------------------------------------------------------------------------------


def _differences(card: JudgeCard, probe: str, what: str, less: str, more: str, none: str) -> Iterator[Conclusion]:
    """A sentence for the largest difference of each kind and sign; where none was found, what would have been."""
    measured = [one for one in card.of(probe, what) if one.value is not None]
    found: dict[tuple[str, bool, str], list[Measure]] = {}
    for one in measured:
        if _found(one):
            concluded = _of_difference(one, less, more)
            found.setdefault((one.about, concluded.status == "open", concluded.key), []).append(one)
    sure = {about for about, _, _ in found}
    hinted: dict[tuple[str, bool], list[Measure]] = {}
    for one in measured:
        if _hinted(one) and one.about not in sure:
            hinted.setdefault((one.about, (one.value or 0.0) > 0), []).append(one)
    for several in (*found.values(), *hinted.values()):
        largest = max(several, key=lambda one: abs(one.value or 0.0))
        of_kind = sum(one.about == largest.about for one in measured)
        said = _of_difference(largest, less, more) if _found(largest) else _hint(largest)
        yield _with_more(said, len(several), of_kind)
    if measured and not found and not hinted:
        yield from _none_found(card, measured, none)


def _none_found(card: JudgeCard, measured: Sequence[Measure], none: str) -> Iterator[Conclusion]:
    """What would have been found, on the criteria where anything could show; or that on some nothing would."""
    stuck = _stuck(card)
    free = [one for one in measured if one.criterion not in stuck and one.p is not None]
    unseen = [one for one in free if one.detectable is None]
    if unseen:
        few = [one for one in unseen if _powerless(one)]
        yield _added(_unseen((few or unseen)[0]), "and_unseen", found=len(unseen), all=len(measured))
    elif free:
        coarsest = max(free, key=_detectable)
        said = _none_seen(none, coarsest)
        every = {one.criterion for one in measured}
        hidden = len(every & set(stuck))
        yield _added(said, "but_stuck", found=hidden, all=len(every)) if hidden else said
    elif any(one.criterion in stuck for one in measured):
        yield _concluded("open", "hidden", replace(measured[0], about=measured[0].probe))


def _with_more(one: Conclusion, found: int, of: int) -> Conclusion:
    """The sentence, and on how many criteria the same was found, where it is more than one."""
    return one if found < 2 else _added(one, "and_more", found=found, all=of)


def _added(one: Conclusion, key: str, **numbers: object) -> Conclusion:
    """The sentence and another behind it, with these numbers."""
    more = parsed("judge/words")["conclusions"][key]
    en, ar = (
        more[language].format_map({key: isolated(str(number), language) for key, number in numbers.items()})
        for language in LANGUAGES
    )
    return replace(one, en=f"{one.en} {en}", ar=f"{one.ar} {ar}")


def _detectable(one: Measure) -> float:
    return one.detectable or 0.0


def _of_difference(one: Measure, less: str, more: str) -> Conclusion:
    if one.value is not None and one.value > 0:
        return _concluded("concern", more, one)
    rightly = one.criterion in parsed("judge/probes")["misspelt"].get(one.about, ())
    if less == "spelling_less" and rightly:
        return _concluded("open", "spelling_rightly", one)
    return _concluded("open" if less == "minds_filler" else "concern", less, one)


def _of_length(card: JudgeCard) -> Iterator[Conclusion]:
    return _differences(card, "length", "slope", "minds_filler", "pays_length", "no_length")


def _of_dialect(card: JudgeCard) -> Iterator[Conclusion]:
    return _differences(card, "dialect", "gap", "dialect_less", "dialect_more", "no_dialect")


def _of_spelling(card: JudgeCard) -> Iterator[Conclusion]:
    return _differences(card, "spelling", "change", "spelling_less", "spelling_more", "no_spelling")


def _of_preference(card: JudgeCard) -> Iterator[Conclusion]:
    yield from _differences(card, "preference", "adjusted", "harsher_on_own", "favours_own", "no_preference")
    for one in card.of("preference", "adjusted"):
        if one.value is None:
            yield _concluded("open", f"preference_{one.reason.replace(' ', '_')}", one)


def _of_rubric(card: JudgeCard) -> Iterator[Conclusion]:
    return _differences(card, "rubric", "gap", "rubric_less", "rubric_more", "no_rubric")


def _of_retest(card: JudgeCard) -> Iterator[Conclusion]:
    stuck = _stuck(card)
    measured = [one for one in card.of("retest", "equal") if one.value is not None and one.criterion not in stuck]
    if measured:
        least = min(measured, key=lambda one: one.value or 0.0)
        surely = least.low is not None and least.low >= STEADY - MARGIN
        steady = (least.value or 0.0) >= STEADY
        yield _concluded("concern" if not steady else "clear" if surely else "open", "repeats", least)


def _of_defects(card: JudgeCard) -> Iterator[Conclusion]:
    alarms = {one.criterion: one for one in card.of("defects", "false_alarm")}
    detections = {one.about: one for one in card.of("defects", "detection")}
    for lift in card.of("defects", "lift"):
        seen = detections[lift.about]
        if lift.value is None or seen.value is None:
            continue
        other = number_text(alarms[lift.criterion].value, "share")
        if _found(lift) and lift.value > 0:
            seldom, surely = seen.value < SEEN, seen.low is not None and seen.low >= SEEN
            status = "concern" if seldom else "clear" if surely else "open"
            yield _concluded(status, "seldom_sees" if seldom else "sees", seen, other=other)
        elif lift.high is not None and lift.high < MISSED:
            yield _concluded("concern", "blind", seen, other=other)
        else:
            said = _concluded("open", "cannot_tell", seen, other=other)
            yield _added(said, "too_few", **_of_test(lift)) if _powerless(lift) else said


def _of_halo(card: JudgeCard) -> Iterator[Conclusion]:
    for one in card.of("defects", "spill"):
        if _found(one) and one.value is not None and one.value < 0:
            yield _concluded("concern", "spills", one)
    for one in card.of("halo", "correlation"):
        if one.low is not None and one.low > ALIKE:
            yield _concluded("concern", "one_opinion", one)


def _of_unparsed(card: JudgeCard) -> Iterator[Conclusion]:
    measured = [one for one in card.of("unparsed") if one.value is not None]
    if measured:
        most = max(measured, key=lambda one: one.value or 0.0)
        if most.value == 0:
            yield _concluded("clear", "all_read", replace(most, n=card.requests))
        else:
            many = (most.value or 0.0) > UNREAD
            yield _concluded("concern", "unreadable", most) if many else _concluded("clear", "nearly_all_read", most)


def _of_people(card: JudgeCard) -> Iterator[Conclusion]:
    """Below people where the judge's kappa is surely less than theirs on the same replies."""
    ceilings = {one.criterion: one for one in card.of("people", "kappa_people")}
    differences = {one.criterion: one.high for one in card.of("people", "kappa_difference")}
    for one in card.of("people", "kappa_judge"):
        if one.value is None:
            continue
        people = ceilings.get(one.criterion)
        other = (
            "–" if people is None else f"{number_text(people.value, '')} {interval_text(people.low, people.high, '')}"
        )
        high = differences.get(one.criterion)
        below = high is not None and high < 0
        agrees = people is not None and one.low is not None and one.low > 0  # surely more than by chance
        status = "concern" if below else "clear" if agrees else "open"
        yield _concluded(status, "below_people" if below else "with_people", one, absolute=False, other=other)


_RULES = (
    _of_ends,
    _of_position,
    _of_preference,
    _of_defects,
    _of_dialect,
    _of_length,
    _of_spelling,
    _of_rubric,
    _of_halo,
    _of_retest,
    _of_people,
    _of_unparsed,
)
