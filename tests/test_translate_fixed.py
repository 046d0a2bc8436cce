"""Fixed and rejected translations: read by sentence, and found whatever the quotes are."""

from pathlib import Path

import pytest

from mashq.memory import Memory
from mashq.mt import open_engine
from mashq.rows import MashqError
from mashq.translate import Judge, Translator
from mashq.translate.fixed import by_sentence, fixed_for, fixed_translations, is_rejected, rejected_translations


def written(folder: Path, text: str) -> Path:
    path = folder / "own.yaml"
    path.write_text(text, "utf-8")
    return path


def test_texts_of_several_sentences_are_read_by_sentence(tmp_path):
    own = written(tmp_path, 'msa:\n  "The cat sat. The dog ran.": "جلس القط. ركض الكلب."\n  "- Open it.": "- افتحه."\n')
    found = fixed_translations("msa", own)
    sentences = ("The cat sat.", "The dog ran.", "Open it.")
    assert [fixed_for(found, one) for one in sentences] == ["جلس القط.", "ركض الكلب.", "افتحه."]


def test_a_line_of_its_own_goes_before_a_text_that_holds_the_sentence(tmp_path):
    own = written(tmp_path, 'msa:\n  "He ran.": "عدا."\n  "He ran. He fell.": "ركض. وقع."\n')
    assert fixed_for(fixed_translations("msa", own), "He ran.") == "عدا."


def test_a_text_that_has_not_as_many_sentences_is_refused(tmp_path):
    own = written(tmp_path, 'msa:\n  "The cat sat. The dog ran.": "جلس القط وركض الكلب."\n')
    with pytest.raises(MashqError, match="as many sentences in the translation, got 1 of them for 2 in the source"):
        fixed_translations("msa", own)


def test_one_sentence_may_become_two():
    assert by_sentence("He ran and fell.", "ركض. وقع.") == [("He ran and fell.", "ركض. وقع.")]


@pytest.mark.parametrize("asked", ["Don’t say “no”.", 'Don\'t say "no".', "Don‘t say „no”."])
@pytest.mark.parametrize("held", ["Don’t say “no”.", 'Don\'t say \\"no\\".'])
def test_quotes_of_any_shape_are_one(tmp_path, asked, held):
    own = written(tmp_path, f'msa:\n  "{held}": "لا تقل «لا»."\n')
    assert fixed_for(fixed_translations("msa", own), asked) == "لا تقل «لا»."


def test_a_rejected_translation_is_not_served_again(tmp_path):
    """The memory knows what the engine said, and goes on knowing it; the sentence fails all the same."""
    engine, memory = open_engine("transliterate"), Memory(tmp_path / "m.sqlite")
    before = Judge(Translator(engine, memory), ["He ran.", "Don’t go."], b"1")
    before.judge(range(2))
    assert before.why == [None, None]
    lines = "".join(f'    "{source}": ["{text}"]\n' for source, text in zip(
        ("He ran.", "Don't go."), before.translations, strict=True))  # fmt: skip
    rejected = rejected_translations("msa", written(tmp_path, f"rejected:\n  msa:\n{lines}"))
    after = Judge(Translator(engine, memory, rejected=rejected), ["He ran.", "Don’t go."], b"2")
    after.judge(range(2))
    assert after.why == ["rejected: people rejected this translation"] * 2
    copied = Judge(Translator(open_engine("copy"), memory, rejected=rejected), ["He ran."], b"3")
    copied.judge([0])  # another engine says another thing, which nobody rejected
    assert "rejected" not in (copied.why[0] or "")


def test_a_fixed_translation_goes_before_a_rejection(tmp_path):
    own = written(tmp_path, 'msa: {"He ran.": "ركض."}\nrejected: {msa: {"He ran.": ["جرى."]}}\n')
    rejected = rejected_translations("msa", own)
    with_ = Translator(
        open_engine("transliterate"), Memory(None), fixed=fixed_translations("msa", own), rejected=rejected
    )
    judge = Judge(with_, ["He ran."], b"1")
    judge.judge([0])
    assert (judge.translations, judge.why) == (["ركض."], [None])


def test_rejections_hold_for_their_variety(tmp_path):
    own = written(tmp_path, 'rejected: {msa: {"A.": ["أ"]}, all: {"B.": ["ب  ب"]}}\n')
    assert rejected_translations("egyptian", own) == {"B.": {"ب ب"}}
    assert set(rejected_translations("msa", own)) == {"A.", "B."}
    assert is_rejected(rejected_translations("msa", own), "B.", "ب ب")
    assert rejected_translations("msa") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rejected: [a]\n", "rejected: expected varieties"),
        ("rejected: {msa: {a: b}}\n", "lists of translations"),
        ("rejected: {mas: {a: [b]}}\n", "no variety 'mas' .* Did you mean 'msa'"),
    ],
)
def test_rejections_of_another_shape_are_refused(tmp_path, text, said):
    with pytest.raises(MashqError, match=said):
        rejected_translations("msa", written(tmp_path, text))


def test_ours_are_one_sentence_each():
    found = fixed_translations("msa")
    assert len(found) > 100
    assert all(by_sentence(source, text) == [(source, text)] for source, text in found.items())
