"""What stands in scores.json beside scores: other text profiles, judges that said nothing, the least p, the absent."""

import json
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_evaluate import answered, find, pair, prompts, right, run, wrong

from mashq.judge.rows import score_in
from mashq.metrics import Metric, compare
from mashq.metrics.sensitivity import KEYS, sensitivity
from mashq.rows import MashqError

SENTENCES = [
    "ذهب الأولاد إلى المدرسة في الصباح الباكر",
    "أكلت الأسرة الطعام في حديقة البيت الكبيرة",
    "أرسل الأستاذ إلى الأهل رسالة عن الامتحان",
    "إن القراءة أفضل ما يفعله الإنسان في الإجازة",
    "سافر أخي إلى الإسكندرية أمس مع أصدقائه",
    "أحب أن أجلس أمام البحر وأسمع الأمواج",
]
FLUENCY = Metric(
    "judge_fluency", lambda *_: [], "judge_fluency|f", True, "1..5", partial(score_in, criterion="fluency")
)


def asked_for(sentences: list[str]) -> pa.Table:
    table = prompts(len(sentences))
    place = table.column_names.index("references")
    return table.set_column(place, table.schema.field("references"), pa.array([[one] for one in sentences]))


def two_spellings() -> dict[str, list[pa.Table]]:
    """`careful` writes every letter but leaves words out; `hasty` writes every word without its hamza."""
    table = asked_for(SENTENCES)
    careful = [" ".join(text.split()[:-2]) for text in SENTENCES]
    hasty = [text.replace("أ", "ا").replace("إ", "ا") for text in SENTENCES]
    return {"base": [answered(table, "base", careful)], "hasty": [answered(table, "hasty", hasty)]}


def judged(table: pa.Table, system: str, scores: list[float | None], why: dict[int, str]) -> pa.Table:
    """Reply rows as a judge leaves them."""
    rows = answered(table, system, right(table.num_rows))
    metas = []
    for place, (meta, score) in enumerate(zip(rows["meta"].to_pylist(), scores, strict=True)):
        told = {"scores": {"fluency": score}, "why": {"fluency": why[place]} if place in why else {}}
        metas.append(json.dumps({**json.loads(meta), "judge": told}))
    return rows.set_column(rows.column_names.index("meta"), "meta", pa.array(metas))


# --- sensitivity -----------------------------------------------------------------------------------------------------


def test_a_ranking_that_turns_with_the_profile_is_said_so(tmp_path):
    scores = run(tmp_path, None, two_spellings(), metrics=("exact", "rougeL", "chrF++"))
    found = scores["sensitivity"]
    assert (found["metrics"], found["profiles"]) == (["rougeL", "chrF++"], ["strict", "arabic", "loose"])
    verdict = found["verdicts"][0]
    assert verdict == {"metric": "rougeL", "key": "moves", "tau": -1.0, "turns": 1, "certain": 1}
    ranks = {(c["profile"], c["system"]): c["rank"] for c in found["cells"] if c["metric"] == "rougeL"}
    assert (ranks["strict", "base"], ranks["loose", "base"]) == (1, 2)


def test_the_profile_of_the_score_has_the_value_of_the_score(tmp_path):
    scores = run(tmp_path, None, two_spellings(), metrics=("rougeL",))
    for system in ("base", "hasty"):
        score = find(scores["scores"], system=system, metric="rougeL")
        (cell,) = [c for c in scores["sensitivity"]["cells"] if (c["profile"], c["system"]) == ("arabic", system)]
        assert [cell["score"][name] for name in ("value", "low", "high")] == [
            score[x] for x in ("value", "low", "high")
        ]


def test_verdicts_have_a_key_each():
    texts = {"a": SENTENCES, "b": [" ".join(text.split()[:3]) for text in SENTENCES]}
    references = [[text] for text in SENTENCES]
    same, none = (
        sensitivity(some, references, metrics=("rouge1",)).findings()[0] for some in (texts, {"a": SENTENCES})
    )
    assert same == {"metric": "rouge1", "key": "same", "tau": 1.0, "turns": 0, "certain": 0}
    assert none == {"metric": "rouge1", "key": "none", "tau": None, "turns": 0, "certain": 0}
    bare = [text.replace("أ", "ا").replace("إ", "ا") for text in SENTENCES]
    tied = sensitivity({"a": SENTENCES, "b": bare}, references, metrics=("rougeL",)).findings()[0]
    assert (tied["key"], tied["turns"], tied["certain"]) == ("noise", 1, 0)
    assert {same["key"], none["key"], tied["key"], "moves"} == set(KEYS)


def test_one_system_or_no_overlap_metric_has_no_sensitivity(tmp_path):
    table, systems = pair(8)
    assert run(tmp_path, table, {"base": systems["base"]}, metrics=("rougeL",))["sensitivity"] is None
    assert run(tmp_path, table, systems, metrics=("exact", "bits_per_byte"))["sensitivity"] is None


# --- judges ----------------------------------------------------------------------------------------------------------


def test_a_null_of_the_judge_is_counted_and_leaves_the_comparison_for_that_item_alone(tmp_path):
    table = prompts(8)
    base = judged(table, "base", [3, None, None, 3, 3, 3, 3, None], {1: "ambiguous: 2 and 4", 2: "no verdict: x"})
    tuned = judged(table, "tuned", [None, 5, 5, 4, 4, 4, 4, 4], {0: "not asked: no variety was asked for"})
    scores = run(tmp_path, table, {"base": [base], "tuned": [tuned]}, metrics=(FLUENCY, "rougeL"))
    reasons = {"ambiguous": 1, "no judge read it": 1, "no verdict": 1}
    same = {"metric": "judge_fluency"}
    assert [note for note in scores["notes"] if note["code"] in ("unjudged", "not_asked")] == [
        {"code": "unjudged", "system": "base", **same, "n": 3, "reasons": reasons},
        {"code": "not_asked", "system": "tuned", **same, "n": 1, "reasons": {"not asked": 1}},
    ]
    one = find(scores["comparisons"], metric="judge_fluency")
    assert (one["n"], one["difference"], one["wins"]) == (4, 1.0, 4)
    assert find(scores["scores"], system="base", metric="judge_fluency")["n"] == 5
    assert find(scores["comparisons"], metric="rougeL")["n"] == scores["items"] == 8
    samples = pq.read_table(tmp_path / "evaluation" / "samples.parquet")
    assert samples["judge_fluency"].null_count == 4 and samples.num_rows == 16


def test_a_judge_that_read_nothing_of_a_system_is_counted_and_has_no_score(tmp_path):
    table = prompts(4)
    systems = {"base": [judged(table, "base", [3] * 4, {})], "tuned": [answered(table, "tuned", wrong(4))]}
    scores = run(tmp_path, table, systems, metrics=(FLUENCY,))
    note = {"code": "unjudged", "system": "tuned", "metric": "judge_fluency", "n": 4}
    assert {**note, "reasons": {"no judge read it": 4}} in scores["notes"]
    assert {entry["system"] for entry in scores["scores"]} == {"base"} and scores["comparisons"] == []


# --- what can be seen with so many clusters --------------------------------------------------------------------------


def test_least_p_is_the_p_of_a_difference_that_nothing_exceeds(tmp_path):
    for groups in (1, 2, 5, 6, 14, 40):
        table, systems = pair(4 * groups)
        names = [f"g{place % groups}" for place in range(4 * groups)]
        systems = {
            system: [tables[0].set_column(tables[0].column_names.index("group"), "group", pa.array(names))]
            for system, tables in systems.items()
        }
        one = find(run(tmp_path, table, systems, metrics=("exact",))["comparisons"], metric="exact")
        assert (one["groups"], one["difference"], one["p"]) == (groups, 1.0, pytest.approx(one["least_p"], rel=1e-12))
        assert (one["least_p"] >= 0.05) == (groups <= 5)


def test_no_difference_goes_below_least_p(tmp_path):
    draw = np.random.default_rng(3)
    table, systems = pair(15)
    least = find(run(tmp_path, table, systems, metrics=("exact",))["comparisons"], metric="exact")["least_p"]
    assert least == 1 / 10_001
    assert min(compare(draw.normal(size=15) + 9, draw.normal(size=15), seed=seed).p for seed in range(20)) >= least


# --- absent ----------------------------------------------------------------------------------------------------------


def test_systems_that_were_not_run_are_told(tmp_path):
    table, systems = pair()
    absent = [{"label": "a large model", "model": "owner/name", "why": "no model at hand"}]
    assert run(tmp_path, table, systems, absent=absent)["absent"] == absent
    assert run(tmp_path, table, systems)["absent"] == []


@pytest.mark.parametrize(
    ("absent", "match"),
    [
        ({"label": "x", "model": "y"}, "absent: expected label, model, why, got .*Say why"),
        ({"label": "x", "model": "y", "why": ""}, "absent: expected label, model, why, got .*Say why"),
        ({"label": "tuned", "model": "y", "why": "z"}, "expected systems that were not run, got 'tuned'"),
    ],
)
def test_an_absent_system_needs_a_reason_and_a_label_of_its_own(tmp_path, absent, match):
    table, systems = pair()
    with pytest.raises(MashqError, match=match):
        run(tmp_path, table, systems, absent=[absent])
