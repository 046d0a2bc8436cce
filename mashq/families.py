"""Families of models: which chat frame, adapter places and code each needs, and what is supported.

`FAMILIES` is the one table; `docs/how-to/choose-a-model.md` shows it. A model belongs to a family by the `model_type`
of its config.json. Other types that Transformers knows load and train too; they are only not tried here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mashq.rows import MashqError, expected_got, nearest

__all__ = ["BY_FAMILY", "FAMILIES", "Family", "as_markdown", "family_of", "of_type"]

# Frames that no token of a tokenizer tells: they are picked by the family.
BY_FAMILY = ("jais-ar",)
LLAMA_3_VOCABULARY = 128_000  # words from which on a `llama` is a Llama 3 (Llama 2 has 32,000)
ROTARY = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Family:
    """What is known of a family. `frame` is what `chat.frame_for` picks for a model without a chat template.

    `lora`: names for PEFT's target_modules, every linear layer of a block (as `all-linear` takes them). `code`: whether
    the architecture is not in Transformers and runs only with `remote_code`.
    """

    name: str
    types: tuple[str, ...]  # model_type in config.json
    models: tuple[str, ...]  # hub names or kinds of it
    template: str  # whether its tokenizers bring a chat template
    frame: str
    lora: tuple[str, ...]
    code: bool = False
    licence: str = ""
    notes: str = ""


GONE = (
    "its published Python imports names that Transformers 5 no longer has, so it does not load as it is; mend that "
    "file for Transformers 5, or"
)
FAMILIES: tuple[Family, ...] = (
    Family(
        "Qwen2, Qwen2.5",
        ("qwen2",),
        ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2-7B"),
        "yes, base models too",
        "chatml",
        ROTARY,
        licence="Apache-2.0; 3B and 72B their own",
        notes="No beginning-of-text token.",
    ),
    Family(
        "Qwen3",
        ("qwen3",),
        ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-8B-Base"),
        "yes, base models too",
        "chatml",
        ROTARY,
        licence="Apache-2.0",
        notes="Its template takes the thoughts out of earlier answers: for conversations of several turns set "
        "`frame=chatml`.",
    ),
    Family(
        "Llama 3",
        ("llama",),
        ("meta-llama/Llama-3.2-1B", "meta-llama/Meta-Llama-3-8B"),
        "chat models only",
        "llama3",
        ROTARY,
        licence="Llama 3 Community Licence, gated",
        notes="The date in its templates is fixed, so that a row gives the same tokens on any day.",
    ),
    Family(
        "Llama 2",
        ("llama",),
        ("meta-llama/Llama-2-7b-hf", "meta-llama/Llama-2-7b-chat-hf"),
        "chat models only",
        "plain",
        ROTARY,
        licence="Llama 2 Community Licence, gated",
        notes="`frame=llama2` for its own brackets, which are plain text there: a row that spells them is refused.",
    ),
    Family(
        "Mistral",
        ("mistral",),
        ("mistralai/Mistral-7B-v0.1", "mistralai/Mistral-7B-v0.3"),
        "chat models only",
        "mistral or plain",
        ROTARY,
        licence="Apache-2.0, gated",
        notes="`mistral` from v0.3 on, whose `[INST]` is a special token; before it `plain`, or by name.",
    ),
    Family(
        "Gemma 3",
        ("gemma3_text", "gemma3"),
        ("google/gemma-3-270m", "google/gemma-3-1b-pt", "gemma3-270m"),
        "chat models only",
        "gemma",
        ROTARY,
        licence="Gemma Terms of Use, gated",
        notes="From 4B on the model also has an eye; adapters placed there stay as they began: only text is trained.",
    ),
    Family(
        "GPT-2",
        ("gpt2",),
        ("openai-community/gpt2-medium", "aubmindlab/aragpt2-base", "riotu-lab/ArabianGPT-01B"),
        "no",
        "plain",
        ("c_attn", "c_proj", "c_fc"),
        licence="MIT; AraGPT2 its own; ArabianGPT Apache-2.0",
        notes="At most 1,024 tokens: set `max_tokens`. No padding token; one token both begins and ends a text.",
    ),
    Family(
        "BLOOM",
        ("bloom",),
        ("bigscience/bloom-560m", "bigscience/bloom-1b7"),
        "no",
        "plain",
        ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"),
        licence="BigScience RAIL 1.0",
        notes="",
    ),
    Family(
        "Jais",
        ("jais",),
        ("inceptionai/jais-13b", "inceptionai/jais-13b-chat"),
        "no",
        "jais-ar",
        ("c_attn", "c_proj", "c_fc", "c_fc2"),
        code=True,
        licence="Apache-2.0",
        notes=f"`frame=jais-en` for its English prompt. Needs `remote_code`; {GONE} ask it through a server that "
        "knows it (vLLM).",
    ),
    Family(
        "AraGPT2-large, -mega",
        ("aragpt2",),
        ("aubmindlab/aragpt2-large", "aubmindlab/aragpt2-mega"),
        "no",
        "plain",
        ("c_attn", "c_proj", "c_fc"),
        code=True,
        licence="its own",
        notes=f"Grover's layers, not GPT-2's, though its weights bear GPT-2's names. Needs `remote_code`; {GONE} take "
        "AraGPT2-base or -medium, which are GPT-2.",
    ),
)


def of_type(kind: str, vocabulary: int = 0) -> Family | None:
    """The family of a `model_type`, or None for one that is not in the table; `vocabulary` parts Llama 2 from 3."""
    if kind == "llama":
        name = "Llama 3" if vocabulary >= LLAMA_3_VOCABULARY else "Llama 2"
        return next(family for family in FAMILIES if family.name == name)
    return next((family for family in FAMILIES if kind in family.types), None)


def family_of(config: Any) -> Family:
    """The family of a config: Transformers' object, or what config.json holds. Raises MashqError for one unknown."""
    told = config if isinstance(config, Mapping) else config.to_dict()
    kind = str(told.get("model_type", ""))
    found = of_type(kind, int(told.get("vocab_size") or 0))
    if found is None:
        known = sorted({name for family in FAMILIES for name in family.types})
        raise MashqError(
            expected_got("model family", f"a model_type among {', '.join(known)}", f"'{kind}'", nearest(kind, known))
        )
    return found


def as_markdown() -> str:
    """The table as the documentation shows it."""
    head = ["family", "`model_type`", "for example", "own template", "our frame", "LoRA places", "licence", "notes"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for one in FAMILIES:
        cells = [one.name, _code(one.types), _code(one.models), one.template, _code(one.frame.split(" or "), " or ")]
        cells += [_code(one.lora), one.licence, one.notes]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _code(names: tuple[str, ...] | list[str], between: str = ", ") -> str:
    return between.join(f"`{name}`" for name in names)
