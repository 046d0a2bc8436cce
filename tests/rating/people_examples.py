"""An evaluation whose replies people rated, small enough to count by hand: 12 items, two systems, three raters."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import rating_examples as made

from mashq.rating.store import Store
from mashq.rating.study import study_of_samples

ITEMS = 12
RATERS = {"هدى": -1, "سامي": 0, "منى": 1}  # name -> what is added to every score: severe, plain, mild
BASE, TUNED = 2, 3  # plain scores of the systems' replies; "tuned" has one more on every item


def samples(folder: Path, reply: str = "جواب", **columns: Any) -> Path:
    """samples.parquet as an evaluation writes it: groups of two items, two varieties."""
    rows = [
        {
            **{"id": f"{place:02}{system}", "item": f"{place:032x}", "system": system, "template": None},
            **{"task": "t", "variety": ("msa", "egyptian")[place // 6], "group": f"g{place // 2}", "source": "own"},
            **{"prompt": f"سؤال {place}", "reference": None, "reply": f"{reply} {system} {place}", "finish": "stop"},
            **{name: make(place, system) for name, make in columns.items()},
        }
        for place in range(ITEMS)
        for system in ("base", "tuned")
    ]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "samples.parquet")
    return folder / "samples.parquet"


def plain_score(system: str, place: int) -> int:
    """What a rater who is neither severe nor mild gives: the system's own, one less for every third item of base."""
    return TUNED if system == "tuned" else BASE + (place % 3 == 0)


def rated(path: Path, of: Path, *, kind: str = "absolute", most: int = 1_000, **more: Any) -> Path:
    """A store whose raters rated the samples; of a pair all prefer tuned, but the severe one finds them equal."""
    study = {"name": "دراسة", "criteria": [made.CRITERIA[0]], "items": made.ATTENTION, **more}
    with Store.create(path, study_of_samples(of, study, kind=kind), key="tests") as store:
        for name, bias in RATERS.items():
            rater = made.added(store, name, dialect="egyptian")
            for _ in range(most):
                if (shown := store.next(rater)) is None:
                    break
                store.save(rater, shown.item.id, _answer(store, shown, bias), seconds=10.0 + bias)
    return path


def _answer(store: Store, shown: Any, bias: int) -> dict[str, Any]:
    if shown.item.kind == "pairwise":
        better = next(side for side, text in zip(("first", "second"), shown.item.shown, strict=True) if "tuned" in text)
        return {"prefer": {"fluency": "tie" if bias < 0 else better}, "note": ""}
    if not shown.item.prompt.startswith("سؤال"):  # an attention item, which the mild one does not read
        return {"scores": {"fluency": 5 if bias < 1 else 3}, "note": ""}
    system = "tuned" if "tuned" in shown.item.shown[0] else "base"
    place = int(shown.item.prompt.split()[1])
    return {"scores": {"fluency": plain_score(system, place) + bias}, "note": "ملاحظة" if place == 0 else ""}
