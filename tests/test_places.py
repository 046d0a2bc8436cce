"""A place is looked at before work begins: nothing is computed for a file that cannot be written."""

import pytest
import verbs

from mashq.places import file_place, folder_place
from mashq.rows import MashqError

PAIRS = "".join(f"Room {n} has {n + 2} doors.\tفي الغرفة {n} {n + 2} أبواب.\n" for n in range(40))
TWEETS = "".join(f"عايزين نروح السينما رقم {n}\tegyptian\nنريد أن نذهب إلى السينما رقم {n}\tmsa\n" for n in range(30))


def test_folders_are_made_and_nothing_is_left_in_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert file_place("~/a/b/c.tsv", "x") == tmp_path / "a" / "b" / "c.tsv"
    assert folder_place(tmp_path / "d" / "e", "x") == tmp_path / "d" / "e"
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["a", "b", "d", "e"]


def test_a_file_that_stands_there_is_left_as_it_is(tmp_path):
    (tmp_path / "c.tsv").write_text("before")
    file_place(tmp_path / "c.tsv", "x")
    assert (tmp_path / "c.tsv").read_text() == "before"


@pytest.mark.parametrize(
    ("place", "name", "said"),
    [
        (file_place, "folder", "expected the name of a file to write, got a folder. Name a file in it with --to."),
        (file_place, "file/x", "expected a file that can be written, got 'File exists'"),
        (folder_place, "file", "expected a folder that can be written to, got 'File exists'"),
        (folder_place, "file/x", "expected a folder that can be written to, got 'Not a directory'"),
        (file_place, "folder/" + "x" * 300, "got 'File name too long'"),
        (folder_place, "x" * 300, "got 'File name too long'"),
    ],
)
def test_what_cannot_be_written_is_told(tmp_path, place, name, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(MashqError, match=r"^x: .*") as raised:
        place(tmp_path / name, "x", "--to")
    assert said in str(raised.value)


def _worked(*_given, **_named):
    raise AssertionError("work was begun")


# verb, option, what would be computed, whether its place is a folder
VERBS = [
    (("bertscore-baseline", "./none", "--texts", "none.txt", "--out"), "mashq.metrics.baseline.texts_of_file", False),
    (("templates", "--html"), "mashq.report.gallery.write_gallery", False),
    (("calibrate", "pairs.tsv", "--scorer", "numbers", "--out"), "mashq.calibrate.calibrate", True),
    (("variety", "train", "tweets.tsv", "--out"), "mashq.variety_training._gathered", False),
    (("rate", "pairs.tsv", "--out"), "mashq.rating.begin.study_at", False),
    (("make", "quickstart", "--runs"), "mashq.run.Store.make", True),
]


@pytest.mark.parametrize(("words", "work", "folder"), VERBS, ids=[words[0] for words, _, _ in VERBS])
def test_no_verb_works_for_a_place_that_cannot_be_written(tmp_path, monkeypatch, capsys, words, work, folder):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(work, _worked)
    (tmp_path / "pairs.tsv").write_text("en\tar\n" + PAIRS, "utf-8")
    (tmp_path / "tweets.tsv").write_text("text\tlabel\n" + TWEETS, "utf-8")
    (tmp_path / "afile").write_text("")
    (tmp_path / "afolder").mkdir()
    for place in ("afile/x", "afile" if folder else "afolder"):
        code, _, err = verbs.run(capsys, *words, place)
        assert (code, "expected" in err, "got" in err, place in err) == (1, True, True, True), err
    assert not list(tmp_path.glob("mashq-error-*"))
    verbs.run(capsys, *words, "new/x")  # begins its work, so the place was good
    assert (tmp_path / "new").is_dir()
