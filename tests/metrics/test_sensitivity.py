"""Whether a ranking moves with the text profile, and whether it does so for certain."""

import json

import numpy as np
import pytest
from scipy.stats import kendalltau

from mashq.metrics import chrf, mean_score, rouge
from mashq.metrics.profile import ARABIC, LOOSE, PROFILES, STRICT
from mashq.metrics.sensitivity import METRICS, sensitivity
from mashq.rows import MashqError

SENTENCES = [
    "ذهب الأولاد إلى المدرسة في الصباح الباكر",
    "أكلت الأسرة الطعام في حديقة البيت الكبيرة",
    "أرسل الأستاذ إلى الأهل رسالة عن الامتحان",
    "إن القراءة أفضل ما يفعله الإنسان في الإجازة",
    "سافر أخي إلى الإسكندرية أمس مع أصدقائه",
    "أحب أن أجلس أمام البحر وأسمع الأمواج",
]
REFERENCES = [[text] for text in SENTENCES]
VOCALISED = "\N{ARABIC FATHA}"


def spelt(text):
    """The same words without hamza on alef: equal to a reader, other words to a strict profile."""
    return text.replace("أ", "ا").replace("إ", "ا")


def shortened(text, words=2):
    return " ".join(text.split()[:-words])


@pytest.fixture(scope="module")
def turning():
    """`careful` writes every letter but leaves words out; `hasty` writes every word without its hamza."""
    systems = {"careful": [shortened(text) for text in SENTENCES], "hasty": [spelt(text) for text in SENTENCES]}
    return sensitivity(systems, REFERENCES, metrics=("rougeL", "chrF++"))


def test_a_ranking_that_turns_for_certain_is_told_with_its_pair(turning):
    assert [(one.metric, one.profile, one.other) for one in turning.turns if one.metric == "rougeL"] == [
        ("rougeL", "strict", "arabic"),
        ("rougeL", "strict", "loose"),
    ]
    turn = turning.turns[0]
    assert (turn.first, turn.second, turn.certain) == ("careful", "hasty", True)
    assert turn.difference.low > 0 > turn.other_difference.high
    assert turning.verdicts()[0].startswith(
        "rougeL: the ranking moves with the profile (Kendall's tau at least -1.00): careful swaps with hasty"
    )


def test_ranks_and_means_are_those_of_the_metric_itself(turning):
    found = {(one.metric, one.profile, one.system): one for one in turning.cells}
    assert len(found) == 2 * 3 * 2
    for profile in (STRICT, ARABIC, LOOSE):
        for name, made in (("rougeL", rouge.metric("rougeL", profile)), ("chrF++", chrf.metric(profile))):
            values = made.per_item([spelt(text) for text in SENTENCES], REFERENCES)
            assert found[name, profile.name, "hasty"].score == mean_score(
                values, name=name, signature=made.signature, bounds=made.bounds
            )
    assert [found["rougeL", profile, "careful"].rank for profile in turning.profiles] == [1, 2, 2]
    assert found["rougeL", "loose", "hasty"].score.value == 1.0


def test_a_turn_within_noise_is_not_called_certain():
    """Each is wrong on two of six items: strict counts the spelling of `bare`, loose only the word `short` lacks."""
    systems = {
        "bare": [spelt(text) if place in (0, 2) else text for place, text in enumerate(SENTENCES)],
        "short": [shortened(text, 1) if place in (1, 3) else text for place, text in enumerate(SENTENCES)],
    }
    found = sensitivity(systems, REFERENCES, metrics=("rouge1",), profiles=("strict", "loose"))
    (turn,) = found.turns
    assert (turn.first, turn.second, turn.certain) == ("short", "bare", False)
    assert turn.difference.low <= 0 <= turn.difference.high
    assert found.agreements[0].tau == -1
    assert "rouge1: the ranking moves with the profile, but within noise" in found.verdicts()[0]


def test_equal_systems_have_no_ranking_and_nothing_turns():
    found = sensitivity({"a": SENTENCES, "b": SENTENCES}, REFERENCES, metrics=("rougeL",))
    assert found.turns == ()
    assert {one.tau for one in found.agreements} == {None}
    assert {one.rank for one in found.cells} == {1}
    assert found.verdicts() == ["rougeL: there is no ranking to move (one system, or all are equal)."]


def test_a_tie_that_a_profile_makes_is_told_as_one():
    found = sensitivity(
        {"plain": SENTENCES, "bare": [spelt(text) for text in SENTENCES]}, REFERENCES, metrics=("rougeL",)
    )
    turn = found.turns[0]
    assert (turn.profile, turn.other, turn.first, turn.certain) == ("strict", "arabic", "plain", False)
    assert "plain ties with bare" in found.verdicts()[0]


def test_tau_is_that_of_scipy():
    draw = np.random.default_rng(5)
    systems = {}
    for number in range(6):
        systems[f"s{number}"] = [
            " ".join(spelt(word) if draw.random() < 0.4 else word for word in text.split() if draw.random() < 0.8)
            for text in SENTENCES
        ]
    found = sensitivity(systems, REFERENCES, profiles=tuple(PROFILES)[:3], metrics=tuple(METRICS))
    for one in found.agreements:
        means = [
            [cell.score.value for cell in found.cells if (cell.metric, cell.profile) == (one.metric, profile)]
            for profile in (one.profile, one.other)
        ]
        assert one.tau == pytest.approx(kendalltau(*means).statistic, abs=1e-12)
        assert one.moved == (one.tau < 1)


def test_groups_are_the_clusters_of_every_interval():
    systems = {"a": [shortened(text) for text in SENTENCES], "b": SENTENCES}
    alone = sensitivity(systems, REFERENCES, metrics=("rougeL",))
    grouped = sensitivity(systems, REFERENCES, ["x", "x", "x", "y", "y", "y"], metrics=("rougeL",))
    assert (alone.n, alone.clusters, grouped.clusters) == (6, 6, 2)
    assert "by:group" in grouped.cells[0].score.signature
    whole = sensitivity(systems, REFERENCES, ["x"] * 6, metrics=("rougeL",))
    assert whole.differences[0].low is None
    assert not whole.differences[0].certain


def test_it_serialises_to_json_and_to_a_table(turning):
    read = json.loads(json.dumps(turning.as_dict(), ensure_ascii=False))
    assert read["agreements"][0]["turns"][0]["certain"] is True
    assert read["cells"][0]["score"]["signature"].startswith("rougeL|f|refs:best|tok:uax29-ar1|norm:nfc|case:lower")
    table = turning.markdown()
    assert table[0] == "| rougeL | strict | arabic | loose |"
    assert all(line.count("|") == 5 for line in table if line.startswith("|"))
    assert "(#1)" in table[2]


def test_a_pipe_in_a_name_breaks_no_table():
    found = sensitivity({"a|b\nc": SENTENCES}, REFERENCES, metrics=("rougeL",))
    assert found.markdown()[2].startswith("| a\\|b c | ")


def test_the_same_input_gives_the_same_bytes():
    systems = {"a": [shortened(text) for text in SENTENCES], "b": [spelt(text) for text in SENTENCES]}
    one, two = (sensitivity(systems, REFERENCES, metrics=("rouge2",)).as_dict() for _ in range(2))
    assert json.dumps(one) == json.dumps(two)


def test_odd_replies_are_scored():
    odd = ["", "\x00\x01", "漢字 😀", "١٢٣", VOCALISED * 50, "word " * 1000]
    found = sensitivity({"odd": odd, "true": SENTENCES}, REFERENCES)
    assert {one.rank for one in found.cells if one.system == "true"} == {1}


def test_errors_say_what_to_do():
    with pytest.raises(MashqError, match="systems: expected at least one, got none"):
        sensitivity({}, REFERENCES)
    with pytest.raises(MashqError, match="system 'a': expected 6 replies, one per item, got 1"):
        sensitivity({"a": ["نص"]}, REFERENCES)
    with pytest.raises(MashqError, match="system 'a': expected 6 replies, one per item, got one text"):
        sensitivity({"a": "ستة أحرف"}, REFERENCES)
    with pytest.raises(MashqError, match=r"profile: .*got 'losse'\. Did you mean 'loose'\?"):
        sensitivity({"a": SENTENCES}, REFERENCES, profiles=("strict", "losse"))
    with pytest.raises(MashqError, match="at least two of different names, got strict, strict"):
        sensitivity({"a": SENTENCES}, REFERENCES, profiles=("strict", STRICT))
    with pytest.raises(MashqError, match=r"metric: .*got 'rougel'\. Did you mean 'rougeL'\?"):
        sensitivity({"a": SENTENCES}, REFERENCES, metrics=("rougel",))
    with pytest.raises(MashqError, match="a list of at least one reference"):
        sensitivity({"a": SENTENCES}, [[] for _ in SENTENCES])
    with pytest.raises(MashqError, match="groups: expected 6"):
        sensitivity({"a": SENTENCES}, REFERENCES, ["x"])
