"""What can go wrong with one request, by kind, and what is done about each kind.

| kind | what it is | tried again |
|---|---|---|
| `limit` | 429, 529: the server is asked too often | 12 times |
| `server` | 408, 409, 425 and the other 5xx | 6 times |
| `connection` | the connection was lost before the answer was whole | 6 times |
| `timeout` | no answer within `timeout_s` | twice |
| `malformed` | an answer that is no completion | twice |
| `refused` | a content filter or a refusal of the model | never |
| `too long` | prompt and reply do not fit the context | never |
| `request` | any other 4xx | never |

A server that is not there at all is another matter: it is waited for (`patience_s`).
"""

from __future__ import annotations

import email.utils
import math
import random
import re
import time
from collections.abc import Callable, Mapping

from mashq.rows import MashqError, expected_got, nearest

__all__ = ["AGAIN", "Trouble", "backoff", "check_policy", "kind_of", "retry_after"]

AGAIN = {
    "limit": 12, "server": 6, "connection": 6, "timeout": 2, "malformed": 2, "refused": 0, "too long": 0, "request": 0,
}  # fmt: skip
BACKOFF_S = (0.5, 30.0)  # first wait and longest wait; each is drawn from its upper half
MAY_PASS = {408, 409, 425}  # of the 4xx that are no limit
TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context length|maximum model length|max_model_len"
    r"|context (?:length|size|window)|(?:prompt|input|request) is too (?:long|large)",
    re.I,
)
REFUSED = re.compile(r"content_filter|content_policy|content management policy|safety system|moderation", re.I)
NO_MONEY = re.compile(r"insufficient_quota|exceeded your current quota|insufficient (?:balance|credits|funds)", re.I)


class Trouble(Exception):
    """One failed try: its kind and why; how long the server asks to wait; the HTTP status, 0 where there was none.

    absent: there was no server to talk to; loading: there is one, which says that it is not ready yet.
    """

    def __init__(
        self,
        kind: str,
        why: str,
        *,
        wait_s: float = 0.0,
        status: int = 0,
        absent: bool = False,
        loading: bool = False,
    ):
        super().__init__(why)
        self.kind, self.why, self.wait_s, self.status = kind, why, wait_s, status
        self.absent, self.loading = absent, loading

    @property
    def overload(self) -> bool:
        """Whether a server that has too much to do fails like this."""
        return self.kind in ("limit", "timeout", "connection") or self.status == 503


def check_policy(what: str, retries: int | None, on_error: Mapping[str, int | str]) -> dict[str, int | None]:
    """How often each kind is tried again; None: the run stops at the first.

    `retries` stands for every kind that is tried again at all, `on_error` for the kinds it names. Raises MashqError for
    a kind that does not exist and for what is neither a number nor "stop".
    """
    policy: dict[str, int | None] = {
        kind: times if retries is None or not times else retries for kind, times in AGAIN.items()
    }
    for kind, times in on_error.items():
        if kind not in AGAIN:
            raise MashqError(
                f"{what}: on_error has no kind '{kind}' (kinds: {', '.join(AGAIN)}).{nearest(kind, AGAIN)}"
            )
        if times != "stop" and (not isinstance(times, int) or isinstance(times, bool) or times < 0):
            raise MashqError(expected_got(f"{what}: on_error['{kind}']", "a number of tries or 'stop'", repr(times)))
        policy[kind] = None if isinstance(times, str) else times
    return policy


def kind_of(status: int, said: str) -> str:
    """The kind of an HTTP status other than 200, with what the server said."""
    if status in (429, 529):
        return "limit"
    if status >= 500 or status in MAY_PASS:
        return "too long" if status == 500 and "exceed_context_size" in said else "server"
    if status in (400, 413, 422):
        if TOO_LONG.search(said):
            return "too long"
        if REFUSED.search(said):
            return "refused"
    return "request"


def no_money(said: str) -> bool:
    """Whether a refusal says that the account is empty, which no waiting mends."""
    return bool(NO_MONEY.search(said))


def what_said(body: bytes, clean: Callable[[str], str] = str) -> str:
    """What a server said in the body of a refusal, on one line, at most 300 characters.

    clean: takes the key out of a text. It is given the whole: a key that a cut goes through is not found any more.
    """
    text = clean(body.decode("utf-8", errors="replace"))[:4000]
    return " ".join(text.split())[:300]


def backoff(tries: int) -> float:
    """Seconds before the next try: doubled each time, jittered so that a crowd does not come back at once."""
    first, longest = BACKOFF_S
    return min(longest, first * 2 ** min(tries - 1, 20)) * random.uniform(0.5, 1.0)


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that a server asks to wait, given as seconds, milliseconds or a date; 0 where it asks for nothing, or for
    what is no time (a date out of all calendars, infinity)."""
    header = headers.get("retry-after", "")
    for read in (
        lambda: float(headers["retry-after-ms"]) / 1000,
        lambda: float(header),
        lambda: email.utils.parsedate_to_datetime(header).timestamp() - time.time(),
    ):
        try:
            seconds = read()
        except (KeyError, ValueError, TypeError, OverflowError, IndexError):
            continue
        return max(0.0, seconds) if math.isfinite(seconds) else 0.0
    return 0.0
