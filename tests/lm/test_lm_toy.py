import pytest

from mashq.lm import licence, load, weights
from mashq.lm.toy import TOYS, make
from mashq.lm.weights import ROUND_TRIP

pytest.importorskip("transformers")


@pytest.mark.parametrize("name", TOYS)
def test_a_toy_loads_and_gives_arabic_back(name, tmp_path, monkeypatch):
    import torch

    monkeypatch.setenv("MASHQ_CACHE", str(tmp_path))
    model, tokenizer = load(name, dtype="float32")
    for text in (*ROUND_TRIP, "chest pain؟ نعم 😀"):
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert tokenizer.decode(ids) == text
    assert len(tokenizer("صباح الخير", add_special_tokens=False).input_ids) == 10
    with torch.no_grad():
        found = model(input_ids=torch.tensor([ids])).logits
    assert found.shape == (1, len(ids), len(tokenizer))
    assert model.config.model_type == {"llama3": "llama", "gemma3": "gemma3_text"}.get(
        shape := name.split("-")[1], shape
    )
    assert licence(name) == "CC0-1.0"


def test_a_toy_is_the_same_wherever_it_is_made(tmp_path):
    for place in ("one", "two"):
        make("toy-bloom", tmp_path / place)
    one, two = ((tmp_path / place / "model.safetensors").read_bytes() for place in ("one", "two"))
    assert one == two


def test_toys_have_the_tokens_of_their_family_and_ids_to_match(tmp_path, monkeypatch):
    monkeypatch.setenv("MASHQ_CACHE", str(tmp_path))
    for name, begins, ends, pads in (
        ("toy-qwen2", None, "<|endoftext|>", "<|endoftext|>"),
        ("toy-llama3", "<|begin_of_text|>", "<|end_of_text|>", None),
        ("toy-gemma3", "<bos>", "<eos>", "<pad>"),
    ):
        model, tokenizer = load(name, dtype="float32")
        assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (begins, ends, pads)
        assert model.config.eos_token_id == tokenizer.eos_token_id
        assert model.config.vocab_size == len(tokenizer)


def test_llama3_has_its_head_apart_or_tied(tmp_path, monkeypatch):
    monkeypatch.setenv("MASHQ_CACHE", str(tmp_path))
    for name, tied in (("toy-llama3", False), ("toy-llama3-tied", True)):
        model, _ = load(name, dtype="float32")
        assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == tied
        assert model.config.rope_parameters["rope_theta"] == 500_000


def test_a_toys_name_is_offered_where_one_is_near():
    with pytest.raises(Exception, match="toy-mistral"):
        weights("toy-mistrl")
