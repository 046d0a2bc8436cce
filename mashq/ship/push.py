"""What would be sent to the hub, the checks, and the sending.

Only what belongs to a model is sent: weights, configuration, tokenizer, card, notice, plot. Ledgers, rows, logs and
checkpoints stay. Each file is read, scanned and sent as one list, so nothing that appears later slips in. The token is
the one of the hub's own client (`hf auth login`, or HF_TOKEN): it is neither asked for nor written by mashq.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mashq.licences import uses
from mashq.rows import MashqError, expected_got
from mashq.ship import card as cards
from mashq.ship import secrets
from mashq.ship.trained import Trained, read, steps_before

__all__ = ["Finding", "Plan", "Sent", "plan", "push"]

REPO = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,94}\w)?/[A-Za-z0-9](?:[\w.-]{0,94}\w)?", re.ASCII)
# What a model is made of on a hub; anything else in the folder stays here.
KINDS = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*.gguf",
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "chat_template.jinja",
    "LICENSE*",
    "NOTICE*",
    "loss.svg",
)


@dataclass(frozen=True)
class Finding:
    """Something a check found. `grave` findings stop the sending."""

    grave: bool
    text: str


@dataclass(frozen=True)
class Sent:
    """A file as it would be sent: from disk, or with the content that was made for it."""

    name: str  # in the repository
    size: int  # bytes
    path: Path | None = None
    content: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Plan:
    """What `push` would send, what it leaves here, and what its checks found."""

    repo: str
    files: tuple[Sent, ...]
    left: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> list[str]:
        """Why it must not be sent; empty where it may."""
        return [one.text for one in self.findings if one.grave]

    def lines(self) -> Iterator[str]:
        """The plan for people to read."""
        total = sum(one.size for one in self.files)
        yield f"to {self.repo}: {len(self.files)} files, {total:,} bytes"
        for one in self.files:
            yield f"  {one.size:>14,}  {one.name}" + ("  (made for the hub)" if one.content is not None else "")
        if self.left:
            yield f"stays here: {', '.join(self.left)}"
        for found in self.findings:
            yield f"{'REFUSED' if found.grave else 'note'}: {found.text}"
        if not self.findings:
            yield "checks: nothing found"


def plan(folder: Path, repo: str, *, licence: str = "") -> Plan:
    """What would be sent of a training's or a merged model's folder; reads files, and no network.

    `licence`: the one the model is published under; "" = the base's.

    Raises MashqError for a folder that is neither, and a name that is not OWNER/NAME.
    """
    if not REPO.fullmatch(repo) or "--" in repo or ".." in repo:
        raise MashqError(
            expected_got("push: repository", "OWNER/NAME in letters, digits, '.', '_' and '-'", f"'{repo}'")
        )
    trained = read(folder)
    files, left = _files(trained, licence)
    findings = [*_in_files(files), *_of_licences(trained, licence), *_of_rows(trained)]
    return Plan(repo, tuple(files), tuple(left), tuple(sorted(findings, key=lambda one: not one.grave)))


def _files(trained: Trained, licence: str) -> tuple[list[Sent], list[str]]:
    """The files of the model at the top, as hubs expect them, beside a card written from what is on record now."""
    found = {
        "README.md": _made("README.md", cards.readme(trained, licence=licence)),
        "card.json": _made("card.json", _card(trained)),
    }
    left = []
    for place in dict.fromkeys((trained.weights, trained.folder)):
        for path in sorted(place.iterdir()):
            shown = str(path.relative_to(trained.folder))
            if path.name in found or path == trained.weights:
                continue
            if path.is_symlink() or not path.is_file() or not any(fnmatch.fnmatch(path.name, kind) for kind in KINDS):
                left.append(shown + "/" * path.is_dir())
            elif path.name == "adapter_config.json":
                found[path.name] = _made(path.name, _adapter_config(path))
            else:
                found[path.name] = Sent(path.name, path.stat().st_size, path)
    return [found[name] for name in sorted(found)], left


def _made(name: str, text: str) -> Sent:
    content = text.encode("utf-8", "replace")
    return Sent(name, len(content), content=content)


def _card(trained: Trained) -> str:
    return json.dumps(cards.public(trained.card), ensure_ascii=False, indent=1) + "\n"


def _adapter_config(path: Path) -> str:
    """The adapter's settings, its base by the name that the hub knows instead of a place on this machine."""
    try:
        config = json.loads(path.read_text("utf-8"))
        base = cards.published(str(config.get("base_model_name_or_path") or ""))
    except (UnicodeDecodeError, json.JSONDecodeError, AttributeError) as error:
        raise MashqError(expected_got(f"push: {path}", "an adapter's settings", f"something else ({error})")) from error
    return json.dumps(config | {"base_model_name_or_path": base}, indent=1, sort_keys=True) + "\n"


# --- checks ----------------------------------------------------------------------------------------------------------


def _in_files(files: list[Sent]) -> Iterator[Finding]:
    if not any(one.name.endswith((".safetensors", ".gguf")) for one in files):
        yield Finding(True, "weights: none in the folder; is the training finished?")
    for one in files:
        content = one.content if one.content is not None else secrets.visible(one.path) if one.path else b""
        for reason in secrets.found_in(content):
            yield Finding(True, f"{one.name}: {reason}")
        if one.size == 0:
            yield Finding(False, f"{one.name}: empty")


def _of_licences(trained: Trained, given: str) -> Iterator[Finding]:
    """Where the licence of the model (the given one, else the base's) allows more than base and data do."""
    base = str(trained.card["base"].get("licence") or "unknown")
    licences = cards.data_licences(trained)
    if uses(base).redistribute == "no":
        yield Finding(True, f"licence: the base is under {base}, whose terms forbid passing it on")
    if given and uses(base).commercial == "no" and uses(given).commercial != "no":
        yield Finding(True, f"licence conflict: the base is under {base}, which allows no commercial use; {given} does")
    if base == "unknown":
        yield Finding(False, "licence: nobody stated the licence of the base model; the card says `other`, `unknown`")
    if not licences:
        yield Finding(False, "data: the training did not state what it learnt; the card says so")
    for name, rows in licences.items():
        allowed, of = uses(name or "unknown"), f"{rows:,} rows under {name or 'unknown'}"
        if allowed.train == "no":
            yield Finding(True, f"licence: {of}, whose terms forbid training")
        elif (allowed.train, allowed.redistribute) == ("unknown", "unknown"):
            yield Finding(False, f"licence: {of}: what may be done with them is not known")
        if allowed.redistribute == "no":
            yield Finding(
                False, f"licence: {of}, whose terms forbid passing on what is made of them; the model may repeat them"
            )
        if allowed.commercial == "no" and uses(given or base).commercial != "no":
            yield Finding(
                True,
                f"licence conflict: {of} allow no commercial use, the model's licence {given or base} does not say so; "
                "publish it under terms that do: --licence, such as CC-BY-NC-4.0",
            )
        if allowed.share_alike:
            yield Finding(False, f"licence: {of} ask that what is made of them be shared under the same licence")


def _of_rows(trained: Trained) -> Iterator[Finding]:
    steps = steps_before(trained)
    for step in steps:
        if step.private and step.near:
            yield Finding(True, f"private rows: '{step.name}' was learnt as it is, and its rows may name people")
        elif step.private:
            yield Finding(
                False,
                f"private rows: the data came from '{step.name}', whose rows may name people; "
                "the card lists the steps after it",
            )
    if not steps:
        yield Finding(False, "lineage: the steps that made the rows are not beside the folder; the card says so")
    for text in cards.warnings(trained):
        yield Finding(False, f"warning in the card: {text[:120]}{'…' * (len(text) > 120)}")


# --- sending ---------------------------------------------------------------------------------------------------------


def push(ready: Plan, *, private: bool = True, say: Callable[[str], None] = print, endpoint: str | None = None) -> str:
    """Send what the plan lists in one commit; -> its address. The repository is made where there is none, private
    unless said otherwise.

    Raises MashqError where a check refused, without a token, and where the hub cannot be reached or says no.
    """
    if ready.refused:
        raise MashqError(f"push: refused: {'; '.join(ready.refused)}. Nothing was sent.")
    hub = _hub()
    client = hub.HfApi(endpoint=endpoint)
    if hub.get_token() is None:
        raise MashqError("push: the hub's client has no token. Run `hf auth login`, or set HF_TOKEN. Nothing was sent.")
    sent = [
        hub.CommitOperationAdd(
            path_in_repo=one.name, path_or_fileobj=one.content if one.path is None else str(one.path)
        )
        for one in ready.files
    ]
    say(f"sending {len(sent)} files to {ready.repo} …")
    try:
        client.create_repo(ready.repo, private=private, exist_ok=True)
        done = client.create_commit(ready.repo, sent, commit_message="Model trained and packed by mashq")
    except Exception as error:  # the hub's client raises its own, httpx's and OSError; all mean: it was not taken
        raise MashqError(_what_the_hub_said(error, ready.repo)) from error
    return str(done.commit_url)


def _hub() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise MashqError("push needs the package 'huggingface_hub': pip install 'mashq[train]'") from error
    return huggingface_hub


def _what_the_hub_said(error: Exception, repo: str) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    first = re.sub(r"hf_\w+", "hf_***", first)[:200]
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        do = "The token may not write there: see `hf auth whoami`, and whether it has the right to write."
    elif status is None:
        do = "Is there a network, and is HF_HUB_OFFLINE unset? The same command goes on: files that arrived stay."
    else:
        do = "The same command tries again."
    return f"push: {repo} was not taken by the hub ({type(error).__name__}: {first}). {do}"
