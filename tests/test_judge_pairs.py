import json

import pytest

from mashq.judge.pairs import pair_results
from mashq.judge.pairs_page import pair_lines, pairs_markdown
from mashq.judge.verdict import OVERALL
from mashq.metrics import compare, holm
from mashq.metrics.resample import wilson

ATTACK = "a|b\n# forged <b>x</b>"


def lines(verdicts, system="tuned", criterion=OVERALL, **columns):
    """A line a verdict: w(in), t(ie), l(oss), f(lip) or u(nread); each its own cluster unless `group` says."""
    said = {"w": ("second", False), "t": ("tie", False), "l": ("first", False), "f": ("tie", True), "u": (None, None)}
    found = []
    for place, mark in enumerate(verdicts):
        verdict, flip = said[mark]
        own = {name: value[place] if isinstance(value, list) else value for name, value in columns.items()}
        same = {"item": f"i{place}", "group": "", "variety": None, "system": system, "criterion": criterion}
        found.append({**same, "verdict": verdict, "flip": flip, **own})
    return found


def results(listed, criteria=(OVERALL,)):
    return pair_results(listed, criteria, "judge_pairs|model:m|mashq:0")


def only(listed):
    (one,) = results(listed)["pairs"]
    return one


def test_flips_are_counted_apart_from_ties_and_every_pair_once():
    one = only(lines("wwwwttlfffuu"))
    counts = {"asked": 12, "wins": 4, "ties": 2, "losses": 1, "flips": 3, "unread": 2, "n": 10}
    assert {name: one[name] for name in counts} == counts
    assert one["wins"] + one["ties"] + one["losses"] + one["flips"] + one["unread"] == one["asked"]


def test_a_tie_and_a_flip_are_half_a_win_and_p_is_that_of_the_sign_flip_test():
    one = only(lines("wwwwwwwtfl"))
    wins = [1.0] * 7 + [0.5, 0.5, 0.0]
    assert one["share"] == pytest.approx(0.8)
    assert one["p"] == compare(wins, [1 - win for win in wins]).p == pytest.approx(18 / 256)  # C(8,0) + C(8,1), twice
    assert one["low"] < 0.8 < one["high"] <= 1


def test_the_share_of_flips_has_wilsons_interval():
    one = only(lines("f" * 12 + "w" * 28))
    low, high = wilson(0.3, 40)
    assert one["flip"]["value"] == pytest.approx(0.3)
    assert one["flip"]["low"] == pytest.approx(low, abs=0.03)
    assert one["flip"]["high"] == pytest.approx(high, abs=0.03)


def test_unanimous_verdicts_leave_an_interval_with_a_width():
    one = only(lines("w" * 12))
    assert one["share"] == one["high"] == 1.0
    assert 0.6 < one["low"] < 0.95
    assert only(lines("t" * 12))["low"] < 0.5 < only(lines("t" * 12))["high"]


def test_pairs_of_one_source_are_one_cluster():
    verdicts, group = "wwwwwwwwllll", [f"g{place // 4}" for place in range(12)]
    single, grouped = only(lines(verdicts)), only(lines(verdicts, group=group))
    assert (single["groups"], grouped["groups"]) == (12, 3)
    assert single["share"] == grouped["share"]
    assert grouped["p"] > single["p"]
    assert grouped["high"] - grouped["low"] > single["high"] - single["low"]


def test_one_cluster_and_no_readable_pair_measure_nothing():
    alone = only(lines("www", group="g"))
    assert (alone["share"], alone["low"], alone["high"], alone["p"], alone["p_holm"]) == (1.0, None, None, None, None)
    none = only(lines("uuu"))
    assert (none["share"], none["p"], none["flip"], none["unread"], none["n"]) == (None, None, None, 3, 0)


def test_holm_is_over_criteria_and_systems():
    listed = lines("w" * 10) + lines("w" * 9 + "l", criterion="fluency") + lines("wl" * 5, system="other")
    listed += lines("wwl" * 3 + "t", system="other", criterion="fluency")
    found = results(listed, ("fluency", OVERALL))["pairs"]
    assert len(found) == 4
    assert [one["p_holm"] for one in found] == holm([one["p"] for one in found])
    assert any(one["p_holm"] > one["p"] for one in found)


def test_varieties_have_their_own_entries_where_there_are_two_or_more():
    assert results(lines("wwll", variety="msa"))["varieties"] == []
    found = results(lines("wwllwwwt", variety=["msa"] * 4 + ["egyptian"] * 4))["varieties"]
    assert [(one["variety"], one["share"], one["n"]) for one in found] == [("egyptian", 0.875, 4), ("msa", 0.5, 4)]
    assert [one["p_holm"] for one in found] == holm([one["p"] for one in found])


def test_a_judge_that_tosses_a_coin_is_seldom_found_to_prefer_a_system():
    from random import Random

    random, found, inside = Random(7), 0, 0
    for _ in range(200):
        one = only(lines("".join(random.choice("wltf") for _ in range(24))))
        found += one["p"] < 0.05
        inside += one["low"] <= 0.5 <= one["high"]
    assert found <= 18  # 10 are expected of 200
    assert inside >= 182


def summary(listed, system="tuned", **facts):
    told = {"model": "m", "rubric": "stories", "baseline": "base", "notes": ["unknown family: the judge's."]}
    return {**told, **facts, **results(listed, ("fluency", OVERALL))}


def everything(system="tuned"):
    variety = ["msa", "egyptian"] * 10
    return lines("w" * 17 + "tfl", system=system, variety=variety) + lines(
        "wl" * 10, system=system, criterion="fluency", variety=variety
    )


def test_lines_say_what_to_conclude_then_the_shares_with_flips_apart():
    said = pair_lines(summary(everything()))
    assert said[0] == "tuned wins more often than base overall."
    assert said[1].startswith("  overall: wins 90% [")
    assert "(pairs 20: won 17, tied 1, lost 1, changed with the order 1, unread 0)" in said[1]
    assert said[2].startswith("  fluency: wins 50% [")
    assert any(line.startswith("  overall, Egyptian Arabic: wins ") for line in said)
    unclear = pair_lines(summary(lines("wl" * 10) + lines("wl" * 10, criterion="fluency")))
    assert unclear[0] == "Which of tuned and base is better overall cannot be told from these pairs."
    worse = pair_lines(summary(lines("l" * 20) + lines("wl" * 10, criterion="fluency")))
    assert worse[0] == "tuned wins less often than base overall."


def test_the_page_stands_in_both_languages_with_the_same_numbers():
    told = summary(everything())
    english, arabic = (pairs_markdown(told, language) for language in ("en", "ar"))
    assert english.startswith("# Replies in pairs\n") and arabic.startswith("# الردود أزواجًا\n")
    assert "| overall | 90% |" in english and "| إجمالًا | \u206690%\u2069 |" in arabic
    assert "| fluency | Egyptian Arabic |" in english and "| الطلاقة | المصرية |" in arabic
    assert english.count("\n| ") == arabic.count("\n| ")
    json.dumps(told, allow_nan=False)


def test_names_from_data_cannot_forge_the_page():
    told = summary(everything(ATTACK), baseline=ATTACK, model=ATTACK)
    for language in ("en", "ar"):
        page = pairs_markdown(told, language)
        assert "<b>" not in page
        assert not [line for line in page.splitlines() if line.startswith("# forged")]
    assert len({line.count("|") for line in pairs_markdown(told).splitlines() if line.startswith("| overall")}) <= 2
    assert not [line for line in pair_lines(told) if "\n" in line]
