"""What is found, what is let through, and where it stands in the original text."""

from __future__ import annotations

import pytest

from mashq.privacy import Deidentifier

FIND = Deidentifier()


def kinds(text: str) -> list[tuple[str, str]]:
    return [(found.kind, text[found.start : found.end]) for found in FIND.find(text)]


NAMES = {
    "a_sure_name_alone": ("كلمني أحمد أمس", ["أحمد"]),
    "full_name": ("حضر محمد سالم القحطاني مع أخيه", ["محمد سالم القحطاني"]),
    "title_stays_outside": ("شكرا للسيدة منال الخطيب على الرد", ["منال الخطيب"]),
    "ambiguous_after_introduction": ("اسمي كامل وعندي صداع", ["كامل"]),
    "ambiguous_after_kin": ("بنتي أمل عمرها سنتان", ["أمل"]),
    "ambiguous_after_vocative": ("يا هدى طمنيني عليك", ["هدى"]),
    "ambiguous_after_a_verb_of_speech": ("قالت أمل إن الموعد تأجل", ["أمل"]),
    "kunya": ("راح أبو خالد للمستوصف", ["أبو خالد"]),
    "kunya_of_a_mother": ("أم سلطان تسأل عن اللقاح", ["أم سلطان"]),
    "nasab": ("راجعنا مازن بن زياد العتيبي", ["مازن بن زياد العتيبي"]),
    "abd_in_two_words": ("ولدي عبد العزيز حرارته مرتفعة", ["عبد العزيز"]),
    "clitic_stays_outside": ("سلمت الورقة لمحمود وأحمد", ["محمود", "أحمد"]),
    "coordinated_ambiguous": ("زرت سارة ومنى أمس", ["سارة", "منى"]),
    "of_faith": ("جارنا صلاح الدين تعب", ["صلاح الدين"]),
    "other_spelling": ("جانا احمد و فاطمه", ["احمد", "فاطمه"]),
    "vocalised_word_is_one_span": ("زارنا مُحَمَّدٌ اليوم", ["مُحَمَّدٌ"]),
    "stretched_word_is_one_span": ("وينك يا أحمـــد", ["أحمـــد"]),
    "in_a_hashtag": ("الدعاء له #خالد_العنزي", ["خالد_العنزي"]),
    "latin": ("my brother Mohammed Al-Otaibi is ill", ["Mohammed Al-Otaibi"]),
    "latin_after_is": ("my name is Nour", ["Nour"]),
    "unlisted_family_name": ("لقيت محمد شنكول في الممر", ["محمد شنكول"]),
    "unlisted_after_introduction": ("اسمي شنكول وعمري ثلاثون", ["شنكول"]),
    "kunya_inside": ("كلمت طوني أبي راشد أمس", ["طوني أبي راشد"]),
    "kunya_of_an_unlisted_name": ("وصل أبو سرمدان مبكرا", ["أبو سرمدان"]),
    "kunya_in_one_word": ("شفنا بوخليفة في السوق", ["بوخليفة"]),
    "whose_kin": ("وسيم ابن عمتي نصحني به", ["وسيم"]),
    "hardly_a_name_beside_kin": ("حماتي عواطف دايخة", ["عواطف"]),
    "kin_of_another": ("نسيبتك فوزية راجعة", ["فوزية"]),
    "list_joined_with_and": ("رحت مع خالد ووليد وأحمد الشامي", ["خالد", "وليد", "أحمد الشامي"]),
    "signature": ("تحياتي للجميع\nأم ليان", ["أم ليان"]),
    "both_scripts_joined": ("حد يوصلني بMina Fayez", ["Mina Fayez"]),
    "specialty_between_title_and_name": ("طبيب الأسنان وائل ممتاز", ["وائل"]),
}


@pytest.mark.parametrize(("text", "wanted"), NAMES.values(), ids=NAMES)
def test_names_are_found_without_title_and_clitic(text, wanted):
    assert [what for kind, what in kinds(text) if kind in ("name", "doctor")] == wanted


LET_THROUGH = {
    "syndrome": "هل متلازمة داون وراثية وماذا عن داء كرون؟",
    "parkinson": "والدي مصاب بمرض باركنسون منذ سنة وجدتي بألزهايمر",
    "pill": "حبوب ياسمين أوقفتها الشهر الماضي",
    "drug": "آخذ كريستور ليلا وزينات صباحا",
    "cream": "وضعت كريم مرطب على يدي",
    "sura": "أقرأ سورة يوسف وسورة مريم كل يوم",
    "prophet": "قال النبي محمد صلى الله عليه وسلم تداووا",
    "prophet_after": "صبر أيوب عليه السلام",
    "praise": "الحمد لله على كل حال",
    "prayer": "يا كريم اشف كل مريض",
    "adjectives": "أنا سعيد جدا وهذا شيء جميل",
    "preposition_ali": "حط الكمادة على ركبتك",
    "age": "عمر البنت ٣ سنوات",
    "month": "صيام رمضان لمريض السكر",
    "weekday": "موعدي يوم الخميس والعيادة مغلقة يوم الجمعة",
    "abu_dhabi": "انتقلنا إلى أبو ظبي",
    "university": "أدرس في جامعة الملك سعود",
    "station": "نزلنا عند محطة سعد زغلول",
    "or": "هل هذا طبيعي أم لا",
    "vitamin_d": "فيتامين د ١٢ والحديد ٤",
    "city": "من خميس مشيط إلى شرم الشيخ",
    "club": "النصر والهلال والأهلي لعبوا أمس",
    "accusative": "كان جوابه كريمًا ونورًا لي",
    "doctor_without_name": "الدكتور قال لازم أشعة والدكتورة على حق",
    "general_hospital": "رحت المستشفى ثم مستشفى حكومي قريب",
    "route": "يؤخذ عن طريق الفم مرتين",
    "living": "لا يزال حي يرزق",
    "title_before_a_full_stop": "صباح الخير دكتور. انضرب راسي بالباب",
    "doctor_before_a_full_stop": "الذي يحدده الطبيب. معرفة السبب أولا",
    "what_a_doctor_is_told": "يا دكتور راسي يوجعني",
    "a_good_doctor": "منو يعرف دكتور زين للعيون",
    "a_busy_doctor": "الدكتور مسافر والممرضة مشغولة",
    "his_age": "البيبي عمرو شهرين ونص",
    "upon_me": "عليّ أن أنتظر",
    "after_qad": "قد شهد الجميع بذلك",
    "spokesman": "قال المتحدث باسم هيئة الدواء",
    "spare_appointment": "عندك موعد زايد بعيادة الجلدية؟",
    "hospital_in_the_name_of": "سمي المستشفى باسم ابن سينا",
    "much_in_tunis": "توحشتك برشا برشا",
    "order_number": "رقم الطلب 4455221 ورقم الفاتورة 2024110",
    "counted_thing_after_a_street": "وقفنا في شارع النخيل ٣ ساعات",
    "place_of_a_hospital_unnamed": "والمستشفى رافض يدخلني",
    "dead_singer": "أسمع عبد الحليم حافظ كل مساء",
    "blood_pressure": "الضغط 120/80 والسكر 210 والنبض 75",
    "dose": "جرعة 500 ملغ كل 8 ساعات لمدة 14 يوما",
    "price": "التكلفة 1250000000 دينار",
    "operation_date": "العملية بتاريخ 03/02/2022",
    "greeting": "صباح الخير ومساء النور",
}


@pytest.mark.parametrize("text", LET_THROUGH.values(), ids=LET_THROUGH)
def test_words_that_look_like_identifiers_stay(text):
    assert kinds(text) == []


NUMBERS = {
    "saudi_mobile": ("رقمي 0551234567 للتواصل", "phone", "0551234567"),
    "arabic_indic_digits": ("جوالي ٠٥٥١٢٣٤٥٦٧", "phone", "٠٥٥١٢٣٤٥٦٧"),
    "international_with_spaces": ("اتصلوا على +966 55 123 4567 مساء", "phone", "+966 55 123 4567"),
    "double_zero_and_dashes": ("الرقم 00971-50-123-4567", "phone", "00971-50-123-4567"),
    "egyptian_mobile": ("01012345678", "phone", "01012345678"),
    "followed_by_another_number": ("كلموني 01012345678 25 سنة", "phone", "01012345678"),
    "invalid_but_named_phone": ("تلفون 1234567", "phone", "1234567"),
    "saudi_id_named": ("رقم الهوية 1000000008", "national_id", "1000000008"),
    "egyptian_id_alone": ("29001010123456", "national_id", "29001010123456"),
    "emirates_id": ("784-1990-1234567-1", "national_id", "784-1990-1234567-1"),
    "moroccan_card": ("لاكارط ديالي CIN BE123456", "national_id", "BE123456"),
    "tunisian_card": ("رقم بطاقة التعريف 01234567", "national_id", "01234567"),
    "record": ("رقم الملف الطبي 44213 عندكم", "record_number", "44213"),
    "record_with_letters": ("MRN: A-20931", "record_number", "A-20931"),
    "passport": ("جواز السفر رقم A12345678", "passport", "A12345678"),
    "iban": ("الايبان SA03 8000 0000 6080 1016 7519", "iban", "SA03 8000 0000 6080 1016 7519"),
    "plate": ("لوحة السيارة أ ب ج 1234", "plate", "أ ب ج 1234"),
    "email": ("راسلني mona.k@example.com اليوم", "email", "mona.k@example.com"),
    "email_in_words": ("mona.k at example dot com", "email", "mona.k at example dot com"),
    "handle": ("حسابي @mona_k90.", "handle", "@mona_k90"),
    "profile_link": ("https://x.com/mona_k90 تابعوني", "handle", "https://x.com/mona_k90"),
    "network_and_user": ("سناب: mona_k90", "handle", "mona_k90"),
    "birth_numeric": ("تاريخ الميلاد 3/5/1990", "birth_date", "3/5/1990"),
    "birth_worded_levantine": ("مواليد ١٥ كانون الثاني ١٩٨٨", "birth_date", "١٥ كانون الثاني ١٩٨٨"),
    "birth_maghrebi": ("مزداد 3 غشت 1990", "birth_date", "3 غشت 1990"),
    "birth_hijri": ("من مواليد 14/7/1430هـ", "birth_date", "14/7/1430هـ"),
    "birth_year": ("مواليد 1990 والحمد لله", "birth_date", "1990"),
    "address": ("ساكن في شارع النخيل، عمارة 5، شقة 12 بالرياض", "address", "شارع النخيل، عمارة 5، شقة 12"),
    "post_box": ("ص.ب 11421", "address", "ص.ب 11421"),
    "latin_address": ("flat 5, building 12", "address", "flat 5, building 12"),
    "birth_in_words": ("ولدت في الخامس من جمادى الآخرة عام ١٤٠١", "birth_date", "الخامس من جمادى الآخرة عام ١٤٠١"),
    "birth_libyan": ("تاريخ ميلاد بنتي 8 الفاتح 2015", "birth_date", "8 الفاتح 2015"),
    "record_with_an_arabic_letter": ("رقم الملف ش/1102", "record_number", "ش/1102"),
    "record_by_its_shape": ("ورقة التحاليل عليها PATH-2211", "record_number", "PATH-2211"),
    "address_after_a_home": ("ساكن مساكن الشروق بلوك 9 مدخل 2", "address", "مساكن الشروق بلوك 9 مدخل 2"),
    "address_iraqi": ("عنواني حي اور محلة 323 زقاق 45 دار 12", "address", "حي اور محلة 323 زقاق 45 دار 12"),
    "address_stops_before_the_town": ("شارع النخيل عمارة 5 شقة 3 الرياض", "address", "شارع النخيل عمارة 5 شقة 3"),
    "doctor_by_profession": ("فاطمة المرزوقي دكتورة أطفال", "doctor", "فاطمة المرزوقي"),
    "doctor_by_visit": ("عندي موعد عند فادي معلوف", "doctor", "فادي معلوف"),
    "doctor_after_an_attached_and": ("العصب مضغوط ود.فيصل موافق", "doctor", "فيصل"),
    "mother_and_child": ("في مستشفى الأم والطفل", "hospital", "مستشفى الأم والطفل"),
    "address_of_a_delivery": ("عنوان التوصيل قطعة ٤ شارع ١٠ منزل ٢٢", "address", "قطعة ٤ شارع ١٠ منزل ٢٢"),
    "doctor_by_practice": ("رقم عيادة بسنت الجوهري", "doctor", "بسنت الجوهري"),
    "doctor_described": ("الدكتورة الفاضلة منى الصالح", "doctor", "منى الصالح"),
    "doctor_of_two_unlisted_words": ("الدكتور سردال أوغليتش", "doctor", "سردال أوغليتش"),
    "hospital_definite": ("في المستشفى السعودي الألماني", "hospital", "المستشفى السعودي الألماني"),
    "hospital": ("في مستشفى الملك فيصل التخصصي من أسبوع", "hospital", "مستشفى الملك فيصل التخصصي"),
    "hospital_of_a_scholar": ("عملها في مستشفى ابن سينا", "hospital", "مستشفى ابن سينا"),
    "centre": ("مركز النخبة الطبي غالي", "hospital", "مركز النخبة الطبي"),
    "latin_hospital": ("at Al Noor Hospital yesterday", "hospital", "Al Noor Hospital"),
    "doctor": ("د. سمير الحلبي شاطر", "doctor", "سمير الحلبي"),
    "unlisted_doctor": ("كشفت عند د. شنكول", "doctor", "شنكول"),
    "latin_doctor": ("Dr. Salma Haddad", "doctor", "Salma Haddad"),
}


@pytest.mark.parametrize(("text", "kind", "what"), NUMBERS.values(), ids=NUMBERS)
def test_one_identifier_of_its_kind_is_found(text, kind, what):
    assert (kind, what) in kinds(text)
    assert len(kinds(text)) == 1 or kind in ("iban", "email")


def test_the_word_before_a_number_says_what_it_is():
    assert kinds("الهوية 1000000008 والجوال 0551234567") == [("national_id", "1000000008"), ("phone", "0551234567")]


def test_two_phones_side_by_side_are_two():
    assert kinds("0551234567 / 0557654321") == [("phone", "0551234567"), ("phone", "0557654321")]


def test_the_whole_address_covers_the_name_in_it():
    assert kinds("شارع أحمد عرابي، عمارة 9") == [("address", "شارع أحمد عرابي، عمارة 9")]


def test_a_profile_link_covers_the_phone_in_it():
    assert kinds("https://wa.me/966551234567") == [("handle", "https://wa.me/966551234567")]


def test_a_right_to_left_mark_does_not_move_the_span():
    text = "\N{RIGHT-TO-LEFT MARK}جوالي \N{LEFT-TO-RIGHT MARK}0551234567\N{LEFT-TO-RIGHT MARK} شكرا"
    [found] = FIND.find(text)
    assert text[found.start : found.end] == "0551234567"
