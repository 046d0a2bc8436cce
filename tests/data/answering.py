"""answering: two systems asked the same questions, one by one, and compared; slow, so that it can be killed."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from mashq import generate
from mashq import steps as shared
from mashq.lm import Decoding, Reply, Request
from mashq.lm.echo import Scripted
from mashq.rows import conform, source_ids
from mashq.run import Job, Step

CAPITALS = {
    "مصر": "القاهرة",
    "المغرب": "الرباط",
    "الكويت": "مدينة الكويت",
    "تونس": "تونس",
    "عُمان": "مسقط",
    "لبنان": "بيروت",
    "السودان": "الخرطوم",
    "الأردن": "عمّان",
}


@dataclass(frozen=True)
class Settings:
    items: int = 180
    pause_s: float = 0.01  # that each reply takes


SIZES = {"small": Settings()}


def questions(job: Job) -> Iterator[pa.Table]:
    """One question an item, three items a group; answers of one to four words."""
    n = job.settings["items"]
    countries = [list(CAPITALS)[index % len(CAPITALS)] for index in range(n)]
    long = [f"عاصمة {country} هي {CAPITALS[country]}" for country in countries]
    answers = [text if index % 3 else text.split()[-1] for index, text in enumerate(long)]
    yield conform(
        {
            "id": source_ids("capitals", "1", n=n),
            "source": "capitals",
            "licence": "CC0-1.0",
            "group": [f"group {index // 3}" for index in range(n)],
            "task": ["capital" if index % 2 else "city" for index in range(n)],
            "template": ["one" if index % 5 else "two" for index in range(n)],
            "variety": "msa",
            "messages": [
                [{"role": "user", "content": f"السؤال {index}: ما عاصمة {country}؟"}]
                for index, country in enumerate(countries)
            ],
            "references": [[text] for text in answers],
        }
    )


def replies(rows: pa.Table, job: Job) -> pa.Table:
    """Every question that is really asked is a line of the file `asked` in the store."""
    name, pause = job.name, job.settings["pause_s"]

    def answer(request: Request) -> Reply:
        question = request.messages[-1][1]
        with (job.root / "asked").open("ab", buffering=0) as file:
            os.write(file.fileno(), f"{name}: {question}\n".encode())
        country = question.removesuffix("؟").split()[-1]
        text = f"عاصمة {country} هي {CAPITALS[country]}" if name == "knowing" else f"لا أعرف عاصمة {country}"
        return Reply(text=text, finish="stop", prompt_tokens=5, new_tokens=4, seconds=pause)

    model = Scripted(answer, name=name)
    return generate.replies(
        model, rows, Decoding(max_new_tokens=16), system=name, ledger=job.root / "ledger" / "replies"
    )


def steps(settings: Settings) -> list[Step]:
    asked = Step("questions", questions, {"items": settings.items}, kind="stream", rows_per_part=60)
    about = {"student": {"model": "scripted"}, "decoding": {}, "pause_s": settings.pause_s}
    systems = {name: Step(name, replies, about, {"rows": asked}, here=True) for name in ("ignorant", "knowing")}
    labels = {"ignorant": "knows nothing", "knowing": "knows all"}
    compared = shared.evaluation("compared", systems, labels, ("rougeL", "chrF++", "exact"), training=asked)
    return [asked, *systems.values(), compared]
