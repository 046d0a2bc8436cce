"""A run in the shape of the table of the paper that its recipe stands for, and apart from it what was published."""

import json
import random
import re
import string
from dataclasses import dataclass
from pathlib import Path

import fake_run
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from mashq.evaluate import evaluate
from mashq.lm.toy import TOYS
from mashq.metrics import Metric
from mashq.packaged import parsed
from mashq.rating.people import said_by_people
from mashq.rating.study import sample_id
from mashq.rating.table import COLUMNS
from mashq.record import read_run
from mashq.report import markdown, page, papers, words
from mashq.report.content import build
from mashq.report.novelty import AGAINST
from mashq.report.paper_tables import SHAPES
from mashq.rows import replace
from mashq.run import Job, Step, Store
from mashq.settings import builtins
from mashq.shards import write_json

CRITERIA = ("fluency", "coherence", "following_instructions", "consistency", "variety")
LABELS = {"base": "untuned", "tuned": "tuned", "shuffled": "shuffled"}
ABSENT = {"label": "Jais <b>13B</b>", "model": "jais-13b-chat", "why": "no model at hand"}
SIGNED = "encoder:mbert|weights:0123|layer:9|idf:none|baseline:none|refs:best|most_tokens:any|mashq:0.1.0"
METRICS = {
    "dialogue": ("bits_per_byte", "perplexity"),
    "prompts": ("rougeL",),
    "medical": tuple(f"bertscore_{part}" for part in ("precision", "recall", "f1")),
    "stories": tuple(f"judge_{name}" for name in CRITERIA),
    "stages": ("bits_per_byte",),
}
STEPS = {"medical": "students"}
SLICES = {"prompts": ("task",), "stories": ("variety",)}


@dataclass(frozen=True)
class Asked:
    rows: int = 36
    seed: int = 7
    metrics: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()


def given(system: str, metric: str, item: str) -> float:
    """A number that a judge or an encoder might give."""
    chooser = random.Random(f"{system} {metric} {item}")
    if metric.startswith("judge"):
        return float(min(5, max(1, chooser.choice((2, 3, 4)) + (system == "tuned"))))
    return 0.6 + 0.2 * chooser.random() + 0.05 * (system == "tuned")


def metric_of(name: str) -> str | Metric:
    if name.startswith(("judge", "bertscore")):
        part = name.partition("_")[2]
        told = f"bertscore|{part}|{SIGNED}" if name.startswith("bert") else f"{name}|model:judge-x|rubric:stories:ab|x"
        unit = "1..5" if name.startswith("judge") else "-1..1"
        return Metric(name, lambda replies, references: [], told, True, unit, lambda meta: meta[name])
    return name


def with_given(table: pa.Table, system: str, metrics: tuple[str, ...]) -> pa.Table:
    own = [name for name in metrics if not isinstance(metric_of(name), str)]
    metas = [
        {**json.loads(row["meta"]), **{name: given(system, name, row["parents"][0].hex()) for name in own}}
        for row in table.to_pylist()
    ]
    return replace(table, meta=[json.dumps(meta) for meta in metas])


def score(job: Job) -> dict[str, int]:
    metrics = tuple(job.settings.metrics)
    systems = {name: [with_given(table, name, metrics) for table in job.read(f"replies-{name}")] for name in LABELS}
    found = evaluate(
        systems,
        baseline="base",
        metrics=[metric_of(name) for name in metrics],
        slices=tuple(job.settings.slices),
        labels=LABELS,
        about={name: {"model": "small", "tokenizer": "same"} for name in LABELS},
        training_texts=[*fake_run.STORIES.values()] if "perplexity" in metrics else None,
        absent=[ABSENT],
        seed=job.settings.seed,
        out=job.folder,
    )
    return {"items": found["items"]}


def make(root: Path, recipe: str) -> Path:
    """The record of a small run of `recipe` through the real runner and evaluation."""
    asked = Asked(metrics=METRICS[recipe], slices=SLICES.get(recipe, ()))
    small = fake_run.Size(rows=asked.rows)
    raw = Step("facts", fake_run.facts, small, kind="stream", rows_per_part=150)
    prompts = Step("prompts", fake_run.prompts, small, {"facts": raw}, here=True)
    works = {"base": fake_run.replies_base, "tuned": fake_run.replies_tuned, "shuffled": fake_run.replies_shuffled}
    said = {f"replies-{s}": Step(f"replies-{s}", w, small, {"rows": prompts}, here=True) for s, w in works.items()}
    scored = Step(STEPS.get(recipe, "gain"), score, asked, said, kind="folder", produces="evaluation")
    made = [Store(root).make(step) for step in (raw, prompts, *said.values(), scored)]
    entries = [
        {"name": one.step.name, "folder": f"steps/{one.folder.name}", "fingerprint": one.step.fingerprint,
         "seconds": 1.0, "reused": False, "drift": []}
        for one in made
    ]  # fmt: skip
    record = {"recipe": recipe, "name": "ab12", "caption": "", "settings": builtins(asked), "steps": entries}
    same = {"mashq": "0.1.0", "engine": "local", "started": "", "seconds": 1.0, "machine": {}}
    write_json(root / recipe / "ab12.json", {**record, **same})
    return root / recipe / "ab12.json"


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("papers") / "runs"
    return {recipe: make(root, recipe) for recipe in SHAPES}


@pytest.fixture(scope="session")
def contents(runs):
    """Recipe -> the facts of its run, with the systems that were not run."""
    found = {recipe: build([read_run(path)], seed=7)["runs"][0] for recipe, path in runs.items()}
    for run in found.values():
        for one in run["evaluations"]:
            one["absent"] = [ABSENT]
    return found


@pytest.fixture(scope="session")
def facts(contents):
    return {recipe: papers.read(recipe, run["evaluations"], []) for recipe, run in contents.items()}


def people_of(record: Path, criteria: tuple[str, ...]) -> dict:
    """What two simulated raters said of the replies of a run, as the step of people makes it."""
    (step,) = read_run(record).of("evaluation")
    samples = step.folder / "samples.parquet"
    rows = []
    for sample in pq.read_table(samples).to_pylist():
        named = sample_id("absolute", sample["item"], [sample["system"]], [sample["reply"]])
        for rater in ("one", "two"):
            for criterion in criteria:
                chooser = random.Random(f"{named} {criterion}")
                value = (
                    chooser.choice((2, 3, 4))
                    + (sample["system"] == "tuned")
                    - (rater == "two") * chooser.choice((0, 1))
                )
                row = dict.fromkeys(COLUMNS.names)
                row |= {"study": "s", "simulated": True, "rater": rater, "dialect": "msa", "withdrawn": False}
                row |= {"item": named, "kind": "absolute", "role": "item", "variety": sample["variety"]}
                row |= {"group": sample["group"], "criterion": criterion, "system": sample["system"], "note": ""}
                rows.append({**row, "value": float(value), "said": str(value), "seconds": 9.0})
    found = said_by_people(pa.Table.from_pylist(rows, COLUMNS), samples, baseline="base", seed=7)
    return {"kind": "people", "step": "people", **found}


def table_of(facts, kind):
    return next(table for table in facts["tables"] if table["kind"] == kind)


def entry(content, metric, system, by="all", value=""):
    (found,) = (
        one
        for one in content["evaluations"][0]["scores"]
        if (one["metric"], one["system"], one["slice"]) == (metric, system, {"by": by, "value": value})
    )
    return found


# --- facts -----------------------------------------------------------------------------------------------------------


def test_other_recipes_and_runs_without_an_evaluation_have_no_table(contents):
    evaluations = contents["prompts"]["evaluations"]
    assert papers.read("quickstart", evaluations, []) is None
    assert papers.read("tune", evaluations, []) is None
    assert papers.read("prompts", [], []) is None


def test_facts_are_json_and_rows_are_the_systems_in_their_order(facts):
    for recipe, found in facts.items():
        assert json.loads(json.dumps(found, allow_nan=False)) == found, recipe
        for table in found["tables"]:
            if table["kind"] != "tasks":
                assert [row["label"] for row in table["families"][0]["rows"]] == list(LABELS.values())
                assert table["absent"] == [{"label": "Jais <b>13B</b>", "why": "no model at hand"}]


def test_prompts_show_both_averages_and_each_task_with_its_mark(contents, facts):
    whole, tasks = facts["prompts"]["tables"]
    assert [column["by"] for column in whole["columns"]] == ["macro", "all"]
    tuned = whole["families"][0]["rows"][1]["cells"]
    for cell, (by, value) in zip(tuned, (("macro", "task"), ("all", "")), strict=True):
        truth = entry(contents["prompts"], "rougeL", "tuned", by, value)
        assert [cell[name] for name in ("value", "low", "high", "n")] == [
            truth[name] for name in ("value", "low", "high", "n")
        ]
    assert [row["task"] for row in tasks["rows"]] == ["capital", "story"]
    for row in tasks["rows"]:
        (compared,) = (
            one
            for one in contents["prompts"]["evaluations"][0]["comparisons"]
            if (one["a"], one["metric"], one["slice"]["value"]) == ("tuned", "rougeL", row["task"])
        )
        assert compared["p_holm"] < 0.05 and compared["difference"] > 0
        assert [cell["verdict"] for cell in row["cells"]][:2] == [None, "better"]


def test_baseline_is_never_marked(facts):
    for found in facts.values():
        for table in found["tables"]:
            for family in table.get("families", []):
                assert all(cell["verdict"] is None for cell in family["rows"][0]["cells"] if cell)


def test_dialogue_shows_novelty_with_the_references_as_yardstick(contents, facts):
    table = table_of(facts["dialogue"], "scores")
    assert [column["metric"] for column in table["columns"]][:2] == ["perplexity", "bits_per_byte"]
    copied = {
        one["system"]: one["novelty"]["training+context"] for one in contents["dialogue"]["evaluations"][0]["copied"]
    }
    place = [column["metric"] for column in table["columns"]].index("novelty3")
    assert table["columns"][place]["signature"].startswith("novelty3|mccoy2023|against:training+context|")
    assert table["families"][0]["rows"][1]["cells"][place]["value"] == copied["tuned"]["3"]["value"]
    assert {one["metric"]: one["value"] for one in table["references"]}["novelty3"] == copied["reference"]["3"]["value"]


@pytest.mark.parametrize("lang", ["ar", "en"])
def test_novelty_is_told_against_training_and_context_and_against_each_alone(runs, lang):
    content, said = build([read_run(runs["dialogue"])], seed=7), words.Words(lang)
    (evaluation,) = content["runs"][0]["evaluations"]
    (tuned,) = (one["novelty"] for one in evaluation["copied"] if one["system"] == "tuned")
    text, drawn = markdown.report_markdown(content, said), page.render(content, said)
    assert said.plain("novelty_caption") in text
    assert tuned["training+context"] != tuned["training"]
    for against, name in AGAINST.items():
        shares = " | ".join(f"{tuned[against][str(n)]['value']:.3f}" for n in (1, 2, 3))
        assert any(line.startswith(f"| {said.plain(name)} |") and shares in line for line in text.splitlines())
        assert f"<bdi>{said.plain(name)}</bdi>" in drawn


def test_what_was_not_measured_is_a_dash_with_its_reason(facts):
    told = {one["why"]: one["metrics"] for one in table_of(facts["dialogue"], "scores")["reasons"]}
    assert told["paper_why_dialogue"] == ["dialogue_score"]
    assert told["paper_why_untested"] == ["perplexity"]
    judge = table_of(facts["stages"], "judge")
    assert all(cell is None for row in judge["families"][0]["rows"] for cell in row["cells"])
    assert judge["reasons"] == [{"why": "paper_why_judge", "metrics": [f"judge_{name}" for name in CRITERIA]}]
    assert judge["judge"] is None
    assert table_of(facts["stages"], "people")["reasons"] == [{"why": "paper_why_people", "metrics": list(CRITERIA)}]


def test_one_task_has_no_average_over_tasks(contents):
    one = contents["prompts"]["evaluations"][0]
    single = {**one, "scores": [s for s in one["scores"] if s["slice"]["by"] not in ("macro", "task")]}
    (table,) = papers.read("prompts", [single], [])["tables"]
    assert table["columns"][0]["signature"] is None
    assert table["reasons"] == [{"why": "paper_why_macro", "metrics": ["rougeL"]}]


def test_bertscore_names_encoder_layer_and_weights(facts):
    table = table_of(facts["medical"], "scores")
    assert table["encoder"] == {"encoder": "mbert", "layer": "9", "idf": "none", "baseline": "none"}
    assert [column["metric"] for column in table["columns"]] == list(METRICS["medical"])


def test_two_tokenizers_never_share_a_column(contents):
    one = contents["dialogue"]["evaluations"][0]
    other = [
        {**s, "signature": s["signature"].replace("tokenizer:same", "tokenizer:other")}
        if (s["metric"], s["system"]) == ("perplexity", "tuned")
        else s
        for s in one["scores"]
    ]
    found = papers.read("dialogue", [{**one, "scores": other}], [])
    table = table_of(found, "scores")
    assert [column["metric"] for column in table["columns"]].count("perplexity") == 2
    rows = table["families"][0]["rows"]
    assert [[cell is not None for cell in row["cells"][:2]] for row in rows] == [[1, 0], [0, 1], [1, 0]]
    assert {"why": "paper_why_some", "metrics": ["perplexity"]} in table["reasons"]
    names = [column["name"] for column in papers.view(words.Words("en"), found)["tables"][0]["columns"]]
    assert names[:2] == ["per-token perplexity, same", "per-token perplexity, other"]


def test_judge_scores_stand_by_variety_and_name_the_judge(contents, facts):
    table = table_of(facts["stories"], "judge")
    assert table["judge"] == {"model": "judge-x", "rubric": "stories:ab"}
    assert [family["value"] for family in table["families"]] == ["", "egyptian", "moroccan", "msa"]
    cell = table["families"][1]["rows"][1]["cells"][0]
    truth = entry(contents["stories"], "judge_fluency", "tuned", "variety", "egyptian")
    assert (cell["value"], cell["n"]) == (truth["value"], truth["n"])


def test_people_stand_beside_the_judge_with_their_own_tests(runs, contents):
    part = people_of(runs["stories"], CRITERIA)
    found = papers.read("stories", contents["stories"]["evaluations"], [part])
    table = table_of(found, "people")
    (mean,) = (
        one
        for one in part["means"]
        if (one["system"], one["criterion"], one["variety"]) == ("tuned", "coherence", "msa")
    )
    family = next(one for one in table["families"] if one["value"] == "msa")
    assert family["rows"][1]["cells"][1]["value"] == mean["value"]
    whole = table["families"][0]["rows"][1]["cells"]
    compared = {one["criterion"]: one for one in part["comparisons"] if (one["a"], one["variety"]) == ("tuned", "all")}
    assert [cell["verdict"] for cell in whole] == [
        "better" if compared[name]["p_holm"] < 0.05 else None for name in CRITERIA
    ]
    assert table["raters"] == 2 and table["simulated"] is True and table["reasons"] == []


def test_dialogue_gives_kappa_and_spearman_of_the_raters(runs, contents):
    part = people_of(runs["dialogue"], ("fluency", "relevance"))
    found = papers.read("dialogue", contents["dialogue"]["evaluations"], [part])
    truth = {m["name"]: m["value"] for m in part["agreement"][0]["measures"]}
    first = found["agreement"][0]
    assert first["criterion"] == "fluency"
    assert {name: one["value"] for name, one in first["measures"].items()} == {
        name: truth[name] for name in ("kappa", "quadratic kappa", "spearman")
    }
    shown = papers.view(words.Words("en"), found)
    assert shown["agreement"][0]["name"] == "Fluency"
    assert shown["agreement"][0]["cells"][2]["value"] == f"{truth['spearman']:.3f}"
    # Criteria of the rubric that nobody was asked for are dashes.
    assert {"why": "paper_why_criterion", "metrics": ["coherence", "naturalness", "variety"]} in table_of(
        found, "people"
    )["reasons"]


def test_too_few_groups_to_mark_anything_is_said(contents):
    one = contents["prompts"]["evaluations"][0]
    few = {**one, "comparisons": [{**c, "verdict": "unclear", "powerless": True} for c in one["comparisons"]]}
    many = {**one, "comparisons": [{**c, "powerless": False} for c in one["comparisons"]]}
    said = [papers.read("prompts", [some], [])["tables"][0]["unmarkable"] for some in (few, many)]
    assert said == [True, False]


def test_models_with_random_weights_are_said(contents):
    one = contents["prompts"]["evaluations"][0]
    toys = {**one, "about": {"base": [{"name": "model", "text": next(iter(TOYS)), "cut": 0}]}}
    assert [papers.read("prompts", [some], [])["toys"] for some in (one, toys)] == [False, True]


def test_only_evaluations_of_the_papers_table_are_shown(contents):
    one = contents["stories"]["evaluations"][0]
    found = papers.read("stories", [{**one, "step": "obeyed"}, one], [])
    assert {table["step"] for table in found["tables"]} == {"gain"}
    other = papers.read("stories", [{**one, "step": "mine"}], [])
    assert {table["step"] for table in other["tables"]} == {"mine"}


# --- what was published ----------------------------------------------------------------------------------------------


def test_published_figures_are_the_papers():
    published = parsed("papers")
    rows = {
        paper: {str(row["system"]): row["cells"] for row in published[paper]["table"]["rows"]}
        for paper in ("dialogue", "prompts", "medical")
    }
    assert rows["medical"]["Mistral-7B-Instruct-v0.2"] == ["68.5", "69.08", "68.5"]
    assert rows["prompts"]["Qwen2-Instruct 7B"] == ["0.143"] and rows["prompts"]["Llama3-Instruct 70B"] == ["0.221"]
    assert ["0.823", "9.4"] in rows["dialogue"].values()
    told = [cell for paper in rows.values() for cells in paper.values() for cell in cells if cell]
    assert sorted(told) == ["0.143", "0.184", "0.221", "0.224", "0.823", "68.5", "68.5", "69.08", "9.4"]
    assert published["stories"]["table"] is None


def test_published_figures_never_stand_in_a_column_of_ours(facts):
    for recipe, found in facts.items():
        shown = papers.view(words.Words("en"), found)
        figures = {cell for row in shown["published"]["rows"] for cell in row["cells"] if cell}
        ours = [
            cell["value"]
            for table in shown["tables"]
            for family in table["families"]
            for row in family["rows"]
            for cell in row["cells"]
            if cell
        ]
        named = {row["system"]["text"] for row in shown["published"]["rows"]}
        rows = {row["label"] for table in shown["tables"] for family in table["families"] for row in family["rows"]}
        assert not figures & set(ours) and not named & rows, recipe
        assert shown["published"]["hidden"] and shown["published"]["against"]


def test_data_has_both_languages_and_rows_as_wide_as_the_head():
    def texts(value):
        if isinstance(value, dict) and set(value) == {"ar", "en"}:
            yield value
        elif isinstance(value, dict | list):
            for one in value.values() if isinstance(value, dict) else value:
                yield from texts(one)

    for paper in parsed("papers").values():
        assert set(paper) == {"title", "authors", "where", "table", "said", "against", "hidden"}
        for text in texts(paper):
            assert re.search("[\u0621-\u064a\u066a]", text["ar"]) and not re.search("[\u0621-\u064a]", text["en"])
        for row in (paper["table"] or {"rows": []})["rows"]:
            assert len(row["cells"]) == len(paper["table"]["columns"])


# --- page and Markdown -----------------------------------------------------------------------------------------------


def html_of(facts, lang):
    """The section alone, with the macros that the page gives it."""
    environment = page.environment_of(words.Words(lang))
    whole = (Path(page.__file__).parent / "page.html").read_text("utf-8")
    macros = "".join(re.findall(r"{% macro (?:th|code)\(.*?{%- endmacro %}", whole, re.S))
    shown = papers.view(words.Words(lang), facts)
    return environment.from_string(macros + '{% include "papers.html" %}').render(paper=shown)


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_section_is_laid_out_in_both_languages(facts, lang):
    said = {"ar": "لم يُشغَّل: النموذج غير متوفّر", "en": "not run: no model at hand"}[lang]
    for recipe, found in facts.items():
        html = html_of(found, lang)
        assert said in html and "Jais &lt;b&gt;13B&lt;/b&gt;" in html and "<b>13B" not in html, recipe
        assert html.index("<aside") > html.rindex('<table class="board"')
        assert html.count("<table") == html.count("</table>") and html.count("<tr>") <= html.count("</tr>")


def test_marks_and_intervals_are_on_the_page(contents, facts):
    html = html_of(facts["prompts"], "en")
    truth = entry(contents["prompts"], "rougeL", "tuned")
    assert f"{truth['value']:.3f}</bdi>" in html and f"[{truth['low']:.3f}, {truth['high']:.3f}]" in html
    assert html.count('<span class="pick best">▲</span>') == 8  # tuned and shuffled: both averages, both tasks


def test_simulated_people_are_said_loudly(runs, contents):
    found = papers.read("stories", contents["stories"]["evaluations"], [people_of(runs["stories"], CRITERIA)])
    assert "simulated raters, not of people" in html_of(found, "en")
    assert "simulated raters, not of people" in "\n".join(papers.markdown(words.Words("en"), found))
    plain = papers.read("stories", contents["stories"]["evaluations"], [])
    assert "simulated" not in html_of(plain, "en")


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_markdown_has_whole_tables_and_the_published_figures_apart(facts, lang):
    for recipe, found in facts.items():
        lines = papers.markdown(words.Words(lang), found)
        assert lines[0].startswith("### ")
        widths = [line.count(" | ") for line in lines if line.startswith("| ")]
        heads = [place for place, line in enumerate(lines) if line.startswith("| --- |")]
        assert heads and "<b>" not in "\n".join(lines)
        for place in heads:
            body = lines[place - 1 : next(i for i in range(place, len(lines)) if not lines[i].startswith("|"))]
            assert len({line.count(" | ") for line in body}) == 1, recipe
        assert widths


def test_run_of_a_recipe_shows_the_section_on_its_page(runs):
    content = build([read_run(runs["prompts"])], seed=7)
    assert content["runs"][0]["paper"]["paper"] == "prompts"
    html = page.render(content, words.Words("en"))
    assert html.count('id="r1-paper"') == 1 and "Creating Arabic LLM Prompts at Scale" in html
    assert "Creating Arabic LLM Prompts at Scale" in markdown.report_markdown(content, words.Words("en"))


# --- words -----------------------------------------------------------------------------------------------------------


def test_sentences_are_in_both_languages_with_the_same_gaps_and_all_used():
    path = Path(words.__file__).with_name("words_papers.yaml")
    raw = path.read_text("utf-8")
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\u0640]", raw)
    folder = path.parent
    code = "".join((folder / name).read_text("utf-8") for name in ("papers.py", "paper_tables.py", "papers.html"))
    families = ("paper_kappa", "paper_quadratic_kappa", "paper_spearman")
    made = {"paper_scores", "paper_tasks", "paper_judge", "paper_people", "paper_why_judge", "paper_why_people"}
    loaded = yaml.safe_load(raw)
    names = loaded.pop("metric")
    assert all(set(name) == {"ar", "en"} for name in names.values())
    for key, entry in loaded.items():
        gaps = [{name for _, name, _, _ in string.Formatter().parse(entry[lang]) if name} for lang in words.LANGUAGES]
        assert set(entry) == {"ar", "en"} and all(entry.values()) and gaps[0] == gaps[1], key
        assert re.search(rf"""["']{key}["']""", code) or key in (*families, *made), key
