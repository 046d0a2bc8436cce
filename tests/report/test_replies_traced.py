"""A reply can be followed from the page and from the Markdown: each item has the first digits of its row's id."""

import re

import pytest

from mashq.report.lines import safe
from mashq.report.markdown import report_markdown
from mashq.report.markdown_replies import MOST_ITEMS
from mashq.report.page import render
from mashq.report.words import LANGUAGES, Words


def section(text, words):
    return text.split(f"### {words.plain('replies')}\n")[1].split("\n### ")[0]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_card_of_replies_has_its_id_in_its_head(content, lang):
    items = content["runs"][0]["evaluations"][0]["replies"]["items"]
    page = render(content, Words(lang))
    heads = re.findall(r'<article class="item">\s*<header>(.*?)</header>', page, re.DOTALL)
    assert [re.search(r'<span dir="ltr">([0-9a-f]{12})</span>', head).group(1) for head in heads] == [
        item["item"][:12] for item in items
    ]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_markdown_has_the_drawn_replies_with_their_ids(content, lang):
    words, evaluation = Words(lang), content["runs"][0]["evaluations"][0]
    said = section(report_markdown(content, words), words)
    for item in evaluation["replies"]["items"]:
        assert f"**{words.plain('pick_' + item['pick'])}** `{item['item'][:12]}`" in said
        assert all(safe(reply["text"])[:40] in said for reply in item["replies"] if reply["text"].strip())
    assert "<script" not in said and "<img" not in said


def test_replies_in_markdown_are_bounded_and_a_cut_says_the_whole_length(content):
    run = content["runs"][0]
    one = run["evaluations"][0]["replies"]["items"][0]
    long = {**one, "prompt": {"text": "س" * 1500, "cut": 9876}, "reference": {"text": "ص" * 400, "cut": 0}}
    many = {**run["evaluations"][0]["replies"], "items": [long] * 30}
    told = {**content, "runs": [{**run, "evaluations": [{**run["evaluations"][0], "replies": many}]}]}
    said = section(report_markdown(told, Words("en")), Words("en"))
    assert said.count(one["item"][:12]) == MOST_ITEMS
    assert "… (9876)" in said and "… (400)" in said and max(map(len, said.splitlines())) < 2_000


def test_private_replies_are_not_in_markdown(content):
    run, own = content["runs"][0], Words("en")
    hidden = {**run["evaluations"][0], "private": True, "replies": {"metric": None, "items": []}}
    said = section(report_markdown({**content, "runs": [{**run, "evaluations": [hidden]}]}, own), own)
    assert said.strip() == own.plain("private_replies")
