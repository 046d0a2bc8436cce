"""The labelled set for de-identification holds what its page says: borders, kinds, counts, check digits."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from importlib.resources import files
from typing import Any

import pytest

KINDS = {
    "name": 250,
    "doctor": 60,
    "phone": 60,
    "national_id": 40,
    "email": 30,
    "handle": 30,
    "address": 40,
    "birth_date": 40,
    "record_number": 35,
    "hospital": 50,
    "iban": 25,
    "passport": 25,
}  # kind -> the least number of spans that a measure of it needs
VARIETIES = {"msa", "egyptian", "gulf", "levantine", "iraqi", "maghrebi"}
NEGATIVES = {
    *("age", "brand", "club", "date", "disease", "drug", "food", "history", "hotline", "institution"),
    *("measure", "media", "number", "place", "prayer", "price", "quran", "url", "word"),
}
FIELDS = ["id", "part", "variety", "text", "spans", "negatives", "note"]
ARABIC_DIGITS = str.maketrans("٠١٢٣٤٥٦٧٨٩", "0123456789")
HIDDEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")

LINES = (files("mashq") / "data/privacy/labelled.jsonl").read_text(encoding="utf-8").splitlines()
POSTS = [json.loads(line) for line in LINES]
SPANS = [(post, span, post["text"][span["start"] : span["end"]]) for post in POSTS for span in post["spans"]]


def of_kind(kind: str) -> list[str]:
    return [text for _, span, text in SPANS if span["kind"] == kind]


def digits(text: str) -> str:
    return re.sub(r"\D", "", text.translate(ARABIC_DIGITS))


def luhn(number: str) -> int:
    """The Luhn sum modulo 10 of a number with its check digit; 0 where the number is valid (ISO/IEC 7812-1)."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10


def weighted(number: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(number, weights, strict=True)) % 11


def test_every_post_has_the_same_fields_and_known_values():
    for post in POSTS:
        assert list(post) == FIELDS, post["id"]
        assert post["part"] in {"dev", "test"}, post["id"]
        assert post["variety"] in VARIETIES, post["id"]
        assert set(post["negatives"]) <= NEGATIVES, post["id"]
        assert post["text"] == post["text"].strip() != "", post["id"]


def test_ids_are_unique_and_in_order():
    assert [post["id"] for post in POSTS] == [f"L{number:04d}" for number in range(1, len(POSTS) + 1)]


def test_texts_are_unique_even_without_digits_and_marks():
    bare = Counter(re.sub(r"[\W\d_]+", " ", post["text"]).strip() for post in POSTS)
    assert [text for text, times in bare.items() if times > 1] == []


def test_spans_lie_within_texts_in_order_and_do_not_overlap():
    for post in POSTS:
        end = 0
        for span in post["spans"]:
            assert list(span) == ["start", "end", "kind"], post["id"]
            assert end <= span["start"] < span["end"] <= len(post["text"]), (post["id"], span)
            end = span["end"]


def test_spans_begin_and_end_at_a_visible_character():
    for post, span, text in SPANS:
        assert text == text.strip(" \n\t،.؛:؟!"), (post["id"], span, text)


def test_no_hidden_marks_stand_in_a_text():
    assert [post["id"] for post in POSTS if HIDDEN.search(post["text"])] == []


def test_every_kind_has_enough_spans():
    counts = Counter(span["kind"] for _, span, _ in SPANS)
    assert set(counts) == set(KINDS)
    assert {kind: counts[kind] for kind, least in KINDS.items() if counts[kind] < least} == {}


def test_the_page_beside_the_set_tells_its_size():
    page = (files("mashq") / "data/privacy/labelled.md").read_text(encoding="utf-8")
    empty = sum(not post["spans"] for post in POSTS)
    hard = sum(bool(post["negatives"]) for post in POSTS)
    assert f"{len(POSTS)} posts with {len(SPANS)} spans of twelve kinds. {empty} posts hold no span" in page
    assert f"and {hard} hold at least one hard negative" in page
    assert set(re.findall(r"^\| `(\w+)` \| [a-z]", page, re.MULTILINE)) - {"word", "place"} == set(KINDS)


def test_there_are_enough_posts_spans_and_hard_negatives():
    assert len(POSTS) >= 420
    assert len(SPANS) >= 600
    assert sum(bool(post["negatives"]) for post in POSTS) >= 200


@pytest.mark.parametrize("part", ["dev", "test"])
def test_both_parts_hold_every_kind_every_variety_and_hard_negatives(part):
    posts = [post for post in POSTS if post["part"] == part]
    assert {span["kind"] for post in posts for span in post["spans"]} == set(KINDS)
    assert {post["variety"] for post in posts} == VARIETIES
    assert {negative for post in posts for negative in post["negatives"]} == NEGATIVES


def test_the_test_part_is_about_two_thirds():
    share = sum(post["part"] == "test" for post in POSTS) / len(POSTS)
    assert 0.6 < share < 0.73


def test_a_part_is_the_hash_of_an_id_so_that_no_one_chooses_it():
    for post in POSTS:
        third = int(hashlib.sha256(post["id"].encode()).hexdigest(), 16) % 3
        assert post["part"] == ("dev" if third == 0 else "test"), post["id"]


def outside(post: dict[str, Any]) -> str:
    """The text of a post with an underscore for every character of a span."""
    text = post["text"]
    for span in post["spans"]:
        text = text[: span["start"]] + "_" * (span["end"] - span["start"]) + text[span["end"] :]
    return text


def test_long_numbers_outside_spans_are_said_to_be_hard_negatives():
    for post in POSTS:
        if re.search(r"\d{7}", outside(post).translate(ARABIC_DIGITS)):
            assert {"number", "price", "measure", "url"} & set(post["negatives"]), post["id"]


def test_no_handle_or_email_is_left_unlabelled():
    assert [post["id"] for post in POSTS if re.search(r"@\S|\S@", outside(post))] == []


def test_no_name_after_a_doctor_title_is_left_unlabelled():
    left = [post["id"] for post in POSTS if re.search(r"(?<!\w)د ?[./] *[\u0621-\u064a]", outside(post))]
    assert left == []


def test_phones_have_between_eight_and_fifteen_digits():
    # Lebanon's 03 000 111 has 8; 00964 with ten more has 15.
    assert [text for text in of_kind("phone") if not 8 <= len(digits(text)) <= 15] == []


def test_emails_have_an_at_and_a_reserved_domain():
    # RFC 2606: these names are never anybody's.
    for text in of_kind("email"):
        assert re.search(r"@| at |\(at\)", text), text
        assert re.search(r"[@ ]example( dot |\.)(com|org|net)$|\.example$", text.lower()), text


def test_ibans_pass_their_check_digits():
    # ISO 13616: the first four characters go last, letters count from A = 10, and the rest by 97 is 1.
    for text in of_kind("iban"):
        plain = re.sub(r"\s", "", text.translate(ARABIC_DIGITS)).upper()
        assert int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1, text


def test_saudi_and_emirati_ids_pass_luhn():
    numbers = [digits(text) for text in of_kind("national_id")]
    emirati = [number for number in numbers if len(number) == 15]
    assert len(emirati) >= 4
    assert [number for number in emirati if not number.startswith("784") or luhn(number)] == []
    # Jordan's ten digits begin with 9 or 200; a Saudi citizen's begin with 1, a resident's with 2.
    saudi = [number for number in numbers if len(number) == 10 and not number.startswith(("9", "2000"))]
    assert len(saudi) >= 8
    assert [number for number in saudi if luhn(number)] == []


def test_kuwaiti_civil_numbers_pass_their_check_digit():
    numbers = [digits(text) for text in of_kind("national_id") if re.fullmatch(r"[23]\d{11}", digits(text))]
    kuwaiti = [number for number in numbers if not number.startswith("200")]  # 2001… is Iraq's
    assert len(kuwaiti) >= 3
    weights = (2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    assert [number for number in kuwaiti if 11 - weighted(number[:-1], weights) != int(number[-1])] == []


def test_egyptian_numbers_hold_a_date_and_a_check_digit():
    numbers = [digits(text) for text in of_kind("national_id") if len(digits(text)) == 14]
    assert len(numbers) >= 6
    weights = (2, 7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)
    for number in numbers:
        assert number[0] in "23" and 1 <= int(number[3:5]) <= 12 and 1 <= int(number[5:7]) <= 31, number
        assert (11 - weighted(number[:13], weights)) % 10 == int(number[13]), number


def test_handles_hold_no_space():
    assert [text for text in of_kind("handle") if re.search(r"\s", text)] == []


def test_hospitals_begin_with_the_word_for_one():
    words = r"(مستشف[ىي]|مشفى|مركز|المركز|معهد|عيادات|عيادة|العيادة|مجمع|مستوصف|مصحة|كلينيك|Clinique)\b"
    assert [text for text in of_kind("hospital") if not re.match(words, text)] == []


def test_titles_stay_outside_names():
    title = r"(الدكتور|الدكتورة|دكتور|دكتورة|د\.|د/|السيد|السيدة|الحاج|الحاجة|الأستاذ|استاذ|مدام|عم|طنط|Dr\.?)\s"
    assert [text for kind in ("name", "doctor") for text in of_kind(kind) if re.match(title, text)] == []


def test_a_name_does_not_begin_with_a_glued_clitic():
    # The letter before a span may be a clitic; the span itself never opens with one before a kunya.
    assert [text for text in of_kind("name") if re.match(r"(و|ل|ب|ول|وب)(أبو|ابو|أم|ام|أبي)\s", text)] == []


def test_public_figures_are_told_apart_by_their_note():
    for post in POSTS:
        if post["note"].startswith("public figure: "):
            names = {post["text"][span["start"] : span["end"]] for span in post["spans"]}
            assert set(post["note"].removeprefix("public figure: ").split(", ")) <= names, post["id"]
    assert sum(post["note"].startswith("public figure: ") for post in POSTS) >= 25
