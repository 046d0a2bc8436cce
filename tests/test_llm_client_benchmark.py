"""The server that `benchmarks/llm_client.py` measures against, and its running of a client."""

import http.client
import json
import sys
import time
from collections.abc import Iterator

import pytest
from bench import bench

loopback = bench("llm_server")
client = bench("llm_client")

ASKED = [("system", "أجب بإيجاز."), ("user", "الموضوع 1: البحر")]


@pytest.fixture(scope="module")
def server() -> Iterator[object]:
    with loopback.Loopback() as running:
        yield running


def ask(server, messages=ASKED, timeout_s: float = 5.0) -> tuple[int, dict[str, str], bytes]:
    port = int(server.url.rpartition(":")[2].split("/")[0])
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        body = {"messages": [{"role": role, "content": content} for role, content in messages]}
        line.request("POST", "/v1/chat/completions", json.dumps(body))
        answer = line.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        line.close()


def text_of(body: bytes) -> str:
    return json.loads(body)["choices"][0]["message"]["content"]


# --- the server ------------------------------------------------------------------------------------------------------


def test_the_system_text_decides_the_reply_too():
    other = [("system", "أجب بإسهاب."), ASKED[1]]
    assert loopback.answer_to(ASKED) != loopback.answer_to(other)


def test_fates_have_their_shares_and_are_the_same_every_time():
    manners = loopback.Manners(faults={"limit": 0.1, "error": 0.05}, seed=3)
    fates = [loopback.fate(manners, f"{number:x}", 1) for number in range(4000)]
    assert fates == [loopback.fate(manners, f"{number:x}", 1) for number in range(4000)]
    assert 320 < fates.count("limit") < 480
    assert 140 < fates.count("error") < 260
    assert fates != [loopback.fate(manners, f"{number:x}", 2) for number in range(4000)]


def test_right_reply_and_counts_by_messages(server):
    server.reset()
    for _ in range(2):
        assert text_of(ask(server)[2]) == loopback.answer_to(ASKED)
    ask(server, [("user", "الموضوع 2")])
    counts = server.counts()
    assert (counts["requests"], counts["unique"], counts["repeats"]) == (3, 2, 1)


def test_what_lacks_the_mark_is_answered_and_counted_apart(server):
    server.reset(mark="الموضوع")
    assert ask(server, [])[0] == 400
    assert ask(server, [("user", "hello")])[0] == 200
    counts = server.counts()
    assert (counts["requests"], counts["others"]) == (0, 2)


def test_refusal_says_when_to_come_again(server):
    server.reset(faults={"limit": 1.0})
    status, headers, _ = ask(server)
    assert (status, headers["retry-after"]) == (429, "1")


def test_malformed_reply_is_no_json(server):
    server.reset(faults={"malformed": 1.0})
    status, _, body = ask(server)
    assert status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


def test_cut_stream_ends_half_way(server):
    server.reset(faults={"cut": 1.0})
    with pytest.raises((http.client.IncompleteRead, http.client.BadStatusLine)):
        ask(server)


def test_stalled_socket_never_answers(server):
    server.reset(faults={"stall": 1.0})
    with pytest.raises(TimeoutError):
        ask(server, timeout_s=0.2)


def test_it_goes_away_and_comes_back(server):
    server.reset(dies_at=1, away_s=0.3)
    with pytest.raises(ConnectionError):
        ask(server)
    with pytest.raises(ConnectionRefusedError):
        ask(server)
    time.sleep(0.5)
    assert ask(server)[0] == 200
    assert server.counts()["repeats"] == 1


# --- running a client ------------------------------------------------------------------------------------------------


def test_killed_client_sends_no_more_again_than_was_in_flight(server, tmp_path):
    stage = client.Stage(server, tmp_path, encodings="")
    one, home = client.Client("mashq", sys.executable), stage.home()
    asked = client.Asked(client.SYSTEM, client.prompts(600))
    server.reset(latency_s=0.05, mark=client.MARK)
    killed = stage.run(one, home, asked, limit_s=60, kill_at=300)
    assert (killed.ended, killed.right) == ("killed", 0)
    resumed = stage.run(one, home, asked, limit_s=60)
    assert (resumed.ended, resumed.right, resumed.lost, resumed.stale) == ("", 600, 0, 0)
    assert 0 < resumed.server["repeats"] <= client.IN_FLIGHT


def test_texts_of_another_system_text_are_stale(tmp_path):
    asked = client.Asked(client.SYSTEM, client.prompts(4))
    texts = client.Asked(client.OTHER_SYSTEM, asked.prompts).right()
    texts |= {"0": asked.right()["0"], "2": "what nobody said"}
    del texts["3"]
    out = tmp_path / "texts.json"
    out.write_text(json.dumps(texts), encoding="utf-8")
    assert client.compared(out, asked) == {"right": 1, "lost": 1, "stale": 1, "wrong": 1}


def test_run_that_does_not_end_is_ended(server, tmp_path):
    stage = client.Stage(server, tmp_path, encodings="")
    server.reset(faults={"stall": 1.0}, mark=client.MARK)
    asked = client.Asked(client.SYSTEM, client.prompts(2))
    made = stage.run(client.Client("mashq", sys.executable), stage.home(), asked, limit_s=3)
    assert (made.ended, made.lost) == ("not ended in 3 s", 2)


def test_page_gives_no_speed_to_wrong_texts():
    page = bench("llm_page")

    def run(name: str, count: int, cpu_s: float, right: int) -> dict[str, object]:
        facts = {"client": name, "latency_s": 0.0, "count": count, "cpu_s": cpu_s, "wall_s": 2 * cpu_s}
        server = {"cpu_s": 0.1}
        return facts | {"right": right, "ended": "", "peak_mb": 50.0, "load": 0.5, "server": server}

    runs = [run("mashq", 2, 0.5, 2), run("mashq", 102, 0.6, 102), run("other", 2, 1.0, 2), run("other", 102, 3.0, 101)]
    kept = {"speed": {"count": 102, "repeats": 1, "runs": runs}}
    text = page.page(kept, {"mashq": "mashq", "other": "Other"}, 64, 5)
    assert "| 0 ms | Other | a wrong text: no speed |" in text
    assert "| 1.000 |" in next(line for line in text.splitlines() if line.startswith("| 0 ms | mashq"))
