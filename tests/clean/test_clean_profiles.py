"""Profiles, the column path, and what holds for any text."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mashq.clean import RULES, Count, clean, open_profile
from mashq.clean import cleaning as cleaning_module
from mashq.clean.rule import data
from mashq.clean.signs import bits, signs_of
from mashq.rows import MashqError

LINES = (Path(__file__).parent.parent / "arabic.txt").read_text("utf-8").splitlines()
POSTS = [
    "@user شكرااااا جدا يا غالي 😂😂 https://t.co/abc",
    "RT @x: #كأس_العالم بدأت اليوم!!!!",
    "مُدَرِّسُنا رَجُلٌ كَريمٌ",
    "خصم 50% على العبايات، للطلب واتساب 0551234567",
    "ط§ظ„ط³ظ„ط§ظ… ط¹ظ„ظٹظƒظ… ظٹط§ ط£طھظ‚ظ†",
    "hgsghl ugd;l ورحمة الله",
    "[كذا](https://a.example) **مهم** &amp;lt;b&gt;",
    "ana msh fahem 7aga ya 3am",
    "",
    "   ",
    "123",
]
PIECES = st.sampled_from(
    [
        "@",
        "#",
        "_",
        "*",
        "&",
        "amp;",
        "lt;",
        "<",
        "b",
        ">",
        "/",
        ":",
        "http",
        "https://",
        "www.",
        "t.co",
        ".",
        "…",
        "RT ",
        "\n",
        " ",
        "  ",
        '"',
        "(",
        ")",
        "[",
        "]",
        "quote",
        "url",
        "ا",
        "ل",
        "ه",
        "هههه",
        "كلمة",
        "خصم",
        "واتساب",
        "https://t.co/a",
        "😂",
        "\u200d",
        "\ufe0f",
        "👩",
        "\u0640",
        "\u064e",
        "\u0651",
        "ی",
        "ط",
        "§",
        "Ø",
        "Ù",
        "„",
        "é",
        "7",
        "3",
        "0",
        "٥",
        "+",
        "-",
        "ana",
        "hgsghl ugd;l",
        "اثممخ",
        "l",
        "o",
        "a",
        "!",
        "؟",
        "،",
        "\u200f",
        "\ufefb",
        "\x00",
        "\ud800",
        "منقول",
        "via @youtube",
        "=",
        "|",
        "~",
        "`",
        "'",
        "\t",
        "\u00a0",
        "﷽",
        "ﷺ",
        "在",
        "ñ",
        "🇪",
        "🇬",
        "\u20e3",
        "1",
        "2",
        "<br>",
        "&#x40;",
        "&#64;",
        "haah",
        "هأ",
        "هي",
        "lool",
        "httpſ://",
        "t.K",
        "_",
        "- -",
        "# ",
        "..",
        "اقتباس:",
        "نهاية الاقتباس",
        "كتب سعد:",
        "المشاركة الأصلية بواسطة",
        "رد على",
        "آخر تعديل",
        "12:30",
        "مشاهدة",
        "معاد توجيهها:",
        "عرض المزيد",
        "أرسلت من هاتفي",
        "_____",
        "التوقيع:",
        "اربح يوميا",
        "с",
        "о",
        "＠",
        "＃",
    ]
)
MIXED = st.lists(PIECES, max_size=14).map("".join)
ANY = st.one_of(MIXED, st.text(st.characters(), max_size=40), st.sampled_from(LINES))
MANY = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(st.lists(ANY, max_size=3))
@example(["&amp;amp;amp;lt;b&amp;gt;"])
@example(["R@aT @x: نص"])
@example(["ههه" * 50 + "ا"])
@example(["hthttps://t.co/attps://t.co/b"])
def test_cleaning_twice_is_cleaning_once(texts):
    profile = open_profile("social", {"too_short": {"on": False}})
    once = clean(texts, profile)
    assert clean(once.texts, profile).texts == once.texts
    assert not any(reason.startswith("unstable") for reason in once.reasons if reason)


@MANY
@given(st.lists(ANY, max_size=4))
def test_many_texts_together_come_out_as_one_by_one(texts):
    profile = open_profile("social", {"near_duplicate": {"on": False}, "transliterate": {}})
    together = clean(texts, profile)
    alone = [clean([text], profile) for text in texts]
    assert together.texts == [each.texts[0] for each in alone]
    assert together.reasons == [each.reasons[0] for each in alone]


@MANY
@given(ANY)
def test_a_rule_that_is_passed_over_would_have_done_nothing(text):
    shown = signs_of([text])
    for rule in RULES.values():
        if rule.column:
            continue
        passed = bool(rule.signs) and not (shown & bits(rule.signs)).any()
        if rule.likely is not None:
            passed = passed or not rule.likely([text] * 64, rule.settings)[0]  # few texts are all looked at
        if passed:
            made = rule.apply(text, **rule.settings)
            assert made is None if rule.kind == "drop" else made[0] == text, rule.name


@MANY
@given(st.lists(ANY, max_size=5))
def test_a_rule_in_bulk_does_what_it_does_to_each(texts):
    for rule in RULES.values():
        if rule.bulk is not None:
            assert list(zip(*rule.bulk(texts, **rule.settings), strict=True)) == [
                rule.apply(t, **rule.settings) for t in texts
            ]


def test_every_character_alone_shows_its_signs():
    texts = [
        f"{before}{chr(code)}{after}"
        for code in range(0x10000)
        if not 0xD800 <= code < 0xE000
        for before, after in (("با", "رج"),)
    ]
    shown = signs_of(texts)
    for rule in RULES.values():
        if rule.signs and not rule.column:
            for text, sign in zip(texts, shown & bits(rule.signs), strict=True):
                if not sign and rule.kind == "edit":
                    assert rule.apply(text, **rule.settings)[0] == text, (rule.name, ascii(text))


@MANY
@given(ANY)
def test_no_rule_raises_and_counts_what_it_changes(text):
    for rule in RULES.values():
        if rule.column:
            continue
        made = rule.apply(text, **rule.settings)
        if rule.kind == "drop":
            assert made is None or ": " in made
        else:
            assert made[1] >= 0
            assert made[1] > 0 or made[0] == text, rule.name


@pytest.mark.parametrize("name", ["social", "minimal", "arabert", "arclean"])
def test_odd_texts(name):
    texts = [
        "",
        None,
        "\x00",
        "\ud800",
        "ا" * 1_000_000,
        "<" * 50_000,
        "@" * 50_000,
        "[" * 50_000,
        "((" * 20_000,
        "* " * 20_000,
        "&amp;" * 20_000,
        "ط§" * 20_000,
        "RT @x " * 5_000,
        "0 " * 20_000,
        "a.b" * 10_000,
        "#" * 50_000,
        "> " * 10_000,
        "[quote]" * 5_000,
        "ها" * 50_000,
        "http://" * 10_000,
        "ab " * 20_000,
        "é" * 20_000,
    ]
    cleaned = clean(texts, open_profile(name))
    assert len(cleaned.texts) == len(cleaned.reasons) == len(cleaned.applied) == len(texts)


def test_nothing_is_emptied_silently_and_dropped_texts_stay_as_they_came():
    for name in ("social", "minimal", "arabert", "arclean"):
        cleaned = clean(POSTS, open_profile(name))
        for came, text, reason in zip(POSTS, cleaned.texts, cleaned.reasons, strict=True):
            assert text.strip() or reason.startswith("empty:")
            assert reason is None or reason.startswith("empty:") or text == came


def test_a_post_and_what_was_done_to_it():
    cleaned = clean(POSTS[:2], open_profile("social"))
    assert cleaned.texts == ["شكراا جدا يا غالي", "كأس العالم بدأت اليوم!"]
    assert cleaned.applied[0] == ("url", "mention", "emoji", "letters", "spaces")
    assert cleaned.applied[1] == ("quoted", "hashtag", "marks", "spaces")
    assert cleaned.counts["emoji"] == Count(texts=1, things=2)
    assert cleaned.counts["phone"] == Count()


def test_counts_say_how_many_texts_a_rule_touched():
    cleaned = clean(POSTS, open_profile("social"))
    names = Counter(name for applied in cleaned.applied for name in applied)
    assert {rule: count.texts for rule, count in cleaned.counts.items() if count.texts} == dict(names)
    dropped = sum(count.texts for rule, count in cleaned.counts.items() if RULES[rule].kind == "drop")
    assert dropped == sum(reason is not None and not reason.startswith("empty:") for reason in cleaned.reasons)


def test_vocalised_words_stay_whole():
    text = "قَالَ المُدَرِّسُ: «اِقْرَؤُوا الدَّرْسَ جَيِّدًا»"
    assert clean([text], open_profile("social")).texts == [text]


def test_minimal_keeps_what_a_reader_sees():
    text = "@user شكراااا 😂 #كلمة_أخرى https://t.co/a 0551234567!!!!"
    assert clean([text], open_profile("minimal")).texts == [text]


# --- profiles --------------------------------------------------------------------------------------------------------


def test_every_rule_has_its_place_in_the_order():
    order = data("profiles")["order"]
    assert sorted(order) == sorted(RULES)
    assert [name for name, _ in open_profile("social").rules] == [
        name for name in order if name in data("profiles")["profiles"]["social"]
    ]


def test_the_identity_changes_with_what_decides_an_output():
    social = open_profile("social")
    assert social.identity == open_profile("social", {"emoji": {"do": "drop"}}).identity
    others = [
        open_profile("social", {"emoji": {"do": "keep"}}),
        open_profile("social", {"emoji": {"on": False}}),
        open_profile("social", {"transliterate": {}}),
        open_profile("minimal"),
    ]
    assert len({social.identity, *(profile.identity for profile in others)}) == 5


def test_the_identity_covers_the_data_files(monkeypatch):
    from mashq.clean import profile as profile_module

    before = {name: open_profile(name).identity for name in ("social", "arclean", "arabert")}
    monkeypatch.setattr(profile_module, "data_hash", lambda name: "another")
    after = {name: open_profile(name).identity for name in before}
    assert before["social"] != after["social"]
    assert before["arclean"] != after["arclean"]
    assert before["arabert"] == after["arabert"]  # reads none


def test_a_changed_setting_and_a_rule_taken_out():
    profile = open_profile("social", {"url": {"put": "[رابط]"}, "spam": {"on": False}, "too_short": {"least_words": 1}})
    assert "spam" not in dict(profile.rules)
    assert clean(["شوف https://t.co/abc"], profile).texts == ["شوف [رابط]"]


def test_a_profile_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("rules:\n  emoji: {do: keep}\n  url: {}\n", encoding="utf-8")
    profile = open_profile(path)
    assert profile.name == "mine"
    assert [name for name, _ in profile.rules] == ["url", "emoji"]
    path.write_text("order: [emoji, url]\nrules:\n  emoji:\n  url:\n", encoding="utf-8")
    assert [name for name, _ in open_profile(str(path)).rules] == ["emoji", "url"]


@pytest.mark.parametrize(
    ("given_name", "changed", "match"),
    [
        ("socal", None, "there is no profile 'socal'.*Did you mean 'social'"),
        ("social", {"emojis": {}}, "there is no rule 'emojis'.*Did you mean 'emoji'"),
        ("social", {"emoji": {"doo": "drop"}}, "rule 'emoji' has no setting 'doo'.*Did you mean 'do'"),
        ("social", {"emoji": {"do": "nam"}}, "emoji.do: expected drop or keep or name, got 'nam'. Did you mean 'name'"),
        (
            "social",
            {"too_short": {"least_words": 0}},
            "too_short.least_words: expected a whole number of at least 1, got 0",
        ),
        (
            "social",
            {"not_arabic": {"least_share": 1.5}},
            r"not_arabic.least_share: expected a number in \(0, 1\], got 1.5",
        ),
        ("social", {"url": {"put": 3}}, "url.put: expected text, got 3"),
        ("social", {"url": {"on": "no"}}, "url.on: expected true or false, got 'no'"),
        ("social", {"url": "off"}, "rule 'url' is changed by 'off': expected a mapping"),
        ("nowhere.yaml", None, "cannot read the profile nowhere.yaml"),
    ],
)
def test_faults_of_a_profile_are_named(given_name, changed, match):
    with pytest.raises(MashqError, match=match):
        open_profile(given_name, changed)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("[1]", "expected 'rules', a mapping"),
        ("rules: {url: 3}", "rule 'url': expected a mapping of settings"),
        ("rules: {ulr: {}}", "there is no rule 'ulr'.*Did you mean 'url'"),
        ("rules: {url: {}}\norder: [emoji]", "'order' lacks url"),
        ("rules: {url: {}}\norder: [url, url]", "'order' is a list of rules, each once"),
        ("rules: {url: {}}\nordre: []", "has a key 'ordre'.*Did you mean 'order'"),
        ("rules: {url: [", "not readable as YAML"),
    ],
)
def test_faults_of_a_profile_file_are_named(tmp_path, content, match):
    path = tmp_path / "mine.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(MashqError, match=match):
        open_profile(path)


# --- others' preprocessing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "made"),
    [  # what arabert 1.0.1 gives for bert-base-arabertv02
        ("@user جميييل😂 http://t.co/abc #هاش_تاق ١٢٣كلم", "[مستخدم] جمييل [رابط] # هاش _ تاق 123 كلم"),
        ("راسل a.b@c.com الآن", "راسل [رابط] الآن"),
        ("<b>نص</b> 1/2", "نص 1 - 2"),
    ],
)
def test_the_text_of_arabert(text, made):
    assert clean([text], open_profile("arabert")).texts == [made]


def test_the_text_of_arabert_for_tweets_keeps_emoji():
    profile = open_profile("arabert", {"arabert": {"emoji": "keep"}})
    assert clean(["حلو😂 ❤\ufe0f"], profile).texts == ["حلو 😂 ❤"]


def test_the_map_of_arclean():
    assert clean(["مُدَرِّس ﻻ ٣٫٥ «نعم»… گل ی 😂"], open_profile("arclean")).texts == ['مدرس لا 3,5 "نعم"... كل ى ']


# --- real posts ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tweets(data):
    path = data / "arsarcasm_v2_train.csv"
    if not path.exists():
        pytest.skip("MASHQ_DATA has no arsarcasm_v2_train.csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [row["tweet"] for row in csv.DictReader(file)][6_000:8_000]  # rows that were not looked at


def test_real_posts_are_kept_unless_there_is_a_reason(tweets):
    cleaned = clean(tweets, open_profile("social"))
    for rule, count in cleaned.counts.items():
        if RULES[rule].kind == "drop":
            assert count.texts <= 0.05 * len(tweets), (rule, count)
    assert sum(reason is None for reason in cleaned.reasons) >= 0.9 * len(tweets)
    for text, reason in zip(cleaned.texts, cleaned.reasons, strict=True):
        assert text.strip() or reason


def test_real_posts_are_not_taken_for_damaged(tweets):
    counts = clean(tweets, open_profile("social")).counts
    assert counts["mojibake"].texts <= 0.001 * len(tweets)
    assert counts["layout"].texts <= 0.002 * len(tweets)
    assert counts["arabizi"].texts <= 0.002 * len(tweets)


def test_real_posts_cleaned_twice_are_cleaned_once(tweets):
    profile = open_profile("social")
    once = clean(tweets, profile)
    assert clean(once.texts, profile).texts == once.texts


def test_blocks_do_not_matter(monkeypatch, tweets):
    whole = clean(tweets[:300], open_profile("social"))
    monkeypatch.setattr(cleaning_module, "BLOCK", 7)
    assert clean(tweets[:300], open_profile("social")) == whole


def test_the_fast_path_is_the_plain_one(monkeypatch, tweets):
    profile = open_profile("social", {"near_duplicate": {"on": False}})
    texts = [
        *tweets[:400],
        *POSTS,
        "كلام\nآخر تعديل بواسطة سعد ; 12-03-2015 الساعة 10:15 PM",
        "هاهاها كتب سعد: نعم\nلا",
    ]
    fast = clean(texts, profile)
    monkeypatch.setattr(cleaning_module, "_suspects", _everything)
    plain = clean(texts, profile)
    assert fast == plain


def _everything(rule, settings, work, rows, shown, alive):
    """Every row that is not dropped is a suspect."""
    return [place for place, lives in enumerate(alive) if lives]
