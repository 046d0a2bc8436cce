import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from verbs import run

from mashq import cli, steps
from mashq.engine import Engine
from mashq.rows import id_hex
from mashq.run import Store, read_rows

RECIPE = str(Path(__file__).parent / "data" / "counting.py")


@pytest.mark.parametrize("verb", list(cli.verbs.commands))
def test_every_verb_has_an_example_in_its_help(capsys, verb):
    code, out, _ = run(capsys, verb, "--help")
    assert code == 0
    assert f"Example: mashq {verb}" in out


def test_importing_mashq_and_asking_for_help_loads_nothing_heavy():
    heavy = "torch, transformers, daft, pyarrow, numpy, matplotlib"
    check = f"import sys, mashq, mashq.cli; print([m for m in '{heavy}'.split(', ') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert "torch" not in shown.stdout
    assert "transformers" not in shown.stdout
    assert "daft" not in shown.stdout
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import mashq"], check=True)
    assert time.perf_counter() - start < 0.5


def test_a_step_of_an_own_recipe_is_made_and_shown(capsys, tmp_path):
    runs = str(tmp_path)
    code, out, err = run(capsys, "make", f"{RECIPE}/even", "--set", "numbers=1400", "--runs", runs, "--workers", "1")
    assert (code, err) == (0, "")
    assert "made even@" in out
    assert "in 2,800 + made 0 = kept 1,400 + dropped 1,400" in out
    assert run(capsys, "show", "even", "-n", "2", "--runs", runs)[1].count("  kept") == 2
    assert "dropped: odd: 1 % 2 = 1" in run(capsys, "show", "even", "--dropped", "--runs", runs)[1]
    row = next(read_rows(next(tmp_path.glob("steps/even@*"))))["id"][0].as_py()
    assert "numbers@" in run(capsys, "show", id_hex(row)[:12], "--runs", runs)[1]


def test_a_prompt_of_columns_is_shown_with_its_raw_record(capsys, tmp_path):
    file, runs = tmp_path / "arsarcasm_v2.parquet", tmp_path / "runs"
    record = {"tweet": 'جو جميل "جدا"', "sarcasm": "FALSE", "sentiment": "POS", "dialect": "gulf"}
    pq.write_table(pa.Table.from_pylist([{**record, "tweet": "آخر"}, record]), file)
    made = Store(runs, Engine("local", 1)).make(steps.prompts_of_columns("prompts", {"arsarcasm_v2": file}))
    prompt = next(read_rows(made.folder)).to_pylist()[-1]
    code, out, err = run(capsys, "show", id_hex(prompt["id"])[:12], "--runs", str(runs))
    assert (code, err) == (0, "")
    raw_id = id_hex(prompt["parents"][0])
    assert out.startswith(f"{made.folder.name} < arsarcasm_v2.parquet row 2  {raw_id}  read in its file\n")
    fields = '{"tweet":"جو جميل \\"جدا\\"","sarcasm":"FALSE","sentiment":"POS","dialect":"gulf"}'
    assert f"  fields     {fields}\n" in out
    assert f"\n{made.folder.name}  {id_hex(prompt['id'])}  kept\n" in out
    assert run(capsys, "show", raw_id[:12], "--runs", str(runs))[1].startswith(out.split("\n\n")[0])
    file.unlink()
    code, out, err = run(capsys, "show", id_hex(prompt["id"])[:12], "--runs", str(runs))
    assert (code, err) == (0, "")
    assert f"{raw_id}  lacking: {file}: expected the Parquet file that the step read, got no file." in out
    assert f"\n{made.folder.name}  {id_hex(prompt['id'])}  kept\n" in out


def test_dry_run_makes_nothing(capsys, tmp_path):
    code, out, _ = run(capsys, "make", RECIPE, "--dry-run", "--runs", str(tmp_path))
    assert code == 0
    assert out.count("would be made") == 4
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["mak", "x"], 2, "Did you mean"),
        (["make", RECIPE, "--nosuch"], 2, "--nosuch"),
        (["make", "quickstat", "--dry-run"], 1, "Did you mean 'quickstart'?"),
        (["make", "none.py"], 1, "there is no recipe file none.py"),
        (["make", f"{RECIPE}/evn"], 1, "has no step 'evn' (numbers, twice, even, pairs). Did you mean 'even'?"),
        (["make", RECIPE, "--set", "number=3"], 1, "unknown setting 'number'. Did you mean 'numbers'?"),
        (["make", RECIPE, "--set", "numbers=many"], 1, "expected `int`, got `str`"),
        (["make", RECIPE, "--size", "lage"], 1, "has no size 'lage' (small, large). Did you mean 'large'?"),
        (["show", "nosuchstep"], 1, "there is no step 'nosuchstep'"),
        (["show", "ffffffff"], 1, "no row in"),
        (["report"], 1, "expected one or more runs"),
        (["report", "nosuch"], 1, "there is no run 'nosuch'"),
        (["new", "recipe", "a b"], 1, "expected a name of letters"),
        (["templates", "arcx"], 1, "no data set 'arcx' in the library, and no such file. Did you mean 'arcd'?"),
        (["templates", "arcd/anser"], 1, "Did you mean 'answer'?"),
        (["templates", "--variety", "egyptain"], 1, "Did you mean 'egyptian'?"),
        (["templates", "arcd", "--row", "1"], 1, "expected NAME/TEMPLATE"),
        (["templates", "arcd/ask", "--row", "9"], 1, "--row: expected 1 to 2, got 9"),
    ],
)
def test_wrong_words_get_one_clear_line_and_no_traceback(capsys, tmp_path, monkeypatch, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    got, out, err = run(capsys, *arguments)
    assert got == code
    assert said in err
    assert "Traceback" not in out + err
    assert not list(tmp_path.glob("runs/steps/*@*/manifest.json"))


def test_a_bug_in_a_recipe_names_the_file_with_its_traceback(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "make", RECIPE, "--set", "fault=bug", "--workers", "1")
    assert code == 3
    assert "ZeroDivisionError: in a recipe" in err
    assert "Traceback" not in err
    assert "in twice" in next(tmp_path.glob("mashq-error-*.txt")).read_text()


def test_ctrl_c_leaves_a_run_that_goes_on(tmp_path):
    command = [sys.executable, "-m", "mashq.cli", "make", f"{RECIPE}/twice", "--set", "pause_s=0.4", "--workers", "1"]
    command += ["--runs", str(tmp_path)]
    listening = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # a shell's `&` ignores Ctrl-C
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **listening)
    end = time.monotonic() + 30
    while not list(tmp_path.glob("steps/twice@*/.progress/part-00000*.json")):
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "the same command goes on where it stopped" in err
    assert "resuming twice@" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_new_recipe_runs_as_it_is(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "new", "recipe", "mine")[0] == 0
    code, out, err = run(capsys, "make", "./mine.py/filtered", "--workers", "1")
    assert (code, err) == (0, "")
    assert "kept 2 + dropped 1" in out
    assert "is there already" in run(capsys, "new", "recipe", "mine")[2]


def test_templates_are_listed_shown_and_written_as_a_page(capsys, tmp_path):
    code, out, err = run(capsys, "templates", "--task", "question-generation", "--licence", "MIT", "--search", "جوابه")
    assert (code, err) == (0, "")
    assert "1 of 4 templates" in out
    assert "Arabic Reading Comprehension" in out
    assert "fields      id: string" in run(capsys, "templates", "arcd")[1]
    assert "اكتب سؤالًا" in run(capsys, "templates", "arcd/ask")[1]
    assert not set("\u2066\u2067\u2068\u2069") & set(run(capsys, "templates", "arcd/ask")[1])
    assert "\u2067اكتب سؤالًا" in run(capsys, "templates", "arcd/ask", "--bidi", "on")[1]
    assert "data sets: 1, templates: 4," in run(capsys, "templates", "arcd", "--html", str(tmp_path / "arcd.html"))[1]
    assert "اكتب سؤالًا" in (tmp_path / "arcd.html").read_text("utf-8")


def test_doctor_says_what_is_missing_and_never_a_key(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MASHQ_API_KEY", "sk-very-secret")
    monkeypatch.setenv("MASHQ_DATA", str(tmp_path / "nowhere"))
    code, out, _ = run(capsys, "doctor", "--runs", str(tmp_path))
    assert code == 0
    assert "MASHQ_API_KEY set" in out
    assert "very-secret" not in out
    assert "MASHQ_DATA: there is no folder" in out


def test_a_text_is_translated_and_judged_sentence_by_sentence(capsys, tmp_path):
    words = ("translate", "It closes at 5. Ask Mr. Salim!", "--with", "transliterate", "--scorer", "")
    code, out, _ = run(capsys, *words, "--runs", str(tmp_path))
    assert code == 0
    assert "sentence 2 of 2" in out and "    Ask Mr. Salim!" in out
    assert out.endswith("every sentence passes.\n")
    code, out, _ = run(
        capsys, "translate", "It closes at noon.", "--with", "copy", "--scorer", "", "--runs", str(tmp_path)
    )
    assert "untranslated: 2 of 2 words" in out and "1 of 1 sentences fail." in out
    code, _, err = run(capsys, "translate", "It closes.", "--with", "opus", "--runs", str(tmp_path))
    assert (code, "translation engine 'opus': there is no such folder" in err) == (1, True)


def test_a_threshold_of_a_paper_needs_its_scorer(capsys, tmp_path):
    words = ("translate", "It closes.", "--with", "transliterate", "--runs", str(tmp_path), "--threshold", "0.7")
    code, _, err = run(capsys, *words, "--scorer", "")
    assert code == 1 and "threshold 0.7 belongs to a scorer, and none is named" in err


def test_scorers_are_calibrated_on_ones_own_pairs(capsys, tmp_path):
    rooms = [(f"Room {n} has {n + 2} doors and a lamp.", f"في الغرفة {n} {n + 2} أبواب ومصباح.") for n in range(40)]
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("en\tar\n" + "".join(f"{en}\t{ar}\n" for en, ar in rooms), "utf-8")
    out = tmp_path / "made"
    code, said, err = run(
        capsys, "calibrate", str(pairs), "--scorer", "numbers", "--scorer", "length", "--out", str(out)
    )
    assert code == 0, err
    assert "changed_number" in (out / "report.md").read_text("utf-8")
    assert "identity" in (out / "calibration.yaml").read_text("utf-8")
    assert str(out / "report.md") in said
