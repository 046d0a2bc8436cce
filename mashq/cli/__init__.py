"""The `mashq` command: one verb for each thing people do."""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from mashq.cli.group import verbs
from mashq.rows import MashqError

__all__ = ["EXIT_CODES", "main", "verbs"]

EXIT_CODES = {
    0: "done",
    1: "a clear error: what, where, expected, got, what to do",
    2: "the command's words are off",
    3: "a bug in mashq or in your recipe; the traceback lies in the file that the message names",
    130: "stopped with Ctrl-C; the same command goes on where it stopped",
}

for part in ("making", "texts", "models", "judging"):  # each adds its verbs, which --help shows in this order
    importlib.import_module(f"mashq.cli.{part}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every fault becomes one clear text and an exit code (`EXIT_CODES`)."""
    try:
        verbs(args=list(sys.argv[1:] if arguments is None else arguments), standalone_mode=False)
    except click.UsageError as error:
        _explain_usage(error)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nstopped. Nothing is lost: the same command goes on where it stopped.", err=True)
        sys.exit(130)
    except MashqError as error:
        click.echo(f"mashq: {error}", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        click.echo(_not_installed(error) or _bug(), err=True)
        sys.exit(1 if _not_installed(error) else 3)
    except Exception:
        click.echo(_bug(), err=True)
        sys.exit(3)


def _not_installed(error: ModuleNotFoundError) -> str | None:
    """What to install, where the missing module is one that an extra of mashq brings."""
    from mashq.doctor import extra_of

    extra = extra_of((error.name or "").split(".")[0])
    return extra and f"mashq: this needs the package {error.name}, which is not installed: pip install 'mashq[{extra}]'"


def _explain_usage(error: click.UsageError) -> None:
    click.echo(f"mashq: {error.format_message()} See mashq --help.", err=True)


def _bug() -> str:
    path = Path(f"mashq-error-{datetime.now(UTC):%Y%m%d-%H%M%S}-{time.monotonic_ns() % 10_000}.txt")
    last = traceback.format_exc()
    reason = last.strip().splitlines()[-1]
    try:
        path.write_text(last, "utf-8")
    except OSError:
        return f"mashq: a bug: {reason}\n{last}"
    return (
        f"mashq: a bug in mashq or in your recipe: {reason}\nThe traceback is in {path}; nothing that was made is lost."
    )
