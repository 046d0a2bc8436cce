"""Seed tasks, fields of replies, and what the writers of tasks, requests and answers keep and refuse."""

import dataclasses
import json
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq import arabic, persona_requests, rows, tasks
from mashq.engine import Engine
from mashq.instructions import Evolve, SelfInstruct, parents_of, seed_parents, wanted_evolved, wanted_tasks
from mashq.labelled import MOST_CHARACTERS, Unreadable, fields_of, sound_text
from mashq.persona_requests import Answers, PersonaRequests, personas, wanted_answers, wanted_requests
from mashq.recipes import instructions as recipe
from mashq.rows import MashqError
from mashq.run import Store, read_rows
from mashq.synthesis import Asked, Wanted
from mashq.synthesis_step import WriterSettings
from mashq.tasks import Known, Task, TaskLimits, like, seeds, task_faults, text_faults, wordings
from mashq.word_patterns import folded_lower as fold

LABELS = {name: wordings()["labels"][name] for name in ("instruction", "input", "output")}
GOOD = """التعليمة: اذكر ثلاثة أشياء يحملها المتنزّه معه في رحلة إلى الجبل.
المدخل: لا يوجد
الناتج: ماء يكفي اليوم كله، وسترة خفيفة، وصفّارة يُسمع صوتها من بعيد."""
WANTED = wanted_tasks(1, categories=["ideas"])[0]


def reply(instruction, output, given="لا يوجد"):
    return f"التعليمة: {instruction}\nالمدخل: {given}\nالناتج: {output}"


def reason(text, writer=None, wanted=WANTED):
    return (writer or SelfInstruct()).read(wanted, 0, text).reason


# --- seeds -----------------------------------------------------------------------------------------------------------


def test_seeds_are_many_and_even_over_categories():
    counts = Counter(seed.category for seed in seeds())
    assert len(seeds()) >= 120
    assert set(counts) == set(wordings()["categories"])
    assert set(counts.values()) == {6}
    assert {seed.variety for seed in seeds()} == set(wordings()["varieties"])


def test_no_seed_has_a_fault_beside_the_others():
    for place, seed in enumerate(seeds()):
        others = Known([*seeds()[:place], *seeds()[place + 1 :]])
        assert [fault for fault in task_faults(seed, TaskLimits(), others).values() if fault] == [], seed.instruction


def test_no_two_seeds_ask_in_nearly_the_same_words():
    instructions = [seed.instruction for seed in seeds()]
    assert max(like(one, instructions[:place]) for place, one in enumerate(instructions) if place) < 0.7
    assert len({fold(seed.prompt) for seed in seeds()}) == len(seeds())


def test_latin_letters_stand_in_terms_alone_and_every_text_is_clean():
    for seed in seeds():
        whole = f"{seed.instruction}\n{seed.input}\n{seed.output}"
        assert seed.category == "terms" or not re.search("[A-Za-z]", whole), seed.instruction
        assert arabic.normalise(whole, ("nfc", "bidi", "zero_width", "tatweel", "spaces")) == whole, seed.instruction
        assert not re.search(r" [،؛؟:.!]", whole.replace("لم …", "")), seed.instruction


def test_sums_in_seeds_are_right():
    signs = str.maketrans({"×": "*", "÷": "/"})
    found = [
        match for seed in seeds() for match in re.findall(r"(\d+(?: [×÷+-] \d+)+) = (\d+)", seed.output)
    ]  # fmt: skip
    assert len(found) >= 9
    for sum_, result in found:
        assert eval(sum_.translate(signs)) == int(result), sum_


@pytest.mark.parametrize(
    "text, error",
    [
        ("tasks: []", "expected `tasks:` with a list of tasks, got list"),
        ("- a", "expected `tasks:` with a list of tasks, got NoneType"),
        ("tasks: [1]", "task 1: expected an object of instruction, output"),
        ("tasks: [{instruction: اكتب, outptu: نص}]", "no field 'outptu' .* Did you mean 'output'"),
        ("tasks: [{instruction: اكتب, output: 5}]", "output: expected a text, got 5. Put numbers in quotes"),
        ("tasks: [{instruction: اكتب}]", "expected the field 'output', got only instruction"),
        ("tasks: [{instruction: اكتب, output: نص, category: letters}]", "no category 'letters' .* 'letter'"),
        ("tasks: [{instruction: اكتب, output: نص, variety: egyptan}]", "no variety 'egyptan' .* 'egyptian'"),
        ("tasks: [", "not readable as YAML"),
    ],
)
def test_a_broken_file_of_seeds_is_one_error(tmp_path, text, error):
    file = tmp_path / "seeds.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(MashqError, match=error):
        seeds(file)


# --- fields of a reply -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"<think>أفكر في مهمة</think>\n\nبالتأكيد! إليك المهمة:\n\n{GOOD}",
        f"```\n{GOOD}\n```",
        re.sub(r"^(\w+):", r"**\1:**", GOOD, flags=re.M),
        re.sub(r"^(\w+):", r"## \1:", GOOD, flags=re.M),
        re.sub(r"^(\w+):", r"- **\1**:", GOOD, flags=re.M),
        f"{GOOD}\n\n---\n\n{GOOD}",
        f"{GOOD}\n\nالتعليمة: مهمة أخرى",
        GOOD.replace("\n", "\r\n"),
    ],
)
def test_labelled_fields_are_read_whatever_stands_around_them(text):
    found = fields_of(text, LABELS, ("instruction", "output"))
    assert found["instruction"] == "اذكر ثلاثة أشياء يحملها المتنزّه معه في رحلة إلى الجبل."
    assert found["output"].startswith("ماء يكفي") and found["output"].endswith("من بعيد.")


def test_json_is_read_by_arabic_and_english_keys():
    arabic_keys = {"التعليمة": "اكتب جملة", "المدخل": None, "الناتج": ["سطر", "سطر آخر"]}
    found = fields_of(f"إليك:\n```json\n{json.dumps(arabic_keys)}\n```", LABELS, ("instruction", "output"))
    assert found == {"instruction": "اكتب جملة", "output": "سطر\nسطر آخر"}
    english_keys = {"Instruction": "اكتب جملة", "input": "", "output": 7}
    assert fields_of(json.dumps(english_keys), LABELS, ("instruction",)) == {"instruction": "اكتب جملة", "output": "7"}


def test_the_first_field_needs_no_label_where_the_prompt_ended_with_it():
    text = " اكتب جملة.\nالناتج: جملة.\nالتعليمة: أخرى\nالناتج: أخرى"
    found = fields_of(text, LABELS, ("instruction", "output"), first="instruction")
    assert found == {"instruction": "اكتب جملة.", "output": "جملة."}
    assert fields_of(GOOD, LABELS, ("output",), first="instruction")["instruction"].startswith("اذكر ثلاثة")


def test_another_word_for_a_label_inside_a_field_is_text():
    found = fields_of("التعليمة: احسب ٢ + ٢\nالناتج: نجمع العددين.\nالإجابة: ٤", LABELS, ("output",))
    assert found["output"] == "نجمع العددين.\nالإجابة: ٤"


@pytest.mark.parametrize(
    "text, error",
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("التعليمة: اكتب", "unreadable: no field «الناتج»"),
        ("كلام لا حقول فيه", "unreadable: no field «التعليمة»"),
        ('{"instruction": {"a": 1}, "output": "نص"}', "unreadable: no field «التعليمة»"),
        ("<think>أفكر ثم", "unreadable: a thought without an end"),
        (GOOD + "\x00", "not text: U\\+0000"),
        (GOOD + "\ud800", "not text: U\\+D800"),
        (GOOD + "\ufffd", "not text: U\\+FFFD"),
        ('{"instruction": "\\ud800", "output": "نص"}', "not text: U\\+D800"),
        ("س" * (MOST_CHARACTERS + 1), "long: 40,001 characters > 40,000"),
        ("{" * 30_000, "unreadable: no field"),
        ('{"a":' * 6_000, "unreadable: no field"),
    ],
)
def test_what_cannot_be_read_says_why(text, error):
    with pytest.raises(Unreadable, match=error):
        fields_of(text, LABELS, ("instruction", "output"))


WILD = st.text(st.characters(), max_size=200) | st.lists(
    st.sampled_from(["التعليمة:", "الناتج:", "السؤال:", "الجواب:", "الطلب:", "{", "}", '"output":', "\n", "**", "---"])
    | st.text(max_size=20),
    max_size=20,
).map("".join)
REQUEST = wanted_requests(1)[0]
ANSWER = Wanted("answer/1", {"turns": [{"role": "user", "content": "كيف أطوي قميصًا؟"}], "task": "request"})
EVOLVED = wanted_evolved(seed_parents(), 6)
WRITERS = [
    *((SelfInstruct(style=style), WANTED) for style in tasks.STYLES),
    *((Evolve(style=style), EVOLVED[0]) for style in tasks.STYLES),
    *((PersonaRequests(style=style), REQUEST) for style in tasks.STYLES),
    *((Answers(style=style), ANSWER) for style in tasks.STYLES),
]


@settings(max_examples=150, deadline=None)
@given(WILD | WILD.map(lambda text: reply(text, text)))
def test_no_reply_makes_a_writer_raise_and_equal_replies_give_equal_drafts(text):
    for writer, wanted in WRITERS:
        made = writer.read(wanted, 0, text)
        assert made == writer.read(wanted, 0, text)
        assert 0 <= made.score <= 1
        assert made.reason is None or made.reason
        if made.reason is None:
            json.dumps(made.fields).encode()


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters()))
def test_sound_text_holds_no_control_character(text):
    try:
        found = sound_text(text)
    except Unreadable:
        return
    assert found and found.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f]", found)


# --- what a task is dropped for --------------------------------------------------------------------------------------


def test_a_good_task_is_kept_as_prompt_and_reference():
    made = SelfInstruct().read(WANTED, 0, GOOD)
    assert (made.reason, made.score, made.mend) == (None, 1.0, None)
    assert set(made.checks.values()) == {None} and {"refusal", "like", "output"} <= set(made.checks)
    assert made.fields["messages"] == [
        {"role": "user", "content": "اذكر ثلاثة أشياء يحملها المتنزّه معه في رحلة إلى الجبل."}
    ]
    assert made.fields["references"] == ["ماء يكفي اليوم كله، وسترة خفيفة، وصفّارة يُسمع صوتها من بعيد."]
    assert made.fields["task"] == "ideas"
    assert made.opening == "اذكر ثلاثة"


def test_the_input_follows_the_instruction_after_an_empty_line():
    made = SelfInstruct().read(WANTED, 0, reply("اذكر مرادف الكلمة المعطاة هنا.", "سعيد", "مسرور"))
    assert made.fields["messages"][0]["content"] == "اذكر مرادف الكلمة المعطاة هنا.\n\nمسرور"


ADVICE = "اقترح حلًّا لمن يشكو من صداع بعد يوم عمل طويل."


@pytest.mark.parametrize(
    "instruction, output, given, error",
    [
        ("اكتب", "نص قصير", "", "short: 1 words of the instruction < 3"),
        ("اكتب عن كلمة " + " ".join(f"كلمة{n}" for n in range(150)), "نص", "", r"long: 153 words of the instr.* > 150"),
        ("صف لنا يومك في السوق.", " ".join(f"كلمة{n}" for n in range(601)), "", "long: 601 words of the output > 600"),
        ("صف لنا يومك في السوق.", "؟!", "", "empty: the output has no word"),
        ("صف لنا يومك في السوق.", "I went to the market and came back.", "", "not Arabic: 0.00 .* output < 0.6"),
        ("Describe your day at the market.", "ذهبت إلى السوق.", "", "not Arabic: 0.00 .* instruction < 0.6"),
        ("صف لنا يومك في السوق.", "عذرًا، لا أستطيع المساعدة في هذا الطلب.", "", "refusal: "),
        ("صف لنا يومك في السوق.", "بصفتي نموذجًا لغويًا ليس لي يوم في السوق.", "", "refusal: "),
        ("صف ما تراه في الصورة المرفقة.", "أرى بيتًا.", "", "cannot be seen: «في الصوره»"),
        ("لخّص المقال من https://example.com الآن.", "مقال عن الماء.", "", "cannot be seen: «https://»"),
        ("ارسم لوحة لقطّ نائم.", "هذا قط نائم.", "", "cannot be seen: «ارسم لوحه»"),
        ("أعد كتابة الجملة بلا خطأ.", "ذهبَ الولد", "ذهبَ الولد", "same: the output is the input"),
        ("اكتب بيتًا من الشعر هنا.", "اكتب بيتًا من الشعر هنا.", "", "same: the output is the instruction"),
        ("صحّح الأخطاء الإملائية في الفقرة.", "نص سليم", "نص سلييم", "like a seed: 0.80 >= 0.7 to «صحّح الأخطاء"),
        (
            "ماذا يفعل من انثقب إطاره ليلًا؟",
            next(seed.output for seed in seeds() if "إطار" in seed.instruction),
            "",
            "copied: the output is an example's",
        ),
        ("املأ الاستمارة بمعلومات زبون.", "الاسم: [اسم الزبون]", "", "blank: «\\[اسم الزبون"),
        ("اذكر آية في فضل الصبر.", "قال تعالى في كتابه كلامًا كثيرًا.", "", "scripture: 'قال تعالي'"),
        ("كيف أتصل بالدعم الفني؟", "راسلهم على help@example.com", "", "personal data: an e-mail address"),
        ("كيف أتصل بالدعم الفني؟", "اتصل على +962 79 123 4567 صباحًا.", "", "personal data: a phone number"),
        (ADVICE, "خذ جرعة من المسكّن كل ساعة.", "", "medical: «جرعه» without a word on asking a doctor"),
        ("صف لنا يومك في السوق.", "ذهبت إلى السوق صباحًا " * 12, "", r"loops: \d+ words repeat those 4 before them"),
    ],
)
def test_a_faulty_task_is_dropped_with_the_reason(instruction, output, given, error):
    made = SelfInstruct().read(WANTED, 0, reply(instruction, output, given or "لا يوجد"))
    assert re.match(error, made.reason or "kept"), made.reason
    assert made.score < 1


@pytest.mark.parametrize(
    "instruction, output",
    [
        ("اشرح بصورة عامة عمل المحرّك.", "يحرق المحرّك الوقود فتدور العجلات."),
        ("لوّن حديثك بمثل شعبي عن الجار.", "الجار قبل الدار."),
        (ADVICE, "ارتح قليلًا، واستشر طبيبًا قبل أخذ أي دواء."),
        ("كم يساوي ألف في ألف؟", "1000000"),
        ("اذكر مادة من مواد البناء القديمة.", "سلبي"),  # a label may be a seed's output too
    ],
)
def test_what_only_looks_like_a_fault_is_kept(instruction, output):
    assert reason(reply(instruction, output)) is None


def test_english_answers_are_right_in_the_category_of_terms():
    wanted = wanted_tasks(1, categories=["terms"])[0]
    text = reply("كيف نقول «مفتاح البيت» بالإنجليزية؟", "The key of the house.")
    assert reason(text, wanted=wanted) is None
    assert reason(text).startswith("not Arabic: 0.00")


def test_a_near_miss_is_told_what_to_mend_and_a_hopeless_one_is_not():
    short = SelfInstruct().read(WANTED, 0, reply("اكتب", "نص قصير مفيد"))
    assert short.mend == f"{wordings()['mend']['short_instruction']} {wordings()['mend']['closing']}"
    assert SelfInstruct().read(WANTED, 0, reply("صف ما في الصورة المرفقة.", "بيت")).mend is None
    assert SelfInstruct().read(WANTED, 0, "كلام").mend is None


def test_every_fault_that_is_mended_is_a_check():
    named = set(task_faults(seeds()[0], TaskLimits(), Known(())))
    named |= {"leaked", "longer", "input", "mark", "word", "span", "given_away", "long_answer", "points_at", "closing"}
    assert set(wordings()["mend"]) <= named


def test_a_text_that_comes_again_once_is_no_loop():
    text = " ".join(f"كلمة{n}" for n in range(30))
    assert text_faults(text, text)["loops"] is None
    assert text_faults("", f"{text} {text} {text}")["loops"] == "loops: 60 words repeat those 30 before them"


# --- Self-Instruct ---------------------------------------------------------------------------------------------------


def test_tasks_are_wanted_evenly_and_the_first_do_not_depend_on_n():
    many = wanted_tasks(96, varieties=("msa", "egyptian"), seed=3)
    assert set(Counter(one.cell for one in many).values()) == {2}
    assert wanted_tasks(5, varieties=("msa", "egyptian"), seed=3) == many[:5]
    assert len({one.key for one in many}) == 96
    assert {one.variety for one in many} == {"msa", "egyptian"}
    with pytest.raises(MashqError, match=r"no category 'tabel' .* Did you mean 'table'"):
        wanted_tasks(1, categories=["tabel"])
    with pytest.raises(MashqError, match="expected 1 or more tasks, got 0"):
        wanted_tasks(0)


def test_a_prompt_shows_other_seeds_at_each_attempt_and_the_same_again():
    writer = SelfInstruct(shown=6)
    first, again, later = (writer.examples(WANTED, attempt) for attempt in (0, 0, 1))
    assert first == again != later
    assert len(set(first)) == 6
    assert [one.category for one in first].count("ideas") == 3
    text = writer.ask(WANTED, 0, [])[1][1]
    assert all(tasks.shown(one) in text for one in first)


def test_a_prompt_in_the_standard_shows_no_seed_of_a_dialect():
    wanted = wanted_tasks(1, categories=["letter"])[0]
    shown = [one for attempt in range(8) for one in SelfInstruct().examples(wanted, attempt)]
    assert {one.variety for one in shown} == {"msa"}


def test_a_prompt_in_a_dialect_shows_seeds_in_it():
    wanted = wanted_tasks(1, categories=["plan"], varieties=("egyptian",))[0]
    assert [one.variety for one in SelfInstruct().examples(wanted, 0)].count("egyptian") == 2
    assert "بالعامية المصرية" in SelfInstruct().ask(wanted, 0, [])[1][1]


def test_openings_that_are_used_up_stand_in_the_prompt():
    text = SelfInstruct().ask(WANTED, 0, ["اكتب رسالة", "ما هي"])[1][1]
    assert "لا تبدأ بأي من هذه العبارات: «اكتب رسالة»، «ما هي»." in text
    assert "لا تبدأ" not in SelfInstruct().ask(WANTED, 0, [])[1][1]


def test_a_model_without_a_chat_template_gets_a_text_that_ends_with_the_label():
    writer = SelfInstruct(style="completion", shown=3)
    text = writer.ask(WANTED, 0, [])
    assert text.endswith("\n\n---\n\nالتعليمة:")
    assert text.count("التعليمة:") == 4
    assert writer.read(WANTED, 0, GOOD.removeprefix("التعليمة:")).reason is None


def test_wrong_settings_of_a_writer_are_refused():
    with pytest.raises(MashqError, match="style: expected messages or completion, got 'chat'"):
        SelfInstruct(style="chat")
    with pytest.raises(MashqError, match="shown: expected 1 to 144 seeds, got 145"):
        SelfInstruct(shown=145)


def test_what_decides_a_writers_texts_is_in_its_identity():
    writer = SelfInstruct()
    others = [
        SelfInstruct(seeds()[:-1]),
        SelfInstruct(shown=5),
        SelfInstruct(style="completion"),
        SelfInstruct(limits=TaskLimits(most_like=0.6)),
    ]
    assert len({one.identity for one in [writer, *others]}) == 5
    assert writer.identity == SelfInstruct().identity


# --- Evol-Instruct ---------------------------------------------------------------------------------------------------

PARENT = Task("اقترح اسمًا لمخبز جديد.", "رغيف الحارة", "", "ideas")


def evolved(operation, text, parent=PARENT):
    wanted = Wanted("e", {"operation": operation, "parent": dataclasses.asdict(parent), "category": "ideas"})
    return Evolve().read(wanted, 0, text).reason


BETTER = "اقترح اسمًا لمخبز جديد في حيّ قديم، على أن يكون من كلمتين ولا يذكر الخبز."


@pytest.mark.parametrize(
    "operation, instruction, output, given, error",
    [
        ("constraints", PARENT.instruction, "سنابل", "", "like its parent: 1.00 >= 0.9"),
        ("constraints", "اقترح اسمًا لمخبز.", "سنابل", "", r"short: -1 words added < 1"),
        ("deepen", BETTER + " كلمة" * 60, "سنابل الحي", "", r"long: \d+ words added > 60"),
        ("reasoning", BETTER + " هذه هي المهمة المطوّرة.", "سنابل الحي", "", "leaked: «المهمه المطوره»"),
        ("input", BETTER, "سنابل الحي", "", "no input: the operation asks for one"),
        ("breadth", "اقترح اسمًا لمقهى جديد.", "ركن الهدوء", "", "like its parent: 0.75 >= 0.7"),
        ("concretise", BETTER, "عذرًا، لا أستطيع المساعدة.", "", "refusal"),
    ],
)
def test_an_evolved_task_that_is_none_is_eliminated(operation, instruction, output, given, error):
    assert re.match(error, evolved(operation, reply(instruction, output, given)) or "kept")


def test_evolved_tasks_are_kept():
    assert evolved("constraints", reply(BETTER, "سنابل الحي")) is None
    assert evolved("breadth", reply("سمِّ قاربًا صغيرًا لصيّاد شابّ.", "نورس الفجر")) is None
    assert evolved("input", reply(BETTER, "سنابل الحي", "أسماء المخابز القريبة: فرن الدرب، خبز الصباح")) is None


def test_the_parents_output_is_no_output_of_the_evolved_task():
    parent = dataclasses.replace(PARENT, output="رغيف الحارة وخبز الصباح وسنابل")
    assert evolved("constraints", reply(BETTER, parent.output), parent) == "same: the output is its parent's"


def test_operations_are_asked_evenly_and_no_pair_twice():
    parents = seed_parents()
    wanted = wanted_evolved(parents, 2 * len(parents), seed=1)
    assert len({one.key for one in wanted}) == 288
    counts = Counter(one.cell for one in wanted)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert wanted_evolved(parents, 7, seed=1) == wanted[:7]
    assert len(wanted_evolved(parents)) == 144
    with pytest.raises(MashqError, match="expected at most 864 tasks, got 865 of 144 parents and 6 operations"):
        wanted_evolved(parents, 865)
    with pytest.raises(MashqError, match=r"no operation 'depen' .* Did you mean 'deepen'"):
        wanted_evolved(parents, operations=["depen"])


def test_an_operations_words_and_the_parent_stand_in_its_prompt():
    wanted = EVOLVED[0]
    told = wordings()["evolve"]["operations"][wanted.cell]["ask"]
    system, (_, text) = Evolve().ask(wanted, 0, [])
    assert system[0] == "system"
    assert told in text and wanted.about["parent"]["instruction"] in text
    base = Evolve(style="completion").ask(wanted, 0, [])
    assert base.endswith("المهمة الأخرى:\nالتعليمة:") and told in base


# --- requests of personas and answers --------------------------------------------------------------------------------


def test_forty_personas_in_known_varieties():
    assert len(personas()) == 40
    assert len({fold(one["who"]) for one in personas()}) == 40
    assert {one.get("variety", "msa") for one in personas()} == set(wordings()["varieties"])
    assert len({one["country"] for one in personas()}) >= 15


def test_each_request_is_of_another_pair_of_person_and_kind():
    wanted = wanted_requests(280)
    assert len({one.key for one in wanted}) == 280
    assert set(Counter(one.cell for one in wanted).values()) == {40}
    assert wanted_requests(9) == wanted[:9]
    with pytest.raises(MashqError, match=r"expected 1 to 280 requests, got 281. Write more personas"):
        wanted_requests(281)
    with pytest.raises(MashqError, match=r"no kind 'advise' .* Did you mean 'advice'"):
        wanted_requests(1, kinds=["advise"])


@pytest.mark.parametrize(
    "text, error",
    [
        ("الطلب: ساعدني", "short: 1 words of the request < 4"),
        (f"الطلب: {REQUEST.about['persona']['who']}", "says only who asks: 1.00 >= 0.7"),
        ("الطلب: I need a plan for my week please", "not Arabic: 0.00"),
        ("الطلب: صف لي ما في الصورة المرفقة من أعطال", "cannot be seen"),
        ("الطلب: راسلني على a@b.com بخطة للأسبوع", "personal data"),
        ("الجواب: هذه خطة", "unreadable: no field «الطلب»"),
    ],
)
def test_a_faulty_request_is_dropped_with_the_reason(text, error):
    assert re.match(error, reason(text, PersonaRequests(), REQUEST) or "kept")


def test_a_request_is_kept_without_the_answer_that_a_model_adds():
    text = "الطلب: رتّب لي مهام الأسبوع القادم بين العمل والبيت.\n\nالجواب: الأحد للعمل."
    made = PersonaRequests().read(REQUEST, 0, text)
    assert made.reason is None
    assert made.fields["messages"][0]["content"] == "رتّب لي مهام الأسبوع القادم بين العمل والبيت."
    assert "references" not in made.fields


@pytest.mark.parametrize(
    "text, error",
    [
        ("نعم", "short: 1 words of the answer < 3"),
        ("الطلب: كيف أطوي قميصًا؟", "same: the answer is the request"),
        ("عذرًا، لا يمكنني المساعدة في ذلك.", "refusal"),
        ("First fold the sleeves, then the rest.", "not Arabic: 0.00"),
        ("خذ مسكّنًا ثم اطوِه على مهل.", "kept"),
        ("خذ دواء للصداع ثم اطوِه على مهل.", "medical: «دواء»"),
        ("خذ قرصين يوميًا واستشر طبيبًا.", "dose: an amount of a medicine is named"),
    ],
)
def test_a_faulty_answer_is_dropped_with_the_reason(text, error):
    assert re.match(error, reason(text, Answers(), ANSWER) or "kept")


def test_an_answer_is_the_whole_reply_and_its_row_keeps_the_request_as_it_was_said():
    made = Answers().read(ANSWER, 0, "الجواب: اثنِ الكمّين.\n\nثم اطوِ الباقي.")
    assert made.fields["references"] == ["اثنِ الكمّين.\n\nثم اطوِ الباقي."]
    assert made.fields["messages"] == ANSWER.about["turns"]
    nudged = Answers().ask(ANSWER, 1, [])
    assert nudged[-1][1] == "كيف أطوي قميصًا؟\n\nأجب بتفصيل مناسب."
    base = Answers(style="completion")
    assert base.ask(ANSWER, 0, []).endswith("الطلب: كيف أطوي قميصًا؟\n\nالجواب:")
    assert base.read(ANSWER, 0, " اثنِ الكمّين أولًا.\nالطلب: كيف أكويه؟").fields["references"] == ["اثنِ الكمّين أولًا."]


def test_answers_need_a_row_that_ends_with_the_user():
    table = rows.conform(
        {"id": rows.source_ids("t", "1", n=1), "messages": [[{"role": "assistant", "content": "نعم"}]]}, "t"
    )
    with pytest.raises(MashqError, match="expected a last turn of the user, got 'assistant'"):
        wanted_answers(table)


def test_a_broken_file_of_personas_is_one_error(tmp_path):
    file = tmp_path / "personas.yaml"
    for text, error in [("a: 1", "expected `personas:` with a list"), ("personas: [{name: a}]", "person 1: expected")]:
        file.write_text(text, "utf-8")
        persona_requests.personas.cache_clear()
        with pytest.raises(MashqError, match=error):
            personas(file)


# --- the recipe ------------------------------------------------------------------------------------------------------


def made(tmp_path, *replies, **settings):
    """The recipe's steps, each that asks a model with replies of its own: name -> (kept rows, manifest)."""
    script, waiting = tmp_path / "replies.jsonl", list(replies)
    script.write_text("", "utf-8")
    writer = WriterSettings(model=f"scripted:{script}", licence="CC0-1.0", asked=Asked(tries=1, repair=False))
    store = Store(tmp_path / "runs", Engine("local", 1))
    found = {}
    for step in recipe.steps(recipe.Settings(writer=writer, **settings)):
        if step.aside is not None:
            script.write_text("".join(json.dumps(one) + "\n" for one in waiting.pop(0)), "utf-8")
        done = store.make(step)
        kept = [row for table in read_rows(done.folder) for row in table.to_pylist()]
        found[step.name] = (kept, done.manifest)
    return found


def test_tasks_go_through_the_engine_and_each_reply_is_a_row(tmp_path):
    other = reply("اكتب لافتة قصيرة لمكتبة تفتح ليلًا.", "نقرأ معكم حتى منتصف الليل.")
    found = made(tmp_path, [GOOD, "كلام", other], kind="tasks", n=3, categories=("ideas",))
    kept, manifest = found["tasks"]
    assert [row["references"][0] for row in kept] == [
        "ماء يكفي اليوم كله، وسترة خفيفة، وصفّارة يُسمع صوتها من بعيد.",
        "نقرأ معكم حتى منتصف الليل.",
    ]
    assert manifest["reasons"] == {"unreadable": 1}
    meta = json.loads(kept[0]["meta"])
    assert (meta["category"], meta["attempt"], kept[0]["template"]) == ("ideas", 0, "self-instruct")


def test_evolving_goes_on_from_the_round_before(tmp_path):
    first = reply("اقترح اسمًا لمخبز صغير في قرية جبلية، واجعله من ثلاث كلمات.", "خبز الجبل الدافئ")
    second = reply(
        "اقترح اسمًا لمخبز صغير في قرية جبلية، واجعله من ثلاث كلمات، ثم علّل اختيارك في سطر واحد.",
        "خبز الجبل الدافئ، لأن فيه المكان والصنعة.",
    )
    own = tmp_path / "seeds.yaml"
    own.write_text("tasks: [{instruction: اقترح اسمًا لمخبز صغير., output: سنابل, category: ideas}]", "utf-8")
    tasks.seeds.cache_clear()
    found = made(tmp_path, [first], [second], kind="evolve", n=1, rounds=2, seeds=str(own), operations=("constraints",))
    (before,), _ = found["evolved-1"]
    (after,), _ = found["evolved-2"]
    assert after["group"] == before["group"]
    assert json.loads(after["meta"])["parent"]["instruction"] == before["messages"][0]["content"]
    assert parents_of(rows.conform({"id": [after["id"]], "messages": [None]}, "t")) == []


def test_requests_are_answered_in_a_second_run_of_the_engine(tmp_path):
    asked = "رتّب لي مهام الأسبوع القادم بين العمل والبيت."
    found = made(tmp_path, [f"الطلب: {asked}"], ["ابدأ بما له موعد، ثم وزّع الباقي على الأيام."], kind="requests", n=1)
    (request,), _ = found["requests"]
    (answer,), _ = found["answers"]
    assert request["references"] is None
    assert answer["messages"] == [{"role": "user", "content": asked}]
    assert answer["references"] == ["ابدأ بما له موعد، ثم وزّع الباقي على الأيام."]
    assert answer["group"] == request["group"]
    assert answer["template"] == "answers"


def test_wrong_settings_of_the_recipe_are_refused():
    with pytest.raises(MashqError, match=r"no kind 'task' .* Did you mean 'tasks'"):
        recipe.steps(recipe.Settings(kind="task"))
    with pytest.raises(MashqError, match="rounds: expected 1 or more, got 0"):
        recipe.steps(recipe.Settings(kind="evolve", rounds=0))
    with pytest.raises(MashqError, match="expected passages, got no --data FILE"):
        recipe.steps(recipe.Settings(kind="passages"))


@pytest.mark.parametrize("depth", [5, 450, 3_000])
def test_lists_in_lists_are_no_text_and_raise_nothing(depth):
    reply = '{"التعليمة": ' + "[" * depth + '"نص"' + "]" * depth + ', "الناتج": "نص"}'
    (one,) = wanted_tasks(1, seed=0)
    assert SelfInstruct(seeds(), 3).read(one, 0, reply).reason
