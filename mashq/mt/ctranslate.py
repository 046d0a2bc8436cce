"""Opus-MT (Marian), NLLB and M2M-100 through CTranslate2, from the files that their authors publish.

A Transformers folder is converted once into the cache; a folder that somebody converted already is taken as it is.
Sentences are cut into pieces by the folder's own SentencePiece models, directly: a special token that stands in a text
(`</s>`, `>>arz<<`, `arb_Arab`) stays text, and no installed package changes what the model is given.

Nothing is cut silently: a source that is too long, and a translation that was still going on at its limit, are faults.
How long a translation may become depends on its own source alone. So a translation does not depend on its neighbours,
up to rounding: of 128 sentences on random weights, whose likeliest tokens are nearly equal, 128 came out the same alone
and in one batch in float32, and 127 in int8 (docs/benchmarks/translation.md).
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mashq.encode import token_batches
from mashq.licences import named
from mashq.lm import public_name
from mashq.lm.weights import _first_line, _hash_together, _listing, _need, _once, cache, licence, quiet, weights
from mashq.mt import Output, plain, targets
from mashq.rows import MashqError, expected_got, nearest
from mashq.settings import check_limits

__all__ = ["CTranslate", "Decoding"]

WHAT, CONVERTING = "a translation model", "a translation model that is not converted yet"
NEED = "pip install 'mashq[translate]'"
NEED_CONVERSION = "pip install 'mashq[train,translate]'"
RULES = 1  # raise it when the pieces made of a sentence or the limits below change: what was translated is asked again
END, UNKNOWN, SPACE = "</s>", "<unk>", "\N{LOWER ONE EIGHTH BLOCK}"
LONGEST = 512  # positions that Marian has, and that NLLB was trained on
LIMITS = (32, 64, 128, 256, 512)  # new tokens; few, because sentences of one limit are translated together
TOKENS_AT_ONCE = 2048  # padded source tokens that one thread translates together; 1024 is 9 % slower, 4096 no faster
TOKENS_PER_BATCH = 16_384  # padded source tokens in a batch: what a killed run loses
QUANTIZATIONS = (
    "auto", "int8", "int8_float32", "int8_float16", "int8_bfloat16", "int16", "float16", "bfloat16", "float32",
)  # fmt: skip
# Where a folder has no card: what the authors' own cards say.
KNOWN_LICENCES = (
    (re.compile(r"opus-mt-tc-", re.I), "CC-BY-4.0"),
    (re.compile(r"opus-mt-", re.I), "Apache-2.0"),
    (re.compile(r"nllb-(?:200|moe)", re.I), "CC-BY-NC-4.0"),
    (re.compile(r"m2m100", re.I), "MIT"),
)


@dataclass(frozen=True)
class Decoding:
    """How a translation is searched for. Lengths are in tokens; a translation's own do not count its end."""

    beams: int = 1  # 1 = greedy
    source_tokens: int = LONGEST  # the longest source, with its marks
    least_new_tokens: int = 0
    most_new_tokens: int | None = None  # None: twice the source's length and a little (`limit`)

    def __post_init__(self) -> None:
        most = self.most_new_tokens
        limits = {
            "beams": (self.beams >= 1, "1 (greedy) or more"),
            "source_tokens": (1 <= self.source_tokens <= LONGEST, f"1 to {LONGEST}"),
            "most_new_tokens": (most is None or 1 <= most < LONGEST, f"1 to {LONGEST - 1}, or none"),
            "least_new_tokens": (0 <= self.least_new_tokens < (most or LIMITS[0]), "0 or more and below the most"),
        }
        check_limits("translation", self, limits)

    def limit(self, source: int) -> int:
        """New tokens that a source of so many tokens may have: at least 2n + 16 where positions allow, in steps.

        Arabic has about as many pieces as its English source; twice as many is a loop or another sentence.
        """
        if self.most_new_tokens is not None:
            return self.most_new_tokens
        return next((limit for limit in LIMITS if limit >= 2 * source + 16), LIMITS[-1]) - 1


class Family(NamedTuple):
    """What kinds of models differ in."""

    name: str  # marian | nllb | m2m
    vocabulary: list[str]  # by id
    first: tuple[str, ...]  # tokens before the source
    prefix: tuple[str, ...]  # tokens that the translation must begin with


class CTranslate:
    """Opus-MT, NLLB or M2M-100 in this process, on the GPU where there is one.

    quantization: of weights and products; "auto" is int8 on CPUs and float16 on a GPU. beams: None is what the folder's
    generation_config.json says, and 4 where it says nothing (as NLLB Team 2022 decodes). threads: CPU cores used, one
    sentence group each; all by default. The other settings are those of `Decoding`.
    """

    def __init__(
        self,
        spec: str,
        *,
        variety: str = "msa",
        quantization: str = "auto",
        threads: int | None = None,
        beams: int | None = None,
        source_tokens: int = LONGEST,
        least_new_tokens: int = 0,
        most_new_tokens: int | None = None,
    ):
        if quantization not in QUANTIZATIONS:
            raise MashqError(
                f"translation engine '{spec}': quantization is one of {', '.join(QUANTIZATIONS)}, got "
                f"'{quantization}'.{nearest(quantization, QUANTIZATIONS)}"
            )
        if threads is not None and threads < 1:
            raise MashqError(expected_got(f"translation engine '{spec}': threads", "1 or more", str(threads)))
        _need("ctranslate2", WHAT, NEED)
        _need("sentencepiece", WHAT, NEED)
        self.name = public_name(spec)
        self.folder = _folder(spec)
        self.family = _family(self.folder, variety, self.name)
        self.decoding = Decoding(
            _beams(self.folder) if beams is None else beams, source_tokens, least_new_tokens, most_new_tokens
        )
        self.threads = threads or len(os.sched_getaffinity(0))
        self.device, self.quantization = _resolve(quantization)
        self.licence = _licence(spec, self.folder)
        self._key = _hash_together(_files(self.folder))
        version = ".".join(importlib.metadata.version("ctranslate2").split(".")[:2])
        parts = [f"ctranslate2-{version}", self._key, self.quantization, *self.family.first, *self.family.prefix]
        self.identity = ":".join([*parts, repr(self.decoding), str(RULES)])

    def batches(self, sentences: Sequence[str]) -> list[list[int]]:
        """Places by length in tokens, the longest first; a batch is at most `TOKENS_PER_BATCH` with its padding."""
        lengths = [min(len(pieces), self.decoding.source_tokens) for pieces in self._pieces(sentences)]
        return token_batches(lengths, TOKENS_PER_BATCH)  # what is too long is not translated, so its length is no load

    def translate(self, sentences: Sequence[str]) -> list[Output]:
        """One batch, in its order; sentences of one limit go to the engine's threads together."""
        found: list[Output | None] = [None] * len(sentences)
        groups: dict[int, list[int]] = {}
        sources = self._sources(sentences)
        for place, source in enumerate(sources):
            if len(source) > self.decoding.source_tokens:
                found[place] = Output("", f"too long: {len(source)} tokens > {self.decoding.source_tokens}")
            elif not sentences[place].strip():
                found[place] = Output("", "empty: no source")
            else:
                groups.setdefault(self.decoding.limit(len(source)), []).append(place)
        running = [
            (places, limit, self._begin([sources[place] for place in places], limit))
            for limit, places in sorted(groups.items(), reverse=True)
        ]
        for places, limit, results in running:
            for place, result in zip(places, results, strict=True):
                found[place] = self._output(result.result().hypotheses[0], limit)
        return [output for output in found if output is not None]

    # --- sentences -> tokens -> text ---------------------------------------------------------------------------------

    def _pieces(self, sentences: Sequence[str]) -> list[list[str]]:
        source, _ = self._sentencepiece
        if self.family.name == "marian":
            sentences = [plain(sentence) for sentence in sentences]
        return source.encode(list(sentences), out_type=str)

    def _sources(self, sentences: Sequence[str]) -> list[list[str]]:
        """What the model is given: the tokens of its family before a sentence's pieces, and the end."""
        return [[*self.family.first, *pieces, END] for pieces in self._pieces(sentences)]

    def _output(self, tokens: list[str], limit: int) -> Output:
        """A hypothesis with its prefix and its end, if it has one -> text and fault."""
        ended = tokens[-1:] == [END]
        tokens = tokens[len(self.family.prefix) : -1 if ended else None]
        _, target = self._sentencepiece
        if self.family.name != "marian":
            tokens = [token for token in tokens if token not in self._special]
        # A piece that only the source's model knows (a name that stays Latin) is left with the mark of its space.
        text = target.decode(tokens).replace(SPACE, " ").strip()
        if not ended:
            return Output(text, f"cut: {limit} new tokens, the limit")
        if UNKNOWN in tokens:
            return Output(text, f"unknown: {tokens.count(UNKNOWN)} tokens that stand for no text")
        return Output(text)

    def _begin(self, sources: list[list[str]], limit: int) -> list[Any]:
        prefix = list(self.family.prefix)
        decoding = self.decoding
        try:
            return self._translator.translate_batch(
                sources,
                target_prefix=[prefix] * len(sources) if prefix else None,
                max_batch_size=TOKENS_AT_ONCE,
                batch_type="tokens",
                asynchronous=True,
                beam_size=decoding.beams,
                max_input_length=0,
                max_decoding_length=len(prefix) + limit + 1,  # and the end
                min_decoding_length=len(prefix) + decoding.least_new_tokens,
                return_end_token=True,
            )
        except (RuntimeError, ValueError) as error:
            raise MashqError(f"translation engine '{self.name}': CTranslate2 failed ({_first_line(error)}).") from error

    # --- loaded when first needed ------------------------------------------------------------------------------------

    @functools.cached_property
    def _special(self) -> frozenset[str]:
        """Tokens that stand for no text: language codes, made-up words, begin, end, padding."""
        source, _ = self._sentencepiece
        text = {source.id_to_piece(number) for number in range(source.get_piece_size())}
        return frozenset(self.family.vocabulary) - text | {"<s>", "<pad>", END}

    @functools.cached_property
    def _sentencepiece(self) -> tuple[Any, Any]:
        """The SentencePiece models of source and target."""
        import sentencepiece

        names = ("source.spm", "target.spm") if self.family.name == "marian" else ("sentencepiece.bpe.model",) * 2
        try:
            loaded = {name: sentencepiece.SentencePieceProcessor(model_file=str(self.folder / name)) for name in names}
        except (OSError, RuntimeError) as error:
            raise MashqError(
                f"translation engine '{self.name}': expected {' and '.join(dict.fromkeys(names))} in {self.folder}, "
                f"got {_listing(self.folder)} ({_first_line(error)}). Copy them from where the model was published."
            ) from error
        return loaded[names[0]], loaded[names[1]]

    @functools.cached_property
    def _converted(self) -> Path:
        """The folder in CTranslate2's format."""
        if _is_converted(self.folder):
            return self.folder
        made = cache() / "models" / f"{self.folder.name}-{self._key[:12]}-ct2-{self.quantization}"
        return _once(made, lambda partial: self._convert(partial))

    @functools.cached_property
    def _translator(self) -> Any:
        import ctranslate2

        folder = self._converted
        cpu = self.device == "cpu"
        # A core for each group of sentences: on 2 cores 97 sentences a second, against 68 with both on one group.
        threads = {"inter_threads": self.threads, "intra_threads": 1} if cpu else {}
        try:
            return ctranslate2.Translator(str(folder), self.device, compute_type=self.quantization, **threads)
        except (RuntimeError, ValueError) as error:
            raise MashqError(
                f"translation engine '{self.name}': {folder} does not load as {self.quantization} on {self.device} "
                f"({_first_line(error)}). This machine has {', '.join(sorted(_compute_types(self.device)))}. A folder "
                "in the cache may be deleted; it is made again."
            ) from error

    def _convert(self, partial: Path) -> None:
        """A Transformers folder -> CTranslate2's, by CTranslate2's own converter on vocabularies read by us."""
        torch = _need("torch", CONVERTING, NEED_CONVERSION)
        transformers = _need("transformers", CONVERTING, NEED_CONVERSION)
        from ctranslate2.converters import TransformersConverter

        tokens = Tokens(self.family)

        class Converter(TransformersConverter):
            """Weights from safetensors only; tokens from the folder's files, not by way of a tokenizer's class."""

            def load_model(self, model_class: Any, name: str, **settings: Any) -> Any:
                model = model_class.from_pretrained(name, use_safetensors=True, **settings)
                _check_start(model, name)
                return model

            def load_tokenizer(self, tokenizer_class: Any, name: str, **settings: Any) -> Any:
                return tokens

        try:
            with quiet(), warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                Converter(str(self.folder)).convert(str(partial), quantization=self.quantization)
        except MashqError:
            raise
        except Exception as error:  # Transformers and the converter raise many kinds; all mean: it cannot be read
            raise MashqError(
                f"translation engine '{self.name}': {self.folder} is not converted by CTranslate2 under transformers "
                f"{transformers.__version__} ({_first_line(error)})."
            ) from error


class Tokens:
    """What CTranslate2's converter asks a tokenizer for."""

    bos_token, eos_token, unk_token, pad_token = "<s>", END, UNKNOWN, "<pad>"
    special_tokens_map: Mapping[str, Any] = {}
    num_madeup_words = 0

    def __init__(self, family: Family):
        self._tokens = family.vocabulary
        self.unk_token_id = family.vocabulary.index(UNKNOWN)

    def get_vocab(self) -> dict[str, int]:
        """Token -> id."""
        return {token: number for number, token in enumerate(self._tokens)}

    def convert_ids_to_tokens(self, number: int) -> str:
        """The token of one id."""
        return self._tokens[number]


def _check_start(model: Any, folder: str) -> None:
    """Raises MashqError for a Marian model that does not begin from a zero embedding, as CTranslate2's copy will."""
    if model.config.model_type != "marian":
        return
    start = model.get_input_embeddings().weight[model.config.decoder_start_token_id].abs().max().item()
    if start > 0:
        raise MashqError(
            expected_got(
                f"translation engine: {folder}: the embedding of <pad>, with which a translation begins",
                "zeros",
                f"values up to {start:.2g}",
                "Training in Transformers moves it, for it is tied to the output; CTranslate2 begins from zeros and "
                "would translate otherwise. Set that row to zero after each step of training.",
            )
        )


# --- folders ---------------------------------------------------------------------------------------------------------


def _is_converted(folder: Path) -> bool:
    return (folder / "model.bin").is_file() and any(folder.glob("*_vocabulary.*"))


def _folder(spec: str) -> Path:
    path = Path(spec).expanduser()
    return path if _is_converted(path) else weights(spec)


def _files(folder: Path) -> list[Path]:
    """Everything that decides a translation: weights, vocabularies, SentencePiece models, configurations."""
    kinds = {".safetensors", ".json", ".model", ".spm", ".txt"} | ({".bin"} if _is_converted(folder) else set())
    return sorted(entry for entry in folder.iterdir() if entry.is_file() and entry.suffix in kinds)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise MashqError(f"translation engine: {path} is damaged, expected JSON ({error}).") from error


def _beams(folder: Path) -> int:
    """As its authors decode; older folders say it in config.json."""
    for name in ("generation_config.json", "config.json"):
        if stated := _json(folder / name).get("num_beams"):
            return int(stated)
    return 4


def _licence(spec: str, folder: Path) -> str:
    """What the model's card says, else what its name is known for, else "unknown"."""
    said = licence(str(folder))
    if said == "unknown":
        said = next((known for pattern, known in KNOWN_LICENCES if pattern.search(public_name(spec))), said)
    return named(said) or said


def _compute_types(device: str) -> set[str]:
    import ctranslate2

    return ctranslate2.get_supported_compute_types(device)


def _resolve(quantization: str) -> tuple[str, str]:
    """(device, quantization) of this machine."""
    import ctranslate2

    device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
    if quantization == "auto":
        known = _compute_types(device)
        wanted = ("float16", "bfloat16", "float32") if device == "cuda" else ("int8", "float32")
        quantization = next(kind for kind in wanted if kind in known)
    return device, quantization


def _family(folder: Path, variety: str, name: str) -> Family:
    """Which kind of model a folder holds, its vocabulary and its tokens for the variety."""
    tokens = _vocabulary(folder, name)
    known = set(tokens)
    kind = "nllb" if "eng_Latn" in known else "m2m" if "__en__" in known else "marian"
    stated = targets()["varieties"]
    has = {one: [token for token in stated[one].get(kind, ()) if token in known] for one in stated}
    only = kind == "marian" and not any(re.fullmatch(r">>\w+<<", token) for token in known)
    if only and variety == "msa":
        return Family(kind, tokens, (), ())
    if not has[variety]:
        there = ", ".join(one for one in has if has[one]) or "no Arabic" * (not only) or "msa, its only target"
        raise MashqError(
            f"translation engine '{name}': it does not write the variety '{variety}'. Its vocabulary has: {there}. "
            "Choose one of these, or a model that has it (lm:NAME is told in words)."
        )
    token = has[variety][0]
    if kind == "marian":
        return Family(kind, tokens, (token,), ())
    return Family(kind, tokens, (targets()["source"][kind],), (token,))


def _vocabulary(folder: Path, name: str) -> list[str]:
    """Every token of a model by id, from the files of its folder."""
    if _is_converted(folder):
        return _converted_vocabulary(folder)
    config = _json(folder / "config.json")
    kind, size = config.get("model_type"), config.get("vocab_size", 0)
    if kind == "marian" and (folder / "target_vocab.json").is_file():
        raise MashqError(
            expected_got(
                f"translation engine '{name}': {folder}",
                "one vocab.json for both languages",
                "a target_vocab.json too",
                "CTranslate2's converter does not read it; choose a model with a shared vocabulary.",
            )
        )
    if kind == "marian":
        found = _json(folder / "vocab.json")
    elif kind == "m2m_100":
        found = _coded_vocabulary(folder)
    else:
        raise MashqError(
            expected_got(
                f"translation engine '{name}': model_type in {folder / 'config.json'}",
                "marian (Opus-MT) or m2m_100 (NLLB, M2M-100)",
                f"'{kind}'",
                "A language model is named lm:NAME.",
            )
        )
    tokens = sorted(found, key=found.__getitem__)
    if [found[token] for token in tokens] != list(range(len(tokens))) or not {END, UNKNOWN} <= found.keys():
        raise MashqError(
            f"translation engine '{name}': expected ids without gaps and the tokens {END} and {UNKNOWN} in the "
            f"vocabulary of {folder}, got {len(tokens)} tokens. A file is missing or damaged: {_listing(folder)}."
        )
    # Weights may have more rows than there are tokens (NLLB two, M2M-100 eight).
    return tokens[:size] + [f"madeupword{number}" for number in range(size - len(tokens))]


def _converted_vocabulary(folder: Path) -> list[str]:
    path = next(iter(sorted(folder.glob("shared_vocabulary.*")) or sorted(folder.glob("target_vocabulary.*"))))
    tokens = _json(path) if path.suffix == ".json" else path.read_text("utf-8").split("\n")
    if path.name.startswith("target"):  # tokens that tell the target stand in the source's
        tokens = [*tokens, *_converted_source(folder)]
    return list(tokens)


def _converted_source(folder: Path) -> list[str]:
    path = next(iter(sorted(folder.glob("source_vocabulary.*"))))
    return list(_json(path)) if path.suffix == ".json" else path.read_text("utf-8").split("\n")


def _coded_vocabulary(folder: Path) -> dict[str, int]:
    """NLLB's tokens stand in tokenizer.json; M2M-100's in vocab.json, then its 100 languages."""
    whole = _json(folder / "tokenizer.json")
    if whole:
        listed = whole["model"]["vocab"]
        found = dict(listed) if isinstance(listed, dict) else {token: place for place, (token, _) in enumerate(listed)}
        return found | {added["content"]: added["id"] for added in whole["added_tokens"]}
    found = _json(folder / "vocab.json")
    codes = [f"__{code}__" for code in targets()["m2m_codes"].split() if f"__{code}__" not in found]
    return found | {code: len(found) + place for place, code in enumerate(codes)}
