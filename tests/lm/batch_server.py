"""OpenAI's batch interface on loopback: files, batches, and a worker that answers after so many looks."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from loopback import Act, right, words_of


class BatchServer:
    """`plan` says what becomes of a line (its status and body), None: it expires. `looks`: how often a batch is looked
    at before it has ended. `lose`: so many answers to POST /batches get lost on the way. `refuse`: why every batch is
    refused. `there`: whether it takes files at all."""

    def __init__(
        self,
        plan: Callable[[dict[str, Any]], Act | None],
        looks: int = 1,
        lose: int = 0,
        refuse: str = "",
        there: bool = True,
    ):
        self.plan, self.looks, self.lose, self.refuse, self.there = plan, looks, lose, refuse, there
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.looked: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()  # words -> how often a batch that began held them
        self.headers: list[str] = []
        handler = type("Handler", (_Handler,), {"owner": self})
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def upload(self, form: bytes) -> dict[str, Any]:
        boundary = form.split(b"\r\n", 1)[0]
        parts = [part.partition(b"\r\n\r\n") for part in form.split(boundary)[1:-1]]
        purpose = next(content for head, _, content in parts if b'name="purpose"' in head)
        assert purpose == b"batch\r\n"
        name = f"file-{len(self.files)}"
        self.files[name] = next(content for head, _, content in parts if b'name="file"' in head)[:-2]
        return {"id": name, "object": "file"}

    def begin(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert asked["completion_window"] == "24h"
        name = f"batch_{len(self.batches)}"
        lines = [json.loads(line) for line in self.files[asked["input_file_id"]].splitlines()]
        assert {(line["method"], line["url"]) for line in lines} == {("POST", asked["endpoint"])}
        self.paid.update(words_of(line["body"]) for line in lines)
        self.batches[name] = {"id": name, "status": "validating", "input_file_id": asked["input_file_id"]}
        return self.batches[name]

    def look(self, name: str) -> dict[str, Any]:
        batch = self.batches[name]
        self.looked[name] += 1
        if self.refuse:
            batch |= {"status": "failed", "errors": {"data": [{"code": self.refuse, "message": "no"}]}}
        elif self.looked[name] >= self.looks and batch["status"] != "completed":
            self._work(batch)
        else:
            batch["status"] = batch["status"] if batch["status"] == "completed" else "in_progress"
        return batch

    def _work(self, batch: dict[str, Any]) -> None:
        good, bad = [], []
        for line in map(json.loads, self.files[batch["input_file_id"]].splitlines()):
            act = self.plan(line["body"])
            if act is None:
                fault = {"code": "batch_expired", "message": "not done in time"}
                bad.append({"custom_id": line["custom_id"], "response": None, "error": fault})
                continue
            body = json.loads(act.body or right(line["body"], act.finish))
            response = {"status_code": act.status, "request_id": "r", "body": body}
            (good if act.status == 200 else bad).append(
                {"custom_id": line["custom_id"], "response": response, "error": None}
            )
        batch["status"] = "completed"
        batch["request_counts"] = {"total": len(good) + len(bad), "completed": len(good), "failed": len(bad)}
        for kind, lines in (("output_file_id", good[::-1]), ("error_file_id", bad)):  # in no order, as OpenAI says
            if lines:
                batch[kind] = f"{kind}-{batch['id']}"
                self.files[batch[kind]] = "".join(json.dumps(line) + "\n" for line in lines).encode()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: BatchServer

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.owner.headers.append(str(self.headers))
        if self.path == "/v1/files" and self.owner.there:
            self._say(self.owner.upload(data))
        elif self.path == "/v1/batches":
            begun = self.owner.begin(json.loads(data))
            if self.owner.lose:
                self.owner.lose -= 1
                self.close_connection = True
                return
            self._say(begun)
        else:
            self._say({"error": "no such address"}, 404)

    def do_GET(self) -> None:
        if self.path == "/v1/batches?limit=100":
            self._say({"data": list(self.owner.batches.values())[::-1]})
        elif found := re.fullmatch(r"/v1/batches/(\w+)", self.path):
            self._say(self.owner.look(found[1]))
        elif found := re.fullmatch(r"/v1/files/([\w-]+)/content", self.path):
            self._send(self.owner.files[found[1]])
        else:
            self._say({"error": "no such address"}, 404)

    def _say(self, value: Any, status: int = 200) -> None:
        self._send(json.dumps(value).encode(), status)

    def _send(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def batching(plan: Callable[[dict[str, Any]], Act | None] = lambda _: Act(), **settings: Any) -> Iterator[BatchServer]:
    """A server with a batch interface for the length of a block."""
    server = BatchServer(plan, **settings)
    threading.Thread(target=server.http.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
