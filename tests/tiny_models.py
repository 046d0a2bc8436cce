"""Tokenizers and models small enough for tests: random weights, a vocabulary learnt from a few lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from mashq.rows import conform, source_ids
from mashq.train import TrainSettings

LINES = [
    "كَتَبَ الوَلَدُ الدَّرْسَ، ثُمَّ قَرَأَهُ أَمَامَ المُعَلِّمِ.",
    "ذهبت البنت إلى المدرسة في الصباح، وعادت إلى البيت قبل الغروب.",
    "ما عاصمة المغرب؟ عاصمة المغرب هي الرباط.",
    "Once upon a time there was a small boat. user: assistant: model system",
    "كان يا ما كان، في قديم الزمان، ملك حكيم يحب العدل.",
]
SPECIAL = ["<pad>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TRIMMED = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def tokenizer(special: list[str] | None = None, template: str | None = None) -> Any:
    """A byte-level tokenizer whose pre-tokeniser keeps marks with their letters (\\p{M} in the word class)."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = SPECIAL if special is None else special
    raw = Tokenizer(models.BPE())
    words = Regex(r" ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s+")
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        LINES * 3,
        trainers.BpeTrainer(vocab_size=480, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    names = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>"}
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        additional_special_tokens=special,
        **{name: token for name, token in names.items() if token in special},
    )
    made.chat_template = template
    return made


def model(family: str = "gemma3", vocabulary: int = 512, **changes: Any) -> Any:
    """A seeded random model of two layers in fp32."""
    import torch
    from transformers import AutoModelForCausalLM, Gemma3TextConfig, GPT2Config, LlamaConfig

    torch.manual_seed(0)
    small: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
    }
    small |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512}
    small |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config: Any
    if family == "gemma3":
        config = Gemma3TextConfig(
            **small, head_dim=8, sliding_window=12, layer_types=["sliding_attention", "full_attention"]
        )
    elif family == "llama":
        config = LlamaConfig(**small)
    else:
        config = GPT2Config(
            vocab_size=vocabulary,
            n_embd=32,
            n_layer=2,
            n_head=4,
            n_positions=512,
            bos_token_id=1,
            eos_token_id=2,
            resid_pdrop=0.0,  # so that runs of other shapes compare
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        )
    for name, value in changes.items():
        setattr(config, name, value)
    made = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():  # random but not nearly uniform, so that a wrong mask or label shows in the loss
        made.get_output_embeddings().weight.mul_(8)
    return made.eval()


def folder(path: Path, family: str = "gemma3", template: str | None = None) -> Path:
    """A model and its tokenizer saved as Transformers saves them."""
    made = tokenizer(template=template)
    model(family, len(made)).save_pretrained(path)
    made.save_pretrained(path)
    return path


def rows(count: int, **columns: Any) -> pa.Table:
    """Prompt rows with one reference each, of different lengths."""
    turns = [[{"role": "user", "content": f"{i}: {LINES[i % 5]}"}] for i in range(count)]
    references = [[LINES[(i + 1) % 5][: 12 + 7 * (i % 6)]] for i in range(count)]
    given = {"id": source_ids("tiny", "1", n=count), "messages": turns, "references": references}
    return conform({**given, **columns})


# --- trainings of them -----------------------------------------------------------------------------------------------


def quick(student: Path, **changes: Any) -> TrainSettings:
    """Settings for a training of seconds, in fp32."""
    given: dict[str, Any] = {"model": str(student), "rank": 4, "rows_per_batch": 4, "lr_peak": 1e-2, "warmup": 2}
    given |= {"epochs": 2, "precision": "fp32", "save_every": 3, "seed": 7}
    return TrainSettings(**{**given, **changes})


def log_of(out: Path) -> list[dict[str, Any]]:
    """The lines of a training's log."""
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def weights_of(out: Path) -> bytes:
    """The one file of weights that a training left."""
    (path,) = sorted(out.glob("*/*.safetensors"))
    return path.read_bytes()
