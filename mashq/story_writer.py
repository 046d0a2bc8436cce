"""Stories as `mashq.synthesis` writes them: which are wanted, how a model is asked, what its reply is worth."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from mashq.lm import Messages, unfenced, without_thoughts
from mashq.rows import MashqError, expected_got, nearest
from mashq.stories import (
    DATA,
    Slots,
    asked_of,
    draw,
    group,
    list_lines,
    openings_of,
    prompt,
    said_to_writers,
)
from mashq.story_checks import CHECKS, Limits, judge_questions, read_verdict, weigh
from mashq.synthesis import Draft, Wanted

__all__ = ["Stories", "cleaned", "mend_text", "slots_of", "wanted"]

Style = Literal["messages", "completion"]
RULES = 3  # raise it when replies are asked for, cleaned or weighed otherwise
OPENING_WORDS = 3  # of a story: what later attempts are told to avoid
MOST_AVOIDED = 5  # openings named in one prompt, the first: the most frequent
MOST_CHARACTERS = 50_000  # of a reply that is looked at; the longest released story has 2,500
MOST_FAILED = 0.5  # of the checks: a story that fails more is written anew, not mended

# No text of a row: it would not be written to a file, or would be seen by nobody.
NO_TEXT = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f\\ud800-\\udfff]")
# "Of course! Here is a story:" on a line of its own; a title; the label of the story itself.
PREFACE = re.compile(
    r"\A[*_#\s]*(?:بالتأكيد|بالطبع|بكل سرور|حسنًا|حسنا|حاضر|أكيد|طبعًا|طبعا|إليك|اليك|إليكم|تفضل|واخا|sure|certainly"
    r"|of course|here)\b[^\n]{0,160}:\**[^\S\n]*(?:\n|\Z)",
    re.IGNORECASE,
)
TITLE = re.compile(
    r"\A(?:#{1,6} [^\n]{1,80}|\*\*[^*\n]{1,80}\*\*|[*#_ ]*(?:ال)?عنوان[^\n:]{0,20}:[^\n]{0,80})[^\S\n]*\n"
)
LABEL = re.compile(r"\A[*#_ ]*(?:القصة|الحكاية|الحدوتة|السالفة|الحجوة)[*_ ]*:[*_\s]*")
# "I hope that you like it", "shall I go on?" as the last line.
AFTER = re.compile(
    r"[*_ ]*(?:هل تريد(?:ين)? (?:أن أ|مني)|هل ترغب(?:ين)? في|(?:أتمنى|آمل) أن (?:تعجبك|تنال)|let me know"
    r"|would you like)[^\"«“]*",
    re.IGNORECASE,
)
RULER = re.compile(r"[-*_=\s]{3,}")
JUDGE = "اقرأ القصة ثم أجب عن السؤال الذي بعدها.\n\nالقصة:\n{}\n\nالسؤال: {}"


@dataclass(frozen=True)
class Stories:
    """A writer of stories; what is wanted holds the slots of a story (`wanted`).

    must: checks of `story_checks.CHECKS` that a kept story passes where they are asked for. style: "messages" for a
    chat model; "completion" for a model that goes on from a text: the prompt and the first words of a story in its
    variety, which become its own. Raises MashqError for an unknown check or style.
    """

    limits: Limits = field(default_factory=Limits)
    must: tuple[str, ...] = ("variety", "characters", "country", "season", "place", "dialogue")
    style: Style = "messages"
    name: str = "stories"

    def __post_init__(self) -> None:
        object.__setattr__(self, "must", tuple(self.must))
        for check in self.must:
            if check not in CHECKS:
                raise MashqError(
                    expected_got("stories: must", ", ".join(CHECKS), f"'{check}'", nearest(check, CHECKS).strip())
                )
        if self.style not in get_args(Style):
            raise MashqError(expected_got("stories: style", " or ".join(get_args(Style)), f"'{self.style}'"))

    @property
    def identity(self) -> str:
        """All that decides what is asked and kept: the settings, the rules, the data files."""
        settings = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return f"{self.name}:{RULES}:{hashlib.blake2b((settings + _data_hash()).encode(), digest_size=8).hexdigest()}"

    def ask(self, wanted: Wanted, attempt: int, avoid: Sequence[str]) -> Messages | str:
        """The prompt in another wording for each attempt; with `avoid` its last sentence names openings that are used
        up, in the story's variety. In the style "completion" the opening is given, and `avoid` has no say."""
        slots = slots_of(wanted)
        asked = prompt(slots, attempt)
        if self.style == "completion":
            return f"{asked}\n\n{_opening(slots, wanted.key, attempt)}"
        return (("user", _with_avoided(asked, slots.variety, avoid)),)

    def read(self, wanted: Wanted, attempt: int, reply: str) -> Draft:
        """What a reply is worth. Its row is the prompt without what was said besides it, and the story as reference."""
        if len(reply) > MOST_CHARACTERS:
            return Draft(reason=f"long: {len(reply)} characters > {MOST_CHARACTERS}")
        if odd := NO_TEXT.search(reply):
            return Draft(reason=f"not text: control character U+{ord(odd[0]):04X}")
        slots = slots_of(wanted)
        asked = prompt(slots, attempt)
        story = self._story(slots, wanted.key, attempt, reply)
        if not story:
            return Draft(reason="empty")
        fault, found = weigh(story, slots, asked, self.limits)
        failed = [name for name, why in found.items() if why]
        reason = fault or next((found[name] for name in self.must if found.get(name)), None)
        return Draft(
            fields={
                "messages": [{"role": "user", "content": asked}],
                "references": [story],
                "task": "story",
            },
            reason=reason,
            score=0.0 if fault and "length" not in failed else 1 - len(failed) / len(found),
            checks=found,
            mend=self._mend(slots, fault, failed, len(found)) if reason else None,
            opening=self._begins(story),
            alike=story,
        )

    def questions(self, wanted: Wanted, draft: Draft) -> list[Messages]:
        """What a judge is asked of a story: its ending, moral, topic and twist where asked for, and the age."""
        story = (draft.fields.get("references") or [""])[0]
        return [(("user", JUDGE.format(story, said)),) for _, said in judge_questions(slots_of(wanted)) if story]

    def verdict(self, reply: str) -> bool | None:
        """`story_checks.read_verdict`."""
        return read_verdict(reply)

    def _story(self, slots: Slots, key: str, attempt: int, reply: str) -> str:
        if self.style == "messages":
            return cleaned(reply)
        if not reply.strip():
            return ""
        opening = _opening(slots, key, attempt)
        # As it came: "عاش" may go on as "عاشت", and what begins with a space is a new word. Only the letter و, "and",
        # is written together with the word after it.
        return opening + (reply.strip() if opening.endswith(" و") else reply.rstrip())

    def _begins(self, story: str) -> str:
        """The first words, where the model chose them."""
        return " ".join(story.split()[:OPENING_WORDS]).strip("«»\"'،,.:!؟ ") if self.style == "messages" else ""

    def _mend(self, slots: Slots, fault: str | None, failed: Sequence[str], checks: int) -> str | None:
        """What to write anew, where it is one or the other slot or the length, and the text is sound otherwise."""
        hopeless = fault and "length" not in failed
        if hopeless or len(failed) > MOST_FAILED * checks:
            return None
        return mend_text(slots, failed, self.limits)


def wanted(n: int, variety: str, seed: int) -> list[Wanted]:
    """n different stories of one variety, drawn as `stories.draw` draws them; the first do not depend on n.

    The cell is the variety. Raises MashqError for an unknown variety, and where there are not as many.
    """
    return [
        Wanted(
            key=f"stories/{variety}/{group(slots)}",
            about=asked_of(slots),
            cell=variety,
            group=group(slots),
            variety=variety,
        )
        for slots in draw(n, variety, seed)
    ]


def slots_of(wanted: Wanted) -> Slots:
    """The slots that a wanted story holds. Raises MashqError where they are no slots."""
    try:
        return Slots(**wanted.about)
    except TypeError as error:
        known = ", ".join(one.name for one in dataclasses.fields(Slots))
        raise MashqError(
            expected_got(f"story '{wanted.key}'", f"slots ({known})", f"{sorted(wanted.about)}", f"{error}")
        ) from error


def mend_text(slots: Slots, names: Sequence[str], limits: Limits | None = None) -> str:
    """What a model is told that has to write a story anew: the slots it did not obey, in the story's variety.

    names: of `story_checks.CHECKS` and of slots, for example those that a judge denied. Raises MashqError without any.
    """
    if not names:
        raise MashqError(expected_got("stories: mend", "at least one slot", "none"))
    limits, said = limits or Limits(), said_to_writers(slots.variety)
    lines = list_lines(slots, [name for name in names if name != "length"])
    if "length" in names:
        least, most = str(limits.least_words), str(limits.most_words)
        lines.append(said["length"].replace("{}", least, 1).replace("{}", most, 1))
    return "\n".join([said["mend"], *(f"- {line}" for line in lines)])


def cleaned(reply: str) -> str:
    """The story in a reply: without thoughts, a fence, "here is a story:", a title, and a question after its end."""
    text = unfenced(without_thoughts(reply) or "")
    for before in (PREFACE, TITLE, LABEL):
        text = before.sub("", text, count=1).lstrip()
    lines = text.rstrip().splitlines()
    while len(lines) > 1 and (AFTER.fullmatch(lines[-1]) or RULER.fullmatch(lines[-1]) or not lines[-1].strip()):
        lines.pop()
    return "\n".join(lines).strip()


def _with_avoided(asked: str, variety: str, avoid: Sequence[str]) -> str:
    """The prompt, and in its own way of writing (sentences or a list) the openings not to use."""
    most = [f"«{opening}»" for opening in dict.fromkeys(avoid) if opening][:MOST_AVOIDED]
    if not most:
        return asked
    told = said_to_writers(variety)["avoid"].replace("{}", " أو ".join(most))
    return f"{asked}\n- {told}" if "\n- " in asked else f"{asked} {told}."


def _opening(slots: Slots, key: str, attempt: int) -> str:
    """One of the variety's openings: the next one for each attempt."""
    known = openings_of(slots)
    first = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest(), "little")
    return known[(first + attempt) % len(known)]


@functools.cache
def _data_hash() -> str:
    files = sorted(DATA.glob("*.yaml"))
    return hashlib.blake2b(b"".join(file.read_bytes() for file in files), digest_size=8).hexdigest()
