"""Can it be written there? Asked before work begins, so that no result is made only to be lost."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mashq.rows import MashqError, expected_got

__all__ = ["file_place", "folder_place"]


def file_place(path: Path | str, what: str, option: str = "--out") -> Path:
    """The path of a file that can be written, `~` read as home; its folder is made. What stands there is left as it is.

    `what` begins the error and `option` is what it asks to change. Raises MashqError where a folder is in the file's
    place, and where its own folder cannot be made or written to.
    """
    place = Path(path).expanduser()
    with _told(place, f"{what}: {path}", "a file that can be written", option):
        a_folder = place.is_dir()
        _make(place.parent)
    if a_folder:
        do = f"Name a file in it with {option}." if option else ""
        raise MashqError(expected_got(f"{what}: {path}", "the name of a file to write", "a folder", do))
    return place


def folder_place(path: Path | str, what: str, option: str = "--out") -> Path:
    """The path of a folder that can be written to, `~` read as home; it is made. Raises MashqError where it cannot."""
    place = Path(path).expanduser()
    with _told(place, f"{what}: {path}", "a folder that can be written to", option):
        _make(place)
    return place


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):  # rights alone do not tell: disks are full, or mounted to be read
        pass


@contextmanager
def _told(place: Path, what: str, expected: str, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        got = f"'{error.strerror or error}' ({error.filename or place})"
        do = f"Name another place with {option}." if option else ""
        raise MashqError(expected_got(what, expected, got, do)) from error
