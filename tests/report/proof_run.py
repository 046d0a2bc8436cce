"""A small run whose evaluation holds what the fake run's does not: a judge, an absent system, rules, few groups.

Two systems answer story prompts, one of them badly; a judge's scores stand in their rows as `mashq.judge.rows` leaves
them, once against all that the words say.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mashq import stories
from mashq.evaluate import evaluate
from mashq.metrics import Metric
from mashq.rows import child_ids, conform, replace, source_ids
from mashq.run import Job, Step, Store
from mashq.shards import write_json
from mashq.stories import Slots

ITEMS = 36
ODD = 7  # the item on which the judge likes the reply that shares no word with the reference
COUNTRIES = {"MA": "المغرب", "EG": "مصر", "TN": "تونس"}
ABSENT = {"label": "AceGPT", "model": "FreedomIntelligence/AceGPT-7B", "why": "no model at hand"}


@dataclass(frozen=True)
class Size:
    groups: int = 4  # clusters: with so few no difference can be significant


def slots(item: int) -> Slots:
    season = "winter" if item % 3 == 0 else None
    return Slots("msa", "5-8", "happy", "1", list(COUNTRIES)[item % 3], dialogue=item % 2 == 0, season=season)


def story(item: int) -> str:
    place = COUNTRIES[slots(item).country]
    return (
        f"في يوم من أيام الشتاء في {place} خرج سليم إلى السوق وحده. "
        + "مشى في الطريق الطويل بين البيوت القديمة والناس من حوله يسرعون. " * (5 + item % 7)
        + 'قال له البائع: "تعال واشرب الشاي معي".'
    )


def asked(job: Job) -> Iterator[pa.Table]:
    groups = job.settings.groups
    yield conform(
        {
            "id": source_ids("prompts", "1", n=ITEMS),
            "source": "arastories",
            "licence": ["MIT"] * ITEMS,
            "group": [f"g{item % groups}" for item in range(ITEMS)],
            "task": "story-generation",
            "variety": ["msa" if item % 4 else "egyptian" for item in range(ITEMS)],
            "messages": [[{"role": "user", "content": stories.prompt(slots(item))}] for item in range(ITEMS)],
            "references": [[story(item)] for item in range(ITEMS)],
        }
    )


def _replies(table: pa.Table, system: str) -> pa.Table:
    turns, metas = [], []
    for item, row in enumerate(table.to_pylist()):
        good = system == "tuned" and item != ODD
        text = story(item).replace("سليم", "كريم") if good else "لا أدري ما أقول لك يا صديقي اليوم." * (1 + item % 2)
        liked = 4 + item % 2 if good or (item == ODD and system == "tuned") else 1 + item % 2
        scores = {"fluency": liked, "coherence": None if item == 5 and system == "base" else liked}
        why = {"coherence": "unreadable: nothing"} if scores["coherence"] is None else {}
        size = len(row["references"][0].encode())
        metas.append(
            {
                "finish": "stop",
                "nats": 0.7 * size * math.log(2),
                "target_tokens": size // 4,
                "target_bytes": size,
                "judge": {"scores": scores, "why": why},
            }
        )
        turns.append([*row["messages"], {"role": "assistant", "content": text}])
    ids = child_ids(table.column("id"), step="replies", template=system)
    made = replace(
        table,
        parents=[[value] for value in table.column("id").to_pylist()],
        messages=turns,
        meta=[json.dumps(meta) for meta in metas],
    )
    return made.set_column(0, made.schema.field("id"), ids)


def replies_base(table: pa.Table, job: Job) -> pa.Table:
    return _replies(table, "base")


def replies_tuned(table: pa.Table, job: Job) -> pa.Table:
    return _replies(table, "tuned")


def judged(criterion: str) -> Metric:
    """The metric of a judged step, without a judge."""

    def of_meta(meta: Any) -> float:
        value = meta["judge"]["scores"][criterion]
        return math.nan if value is None else float(value)

    return Metric(f"judge_{criterion}", lambda *_: [], f"judge_{criterion}|judge:echo", True, "1..5", of_meta)


def score(job: Job) -> dict[str, Any]:
    rules = ("obeys", "obeys_country", "obeys_season", "obeys_dialogue")
    found = evaluate(
        {name: job.read(name) for name in ("base", "tuned")},
        baseline="base",
        metrics=("rougeL", "chrF++", "perplexity", *rules, judged("fluency"), judged("coherence")),
        about={name: {"model": "gemma3-270m", "tokenizer": "gemma3"} for name in ("base", "tuned")},
        absent=[ABSENT],
        seed=3,
        out=job.folder,
    )
    return {"items": found["items"]}


def make(root: Path, size: Size | None = None) -> Path:
    """Make every step under `root` and write the run's record; gives its path."""
    size = size or Size()
    prompts = Step("asked", asked, size, kind="stream")
    base = Step("base", replies_base, size, {"asked": prompts}, here=True)
    tuned = Step("tuned", replies_tuned, size, {"asked": prompts}, here=True)
    gain = Step("gain", score, size, {"base": base, "tuned": tuned}, kind="folder", produces="evaluation")
    store = Store(root)
    made = [store.make(step) for step in (prompts, base, tuned, gain)]
    entries = [
        {"name": one.step.name, "folder": f"steps/{one.folder.name}", "fingerprint": one.step.fingerprint}
        for one in made
    ]
    record = root / "stories" / "a1.json"
    write_json(record, {"recipe": "stories", "name": "a1", "caption": "Stories.", "steps": entries, "mashq": "0"})
    return record


if __name__ == "__main__":
    import sys

    print(make(Path(sys.argv[1])))
