from pathlib import Path

import pytest

from mashq.lm import trouble


@pytest.fixture(autouse=True)
def _no_key_no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key from outside, no proxy, and retries after hundredths of a second."""
    for name in (
        "MASHQ_API_KEY",
        "OPENAI_API_KEY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(trouble, "BACKOFF_S", (0.01, 0.02))


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger" / "replies.jsonl"
