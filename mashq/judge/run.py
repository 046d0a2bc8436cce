"""`mashq judge`: the replies of an evaluation, judged one by one or in pairs -> tables and a summary in a folder.

What is judged is an evaluation's `samples.parquet` or its folder. The ledger lies in the folder of the
results: the same command asks only what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mashq.judge.asking import Case, Compared, Judge, Judged, JudgeSettings, open_judge
from mashq.judge.card_words import label_of, name_of
from mashq.judge.pairs import pair_results
from mashq.judge.pairs_page import pair_lines, pairs_markdown
from mashq.judge.rows import TABLE, lines_of, metrics_of, storable
from mashq.judge.verdict import OVERALL
from mashq.lm import Budget, public_name
from mashq.metrics import mean_score
from mashq.packaged import parsed
from mashq.places import folder_place
from mashq.rows import MashqError, expected_got
from mashq.shards import write_whole

if TYPE_CHECKING:
    from mashq.judge.card_step import Drawn
    from mashq.judge.measures import JudgeCard

__all__ = ["PAIRS", "card_of_samples", "judge_samples", "lines", "samples_of"]

SAMPLES = ("id", "item", "system", "prompt", "reply")  # columns that must be there
SAME = ("variety", "task", "source", "group")
PAIRS = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("item", "baseline", "system", *SAME, "criterion")),
        pa.field("verdict", pa.string()),  # first (the baseline) | second (the system) | tie; null where unread
        pa.field("flip", pa.bool_()),  # whether the two orders disagree; null where one is unread
        pa.field("why", pa.string()),
        pa.field("reply_shown", pa.string()),  # the judge's, with the baseline shown first
        pa.field("reply_swapped", pa.string()),  # and with the system shown first
    ]
)


def samples_of(path: Path) -> Path:
    """The `samples.parquet` that a path means: itself, or in its folder. Raises MashqError where there is none."""
    if path.suffix == ".parquet" and path.is_file():
        return path
    if (path / "samples.parquet").is_file():
        return path / "samples.parquet"
    do = "Give an evaluation's folder or samples.parquet, or a run's record (runs/RECIPE/NAME.json)."
    raise MashqError(expected_got(f"judge: {path}", "samples of an evaluation", "none there", do))


def judge_samples(
    path: Path,
    settings: JudgeSettings,
    out: Path,
    *,
    pairwise: bool = False,
    systems: Mapping[str, str] | None = None,
    budget: Budget | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Judge every reply of an evaluation, or each system beside the baseline in both orders; returns the summary.

    Writes `judged.parquet` (`rows.TABLE`) and `judged.json`, pairwise `pairs.parquet` (`PAIRS`), `pairs.json`
    (`pairs.pair_results`), `pairs.md` and `pairs.ar.md`.
    `systems`: name -> the model that replied, where the evaluation does not say it or says another. The same samples
    and settings give the same bytes.

    Raises MashqError for samples that lack columns, a judge of a system's family, and what `lm.generate` raises.
    """
    samples = samples_of(path)
    rows = _read(samples)
    about = _evaluation(samples)
    models = {name: str(about.get(name, "")) for name in dict.fromkeys(row["system"] for row in rows)}
    out = folder_place(out, "judge")
    judge = open_judge(
        settings, {**models, **(systems or {})}, ledger=out / "ledger.jsonl", budget=budget, progress=True
    )
    if pairwise:
        return _pairs(judge, rows, _baseline(samples, models), out, seed)
    found = judge.judged([_case(row) for row in rows])
    lines = [line for row, one in zip(rows, found, strict=True) for line in _lines(row, one)]
    pq.write_table(pa.Table.from_pylist(lines, TABLE), out / "judged.parquet", compression="zstd")
    summary = {**judge.about(), "items": len({row["item"] for row in rows}), "scores": _scores(judge, lines, seed)}
    return _written(summary, out / "judged.json")


def lines(summary: Mapping[str, Any]) -> list[str]:
    """What `judge_samples` returned, for the terminal: the scores or pairs, then what to know of the judge."""
    told = pair_lines(summary) if "pairs" in summary else [_score_line(one) for one in summary["scores"]]
    return [*told, *(str(note) for note in summary["notes"])]


def _score_line(one: Mapping[str, Any]) -> str:
    """`tuned: fluency 3.52 [3.11, 3.90] (60 replies, 2 unread)`."""
    value = "–" if one["value"] is None else f"{one['value']:.2f}"
    interval = "" if one.get("low") is None else f" [{one['low']:.2f}, {one['high']:.2f}]"
    counts = f"{one['asked']} replies" + (f", {one['unread']} unread" if one["unread"] else "")
    return f"{one['system']}: {name_of(one['criterion'], 'en')} {value}{interval} ({counts})"


def card_of_samples(
    path: Path,
    settings: JudgeSettings,
    out: Path,
    *,
    say: Callable[[str], None],
    budget: Budget | None = None,
    most: int = 0,
) -> list[str]:
    """Measure the judge on an evaluation's replies: `judge_card.json`, `judge_card.md` and `judge_card.ar.md` in `out`.

    `most`: so many replies at most, drawn by items evenly over the varieties; 0: all. `say` is told how many are judged
    and how many requests the card takes before the first. Returns what to conclude, in English. Raises MashqError as
    `judge_samples` and `judge_card` do.
    """
    from mashq.judge.card import judge_card, needs
    from mashq.judge.card_page import card_json, card_markdown

    samples = samples_of(path)
    drawn, of = _drawn(_read(samples), most)
    out = folder_place(out, "judge")
    judge = open_judge(settings, _evaluation(samples), ledger=out / "ledger.jsonl", budget=budget, progress=True)
    cases, groups = [one.case for one in drawn], [one.group for one in drawn]
    say(f"the card takes {needs(judge, cases, groups=groups)['total']:,} requests, on {len(drawn)} of {of} replies")
    card = judge_card(judge, cases, groups=groups, name=public_name(settings.model))
    for name, text in (
        ("judge_card.json", card_json(card)),
        ("judge_card.md", card_markdown(card, "en")),
        ("judge_card.ar.md", card_markdown(card, "ar")),
    ):
        (out / name).write_text(text, encoding="utf-8")
    return _told(card)


def _drawn(rows: Sequence[Mapping[str, Any]], most: int) -> tuple[list[Drawn], int]:
    """The replies that a card is made on, and how many there are."""
    from mashq.judge.card_step import Drawn, draw_replies

    known: dict[str, list[Drawn]] = {}
    for row in rows:
        one = Drawn(_case(row), row["system"], row["item"], row["group"] or row["item"])
        known.setdefault(row["system"], []).append(one)
    if not most or most >= len(rows):
        return [one for several in known.values() for one in several], len(rows)
    if most < len(known):
        do = "A card takes every system's reply to an item."
        raise MashqError(expected_got("judge: --replies", f"{len(known)} or more, one a system", str(most), do))
    return draw_replies(known, most, 0), len(rows)


def _told(card: JudgeCard) -> list[str]:
    """What to conclude from a card, in English, under what it amounts to."""
    from mashq.judge.card_rules import conclusions

    names, said = parsed("judge/words")["status"], list[str]()
    for status, found in groupby(conclusions(card), key=lambda one: one.status):
        said += [f"{names[status]['en']}:", *(f"  {one.en}" for one in found)]
    return said or [label_of("nothing", "en")]


def _read(samples: Path) -> list[dict[str, Any]]:
    table = pq.read_table(samples)
    if lacking := [name for name in SAMPLES if name not in table.column_names]:
        raise MashqError(expected_got(f"judge: {samples}", f"columns {', '.join(SAMPLES)}", f"no {', '.join(lacking)}"))
    return [dict.fromkeys((*SAME, "reference")) | row for row in table.to_pylist()]


def _evaluation(samples: Path) -> dict[str, str]:
    """System -> its model, by the scores beside the samples; nothing where there are none."""
    return {str(one["name"]): str(one.get("model") or "") for one in _beside(samples).get("systems", [])}


def _beside(samples: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(samples.with_name("scores.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _baseline(samples: Path, systems: Iterable[str]) -> str:
    known = list(systems)
    named = str(_beside(samples).get("baseline") or known[0])
    return named if named in known else known[0]


def _case(row: Mapping[str, Any]) -> Case:
    return Case(row["prompt"] or "", row["reply"] or "", row["variety"] or "", row["reference"] or "")


def _lines(row: Mapping[str, Any], one: Judged) -> list[dict[str, Any]]:
    same = {name: row[name] for name in SAME} | {"row": row["id"], "item": row["item"], "system": row["system"]}
    return lines_of(same, one.scores, one.why, [storable(reply) for reply in one.replies])


def _scores(judge: Judge, lines: Sequence[Mapping[str, Any]], seed: int) -> list[dict[str, Any]]:
    """For each system and criterion: the mean with its interval, and how many could not be read."""
    found = []
    for system in dict.fromkeys(line["system"] for line in lines):
        for name, metric in metrics_of(judge).items():
            asked = [line for line in lines if (line["system"], line["criterion"]) == (system, name)]
            read = [line for line in asked if line["score"] is not None]
            groups = [line["group"] for line in read]
            score = read and mean_score(
                [line["score"] for line in read],
                name=metric.name,
                signature=metric.signature,
                groups=groups if any(groups) else None,
                seed=seed,
                bounds=metric.bounds,
            )
            told = {"system": system, "criterion": name, "asked": len(asked), "unread": len(asked) - len(read)}
            found.append({**told, **(asdict(score) if score else {"value": None})})
    return found


# --- pairs -----------------------------------------------------------------------------------------------------------


def _pairs(judge: Judge, rows: Sequence[Mapping[str, Any]], baseline: str, out: Path, seed: int) -> dict[str, Any]:
    by_item: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        by_item.setdefault(row["item"], {})[row["system"]] = row
    asked = [
        (several[baseline], row)
        for several in by_item.values()
        if baseline in several
        for system, row in several.items()
        if system != baseline
    ]
    if not asked:
        got = f"'{baseline}' alone" if rows else "no rows"
        raise MashqError(expected_got("judge: pairs", "two systems that answer the same items", got))
    found = judge.compared([(_case(one), _case(two)) for one, two in asked])
    lines = [line for (one, two), each in zip(asked, found, strict=True) for line in _pair_lines(one, two, each)]
    pq.write_table(pa.Table.from_pylist(lines, PAIRS), out / "pairs.parquet", compression="zstd")
    signature = metrics_of(judge)[judge.criteria[0]].signature.partition("|")[2]  # of the judge, not of a criterion
    told = pair_results(lines, (*judge.criteria, OVERALL), f"judge_pairs|{signature}", seed)
    summary = _written({**judge.about(), "baseline": baseline, **told}, out / "pairs.json")
    for name, language in (("pairs.md", "en"), ("pairs.ar.md", "ar")):
        (out / name).write_text(pairs_markdown(summary, language), encoding="utf-8")
    return summary


def _pair_lines(one: Mapping[str, Any], two: Mapping[str, Any], each: Compared) -> list[dict[str, Any]]:
    same = {name: two[name] for name in SAME}
    same |= {"item": two["item"], "baseline": one["system"], "system": two["system"]}
    replies = {"reply_shown": storable(each.shown.reply), "reply_swapped": storable(each.swapped.reply)}
    return [
        {
            **same,
            "criterion": name,
            "verdict": verdict,
            "flip": each.flips[name],
            "why": each.shown.why.get(name) or each.swapped.why.get(name),
            **replies,
        }
        for name, verdict in each.verdicts.items()
    ]


def _written(summary: dict[str, Any], path: Path) -> dict[str, Any]:
    with write_whole(path) as partial:
        partial.write_text(json.dumps(summary, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return summary
