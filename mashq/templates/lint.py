"""The linter of templates: it renders rows, then compares. `RULES` is what it knows.

The rows are the data set's own `sample`, or real ones; a file without either (PromptSource's have none) is tried on
invented rows, by the rules that look at the template's own text. Whether a text is the template's own or came from
the row is told apart by rendering twice (`own_text`): nobody is blamed for what stands in the data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any

import regex
import yaml
from rapidfuzz import fuzz

from mashq import arabic
from mashq.licences import LICENCES, uses
from mashq.rows import MashqError, nearest
from mashq.templates import mending
from mashq.templates.applying import fields_of
from mashq.templates.files import library_file, library_names, read_file
from mashq.templates.findings import FIXABLE, RULES, SHOWN, Finding, Report, Rule, grouped, kept, of_data, of_template
from mashq.templates.inventing import invented
from mashq.templates.own_text import (
    HOLE,
    constants,
    fields_used,
    leaves,
    literals,
    masked,
    own,
    texts_of,
    without_holes,
)
from mashq.templates.rendering import NOT_FOR_THIS, check, render
from mashq.templates.template import Dataset, Dialect, Rendered, Template
from mashq.templates.text_rules import ANYWHERE, NOT_OF_CODE, OF_ARABIC, WHOLE

__all__ = ["RULES", "Finding", "Report", "Rule", "files_named", "lint", "lint_files", "mend_files", "rows_of", "tasks"]


ABOUT_DATASET = "title address licence citation shape fields schema splits sample language".split()  # noqa: SIM905
ABOUT_TEMPLATE = ("task", "variety", "metrics", "language")
CODE_TASKS = frozenset({"code-generation", "query-to-sql"})
# Their targets are in Latin letters.
LATIN_TASKS = CODE_TASKS | {
    "translation-from-arabic", "romanization", "transliteration", "code-switch-detection", "language-identification",
}  # fmt: skip
PROMPTSOURCE_METRICS = (
    "BLEU", "ROUGE", "Squad", "Trivia QA", "Accuracy", "Pearson Correlation", "Spearman Correlation", "MultiRC", "AUC",
    "COQA F1", "Edit Distance", "Mean Reciprocal Rank", "Other",
)  # fmt: skip
NEAR = 0.9  # of the characters of two prompts' own words (normal form "search") that agree, as rapidfuzz.fuzz.ratio
NEAR_WORDS = 3  # own words below which two prompts are not compared
ROWS_A_CHOICE = 20  # real rows for each choice, from which on a choice that is no target is told
WORDS_OF_YES = frozenset({"نعم", "أجل", "صح", "صحيح", "بلى", "لا"})
NUMBER_FOR_NO = "رقم"


@cache
def tasks() -> dict[str, str]:
    """The tasks of tasks.yaml: name -> its name in Arabic."""
    text = (resources.files("mashq.templates") / "tasks.yaml").read_text("utf-8")
    return dict(yaml.safe_load(text))


def files_named(names: Sequence[str]) -> list[Path]:
    """The template files that are meant: files, folders, names of the library; of none the whole library.

    Raises MashqError for a name that is neither.
    """
    paths: list[Path] = []
    for name in names or library_names():
        path = Path(name)
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix in (".yaml", ".yml") and file.is_file())
            if not found:
                raise MashqError(f"{path}: expected template files (*.yaml) in this folder, got none.")
            paths += found
        elif path.exists() or path.suffix in (".yaml", ".yml"):
            paths.append(path)
        else:
            paths.append(library_file(name))
    return list(dict.fromkeys(paths))


def mend_files(report: Report) -> int:
    """Mend in the files what is mechanical among the findings; how many edits were made."""
    wanted: dict[str, dict[str, set[str]]] = {}
    for finding in report.findings:
        if finding.rule in FIXABLE:
            wanted.setdefault(finding.path, {}).setdefault(finding.key, set()).add(finding.rule)
    frozen = {path: {key: frozenset(rules) for key, rules in keys.items()} for path, keys in wanted.items()}
    return sum(mending.mend(Path(path), keys) for path, keys in frozen.items())


def rows_of(location: str | Path, most: int) -> list[dict[str, Any]]:
    """The fields of the first rows of a source that can be used, as templates see them."""
    from mashq.sources import read

    rows: list[dict[str, Any]] = []
    for table in read(location):
        for row in table.select(["meta", "text", "messages", "dropped"]).to_pylist():
            if row.pop("dropped") is None:
                rows.append(fields_of(**row))
            if len(rows) == most:
                return rows
    return rows


def lint_files(
    paths: Iterable[Path], rows: Sequence[Mapping[str, Any]] | None = None, *, metrics: Collection[str] = ()
) -> Report:
    """Lint template files, ours and PromptSource's. Never raises for what is wrong with one: that is a finding.

    `rows`: real rows in place of every data set's own sample. `metrics`: the names that are known; none, and none is
    asked for.
    """
    findings: list[Finding] = []
    untried: list[str] = []
    seen: dict[str, str] = {}
    n = files = 0
    for path in paths:
        templates, unread = _read(path)
        found, without = lint(templates, rows, metrics=metrics)
        found = [*unread, *found]
        for template in templates:
            if template.name in seen:
                other = f"a template of this name is in {seen[template.name]} too"
                found.append(
                    of_template(template, "unreadable", "", "", other, "another name: it is part of every row's id")
                )
            seen[template.name] = str(path)
        lines = mending.lines_of(path) if found else {}
        findings += [replace(finding, line=lines.get(finding.key, 0)) for finding in found]
        untried += without
        n, files = n + len(templates), files + 1
    return Report(tuple(findings), n, files, tuple(untried))


def _read(path: Path) -> tuple[list[Template], list[Finding]]:
    """The templates of a file that can be compiled, and why the others cannot."""
    try:
        templates, faults = read_file(path)
    except MashqError as error:
        return [], [_unread(path, str(error))]
    found = [_unread(path, fault) for fault in faults]
    good = []
    for template in templates:
        try:
            check(template)
            good.append(template)
        except MashqError as error:
            rule = "field-missing" if _lacks_field(error) else "unreadable"
            found.append(of_template(template, rule, "", "", _without_path(str(error), path), ""))
    return good, found


def _unread(path: Path, text: str) -> Finding:
    return Finding("unreadable", str(path), "", "", "", _without_path(text, path), "", "")


def _without_path(text: str, path: Path) -> str:
    return text.removeprefix(f"{path}: ").rstrip(".")


def _lacks_field(error: MashqError) -> bool:
    """`render` and `check` say it in these words."""
    return any(words in str(error) for words in ("names field '", "a list has no '", ", which has none"))


# --- one data set ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Trial:
    """One row that a template was rendered on. `own`: the same texts with stand-ins for all that came from the row."""

    row: str
    fields: Mapping[str, Any]
    row_id: bytes
    made: Rendered
    own: Rendered


@dataclass(frozen=True)
class _Tried:
    """A template and the rows it rendered, by their number."""

    template: Template
    trials: Mapping[int, _Trial]
    kind: str  # sample, row or invented

    @property
    def real(self) -> bool:
        return self.kind != "invented"


def lint(
    templates: Sequence[Template],
    rows: Sequence[Mapping[str, Any]] | None = None,
    *,
    metrics: Collection[str] = (),
) -> tuple[list[Finding], list[str]]:
    """Findings over templates that compile, and the names of those that no row could be rendered with."""
    findings: list[Finding] = []
    untried: list[str] = []
    datasets: dict[tuple[str, str], list[Template]] = {}
    for template in templates:
        datasets.setdefault((template.path, template.dataset.name), []).append(template)
    for group in datasets.values():
        found, tried = _data_set(group, rows, metrics)
        findings += kept(found, group, all(one.real for one in tried))
        untried += [one.template.name for one in tried if not one.trials and one.kind != "sample"]
    return findings, untried


def _data_set(
    group: list[Template], rows: Sequence[Mapping[str, Any]] | None, metrics: Collection[str]
) -> tuple[list[Finding], list[_Tried]]:
    data = group[0].dataset
    kind = "row" if rows is not None else "sample" if data.sample else "invented"
    given = rows if rows is not None else data.sample or invented(group)
    found = list(_about(group[0], metrics, rows))
    tried = []
    for template in group:
        found += _about_template(template, metrics)
        trials, faults = _try(template, given, kind)
        found += faults
        tried.append(_Tried(template, trials, kind))
    for one in tried:
        found += _choices(one)
        found += _leaks(one)
        found += _texts(one)
        found += _wrong_no(one)
    found += _duplicates(tried)
    found += _near_duplicates(tried)
    return grouped(found), tried


# --- what is said of the data and of a template ----------------------------------------------------------------------


def _about(template: Template, metrics: Collection[str], rows: Sequence[Mapping[str, Any]] | None) -> Iterator[Finding]:
    data = template.dataset
    if rows:
        absent = [name for name in data.fields if not any(name in row for row in rows)]
        if absent:
            known = ", ".join(dict.fromkeys(name for row in rows for name in row))
            found = f"declares {', '.join(absent)}, which no row has"
            yield of_data(template, "field-missing", "fields", found, f"the fields of the data ({known})")
    if template.dialect == Dialect.PROMPTSOURCE:
        return  # its files have no place for what follows
    missing = [key for key in ABOUT_DATASET if not getattr(data, key)]
    if missing:
        mend = "Read them at the source; `notes` is for what cannot be known."
        yield of_data(template, "missing-about", "dataset", f"nothing is said of {', '.join(missing)}", "all", mend)
    if data.unverified:
        mend = "Read the fields at the source and say there where; --data tries them on the real file."
        yield of_data(
            template, "unverified-schema", "dataset", f"schema: {data.schema:.100}", "where it was read", mend
        )
    yield from _licence(template, data)


def _licence(template: Template, data: Dataset) -> Iterator[Finding]:
    if not data.licence:
        return
    allowed = uses(data.licence)
    what = {"train": "training", "redistribute": "sharing what is made of it", "commercial": "commercial use"}
    no = [text for use, text in what.items() if getattr(allowed, use) == "no"]
    unknown = [text for use, text in what.items() if getattr(allowed, use) == "unknown"]
    if no:
        source = f" ({allowed.source})" if allowed.source else ""
        found = f"«{data.licence}» forbids {' and '.join(no)}{source}"
        yield of_data(template, "licence-forbids", "dataset", found, "a mixture that leaves it out where that matters")
    elif unknown:
        found = f"what «{data.licence}» allows is not known ({', '.join(unknown)})"
        mend = "Ask its authors; mashq/licences.py lists the licences that are known."
        close = nearest(data.licence, LICENCES)
        yield of_data(template, "licence-forbids", "dataset", found, f"an SPDX name.{close}".rstrip("."), mend)


def _about_template(template: Template, metrics: Collection[str]) -> Iterator[Finding]:
    source = template.dialect == Dialect.PROMPTSOURCE
    known = PROMPTSOURCE_METRICS if source else metrics
    for metric in template.metrics if metrics or source else ():
        if metric not in known:
            expected = f"one of {', '.join(known)}"
            yield of_template(
                template, "unknown-metric", "metrics", "", f"'{metric}'", expected, nearest(metric, known).strip()
            )
    if source:
        return
    missing = [key for key in ABOUT_TEMPLATE if not getattr(template, key)]
    if missing:
        yield of_template(template, "missing-about", "", "", f"nothing is said of {', '.join(missing)}", "all")
    allowed = {**tasks(), **dict.fromkeys(template.dataset.tasks)}
    if template.task and template.task not in allowed:
        mend = f"A data set of facts with tasks of its own lists them under `tasks`.{nearest(template.task, allowed)}"
        yield of_template(
            template, "unknown-task", "task", "", f"'{template.task}'", "one of mashq/templates/tasks.yaml", mend
        )
    if template.shots and template.dataset.asked_only:
        found = f"{template.shots} examples, and the data set has the splits {', '.join(template.dataset.splits)} alone"
        yield of_template(template, "no-examples", "shots", "", found, "shots: 0, or rows to train on")


# --- rendering -------------------------------------------------------------------------------------------------------


def _try(template: Template, rows: Iterable[Mapping[str, Any]], kind: str) -> tuple[dict[int, _Trial], list[Finding]]:
    trials: dict[int, _Trial] = {}
    faults: list[Finding] = []
    reasons: Counter[str] = Counter()
    for i, fields in enumerate(rows):
        row, row_id = _label(kind, i), i.to_bytes(16, "big")
        try:
            made = render(template, fields, row_id)
        except MashqError as error:
            rule = "field-missing" if _lacks_field(error) else "render-fails"
            text = _without_path(str(error), Path(template.path))
            faults.append(of_template(template, rule, "", row, text, ""))
            reasons[text] += 1
            continue
        if isinstance(made, Rendered):
            trials[i] = _Trial(row, fields, row_id, made, own(template, fields, row_id, made))
            continue
        reasons[made.removesuffix(f" (template {template.name})")] += 1
        if not made.startswith(NOT_FOR_THIS) and template.dialect == Dialect.PLAIN:
            why = made.removeprefix("skip: ").removesuffix(f" (template {template.name})")
            faults.append(
                of_template(template, "empty-render", "", row, f"gives no prompt: {why}", "a prompt, or a `when`")
            )
    other_rows = kind == "row" and all(reason.startswith(NOT_FOR_THIS) for reason in reasons)
    if reasons and not trials and not other_rows:
        why = "; ".join(f"{reason} ({n})" for reason, n in reasons.most_common(SHOWN))
        mend = "Add a sample row that it is for." if kind == "sample" else "Give more rows (--rows), or mend `when`."
        faults.append(
            of_template(
                template, "renders-nothing", "", "", f"none of {sum(reasons.values())} rows: {why}", "a prompt", mend
            )
        )
    if kind == "invented":
        faults = []
    return trials, faults


def _label(kind: str, i: int) -> str:
    return f"row {i + 1}" if kind == "row" else f"{kind}[{i}]"


def _has_hole(text: str) -> bool:
    return regex.search(HOLE, text) is not None


# --- choices ---------------------------------------------------------------------------------------------------------


def _plain(text: str) -> str:
    return " ".join(arabic.normalise(text, "rouge").casefold().split())


def _shows(text: str, choice: str) -> bool:
    """Whether a text shows a choice; a short one as a word, before which و ف ب ل may stand."""
    if not choice:
        return True
    if len(choice) > 2:
        return choice in text
    return regex.search(rf"(?<!\w)[وفبل]?{regex.escape(choice)}(?!\w)", text) is not None


def _choices(one: _Tried) -> Iterator[Finding]:
    template, shows = one.template, []
    for trial in one.trials.values():
        made = trial.made
        if not made.choices:
            continue
        mine = not any(map(_has_hole, trial.own.choices))
        for target, owned in zip(made.references, trial.own.references, strict=False):
            if target not in made.choices and (one.real or (mine and not _has_hole(owned))):
                listed = " | ".join(f"{choice:.40}" for choice in made.choices[:8])
                close = nearest(target, made.choices)
                found = f"«{target:.80}» is none of the choices"
                yield of_template(
                    template, "target-not-a-choice", "target", trial.row, found, f"one of {listed}.{close}".rstrip(".")
                )
        prompt = _plain("\n".join(content for _, content in made.messages))
        absent = [choice for choice in made.choices if not _shows(prompt, _plain(choice))]
        shows.append(not absent and len(made.choices) > 1)
        if template.choices_in_prompt and absent and (one.real or mine):
            found = "the prompt lacks " + ", ".join(f"«{choice:.40}»" for choice in absent[:8])
            mend = "Show them ({{ answer_choices | join('، ') }}), or write choices_in_prompt: false."
            yield of_template(template, "choice-not-in-prompt", "prompt", trial.row, found, "every choice", mend)
    if shows and all(shows) and not template.choices_in_prompt:
        said = "not said" if template.choices_in_prompt is None else "false"
        found = f"the prompt shows every choice, and choices_in_prompt is {said}"
        yield of_template(template, "claims-no-choices", "prompt", "", found, "choices_in_prompt: true")
    yield from _unused(one)


def _unused(one: _Tried) -> Iterator[Finding]:
    """Choices that no branch can write, where choices and targets are the template's own; or that no real row has."""
    lists = {trial.own.choices for trial in one.trials.values()}
    if len(lists) != 1 or not (choices := next(iter(lists))) or any(map(_has_hole, choices)):
        return
    targets = {target for trial in one.trials.values() for target in trial.made.references}
    sources = " ".join((one.template.prompt, *one.template.targets))
    written = {text.strip() for _, text in (*constants(one.template), *literals(one.template)) if _ == "target"}
    absent = [choice for choice in choices if choice not in targets]
    if one.template.dialect == Dialect.PLAIN and "answer_choices" not in sources and written & set(choices):
        unwritten = [choice for choice in absent if choice not in written]
        if unwritten:
            found = "nothing writes " + ", ".join(f"«{choice}»" for choice in unwritten)
            yield of_template(
                one.template, "unused-choices", "choices", "", found, "every choice is the target of some row"
            )
            return
    if one.kind == "row" and len(one.trials) >= ROWS_A_CHOICE * len(choices) and absent:
        found = f"none of {len(one.trials):,} rows has " + ", ".join(f"«{choice}»" for choice in absent)
        yield of_template(
            one.template, "unused-choices", "choices", "", found, "every choice is the target of some row"
        )


def _wrong_no(one: _Tried) -> Iterator[Finding]:
    pieces = [(part, text.strip(' \n.,"«»')) for part, text in (*constants(one.template), *literals(one.template))]
    for trial in one.trials.values():
        pieces += [(part, text) for part, text in texts_of(trial.own) if part in ("choices", "target")]
    texts = {_plain(text) for _, text in pieces}
    if NUMBER_FOR_NO in texts and texts & WORDS_OF_YES:
        part = next(part for part, text in pieces if _plain(text) == NUMBER_FOR_NO)
        found = f"«{NUMBER_FOR_NO}», which is a number, beside «{'», «'.join(sorted(texts & WORDS_OF_YES))}»"
        yield of_template(one.template, "wrong-no", part, "", found, "«لا»")


# --- the target in the prompt ----------------------------------------------------------------------------------------


def _leaks(one: _Tried) -> Iterator[Finding]:
    """A target is leaked where on every row all of it comes from fields that the prompt shows, one of a list aside."""
    found = [(trial, _leaked(one.template, trial)) for trial in one.trials.values()]
    for trial, fields in found if all(fields for _, fields in found) else []:
        text = f"the prompt shows {fields}, of which the target is made («{trial.made.references[0]:.60}»)"
        yield of_template(one.template, "target-in-prompt", "prompt", trial.row, text, "a prompt without the answer")


def _leaked(template: Template, trial: _Trial) -> str:
    """The fields that the prompt shows and the whole target is made of, or an empty text."""
    made = trial.made
    if made.choices:
        return ""
    names = sorted(fields_used(template, trial.fields))
    texts = [(path, text) for name in names for path, text in leaves(trial.fields[name], (name,))]
    prompt, target = "\n".join(content for _, content in made.messages), made.references[0]
    both = [(path, text) for path, text in texts if len(text.strip()) > 1 and text.strip() in target]
    both = [(path, text) for path, text in both if text.strip() in prompt and not _of_many(path, texts, prompt)]
    told = [(path, text) for path, text in both[:16] if _moves(template, trial, path, text)]
    from_row = sum(len(found) for found in regex.findall(f"{HOLE}+", trial.own.references[0]))
    if not told or not sum(len(text.strip()) for _, text in told) >= from_row > 0:
        return ""
    return ", ".join(dict.fromkeys(_dotted(path) for path, _ in told))


def _dotted(path: tuple[Any, ...]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def _pattern(path: tuple[Any, ...]) -> str:
    """The same for `options[0]` and `options[1]`, for `choice_a` and `choice_b`."""
    names = ["#" if isinstance(key, int) else regex.sub(r"[ _-]?(?:\d+|[A-Ea-e])$", "#", str(key)) for key in path]
    return ".".join(names)


def _of_many(path: tuple[Any, ...], texts: list[tuple[tuple[Any, ...], str]], prompt: str) -> bool:
    """Whether the prompt shows others of its kind beside it, to choose from."""
    pattern = _pattern(path)
    if "#" not in pattern:
        return False
    return any(other != path and _pattern(other) == pattern and text.strip() in prompt for other, text in texts)


def _moves(template: Template, trial: _Trial, path: tuple[Any, ...], text: str) -> bool:
    """Whether prompt and target both change with this one text."""
    try:
        made = render(template, _with(trial.fields, path, masked(text)), trial.row_id)
    except MashqError:
        return False
    if not isinstance(made, Rendered):
        return False
    return made.messages != trial.made.messages and made.references[0] != trial.made.references[0]


def _with(value: Any, path: tuple[Any, ...], new: str) -> Any:
    if not path:
        return new
    if isinstance(value, Mapping):
        return {**value, path[0]: _with(value[path[0]], path[1:], new)}
    return [_with(item, path[1:], new) if i == path[0] else item for i, item in enumerate(value)]


# --- the template's own text -----------------------------------------------------------------------------------------


def _texts(one: _Tried) -> Iterator[Finding]:
    template = one.template
    rendered = [(part, trial.row, text) for trial in one.trials.values() for part, text in _own_texts(trial)]
    source = [(part, "", text) for part, text in literals(template)]
    fields = {str(key) for key in template.dataset.fields}
    fields |= {name for trial in one.trials.values() for name in trial.fields}
    in_expressions = [(part, "", text) for part, text in constants(template) if text not in fields]
    mine = {found for _, _, text in (*source, *in_expressions) for found, _ in ANYWHERE["english-in-arabic"](text)}
    theirs = {
        trial.row: {found for _, text in leaves(trial.fields) for found, _ in ANYWHERE["english-in-arabic"](text)}
        for trial in one.trials.values()
    }  # what a comparison kept from being replaced
    is_arabic = _is_arabic(template, rendered or source)
    for rule, look in {**ANYWHERE, **WHOLE}.items():
        if (rule in OF_ARABIC and not is_arabic) or (template.task in CODE_TASKS and rule in NOT_OF_CODE):
            continue
        texts = rendered + (source if rule in ANYWHERE else [])
        texts += in_expressions if rule == "english-in-arabic" else []
        for part, row, text in texts:
            if rule == "english-in-arabic" and template.task in LATIN_TASKS and part in ("target", "choices"):
                continue
            for found, expected in look(text):
                if rule == "english-in-arabic" and row and found not in mine and found in theirs[row]:
                    continue
                mend = "`mashq lint --fix` mends it outside expressions." if rule in FIXABLE else ""
                yield of_template(template, rule, part, row, found, expected, mend)


def _own_texts(trial: _Trial) -> Iterator[tuple[str, str]]:
    seen = set()
    for part, text in texts_of(trial.own):
        if (part, text) not in seen:
            seen.add((part, text))
            yield part, text


def _is_arabic(template: Template, texts: list[tuple[str, str, str]]) -> bool:
    language = (template.language or "").lower()
    if language == "ar" or language.startswith("ar-"):
        return True
    said = without_holes(" ".join(text for part, _, text in texts if part not in ("target", "choices")))
    return arabic.arabic_share(said) >= 0.5


# --- templates beside each other -------------------------------------------------------------------------------------


def _duplicates(tried: Sequence[_Tried]) -> Iterator[Finding]:
    first: dict[tuple[int, Any], _Tried] = {}
    for one in tried:
        for i, trial in one.trials.items():
            other = first.setdefault((i, (one.template.shots, trial.made.messages)), one)
            if other is not one:
                found = f"the same prompt as '{other.template.name}'"
                yield of_template(
                    one.template, "duplicate-render", "prompt", trial.row, found, "another wording, or one template"
                )


def _near_duplicates(tried: Sequence[_Tried]) -> Iterator[Finding]:
    """Same targets on every row that both render, and nearly the same words of their own; see NEAR."""
    words = {one.template.name: _own_words(one) for one in tried}
    for one, two in combinations(tried, 2):
        pair = [words[one.template.name], words[two.template.name]]
        if min(len(text.split()) for text in pair) < NEAR_WORDS:
            continue
        alike = fuzz.ratio(*pair) / 100
        common = sorted(one.trials.keys() & two.trials.keys())
        if alike < NEAR or not common:
            continue
        made = [(one.trials[i].made, two.trials[i].made) for i in common]
        if any(left.references != right.references for left, right in made):
            continue
        if all(left.messages == right.messages for left, right in made):
            continue  # told as duplicate-render
        found = f"{alike:.0%} of the words of '{one.template.name}', for the same targets"
        yield of_template(
            two.template, "near-duplicate-template", "prompt", "", found, f"below {NEAR:.0%}", "Ask another way."
        )


def _own_words(one: _Tried) -> str:
    trial = next(iter(one.trials.values()), None)
    if trial is None:
        return ""
    text = without_holes("\n".join(content for _, content in trial.own.messages))
    return " ".join(arabic.words(arabic.normalise(text, "search")))
