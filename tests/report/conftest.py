from pathlib import Path

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
