"""A language model as rater: 1 to 5 by each criterion of a rubric, or the better of two replies in both orders.

What is judged stands between marks drawn from the texts themselves, so that no text can close them, and the judge is
told to follow nothing inside. It is asked greedily, for JSON by a schema where the model can be held to one, through
the ledger of `mashq.lm`: what was answered once is never asked again. What cannot be read has no score and a reason
(`mashq.judge.reply`); nothing is dropped and nothing is guessed.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mashq import packaged
from mashq.judge.family import Kinship, kinship
from mashq.judge.fenced import fence as fence_of
from mashq.judge.fenced import without_turns
from mashq.judge.framed import Framing, framing_of
from mashq.judge.reply import read_scores
from mashq.judge.rubrics import LANGUAGES, LEVELS, Criterion, Rubric, read_rubric
from mashq.judge.verdict import OVERALL, read_verdicts
from mashq.lm import Budget, Decoding, Ledger, Model, Reply, Request, generate, open_model, public_name
from mashq.lm.budget import BudgetSettings
from mashq.lm.purse import Purse
from mashq.rows import MashqError, expected_got
from mashq.settings import check_limits

__all__ = ["Case", "Compared", "Judge", "JudgeSettings", "Judged", "Judging", "Preferred", "open_judge"]

SIDES = ("first", "second", "tie")
TURNED = {"first": "second", "second": "first", "tie": "tie"}
NOT_ASKED = "not asked: no variety was asked for"
VERSION = 1  # raise it when requests are put otherwise: fingerprints change with it


@dataclass(frozen=True)
class Case:
    """One reply to be judged, with what the judge is shown beside it."""

    prompt: str  # what was asked; a conversation is flattened with its roles
    reply: str  # what is judged
    variety: str = ""  # the Arabic asked for: msa, egyptian, moroccan ...; "" = none was asked for
    reference: str = ""  # an answer known to be right; "" = none


@runtime_checkable
class Judging(Protocol):
    """A rater of replies: what a judge card needs. `Judge` is one."""

    @property
    def criteria(self) -> tuple[str, ...]:
        """Names, in the order of the rubric."""
        ...

    @property
    def language(self) -> str:
        """Of the rubric: "ar" or "en"."""
        ...

    def scores(self, cases: Sequence[Case], *, repeat: int = 0) -> list[dict[str, float | None]]:
        """1 to 5 for each criterion asked of each case, in order; None where the reply cannot be read.

        A criterion that was not asked of a case (the variety, where none was asked for) has no entry.
        `repeat` > 0 asks the same thing again, as another draw under the same decoding.
        """
        ...

    def prefer(self, pairs: Sequence[tuple[Case, Case]], *, repeat: int = 0) -> list[str | None]:
        """ "first", "second" or "tie" for each pair in the order shown; None where the reply cannot be read."""
        ...

    def in_language(self, language: str) -> Judging:
        """The same judge with the rubric in the other language."""
        ...


@dataclass(frozen=True)
class JudgeSettings:
    """Who judges, by what, and how it is asked."""

    model: str = ""  # who judges: any model of `mashq.lm`
    options: dict[str, Any] = field(default_factory=dict)  # its own settings: concurrency, timeout_s ...
    rubric: str = "stories"  # stories | medical | dialogue | prompts, or the path of one's own
    language: str = "ar"  # of the rubric and of what the judge is told: ar | en
    apart: bool = False  # a request for each criterion, so that none is scored in the light of another
    max_new_tokens: int = 512  # that the judge may take for a reply, its thoughts included
    own_family: bool = False  # let it judge replies of models of its own family
    budget: BudgetSettings = field(default_factory=BudgetSettings)  # of all that it is asked, its card included

    def __post_init__(self) -> None:
        limits = {
            "language": (self.language in LANGUAGES, " or ".join(LANGUAGES)),
            "max_new_tokens": (self.max_new_tokens >= 1, "1 or more"),
        }
        check_limits("judge", self, limits)


@dataclass(frozen=True)
class Judged:
    """What a judge said of one case: a score by criterion asked, why one is None or was not asked, and its replies as
    they came.
    """

    scores: Mapping[str, float | None]
    why: Mapping[str, str]
    replies: tuple[str, ...]  # one; with `apart` one a criterion asked, in their order


@dataclass(frozen=True)
class Preferred:
    """What a judge said of one pair as shown: a side by criterion asked and as a whole, why one is None or was not
    asked, and its reply.
    """

    verdicts: Mapping[str, str | None]
    why: Mapping[str, str]
    reply: str


@dataclass(frozen=True)
class Compared:
    """A pair judged in both orders. Where they agree that is the verdict; else it is a tie, and a flip.

    A verdict that cannot be read in one order is None, and so is its flip. `shown`, `swapped`: what was said in each
    order, the sides as they were shown.
    """

    verdicts: Mapping[str, str | None]
    flips: Mapping[str, bool | None]
    shown: Preferred
    swapped: Preferred


class Judge:
    """A model with a rubric. `kinship`: of what it judges, where that was looked at (`open_judge`).

    `budget`: of this judge alone, or a purse from which steps of a run spend together.
    """

    def __init__(
        self,
        model: Model,
        settings: JudgeSettings,
        *,
        ledger: Path | Ledger | None = None,
        budget: Budget | Purse | None = None,
        kinship: Kinship | None = None,
        progress: bool = False,
    ):
        self.model, self.settings, self.kinship = model, settings, kinship
        self.rubric: Rubric = read_rubric(settings.rubric)
        self._ledger, self._budget, self._progress = ledger, budget, progress
        self._words: Mapping[str, str] = packaged.parsed("judge")["prompts"][settings.language]

    @property
    def criteria(self) -> tuple[str, ...]:
        """Names, in the order of the rubric."""
        return tuple(one.name for one in self.rubric.criteria)

    @property
    def language(self) -> str:
        """Of the rubric: "ar" or "en"."""
        return self.settings.language

    def in_language(self, language: str) -> Judge:
        """The same judge with the rubric, and all it is told, in another language."""
        settings = dataclasses.replace(self.settings, language=language)
        return Judge(
            self.model,
            settings,
            ledger=self._ledger,
            budget=self._budget,
            kinship=self.kinship,
            progress=self._progress,
        )

    def about(self) -> dict[str, Any]:
        """Facts for a report: the model, the rubric and its warning, the hash of the prompt, the kinship."""
        warning = self.rubric.warning.get(self.language)
        kin = self.kinship
        return {
            "model": public_name(self.settings.model) if self.settings.model else self.model.identity,
            "identity": self.model.identity,
            "rubric": self.rubric.name,
            "rubric_fingerprint": self.rubric.fingerprint,
            "prompt_fingerprint": self.fingerprint,
            "language": self.language,
            "apart": self.settings.apart,
            "temperature": 0.0,
            "max_new_tokens": self.settings.max_new_tokens,
            "family": list(kin.judge) if kin else None,
            "notes": [*([warning] if warning else []), *(kin.notes if kin else ())],
        }

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of all that decides what is asked of a case, beside the model."""
        told = [VERSION, self.rubric.fingerprint, dict(self._words), self.settings.apart, self.settings.max_new_tokens]
        return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=8).hexdigest()

    # --- absolute ----------------------------------------------------------------------------------------------------

    def scores(self, cases: Sequence[Case], *, repeat: int = 0) -> list[dict[str, float | None]]:
        """`Judging.scores`; `judged` has the replies and the reasons too."""
        return [dict(one.scores) for one in self.judged(cases, repeat=repeat)]

    def judged(self, cases: Sequence[Case], *, repeat: int = 0) -> list[Judged]:
        """What the judge says of each case, in order.

        A criterion that needs a variety is not asked of a case without one. Raises MashqError as `lm.generate` does.
        """
        groups = [self._groups(case) for case in cases]
        replies = iter(self._said(self.requests(cases, repeat=repeat)))
        return [self._judged(several, [next(replies) for group in several if group]) for several in groups]

    def requests(self, cases: Sequence[Case], *, repeat: int = 0, framed: bool = True) -> list[Request]:
        """What `judged` asks, in order. Not `framed`: by messages, so that no weights are loaded."""
        return [
            self._request(self._absolute(case, group), _schema(group, list(LEVELS)), repeat, framed)
            for case in cases
            for group in self._groups(case)
            if group
        ]

    def _groups(self, case: Case) -> list[tuple[Criterion, ...]]:
        """The criteria that are asked of a case, those of one request together."""
        asked = self._asked(case)
        return [(one,) for one in asked] if self.settings.apart else [asked]

    def _judged(self, groups: Sequence[Sequence[Criterion]], replies: Sequence[Reply]) -> Judged:
        scores: dict[str, float | None] = {}
        why = dict.fromkeys(self.criteria, NOT_ASKED)
        asked = [group for group in groups if group]
        for group, reply in zip(asked, replies, strict=True):
            read = read_scores(reply.text, group, cut=reply.finish == "length")
            for one in group:
                failed = f"no reply: {reply.error}" if reply.finish == "error" else ""
                scores[one.name] = None if failed else read.values[one.name]
                why[one.name] = failed or read.why.get(one.name, "")
        return Judged(scores, {k: v for k, v in why.items() if v}, tuple(one.text for one in replies))

    def _asked(self, case: Case) -> tuple[Criterion, ...]:
        """The criteria that can be asked of a case."""
        return tuple(one for one in self.rubric.criteria if case.variety or "variety" not in one.needs)

    def _absolute(self, case: Case, criteria: Sequence[Criterion]) -> str:
        texts = [(self._words["prompt"], case.prompt), *self._reference(case, criteria)]
        texts.append((self._words["reply"], case.reply))
        shape = "{" + ", ".join(f'"{one.name}": N' for one in criteria) + "}"
        return self._asked_text("absolute", case, criteria, texts, shape)

    # --- pairs -------------------------------------------------------------------------------------------------------

    def prefer(self, pairs: Sequence[tuple[Case, Case]], *, repeat: int = 0) -> list[str | None]:
        """`Judging.prefer`: the verdicts as a whole, each pair in the one order shown."""
        return [one.verdicts[OVERALL] for one in self.preferred(pairs, repeat=repeat)]

    def preferred(self, pairs: Sequence[tuple[Case, Case]], *, repeat: int = 0) -> list[Preferred]:
        """The better side of each pair as shown, by each criterion and as a whole ("overall").

        Raises MashqError for a pair that does not answer one prompt.
        """
        replies = self._said(self.pair_requests(pairs, repeat=repeat))
        return [self._preferred(self._asked(one), reply) for (one, _), reply in zip(pairs, replies, strict=True)]

    def pair_requests(
        self, pairs: Sequence[tuple[Case, Case]], *, repeat: int = 0, framed: bool = True
    ) -> list[Request]:
        """What `preferred` asks, in order; `framed` as in `requests`. Raises MashqError as it does."""
        for place, (one, two) in enumerate(pairs):
            if one.prompt != two.prompt or one.variety != two.variety:
                got = "two prompts" if one.prompt != two.prompt else f"'{one.variety}' and '{two.variety}'"
                raise MashqError(expected_got(f"judge: pair {place}", "two replies to one prompt and variety", got))
        asked = [self._asked(one) for one, _ in pairs]
        return [
            self._request(self._pairwise(pair, group), _schema([*group, OVERALL], SIDES), repeat, framed)
            for pair, group in zip(pairs, asked, strict=True)
        ]

    def compared(self, pairs: Sequence[tuple[Case, Case]], *, repeat: int = 0) -> list[Compared]:
        """Each pair judged in both orders."""
        turned = [(two, one) for one, two in pairs]
        both = self.preferred([*pairs, *turned], repeat=repeat)
        return [_compared(one, two) for one, two in zip(both[: len(pairs)], both[len(pairs) :], strict=True)]

    def _preferred(self, criteria: Sequence[Criterion], reply: Reply) -> Preferred:
        names = [*(one.name for one in criteria), OVERALL]
        not_asked = {name: NOT_ASKED for name in self.criteria if name not in names}
        if reply.finish == "error":
            failed = dict.fromkeys(names, f"no reply: {reply.error}")
            return Preferred(dict.fromkeys(names), {**failed, **not_asked}, "")
        read = read_verdicts(reply.text, criteria)
        return Preferred(dict(read.values), {**read.why, **not_asked}, reply.text)

    def _pairwise(self, pair: tuple[Case, Case], criteria: Sequence[Criterion]) -> str:
        one, two = pair
        texts = [(self._words["prompt"], one.prompt), *self._reference(one, criteria)]
        texts += [(self._words["first"], one.reply), (self._words["second"], two.reply)]
        shape = "{" + ", ".join(f'"{name}": X' for name in [*(c.name for c in criteria), OVERALL]) + "}"
        return self._asked_text("pairwise", one, criteria, texts, shape)

    # --- asking ------------------------------------------------------------------------------------------------------

    def _reference(self, case: Case, criteria: Sequence[Criterion]) -> list[tuple[str, str]]:
        wanted = case.reference and any("reference" in (*one.uses, *one.needs) for one in criteria)
        return [(self._words["reference"], case.reference)] if wanted else []

    def _asked_text(
        self, how: str, case: Case, criteria: Sequence[Criterion], texts: Sequence[tuple[str, str]], shape: str
    ) -> str:
        """The whole question: the criteria, the rule, the texts between their marks, and what to answer with."""
        fence = fence_of([text for _, text in texts])
        parts = [self._words[how], *(self._criterion(one, how) for one in criteria)]
        parts.append(self._words["data"].format(fence=fence))
        if any("variety" in one.needs for one in criteria):
            parts.append(self._words["variety"].format(variety=self._variety(case.variety)))
        parts += [f"{title}:\nBEGIN {fence}\n{without_turns(text)}\nEND {fence}" for title, text in texts]
        parts.append(self._words[f"answer_{how}"].format(shape=shape))
        return "\n\n".join(parts)

    def _criterion(self, one: Criterion, how: str) -> str:
        line = f"{one.title[self.language]} ({one.name}): {one.ask[self.language]}"
        if how == "pairwise":
            return line
        labels = zip(LEVELS, one.labels[self.language], strict=True)
        return "\n".join([line, *(f"{level} = {label}" for level, label in labels)])

    def _variety(self, name: str) -> str:
        known = packaged.parsed("judge")["varieties"].get(name)
        return str(known[self.language]) if known else name

    @functools.cached_property
    def _framing(self) -> Framing | None:
        return framing_of(self.model)

    def _request(self, text: str, schema: Mapping[str, Any], repeat: int, framed: bool) -> Request:
        messages = (("system", self._words["system"]), ("user", text))
        held, most = json.dumps(schema), self.settings.max_new_tokens  # greedy
        if not framed or self._framing is None:
            return Request(messages=messages, decoding=Decoding(max_new_tokens=most), sample=repeat, schema=held)
        decoding = Decoding(max_new_tokens=most, stop_ids=self._framing.stop_ids)
        return Request(prompt_ids=self._framing.ids(messages), decoding=decoding, sample=repeat, schema=held)

    def _said(self, requests: Sequence[Request]) -> list[Reply]:
        if not requests:
            return []
        budget = self._budget
        if isinstance(budget, Purse):
            budget = budget.open(self._ledger, [(self.model.identity, one) for one in requests], self)
        return generate(self.model, requests, ledger=self._ledger, budget=budget, progress=self._progress)


def open_judge(
    settings: JudgeSettings,
    systems: Mapping[str, str],
    *,
    ledger: Path | Ledger | None = None,
    budget: Budget | Purse | None = None,
    progress: bool = False,
) -> Judge:
    """The judge of these settings for systems (name -> the spec or folder of its model, "" where that is not known).

    `budget`: None is that of the settings. Raises MashqError for a model that would judge its own family
    (`judge_family.kinship`), or that cannot be opened.
    """
    if not settings.model:
        raise MashqError(expected_got("judge: model", "any model of `mashq.lm`", "none", "Name one with --model."))
    kin = kinship(settings.model, systems, own_family=settings.own_family)
    model = open_model(settings.model, **settings.options)
    budget = settings.budget.open("judge.budget") if budget is None else budget
    return Judge(model, settings, ledger=ledger, budget=budget, kinship=kin, progress=progress)


def _compared(shown: Preferred, swapped: Preferred) -> Compared:
    verdicts: dict[str, str | None] = {}
    flips: dict[str, bool | None] = {}
    for name, one in shown.verdicts.items():
        back = swapped.verdicts[name]
        two = TURNED[back] if back else None
        known = one is not None and two is not None
        flips[name] = one != two if known else None
        verdicts[name] = (one if one == two else "tie") if known else None
    return Compared(verdicts, flips, shown, swapped)


def _schema(names: Sequence[Criterion | str], values: Sequence[int | str]) -> dict[str, Any]:
    """A JSON schema: each name one of the values, all of them required."""
    kind = "integer" if isinstance(values[0], int) else "string"
    keys = [one if isinstance(one, str) else one.name for one in names]
    properties = {key: {"type": kind, "enum": list(values)} for key in keys}
    return {"type": "object", "properties": properties, "required": keys, "additionalProperties": False}
