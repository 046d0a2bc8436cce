"""What a server says in a refusal: how long to wait, and why, without the key."""

from __future__ import annotations

import email.utils
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashq.lm.trouble import retry_after, what_said


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.25", 0.25),
        ("-3", 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("nan", 0.0),
        ("inf", 0.0),
        ("1e999", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 +99999999999999999999", 0.0),
        ("9" * 5000, 0.0),
    ],
)
def test_a_server_says_how_long_to_wait(header: str, seconds: float) -> None:
    assert retry_after({"retry-after": header}) == seconds


def test_milliseconds_go_first_and_a_date_is_a_time_from_now() -> None:
    assert retry_after({"retry-after-ms": "1500", "retry-after": "7"}) == 1.5
    assert retry_after({"retry-after-ms": "?", "retry-after": "7"}) == 7.0
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 95 < retry_after({"retry-after": date}) <= 100


@given(st.text(alphabet="0123456789 +-:,GMTZWedOct", max_size=60) | st.text())
def test_any_header_is_survived(header: str) -> None:
    assert retry_after({"retry-after": header}) >= 0


@pytest.mark.parametrize("before", [0, 280, 290, 299, 300, 3990])
def test_a_key_is_taken_out_before_the_text_is_cut(before: int) -> None:
    key = "sk-SECRET0123456789"
    body = f"{' ' * 3900 if before == 3990 else ''}{'x' * min(before, 290)} {key} {'y' * 500}".encode()
    said = what_said(body, lambda text: text.replace(key, "***"))
    assert len(said) <= 300
    assert "sk" not in said
    assert "sk" in what_said(f"{key}".encode())  # as it is, where nobody says what to take out


def test_what_was_said_is_one_line_of_300_characters() -> None:
    assert what_said("قال\n\n  الخادم:\tلا".encode()) == "قال الخادم: لا"
    assert len(what_said(b"x" * 10_000)) == 300
    assert what_said(b"\xff\xfe") == "\N{REPLACEMENT CHARACTER}" * 2
