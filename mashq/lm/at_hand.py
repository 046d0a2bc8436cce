"""Whether a model can be had, looked at before anything is made, so that what cannot be had is known early."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from pathlib import Path
from typing import Any

from mashq.lm.openai import address_of
from mashq.lm.toy import TOYS
from mashq.lm.weights import EMBEDDED, HUB_NAME, model_folder

__all__ = ["at_hand", "has_door"]

ASK_HUB_S = 10.0  # how long the hub may take to say whether it has a name


def has_door(spec: str) -> bool:
    """Whether the model answers messages through a door of its own (an address, llama.cpp, `echo`, a script), and is
    no weights that Transformers loads into this process."""
    kind, _, rest = spec.partition(":")
    return spec == "echo" or (kind in ("http", "https", "llamacpp", "scripted") and bool(rest))


def at_hand(spec: str) -> bool:
    """Whether a model of `mashq.lm` is here, or its hub says that it has it.

    A model behind an address counts as being there: its server may be started later. Weights are not read. Raises
    MashqError for an address that is none or holds a password, and for a folder that is there and holds no model.
    """
    kind, _, rest = spec.partition(":")
    if kind in ("http", "https"):
        return bool(address_of(spec))
    name = rest if kind in ("llamacpp", "transformers", "scripted") and rest else spec
    path = Path(name).expanduser()
    if path.is_dir():
        return bool(model_folder(path))
    if path.is_file() or spec == "echo":
        return True
    if name in EMBEDDED:
        return importlib.util.find_spec(EMBEDDED[name].package) is not None
    if name in TOYS:
        return importlib.util.find_spec("transformers") is not None
    return kind not in ("llamacpp", "scripted") and HUB_NAME.fullmatch(name) is not None and _of_hub(name)


@functools.cache
def _of_hub(spec: str) -> bool:
    """Whether the hub's cache has the weights, or the hub, where it may be asked, has the name for us."""
    if importlib.util.find_spec("huggingface_hub") is None:
        return False
    hub: Any = importlib.import_module("huggingface_hub")
    name, _, revision = spec.partition("@")
    found = hub.try_to_load_from_cache(name, "config.json", revision=revision or None)
    if isinstance(found, str) and any(file.suffix in (".safetensors", ".bin") for file in Path(found).parent.iterdir()):
        return True
    if hub.constants.HF_HUB_OFFLINE:
        return False
    try:
        hub.HfApi().model_info(name, revision=revision or None, timeout=ASK_HUB_S)
    except Exception:  # the client's own, httpx's and OSError: no network, no such name, not for us. All mean: no
        return False
    return True
