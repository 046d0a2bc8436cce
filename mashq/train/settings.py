"""How a student is trained: the settings, what they may hold, and what this machine can do of it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from mashq.rows import MashqError, expected_got, nearest

__all__ = ["TrainSettings", "check", "kept_as", "numbers"]

METHODS = ("lora", "qlora", "full")
PRECISIONS = ("auto", "bf16", "fp16", "fp32")
SUPERVISE = ("all", "last")
KERNELS = {"": "", "liger": "liger_kernel"}  # name -> the package that has them
ATTENTION = {"": "", "sdpa": "", "eager": "", "flash_attention_2": "flash_attn"}


@dataclass(frozen=True)
class TrainSettings:
    """How a student is trained. Defaults are ours, chosen on Gemma 3 270M with 2 CPU cores; see each field."""

    model: str = "gemma3-270m"  # embedded name, local folder or hub name
    frame: str = ""  # chat frame (chat.FRAMES); "" = the tokenizer's own template, else the first of ours that fits
    remote_code: bool = False  # run the Python that a model's folder brings
    method: str = "lora"  # lora | qlora (LoRA on a base held in 4 bits, Dettmers et al. 2023) | full
    rank: int = 8  # LoRA rank
    alpha: int = 16  # LoRA scale is alpha / rank (alpha / sqrt(rank) where rslora)
    dropout: float = 0.0  # LoRA dropout, 0..1
    lora_targets: str = "all-linear"  # PEFT's target_modules: all-linear, or module names parted by commas
    rslora: bool = False  # rank-stabilised scale (Kalajdzievski 2023, arXiv 2312.03732)
    dora: bool = False  # magnitude and direction apart (Liu et al. 2024, arXiv 2402.09353)
    new_tokens: int = 0  # tokens added for the words of the rows, their vectors trained too; 0 = the tokenizer as it is
    neftune: float = (
        0.0  # noise on the vectors of the text that is read (Jain et al. 2023, arXiv 2310.05914; 5); 0 = none
    )
    lr_peak: float = 2e-4  # learning rate after warm-up; for `full` take about a tenth
    warmup: float = 0.05  # share of all steps below 1, else a number of steps (paper 3: 200)
    schedule: str = "cosine"  # any name Transformers knows: cosine, linear, constant_with_warmup ...
    optimiser: str = ""  # any name Transformers knows; "" = paged_adamw_32bit for qlora on a GPU, else adamw_torch
    weight_decay: float = 0.0
    clip: float = 1.0  # largest norm of the gradient; 0 = no limit
    epochs: float = 1.0  # passes over the rows; ignored where steps > 0
    steps: int = 0  # optimiser steps; 0 = as epochs say
    rows_per_batch: int = 8  # rows a device holds at a time (paper 3: batch 8); 8 of 750 tokens take 7.6 GB, 4 take 4.8
    accumulate: int = 1  # batches a step
    max_tokens: int = 1024  # longest row in tokens; a longer one is refused
    packing: bool = False  # the rows of a batch stand one after another, without padding, none seeing another
    supervise: str = "all"  # all | last: which assistant turns of a conversation are learnt
    precision: str = "auto"  # auto | bf16 | fp16 | fp32; auto = bf16 where the machine computes in it, else fp32
    recompute: bool = False  # gradient checkpointing: about a third slower, activations of one layer at a time
    attention: str = ""  # sdpa | eager | flash_attention_2 (its package); "" = ours on CPU, else the model's own choice
    kernels: str = ""  # liger = fused norms, positions and feed-forward on a GPU (its package); "" = none
    compile: bool = False  # torch.compile
    save_every: int = 50  # steps between checkpoints: what a crash can cost
    evaluate_every: int = 0  # steps between validation losses; 0 = at the end only
    keep_best: bool = False  # keep the weights of the lowest validation loss, not the last
    patience: int = 0  # validations in a row without a lower loss after which training stops; 0 = never
    launch: str = ""  # how several processes are started: ddp | fsdp | deepspeed | an accelerate file; "" = this one
    processes: int = 1  # with `launch`: how many, one a GPU
    seed: int = 0

    @property
    def adapter(self) -> bool:
        """Whether what is trained is an adapter beside a frozen base."""
        return self.method != "full"


def check(settings: TrainSettings) -> None:
    """Raises MashqError for settings that no machine, or not this one, can train with."""
    for name, known in (
        ("method", METHODS),
        ("precision", PRECISIONS),
        ("supervise", SUPERVISE),
        ("kernels", tuple(KERNELS)),
        ("attention", tuple(ATTENTION)),
    ):
        value = getattr(settings, name)
        if value not in known:
            told = ", ".join(one for one in known if one)
            raise MashqError(
                expected_got(f"train: {name}", f"one of {told}", f"'{value}'", nearest(value, known).strip())
            )
    for name in ("rank", "rows_per_batch", "accumulate", "max_tokens", "save_every", "processes"):
        if getattr(settings, name) < 1:
            raise MashqError(expected_got(f"train: {name}", "1 or more", str(getattr(settings, name))))
    for name in ("new_tokens", "patience", "evaluate_every", "neftune"):
        if getattr(settings, name) < 0:
            raise MashqError(expected_got(f"train: {name}", "0 or more", str(getattr(settings, name))))
    if settings.steps <= 0 and settings.epochs <= 0:
        raise MashqError(
            expected_got("train: steps, epochs", "one of them above 0", f"{settings.steps}, {settings.epochs}")
        )
    if (settings.patience or settings.keep_best) and not settings.evaluate_every:
        named = "patience" if settings.patience else "keep_best"
        raise MashqError(expected_got(f"train: {named}", "evaluate_every above 0", "0"))
    if settings.processes > 1 and not settings.launch:
        raise MashqError(expected_got("train: processes", "launch beside it, such as ddp", "none"))
    _check_packages(settings)


def _check_packages(settings: TrainSettings) -> None:
    wanted = [(f"attention {settings.attention}", ATTENTION[settings.attention])]
    wanted += [(f"kernels {settings.kernels}", KERNELS[settings.kernels])]
    wanted += [("method qlora", "bitsandbytes")] if settings.method == "qlora" else []
    wanted += [("launch deepspeed", "deepspeed")] if settings.launch == "deepspeed" else []
    for what, package in wanted:
        if package and importlib.util.find_spec(package) is None:
            name = package.replace("_", "-")
            raise MashqError(f"train: {what} needs the package {name}: pip install {name}")


def kept_as(method: str) -> str:
    """The folder of a finished run that holds its weights."""
    return "model" if method == "full" else "adapter"


def numbers(wanted: str) -> str:
    """The precision that training computes in here: bf16, fp16 or fp32. Raises MashqError for fp16 without a GPU."""
    import torch

    gpu = torch.cuda.is_available()
    if wanted == "fp16" and not gpu:
        raise MashqError(expected_got("train: precision fp16", "a GPU", "none", "Use bf16, fp32 or auto on CPU."))
    if wanted != "auto":
        return wanted
    if gpu:
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    # Without these instructions bf16 on CPU is emulated and slower than fp32.
    able = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if able else "fp32"
