"""What people said of translations and renders, and its way back: into fixed translations, or to who edits a template.

Each check is decided by itself: what more than half of its raters say stands (accepted, corrected to one text,
rejected); anything else is disputed and decided by nobody here. Withdrawn raters do not count.
"""

from __future__ import annotations

import functools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from mashq.mt import plain
from mashq.rating.exports import written
from mashq.rating.store import Store
from mashq.rating.study import Item
from mashq.rows import MashqError
from mashq.sentences import mask
from mashq.translate.fixed import ALL, KEY, by_sentence, check_varieties

__all__ = ["CORRECTIONS", "Agreed", "Check", "agreed", "corrections", "lines", "write_corrections"]

CORRECTIONS = pa.schema(
    [
        *((name, pa.string()) for name in ("study", "id", "variety", "system", "template", "part", "source")),
        *((name, pa.string()) for name in ("proposed", "corrected", "verdict", "rater", "note")),
        ("withdrawn", pa.bool_()),  # the rater left the study: the answer counts for nothing
        ("simulated", pa.bool_()),
    ]
)
DISPUTED = "disputed"
VERDICTS = {"accept": "accepted", "correct": "corrected", "reject": "rejected", DISPUTED: DISPUTED}
TOLD = 5  # texts of each trouble on the terminal; the file of checks has all


def corrections(store: Store) -> pa.Table:
    """What people said of each text that was to be checked: one row for each rater and item of role "item".

    `corrected` is the text that stands: the proposal where it was accepted, null where it was rejected.
    """
    items = _checks(store)
    rows = []
    for row in store.answers().to_pylist():
        if row["item"] not in items:
            continue
        item = items[row["item"]]
        source, proposed = item.shown
        stands = {"accept": proposed, "correct": row["text"], "reject": None}[row["said"]]
        texts = {"id": item.id, "source": source, "proposed": proposed, "corrected": stands, "verdict": row["said"]}
        own = {"template": item.template, "part": item.part}
        rows.append({**{key: row[key] for key in row if key in CORRECTIONS.names}, **texts, **own})
    return pa.Table.from_pylist(rows, CORRECTIONS)


def _checks(store: Store) -> dict[str, Item]:
    return {item.id: item for item in store.study.of_role("item") if item.kind == "check"}


# --- what stands -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """What the raters of a study said of one text that was to be checked; nobody is named."""

    item: Item
    said: Mapping[str, int]  # accept, correct, reject -> how many of its raters
    corrected: Mapping[str, int]  # corrected text -> how many gave it
    verdict: str  # accept, correct or reject: what more than half say (one and the same correction); else "disputed"
    text: str | None  # the text that stands; None: rejected or disputed

    @property
    def raters(self) -> int:
        """How many raters answered and count."""
        return sum(self.said.values())

    @property
    def variety(self) -> str:
        """The variety it is in: "all" where the item names none."""
        return self.item.variety or ALL

    @functools.cached_property
    def pairs(self) -> list[tuple[str, str]] | None:
        """Sentences and what stands (or was rejected) for each; None where they do not go together."""
        return by_sentence(self.item.shown[0], self.item.shown[1] if self.text is None else self.text)

    @functools.cached_property
    def unused(self) -> str:
        """Why translation cannot use what was agreed on; "" where it can, or where nothing was or it is a render."""
        if self.item.template or self.verdict == DISPUTED:
            return ""
        if self.pairs is None:
            return "source and text have not equally many sentences"
        kept = () if self.text is None else (one for source, _ in self.pairs for one in mask(source).kept)
        lost = [one for one in kept if one not in (self.text or "")]
        return f"the text has lost {', '.join(lost)}" if lost else ""


@dataclass(frozen=True)
class Agreed:
    """What the raters of a study agree on.

    fixed: variety -> sentence -> its translation; rejected: variety -> sentence -> the translations that do not stand;
    unused: checks that were agreed on and that translation cannot use (`Check.unused`);
    contested: (variety, sentence) that checks agreed on, each for itself, with different texts.
    """

    checks: tuple[Check, ...]
    unanswered: int  # checks without an answer that counts
    fixed: Mapping[str, Mapping[str, str]]
    rejected: Mapping[str, Mapping[str, tuple[str, ...]]]
    unused: tuple[Check, ...]
    contested: tuple[tuple[str, str], ...]

    def of(self, verdict: str) -> list[Check]:
        """The checks with a verdict, in the study's order."""
        return [check for check in self.checks if check.verdict == verdict]

    @property
    def renders(self) -> list[Check]:
        """The renders of templates that were corrected or rejected."""
        return [check for check in self.checks if check.item.template and check.verdict in ("correct", "reject")]


def agreed(store: Store) -> Agreed:
    """What more than half of a check's raters say of it stands, and is cut into sentences as translation cuts texts.

    Where different checks give one sentence different translations, the one that more raters stand behind is taken, and
    where these are as many, none is. Renders of templates are no translations: they are in `renders` alone.
    """
    given: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in corrections(store).to_pylist():
        if not row["withdrawn"]:
            given[row["id"]].append(row)
    items = _checks(store)
    checks = tuple(_decided(item, given[name]) for name, item in items.items() if given[name])
    unused = tuple(check for check in checks if check.unused)
    texts = [check for check in checks if not (check.item.template or check.verdict == DISPUTED or check.unused)]
    fixed, contested = _fixed([check for check in texts if check.text is not None])
    rejected: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    for check in texts:
        for source, text in (check.pairs or ()) if check.text is None else ():
            if source and text and fixed.get(check.variety, {}).get(source) != text:
                others = rejected[check.variety].get(source, ())
                rejected[check.variety][source] = tuple(dict.fromkeys((*others, text)))
    return Agreed(checks, len(items) - len(checks), fixed, dict(rejected), unused, contested)


def _decided(item: Item, rows: Iterable[Mapping[str, Any]]) -> Check:
    said: Counter[str] = Counter(accept=0, correct=0, reject=0)
    texts: dict[str, str] = {}  # with single spaces -> as it was given first
    corrected: Counter[str] = Counter()
    for row in rows:
        said[row["verdict"]] += 1
        if row["verdict"] == "correct":
            corrected[texts.setdefault(" ".join(row["corrected"].split()), row["corrected"])] += 1
    half = said.total() / 2
    text, most = corrected.most_common(1)[0] if corrected else (None, 0)
    if said["accept"] > half:
        return Check(item, said, corrected, "accept", item.shown[1])
    if most > half:
        return Check(item, said, corrected, "correct", text)
    return Check(item, said, corrected, "reject" if said["reject"] > half else DISPUTED, None)


def _fixed(checks: Iterable[Check]) -> tuple[dict[str, dict[str, str]], tuple[tuple[str, str], ...]]:
    """Variety -> sentence -> the translation that most raters stand behind, and what is tied."""
    votes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    written_as: dict[tuple[str, str], str] = {}
    for check in checks:
        behind = check.said["accept"] if check.verdict == "accept" else check.corrected[check.text or ""]
        for source, text in check.pairs or ():
            if source and text:  # an empty text is no translation
                key = (check.variety, plain(source))
                votes[key][text] += behind
                written_as.setdefault(key, source)
    fixed: dict[str, dict[str, str]] = defaultdict(dict)
    contested = []
    for key, counts in votes.items():
        (text, most), *rest = counts.most_common()
        if rest and rest[0][1] == most:
            contested.append((key[0], written_as[key]))
        else:
            fixed[key[0]][written_as[key]] = text
    return dict(fixed), tuple(contested)


# --- files -----------------------------------------------------------------------------------------------------------


def write_corrections(store: Store, path: Path | str) -> tuple[Agreed, list[Path]]:
    """Write what raters agree on; what they agree on, and the files that were written.

    `path` (FIXED.yaml) is a file of fixed and of rejected translations, as `mashq translate --fixed` reads it; these
    stand before the engine and its translation memory, in which nothing is ever overwritten. Beside it
    FIXED.checks.yaml has every check with how many said what, and FIXED.templates.yaml the renders that do not stand,
    by template. A file of an earlier time is written anew also where it holds nothing now. Raises MashqError for a
    simulated study, for one without checks or without answers, and for a variety that translation does not know.
    """
    path, name = Path(path), store.study.name
    if store.study.simulated:
        raise MashqError(
            f"rating study '{name}': its raters are programs; their corrections are not people's, and go into no "
            "translation."
        )
    if not _checks(store):
        raise MashqError(f"rating study '{name}': it has no item of kind check, so nothing was corrected in it.")
    made = agreed(store)
    if not made.checks:
        raise MashqError(f"rating study '{name}': no check has an answer that counts yet. Wait for the raters.")
    check_varieties((*made.fixed, *made.rejected), "fixed translations")
    of = f"the raters of study {json.dumps(name, ensure_ascii=False)}"
    beside = path.with_suffix(".checks.yaml")
    files: dict[Path, tuple[str, Any]] = {}
    if made.fixed or made.rejected or path.exists():
        head = f"What {of} accepted, corrected or rejected; how many said so stands in {beside.name}."
        files[path] = (head, {**made.fixed, **({KEY: _plain(made.rejected)} if made.rejected else {})})
    files[beside] = (
        f"Every check that {of} answered, and how many said what.",
        [_told(check) for check in made.checks],
    )
    renders = path.with_suffix(".templates.yaml")
    if made.renders or renders.exists():
        head = f"Renders that {of} corrected or rejected, for who edits the templates."
        files[renders] = (head, _by_template(made.renders))
    return made, [_as_yaml(where, *content) for where, content in files.items()]


def _as_yaml(path: Path, head: str, content: Any) -> Path:
    # Within double quotes alone does PyYAML read U+0085 and U+2028 back as it wrote them.
    body = yaml.dump(content, Dumper=_Quoted, allow_unicode=True, sort_keys=False, width=10_000)
    return written(path, f"# {head}\n{body}".encode())


class _Quoted(yaml.SafeDumper):
    """Texts in double quotes; numbers and null as they are."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Quoted.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def _plain(rejected: Mapping[str, Mapping[str, tuple[str, ...]]]) -> dict[str, dict[str, list[str]]]:
    return {variety: {source: list(texts) for source, texts in one.items()} for variety, one in rejected.items()}


def _told(check: Check) -> dict[str, Any]:
    """A check as the file has it."""
    item = check.item
    about = {"variety": item.variety, "system": next(iter(item.systems), ""), "template": item.template}
    told: dict[str, Any] = {
        **{
            "verdict": VERDICTS[check.verdict],
            "raters": check.raters,
            **{VERDICTS[k]: n for k, n in check.said.items()},
        },
        **{name: value for name, value in {**about, "part": item.part}.items() if value},
        **{"source": item.shown[0], "proposed": item.shown[1]},
    }
    if check.corrected:
        told["corrections"] = [{"text": text, "raters": count} for text, count in check.corrected.items()]
    return {**told, "not used": check.unused} if check.unused else told


def _by_template(renders: Iterable[Check]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Template -> part -> the renders that do not stand, with how many said so."""
    made: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for check in renders:
        behind = check.corrected[check.text] if check.text is not None else check.said["reject"]
        texts = {"record": check.item.shown[0], "render": check.item.shown[1], "correction": check.text}
        one = {"verdict": VERDICTS[check.verdict], "said so": f"{behind} of {check.raters}", **texts}
        made.setdefault(check.item.template, {}).setdefault(check.item.part, []).append(one)
    return made


# --- the terminal ----------------------------------------------------------------------------------------------------


def lines(made: Agreed, files: Iterable[Path]) -> Iterator[str]:
    """What was agreed on and what was not, for the terminal."""
    counts = ", ".join(f"{VERDICTS[verdict]} {len(made.of(verdict))}" for verdict in VERDICTS)
    yield f"checks: {counts}, without an answer {made.unanswered}"
    for path in files:
        yield f"wrote {path}"
    yield f"  sentences with a translation of people's: {sum(map(len, made.fixed.values()))}"
    yield f"  sentences with a rejected translation: {sum(map(len, made.rejected.values()))}"
    if made.renders:
        templates = ", ".join(dict.fromkeys(check.item.template for check in made.renders))
        yield f"  renders to mend in their templates ({templates}): {len(made.renders)}; then `mashq lint` them"
    for why in dict.fromkeys(check.unused for check in made.unused):
        yield from _listed(f"NOT USED, {why}", [check for check in made.unused if check.unused == why])
    yield from _listed("disputed, nothing was decided", made.of(DISPUTED))
    for variety, source in made.contested[:TOLD]:
        yield f"contested, different checks agreed on different texts ({variety}): «{source}»"
    if len(made.contested) > TOLD:
        yield f"contested: {len(made.contested) - TOLD} more"


def _listed(what: str, checks: Iterable[Check]) -> Iterator[str]:
    some = list(checks)
    for check in some[:TOLD]:
        said = ", ".join(f"{VERDICTS[verdict]} {count}" for verdict, count in check.said.items() if count)
        yield f"{what} ({said}): «{_short(check.item.shown[0])}»"
    if len(some) > TOLD:
        yield f"{what}: {len(some) - TOLD} more"


def _short(text: str) -> str:
    single = " ".join(text.split())
    return single if len(single) <= 100 else f"{single[:99]}…"
