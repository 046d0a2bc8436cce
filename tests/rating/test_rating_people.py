"""What people said of an evaluation: joined to its replies, counted, compared; other replies are refused."""

import json
from collections import Counter

import people_examples as example
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mashq.rating.answered import read_answers
from mashq.rating.beside_judge import Scores, beside_people, scores_of_rows, scores_of_samples
from mashq.rating.exports import to_csv, to_json, to_parquet
from mashq.rating.people import people, said_by_people
from mashq.rating.store import Store
from mashq.rows import MashqError, conform, id_hex, source_ids
from mashq.run import Step
from mashq.run import Store as Steps

WRITERS = {"csv": to_csv, "json": to_json, "parquet": to_parquet}


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return example.samples(tmp_path_factory.mktemp("evaluation"))


@pytest.fixture(scope="module")
def store_path(samples, tmp_path_factory):
    return example.rated(tmp_path_factory.mktemp("rated") / "ratings.sqlite", samples)


@pytest.fixture(scope="module")
def said(samples, store_path):
    return said_by_people(read_answers(store_path), samples, baseline="base")


def of(found, **wanted):
    """The one line that has these values."""
    (line,) = [one for one in found if all(one[name] == value for name, value in wanted.items())]
    return line


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WRITERS)
def test_every_export_reads_back_as_the_stores_own_answers(store_path, tmp_path, kind):
    with Store.open(store_path) as store:
        path = WRITERS[kind](store, tmp_path / f"answers.{kind}")
        assert read_answers(path).equals(store.answers())


def test_what_a_file_must_be_is_told(store_path, tmp_path):
    with pytest.raises(MashqError, match=r"there is no file .*nowhere\.csv"):
        read_answers(tmp_path / "nowhere.csv")
    with pytest.raises(MashqError, match=r"expected a file \.csv or \.json or \.parquet or \.sqlite, got \.txt"):
        read_answers(tmp_path / "a.txt")
    with Store.open(store_path) as store:
        whole = json.loads(to_json(store, tmp_path / "a.json").read_text("utf-8"))
    for rows, message in (
        ([{**whole["rows"][0], "value": 6}], r"row 1: value: expected one of 1, 2, 3, 4, 5, got 6"),
        ([{**whole["rows"][0], "kind": "guess"}], r"row 1: expected kind absolute"),
        ([whole["rows"][0], whole["rows"][0]], r"row 2: expected one answer of a rater to a question, got a second"),
        ([{**whole["rows"][0], "rater": None}], r"row 1: expected a value for rater"),
        ("none", r"expected answers as mashq exports them"),
    ):
        (tmp_path / "b.json").write_text(json.dumps({**whole, "rows": rows}), "utf-8")
        with pytest.raises(MashqError, match=message):
            read_answers(tmp_path / "b.json")


def test_a_file_that_says_it_is_simulated_is_so_in_every_row(store_path, tmp_path):
    with Store.open(store_path) as store:
        whole = json.loads(to_json(store, tmp_path / "a.json").read_text("utf-8"))
    (tmp_path / "b.json").write_text(json.dumps({**whole, "simulated": True}), "utf-8")
    assert set(read_answers(tmp_path / "b.json")["simulated"].to_pylist()) == {True}


# --- counting --------------------------------------------------------------------------------------------------------


def test_means_are_those_of_the_raters_means(said):
    base, tuned = (of(said["means"], system=name, variety="all") for name in ("base", "tuned"))
    assert tuned["value"] == 3.0
    assert base["value"] == pytest.approx(2 + 4 / 12)
    assert (base["n"], base["ratings"]) == (12, 36)
    assert base["low"] < base["value"] < base["high"]
    assert {one["variety"] for one in said["means"]} == {"all", "msa", "egyptian"}


def test_differences_are_paired_by_item_and_drawn_by_group(said):
    one = of(said["comparisons"], variety="all")
    assert one["difference"] == pytest.approx(1 - 4 / 12)
    assert (one["a"], one["b"], one["n"], one["groups"]) == ("tuned", "base", 12, 6)
    assert (one["wins"], one["ties"], one["losses"]) == (8, 4, 0)
    assert one["least_p"] == 2**-5
    assert one["p"] == 2 / 2**6  # all six groups point the same way
    by_variety = [one for one in said["comparisons"] if one["variety"] != "all"]
    assert {one["p_holm"] for one in by_variety} == {min(1.0, 2 * 2 / 2**3)}  # two of them, three groups each


def test_raters_are_numbered_and_what_each_did_is_told(said):
    assert [one["rater"] for one in said["raters"]] == ["1", "2", "3"]
    assert not any(name in json.dumps(said, ensure_ascii=False) for name in example.RATERS)
    by_bias = dict(zip(sorted(example.RATERS), said["raters"], strict=True))
    severity = {name: of(one["severity"], criterion="fluency")["value"] for name, one in by_bias.items()}
    assert severity == {"هدى": pytest.approx(-1.5), "سامي": pytest.approx(0.0), "منى": pytest.approx(1.5)}
    assert {name: one["attention"]["failed"] for name, one in by_bias.items()} == {"هدى": 0, "سامي": 0, "منى": 3}
    assert {name: one["seconds"]["median"] for name, one in by_bias.items()} == {"هدى": 9, "سامي": 10, "منى": 11}
    assert {one["items"] for one in said["raters"]} == {24}
    assert {one["remarks"] for one in said["raters"]} == {2}


def test_agreement_is_told_with_its_trouble(said):
    one = of(said["agreement"], variety="all")
    rho, exact = (of(one["measures"], name=name) for name in ("spearman", "exact"))
    assert (rho["value"], exact["value"]) == (pytest.approx(1.0), 0.0)  # the same order, never the same score
    assert of(one["measures"], name="ordinal alpha")["trouble"] == "low"


def test_missing_answers_are_counted(samples, tmp_path):
    path = example.rated(tmp_path / "half.sqlite", samples, raters_per_item=0)
    with Store.open(path) as store:
        rows = store.answers().to_pylist()
    kept = [row for row in rows if not (row["rater"] == "هدى" and row["item"] <= sorted(r["item"] for r in rows)[30])]
    some = pa.Table.from_pylist(kept, read_answers(path).schema)
    found = said_by_people(some, samples, baseline="base")["ratings_an_item"]
    lost = len({row["item"] for row in rows if row["role"] == "item"}) * 3 - sum(row["role"] == "item" for row in kept)
    assert lost > 0
    assert found["missing"] == lost
    assert found["items"] == {"2": lost, "3": 24 - lost}


def test_pairs_are_counted_from_the_first_systems_side(samples, tmp_path):
    path = example.rated(tmp_path / "pairs.sqlite", samples, kind="pairwise")
    found = said_by_people(read_answers(path), samples, baseline="base")
    one = of(found["preferences"], variety="all")
    assert (one["a"], one["b"]) == ("base", "tuned")
    assert one["difference"] == pytest.approx(-2 / 3)
    assert (one["wins"], one["losses"], one["n"]) == (0, 12, 12)
    assert (found["means"], found["comparisons"], found["replies"], found["pairs"]) == ([], [], 0, 12)


def test_a_withdrawn_raters_answers_stay_and_do_not_count(samples, tmp_path):
    path = example.rated(tmp_path / "left.sqlite", samples)
    with Store.open(path) as store:
        gone = next(rater for rater, _ in store.raters() if rater.name == "منى")
        store.withdraw(gone)
        marked = Counter((row["rater"], row["withdrawn"]) for row in store.answers().to_pylist())
    assert marked == {("هدى", False): 27, ("سامي", False): 27, ("منى", True): 27}
    found = said_by_people(read_answers(path), samples, baseline="base")
    assert (found["withdrawn"], len(found["raters"])) == (1, 2)
    assert of(found["means"], system="tuned", variety="all")["value"] == 2.5  # of -1 and 0


# --- other replies ---------------------------------------------------------------------------------------------------


def test_ratings_of_replies_made_anew_are_refused(store_path, tmp_path):
    other = example.samples(tmp_path, reply="جواب آخر من")
    with pytest.raises(MashqError, match=r"24 of 24 rated items that are none of them"):
        said_by_people(read_answers(store_path), other, baseline="base")


def test_ratings_of_some_other_replies_are_refused_and_counted(store_path, samples, tmp_path):
    rows = pq.read_table(samples).to_pylist()
    rows[5]["reply"] = "رد آخر"
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "samples.parquet")
    with pytest.raises(MashqError, match=r"1 of 24 rated items that are none of them"):
        said_by_people(read_answers(store_path), tmp_path / "samples.parquet", baseline="base")


# --- beside a judge --------------------------------------------------------------------------------------------------


def test_a_judge_that_says_what_people_say_reaches_their_ceiling(tmp_path, store_path):
    samples = example.samples(tmp_path, judge_fluency=lambda place, system: float(example.plain_score(system, place)))
    judge = scores_of_samples(samples)
    assert len(judge.values) == 24
    one = of(said_by_people(read_answers(store_path), samples, baseline="base", judge=judge)["judge"]["criteria"])
    rho = of(one["measures"], name="spearman")
    kappa = of(one["measures"], name="quadratic kappa")
    assert (one["replies"], one["shared"], one["higher"]) == (24, 24, pytest.approx(0.0))
    assert kappa["judge"]["value"] > kappa["people"]["value"]  # it stands in the middle of the three
    assert rho["judge"]["pairs"] == 24 * 3
    assert rho["people"]["pairs"] == 24 * 3
    assert kappa["difference"]["value"] == pytest.approx(kappa["judge"]["value"] - kappa["people"]["value"])
    assert not kappa["difference"]["below"]


def test_a_judge_that_says_the_reverse_is_far_below_people(store_path, samples):
    rows = pq.read_table(samples).to_pylist()
    turned = {(row["id"], "fluency"): 5.0 - example.plain_score(row["system"], int(row["id"][:2])) for row in rows}
    found = said_by_people(read_answers(store_path), samples, baseline="base", judge=Scores(turned, {}))
    kappa = of(found["judge"]["criteria"][0]["measures"], name="quadratic kappa")
    assert kappa["judge"]["high"] < kappa["people"]["value"]
    assert kappa["difference"]["below"]


def rated_by(*people):
    """Rows as a store gives them: scores of replies one by one, each in a group of its own."""
    return [
        {"rater": str(number), "sample": f"s{place}", "criterion": "fluency", "value": score, "group": f"g{place}"}
        for number, scores in enumerate(people, start=1)
        for place, score in enumerate(scores)
        if score is not None
    ]


def test_a_severe_rater_does_not_lower_what_people_reach_in_order():
    mild, severe = [2, 3, 3, 4, 5, 5, 4, 2], [1, 2, 2, 3, 4, 4, 3, 1]  # a point less, in the same order
    same = Scores({(f"s{place}", "fluency"): float(score) for place, score in enumerate(severe)}, {})
    (one,) = beside_people(rated_by(mild, severe), same)
    rho = of(one["measures"], name="spearman")
    assert (rho["people"]["value"], rho["judge"]["value"]) == (pytest.approx(1.0), pytest.approx(1.0))
    assert rho["difference"]["value"] == pytest.approx(0.0)


def test_replies_of_one_rater_count_for_the_judge_and_not_for_the_difference():
    first, second = [1, 2, 3, 4, 5, 1, 2], [2, 2, 3, 4, 5, None, None]
    judge = Scores({(f"s{place}", "fluency"): 3.0 + place % 2 for place in range(7)}, {})
    (one,) = beside_people(rated_by(first, second), judge)
    kappa = of(one["measures"], name="quadratic kappa")
    assert (one["replies"], one["shared"], kappa["difference"]["n"]) == (7, 5, 5)
    assert (kappa["judge"]["pairs"], kappa["people"]["pairs"]) == (12, 5)
    (alone,) = beside_people(rated_by(first), judge)
    assert [(one["people"], one["difference"]) for one in alone["measures"]] == [(None, None)] * 3


def test_a_judge_without_scores_stands_beside_nobody(said, samples):
    assert said["judge"] is None
    assert scores_of_samples(samples).values == {}


def test_scores_are_read_from_the_meta_of_judged_rows():
    told = {"judge": {"scores": {"fluency": 4, "coherence": None}, "model": "m", "rubric": "stories", "language": "ar"}}
    rows = conform({"id": source_ids("own", "1", n=2), "meta": [json.dumps(told), None]})
    found = scores_of_rows([rows])
    assert found.values == {(id_hex(rows["id"][0].as_py()), "fluency"): 4.0}
    assert found.about == {"model": "m", "rubric": "stories", "language": "ar"}


# --- the step --------------------------------------------------------------------------------------------------------


def evaluated(job):
    example.samples(job.folder)
    (job.folder / "scores.json").write_text(json.dumps({"baseline": "base", "systems": [], "seed": 3}), "utf-8")
    return {}


@pytest.mark.parametrize("simulated", [False, True])
def test_the_step_leaves_people_json_and_says_whether_raters_are_simulated(samples, tmp_path, simulated):
    store = example.rated(tmp_path / "ratings.sqlite", samples, simulated=simulated)
    evaluation = Step("evaluate", evaluated, kind="folder", produces="evaluation")
    made = Steps(tmp_path / "runs").make(people("people", evaluation, store))
    found = json.loads((made.folder / "people.json").read_text("utf-8"))
    assert made.step.produces == "people"
    assert (found["simulated"], found["seed"], found["baseline"]) == (simulated, 3, "base")
    assert made.manifest["facts"]["simulated"] == simulated
    again = Steps(tmp_path / "runs").make(people("people", evaluation, store))
    assert again.reused


def test_the_steps_digest_is_of_what_people_said(samples, tmp_path):
    evaluation = Step("evaluate", evaluated, kind="folder", produces="evaluation")
    digests = []
    for most in (1_000, 1_000, 5):
        folder = tmp_path / str(len(digests))
        store = example.rated(folder / "ratings.sqlite", samples, most=most)
        digests.append(Steps(folder / "runs").make(people("people", evaluation, store)).manifest["hash"])
    assert digests[0] == digests[1] != digests[2]


def test_a_store_that_is_still_open_is_no_input(samples, tmp_path):
    path = example.rated(tmp_path / "ratings.sqlite", samples)
    evaluation = Step("evaluate", evaluated, kind="folder", produces="evaluation")
    with Store.open(path) as store:
        store.new_admin_token()
        with pytest.raises(MashqError, match=r"is open elsewhere\. End `mashq rate` first"):
            people("people", evaluation, path)
    assert people("people", evaluation, path).fingerprint


def test_each_rated_reply_has_its_mean_its_raters_scores_by_number_and_the_judges(samples, store_path, tmp_path):
    ids = [(row["id"], row["system"]) for row in pq.read_table(samples).to_pylist()]
    judge = Scores({(one, "fluency"): 4.5 for one, system in ids if system == "tuned"}, {})
    found = said_by_people(read_answers(store_path), samples, baseline="base", judge=judge)
    scored = found["scored"]
    assert [(one["item"], one["system"]) for one in scored] == sorted(
        (f"{place:032x}", system) for place in range(example.ITEMS) for system in ("base", "tuned")
    )
    for one in scored:
        plain = example.plain_score(one["system"], int(one["item"], 16))
        (said,) = one["people"].values()
        assert sorted(said["raters"].values()) == [plain - 1, plain, plain + 1]
        assert said["mean"] == plain
        assert list(said["raters"]) == ["1", "2", "3"]
        assert one["judge"] == ({"fluency": 4.5} if one["system"] == "tuned" else {})
    assert not any(name in json.dumps(scored, ensure_ascii=False) for name in example.RATERS)
    severity = {one["rater"]: one["severity"][0]["value"] for one in found["raters"]}
    given = scored[0]["people"]["fluency"]["raters"]
    assert sorted(given, key=given.get) == sorted(severity, key=severity.get)  # one number, one rater, everywhere
