"""The door, and the engines that have no weights."""

from __future__ import annotations

import pytest

from mashq.lm import open_model
from mashq.mt import Engine, Output, open_engine, targets, varieties
from mashq.mt.faults import fault
from mashq.rows import MashqError
from mashq.sentences import mask, unmask

SENTENCES = [
    "Which of the following answers is correct?",
    "Read the paragraph at https://example.org/a?b=1, then answer {question} in one sentence.",
    "The price rose by 12.5%, from 1,000 to 1,125 dollars; nobody knew why.",
    "Café owners in New York, N.Y., sell 3 kinds of tea.",
    "Yes",
    "<b>The</b> first word is bold, the second isn't.",
    "Premise:",
]


def test_transliterated_sentences_are_without_fault():
    engine = open_engine("transliterate")
    assert isinstance(engine, Engine)
    said = engine.translate(SENTENCES)
    assert [fault(*pair) for pair in zip(SENTENCES, [output.text for output in said], strict=True)] == [None] * 7
    assert said[0] == Output("وهيتش وف ثي فوللووينج انسويرس يس كورريكت؟")
    assert "12.5%، " in said[2].text
    assert "1,000" in said[2].text


def test_transliterated_marks_come_back_whole():
    engine = open_engine("transliterate", variety="egyptian")
    for sentence in SENTENCES:
        masked = mask(sentence)
        (said,) = engine.translate([masked.text])
        text, lost = unmask(said.text, masked.kept)
        assert lost is None
        assert all(kept in text for kept in masked.kept)


def test_every_copy_is_a_fault():
    said = open_engine("copy").translate(SENTENCES)
    assert [output.text for output in said] == SENTENCES
    assert all(fault(source, output.text) for source, output in zip(SENTENCES, said, strict=True))


@pytest.mark.parametrize("name", ["copy", "transliterate"])
def test_invented_engines_cut_batches_by_length(name):
    many = [sentence[: 5 + place % 30] for place, sentence in enumerate(SENTENCES * 200)]
    batches = open_engine(name).batches(many)
    lengths = [len(many[place]) for batch in batches for place in batch]
    assert sorted(place for batch in batches for place in batch) == list(range(1400))
    assert lengths == sorted(lengths, reverse=True)
    assert open_engine(name).batches([]) == []


@pytest.mark.parametrize(
    ("spec", "settings", "says"),
    [
        ("transliterat", {}, "there is no such folder. .* Did you mean 'transliterate'?"),
        ("http://localhost:8000/v1#m", {}, "a server is named lm:http://localhost:8000/v1#m"),
        ("lm:", {}, "lm:NAME for a language model"),
        ("copy", {"variety": "egyptain"}, r"no engine knows the variety 'egyptain' .* Did you mean 'egyptian'\?"),
        ("copy", {"beams": 2}, r"'copy' has no setting 'beams' \(it has none\)"),
        (
            "a/b",
            {"quantisation": "int8"},
            r"no setting 'quantisation' \(it has quantization, threads, .* 'quantization'\?",
        ),
        ("a/b", {"quantization": "int4"}, r"quantization is one of auto, int8, .*got 'int4'"),
        ("a/b", {"threads": 0}, "threads: expected 1 or more, got 0"),
        ("lm:echo", {"beams": 2}, "model 'echo' has no setting 'beams'"),
    ],
)
def test_what_is_unknown_is_named_with_what_is_known(spec, settings, says):
    with pytest.raises(MashqError, match=says):
        open_engine(spec, **settings)


def test_every_variety_has_a_prompt_and_a_token_of_some_family():
    told = targets()["varieties"]
    assert varieties()[0] == "msa"
    assert all({"name", "prompt"} <= told[variety].keys() for variety in varieties())
    assert all(told[variety].get("marian") or told[variety].get("nllb") for variety in varieties())
    assert open_model("echo").identity == "echo"
