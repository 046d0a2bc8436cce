"""The other side of benchmarks/lm_eval.py, run by a Python that has lm-evaluation-harness: JSON in, JSON out.

    python -P benchmarks/lm_eval_peer.py ASKED.json ANSWERED.json

`-P` keeps this folder off the path, where lm_eval.py is the benchmark and not the harness.
"""

import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import lm_eval
import yaml
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager


def harness_task(asked: dict, folder: Path) -> str:
    """One of the harness's own tasks, its questions from a local file: everything else as its YAML says."""
    tasks = Path(lm_eval.__file__).parent / "tasks"
    found = yaml.safe_load((tasks / asked["yaml"]).read_text(encoding="utf-8"))
    for name in ("fewshot_split", "fewshot_config", "dataset_name"):
        found.pop(name, None)
    found |= {"task": asked["task"], "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": asked["file"]}}}
    found["metric_list"].append({"metric": "acc_bytes", "aggregation": "mean", "higher_is_better": True})
    (folder / f"{asked['task']}.yaml").write_text(yaml.safe_dump(found, allow_unicode=True), encoding="utf-8")
    return asked["task"]


def told(samples: list) -> list:
    """What is compared of the harness's samples, in the order of its documents."""
    samples = sorted(samples, key=lambda one: one["doc_id"])
    return [
        {
            "arguments": [list(one) for one in sample["arguments"].values()]
            if isinstance(sample["arguments"], dict)
            else [list(one) for one in sample["arguments"]],
            "responses": sample["filtered_resps"],
            "target": sample["target"],
            "doc": sample["doc"],
        }
        for sample in samples
    ]


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(asked["folder"])
    tasks = list(asked["tasks"]) + [harness_task(one, folder) for one in asked["own"]]
    os.chdir(folder)  # files in a task's YAML are looked for from here
    model = HFLM(pretrained=asked["model"], dtype="float32", device="cpu", batch_size=asked["batch"])
    found = {"versions": {name: version(name) for name in ("lm_eval", "transformers", "torch")}, "tasks": {}}
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    for task in tasks:
        started = time.process_time()
        given = lm_eval.simple_evaluate(
            model=model, tasks=[task], task_manager=manager, bootstrap_iters=0, log_samples=True, limit=asked["limit"]
        )
        seconds = time.process_time() - started
        results = {name: value for name, value in given["results"][task].items() if isinstance(value, float)}
        found["tasks"][task] = {"results": results, "samples": told(given["samples"][task]), "cpu_s": seconds}
    requests = [Instance("loglikelihood_rolling", {}, (text,), place) for place, text in enumerate(asked["texts"])]
    started = time.process_time()
    found["rolling"] = [float(value) for value in model.loglikelihood_rolling(requests)] if requests else []
    found["rolling_cpu_s"] = time.process_time() - started
    Path(sys.argv[2]).write_text(json.dumps(found, ensure_ascii=False, default=str), encoding="utf-8")


main()
