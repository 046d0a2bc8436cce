"""What is wanted -> what a language model wrote of it: asked, read, checked, mended, the best kept.

A `Writer` knows one kind of text (a conversation, a story, an instruction). It says what is asked for each thing
wanted and what a reply is worth; this module does the rest: several replies a prompt, further attempts for what
failed, a repair round for near misses, a judge, openings that are used up, near-duplicates. Every reply that is not
kept has a reason.

Texts are written in rounds, and what a round asks depends on the replies before it alone. So a run that was killed
and taken up again finds every reply in the ledger, asks what is missing, and ends with the same texts.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from mashq.lm import Decoding, Messages, Reply, Request
from mashq.near import Near
from mashq.rows import MashqError, expected_got
from mashq.settings import check_limits

__all__ = ["Asked", "Draft", "Judging", "Synthesis", "Wanted", "Writer", "Written", "request_of"]

OPENINGS_TOLD = 8  # of those used up, the most frequent
OPENINGS_FREE = 20  # texts kept before an opening can be used up


@dataclass(frozen=True)
class Wanted:
    """One text to be written. Of each cell as many are wanted as its quota says."""

    key: str  # unique among all that is wanted: it decides the row's id and every seed
    about: Mapping[str, Any]  # what the writer needs to ask and to check; becomes the row's `meta` (JSON)
    cell: str = ""  # of the grid: "cooking/EG"
    group: str = ""  # of the split: what must never straddle train and test
    variety: str | None = None  # of Arabic that is asked for
    parents: tuple[bytes, ...] = ()  # ids of the rows it is made from
    licence: str | None = None  # of those rows; None: of the model alone


@dataclass(frozen=True)
class Draft:
    """What was made of one reply.

    fields: columns of its row: messages (the conversation, or the prompt without the answer), references, text, task
    ...; empty where the reply cannot be read. reason: why it cannot be kept, the fault first, with value and limit.
    score: 0 to 1, the share of checks it passes: of several drafts without a reason the best is kept. checks: each by
    name, None where it passes, else why not; they are counted in the survey. mend: for a near miss, what the model is
    told in a repair round, in the language of the prompt; None where that is hopeless. opening: its first words, which
    later attempts are told to avoid; "" where that does not matter. alike: the text by which near-duplicates are found;
    "" where there is none to compare.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    score: float = 0.0
    checks: Mapping[str, str | None] = field(default_factory=dict)
    mend: str | None = None
    opening: str = ""
    alike: str = ""


class Writer(Protocol):
    """One kind of text. `name` stands in the rows' `template` column; `identity` names all that decides what is asked
    and what is kept (settings, data files, a version number), for fingerprints."""

    @property
    def name(self) -> str: ...
    @property
    def identity(self) -> str: ...

    def ask(self, wanted: Wanted, attempt: int, avoid: Sequence[str]) -> Messages | str:
        """The messages, or for a model without a chat template the text to go on from.

        attempt: 0, 1, 2 ...: a further attempt takes another wording, persona or example, decided by the key and the
        attempt alone. avoid: openings that are used up, which the prompt asks not to use again.
        """
        ...

    def read(self, wanted: Wanted, attempt: int, reply: str) -> Draft:
        """What a reply is worth. Never raises for anything a model may say."""
        ...


@runtime_checkable
class Judging(Protocol):
    """A writer whose drafts a second model can judge: yes-or-no questions, one request each."""

    def questions(self, wanted: Wanted, draft: Draft) -> Sequence[Messages]:
        """What the judge is asked of a draft; none where nothing needs a reader."""
        ...

    def verdict(self, reply: str) -> bool | None:
        """What the judge said; None where it cannot be read, which counts for neither."""
        ...


@dataclass(frozen=True)
class Asked:
    """How much is asked for each text, and what else decides which reply is kept."""

    decoding: Decoding = field(default_factory=lambda: Decoding(max_new_tokens=1024, temperature=0.8, top_p=0.95))
    samples: int = 1  # replies to each prompt, of which the best is kept
    tries: int = 3  # prompts for each text, until a reply is kept
    repair: bool = True  # ask once more after a near miss and say what was wrong with it
    whole: bool = True  # drop a reply that was cut at max_new_tokens; false for models that never end by themselves
    alike: float = 0.7  # near-duplicates: estimated Jaccard of runs of five words, from here on; 1.01 = not looked for
    most_opening: float = 0.1  # share of the kept texts that may begin with the same words; 1 = any
    judge_least: float = 0.5  # share of the judge's questions answered with yes that a kept text needs
    judge_tokens: int = 512  # that a judge may take to answer a question, its thoughts included
    at_once: int = 4096  # texts that are open side by side

    def __post_init__(self) -> None:
        limits = {
            "samples": (self.samples >= 1, "1 or more"),
            "tries": (self.tries >= 1, "1 or more"),
            "alike": (self.alike > 0, "above 0"),
            "most_opening": (0 < self.most_opening <= 1, "above 0 and at most 1"),
            "at_once": (self.at_once >= 1, "1 or more"),
            "judge_tokens": (self.judge_tokens >= 1, "1 or more"),
            "judge_least": (0 <= self.judge_least <= 1, "0 to 1"),
        }
        check_limits("synthesis", self, limits)
        if self.decoding.greedy and self.samples > 1:
            raise MashqError(
                expected_got("synthesis: samples", "1 with greedy decoding", str(self.samples), "Raise temperature.")
            )


@dataclass(frozen=True)
class Written:
    """One reply and what became of it. `number` counts the replies that were asked for the same text."""

    wanted: Wanted
    number: int
    attempt: int
    mended: bool  # asked in a repair round
    prompt: Messages | str
    reply: Reply
    draft: Draft


@dataclass
class _Open:
    """A text that is not there yet: its replies so far, the next attempt, the near miss that is to be mended."""

    wanted: Wanted
    made: list[Written] = field(default_factory=list)
    attempt: int = 0
    miss: Written | None = None

    @property
    def kept(self) -> bool:
        return any(one.draft.reason is None for one in self.made)


Generate = Callable[[Sequence[Request]], Sequence[Reply]]


class Synthesis:
    """Writes what is wanted; remembers openings and texts from the first to the last.

    `generate` asks the model, `judge` the one that judges (None: nobody does). `trial`: where more prompts are to be
    sent at once than so many, these are sent first, and `write` raises MashqError if no reply is worth keeping or
    mending: a wrong frame shows here, not on the bill. `generate` is asked them again in their round, so it should
    remember its replies; what is written is the same. 0 = no trial.
    """

    def __init__(self, writer: Writer, asked: Asked, generate: Generate, judge: Generate | None = None, trial: int = 0):
        if judge is not None and not isinstance(writer, Judging):
            raise MashqError(f"synthesis: a judge is named, but {writer.name} texts come without questions for one.")
        self.writer, self.asked, self._generate, self._judge = writer, asked, generate, judge
        self._trial = trial
        self.near = Near(min(asked.alike, 1.0))
        self.openings: Counter[str] = Counter()
        self.kept = 0

    def write(self, wanted: Iterable[Wanted]) -> Iterator[list[Written]]:
        """Of each text wanted every reply, in the order of asking; at most one of them has no reason.

        `asked.at_once` texts are open side by side; one that is there, or given up, makes room for the next. They come
        in the order in which they are finished, which depends on the replies alone.
        """
        fresh = iter(wanted)
        open_: list[_Open] = []
        while True:
            open_ += [_Open(one) for one in islice(fresh, self.asked.at_once - len(open_))]
            if not open_:
                return
            self._try(open_)
            self._round(open_)
            yield from (one.made for one in open_ if self._finished(one))
            open_ = [one for one in open_ if not self._finished(one)]

    def _finished(self, one: _Open) -> bool:
        return one.kept or (one.miss is None and one.attempt >= self.asked.tries)

    def _try(self, open_: Sequence[_Open]) -> None:
        """Raise MashqError if of the first prompts' replies none is worth anything; once."""
        trial, self._trial = self._trial, 0
        if not trial or len(open_) <= trial:
            return
        some = open_[:trial]
        prompts = [self.writer.ask(one.wanted, 0, ()) for one in some]
        replies = self._generate([request_of(prompt, self.asked.decoding) for prompt in prompts])
        drafts = [
            self._written(one, 0, False, prompt, reply).draft
            for one, prompt, reply in zip(some, prompts, replies, strict=True)
        ]
        if any(draft.reason is None or (self.asked.repair and draft.mend) for draft in drafts):
            return
        kinds = Counter((draft.reason or "").partition(":")[0] for draft in drafts).most_common(4)
        raise MashqError(
            expected_got(
                f"synthesis: the first {trial} replies",
                f"{self.writer.name} texts, some of them worth keeping",
                f"none ({', '.join(f'{kind}: {n}' for kind, n in kinds)})",
                f"Does the model chat, and in this frame and style? Nothing but these was asked. "
                f"writer.trial=0 goes on all the same with the other {len(open_) - trial:,} or more.",
            )
        )

    def _round(self, open_: Sequence[_Open]) -> None:
        """Ask each open text's next prompt, and choose."""
        avoid = self.used_up()[:OPENINGS_TOLD]
        prompts: list[tuple[_Open, Messages | str, int, bool]] = []
        for one in open_:
            if one.miss is not None:
                prompts.append((one, _repair(one.miss), 0, True))
                continue
            prompt = self.writer.ask(one.wanted, one.attempt, avoid)
            # A further attempt that repeats a prompt is a further draw of it.
            first = one.attempt * self.asked.samples
            prompts += [(one, prompt, first + sample, False) for sample in range(self.asked.samples)]
        requests = [request_of(prompt, self.asked.decoding, sample) for _, prompt, sample, _ in prompts]
        replies = self._generate(requests)
        fresh: dict[int, list[Written]] = {id(one): [] for one in open_}
        for (one, prompt, _, mended), reply in zip(prompts, replies, strict=True):
            fresh[id(one)].append(self._written(one, len(fresh[id(one)]), mended, prompt, reply))
        judged = self._judged([each for several in fresh.values() for each in several])
        for one in open_:
            several = [judged.popleft() for _ in fresh[id(one)]]
            self._settle(one, several)

    def _settle(self, one: _Open, several: Sequence[Written]) -> None:
        """Add a round's replies to a text, and say what is next for it."""
        reasons = self._reasons(several)
        several = [replace(w, draft=replace(w.draft, reason=r)) for w, r in zip(several, reasons, strict=True)]
        mended = one.miss is not None
        one.made += several
        one.miss = None
        if self.asked.repair and not mended and not one.kept:
            one.miss = max((w for w in several if w.draft.mend), key=lambda w: w.draft.score, default=None)
        if one.miss is None:
            one.attempt += 1

    def _written(self, one: _Open, number: int, mended: bool, prompt: Messages | str, reply: Reply) -> Written:
        if reply.finish == "error":
            draft = Draft(reason=f"no reply: {reply.error}")
        else:
            draft = self.writer.read(one.wanted, one.attempt, reply.text)
            if reply.finish == "length" and self.asked.whole:
                limit = self.asked.decoding.max_new_tokens
                draft = replace(draft, reason=f"cut: {limit} new tokens, the limit", mend=None)
        return Written(one.wanted, len(one.made) + number, one.attempt, mended, prompt, reply, draft)

    # --- choosing ----------------------------------------------------------------------------------------------------

    def _reasons(self, several: Sequence[Written]) -> list[str | None]:
        """Why each of a text's drafts is not kept; None for the best of those that are like no text kept before."""
        reasons = [one.draft.reason for one in several]
        sound = [place for place, reason in enumerate(reasons) if reason is None]
        kept: Draft | None = None
        for place in sorted(sound, key=lambda place: (-several[place].draft.score, place)):
            draft = several[place].draft
            if kept is not None:
                reasons[place] = f"not the best: {draft.score:.2f} <= {kept.score:.2f} of another reply"
                continue
            reasons[place] = self._common(draft) or self._alike(draft, several[place].wanted)
            if reasons[place] is None:
                kept = draft
                self.kept += 1
                self.openings[draft.opening] += 1
        return reasons

    def _common(self, draft: Draft) -> str | None:
        """Whether too many of the kept texts begin like this one."""
        if not draft.opening or self.kept < OPENINGS_FREE:
            return None
        share = (self.openings[draft.opening] + 1) / (self.kept + 1)
        most = self.asked.most_opening
        return (
            f"opening: {share:.2f} of the texts would begin with «{draft.opening}» > {most}" if share > most else None
        )

    def _alike(self, draft: Draft, wanted: Wanted) -> str | None:
        if not draft.alike or self.asked.alike > 1:
            return None
        found = self.near.add(draft.alike, wanted.key)
        return None if found is None else f"alike: {found[1]:.2f} >= {self.asked.alike} to {found[0]}"

    def used_up(self) -> list[str]:
        """The openings that no further text may have, the most frequent first."""
        if self.kept < OPENINGS_FREE:
            return []
        most = self.asked.most_opening * (self.kept + 1)
        return [opening for opening, times in self.openings.most_common() if opening and times + 1 > most]

    # --- judging -----------------------------------------------------------------------------------------------------

    def _judged(self, drafts: Sequence[Written]) -> deque[Written]:
        """The drafts; the score of one without a fault is the mean of its checks passed and questions answered yes."""
        writer = self.writer
        if self._judge is None or not isinstance(writer, Judging):
            return deque(drafts)
        asked = [
            (number, question)
            for number, one in enumerate(drafts)
            if one.draft.reason is None
            for question in writer.questions(one.wanted, one.draft)
        ]
        decoding = Decoding(max_new_tokens=self.asked.judge_tokens)  # greedy
        said = self._judge([request_of(question, decoding, 0) for _, question in asked])
        verdicts: dict[int, list[bool | None]] = {}
        for (number, _), reply in zip(asked, said, strict=True):
            verdict = None if reply.finish == "error" else writer.verdict(reply.text)
            verdicts.setdefault(number, []).append(verdict)
        return deque(self._with_verdicts(one, verdicts.get(number, [])) for number, one in enumerate(drafts))

    def _with_verdicts(self, one: Written, verdicts: Sequence[bool | None]) -> Written:
        """A draft with what the judge said of it. A verdict that cannot be read counts for neither; one must be."""
        if not verdicts:
            return one
        read = [verdict for verdict in verdicts if verdict is not None]
        share = sum(read) / len(read) if read else 0.0
        reason = None
        if not read:
            reason = f"judge: no verdict that can be read of {len(verdicts)} questions"
        elif share < self.asked.judge_least:
            reason = f"judge: {share:.2f} of {len(read)} questions < {self.asked.judge_least}"
        checks = {**one.draft.checks, "judge": reason}
        score = (one.draft.score + share) / 2
        return replace(one, draft=replace(one.draft, reason=reason, score=score, checks=checks))


def request_of(prompt: Messages | str, decoding: Decoding, sample: int = 0) -> Request:
    """What `Writer.ask` gives as a request."""
    if isinstance(prompt, str):
        return Request(prompt=prompt, decoding=decoding, sample=sample)
    return Request(messages=prompt, decoding=decoding, sample=sample)


def _repair(one: Written) -> Messages | str:
    """The prompt, the reply, and what was wrong with it."""
    mend = one.draft.mend or ""
    if isinstance(one.prompt, str):
        return f"{one.prompt}{one.reply.text}\n\n{mend}\n\n{one.prompt}"
    return (*one.prompt, ("assistant", one.reply.text), ("user", mend))
