"""Texts and models for `metrics.py`'s comparison of BERTScore: seeded texts and seeded random weights, made here."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

WORDS = "ألم صداع حرارة سعال معدة ظهر ركبة دواء طبيب فحص تحليل دم ضغط سكري طفل حامل نوم تعب راجع ماء".split()  # noqa: SIM905


def texts(number: int, seed: int) -> list[str]:
    """Texts of 5 to 60 words, seeded; a fifth of them stand twice."""
    draw = random.Random(seed)
    made = [" ".join(draw.choices(WORDS, k=draw.randint(5, 60))) for _ in range(number)]
    return [draw.choice(made) if draw.random() < 0.2 else text for text in made]


def model(folder: Path, family: str, width: int = 64, layers: int = 4) -> Path:
    """A seeded random model and its tokenizer, as Transformers saves them."""
    import tokenizers as tk
    import torch
    import transformers as tf

    torch.manual_seed(0)
    small: dict[str, Any] = {"vocab_size": 512, "hidden_size": width, "num_hidden_layers": layers}
    small |= {"num_attention_heads": 4, "intermediate_size": 2 * width, "max_position_embeddings": 514}
    small |= {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    configs: dict[str, Any] = {
        "bert": lambda: tf.BertConfig(**small),
        "roberta": lambda: tf.RobertaConfig(**small, type_vocab_size=1, classifier_dropout=0.1),
        "gemma3": lambda: tf.Gemma3TextConfig(**small, num_key_value_heads=2, head_dim=16),
        "llama": lambda: tf.LlamaConfig(**small, num_key_value_heads=2),
    }
    made = tf.AutoModel.from_config(configs[family](), dtype=torch.float32)
    with torch.no_grad():  # random but not nearly uniform, so that a wrong layer shows
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn(parameter.shape) * 0.1)
    made.save_pretrained(folder)
    raw = tk.Tokenizer(tk.models.BPE())
    raw.pre_tokenizer = tk.pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = tk.pre_tokenizers.ByteLevel.alphabet()
    trainer = tk.trainers.BpeTrainer(
        vocab_size=480, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    names = {"pad_token": "<pad>", "unk_token": "<unk>"}
    if family in ("bert", "roberta"):
        raw.post_processor = tk.processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
        names |= {"cls_token": "<s>", "sep_token": "</s>"}
    else:
        names |= {"bos_token": "<s>", "eos_token": "</s>"}
    tf.PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=512, **names).save_pretrained(folder)
    return folder
