"""The recipes at the size of their papers, without network: what they resolve to, and what has to be named.

    MASHQ_DATA=DIR python benchmarks/paper_sizes.py                          # prints the page
    MASHQ_DATA=DIR python benchmarks/paper_sizes.py --write docs/paper-sizes.md

The commands are run for real, with the hub switched off: `mashq list`, `mashq plan` and `mashq make --dry-run` of each
recipe, then what each says where something is missing. Nothing is trained and no model is asked.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's client is imported

import sheet

from mashq import cli, recipes
from mashq.settings import describe

PAPERS = {
    "dialogue": "Paper 1 (PLoS ONE 21(2) e0341905)",
    "prompts": "Paper 2 (arXiv 2408.05882)",
    "medical": "Paper 3 (arXiv 2509.10095)",
    "stories": "Paper 4 (arXiv 2407.07551)",
    "stages": "Paper 4, its order of training",
}
NAMED = {  # what a user has to name or start, beside weights that come from the hub
    "dialogue": "The writing model behind `writer.model`: start its server there, or name another. The paper's "
    "training settings, topics, countries and prompts are not public; ours are used.",
    "prompts": "The folder of the data sets (`--data DIR` or `MASHQ_DATA`). The 8,000,000 prompts of the larger arm "
    "need the files of many data sets; with fewer, as many prompts are learnt as there are.",
    "medical": "The posts (`--data FILE`), which are not public; without them synthetic ones stand in. The encoder of "
    "BERTScore is not named in the paper: `encoder.model`.",
    "stories": "The folder of the released stories (`--data DIR` or `MASHQ_DATA`). For the first stage of Model B also "
    "English stories (`english=FILE`), a translator (`translation.engine`) and the scorer behind the paper's 0.92 "
    "(`translation.scorer`), which is not public.",
    "stages": "The folder of the files (`--data DIR` or `MASHQ_DATA`), or stages of your own (`--config`).",
}
NEED_DATA = ("prompts", "stories", "stages")  # recipes that say what is missing where no folder is named
FIRST = '[{"story": "Tom had a red boat. He put it in the water.", "instruction": {"prompt:": "Write a story."}}]\n'


def said(*arguments: str) -> tuple[int, str]:
    """A command of mashq in this process: its exit code and all that it wrote."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            cli.main(list(arguments))
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, out.getvalue().strip()


def passed(*arguments: str) -> str:
    """What a command wrote that must end well."""
    code, text = said(*arguments)
    if code:
        raise SystemExit(f"mashq {' '.join(arguments)}: exit code {code}\n{text}")
    return text


def settings_of(recipe: str) -> Iterator[str]:
    """Every setting of the size, resolved, as lines of a block."""
    for name, value, _ in describe(recipes.load(recipe).settings("paper")):
        yield f"{name} = {json.dumps(value, ensure_ascii=False)}"


def section(recipe: str, runs: str) -> Iterator[str]:
    """One recipe: what must be named, the forecast, the steps, all settings."""
    at = ("--size", "paper", "--runs", runs)
    plan = passed("plan", recipe, *at)
    steps = passed("make", recipe, *at, "--dry-run").splitlines()
    names = ", ".join(f"`{line.split('@')[0]}`" for line in steps)
    yield f"## {recipe}\n\n{PAPERS[recipe]}.\n\n*To be named:* {NAMED[recipe]}\n"
    yield f"`mashq plan {recipe} --size paper`\n\n```text\n{plan}\n```\n"
    yield f"`mashq make {recipe} --size paper --dry-run` would make {len(steps)} steps: {names}.\n"
    settings = "\n".join(settings_of(recipe))
    yield f"<details><summary>All settings</summary>\n\n```text\n{settings}\n```\n\n</details>\n"


def missing(runs: str) -> Iterator[str]:
    """What the commands say where something was not named."""
    kept = os.environ.pop("MASHQ_DATA", None)
    yield "## What is said where something is missing\n"
    for recipe in NEED_DATA:
        code, text = said("make", recipe, "--size", "paper", "--runs", runs, "--dry-run")
        yield f"`mashq make {recipe} --size paper --dry-run`, no folder named (exit code {code})\n"
        yield f"```text\n{text}\n```\n"
    if kept is not None:
        os.environ["MASHQ_DATA"] = kept
    file = Path(runs) / "english.json"
    file.write_text(FIRST, "utf-8")
    for lacking, more in (("engine", ()), ("scorer", ("--set", "translation.engine=transliterate"))):
        asked = ("--set", f"english={file}", *more)
        code, text = said("plan", "stories", "--size", "paper", "--runs", runs, *asked)
        told = " ".join(asked).replace(str(file), "FILE")
        yield f"`mashq plan stories --size paper {told}`, no {lacking} named (exit code {code})\n"
        yield f"```text\n{text.replace(str(file), 'FILE')}\n```\n"


def page() -> str:
    """The whole page."""
    with tempfile.TemporaryDirectory() as runs:
        parts = [part for recipe in PAPERS for part in section(recipe, runs)]
        parts += missing(runs)
    head = f"""# The recipes at the size of their papers

Each recipe has a size `paper`: the paper's own numbers where they are public, ours where they are not. This page is
made by `python benchmarks/paper_sizes.py --write docs/paper-sizes.md`, which runs `mashq plan` and `mashq make
--dry-run` for real, with the hub switched off ({sheet.machine("mashq")}). The released files lay in a folder named in
`MASHQ_DATA`. Nothing here was trained at that size.

What cannot be resolved without network: the weights and the `config.json` of the models that are named by a hub name.
A forecast of memory needs that `config.json`; where it is neither in a folder nor in the hub's cache, the plan says
"memory not known", and the run itself fetches it or stops with what to do. Hours on a graphics card are not forecast.
"""
    return "\n".join([head, *parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="write the page to this file")
    asked = parser.parse_args()
    if not os.environ.get("MASHQ_DATA"):
        sys.exit("paper_sizes: expected MASHQ_DATA to name the folder of the released files, got none.")
    sheet.give(page(), asked.write)


if __name__ == "__main__":
    main()
