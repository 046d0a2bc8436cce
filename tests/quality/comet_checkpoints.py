"""Small COMET checkpoints in the layout of the published ones, and what unbabel-comet says about them.

Weights are drawn from a seed and the vocabulary is counted from the texts below, so every machine builds the same
checkpoints. `golden` is run once, by a Python that has unbabel-comet 2.2.7 (it pins transformers<5 and numpy<2):

    python tests/quality/comet_checkpoints.py golden tests/quality/comet_golden.json

builds them in a temporary folder, lets `load_from_checkpoint` and `predict` read the very same files, and writes
scores, token ids and the hashes of what was built.
"""

from __future__ import annotations

import argparse
import collections
import functools
import hashlib
import io
import json
import struct
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

COMMAND = "python tests/quality/comet_checkpoints.py golden tests/quality/comet_golden.json"
POSITIONS = 64  # tokens that fit; real encoders have 512
LONG_ENGLISH = "The committee met on Monday and wrote down what each of the members had said. " * 3
LONG_ARABIC = "اجتمعت اللجنة يوم الاثنين ودونت ما قاله كل عضو من أعضائها في الجلسة. " * 3

# (source, translation): good, bad, vocalised, stretched, decomposed, with marks of the vocabulary, empty, too long.
PAIRS = [
    ("The boy went to school in the morning.", "ذهب الولد إلى المدرسة في الصباح."),
    ("The boy went to school in the morning.", "ارتفعت أسعار النفط أمس بعد قرار المنظمة."),
    ("The boy went to school in the morning.", "The boy went to school in the morning."),
    ("How many people live in Rabat?", "كم عدد سكان الرباط؟"),
    ("How many people live in Rabat?", "كَمْ عَدَدُ سُكَّانِ الرِّبَاطِ؟"),
    ("How many people live in Rabat?", "كم عـــدد سكان الربـــاط؟".replace("ـ", "\N{ARABIC TATWEEL}")),
    ("The Koran was revealed in Arabic.", "نزل القرآن بالعربية."),
    ("The Koran was revealed in Arabic.", "نزل القرا\N{ARABIC MADDAH ABOVE}ن بالعربية."),
    ("It costs 1,250 dirhams, tax included.", "ثمنه ١٬٢٥٠ درهماً شاملاً الضريبة."),
    ("It costs 1,250 dirhams, tax included.", "ثمنه 1.250 درهم."),
    ("Peace be upon him.", "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}"),
    ("No.", "لا."),
    ("No.", ""),
    ("", "لا."),
    ("", ""),
    ("Two  spaces,\ta tab\nand a line ", "  مسافتان وعلامة جدولة وسطر  "),
    ("The mark <pad> and the mark </s> are written here.", "هنا علامة <pad> وعلامة <mask> وعلامة <unk>."),
    ("Well done \N{PARTY POPPER}\N{PARTY POPPER} 中文 ßtraße", "أحسنت \N{PARTY POPPER} \N{SNOWMAN}"),
    (LONG_ENGLISH, "اجتمعت اللجنة."),
    ("The committee met.", LONG_ARABIC),
    (LONG_ENGLISH, LONG_ARABIC),
    (LONG_ENGLISH * 2, "اجتمعت اللجنة."),
    (LONG_ENGLISH * 2, LONG_ARABIC * 2),
]

KIWI: dict[str, Any] = {
    "class_identifier": "unified_metric",
    "encoder_model": "XLM-RoBERTa",
    "activations": "Tanh",
    "final_activation": None,
    "hidden_sizes": [24, 12],
    "input_segments": ["mt", "src"],
    "layer": "mix",
    "layer_norm": False,
    "layer_transformation": "sparsemax",
    "pool": "avg",
    "sent_layer": "mix",
    "word_layer": 3,
    "word_level_training": False,
    "nr_frozen_epochs": 0.3,
    "keep_embeddings_frozen": True,
    "dropout": 0.1,
}
QE: dict[str, Any] = {
    **{key: KIWI[key] for key in ("encoder_model", "activations", "final_activation", "dropout", "nr_frozen_epochs")},
    "class_identifier": "referenceless_regression_metric",
    "hidden_sizes": [24, 12],
    "layer": "mix",
    "layer_norm": True,
    "layer_transformation": "softmax",
    "pool": "avg",
}
XL = {"encoder_model": "XLM-RoBERTa-XL"}
SEGMENTS = {"input_segments": ["mt", "src", "ref"], "word_level_training": True, "error_labels": ["BAD"]}
# name -> hparams in the checkpoint, what hparams.yaml says otherwise, the file of the tokenizer
CHECKPOINTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "cometkiwi": (KIWI, {"layer_transformation": "sparsemax_patch"}, "tokenizer.json"),
    "cometkiwi-sparse": ({**KIWI, **SEGMENTS, "layer_norm": True, "final_activation": "Sigmoid"}, {}, "tokenizer.json"),
    "cometkiwi-layer": ({**KIWI, "sent_layer": 2}, {}, "sentencepiece.bpe.model"),
    "cometkiwi-xl": ({**KIWI, **XL}, {"layer_transformation": "sparsemax_patch"}, "sentencepiece.bpe.model"),
    "comet-qe": (QE, {}, "sentencepiece.bpe.model"),
    "comet-qe-max": (
        {**QE, "pool": "max", "layer_norm": False, "layer_transformation": "sparsemax"},
        {},
        "tokenizer.json",
    ),
    "comet-qe-cls": ({**QE, "pool": "cls", "layer": 1}, {}, "tokenizer.json"),
    "comet-qe-default": ({**QE, **XL, "pool": "default"}, {}, "sentencepiece.bpe.model"),
}


def texts() -> list[str]:
    """Every text of PAIRS once, in order."""
    return list(dict.fromkeys(text for pair in PAIRS for text in pair))


# --- the vocabulary --------------------------------------------------------------------------------------------------


def pieces(extra: Sequence[str] = ()) -> list[tuple[str, float]]:
    """XLM-R's first three, then letters and beginnings and ends of words by how often they stand in the texts.

    `extra` words are pieces too, so that texts of them are as few tokens as a large vocabulary makes of real ones.
    """
    counts: collections.Counter[str] = collections.Counter()
    for word in " ".join(texts()).split():
        marked = f"▁{word}"
        counts.update(marked)
        counts.update(marked[:size] for size in range(2, min(7, len(marked)) + 1))
        counts.update(marked[-size:] for size in range(2, min(4, len(marked) - 1) + 1))
    counts["▁"] += 1
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = [(piece, count) for piece, count in ranked if (len(piece) == 1 and piece not in "中ß") or count > 1]
    found = [(piece, round(float(np.log(count / total)), 4)) for piece, count in kept]
    known = {piece for piece, _ in found}
    found += [(f"▁{word}", -5.0) for word in dict.fromkeys(extra) if f"▁{word}" not in known]
    return [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *found]


def sentencepiece_model(vocabulary: list[tuple[str, float]]) -> bytes:
    """The pieces as a serialised SentencePiece model."""
    kinds = {"<unk>": 2, "<s>": 3, "</s>": 3}
    made = b""
    for piece, score in vocabulary:
        body = _bytes(1, piece.encode()) + b"\x15" + struct.pack("<f", score) + b"\x18" + bytes([kinds.get(piece, 1)])
        made += _bytes(1, body)
    made += _bytes(2, b"\x18\x01")  # trainer_spec.model_type: unigram
    return made + _bytes(3, _bytes(1, b"nmt_nfkc") + _bytes(2, character_map()))


@functools.cache
def character_map() -> bytes:
    """That of nmt_nfkc, which XLM-R has, out of a model that SentencePiece trains from nothing much."""
    import sentencepiece

    made = io.BytesIO()
    settings = {"vocab_size": 8, "hard_vocab_limit": False, "minloglevel": 2, "normalization_rule_name": "nmt_nfkc"}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(["ab ab", "ba"]), model_writer=made, **settings)
    after = made.getvalue().partition(b"\x0a\x08nmt_nfkc\x12")[2]
    digits = next(count for count, byte in enumerate(after, 1) if byte < 0x80)  # the length, 7 bits a byte
    size = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(after[:digits]))
    return after[digits : digits + size]


def _bytes(field: int, value: bytes) -> bytes:
    """A length-delimited field on the wire."""
    size, head = len(value), bytes([field << 3 | 2])
    while size >= 0x80:
        head, size = head + bytes([size & 0x7F | 0x80]), size >> 7
    return head + bytes([size]) + value


def tokenizer_json(vocabulary: list[tuple[str, float]]) -> str:
    """The same pieces as xlm-roberta's published tokenizer.json has them: split at spaces, then marked."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    marks = [(mark, 0.0) for mark in ("<s>", "<pad>", "</s>", "<unk>")]
    made = Tokenizer(models.Unigram([*marks, *vocabulary[3:], ("<mask>", 0.0)], unk_id=3))
    made.normalizer = normalizers.Precompiled(character_map())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    added = [AddedToken(mark, normalized=False, special=True) for mark, _ in marks]
    made.add_special_tokens([*added, AddedToken("<mask>", lstrip=True, normalized=False, special=True)])
    return str(made.to_str())


# --- the checkpoints -------------------------------------------------------------------------------------------------


def encoder_folder(path: Path, kind: str, tokenizer: str, **changes: Any) -> dict[str, Any]:
    """An encoder's config.json and tokenizer, without weights, in `path`; the config comes back."""
    vocabulary = pieces(changes.pop("extra_pieces", ()))
    config = {
        "model_type": "xlm-roberta-xl" if kind.endswith("XL") else "xlm-roberta",
        "architectures": ["XLMRobertaModel"],
        "vocab_size": len(vocabulary) + 2,
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 32,
        "max_position_embeddings": POSITIONS + 2,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "hidden_act": "gelu",
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        **changes,
    }
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config), "utf-8")
    if tokenizer == "tokenizer.json":
        (path / tokenizer).write_text(tokenizer_json(vocabulary), "utf-8")
    else:
        (path / tokenizer).write_bytes(sentencepiece_model(vocabulary))
    return config


def encoder_tensors(kind: str, config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of an encoder's tensors, in a fixed order."""
    import transformers

    family = "XLMRobertaXL" if kind.endswith("XL") else "XLMRoberta"
    settings = getattr(transformers, f"{family}Config")(**config)
    model = getattr(transformers, f"{family}Model")(settings, add_pooling_layer=False)
    return {name: tuple(model.state_dict()[name].shape) for name in sorted(dict(model.named_parameters()))}


def state_dict(hparams: dict[str, Any], config: dict[str, Any], seed: int) -> dict[str, Any]:
    """Seeded tensors under the names that unbabel-comet gives them, with the unused ones that old checkpoints have."""
    import torch

    generator = np.random.default_rng(seed)
    width, depth = config["hidden_size"], config["num_hidden_layers"] + 1
    shapes = {
        f"encoder.model.{name}": shape for name, shape in encoder_tensors(hparams["encoder_model"], config).items()
    }
    sizes = [width * (1 if hparams["class_identifier"] == "unified_metric" else 4), *hparams["hidden_sizes"], 1]
    for place in range(len(sizes) - 1):
        shapes[f"estimator.ff.{3 * place}.weight"] = (sizes[place + 1], sizes[place])
        shapes[f"estimator.ff.{3 * place}.bias"] = (sizes[place + 1],)
    made = {name: drawn(generator, name, shape) for name, shape in shapes.items()}
    if "mix" in (hparams.get("sent_layer"), hparams["layer"]):
        made["layerwise_attention.gamma"] = np.array([1.3])
        for layer in range(depth):
            made[f"layerwise_attention.scalar_parameters.{layer}"] = generator.uniform(-0.9, 0.9, 1)
        made["layerwise_attention.dropout_mask"] = np.zeros(depth)
        made["layerwise_attention.dropout_fill"] = np.full(depth, -1e20)
    if hparams.get("word_level_training"):
        made["hidden2tag.weight"], made["hidden2tag.bias"] = np.zeros((2, width)), np.zeros(2)
    made["encoder.model.pooler.dense.weight"], made["encoder.model.pooler.dense.bias"] = np.eye(width), np.ones(width)
    tensors = {name: torch.tensor(value, dtype=torch.float32) for name, value in made.items()}
    tensors["encoder.model.embeddings.position_ids"] = torch.arange(config["max_position_embeddings"])[None]
    return tensors


def drawn(generator: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Wide enough that scores of different pairs differ in their first decimals."""
    if "LayerNorm.weight" in name or "layer_norm.weight" in name:
        return generator.uniform(0.7, 1.3, shape)
    if len(shape) == 1:
        return generator.uniform(-0.2, 0.2, shape)
    limit = 1.0 if "embeddings" in name else 2.0 / np.sqrt(shape[1])
    return generator.uniform(-limit, limit, shape)


def build(folder: Path, name: str, **changes: Any) -> Path:
    """One of CHECKPOINTS in `folder/name`, its encoder's config and tokenizer in `folder/name-encoder`."""
    hparams, said_otherwise, tokenizer = CHECKPOINTS[name]
    encoder, home = folder / f"{name}-encoder", folder / name
    config = encoder_folder(encoder, hparams["encoder_model"], tokenizer, **changes)
    hparams = {**hparams, "pretrained_model": str(encoder)}
    return write(home, hparams, said_otherwise, state_dict(hparams, config, seed=len(name)))


def write(home: Path, hparams: dict[str, Any], said_otherwise: dict[str, Any], tensors: dict[str, Any]) -> Path:
    """The layout of a published checkpoint: hparams.yaml, checkpoints/model.ckpt, README.md."""
    import torch

    (home / "checkpoints").mkdir(parents=True, exist_ok=True)
    (home / "hparams.yaml").write_text(json.dumps({**hparams, **said_otherwise}), "utf-8")  # JSON is YAML
    (home / "README.md").write_text("---\nlicense: cc-by-nc-sa-4.0\n---\nRandom weights for tests.\n", "utf-8")
    given = {key: value for key, value in hparams.items() if key != "class_identifier" or "layer" not in hparams}
    checkpoint = {
        "epoch": 1,
        "global_step": 10,
        "pytorch-lightning_version": "1.8.2",
        "state_dict": tensors,
        "hparams_name": "kwargs",
        "hyper_parameters": given,
    }
    torch.save(checkpoint, home / "checkpoints" / "model.ckpt")
    return home


def weights_hash(home: Path) -> str:
    """16 hexadecimal digits of every tensor and of the tokenizer: equal where the same checkpoint was built."""
    import torch

    read = torch.load(home / "checkpoints" / "model.ckpt", weights_only=True)
    digest = hashlib.sha256()
    for name, tensor in sorted(read["state_dict"].items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
    digest.update(json.dumps(pieces(), ensure_ascii=False).encode())
    return digest.hexdigest()[:16]


# --- unbabel-comet ---------------------------------------------------------------------------------------------------


def oracle(folder: Path, name: str, **changes: Any) -> dict[str, Any]:
    """What unbabel-comet makes of a checkpoint: scores of PAIRS, ids of their texts, and what was built."""
    import comet

    home = build(folder, name, **changes)
    model = comet.load_from_checkpoint(str(home / "checkpoints" / "model.ckpt"), local_files_only=True)
    samples = [{"src": source, "mt": translation} for source, translation in PAIRS]
    scores = model.predict(samples, batch_size=4, gpus=0, progress_bar=False, num_workers=0).scores
    ids = [model.encoder.tokenizer(text)["input_ids"] for text in texts()]
    return {"weights": weights_hash(home), "scores": [round(score, 7) for score in scores], "ids": ids}


def golden() -> dict[str, Any]:
    """Every checkpoint's, with the command and the versions that made them."""
    packages = ("unbabel-comet", "transformers", "tokenizers", "sentencepiece", "torch", "numpy")
    with tempfile.TemporaryDirectory() as folder:
        found = {name: oracle(Path(folder), name) for name in CHECKPOINTS}
    return {"command": COMMAND, "versions": {name: version(name) for name in packages}, "checkpoints": found}


def main() -> None:
    """Write the golden file, or build one checkpoint to look at."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["golden", "build"])
    parser.add_argument("path", type=Path)
    options = parser.parse_args()
    if options.what == "golden":
        text = json.dumps(golden(), ensure_ascii=False)
        options.path.write_text(
            text.replace('{"weights"', '\n{"weights"').replace('"scores"', '\n"scores"') + "\n", "utf-8"
        )
    else:
        for name in CHECKPOINTS:
            print(build(options.path, name), file=sys.stderr)


if __name__ == "__main__":
    main()
