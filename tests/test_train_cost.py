"""Counts of arithmetic and memory, held against what PyTorch itself counts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_models

from mashq import plan, steps
from mashq.lm import toy
from mashq.rows import MashqError
from mashq.run import Step, Store
from mashq.steps import StudentSettings
from mashq.train import cost as train_cost
from mashq.train import memory as train_memory
from mashq.train.cost import ModelFacts, Peak
from mashq.train.memory import GB, Memory, machine_memory, plan_memory
from mashq.train.settings import TrainSettings

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*fan_in_fan_out.*"),
]
LENGTH = 24


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_models.folder(tmp_path_factory.mktemp("student")))


def facts(**changes: Any) -> ModelFacts:
    known = {"parameters": 100, "trainable": 100, "embedding": 10, "matrices": 80, "adapters": 0, "head": 10}
    return ModelFacts(**{**known, "vocabulary": 5, "hidden": 2, "attention": ((4, None),), **changes})


# --- weights and FLOPs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2"])
def test_a_model_without_weights_has_the_facts_of_the_real_one(family: str) -> None:
    model = tiny_models.model(family)
    found = train_cost.model_facts(train_cost.skeleton(model.config, method="full"))
    assert found == train_cost.model_facts(model.requires_grad_(True))
    assert found.parameters == found.trainable == sum(p.numel() for p in model.parameters())
    assert found.head == model.get_output_embeddings().weight.numel()


def counted(model: Any) -> int:
    """FLOPs that PyTorch counts forward and back, its attention computing whole squares."""
    from torch.utils.flop_counter import FlopCounterMode

    model.config._attn_implementation = "eager"
    ids = torch.zeros((1, LENGTH), dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, use_cache=False).logits.sum().backward()
    return int(counter.get_total_flops())


def squares(found: ModelFacts) -> float:
    """What whole squares of attention cost more than what a token sees."""
    seen = sum(width * train_cost.keys_seen([LENGTH], window) for width, window in found.attention)
    return 12 * (sum(width for width, _ in found.attention) * LENGTH - seen)


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2"])
def test_full_training_costs_what_pytorch_counts(family: str) -> None:
    model = tiny_models.model(family).requires_grad_(True)
    found = train_cost.model_facts(model)
    a_token, a_target = train_cost.token_flops(found, [LENGTH])
    assert counted(model) == pytest.approx(LENGTH * (a_token + squares(found) + a_target), rel=1e-3)


def test_lora_costs_what_pytorch_counts_but_for_the_first_layers_input() -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(tiny_models.model("llama"), LoraConfig(r=4, target_modules="all-linear"))
    bare = train_cost.skeleton(tiny_models.model("llama").config, rank=4)
    assert train_cost.model_facts(model) == train_cost.model_facts(bare)
    found = train_cost.model_facts(model)
    a_token, a_target = train_cost.token_flops(found, [LENGTH])
    ours = LENGTH * (a_token + squares(found) + a_target)
    attention = model.get_base_model().model.layers[0].self_attn
    spared = [attention.q_proj, attention.k_proj, attention.v_proj]  # nothing below them is trained
    unneeded = sum(2 * (m.base_layer.weight.numel() + m.lora_A["default"].weight.numel()) for m in spared)
    assert counted(model) == pytest.approx(ours - LENGTH * unneeded, rel=1e-3)


def test_a_frozen_matrix_spares_a_third_and_recomputing_adds_a_forward_pass() -> None:
    full, lora = facts(attention=()), facts(attention=(), adapters=3)
    assert train_cost.token_flops(full, [9]) == (6 * 80, 6 * 10)
    assert train_cost.token_flops(lora, [9]) == (4 * 80 + 6 * 3, 4 * 10)
    assert train_cost.token_flops(full, [9], recompute=True)[0] == 8 * 80


def test_a_token_sees_half_its_row_and_no_more_than_the_window() -> None:
    assert train_cost.keys_seen([9]) == 5
    assert train_cost.keys_seen([9, 1]) == (45 + 1) / 10
    assert train_cost.keys_seen([9], window=1) == 1
    assert train_cost.keys_seen([4], window=3) == (1 + 2 + 3 + 3) / 4
    assert train_cost.keys_seen([4], window=4) == train_cost.keys_seen([4])
    with pytest.raises(MashqError, match="expected at least one token, got none"):
        train_cost.keys_seen([])


def test_windows_are_those_of_the_configuration() -> None:
    found = train_cost.facts_of({"model": "gemma3-270m"})
    assert found.parameters == 268_098_176  # the model card's 270M: 170 of embeddings, 100 of layers
    assert found.matrices == 100_270_080
    assert [window for _, window in found.attention].count(None) == 3


def test_the_embedded_models_facts_are_those_of_its_files() -> None:
    from mashq.lm.weights import cache

    folder = cache() / "models" / "gemma3-270m-bf16"
    if not folder.is_dir():
        pytest.skip("gemma3-270m is not unpacked here")
    assert train_cost.facts_of({"model": str(folder)}) == train_cost.facts_of({"model": "gemma3-270m"})


def test_a_mixture_of_experts_and_unknown_models_are_refused(tmp_path: Path) -> None:
    model = tiny_models.model("llama")
    model.config.num_local_experts = 8
    with pytest.raises(MashqError, match="mixture of experts"):
        train_cost.model_facts(model)
    with pytest.raises(MashqError, match=r"expected a folder with config\.json, got none"):
        train_cost.config_of(str(tmp_path))
    with pytest.raises(MashqError, match=r"its config\.json is neither in a folder here nor in"):
        train_cost.config_of("nobody/no-such-model")
    with pytest.raises(MashqError, match="lora_targets 'nothing'"):
        train_cost.facts_of({"model": "toy-llama", "lora_targets": "nothing"})


# --- peaks and speed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "precision", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989),
        ("NVIDIA H100 PCIe", "bf16", 756),
        ("NVIDIA H100 NVL", "bf16", 835),
        ("NVIDIA H200", "bf16", 989),
        ("NVIDIA A100-SXM4-80GB", "fp16", 312),
        ("NVIDIA L4", "bf16", 121),
        ("NVIDIA L40S", "bf16", 362),
        ("Tesla T4", "fp16", 65),
        ("Tesla V100-PCIE-16GB", "fp16", 112),
        ("NVIDIA GeForce RTX 4090", "bf16", 165.2),
    ],
)
def test_a_known_device_has_its_published_peak(device: str, precision: str, expected: float) -> None:
    found = train_cost.peak_of(device, precision)
    assert found is not None
    assert found.flops == expected * 1e12
    assert found.source.startswith("published: ")


@pytest.mark.parametrize(
    ("device", "precision"),
    [
        ("cpu", "bf16"),
        ("NVIDIA H100 80GB HBM3", "fp32"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "bf16"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "bf16"),
        ("NVIDIA A10G", "bf16"),
        ("", "bf16"),
    ],
)
def test_what_is_not_published_is_not_guessed(device: str, precision: str) -> None:
    assert train_cost.peak_of(device, precision) is None


def test_a_measured_peak_says_that_it_is_measured() -> None:
    found = train_cost.measured_peak("fp32", seconds=0.01)
    assert found.flops > 1e8
    assert found.source.startswith("measured: ")


def log(**changes: Any) -> list[dict[str, Any]]:
    line = {"loss": 1.0, "supervised_tokens": 10, "tokens": 40, "padded_tokens": 50, "seconds": 2.0}
    return [{**line, **changes}, {"eval_loss": 3.0, "step": 1}, {**line, **changes}]


def test_speed_is_tokens_and_needed_flops_a_second() -> None:
    found = train_cost.speed(log(), facts(attention=()), lengths=[20], peak=Peak(1e5, "measured: by hand"))
    assert (found.supervised_per_s, found.tokens_per_s, found.padded_per_s) == (5, 20, 25)
    needed = (6 * 80 * 80 + 6 * 10 * 20) / 4
    assert found.tflops == pytest.approx(needed / 1e12)
    assert found.mfu == pytest.approx(needed / 1e5)
    assert found.hardware_tflops == pytest.approx((6 * 80 * 100 + 6 * 10 * 20) / 4 / 1e12)
    assert "6 x 80 weights" in found.formula
    assert "MFU 9.9% of 1e-07 TFLOP/s" in "\n".join(found.lines())


def test_speed_without_a_peak_has_no_mfu_and_without_time_is_an_error() -> None:
    found = train_cost.speed(log(), facts(), lengths=[20], recompute=True)
    assert found.mfu is None
    assert "MFU not known" in "\n".join(found.lines())
    with pytest.raises(MashqError, match=r"expected steps that took time, got 2 steps, 0\.0 s"):
        train_cost.speed(log(seconds=0), facts(), lengths=[20])


def test_the_speed_of_a_finished_training_is_read_from_its_folder(student: str, tmp_path: Path) -> None:
    from mashq.train import train

    settings = TrainSettings(model=student, steps=2, rows_per_batch=2, rank=2, precision="fp32")
    out = train(settings, tiny_models.rows(4), tmp_path / "out")
    found = train_cost.speed_of(out)
    run = json.loads((out / "card.json").read_text())["run"]
    taken = [json.loads(text) for text in (out / "log.jsonl").read_text().splitlines()]
    assert found.seconds == pytest.approx(sum(line["seconds"] for line in taken if "loss" in line))
    assert found.tokens_per_s == pytest.approx(run["tokens"]["tokens"] / found.seconds)
    assert found.mfu is None  # a CPU's peak is not published
    with pytest.raises(MashqError, match=r"expected a finished train step, got no card\.json"):
        train_cost.speed_of(tmp_path)


# --- memory ----------------------------------------------------------------------------------------------------------


def quick(model: str, **changes: Any) -> TrainSettings:
    return TrainSettings(**{"model": model, "rows_per_batch": 4, "precision": "bf16", "max_tokens": 200, **changes})


def test_layers_of_a_kind_count_as_often_as_they_are_there() -> None:
    config = tiny_models.model("gemma3").config
    config.num_hidden_layers, config.layer_types = 12, ["sliding_attention", "full_attention", "full_attention"] * 4
    settings, shape = quick("none"), train_memory._Shape(4, 150, "bf16", False, False, False)
    held, _ = train_memory._activations(config, settings, shape)
    whole, _ = train_memory._run_without_numbers(train_memory._skeleton(config, settings), shape)
    assert held == whole


@pytest.mark.parametrize("name", ["toy-llama", "toy-gpt2", "toy-bloom"])
def test_activations_grow_with_rows_and_shrink_when_recomputed(name: str) -> None:
    one, two = (plan_memory(quick(name, rows_per_batch=n)) for n in (4, 8))
    assert two.parts["activations"] == pytest.approx(2 * one.parts["activations"], rel=0.05)
    again = plan_memory(quick(name, rows_per_batch=8, recompute=True))
    assert again.total < two.total


def test_what_is_kept_for_the_gradient_is_what_pytorch_keeps() -> None:
    """The same forward pass with numbers: the bytes of all that autograd saves."""
    model = tiny_models.model("llama").requires_grad_(True).train()
    kept: dict[int, Any] = {}
    own = {weight.untyped_storage().data_ptr() for weight in [*model.parameters(), *model.buffers()]}

    def save(tensor: Any) -> Any:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    from mashq import attention

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor), attention.in_blocks(model):
        model.model(input_ids=torch.zeros((3, 140), dtype=torch.long), use_cache=False)
    real = sum(storage.nbytes() for place, storage in kept.items() if place not in own)
    config = model.config
    config.dtype = torch.float32
    shape = train_memory._Shape(3, 140, "fp32", False, False, False)
    bare = train_cost.skeleton(config, method="full")
    foreseen, _ = train_memory._run_without_numbers(bare, shape)
    assert foreseen == pytest.approx(real, rel=0.05)


def test_methods_differ_as_they_must() -> None:
    lora, qlora, full = (plan_memory(quick("toy-llama", method=method)) for method in ("lora", "qlora", "full"))
    assert qlora.parts["weights"] < lora.parts["weights"] < full.parts["weights"]
    assert full.parts["weights"] == 4 * train_cost.facts_of({"model": "toy-llama"}).parameters
    assert full.parts["optimiser"] == 2 * full.parts["weights"]
    assert plan_memory(quick("toy-llama", method="full", optimiser="sgd")).parts["optimiser"] == 0


def test_rows_that_are_known_replace_the_longest_that_may_be() -> None:
    short = plan_memory(quick("toy-llama"), [10, 20, 30, 500])
    assert (short.rows, short.length) == (3, 30)
    assert plan_memory(quick("toy-llama", packing=True), [10, 20, 30]).length == 20
    assert plan_memory(quick("toy-llama")).length == 200
    with pytest.raises(MashqError, match="expected at least one of 1 to 200 tokens, got 1 others"):
        plan_memory(quick("toy-llama"), [500])


def test_too_little_memory_is_warned_of() -> None:
    fits = Memory({"weights": 8.9 * GB}, 8, 1024, "bf16", 10 * GB, "this machine")
    tight = Memory({"weights": 9.1 * GB}, 8, 1024, "bf16", 10 * GB, "this machine")
    assert fits.warning == ""
    assert fits.lines()[0].startswith("needs about 8.9 GB of 10.0 GB (this machine): weights 8.90")
    assert tight.lines()[-1].startswith("memory: 91% of what this machine has (limit 90%). Lower rows_per_batch")


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    assert machine_memory(False, tmp_path)[1] == "this machine"
    (tmp_path / "memory.max").write_text("max\n")
    assert machine_memory(False, tmp_path)[1] == "this machine"
    (tmp_path / "memory.max").write_text("1073741824\n")
    assert machine_memory(False, tmp_path) == (GB, "this container's limit")


def rows_of(job: Any) -> Any:
    yield tiny_models.rows(9, split=["train"] * 8 + ["test"])


def test_a_plan_says_the_memory_of_each_train_step(student: str, tmp_path: Path) -> None:
    rows = Step("learnt", rows_of, kind="stream")
    tuned = steps.train("tuned", {"learnt": rows}, StudentSettings(model=student), TrainSettings(max_tokens=64))
    store = Store(tmp_path)
    before = list(plan.trainings(store, [tuned]))
    assert before[0].startswith("tuned: needs about ")
    assert before[1] == f"  for 8 rows of 64 tokens in {train_memory.numbers('auto')}"
    assert before[-1].startswith("  its rows are not made yet")
    assert not list(tmp_path.iterdir())
    store.make(rows)
    after = list(plan.trainings(store, [tuned]))
    assert not after[-1].startswith("  its rows are not made yet")
    other = steps.train("other", {"learnt": rows}, StudentSettings(model="nobody/none"), TrainSettings())
    (said,) = plan.trainings(store, [other])
    assert said.startswith("other: memory not known: ")


@pytest.mark.slow
@pytest.mark.parametrize(("model", "rows"), [("toy-llama", 16), ("toy-gpt2", 8)])
def test_a_real_run_needs_what_was_foreseen(model: str, rows: int, tmp_path: Path) -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("only Linux tells a process's peak")
    program = f"""
import pathlib, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import tiny_models
from mashq.train import train
from mashq.train.settings import TrainSettings
turns = [[{{"role": "user", "content": "اكتب"}}, {{"role": "assistant", "content": "قصة " * 200}}]] * {rows}
settings = TrainSettings(model={model!r}, steps=2, rows_per_batch={rows})
train(settings, tiny_models.rows({rows}, messages=turns), pathlib.Path({str(tmp_path)!r}) / "out")
print([text.split()[1] for text in open("/proc/self/status") if text.startswith("VmHWM")][0])
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    needed = int(done.stdout.split()[-1]) * 1024
    length = 200 * 4 + len("user:\\nاكتب")
    foreseen = plan_memory(TrainSettings(model=model, rows_per_batch=rows), [length] * rows)
    assert foreseen.total == pytest.approx(needed, rel=0.2)


def test_every_toy_can_be_planned() -> None:
    for name in toy.TOYS:
        assert plan_memory(quick(name)).total > 0.5 * GB
