"""Logits only where a target stands: losses and likelihoods without the rest of the vocabulary's work.

With 262,144 words in the vocabulary the output layer costs more than the whole of Gemma 3 270M below it, and padding
and prompts pay it for nothing. So the model runs with its head idle, the hidden states at the targets are gathered, and
the head is applied to those, 128 at a time. Works for any causal model of Transformers: the hidden states are taken at
the door of its output layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mashq.chat import Tokens
from mashq.rows import MashqError

if TYPE_CHECKING:
    import torch

__all__ = ["IGNORED", "labels_of", "padded", "plain_head", "target_loss", "target_nats"]

IGNORED = -100  # the label of a position that is no target (PyTorch's own default)
CHUNK = 128  # targets a time: 128 x 262,144 logits in bf16 are 67 MB
# On CPU in bf16 the head's gradient leaves out words no target of the chunk gives this probability. Measured on Arabic
# stories: the gradient differs from fp32's by 0.65 % with and without the cut, at a third of the time.
# After Wijmans et al. 2025 (arXiv 2411.09009), section 4.3, where the limit is 2**-12.
LEAST_PROBABILITY = 1e-5


def labels_of(tokens: Tokens) -> list[int]:
    """The id where it is supervised, else `IGNORED`."""
    return [i if said else IGNORED for i, said in zip(tokens.ids, tokens.supervised, strict=True)]


def padded(
    ids: Sequence[Sequence[int]], labels: Sequence[Sequence[int]], pad: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and labels as two tables (rows, longest), padded on the right; padding is no target."""
    import torch

    longest = max(map(len, ids))
    first = torch.full((len(ids), longest), pad, dtype=torch.long)
    second = torch.full((len(ids), longest), IGNORED, dtype=torch.long)
    for place, (row, wanted) in enumerate(zip(ids, labels, strict=True)):
        first[place, : len(row)] = torch.tensor(row, dtype=torch.long)
        second[place, : len(row)] = torch.tensor(wanted, dtype=torch.long)
    return first, second


def plain_head(model: Any) -> bool:
    """Whether the model's logits are its output layer's values as they are (no soft cap, no scale).

    Asked by handing the model made-up values in its head's stead, once for each model.
    """
    import torch

    head = _head(model)
    known = getattr(head, "mashq_plain", None)
    if known is not None:
        return bool(known)
    size = head.weight.shape[0]
    values = torch.linspace(-60, 60, size, dtype=torch.float32, device=head.weight.device)
    hook = head.register_forward_hook(lambda module, given, made: values.to(made.dtype).expand(made.shape))
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            logits = model(input_ids=torch.ones((1, 2), dtype=torch.long, device=head.weight.device)).logits
    finally:
        hook.remove()
        model.train(training)
    expected = values.to(head.weight.dtype).float()
    plain = bool(torch.allclose(logits[0, -1].float(), expected, rtol=1e-2, atol=1e-2))
    head.mashq_plain = plain
    return plain


def target_loss(
    model: Any, input_ids: torch.Tensor, labels: torch.Tensor, position_ids: torch.Tensor | None = None
) -> torch.Tensor:
    """The summed negative log likelihood of the targets, in nats, differentiable; divide it by what you weight by.

    `input_ids`, `labels`: (rows, positions), padded on the right; `labels[r, t]` is the id at t where it is a target,
    else `IGNORED`. No attention mask is needed: in a causal model nothing real looks at padding on its right.
    `position_ids`: positions, which begin anew at 0 where rows stand one after another; None = each row from 0 on.
    Raises MashqError where there is no target at all.
    """
    hidden, targets = _hidden_at_targets(model, input_ids, labels, position_ids)
    head = _head(model)
    if hidden is None:
        return _cross_entropy(targets[0], targets[1]).sum()
    if _frozen_linear(head):
        return _frozen_head_loss()(hidden, head.weight, head.bias, targets)
    return _open_head_loss(hidden, head, targets)


def target_nats(model: Any, input_ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The negative log likelihood of every target, in nats: (targets,) fp32, row by row. Runs without gradients."""
    import torch

    with torch.no_grad():
        hidden, targets = _hidden_at_targets(model, input_ids, labels)
        if hidden is None:
            return _cross_entropy(targets[0], targets[1])
        head = _head(model)
        found = [
            _cross_entropy(head(part.to(head.weight.dtype)), wanted)
            for part, wanted in zip(hidden.split(CHUNK), targets.split(CHUNK), strict=True)
        ]
        return torch.cat(found)


def _head(model: Any) -> Any:
    head = _unwrapped(model).get_output_embeddings()
    if head is None:
        raise MashqError(f"model {type(model).__name__}: it has no output layer, so it is no causal language model.")
    return head


def _unwrapped(model: Any) -> Any:
    while hasattr(model, "module") and not hasattr(model, "get_output_embeddings"):
        model = model.module  # DistributedDataParallel
    return model


def _hidden_at_targets(
    model: Any, input_ids: torch.Tensor, labels: torch.Tensor, position_ids: torch.Tensor | None = None
) -> tuple[Any, Any]:
    """(hidden states (targets, width), target ids (targets,)); for a head with a soft cap (None, (logits, ids))."""
    wanted = labels[:, 1:]
    at = wanted != IGNORED
    targets = wanted[at]
    if targets.numel() == 0:
        raise MashqError("loss: expected at least one target in the batch, got none. Check the labels of these rows.")
    plain = plain_head(model)
    taken: list[torch.Tensor] = []

    def take(module: Any, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        hidden = given[0][:, : at.shape[1]][at]
        taken.append(hidden)
        return (hidden[:0] if plain else hidden, *given[1:])

    hook = _head(model).register_forward_pre_hook(take)
    try:
        given = {} if position_ids is None else {"position_ids": position_ids}
        out = model(input_ids=input_ids, use_cache=False, **given)
    finally:
        hook.remove()
    return (taken[0], targets) if plain else (None, (out.logits, targets))


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")


def _frozen_linear(head: Any) -> bool:
    import torch

    return type(head) is torch.nn.Linear and not any(p.requires_grad for p in head.parameters())


def _open_head_loss(hidden: torch.Tensor, head: Any, targets: torch.Tensor) -> torch.Tensor:
    """A trainable head, a chunk at a time, its logits made again for the gradient."""
    import torch
    from torch.utils.checkpoint import checkpoint

    def part_loss(part: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return _cross_entropy(head(part), wanted).sum()

    parts = zip(hidden.split(CHUNK), targets.split(CHUNK), strict=True)
    losses = [checkpoint(part_loss, part, wanted, use_reentrant=False) for part, wanted in parts]
    return torch.stack(losses).sum()


_FROZEN: Any = None


def _frozen_head_loss() -> Any:
    """The autograd function for a frozen linear head; made on first use, because torch is not in the base install."""
    global _FROZEN
    if _FROZEN is not None:
        return _FROZEN
    import torch

    class FrozenHeadLoss(torch.autograd.Function):
        """Loss and the gradient of the hidden states in one pass, so that no logits are kept."""

        @staticmethod
        def forward(
            ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor
        ) -> torch.Tensor:
            with torch.autocast(hidden.device.type, enabled=False):
                total, gradient = _loss_and_gradient(hidden.to(weight.dtype), weight, bias, targets)
            ctx.save_for_backward(gradient.to(hidden.dtype))
            return total

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            (gradient,) = ctx.saved_tensors
            return gradient * grads[0].to(gradient.dtype), None, None, None

    _FROZEN = FrozenHeadLoss.apply
    return _FROZEN


def _loss_and_gradient(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed loss () fp32 and its gradient (targets, width) with regard to the hidden states."""
    import torch

    total = torch.zeros((), dtype=torch.float32, device=hidden.device)
    gradient = torch.empty_like(hidden, dtype=torch.float32)
    sparse = weight.device.type == "cpu" and weight.dtype == torch.bfloat16
    rows = min(CHUNK, len(hidden))
    # Two buffers for all chunks: fresh pages for 67 MB cost more than the exponentials written to them.
    logits_room = torch.empty((rows, weight.shape[0]), dtype=weight.dtype, device=weight.device)
    weights_room = torch.empty_like(logits_room)
    for start in range(0, len(hidden), CHUNK):
        part, wanted = hidden[start : start + CHUNK], targets[start : start + CHUNK]
        logits = torch.mm(part, weight.t(), out=logits_room[: len(part)])
        if bias is not None:
            logits += bias
        top = logits.amax(-1, keepdim=True)
        likely = torch.sub(logits, top, out=weights_room[: len(part)]).exp_()
        log_sum = likely.sum(-1, dtype=torch.float32).log() + top[:, 0].float()
        total += (log_sum - logits.gather(1, wanted[:, None])[:, 0].float()).sum()
        if sparse:
            chosen = likely.amax(0) > LEAST_PROBABILITY
            chosen[wanted] = True
            columns = chosen.nonzero()[:, 0]
            error = (logits[:, columns].float() - log_sum[:, None]).exp_()
            place = torch.searchsorted(columns, wanted)
            kept = weight[columns]
        else:
            error, place, kept = (logits.float() - log_sum[:, None]).exp_(), wanted, weight
        error[torch.arange(len(part), device=error.device), place] -= 1
        gradient[start : start + CHUNK] = (error.to(weight.dtype) @ kept).float()
    return total, gradient
