"""Write docs/reference/ from --help, docstrings and settings; with --check, say whether it is current."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click

import mashq
from mashq import recipes
from mashq.cli import EXIT_CODES, verbs
from mashq.settings import describe

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
