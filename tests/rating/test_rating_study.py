"""A study: what it must hold, where it comes from, how its items are dealt, and what an answer may be."""

import itertools
import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rating_examples import ATTENTION, CRITERIA, PRACTICE, absolute, check, pairwise, study

from mashq import packaged
from mashq.rating import dealing
from mashq.rating.answers import MOST_NOTE, MOST_TEXT, checked, clean, is_right, spent, turned
from mashq.rating.checks import study_of_checks
from mashq.rating.study import Study, draw, read_study, rubric, study_of, study_of_samples
from mashq.rows import MashqError

NAMES = ["fluency", "coherence"]

# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["yaml", "json"])
def test_a_study_is_read_from_a_file(tmp_path, kind):
    content = {"name": "s", "criteria": CRITERIA, "items": [absolute(1), pairwise(2), check(3), PRACTICE], "seed": 7}
    path = tmp_path / f"study.{kind}"
    text = json.dumps(content) if kind == "json" else yaml.safe_dump(content, allow_unicode=True)
    path.write_text(text, "utf-8")
    made = read_study(path)
    assert made == study_of(content)
    assert made.items[0].shown == (absolute(1)["shown"][0],)
    assert made.criteria[0].labels["ar"][4] == "ممتازة"
    assert made.item("p02").systems == ("base", "tuned")


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "s.json").write_text(json.dumps({"name": "s", "items": [check(1)]}), "utf-8-sig")
    assert read_study(tmp_path / "s.json").name == "s"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name: [", "cannot be read as .yaml"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"- 1", "expected the fields of a study, got list"),
        (b"name: s\nitem: []", "there is no 'item' here .* Did you mean 'items'"),
        (b"name: s\nitems: [{id: 1, kind: check, prompt: '', shown: [a, b]}]", "Expected `str`, got `int`"),
        (b"name: s\nitems: [{id: a, kind: check, prompt: '', shwon: [a, b]}]", r"items\[0\]: there is no 'shwon'"),
        (b"name: s\nitems: 3", "Expected `array`, got `int`"),
        (b"items: []", "missing required field `name`"),
    ],
)
def test_a_file_that_is_no_study_is_told(tmp_path, content, said):
    (tmp_path / "s.yaml").write_bytes(content)
    with pytest.raises(MashqError, match=said):
        read_study(tmp_path / "s.yaml")


def test_an_absent_file_is_told(tmp_path):
    with pytest.raises(MashqError, match="there is no file"):
        read_study(tmp_path / "none.yaml")


def test_a_lone_surrogate_in_a_file_is_told(tmp_path):
    (tmp_path / "s.json").write_text('{"name": "s", "items": [], "title": {"ar": "\\ud83d"}}')
    with pytest.raises(MashqError, match="lone surrogate"):
        read_study(tmp_path / "s.json")


# --- what must hold --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (
            absolute(1, kind="absolut"),
            "kind: expected absolute or pairwise or check, got 'absolut'.*Did you mean 'absolute'",
        ),
        (absolute(1, shown=["a", "b"]), "expected 1 texts, got 2"),
        (pairwise(1, shown=["a"]), "expected 2 texts, got 1"),
        (pairwise(1, systems=["a", "a"]), "both sides are of system 'a'"),
        (absolute(1, systems=["a", "b"]), "systems: expected one name for each text"),
        (absolute(1, role="exam"), "role: expected item or practice or attention, got 'exam'"),
        (absolute(1, role="practice"), "needs `right`"),
        (
            absolute(1, right={"prefer": {}}),
            "right: expected 'scores' alone, of an item of kind absolute, got 'prefer'",
        ),
        (absolute(1, right={"scores": {"fluency": 6}}), "right: fluency: expected 1, 2, 3, 4, 5, got 6"),
        (absolute(1, right={"scores": {"fluency": True}}), "got True"),
        (absolute(1, right={"scores": {"flow": 3}}), "right: there is no criterion 'flow'"),
        (absolute(1, right={"scores": 3}), "right: scores: expected criteria"),
        (pairwise(1, right={"prefer": {"fluency": "left"}}), "expected first, second, tie, got 'left'"),
        (check(1, right={"verdict": "no"}), "expected accept or correct or reject, got 'no'"),
        (absolute(1, id=" "), "its id is empty"),
    ],
)
def test_an_item_that_does_not_fit_is_told(item, said):
    with pytest.raises(MashqError, match=said):
        study([item, absolute(50)])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"name": "  "}, "its name must be"),
        ({"items": []}, "no item to be rated"),
        ({"criteria": []}, "it has no criterion"),
        ({"criteria": CRITERIA[:1] * 2}, "criterion 'fluency' stands in it 2 times"),
        ({"items": [absolute(1), absolute(1)]}, "item 'a01-tuned' stands in it 2 times"),
        ({"criteria": [{"name": "a b"}]}, "letters, digits and underscores, got 'a b'"),
        ({"criteria": [{"name": "a", "labels": {"ar": ["x"]}}]}, "labels in 'ar': expected 5 texts, .* got 1"),
        ({"criteria": [{"name": "a", "title": {"fr": "x"}}]}, "language: expected ar or en, got 'fr'"),
        ({"raters_per_item": -1}, "raters_per_item: expected 0 or more, got -1"),
    ],
)
def test_a_study_that_does_not_fit_is_told(more, said):
    with pytest.raises(MashqError, match=said):
        study_of({"name": "s", "criteria": CRITERIA, "items": [absolute(1)], **more})


def test_all_faults_are_told_at_once_but_no_more_than_ten():
    with pytest.raises(MashqError) as told:
        study([absolute(place, shown=[]) for place in range(14)])
    assert str(told.value).count("\n") == 10
    assert str(told.value).endswith("... and 18 more.")


def test_criteria_come_from_a_rubric_that_mashq_carries(monkeypatch):
    rubrics = {"rubrics/cats": {"name": "cats", "criteria": [{**CRITERIA[0], "also": {"en": ["x"]}}, CRITERIA[1]]}}
    monkeypatch.setattr(packaged, "parsed", rubrics.__getitem__)
    assert [one.name for one in rubric("cats")] == NAMES
    assert study_of({"name": "s", "rubric": "cats", "items": [absolute(1)]}).criteria == rubric("cats")
    chosen = study_of({"name": "s", "rubric": "cats", "criteria": ["coherence"], "items": [absolute(1)]})
    assert [one.name for one in chosen.criteria] == ["coherence"]
    with pytest.raises(MashqError, match=r"rubric 'cats' has no criterion 'fluent' .* Did you mean 'fluency'"):
        study_of({"name": "s", "rubric": "cats", "criteria": ["fluent"], "items": [absolute(1)]})


def test_a_criterion_that_needs_a_variety_is_asked_where_every_item_names_one(monkeypatch):
    rubrics = {"rubrics/cats": {"criteria": [CRITERIA[0], {"name": "variety", "needs": ["variety"]}]}}
    monkeypatch.setattr(packaged, "parsed", rubrics.__getitem__)

    def asked(*items, **more):
        made = study_of({"name": "s", "rubric": "cats", "items": list(items), **more})
        return [one.name for one in made.criteria]

    assert asked(absolute(1), absolute(2)) == ["fluency", "variety"]
    assert asked(absolute(1), absolute(2, variety="")) == ["fluency"]
    assert asked(absolute(1, variety=""), criteria=["variety"]) == ["variety"]  # who names it wants it


@pytest.mark.parametrize("name", ["dialogue", "prompts", "medical", "stories"])
def test_the_rubrics_that_mashq_carries_make_studies(name):
    made = study_of({"name": "s", "rubric": name, "items": [absolute(1)]})
    assert made.criteria == rubric(name)
    assert all(set(one.title) == {"ar", "en"} and len(one.labels["ar"]) == 5 for one in made.criteria)


def test_an_absent_rubric_is_told():
    with pytest.raises(MashqError, match=r"rubric: expected dialogue or .*, got 'none'"):
        rubric("none")


# --- from samples and pairs ------------------------------------------------------------------------------------------


@pytest.fixture
def samples(tmp_path):
    """What an evaluation writes: 12 items of two tasks and two varieties, three systems."""
    rows = [
        {
            **{"id": f"{place}{system}", "item": f"{place:032x}", "system": system, "template": None, "source": "own"},
            **{"task": f"t{place % 2}", "variety": ("msa", "egyptian")[place // 6], "group": f"g{place // 2}"},
            **{"prompt": f"سؤال {place}", "reference": None, "reply": f"جواب {system} {place}", "finish": "stop"},
        }
        for place in range(12)
        for system in ("base", "tuned", "other")
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "samples.parquet")
    return tmp_path / "samples.parquet"


def test_absolute_items_of_samples_are_every_systems_replies(samples):
    made = study_of_samples(samples, {"name": "s", "criteria": CRITERIA}, n=4)
    assert len(made.items) == 12
    assert sorted({item.systems for item in made.items}) == [("base",), ("other",), ("tuned",)]
    by_system = {name: {item.prompt for item in made.items if item.systems == (name,)} for name in ("base", "tuned")}
    assert by_system["base"] == by_system["tuned"]
    assert len(by_system["base"]) == 4
    assert sorted(item.variety for item in made.items) == ["egyptian"] * 6 + ["msa"] * 6
    for item in made.items:
        assert item.shown == (f"جواب {item.systems[0]} {item.prompt.split()[1]}",)
        assert item.systems[0] not in item.id


def test_pairs_of_samples_are_every_two_systems(samples):
    made = study_of_samples(
        samples, {"name": "s", "criteria": CRITERIA}, kind="pairwise", n=2, systems=("tuned", "base")
    )
    assert [item.systems for item in made.items] == [("tuned", "base")] * 2
    every = study_of_samples(samples, {"name": "s", "criteria": CRITERIA}, kind="pairwise")
    assert len(every.items) == 12 * 3


def test_the_draw_of_samples_is_the_seeds(samples):
    def drawn(**more):
        return [item.id for item in study_of_samples(samples, {"name": "s", "criteria": CRITERIA, **more}, n=4).items]

    assert len({tuple(drawn(seed=seed)) for seed in range(5)}) >= 3
    assert drawn(seed=0) == drawn(name="x")


def test_practice_items_stand_beside_those_of_samples(samples):
    made = study_of_samples(samples, {"name": "s", "criteria": CRITERIA, "items": [PRACTICE]}, n=1)
    assert [item.role for item in made.items] == ["practice", "item", "item", "item"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"systems": ("tuend",)}, "there is no system 'tuend' .* Did you mean 'tuned'"),
        ({"n": 13}, "n: expected 0 to 12"),
        ({"kind": "check"}, "kind: expected absolute, or pairwise with two systems"),
        ({"kind": "pairwise", "systems": ("base",)}, "got pairwise with 1"),
    ],
)
def test_samples_that_cannot_be_drawn_are_told(samples, settings, said):
    with pytest.raises(MashqError, match=said):
        study_of_samples(samples, {"name": "s", "criteria": CRITERIA}, **settings)


def test_a_file_that_holds_no_samples_is_told(tmp_path):
    pq.write_table(pa.table({"item": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(MashqError, match=r"expected an evaluation's samples.parquet"):
        study_of_samples(tmp_path / "x.parquet", {"name": "s"})


def test_samples_that_are_not_there_are_named_once(tmp_path):
    with pytest.raises(MashqError, match=r"expected the samples of an evaluation \(samples.parquet\)") as told:
        study_of_samples(tmp_path / "samples.parquet", {"name": "s"})
    assert str(told.value).count("samples.parquet") == 1


def test_a_check_need_not_ask_anything():
    made = study_of({"name": "s", "items": [{"id": "a", "kind": "check", "shown": ["A door.", "باب."]}]})
    assert (made.items[0].prompt, made.items[0].shown) == ("", ("A door.", "باب."))


def test_a_wrong_kind_is_told_before_what_that_kind_lacks():
    with pytest.raises(
        MashqError, match=r"items\[0\]: kind: expected absolute or .*, got 'chek'. ?Did you mean 'check'"
    ):
        study_of({"name": "s", "items": [{"id": "a", "kind": "chek", "shown": ["A door.", "باب."]}]})


def test_an_unknown_rubric_lists_those_there_are():
    with pytest.raises(
        MashqError, match=r"expected dialogue or medical or prompts or stories, got 'storys'.*'stories'"
    ):
        rubric("storys")


def test_pairs_to_be_checked_are_one_item_each():
    pairs = [{"source": "A door.", "proposed": "باب.", "system": "opus", "variety": "msa"}] * 2
    made = study_of_checks([*pairs, {"source": "A gate.", "proposed": "بوابة."}], {"name": "s"})
    assert [item.shown for item in made.items] == [("A door.", "باب."), ("A gate.", "بوابة.")]
    assert [item.systems for item in made.items] == [("opus",), ()]
    with pytest.raises(MashqError, match=r"pairs\[0\]: expected the texts 'source' and 'proposed', got source"):
        study_of_checks([{"source": "A door."}], {"name": "s"})


# --- dealing ---------------------------------------------------------------------------------------------------------


def test_draws_are_the_same_for_ever():
    # printf '%s' '["0", "\\u0642\\u0635\\u0635"]' | b2sum -l 64
    assert draw(0, "قصص") == 0xB4FA8ED61C96B739


def many(count: int, raters_per_item: int, **more) -> Study:
    systems = ("base", "tuned")
    return study(
        [absolute(place, systems[place % 2]) for place in range(count)], raters_per_item=raters_per_item, **more
    )


@pytest.mark.parametrize(("raters", "each"), [(3, 2), (4, 2), (4, 3), (5, 2), (5, 3), (6, 3), (8, 2)])
def test_every_item_gets_its_raters_and_every_two_raters_share_items(raters, each):
    names = [f"r{place}" for place in range(raters)]
    made = many(60, each)
    dealt = dealing.deal(made, names, {})
    assert all(sum(item.id in mine for mine in dealt.values()) == each for item in made.items)
    loads = [len(mine) for mine in dealt.values()]
    assert max(loads) - min(loads) <= 1
    shared = [len(dealt[one] & dealt[two]) for one, two in itertools.combinations(names, 2)]
    assert min(shared) >= math.floor(sum(shared) / len(shared)) - 1
    assert min(shared) >= 1
    for system in ("base", "tuned"):
        own = [sum(name.endswith(system) for name in mine) for mine in dealt.values()]
        assert max(own) - min(own) <= 3


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(1, 4), st.integers(1, 25), st.data())
def test_what_is_held_is_kept_and_no_item_lacks_raters_that_there_are(raters, each, count, data):
    made = many(count, each)
    names = [f"r{place}" for place in range(raters)]
    ids = [item.id for item in made.items]
    held = {name: set(data.draw(st.lists(st.sampled_from(ids), max_size=6))) for name in [*names, "gone"]}
    dealt = dealing.deal(made, names, held)
    for name in names:
        assert held[name] <= dealt[name]
    for one in ids:
        having = {name for name in names if one in dealt[name]} | ({"gone"} if one in held["gone"] else set())
        assert len(having) >= min(each, raters)


def test_all_rate_all_where_it_is_not_said_otherwise_and_where_raters_are_few():
    for made in (many(9, 0), many(9, 3)):
        assert dealing.deal(made, ["r0", "r1"], {}) == {name: {item.id for item in made.items} for name in ("r0", "r1")}


def test_orders_differ_between_raters_and_stay_for_one():
    made = many(30, 0)
    orders = {name: [item.id for item in dealing.in_order(made, name, made.items)] for name in ("سلمى", "كريم")}
    assert orders["سلمى"] != orders["كريم"]
    assert orders["سلمى"] == [item.id for item in dealing.in_order(made, "سلمى", made.items[::-1])]


def test_sides_are_drawn_half_and_half():
    made = study([pairwise(place) for place in range(60)])
    turned = [dealing.flipped(made, name, item) for name in ("a", "b", "c", "d") for item in made.items]
    assert 90 <= sum(turned) <= 150  # 240 fair draws: within 3.9 standard deviations
    assert not dealing.flipped(study([absolute(1)]), "a", study([absolute(1)]).items[0])


@pytest.mark.parametrize(("every", "places"), [(0, [2, 7, 12]), (4, [2, 7, 12]), (6, [3, 10]), (20, [])])
def test_attention_items_are_spread_evenly(every, places):
    made = study([*(absolute(place) for place in range(12)), *ATTENTION], attention_every=every)
    items = dealing.with_attention(made, made.of_role("item"), made.of_role("attention"))
    assert [place for place, item in enumerate(items) if item.role == "attention"] == places
    assert [item for item in items if item.role == "item"] == made.of_role("item")


# --- answers ---------------------------------------------------------------------------------------------------------


def test_an_answer_is_given_its_one_form():
    made = study([absolute(1), pairwise(2), check(3)])
    one, pair, text = made.items
    assert checked(one, NAMES, {"scores": {"coherence": 1, "fluency": 5}}) == {
        "scores": {"fluency": 5, "coherence": 1},
        "note": "",
    }
    assert checked(pair, NAMES, {"prefer": {"fluency": "tie", "coherence": "second"}, "note": "نعم"}) == {
        "prefer": {"fluency": "tie", "coherence": "second"},
        "note": "نعم",
    }
    assert checked(text, NAMES, {"verdict": "accept", "text": "x"}) == {"verdict": "accept", "text": "", "note": ""}
    corrected = {"verdict": "correct", "text": " افتح الباب. "}
    assert checked(text, NAMES, corrected) == {"verdict": "correct", "text": "افتح الباب.", "note": ""}


@pytest.mark.parametrize(
    ("kind", "answer", "said"),
    [
        (0, None, "answer: expected names and values, got NoneType"),
        (0, {}, "scores: expected a value for each of fluency, coherence, got NoneType"),
        (0, {"scores": {"fluency": 3}}, "expected a value for every criterion, got none for coherence"),
        (
            0,
            {"scores": {"fluency": 3, "coherence": 3, "coherent": 3}},
            "no criterion 'coherent' .* Did you mean 'coherence'",
        ),
        (0, {"scores": {"fluency": 0, "coherence": 3}}, "scores: fluency: expected 1 to 5, got 0"),
        (0, {"scores": {"fluency": 6, "coherence": 3}}, "expected 1 to 5, got 6"),
        (0, {"scores": {"fluency": "3", "coherence": 3}}, "expected 1 to 5, got '3'"),
        (0, {"scores": {"fluency": True, "coherence": 3}}, "expected 1 to 5, got True"),
        (0, {"scores": {"fluency": 3.0, "coherence": 3}}, "expected 1 to 5, got 3.0"),
        (0, {"scores": {"fluency": math.nan, "coherence": 3}}, "expected 1 to 5, got nan"),
        (0, {"scores": {"fluency": None, "coherence": 3}}, "expected 1 to 5, got None"),
        (0, {"prefer": {}}, "there is no 'prefer' to an item of kind absolute"),
        (0, {"scores": {"fluency": 3, "coherence": 3}, "note": 3}, "note: expected a text, got int"),
        (
            0,
            {"scores": {"fluency": 3, "coherence": 3}, "note": "ن" * 2001},
            "expected at most 2000 characters, got 2001",
        ),
        (1, {"prefer": {"fluency": "left", "coherence": "tie"}}, "expected first or second or tie, got 'left'"),
        (1, {"prefer": {"fluency": 1, "coherence": "tie"}}, "expected first or second or tie, got 1"),
        (2, {"verdict": "maybe"}, "verdict: expected accept or correct or reject, got 'maybe'"),
        (2, {"verdict": ["accept"]}, "verdict: expected"),
        (2, {"verdict": "correct"}, "text: expected the corrected text, got an empty one"),
        (2, {"verdict": "correct", "text": " افتح باب 3. "}, "the corrected text is what was proposed"),
        (2, {"verdict": "correct", "text": "ن" * (MOST_TEXT + 1)}, "expected at most 20000 characters"),
    ],
)
def test_an_answer_that_does_not_fit_is_told(kind, answer, said):
    item = study([absolute(1), pairwise(2), check(3)]).items[kind]
    with pytest.raises(MashqError, match=said):
        checked(item, NAMES, answer)


def test_an_error_about_an_answer_holds_no_id_and_can_be_shown():
    item = study([absolute(1)]).items[0]
    for answer in ({"\ud83d" * 500: 1}, {"scores": {"\ud83d": 1}}, {"scores": {"fluency": "\ud83d", "coherence": 1}}):
        with pytest.raises(MashqError) as told:
            checked(item, NAMES, answer)
        assert item.id not in str(told.value)
        assert len(str(told.value).encode()) < 400


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("سطر\r\nسطر\rسطر\tنهاية", "سطر\nسطر\nسطر\tنهاية"),
        ("a\x00b\x1bc\x7fd\x85e", "abcde"),
        ("\ud83d\ude00", "\N{GRINNING FACE}"),
        ("a\ud83db", "a\N{REPLACEMENT CHARACTER}b"),
        ("\N{ARABIC LETTER ALEF}\N{ARABIC HAMZA ABOVE}", "\N{ARABIC LETTER ALEF WITH HAMZA ABOVE}"),
        ("\N{RIGHT-TO-LEFT MARK}نص", "\N{RIGHT-TO-LEFT MARK}نص"),
    ],
)
def test_a_note_is_kept_clean(text, kept):
    assert clean(text, 100, "note") == kept


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=50))
def test_a_clean_text_can_be_kept_and_stays_as_it_is(text):
    once = clean(text, MOST_NOTE, "note")
    once.encode()
    assert clean(once, MOST_NOTE * 3, "note") == once


def test_seconds_are_kept_within_an_hour():
    assert [spent(one) for one in (-3, 0, 12.5, 10**30, math.inf, math.nan)] == [0, 0, 12.5, 3600, 3600, 0]
    for wrong in ("3", None, True):
        with pytest.raises(MashqError, match="seconds: expected a number"):
            spent(wrong)


def test_turning_a_pair_twice_changes_nothing():
    answer = {"prefer": {"fluency": "first", "coherence": "tie"}, "note": ""}
    assert turned(answer)["prefer"] == {"fluency": "second", "coherence": "tie"}
    assert turned(turned(answer)) == answer
    assert turned({"prefer": {"fluency": ["first", "tie"]}}) == {"prefer": {"fluency": ["second", "tie"]}}


def test_an_answer_is_right_where_each_known_criterion_is():
    answer = {"scores": {"fluency": 4, "coherence": 1}, "note": ""}
    assert is_right({"scores": {"fluency": [4, 5]}}, answer)
    assert is_right({"scores": {"fluency": 4}}, answer)
    assert not is_right({"scores": {"fluency": 4, "coherence": 2}}, answer)
    assert is_right({"verdict": "reject"}, {"verdict": "reject"})
    assert not is_right({"verdict": "reject"}, {"verdict": "accept"})
