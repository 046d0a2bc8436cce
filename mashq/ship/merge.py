"""Adapter + base -> one model that Transformers loads by itself, with our chat frame as its template.

The merged model is compared with the adapter before anything is written: the logits of every position of some
conversations, both computed in float32. What lies on disk is loaded again and compared too, so that the card says what
rounding to a smaller type costs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mashq import chat
from mashq.rows import MashqError, expected_got, file_hash, nearest
from mashq.ship import card as cards
from mashq.ship import template
from mashq.ship.trained import Trained, read, steps_before

__all__ = ["DTYPES", "TOLERANCE", "Difference", "difference", "merged", "probe_ids"]

DTYPES = ("auto", "float32", "bfloat16", "float16")
# Largest difference of two logits, in float32: W x + B A x against (W + B A) x, rounded at another place. Logits of
# Gemma 3 270M reach 30 and differ by some 1e-4; a merge that forgot its scale differs by more than 1.
TOLERANCE = 1e-2
SMALL = 1_000_000_000  # parameters up to which `auto` keeps every bit (4 bytes each)


@dataclass(frozen=True)
class Difference:
    """How far two models are apart on the same prompts: largest difference of a logit, and where their best token is
    the same one, of how many positions."""

    logits: float
    same: int
    positions: int


def merged(folder: Path, out: Path, *, dtype: str = "auto", base: str = "") -> dict[str, Any]:
    """Write what `train` left in `folder` as one model into the new folder `out`; -> its card.

    `dtype`: float32, bfloat16, float16, or auto: float32 up to a billion parameters, bfloat16 above. `base`: the base
    model, where it is not found under the name that the training noted. `out` appears whole or not at all.

    Raises MashqError for a folder that is no training, an `out` that is there, a base that cannot be had, and where the
    merged model does not say what the adapter said.
    """
    if dtype not in DTYPES:
        raise MashqError(
            expected_got("merge: dtype", f"one of {', '.join(DTYPES)}", f"'{dtype}'", nearest(dtype, DTYPES).strip())
        )
    trained = read(folder)
    if trained.kind == "merged":
        raise MashqError(f"merge: {folder} is a whole model already: nothing to merge.")
    if out.exists():
        raise MashqError(f"merge: {out} is there already. Choose another folder, or delete this one.")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        made = _write(trained, partial, dtype, base)
        partial.rename(out)
    except OSError as error:
        raise MashqError(f"merge: cannot write {out} ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return made


def _write(trained: Trained, partial: Path, dtype: str, base: str) -> dict[str, Any]:
    import torch

    from mashq.lm.weights import load, quiet

    whole = trained.kind == "model"
    model, tokenizer = load(
        str(trained.weights) if whole else base or trained.base, None if whole else trained.weights, "float32"
    )
    frame = chat.frame_for(tokenizer, trained.frame)
    prompts = probe_ids(tokenizer, frame)
    said = _logits(model, prompts)
    if not whole:
        model = model.merge_and_unload()
    in_memory = _compare(said, _logits(model, prompts))
    if in_memory.logits > TOLERANCE:
        raise MashqError(
            expected_got(
                f"merge: logits of {trained.folder}",
                f"those of the adapter within {TOLERANCE}",
                f"a difference of {in_memory.logits:.3g}",
                "This adapter cannot be merged into this base: is it the base of the training (--base)?",
            )
        )
    parameters = sum(p.numel() for p in model.parameters())
    kind = dtype if dtype != "auto" else "float32" if parameters <= SMALL else "bfloat16"
    unsaid = template.give(tokenizer, frame)
    _settle(model, tokenizer, frame)
    with quiet():
        model.to(getattr(torch, kind)).save_pretrained(partial)
        tokenizer.save_pretrained(partial)
    del model
    again, _ = load(str(partial), None, "float32")
    on_disk = _compare(said, _logits(again, prompts))
    compared = {"dtype": kind, "template": unsaid, "merged": asdict(in_memory), "on_disk": asdict(on_disk)}
    return _tell(trained, partial, compared)


def probe_ids(tokenizer: Any, frame: chat.Frame) -> list[list[int]]:
    """The conversations of the comparison as ids, each ending where the assistant speaks."""
    return [chat.prompt_ids(turns, tokenizer, frame) for turns in template.conversations()]


def difference(one: Any, other: Any, prompts: Sequence[Sequence[int]]) -> Difference:
    """How far two loaded models are apart on prompts."""
    return _compare(_logits(one, prompts), _logits(other, prompts))


def _logits(model: Any, prompts: Sequence[Sequence[int]]) -> list[Any]:
    """Of each prompt, (positions, vocabulary)."""
    import torch

    device = next(model.parameters()).device
    with torch.inference_mode():
        return [model(torch.tensor([list(ids)], device=device)).logits[0].float().cpu() for ids in prompts]


def _compare(one: Sequence[Any], other: Sequence[Any]) -> Difference:
    apart = max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))
    same = sum(int((a.argmax(-1) == b.argmax(-1)).sum()) for a, b in zip(one, other, strict=True))
    if apart != apart:  # NaN: a weight that is no number, or one too large for the type
        apart = float("inf")
    return Difference(apart, same, sum(len(a) for a in one))


def _settle(model: Any, tokenizer: Any, frame: chat.Frame) -> None:
    """What a program that knows nothing of mashq needs: where a reply ends, and that the cache may be used."""
    ends = chat.stop_ids(tokenizer, frame)
    model.generation_config.eos_token_id = ends if len(ends) > 1 else ends[0]
    if tokenizer.pad_token_id is not None:
        model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.config.use_cache = True


def _tell(trained: Trained, partial: Path, compared: dict[str, Any]) -> dict[str, Any]:
    """Card, README, NOTICE and the plot of the loss into the folder."""
    made = cards.public(trained.card) | {
        "merge": compared | {"tolerance": TOLERANCE, "conversations": len(template.conversations())},
        "steps": [asdict(one) for one in steps_before(trained)],
        "evaluations": cards.evaluations(trained),
        "merged_weights": {path.name: file_hash(path) for path in sorted(partial.glob("*.safetensors"))},
    }
    for name in ("loss.svg",):
        if (trained.folder / name).is_file():
            shutil.copyfile(trained.folder / name, partial / name)
    (partial / "card.json").write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", "utf-8")
    cards.write(Trained(partial, "merged", partial, made))
    return made
