"""Ours beside lm-evaluation-harness: multiple choice, replies and rolling likelihood on the same local models.

    python benchmarks/lm_eval.py --peer PEER/bin/python                        # prints the page
    python benchmarks/lm_eval.py --peer PEER/bin/python --embedded 40 --write docs/benchmarks/lm_eval.md

PEER is an environment with lm_eval (`pip install lm_eval`, torch, transformers). Both sides load the same folder in
float32 on the CPU and read the same files: a test set that `mashq.export` wrote, and the harness's own task `aexams`
(its YAML, its prompt, its choices) over questions of a local file in the shape of $MASHQ_DATA/exams_ar.jsonl; without
that file over questions of this script. Equality is the subject; CPU seconds are shown beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from sheet import give, machine, with_page

from mashq import lm
from mashq.choices import ChoiceSettings, Weighed, accuracy, answers, weigh
from mashq.export.lm_eval import LmEvalWriter
from mashq.generate import Student, load_student
from mashq.lm.transformers import InProcess
from mashq.rolling import rolling
from mashq.rows import conform, source_ids

PACKAGES = ("torch", "transformers", "tokenizers")
NEW_TOKENS = 12
POSITIONS = 768  # of the tiny models: the longest question has about 600 of their tokens, the long text 2,000
EQUAL = 1e-5  # relative, of one likelihood
TEXT = ChoiceSettings(chat=False)
CAPITALS = {
    "المغرب": "الرباط",
    "مصر": "القاهرة",
    "تونس": "تونس",
    "الأردن": "عمّان",
    "العراق": "بغداد",
    "لبنان": "بيروت",
    "اليمن": "صنعاء",
    "السودان": "الخرطوم",
    "ليبيا": "طرابلس",
    "قطر": "الدوحة",
    "عُمان": "مسقط",
    "الجزائر": "الجزائر العاصمة",
}
TEXTS = (
    "خرجت سلمى إلى السوق صباحا، واشترت خبزا وزيتونا، ثم عادت قبل أن يشتد الحر.",
    "كَتَبَ المُعَلِّمُ الدَّرْسَ عَلَى السَّبُّورَةِ، وَقَرَأَهُ التَّلامِيذُ.",
    "The library opens at 9:30; تفتح المكتبة أبوابها في التاسعة والنصف.",
    "إيه رأيك نروح السينما النهارده؟ بيقولوا الفيلم الجديد حلو أوي.",
    "واش غادي تمشي للخدمة غدا ولا باقي عيان؟",
)


# --- models and questions --------------------------------------------------------------------------------------------


def tiny(folder: Path, begin: bool) -> Path:
    """A random Gemma 3 of two layers and its tokenizer; `begin`: one that puts its beginning-of-text token first."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, PreTrainedTokenizerFast

    special = ["<pad>", "<bos>", "<eos>"]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator([*TEXTS, *CAPITALS, *CAPITALS.values(), question("المغرب")] * 3, trainer)
    if begin:
        raw.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", model_max_length=POSITIONS
    )
    torch.manual_seed(0)
    given: dict[str, Any] = {"vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64}
    given |= {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    given |= {"max_position_embeddings": POSITIONS, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    layers = ["sliding_attention", "full_attention"]
    config = (
        Gemma3TextConfig(**given, head_dim=8, sliding_window=16, layer_types=layers) if begin else LlamaConfig(**given)
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():  # random but not nearly uniform, so that a wrong mask shows
        model.get_output_embeddings().weight.mul_(8)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def question(country: str) -> str:
    """The prompt of the exported test set."""
    return f"ما عاصمة {country}؟\nالجواب:"


def test_set(count: int) -> pa.Table:
    """Questions with four choices, and the same questions without, as prompt rows."""
    countries, cities = list(CAPITALS), list(CAPITALS.values())
    columns: dict[str, list[Any]] = {"messages": [], "references": [], "choices": [], "template": []}
    for place in range(count):
        own = place % len(countries)
        around = [(own + shift) % len(cities) for shift in range(4)]
        order = around[place % 4 :] + around[: place % 4]
        for template, choices in (("choose", [cities[one] for one in order]), ("say", None)):
            columns["messages"].append([{"role": "user", "content": question(countries[own])}])
            columns["references"].append([cities[own]])
            columns["choices"].append(choices)
            columns["template"].append(template)
    made = len(columns["messages"])
    about = {"source": "capitals", "licence": "CC0-1.0", "split": "test", "group": [f"g{i // 2}" for i in range(made)]}
    return conform({"id": source_ids("capitals", "1", n=made), **columns, **about})


def exams(file: Path | None, count: int) -> tuple[list[dict[str, Any]], str]:
    """Questions in the columns of the harness's `aexams`, and where they come from."""
    if file is not None and file.is_file():
        found = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line][:count]
        made = [
            {
                "question": one["question"]["stem"],
                "subject": one["info"]["subject"],
                **{choice["label"]: choice["text"] for choice in one["question"]["choices"]},
                "answer": one["answerKey"],
            }
            for one in found
        ]
        return made, f"{file.name} of MASHQ_DATA"
    cities = list(CAPITALS.values())
    made = [
        {"question": f"ما عاصمة {country}؟", "subject": "Social", "answer": "ABCD"[place % 4]}
        | {label: cities[(place - place % 4 + shift) % len(cities)] for shift, label in enumerate("ABCD")}
        for place, country in enumerate(CAPITALS)
    ]
    return made[:count], "questions of this script"


# --- both sides ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    task: str
    n: int
    ours: Mapping[str, float]
    theirs: Mapping[str, float]
    largest: float  # difference of one likelihood in nats, or of one reply (0 or 1)
    relative: float
    our_s: float
    their_s: float


def timed(task: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives, and its CPU seconds."""
    started = time.process_time()
    given = task()
    return given, time.process_time() - started


def asked_there(peer: str, folder: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What the harness says."""
    question_file, answer_file = folder / "asked.json", folder / "answered.json"
    question_file.write_text(json.dumps(asked, ensure_ascii=False), encoding="utf-8")
    script = Path(__file__).with_name("lm_eval_peer.py")
    given = [peer, "-P", str(script), str(question_file), str(answer_file)]
    done = subprocess.run(given, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ""})
    if done.returncode:
        raise SystemExit(f"{peer}: {done.stderr[-3000:]}")
    return json.loads(answer_file.read_text(encoding="utf-8"))


def rows_of(samples: Sequence[Mapping[str, Any]], task: str) -> pa.Table:
    """Prompt rows of the harness's own documents: its prompt, its choices, its right one."""
    choices = [[text.removeprefix(" ") for _, text in one["arguments"]] for one in samples]
    return conform(
        {
            "id": source_ids(task, "1", n=len(samples)),
            "messages": [[{"role": "user", "content": one["arguments"][0][0]}] for one in samples],
            "choices": choices,
            "references": [[own[int(one["target"])]] for own, one in zip(choices, samples, strict=True)],
        }
    )


def choice_line(student: Student, task: str, there: Mapping[str, Any]) -> Line:
    """Multiple choice on both sides, question by question."""
    samples = there["samples"]
    rows = rows_of(samples, task)
    made, seconds = timed(lambda: answers(student, rows, TEXT))
    found = weigh(student, rows, TEXT)
    ours = [one.nats for one in found if isinstance(one, Weighed)]
    theirs = [[-float(one[0]) for one in sample["responses"]] for sample in samples]
    pairs = [(a, b) for mine, other in zip(ours, theirs, strict=True) for a, b in zip(mine, other, strict=True)]
    lengths = {"acc": "sum", "acc_norm": "characters", "acc_bytes": "bytes"}
    told = {name: accuracy(made, by) for name, by in lengths.items() if f"{name},none" in there["results"]}
    return Line(
        task,
        len(samples),
        {name: one.score.value for name, one in told.items()},
        {name: there["results"][f"{name},none"] for name in told},
        max(abs(a - b) for a, b in pairs),
        max(abs(a - b) / abs(b) for a, b in pairs),
        seconds,
        there["cpu_s"],
    )


def reply_line(student: Student, task: str, there: Mapping[str, Any]) -> Line:
    """Greedy replies to plain prompts on both sides."""
    samples = there["samples"]
    decoding = lm.Decoding(max_new_tokens=NEW_TOKENS)
    asked = [lm.Request(prompt=one["doc"]["prompt"], decoding=decoding) for one in samples]
    door = InProcess.of(student.model, student.tokenizer, student.identity)
    given, seconds = timed(lambda: list(lm.generate(door, asked, ledger=None, budget=None)))
    said = [one.text.lstrip() for one in given]
    theirs = [str(one["responses"][0]) for one in samples]
    hits = sum(text == one["doc"]["reply"] for text, one in zip(said, samples, strict=True))
    unlike = sum(a != b for a, b in zip(said, theirs, strict=True))
    score = {"exact_match": hits / len(samples)}
    their_score = {"exact_match": there["results"]["exact_match,stripped"]}
    return Line(task, len(samples), score, their_score, unlike, unlike / len(samples), seconds, there["cpu_s"])


def rolling_line(student: Student, texts: Sequence[str], there: Mapping[str, Any], begin: str) -> Line:
    """Bits per byte of whole texts on both sides."""
    found, seconds = timed(lambda: rolling(student, texts, begin=begin))
    ours = [one.nats for one in found]
    theirs = [-value for value in there["rolling"]]
    size = sum(len(text.encode()) for text in texts) * math.log(2)
    differences = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    return Line(
        f"rolling, begin={begin}",
        len(texts),
        {"bits_per_byte": sum(ours) / size},
        {"bits_per_byte": sum(theirs) / size},
        max(differences),
        max(d / b for d, b in zip(differences, theirs, strict=True)),
        seconds,
        there["rolling_cpu_s"],
    )


def compared(
    peer: str, spec: str, model: Path, count: int, exam_rows: Sequence[Mapping[str, Any]], long: bool
) -> tuple[list[Line], dict[str, str]]:
    """All lines of one model, and the versions of the other side."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows = test_set(count)
        writer = LmEvalWriter(folder, group="capitals", max_new_tokens=NEW_TOKENS)
        writer.write(rows)
        writer.close()
        (folder / "exams.jsonl").write_text(
            "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in exam_rows), encoding="utf-8"
        )
        texts = [*TEXTS, *(["\n".join(TEXTS * 10)] if long else [])]  # longer than the tiny models' positions
        own = [{"task": "aexams_local", "yaml": "aexams/_default_template_yaml", "file": "exams.jsonl"}]
        asked = {"folder": str(folder), "model": str(model), "tasks": ["capitals_choose", "capitals_say"], "own": own}
        asked |= {"texts": texts, "limit": None, "batch": 1}
        there = asked_there(peer, folder, asked)
        student = load_student(spec, dtype="float32", frame="plain")
        lines = [
            choice_line(student, "capitals_choose", there["tasks"]["capitals_choose"]),
            reply_line(student, "capitals_say", there["tasks"]["capitals_say"]),
            choice_line(student, "aexams_local", there["tasks"]["aexams_local"]),
            *(rolling_line(student, texts, there, begin) for begin in ("once", "tokenizer")),
        ]
    return lines, there["versions"]


# --- the page --------------------------------------------------------------------------------------------------------


def table(lines: Sequence[Line]) -> str:
    """The lines of one model as Markdown."""
    out = ["| task | n | score | ours | lm-eval | largest difference | relative | CPU s, ours | lm-eval |"]
    out.append("|---|---|---|---|---|---|---|---|---|")
    for line in lines:
        for name, ours in line.ours.items():
            out.append(
                f"| {line.task} | {line.n} | {name} | {ours:.6f} | {line.theirs[name]:.6f} | {line.largest:.2g} |"
                f" {line.relative:.2g} | {line.our_s:.2f} | {line.their_s:.2f} |"
            )
    return "\n".join(out)


def verdict(lines: Sequence[tuple[str, Line]]) -> str:
    """Which lines are equal: shares exactly, likelihoods within 1e-5 of themselves."""
    unlike = [
        f"{line.task} of {model}"
        for model, line in lines
        if line.relative > EQUAL
        or any(abs(line.theirs[name] - value) > EQUAL * (name == "bits_per_byte") for name, value in line.ours.items())
    ]
    told = f"{len(lines) - len(unlike)} of {len(lines)} lines are equal (shares exactly, likelihoods within {EQUAL:g})"
    return f"**{told}; not equal: {', '.join(unlike)} (see below).**" if unlike else f"**{told}.**"


PAGE = """\
# Beside lm-evaluation-harness

    {command}

{machine}. The other side: {versions}; batch size 1, float32, no network.

Both sides load one folder and read the same questions. `capitals_choose` and `capitals_say` are a test set that
`mashq.export.lm_eval` wrote; `aexams_local` is the harness's own task `aexams` (its YAML, prompt and choices) over
{exams}; `rolling` is `loglikelihood_rolling` of {texts} texts, and for the tiny models of one longer than their
positions. "Largest difference" is that of one likelihood in nats (for `capitals_say` the number of replies that
differ), "relative" the largest share of a likelihood.

{verdict}

{tables}

## What is equal, and what is not

* `acc` is our accuracy by `sum`, `acc_norm` ours by `characters`: the harness divides by the number of characters of a
  choice, not of bytes. Where choices mix Arabic and Latin letters the two can choose differently.
* Prompt and choice are encoded as one text on both sides. Where a token stretches over the border, the harness takes
  the ids of the prompt alone and puts behind them what is left of the whole; that is no encoding of any text, and it
  raises an error where nothing is left. Ours parts all choices of such a question before that token (`merged` counts
  them).
* A prompt longer than the model is cut from the left there, and dropped with a reason here.
* Rolling likelihood: the first token is read after the beginning-of-text token on both sides. A tokenizer that puts
  that token before every text itself (Gemma, Llama) makes the harness charge for it once more, after itself.
  `begin="tokenizer"` does so too and is equal; `begin="once"`, our default, does not: it is the likelihood of the text.
  On texts of one sentence the difference is large: see the last two lines of the tables of the Gemma models.
* Our CPU seconds are those of one pass over all questions, a prompt read once for all its choices, model loading left
  out; the harness's hold its own reading and writing of samples too.
"""


def main() -> None:
    parser = with_page(argparse.ArgumentParser(description="mashq beside lm-evaluation-harness"))
    parser.add_argument("--peer", required=True, help="a Python that has lm_eval")
    parser.add_argument("--n", type=int, default=24, help="questions of each kind for the tiny models")
    parser.add_argument(
        "--embedded", type=int, default=0, help="questions for the embedded gemma3-270m (0 = leave it out)"
    )
    given = parser.parse_args()
    data = os.environ.get("MASHQ_DATA")
    file = Path(data) / "exams_ar.jsonl" if data else None
    tables, versions, every = [], {}, []
    for name, begin in (("tiny Llama, no beginning-of-text token", False), ("tiny Gemma 3, with one", True)):
        with tempfile.TemporaryDirectory() as place:
            folder = tiny(Path(place) / "model", begin)
            questions, source = exams(file, given.n)
            lines, versions = compared(given.peer, str(folder), folder, given.n, questions, True)
        every += [(name, line) for line in lines]
        tables.append(f"### {name} (random weights, {POSITIONS} positions)\n\n{table(lines)}")
    if given.embedded:
        from mashq.lm.weights import weights

        questions, source = exams(file, given.embedded)
        lines, versions = compared(given.peer, "gemma3-270m", weights("gemma3-270m"), given.embedded, questions, False)
        every += [("gemma3-270m", line) for line in lines]
        tables.append(f"### gemma3-270m\n\n{table(lines)}")
    command = "python benchmarks/lm_eval.py --peer PEER/bin/python" + (
        f" --embedded {given.embedded}" if given.embedded else ""
    )
    page = PAGE.format(
        command=command,
        machine=machine(*PACKAGES),
        versions=", ".join(f"{name} {number}" for name, number in versions.items()),
        exams=source,
        texts=len(TEXTS),
        verdict=verdict(every),
        tables="\n\n".join(tables),
    )
    give(page, given.write)


if __name__ == "__main__":
    main()
