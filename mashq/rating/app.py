"""The rating pages: what a rater and the administrator see, and how an answer gets from the page into the store.

Every page is made whole here and works as plain forms; a script adds keys, saving by itself and another try when the
server was away. A link (`/r/TOKEN/`, `/a/TOKEN/`) is the only key: no cookie, no account. Texts from studies and from
raters are escaped wherever they are shown, and nothing is loaded from elsewhere.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import importlib
import math
import re
import sqlite3
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl

import jinja2

from mashq.packaged import parsed
from mashq.rating.answers import MOST_NOTE, MOST_SECONDS, MOST_TEXT, changes_nothing, is_right
from mashq.rating.downloads import downloads
from mashq.rating.guard import Gate, Hosts, Limits
from mashq.rating.keeping import NewerAnswer
from mashq.rating.store import MOST_NAME, MOST_RATER_NOTE, Rater, Shown, Store
from mashq.rating.study import Study
from mashq.rows import MashqError

__all__ = ["app", "need"]

NEED = "pip install 'mashq[rate]'"
LINK = re.compile(r"[A-Za-z0-9_-]{16,128}")
KINDS = {"rating.css": "text/css", "rating.js": "text/javascript"}
BYTES_A_LETTER = 12  # in a form: up to 4 bytes, each written as %XX
ROOM_BYTES = 100_000  # beside the longest text: a note and a field for each criterion
MOST_FIELDS = 500
SHORT_LABEL = 12  # characters: five such labels stand beside each other on a phone of 360 px
WORDS_PER_MINUTE = 138  # silent reading of Arabic (IReST: Trauzettel-Klosinski and Dietz 2012, table 2)
SECONDS_PER_QUESTION = 5  # our guess: to decide, once a text is read
PLACES = {"here": "", "raters": "raters", "links": "links", "withdrawn": "withdrawn"}  # of the admin page
MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
    "xml": "application/xml",
}


class Refused(Exception):
    """A request that gets a page of refusal: 403, 404, 413, 429, 500 or 503."""

    def __init__(self, status: int):
        super().__init__(status)
        self.status = status


@dataclass(frozen=True)
class Visit:
    """Who asks, by which link, in which language."""

    link: str
    lang: str  # ar | en
    rater: Rater | None  # None: the administrator

    def to(self, place: str = "") -> str:
        """The path of one of the visitor's own pages; it keeps the language."""
        return f"/{'r' if self.rater else 'a'}/{self.link}/{place}" + ("?lang=en" if self.lang == "en" else "")

    def sign(self, what: str) -> str:
        """A word that only who has the link can make: the forms' token, and names that do not tell the link."""
        return hmac.new(self.link.encode(), f"mashq rating: {what}".encode(), hashlib.sha256).hexdigest()[:32]

    @property
    def one(self) -> Rater:
        """The rater, on a rater's page."""
        assert self.rater is not None
        return self.rater


def app(store: Store, *, hosts: Hosts, limits: Limits | None = None, proxied: Sequence[str] = ()) -> Any:
    """The pages of an open store as an ASGI application, which answers to `hosts` alone.

    `proxied`: the names among them by which a proxy with TLS passes the pages on; links are then made for these.
    """
    routing, starlette = need("starlette.routing"), need("starlette.applications")
    pages = Pages(store, proxied)
    routes = [
        routing.Route("/r/{link}/", pages.start),
        routing.Route("/r/{link}", pages.start),
        routing.Route("/r/{link}/next", pages.next),
        routing.Route("/r/{link}/done", pages.done),
        routing.Route("/r/{link}/pause", pages.paused),
        routing.Route("/r/{link}/pause", pages.pause, methods=["POST"]),
        routing.Route("/r/{link}/{number}", pages.item),
        routing.Route("/r/{link}/{number}", pages.save, methods=["POST"]),
        routing.Route("/a/{link}/", pages.admin),
        routing.Route("/a/{link}", pages.admin),
        routing.Route("/a/{link}/export/{name}", pages.export),
        routing.Route("/a/{link}/raters", pages.new_rater, methods=["POST"]),
        routing.Route("/a/{link}/links", pages.new_link, methods=["POST"]),
        routing.Route("/a/{link}/withdrawn", pages.withdraw, methods=["POST"]),
        routing.Route("/{name}", pages.part),
        routing.Route("/{rest:path}", pages.nothing, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    ]
    made = starlette.Starlette(routes=routes, exception_handlers={500: pages.failed, 405: pages.failed})
    made.router.redirect_slashes = False
    pages.gate = Gate(made, hosts, pages.refused, limits or Limits())
    return pages.gate


def need(module: str) -> Any:
    """A module of the optional packages. Raises MashqError that names how to get it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MashqError(f"rate needs the package '{module.partition('.')[0]}': {NEED}") from error


def _reads(page: Callable[[Any, Any, Visit], Any]) -> Callable[[Any, Any], Any]:
    """A page that is looked at. It runs in a thread, where the store may wait for the disk."""

    @functools.wraps(page)
    def answer(self: Pages, request: Any) -> Any:
        try:
            return page(self, request, self.visit(request))
        except (Refused, MashqError) as error:
            return self.refused(request, _status(error))

    return answer


def _writes(page: Callable[[Any, Any, Visit, dict[str, str]], Any]) -> Callable[[Any, Any], Awaitable[Any]]:
    """A form that is sent: its body is read here, the rest runs in a thread."""

    @functools.wraps(page)
    async def answer(self: Pages, request: Any) -> Any:
        threads = need("anyio.to_thread")
        try:
            visit = await threads.run_sync(self.visit, request)
            fields = await _fields(request, self.most_bytes)
            if not hmac.compare_digest(fields.get("form", "").encode(), visit.sign("form").encode()):
                raise Refused(403)
            return await threads.run_sync(page, self, request, visit, fields)
        except (Refused, MashqError) as error:
            return self.refused(request, _status(error))

    return answer


def _status(error: Exception) -> int:
    """The status of what went wrong: a store that cannot be read or written now is 503."""
    if isinstance(error, Refused):
        return error.status
    if isinstance(error.__cause__, sqlite3.Error):
        return 503
    raise error


class Pages:
    """The pages of one study, and what they do with its store."""

    gate: Gate

    def __init__(self, store: Store, proxied: Sequence[str] = ()):
        self.store, self.study, self.proxied = store, store.study, tuple(proxied)
        self.responses = need("starlette.responses")
        self.words: Mapping[str, Any] = parsed("rating/words")
        load = jinja2.FunctionLoader(lambda name: _file(name).decode())
        self.room = jinja2.Environment(
            autoescape=True, undefined=jinja2.StrictUndefined, loader=load, trim_blocks=True, lstrip_blocks=True
        )
        self.stamp = hashlib.sha256(b"".join(map(_file, KINDS))).hexdigest()[:12]
        self.seconds = _seconds_an_item(self.study)
        longest = max(len(text) for item in self.study.items for text in item.shown)  # a plain form sends it back
        self.most_bytes = BYTES_A_LETTER * max(MOST_TEXT, longest) + ROOM_BYTES

    # --- who asks ----------------------------------------------------------------------------------------------------

    def visit(self, request: Any) -> Visit:
        """Whose link it is. Raises Refused with 404 for a link that leads nowhere, well formed or not."""
        link, admin = request.path_params["link"], request.url.path.startswith("/a/")
        asked = link if LINK.fullmatch(link) else ""
        rater = None if admin else self.store.rater_of(asked)
        right = self.store.is_admin(asked) if admin else rater is not None
        if self.gate.slowed(request, link, right):
            raise Refused(429)
        if not right:
            raise Refused(404)
        return Visit(link, _lang(request), rater)

    # --- a rater's pages ---------------------------------------------------------------------------------------------

    @_reads
    def start(self, request: Any, visit: Visit) -> Any:
        """What is rated and how, and the way in."""
        progress = self.store.progress(visit.one)
        guidelines = re.split(r"\n\s*\n", _said(self.study.guidelines, visit.lang).strip())
        return self._page(
            "start.html",
            visit,
            here=visit.to(),
            progress=progress,
            practice=progress.practice_of,
            minutes=max(1, math.ceil(self.seconds * progress.of / 60)),
            guidelines=[one for one in guidelines if one],
            criteria=self._criteria(visit.lang),
            links={"on": visit.to("next")},
        )

    @_reads
    def next(self, request: Any, visit: Visit) -> Any:
        """On to the first item without an answer, or to the end."""
        coming = self.store.next(visit.one)
        return self._on(visit, str(coming.number) if coming else "done")

    @_reads
    def item(self, request: Any, visit: Visit) -> Any:
        """One item; those after the first without an answer are not shown yet."""
        number, coming = _number(request), self.store.next(visit.one)
        if coming and number > coming.number:
            return self._on(visit, str(coming.number))
        return self._item(visit, self._shown(visit, number))

    @_writes
    def save(self, request: Any, visit: Visit, fields: dict[str, str]) -> Any:
        """An answer into the store. The script (`stay`) gets 204 once it is on the disk, or 422 and the reason.

        It says of which answer its page knows (`saved_at`): where another one was saved since, it gets 409, and nothing
        is replaced. Either way it is told the time of the answer that now stands (`Saved-At`).
        """
        shown = self._shown(visit, _number(request))
        if fields.get("item") != shown.item.id:  # the list was dealt anew, or the number was changed
            shown = self._meant(visit, fields.get("item", ""))
        answer = _answer(shown, fields)
        when, status, fault = 0, 204, self._fault(visit, shown, answer)
        try:
            when, fault = (when, fault) if fault else self._save(visit, shown, answer, fields)
        except NewerAnswer as newer:
            when, status = newer.when, 409
        if "stay" in fields:
            told = {"Saved-At": str(when)}
            answers = self.responses
            return (
                answers.PlainTextResponse(fault, 422) if fault else answers.Response(status_code=status, headers=told)
            )
        if fault:
            return self._item(visit, shown, fault=fault, typed=fields)
        return self._on(visit, str(shown.number) if shown.item.role == "practice" else "next")

    def _save(
        self, visit: Visit, shown: Shown, answer: Mapping[str, Any], fields: Mapping[str, str]
    ) -> tuple[int, str]:
        """When the answer was saved, and why the store did not take it, in the rater's language; empty: it is kept.

        Raises NewerAnswer where the script's page does not know the answer that stands.
        """
        over = _whole(fields.get("saved_at") or "0") if "stay" in fields and "saved_at" in fields else None
        one, began = visit.one, _whole(fields.get("began", ""))
        try:
            when = self.store.save(one, shown.item.id, answer, _seconds(fields), visit=began, over=over)
            if one.paused:
                self.store.pause(one, False)
        except NewerAnswer:
            raise
        except MashqError as error:
            if isinstance(error.__cause__, sqlite3.Error):
                raise
            return 0, str(self.words[visit.lang]["unfit"])  # none that our own page sends: the reason is in English
        return when, ""

    @_reads
    def done(self, request: Any, visit: Visit) -> Any:
        """The end, for who is there."""
        if self.store.next(visit.one):
            return self._on(visit, "next")
        say, progress = self.words[visit.lang], self.store.progress(visit.one)
        links = [(say["look_over"], visit.to("1"), "step")] if progress.of else []
        return self._said(visit, "done", say["done"], say["done_text"], links=links, progress=progress)

    @_writes
    def pause(self, request: Any, visit: Visit, fields: dict[str, str]) -> Any:
        """The rater rests; the administrator sees it."""
        self.store.pause(visit.one)
        return self._on(visit, "pause")

    @_reads
    def paused(self, request: Any, visit: Visit) -> Any:
        """What to do to go on later."""
        say = self.words[visit.lang]
        links = [(say["go_on"], visit.to("next"), "act")]
        return self._said(
            visit, "pause", say["paused"], say["paused_text"], links=links, progress=self.store.progress(visit.one)
        )

    # --- an item -----------------------------------------------------------------------------------------------------

    def _shown(self, visit: Visit, number: int) -> Shown:
        try:
            return self.store.shown(visit.one, number)
        except MashqError as error:
            if isinstance(error.__cause__, sqlite3.Error):
                raise
            raise Refused(404) from error

    def _meant(self, visit: Visit, name: str) -> Shown:
        """The item of that name in the rater's list, wherever it stands now."""
        place = self.store.place_of(visit.one, name)
        shown = self._shown(visit, place) if place else None
        if shown is None or shown.item.id != name:  # it may be dealt anew meanwhile
            raise Refused(404)
        return shown

    def _fault(self, visit: Visit, shown: Shown, answer: Mapping[str, Any]) -> str:
        """What a rater can mend: a criterion without an answer, a text too long, a correction that changes nothing."""
        say, titles = self.words[visit.lang], {one["name"]: one["title"] for one in self._criteria(visit.lang)}
        texts = ((say["note"], answer["note"], MOST_NOTE), (say["correction"], answer.get("text", ""), MOST_TEXT))
        if fault := _too_long(say, *texts):
            return fault
        if shown.item.kind == "check":
            if not answer["verdict"]:
                return str(say["missing"]).format(names=say["verdict"])
            same = answer["verdict"] == "correct" and changes_nothing(shown.item, answer["text"])
            return str(say["unchanged"]) if same else ""
        said = answer["scores" if shown.item.kind == "absolute" else "prefer"]
        missing = [title for name, title in titles.items() if name not in said]
        return str(say["missing"]).format(names=("، " if visit.lang == "ar" else ", ").join(missing)) if missing else ""

    def _item(self, visit: Visit, shown: Shown, *, fault: str = "", typed: Mapping[str, str] | None = None) -> Any:
        """The page of an item, with the answer that stands or with what was typed and not taken."""
        item, coming = shown.item, self.store.next(visit.one)
        chosen = defaultdict(str, _chosen(shown) if typed is None else typed)
        practice = item.role == "practice"
        last = coming.number if coming else shown.of
        links = {
            "here": visit.to(str(shown.number)),
            "on": visit.to("next"),
            "start": visit.to(),
            "pause": visit.to("pause"),
            "earlier": visit.to(str(shown.number - 1)) if shown.number > 1 else "",
            "later": visit.to(str(shown.number + 1)) if shown.number < last else "",
        }
        if "text" not in chosen and item.kind == "check":
            chosen["text"] = item.shown[1]
        return self._page(
            "item.html",
            visit,
            status=422 if fault else 200,
            here=links["here"],
            links=links,
            item=item,
            number=shown.number,
            of=shown.of,
            practice=practice,
            progress=self.store.progress(visit.one),
            criteria=self._criteria(visit.lang),
            variety=self.words[visit.lang]["varieties"].get(item.variety, item.variety),
            chosen=chosen,
            fault=fault,
            answered=shown.answer is not None and not fault,
            told=self._told(visit, shown) if practice and shown.answer and not fault else None,
            form=visit.sign("form"),
            draft=f"mashq-{visit.sign(f'draft {item.id}')}",
            saved_at=shown.answer.when if shown.answer else "",
            began=_whole((typed or {}).get("began", "")) or time.time_ns() // 1_000_000,  # a refused form: one visit
        )

    def _told(self, visit: Visit, shown: Shown) -> dict[str, Any]:
        """After a practice item: whether the answer was the expected one, what that is, and why."""
        assert shown.answer is not None
        say, titles = self.words[visit.lang], {one["name"]: one["title"] for one in self._criteria(visit.lang)}
        right = shown.item.right
        expected = [{"title": "", "said": [say[right["verdict"]]]}] if "verdict" in right else []
        for name, value in (right.get("scores") or right.get("prefer") or {}).items():
            values = value if isinstance(value, (list, tuple)) else [value]
            expected.append({"title": titles.get(name, name), "said": [say.get(one, str(one)) for one in values]})
        met = is_right(right, shown.answer.said)
        return {"right": met, "expected": expected, "why": _said(shown.item.why, visit.lang)}

    def _criteria(self, lang: str) -> list[dict[str, Any]]:
        """The study's criteria in a language; `width` says whether five labels stand beside each other on a phone."""
        made = []
        for one in self.study.criteria:
            labels = _said(one.labels, lang) or ()
            width = "short" if all(len(label) <= SHORT_LABEL for label in labels) else "long"
            texts = {"title": _said(one.title, lang) or one.name, "ask": _said(one.ask, lang)}
            made.append({"name": one.name, **texts, "labels": labels, "width": width})
        return made

    # --- administration ----------------------------------------------------------------------------------------------

    @_reads
    def admin(self, request: Any, visit: Visit) -> Any:
        """Raters and how far they are, a new link, the exports."""
        return self._admin(visit)

    @_writes
    def new_rater(self, request: Any, visit: Visit, fields: dict[str, str]) -> Any:
        """A new rater; the page that answers shows the link once."""
        name = fields.get("name", "")
        if fault := self._unmade(visit, fields):
            return self._admin(visit, fault=fault)
        try:
            token = self.store.add_rater(name, dialect=fields.get("dialect", ""), note=fields.get("note", ""))
        except MashqError as error:
            if isinstance(error.__cause__, sqlite3.Error):
                raise
            return self._admin(visit, fault=str(self.words[visit.lang]["name_unfit"]))
        return self._admin(visit, made={"name": name, "link": self._address(request, token)})

    def _unmade(self, visit: Visit, fields: Mapping[str, str]) -> str:
        """Why no rater can be made of these fields, in the administrator's language; empty: one can."""
        say, name = self.words[visit.lang], fields.get("name", "").strip()
        dialect, remark = (fields.get(key, "") for key in ("dialect", "note"))
        texts = ((say["name"], name, MOST_NAME), (say["dialect"], dialect, MOST_NAME))
        if fault := _too_long(say, *texts, (say["remark"], remark, MOST_RATER_NOTE)):
            return fault
        if name in {rater.name for rater, _ in self.store.raters()}:
            return str(say["name_taken"]).format(name=name)
        return "" if name else str(say["name_unfit"])

    @_writes
    def new_link(self, request: Any, visit: Visit, fields: dict[str, str]) -> Any:
        """Another link for a rater who lost the first, which ends with it."""
        rater = self._staying(fields)
        link = self._address(request, self.store.new_token(rater))
        return self._admin(visit, made={"name": rater.name, "link": link})

    @_writes
    def withdraw(self, request: Any, visit: Visit, fields: dict[str, str]) -> Any:
        """A rater leaves: the link is dead, the answers stay and are marked, what is open goes to the others."""
        self.store.withdraw(self._staying(fields))
        return self._on(visit, "")

    def _address(self, request: Any, token: str) -> str:
        """A rater's whole link, by the name under which the administrator asked.

        Behind a proxy it is https, whatever the proxy says or leaves out, and by a name that raters can reach.
        """
        host = request.headers["host"].lower()
        if not self.proxied:
            return f"{request.url.scheme}://{host}/r/{token}/"
        return f"https://{host if host.partition(':')[0] in self.proxied else self.proxied[0]}/r/{token}/"

    def _staying(self, fields: Mapping[str, str]) -> Rater:
        """The rater that a form of the admin page names. Raises Refused with 404 for none, and for one who has left."""
        for rater, _ in self.store.raters():
            if str(rater.id) == fields.get("rater") and not rater.left:
                return rater
        raise Refused(404)

    def _admin(self, visit: Visit, *, made: Mapping[str, str] | None = None, fault: str = "") -> Any:
        links = {name: visit.to(place) for name, place in PLACES.items()}
        return self._page(
            "admin.html",
            visit,
            status=422 if fault else 200,
            here=visit.to(),
            links=links,
            raters=self.store.raters(),
            coverage=self.store.coverage(),
            exports=[(name, visit.to(f"export/{name}")) for name in downloads(self.study, visit.lang)],
            made=made,
            fault=fault,
            form=visit.sign("form"),
        )

    @_reads
    def export(self, request: Any, visit: Visit) -> Any:
        """A download of what was answered, or of the study as Label Studio's tasks."""
        name = request.path_params["name"]
        made = downloads(self.study, visit.lang)
        if name not in made:
            raise Refused(404)
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        kind = MEDIA[name.rpartition(".")[2]]
        return self.responses.Response(made[name](self.store), media_type=kind, headers=headers)

    # --- every page --------------------------------------------------------------------------------------------------

    def part(self, request: Any) -> Any:
        """The style sheet or the script; their addresses change with them."""
        name = request.path_params["name"]
        if name not in KINDS:
            return self.refused(request, 404)
        return self.responses.Response(_file(name), media_type=KINDS[name], headers={"Cache-Control": "max-age=86400"})

    def nothing(self, request: Any) -> Any:
        """No such page."""
        return self.refused(request, 404)

    def failed(self, request: Any, error: Exception) -> Any:
        """A fault of ours, or a way of asking that no page has."""
        return self.refused(request, 404 if getattr(error, "status_code", 500) == 405 else 500)

    def refused(self, request: Any, status: int) -> Any:
        """A page that says no, and nothing else: not even the study's name."""
        say = self.words[_lang(request)]
        head, words = say[status], say.get(f"{status}_text", "")
        html = self._html(
            "said.html", _lang(request), "mashq", here=None, head=head, words=words, links=[], progress=None
        )
        return self.responses.HTMLResponse(html, status, {"Retry-After": "10"} if status in (429, 503) else None)

    def _on(self, visit: Visit, place: str) -> Any:
        return self.responses.RedirectResponse(visit.to(place), 303)

    def _said(self, visit: Visit, place: str, head: str, words: str, **more: Any) -> Any:
        return self._page("said.html", visit, here=visit.to(place), head=head, words=words, **more)

    def _page(self, template: str, visit: Visit, *, status: int = 200, here: str, **values: Any) -> Any:
        title = _said(self.study.title, visit.lang) or self.study.name
        html = self._html(
            template, visit.lang, title, here=here.partition("?")[0], simulated=self.study.simulated, **values
        )
        return self.responses.HTMLResponse(html, status)

    def _html(self, template: str, lang: str, title: str, **values: Any) -> bytes:
        say, other = self.words[lang], self.words["en" if lang == "ar" else "ar"]
        values = {"simulated": False, **values, "say": say, "other": other, "title": title, "stamp": self.stamp}
        return self.room.get_template(template).render(values).encode("utf-8", "replace")


# --- requests --------------------------------------------------------------------------------------------------------


def _lang(request: Any) -> str:
    return "en" if request.query_params.get("lang") == "en" else "ar"


def _number(request: Any) -> int:
    """The number of an item in the path. Raises Refused with 404 for what is none."""
    number = request.path_params["number"]
    if not re.fullmatch(r"[1-9][0-9]{0,8}", number):
        raise Refused(404)
    return int(number)


async def _fields(request: Any, most_bytes: int) -> dict[str, str]:
    """The fields of a form. Raises Refused: 413 for a body that is too long, 403 for what is no form of ours."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise Refused(403)
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > most_bytes:
            raise Refused(413)
    try:
        return dict(parse_qsl(found.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError as error:
        raise Refused(413) from error


def _seconds(fields: Mapping[str, str]) -> float:
    """How long it took: what the script counted while the page was in sight, or since the page was made."""
    if "seconds" not in fields:
        began = _whole(fields.get("began", ""))
        return 0.0 if began is None else min(max(0.0, time.time() - began / 1000), MOST_SECONDS)
    try:
        return float(fields["seconds"])
    except ValueError:
        return 0.0


def _whole(text: str) -> int | None:
    """A number of a form, as the pages write them: digits, few enough for SQLite; None for anything else."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


# --- answers and form fields -----------------------------------------------------------------------------------------


def _answer(shown: Shown, fields: Mapping[str, str]) -> dict[str, Any]:
    """The fields of an item's form -> an answer for the store; a score that is none is left out."""
    kind = shown.item.kind
    note, text = (fields.get(name, "").replace("\r\n", "\n") for name in ("note", "text"))  # one line end, as typed
    if kind == "check":
        verdict = fields.get("verdict", "")
        return {"verdict": verdict, "text": text if verdict == "correct" else "", "note": note}
    if kind == "absolute":
        scores = {name: int(value) for name, value in _named(fields, "score.") if value in ("1", "2", "3", "4", "5")}
        return {"scores": scores, "note": note}
    return {"prefer": dict(_named(fields, "prefer.")), "note": note}


def _named(fields: Mapping[str, str], start: str) -> Iterator[tuple[str, str]]:
    return ((name.removeprefix(start), value) for name, value in fields.items() if name.startswith(start))


def _chosen(shown: Shown) -> dict[str, str]:
    """The answer that stands -> the fields of the form."""
    if shown.answer is None:
        return {}
    said = shown.answer.said
    fields = {f"score.{name}": str(value) for name, value in said.get("scores", {}).items()}
    fields |= {f"prefer.{name}": value for name, value in said.get("prefer", {}).items()}
    fields |= {"verdict": said["verdict"]} if "verdict" in said else {}
    fields |= {"text": said["text"]} if said.get("text") else {}
    return {**fields, "note": said.get("note", "")}


# --- texts and files -------------------------------------------------------------------------------------------------


def _said(texts: Mapping[str, Any], lang: str) -> Any:
    """A text in a language, else in the other one; empty where there is none."""
    return texts.get(lang) or texts.get("en" if lang == "ar" else "ar") or ""


def _seconds_an_item(study: Study) -> float:
    """How long an item takes on average: reading it, and a decision a criterion."""
    texts: Iterable[str] = (text for item in study.items for text in (item.prompt, *item.shown))
    words = sum(len(text.split()) for text in texts) / len(study.items)
    return words * 60 / WORDS_PER_MINUTE + SECONDS_PER_QUESTION * max(1, len(study.criteria))


def _too_long(say: Mapping[str, Any], *texts: tuple[str, str, int]) -> str:
    """The first of (what, text, most characters) that is longer than it may be, as a fault; "" for none."""
    over = ((what, len(text), most) for what, text, most in texts if len(text) > most)
    return next((str(say["too_long"]).format(what=what, n=n, most=most) for what, n, most in over), "")


def _file(name: str) -> bytes:
    return resources.files("mashq").joinpath("data", "rating", name).read_bytes()
