"""Asking a model server: mashq beside Bespoke Curator, DataDesigner and distilabel, on one loopback server.

What is measured: CPU and wall seconds of a whole client process (its children counted, the server not) for so many
requests with 0 and 50 ms of latency; what a client sends again after it was killed at 40 %, for one more row and for
another system text; and what is left of the rows on a server that misbehaves. The server (`llm_server.py`) replies with
a function of the messages, so every text is checked, and speeds are printed only for clients with every text right.
Clients run in environments of their own (`llm_clients.py`), one at a time, with the same number of requests in flight
and the same timeout. A client without a Python is printed as "not installed".

    for name in curator data_designer distilabel; do python3.11 -m venv peers/$name; done
    peers/curator/bin/pip install bespokelabs-curator==0.1.31
    peers/data_designer/bin/pip install data-designer==0.9.6
    peers/distilabel/bin/pip install 'distilabel[openai]==1.5.3' requests
    python benchmarks/llm_client.py --peers peers --write docs/benchmarks/llm_client.md

The parts (speed, crash, trouble) can be run apart: `--results FILE` keeps what was measured, and the page is made of
all that is in it. All parts with all peers take about an hour.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llm_page import page
from llm_server import Loopback, answer_to
from sheet import give

IN_FLIGHT = 64
TIMEOUT_S = 5
LATENCIES = (0.0, 0.05)
FEW = 2  # requests of a run that shows what starting costs; DataDesigner's summary of one row fails
KILL_AT = 0.4
CRASH_LATENCY_S = 0.05
AWAY_S = 5.0
MARK = "الموضوع"  # in every prompt and in no request that a client makes of its own accord
SYSTEM = "أنت كاتب يكتب بالعربية الفصحى جملا قصيرة واضحة، ولا يزيد على ما يطلب منه."
OTHER_SYSTEM = "أنت معلم يشرح للأطفال بلغة سهلة، ويجيب في جملة واحدة."
TOPICS = ["البحر", "السوق القديم", "المدرسة", "المطر", "الخبز", "النخلة", "القطار", "الجار", "القمر", "المكتبة"]
ENDINGS = ["في الصباح", "في يوم عيد", "كما يراه طفل", "قبل السفر", "في مدينة صغيرة", "بعد غياب طويل"]
TROUBLES = {
    "none": {},
    "10 % 429 with Retry-After": {"faults": {"limit": 0.10}},
    "5 % 500": {"faults": {"error": 0.05}},
    "2 % malformed JSON": {"faults": {"malformed": 0.02}},
    "1 % stalled sockets": {"faults": {"stall": 0.01}},
    "1 % cut streams": {"faults": {"cut": 0.01}},
    "server away for 5 s": {"dies_at": 0.4, "away_s": AWAY_S},
    "all of these": {
        "faults": {"limit": 0.10, "error": 0.05, "malformed": 0.02, "stall": 0.01, "cut": 0.01},
        "dies_at": 0.4,
        "away_s": AWAY_S,
    },
}  # dies_at: the share of all requests after which it goes away
PEERS = {"curator": "Bespoke Curator", "data_designer": "DataDesigner", "distilabel": "distilabel"}
PACKAGES = {"curator": "bespokelabs-curator", "data_designer": "data-designer", "distilabel": "distilabel"}
# Nobody's telemetry, nothing fetched, and the quieter of the ways to log that a client offers.
QUIET = {
    "TELEMETRY_ENABLED": "false",
    "NEMO_TELEMETRY_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
    "DISTILABEL_LOG_LEVEL": "WARNING",
    "OPENAI_API_KEY": "none",
    "COLUMNS": "200",  # of the page in which errors are printed
}


def prompts(count: int, seed: int = 0) -> list[str]:
    """So many different prompts; the first of a longer list are those of a shorter one."""
    generator = random.Random(seed)
    return [
        f"{MARK} {number + 1}: {generator.choice(TOPICS)} {generator.choice(ENDINGS)}. اكتب جملة واحدة عن ذلك."
        for number in range(count)
    ]


@dataclass(frozen=True)
class Client:
    """A client and the Python that has it."""

    name: str
    python: str


@dataclass(frozen=True)
class Asked:
    """What is asked of a client: system text and prompts."""

    system: str
    prompts: Sequence[str]

    def right(self) -> dict[str, str]:
        """The right texts by number, as the client writes them."""
        return {
            str(number): answer_to([("system", self.system), ("user", prompt)])
            for number, prompt in enumerate(self.prompts)
        }


@dataclass
class Run:
    """One run of a client: what it cost, what it left, what the server saw of it."""

    ended: str  # "" for well, else how: "killed", "exit 1: ...", "not ended in 120 s"
    wall_s: float
    cpu_s: float  # all threads and all processes of the client
    peak_mb: float  # of its largest process
    right: int  # rows with the right text
    lost: int  # rows without any
    stale: int  # rows with the text that belongs to another system text
    wrong: int  # rows with any other text
    load: float  # load average of the machine before it
    server: dict[str, Any] = field(default_factory=dict)


class Stage:
    """A server, a folder for what clients keep, and the running of one client after another."""

    def __init__(self, server: Loopback, folder: Path, encodings: str):
        self.server, self.folder, self.encodings = server, folder, encodings
        self._homes = 0
        adopt_orphans()

    def home(self) -> Path:
        """A new empty folder for a client."""
        self._homes += 1
        made = self.folder / str(self._homes)
        made.mkdir()
        return made

    def run(self, client: Client, home: Path, asked: Asked, limit_s: float, kill_at: int = 0, nice: int = 0) -> Run:
        """Run a client in `home` to its end, to `limit_s`, or until `kill_at` unique requests came; then SIGKILL."""
        load, out = os.getloadavg()[0], home / "texts.json"
        out.unlink(missing_ok=True)
        job = {"url": self.server.url, "system": asked.system, "prompts": asked.prompts, "in_flight": IN_FLIGHT}
        job |= {"timeout_s": TIMEOUT_S, "home": str(home), "out": str(out)}
        (home / "job.json").write_text(json.dumps(job), encoding="utf-8")
        command = [client.python, str(Path(__file__).with_name("llm_clients.py")), client.name, str(home / "job.json")]
        with (home / "log.txt").open("wb") as log:
            started = time.perf_counter()
            process = subprocess.Popen(
                ["nice", "-n", str(nice), *command] if nice else command,
                env=self._environment(home), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        with self._ended_by(process.pid, limit_s, kill_at) as how:
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        more_cpu_s = wait_for_children(process.pid)
        ended = how or ([f"exit {process.returncode}: {last_line(home / 'log.txt')}"] if process.returncode else [""])
        cpu_s = usage.ru_utime + usage.ru_stime + more_cpu_s
        facts = compared(out, asked) | {"load": round(load, 2), "server": self.server.counts()}
        return Run(ended[0], wall_s, cpu_s, usage.ru_maxrss / 1024, **facts)

    def _environment(self, home: Path) -> dict[str, str]:
        named = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        encodings = {"TIKTOKEN_CACHE_DIR": self.encodings} if self.encodings else {}
        return named | encodings | QUIET | {"HOME": str(home)}

    @contextlib.contextmanager
    def _ended_by(self, group: int, limit_s: float, kill_at: int) -> Iterator[list[str]]:
        """Watch a process group; the list says why it was ended, where it was."""
        why: list[str] = []

        def end(reason: str) -> None:
            why.append(reason)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

        def at_count() -> None:
            with contextlib.suppress(OSError):
                self.server.wait_for(kill_at, limit_s)
                end("killed")

        timer = threading.Timer(limit_s, end, [f"not ended in {limit_s:.0f} s"])
        timer.start()
        if kill_at:
            threading.Thread(target=at_count, daemon=True).start()
        try:
            yield why
        finally:
            timer.cancel()


def adopt_orphans() -> None:
    """Make children of a client whose parent died ours (Linux), so that their CPU seconds are counted, too."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def wait_for_children(group: int, patience_s: float = 5.0) -> float:
    """CPU seconds of what is left of a process group; after the patience it is killed."""
    cpu_s, until = 0.0, time.monotonic() + patience_s
    while True:
        try:
            child, _, usage = os.wait4(-group, os.WNOHANG)
        except ChildProcessError:
            return cpu_s
        if child:
            cpu_s += usage.ru_utime + usage.ru_stime
            continue
        if time.monotonic() > until:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        time.sleep(0.02)


def last_line(log: Path) -> str:
    """What a client said last, for the page."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else ""


def compared(out: Path, asked: Asked) -> dict[str, Any]:
    """Rows by what became of them: right, lost, stale, wrong."""
    texts = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    right, kept = asked.right(), {system: Asked(system, asked.prompts).right() for system in (SYSTEM, OTHER_SYSTEM)}
    kept.pop(asked.system, None)
    stale = sum(any(old[number] == text for old in kept.values()) for number, text in texts.items() if number in right)
    good = sum(texts.get(number) == text for number, text in right.items())
    lost = len(right.keys() - texts.keys())
    return {"right": good, "lost": lost, "stale": stale, "wrong": len(right) - good - lost - stale}


# --- the three parts -------------------------------------------------------------------------------------------------


def speed(stage: Stage, clients: Sequence[Client], count: int, repeats: int) -> dict[str, Any]:
    """Whole runs of few requests and of all, by latency; clients take turns, and who begins changes."""
    asked, few = Asked(SYSTEM, prompts(count)), Asked(SYSTEM, prompts(FEW))
    runs: list[dict[str, Any]] = []

    def measure(client: Client, latency_s: float, what: Asked) -> None:
        stage.server.reset(latency_s=latency_s, mark=MARK)
        made = stage.run(client, stage.home(), what, limit_s=120)
        tell(f"speed {client.name} {latency_s:g} s, {len(what.prompts)}", made)
        runs.append({"client": client.name, "latency_s": latency_s, "count": len(what.prompts)} | asdict(made))

    for client in clients:  # files are read, byte code is written
        measure(client, 0.0, few)
    runs.clear()
    for repeat in range(repeats):
        for client in turned(clients, repeat):
            measure(client, 0.0, few)
            for latency_s in LATENCIES:
                measure(client, latency_s, asked)
    return {"count": count, "repeats": repeats, "runs": runs}


def turned(clients: Sequence[Client], by: int) -> list[Client]:
    """The same clients, another one first."""
    by %= len(clients)
    return [*clients[by:], *clients[:by]]


def crash(stage: Stage, clients: Sequence[Client], own: int, theirs: int, kills: int) -> dict[str, Any]:
    """Killed and taken up again, one more row, another system text; several times over. `own`: mashq's requests."""
    rows = []
    for client in [*clients] * kills:
        count = own if client.name == "mashq" else theirs
        rows.append({"client": client.name, "count": count} | _crash(stage, client, count))
    return {"runs": rows}


def _crash(stage: Stage, client: Client, count: int) -> dict[str, Any]:
    home, asked = stage.home(), Asked(SYSTEM, prompts(count))
    limit_s = 90 + count / 50
    steps: dict[str, Run] = {}

    def step(name: str, what: Asked, kill_at: int = 0) -> Run:
        steps[name] = stage.run(client, home, what, limit_s, kill_at, nice=10)
        tell(f"crash {client.name}, {name}", steps[name])
        return steps[name]

    stage.server.reset(latency_s=CRASH_LATENCY_S, mark=MARK)
    step("killed", asked, kill_at=int(count * KILL_AT))
    if step("resumed", asked).right < count:
        home = stage.home()  # what follows needs a finished run
        step("whole", asked)
    stage.server.reset(latency_s=CRASH_LATENCY_S, mark=MARK)
    step("one more", Asked(SYSTEM, prompts(count + 1)))
    stage.server.reset(latency_s=CRASH_LATENCY_S, mark=MARK)
    step("other system", Asked(OTHER_SYSTEM, prompts(count)))
    return {name: asdict(made) for name, made in steps.items()}


def trouble(stage: Stage, clients: Sequence[Client], count: int, limit_s: float) -> dict[str, Any]:
    """Each kind of trouble alone, then all: one run of each client."""
    asked, rows = Asked(SYSTEM, prompts(count)), []
    for name, manners in TROUBLES.items():
        for client in clients:
            told = dict(manners)
            told["dies_at"] = int(told.get("dies_at", 0) * count)
            stage.server.reset(latency_s=CRASH_LATENCY_S, mark=MARK, seed=1, **told)
            made = stage.run(client, stage.home(), asked, limit_s, nice=10)
            tell(f"trouble {client.name}, {name}", made)
            rows.append({"client": client.name, "trouble": name} | asdict(made))
    return {"count": count, "runs": rows}


def tell(what: str, made: Run) -> None:
    """A line about a run to standard error."""
    facts = f"{made.wall_s:.1f} s, {made.cpu_s:.2f} CPU s, {made.right} right, {made.lost} lost, {made.stale} stale"
    sent = f"{made.server['requests']} sent, {made.server['repeats']} again"
    print(f"{what}: {facts}, {sent}{', ' + made.ended if made.ended else ''}", file=sys.stderr, flush=True)


# --- the command -----------------------------------------------------------------------------------------------------


def found(peers: Path | None) -> list[Client]:
    """mashq, and the peers whose environments are there."""
    clients = [Client("mashq", sys.executable)]
    for name in PEERS:
        python = (peers / name / "bin" / "python").absolute() if peers else None
        if python and python.exists():
            clients.append(Client(name, str(python)))
    return clients


def encodings(peers: Path | None) -> str:
    """The folder of tiktoken encodings that litellm brings, so that nobody downloads one; "" where there is none."""
    places = peers.glob("*/lib/python*/site-packages/litellm/litellm_core_utils/tokenizers") if peers else ()
    return str(next((place.absolute() for place in places), ""))


def versions(clients: Sequence[Client]) -> dict[str, str]:
    """Package and version of every peer."""
    told = {}
    for client in clients:
        if package := PACKAGES.get(client.name):
            code = f"from importlib.metadata import version; print(version('{package}'))"
            number = subprocess.run([client.python, "-c", code], capture_output=True, text=True, check=True).stdout
            told[client.name] = f"{package} {number.strip()}"
    return told


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Asking a model server: mashq beside three peers")
    parser.add_argument("--peers", type=Path, help="folder of the environments " + ", ".join(PEERS))
    parser.add_argument("--parts", default="speed,crash,trouble", help="which to run (default %(default)s)")
    parser.add_argument("--only", default=",".join(["mashq", *PEERS]), help="which clients to run")
    parser.add_argument("--requests", type=int, default=2000, help="of speed (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="interleaved, of speed (default %(default)s)")
    parser.add_argument("--crash-requests", type=int, default=20_000, help="of mashq (default %(default)s)")
    parser.add_argument("--peer-crash-requests", type=int, default=5000, help="of a peer (default %(default)s)")
    parser.add_argument("--trouble-requests", type=int, default=1000, help="of trouble (default %(default)s)")
    parser.add_argument("--kills", type=int, default=3, help="how often each is killed (default %(default)s)")
    parser.add_argument("--limit", type=float, default=150, help="seconds of a run in trouble (default %(default)s)")
    parser.add_argument("--results", type=Path, help="JSON file that keeps what was measured")
    parser.add_argument("--write", type=Path, help="write the page to this file")
    return parser.parse_args()


def main() -> None:
    """Run the parts, keep what they measured, print the page or write it."""
    options = parsed()
    clients = [client for client in found(options.peers) if client.name in options.only.split(",")]
    parts = [part for part in options.parts.split(",") if part]
    kept = json.loads(options.results.read_text()) if options.results and options.results.exists() else {}
    with tempfile.TemporaryDirectory() as folder, Loopback() as server:
        stage = Stage(server, Path(folder), encodings(options.peers))
        for part in parts:
            if part == "speed":
                made = speed(stage, clients, options.requests, options.repeats)
            elif part == "crash":
                made = crash(stage, clients, options.crash_requests, options.peer_crash_requests, options.kills)
            else:
                made = trouble(stage, clients, options.trouble_requests, options.limit)
            others = [run for run in kept.get(part, {}).get("runs", ()) if run["client"] not in options.only.split(",")]
            kept[part] = made | {"runs": [*made["runs"], *others]}
            kept["versions"] = kept.get("versions", {}) | versions(clients)
            if options.results:
                options.results.write_text(json.dumps(kept, ensure_ascii=False, indent=1))
    give(page(kept, {"mashq": "mashq"} | PEERS, IN_FLIGHT, TIMEOUT_S), options.write)


if __name__ == "__main__":
    main()
