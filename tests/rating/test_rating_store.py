"""The store: nothing acknowledged is lost, nobody sees or writes what is another's, lists are blind and stable."""

import dataclasses
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rating_examples import ATTENTION, PRACTICE, absolute, added, answer, check, pairwise, rate_all, study

from mashq.rating import dealing
from mashq.rating.keeping import NewerAnswer
from mashq.rating.store import Store
from mashq.rows import MashqError

HERE = Path(__file__).parent


@pytest.fixture
def mixed(tmp_path):
    """A store with items of every kind and role, and no rater."""
    items = [*map(absolute, range(6)), *map(pairwise, range(6, 12)), *map(check, range(12, 15)), PRACTICE, *ATTENTION]
    with Store.create(tmp_path / "mixed.sqlite", study(items), key="5" * 32) as store:  # the same draws in every run
        yield store


# --- the file --------------------------------------------------------------------------------------------------------


def test_a_store_opened_again_holds_its_study_and_its_answers(mixed):
    token = mixed.add_rater("سلمى", dialect="moroccan")
    seen = rate_all(mixed, mixed.rater_of(token))
    with Store.open(mixed.path) as again:
        rater = again.rater_of(token)
        assert again.study == mixed.study
        assert (rater.name, rater.dialect, rater.paused) == ("سلمى", "moroccan", False)
        assert [again.shown(rater, shown.number).item for shown in seen] == [shown.item for shown in seen]
        assert again.answers().equals(mixed.answers())
        assert again.admin_token == ""
        assert again.is_admin(mixed.admin_token)


def test_a_store_is_not_made_over_a_file(mixed):
    with pytest.raises(MashqError, match="there is a file already"):
        Store.create(mixed.path, mixed.study)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no rating study is in this file"),
        (b"not a database, but long enough to be looked at " * 50, "cannot be opened .file is not a database"),
    ],
)
def test_a_foreign_file_is_told_and_left_as_it_is(tmp_path, content, said):
    path = tmp_path / "x.sqlite"
    path.write_bytes(content)
    with pytest.raises(MashqError, match=said):
        Store.open(path)
    assert path.read_bytes() == content
    assert sorted(tmp_path.iterdir()) == [path]


def test_another_programs_database_is_told_and_left_as_it_is(tmp_path):
    path = tmp_path / "x.sqlite"
    with sqlite3.connect(path) as file:
        file.execute("create table t (x)")
    file.close()
    before = path.read_bytes()
    with pytest.raises(MashqError, match="no rating study is in this file"):
        Store.open(path)
    assert path.read_bytes() == before


def test_an_absent_file_is_told_and_not_made(tmp_path):
    with pytest.raises(MashqError, match="there is no file"):
        Store.open(tmp_path / "none.sqlite")
    assert not list(tmp_path.iterdir())


def test_another_version_is_told(mixed):
    mixed.close()
    with sqlite3.connect(mixed.path) as file:
        file.execute("pragma user_version = 9")
    file.close()
    with pytest.raises(MashqError, match="schema: expected version 1, got 9"):
        Store.open(mixed.path)


def test_a_damaged_file_is_told(mixed):
    for place in range(30):
        mixed.add_rater(f"r{place}")
    mixed.close()
    content = bytearray(mixed.path.read_bytes())
    content[4096 * 3 : 4096 * 9] = bytes(4096 * 6)
    mixed.path.write_bytes(content)
    with pytest.raises(MashqError, match=r"(damaged|cannot be opened).*\.recover"):
        Store.open(mixed.path)


def test_a_file_cut_short_is_told(mixed):
    mixed.add_rater("سلمى")
    mixed.close()
    content = mixed.path.read_bytes()
    mixed.path.write_bytes(content[: len(content) // 2])
    with pytest.raises(MashqError, match=r"damaged|cannot be opened"):
        Store.open(mixed.path)


def test_a_study_that_cannot_be_kept_leaves_no_file(tmp_path):
    broken = dataclasses.replace(study([absolute(1)]), title={"ar": "\ud83d"})
    with pytest.raises(MashqError, match="cannot be kept as JSON"):
        Store.create(tmp_path / "x.sqlite", broken)
    assert not list(tmp_path.iterdir())


def test_a_closed_store_is_told(mixed):
    mixed.close()
    with pytest.raises(MashqError, match=r"cannot be read .Cannot operate on a closed database"):
        mixed.raters()


# --- raters ----------------------------------------------------------------------------------------------------------


def test_tokens_are_long_and_only_their_hashes_are_in_the_file(mixed):
    tokens = [mixed.add_rater(f"r{place}") for place in range(5)] + [mixed.admin_token]
    assert len(set(tokens)) == 6
    assert min(map(len, tokens)) >= 22  # 128 bits in base 64
    mixed.close()
    content = b"".join(path.read_bytes() for path in mixed.path.parent.iterdir())
    assert b"r4" in content
    assert not any(token.encode() in content for token in tokens)


def test_a_token_opens_what_is_its_owners_alone(mixed):
    one, two = mixed.add_rater("a"), mixed.add_rater("b")
    assert (mixed.rater_of(one).name, mixed.rater_of(two).name) == ("a", "b")
    for wrong in ("", one[:-1], one.swapcase(), mixed.admin_token, "\ud83d", "' or 1=1 --"):
        assert mixed.rater_of(wrong) is None
    assert mixed.is_admin(mixed.admin_token)
    assert not mixed.is_admin(one)
    assert not mixed.is_admin("")


def test_a_new_token_replaces_the_old_one(mixed):
    old, admin = mixed.add_rater("a"), mixed.admin_token
    new = mixed.new_token(mixed.rater_of(old))
    assert mixed.rater_of(old) is None
    assert mixed.rater_of(new).name == "a"
    assert mixed.is_admin(mixed.new_admin_token())
    assert not mixed.is_admin(admin)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "printable"),
        ("   ", "printable"),
        ("س\nل", "printable"),
        ("ن" * 81, "at most 80"),
        (3, "got int"),
        ("a", "one already"),
    ],
)
def test_a_rater_needs_a_name_of_their_own(mixed, name, said):
    mixed.add_rater("a")
    with pytest.raises(MashqError, match=said):
        mixed.add_rater(name)
    assert [rater.name for rater, _ in mixed.raters()] == ["a"]


def test_a_rater_pauses_and_goes_on_where_they_were(mixed):
    token = mixed.add_rater("a")
    rater = mixed.rater_of(token)
    rate_all(mixed, rater, most=3)
    assert mixed.pause(rater).paused
    assert mixed.rater_of(token).paused
    rater = mixed.pause(rater, False)
    assert mixed.next(rater).number == 4


def test_a_rater_of_another_study_is_told(mixed, tmp_path):
    stranger = added(mixed, "a")
    with Store.create(tmp_path / "other.sqlite", mixed.study) as other:
        added(other, "b")
        shown = other.next(other.raters()[0][0])
        with pytest.raises(MashqError, match=r"rater 'a' .id 1. is none of study"):
            other.save(stranger, "a00-tuned", answer(dataclasses.replace(shown, item=other.study.items[0])), 1)


# --- lists -----------------------------------------------------------------------------------------------------------


def test_what_a_rater_is_given_is_blind(mixed):
    rater = added(mixed, "سلمى")
    shown = rate_all(mixed, rater)
    assert len(shown) == 19
    for one in shown:
        assert (one.item.systems, one.item.group) == ((), "")
        assert one.item.id not in {item.id for item in mixed.study.items}
        if one.item.role != "practice":
            assert (one.item.role, one.item.right, one.item.why) == ("item", {}, {})
    assert [one.item.role for one in shown[:2]] == ["practice", "item"]
    assert shown[0].item.right == PRACTICE["right"]
    assert shown[0].item.why["ar"] == "الجملة مكررة."


def test_two_raters_see_other_orders_other_sides_and_other_names(mixed):
    lists = [rate_all(mixed, added(mixed, name)) for name in ("سلمى", "كريم")]
    names = [{one.item.id for one in items} for items in lists]
    assert not names[0] & names[1]
    prompts = [[(one.item.prompt, one.item.kind) for one in items] for items in lists]
    assert prompts[0] != prompts[1]
    assert sorted(prompts[0]) == sorted(prompts[1])
    sides = [{one.item.prompt: one.item.shown for one in items if one.item.kind == "pairwise"} for items in lists]
    assert sides[0] != sides[1]


def test_lists_are_the_same_in_another_file_made_from_the_same_study_and_names(mixed, tmp_path):
    one = [shown.item for shown in rate_all(mixed, added(mixed, "سلمى"))]
    with Store.create(tmp_path / "again.sqlite", mixed.study, key=mixed.key) as again:
        added(again, "كريم")
        assert [shown.item for shown in rate_all(again, added(again, "سلمى"))] == one


def test_a_number_outside_the_list_is_told(mixed):
    rater = added(mixed, "a")
    for number in (0, -1, 20, True, "1", 1.0):
        with pytest.raises(MashqError, match="item of rater 'a': expected 1 to 19"):
            mixed.shown(rater, number)


def test_a_rater_without_items_has_nothing_next(tmp_path):
    items = [*map(absolute, range(4)), PRACTICE]
    with Store.create(tmp_path / "s.sqlite", study(items, raters_per_item=2)) as store:
        for name in ("a", "b"):
            rate_all(store, added(store, name))
        late = added(store, "c")
        assert store.next(late) is None
        assert store.progress(late).of == 0
        assert str(store.coverage()) == "4 items, 3 raters, fewest answers: 2"


# --- overlap ---------------------------------------------------------------------------------------------------------


def each_rater(store):
    """Rater -> the ids (of the study) of what they answered."""
    table = store.answers()
    made = {}
    for row in table.to_pylist():
        if row["role"] == "item":
            made.setdefault(row["rater"], set()).add(row["item"])
    return made


def test_each_item_gets_its_raters_and_every_two_share_items(tmp_path):
    with Store.create(tmp_path / "s.sqlite", study(list(map(absolute, range(30))), raters_per_item=2)) as store:
        raters = [added(store, name) for name in "abcde"]
        for rater in raters:
            rate_all(store, rater)
        answered = each_rater(store)
        assert [sum(item.id in mine for mine in answered.values()) for item in store.study.items] == [2] * 30
        assert {len(mine) for mine in answered.values()} == {12}
        assert min(len(answered[one] & answered[two]) for one, two in itertools.combinations("abcde", 2)) >= 2


def test_too_few_raters_rate_everything_and_the_lack_is_said(tmp_path):
    with Store.create(tmp_path / "s.sqlite", study(list(map(absolute, range(4))), raters_per_item=3)) as store:
        rate_all(store, added(store, "a"))
        added(store, "b")
        assert str(store.coverage()) == (
            "4 items, 2 raters, fewest answers: 1; 4 items have fewer than 3 raters (the fewest: 2): add raters"
        )


def test_a_rater_who_comes_later_takes_items_that_nobody_began(tmp_path):
    with Store.create(tmp_path / "s.sqlite", study(list(map(absolute, range(30))), raters_per_item=2)) as store:
        one, two = added(store, "a"), added(store, "b")
        assert store.progress(one).of == 30
        before = [shown.item.id for shown in rate_all(store, one, most=5)]
        open_now = store.next(one)
        three = added(store, "c")
        assert {store.progress(rater).of for rater in (one, two, three)} == {20}
        assert [store.shown(one, number).item.id for number in range(1, 6)] == before
        assert store.next(one).item == open_now.item
        for rater in (one, two, three):
            rate_all(store, rater)
        assert [sum(item.id in mine for mine in each_rater(store).values()) for item in store.study.items] == [2] * 30


@pytest.mark.parametrize("seed", range(6))
def test_a_page_that_is_open_and_what_was_answered_ahead_stay_when_somebody_joins(tmp_path, seed):
    made = study(list(map(absolute, range(8))), raters_per_item=1, seed=seed)
    with Store.create(tmp_path / "s.sqlite", made) as store:
        one = added(store, "a")
        ahead = store.shown(one, 8)
        store.save(one, ahead.item.id, answer(ahead), 1)
        rate_all(store, one, most=1)
        open_now = store.next(one)
        added(store, "b")
        assert store.next(one).item == open_now.item
        assert store.progress(one).done == 2
        assert store.progress(one).of == 4


def test_an_item_that_went_to_another_while_it_was_open_is_still_kept(tmp_path):
    with Store.create(tmp_path / "s.sqlite", study(list(map(absolute, range(6))), raters_per_item=1)) as store:
        one = added(store, "a")
        opened = [store.shown(one, number) for number in range(1, 7)]
        added(store, "b")
        assert store.progress(one).of == 3
        for shown in opened:
            store.save(one, shown.item.id, answer(shown), 1)
        assert store.progress(one).of == 6
        assert each_rater(store)["a"] == {item.id for item in store.study.items}


def test_the_items_of_a_rater_who_leaves_go_to_the_others(tmp_path):
    with Store.create(tmp_path / "s.sqlite", study(list(map(absolute, range(12))), raters_per_item=1)) as store:
        token = store.add_rater("a")
        one, two = store.rater_of(token), added(store, "b")
        rate_all(store, one, most=2)
        store.withdraw(one)
        assert store.rater_of(token) is None
        # What a withdrawn rater answered does not count: those two items lack a rater, and are dealt anew.
        assert store.coverage().answered == 0 and store.coverage().dealt == 1 and not store.coverage().short
        assert store.progress(two).of == 12
        rate_all(store, two)
        answered = each_rater(store)
        assert len(answered["a"]) == 2
        assert answered["b"] == {item.id for item in store.study.items}
        assert store.coverage().answered == 1
        assert [(rater.name, rater.left) for rater, _ in store.raters()] == [("a", True), ("b", False)]


def attention_places(store, rater):
    """The places of attention items in a rater's list, from 1."""
    roles = {dealing.public_id(store.study, rater.name, item, store.key): item.role for item in store.study.items}
    items = [store.shown(rater, number).item.id for number in range(1, store.progress(rater).of + 1)]
    return [place for place, item in enumerate(items, 1) if roles[item] == "attention"]


@pytest.mark.parametrize("period", [1, 3, 9, 13])
def test_raters_who_join_during_the_work_take_no_attention_item_from_a_list(tmp_path, period):
    attention = [absolute(200 + place, role="attention", right={"scores": {"fluency": 5}}) for place in range(5)]
    made = study([*map(absolute, range(60)), *attention], attention_every=20)
    with Store.create(tmp_path / "s.sqlite", made) as store:
        rater = added(store, "a")
        undisturbed = attention_places(store, rater)
        assert undisturbed == [11, 32, 53]
        while rate_all(store, rater, most=period):
            added(store, f"late {store.progress(rater).done}")
            assert attention_places(store, rater) == undisturbed
        assert store.progress(rater).attention_of == 3


def test_attention_items_follow_the_length_of_a_list_that_is_dealt_anew(tmp_path):
    attention = [absolute(200 + place, role="attention", right={"scores": {"fluency": 5}}) for place in range(9)]
    made = study([*map(absolute, range(60)), *attention], attention_every=10, raters_per_item=1)
    with Store.create(tmp_path / "s.sqlite", made) as store:
        one = added(store, "a")
        assert len(attention_places(store, one)) == 6
        rate_all(store, one, most=8)
        two = added(store, "b")
        assert store.progress(one).of == store.progress(two).of == 30 + 3
        assert len(attention_places(store, one)) == len(attention_places(store, two)) == 3
        store.withdraw(two)
        places = attention_places(store, one)
        assert len(places) == 6 and min(b - a for a, b in itertools.pairwise(places)) >= 9


# --- answers ---------------------------------------------------------------------------------------------------------


def test_rows_name_systems_and_sides_as_they_were(mixed):
    rater = added(mixed, "سلمى", dialect="egyptian")
    first = {}
    while shown := mixed.next(rater):
        said = answer(shown)
        if shown.item.kind == "pairwise":
            said = {"prefer": {"fluency": "first", "coherence": "tie"}}
            first[shown.item.prompt] = shown.item.shown[0]
        mixed.save(rater, shown.item.id, said, 2)
    items = {item.id: item for item in mixed.study.items}
    rows = [row for row in mixed.answers().to_pylist() if row["kind"] == "pairwise"]
    assert len(rows) == 12
    assert {row["side"] for row in rows} == {"first", "second"}
    for row in rows:
        item = items[row["item"]]
        assert (row["system"], row["other"]) == ("base", "tuned")
        assert row["side"] == ("first" if first[item.prompt] == item.shown[0] else "second")
        if row["criterion"] == "fluency":
            assert row["value"] == (1 if row["side"] == "first" else -1)
            assert row["said"] == row["side"]
        else:
            assert (row["value"], row["said"]) == (0, "tie")
    assert {(row["rater"], row["dialect"], row["seconds"], row["simulated"]) for row in rows} == {
        ("سلمى", "egyptian", 2.0, False)
    }


def test_an_answer_comes_back_in_the_order_in_which_it_was_shown(mixed):
    rater = added(mixed, "a")
    for shown in rate_all(mixed, rater):
        again = mixed.shown(rater, shown.number)
        assert again.item == shown.item
        assert again.answer.said == answer(shown, shown.number - 1 + rater.id)


def test_an_answer_may_be_replaced_and_the_old_one_is_kept(mixed):
    rater = added(mixed, "a")
    mixed.save(rater, "a00-tuned", {"scores": {"fluency": 1, "coherence": 2}}, 5)
    mixed.save(rater, "a00-tuned", {"scores": {"fluency": 1, "coherence": 2}, "note": ""}, 50)  # sent twice
    assert mixed.history().num_rows == 0
    mixed.save(rater, "a00-tuned", {"scores": {"fluency": 4, "coherence": 2}, "note": "غيّرت رأيي"}, 7)
    now, before = mixed.answers().to_pylist(), mixed.history().to_pylist()
    assert [(row["value"], row["seconds"]) for row in now] == [(4, 12), (2, 12)]  # two visits of 5 and 7
    assert [(row["value"], row["seconds"], row["note"]) for row in before] == [(1, 5, ""), (2, 5, "")]
    assert mixed.progress(rater).done == 1


def scored(score):
    return {"scores": {"fluency": score, "coherence": 2}}


def seconds_of(store):
    return {row["seconds"] for row in store.answers().to_pylist()}


def test_the_seconds_of_visits_are_added_and_one_visit_counts_once(mixed):
    rater = added(mixed, "a")
    for score, took, visit, whole in [
        (1, 120, 10, 120),
        (1, 120, 10, 120),  # sent twice
        (2, 125, 10, 125),  # a changed mind while the page is open
        (2, 4, 20, 129),  # looked over
        (3, 9, 20, 134),
        (4, 130, 10, 139),  # the first page was still open
        (4, 126, 10, 139),  # a try that came late
    ]:
        mixed.save(rater, "a00-tuned", scored(score), took, visit=visit)
        assert seconds_of(mixed) == {whole}
    mixed.save(rater, "a00-tuned", scored(5), 3_600, visit=30)
    assert seconds_of(mixed) == {3_600}  # as long as an item may take


def test_an_answer_that_its_sender_does_not_know_is_not_replaced(mixed):
    rater = added(mixed, "a")
    first = mixed.save(rater, "a00-tuned", scored(1), 5, visit=10, over=0)
    with pytest.raises(NewerAnswer, match="another one was saved since the page was opened") as newer:
        mixed.save(rater, "a00-tuned", scored(3), 5, visit=20, over=0)
    assert newer.value.when == first == mixed.shown(rater, place(mixed, rater, "a00-tuned")).answer.when
    assert mixed.history().num_rows == 0 and seconds_of(mixed) == {5}
    assert mixed.save(rater, "a00-tuned", scored(1), 5, visit=20, over=0) == first  # the same: nothing is lost
    second = mixed.save(rater, "a00-tuned", scored(3), 5, visit=30, over=first)
    assert mixed.save(rater, "a00-tuned", scored(4), 6, visit=30, over=first) > second  # its own, unheard
    mixed.save(rater, "a00-tuned", scored(5), 6)  # a form without the script
    assert [row["value"] for row in mixed.answers().to_pylist()] == [5, 2]


def place(store, rater, item):
    return store.place_of(rater, dealing.public_id(store.study, rater.name, store.study.item(item), store.key))


def test_a_clock_that_is_set_back_makes_no_two_answers_of_one_time(mixed, monkeypatch):
    rater = added(mixed, "a")
    first = mixed.save(rater, "a00-tuned", scored(1), 5)
    monkeypatch.setattr("mashq.rating.store._now", lambda: first - 1_000_000)
    assert mixed.save(rater, "a00-tuned", scored(2), 5) > first


def test_an_items_place_is_found_by_its_name_on_that_raters_pages_alone(mixed):
    one, two = added(mixed, "a"), added(mixed, "b")
    for number in range(1, mixed.progress(one).of + 1):
        name = mixed.shown(one, number).item.id
        assert (mixed.place_of(one, name), mixed.place_of(two, name)) == (number, None)
    assert mixed.place_of(one, "a00-tuned") is None and mixed.place_of(one, "") is None


def test_who_knows_study_and_items_cannot_draw_what_a_store_drew(mixed, tmp_path):
    made = mixed.study
    assert len(mixed.key) == 32
    pairs = [item for item in made.items if item.kind == "pairwise"]
    seen = {shown.item.id for shown in rate_all(mixed, added(mixed, "a"))}
    assert not seen & {dealing.public_id(made, "a", item) for item in made.items}
    keys = ("", *(f"{number:032x}" for number in range(8)))
    assert len({tuple(dealing.flipped(made, "a", pair, key) for pair in pairs) for key in keys}) > 2
    assert len({tuple(item.id for item in dealing.in_order(made, "a", made.items, key)) for key in keys}) == len(keys)
    with Store.create(tmp_path / "other.sqlite", made) as other:
        assert other.key != mixed.key
    with Store.open(mixed.path) as again:
        assert again.key == mixed.key


def test_a_file_made_before_there_were_keys_and_visits_goes_on_as_it_was(tmp_path):
    made = study([*map(absolute, range(4)), *map(pairwise, range(4, 12)), *ATTENTION])
    with Store.create(tmp_path / "old.sqlite", made, key="") as store:
        rater = added(store, "a")
        store.save(rater, "a00-tuned", scored(1), 40.0)
        before = store.answers()
    with closing(sqlite3.connect(tmp_path / "old.sqlite")) as file:
        file.execute("drop table visits")
        file.execute("delete from meta where key = 'key'")
        file.commit()
    content = (tmp_path / "old.sqlite").read_bytes()
    with Store.open(tmp_path / "old.sqlite") as store:
        assert store.key == "" and store.answers() == before
        names = {store.shown(rater, number).item.id for number in range(1, store.progress(rater).of + 1)}
        assert names == {dealing.public_id(made, "a", item) for item in made.items}
    assert (tmp_path / "old.sqlite").read_bytes() == content  # read, and left as it was
    with Store.open(tmp_path / "old.sqlite") as store:
        store.save(rater, "a00-tuned", scored(2), 3.0, visit=7)
        assert seconds_of(store) == {43.0}


def test_one_rater_cannot_write_anothers(mixed):
    one, two = added(mixed, "a"), added(mixed, "b")
    shown = mixed.next(one)
    for wrong in (shown.item.id, "none", "", "' or 1=1"):
        with pytest.raises(MashqError, match=r"rater 'b': item .* is not in their list; nothing was saved"):
            mixed.save(two, wrong, answer(shown), 1)
    assert mixed.answers().num_rows == 0


def test_an_item_dealt_to_others_alone_is_not_saved(tmp_path):
    with Store.create(tmp_path / "s.sqlite", study(list(map(absolute, range(8))), raters_per_item=1)) as store:
        rate_all(store, added(store, "a"), most=4)
        two = added(store, "b")
        theirs = each_rater(store)["a"]
        with pytest.raises(MashqError, match="is not in their list"):
            store.save(two, next(iter(theirs)), {"scores": {"fluency": 1, "coherence": 1}}, 1)


def test_an_answer_that_does_not_fit_saves_nothing(mixed):
    rater = added(mixed, "a")
    shown = mixed.next(rater)
    with pytest.raises(MashqError, match="expected a value for every criterion"):
        mixed.save(rater, shown.item.id, {"scores": {"fluency": 3}}, 1)
    assert mixed.next(rater) == shown


def test_notes_are_kept_clean(mixed):
    rater = added(mixed, "a")
    note = "ملاحظة\x00 \ud83d \N{RIGHT-TO-LEFT OVERRIDE}<b>"
    mixed.save(rater, "a00-tuned", {"scores": {"fluency": 1, "coherence": 2}, "note": note}, 5)
    row = mixed.answers().to_pylist()[0]
    assert row["note"] == "ملاحظة \N{REPLACEMENT CHARACTER} \N{RIGHT-TO-LEFT OVERRIDE}<b>"


def test_progress_counts_practice_and_what_attention_found(mixed):
    rater = added(mixed, "a")
    assert dataclasses.astuple(mixed.progress(rater)) == (0, 19, 0, 1, 0, 0)
    mixed.save(rater, "a90-base", {"scores": {"fluency": 1, "coherence": 2}}, 1)
    for name, score in (("a80-tuned", 5), ("a81-tuned", 5), ("a82-tuned", 3)):
        mixed.save(rater, name, {"scores": {"fluency": score, "coherence": 2}}, 1)
    assert dataclasses.astuple(mixed.progress(rater)) == (4, 19, 1, 1, 2, 3)
    right = {(row["item"], row["criterion"]): row["right"] for row in mixed.answers().to_pylist()}
    assert [right[f"a8{place}-tuned", "fluency"] for place in range(3)] == [True, True, False]
    assert {right[f"a8{place}-tuned", "coherence"] for place in range(3)} == {None}


def test_programs_answers_are_marked(tmp_path):
    with Store.create(tmp_path / "s.sqlite", study([absolute(1)], simulated=True)) as store:
        rate_all(store, added(store, "a"))
        assert store.answers()["simulated"].to_pylist() == [True, True]


def test_a_commit_is_on_the_disk_when_it_returns(mixed):
    for store in (mixed, Store.open(mixed.path)):
        said = {name: store._file.execute(f"pragma {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
        assert said == {"journal_mode": "wal", "synchronous": 2}  # 2: full
        assert store._file.execute("pragma foreign_keys").fetchone() == (1,)
        store.close()
    assert mixed.path.stat().st_mode & 0o777 == 0o600


# --- several at once -------------------------------------------------------------------------------------------------


def test_several_threads_rate_at_once(tmp_path):
    with Store.create(tmp_path / "s.sqlite", study(list(map(absolute, range(20))))) as store:
        raters = [added(store, name) for name in "abcd"]
        threads = [threading.Thread(target=rate_all, args=(store, rater)) for rater in raters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [progress.done for _, progress in store.raters()] == [20] * 4
        assert store.answers().num_rows == 20 * 4 * 2


RATES = """
import sys
sys.path.insert(0, {here!r})
from rating_examples import answer
from mashq.rating.store import Store

with Store.open({path!r}) as store:
    rater = store.rater_of({token!r})
    while shown := store.next(rater):
        store.save(rater, shown.item.id, answer(shown, rater.id), 1.0)
        print(shown.item.id, flush=True)
"""


def rating_process(path, token):
    """Another process that rates what is next, and prints each item once it is saved."""
    program = textwrap.dedent(RATES).format(here=str(HERE), path=str(path), token=token)
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def test_two_processes_rate_at_once(tmp_path):
    with Store.create(tmp_path / "s.sqlite", study(list(map(absolute, range(15))))) as store:
        tokens = [store.add_rater(name) for name in "ab"]
        processes = [rating_process(store.path, token) for token in tokens]
        said = [process.communicate(timeout=300)[0].split() for process in processes]
        assert [process.returncode for process in processes] == [0, 0]
        assert [len(set(one)) for one in said] == [15, 15]
        assert store.answers().num_rows == 15 * 2 * 2


@pytest.mark.parametrize("after", [1, 23])
def test_a_process_killed_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path, after):
    with Store.create(tmp_path / "s.sqlite", study(list(map(absolute, range(400))))) as store:
        token = store.add_rater("a")
    process = rating_process(tmp_path / "s.sqlite", token)
    said = [process.stdout.readline().strip() for _ in range(after)]
    os.kill(process.pid, signal.SIGKILL)
    said += process.stdout.read().split()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    with Store.open(tmp_path / "s.sqlite") as store:
        rater = store.rater_of(token)
        done = store.progress(rater).done
        assert len(said) <= done <= len(said) + 1  # one may be saved and not yet printed
        answered = [store.shown(rater, number) for number in range(1, done + 1)]
        assert [shown.item.id for shown in answered][: len(said)] == said
        assert all(shown.answer.said == answer(shown, rater.id) for shown in answered)
        assert store.next(rater).number == done + 1


def test_a_store_whose_making_was_cut_off_is_told(tmp_path):
    program = textwrap.dedent(f"""
        import os, sys
        sys.path.insert(0, {str(HERE)!r})
        from rating_examples import absolute, study
        from mashq.rating import store

        class Cut:  # in the middle of the transaction
            def __format__(self, spec):
                os.kill(os.getpid(), 9)

        store.MARK = Cut()
        store.Store.create({str(tmp_path / "s.sqlite")!r}, study([absolute(1)]))
    """)
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    with pytest.raises(MashqError, match="Where its making was cut off, delete it"):
        Store.open(tmp_path / "s.sqlite")


def test_a_file_that_another_program_holds_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("mashq.rating.store.WAIT_S", 0.05)
    with Store.create(tmp_path / "s.sqlite", study([absolute(1)])) as store:
        rater = added(store, "a")
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("begin immediate")
        with pytest.raises(MashqError, match=r"cannot be written .database is locked.*wait for the other process"):
            store.save(rater, "a01-tuned", {"scores": {"fluency": 1, "coherence": 1}}, 1)
        assert store.next(rater).number == 1  # reading goes on
        other.execute("rollback")
        other.close()
        store.save(rater, "a01-tuned", {"scores": {"fluency": 1, "coherence": 1}}, 1)
        assert store.next(rater) is None


def test_a_full_disk_is_told_and_takes_nothing_back(tmp_path):
    with Store.create(tmp_path / "s.sqlite", study(list(map(absolute, range(80))))) as store:
        rater = added(store, "a")
        rate_all(store, rater, most=3)
        (pages,) = store._file.execute("pragma page_count").fetchone()
        store._file.execute(f"pragma max_page_count = {pages + 2}")
        said = {"scores": {"fluency": 1, "coherence": 1}, "note": "ن" * 2_000}
        with pytest.raises(MashqError, match=r"cannot be written .database or disk is full.*Free space"):
            for number in range(4, 80):
                store.save(rater, store.shown(rater, number).item.id, said, 1)
        done = store.progress(rater).done
        assert done >= 3
        store._file.execute("pragma max_page_count = 1000000")
        store.save(rater, store.next(rater).item.id, said, 1)
        assert store.progress(rater).done == done + 1


# --- all of it together ----------------------------------------------------------------------------------------------

EVENTS = st.tuples(st.sampled_from(["join", "rate", "rate", "rate", "leave", "change"]), st.integers(0, 9))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 3), st.lists(EVENTS, max_size=14))
def test_lists_hold_together_whatever_raters_do(tmp_path_factory, each, events):
    items = [*map(absolute, range(7)), *map(pairwise, range(7, 10)), PRACTICE, *ATTENTION]
    with Store.create(tmp_path_factory.mktemp("s") / "s.sqlite", study(items, raters_per_item=each)) as store:
        here = [added(store, "r0")]
        before = {}  # rater -> what they were shown and answered
        for turn, (event, number) in enumerate(events):
            rater = here[number % len(here)]
            if event == "join":
                here.append(added(store, f"late{turn}"))
            elif event == "leave" and len(here) > 1:
                here.remove(rater)
                store.withdraw(rater)
            elif event == "rate":
                before.setdefault(rater.name, []).extend(one.item for one in rate_all(store, rater, most=number))
            elif event == "change" and before.get(rater.name):
                shown = store.shown(rater, number % len(before[rater.name]) + 1)
                store.save(rater, shown.item.id, answer(shown, turn), 1)
        for rater, progress in store.raters():
            own = [store.shown(rater, number) for number in range(1, progress.of + 1)]
            done = before.get(rater.name, [])
            assert [shown.item for shown in own[: len(done)]] == done
            assert [shown.answer is not None for shown in own] == [True] * len(done) + [False] * (len(own) - len(done))
            assert progress.done == len(done)
            assert len({shown.item.id for shown in own}) == len(own)
        for rater in here:
            rate_all(store, rater)
        answered = each_rater(store)
        for item in store.study.of_role("item"):
            assert sum(item.id in mine for mine in answered.values()) >= min(each or 99, len(here))
