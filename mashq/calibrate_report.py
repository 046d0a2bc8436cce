"""The page of a calibration: report.md, and its plots as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mashq.corruptions import KINDS
from mashq.detection import Calibration, Scored, aucs, documents_kept, filtered, kept, precision_at, teams

__all__ = ["plot_names", "write_report"]

SWEEP = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
PANELS_ACROSS = 4  # of the plot of AUCs
INK, ACCENT, MUTED, GRID = "#222222", "#0b6e69", "#8a8a8a", "#d9d9d9"


def write_report(calibration: Calibration, folder: Path, command: str) -> None:
    """report.md and its plots into `folder`."""
    files = _draw(calibration, folder)
    parts = [
        "# Calibration",
        _facts(calibration, command),
        "## How well each scorer tells a fault (AUC)",
        "1 is always, 0.5 is chance. In brackets the middle 95 % of 1,000 bootstrap draws of whole pairs.",
        _auc_table(calibration),
        f"![AUC by fault and scorer]({files[0]})",
        "## Thresholds",
        _assumption(calibration),
        _threshold_table(calibration),
        "## What passes the default thresholds",
        _filter_words(calibration),
        _filter_table(calibration),
        "## What is kept from 0.5 to 0.95",
        _sweep_part(calibration),
        "### Every sentence of a document",
        _document_part(calibration),
        *(f"![What passes each threshold of {name}]({file})" for name, file in _curves(calibration, files)),
        "## Time",
        _time_table(calibration),
    ]
    (folder / "report.md").write_text("\n\n".join(part for part in parts if part) + "\n", "utf-8")


def plot_names(calibration: Calibration) -> list[str]:
    """The plots' file names: of all AUCs, then of each scorer of quality."""
    return ["auc.png", *(f"kept-{_slug(one.scorer.name)}.png" for one in _quality(calibration))]


def _slug(name: str) -> str:
    return "".join(char if char.isalnum() else "-" for char in name)


def _quality(calibration: Calibration) -> list[Scored]:
    return [one for one in calibration.scored if one.scorer.column]


def _curves(calibration: Calibration, files: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip((one.scorer.name for one in _quality(calibration)), files[1:], strict=True))


def _columns(calibration: Calibration) -> list[tuple[str, dict[str, Any]]]:
    """The AUCs of every scorer, then of several together."""
    named = [(entry["scorer"], entry["auc"]) for entry in calibration.entries]
    return named + [(name, aucs(one, calibration.settings.seed)) for name, one in calibration.combined.items()]


# --- tables ----------------------------------------------------------------------------------------------------------


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _facts(calibration: Calibration, command: str) -> str:
    sample = calibration.sample
    made = ", ".join(f"{kind} {sum(text is not None for text in texts):,}" for kind, texts in calibration.texts.items())
    how = "judged by people" if sample.good is not None else "true pairs, made wrong on purpose"
    lines = [f"* Pairs: `{sample.name}` ({sample.hash}), {len(sample.pairs):,}, {how}."]
    lines += [f"* Bad ones: {made}."]
    lines += [f"* Command: `{command}`"] if command else []
    lines += [f"* {kind}: {KINDS[kind]}." for kind in calibration.texts if kind in KINDS]
    return "\n".join(lines)


def _auc_table(calibration: Calibration) -> str:
    columns = _columns(calibration)
    kinds = [*calibration.texts, "balanced"]

    def cell(line: dict[str, Any] | None) -> str:
        return "" if line is None else f"{line['auc']:.3f} ({line['low']:.3f}-{line['high']:.3f})"

    rows = [[kind, *(cell(lines.get(kind)) for _, lines in columns)] for kind in kinds]
    note = ""
    if calibration.combined:
        note = (
            "\n\nSeveral together: the least of their shares of good ones (of the other half of the pairs) that score "
        )
        note += "no more."
    return _table(["fault", *(f"`{name}`" for name, _ in columns)], rows) + note


def _assumption(calibration: Calibration) -> str:
    settings = calibration.settings
    known = (
        "as people judged these pairs"
        if settings.as_judged
        else "and every fault that it sees is as frequent as any other: an assumption, change it with `share_bad`"
    )
    return (
        f"Precision is the share of good ones among what passes where {settings.bad:.0%} of what comes in is bad, "
        f"{known}. A scorer sees a fault when the lower end of its AUC is {settings.sees_at:g} or more; the others "
        "pass whatever the threshold. Held out: the threshold was found on one half of the pairs and measured on the "
        "other, both ways."
    )


def _threshold_table(calibration: Calibration) -> str:
    rows = []
    for entry in calibration.entries:
        for line in entry["precisions"]:
            held = line.get("held_out")
            reached = line["value"] is not None
            rows.append(
                [
                    f"`{entry['scorer']}`",
                    f"{line['precision']:.2f}",
                    f"{line['value']:.4f}" if reached else f"not reached (at most {line['highest']:.3f})",
                    _percent(line["keeps_good"]) if reached else "",
                    f"{held['precision']:.3f}" if held else "",
                    _percent(held["keeps_good"]) if held else "",
                ]
            )
    precise = _table(
        ["scorer", "precision", "threshold", "keeps of good", "precision held out", "keeps held out"],
        [row for row in rows if row[0] in {f"`{one.scorer.name}`" for one in _quality(calibration)}],
    )
    defaults = _table(
        ["scorer", "default", "why"],
        [
            [f"`{e['scorer']}`", f"{e['default']['value']:.4f}", e["default"]["why"]]
            if e["default"]
            else [f"`{e['scorer']}`", "none", e["no_default"]]
            for e in calibration.entries
        ],
    )
    return precise + "\n\n" + defaults


def _filter_words(calibration: Calibration) -> str:
    unfiltered = 1 - calibration.settings.bad
    return (
        "Share that passes; the first row should be high, the others low. The last row counts every fault, seen or "
        f"not; without a filter it is {unfiltered:.3f}."
    )


def _filter_table(calibration: Calibration) -> str:
    names = [entry["scorer"] for entry in calibration.entries if entry["default"]]
    columns = [(f"`{name}`", filtered(calibration, [name])) for name in names]
    for name, team in teams(calibration.scored).items():
        columns.append((f"`{name}`", filtered(calibration, [one.scorer.name for one in team])))
    rows = [
        [f"{kind or 'good'} ({_n(columns, kind):,})", *(_percent(shares[kind][0]) for _, shares in columns)]
        for kind in ("", *calibration.texts)
    ]
    rows.append(["precision against every fault", *(f"{_precision(calibration, shares):.3f}" for _, shares in columns)])
    return _table(["", *(name for name, _ in columns)], rows)


def _precision(calibration: Calibration, shares: dict[str, tuple[float, int]]) -> float:
    """Of what passes, where every fault is as frequent as any other, seen or not."""
    good, bad = np.array([shares[""][0]]), {kind: np.array([shares[kind][0]]) for kind in calibration.texts}
    return float(precision_at(good, bad, calibration.settings.bad)[0])


def _n(columns: Sequence[tuple[str, dict[str, tuple[float, int]]]], kind: str) -> int:
    """How many texts of this kind there are."""
    return columns[0][1][kind][1] if columns else 0


def _sweep_part(calibration: Calibration) -> str:
    rows = []
    for one in calibration.scored:
        if one.scorer.scale is None:
            continue
        good, bad = kept(one, np.array(SWEEP))
        rows.append([f"`{one.scorer.name}`, good", *map(_percent, good)])
        rows.append([f"`{one.scorer.name}`, bad", *map(_percent, np.mean(list(bad.values()), axis=0))])
    return _table(["", *(f"{value:.2f}" for value in SWEEP)], rows) if rows else ""


def _document_part(calibration: Calibration) -> str:
    """For each scorer of quality what the every-sentence rule keeps of good documents."""
    parts = []
    for one, entry in zip(calibration.scored, calibration.entries, strict=True):
        if not one.scorer.column:
            continue
        stated = [(f"precision {line['precision']:.2f}", line["value"]) for line in entry["precisions"]]
        values = [(name, value) for name, value in stated if value is not None]
        if one.scorer.scale is not None:
            values = [*((f"{value:.2f}", value) for value in SWEEP if value >= 0.7), *values]
        shares = [(name, documents_kept(calibration, one, value)) for name, value in values]
        if shares:
            rows = [[name, *map(_percent, share.values())] for name, share in shares]
            parts.append(_table([f"`{one.scorer.name}` at", *shares[0][1]], rows))
    how = "Share of documents of good translations of which every sentence passes."
    if calibration.sample.documents is None:
        how += " Documents are runs of neighbouring sentences of the file, which names none."
    return "\n\n".join([how, *parts])


def _time_table(calibration: Calibration) -> str:
    pairs = len(calibration.sample.pairs)
    texts = pairs + sum(text is not None for bad in calibration.texts.values() for text in bad)
    rows = [[f"`{name}`", f"{seconds:.1f}", f"{texts / seconds:,.0f}"] for name, seconds in calibration.seconds.items()]
    return f"{texts:,} pairs. Scorers that share an encoder encode a text once: the first of them pays.\n\n" + _table(
        ["scorer", "seconds", "pairs a second"], rows
    )


# --- plots -----------------------------------------------------------------------------------------------------------


def _draw(calibration: Calibration, folder: Path) -> list[str]:
    from matplotlib import rc_context

    names = plot_names(calibration)
    style = {"font.size": 9, "axes.edgecolor": MUTED, "axes.labelcolor": INK, "text.color": INK}
    style |= {"axes.spines.top": False, "axes.spines.right": False, "xtick.color": INK, "ytick.color": INK}
    with rc_context(style):  # type: ignore[arg-type]
        _draw_aucs(calibration, folder / names[0])
        for one, name in zip(_quality(calibration), names[1:], strict=True):
            _draw_kept(calibration, one, folder / name)
    return names


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=144, facecolor="white", metadata={"Software": None})


def _draw_aucs(calibration: Calibration, path: Path) -> None:
    """A panel a scorer: for each fault the AUC and its interval, the line of chance."""
    from matplotlib.figure import Figure

    columns = _columns(calibration)
    kinds = [*calibration.texts, "balanced"][::-1]
    across = min(PANELS_ACROSS, len(columns))
    down = -(-len(columns) // across)
    figure = Figure(figsize=(1.6 + 1.6 * across, down * (0.8 + 0.22 * len(kinds))), layout="constrained")
    panels = np.atleast_2d(figure.subplots(down, across, sharey=True, squeeze=False))
    for panel in panels.ravel()[len(columns) :]:
        panel.set_axis_off()
    for panel, (name, lines) in zip(panels.ravel(), columns, strict=False):
        panel.axvline(0.5, color=MUTED, linewidth=0.8, linestyle=(0, (3, 2)))
        for place, kind in enumerate(kinds):
            if line := lines.get(kind):
                panel.plot([line["low"], line["high"]], [place, place], color=ACCENT, linewidth=1.6)
                panel.plot(line["auc"], place, "o", color=ACCENT, markersize=4.5)
        panel.set_title(name, fontsize=9)
        panel.set_xlim(-0.04, 1.04)
        panel.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        panel.grid(axis="y", color=GRID, linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(axis="y", length=0)
    panels[0, 0].set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds])
    figure.supxlabel("AUC, good above bad (0.5 is chance)", fontsize=9)
    _save(figure, path)


def _draw_kept(calibration: Calibration, one: Scored, path: Path) -> None:
    """Share that passes each threshold: good ones bold, each fault a line, named at its right end in a legend."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    known = np.concatenate([one.good, *one.bad.values()])
    low, high = np.quantile(known[np.isfinite(known)], [0.005, 0.9995])
    across = np.linspace(low, high, 240)
    good, bad = kept(one, across)
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    panel = figure.subplots()
    colours = colormaps["tab10"].colors  # type: ignore[attr-defined]
    for place, (kind, shares) in enumerate(bad.items()):
        dash = "-" if place % 2 else (0, (4, 1.5))
        colour = colours[place % len(colours)]
        panel.plot(across, 100 * shares, color=colour, linewidth=1.2, linestyle=dash, label=kind.replace("_", " "))
    panel.plot(across, 100 * good, color=INK, linewidth=2.4, label="good")
    entry = next(entry for entry in calibration.entries if entry["scorer"] == one.scorer.name)
    if entry["default"]:
        value = entry["default"]["value"]
        panel.axvline(value, color=ACCENT, linewidth=1.2)
        panel.annotate(f" {value:.3f}", (value, 101), color=ACCENT, fontsize=8, annotation_clip=False)
    panel.set_xlim(low, high)
    panel.set_ylim(0, 101)
    panel.set_xlabel(f"threshold of {one.scorer.name}")
    panel.set_ylabel("passes, %")
    panel.grid(color=GRID, linewidth=0.6)
    panel.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _save(figure, path)
