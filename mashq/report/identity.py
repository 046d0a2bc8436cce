"""The models of a run: hashes, stages and data; tokenizer and chat frame; what was asked of them, and its price.

What a step did not record is None here and `not recorded` to the reader; nothing is guessed. Frames that several steps
share stand once, and the steps name their place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mashq.model_identity import NOTE, file_tokenizer_hash
from mashq.record import Run, Step, read_card, read_survey
from mashq.report.parquet import reading
from mashq.report.samples import flat, shown
from mashq.rows import MashqError, expected_got

__all__ = ["read"]

MOST_PIECES = 400  # of a conversation in its frame; a template of hundreds of lines is cut for show
MOST_PIECE = 8_000  # characters of one piece
MOST_TEMPLATE = 40_000  # characters of a template's source
MOST_TOKENIZER = 2_000_000  # bytes of a tokenizer.json that is hashed while a report is made: half a second


def read(run: Run, evaluations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """{models, frames, asked} of a run; `evaluations` are its evaluations' facts, for the names of systems.

    Raises MashqError for a note or card that is no JSON object.
    """
    labels = _labels(run, evaluations)
    frames: list[dict[str, Any]] = []
    models = []
    for step in run.steps:
        settings = step.manifest.get("settings") or {}
        if step.produces == "model":
            models.append(_trained(run, step, frames))
        elif isinstance(settings, Mapping) and "student" in settings:
            models.append(_asked(run, step, frames, labels.get(step.fingerprint)))
    return {"models": models, "frames": frames, "asked": list(_tokens(run))}


def _labels(run: Run, evaluations: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Step of replies -> the name under which an evaluation shows it."""
    found: dict[str, str] = {}
    for step, evaluation in zip(run.of("evaluation"), evaluations, strict=True):
        for system in evaluation["systems"]:
            fingerprint = (step.manifest.get("inputs") or {}).get(system)
            while (made := _step(run, fingerprint)) is not None:
                found.setdefault(made.fingerprint, evaluation["labels"][system])
                fingerprint = (made.manifest.get("inputs") or {}).get("replies")
    return found


def _step(run: Run, fingerprint: str | None) -> Step | None:
    return next((one for one in run.steps if one.fingerprint == fingerprint), None)


# --- models ----------------------------------------------------------------------------------------------------------


def _trained(run: Run, step: Step, frames: list[dict[str, Any]]) -> dict[str, Any]:
    card = read_card(step)
    base, settings = card.get("base") or {}, card.get("settings") or {}
    inputs = step.manifest.get("inputs") or {}
    return {
        "step": step.name,
        "fingerprint": step.fingerprint,
        "kind": "trained",
        "label": None,
        "model": _public(base.get("name")),
        "weights": base.get("hash"),
        "method": settings.get("method"),
        "adapter": card.get("weights") or {},
        "stage": _named(run, inputs.get("after")),
        "data": _data(step, run, [name for name in inputs if name != "after"]),
        "decoding": [],
        "seed": settings.get("seed"),
        "machine": flat({**(step.manifest.get("machine") or {}), **(card.get("machine") or {})}),
        "packages": card.get("packages") or step.manifest.get("packages") or {},
        **_through(step, _through_of(step, card), frames),
    }


def _asked(run: Run, step: Step, frames: list[dict[str, Any]], label: str | None) -> dict[str, Any]:
    settings, inputs = step.manifest["settings"], step.manifest.get("inputs") or {}
    trained = _step(run, inputs.get("trained"))
    card = read_card(trained) if trained else {}
    note = _note(step)
    through = note if note is not None else _of_training(trained, card, settings["student"].get("frame") or "")
    decoding = settings.get("decoding") or settings.get("choices") or {}
    device = {"device": through["device"]} if through.get("device") else {}
    return {
        "step": step.name,
        "fingerprint": step.fingerprint,
        "kind": "asked",
        "label": label,
        "model": settings["student"].get("model"),
        "weights": through.get("weights") or (card.get("base") or {}).get("hash"),
        "method": None,
        "adapter": card.get("weights") or {},
        "stage": _named(run, inputs.get("trained")),
        "data": _data(step, run, ["rows"] if "rows" in inputs else []),
        "decoding": flat(decoding),
        "seed": decoding.get("seed"),
        "machine": flat({**(step.manifest.get("machine") or {}), **device}),
        "packages": step.manifest.get("packages") or {},
        **_through(step, through, frames),
    }


def _public(name: str | None) -> str | None:
    """A model's name; of a folder its last part alone."""
    return Path(name).name if name and name.startswith(("/", "~", ".")) else name


def _named(run: Run, fingerprint: str | None) -> dict[str, str] | None:
    if fingerprint is None:
        return None
    made = _step(run, fingerprint)
    return {"step": made.name if made else "", "fingerprint": fingerprint}


def _data(step: Step, run: Run, names: Sequence[str]) -> list[dict[str, Any]]:
    """The steps that its rows are from, with the digests of their content."""
    inputs, hashes = step.manifest.get("inputs") or {}, step.manifest.get("input_hashes") or {}
    found = []
    for name in names:
        made = _step(run, inputs[name])
        told = {"step": made.name if made else name, "fingerprint": inputs[name]}
        found.append({**told, "hash": hashes.get(name) or (made.manifest.get("hash") if made else None)})
    return found


# --- tokenizer and frame ---------------------------------------------------------------------------------------------


def _note(step: Step) -> dict[str, Any] | None:
    """What the step noted of the model that it asked; None where it was made before that was noted."""
    path = step.folder / NOTE
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise MashqError(expected_got(f"report: {path}", "JSON", str(error), "Make the step anew.")) from error
    if not isinstance(found, dict):
        raise MashqError(expected_got(f"report: {path}", "a JSON object", type(found).__name__, "Make the step anew."))
    return found


def _through_of(step: Step, card: Mapping[str, Any]) -> dict[str, Any]:
    """Of a training: what its card says, else the frame's name and the hash of a tokenizer that lies in its folder."""
    if card.get("through"):
        return dict(card["through"])
    file = step.folder / "model" / "tokenizer.json"
    return {"frame": card.get("frame"), "tokenizer": _hash_of(file)}


def _hash_of(file: Path) -> str | None:
    small = file.is_file() and file.stat().st_size <= MOST_TOKENIZER
    return file_tokenizer_hash(file) if small else None


def _of_training(trained: Step | None, card: Mapping[str, Any], frame: str) -> dict[str, Any]:
    """Of replies without a note: a model that was trained here is asked through what it was trained with."""
    if trained is None:
        return {"frame": frame or None}
    through = _through_of(trained, card)
    return through if frame in ("", through.get("frame")) else {"frame": frame, "tokenizer": through.get("tokenizer")}


def _through(step: Step, through: Mapping[str, Any], frames: list[dict[str, Any]]) -> dict[str, Any]:
    """Tokenizer, frame, and the place of the frame's text among those of the run, to which a new one is added."""
    place = None
    if through.get("pieces") or through.get("why_not"):
        told = {name: through.get(name) for name in ("tokenizer", "frame")}
        pieces = [{**shown(one["text"], MOST_PIECE), "special": one["special"]} for one in through["pieces"]]
        told |= {"pieces": pieces[:MOST_PIECES], "cut_pieces": max(0, len(pieces) - MOST_PIECES)}
        told |= {"template": shown(through.get("template"), MOST_TEMPLATE), "why_not": through.get("why_not") or ""}
        same = (at for at, one in enumerate(frames) if {name: one[name] for name in told} == told)
        place = next(same, len(frames))
        if place == len(frames):
            frames.append({**told, "steps": []})
        frames[place]["steps"].append(step.name)
    known = {name: through.get(name) for name in ("tokenizer", "tokens", "frame")}
    return {**known, "door": through.get("door") or "", "seen": place}


# --- what was asked --------------------------------------------------------------------------------------------------


def _tokens(run: Run) -> Iterator[dict[str, Any]]:
    """Tokens and price of every step that asked a model, in the order of the run; None where they are not recorded."""
    prices = list(_prices(run.record.get("settings") or {}))
    for step in run.steps:
        settings, identity = step.manifest.get("settings") or {}, step.manifest.get("identity") or {}
        if step.produces == "survey":
            found, writers = read_survey(step), _writers(run, step)
            counts = (found.get("prompt_tokens"), found.get("new_tokens"))
            far = any("://" in name for name in writers)
            yield _line(step, ", ".join(writers), counts, _price(prices, "writer"), far=far)
        elif step.produces == "rows" and isinstance(settings, Mapping) and settings.get("decoding"):
            who = str((settings.get("student") or {}).get("model") or "")
            if who:
                yield _line(step, who, _counted(step), _price(prices, "systems"), far="://" in who)
        elif "judge" in identity:
            who = str((identity.get("about") or {}).get("model") or identity["judge"])
            yield _line(step, who, (None, None), _price(prices, "judge"), far="://" in who)


def _line(
    step: Step, who: str, counts: tuple[int | None, int | None], prices: tuple[float, float] | None, *, far: bool
) -> dict[str, Any]:
    """`far`: the model stands behind an address, so that it may cost money."""
    asked, said = counts
    known = prices is not None and asked is not None and said is not None
    money = (asked * prices[0] + said * prices[1]) / 1e6 if known and far else None  # type: ignore[operator,index]
    return {"step": step.name, "asked": who, "prompt_tokens": asked, "new_tokens": said, "money": money, "far": far}


def _writers(run: Run, survey: Step) -> list[str]:
    """The models that wrote what is surveyed."""
    found: list[str] = []
    for step in run.upstream(survey):
        models = (step.manifest.get("identity") or {}).get("models") or []
        found += [str(one["name"]) for one in models if one.get("role") == "wrote" and one["name"] not in found]
    return found


def _prices(settings: Mapping[str, Any], whose: str = "systems") -> Iterator[tuple[str, tuple[float, float]]]:
    """(whose, prices for a million tokens of prompts and of replies): every pair that the settings name.

    `whose` is `writer` or `judge` where the pair stands in such settings, else `systems`.
    """
    pair = (float(settings.get("price_in") or 0.0), float(settings.get("price_out") or 0.0))
    if any(pair):
        yield whose, pair
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _prices(value, name if name in ("writer", "judge") else whose)


def _price(prices: Sequence[tuple[str, tuple[float, float]]], whose: str) -> tuple[float, float] | None:
    """The one pair of prices of these; None where there is none, or several."""
    found = {pair for name, pair in prices if name == whose}
    return found.pop() if len(found) == 1 else None


def _counted(step: Step) -> tuple[int | None, int | None]:
    """Tokens of prompts and of replies over all its rows; None where the rows do not say."""
    asked = said = 0
    known = False
    for path, _ in [*step.parts(), *step.parts(dropped=True)]:
        with reading(path):
            metas = pq.read_table(path, columns=["meta"]).column("meta").to_pylist()
        for meta in metas:
            told = json.loads(meta or "{}")
            known = known or "new_tokens" in told
            asked, said = asked + (told.get("prompt_tokens") or 0), said + (told.get("new_tokens") or 0)
    return (asked, said) if known else (None, None)
