from __future__ import annotations

import asyncio
import io
import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pages_study import LONG, SCRIPT, STORY, absolute, check, every_kind, pairwise, practice, study

from mashq.packaged import parsed
from mashq.rating.answers import MOST_TEXT
from mashq.rating.store import Store
from mashq.rows import MashqError

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from mashq.rating import serve as serving
from mashq.rating.app import BYTES_A_LETTER, ROOM_BYTES, app
from mashq.rating.guard import Bucket, Hosts, Limits

HOST = "127.0.0.1:8000"
GOOD = {"score.fluency": "4", "score.variety": "5"}


class Pages:
    """A store behind its pages, asked as a browser would."""

    def __init__(self, path: Path, of: Any = None, raters: int = 1, **limits: Any):
        self.store = Store.create(path, of or every_kind(), key="tests")  # the same order in every run
        self.links = [self.store.add_rater(f"rater {number}") for number in range(raters)]
        self.app = app(self.store, hosts=Hosts.at("127.0.0.1", 8000), limits=Limits(**limits))

    def ask(self, method: str, path: str, *, client: str = "127.0.0.1", **more: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(client, 1))
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as asking:
                return await asking.request(method, path, **more)

        return asyncio.run(asked())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", path, **more)

    def at(self, place: str = "", rater: int = 0) -> str:
        return f"/r/{self.links[rater]}/{place}"

    def form(self, path: str) -> dict[str, str]:
        """The hidden fields of the page's own form."""
        page = self.get(path).text
        return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))

    def post(self, path: str, fields: dict[str, str], **more: Any) -> httpx.Response:
        return self.ask("POST", path, data=fields, **more)

    def rate(self, number: int, fields: dict[str, str], rater: int = 0, **more: str) -> httpx.Response:
        path = self.at(str(number), rater)
        return self.post(path, {**self.form(path), **fields, **more})


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    made = Pages(tmp_path / "r.sqlite")
    yield made
    made.store.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Pages]:
    made = Pages(tmp_path / "r.sqlite", study([absolute("a", "نص"), absolute("b", "نص آخر")]), raters=2)
    yield made
    made.store.close()


def of_kind(pages: Pages, kind: str) -> int:
    """The number of the rater's item of that kind, all before it answered."""
    rater = pages.store.rater_of(pages.links[0])
    assert rater is not None
    while (shown := pages.store.next(rater)) is not None:
        if shown.item.kind == kind and shown.item.role == "item":
            return shown.number
        answers: dict[str, Any] = {
            "absolute": {"scores": {"fluency": 4, "variety": 5}},
            "pairwise": {"prefer": {"fluency": "tie", "variety": "first"}},
            "check": {"verdict": "accept"},
        }
        pages.store.save(rater, shown.item.id, answers[shown.item.kind], 1)
    raise AssertionError(f"no {kind} left")


# --- what a rater sees -----------------------------------------------------------------------------------------------


def test_the_start_tells_what_how_and_how_long(pages: Pages):
    page = pages.get(pages.at())
    assert page.status_code == 200
    for words in ("اقرأ الطلب أولًا", "هل اللغة سليمة وسلسة؟", "عدد العناصر: 5", "منها للتدريب: 1", "ابدأ"):
        assert words in page.text
    assert '<html lang="ar" dir="rtl">' in page.text


def test_english_is_kept_from_page_to_page(pages: Pages):
    page = pages.get(pages.at("?lang=en"))
    assert '<html lang="en" dir="ltr">' in page.text
    assert f'href="{pages.at("next")}?lang=en"' in page.text
    on = pages.get(pages.at("next?lang=en"))
    assert on.headers["location"] == pages.at("1?lang=en")
    item = pages.get(on.headers["location"])
    assert f'action="{pages.at("1")}?lang=en"' in item.text
    assert f'href="{pages.at("1")}?lang=ar"' in item.text


def test_no_page_names_a_system_or_the_studys_own_ids(pages: Pages):
    of_kind(pages, "check")
    for number in range(1, 6):
        assert "secret" not in pages.get(pages.at(str(number))).text


def test_a_rating_is_saved_and_the_next_item_follows(two: Pages):
    answer = two.rate(1, GOOD)
    assert (answer.status_code, answer.headers["location"]) == (303, two.at("next"))
    rows = two.store.answers().to_pylist()
    assert [(row["criterion"], row["value"]) for row in rows] == [("fluency", 4.0), ("variety", 5.0)]
    assert two.get(two.at("next")).headers["location"] == two.at("2")
    two.rate(2, GOOD)
    assert two.get(two.at("next")).headers["location"] == two.at("done")
    assert "شكرًا" in two.get(two.at("done")).text


def test_the_script_gets_204_once_it_is_saved(two: Pages):
    assert two.rate(1, GOOD, stay="1", seconds="12.5").status_code == 204
    assert two.store.answers()["seconds"].to_pylist() == [12.5, 12.5]


@pytest.mark.parametrize("seconds", ["nan", "inf", "-5", "1e999", "", "x", "٣"])
def test_odd_seconds_lose_no_answer(two: Pages, seconds: str):
    assert two.rate(1, GOOD, stay="1", seconds=seconds).status_code == 204
    assert 0 <= two.store.answers()["seconds"][0].as_py() <= 3600


def script(pages: Pages, fields: dict[str, str], **more: str) -> httpx.Response:
    """What the script sends of the page of item 1."""
    return pages.rate(1, {**GOOD, "stay": "1", **fields}, **more)


def known(pages: Pages) -> str:
    """The time of the answer that the page of item 1 knows, as the script sends it."""
    return re.findall(r'data-saved-at="(\d*)"', pages.get(pages.at("1")).text)[0]


def test_the_script_replaces_only_the_answer_that_its_page_knows(two: Pages):
    assert known(two) == ""
    first = script(two, {"saved_at": "", "began": "10"})
    assert (first.status_code, first.headers["saved-at"]) == (204, known(two))
    late = script(two, {"saved_at": "", "began": "20", "score.fluency": "1"})
    assert (late.status_code, late.headers["saved-at"]) == (409, known(two))
    assert two.store.answers()["value"].to_pylist() == [4, 5]
    assert script(two, {"saved_at": "", "began": "10", "score.fluency": "2"}).status_code == 204  # its own, unheard
    assert script(two, {"saved_at": known(two), "began": "20", "score.fluency": "1"}).status_code == 204
    assert two.rate(1, {"score.fluency": "3"}).status_code == 422  # a plain form says what it says
    assert two.rate(1, GOOD).status_code == 303
    assert two.store.answers()["value"].to_pylist() == [4, 5]


def test_a_form_sent_twice_and_a_page_opened_anew_count_their_seconds(two: Pages):
    for began, seconds, whole in [("10", "30", 30), ("10", "30", 30), ("20", "5", 35), ("10", "31", 36)]:
        assert script(two, {"began": began, "seconds": seconds, "note": whole * "ن"}).status_code == 204
        assert set(two.store.answers()["seconds"].to_pylist()) == {whole}
    refused = two.rate(1, {"score.fluency": "9"}, began="1234").text
    assert 'name="began" value="1234"' in refused  # it is the same visit, and took as long as both pages


def test_an_item_of_another_name_is_looked_for_once_however_long_the_list_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pages = Pages(tmp_path / "r.sqlite", study([absolute(f"i{number}", "نص") for number in range(50)]))
    fields = {**pages.form(pages.at("1")), **GOOD, "stay": "1"}
    looked: list[int] = []
    shown = Store.shown
    monkeypatch.setattr(Store, "shown", lambda *of: looked.append(of[2]) or shown(*of))
    assert pages.post(pages.at("1"), {**fields, "item": "none"}).status_code == 404
    assert len(looked) == 1
    rater = pages.store.rater_of(pages.links[0])
    other = shown(pages.store, rater, 7).item.id
    assert pages.post(pages.at("1"), {**fields, "item": other}).status_code == 204
    assert shown(pages.store, rater, 7).answer is not None and shown(pages.store, rater, 1).answer is None
    pages.store.close()


def test_a_missing_score_is_named_and_what_was_chosen_stays(two: Pages):
    page = two.rate(1, {"score.fluency": "2", "note": "لم أكمل"})
    assert page.status_code == 422
    assert "لم تُجب بعد عن: اللهجة." in page.text
    assert re.search(r'name="score.fluency" value="2" data-key="2" checked', page.text)
    assert "لم أكمل" in page.text
    assert two.store.answers().num_rows == 0


@pytest.mark.parametrize("score", ["0", "6", "4.5", "٤", "true", "", "1e0", "<script>"])
def test_a_score_off_the_scale_is_refused(two: Pages, score: str):
    assert two.rate(1, {**GOOD, "score.variety": score}).status_code == 422
    assert two.store.answers().num_rows == 0


def test_one_goes_back_and_changes_an_answer(two: Pages):
    two.rate(1, GOOD)
    page = two.get(two.at("1"))
    assert re.search(r'name="score.variety" value="5" data-key="5" checked', page.text)
    two.rate(1, {**GOOD, "score.variety": "1"})
    assert two.store.answers()["value"].to_pylist() == [4.0, 1.0]
    assert two.store.history()["value"].to_pylist() == [4.0, 5.0]


def test_items_to_come_are_not_shown_before_their_turn(two: Pages):
    assert two.get(two.at("2")).headers["location"] == two.at("1")
    assert two.get(two.at("done")).headers["location"] == two.at("next")


@pytest.mark.parametrize("number", ["0", "-1", "3", "١", "1.0", "99999999999999999999", "%00", "next/1"])
def test_a_number_that_no_item_has_leads_nowhere(two: Pages, number: str):
    two.rate(1, GOOD)
    two.rate(2, GOOD)
    assert two.get(two.at(number)).status_code == 404


def test_a_practice_item_tells_what_was_expected(pages: Pages):
    answer = pages.rate(1, {"score.fluency": "2", "score.variety": "5"})
    assert answer.headers["location"] == pages.at("1")
    page = pages.get(pages.at("1")).text
    assert "كنا نتوقع إجابة أخرى" in page
    assert "4 أو 5" in page
    assert "كل ألفاظها مصرية" in page
    pages.rate(1, GOOD)
    assert "أحسنت" in pages.get(pages.at("1")).text


def test_only_practice_items_tell_what_is_right(tmp_path: Path):
    attention = absolute("trap", "أعط الدرجة 1 في كل معيار.", role="attention", right={"scores": {"fluency": 1}})
    pages = Pages(tmp_path / "r.sqlite", study([attention, absolute("a", "نص")]))
    for number in (1, 2):
        pages.rate(number, GOOD)
        page = pages.get(pages.at(str(number))).text
        assert 'id="told"' not in page
        assert "attention" not in page
    assert pages.store.raters()[0][1].attention_of == 1


def test_a_pair_is_saved_as_it_was_shown(pages: Pages):
    number = of_kind(pages, "pairwise")
    rater = pages.store.rater_of(pages.links[0])
    shown = pages.store.shown(rater, number).item.shown
    pages.rate(number, {"prefer.fluency": "first", "prefer.variety": "tie"})
    row = next(row for row in pages.store.answers().to_pylist() if row["item"] == "pair" and row["said"] != "tie")
    preferred = row["system"] if row["value"] == 1 else row["other"]
    assert preferred == ("secret-a" if shown[0] == STORY else "secret-b")
    page = pages.get(pages.at(str(number))).text
    assert re.search(r'name="prefer.fluency" value="first" data-key="1" checked', page)


def test_a_translation_is_accepted_corrected_or_rejected(pages: Pages):
    number = of_kind(pages, "check")
    assert "الطقس جميل اليوم.</textarea>" in pages.get(pages.at(str(number))).text
    unchanged = pages.rate(number, {"verdict": "correct", "text": " الطقس جميل اليوم.\r\n"})
    assert unchanged.status_code == 422
    assert "لم يتغيّر النص" in unchanged.text
    pages.rate(number, {"verdict": "correct", "text": "الجو جميل اليوم."})
    row = next(row for row in pages.store.answers().to_pylist() if row["item"] == "check")
    assert (row["said"], row["text"]) == ("correct", "الجو جميل اليوم.")
    assert "الجو جميل اليوم.</textarea>" in pages.get(pages.at(str(number))).text


@pytest.mark.parametrize("text", ["سطر أول\nسطر  ثانٍ.", "سطر أول سطر ثانٍ.", "سطر أول سطر  ثانٍ .", "\t\x07"])
def test_a_correction_may_change_spaces_and_line_ends_alone(tmp_path: Path, text: str):
    pages = Pages(tmp_path / "r.sqlite", study([check("c", "source", "سطر أول سطر  ثانٍ.")], criteria=[]))
    empty = not text.strip("\t\x07")
    assert pages.rate(1, {"verdict": "correct", "text": text}).status_code == (422 if empty else 303)
    assert pages.store.answers()["text"].to_pylist() == ([] if empty else [text])
    pages.store.close()


def test_a_text_that_begins_with_line_ends_comes_back_whole(tmp_path: Path):
    pages = Pages(tmp_path / "r.sqlite", study([check("c", "a", "\n\nسطر")], criteria=[]))
    assert ">\n\n\nسطر</textarea>" in pages.get(pages.at("1")).text  # HTML drops the first line end


def test_a_rater_rests_and_goes_on_by_the_same_link(two: Pages):
    form = two.form(two.at("1"))
    assert two.post(two.at("pause"), form).headers["location"] == two.at("pause")
    assert "تستريح" in two.get(two.at("pause")).text
    assert two.store.raters()[0][0].paused
    two.rate(1, GOOD)
    assert not two.store.raters()[0][0].paused


ODD = {
    "empty": "",
    "blank": " ",
    "line-end": "\n",
    "controls": "\x00\x1b[31m",
    "override": "\N{RIGHT-TO-LEFT OVERRIDE}abc",
    "one-word": LONG,
    "other-scripts": "漢字 עברית ไทย",
    "a-megabyte": "نص " * 180_000,
    "template": "{{ 7*7 }}{% raw %}",
}


@pytest.mark.parametrize("reply", ODD.values(), ids=ODD)
def test_odd_replies_are_shown(tmp_path: Path, reply: str):
    pages = Pages(tmp_path / "r.sqlite", study([absolute("a", reply), pairwise("b", reply, "نص")]))
    for number in (1, 2):
        assert pages.get(pages.at(str(number))).status_code == 200
        pages.rate(number, {**GOOD, "prefer.fluency": "tie", "prefer.variety": "tie"})
    assert pages.store.answers().num_rows == 4


@pytest.mark.parametrize("note", ["=1+1", "\x00\x07", "\N{RIGHT-TO-LEFT OVERRIDE}", SCRIPT, "ن" * 2_000], ids=range(5))
def test_odd_notes_are_kept_and_shown_as_text(two: Pages, note: str):
    assert two.rate(1, {**GOOD, "note": note}).status_code == 303
    page = two.get(two.at("1")).text
    assert "<script>window" not in page


def test_a_note_that_is_too_long_is_told(two: Pages):
    page = two.rate(1, {**GOOD, "note": "ن" * 2_001})
    assert page.status_code == 422
    assert "«ملاحظة (اختيارية)»: عدد الأحرف 2001، والحد الأقصى 2000." in page.text
    assert "expected" not in page.text
    assert two.store.answers().num_rows == 0


# --- what nobody may ------------------------------------------------------------------------------------------------


def test_a_script_in_a_reply_is_text(pages: Pages):
    of_kind(pages, "check")
    texts = [pages.get(pages.at(str(number))).text for number in range(1, 6)]
    page = next(text for text in texts if "stolen" in text)
    assert "&lt;script&gt;window.stolen = 1&lt;/script&gt;" in page
    assert re.findall(r"<script[^>]*>", page) == [re.search(r'<script src="/rating.js\?\w+" defer>', page)[0]]
    assert "<img" not in page
    assert "{{ 7 * 7 }}" in page


def test_every_answer_forbids_what_the_pages_do_not_need(two: Pages):
    asked = [two.at(), two.at("1"), "/rating.js", "/nowhere", f"/a/{two.store.admin_token}/", "/r/x/1"]
    for path in asked:
        headers = two.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in headers
    assert two.get(two.at("1")).headers["cache-control"] == "no-store"


def test_no_page_names_another_address(pages: Pages):
    paths = [pages.at(), pages.at("1"), f"/a/{pages.store.admin_token}/"]
    for path in paths:
        page = pages.get(path).text
        assert not re.search(r'(src|href|action)="(https?:|//)', page)
        assert not re.search(r"\son\w+=|style=", page)


def test_a_wrong_link_and_no_link_are_answered_alike(two: Pages):
    wrong = ["/r/" + "A" * 32 + "/", "/r/x/", "/a/x/", "/r/%C3%A9%00/1", f"/a/{two.links[0]}/", "/nowhere", "/", "/r/"]
    wrong += [
        f"/r/{two.store.admin_token}/",
        two.at()[:-2] + "/",
        two.at().upper(),
        "/r/" + "A" * 5000 + "/",
        "/a/b/c/d/e",
    ]
    answers = [two.get(path, client=f"10.0.0.{number}") for number, path in enumerate(wrong)]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert len({tuple(answer.headers.items()) for answer in answers}) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_lead_nowhere(two: Pages, method: str):
    assert two.ask(method, two.at("1")).status_code == 404


def test_another_host_name_is_refused(two: Pages):
    for host in ("evil.example", "evil.example:8000", "127.0.0.1", "127.0.0.1:8001", "", "[::1]:8000", "10.0.0.1:8000"):
        assert two.get(two.at(), headers={"Host": host}).status_code == 403
    assert two.get(two.at(), headers={"Host": "localhost:8000"}).status_code == 200


def test_hosts_of_a_server_on_all_addresses_are_numbers_and_names():
    hosts = Hosts.at("0.0.0.0", 80, ("rate.example.org",))
    known = ("10.1.2.3:80", "[::1]:80", "localhost:80", "rate.example.org", "RATE.example.org:443")
    assert all(hosts.known(host) for host in known)
    assert not any(hosts.known(host) for host in ("evil.example", "10.1.2.3.evil.example:80", "", ":", "[evil]:80"))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://127.0.0.1:8000"}, 303),
        ({"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}, 303),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 303),  # a plain form under no-referrer
        ({}, 303),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:9000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_a_post_of_another_site_is_refused(two: Pages, headers: dict[str, str], status: int):
    fields = {**two.form(two.at("1")), **GOOD}
    assert two.post(two.at("1"), fields, headers=headers).status_code == status
    assert two.store.answers().num_rows == (2 if status == 303 else 0)


def test_a_link_in_a_letter_opens_and_another_sites_script_reads_nothing(two: Pages):
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert two.get(two.at(), headers=followed).status_code == 200
    assert two.get(two.at(), headers={**followed, "Sec-Fetch-Mode": "no-cors"}).status_code == 403


def test_a_form_without_its_token_or_with_anothers_is_refused(two: Pages):
    mine, theirs = two.form(two.at("1")), two.form(two.at("1", rater=1))
    assert mine["form"] != theirs["form"]
    for token in ("", "x", theirs["form"], "\N{ARABIC LETTER BEH}"):
        assert two.post(two.at("1"), {**mine, **GOOD, "form": token}).status_code == 403
    assert two.store.answers().num_rows == 0


def test_a_rater_neither_reads_nor_writes_anothers_answers(two: Pages):
    two.rate(1, {**GOOD, "note": "ملاحظة سرية"}, rater=1)
    theirs = two.form(two.at("1", rater=1))
    pages = [two.get(two.at(place)).text for place in ("", "1", "next", "pause")]
    assert not any("ملاحظة سرية" in page for page in pages)
    mine = {**two.form(two.at("1")), **GOOD, "score.fluency": "1", "item": theirs["item"]}
    assert two.post(two.at("1"), mine).status_code == 404  # a name that is the other's alone
    assert {row["rater"] for row in two.store.answers().to_pylist()} == {"rater 1"}
    assert two.store.answers()["value"].to_pylist() == [4.0, 5.0]


def test_a_raters_link_opens_no_admin_page(two: Pages):
    for place in ("", "export/answers.csv"):
        assert two.get(f"/a/{two.links[0]}/{place}").status_code == 404
    form = two.form(two.at("1"))
    assert two.post(f"/a/{two.links[0]}/raters", {**form, "name": "x"}).status_code == 404


def test_a_body_that_is_too_long_is_not_read(two: Pages):
    long = {**two.form(two.at("1")), **GOOD, "note": "x" * (BYTES_A_LETTER * MOST_TEXT + ROOM_BYTES)}
    assert two.post(two.at("1"), long).status_code == 413
    many = urlencode({f"f{number}": "" for number in range(1_000)})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert two.ask("POST", two.at("1"), content=many, headers=headers).status_code == 413


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
def test_a_body_that_is_no_form_is_refused(two: Pages, kind: str):
    body = json.dumps({**two.form(two.at("1")), **GOOD})
    assert two.ask("POST", two.at("1"), content=body, headers={"Content-Type": kind}).status_code == 403


def test_wrong_links_are_slowed_and_a_neighbour_at_work_is_not(tmp_path: Path):
    pages = Pages(tmp_path / "r.sqlite", raters=2, wrong=(0.1, 3.0))
    assert pages.get(pages.at()).status_code == 200
    codes = [pages.get(f"/r/{'A' * 31}{number}/").status_code for number in range(5)]
    assert codes == [404, 404, 404, 429, 429]
    assert pages.get(pages.at()).status_code == 200
    assert pages.get(pages.at(rater=1)).status_code == 200  # not tried before: as right as the other
    assert pages.get(f"/r/{'B' * 32}/").status_code == 429


def test_wrong_links_after_a_restart_lock_no_neighbour_out(tmp_path: Path):
    """A server that has just started knows of no link that it was right: ten wrong ones must not shut the rest out."""
    pages = Pages(tmp_path / "r.sqlite", raters=3)
    pages.app = app(pages.store, hosts=Hosts.at("127.0.0.1", 8000), limits=Limits())
    wrong = [pages.get(f"/r/{'A' * 30}{number}/").status_code for number in range(10, 22)]
    assert wrong.count(404) == 10 and wrong[-1] == 429
    assert [pages.get(pages.at(rater=number)).status_code for number in range(3)] == [200, 200, 200]
    assert pages.get(f"/a/{pages.store.admin_token}/").status_code == 200


def test_a_link_and_an_address_have_their_pace(tmp_path: Path):
    pages = Pages(tmp_path / "r.sqlite", link=(0.001, 3.0), address=(0.001, 6.0))
    codes = [pages.get(pages.at()).status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    answers = [pages.get("/rating.css") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].headers["retry-after"] == "10"
    assert pages.get("/rating.css", client="10.0.0.9").status_code == 200


def test_one_holder_of_many_ipv6_addresses_is_one_address(tmp_path: Path):
    pages = Pages(tmp_path / "r.sqlite", address=(0.001, 2.0))
    codes = [pages.get("/rating.css", client=f"2001:db8::{number}").status_code for number in range(3)]
    assert codes == [200, 200, 429]


def test_a_bucket_fills_again_and_forgets_the_longest_unused(monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    bucket = Bucket(2.0, 3.0, now=lambda: now[0])
    assert [bucket.take("a") for _ in range(4)] == [True, True, True, False]
    now[0] = 0.5
    assert [bucket.take("a") for _ in range(2)] == [True, False]
    monkeypatch.setattr("mashq.rating.guard.MOST_KEYS", 2)
    for key in "bc":
        bucket.take(key)
    assert bucket.left("a") == 3.0


def test_a_disk_that_cannot_be_written_is_told_and_nothing_called_saved(two: Pages, monkeypatch: pytest.MonkeyPatch):
    form = two.form(two.at("1"))

    def full(*_: object, **__: object) -> None:
        try:
            raise sqlite3.OperationalError("database or disk is full")
        except sqlite3.OperationalError as error:
            raise MashqError("it cannot be written") from error

    monkeypatch.setattr(two.store, "save", full)
    answer = two.post(two.at("1"), {**form, **GOOD, "stay": "1"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")


def test_a_fault_of_ours_shows_no_insides(two: Pages, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise RuntimeError("secret insides")

    monkeypatch.setattr(two.store, "progress", broken)
    answer = two.get(two.at())
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


FIELDS = st.sampled_from(
    ["score.fluency", "score.variety", "score.", "prefer.fluency", "verdict", "text", "note", "stay"]
)
VALUES = st.one_of(st.text(max_size=20), st.sampled_from(["1", "5", "first", "accept", "", "nan", "\x00"]))


@given(st.dictionaries(st.one_of(FIELDS, st.text(max_size=10)), VALUES, max_size=8), st.sampled_from([1, 2, 3, 4, 5]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_form_holds_is_saved_or_refused(pages: Pages, fields: dict[str, str], number: int):
    pages.app.links = pages.app.addresses = Bucket(1e9, 1e9)
    place = pages.at(str(number))
    own = {name: value for name, value in pages.form(pages.at("1")).items() if name not in fields}
    answer = pages.post(place, {**{name: _plain(value) for name, value in fields.items()}, **own})
    assert answer.status_code in (204, 303, 403, 404, 422)


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def test_two_raters_at_once_lose_nothing(tmp_path: Path):
    items = [absolute(f"i{number}", f"نص رقم {number}") for number in range(12)]
    pages = Pages(tmp_path / "r.sqlite", study(items), raters=3)

    def rate(rater: int) -> None:
        for number in range(1, 13):
            assert pages.rate(number, GOOD, rater=rater).status_code == 303

    threads = [threading.Thread(target=rate, args=(rater,)) for rater in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pages.store.answers().num_rows == 3 * 12 * 2
    pages.store.close()


# --- the administrator ----------------------------------------------------------------------------------------------


def test_the_administrator_makes_a_link_that_is_shown_once(pages: Pages):
    admin = f"/a/{pages.store.admin_token}/"
    form = pages.form(admin)
    made = pages.post(f"{admin}raters", {**form, "name": "سلمى", "dialect": "الشامية", "note": ""})
    (link,) = re.findall(rf'value="http://{HOST}(/r/[\w-]+/)"', made.text)
    assert pages.get(link).status_code == 200
    again = pages.get(admin).text
    assert "سلمى" in again
    assert link not in again
    taken = pages.post(f"{admin}raters", {**form, "name": "سلمى"})
    assert (taken.status_code, "هناك مقيِّم اسمه «سلمى»" in taken.text) == (422, True)
    assert "there is one already" not in taken.text
    for name in ("", " ", "\u200b"):
        assert "اكتب اسمًا" in pages.post(f"{admin}raters", {**form, "name": name}).text
    long = pages.post(f"{admin}raters?lang=en", {**form, "name": "x" * 81})
    assert "Name: 81 characters, of 80 at most." in long.text


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ("rate.example.org", "https://rate.example.org/r/"),
        ("Rate.Example.org:8443", "https://rate.example.org:8443/r/"),
        (HOST, "https://rate.example.org/r/"),  # from this machine itself: raters are elsewhere
    ],
)
def test_links_made_behind_a_proxy_are_the_proxys_though_it_says_nothing_of_tls(pages: Pages, asked: str, made: str):
    names = ("rate.example.org", "other.example.org")
    pages.app = app(pages.store, hosts=Hosts.at("127.0.0.1", 8000, names), proxied=names)
    admin, headers = f"/a/{pages.store.admin_token}/", {"host": asked}
    (form,) = set(re.findall(r'name="form" value="(\w+)"', pages.get(admin, headers=headers).text))
    for place, fields in (("raters", {"name": "سلمى"}), ("links", {"rater": "1"})):
        page = pages.post(f"{admin}{place}", {"form": form, **fields}, headers=headers)
        assert re.findall(r'id="made"[^>]*value="([^"]*/r/)', page.text) == [made]


def test_a_lost_link_is_replaced_and_ends(pages: Pages):
    admin = f"/a/{pages.store.admin_token}/"
    rater = pages.store.rater_of(pages.links[0])
    made = pages.post(f"{admin}links", {**pages.form(admin), "rater": str(rater.id)})
    (link,) = re.findall(rf'value="http://{HOST}(/r/[\w-]+/)"', made.text)
    assert pages.get(link).status_code == 200
    assert pages.get(pages.at()).status_code == 404
    assert pages.post(f"{admin}links", {**pages.form(admin), "rater": "99"}).status_code == 404


def test_names_of_raters_are_text(pages: Pages):
    admin = f"/a/{pages.store.admin_token}/"
    pages.post(f"{admin}raters", {**pages.form(admin), "name": "<script>x</script>"})
    assert "<script>x" not in pages.get(admin).text


def test_exports_come_down(pages: Pages):
    pages.rate(1, GOOD)
    folder = f"/a/{pages.store.admin_token}/export"
    names = re.findall(r'href="[^"]*/export/([\w.-]+)"', pages.get(f"/a/{pages.store.admin_token}/").text)
    answers = {name: pages.get(f"{folder}/{name}") for name in names}
    assert {answer.status_code for answer in answers.values()} == {200}
    assert len(json.loads(answers["answers.json"].content)["rows"]) == 2
    assert pq.read_table(io.BytesIO(answers["answers.parquet"].content)).num_rows == 2
    assert answers["answers.csv"].content.decode("utf-8-sig").startswith("study,")
    assert answers["answers.csv"].headers["content-disposition"] == 'attachment; filename="answers.csv"'
    assert {"label-studio-absolute.json", "label-studio-pairwise.json", "corrections.json"} < set(names)
    assert pages.get(f"{folder}/store.sqlite").status_code == 404


# --- words, and the server ------------------------------------------------------------------------------------------


def test_both_languages_say_the_same_things():
    words = parsed("rating/words")
    assert list(words["ar"]) == list(words["en"])
    assert list(words["ar"]["varieties"]) == list(words["en"]["varieties"])
    for name, text in words["ar"].items():
        if isinstance(text, str):
            assert re.findall(r"{\w+}", text) == re.findall(r"{\w+}", words["en"][name]) or set(
                re.findall(r"{\w+}", text)
            ) == set(re.findall(r"{\w+}", words["en"][name]))


def test_begun_makes_links_once_and_adds_raters_later(tmp_path: Path):
    path, of = tmp_path / "r.sqlite", every_kind()
    links = serving.begun(path, of, raters=2)
    assert [who for who, _ in links] == ["admin", "rater 1", "rater 2"]
    assert serving.begun(path, of, raters=2) == []
    assert [who for who, _ in serving.begun(path, of, raters=3)] == ["rater 3"]
    assert [who for who, _ in serving.begun(path, admin=True)] == ["admin"]
    with Store.open(path) as store:
        store.withdraw(store.raters()[1][0])
    assert [who for who, _ in serving.begun(path, of, raters=3)] == ["rater 4"]  # in place of who was withdrawn
    assert serving.begun(path, of, raters=3) == []
    with Store.open(path) as store:
        assert not store.is_admin(links[0][1].split("/")[2])
        assert store.rater_of(links[1][1].split("/")[2]).name == "rater 1"


def test_begun_refuses_another_study_in_the_same_file(tmp_path: Path):
    serving.begun(tmp_path / "r.sqlite", every_kind())
    with pytest.raises(MashqError, match="it holds study 'pages' with other items"):
        serving.begun(tmp_path / "r.sqlite", study([practice(), absolute("other", "نص")]))
    with pytest.raises(MashqError, match="there is no file"):
        serving.begun(tmp_path / "none.sqlite")


OUTSIDE = {"0.0.0.0": True, "192.0.2.1": True, "lab": True}
INSIDE = {"127.0.0.1": False, "::1": False, "localhost": False, "127.0.0.2": False}


@pytest.mark.parametrize(("host", "told"), {**INSIDE, **OUTSIDE}.items())
def test_another_host_than_loopback_is_warned_of(host: str, told: bool):
    assert ("travel unencrypted" in serving.warning(host)) == told


def test_a_port_that_is_taken_is_told(tmp_path: Path):
    serving.begun(tmp_path / "r.sqlite", every_kind())
    taken = serving._listening("127.0.0.1", 0)
    taken.listen()
    with taken, pytest.raises(MashqError, match=r"cannot be had .*Name another --port"):
        serving.serve(tmp_path / "r.sqlite", port=taken.getsockname()[1])


def test_a_study_may_be_begun_once_the_address_is_had(tmp_path: Path):
    path, told = tmp_path / "r.sqlite", []

    def ready(words: str) -> None:
        told.extend([words, *serving.begun(path, every_kind(), raters=1)])
        raise KeyboardInterrupt

    serving.serve(path, ready=ready)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", told[0])
    assert [who for who, _ in told[1:]] == ["admin", "rater 1"]


def test_names_given_to_the_server_are_the_proxys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    serving.begun(tmp_path / "r.sqlite", every_kind())
    made: dict[str, Any] = {}

    def until(_: Store, **of: Any) -> None:
        made.update(of)
        raise KeyboardInterrupt

    monkeypatch.setattr("mashq.rating.app.app", until)
    serving.serve(tmp_path / "r.sqlite", ready=lambda _: None, names=["Rate.Example.org"])
    assert made["proxied"] == ["rate.example.org"] and made["hosts"].known("rate.example.org")


def test_ready_tells_the_warning_before_the_address(tmp_path: Path):
    told: list[str] = []
    with pytest.raises(MashqError, match="there is no file"):
        serving.serve(tmp_path / "none.sqlite", "0.0.0.0", ready=told.append)
    assert "travel unencrypted" in told[0]
    assert told[1].startswith("http://")
    assert "0.0.0.0" not in told[1]


def test_a_withdrawn_raters_link_is_dead_and_the_answers_stay(pages: Pages):
    admin = f"/a/{pages.store.admin_token}/"
    rater = pages.store.rater_of(pages.links[0])
    pages.rate(1, {"score.fluency": "4", "score.variety": "5"})
    form = {**pages.form(admin), "rater": str(rater.id)}
    assert pages.post(f"{admin}withdrawn", {**form, "form": "0" * 32}).status_code == 403
    assert pages.get(pages.at()).status_code == 200
    assert pages.post(f"{admin}withdrawn", form).status_code == 303
    assert pages.get(pages.at()).status_code == 404
    assert [row["withdrawn"] for row in pages.store.answers().to_pylist()] == [True, True]
    assert "مسحوب" in pages.get(admin).text
    assert pages.post(f"{admin}withdrawn", form).status_code == 404
    assert pages.post(f"{admin}links", form).status_code == 404
