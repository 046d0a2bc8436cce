"""How much memory a training will need, before a weight is read: the model is run without numbers.

PyTorch can run a model on tensors that have a shape and a type and take no memory (`FakeTensorMode`). One batch of the
longest rows goes through the layers so, forward and back, with the adapters, the precision, the recomputation and the
attention of the real run, while every tensor that lives is counted. That needs the configuration alone, takes some
seconds, and is right for any architecture that Transformers can run. Arithmetic adds the rest: weights, optimiser
(Adam: two fp32 numbers a trained weight), the output layer's chunk of logits at supervised tokens (`mashq.targets`;
with 262,144 words it matters), and the program itself.

The sum is what lives at the worst of three moments: the output layer with all activations kept, the backward pass, the
optimiser's step. GB are 2**30 bytes.

Held against the peaks of real runs of two steps, on 2 CPU cores in bf16 (Linux's VmHWM from the start of training):

| run | needed | foreseen |
|---|---|---|
| toy-llama, LoRA, 8 rows of 966 tokens | 0.90 GB | 0.0 % off |
| toy-gpt2, LoRA, 8 of 966 | 1.46 | +5.8 % |
| gemma3-270m, LoRA, 1 of 915 | 2.73 | +2.9 % |
| gemma3-270m, LoRA with recompute, 4 of 465 | 2.09 | -3.7 % |
| toy-bloom, LoRA, 8 of 598 | 0.87 | +0.4 % |
| gemma3-270m, full, 1 of 123 | 6.42 | -0.5 % |

The program's share and the words that the gradient keeps were fitted to the first four; the last two were not looked
at before. No run on a GPU was measured, nor QLoRA, DoRA, added tokens, liger or a compiled model: there the number is
arithmetic that nothing has confirmed.
"""

from __future__ import annotations

import contextlib
import copy
import math
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mashq.rows import MashqError, expected_got
from mashq.train.cost import config_of, skeleton
from mashq.train.settings import TrainSettings, numbers

__all__ = ["Memory", "machine_memory", "plan_memory"]

GB = 2**30
WARN_ABOVE = 0.9  # share of the machine's memory from which a plan warns
# Fitted on runs of toy-llama, toy-gpt2 and gemma3-270m: what is there without a model (torch, transformers, peft and
# what they load at the first step), a tokenizer's bytes a word, and what glibc keeps of freed blocks.
PROGRAM_CPU, WORD_CPU, SLACK_CPU = 0.65 * GB, 1270, 0.08
PROGRAM_GPU = 0.6 * GB  # CUDA's context and its libraries' work space
NF4_BYTES = 0.516  # a weight: 4 bits, and of 64 weights a scale of 8 bits, of 256 scales one of 32 (Dettmers 2023, 3)
SPARSE_WORDS = 0.5  # share of the vocabulary that the output layer's gradient keeps in bf16 on CPU (`targets`)


@dataclass(frozen=True)
class Memory:
    """What a training needs, in bytes, and what there is. The parts are those of its worst moment and add up."""

    parts: Mapping[str, float]  # weights, optimiser, gradients, activations, output layer, program
    rows: int  # of the batch
    length: int  # tokens of its longest row
    precision: str
    available: int  # bytes of memory: RAM or the container's limit, or the GPU's
    device: str

    @property
    def total(self) -> float:
        """All parts."""
        return float(sum(self.parts.values()))

    @property
    def warning(self) -> str:
        """What to do where the need comes too near to what there is; "" where it does not."""
        share = self.total / self.available
        if share <= WARN_ABOVE:
            return ""
        return (
            f"memory: {share:.0%} of what {self.device} has (limit {WARN_ABOVE:.0%}). Lower rows_per_batch and raise"
            " accumulate by as much (the same result), set recompute=true, or lower max_tokens."
        )

    def lines(self) -> list[str]:
        """For a terminal."""
        parts = ", ".join(f"{name} {size / GB:.2f}" for name, size in self.parts.items())
        said = [
            f"needs about {self.total / GB:.1f} GB of {self.available / GB:.1f} GB ({self.device}): {parts}",
            f"for {self.rows} rows of {self.length:,} tokens in {self.precision}",
        ]
        return said + ([self.warning] if self.warning else [])


def plan_memory(
    settings: TrainSettings,
    lengths: Sequence[int] | None = None,
    *,
    supervised: int | None = None,
    gpu: bool | None = None,
) -> Memory:
    """The memory that a training with these settings needs; its model's weights are not read.

    `lengths`: tokens of the rows, where they are known (a batch is as long as its longest row); else `max_tokens`.
    `supervised`: targets in a batch; unknown, all its tokens. `gpu`: None = as this machine has it. Of several
    processes, one: nothing that fsdp or deepspeed share out is taken off. Raises MashqError where the model's
    configuration is not at hand or the model cannot be run without numbers.
    """
    config = config_of(settings.model)  # first, because it says what to install
    import torch

    on_gpu = torch.cuda.is_available() if gpu is None else gpu
    rows, length = _batch(settings, lengths)
    precision = numbers(settings.precision)
    shape = _Shape(rows, length, precision, settings.recompute, settings.accumulate > 1, on_gpu)
    half = settings.adapter and precision != "fp32"
    config.dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision] if half else torch.float32
    parts = _parts(config, settings, shape, supervised or rows * length)
    available, device = machine_memory(on_gpu)
    return Memory(parts, rows, length, precision, available, device)


@dataclass(frozen=True)
class _Shape:
    rows: int
    length: int
    precision: str
    recompute: bool
    gradients_before: bool  # gradients of earlier batches of the step are there already
    gpu: bool


def _batch(settings: TrainSettings, lengths: Sequence[int] | None) -> tuple[int, int]:
    """Rows and tokens of the largest batch."""
    if lengths is None:
        return settings.rows_per_batch, settings.max_tokens
    fitting = [length for length in lengths if 0 < length <= settings.max_tokens]
    if not fitting:
        raise MashqError(
            expected_got("plan: rows", f"at least one of 1 to {settings.max_tokens} tokens", f"{len(lengths)} others")
        )
    longest = sorted(fitting, reverse=True)[: settings.rows_per_batch]
    return len(longest), math.ceil(sum(longest) / len(longest)) if settings.packing else longest[0]


def _parts(config: Any, settings: TrainSettings, shape: _Shape, targets: int) -> dict[str, float]:
    model = _skeleton(config, settings)
    trained = [p for p in model.parameters() if p.requires_grad]
    trainable = sum(p.numel() for p in trained)
    held, more = _activations(config, settings, shape)
    head, wide = _head(model, shape, targets)
    before = 4.0 * trainable * shape.gradients_before
    # Adam's temporaries: on CPU two of the largest tensor, on a GPU one of all.
    step = 4.0 * trainable if shape.gpu else 8.0 * max(p.numel() for p in trained)
    moments = (
        {"activations": held, "output layer": head, "gradients": before},
        {"activations": held + more, "output layer": 0.0, "gradients": max(before, wide)},
        {"activations": step, "output layer": 0.0, "gradients": 4.0 * trainable},
    )
    moment = max(moments, key=lambda parts: sum(parts.values()))
    slack = 0.0 if shape.gpu else SLACK_CPU * sum(moment.values())
    program = PROGRAM_GPU if shape.gpu else PROGRAM_CPU + WORD_CPU * len(model.get_input_embeddings().weight)
    kept = {"weights": _weights(model, settings.method), "optimiser": _kept_a_weight(settings.optimiser) * trainable}
    return {**kept, **moment, "program": program + slack}


def _skeleton(config: Any, settings: TrainSettings) -> Any:
    return skeleton(config, method=settings.method, rank=settings.rank, lora_targets=settings.lora_targets)


def _activations(config: Any, settings: TrainSettings, shape: _Shape) -> tuple[float, float]:
    """(bytes kept after the forward pass of all layers, bytes more at the worst time of the backward pass).

    Layers of one kind are alike, so one of each kind is run, and one more of each to know what it adds.
    """
    kinds = list(getattr(config, "layer_types", None) or [""] * config.num_hidden_layers)
    once = list(dict.fromkeys(kinds))
    if len(kinds) <= len(once) * (len(once) + 2):  # no work would be spared
        return _run_without_numbers(_skeleton(config, settings), shape)
    held, more = _run_without_numbers(_skeleton(_cut(config, once), settings), shape)
    total = held
    for kind in once:
        with_one, _ = _run_without_numbers(_skeleton(_cut(config, [*once, kind]), settings), shape)
        total += (with_one - held) * (kinds.count(kind) - 1)
    return total, more


def _cut(config: Any, kinds: Sequence[str]) -> Any:
    """The configuration with these layers alone."""
    cut = copy.deepcopy(config)
    cut.num_hidden_layers = len(kinds)
    if getattr(config, "layer_types", None):
        cut.layer_types = list(kinds)
    return cut


def _kept_a_weight(optimiser: str) -> float:
    """Bytes that the optimiser keeps for a trained weight."""
    if "sgd" in optimiser or "adafactor" in optimiser:
        return 0.0  # next to nothing
    return 2.0 if "8bit" in optimiser else 8.0


def _weights(model: Any, method: str) -> float:
    """Bytes of all weights as they lie in memory."""
    bytes_of = {id(p): float(p.numel() * p.element_size()) for p in model.parameters()}
    if method == "qlora":
        head = model.get_output_embeddings()
        for name, module in model.named_modules():
            if type(module).__name__ == "Linear" and "lora_" not in name and module is not head:
                bytes_of[id(module.weight)] = module.weight.numel() * NF4_BYTES
    return sum(bytes_of.values())


def _head(model: Any, shape: _Shape, targets: int) -> tuple[float, float]:
    """(bytes that the output layer takes for its chunk of logits, bytes of its own gradient where it is trained)."""
    from mashq.targets import CHUNK

    weight = model.get_output_embeddings().weight
    words, width = weight.shape
    size = 4 if shape.precision == "fp32" else 2
    chunk = min(CHUNK, targets) * words
    kept = targets * width * (4 + size)  # hidden states at targets and their gradient
    if weight.requires_grad:
        # Logits, in fp32, their softmax and its gradient; the weights' cast, and a gradient in either type.
        cast = words * width * size * (size < 4)
        return kept + chunk * (size + 4 + 4 + 4 + size) + 2 * cast + words * width * 4, words * width * 4.0
    if size == 2 and not shape.gpu:
        return kept + chunk * (2 * size + SPARSE_WORDS * 10) + SPARSE_WORDS * words * width * 2, 0.0
    return kept + chunk * (2 * size + 4 + 4 + size), 0.0


# --- the run without numbers -----------------------------------------------------------------------------------------


def _run_without_numbers(model: Any, shape: _Shape) -> tuple[float, float]:
    """A batch through the layers, forward and back: (bytes kept after the forward pass, bytes more at the worst time of
    the backward pass, without the gradient that the output layer left)."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from mashq import attention
    from mashq.lm.weights import quiet

    mode = FakeTensorMode()
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(shape.precision)
    model.config.use_cache = False
    _weightless(model, mode)
    _prepare(model, shape)
    book, head = _book(), model.get_output_embeddings().weight
    try:
        with quiet(), mode, contextlib.ExitStack() as open_:
            if not shape.gpu and open_.enter_context(attention.in_blocks(model)):
                model.config._attn_implementation = _whole_rows()
            for weight in model.parameters():
                there = weight.requires_grad and (shape.gradients_before or weight is head)
                weight.grad = torch.empty_like(weight) if there else None
            ids = torch.zeros((shape.rows, shape.length), dtype=torch.long)
            with book:
                # fp16 has the sizes of bf16, which the CPU's rules for mixed precision know in every version.
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half is not None):
                    hidden = _layers(model)(input_ids=ids, use_cache=False).last_hidden_state
                held = float(book.now)
                book.most = book.now
                hidden.backward(torch.empty_like(hidden))
    except (RuntimeError, NotImplementedError, TypeError, AttributeError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise MashqError(
            f"plan: the memory of {model.config.model_type} is not known: it does not run without numbers ({first})."
        ) from error
    return held, book.most - held


def _whole_rows() -> str:
    """The name under which Transformers finds `attention.blocks` for rows none of which is packed: as `in_blocks` has
    it, but without a look at positions, which are no numbers here."""
    from transformers import AttentionInterface

    from mashq.attention import blocks

    def attend(
        module: Any,
        query: Any,
        key: Any,
        value: Any,
        mask: Any,
        scaling: Any = None,
        sliding_window: Any = None,
        **_: Any,
    ) -> tuple[Any, None]:
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        return blocks(query, key, value, scale=scale, window=sliding_window).transpose(1, 2), None

    AttentionInterface.register("mashq_planned", attend)
    return "mashq_planned"


def _layers(model: Any) -> Any:
    """The model below its output layer."""
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    return getattr(plain, plain.base_model_prefix)


def _prepare(model: Any, shape: _Shape) -> None:
    """As `mashq.train` prepares the model: what is recomputed, and adapters that do not widen their inputs."""
    model.train()
    if shape.recompute:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if shape.precision != "fp32":
        for module in model.modules():
            if hasattr(module, "lora_A"):
                module.cast_input_dtype_enabled = False


def _weightless(model: Any, mode: Any) -> None:
    """Weights on `meta` -> tensors without numbers that PyTorch takes for the processor's; tied ones stay tied."""
    import torch

    made: dict[int, Any] = {}

    def of(tensor: Any) -> Any:
        if id(tensor) not in made:
            empty = torch.empty(tensor.shape, dtype=tensor.dtype)
            wrapped = torch.nn.Parameter(empty, requires_grad=tensor.requires_grad)
            made[id(tensor)] = wrapped if isinstance(tensor, torch.nn.Parameter) else empty
        return made[id(tensor)]

    with mode:
        for module in model.modules():
            for store in (module._parameters, module._buffers):
                store.update({name: of(tensor) for name, tensor in store.items() if tensor is not None})


def _book() -> Any:
    """A mode of PyTorch that counts the bytes of every tensor made in it while it lives: `now` and `most`."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Book(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.now = self.most = 0
            self.known: dict[int, Any] = {}

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = function(*args, **(kwargs or {}))
            before = {id(leaf.untyped_storage()) for leaf in tree_leaves((args, kwargs)) if torch.is_tensor(leaf)}
            for leaf in tree_leaves(made):
                if torch.is_tensor(leaf) and id(leaf.untyped_storage()) not in before:
                    self.add(leaf.untyped_storage())
            return made

        def add(self, storage: Any) -> None:
            key, size = id(storage), storage.nbytes()
            if key in self.known:
                return

            def gone(_: Any) -> None:
                del self.known[key]
                self.now -= size

            self.known[key] = weakref.ref(storage, gone)
            self.now += size
            self.most = max(self.most, self.now)

    return Book()


# --- the machine -----------------------------------------------------------------------------------------------------


def machine_memory(gpu: bool, groups: Path = Path("/sys/fs/cgroup")) -> tuple[int, str]:
    """(bytes, whose): of the GPU, or of this machine where that is the limit; else of the container."""
    import psutil

    if gpu:
        import torch

        if not torch.cuda.is_available():
            raise MashqError(expected_got("plan: GPU", "one to plan for", "none on this machine"))
        return int(torch.cuda.get_device_properties(0).total_memory), torch.cuda.get_device_name(0)
    have = int(psutil.virtual_memory().total)
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            limit = int((groups / name).read_text("utf-8"))
            if 0 < limit < have:
                return limit, "this container's limit"
    return have, "this machine"
