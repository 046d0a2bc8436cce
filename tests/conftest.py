import os
from pathlib import Path

import pytest

# Nothing in the tests may reach for a hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data, which the repository does not carry."""
    folder = os.environ.get("MASHQ_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("MASHQ_DATA does not name a folder of real data")
    return Path(folder)
