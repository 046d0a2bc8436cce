"""Written rows: every reply a row with its reason, the same after a kill, and what changes which fingerprint."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mashq import rows, synthesis_step
from mashq.lm import Decoding, Ledger
from mashq.lm.budget import BudgetSettings
from mashq.rows import MashqError
from mashq.run import Step, Store, read_rows
from mashq.synthesis import Asked, Draft, Wanted
from mashq.synthesis_step import WriterSettings, synthesised, wanted_of, wanted_rows

ASKED = Asked(decoding=Decoding(max_new_tokens=40), alike=1.01)


@dataclass(frozen=True)
class Counting:
    """Asks for a number's double; `echo` gives the question back, which is read as an answer by its last word."""

    name: str = "counting"
    version: int = 1
    bad: int = 7  # every so many-th cannot be kept

    @property
    def identity(self) -> str:
        return f"counting:{self.version}:{self.bad}"

    def ask(self, wanted, attempt, avoid):
        return (("user", f"كم ضعف {wanted.about['n']}؟ محاولة {attempt}"),)

    def read(self, wanted, attempt, reply):
        if wanted.about["n"] % self.bad == 0:
            return Draft(reason="odd: it is one of those")
        if wanted.about["n"] % 5 == 0 and "أعد" not in reply:
            return Draft({"text": reply}, reason="near: 0.4 < 0.5", score=0.4, mend="أعد المحاولة")
        return Draft(
            {"task": "count", "messages": [{"role": "user", "content": reply}], "references": ["x"]}, score=1.0
        )


def wanted(n):
    return [
        Wanted(f"k{i}", {"n": i}, cell=f"c{i % 3}", group=f"g{i % 4}", variety="msa", licence="CC0-1.0")
        for i in range(n)
    ]


def wanting(n):
    return Step("wanted", _wanting, {"n": n}, kind="stream")


def _wanting(job):
    yield wanted_rows(wanted(job.settings["n"]), "counting")


def settings(**changes):
    return WriterSettings(**{"model": "echo", "licence": "CC0-1.0", "asked": ASKED, **changes})


def made(root, n=30, writer=None, **changes):
    return Store(root).make(synthesised("told", wanting(n), writer or Counting(), settings(**changes)))


def test_what_is_wanted_goes_into_rows_and_back():
    table = wanted_rows(wanted(5), "counting")
    assert wanted_of(table) == wanted(5)
    assert table["id"].to_pylist() == rows.source_ids("counting", "1", [f"k{i}" for i in range(5)]).to_pylist()


def test_every_reply_is_a_row_with_its_reason(tmp_path):
    done = made(tmp_path)
    kept = [row for table in read_rows(done.folder) for row in table.to_pylist()]
    dropped = [row for table in read_rows(done.folder, dropped=True) for row in table.to_pylist()]
    odd, near = 5, 5  # 0, 7, 14, 21, 28; 5, 10, 15, 20, 25
    assert len(kept) == 30 - odd
    assert len(dropped) == 3 * odd + near
    counts = done.manifest["counts"]
    assert (counts["in"], counts["made"], counts["kept"], counts["dropped"]) == (
        30,
        15 * 1 + 10 - 10 + near - 5 + 0,
        25,
        20,
    )
    ids = {row["id"] for row in kept + dropped}
    assert len(ids) == 45
    one = next(row for row in kept if json.loads(row["meta"])["n"] == 10)
    meta = json.loads(one["meta"])
    assert (meta["attempt"], meta["mended"], meta["model"], meta["cell"], meta["score"]) == (0, True, "echo", "c1", 1.0)
    assert meta["asked"][-1] == ["user", "أعد المحاولة"]
    assert (one["variety"], one["group"], one["template"], one["licence"]) == ("msa", "g2", "counting", "CC0-1.0")
    parents = set(wanted_rows(wanted(30), "counting")["id"].to_pylist())
    assert {row["parents"][0] for row in kept + dropped} == parents
    unread = next(row for row in dropped if row["dropped"].startswith("odd"))
    assert "كم ضعف" in unread["text"]  # what cannot be read stays to be seen


def test_licences_of_rows_and_model_are_joined(tmp_path):
    done = made(tmp_path, licence="Apache-2.0")
    licences = {one for table in read_rows(done.folder, ["licence"]) for one in table["licence"].to_pylist()}
    assert licences == {"CC0-1.0 AND Apache-2.0"}


@pytest.mark.parametrize(
    ("of_rows", "of_model", "both"),
    [
        (None, "M", "M"),
        ("", "M", "M"),
        ("M", "M", "M"),
        ("CC-BY-4.0", "M", "CC-BY-4.0 AND M"),
        ("CC-BY-4.0 AND M", "M", "CC-BY-4.0 AND M"),
        ("MIT OR GPL-3.0-only", "M", "(MIT OR GPL-3.0-only) AND M"),
        ("(MIT OR GPL-3.0-only) AND M", "M", "(MIT OR GPL-3.0-only) AND M"),
    ],
)
def test_two_licences_hold_together(of_rows, of_model, both):
    assert synthesis_step._licence(of_rows, of_model) == both


def test_half_an_emoji_in_a_field_or_a_reason_is_no_end_of_the_run(tmp_path):
    @dataclass(frozen=True)
    class Broken(Counting):
        def read(self, wanted, attempt, reply):
            half = "\ud83d"
            if wanted.about["n"] == 1:
                return Draft({"text": half}, reason=f"odd: {half}")
            return Draft({"messages": [{"role": "user", "content": f"نص {half}"}], "references": [half]}, score=1.0)

    done = made(tmp_path, 3, Broken())
    kept = [row for table in read_rows(done.folder) for row in table.to_pylist()]
    assert [row["references"] for row in kept] == [["\ufffd"], ["\ufffd"]]


def test_texts_of_two_models_have_ids_of_their_own(tmp_path):
    script = tmp_path / "said.jsonl"
    script.write_text('"نعم"\n' * 40, "utf-8")
    ids = []
    for model in ("echo", f"scripted:{script}"):
        done = made(tmp_path / model[:4], 5, model=model)
        ids.append({one for table in read_rows(done.folder, ["id"]) for one in table["id"].to_pylist()})
    assert len(ids[0]) == len(ids[1]) == 4 and not ids[0] & ids[1]


def test_what_changes_the_fingerprint(tmp_path):
    def mark(writer=None, **changes):
        return synthesised("told", wanting(3), writer or Counting(), settings(**changes)).fingerprint

    same = mark()
    assert mark(budget=BudgetSettings(tokens=9_999_999)) == same
    assert mark(licence="MIT") != same
    assert mark(Counting(version=2)) != same
    assert mark(asked=replace(ASKED, tries=2)) != same
    assert mark(judge="") == same


def test_a_spent_budget_stops_and_a_larger_one_goes_on(tmp_path):
    with pytest.raises(MashqError, match=r"budget: spent .* of 200 tokens; .* requests were not sent"):
        made(tmp_path, budget=BudgetSettings(tokens=200))
    ledger = tmp_path / "ledger" / "replies"
    first = len(ledger.read_bytes().splitlines())
    assert 0 < first < 40
    whole = made(tmp_path)
    other = made(tmp_path / "other")
    assert whole.manifest["hash"] == other.manifest["hash"]


def test_a_judge_needs_a_writer_with_questions():
    with pytest.raises(MashqError, match=r"told: judge 'echo': counting texts come without questions"):
        synthesised("told", wanting(3), Counting(), settings(judge="echo"))


# --- a server that fails, and a run that is killed -------------------------------------------------------------------

SERVER = """
import json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = body["messages"][-1]["content"]
        time.sleep(0.01)
        bad = "14" in said
        choice = {"message": {"content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 5, "completion_tokens": 5}
        data = json.dumps({"error": "no"} if bad else {"choices": [choice], "usage": usage}).encode()
        self.send_response(400 if bad else 200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def log_message(self, *a): pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def server():
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    with process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1#m"
        process.kill()


RUN = """
import sys
from pathlib import Path
sys.path[:0] = [{here!r}]
import test_synthesis_step as t
from dataclasses import replace
done = t.made(Path(sys.argv[1]), 300, model=sys.argv[2], asked=replace(t.ASKED, at_once=40))
print(done.manifest["hash"], done.manifest["counts"]["kept"])
"""


def test_killed_at_any_moment_it_ends_the_same(tmp_path, server):
    command = [sys.executable, "-c", textwrap.dedent(RUN.format(here=str(Path(__file__).parent)))]
    whole = subprocess.run([*command, tmp_path / "whole", server], check=True, capture_output=True, text=True).stdout
    kills = 0
    for wait in (1.0, 1.6, 2.2, 2.8):
        process = subprocess.Popen([*command, tmp_path / "killed", server], stdout=subprocess.PIPE, text=True)
        time.sleep(wait)
        kills += process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert kills
    again = subprocess.run([*command, tmp_path / "killed", server], check=True, capture_output=True, text=True).stdout
    assert again == whole
    (step,) = (tmp_path / "killed" / "steps").glob("told@*")
    reasons = [one for table in read_rows(step, ["dropped"], dropped=True) for one in table["dropped"].to_pylist()]
    assert any(one.startswith("no reply: ") and "HTTP 400" in one for one in reasons)


def test_a_failed_request_stays_failed_until_forced(tmp_path):
    book = tmp_path / "errors.jsonl"
    calls = []

    class Failing:
        identity = "failing"
        concurrency = 1

        def answer(self, take, done, *, concurrency):
            from mashq.lm import Reply

            while ask := take():
                calls.append(ask.request)
                done(ask, Reply.failed("HTTP 500") if len(calls) % 2 else Reply(text="ok", finish="stop"))

    from mashq.lm import Request

    requests = [Request(prompt=f"p{i}", decoding=Decoding(max_new_tokens=3)) for i in range(4)]
    ledger = tmp_path / "ledger"
    first = synthesis_step._Asking(Failing(), Ledger(ledger), None, book)(requests)
    assert [one.finish for one in first] == ["error", "stop", "error", "stop"]
    with book.open("ab") as file:
        file.write(b'["00')  # a line that a kill cut off
    again = synthesis_step._Asking(Failing(), Ledger(ledger), None, book)(requests)
    assert [one.finish for one in again] == ["error", "stop", "error", "stop"]
    assert len(calls) == 4


def test_a_writer_worth_nothing_is_stopped_and_paid_once(tmp_path):
    """The step stops after its trial; told to go on, it asks the others alone."""
    store = Store(tmp_path)
    settings = WriterSettings(model="echo", asked=replace(ASKED, tries=1), trial=20)
    barren = Counting(bad=1)
    with pytest.raises(MashqError, match=r"the first 20 replies.*none \(odd: 20\).*writer\.trial=0"):
        store.make(synthesised("numbers", wanting(60), barren, settings))
    with Ledger(tmp_path / "ledger" / "replies") as ledger:
        assert len(ledger) == 20
    made = store.make(synthesised("numbers", wanting(60), barren, replace(settings, trial=0)))
    assert made.manifest["counts"]["dropped"] == 60
