import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mashq.evaluate import evaluate
from mashq.evaluate.measure import Measure
from mashq.evaluate.scores import _macro
from mashq.metrics import CATALOGUE, holm
from mashq.rows import MashqError, child_ids, conform, drop, replace, source_ids

REFERENCES = ["عاصمة مصر هي القاهرة", "عملة الكويت هي الدينار", "لغة البرازيل هي البرتغالية", "عاصمة تونس هي تونس"]
TASKS = ["capital", "currency", "language", "capital"]
GROUPS = ["EG", "KW", "BR", "TN"]


def prompts(n: int = 4) -> pa.Table:
    pick = [place % 4 for place in range(n)]
    return conform(
        {
            "id": source_ids("facts", "1", n=n),
            "source": "facts",
            "group": [f"{GROUPS[place]}{index // 4}" for index, place in enumerate(pick)],
            "task": [TASKS[place] for place in pick],
            "variety": "msa",
            "template": ["a" if index % 2 else "b" for index in range(n)],
            "messages": [[{"role": "user", "content": f"سؤال {index}؟"}] for index in range(n)],
            "references": [[REFERENCES[place]] for place in pick],
        }
    )


def answered(
    table: pa.Table, system: str, replies: Sequence[str], nats: float = 40.0, extra: Mapping[str, object] | None = None
) -> pa.Table:
    ids = child_ids(table.column("id"), step="generate", template=system)
    rows = table.to_pylist()
    metas = [
        {
            "system": system,
            "finish": "stop",
            "nats": nats + index,
            "target_tokens": 8,
            "target_bytes": len(row["references"][0].encode()),
            **(extra or {}),
        }
        for index, row in enumerate(rows)
    ]
    turns = [
        [*row["messages"], {"role": "assistant", "content": reply}] for row, reply in zip(rows, replies, strict=True)
    ]
    columns = {name: table.column(name) for name in ("source", "group", "task", "variety", "template", "references")}
    return conform(
        {
            **columns,
            "id": ids,
            "parents": [[row["id"]] for row in rows],
            "messages": turns,
            "meta": [json.dumps(meta) for meta in metas],
        }
    )


def wrong(n: int) -> list[str]:
    return ["لا أعرف الجواب"] * n


def right(n: int) -> list[str]:
    return [REFERENCES[place % 4] for place in range(n)]


def run(tmp_path, table, systems, metrics=("bits_per_byte", "rougeL", "exact"), **more):
    return evaluate(systems, baseline="base", metrics=metrics, out=tmp_path / "evaluation", **more)


def pair(n: int = 4, better: float = 25.0) -> tuple[pa.Table, dict[str, list[pa.Table]]]:
    table = prompts(n)
    return table, {
        "base": [answered(table, "base", wrong(n))],
        "tuned": [answered(table, "tuned", right(n), nats=better)],
    }


def find(entries, **wanted):
    by, value = wanted.pop("by", "all"), wanted.pop("value", "")
    found = [
        entry
        for entry in entries
        if entry["slice"] == {"by": by, "value": value} and all(entry[k] == v for k, v in wanted.items())
    ]
    assert len(found) == 1, found
    return found[0]


def test_scores_are_the_metrics_own(tmp_path):
    table, systems = pair()
    scores = run(tmp_path, table, systems)
    assert find(scores["scores"], system="tuned", metric="rougeL")["value"] == 1.0
    assert find(scores["scores"], system="base", metric="exact")["value"] == 0.0
    nats, size = sum(40.0 + index for index in range(4)), sum(len(text.encode()) for text in REFERENCES)
    bits = find(scores["scores"], system="base", metric="bits_per_byte")
    assert bits["value"] == pytest.approx(nats / math.log(2) / size, rel=1e-12)
    assert bits["n"] == 4 and bits["low"] <= bits["value"] <= bits["high"]


def test_perplexity_names_its_tokenizer(tmp_path):
    table, systems = pair()
    about = {"base": {"tokenizer": "gemma"}, "tuned": {"model": "other"}}
    scores = run(tmp_path, table, systems, metrics=("perplexity",), about=about)
    one = find(scores["scores"], system="base", metric="perplexity")
    assert one["value"] == pytest.approx(math.exp(sum(40.0 + index for index in range(4)) / 32))
    assert "tokenizer:gemma" in one["signature"]
    assert "tokenizer:other" in find(scores["scores"], system="tuned", metric="perplexity")["signature"]
    assert scores["comparisons"] == []
    assert {"code": "perplexity_untested", "n": 0} in scores["notes"]


def test_what_is_written_is_what_is_returned_and_the_same_twice(tmp_path):
    table, systems = pair(12)
    first = run(tmp_path / "a", table, systems, training_texts=REFERENCES[:2])
    halves = {name: [tables[0].slice(7), tables[0].slice(0, 7)] for name, tables in systems.items()}
    run(tmp_path / "b", table, halves, training_texts=REFERENCES[:2])
    files = [tmp_path / side / "evaluation" / name for name in ("scores.json", "samples.parquet") for side in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[2].read_bytes() == files[3].read_bytes()
    assert json.loads(files[0].read_text("utf-8")) == first


def test_samples_hold_one_row_per_item_and_system(tmp_path):
    table, systems = pair()
    run(tmp_path, table, systems)
    samples = pq.read_table(tmp_path / "evaluation" / "samples.parquet").to_pylist()
    assert [row["system"] for row in samples] == ["base", "tuned"] * 4
    row = next(row for row in samples if row["prompt"] == "سؤال 1؟" and row["system"] == "tuned")
    assert row["reference"] == row["reply"] == REFERENCES[1]
    assert (row["exact"], row["target_tokens"], row["finish"]) == (1.0, 8, "stop")
    assert row["item"] == table.column("id")[1].as_py().hex()


def test_comparison_is_paired_by_item_not_by_place(tmp_path):
    """The tuned system's rows come in reverse order; joined by item its differences are all equal."""
    table = prompts(8)
    reverse = table.take(list(range(7, -1, -1)))
    tuned = answered(reverse, "tuned", wrong(8), extra={"nats": 30.0})
    base = answered(table, "base", wrong(8), extra={"nats": 40.0})
    scores = run(tmp_path, table, {"base": [base], "tuned": [tuned]}, metrics=("bits_per_byte",))
    one = find(scores["comparisons"], metric="bits_per_byte")
    size = sum(len(text.encode()) for text in REFERENCES) * 2
    assert one["difference"] == pytest.approx(-80 / math.log(2) / size)
    assert (one["a"], one["b"], one["wins"], one["ties"], one["losses"]) == ("tuned", "base", 8, 0, 0)
    assert one["low"] < 0 and one["high"] < 0


def test_identical_systems_do_not_differ(tmp_path):
    table = prompts(8)
    systems = {name: [answered(table, name, right(8))] for name in ("base", "tuned")}
    one = find(run(tmp_path, table, systems)["comparisons"], metric="rougeL")
    assert (one["difference"], one["p"], one["ties"]) == (0.0, 1.0, 8)


def test_holm_is_made_within_each_family(tmp_path):
    table, systems = pair(40)
    scores = run(tmp_path, table, systems)
    for family in ("all", "task", "macro"):
        members = [entry for entry in scores["comparisons"] if entry["slice"]["by"] == family]
        assert [entry["p_holm"] for entry in members] == holm([entry["p"] for entry in members])
    assert len([entry for entry in scores["comparisons"] if entry["slice"]["by"] == "all"]) == 3


def test_macro_gives_every_task_one_weight(tmp_path):
    """Two capitals, one currency, one language: right on capitals alone is 1/2 of items and 1/3 of tasks."""
    table = prompts()
    replies = [text if task == "capital" else "لا" for text, task in zip(REFERENCES, TASKS, strict=True)]
    systems = {"base": [answered(table, "base", wrong(4))], "tuned": [answered(table, "tuned", replies)]}
    scores = run(tmp_path, table, systems, metrics=("exact", "bits_per_byte"))
    assert find(scores["scores"], system="tuned", metric="exact")["value"] == 0.5
    macro = find(scores["scores"], system="tuned", metric="exact", by="macro", value="task")
    assert macro["value"] == pytest.approx(1 / 3)
    assert macro["signature"] != find(scores["scores"], system="tuned", metric="exact")["signature"]
    difference = find(scores["comparisons"], metric="exact", by="macro", value="task")
    assert difference["difference"] == pytest.approx(1 / 3)


def test_macro_of_bits_per_byte_is_the_mean_of_the_tasks(tmp_path):
    table, systems = pair(20)
    scores = run(tmp_path, table, systems, metrics=("bits_per_byte",))
    for system in ("base", "tuned"):
        tasks = [
            find(scores["scores"], system=system, metric="bits_per_byte", by="task", value=task)["value"]
            for task in ("capital", "currency", "language")
        ]
        macro = find(scores["scores"], system=system, metric="bits_per_byte", by="macro", value="task")["value"]
        assert macro == pytest.approx(np.mean(tasks))
    sides = [
        find(scores["scores"], system=system, metric="bits_per_byte", by="macro", value="task")["value"]
        for system in ("tuned", "base")
    ]
    difference = find(scores["comparisons"], metric="bits_per_byte", by="macro", value="task")["difference"]
    assert difference == pytest.approx(sides[0] - sides[1])


def test_a_macro_perplexity_is_never_told_to_be_below_1():
    nats = np.array([60.0, 2, 3, 4, 1, 2])  # one item of one task makes almost all of it
    measure = Measure("perplexity", "perplexity", np.exp(nats / 4), nats, np.full(6, 4.0))
    tasks = {"one": np.array([0, 1, 2]), "other": np.array([3, 4, 5])}
    found = _macro(measure, tasks, [None] * 6, seed=0)
    assert found.interval_by == "jackknife-t" and found.low == 1.0


def test_one_task_has_no_macro_average(tmp_path):
    table = prompts(8).filter([True, False, False, True] * 2)
    systems = {name: [answered(table, name, wrong(4))] for name in ("base", "tuned")}
    scores = run(tmp_path, table, systems)
    assert [entry for entry in scores["scores"] if entry["slice"]["by"] == "macro"] == []


def test_slices_cover_every_item_once(tmp_path):
    table, systems = pair(20)
    scores = run(tmp_path, table, systems)
    for by in ("task", "variety", "source", "template"):
        parts = [e for e in scores["scores"] if (e["system"], e["metric"], e["slice"]["by"]) == ("base", "rougeL", by)]
        assert sum(entry["n"] for entry in parts) == 20


def test_intervals_are_by_group(tmp_path):
    """Twenty items of one group leave nothing to draw from."""
    table = prompts(20)
    table = table.set_column(table.column_names.index("group"), "group", pa.array(["one"] * 20))
    systems = {"base": [answered(table, "base", wrong(20))], "tuned": [answered(table, "tuned", right(20))]}
    scores = run(tmp_path, table, systems)
    one = find(scores["comparisons"], metric="rougeL")
    assert (one["groups"], one["low"], one["p"]) == (1, None, 1.0)
    assert scores["groups"] == 1


def test_dropped_reply_leaves_every_system_and_is_counted(tmp_path):
    table, systems = pair(8)
    systems["tuned"] = [drop(systems["tuned"][0], ["failed: no answer"] + [None] * 7)]
    scores = run(tmp_path, table, systems)
    assert scores["items"] == 7
    assert {"code": "missing", "n": 1, "reasons": {"tuned: failed": 1}} in scores["notes"]
    assert find(scores["scores"], system="base", metric="rougeL")["n"] == 7


def test_item_without_reference_is_counted_not_zero(tmp_path):
    table = prompts(8)
    bare = [row["references"] for row in table.to_pylist()]
    systems = {name: [answered(table, name, right(8))] for name in ("base", "tuned")}
    bare[0] = None
    place = table.column_names.index("references")
    systems = {
        name: [tables[0].set_column(place, table.schema.field("references"), pa.array(bare, pa.list_(pa.string())))]
        for name, tables in systems.items()
    }
    scores = run(tmp_path, table, systems, metrics=("rougeL",))
    one = find(scores["scores"], system="base", metric="rougeL")
    assert (one["value"], one["n"]) == (1.0, 7)
    assert {"code": "no_reference", "n": 1} in scores["notes"]


def test_replies_without_likelihood_are_counted(tmp_path):
    table = prompts(8)
    systems = {name: [answered(table, name, right(8), extra={"nats": None})] for name in ("base", "tuned")}
    scores = run(tmp_path, table, systems)
    assert {"code": "no_likelihood", "n": 8} in scores["notes"]
    assert {entry["metric"] for entry in scores["scores"]} == {"rougeL", "exact"}


def test_health_and_copying(tmp_path):
    table = prompts(4)
    loop = "قال نعم " * 30
    systems = {
        "base": [answered(table, "base", ["", loop, "plain English", "كلام"], extra={"finish": "length"})],
        "tuned": [answered(table, "tuned", right(4))],
    }
    training = ["كان يا ما كان عاصمة مصر هي القاهرة", "نص آخر"]
    scores = run(tmp_path, table, systems, training_texts=training)
    base, tuned = scores["health"]
    assert (base["empty"], base["cut"], base["looping"]) == (0.25, 1.0, 0.25)
    assert base["arabic_share"] == pytest.approx(2 / 3)
    assert tuned["arabic_share"] == 1.0 and tuned["median_words"] == 4
    copied = {entry["system"]: entry for entry in scores["copied"]}
    assert set(copied) == {"base", "tuned", "reference"}
    assert (copied["tuned"]["longest"], copied["tuned"]["of"]) == (4, 4)
    assert copied["base"]["longest"] == 0
    assert copied["reference"]["novelty"]["training+context"]["1"]["value"] < 1
    assert copied["base"]["novelty"]["training"]["4"]["value"] == 1
    assert copied["base"]["novelty"]["training+context"]["4"]["value"] == pytest.approx(2 / 57)  # the loop says 2 of 57
    assert "|against:training+context|" in copied["base"]["signatures"]["training+context"]
    assert copied["base"]["signatures"]["longest"].startswith("longest_copied|against:training|")


def test_every_turn_before_a_reply_is_its_context(tmp_path):
    asked = ["أين البحر الكبير", "هناك", "وأين الجبل العالي"]
    turns = [{"role": role, "content": text} for role, text in zip(("user", "assistant", "user"), asked, strict=True)]
    table = replace(prompts(1), messages=[turns], references=[["وأين الجبل العالي البعيد"]])
    systems = {
        "base": [answered(table, "base", ["البحر الكبير قريب"])],
        "tuned": [answered(table, "tuned", ["الجبل العالي"])],
    }
    scores = run(tmp_path, table, systems, training_texts=["قريب"])
    shares = {
        entry["system"]: {name: by_n["1"]["value"] for name, by_n in entry["novelty"].items()}
        for entry in scores["copied"]
    }
    assert shares["base"] == pytest.approx({"training+context": 0, "training": 2 / 3, "context": 1 / 3})
    assert shares["tuned"] == {"training+context": 0, "training": 1, "context": 0}
    assert shares["reference"] == {"training+context": 0.25, "training": 1, "context": 0.25}


def test_every_metric_of_the_catalogue_can_be_asked_for(tmp_path):
    table, systems = pair(8)
    scores = run(tmp_path, table, systems, metrics=(*CATALOGUE, "bits_per_byte", "perplexity"))
    assert {entry["metric"] for entry in scores["scores"]} == {*CATALOGUE, "bits_per_byte", "perplexity"}
    assert set(scores["metrics"]) == {*CATALOGUE, "bits_per_byte", "perplexity"}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"baseline": "bass"}, "baseline: expected one of base, tuned, got 'bass'"),
        ({"metrics": ("rougel",)}, "no metric 'rougel' .*Did you mean 'rougeL'"),
        ({"slices": ("tasks",)}, "no slice 'tasks' .*Did you mean 'task'"),
        ({"metrics": ()}, "metrics: expected at least one"),
    ],
)
def test_wrong_names_are_told(tmp_path, change, match):
    _, systems = pair()
    with pytest.raises(MashqError, match=match):
        evaluate(systems, **{"baseline": "base", "metrics": ("rougeL",), "out": tmp_path, **change})


def test_missing_and_double_items_are_errors(tmp_path):
    table, systems = pair(8)
    with pytest.raises(MashqError, match="system 'tuned' has no row for 3 of 8 items"):
        run(tmp_path, table, {**systems, "tuned": [systems["tuned"][0].slice(3)]})
    with pytest.raises(MashqError, match=r"system 'tuned' answers item [0-9a-f]{32} twice"):
        run(tmp_path, table, {**systems, "tuned": systems["tuned"] * 2})
    with pytest.raises(MashqError, match="expected at least one, got 0 of 8"):
        run(tmp_path, table, {**systems, "tuned": [drop(systems["tuned"][0], ["failed"] * 8)]})


def test_other_byte_counts_of_the_same_references_are_named_as_such(tmp_path):
    table, systems = pair(4)
    base, tuned = systems["base"][0], systems["tuned"][0]
    place = base.column_names.index("meta")

    def counted(rows, size):
        meta = [json.dumps({**json.loads(one or "{}"), "target_bytes": size}) for one in rows["meta"].to_pylist()]
        return rows.set_column(place, rows.schema.field("meta"), pa.array(meta, rows.schema.field("meta").type))

    with pytest.raises(MashqError, match=r"target_bytes in system 'tuned': expected 10 as in 'base', .* same, got 11"):
        run(tmp_path, table, {**systems, "base": [counted(base, 10)], "tuned": [counted(tuned, 11)]})


def test_other_references_in_one_system_are_an_error(tmp_path):
    table, systems = pair(4)
    place = table.column_names.index("references")
    other = pa.array([["غيره"]] * 4, pa.list_(pa.string()))
    changed = systems["tuned"][0].set_column(place, table.schema.field("references"), other)
    with pytest.raises(MashqError, match="has other references in system 'tuned' than in 'base'"):
        run(tmp_path, table, {**systems, "tuned": [changed]})


def test_reply_must_be_the_assistants(tmp_path):
    table, systems = pair(4)
    bare = systems["base"][0]
    turns = [[{"role": "user", "content": "سؤال"}]] * 4
    place = bare.column_names.index("messages")
    bare = bare.set_column(place, bare.schema.field("messages"), pa.array(turns, bare.schema.field("messages").type))
    with pytest.raises(MashqError, match="expected an assistant's turn last, got a last turn of 'user'"):
        run(tmp_path, table, {**systems, "base": [bare]})
