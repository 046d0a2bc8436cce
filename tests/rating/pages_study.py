"""A small study for the tests of the pages: every kind of item, texts in both directions, and one that is a script."""

from __future__ import annotations

from typing import Any

from mashq.rating.study import Study, study_of

SCRIPT = (
    "جواب عادي <script>window.stolen = 1</script>"
    '<img src=x onerror="window.stolen = 2"><svg/onload=window.stolen=3>'
    '</div></section></main><iframe srcdoc="<script>parent.stolen=4</script>"></iframe>'
    '<a href="javascript:window.stolen=5">اضغط</a> {{ 7 * 7 }} &lt;b&gt; "\' onfocus=window.stolen=6 autofocus=\''
)
LONG = "ك" * 300 + " " + "https://example.org/" + "a" * 300
MIXED = (
    "استعمل الأمر pip install مع اسم المكتبة، ثم شغّل python3.\n"
    "The second line is in English (version 3.11).\n"
    "١. اقرأ السؤال\n2. اكتب الجواب: 50 % من الدرجة!"
)
LABELS = {
    "ar": ["رديء", "ضعيف", "مقبول", "جيد", "ممتاز"],
    "en": ["bad", "weak", "fair", "good", "excellent"],
}
SENTENCES = {
    "ar": [
        "فيه أخطاء تمنع الفهم",
        "فيه أخطاء كثيرة",
        "يُفهم مع بعض الأخطاء",
        "سليم مع هفوات قليلة",
        "سليم وسلس كأنه من كاتب متقن",
    ],
    "en": ["errors prevent understanding", "many errors", "understood with errors", "small slips", "sound and fluent"],
}
FLUENCY = {
    "name": "fluency",
    "title": {"ar": "السلاسة", "en": "Fluency"},
    "ask": {"ar": "هل اللغة سليمة وسلسة؟", "en": "Is the language sound and fluent?"},
    "labels": SENTENCES,
}
VARIETY = {
    "name": "variety",
    "title": {"ar": "اللهجة", "en": "Variety"},
    "ask": {"ar": "هل كُتبت الإجابة بنوع العربية المطلوب؟", "en": "Is the reply in the Arabic that was asked for?"},
    "labels": LABELS,
}
GUIDELINES = {
    "ar": (
        "اقرأ الطلب أولًا، ثم اقرأ الإجابة كاملة قبل أن تعطي أي درجة.\n\n"
        "احكم على كل معيار وحده: قد تكون الإجابة سلسة وليست باللهجة المطلوبة."
    ),
    "en": "Read what was asked first, then the whole reply, before you give any score.\n\nJudge each criterion alone.",
}
PROMPT = "اشرح لصديقك في ثلاثة أسطر كيف يثبّت مكتبة Python على حاسوبه."
STORY = (
    "كان في قديم الزمان صيّاد فقير يسكن عند شاطئ البحر. خرج ذات صباح إلى عمله فلم يصطد شيئًا حتى العصر، "
    "ثم علقت في شبكته سمكة صغيرة لها لون الذهب.\n\nقالت السمكة: «أعدني إلى الماء أُعطِك ما تتمنى». "
    "فابتسم الصيّاد وأعادها، وقال: «لا أريد إلا أن تسلمي»."
)


def practice(number: int = 1) -> dict[str, Any]:
    return {
        "id": f"p{number}",
        "kind": "absolute",
        "role": "practice",
        "prompt": "اكتب جملة باللهجة المصرية عن الطقس.",
        "shown": ["الجو النهارده حر أوي، خليك في البيت أحسن."],
        "systems": ["practice"],
        "variety": "egyptian",
        "right": {"scores": {"fluency": [4, 5], "variety": 5}},
        "why": {"ar": "الجملة سليمة، وكل ألفاظها مصرية.", "en": "It is sound, and every word is Egyptian."},
    }


def absolute(name: str, reply: str, *, prompt: str = PROMPT, variety: str = "msa", **more: Any) -> dict[str, Any]:
    shown = {"id": name, "kind": "absolute", "prompt": prompt, "shown": [reply], "systems": ["secret-system"]}
    return {**shown, "variety": variety, **more}


def pairwise(name: str, first: str, second: str) -> dict[str, Any]:
    systems = {"systems": ["secret-a", "secret-b"]}
    return {"id": name, "kind": "pairwise", "prompt": "احكِ قصة قصيرة عن صيّاد.", "shown": [first, second], **systems}


def check(name: str, source: str, proposed: str) -> dict[str, Any]:
    return {"id": name, "kind": "check", "prompt": "", "shown": [source, proposed], "systems": ["engine"]}


def study(items: list[dict[str, Any]], **more: Any) -> Study:
    head = {"name": "pages", "title": {"ar": "دراسة تجريبية", "en": "A trial study"}, "guidelines": GUIDELINES}
    return study_of({**head, "criteria": [FLUENCY, VARIETY], "items": items, **more})


def every_kind() -> Study:
    return study(
        [
            practice(),
            absolute("mixed", MIXED),
            absolute("script", SCRIPT),
            pairwise("pair", STORY, "كان فيه صيّاد غلبان ساكن جنب البحر، وفي يوم لقى سمكة دهب."),
            check("check", "The weather is fine today.", "الطقس جميل اليوم."),
        ]
    )
