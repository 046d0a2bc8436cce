"""The rating pages in a real browser, against a server in a process of its own that can be killed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import psutil
import pytest
from browser import BROWSER
from pages_study import SCRIPT, STORY, absolute, check, every_kind, practice, study

from mashq.rating.app import app
from mashq.rating.dealing import public_id
from mashq.rating.guard import Hosts
from mashq.rating.serve import _listening, begun
from mashq.rating.store import Store

playwright = pytest.importorskip("playwright.sync_api", reason="the playwright package is not installed")
playwright_async = pytest.importorskip("playwright.async_api")
pytest.importorskip("starlette")
uvicorn = pytest.importorskip("uvicorn")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")

SERVE = """
import sys
from mashq.rating.serve import serve
serve(sys.argv[1], port=int(sys.argv[2]), ready=lambda address: print(address, flush=True))
"""
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PATIENCE_MS = 90_000  # a machine under load needs tens of seconds to start a killed server again


class Server:
    """The server of a store in its own process; restarted, it listens at the same port."""

    def __init__(self, path: Path):
        self.path, self.port, self.process = path, 0, None
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-c", SERVE, str(self.path), str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()
        assert self.address, self.process.stderr.read()
        self.port = int(self.address.rpartition(":")[2])

    def stop(self, how: int = signal.SIGINT) -> str:
        """End it; what it wrote."""
        self.process.send_signal(how)
        out, err = self.process.communicate(timeout=20)
        return out + err


class Thread:
    """The same pages from a thread of this process, for tests that kill nothing: quicker to start."""

    def __init__(self, path: Path):
        self.store = Store.open(path)
        listening = _listening("127.0.0.1", 0)
        port = listening.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        made = app(self.store, hosts=Hosts.at("127.0.0.1", port))
        self.serving = uvicorn.Server(
            uvicorn.Config(made, log_level="error", access_log=False, lifespan="off", ws="none")
        )
        self.thread = threading.Thread(target=self.serving.run, args=([listening],), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.serving.should_exit = True
        self.thread.join(timeout=20)
        self.store.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=ARGS)
        yield browser
        browser.close()


class Served:
    """A study that is served, and its links."""

    def __init__(self, path: Path, of: Any, server: Any, raters: int = 1):
        self.path = path
        links = [link for _, link in begun(path, of, raters=raters)]
        self.server = server(path)
        self.admin, *self.raters = links

    def at(self, place: str = "", rater: int = 0) -> str:
        return f"{self.server.address}{self.raters[rater]}{place}"

    def rows(self) -> list[dict[str, Any]]:
        with Store.open(self.path) as store:
            return store.answers().to_pylist()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Any]:
    made: list[Served] = []

    def of(study: Any) -> Served:
        made.append(Served(tmp_path / "ratings.sqlite", study, Thread))
        return made[0]

    yield of
    for one in made:
        one.server.stop()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Any]:
    """As `served`, by a process that can be killed."""
    made: list[Served] = []

    def of(study: Any, raters: int = 1) -> Served:
        made.append(Served(tmp_path / "ratings.sqlite", study, Server, raters))
        return made[0]

    yield of
    for one in made:
        if one.server.process.poll() is None:
            one.server.stop(signal.SIGKILL)


def texts(n: int) -> Any:
    return study([absolute(f"i{number}", f"هذا نص الإجابة رقم {number}.") for number in range(n)])


# --- three raters at once, a browser killed, the server killed -------------------------------------------------------


class Simulated:
    """A rater at a keyboard, who notes every answer of which the server said that it is saved."""

    def __init__(self, served: Served, rater: int, profile: Path):
        self.served, self.rater, self.profile = served, rater, profile
        self.said: dict[str, dict[str, str]] = {}  # item -> the fields that were acknowledged last
        self.opened = 0

    async def rate(self, driver: Any, shared: Any) -> None:
        """Rate all: in a context of the shared browser, or in a browser of one's own, opened anew when it is gone."""
        done = False
        while not done:
            self.opened += 1
            launch = driver.chromium.launch_persistent_context
            context = await (
                shared.new_context() if shared else launch(self.profile, executable_path=BROWSER, args=ARGS)
            )
            try:
                done = await self._all(await context.new_page())
            except playwright_async.Error as error:
                if "closed" not in str(error):
                    raise
            finally:
                with contextlib.suppress(playwright_async.Error):
                    await context.close()

    async def _all(self, page: Any) -> bool:
        page.set_default_timeout(PATIENCE_MS)
        page.on("response", self._heard)
        await self._open(page)
        while not page.url.endswith("/done"):
            await self._one(page)
        return True

    def _heard(self, response: Any) -> None:
        if response.status == 204:
            fields = {name: values[0] for name, values in parse_qs(response.request.post_data).items()}
            self.said[fields["item"]] = fields

    async def _open(self, page: Any) -> None:
        for _ in range(100):  # the server may be away
            try:
                await page.goto(self.served.at("next", self.rater))
                return
            except playwright_async.Error as error:
                if "ERR_" not in str(error) and "interrupted" not in str(error):
                    raise
                await asyncio.sleep(0.2)
        raise AssertionError("the server did not come back")

    async def _one(self, page: Any) -> None:
        before = page.url
        if "/r/" not in before:  # the server went away between the answer and the next page
            return await self._open(page)
        for score in self.scores(int(before.rpartition("/")[2])):
            await page.keyboard.press(str(score))
        await page.keyboard.press("Enter")
        try:
            await page.wait_for_url(lambda url: url != before and not url.endswith("/next"))
        except playwright_async.Error as error:
            if "ERR_" not in str(error):
                raise
            await self._open(page)
        return None

    def scores(self, number: int) -> tuple[int, int]:
        return 1 + (7 * number + self.rater) % 5, 1 + (3 * number + 2 * self.rater) % 5

    def kill(self) -> None:
        """The browser of this rater, with all its processes, at once."""
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if str(self.profile) in " ".join(process.cmdline()):
                    process.kill()


async def all_at_once(served: Served, raters: list[Simulated], items: int) -> int:
    """Three raters at once; the second's browser is killed after a third of all answers, the server after two thirds.
    How many answers had been acknowledged when it was."""

    at_work: list[asyncio.Task[None]] = []

    async def until(n: int) -> None:
        while sum(len(rater.said) for rater in raters) < n and not all(task.done() for task in at_work):
            await asyncio.sleep(0.01)

    async def killing() -> int:
        await until(items)
        raters[1].kill()
        await until(2 * items)
        await asyncio.to_thread(served.server.stop, signal.SIGKILL)
        known = {(rater.rater, item) for rater in raters for item in rater.said}
        assert len({(row["rater"], row["item"]) for row in served.rows()}) >= len(known)
        await asyncio.to_thread(served.server.start)
        return len(known)

    async with asyncio.timeout(900), playwright_async.async_playwright() as driver:
        shared = await driver.chromium.launch(executable_path=BROWSER, args=ARGS)
        for rater in raters:
            at_work.append(asyncio.create_task(rater.rate(driver, None if rater.rater == 1 else shared)))
        known, *_ = await asyncio.gather(killing(), *at_work)
        await shared.close()
    return known


def in_a_thread(work: Any) -> Any:
    """The result of a coroutine, from a thread without a loop (the other tests' driver has one in this thread)."""
    with concurrent.futures.ThreadPoolExecutor(1) as one:
        return one.submit(asyncio.run, work).result()


@pytest.mark.parametrize("items", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_three_raters_at_once_lose_nothing_though_a_browser_and_the_server_are_killed(
    mortal: Any, tmp_path: Path, items: int
):
    at_work = mortal(texts(items), raters=3)
    raters = [Simulated(at_work, number, tmp_path / f"profile-{number}") for number in range(3)]
    assert in_a_thread(all_at_once(at_work, raters, items)) >= 2 * items
    assert [rater.opened for rater in raters] == [1, 2, 1]
    at_work.server.stop(signal.SIGKILL)

    rows = at_work.rows()
    assert set(Counter((row["rater"], row["item"], row["criterion"]) for row in rows).values()) == {1}
    assert len(rows) == 3 * items * 2
    stands = {(row["rater"], row["item"], row["criterion"]): row["value"] for row in rows}
    with Store.open(at_work.path) as store:
        for number, (rater, _) in enumerate(store.raters()):
            names = {public_id(store.study, rater.name, item, store.key): item.id for item in store.study.items}
            places = {store.shown(rater, place).item.id: place for place in range(1, items + 1)}
            assert len(raters[number].said) >= items - 1  # one may be heard by nobody: its browser was killed
            for name, fields in raters[number].said.items():
                for criterion, score in zip(("fluency", "variety"), raters[number].scores(places[name]), strict=True):
                    assert fields[f"score.{criterion}"] == str(score)
                    assert stands[rater.name, names[name], criterion] == score


# --- one rater -------------------------------------------------------------------------------------------------------


def test_what_was_chosen_while_the_server_was_away_is_kept_and_saved_later(mortal: Any, chromium: Any):
    at_work = mortal(texts(2))
    context = chromium.new_context()
    page = context.new_page()
    page.goto(at_work.at("next"))
    at_work.server.stop(signal.SIGKILL)
    page.keyboard.press("4")
    page.keyboard.press("2")
    page.locator("#state.bad").wait_for()
    assert "لم تُحفظ إجابتك بعد" in page.locator("#state").inner_text()
    page.close(run_before_unload=False)
    at_work.server.start()
    assert at_work.rows() == []
    page = context.new_page()
    page.goto(at_work.at("next"))
    assert page.locator('[name="score.fluency"]:checked').get_attribute("value") == "4"
    page.get_by_text("حُفظت إجابتك.").wait_for()
    assert [row["value"] for row in at_work.rows()] == [4.0, 2.0]
    assert page.evaluate("localStorage.length") == 0
    context.close()


def sent(page: Any) -> None:
    """Wait until nothing waits in the browser any more (the pages' policy forbids playwright's own way to wait)."""
    until = time.monotonic() + 20
    while page.evaluate("localStorage.length"):
        assert time.monotonic() < until, "a draft still waits"
        page.wait_for_timeout(50)


def rated_elsewhere(at_work: Served, chromium: Any, fluency: str) -> None:
    """The same rater answers item 1 in another browser."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(at_work.at("1"))
    page.keyboard.press(fluency)
    page.keyboard.press("3")
    page.get_by_text("حُفظت إجابتك.").wait_for()
    sent(page)
    context.close()


def chosen_offline(at_work: Served, context: Any) -> Any:
    """A page of item 1 on which 1 and 1 were chosen while there was no network."""
    page = context.new_page()
    page.goto(at_work.at("1"))
    context.set_offline(True)
    page.keyboard.press("1")
    page.keyboard.press("1")
    page.locator("#state.bad").wait_for()
    return page


CHECKED = "[...document.querySelectorAll('input:checked')].map((one) => one.value).join(' ')"
SETTLED_MS = 1500  # twice the time after which a choice is saved by itself


@pytest.mark.parametrize("take", [True, False])
def test_a_draft_that_is_older_than_the_saved_answer_is_offered_and_never_saved_by_itself(
    served: Any, chromium: Any, take: bool
):
    at_work = served(texts(2))
    context = chromium.new_context()
    chosen_offline(at_work, context).close(run_before_unload=False)
    context.set_offline(False)
    rated_elsewhere(at_work, chromium, "5")
    page = context.new_page()
    page.goto(at_work.at("1"))
    page.locator("#offer").wait_for()
    page.wait_for_timeout(SETTLED_MS)
    assert page.evaluate(CHECKED) == "5 3"
    assert [row["value"] for row in at_work.rows()] == [5.0, 3.0]
    page.reload()  # to look at it decides nothing
    page.locator("#offer").wait_for()
    page.click("#take" if take else "#leave")
    if take:
        page.get_by_text("حُفظت إجابتك.").wait_for()
    sent(page)
    page.locator("#offer").wait_for(state="hidden")
    assert page.evaluate(CHECKED) == ("1 1" if take else "5 3")
    assert [row["value"] for row in at_work.rows()] == ([1.0, 1.0] if take else [5.0, 3.0])
    context.close()


@pytest.mark.parametrize("take", [True, False])
def test_a_page_that_was_offline_replaces_no_answer_that_was_saved_meanwhile(served: Any, chromium: Any, take: bool):
    at_work = served(texts(2))
    context = chromium.new_context(viewport={"width": 360, "height": 740})
    page = chosen_offline(at_work, context)
    rated_elsewhere(at_work, chromium, "5")
    context.set_offline(False)
    page.locator("#offer").wait_for()
    assert "حُفظت بعد ذلك إجابة أخرى" in page.locator("#offer").inner_text()
    page.keyboard.press("Enter")  # without a word on which one holds
    page.wait_for_timeout(SETTLED_MS)
    assert page.url.endswith("/1") and page.evaluate("document.activeElement.id") == "take"
    assert [row["value"] for row in at_work.rows()] == [5.0, 3.0]
    page.click("#take" if take else "#leave")
    page.get_by_text("حُفظت إجابتك.").wait_for()
    sent(page)
    assert page.evaluate(CHECKED) == ("1 1" if take else "5 3")
    assert [row["value"] for row in at_work.rows()] == ([1.0, 1.0] if take else [5.0, 3.0])
    context.close()


def test_a_draft_of_a_changed_mind_is_saved_over_the_answer_that_it_was_to_replace(served: Any, chromium: Any):
    at_work = served(texts(2))
    rated_elsewhere(at_work, chromium, "5")
    context = chromium.new_context()
    chosen_offline(at_work, context).close(run_before_unload=False)
    context.set_offline(False)
    page = context.new_page()
    page.goto(at_work.at("1"))
    sent(page)
    assert page.locator("#offer").is_hidden()
    assert [row["value"] for row in at_work.rows()] == [1.0, 1.0]
    context.close()


def test_a_visit_that_is_gone_on_with_after_the_page_was_closed_counts_once(served: Any, chromium: Any):
    at_work = served(texts(1))
    context = chromium.new_context()
    page = context.new_page()
    began = time.monotonic()
    page.goto(at_work.at("1"))
    page.wait_for_timeout(4_000)
    page.keyboard.press("5")
    page.keyboard.press("3")
    page.get_by_text("حُفظت إجابتك.").wait_for()
    sent(page)
    first = at_work.rows()[0]["seconds"]
    context.set_offline(True)
    page.keyboard.press("1")
    page.locator("#state.bad").wait_for()
    page.close(run_before_unload=False)
    context.set_offline(False)
    page = context.new_page()
    page.goto(at_work.at("1"))
    sent(page)
    assert [row["value"] for row in at_work.rows()] == [5.0, 1.0]
    assert 4 <= first < at_work.rows()[0]["seconds"] <= time.monotonic() - began + 0.1
    context.close()


def test_the_page_goes_on_by_itself_when_the_server_is_back(mortal: Any, chromium: Any):
    at_work = mortal(texts(2))
    page = chromium.new_page()
    page.goto(at_work.at("next"))
    at_work.server.stop(signal.SIGKILL)
    for key in ("4", "2", "Enter"):
        page.keyboard.press(key)
    page.locator("#state.bad").wait_for()
    at_work.server.start()
    page.wait_for_url("**/2")
    assert [row["value"] for row in at_work.rows()] == [4.0, 2.0]
    page.context.close()


def test_keys_move_choose_and_go_on(served: Any, chromium: Any):
    page = chromium.new_page()
    page.goto(served(texts(2)).at("next"))
    arabic = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '٣', bubbles: true, cancelable: true}))"
    page.evaluate(arabic)  # as an Arabic keyboard writes it
    focused = "document.activeElement.name"
    assert page.evaluate(focused) == "score.variety"
    page.keyboard.press("Enter")  # nothing is chosen there yet
    assert page.url.endswith("/1")
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused) == "score.fluency"
    page.keyboard.press("ArrowLeft")  # to the left is the next higher one, right to left
    assert page.locator('[name="score.fluency"]:checked').get_attribute("value") == "4"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("5")
    page.keyboard.press("Enter")
    page.wait_for_url("**/2")
    page.context.close()


def test_a_click_saves_by_itself_and_says_so(served: Any, chromium: Any):
    at_work = served(texts(1))
    page = chromium.new_page()
    page.goto(at_work.at("1"))
    page.locator('.choice:has([name="score.fluency"][value="2"])').click()
    page.locator('.choice:has([name="score.variety"][value="3"])').click()
    page.get_by_text("حُفظت إجابتك.").wait_for()
    assert page.locator("#state").get_attribute("aria-live") == "polite"
    assert [row["value"] for row in at_work.rows()] == [2.0, 3.0]
    assert page.url.endswith("/1")
    page.context.close()


def test_editing_a_proposal_chooses_to_correct_it(served: Any, chromium: Any):
    at_work = served(study([check("c", "The weather is fine today.", "الطقس جميل اليوم.")], criteria=[]))
    page = chromium.new_page()
    page.goto(at_work.at("1"))
    page.fill("#text", "الجو جميل اليوم.")
    assert page.locator("[name=verdict]:checked").get_attribute("value") == "correct"
    page.click("#save")
    page.wait_for_url("**/done")
    assert [(row["said"], row["text"]) for row in at_work.rows()] == [("correct", "الجو جميل اليوم.")]
    page.context.close()


def test_without_the_script_every_page_works(served: Any, chromium: Any):
    at_work = served(study([practice(), absolute("a", "نص")]))
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(at_work.at())
    page.click("#go")
    for again in (False, True):
        page.locator('.choice:has([name="score.fluency"][value="5"])').click()
        page.locator('.choice:has([name="score.variety"][value="5"])').click()
        page.click("#save")
        if not again:
            assert "أحسنت" in page.locator("#told").inner_text()
            page.click("#go")
    assert page.url.endswith("/done")
    page.goto(at_work.at("1"))
    page.get_by_text("توقّف الآن").click()
    assert page.url.endswith("/pause")
    assert len(at_work.rows()) == 4
    context.close()


def test_a_stored_script_does_nothing_and_nothing_is_loaded_from_elsewhere(served: Any, chromium: Any):
    at_work = served(
        study(
            [absolute("a", SCRIPT, prompt=SCRIPT), absolute("b", STORY)],
            title={"ar": SCRIPT},
            guidelines={"ar": SCRIPT},
        )
    )
    page = chromium.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    for place in ("", "1", "done"):
        page.goto(at_work.at(place))
        page.wait_for_timeout(100)
        assert page.evaluate("window.stolen") is None
    for number in (1, 2):
        page.goto(at_work.at(str(number)))
        if not page.locator("details[open]").count():
            page.click("summary", position={"x": 3, "y": 3})
        page.fill("#note", SCRIPT)
        page.locator("body").click(position={"x": 1, "y": 1})
        for key in ("1", "1", "Enter"):
            page.keyboard.press(key)
        page.wait_for_url(lambda url, number=number: not url.endswith(f"/{number}"))
        page.goto(at_work.at(str(number)))
        assert page.evaluate("window.stolen") is None
    page.goto(f"{at_work.server.address}{at_work.admin}")
    page.fill("#name", "<script>window.stolen=7</script>")
    page.click("button.act")
    page.locator("#made").wait_for()
    assert page.evaluate("window.stolen") is None
    assert page.evaluate("document.scripts.length") == 0
    assert {url.partition("?")[0].split("/")[2] for url in asked if not url.startswith("data:")} == {
        at_work.server.address.partition("//")[2]
    }
    page.context.close()


def test_the_server_writes_no_link_and_ends_in_peace(mortal: Any, chromium: Any):
    at_work = mortal(texts(1))
    page = chromium.new_page()
    page.goto(at_work.at())
    page.goto(f"{at_work.server.address}/r/{'A' * 32}/")
    page.context.close()
    assert at_work.server.stop() == ""
    assert at_work.server.process.returncode == 0


# --- how it looks ----------------------------------------------------------------------------------------------------

SIZES = {"desktop": (1280, 900), "phone": (360, 740)}


def sights(at_work: Served, page: Any, lang: str) -> Iterator[str]:
    """Every page in turn; the name of each."""
    more = "?lang=en" if lang == "en" else ""
    page.goto(at_work.at(more))
    yield "start"
    page.goto(at_work.at(f"1{more}"))
    yield "item"
    seen = set()
    with Store.open(at_work.path) as store:
        rater = store.raters()[0][0]
        said = {"absolute": {"scores": {"fluency": 4, "variety": 5}}, "check": {"verdict": "accept"}}
        said["pairwise"] = {"prefer": {"fluency": "first", "variety": "tie"}}
        for number in range(1, store.progress(rater).of + 1):
            item = store.shown(rater, number).item
            if item.role == "practice" or item.kind not in seen or "stolen" in item.shown[0]:
                store.save(rater, item.id, said[item.kind], 3.0)
                page.goto(at_work.at(f"{number}{more}"))
                yield "script" if "stolen" in item.shown[0] else item.role if item.role == "practice" else item.kind
                seen.add(item.kind if item.role == "item" else "")
            store.save(rater, item.id, said[item.kind], 3.0)
    page.goto(at_work.at(f"done{more}"))
    yield "done"
    page.goto(f"{at_work.server.address}{at_work.admin}{more}")
    yield "admin"


LOOKS = [("desktop", "ar", "light"), ("phone", "ar", "light")]
OTHERS = [("phone", "ar", "dark"), ("phone", "en", "dark"), ("desktop", "en", "dark")]


@pytest.mark.parametrize(
    ("size", "lang", "scheme"), [*LOOKS, *(pytest.param(*look, marks=pytest.mark.slow) for look in OTHERS)]
)
def test_every_page_fits_its_window_and_is_not_blank(served: Any, chromium: Any, size: str, lang: str, scheme: str):
    import matplotlib.image

    folder = os.environ.get("MASHQ_SCREENSHOTS")
    at_work = served(every_kind())
    width, height = SIZES[size]
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    names = []
    for name in sights(at_work, page, lang):
        names.append(name)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate("document.documentElement.dir") == ("rtl" if lang == "ar" else "ltr")
        page.set_viewport_size({"width": width, "height": max(height, page.evaluate("document.body.scrollHeight"))})
        taken = page.screenshot()
        page.set_viewport_size({"width": width, "height": height})
        seen = matplotlib.image.imread(io.BytesIO(taken))
        assert seen.shape[1] == width
        assert seen.std() > 0.02, name
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            (Path(folder) / f"rating-{name}-{size}-{lang}-{scheme}.png").write_bytes(taken)
    assert names == ["start", "item", "practice", *sorted(names[3:-2], key=names.index), "done", "admin"]
    assert {"absolute", "pairwise", "check"} <= {*names, "absolute"}
    context.close()


def test_touch_targets_are_large_and_every_field_has_a_name(served: Any, chromium: Any):
    context = chromium.new_context(viewport={"width": 360, "height": 740}, has_touch=True)
    page = context.new_page()
    page.goto(served(every_kind()).at("1"))
    page.evaluate("document.getElementById('offer').hidden = false")
    sizes = page.evaluate(
        "[...document.querySelectorAll('.choice, button, nav a, summary, a.step')]"
        ".map((one) => one.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 44
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input:not([type=hidden]), textarea')]"
        ".filter((one) => !one.labels.length).length"
    )
    assert unnamed == 0
    assert page.evaluate(
        "[...document.querySelectorAll('fieldset')].every((one) => one.firstElementChild.tagName === 'LEGEND')"
    )
    context.close()


def test_both_schemes_have_contrast(served: Any, chromium: Any):
    at_work = served(every_kind())
    for scheme in ("light", "dark"):
        context = chromium.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(at_work.at("1"))
        colours = page.evaluate(
            "Object.fromEntries(['ink', 'soft', 'paper', 'card', 'act', 'on', 'note', 'mark', 'edge', 'well']"
            ".map((name) => [name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`)]))"
        )
        pairs = [
            ("ink", "paper"),
            ("ink", "card"),
            ("ink", "mark"),
            ("soft", "paper"),
            ("soft", "mark"),
            ("act", "paper"),
        ]
        for front, back in [
            *pairs,
            ("on", "act"),
            ("note", "card"),
            ("note", "paper"),
            ("well", "card"),
            ("act", "card"),
        ]:
            assert contrast(colours[front], colours[back]) >= 4.5, (scheme, front, back)
        assert contrast(colours["edge"], colours["card"]) >= 3, scheme
        context.close()


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2 (1.4.3) between two colours like #1b1b1b."""

    def light(colour: str) -> float:
        digits = colour.strip().lstrip("#")
        digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
        parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
