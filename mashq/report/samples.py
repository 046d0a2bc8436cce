"""Rows and replies drawn for a reader by a seed, never by hand; texts are cut for show only, and the cut is said."""

from __future__ import annotations

import json
import random
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from mashq.record import Run, Step
from mashq.report.parquet import read_samples, reading
from mashq.rows import CONTENT

__all__ = ["MOST_SHOWN", "Pick", "draw_replies", "draw_rows", "flat", "replies_to", "shown"]

MOST_SHOWN = 1_500  # characters of one text on the page; the rest is said as a number
LONGEST_VALUE = 240  # characters of one setting
ROWS_SHOWN = 3  # of kept and of dropped rows a step
# /home/USER/data.csv, ~/data.csv, C:\\data.csv, peft:/models/one; one slash alone makes no path.
WHOLE_PATH = re.compile(
    r"(?P<kind>(?!file:)[a-z_]{2,}:)?(?:file://)?(?:~[\w.-]*[/\\]|(?:[A-Za-z]:)?[/\\][^/\\\n]+[/\\]+)(?:[^/\\\n]+[/\\]+)*"
    r"(?P<name>[^/\\\s][^/\\\n]*)[/\\]?"
)
JUDGE = "judge_"  # how the metrics of a judge begin
LEAST_JUDGED = 10  # replies; ranks of fewer say little


def shown(text: str | None, most: int = MOST_SHOWN) -> dict[str, Any]:
    """A text as it is shown: `text`, and `cut` = its full length in characters where it was too long, else 0."""
    text = text or ""
    return {"text": text[:most], "cut": len(text) if len(text) > most else 0}


def flat(tree: Mapping[str, Any], prefix: str = "") -> list[dict[str, Any]]:
    """Nested values -> [{name: dotted, text, cut}] in their order; a list is shown as JSON, a long text is cut.

    Of the path of a file only its name is shown: its folders name a machine, and often a person.
    """
    found: list[dict[str, Any]] = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found += flat(value, f"{prefix}{name}.")
        else:
            value = _without_folders(value)
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            found.append({"name": f"{prefix}{name}", **shown(text, LONGEST_VALUE)})
    return found


def _without_folders(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_folders(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_folders(one) for one in value]
    if isinstance(value, Path):
        value = str(value)
    found = WHOLE_PATH.fullmatch(value) if isinstance(value, str) else None
    return f"{found['kind'] or ''}{found['name']}" if found else value


# --- rows ------------------------------------------------------------------------------------------------------------


def draw_rows(run: Run, step: Step, *, dropped: bool, seed: int, n: int = ROWS_SHOWN) -> list[dict[str, Any]]:
    """`n` kept or dropped rows of a step in their order, drawn by `seed` and the step's fingerprint.

    A dropped row that stands unchanged in an earlier step has its content from there, where that step may be shown. Of
    a private step, and of one with replies to a private one, none is drawn.
    """
    if run.hides(step):
        return []
    parts = step.parts(dropped)
    total = sum(rows for _, rows in parts)
    chooser = random.Random(f"{seed} {step.fingerprint} {dropped}")
    places = sorted(chooser.sample(range(total), min(n, total)))
    rows = list(_rows_at(parts, places))
    if dropped:
        _fill_content(run, step, rows)
    return [_row_facts(row) for row in rows]


def _rows_at(parts: Sequence[tuple[Path, int]], places: Sequence[int]) -> Iterable[dict[str, Any]]:
    """The rows at ascending `places` of the joined parts; only the row groups that hold them are read."""
    start, left = 0, list(places)
    for path, rows in parts:
        if left and left[0] < start + rows:
            with reading(path), pq.ParquetFile(path) as file:
                group_start = start
                for group in range(file.num_row_groups):
                    group_rows = file.metadata.row_group(group).num_rows
                    here = [place for place in left if place < group_start + group_rows]
                    if here:
                        table = file.read_row_group(group)
                        yield from table.take([place - group_start for place in here]).to_pylist()
                        left = left[len(here) :]
                    group_start += group_rows
        start += rows


def _fill_content(run: Run, step: Step, rows: list[dict[str, Any]]) -> None:
    """Put the content of rows that were dropped unchanged back from the steps they came from."""
    bare = {row["id"]: row for row in rows if all(row[name] is None for name in CONTENT)}
    for earlier in run.upstream(step):
        files = [str(path) for path, _ in earlier.parts()]
        if not bare or not files or run.hides(earlier):
            continue
        wanted = ds.field("id").isin(pa.array(list(bare), pa.binary(16)))
        with reading(earlier.folder):
            found = ds.dataset(files).to_table(columns=["id", *CONTENT], filter=wanted)
        for row in found.to_pylist():
            bare.pop(row.pop("id")).update(row)


def _row_facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as the page shows it: its turns, targets, labels; texts cut for show."""
    texts = [{"role": turn["role"], **shown(turn["content"])} for turn in row["messages"] or []]
    if not texts and row["text"] is not None:
        texts = [{"role": "text", **shown(row["text"])}]
    if not texts and row["meta"]:
        texts = [{"role": "record", **shown(_record_text(row["meta"]))}]
    return {
        "id": row["id"].hex(),
        "texts": texts,
        "references": [shown(text) for text in (row["references"] or [])[:2]],
        "labels": {name: row[name] for name in ("source", "task", "template", "variety") if row[name]},
        "dropped": row["dropped"],
    }


def _record_text(meta: str) -> str:
    """The fields of a raw record, one a line; a text that is not a JSON object stands as it is."""
    try:
        fields = json.loads(meta)
    except json.JSONDecodeError:
        return meta
    if not isinstance(fields, dict):
        return meta
    return "\n".join(f"{name}: {value}" for name, value in fields.items() if value not in (None, "", []))


# --- replies ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pick:
    """An item for the reader: why it was chosen, the gain on it, and for a disagreement what stands against what."""

    why: str  # best, median, worst, apart, judge, random; people, raters (`disagreements`)
    item: str
    gain: float | None
    told: Mapping[str, Any] = field(default_factory=dict)


Items = Mapping[str, Mapping[str, Mapping[str, Any]]]  # item -> system -> place in the table, value, judge's mean


def draw_replies(
    samples: Path, *, systems: Sequence[str], metric: str | None, higher_is_better: bool, seed: int, n_random: int = 3
) -> list[dict[str, Any]]:
    """Items with the replies of every system side by side: largest gain, median, largest loss, disagreements, random.

    `systems[0]` is the baseline, `systems[1]` the one that items are ranked by: its `metric` less the baseline's on the
    same item, ties broken by item id. With three systems or more the item follows on which their values lie furthest
    apart; where a judge scored the replies, the one whose judged rank is furthest from its rank by `metric`. Without a
    metric or a second system all items are random.
    """
    table = read_samples(samples, also=[metric] if metric else [])
    items = _light(table, metric, systems)
    picks = _ranked(items, systems, higher_is_better) if metric and len(systems) > 1 else []
    for found in (_apart(items, systems), _against_judge(items, systems, higher_is_better)):
        if found:
            picks = _with(picks, found)
    rest = sorted(set(items) - {pick.item for pick in picks})
    chooser = random.Random(f"{seed} replies")
    extra = sorted(chooser.sample(rest, min(n_random, len(rest))))
    picks += [Pick("random", item, _gain(items[item], systems)) for item in extra]
    return [_item_facts(table, pick, items[pick.item], systems, metric) for pick in picks]


def replies_to(
    samples: Path, picks: Sequence[Pick], *, systems: Sequence[str], metric: str | None
) -> list[dict[str, Any]]:
    """The items of `picks` as `draw_replies` gives them, their gains filled in; one that is no sample is left out."""
    table = read_samples(samples, also=[metric] if metric else [])
    items = _light(table, metric, systems)
    known = [replace(pick, gain=_gain(items[pick.item], systems)) for pick in picks if pick.item in items]
    return [_item_facts(table, pick, items[pick.item], systems, metric) for pick in known]


def _with(picks: list[Pick], found: Pick) -> list[Pick]:
    """The picks and one more; an item that is among them already is told of there."""
    if found.item not in {pick.item for pick in picks}:
        return [*picks, found]
    return [replace(one, told={**one.told, **found.told}) if one.item == found.item else one for one in picks]


def _light(table: pa.Table, metric: str | None, systems: Sequence[str]) -> Items:
    judged = [name for name in table.column_names if name.startswith(JUDGE)]
    items: dict[str, dict[str, dict[str, Any]]] = {}
    light = [name for name in ("item", "system", metric) if name]
    for place, row in enumerate(table.select(list(dict.fromkeys([*light, *judged]))).to_pylist()):
        if row["system"] not in systems:
            continue
        said = [row[name] for name in judged if row[name] is not None]
        items.setdefault(row["item"], {})[row["system"]] = {
            "place": place,
            "value": row.get(metric) if metric else None,
            "judge": sum(said) / len(said) if said else None,
        }
    return items


def _gain(replies: Mapping[str, Mapping[str, Any]], systems: Sequence[str]) -> float | None:
    """The second system's value less the baseline's, or None where one of them has none."""
    before, after = (replies.get(system, {}).get("value") for system in (*systems[:2], "", "")[:2])
    return None if before is None or after is None else after - before


def _ranked(items: Items, systems: Sequence[str], higher_is_better: bool) -> list[Pick]:
    sign = 1 if higher_is_better else -1
    gains = [(gain, item) for item, replies in items.items() if (gain := _gain(replies, systems)) is not None]
    order = sorted(gains, key=lambda pair: (-sign * pair[0], pair[1]))
    if len(order) < 3:
        return []
    places = (("best", 0), ("median", len(order) // 2), ("worst", len(order) - 1))
    return [Pick(why, order[place][1], order[place][0]) for why, place in places]


def _apart(items: Items, systems: Sequence[str]) -> Pick | None:
    """The item on which three systems or more lie furthest apart; with two that is the largest gain or loss."""
    spreads = []
    for item, replies in items.items():
        values = [one["value"] for one in replies.values() if one["value"] is not None]
        if len(values) > 2:
            spreads.append((max(values) - min(values), item))
    if not spreads:
        return None
    spread, item = min(spreads, key=lambda pair: (-pair[0], pair[1]))
    return Pick("apart", item, _gain(items[item], systems), {"spread": spread})


def _against_judge(items: Items, systems: Sequence[str], higher_is_better: bool) -> Pick | None:
    """The reply whose rank by the judge and by the metric, each as a share of all replies, differ most."""
    replies = [
        (item, system, one["value"], one["judge"])
        for item, every in sorted(items.items())
        for system, one in sorted(every.items())
        if one["value"] is not None and one["judge"] is not None
    ]
    if len(replies) < LEAST_JUDGED:
        return None
    by_metric = _shares([value if higher_is_better else -value for _, _, value, _ in replies])
    by_judge = _shares([judge for _, _, _, judge in replies])
    gaps = [abs(one - other) for one, other in zip(by_metric, by_judge, strict=True)]
    item, system, value, judge = replies[gaps.index(max(gaps))]
    return Pick("judge", item, _gain(items[item], systems), {"system": system, "value": value, "judge": judge})


def _shares(values: Sequence[float]) -> list[float]:
    """The rank of each value as a share, 0..1; equal values share the middle of their ranks."""
    order = sorted(values)
    middle = [(bisect_left(order, value) + bisect_right(order, value) - 1) / 2 for value in values]
    return [place / (len(values) - 1) for place in middle]


def _item_facts(
    table: pa.Table,
    pick: Pick,
    replies: Mapping[str, Mapping[str, Any]],
    systems: Sequence[str],
    metric: str | None,
) -> dict[str, Any]:
    rows = {system: table.slice(replies[system]["place"], 1).to_pylist()[0] for system in systems if system in replies}
    first = next(iter(rows.values()))
    return {
        "pick": pick.why,
        "item": first["item"],
        "gain": pick.gain,
        "told": dict(pick.told),
        "labels": {name: first[name] for name in ("source", "task", "template", "variety") if first.get(name)},
        "prompt": shown(first["prompt"]),
        "reference": shown(first["reference"]),
        "replies": [
            {
                "system": system,
                **shown(row["reply"]),
                "finish": row["finish"],
                "value": row.get(metric) if metric else None,
                "judge": replies[system]["judge"],
            }
            for system, row in rows.items()
        ],
    }
