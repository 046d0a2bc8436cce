"""BERTScore beside the package bert_score: equal numbers first, then speed.

    python benchmarks/bertscore.py --peer PYTHON                 # prints the page
    python benchmarks/bertscore.py --peer PYTHON --write docs/benchmarks/bertscore.md

PYTHON has bert-score, in its own environment. Both sides get the same texts and the same random models, written here:
BERT, RoBERTa, and a causal Gemma 3 and Llama. The causal ones are given to bert_score a pair at a time, since it puts 0
for a cosine below 0 where a batch is padded. Times are CPU seconds without loading, one thread each.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from sheet import give, machine

from mashq.encode import open_token_encoder
from mashq.metrics.bertscore import bertscore_items
from mashq.rows import MashqError, expected_got

PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
MOST = 1e-6  # the largest difference that passes for equal
WORDS = "ألم صداع حرارة سعال معدة ظهر ركبة دواء طبيب فحص تحليل دم ضغط سكري طفل حامل نوم تعب راجع ماء".split()  # noqa: SIM905
JOBS = (("bert", 1), ("bert", 3), ("roberta", 2), ("gemma3", 1), ("llama", 2))
PEER = """
import json, sys, time, torch
from bert_score import BERTScorer
torch.set_num_threads(1)
job = json.load(open(sys.argv[1]))
scorer = BERTScorer(model_type=job["folder"], num_layers=job["layer"], device="cpu", batch_size=64, nthreads=0)
if job["idf"]:
    scorer._idf, scorer._idf_dict = True, None
    scorer.compute_idf(job["references"])
size = 1 if job["alone"] else len(job["replies"])
found = [[], [], []]
started = time.process_time()
for first in range(0, len(job["replies"]), size):
    part = scorer.score(job["replies"][first : first + size], job["references"][first : first + size])
    for kept, values in zip(found, part):
        kept += values.tolist()
print(json.dumps({"seconds": time.process_time() - started, "found": found}))
"""


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


def beside(peer: str, folder: Path, layer: int, pairs: int, *, idf: bool, alone: bool) -> tuple[float, float, float]:
    """(largest difference of P, R, F over all pairs, our CPU seconds, the package's)."""
    import torch

    torch.set_num_threads(1)
    replies, references = texts(pairs, 1), texts(pairs, 2)
    job = {"folder": str(folder), "layer": layer, "idf": idf, "alone": alone, "replies": replies}
    file = folder / "job.json"
    file.write_text(json.dumps({**job, "references": references}), "utf-8")
    ran = subprocess.run([peer, "-c", PEER, str(file)], capture_output=True, text=True)
    if ran.returncode:
        raise MashqError(expected_got(f"--peer {peer}", "a Python with bert-score", ran.stderr.strip()[-300:]))
    theirs = json.loads(ran.stdout.splitlines()[-1])
    encoder = open_token_encoder(str(folder), layer)
    encoder.vectors(encoder.tokens(["ألم"])[0])  # loaded before the clock starts, as the package's is
    started = time.process_time()
    ours = bertscore_items(replies, [[text] for text in references], encoder, idf=idf)
    seconds = time.process_time() - started
    different = max(
        abs(item[part] - theirs["found"][part][place]) for place, item in enumerate(ours) for part in range(3)
    )
    return different, seconds, theirs["seconds"]


def page(peer: str, pairs: int) -> str:
    """The whole page as Markdown."""
    lines = [
        "# BERTScore beside bert_score",
        "",
        machine(*PACKAGES),
        "",
        "| model | layer | idf | pairs | largest difference | ours, CPU s | bert_score, CPU s | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as place:
        for family in dict(JOBS):
            model(Path(place) / family, family)
        for family, layer in JOBS:
            alone = family in ("gemma3", "llama")
            number = min(pairs, 40) if alone else pairs
            for idf in (False, True):
                different, ours, theirs = beside(peer, Path(place) / family, layer, number, idf=idf, alone=alone)
                if different > MOST:
                    raise MashqError(expected_got(f"{family}, layer {layer}", f"<= {MOST}", f"{different:.1e}"))
                timed = f"{ours:.2f} | {theirs:.2f} | {theirs / ours:.1f}" if not alone else "- | - | -"
                lines.append(
                    f"| {family} | {layer} | {'yes' if idf else 'no'} | {number} | {different:.1e} | {timed} |"
                )
    lines += ["", "Causal models run a pair at a time in bert_score, so their times do not compare."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="a Python with bert-score")
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    give(page(args.peer, args.pairs), args.write)


if __name__ == "__main__":
    main()
