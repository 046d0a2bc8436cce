"""Reference-free scores of a translation, and the thresholds that belong to them.

| spec | column | scale | what it sees |
|---|---|---|---|
| `cosine:ENCODER` | similarity | -1..1 | how alike the two texts' meanings are (`embedding.py`, `mashq.encode`) |
| `margin:ENCODER` | margin | about 1 | the same, against the nearest other texts; setting `anchors` |
| `comet:MODEL` | qe | by model | quality as a trained model of human judgements rates it (`comet.py`) |
| `length` | | 0..1 | a length that is not usual (`checks.py`, as all below) |
| `numbers` | | 0..1 | numbers that differ |
| `entities` | | 0..1 | addresses and codes that are lost, names that are not heard |
| `translated` | | 0..1 | words left in the source's language |

A threshold belongs to a scorer, never to a kind of score: 0.7 of one COMET model and 0.92 of one encoder are nothing to
another. So a scorer filters only with a calibration of its own (`mashq calibrate`), found by its identity in
`mashq/data/calibrations.yaml` or in a file of yours.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml

from mashq.quality.checks import CHECKS, Check
from mashq.rows import MashqError, expected_got, nearest
from mashq.settings import taken

__all__ = ["PUBLISHED", "Scorer", "Threshold", "open_scorer", "passes", "scorers", "threshold_of"]

PUBLISHED = "published"  # the calibration of a threshold that a paper gives, for a scorer that nobody calibrated here
PRECISIONS = (0.90, 0.95, 0.99)  # that a calibration states


class Scorer(Protocol):
    """What rates translations without a reference."""

    name: str  # "cosine:e5", "comet:wmt22-cometkiwi-da", "numbers"
    identity: str  # names everything that decides a score
    scale: tuple[float, float] | None  # least and most; None: unbounded
    licence: str  # of the model; "" where there is none
    column: str  # of rows' scores: "qe" | "similarity" | "margin" | "" (a check)

    def batches(self, pairs: Sequence[tuple[str, str]]) -> list[list[int]]:
        """Places of the pairs, each once, like lengths together."""
        ...

    def score(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """(source, translation) pairs -> (n,) float32, higher is better; NaN where a pair has no score."""
        ...


def open_scorer(spec: str, **settings: Any) -> Scorer:
    """A scorer by name (the table above); `settings` are those of its class: anchors, neighbours, prompt ...

    `cosine` and `margin` alone take the encoder `e5`. Raises MashqError for an unknown name or setting.
    """
    kind, colon, rest = spec.partition(":")
    make: Callable[..., Scorer]
    if kind in CHECKS and not colon:
        return Check(spec, **taken(f"scorer '{spec}'", Check, settings))
    if kind in ("cosine", "margin"):
        from mashq.quality.embedding import Cosine, Margin

        make = Cosine if kind == "cosine" else Margin
        return make(rest or "e5", **taken(f"scorer '{spec}'", make, settings))
    if kind == "comet" and rest:
        from mashq.quality.comet import open_comet

        return open_comet(rest, **settings)
    known = [*scorers(), "cosine", "margin"]
    raise MashqError(f"scorer '{spec}': there is none of this name ({', '.join(scorers())}).{nearest(spec, known)}")


def scorers() -> dict[str, str]:
    """Name -> what it is, for help texts and the documentation."""
    return {
        "cosine:ENCODER": "cosine of the two texts' vectors",
        "margin:ENCODER": "that cosine over those to the nearest other texts; needs anchors",
        "comet:MODEL": "a COMET model that needs no reference",
        "length": "how usual the translation's length is",
        "numbers": "agreement of the numbers",
        "entities": "addresses and codes kept, names heard",
        "translated": "share of words that are not left in the source's language",
    }


# --- thresholds ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Threshold:
    """The least score that a translation must have, and where the number comes from."""

    value: float
    why: str


def passes(scores: np.ndarray, threshold: Threshold) -> np.ndarray:
    """(n,) whether each score is at least the threshold; a NaN never is.

    Compared in float32, in which scores are kept: 0.9 as float32 passes 0.9.
    """
    return np.asarray(scores, np.float32) >= np.float32(threshold.value)


def threshold_of(
    scorer: Scorer, asked: float | None = None, precision: float | None = None, calibration: str = ""
) -> Threshold:
    """The threshold of this very scorer.

    Without `asked`, which wins, it is the calibrated one: the calibration's default, or that at `precision` (0.90, 0.95
    or 0.99: the share of good ones among what it keeps, under what the calibration assumes). `calibration` is the path
    of a file that `mashq calibrate` wrote, "" for those that ship, or "published": the only way to use a threshold of a
    bounded scorer that nobody calibrated here.

    Raises MashqError where the scorer has no calibration (it may score, but not filter), where a precision was not
    reached, and where `asked` lies outside the scale or outside every score that the calibration saw.
    """
    if asked is not None and scorer.scale is not None and not scorer.scale[0] <= asked <= scorer.scale[1]:
        scale = f"{scorer.scale[0]:g} to {scorer.scale[1]:g}, its scale"
        raise MashqError(expected_got(f"threshold of '{scorer.name}'", scale, f"{asked:g}"))
    if calibration == PUBLISHED:
        return _published(scorer, asked)
    known = _calibrations(calibration)
    found = next((entry for entry in known if entry["identity"] == scorer.identity), None)
    if found is None:
        raise MashqError(_uncalibrated(scorer, asked, known, calibration))
    return _calibrated(scorer, found, precision) if asked is None else _asked(scorer, found, asked)


def _published(scorer: Scorer, asked: float | None) -> Threshold:
    if asked is None:
        raise MashqError(f"threshold of '{scorer.name}': a published threshold must be given as a number.")
    if scorer.scale is None:
        raise MashqError(_unbounded(scorer, asked))
    return Threshold(asked, f"{asked:g}: published elsewhere, not calibrated here for {scorer.name}")


def _unbounded(scorer: Scorer, asked: float) -> str:
    return (
        f"threshold of '{scorer.name}': {asked:g} says nothing here. Its scores have no fixed scale, so a number from "
        "another model (0.7 of COMETKiwi, say) does not carry over. Run `mashq calibrate` with this scorer."
    )


def _uncalibrated(scorer: Scorer, asked: float | None, known: Sequence[Mapping[str, Any]], calibration: str) -> str:
    if asked is not None and scorer.scale is None:
        return _unbounded(scorer, asked)
    where = f"in {Path(calibration).name}" if calibration else "among those that ship"
    twin = any(entry["scorer"] == scorer.name for entry in known)
    other = " (one of that name is of other weights, words or anchors)" if twin else ""
    do = "run `mashq calibrate PAIRS.tsv --scorer ...` and give its calibration.yaml"
    if asked is not None:
        do += f", or say calibration='{PUBLISHED}' to use {asked:g} as published for it"
    return (
        f"threshold of '{scorer.name}': there is no calibration of it {where}{other}. "
        f"It may score, but not filter: {do}."
    )


def _calibrated(scorer: Scorer, entry: Mapping[str, Any], precision: float | None) -> Threshold:
    if precision is None:
        if entry["default"] is None:
            raise MashqError(f"threshold of '{scorer.name}': its calibration found none ({entry['no_default']}).")
        return Threshold(float(entry["default"]["value"]), str(entry["default"]["why"]))
    stated = {float(line["precision"]): line for line in entry["precisions"]}
    if precision not in stated:
        given = ", ".join(f"{value:.2f}" for value in stated)
        raise MashqError(expected_got(f"threshold of '{scorer.name}': precision", f"one of {given}", f"{precision:g}"))
    line = stated[precision]
    if line["value"] is None:
        raise MashqError(
            f"threshold of '{scorer.name}': its calibration reached no precision of {precision:.2f}; the highest is "
            f"{line['highest']:.3f}. Ask for less, or add a scorer that sees what this one does not."
        )
    return Threshold(float(line["value"]), str(line["why"]))


def _asked(scorer: Scorer, entry: Mapping[str, Any], asked: float) -> Threshold:
    """What was asked, with what the calibration's sweep says of it."""
    sweep = entry["sweep"]  # thresholds ascending, and the shares of good and of bad ones that pass each
    least, most = sweep["threshold"][0], sweep["threshold"][-1]
    if scorer.scale is None and not least <= asked <= most:
        expected = f"{least:.3f} to {most:.3f}, where its calibration saw scores"
        raise MashqError(expected_got(f"threshold of '{scorer.name}'", expected, f"{asked:g}"))
    good, bad = (float(np.interp(asked, sweep["threshold"], sweep[side])) for side in ("keeps_good", "keeps_bad"))
    return Threshold(
        asked, f"{asked:g}: asked for; it kept {good:.1%} of good and {bad:.1%} of bad ones when calibrated"
    )


def _calibrations(path: str) -> list[dict[str, Any]]:
    """The entries of a file that `mashq calibrate` wrote, or of those that ship."""
    if not path:
        return _shipped()
    file = Path(path).expanduser()
    try:
        return _entries(file.read_text("utf-8"), file.name)
    except (OSError, UnicodeDecodeError) as error:
        raise MashqError(f"calibration: cannot read {file} ({error}).") from error


@functools.cache
def _shipped() -> list[dict[str, Any]]:
    return _entries(files("mashq").joinpath("data/calibrations.yaml").read_text("utf-8"), "calibrations.yaml")


ENTRY_KEYS = frozenset(("scorer", "identity", "default", "precisions", "sweep"))


def _entries(text: str, name: str) -> list[dict[str, Any]]:
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise MashqError(f"calibration: {name} is not YAML ({str(error).splitlines()[0]}).") from error
    entries = loaded.get("scorers") if isinstance(loaded, dict) else None
    whole = isinstance(entries, list) and all(
        isinstance(entry, dict) and entry.keys() >= ENTRY_KEYS for entry in entries
    )
    if not isinstance(entries, list) or not whole:
        do = "Give the calibration.yaml that `mashq calibrate` wrote."
        keys = ", ".join(sorted(ENTRY_KEYS))
        raise MashqError(expected_got(f"calibration: {name}", f"a list 'scorers' with {keys}", "something else", do))
    return entries
