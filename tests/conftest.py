import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Nothing in the tests may reach for a hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: other numbers of threads round otherwise."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data, which the repository does not carry."""
    folder = os.environ.get("MASHQ_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("MASHQ_DATA does not name a folder of real data")
    return Path(folder)
