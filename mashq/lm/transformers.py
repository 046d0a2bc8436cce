"""A model in this process through Transformers: batches by length, left padding, logits of the last position only.

A row's draws come from a generator of its own (prompt, seed, sample), so they do not depend on its neighbours. Greedy
replies do not either, up to rounding: matrix products of another shape may round otherwise, and in bfloat16 (8 bits of
mantissa) two nearly equal tokens can then change places; in float32 this is rare. So batches are cut from all requests
of a call, known or not: a run that was killed and taken up again says the same, bit for bit on one machine.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mashq.lm.engine import Ask, Done, Take
from mashq.lm.request import Decoding, Reply, Request, seed_of
from mashq.lm.weights import adapter_folder, fingerprint, load, weights
from mashq.rows import MashqError

__all__ = ["InProcess"]

PROMPT_TOKENS_AT_ONCE = 16_384  # rows x longest prompt in one batch: bounds the memory of reading prompts
NUCLEUS = 1024  # top_p is looked for among so many likeliest tokens before all are sorted


@dataclass
class _Row:
    """One reply in the making."""

    ask: Ask
    ids: list[int]
    new: list[int] = field(default_factory=list)
    generator: Any = None


class InProcess:
    """A causal model of Transformers. Weights are loaded with the first request that the ledger does not know.

    `threads` sets torch's threads for the whole process; `batch` is the most replies written at once.
    """

    def __init__(
        self,
        spec: str,
        *,
        adapter: str | Path | None = None,
        dtype: str = "bfloat16",
        remote_code: bool = False,
        batch: int = 32,
        threads: int | None = None,
    ):
        if batch < 1:
            raise MashqError(f"model '{spec}': batch is 1 or more, got {batch}.")
        self._load = functools.partial(load, spec, adapter, dtype, remote_code)
        self.spec, self.threads = spec, threads
        self.concurrency = batch
        self._loaded: tuple[Any, Any] | None = None
        self.identity = f"transformers:{fingerprint(weights(spec))}:{dtype}"
        if adapter is not None:
            self.identity += f":{fingerprint(adapter_folder(Path(adapter).expanduser()))}"

    @classmethod
    def of(cls, model: Any, tokenizer: Any, identity: str, *, batch: int = 32) -> InProcess:
        """A model that is loaded already; `identity` must name its weights."""
        self = cls.__new__(cls)
        self.spec, self.threads, self.concurrency, self.identity = identity, None, batch, f"transformers:{identity}"
        self._loaded = (model, tokenizer)
        return self

    def loaded(self) -> tuple[Any, Any]:
        """(model, tokenizer), loaded on the first call."""
        import torch

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def answer(self, take: Take, done: Done, *, concurrency: int) -> None:
        """The batches that `together` cut, one after another."""
        ask = take()
        while ask is not None:
            number, rows = ask.batch, []
            while ask is not None and ask.batch == number:
                row = self._row(ask)
                if isinstance(row, Reply):
                    done(ask, row)
                else:
                    rows.append(row)
                ask = take()
            if rows:
                self._write(rows, done)

    def together(self, requests: Sequence[Request], concurrency: int) -> list[list[int]]:
        """Requests of one decoding together, the longest prompts first: at most `concurrency` replies at once, and a
        bounded number of padded prompt tokens."""
        _, tokenizer = self.loaded()
        lengths = [max(1, len(self._ids(request, tokenizer))) for request in requests]
        by_decoding: dict[Decoding, list[int]] = {}
        for place, request in enumerate(requests):
            by_decoding.setdefault(request.decoding, []).append(place)
        batches = []
        for group in by_decoding.values():
            group.sort(key=lambda place: -lengths[place])
            while group:
                count = max(1, min(concurrency, PROMPT_TOKENS_AT_ONCE // lengths[group[0]]))
                batches.append(group[:count])
                group = group[count:]
        return batches

    def _row(self, ask: Ask) -> _Row | Reply:
        model, tokenizer = self.loaded()
        ids = self._ids(ask.request, tokenizer)
        room = getattr(model.config, "max_position_embeddings", None)
        if not ids:
            return Reply.failed("the prompt is empty, and this model has no token that begins a text.")
        if room is not None and len(ids) + ask.request.decoding.max_new_tokens > room:
            return Reply.failed(
                f"too long: prompt {len(ids)} + max_new_tokens {ask.request.decoding.max_new_tokens} "
                f"> {room} tokens of context. Shorten the prompt or lower max_new_tokens."
            )
        row = _Row(ask, ids)
        if not ask.request.decoding.greedy:
            import torch

            row.generator = torch.Generator().manual_seed(seed_of(ask.request))
        return row

    def _ids(self, request: Request, tokenizer: Any) -> list[int]:
        if request.prompt_ids is not None:
            return list(request.prompt_ids)
        if request.prompt is not None:
            return list(tokenizer(request.prompt).input_ids)
        if not tokenizer.chat_template:
            raise MashqError(
                f"model '{self.spec}' has no chat template: expected prompt or prompt_ids, got messages. "
                "Turn messages into ids with mashq.chat.prompt_ids."
            )
        turns = [{"role": role, "content": content} for role, content in request.messages]
        text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    def _write(self, rows: list[_Row], done: Done) -> None:
        """Write one batch to its end, reporting each row when it is finished."""
        model, tokenizer = self.loaded()
        started = time.monotonic()
        decoding = rows[0].ask.request.decoding
        ends = _end_ids(model, tokenizer) | set(decoding.stop_ids)
        for row, finish in _decode(model, tokenizer, rows, decoding, ends):
            text = tokenizer.decode(row.new[:-1] if row.new[-1] in ends else row.new, skip_special_tokens=True)
            reply = Reply(
                text=_cut(text, decoding.stop),
                finish="stop" if finish else "length",
                prompt_tokens=len(row.ids),
                new_tokens=len(row.new),
                seconds=time.monotonic() - started,
            )
            done(row.ask, reply)


def _end_ids(model: Any, tokenizer: Any) -> set[int]:
    """The tokens that end a reply by the model's own word."""
    stated = getattr(model.generation_config, "eos_token_id", None)
    ends = set(stated if isinstance(stated, (list, tuple)) else [stated])
    return {end for end in ends | {tokenizer.eos_token_id} if end is not None}


def _cut(text: str, stops: Sequence[str]) -> str:
    """The text before the first of the stop texts."""
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(found)] if found else text


def _decode(
    model: Any, tokenizer: Any, rows: list[_Row], decoding: Decoding, ends: set[int]
) -> Iterator[tuple[_Row, bool]]:
    """Write token by token; yield (row, whether it ended by itself) as rows finish, and go on with the others."""
    import torch
    from transformers import DynamicCache

    device = next(model.parameters()).device
    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    ids, mask = _left_padded(rows, device)  # (rows, longest)
    position = (mask.cumsum(-1) - 1).clamp(min=0)
    seen = (
        _seen(rows, model.config.get_text_config(decoder=True).vocab_size, device)
        if decoding.repetition_penalty != 1
        else None
    )
    tail = max((len(stop.encode()) for stop in decoding.stop), default=0) + 8
    with torch.inference_mode():
        while rows:
            out = model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=position,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            chosen = _choose(out.logits[:, -1], rows, decoding, seen)  # (rows,)
            keep = []
            for index, (row, token) in enumerate(zip(rows, chosen.tolist(), strict=True)):
                row.new.append(token)
                ended = token in ends or (decoding.stop != () and _stopped(tokenizer, row, decoding.stop, tail))
                if ended or len(row.new) == decoding.max_new_tokens:
                    yield row, ended
                else:
                    keep.append(index)
            if len(keep) < len(rows):
                rows = [rows[index] for index in keep]
                left = torch.tensor(keep, dtype=torch.long, device=device)
                chosen, mask, position = chosen[left], mask[left], position[left]
                seen = seen[left] if seen is not None else None
                if rows:
                    cache.batch_select_indices(left)
            ids = chosen[:, None]
            mask = torch.cat([mask, mask.new_ones((len(rows), 1))], dim=1)
            position = position[:, -1:] + 1


def _left_padded(rows: list[_Row], device: Any) -> tuple[Any, Any]:
    """Token ids and attention mask, both (rows, longest), padded on the left."""
    import torch

    longest = max(len(row.ids) for row in rows)
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, longest - len(row.ids) :] = torch.tensor(row.ids)
        mask[index, longest - len(row.ids) :] = 1
    return ids.to(device), mask.to(device)


def _seen(rows: list[_Row], vocabulary: int, device: Any) -> Any:
    """Which tokens stand in each prompt, (rows, vocabulary)."""
    import torch

    seen = torch.zeros((len(rows), vocabulary), dtype=torch.bool)
    for index, row in enumerate(rows):
        seen[index, torch.tensor(row.ids)] = True
    return seen.to(device)


def _stopped(tokenizer: Any, row: _Row, stops: Sequence[str], tail: int) -> bool:
    """Whether a stop text stands at the end of the reply; a token is at least a byte, so `tail` tokens hold it."""
    end = tokenizer.decode(row.new[-tail:], skip_special_tokens=True)
    return any(stop in end for stop in stops)


def _choose(logits: Any, rows: list[_Row], decoding: Decoding, seen: Any) -> Any:
    """The next token of each row, (rows,); marks it as seen."""
    import torch

    if seen is not None:
        penalty = decoding.repetition_penalty
        logits = torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)
    if decoding.greedy:
        chosen = logits.argmax(-1)
    else:
        picked = [
            _draw(line.float() / decoding.temperature, decoding, row.generator)
            for line, row in zip(logits, rows, strict=True)
        ]
        chosen = torch.tensor(picked, dtype=torch.long, device=logits.device)
    if seen is not None:
        seen[torch.arange(len(rows), device=seen.device), chosen] = True
    return chosen


def _draw(logits: Any, decoding: Decoding, generator: Any) -> int:
    """One token from one row of logits, (vocabulary,), within top_k and top_p."""
    import torch

    probabilities = logits.softmax(-1)
    if decoding.top_k == 0 and decoding.top_p == 1:
        order, kept = None, probabilities
    else:
        count = min(decoding.top_k or NUCLEUS, len(logits))
        kept, order = probabilities.topk(count)
        if decoding.top_k == 0 and float(kept.sum()) < decoding.top_p:
            kept, order = probabilities.sort(descending=True)
        # top_p is a share of what top_k left, the order in which Transformers applies them.
        shares = kept / kept.sum() if decoding.top_k else kept
        if decoding.top_p < 1:
            kept = kept[: int((shares.cumsum(-1) - shares < decoding.top_p).sum())]
    sums = kept.double().cumsum(-1)
    point = torch.rand((), generator=generator, dtype=torch.float64).item() * float(sums[-1])
    place = min(
        int(torch.searchsorted(sums, torch.tensor(point, dtype=torch.float64, device=sums.device), right=True)),
        len(kept) - 1,
    )
    return int(place if order is None else order[place])
