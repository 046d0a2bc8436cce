"""Recipes: one Python file for each published artefact, and any file of the user's own.

A recipe file has `Settings` (a frozen dataclass), `SIZES` (named settings; `small` runs on a laptop) and
`steps(settings) -> list[Step]`, in the order in which they happen. Its docstring's first line is its caption.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mashq.rows import MashqError, nearest
from mashq.run import Step

__all__ = ["Recipe", "load", "names", "scaffold"]


@dataclass(frozen=True)
class Recipe:
    """A loaded recipe: its name, its caption, its sizes, and the function from settings to steps."""

    name: str
    caption: str
    sizes: dict[str, Any]
    steps: Callable[[Any], list[Step]]

    def settings(self, size: str | None) -> Any:
        """The settings of one size; the first size where none is named."""
        if size is None:
            return next(iter(self.sizes.values()))
        if size not in self.sizes:
            raise MashqError(
                f"recipe '{self.name}' has no size '{size}' ({', '.join(self.sizes)}).{nearest(size, self.sizes)}"
            )
        return self.sizes[size]


def names() -> list[str]:
    """The recipes that mashq ships."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Recipe:
    """A shipped recipe by name, or the user's own by path (`./mine.py`)."""
    if name.endswith(".py"):
        return _recipe(Path(name).stem, _load_file(Path(name)))
    if name not in names():
        own = " Your own recipe is given by its path: mashq make ./mine.py."
        raise MashqError(f"there is no recipe '{name}' ({', '.join(names())}).{nearest(name, names())}{own}")
    return _recipe(name, importlib.import_module(f"mashq.recipes.{name}"))


def _load_file(path: Path) -> ModuleType:
    if not path.exists():
        raise MashqError(f"there is no recipe file {path}. `mashq new recipe NAME` writes one to start from.")
    name = f"{path.stem}_{hashlib.blake2b(str(path.resolve()).encode(), digest_size=4).hexdigest()}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise MashqError(f"{path}: expected a Python file.")
    module = importlib.util.module_from_spec(spec)
    module.__mashq_recipe_file__ = True  # type: ignore[attr-defined]  # workers get its code by value (engine.py)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except MashqError:
        raise
    except Exception as error:
        raise MashqError(f"{path}: it does not load: {type(error).__name__}: {error}") from error
    return module


def _recipe(name: str, module: ModuleType) -> Recipe:
    for needed in ("Settings", "SIZES", "steps"):
        if not hasattr(module, needed):
            raise MashqError(f"recipe '{name}': expected it to define {needed}, got none. See `mashq new recipe`.")
    if not module.SIZES or not all(dataclasses.is_dataclass(size) for size in module.SIZES.values()):
        raise MashqError(f"recipe '{name}': expected SIZES to hold names and Settings, got {module.SIZES!r}.")
    caption = (module.__doc__ or name).strip().splitlines()[0]
    return Recipe(name, caption, dict(module.SIZES), module.steps)


def scaffold(name: str) -> str:
    """The text of a new recipe file: a source, a template step and a filter, ready to run."""
    return (Path(__file__).parent.parent / "scaffold" / "recipe.py.txt").read_text("utf-8").replace("NAME", name)
