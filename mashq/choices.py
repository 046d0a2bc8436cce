"""Multiple choice by likelihood: which answer a model finds likeliest, without a word written.

A row with `choices` and a right one among its `references` is asked k times: how likely is each choice after the
prompt? The likeliest is the model's answer, by the sum of its nats or by nats for each character, byte or token.

A prompt is read in the student's chat frame, or as plain text, which is how lm-evaluation-harness reads one without a
chat template; then its `acc` is our `sum`, its `acc_norm` our `characters` (it divides by `len(choice)`), its
`acc_bytes` our `bytes`. Prompt and choice are encoded as one text and parted at the token where the prompt ends. Where
a token stretches over that border, all choices of the row are parted before it, so that each is charged for the same
piece of text; there the two differ, and `Weighed.merged` says so (lm-evaluation-harness puts the rest of the ids behind
those of the prompt alone, which is no encoding of any text). A prompt is computed once a row, its choices side by side
after it.

What was computed stands in a book beside the ledger, a line a batch, as for `mashq.generate`: a run that was killed and
taken up again computes no finished batch again and gives the numbers of an unbroken one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mashq import attention, chat, targets
from mashq.generate import ROWS_PER_BATCH, TOKENS_PER_BATCH, Student, _Book
from mashq.metrics.score import BINARY, Metric, Score, mean_score, sign
from mashq.rows import MashqError, child_ids, conform, expected_got, nearest

__all__ = [
    "BY",
    "Accuracy",
    "ChoiceSettings",
    "Weighed",
    "accuracy",
    "answers",
    "metric",
    "plain_text",
    "right_choices",
    "weigh",
    "why_not",
]

NAME = "choice_accuracy"  # of the metric
BY = ("sum", "characters", "bytes", "tokens")  # what the nats of a choice are divided by: nothing, or its length
BEGIN = ("tokenizer", "always", "never")
TIE = 1e-6  # choices whose nats differ by less than this share of them are tied: fp32 rounds at 6e-8 a token


@dataclass(frozen=True)
class ChoiceSettings:
    """How choices are put to a model."""

    chat: bool = True  # in the student's chat frame; False = as plain text
    by: str = "sum"  # of BY: whose likeliest choice is the reply
    end: bool = False  # chat: the token that ends the turn counts too, so that a choice is a whole reply
    between: str = " "  # plain text: what stands between prompt and choice
    begin: str = "tokenizer"  # plain text: the beginning-of-text token first: as the tokenizer does, always or never

    def __post_init__(self) -> None:
        for name, value, known in (("by", self.by, BY), ("begin", self.begin, BEGIN)):
            if value not in known:
                raise MashqError(f"choices: no {name} '{value}' ({', '.join(known)}).{nearest(value, known)}")

    def told(self, frame: str) -> str:
        """The part of a signature that says how it was asked."""
        if self.chat:
            return f"frame:{frame}|end:{'yes' if self.end else 'no'}"
        return f"frame:text|between:{json.dumps(self.between, ensure_ascii=False)}|begin:{self.begin}"


@dataclass(frozen=True)
class Weighed:
    """The choices of one row under a model: one number a choice, in the row's order."""

    nats: tuple[float, ...]  # -log P(choice | prompt)
    tokens: tuple[int, ...]
    characters: tuple[int, ...]  # of the choice alone, without what stands between
    bytes: tuple[int, ...]  # UTF-8, likewise
    prompt_tokens: int
    merged: bool = False  # a token stretched over the border between prompt and some choice

    def costs(self, by: str = "sum") -> list[float]:
        """The nats of each choice, divided as `by` says: the least is the likeliest."""
        if by not in BY:
            raise MashqError(f"choices: no by '{by}' ({', '.join(BY)}).{nearest(by, BY)}")
        return [n / (1 if by == "sum" else getattr(self, by)[place]) for place, n in enumerate(self.nats)]

    def pick(self, by: str = "sum") -> int:
        """The place of the likeliest choice; of tied ones the first."""
        costs = self.costs(by)
        return costs.index(min(costs))

    def tied(self, by: str = "sum") -> bool:
        """Whether another choice is as likely as the likeliest, within rounding."""
        best, second = sorted(self.costs(by))[:2]
        return second - best <= TIE * max(1.0, abs(best))


@dataclass(frozen=True)
class Accuracy:
    """The share of rows whose likeliest choice is right, and what it is to be read beside."""

    score: Score
    ties: int  # rows where another choice was as likely; the first of them counted
    chance: float  # the accuracy of guessing: the mean of right choices / choices
    merged: int  # rows where a token stretched over the border of prompt and choice


# --- rows ------------------------------------------------------------------------------------------------------------


def plain_text(messages: Sequence[Mapping[str, str]]) -> str:
    """A prompt without a frame: its contents in order, an empty line between them."""
    return "\n\n".join(message["content"] for message in messages)


def right_choices(row: Mapping[str, Any]) -> list[int]:
    """The places of the choices that a row's references name, spaces around them apart."""
    wanted = {text.strip() for text in row["references"] or [] if text is not None}
    return [
        place for place, choice in enumerate(row["choices"] or []) if choice is not None and choice.strip() in wanted
    ]


def why_not(row: Mapping[str, Any]) -> str | None:
    """The reason for which a row is no multiple choice, or None: `choices: 1 < 2`."""
    choices = row["choices"] or []
    if len(choices) < 2:
        return f"choices: {len(choices)} < 2"
    seen: set[str] = set()
    for place, choice in enumerate(choices):
        if choice is None or not choice.strip():
            return f"choices: number {place + 1} is empty"
        if choice.strip() in seen:
            return f"choices: «{choice.strip():.40}» stands twice"
        seen.add(choice.strip())
    if not right_choices(row):
        said = " ".join(str((row["references"] or ["none"])[0]).split())
        return f"choices: the reference «{said:.40}» is none of them"
    return None


def answers(
    student: Student,
    rows: pa.Table,
    settings: ChoiceSettings | None = None,
    *,
    system: str = "",
    ledger: Path | None = None,
) -> pa.Table:
    """Prompt rows with choices -> one reply row each, in row order; its last turn is the choice that the student picks.

    Rows dropped before are left out; one that is no multiple choice (`why_not`) or does not fit the model becomes a
    dropped row with the reason. `meta` holds what `accuracy` reads: nats, tokens, the places picked and right. The rows
    go into `mashq.evaluate` as those of `generate.replies` do; there `exact` of the reply is the accuracy.
    Raises MashqError for a row whose messages do not end with a user turn.
    """
    settings = settings or ChoiceSettings()
    rows = rows.filter(pc.is_null(rows.column("dropped")))
    listed = rows.select(["messages", "references", "choices"]).to_pylist()
    system = system or student.name
    found = weigh(student, rows, settings, ledger=ledger)
    messages, meta = [], []
    for row, one in zip(listed, found, strict=True):
        said = isinstance(one, Weighed)
        pick = one.pick(settings.by) if isinstance(one, Weighed) else 0
        reply = [{"role": "assistant", "content": row["choices"][pick]}] if said else []
        messages.append([*row["messages"], *reply])
        meta.append(json.dumps(_told(row, one, settings, student, system), ensure_ascii=False))
    return conform(
        {
            **{name: rows.column(name) for name in rows.column_names},
            "id": child_ids(rows.column("id"), step="choices", template=system),
            "parents": [[i] for i in rows.column("id").to_pylist()],
            "messages": messages,
            "meta": meta,
            "dropped": pa.array([one if isinstance(one, str) else None for one in found], pa.string()),
        }
    )


def _told(
    row: Mapping[str, Any], one: Weighed | str, settings: ChoiceSettings, student: Student, system: str
) -> dict[str, Any]:
    if isinstance(one, str):
        return {"system": system, "finish": "error"}
    asked = settings.told(student.frame.name)
    return {
        "system": system,
        "finish": "stop",
        "prompt_tokens": one.prompt_tokens,
        "choices": {
            "asked": asked,
            "by": settings.by,
            "right": right_choices(row),
            "picked": one.pick(settings.by),
            "nats": one.nats,
            "tokens": one.tokens,
            "merged": one.merged,
        },
    }


def metric(settings: ChoiceSettings, frame: str) -> Metric:
    """The accuracy as a metric of `mashq.evaluate`: rows that `answers` made, asked so; others have no value."""

    def per_item(replies: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        raise MashqError(f"{NAME}: its values are read from rows that choices.answers made, not from replies.")

    return Metric(NAME, per_item, _signature(settings.by, settings.told(frame)), True, "0 or 1", _hit)


def _hit(meta: Mapping[str, Any]) -> float:
    facts = meta.get("choices") or {}
    return float(facts["picked"] in facts["right"]) if "picked" in facts else math.nan


def _signature(by: str, *asked: str) -> str:
    return sign(NAME, f"by:{by}", *asked, "ties:first", BINARY)


def accuracy(
    replies: pa.Table, by: str = "sum", *, groups: Sequence[str | None] | None = None, seed: int = 0
) -> Accuracy:
    """The accuracy of the reply rows that `answers` made, with Wilson's interval, clustered where groups are given.

    `by` need not be that of the replies: all four are read off the same nats. Dropped rows are left out, and `groups`
    has one entry for each row of `replies`, dropped ones included. Of tied choices the first counts, as in
    lm-evaluation-harness. Raises MashqError for rows that `answers` did not make or that were asked in different ways,
    for an unknown `by`, and where no row is left (an empty set has no score).
    """
    if groups is not None and len(groups) != replies.num_rows:
        raise MashqError(expected_got("choices: groups", f"{replies.num_rows}, one per row", str(len(groups))))
    listed = replies.select(["choices", "meta", "dropped"]).to_pylist()
    kept = [place for place, row in enumerate(listed) if row["dropped"] is None]
    told = [_read(listed[place], place) for place in kept]
    asked = sorted({facts["asked"] for _, facts in told})
    if len(asked) > 1:
        raise MashqError(expected_got("choices: replies", "rows asked in one way", " and ".join(asked)))
    hits = [float(one.pick(by) in facts["right"]) for one, facts in told]
    signature = _signature(by, *asked)
    chosen = None if groups is None else [groups[place] for place in kept]
    score = mean_score(hits, name=NAME, signature=signature, groups=chosen, seed=seed)
    return Accuracy(
        score,
        ties=sum(one.tied(by) for one, _ in told),
        chance=sum(len(facts["right"]) / len(one.nats) for one, facts in told) / len(told),
        merged=sum(one.merged for one, _ in told),
    )


def _read(row: Mapping[str, Any], place: int) -> tuple[Weighed, Mapping[str, Any]]:
    facts = json.loads(row["meta"] or "{}").get("choices")
    if not isinstance(facts, dict) or len(facts.get("nats", ())) != len(row["choices"] or ()):
        do = "Make the replies with choices.answers."
        raise MashqError(expected_got(f"choices: row {place}", "the nats of every choice in `meta`", "none", do))
    return _of(row["choices"], facts["nats"], facts["tokens"], 0, facts["merged"]), facts


def _of(choices: Sequence[str], nats: Sequence[float], tokens: Sequence[int], prompt: int, merged: bool) -> Weighed:
    characters = tuple(len(choice) for choice in choices)
    sizes = tuple(len(choice.encode()) for choice in choices)
    return Weighed(tuple(nats), tuple(tokens), characters, sizes, prompt, merged)


# --- ids -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Asked:
    """One row as ids: what all its choices share, and what follows for each."""

    prompt: list[int]  # at least one id
    choices: list[list[int]]  # each at least one id
    merged: bool = False

    @property
    def longest(self) -> int:
        """Ids of the prompt with the longest choice."""
        return len(self.prompt) + max(map(len, self.choices))


def _in_frame(student: Student, rows: Sequence[Mapping[str, Any]], settings: ChoiceSettings) -> list[_Asked | str]:
    tokenizer, frame = student.tokenizer, student.frame
    ends = set(chat.stop_ids(tokenizer, frame))
    found: list[_Asked | str] = []
    for row in rows:
        whole = [[*row["messages"], {"role": "assistant", "content": choice}] for choice in row["choices"]]
        refused = next((why for turns in whole if (why := chat.why_not(turns, tokenizer, frame))), None)
        if refused:
            found.append(refused)
            continue
        prompt = chat.prompt_ids(row["messages"], tokenizer, frame)
        said = [
            _content(tokens, len(prompt), ends, settings.end) for tokens in chat.encode_many(whole, tokenizer, frame)
        ]
        empty = next((place for place, ids in enumerate(said) if not ids), None)
        found.append(_Asked(prompt, said) if empty is None else f"choices: number {empty + 1} has no token")
    return found


def _content(tokens: chat.Tokens, start: int, ends: set[int], end: bool) -> list[int]:
    """The ids of the reply; without `end` those before the token that ends it."""
    said = [i for i, meant in zip(tokens.ids[start:], tokens.supervised[start:], strict=True) if meant]
    return said[:-1] if not end and said and said[-1] in ends else said


def _as_text(student: Student, rows: Sequence[Mapping[str, Any]], settings: ChoiceSettings) -> list[_Asked | str]:
    parted = []
    for row in rows:
        text = plain_text(row["messages"])
        # Spaces at the end of a prompt go to the choices: tokenizers write them with the word that follows.
        prompt = text.rstrip()
        parted.append((prompt, [f"{text[len(prompt) :]}{settings.between}{choice}" for choice in row["choices"]]))
    texts = [piece for prompt, rest in parted for piece in (prompt, *(prompt + one for one in rest))]
    ids = iter(plain_ids(texts, student.tokenizer, settings.begin))
    return [_parted(next(ids), [next(ids) for _ in rest], student.tokenizer) for _, rest in parted]


def _parted(prompt: list[int], whole: list[list[int]], tokenizer: Any) -> _Asked | str:
    """Part whole texts where the prompt's ids end, or earlier where a text has not all of them."""
    border = min(_shared(prompt, ids) for ids in whole)
    merged = border < len(prompt)
    if border == 0:
        first = first_id(tokenizer)
        if first is None:
            return "prompt: empty, and the tokenizer has no token that begins a text"
        whole, border = [[first, *ids] for ids in whole], 1
    short = next((place for place, ids in enumerate(whole) if len(ids) <= border), None)
    if short is not None:
        return f"choices: number {short + 1} has no token"
    return _Asked(whole[0][:border], [ids[border:] for ids in whole], merged)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids two lists begin with alike."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def first_id(tokenizer: Any) -> int | None:
    """What a text without a beginning is read after: the beginning of text, else the end of one."""
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return None if first is None else int(first)


def plain_ids(texts: Sequence[str], tokenizer: Any, begin: str) -> list[list[int]]:
    """Plain texts -> ids; a special token that a text spells is that token, as every other tool reads it."""
    if not texts:
        return []
    made = tokenizer(list(texts), add_special_tokens=begin == "tokenizer", return_attention_mask=False)["input_ids"]
    ids = [list(map(int, one)) for one in made]
    end = None if tokenizer.eos_token_id is None else int(tokenizer.eos_token_id)
    if begin == "tokenizer" and ids and all(one and one[-1] == end for one in ids):
        raise MashqError(
            expected_got(
                "choices as plain text",
                "a tokenizer that does not end every text",
                "one that adds its end-of-text token",
                "Take begin=always or begin=never.",
            )
        )
    first = tokenizer.bos_token_id
    return [[int(first), *one] for one in ids] if begin == "always" and first is not None else ids


# --- nats ------------------------------------------------------------------------------------------------------------


def weigh(
    student: Student, rows: pa.Table, settings: ChoiceSettings | None = None, *, ledger: Path | None = None
) -> list[Weighed | str]:
    """How likely the student finds each choice of each row; for a row that cannot be asked the reason.

    Beside `ledger`, files named `<ledger>-choices-<model>.jsonl` remember what was computed. Nothing is cut: a row that
    with its longest choice is longer than the model's positions is a reason (lm-evaluation-harness cuts its prompt).
    Raises MashqError for a row whose messages do not end with a user turn.
    """
    settings = settings or ChoiceSettings()
    listed = rows.select(["messages", "references", "choices"]).to_pylist()
    for place, row in enumerate(listed):
        if not row["messages"] or row["messages"][-1]["role"] != "user":
            got = f"{row['messages']!s:.80}"
            raise MashqError(expected_got(f"choices: row {place}", "messages ending with a user turn", got))
    found: list[Weighed | str] = [why_not(row) or "" for row in listed]
    able = [place for place, why in enumerate(found) if not why]
    encode = _in_frame if settings.chat else _as_text
    asked = dict(zip(able, encode(student, [listed[place] for place in able], settings), strict=True))
    fit: dict[int, _Asked] = {}
    for place, one in asked.items():
        if isinstance(one, str):
            found[place] = one
        elif student.longest is not None and one.longest > student.longest:
            found[place] = f"long: {one.longest} tokens > {student.longest} of the model"
        else:
            fit[place] = one
    for place, nats in _all_nats(student, fit, ledger).items():
        if not all(map(math.isfinite, nats)):
            found[place] = "likelihood: not a finite number"
            continue
        sizes = [len(ids) for ids in fit[place].choices]
        found[place] = _of(listed[place]["choices"], nats, sizes, len(fit[place].prompt), fit[place].merged)
    return found


def _all_nats(student: Student, asked: Mapping[int, _Asked], ledger: Path | None) -> dict[int, list[float]]:
    """Place -> the nats of each choice. Batches are cut from all rows, known or not."""
    book = _Book(ledger, "choices", [student.identity])
    found: dict[int, list[float]] = {}
    for members in _row_batches(asked):
        units = [asked[place] for place in members]
        part = [ids for unit in units for ids in (unit.prompt, *unit.choices, [])]  # [] ends a row
        stored = book.get(part)
        if stored is None:
            stored = [{"nats": nats} for nats in _nats(student, units)]
            book.put(part, stored)
        found |= {place: list(one["nats"]) for place, one in zip(members, stored, strict=True)}
    return found


def _row_batches(asked: Mapping[int, _Asked]) -> Iterator[list[int]]:
    """Rows of like length together, the longest first, within ROWS_PER_BATCH choices and TOKENS_PER_BATCH ids."""
    batch: list[int] = []
    width = choices = 0
    for place in sorted(asked, key=lambda place: (-len(asked[place].prompt), -asked[place].longest, place)):
        one = asked[place]
        wider, more = max(width, one.longest), choices + len(one.choices)
        if batch and (more > ROWS_PER_BATCH or wider * more > TOKENS_PER_BATCH):
            yield batch
            batch, wider, more = [], one.longest, len(one.choices)
        batch.append(place)
        width, choices = wider, more
    if batch:
        yield batch


def _nats(student: Student, units: Sequence[_Asked]) -> list[list[float]]:
    """The nats of every choice of some rows: each prompt is read once, then the choices side by side after it."""
    import torch

    model = student.model
    pad = chat.pad_id(student.tokenizer, model.get_input_embeddings().weight.shape[0])
    if getattr(model, "_is_stateful", False):  # a recurrent model has no cache that rows of a batch could share
        return _whole_nats(model, units, pad)
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    device = next(model.parameters()).device
    ids, mask = _left_padded([unit.prompt for unit in units], pad, device)  # (rows, longest)
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    flat = [(row, choice) for row, unit in enumerate(units) for choice in unit.choices]
    with torch.inference_mode():
        last = _states(model, input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache)[:, -1]
        owners = torch.tensor([row for row, _ in flat], device=device)
        first = torch.tensor([choice[0] for _, choice in flat], device=device)
        sums = _losses(model, last, owners, first).double().tolist()
        long = [place for place, (_, choice) in enumerate(flat) if len(choice) > 1]
        if long:
            which = owners[torch.tensor(long, device=device)]
            rest = _rest_nats(model, [flat[place][1] for place in long], which, mask, cache, pad)
            for place, nats in zip(long, rest, strict=True):
                sums[place] += nats
    numbers = iter(sums)
    return [[next(numbers) for _ in unit.choices] for unit in units]


def _rest_nats(model: Any, choices: list[list[int]], owners: Any, mask: Any, cache: Any, pad: int) -> list[float]:
    """The nats of every choice's second and later ids, read after the cached prompts of their rows."""
    import torch

    cache.batch_select_indices(owners)
    given, wanted = targets.padded([ids[:-1] for ids in choices], [ids[1:] for ids in choices], pad)
    given, wanted = given.to(mask.device), wanted.to(mask.device)
    real = (wanted != targets.IGNORED).to(mask.dtype)
    before = mask[owners]
    places = before.sum(-1, keepdim=True) + torch.arange(given.shape[1], device=mask.device)
    both = torch.cat([before, real], dim=1)
    states = _states(model, input_ids=given, attention_mask=both, position_ids=places, past_key_values=cache)
    at = wanted != targets.IGNORED
    hidden = states[at]
    losses = _losses(model, hidden, torch.arange(len(hidden), device=mask.device), wanted[at]).double()
    return [float(piece.sum()) for piece in losses.split(at.sum(-1).tolist())]


def _left_padded(rows: Sequence[Sequence[int]], pad: int, device: Any) -> tuple[Any, Any]:
    """Ids and mask, both (rows, longest), padded on the left."""
    import torch

    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, longest - len(row) :] = torch.tensor(row, dtype=torch.long)
        mask[place, longest - len(row) :] = 1
    return ids.to(device), mask.to(device)


def _states(model: Any, **given: Any) -> Any:
    """Hidden states before the output layer, (rows, time, width); where that layer is not the last step, the logits."""
    plain = targets.plain_head(model)
    taken: list[Any] = []

    def take(module: Any, passed: tuple[Any, ...]) -> tuple[Any, ...]:
        taken.append(passed[0])
        return (passed[0][:, :0] if plain else passed[0], *passed[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(take)
    try:
        out = model(use_cache=True, **given)
    finally:
        hook.remove()
    return taken[0] if plain else out.logits


def _losses(model: Any, states: Any, rows: Any, wanted: Any) -> Any:
    """-log P of ids `wanted` (n,) after the states (or logits) in `rows` (n,) of `states`: (n,) fp32."""
    import torch

    head, plain = model.get_output_embeddings(), targets.plain_head(model)
    found = []
    for start in range(0, len(wanted), targets.CHUNK):
        several = slice(start, start + targets.CHUNK)
        used, back = rows[several].unique(return_inverse=True)
        part = states[used]
        logits = head(part.to(head.weight.dtype)) if plain else part
        logs = logits.float().log_softmax(-1)
        found.append(-logs[back, wanted[several]])
    return torch.cat(found)


def _whole_nats(model: Any, units: Sequence[_Asked], pad: int) -> list[list[float]]:
    """The same without a cache: every choice with its whole prompt."""
    whole = [unit.prompt + choice for unit in units for choice in unit.choices]
    labels = [[targets.IGNORED] * len(unit.prompt) + choice for unit in units for choice in unit.choices]
    numbers = iter(target_sums(model, whole, labels, pad))
    return [[next(numbers) for _ in unit.choices] for unit in units]


def target_sums(model: Any, ids: list[list[int]], labels: list[list[int]], pad: int) -> list[float]:
    """The summed nats of each row's labelled ids."""
    device = next(model.parameters()).device
    ids_t, labels_t = (table.to(device) for table in targets.padded(ids, labels, pad))
    with attention.in_blocks(model):
        nats = targets.target_nats(model, ids_t, labels_t).double()
    return [float(piece.sum()) for piece in nats.split([sum(i != targets.IGNORED for i in row) for row in labels])]
