"""Sentence splitting against the fixed test set (tests/sentences.yaml), facts, and properties; masks likewise."""

import random
import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq import sentences as module
from mashq.rows import MashqError
from mashq.sentences import LEFT, Masked, Piece, mask, sentences, split, unmask

SET = yaml.safe_load((Path(__file__).parent / "sentences.yaml").read_text(encoding="utf-8"))
SCORE, SCORE_BEFORE = 234, 124  # true scores, of 243 and of the 125 written before any code: raise them, never lower


def _pieces(noted):
    """Pieces as the set notes them -> pieces: white space at their ends is one of its own."""
    made: list[Piece] = []
    for item in noted:
        left, text = (None, item) if isinstance(item, str) else next(iter(item.items()))
        core = text if left == "space" else text.strip(module._EDGE)
        before, _, after = text.partition(core) if core else (text, "", "")
        for part, why in ((before, "space"), (core, left), (after, "space")):
            if part:
                module._add(made, part, why)
    return made


CASES = [
    (group["class"], group.get("before", False), source, _pieces(noted))
    for group in SET
    for source, *noted in group["cases"]
]


def _text(pieces):
    return "".join(piece.text for piece in pieces)


def test_the_set_is_what_it_says():
    assert len(CASES) >= 140
    assert sum(before for _, before, _, _ in CASES) * 2 >= len(CASES)
    assert 0.55 <= sum(source == "en" for _, _, source, _ in CASES) / len(CASES) <= 0.65
    assert {piece.left for *_, pieces in CASES for piece in pieces} == {None, *LEFT}


def test_score_on_the_fixed_set():
    right = [(before, split(_text(pieces), source) == pieces) for _, before, source, pieces in CASES]
    score, score_before = sum(ok for _, ok in right), sum(ok for before, ok in right if before)
    print(f"sentences: {score} of {len(CASES)}; of those written before the code {score_before}")
    assert (score, score_before) >= (SCORE, SCORE_BEFORE)


@pytest.mark.parametrize(("group", "before", "source", "pieces"), CASES, ids=lambda value: str(value)[:40])
def test_every_case_is_lossless(group, before, source, pieces):
    assert _text(split(_text(pieces), source)) == _text(pieces)


# --- facts ------------------------------------------------------------------------------------------------------------


def test_an_empty_text_has_no_piece_and_blank_text_is_one():
    assert split("") == []
    assert split(" \r\n\t\u00a0") == [Piece(" \r\n\t\u00a0", "space")]


def test_an_unknown_source_is_told():
    with pytest.raises(MashqError, match="sentences: source: expected 'en' or 'ar', got 'arabic'"):
        split("نعم.", "arabic")


def test_equal_sentences_are_equal_strings_wherever_they_stand():
    text = "The sky is blue.\n- The sky is blue.\n  The sky is blue. 😀\r\n"
    text += "Premise: The sky is blue.\n<p>The sky is blue.</p>"
    made = [piece.text for piece in split(text) if piece.left is None]
    assert made.count("The sky is blue.") == 5
    assert set(made) == {"The sky is blue.", "Premise:"}


def test_a_label_stands_apart_from_its_value_but_a_speech_does_not():
    assert [piece.text for piece in split("Premise: It rains.")] == ["Premise:", " ", "It rains."]
    assert [piece.text for piece in split("She said: it rains.")] == ["She said: it rains."]
    assert [piece.text for piece in split("قالت: المطر ينزل.", "ar")] == ["قالت: المطر ينزل."]


def test_arabic_is_left_in_an_english_text_only():
    assert split("نص") == [Piece("نص", "target language")]
    assert split("نص", "ar") == [Piece("نص")]


def test_a_sentence_between_two_jinja_values_is_no_json():
    assert split("{{ premise }} means {{ hypothesis }}") == [Piece("{{ premise }} means {{ hypothesis }}")]


def test_an_unclosed_fence_runs_to_the_end_of_the_text():
    assert split("Write it.\n```python\nx = 1\n")[-2:] == [Piece("```python\nx = 1", "code"), Piece("\n", "space")]


def test_a_line_is_cut_alike_by_the_short_way_and_the_long_one():
    for _, _, source, pieces in CASES:
        for piece in pieces:
            if piece.left is None and module._is_one_sentence(piece.text) and "\n" not in piece.text:
                assert module._cut(piece.text, module._shadow(piece.text), source) == [piece]


# --- properties -------------------------------------------------------------------------------------------------------

PARTS = [
    "Mr. ", "e.g. ", "The end. ", "it is ", "Why? ", "1. ", "(A) ", "(B) ", "B. ", "- ", "\n", "\r\n", "\t",
    " ", "\u00a0", "\u200f", "\ufeff", ". ", "! ", "...", "…", '"', "»", "«", "؟ ", "؛ ", "د. ", "أ- ",
    "كتاب ", "انتهى.", "ثم ", "٣ ", "Label: ", "Question:", "**", "x", "`a. b`", "{{ x }}", "{% if y %}",
    "<p>", "</p>", "<b>", "</b>", "https://a.b/c. ", "a@b.co ", "#tag ", "/usr/bin ", "$x^2$", "{name}", "%s",
    "[MASK]", "____", "[1]", "[ ٢ ]", "😀", "👍🏽", "|", "|||", "```", '{"a": 1}', "م\u064e", "U.S. ", "Next ",
    ":", ")", "(", "]", "–", "\ue003", "\u200d", "\u200c", "#", " def f(x):", "\x1c", "\u3000", "I. ",
    "J. K. ", "\ud800",
]  # fmt: skip
texts = st.lists(st.sampled_from(PARTS), max_size=12).map("".join) | st.text(max_size=20)
sources = st.sampled_from(["en", "ar"])


@settings(max_examples=600, deadline=None)
@given(texts, sources)
def test_pieces_join_to_the_text(text, source):
    made = split(text, source)
    assert _text(made) == text
    assert all(piece.text for piece in made)
    assert {piece.left for piece in made} <= {None, *LEFT}


@settings(max_examples=600, deadline=None)
@given(texts, sources)
def test_a_sentence_has_a_letter_no_space_around_it_and_is_its_own_split(text, source):
    for piece in split(text, source):
        if piece.left is None:
            assert any(char.isalpha() for char in piece.text)
            assert piece.text == piece.text.strip()
            assert split(piece.text, source) == [piece]


@settings(max_examples=400, deadline=None)
@given(texts, sources)
def test_neighbours_are_not_left_for_one_reason(text, source):
    assert all(one.left is None or one.left != other.left for one, other in pairwise(split(text, source)))


@pytest.mark.parametrize(
    "unit",
    [
        "a", " ", ".", "؟", "a.", "ا. ", "\u064e", "(", '"', "http://", "1.", "@", "\u200f", " \n", "`", "``",
        "```\n", "{{", "{%", '{"', "[", "[\n", "[1", "<", "<a b='", "<pre>\n", "$a", "$$\n", "/a", "a/", "a.b",
        "#a", "*", "| a ", "A) ", "a b: ", "x=", "f(x)=", "(;", "class a:\n ", "\\begin{a}", "😀", "\u200d",
        "a b. ", "\t",
],
)  # fmt: skip
def test_long_runs_take_linear_time(unit):
    text = unit * 20_000
    start = time.process_time()
    assert _text(split(text)) == text
    assert unmask(*mask(text)) == (text, None)
    assert time.process_time() - start < 10  # 0.1 to 1 s; a quadratic step would take minutes


def test_real_texts_are_lossless_and_their_sentences_are_their_own_split(data):
    lines = (data / "ntrex_en_ar.tsv").read_text(encoding="utf-8").splitlines()[1:]
    for line in lines:
        for text, source in zip(line.split("\t")[-2:], ("en", "ar"), strict=True):
            made = split(text, source)
            assert _text(made) == text
            assert [split(piece.text, source) for piece in made if piece.left is None] == [
                [piece] for piece in made if piece.left is None
            ]
            assert unmask(*mask(text)) == (text, None)


# --- masks ------------------------------------------------------------------------------------------------------------

MASKS = [
    ("Nothing to hide here.", "Nothing to hide here.", ()),
    (
        "Read https://example.org/a, then call `run()`.",
        "Read [1], then call [2].",
        ("https://example.org/a", "`run()`"),
    ),
    ("Dear {name}, {{ city }} is <b>big</b>.", "Dear [1], [2] is [3]big[4].", ("{name}", "{{ city }}", "<b>", "</b>")),
    ("As [7] and [ 12 ] say, %s works.", "As [1] and [2] say, [3] works.", ("[7]", "[ 12 ]", "%s")),
    ("{a}{b} touch.", "[1] touch.", ("{a}{b}",)),
    ("Solve $x^2 = 4$ for $5 or $6.", "Solve [1] for $5 or $6.", ("$x^2 = 4$",)),
    ("راسل sara@example.com أو @team_a 🎉 الآن.", "راسل [1] أو [2] [3] الآن.", ("sara@example.com", "@team_a", "🎉")),
    ("Fill ____ and [MASK].", "Fill [1] and [2].", ("____", "[MASK]")),
    ("and/or, 50% off, AT&T, 3/4, #1", "and/or, 50% off, AT&T, 3/4, #1", ()),
]


@pytest.mark.parametrize(("sentence", "masked", "kept"), MASKS)
def test_mask(sentence, masked, kept):
    assert mask(sentence) == Masked(masked, kept)
    assert unmask(*mask(sentence)) == (sentence, None)


@pytest.mark.parametrize("form", ["[1]", "[ 1 ]", "[١]", "[ \N{EXTENDED ARABIC-INDIC DIGIT ONE}\u00a0]"])
def test_spaces_and_digits_of_other_scripts_are_read(form):
    assert unmask(f"اقرأ {form} الآن.", ["`x`"]) == ("اقرأ `x` الآن.", None)


def test_what_is_put_back_is_not_read_again():
    assert unmask("[1] و[2]", ["[2]", "[1]"]) == ("[2] و[1]", None)


@pytest.mark.parametrize(
    ("text", "restored", "fault"),
    [
        ("اقرأ [1].", "اقرأ `x`.", "mask lost: [2] 'https://a.b'"),
        ("[1] ثم [1] ثم [2]", "`x` ثم `x` ثم https://a.b", "mask doubled: [1] '`x`' 2 times"),
        ("[1] [2] [3] [0]", "`x` https://a.b [3] [0]", "mask unknown: [3], [0]"),
        ("[2] [2] [9]", "https://a.b https://a.b [9]",
         "mask lost: [1] '`x`'; mask doubled: [2] 'https://a.b' 2 times; mask unknown: [9]"),
        ("نص", "نص", "mask lost: [1] '`x`', [2] 'https://a.b'"),
    ],
)  # fmt: skip
def test_faults_of_marks_are_told(text, restored, fault):
    assert unmask(text, ["`x`", "https://a.b"]) == (restored, fault)


@settings(max_examples=800, deadline=None)
@given(texts)
def test_unmask_undoes_mask(text):
    assert unmask(*mask(text)) == (text, None)


def test_a_mask_moved_by_the_translation_is_put_back_where_it_went():
    rng = random.Random(0)
    for _ in range(50):
        kept = [f"`x{place}`" for place in range(12)]
        order = rng.sample(range(12), 12)
        text = " ".join(f"[{place + 1}]" for place in order)
        assert unmask(text, kept) == (" ".join(kept[place] for place in order), None)


# --- running text ----------------------------------------------------------------------------------------------------

# "|" stands where a sentence ends.
SENTENCES = [
    "كيف حالك؟ |أنا بخير! |وأنت؟",
    "كيف حالك؟|أنا بخير.",
    "جاء؛ |ثم ذهب.",
    "لا أدري... |ربما غدا.",
    "لا أدري… |ربما غدا.",
    "لا...لا أريد.",
    "ماذا؟! |حقا؟؟ |نعم!!",
    "سطر أول\n|سطر ثان\r\n\r\n|سطر ثالث\r|آخر",
    "قال د. أحمد إن الأمر سهل. |ثم خرج.",
    "يعمل م. خالد في الشركة. |وهو ماهر.",
    "انظر ص. ٥ من ج. ٢. |ثم عد.",
    "حضر أ. د. محمود وأ.د. سعاد. |وبدأ اللقاء.",
    "عاش سنة ٣٠٠ ق.م. في مصر. |ثم رحل.",
    "كان ذلك عام 2020 م. |ثم تغير كل شيء.",
    "توفي سنة ١٤٤٥هـ. |ودفن في مكة.",
    "بلغ السعر 3.5 دولار. |وكان ٣٫٥ أمس.",
    "الوزن 3.5. |والطول 2.",
    "1. افتح الباب. |2. ادخل بهدوء. |3. اجلس.",
    "١. افتح الباب.\n|٢. ادخل بهدوء.",
    "أ. الأول\n|ب. الثاني",
    "قال: «هل جئت؟» |ثم سكت.",
    'قال: "نعم." |ثم سكت.',
    "ذهب (مع أخيه.) |ثم عاد.",
    "سألته (لماذا؟)، فلم يجب.",
    "كتب: (؟) ثم مضى.",
    "زر https://example.org/a?b=1. |ثم عد!",
    "اقرأ www.example.com/x.html! |رائع.",
    "راسل ali.ahmad@example.com. |شكرا.",
    "موقع example.com مفيد. |جربه.",
    "انتهى الدرس.|ثم عدنا.",
    "Mr. Smith met Dr. Ali. |They talked.",
    "The U.S. army, e.g. this one, left. |OK?",
    "J. K. Rowling wrote it. |He read it approx. twice.",
    '"Really?" she asked. |"Yes."',
    "رائع! 😂😂 |شكرا.",
    "... نعم. |لا.",
    "!!!",
    "نص بلا علامة",
    "هذا هو الرد ۔ |والثاني ۔",
    "\n\nأهلا\n\n\n|مرحبا",
    "كَتَبَ الدَّرْسَ. |وَنَامَ.",
    "\u200fنعم.\u200f \u200f|لا.\u200f",
    "الساعة 10:30. |والإصدار 1.2.3 جديد.",
    "قرأت «الأيام». |وأعجبني!",
    "صدر عن أ. ف. ب. خبر مهم. |تابعوه.",
    "صندوق البريد ص.ب. 1234 دمشق. |أرسل إليه.",
    "اتصل بنا على 01.23.45.67. |نحن بانتظارك.",
    "- بند أول\n|- بند ثان\n|- بند ثالث",
    "أين كنت ؟ |انتظرتك طويلا !",
    "نعم .|كيف ذلك ؟",
    # A quoted question inside a sentence ends one: nothing short of a parser tells it from a quoted sentence.
    "هل قرأت «من هو؟» |لطه حسين؟",
]


@pytest.mark.parametrize("marked", SENTENCES)
def test_sentences(marked):
    assert sentences(marked.replace("|", "")) == marked.split("|")


@settings(max_examples=400, deadline=None)
@given(texts)
def test_sentences_join_to_the_text(text):
    made = sentences(text)
    assert "".join(made) == text
    assert all(made)


def test_an_empty_text_has_no_sentence_and_blank_text_is_kept():
    assert sentences("") == []
    assert sentences(" \n ") == [" \n "]


VOCABULARY = "The A I old man Mr Dr St etc approx no a.m came, 15 B went of Tue and vol home don't sang"
WORDS = st.sampled_from(VOCABULARY.split())
LABELS = st.sampled_from(["", "", "Review: ", "Text: ", "Note: ", "Dr: ", "He: ", "Said: ", "From: "])


@settings(max_examples=400, deadline=None)
@given(
    LABELS, st.lists(st.tuples(st.lists(WORDS, min_size=1, max_size=5), st.sampled_from(".!?")), min_size=1, max_size=5)
)
def test_the_short_way_for_plain_sentences_says_what_the_long_way_says(label, drawn):
    line = label + " ".join(" ".join(words) + mark for words, mark in drawn)
    found = module._prose(line)
    assert found is None or found == tuple(module._cut(line, line, "en"))
    assert module._prose("The old man came. He sang of home.") is not None
    assert module._prose("Review: The old man came.") is not None
