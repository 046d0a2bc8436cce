"""Engines on CTranslate2 beside Transformers itself, on tiny models in the real file layouts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_translators
from tiny_translators import ARABIC, ENGLISH, TAUGHT

from mashq.mt import open_engine
from mashq.mt.ctranslate import END, CTranslate, Decoding
from mashq.rows import MashqError

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
FAMILIES = ("marian", "nllb", "m2m")
UNTAUGHT = [
    "The fox told the farmers that the bridge was closed.",
    "Why?",
    "A short story about the moon, the river and a small library in the old town near the coast, for children.",
    "3 of 14 trains were late (21%).",
    "Sold: 900 copies; price: 12.50!",
]
SENTENCES = ENGLISH + UNTAUGHT


def exact(folder: Path, **settings: Any) -> CTranslate:
    engine = open_engine(str(folder), **{"quantization": "float32", "beams": 1, "threads": 1, **settings})
    assert isinstance(engine, CTranslate)
    return engine


def transformers_says(folder: Path, engine: CTranslate, sentence: str) -> tuple[list[str], list[str], str]:
    """(source tokens, new tokens, text) of Transformers' own tokenizer and greedy `generate`."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    from mashq.lm.weights import quiet

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    marian, prefix = engine.family.name == "marian", engine.family.prefix
    given = tokenizer((engine.family.first[0] + " " if marian else "") + sentence, return_tensors="pt")
    source = tokenizer.convert_ids_to_tokens(given.input_ids[0])
    if marian:
        model.generation_config.forced_eos_token_id = None
    forced = {} if marian else {"forced_bos_token_id": tokenizer.convert_tokens_to_ids(prefix[0])}
    most = len(prefix) + engine.decoding.limit(len(source)) + 1
    new = model.generate(**given, num_beams=1, do_sample=False, max_length=None, max_new_tokens=most, **forced)[0]
    text = tokenizer.decode(new, skip_special_tokens=True)
    for code in prefix:
        text = text.removeprefix(code)
    return source, tokenizer.convert_ids_to_tokens(new)[1:], text.strip()


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_is_what_transformers_generates(folders, family):
    engine = exact(folders[family])
    for sentence in SENTENCES:
        source, tokens, text = transformers_says(folders[family], engine, sentence)
        (ours,) = engine._sources([sentence])
        known = set(engine.family.vocabulary)
        assert [token if token in known else "<unk>" for token in ours] == source
        limit = engine.decoding.limit(len(ours))
        assert engine._begin([ours], limit)[0].result().hypotheses[0] == tokens
        assert engine.translate([sentence])[0].text == text


@pytest.mark.parametrize("family", FAMILIES)
def test_what_it_was_taught_comes_out_as_arabic(folders, family):
    said = exact(folders[family]).translate(ENGLISH[:TAUGHT])
    assert [output.text for output in said] == ARABIC[:TAUGHT]
    assert [output.fault for output in said] == [None] * TAUGHT


@pytest.mark.parametrize("family", FAMILIES)
def test_int8_says_the_same_of_what_it_was_taught(folders, family):
    engine = open_engine(str(folders[family]), quantization="int8", beams=1)
    assert [output.text for output in engine.translate(ENGLISH[:TAUGHT])] == ARABIC[:TAUGHT]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("quantization", ["int8", "float32"])
def test_a_translation_does_not_depend_on_its_batch(folders, family, beams, quantization):
    engine = exact(folders[family], quantization=quantization, beams=beams)
    alone = [engine.translate([sentence])[0] for sentence in SENTENCES]
    assert engine.translate(SENTENCES) == alone
    assert engine.translate(SENTENCES[::-1]) == alone[::-1]
    assert engine.translate([*SENTENCES, *SENTENCES])[len(SENTENCES) :] == alone


@pytest.mark.parametrize(("family", "token"), [("marian", ">>arz<<"), ("nllb", "arz_Arab")])
def test_the_variety_reaches_the_model(folders, family, token):
    egyptian = exact(folders[family], variety="egyptian")
    assert token in (*egyptian.family.first, *egyptian.family.prefix)
    assert token in egyptian.identity
    assert [output.text for output in egyptian.translate(ENGLISH[:TAUGHT])] == [*ARABIC[1:TAUGHT], ARABIC[0]]


def test_the_target_token_stands_before_the_source(folders):
    (tokens,) = exact(folders["marian"], variety="moroccan")._sources(["Why?"])
    assert (tokens[0], tokens[-1]) == (">>ary<<", END)


@pytest.mark.parametrize(
    ("family", "variety", "has"),
    [
        ("marian", "gulf", "Its vocabulary has: msa, egyptian, moroccan, levantine"),
        ("nllb", "algerian", "Its vocabulary has: msa, egyptian, moroccan, levantine, najdi, iraqi, tunisian"),
        ("m2m", "egyptian", "Its vocabulary has: msa"),
    ],
)
def test_a_variety_that_the_model_lacks_is_refused_with_what_it_has(folders, family, variety, has):
    with pytest.raises(MashqError, match=rf"does not write the variety '{variety}'. {has}\."):
        open_engine(str(folders[family]), variety=variety)


def test_a_model_of_one_target_writes_msa_without_a_token(tmp_path):
    folder = tiny_translators.marian(tmp_path / "one", targets=(), lessons=0)
    assert exact(folder)._sources(["Why?"])[0][0] == "▁"
    with pytest.raises(MashqError, match="Its vocabulary has: msa, its only target"):
        exact(folder, variety="egyptian")


# --- texts are text ---


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("marian", ">>arz<< Why?"),
        ("marian", "Why </s> not?"),
        ("marian", "<pad> Why?"),
        ("nllb", "arz_Arab Why?"),
        ("nllb", "Why </s> not?"),
        ("m2m", "__fr__ Why?"),
    ],
)
def test_a_special_token_in_a_text_is_text(folders, family, text):
    engine = exact(folders[family])
    (tokens,) = engine._sources([text])
    inside = tokens[len(engine.family.first) : -1]
    assert not {">>arz<<", "</s>", "<pad>", "arz_Arab", "__fr__"} & set(inside)
    assert "".join(inside).replace("▁", " ").split() == text.split()


def test_typographic_signs_are_given_to_opus_as_it_was_trained(folders):
    engine = exact(folders["marian"])
    assert engine._sources(["“Why?” – it’s late…"]) == engine._sources(['"Why?" - it\'s late...'])


# --- limits ---


def test_a_source_that_is_too_long_is_a_fault_and_not_cut(folders):
    engine = exact(folders["marian"], source_tokens=20)
    short, long = engine.translate(["Why?", " ".join(ENGLISH)])
    assert short.fault is None or short.fault.startswith("cut")
    assert long.text == ""
    assert long.fault == f"too long: {len(engine._sources([' '.join(ENGLISH)])[0])} tokens > 20"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_translation_that_was_going_on_at_its_limit_is_a_fault(folders, family):
    whole = exact(folders[family]).translate(ENGLISH[:1])[0].text
    cut = exact(folders[family], most_new_tokens=5).translate(ENGLISH[:1])[0]
    assert cut.fault == "cut: 5 new tokens, the limit"
    assert whole.startswith(cut.text[:4])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_translation_as_long_as_its_limit_is_whole(folders, family):
    engine = exact(folders[family])
    (tokens,) = engine._sources(ENGLISH[:1])
    length = len(engine._begin([tokens], 100)[0].result().hypotheses[0]) - len(engine.family.prefix) - 1
    assert exact(folders[family], most_new_tokens=length).translate(ENGLISH[:1])[0] == (ARABIC[0], None)
    assert exact(folders[family], most_new_tokens=length - 1).translate(ENGLISH[:1])[0].fault is not None


def test_the_limit_grows_with_the_source_and_stays_within_positions():
    assert [Decoding().limit(length) for length in (1, 8, 9, 60, 512)] == [31, 31, 63, 255, 511]


def test_least_new_tokens_holds_the_end_back(tmp_path):
    folder = tiny_translators.marian(tmp_path / "random", lessons=0, ends_after_least=True)
    engine = exact(folder, least_new_tokens=7, most_new_tokens=9)
    hypotheses = [begun.result().hypotheses[0] for begun in engine._begin(engine._sources(SENTENCES), 9)]
    assert {len(tokens) for tokens in hypotheses} == {8}
    assert {tokens[-1] for tokens in hypotheses} == {END}


def test_white_space_is_not_translated(folders):
    assert exact(folders["marian"]).translate([" \n"]) == [("", "empty: no source")]


def test_wrong_settings_are_named_together(folders):
    with pytest.raises(MashqError, match=r"beams is 1 \(greedy\) or more, got 0; source_tokens is 1 to 512, got 600"):
        exact(folders["marian"], beams=0, source_tokens=600)


# --- batches ---


def test_batches_hold_every_place_once_the_longest_first_within_the_budget(folders, monkeypatch):
    monkeypatch.setattr("mashq.mt.ctranslate.TOKENS_PER_BATCH", 200)
    engine = exact(folders["marian"])
    many = [sentence[: 10 + 7 * place] for place, sentence in enumerate(SENTENCES * 3)]
    batches = engine.batches(many)
    lengths = [len(pieces) for pieces in engine._pieces(many)]
    assert sorted(place for batch in batches for place in batch) == list(range(len(many)))
    assert [lengths[place] for batch in batches for place in batch] == sorted(lengths, reverse=True)
    assert all(lengths[batch[0]] * len(batch) <= 200 for batch in batches)
    assert engine.batches([]) == []


# --- what it is ---


def test_beams_are_what_the_folder_says_and_four_where_it_says_nothing(folders):
    beams = {family: open_engine(str(folders[family])).decoding.beams for family in FAMILIES}
    assert beams == {"marian": 4, "nllb": 4, "m2m": 5}


def test_the_identity_is_of_what_decides_and_of_no_path(folders, tmp_path):
    moved = Path(shutil.copytree(folders["marian"], tmp_path / "elsewhere"))
    first = exact(folders["marian"])
    assert exact(moved).identity == first.identity
    assert str(tmp_path) not in exact(moved).name + exact(moved).identity
    assert exact(moved).name == "elsewhere"
    others = [exact(moved, beams=2), exact(moved, quantization="int8"), exact(moved, variety="egyptian")]
    (moved / "vocab.json").write_text((moved / "vocab.json").read_text("utf-8") + "\n", "utf-8")
    others.append(exact(moved))
    assert len({first.identity, *(engine.identity for engine in others)}) == 5


def test_the_licence_is_the_cards_else_the_names_else_unknown(folders, tmp_path):
    assert open_engine(str(folders["marian"])).licence == "Apache-2.0"
    assert open_engine(str(folders["nllb"])).licence == "CC-BY-NC-4.0"
    known = {
        "opus-mt-en-ar": "Apache-2.0",
        "opus-mt-tc-big-en-ar": "CC-BY-4.0",
        "nllb-200-distilled-600M": "CC-BY-NC-4.0",
    }
    for name, licence in {**known, "m2m100_418M": "MIT", "mine": "unknown"}.items():
        folder = Path(shutil.copytree(folders["marian"], tmp_path / name))
        (folder / "README.md").unlink()
        assert open_engine(str(folder)).licence == licence


# --- files ---


def test_a_folder_is_converted_once(folders, monkeypatch):
    exact(folders["nllb"]).translate(["Why?"])
    monkeypatch.setattr(CTranslate, "_convert", lambda *_: pytest.fail("converted again"))
    exact(folders["nllb"], beams=3).translate(["Why?"])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_converted_folder_opens_as_it_is(folders, family, tmp_path):
    from ctranslate2 import Translator

    engine = exact(folders[family])
    engine.translate(["Why?"])
    made = tmp_path / "made"
    engine._convert(made)
    for name in ("source.spm", "target.spm", "sentencepiece.bpe.model", "README.md"):
        if (folders[family] / name).exists():
            shutil.copy(folders[family] / name, made)
    opened = exact(made)
    assert isinstance(opened._translator, Translator)
    assert opened.family[0::2] == engine.family[0::2]
    assert opened.translate(SENTENCES) == engine.translate(SENTENCES)


def test_pickled_weights_are_read_as_tensors_only(tmp_path):
    import torch

    folder = tiny_translators.marian(tmp_path / "old", lessons=0, pickled=True, ends_after_least=True)
    engine = exact(folder, least_new_tokens=3)
    assert engine.translate(["Why?"])[0].fault in (None, "unknown: 3 tokens that stand for no text")
    torch.save({"weights": Path("x")}, folder / "pytorch_model.bin")
    with pytest.raises(MashqError, match="refused, it is damaged or holds more than tensors"):
        exact(folder)


def test_a_start_that_training_moved_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tiny_translators.marian(tmp_path / "tuned", lessons=0)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.shared.weight"][-1] = 0.25
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MashqError, match=r"expected zeros, got values up to 0\.25"):
        exact(folder).translate(["Why?"])


def test_what_is_missing_is_named(folders, tmp_path):
    folder = Path(shutil.copytree(folders["marian"], tmp_path / "part"))
    (folder / "source.spm").unlink()
    with pytest.raises(MashqError, match=r"expected source.spm and target.spm in .*part, got .*target.spm"):
        exact(folder).translate(["Why?"])
    (folder / "vocab.json").write_text('{"</s>": 0, "<unk>": 2}', "utf-8")
    with pytest.raises(MashqError, match="expected ids without gaps"):
        exact(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}), "utf-8")
    with pytest.raises(
        MashqError, match=r"expected marian .* or m2m_100 .*, got 'llama'. A language model is named lm:"
    ):
        exact(folder)
    (folder / "config.json").write_text("{", "utf-8")
    with pytest.raises(MashqError, match=r"config.json is damaged, expected JSON"):
        exact(folder)


def test_a_hub_name_that_is_nowhere_says_what_to_do():
    with pytest.raises(MashqError, match="point HF_HOME at a filled cache or give a local folder"):
        open_engine("nobody/opus-mt-en-nowhere")
