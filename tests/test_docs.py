"""The docs say what is true: the tree is the tree, links lead somewhere, and every command in them runs."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "README.ar.md", *sorted((ROOT / "docs").rglob("*.md"))]
TRAINING = re.compile(r"mashq make (tune|quickstart|stories)(?!/| .*--dry-run)|mashq make .*\.py")


def listed_tree() -> dict[str, list[str]]:
    """Folder -> names, from the README's tree."""
    block = re.search(r"## The tree\n\n```\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    folders: dict[str, list[str]] = {".": []}
    for line in block[1].splitlines():
        name = line.split()[0]
        if line.startswith(" "):
            folders["mashq"].append(name.rstrip("/"))
        else:
            folders["."].append(name.rstrip("/"))
            folders.setdefault(name.rstrip("/"), [])
    return folders


def test_the_readmes_tree_is_the_tree():
    inside = {path.name for path in (ROOT / "mashq").iterdir()}
    real = inside - {"__init__.py", "__pycache__", "py.typed"}
    assert set(listed_tree()["mashq"]) == real


def test_every_caption_of_the_tree_is_there():
    block = re.search(r"## The tree\n\n```\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    assert all(len(line.split()) > 2 for line in block[1].splitlines() if not line.startswith("mashq/"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text("utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", page.read_text("utf-8"), re.S)
    joined = "".join(blocks).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.startswith("mashq ")]


def run(page: Path, tmp_path: Path, lines: list[str]) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "my.csv").write_text("question,answer\n" + "".join(f"ما حاصل {i} + 1؟,{i + 1}\n" for i in range(40)))
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for line in lines:
        done = subprocess.run(shlex.split(line), cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{page.name}: {line}\n{done.stderr}"


WITH_COMMANDS = [page for page in PAGES if commands(page)]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_trains_nothing_runs(page, tmp_path):
    run(page, tmp_path, [line for line in commands(page) if not TRAINING.match(line)])


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_runs(page, tmp_path):
    if not any(TRAINING.match(line) for line in commands(page)):
        pytest.skip("this page has no command that trains")
    run(page, tmp_path, commands(page))


def test_the_reference_is_current():
    done = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
