"""What the pages of all benchmarks share: what ran them, how often, and where they go."""

from __future__ import annotations

import argparse
import os
import platform
from importlib.metadata import version
from pathlib import Path

LEAST_REPEATS = 7


def machine(*packages: str, used: str = "") -> str:
    """Processor, cores, Python and versions of packages, without naming whose machine it is; `used`: of the cores."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    cpu = next(names, platform.processor() or platform.machine())
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    cores = used or f"{os.cpu_count()} cores"
    return "; ".join([f"{cpu}, {cores}", f"Python {platform.python_version()}", *([versions] if versions else [])])


def with_page(parser: argparse.ArgumentParser, repeats: int = 9) -> argparse.ArgumentParser:
    """The parser with the options --repeats and --write."""
    parser.add_argument("--repeats", type=int, default=repeats, help="interleaved repeats (default %(default)s)")
    parser.add_argument("--write", type=Path, help="write the page to this file")
    return parser


def check_repeats(parser: argparse.ArgumentParser, repeats: int) -> None:
    """End with a message where there are too few."""
    if repeats < LEAST_REPEATS:
        parser.error(f"--repeats: fewer than {LEAST_REPEATS} give no spread worth showing")


def give(text: str, path: Path | None) -> None:
    """Write the page where it was asked for, else print it."""
    if path:
        path.write_text(text, encoding="utf-8")
    else:
        print(text)
