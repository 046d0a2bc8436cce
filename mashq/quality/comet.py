"""COMETKiwi and COMET-QE: how good is a translation, judged from source and translation alone.

Our own forward pass over the checkpoints as they are published: a folder with `hparams.yaml` and
`checkpoints/model.ckpt`. Scores equal those of unbabel-comet 2.2.7 within 1e-5 (tests/quality). Two classes:

* `unified_metric` (wmt22-cometkiwi-da, wmt23-cometkiwi-da-xl, -xxl): translation and source in one sequence, the
  layers mixed, the first token's vector through a feed-forward head (Rei et al. 2022, CometKiwi, section 2).
* `referenceless_regression_metric` (wmt20-comet-qe-da): a vector m of the translation and s of the source, the head
  over [m, s, m*s, |m-s|] (Rei et al. 2020, COMET, section 2.4, without the reference).

A checkpoint names its encoder (`pretrained_model`) and carries its weights, but not its config.json and tokenizer.
They are found by a setting or in the hub's cache.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from mashq.lm.weights import HUB_NAME, _first_line, _listing, _need, _once, cache, fingerprint, quiet
from mashq.lm.weights import licence as licence_on_card
from mashq.quality.comet_hparams import ENCODERS, Shape, in_force, shape_of
from mashq.quality.xlmr_tokens import TOKENIZERS, Tokens
from mashq.rows import MashqError, expected_got, nearest

__all__ = ["Comet", "open_comet"]

NEED = "pip install 'mashq[translate]'"
DTYPES = ("float32", "bfloat16", "float16")
# Six layers of 384 on two cores took 2.3 s of CPU for 265 pairs in batches of 512 or 1,024 tokens, 3.2 s in 4,096's.
CPU_TOKENS, GPU_TOKENS = 1024, 16384
# Where a folder has no card: the licences on the models' cards.
LICENCES = {
    "wmt22-cometkiwi-da": "cc-by-nc-sa-4.0",
    "wmt23-cometkiwi-da-xl": "cc-by-nc-sa-4.0",
    "wmt23-cometkiwi-da-xxl": "cc-by-nc-sa-4.0",
    "wmt20-comet-qe-da": "apache-2.0",
}
# Tensors of a checkpoint that no score needs: training's masks, word tags, buffers, the encoder's unused pooler.
UNUSED = re.compile(
    r"layerwise_attention\.dropout_|encoder\.model\.(pooler\.|embeddings\.(position_ids|token_type_ids)$)"
)
OURS = ("encoder.model.", "estimator.", "layerwise_attention.")


@dataclass(frozen=True)
class Settings:
    """What the caller of `open_comet` decides."""

    dtype: str  # of the encoder, one of DTYPES
    cut: bool  # score what is too long from its beginning
    tokens_per_batch: int | None  # padding counted; None: what suits the device


def open_comet(
    spec: str,
    *,
    encoder: str | None = None,
    dtype: str = "float32",
    cut: bool = False,
    tokens_per_batch: int | None = None,
) -> Comet:
    """A scorer from a checkpoint's folder (`hparams.yaml`, `checkpoints/model.ckpt`) or hub name (`owner/name`).

    `encoder` is a folder with the encoder's config.json and tokenizer.json or sentencepiece.bpe.model, no weights;
    without it they are looked for in the folder that `pretrained_model` names and in the hub's cache, never online.
    `dtype` is the encoder's. `cut=True` scores what is too long as unbabel-comet does, from its beginning; else such a
    pair has no score. `tokens_per_batch` counts padding; without it 1,024 on a CPU, 16,384 on a GPU. The weights are
    read at the first score.

    Raises MashqError where a file is missing, where hparams ask for what is not supported (naming the key), where the
    checkpoint holds more than tensors, and where weights, hparams and encoder do not fit each other.
    """
    if dtype not in DTYPES:
        raise MashqError(f"comet: dtype is one of {', '.join(DTYPES)}, got '{dtype}'.{nearest(dtype, DTYPES)}")
    folder, name = _folder(spec.removeprefix("comet:"))
    converted = _converted(folder, name)
    hparams = in_force(folder, _json(converted / "hparams.json"))
    home = _encoder_folder(name, encoder, hparams["pretrained_model"])
    settings = Settings(dtype, cut, tokens_per_batch)
    return Comet(name, folder, converted, home, shape_of(hparams, name), settings)


class Comet:
    """One opened checkpoint: a `Scorer`. Scores are float32; equal pairs are scored once."""

    column = "qe"

    def __init__(self, name: str, folder: Path, converted: Path, encoder: Path, shape: Shape, settings: Settings):
        self.name, self.shape, self.scale = f"comet:{name}", shape, shape.scale
        on_card = licence_on_card(str(folder))
        self.licence = on_card if on_card != "unknown" else LICENCES.get(name.lower(), "unknown")
        self._cut, self._given_budget = settings.cut, settings.tokens_per_batch
        config, self._tokens = _json(encoder / "config.json"), Tokens(encoder)
        if self._tokens.size > config["vocab_size"]:
            raise MashqError(
                f"{self.name}: {self._tokens.path} has {self._tokens.size} tokens, the config.json beside it knows "
                f"{config['vocab_size']}. Take both from the same model."
            )
        # Positions start after the padding's own: 512 tokens have 514 of them (fairseq's convention).
        self.most_tokens = int(config["max_position_embeddings"]) - 2
        self.identity = self._identity(converted, config, settings)
        self._load = functools.partial(_load, converted, encoder, shape, settings.dtype, self.name)

    def _identity(self, converted: Path, config: dict[str, Any], settings: Settings) -> str:
        """Of everything that decides a score: neither the folder's name nor where the encoder was found."""
        decided = {"hparams": asdict(self.shape), "config": config}
        hashes = {key: xxhash.xxh3_64_hexdigest(json.dumps(decided[key], sort_keys=True).encode()) for key in decided}
        return (
            f"comet|v:1|weights:{converted.name.rsplit('-', 1)[-1]}|hparams:{hashes['hparams']}"
            f"|config:{hashes['config']}|tokenizer:{fingerprint(self._tokens.path)}"
            f"|dtype:{settings.dtype}|cut:{'yes' if settings.cut else 'no'}"
        )

    @functools.cached_property
    def _model(self) -> _Model:
        return self._load()

    @functools.cached_property
    def _budget(self) -> int:
        on_gpu = importlib.import_module("torch").cuda.is_available()
        return self._given_budget or (GPU_TOKENS if on_gpu else CPU_TOKENS)

    def fault(self, source: str, translation: str) -> str | None:
        """Why a pair has no score: `too long: 612 tokens > 512`; None where it has one."""
        if self._cut:
            return None
        one, other = (len(self._tokens.ids(text)) for text in (translation, source))
        tokens, most = (
            (one + other + 4, self.most_tokens) if self.shape.joined else (max(one, other) + 2, self._longest)
        )
        return f"too long: {tokens} tokens > {most}" if tokens > most else None

    @property
    def _longest(self) -> int:
        """Tokens of one text with its two marks; unbabel-comet keeps two positions free."""
        return self.most_tokens - 2

    def batches(self, pairs: Sequence[tuple[str, str]]) -> list[list[int]]:
        """Places of `pairs`, each once: like lengths together, at most `tokens_per_batch` tokens with padding.

        A pair that is longer than that alone is a batch of its own.
        """
        return by_length([self._length(*pair) for pair in pairs], self._budget)

    def _length(self, source: str, translation: str) -> int:
        if self.shape.joined:
            return len(self._joined(source, translation))
        return max(len(self._single(source)), len(self._single(translation)))

    def score(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """(source, translation) pairs -> (n,) float32 in order, higher is better; NaN where `fault` gives a reason.

        A score depends on the pairs beside it in a batch by rounding only (under 1e-6 in float32). No pair is too many:
        they are cut into batches here as `batches` does.
        """
        unique = [pair for pair in dict.fromkeys((s, t) for s, t in pairs) if self.fault(*pair) is None]
        found: dict[tuple[str, str], float] = {}
        for places in self.batches(unique):
            batch = [unique[place] for place in places]
            found.update(zip(batch, self._model.head(self._features(batch)), strict=True))
        return np.array([found.get((s, t), np.nan) for s, t in pairs], dtype=np.float32)

    def _features(self, pairs: Sequence[tuple[str, str]]) -> Any:
        """The head's input, (n, d) or (n, 4 d)."""
        if self.shape.joined:
            return self._model.vectors([self._joined(*pair) for pair in pairs], self._tokens.pad)
        source, translation = (self._vectors([pair[side] for pair in pairs]) for side in (0, 1))
        torch = importlib.import_module("torch")
        return torch.cat([translation, source, translation * source, (translation - source).abs()], dim=1)

    def _vectors(self, texts: list[str]) -> Any:
        """Texts -> (n, d); like lengths go through the encoder together, equal texts once."""
        unique = list(dict.fromkeys(texts))
        rows = [self._single(text) for text in unique]
        torch = importlib.import_module("torch")
        found: dict[str, Any] = {}
        for places in by_length([len(row) for row in rows], self._budget):
            vectors = self._model.vectors([rows[place] for place in places], self._tokens.pad)
            found.update(zip((unique[place] for place in places), vectors, strict=True))
        return torch.stack([found[text] for text in texts])

    def _single(self, text: str) -> list[int]:
        """<s> text </s>, at most two positions fewer than there are."""
        return [self._tokens.start, *self._tokens.ids(text)[: self._longest - 2], self._tokens.end]

    def _joined(self, source: str, translation: str) -> list[int]:
        """<s> translation </s></s> source </s>; what is too long loses its end, the last mark with it."""
        start, end, pad = self._tokens.start, self._tokens.end, self._tokens.pad
        # unbabel-comet takes every padding token out before it joins, one written in the text too.
        one, other = ([i for i in self._single(text)[1:-1] if i != pad] for text in (translation, source))
        return [start, *one, end, end, *other, end][: self.most_tokens]


def by_length(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Places of `lengths`, shortest first, cut so that places x longest stays within the budget, one place at least."""
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if not batches or (len(batches[-1]) + 1) * lengths[place] > budget:
            batches.append([])
        batches[-1].append(place)
    return batches


# --- the model -------------------------------------------------------------------------------------------------------


class _Model:
    """Encoder, mix of its layers and head, in evaluation mode: dropout, of layers too, is for training."""

    def __init__(self, encoder: Any, tensors: Mapping[str, Any], shape: Shape):
        self.torch = importlib.import_module("torch")
        self.encoder, self.shape, self.device = encoder, shape, encoder.device
        placed = {name: tensor.float().to(self.device) for name, tensor in tensors.items()}
        places = range(len(shape.hidden_sizes) + 1)  # every third module is a layer: activation and dropout between
        self.layers = [(placed[f"estimator.ff.{3 * i}.weight"], placed[f"estimator.ff.{3 * i}.bias"]) for i in places]
        if shape.layer is None:
            depth = encoder.config.num_hidden_layers + 1
            scalars = self.torch.cat([placed[f"layerwise_attention.scalar_parameters.{i}"] for i in range(depth)])
            self.shares = sparsemax(scalars) if shape.sparse else scalars.softmax(0)  # (depth,)
            self.gamma = placed["layerwise_attention.gamma"]

    def vectors(self, rows: Sequence[Sequence[int]], pad: int) -> Any:
        """Rows of token ids -> (n, d) float32: the layers mixed, the positions pooled."""
        torch, longest = self.torch, max(map(len, rows))
        ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows], device=self.device)  # (n, t)
        lengths = torch.tensor([len(row) for row in rows], device=self.device)
        mask = torch.arange(longest, device=self.device) < lengths[:, None]  # (n, t)
        with torch.inference_mode():
            states = self.encoder(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True).hidden_states
            return self._pooled(self._mixed(states, mask), ids, mask, pad)

    def _mixed(self, states: Sequence[Any], mask: Any) -> Any:
        """The states of every layer, the embeddings' first, -> (n, t or 1, d) float32."""
        first_only = self.shape.pool == "cls" and not self.shape.layer_norm  # the others would not be looked at
        if self.shape.layer is not None:
            return states[self.shape.layer].float()
        mixed: Any = 0.0
        for share, state in zip(self.shares, states, strict=True):
            state = state[:, :1].float() if first_only else state.float()
            mixed = mixed + share * (normed(state, mask.float()) if self.shape.layer_norm else state)
        return self.gamma * mixed

    def _pooled(self, mixed: Any, ids: Any, mask: Any, pad: int) -> Any:
        if self.shape.pool == "cls":
            return mixed[:, 0]
        padding = ids.eq(pad)[..., None]
        if self.shape.pool == "max":
            return mixed.masked_fill(padding, float("-inf")).amax(dim=1)
        # As in unbabel-comet: a padding token written in the text adds nothing but counts.
        return mixed.masked_fill(padding, 0.0).sum(dim=1) / mask.sum(dim=1, keepdim=True)

    def head(self, features: Any) -> list[float]:
        """(n, in) -> n scores."""
        nn = self.torch.nn
        with self.torch.inference_mode():
            for place, (weight, bias) in enumerate(self.layers):
                features = nn.functional.linear(features, weight, bias)
                last = place == len(self.layers) - 1
                if activation := self.shape.final_activation if last else self.shape.activation:
                    features = getattr(nn, activation)()(features)
            return features[:, 0].tolist()


def sparsemax(logits: Any) -> Any:
    """(k,) -> (k,) shares that sum to 1, some of them 0 (Martins and Astudillo 2016, algorithm 1)."""
    torch = importlib.import_module("torch")
    falling = logits.sort(descending=True).values
    sums, ranks = falling.cumsum(0), torch.arange(1, len(logits) + 1, device=logits.device)
    support = int((1 + ranks * falling > sums).sum())
    return (logits - (sums[support - 1] - 1) / support).clamp(min=0)


def normed(state: Any, mask: Any) -> Any:
    """(n, t, d) and (n, t) of 0 and 1 -> each sentence at mean 0 and variance 1 over its own positions and units."""
    inside = mask[..., None]
    units = (mask.sum(1) * state.shape[2])[:, None, None]
    mean = (state * inside).sum((1, 2), keepdim=True) / units
    variance = (((state - mean) * inside) ** 2).sum((1, 2), keepdim=True) / units
    return (state - mean) / (variance + 1e-12).sqrt()


def _load(converted: Path, encoder: Path, shape: Shape, dtype: str, name: str) -> _Model:
    """Read the weights, on the GPU where there is one. Raises MashqError where they do not fit hparams and encoder."""
    torch = _need("torch", name, NEED)
    transformers, tensors = _need("transformers", name, NEED), _need("safetensors.torch", name, NEED)
    kind = ENCODERS[shape.encoder]
    config_of, model_of = getattr(transformers, f"{kind}Config"), getattr(transformers, f"{kind}Model")
    try:
        with quiet():
            config = config_of.from_pretrained(str(encoder))
            model, info = model_of.from_pretrained(
                str(converted / "encoder"),
                config=config,
                add_pooling_layer=False,
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise MashqError(
            f"{name}: its weights do not fit the encoder in {encoder} ({_first_line(error)}). "
            "Give the folder of the encoder that hparams.yaml names as pretrained_model."
        ) from error
    _check_names(name, encoder, info["missing_keys"], info["unexpected_keys"])
    head = tensors.load_file(converted / "head.safetensors")
    _check_head(name, head, config, shape)
    if torch.cuda.is_available():
        model = model.to("cuda")
    return _Model(model.eval(), head, shape)


def _check_names(name: str, encoder: Path, missing: Sequence[str], unexpected: Sequence[str]) -> None:
    for what, names in (("lacks", sorted(missing)), ("has besides", sorted(unexpected))):
        if names:
            raise MashqError(
                f"{name}: expected the tensors of the encoder in {encoder}; the checkpoint {what} {names[0]}"
                f"{f' and {len(names) - 1} more' if len(names) > 1 else ''}. Give the folder of the encoder that "
                "hparams.yaml names as pretrained_model."
            )


def _check_head(name: str, head: Mapping[str, Any], config: Any, shape: Shape) -> None:
    """Raises MashqError where a tensor of head or mix is missing, of another shape, or one too many."""
    sizes = [config.hidden_size * (1 if shape.joined else 4), *shape.hidden_sizes, 1]
    wanted: dict[str, tuple[int, ...]] = {}
    for place, (incoming, outgoing) in enumerate(itertools.pairwise(sizes)):
        wanted[f"estimator.ff.{3 * place}.weight"] = (outgoing, incoming)
        wanted[f"estimator.ff.{3 * place}.bias"] = (outgoing,)
    if shape.layer is None:
        wanted["layerwise_attention.gamma"] = (1,)
        for layer in range(config.num_hidden_layers + 1):
            wanted[f"layerwise_attention.scalar_parameters.{layer}"] = (1,)
    for tensor in sorted({*wanted, *(head if shape.layer is None else ())}):
        got = tuple(head[tensor].shape) if tensor in head else "none"
        if wanted.get(tensor) != got:
            expected = f"{tensor} of shape {wanted[tensor]}" if tensor in wanted else f"no {tensor}"
            raise MashqError(
                expected_got(
                    f"{name}: the checkpoint does not fit its hparams", expected, str(got), "Download the folder again."
                )
            )
    if shape.layer is not None and shape.layer > config.num_hidden_layers:
        raise MashqError(
            expected_got(f"{name}: hparams: layer", f"0 to {config.num_hidden_layers}, or mix", str(shape.layer))
        )


# --- files -----------------------------------------------------------------------------------------------------------


def _folder(spec: str) -> tuple[Path, str]:
    """A folder, its model.ckpt, or a hub name -> the folder and the model's name."""
    path = Path(spec).expanduser()
    if path.name == "model.ckpt" and path.parent.name == "checkpoints":
        path = path.parent.parent
    if not path.is_dir():
        path = _from_hub(f"Unbabel/{spec}" if spec in LICENCES else spec)
    for name in ("hparams.yaml", "checkpoints/model.ckpt"):
        if not (path / name).is_file():
            raise MashqError(expected_got(f"comet: {path}", f"{name} in the folder of a checkpoint", _listing(path)))
    return path, _name(path.resolve())


def _name(path: Path) -> str:
    """The folder's name; in the hub's cache, where that is a revision, the model's."""
    if path.parent.name == "snapshots":
        return path.parent.parent.name.rsplit("--", 1)[-1]
    return path.name


def _from_hub(spec: str) -> Path:
    """A hub name -> its folder in the hub's cache, downloaded where the hub can be reached."""
    if not HUB_NAME.fullmatch(spec) or "/" not in spec or spec.startswith((".", "~")):
        raise MashqError(
            f"comet: '{spec}': there is no such folder. Give a folder with hparams.yaml and checkpoints/model.ckpt, or "
            f"a hub name: {', '.join(f'Unbabel/{name}' for name in LICENCES)}.{nearest(spec, LICENCES)}"
        )
    hub = _need("huggingface_hub", "a hub name", NEED)
    name, _, revision = spec.partition("@")
    wanted = ["hparams.yaml", "checkpoints/model.ckpt", "README.md", "LICENSE*"]
    try:
        return Path(hub.snapshot_download(name, revision=revision or None, allow_patterns=wanted))
    except Exception as error:  # the hub's client raises its own, httpx's and OSError; all mean: not to be had
        raise MashqError(
            f"comet: '{spec}' is no folder here, not in the hub's cache, and the hub did not give it "
            f"({_first_line(error)}). COMETKiwi is given to who accepted its licence on the hub: set HF_TOKEN. "
            f"Without network give a local folder with hparams.yaml and checkpoints/model.ckpt."
        ) from error


def _encoder_folder(name: str, given: str | None, pretrained: str) -> Path:
    """Where the encoder's config.json and tokenizer lie: as given, in a folder so named, in the hub's cache."""
    for place in (given, pretrained) if given is None else (given,):
        if place is not None and Path(place).expanduser().is_dir():
            return _checked_encoder(name, Path(place).expanduser())
    if given is None and HUB_NAME.fullmatch(pretrained):
        hub = _need("huggingface_hub", "an encoder by its hub name", NEED)
        try:
            return _checked_encoder(name, Path(hub.snapshot_download(pretrained, local_files_only=True)))
        except (OSError, ValueError):  # LocalEntryNotFoundError, HFValidationError: not there
            pass
    what = f"encoder '{given}' is no folder" if given else f"its encoder '{pretrained}' is not in the hub's cache"
    raise MashqError(
        f"comet:{name}: {what}. Give encoder=FOLDER with its config.json and tokenizer (no weights). "
        f"Where there is network: hf download {pretrained} {' '.join(('config.json', *TOKENIZERS))} --local-dir FOLDER"
    )


def _checked_encoder(name: str, folder: Path) -> Path:
    if not (folder / "config.json").is_file() or not any((folder / tokenizer).is_file() for tokenizer in TOKENIZERS):
        expected = f"config.json and {' or '.join(TOKENIZERS)}"
        raise MashqError(expected_got(f"comet:{name}: encoder {folder}", expected, _listing(folder)))
    return folder


def _converted(folder: Path, name: str) -> Path:
    """The checkpoint as safetensors in the cache: encoder/model.safetensors, head.safetensors, hparams.json."""
    checkpoint = folder / "checkpoints" / "model.ckpt"
    target = cache() / "models" / f"{name}-comet1-{fingerprint(checkpoint)}"
    return _once(target, lambda partial: _convert(checkpoint, partial))


def _convert(checkpoint: Path, partial: Path) -> None:
    """A Lightning checkpoint -> safetensors; nothing but tensors and plain values is ever unpickled."""
    tensors = _need("safetensors.torch", "a COMET checkpoint", NEED)
    read = _unpickled(checkpoint)
    state = read.get("state_dict") if isinstance(read, dict) else None
    if not isinstance(state, dict) or not any(name.startswith("encoder.model.") for name in state):
        got = ", ".join(map(str, read))[:200] if isinstance(read, dict) else type(read).__name__
        raise MashqError(expected_got(str(checkpoint), "a state_dict with encoder.model.*", got, "Download it again."))
    kept = {
        name: value.contiguous() for name, value in state.items() if name.startswith(OURS) and not UNUSED.match(name)
    }
    encoder = {name.removeprefix(OURS[0]): value for name, value in kept.items() if name.startswith(OURS[0])}
    head = {name: value for name, value in kept.items() if not name.startswith(OURS[0])}
    (partial / "encoder").mkdir(parents=True)
    tensors.save_file(encoder, partial / "encoder" / "model.safetensors", metadata={"format": "pt"})
    tensors.save_file(head, partial / "head.safetensors", metadata={"format": "pt"})
    hparams = dict(read.get("hyper_parameters") or {})
    (partial / "hparams.json").write_text(json.dumps(hparams, default=str, indent=1), "utf-8")


def _unpickled(checkpoint: Path) -> Any:
    torch = _need("torch", "a COMET checkpoint", NEED)
    try:
        return torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(checkpoint))
    except Exception as error:  # UnpicklingError, RuntimeError, EOFError: by the kind of damage
        classes = sorted(set(re.findall(r"GLOBAL ([\w.]+)", str(error))))
        raise MashqError(
            f"{checkpoint}: refused, it {'holds ' + ', '.join(classes) if classes else 'is damaged'} "
            f"({_first_line(error)}). Only tensors and plain values are read. Where you trust its author, save it "
            "again with unbabel-comet's own packages: c = torch.load(path, weights_only=False); "
            "torch.save({'state_dict': c['state_dict'], 'hyper_parameters': dict(c['hyper_parameters'])}, path)"
        ) from error


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise MashqError(f"{path}: is no JSON object ({_first_line(error)}). Download it again.") from error
