"""Normal forms, words and script share, against facts, a plain `re` implementation and tests/arabic.txt."""

import random
import re
import unicodedata
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import regex
from bench import bench
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mashq import arabic
from mashq.arabic import arabic_share, normalise, normalise_column, resolve, word_spans, words
from mashq.metrics.profile import Profile
from mashq.rows import MashqError

HERE = Path(__file__).parent


plain = bench("arabic_forms").plain  # the plain implementation that the benchmark times


def _unescaped(line: str) -> str:
    named = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}
    return re.sub(
        r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([nrt\\]))",
        lambda match: named[match[3]] if match[3] else chr(int(match[1] or match[2], 16)),
        line,
    )


LINES = [
    _unescaped(line)
    for line in (HERE / "arabic.txt").read_text(encoding="utf-8").split("\n")
    if line and not line.startswith("#")
]

# Texts: characters that the forms touch, weighted, between others of every kind; and pieces of the corpus.
TOUCHED = "".join(
    [
        arabic.LETTERS, arabic.TASHKEEL[11:24], arabic.SEAT_MARKS, arabic.TATWEEL, arabic.BIDI, arabic.ZERO_WIDTH,
        arabic.DIGITS, arabic.PERSIAN_DIGITS, "0123456789.,abW", "   \t\n\r\u00a0\u3000\u2028\u0085\x00",
        "،؛؟۔٪…«»“”’—()\ufd3e\ufd3f٫٬", "\ufefb\ufef7\ufe8e\ufe70\ufe71\ufe7c\ufc5e\ufd3c\ufdf2\ufdfa\ufdfb\ufdfd",
        "کیےہھەۀۃ", "😂👨❤\ufe0f🏽🇪\U0001ee00𝓦\U0001f100", "e\u0301\u0323\u0340①Ａﾞカ한\u1161\u11a8日",
    ]
)  # fmt: skip
texts = st.text(st.sampled_from(TOUCHED), max_size=24) | st.text(max_size=12) | st.sampled_from(LINES)
runs = st.builds(
    "".join, st.lists(st.builds(lambda c, n: c * n, st.sampled_from(TOUCHED), st.integers(1, 5)), max_size=9)
)
forms_sets = st.sets(st.sampled_from(list(arabic.FORMS))).map(
    lambda forms: tuple(forms - {"digits_arabic"} if "digits" in forms else forms)
)
ONES = [(name,) for name in arabic.FORMS]
MANY = [
    *arabic.PROFILES.values(),
    tuple(name for name in arabic.FORMS if name != "digits"),
    tuple(name for name in arabic.FORMS if name not in ("digits_arabic", "unpunctuated", "tashkeel", "nfkc")),
    ("nfc", "alef", "hamza", "spaces", "elongation"),
    ("nfc", "ya"),
    ("nfc", "tashkeel"),
    ("nfkc", "tatweel", "tashkeel", "hamza"),
    (),
]


def _agree(lines: list[str], forms: tuple[str, ...]) -> None:
    """The three ways give one result on every line."""
    expected = [plain(forms)(line) for line in lines]
    assert [normalise(line, forms) for line in lines] == expected
    made = normalise_column(pa.array(lines, pa.string()), forms)
    made.validate(full=True)
    assert made.to_pylist() == expected


# --- names of forms --------------------------------------------------------------------------------------------------


def test_forms_resolve_to_the_order_of_application():
    assert resolve(["tatweel", "nfc", "tatweel", "alef"]) == ("nfc", "tatweel", "alef")
    assert resolve("rouge") == ("nfc", "presentation", "bidi", "zero_width", "tatweel", "tashkeel")
    assert resolve([]) == ()


def test_every_profile_is_in_the_order_of_application():
    assert [resolve(list(forms)) for forms in arabic.PROFILES.values()] == list(arabic.PROFILES.values())


def test_order_given_does_not_matter():
    text = "\ufe71\u0640ﻻ  أـَ"
    forms = list(arabic.PROFILES["search"])
    random.Random(1).shuffle(forms)
    assert normalise(text, forms) == normalise(text, "search")


@pytest.mark.parametrize(
    ("forms", "message"),
    [
        (["tashkil"], "there is no form 'tashkil'.*Did you mean 'tashkeel'"),
        ("rogue", r"there is no profile 'rogue' \(clean, rouge, search\). Did you mean 'rouge'"),
        (["digits", "digits_arabic"], "'digits' and 'digits_arabic' undo each other"),
    ],
)
def test_wrong_forms_are_told(forms, message):
    for call in (lambda: normalise("نص", forms), lambda: normalise_column(pa.array(["نص"]), forms)):
        with pytest.raises(MashqError, match=message):
            call()


# --- what each form does ---------------------------------------------------------------------------------------------

FACTS = [
    ("tashkeel", "كَتَبَ الطَّالِبُ", "كتب الطالب"),
    ("tashkeel", "ه\u0670ذا ل\u064e\u0647\u064f\u06e5 \u06da", "هذا له "),
    ("tashkeel", "\u0627\u0654\u064e", "\u0627\u0654"),  # a combining hamza makes another letter: kept
    ("tatweel", "كـــتاب ــ", "كتاب "),
    ("alef", "أإآٱاء", "ااااا" + "ء"),
    ("alef", "\u0627\u0654\u0655\u0653 \u0648\u0654", "\u0627 \u0648\u0654"),
    ("hamza", "مسؤول بيئة شيء", "مسوول بيية شيء"),
    ("hamza", "\u0648\u0654 \u0640\u0654", "\u0648 \u0640"),
    ("ya", "على هدى", "علي هدي"),
    ("ta_marbuta", "مدرسة", "مدرسه"),
    ("persian", "کتاب یہ ھە", "كتاب يه هه"),
    ("digits", "٣٫٥ ۱۲ ١٬٠٠٠", "3.5 12 1,000"),
    ("digits_arabic", "3.5 ۱۲ ٧", "٣.٥ ١٢ ٧"),
    ("presentation", "\ufefb \ufef7 \ufdf2 \ufd3c", "لا لأ الله \u0627\u064b"),
    ("presentation", "\ufe70|\ufe71|\ufc5e", "\u064b|\u0640\u064b|\u064c\u0651"),  # no space before an isolated mark
    ("presentation", "\ufdfa\ufdfb\ufdfc\ufdfd", "\ufdfa\ufdfb\ufdfc\ufdfd"),
    ("phrases", "محمد \ufdfa", "محمد صلى الله عليه وسلم"),
    ("phrases", "\ufdfd", "بسم الله الرحمن الرحيم"),
    ("nfkc", "\ufdfa", "صلى الله عليه وسلم"),
    ("nfkc", "ﬁ½Ａ①", "fi1\u20442A1"),
    ("nfc", "\u0627\u0654\u064e \u0645\u0651\u064e", "أ\u064e \u0645\u064e\u0651"),
    ("bidi", "\u200fا\u200e\u202aب\u202c\u2067\u2069\u061c", "اب"),
    ("zero_width", "می\u200cخواهم\ufeff كل\u00adمة\u200b", "میخواهم كلمة"),
    ("zero_width", "👨\u200d👩 ❤\ufe0f\u200d🔥 ل\u200dا ب\u200d😂 😂\u200d", "👨\u200d👩 ❤\ufe0f\u200d🔥 لا ب😂 😂"),
    ("elongation", "جميييييل هههههه لاا", "جمييل هه لاا"),
    ("elongation", "Henry VIII www 1000 ...", "Henry VIII www 1000 ..."),
    ("punctuation", "نعم، لا؛ لماذا؟ «قول» ٪ …", 'نعم, لا; لماذا? "قول" % ...'),
    ("punctuation", "\ufd3fآية\ufd3e", "(آية)"),
    ("unpunctuated", "(نعم)، لا!", " نعم   لا "),
    ("one_line", "a\nb\r\nc\u2028d", "a b  c d"),
    ("spaces", " \t a  b\u00a0\u00a0 \n  c \r\n  ", "a b\nc\r\n"),
]


@pytest.mark.parametrize(("form", "text", "expected"), FACTS)
def test_form(form, text, expected):
    assert normalise(text, [form]) == expected
    assert normalise_column(pa.array([text]), [form]).to_pylist() == [expected]


def test_every_form_has_a_fact():
    assert {form for form, _, _ in FACTS} == set(arabic.FORMS)


def test_rouge_profile_makes_vocalised_and_plain_equal_and_keeps_different_words_apart():
    assert normalise("كَـــتَبَ الطَّالِبُ\u200f ﻻ", "rouge") == "كتب الطالب لا"
    assert normalise("على", "rouge") != normalise("علي", "rouge")
    assert normalise("كرة", "rouge") != normalise("كره", "rouge")


def test_search_profile_joins_spellings():
    one = normalise("  إلى المَدْرَسَةِ\nرقم ٣٫٥ ﷺ!! جميييل", "search")
    assert one == normalise("الي المدرسه رقم 3.5 صلى الله عليه وسلم!! جمييل", "search")
    assert one == "الي المدرسه رقم 3.5 صلي الله عليه وسلم!! جمييل"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("عَلَىٰ\u0653", "على"),
        ("قَالُو\u0653ا\u06df", "قالوا"),
        ("لِلْمَلَٰ\u0653ئِكَةِ", "للملئكة"),
        ("أُو\u06dfلَٰ\u0653ئِكَ", "أولئك"),
        ("يَٰ\u0653أَيُّهَا", "يأيها"),
        ("سِي\u0653\u0640\u064e\u0654تْ", "سئت"),  # the hamza comes to stand on the letter
        ("جَا\u0653ءَ القرا\u0653ن", "جآء القرآن"),  # with alef it is a letter
        ("ا\u0654 ا\u0655 و\u0654 ي\u0654 ل\u0654", "أ إ ؤ ئ ل\u0654"),  # combining hamza is kept
    ],
)
def test_with_nfc_the_madd_of_recitation_goes_with_the_marks(text, expected):
    _agree([text, "نص", text * 3], ("nfc", "tatweel", "tashkeel"))
    assert normalise(text, ("nfc", "tatweel", "tashkeel")) == expected


def test_without_nfc_or_without_tashkeel_madda_stays():
    text = "قا\u0653لو\u0653ا"
    assert normalise(text, ("tashkeel",)) == text  # before NFC it may be half of آ
    for forms in ("clean", ("nfc",), ("nfc", "tatweel")):
        assert normalise(text, forms) == "قآلو\u0653ا"


def test_tashkeel_is_marks_and_the_two_small_letters():
    kinds = {char: unicodedata.category(char) for char in arabic.TASHKEEL}
    assert {char for char, kind in kinds.items() if kind != "Mn"} == {"\u06e5", "\u06e6"}
    assert set(arabic.TASHKEEL).isdisjoint(arabic.SEAT_MARKS)


# --- three ways, one result ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forms", [*ONES, *MANY], ids=" ".join)
def test_strings_columns_and_plain_agree_on_the_corpus(forms):
    _agree([*LINES, "".join(LINES), "", "\n".join(reversed(LINES))], forms)


@settings(max_examples=150, deadline=None)  # every set of forms builds its tables
@given(st.lists(texts | runs, max_size=12), forms_sets)
def test_strings_columns_and_plain_agree(lines, forms):
    _agree(lines, forms)


@pytest.mark.parametrize("seed", range(12))
def test_many_short_rows_side_by_side_agree(seed):
    """Rows that begin and end with marks, spaces and runs: what a column must not carry over from row to row."""
    rng = random.Random(seed)
    alphabets = [
        TOUCHED,
        arabic.TASHKEEL + arabic.SEAT_MARKS + "اوي",
        arabic.TASHKEEL[11:20] + "ب",
        "ا \n\r\t",
        "ييا\u200d😂",
    ]
    forms = tuple(rng.sample([name for name in arabic.FORMS if name != "digits"], rng.randint(1, 8)))
    _agree(["".join(rng.choices(rng.choice(alphabets), k=rng.choice((0, 1, 2, 3, 5, 9)))) for _ in range(3000)], forms)


@pytest.mark.parametrize("forms", MANY, ids=lambda forms: " ".join(forms)[:40])
def test_every_character_of_the_basic_plane_in_company(forms):
    codes = [chr(code) for code in range(1 << 16) if not 0xD800 <= code < 0xE000]
    # After a letter that composes, before a mark that does: eight to a row, so that a row seldom hides another fault.
    lines = ["".join(f"ا{c}\u0651\u064e{c}\u0654" for c in codes[at : at + 8]) for at in range(0, len(codes), 8)]
    expected = [normalise(line, forms) for line in lines]
    assert normalise_column(pa.array(lines), forms).to_pylist() == expected
    sample = random.Random(0).sample(range(len(lines)), 1500)
    assert [plain(forms)(lines[at]) for at in sample] == [expected[at] for at in sample]


@pytest.mark.slow
@pytest.mark.parametrize("forms", [*ONES, *MANY], ids=lambda forms: " ".join(forms)[:40])
def test_every_character_of_the_first_planes_alone(forms):
    # What is left out is unassigned, private or Han.
    planes = [*range(0xD800), *range(0xE000, 0x20100), *range(0xE0000, 0xE0200), 0x10FFFF]
    _agree([chr(code) for code in planes], forms)


@settings(max_examples=200, deadline=None)
@given(texts | runs, forms_sets)
def test_nfc_holds_at_the_end(text, forms):
    assert unicodedata.is_normalized("NFC", normalise(text, ["nfc", *forms]))


@settings(max_examples=200, deadline=None)
@given(texts | runs, st.sampled_from(sorted(arabic.PROFILES)))
def test_profiles_are_idempotent(text, profile):
    once = normalise(text, profile)
    assert normalise(once, profile) == once


def test_lone_surrogates_pass():
    assert normalise("ا\ud800ـب", "search") == "ا\ud800ب"


# --- shapes of columns -----------------------------------------------------------------------------------------------

ROWS = ["كَتَبَ", None, "", "ﻻ\n\x00ـ", None, "👨\u200d👩\u200d👧 ـ", "plain", "ا\u0654"]
EXPECTED = [None if row is None else normalise(row, "search") for row in ROWS]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_layouts_of_strings(kind):
    made = normalise_column(pa.array(ROWS, pa.string()).cast(kind), "search")
    assert made.to_pylist() == EXPECTED
    assert made.type == (pa.large_string() if kind == pa.large_string() else pa.string())


def test_slices_and_chunks():
    column = pa.array(["قبل", *ROWS, "بعد"])
    for start in range(len(ROWS)):
        for length in range(len(ROWS) - start + 1):
            part = column.slice(1 + start, length)
            assert normalise_column(part, "search").to_pylist() == EXPECTED[start : start + length]
    chunked = pa.chunked_array([column.slice(1, 3), column.slice(0, 0), column.slice(4, len(ROWS) - 3)])
    made = normalise_column(chunked, "search")
    assert isinstance(made, pa.Array)
    assert made.to_pylist() == EXPECTED


@pytest.mark.parametrize("column", [pa.array([], pa.string()), pa.chunked_array([], pa.string()), pa.nulls(0)])
def test_empty_columns(column):
    made = normalise_column(column, "rouge")
    assert made.type == pa.string()
    assert made.to_pylist() == []


def test_columns_of_nulls_and_of_empty_strings():
    assert normalise_column(pa.nulls(3, pa.string()), "search").to_pylist() == [None] * 3
    assert normalise_column(pa.array(["", "", "ـ", ""]), "search").to_pylist() == [""] * 4


def test_bytes_under_a_null_are_not_read():
    data = pa.py_buffer("ﻻخفيكتب".encode())
    ends = np.array([0, len("ﻻخفي".encode()), len("ﻻخفيكتب".encode())], dtype="<i4")
    column = pa.Array.from_buffers(pa.string(), 2, [pa.py_buffer(b"\x02"), pa.py_buffer(ends), data])
    assert normalise_column(column, "search").to_pylist() == [None, "كتب"]


def test_input_is_left_as_it_was():
    column = pa.array(["كَتَبَ ـ"])
    normalise_column(column, "search")
    assert column.to_pylist() == ["كَتَبَ ـ"]


def test_rows_longer_than_a_block_and_columns_of_many_blocks():
    rng = random.Random(3)
    lines = ["".join(rng.choices(LINES, k=4)) for _ in range(300)] * 30 + ["ـاﻻ " * 600_000]
    assert sum(len(line.encode()) for line in lines) > 4 * (1 << 20)
    made = normalise_column(pa.array(lines), "search")
    assert made.to_pylist() == [normalise(line, "search") for line in lines]


def test_runs_do_not_cross_rows():
    assert normalise_column(pa.array(["يي", "ييي", "", "ي"]), ["elongation"]).to_pylist() == ["يي", "يي", "", "ي"]
    assert normalise_column(pa.array(["ا ", " ب", "\n", " "]), ["spaces"]).to_pylist() == ["ا", "ب", "\n", ""]
    assert normalise_column(pa.array(["م\u0651", "\u064e"]), ["nfc"]).to_pylist() == ["م\u0651", "\u064e"]
    # A pair across rows that is out of order must not hide the pair after it.
    assert normalise_column(pa.array(["م\u0652", "\u064c\u064b"]), ["nfc"]).to_pylist() == ["م\u0652", "\u064b\u064c"]


def test_a_column_of_numbers_is_refused():
    with pytest.raises(MashqError, match=r"a column to normalise: expected strings, got int64"):
        normalise_column(pa.array([1]), "rouge")


def test_real_texts_agree(data):
    lines = (data / "ntrex_en_ar.tsv").read_text(encoding="utf-8").splitlines()
    for forms in arabic.PROFILES.values():
        _agree(lines, forms)


# --- words -----------------------------------------------------------------------------------------------------------

WORDS = [
    ("كَتَبَ الطَّالِبُ", ["كَتَبَ", "الطَّالِبُ"]),
    ("ل\u064e\u0647\u064f\u06e5 ما", ["ل\u064e\u0647\u064f\u06e5", "ما"]),
    ("كـــتاب، نعم؟ (لا)!", ["كـــتاب", "نعم", "لا"]),
    ("٣٫٥ و3.5 و1,250.75 و١٬٢٠٠٬٠٠٠ و٣,٥.", ["٣٫٥", "و3.5", "و1,250.75", "و١٬٢٠٠٬٠٠٠", "و٣,٥"]),
    ("٢٠٢٤م 10:30 50%", ["٢٠٢٤م", "10", "30", "50"]),
    ("می\u200cخواهم نمی\u200cدانم\u200c", ["می\u200cخواهم", "نمی\u200cدانم"]),
    ("\u200fكلمة\u200f كل\u200fمة", ["كلمة", "كل\u200fمة"]),
    ("don't l’été U.S.A. example.com GPT-4", ["don't", "l’été", "U.S.A", "example.com", "GPT", "4"]),
    ("انتهى.ثم عاد:قال", ["انتهى", "ثم", "عاد", "قال"]),
    ("#محمود_العلايلي @user_1", ["محمود_العلايلي", "user_1"]),
    (
        "😂😂 👨\u200d👩\u200d👧 👍🏽 🇪🇬🇸🇦 1\ufe0f\u20e3",
        ["😂", "😂", "👨\u200d👩\u200d👧", "👍🏽", "🇪🇬", "🇸🇦", "1\ufe0f\u20e3"],
    ),
    ("❤\ufe0f ❤ © …", ["❤\ufe0f", "❤"]),
    ("e\u0301tude \u064e", ["e\u0301tude"]),
    ("日本語 한국어", ["日", "本", "語", "한국어"]),
    ("ﻻ ﷺ", ["ﻻ", "ﷺ"]),
    ("", []),
    (" \n\t؟!", []),
]


@pytest.mark.parametrize(("text", "expected"), WORDS)
def test_words(text, expected):
    assert words(text) == expected


def _tailoring():
    """(text, words of UAX #29, words of mashq) of every row of the page that lists the differences."""
    page = (HERE.parent / "docs" / "how-to" / "read-a-signature.md").read_text("utf-8")
    seen = re.sub(r"\[U\+([0-9A-F]+)\]", lambda match: chr(int(match[1], 16)), page)
    for line in seen.partition("| kind | text |")[2].splitlines()[2:]:
        if not line.startswith("|"):
            return
        _, text, uax, ours = (re.findall("`([^`]*)`", cell) for cell in re.split(r"(?<!\\)\|", line)[1:-1])
        yield text[0], uax, ours


@pytest.mark.parametrize(("text", "uax", "ours"), list(_tailoring()))
def test_every_difference_from_uax_29_is_as_the_page_says(text, uax, ours):
    assert words(text) == ours != uax


def test_the_page_lists_differences_and_names_their_version():
    assert len(list(_tailoring())) >= 29
    page = (HERE.parent / "docs" / "how-to" / "read-a-signature.md").read_text("utf-8")
    assert f"`tok:{Profile('x', ()).tokens}`" in page


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ابتءىگپaZé19٠١۱ -/(),؛؟!\n«»؛…"), max_size=14))
@example("don't 1,250.75 example.com U.S.A ٣٫٥")
def test_running_text_has_the_words_of_uax_29(text):
    """By `regex`, whose boundaries are those of UAX #29 where no mark stands on a sign."""
    pieces = regex.split(r"(?wV1)\b", text)
    assert words(text) == [piece for piece in pieces if any(map(str.isalnum, piece))]


@settings(max_examples=300, deadline=None)
@given(texts | runs)
def test_spans_are_the_words_in_order(text):
    spans = word_spans(text)
    assert [text[start:end] for start, end in spans] == words(text)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from(arabic.LETTERS), min_size=1, max_size=8), max_size=8), st.randoms())
def test_vowel_marks_and_tatweel_never_split_a_word(plain_words, rng):
    marks = arabic.TASHKEEL + arabic.SEAT_MARKS + arabic.TATWEEL
    marked = [
        "".join(letter + "".join(rng.choices(marks, k=rng.randint(0, 3))) for letter in word) for word in plain_words
    ]
    assert words(" ".join(marked)) == marked


@settings(max_examples=200, deadline=None)
@given(texts | runs)
def test_no_letter_or_digit_is_outside_the_words(text):
    inside = {place for start, end in word_spans(text) for place in range(start, end)}
    assert [char for place, char in enumerate(text) if place not in inside and char.isalnum()] == []


@pytest.mark.parametrize(
    "unit", ["a", " ", ".", "؟", "a.", "ا. ", "\u064e", "(", '"', "http://", "1.", "@", "\u200f", " \n"]
)
def test_long_runs_take_linear_time(unit):
    text = unit * 200_000  # a quadratic step would take minutes
    assert len(words(text)) <= 400_000


# --- script ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "share"),
    [("abc ابج", 0.5), ("كَتَبَ", 1.0), ("OK", 0.0), ("ــ 12 ؟", 0.0), ("", 0.0), ("کتاب ﻻ", 1.0), ("naïve ا", 1 / 6)],
)
def test_arabic_share(text, share):
    assert arabic_share(text) == share


@settings(max_examples=100, deadline=None)
@given(texts | runs)
def test_arabic_share_is_a_share(text):
    assert 0.0 <= arabic_share(text) <= 1.0


def test_a_whole_text_has_no_half_of_a_pair():
    assert arabic.whole("قلم \ud83d\ude00 \ud83d") == "قلم \U0001f600 \ufffd"
    assert arabic.whole("مَشْق") == "مَشْق"
