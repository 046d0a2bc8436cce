"""Training: losses equal to TRL's step by step, then tokens a second and memory beside it, on CPU.

    python benchmarks/training.py --peer peers/bin/python                 # prints the page
    python benchmarks/training.py --peer peers/bin/python --write docs/benchmarks/training.md

TRL lives in an environment of its own:

    python -m venv peers && peers/bin/pip install torch==2.13.0 trl==1.16.0 transformers==5.23.0 peft==0.21.2 datasets

Both train the same LoRA adapter (PEFT's, the same first values) on the same model and the same rows, which are cut into
tokens and labels here and handed to both. First in fp32 on the same batches in the same order: losses of every step are
compared. Then for time, --repeats times in turn, each in a process of its own with --threads threads: mashq as it is;
TRL on the very same batches; TRL as it comes, with rows in random order. Tokens are those of the rows, without padding.
The model of 12 M weights has a Llama's shape and random weights; that of 270 M is Gemma 3, from `mashq[demo]`.

    python benchmarks/training.py --gpu      # models of 7 to 8 B weights; without a GPU it says what it would run
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import sheet

RANK, ALPHA = 8, 16
HERE = Path(__file__).parent
SIZES = {"12 M": "small", "270 M": "gemma3-270m"}
CONTENDERS = ("mashq", "mashq, packed", "TRL, the same batches", "TRL as it comes")
WORDS = (
    "كان في قديم الزمان ملك حكيم يحب العدل ويسمع شكوى الناس كل صباح في ساحة المدينة ثم خرج الصياد إلى البحر ومعه شبكته "
    "وقاربه الصغير وجلست الجدة تحكي للأطفال حكاية طويلة عن الغابة والأسد والأرنب الذكي"
)


# --- what both are given ---------------------------------------------------------------------------------------------


def small_model(folder: Path) -> Path:
    """A Llama of 12 M weights with random values and the tokenizer of the toys."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from mashq.lm.weights import weights

    made = AutoTokenizer.from_pretrained(weights("toy-llama"))
    config = LlamaConfig(
        vocab_size=len(made),
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=7,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=2048,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    made.save_pretrained(folder)
    return folder


def adapter(model: Path, folder: Path) -> Path:
    """LoRA on every linear layer; both sides begin with these values, none of them zero."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    made = get_peft_model(AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), config)
    with torch.no_grad():
        for name, value in made.named_parameters():
            if "lora_B" in name:
                value.normal_(std=0.01)
    made.save_pretrained(str(folder), save_embedding_layers=False)
    return folder


def written_rows(count: int, most_words: int) -> Any:
    """Prompts and stories of words put together by chance: their lengths matter here, their sense does not."""
    from mashq.rows import conform, source_ids

    draw, words = random.Random(0), WORDS.split()

    def text(least: int, most: int) -> str:
        return " ".join(draw.choices(words, k=draw.randint(least, most)))

    turns = [[{"role": "user", "content": text(8, 40)}] for _ in range(count)]
    references = [[text(most_words // 6, most_words)] for _ in range(count)]
    return conform({"id": source_ids("bench", "1", n=count), "messages": turns, "references": references})


def prepared(folder: Path, name: str, rows: int, most_words: int, batch: int) -> dict[str, Any]:
    """Model, adapter and two files of the same rows: in our order, and as they come."""
    from mashq import chat
    from mashq.lm.weights import load, weights
    from mashq.train.rows import bucketed, examples

    model = small_model(folder / "model") if name == "small" else Path(weights(name))
    _, tokenizer = load(str(model), dtype="float32")
    table = written_rows(rows, most_words)
    made, refused = examples(table, tokenizer, chat.frame_for(tokenizer), max_tokens=2048)
    assert not refused
    order = bucketed([len(one.ids) for one in made], batch, 7, 0)
    files = {"ordered": [made[place] for place in order], "plain": made}
    for kind, members in files.items():
        lines = [json.dumps({"input_ids": one.ids, "labels": one.labels}) for one in members]
        (folder / f"{kind}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    import pyarrow.parquet as pq

    pq.write_table(table, folder / "rows.parquet")
    lengths = [len(one.ids) for one in made]
    return {
        "model": str(model),
        "adapter": str(adapter(model, folder / "adapter")),
        "folder": str(folder),
        "tokens": sum(lengths),
        "longest": max(lengths),
    }


# --- one run ---------------------------------------------------------------------------------------------------------


def ours(job: dict[str, Any]) -> dict[str, Any]:
    """mashq's own training in this process."""
    import pyarrow.parquet as pq
    import torch

    import mashq.train.start as start
    from mashq.train import TrainSettings, train

    torch.set_num_threads(job["threads"])

    def with_given_adapter(model: Any, tokenizer: Any, settings: Any, before: Any) -> Any:
        from peft import PeftModel

        return PeftModel.from_pretrained(model, job["adapter"], is_trainable=True)

    if job["adapter"]:
        start._with_adapter = with_given_adapter
    settings = TrainSettings(
        model=job["model"],
        rank=RANK,
        alpha=ALPHA,
        lr_peak=job["lr"],
        warmup=job["warmup"],
        steps=job["steps"],
        rows_per_batch=job["rows_per_batch"],
        max_tokens=LENGTH,
        precision=job["precision"],
        recompute=job.get("recompute", False),
        packing=job["packing"],
        save_every=10_000,
        seed=7,
    )
    lines: list[Any] = []
    train(settings, pq.read_table(job["rows"]), Path(job["out"]), on_step=lines.append)
    return {
        "losses": [line["loss"] for line in lines],
        "seconds": [line["seconds"] for line in lines],
        "tokens": [line["tokens"] for line in lines],
        "padded": [line["padded_tokens"] for line in lines],
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "gpu": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0,
    }


def run(contender: str, given: dict[str, Any], peer: str, **about: Any) -> dict[str, Any]:
    """One contender in a process of its own."""
    folder = Path(given["folder"])
    with tempfile.TemporaryDirectory() as out:
        mine = contender.startswith("mashq")
        kind = "plain" if contender == "TRL as it comes" else "ordered"
        rows = folder / "rows.parquet" if mine else folder / f"{kind}.jsonl"
        options = {} if kind == "plain" else {"train_sampling_strategy": "sequential"}
        job = {**about, "model": given["model"], "adapter": given["adapter"], "rows": str(rows), "out": f"{out}/run"}
        job |= {"packing": contender == "mashq, packed", "options": options}
        (Path(out) / "job.json").write_text(json.dumps(job), encoding="utf-8")
        script = [sys.executable, __file__, "--worker"] if mine else [peer, str(HERE / "training_trl.py")]
        environment = {**os.environ, "OMP_NUM_THREADS": str(about["threads"]), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            [*script, f"{out}/job.json"], capture_output=True, text=True, check=False, env=environment
        )
        if done.returncode:
            raise SystemExit(f"{contender}: {done.stderr[-2000:]}")
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))


# --- the page --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Row:
    contender: str
    rates: list[float]  # tokens a second
    peaks: list[int]  # bytes
    padding: float

    def line(self, base: float) -> str:
        rate, peak = statistics.median(self.rates), statistics.median(self.peaks)
        spread = f"{min(self.rates):,.0f}-{max(self.rates):,.0f}"
        return (
            f"| {self.contender} | {rate:,.0f} ({spread}) | {rate / base:.2f} | {peak / 1e9:.2f} | {self.padding:.1%} |"
        )


def rate(found: dict[str, Any]) -> float:
    """Tokens of rows a second, the first step (which warms up) left out."""
    return sum(found["tokens"][1:]) / sum(found["seconds"][1:])


def measured(given: dict[str, Any], options: argparse.Namespace, steps: int, batch: int, precision: str) -> list[Row]:
    about = {"threads": options.threads, "lr": 2e-4, "warmup": 2, "steps": steps, "rows_per_batch": batch}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    for _ in range(options.repeats):
        for name in CONTENDERS:
            found[name].append(run(name, given, options.peer, precision=precision, **about))
            print(name, f"{rate(found[name][-1]):,.0f}", file=sys.stderr)
    return [
        Row(
            name,
            [rate(one) for one in several],
            [one["peak"] for one in several],
            1 - sum(several[0]["tokens"]) / sum(several[0]["padded"]),
        )
        for name, several in found.items()
    ]


def page(options: argparse.Namespace) -> str:
    lines = [
        "# Training, beside TRL",
        "",
        f"Made by `python benchmarks/training.py --peer peers/bin/python --repeats {options.repeats} --threads"
        f" {options.threads}`.",
        "",
        f"* Machine: {sheet.machine('torch', 'transformers', 'peft')}; trl 1.16.0 with the same three. The machine was"
        " shared with other work.",
        f"* LoRA, rank {RANK}, on every linear layer; AdamW; {options.threads} threads. Rows are made of words by"
        " chance, of very different lengths, as instructions are.",
        "* Tokens a second are tokens of rows, padding not counted; median, least and most of the repeats. The ratio is"
        " to TRL as it comes.",
        "",
    ]
    for size, name in SIZES.items():
        if options.only not in (None, size):
            continue
        count, words, batch, steps = (64, 120, 8, 6) if name == "small" else (24, 120, 4, 5)
        with tempfile.TemporaryDirectory() as place:
            given = prepared(Path(place), name, count, words, batch)
            few = {"threads": options.threads, "lr": 2e-4, "warmup": 2, "steps": 4, "rows_per_batch": batch}
            one, two = (
                run(who, given, options.peer, precision="fp32", **few) for who in (CONTENDERS[0], CONTENDERS[2])
            )
            far = max(abs(a - b) for a, b in zip(one["losses"], two["losses"], strict=True))
            print(size, "fp32 difference", far, file=sys.stderr)
            rows = measured(given, options, steps, batch, options.precision)
        base = statistics.median(rows[-1].rates)
        lines += [
            f"## {size} weights",
            "",
            f"{count} rows, {given['tokens']:,} tokens, the longest {given['longest']:,}; {batch} rows a batch.",
            "",
            f"**Equal first**: fp32, the same batches, 4 steps: losses differ by at most {far:.1e}"
            f" ({', '.join(f'{loss:.6f}' for loss in one['losses'])}).",
            "",
            f"{options.precision}, {steps} steps, {options.repeats} repeats in turn:",
            "",
            "| | tokens/s | ratio | peak memory, GB | padding |",
            "|---|---|---:|---:|---:|",
            *(row.line(base) for row in rows),
            "",
        ]
    return "\n".join(lines)


# --- on a GPU --------------------------------------------------------------------------------------------------------

SHAPES = {
    "Qwen2.5-7B": {
        "kind": "qwen2",
        "hidden": 3584,
        "inner": 18944,
        "layers": 28,
        "heads": 28,
        "shared": 4,
        "words": 152064,
    },
    "Llama-3-8B": {
        "kind": "llama",
        "hidden": 4096,
        "inner": 14336,
        "layers": 32,
        "heads": 32,
        "shared": 8,
        "words": 128256,
    },
}
ANCHORS = {"Qwen2.5-7B": 14_110, "Llama-3-8B": 12_473}  # tokens/s, NVIDIA NeMo AutoModel, one H100
LENGTH, BATCH, STEPS = 4096, 1, 8
GPU_RUNS = [(name, recompute) for name in SHAPES for recompute in (False, True)]


def large_model(folder: Path, name: str) -> Path:
    """A model of that shape with random weights in bf16, drawn on the GPU, and the tokenizer of the toys."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from mashq.lm.weights import weights

    shape = SHAPES[name]
    config = AutoConfig.for_model(
        shape["kind"],
        vocab_size=shape["words"],
        hidden_size=shape["hidden"],
        intermediate_size=shape["inner"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["shared"],
        max_position_embeddings=LENGTH,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    with torch.device("cuda"):
        made = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    made.save_pretrained(folder)
    AutoTokenizer.from_pretrained(weights("toy-llama")).save_pretrained(folder)
    return folder


def long_rows() -> Any:
    """Rows of nearly `LENGTH` tokens: a letter is a token of the toys' tokenizer."""
    from mashq.rows import conform, source_ids

    count = BATCH * STEPS
    turns = [[{"role": "user", "content": "اكتب."}] for _ in range(count)]
    text = (WORDS * (LENGTH // len(WORDS) + 1))[: LENGTH - 40]
    return conform({"id": source_ids("bench", "1", n=count), "messages": turns, "references": [[text]] * count})


def on_gpu(options: argparse.Namespace) -> str:
    """The page of the GPU; what it would hold, where there is none."""
    import torch

    anchors = ", ".join(f"{name}: {number:,}" for name, number in ANCHORS.items())
    if not torch.cuda.is_available():
        told = [
            f"* {name}, random weights, LoRA, bf16, rows of {LENGTH:,} tokens, recompute={on}" for name, on in GPU_RUNS
        ]
        return "\n".join(["There is no GPU here. With one this would run, beside TRL:", *told, f"Anchors: {anchors}."])
    lines = [
        "# Training on one GPU",
        "",
        f"{torch.cuda.get_device_name()}; {sheet.machine('torch', 'transformers', 'peft')}.",
        f"Random weights, LoRA of rank {RANK},",
        f"bf16, rows of {LENGTH:,} tokens. NVIDIA NeMo AutoModel on one H100, tokens/s: {anchors}.",
        "",
        "| model | recompute | | tokens/s | TFLOP/s | peak memory, GB |",
        "|---|---|---|---:|---:|---:|",
    ]
    for name in SHAPES:
        with tempfile.TemporaryDirectory() as place:
            lines += _gpu_rows(Path(place), name, options)
    return "\n".join([*lines, ""])


def _gpu_rows(folder: Path, name: str, options: argparse.Namespace) -> list[str]:
    import pyarrow.parquet as pq

    from mashq import chat
    from mashq.lm.weights import weights
    from mashq.train.cost import config_of, model_facts, skeleton, token_flops
    from mashq.train.rows import examples

    model, table = large_model(folder / "model", name), long_rows()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(weights("toy-llama"))
    made, _ = examples(table, tokenizer, chat.frame_for(tokenizer), max_tokens=LENGTH)
    pq.write_table(table, folder / "rows.parquet")
    told = [json.dumps({"input_ids": one.ids, "labels": one.labels}) for one in made]
    (folder / "ordered.jsonl").write_text("\n".join(told) + "\n", encoding="utf-8")
    given = {"model": str(model), "adapter": "", "folder": str(folder)}
    facts = model_facts(skeleton(config_of(str(model)), method="lora", rank=RANK))
    about = {"threads": 8, "lr": 1e-5, "warmup": 2, "steps": STEPS, "rows_per_batch": BATCH, "precision": "bf16"}
    lines = []
    for recompute in (False, True):
        for who in ("mashq", *(("TRL, the same batches",) if options.peer else ())):
            found = run(who, given, options.peer, recompute=recompute, **about)
            speed = rate(found)
            work = speed * sum(token_flops(facts, [LENGTH], recompute=recompute)) / 1e12
            lines.append(f"| {name} | {recompute} | {who} | {speed:,.0f} | {work:,.0f} | {found['gpu'] / 1e9:.1f} |")
            print(lines[-1], file=sys.stderr)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="the python of the environment that holds TRL")
    parser.add_argument("--only", choices=tuple(SIZES), help="one of the two models")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="bf16", choices=("bf16", "fp32"))
    parser.add_argument("--gpu", action="store_true", help="models of 7 to 8 B weights on one GPU")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help="write the page to this file")
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(ours(json.loads(Path(options.worker).read_text(encoding="utf-8")))))
    elif options.gpu:
        sheet.give(on_gpu(options), options.write)
    elif not options.peer:
        parser.error("--peer: name the python of the environment that holds TRL")
    else:
        sheet.give(page(options), options.write)


if __name__ == "__main__":
    main()
