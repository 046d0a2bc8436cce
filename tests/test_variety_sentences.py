"""The written sentences by variety: shape, counts, no row twice, no row in two varieties, what the page says."""

import re
from collections import Counter, defaultdict
from importlib import resources
from typing import Any

import pytest
import yaml

from mashq import arabic

FOLDER = resources.files("mashq") / "data" / "variety" / "sentences"
LEAST = {
    "algerian": 120,
    "classical": 60,
    "egyptian": 300,
    "gulf": 300,
    "iraqi": 300,
    "levantine": 300,
    "libyan": 60,
    "moroccan": 300,
    "msa": 300,
    "sudanese": 60,
    "tunisian": 120,
    "yemeni": 60,
}
GUARDS = {"classical"}  # told apart from the standard only to be left alone
SHARED = {
    *("advice", "chat", "complaint", "customer", "directions", "family", "football", "joke", "market", "news"),
    *("phone", "recipe", "school", "story", "technology", "travel", "tweet", "weather", "work"),
}  # the same 19 in every variety: a classifier must not learn the topic
STANDARD_ONLY = {"encyclopedia", "heading", "instructions"}
CLASSICAL_ONLY = {"poetry", "prose"}
IN_SETS = ("egyptian", "gulf", "iraqi", "levantine", "moroccan", "msa")
SETS = 153  # the same content, once in each of the six; a higher number is a loose group
SCRIPTURE = ("قال تعالي", "قال الله", "رسول الله", "صلي الله عليه", "بسم الله الرحمن", "صدق الله", "حديث شريف")

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def written() -> Rows:
    files = sorted((one for one in FOLDER.iterdir() if one.name.endswith(".yaml")), key=lambda one: one.name)
    return {one.name.removesuffix(".yaml"): yaml.safe_load(one.read_text("utf-8")) for one in files}


def folded(text: str) -> str:
    """One spelling for all that differ in hamza, ya, ta marbuta, marks and punctuation only."""
    return arabic.normalise(
        text, ("nfc", "tatweel", "tashkeel", "alef", "hamza", "ya", "ta_marbuta", "unpunctuated", "spaces")
    )


def test_every_variety_is_there(written: Rows) -> None:
    assert set(written) == set(LEAST)


@pytest.mark.parametrize("variety", sorted(LEAST))
def test_a_variety_has_enough_rows(written: Rows, variety: str) -> None:
    assert len(written[variety]) >= LEAST[variety]


@pytest.mark.parametrize("variety", sorted(LEAST))
def test_a_row_has_its_fields_and_no_other(written: Rows, variety: str) -> None:
    for row in written[variety]:
        assert {"text", "genre", "where"} <= set(row) <= {"text", "genre", "where", "set", "weak"}, row
        assert isinstance(row["text"], str), row
        assert row["text"] == row["text"].strip() != "", row
        assert isinstance(row["where"], str), row
        assert row["where"] != "", row
        assert row.get("weak", True) is True, row
        assert isinstance(row.get("set", 1), int), row


@pytest.mark.parametrize("variety", sorted(LEAST))
def test_genres_are_known(written: Rows, variety: str) -> None:
    genres = {row["genre"] for row in written[variety]}
    allowed = CLASSICAL_ONLY if variety in GUARDS else SHARED | (STANDARD_ONLY if variety == "msa" else set())
    assert genres <= allowed
    if variety not in GUARDS:
        assert genres >= SHARED  # every variety in every shared genre


def test_no_row_twice_and_none_in_two_varieties(written: Rows) -> None:
    """A line that two varieties share tells nothing apart; a line given twice counts twice."""
    homes: dict[str, list[str]] = defaultdict(list)
    for variety, rows in written.items():
        for row in rows:
            homes[folded(row["text"])].append(variety)
    assert {text: found for text, found in homes.items() if len(found) > 1} == {}


@pytest.mark.parametrize("variety", sorted(LEAST))
def test_text_is_arabic_words_of_a_sentence(written: Rows, variety: str) -> None:
    for row in written[variety]:
        text = row["text"]
        assert arabic.arabic_share(text) >= 0.9, text
        assert 3 <= len(arabic.words(text)) <= 45, text
        assert len(re.findall(r"[^\W\d_]", text)) >= 8, text  # letters: no row of digits and signs
        assert "\n" not in text, text
        assert arabic.normalise(text, "clean") == text, text  # nothing invisible


@pytest.mark.parametrize("variety", sorted(LEAST))
def test_no_links_no_handles_no_numbers_of_people(written: Rows, variety: str) -> None:
    for row in written[variety]:
        assert not re.search(r"https?:|www\.|@|#|\d{5,}", row["text"]), row["text"]


@pytest.mark.parametrize("variety", sorted(LEAST))
def test_nothing_stands_as_scripture(written: Rows, variety: str) -> None:
    for row in written[variety]:
        assert not [phrase for phrase in SCRIPTURE if phrase in folded(row["text"])], row["text"]


@pytest.mark.parametrize("variety", IN_SETS)
def test_a_set_stands_once_in_each_of_the_six(written: Rows, variety: str) -> None:
    found = Counter(row["set"] for row in written[variety] if row.get("set", SETS + 1) <= SETS)
    assert found == Counter(range(1, SETS + 1))


def test_a_set_has_one_genre_and_more_than_one_variety(written: Rows) -> None:
    """A split that keeps a set on one side keeps what its rows have in common on that side too."""
    genres: dict[int, set[str]] = defaultdict(set)
    homes: dict[int, list[str]] = defaultdict(list)
    for variety, rows in written.items():
        for row in rows:
            if "set" in row:
                genres[row["set"]].add(row["genre"])
                homes[row["set"]].append(variety)
    assert sorted(homes) == list(range(1, len(homes) + 1))  # none left out
    assert {number: found for number, found in genres.items() if len(found) > 1} == {}
    assert [number for number, found in homes.items() if len(set(found)) < 2] == []
    twice = [number for number, found in homes.items() if number <= SETS and len(found) > len(set(found))]
    assert twice == []  # only a loose group may hold two rows of one variety


@pytest.mark.parametrize("variety", sorted(set(LEAST) - GUARDS - {"msa"}))
def test_no_shared_genre_rules_a_variety(written: Rows, variety: str) -> None:
    counts = Counter(row["genre"] for row in written[variety])
    assert max(counts.values()) <= 0.2 * len(written[variety])


def test_gulf_and_levantine_come_from_several_places(written: Rows) -> None:
    assert {"Najd", "Hijaz", "Kuwait", "Emirates", "Oman"} <= {row["where"] for row in written["gulf"]}
    assert {row["where"] for row in written["levantine"]} == {"Syria", "Lebanon", "Palestine", "Jordan"}


def test_weak_rows_are_few(written: Rows) -> None:
    """Weak: a reader of the variety could take the line for another's. Many of them would make the set useless."""
    for variety, rows in written.items():
        assert sum("weak" in row for row in rows) <= 0.1 * len(rows), variety


def test_the_page_says_the_counts(written: Rows) -> None:
    page = (FOLDER / "README.md").read_text("utf-8")
    said = {
        name: tuple(map(int, numbers))
        for name, *numbers in re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \|", page, re.M)
        if name in LEAST  # a table of genres stands below
    }
    found = {
        variety: (len(rows), sum("set" in row for row in rows), sum("weak" in row for row in rows))
        for variety, rows in written.items()
    }
    assert said == found


@pytest.mark.parametrize(
    ("one", "other"),
    [("إزيك عامل إيه؟", "ازيك عامل ايه"), ("القطّة على الباب", "القطه علي الباب"), ("ده غالى قوى", "ده غالي قوي!")],
)
def test_folding_joins_spellings(one: str, other: str) -> None:
    assert folded(one) == folded(other)
