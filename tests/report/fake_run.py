"""A whole run made of small steps through the real runner: rows with reasons, a training log, replies, an evaluation.

Its texts are written here. They hold what a page must survive: vowel marks, Latin runs, emoji, a right-to-left
override, markup that would run, an empty reply and a long one.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mashq.evaluate import evaluate
from mashq.rows import child_ids, conform, drop, replace, source_ids
from mashq.run import Job, Step, Store
from mashq.settings import builtins
from mashq.shards import write_json

ATTACK = '<script>document.title="run"</script><img src=x onerror="alert(1)">'
OVERRIDE = "\N{RIGHT-TO-LEFT OVERRIDE}"
PLACES = ("مصر", "المغرب", "الكويت", "تونس", "عُمان", "لبنان", "السودان", "موريتانيا")
CAPITALS = ("القاهرة", "الرباط", "مدينة الكويت", "تونس", "مسقط", "بيروت", "الخرطوم", "نواكشوط")
CURRENCIES = (
    "جنيه مصري",
    "درهم مغربي",
    "دينار كويتي",
    "دينار تونسي",
    "ريال عُماني",
    "ليرة لبنانية",
    "جنيه سوداني",
    "أوقية",
)
STORIES = {
    "msa": (
        "كَانَ يَا مَا كَانَ، فِي قَرْيَةٍ صَغِيرَةٍ عَلَى ضِفَافِ النَّهْرِ، وَلَدٌ اسْمُهُ سَلِيمٌ. "
        "وذات صباح وجد سليم طائرًا جريحًا تحت شجرة التين، فحمله إلى البيت وضمّد جناحه، ثم سهر إلى جواره حتى الفجر."
    ),
    "egyptian": (
        "كان فيه ولد اسمه كريم، ساكن في حارة ضيقة جنب الجامع. كل يوم الصبح كان بيصحى بدري ويجري على السطح "
        "عشان يطعم الحمام، ولما الحمامة البيضا غابت قعد يستناها لحد المغرب."
    ),
    "moroccan": (
        "كانت واحد البنت سميتها لالة زينب، ساكنة فواحد الدوار حدا البحر. كل نهار كانت كتمشي مع جدها تجمع الصدف، "
        "وواحد النهار لقات رسالة قديمة وسط قرعة ديال الزاج."
    ),
}
OPENINGS = {
    "msa": "اكتب قصة قصيرة للأطفال في عمر {age} تدور أحداثها في {place}، ونهايتها سعيدة.",
    "egyptian": "اكتب حكاية قصيرة للأطفال في عمر {age} تحصل في {place} وآخرها حلو، باللهجة المصرية.",
    "moroccan": "كتب شي حكاية قصيرة للدراري فعمر {age} كتوقع ف{place} ونهايتها زوينة، بالدارجة المغربية.",
}
LABELS = {"base": "النموذج الأساس", "tuned": "النموذج المدرَّب", "shuffled": "مدرَّب على طلبات مخلوطة"}


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    rows: int = 240
    seed: int = 7


# --- data ------------------------------------------------------------------------------------------------------------


def facts(job: Job) -> Iterator[pa.Table]:
    """Raw rows: records in `meta`, some too short, one hostile."""
    n = job.settings.rows
    picks = [index % len(PLACES) for index in range(n)]
    records = [
        {"country": PLACES[p], "capital": CAPITALS[p], "currency": CURRENCIES[p], "code": f"X{p}"} for p in picks
    ]
    records[1]["country"] = f"{ATTACK} {OVERRIDE}مقلوب"
    table = conform(
        {
            "id": source_ids("cldr", "46", n=n),
            "source": "cldr",
            "licence": ["Unicode-3.0" if index % 3 else "CC-BY-4.0" for index in range(n)],
            "group": [f"g{index // 2}" for index in range(n)],
            "variety": [list(STORIES)[index % 3] for index in range(n)],
            "meta": [json.dumps(record, ensure_ascii=False) for record in records],
        }
    )
    reasons = [None if index % 12 else "incomplete: no capital" for index in range(n)]
    yield drop(table, reasons)


def prompts(table: pa.Table, job: Job) -> pa.Table:
    """A story prompt from each record; some are left out with a reason, unchanged."""
    asked = []
    reasons: list[str | None] = []
    for index, row in enumerate(table.to_pylist()):
        record, variety = json.loads(row["meta"]), row["variety"]
        text = OPENINGS[variety].format(age=("3-5", "5-8", "8-10")[index % 3], place=record["country"])
        asked.append([{"role": "user", "content": text}])
        reasons.append(f"contradiction: dialogue with {index % 2} characters" if index % 9 == 4 else None)
    made = replace(
        table,
        parents=[[value] for value in table.column("id").to_pylist()],
        messages=asked,
        references=[[STORIES[variety]] for variety in table.column("variety").to_pylist()],
        task=["story" if index % 2 else "capital" for index in range(table.num_rows)],
        template=["قصة/مباشرة" if index % 4 else "story/polite" for index in range(table.num_rows)],
        meta=pa.nulls(table.num_rows, pa.string()),
    )
    made = made.set_column(0, made.schema.field("id"), child_ids(table.column("id"), step="prompts"))
    return drop(made, reasons)


def kept_stories(table: pa.Table, job: Job) -> pa.Table:
    """Drops rows unchanged, so that their text stands only in the step before."""
    chooser = random.Random(job.settings.seed)
    kinds = (None, None, None, "short: 12 words < 30", "variety: msa 0.91, asked egyptian", f"qe: 0.61 < 0.70 {ATTACK}")
    return drop(table, [chooser.choice(kinds) for _ in range(table.num_rows)])


# --- model and replies -----------------------------------------------------------------------------------------------


def train(job: Job) -> dict[str, Any]:
    """A log like a trainer's, and a card."""
    chooser = random.Random(job.settings.seed)
    lines = []
    for step in range(1, 901):
        loss = 2.2 + 1.5 * math.exp(-step / 160) + chooser.gauss(0, 0.07)
        lines.append(
            {"step": step, "epoch": step / 300, "loss": loss, "lr": 2e-4, "supervised_tokens": 410, "seconds": 0.8}
        )
        if step % 150 == 0:
            lines.append({"step": step, "eval_loss": 2.35 + 1.3 * math.exp(-step / 170)})
    (job.folder / "log.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", "utf-8")
    notice = "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms"
    card = {
        "base": {"name": "gemma3-270m", "parameters": 268_098_176, "licence": "Gemma Terms of Use", "notice": notice},
        "settings": {"method": "lora", "rank": 8, "lr_peak": 2e-4, "epochs": 3, "batch": 8, "seed": 5},
        "rows": {"train": 180, "validation": 12, "refused": 1, "reasons": {"too long": 1}},
        "run": {
            "steps": 900,
            "seconds": 720.4,
            "precision": "bfloat16",
            "tokens": {"supervised_tokens": 369_000, "tokens": 512_000, "padded_tokens": 600_000},
        },
        "fertility": {
            "tokenizer": "gemma3-270m",
            "by": {"msa": {"texts": 60, "words": 1000, "tokens": 2100, "tokens_per_word": 2.1, "bytes_per_token": 4.4}},
            "warnings": [],
        },
        "weights": {"adapter_model.safetensors": "0123456789abcdef0123456789abcdef"},
    }
    write_json(job.folder / "card.json", card)
    (job.folder / "README.md").write_text("# LoRA adapter\n", "utf-8")
    return {"device": "cpu"}


def reply_rows(table: pa.Table, system: str, seed: int) -> pa.Table:
    """Replies that a base model, a tuned one and a control might give, with likelihoods to match."""
    chooser = random.Random(f"{seed} {system}")
    turns, metas = [], []
    for index, row in enumerate(table.to_pylist()):
        reference = row["references"][0]
        reply, finish = _reply(system, index, reference, chooser)
        size = len(reference.encode())
        bits = {"base": 1.31, "tuned": 0.94, "shuffled": 1.12}[system] + chooser.gauss(0, 0.05)
        metas.append(
            {
                "system": system,
                "finish": finish,
                "new_tokens": len(reply.split()),
                "nats": round(bits * size * math.log(2), 4),
                "target_tokens": size // 4,
                "target_bytes": size,
            }
        )
        turns.append([*row["messages"], {"role": "assistant", "content": reply}])
    ids = child_ids(table.column("id"), step="replies", template=system)
    made = replace(table, parents=[[value] for value in table.column("id").to_pylist()], messages=turns)
    made = replace(made, meta=[json.dumps(meta) for meta in metas])
    return made.set_column(0, made.schema.field("id"), ids)


def _reply(system: str, index: int, reference: str, chooser: random.Random) -> tuple[str, str]:
    words = reference.split()
    if system == "base":
        odd = {3: "", 7: f"{ATTACK} 🙂 الرد mixed English وسط الكلام", 11: "قال نعم " * 40}
        if index in odd:
            return odd[index], "length" if index == 11 else "stop"
        chooser.shuffle(words)
        return "لا أعرف، لكن " + " ".join(words[: len(words) // 3]), "stop"
    keep = 0.85 if system == "tuned" else 0.55
    said = [word for word in words if chooser.random() < keep]
    text = " ".join(said) or "كان"
    text = f"{text} وعاش الجميع في سلام 🌙. "
    return (f"{ATTACK} {text * 4}" if index == 5 else text).strip(), "stop"  # 5 gains least, so it is shown


def replies_base(table: pa.Table, job: Job) -> pa.Table:
    return reply_rows(table, "base", job.settings.seed)


def replies_tuned(table: pa.Table, job: Job) -> pa.Table:
    return reply_rows(table, "tuned", job.settings.seed)


def replies_shuffled(table: pa.Table, job: Job) -> pa.Table:
    return reply_rows(table, "shuffled", job.settings.seed)


def score(job: Job) -> dict[str, Any]:
    """The real evaluation of these replies."""
    decoding = {"temperature": 0.0, "new_tokens": 150, "stop": ["<end_of_turn>"]}
    found = evaluate(
        {name: job.read(name) for name in LABELS},
        baseline="base",
        metrics=("bits_per_byte", "rougeL", "chrF++", "exact", "perplexity"),
        labels=LABELS,
        about={name: {"model": "gemma3-270m", "tokenizer": "gemma3", "decoding": decoding} for name in LABELS},
        training_texts=[*STORIES.values(), "نص تدريب آخر لا صلة له بالقصص"],
        seed=job.settings.seed,
        out=job.folder,
    )
    return {"items": found["items"]}


# --- the run ---------------------------------------------------------------------------------------------------------


def make(root: Path, size: Size | None = None, name: str = "3f2a91c0") -> Path:
    """Make every step under `root` and write the run's record; gives its path."""
    size = size or Size()
    raw = Step("facts", facts, size, kind="stream", rows_per_part=150)
    asked = Step("prompts", prompts, size, {"facts": raw}, here=True)
    kept = Step("stories", kept_stories, size, {"prompts": asked}, here=True)
    trained = Step("train", train, size, {"stories": kept}, kind="folder", produces="model")
    works = {"base": replies_base, "tuned": replies_tuned, "shuffled": replies_shuffled}
    replies = {
        system: Step(f"replies-{system}", work, size, {"stories": kept}, here=True) for system, work in works.items()
    }
    inputs = {**replies, "training": kept}
    scored = Step("evaluate", score, size, inputs, kind="folder", produces="evaluation")
    store = Store(root)
    made = [store.make(step) for step in (raw, asked, kept, trained, *replies.values(), scored)]
    record = root / "quickstart" / f"{name}.json"
    entries = [
        {
            "name": one.step.name,
            "folder": f"steps/{one.folder.name}",
            "fingerprint": one.step.fingerprint,
            "seconds": one.manifest["seconds"],
            "reused": one.reused,
            "drift": [],
        }
        for one in made
    ]
    write_json(
        record,
        {
            "recipe": "quickstart",
            "name": name,
            "caption": "Facts and stories, a small student, and what it learned.",
            "settings": {"data": builtins(size), "student": {"model": "gemma3-270m", "note": "ملاحظة عربية"}},
            "steps": entries,
            "mashq": "0.1.0",
            "engine": "local",
            "started": "2026-11-21T04:00:00+00:00",
            "seconds": 731.2,
            "machine": {"cpu": "2 cores", "memory_gb": 24, "gpu": None},
        },
    )
    return record


if __name__ == "__main__":
    from mashq.report import write

    parser = argparse.ArgumentParser(description="Make the fake run and its report in a folder, to look at it.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lang", choices=("ar", "en"), default="ar")
    chosen = parser.parse_args()
    print(write([make(chosen.folder / "runs")], chosen.folder / f"report-{chosen.lang}", lang=chosen.lang))
