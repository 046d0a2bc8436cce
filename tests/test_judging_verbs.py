import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import verbs


@pytest.fixture
def evaluation(tmp_path):
    """The folder of an evaluation of two systems on three prompts."""
    folder = tmp_path / "gain"
    folder.mkdir()
    prompts = ["اكتب قصة عن صياد.", "اكتب قصة عن طبيبة.", "اكتب قصة عن معلم."]
    reply = "خرج {} مبكرًا. وصل إلى عمله قبل الجميع. وفي المساء عاد إلى بيته مسرورًا."
    lines = [
        {
            **{"id": f"{place}{system}", "item": f"{place}", "system": system, "prompt": prompt, "variety": "msa"},
            **{"reply": reply.format(prompt.split()[-1]), "reference": prompt, "task": "story", "source": "s"},
            "group": f"{place}",
        }
        for place, prompt in enumerate(prompts)
        for system in ("before", "after")
    ]
    pq.write_table(pa.Table.from_pylist(lines), folder / "samples.parquet")
    systems = [{"name": "before", "model": "toy-llama"}, {"name": "after", "model": "toy-llama"}]
    (folder / "scores.json").write_text(json.dumps({"systems": systems, "baseline": "before"}), "utf-8")
    return folder


def test_judge_prints_a_line_a_score_and_where_the_rest_is(evaluation, tmp_path, capsys):
    said = json.dumps(dict.fromkeys(("fluency", "coherence", "following_instructions", "consistency", "variety"), 4))
    script = tmp_path / "replies.jsonl"
    script.write_text(f"{json.dumps(said)}\n" * 6, "utf-8")
    out = tmp_path / "judged"
    code, told, _ = verbs.run(capsys, "judge", str(evaluation), "--model", f"scripted:{script}", "--out", str(out))
    assert code == 0
    assert told.count("criterion fluency") == 2 and "value 4.0" in told and str(out) in told
    assert (out / "judged.json").is_file() and (out / "judged.parquet").is_file()


def test_card_says_its_requests_first_and_that_nothing_could_be_read(evaluation, tmp_path, capsys):
    out = tmp_path / "card"
    code, told, _ = verbs.run(capsys, "judge", str(evaluation), "--model", "echo", "--card", "--out", str(out))
    assert code == 0
    assert told.startswith("the card takes ") and " requests" in told.splitlines()[0]
    card = json.loads((out / "judge_card.json").read_text("utf-8"))
    assert card["requests"] == int(told.split()[3].replace(",", ""))
    assert (out / "judge_card.ar.md").read_text("utf-8").startswith("# بطاقة الحَكَم")
    assert any(one["probe"] == "unparsed" or "unread" in one["en"] for one in card["conclusions"])


def test_what_is_no_evaluation_is_named(tmp_path, capsys):
    (tmp_path / "x.json").write_text("[]", "utf-8")
    code, _, error = verbs.run(capsys, "judge", str(tmp_path / "x.json"), "--model", "echo")
    assert code == 1 and "expected" in error
