"""Turns on standard input and output, right to left where the text is.

What terminals do with Arabic differs, so `--bidi` says what to write:

* `on`: letters in the order of speech, each line of a reply in Unicode isolates (RLI … PDI) and moved to the right
  edge. For terminals that know the bidirectional algorithm: those of GNOME and others on VTE (from 0.58), Konsole,
  mlterm, Apple's Terminal. They take each line for a paragraph of its own and would give a line that begins with a
  Latin word the wrong direction; the isolates say which one it has.
* `visual`: letters joined and put in the order of sight, for terminals that print character after character: xterm,
  the Linux console, Alacritty, kitty, most in editors. Text copied from there is reversed.
* `off`: the text as it is. So it is written into a pipe or a file.
* `auto`: `on` where standard output is a terminal, else `off`.

A reply comes in pieces. The line that is being written is drawn anew with each, so it grows from the right edge; a line
that is full stays. Replies are strangers' text: escape sequences and direction marks in them never reach the terminal.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from mashq.lm import Decoding
from mashq.rows import MashqError, expected_got, nearest
from mashq.talk.speaker import Speaker
from mashq.templates import terminal

__all__ = ["BIDI", "Talk", "Writer", "chat_in_terminal", "visual"]

BIDI = ("auto", "on", "off", "visual")
CLEAR = "\r\x1b[2K"  # to the line's beginning, and empty it
HELP = (
    "/reset  begin anew",
    "/system [TEXT]  what stands above the conversation; without TEXT: show it",
    "/save FILE  the conversation as a line of chat JSON",
    "/help  these lines",
    "/quit  end (also Ctrl-D)",
    "//…  a turn that begins with /",
)
COMMANDS = ("reset", "system", "save", "help", "quit")


@dataclass
class Talk:
    """One conversation with a speaker: its turns so far, and what stands above them."""

    speaker: Speaker
    decoding: Decoding
    system: str = ""
    turns: list[dict[str, str]] = field(default_factory=list)

    def say(self, text: str) -> Generator[str, None, None]:
        """A turn of the user -> the reply's pieces. What was written of a reply that is left counts as said; where the
        model cannot answer, the turn is as if never spoken."""
        text = text.encode("utf-8", "replace").decode()
        self.turns.append({"role": "user", "content": text})
        above = [{"role": "system", "content": self.system}] if self.system else []
        said = ""
        pieces = self.speaker.stream([*above, *self.turns], self.decoding)
        try:
            for piece in pieces:
                said += piece
                yield piece
        finally:
            getattr(pieces, "close", lambda: None)()
            if said:
                self.turns.append({"role": "assistant", "content": said})
            else:
                self.turns.pop()

    def save(self, file: Path) -> None:
        """The conversation as one line of chat JSON into a new file. Raises MashqError where it is there already."""
        above = [{"role": "system", "content": self.system}] if self.system else []
        line = {"messages": [*above, *self.turns], "model": self.speaker.name}
        try:
            with file.expanduser().open("x", encoding="utf-8") as out:
                out.write(json.dumps(line, ensure_ascii=False) + "\n")
        except FileExistsError as error:
            raise MashqError(f"/save: {file} is there already. Choose another name.") from error
        except (OSError, ValueError) as error:
            raise MashqError(f"/save: cannot write {file} ({getattr(error, 'strerror', None) or error}).") from error


# --- writing ---------------------------------------------------------------------------------------------------------


class Writer:
    """Pieces of a reply -> lines on a terminal (`live`), or the text as it is."""

    def __init__(
        self, out: TextIO, paper: terminal.Paper, *, live: bool, shaped: Callable[[str, int], str] | None = None
    ):
        self._out, self._paper, self._live, self._shaped = out, paper, live, shaped
        self._paragraph, self._drawn = "", 0  # the paragraph in the making, and how many of its lines stand already

    def write(self, piece: str) -> None:
        """Add a piece: whole lines are written for good, the last one as far as it is known."""
        if not self._live:
            self._out.write(terminal.safe(piece))
            self._out.flush()
            return
        *whole, self._paragraph = (self._paragraph + piece).split("\n")
        for paragraph in whole:
            self._draw(paragraph, ended=True)
        self._draw(self._paragraph, ended=False)
        self._out.flush()

    def end(self) -> None:
        """The reply is over."""
        if self._live:
            self._draw(self._paragraph, ended=True)
            self._paragraph = ""
        else:
            self._out.write("\n")
        self._out.flush()

    def _draw(self, paragraph: str, ended: bool) -> None:
        lines = self._lines(paragraph) or [""]
        shown = lines[self._drawn :] or [""]
        self._out.write(CLEAR + "\n".join(shown))
        self._drawn = len(lines) - 1
        if ended:
            self._out.write("\n")
            self._drawn = 0

    def _lines(self, paragraph: str) -> list[str]:
        if self._shaped is None:
            return terminal.wrapped(paragraph, self._paper)
        plain = terminal.wrapped(paragraph, replace(self._paper, bidi=False))
        return [self._shaped(line, self._paper.width) for line in plain]


def visual() -> Callable[[str, int], str]:
    """(line, columns) -> the line as a terminal must be given it that prints character after character.

    Raises MashqError where the packages that join and order letters are not installed.
    """
    try:
        reshaper = importlib.import_module("arabic_reshaper")
        bidi = importlib.import_module("bidi")
    except ModuleNotFoundError as error:
        install = "pip install arabic-reshaper python-bidi"  # the second is LGPL, so no extra of ours brings it
        raise MashqError(f"--bidi visual needs the package '{error.name}': {install}") from error
    from rich.cells import cell_len

    def shaped(line: str, columns: int) -> str:
        right = terminal._direction(line) == "R"
        seen = str(bidi.get_display(reshaper.reshape(line), base_dir="R" if right else "L"))
        return " " * max(0, columns - cell_len(seen)) + seen if right else seen

    return shaped


# --- the conversation ------------------------------------------------------------------------------------------------


def chat_in_terminal(
    talk: Talk, *, bidi: str = "auto", source: TextIO | None = None, out: TextIO | None = None
) -> None:
    """Talk until the input ends or /quit. At a terminal Ctrl-C stops the reply, at the prompt it ends the talk.

    From a pipe each line that is not empty is a turn, and the first reply that cannot be had is an error.
    """
    source, out = source or sys.stdin, out or sys.stdout
    if bidi not in BIDI:
        raise MashqError(expected_got("chat: --bidi", f"one of {', '.join(BIDI)}", f"'{bidi}'"))
    asked, live = source.isatty(), out.isatty()
    shaped = visual() if bidi == "visual" else None
    paper = terminal.paper("off" if bidi == "visual" else bidi)
    for warning in talk.speaker.warnings:
        _tell(f"warning: {warning}", paper)
    if asked:
        _tell(f"{talk.speaker.name}. /help for the commands, Ctrl-C stops a reply, Ctrl-D ends.", paper)
        with contextlib.suppress(ImportError):
            importlib.import_module("readline")  # arrow keys and earlier lines
    for line in _typed() if asked else source:
        text = line.strip().lstrip("\N{ZERO WIDTH NO-BREAK SPACE}")
        if text.startswith("/") and not text.startswith("//"):
            if not _obey(text, talk, paper):
                return
        elif text:
            _answer(
                talk,
                text.removeprefix("/") if text.startswith("//") else text,
                Writer(out, paper, live=live, shaped=shaped),
                asked,
            )


def _typed() -> Iterator[str]:
    """Lines typed at a prompt, until Ctrl-D, or Ctrl-C at an empty prompt."""
    while True:
        try:
            yield input("> ")
        except (EOFError, KeyboardInterrupt):
            print()
            return


def _answer(talk: Talk, text: str, writer: Writer, asked: bool) -> None:
    pieces = talk.say(text)
    try:
        for piece in pieces:
            writer.write(piece)
    except KeyboardInterrupt:
        pieces.close()
        writer.end()
        if not asked:
            raise
        _tell("(stopped)")
        return
    except MashqError as error:
        writer.end()
        if not asked:
            raise
        _tell(f"mashq: {error}")
        return
    writer.end()
    if talk.speaker.cut:
        _tell(f"(cut at {talk.decoding.max_new_tokens} tokens: --max-new-tokens)")


def _obey(text: str, talk: Talk, paper: terminal.Paper) -> bool:
    """Do what a command says; whether the talk goes on."""
    name, _, rest = text[1:].partition(" ")
    rest = rest.strip()
    try:
        if name == "quit":
            return False
        if name == "reset":
            talk.turns.clear()
            _tell("(begun anew)")
        elif name == "system":
            talk.system = rest or talk.system
            _tell(f"system: {talk.system or '(none)'}", paper)
        elif name == "save" and rest:
            talk.save(Path(rest))
            _tell(f"saved {len(talk.turns)} turns to {rest}")
        elif name == "help" or name in COMMANDS:
            _tell("\n".join(HELP))
        else:
            _tell(f"there is no command /{name}.{nearest(name, COMMANDS)} /help lists them; //{name} says it.")
    except MashqError as error:
        _tell(f"mashq: {error}")
    return True


def _tell(text: str, paper: Any = None) -> None:
    """A word of mashq's own, apart from the replies."""
    lines = terminal.wrapped(text, paper) if paper else terminal.safe(text).split("\n")
    print("\n".join(lines), file=sys.stderr, flush=True)
