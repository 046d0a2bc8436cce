# ruff: noqa: E501 (a line is a template)
"""Templates over columns: row by row the same as Jinja, or left to Jinja."""

import copy
import json
import random
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from mashq.rows import MashqError, conform, source_ids
from mashq.sources import read
from mashq.templates import (
    Forbidden,
    Rendered,
    Template,
    apply,
    apply_columns,
    compiler,
    library,
    library_names,
    load,
    path_of,
)
from mashq.templates import columns as kernels
from mashq.templates.columns import NotColumnar
from mashq.templates.compiler import Batch, columnar, field_column, render_columns
from mashq.templates.rendering import Fault, compiled, render_row

WORDS = [
    "كتاب",
    "مدرسةٌ كبيرة",
    "the house",
    "  فراغ  ",
    "",
    "قلب؟",
    "1952",
    "سطر\nآخر",
    "A|B",
    "|",
    "a ||| b",
    "İß",
    "\u00a0x\u3000",
]


def ours(batch: Batch, m: int, roles: tuple[str, ...]) -> tuple[Any, ...]:
    start = int(batch.reference_counts[:m].sum())
    references = batch.references.slice(start, int(batch.reference_counts[m])).to_pylist()
    choices = batch.choices if isinstance(batch.choices, tuple) else tuple(batch.choices[m].as_py())
    said = tuple(zip(roles, (content[m].as_py() for content in batch.contents), strict=True))
    return said, tuple(references), choices


def compared(template: Template, rows: list[dict[str, Any]]) -> tuple[int, int] | str:
    """(rows by columns, odd rows), all of them as Jinja has them; or why the template goes through Jinja."""
    ready = compiled(template)
    try:
        fields = {name: field_column(pa.array([row[name] for row in rows])) for name in rows[0]}
        ids = source_ids("test", "1", n=len(rows))
        batch = render_columns(columnar(ready), fields, ids)
    except (NotColumnar, pa.ArrowException) as reason:
        return str(reason)
    m, odd = 0, 0
    for i, row in enumerate(rows):
        theirs = render_row(ready, copy.deepcopy(row), ids[i].as_py())
        if not batch.wanted[i]:
            assert isinstance(theirs, str) and theirs.startswith("skip: not for this row"), (template.name, row, theirs)
            continue
        code = 0 if batch.reasons is None else int(batch.reasons[m])
        if batch.odd[m]:
            odd += 1
        elif code:
            words = {1: "empty prompt", 2: "empty target"}.get(code, f"empty turn {code - 2}")
            assert isinstance(theirs, str) and theirs.startswith(f"skip: {words}"), (template.name, row, theirs)
        else:
            assert isinstance(theirs, Rendered), (template.name, row, theirs)
            want = (theirs.messages, theirs.references, theirs.choices)
            assert ours(batch, m, ready.roles) == want, (template.name, row)
        m += 1
    return m - odd, odd


def made(tmp_path: Path, prompt: str, target: str = "{{ s }}", **keys: Any) -> Template:
    """A template of its own file; without a target where it is empty."""
    entry = {"prompt": prompt, **({"target": target} if target else {}), **keys}
    file = tmp_path / "t.yaml"
    file.write_text(yaml.safe_dump({"dataset": {"name": "d"}, "templates": {"t": entry}}, allow_unicode=True), "utf-8")
    return load(file)[0]


def rows(n: int, seed: int) -> list[dict[str, Any]]:
    dice = random.Random(seed)

    def text() -> str | None:
        return dice.choice([*WORDS, None])

    def words() -> list[str | None] | None:
        return None if dice.random() < 0.1 else [text() for _ in range(dice.randrange(4))]

    return [
        {
            "s": text(),
            "t": text(),
            "i": dice.choice([0, 1, 2, -1, 3, None]),
            "f": dice.choice([0.5, 1.0, 1e-7, -2.25, None]),
            "b": dice.choice([True, False, None]),
            "l": words(),
            "k": words(),
            "n": [dice.randrange(3) for _ in range(dice.randrange(4))],
            "r": None if dice.random() < 0.1 else {"a": text(), "c": words()},
            "p": [{"a": text(), "i": dice.randrange(3)} for _ in range(dice.randrange(4))],
        }
        for _ in range(n)
    ]


# Each line is a prompt; its target is the field s. Those of the second list have no columns, or none for these types.
BY_COLUMNS = [
    "{{ s }}",
    "سؤال: {{ s }} / {{ t | trim }}",
    "{{ i }} {{ f }} {{ b }} {{ r.a }} {{ row.s }} {{ row['t'] }}",
    "{{ s | trim | upper }} {{ s | lower }} {{ t | capitalize }} {{ s | replace('A', 'ب') }} {{ s | string }}",
    "{{ s | length }} {{ l | length }} {{ l | count }}",
    "{{ s.strip(' A') }} {{ s.split('|')[0] }} {{ s.split(' ') | first }} {{ s.startswith('ك') }} {{ s.title() }}",
    "{{ s[0] }} {{ s[-1] }} {{ s[:3] }} {{ s[2:] }} {{ s[-2:] }} {{ s[-2] }}",
    "{{ l[0] }} {{ l[-1] }} {{ l[1:] | join('، ') }} {{ l[:-1] | join }} {{ l | last }}",
    "{{ l | join('، ') }} {{ n | join('-') }} {{ p | map(attribute='a') | join(' ') }} {{ p | join('/', attribute='i') }}",
    "{% if s %}نعم {{ s }}{% elif i %}{{ i }}{% else %}لا{% endif %}",
    "{% if i == 1 or (i is none and not b) %}أ{% endif %}{% if s != t and i in [1, 2] %}ب{% endif %} .",
    "{% if 'A' in s %}أ{% endif %}{% if s in 'A|B كتاب' %}ب{% endif %}{% if t in s %}ج{% endif %}{% if s in l %}د{% endif %}.",
    "{% if i > 0 %}+{% elif i <= 0 %}-{% endif %} {% if f >= 0.5 %}كبير{% endif %} {{ i % 2 }} {{ i // 2 }} {{ i + 1 - 2 }}",
    "{{ {'كتاب': 'اسم', 'A|B': 'حرف'}[s] }}",
    "{{ {'كتاب': 'اسم'}.get(s, 'غيره') }} {{ {0: 'صفر', 1: 'واحد'}[i] }} {{ ['أ', 'ب', 'ج'][i] }} {{ {true: 'ن', false: 'ل'}[b] }}",
    "{{ 'أ' if b else s }} {{ s if s else 'فارغ' }} {{ s or t }} {{ s and t }} {{ s ~ '-' ~ i }} {{ s + 'x' }}",
    "{% for w in l %}{{ loop.index }}. {{ w }}{% if not loop.last %}، {% endif %}{% endfor %}",
    "{% for w in l if w %}{{ loop.index0 }}{{ w }}{{ s }}{% else %}لا شيء{% endfor %} {{ loop is defined }}",
    "{% for a in p %}{{ a.a }}:{{ a['i'] }} {% for w in l %}{{ loop.revindex }}{{ a.i }}{{ w }}{% endfor %}{% endfor %}",
    "{% for x in ['أ', 'ب'] %}{{ x }}{{ loop.last }}{{ s }}{% endfor %}{% for j in range(3) %}{{ j }}{% endfor %}",
    "{% for j in range(l | length) %}{{ j }}={{ l[j] }} {% endfor %}",
    "{% set x = s | trim %}{% if x %}{% set y = x %}{% else %}{% set y = 'خال' %}{% endif %}{{ x }}{{ y }}",
    "{% set x %}<{{ s }}>{% endset %}{{ x }}{% with z = t %}{{ z }}{% endwith %}",
    "{{ choice(['أ', 'ب', 'ج']) }} {{ l | choice }} {{ ['x', s] | random }}",
    "{{ s | default('-') }} {{ missing | default('-') }} {{ s | default('-', true) }} {{ missing is defined }}",
    "{{ p | selectattr('i', 'equalto', 1) | map(attribute='a') | join('،') }} {{ l | reject('equalto', 'كتاب') | list | length }}",
    "{{ '%s' }} {{ 'x' * 1 if false else s }} {{ l | map('trim') | join('+') }} {{ i is even }} {{ f | float }} {{ i | int }}",
    "{% if b %}{{ s }} ||| {{ t }}{% else %}{{ t }}{% endif %}",
    "{{ s.split() | join('+') }} {{ s.split() | length in range(1, 3) }} {{ s.split()[:2] | join(' ') }} {{ s.split()[1:] | join }}",
    "{{ row['s' if b else 't'] }} {{ (f * 10) | round | int }} {{ f * i }} {{ i * 2 }} {{ s | first }} {{ s | last }} {{ f | int }}",
    "{{ s[::-1] }} {{ s[1:6:2] }} {{ s[2:0] }} {{ l[::-1] | join(' ') }} {{ s[:i] }} {{ s[i:-1] }} {{ l[i:] | join('+') }} {{ l[: l | length // 2] | join }}",
    "{{ s | list | join(' ') }} {{ l | sort | join('+') }} {{ n | sort(reverse=true) | join }} {{ s.split() | sort(case_sensitive=true) | join('+') }} {{ {'أ': s, 'ب': t} | list | join }}",
    "{{ l.count('كتاب') }} {{ n.count(i) }} {% if i in n %}{{ n.index(i) }}{% endif %}{% if s in l %}{{ l.index(s) }}{% endif %} {{ ['كتاب', '1952', t].index(s) }}",
    "{{ s | int }} {{ s | float }} {{ t | int(7) }} {{ s | select('in', 'the1') | join }}",
    "{{ [s, '', t] | select | join('/') }} {{ [i, 1, 2] | reject('equalto', 1) | list | length }} {{ [l[0], s] | map('trim') | join('-') }} {{ [b, true] | select | list | length }}",
    "{% for x in ['كتاب', 'ب'] if x != s %}{{ loop.index }}{{ x }}{% else %}-{% endfor %} {% for w in l or ['x', s] %}{{ w }}{% endfor %} {{ (l if b else []) | length }}",
    "{% for name, value in {'أ': s, 'ب': i}.items() %}{{ name }}={{ value }} {% endfor %}{{ {'أ': s, 'ب': t}.values() | join('+') }} {{ {'أ': 1}.keys() | first }}",
    "{{ s if b }}{{ 'x' ~ (i if b) ~ (none if i == 1) }}{{ i if s }}.",
    "{{ p | selectattr('a', 'equalto', s) | list | length }} {{ l | reject('equalto', t) | join('+') }} {{ n | select('equalto', i) | list | length }}",
    "{{ (l + k) | join(' ') }} {{ (l[:1] + ['x', s] + k[i:]) | join('+') }}",
    "{{ s }} ||| {{ t }}{% for w in l %}|||{{ w }}{% endfor %}{% if b %} ||| {{ i }}{% endif %} ||| {{ s }}",
    "{{ s }}{{ '|||' if b else ' |' }}{{ t }}|{{ s }}||{{ t }} ||| {{ l | join(' ||| x') }}",
    "{{ l | join('|') }} ||| {{ k | join('|') }}",
]
BY_JINJA = [
    "{{ l }} {{ s }}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(s) }}",
    "{% set ns = namespace(x=0) %}{% for w in l %}{% set ns.x = ns.x + 1 %}{% endfor %}{{ ns.x }}",
    "{% for w in l %}{{ choice([w, s]) }}{% endfor %}",
    "{{ s | wordcount }}",
    "{{ {'أ': s}.values()[0] }}",
    "{% for i in range(200) if i != 3 %}{{ i }}{% endfor %}",
]
CHOICES = [
    "{{ l | join('|||') }}",
    "{{ s }}{% if b %}|||{{ t }}{% endif %}{% if i %} ||| {{ i }}{% endif %}",
    "أ|||ب{{ '|||ج' if b }}",
    "{% for w in l %}{{ w }}|||{% endfor %}{{ s }}",
    "{{ l[0] }} ||| {{ s }}",
]


@pytest.mark.parametrize("prompt", BY_COLUMNS)
def test_a_kernel_gives_what_jinja_gives(prompt: str, tmp_path: Path) -> None:
    template = made(tmp_path, prompt, "" if "|||" in prompt else "{{ s }}")
    through = Counter(type(compared(template, rows(12, seed))).__name__ for seed in range(25))
    assert through["tuple"] >= 20, compared(template, rows(12, 0))
    some = [compared(template, rows(40, seed)) for seed in range(3)]
    assert sum(one[0] for one in some if isinstance(one, tuple)) > 0  # not all of it is odd


@pytest.mark.parametrize("prompt", BY_JINJA)
def test_what_has_no_kernel_is_left_to_jinja(prompt: str, tmp_path: Path) -> None:
    assert isinstance(compared(made(tmp_path, prompt), rows(12, 0)), str)


@pytest.mark.parametrize("choices", CHOICES)
def test_choices_that_differ_by_row(choices: str, tmp_path: Path) -> None:
    prompt = "{{ answer_choices | join('، ') }} {{ answer_choices[0] }} {{ answer_choices | length }}"
    template = made(tmp_path, prompt, "{% if b %}{{ answer_choices[i] }}{% else %}{{ s }}{% endif %}", choices=choices)
    counts = [compared(template, rows(40, seed)) for seed in range(10)]
    assert all(isinstance(one, tuple) for one in counts), counts
    assert sum(one[0] for one in counts if isinstance(one, tuple)) > 50


def test_choices_are_those_of_the_rows_that_when_keeps(tmp_path: Path) -> None:
    template = made(tmp_path, "{{ s }}", choices="{{ l[0] }} ||| {{ s }}", when="l and i != 1")
    assert all(isinstance(compared(template, rows(40, seed)), tuple) for seed in range(10))


def test_a_fixed_choice_with_a_pipe_is_left_to_jinja(tmp_path: Path) -> None:
    assert isinstance(
        compared(made(tmp_path, "{{ answer_choices[0] }} {{ s }}", choices="أ|ب ||| ج"), rows(12, 0)), str
    )


def test_numbers_in_texts_are_read_as_jinja_reads_them(tmp_path: Path) -> None:
    texts = ["12", " 12 ", "-3", "٣٤", "1_000", "12.9", "1e3", "nan", "inf", "-inf", "9" * 30, "0x1f", "", "كتاب", "²"]
    template = made(
        tmp_path, "{{ s | float }} {{ s | float(2.5) }} {{ s | int }} {{ s | int(-1) }} {{ s | float > 5 }}"
    )
    done = compared(template, [{"s": text} for text in (*texts, None)])
    assert isinstance(done, tuple)
    assert done[0] >= len(texts) - 2  # not the empty text, whose target is empty, and the number of 30 digits


def test_system_turns_several_targets_and_choices(tmp_path: Path) -> None:
    template = several(tmp_path)
    counts = [compared(template, rows(30, seed)) for seed in range(10)]
    assert all(isinstance(one, tuple) for one in counts), counts
    assert sum(one[0] for one in counts if isinstance(one, tuple)) > 50


def several(tmp_path: Path) -> Template:
    return made(
        tmp_path,
        "{{ s }}؟",
        "",
        targets=["{{ t }}", "{{ l | join('|||') }}", "{{ s }}"],
        system="{{ t }}",
        turns=[{"user": "{{ t }}!"}, {"assistant": "{{ i }}"}],
        choices="{{ s }} ||| لا",
        when="i != 2",
    )


# --- the library -----------------------------------------------------------------------------------------------------


def changed(value: Any, dice: random.Random) -> Any:
    """The value, or another of its type."""
    if isinstance(value, dict):
        return {key: changed(item, dice) for key, item in value.items()}
    if isinstance(value, list):
        return [changed(item, dice) for item in value for _ in range(dice.choice([0, 1, 1, 2]))]
    if dice.random() < 0.7 or value is None:
        return value
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return dice.choice([0, 1, 2, 5])
    return dice.choice([*WORDS, None]) if isinstance(value, str) else value


PATHS: Counter[str] = Counter()


@pytest.mark.parametrize("name", library_names())
def test_each_library_template_both_ways(name: str) -> None:
    """On its sample rows, and on rows made from them by changing values."""
    sample = [dict(row) for row in library(name)[0].dataset.sample]
    if not sample:
        pytest.skip(f"{name} has no sample rows; its tests render it on its own data")
    dice = random.Random(name)
    others = [changed(row, dice) for _ in range(6) for row in sample]
    for template in library(name):
        done = compared(template, sample)
        PATHS["columns" if isinstance(done, tuple) else "jinja"] += 1
        compared(template, others)


def test_all_but_a_few_library_templates_go_by_columns() -> None:
    """Counted by the test above; run alone, it counts itself."""
    if not PATHS:
        for name in library_names():
            sample = [dict(row) for row in library(name)[0].dataset.sample]
            for template in library(name) if sample else ():
                PATHS["columns" if isinstance(compared(template, sample), tuple) else "jinja"] += 1
    print(dict(PATHS))
    assert PATHS["columns"] >= 0.98 * PATHS.total()


# --- tables ----------------------------------------------------------------------------------------------------------


def test_a_table_of_columns_and_raw_rows_give_the_same_prompts(tmp_path: Path) -> None:
    dice = random.Random(3)
    records = [
        {
            "tweet": f'"{dice.choice(WORDS)} {i}"',
            "sarcasm": dice.choice(["TRUE", "FALSE"]),
            "sentiment": dice.choice(["POS", "NEG", "NEU"]),
            "dialect": dice.choice(["msa", "egypt", "gulf", "levant", "magreb"]),
        }
        for i in range(300)
    ]
    file = tmp_path / "tweets.jsonl"
    file.write_text("\n".join(json.dumps(record, ensure_ascii=False) for record in records), "utf-8")
    raw = next(read(file))
    templates = library("arsarcasm_v2")
    by_rows = apply(raw, templates, step="prompts")
    fields = pa.table({name: [record[name] for record in records] for name in records[0]})
    carried = {name: raw[name].combine_chunks() for name in ("split", "group", "source", "licence", "variety")}
    by_columns = apply_columns(fields, raw["id"].combine_chunks(), templates, step="prompts", carried=carried)
    assert by_columns.equals(by_rows)
    assert by_rows.num_rows > 4 * len(records)


def test_rows_with_other_fields_are_rendered_by_jinja(tmp_path: Path) -> None:
    template = made(tmp_path, "{% if s is defined %}{{ s }}{% else %}بلا نص{% endif %}", "{{ t }}")
    meta = ['{"s": "نص", "t": "أ"}', '{"t": "ب"}', '{"s": null, "t": "ج"}', '{"s": 5, "t": "د"}']
    raw = conform({"id": source_ids("x", "1", n=4), "meta": meta, "dropped": pa.nulls(4, pa.string())})
    said = apply(raw, [template], step="p")
    assert [messages and messages[-1]["content"] for messages in said["messages"].to_pylist()] == [
        "نص",
        "بلا نص",
        None,
        "5",
    ]


def test_columns_that_differ_from_jinja_are_told_and_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = made(tmp_path, "{{ s }} و{{ t }}", "{{ t }}")
    real = kernels.joined
    monkeypatch.setattr(
        compiler, "joined", lambda pieces, n: real([*pieces, "!"], n) if len(pieces) > 1 else real(pieces, n)
    )
    fields = pa.table({"s": ["أ", "ب"], "t": ["ج", "د"]})
    with pytest.warns(UserWarning, match="columns gave"):
        said = apply_columns(fields, source_ids("x", "1", n=2), [template], step="p")
    assert [messages[0]["content"] for messages in said["messages"].to_pylist()] == ["أ وج", "ب ود"]
    assert path_of(template, fields).startswith("jinja: its columns gave another text")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        apply_columns(fields, source_ids("x", "1", n=2), [template], step="p")


def test_a_template_says_its_path(tmp_path: Path) -> None:
    fields = pa.table({"s": ["أ"], "l": [["ب"]]})
    assert path_of(made(tmp_path, "{{ s }}"), fields) == "columns"
    assert path_of(made(tmp_path, "{{ l }}"), fields) == "jinja: list<item: string> written out"
    assert path_of(made(tmp_path, "{{ s }}"), pa.table({"s": ["a ||| b"]})) == "jinja: every row is odd"


def test_text_that_doubles_is_ended_by_jinja(tmp_path: Path) -> None:
    prompt = "{% set x = s %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}"
    fields = pa.table({"s": ["كتاب"] * 3})
    with pytest.raises(Forbidden, match="more work"):
        apply_columns(fields, source_ids("x", "1", n=3), [made(tmp_path, prompt)], step="p")


def test_white_space_at_the_edges_is_pythons() -> None:
    texts = [f"{a}كتاب{b}" for a in (*kernels.SPACE, "", "x") for b in (*kernels.SPACE, "", "ة", "\u200b")]
    assert kernels.trimmed(pa.array(texts)).to_pylist() == [text.strip() for text in texts]
    for text in (*texts, *kernels.SPACE, ""):
        assert kernels.trimmed(pa.array([text])).to_pylist() == [text.strip()]


def test_words_are_pythons() -> None:
    marks = [chr(i) for i in range(0x3100) if not 0xD800 <= i < 0xE000]
    texts = [f"{a}كتاب{mark}b{b}" for mark in marks for a, b in (("", ""), (mark, mark), (" ", "\n "))]
    assert kernels.words_of(pa.array(texts)).to_pylist() == [text.split() for text in texts]
    for some in (["", " ", "x"], [None, "a b"], ["", None], [" \u00a0"]):
        want = [None if text is None else text.split() for text in some]
        assert kernels.words_of(pa.array(some, pa.string())).to_pylist() == want


def test_missing_field_is_an_error_by_columns_too(tmp_path: Path) -> None:
    fields = pa.table({"other": ["أ"]})
    with pytest.raises(MashqError, match="names field 's'"):
        apply_columns(fields, source_ids("x", "1", n=1), [made(tmp_path, "{{ s }}؟", "نعم")], step="p")


def test_slices_of_a_table_keep_their_rows(tmp_path: Path) -> None:
    """Arrow's offsets do not begin at 0 in a slice."""
    template = several(tmp_path)
    all_rows = [row for row in rows(80, 5) if row["i"] is not None]
    table = pa.table({name: pa.array([row[name] for row in all_rows]) for name in all_rows[0]})
    ids = source_ids("x", "1", n=len(all_rows))
    whole = apply_columns(table, ids, [template], step="p")
    parts = [apply_columns(table.slice(i, 7), ids.slice(i, 7), [template], step="p") for i in range(0, len(ids), 7)]
    assert pa.concat_tables(parts).to_pylist() == whole.to_pylist()
    assert np.unique([row["id"] for row in whole.to_pylist()]).size == whole.num_rows
    assert not any(isinstance(row, Fault) for row in whole.to_pylist())
