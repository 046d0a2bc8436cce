"""The linter: for every rule a template that breaks it beside one that does not, and what --fix writes."""

import json
from pathlib import Path

import pytest
import verbs
import yaml

from mashq.licences import LICENCES, Uses, uses
from mashq.metrics import CATALOGUE
from mashq.rows import MashqError
from mashq.templates import Dataset, Rendered, Template, load, render
from mashq.templates.findings import FIXABLE, RULES
from mashq.templates.lint import Finding, files_named, lint_files, mend_files, rows_of, tasks
from mashq.templates.own_text import own, shown, texts_of

GOOD = """\
dataset:
  name: set
  title: A set
  address: https://example.org/set
  licence: CC-BY-4.0
  citation: Whom to cite.
  shape: csv
  schema: set.csv, read whole
  fields: {q: string, a: string, label: string}
  splits: {train: 2}
  sample:
    - {q: من كتب المقدمة؟, a: ابن خلدون, label: pos}
    - {q: ما أطول الأنهار؟, a: النيل, label: neg}
  language: ar
templates:
  ask:
    task: open-question-answering
    variety: msa
    metrics: [rougeL]
    prompt: |
      أجب عن السؤال الآتي بإيجاز.

      السؤال: {{ q }}
    target: "{{ a }}"
  mood:
    task: sentiment-analysis
    variety: msa
    metrics: [exact]
    choices: [إيجابي, سلبي]
    choices_in_prompt: true
    shots: 2
    prompt: |
      أهذا الكلام إيجابي أم سلبي؟

      «{{ q }}»
    target: "{{ {'pos': 'إيجابي', 'neg': 'سلبي'}[label] }}"
"""
ASK = "أجب عن السؤال الآتي بإيجاز."
NEARLY = "أجب عن السؤال الآتي بإيجازٍ!"
TARGET = 'target: "{{ a }}"'
MAP = "{{ {'pos': 'إيجابي', 'neg': 'سلبي'}[label] }}"
CHOICES = "choices: [إيجابي, سلبي]"
PROMPT = "    prompt: |\n      أجب"
SECOND = """\
  again:
    task: open-question-answering
    variety: msa
    metrics: [rougeL]
    prompt: |
      {}

      السؤال: {{{{ q }}}}
    target: "{{{{ {} }}}}"
"""
RLM = "\N{RIGHT-TO-LEFT MARK}"
# Rule, what is changed in GOOD, what it becomes with the fault, what it becomes as near to it as there is no fault.
TABLE = [
    ("unreadable", "{{ q }}\n    target", "{{ q }\n    target", "{{ q | trim }}\n    target"),
    ("unreadable", "variety: msa", "varety: msa", "variety: gulf"),
    ("unreadable", "label: pos}", "label: 3}", "label: neg}"),
    ("field-missing", "{{ q }}\n    target", "{{ qq }}\n    target", "{{ row.q }}\n    target"),
    ("field-missing", "{{ q }}\n    target", "{{ row.qq }}\n    target", "{{ row['q'] }}\n    target"),
    ("render-fails", "{{ q }}\n    target", "{{ q + 1 }}\n    target", "{{ q ~ 1 }}\n    target"),
    ("renders-nothing", PROMPT, "    when: label == 'x'\n" + PROMPT, "    when: label == 'pos'\n" + PROMPT),
    (
        "empty-render",
        TARGET,
        "target: \"{{ a if label == 'pos' }}\"",
        "target: \"{{ a if label == 'pos' else 'لا أعرف' }}\"",
    ),
    ("duplicate-render", None, SECOND.format(ASK, "a"), SECOND.format("هات جواب هذا السؤال من عندك.", "a")),
    ("near-duplicate-template", None, SECOND.format(NEARLY, "a"), SECOND.format(NEARLY, "label")),
    ("target-not-a-choice", MAP, MAP.replace("'سلبي'", "'سيئ'"), MAP.replace("'سلبي'", "'سلبي '")),
    ("unused-choices", CHOICES, "choices: [إيجابي, سلبي, الكلام]", "choices: [سلبي, إيجابي]"),
    (
        "choice-not-in-prompt",
        "أهذا الكلام إيجابي أم سلبي؟",
        "أهذا الكلام إيجابي أم غير ذلك؟",
        "إيجابي هو هذا الكلام، أم هو سَلْبي؟",
    ),
    ("claims-no-choices", "choices_in_prompt: true", "choices_in_prompt: false", "choices_in_prompt: true "),
    ("target-in-prompt", "السؤال: {{ q }}", "السؤال: {{ q }} والجواب {{ a }}", "السؤال: {{ q }} والجواب {{ a[0] }}…"),
    (
        "wrong-no",
        MAP,
        MAP.replace("إيجابي", "نعم").replace("سلبي", "رقم"),
        MAP.replace("إيجابي", "نعم").replace("سلبي", "لا"),
    ),
    ("english-in-arabic", "السؤال: {{", "السؤال question: {{", "السؤال: {{ '' if q == 'question' }}{{"),
    (
        "english-in-arabic",
        MAP,
        MAP.replace("'إيجابي'", "'positive'"),
        MAP.replace("{'pos'", "{'positive': 'إيجابي', 'pos'"),
    ),
    ("html-entity", "السؤال: {{", "السؤال&quot;: {{", "السؤال & غيره: {{"),
    ("presentation-form", "السؤال: {{", "ﺍﻟﺴﺆال: {{", "السؤال ﷺ: {{"),
    ("hidden-mark", "السؤال: {{", f"السؤال{RLM}: {{{{", "السؤال 👨‍👩‍👧: {{"),
    ("broken-escape", "السؤال: {{", "السؤال:\\ n {{", "السؤال:{{ '\\n' }}{{"),
    ("double-space", "السؤال: {{", "السؤال:  {{", "السؤال: {{"),
    ("latin-punctuation", "سلبي؟", "سلبي?", "سلبي؟ (1,2)"),
    ("latin-punctuation", "السؤال: {{ q }}", "السؤال: {{ a }}?", "السؤال: {{ a }}؟"),
    ("mixed-digits", "بإيجاز.", "بإيجاز في ٣ كلمات أو 4.", "بإيجاز في ٣ كلمات أو ٤."),
    ("unbalanced-quotes", "«{{ q }}»", "«{{ q }}", "١) «{{ q }}»"),
    ("unknown-task", "task: sentiment-analysis", "task: sentiment-analysys", "task: emotion-classification"),
    ("no-examples", "splits: {train: 2}", "splits: {test: 2}", "splits: {train: 2, test: 2}"),
    ("unknown-metric", "metrics: [exact]", "metrics: [exactly]", "metrics: [exact, chrF++]"),
    ("missing-about", "  citation: Whom to cite.\n", "", "  citation: Someone else.\n"),
    (
        "missing-about",
        "    variety: msa\n    metrics: [exact]",
        "    metrics: [exact]",
        "    variety: gulf\n    metrics: [exact]",
    ),
    (
        "unverified-schema",
        "schema: set.csv",
        "schema: unverified, from its paper; set.csv",
        "schema: verified, set.csv",
    ),
    ("licence-forbids", "licence: CC-BY-4.0", "licence: CC-BY-NC-4.0", "licence: CC-BY-SA-4.0"),
    ("licence-forbids", "licence: CC-BY-4.0", "licence: 'custom: no redistribution'", "licence: cc by 4.0"),
    (
        "unused-acceptance",
        '    target: "{{ a }}"',
        '    target: "{{ a }}"\n    accepted: {double-spaces: meant}',
        '    target: "{{ a }}"',
    ),
    (
        "unused-acceptance",
        '    target: "{{ a }}"',
        '    target: "{{ a }}"\n    accepted: {double-space: meant}',
        '    target: "{{ a }}"\n    notes: double',
    ),
]


def changed(old: str | None, new: str) -> str:
    if old is None:
        return GOOD + new
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def linted(folder: Path, text: str, **more: object) -> tuple[Finding, ...]:
    path = folder / "set.yaml"
    path.write_text(text, "utf-8")
    return lint_files([path], metrics=tuple(CATALOGUE), **more).findings  # type: ignore[arg-type]


def rules(findings: tuple[Finding, ...]) -> set[str]:
    return {finding.rule for finding in findings}


def test_the_good_file_is_good(tmp_path: Path) -> None:
    assert [finding.text for finding in linted(tmp_path, GOOD)] == []


def test_the_table_has_every_rule() -> None:
    assert {rule for rule, *_ in TABLE} == set(RULES)


@pytest.mark.parametrize(("rule", "old", "fault", "near"), TABLE, ids=[f"{row[0]}-{i}" for i, row in enumerate(TABLE)])
def test_a_fault_is_found_and_its_neighbour_is_none(
    tmp_path: Path, rule: str, old: str | None, fault: str, near: str
) -> None:
    found = [finding for finding in linted(tmp_path, changed(old, fault)) if finding.rule == rule]
    assert len(found) >= 1
    assert found[0].level == RULES[rule].level
    assert str(tmp_path / "set.yaml") in found[0].text
    assert rule in found[0].text
    assert rule not in rules(linted(tmp_path, changed(old, near)))


def test_a_finding_says_where_what_expected_and_how(tmp_path: Path) -> None:
    (found,) = linted(tmp_path, changed("سلبي؟", "سلبي?"))
    path = tmp_path / "set.yaml"
    assert found.text == (
        f"{path}:25: error: latin-punctuation: 'set/mood', prompt, sample[0] and 1 more: '?' in "
        "«لكلام إيجابي أم سلبي?»; expected '؟'. `mashq lint --fix` mends it outside expressions."
    )


def test_what_is_accepted_is_no_finding(tmp_path: Path) -> None:
    text = changed("السؤال: {{", "السؤال (question): {{")
    assert rules(linted(tmp_path, text)) == {"english-in-arabic"}
    accepted = text.replace(TARGET, TARGET + "\n    accepted: {english-in-arabic: the readers know the word}")
    assert linted(tmp_path, accepted) == ()
    whole = text.replace("  language: ar\n", "  language: ar\n  accepted: {english-in-arabic: the readers know it}\n")
    assert linted(tmp_path, whole) == ()
    silent = text.replace(TARGET, TARGET + "\n    accepted: {english-in-arabic: ''}")
    assert rules(linted(tmp_path, silent)) == {"unused-acceptance"}


def test_a_data_set_may_have_tasks_of_its_own(tmp_path: Path) -> None:
    text = changed("task: sentiment-analysis", "task: mood_of_words")
    assert rules(linted(tmp_path, text)) == {"unknown-task"}
    assert linted(tmp_path, text.replace("  language: ar\n", "  language: ar\n  tasks: [mood_of_words]\n")) == ()


def test_real_rows_in_place_of_the_sample(tmp_path: Path) -> None:
    data = tmp_path / "set.csv"
    data.write_text("q,a,label\n" + "من كتب المقدمة؟,ابن خلدون,mixed\n" * 3, "utf-8")
    found = linted(tmp_path, GOOD, rows=rows_of(data, 2))
    assert [(one.rule, one.row) for one in found if one.rule == "render-fails" or one.rule == "field-missing"] == [
        ("field-missing", "row 1 and 1 more")
    ]
    data.write_text("q,a\nمن كتب المقدمة؟,ابن خلدون\n", "utf-8")
    texts = [one.text for one in linted(tmp_path, GOOD, rows=rows_of(data, 2))]
    assert any("declares label, which no row has; expected the fields of the data (q, a)" in text for text in texts)


def test_a_choice_that_no_real_row_has(tmp_path: Path) -> None:
    rows = [{"q": f"كلام {i}", "a": "ج", "label": "pos"} for i in range(50)]
    found = [one for one in linted(tmp_path, GOOD, rows=rows) if one.rule == "unused-choices"]
    assert [one.found for one in found] == ["none of 50 rows has «سلبي»"]


def test_templates_of_a_name_in_two_files(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(GOOD, "utf-8")
    found = lint_files(files_named([str(tmp_path)])).findings
    assert [(one.rule, one.template) for one in found] == [("unreadable", "set/ask"), ("unreadable", "set/mood")]


def test_a_field_is_not_the_templates_own() -> None:
    """Marks, entities, Latin words and double spaces of a row are the row's, however the template cuts it."""
    data = Dataset("set", fields={"q": "string", "kind": "string"})
    prompts = {
        "قل: {{ q }}؟": "قل: …؟",
        "قل: {{ q | trim }}؟": "قل: …؟",
        "قل: {{ q.split('؟')[0].strip(' -.') }}؟": "قل: …؟",
        "{% set x = q ~ '!' %}{% for w in q.split() %}{{ w }}{{ '، ' if not loop.last }}{% endfor %}": None,
        "{{ {'POS': 'نعم'}[kind] }} {{ q | upper }}": "نعم …",
        "{{ row['q'] }} و{{ row.kind }}": "… و…",
    }
    row = {"q": " - what &quot;is\N{RIGHT-TO-LEFT MARK}  this? ", "kind": "POS"}
    for prompt, expected in prompts.items():
        one = Template("set/one", data, prompt, ("هدف",))
        made = render(one, row, b"0" * 16)
        assert isinstance(made, Rendered)
        written = dict(texts_of(own(one, row, b"0" * 16, made)))
        assert expected is None or shown(written["prompt"]) == expected
        assert written["target"] == "هدف"


# --- PromptSource ----------------------------------------------------------------------------------------------------

# Written for this test, with the kinds of faults that Arabic templates in PromptSource's format were found to have.
PROMPTSOURCE = r"""dataset: reviews
subset: ar
templates:
  11111111-0000-0000-0000-000000000000: !Template
    answer_choices: سلبي ||| إيجابي
    id: 11111111-0000-0000-0000-000000000000
    jinja: "ما رأي الكاتب؟\\ n {{text}} ||| {{ ['سيئ', 'جيد'][label] }}"
    metadata: !TemplateMetadata
      choices_in_prompt: true
      metrics: [Accuracy]
      original_task: true
    name: opinion
    reference: ''
  22222222-0000-0000-0000-000000000000: !Template
    answer_choices: null
    id: 22222222-0000-0000-0000-000000000000
    jinja: 'هل أعجبه &quot;المنتج&quot;؟ {{text}}

      ||| {% if label == 1 %}نعم{% else %}رقم{% endif %}'
    metadata: !TemplateMetadata
      choices_in_prompt: false
      metrics: [Accuracy]
      original_task: true
    name: liked
    reference: ''
  33333333-0000-0000-0000-000000000000: !Template
    answer_choices: null
    id: 33333333-0000-0000-0000-000000000000
    jinja: '{% set moods = ["negative", "إيجابي"] %}صف هذا الكلام ﻓﻲ كلمة: {{text}} ||| {{ moods[label] }}'
    metadata: !TemplateMetadata
      choices_in_prompt: false
      metrics: [Acuracy]
      original_task: true
    name: word
    reference: ''
  44444444-0000-0000-0000-000000000000: !Template
    answer_choices: null
    id: 44444444-0000-0000-0000-000000000000
    jinja: 'اكتب رأيًا في منتج. ||| {{text}}'
    metadata: !TemplateMetadata
      choices_in_prompt: false
      metrics: [ROUGE]
      original_task: false
    name: write
    reference: ''
"""


def test_faults_of_arabic_promptsource_files_are_found_without_any_rows(tmp_path: Path) -> None:
    found = {(one.template.rsplit("/", 1)[1], one.rule) for one in linted(tmp_path, PROMPTSOURCE)}
    assert found == {
        ("opinion", "target-not-a-choice"),
        ("opinion", "choice-not-in-prompt"),
        ("opinion", "broken-escape"),
        ("liked", "html-entity"),
        ("liked", "wrong-no"),
        ("word", "english-in-arabic"),
        ("word", "presentation-form"),
        ("word", "unknown-metric"),
    }


def test_faults_of_a_promptsource_file_are_mended(tmp_path: Path) -> None:
    path = tmp_path / "templates.yaml"
    path.write_text(PROMPTSOURCE, "utf-8")
    assert mend_files(lint_files([path])) == 5
    text = path.read_text("utf-8")
    assert r'"ما رأي الكاتب؟\n{{text}} |||' in text
    assert 'أعجبه "المنتج"؟ {{' in text
    assert "الكلام في كلمة" in text
    assert "&quot;" not in text
    assert rules(lint_files([path]).findings) & FIXABLE == set()


# --- --fix -----------------------------------------------------------------------------------------------------------

# One fault of each mechanical kind, in every style that YAML has; and the same inside expressions, where they stay.
FAULTY = (
    "# &quot; a comment  stays ,\n"
    "dataset: {name: set, notes: 'two  spaces &amp; an entity stay'}\n"
    "templates:\n"
    "  literal: # beside  a key\n"
    "    prompt: |\n"
    f"      ما هذا?  قل{RLM} لي &quot;شيئًا&quot;\\nوأكمل\n"
    "      {{ x | replace('&quot;', 'ا?  ﻻ') }} {# ا?  &lt; #}\n"
    "    target: ﻻ شيء,  بل{{ 'ا?' }} كل شيء\n"
    "  folded:\n"
    "    prompt: >-\n"
    "      ما هذا?\n"
    "      قل  لي &amp; أجب\n"
    "    target: 'لا''أدري?  نعم &quot;هو&#39;'   # after\n"
    "  double:\n"
    f'    prompt: "ما هذا?\\n\\u200fقل {RLM}&quot;لي\\"\\\\n  \\\n'
    '      \\ ثم\\u0627\\u061f أجب;"\n'
    "    targets:\n"
    '    - "نعم? "\n'
    "    - 'لا'\n"
)
MENDED = (
    "# &quot; a comment  stays ,\n"
    "dataset: {name: set, notes: 'two  spaces &amp; an entity stay'}\n"
    "templates:\n"
    "  literal: # beside  a key\n"
    "    prompt: |\n"
    '      ما هذا؟ قل لي "شيئًا"\n'
    "      وأكمل\n"
    "      {{ x | replace('&quot;', 'ا?  ﻻ') }} {# ا?  &lt; #}\n"
    "    target: لا شيء، بل{{ 'ا?' }} كل شيء\n"
    "  folded:\n"
    "    prompt: >-\n"
    "      ما هذا؟\n"
    "      قل لي & أجب\n"
    "    target: 'لا''أدري؟ نعم \"هو'''   # after\n"
    "  double:\n"
    '    prompt: "ما هذا؟\\nقل \\"لي\\"\\nثم\\u0627\\u061f أجب؛"\n'
    "    targets:\n"
    '    - "نعم؟ "\n'
    "    - 'لا'\n"
)


def fixed(path: Path) -> int:
    return mend_files(lint_files([path]))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_fix_mends_and_leaves_every_other_byte(tmp_path: Path, newline: str, mark: bytes) -> None:
    path = tmp_path / "set.yaml"
    path.write_bytes(mark + FAULTY.replace("\n", newline).encode())
    path.chmod(0o640)
    assert fixed(path) > 10
    assert path.read_bytes().decode("utf-8-sig").replace(newline, "\n").splitlines() == MENDED.splitlines()
    assert path.read_bytes().startswith(mark)
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["set.yaml"]


def test_fix_is_idempotent(tmp_path: Path) -> None:
    path = tmp_path / "set.yaml"
    path.write_text(FAULTY, "utf-8")
    fixed(path)
    before = path.read_bytes()
    stamp = path.stat().st_mtime_ns
    assert fixed(path) == 0
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, stamp)


def test_fix_leaves_what_is_accepted(tmp_path: Path) -> None:
    text = changed("السؤال: {{", "السؤال:  {{").replace(TARGET, TARGET + "\n    accepted: {double-space: meant}")
    assert linted(tmp_path, text) == ()
    assert fixed(tmp_path / "set.yaml") == 0


def test_fix_makes_no_expression_of_text(tmp_path: Path) -> None:
    """`&#123;&#123;` would become `{{`: the file would read as something else, so it is left."""
    path = tmp_path / "set.yaml"
    path.write_text(GOOD.replace(ASK, "أجب &#123;&#123; q }} عن السؤال."), "utf-8")
    before = path.read_bytes()
    assert "html-entity" in rules(lint_files([path]).findings)
    assert fixed(path) == 0
    assert path.read_bytes() == before


def test_fix_leaves_a_file_with_aliases(tmp_path: Path) -> None:
    """One text at two places, and nests of aliases that would take for ever to walk through."""
    path = tmp_path / "set.yaml"
    path.write_text(changed('target: "{{ a }}"', 'target: &t "{{ a }}?"\n    notes: *t'), "utf-8")
    assert "latin-punctuation" in rules(lint_files([path]).findings)
    assert fixed(path) == 0


def test_every_mended_file_renders_the_same_but_for_the_faults(tmp_path: Path) -> None:
    path = tmp_path / "set.yaml"
    path.write_text(changed("السؤال: {{", "السؤال&quot;:  {{"), "utf-8")
    fixed(path)
    made = render(load(path)[0], {"q": "من؟", "a": "هو", "label": "pos"}, b"0" * 16)
    assert isinstance(made, Rendered)
    assert made.prompt == 'أجب عن السؤال الآتي بإيجاز.\n\nالسؤال": من؟'


# --- the command -----------------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return verbs.run(capsys, "lint", *arguments)


def test_the_command_ends_with_1_on_errors_and_with_0_on_warnings(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "set.yaml"
    path.write_text(GOOD, "utf-8")
    assert run(capsys, str(path)) == (0, "0 errors, 0 warnings in 2 templates of 1 files\n", "")
    path.write_text(changed("بإيجاز.", "بإيجاز  جدًّا."), "utf-8")
    code, out, _ = run(capsys, str(tmp_path))
    assert (code, out.splitlines()[-1]) == (0, "0 errors, 1 warnings in 2 templates of 1 files")
    path.write_text(changed("سلبي؟", "سلبي?"), "utf-8")
    code, out, _ = run(capsys, str(path), "--format", "json")
    assert code == 1
    content = json.loads(out)
    assert (content["errors"], content["findings"][0]["rule"], content["findings"][0]["line"]) == (
        1,
        "latin-punctuation",
        25,
    )
    code, out, _ = run(capsys, str(path), "--fix")
    assert (code, out.splitlines()) == (0, ["mended: 1", "0 errors, 0 warnings in 2 templates of 1 files"])
    assert path.read_text("utf-8") == GOOD


def test_the_command_and_real_rows(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path, data = tmp_path / "set.yaml", tmp_path / "set.csv"
    path.write_text(GOOD, "utf-8")
    data.write_text("q,a,label\nمن كتب المقدمة؟,ابن خلدون,pos\n", "utf-8")
    assert run(capsys, str(path), "--data", str(data))[0] == 0
    code, _, err = run(capsys, "--data", str(data))
    assert code == 1
    assert "--data is for the templates of one data set" in err
    code, _, err = run(capsys, "arcdd")
    assert code == 1
    assert "Did you mean 'arcd'?" in err


def test_names_of_files_folders_and_the_library(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD, "utf-8")
    assert files_named([str(tmp_path), str(tmp_path / "x.yaml")]) == [tmp_path / "x.yaml"]
    assert files_named(["arcd"])[0].name == "arcd.yaml"
    assert len(files_named([])) > 5
    with pytest.raises(MashqError, match="no templates for 'nosuch'"):
        files_named(["nosuch"])
    (finding,) = lint_files([tmp_path / "none.yaml"]).findings
    assert (finding.rule, finding.found) == ("unreadable", "no such template file or folder. Did you mean 'x.yaml'?")


def test_tasks_have_arabic_names() -> None:
    assert tasks()["sentiment-analysis"] == "تحليل المشاعر"


def test_the_how_to_is_true(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/lint-templates.md").read_text("utf-8")
    for name, rule in RULES.items():
        assert f"| `{name}` | {rule.level} | {rule.about.replace('|', chr(92) + '|')} |" in page
    assert [rule for rule in FIXABLE if f"`{rule}`" not in page.split("## Mend")[1]] == []
    for text in page.split("```yaml\n")[1:]:
        assert yaml.safe_load(text.split("```")[0])
    exec(page.split("```python\n")[1].split("```")[0], {})
    assert capsys.readouterr().out == "no no unknown\n"


# --- licences --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("licence", "train", "redistribute", "commercial", "alike"),
    [
        ("MIT", "yes", "yes", "yes", False),
        ("CC-BY-SA-4.0", "yes", "yes", "yes", True),
        ("cc by-nc-sa 4.0", "yes", "yes", "no", True),
        ("CC-BY-ND-4.0", "yes", "no", "yes", False),
        ("MIT License", "yes", "yes", "yes", False),
        ("GPL-3.0", "yes", "yes", "yes", True),
        ("LDC User Agreement", "yes", "no", "no", False),
        ("unknown", "unknown", "unknown", "unknown", False),
        ("CC-BY", "unknown", "unknown", "unknown", False),
        ("custom: research purposes only", "yes", "unknown", "no", False),
        ("custom: tweets may not be passed on or published", "unknown", "no", "unknown", False),
        ("custom: redistribution with attribution", "unknown", "yes", "unknown", False),
        ("MIT AND CC-BY-NC-4.0", "yes", "yes", "no", False),
        ("CC-BY-SA-4.0 OR unknown", "yes", "yes", "yes", False),
        ("CC-BY-SA-4.0 AND CC-BY-4.0", "yes", "yes", "yes", True),
    ],
)
def test_what_a_licence_allows(licence: str, train: str, redistribute: str, commercial: str, alike: bool) -> None:
    found = uses(licence)
    assert (found.train, found.redistribute, found.commercial, found.share_alike) == (
        train,
        redistribute,
        commercial,
        alike,
    )


def test_every_licence_has_a_source() -> None:
    assert [name for name, known in LICENCES.items() if not known.source] == []
    assert isinstance(uses("MIT"), Uses)
