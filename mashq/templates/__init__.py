"""Templates: Jinja in YAML, run in a sandbox, from the fields of a raw row to a prompt with its targets.

`load` reads files (ours and PromptSource's), `library` those that ship, `render` one row, `apply` a table of rows.
The library is data: one YAML file per data set in `library/`.
"""

from mashq.templates.applying import apply, apply_columns, path_of
from mashq.templates.files import library, library_names, load
from mashq.templates.rendering import render
from mashq.templates.sandbox import Forbidden
from mashq.templates.starter import scaffold
from mashq.templates.template import Dataset, Dialect, Rendered, Template, Turn

__all__ = [
    "Dataset",
    "Dialect",
    "Forbidden",
    "Rendered",
    "Template",
    "Turn",
    "apply",
    "apply_columns",
    "library",
    "library_names",
    "load",
    "path_of",
    "render",
    "scaffold",
]
