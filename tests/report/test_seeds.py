"""Runs that differ in the training seed alone: what is put together, what is not, and every number by hand."""

import json
import math
import re
import string
from pathlib import Path

import fake_run
import numpy as np
import pyarrow.parquet as pq
import pytest
import seed_runs
import yaml
from scipy import stats

from mashq.record import read_run
from mashq.report import page, write
from mashq.report.alike import differences, making
from mashq.report.content import build
from mashq.report.seeds import not_shown, read
from mashq.report.words import Words
from mashq.rows import MashqError
from mashq.sweep_results import estimate

METRIC = "bits_per_byte"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("seeds") / "runs"


@pytest.fixture(scope="module")
def three(root):
    return [seed_runs.make(root, seed) for seed in (2, 0, 1)]


@pytest.fixture(scope="module")
def pool(three):
    found = read([read_run(one) for one in three])
    assert found["apart"] == []
    (one,) = found["pools"]
    return one


def bits(record, system):
    """Item -> (bits, bytes, group) as the evaluation's samples hold them."""
    step = next(read_run(record).of("evaluation"))
    rows = pq.read_table(step.folder / "samples.parquet").to_pylist()
    return {
        one["item"]: (one["nats"] / math.log(2), one["target_bytes"], one["group"])
        for one in rows
        if one["system"] == system
    }


def by_hand(three):
    """Mean gain in bits a byte with its interval, written out as sums: groups by seeds, both drawn at random."""
    order = sorted(three, key=lambda path: path.stem)
    before, after = (
        [bits(one, "before") for one in order],
        [bits(one, "after") for one in order],
    )
    items = sorted(before[0])
    groups = sorted({before[0][item][2] for item in items})
    under = {group: sum(before[0][item][1] for item in items if before[0][item][2] == group) for group in groups}
    over = {
        (group, seed): sum(
            after[seed][item][0] - before[seed][item][0] for item in items if before[0][item][2] == group
        )
        for group in groups
        for seed in range(3)
    }
    n_groups, n_seeds = len(groups), 3
    whole = sum(under.values())
    mean = sum(over.values()) / (n_seeds * whole)
    z = {key: (value - mean * under[key[0]]) / (whole / n_groups) for key, value in over.items()}
    of_group = {group: sum(z[group, seed] for seed in range(3)) / 3 for group in groups}
    of_seed = [sum(z[group, seed] for group in groups) / n_groups for seed in range(3)]
    ms_group = n_seeds * sum(value**2 for value in of_group.values()) / (n_groups - 1)
    ms_seed = n_groups * sum(value**2 for value in of_seed) / (n_seeds - 1)
    rest = sum((z[g, s] - of_group[g] - of_seed[s]) ** 2 for g in groups for s in range(3))
    ms_rest = rest / ((n_groups - 1) * (n_seeds - 1))
    parts = [(ms_group, n_groups - 1), (ms_seed, n_seeds - 1), (ms_rest, (n_groups - 1) * (n_seeds - 1))]
    kept = [ms_group > ms_rest, ms_seed > ms_rest]
    weights = [*map(float, kept), 1 - sum(kept)]
    total = sum(weight * square for weight, (square, _) in zip(weights, parts, strict=True))
    freedom = total**2 / sum(w**2 * square**2 / df for w, (square, df) in zip(weights, parts, strict=True))
    half = stats.t.ppf(0.975, freedom) * math.sqrt(total / (n_groups * n_seeds))
    return mean, mean - half, mean + half, freedom


def test_the_interval_over_items_and_seeds_is_that_of_the_sums_written_out(three, pool):
    gain = next(one for one in pool["gains"] if one["metric"] == METRIC)
    found = (gain["mean"], gain["low"], gain["high"], gain["freedom"])
    assert found == pytest.approx(by_hand(three), rel=1e-9)
    assert gain["freedom"] < 10  # seeds differ by much more than items leave open, so they decide its width


def test_each_seed_has_its_value_their_spread_and_the_items_error_of_one(three, pool):
    gain = next(one for one in pool["gains"] if one["metric"] == METRIC)
    assert pool["seeds"] == ["0", "1", "2"]
    expected = [-(seed_runs.GAINS[seed]) for seed in (0, 1, 2)]
    assert gain["seeds"] == pytest.approx(expected, abs=0.01)
    assert gain["spread"] == pytest.approx(np.std(gain["seeds"], ddof=1))
    assert gain["agree"] == 3 and gain["verdict"] == "better" and gain["says"] == "beyond"
    order = sorted(three, key=lambda path: path.stem)
    before, after = bits(order[0], "before"), bits(order[0], "after")
    groups = sorted({one[2] for one in before.values()})
    over = np.array([sum(after[i][0] - before[i][0] for i in before if before[i][2] == g) for g in groups])
    under = np.array([sum(before[i][1] for i in before if before[i][2] == g) for g in groups])
    rest = (over - over.sum() / under.sum() * under) / under.mean()
    assert gain["item_errors"][0] == pytest.approx(stats.sem(rest))


def test_the_baseline_is_known_to_have_no_seed(pool):
    scores = {(one["system"], one["metric"]): one for one in pool["scores"]}
    base, tuned = scores["before", METRIC], scores["after", METRIC]
    assert base["fixed"] and base["spread"] == 0 and base["error"] == pytest.approx(base["item_errors"][0])
    assert not tuned["fixed"] and tuned["spread"] > 0.03 and tuned["error"] > tuned["item_errors"][0]
    assert "perplexity" not in pool["metrics"]


def test_only_three_seeds_let_the_line_on_one_training_go(three):
    def keys(records):
        content = build([read_run(one) for one in records], seed=0)
        return [
            [key for key in one["not_shown"] if key.startswith("not_seeds")]
            for run in content["runs"]
            for one in run["evaluations"]
        ]

    assert keys(three[:1]) == [["not_seeds"]]
    assert keys(three[:2]) == [["not_seeds_two"]] * 2
    assert keys(three) == [["not_seeds_here"]] * 3
    assert not_shown("any", False, {}) == []


def test_two_seeds_carry_no_verdict(three):
    found = read([read_run(one) for one in three[:2]])
    (pool,) = found["pools"]
    assert {one["says"] for one in pool["gains"]} == {"few"} and {one["verdict"] for one in pool["gains"]} == {""}


def test_runs_that_ask_other_items_are_not_put_together(root, three):
    other = seed_runs.make(root, 3, name="more-rows", size=fake_run.Size(rows=60))
    found = read([read_run(one) for one in [*three, other]])
    assert [len(pool["runs"]) for pool in found["pools"]] == [3]
    (apart,) = found["apart"]
    assert apart["why"] == "settings" and apart["runs"][1] == "quickstart/more-rows"
    told = {(one["step"], one["name"], *one["values"]) for one in apart["differences"]}
    assert ("facts", "rows", "90", "60") in told and ("asked", "rows", "90", "60") in told


def test_another_learning_rate_is_no_other_seed(root, three):
    other = seed_runs.make(root, 3, name="faster", lr_peak=5e-4)
    found = read([read_run(three[0]), read_run(other)])
    (apart,) = found["apart"]
    assert found["pools"] == []
    assert apart["differences"] == [{"step": "tuned", "name": "train.lr_peak", "values": ["0.0002", "0.0005"]}]


def test_items_that_are_not_the_same_are_refused_though_the_settings_are(root, three, tmp_path):
    """The samples of one run, as though something outside its settings had chosen what was asked."""
    copied = tmp_path / "runs"
    records = [seed_runs.make(copied, seed) for seed in (0, 1)]
    step = next(read_run(records[1]).of("evaluation"))
    table = pq.read_table(step.folder / "samples.parquet")
    pq.write_table(table.slice(0, table.num_rows - 8), step.folder / "samples.parquet")
    found = read([read_run(one) for one in records])
    assert found["pools"] == []
    (apart,) = found["apart"]
    assert apart["why"] == "items" and apart["shared"] < apart["all"]


def test_the_same_seed_twice_counts_once(root, three):
    twin = seed_runs.make(root, 0, name="twin")
    found = read([read_run(one) for one in [*three, twin]])
    assert [pool["seeds"] for pool in found["pools"]] == [["0", "1", "2"]]
    assert [(one["why"], one["runs"]) for one in found["apart"]] == [("same", ["quickstart/seed-0", "quickstart/twin"])]


def test_runs_of_two_recipes_are_named_and_left_apart(root, three):
    other = seed_runs.make(root, 1, recipe="stories")
    found = read([read_run(three[1]), read_run(other)])
    assert found["pools"] == [] and [one["why"] for one in found["apart"]] == ["recipes"]
    assert read([read_run(three[0])]) is None


def test_random_weights_get_no_verdict(tmp_path):
    records = [seed_runs.make(tmp_path / "runs", seed, model="toy-llama") for seed in (0, 1, 2)]
    (pool,) = read([read_run(one) for one in records])["pools"]
    assert pool["toys"] == ["toy-llama"] and {one["says"] for one in pool["gains"]} == {"toys"}
    text = write(records, tmp_path / "report", lang="en").read_text("utf-8")
    section = text[text.index('id="over-seeds"') : text.index('class="run-title"')]
    assert "verdict better" not in section and "small models with random weights" in section


def test_a_making_is_compared_in_whole_values(root, three):
    """A long setting is compared to its end, not to where a page would cut it."""
    one, other = (making(run, next(run.of("evaluation"))) for run in (read_run(three[0]), read_run(three[1])))
    assert (one.seed, other.seed) == ("2", "0") and differences(one, other) == []
    one.steps["asked"]["long"], other.steps["asked"]["long"] = "x" * 5000 + "a", "x" * 5000 + "b"
    assert [told["name"] for told in differences(one, other)] == ["long"]
    del other.steps["facts"]
    assert {"step": "facts", "name": "", "values": ["facts", "–"]} in differences(one, other)


@pytest.mark.parametrize("lang", ["ar", "en"])
def test_page_markdown_and_json_say_the_same(lang, three, tmp_path):
    path = write(three, tmp_path / lang, lang=lang)
    text, markdown = path.read_text("utf-8"), (path.parent / "report.md").read_text("utf-8")
    found = json.loads((path.parent / "report.json").read_text("utf-8"))["over_seeds"]
    gain = next(one for one in found["pools"][0]["gains"] if one["metric"] == METRIC)
    shown = f"{abs(gain['mean']):.3f}"
    assert 'href="#over-seeds"' in text and shown in text and shown in markdown
    sentence = {"ar": "أكبر مما تختلف به البذور", "en": "is larger than what seeds differ by"}[lang]
    assert sentence in text and sentence in markdown
    alone = {"ar": "التدريب هنا مرة واحدة ببذرة واحدة", "en": "Training was done once, with one seed"}[lang]
    assert alone not in text and alone not in markdown


def test_a_hostile_setting_does_not_run(root, three, tmp_path):
    evil = seed_runs.make(root, 3, name="evil", model='<script>alert("1")</script>|`x')
    path = write([three[0], evil], tmp_path / "evil", lang="ar")
    text, markdown = path.read_text("utf-8"), (path.parent / "report.md").read_text("utf-8")
    assert "<script" not in text and "&lt;script&gt;" in text
    section = markdown[markdown.index("## البذور") : markdown.index("## quickstart/")]
    assert "<script" not in re.sub(r"`[^`\n]*`", "", section) and "evil" in section  # in a code span it is text


@pytest.mark.parametrize(("seeds", "least"), [(2, 0.86), (3, 0.91), (5, 0.92)])
def test_how_often_the_interval_holds_the_truth(seeds, least):
    """What the page says of two and three seeds, where seeds differ by a third of what items differ by."""
    random = np.random.default_rng(11)
    held = 0
    for _ in range(1000):
        over = random.normal(size=(100, 1)) + 0.3 * random.normal(size=(1, seeds))
        over = over + 0.5 * random.normal(size=(100, seeds))
        found = estimate(over, np.ones(100), np.arange(100))
        held += found.low <= 0 <= found.high
    assert held / 1000 >= least


def test_a_page_too_large_shows_the_first_seed_in_full_and_names_the_others(three, tmp_path, monkeypatch):
    content = build([read_run(one) for one in three], seed=0)
    whole = page.render(content, Words("en"))
    monkeypatch.setattr(page, "MOST_BYTES", len(whole.encode()) - 1)
    text = page.render(content, Words("en"))
    assert len(text) < len(whole) * 0.7
    assert "To keep the page below 5 MB" in text and "To keep the page below 5 MB" not in whole
    assert text.count('class="run-title"') == 1 and whole.count('class="run-title"') == 3
    monkeypatch.setattr(page, "MOST_BYTES", 1000)
    with pytest.raises(MashqError, match="expected less than 1,000"):
        page.render(content, Words("en"))


def test_every_sentence_stands_in_both_languages_with_the_same_gaps_and_is_used():
    folder = Path(page.__file__).parent
    entries = yaml.safe_load((folder / "words_seeds.yaml").read_text("utf-8"))
    names = ("seeds.py", "seeds_page.py", "seeds.html", "page.html")
    code = "".join((folder / name).read_text("utf-8") for name in names)
    for key, entry in entries.items():
        gaps = [{name for _, name, _, _ in string.Formatter().parse(entry[lang]) if name} for lang in ("ar", "en")]
        assert set(entry) == {"ar", "en"} and all(entry.values()) and gaps[0] == gaps[1], key
        said = key.removeprefix("seeds_says_").removeprefix("apart_").removeprefix("untold_")
        assert re.search(rf"""["']({key}|{said})["']""", code), key
