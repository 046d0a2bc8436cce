"""Code that a model's folder brings: what it is, whether it may run, and whether the weights are what they say.

`auto_map` in config.json and tokenizer_config.json names Python files of the folder, which Transformers runs where it
is told to trust them. Here nothing of them runs unless the caller said `remote_code`, and an error names the file.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from mashq import families
from mashq.rows import MashqError

__all__ = ["check", "check_whole", "hint", "named", "raises"]


def check(spec: str, folder: Path, remote_code: bool) -> families.Family | None:
    """Refuse an architecture that only code of strangers knows, unless it was allowed; -> the model's family.

    An architecture that Transformers has is Transformers' own, whatever Python lies in the folder.
    """
    config = _told(folder / "config.json")
    kind = str(config.get("model_type", ""))
    size = config.get("vocab_size")
    family = families.of_type(kind, size if isinstance(size, int) else 0)
    code = named(folder)
    if remote_code and (foreign := [name for name in code if "--" in name]):
        raise MashqError(
            f"model '{spec}': its code is not in its folder but in another repository ({foreign[0]}), which is not "
            "fetched. Put that file into the folder, and its bare name into auto_map of config.json."
        )
    known: Any = importlib.import_module("transformers.models.auto.modeling_auto")
    if remote_code or not kind or kind in known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return family
    if not code:
        raise MashqError(
            f"model '{spec}': Transformers {_version()} has no causal language model of type '{kind}', and {folder} "
            "names no code of its own. Choose another model, or a version of Transformers that has it."
        )
    raise MashqError(
        f"model '{spec}': architecture '{kind}' is code in the model's folder ({', '.join(code)} in {folder}), not in "
        f"Transformers {_version()}. Nothing of it was run. Read that code; remote_code=true runs it, with all rights "
        f"of your account.{_supported(family)}"
    )


def named(folder: Path) -> list[str]:
    """The code that config.json and tokenizer_config.json name: `modeling_x.py`, or `owner/name--modeling_x.py`."""
    found: set[str] = set()
    config = _told(folder / "config.json").get("auto_map")
    for key in ("AutoConfig", "AutoModelForCausalLM"):
        found.update(_texts(config.get(key) if isinstance(config, dict) else None))
    tokenizer = _told(folder / "tokenizer_config.json").get("auto_map")
    for value in tokenizer.values() if isinstance(tokenizer, dict) else [tokenizer]:
        found.update(_texts(value))
    return sorted({f"{name.rpartition('.')[0]}.py" for name in found})


def _texts(value: Any) -> list[str]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str) and one]


def _told(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty where there is none or it is damaged (Transformers says so then)."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def raises(remote_code: bool) -> tuple[type[Exception], ...]:
    """What means that a folder does not load: of strangers' code, whatever it raises."""
    return (Exception,) if remote_code else (OSError, ValueError, KeyError, RuntimeError)


def hint(folder: Path, family: families.Family | None, remote_code: bool) -> str:
    """What a folder's own code may have to do with its not loading; empty where it names none."""
    code = ", ".join(named(folder))
    if not code:
        return ""
    if not remote_code:
        return f" The folder names code of its own ({code}), which was not run; remote_code=true runs it."
    return f" Its own code ({code}) may be written for a Transformers older than {_version()}.{_supported(family)}"


def check_whole(spec: str, folder: Path, found: dict[str, Any]) -> None:
    """Refuse weights that Transformers would draw at random: files of another architecture load like that.

    `found`: what Transformers tells of the loading (`output_loading_info`).
    """
    wrong = [*sorted(found["missing_keys"]), *sorted(str(entry[0]) for entry in found["mismatched_keys"])]
    if wrong:
        extra = ", ".join(sorted(found["unexpected_keys"])[:3])
        raise MashqError(
            f"model '{spec}': the files in {folder} are not those of the architecture that config.json names: "
            f"{len(wrong)} weights are absent or of another shape ({', '.join(wrong[:3])})"
            + (f", others have no place ({extra})" if extra else "")
            + ". AraGPT2-large and -mega and what was trained from them are such a case: they call themselves gpt2."
        )


def _supported(family: families.Family | None) -> str:
    return "" if family is None else f" {family.name}: {family.notes}"


def _version() -> str:
    return str(importlib.import_module("transformers").__version__)
