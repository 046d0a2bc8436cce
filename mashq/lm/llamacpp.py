"""llama.cpp in this process, from the prebuilt xllamacpp wheel: quantised models, a few replies written side by side.

One thread unless told otherwise: on a machine that does other work at the same time, two threads wait for each other
and fell from 75-100 tokens a second to under 15. One slot unless told otherwise: a reply alone in the engine is the
same on every run; beside others it is rounded by who else is there (with 4 slots 1 of 12 stories changed, at 20 % less
CPU time a token). A prompt text is read with the model's own markers, so a text from a
stranger belongs into `prompt_ids` (see `mashq.chat`), where nothing in it can pass for a turn.
"""

from __future__ import annotations

import logging
import mmap
import socket
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from mashq.lm.engine import Ask, Done, Take
from mashq.lm.request import Finish, Reply, Request, seed_of
from mashq.lm.weights import NEED_EMBEDDED, fingerprint, gguf
from mashq.rows import MashqError

__all__ = ["LlamaCpp", "serve"]

log = logging.getLogger("mashq.lm.llamacpp")
ENDS: dict[str | None, Finish] = {"stop": "stop", "length": "length"}


class LlamaCpp:
    """A GGUF file or embedded model in llama.cpp. It is loaded with the first request that the ledger does not know.

    threads: of the whole engine; slots: replies written side by side; context: tokens of prompt and reply of each slot.
    """

    def __init__(self, spec: str, *, threads: int = 1, slots: int = 1, context: int = 2048):
        if threads < 1 or slots < 1 or context < 16:
            raise MashqError(f"model '{spec}': threads and slots are 1 or more, context is 16 or more.")
        self.spec, self.path = spec, gguf(spec)
        self.threads, self.concurrency = threads, slots
        self.context = -(-context // 256) * 256  # llama.cpp rounds up to a multiple of 256
        self.identity = f"llamacpp:{fingerprint(self.path)}"
        self._server: Any = None
        self._port = 0  # any free one

    def server(self) -> Any:
        """The running engine; `.listening_address` is an OpenAI-compatible server on loopback."""
        if self._server is None:
            self._server = self._start()
        return self._server

    def _start(self) -> Any:
        try:
            import xllamacpp
        except ModuleNotFoundError as error:
            raise MashqError(f"llama.cpp needs the package 'xllamacpp': {NEED_EMBEDDED}") from error
        params = xllamacpp.CommonParams()
        params.model.path = str(self.path)
        params.n_parallel = self.concurrency
        params.n_ctx = self.context * self.concurrency
        params.kv_unified = False
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self.threads
        params.n_threads_http = self.concurrency
        params.port = self._port
        params.model_alias = {Path(self.spec).name.removesuffix(".gguf")}  # what its server says, instead of a path
        params.cache_prompt = False  # a prompt half read from memory is rounded otherwise than one read anew
        params.warmup = False
        params.verbosity = -1
        try:
            return xllamacpp.Server(params)
        except (RuntimeError, ValueError) as error:
            raise MashqError(f"model '{self.spec}': llama.cpp does not load {self.path} ({error}).") from error

    def answer(self, take: Take, done: Done, *, concurrency: int) -> None:
        """One thread a slot; the engine itself computes outside Python's lock. After an interrupt nothing more is taken
        or reported: the threads at a reply end with it, and the ledger may be closed by then."""
        self.server()
        lock = threading.Lock()
        failures: list[BaseException] = []
        interrupted = threading.Event()  # set and looked at under the lock alone

        def work() -> None:
            try:
                while not failures:
                    with lock:
                        ask = None if interrupted.is_set() else take()
                    if ask is None:
                        return
                    reply = self._reply(ask)
                    with lock:
                        if interrupted.is_set():
                            return
                        done(ask, reply)
            except BaseException as error:  # raised again in the caller's thread
                failures.append(error)

        workers = [threading.Thread(target=work, daemon=True) for _ in range(min(concurrency, self.concurrency))]
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        except BaseException:
            with lock:  # whoever is reporting a reply ends first
                interrupted.set()
            raise
        if failures:
            raise failures[0]

    def _reply(self, ask: Ask) -> Reply:
        started = time.monotonic()
        body = self._body(ask.request)
        ask_engine = self._server.handle_chat_completions if ask.request.messages else self._server.handle_completions
        answer = ask_engine(body)
        seconds = time.monotonic() - started
        if "error" in answer:
            error = answer["error"]
            if error.get("type") == "exceed_context_size_error":
                return Reply.failed(
                    f"too long: prompt {error.get('n_prompt_tokens')} > {self.context} tokens of context. "
                    "Shorten the prompt or open the model with a larger context."
                )
            return Reply.failed(f"llama.cpp: {error.get('message', error)}", seconds)
        choice, usage = answer["choices"][0], answer["usage"]
        text = choice["message"]["content"] if ask.request.messages else choice["text"]
        if choice["finish_reason"] not in ENDS:
            return Reply.failed(f"llama.cpp: the reply ended with '{choice['finish_reason']}'.", seconds)
        if choice["finish_reason"] == "length" and usage["completion_tokens"] < ask.request.decoding.max_new_tokens:
            return Reply.failed(
                f"too long: prompt {usage['prompt_tokens']} + max_new_tokens {ask.request.decoding.max_new_tokens} "
                f"> {self.context} tokens of context. Shorten the prompt or open the model with a larger context.",
                seconds,
            )
        return Reply(
            text=text or "",
            finish=ENDS[choice["finish_reason"]],
            prompt_tokens=usage["prompt_tokens"],
            new_tokens=usage["completion_tokens"],
            seconds=seconds,
        )

    def _body(self, request: Request) -> dict[str, Any]:
        """Every setting is said, for llama.cpp's own defaults (top_k 40, min_p 0.05) are not ours."""
        decoding = request.decoding
        if decoding.stop_ids:
            raise MashqError(
                "llama.cpp ends a reply at texts and at the model's own end, not at token ids: use stop, not stop_ids."
            )
        body: dict[str, Any] = {
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "top_k": decoding.top_k,
            "min_p": 0.0,
            "repeat_penalty": decoding.repetition_penalty,
            "repeat_last_n": self.context,  # the whole context, as Transformers has it
            "seed": seed_of(request),
            "stop": list(decoding.stop),
            "cache_prompt": False,
        }
        if request.schema is not None:
            body["json_schema"] = msgspec.json.decode(request.schema)
        if not request.messages:
            return body | {"prompt": request.prompt if request.prompt is not None else list(request.prompt_ids or ())}
        if not _has_chat_template(self.path):
            raise MashqError(
                f"model '{self.spec}' has no chat template: expected prompt or prompt_ids, got messages. "
                "Turn messages into ids with mashq.chat.prompt_ids, or into a prompt of your own."
            )
        return body | {"messages": [{"role": role, "content": content} for role, content in request.messages]}


def serve(spec: str, *, port: int = 8080, threads: int = 1, slots: int = 4, context: int = 2048) -> None:
    """Serve a GGUF file or embedded model on loopback, as an OpenAI-compatible server, until it is interrupted.

    For trying what is meant for a server; whoever wants speed starts llama.cpp's own `llama-server`. Raises MashqError
    where the port is taken or the model does not load.
    """
    model = LlamaCpp(spec, threads=threads, slots=slots, context=context)
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise MashqError(
                f"serve: port {port} cannot be had ({error.strerror}). Name another: port=8081."
            ) from error
    model._port = port
    print(f"{model.server().listening_address}/v1", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        log.info("server of %s ended.", spec)


def _has_chat_template(path: Path) -> bool:
    """Whether a GGUF file names one in its header (llama.cpp would take ChatML without a word)."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(b"tokenizer.chat_template", 0, 64 << 20) >= 0
