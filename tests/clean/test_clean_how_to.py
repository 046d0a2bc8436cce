"""The page that shows how to clean says what happens."""

import re
from pathlib import Path

import pytest
import yaml

from mashq.clean import RULES, open_profile

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "clean-social-text.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_prints_what_the_page_shows(capsys):
    exec(BLOCKS[0][1], {})
    assert capsys.readouterr().out == BLOCKS[1][1]


def test_the_settings_of_the_page_are_settings():
    pytest.importorskip("emoji", reason="names need the package emoji")
    exec("from mashq import clean\n" + BLOCKS[2][1], {})


def test_the_profile_of_the_page_is_a_profile(tmp_path):
    (tmp_path / "mine.yaml").write_text(BLOCKS[3][1], encoding="utf-8")
    assert [name for name, _ in open_profile(tmp_path / "mine.yaml").rules] == list(
        yaml.safe_load(BLOCKS[3][1])["rules"]
    )


def test_every_rule_is_on_the_page_with_what_it_does():
    for name, rule in RULES.items():
        assert re.search(rf"\| `{name}` \| (?:\*\*drops\*\* )?{re.escape(rule.does)} \|", PAGE), name
        assert all(f"`{setting}: " in PAGE for setting in rule.settings)
