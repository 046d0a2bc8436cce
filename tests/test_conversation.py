import json
import random
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mashq import conversation_checks as checks
from mashq.conversation import LAYOUTS, Turns, read_turns
from mashq.conversation_checks import CHECKS, Expected, Limits, faults, personal_data
from mashq.metrics.health import is_looping
from mashq.rows import MashqError
from mashq.word_patterns import word_pattern

U, A = "user", "assistant"
GOOD = (
    (U, "صباح الخير، أسكن في القاهرة وأريد قهوة أقل مرارة. هل السبب نوع البن؟"),
    (A, "صباح النور. السبب غالبًا حرارة الماء؛ ارفع القهوة عن النار قبل أن تغلي، وجرّب بنًّا أفتح لونًا."),
    (U, "جرّبت ذلك، وصار طعمها ألطف. هل أضيف السكر قبل الغلي أم بعده؟"),
    (A, "قبل الغلي أفضل في القهوة المصرية، لأن السكر يذوب ببطء فيها ويبقى وجهها متماسكًا."),
)
COFFEE = Expected(
    exchanges=2,
    topic="القهوة والشاي",
    topic_words=word_pattern(["قهوه", "شاي", "البن"]),
    country="مصر",
    country_words=word_pattern(["مصر", "مصري", "مصريه", "القاهره"]),
    variety="msa",
    prompt="اكتب محادثة واقعية بين مستخدم ومساعد ذكي عن القهوة والشاي في مصر من رسالتين للمستخدم وردين من المساعد",
)


def labelled(messages=GOOD, user="المستخدم", assistant="المساعد", form="{label}: {text}", join="\n"):
    names = {U: user, A: assistant}
    return join.join(form.replace("{label}", names[role]).replace("{text}", text) for role, text in messages)


def changed(*texts):
    """The good conversation with some of its texts replaced; None keeps one."""
    return tuple((role, new or old) for (role, old), new in zip(GOOD, texts, strict=True))


def at(number, text):
    """The good conversation with one message replaced; they are counted from 1."""
    return changed(*(text if place == number else None for place in range(1, 5)))


def first_fault(messages, expected=COFFEE, **limits):
    found = faults(Turns(tuple(messages), "labelled"), expected, Limits(**limits))
    return next((reason for reason in found.values() if reason), None)


# --- every layout is read back ---------------------------------------------------------------------------------------

WORDS = [
    "كتاب",
    "سوق",
    "صديق",
    "يوم",
    "جميل",
    "بيت",
    "أخضر",
    "طريق",
    "طويل",
    "يعمل",
    "يقرأ",
    "مدرسة",
    "قديمة",
    "ثلاثة",
    "جدًّا",
    "لماذا",
    "أين",
    "كَتَبَ",
    "ولد",
    "نعم",
]
sentence = st.lists(st.sampled_from(WORDS), min_size=2, max_size=9).map(" ".join)
line = st.tuples(st.sampled_from(["", "", "", "ملاحظة: ", "مثال: ", "- "]), sentence, st.sampled_from(".؟!،")).map(
    "".join
)
# The first line has no label of its own: right after the speaker's it could not be told from one.
content = st.tuples(sentence, st.lists(line, max_size=3)).map(lambda made: "\n".join([made[0] + ".", *made[1]]))
conversations = st.lists(st.tuples(content, content), min_size=1, max_size=6).map(
    lambda pairs: tuple(turn for question, answer in pairs for turn in ((U, question), (A, answer)))
)
FORMS = [
    "{label}: {text}",
    "{label}:{text}",
    "{label} : {text}",
    "{label}:\n{text}",
    "**{label}:** {text}",
    "**{label}**: {text}",
    "### {label}:\n{text}",
    "* {label}: {text}",
    "- **{label}**: {text}",
    "{label}：{text}",
    "[{label}]: {text}",
    "{label} (1): {text}",
    "{label} – {text}",
    "{label} - {text}",
    "**{label}**\n{text}",
]
NAMES = [
    ("المستخدم", "المساعد"),
    ("السائل", "المجيب"),
    ("المُستخدِم", "المُساعِد"),
    ("المستخدمة", "المساعد الذكي"),
    ("Human", "AI"),
    ("User", "Assistant"),
    ("user", "assistant"),
    ("المستخدم", "الذكاء الاصطناعي"),
    ("الإنسان", "الروبوت"),
]
WEAK = [("س", "ج"), ("سؤال", "جواب"), ("السؤال", "الإجابة"), ("Q", "A"), ("أحمد", "المساعد"), ("أم سامي", "المساعد")]


@settings(deadline=None)
@given(
    conversations,
    st.sampled_from(NAMES),
    st.sampled_from(FORMS),
    st.sampled_from(["\n", "\n\n", "\n---\n", "\n \n"]),
    st.sampled_from(["auto", "labelled"]),
)
def test_lines_with_speakers_are_read_back(messages, names, form, join, layout):
    found = read_turns(labelled(messages, *names, form, join), layout)
    assert isinstance(found, Turns), found
    assert found.messages == messages
    assert found.layout == "labelled"


@settings(deadline=None)
@given(conversations, st.sampled_from(WEAK), st.sampled_from(FORMS[:10]))
def test_short_labels_and_one_unknown_name_need_a_colon(messages, names, form):
    found = read_turns(labelled(messages, *names, form))
    assert isinstance(found, Turns), found
    assert found.messages == messages


def numbered(messages, form):
    pairs = [(messages[i][1], messages[i + 1][1]) for i in range(0, len(messages), 2)]
    arabic_digits = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
    if form == "plain":
        return "\n".join(f"{number}. {text}" for number, (_, text) in enumerate(messages, 1))
    if form == "arabic digits":
        return "\n".join(f"{number}- {text}".translate(arabic_digits) for number, (_, text) in enumerate(messages, 1))
    if form == "labels":
        return "\n".join(f"{number}. س: {one}\nج: {other}" for number, (one, other) in enumerate(pairs, 1))
    if form == "numbered labels":
        return "\n".join(f"س{number}: {one}\nج{number}: {other}" for number, (one, other) in enumerate(pairs, 1))
    return "\n".join(f"{number}) {one}\n   ج: {other}" for number, (one, other) in enumerate(pairs, 1))


@settings(deadline=None)
@given(conversations, st.sampled_from(["plain", "arabic digits", "labels", "numbered labels", "answers"]))
def test_numbered_lines_are_read_back(messages, form):
    found = read_turns(numbered(messages, form))
    assert isinstance(found, Turns), found
    assert found.messages == messages


KEYS = [("role", "content"), ("from", "value"), ("speaker", "text"), ("الدور", "المحتوى"), ("المتحدث", "النص")]
ROLES = [(U, A), ("human", "gpt"), ("User", "Assistant"), ("المستخدم", "المساعد"), ("Human", "AI")]
AROUND = [
    "{}",
    "```json\n{}\n```",
    "إليك المحادثة:\n\n```\n{}\n```\nأتمنى أن تفيدك المحادثة.",
    '{"messages": {}}',
    '{"المحادثة": {}}',
    "هذه قائمة [بالرسائل]:\n{}",
]


@settings(deadline=None)
@given(
    conversations, st.sampled_from(KEYS), st.sampled_from(ROLES), st.sampled_from(AROUND), st.sampled_from([None, 2])
)
def test_json_is_read_back(messages, keys, roles, around, indent):
    names = dict(zip((U, A), roles, strict=True))
    items = [{keys[0]: names[role], keys[1]: text} for role, text in messages]
    found = read_turns(around.replace("{}", json.dumps(items, ensure_ascii=False, indent=indent)))
    assert isinstance(found, Turns), found
    assert (found.messages, found.layout) == (messages, "json")


@settings(deadline=None)
@given(conversations, st.sampled_from(["list", "lines", "pairs", "comma"]))
def test_other_shapes_of_json_are_read_back(messages, shape):
    items = [json.dumps({"role": role, "content": text}, ensure_ascii=False) for role, text in messages]
    short = [f'"{role}": {json.dumps(text, ensure_ascii=False)}' for role, text in messages]
    shapes = {
        "list": f"[{', '.join(f'{{{item}}}' for item in short)}]",
        "lines": "\n".join(items),
        "pairs": f"{{{', '.join(short)}}}",  # one object that repeats its keys
        "comma": f"[{','.join(items)},]",
    }
    found = read_turns(shapes[shape])
    assert isinstance(found, Turns), found
    assert found.messages == messages


@settings(deadline=None)
@given(conversations, st.sampled_from(["bare", "lines", "jais-13b", "jais-family", "chatter"]))
def test_the_marks_of_both_jais_frames_are_read_back(messages, form):
    names = {U: "[|Human|]", A: "[|AI|]"}
    lines = [f"{names[role]} {text}" for role, text in messages]
    before = "### Instruction: أكمل المحادثة أدناه بين [|Human|] و [|AI|]:\n### Input: "
    texts = {
        "bare": " ".join(lines),
        "lines": "\n".join(lines),
        "jais-13b": before + "\n".join(lines[:-1]) + "\n### Response: " + lines[-1],
        "jais-family": before + "\n".join([*lines[:-1], "[|AI|]"]) + "\n### Response :" + lines[-1][len("[|AI|]") :],
        "chatter": "إليك المحادثة:\n" + "\n".join(lines),
    }
    found = read_turns(texts[form])
    assert isinstance(found, Turns), found
    assert (found.messages, found.layout) == (messages, "marks")


@settings(deadline=None)
@given(conversations)
def test_a_reply_that_begins_inside_a_message_is_read(messages):
    text = labelled(messages)
    found = read_turns(text.removeprefix("المستخدم:"), starts="user")
    assert isinstance(found, Turns) and found.messages == messages
    marks = labelled(messages[1:], "[|Human|]", "[|AI|]", "{label} {text}").removeprefix("[|AI|]")
    if len(messages) > 2:
        found = read_turns(marks, starts="assistant")
        assert isinstance(found, Turns) and found.messages == messages[1:]


def test_a_model_without_an_end_is_cut_at_the_messages_asked_for():
    more = labelled() + "\nالمستخدم: وهل الشاي أخف"
    found = read_turns(more, most=4)
    assert found.messages == GOOD


def test_what_stands_around_a_conversation_is_cut_and_kept_apart():
    text = f"بالتأكيد! إليك المحادثة:\n\n{labelled()}\n\nملاحظة: هذه المحادثة خيالية.\nشكرًا."
    found = read_turns(text)
    assert found.messages == GOOD
    assert found.before == "بالتأكيد! إليك المحادثة:"
    assert found.after == "ملاحظة: هذه المحادثة خيالية.\nشكرًا."


@pytest.mark.parametrize(
    "tail",
    [
        "---\nآمل أن تناسبك.",
        "```",
        "(انتهت المحادثة)",
        "**نهاية الحوار**",
        "### الموضوع: السفر\nكلام",
        "Note: this dialogue is invented.",
    ],
)
def test_tails_are_cut(tail):
    assert read_turns(f"{labelled()}\n{tail}").messages == GOOD


def test_an_assistants_own_closing_question_stays():
    messages = changed(None, None, None, "قبل الغلي أفضل.\nهل تريد أن أشرح لك طريقة القهوة السادة أيضًا؟")
    assert read_turns(labelled(messages)).messages == messages


def test_a_conversation_on_one_line_is_read():
    assert read_turns(labelled(join=" ")).messages == GOOD
    assert read_turns(labelled(user="س", assistant="ج", join=" / ")).messages == GOOD


def test_lines_in_an_answer_that_begin_like_labels_stay_in_it():
    answer = "السبب واضح.\nالجواب: حرارة الماء.\nالسؤال: كم دقيقة؟ دقيقتان.\n1. ارفعها عن النار.\n2. حرّكها."
    messages = changed(None, answer, None, None)
    assert read_turns(labelled(messages)).messages == messages


def test_quotation_marks_around_every_message_are_the_layouts_and_around_some_the_texts():
    quoted = tuple((role, f"«{text}»") for role, text in GOOD)
    assert read_turns(labelled(quoted)).messages == GOOD
    some = (quoted[0], *GOOD[1:])
    assert read_turns(labelled(some)).messages == some


def test_thoughts_invisible_marks_and_other_line_ends_do_not_matter():
    text = "<think>المستخدم: لا\nالمساعد: لا</think>\n" + labelled().replace("\n", "\r\n")
    marks = "\N{RIGHT-TO-LEFT MARK}\N{RIGHT-TO-LEFT EMBEDDING}"
    assert read_turns(marks + text.replace("المساعد", f"{marks}المساعد")).messages == read_turns(labelled()).messages


def test_the_systems_message_is_left_out():
    items = [("system", "كن لطيفًا."), *GOOD]
    text = json.dumps([{"role": role, "content": text} for role, text in items], ensure_ascii=False)
    assert read_turns(text).messages == GOOD
    assert read_turns("النظام: كن لطيفًا.\n" + labelled()).messages == GOOD


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty: no character that shows"),
        ("\N{RIGHT-TO-LEFT MARK}\n \t", "empty: no character that shows"),
        ("س" * 60_000, "long: 60000 characters > 50000"),
        ("كلام بلا متحدث. ثم كلام آخر.", "no turns: no line begins with a known speaker, a mark or a number"),
        ("سارة: مرحبًا.\nليلى: أهلًا.", "no turns: no line begins .* 'ساره' is no known speaker"),
        ("المستخدم: مرحبًا.\nالمستخدم: أين أنت؟", "no turns: only the user is labelled"),
        ("المساعد: مرحبًا.", "no turns: only the assistant is labelled"),
        ("[|AI|] مرحبًا. [|AI|] أهلًا.", "no turns: only the mark of the assistant is there"),
        ('[{"role": "user", "content": "مرحبًا"', "JSON: .* at character"),
        ('[{"role": "user", "content": "مرحبًا', "JSON: unterminated string"),
        ('[{"role": "user", "content": 3}]', "no turns: no JSON list of messages"),
        ('[{"قائل": "أحمد", "كلام آخر": "مرحبًا"}]', "no turns: no JSON list of messages"),
        ("[[" * 20_000, "JSON: nested too deeply|JSON: expecting"),
        ('[{"a":' * 8_000, "JSON: nested too deeply|JSON: expecting"),
    ],
)
def test_replies_without_a_conversation_say_why(text, reason):
    found = read_turns(text)
    assert isinstance(found, str)
    assert re.match(reason, found), found


def test_a_layout_that_is_asked_for_by_name_is_the_only_one_read():
    assert read_turns(labelled(), "labelled").messages == GOOD
    assert read_turns(labelled(), "json") == "no turns: no JSON list of messages"
    assert read_turns(labelled(), "marks") == "no turns: no mark of a speaker"


def test_unknown_layouts_and_speakers_are_errors():
    with pytest.raises(MashqError, match=r"no layout 'jsn' .*Did you mean 'json'"):
        read_turns("", "jsn")
    with pytest.raises(MashqError, match="starts: expected 'user', 'assistant' or ''"):
        read_turns("", starts="ai")
    with pytest.raises(MashqError, match="most: expected at least 1 message, got 0"):
        read_turns("", most=0)


pieces = st.sampled_from(
    [
        "المستخدم:",
        "المساعد:",
        "\n",
        "1.",
        "س:",
        "[|Human|]",
        "[|AI|]",
        '[{"role":',
        '"content"',
        "}]",
        "```",
        "**",
        "###",
        "-",
    ]
)


@given(st.one_of(st.text(), st.lists(st.one_of(pieces, st.text(max_size=8))).map("".join)), st.sampled_from(LAYOUTS))
@example("\ud800 المستخدم: \x00", "labelled")
@example('{"role": {"a": NaN}}', "json")
@example("9" * 5000 + ": المساعد", "labelled")
@example("[" + "9" * 6000 + '{"', "json")
@settings(max_examples=300, deadline=None)
def test_no_text_at_all_raises(text, layout):
    for found in (read_turns(text), read_turns(text, layout), read_turns(text, starts="user", most=2)):
        if isinstance(found, Turns):
            assert set(faults(found, COFFEE)) == set(CHECKS)


@pytest.mark.parametrize(
    "text",
    [
        "المستخدم: " * 5_000,
        "*" * 49_000,
        "-- " * 16_000,
        "\n--" * 16_000,
        "1. " * 16_000,
        '{"' * 24_000,
        "[{" * 24_000,
        "[|AI|]" * 8_000,
        "\nالمساعد:" * 5_000,
        "### Input:" * 4_900,
        "المستخدم: نعم\nالمساعد: لا\n" * 1_800,
        "المستخدم: " + "س" * 20_000 + "\nالمساعد: " + "نعم " * 7_000,
        "a@" * 24_000,
        "المستخدم: " + "5 " * 12_000 + "\nالمساعد: " + "[س" * 9_000,
    ],
)
def test_no_text_takes_long(text):
    start = time.process_time()
    found = read_turns(text)
    if isinstance(found, Turns):
        faults(found, COFFEE)
    assert time.process_time() - start < 2.0


# --- faults ----------------------------------------------------------------------------------------------------------


def test_a_good_conversation_passes_every_check():
    found = faults(Turns(GOOD, "labelled"), COFFEE)
    assert found == dict.fromkeys(CHECKS)


LONG = " ".join(f"{word} {other}" for word in WORDS for other in WORDS)
HOSTILE = [
    (GOOD[:2], "turns: 2 messages < 4"),
    (GOOD * 3, "turns: 12 messages > 6"),
    (GOOD[1:], "roles: the first message is not the user's"),
    (GOOD[:3], "roles: the last message is not the assistant's"),
    ((*GOOD[:2], GOOD[1], *GOOD[2:]), "roles: messages 2 and 3 are both the assistant's"),
    (at(2, "…"), "empty: message 2 has no word"),
    (at(3, "؟!"), "empty: message 3 has no word"),
    (at(2, "كنموذج لغوي، لا أشرب القهوة في مصر."), "refusal: 'كنموذج لغوي'"),
    (at(2, "بصفتي ذكاءً اصطناعيًّا لا أعرف طعم القهوة."), "refusal: 'بصفتي ذكاء'"),
    (at(2, "عذرًا، لا أستطيع المساعدة في هذا الأمر."), "refusal: 'لا استطيع المساعده'"),
    (at(2, "أعتذر، لا يمكنني الإجابة عن القهوة."), "refusal: 'لا يمكنني الاجابه'"),
    (at(2, "ولا يمكنني مساعدتك في ذلك اليوم."), "refusal: 'ولا يمكنني مساعدتك'"),
    (at(2, "أنا مجرد نموذج ولا أعرف طعم القهوة."), "refusal: 'انا مجرد نموذج'"),
    (at(2, "As an AI, قهوتك طيبة والماء فيها كثير."), "refusal: 'as an ai'"),
    (at(2, "I'm sorry, but القهوة المصرية طيبة جدًّا."), "refusal: 'i m sorry but'"),
    (at(2, "Boil the water first and then add the coffee slowly."), "not Arabic: 0.[0-9]+ of letters < 0.85"),
    (at(2, "القهوة " * 12 + "طيبة."), "loops: 11 words repeat those 1 before them"),
    (at(2, "حرّك القهوة على نار هادئة " * 4), "loops: 15 words repeat those 5 before them"),
    (at(2, "ه" * 30 + " القهوة لذيذة جدا."), "loops: letters repeated 20 times"),
    ([(U, "قهوة؟"), (A, "نعم قهوة مصرية."), (U, "شكرا."), (A, "عفوا يا صديقي.")], "short: 8 words < 24"),
    (at(2, "نعم."), "short: an answer of 1 words < 3"),
    (at(2, LONG + "."), "long: a message of 800 words > 300"),
    (at(4, "قبل الغلي أفضل في القهوة المصرية لأن السكر يذوب"), "cut: ends with 'يذوب', not with a sentence"),
    (at(4, "قبل الغلي أفضل في القهوة المصرية،"), "cut: ends with 'المصرية،', not with a sentence"),
    ((*GOOD[:2], (U, GOOD[0][1]), GOOD[3]), "repeated: message 3 says what message 1 said"),
    ((*GOOD[:3], (A, GOOD[2][1])), "repeated: message 4 says what message 3 said"),
    (at(1, COFFEE.prompt), "copies the prompt: 0.[0-9]+ of 5-word runs > 0.15"),
    (at(1, "إليك المحادثة التي تدور عن القهوة في القاهرة."), "about prompt: 'اليك المحادثه'"),
    (at(2, "القهوة هي الموضوع المطلوب في هذا الكلام."), "about prompt: 'الموضوع المطلوب'"),
    (at(2, "وفقًا للتعليمات أجيب عن القهوة بإيجاز."), "about prompt: 'وفقا للتعليمات'"),
    (at(2, "زر مقهى [اسم المقهى] واشرب القهوة هناك."), r"placeholders: '\[اسم المقهى\]'"),
    (at(2, "زر مقهى {المدينة} واشرب القهوة هناك."), "placeholders: '{المدينة}'"),
    (at(2, "راسل المقهى على coffee@example.com واسأل عن القهوة."), "personal data: an e-mail address"),
    (at(2, "زر www.qahwa.example واقرأ عن القهوة المصرية."), "personal data: a URL"),
    (at(2, "اتصل بالمقهى على 0100 555 1234 واسأل عن القهوة."), "personal data: a phone number"),
    (at(2, "اتصل على +٢٠ ١٠٠ ٥٥٥ ١٢٣٤ واسأل عن القهوة."), "personal data: a phone number"),
    (at(2, "حوّل ثمن القهوة إلى EG38 0019 0005 0000 0000 2631 8000 2 اليوم."), "personal data: an IBAN"),
    (at(2, "اكتب رقمك القومي 29001011234567 لتأخذ القهوة."), "personal data: an identity or card number"),
    (at(2, "تابع حساب @qahwa_masr لتعرف القهوة."), "personal data: a user name"),
    (at(2, "خذ 500 ملغ من الدواء مع القهوة كل صباح."), "dose: an amount of a medicine is named"),
    (at(2, "اشرب القهوة ثم خذ قرصين يوميًّا بعدها."), "dose: an amount of a medicine is named"),
    (at(2, "قال تعالى كلامًا في ذلك، والقهوة طيبة."), "scripture: 'قال تعالي'"),
    (at(2, "وقال رسول الله كلامًا في القهوة."), "scripture: 'وقال رسول الله'"),
    (at(2, "﴿كلام﴾ والقهوة طيبة في الصباح."), "scripture: a verse in ornate brackets"),
    (
        changed("عايز أعرف القهوة دي مرة ليه في القاهرة؟", "عشان الميه سخنة أوي، مش لازم تغلي.", None, None),
        "variety: 0.[0-9]+ of words are dialect > 0.03",
    ),
    (
        changed(
            "صباح الخير، أريد قهوة أقل مرارة، فهل السبب نوع البن؟",
            None,
            None,
            "قبل الغلي أفضل لأن السكر يذوب ببطء ويبقى وجه القهوة متماسكًا.",
        ),
        "country: مصر is not in the conversation",
    ),
    (
        changed(
            "أسكن في القاهرة وأريد عصيرًا طيبًا، فماذا أختار؟",
            "عصير البرتقال طيب في هذا الوقت من السنة.",
            "وهل أضيف إليه السكر؟",
            "لا حاجة إليه في العادة، فالبرتقال حلو، وتكفيه ملعقة من الماء البارد.",
        ),
        "topic: 0 words about القهوة والشاي < 2",
    ),
]


@pytest.mark.parametrize(("messages", "reason"), HOSTILE, ids=[f"{n}-{case[1][:20]}" for n, case in enumerate(HOSTILE)])
def test_faults_are_named_with_value_and_limit(messages, reason):
    found = first_fault(messages)
    assert found is not None
    assert re.match(reason, found), found


def test_a_cut_reply_is_told_by_its_finish():
    cut = Expected(finish="length")
    assert first_fault(GOOD, cut) == "cut: the reply ended at its limit of new tokens"


def test_long_words_before_the_conversation_are_a_fault():
    found = faults(Turns(GOOD, "labelled", before="كلام " * 60), COFFEE)
    assert found["chatter"] == "chatter: 300 characters before the conversation > 200"


def test_checks_that_nothing_was_expected_for_are_absent():
    found = faults(Turns(GOOD, "labelled"))
    assert [name for name in CHECKS if name not in found] == ["variety", "country", "topic"]
    assert not any(found.values())


def test_limits_switch_checks_off():
    open_end = changed(None, None, None, "قبل الغلي أفضل في القهوة المصرية")
    assert first_fault(open_end, whole_end=False) is None
    nowhere = changed("صباح الخير، أريد قهوة أقل مرارة، فهل السبب نوع البن؟", None, None, "قبل الغلي أفضل في القهوة.")
    assert first_fault(nowhere, names_country=False) is None


DIALECTS = {
    "egyptian": "عايز أعرف القهوة دي مرة ليه؟ عشان مش لازم تغلي كده يا فندم.",
    "moroccan": "بغيت نعرف علاش القهوة ديالي مرة بزاف؟ حيت خاصك دابا تنقص العافية.",
    "gulf": "أبغى أعرف ليش القهوة وايد مرة؟ الحين خفف النار شوي، جذي أحسن.",
    "levantine": "بدي أعرف ليش القهوة كتير مرة؟ هلق خفف النار، هيك بتصير منيحة.",
}


@pytest.mark.parametrize("variety", DIALECTS)
def test_a_dialect_is_told_by_its_words(variety):
    words = checks.folded_lower(DIALECTS[variety]).replace("؟", " ").replace("،", " ").replace(".", " ").split()
    counts = checks.marker_counts(words)
    assert max(counts, key=lambda name: counts[name]) == variety
    said = changed(DIALECTS[variety], None, None, None)
    for asked in DIALECTS:
        found = faults(Turns(said, "labelled"), Expected(variety=asked))["variety"]
        assert (found is None) == (asked == variety), (asked, found)


def test_standard_arabic_is_no_dialect():
    assert (
        "reads as msa, asked for moroccan" in faults(Turns(GOOD, "labelled"), Expected(variety="moroccan"))["variety"]
    )


@settings(deadline=None)
@given(st.lists(st.sampled_from(["ا", "ب", "ج", "د", "ه", "و"]), max_size=60), st.integers(1, 12), st.integers(1, 6))
def test_loops_are_those_of_the_health_metric(words, period, times):
    said = words[:20] + words[:period] * times + words[20:]
    assert (checks._loop(said) is not None) == is_looping(" ".join(said), said)


# --- personal data ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("", ()),
        ("بين عامي 2010 و2020 زار المدينة 1,500,000 سائح.", ()),
        ("المبلغ 12,500.75 جنيهًا، والرقم 123456.", ()),
        ("اتصل بالطوارئ على 123.", ()),
        ("افتح Node.js أو ASP.NET واكتب x = 3.14159265358979", ()),
        ("موعدنا 2024-05-01 الساعة 10:30.", ()),
        ("sara.a@mail.example.org", ("an e-mail address",)),
        ("https://example.org/a?b=1", ("a URL",)),
        ("موقع example.com مفيد", ("a URL",)),
        ("هاتف ٠٥٠١٢٣٤٥٦٧", ("a phone number",)),
        ("00966 50 123 4567", ("a phone number",)),
        ("(+20) 100-555-1234", ("a phone number",)),
        ("الهوية 1012345678", ("an identity or card number",)),
        ("784-1990-1234567-1", ("an identity or card number",)),
        ("بطاقة 4111 1111 1111 1111", ("an identity or card number",)),
        ("SA03 8000 0000 6080 1016 7519", ("an IBAN",)),
    ],
)
def test_personal_data_is_found_and_years_and_amounts_are_not(text, kinds):
    found = personal_data(text)
    assert found[: len(kinds) or None] == kinds


# --- speed -----------------------------------------------------------------------------------------------------------


def invented(seed, turns=8, words=40):
    """A conversation of Arabic words that repeat no run: what reading costs, not what it finds."""
    draw = random.Random(seed)
    vocabulary = [a + b for a in WORDS for b in ("", "ان", "ات", "نا", "ها")]
    texts = [" ".join(draw.choices(vocabulary, k=words)) + "." for _ in range(turns)]
    return labelled([((U, A)[i % 2], text) for i, text in enumerate(texts)])


def test_reading_and_checking_is_fast():
    """Under 1 ms a conversation of 8 messages is the aim; the bound leaves room for a busy machine."""
    replies = [invented(seed) for seed in range(200)]
    start = time.process_time()
    for reply in replies:
        faults(read_turns(reply), COFFEE)
    assert (time.process_time() - start) / len(replies) < 0.005


@pytest.mark.parametrize("escape", ["\\ud83d", "\\u0000", "\\u001b", "\\u202e", "\\u200b"])
def test_what_json_escapes_bring_back_is_taken_out_again(escape):
    reply = f'[{{"role":"user","content":"مرحبا {escape} بك"}},{{"role":"assistant","content":"أهلا{escape}."}}]'
    turns = read_turns(reply)
    assert not isinstance(turns, str)
    for _, content in turns.messages:
        content.encode("utf-8")
        assert not any(ord(char) < 32 or char in "\u202e\u200b" for char in content)
