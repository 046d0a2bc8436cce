"""The judge card as a step: what is drawn, what is asked once, what people add, and what decides its folder."""

from __future__ import annotations

import json
import random

import pytest
from loopback import Act, completion, serving

from mashq import rows
from mashq.judge import Case, JudgeSettings, open_judge
from mashq.judge import rows as of_rows
from mashq.judge.card_step import Drawn, draw_replies, judge_card_step
from mashq.judge.probes import packaged_parallel
from mashq.rating.study import sample_id
from mashq.rating.table import COLUMNS
from mashq.rows import MashqError, id_hex
from mashq.run import Step, Store

VARIETIES = ("msa", "egyptian", "moroccan")
CRITERIA = ("fluency", "coherence", "following_instructions", "consistency", "variety")


def replies(job):
    """Each packaged text twice under a number, as one system's replies to prompts that systems share."""
    made = [(texts[variety], variety) for texts in packaged_parallel()[: job.settings["n"]] for variety in VARIETIES]
    prompts = rows.source_ids("t", "1", [f"k{place}" for place in range(len(made))])
    turns = [
        [
            {"role": "user", "content": f"{case.prompt} ({place})"},
            {"role": "assistant", "content": f"{case.reply} قصة رقم {place} {job.settings['system']}"},
        ]
        for place, (case, _) in enumerate(made)
    ]
    yield rows.conform(
        {
            "id": rows.child_ids(prompts, step="generate", template=job.settings["system"]),
            "parents": [[one] for one in prompts.to_pylist()],
            "messages": turns,
            "references": [["مرجع"]] * len(made),
            "variety": [variety for _, variety in made],
            "meta": [json.dumps({"system": job.settings["system"]})] * len(made),
        }
    )


def systems(n=4, names=("before", "after")):
    return {name: Step(name, replies, {"n": n, "system": name}, kind="stream") for name in names}


def carded(root, server, most=6, seed=0, ratings="", **settings):
    asked = JudgeSettings(model=f"{server.url}#judge", options={"concurrency": 1}, **settings)
    models = {"before": "gemma3-270m", "after": "gemma3-270m"}
    return Store(root).make(judge_card_step("card", systems(), asked, models, most, seed, str(ratings)))


def card_in(made):
    return json.loads((made.folder / "judge_card.json").read_text("utf-8"))


def judging_texts():
    """A server whose judge gives a level by a number in the text, and of a pair always the first place."""

    def plan(number, body):
        schema = body["response_format"]["json_schema"]["schema"]
        text = body["messages"][-1]["content"]
        pair = "overall" in schema["required"]
        said = "first" if pair else 1 + len(text) % 5
        return Act(body=completion(json.dumps(dict.fromkeys(schema["required"], said))))

    return serving(plan, models=("judge",))


def test_replies_are_drawn_evenly_by_item_over_varieties_and_systems():
    known = {
        name: [
            Drawn(Case(f"{number}", f"{name} {number}", VARIETIES[number % 3]), name, f"i{number}", f"g{number}")
            for number in range(30)
        ]
        for name in ("a", "b")
    }
    drawn = draw_replies(known, 13, seed=0)
    assert len(drawn) == 12  # the seventh item would be a reply too many
    assert [one.system for one in drawn] == ["a", "b"] * 6
    counts = [sum(one.case.variety == variety for one in drawn) for variety in VARIETIES]
    assert counts == [4, 4, 4]
    turned = {name: random.Random(1).sample(several, len(several)) for name, several in known.items()}
    assert draw_replies(turned, 13, seed=0) == drawn
    assert draw_replies(known, 13, seed=1) != drawn
    rated = {one.sample for one in known["b"] if one.item in ("i7", "i14", "i29")}
    assert {one.item for one in draw_replies(known, 12, seed=0, rated=rated)} >= {"i7", "i14", "i29"}


def test_items_that_one_system_lacks_come_last():
    def one(name, item):
        return Drawn(Case(item, f"{name} {item}", "msa"), name, item, item)

    known = {"a": [one("a", f"i{number}") for number in range(9)], "b": [one("b", "i8"), one("b", "i5")]}
    assert {drawn.item for drawn in draw_replies(known, 4, seed=3)} == {"i5", "i8"}


def test_card_lies_in_the_step_with_who_judged_what(tmp_path):
    with judging_texts() as server:
        made = carded(tmp_path, server)
    card = card_in(made)
    assert card["drawn"]["systems"] == {"before": 3, "after": 3}
    assert card["drawn"]["varieties"] == dict.fromkeys(sorted(VARIETIES), 2)
    assert card["cases"] == 6
    assert card["pairs"] == "filler"  # three twins are too few for the place probe
    assert card["about"]["rubric"] == "stories"
    assert card["about"]["kin"] == []
    assert card["people"] is None
    (advantage,) = (one for one in card["measures"] if (one["probe"], one["what"]) == ("position", "advantage"))
    assert advantage["value"] == 1.0
    assert made.manifest["produces"] == "judge_card"
    assert made.manifest["facts"] == {"replies": 6, "requests": card["requests"]}
    assert (made.folder / "judge_card.ar.md").read_text("utf-8").startswith("# بطاقة الحَكَم")


def test_the_digest_is_of_what_the_card_says_and_not_of_where_the_judge_is(tmp_path):
    made = []
    for place, most in enumerate((6, 6, 4)):
        with judging_texts() as server:  # each at a port of its own
            made.append(carded(tmp_path / str(place), server, most))
    one, elsewhere, other = (each.manifest["hash"] for each in made)
    assert card_in(made[0])["judge"] != card_in(made[1])["judge"]
    assert one == elsewhere != other


def test_what_was_judged_is_not_asked_again_and_a_second_run_asks_nothing(tmp_path):
    with judging_texts() as server:
        asked = JudgeSettings(model=f"{server.url}#judge", options={"concurrency": 1})
        step = of_rows.judged("judged", systems()["before"], asked, {"before": "gemma3-270m"})
        Store(tmp_path).make(step)
        before = len(server.asked)
        made = carded(tmp_path, server)
        card = card_in(made)
        assert len(server.asked) == before + card["requests"] - 3  # three of its replies were judged already
        (made.folder / "manifest.json").unlink()  # as if it had been killed before its end
        again = carded(tmp_path, server)
        assert len(server.asked) == before + card["requests"] - 3
        assert card_in(again) == card


def ratings_of(tmp_path, score, raters=("r1", "r2"), simulated=True):
    """People's answers to the replies of `before`, one in two rated by all raters."""
    (table,) = replies(type("Job", (), {"settings": {"n": 4, "system": "before"}}))
    said = []
    for place, row in enumerate(table.to_pylist()):
        reply = row["messages"][-1]["content"]
        item = sample_id("absolute", id_hex(row["parents"][0]), ("before",), (reply,))
        for rater in raters:
            base = dict.fromkeys(COLUMNS.names)
            known = {"study": "s", "simulated": simulated, "rater": rater, "withdrawn": False, "item": item}
            known |= {"kind": "absolute", "role": "item", "criterion": "fluency", "value": score(place)}
            said.append({**base, **known, "system": "before", "variety": row["variety"], "seconds": 3.0})
    path = tmp_path / "ratings.json"
    whole = {"study": "s", "simulated": simulated, "criteria": ["fluency"], "rows": said}
    path.write_text(json.dumps(whole, ensure_ascii=False), "utf-8")
    return path


def test_people_stand_beside_the_judge_and_their_file_is_in_the_fingerprint(tmp_path):
    path = ratings_of(tmp_path, lambda place: 1 + place % 5)
    with judging_texts() as server:
        made = carded(tmp_path / "runs", server, most=24, ratings=path)
        card = card_in(made)
        assert card["people"] == {"raters": 2, "replies": 12, "simulated": True}
        found = {one["what"]: one for one in card["measures"] if one["probe"] == "people"}
        assert found["kappa_people"]["value"] == 1.0  # both raters say the same
        assert found["kappa_judge"]["n"] == 12
        assert {one["criterion"] for one in card["measures"] if one["probe"] == "people"} == {"fluency"}
        before = len(server.asked)
        ratings_of(tmp_path, lambda place: 5 - place % 5)
        other = carded(tmp_path / "runs", server, most=24, ratings=path)
        assert other.folder != made.folder
        assert len(server.asked) == before  # the judge said all it had to


def test_ratings_of_other_replies_are_refused(tmp_path):
    path = ratings_of(tmp_path, lambda place: 3)
    whole = json.loads(path.read_text("utf-8"))
    for row in whole["rows"]:
        row["item"] = f"other {row['item']}"
    path.write_text(json.dumps(whole), "utf-8")
    with (
        judging_texts() as server,
        pytest.raises(MashqError, match="ratings: expected some of the replies judged, got none of them"),
    ):
        carded(tmp_path / "runs", server, ratings=path)


def test_fingerprint_holds_what_decides_the_card_and_nothing_else():
    def folder(most=6, seed=0, **settings):
        asked = JudgeSettings(model="echo", **settings)
        return judge_card_step("card", systems(), asked, {"before": "", "after": ""}, most, seed).fingerprint

    whole = folder()
    assert folder() == whole
    changed = [{"most": 8}, {"seed": 1}, {"language": "en"}, {"rubric": "prompts"}, {"apart": True}]
    assert len({whole, *(folder(**one) for one in changed)}) == len(changed) + 1


def test_a_judge_of_the_family_is_refused_or_named(tmp_path):
    with pytest.raises(MashqError, match="judge 'gemma3-270m': expected a model of another family"):
        judge_card_step("card", systems(), JudgeSettings(model="gemma3-270m"), {"before": "gemma3-270m"}, 6, 0)
    with pytest.raises(MashqError, match=r"card: replies: expected at least one system.*got 2 systems, 1"):
        judge_card_step("card", systems(), JudgeSettings(model="echo"), {}, 1, 0)


def ratings_of_all(tmp_path):
    """Three raters' answers to every reply of both systems: by its number, and no two raters the same."""
    rows_of = []
    for system in ("before", "after"):
        (table,) = replies(type("Job", (), {"settings": {"n": 8, "system": system}}))
        for place, row in enumerate(table.to_pylist()):
            item = sample_id("absolute", id_hex(row["parents"][0]), (system,), (row["messages"][-1]["content"],))
            for rater in range(3):
                said = min(5, 1 + place % 5 + (place * 7 + rater) % 2)
                known = {"study": "s", "simulated": True, "rater": f"r{rater}", "withdrawn": False, "item": item}
                known |= {"kind": "absolute", "role": "item", "criterion": "fluency", "value": said}
                rows_of.append({**dict.fromkeys(COLUMNS.names), **known, "system": system, "variety": row["variety"]})
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"study": "s", "simulated": True, "criteria": ["fluency"], "rows": rows_of}), "utf-8")
    return path


def test_a_judge_of_one_systems_family_is_held_against_people_on_both(tmp_path):
    def made(server, models, ratings=""):
        asked = JudgeSettings(model=f"{server.url}#gemma-3-4b", options={"concurrency": 1}, own_family=True)
        return Store(tmp_path / "runs").make(judge_card_step("card", systems(8), asked, models, 48, 0, ratings))

    kin, strangers = {"before": "gemma3-270m", "after": "qwen2.5-0.5b"}, {"before": "qwen2.5-0.5b", "after": "qwen3"}
    with judging_texts() as server:
        found = card_in(made(server, kin, str(ratings_of_all(tmp_path))))
        measured = {one["what"]: one for one in found["measures"] if one["probe"] == "preference"}
        assert set(measured) == {"adjusted", "difference", "wins"}
        assert measured["adjusted"]["n"] == 48
        assert found["about"]["kin"] == ["before"]
        untold = card_in(made(server, kin))
        (said,) = (one for one in untold["conclusions"] if one["probe"] == "preference")
        assert (said["status"], said["key"]) == ("open", "preference_no_people")
        other = made(server, strangers)
        assert not [one for one in card_in(other)["measures"] if one["probe"] == "preference"]


def test_metrics_are_known_from_what_a_step_says_without_its_model():
    judge = open_judge(JudgeSettings(model="echo", language="en"), {"s": ""})
    found = of_rows.metrics_in(judge.about(), judge.criteria)
    assert list(found) == [f"judge_{criterion}" for criterion in CRITERIA]
    opened = of_rows.metrics_of(judge)
    for criterion in CRITERIA:
        one = found[f"judge_{criterion}"]
        assert (one.signature, one.unit, one.higher_is_better) == (opened[criterion].signature, "1..5", True)
    assert found["judge_fluency"].of_meta({"judge": {"scores": {"fluency": 4}}}) == 4.0
    with pytest.raises(MashqError, match="judge: about: expected what a judged step says of its judge, got no model"):
        of_rows.metrics_in({"translator": "x"}, CRITERIA)
