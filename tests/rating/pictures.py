"""The pictures of docs/how-to/rate-with-people.md, taken of the real pages in Chromium.

python tests/rating/pictures.py docs/images
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `browser`, as pytest has it
from browser import BROWSER
from pages_study import GUIDELINES, MIXED, PROMPT, STORY, absolute, pairwise
from playwright.sync_api import sync_playwright

from mashq.rating.serve import begun
from mashq.rating.store import Store
from mashq.rating.study import Study, study_of

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
MOST_BYTES = 150_000
OTHER_STORY = (
    "كان فيه صيّاد غلبان ساكن جنب البحر، كل يوم يرمي شبكته ويستنى رزقه.\n\nوفي يوم طلعت له سمكة لونها دهب، "
    "وقالت له: «سيبني أرجع المية وأنا أجيب لك اللي نفسك فيه». ضحك الصيّاد وقال لها: «روحي يا بنت الناس، "
    "أنا نفسي بس تسلمي»."
)
# Name, dialect, items rated.
RATERS = (("سلمى", "المصرية", 9), ("كريم", "الشامية", 5), ("مريم", "المغربية", 4), ("عمر", "الخليجية", 2))
WITHDRAWN = "عمر"


def study() -> Study:
    """Replies in both directions at once, and pairs of stories; an attention item that looks like the others."""
    replies = [absolute(f"a{place}", MIXED, prompt=PROMPT) for place in range(6)]
    right = {"scores": {"fluency": [4, 5]}}
    replies += [absolute(f"t{place}", MIXED, prompt=PROMPT, role="attention", right=right) for place in range(2)]
    pairs = [{**pairwise(f"p{place}", STORY, f"{OTHER_STORY}{' ' * place}"), "variety": "msa"} for place in range(6)]
    head = {"name": "pictures", "title": {"ar": "الإجابات عن التعليمات", "en": "Replies"}, "guidelines": GUIDELINES}
    return study_of({**head, "rubric": "prompts", "items": [*replies, *pairs]})


def main(folder: Path) -> None:
    from test_rating_browser import ARGS, Thread

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as driver:
        store = Path(temporary) / "ratings.sqlite"
        ((_, admin),) = begun(store, study())
        begin(store)
        server = Thread(store)
        browser = driver.chromium.launch(executable_path=BROWSER, args=ARGS)
        try:
            page = browser.new_page(viewport=DESKTOP)
            page.goto(f"{server.address}{admin}")
            page.locator("summary").nth(1).click()
            taken(page, folder / "rating-admin.png")
            places = first_of_each_kind(store)
            for name, kind, window, keys in (
                ("desktop", "absolute", DESKTOP, "42"),
                ("phone", "absolute", PHONE, "4"),
                ("pairs", "pairwise", DESKTOP, "1"),
            ):
                page = browser.new_page(viewport=window)
                page.goto(f"{server.address}{places[kind]}")
                for key in keys:
                    page.keyboard.press(key)
                page.evaluate("scrollTo(0, 0)")
                taken(page, folder / f"rating-{name}.png")
        finally:
            browser.close()
            server.stop()


def begin(path: Path) -> None:
    """Raters who are some way through, one of whom was withdrawn."""
    with Store.open(path) as store:
        for name, dialect, most in RATERS:
            rater = store.rater_of(store.add_rater(name, dialect=dialect))
            assert rater
            for _ in range(most):
                answer(store, rater)
            if name == WITHDRAWN:
                store.withdraw(rater)


def first_of_each_kind(path: Path) -> dict[str, str]:
    """Kind -> the path of the first item of a rater who begins with it."""
    with Store.open(path) as store:
        places: dict[str, str] = {}
        for number in range(1, 20):  # whose first item is of which kind is drawn by name
            token = store.add_rater(f"مقيِّم {number}")
            rater = store.rater_of(token)
            assert rater
            shown = store.next(rater)
            assert shown
            places.setdefault(shown.item.kind, f"/r/{token}/{shown.number}")
            if len(places) == 2:
                break
        return places


def answer(store: Store, rater: Any) -> None:
    shown = store.next(rater)
    assert shown
    names = [one.name for one in store.study.criteria]
    key, value = ("scores", 4) if shown.item.kind == "absolute" else ("prefer", "first")
    store.save(rater, shown.item.id, {key: dict.fromkeys(names, value), "note": ""}, 31.0)


def taken(page: Any, path: Path) -> None:
    """A picture of what is in the window. Raises where it is too large for a repository."""
    page.screenshot(path=path)
    if path.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{path}: {path.stat().st_size:,} bytes, expected at most {MOST_BYTES:,}")
    print(path, f"{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
