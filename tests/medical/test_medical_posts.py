import itertools
import json
import math
import re
import unicodedata
from collections import Counter

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq.medical import posts as medical_posts
from mashq.medical.posts import IDENTIFIERS, NOISE, SPELLINGS, VARIETIES, WHOLE, Rates, placeholder, to_jsonl, write
from mashq.medical.posts_identifiers import ARABIC_DIGITS
from mashq.medical.posts_noise import KEYS, shaped
from mashq.rows import MashqError

THREADS = list(write(2400, seed=5))
POSTS = [(post, clean) for thread in THREADS for post, clean in zip(thread.posts, thread.clean, strict=True)]
SPANS = [(one, post, clean) for post, clean in POSTS for one in post.planted]
QUIET = Rates(noise=0, spelling=0)
SAID = {name: yaml.safe_load((medical_posts.DATA / f"{name}.yaml").read_text("utf-8")) for name in VARIETIES}
ANSWERS = yaml.safe_load((medical_posts.DATA / "answers.yaml").read_text("utf-8"))
WESTERN = {to: digit for digit, to in zip("0123456789", map(chr, range(0x660, 0x66A)), strict=True)}


def of_kind(kind):
    found = [(one, post.text[one.start : one.end], post, clean) for one, post, clean in SPANS if one.kind == kind]
    assert found, kind
    return found


def digits(text):
    return re.sub(r"\D", "", "".join(WESTERN.get(mark, mark) for mark in text))


# --- the same for everyone -------------------------------------------------------------------------------------------


def test_a_thread_is_the_same_whatever_n_is_and_another_seed_gives_others():
    assert list(write(40, seed=5)) == THREADS[:40]
    assert THREADS[7] == list(write(8, seed=5))[7]
    other = list(write(40, seed=6))
    assert not {thread.posts[0].text for thread in other} & {thread.posts[0].text for thread in THREADS[:40]}
    assert [thread.key for thread in THREADS[:3]] == ["5-0", "5-1", "5-2"]


def test_the_varieties_take_turns_and_can_be_chosen():
    originals = [thread for thread in THREADS if thread.of is None]
    assert {thread.variety for thread in THREADS} == set(VARIETIES)
    assert all(thread.variety == VARIETIES[int(thread.key.split("-")[1]) % 6] for thread in originals)
    assert {thread.variety for thread in write(30, varieties=["gulf"])} == {"gulf"}


def test_every_kind_and_every_flag_is_there():
    kinds = {one.kind for one, _, _ in SPANS}
    assert kinds == {*NOISE, *SPELLINGS, *IDENTIFIERS, *WHOLE, "unsafe"}
    assert {flag for thread in THREADS for flag in thread.flags} == set(medical_posts.FLAGS)


# --- offsets ---------------------------------------------------------------------------------------------------------


def test_spans_are_inside_in_order_and_only_a_whole_post_holds_others():
    for post, _ in POSTS:
        spans = [one for one in post.planted if one.kind not in WHOLE]
        assert all(0 <= one.start < one.end <= len(post.text) for one in spans)
        assert all(one.end <= after.start for one, after in itertools.pairwise(spans))
        assert all((one.start, one.end) == (0, len(post.text)) for one in post.planted if one.kind in WHOLE)


def test_without_noise_the_clean_post_is_the_raw_one_with_placeholders_at_the_spans():
    for thread in write(600, rates=QUIET):
        for post, clean in zip(thread.posts, thread.clean, strict=True):
            made, at = "", 0
            for one in post.planted:
                if one.kind in IDENTIFIERS or one.kind == "url":
                    made += post.text[at : one.start] + (placeholder(one.kind) if one.kind != "url" else "")
                    at = one.end
            made += post.text[at:]
            assert (made.rstrip() if "url" in {one.kind for one in post.planted} else made) == clean.text


def test_with_nothing_planted_raw_is_clean():
    nothing = Rates(noise=0, spelling=0, identifiers=0, spam=0)
    assert all(thread.posts[0].text == thread.clean[0].text for thread in write(300, rates=nothing))


def test_the_clean_posts_are_the_same_with_and_without_noise():
    loud = Rates(noise=1, spelling=1)
    for quiet, noisy in zip(write(600, rates=QUIET), write(600, rates=loud), strict=True):
        assert [post.text for post in quiet.clean] == [post.text for post in noisy.clean]
        assert all(post.text != clean.text for post, clean in zip(noisy.posts, noisy.clean, strict=True))


def test_each_span_holds_what_its_kind_says():
    forms = {
        "url": r"https?://\S+|www\.\S+", "mention": r"@\w+", "hashtag": r"#\w+", "html_entity": r"&\S+;",
        "html_tag": r"<.+>", "tatweel": "\N{ARABIC TATWEEL}+", "arabizi": r"[\x20-\x7e]+", "handle": r"@?\w+",
        "email": r"[\w.]+(@| @ |\[at\])[\w.]+\.(example|example\.(com|net|org))",
    }  # fmt: skip
    for kind, pattern in forms.items():
        for _, text, _, clean in of_kind(kind):
            assert re.fullmatch(pattern, text), (kind, text)
            assert kind in IDENTIFIERS or text not in clean.text
    names = yaml.safe_load((medical_posts.DATA / "names.yaml").read_text("utf-8"))
    people = {part for key in ("male", "female", "family") for part in names[key].split()}
    for kind in ("name", "doctor"):
        assert all(set(text.split()) <= people for _, text, _, _ in of_kind(kind))
    assert all(text in names["hospitals"] for _, text, _, _ in of_kind("hospital"))
    for one, text, _, _ in of_kind("zero_width"):
        assert len(text) == 1 and unicodedata.name(text) == one.value_kind


@pytest.mark.parametrize("kind", ["elongation", "punctuation"])
def test_the_amount_is_recorded(kind):
    for one, text, _, _ in of_kind(kind):
        assert len(set(text)) == 1 and one.value_kind == f"x{len(text)}" and len(text) >= 3


def test_what_was_garbled_can_be_read_again_in_the_clean_post():
    for one, text, _, clean in of_kind("mojibake"):
        assert text.encode(one.value_kind).decode() in clean.text
    back = {keys: letters for letters, keys in KEYS.items()}
    for _, text, _, clean in of_kind("keyboard"):
        assert "".join(back[key] for key in text) in clean.text
    for _, text, _, clean in of_kind("presentation"):
        assert unicodedata.normalize("NFKC", text) == text or unicodedata.normalize("NFKC", text) in clean.text
        assert any(letter >= "\N{ARABIC LETTER HAMZA ISOLATED FORM}" for letter in text)
    for one, text, _, clean in of_kind("dialect_spelling"):
        assert one.value_kind in clean.text and text != one.value_kind


def test_phones_have_the_length_of_their_country_and_numbers_their_check_digit():
    long = {"EG": 10, "SA": 9, "AE": 9, "KW": 8, "QA": 8, "JO": 9, "SY": 9, "LB": 8, "PS": 9, "IQ": 10, "MA": 9}
    codes = {"EG": "20", "SA": "966", "AE": "971", "KW": "965", "QA": "974", "JO": "962", "SY": "963", "LB": "961"}
    codes |= {"PS": "970", "IQ": "964", "MA": "212"}
    for one, text, _, _ in of_kind("phone"):
        country, form = one.value_kind.split()[:2]
        number = digits(text).removeprefix("00") if form == "zeros" else digits(text)
        if form in ("national", "spaced"):
            assert len(number) == long[country] + (country not in ("KW", "QA", "LB"))
        else:
            assert number.startswith(codes[country]) and len(number) == long[country] + len(codes[country])
    for one, text, _, _ in of_kind("national_id"):
        if one.value_kind.split()[0] in ("SA", "AE"):
            doubled = [int(mark) * (1 + place % 2) for place, mark in enumerate(reversed(digits(text)))]
            assert sum(value // 10 + value % 10 for value in doubled) % 10 == 0


# --- how many --------------------------------------------------------------------------------------------------------


def near(count, n, rate):
    """Within five standard deviations of a binomial."""
    return abs(count - n * rate) <= 5 * math.sqrt(n * rate * (1 - rate)) + 1


@pytest.mark.parametrize(
    "rates",
    [Rates(), Rates(noise=0.9, spelling=0.1, identifiers=0.7, unsafe=0.3, red_flag=0.2, spam=0.4, duplicate=0.1)],
)
def test_what_is_planted_is_as_frequent_as_asked(rates):
    threads = list(write(1800, seed=3, rates=rates))
    flags = Counter(flag for thread in threads for flag in thread.flags)
    for name in ("duplicate", "near_duplicate"):
        assert near(flags[name], len(threads), getattr(rates, name)), name
    originals = [thread for thread in threads if thread.of is None]
    flags = Counter(flag for thread in originals for flag in thread.flags)
    for name in ("red_flag", "too_short", "not_arabic", "spam", "thanks", "me_too"):
        assert near(flags[name], len(originals), getattr(rates, name)), name
    assert near(flags["unsafe"], len(originals), rates.unsafe)
    posts = [post for thread in originals for post in thread.posts if "spam" not in {p.kind for p in post.planted}]
    noisy = sum(any(one.kind in NOISE for one in post.planted) for post in posts)
    assert near(noisy, len(posts), rates.noise)
    asked = [thread.posts[0] for thread in originals if not thread.flags & {"too_short", "not_arabic"}]
    named = sum(any(one.kind in IDENTIFIERS for one in post.planted) for post in asked)
    assert near(named, len(asked), rates.identifiers)
    misspelt = sum(any(one.kind in SPELLINGS for one in post.planted) for post in asked)
    assert near(misspelt, len(asked), rates.spelling)


def test_equal_questions_are_planted_duplicates():
    by_key = {thread.key: thread for thread in THREADS}
    for thread in THREADS:
        if "duplicate" in thread.flags:
            assert [post.text for post in thread.posts] == [post.text for post in by_key[thread.of].posts]
        if "near_duplicate" in thread.flags:
            assert thread.posts[0].text != by_key[thread.of].posts[0].text
        if thread.of:
            assert by_key[thread.of].of is None and by_key[thread.of].group == thread.group
        assert (thread.of is not None) == bool(thread.flags & {"duplicate", "near_duplicate"})
    near = [thread for thread in THREADS if "near_duplicate" in thread.flags]
    same_answer = sum(thread.posts[-1].text == by_key[thread.of].posts[-1].text for thread in near)
    assert same_answer < 0.7 * len(near)  # its noise is its own
    kept = [thread for thread in THREADS if thread.pair]
    assert len({thread.posts[0].text for thread in kept}) == len(kept)
    assert len({thread.pair for thread in kept}) == len(kept)


def test_no_condition_stands_in_two_groups_and_answers_differ():
    assert all(thread.group.startswith(f"{thread.complaint}/") for thread in THREADS)
    answers = [thread.pair[1] for thread in THREADS if thread.pair]
    assert len(set(answers)) > 0.99 * len(answers)


# --- what is said ----------------------------------------------------------------------------------------------------


def own_words(name):
    """Words of a variety's phrases that no other variety's phrases have, prefixes left as they are."""

    def words(tree):
        leaves = tree.values() if isinstance(tree, dict) else tree
        return set(re.findall(r"[\w']+", tree)) if isinstance(tree, str) else set().union(*map(words, leaves))

    parts = {one: {k: v for k, v in said.items() if k not in ("name", "markers", "spellings", "arabizi")}
             for one, said in SAID.items()}  # fmt: skip
    return words(parts[name]).difference(*(words(parts[one]) for one in VARIETIES if one != name))


@pytest.mark.parametrize("variety", VARIETIES)
def test_questions_hold_words_of_their_variety(variety):
    questions = [t.clean[0].text for t in THREADS if t.variety == variety and t.pair and "red_flag" not in t.flags]
    own, markers = own_words(variety), set(SAID[variety]["markers"])
    with_own = sum(not own.isdisjoint(re.findall(r"\w+", text)) for text in questions)
    with_marker = sum(not markers.isdisjoint(re.findall(r"\w+", text)) for text in questions)
    assert with_own > 0.95 * len(questions)
    assert with_marker > 0.95 * len(questions)


@pytest.mark.parametrize("variety", VARIETIES)
def test_every_slot_has_three_wordings_in_every_variety(variety):
    said = SAID[variety]
    assert list(said["complaints"]) == list(ANSWERS["complaints"]) and len(said["complaints"]) == 40
    for entry in said["complaints"].values():
        assert len(set(entry["symptom"])) == len(set(entry["detail"])) == 3 and entry["noun"]
    slots = [said["greeting"], said["who"], said["who_child"], said["who_infant"], said["outcome"], said["thanks"]]
    slots += [
        *said["duration"].values(),
        *said["ask"].values(),
        *said["identifiers"].values(),
        *said["answer"].values(),
    ]
    slots += [said["same"], said["thanks_only"], said["spam"], said["too_short"]]
    assert all(len(set(slot)) >= 3 for slot in slots)
    assert set(said["tried"]) == set(ANSWERS["remedies"]) and all(len(set(x)) >= 2 for x in said["tried"].values())
    assert set(said["identifiers"]) == set(IDENTIFIERS) and set(said["red_flags"]) == set(ANSWERS["emergency"]["why"])
    assert all(word not in forms and len(forms) for word, forms in said["spellings"].items())
    assert any("{noun}" in text for text in said["ask"]["when"])  # what is asked about a child


def test_the_gold_has_no_noise():
    plain = re.compile(
        "(?:[\N{ARABIC LETTER HAMZA}-\N{ARABIC LETTER GHAIN}\N{ARABIC LETTER FEH}-\N{ARABIC SUKUN}ڭ0-9 \n:.!"
        "\N{ARABIC COMMA}\N{ARABIC QUESTION MARK}]|"
        + "|".join(re.escape(placeholder(kind)) for kind in IDENTIFIERS) + ")+"
    )  # fmt: skip
    for _, clean in POSTS:
        assert clean.planted == ()
    for thread in THREADS:
        for clean in thread.clean if "not_arabic" not in thread.flags else thread.clean[1:]:
            assert plain.fullmatch(clean.text), clean.text
            assert not re.search(r"(.)\1\1", clean.text), clean.text


def test_no_drug_and_no_dose_stands_outside_what_is_marked_unsafe():
    dose = re.compile(
        r"\d+\s*(mg|ml|mcg|ملغ|ملجم|مجم|مل\b|ملل|جرام|غرام|وحدة)|دواء [سصع]\b|شراب [سصع]\b|جرعة|الجرعة", re.I
    )
    drugs = (
        "بنادول|باراسيتامول|بروفين|إيبوبروفين|أسبرين|أوجمنتين|أموكسيسيلين|كورتيزون|مضاد حيوي|فولتارين|panadol|brufen"
    )
    for file in medical_posts.DATA.glob("*.yaml"):
        assert not re.search(drugs, file.read_text("utf-8"), re.I), file.name
    for thread in write(600, rates=QUIET):
        for post in thread.posts:
            unsafe = [one for one in post.planted if one.kind == "unsafe"]
            rest = post.text[: unsafe[0].start] + post.text[unsafe[0].end :] if unsafe else post.text
            assert not dose.search(rest), rest


def test_every_answer_that_is_not_planted_otherwise_names_whom_to_see():
    for thread in THREADS:
        if thread.pair and "red_flag" in thread.flags:
            assert re.search("الطوارئ|الإسعاف", thread.pair[1]), thread.pair[1]
        elif thread.pair:
            assert ANSWERS["complaints"][thread.complaint]["clinic"] in thread.pair[1]
            assert not re.search(r"\{|\}", "".join(thread.pair))


def test_an_answer_answers_its_own_question():
    known = ANSWERS["complaints"]
    for thread in THREADS:
        if thread.pair and "red_flag" not in thread.flags:
            question, answer = thread.pair
            mine = SAID[thread.variety]["complaints"][thread.complaint]
            assert any(text in question for text in mine["symptom"])
            assert any(text in answer for text in known[thread.complaint]["explain"])
            asked = [at for at, text in enumerate(mine["detail"]) if f" {text}" in question]
            assert all(known[thread.complaint]["detail"][at] in answer for at in asked)


# --- files and faults ------------------------------------------------------------------------------------------------


def test_a_dump_says_that_it_is_synthetic_and_keeps_what_is_planted_apart(tmp_path):
    path = tmp_path / "posts.jsonl"
    assert to_jsonl(THREADS[:600], path) == 600
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]  # no other line end in a text
    assert len(records) == 600
    for record, thread in zip(records, THREADS, strict=False):
        assert record["synthetic"] is True and record["licence"] == "Apache-2.0"
        assert "Not medical advice" in record["disclaimer"]
        assert [post["text"] for post in record["posts"]] == [post.text for post in thread.posts]
        assert record["gold"]["clean"] == [post.text for post in thread.clean]
        assert not {"planted", "clean", "flags"} & set(record) and set(record["posts"][0]) == {"author", "role", "text"}
        for post, planted in zip(record["posts"], record["gold"]["planted"], strict=True):
            assert all(post["text"][one["start"] : one["end"]] for one in planted)


def test_no_thread_is_no_thread(tmp_path):
    assert list(write(0)) == []
    assert to_jsonl([], tmp_path / "none.jsonl") == 0 and (tmp_path / "none.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: write(-1), "n: expected 0 or more threads, got -1"),
        (lambda: write(1, varieties=["egyptain"]), "no variety 'egyptain'.*Did you mean 'egyptian'"),
        (lambda: write(1, varieties=[]), "varieties: expected a sequence of names"),
        (lambda: write(1, varieties="msa"), "varieties: expected a sequence of names, got 'msa'"),
        (lambda: Rates(noise=1.5), "rate 'noise': expected a number from 0 to 1, got 1.5"),
        (lambda: Rates(noise=float("nan")), "rate 'noise': expected a number from 0 to 1, got nan"),
        (lambda: Rates(spam=True), "rate 'spam': expected a number"),
        (lambda: Rates(unsafe=0.6, red_flag=0.6), "red_flag .* at most 1 together, got 1.25"),
    ],
)
def test_faults_are_told_at_once(call, text):
    with pytest.raises(MashqError, match=text):
        call()


@given(st.integers(), st.integers(1, 12), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_any_seed_and_rate_writes_threads_that_encode(seed, n, noise, spelling, identifiers):
    rates = Rates(noise=noise, spelling=spelling, identifiers=identifiers, duplicate=0.5, near_duplicate=0.5)
    threads = list(write(n, seed, rates=rates))
    assert len(threads) == n and all(post.text.encode() for thread in threads for post in thread.posts)


@given(st.text("ابتثجحخدذرزسشصضطظعغفقكلمنهويىةءأإآؤئ \N{ARABIC FATHATAN}.1", max_size=40))
def test_shaping_is_undone_by_nfkc(text):
    assert unicodedata.normalize("NFKC", shaped(text)) == unicodedata.normalize("NFKC", text)


def test_letters_join_as_they_do_in_print():
    assert [unicodedata.name(letter) for letter in shaped("سلام")] == [
        "ARABIC LETTER SEEN INITIAL FORM",
        "ARABIC LIGATURE LAM WITH ALEF FINAL FORM",
        "ARABIC LETTER MEEM ISOLATED FORM",
    ]
    assert [unicodedata.name(letter).split()[3] for letter in shaped("عين")] == ["INITIAL", "MEDIAL", "FINAL"]
    assert digits("١٢".translate(ARABIC_DIGITS)) == "12"
