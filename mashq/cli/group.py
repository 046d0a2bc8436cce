"""The group of all verbs, and what several of them share."""

from __future__ import annotations

from pathlib import Path

import click

from mashq import __version__

__all__ = ["Lines", "known_runs", "runs_option", "verbs"]


class Lines(click.Group):
    """A group whose help keeps the order in which the verbs are written."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


runs_option = click.option(
    "--runs", default="runs", show_default=True, type=click.Path(path_type=Path), help="Where runs lie."
)


@click.group(cls=Lines, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mashq")
def verbs() -> None:
    """mashq: make Arabic training data, train a language model on it, and prove the gain.

    Example: mashq make quickstart
    """


def known_runs(runs: Path) -> str:
    known = sorted({path.parent.name for path in runs.glob("*/*.json")})
    return f" Runs here: {', '.join(known)}." if known else f" There are no runs in {runs}: mashq make quickstart."
