"""The translation memory: kept by batch, found by all that decides, never overwritten."""

import sqlite3
import subprocess
import sys
import textwrap

import pytest

from mashq.memory import Entry, Memory
from mashq.rows import MashqError


def test_a_kept_translation_is_found_by_its_engine_and_sentence(tmp_path):
    with Memory(tmp_path / "m.sqlite") as memory:
        memory.keep_translations("opus", [("A door.", "باب.", None), ("A gate.", "", "cut: 4 new tokens")], b"work")
        found = memory.translations("opus", ["A gate.", "A wall.", "A door."])
        other = memory.translations("nllb", ["A door."])
    assert found == [Entry("", "cut: 4 new tokens", b"work"), None, Entry("باب.", None, b"work")]
    assert other == [None]


def test_what_was_said_first_stands(tmp_path):
    with Memory(tmp_path / "m.sqlite") as memory:
        memory.keep_translations("opus", [("A door.", "باب.", None)], b"first")
        memory.keep_translations("opus", [("A door.", "بوابة.", None)], b"second")
        assert memory.translations("opus", ["A door."]) == [Entry("باب.", None, b"first")]


def test_a_score_is_of_a_pair_and_exact(tmp_path):
    with Memory(tmp_path / "m.sqlite") as memory:
        memory.keep_scores("e5", [(("a", "bc"), 0.8299999833106995)], b"work")
        assert memory.scores("e5", [("a", "bc"), ("ab", "c"), ("bc", "a")]) == [
            (0.8299999833106995, b"work"),
            None,
            None,
        ]


def test_another_process_finds_it_and_a_memory_of_no_file_is_its_own(tmp_path):
    with Memory(tmp_path / "m.sqlite") as memory:
        memory.keep_translations("opus", [("A door.", "باب.", None)], b"work")
        with Memory(tmp_path / "m.sqlite") as other, Memory(None) as alone:
            assert other.translations("opus", ["A door."])[0].text == "باب."
            assert alone.translations("opus", ["A door."]) == [None]


def test_more_keys_than_one_question_takes(tmp_path):
    sentences = [f"Number {place}." for place in range(40_000)]
    with Memory(tmp_path / "m.sqlite") as memory:
        memory.keep_translations("opus", [(one, one.upper(), None) for one in sentences], b"work")
        found = memory.translations("opus", [*sentences, "None."])
    assert [entry.text for entry in found[:-1]] == [one.upper() for one in sentences]
    assert found[-1] is None


def test_a_text_that_is_no_unicode_is_kept(tmp_path):
    with Memory(tmp_path / "m.sqlite") as memory:
        memory.keep_scores("e5", [(("broken \ud83d", "نص"), 0.5)], b"work")
        assert memory.scores("e5", [("broken \ud83d", "نص")]) == [(0.5, b"work")]


def test_a_batch_is_whole_or_absent_after_kill_9(tmp_path):
    code = """
        import os, signal, sys
        from mashq.memory import Memory
        memory = Memory(__import__("pathlib").Path(sys.argv[1]))
        memory.keep_translations("opus", [("one", "واحد", None), ("two", "اثنان", None)], b"work")
        memory._file.execute("begin immediate")
        memory._file.execute("insert into translations values (x'00', 'opus', 'three', 'x', null, x'00')")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    path = tmp_path / "m.sqlite"
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(path)], check=False)
    assert killed.returncode == -9
    with Memory(path) as memory:
        assert [entry and entry.text for entry in memory.translations("opus", ["one", "two"])] == ["واحد", "اثنان"]
    with sqlite3.connect(path) as file:
        assert file.execute("select count(*) from translations").fetchone() == (2,)


def test_a_file_that_is_no_memory_is_an_error_that_says_what_to_do(tmp_path):
    (tmp_path / "m.sqlite").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(MashqError, match=r"translation memory .*cannot open .*moved away"):
        Memory(tmp_path / "m.sqlite")
