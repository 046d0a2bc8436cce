"""Replies and likelihoods: a model x prompt rows -> reply rows.

A student (a Transformers model, with or without an adapter) is asked in its own chat frame and also says how likely it
finds each row's reference; logits stand only at the reference's tokens. Any other model that `mashq.lm` opens (behind
an address, llama.cpp, `echo`, a script) is sent the messages themselves, and its likelihoods are null: none of these
doors gives the log-probability of a text that it did not write.

All asking goes through `mashq.lm` and its ledger. Likelihoods have a book beside it, a line a batch: batches are cut
from all rows before anything is computed, and one is computed whole or found whole, so a resumed run gives the numbers
of an unbroken one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from mashq import attention, chat, targets
from mashq.rows import MashqError, child_ids, conform, expected_got

if TYPE_CHECKING:
    from mashq.lm import Budget, Decoding, Model, Reply, Request

__all__ = [
    "Likelihood",
    "Student",
    "answers_by_frequency",
    "asked_of",
    "likelihood",
    "load_student",
    "most_frequent",
    "opened",
    "replies",
]

TOKENS_PER_BATCH = 16_384  # padded tokens of one batch of likelihoods: 32 rows of 500
ROWS_PER_BATCH = 32  # rows side by side


@dataclass(frozen=True)
class Student:
    """A model in this process, ready to be asked in its frame. `identity` names weights, adapter, dtype and frame."""

    name: str
    model: Any
    tokenizer: Any
    frame: chat.Frame
    identity: str

    @property
    def longest(self) -> int | None:
        """Positions the model was built for, or None where it does not say."""
        longest = getattr(self.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
        return None if longest is None else int(longest)


@dataclass(frozen=True)
class Likelihood:
    """-log P(reference and end of turn | prompt) in nats; tokens count the end of turn, UTF-8 bytes do not."""

    nats: float
    tokens: int
    bytes: int


def load_student(
    spec: str,
    adapter: Path | None = None,
    *,
    name: str = "",
    frame: str = "",
    dtype: str = "bfloat16",
    remote_code: bool = False,
) -> Student:
    """Load a student: `spec` as in `mashq.lm`, `adapter` a PEFT folder or the folder `train` left.

    A full model that `train` left is its folder, as `spec`. The frame is the one of the training, unless named.
    `remote_code` runs the Python that the model's folder brings (`mashq.lm.load`).
    """
    from mashq.lm.weights import fingerprint, load, weights

    trained = Path(spec) if adapter is None else adapter
    if (trained / "card.json").exists():
        frame = frame or str(json.loads((trained / "card.json").read_text(encoding="utf-8"))["frame"])
    if adapter is not None and (adapter / "adapter").is_dir():
        adapter = adapter / "adapter"
    model, tokenizer = load(spec, adapter, dtype, remote_code)
    head = model.get_output_embeddings()
    # PEFT reads adapters as fp32; beside a bf16 model that makes each reply four times slower and no better.
    model = model.to(head.weight.dtype)
    # A frozen head given a slice of a longer tensor makes PyTorch copy the head once a row (32 x 335 MB, 40 s a batch).
    head.register_forward_pre_hook(lambda module, given: (given[0].contiguous(), *given[1:]))
    chosen = chat.frame_for(tokenizer, frame)
    parts = [dtype, chosen.name, fingerprint(weights(spec)), "" if adapter is None else fingerprint(adapter)]
    identity = hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
    return Student(name or spec, model, tokenizer, chosen, identity)


def opened(
    spec: str, adapter: Path | None = None, *, frame: str = "", dtype: str = "bfloat16", remote_code: bool = False
) -> Student | Model:
    """Who is asked: a model with a door of its own (`lm.at_hand.has_door`) as it is, any other loaded as a student.

    Raises MashqError for a door together with an adapter, which only a student in this process takes.
    """
    from mashq.lm import open_model, public_name
    from mashq.lm.at_hand import has_door

    if not has_door(spec):
        return load_student(spec, adapter, frame=frame, dtype=dtype, remote_code=remote_code)
    if adapter is not None:
        do = "Name the folder, embedded or hub name of its weights."
        raise MashqError(expected_got(f"model '{public_name(spec)}'", "weights for an adapter", "none here", do))
    return open_model(spec)


# --- reply rows ------------------------------------------------------------------------------------------------------


def replies(
    model: Student | Model,
    rows: pa.Table,
    decoding: Decoding,
    *,
    system: str = "",
    ledger: Path | None = None,
    budget: Budget | None = None,
    with_likelihood: bool = True,
    progress: bool = False,
) -> pa.Table:
    """Prompt rows -> one reply row each, in row order; rows dropped before are left out.

    `model`: a Student, or a model opened by `mashq.lm`. `system` names it in the reply rows (default: the student's
    name, else the model's identity). `ledger`: the file that remembers what was asked. A request that fails, a prompt
    that with its reply would not fit the model and one that spells a plain marker of the frame (`chat.why_not`) among
    them, gives a dropped row with the reason, not a cut prompt.
    Raises MashqError for a row whose messages do not end with a user turn.
    """
    from mashq import lm

    rows = rows.filter(pc.is_null(rows.column("dropped")))
    listed = rows.select(["messages", "references"]).to_pylist()
    for place, row in enumerate(listed):
        if not row["messages"] or row["messages"][-1]["role"] != "user":
            got = f"{row['messages']!s:.80}"
            raise MashqError(expected_got(f"generate: row {place}", "messages ending with a user turn", got))
    prompts = [row["messages"] for row in listed]
    sure: Sequence[Likelihood | None] = [None] * len(listed)
    if isinstance(model, Student):
        system = system or model.name
        refused = [chat.why_not(turns, model.tokenizer, model.frame) for turns in prompts]
        fit = [turns for turns, why in zip(prompts, refused, strict=True) if why is None]
        asked, door = _student_requests(model, fit, decoding)
        if with_likelihood:
            sure = likelihood(model, rows, ledger=ledger)
    else:
        system, door, refused = system or model.identity, model, [None] * len(prompts)
        asked = [lm.Request(messages=lm.as_messages(turns), decoding=decoding) for turns in prompts]
    given = iter(lm.generate(door, asked, ledger=ledger, budget=budget, progress=progress))
    said = [next(given) if why is None else lm.Reply.failed(why) for why in refused]
    if isinstance(model, Student):
        said = [_bare(reply, model) for reply in said]
    return _reply_rows(rows, prompts, said, sure, system)


def asked_of(model: Student | Model, rows: pa.Table, decoding: Decoding) -> list[tuple[str, Request]]:
    """What `replies` asks a model that is sent the messages, with the model's identity; nothing of a Student."""
    from mashq import lm

    if isinstance(model, Student):
        return []
    listed = rows.filter(pc.is_null(rows.column("dropped"))).column("messages").to_pylist()
    return [(model.identity, lm.Request(messages=lm.as_messages(turns), decoding=decoding)) for turns in listed]


def _bare(reply: Reply, student: Student) -> Reply:
    """A reply without the space that the frame or the tokenizer puts before every content."""
    return dataclasses.replace(reply, text=chat.without_lead(reply.text, student.tokenizer, student.frame))


def answers_by_frequency(learnt: Iterable[pa.Table]) -> dict[tuple[str, str], str]:
    """("template" or "task", its name) -> the most frequent answer of its training rows; of equal ones the first."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for table in learnt:
        for row in table.select(["template", "task", "references"]).to_pylist():
            for key in ("template", "task"):
                counts[key, row[key] or ""].update((row["references"] or [])[:1])
    return {key: min(counted, key=lambda text: (-counted[text], text)) for key, counted in counts.items() if counted}


def most_frequent(rows: pa.Table, answers: Mapping[tuple[str, str], str], *, system: str) -> pa.Table:
    """Prompt rows -> the answer of `answers_by_frequency` for their template, as replies.

    It is what can be had without looking at the prompt: a tuned student that does no better has learnt how often each
    answer comes. For a template that was not learnt it is that of its task, for a task that was not learnt empty.
    """
    from mashq.lm import Reply

    rows = rows.filter(pc.is_null(rows.column("dropped")))
    listed = rows.select(["template", "task", "messages"]).to_pylist()
    of_task = [answers.get(("task", row["task"] or ""), "") for row in listed]
    texts = [answers.get(("template", row["template"] or ""), of_task[i]) for i, row in enumerate(listed)]
    said = [Reply(text=text, finish="stop") for text in texts]
    return _reply_rows(rows, [row["messages"] for row in listed], said, [None] * len(said), system)


def _student_requests(
    student: Student, prompts: Sequence[Sequence[Mapping[str, str]]], decoding: Decoding
) -> tuple[list[Any], Any]:
    """Prompts in the student's frame, ended by its end of turn, and the door to its model."""
    from mashq import lm
    from mashq.lm.transformers import InProcess

    ends = (*decoding.stop_ids, *chat.stop_ids(student.tokenizer, student.frame))
    ending = dataclasses.replace(decoding, stop_ids=ends)
    ids = [chat.prompt_ids(messages, student.tokenizer, student.frame) for messages in prompts]
    requests = [lm.Request(prompt_ids=tuple(prompt), decoding=ending) for prompt in ids]
    return requests, InProcess.of(student.model, student.tokenizer, student.identity, batch=ROWS_PER_BATCH)


def _reply_rows(
    rows: pa.Table,
    prompts: Sequence[Sequence[Mapping[str, str]]],
    said: Sequence[Reply],
    sure: Sequence[Likelihood | None],
    system: str,
) -> pa.Table:
    meta, messages = [], []
    for turns, reply, known in zip(prompts, said, sure, strict=True):
        lost = reply.finish == "error"
        messages.append(list(turns) if lost else [*turns, {"role": "assistant", "content": reply.text}])
        told: dict[str, Any] = {"system": system, "finish": reply.finish}
        told |= {"new_tokens": reply.new_tokens, "prompt_tokens": reply.prompt_tokens}
        told |= {"nats": known and known.nats, "target_tokens": known and known.tokens}
        meta.append(json.dumps({**told, "target_bytes": known and known.bytes}, ensure_ascii=False))
    return conform(
        {
            **{name: rows.column(name) for name in rows.column_names},
            "id": child_ids(rows.column("id"), step="generate", template=system),
            "parents": [[i] for i in rows.column("id").to_pylist()],
            "messages": messages,
            "meta": meta,
            "dropped": pa.array([f"reply: {r.error}" if r.finish == "error" else None for r in said], pa.string()),
        }
    )


# --- likelihood ------------------------------------------------------------------------------------------------------


def likelihood(
    student: Student,
    rows: pa.Table,
    *,
    ledger: Path | None = None,
) -> list[Likelihood | None]:
    """How likely the student finds each row's first reference after its prompt; None where there is none or no room,
    and where a content spells a marker of the frame.

    Sums over the reference's tokens and the end of turn; the prompt is not counted. Beside `ledger`, files named
    `<ledger>-likelihood-<model>.jsonl` remember what was computed.
    """
    listed = rows.select(["messages", "references"]).to_pylist()
    known = [place for place, row in enumerate(listed) if row["references"] and row["references"][0] is not None]
    whole = [
        [*listed[place]["messages"], {"role": "assistant", "content": listed[place]["references"][0]}]
        for place in known
    ]
    able = [chat.why_not(turns, student.tokenizer, student.frame) is None for turns in whole]
    known = [place for place, fits in zip(known, able, strict=True) if fits]
    whole = [turns for turns, fits in zip(whole, able, strict=True) if fits]
    encoded = dict(zip(known, chat.encode_many(whole, student.tokenizer, student.frame), strict=True))
    found: list[Likelihood | None] = [None] * len(listed)
    fit = {p: len(t) for p, t in encoded.items() if student.longest is None or len(t) <= student.longest}
    book = _Book(ledger, "likelihood", [student.identity])
    device = next(student.model.parameters()).device
    pad = chat.pad_id(student.tokenizer, student.model.get_input_embeddings().weight.shape[0])
    for members in _batches(fit, ROWS_PER_BATCH):
        part = [encoded[p].ids for p in members]
        stored = book.get(part)
        if stored is None:
            labels = [targets.labels_of(chat.last_turn(encoded[p])) for p in members]
            ids_t, labels_t = (table.to(device) for table in targets.padded(part, labels, pad))
            with attention.in_blocks(student.model):
                nats = targets.target_nats(student.model, ids_t, labels_t).double()
            counts = [sum(i != targets.IGNORED for i in row) for row in labels]
            sums = [float(piece.sum()) for piece in nats.split(counts)]
            stored = [{"nats": n, "tokens": c} for n, c in zip(sums, counts, strict=True)]
            book.put(part, stored)
        for place, value in zip(members, stored, strict=True):
            found[place] = Likelihood(value["nats"], value["tokens"], len(listed[place]["references"][0].encode()))
    return found


# --- batches and the ledger ------------------------------------------------------------------------------------------


def _batches(lengths: Mapping[int, int], rows: int) -> Iterator[list[int]]:
    """Places of rows -> batches of like length, longest first, within `rows` and TOKENS_PER_BATCH padded tokens."""
    order = sorted(lengths, key=lambda place: (-lengths[place], place))
    while order:
        size = max(1, min(rows, TOKENS_PER_BATCH // max(1, lengths[order[0]])))
        yield order[:size]
        order = order[size:]


class _Book:
    """What was computed before, a line a batch: a line that a crash cut is as if never written."""

    def __init__(self, ledger: Path | None, kind: str, context: Sequence[Any]):
        self._context = [kind, *context]
        self._known: dict[str, list[dict[str, Any]]] = {}
        self._path = None if ledger is None else ledger.with_name(f"{ledger.name}-{kind}-{self._key([])}.jsonl")
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                if not line:
                    continue
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError:
                    continue  # cut off by a crash: it is asked again
                self._known[entry["key"]] = entry["values"]

    def _key(self, part: Sequence[Sequence[int]]) -> str:
        text = json.dumps([self._context, part], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()

    def get(self, part: Sequence[Sequence[int]]) -> list[dict[str, Any]] | None:
        return self._known.get(self._key(part))

    def put(self, part: Sequence[Sequence[int]], values: list[dict[str, Any]]) -> None:
        if self._path is None:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps({"key": self._key(part), "values": values}, ensure_ascii=False))
