import json
import os
import re
import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import verbs

from mashq.rating.begin import Wanted, study_at
from mashq.record import evaluation_of, find_evaluation
from mashq.rows import MashqError

DOCS = Path(__file__).parent.parent / "docs" / "how-to"


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
    assert "before: fluency 4.00" in told and "after: variety 4.00" in told and str(out) in told
    assert "(3 replies)" in told
    assert (out / "judged.json").is_file() and (out / "judged.parquet").is_file()


@pytest.mark.parametrize("how", [(), ("--pairwise",), ("--card",)])
def test_nothing_is_asked_for_a_folder_that_cannot_be_written(evaluation, tmp_path, capsys, monkeypatch, how):
    monkeypatch.setattr("mashq.judge.run.open_judge", None)
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "x"):
        code, _, err = verbs.run(capsys, "judge", str(evaluation), "--model", "echo", *how, "--out", str(out))
        assert code == 1 and f"judge: {out}: expected a folder that can be written to, got" in err


def test_card_says_its_requests_first_and_that_nothing_could_be_read(evaluation, tmp_path, capsys):
    out = tmp_path / "card"
    code, told, _ = verbs.run(capsys, "judge", str(evaluation), "--model", "echo", "--card", "--out", str(out))
    assert code == 0
    assert told.startswith("the card takes ") and told.splitlines()[0].endswith(" requests, on 6 of 6 replies")
    assert "\nBeware:\n  " in told and str(out / "judge_card.md") in told
    card = json.loads((out / "judge_card.json").read_text("utf-8"))
    assert card["requests"] == int(told.split()[3].replace(",", ""))
    assert (out / "judge_card.ar.md").read_text("utf-8").startswith("# بطاقة الحَكَم")
    assert any(one["probe"] == "unparsed" or "unread" in one["en"] for one in card["conclusions"])


def test_card_draws_whole_items_where_fewer_replies_are_asked_for(evaluation, tmp_path, capsys):
    asked = ("judge", str(evaluation), "--model", "echo", "--card", "--out", str(tmp_path / "card"))
    _, told, _ = verbs.run(capsys, *asked, "--replies", "4")
    assert "on 4 of 6 replies" in told
    code, _, error = verbs.run(capsys, *asked, "--replies", "1")
    assert code == 1 and "--replies: expected 2 or more" in error


def test_pairs_are_told_in_lines_and_lie_in_pages(evaluation, tmp_path, capsys):
    out = tmp_path / "pairs"
    said = json.dumps(dict.fromkeys(("overall", "fluency", "coherence", "following_instructions"), "first"))
    script = tmp_path / "replies.jsonl"
    script.write_text(f"{json.dumps(said)}\n" * 6, "utf-8")
    asked = ("judge", str(evaluation), "--model", f"scripted:{script}", "--out", str(out))
    code, told, _ = verbs.run(capsys, *asked, "--pairwise")
    assert code == 0
    assert "Which of after and before is better overall cannot be told from these pairs." in told
    assert "overall: wins 50% [" in told and "tied 0, lost 0, changed with the order 3, unread 0" in told
    assert {"pairs.md", "pairs.ar.md", "pairs.json", "pairs.parquet"} <= {path.name for path in out.iterdir()}
    code, _, error = verbs.run(capsys, *asked, "--pairwise", "--card")
    assert code == 1 and "expected --pairwise or --card, got both" in error


# --- what RUN means ---------------------------------------------------------------------------------------------------


@pytest.fixture
def runs(evaluation, tmp_path, monkeypatch):
    """A folder with `runs` as `mashq make stories` leaves it: records named by a hash, two evaluations in each."""
    root = tmp_path / "work" / "runs"
    for number, record in enumerate(("0a1b2c3d", "fc777bd8")):
        steps = [("gain", f"a9{number}"), ("obeyed", f"02{number}")]
        for name, fingerprint in steps:
            folder = root / "steps" / f"{name}@{fingerprint}"
            folder.mkdir(parents=True)
            (folder / "samples.parquet").write_bytes((evaluation / "samples.parquet").read_bytes())
            scores = json.loads((evaluation / "scores.json").read_text("utf-8")) | {"scores": []}
            (folder / "scores.json").write_text(json.dumps(scores), "utf-8")
            (folder / "manifest.json").write_text(json.dumps({"produces": "evaluation"}), "utf-8")
        told = [{"name": name, "folder": f"steps/{name}@{print_}", "fingerprint": print_} for name, print_ in steps]
        (root / "stories").mkdir(exist_ok=True)
        path = root / "stories" / f"{record}.json"
        path.write_text(json.dumps({"recipe": "stories", "name": record, "steps": told}), "utf-8")
        os.utime(path, (number, number))
    (root / "stories" / "fc777bd8").mkdir()  # its report
    monkeypatch.chdir(root.parent)
    return Path("runs")


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        (["stories"], "steps/gain@a91"),
        (["stories/0a1b2c3d"], "steps/gain@a90"),
        (["runs/stories/0a1b2c3d.json"], "steps/gain@a90"),
        (["runs/stories/fc777bd8"], "steps/gain@a91"),
        (["stories", "obeyed"], "steps/obeyed@021"),
        (["obeyed@020"], "steps/obeyed@020"),
        (["runs/steps/obeyed@020"], "steps/obeyed@020"),
        (["runs/steps/gain@a90/samples.parquet"], "steps/gain@a90"),
    ],
)
def test_an_evaluation_is_found_by_its_run_its_step_or_its_path(runs, named, meant):
    said = []
    found = find_evaluation(runs, *named, say=said.append)
    assert found.resolve() == (runs / meant / "samples.parquet").resolve()
    assert said == [] if Path(named[0]).exists() and "@" in named[0] else len(said) == 1


@pytest.mark.parametrize(("chosen", "meant"), [("", "gain@a91"), ("obeyed", "obeyed@021")])
def test_people_rate_the_same_evaluation_of_a_run_as_a_judge_does(runs, capsys, chosen, meant):
    study = study_at("stories", runs, Wanted(evaluation=chosen))
    assert study.name == meant
    assert f"evaluation '{meant.partition('@')[0]}' of runs/stories/fc777bd8.json" in capsys.readouterr().out


def test_which_evaluation_of_a_run_was_taken_is_said(runs):
    said = []
    find_evaluation(runs, "stories", say=said.append)
    assert said == ["evaluation 'gain' of runs/stories/fc777bd8.json; others: obeyed (--evaluation NAME)"]


@pytest.mark.parametrize(
    ("named", "told"),
    [
        (["stories", "nosuch"], r"stories/fc777bd8.json: expected the evaluation 'nosuch', got gain, obeyed"),
        (["nosuch"], r"'nosuch': expected a run or the name, .* got none: there is no run 'nosuch' .*[(]stories[)]\.$"),
        (["runs/steps/gain@a90", "obeyed"], r"--evaluation obeyed: expected a run to choose it from, got samples"),
    ],
)
def test_an_evaluation_that_is_none_is_named(runs, named, told):
    with pytest.raises(MashqError, match=told):
        find_evaluation(runs, *named)


def test_of_several_evaluations_of_which_none_is_gain_one_must_be_chosen(runs):
    record = runs / "stories" / "fc777bd8.json"
    told = json.loads(record.read_text("utf-8"))
    told["steps"][0]["name"] = "students"
    record.write_text(json.dumps(told), "utf-8")
    with pytest.raises(
        MashqError, match=r"expected one evaluation, or one called 'gain', got students, obeyed\. Choose"
    ):
        evaluation_of(record)
    told["steps"] = told["steps"][:1]
    record.write_text(json.dumps(told), "utf-8")
    step, others = evaluation_of(record)
    assert (step.name, others) == ("students", ())


def commands(text: str) -> list[list[str]]:
    """The arguments of each `mashq judge` in a text, with a model that is at hand in place of a server."""
    found = re.findall(r"mashq (judge (?!--)[^`\n]+)", text)
    return [shlex.split(re.sub(r"--model \S+", "--model echo", one)) for one in found]


def test_every_command_of_the_how_to_and_of_the_help_works_as_written(runs, capsys):
    _, text, _ = verbs.run(capsys, "judge", "--help")
    asked = commands((DOCS / "judge.md").read_text("utf-8")) + commands(
        text.partition("Example: ")[2].partition("\n\n")[0]
    )
    assert len(asked) >= 5
    for arguments in asked:
        code, _, error = verbs.run(capsys, *arguments)
        assert code == 0, f"{shlex.join(arguments)}: {error}"


def test_what_is_no_evaluation_is_named(tmp_path, capsys):
    (tmp_path / "x.json").write_text("[]", "utf-8")
    code, _, error = verbs.run(capsys, "judge", str(tmp_path / "x.json"), "--model", "echo")
    assert code == 1 and "expected" in error
