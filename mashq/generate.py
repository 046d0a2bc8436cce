"""Replies and likelihoods: a model x prompt rows -> reply rows.

A student (a Transformers model, with or without an adapter) is asked in its own chat frame, in batches, and also says how
likely it finds each row's reference: logits stand only at the reference's tokens. A model behind `mashq.lm` (a server, or
any other backend there) is asked through its one door, and its likelihoods are null.

Batches are cut from all rows, by length, before anything is asked, and a batch is asked whole or found whole in the
ledger: so a resumed run asks nothing twice and gives the replies of an unbroken one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mashq import attention, chat, targets
from mashq.rows import MashqError, child_ids, conform, expected_got

if TYPE_CHECKING:
    from mashq.lm import Decoding

__all__ = ["Answer", "Likelihood", "Student", "likelihood", "load_student", "replies"]

TOKENS_PER_BATCH = 16384  # prompt and reply tokens (or prompt and reference) held at a time
ROWS_PER_BATCH = 32  # rows side by side


@dataclass(frozen=True)
class Student:
    """A model ready to be asked. `identity` is a hash of its weights' files, adapter included, and frame."""

    name: str
    model: Any
    tokenizer: Any
    frame: chat.Frame
    identity: str

    @property
    def longest(self) -> int | None:
        """Positions the model was built for, or None where it does not say."""
        config = self.model.config
        return getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)


@dataclass(frozen=True)
class Answer:
    """One reply: text, why it ended (stop | length), tokens made (the one that ended it included), tokens of the prompt."""

    text: str
    finish: str
    new_tokens: int
    prompt_tokens: int


@dataclass(frozen=True)
class Likelihood:
    """-log P(reference and end of turn | prompt) in nats, its tokens (end of turn included), the reference's UTF-8 bytes."""

    nats: float
    tokens: int
    bytes: int


def load_student(
    spec: str, adapter: Path | None = None, *, name: str = "", frame: str = "", dtype: str = "bfloat16"
) -> Student:
    """Load a student: `spec` as in `mashq.lm`, `adapter` a PEFT folder or the folder `train` left.

    A full model that `train` left is its folder, as `spec`. The frame is the one of the training, unless named.
    """
    from mashq.lm.weights import fingerprint, load, weights

    trained = Path(adapter) if adapter is not None else Path(spec)
    if (trained / "card.json").exists():
        frame = frame or str(json.loads((trained / "card.json").read_text(encoding="utf-8"))["frame"])
    if adapter is not None and (adapter / "adapter").is_dir():
        adapter = adapter / "adapter"
    model, tokenizer = load(spec, adapter, dtype)
    # PEFT reads adapters as fp32; beside a bf16 model that makes each reply four times slower and no better.
    model = model.to(model.get_output_embeddings().weight.dtype)
    chosen = chat.frame_for(tokenizer, frame)
    parts = [dtype, chosen.name, fingerprint(weights(spec)), "" if adapter is None else fingerprint(adapter)]
    return Student(
        name or spec, model, tokenizer, chosen, hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
    )


# --- reply rows ------------------------------------------------------------------------------------------------------


def replies(
    model: Student | Any,
    rows: pa.Table,
    decoding: Decoding,
    *,
    system: str = "",
    ledger: Path | None = None,
    with_likelihood: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> pa.Table:
    """Prompt rows -> one reply row each, in row order; rows dropped before are left out.

    `model`: a Student, or a model opened by `mashq.lm`. `system` names the system in the reply rows (default: the
    student's name). `ledger`: a folder that remembers what was asked. `progress` gets (done, of) in rows.
    A prompt that with its reply would not fit the model's positions gives a dropped row, not a cut prompt.
    """
    rows = rows.filter(pa.compute.is_null(rows.column("dropped")))
    listed = rows.select(["messages", "references"]).to_pylist()
    for place, row in enumerate(listed):
        if not row["messages"] or row["messages"][-1]["role"] != "user":
            raise MashqError(
                expected_got(f"generate: row {place}", "messages ending with a user turn", str(row["messages"])[:80])
            )
    if isinstance(model, Student):
        system = system or model.name
        answers = _ask_student(model, [r["messages"] for r in listed], decoding, ledger, progress)
        sure = likelihood(model, rows, ledger=ledger, progress=progress) if with_likelihood else [None] * len(listed)
    else:
        system = system or str(getattr(model, "name", "model"))
        answers = _ask_door(model, [r["messages"] for r in listed], decoding, ledger)
        sure = [None] * len(listed)
    return _reply_rows(rows, listed, answers, sure, system)


def _reply_rows(
    rows: pa.Table,
    listed: Sequence[Mapping[str, Any]],
    answers: Sequence[Answer | str],
    sure: Sequence[Likelihood | None],
    system: str,
) -> pa.Table:
    meta, messages, dropped = [], [], []
    for row, answer, known in zip(listed, answers, sure, strict=True):
        lost = isinstance(answer, str)
        text = "" if isinstance(answer, str) else answer.text
        messages.append(row["messages"] if lost else [*row["messages"], {"role": "assistant", "content": text}])
        dropped.append(answer if isinstance(answer, str) else None)
        told: dict[str, Any] = {"system": system}
        if isinstance(answer, Answer):
            told |= {"finish": answer.finish, "new_tokens": answer.new_tokens, "prompt_tokens": answer.prompt_tokens}
        told |= {"nats": None, "target_tokens": None, "target_bytes": None}
        if known is not None:
            told |= {"nats": known.nats, "target_tokens": known.tokens, "target_bytes": known.bytes}
        meta.append(json.dumps(told, ensure_ascii=False))
    columns = {name: rows.column(name) for name in rows.column_names}
    return conform(
        {
            **columns,
            "id": child_ids(rows.column("id"), step="generate", template=system),
            "parents": [[i] for i in rows.column("id").to_pylist()],
            "messages": messages,
            "meta": meta,
            "dropped": pa.array(dropped, pa.string()),
        }
    )


# --- a student -------------------------------------------------------------------------------------------------------


def _ask_student(
    student: Student,
    prompts: Sequence[Sequence[Mapping[str, str]]],
    decoding: Decoding,
    ledger: Path | None,
    progress: Callable[[int, int], None] | None,
) -> list[Answer | str]:
    ids = [chat.prompt_ids(messages, student.tokenizer, student.frame) for messages in prompts]
    room = None if student.longest is None else student.longest - decoding.max_new_tokens
    found: list[Answer | str] = [""] * len(ids)
    fit = []
    for place, prompt in enumerate(ids):
        if room is not None and len(prompt) > room:
            found[place] = f"long: {len(prompt)} tokens > {room}"
        else:
            fit.append(place)
    book = _Book(ledger, "replies", [student.identity, _plain(decoding)])
    done = len(ids) - len(fit)
    for members in _batches({p: len(ids[p]) + decoding.max_new_tokens for p in fit}, ROWS_PER_BATCH):
        part = [ids[p] for p in members]
        stored = book.get(part)
        if stored is None:
            stored = [vars(a) for a in _generate(student, part, decoding, seed=book.seed(part))]
            book.put(part, stored)
        for place, answer in zip(members, stored, strict=True):
            found[place] = Answer(**answer)
        done += len(members)
        if progress is not None:
            progress(done, len(ids))
    return found


def _generate(student: Student, prompts: Sequence[list[int]], decoding: Decoding, seed: int) -> list[Answer]:
    """Reply to prompts of token ids side by side, padded on the left."""
    import torch
    from transformers import GenerationConfig

    tokenizer, model = student.tokenizer, student.model
    ends = chat.stop_ids(tokenizer, student.frame)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ends[0]
    longest = max(map(len, prompts))
    device = next(model.parameters()).device
    ids = torch.tensor([[pad] * (longest - len(p)) + p for p in prompts], device=device)
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=device)
    config = GenerationConfig(
        max_new_tokens=decoding.max_new_tokens,
        eos_token_id=ends,
        pad_token_id=pad,
        use_cache=True,
        **_sampling(decoding),
    )
    # A frozen head given a slice of a longer tensor makes PyTorch copy the head once a row (16 x 335 MB, 40 s a batch).
    whole = model.get_output_embeddings().register_forward_pre_hook(lambda head, given: (given[0].contiguous(),))
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.no_grad():
            torch.manual_seed(seed)
            made = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
    finally:
        whole.remove()
    answers = []
    for prompt, row in zip(prompts, made[:, longest:].tolist(), strict=True):
        stop = next((i for i, token in enumerate(row) if token in ends), None)
        said = row if stop is None else row[: stop + 1]
        text = chat.text_of(said, tokenizer, student.frame)
        answers.append(Answer(text, "length" if stop is None else "stop", len(said), len(prompt)))
    return answers


def _sampling(decoding: Decoding) -> dict[str, Any]:
    told = _plain(decoding)
    wanted: dict[str, Any] = {"do_sample": False}
    if told["temperature"] > 0:
        wanted = {"do_sample": True, "temperature": told["temperature"], "top_k": 0}
        wanted |= {name: told[name] for name in ("top_p", "top_k") if told.get(name) is not None}
    if told.get("repetition_penalty"):
        wanted["repetition_penalty"] = told["repetition_penalty"]
    return wanted


def _plain(decoding: Decoding) -> dict[str, Any]:
    import dataclasses

    return dataclasses.asdict(decoding)


# --- likelihood ------------------------------------------------------------------------------------------------------


def likelihood(
    student: Student,
    rows: pa.Table,
    *,
    ledger: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Likelihood | None]:
    """How likely the student finds each row's first reference after its prompt; None where there is none or no room.

    Sums over the reference's tokens and the end of turn; the prompt is not counted.
    """
    import torch

    listed = rows.select(["messages", "references"]).to_pylist()
    known = [place for place, row in enumerate(listed) if row["references"] and row["references"][0] is not None]
    whole = [
        [*listed[place]["messages"], {"role": "assistant", "content": listed[place]["references"][0]}]
        for place in known
    ]
    encoded = dict(zip(known, chat.encode_many(whole, student.tokenizer, student.frame), strict=True))
    found: list[Likelihood | None] = [None] * len(listed)
    fit = {p: len(t) for p, t in encoded.items() if student.longest is None or len(t) <= student.longest}
    book = _Book(ledger, "likelihood", [student.identity])
    device = next(student.model.parameters()).device
    pad = student.tokenizer.pad_token_id or 0
    done = len(listed) - len(fit)
    for members in _batches(fit, ROWS_PER_BATCH):
        part = [encoded[p].ids for p in members]
        stored = book.get(part)
        if stored is None:
            labels = [_last_turn(encoded[p]) for p in members]
            longest = max(map(len, part))
            ids_t = torch.tensor([i + [pad] * (longest - len(i)) for i in part], device=device)
            labels_t = torch.tensor([i + [targets.IGNORED] * (longest - len(i)) for i in labels], device=device)
            with attention.in_blocks(student.model):
                nats = targets.target_nats(student.model, ids_t, labels_t).double()
            counts = [sum(i != targets.IGNORED for i in row) for row in labels]
            sums = [float(piece.sum()) for piece in nats.split(counts)]
            stored = [{"nats": n, "tokens": c} for n, c in zip(sums, counts, strict=True)]
            book.put(part, stored)
        for place, value in zip(members, stored, strict=True):
            found[place] = Likelihood(value["nats"], value["tokens"], len(listed[place]["references"][0].encode()))
        done += len(members)
        if progress is not None:
            progress(done, len(listed))
    return found


def _last_turn(tokens: chat.Tokens) -> list[int]:
    start = len(tokens.ids)
    while start > 0 and tokens.supervised[start - 1]:
        start -= 1
    # A template may put unsupervised ids after the end of turn: skip them first.
    if start == len(tokens.ids):
        end = max(i for i, said in enumerate(tokens.supervised) if said) + 1
        start = end
        while tokens.supervised[start - 1]:
            start -= 1
    return [
        i if s and p >= start else targets.IGNORED
        for p, (i, s) in enumerate(zip(tokens.ids, tokens.supervised, strict=True))
    ]


# --- batches and the ledger ------------------------------------------------------------------------------------------


def _batches(lengths: Mapping[int, int], rows: int) -> Iterator[list[int]]:
    """Places of rows -> batches of like length, longest first, within `rows` and TOKENS_PER_BATCH padded tokens."""
    order = sorted(lengths, key=lambda place: (-lengths[place], place))
    while order:
        size = max(1, min(rows, TOKENS_PER_BATCH // max(1, lengths[order[0]])))
        yield order[:size]
        order = order[size:]


class _Book:
    """What a student was asked and said, a line a batch: a line that a crash cut is as if never written."""

    def __init__(self, folder: Path | None, kind: str, context: Sequence[Any]):
        self._context = [kind, *context]
        self._known: dict[str, list[dict[str, Any]]] = {}
        self._path = None if folder is None else folder / f"{kind}-{self._key([])}.jsonl"
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

    def seed(self, part: Sequence[Sequence[int]]) -> int:
        """A seed for this batch alone: sampling does not depend on what was asked before."""
        return int(self._key(part)[:8], 16)

    def get(self, part: Sequence[Sequence[int]]) -> list[dict[str, Any]] | None:
        return self._known.get(self._key(part))

    def put(self, part: Sequence[Sequence[int]], values: list[dict[str, Any]]) -> None:
        if self._path is None:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps({"key": self._key(part), "values": values}, ensure_ascii=False))


# --- any other model -------------------------------------------------------------------------------------------------


def _ask_door(
    model: Any, prompts: Sequence[Sequence[Mapping[str, str]]], decoding: Decoding, ledger: Path | None
) -> list[Answer | str]:
    from mashq import lm

    requests = [lm.Request(messages=list(messages), decoding=decoding) for messages in prompts]
    return [
        Answer(reply.text, reply.finish, reply.new_tokens, reply.prompt_tokens)
        for reply in lm.generate(model, requests, ledger=ledger)
    ]
