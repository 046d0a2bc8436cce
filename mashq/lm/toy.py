"""Students with random weights, one for each architecture: they prove a path in minutes and learn next to nothing.

| name | shape of |
|---|---|
| `toy-mistral` | Mistral (sliding attention, grouped heads) |
| `toy-llama` | Llama 2 (rotary positions, RMS norm) |
| `toy-gpt2`, `toy-gpt2-medium` | GPT-2 (learnt positions), and one twice as deep |
| `toy-bloom` | BLOOM (ALiBi) |

About 100,000 weights each, drawn from one seed. Their tokenizer has a token for every byte and for every letter, mark
and digit of Arabic; it is written down here, not learnt, so it is the same wherever it is made.
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


def _mistral(transformers: Any, size: int) -> Any:
    return transformers.MistralConfig(**_rotary(size), sliding_window=1024)


def _llama(transformers: Any, size: int) -> Any:
    return transformers.LlamaConfig(**_rotary(size))


def _gpt2(transformers: Any, size: int, layers: int = LAYERS) -> Any:
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return transformers.GPT2Config(
        vocab_size=size, n_positions=POSITIONS, n_embd=HIDDEN, n_layer=layers, n_head=HEADS, **ids
    )


def _bloom(transformers: Any, size: int) -> Any:
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return transformers.BloomConfig(vocab_size=size, hidden_size=HIDDEN, n_layer=LAYERS, n_head=HEADS, **ids)


def _rotary(size: int) -> dict[str, Any]:
    return {
        "vocab_size": size,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS // 2,
        "max_position_embeddings": POSITIONS,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


TOYS: dict[str, Callable[[Any, int], Any]] = {
    "toy-mistral": _mistral,
    "toy-llama": _llama,
    "toy-gpt2": _gpt2,
    "toy-gpt2-medium": functools.partial(_gpt2, layers=2 * LAYERS),
    "toy-bloom": _bloom,
}


def make(name: str, folder: Path) -> None:
    """Write a toy as Transformers saves a model: config, safetensors, tokenizer. Needs torch and transformers."""
    import torch
    import transformers

    made = _tokenizer()
    config = TOYS[name](transformers, len(made))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    made.save_pretrained(folder)


def _tokenizer() -> Any:
    """Bytes, and pairs of bytes that are one Arabic letter, mark or digit."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    shown = _byte_letters()
    pairs = [(shown[first], shown[second]) for first, second in (letter.encode() for letter in LETTERS)]
    tokens = [*SPECIAL, *shown, *(first + second for first, second in pairs)]
    raw = Tokenizer(models.BPE(vocab={token: place for place, token in enumerate(tokens)}, merges=pairs))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token=PAD, bos_token=BOS, eos_token=EOS)


def _byte_letters() -> list[str]:
    """The letter that stands for each byte in byte-level tokenizers (GPT-2's table): itself where it can be seen."""
    seen = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = itertools.count(256)
    return [chr(byte) if byte in seen else chr(next(others)) for byte in range(256)]
