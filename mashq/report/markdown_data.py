"""Parts of report.md on what was made: why rows were dropped, what a model wrote, what was trained, licences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mashq.record import COUNTS
from mashq.report import fertility
from mashq.report.cells import compositions, models_by_notice, slice_text
from mashq.report.lines import code, left_to_right, safe, table
from mashq.report.plots import number
from mashq.report.room import FULL, MOST_CELLS
from mashq.report.words import Words

__all__ = ["licences", "made", "trained", "written"]


def made(words: Words, run: Mapping[str, Any]) -> list[str]:
    """Every step's counts with why rows were dropped, and what the kept rows are made of."""
    if not run["data"]:
        return []
    say = words.plain
    head = [say("step"), *(say(kind) for kind in COUNTS), say("reasons")]
    rows = [
        [
            safe(data["step"]),
            *(number(data["counts"][kind]) for kind in COUNTS),
            "; ".join(
                f"{safe(words.term('drop_reason', reason['reason']))}: {number(reason['rows'])}"
                for reason in data["reasons"]
            ),
        ]
        for data in run["data"]
    ]
    return [f"### {say('data')}", "", say("flow_note"), "", *table(head, rows), *_composition(words, run["data"])]


def _composition(words: Words, steps: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        [
            safe(data["step"]),
            words.plain(f"by_{by}"),
            "; ".join(f"{safe(slice_text(words, by, value))}: {number(n)}" for value, n in values[: FULL.slices]),
        ]
        for data in steps
        if not data["scored"]
        for by, values in compositions(data)
    ]
    head = [words.plain("step"), words.plain("slice"), words.plain("rows")]
    return [f"#### {words.plain('composition')}", *table(head, rows)] if rows else []


def written(words: Words, survey: Mapping[str, Any]) -> list[str]:
    """What a model wrote: how much of it was kept, which checks it passes, which cells are short, how it begins."""
    say = words.plain
    keys = ("wanted", "kept", "replies", "prompt_tokens", "new_tokens")
    rounds = [
        [
            say("mended_round" if line["mended"] else "plain_round", n=number(line["attempt"] + 1)),
            number(line["replies"]),
            number(line["kept"]),
        ]
        for line in survey["tries"]
    ]
    return [
        f"### {say('written')}: {safe(survey['step'])}",
        "",
        say("written_note"),
        *table([say(f"written_{key}") for key in keys], [[number(survey[key]) for key in keys]]),
        *table([say(key) for key in ("round", "replies_made", "kept")], rounds),
        *_checks(words, survey),
        *_cells(words, survey),
        *_counted_texts(words, survey),
    ]


def _checks(words: Words, survey: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            safe(words.term("check_name", line["check"])),
            number(line["replies"]),
            number(line["passed"] / line["replies"], 3),
            number(line["kept_passed"] / line["kept"] if line["kept"] else None, 3),
        ]
        for line in survey["checks"]
    ]
    head = [words.plain(key) for key in ("check", "replies_made", "passed_of_replies", "passed_of_kept")]
    return table(head, rows) if rows else []


def _cells(words: Words, survey: Mapping[str, Any]) -> list[str]:
    """Kept of wanted, for each row of the grid; then the cells that lack most."""
    lines: list[str] = []
    if grid := survey["grid"]:
        note = words.plain("heat_note_rows", rows=len(grid["rows"]), columns=len(grid["columns"]))
        pairs = [
            (row["name"], sum(kept), sum(wanted))
            for row, kept, wanted in zip(grid["rows"], grid["kept"], grid["wanted"], strict=True)
        ]
        lines += [note, *_kept_of(words, pairs)]
    if first := survey["short"]["first"][:MOST_CELLS]:
        pairs = [(one["cell"], one["kept"], one["wanted"]) for one in first]
        lines += [words.plain("short_first"), *_kept_of(words, pairs)]
    return lines


def _kept_of(words: Words, pairs: Sequence[tuple[str, int, int]]) -> list[str]:
    rows = [[safe(name), left_to_right(words, f"{kept} / {wanted}")] for name, kept, wanted in pairs]
    return table([words.plain("thing"), f"{words.plain('kept')} / {words.plain('written_wanted')}"], rows)


def _counted_texts(words: Words, survey: Mapping[str, Any]) -> list[str]:
    openings = [[safe(one["opening"]), number(one["texts"])] for one in survey["openings"]]
    diverse = [[code(one["name"], in_table=True), safe(one["text"])] for one in survey["diversity"]]
    head = [words.plain("thing"), words.plain("count")]
    return [
        *([words.plain("openings"), *table(head, openings)] if openings else []),
        *([words.plain("diversity"), *table([words.plain("thing"), words.plain("value")], diverse)] if diverse else []),
    ]


def trained(words: Words, models: Sequence[Mapping[str, Any]]) -> list[str]:
    """Steps, losses, rows, tokens and seed of every model that was trained; then what is amiss, and its text's cost."""
    if not models:
        return []
    keys = ("optimiser_steps", "first_loss", "last_loss", "last_eval_loss", "supervised_tokens", "all_tokens")
    head = [words.plain(key) for key in ("step", *keys, "rows_learnt", "seed")]
    lines = [f"### {words.plain('training')}", *table(head, [_model_row(model) for model in models])]
    for model in models:
        name = code(model["step"])
        lines += [f"- {name}: {words.plain('no_log')}"] if not model["first"] else []
        lines += [f"- {name}: {words.plain('not_finite', n=model['not_finite'])}"] if model["not_finite"] else []
        lines += [f"- {name}: {words.plain('model_card')} {code(model['readme'])}"] if model["readme"] else []
    for model in models:
        cost = fertility.markdown(words, model["fertility"])
        lines += ["", f"{code(model['step'])} {words.plain('fertility_learnt')}", *cost[1:]] if cost else []
    return [*lines, ""]


def _model_row(model: Mapping[str, Any]) -> list[str]:
    return [
        safe(model["step"]),
        number(model["steps"]),
        number(model["first"] and model["first"][1], 3),
        number(model["last"] and model["last"][1], 3),
        number(model["last_eval"] and model["last_eval"][1], 3),
        number(model["supervised_tokens"]),
        number(model["tokens"].get("tokens")),
        number(model["rows"]),
        safe("–" if model["seed"] is None else model["seed"]),
    ]


def licences(words: Words, run: Mapping[str, Any]) -> list[str]:
    """Licences of rows and models, and the notices that must go on with them."""
    say, found = words.plain, run["licences"]
    rows = [
        [safe(one["step"]), safe(one["licence"] or say("unknown_licence")), number(one["rows"])]
        for one in found["rows"]
    ]
    lines = [f"### {say('licences')}", "", say("licences_note")]
    lines += ["", f"{say('data_card')}: {code(run['data_card'])}"] if run["data_card"] else []
    lines += table([say("step"), say("licence"), say("rows")], rows) if rows else ["", say("no_licences"), ""]
    for one in models_by_notice(found["models"]):
        steps = ", ".join(code(step) for step in one["steps"])
        lines.append(f"- **{safe(one['model'] or '')}** {safe(one['licence'] or say('unknown_licence'))} ({steps})")
        lines += ["", f"  > {safe(one['notice'])}", ""] if one["notice"] else []
    return [*lines, ""]
