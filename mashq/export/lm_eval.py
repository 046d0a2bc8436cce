"""A test set for lm-evaluation-harness: a task YAML and its JSON lines, to be run offline on a model's folder.

| rows with | become | what is scored |
|---|---|---|
| `choices`, one of them right | `multiple_choice` | `acc`, `acc_norm`: by the sum of nats, and for each character |
| a reference and no choices | `generate_until` | `exact_match`: the reply is the reference, spaces before it apart |

One task a template (else task, else source) and kind; the group `mashq` runs all of them. Rows of split train or
validation are left out. The prompt of a row is `choices.plain_text` of its messages, so `acc` there is the accuracy of
`choices.answers` with `chat=False` here, and `acc_norm` that by characters (`benchmarks/lm_eval.py`). With
`--apply_chat_template` the harness puts the whole prompt into one user turn: the same as ours for rows of one turn.

Paths in the YAML are relative to the folder, because the harness knows no other: run it from inside. The rows' licence,
source and id stand in every line. Format after the harness's task guide (docs/task_guide.md, version 0.4).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import yaml

from mashq.choices import plain_text, right_choices, why_not
from mashq.export.known import file_names
from mashq.export.survey import reply_of
from mashq.rows import id_hex

__all__ = ["LmEvalWriter", "tasks_in"]

CARRIED = ("source", "licence", "task", "template", "variety", "group")
MOST_NEW_TOKENS = 256  # of a reply; the harness's own default
SEVERAL = "choices: several are right"
STRIPPED = {"name": "stripped", "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}]}


@dataclass
class _Task:
    """One task under way."""

    kind: str  # multiple_choice | generate_until
    wanted: str  # its name, before it is made plain and unique
    path: Path  # where its lines wait until all names are known
    rows: int = 0
    several: bool = False  # some row has more than one right reply


class LmEvalWriter:
    """`NAME.yaml` and `data/NAME.jsonl` for each task, and `GROUP.yaml`, which runs all of them.

    `between` stands between prompt and choice (`target_delimiter`), and is `ChoiceSettings.between` of the run that the
    numbers are to equal; `max_new_tokens` bounds a reply. `group` names the group, and begins the names of the tasks.
    """

    def __init__(self, folder: Path, between: str = " ", group: str = "mashq", max_new_tokens: int = MOST_NEW_TOKENS):
        self.folder, self.between, self.group, self.max_new_tokens = folder, between, _plain(group), max_new_tokens
        self._aside = folder / "data" / ".waiting"
        self._tasks: dict[str, _Task] = {}

    def why_not(self, table: pa.Table) -> list[str | None]:
        """Of each row, why it cannot be written, or None."""
        return [_why_not(row) for row in table.select(["split", "messages", "references", "choices"]).to_pylist()]

    def write(self, table: pa.Table) -> None:
        """Write rows, each into the file of its task."""
        waiting: dict[Path, list[bytes]] = {}
        for row in table.to_pylist():
            task = self._task(row)
            task.rows += 1
            line = _choice_line(row) if task.kind == "multiple_choice" else _reply_line(row)
            task.several |= len(line.get("replies", ())) > 1
            about = {"id": id_hex(row["id"]), **{name: row[name] or "" for name in CARRIED}}
            waiting.setdefault(task.path, []).append(msgspec.json.encode({**line, **about}) + b"\n")
        for path, lines in waiting.items():  # not kept open: there may be more tasks than files a process may hold
            with path.open("ab") as file:
                file.writelines(lines)

    def _task(self, row: dict[str, Any]) -> _Task:
        kind = "multiple_choice" if row["choices"] else "generate_until"
        name = row["template"] or row["task"] or row["source"] or "rows"
        key = msgspec.json.encode([name, kind]).decode()
        if key not in self._tasks:
            self._aside.mkdir(parents=True, exist_ok=True)
            path = self._aside / f"{len(self._tasks)}.jsonl"
            self._tasks[key] = _Task(kind, _plain(name), path)
        return self._tasks[key]

    def close(self) -> dict[str, str]:
        """Name the tasks and write their YAML; split -> the pattern of its files."""
        names = file_names([(key, f"/{task.wanted}", task.kind) for key, task in self._tasks.items()])
        made = []
        for key, task in self._tasks.items():
            name = f"{self.group}_{_plain(names[key])}"
            task.path.replace(self.folder / "data" / f"{name}.jsonl")
            _write_yaml(self.folder / f"{name}.yaml", self._settings(name, task))
            made.append(name)
        if self._tasks:
            self._aside.rmdir()
        _write_yaml(self.folder / f"{self.group}.yaml", {"group": self.group, "task": sorted(made)})
        return {"test": "data/*.jsonl"}

    def abandon(self) -> None:
        """Nothing is open between two calls."""

    def _settings(self, name: str, task: _Task) -> dict[str, Any]:
        """What the harness reads: fields are named bare, so that no text in them is taken for a template."""
        common = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": f"data/{name}.jsonl"}},
            "test_split": "test",
            "output_type": task.kind,
            "doc_to_text": "prompt",
            "num_fewshot": 0,
        }
        about = {"metadata": {"version": 1.0, "rows": task.rows, "made_by": "mashq"}}
        if task.kind == "multiple_choice":
            asked = {"doc_to_choice": "options", "doc_to_target": "right", "target_delimiter": self.between}
            return {**common, **asked, "metric_list": [_metric("acc"), _metric("acc_norm")], **about}
        return {
            **common,
            "doc_to_target": "replies" if task.several else "reply",
            "generation_kwargs": {"until": [], "max_gen_toks": self.max_new_tokens, "do_sample": False},
            "filter_list": [STRIPPED],  # a reply after a plain prompt begins with the space between the two
            "metric_list": [_metric("exact_match")],
            **about,
        }


def _metric(name: str) -> dict[str, Any]:
    return {"metric": name, "aggregation": "mean", "higher_is_better": True}


def _why_not(row: dict[str, Any]) -> str | None:
    if row["split"] not in (None, "test"):
        return f"split: {row['split']} is no test set"
    if not row["messages"]:
        return "no messages"
    if row["choices"]:
        return why_not(row) or (SEVERAL if len(right_choices(row)) > 1 else None)
    if row["messages"][-1]["role"] == "assistant" and len(row["messages"]) < 2:
        return "no prompt"
    return None if reply_of(row["messages"], row["references"]) else "no reference"


def _asked(row: dict[str, Any]) -> str:
    turns = row["messages"]
    return plain_text(turns[:-1] if turns[-1]["role"] == "assistant" else turns)


def _choice_line(row: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": _asked(row), "options": row["choices"], "right": right_choices(row)[0]}


def _reply_line(row: dict[str, Any]) -> dict[str, Any]:
    reply = reply_of(row["messages"], row["references"])
    others = [text for text in row["references"] or [] if text]
    return {"prompt": _asked(row), "reply": reply, "replies": list(dict.fromkeys([reply, *others]))}


def _plain(name: str) -> str:
    """A task's name as the harness takes it on its command line: letters, digits and `_`."""
    return re.sub(r"[^\w]+", "_", name).strip("_") or "rows"


def _write_yaml(path: Path, settings: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(settings, allow_unicode=True, sort_keys=False, width=1000), encoding="utf-8")


def tasks_in(folder: Path) -> Sequence[str]:
    """The names of the tasks that a writer left in a folder, sorted; the group is not among them."""
    found = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yaml"))]
    return sorted(str(one["task"]) for one in found if "output_type" in one)
