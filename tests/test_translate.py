"""Sentences judged once each, in any order, with the result of judging all of them."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq.memory import Memory
from mashq.mt import Output, open_engine
from mashq.rows import MashqError
from mashq.translate import Bar, Judge, Rule, Translator, cut, verdicts


class Counting:
    """An engine that writes in Arabic letters and counts what it is asked; `<n>` in a sentence is its score."""

    name, identity, licence = "counting", "counting:1", "none"

    def __init__(self, at_once=4):
        self.asked, self.at_once, self.inner = Counter(), at_once, open_engine("transliterate")

    def batches(self, sentences):
        places = sorted(range(len(sentences)), key=lambda place: (-len(sentences[place]), sentences[place]))
        return [places[start : start + self.at_once] for start in range(0, len(places), self.at_once)]

    def translate(self, sentences):
        self.asked.update(sentences)
        return [
            Output(one.text, "cut: 9 new tokens" if "endless" in source else None)
            for source, one in zip(sentences, self.inner.translate(sentences), strict=True)
        ]


class Said:
    """A scorer that reads the score of a pair out of the source: its last word is a per mille."""

    name, identity, scale, licence, column = "said", "said:1", (0.0, 1.0), "none", "qe"

    def __init__(self):
        self.asked = Counter()

    def batches(self, pairs):
        return [list(range(start, min(start + 3, len(pairs)))) for start in range(0, len(pairs), 3)]

    def score(self, pairs):
        self.asked.update(pairs)
        return np.array([int(source.split()[-1].rstrip(".")) / 1000 for source, _ in pairs], np.float32)


def judged(texts, rule, least=0.7, memory=None, engine=None, scorer=None):
    found = cut(texts)
    with_ = Translator(engine or Counting(), memory or Memory(None), Bar(scorer or Said(), float(np.float32(least))))
    judge = Judge(with_, found.sentences, b"work")
    rows = np.repeat(np.arange(len(texts)), np.diff(found.offsets))
    sentences = found.sentence[found.places]
    pairs = list(dict.fromkeys((int(r), int(s)) for r, s in zip(rows, sentences, strict=True) if s >= 0))
    own = np.array([r for r, _ in pairs], dtype=np.int64)
    of = np.array([s for _, s in pairs], dtype=np.int64)
    return verdicts(judge, own, of, len(texts), rule), judge


def text(*scores):
    return " ".join(f"The lamp shines {score}." for score in scores)


def test_joined_pieces_are_the_text_with_sentences_replaced():
    texts = ["One door.  Two doors!\n\n- three", "Two doors!", ""]
    found = cut(texts)
    assert found.joined([sentence.upper() for sentence in found.sentences]).to_pylist() == [
        "ONE DOOR.  TWO DOORS!\n\n- THREE",
        "TWO DOORS!",
        "",
    ]
    assert found.sentences == ["One door.", "Two doors!", "three"]


def test_every_sentence_must_pass_and_the_reason_names_the_one_that_does_not():
    found, _ = judged([text(900, 800), text(900, 610), text(700)], Rule())
    assert found.reasons[0] is None and found.reasons[2] is None
    assert found.reasons[1].startswith("qe: 0.610 < 0.700, sentence 2 of 2: «The lamp shines 610.» -> «")
    assert found.scores[[0, 2]].tolist() == pytest.approx([0.8, 0.7])
    assert np.isnan(found.scores[1])


def test_the_rest_of_a_text_that_failed_is_neither_translated_nor_scored():
    shared = "Read the text 950."
    texts = [f"{shared} {text(100 + place)} {text(800 + place)} {text(900 + place)}" for place in range(10)]
    engine, scorer = Counting(), Said()
    found, _ = judged(texts, Rule(), engine=engine, scorer=scorer)
    assert all(reason.startswith("qe: 0.1") for reason in found.reasons)
    assert (
        sum(scorer.asked.values())
        < 31
        == sum(judged(texts, Rule(short_circuit=False))[1].spent[what] for what in ("said",))
    )
    assert max(engine.asked.values()) == 1 and max(scorer.asked.values()) == 1


def test_a_sentence_that_most_texts_share_is_judged_first():
    texts = [f"{text(900 + place)} The last one 100." for place in range(8)]
    engine = Counting()
    found, _ = judged(texts, Rule(), engine=engine)
    assert list(engine.asked) == ["The last one 100."]
    assert all("sentence 2 of 2" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (Rule("mean"), [True, True, False]),
        (Rule("lowest", lowest=2), [False, True, False]),
        (Rule("share", share=0.6), [True, True, False]),
        (Rule("every"), [False, False, False]),
    ],
)
def test_the_other_rules(rule, kept):
    texts = [text(910, 920, 480), text(900, 950, 660, 750), text(500, 600)]
    found, _ = judged(texts, rule)
    assert [reason is None for reason in found.reasons] == kept


def test_a_share_that_is_missed_says_how_many_failed():
    found, _ = judged([text(500, 600, 900, 910, 920)], Rule("share", share=0.7))
    assert found.reasons[0].startswith("qe: 0.600 < 0.700, sentence 2 of 5 and 1 others: ")


def test_a_fault_drops_a_text_under_every_rule():
    for rule in (Rule(), Rule("mean"), Rule("share", share=0.1), Rule("lowest")):
        found, _ = judged(["An endless lamp shines 990. " + text(999, 998)], rule)
        assert found.reasons[0].startswith("cut: 9 new tokens, sentence 1 of 3: «An endless lamp shines 990.»")


documents = st.lists(st.lists(st.integers(600, 800), min_size=0, max_size=6), min_size=1, max_size=12)
rules = st.sampled_from([Rule(), Rule("mean"), Rule("lowest", lowest=2), Rule("share", share=0.5)])


@settings(max_examples=80, deadline=None)
@given(documents, rules)
def test_judging_as_little_as_needed_gives_what_judging_everything_gives(scores, rule):
    texts = [text(*some) for some in scores]
    few, _ = judged(texts, rule)
    every, _ = judged(texts, Rule(rule.keep, rule.lowest, rule.share, short_circuit=False))
    assert [reason is None for reason in few.reasons] == [reason is None for reason in every.reasons]
    assert all("no score" not in reason for reason in few.reasons if reason)
    np.testing.assert_array_equal(few.scores, every.scores)
    if rule.keep == "every":
        naive = [all(np.float32(score / 1000) >= np.float32(0.7) for score in some) for some in scores]
        assert [reason is None for reason in few.reasons] == naive


def test_a_later_run_asks_only_what_is_new(tmp_path):
    first, second = Counting(), Counting()
    with Memory(tmp_path / "m.sqlite") as memory:
        judged([text(900, 910)], Rule(), memory=memory, engine=first)
        scorer = Said()
        judged([text(910, 920)], Rule(), memory=memory, engine=second, scorer=scorer)
    assert set(second.asked) == {"The lamp shines 920."}
    assert {source for source, _ in scorer.asked} == {"The lamp shines 920."}


def test_a_run_that_was_stopped_asks_the_same_batches_again(tmp_path):
    """What a batch is must not depend on where a run was stopped: a model's rounding may depend on the batch."""

    class Stops(Counting):
        def __init__(self, after):
            super().__init__()
            self.left, self.seen = after, []

        def translate(self, sentences):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            self.seen.append(tuple(sentences))
            return super().translate(sentences)

    texts = [text(*range(900 + place, 905 + place)) for place in range(0, 40, 5)]
    whole = Stops(10**9)
    judged(texts, Rule(), engine=whole)
    with Memory(tmp_path / "m.sqlite") as memory:
        cut_off, resumed = Stops(3), Stops(10**9)
        with pytest.raises(KeyboardInterrupt):
            judged(texts, Rule(), memory=memory, engine=cut_off)
        judged(texts, Rule(), memory=memory, engine=resumed)
    assert cut_off.seen + resumed.seen == whole.seen


def test_fixed_translations_go_before_the_engine_and_are_not_scored():
    engine, scorer = Counting(), Said()
    found = cut(["yes"])
    with_ = Translator(engine, Memory(None), Bar(scorer, 0.7), fixed={"yes": "نعم"})
    judge = Judge(with_, found.sentences, b"work")
    judge.judge([0])
    assert (judge.translations, judge.why, not engine.asked, not scorer.asked) == (["نعم"], [None], True, True)


def test_masked_parts_come_back_and_are_not_shown_to_the_engine():
    engine = Counting()
    found = cut(["Send it to anna@example.com by Friday."])
    judge = Judge(Translator(engine, Memory(None)), found.sentences, b"work")
    judge.judge([0])
    assert "anna@example.com" in judge.translations[0]
    assert not any("anna" in sentence for sentence in engine.asked)


def test_a_rule_with_a_value_out_of_range_says_which():
    with pytest.raises(MashqError, match=r"rule: lowest is 1 or more, got 0; share is above 0 and at most 1, got 1.5"):
        Rule("lowest", lowest=0, share=1.5)
