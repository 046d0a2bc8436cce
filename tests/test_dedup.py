import pyarrow as pa
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from mashq.dedup import COLUMNS, content_hashes, find_twins, without_twins
from mashq.rows import conform, id_hex, source_ids


def table(rows: list[tuple]) -> pa.Table:
    """Rows of (prompt, answer, split)."""
    return conform(
        {
            "id": source_ids("test", "1", n=len(rows)),
            "messages": [[{"role": "user", "content": prompt}] for prompt, _, _ in rows],
            "references": [[answer] for _, answer, _ in rows],
            "split": [split for _, _, split in rows],
        }
    )


def reasons(tables: list[pa.Table], forms=()) -> list[str | None]:
    twins = find_twins(lambda: (one.select(COLUMNS) for one in tables), forms)
    return [reason for one in tables for reason in without_twins(one, twins)["dropped"].to_pylist()]


def test_the_first_of_equal_rows_stays_and_is_named():
    rows = table([("ما العاصمة؟", "القاهرة", None), ("x", "y", None), ("ما العاصمة؟", "القاهرة", "train")])
    first = id_hex(rows["id"][0].as_py())
    assert reasons([rows]) == [None, None, f"duplicate: same prompt and answers as row {first}"]


def test_other_answers_to_one_prompt_are_no_duplicates():
    assert reasons([table([("قل كلمة", "بحر", None), ("قل كلمة", "جبل", None)])]) == [None, None]


def test_a_prompt_that_a_test_asks_is_not_learnt_whatever_its_answer_and_place():
    rows = table([("p", "1", "train"), ("p", "2", "validation"), ("p", "3", "test"), ("q", "1", "train")])
    test = id_hex(rows["id"][2].as_py())
    contaminated = f"contaminated: its prompt is that of test row {test}"
    assert reasons([rows]) == [contaminated, contaminated, None, None]
    assert reasons([rows.slice(0, 2)])[0].startswith("contaminated: its prompt is that of validation row")


def test_equality_is_of_the_text_unless_a_form_is_named():
    rows = [table([("كَتَبَ", "x", None), ("كتب", "x", None)])]
    assert reasons(rows) == [None, None]
    assert reasons(rows, ("tashkeel",))[1].startswith("duplicate")


def test_a_reply_in_the_messages_is_an_answer_and_borders_count():
    user, said = {"role": "user", "content": "p"}, {"role": "assistant", "content": "r"}
    messages = [
        [user],
        [user, said],
        [user, said, user],
        [{"role": "system", "content": "p"}],
        [{"role": "user", "content": "pp"}],
        [user, user],
        None,
    ]
    rows = conform(
        {"id": source_ids("test", "1", n=7), "messages": messages, "references": [[], None, [], [], [], [], None]}
    )
    prompts, whole = ([tuple(words) for words in hashes.tolist()] for hashes in content_hashes(rows))
    assert prompts[0] == prompts[1]
    assert len(set(prompts)) == 6
    assert len(set(whole)) == 7


def test_raw_rows_are_told_by_their_text():
    rows = conform({"id": source_ids("test", "1", n=3), "text": ["a", "b", "a"]})
    assert [bool(reason) for reason in reasons([rows])] == [False, False, True]


row = st.tuples(st.sampled_from("pqrs"), st.sampled_from("12"), st.sampled_from([None, "train", "validation", "test"]))


@limits(deadline=None)
@given(st.lists(row, min_size=1, max_size=40), st.integers(1, 39))
def test_what_stays_is_what_a_plain_loop_keeps(rows, cut):
    whole = table(rows)
    got = reasons([whole])
    pieces = [whole.slice(0, cut), whole.slice(cut)]
    assert reasons([piece for piece in pieces if piece.num_rows]) == got
    rank = {"test": 0, "validation": 1}
    best = {}
    for prompt, _, split in rows:
        best[prompt] = min(best.get(prompt, 2), rank.get(split, 2))
    seen, expected = set(), []
    for prompt, answer, split in rows:
        held = rank.get(split, 2) > best[prompt]
        expected.append("contaminated" if held else "duplicate" if (prompt, answer) in seen else None)
        seen |= set() if held else {(prompt, answer)}
    assert [reason and reason.split(":")[0] for reason in got] == expected


def test_no_rows_and_no_twins():
    assert reasons([table([("a", "b", None)]).slice(0, 0)]) == []
    assert reasons([table([("a", "b", None)])]) == [None]
