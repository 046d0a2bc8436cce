"""Dialect normalisation: every example of every list, hard negatives, protection, undo, idempotence, the standard."""

import csv
import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq import arabic, dialect, dialect_words
from mashq.dialect import Edit, Normalised, Normaliser, undo
from mashq.rows import MashqError

LISTS = ("common", *dialect_words.FILES)
EXAMPLES = [
    (name, entry, strength)
    for name in LISTS
    for entry in dialect_words.entries(name)
    for strength in dialect.STRENGTHS
    if strength in entry.targets
]
SHADDA, FATHA, FATHATAN = "\N{ARABIC SHADDA}", "\N{ARABIC FATHA}", "\N{ARABIC FATHATAN}"


def changed(text, variety=None, strength="function_words", **kwargs):
    return Normaliser(variety, strength, **kwargs).normalise(text).text


# --- the lists -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "entry", "strength"), EXAMPLES, ids=[f"{n}-{e.place}-{s}" for n, e, s in EXAMPLES])
def test_example_of_every_entry(name, entry, strength):
    variety = None if name == "common" else entry.of[0] if entry.of else name
    assert changed(entry.sentence(None), variety, strength) == entry.sentence(strength)


def test_every_example_shows_a_change_of_its_own_word():
    for name, entry, strength in EXAMPLES:
        before, after = entry.sentence(None), entry.sentence(strength)
        spelt_alike = strength == "spelling" and set(entry.forms) == {entry.targets["spelling"]}
        assert before != after or spelt_alike or len(entry.targets) > 1, (name, entry.place)


def test_lists_hold_what_is_promised():
    sizes = {name: len(dialect_words.entries(name)) for name in LISTS}
    assert sizes["common"] >= 100
    assert all(sizes[name] >= 120 for name in dialect_words.FILES), sizes
    assert len(dialect_words.protected()) >= 300


def test_entry_without_a_target_is_refused():
    with pytest.raises(MashqError, match=r"egyptian.yaml: entry 3: expected a target, a gloss and an example"):
        dialect_words._entry("egyptian", 3, {"forms": "كدا", "gloss": "so", "example": "كدا"})


def test_unknown_field_of_an_entry_is_refused():
    with pytest.raises(MashqError, match=r"entry 1: expected fields of .*, got 'targets'"):
        dialect_words._entry("gulf", 1, {"forms": "كدا", "targets": "كده"})


# --- what must stay --------------------------------------------------------------------------------------------------

STAYS = [
    ("egyptian", "بس أنا زعلان منه"),  # "but", not "only"
    ("egyptian", "زرت سبع دول في سنة"),  # countries
    ("egyptian", "ده حقي أنا"),  # my right
    ("egyptian", "الولد جاي من المدرسة"),
    ("egyptian", "وصلنا ليه بعد تعب"),  # to him, not why
    ("egyptian", "راح عن بالي"),  # slipped my mind
    ("egyptian", "المشط مش هنا"),
    ("egyptian", "بتغير الجو"),  # "she changes" or "with a change"
    ("egyptian", "سنة هجري"),
    ("gulf", "أبي مريض وأمي بخير"),  # my father
    ("gulf", "هذا حق المريض"),  # a right
    ("gulf", "ما عنده مال كثير"),  # money
    ("gulf", "راح الألم والحمد لله"),  # went
    ("gulf", "منذ ذلك الحين وأنا مريض"),  # since then
    ("gulf", "أخذت مرة واحدة في اليوم"),  # once
    ("gulf", "اي شيء ينفع"),  # any, not yes
    ("levantine", "شو هالحلو"),
    ("levantine", "راح الوجع"),  # went
    ("levantine", "ضبع تبع الغزال"),  # followed
    ("levantine", "يوجد حد أقصى للجرعة"),  # limit
    ("levantine", "بدو الصحراء كرام"),  # Bedouins
    ("iraqi", "عنده مال وجاه"),
    ("iraqi", "راح للسوق"),
    ("iraqi", "زين العابدين"),
    ("iraqi", "البنية التحتية"),
    ("maghrebi", "كتاب جميل في البيت"),  # k- is no particle here
    ("maghrebi", "الأولاد غادي للمدرسة"),  # going
    ("maghrebi", "حيث كنا"),
    (None, "زرت دول الخليج كلها بس مرة"),
    (None, "حق المريض محفوظ"),
    (None, "ذهب مال الرجل"),
    (None, "راح ضحية الإهمال"),
    (None, "هذا زي رسمي"),
    (None, "استيقظ باكرا"),
    (None, "بدا عليه التعب"),
    (None, "لغاية الساعة الخامسة"),
]


@pytest.mark.parametrize("strength", dialect.STRENGTHS)
@pytest.mark.parametrize(("variety", "text"), STAYS)
def test_hard_negative_words_stay(variety, text, strength):
    kept = {"حق", "مال", "بس", "دول", "راح", "زين", "بدا", "أبي", "الحين", "مرة", "ليه", "هجري", "بتغير", "تبع", "حد"}
    result = Normaliser(variety, strength).normalise(text)
    assert not kept & {word for edit in result.edits for word in edit.old.split()}
    if variety is None:
        assert result == Normalised(text)


def test_first_and_third_word_of_a_variety_differ_where_the_variety_does():
    assert changed("ليه", "egyptian") == "لماذا"
    assert changed("قال ليه الطبيب", "moroccan") == "قال له الطبيب"
    assert changed("نكتب", "moroccan", "towards_msa") == "نكتب"


@pytest.mark.parametrize(
    ("variety", "before", "after"),
    [
        ("egyptian", "هيكتب التقرير", "سيكتب التقرير"),
        ("egyptian", "حيكتب التقرير", "سيكتب التقرير"),
        ("egyptian", "بيلعبوا بره", "يلعبون بره"),
        ("egyptian", "مش هينام", "لن ينام"),
        ("egyptian", "مش هكتب", "لن أكتب"),
        ("egyptian", "مش هيلعبوا", "لن يلعبوا"),
        ("egyptian", "مابيسمعش", "لا يسمع"),
        ("egyptian", "ما بيسمعوش", "لا يسمعون"),
        ("egyptian", "ماتخافش", "ماتخافش"),  # a prohibition: لا تخف
        ("egyptian", "ماكتبش", "ماكتبش"),  # "he did not write" or "I do not write"
        ("gulf", "بيكتب التقرير", "سيكتب التقرير"),  # the same letter is the future here
        ("levantine", "عم يكتب", "يكتب"),
        ("levantine", "عم بيكتب", "يكتب"),
        ("iraqi", "دا يكتب", "يكتب"),
        ("moroccan", "كيكتب", "يكتب"),
        ("moroccan", "كنكتب", "أكتب"),
        ("moroccan", "كنكتبو", "نكتب"),
        ("moroccan", "وكيلعبو", "ويلعبون"),
    ],
)
def test_particles_of_verbs(variety, before, after):
    assert changed(before, variety) == after


def test_strengths_add_up():
    text = "انا شوفت الدكتور امبارح عشان كدا"
    assert changed(text, "egyptian", "spelling") == "أنا شفت الدكتور امبارح عشان كده"
    assert changed(text, "egyptian", "function_words") == "أنا شفت الدكتور أمس لذلك"
    assert changed(text, "egyptian", "towards_msa") == "أنا رأيت الدكتور أمس لذلك"


# --- marks, protection -----------------------------------------------------------------------------------------------


def test_vocalised_word_is_matched_and_loses_its_marks_only_when_it_changes():
    assert changed(f"ك{FATHA}دا", "egyptian", "spelling") == "كده"
    kept = f"بز{SHADDA}اف"
    assert changed(kept, "moroccan", "spelling") == kept


def test_tatweel_stays_where_the_word_is_right():
    assert changed(f"الحيـ{arabic.TATWEEL}ن", "gulf", "spelling") == f"الحيـ{arabic.TATWEEL}ن"


def test_word_with_tanwin_is_no_word_of_a_dialect():
    text = f"سافر جو{SHADDA}{FATHATAN}ا البلد"
    assert changed(text, "levantine") == text


@pytest.mark.parametrize(
    "text",
    ["[فى]", "[اسم 1]", "@كدا", "#كدا_كدا", "https://t.co/كدا", "كدا@كدا.com", "كدا2", "3كدا", "Panadolكدا", "كدا_كدا"],
)
def test_protected_by_shape(text):
    assert changed(text, "egyptian", "towards_msa") == text


def test_placeholder_between_words_is_no_neighbour():
    assert changed("أنا [اسم 1] مش دكتور", "egyptian") == "أنا [اسم 1] مش دكتور"


@pytest.mark.parametrize("strength", dialect.STRENGTHS)
@pytest.mark.parametrize("variety", [None, *dialect.VARIETIES])
def test_no_medical_term_or_drug_is_changed(variety, strength):
    one = Normaliser(variety, strength)
    for term in dialect_words.protected():
        for before in ("", "ال", "وال", "بال", "ب", "و"):
            text = before + " ".join(term)
            assert one.normalise(text) == Normalised(text)


def test_own_words_are_protected_with_their_clitics():
    assert changed("كدا وكدا", "egyptian", "spelling") == "كده وكده"
    assert changed("كدا وكدا", "egyptian", "spelling", protect=("كدا",)) == "كدا وكدا"


def test_own_phrase_is_protected_only_as_a_whole():
    one = Normaliser("egyptian", "spelling", protect=("صيدلية كدا",))
    assert one.normalise("صيدلية كدا مش كدا").text == "صيدلية كدا مش كده"


# --- the contract ----------------------------------------------------------------------------------------------------


def test_edits_say_where_and_by_which_rule():
    result = Normaliser("egyptian", "function_words").normalise("يعني كدا، ازاى؟")
    assert result.text == "يعني هكذا، كيف؟"
    assert result.edits == (
        Edit(5, 8, 5, 9, "كدا", "هكذا", "egyptian/كده"),
        Edit(10, 14, 11, 14, "ازاى", "كيف", "egyptian/إزاي"),
    )


def test_possessive_joins_the_word_behind_it():
    result = Normaliser("egyptian", "function_words").normalise("الدكتور بتاع  الأسنان")
    assert result.text == "الدكتور الخاص بالأسنان"
    assert undo(result) == "الدكتور بتاع  الأسنان"


def test_unknown_variety_and_strength_are_named():
    with pytest.raises(MashqError, match=r"dialect: variety: expected one of egyptian, .*Did you mean 'egyptian'"):
        Normaliser("egyptain")
    with pytest.raises(MashqError, match=r"dialect: strength: expected one of spelling, .*, got 'strong'"):
        Normaliser("gulf", "strong")
    with pytest.raises(MashqError, match="protect: expected a list of words"):
        Normaliser(protect="كدا")


def test_undo_of_a_changed_text_is_refused():
    result = Normaliser("egyptian").normalise("كدا")
    with pytest.raises(MashqError, match="Undo before you change the text"):
        undo(Normalised("xxx", result.edits))


def test_identity_tells_settings_apart():
    known = {Normaliser(v, s, p).identity for v in (None, "gulf") for s in dialect.STRENGTHS for p in ((), ("كدا",))}
    assert len(known) == 12
    assert Normaliser("gulf") == Normaliser("gulf")


def test_column_equals_one_by_one():
    texts = ["كدا", "", "فى البيت", "hello"]
    one = Normaliser("egyptian", "towards_msa")
    assert one.column(texts) == [one.normalise(text) for text in texts]


# --- properties ------------------------------------------------------------------------------------------------------

WORDS = sorted(
    {form.lstrip("=") for name in LISTS for entry in dialect_words.entries(name) for form in entry.forms}
    | {
        target.rstrip("_")
        for name in LISTS
        for entry in dialect_words.entries(name)
        for target in entry.targets.values()
    }
    | {"هيكتب", "بيلعبوا", "مش", "كيكتبو", "ما", "يشوف", "القصة", "الناس", "أنا", "[اسم 1]", "،", "بنادول", "فيتامين د"}
)
NORMALISERS = [Normaliser(v, s) for v in (None, *dialect.VARIETIES) for s in dialect.STRENGTHS]
RUNS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=10).map(" ".join)


def holds(one, text):
    result = one.normalise(text)
    assert undo(result) == text
    assert one.normalise(result.text) == Normalised(result.text)
    assert list(result.edits) == sorted(result.edits, key=lambda e: e.start)
    for edit in result.edits:
        assert text[edit.start : edit.end] == edit.old
        assert result.text[edit.new_start : edit.new_end] == edit.new
        assert edit.old != edit.new
    for one_edit, two in zip(result.edits, result.edits[1:], strict=False):
        assert one_edit.end <= two.start
        assert one_edit.new_end <= two.new_start


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(NORMALISERS), RUNS)
def test_undo_and_idempotence_over_words_of_the_lists(one, text):
    holds(one, text)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(NORMALISERS), st.text(max_size=60))
def test_undo_and_idempotence_over_any_text(one, text):
    holds(one, text)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(NORMALISERS), st.lists(st.sampled_from(WORDS), min_size=1, max_size=4), st.data())
def test_undo_and_idempotence_with_marks_inside_words(one, words, data):
    marks = st.sampled_from(
        ["", "", SHADDA, FATHA, FATHATAN, arabic.TATWEEL, "\N{RIGHT-TO-LEFT MARK}", "\N{ZERO WIDTH NON-JOINER}"]
    )
    text = " ".join("".join(letter + data.draw(marks) for letter in word) for word in words)
    holds(one, text)


@pytest.mark.parametrize("one", NORMALISERS, ids=[n.identity for n in NORMALISERS])
def test_every_pair_of_neighbours_is_settled_in_one_go(one):
    """Every word of the lists before and behind every context word: one call, not two, gives the result."""
    for at in range(0, len(WORDS) - 1, 7):
        holds(one, " ".join(WORDS[at : at + 8]))


def test_odd_inputs_do_not_raise():
    one = Normaliser("egyptian", "towards_msa")
    for text in (
        "",
        " ",
        "\0كدا\0",
        "\ud800كدا \udfff",
        "\ufeffكدا",
        "كدا\r\nكدا",
        "漢字",
        "\N{RIGHT-TO-LEFT MARK}",
        "[" * 1000,
        "@" * 50,
        "[\n]",
    ):
        holds(one, text)


def test_a_megabyte_takes_seconds_not_minutes():
    text = "انا مش عارف اعمل ايه دلوقتى. " * 36_000  # 1.04 M characters, most words changed
    begun = time.perf_counter()
    result = Normaliser("egyptian", "function_words").normalise(text)
    assert time.perf_counter() - begun < 60
    assert undo(result) == text


# --- real text -------------------------------------------------------------------------------------------------------

DATA = os.environ.get("MASHQ_DATA")


def standard_texts(folder):
    texts = [line.split("\t")[1] for line in (folder / "ntrex_en_ar.tsv").read_text("utf-8").splitlines()[1:]]
    for name in ("xquad.ar.json", "arcd_train.json"):
        for article in json.loads((folder / name).read_text("utf-8"))["data"]:
            for part in article["paragraphs"]:
                texts += [part["context"], *(question["question"] for question in part["qas"])]
    return texts


@pytest.mark.skipif(not DATA, reason="needs the real data: set MASHQ_DATA to its folder")
@pytest.mark.parametrize(("variety", "most"), [(None, 0.001), *((variety, 0.002) for variety in dialect.VARIETIES)])
def test_standard_text_is_nearly_untouched(variety, most):
    """Spelling errors of the standard (common.yaml) aside; NTREX, XQuAD and ARCD, 83 thousand words."""
    texts = standard_texts(Path(DATA))
    words = sum(len(arabic.words(text)) for text in texts)
    assert words > 80_000
    results = Normaliser(variety, "function_words").column(texts)
    edits = [edit for result in results for edit in result.edits if not edit.rule.startswith("common/")]
    assert len(edits) / words < most, edits[:20]


@pytest.mark.skipif(not DATA, reason="needs the real data: set MASHQ_DATA to its folder")
def test_dialect_stories_are_changed_more_than_standard_ones():
    def share(name, variety):
        with (Path(DATA) / f"arastories_{name}.csv").open(encoding="utf-8") as file:
            texts = [row["Story"] for row in csv.DictReader(file)][:100]
        edits = sum(len(result.edits) for result in Normaliser(variety, "function_words").column(texts))
        return edits / sum(len(arabic.words(text)) for text in texts)

    assert share("egyptian", "egyptian") > 20 * share("msa", "egyptian")
    assert share("moroccan", "moroccan") > 20 * share("msa", "moroccan")
