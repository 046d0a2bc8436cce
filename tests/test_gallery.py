"""Templates are browsed: found, filtered, shown in a terminal and on a page, and a hostile file harms neither."""

import html
import re
import subprocess
from pathlib import Path
from urllib.parse import urlencode

import pytest
from browser import BROWSER, FLAGS
from rich.cells import cell_len

from mashq.report.gallery import MOST_BYTES, gallery, marked, write_gallery
from mashq.rows import MashqError
from mashq.templates import Dataset, library_names
from mashq.templates.catalogue import (
    NO_SAMPLE,
    Wanted,
    chosen,
    examples,
    find,
    licence_names,
    path_on_sample,
    row_count,
    short_name,
)
from mashq.templates.terminal import Paper, data_set, listing, one_template, safe, wrapped

RLI, LRI, FSI, PDI = "\u2067", "\u2066", "\u2068", "\u2069"
ATTACK = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
HOSTILE = r"""
dataset:
  name: "bad\"><b>x</b>"
  title: "TITLE ATTACK \e]0;owned\a\e[2J\e[31mred \u202Eevil"
  address: "javascript:alert(1)"
  licence: "' onmouseover='alert(1)"
  citation: "\u009B31mC1 \u2067open"
  schema: unverified, nobody looked
  fields: {text: string, "n\"><i>": any}
  sample:
    - {text: "مرحبا ATTACK \e[1mbold\e[0m \u202Eدخيل\u2066", "n\"><i>": {a: ["</code>ATTACK", 1.5, null]}}
    - {text: "", "n\"><i>": 3}
  notes: "ATTACK"
templates:
  "name ATTACK":
    task: "t\"><s>"
    variety: "v\"><s>"
    metrics: ["m<b>"]
    notes: "ATTACK"
    choices: ["ATTACK", b]
    prompt: "ATTACK {{ text }} {# ATTACK #} \e[2J"
    target: "ATTACK"
  fails:
    task: x
    prompt: "{{ text.nothing.at_all }} {{ 1 / 0 }}"
    target: "{{ text }}"
  surrogate:
    prompt: "نص {{ '\\ud800' }} آخر"
    target: a
  field:
    prompt: "{{ txt }}"
    target: a
  broken:
    prompt: "{% if %}"
    target: a
  forbidden:
    prompt: "{{ text.__class__ }}"
    target: a
  endless:
    prompt: "{% for a in range(10 ** 9) %}{% for b in range(10 ** 9) %}x{% endfor %}{% endfor %}"
    target: a
  never:
    when: "false"
    prompt: "{{ text }}"
    target: a
  keyless: {prompt: 3}
""".replace("ATTACK", ATTACK.replace('"', '\\"'))

PATIENCE = ("--virtual-time-budget=3000",)


@pytest.fixture
def hostile(tmp_path):
    path = tmp_path / "hostile.yaml"
    path.write_text(HOSTILE, "utf-8")
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A gallery of a part of the library, and its entries."""
    entries = [entry for name in ("apcd", "arcd", "arsarcasm_v2", "jawaher", "madar_coda") for entry in find(name)]
    out = tmp_path_factory.mktemp("gallery") / "new" / "gallery.html"
    write_gallery(entries, out)
    return out, entries


def dom(tmp_path, page: Path, hash_: str = "") -> str:
    address = page.as_uri() + (f"#{hash_}" if hash_ else "")
    command = [str(BROWSER), *FLAGS, *PATIENCE, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def names(entries) -> set[str]:
    return {template.name for entry in entries for template in entry.templates}


# --- find and filter -------------------------------------------------------------------------------------------------


def test_without_a_name_it_is_the_whole_library():
    assert tuple(entry.dataset.name for entry in find()) == library_names()


def test_a_data_set_a_template_a_file_and_a_folder_are_found(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("templates: {ask: {prompt: 'س {{ a }}', target: b}}", "utf-8")
    (tmp_path / "arcd").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(find("arcd")[0].templates) == find("arcd")[0].count > 1
    assert [template.name for template in find("arcd/ask")[0].templates] == ["arcd/ask"]
    assert find("arcd/ask")[0].by_name and not find("arcd")[0].by_name
    for what in ("mine.yaml", "./mine.yaml/ask", str(tmp_path), str(tmp_path / "mine.yaml/ask")):
        assert names(find(what)) == {"mine/ask"}, what


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("arcx", "no data set 'arcx' in the library, and no such file. Did you mean 'arcd'?"),
        ("sarcasm", "no data set 'sarcasm' in the library \\(ar_sarcasm, arsarcasm_v2, isarcasmeval_ar\\)"),
        ("arcd/anwer", "arcd has no template 'anwer' \\(answer, .*Did you mean 'answer'?"),
        ("./mone.yaml", "./mone.yaml: no such template file or folder. Did you mean 'mine.yaml'?"),
        ("mine.yaml/asks", "mine.yaml has no template 'asks' \\(ask\\). Did you mean 'ask'?"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(tmp_path, monkeypatch, what, said):
    (tmp_path / "mine.yaml").write_text("templates: {ask: {prompt: a, target: b}}", "utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MashqError, match=said):
        find(what)


def test_filters_all_apply_and_keep_how_many_there_were():
    entries = find()
    found = chosen(entries, Wanted(task="sentiment-analysis", variety="egyptian"))
    assert names(found) == {
        template.name
        for entry in entries
        for template in entry.templates
        if (template.task, template.variety) == ("sentiment-analysis", "egyptian")
    }
    assert all(len(entry.templates) < entry.count for entry in found)
    assert names(chosen(entries, Wanted(licence="mit"))) == names(chosen(entries, Wanted(licence="MIT")))
    licences = {entry.dataset.licence for entry in chosen(entries, Wanted(licence="MIT"))}
    assert "MIT" in licences
    assert all("MIT" in licence.split() for licence in licences)


def test_search_takes_every_spelling_and_all_its_words(page):
    _, entries = page
    assert "jawaher/explain_egyptian" in names(chosen(entries, Wanted(search="المَثَلْ")))
    assert names(chosen(entries, Wanted(search="أمثال"))) == names(chosen(entries, Wanted(search="امثال")))
    assert names(chosen(entries, Wanted(search="soqal فقرة"))) <= {
        f"arcd/{name}" for name in ("ask", "title", "answer")
    }


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted(task="sentiment"), "no template here has the task 'sentiment' .*sentiment-analysis"),
        (Wanted(variety="egyptain"), "Did you mean 'egyptian'?"),
        (Wanted(licence="MT"), "Did you mean 'MIT'?"),
        (Wanted(search="zzzz", variety="msa"), "none of .* templates fits --variety msa --search zzzz"),
    ],
)
def test_a_filter_that_nothing_fits_is_told(wanted, said):
    with pytest.raises(MashqError, match=said):
        chosen(find(), wanted)


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("mit", ("MIT",)),
        ("", ("unknown",)),
        ("custom: ask the authors", ("custom",)),
        ("MIT AND CC-BY-4.0", ("MIT", "CC-BY-4.0")),
        ("see the page", ("custom",)),
    ],
)
def test_a_licence_is_filtered_by_its_names(licence, expected):
    assert licence_names(licence) == expected


def test_every_template_of_the_library_gives_a_prompt_or_a_reason_on_its_sample():
    for entry in find():
        assert entry.faults == ()
        for template in entry.templates:
            path = path_on_sample(template)
            assert path in ("columns", NO_SAMPLE) or path.startswith("jinja: ")
            assert [example.why for example in examples(template) if example.failed] == []


def test_rows_are_counted_where_they_are_known():
    assert row_count(find("arcd")[0].dataset) == 1395
    assert row_count(Dataset("mine")) is None
    assert row_count(Dataset("mine", splits={"train": "many", "test": 3})) == 3


# --- terminal --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[31mb\x1b[0m", "ab"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jx", "x"),
        ("a\x00\x07\x08\x7f\x85b\r\nc\td", "a\nb\nc    d"),
        ("\u202eabc\u2067d\u2069", "abcd"),
        ("كتب\u200cها \u200fa", "كتب\u200cها \u200fa"),
        ("a\ud800b", "a?b"),
    ],
)
def test_what_a_terminal_would_obey_is_taken_out(text, expected):
    assert safe(text) == expected


def test_arabic_is_wrapped_by_columns_and_every_line_keeps_its_direction():
    text = "كَتَبَ الطَّالِبُ الدَّرْسَ في المدرسة " * 8 + "model GPT"
    lines = wrapped(text, Paper(40, bidi=True), 4)
    assert len(lines) > 5
    assert all(re.fullmatch(f" {{4,}}{RLI}[^{RLI}{PDI}]+{PDI}", line) for line in lines)
    assert {cell_len(line.replace(RLI, "").replace(PDI, "")) for line in lines} == {40}
    assert " ".join(line.strip().strip(RLI + PDI) for line in lines) == text
    assert wrapped("name اسم", Paper(40, bidi=True)) == [f"{LRI}name اسم{PDI}"]
    assert wrapped("name", Paper(40, bidi=True)) == ["name"]


def test_without_bidi_no_mark_is_added_and_a_long_word_is_cut_between_characters():
    word = "بِ" * 50
    lines = wrapped(f"a\n\n{word}", Paper(20))
    assert lines[:2] == ["a", ""]
    assert "".join(lines[2:]) == word
    assert all(line.startswith("ب") and cell_len(line) <= 20 for line in lines[2:])


def test_a_template_is_shown_with_all_its_parts():
    (entry,) = find("arabic_empathetic")
    (chat,) = (template for template in entry.templates if template.turns)
    text = "\n".join(one_template(chat, Paper(100)))
    assert text.startswith(chat.name)
    for line in ("  user, earlier\n", "  assistant, earlier\n", "  prompt\n", "  target\n", "sample row 1 of 2"):
        assert line in text
    (city,) = find("madar_coda/city")[0].templates
    assert "  choices\n    بيروت\n    القاهرة" in "\n".join(one_template(city, Paper(100)))
    assert FSI not in text + RLI


def test_the_row_shown_is_the_first_that_the_template_is_for():
    (entry,) = find("madar_coda/correct_lebanese")
    assert "sample row 2 of 2" in "\n".join(one_template(entry.templates[0], Paper(100)))
    assert "gives nothing: skip: not for this row" in "\n".join(one_template(entry.templates[0], Paper(100), 1))
    with pytest.raises(MashqError, match="--row: expected 1 to 2, got 3"):
        list(one_template(entry.templates[0], Paper(100), 3))


def test_a_hostile_file_cannot_steer_the_terminal(hostile):
    (entry,) = find(str(hostile))
    lines = [*listing([entry], Paper(90, True)), *data_set(entry, Paper(90, True))]
    for template in entry.templates:
        for row in (None, 1, 2):
            lines += one_template(template, Paper(90, True), row)
    text = "\n".join(lines)
    assert "not readable" in text
    assert "unknown key" not in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)
    assert all(line.count(PDI) == sum(line.count(mark) for mark in (RLI, LRI, FSI)) for line in lines)
    assert all(
        cell_len(re.sub(f"[{RLI}{LRI}{FSI}{PDI}]", "", line)) <= 90 for line in wrapped("\n".join(lines), Paper(90))
    )


def test_what_fails_is_told_in_its_place(hostile):
    templates = {short_name(template): template for template in find(str(hostile))[0].templates}
    assert [example.failed for example in examples(templates["fails"])] == [True, True]
    assert "names 'nothing'" in examples(templates["fails"])[0].why
    assert "not allowed" in examples(templates["endless"])[0].why
    for name in ("broken", "forbidden", "fails", "endless"):
        assert path_on_sample(templates[name]).startswith("error: ")
        assert all(example.failed for example in examples(templates[name]))
    assert [example.failed for example in examples(templates["never"])] == [False, False]


# --- page ------------------------------------------------------------------------------------------------------------


def test_the_page_asks_nothing_of_the_network_and_is_the_same_every_time(page):
    out, entries = page
    text = out.read_text("utf-8")
    assert gallery(entries) == text
    assert not re.search(r'(?:src|href)=(?!"https?://)', text)
    assert set(re.findall(r"<(link|img|iframe|object|embed|form|base)\b", text)) == set()
    assert "default-src 'none'" in text
    assert len(re.findall("<script>", text)) == len(re.findall("<style>", text)) == 1
    assert '<html lang="ar" dir="rtl">' in text


def test_the_page_of_the_whole_library_is_small_enough():
    text = gallery(find())
    assert len(text.encode()) < MOST_BYTES
    assert text.count('<details class="template"') == sum(entry.count for entry in find())


def test_nothing_of_a_hostile_file_is_markup(hostile):
    text = gallery(find(str(hostile)))
    body = text[text.index("<body") :]
    assert not re.search(r"<(img|s|b|i)\b", body)
    assert body.count("<script>") == 1
    assert not re.search(r'href="(?!https?://)', body)
    assert " onmouseover='" not in body
    assert "\ud800" not in text
    assert "names &#39;nothing&#39;" in body


def test_tags_are_isolated_and_arabic_names_in_them_too():
    shown = str(marked("الاسم: {{ البيت[:6] }} <b>"))
    assert shown == 'الاسم: <bdi dir="ltr" class="tag">{{ <bdi>البيت</bdi>[:6] }}</bdi> &lt;b&gt;'
    assert str(marked("a == 'ب'", code=True)) == '<bdi dir="ltr" class="tag">a == &#39;<bdi>ب</bdi>&#39;</bdi>'


def test_a_page_without_templates_or_for_a_folder_is_refused(tmp_path):
    with pytest.raises(MashqError, match="expected the name of a file, got the folder"):
        write_gallery(find("arcd"), tmp_path)
    with pytest.raises(MashqError, match="expected one or more data sets"):
        gallery([])


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(
    "asked",
    [
        {"search": "المَثَل"},
        {"search": "امثال"},
        {"search": "فقره العنوان"},
        {"search": "٢٠٠٦"},
        {"search": "answers.text", "task": "question-generation"},
        {"variety": "egyptian"},
        {"licence": "MIT", "variety": "msa", "search": "جواب؟"},
        {"search": "zzzz"},
    ],
    ids=str,
)
def test_the_page_finds_what_the_command_finds(page, tmp_path, asked):
    out, entries = page
    try:
        expected = names(chosen(entries, Wanted(**asked)))
    except MashqError:
        expected = set()
    text = dom(tmp_path, out, urlencode({"q" if name == "search" else name: value for name, value in asked.items()}))
    shown = re.findall(r'<details class="template" id="t/([^"]*)"[^>]*?>', text)
    hidden = re.findall(r'<details class="template" id="t/([^"]*)"[^>]*? hidden=""', text)
    assert {html.unescape(name) for name in set(shown) - set(hidden)} == expected
    assert f'data-templates="{len(expected)}"' in text


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_an_address_opens_its_template(page, tmp_path):
    text = dom(tmp_path, page[0], "t/apcd/meter")
    opened = re.findall(r'<details [^>]*id="([^"]*)"[^>]* open=""', text)
    assert opened == ["d/apcd", "t/apcd/meter"]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_stored_script_does_not_run(hostile, tmp_path):
    out = tmp_path / "hostile.html"
    write_gallery(find(str(hostile)), out)
    text = dom(tmp_path, out, urlencode({"q": "alert"}))
    found = re.search("<title>(.*?)</title>", text)
    assert found is not None and found.group(1) == "قوالب مَشْق"
    assert 'id="found" data-templates=' in text
