"""One contender of `metrics.py` in a process of its own, so that its memory is its own and a crash is its own.

    python benchmarks/metrics_peer.py CONTENDER JOB.json

It runs once and says its scores, its version and its memory; then it runs as many times as each line on its input says
and answers with CPU seconds a run. Where a package is missing or refuses, it says {"refused": why}. Contenders import
their packages themselves: one that is absent stops no other.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

Job = dict[str, Any]
Scores = list[list[float]]  # precision, recall, F of each pair
Run = Callable[[], Scores]


def flat(score: Any) -> list[float]:
    """A score of rouge_score, or of a package with its names, as three numbers."""
    return [float(score.precision), float(score.recall), float(score.fmeasure)]


# --- ROUGE-L: strings in, score out ----------------------------------------------------------------------------------


class OurWords:
    """Our words as a tokenizer for rouge_score and its kin: a piece between spaces is split once."""

    def __init__(self) -> None:
        from mashq import arabic
        from mashq.metrics.profile import ARABIC

        self.arabic, self.forms, self.known = arabic, ARABIC.forms, dict[str, list[str]]()

    def tokenize(self, text: str) -> list[str]:
        """The words of one text, as `ARABIC.words` gives them."""
        words: list[str] = []
        for piece in self.arabic.normalise(text, self.forms).lower().split():
            if piece not in self.known:
                self.known[piece] = self.arabic.words(piece)
            words += self.known[piece]
        return words


def mashq_rouge(job: Job) -> Run:
    """Ours, as `evaluate` calls it."""
    from mashq.metrics.rouge import rouge_items

    targets = [[text] for text in job["references"]]
    return lambda: [list(one) for one in rouge_items(job["replies"], targets)]


def rouge_score(job: Job) -> Run:
    """Google's, with our words."""
    from rouge_score import rouge_scorer

    def run() -> Scores:
        scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=OurWords())  # nothing is remembered between repeats
        pairs = zip(job["references"], job["replies"], strict=True)
        return [flat(scorer.score(target, reply)["rougeL"]) for target, reply in pairs]

    return run


def rapidrouge(job: Job) -> Run:
    """Bit-parallel in Python, with our words."""
    from rapidrouge import rouge_scorer

    def run() -> Scores:
        scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=OurWords())
        pairs = zip(job["references"], job["replies"], strict=True)
        return [flat(scorer.score(target, reply)["rougeL"]) for target, reply in pairs]

    return run


def rouge_score_rs(job: Job) -> Run:
    """Rust, with its own tokenizer of any script."""
    from rouge_score_rs import rouge_scorer, tokenizers

    scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=tokenizers.UnicodeTokenizer())
    return lambda: [flat(one["rougeL"]) for one in scorer.score_batch(job["references"], job["replies"])]


# --- ROUGE-L: words already encoded ----------------------------------------------------------------------------------


def numbers(job: Job) -> list[tuple[list[int], list[int]]]:
    """(reply, reference) as numbers of words, the same for every contender."""
    from mashq.metrics.rouge import encode

    coded = encode([*job["replies"], *job["references"]])
    return list(zip(coded[: len(job["replies"])], coded[len(job["replies"]) :], strict=True))


def mashq_kernel(job: Job) -> Run:
    """Our overlap of two lists of numbers."""
    from mashq.metrics.rouge import overlap

    pairs = numbers(job)
    return lambda: [list(overlap(reply, target)) for reply, target in pairs]


def rouge_score_kernel(job: Job) -> Run:
    """Google's table of the longest common subsequence."""
    from rouge_score import rouge_scorer

    pairs = numbers(job)
    return lambda: [flat(rouge_scorer._score_lcs(target, reply)) for reply, target in pairs]


# --- BERTScore -------------------------------------------------------------------------------------------------------


def single_thread() -> None:
    """One core for every contender."""
    import torch

    torch.set_num_threads(1)


def mashq_bertscore(job: Job) -> Run:
    """Ours; the encoder is open, as those of the others are. `systems`: several replies to each reference."""
    single_thread()
    from mashq.encode import open_token_encoder
    from mashq.metrics.bertscore import Held, bertscore_items

    encoder = open_token_encoder(job["folder"], job["layer"])
    targets = [[text] for text in job["references"]]

    def run() -> Scores:
        held = Held()
        return [
            list(one[:3])
            for replies in job.get("systems") or [job["replies"]]
            for one in bertscore_items(replies, targets, encoder, idf=job["idf"], held=held)
        ]

    return run


def encoder_alone(job: Job) -> Run:
    """The model on the different texts, in our batches: no score."""
    single_thread()
    from mashq.encode import open_token_encoder

    encoder = open_token_encoder(job["folder"], job["layer"])
    ids, _ = encoder.tokens(list(dict.fromkeys([*job["replies"], *job["references"]])))

    def run() -> Scores:
        encoder.vectors(ids)
        return []

    return run


def bert_score(job: Job) -> Run:
    """The authors' package; `alone`: a pair at a time, since it puts 0 for a cosine below 0 where a batch is padded."""
    single_thread()
    from bert_score import BERTScorer

    scorer = BERTScorer(model_type=job["folder"], num_layers=job["layer"], device="cpu", batch_size=64, nthreads=0)
    if job["idf"]:
        scorer._idf = True
        scorer.compute_idf(job["references"])
    size = 1 if job["alone"] else len(job["references"])

    def run() -> Scores:
        found: Scores = []
        for replies in job.get("systems") or [job["replies"]]:
            for first in range(0, len(replies), size):
                part = slice(first, first + size)
                scores = scorer.score(replies[part], job["references"][part])
                found += [list(one) for one in zip(*(x.tolist() for x in scores), strict=True)]
        return found

    return run


def torchmetrics(job: Job, alone: bool = False) -> Run:
    """torchmetrics' functional form, in batches of 64 too."""
    single_thread()
    from torchmetrics.functional.text import bert_score as score

    settings = {"model_name_or_path": job["folder"], "num_layers": job["layer"], "idf": job["idf"], "batch_size": 64}
    size = 1 if alone else len(job["replies"])

    def run() -> Scores:
        made: Scores = []
        for first in range(0, len(job["replies"]), size):
            part = slice(first, first + size)
            found = score(job["replies"][part], job["references"][part], device="cpu", **settings)
            rows = (found[name].reshape(-1).tolist() for name in ("precision", "recall", "f1"))
            made += [list(one) for one in zip(*rows, strict=True)]
        return made

    return run


def torchmetrics_alone(job: Job) -> Run:
    """torchmetrics a pair at a time, so that it cannot compare a reply with another item's reference."""
    return torchmetrics(job, alone=True)


# --- what each says about Arabic: as it comes, F of ROUGE-L ----------------------------------------------------------


def each(job: Job, score: Callable[[str, str], float]) -> Run:
    """F of every pair by itself; where the package stops at one, nan."""

    def run() -> Scores:
        found = []
        for reply, target in zip(job["replies"], job["references"], strict=True):
            try:
                value = float(score(reply, target))
            except Exception as error:  # any: that it stops is the finding
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
                value = float("nan")
            found.append([value] * 3)
        return found

    return run


def default_rouge_score(job: Job) -> Run:
    """rouge_score with its own tokenizer, which deletes every letter that is not a-z."""
    from rouge_score import rouge_scorer

    scorer = rouge_scorer.RougeScorer(["rougeL"])
    return each(job, lambda reply, target: scorer.score(target, reply)["rougeL"].fmeasure)


def default_rapidrouge(job: Job) -> Run:
    """rapidrouge as it comes."""
    from rapidrouge import rouge_scorer

    scorer = rouge_scorer.RougeScorer(["rougeL"])
    return each(job, lambda reply, target: scorer.score(target, reply)["rougeL"].fmeasure)


def unicode_rouge_score_rs(job: Job) -> Run:
    """rouge-score-rs with its tokenizer of any script."""
    from rouge_score_rs import rouge_scorer, tokenizers

    scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=tokenizers.UnicodeTokenizer())
    return each(job, lambda reply, target: scorer.score(target, reply)["rougeL"].fmeasure)


def rouge_chinese(job: Job) -> Run:
    """The way LLaMA-Factory goes: jieba's cuts, joined by spaces, into rouge_chinese."""
    import jieba
    from rouge_chinese import Rouge

    scorer = Rouge()

    def score(reply: str, target: str) -> float:
        hypothesis, reference = " ".join(jieba.cut(reply)), " ".join(jieba.cut(target))
        if not hypothesis.split() or not reference.split():
            return 0.0  # as LLaMA-Factory does
        return scorer.get_scores(hypothesis, reference)[0]["rouge-l"]["f"]

    return each(job, score)


def rouge(job: Job) -> Run:
    """The package rouge: words between spaces."""
    from rouge import Rouge

    scorer = Rouge()
    return each(job, lambda reply, target: scorer.get_scores(reply, target)[0]["rouge-l"]["f"])


def multilingual_rouge(job: Job) -> Run:
    """XL-Sum's fork of rouge_score, asked for Arabic."""
    from multilingual_rouge import rouge_scorer

    scorer = rouge_scorer.RougeScorer(["rougeL"], lang="arabic")
    return each(job, lambda reply, target: scorer.score(target, reply)["rougeL"].fmeasure)


def torchmetrics_rouge(job: Job) -> Run:
    """torchmetrics' ROUGE as it comes."""
    from torchmetrics.functional.text import rouge_score as score

    return each(job, lambda reply, target: score(reply, target, rouge_keys="rougeL")["rougeL_fmeasure"].item())


def evaluate(job: Job) -> Run:
    """evaluate.load("rouge"), which fetches its script from the hub."""
    from evaluate import load

    metric = load("rouge")
    return each(
        job,
        lambda reply, target: metric.compute(predictions=[reply], references=[target], rouge_types=["rougeL"])[
            "rougeL"
        ],
    )


CONTENDERS: dict[str, tuple[str, Callable[[Job], Run]]] = {
    # name: (package whose version is shown, what prepares it)
    "mashq": ("mashq", mashq_rouge),
    "rouge_score": ("rouge-score", rouge_score),
    "rapidrouge": ("rapidrouge", rapidrouge),
    "rouge-score-rs": ("rouge-score-rs", rouge_score_rs),
    "mashq, kernel": ("mashq", mashq_kernel),
    "rouge_score, kernel": ("rouge-score", rouge_score_kernel),
    "mashq, bertscore": ("mashq", mashq_bertscore),
    "the encoder alone": ("mashq", encoder_alone),
    "bert_score": ("bert-score", bert_score),
    "torchmetrics, bertscore": ("torchmetrics", torchmetrics),
    "torchmetrics, pair by pair": ("torchmetrics", torchmetrics_alone),
    "rouge_score, default": ("rouge-score", default_rouge_score),
    "rapidrouge, default": ("rapidrouge", default_rapidrouge),
    "rouge-score-rs, UnicodeTokenizer": ("rouge-score-rs", unicode_rouge_score_rs),
    "rouge_chinese + jieba": ("rouge-chinese", rouge_chinese),
    "rouge": ("rouge", rouge),
    "multilingual_rouge": ("multilingual-rouge", multilingual_rouge),
    "torchmetrics": ("torchmetrics", torchmetrics_rouge),
    "evaluate": ("evaluate", evaluate),
}


def peak_mb() -> float:
    """The most memory that this process has held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Prepare, then one answer a line."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what packages print goes beside

    def answer(**facts: Any) -> None:
        print(json.dumps(facts), file=answers, flush=True)

    name, path = sys.argv[1:]
    job = json.loads(Path(path).read_text("utf-8"))
    package, prepare = CONTENDERS[name]
    try:
        run = prepare(job)
        before = peak_mb()
        found = run()
        answer(ready=version(package), before=before, found=found, peak=peak_mb())
    except Exception as error:  # any: what it says is shown
        answer(refused=f"{type(error).__name__}: {error}")
        return
    for line in sys.stdin:
        started = time.process_time()
        for _ in range(int(line)):
            run()
        answer(seconds=(time.process_time() - started) / int(line))


if __name__ == "__main__":
    main()
