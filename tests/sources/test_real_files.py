"""Counts of the real files as their README states them; skipped where MASHQ_DATA names no such folder."""

import json

import pytest

from mashq.sources import SourceSettings, read, sniff

FILES = [
    ("arastories_msa.csv", "csv", 900, {"Prompt", "Story"}),
    ("arastories_egyptian.csv", "csv", 900, {"Prompt", "Story"}),
    ("arastories_moroccan.csv", "csv", 900, {"Prompt", "Story"}),
    ("arcd_train.json", "squad", 693, {"id", "title", "context", "question", "answers"}),
    ("xquad.ar.json", "squad", 1190, {"id", "title", "context", "question", "answers"}),
    ("xquad.en.json", "squad", 1190, {"id", "title", "context", "question", "answers"}),
    ("ntrex_en_ar.tsv", "tsv", 1000, {"en", "ar"}),
    ("arsarcasm_v2_train.csv", "csv", 12548, {"tweet", "sarcasm", "sentiment", "dialect"}),
    ("ajgt.xlsx", "xlsx", 1800, {"ID", "Feed", "Sentiment"}),
    ("exams_ar.jsonl", "jsonl", 281, {"id", "question", "answerKey", "info"}),
    ("masader_free_text.jsonl", "jsonl", 702, None),
]


@pytest.mark.parametrize(("name", "shape", "count", "fields"), FILES)
def test_counts_and_fields(data, rows_of, name, shape, count, fields):
    assert sniff(data / name) == shape
    rows = rows_of(data / name)
    assert len(rows) == count
    kept = [row for row in rows if row["dropped"] is None]
    assert len(rows) - len(kept) == (3 if name == "arcd_train.json" else 0)
    if fields:
        assert all(set(row["meta"]) == fields for row in kept)


def test_arcd_drops_three_wrong_offsets_and_groups_by_article(data, rows_of):
    rows = rows_of(data / "arcd_train.json")
    dropped = [row for row in rows if row["dropped"]]
    assert [row["dropped"].partition(":")[0] for row in dropped] == ["answer offset"] * 3
    assert all(row["meta"]["dropped_answers"] and row["meta"]["answers"]["text"] == [] for row in dropped)
    assert len({row["group"] for row in rows}) == 77
    assert {row["split"] for row in rows} == {"train"}


def test_a_translated_twin_stands_in_the_group_of_its_original(data, rows_of):
    arabic, english = rows_of(data / "xquad.ar.json"), rows_of(data / "xquad.en.json")
    assert [row["group"] for row in arabic] == [row["group"] for row in english]
    assert not {row["id"] for row in arabic} & {row["id"] for row in english}


def test_tweets_with_their_booleans_dialects_and_triple_quotes(data, rows_of):
    rows = rows_of(
        data / "arsarcasm_v2_train.csv",
        text_field="tweet",
        variety_field="dialect",
        varieties={"egypt": "egyptian", "levant": "levantine"},
        types={"sarcasm": "bool"},
    )
    assert {row["variety"] for row in rows} == {"msa", "egyptian", "gulf", "levantine", "magreb"}
    assert sum(row["meta"]["sarcasm"] for row in rows) == 2168
    assert rows[0]["text"].startswith('"د. #محمود')
    assert rows[0]["text"].endswith('"')


def test_stories_keep_their_newlines(data):
    tables = list(read(data / "arastories_msa.csv", SourceSettings(text_field="Story", variety="msa")))
    texts = [text for table in tables for text in table.column("text").to_pylist()]
    assert sum("\n" in text for text in texts) > 800


def test_quotes_of_the_translations_are_text(data):
    (table,) = read(data / "ntrex_en_ar.tsv")
    english = [json.loads(meta)["en"] for meta in table.column("meta").to_pylist()]
    assert sum(text.startswith('"') for text in english) > 50


def test_school_questions_by_their_own_key(data, rows_of):
    rows = rows_of(data / "exams_ar.jsonl", key_field="id", text_field="question.stem", group_field="info.subject")
    assert {row["dropped"] for row in rows} == {None}
    assert "Islamic Studies" in {row["group"] for row in rows}
