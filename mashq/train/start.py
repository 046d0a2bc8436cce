"""What a stage of training starts from: the base or an earlier stage, its tokenizer, and the adapter on it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mashq import chat, vocabulary
from mashq.rows import MashqError, expected_got
from mashq.train import card as train_card
from mashq.train.settings import TrainSettings, numbers

__all__ = ["Start"]

DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


@dataclass
class Start:
    """The model to train, its tokenizer and frame, and what came before."""

    model: Any
    tokenizer: Any
    frame: chat.Frame
    base: dict[str, Any]  # what the card says of the base
    card: dict[str, Any] | None  # of the stage before
    name: str  # of the weights of the stage before; "" = there is none
    precision: str

    @classmethod
    def of(cls, settings: TrainSettings, init: Path | None, texts: Iterable[str] = ()) -> Start:
        """Load the base, or the earlier stage's model, and put the adapter on it.

        `texts`: what new tokens are learnt from, where the settings ask for some and no earlier stage has them.
        """
        from transformers import set_seed

        set_seed(settings.seed)
        previous = None if init is None else _previous(init, settings)
        precision = numbers(settings.precision)
        # Full training keeps its weights in fp32 and computes in bf16; a frozen base needs no more than bf16.
        dtype = DTYPES[precision] if settings.adapter else "float32"
        folder = init / "model" if init is not None and (init / "model").is_dir() else None
        model, tokenizer = _base(str(folder) if folder else settings.model, dtype, settings)
        adapter = init / "adapter" if init is not None and (init / "adapter").is_dir() else None
        base = train_card.base(settings.model, model)
        tokenizer = _vocabulary(model, tokenizer, settings, adapter, texts)
        model = _with_adapter(model, tokenizer, settings, adapter)
        model.config.use_cache = False
        name = "" if previous is None else str(previous["weights"])
        return cls(model, tokenizer, chat.frame_for(tokenizer, settings.frame), base, previous, name, precision)


def _previous(init: Path, settings: TrainSettings) -> dict[str, Any]:
    try:
        card = json.loads((init / "card.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MashqError(
            expected_got(f"train: init {init}", "the folder of a finished stage", "no card.json in it")
        ) from error
    before = card["settings"]
    if before["model"] != settings.model:
        raise MashqError(
            expected_got(f"train: init {init}", f"a stage of {settings.model}", f"one of {before['model']}")
        )
    if before["method"] != "full" and settings.adapter and before["rank"] != settings.rank:
        raise MashqError(expected_got("train: rank", f"{before['rank']}, as in the stage before", str(settings.rank)))
    return dict(card)


def _base(spec: str, dtype: str, settings: TrainSettings) -> tuple[Any, Any]:
    from mashq.lm.weights import load

    asked: dict[str, Any] = {}
    if settings.attention:
        asked["attn_implementation"] = settings.attention
    if settings.method != "qlora":
        return load(spec, dtype=dtype, remote_code=settings.remote_code, options=asked)
    import torch
    from transformers import BitsAndBytesConfig

    asked["quantization_config"] = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )
    model, tokenizer = load(spec, dtype=dtype, remote_code=settings.remote_code, options=asked)
    _keep_gradients_right(model)
    return model.requires_grad_(False), tokenizer


def _keep_gradients_right(model: Any) -> None:
    """bitsandbytes 0.50 repacks 4-bit weights on CPUs with AVX512-BF16 at the first forward without gradients.

    From then on its gradients are wrong and `state_dict` gives other weights; so the repacking is switched off.
    """
    from bitsandbytes.nn import Linear4bit

    found = [module for module in model.modules() if isinstance(module, Linear4bit)]
    if not found:
        raise MashqError("train: method qlora: no layer of this model can be held in 4 bits. Use method lora.")
    for module in found:
        module.support_avx512bf16_for_cpu = False


def _vocabulary(model: Any, tokenizer: Any, settings: TrainSettings, adapter: Path | None, texts: Iterable[str]) -> Any:
    """The tokenizer, with the new tokens of the settings or of the stage before; the model grows with it."""
    if adapter is not None:
        tokenizer = vocabulary.with_new_tokens(model, tokenizer, adapter)
    if settings.new_tokens and not vocabulary.added(tokenizer):
        merges = vocabulary.learnt_merges(tokenizer, texts, settings.new_tokens)
        tokenizer = vocabulary.extended(tokenizer, merges)
        vocabulary.grow(model, tokenizer, merges)
    return tokenizer


def _with_adapter(model: Any, tokenizer: Any, settings: TrainSettings, adapter: Path | None) -> Any:
    from peft import LoraConfig, PeftModel, get_peft_model

    if not settings.adapter:
        if adapter is not None:
            model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
        return model.requires_grad_(True)
    if adapter is not None:
        return PeftModel.from_pretrained(model, str(adapter), is_trainable=True)
    wanted: str | list[str] = settings.lora_targets
    if wanted != "all-linear":
        wanted = [name.strip() for name in settings.lora_targets.split(",")]
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=wanted,
        use_rslora=settings.rslora,
        use_dora=settings.dora,
        trainable_token_indices=vocabulary.trained_rows(model, tokenizer),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)
