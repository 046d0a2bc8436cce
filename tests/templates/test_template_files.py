"""Reading template files: ours, PromptSource's, broken ones; and the file that `mashq new template` writes."""

import re
from pathlib import Path

import pytest

from mashq.rows import MashqError
from mashq.templates import Dialect, Rendered, library, library_names, load, render, scaffold
from mashq.templates.files import DATASET_KEYS, KEYS

GOOD = """\
dataset:
  name: cities
  licence: CC0-1.0
  fields: {city: string, country: string, facts: {rivers: [string]}, people: [{name: string}]}
  language: ar
templates:
  where:
    task: question-answering
    variety: msa
    metrics: [exact_match]
    prompt: في أي بلد تقع {{ city }}؟
    target: "{{ country }}"
"""


def write(folder: Path, text: str, name: str = "cities.yaml") -> Path:
    (folder / name).write_text(text, "utf-8")
    return folder / name


def test_our_format(tmp_path: Path) -> None:
    (one,) = load(write(tmp_path, GOOD))
    assert (one.name, one.task, one.variety, one.language, one.metrics) == (
        "cities/where",
        "question-answering",
        "msa",
        "ar",
        ("exact_match",),
    )
    assert one.dataset.licence == "CC0-1.0"
    made = render(one, {"city": "فاس", "country": "المغرب"}, b"0" * 16)
    assert isinstance(made, Rendered)
    assert (made.prompt, made.references) == ("في أي بلد تقع فاس؟", ("المغرب",))


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "cities.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load(tmp_path / "cities.yaml")[0].name == "cities/where"


def test_a_folder_in_the_order_of_its_paths(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("cities", "b"), "b.yaml")
    write(tmp_path, GOOD.replace("cities", "a"), "a.yaml")
    assert [one.name for one in load(tmp_path)] == ["a/where", "b/where"]


def test_two_templates_of_one_name_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "a.yaml")
    write(tmp_path, GOOD, "b.yaml")
    with pytest.raises(MashqError, match=r"two templates are named 'cities/where', in .*a.yaml and .*b.yaml"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "city }}",
            "cty }}",
            r"'cities/where' names field 'cty', which cities does not have \(city, .*'city'\?",
        ),
        (
            "city }}",
            "facts.river }}",
            r"names field 'river', which 'facts' does not have \(rivers\). Did.*'rivers'",
        ),
        (
            "city }}",
            "people.name }}",
            r"'people' is a list, and a list has no 'name'; write people\[0\].name or",
        ),
        ("city }}", "people[0].nam }}", r"names field 'nam', which 'people.0' does not have \(name\)"),
        ("city }}", "city }", r"template 'cities/where', prompt, line 1: "),
        ("city }}", "city | uper }}", r"no filter named 'uper'. Did you mean 'upper'\?"),
        ("    task:", "    taks:", r"unknown key 'taks' \(.*\). Did you mean 'task'\?"),
        ("  licence:", "  license:", r"dataset: unknown key 'license' \(.*'licence'\?"),
        ("prompt:", "promt:", r"unknown key 'promt' \(.*'prompt'\?\n.*'prompt' is missing"),
        ("target:", "reference:", r"expected one of 'target', 'targets', or a \|\|\| in the prompt, got none of them"),
        ("؟\n", "؟ ||| أ\n", r"got target and \|\|\|"),
        ("[exact_match]", "exact_match", r"'metrics': expected a list, got text"),
        ("    task: question-answering", "    task: 3", r"'task': expected text, got a number \(3\). Put quotes"),
        ("    task:", "    choices: [yes, no]\n    task:", r"'choices' is a list of texts, got \[True, False\]"),
        ("    task:", "    turns: [user: أ]\n    task:", r"turns end with the user"),
        ("    task:", "    turns: [assistant: أ]\n    task:", r"turns\[0\]: expected `user: text`"),
        ("    task:", "    when: 'city =='\n    task:", r"template 'cities/where', when, line 1"),
        ("city: string,", "city: text,", r"'fields.city': unknown type 'text' \(string, "),
        ("    task:", "    variety: msa\n    task:", r"the key 'variety' stands twice"),
        ("dataset:", "dataset: [", r"no YAML that mashq reads: line \d+"),
    ],
)
def test_a_broken_file_says_where_and_what(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(MashqError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_every_fault_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path, GOOD.replace("city }}", "cty }}").replace("  licence:", "  license:").replace("task:", "taks:")
    )
    with pytest.raises(MashqError) as caught:
        load(path)
    assert [word for word in ("license", "taks") if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a record with the keys 'dataset' and 'templates'"),
        (b"- 1\n- 2\n", "got a list"),
        (b"dataset: {}\ntemplates: {}\n", "at least one template"),
        ("prompt: سؤال".encode("cp1256"), "expected UTF-8, got other bytes at byte 8"),
    ],
)
def test_no_template_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(MashqError, match=message):
        load(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(MashqError, match=r"no such template file or folder. Did you mean 'cities.yaml'\?"):
        load(tmp_path / "citys.yaml")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MashqError, match="expected template files"):
        load(tmp_path / "empty")


def test_an_unknown_library_name() -> None:
    with pytest.raises(MashqError, match=r"no templates for 'arcdd' in the library \(.*\). Did you mean 'arcd'\?"):
        library("arcdd")
    assert "arcd" in library_names()


def test_the_scaffold_loads_and_renders(tmp_path: Path) -> None:
    path = write(tmp_path, scaffold("my-data"), "my-data.yaml")
    names = [one.name for one in load(path)]
    assert names == ["my-data/answer", "my-data/ask"]
    for one in load(path):
        assert isinstance(render(one, {"question": "من كتب المقدمة؟", "answer": "ابن خلدون"}, b"0" * 16), Rendered)
    with pytest.raises(MashqError, match="expected a name"):
        scaffold("../evil")


def test_the_how_to_is_true(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/add-a-template.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    assert [one.name for one in load(write(tmp_path, block))] == ["my_questions/answer"]
    assert [key for key in (*KEYS, *DATASET_KEYS) if f"`{key}`" not in page] == []


# PromptSource's format, written for this test: the tags, the keys and the quoting that its own files have.
PROMPTSOURCE = """\
dataset: my_set
subset: my_part
templates:
  24e44a81-a18a-42dd-a71c-5b31b2d2cb39: !Template
    answer_choices: Sad ||| Happy
    id: 24e44a81-a18a-42dd-a71c-5b31b2d2cb39
    jinja: "How does this sound?\\n{{text}} ||| \\n{{answer_choices[label]\\
      \\ }}"
    metadata: !TemplateMetadata
      choices_in_prompt: false
      languages:
      - en
      metrics:
      - Accuracy
      original_task: true
    name: how does it sound
    reference: ''
  918267e0-af68-4117-892d-2dbe66a58ce9: !Template
    answer_choices: null
    id: 918267e0-af68-4117-892d-2dbe66a58ce9
    jinja: '{% if label == 1 %}Write something happy. ||| {{ text }}{% endif %}'
    metadata: !TemplateMetadata
      choices_in_prompt: null
      metrics: []
      original_task: null
    name: write
    reference: ''
    task_template: false
"""


def test_promptsource_file_unchanged(tmp_path: Path) -> None:
    first, second = load(write(tmp_path, PROMPTSOURCE, "templates.yaml"))
    assert first.name == "my_set/my_part/how does it sound"
    assert first.uuid == "24e44a81-a18a-42dd-a71c-5b31b2d2cb39"
    assert (first.dialect, first.metrics, first.language) == (Dialect.PROMPTSOURCE, ("Accuracy",), "en")
    assert (first.choices_in_prompt, first.original_task, second.choices) == (False, True, None)
    made = render(first, {"text": " |||نص ", "label": 1}, b"0" * 16)
    assert made == Rendered((("user", "How does this sound?\n |||نص"),), ("Happy",), ("Sad", "Happy"))
    assert render(second, {"text": "نص", "label": 0}, b"0" * 16).startswith("skip: empty prompt")  # type: ignore[union-attr]


def test_promptsource_without_its_keys(tmp_path: Path) -> None:
    path = write(tmp_path, PROMPTSOURCE.replace("    name: write\n", ""), "templates.yaml")
    with pytest.raises(MashqError, match=r"template 918267e0.*: 'name' must be text, got None"):
        load(path)
