import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq.rows import MashqError
from mashq.variety import LABELS, MIXED, UNSURE, open_teller
from mashq.variety.classifier import TABLE, our_label
from mashq.variety.features import fold, folded_text, groups, matrix
from mashq.variety.model import LinearModel
from mashq.variety.teller import MODEL, LinearTeller, pieces

LINES = (Path(__file__).parent / "arabic.txt").read_text("utf-8").splitlines()


@pytest.fixture(scope="module")
def teller() -> LinearTeller:
    made = open_teller()
    assert isinstance(made, LinearTeller)
    return made


# --- folding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("أنا إلى آخر الطريق", "انا الي اخر الطريق"),
        ("كَتَبَ الوَلَدُ", "كتب الولد"),
        ("جمييييل جدااا", "جميل جدا"),
        ("ممتع هههههه", "ممتع"),
        ("خخخخ والله", "والله"),
        ("@user شوف https://t.co/abc 😂😂 RT", "شوف"),
        ("انظر http://موقع.com/صفحة هنا", "انظر هنا"),
        ("#مصر_اليوم ١٢ 12", "مصر اليوم"),
        ("كتــــاب", "كتاب"),
        ("ﻻ إله", "لا اله"),
        ("گال چان", "گال چان"),
        ("کتاب ی", "كتاب ي"),
        ("", ""),
        ("hello 123 \ud800", ""),
    ],
)
def test_folded_text_keeps_the_language_and_not_the_platform(text: str, folded: str) -> None:
    assert folded_text(text) == folded


def test_seats_marked_by_combining_hamza_fold_like_the_composed_letters() -> None:
    composed = "مسؤول أنا بئر"
    apart = "مسو\N{ARABIC HAMZA ABOVE}ول ا\N{ARABIC HAMZA ABOVE}نا بي\N{ARABIC HAMZA ABOVE}ر"
    assert folded_text(apart) == folded_text(composed)


@given(st.lists(st.text(max_size=40) | st.sampled_from(LINES), max_size=8))
@settings(max_examples=80, deadline=None)
def test_a_text_is_counted_alone(texts: list[str]) -> None:
    together = matrix(texts, 12)
    assert together.shape == (len(texts), 1 << 12)
    for place, text in enumerate(texts):
        assert (together[[place]] != matrix([text], 12)).nnz == 0


def test_groups_of_one_letter_are_letter_ends_word_and_nothing_of_the_neighbour() -> None:
    folded = fold(["ا", "ب"])
    rows = [int((found.first < folded.begins[1]).sum()) for found in groups(folded, 12)]
    # end+letter+end; no longer run; the word; no pair, no long word
    assert rows == [1, 0, 1, 0, 0, 0]


# --- telling ---------------------------------------------------------------------------------------------------------

CLEAR = {
    "msa": "أعلنت الوزارة أمس أنها ستفتتح ثلاثة مستشفيات جديدة خلال العام المقبل.",
    "egyptian": "أنا مش عارف أعمل إيه دلوقتي، عايز أروح الدكتور بس مفيش فلوس",
    "gulf": "وش فيك اليوم؟ أبغى أروح السوق الحين بس ما أدري وين السيارة",
    "levantine": "شو بدك تعمل هلق؟ أنا كتير تعبانة وما فيني روح لهونيك",
    "iraqi": "شلونك خويه؟ هسه أكو هواية ناس يمنا وما أكدر أطلع",
    "moroccan": "واش كاين شي طبيب مزيان حدا الدار ديالك؟ راه بغيت نمشي دابا",
    "maghrebi": "برشا ناس توا ما عادش ينجموا يخدموا، شنوة نعملو باهي؟",
}


@pytest.mark.parametrize("label", list(CLEAR))
def test_plain_sentences_of_each_variety(teller: LinearTeller, label: str) -> None:
    assert teller.tell([CLEAR[label]]).best == [label]


def test_classical_prose_is_no_dialect(teller: LinearTeller) -> None:
    texts = [
        "قال الشيخ: وكان القوم إذا نزل بهم ضيف أكرموه، ولم يسألوه عن حاجته حتى تمضي ثلاثة أيام.",
        "وذكروا أن رجلا من الأعراب دخل على الأمير فقال: أصلحك الله، إني رجل لا أحسن القول.",
    ]
    assert teller.tell(texts).best == ["msa", "msa"]


def test_probabilities_are_float32_rows_that_sum_to_one(teller: LinearTeller) -> None:
    told = teller.tell(list(CLEAR.values()))
    assert told.probabilities.dtype == np.float32
    assert told.probabilities.shape == (len(CLEAR), len(teller.labels))
    assert np.abs(told.probabilities.sum(axis=1) - 1).max() < 1e-6
    assert teller.labels == LABELS


@pytest.mark.parametrize("text", ["", "   \n", "hello world", "12 ١٢ !!", "😂", "\x00\x07", "\ud800", "中文"])
def test_a_text_without_arabic_letters_is_unsure_and_evenly_likely(teller: LinearTeller, text: str) -> None:
    told = teller.tell([text])
    assert told.labels == [UNSURE]
    assert told.probabilities.tolist() == [pytest.approx([1 / len(teller.labels)] * len(teller.labels))]


def test_no_texts(teller: LinearTeller) -> None:
    told = teller.tell([])
    assert (told.labels, told.best, told.probabilities.shape) == ([], [], (0, len(teller.labels)))


def test_one_string_is_refused(teller: LinearTeller) -> None:
    with pytest.raises(MashqError, match=r"expected a list of texts, got one string. Write \[text\]"):
        teller.tell("مرحبا")


def test_standard_opening_and_egyptian_talk_is_mixed(teller: LinearTeller) -> None:
    standard = "أعلنت وزارة الصحة اليوم عن خطة جديدة تهدف إلى تطوير المستشفيات في جميع المدن خلال السنوات المقبلة."
    talk = "يا عم إنت بتقول إيه، ده أنا مش عارف أعمل إيه ولا أروح فين دلوقتي، وكمان مفيش حد عايز يساعدني خالص."
    assert teller.tell([standard + " " + talk, standard, talk]).labels == [MIXED, "msa", "egyptian"]


def test_a_text_is_told_alone(teller: LinearTeller) -> None:
    texts = [*CLEAR.values(), "", *LINES, "مرحبا " * 3000]
    together = teller.tell(texts)
    backwards = teller.tell(texts[::-1])
    assert together.labels == backwards.labels[::-1]
    assert (together.probabilities == backwards.probabilities[::-1]).all()
    for place in range(0, len(texts), 5):
        alone = teller.tell([texts[place]])
        assert (alone.probabilities[0] == together.probabilities[place]).all()
        assert alone.labels[0] == together.labels[place]


@given(st.text(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_text_is_told(text: str) -> None:
    made = open_teller()
    told = made.tell([text])
    assert told.labels[0] in {*made.labels, MIXED, UNSURE}
    assert np.isfinite(told.probabilities).all()
    made.why(text)


def test_a_megabyte_is_told(teller: LinearTeller) -> None:
    assert teller.tell(["ذهبت إلى المدرسة صباحا. " * 45_000]).best == ["msa"]
    assert len(teller.tell(["ب" * 3 + "تثج" * 350_000]).labels) == 1


def test_why_names_the_words_that_decided(teller: LinearTeller) -> None:
    markers = teller.why("ذهبت إلى الطبيب وقال لي استنى شوية علشان مفيش حد دلوقتي", most=4)
    assert len(markers) == 4
    assert {marker.label for marker in markers} == {"egyptian"}
    assert {"مفيش", "دلوقتي"} <= {marker.word for marker in markers}
    assert teller.why("12 !") == []


def test_words_add_up_to_the_score(teller: LinearTeller) -> None:
    text = CLEAR["gulf"]
    _, weights = teller.model.word_weights(text)
    scores, _ = teller.model.scores([text])
    assert weights.sum(axis=0) + teller.model.intercepts == pytest.approx(scores[0])


def test_labels_without_real_rows_are_experimental(teller: LinearTeller) -> None:
    assert {"iraqi", "maghrebi"} <= teller.experimental
    assert teller.tell(["هلا"]).experimental == teller.experimental
    assert not {"msa", "egyptian"} & teller.experimental


def test_the_shipped_model_says_what_it_was_made_of(teller: LinearTeller) -> None:
    about = teller.model.about
    assert MODEL.stat().st_size < 5_000_000
    assert about["date"]
    assert {one["file"] for one in about["data"]} >= {"arsarcasm_v2_train.csv", "arastories_msa.csv", "lexicon.yaml"}
    assert all(one["licence"] and len(one["blake2b"]) == 32 for one in about["data"])


# --- pieces ----------------------------------------------------------------------------------------------------------


def test_pieces_have_six_words_and_hold_the_whole_text() -> None:
    text = "واحد اثنان ثلاثة. أربعة خمسة ستة سبعة! ثمانية تسعة عشرة واحد اثنان ثلاثة؟ أربعة"
    assert pieces(text) == [
        "واحد اثنان ثلاثة. أربعة خمسة ستة سبعة!",
        " ثمانية تسعة عشرة واحد اثنان ثلاثة؟ أربعة",
    ]
    assert pieces("") == []
    assert [len(half.split()) for half in pieces("كلمة " * 13)] == [6, 7]


# --- models from files -----------------------------------------------------------------------------------------------


def test_a_model_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    path.write_bytes(b"no zip")
    with pytest.raises(MashqError, match=r"model\.npz: expected an \.npz file with weights"):
        open_teller(path)
    np.savez(path, weights=np.zeros((4, 2), np.int16))
    with pytest.raises(MashqError, match="markers"):
        open_teller(path)


def test_a_model_file_of_another_format_or_shape(tmp_path: Path, teller: LinearTeller) -> None:
    path = tmp_path / "model.npz"
    model = teller.model
    LinearModel(
        model.weights, model.markers, model.intercepts, model.priors, model.softness, {**model.about, "format": "x"}
    ).save(path)
    with pytest.raises(MashqError, match="expected format mashq-variety-2, got x"):
        open_teller(path)
    LinearModel(
        model.weights[:100], model.markers[:0], model.intercepts, model.priors, model.softness, model.about
    ).save(path)
    with pytest.raises(MashqError, match=r"expected arrays that fit each other, got weights int16 \(100, 7\)"):
        open_teller(path)


def test_an_object_array_is_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    np.savez(
        path,
        **{
            name: np.array([{}], object) for name in ("weights", "markers", "intercepts", "priors", "softness", "about")
        },
    )
    with pytest.raises(MashqError, match="Object arrays cannot be loaded"):
        open_teller(path)


def test_a_name_that_is_no_model() -> None:
    with pytest.raises(MashqError, match=r"there is no model 'shiped'.*Did you mean 'shipped'"):
        open_teller("shiped")


# --- published classifiers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("EGY", "egyptian"), ("MSA", "msa"), ("GLF", "gulf"), ("CAI", "egyptian"), ("Saudi_Arabia", "gulf"),
        ("LEV", "levantine"), ("Morocco", "moroccan"), ("Algeria", "maghrebi"), ("Egypt_Cairo", "egyptian"),
        ("BAG", "iraqi"), ("LABEL_0", None),
    ],
)  # fmt: skip
def test_labels_of_published_classifiers(theirs: str, ours: str | None) -> None:
    assert our_label(theirs) == ours


def test_no_name_stands_under_two_varieties() -> None:
    names = [name for listed in yaml.safe_load(TABLE.read_text("utf-8")).values() for name in listed]
    assert len(names) == len(set(names))
    assert all(isinstance(name, str) for name in names)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tests.tiny_models import tokenizer

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("classifier")
    labels = {0: "MSA", 1: "EGY", 2: "CAI", 3: "GLF"}
    config = transformers.BertConfig(
        vocab_size=512, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64, id2label=labels, label2id={name: place for place, name in labels.items()},
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def test_a_classifier_tells_in_our_labels(classifier: Path) -> None:
    made = open_teller(classifier)
    assert made.labels == ("msa", "egyptian", "gulf")
    texts = ["ذهبت البنت إلى المدرسة", "", "كتب الولد " * 100]
    told = made.tell(texts)
    assert told.probabilities.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-6)
    assert told.labels[1] == UNSURE
    assert (made.tell(texts[:1]).probabilities == told.probabilities[:1]).all()
    assert {marker.word for marker in made.why(texts[0])} <= {"ذهبت", "البنت", "إلى", "المدرسة"}


def test_a_classifier_with_unknown_labels_is_refused(classifier: Path, tmp_path: Path) -> None:
    config = json.loads((classifier / "config.json").read_text("utf-8"))
    config["id2label"]["3"] = "LABEL_3"
    for file in classifier.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(MashqError, match=r"got LABEL_3\. Write these into classifiers\.yaml"):
        open_teller(tmp_path)
