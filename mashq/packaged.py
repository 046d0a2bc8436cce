"""What the package carries in `mashq/data`: a YAML file by its name there, read and parsed once."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import yaml

__all__ = ["parsed", "raw"]

# libyaml's, where PyYAML was built with it: the same values, about ten times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def raw(name: str) -> bytes:
    """The bytes of `mashq/data/NAME.yaml`; a name is like "privacy/names"."""
    return resources.files("mashq").joinpath("data", f"{name}.yaml").read_bytes()


@functools.cache
def parsed(name: str) -> Any:
    """What that file holds. Every caller gets the same object: do not change it."""
    return yaml.load(raw(name), LOADER)
