import json

import pytest
import rating_examples as made
import verbs

from mashq.metrics.agreement import alpha
from mashq.metrics.ratings import Ratings
from mashq.rating.agreements import agreements
from mashq.rating.store import Store
from mashq.rows import MashqError

SCORES = {"هدى": [1, 2, 3, 4, 5, 4, 3, 2, 1], "سامي": [1, 2, 3, 4, 4, 4, 3, 2, 2], "منى": [2, 3, 4, 5, 5, 5, 4, 3, 2]}


def rated(path, **more):
    """A store in which three raters gave `SCORES` for fluency to nine items, and 3 for coherence to all."""
    items = [made.absolute(place) for place in range(9)]
    with Store.create(path, made.study([*items, *made.ATTENTION], **more), key="tests") as store:
        for name, scores in SCORES.items():
            rater = store.rater_of(store.add_rater(name))
            while (shown := store.next(rater)) is not None:
                place = shown.item.prompt.rsplit(" ", 1)[1].rstrip(".")
                fluency = scores[int(place)] if int(place) < 9 else 5
                said = {"scores": {"fluency": fluency, "coherence": 3}, "note": ""}
                store.save(rater, shown.item.id, said, seconds=4.0)
    return path


@pytest.fixture(scope="module")
def store_path(tmp_path_factory):
    return rated(tmp_path_factory.mktemp("rated") / "ratings.sqlite")


def test_agreement_is_that_of_the_answers_to_real_items(store_path):
    with Store.open(store_path) as store:
        found = {(one.criterion, one.variety): one for one in agreements(store)}
    assert set(found) == {(c, v) for c in ("fluency", "coherence") for v in ("all", "egyptian", "moroccan", "msa")}
    whole = found["fluency", "all"]
    triples = [(str(place), name, score) for name, scores in SCORES.items() for place, score in enumerate(scores)]
    assert whole.items == 9  # attention items do not count
    assert whole.measures[0].value == pytest.approx(alpha(Ratings.of(triples)).value, abs=1e-12)
    assert whole.severity["منى"].value > 0.5 > 0 > whole.severity["هدى"].value
    assert found["coherence", "all"].measures[1].value is None  # one score used by all has no kappa


def test_the_verb_prints_values_warnings_and_severity(store_path, capsys):
    code, out, _ = verbs.run(capsys, "agree", str(store_path))
    assert code == 0
    assert "fluency (scores, all, 9 items)" in out and "severity:" in out and "no value" in out and "\n  ! " in out
    assert "SIMULATED" not in out
    code, out, _ = verbs.run(capsys, "agree", str(store_path), "--json")
    assert code == 0 and {one["criterion"] for one in json.loads(out)} == {"fluency", "coherence"}


def test_kinds_of_items_are_apart_and_advice_is_given_once(tmp_path, capsys):
    items = [*map(made.absolute, range(3)), *map(made.pairwise, range(3, 6)), *map(made.check, range(6, 9))]
    with Store.create(tmp_path / "mixed.sqlite", made.study(items)) as store:
        for name in ("a", "b"):
            made.rate_all(store, made.added(store, name))
        found = {(one.kind, one.criterion): one for one in agreements(store) if one.variety == "all"}
    assert {kind for kind, _ in found} == {"absolute", "pairwise", "check"}
    assert found["pairwise", "fluency"].severity == {} and found["absolute", "fluency"].severity
    checks = found["check", "verdict"]
    assert [measure.name for measure in checks.measures] == ["nominal alpha", "exact"] and checks.items == 3
    _, out, _ = verbs.run(capsys, "agree", str(tmp_path / "mixed.sqlite"))
    heads = [line for line in out.splitlines() if line.endswith(" items)")]
    assert len(heads) == len(set(heads)) and "fluency (preferences, all, 3 items)" in heads
    assert out.count("Make the guidelines clearer") == 1 and out.count("severity:") < len(heads)


def test_verdicts_agree_as_names_without_an_order(tmp_path):
    with Store.create(tmp_path / "checks.sqlite", made.study([made.check(place) for place in range(4)])) as store:
        for name, verdicts in {"a": "arra", "b": "arar"}.items():
            rater = made.added(store, name)
            for place, said in enumerate(verdicts):
                store.save(rater, f"c{place:02}", {"verdict": {"a": "accept", "r": "reject"}[said]}, 1)
        alpha_, same = agreements(store)[0].measures
    assert same.value == 0.5
    triples = [(str(p), n, "ra".index(s)) for n, v in {"a": "arra", "b": "arar"}.items() for p, s in enumerate(v)]
    assert alpha_.value == pytest.approx(alpha(Ratings.of(triples, scale=(0, 1)), level="nominal").value)


def test_simulated_raters_are_called_so(tmp_path, capsys):
    _, out, _ = verbs.run(capsys, "agree", str(rated(tmp_path / "made_up.sqlite", simulated=True)))
    assert out.startswith("SIMULATED raters")


def test_one_rater_agrees_with_nobody(tmp_path):
    with Store.create(tmp_path / "one.sqlite", made.study([made.absolute(0)])) as store:
        rater = store.rater_of(store.add_rater("هدى"))
        store.save(rater, store.next(rater).item.id, made.answer(store.next(rater)), seconds=1.0)
        with pytest.raises(MashqError, match="expected answers of at least two raters, got fewer"):
            agreements(store)


def test_withdrawn_raters_count_only_where_it_is_asked_for(tmp_path):
    path = rated(tmp_path / "left.sqlite")
    with Store.open(path) as store:
        whole = agreements(store)[0]
        store.withdraw(next(rater for rater, _ in store.raters() if rater.name == "منى"))
        left = agreements(store)[0]
        assert set(left.severity) == {"هدى", "سامي"}
        assert left.measures[0].value != whole.measures[0].value
        assert agreements(store, withdrawn=True)[0] == whole
