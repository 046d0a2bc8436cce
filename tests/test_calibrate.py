"""Calibration: numbers that a hand can check, thresholds that do what they say, and a file that is read back."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from mashq.calibrate import Settings, calibrate, read_pairs, run
from mashq.corruptions import KINDS
from mashq.detection import (
    Sample,
    Scored,
    auc,
    aucs,
    documents_kept,
    filtered,
    halves,
    kept,
    precision_at,
    seen,
    threshold_at,
)
from mashq.quality import open_scorer, threshold_of
from mashq.rows import MashqError

ALONE = tuple(kind for kind in KINDS if kind not in ("near_sentence", "swapped_numbers", "wrong_variety"))
NOUNS = [("book", "كتابا"), ("letter", "رسالة"), ("story", "قصة"), ("poem", "قصيدة"), ("page", "صفحة")]
WHERE = [("in the garden", "في الحديقة"), ("at school", "في المدرسة"), ("near the river", "قرب النهر")]
WHO = [("The boy", "الولد"), ("The teacher", "المعلم"), ("The man", "الرجل")]


def pairs(count=40):
    """Different true pairs: (who) read (n) times a (noun) (where)."""
    made = []
    for place in range(count):
        (noun, noun_ar), (where, where_ar), (who, who_ar) = NOUNS[place % 5], WHERE[place % 3], WHO[place // 5 % 3]
        number = 13 + 7 * place
        made.append(
            (
                f"{who} said he read a {noun} {where} {number} times.",
                f"قال {who_ar} إنه قرأ {noun_ar} {where_ar} {number} مرة.",
            )
        )
    return made


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("en\tar\n" + "".join(f"{one}\t{two}\n" for one, two in pairs()))
    return path


class Given:
    """A scorer of given scores, by the translation."""

    name, identity, scale, licence, column = "given", "given|1", (0.0, 1.0), "", "qe"

    def __init__(self, scores):
        self.scores = scores

    def batches(self, pairs):
        return [list(range(len(pairs)))]

    def score(self, pairs):
        return np.array([self.scores.get(translation, np.nan) for _, translation in pairs], np.float32)


def scored(good, bad):
    return Scored(Given({}), np.array(good, float), {"fault": np.array(bad, float)}, 0)


def test_auc_counts_ties_half():
    assert auc(np.array([3.0, 2.0]), np.array([1.0, 0.0])) == 1.0
    assert auc(np.array([1.0]), np.array([1.0])) == 0.5
    assert auc(np.array([2.0, 1.0]), np.array([1.0, 3.0])) == pytest.approx((0 + 1 + 0 + 0.5) / 4)


def test_weighted_auc_equals_repeating_the_items():
    generator = np.random.default_rng(0)
    good, bad = generator.integers(0, 6, 20).astype(float), generator.integers(0, 5, 15).astype(float)
    of_good, of_bad = generator.integers(0, 3, (4, 20)), generator.integers(0, 3, (4, 15))
    expected = [auc(np.repeat(good, one), np.repeat(bad, other)) for one, other in zip(of_good, of_bad, strict=True)]
    assert auc(good, bad, of_good.astype(float), of_bad.astype(float)) == pytest.approx(expected)


def test_balanced_is_the_mean_over_faults_whatever_their_number():
    one = Scored(Given({}), np.linspace(0.5, 1, 40), {"seen": np.zeros(40), "unseen": np.linspace(0.5, 1, 40)}, 0)
    lines = aucs(one, 0)
    assert lines["seen"]["auc"] == 1.0
    assert lines["unseen"]["auc"] == 0.5
    assert lines["balanced"]["auc"] == 0.75
    assert lines["unseen"]["low"] == lines["unseen"]["high"] == 0.5  # a pair is drawn with what was made of it
    assert lines == aucs(one, 0)


def test_precision_is_that_of_the_assumed_share_of_bad_ones():
    good, bad = kept(scored([0.2, 0.6, 0.8, 1.0], [0.1, 0.3, 0.5, 0.7]), np.array([0.6]))
    assert (good[0], bad["fault"][0]) == (0.75, 0.25)
    assert precision_at(good, bad, 0.5)[0] == pytest.approx(0.75)
    assert precision_at(good, bad, 0.1)[0] == pytest.approx(0.9 * 0.75 / (0.9 * 0.75 + 0.1 * 0.25))


def test_the_threshold_is_the_least_that_reaches_the_precision():
    one = scored(np.linspace(0.5, 1, 51), np.linspace(0, 0.8, 51))
    value, highest = threshold_at(one, 0.95, 0.5)
    good, bad = kept(one, np.array([value, value - 0.011]))
    reached = precision_at(good, bad, 0.5)
    assert reached[0] >= 0.95 > reached[1]
    assert highest == 1.0
    assert threshold_at(scored([0.5, 0.6, 0.7], [0.5, 0.6, 0.7]), 0.9, 0.5) == (None, 0.5)


def test_only_faults_that_a_scorer_sees_count():
    one = Scored(Given({}), np.linspace(0.5, 1, 40), {"seen": np.zeros(40), "unseen": np.linspace(0.5, 1, 40)}, 0)
    lines = aucs(one, 0)
    assert list(seen(one, Settings(), lines).bad) == ["seen"]
    assert list(seen(one, Settings(sees_at=0.4), lines).bad) == ["seen", "unseen"]


def test_a_scorer_that_sees_nothing_has_no_threshold():
    sample = Sample(pairs(), None, None, "pairs", "0")
    made = calibrate(sample, [Given(Same())], Settings(kinds=("truncated", "scrambled")))
    assert made.entries[0]["default"] is None
    assert made.entries[0]["no_default"] == "it sees none of these faults with an AUC of 0.8 or more"


class Same(dict):
    def get(self, key, otherwise=None):
        return 0.5


def test_halves_are_halves_whatever_the_order():
    assert halves(41).sum() == 20
    assert 0 < halves(40)[::2].sum() < 20


def test_a_check_keeps_the_good_ones_and_a_file_is_read_back(file, tmp_path):
    settings = Settings(kinds=ALONE)
    made = run(file, ["numbers", "translated"], tmp_path / "out", command="mashq calibrate", settings=settings)
    numbers = open_scorer("numbers")
    found = threshold_of(numbers, calibration=str(tmp_path / "out" / "calibration.yaml"))
    assert found.value == 1.0
    assert found.why.startswith("1: keeps 100.0% of good and ")
    loaded = yaml.safe_load((tmp_path / "out" / "calibration.yaml").read_text())
    assert loaded["pairs"] == {"name": "pairs.tsv", "hash": made.sample.hash, "n": 40}
    assert loaded["assumed"]["share_bad"] == 0.2
    by_name = {entry["scorer"]: entry for entry in loaded["scorers"]}
    assert by_name["numbers"]["auc"]["changed_number"]["auc"] == 1.0
    assert by_name["numbers"]["auc"]["scrambled"]["auc"] == 0.5
    assert by_name["translated"]["auc"]["untranslated"]["auc"] == 1.0
    assert str(tmp_path) not in (tmp_path / "out" / "calibration.yaml").read_text()


def test_a_scorer_of_quality_filters_with_the_checks():
    sample = Sample(pairs(), None, None, "pairs", "0")
    made = calibrate(sample, [Given(Same()), open_scorer("numbers"), open_scorer("length")], Settings(kinds=ALONE))
    assert list(made.combined) == ["given + checks"]
    assert aucs(made.combined["given + checks"], 0)["changed_number"]["auc"] > 0.95
    assert aucs(made.scored[0], 0)["changed_number"]["auc"] == 0.5


def test_together_scorers_see_what_each_alone_does_not(file, tmp_path):
    made = run(file, ["numbers", "translated"], tmp_path, settings=Settings(kinds=ALONE))
    lines = aucs(made.combined["all together"], 0)
    assert lines["changed_number"]["auc"] == lines["untranslated"]["auc"] == 1.0
    passed = filtered(made)
    assert passed[""] == (1.0, 40)
    assert passed["changed_number"][0] == passed["untranslated"][0] == 0.0
    assert filtered(made, ["numbers"])["untranslated"][0] > 0
    assert passed["negation"] == (1.0, 40)  # said "he read" is "he did not": nothing here sees it


def test_the_page_and_the_scores_are_written(file, tmp_path):
    run(file, ["length", "numbers"], tmp_path / "out", settings=Settings(kinds=("truncated", "scrambled")))
    page = (tmp_path / "out" / "report.md").read_text()
    assert "| truncated |" in page
    assert (tmp_path / "out" / "auc.png").stat().st_size > 1_000
    table = pq.read_table(tmp_path / "out" / "scores.parquet")
    assert table.column_names == ["pair", "kind", "source", "translation", "length", "numbers", "all together"]
    assert table["kind"].value_counts().to_pylist() == [
        {"values": "good", "counts": 40}, {"values": "truncated", "counts": 40}, {"values": "scrambled", "counts": 40},
    ]  # fmt: skip
    assert table["length"].null_count == 0


def test_people_s_judgements_take_the_place_of_corruptions(tmp_path):
    path = tmp_path / "judged.tsv"
    lines = [f"{one}\t{two if place % 2 else 'خطأ'}\t{place % 2}" for place, (one, two) in enumerate(pairs(60))]
    path.write_text("source\ttranslation\tgood\n" + "\n".join(lines) + "\n")
    made = run(path, ["numbers"], tmp_path / "out")
    assert list(made.texts) == ["judged"]
    assert aucs(made.scored[0], 0)["judged"] == {"auc": 1.0, "low": 1.0, "high": 1.0, "n": 30}
    path.write_text("source\ttranslation\tscore\n" + "\n".join(lines) + "\n")
    assert run(path, ["numbers"], tmp_path / "out", settings=Settings(good_at=0.5)).texts == made.texts
    with pytest.raises(MashqError, match=r"column score: good_at: expected a number, got none"):
        run(path, ["numbers"], tmp_path / "out")


def test_the_share_of_bad_ones_is_the_judges_and_what_nobody_judged_is_left_out(tmp_path):
    path = tmp_path / "judged.tsv"
    cells = ["1" if place % 4 == 0 else "0" if place < 80 else " " for place in range(100)]
    lines = [f"{one}\t{two}\t{cells[place]}" for place, (one, two) in enumerate(pairs(100))]
    path.write_text("en\tar\tgood\n" + "\n".join(lines) + "\n")
    judged = sum(cell != " " for cell in cells)
    made = run(path, ["numbers"], tmp_path / "out")
    assert len(made.sample.pairs) == judged == 85
    assert made.settings.bad == pytest.approx(60 / 85, abs=1e-4) and made.settings.as_judged
    loaded = yaml.safe_load((tmp_path / "out" / "calibration.yaml").read_text("utf-8"))
    assert loaded["judged"]["share_bad"] == made.settings.bad and "assumed" not in loaded
    assert "as people judged these pairs" in (tmp_path / "out" / "report.md").read_text("utf-8")
    own = run(path, ["numbers"], tmp_path / "out", settings=Settings(share_bad=0.1))
    assert own.settings.bad == 0.1 and not own.settings.as_judged


def test_a_text_without_a_score_is_dropped_and_counted():
    sample = Sample(pairs(), None, None, "pairs", "0")
    scores = {two: 0.5 + place / 100 for place, (_, two) in enumerate(pairs())}
    made = calibrate(sample, [Given(scores)], Settings(kinds=("truncated",)))
    assert made.scored[0].unscored == 40
    assert made.entries[0]["precisions"][2]["value"] == 0.5
    assert aucs(made.scored[0], 0)["truncated"]["auc"] == 1.0
    assert all(np.isfinite(made.entries[0]["sweep"]["threshold"]))


def test_a_document_passes_where_every_sentence_does():
    scores = {two: float(place % 4 > 0) for place, (_, two) in enumerate(pairs())}
    sample = Sample(pairs(), None, None, "pairs", "0")
    made = calibrate(sample, [Given(scores)], Settings(kinds=("truncated",), documents=(1, 2, 4)))
    assert documents_kept(made, made.scored[0], 0.5) == {"1 sentence": 0.75, "2 sentences": 0.5, "4 sentences": 0.0}
    named = Sample(pairs(), None, [str(place // 10) for place in range(40)], "pairs", "0")
    made = calibrate(named, [Given(dict.fromkeys(scores, 1.0))], Settings(kinds=("truncated",)))
    assert documents_kept(made, made.scored[0], 0.5) == {"documents": 1.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\n1\t2\n", r"pairs.tsv: columns: expected en and ar, or source and translation, got a, b"),
        ("en\tar\nx\n", r"pairs.tsv line 2: cells: expected 2, got 1"),
        ("en\tar\nx\ty\n", r"pairs.tsv: expected 20 pairs or more, got 1"),
        ("en\tar\tgood\n" + "x\ty\tmaybe\n" * 30, r"column good: expected 1 or 0, got 'maybe'"),
        ("en\tar\tgood\n" + "x\ty\t1\n" * 30, r"expected 20 good and 20 bad pairs, got 30 good, 0 bad"),
        ("en\tar\tscore\n" + "x\ty\thigh\n" * 30, r"column score: expected numbers"),
    ],
)
def test_files_that_cannot_be_read_are_refused(tmp_path, text, message):
    path = tmp_path / "pairs.tsv"
    path.write_text(text)
    with pytest.raises(MashqError, match=message):
        read_pairs(path, 0.5)


def test_shares_and_scorers_are_checked(file, tmp_path):
    with pytest.raises(MashqError, match=r"share_bad: expected a share between 0 and 1, got 1.5"):
        run(file, ["numbers"], tmp_path, settings=Settings(share_bad=1.5))
    with pytest.raises(MashqError, match="calibrate: scorers: expected at least one, got none"):
        run(file, [], tmp_path)
    with pytest.raises(MashqError, match=r"scorer 'number': there is none.*Did you mean 'numbers'"):
        run(file, ["number"], tmp_path)
