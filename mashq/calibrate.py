"""How far a scorer tells good translations from bad ones, and which threshold keeps what: `mashq calibrate`.

Good ones are true pairs; bad ones are the same pairs made wrong on purpose in named ways (`mashq.corruptions`), or,
where the pairs carry people's judgements, those that people judged bad. Every kind of fault weighs the same, whatever
the number of pairs that it applies to.

* AUC: the chance that a good one scores above a bad one of this kind, ties half (Hanley and McNeil 1982). Intervals:
  the middle 95 % of 1,000 bootstrap draws of whole pairs, so that a pair and what was made of it go together.
* Precision at a threshold t, where `share_bad` of what comes in is bad: (1 - b) g(t) / ((1 - b) g(t) + b m(t)), with g
  the share of good ones that score t or more, and m the mean of that share over the kinds of bad ones it sees.
* A scorer sees a fault when the lower end of its AUC's interval is at least `sees_at`. Precision counts these faults
  alone, and the calibration names them: no threshold of a scorer stops what the scorer does not see.
* The default threshold of a scorer of quality is the least one with `precision`; that of a check, which sees one kind
  of fault and is blind to the others, is the highest that `keeps` so many of the good ones.
"""

from __future__ import annotations

import csv
import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from mashq import __version__, calibrate_report
from mashq.corruptions import Pair, corrupted
from mashq.detection import (
    Calibration,
    Sample,
    Scored,
    Settings,
    aucs,
    halves,
    held_out,
    kept,
    seen,
    teams,
    threshold_at,
)
from mashq.encode import EMBEDDED, Encoder, open_encoder
from mashq.places import folder_place
from mashq.quality import PRECISIONS, Scorer, open_scorer
from mashq.quality.embedding import Cosine, Margin, pair_columns
from mashq.rows import MashqError, expected_got

__all__ = ["Settings", "calibrate", "read_pairs", "run", "write"]

LEAST_PAIRS = 20
SWEEP_POINTS = 41  # thresholds of the curve that calibration.yaml keeps


# --- pairs -----------------------------------------------------------------------------------------------------------


def read_pairs(path: Path, good_at: float | None = None) -> Sample:
    """A TSV with a header: en and ar (or source and translation), and, where people judged, `good` or `score`.

    `good` is 1 or 0 (yes/no, true/false), and a pair whose cell is empty is left out; `score` is a number, good from
    `good_at` on; `document` names the text that the sentence belongs to. Raises MashqError where a column is missing
    and for a cell that it cannot read.
    """
    try:
        data = path.read_bytes()
        lines = list(csv.reader(data.decode("utf-8-sig").splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError) as error:
        raise MashqError(f"calibrate: cannot read {path} ({error}).") from error
    header = [name.strip().lower() for name in lines[0]] if lines else []
    names = pair_columns(header)
    if names is None:
        got = ", ".join(header)[:200] or "none"
        raise MashqError(expected_got(f"calibrate: {path.name}: columns", "en and ar, or source and translation", got))
    columns: dict[str, list[str]] = {name: [] for name in header}
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(header):
            where = f"calibrate: {path.name} line {number}: cells"
            raise MashqError(expected_got(where, str(len(header)), str(len(line))))
        cells = dict(zip(header, line, strict=True))
        if not cells.get("good", "1").strip():
            continue  # nobody judged it
        for name, cell in cells.items():
            columns[name].append(cell)
    pairs = list(zip(columns[names[0]], columns[names[1]], strict=True))
    if len(pairs) < LEAST_PAIRS:
        raise MashqError(expected_got(f"calibrate: {path.name}", f"{LEAST_PAIRS} pairs or more", str(len(pairs))))
    file_hash = hashlib.blake2b(data, digest_size=8).hexdigest()
    return Sample(pairs, _judged(columns, good_at, path.name), columns.get("document"), path.name, file_hash)


_TRUTH = {"1": True, "0": False, "yes": True, "no": False, "true": True, "false": False}


def _judged(columns: Mapping[str, list[str]], good_at: float | None, name: str) -> list[bool] | None:
    """People's judgements, both kinds among them; None where the file has no column for them."""
    if "good" in columns:
        cells = [cell.strip().lower() for cell in columns["good"]]
        if odd := next((cell for cell in cells if cell not in _TRUTH), None):
            raise MashqError(expected_got(f"calibrate: {name}: column good", "1 or 0", f"'{odd}'"))
        good = [_TRUTH.get(cell, False) for cell in cells]
    elif "score" in columns:
        if good_at is None:
            do = "Say from which score on a translation is good."
            raise MashqError(expected_got(f"calibrate: {name} has a column score: good_at", "a number", "none", do))
        try:
            good = [float(cell) >= good_at for cell in columns["score"]]
        except ValueError as error:
            raise MashqError(f"calibrate: {name}: column score: expected numbers ({error}).") from error
    else:
        return None
    if sum(good) < LEAST_PAIRS or len(good) - sum(good) < LEAST_PAIRS:
        got = f"{sum(good)} good, {len(good) - sum(good)} bad"
        raise MashqError(expected_got(f"calibrate: {name}", f"{LEAST_PAIRS} good and {LEAST_PAIRS} bad pairs", got))
    return good


# --- scores ----------------------------------------------------------------------------------------------------------


def calibrate(
    sample: Sample,
    scorers: Sequence[Scorer],
    settings: Settings = Settings(),  # noqa: B008
    encoder: Encoder | None = None,
) -> Calibration:
    """Score the true pairs and the bad ones by every scorer, and find the thresholds.

    `encoder` finds the near sentences; without it `settings.encoder` is opened where it is needed.
    """
    if sample.good is not None and settings.share_bad is None:
        found = round(1 - sum(sample.good) / len(sample.good), 4)
        settings = replace(settings, share_bad=found, as_judged=True)
    _check_settings(settings)
    texts = _bad_texts(sample, settings, encoder)
    scored, seconds = [], {}
    for scorer in scorers:
        began = datetime.datetime.now()
        scored.append(_scored(scorer, sample, texts))
        seconds[scorer.name] = (datetime.datetime.now() - began).total_seconds()
    entries = tuple(_entry(one, sample, settings) for one in scored)
    combined = {name: _combined(team) for name, team in teams(scored).items()}
    return Calibration(sample, settings, texts, tuple(scored), entries, combined, seconds)


def _check_settings(settings: Settings) -> None:
    for name in ("share_bad", "precision", "keeps", "sees_at"):
        value = settings.bad if name == "share_bad" else getattr(settings, name)
        if not 0 < value < 1:
            raise MashqError(expected_got(f"calibrate: {name}", "a share between 0 and 1", f"{value:g}"))


def _bad_texts(sample: Sample, settings: Settings, encoder: Encoder | None) -> dict[str, list[str | None]]:
    """Kind -> bad translations. Judged pairs are of one kind, "judged"; kinds that apply to few pairs are left out."""
    if sample.good is not None:
        bad = [None if good else pair[1] for good, pair in zip(sample.good, sample.pairs, strict=True)]
        return {"judged": list(bad)}
    if encoder is None and "near_sentence" in settings.kinds:
        encoder = open_encoder(settings.encoder)
    made = corrupted(sample.pairs, settings.kinds, settings.seed, encoder)
    return {kind: texts for kind, texts in made.items() if sum(text is not None for text in texts) >= LEAST_PAIRS}


def _scored(scorer: Scorer, sample: Sample, texts: Mapping[str, Sequence[str | None]]) -> Scored:
    """One call over every different pair, so that a text that stands in many is encoded once."""
    good = sample.good or [True] * len(sample.pairs)
    wanted: dict[Pair, int] = {}
    rows: dict[str, list[int]] = {"": [wanted.setdefault(pair, len(wanted)) for pair in sample.pairs]}
    for kind, bad in texts.items():
        rows[kind] = [
            -1 if text is None else wanted.setdefault((pair[0], text), len(wanted))
            for pair, text in zip(sample.pairs, bad, strict=True)
        ]
    scores = scorer.score(list(wanted)).astype(np.float64)
    unscored = int(np.isnan(scores).sum())
    scores = np.append(np.where(np.isnan(scores), -np.inf, scores), np.nan)  # place -1: there is no such text
    made = {kind: scores[places] for kind, places in rows.items()}
    return Scored(scorer, np.where(good, made.pop(""), np.nan), made, unscored)


def _combined(scored: Sequence[Scored]) -> Scored:
    """Several scorers as one: the least of the shares of good ones that score no more than this.

    The shares are taken from the pairs of the other half, so no pair is compared with itself.
    """
    half = halves(len(scored[0].good))

    def least(kind: str) -> np.ndarray:
        made = np.full(len(half), np.inf)
        for one in scored:
            values = one.good if not kind else one.bad[kind]
            for side in (False, True):
                known = np.sort(one.good[(half != side) & ~np.isnan(one.good)])
                here = half == side
                shares = np.searchsorted(known, values[here], side="right") / len(known)
                made[here] = np.minimum(made[here], np.where(np.isnan(values[here]), np.nan, shares))
        return made

    return Scored(scored[0].scorer, least(""), {kind: least(kind) for kind in scored[0].bad}, 0)


# --- what follows from them ------------------------------------------------------------------------------------------


def _rounded_down(value: float) -> float:
    """Four decimals, never above the value: what passed before passes still."""
    return float(np.floor(value * 10_000) / 10_000)


def _precision_line(scored: Scored, visible: Scored, precision: float, settings: Settings) -> dict[str, Any]:
    """The least threshold with this precision against the faults that it sees, and what it keeps of each fault."""
    if not visible.bad:
        return {"precision": precision, "value": None, "highest": 0.0}
    value, highest = threshold_at(visible, precision, settings.bad)
    line: dict[str, Any] = {"precision": precision, "value": None, "highest": round(highest, 4)}
    if value is None:
        return line
    value = _rounded_down(value)
    good, bad = kept(scored, np.array([value]))
    line |= {"value": value, "keeps_good": round(float(good[0]), 4)}
    line["keeps_bad"] = {kind: round(float(share[0]), 4) for kind, share in bad.items()}
    held = held_out(visible, precision, settings.bad)
    if held is not None:
        line["held_out"] = {"precision": round(held[0], 4), "keeps_good": round(held[1], 4)}
    faults = ", ".join(kind.replace("_", " ") for kind in visible.bad)
    line["why"] = (
        f"{value:g}: precision {precision:.2f} against {faults} where {settings.told}; keeps {good[0]:.1%} of good ones"
    )
    return line


def _keeping(scored: Scored, settings: Settings) -> dict[str, Any] | None:
    """The highest threshold that keeps `keeps` of the good ones, where it drops any bad one."""
    candidates = np.unique(scored.good[~np.isnan(scored.good)])
    good, bad = kept(scored, candidates)
    value = _rounded_down(float(candidates[np.flatnonzero(good >= settings.keeps)[-1]]))
    good, bad = kept(scored, np.array([value]))
    mean_bad = float(np.mean(list(bad.values())))
    if mean_bad >= good[0]:
        return None
    why = f"{value:g}: keeps {good[0]:.1%} of good and {mean_bad:.1%} of bad ones"
    shares = {kind: round(float(share[0]), 4) for kind, share in bad.items()}
    return {"value": value, "why": why, "keeps_good": round(float(good[0]), 4), "keeps_bad": shares}


def _entry(scored: Scored, sample: Sample, settings: Settings) -> dict[str, Any]:
    """What calibration.yaml says of one scorer."""
    scorer = scored.scorer
    found = aucs(scored, settings.seed)
    visible = seen(scored, settings, found)
    lines = [_precision_line(scored, visible, precision, settings) for precision in PRECISIONS]
    default, reason = _default(scored, visible, settings)
    known = np.concatenate([scored.good, *scored.bad.values()])
    edges = np.quantile(known[np.isfinite(known)], np.linspace(0, 1, SWEEP_POINTS))
    points = np.unique(np.round(edges, 4))
    good, bad = kept(scored, points)
    return {
        "scorer": scorer.name,
        "identity": scorer.identity,
        "scale": None if scorer.scale is None else list(scorer.scale),
        "sees": list(visible.bad),
        "default": default,
        **({"no_default": reason} if default is None else {}),
        "precisions": lines,
        "auc": {kind: {key: round(value, 4) for key, value in line.items()} for kind, line in found.items()},
        "good": int((~np.isnan(scored.good)).sum()),
        "unscored": scored.unscored,
        "sweep": {
            "threshold": [float(point) for point in points],
            "keeps_good": [round(float(share), 4) for share in good],
            "keeps_bad": [round(float(share), 4) for share in np.mean(list(bad.values()), axis=0)],
        },
    }


def _default(scored: Scored, visible: Scored, settings: Settings) -> tuple[dict[str, Any] | None, str]:
    if not scored.scorer.column:
        found = _keeping(scored, settings)
        return found, f"none keeps {settings.keeps:.0%} of good ones and drops a bad one"
    line = _precision_line(scored, visible, settings.precision, settings)
    if line["value"] is not None:
        return {"value": line["value"], "why": line["why"]}, ""
    if not line["highest"]:
        return None, f"it sees none of these faults with an AUC of {settings.sees_at:g} or more"
    reason = f"no precision of {settings.precision:.2f} where {settings.bad:.0%} is bad"
    return None, f"{reason}; the highest is {line['highest']:.3f}"


# --- writing ---------------------------------------------------------------------------------------------------------


def write(calibration: Calibration, out: Path, command: str = "") -> None:
    """calibration.yaml, scores.parquet, report.md and its plots, into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "calibration.yaml").write_text(_as_yaml(calibration, command), "utf-8")
    pq.write_table(_score_table(calibration), out / "scores.parquet")
    calibrate_report.write_report(calibration, out, command)


def _as_yaml(calibration: Calibration, command: str) -> str:
    settings, sample = calibration.settings, calibration.sample
    head = {
        "made_by": f"mashq {__version__}",
        "command": command,
        "date": datetime.date.today().isoformat(),
        "pairs": {"name": sample.name, "hash": sample.hash, "n": len(sample.pairs)},
        "judged" if settings.as_judged else "assumed": {
            "share_bad": settings.bad,
            "kinds": "every fault that a scorer sees is as frequent",
        },
        "kinds": {kind: sum(text is not None for text in texts) for kind, texts in calibration.texts.items()},
        "seed": settings.seed,
        "scorers": json.loads(json.dumps(calibration.entries)),
    }
    return yaml.safe_dump(head, allow_unicode=True, sort_keys=False, width=120, default_flow_style=None)


def _score_table(calibration: Calibration) -> pa.Table:
    """One row a text: pair, kind ("good" or a fault), source, translation, and a column for each scorer."""
    sample = calibration.sample
    judged = sample.good or [True] * len(sample.pairs)
    rows = [(place, "", text) for place, (_, text) in enumerate(sample.pairs) if judged[place]]
    for kind, texts in calibration.texts.items():
        rows += [(place, kind, text) for place, text in enumerate(texts) if text is not None]
    columns: dict[str, Any] = {
        "pair": [place for place, _, _ in rows],
        "kind": [kind or "good" for _, kind, _ in rows],
        "source": [sample.pairs[place][0] for place, _, _ in rows],
        "translation": [text for _, _, text in rows],
    }
    named = [(one.scorer.name, one) for one in calibration.scored]
    for name, one in [*named, *calibration.combined.items()]:
        values = np.array([(one.bad[kind] if kind else one.good)[place] for place, kind, _ in rows])
        columns[name] = pa.array(values, pa.float32(), mask=~np.isfinite(values))
    return pa.table(columns)


def run(
    pairs: Path,
    scorers: Sequence[str],
    out: Path,
    *,
    anchors: Path | None = None,
    command: str = "",
    settings: Settings = Settings(),  # noqa: B008
) -> Calibration:
    """Calibrate scorers by name on a file of pairs and write the results into `out`.

    Scorers with a margin take their anchors from `anchors`, or from the pairs themselves. Raises MashqError for an
    `out` that cannot be written to, and as `read_pairs`, `open_scorer` and `calibrate` do.
    """
    if not scorers:
        raise MashqError(expected_got("calibrate: scorers", "at least one", "none", "Give --scorer cosine:e5."))
    sample = read_pairs(pairs, settings.good_at)
    out = folder_place(out, "calibrate")
    encoders = _Encoders()
    opened = [_opened(spec, anchors or pairs, encoders) for spec in dict.fromkeys(scorers)]
    near = sample.good is None and "near_sentence" in settings.kinds
    made = calibrate(sample, opened, settings, encoders.open(settings.encoder) if near else None)
    write(made, out, command)
    return made


def _opened(spec: str, anchors: Path, encoders: _Encoders) -> Scorer:
    """A scorer by name; those that embed share one encoder, so that a text is encoded once for all of them."""
    kind, _, name = spec.partition(":")
    if kind not in ("cosine", "margin"):
        return open_scorer(spec)
    encoder = encoders.open(name or EMBEDDED)
    return Cosine(encoder) if kind == "cosine" else Margin(encoder, anchors=anchors)


class _Encoders:
    """Encoders by name, each opened once."""

    def __init__(self) -> None:
        self._known: dict[str, _Remembering] = {}

    def open(self, spec: str) -> _Remembering:
        if spec not in self._known:
            self._known[spec] = _Remembering(open_encoder(spec))
        return self._known[spec]


class _Remembering:
    """An encoder that encodes each text once: a calibration holds a few thousand texts, 1.5 kB each."""

    def __init__(self, encoder: Encoder):
        self.name, self.identity, self.licence = encoder.name, encoder.identity, encoder.licence
        self._encoder = encoder
        self._rows: dict[str, np.ndarray] = {}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """As the encoder does."""
        if new := [text for text in dict.fromkeys(texts) if text not in self._rows]:
            self._rows.update(zip(new, self._encoder.encode(new), strict=True))
        return np.stack([self._rows[text] for text in texts]) if len(texts) else self._encoder.encode([])
