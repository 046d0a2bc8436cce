"""The one door to translation engines, English into Arabic: `open_engine` gives one by name.

| name | what translates |
|---|---|
| a folder, `owner/name` | Opus-MT (Marian), NLLB or M2M-100 through CTranslate2, converted once (`ctranslate.py`) |
| `lm:NAME` | a language model that `mashq.lm` opens, asked in words (`chat.py`) |
| `transliterate`, `copy` | no model at all: for tests and dry runs (`invented.py`) |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from mashq.packaged import parsed
from mashq.rows import MashqError, nearest
from mashq.settings import taken

__all__ = ["PLAIN", "Engine", "Output", "check_variety", "open_engine", "plain", "targets", "varieties"]

DATA = Path(__file__).parent.parent / "data" / "target_tokens.yaml"
# Opus-MT was trained on text with plain punctuation (its preprocess.sh runs Moses' normalize-punctuation), and its
# vocabulary has no piece for some of these.
PLAIN = str.maketrans({
    "\N{LEFT DOUBLE QUOTATION MARK}": '"', "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    "\N{DOUBLE LOW-9 QUOTATION MARK}": '"', "\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}": '"',
    "\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}": '"', "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'", "\N{SINGLE LOW-9 QUOTATION MARK}": "'", "\N{ACUTE ACCENT}": "'",
    "\N{EN DASH}": "-", "\N{EM DASH}": " - ", "\N{HORIZONTAL ELLIPSIS}": "...", "\N{NO-BREAK SPACE}": " ",
})  # fmt: skip


def plain(text: str) -> str:
    """A text with plain quotes, dashes and spaces, as an engine is given it: in this form two sources are the same."""
    return text.translate(PLAIN)


class Output(NamedTuple):
    """One sentence's translation. `fault` is the engine's own: why the text is not to be used, or None."""

    text: str
    fault: str | None = None  # "too long: 612 tokens > 512", "cut: 256 new tokens, the limit", "error: ..."


@runtime_checkable
class Engine(Protocol):
    """What translates sentences.

    `name` is as the user named it, without a private path; `identity` names everything that decides a translation
    (weights, quantisation, decoding, target token, prompt); `licence` is the model's, an SPDX name where it has one,
    "unknown" where nothing says, and "" where there is no model.
    """

    name: str
    identity: str
    licence: str

    def batches(self, sentences: Sequence[str]) -> list[list[int]]:
        """Places of sentences, each once, in batches of like length, in the order in which to translate them."""
        ...

    def translate(self, sentences: Sequence[str]) -> list[Output]:
        """One batch, in its order. What fails for one sentence is its fault; what fails for all raises MashqError."""
        ...


def targets() -> Mapping[str, Any]:
    """`data/target_tokens.yaml`: what tells each family of models which Arabic to write."""
    return parsed("target_tokens")


def varieties() -> tuple[str, ...]:
    """The varieties that some engine can be asked for."""
    return tuple(targets()["varieties"])


def check_variety(variety: str) -> None:
    """Raises MashqError for a variety that no engine knows."""
    if variety not in varieties():
        raise MashqError(
            f"translation: no engine knows the variety '{variety}' ({', '.join(varieties())})."
            f"{nearest(variety, varieties())}"
        )


def open_engine(spec: str, *, variety: str = "msa", **settings: Any) -> Engine:
    """A translation engine by name (the table above), into one variety of Arabic.

    `settings` are those of its class: quantization, beams, threads ... for CTranslate2; style, and all that
    `mashq.lm.open_model` takes, for a language model. Weights are loaded with the first sentence.

    Raises MashqError for an unknown name, variety or setting, and for a variety that the model was not made for.
    """
    from mashq.mt import chat, ctranslate, invented

    check_variety(variety)
    kind, colon, rest = spec.partition(":")
    if spec in invented.ENGINES:
        taken(f"translation engine '{spec}'", invented.ENGINES[spec], settings, apart=("variety",))
        return invented.ENGINES[spec](variety=variety)
    if kind == "lm" and rest:
        return chat.Chat(rest, variety=variety, **settings)
    if not Path(spec).expanduser().is_dir() and (colon or "/" not in spec):
        raise MashqError(_unknown(spec, tuple(invented.ENGINES)))
    taken(f"translation engine '{spec}'", ctranslate.CTranslate, settings, apart=("variety",))
    return ctranslate.CTranslate(spec, variety=variety, **settings)


def _unknown(spec: str, known: Sequence[str]) -> str:
    if spec.startswith(("http://", "https://")):
        return f"translation engine '{spec}': a server is named lm:{spec}"
    return (
        f"translation engine '{spec}': there is no such folder. Give a folder of a Marian, NLLB or M2M-100 model, a "
        f"hub name (owner/name), lm:NAME for a language model, or one of {', '.join(known)}.{nearest(spec, known)}"
    )
