"""Where the files of a source lie: one file, a folder with splits in names, a saved `datasets` folder, the hub."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mashq.rows import MashqError, file_hash, nearest
from mashq.sources import hub
from mashq.sources.files import content_of
from mashq.sources.registry import SHAPES, Shape, endings, shape_named
from mashq.sources.settings import SPLITS, SourceSettings

__all__ = ["Part", "hash_files", "parts", "sniff", "split_in"]

# Files beside the data of published folders that end like data and are none.
NOT_DATA = frozenset(
    {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "config.json", "metadata.json"}
)


@dataclass(frozen=True)
class Part:
    """One file of a source: its shape, the split its name tells, and its name inside the folder ('' if it is alone)."""

    path: Path
    shape: Shape
    split: str | None
    name: str


def parts(location: str | Path, settings: SourceSettings) -> list[Part]:
    """The files of a source in their fixed order. Raises MashqError where there is none, or not one clear set."""
    path = _local(location)
    if path.is_dir():
        if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
            return _saved(path)
        return _folder(path, settings)
    if path.exists() and not path.is_file():
        raise MashqError(f"{path}: expected a file or a folder, got a device or pipe.")
    return [_part(path, path.name, "", settings)]


def sniff(location: str | Path) -> str:
    """The shape of a source: a name in `SHAPES`, or "datasets" for a saved folder; for a folder that of its files.

    Raises MashqError where it cannot be told.
    """
    path = _local(location)
    if path.is_dir() and ((path / "state.json").is_file() or (path / "dataset_dict.json").is_file()):
        return "datasets"
    return parts(path, SourceSettings())[0].shape.name


def hash_files(location: str | Path, settings: SourceSettings | None = None) -> dict[str, str]:
    """Hashes of every file that `read` would read, split files too: name (never a path of this machine) -> BLAKE2b."""
    settings = settings or SourceSettings()
    hashes = {part.name or "file": file_hash(part.path) for part in parts(location, settings)}
    for split, name in sorted(settings.split_files.items()):
        path = Path(name).expanduser()
        if not path.is_file():
            raise MashqError(f"{path}: the split file for '{split}' is not there. Check split_files.")
        hashes[f"split:{split}"] = file_hash(path)
    return hashes


def split_in(name: str) -> str | None:
    """The split that a file's name says, else the nearest folder's; None where it says none or several."""
    for component in reversed(name.lower().split("/")):
        found = {SPLITS[word] for word in re.split(r"[^a-z]+", component) if word in SPLITS}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _part(path: Path, words: str, name: str, settings: SourceSettings) -> Part:
    """A file as a part, with the split that the words of its name and of its folders say."""
    shape = _shape(path, settings)
    return Part(path, shape, split_in(words if shape.split_in_name else words.rpartition("/")[0]), name)


def _local(location: str | Path) -> Path:
    text = str(location)
    if text.startswith("hf://"):
        return hub.fetch(text, [ending for shape in SHAPES.values() for ending in endings(shape)])
    scheme = re.match(r"([a-z][a-z0-9+]+)://", text)
    if scheme:
        raise MashqError(
            f"{text}: expected a local path or hf://…, got {scheme[1]}://. Download the files and give the folder."
        )
    path = Path(text).expanduser()
    if not path.exists():
        beside = path.parent if path.parent.is_dir() else None
        near = [item.name for item in beside.iterdir()] if beside else []
        raise MashqError(f"{path}: there is no such file or folder.{nearest(path.name, near)}")
    return path


def _shape(path: Path, settings: SourceSettings) -> Shape:
    if settings.shape is not None:
        return shape_named(settings.shape)
    name = path.name.lower()
    for shape in SHAPES.values():
        if name.endswith(endings(shape)):
            return _confirmed(path, shape)
    looks = content_of(path)
    hint = f" It looks like {looks}: give shape='{looks}'." if looks else ""
    known = ", ".join(ending for shape in SHAPES.values() for ending in shape.endings)
    raise MashqError(
        f"{path}: no reader for the ending '{path.suffix}'. Known are {known}, those of text also with .gz.{hint}"
    )


def _confirmed(path: Path, shape: Shape) -> Shape:
    """JSON comes in four shapes under two endings: the content decides."""
    if shape.name not in ("json", "jsonl"):
        return shape
    looks = content_of(path, one_line=shape.name)
    return SHAPES[looks] if looks in ("json", "jsonl", "squad", "natural_instructions") else shape


# --- folders ---------------------------------------------------------------------------------------------------------


def _folder(folder: Path, settings: SourceSettings) -> list[Part]:
    """A folder of data files of one shape; text files count only where there is nothing else."""
    wanted = (shape_named(settings.shape),) if settings.shape is not None else tuple(SHAPES.values())
    ending = tuple(ending for shape in wanted for ending in endings(shape)) or tuple(
        e for s in SHAPES.values() for e in endings(s)
    )
    found = sorted(
        (
            item.relative_to(folder).as_posix()
            for item in folder.rglob("*")
            if item.is_file() and item.name.lower().endswith(ending)
        ),
    )
    names = [name for name in found if name.rpartition("/")[2] not in NOT_DATA and not re.search(r"(^|/)[._]", name)]
    if settings.shape is None:
        names = [name for name in names if not name.lower().endswith(endings(SHAPES["text"]))] or names
    if not names:
        raise MashqError(f"{folder}: the folder holds no data file ({', '.join(sorted(set(ending)))}). Check the path.")
    _refuse_several_sets(folder, names)
    made = [_part(folder / name, name, name, settings) for name in names]
    kinds = {part.shape.name: part.name for part in made}
    if len(kinds) > 1:
        listed = ", ".join(f"{kind} such as {name}" for kind, name in kinds.items())
        raise MashqError(f"{folder}: the folder holds files of several shapes ({listed}). Give one file, or the shape.")
    return made


def _refuse_several_sets(folder: Path, names: Iterable[str]) -> None:
    """Folders that are neither `data` nor a split are sets of their own, which must not be mixed by accident."""
    sets = set()
    for name in names:
        folders = [part for part in name.split("/")[:-1] if part != "data" and split_in(part) is None]
        sets.add("/".join(folders))
    if len(sets) > 1:
        listed = ", ".join(sorted(item or "." for item in sets))
        raise MashqError(f"{folder}: the folder holds several data sets ({listed}). Give the folder of one of them.")


def _saved(folder: Path) -> list[Part]:
    """What `datasets`' save_to_disk writes: a folder of Arrow files with state.json, or one such folder a split."""
    listing = folder / "dataset_dict.json"
    if not listing.is_file():
        return _saved_one(folder, None, "")
    made: list[Part] = []
    for name in _names(listing, _json(listing).get("splits")):
        if not (folder / name / "state.json").is_file():
            raise MashqError(
                f"{listing}: names the split '{name}', but {folder / name} is no saved dataset. Save it anew."
            )
        made += _saved_one(folder / name, split_in(name), f"{name}/")
    return made


def _saved_one(folder: Path, split: str | None, prefix: str) -> list[Part]:
    path = folder / "state.json"
    state = _json(path)
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise MashqError(f"{path}: the dataset was saved with an index mapping. Save it anew after flatten_indices().")
    files = state.get("_data_files")
    names = _names(
        path,
        [item.get("filename") if isinstance(item, dict) else None for item in files]
        if isinstance(files, list)
        else None,
    )
    for name in names:
        if not (folder / name).is_file():
            raise MashqError(
                f"{path}: names the file '{name}', which is not in the folder. Copy the whole folder again."
            )
    said = split or split_in(str(state.get("_split")))
    return [Part(folder / name, SHAPES["arrow"], said, prefix + name) for name in names]


def _json(path: Path) -> dict[str, object]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict)
    except (ValueError, OSError) as error:
        raise MashqError(f"{path}: expected what save_to_disk writes, got: {error}. Save the dataset anew.") from error


def _names(path: Path, names: object) -> list[str]:
    """Names that a file lists, none of which may leave the folder."""
    if (
        not isinstance(names, list)
        or not names
        or not all(isinstance(name, str) and name and Path(name).name == name for name in names)
    ):
        raise MashqError(f"{path}: expected a list of names inside the folder, got {names!r}. Save the dataset anew.")
    return names
