"""New tokens: old texts keep their ids, words of the rows take fewer, their vectors are learnt and come back."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import tiny_models

from mashq import vocabulary
from mashq.rows import MashqError
from mashq.train import TrainSettings, train

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

TEXTS = ["المُعَلِّمُونَ يشرحون المسألة، والمسألة سهلة.", "يشرحون المسألة مرة ثانية.", "hello hello hello"] * 2


def test_old_texts_keep_their_ids_and_words_of_the_rows_take_fewer() -> None:
    before = tiny_models.tokenizer()
    merges = vocabulary.learnt_merges(before, TEXTS, 8)
    after = vocabulary.extended(before, merges)
    assert vocabulary.added(after) == list(range(len(before), len(before) + 8)) and vocabulary.added(before) == []
    for text in ("عاصمة المغرب", "Once upon a time", "<eos>"):
        assert after(text)["input_ids"] == before(text)["input_ids"]
    text = TEXTS[0]
    assert len(after(text)["input_ids"]) < 0.8 * len(before(text)["input_ids"])
    assert after.decode(after(text)["input_ids"]) == text
    assert not any("hello" in "".join(merge) for merge in merges)  # Latin words are left to the tokenizer's maker


def test_merges_equal_those_of_counting_anew_each_time() -> None:
    """Against the plain algorithm: count all pairs, merge the most frequent, count again."""
    tokenizer = tiny_models.tokenizer()
    words = vocabulary._words(tokenizer, TEXTS)
    held = {word: list(word) for word in words}
    expected = []
    for _ in range(12):
        pairs: dict[Any, int] = {}
        for word, tokens in held.items():
            for pair in itertools.pairwise(tokens):
                pairs[pair] = pairs.get(pair, 0) + words[word]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        expected.append(best)
        held = {word: vocabulary._merged(tokens, best) for word, tokens in held.items()}
    assert vocabulary.learnt_merges(tokenizer, TEXTS, 12) == expected


def test_a_new_vector_is_the_mean_of_what_it_stands_for() -> None:
    before = tiny_models.tokenizer()
    merges = vocabulary.learnt_merges(before, TEXTS, 6)
    after = vocabulary.extended(before, merges)
    model = tiny_models.model("llama", len(before))
    old = model.get_input_embeddings().weight.detach().clone()
    vocabulary.grow(model, after, merges)
    new = model.get_input_embeddings().weight
    assert torch.equal(new[: len(before)], old) and len(new) == len(after)
    ours, theirs = (one(TEXTS[0], return_offsets_mapping=True) for one in (after, before))
    told = 0
    for token, (start, end) in zip(ours["input_ids"], ours["offset_mapping"], strict=True):
        if token >= len(before) and "\N{REPLACEMENT CHARACTER}" not in after.decode([token]):  # whole letters
            inside = zip(theirs["input_ids"], theirs["offset_mapping"], strict=True)
            parts = [part for part, (first, last) in inside if start <= first and last <= end]
            torch.testing.assert_close(new[token], old[parts].mean(0))
            told += 1
    assert told >= 3


@pytest.mark.parametrize("family", ["gemma3", "gpt2", "llama"])  # vectors shared with the output layer, and not
def test_new_tokens_are_learnt_kept_and_used_when_asked(tmp_path: Path, family: str) -> None:
    from mashq.generate import load_student

    folder = tiny_models.folder(tmp_path / family, family)
    settings = TrainSettings(
        model=str(folder), rank=4, rows_per_batch=4, lr_peak=1e-2, epochs=2, precision="fp32", new_tokens=5
    )
    out = train(settings, tiny_models.rows(12), tmp_path / "out")
    losses = [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]
    asked = load_student(str(folder), out, dtype="float32")
    fresh = vocabulary.added(asked.tokenizer)
    assert len(fresh) == 5
    again = train(settings, tiny_models.rows(12), tmp_path / "again")
    assert (again / "adapter" / "adapter_model.safetensors").read_bytes() == (
        out / "adapter" / "adapter_model.safetensors"
    ).read_bytes()
    second = train(settings, tiny_models.rows(12), tmp_path / "second", init=out)
    assert vocabulary.added(load_student(str(folder), second, dtype="float32").tokenizer) == fresh
    first = json.loads((second / "log.jsonl").read_text().splitlines()[0])["loss"]
    assert first < losses[0]  # it goes on from what the first stage learnt


def test_full_training_keeps_the_new_tokens_too(tmp_path: Path) -> None:
    from mashq.generate import load_student

    folder = tiny_models.folder(tmp_path / "student")
    settings = TrainSettings(model=str(folder), method="full", rows_per_batch=4, precision="fp32", new_tokens=5)
    out = train(settings, tiny_models.rows(12), tmp_path / "out")
    asked = load_student(str(out), dtype="float32")
    assert len(vocabulary.added(asked.tokenizer)) == 5
    assert asked.model.get_input_embeddings().weight.shape[0] == len(asked.tokenizer)


def test_a_tokenizer_that_merges_no_pairs_is_told() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    unigram = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.Unigram([("<unk>", 0.0)], unk_id=0)))
    with pytest.raises(MashqError, match=r"new_tokens: expected a tokenizer that merges pairs \(BPE\), got Unigram"):
        vocabulary.learnt_merges(unigram, TEXTS, 3)
