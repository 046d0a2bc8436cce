"""Every rule: what it changes or drops, and what looks like that and stays."""

import pytest

from mashq.clean import RULES, clean, open_profile
from mashq.rows import MashqError

SHY, ZWJ, RLM = "\N{SOFT HYPHEN}", "\N{ZERO WIDTH JOINER}", "\N{RIGHT-TO-LEFT MARK}"


def edited(rule, text, **settings):
    """The text after one rule; the rule counts something exactly where it changed."""
    made, things = RULES[rule].apply(text, **{**RULES[rule].settings, **settings})
    assert (things > 0) == (made != text), (made, things)
    return made


def squeezed(rule, text, **settings):
    return " ".join(edited(rule, text, **settings).split())


def dropped(rule, text, **settings):
    return RULES[rule].apply(text, **{**RULES[rule].settings, **settings})


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("شوف https://t.co/abc123XYZ9 والله", "شوف والله"),
        ("كلمةhttps://t.co/abc123كلمة", "كلمة كلمة"),
        ("راجع https://ar.wikipedia.org/wiki/القاهرة_الكبرى تجده", "راجع تجده"),
        ("زوروا www.example.com/path، شكرا", "زوروا ، شكرا"),
        ("الرابط bit.ly/3xYz", "الرابط"),
        ("خبر عاجل https://t.co/ab…", "خبر عاجل"),
        ("خبر عاجل https…", "خبر عاجل"),
        ("HTTP://EXAMPLE.COM/A?b=1&c=2#d.", "."),
    ],
)
def test_a_link_goes(text, made):
    assert squeezed("url", text) == made


@pytest.mark.parametrize(
    "text", ["قال.كيف", "3.5 كم", "Node.js رائع", "صباح الخير//مساء الخير", "me@mail.com", "e.g. هذا"]
)
def test_what_is_no_link_stays(text):
    assert edited("url", text) == text


def test_a_word_can_stand_in_the_place_of_a_link():
    assert edited("url", "شوف https://t.co/a", put="[رابط]") == "شوف  [رابط] "


def test_email_goes_and_an_at_sign_stays():
    assert squeezed("email", "راسلني على sara.ali+1@mail.example.co.uk اليوم") == "راسلني على اليوم"
    for text in ("السعر @ 5", "@sara", "sara@", "سارة@مثال"):
        assert edited("email", text) == text


@pytest.mark.parametrize(
    "number",
    [
        "0551234567",
        "+966 55 123 4567",
        "٠٥٥١٢٣٤٥٦٧",
        "00201012345678",
        "010-1234-5678",
        "+212 6 12 34 56 78",
        "920012345",
        "(055) 1234567",
        "966501234567",
        "۰۵۵۱۲۳۴۵۶۷",
    ],
)
def test_a_telephone_number_goes(number):
    assert squeezed("phone", f"كلموني على {number} بعد العصر") == "كلموني على بعد العصر"


@pytest.mark.parametrize(
    "text",
    [
        "2023-05-12",
        "12/05/2023",
        "01-02-2012 10:05",
        "1,000,000,000",
        "1500 ريال",
        "1000000000 دينار",
        "0.123456789",
        "من 2011-2012",
        "رقم الطلب 1234567890123456",
        "الساعة 10:30",
        "٣٫٥ كيلو",
        "الآية 255",
    ],
)
def test_what_is_no_telephone_number_stays(text):
    assert edited("phone", text) == text


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("@user_1 صباح الخير", "صباح الخير"),
        ("شكرا لك @سارة_علي، تسلمين", "شكرا لك ، تسلمين"),
        ("كلام@user", "كلام"),
        (".@user شوف", ". شوف"),
        ("@مُنى مرحبا", "مرحبا"),
    ],
)
def test_a_handle_goes(text, made):
    assert squeezed("mention", text) == made


@pytest.mark.parametrize("text", ["نلتقي @ 5", "a@b.com", "@", "@!"])
def test_an_at_sign_alone_stays(text):
    assert edited("mention", text) == text


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("#كلمة_أخرى", "كلمة أخرى"),
        ("#أ#ب", "أ ب"),
        ("نص#هاشتاق", "نص هاشتاق"),
        ("#مُدَرِّس_رائع!", "مُدَرِّس رائع!"),
        ("(#مصر)", "(مصر)"),
        ("##عاجل", "عاجل"),
        ("#كأس_العالم_2022", "كأس العالم 2022"),
        ("＃خبر", "خبر"),
    ],
)
def test_a_hashtag_becomes_its_words(text, made):
    assert squeezed("hashtag", text) == made


def test_a_hashtag_can_go_whole():
    assert squeezed("hashtag", "يوم جميل #صباح_الخير", do="drop") == "يوم جميل"


@pytest.mark.parametrize("text", ["#1", "# عنوان", "#", "C# لغة", "#_"])
def test_a_hash_that_is_no_hashtag_stays(text):
    assert edited("hashtag", text) == text


def test_emoji_go_with_their_joiners_flags_and_skin():
    assert squeezed("emoji", f"شكرا 👍🏽 👨{ZWJ}👩{ZWJ}👧 🇪🇬 1\ufe0f\u20e3 ❤\ufe0f يا غالي😂😂") == "شكرا يا غالي"


@pytest.mark.parametrize("text", ["© 2020", "شركة™", "أ ↔ ب", "5 * 3 # 1", ":)", "★ نجم"])
def test_signs_of_text_are_no_emoji(text):
    assert edited("emoji", text) == text


def test_emoji_can_stay():
    assert edited("emoji", "شكرا 👍🏽", do="keep") == "شكرا 👍🏽"


def test_emoji_are_named_in_arabic():
    pytest.importorskip("emoji", reason="names need the package emoji")
    assert squeezed("emoji", "شكرا 😂 ❤\ufe0f", do="name") == "شكرا [وجه بدموع فرح] [قلب أحمر]"


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("قال &quot;نعم&quot; &amp; سكت", 'قال "نعم" & سكت'),
        ("سطر<br/>سطر", "سطر\nسطر"),
        ("&lt;b&gt;مهم&lt;/b&gt;", "مهم"),
        ("&amp;amp;lt;", "<"),
        ("<p dir='rtl'>فقرة</p>", "\nفقرة\n"),
        ("أ<script>alert('x')</script>ب", "أ ب"),
        ("&#1605;&#x631;حبا", "مرحبا"),
        ("<!-- تعليق -->نص", " نص"),
    ],
)
def test_html_becomes_text(text, made):
    assert edited("html", text) == made


@pytest.mark.parametrize("text", ["5 < 7 > 3", "أحبكم <3", "<كلمة>", "AT&T", "كذا & كذا", "x<y", "&شيء;"])
def test_what_is_no_html_stays(text):
    assert edited("html", text) == text


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("**مهم** جدا", "مهم جدا"),
        ("_مائل_ و *آخر*", "مائل و آخر"),
        ("[اقرأ هنا](https://a.example/b)", "اقرأ هنا"),
        ("# عنوان\nنص", "عنوان\nنص"),
        ("[b]غامق[/b] [url=http://x.example]رابط[/url]", "غامق رابط"),
        ("`كود` ~~خطأ~~", "كود خطأ"),
        ("فوق\n---\nتحت", "فوق\nتحت"),
    ],
)
def test_markup_goes_and_its_words_stay(text, made):
    assert edited("markup", text) == made


@pytest.mark.parametrize(
    "text", ["3 * 4 * 5 = 60", "#وسم_آخر_و_ثالث", "snake_case_name", "[1] المصدر", "- بند\n* بند", "@a_b_c", "ﷺ **"]
)
def test_what_is_no_markup_stays(text):
    assert edited("markup", text) == text


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("RT @user: الخبر صحيح", "الخبر صحيح"),
        ("كلام مهم جدا RT @user: كلام قديم", "كلام مهم جدا"),
        ("> قال أحمد كذا\nوأنا أوافقه", "وأنا أوافقه"),
        ("في الرد على @a و@b\nلا أوافق", "لا أوافق"),
        ("ردًا على @user_1\nطبعا", "طبعا"),
        ("Replying to @someone\nوالله صدقت", "والله صدقت"),
        ("[quote=أحمد]كلام قديم[/quote] رأيي مختلف", "رأيي مختلف"),
        ("> كل ما عندي", "كل ما عندي"),
        ("[quote]وحده[/quote]", "وحده"),
    ],
)
def test_what_a_reply_quotes_goes(text, made):
    assert squeezed("quoted", text) == made


@pytest.mark.parametrize(
    "text", ["5 > 3 أكيد", "START الآن", "قناة RT العربية", "في الرد على سؤالك أقول نعم", "رد على الهاتف"]
)
def test_what_quotes_nothing_stays(text):
    assert edited("quoted", text) == text


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("شكرا لكم\nتم إرسالها من جهازي", "شكرا لكم"),
        ("وصل المبلغ. أُرسلت من جوالي", "وصل المبلغ."),
        ("Sent from my iPhone", ""),
        ("مقطع جميل via @YouTube", "مقطع جميل"),
        ("قصة فيها عبرة. (منقول)", "قصة فيها عبرة."),
        ("قصة فيها عبرة\nمنقوووول", "قصة فيها عبرة"),
        ("[12/05/2023, 10:33 PM] أحمد: السلام عليكم", "السلام عليكم"),
        ("تم حذف هذه الرسالة", ""),
    ],
)
def test_what_apps_add_goes(text, made):
    assert squeezed("boilerplate", text) == made


@pytest.mark.parametrize(
    "text",
    [
        "الخبر منقول عن رويترز",
        "كلام منقول",
        "تم الإرسال أمس",
        "وصلني الطرد متأخرا",
        "الموعد 12/05/2023 الساعة 10:33",
        "اقرأ المزيد من الكتب",
        "أرسلت من جهازي الملف"[:10],
    ],
)
def test_what_people_say_stays(text):
    assert edited("boilerplate", text) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "خصم 50% على العبايات، للطلب واتساب 0551234567",
            "spam: 4 signs of advertisement (خصم, للطلب, واتساب, رقم هاتف) >= 3",
        ),
        (
            "زيادة متابعين حقيقيين وعروض خاصة، للتواصل واتس اب",
            "spam: 4 signs of advertisement (زياده متابعين, وعروض, للتواصل) >= 3",
        ),
        ("كود خصم من متجر الورد https://a.example/x", "spam: 3 signs of advertisement (كود خصم, متجر, رابط) >= 3"),
        ("اللهم اغفر لنا http://du3a.org", "spam: posted by an app (du3a.org)"),
    ],
)
def test_an_advertisement_is_dropped(text, reason):
    assert dropped("spam", text) == reason


@pytest.mark.parametrize(
    "text",
    [
        "اشتريت من المتجر بخصم والتوصيل تأخر أسبوع",
        "طلبت استرجاع المبلغ وكلمتهم واتساب وما ردوا",
        "رقمي 0551234567 وهذا الرابط https://a.example",
        "العروض عندكم كذب والأسعار نار",
        "الدكتور وصف لي حبوب تنحيف وتعبت",
        "أحلى متجر تعاملت معه بصراحة",
        "للبيع سيارة",
    ],
)
def test_a_complaint_is_no_advertisement(text):
    assert dropped("spam", text) is None


def test_how_many_signs_make_an_advertisement_is_a_setting():
    text = "كود خصم من متجر الورد"
    assert dropped("spam", text) is None
    assert dropped("spam", text, least_signs=2) == "spam: 2 signs of advertisement (كود خصم, متجر) >= 2"


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("جمييييل", "جمييل"),
        ("ههههههههه والله", "ههه والله"),
        ("هاهاهاهاها", "ههه"),
        ("خخخخخخ مت ضحك", "ههه مت ضحك"),
        ("لااااااا يا شيخ", "لاا يا شيخ"),
        ("sooooo حلو", "soo حلو"),
        ("بَّّّ", "بَّ"),
        ("مبروووووك", "مبرووك"),
        ("looool", "ههه"),
    ],
)
def test_long_letters_become_two_and_laughter_one_word(text, made):
    assert edited("letters", text) == made


@pytest.mark.parametrize(
    "text",
    [
        "الله",
        "ممتاز",
        "اللي",
        "تتتبع خطاه",
        "وستتتابع الأحداث",
        "مدللة",
        "الحجج",
        "VIII",
        "www",
        "2000000",
        "هه",
        "ههه",
        "مُدَرِّسَة",
    ],
)
def test_right_doubles_stay(text):
    assert edited("letters", text) == text


def test_laughter_and_the_most_letters_are_settings():
    assert edited("letters", "ههههههه", laughter="") == "هه"
    assert edited("letters", "ههههههه", laughter="[ضحك]") == "[ضحك]"
    assert edited("letters", "جمييييل", most=1) == "جميل"


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("رائع!!!!", "رائع!"),
        ("ماذا؟!؟!؟!", "ماذا؟!"),
        ("لا أدري.....", "لا أدري..."),
        ("نعم..", "نعم..."),
        ("====== عرض ======", "عرض"),
        ("قال () ثم «» سكت", "قال ثم سكت"),
        ("،،،،", "،"),
        ('خبر عاجل "', "خبر عاجل"),
    ],
)
def test_runs_of_marks_become_one(text, made):
    assert squeezed("marks", text) == made


@pytest.mark.parametrize(
    "text", ["هل جاء؟ نعم!", "انتظر...", "3.5", "10:30", "«قال»", 'قال "نعم" وسكت', "5' 6\"", "(كذا)", "أ - ب"]
)
def test_single_marks_stay(text):
    assert edited("marks", text) == text


SENTENCES = (
    "السلام عليكم ورحمة الله",
    "مُدَرِّسٌ رائعٌ في المدرسة",
    "قال لي إن الفريق فاز، والحمد لله! 😂 100%",
    "شاع الخبر؛ ثم ضاع؟",
    "إزيك يا باشا عامل إيه",
)


def seen_through(text, codec):
    """UTF-8 read as a code page; bytes that it leaves open become control characters, as browsers have it."""
    return "".join(bytes([byte]).decode(codec, "ignore") or chr(byte) for byte in text.encode())


@pytest.mark.parametrize("codec", ["cp1252", "latin-1", "cp1256"])
@pytest.mark.parametrize("text", SENTENCES)
def test_utf8_read_in_the_wrong_encoding_is_repaired(text, codec):
    assert edited("mojibake", seen_through(text, codec)) == text


@pytest.mark.parametrize("text", [SENTENCES[0], SENTENCES[1], SENTENCES[4]])
def test_cp1256_read_as_cp1252_is_repaired(text):
    assert edited("mojibake", text.encode("cp1256").decode("cp1252")) == text


@pytest.mark.parametrize(
    "text",
    [
        *SENTENCES,
        "Café déjà vu été",
        "Ça va très bien à Besançon",
        "Übermäßig größer",
        "São Paulo não é",
        "محفوظ، ويقظ؟ حافظ «على»",
        "«وعظ، حفظ، لفظ، غلظ»",
        "ع… ظ… ط…",
        "عکس های قدیمی",
        "Ø danske Årø",
        "ÂÊÎÔÛ",
    ],
)
def test_sound_text_is_not_repaired(text):
    assert edited("mojibake", text) == text


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("hgsghl ugd;l", "السلام عليكم"),
        ("lh h[lg hg[,", "ما اجمل الجو"),
        ("اثممخ صخقمي", "hello world"),
        ("قلت له hgsghl ugd;l وسكت", "قلت له السلام عليكم وسكت"),
    ],
)
def test_the_wrong_keyboard_layout_is_mended(text, made):
    assert edited("layout", text) == made


@pytest.mark.parametrize(
    "text",
    [
        "Hello world how are you",
        "Barcelona vs Manchester",
        "btw lol omg thx",
        "ana mesh fahem",
        "Sent from my iPhone",
        "شخبارك شلونك وش تسوي",
        "حسبي الله ونعم الوكيل",
        "إزيك عامل إيه",
        "واش كاين شي حاجة",
        "lkj",
        "ثقثق",
    ],
)
def test_words_on_the_right_layout_stay(text):
    assert edited("layout", text) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ana msh fahem 7aga ya 3am", "arabizi: 5 of 6 Latin words >= 0.30"),
        ("shu hayda ya 7abibi ma3 el salameh", "arabizi: 4 of 7 Latin words >= 0.30"),
    ],
)
def test_an_arabizi_post_is_dropped(text, reason):
    assert dropped("arabizi", text) == reason


@pytest.mark.parametrize(
    "text",
    [
        "I like mp3 and 3D prints",
        "la vida es bella",
        "B2B COVID19 iPhone7",
        "فاز الفريق 3-2 على Real Madrid",
        "2nd place 5k run",
        "كتب لي ana 7abibi في آخر الرسالة الطويلة",
        "h264 mp4 co2",
        "il y a la vie",
    ],
)
def test_other_latin_words_are_no_arabizi(text):
    assert dropped("arabizi", text) is None
    assert edited("transliterate", text) == text


@pytest.mark.parametrize(
    ("latin", "arabic"),
    [
        ("7abibi", "حبيبي"),
        ("3arab", "عرب"),
        ("mar7aba", "مرحبا"),
        ("sabah", "صباح"),
        ("el-kheir", "الخير"),
        ("9adeeq", "صديق"),
        ("3alaykum", "عليكم"),
        ("shams", "شمس"),
        ("5air", "خير"),
        ("wel7al", "والحل"),
        ("6ayeb", "طيب"),
        ("7'air", "خير"),
    ],
)
def test_arabizi_words_in_arabic_letters(latin, arabic):
    from mashq.clean.arabizi import to_arabic

    assert to_arabic(latin) == arabic


def test_an_arabizi_post_is_transliterated():
    assert edited("transliterate", "ana mesh 3aref ya 7abibi") == "أنا مش عرف يا حبيبي"


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("كيف حالك يا صديقی العزيز", "كيف حالك يا صديقي العزيز"),
        ("هذا كتاب کبير", "هذا كتاب كبير"),
        ("سlلم", "سالم"),
        ("كلمةword وفيتامينC", "كلمة word وفيتامين C"),
        ("iPhoneجديد", "iPhone جديد"),
        ("سoل", "سهل"),
    ],
)
def test_letters_of_other_scripts_are_mended(text, made):
    assert edited("lookalikes", text) == made


@pytest.mark.parametrize(
    "text", ["این کتاب است", "یہ کتاب ہے", "الGPS", "وiPhone", "چاي وگهوة", "ڤيديو", "ابن 5سنين", "كتاب word"]
)
def test_other_languages_and_prefixes_stay(text):
    assert edited("lookalikes", text) == text


def test_invisible_marks_go_and_vowels_stay():
    assert edited("invisible", f"{RLM}مُدَرِّس{SHY}\x07 \ufefb\ud800") == "مُدَرِّس لا"
    assert edited("invisible", f"👨{ZWJ}👩{ZWJ}👧") == f"👨{ZWJ}👩{ZWJ}👧"
    assert len(edited("invisible", "ب" + "\u064e\u0651\u0650" * 4)) == 4
    assert edited("invisible", "سطر\n\tسطر ﷺ") == "سطر\n\tسطر ﷺ"


def test_stretching_goes_and_the_hijri_year_stays():
    tatweel = "\N{ARABIC TATWEEL}"
    assert edited("tatweel", f"جم{tatweel * 3}يل ه{tatweel}دف") == "جميل هدف"
    assert edited("tatweel", f"عام 1445ه{tatweel}") == f"عام 1445ه{tatweel}"
    assert edited("tatweel", f"الرياض {tatweel} جدة") == "الرياض - جدة"


def test_spaces_and_lines():
    assert edited("spaces", "  أهلا \t بك\u00a0هنا \n\n ثم ") == "أهلا بك هنا\nثم"
    assert edited("spaces", "أ\nب", lines="join") == "أ ب"
    assert edited("spaces", "أهلا بك\nهنا") == "أهلا بك\nهنا"


def test_posts_of_too_few_words_are_dropped():
    assert dropped("too_short", "شكرا جزيلا") == "short: 2 words < 3"
    assert dropped("too_short", "نعم 😂 123") == "short: 1 word < 3"
    assert dropped("too_short", "مُدَرِّسُنا رَجُلٌ كَريمٌ") is None


def test_posts_of_too_many_words_are_dropped():
    assert dropped("too_long", "كلمة " * 401) == "long: 401 words > 400"
    assert dropped("too_long", "كلمة " * 400) is None


def test_posts_of_other_scripts_are_dropped():
    assert dropped("not_arabic", "I love this يا رب") == "not arabic: 0.31 of letters < 0.50"
    assert dropped("not_arabic", "اشتريت iPhone جديد") is None
    assert dropped("not_arabic", "123 !!!") is None


def test_copies_are_dropped_and_the_first_stays():
    texts = ["الخبر وصل قبل ساعة من الآن", "كلام آخر لا يشبهه في شيء", "الخبر وصل قبل ساعة من الآن", "", ""]
    reasons = RULES["near_duplicate"].apply(texts, **RULES["near_duplicate"].settings)
    assert reasons == [None, None, "near duplicate: 1.00 of text 1 >= 0.80", None, None]


def test_a_copy_with_another_word_is_near():
    text = "وصلت الطائرة إلى المطار بعد تأخير دام ثلاث ساعات بسبب الضباب الكثيف ولم يخبرنا أحد بشيء طوال هذا الوقت"
    reasons = RULES["near_duplicate"].apply([text, text + " أبدا"], least=0.8, run=2)
    assert reasons[0] is None
    assert reasons[1].startswith("near duplicate: 0.9")


def test_a_name_without_the_package_is_an_error(monkeypatch):
    import sys

    from mashq.clean import markup

    markup._names.cache_clear()
    monkeypatch.setitem(sys.modules, "emoji", None)
    with pytest.raises(MashqError, match=r"pip install 'mashq\[clean\]'"):
        open_profile("social", {"emoji": {"do": "name"}})
    with pytest.raises(MashqError, match=r"pip install 'mashq\[clean\]'"):
        markup.emoji("😂", "name")


def test_every_rule_says_what_it_does():
    for name, rule in RULES.items():
        assert rule.name == name
        assert 10 < len(rule.does) < 90
        assert rule.kind in ("edit", "drop")
        assert set(rule.choices) <= set(rule.settings)


def test_reasons_name_texts_measure_and_limit():
    cleaned = clean(["@user https://t.co/a", "نعم شكرا", None, ""], open_profile("social"))
    assert cleaned.reasons == [
        "empty: nothing left of 20 characters (url, mention, spaces)",
        "short: 2 words < 3",
        "empty: no text",
        "empty: no text",
    ]
    assert cleaned.texts == ["", "نعم شكرا", "", ""]
