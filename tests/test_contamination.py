import csv
import json
import math
import os
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from mashq import arabic
from mashq.contamination import Contamination, Settings, check_items, write
from mashq.contamination.subsets import _columns, _gap, subset_scores
from mashq.evaluate import evaluate
from mashq.metrics.paired import compare
from mashq.metrics.resample import wilson
from mashq.rows import MashqError, child_ids, conform, id_hex, source_ids

MARKET = (
    "خرج سالم من بيته قبل طلوع الشمس وسار على مهل نحو سوق السمك القديم ليشتري لأمه المريضة سمكة طازجة "
    "كما أوصاه الطبيب في زيارته الأخيرة"
)
BRIDGE = (
    "بدأت البلدية أمس ترميم الجسر الحجري الذي يربط ضفتي النهر بعد أن ظهرت شقوق واسعة في أعمدته "
    "وقال المهندس إن العمل يستغرق ثلاثة أشهر"
)
GARDEN = (
    "في حديقة الجارة شجرة ليمون عجوز لا تثمر إلا كل عامين ومع ذلك ترفض أن تقطعها لأن زوجها الراحل "
    "غرسها يوم ولدت ابنتهما الكبرى"
)
STAR = (
    "لا ترى العين المجردة من المدينة إلا عشرات النجوم أما من قلب الصحراء في ليلة بلا قمر فإن الناظر "
    "يعد منها آلافا قبل أن يغلبه النوم"
)
NOTHING = Settings(groups=10_000, formula_groups=0)  # no wording is left out


def rows(texts, *, name="train", **columns) -> pa.Table:
    """Plain texts as rows, each its own group."""
    return conform({"id": source_ids(name, "1", n=len(texts)), "text": list(texts), **columns})


def asked(pairs, *, name="test", **columns) -> pa.Table:
    """Rows of (prompt, reference)."""
    return conform(
        {
            "id": source_ids(name, "1", n=len(pairs)),
            "messages": [[{"role": "user", "content": prompt}] for prompt, _ in pairs],
            "references": [[answer] if answer is not None else None for _, answer in pairs],
            **columns,
        }
    )


def values(found: Contamination, place: int = 0, name: str = "test") -> dict[tuple[str, str], float]:
    """(part, kind) -> value, of one item in all stages."""
    item = id_hex(source_ids(name, "1", n=place + 1)[place].as_py())
    lines = [line for line in found.evidence.to_pylist() if line["item"] == item]
    return {(line["part"], line["kind"]): line["value"] for line in lines}


def verdicts(found: Contamination, ids: pa.Array) -> list[str]:
    known = dict(zip(found.items["item"].to_pylist(), found.items["verdict"].to_pylist(), strict=True))
    return [known[id_hex(one)] for one in ids.to_pylist()]


# --- copies ----------------------------------------------------------------------------------------------------------


def test_a_copy_is_found_whatever_its_vowels_digits_stretching_and_spelling():
    plain = "وصل القطار إلى المحطة الكبرى في الساعة 7 صباحا يوم 12 من الشهر ونزل منه أربعون مسافرا"
    other = "وَصَلَ القِطَارُ الى المحطـــة الكبري، في الساعه ٧ صباحًا يوم ١٢ من الشهر؛ ونزل منه اربعون مسافراً."
    found = check_items(asked([("س", plain)]), {"pretraining": [rows([GARDEN, other])]})
    line = found.evidence.to_pylist()[0]
    assert (line["kind"], line["part"], line["stage"]) == ("exact", "reference", "pretraining")
    assert line["row"] == id_hex(source_ids("train", "1", n=2)[1].as_py())
    assert found.items["verdict"].to_pylist() == ["contaminated"]
    assert values(found)["reference", "near"] == 1.0


def test_another_number_in_the_text_is_not_the_same_words():
    found = check_items(asked([("س", f"{MARKET} 15")]), {"s": [rows([f"{MARKET} 16"])]})
    assert ("reference", "exact") not in values(found)
    assert values(found)["reference", "ngram8"] > 0.9


def test_unrelated_texts_are_clean_and_untouched():
    found = check_items(asked([(MARKET, BRIDGE)]), {"s": [rows([GARDEN, STAR])]})
    assert found.items.select(["verdict", "touched", "kinds"]).to_pylist() == [
        {"verdict": "clean", "touched": False, "kinds": []}
    ]
    assert found.evidence.num_rows == 0
    assert found.summary["verdict"] == "clean"


def test_the_share_and_the_span_of_a_partial_copy_are_those_counted_by_hand():
    words = arabic.words(MARKET)
    assert len(words) == 25
    half = " ".join([*arabic.words(STAR)[:6], *words[4:16], *arabic.words(GARDEN)[:6]])  # 12 of its words
    found = values(check_items(asked([("س", MARKET)]), {"s": [rows([half])]}))
    assert found["reference", "ngram8"] == 5 / 18  # 12 - 7 of 25 - 7
    assert ("reference", "ngram13") not in found
    assert found["reference", "words"] == 12 / 25
    assert found["reference", "span"] == 12


def test_two_training_texts_together_hold_what_neither_holds_alone():
    words = arabic.words(MARKET)
    parts = rows([" ".join(words[:12]), " ".join(words[8:])])
    found = check_items(asked([("س", MARKET)]), {"s": [parts]})
    assert values(found)["reference", "ngram8"] == (5 + 10) / 18
    assert values(found)["reference", "span"] == 17
    line = next(one for one in found.evidence.to_pylist() if one["kind"] == "ngram8")
    assert line["row"] == id_hex(parts["id"][1].as_py()), "the row that has most of it is named"


def test_a_span_does_not_cross_from_one_turn_into_the_next():
    words = arabic.words(MARKET)
    turns = [{"role": "user", "content": " ".join(words[:12])}, {"role": "assistant", "content": " ".join(words[12:])}]
    training = conform({"id": source_ids("train", "1", n=1), "messages": [turns]})
    found = values(check_items(asked([("س", MARKET)]), {"s": [training]}))
    assert found["reference", "span"] == 13
    assert found["reference", "ngram8"] == (5 + 6) / 18


def test_a_changed_word_leaves_a_near_duplicate():
    words = arabic.words(MARKET)
    found = check_items(asked([("س", MARKET)]), {"s": [rows([" ".join([*words[:20], "قديما", *words[21:]])])]})
    runs = [{tuple(text[at : at + 5]) for at in range(21)} for text in (words, [*words[:20], "قديما", *words[21:]])]
    assert values(found)["reference", "near"] == len(runs[0] & runs[1]) / len(runs[0] | runs[1])
    assert found.items["kinds"].to_pylist() == [["near", "ngram13", "ngram8", "words"]]


def test_prompt_and_reference_are_told_apart():
    found = check_items(asked([(MARKET, BRIDGE)]), {"s": [rows([MARKET])]})
    assert {part for part, _ in values(found)} == {"prompt"}
    assert found.summary["stages"][0]["kinds"]["exact"]["n"] == 1


def test_any_one_of_several_references_is_enough():
    items = conform({"id": source_ids("test", "1", n=1), "references": [[GARDEN, MARKET]]})
    assert values(check_items(items, {"s": [rows([MARKET])]}))["reference", "ngram8"] == 1.0


def test_a_last_turn_of_the_assistant_is_the_reference():
    turns = [{"role": "user", "content": GARDEN}, {"role": "assistant", "content": MARKET}]
    items = conform({"id": source_ids("test", "1", n=1), "messages": [turns]})
    assert {part for part, _ in values(check_items(items, {"s": [rows([MARKET])]}))} == {"reference"}


def test_dropped_rows_are_neither_asked_nor_learnt():
    gone = rows([MARKET], dropped=["short: 1 words < 2"])
    found = check_items(asked([("س", MARKET)]), {"s": [gone]})
    assert found.items["verdict"].to_pylist() == ["clean"]
    assert found.summary["stages"][0]["rows"] == 0
    with pytest.raises(MashqError, match="test items: expected at least one, got none"):
        check_items(gone, {"s": [gone]})


# --- shared wording --------------------------------------------------------------------------------------------------

INSTRUCTION = "اقرأ الفقرة الآتية بعناية ثم أجب عن السؤال الذي يليها بجملة واحدة قصيرة دون أي شرح"


def test_words_of_a_template_are_no_evidence():
    texts = [MARKET, BRIDGE, GARDEN]
    items = asked([(f"{INSTRUCTION}: {text}", "نعم") for text in texts], template="qa/short")
    training = asked([(f"{INSTRUCTION}: {STAR}", "لا")], name="train", template="qa/short")
    found = check_items(items, {"tuning": [training]})
    assert found.evidence.num_rows == 0
    assert verdicts(found, items["id"]) == ["clean"] * 3
    wording = found.summary["common_wording"][0]
    assert (wording["why"], wording["items"]) == ("template", 3)
    assert wording["text"].startswith("اقرا الفقره الاتيه")


def test_words_of_a_template_that_one_item_has_are_known_from_its_training_rows():
    items = asked([(f"{INSTRUCTION}: {MARKET}", "نعم")], template="qa/short")
    training = [(f"{INSTRUCTION}: {text}", "لا") for text in (STAR, BRIDGE, GARDEN)]
    named = check_items(items, {"tuning": [asked(training, name="train", template="qa/short")]})
    assert named.evidence.num_rows == 0
    assert not named.items["touched"].to_pylist()[0]
    elsewhere = check_items(items, {"tuning": [asked(training, name="train", template="other")]})
    assert values(elsewhere)["prompt", "ngram8"] == 9 / 34, "16 words of instruction, of 41"


def test_a_system_prompt_that_every_row_begins_with_is_no_evidence():
    def told(name, texts):
        turns = [[{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": text}] for text in texts]
        return conform({"id": source_ids(name, "1", n=len(texts)), "template": "chat", "messages": turns})

    training = told("train", [STAR, BRIDGE, GARDEN])
    assert check_items(told("test", [MARKET]), {"tuning": [training]}).evidence.num_rows == 0
    copied = check_items(told("test", [MARKET, STAR]), {"tuning": [training]})
    assert verdicts(copied, source_ids("test", "1", n=2)) == ["clean", "contaminated"]


def test_a_passage_under_several_questions_is_content_where_their_group_is_one():
    items = asked([(f"{MARKET}. {q}؟", "نعم") for q in ("أين ذهب", "من مرض", "متى خرج")], group=["passage 1"] * 3)
    found = check_items(items, {"s": [rows([MARKET])]})
    assert verdicts(found, items["id"]) == ["contaminated"] * 3


def test_a_formula_of_many_training_groups_is_no_evidence_and_is_listed():
    prayer = "اللهم صل وسلم وبارك على سيدنا محمد وعلى آله وصحبه أجمعين ومن تبعهم بإحسان"
    items = asked([("س", f"{prayer} {MARKET}")])
    training = rows([f"{prayer} {n} {STAR if n % 2 else GARDEN}" for n in range(12)] + [BRIDGE])
    found = check_items(items, {"s": [training]}, settings=Settings(formula_groups=12))
    assert values(found) == {}
    assert found.summary["common_wording"] == [
        {"text": arabic.normalise(prayer, "search"), "why": "formula", "items": 1, "training_groups": 12}
    ]
    fewer = check_items(items, {"s": [training]}, settings=Settings(formula_groups=13))
    assert values(fewer)["reference", "span"] == 14
    again = check_items(items, {"s": [training]}, settings=Settings(formula_groups=13), formulae=[prayer])
    assert again.summary["common_wording"][0]["why"] == "given"
    assert values(again) == {}


def test_a_copy_repeated_in_one_group_is_no_formula():
    training = rows([MARKET] * 60, group=["one book"] * 60)
    assert check_items(asked([("س", MARKET)]), {"s": [training]}).items["verdict"].to_pylist() == ["contaminated"]


def test_a_whole_copy_stays_a_copy_however_often_it_was_repeated():
    found = check_items(asked([("س", MARKET)]), {"s": [rows([MARKET] * 60 + [GARDEN] * 600)]})
    assert found.items["kinds"].to_pylist() == [["exact", "near", "ngram13", "ngram8", "words"]]


def test_rows_of_numbers_are_no_evidence():
    count = " ".join(map(str, range(40)))
    found = check_items(asked([("س", count)]), {"s": [rows([count])]})
    assert found.items["verdict"].to_pylist() == ["untold"]


def test_prompts_that_a_grid_made_of_pieces_are_untold_and_not_contaminated():
    places = ["العراق", "ليبيا", "الصومال", "المغرب", "عمان", "تونس", "اليمن"]
    plots = ["السباحة في النهر", "صيد السمك", "تسلق الجبال", "قراءة الكتب", "جمع الطوابع", "ركوب الخيل", "زراعة الورد"]
    lessons = ["الصدق ينجي صاحبه", "الغش لا يوصلك إلى شيء", "التعاون يصنع المستحيل", "في التأني السلامة"]
    made = [
        f"أكتب قصة قصيرة مفهومة للأطفال. بلد الأحداث هي {place} والنشاط في القصة هو {plot}. "
        f"الدرس المستفاد منها هو أن {lesson}."
        for place in places
        for plot in plots
        for lesson in lessons
    ]
    random.Random(0).shuffle(made)
    items = asked([(prompt, "نعم") for prompt in made[:20]], template="story")
    training = asked([(prompt, STAR) for prompt in made[20:]], name="train", template="story")
    found = check_items(items, {"tuning": [training]})
    assert found.summary["contaminated"]["n"] == 0
    copies = asked([(prompt, "نعم") for prompt in made[:5]], name="copies", template="story")
    again = check_items(items, {"tuning": [training, copies]})
    assert again.summary["stages"][0]["kinds"]["pair"]["n"] == 5


# --- too short -------------------------------------------------------------------------------------------------------


def test_a_short_answer_is_too_short_to_tell_and_not_clean():
    items = asked([("ما عاصمة الأردن؟", "مدينة عمان"), (MARKET, "مدينة عمان")])
    found = check_items(items, {"s": [rows(["مدينة عمان"])]})
    assert verdicts(found, items["id"]) == ["untold", "clean"]
    assert found.summary["too_short"] == {"prompt": 1, "reference": 2}
    assert found.subset("untold") == {id_hex(items["id"][0].as_py())}


def test_the_same_short_question_with_the_same_answer_is_a_pair():
    items = asked([("ما عاصمة الأردن؟", "مدينة عمان")])
    learnt = asked([("ما عاصمه الأردن", "مدينة عَمّان")], name="train")
    other = asked([("ما عاصمة الأردن؟", "القدس"), ("ما عاصمة عمان؟", "مدينة عمان")], name="train")
    assert values(check_items(items, {"s": [learnt]})) == {("item", "pair"): 1.0}
    assert values(check_items(items, {"s": [other]})) == {}


def test_a_prompt_that_many_items_share_makes_no_pair():
    items = asked([("اختر كلمة", "بحر"), ("اختر كلمة", "جبل"), ("اختر كلمة", "نهر")])
    assert check_items(items, {"s": [asked([("اختر كلمة", "بحر")], name="train")]}).evidence.num_rows == 0


# --- twins -----------------------------------------------------------------------------------------------------------


def line(table: pa.Table, step: str, **columns) -> pa.Table:
    """One child of each row."""
    ids = child_ids(table["id"], step=step)
    parents = [[one] for one in table["id"].to_pylist()]
    return conform({"id": ids, "parents": parents, **columns})


def test_a_translation_of_the_items_source_is_a_twin_where_no_word_is_shared():
    english = rows(["Salem left the house before sunrise and walked to the old fish market."], name="english")
    items = line(english, "dialect", references=[[MARKET]])
    training = line(english, "translate", text=[STAR])
    found = check_items(items, {"tuning": [training]})
    assert [(one["kind"], one["detail"]) for one in found.evidence.to_pylist()] == [
        ("twin", id_hex(english["id"][0].as_py()))
    ]
    assert found.items["verdict"].to_pylist() == ["contaminated"]


def test_twins_are_found_across_steps_and_only_with_their_lineage():
    english = rows(["one", "two"], name="english")
    left, right = line(english, "left"), line(english, "right")
    further = line(right, "prompts")
    items, training = line(left, "ask", references=[[MARKET], [BRIDGE]]), line(further, "learn", text=[STAR, GARDEN])
    training = training.slice(1)
    steps = [further, right, left, english]
    found = check_items(items, {"s": [training]}, lineage=lambda: steps)
    assert verdicts(found, items["id"]) == ["clean", "contaminated"]
    assert check_items(items, {"s": [training]}).evidence.num_rows == 0


def test_training_on_the_item_or_on_what_was_made_of_it_is_a_twin():
    items = asked([(MARKET, "نعم"), (GARDEN, "نعم")])
    made = line(items.slice(1), "paraphrase", text=[STAR])
    found = check_items(items, {"s": [made, items.slice(0, 1)]})
    assert [values(found, place)["item", "twin"] for place in (0, 1)] == [1.0, 1.0]


def test_an_example_before_a_prompt_is_not_what_it_was_made_from():
    record, example = source_ids("records", "1", n=2).to_pylist()
    items = conform({"id": source_ids("test", "1", n=1), "parents": [[record, example]], "references": [[MARKET]]})
    training = conform({"id": source_ids("train", "1", n=1), "parents": [[example]], "text": [STAR]})
    assert check_items(items, {"s": [training]}).evidence.num_rows == 0
    shown = conform({"id": source_ids("train", "1", n=1), "parents": [[example, record]], "text": [STAR]})
    assert values(check_items(items, {"s": [shown]})) == {("item", "twin"): 1.0}


def test_rows_that_are_their_own_ancestors_end():
    one, two = source_ids("loop", "1", n=2).to_pylist()
    loop = conform({"id": [one, two], "parents": [[two], [one]], "references": [[MARKET], [GARDEN]]})
    found = check_items(loop.slice(0, 1), {"s": [rows([STAR])]}, lineage=lambda: [loop])
    assert found.items["verdict"].to_pylist() == ["clean"]


# --- against a plain count -------------------------------------------------------------------------------------------

WORDS = ["بيت", "نهر", "قمر", "شجر", "طير", "بحر"]
texts_of_few_words = st.lists(st.lists(st.sampled_from(WORDS), max_size=24).map(" ".join), min_size=1, max_size=5)


def grams(words, n):
    return [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]


def longest(one, other):
    return max((n for n in range(1, len(one) + 1) if set(grams(one, n)) & set(grams(other, n))), default=0)


@limits(max_examples=40, deadline=None)
@given(texts_of_few_words, texts_of_few_words)
def test_shares_spans_and_jaccard_are_those_of_a_plain_count(tests, training):
    items = conform({"id": source_ids("test", "1", n=len(tests)), "references": [[one] for one in tests]})
    plain = Settings(orders=(6, 8), near=0.0, least=1, own=0.0, groups=10_000, formula_groups=0)
    found = check_items(items, {"s": [rows(training)]}, settings=plain)
    for place, test in enumerate(tests):
        got, own = values(found, place), test.split()
        for order in (6, 8):
            every = {gram for text in training for gram in grams(text.split(), order)}
            hits = [gram in every for gram in grams(own, order)]
            assert got.get(("reference", f"ngram{order}"), 0) == (sum(hits) / len(hits) if hits else 0)
        if len(own) >= 6:
            six = {gram for text in training for gram in grams(text.split(), 6)}
            hit = {at + more for at, gram in enumerate(grams(own, 6)) if gram in six for more in range(6)}
            assert got.get(("reference", "words"), 0) == len(hit) / len(own)
            span = max(longest(own, text.split()) for text in training)
            assert got.get(("reference", "span"), 0) == (span if span >= 5 else 0)
            sets = [(set(grams(own, 5)), set(grams(text.split(), 5))) for text in training]
            measures = [len(one & two) / len(one | two) for one, two in sets]
            assert got.get(("reference", "near"), 0) == pytest.approx(max(measures))
        assert (("reference", "exact") in got) == (len(own) >= 6 and any(text.split() == own for text in training))


def mixed_rows(seed: int) -> tuple[pa.Table, pa.Table]:
    """Items and training rows that share wording, formulae and copies of every kind."""
    generator = random.Random(seed)
    pool = [*arabic.words(f"{MARKET} {BRIDGE} {GARDEN} {STAR}")]
    made = [" ".join(generator.choices(pool, k=generator.randint(0, 40))) for _ in range(60)]
    spans = [" ".join(text.split()[3:25]) for text in made]
    training = [f"{INSTRUCTION} {text}" for text in [*made[20:], *spans[:10], *made[:6], *(made[7:9] * 4)]]
    items = asked([(f"{INSTRUCTION} {text}", text) for text in made[:20]], template="t")
    return items, rows(training, template=[("t", None)[n % 2] for n in range(len(training))])


@pytest.mark.parametrize("formula_groups", [3, 50])
def test_the_order_and_the_cut_of_tables_change_no_byte(tmp_path, monkeypatch, formula_groups):
    items, training = mixed_rows(1)
    chosen = Settings(formula_groups=formula_groups)
    write(check_items(items, {"s": [training]}, settings=chosen), tmp_path / "whole")
    order = np.random.default_rng(0).permutation(training.num_rows)
    shuffled = training.take(pa.array(order))
    monkeypatch.setattr("mashq.contamination.check.ROWS_AT_A_TIME", 7)
    again = check_items(
        items.take(pa.array(order[order < 20])), {"s": [shuffled.slice(0, 11), shuffled.slice(11)]}, settings=chosen
    )
    write(again, tmp_path / "cut")
    for name in ("contamination.json", "items.parquet", "evidence.parquet"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


# --- what is said ----------------------------------------------------------------------------------------------------


def test_stages_are_counted_apart_with_wilson_intervals():
    items = asked([("س", text) for text in (MARKET, BRIDGE, GARDEN, STAR)])
    found = check_items(items, {"pretraining": [rows([MARKET, "كلمة"])], "tuning": [rows([BRIDGE, MARKET])]})
    first, second = found.summary["stages"]
    assert (first["stage"], first["rows"], first["contaminated"]["n"], second["contaminated"]["n"]) == (
        "pretraining",
        2,
        1,
        2,
    )
    low, high = wilson(0.25, 4)
    # groups are given, so Student's quantile for 3 degrees of freedom makes it wider
    assert first["contaminated"]["low"] < low < high < first["contaminated"]["high"]
    assert found.summary["contaminated"]["n"] == 2
    assert found.summary["verdict"] == "contaminated"
    assert found.summary["reason"] == "contaminated: 2 of 4 items (50.0%) > 1.0%"
    assert "norm:nfc-phrases-presentation" in found.summary["signature"]


def test_what_is_written_is_read_back(tmp_path):
    found = check_items(asked([("س", MARKET)]), {"s": [rows([MARKET])]})
    document = write(found, tmp_path)
    assert json.loads((tmp_path / "contamination.json").read_text("utf-8")) == json.loads(json.dumps(document))
    assert pq.read_table(tmp_path / "evidence.parquet").equals(found.evidence)
    assert pq.read_table(tmp_path / "items.parquet").equals(found.items)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\t",
        "؟!",
        "\x00\x01",
        "\N{ARABIC TATWEEL}" * 9,
        "\N{ARABIC FATHA}" * 30,
        "😀" * 30,
        "字" * 40,
        "a" * 100_000,
    ],
)
def test_odd_texts_do_no_harm(text):
    found = check_items(asked([(text, text), (MARKET, None)]), {"s": [rows([text, MARKET]), rows([])]})
    assert found.items.num_rows == 2
    assert values(found, 1)["prompt", "exact"] == 1.0


ODD = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
PROSE = st.lists(st.text("ابتثجحخدذرزسشصضطعغفقكلمنهوي", min_size=2, max_size=6), min_size=9, max_size=30).map(" ".join)


@limits(max_examples=25, deadline=None)
@given(st.lists(st.one_of(ODD, PROSE), min_size=1, max_size=5), st.lists(ODD, max_size=4))
def test_any_text_is_taken_and_its_copy_is_never_clean(tests, training):
    items = asked([(text, None) for text in tests])
    found = check_items(items, {"s": [asked([(text, None) for text in [*training, *tests]], name="train")]})
    assert set(found.items["verdict"].to_pylist()) <= {"contaminated", "untold"}


def test_of_private_items_no_word_is_told():
    items = asked([(f"{INSTRUCTION}: {text}", text) for text in (MARKET, BRIDGE, GARDEN)])
    found = check_items(items, {"s": [rows([MARKET])]}, private=True)
    assert found.summary["contaminated"]["n"] == 1
    told = json.dumps([found.summary, found.items.to_pylist(), found.evidence.to_pylist()], ensure_ascii=False)
    assert not any(word in told for word in ("سوق", "اقرا", "الجسر"))


def test_no_training_row_at_all_leaves_everything_clean():
    assert check_items(asked([("س", MARKET)]), {"s": []}).items["verdict"].to_pylist() == ["clean"]


def test_errors_name_what_is_wrong():
    items = asked([("س", MARKET)])
    with pytest.raises(MashqError, match="contamination: stages: expected at least one training stage, got none"):
        check_items(items, {})
    with pytest.raises(MashqError, match="test items: expected one row an id, got two of"):
        check_items(pa.concat_tables([items, items]), {"s": []})
    with pytest.raises(MashqError, match="rows of stage 'tuning': expected a column 'parents', got id"):
        check_items(items, {"tuning": [items.select(["id"])]})
    with pytest.raises(MashqError, match=r"contamination: share: expected 0..1, got 1.5"):
        Settings(share=1.5)
    with pytest.raises(MashqError, match="contamination: orders: expected numbers from 5 up, got"):
        Settings(orders=(3,))
    with pytest.raises(MashqError, match="formulae: expected a list of texts, got one string"):
        check_items(items, {"s": []}, formulae=MARKET)
    with pytest.raises(MashqError, match="formula 1: expected a Unicode text, got a lone surrogate"):
        check_items(items, {"s": []}, formulae=[MARKET, "\ud800"])
    with pytest.raises(MashqError, match="contamination: least: expected 1 or more, got 0"):
        Settings(least=0)
    with pytest.raises(MashqError, match="contamination: subset: expected one of all, clean"):
        check_items(items, {"s": []}).subset("dirty")


# --- scores ----------------------------------------------------------------------------------------------------------


def evaluated(found: Contamination, scored: dict[str, dict[str, float]], groups=None) -> tuple[pa.Table, dict]:
    """Samples and scores of systems, in the shape that `evaluate` writes."""
    items = found.items["item"].to_pylist()
    lines = [
        {
            "item": item,
            "system": system,
            "group": groups[place] if groups else item,
            "rougeL": values[item],
            "nats": 10.0 + values[item],
            "target_bytes": 20 + place,
            "target_tokens": 5,
        }
        for place, item in enumerate(items)
        for system, values in scored.items()
    ]
    known = [("rougeL", "rougeL|tok:x|agg:mean|mashq:0"), ("bits_per_byte", "bits_per_byte|mashq:0")]
    known.append(("perplexity", "perplexity|mashq:0"))
    scores = {
        "baseline": "base",
        "metrics": {name: {"higher_is_better": name == "rougeL"} for name, _ in known},
        "scores": [
            {"system": system, "metric": name, "slice": {"by": "all", "value": ""}, "signature": signature}
            for system in scored
            for name, signature in known
        ],
    }
    schema = [("item", "string"), ("system", "string"), ("group", "string"), ("rougeL", "float64"), ("nats", "float64")]
    fields = [pa.field(name, getattr(pa, kind)()) for name, kind in schema]
    fields += [pa.field("target_bytes", pa.int64()), pa.field("target_tokens", pa.int64())]
    return pa.Table.from_pylist(lines, schema=pa.schema(fields)), scores


def checked(n: int, copied: int) -> Contamination:
    generator = random.Random(5)
    pool = arabic.words(f"{MARKET} {BRIDGE} {GARDEN} {STAR}")
    texts = [" ".join(generator.sample(pool, 20)) for _ in range(n)]
    return check_items(asked([("س", text) for text in texts]), {"s": [rows(texts[:copied])]}, settings=NOTHING)


def test_scores_of_subsets_are_their_means_and_the_gain_is_that_of_the_clean_items():
    found = checked(12, 5)
    items = found.items["item"].to_pylist()
    generator = np.random.default_rng(3)
    dirty = found.subset("contaminated")
    scored = {
        "base": {item: float(generator.random()) for item in items},
        "tuned": {item: float(generator.random()) + (item in dirty) for item in items},
    }
    samples, scores = evaluated(found, scored)
    made = subset_scores(found, samples, scores)
    mean = {(one["system"], one["subset"]): one for one in made["scores"] if one["metric"] == "rougeL"}
    clean = sorted(found.subset("clean"))
    assert len(clean) == 7
    assert mean["tuned", "clean"]["value"] == pytest.approx(np.mean([scored["tuned"][item] for item in clean]))
    assert mean["tuned", "contaminated"]["n"] == 5
    assert mean["tuned", "clean"]["signature"].split("|")[-2] == "subset:clean"
    gap = next(one for one in made["differences"] if (one["system"], one["metric"]) == ("tuned", "rougeL"))
    assert gap["difference"] == pytest.approx(mean["tuned", "contaminated"]["value"] - mean["tuned", "clean"]["value"])
    assert gap["low"] < gap["difference"] < gap["high"]
    assert gap["n"] == [5, 7]
    gain = next(one for one in made["gains"] if (one["subset"], one["metric"]) == ("clean", "rougeL"))
    sides = [[scored[system][item] for item in clean] for system in ("tuned", "base")]
    expected = compare(*sides, metric="rougeL", groups=clean)
    assert (gain["difference"], gain["p"], gain["n"]) == (expected.difference, expected.p, 7)
    assert {one["metric"] for one in made["gains"]} == {"rougeL", "bits_per_byte"}
    bits = {(one["system"], one["subset"]): one["value"] for one in made["scores"] if one["metric"] == "bits_per_byte"}
    nats = sum(10 + scored["base"][item] for item in clean)
    assert bits["base", "clean"] == pytest.approx(nats / math.log(2) / sum(20 + items.index(item) for item in clean))


def replies(items: pa.Table, said: list[str], nats: float) -> pa.Table:
    """A system's replies to items, as `generate` writes them."""
    asked_ = items.to_pylist()
    turns = [[*row["messages"], {"role": "assistant", "content": one}] for row, one in zip(asked_, said, strict=True)]
    sizes = [len(row["references"][0].encode()) for row in asked_]
    meta = [{"finish": "stop", "nats": nats * size, "target_bytes": size, "target_tokens": size // 3} for size in sizes]
    columns = {"messages": turns, "references": items["references"], "meta": [json.dumps(one) for one in meta]}
    return line(items, f"replies {nats}", **columns)


def test_what_evaluate_wrote_is_read(tmp_path):
    items = asked([("س", text) for text in (MARKET, BRIDGE, GARDEN, STAR)])
    learnt = [MARKET, BRIDGE, " ".join(GARDEN.split()[:9]), "لا أدري"]
    systems = {"base": [replies(items, ["لا أدري"] * 4, 2.0)], "tuned": [replies(items, learnt, 1.0)]}
    metrics = ["rougeL", "exact", "bits_per_byte", "perplexity"]
    scores = evaluate(systems, baseline="base", metrics=metrics, out=tmp_path)
    found = check_items(items, {"tuning": [rows([MARKET, BRIDGE])]})
    made = subset_scores(found, tmp_path / "samples.parquet", scores)
    value = {(one["system"], one["metric"], one["subset"]): one["value"] for one in made["scores"]}
    assert value["tuned", "exact", "contaminated"] == 1.0
    assert value["tuned", "exact", "clean"] == 0.0
    for one in scores["scores"]:
        if one["slice"]["by"] == "all":
            assert value[one["system"], one["metric"], "all"] == pytest.approx(one["value"])
    gain = {(one["metric"], one["subset"]): one["difference"] for one in made["gains"]}
    assert 0 < gain["rougeL", "clean"] < gain["rougeL", "all"]
    assert gain["bits_per_byte", "clean"] == pytest.approx(-1 / math.log(2))
    document = write(found, tmp_path, made)
    assert json.loads((tmp_path / "contamination.json").read_text("utf-8")) == json.loads(json.dumps(document))


def test_the_interval_of_the_difference_covers_what_it_should():
    """Of 400 draws without a true difference, groups of three items, 95 % of the intervals hold 0, give or take 3.5."""
    found = checked(60, 24)
    items = found.items["item"].to_pylist()
    groups = [f"g{place // 3}" for place in range(60)]  # straddle both subsets
    generator = np.random.default_rng(11)
    held = 0
    for _ in range(400):
        shared = generator.normal(size=20)
        drawn = {item: float(shared[place // 3] + generator.normal()) for place, item in enumerate(items)}
        samples, scores = evaluated(found, {"base": drawn}, groups)
        scores["scores"] = scores["scores"][:1]
        by_item = {line["item"]: line for line in samples.to_pylist()}
        sides = [_columns(by_item, "rougeL", found.subset(name)) for name in ("contaminated", "clean")]
        gap = _gap(*sides, "rougeL")
        held += gap["low"] <= 0 <= gap["high"]
    assert 0.915 <= held / 400 <= 0.985


def test_no_contaminated_item_leaves_no_difference():
    found = checked(4, 0)
    samples, scores = evaluated(found, {"base": dict.fromkeys(found.items["item"].to_pylist(), 0.5)})
    made = subset_scores(found, samples, scores)
    assert {one["difference"] for one in made["differences"]} == {None}
    assert {one["subset"] for one in made["scores"]} == {"all", "clean", "untouched"}
    assert made["gains"] == []


def test_samples_of_other_items_and_metrics_without_a_column_are_refused():
    found = checked(4, 1)
    samples, scores = evaluated(found, {"base": dict.fromkeys(found.items["item"].to_pylist(), 0.5)})
    with pytest.raises(MashqError, match="sample of item 0: expected an item that was checked"):
        subset_scores(found, samples.set_column(0, "item", pa.array(["0"] * 4)), scores)
    with pytest.raises(MashqError, match="samples: expected a column 'rougeL' for rougeL, got item, system"):
        subset_scores(found, samples.drop_columns("rougeL"), scores)


# --- published files -------------------------------------------------------------------------------------------------

DATA = Path(os.environ.get("MASHQ_DATA", ""))
STORIES = "arastories_msa.csv"


def read_stories() -> list[dict[str, str]]:
    with (DATA / STORIES).open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    random.Random(0).shuffle(lines)
    return lines[:700]


@pytest.mark.skipif(not os.environ.get("MASHQ_DATA"), reason="MASHQ_DATA names no folder of published files")
def test_published_passages_are_found_in_their_own_training_and_not_in_stories():
    if not (DATA / STORIES).exists() or not (DATA / "xquad.ar.json").exists():
        pytest.skip(f"{STORIES} or xquad.ar.json is absent from $MASHQ_DATA")
    stories = [one["Story"] for one in read_stories()]
    articles = json.loads((DATA / "xquad.ar.json").read_text("utf-8"))["data"]
    passages = [one["context"] for article in articles for one in article["paragraphs"]]
    items = asked([("س", text) for text in passages[:60]])
    prompts = [one["Prompt"] for one in read_stories()]
    told = asked(list(zip(prompts[:100], stories, strict=False)), template="story")
    others = asked(list(zip(prompts[100:], stories[100:], strict=False)), name="train", template="story")
    assert check_items(told, {"tuning": [others]}).summary["contaminated"]["n"] == 0
    apart = check_items(items, {"stories": [rows(stories)], "passages": [rows(passages[60:])]})
    assert apart.summary["contaminated"]["n"] == 0
    same = check_items(items, {"passages": [rows(passages[30:])]})
    assert same.summary["stages"][0]["kinds"]["exact"]["n"] == 30
