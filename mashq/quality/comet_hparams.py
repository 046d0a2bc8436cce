"""What the hparams of a COMET checkpoint decide about a score, and which of them are supported."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mashq.lm.weights import _first_line
from mashq.rows import MashqError, expected_got, nearest

__all__ = ["ENCODERS", "Shape", "in_force", "shape_of"]

ENCODERS = {"XLM-RoBERTa": "XLMRoberta", "XLM-RoBERTa-XL": "XLMRobertaXL"}  # hparams -> Transformers' class names
ACTIVATIONS = ("Tanh", "Sigmoid", "Softplus", "Softsign", "Mish")  # those of torch.nn that unbabel-comet can name
POOLS = ("avg", "max", "cls", "default")
# What unbabel-comet 2.2.7 takes for a key that a checkpoint leaves out, by class_identifier.
COMMON = {"encoder_model": "XLM-RoBERTa", "layer_norm": True, "activations": "Tanh", "final_activation": None}
DEFAULTS: dict[str, dict[str, Any]] = {
    "unified_metric": {
        **COMMON,
        "pretrained_model": "microsoft/infoxlm-large",
        "sent_layer": "mix",
        "layer_transformation": "sparsemax",
        "hidden_sizes": [3072, 1024],
        "input_segments": ["mt", "src", "ref"],
    },
    "referenceless_regression_metric": {
        **COMMON,
        "pretrained_model": "xlm-roberta-large",
        "layer": "mix",
        "layer_transformation": "softmax",
        "pool": "avg",
        "hidden_sizes": [2048, 1024],
    },
}


@dataclass(frozen=True)
class Shape:
    """What the hparams decide about a score."""

    joined: bool  # translation and source in one sequence; else one vector each
    encoder: str  # of ENCODERS
    layer: int | None  # the one whose states are taken, -1 the last; None: all of them, mixed
    sparse: bool  # mixed by sparsemax; else by softmax
    layer_norm: bool  # each layer's states brought to mean 0 and variance 1 over a sentence before they are mixed
    pool: str  # "cls" | "avg" | "max": positions -> one vector
    hidden_sizes: tuple[int, ...]
    activation: str
    final_activation: str | None

    @property
    def scale(self) -> tuple[float, float] | None:
        """Least and most of a score: of its last activation, or 0 to 1, to which CometKiwi's targets were scaled."""
        bounds = {"Sigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0)}.get(self.final_activation or "")
        return bounds or ((0.0, 1.0) if self.joined and self.final_activation is None else None)


def shape_of(hparams: Mapping[str, Any], where: str) -> Shape:
    """Hparams -> what they decide. Raises MashqError that names the key which asks for what is not supported."""
    joined = hparams["class_identifier"] == "unified_metric"
    given = functools.partial(_choice, hparams, where)
    if joined and "src" not in hparams["input_segments"]:
        got = ", ".join(hparams["input_segments"])
        raise MashqError(
            f"comet:{where}: hparams: input_segments: expected mt and src, got {got}: it scores against references."
        )
    pool = "cls" if joined else given("pool", POOLS)  # unified models always take the first token, whatever pool says
    sizes = hparams["hidden_sizes"]
    if not (isinstance(sizes, Sequence) and sizes and all(isinstance(size, int) and size > 0 for size in sizes)):
        raise MashqError(f"comet:{where}: hparams: hidden_sizes: expected a list of sizes, got {sizes!r}.")
    last = hparams["final_activation"]
    return Shape(
        joined=joined,
        encoder=given("encoder_model", tuple(ENCODERS)),
        layer=-1 if pool == "default" else _layer(hparams, "sent_layer" if joined else "layer", where),
        sparse=given("layer_transformation", ("softmax", "sparsemax", "sparsemax_patch")) == "sparsemax",
        layer_norm=bool(hparams["layer_norm"]),
        pool="cls" if pool == "default" else pool,
        hidden_sizes=tuple(sizes),
        activation=given("activations", ACTIVATIONS, title=True),
        final_activation=None if last is None else given("final_activation", ACTIVATIONS, title=True),
    )


def _choice(hparams: Mapping[str, Any], where: str, key: str, known: Sequence[str], title: bool = False) -> str:
    value = str(hparams[key]).title() if title else str(hparams[key])
    if value not in known:
        expected = f"one of {', '.join(known)}"
        raise MashqError(
            expected_got(f"comet:{where}: hparams: {key}", expected, f"'{hparams[key]}'", nearest(value, known).strip())
        )
    return value


def _layer(hparams: Mapping[str, Any], key: str, where: str) -> int | None:
    """None for the mix of all layers. Whether there are so many is seen when the encoder is there."""
    value = hparams[key]
    if value == "mix":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise MashqError(f"comet:{where}: hparams: {key}: expected mix or a layer's number, got '{value}'.")
    return value


def in_force(folder: Path, in_checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The hparams in force: as in unbabel-comet those in the checkpoint, the class and one word from hparams.yaml.

    That word is `layer_transformation: sparsemax_patch`: the model was trained with softmax though its hparams said
    sparsemax (issue 195 of unbabel-comet). There the correction is lost, unsaid, where setuptools has no pkg_resources.
    """
    in_file = _in_file(folder)
    kind = in_file.get("class_identifier")
    if kind not in DEFAULTS:
        expected = f"one of {', '.join(DEFAULTS)} (they need no reference)"
        raise MashqError(
            expected_got(
                f"{folder / 'hparams.yaml'}: class_identifier", expected, f"'{kind}'", nearest(str(kind), DEFAULTS)
            )
        )
    known = in_checkpoint or in_file
    hparams = {
        **DEFAULTS[kind],
        **{key: known[key] for key in DEFAULTS[kind] if key in known},
        "class_identifier": kind,
    }
    if in_file.get("layer_transformation") == "sparsemax_patch":
        hparams["layer_transformation"] = "sparsemax_patch"
    return hparams


def _in_file(folder: Path) -> dict[str, Any]:
    path = folder / "hparams.yaml"
    try:
        read = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MashqError(f"{path}: is no plain YAML ({_first_line(error)}). Download it again.") from error
    if not isinstance(read, dict):
        raise MashqError(f"{path}: expected keys and values, got {type(read).__name__}. Download it again.")
    return read
