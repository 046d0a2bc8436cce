"""Students with random weights, one for each architecture: they prove a path in minutes and learn next to nothing.

| name | shape of |
|---|---|
| `toy-mistral` | Mistral (sliding attention, grouped heads) |
| `toy-llama` | Llama 2 (rotary positions, RMS norm) |
| `toy-gpt2`, `toy-gpt2-medium` | GPT-2 (learnt positions), and one twice as deep |
| `toy-bloom` | BLOOM (ALiBi) |
| `toy-qwen2`, `toy-qwen3` | Qwen 2.5 (biases on queries, keys and values) and 3 (norms on queries and keys instead) |
| `toy-llama3`, `toy-llama3-tied` | Llama 3 (rotary base 500,000), its head apart as from 8B on, or the embedding's |
| `toy-gemma3` | Gemma 3 (four norms a layer, sliding and full attention in turn) |

About 100,000 weights each, drawn from one seed. Their tokenizer has a token for every byte and for every letter, mark
and digit of Arabic; it is written down here, not learnt, so it is the same wherever it is made. The toys of the last
three lines also have the special tokens of their family, with its quirks: Qwen pads with its end of text and has no
beginning, Llama 3 has nothing to pad with.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["TOYS", "make"]

POSITIONS = 4096
HIDDEN, LAYERS, HEADS = 64, 2, 4
SEED = 0
PAD, BOS, EOS = SPECIAL = ("<pad>", "<s>", "</s>")
LETTERS = "".join(
    map(chr, [0x060C, 0x061B, 0x061F, *range(0x0621, 0x063B), *range(0x0640, 0x0653), *range(0x0660, 0x066A)])
)


# Special tokens by family, in the order of their ids, and which of them begin, end and pad.
ROLES: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "toy-qwen": (
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"},
    ),
    "toy-llama3": (
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"},
    ),
    "toy-gemma3": (
        ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
        {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"},
    ),
}


def _mistral(transformers: Any, told: dict[str, Any]) -> Any:
    return transformers.MistralConfig(**_rotary(told), sliding_window=1024)


def _llama(transformers: Any, told: dict[str, Any]) -> Any:
    return transformers.LlamaConfig(**_rotary(told))


def _llama3(transformers: Any, told: dict[str, Any], tied: bool = False) -> Any:
    rope = {"rope_type": "default", "rope_theta": 500_000.0}
    return transformers.LlamaConfig(**_rotary(told), rope_parameters=rope, tie_word_embeddings=tied)


def _qwen2(transformers: Any, told: dict[str, Any]) -> Any:
    return transformers.Qwen2Config(**_rotary(told), tie_word_embeddings=True)


def _qwen3(transformers: Any, told: dict[str, Any]) -> Any:
    return transformers.Qwen3Config(**_rotary(told), head_dim=HIDDEN // HEADS, tie_word_embeddings=True)


def _gemma3(transformers: Any, told: dict[str, Any]) -> Any:
    layers = ["sliding_attention", "full_attention"]
    return transformers.Gemma3TextConfig(
        **_rotary(told),
        head_dim=HIDDEN // HEADS,
        query_pre_attn_scalar=HIDDEN // HEADS,
        sliding_window=512,
        layer_types=layers,
    )


def _gpt2(transformers: Any, told: dict[str, Any], layers: int = LAYERS) -> Any:
    return transformers.GPT2Config(n_positions=POSITIONS, n_embd=HIDDEN, n_layer=layers, n_head=HEADS, **told)


def _bloom(transformers: Any, told: dict[str, Any]) -> Any:
    return transformers.BloomConfig(hidden_size=HIDDEN, n_layer=LAYERS, n_head=HEADS, **told)


def _rotary(told: dict[str, Any]) -> dict[str, Any]:
    return {
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS // 2,
        "max_position_embeddings": POSITIONS,
        **told,
    }


# The config of each, from Transformers and what the tokenizer tells: the size of the vocabulary and three ids.
TOYS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "toy-mistral": _mistral,
    "toy-llama": _llama,
    "toy-gpt2": _gpt2,
    "toy-gpt2-medium": functools.partial(_gpt2, layers=2 * LAYERS),
    "toy-bloom": _bloom,
    "toy-qwen2": _qwen2,
    "toy-qwen3": _qwen3,
    "toy-llama3": _llama3,
    "toy-llama3-tied": functools.partial(_llama3, tied=True),
    "toy-gemma3": _gemma3,
}


def make(name: str, folder: Path) -> None:
    """Write a toy as Transformers saves a model: config, safetensors, tokenizer. Needs torch and transformers."""
    import torch
    import transformers

    made = _tokenizer(*_roles(name))
    ids = {kind: getattr(made, kind) for kind in ("pad_token_id", "bos_token_id", "eos_token_id")}
    config = TOYS[name](transformers, {"vocab_size": len(made), **ids})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    made.save_pretrained(folder)


def _roles(name: str) -> tuple[tuple[str, ...], dict[str, str]]:
    usual = (SPECIAL, {"pad_token": PAD, "bos_token": BOS, "eos_token": EOS})
    return next((told for family, told in ROLES.items() if name.startswith(family)), usual)


def _tokenizer(special: tuple[str, ...], roles: dict[str, str]) -> Any:
    """Bytes, and pairs of bytes that are one Arabic letter, mark or digit."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    shown = _byte_letters()
    pairs = [(shown[first], shown[second]) for first, second in (letter.encode() for letter in LETTERS)]
    tokens = [*special, *shown, *(first + second for first, second in pairs)]
    raw = Tokenizer(models.BPE(vocab={token: place for place, token in enumerate(tokens)}, merges=pairs))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    others = [token for token in special if token not in roles.values()]
    more = {"additional_special_tokens": others} if others else {}
    return PreTrainedTokenizerFast(tokenizer_object=raw, **roles, **more)


def _byte_letters() -> list[str]:
    """The letter that stands for each byte in byte-level tokenizers (GPT-2's table): itself where it can be seen."""
    seen = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = itertools.count(256)
    return [chr(byte) if byte in seen else chr(next(others)) for byte in range(256)]
