"""The page of `llm_client.py`: what was measured, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from sheet import machine

TITLE = "# Asking a model server: mashq beside Curator, DataDesigner and distilabel"
COMMAND = "python benchmarks/llm_client.py --peers PEERS --results FILE --write docs/benchmarks/llm_client.md"
# What a reader must know before two rows are held against each other.
NOT_COMPARABLE = [
    "Beside asking, each client keeps what it is made to keep: mashq a ledger that is synced to the disk, Curator "
    "files of requests and responses, a database and a dataset, DataDesigner Parquet and statistics of the columns, "
    "distilabel a cache of its batches and a dataset. This is in the numbers. Making rows and files of the replies, "
    "which mashq leaves to its next step, is not in mashq's.",
    "The peers are frameworks that import more than a client does; `a request` is therefore the difference between a "
    "run of all requests and a run of two.",
    "distilabel sends batches, here as large as the requests in flight, and waits for the slowest of each. "
    "DataDesigner saves row groups of 1,000, its default: what it sends again depends on that number.",
    "What is tried again, how often and after which wait is each client's default; timeout and requests in flight are "
    "set alike. Curator's rule that one failed request leaves no dataset is switched off.",
    "Peak memory is that of a client's largest process. The server holds no model: with a real one, the wait for it "
    "decides the wall time of all four.",
]
Runs = Sequence[Mapping[str, Any]]


def page(kept: Mapping[str, Any], labels: Mapping[str, str], in_flight: int, timeout_s: float) -> str:
    """The whole page. `kept`: the parts that were run; `labels`: clients in the order of the tables."""
    theirs = ", ".join(kept.get("versions", {}).values()) or "not installed"
    lines = [TITLE, "", f"Made by `{COMMAND}`, in one run or in several with `--parts` and `--only`.", ""]
    lines += [f"* Machine: {machine('mashq')}. The others, each in an environment of its own: {theirs}."]
    lines += [f"* {in_flight} requests in flight and {timeout_s:g} s for one try, for everyone. One client at a time."]
    lines += _loads(kept)
    if "speed" in kept:
        lines += _equality(kept["speed"], labels) + _speed(kept["speed"], labels)
    if "crash" in kept:
        lines += _crash(kept["crash"]["runs"], labels)
    if "trouble" in kept:
        lines += _trouble(kept["trouble"], labels)
    return "\n".join([*lines, "", "## What is not comparable", "", *(f"* {one}" for one in NOT_COMPARABLE), ""])


def _loads(kept: Mapping[str, Any]) -> list[str]:
    """How busy the machine was when each part ran."""
    told = []
    for part, runs in ((part, kept[part]["runs"]) for part in ("speed", "crash", "trouble") if part in kept):
        steps = [step for run in runs for step in (run, *run.values()) if isinstance(step, Mapping)]
        loads = [step["load"] for step in steps if "load" in step]
        told.append(f"{part} {min(loads):.1f} to {max(loads):.1f}")
    return [
        f"* Load average of the machine before each run, the runs before it included: {', '.join(told)}. CPU seconds "
        "bear a busy machine, wall seconds do not."
    ]


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median, least and most."""
    if len(values) == 1:
        return f"{values[0]:,.{digits}f}"
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def span(values: Sequence[int]) -> str:
    """Least and most of counts, one number where they agree."""
    return f"{min(values):,}" if min(values) == max(values) else f"{min(values):,}-{max(values):,}"


# --- speed -----------------------------------------------------------------------------------------------------------


def _full(part: Mapping[str, Any], client: str, latency_s: float | None = None) -> Runs:
    """The runs of all requests by a client."""
    return [
        run
        for run in part["runs"]
        if run["client"] == client and run["count"] == part["count"] and latency_s in (None, run["latency_s"])
    ]


def _all_right(part: Mapping[str, Any], client: str) -> bool:
    return all(run["right"] == run["count"] and not run["ended"] for run in part["runs"] if run["client"] == client)


def _equality(part: Mapping[str, Any], labels: Mapping[str, str]) -> list[str]:
    """Which texts were right, before anything about speed."""
    told = []
    for client, label in labels.items():
        runs = _full(part, client)
        told += [f"{label} {span([run['right'] for run in runs])}"] if runs else []
    return [
        f"* Equality first: rows whose text is the server's reply to exactly these messages, of {part['count']:,} in "
        f"each of {2 * part['repeats']} runs (two latencies): {'; '.join(told)}.",
    ]


def _speed(part: Mapping[str, Any], labels: Mapping[str, str]) -> list[str]:
    """The table of rates and CPU seconds; a client with a wrong text has none."""
    lines = [
        "",
        f"## {part['count']:,} requests",
        "",
        f"Medians of {part['repeats']} interleaved repeats after a warm-up, least and most in brackets. CPU seconds "
        "are the client's, all its processes counted. `A request` is the difference to a run of two requests.",
        "",
        "| latency | client | requests/s, whole run | CPU s, whole run | CPU ms a request | requests/s beyond start-up "
        "| peak MB | CPU against mashq: whole run, a request | server, CPU ms a request |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for latency_s in sorted({run["latency_s"] for run in part["runs"]}):
        for client, label in labels.items():
            start = f"| {latency_s * 1000:g} ms | {label} "
            if not _full(part, client, latency_s):
                lines.append(start + "| not installed | | | | | | |")
            elif not _all_right(part, client):
                lines.append(start + "| a wrong text: no speed | | | | | | |")
            else:
                lines.append(start + _rates(part, client, latency_s))
    return lines


def per_request(part: Mapping[str, Any], client: str, latency_s: float, what: str) -> list[float]:
    """Seconds a request (`what`: cpu_s or wall_s) beyond start-up, repeat by repeat."""
    few = [run for run in part["runs"] if run["client"] == client and run["count"] < part["count"]]
    pairs = zip(_full(part, client, latency_s), few, strict=True)
    return [(all_[what] - start[what]) / (all_["count"] - start["count"]) for all_, start in pairs]


def _rates(part: Mapping[str, Any], client: str, latency_s: float) -> str:
    runs, ours = _full(part, client, latency_s), _full(part, "mashq", latency_s)
    cpu = per_request(part, client, latency_s, "cpu_s")
    against = ""
    if client != "mashq" and ours:
        whole = median(run["cpu_s"] for run in runs) / median(run["cpu_s"] for run in ours)
        each = median(cpu) / median(per_request(part, "mashq", latency_s, "cpu_s"))
        against = f"**{whole:.1f}x**, **{each:.0f}x**"
    cells = [
        spread([run["count"] / run["wall_s"] for run in runs], 0),
        spread([run["cpu_s"] for run in runs], 2),
        spread([1000 * one for one in cpu], 3),
        spread([1 / one for one in per_request(part, client, latency_s, "wall_s")], 0),
        f"{max(run['peak_mb'] for run in runs):.0f}",
        against,
        f"{median(1000 * run['server']['cpu_s'] / run['count'] for run in runs):.3f}",
    ]
    return "| " + " | ".join(cells) + " |"


# --- crashes ---------------------------------------------------------------------------------------------------------


def _crash(runs: Runs, labels: Mapping[str, str]) -> list[str]:
    lines = [
        "",
        "## Killed, and what comes after",
        "",
        "SIGKILL to all of a client's processes when the server has seen 40 % of the requests (50 ms latency), then "
        "the same command again. Sent again: requests that the server had seen before; those in flight cannot "
        "be spared. Then one more row, and then another system text, each in the folder of a finished run. Stale: "
        "a row with the reply to the old system text. Where a client was killed several times, least and most.",
        "",
        "| client | requests | killed | sent again | rows lost | resumed in s "
        "| one more row: sent, lost | other system text: sent, stale, lost |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for client, label in labels.items():
        mine = [run for run in runs if run["client"] == client]
        lines.append(_crashed(label, mine) if mine else f"| {label} | not installed | | | | | | |")
    return lines


def _crashed(label: str, runs: Runs) -> str:
    """A table row: what all kills of a client came to."""

    def over(step: str, what: str) -> list[int]:
        return [run[step]["server"][what] if what in run[step]["server"] else run[step][what] for run in runs]

    again = [late - soon for late, soon in zip(over("resumed", "repeats"), over("killed", "repeats"), strict=True)]
    ends = {run["resumed"]["ended"].split(":")[0] for run in runs} - {""}
    took = "; ".join(sorted(ends)) or spread([run["resumed"]["wall_s"] for run in runs])
    more, other = "one more", "other system"
    cells = [
        label,
        span([run["count"] for run in runs]),
        f"{len(runs)}x",
        span(again),
        span(over("resumed", "lost")),
        took,
        f"{span(over(more, 'requests'))}, {span(over(more, 'lost'))}",
        f"{span(over(other, 'requests'))}, {span(over(other, 'stale'))}, {span(over(other, 'lost'))}",
    ]
    return "| " + " | ".join(cells) + " |"


# --- trouble ---------------------------------------------------------------------------------------------------------


def _trouble(part: Mapping[str, Any], labels: Mapping[str, str]) -> list[str]:
    """A row for every kind of trouble, a column for every client."""
    names = list(dict.fromkeys(run["trouble"] for run in part["runs"]))
    found = {(run["trouble"], run["client"]): run for run in part["runs"]}
    lines = [
        "",
        "## A server that misbehaves",
        "",
        f"{part['count']:,} requests, 50 ms latency, one run each. Which tries fail is decided by the messages and the "
        "number of the try, so everyone meets the same. A cell: rows right at the end, seconds of the whole run, "
        "requests sent. A run that did not end in time was ended; what it had by then is not counted.",
        "",
        "| trouble | " + " | ".join(labels.values()) + " |",
        "|---|" + "---|" * len(labels),
    ]
    for name in names:
        cells = [_troubled(found.get((name, client)), part["count"]) for client in labels]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    failed = [run for run in part["runs"] if run["ended"].startswith("exit")]
    notes = [f"* {labels[run['client']]}, {run['trouble']}: {run['ended']}" for run in failed]
    return [*lines, *(["", "What clients said that ended with an error:", "", *notes] if notes else ())]


def _troubled(run: Mapping[str, Any] | None, count: int) -> str:
    if run is None:
        return "not installed"
    right = f"{run['right']:,}" if run["right"] == count else f"**{run['right']:,}**"
    wrong = f", {run['wrong']} wrong" if run["wrong"] else ""
    ended = f"; {run['ended'].split(':')[0]}" if run["ended"] else ""
    return f"{right}{wrong}, {run['wall_s']:.0f} s, {run['server']['requests']:,} sent{ended}"
