"""A wheel is built, installed into an empty environment, and runs the same."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mashq import recipes
from mashq.engine import Engine
from mashq.run import Store, manifest_of

ROOT = Path(__file__).parent.parent
RECIPE = Path(__file__).parent / "data" / "counting.py"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)], check=True, capture_output=True
    )
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_everything_that_the_package_reads(wheel):
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("mashq/")}
    tracked = subprocess.run(["git", "ls-files", "mashq"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(tracked.stdout.split()) - inside == set()


@pytest.mark.slow
def test_the_wheel_in_an_empty_environment_makes_the_same_rows(wheel, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "empty")], check=True)
    python = tmp_path / "empty" / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    mashq = tmp_path / "empty" / "bin" / "mashq"
    assert subprocess.run([str(python), "-c", "import torch"], capture_output=True).returncode == 1
    runs = tmp_path / "runs"
    subprocess.run(
        [str(mashq), "make", f"{RECIPE}/pairs", "--runs", str(runs)], check=True, capture_output=True, cwd=tmp_path
    )
    recipe = recipes.load(str(RECIPE))
    here = Store(tmp_path / "here", Engine("local", 1))
    for step in recipe.steps(recipe.settings(None)):
        made = here.make(step)
        assert manifest_of(runs / "steps" / step.folder_name)["hash"] == made.manifest["hash"]
    done = subprocess.run([str(mashq), "make", "quickstart/tuned"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert "pip install 'mashq[" in done.stderr
