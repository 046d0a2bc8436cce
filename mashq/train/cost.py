"""What training costs in arithmetic: parameters, FLOPs a token, tokens a second, and the share of the machine's peak.

The count is of multiplications that the result needs, two FLOPs a multiply-add, after Kaplan et al. 2020 (arXiv
2001.08361, section 2.1) and Chowdhery et al. 2022 (PaLM, arXiv 2204.02311, appendix B). With N the weights of the
layers' matrices, A those of the adapters, D x V the output layer, w = heads x head width, k the keys that a token sees
on average in a layer:

| | full | LoRA, QLoRA |
|---|---|---|
| a token, matrices | 6 N | 4 N + 6 A |
| a token, attention | 12 w k, summed over the layers | the same |
| a supervised token, output layer | 6 D V | 4 D V |

Forward is a third of full training: 2 N. A frozen matrix needs no gradient of its weights, so LoRA spares a third of
it. Embeddings are looked up, not multiplied. Logits are made at supervised tokens alone (`mashq.targets`), so the
output layer counts only there. k is (T + 1) / 2 in a causal row of T tokens, less under a sliding window; PaLM's
12 L H Q T counts the whole square, so its attention is about twice ours. Padding and what recomputation repeats teach
nothing: they are not counted and so lower MFU; `hardware_tflops` has both. Norms, activation functions and the
optimiser are left out.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mashq.rows import MashqError, expected_got

__all__ = [
    "PEAKS",
    "ModelFacts",
    "Peak",
    "Speed",
    "config_of",
    "facts_of",
    "keys_seen",
    "measured_peak",
    "model_facts",
    "peak_of",
    "skeleton",
    "speed",
    "speed_of",
    "token_flops",
]

# What Google published of the model that mashq carries (config.json of google/gemma-3-270m), so that a plan unpacks
# nothing.
GEMMA_270M: dict[str, Any] = {
    **{"vocab_size": 262144, "hidden_size": 640, "intermediate_size": 2048, "num_hidden_layers": 18},
    **{"num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256, "sliding_window": 512},
    **{"layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 3, "tie_word_embeddings": True},
}

# TFLOP/s of one device in bf16 (fp16 where it has no bf16: T4, V100), dense, sums in fp32: the makers' own numbers.
# NVIDIA's datasheets print twice as much, "with sparsity". Sources: the datasheets of each (H100, H200, DGX B200, A100,
# A30, A40, A10, L4, L40, L40S, T4, V100, RTX 6000 Ada), for the GeForce cards the white papers of GA102, Ada and RTX
# Blackwell (appendix A, tensor TFLOPS with FP32 accumulate), AMD's data sheets of MI250X and MI300X. The first that the
# device's name contains counts, so longer names stand first.
PEAKS: dict[str, float] = {
    **{
        "B200": 2250,
        "H200 NVL": 835,
        "H200": 989,
        "H100 NVL": 835,
        "H100 PCIe": 756,
        "H100": 989,
        "H800": 989,
        "GH200": 989,
    },
    **{"A100": 312, "A800": 312, "A40": 149.7, "A30": 165, "A10": 125, "V100 PCIE": 112, "V100": 125, "T4": 65},
    **{"L40S": 362, "L40": 181, "L4": 121, "RTX 6000 Ada": 364.2},
    **{"RTX 5090": 209.5, "RTX 4090": 165.2, "RTX 3090": 71},
    **{"MI300X": 1307.4, "MI250X": 383},
}


# --- the model -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModelFacts:
    """What decides the cost of a model: counts of weights, and of each layer the width of attention and its window."""

    parameters: int  # all weights of the base model; a tied output layer counts once
    trainable: int  # weights that training changes
    embedding: int  # weights of look-up tables (tokens, positions)
    matrices: int  # weights of the layers' matrices: N
    adapters: int  # weights of LoRA's matrices: A; 0 in full training
    head: int  # D x V
    vocabulary: int
    hidden: int
    attention: tuple[tuple[int, int | None], ...]  # a layer: (heads x head width, window or None)

    @property
    def full(self) -> bool:
        """Whether all weights are trained."""
        return self.adapters == 0


def config_of(spec: str) -> Any:
    """The configuration of a model by name, as `lm.weights.weights` takes it; nothing is fetched, no weights are read.

    Raises MashqError where there is none at hand.
    """
    from mashq.lm.weights import EMBEDDED, quiet, small_files

    transformers = _package("transformers")
    if spec in EMBEDDED:
        return transformers.Gemma3TextConfig(**GEMMA_270M)
    name, revision = small_files(spec, ["config.json"])
    try:
        with quiet():
            return transformers.AutoConfig.from_pretrained(
                name, revision=revision, local_files_only=True, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError) as error:
        where = (
            "neither in a folder here nor in the hub's cache" if isinstance(error, OSError) else "not one we can read"
        )
        raise MashqError(
            f"model '{spec}': its config.json is {where}, and for a forecast nothing is fetched."
        ) from error


def _package(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MashqError(f"what training costs needs the package '{name}': pip install 'mashq[train]'") from error


def skeleton(config: Any, *, method: str = "lora", rank: int = 8, lora_targets: str = "all-linear") -> Any:
    """The model as PyTorch modules whose weights have shapes and types and take no memory (device `meta`).

    With `method` lora or qlora its adapters are on it and alone trainable; with full every weight is.
    """
    torch, transformers = _package("torch"), _package("transformers")
    from mashq.lm.weights import quiet

    with torch.device("meta"), quiet():
        model = transformers.AutoModelForCausalLM.from_config(config)
    if method == "full":
        return model.requires_grad_(True)
    return _adapted(model, rank, lora_targets)


def _adapted(model: Any, rank: int, lora_targets: str) -> Any:
    import warnings

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # peft imports it; it tells of kernels it has not
    peft = _package("peft")
    wanted: Any = lora_targets
    if wanted != "all-linear":
        wanted = [name.strip() for name in lora_targets.split(",")]
    settings = peft.LoraConfig(r=rank, target_modules=wanted, task_type="CAUSAL_LM")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return peft.get_peft_model(model, settings, low_cpu_mem_usage=True)
    except ValueError as error:
        raise MashqError(f"train: lora_targets '{lora_targets}': {str(error).splitlines()[0][:200]}") from error


def model_facts(model: Any) -> ModelFacts:
    """The facts of a model in memory, or of a `skeleton`; with PEFT's adapters on it or without.

    Raises MashqError for a mixture of experts, whose work a token depends on the text.
    """
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    if any(getattr(config, name, 0) for name in ("num_experts", "num_local_experts", "n_routed_experts")):
        raise MashqError(f"train cost: {config.model_type} is a mixture of experts, whose FLOPs mashq does not count.")
    named = dict(model.named_parameters())
    adapters = sum(p.numel() for name, p in named.items() if "lora_" in name)
    head = model.get_output_embeddings().weight
    table = model.get_input_embeddings().weight
    found = [
        getattr(module, "weight", None) for module in model.modules() if type(module).__name__.endswith("Embedding")
    ]
    tables = {id(weight): weight for weight in [table, *found] if weight is not None}
    kinds = ("Linear", "Conv1D", "Linear4bit", "Linear8bitLt")
    inner = [m.weight for name, m in model.named_modules() if type(m).__name__ in kinds and "lora_" not in name]
    inner = [weight for weight in {id(w): w for w in inner}.values() if weight is not head and weight is not table]
    # A 4-bit weight keeps the shape it stands for in its quantisation state.
    sizes = [_size(weight) for weight in inner]
    packed = sum(_size(weight) - weight.numel() for weight in inner)
    return ModelFacts(
        parameters=sum(p.numel() for p in named.values()) - adapters + packed,
        trainable=sum(p.numel() for p in named.values() if p.requires_grad),
        embedding=sum(weight.numel() for weight in tables.values()),
        matrices=sum(sizes),
        adapters=adapters,
        head=head.numel(),
        vocabulary=int(head.shape[0]),
        hidden=int(head.shape[1]),
        attention=_attention(config),
    )


def _size(weight: Any) -> int:
    state = getattr(weight, "quant_state", None)
    return int(weight.numel()) if state is None else int(state.shape.numel())


def _attention(config: Any) -> tuple[tuple[int, int | None], ...]:
    """Width and window of each layer, as the configuration says."""
    width = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
    width *= int(config.num_attention_heads)
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        alone = window if getattr(config, "use_sliding_window", True) else None
        return ((width, alone),) * int(config.num_hidden_layers)
    return tuple((width, window if kind == "sliding_attention" else None) for kind in kinds)


def facts_of(settings: Mapping[str, Any]) -> ModelFacts:
    """The facts of the model that train settings (as in card.json) name; from its configuration alone."""
    chosen = {name: settings[name] for name in ("method", "rank", "lora_targets") if name in settings}
    return model_facts(skeleton(config_of(str(settings["model"])), **chosen))


# --- FLOPs -----------------------------------------------------------------------------------------------------------


def keys_seen(lengths: Sequence[float], window: int | None = None) -> float:
    """How many keys a token attends to on average, in causal rows of so many tokens (packed texts each alone)."""
    tokens = sum(lengths)
    if not tokens:
        raise MashqError(expected_got("train cost: lengths of rows", "at least one token", "none"))

    def seen(length: float) -> float:
        if window is None or length <= window:
            return length * (length + 1) / 2
        return window * (window + 1) / 2 + (length - window) * window

    return sum(map(seen, lengths)) / tokens


def token_flops(facts: ModelFacts, lengths: Sequence[float], *, recompute: bool = False) -> tuple[float, float]:
    """(FLOPs a token, FLOPs a supervised token in the output layer on top) to learn rows of these lengths.

    `recompute`: the layers' forward pass counted twice, as gradient checkpointing does it.
    """
    windows = {window for _, window in facts.attention}
    keys = {window: keys_seen(lengths, window) for window in windows}
    forward = 4 * sum(width * keys[window] for width, window in facts.attention)  # scores and their mean of the values
    matrices = 6 * facts.matrices if facts.full else 4 * facts.matrices + 6 * facts.adapters
    again = 2 * facts.matrices + 2 * facts.adapters + forward if recompute else 0.0
    return matrices + 3 * forward + again, float(6 * facts.head if facts.full else 4 * facts.head)


# --- peaks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peak:
    """The most that a device computes: FLOP/s, and where that number is from."""

    flops: float
    source: str  # `published: H100, bf16 dense` or `measured: ...`


def peak_of(device: str, precision: str) -> Peak | None:
    """The published peak of a device by the name that PyTorch gives it, in bf16 or fp16; None where none is known.

    A number for fp32 is never looked up, because it depends on whether TF32 is on.
    """
    if precision not in ("bf16", "fp16"):
        return None
    if any(word in device.lower() for word in ("laptop", "max-q", " mig ", "4090 d")):
        return None  # slower cards, or parts of one, under the name of the whole
    spelt = f" {device.replace('-', ' ').replace('_', ' ')} ".lower()
    found = next((name for name in PEAKS if f" {name.lower()} " in spelt), None)
    return None if found is None else Peak(PEAKS[found] * 1e12, f"published: {found}, {precision} dense")


def measured_peak(precision: str, seconds: float = 0.3) -> Peak:
    """The best of some products of two square matrices on this machine, with the threads that PyTorch has now.

    What else runs on the machine takes its share of it, so a busy machine looks better used than it is.
    """
    torch = _package("torch")
    gpu = torch.cuda.is_available()
    side = 8192 if gpu else 2048
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    one = torch.ones((side, side), dtype=kind, device="cuda" if gpu else "cpu")
    best, end = float("inf"), time.perf_counter() + seconds
    (one @ one)[0, 0].item()  # the first call prepares
    while best == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        (one @ one)[0, 0].item()  # waits for the GPU
        best = min(best, time.perf_counter() - start)
    where = torch.cuda.get_device_name() if gpu else f"this CPU, {torch.get_num_threads()} threads"
    return Peak(2 * side**3 / best, f"measured: {side} x {side} matrices in {precision} on {where}")


# --- speed -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Speed:
    """How fast a training went. Tokens and FLOPs a second over the steps alone, without evaluations and saving."""

    seconds: float
    supervised_per_s: float
    tokens_per_s: float  # without padding
    padded_per_s: float  # with padding: positions
    tflops: float  # needed by the result
    hardware_tflops: float  # with padding and with what recomputation repeats
    mfu: float | None  # tflops / peak; None where no peak is known
    peak_tflops: float | None
    peak_source: str
    formula: str

    def lines(self) -> list[str]:
        """For a terminal."""
        share = "not known" if self.mfu is None else f"{self.mfu:.1%} of {self.peak_tflops:.3g} TFLOP/s"
        return [
            f"{self.supervised_per_s:,.0f} supervised, {self.tokens_per_s:,.0f} total,"
            f" {self.padded_per_s:,.0f} padded tokens/s over {self.seconds:,.1f} s",
            f"{self.tflops:.3g} TFLOP/s needed"
            f" ({self.hardware_tflops:.3g} with padding and what is recomputed); MFU {share}",
            f"peak: {self.peak_source or 'not known'}",
            f"MFU = {self.formula}",
        ]


def speed(
    lines: Sequence[Mapping[str, Any]],
    facts: ModelFacts,
    *,
    lengths: Sequence[float],
    peak: Peak | None = None,
    recompute: bool = False,
) -> Speed:
    """The speed of a training by the lines of its log (those with a loss; others are passed over).

    `lengths`: tokens of the rows learnt (of some, or their mean alone, where that will do). Raises MashqError where no
    step took time.
    """
    taken = [line for line in lines if "loss" in line]
    seconds = float(sum(line["seconds"] for line in taken))
    if seconds <= 0:
        raise MashqError(expected_got("train speed: log", "steps that took time", f"{len(taken)} steps, {seconds} s"))
    supervised, tokens, padded = (
        sum(line[kind] for line in taken) for kind in ("supervised_tokens", "tokens", "padded_tokens")
    )
    a_token, a_target = token_flops(facts, lengths)
    spent, _ = token_flops(facts, lengths, recompute=recompute)
    needed = a_token * tokens + a_target * supervised
    mfu = None if peak is None else needed / seconds / peak.flops
    return Speed(
        seconds=seconds,
        supervised_per_s=supervised / seconds,
        tokens_per_s=tokens / seconds,
        padded_per_s=padded / seconds,
        tflops=needed / seconds / 1e12,
        hardware_tflops=(spent * padded + a_target * supervised) / seconds / 1e12,
        mfu=mfu,
        peak_tflops=None if peak is None else peak.flops / 1e12,
        peak_source="" if peak is None else peak.source,
        formula=_formula(facts, a_token, a_target),
    )


def _formula(facts: ModelFacts, a_token: float, a_target: float) -> str:
    matrices = (
        f"6 x {facts.matrices:,} weights"
        if facts.full
        else f"4 x {facts.matrices:,} frozen weights + 6 x {facts.adapters:,} adapter weights"
    )
    return (
        f"({a_token:,.0f} FLOPs x tokens/s + {a_target:,.0f} FLOPs x supervised tokens/s) / peak; a token: {matrices}"
        f" + attention; a supervised token: {6 if facts.full else 4} x {facts.head:,} of the output layer"
    )


def speed_of(folder: Path, *, lengths: Sequence[float] = (), peak: Peak | None = None) -> Speed:
    """The speed of a finished train step, from its card.json and log.jsonl.

    Without `lengths` the mean row stands for all. `peak`: default the published one of the card's device. A CPU has
    none, and the card's machine need not be this one, so nothing is measured here: then there is no MFU. Raises
    MashqError where there is no finished train step.
    """
    try:
        card = json.loads((folder / "card.json").read_text("utf-8"))
        log = [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    except FileNotFoundError as error:
        raise MashqError(
            expected_got(f"train speed: {folder}", "a finished train step", f"no {Path(error.filename).name}")
        ) from error
    settings, precision = card["settings"], str(card["run"]["precision"])
    taken = [line for line in log if "loss" in line]
    rows = settings["rows_per_batch"] * settings.get("accumulate", 1)
    mean = sum(line["tokens"] for line in taken) / max(1, len(taken) * min(rows, card["rows"]["train"]))
    peak = peak or peak_of(str(card["machine"]["device"]), precision)
    recompute = bool(settings.get("recompute"))
    return speed(taken, facts_of(settings), lengths=lengths or [mean], peak=peak, recompute=recompute)
