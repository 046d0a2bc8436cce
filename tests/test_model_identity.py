"""What is noted of a model: one hash for one tokenizer, and the conversation exactly as the model sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_models

from mashq import chat
from mashq.lm.weights import fingerprint, weights
from mashq.model_identity import SAMPLE, file_tokenizer_hash, note_of, through, tokenizer_hash
from mashq.rows import MashqError

torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
ATTACK = '<script>document.title="run"</script>'
OVERRIDE = "\N{RIGHT-TO-LEFT OVERRIDE}"


def text_of(told: dict[str, Any]) -> str:
    return "".join(piece["text"] for piece in told["pieces"])


def loaded(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("spec", ["toy-qwen3", "toy-llama3", "toy-gpt2"])
def test_hash_is_the_same_after_use_saving_and_loading_elsewhere(tmp_path, spec):
    made = loaded(weights(spec))
    first = tokenizer_hash(made)
    made(["كلمة", "كلمات كثيرة جدًا"], padding=bool(made.pad_token), truncation=True, max_length=3)
    assert tokenizer_hash(made) == first
    for folder in (tmp_path / "one", tmp_path / "two"):
        made.save_pretrained(folder)
        made = loaded(folder)
        assert tokenizer_hash(made) == file_tokenizer_hash(folder / "tokenizer.json") == first
    assert len(first) == 32 and int(first, 16)


def test_other_tokenizers_and_one_with_a_token_more_have_other_hashes():
    made = {spec: loaded(weights(spec)) for spec in ("toy-qwen3", "toy-llama3", "toy-gpt2")}
    hashes = {tokenizer_hash(one) for one in made.values()}
    made["toy-gpt2"].add_tokens(["قصيدة"])
    hashes.add(tokenizer_hash(made["toy-gpt2"]))
    assert len(hashes) == 4


def test_a_chat_template_is_no_part_of_the_tokenizers_hash():
    plain, chatting = tiny_models.tokenizer(), tiny_models.tokenizer(template=tiny_models.CHATML)
    assert tokenizer_hash(plain) == tokenizer_hash(chatting)


def test_a_tokenizer_written_in_python_has_a_hash_too(tmp_path):
    made = transformers.ByT5Tokenizer()
    made.save_pretrained(tmp_path)
    again = transformers.ByT5Tokenizer.from_pretrained(tmp_path)
    assert tokenizer_hash(made) == tokenizer_hash(again)
    assert tokenizer_hash(made) != tokenizer_hash(transformers.ByT5Tokenizer(extra_ids=3))


def test_a_file_that_is_no_tokenizer_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"a": 1}', "utf-8")
    with pytest.raises(MashqError, match=r"tokenizer\.json: expected a tokenizer as JSON, got"):
        file_tokenizer_hash(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("name", ["gemma", "chatml", "plain", "llama2", "jais-ar"])
def test_pieces_joined_are_the_text_of_the_ids_that_the_model_is_given(name):
    made = tiny_models.tokenizer()
    frame = chat.frame_for(made, name)
    told = through(made, frame)
    ids = chat.prompt_ids(SAMPLE, made, frame)
    assert text_of(told) == made.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    assert all(turn["content"] in text_of(told) for turn in SAMPLE)
    special = [piece["text"] for piece in told["pieces"] if piece["special"]]
    assert special == [token for token in made.convert_ids_to_tokens(ids) if token in made.all_special_tokens]
    assert (told["frame"], told["template"], told["why_not"]) == (name, "", "")
    assert (told["tokens"], told["tokenizer"]) == (len(made), tokenizer_hash(made))


def test_gemmas_frame_is_told_to_the_letter():
    made = tiny_models.tokenizer()
    seen = text_of(through(made, chat.frame_for(made, "gemma")))
    assert seen == (
        "<bos><start_of_turn>user\nما عاصمة مصر؟<end_of_turn>\n<start_of_turn>model\nالقاهرة.<end_of_turn>\n"
        "<start_of_turn>user\nوعاصمة المغرب؟<end_of_turn>\n<start_of_turn>model\n"
    )


def test_a_template_of_its_own_is_told_with_its_source_whatever_it_holds():
    source = ATTACK + OVERRIDE + tiny_models.CHATML
    made = tiny_models.tokenizer(template=source)
    told = through(made, chat.frame_for(made))
    assert told["frame"] == "template" and told["template"] == source
    assert text_of(told).startswith(ATTACK + OVERRIDE + "<|im_start|>user\n")


def test_a_template_that_takes_no_answered_turn_shows_the_first_and_one_that_takes_none_says_why():
    refuse = "{{ raise_exception('one turn') }}"
    once = "{% if messages | length > 1 %}" + refuse + "{% endif %}" + tiny_models.CHATML
    made = tiny_models.tokenizer(template=once)
    assert (
        text_of(through(made, chat.frame_for(made)))
        == "<|im_start|>user\nما عاصمة مصر؟<|im_end|>\n<|im_start|>assistant\n"
    )
    made = tiny_models.tokenizer(template=refuse)
    told = through(made, chat.frame_for(made))
    assert told["pieces"] == [] and "refuses the turns [user]: one turn" in told["why_not"]


def test_a_door_is_named_and_nothing_is_made_up_about_what_is_behind_it(tmp_path):
    from mashq.generate import opened

    script = tmp_path / "said.jsonl"
    script.write_text('"نعم"\n', "utf-8")
    far = "https://127.0.0.1:9/v1#name"
    found = [note_of(opened(spec), spec) for spec in (far, "echo", f"scripted:{script}")]
    assert found == [{"door": "http"}, {"door": "echo"}, {"door": "scripted"}]


def test_a_student_is_noted_with_the_hash_of_its_weights(tmp_path):
    from mashq.generate import opened

    folder = tiny_models.folder(tmp_path)
    asked = opened(str(folder), dtype="float32")
    told = note_of(asked, str(folder))
    assert told["weights"] == fingerprint(folder)
    assert told["device"] == ("cpu" if asked.model.device.type == "cpu" else torch.cuda.get_device_name())
    assert {**told, **through(asked.tokenizer, asked.frame)} == told
