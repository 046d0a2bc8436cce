from pathlib import Path

import pytest
import tiny_translators


@pytest.fixture(scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def _cache(own_cache: Path):
    """Models are converted into a cache of these tests' own; other tests keep theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASHQ_CACHE", str(own_cache))
        yield


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny model of each family, taught six sentences."""
    pytest.importorskip("ctranslate2")
    pytest.importorskip("sentencepiece")
    pytest.importorskip("torch").set_num_threads(1)
    home = tmp_path_factory.mktemp("models")
    return {
        "marian": tiny_translators.marian(home / "opus-mt-tiny"),
        "nllb": tiny_translators.nllb(home / "nllb-tiny"),
        "m2m": tiny_translators.m2m(home / "m2m-tiny"),
    }
