"""Few-shot examples: drawn by seed from the training split, whatever the shards and the order of the rows."""

from pathlib import Path

import pyarrow as pa
import pytest

from mashq import rows, shots, steps
from mashq.engine import Engine
from mashq.lineage import life, lines
from mashq.rows import MashqError, id_hex
from mashq.run import Step, Store, read_rows
from mashq.shots import Pool, ShotSettings, with_examples

ASKED = ShotSettings({"one/a": 3, "one/b": 0, "one/talk": 2, "one/rare": 2}, seed=5)


def population(n: int = 400) -> pa.Table:
    """Prompts of four templates, three rows a group; one in ten is a test row, and `one/rare` has two for training."""
    names = ["one/rare" if i < 8 else ("one/a", "one/b", "one/talk")[i % 3] for i in range(n)]
    return rows.conform(
        {
            "id": rows.source_ids("one", "1", n=n),
            "template": names,
            "group": [f"g{i // 9}" for i in range(n)],
            "split": [("train" if i in (0, 7) else "test") if i < 8 else "test" if i % 10 == 0 else None
                      for i in range(n)],
            "messages": [said(names[i], i) for i in range(n)],
            "references": [[f"جواب {i}", "غيره"] if i != 21 else [] for i in range(n)],
        }
    )  # fmt: skip


def said(template: str, i: int) -> list[dict[str, str]]:
    own = [{"role": "user", "content": f"سؤال {i % 390}"}]
    if template != "one/talk":
        return own
    before = [("system", "أنت معلّم."), ("user", f"تمهيد {i}"), ("assistant", "تفضّل.")]
    return [{"role": role, "content": text} for role, text in before] + own


def pool_of(table: pa.Table, pieces: int = 1, settings: ShotSettings = ASKED) -> pa.Table:
    pool = Pool(settings)
    for at in range(0, table.num_rows, -(-table.num_rows // pieces)):
        pool.add(table.slice(at, -(-table.num_rows // pieces)))
    return pool.table()


@pytest.fixture(scope="module")
def shown() -> tuple[dict[bytes, dict], list[dict]]:
    table = population()
    before = {row["id"]: row for row in table.to_pylist()}
    return before, with_examples(table, pool_of(table), ASKED, "few").to_pylist()


def test_rows_stay_in_order_and_each_stands_for_one(shown):
    before, after = shown
    stood_for = [row["id"] if row["id"] in before else row["parents"][0] for row in after]
    assert stood_for == list(before)
    assert len({row["id"] for row in after}) == len(after)


def test_examples_are_training_rows_of_the_template_and_of_other_groups(shown):
    before, after = shown
    seen = 0
    for row in (row for row in after if row["id"] not in before):
        own, *examples = (before[one] for one in row["parents"])
        assert len(examples) == ASKED.shots[own["template"]]
        assert len({one["id"] for one in examples}) == len(examples)
        for one in examples:
            assert one["template"] == own["template"]
            assert one["split"] != "test"
            assert one["group"] != own["group"]
            assert one["messages"] != own["messages"]
            assert one["references"]
        seen += 1
    assert seen > 200


def test_a_conversation_is_system_text_then_examples_then_the_rows_own_turns(shown):
    before, after = shown
    for row in (row for row in after if row["id"] not in before):
        own, *examples = (before[one] for one in row["parents"])
        system = [turn for turn in own["messages"] if turn["role"] == "system"]
        expected = list(system)
        for one in examples:
            expected += [turn for turn in one["messages"] if turn["role"] != "system"]
            expected.append({"role": "assistant", "content": one["references"][0]})
        assert row["messages"] == expected + own["messages"][len(system) :]
        assert (row["references"], row["split"], row["group"]) == (own["references"], own["split"], own["group"])
        roles = [turn["role"] for turn in row["messages"][len(system) :]]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


def test_too_few_examples_drop_the_row_with_the_number(shown):
    before, after = shown
    rare = [row for row in after if row["template"] == "one/rare"]
    assert len(rare) == 8
    # Both training rows are of group g0, as are all eight: none is of another group.
    assert {row["dropped"] for row in rare} == {
        "examples: 0 of 2 among the 2 training rows that they are drawn from (template one/rare)"
    }
    assert all(row["id"] in before for row in rare)


def test_a_template_without_a_training_row_stands_beside_one_that_has_some():
    table = population(90)
    none = rows.replace(
        table, split=["test" if name == "one/talk" else "train" for name in table["template"].to_pylist()]
    )
    made = with_examples(none, pool_of(none), ASKED, "few").to_pylist()
    talk = [row for row in made if row["template"] == "one/talk"]
    assert {row["dropped"] for row in talk} == {
        "examples: 0 of 2 among the 0 training rows that they are drawn from (template one/talk)"
    }
    assert any(len(row["parents"] or []) == 4 for row in made)


def test_templates_without_examples_are_left_alone(shown):
    before, after = shown
    for row in after:
        if row["template"] == "one/b":
            assert row == before[row["id"]]


def test_examples_depend_on_neither_order_nor_batches():
    table = population(1_500)
    turned = table.take(pa.array(range(1_499, -1, -1)))
    whole = with_examples(table, pool_of(table), ASKED, "few").to_pylist()
    other = pool_of(turned, pieces=7)
    again = [row for at in range(0, 1_500, 130) for row in with_examples(turned.slice(at, 130), other, ASKED, "few").to_pylist()]  # fmt: skip # noqa: E501
    assert sorted(whole, key=lambda row: row["id"]) == sorted(again, key=lambda row: row["id"])


def test_the_pool_is_bounded_and_the_seed_changes_it(monkeypatch):
    monkeypatch.setattr(shots, "POOL", 20)
    table = population(3_000)
    one, two = pool_of(table, 5), pool_of(table, 5, ShotSettings(ASKED.shots, seed=6))
    counts = {pair["values"]: pair["counts"] for pair in one["template"].value_counts().to_pylist()}
    assert counts == {"one/a": 20, "one/talk": 20, "one/rare": 2}
    assert set(one["id"].to_pylist()) != set(two["id"].to_pylist())


def test_every_training_row_is_drawn_about_as_often_as_another():
    table = population(4_000)
    settings = ShotSettings({"one/a": 3})
    made = with_examples(table, pool_of(table, settings=settings), settings, "few").to_pylist()
    drawn: dict[bytes, int] = {}
    for row in made:
        for one in (row["parents"] or [])[1:]:
            drawn[one] = drawn.get(one, 0) + 1
    mean = sum(drawn.values()) / len(drawn)
    assert len(drawn) == 500
    assert mean == pytest.approx(8, abs=0.1)
    assert max(drawn.values()) < 25  # 8 expected; Poisson gives more than 24 once in a million


def test_no_answer_is_shown_twice_before_every_other_was_shown():
    answers = ["نعم"] * 7 + ["لا", "ربما"]
    table = rows.replace(population(900), references=[[answers[i // 3 % 9]] for i in range(900)])
    settings = ShotSettings({"one/a": 3, "one/b": 7})
    made = with_examples(table, pool_of(table, settings=settings), settings, "few").to_pylist()
    shown = {
        name: [
            [turn["content"] for turn in row["messages"] if turn["role"] == "assistant"]
            for row in made
            if row["template"] == name and not row["dropped"]
        ]
        for name in settings.shots
    }
    assert all(sorted(one) == sorted({*answers}) for one in shown["one/a"])
    assert all(min(one.count(answer) for answer in {*answers}) == 2 for one in shown["one/b"])
    firsts = [one[0] for one in shown["one/a"]]
    assert min(firsts.count(answer) for answer in {*answers}) > len(firsts) / 5  # no answer has a place of its own


def test_a_number_of_examples_out_of_range_is_an_error():
    with pytest.raises(MashqError, match=r"template 'one/a': expected 0 to 32, got 33"):
        ShotSettings({"one/a": 33})


# --- as steps --------------------------------------------------------------------------------------------------------


def raw(job):
    yield population()


def made(root: Path, rows_per_part: int, workers: int) -> list[dict]:
    source = Step("raw", raw, kind="stream", rows_per_part=rows_per_part)
    pool = steps.examples("examples", source, ASKED)
    few = steps.few_shot("few", source, pool)
    done = Store(root, Engine("local", workers)).make(few)
    assert done.manifest["reasons"] == {"examples": 8}
    assert done.manifest["counts"]["in"] == 400
    return [row for table in read_rows(done.folder) for row in table.to_pylist()]


def test_steps_give_the_same_rows_for_few_parts_and_many(tmp_path):
    assert made(tmp_path / "few", 400, 1) == made(tmp_path / "many", 37, 2)


def test_the_life_of_a_row_has_its_examples_and_that_of_an_example_a_number(tmp_path):
    row = next(row for row in made(tmp_path, 400, 1) if len(row["parents"] or []) == 4)
    found = {one.row["id"]: one for one in life(tmp_path, id_hex(row["id"]))}
    assert found.keys() == {row["id"], *row["parents"]}
    alone = life(tmp_path, id_hex(row["parents"][1]))
    assert row["id"] not in {one.row["id"] for one in alone}
    assert any("a further parent of" in line for one in alone for line in lines(one))
