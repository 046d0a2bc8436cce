"""Wording of the pages: both languages whole, no stray English in Arabic, Markdown with the page's sections."""

import re
import string
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mashq.judge import probes
from mashq.judge.card_words import reason_of
from mashq.packaged import parsed
from mashq.report import judging, words, write
from mashq.report.cells import models_by_notice, own_cautions, pieces_by_slicing, shared_cautions, slices_listed
from mashq.report.contamination import view
from mashq.report.evaluated import board_beside
from mashq.report.markdown import report_markdown
from mashq.report.page import render
from mashq.report.words import LANGUAGES, Words

# Names that Arabic papers write in Latin letters too; everything else of that script stands in an element of its own.
NAMES = {
    "ROUGE-L",
    "ROUGE-1",
    "ROUGE-2",
    "ROUGE",
    "chrF++",
    "BERTScore",
    "F1",
    "HTML",
    "Jinja",
    "GGUF",
    "idf",
    "p",
    "n",
}
NAMES |= {"report.json", "dropped", "report.md", "train=true", "metrics", "encoder.model", "dialogue_score.encoder"}
NAMES |= {"proof.judge.model", "proof.ratings", "steps", "U+", "n", "n="}
LATIN = re.compile(r"[A-Za-z][A-Za-z0-9_.=+-]*[A-Za-z0-9=+]|[A-Za-z]")
EMPTY = {"meta", "br", "link", "img", "input", "hr"}


class Shown(HTMLParser):
    """The text of a page that no element sets apart: not code, a name, a number, a drawing or a text from data."""

    def __init__(self):
        super().__init__()
        self.open, self.apart, self.found = [], 0, []

    def handle_starttag(self, tag, attrs):
        if tag in EMPTY:
            return
        told = dict(attrs)
        apart = tag in ("code", "bdi", "style", "title", "svg", "blockquote") or ("dir" in told and tag != "html")
        self.open.append((tag, apart))
        self.apart += apart

    def handle_endtag(self, tag):
        while self.open:
            name, apart = self.open.pop()
            self.apart -= apart
            if name == tag:
                return

    def handle_data(self, data):
        if not self.apart:
            self.found += LATIN.findall(data)


def leaves(tree, path=""):
    """(path, entry) of every {ar, en} in a tree of words."""
    if isinstance(tree, dict) and set(tree) & set(LANGUAGES):
        return [(path, tree)]
    return [leaf for key, value in tree.items() for leaf in leaves(value, f"{path}.{key}")] if tree else []


def gaps(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.fixture(scope="module")
def pages(record, tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    return {lang: write([record], folder / lang, lang=lang) for lang in LANGUAGES}


def test_every_sentence_of_every_file_stands_in_both_languages():
    found = leaves(words._entries())
    assert len(found) > 600
    for path, entry in found:
        assert set(entry) == set(LANGUAGES) and all(str(one).strip() for one in entry.values()), path
        assert gaps(str(entry["ar"])) == gaps(str(entry["en"])), path


def test_no_arabic_sentence_holds_an_english_word():
    for path, entry in leaves(words._entries()):
        text = re.sub(r"\{[^}]*\}", "", str(entry["ar"]))
        assert set(LATIN.findall(text)) <= NAMES, path


def test_the_arabic_page_has_no_latin_word_outside_an_element_of_its_own(pages):
    shown = Shown()
    shown.feed(pages["ar"].read_text("utf-8"))
    assert set(shown.found) <= NAMES | {"mashq"}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_markdown_has_every_section_of_the_page(pages, lang):
    page = pages[lang].read_text("utf-8")
    markdown = pages[lang].with_suffix(".md").read_text("utf-8")
    sections = re.findall(r'<section id="r1-([a-z_]+)">\s*<h2[^>]*>(.*?) <small', page)
    assert {"summary", "data", "training", "scores", "paired", "health", "licences"} <= {key for key, _ in sections}
    for key, title in sections:
        assert re.search(rf"^### {re.escape(title)}", markdown, re.M), key


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_run_with_a_contamination_check_alone_is_told_alike(content, lang):
    """Nothing was trained and nothing evaluated: page and Markdown say so, and show the check."""
    part = {"kind": "contamination", "step": "check", "items": 4, "contaminated": {"n": 1}, "clean": 3, "untold": 0}
    part |= {"verdict": "contaminated", "stages": [], "common_wording": [], "scores": None, "signature": "own|n:8"}
    without = {key: [] for key in ("evaluations", "models", "surveys", "tables", "data", "limits")}
    alone = {**content, "runs": [{**content["runs"][0], **without, "paper": None, "parts": [part]}]}
    own = Words(lang)
    page, markdown = render(alone, own), report_markdown(alone, own)
    for key in ("no_comparison", "contamination_contaminated", "clean_items", "contamination", "licences_note"):
        assert own.plain(key) in page, key
        assert own.plain(key) in markdown, key
    assert "own|n:8" in page and "own|n:8" in markdown
    assert f"### {own.plain('scores')}" not in markdown and f"### {own.plain('training')}" not in markdown
    assert markdown.rstrip().endswith(f"- {own.plain('none')}")


def test_a_training_without_a_log_is_told_alike(content):
    model = {**content["runs"][0]["models"][0], "first": None, "last": None, "last_eval": None}
    own = Words("en")
    alone = {**content, "runs": [{**content["runs"][0], "models": [model]}]}
    assert own.plain("no_log") in render(alone, own) and own.plain("no_log") in report_markdown(alone, own)


def test_several_runs_stand_beside_each_other_in_markdown_too(content):
    runs = [{**content["runs"][0], "recipe": "a", "name": n} for n in "12"]
    markdown = report_markdown({**content, "board": board_beside(runs)}, Words("en"))
    assert "## Runs side by side" in markdown and "| `a/1` |" in markdown and "| `a/2` |" in markdown


def test_every_reason_that_a_probe_gives_is_said_in_arabic():
    text = Path(probes.__file__).read_text("utf-8")
    tables = text[text.index("\nDEFECTS") : text.index("\ndef _padded")]
    reasons = set(re.findall(r'\([^()]*(?:\([^()]*\))?[^()]*, "([^"]+)"\)', tables))
    reasons |= set(re.findall(r'"(an empty reply|too long to be[^"]*|the rubric has[^"]*)"', text))
    assert len(reasons) >= 13
    for reason in reasons:
        assert not re.search("[A-Za-z]", reason_of(reason, "ar")), reason
        assert reason_of(reason, "en") == reason
    assert reason_of("no filler in sudanese", "ar").endswith("السودانية")
    assert reason_of("something that nobody knows", "ar") == "something that nobody knows"
    assert "not vocalised" in parsed("judge/words")["reasons"]


def test_a_caution_that_holds_for_every_evaluation_is_said_once():
    run = {"evaluations": [{"not_shown": ["not_toys", "not_truth"]}, {"not_shown": ["not_truth"]}]}
    assert shared_cautions(run) == ["not_truth"]
    assert [one["not_shown"] for one in own_cautions(run)] == [["not_toys"], []]
    alone = {"evaluations": run["evaluations"][:1]}
    assert shared_cautions(alone) == [] and own_cautions(alone) == alone["evaluations"]


def test_a_notice_is_shown_once_with_every_step_that_it_holds_for():
    base = {"model": "gemma", "licence": "own", "notice": "pass this on"}
    found = models_by_notice([{**base, "step": "a"}, {**base, "step": "b"}, {**base, "notice": "", "step": "c"}])
    assert [one["steps"] for one in found] == [["a", "b"], ["c"]]


def gain(subset, n):
    line = {"system": "tuned", "metric": "rougeL", "subset": subset, "difference": 0.2, "low": 0.1, "high": 0.3}
    return {**line, "p_holm": 0.01, "n": n}


@pytest.mark.parametrize(("clean", "lines"), [(20, 0), (18, 2)])
def test_differences_on_clean_items_are_shown_where_they_can_differ(clean, lines):
    facts = {"stages": [], "common_wording": [], "scores": {"gains": [gain("all", 20), gain("clean", clean)]}}
    shown = view(Words("ar"), facts, {"evaluations": []})
    assert len(shown["gains"]) == lines and shown["same_gains"] == (lines == 0)


def test_slices_are_named_with_their_slicing_each_slicing_once():
    pieces = [{"by": "variety", "value": "msa"}, {"by": "source", "value": "arcd"}, {"by": "variety", "value": "gulf"}]
    own = Words("en")
    assert [by for by, _ in pieces_by_slicing(own, pieces)] == ["Variety", "Source"]
    line = re.sub("<[^>]+>|[\u2068\u2069]", "", str(slices_listed(own, pieces)))
    assert line == "Variety: Modern Standard, Gulf; Source: arcd"
    [(_, names)] = pieces_by_slicing(own, [{"by": "source", "value": f"s{n}"} for n in range(15)])
    assert names.endswith(" (+3)")


def test_a_system_with_its_arm_is_named_in_the_language_of_the_page():
    assert Words("ar").term("system_name", "Gemma 3, untuned") == "Gemma 3، قبل التدريب"
    assert Words("en").term("system_name", "Gemma 3, as written") == "Gemma 3, on text as written"
    assert Words("ar").term("system_name", "Gemma 3, mine") == "Gemma 3, mine"


@pytest.mark.parametrize(
    ("about", "none"),
    [
        ({"model": "http://127.0.0.1/v1#scripted-rules"}, True),
        ({"model": "echo"}, True),
        ({"model": "gemma3-270m", "identity": "local:scripted"}, False),
    ],
)
def test_a_judge_without_a_model_is_known_by_its_name(about, none):
    assert judging.has_no_model(about) is none


def test_a_stored_conclusion_is_shown_with_the_signs_of_the_page():
    said = "Agrees: kappa -0.04 [-0.13, 0.04], in 31 % of two-reply pairs."
    assert judging._as_printed(said) == "Agrees: kappa −0.04 [−0.13, 0.04], in 31% of two-reply pairs."


def test_the_note_of_a_section_stands_once_however_many_steps_it_has(content):
    run = content["runs"][0]
    part = {"items": 3, "contaminated": {"n": 0}, "clean": 3, "untold": 0, "verdict": "clean", "stages": []}
    part |= {"common_wording": [], "scores": None, "signature": "s", "kind": "contamination"}
    twice = {**run, "parts": [{**part, "step": "a"}, {**part, "step": "b"}]}
    html = render({**content, "runs": [{**twice, "recipe": "other"}, twice]}, Words("en"))
    assert html.count("Did the model learn what it was asked?") == 2  # once a run
