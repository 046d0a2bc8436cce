"""Write docs/reference/ from --help, docstrings and settings; with --check, say whether it is current."""

from __future__ import annotations

import html
import importlib
import inspect
import pkgutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

import mashq
from mashq import recipes
from mashq.cli import EXIT_CODES, verbs
from mashq.rows import MashqError
from mashq.settings import describe
from mashq.templates.catalogue import COLUMNS, NO_SAMPLE, Entry, find, path_on_sample, row_count
from mashq.templates.lint import tasks

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by `make docs` from the code; change the code, not this page. -->\n\n"


def commands() -> str:
    """Every verb with its --help, and the exit codes."""
    lines = [NOTE + "# The `mashq` command\n\n| verb | what it does |\n|---|---|\n"]
    for name, command in verbs.commands.items():
        lines.append(f"| [`{name}`](#mashq-{name}) | {command.get_short_help_str(200)} |\n")
    lines.append("\nExit codes:\n\n| code | meaning |\n|---|---|\n")
    lines += [f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items()]
    for name, command in verbs.commands.items():
        context = click.Context(command, info_name=f"mashq {name}", max_content_width=100, terminal_width=100)
        lines.append(f"\n## mashq {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "".join(lines)


def recipe_settings() -> str:
    """Every recipe's caption and settings with their meanings, one column a size."""
    lines = [NOTE + "# Recipes and their settings\n\nChange one with `--set name=value`.\n"]
    for name in recipes.names():
        recipe = recipes.load(name)
        lines.append(f"\n## {name}\n\n{recipe.caption}\n\n")
        lines.append(f"| setting | {' | '.join(recipe.sizes)} | meaning |\n|---|{'---|' * len(recipe.sizes)}---|\n")
        columns = [list(describe(settings)) for settings in recipe.sizes.values()]
        for row in zip(*columns, strict=True):
            values = " | ".join(f"`{_shown(value)}`" for _, value, _ in row)
            meaning = row[0][2].replace("|", "/")
            lines.append(f"| `{row[0][0]}` | {values} | {meaning} |\n")
    return "".join(lines)


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(str(one) for one in value) or "none"
    return "none" if value in (None, "") else str(value).replace("|", "\\|")


def modules() -> str:
    """Every public name with its signature and the first paragraph of its docstring."""
    lines = [NOTE + "# Modules\n"]
    for name in _module_names():
        module = importlib.import_module(name)
        public = [one for one in getattr(module, "__all__", []) if _documented(getattr(module, one, None), name)]
        lines.append(f"\n## {name}\n\n{_first_paragraph(module.__doc__)}\n\n")
        for one in public:
            lines.append(
                f"* `{one}{_signature(getattr(module, one))}`: {_first_paragraph(getattr(module, one).__doc__)}\n"
            )
    return "".join(lines)


def template_library() -> str:
    """Every data set of the library with its tasks, templates, licence, rows and share on columns; then the sums."""
    entries = find()
    if faults := [fault for entry in entries for fault in entry.faults]:
        raise MashqError("\n".join(faults))
    verified = [entry for entry in entries if not entry.dataset.unverified]
    apart = [entry for entry in entries if entry.dataset.unverified]
    paths = {entry.dataset.name: [path_on_sample(template) for template in entry.templates] for entry in entries}
    lines = [NOTE + "# The library of templates\n\n", *_sums(verified, paths)]
    lines.append("\n`mashq templates NAME` shows a data set, `mashq templates --html OUT.html` writes all as a page.\n")
    lines.append(
        "\nVariety is that of the prompts. Columns: templates that are rendered column by column on the sample "
    )
    lines.append("rows; Jinja renders the others row by row. Rows: of all published splits.\n\n")
    lines += _data_sets(verified, paths)
    if apart:
        lines.append("\n## Not counted\n\nThe fields of these could not be read at the source.\n\n")
        lines += _data_sets(apart, paths)
    return "".join(lines)


def _sums(entries: Sequence[Entry], paths: Mapping[str, Sequence[str]]) -> Iterator[str]:
    templates = [template for entry in entries for template in entry.templates]
    tried = [path for entry in entries for path in paths[entry.dataset.name] if path != NO_SAMPLE]
    named = {template.task for template in templates}
    common, own = len(named & tasks().keys()), len(named - tasks().keys())
    yield "| | |\n|---|---|\n"
    yield f"| data sets whose fields were read at the source | {len(entries):,} |\n"
    yield f"| templates | {len(templates):,} |\n"
    yield f"| tasks | {common:,}" + (f", and {own:,} of one data set alone" if own else "") + " |\n"
    yield f"| rendered column by column, of those with sample rows | {_share(tried)} |\n"
    for variety, n in Counter(template.variety or "not said" for template in templates).most_common():
        yield f"| prompts: {variety} | {n:,} |\n"


def _data_sets(entries: Sequence[Entry], paths: Mapping[str, Sequence[str]]) -> Iterator[str]:
    names = ["data set", "tasks", "templates", "varieties", "licence", "rows", "fields read in", "columns"]
    yield f"| {' | '.join(names)} |\n|---|---|--:|---|---|--:|---|--:|\n"
    for entry in entries:
        data = entry.dataset
        title = _cell(data.title or data.name)
        linked = f"[{title}]({data.address})" if data.address.startswith(("https://", "http://")) else title
        rows = row_count(data)
        cells = [
            f"`{data.name}`<br>{linked}",
            ", ".join(entry.tasks),
            f"{len(entry.templates)}",
            ", ".join(entry.varieties),
            _cell(data.licence or "unknown"),
            "" if rows is None else f"{rows:,}",
            _cell(data.schema or "not said"),
            _share([path for path in paths[data.name] if path != NO_SAMPLE]),
        ]
        yield f"| {' | '.join(cells)} |\n"


def _share(paths: Sequence[str]) -> str:
    return f"{sum(path == COLUMNS for path in paths):,} of {len(paths):,}" if paths else "not tried"


def _cell(text: str) -> str:
    return " ".join(html.escape(text, quote=False).replace("|", "\\|").split())


def _module_names() -> Iterator[str]:
    for module in pkgutil.walk_packages(mashq.__path__, "mashq."):
        if not module.name.startswith("mashq.recipes."):
            yield module.name


def _documented(value: object, module: str) -> bool:
    return (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module


def _signature(value: object) -> str:
    if inspect.isclass(value):
        return ""
    assert callable(value)
    return str(inspect.signature(value)).replace("|", "\\|")


def _first_paragraph(text: str | None) -> str:
    return " ".join(inspect.cleandoc(text or "").split("\n\n")[0].split())


def main() -> int:
    """Write the pages, or with --check compare them; 1 where one is not current."""
    pages = {"commands.md": commands(), "recipes.md": recipe_settings(), "modules.md": modules()}
    pages["templates.md"] = template_library()
    stale = []
    for name, text in pages.items():
        path = REFERENCE / name
        if "--check" in sys.argv:
            stale += [] if path.exists() and path.read_text("utf-8") == text else [name]
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
    if stale:
        print(f"docs/reference: {', '.join(stale)} not current. Run `make docs` and commit what it writes.")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
