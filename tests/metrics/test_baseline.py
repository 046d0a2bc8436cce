"""A baseline is a mean over random pairs, is read back by mashq and others, and fits only its own encoder."""

import csv
import itertools
import json

import numpy as np
import pytest
import tiny_models

from mashq.encode import open_token_encoder
from mashq.metrics import baseline as module
from mashq.metrics.baseline import BaselineSettings, measure_baseline, texts_of_file, write_baseline
from mashq.metrics.bertscore import Baseline, bertscore_items, metrics, read_baseline
from mashq.rows import MashqError

pytest.importorskip("torch")
pytest.importorskip("transformers")

WHO = ["المعلم", "الطبيبة", "جارنا", "الفلاح", "المهندسة", "السائق", "أختي", "البائع"]
DID = ["اشترى", "قرأ", "نسي", "أصلح", "رسم", "باع", "وصف", "حمل"]
WHAT = ["كتابا قديما", "سيارة صغيرة", "لوحة جميلة", "مفتاح البيت"]
TEXTS = [" ".join(words) for words in itertools.product(WHO, DID, WHAT)]  # 256 different sentences
QUICK = BaselineSettings(pairs=100, layers=(1,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny_models.folder(tmp_path_factory.mktemp("models") / "tiny", "gpt2"))


@pytest.fixture(scope="module")
def made(folder):
    settings = BaselineSettings(pairs=100, seed=3)
    return measure_baseline(folder, TEXTS, settings, source="sentences, of my own", licence="CC0-1.0")


def test_floors_are_means_over_pairs_of_different_texts_with_their_errors(folder, made, monkeypatch):
    seen = []

    def watched(replies, references, encoder):
        seen.append((replies, references))
        return bertscore_items(replies, references, encoder)

    monkeypatch.setattr(module, "bertscore_items", watched)
    assert measure_baseline(folder, TEXTS, made.settings, source="s").floors == made.floors
    replies, references = seen[0]
    every = [*replies, *(item[0] for item in references)]
    assert len(every) == len(set(every)) == 200
    assert [one.layer for one in made.floors] == [0, 1, 2]
    values = np.array([one[:3] for one in bertscore_items(replies, references, folder, 2)])
    floor = made.floors[2]
    assert (floor.precision, floor.recall, floor.f1) == pytest.approx(values.mean(axis=0), abs=1e-6)
    errors = (floor.precision_error, floor.recall_error, floor.f1_error)
    assert errors == pytest.approx(values.std(axis=0, ddof=1) / 10, abs=1e-6)


def test_unrelated_texts_score_about_0_once_rescaled(folder, made, tmp_path):
    write_baseline(made, tmp_path / "ar.tsv")
    floor = read_baseline(tmp_path / "ar.tsv", 2)
    fresh = bertscore_items(TEXTS[:64], [[text] for text in reversed(TEXTS[-64:])], folder, 2, baseline=floor)
    raw = bertscore_items(TEXTS[:64], [[text] for text in reversed(TEXTS[-64:])], folder, 2)
    assert abs(np.mean([one.f1 for one in fresh])) < 0.35 < np.mean([one.f1 for one in raw])
    same = bertscore_items(TEXTS[:1], [TEXTS[:1]], folder, 2, baseline=floor)[0]
    assert same.f1 == pytest.approx(1, abs=1e-5)


def test_the_file_lies_in_a_folder_of_its_own_whole_or_not_at_all(made, tmp_path, monkeypatch):
    path = tmp_path / "new" / "ar.tsv"
    write_baseline(made, path)
    assert [one.name for one in path.parent.iterdir()] == ["ar.tsv"]
    before = path.read_bytes()
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space left"):
        write_baseline(made, path)
    assert path.read_bytes() == before
    with pytest.raises(MashqError, match="expected the name of a file to write, got a folder"):
        write_baseline(made, tmp_path)


def test_the_file_is_read_back_with_the_encoder_it_was_made_with(folder, made, tmp_path):
    path = tmp_path / "tiny_ar.tsv"
    write_baseline(made, path)
    floor = made.floors[1]
    found = read_baseline(path, 1)
    assert (found.name, found.layer, found.weights) == ("tiny_ar", 1, open_token_encoder(folder, 1).weights)
    assert (found.precision, found.recall, found.f1) == pytest.approx(
        (floor.precision, floor.recall, floor.f1), abs=1e-8
    )


def test_the_file_is_plain_enough_for_bert_score(made, tmp_path):
    """bert_score takes line `layer` after the header of a comma-separated file, all of it numbers."""
    write_baseline(made, tmp_path / "ar.tsv")
    with (tmp_path / "ar.tsv").open(encoding="utf-8", newline="") as file:
        head, *lines = csv.reader(file)
    assert len(head) == 4
    assert [int(line[0]) for line in lines] == [0, 1, 2]
    assert all(len(line) == 4 and 0 < float(line[3]) < 1 for line in lines)


def test_the_header_says_what_was_known(made, tmp_path):
    write_baseline(made, tmp_path / "ar.tsv")
    head = (tmp_path / "ar.tsv").read_text("utf-8").splitlines()[0]
    for said in ("texts:sentences of my own", "licence:CC0-1.0", "pairs:100", "seed:3", "most_words:31", "cut:0"):
        assert f"; {said};" in head
    assert f"0={made.floors[0].precision_error:.6f}/" in head


def test_a_baseline_of_another_encoder_or_layer_is_refused(folder, made, tmp_path):
    write_baseline(made, tmp_path / "ar.tsv")
    with pytest.raises(MashqError, match="baseline 'ar': expected one of layer 2, got layer 1"):
        bertscore_items(["كتاب"], [["درس"]], folder, 2, baseline=read_baseline(tmp_path / "ar.tsv", 1))
    with pytest.raises(MashqError, match=r"made with weights [0-9a-f]+, those of 'tiny', got 00ff\. Make one for it"):
        bertscore_items(["كتاب"], [["درس"]], folder, 1, baseline=Baseline("ar", 0.1, 0.1, 0.1, weights="00ff"))
    with pytest.raises(MashqError, match="expected one of layer 2, got layer 1"):
        metrics(folder, 2, baseline=read_baseline(tmp_path / "ar.tsv", 1))


def test_the_order_of_the_texts_does_not_matter_and_the_seed_does(folder):
    one = measure_baseline(folder, TEXTS, QUICK, source="s")
    two = measure_baseline(folder, [*reversed(TEXTS), *TEXTS, "", "  "], QUICK, source="s")
    other = measure_baseline(folder, TEXTS, BaselineSettings(pairs=100, layers=(1,), seed=1), source="s")
    assert one == two
    assert one.floors != other.floors


def test_long_texts_are_left_out_and_counted(folder):
    long = [f"{text} " * 12 for text in TEXTS[:5]]
    assert measure_baseline(folder, [*TEXTS, *long], QUICK, source="s").too_long == 5
    settings = BaselineSettings(pairs=130, layers=(1,), most_words=0)
    assert measure_baseline(folder, [*TEXTS, *long], settings, source="s").too_long == 0


def test_pairs_cut_at_the_positions_are_counted(folder, monkeypatch):
    plain = bertscore_items

    def cut(replies, references, encoder):
        found = plain(replies, references, encoder)
        return [found[0]._replace(cut=True), *found[1:]]

    monkeypatch.setattr(module, "bertscore_items", cut)
    assert measure_baseline(folder, TEXTS, QUICK, source="s").cut == 1


def test_pairs_that_share_words_are_warned_of(made):
    assert made.overlap > 0.1  # sentences of one pattern share words
    assert "the pairs share words" in made.warnings[0]
    assert made.warnings[0] in made.lines()[-1]
    assert json.loads(json.dumps(made.as_dict()))["warnings"] == made.warnings


def test_texts_come_from_any_file_with_the_licence_that_is_known(tmp_path):
    plain = tmp_path / "mine.txt"
    plain.write_text("\n".join([*TEXTS[:3], ""]), "utf-8")
    assert texts_of_file(plain) == (TEXTS[:3], "mine", "unknown")
    assert texts_of_file(plain, licence="CC-BY-4.0")[2] == "CC-BY-4.0"
    lines = tmp_path / "posts.jsonl"
    lines.write_text("".join(json.dumps({"post": text}) + "\n" for text in TEXTS[:2]), "utf-8")
    assert texts_of_file(lines, "post")[0] == TEXTS[:2]


def test_errors_say_what_to_do(folder):
    with pytest.raises(
        MashqError, match=r"texts of news: expected at least 200 different ones of at most 31 words, got 2"
    ):
        measure_baseline(folder, [*TEXTS[:2], TEXTS[0]], QUICK, source="news")
    with pytest.raises(MashqError, match="pairs: expected at least 100, got 5"):
        BaselineSettings(pairs=5)
    with pytest.raises(MashqError, match="most_words: expected 0"):
        BaselineSettings(most_words=-1)
    with pytest.raises(MashqError, match="layer: expected 0 to 2, got 7"):
        measure_baseline(folder, TEXTS, BaselineSettings(pairs=100, layers=(7,)), source="s")


def test_odd_texts_do_not_stop_it(folder):
    odd = ["\ud800 كتاب", "\x00\x01 درس", "😀", "漢字", "!!!"]
    found = measure_baseline(folder, [*TEXTS, *odd], QUICK, source="s")
    assert found.pairs == 100


def test_an_encoder_to_which_all_texts_are_one_has_no_baseline(folder, monkeypatch):
    item = bertscore_items(["كتاب"], [["كتاب"]], folder, 1)[0]._replace(precision=1.0, recall=1.0, f1=1.0)
    monkeypatch.setattr(module, "bertscore_items", lambda replies, *_: [item] * len(replies))
    with pytest.raises(MashqError, match="unrelated texts are alike; a score cannot be rescaled"):
        measure_baseline(folder, TEXTS, QUICK, source="s")
