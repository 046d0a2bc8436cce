"""What forums, messengers and advertisers write around a post, and sentences that merely hold the same words."""

import time

import pytest

from mashq.clean import RULES, clean, open_profile


def after(rule, text):
    """The text after one rule, in single spaces; a text that changes must have been a suspect."""
    made, things = RULES[rule].apply(text, **RULES[rule].settings)
    assert (things > 0) == (made != text)
    if made != text:
        likely = RULES[rule].likely
        assert likely is None or all(likely([text] * 64, RULES[rule].settings))
    return " ".join(made.split())


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("شكرا لكم\nآخر تعديل بواسطة سعد ; 12-03-2015 الساعة 10:15 PM", "شكرا لكم"),
        ("شكرا لكم. آخر تعديل بواسطة سعد القحطاني ؛ 12-03-2015 الساعة 10:15 م", "شكرا لكم."),
        ("التعديل الأخير تم بواسطة أم خالد ; 05-01-2012 الساعة 03:22 PM\nعندي سؤال", "عندي سؤال"),
        ("عدل سابقا من قبل أحمد في السبت مايو 12, 2012 5:17 am عدل 2 مرات\nالنص هنا", "النص هنا"),
        ("تم التعديل: 10:32 م\nيا جماعة ساعدوني", "يا جماعة ساعدوني"),
        ("ساعدوني يا إخوان\nLast edited by Sara; 03-05-2014 at 02:11 PM.", "ساعدوني يا إخوان"),
        ("يا جماعة ساعدوني (معدّل)", "يا جماعة ساعدوني"),
        ("معاد توجيهها: انتبهوا من هذا الدواء", "انتبهوا من هذا الدواء"),
        ("تمت إعادة التوجيه من قناة الصحة\nانتبهوا", "انتبهوا"),
        ("---------- Forwarded message ---------\nانتبهوا", "انتبهوا"),
        ("كلام مفيد\n120 مشاهدة · 5 إعجابات", "كلام مفيد"),
        ("كلام مفيد.\nعدد المشاهدات: 1,200 | الإعجابات: 35", "كلام مفيد."),
        ("كلام مفيد\nأعجبني · رد · 3 س", "كلام مفيد"),
        ("كلام مفيد... عرض المزيد", "كلام مفيد..."),
        ("شكرا تم الإرسال من هاتفي سامسونج جالاكسي", "شكرا"),
        ("شكرا لكم. أُرسلت من iPhone الخاص بي", "شكرا لكم."),
        ("وصلت الرسالة\nتم النشر عبر تطبيق منتدى حواء", "وصلت الرسالة"),
        ("شكرا Sent from my Galaxy S9", "شكرا"),
        ("كلام\n__________________\nاللهم صل على محمد", "كلام"),
        ("كلام <تم تعديل هذه الرسالة>", "كلام"),
        ("كلام\nرد مع اقتباس", "كلام"),
        ("كلام مهم\nمنذ 3 ساعات", "كلام مهم"),
        ("كلام مهم رد مع اقتباس", "كلام مهم"),
        ("كلام مهم المشاركات: 345", "كلام مهم"),
        ("كلام مهم\nالمشاركات: 345 | تاريخ التسجيل: 2016 | الدولة: السعودية", "كلام مهم"),
        ("كلام مهم | عضو ذهبي", "كلام مهم"),
        ("كلام مهم (متابعة)", "كلام مهم"),
        ("كلام مهم\nمتابع", "كلام مهم"),
        ("كلام مهم. إعجاب · رد · مشاركة", "كلام مهم"),
        ("كلام مهم للأمانة منقول", "كلام مهم"),
        ("كلام مهم مترجم آليا", "كلام مهم"),
        ("كلام مهم مرسل بواسطة تطبيق طبيبي", "كلام مهم"),
        ("كلام مهم\nاستطلاع: نعم 45% لا 55%", "كلام مهم"),
        ("كلام مهم التوقيع: سبحان الله وبحمده", "كلام مهم"),
        ("[12:30, 3/4/2023] +966 5x: كلام مهم", "كلام مهم"),
        ("رد: صداع مستمر", "صداع مستمر"),
    ],
)
def test_what_forums_and_messengers_add_goes(text, made):
    assert after("boilerplate", text) == made


@pytest.mark.parametrize(
    "text",
    [
        "هذا آخر تعديل على الخطة",
        "وصل الفيديو إلى 100 مشاهدة في ساعة",
        "أرسلت من جهازي الملف إلى الطبيب",
        "أريد عرض المزيد من الصور",
        "الرسالة معاد توجيهها من صديقتي",
        "رد علي وأعجبني رده",
        "عندي 3 مشاركات في المسابقة",
        "حملت تطبيق صحتي وما اشتغل",
        "التوقيع على العقد تم أمس",
        "أنا عضو جديد في المنتدى",
        "كتب لي الطبيب عبر تطبيق صحتي وصفة",
        "آخر تحديث خرب الجوال",
        "أخذت الحبة منذ 3 ساعات وما نفعت",
        "المزيد من الماء مفيد",
        "كيف أعمل رد مع اقتباس",
        "أنا متابع عند طبيب قلب",
        "حجزت الموعد عبر تطبيق صحتي",
        "العمر: 30 | الجنس: ذكر | الدولة: مصر",
        "رفع ابني يده وتألم",
        "تم التعديل على الجرعة من الطبيب",
        "صورة الأشعة مرفقة مع السؤال",
    ],
)
def test_a_sentence_with_the_words_of_a_forum_stays(text):
    assert after("boilerplate", text) == text


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("اقتباس:\nالمشاركة الأصلية كتبت بواسطة أم محمد\nابني عنده حرارة\n\nعليك بالكمادات", "عليك بالكمادات"),
        ("المشاركة الأصلية بواسطة سعد\nعندي صداع\nراجع الطبيب", "راجع الطبيب"),
        ("Originally Posted by sara\nI have a cold\n\nاشربي سوائل", "اشربي سوائل"),
        ("اقتباس: عندي صداع دائم نهاية الاقتباس راجع طبيب أعصاب", "راجع طبيب أعصاب"),
        ("(اقتباس) عندي صداع (نهاية الاقتباس) راجع الطبيب", "راجع الطبيب"),
        ("[اقتباس]عندي صداع[/اقتباس] راجع الطبيب", "راجع الطبيب"),
        ("سارة قالت:\nعندي صداع\nأنقر للتوسيع...\nراجعي الطبيب", "راجعي الطبيب"),
        ("ahmad said:\nhello\nClick to expand...\nصدقت", "صدقت"),
        ("كتب سعد: عندي صداع دائم\nراجع الطبيب", "راجع الطبيب"),
        ("كتبت أم خالد: «ابني تعبان» \nالله يشفيه", "الله يشفيه"),
        ("On Mon, 3 May 2020, Ahmad wrote:\n> hello\nشكرا لك", "شكرا لك"),
        ("في الرد على أم خالد\nالله يشفيه", "الله يشفيه"),
        ("رداً على مشاركة أم خالد:\nراجعي الطبيب", "راجعي الطبيب"),
        ("مرحبا\n-----Original Message-----\nFrom: a\nنص قديم", "مرحبا"),
        ("اقتباس من مشاركة أم خالد:\nعندي صداع\n\nراجعي الطبيب", "راجعي الطبيب"),
        ("(اقتباس: عندي صداع دائم) راجع الطبيب", "راجع الطبيب"),
        ("قال العضو سعد: عندي صداع\nراجع الطبيب", "راجع الطبيب"),
        ("سعد كتب بتاريخ 3/5/2020:\nعندي صداع\n\nراجع الطبيب", "راجع الطبيب"),
        ("[quote]سعد: [quote]عندي صداع[/quote] نعم[/quote] راجع الطبيب", "راجع الطبيب"),
        ("│ عندي صداع\nراجع الطبيب", "راجع الطبيب"),
        ("QT @saad: عندي صداع\nراجع الطبيب", "راجع الطبيب"),
        ("❝ عندي صداع ❞\nراجع الطبيب", "راجع الطبيب"),
        ("رد على: عندي صداع دائم\nراجع الطبيب", "راجع الطبيب"),
    ],
)
def test_what_a_reply_in_a_forum_quotes_goes(text, made):
    assert after("quoted", text) == made


@pytest.mark.parametrize(
    "text",
    [
        "هذا اقتباس جميل من كتاب",
        "وفي نهاية الاقتباس شعرت بالحزن",
        "كتب لي الدكتور: حبة كل يوم\nوما نفعت",
        "كتب الطبيب: حبة كل يوم\nوما نفعت",
        "قال أحمد: تعبت",
        "قالت أمي: لا تخرج\nوخرجت",
        "رد على سؤالي: نعم\nلكن ما فهمت",
        "نسبة السكر > 200 خطر",
        "ردا على سؤالك، الدواء آمن",
        "كتبت في المنتدى: عندي صداع\nوما رد أحد",
        "زوجي كتب: تعبان من الصبح\nوأنا خايفة عليه",
        "أخصائي الجلدية كتب: كريم مرطب\nهل أستعمله",
        "التقرير كتب: التهاب بسيط\nماذا يعني",
        "أمي قالت: اشربي يانسون\nوشربت وما نفع",
        "قال الطبيب: لازم عملية\nفهل أعملها",
        "| الفحص | النتيجة |\n| السكر | 120 |",
    ],
)
def test_a_sentence_with_the_words_of_a_quotation_stays(text):
    assert after("quoted", text) == " ".join(text.split())


def test_of_a_quotation_alone_the_words_stay():
    assert after("quoted", "اقتباس: عندي صداع دائم نهاية الاقتباس") == "عندي صداع دائم"


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("hgsghl ugd;l.", "السلام عليكم."),
        ("hgsghl ugd;l. ;dt hgphg?", "السلام عليكم. كيف الحال؟"),
        ("hgsghl ugd;l!", "السلام عليكم!"),
        ("lh h[lg hg[,", "ما اجمل الجو"),  # و is the letter of the comma
        ("lh h[lg hg[,.", "ما اجمل الجو."),
        ("i, ugdkh u.d.", "هو علينا عزيز"),
        ("اثممخ صخقمي.", "hello world."),
    ],
)
def test_a_mark_behind_a_word_of_the_wrong_layout(text, made):
    assert RULES["layout"].apply(text, **RULES["layout"].settings)[0] == made


def test_the_key_of_two_letters_and_the_two_keys():
    assert RULES["layout"].apply("لخخي ىهلاف ثرثقغخىث")[0] == "good night everyone"


@pytest.mark.parametrize(
    "text",
    [
        "اشتغل من البيت واربح 500 دولار يوميا، ادخل https://a.example/x",
        "اعمل من المنزل واكسب دخل يومي ادخل على الرابط www.example.com",
        "تخلصي من الوزن الزائد بدون رجيم اطلبيه الآن 0551234567",
        "زيادة متابعين تويتر [رابط]",
    ],
)
def test_a_short_advertisement_with_one_strong_phrase_and_a_contact_is_dropped(text):
    assert RULES["spam"].apply(text).startswith("spam: ")
    assert all(RULES["spam"].likely([text] * 64, {}))


@pytest.mark.parametrize(
    "text",
    [
        "أبغى شغل من البيت، أحد جرب هذا الموقع؟ https://a.example",
        "انضحك علي بموقع يقول ربح من الإنترنت https://a.example احذروا",
        "طلبت من متجر نون وتأخر الشحن https://a.example",
        "كيف أتخلص من الكرش بعد الولادة؟ كلموني 0551234567",
        "كم سعر التطعيم وهل فيه خصم؟ 0551234567",
        "اشتغل من البيت واربح، كلام فاضي",
    ],
)
def test_a_question_about_an_advertisement_is_none(text):
    assert RULES["spam"].apply(text) is None


@pytest.mark.parametrize("order", [["spam", "url"], ["url", "spam"]])
@pytest.mark.parametrize("put", ["", "[عنوان]"])
def test_an_advertisement_is_known_by_links_that_were_taken(tmp_path, order, put):
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"order: {order}\nrules: {{spam: {{}}, url: {{put: '{put}'}}}}\n".replace("'", '"'), encoding="utf-8"
    )
    text = "اشتغل من بيتك بسهولة وتابع https://a.example/x"
    assert clean([text], open_profile(path)).reasons == ["spam: 3 signs of advertisement (اشتغل من بيتك, رابط) >= 3"]


def test_a_block_quotation_of_html_goes_with_its_words():
    cleaned = clean(["<blockquote><p>عندي صداع دائم</p></blockquote>راجع طبيب الأعصاب"], open_profile("social"))
    assert cleaned.texts == ["راجع طبيب الأعصاب"]
    assert RULES["html"].apply("<blockquote>أ<blockquote>ب</blockquote></blockquote>ج")[0].split() == [
        ">",
        "أ",
        ">",
        ">",
        "ب",
        "ج",
    ]


@pytest.mark.parametrize("text", ['"' + "كلمة " * 3000, "اقتباس\n" * 2000, "❝" * 5000, "عضو " * 3000 + ":"])
def test_long_texts_that_almost_match_take_no_time(text):
    start = time.perf_counter()
    for rule in ("quoted", "boilerplate"):
        RULES[rule].apply(text)
    assert time.perf_counter() - start < 5
