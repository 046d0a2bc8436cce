"""What a trained student says of itself: card.json, README.md, NOTICE and the plot of its loss."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mashq
from mashq.rows import file_hash
from mashq.train.settings import kept_as

__all__ = ["base", "base_model", "card", "data_line", "plot", "stages", "training", "write"]

GEMMA_NOTICE = "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms"
PACKAGES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors")


def base(name: str, model: Any) -> dict[str, Any]:
    """What a card says of the base model; `licence` is `unknown` where nothing at hand states it."""
    from mashq.lm.weights import licence, notice

    kind = str(getattr(model.config, "model_type", ""))
    known = licence(name)
    if kind.startswith("gemma") and known == "unknown":
        known = "LicenseRef-Gemma"  # every model of this architecture that Google published
    return {
        "name": name,
        "model_type": kind,
        "parameters": sum(p.numel() for p in model.parameters()),
        "licence": known,
        "notice": notice(name) or (GEMMA_NOTICE if known == "LicenseRef-Gemma" else ""),
    }


def card(
    *,
    settings: Mapping[str, Any],
    frame: str,
    base: Mapping[str, Any],
    previous: Mapping[str, Any] | None,
    data: Sequence[Mapping[str, Any]],
    rows: Mapping[str, Any],
    run: Mapping[str, Any],
    weights: Path,
    fertility: Mapping[str, Any] | None = None,
    through: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The card as data. `lineage` lists every stage so far, this one last; `weights` are the hashes of its files.

    `through`: the hash of its tokenizer and a conversation in its frame, as `model_identity.through` gives them.
    """
    import torch

    hashes = {path.name: file_hash(path) for path in sorted(weights.glob("*.safetensors"))}
    stage = {
        "method": settings["method"],
        "data": [dict(d) for d in data],
        "steps": run["steps"],
        "tokens": run["tokens"],
        "last_loss": run["last_loss"],
        "weights": hashes,
    }
    return {
        "mashq": mashq.__version__,
        "licence": base["licence"],
        "base": {**base, "hash": _base_hash(settings, previous)},
        "frame": frame,
        "through": dict(through or {}),
        "settings": dict(settings),
        "data": [dict(d) for d in data],
        "rows": dict(rows),
        "run": dict(run),
        "fertility": dict(fertility or {}),
        "weights": hashes,
        "lineage": [*(previous["lineage"] if previous else []), stage],
        "machine": {
            "python": platform.python_version(),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "threads": torch.get_num_threads(),
        },
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _base_hash(settings: Mapping[str, Any], previous: Mapping[str, Any] | None) -> str | None:
    """Of the base's files before the first stage; None where an earlier stage was trained before cards said it."""
    from mashq.lm.weights import fingerprint, weights

    if previous is not None:
        return previous["base"].get("hash")
    return fingerprint(weights(settings["model"], settings["remote_code"]))


def write(out: Path, card: Mapping[str, Any], weights: Path) -> None:
    """Write plot, card, README and NOTICE into `out`, then put the weights in place: the last thing to appear."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    plot(lines, out / "loss.svg")
    (out / "card.json").write_text(json.dumps(card, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (out / "README.md").write_text(readme(card), encoding="utf-8")
    if card["base"]["notice"]:
        changed = f"The weights here were modified: trained by mashq from {card['base']['name']}."
        text = f"{card['base']['notice'].strip()}\n\n{changed}\n"
        (weights / "NOTICE").write_text(text, encoding="utf-8")
    final = weights.with_name(weights.name.removesuffix(".partial"))
    shutil.rmtree(final, ignore_errors=True)
    weights.replace(final)


def plot(lines: Sequence[Mapping[str, Any]], path: Path) -> None:
    """The loss a step, its running mean, and the validation loss, as SVG whose text is text, with a description."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    taken = [line for line in lines if "loss" in line]
    held = [line for line in lines if "eval_loss" in line]
    steps, losses = [line["step"] for line in taken], [line["loss"] for line in taken]
    alt = f"Training loss over {len(steps)} steps, from {losses[0]:.3f} to {losses[-1]:.3f} nats a supervised token."
    if held:
        alt += f" Validation loss at the end: {held[-1]['eval_loss']:.3f}."
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "mashq"}):
        figure = Figure(figsize=(7, 3.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(steps, losses, color="#9bb7d4", linewidth=1, label="a step")
        axes.plot(steps, _running_mean(losses), color="#1f4e79", linewidth=2, label="running mean")
        if held:
            axes.plot(
                [line["step"] for line in held],
                [line["eval_loss"] for line in held],
                "o-",
                color="#b5462f",
                label="validation",
            )
        axes.set_xlabel("step")
        axes.set_ylabel("loss (nats a supervised token)")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None, "Title": "Loss", "Description": alt})
    svg = path.read_text(encoding="utf-8")
    path.write_text(svg.replace("<svg ", f'<svg role="img" aria-label="{alt}" ', 1), encoding="utf-8")


def _running_mean(values: Sequence[float], keep: float = 0.9) -> list[float]:
    """Exponential mean, corrected for its start (Kingma & Ba 2015, section 3)."""
    mean, found = 0.0, []
    for count, value in enumerate(values, 1):
        mean = keep * mean + (1 - keep) * value
        found.append(mean / (1 - keep**count))
    return found


def readme(card: Mapping[str, Any]) -> str:
    """The model card as Markdown, with the front matter the hub reads; `mashq.ship.card` writes the longer one."""
    base, settings = card["base"], card["settings"]
    adapter = kept_as(settings["method"]) == "adapter"
    quantised = ", base in 4 bits" if settings["method"] == "qlora" else ""
    what = f"LoRA adapter (rank {settings['rank']}{quantised})" if adapter else "Full fine-tune"
    front = [
        "---",
        "language: ar",
        f"base_model: {base['name']}",
        "library_name: " + ("peft" if adapter else "transformers"),
    ]
    if base["licence"] == "LicenseRef-Gemma":
        front.append("license: gemma")
    lines = [
        *front,
        "---",
        "",
        f"# {what} of {base['name']}",
        "",
        f"Made by mashq {card['mashq']}; chat frame `{card['frame']}`.",
        "",
        *training(card),
        "",
        "![Training loss](loss.svg)",
        "",
        *stages(card),
        "",
        "## Data and licences",
        "",
        *([f"- {data_line(d)}" for d in card["data"]] or ["- not stated by the caller"]),
        "",
        *base_model(card),
    ]
    return "\n".join(lines) + "\n"


def training(card: Mapping[str, Any]) -> list[str]:
    """The section on the training: rows, steps, losses, settings."""
    run, rows, settings = card["run"], card["rows"], card["settings"]
    held = "" if run["eval_loss"] is None else f", validation {run['eval_loss']:.4f}"
    reasons = "".join(f"; {n} {kind}" for kind, n in rows["reasons"].items())
    return [
        "## Training",
        "",
        f"- {rows['train']} rows ({rows['validation']} validation, {rows['refused']} refused{reasons})",
        f"- {run['steps']} steps, {run['tokens']['supervised_tokens']} supervised tokens, {run['seconds']} s"
        f" on {card['machine']['device']}, {run['precision']}",
        f"- loss {run['first_loss']:.4f} at the first step, {run['last_loss']:.4f} over the last ten{held}"
        " (nats a supervised token)",
        *_speed(run.get("speed") or {}),
        *_best(run),
        *_fertility(card.get("fertility") or {}),
        f"- settings: `{json.dumps(settings, ensure_ascii=False)}`",
    ]


def _speed(speed: Mapping[str, Any]) -> list[str]:
    if "tokens_per_s" not in speed:
        return []
    share = "" if speed["mfu"] is None else f"; MFU {speed['mfu']:.1%} ({speed['peak_source']})"
    return [
        f"- {speed['supervised_per_s']:,.0f} supervised, {speed['tokens_per_s']:,.0f} total,"
        f" {speed['padded_per_s']:,.0f} padded tokens/s, {speed['tflops']:.3g} TFLOP/s{share}"
    ]


def _best(run: Mapping[str, Any]) -> list[str]:
    best = run.get("best")
    early = "; stopped there, nothing better came" if run.get("stopped_early") else ""
    if best:
        return [f"- kept: the weights of step {best['step']}, validation {best['eval_loss']:.4f}{early}"]
    return [f"- the last step is {run['steps']}{early}"] if early else []


def _fertility(cost: Mapping[str, Any]) -> list[str]:
    told = [
        f"{name} {one['tokens_per_word']:.2f}"
        for name, one in (cost.get("by") or {}).items()
        if "tokens_per_word" in one
    ]
    lines = [f"- tokens a word: {', '.join(told)}"] if told else []
    return [*lines, *(f"- **warning**: {one}" for one in cost.get("warnings") or ())]


def stages(card: Mapping[str, Any]) -> list[str]:
    """The section on the stages so far, this one last."""
    told = (f"{n}. {s['method']}, {s['steps']} steps on {_names(s['data'])}" for n, s in enumerate(card["lineage"], 1))
    return ["## Stages", "", *told]


def base_model(card: Mapping[str, Any]) -> list[str]:
    """The section on the base model, with the notice that travels with it."""
    base = card["base"]
    lines = [
        "## Base model",
        "",
        f"{base['name']}, {base['parameters']:,} parameters, licence: {base['licence']}.",
    ]
    if base["notice"]:
        lines += ["", base["notice"].strip(), "", "The weights here were modified: trained by mashq."]
    return lines


def _names(data: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(str(d.get("name", d.get("fingerprint", "unnamed data"))) for d in data) or "data not stated"


def data_line(data: Mapping[str, Any]) -> str:
    """One data set of a training in a line: name, fingerprint, licences, and who judged or translated it."""
    licences = data.get("licences") or {}
    told = (
        ", ".join(f"{name}: {n} rows" for name, n in licences.items())
        if isinstance(licences, Mapping)
        else str(licences)
    )
    judges = f"; translated or judged by {', '.join(data['judges'])}" if data.get("judges") else ""
    said = f"{_names([data])} (fingerprint {data.get('fingerprint', 'not stated')}); licences: {told or 'not stated'}"
    return said + judges
