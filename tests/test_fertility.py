"""What texts cost in tokens."""

from __future__ import annotations

from typing import Any

import pytest
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq.fertility import MOST_PER_WORD, Cost, Fertility, fertility, texts_of, tokenizer_of
from mashq.rows import MashqError, conform, source_ids

VOCALISED = "كَتَبَ الوَلَدُ الدَّرْسَ"


class Letters:
    """A tokenizer of one token a character."""

    def __call__(self, texts: list[str], **_: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[ord(mark) for mark in text] for text in texts]}


def test_counts_are_those_of_the_text() -> None:
    found = fertility(["كان يا ما كان"], Letters(), name="letters")
    assert found.by == {"arabic": Cost(texts=1, words=4, characters=13, bytes=23, tokens=13)}
    assert found.by["arabic"].as_dict()["tokens_per_word"] == 3.25
    assert found.by["arabic"].as_dict()["bytes_per_token"] == round(23 / 13, 4)


def test_texts_are_told_apart_by_variety_and_script() -> None:
    texts = ["كان يا ما كان", "إزيك عامل إيه", "Once upon a time", "12 + 3", "Жил-был", "اسمه Tom"]
    found = fertility(texts, Letters(), varieties=["msa", "egyptian", "msa", None, None, None])
    assert {name: cost.texts for name, cost in found.by.items()} == {
        "msa": 1,
        "egyptian": 1,
        "arabic": 1,
        "english": 1,
        "other": 2,
    }
    assert list(found.by)[-2:] == ["english", "other"]


def test_vowel_marks_are_counted_beside_the_same_text_without_them() -> None:
    found = fertility([VOCALISED, "ذهب الولد"], Letters())
    assert (found.vocalised.texts, found.vocalised.words, found.bare.words) == (1, 3, 3)
    assert found.vocalised.tokens == len(VOCALISED)
    assert found.bare.tokens == len("كتب الولد الدرس")


def test_dear_arabic_is_warned_of_and_fair_arabic_is_not() -> None:
    english = Cost(texts=9, words=100, tokens=120)
    assert Fertility("t", {"msa": Cost(words=100, tokens=200), "english": english}, Cost(), Cost()).warnings == []
    (said,) = Fertility("t", {"msa": Cost(words=100, tokens=245), "english": english}, Cost(), Cost()).warnings
    assert "an Arabic word takes 2.04 times the tokens of an English one (limit 2.0)" in said
    (said,) = Fertility("t", {"msa": Cost(words=100, tokens=300)}, Cost(), Cost()).warnings
    assert f"an Arabic word takes 3.00 tokens (limit {MOST_PER_WORD})" in said


def test_a_few_words_are_no_measure() -> None:
    assert Fertility("t", {"msa": Cost(words=49, tokens=490)}, Cost(), Cost()).warnings == []
    few = {"msa": Cost(words=100, tokens=200), "english": Cost(words=3, tokens=3)}
    assert Fertility("t", few, Cost(), Cost()).warnings == []


def test_a_text_without_words_has_no_tokens_a_word() -> None:
    found = fertility(["؟؟!"], Letters())
    assert found.by["other"].per_word is None
    assert "tokens_per_word" not in found.by["other"].as_dict()
    assert found.warnings == []
    assert found.lines()[1].split()[4] == "-"


def test_no_text_at_all_is_an_error() -> None:
    with pytest.raises(MashqError, match="expected at least one that is not empty, got 2 empty ones"):
        fertility(["", " \n"], Letters())
    with pytest.raises(MashqError, match="varieties: expected 2, one a text, got 1"):
        fertility(["نعم", "لا"], Letters(), varieties=["msa"])


def test_rows_give_every_turn_and_the_reference_that_answers() -> None:
    asked = [{"role": "user", "content": "من؟"}]
    table = conform(
        {
            "id": source_ids("t", "1", n=4),
            "messages": [asked, [*asked, {"role": "assistant", "content": "أنا"}], None, asked],
            "references": [["هو"], ["لا يُعَد"], None, None],
            "text": [None, None, "نص", None],
            "variety": ["msa", "gulf", None, "msa"],
            "dropped": [None, None, None, "short: 1 word < 2"],
        }
    )
    assert texts_of(table) == (["من؟", "هو", "من؟", "أنا", "نص"], ["msa", "msa", "gulf", "gulf", None])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=6))
def test_any_text_is_counted_once(texts: list[str]) -> None:
    if not any(text.encode("utf-8", "replace").decode().strip() for text in texts):
        return
    found = fertility(texts, Letters())
    kept = [text for text in texts if text.strip()]
    assert sum(cost.texts for cost in found.by.values()) == len(kept)
    assert sum(cost.characters for cost in found.by.values()) == sum(map(len, kept))


def test_a_lone_surrogate_does_not_stop_a_real_tokenizer() -> None:
    pytest.importorskip("transformers")
    found = fertility(["نعم \ud800 لا", "x" * 100_000], tiny_models.tokenizer())
    assert found.arabic.words == 2
    assert found.by["english"].characters == 100_000


def test_a_tokenizer_that_is_nowhere_is_an_error(tmp_path: Any) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(MashqError, match=r"expected a folder with tokenizer\.json, got none there"):
        tokenizer_of(str(tmp_path))
    with pytest.raises(MashqError, match=r"tokenizer 'gemma-270m': it is not to be had .*Did you mean 'gemma3-270m'"):
        tokenizer_of("gemma-270m")


def test_a_tokenizer_alone_in_a_folder_is_enough(tmp_path: Any) -> None:
    pytest.importorskip("transformers")
    tiny_models.tokenizer().save_pretrained(tmp_path)
    assert len(tokenizer_of(str(tmp_path))) == len(tiny_models.tokenizer())


def test_the_toys_take_a_token_a_letter_and_are_warned_of() -> None:
    pytest.importorskip("torch")
    found = fertility(tiny_models.LINES * 3, tokenizer_of("toy-llama"), name="toy-llama")
    assert found.arabic.tokens >= found.arabic.characters
    assert "tokenizer toy-llama: an Arabic word takes" in found.warnings[0]
