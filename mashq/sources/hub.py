"""Datasets on the Hugging Face hub -> files here: `hf://datasets/OWNER/NAME[@REVISION][/FOLDER or /FILE]`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mashq.rows import MashqError

__all__ = ["fetch"]

_ADDRESS = re.compile(r"hf://datasets/(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/]+))?(?:/(?P<inside>.+?))?/?")


def fetch(location: str, endings: Sequence[str]) -> Path:
    """Download the data files at a hub address into the hub's own cache -> the local file or folder.

    Only files with one of `endings` are fetched, code never. Raises MashqError where the address is malformed, the
    hub's client is not installed, or the hub does not give the files.
    """
    match = _ADDRESS.fullmatch(location)
    if match is None or ".." in location:
        raise MashqError(f"{location}: expected hf://datasets/OWNER/NAME, then perhaps @REVISION and /FOLDER or /FILE.")
    try:
        import huggingface_hub
    except ImportError as error:
        raise MashqError(
            f"{location}: reading from the hub needs the package huggingface_hub. Install it with: pip install"
            " huggingface_hub."
        ) from error
    name, revision, inside = match["name"], match["revision"], match["inside"]
    within = f"{inside}/" if inside else ""
    wanted = [f"{within}{pattern}*{ending}" for ending in endings for pattern in ("", "*/")] + (
        [inside] if inside else []
    )
    try:
        folder = Path(
            huggingface_hub.snapshot_download(name, repo_type="dataset", revision=revision, allow_patterns=wanted)
        )
    except Exception as error:  # the client's errors share no root; every one means that the files did not come
        raise MashqError(
            f"{location}: the hub did not give the dataset ({type(error).__name__}: {_first_line(error)}). Check the"
            " name, the network, and"
            " for a gated dataset your login (hf auth login); or download it elsewhere and give the folder."
        ) from error
    target = folder / inside if inside else folder
    if not target.exists():
        raise MashqError(
            f"{location}: the dataset {name} has no data file at '{inside or '/'}' ({', '.join(endings)})."
        )
    return target


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0].rstrip(".")
