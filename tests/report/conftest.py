from pathlib import Path
from typing import Any

import fake_run
import pytest


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record of one whole fake run."""
    return fake_run.make(tmp_path_factory.mktemp("fake") / "runs")


@pytest.fixture(scope="session")
def written(record: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that run's report in Arabic."""
    from mashq.report import write

    return write([record], tmp_path_factory.mktemp("report")).parent


@pytest.fixture(scope="session")
def content(record: Path) -> dict[str, Any]:
    """What a report on that run says; no test may change it."""
    from mashq.record import read_run
    from mashq.report.content import build

    return build([read_run(record)], seed=0)
