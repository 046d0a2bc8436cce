import base64
import hashlib
import html
import json
import re
import string
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import fake_run
import pyarrow.parquet as pq
import pytest
import yaml

from mashq.record import read_run
from mashq.report import data_card, page, words, write
from mashq.report.content import build
from mashq.report.evaluated import board
from mashq.report.samples import draw_replies, draw_rows
from mashq.rows import MashqError

VOID = {"meta", "br", "img", "link", "input"}


class Seen(HTMLParser):
    """Every element of a page with its attributes, and the text of its style sheet."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.style = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID and self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.style += data


@pytest.fixture(scope="module")
def text(written):
    return (written / "report.html").read_text("utf-8")


@pytest.fixture(scope="module")
def seen(text):
    return Seen(text)


@pytest.fixture(scope="module")
def content(written):
    return json.loads((written / "report.json").read_text("utf-8"))


# --- the page is one safe file ---------------------------------------------------------------------------------------


def test_page_is_arabic_and_closed(seen, text):
    assert seen.elements[0] == ("html", {"lang": "ar", "dir": "rtl"})
    assert seen.open == []
    assert len(text.encode()) < page.MOST_BYTES


def test_page_asks_the_network_for_nothing(seen, text):
    policy = next(a["content"] for tag, a in seen.elements if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(seen.style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    tags = {tag for tag, _ in seen.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "video", "audio", "base"}
    assert "url(" not in seen.style and "@import" not in seen.style
    targets = [a[name] for _, a in seen.elements for name in ("href", "src") if name in a]
    assert targets and all(target.startswith("#") for target in targets)
    assert {a["id"] for _, a in seen.elements if "id" in a} >= {target[1:] for target in targets}


def test_no_element_carries_code_or_a_style_of_its_own(seen):
    names = {name for _, attributes in seen.elements for name in attributes}
    assert not {name for name in names if name.startswith("on") or name == "style"}


def test_script_in_a_row_a_reply_and_a_reason_is_text(text, content):
    stored = json.dumps(content, ensure_ascii=False)
    assert stored.count("<script>") >= 2  # in the drawn rows and in the reasons of dropped ones
    assert "<script" not in text and "<img" not in text
    assert html.escape(fake_run.ATTACK, quote=True).replace("&quot;", "&#34;") in text


def test_texts_from_data_stand_in_blocks_of_their_own_direction(seen):
    blocks = [a for _, a in seen.elements if a.get("class") == "text"]
    assert len(blocks) > 20
    assert {a["dir"] for a in blocks} == {"auto"}


def test_every_plot_has_words_for_those_who_cannot_see_it(seen):
    plots = [a for tag, a in seen.elements if tag == "svg"]
    assert len(plots) > 50
    assert all(a.get("aria-hidden") == "true" or (a["role"] == "img" and a["aria-label"].strip()) for a in plots)


def test_headings_skip_no_level(seen):
    levels = [int(tag[1]) for tag, _ in seen.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_same_run_gives_the_same_bytes(record, written, tmp_path):
    again = write([record], tmp_path / "again").parent
    for name in ("report.html", "report.md", "report.json", "data_card.md"):
        assert (again / name).read_bytes() == (written / name).read_bytes()


def test_english_page_turns_round(record, tmp_path):
    seen = Seen(write([record], tmp_path, lang="en").read_text("utf-8"))
    assert seen.elements[0] == ("html", {"lang": "en", "dir": "ltr"})


def test_page_too_large_is_refused_with_its_size(record, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "MOST_BYTES", 1000)
    with pytest.raises(MashqError, match=r"would have \d+,\d+ bytes, expected less than 1,000"):
        write([record], tmp_path)
    assert not (tmp_path / "report.html").exists()


# --- what it says ----------------------------------------------------------------------------------------------------


def test_headline_gives_both_values_and_the_test(text, content):
    first = content["runs"][0]["evaluations"][0]["headline"][0]
    assert first["verdict"] == "better" and first["metric"] == "bits_per_byte"
    sentence = re.search('<p class="headline">(.*?)</p>', text, re.DOTALL)
    plain = re.sub("<[^>]+>", "", sentence.group(1))
    before, after = f"{first['before']:.3f}", f"{first['after']:.3f}"
    assert plain == f"انخفض مقياس البتّات لكل بايت من {before} في «النموذج الأساس» إلى {after} في «النموذج المدرَّب»."
    evidence = re.sub("<[^>]+>", "", re.search('<p class="evidence">(.*?)</p>', text, re.DOTALL).group(1))
    minus = "\N{MINUS SIGN}"
    assert f"[{minus}{-first['low']:.3f}, {minus}{-first['high']:.3f}]" in evidence
    assert "&lt; 0.001" in evidence and f"العناصر {first['n']}" in evidence


def test_what_is_not_shown_names_the_metric_without_gain(text):
    caution = re.search('<div class="caution">(.*?)</div>', text, re.DOTALL).group(1)
    assert "لم يثبت تحسّن في هذه المقاييس: <bdi>التطابق التام</bdi>." in caution


def test_counts_and_reasons_are_those_of_the_manifests(record, content):
    run = read_run(record)
    for data in content["runs"][0]["data"]:
        manifest = next(step.manifest for step in run.steps if step.name == data["step"])
        assert data["counts"] == manifest["counts"]
        assert data["closes"]
        assert {entry["reason"]: entry["rows"] for entry in data["reasons"]} == manifest["reasons"]
    stories = next(data for data in content["runs"][0]["data"] if data["step"] == "stories")
    assert sum(entry["share"] for entry in stories["reasons"]) == pytest.approx(1)
    assert {"short", "variety", "qe"} == {entry["reason"] for entry in stories["reasons"]}


def test_row_dropped_unchanged_is_shown_with_its_text_from_the_step_before(content):
    stories = next(data for data in content["runs"][0]["data"] if data["step"] == "stories")
    assert len(stories["dropped"]) == 3
    assert all(row["texts"] and row["dropped"] for row in stories["dropped"])


def test_replies_are_shown_beside_each_other_and_not_among_the_rows(content):
    """The training rows are an input of the evaluation too, and stay rows."""
    shown = {data["step"]: (data["scored"], len(data["kept"])) for data in content["runs"][0]["data"]}
    assert shown["stories"] == (False, 3)
    assert shown["replies-tuned"] == (True, 0)


def test_macro_stands_beside_weighted_and_apart_from_its_signature(content):
    evaluation = content["runs"][0]["evaluations"][0]
    whole = {column["metric"]: column["signature"] for column in evaluation["board"]["columns"]}
    macro = {column["metric"]: column["signature"] for column in evaluation["macro_board"]["columns"]}
    assert whole.keys() == macro.keys()
    assert all(whole[name] != macro[name] for name in whole)


def test_two_signatures_never_share_a_column(content):
    evaluation = content["runs"][0]["evaluations"][0]
    other = [{**entry, "signature": entry["signature"] + "|other"} for entry in evaluation["scores"]]
    found = board(
        [
            {"run": "a", "system": "base", "scores": evaluation["scores"], "metrics": evaluation["metrics"]},
            {"run": "b", "system": "base", "scores": other, "metrics": evaluation["metrics"]},
        ]
    )
    assert len(found["columns"]) == 2 * len(evaluation["metrics"])
    for column, cells in zip(found["columns"], zip(*(row["cells"] for row in found["rows"]), strict=True), strict=True):
        assert {cell["signature"] for cell in cells if cell} == {column["signature"]}


def test_two_runs_of_other_seeds_stand_side_by_side_in_columns_of_their_own(record, tmp_path):
    other = fake_run.make(tmp_path / "runs", fake_run.Size(rows=120, seed=9), name="other")
    found = write([record, other], tmp_path / "report")
    content = json.loads((found.parent / "report.json").read_text("utf-8"))
    assert [row["run"] for row in content["board"]["rows"]] == ["quickstart/3f2a91c0"] * 3 + ["quickstart/other"] * 3
    names = [column["metric"] for column in content["board"]["columns"]]
    assert names.count("rougeL") == 2  # seed:7 and seed:9
    assert (found.parent / "data_card-quickstart-other.md").exists()
    ids = [a["id"] for _, a in Seen(found.read_text("utf-8")).elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_training_curve_and_licences_are_shown(text, content):
    model = content["runs"][0]["models"][0]
    assert (model["steps"], model["supervised_tokens"], len(model["curve"])) == (900, 900 * 410, 300)
    assert "Gemma Terms of Use" in text and "Unicode-3.0" in text
    assert 'class="loss"' in text and 'class="held"' in text


def test_limits_are_sentences_with_their_numbers(text, content):
    limits = {limit["limit"]: limit for limit in content["runs"][0]["limits"]}
    dropped = sum(data["counts"]["dropped"] for data in content["runs"][0]["data"])
    assert limits["dropped"]["n"] == dropped
    assert {"perplexity", "overlap", "perplexity_untested"} <= limits.keys()
    assert f'صفوف أُسقطت في خطوات البيانات: <bdi dir="ltr" class="num">{dropped}</bdi>' in text


# --- samples ---------------------------------------------------------------------------------------------------------


def test_drawn_rows_are_the_seeds_and_the_tables(record):
    run = read_run(record)
    facts = run.steps[0]
    drawn = draw_rows(run, facts, dropped=False, seed=3, n=40)
    assert drawn == draw_rows(run, facts, dropped=False, seed=3, n=40)
    assert drawn != draw_rows(run, facts, dropped=False, seed=4, n=40)
    stored = [row for path, _ in facts.parts() for row in pq.read_table(path).to_pylist()]
    places = {row["id"].hex(): place for place, row in enumerate(stored)}
    order = [places[row["id"]] for row in drawn]
    assert len(set(order)) == 40 and order == sorted(order)
    assert len(facts.parts()) == 2 and order[0] < 150 < order[-1]


def test_more_rows_asked_for_than_there_are_gives_all(record):
    run = read_run(record)
    assert len(draw_rows(run, run.steps[0], dropped=True, seed=0, n=10_000)) == 20


def test_replies_are_ranked_by_gain_on_the_same_item(record):
    run = read_run(record)
    samples = next(step for step in run.steps if step.produces == "evaluation").folder / "samples.parquet"
    items = draw_replies(samples, systems=["base", "tuned"], metric="rougeL", higher_is_better=True, seed=0, n_random=2)
    assert [item["pick"] for item in items] == ["best", "median", "worst", "random", "random"]
    values: dict[str, dict[str, float]] = {}
    for row in pq.read_table(samples).to_pylist():
        values.setdefault(row["item"], {})[row["system"]] = row["rougeL"]
    gains = sorted(replies["tuned"] - replies["base"] for replies in values.values())
    assert (items[0]["gain"], items[2]["gain"]) == (gains[-1], gains[0])
    assert [reply["system"] for reply in items[0]["replies"]] == ["base", "tuned"]
    upside_down = draw_replies(
        samples, systems=["base", "tuned"], metric="rougeL", higher_is_better=False, seed=0, n_random=0
    )
    assert upside_down[0]["gain"] == gains[0]


# --- Markdown --------------------------------------------------------------------------------------------------------


def test_markdown_report_has_the_numbers(written, content):
    text = (written / "report.md").read_text("utf-8")
    first = content["runs"][0]["evaluations"][0]["headline"][0]
    assert f"من {first['before']:.3f} في «النموذج الأساس»" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) > 60
    assert "&#60; 0.001" in text and "&&" not in text
    signatures = {entry["signature"] for entry in content["runs"][0]["evaluations"][0]["scores"]}
    assert all(f"`{signature}`" in text for signature in signatures)
    assert "<script" not in text


def test_data_card_is_read_by_a_hub(record):
    card = data_card(record)
    _, front, body = card.split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["language"] == ["ar"]
    assert facts["license"] == "other" and facts["license_name"] == "Unicode-3.0; CC-BY-4.0"
    assert facts["size_categories"] == ["n<1K"]
    assert "97 rows of Arabic training data" in body
    assert "| stories | variety | 47 |" in body
    assert "replies-base" not in body  # what training does not take is not the data
    assert "<script" not in card


# --- faults ----------------------------------------------------------------------------------------------------------


def test_no_run_is_an_error(tmp_path):
    with pytest.raises(MashqError, match="report: expected one or more run records, got none"):
        write([], tmp_path)


def test_unknown_language_is_an_error(record, tmp_path):
    with pytest.raises(MashqError, match="report: lang: expected ar or en, got 'fr'"):
        write([record], tmp_path, lang="fr")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, "there is no such file"),
        ("{broken", "expected a run record .* in JSON"),
        ("[]", r"expected a run record .*, got a list"),
        ('{"recipe": "x", "name": "y"}', "expected a run record with 'steps', got the keys recipe, name"),
        (
            '{"recipe": "x", "name": "y", "steps": [{"name": "s", "folder": "steps/s@0"}]}',
            "step 's' has no .*not finished",
        ),
    ],
)
def test_unreadable_record_is_told(tmp_path, text, match):
    path = tmp_path / "runs" / "x" / "y.json"
    path.parent.mkdir(parents=True)
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(MashqError, match=match):
        write([path], tmp_path / "out")


def make_small(root: Path, produces: str, files: dict[str, str], **manifest: object) -> Path:
    """A run of one step that left these files."""
    folder = root / "steps" / "one@0"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"produces": produces, **manifest}), "utf-8")
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    path = root / "r" / "n.json"
    path.parent.mkdir(parents=True)
    path.write_text(
        json.dumps({"recipe": "r", "name": "n", "steps": [{"name": "one", "folder": "steps/one@0"}]}), "utf-8"
    )
    return path


def test_run_without_evaluation_claims_nothing(tmp_path):
    path = make_small(tmp_path / "runs", "model", {"log.jsonl": '{"step": 1, "loss": NaN}\n{"step": 2, "lo'})
    text = write([path], tmp_path / "out").read_text("utf-8")
    assert "لا مقارنة في هذا التشغيل" in text
    assert "ليست أعدادًا منتهية" not in text  # no finite loss, so no curve: the page says there is no log
    assert "لم يُكتب سجل تدريب" in text


def test_broken_line_inside_a_log_is_an_error(tmp_path):
    path = make_small(tmp_path / "runs", "model", {"log.jsonl": '{"step": 1, "lo\n{"step": 2, "loss": 1.0}\n'})
    with pytest.raises(MashqError, match=r"log.jsonl, line 1: expected a JSON object"):
        write([path], tmp_path / "out")


def test_counts_that_do_not_close_are_said(tmp_path):
    counts = {"in": 10, "made": 0, "kept": 8, "dropped": 1, "merged": 0, "unsampled": 0}
    path = make_small(tmp_path / "runs", "rows", {}, counts=counts)
    text = write([path], tmp_path / "out").read_text("utf-8")
    assert "الأعداد لا تتوازن" in text and "لا تتوازن أعداد الصفوف في الخطوة <bdi>one</bdi>" in text


def test_evaluation_of_one_system_has_scores_and_no_claim(tmp_path):
    import pyarrow as pa

    score = {"system": "base", "metric": "new", "slice": {"by": "all", "value": ""}, "n": 3, "signature": "new|v:1"}
    scores = {
        "systems": [{"name": "base"}],
        "baseline": "base",
        "scores": [{**score, "value": 0.5, "low": None, "high": None}],
    }
    path = make_small(tmp_path / "runs", "evaluation", {"scores.json": json.dumps(scores)})
    columns = {name: ["x"] for name in ("id", "item", "task", "template", "variety", "source", "prompt", "reference")}
    table = pa.table({**columns, "system": ["base"], "reply": ["رد"], "finish": ["stop"], "new": [0.5]})
    pq.write_table(table, tmp_path / "runs" / "steps" / "one@0" / "samples.parquet")
    text = write([path], tmp_path / "out").read_text("utf-8")
    assert "لا مقارنة في هذا التشغيل" in text and "new|v:1" in text and "رد" in text
    scores["baseline"] = "bass"
    (tmp_path / "runs" / "steps" / "one@0" / "scores.json").write_text(json.dumps(scores), "utf-8")
    with pytest.raises(MashqError, match="the baseline 'bass' is none of the systems"):
        write([path], tmp_path / "out")


def test_long_text_is_cut_on_the_page_and_the_cut_is_said(record, content):
    from mashq.report.samples import MOST_SHOWN, shown

    assert shown("ا" * MOST_SHOWN) == {"text": "ا" * MOST_SHOWN, "cut": 0}
    assert shown("ا" * 9000)["cut"] == 9000
    assert build([read_run(record)], seed=0)["runs"][0]["data"] == content["runs"][0]["data"]


# --- words -----------------------------------------------------------------------------------------------------------


def entries():
    loaded = words._entries()
    flat = {key: value for key, value in loaded.items() if key not in words.TERMS and key != "people_criterion_name"}
    return flat, {key: loaded[key] for key in (*words.TERMS, "people_criterion_name")}


def test_both_languages_have_every_sentence_with_the_same_gaps():
    flat, terms = entries()
    for key, entry in {**flat, **{f"{k}.{n}": e for k, t in terms.items() for n, e in t.items()}}.items():
        gaps = [{name for _, name, _, _ in string.Formatter().parse(entry[lang]) if name} for lang in words.LANGUAGES]
        assert set(entry) == {"ar", "en"} and all(entry.values()), key
        assert gaps[0] == gaps[1], key


def test_no_sentence_is_left_over_and_none_holds_an_invisible_mark():
    folder = Path(words.__file__).parent
    flat = set(yaml.safe_load((folder / "words.yaml").read_text("utf-8"))) - set(words.TERMS)
    code = "".join(path.read_text("utf-8") for path in [*folder.glob("*.py"), *folder.glob("*.html")])
    families = (
        "by_",
        "pick_",
        "role_",
        "verdict_",
        "limit_",
        "not_",
        "gallery_path_",
        "gallery_allowed_",
        "gallery_use_",
        "written_",
        "contamination_",
        "subset_",
        "sensitivity_",
    )
    unused = [key for key in flat if not re.search(rf"""["']{key}["']""", code) and not key.startswith(families)]
    assert unused == []
    raw = "".join(path.read_text("utf-8") for path in folder.glob("*words*.yaml"))
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\u0640]", raw)


def test_importing_the_report_is_light():
    heavy = ("torch", "transformers", "daft", "matplotlib", "scipy")
    code = f"import sys, mashq.report, mashq.evaluate; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_what_contamination_finds_has_a_name_in_both_languages():
    from mashq import contamination

    reasons = set(re.findall(r'why\[[^\n]*\] = "([^"]+)"', Path(contamination.passing.__file__).read_text("utf-8")))
    reasons |= set(re.findall(r'why\[[^\n]*\] = "([^"]+)"', Path(contamination.check.__file__).read_text("utf-8")))
    assert {"template", "formula", "no letters", "given"} <= reasons
    for lang in words.LANGUAGES:
        own = words.Words(lang)
        assert all(own.term("wording_kind", reason) != reason for reason in reasons if lang == "ar")
        kinds = [f"{kind}8" if kind == "ngram" else kind for kind in contamination.KINDS]
        assert all(own.term("evidence_kind", kind) != kind for kind in kinds)
