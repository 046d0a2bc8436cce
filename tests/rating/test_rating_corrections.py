"""What people agree on of translations and renders, and its way back into translation."""

import pytest
import verbs
import yaml
from rating_examples import added, check, study

from mashq.rating.corrections import agreed, corrections, lines, write_corrections
from mashq.rating.store import Store
from mashq.rows import MashqError
from mashq.translate.fixed import fixed_for, fixed_translations, rejected_translations


def checked_by(tmp_path, verdicts, items=None, **more):
    """A store in which each rater gave these verdicts: item -> a verdict, or the corrected text."""
    items = items or [check(place) for place in range(3)]
    store = Store.create(tmp_path / "c.sqlite", study(items, **more), key="tests")
    for place, said in enumerate(verdicts):
        rater = added(store, f"r{place}")
        for name, one in said.items():
            verdict = one if one in ("accept", "reject") else "correct"
            store.save(rater, name, {"verdict": verdict, "text": one if verdict == "correct" else ""}, 1)
    return store


def told(tmp_path):
    return yaml.safe_load((tmp_path / "fixed.checks.yaml").read_text("utf-8"))


# --- what stands -----------------------------------------------------------------------------------------------------


def test_corrections_hold_what_stands(tmp_path):
    with checked_by(tmp_path, [{"c00": "accept", "c01": "افتح الباب الأول.", "c02": "reject"}]) as store:
        rows = corrections(store).to_pylist()
    assert [(row["id"], row["verdict"], row["corrected"]) for row in rows] == [
        ("c00", "accept", "افتح باب 0."),
        ("c01", "correct", "افتح الباب الأول."),
        ("c02", "reject", None),
    ]
    assert {(row["rater"], row["system"]) for row in rows} == {("r0", "opus")}
    assert (rows[1]["source"], rows[1]["proposed"], rows[1]["variety"]) == ("Open door 1.", "افتح باب 1.", "egyptian")


def test_what_more_than_half_say_stands_and_the_rest_is_disputed(tmp_path):
    said = [
        {"c00": "افتح الباب 0.", "c01": "reject", "c02": "accept"},
        {"c00": "افتح  الباب 0.", "c01": "reject", "c02": "افتح الباب الثاني."},  # white space makes no other text
        {"c00": "accept", "c01": "accept"},
    ]
    with checked_by(tmp_path, said) as store:
        made = agreed(store)
    assert made.fixed == {"msa": {"Open door 0.": "افتح الباب 0."}}
    assert made.rejected == {"egyptian": {"Open door 1.": ("افتح باب 1.",)}}
    assert [check.item.id for check in made.of("disputed")] == ["c02"]


def test_two_of_four_are_no_more_than_half(tmp_path):
    said = [{"c00": "accept"}, {"c00": "accept"}, {"c00": "افتح الباب."}, {"c00": "reject"}]
    with checked_by(tmp_path, said) as store:
        made = agreed(store)
    assert (made.fixed, made.rejected, [check.verdict for check in made.checks]) == ({}, {}, ["disputed"])


def test_withdrawn_raters_decide_nothing(tmp_path):
    nonsense = {"c00": "كلام فارغ."}
    with checked_by(tmp_path, [nonsense, nonsense, {"c00": "accept"}], [check(0)]) as store:
        assert agreed(store).fixed == {"msa": {"Open door 0.": "كلام فارغ."}}
        for rater, _ in store.raters()[:2]:
            store.withdraw(rater)
        assert [row["withdrawn"] for row in corrections(store).to_pylist()] == [True, True, False]
        assert agreed(store).fixed == {"msa": {"Open door 0.": "افتح باب 0."}}
        store.withdraw(store.raters()[2][0])
        assert (agreed(store).checks, agreed(store).unanswered) == ((), 1)


def test_checks_of_one_source_are_decided_each_for_itself(tmp_path):
    two = [check(0, shown=["A door.", "باب."]), check(3, shown=["A door.", "بابان."]), check(6, shown=["Go.", "اذهب."])]
    with checked_by(tmp_path, [{"c00": "accept", "c03": "reject"}], two) as store:
        made = agreed(store)
    assert made.fixed == {"msa": {"A door.": "باب."}}
    assert made.rejected == {"msa": {"A door.": ("بابان.",)}}
    assert made.unanswered == 1


def test_one_sentence_with_two_translations_is_contested(tmp_path):
    two = [check(0, shown=["A door.", "باب."]), check(3, shown=["A door.", "بوابة."])]
    with checked_by(tmp_path, [{"c00": "accept", "c03": "accept"}], two) as store:
        made = agreed(store)
    assert made.fixed == {} and made.contested == (("msa", "A door."),)
    assert any(line.startswith("contested") for line in lines(made, []))


# --- by sentence -----------------------------------------------------------------------------------------------------


def test_a_text_of_several_sentences_is_cut_as_translation_cuts_it(tmp_path):
    texts = ["The cat sat. The dog ran.", "جلس القط. ركض الكلب."]
    items = [check(0, shown=texts), check(3, shown=["It rained. We left.", "هطل المطر. غادرنا."])]
    with checked_by(tmp_path, [{"c00": "جلست القطة. ركض الكلب.", "c03": "reject"}], items) as store:
        made, _ = write_corrections(store, tmp_path / "fixed.yaml")
    assert made.fixed == {"msa": {"The cat sat.": "جلست القطة.", "The dog ran.": "ركض الكلب."}}
    rejected = rejected_translations("msa", tmp_path / "fixed.yaml")
    assert rejected == {"It rained.": {"هطل المطر."}, "We left.": {"غادرنا."}}


def test_what_translation_cannot_use_is_told(tmp_path):
    items = [
        check(0, shown=["The cat sat. The dog ran.", "جلس القط. ركض الكلب."]),
        check(3, shown=["See {n}.", "{n}."]),
    ]
    said = {"c00": "جلس القط بينما ركض الكلب.", "c03": "انظر."}
    with checked_by(tmp_path, [said], items) as store:
        made, files = write_corrections(store, tmp_path / "fixed.yaml")
    assert made.fixed == {} and len(made.unused) == 2
    out = "\n".join(lines(made, files))
    assert "NOT USED, source and text have not equally many sentences (corrected 1): «The cat sat. The dog ran.»" in out
    assert "NOT USED, the text has lost {n}" in out
    assert [one["not used"][:17] for one in told(tmp_path)] == ["source and text h", "the text has lost"]
    assert not (tmp_path / "fixed.yaml").exists()


# --- files -----------------------------------------------------------------------------------------------------------


def test_what_raters_agree_on_stands_before_the_engine(tmp_path):
    items = [check(0), check(1, variety=""), check(2, shown=["{no} 'yes' # or {no}", "{no} لا {no}"])]
    with checked_by(tmp_path, [{"c00": "افتح الباب.", "c01": "accept", "c02": "accept"}], items) as store:
        made, files = write_corrections(store, tmp_path / "fixed.yaml")
    assert files == [tmp_path / "fixed.yaml", tmp_path / "fixed.checks.yaml"]
    assert set(made.fixed) == {"msa", "all", "moroccan"}
    msa, moroccan = (fixed_translations(name, tmp_path / "fixed.yaml") for name in ("msa", "moroccan"))
    assert fixed_for(msa, "Open door 0.") == "افتح الباب."
    assert fixed_for(moroccan, "Open door 1.") == "افتح باب 1."
    assert fixed_for(moroccan, "{no} 'yes' # or {no}") == "{no} لا {no}"
    assert fixed_for(msa, "{no} 'yes' # or {no}") is None
    assert "قصص القطة" in (tmp_path / "fixed.yaml").read_text("utf-8").splitlines()[0]
    assert yaml.safe_load((tmp_path / "fixed.yaml").read_text("utf-8")) == made.fixed


def test_the_file_of_checks_says_how_many_and_names_nobody(tmp_path):
    said = [{"c00": "accept", "c01": "افتح الباب 1."}, {"c00": "accept", "c01": "reject"}, {"c00": "reject"}]
    with checked_by(tmp_path, said) as store:
        write_corrections(store, tmp_path / "fixed.yaml")
    first, second = told(tmp_path)
    assert [first[name] for name in ("verdict", "raters", "accepted", "rejected")] == ["accepted", 3, 2, 1]
    assert second["verdict"] == "disputed" and second["corrections"] == [{"text": "افتح الباب 1.", "raters": 1}]
    every = "".join(path.read_text("utf-8") for path in tmp_path.glob("fixed*.yaml"))
    assert not any(name in every for name in ("r0", "r1", "r2"))


def test_what_stands_no_more_leaves_the_file(tmp_path):
    with checked_by(tmp_path, [{"c00": "accept", "c01": "accept"}, {"c01": "accept"}]) as store:
        write_corrections(store, tmp_path / "fixed.yaml")
        assert "Open door 0." in (tmp_path / "fixed.yaml").read_text("utf-8")
        store.withdraw(store.raters()[0][0])
        store.save(store.raters()[1][0], "c01", {"verdict": "reject"}, 1)
        write_corrections(store, tmp_path / "fixed.yaml")
    assert fixed_for(fixed_translations("msa", tmp_path / "fixed.yaml"), "Open door 0.") is None
    assert rejected_translations("egyptian", tmp_path / "fixed.yaml") == {"Open door 1.": {"افتح باب 1."}}


def test_corrected_renders_go_to_who_edits_the_templates(tmp_path):
    about = {"variety": "", "template": "arcd/answer", "part": "prompt"}
    items = [check(0, shown=["question:\nمتى؟", "اجب: متى؟"], **about), check(1, **{**about, "part": "target"})]
    with checked_by(tmp_path, [{"c00": "أجب: متى؟", "c01": "reject"}], items) as store:
        made, files = write_corrections(store, tmp_path / "fixed.yaml")
    assert files == [tmp_path / "fixed.checks.yaml", tmp_path / "fixed.templates.yaml"]  # no translation of anything
    assert "arcd/answer" in "\n".join(lines(made, files))
    (one,) = (found := yaml.safe_load(files[1].read_text("utf-8"))["arcd/answer"])["prompt"]
    assert (one["verdict"], one["said so"], one["render"]) == ("corrected", "1 of 1", "اجب: متى؟")
    assert one["correction"] == "أجب: متى؟" and found["target"][0]["correction"] is None


@pytest.mark.parametrize(
    ("verdict", "more", "said"),
    [
        ("accept", {"simulated": True}, "its raters are programs"),
        ("accept", {"items": [check(0, variety="msr")]}, "no variety 'msr'"),
    ],
)
def test_corrections_that_go_into_no_translation_are_told(tmp_path, verdict, more, said):
    with checked_by(tmp_path, [{"c00": verdict}], **more) as store, pytest.raises(MashqError, match=said):
        write_corrections(store, tmp_path / "fixed.yaml")
    assert not list(tmp_path.glob("*.yaml"))


def test_a_study_without_answers_is_told(tmp_path):
    with checked_by(tmp_path, []) as store, pytest.raises(MashqError, match="no check has an answer that counts yet"):
        write_corrections(store, tmp_path / "fixed.yaml")


def test_texts_of_any_form_come_back_from_the_file(tmp_path):
    source, proposed = "a:\x85 '\N{LINE SEPARATOR}' #\n- \"b\"", "?\N{LINE SEPARATOR}باب: 'نعم'\n\n{}" + "ن" * 200
    with checked_by(tmp_path, [{"c00": "accept"}], [check(0, shown=[source, proposed])]) as store:
        write_corrections(store, tmp_path / "fixed.yaml")
    assert fixed_translations("msa", tmp_path / "fixed.yaml")[source] == proposed


def test_an_accepted_proposal_without_words_is_no_translation(tmp_path):
    with checked_by(tmp_path, [{"c00": "accept"}], [check(0, shown=["A door.", " "])]) as store:
        assert agreed(store).fixed == {}


def test_the_verb_writes_corrections_that_the_other_verb_translates_by(tmp_path, capsys):
    items = [check(0, shown=["Don’t go.", "لا تذهب."]), check(3, shown=["He ran.", "هي ران."])]
    with checked_by(tmp_path, [{"c00": "لا ترحل.", "c03": "reject"}], items):
        pass
    fixed, ratings = str(tmp_path / "fixed.yaml"), str(tmp_path / "c.sqlite")
    code, out, _ = verbs.run(capsys, "rate", ratings, "--corrections", fixed)
    assert code == 0 and "accepted 0, corrected 1, rejected 1, disputed 0" in out
    asked = ["translate", "Don't go. He ran.", "--with", "transliterate", "--scorer", "", "--fixed", fixed]
    code, out, _ = verbs.run(capsys, *asked, "--runs", str(tmp_path / "runs"))
    assert code == 0 and "لا ترحل." in out


def test_the_verb_writes_every_download(tmp_path, capsys):
    with checked_by(tmp_path, [{"c00": "accept"}]):
        pass
    code, out, _ = verbs.run(capsys, "rate", str(tmp_path / "c.sqlite"), "--export", str(tmp_path / "out"))
    assert code == 0 and out.count("wrote ") == 6
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"answers.csv", "label-studio-check.xml"}
    code, _, error = verbs.run(capsys, "rate", "study.yaml", "--corrections", str(tmp_path / "f.yaml"))
    assert code == 1 and "expected RATINGS.sqlite, got study.yaml" in error
