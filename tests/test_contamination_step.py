import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mashq import steps
from mashq.contamination import contamination
from mashq.rows import MashqError, children, conform, source_ids
from mashq.run import Step, Store

WORDS = ["بحر", "جبل", "نهر", "صحراء", "واحة", "غابة", "جزيرة", "سهل", "تل", "كهف", "شاطئ", "قرية"]
SENTENCE = (
    "كان يسير نحو بيته القديم حين سمع صوتًا غريبًا من خلف الأشجار فتوقف قليلًا ثم مضى حذرًا وفي يده مصباح صغير لا يكاد "
    "يضيء الطريق الضيق أمامه وقد غابت الشمس ولم يبق في السماء سوى نجمة واحدة تلمع فوق التلال البعيدة"
)


def text(place):
    """Forty words by chance, so that no two texts share a run of them."""
    return " ".join([*random.Random(place).choices(SENTENCE.split(), k=40), WORDS[place]])


TEXTS = [text(place) for place in range(12)]


def raw(job):
    ids = source_ids("نص", "1", n=len(TEXTS))
    yield conform({"id": ids, "text": TEXTS, "group": [f"g{n}" for n in range(len(TEXTS))], "source": ["نص"] * 12})


def prompts(job):
    """Rows `first` to `last` of the texts as prompts; each has its text's id as parent."""
    first, last, split = job.settings
    for table in job.read("raw"):
        some = table.slice(first, last - first)
        job.unsampled += table.num_rows - some.num_rows
        turns = [[{"role": "user", "content": f"أكمل: {word}"}] for word in WORDS[first:last]]
        wanted = [[one] for one in some["text"].to_pylist()]
        split_of = pa.array([split] * len(turns))
        yield children(
            some, job.name, text=pa.nulls(len(turns), pa.string()), messages=turns, references=wanted, split=split_of
        )


def trained(job):
    return {}


def replied(rows, job):
    turns = [[*one, {"role": "assistant", "content": job.settings}] for one in rows["messages"].to_pylist()]
    return children(rows, job.name, messages=turns, meta=pa.array([json.dumps({"finish": "stop"})] * rows.num_rows))


def passed_on(rows, job):
    """Replies as they are, as a judge or a step that mends their items hands them on."""
    return rows


def run_of(learnt, validated=(0, 0)):
    """An evaluation of rows 0 to 6 after a training on rows `learnt`, and on `validated` as validation rows."""
    source = Step("raw", raw, kind="stream")
    asked = Step("asked", prompts, (0, 6, "test"), {"raw": source}, kind="stream")
    lessons = {"learnt": Step("learnt", prompts, (*learnt, "train"), {"raw": source}, kind="stream")}
    if validated[1]:
        lessons["held"] = Step("held", prompts, (*validated, "validation"), {"raw": source}, kind="stream")
    model = Step("tuned", trained, None, lessons, kind="folder", produces="model")
    before = Step("before", replied, "لا أعرف", {"rows": asked}, here=True)
    after = Step("after", replied, TEXTS[0], {"rows": asked, "trained": model}, here=True)
    return steps.evaluation("gain", {"before": before, "after": after}, {"before": "b", "after": "a"}, ["rougeL"])


def found(tmp_path, gain):
    made = Store(tmp_path).make(contamination("contamination", gain))
    return json.loads((made.folder / "contamination.json").read_text("utf-8")), made.manifest["facts"]


def test_what_was_learnt_is_found_and_the_gain_is_given_without_it(tmp_path):
    told, facts = found(tmp_path, run_of((4, 10)))
    assert [one["stage"] for one in told["stages"]] == ["learnt"]
    assert (told["contaminated"]["n"], told["clean"], facts["verdict"]) == (2, 4, "contaminated")
    assert {one["subset"]: one["n"] for one in told["scores"]["gains"]} == {"all": 6, "clean": 4}


def test_other_rows_are_clean_and_rows_that_only_validate_teach_nothing(tmp_path):
    told, facts = found(tmp_path, run_of((6, 12), validated=(0, 6)))
    assert {one["stage"]: one["rows"] for one in told["stages"]} == {"learnt": 6, "held": 0}
    assert (told["contaminated"]["n"], facts["verdict"]) == (0, "clean")


def fewer(rows, job):
    """The replies without those to the items that `settings` names by number."""
    job.unsampled += len(job.settings)
    return rows.filter(pa.array([n not in job.settings for n in range(rows.num_rows)]))


def test_an_evaluation_of_some_items_counts_no_others(tmp_path):
    gain = run_of((4, 10))
    labels = {"before": "b", "after": "a"}
    some = {name: Step(f"{name}-some", fewer, [0, 1, 5], {"replies": one}) for name, one in gain.inputs.items()}
    told, facts = found(tmp_path, steps.evaluation("gain-some", some, labels, ["rougeL"]))
    assert (told["items"], told["contaminated"]["n"], told["clean"]) == (3, 1, 2)
    assert (facts["items"], facts["clean"]) == (3, 2)
    assert {one["subset"]: one["n"] for one in told["scores"]["gains"]} == {"all": 3, "clean": 2}
    whole, _ = found(tmp_path / "whole", gain)
    assert (whole["items"], whole["contaminated"]["n"], whole["clean"]) == (6, 2, 4)


def test_the_digest_tells_one_check_from_another(tmp_path):
    """Both are clean, so that their tables of items are the same; the stages of the two differ."""
    first, second = (Store(tmp_path).make(contamination("c", run_of(rows))) for rows in ((6, 11), (6, 12)))
    items = [pq.read_table(one.folder / "items.parquet") for one in (first, second)]
    assert items[0].equals(items[1])
    assert first.manifest["hash"] != second.manifest["hash"]
    again = Store(tmp_path / "again").make(contamination("c", run_of((6, 11))))
    assert again.manifest["hash"] == first.manifest["hash"]


def test_an_earlier_stage_counts_too(tmp_path):
    gain = run_of((6, 12))
    model = gain.inputs["after"].inputs["trained"]
    source = model.inputs["learnt"].inputs["raw"]
    first = Step("first-rows", prompts, (0, 2, "train"), {"raw": source}, kind="stream")
    start = Step("first", trained, None, {"rows": first}, kind="folder", produces="model")
    second = Step("tuned", trained, None, {**model.inputs, "after": start}, kind="folder", produces="model")
    after = Step("after", replied, TEXTS[0], {**gain.inputs["after"].inputs, "trained": second}, here=True)
    labels = {"before": "b", "after": "a"}
    gain = steps.evaluation("gain", {"before": gain.inputs["before"], "after": after}, labels, ["rougeL"])
    told, _ = found(tmp_path, gain)
    by_stage = {one["stage"]: one["contaminated"]["n"] for one in told["stages"]}
    assert by_stage == {"learnt": 0, "first-rows": 2}


def test_what_was_asked_is_found_behind_rows_that_were_passed_on(tmp_path):
    gain = run_of((4, 10))
    items = {name: Step(f"{name}-items", passed_on, None, {"replies": one}) for name, one in gain.inputs.items()}
    passed = {name: Step(f"{name}-judged", passed_on, None, {"replies": one}) for name, one in items.items()}
    judged = steps.evaluation("gain", passed, {"before": "b", "after": "a"}, ["rougeL"])
    told, facts = found(tmp_path, judged)
    assert (told["contaminated"]["n"], told["clean"], facts["verdict"]) == (2, 4, "contaminated")
    assert {one["subset"]: one["n"] for one in told["scores"]["gains"]} == {"all": 6, "clean": 4}


def test_an_evaluation_without_a_trained_model_is_refused():
    gain = run_of((6, 12))
    labels = {"before": "b"}
    untrained = steps.evaluation("plain", {"before": gain.inputs["before"]}, labels, ["rougeL"])
    with pytest.raises(MashqError, match=r"got 'plain', before which no model was trained"):
        contamination("contamination", untrained)
    with pytest.raises(MashqError, match=r"before which nothing was asked"):
        contamination("contamination", Step("odd", trained, kind="folder"))


def test_rows_that_may_name_people_show_no_word(tmp_path):
    gain = run_of((4, 10))
    asked = gain.inputs["before"].inputs["rows"]
    private = Step("asked", prompts, (0, 6, "test"), dict(asked.inputs), kind="stream", private=True)
    systems = {
        name: Step(name, replied, one.settings, {**one.inputs, "rows": private}, here=True)
        for name, one in gain.inputs.items()
    }
    step = contamination("contamination", steps.evaluation("gain", systems, {"before": "b", "after": "a"}, ["rougeL"]))
    assert step.private
    folder = Store(tmp_path).make(step).folder
    text = (folder / "contamination.json").read_text("utf-8")
    assert not any(word in text for word in ("مصباح", "نجمة"))
    assert not any(word in str(pq.read_table(folder / "evidence.parquet").to_pylist()) for word in ("مصباح", "نجمة"))
