from __future__ import annotations

import itertools
import json
import math
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from tiny_models import log_of, quick, weights_of

from mashq import attention, chat, targets
from mashq.rows import MashqError, replace
from mashq.train import train
from mashq.train.rows import Example, batch_of, bucketed, examples

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.folder(tmp_path_factory.mktemp("student"))


# --- rows ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny_models.tokenizer()


def test_a_row_whose_target_would_be_cut_is_refused_and_one_that_fits_is_kept(tokenizer: Any) -> None:
    table = tiny_models.rows(2)
    frame = chat.frame_for(tokenizer)
    whole, _ = examples(table, tokenizer, frame, max_tokens=1000)
    longest = max(len(e.ids) for e in whole)
    kept, refused = examples(table, tokenizer, frame, max_tokens=longest - 1)
    assert len(kept) == 1
    assert [r.reason for r in refused] == [f"long: {longest} tokens > {longest - 1}"]
    assert examples(table, tokenizer, frame, max_tokens=longest) == (whole, [])


def test_rows_without_a_target_are_refused_and_dropped_rows_passed_over(tokenizer: Any) -> None:
    table = replace(tiny_models.rows(3), references=[None, ["نعم"], ["نعم"]], dropped=[None, None, "short: 1"])
    kept, refused = examples(table, tokenizer, chat.frame_for(tokenizer), max_tokens=100)
    assert len(kept) == 1
    assert [r.reason for r in refused] == ["no target: no assistant turn at the end and no reference"]


def test_test_splits_are_for_reports(tokenizer: Any) -> None:
    with pytest.raises(MashqError, match="Test splits are for reports"):
        examples(tiny_models.rows(2, split="test"), tokenizer, chat.frame_for(tokenizer), max_tokens=100)


def test_only_the_last_turn_is_learnt_where_asked(tokenizer: Any) -> None:
    turns = [{"role": "user", "content": "أ"}, {"role": "assistant", "content": "ب"}, {"role": "user", "content": "ج"}]
    table = replace(tiny_models.rows(1), messages=[turns], references=[["د"]])
    frame = chat.frame_for(tokenizer)
    said = {}
    for supervise in ("all", "last"):
        (example,), _ = examples(table, tokenizer, frame, max_tokens=100, supervise=supervise)
        said[supervise] = tokenizer.decode([i for i in example.labels if i != targets.IGNORED])
    assert said == {"all": "ب<end_of_turn>د<end_of_turn>", "last": "د<end_of_turn>"}


def test_buckets_hold_like_lengths_longest_first_and_every_row_once() -> None:
    lengths = [random.Random(0).randrange(5, 500) for _ in range(203)]
    order = bucketed(lengths, 4, seed=0, epoch=0)
    assert sorted(order) == list(range(203))
    assert max(lengths[i] for i in order[:4]) == max(lengths)
    batches = [[lengths[i] for i in order[s : s + 4]] for s in range(0, 203, 4)]
    padded = sum(len(b) * max(b) for b in batches)
    assert padded < 1.1 * sum(lengths)
    assert order == bucketed(lengths, 4, seed=0, epoch=0)
    assert order != bucketed(lengths, 4, seed=0, epoch=1) != bucketed(lengths, 4, seed=1, epoch=0)


# --- the loss --------------------------------------------------------------------------------------------------------


def full_loss(model: Any, batch: dict[str, Any]) -> Any:
    """The loss as anyone would write it: all logits, then a masked sum."""
    mask = torch.zeros_like(batch["input_ids"])
    logits = model(input_ids=batch["input_ids"], attention_mask=torch.ones_like(mask)).logits[:, :-1]
    labels = batch["labels"][:, 1:]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="sum")


def some_batch(tokenizer: Any, count: int = 5) -> dict[str, Any]:
    made, _ = examples(tiny_models.rows(count), tokenizer, chat.frame_for(tokenizer), max_tokens=400)
    return batch_of(made, pad=0)


@pytest.mark.parametrize("family", ["gemma3", "llama", "gpt2"])
@pytest.mark.parametrize("frozen", [True, False], ids=["frozen head", "open head"])
def test_loss_and_gradients_equal_the_plain_ones(tokenizer: Any, family: str, frozen: bool) -> None:
    model = tiny_models.model(family, len(tokenizer))
    model.get_output_embeddings().weight.requires_grad_(not frozen)
    batch = some_batch(tokenizer)
    full_loss(model, batch).backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    with attention.in_blocks(model) as ours:
        assert ours is (family != "gpt2")
        loss = targets.target_loss(model, batch["input_ids"], batch["labels"])
        loss.backward()
    assert loss.item() == pytest.approx(full_loss(model, batch).item(), rel=1e-6)
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert set(found) == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5)


def test_a_capped_head_takes_the_long_way_and_is_right(tokenizer: Any) -> None:
    from transformers import AutoModelForCausalLM, Gemma2Config

    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, final_logit_softcapping=2.0,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    assert not targets.plain_head(model)
    batch = some_batch(tokenizer)
    loss = targets.target_loss(model, batch["input_ids"], batch["labels"])
    assert loss.item() == pytest.approx(full_loss(model, batch).item(), rel=1e-6)


def test_the_sparse_gradient_in_bf16_is_as_near_to_fp32_as_the_dense_one() -> None:
    torch.manual_seed(0)
    weight, hidden = torch.randn(3000, 32), torch.randn(200, 32) * 1.5
    wanted = torch.randint(0, 3000, (200,))
    _, exact = targets._loss_and_gradient(hidden, weight, None, wanted)
    half = hidden.bfloat16().requires_grad_()
    logits = (half @ weight.bfloat16().t()).float()
    torch.nn.functional.cross_entropy(logits, wanted, reduction="sum").backward()
    loss, ours = targets._loss_and_gradient(hidden.bfloat16(), weight.bfloat16(), None, wanted)
    dense_error = float((half.grad.float() - exact).norm() / exact.norm())
    assert float((ours - exact).norm() / exact.norm()) < 1.2 * dense_error < 0.02
    assert float(loss) == pytest.approx(
        torch.nn.functional.cross_entropy(logits, wanted, reduction="sum").item(), rel=2e-3
    )


@pytest.mark.parametrize("window", [None, 7, 130])
@pytest.mark.parametrize("length", [5, 128, 300])
def test_attention_in_blocks_equals_masked_attention(window: int | None, length: int) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, heads, length, 16, requires_grad=True) for heads in (4, 2, 2))
    here, there = torch.arange(length)[:, None], torch.arange(length)[None]
    seen = (there <= here) & (there > here - window if window else there <= here)
    wide = [t.repeat_interleave(2, 1) for t in (key, value)]
    expected = torch.nn.functional.scaled_dot_product_attention(query, *wide, attn_mask=seen, scale=0.3)
    found = attention.blocks(query, key, value, scale=0.3, window=window)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    signal_ = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(found, [query, key, value], signal_),
        torch.autograd.grad(expected, [query, key, value], signal_),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


# --- runs ------------------------------------------------------------------------------------------------------------


def test_every_step_equals_a_loop_written_by_hand(student: Path, tmp_path: Path) -> None:
    """Same start, same order: AdamW, clipped at 1, cosine after two steps of warm-up, all logits computed."""
    from mashq.train.start import Start

    settings = quick(student, accumulate=2)
    out = train(settings, tiny_models.rows(22), tmp_path / "out")
    start = Start.of(settings, None)
    model = start.model.train()
    made, _ = examples(tiny_models.rows(22), start.tokenizer, start.frame, max_tokens=1024)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=0.0, weight_decay=0.0)
    lengths = [len(e.ids) for e in made]
    losses, step, steps = [], 0, 6
    for epoch in range(2):
        order = bucketed(lengths, 4, 7, epoch)
        batches = [batch_of([made[i] for i in order[s : s + 4]], 0) for s in range(0, 22, 4)]
        for first in range(0, len(batches), 2):
            pair = batches[first : first + 2]
            count = sum(int((b["labels"][:, 1:] != -100).sum()) for b in pair)
            share = step / 2 if step < 2 else 0.5 * (1 + math.cos(math.pi * (step - 2) / (steps - 2)))
            for group in optimiser.param_groups:
                group["lr"] = 1e-2 * share
            loss = sum(full_loss(model, b) for b in pair) / count
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            optimiser.zero_grad()
            losses.append(loss.item())
            step += 1
    logged = log_of(out)
    assert [line["step"] for line in logged] == list(range(1, 7))
    assert [line["loss"] for line in logged] == pytest.approx(losses, abs=1e-5)
    assert losses[-1] < losses[0] - 0.1


def test_eight_batches_of_one_give_the_gradient_of_one_batch_of_eight(student: Path, tmp_path: Path) -> None:
    """With unequal numbers of targets: the mean of means would be wrong."""
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    gradients = []
    for rows_per_batch, accumulate in ((8, 1), (1, 8)):
        taken: list[Any] = []
        settings = quick(student, rows_per_batch=rows_per_batch, accumulate=accumulate, steps=1, clip=0.0, warmup=0)

        def keep(optimiser: Any, *_: Any, taken: list[Any] = taken) -> None:
            taken.append([p.grad.clone() for group in optimiser.param_groups for p in group["params"]])

        hook = register_optimizer_step_pre_hook(keep)
        try:
            train(settings, tiny_models.rows(8), tmp_path / str(accumulate))
        finally:
            hook.remove()
        gradients.append(taken[0])
    for one, eight in zip(*gradients, strict=True):
        torch.testing.assert_close(one, eight, rtol=1e-5, atol=1e-6)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
import tiny_models
import mashq.train as t
import mashq.train.loop as loop
moment, step, student, out = sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if moment == "saving":
    loop.seal = lambda path: die() if int(path.name.split("-")[1]) >= step else None
settings = t.TrainSettings(**{settings!r})
tell = lambda line: die() if moment == "step" and line["step"] == step else None
t.train(settings, tiny_models.rows(22), out, on_step=tell)
"""


@pytest.mark.parametrize(
    ("changes", "moment"),
    [
        ({"method": "lora"}, "step"),
        ({"method": "full", "lr_peak": 1e-3}, "step"),
        ({"packing": True, "new_tokens": 4, "neftune": 5.0}, "step"),
        pytest.param({"method": "full", "lr_peak": 1e-3, "packing": True}, "step", marks=pytest.mark.slow),
        pytest.param({"method": "lora"}, "saving", marks=pytest.mark.slow),
    ],
    ids=["lora", "full", "packed, new tokens, noise", "full, packed", "while saving"],
)
def test_killed_and_resumed_gives_the_same_bits(
    student: Path, tmp_path: Path, changes: dict[str, Any], moment: str
) -> None:
    # Dropout: the random state must come back too.
    settings = quick(student, **{"dropout": 0.1, "rows_per_batch": 2, "save_every": 2, **changes})
    unbroken = train(settings, tiny_models.rows(22), tmp_path / "unbroken")
    steps = log_of(unbroken)[-1]["step"]
    assert steps == 22
    out = tmp_path / "killed"
    step = random.randrange(3, steps - 1)
    script = KILLED.format(tests=str(Path(__file__).parent), settings=vars(settings))
    arguments = [moment, str(step), str(student), str(out)]
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script, *arguments], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not list(out.glob("*/*.safetensors")), "weights stand in place before the run has ended"
    train(settings, tiny_models.rows(22), out)
    assert weights_of(out) == weights_of(unbroken), f"killed {moment} {step}"
    assert [(x["step"], x["loss"]) for x in log_of(out)] == [(x["step"], x["loss"]) for x in log_of(unbroken)]
    assert not (out / "checkpoints").exists()


@pytest.mark.parametrize("method", ["lora", "full"])
def test_saved_weights_load_again_and_say_the_same(student: Path, tmp_path: Path, method: str) -> None:
    """The loss over validation rows at the end of training is that of the weights read back, to the last bit."""
    from mashq.lm.weights import load

    seen: list[Any] = []
    held = tiny_models.rows(4, split="validation")
    settings = quick(student, method=method, lr_peak=1e-2 if method == "lora" else 1e-3)
    out = train(settings, tiny_models.rows(12), tmp_path / "out", validation=held, on_step=seen.append)
    assert seen == log_of(out)
    model, tokenizer = load(str(student), out, "float32") if method == "lora" else load(str(out), dtype="float32")
    made, _ = examples(held, tokenizer, chat.frame_for(tokenizer), max_tokens=400)
    batch = batch_of(sorted(made, key=lambda e: -len(e.ids)), 0)
    with attention.in_blocks(model):
        nats = targets.target_nats(model, batch["input_ids"], batch["labels"])
    assert nats.sum().item() / len(nats) == seen[-1]["eval_loss"] < 0.9 * seen[0]["loss"]


def test_stages_follow_each_other_and_the_card_keeps_the_lineage(student: Path, tmp_path: Path) -> None:
    data = [{"name": "translated", "fingerprint": "ab12", "licences": {"MIT": 12}}]
    rows = tiny_models.rows(12)
    first = train(quick(student), rows, tmp_path / "one", data=data)
    second = train(quick(student, lr_peak=1e-6), rows, tmp_path / "two", init=first, data=[{"name": "synthetic"}])
    third = train(quick(student, method="full", lr_peak=1e-6), rows, tmp_path / "three", init=second)
    fourth = train(quick(student, lr_peak=1e-6), rows, tmp_path / "four", init=third)
    ends = [log_of(out) for out in (first, second, third, fourth)]
    for before, after in itertools.pairwise(ends):
        # the next stage begins where the last ended, not at the base model
        assert after[0]["loss"] < 0.9 * ends[0][0]["loss"]
        assert after[0]["loss"] == pytest.approx(before[-1]["loss"], rel=0.5)
    card = json.loads((fourth / "card.json").read_text())
    assert [stage["method"] for stage in card["lineage"]] == ["lora", "lora", "full", "lora"]
    assert [d["name"] for stage in card["lineage"] for d in stage["data"]] == ["translated", "synthetic"]
    assert "translated (fingerprint ab12); licences: MIT: 12 rows" in (first / "README.md").read_text()


def test_the_folder_holds_what_a_reader_needs(student: Path, tmp_path: Path) -> None:
    rows = tiny_models.rows(12)
    out = train(
        quick(student, max_tokens=38, evaluate_every=3),
        rows,
        tmp_path / "out",
        validation=tiny_models.rows(4, split="validation"),
    )
    card = json.loads((out / "card.json").read_text())
    refused = (out / "refused.jsonl").read_text().splitlines()
    assert card["rows"]["train"] + card["rows"]["validation"] + card["rows"]["refused"] == 16
    assert card["rows"]["refused"] == len(refused) == card["rows"]["reasons"]["long"] > 0
    assert card["base"]["licence"] == "LicenseRef-Gemma"
    assert "Gemma Terms of Use" in (out / "README.md").read_text()
    assert "Gemma Terms of Use" in (out / "adapter" / "NOTICE").read_text()
    svg = (out / "loss.svg").read_text()
    assert 'role="img" aria-label="Training loss over' in svg
    assert ">step</text>" in svg
    evaluated = [line for line in log_of(out) if "eval_loss" in line]
    assert [line["step"] for line in evaluated] == [3, *([] if card["run"]["steps"] == 3 else [card["run"]["steps"]])]
    assert card["run"]["eval_loss"] == evaluated[-1]["eval_loss"]
    assert card["run"]["tokens"]["tokens"] <= card["run"]["tokens"]["padded_tokens"]


def test_a_finished_folder_is_left_alone_and_another_runs_folder_refused(student: Path, tmp_path: Path) -> None:
    rows = tiny_models.rows(4)
    out = train(quick(student), rows, tmp_path / "out")
    before = (out / "card.json").stat().st_mtime_ns
    assert train(quick(student), rows, out) == out
    assert (out / "card.json").stat().st_mtime_ns == before
    with pytest.raises(MashqError, match=r"expected the run asked for, got another run \(different settings\)"):
        train(quick(student, lr_peak=1e-3), rows, out)
    with pytest.raises(MashqError, match=r"different rows"):
        train(quick(student), tiny_models.rows(5), out)


def test_recompute_gives_the_same_losses(student: Path, tmp_path: Path) -> None:
    plain = train(quick(student, steps=3), tiny_models.rows(12), tmp_path / "plain")
    again = train(quick(student, steps=3, recompute=True), tiny_models.rows(12), tmp_path / "again")
    assert [x["loss"] for x in log_of(again)] == pytest.approx([x["loss"] for x in log_of(plain)], abs=1e-6)


def test_bf16_learns_what_fp32_learns(student: Path, tmp_path: Path) -> None:
    plain = train(quick(student), tiny_models.rows(12), tmp_path / "plain")
    half = train(quick(student, precision="bf16"), tiny_models.rows(12), tmp_path / "half")
    assert [x["loss"] for x in log_of(half)] == pytest.approx([x["loss"] for x in log_of(plain)], rel=0.03)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_other_families_train(tmp_path: Path, family: str) -> None:
    folder = tiny_models.folder(tmp_path / family, family)
    out = train(quick(folder, epochs=4), tiny_models.rows(12), tmp_path / "out")
    losses = [line["loss"] for line in log_of(out)]
    assert losses[-1] < losses[0] - 0.3
    assert json.loads((out / "card.json").read_text())["licence"] == "unknown"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"method": "lorra"}, "train: method: expected one of lora, qlora, full, got 'lorra'. Did you mean 'lora'"),
        ({"precision": "fp8"}, "train: precision: expected one of auto, bf16, fp16, fp32"),
        ({"rank": 0}, "train: rank: expected 1 or more, got 0"),
        ({"epochs": 0}, "train: steps, epochs: expected one of them above 0"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_loaded(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(MashqError, match=text):
        train(quick(Path("/nowhere"), **changes), tiny_models.rows(2), tmp_path / "out")


def test_no_rows_left_says_why(student: Path, tmp_path: Path) -> None:
    with pytest.raises(MashqError, match=r"expected at least one to train on, got none \(3 long\)"):
        train(quick(student, max_tokens=5), tiny_models.rows(3), tmp_path / "out")


def test_a_loss_that_is_no_number_stops_the_run(student: Path, tmp_path: Path) -> None:
    with pytest.raises(MashqError, match=r"the loss of step \d+ is (nan|inf).*Lower lr_peak"):
        train(quick(student, method="full", lr_peak=1e30, warmup=0, clip=0.0), tiny_models.rows(12), tmp_path / "out")


def test_examples_are_told_by_their_rows_ids(tokenizer: Any) -> None:
    table = tiny_models.rows(2)
    made, _ = examples(table, tokenizer, chat.frame_for(tokenizer), max_tokens=400)
    assert [e.row for e in made] == [i.hex() for i in table.column("id").to_pylist()]
    assert all(isinstance(e, Example) for e in made)
