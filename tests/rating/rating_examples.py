"""Small studies and the answers of raters, for the tests of rating."""

from mashq.rating.store import Rater, Shown, Store
from mashq.rating.study import Study, study_of

CRITERIA = [
    {
        "name": "fluency",
        "title": {"ar": "الطلاقة", "en": "Fluency"},
        "ask": {"ar": "هل اللغة سليمة وسلسة؟", "en": "Is the language correct and smooth?"},
        "labels": {
            "ar": ["رديئة", "ضعيفة", "مقبولة", "جيدة", "ممتازة"],
            "en": ["Very poor", "Poor", "Fair", "Good", "Excellent"],
        },
    },
    {"name": "coherence", "title": {"ar": "الترابط", "en": "Coherence"}},
]
REPLIES = {
    "base": "القطة نامت القطة نامت القطة نامت.",
    "tuned": "عادت القطة إلى البيت مع الغروب، فنامت قرب النافذة.",
}


def absolute(place: int, system: str = "tuned", **more) -> dict:
    return {
        "id": f"a{place:02}-{system}",
        "kind": "absolute",
        "prompt": f"اكتب قصة قصيرة عن قطة، رقم {place}.",
        "shown": [REPLIES[system]],
        "systems": [system],
        "variety": ("msa", "egyptian", "moroccan")[place % 3],
        "group": f"g{place}",
        **more,
    }


def pairwise(place: int, **more) -> dict:
    pair = {"id": f"p{place:02}", "kind": "pairwise", "shown": list(REPLIES.values()), "systems": list(REPLIES)}
    return {**absolute(place), **pair, **more}


def check(place: int, **more) -> dict:
    texts = {"id": f"c{place:02}", "kind": "check", "shown": [f"Open door {place}.", f"افتح باب {place}."]}
    return {**absolute(place), **texts, "systems": ["opus"], "prompt": "", **more}


PRACTICE = absolute(
    90, "base", role="practice", right={"scores": {"fluency": [1, 2]}}, why={"ar": "الجملة مكررة.", "en": "It repeats."}
)
ATTENTION = [absolute(80 + place, role="attention", right={"scores": {"fluency": 5}}) for place in range(3)]


def study(items: list[dict], **more) -> Study:
    return study_of({"name": "قصص القطة", "title": {"ar": "قصص"}, "criteria": CRITERIA, "items": items, **more})


def answer(shown: Shown, turn: int = 0) -> dict:
    """An answer that fits what is shown; `turn` makes several different ones."""
    if shown.item.kind == "check":
        verdict = ("accept", "correct", "reject")[turn % 3]
        return {"verdict": verdict, "text": "افتح الباب." if verdict == "correct" else "", "note": ""}
    if shown.item.kind == "pairwise":
        return {
            "prefer": {"fluency": ("first", "second", "tie")[turn % 3], "coherence": "tie"},
            "note": f"ملاحظة {turn}",
        }
    return {"scores": {"fluency": turn % 5 + 1, "coherence": 3}, "note": ""}


def added(store: Store, name: str, **more) -> Rater:
    rater = store.rater_of(store.add_rater(name, **more))
    assert rater is not None
    return rater


def rate_all(store: Store, rater: Rater, most: int = 10_000) -> list[Shown]:
    """Let a rater answer what is next until all is done or `most` items are; what was shown."""
    seen: list[Shown] = []
    while len(seen) < most and (shown := store.next(rater)):
        store.save(rater, shown.item.id, answer(shown, len(seen) + rater.id), 1.5)
        seen.append(shown)
    return seen
