"""A server that writes conversations from sentences and a seed, as a language model is asked to, and errs on purpose.

It reads topic, country, length and layout out of the prompt. One reply in five is bad in a way that checks must find:
refusals, other countries, missing turns, English, loops, cut ends, telephone numbers, no layout at all. How the
connection misbehaves is `llm_server`'s. No model is behind it: its words do not matter, only that they are told apart.

    python benchmarks/dialogue_writer.py
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import random
import re
from collections.abc import Sequence

import llm_server

from mashq import dialogues
from mashq.packaged import parsed

ASKS = [
    "أعيش في {country} وأفكر منذ {time} في {hint}. من أين أبدأ؟",
    "السلام عليكم. أنا من {country} ويهمني {topic}، وبالذات {hint}. ماذا تقترح؟",
    "سمعت من {who} في {country} كلامًا كثيرًا عن {topic}. هل {hint} أمر سهل؟",
    "جرّبت {hint} قبل {time} ولم أنجح. نحن في {country}، فهل يختلف الأمر هنا؟",
    "سألني {who} اليوم عن {topic} ولم أعرف الجواب، مع أننا في {country} نتكلم عنه كل {day}. ساعدني.",
]
GOES_ON = [
    "فهمت. وماذا عن {word}؟ يقول {who} إنه {adjective}.",
    "شكرًا لك. هل يكفي {number} من الأيام لذلك، أم أحتاج إلى {time}؟",
    "هذا مفيد. لكن {who} يفضّل طريقة أخرى ويذكر {word} دائمًا. ما رأيك؟",
    "وإذا لم أجد {word} قريبًا من بيتي، فما البديل؟",
    "طيب، وكيف أعرف بعد {time} أنني أسير في الطريق الصحيح؟",
    "أخشى أن أبدأ يوم {day} ثم أترك الأمر بعد {number} محاولات. كيف أثبت؟",
    "ذكرتَ شيئًا عن {word} قبل قليل، فهل توضحه بمثال من {country}؟",
]
ANSWERS = [
    "ابدأ بخطوة صغيرة: خصّص لذلك {number} دقائق كل {day}، ثم انظر في النتيجة بعد {time}.",
    "أكثر ما ينفع في {topic} أن تسأل {who}، فله خبرة {adjective} بما يناسب أهل {country}.",
    "اكتب ما تعرفه عن {word} في ورقة، وضع علامة عند كل ما تراه {adjective}.",
    "لا تشغل نفسك بكل التفاصيل دفعة واحدة، فالمهم أولًا {hint}.",
    "في {country} أماكن كثيرة تعينك على ذلك، واختر منها ما كان قريبًا و{adjective}.",
    "إن وجدت الأمر صعبًا فقسّمه إلى {number} أقسام، وابدأ بما يتصل بموضوع {word}.",
    "من تجارب الناس أن من صبر {time} وجد فرقًا واضحًا، ولو كانت البداية بسيطة.",
    "احذر من نصيحة واحدة تصلح للجميع، فما يراه {who} مناسبًا قد لا يكون {adjective} لك.",
    "اجعل {day} موعدًا ثابتًا، وراجع فيه ما أنجزته وما بقي من {word}.",
    "الفكرة كلها أن تجمع بين {hint} وبين راحتك، وأن تترك ما يثقل عليك.",
    "يمكنك أن تقارن بين طريقتين مدة {time}، ثم تكمل بالطريقة التي وجدتها {adjective}.",
    "اسأل نفسك قبل كل خطوة: هل هذا نافع لي اليوم، أم يكفيني أن أؤجله إلى {day}؟",
    "تذكّر أن {topic} يختلف من بيت إلى بيت في {country} نفسها، فخذ ما يناسبك ودع غيره.",
    "إذا احتجت إلى عون فابحث عن {who} ممّن مرّوا بهذا، وستجد عندهم كلامًا {adjective}.",
    "سجّل ملاحظة قصيرة عن {word} بعد كل محاولة، فبعد {number} محاولات ترى الصورة كاملة.",
]
TIMES = ["أسبوع", "شهر", "شهرين", "سنة", "ثلاثة أيام", "أسبوعين", "نصف شهر", "موسم كامل", "عشرة أيام", "عدة أشهر"]
WHO = [
    "أخي الكبير",
    "جارتنا",
    "زميلي في العمل",
    "صديق قديم",
    "معلمتي",
    "عمي",
    "ابنة خالتي",
    "صاحب الدكان",
    "جدتي",
    "زميلة في الدراسة",
]
DAYS = ["السبت", "الأحد", "الاثنين", "الثلاثاء", "الأربعاء", "الخميس", "الجمعة", "صباح", "مساء", "أسبوع"]
ADJECTIVES = [
    "نافعًا",
    "بسيطًا",
    "قريبًا",
    "واضحًا",
    "جديدًا",
    "مألوفًا",
    "متعبًا",
    "سريعًا",
    "مناسبًا",
    "غريبًا",
    "هادئًا",
    "قليل الكلفة",
]
NUMBERS = ["ثلاث", "أربع", "خمس", "ست", "سبع", "ثماني", "تسع", "عشر"]
REFUSAL = "عذرًا، بصفتي نموذجًا لغويًّا لا أستطيع المساعدة في هذا الطلب."
ENGLISH = "User: Hello, I need some help with this.\nAssistant: Of course, here is a short list of ideas for you."
ERRORS = {  # kind -> share of the replies
    **{"refusal": 0.04, "elsewhere": 0.03, "short": 0.03, "english": 0.02, "loop": 0.02, "cut": 0.02, "phone": 0.01},
    **{"unreadable": 0.02, "empty": 0.01},
}


@functools.cache
def _known() -> tuple[list[dialogues.Topic], list[dialogues.Country], list[tuple[str, int]]]:
    """Topics, countries and number words, the longest names first."""
    topics = sorted(dialogues.topics().values(), key=lambda one: -len(one.name))
    places = sorted(dialogues.countries().values(), key=lambda one: -len(one.name))
    counts = sorted(
        ((said, number) for number, said in parsed("dialogues/prompts")["counts"].items()), key=lambda one: -len(one[0])
    )
    return topics, places, counts


@functools.cache
def _places() -> re.Pattern[str]:
    names = "|".join(one.name for one in _known()[1])  # the longest first
    return re.compile(rf"(?<!\w)(?:{names})(?!\w)")


def conversation(messages: Sequence[tuple[str, str]]) -> str:
    """The reply to a prompt of `mashq.dialogues`; a prompt that is none of its gets a refusal."""
    asked = next((text for role, text in messages if role == "user"), "")
    topics, _, counts = _known()
    topic = next((one for one in topics if one.name in asked), None)
    country = max(_places().findall(asked), key=len, default=None)
    if topic is None or country is None:
        return REFUSAL
    exchanges = next((number for said, number in counts if said in asked), 2)
    digest = hashlib.blake2b(json.dumps(messages, ensure_ascii=False).encode(), digest_size=8).digest()
    draw = random.Random(int.from_bytes(digest, "little"))
    error = _drawn(draw.random())
    if error in ("refusal", "english", "empty"):
        return {"refusal": REFUSAL, "english": ENGLISH, "empty": " "}[error]
    turns = _turns(draw, topic, "ليختنشتاين" if error == "elsewhere" else country, exchanges - (error == "short"))
    if error == "loop":
        turns[-1] = ("assistant", " ".join(["ثم تبدأ من جديد"] * 30) + ".")
    if error == "cut":
        turns[-1] = ("assistant", turns[-1][1].rsplit(" ", 2)[0])
    if error == "phone":
        turns[1] = ("assistant", f"{turns[1][1]} واتصل بي على الرقم 0501234567.")
    return _laid_out(turns, asked) if error != "unreadable" else " ".join(text for _, text in turns)


def _drawn(point: float) -> str:
    for kind, share in ERRORS.items():
        point -= share
        if point < 0:
            return kind
    return ""


def _turns(draw: random.Random, topic: dialogues.Topic, country: str, exchanges: int) -> list[tuple[str, str]]:
    plain = [word for word in topic.words if not word.endswith("*")] or [topic.name]

    def said(sentence: str) -> str:
        values = {"time": TIMES, "who": WHO, "day": DAYS, "adjective": ADJECTIVES, "number": NUMBERS, "word": plain}
        drawn = {name: draw.choice(options) for name, options in values.items()}
        return sentence.format(country=country, topic=topic.name, hint=draw.choice(topic.hints), **drawn)

    turns: list[tuple[str, str]] = []
    goes_on = draw.sample(GOES_ON, min(exchanges - 1, len(GOES_ON))) if exchanges > 1 else []
    answers = draw.sample(ANSWERS, len(ANSWERS))
    for question in [draw.choice(ASKS), *goes_on]:
        turns.append(("user", said(question)))
        turns.append(("assistant", " ".join(said(answers.pop()) for _ in range(2 if len(answers) > 3 else 1))))
    return turns


def _laid_out(turns: Sequence[tuple[str, str]], asked: str) -> str:
    if '"role"' in asked:
        return json.dumps([{"role": role, "content": text} for role, text in turns], ensure_ascii=False)
    if "[|Human|]" in asked:
        return "\n".join(f"[|{'Human' if role == 'user' else 'AI'}|] {text}" for role, text in turns)
    if "1. س" in asked:
        lines = [
            f"{place // 2 + 1}. س: {text}" if role == "user" else f"ج: {text}"
            for place, (role, text) in enumerate(turns)
        ]
        return "\n".join(lines)
    return "\n".join(f"{'المستخدم' if role == 'user' else 'المساعد'}: {text}" for role, text in turns)


if __name__ == "__main__":
    llm_server.answer_to = conversation
    asyncio.run(llm_server.serve())
