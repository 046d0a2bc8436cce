"""The model card of what is shipped: what a reader must know before using it, from what is on record and nothing else.

Facts come from card.json of the training, from the manifests of the steps that its rows went through, from the scores
of evaluations that asked this very model, and from the library's notes on data sets. What none of them says is said to
be lacking.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mashq.export.card import _hub_licence as hub_licence
from mashq.export.known import Known
from mashq.licences import uses
from mashq.lm.toy import TOYS
from mashq.lm.weights import public_name
from mashq.medical import DISCLAIMER, DISCLAIMER_ARABIC
from mashq.report.markdown import safe, table, yaml_text
from mashq.report.plots import number
from mashq.rows import MashqError, expected_got
from mashq.ship.trained import Before, Trained, steps_before
from mashq.train import card as train_card

__all__ = ["data_licences", "evaluations", "public", "published", "readme", "warnings", "write"]

# Where an embedded model was published; a card names its base by the hub's name.
FREE = (
    "CC0-1.0",
    "MIT",
    "Apache-2.0",
    "apache-2.0",
    "mit",
)  # of a base: another licence may stand on what is made of it
PUBLISHED = {"gemma3-270m": "google/gemma-3-270m"}
RELIGION = (
    "Part of the data is religious text or about it. The model may misquote scripture and traditions and may give "
    "rulings that no scholar gave: check every quotation at its source, and ask no ruling of it."
)
HEALTH = f"{DISCLAIMER} {DISCLAIMER_ARABIC}"


# --- facts -----------------------------------------------------------------------------------------------------------


def public(card: Mapping[str, Any]) -> dict[str, Any]:
    """The card without this machine's paths: a model that is a folder goes by the folder's name."""
    settings = dict(card["settings"]) | {"model": _without_path(str(card["settings"]["model"]))}
    base = dict(card["base"]) | {"name": _without_path(str(card["base"].get("name", "")))}
    return dict(card) | {"settings": settings, "base": base}


def _without_path(name: str) -> str:
    """Of a folder, there or gone, its last part; a name as it is."""
    shown = public_name(name)
    return shown.rstrip("/").rpartition("/")[2] if shown.startswith(("/", "~", ".")) else shown


def data_licences(trained: Trained) -> Counter[str]:
    """Rows by licence of everything that this model learnt, over all its stages."""
    found: Counter[str] = Counter()
    for data in _data(trained):
        licences = data.get("licences")
        found.update(licences if isinstance(licences, Mapping) else {"unknown": 0})
    return found


def _data(trained: Trained) -> list[Mapping[str, Any]]:
    """What the stages were given; one data set that two stages took counts once."""
    stages = trained.card.get("lineage") or [{"data": trained.card.get("data") or []}]
    found: dict[str, Mapping[str, Any]] = {}
    for place, stage in enumerate(stages):
        for data in stage.get("data") or []:
            found.setdefault(str(data.get("fingerprint") or f"{place} {data.get('name')}"), data)
    return list(found.values())


def _tally(trained: Trained, key: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for data in _data(trained):
        found.update((data.get("tally") or {}).get(key) or {})
    return found


def warnings(trained: Trained) -> list[str]:
    """What must be said before anyone believes a word of this model; empty where nothing on record asks for it."""
    found = []
    base = str(trained.card["base"].get("name"))
    if base in TOYS:
        found.append(f"The base `{base}` is a toy with random weights: what it writes is noise.")
    notices = [notice for step in steps_before(trained) for notice in step.notices]
    subjects = _subjects(trained)
    if any("medical" in task for task in _tally(trained, "task")) or "health" in subjects:
        notices.append(HEALTH)
    if "religion" in subjects:
        notices.append(RELIGION)
    return [*found, *dict.fromkeys(notices)]


def _subjects(trained: Trained) -> set[str]:
    """Domains of the data sets that the library knows: health, religion, news …"""
    known = Known()
    datasets = (known.of("", source) for source in _tally(trained, "source"))
    return {dataset.domain for dataset in datasets if dataset}


def evaluations(trained: Trained) -> list[dict[str, Any]]:
    """What evaluations beside the training measured of it: scores over all items, with intervals, and its gain."""
    if "evaluations" in trained.card:
        return list(trained.card["evaluations"])
    mine = trained.folder.resolve().name.partition("@")[2]
    found = []
    for path in sorted(trained.folder.resolve().parent.glob("*@*/scores.json")) if mine else []:
        try:
            scores = json.loads(path.read_text("utf-8"))
            systems = [one for one in scores["systems"] if one.get("adapter") == mine]
            found += [_evaluation(path.parent.name, scores, one) for one in systems]
        except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise MashqError(
                expected_got(f"ship: {path}", "scores of an evaluation", f"something else ({error})")
            ) from error
    return found


def _evaluation(step: str, scores: Mapping[str, Any], system: Mapping[str, Any]) -> dict[str, Any]:
    baseline: Mapping[str, Any] = next((one for one in scores["systems"] if one["name"] == scores["baseline"]), {})
    over_all = [one for one in scores["scores"] if one["slice"]["by"] == "all" and one["system"] == system["name"]]
    gains = [
        one
        for one in scores.get("comparisons") or []
        if one["slice"]["by"] == "all" and (one["a"], one["b"]) == (system["name"], scores["baseline"])
    ]
    return {
        "step": step,
        "system": system.get("label") or system["name"],
        "baseline": baseline.get("label") or scores["baseline"],
        "items": scores.get("items"),
        "scores": [
            {key: one.get(key) for key in ("metric", "value", "low", "high", "n", "signature")} for one in over_all
        ],
        "gains": [{key: one.get(key) for key in ("metric", "difference", "low", "high", "p_holm")} for one in gains],
    }


def published(name: str) -> str:
    """A base model by the name under which others find it: of an embedded one the hub's, of a folder its last part."""
    return PUBLISHED.get(name) or _without_path(name)


# --- the text --------------------------------------------------------------------------------------------------------


def write(trained: Trained) -> None:
    """README.md and, where the base asks for it, NOTICE into a merged model's folder."""
    (trained.folder / "README.md").write_text(readme(trained), "utf-8")
    notice = str(trained.card["base"].get("notice") or "").strip()
    if notice:
        changed = f"The weights here were modified: trained by mashq from {trained.card['base']['name']}."
        (trained.folder / "NOTICE").write_text(f"{notice}\n\n{changed}\n", "utf-8")


def readme(trained: Trained, *, licence: str = "") -> str:
    """README.md as model hubs read it; `licence` is the model's own, "" = the base's."""
    card = public(trained.card)
    what = "adapter" if trained.kind == "adapter" else "model"
    name = f"{card['base']['name']}, trained on {_names(trained) or 'data not stated'}"
    lines = [
        *_front_matter(trained, card, licence),
        f"# {safe(name)}",
        "",
        f"A language {what} for Arabic, trained and packed by mashq {safe(card.get('mashq', '(version not stated)'))}.",
        "",
        *(f"> **Warning.** {safe(one)}\n" for one in warnings(trained)),
        *_how_to_use(trained, card),
        "## Intended use",
        "",
        "Research on, and building of, Arabic language models by people who measure it on their own task first. Nobody "
        "has stated another use.",
        "",
        *train_card.training(card),
        "",
        *(["![Training loss](loss.svg)", ""] if (trained.folder / "loss.svg").is_file() else []),
        *train_card.stages(card),
        "",
        *_data_sections(trained),
        *_lineage(steps_before(trained)),
        *_measured(evaluations(trained)),
        *_limits(trained),
        *train_card.base_model(card),
    ]
    return "\n".join(lines) + "\n"


def _names(trained: Trained) -> str:
    sources = [name for name, _ in _tally(trained, "source").most_common()]
    return ", ".join(sources[:3]) + (f" and {len(sources) - 3} more" if len(sources) > 3 else "")


def _front_matter(trained: Trained, card: Mapping[str, Any], own: str) -> list[str]:
    """The YAML by which hubs sort models. The licence is the model's: those of the data stand in text and tags."""
    licence = str(card["base"].get("licence") or "unknown")
    if own and own != licence:  # what is made of a model under its own terms stays under them, too
        licence = own if licence in FREE else f"{own} AND {licence}"
    on_hub = hub_licence(licence)
    base = published(str(card["base"]["name"]))
    adapter = trained.kind == "adapter"
    method = str(card["settings"].get("method", ""))
    lines = ["---", "language:", "- ar", f"license: {on_hub}"]
    if on_hub == "other":
        lines.append(f"license_name: {yaml_text(licence)}")
    if base.count("/") == 1:  # the hub's names have an owner; a folder's name would lead to a stranger's model
        lines += [f"base_model: {yaml_text(base)}", f"base_model_relation: {'adapter' if adapter else 'finetune'}"]
    lines += [f"library_name: {'peft' if adapter else 'transformers'}", "pipeline_tag: text-generation"]
    tags = ["mashq", "arabic", *([method] if method else [])]
    tags += [f"data-licence:{name}" for name in data_licences(trained)]
    return [*lines, "tags:", *(f"- {yaml_text(tag)}" for tag in tags), "---", ""]


def _how_to_use(trained: Trained, card: Mapping[str, Any]) -> list[str]:
    frame = f"Chat frame `{card['frame']}`"
    own = frame + (
        ", the base model's own template."
        if card["frame"] == "template"
        else ", which is the tokenizer's chat template here. A content that begins or ends with white space, or spells "
        "one of the frame's tokens, is encoded apart by `mashq chat` and not by the template."
    )
    if trained.kind == "adapter":
        base = published(str(card["base"]["name"]))
        own = (
            frame
            + f" (`mashq.chat`). PEFT puts the adapter on {safe(base)}; `mashq ship merge` makes one model of both."
        )
    return ["## How to use", "", own + " `mashq chat FOLDER` talks to it in a terminal or on a local page.", ""]


def _data_sections(trained: Trained) -> list[str]:
    licences = data_licences(trained)
    lines = ["## Data", ""]
    if not licences and not _data(trained):
        return [*lines, "The training did not state its data: source and licence of what it learnt are not known.", ""]
    lines += [f"- {train_card.data_line(data)}" for data in _data(trained)]
    sources = _tally(trained, "source")
    known = Known()
    rows = []
    for name, n in sources.most_common():
        dataset = known.of("", name)
        known_as = (dataset.title, dataset.address, dataset.domain) if dataset else ("not in the library", "", "")
        rows.append([safe(name), number(n), *map(safe, known_as)])
    if rows:
        lines += table(["data set", "rows", "title", "address", "domain"], rows)
    else:
        lines += ["", "Which data sets the rows came from is not on record.", ""]
    for key, what in (("task", "Tasks"), ("variety", "Varieties of Arabic")):
        tally = _tally(trained, key)
        said = ", ".join(f"{safe(name or 'not stated')} {number(n)}" for name, n in tally.most_common(20))
        lines += [f"{what}: {said or 'not on record'}.", ""]
    lines += ["## Licences of the data", ""]
    allowed = [(name or "unknown", n, uses(name or "unknown")) for name, n in licences.most_common()]
    lines += table(
        ["licence", "rows", "train", "pass on", "earn with", "share alike"],
        [
            [safe(name), number(n), one.train, one.redistribute, one.commercial, "yes" if one.share_alike else ""]
            for name, n, one in allowed
        ],
    )
    return [*lines, "A reading of the licences for sorting, no legal advice.", ""]


def _lineage(steps: Sequence[Before]) -> list[str]:
    """The steps that the rows went through, with counts, licences and the models that wrote or judged."""
    lines = ["## How the data were made", ""]
    if not steps:
        return [*lines, "The steps that made the rows are not on record here.", ""]
    models = [f"{one.get('name')} ({one.get('licence')})" for step in steps for one in step.models]
    lines += table(
        ["step", "fingerprint", "in", "kept", "dropped", "licences"],
        [
            [
                safe(step.name) + (" (rows that may name people)" if step.private else ""),
                f"`{step.fingerprint}`",
                *(number(step.counts.get(kind, 0)) for kind in ("in", "kept", "dropped")),
                "; ".join(f"{safe(name or 'unknown')}: {number(n)}" for name, n in step.licences.items()),
            ]
            for step in steps
        ],
    )
    told = ", ".join(safe(one) for one in dict.fromkeys(models))
    return [*lines, f"Models that wrote, translated or judged rows: {told or 'none on record'}.", ""]


def _measured(found: Iterable[Mapping[str, Any]]) -> list[str]:
    lines = ["## Evaluation", ""]
    listed = list(found)
    if not listed:
        return [*lines, "No evaluation of this model is on record here.", ""]
    for one in listed:
        lines += [f"### {safe(one['step'])}: {safe(one['system'])}", "", f"{number(one['items'])} items.", ""]
        lines += table(
            ["metric", "value", "95 % interval", "n", "signature"],
            [
                [safe(s["metric"]), number(s["value"], 4), _interval(s), number(s["n"]), safe(s["signature"])]
                for s in one["scores"]
            ],
        )
        if one["gains"]:
            lines += [f"Against {safe(one['baseline'])}, on the same items:"]
            lines += table(
                ["metric", "difference", "95 % interval", "p (Holm)"],
                [
                    [safe(g["metric"]), number(g["difference"], 4), _interval(g), number(g["p_holm"], 4)]
                    for g in one["gains"]
                ],
            )
    return lines


def _interval(one: Mapping[str, Any]) -> str:
    if one.get("low") is None or one.get("high") is None:
        return "not stated"
    return f"{number(one['low'], 4)} to {number(one['high'], 4)}"


def _limits(trained: Trained) -> list[str]:
    lines = [
        "## Limits",
        "",
        "- It writes fluent sentences that are false. Nothing in the training checks facts.",
        "- It may repeat what stood in its data, and the biases of it. No test of safety or of bias is on record.",
    ]
    if not any(step.private for step in steps_before(trained)):
        lines.append("- Whether names or other personal content stood in the data is not on record.")
    merge = trained.card.get("merge")
    if merge:
        disk = merge["on_disk"]
        lines.append(
            f"- Merged from the adapter: logits differ by at most {merge['merged']['logits']:.2g} in float32; the "
            f"weights as they are here ({safe(merge['dtype'])}) by {disk['logits']:.2g}, with the same best token "
            f"at {number(disk['same'])} of {number(disk['positions'])} positions."
        )
    return [*lines, ""]
