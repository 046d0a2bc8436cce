"""Causal attention in blocks of queries, for training and likelihoods on CPU.

PyTorch's own kernel on CPU takes 222 ms forward and back for 4 rows of 580 tokens in one layer of Gemma 3 270M (4 heads
of 256, bf16, one thread), and computes the whole square wherever a sliding window is set. Blocks of 128 queries against
the keys they can see take 95 ms (580 and 209 ms at 1,000 tokens); outputs equal PyTorch's within 1e-6 in fp32.

Only for rows padded on the right, or packed one after another with positions from 0 in each, and read whole: no cache,
no mask but causal and sliding window.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["FAMILIES", "blocks", "in_blocks"]

NAME = "mashq_blocks"
QUERIES = 128
# Families whose attention is causal, with at most a sliding window that is handed to the attention function.
FAMILIES = frozenset({"gemma3_text", "llama", "mistral", "qwen2", "qwen3"})


@contextlib.contextmanager
def in_blocks(model: Any) -> Iterator[bool]:
    """Within, the model attends in blocks where that is known to be right (FAMILIES, on CPU); -> whether it does."""
    config = model.config
    before = config._attn_implementation
    able = (
        config.model_type in FAMILIES
        and before in ("sdpa", NAME)
        and not getattr(config, "attention_dropout", 0)
        and not getattr(config, "attn_logit_softcapping", None)
        and not getattr(config, "use_bidirectional_attention", None)
        and next(model.parameters()).device.type == "cpu"
    )
    if not able:
        yield False
        return
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attend)
    config._attn_implementation = NAME
    try:
        yield True
    finally:
        config._attn_implementation = before


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """What Transformers calls: (rows, heads, positions, width) -> (rows, positions, heads, width)."""
    import torch

    if attention_mask is not None or query.shape[2] != key.shape[2]:
        raise ValueError("attention in blocks is for whole rows, padded on the right, without a mask or a cache")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    made = [
        blocks(*(part[:, :, rows] for part in (query, key, value)), scale=scale, window=sliding_window)
        for rows in _rows(kwargs.get("position_ids"), query)
    ]
    return (made[0] if len(made) == 1 else torch.cat(made, 2)).transpose(1, 2), None


def _rows(position_ids: torch.Tensor | None, query: torch.Tensor) -> list[slice]:
    """Where each row stands whose positions begin at 0; one for all where nothing is packed."""
    if position_ids is None or len(query) > 1:
        return [slice(None)]
    starts = (position_ids[0] == 0).nonzero().flatten().tolist()
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], query.shape[2]], strict=True)]


def blocks(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scale: float, window: int | None
) -> torch.Tensor:
    """Causal attention: (rows, heads, positions, width) queries, key and value with as many heads or a divisor of it.

    `window`: a position sees itself and the window - 1 before it; None = all before it. Softmax in fp32.
    """
    import torch

    rows, heads, length, width = query.shape
    shared = heads // key.shape[1]  # query heads that share a key head
    query = (query * scale).reshape(-1, shared, length, width)
    key, value = key.reshape(-1, length, width), value.reshape(-1, length, width)
    made = []
    for start in range(0, length, QUERIES):
        end = min(length, start + QUERIES)
        first = 0 if window is None else max(0, start - window + 1)
        some = query[:, :, start:end].reshape(-1, shared * (end - start), width)
        scores = torch.bmm(some, key[:, first:end].transpose(1, 2)).view(-1, shared, end - start, end - first)
        here = torch.arange(start, end, device=query.device)[:, None]
        there = torch.arange(first, end, device=query.device)[None]
        unseen = there > here if window is None else (there > here) | (there <= here - window)
        weights = torch.softmax(scores.float().masked_fill(unseen, float("-inf")), -1).to(value.dtype)
        seen = torch.bmm(weights.view(-1, shared * (end - start), end - first), value[:, first:end])
        made.append(seen.view(-1, shared, end - start, width))
    return torch.cat(made, 2).view(rows, heads, length, width)
