"""Simulated raters for an evaluation: the way from its replies over the rating pages to ratings.parquet, walked whole.

THE RATERS ARE PROGRAMS. What they give says nothing about the replies' quality, and every file says `simulated`. They
show that a study, its pages, a killed server and the exports work, and that the measures find what was planted.

What a rater gives, for every criterion alike, is the reply's own measured score plus the rater:

    score = 1 + 4 * (mean of the measures below, each 0..1) + severity + noise, rounded, kept within 1..5

    arabic     share of its letters that are Arabic script
    whole      0 where it is empty, 0.2 where it loops (metrics.health.is_looping), else 1
    length     words / 40, at most 1
    variety    only for a criterion named "variety": 1 where it reads as what was asked, 0.5 untold, 0 another

    severity   fixed for each rater: -0.5, 0, +0.5, ... points in turn (below 0 is severe)
    noise      normal, with 0.4, 0.6, 0.8, ... points in turn; drawn from --seed, the rater and the item
    habit      the last rater does not look: every third item gets 3 throughout, attention items as well

The server is `mashq rate`'s own, in a process of its own on loopback, killed with SIGKILL when half of all answers are
acknowledged and started again at its port. Raters ask it over HTTP as a browser would (forms with their tokens), or
with --browser in Chromium, by the keyboard. At the end every acknowledged answer must stand in the store.

    python benchmarks/simulated_raters.py runs/steps/gain@... --rubric stories --items 60 --out ratings.parquet
"""

from __future__ import annotations

import argparse
import html
import http.client
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from mashq import arabic
from mashq.metrics.health import is_looping
from mashq.rating import dealing
from mashq.rating.exports import to_csv, to_json, to_parquet
from mashq.rating.serve import begun
from mashq.rating.store import Store
from mashq.rating.study import Item, Study, study_of_samples
from mashq.rows import MashqError

SERVE = """
import sys
from mashq.rating.serve import serve
serve(sys.argv[1], port=int(sys.argv[2]), ready=lambda address: print(address, flush=True))
"""
WRITERS = {".csv": to_csv, ".json": to_json, ".parquet": to_parquet}
WORDS_OF_A_REPLY = 40  # from here on length earns no more
PATIENCE_S = 300  # for a server that is away
ATTENTION = "lorem ipsum " * 8  # no Arabic, and a loop: whoever looks gives it 1 or 2


# --- what the raters go by -------------------------------------------------------------------------------------------


def measured(item: Item, criterion: str) -> float:
    """The reply's own score, 1 to 5, from what can be counted in it."""
    text = item.shown[0]
    words = arabic.words(text)
    if not words:
        return 1.0
    loops = is_looping(text, words)
    parts = [
        arabic.arabic_share(text),
        0.2 if loops else 1.0,
        0.0 if loops else min(1.0, len(words) / WORDS_OF_A_REPLY),
    ]
    if criterion == "variety":
        parts.append(_variety(text, item.variety))
    return 1 + 4 * sum(parts) / len(parts)


def _variety(text: str, asked: str) -> float:
    from mashq.variety_asked import reads_as

    told = reads_as(text, asked) if asked else None
    return 0.5 if told is None else float(told == asked)


@dataclass
class Habits:
    """A simulated rater: how severe, how noisy, and whether it looks."""

    number: int
    of: int
    seed: int

    @property
    def severity(self) -> float:
        return 0.5 * (self.number % 3 - 1)

    @property
    def noise(self) -> float:
        return 0.4 + 0.2 * self.number

    @property
    def inattentive(self) -> bool:
        return self.number == self.of - 1

    def scores(self, item: Item, place: int, criteria: list[str]) -> dict[str, int]:
        """What this rater gives the item that stands at `place` of its list."""
        if self.inattentive and (place % 3 == 0 or item.role == "attention"):
            return dict.fromkeys(criteria, 3)
        drawn = random.Random(f"{self.seed} {self.number} {item.id}")
        return {name: self._one(measured(item, name), drawn) for name in criteria}

    def _one(self, score: float, drawn: random.Random) -> int:
        return max(1, min(5, round(score + self.severity + drawn.gauss(0, self.noise))))


# --- the server ------------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """The pages of a store in a process of their own; started again it listens at the same port."""

    path: Path
    port: int = 0
    process: Any = None

    def start(self) -> None:
        command = [sys.executable, "-c", SERVE, str(self.path), str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        address = self.process.stdout.readline().strip()
        if not address:
            raise MashqError(f"simulated raters: the server of {self.path} did not start.")
        self.port = urlsplit(address).port

    def end(self, how: int = signal.SIGINT) -> None:
        self.process.send_signal(how)
        self.process.wait(timeout=60)


# --- raters at work --------------------------------------------------------------------------------------------------


@dataclass
class AtWork:
    """One rater and its link. `said` is what the server acknowledged: page's name of an item -> scores."""

    server: Server
    link: str
    habits: Habits
    items: dict[str, Item]  # page's name -> item
    criteria: list[str]
    said: dict[str, dict[str, int]] = field(default_factory=dict)
    tries: int = 0  # requests that found no server

    def scores(self, name: str, place: int) -> dict[str, int]:
        return self.habits.scores(self.items[name], place, self.criteria)

    def rate(self) -> None:
        """Over plain HTTP: fetch the page that is next, answer its form, until the pages say that all is done."""
        while True:
            where, page = self._page(f"{self.link}next")
            if where.endswith("/done"):
                return
            fields = dict(re.findall(r'<input type="hidden" name="(form|item|began)" value="([^"]*)"', page))
            name = html.unescape(fields["item"])
            scores = self.scores(name, int(where.rpartition("/")[2]))
            form = {**fields, "note": "", **{f"score.{criterion}": score for criterion, score in scores.items()}}
            status, _, body = self._ask("POST", where, urlencode(form))
            if status != 303:
                raise MashqError(f"simulated raters: expected 303 for an answer, got {status}: {body[:200]}")
            self.said[name] = scores

    def _page(self, place: str) -> tuple[str, str]:
        """Where redirections end, and the page there."""
        while True:
            status, to, body = self._ask("GET", place)
            if status == 200:
                return place, body
            if status != 303:
                raise MashqError(f"simulated raters: expected a page, got {status}: {body[:200]}")
            place = to

    def _ask(self, how: str, place: str, form: str = "") -> tuple[int, str, str]:
        """Status, place of a redirection, body; a server that is away or asks to wait is asked again."""
        until = time.monotonic() + PATIENCE_S
        host = f"127.0.0.1:{self.server.port}"
        headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
            try:
                connection.request(how, place, form or None, headers)
                answer = connection.getresponse()
                body = answer.read().decode()
                if answer.status not in (429, 503):
                    return answer.status, answer.getheader("Location", ""), body
            except (OSError, http.client.HTTPException):  # killed: it comes back
                self.tries += 1
            finally:
                connection.close()
            if time.monotonic() > until:
                raise MashqError(f"simulated raters: the server at {host} was away for {PATIENCE_S} s.")
            time.sleep(0.2)

    def rate_in_browser(self, executable: str) -> None:
        """The same in Chromium, by the keyboard: a score for each criterion, then Enter."""
        from playwright.sync_api import Error, sync_playwright

        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page()
            page.set_default_timeout(PATIENCE_S * 1000)
            address = f"http://127.0.0.1:{self.server.port}"
            while not page.url.endswith("/done"):
                try:
                    if "/r/" not in page.url:
                        page.goto(f"{address}{self.link}next")
                        continue
                    self._keys(page)
                except Error as error:
                    if "ERR_" not in str(error) and "interrupted" not in str(error):
                        raise
                    self.tries += 1
                    time.sleep(0.5)
            browser.close()

    def _keys(self, page: Any) -> None:
        before = page.url
        name = page.locator('input[name="item"]').first.get_attribute("value")
        scores = self.scores(name, int(before.rpartition("/")[2]))
        for score in scores.values():
            page.keyboard.press(str(score))
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: url != before and not url.endswith("/next"))
        if "/r/" in page.url:  # it went on, so the answer is on the disk
            self.said[name] = scores


# --- the whole way ---------------------------------------------------------------------------------------------------


def study(samples: Path, rubric: str, items: int, seed: int) -> Study:
    """The study of an evaluation's replies, marked as simulated, with an attention item for every twenty."""
    made: dict[str, Any] = {"name": f"simulated-{samples.parent.name}", "rubric": rubric, "seed": seed}
    made |= {"simulated": True}
    plain = study_of_samples(samples, made, n=items)
    right = {"scores": {one.name: [1, 2] for one in plain.criteria}}
    variety = next((item.variety for item in plain.items if item.variety), "")
    shared = {"kind": "absolute", "role": "attention", "shown": [ATTENTION], "right": right, "variety": variety}
    count = max(1, len(plain.items) // 20)
    attention = [{**shared, "id": f"attention-{place}", "prompt": plain.items[place].prompt} for place in range(count)]
    return study_of_samples(samples, {**made, "items": attention}, n=items)


def rated(store: Path, of: Study, raters: int, *, seed: int, browser: str = "") -> dict[str, Any]:
    """Have the study rated through its pages, the server killed once; what happened. Raises where an answer is lost."""
    links = dict(begun(store, of, raters=raters))
    criteria = [one.name for one in of.criteria]
    with Store.open(store) as opened:
        key = opened.key
    server = Server(store)
    server.start()
    at_work = []
    for number in range(raters):
        name = f"rater {number + 1}"
        pages = {dealing.public_id(of, name, item, key): item for item in of.items}
        at_work.append(AtWork(server, links[name], Habits(number, raters, seed), pages, criteria))
    began, dead = time.monotonic(), threading.Event()
    with Store.open(store) as opened:
        wanted = sum(progress.of for _, progress in opened.raters())
    known: dict[tuple[str, str], dict[str, int]] = {}

    def kill() -> None:
        while sum(len(one.said) for one in at_work) < wanted / 2 and not dead.is_set():
            time.sleep(0.01)
        server.end(signal.SIGKILL)
        known.update({(one.link, name): scores for one in at_work for name, scores in dict(one.said).items()})
        server.start()

    try:
        with ThreadPoolExecutor(raters + 1) as pool:
            work = [pool.submit(one.rate_in_browser, browser) if browser else pool.submit(one.rate) for one in at_work]
            killing = pool.submit(kill)
            try:
                for one in work:
                    one.result()
            finally:
                dead.set()
            killing.result()
    finally:
        server.end(signal.SIGKILL)
    seconds = time.monotonic() - began
    _check(store, at_work, wanted)
    away = sum(one.tries for one in at_work)
    return {"answers": wanted, "known_at_kill": len(known), "failed_requests": away, "seconds": round(seconds, 1)}


def _check(store: Path, at_work: list[AtWork], wanted: int) -> None:
    """Raise where an acknowledged answer is not in the store as it was given, or one stands there twice."""
    with Store.open(store) as opened:
        rows = opened.answers().to_pylist()
    stands = {(row["rater"], row["item"], row["criterion"]): row["value"] for row in rows}
    lost = [
        (one.habits.number, name)
        for one in at_work
        for name, scores in one.said.items()
        for criterion, score in scores.items()
        if stands.get((f"rater {one.habits.number + 1}", one.items[name].id, criterion)) != score
    ]
    answered = len({(row["rater"], row["item"]) for row in rows})
    if lost or len(stands) != len(rows) or answered != wanted:
        raise MashqError(
            f"simulated raters: {len(lost)} acknowledged answers are lost, {len(rows) - len(stands)} stand twice, "
            f"{answered} of {wanted} are there."
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluation", type=Path, help="folder of an evaluation (with samples.parquet)")
    parser.add_argument("--rubric", default="stories", help="whose criteria are rated (default %(default)s)")
    parser.add_argument(
        "--items", type=int, default=60, help="items of the evaluation, each with all its replies; 0 = all"
    )
    parser.add_argument("--raters", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--browser", default="", help="rate in this Chromium, /usr/bin/chromium say; default: HTTP alone"
    )
    parser.add_argument("--out", type=Path, default=Path("ratings.parquet"), help="a .parquet, .csv or .json")
    asked = parser.parse_args()
    if asked.out.suffix not in WRITERS:
        parser.error(f"--out: expected a file {' or '.join(WRITERS)}")
    made = study(asked.evaluation / "samples.parquet", asked.rubric, asked.items, asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "ratings.sqlite"
        told = rated(store, made, asked.raters, seed=asked.seed, browser=asked.browser)
        with Store.open(store) as opened:
            WRITERS[asked.out.suffix](opened, asked.out)
    told = {"simulated": True, "replies": len(made.of_role("item")), "raters": asked.raters, **told}
    print(json.dumps({**told, "out": str(asked.out)}))


if __name__ == "__main__":
    main()
