"""Ways of training beside the plain one: packing, 4 bits, DoRA, NEFTune, the best checkpoint, several processes."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from tiny_models import log_of, quick, weights_of

from mashq.rows import MashqError
from mashq.train import TrainSettings, train
from mashq.train.settings import check

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.folder(tmp_path_factory.mktemp("student"))


def losses_of(out: Path) -> list[float]:
    return [line["loss"] for line in log_of(out) if "loss" in line]


# --- packing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gemma3", "llama", "gpt2"])
def test_packed_rows_see_nothing_of_each_other(tmp_path: Path, family: str) -> None:
    """The same batches, one row after another: every step's loss is that of the rows apart, and no token is padding."""
    folder = tiny_models.folder(tmp_path / family, family)
    plain = train(quick(folder), tiny_models.rows(22), tmp_path / "plain")
    together = train(quick(folder, packing=True), tiny_models.rows(22), tmp_path / "packed")
    assert losses_of(together) == pytest.approx(losses_of(plain), abs=2e-5)
    for one, two in zip(log_of(plain), log_of(together), strict=True):
        assert two["padded_tokens"] == two["tokens"] == one["tokens"] <= one["padded_tokens"]
        assert two["supervised_tokens"] == one["supervised_tokens"]


def test_a_model_whose_rows_would_see_each_other_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MashqError, match=r"packing: bloom cannot keep rows .* apart: .*Set packing=false"):
        train(quick(Path("toy-bloom"), packing=True), tiny_models.rows(4), tmp_path / "out")


# --- adapters --------------------------------------------------------------------------------------------------------


def test_dora_and_noise_train_and_stand_in_the_adapter(student: Path, tmp_path: Path) -> None:
    plain = train(quick(student), tiny_models.rows(12), tmp_path / "plain")
    noisy = train(quick(student, neftune=5.0), tiny_models.rows(12), tmp_path / "noisy")
    dora = train(quick(student, dora=True), tiny_models.rows(12), tmp_path / "dora")
    assert losses_of(noisy)[0] != losses_of(plain)[0] and losses_of(dora)[-1] < losses_of(dora)[0] - 0.1
    assert json.loads((dora / "adapter" / "adapter_config.json").read_text())["use_dora"]


GRADIENTS = """
import sys
import torch
sys.path.insert(0, {tests!r})
import tiny_models
from mashq.train import TrainSettings
from mashq.train.loop import *
from mashq.train.start import Start
from mashq import targets
settings = TrainSettings(model={student!r}, method="qlora", rank=4, precision="bf16")
start = Start.of(settings, None)
model = start.model
with torch.no_grad():
    for name, value in model.named_parameters():
        if "lora_B" in name: value.normal_(std=0.05, generator=torch.Generator().manual_seed(len(name)))
ids = torch.arange(3, 43).reshape(2, 20); labels = ids.clone(); labels[:, :5] = -100
def gradients(model):
    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        targets.target_loss(model, ids, labels).backward()
    return {{n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}}
before = gradients(model)
with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
    model(input_ids=ids)
model.state_dict()
after = gradients(model)
assert all(torch.equal(before[n], after[n]) for n in before), "a forward without gradients changed them"
# The same weights, written out in full.
import bitsandbytes as bnb
from mashq.lm.weights import load
plain = Start.of(TrainSettings(model={student!r}, rank=4, precision="fp32"), None).model
own = dict(model.named_modules())
with torch.no_grad():
    for name, module in plain.named_modules():
        if name in own and isinstance(own[name], bnb.nn.Linear4bit):
            weight = own[name].weight
            module.weight.copy_(bnb.functional.dequantize_4bit(weight.data, weight.quant_state).float())
    for name, value in plain.named_parameters():
        if "lora" in name: value.copy_(dict(model.named_parameters())[name])
plain.zero_grad(); targets.target_loss(plain, ids, labels).backward()
for name, value in plain.named_parameters():
    if value.requires_grad:
        far = (value.grad - before[name]).norm() / value.grad.norm()
        assert far < 0.06, (name, float(far))
print("right")
"""


def test_gradients_through_four_bits_are_right_and_stay_right(student: Path) -> None:
    """Against the same weights written out in fp32; and after a forward pass without gradients, and a state_dict."""
    pytest.importorskip("bitsandbytes")
    script = GRADIENTS.format(tests=str(Path(__file__).parent), student=str(student))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "right", done.stderr[-2000:]


def test_four_bits_learn_and_go_on_to_the_same_bits(student: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    settings = quick(student, method="qlora", dropout=0.1)
    unbroken = train(settings, tiny_models.rows(12), tmp_path / "unbroken")
    assert losses_of(unbroken)[-1] < losses_of(unbroken)[0] - 0.1

    class Cut(Exception):
        pass

    def cut(line: Any) -> None:
        if line["step"] == 5:
            raise Cut

    with pytest.raises(Cut):
        train(settings, tiny_models.rows(12), tmp_path / "cut", on_step=cut)
    again = train(settings, tiny_models.rows(12), tmp_path / "cut")
    assert weights_of(again) == weights_of(unbroken) and losses_of(again) == losses_of(unbroken)
    assert (again / "adapter").is_dir() and json.loads((again / "card.json").read_text())["settings"][
        "method"
    ] == "qlora"


# --- when to stop ----------------------------------------------------------------------------------------------------


OVERFITTED: dict[str, Any] = {
    "method": "full",
    "lr_peak": 2e-3,
    "schedule": "constant",
    "warmup": 0,
    "rows_per_batch": 2,
}
OVERFITTED |= {"steps": 80, "evaluate_every": 2, "keep_best": True, "save_every": 5}


def others() -> Any:
    return tiny_models.rows(7, split="validation").slice(4)


def test_the_best_weights_are_kept_and_patience_ends(student: Path, tmp_path: Path) -> None:
    """Four rows learnt by heart: the loss over other rows falls, then rises; what is kept is its lowest point."""
    settings = quick(student, **OVERFITTED, patience=6)
    out = train(settings, tiny_models.rows(4), tmp_path / "out", validation=others())
    run = json.loads((out / "card.json").read_text())["run"]
    judged = {line["step"]: line["eval_loss"] for line in log_of(out) if "eval_loss" in line}
    best = min(judged, key=judged.__getitem__)
    assert run["best"] == {"step": best, "eval_loss": judged[best]}
    assert run["stopped_early"] and run["steps"] == best + 12 < 80
    plain = quick(student, **{**OVERFITTED, "steps": best, "keep_best": False})
    short = train(plain, tiny_models.rows(4), tmp_path / "short", validation=others())
    assert weights_of(out) == weights_of(short)


def test_the_best_survives_a_crash_and_a_move(student: Path, tmp_path: Path) -> None:
    settings = quick(student, **{**OVERFITTED, "steps": 40})
    unbroken = train(settings, tiny_models.rows(4), tmp_path / "unbroken", validation=others())

    class Cut(Exception):
        pass

    def cut(line: Any) -> None:
        if line["step"] == 37 and "loss" in line:
            raise Cut

    with pytest.raises(Cut):
        train(settings, tiny_models.rows(4), tmp_path / "cut", validation=others(), on_step=cut)
    (tmp_path / "cut").rename(tmp_path / "moved")
    again = train(settings, tiny_models.rows(4), tmp_path / "moved", validation=others())
    assert weights_of(again) == weights_of(unbroken)


# --- several processes -----------------------------------------------------------------------------------------------


def test_two_processes_take_the_steps_of_one_with_twice_the_batches(student: Path, tmp_path: Path) -> None:
    one = train(quick(student, accumulate=2), tiny_models.rows(16), tmp_path / "one")
    seen: list[Any] = []
    settings = quick(student, launch="ddp", processes=2)
    two = train(settings, tiny_models.rows(16), tmp_path / "two", on_step=seen.append)
    assert losses_of(two) == pytest.approx(losses_of(one), abs=1e-5)
    assert [x["supervised_tokens"] for x in log_of(two)] == [x["supervised_tokens"] for x in log_of(one)]
    assert seen == log_of(two)
    card = json.loads((two / "card.json").read_text())
    assert card["run"]["processes"] == 2 and (two / "adapter").is_dir() and not (two / "checkpoints").exists()
    assert train(settings, tiny_models.rows(16), tmp_path / "two") == two


def test_what_a_process_finds_wrong_is_told(student: Path, tmp_path: Path) -> None:
    with pytest.raises(MashqError, match=r"^train: rows: expected at least one to train on, got none \(3 long\)"):
        train(quick(student, max_tokens=5, launch="ddp", processes=2), tiny_models.rows(3), tmp_path / "out")


def test_the_shipped_launch_files_are_what_accelerate_reads() -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    from mashq.train.launch import SHIPPED, _configuration

    kinds = {name: str(load_config_from_file(str(_configuration(name))).distributed_type) for name in SHIPPED}
    assert [kinds[name].split(".")[-1] for name in SHIPPED] == ["MULTI_GPU", "FSDP", "DEEPSPEED"]
    with pytest.raises(MashqError, match="one of ddp, fsdp, deepspeed, or an accelerate configuration file"):
        _configuration("dpp")


# --- what a machine lacks --------------------------------------------------------------------------------------------

FULL = """
import resource, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
import tiny_models
import mashq.train as t
from mashq.rows import MashqError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
settings = t.TrainSettings(**{settings!r})
def limit(line):
    if line["step"] == 4:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    t.train(settings, tiny_models.rows(12), Path(sys.argv[1]), on_step=limit)
except MashqError as error:
    print(error)
"""


def test_a_full_disk_is_told_and_the_last_good_state_kept(student: Path, tmp_path: Path) -> None:
    """A real refusal of the system to write more, in a process of its own."""
    assert resource.RLIMIT_FSIZE
    settings = quick(student, rows_per_batch=2)
    unbroken = train(settings, tiny_models.rows(12), tmp_path / "unbroken")
    out = tmp_path / "full"
    script = FULL.format(tests=str(Path(__file__).parent), settings=vars(settings))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script, str(out)], capture_output=True, text=True)
    assert "the disk is full" in done.stdout and "The last good state is in" in done.stdout, done.stderr[-1500:]
    assert (out / "checkpoints" / "checkpoint-3" / "whole").exists() and not (out / "adapter").exists()
    assert weights_of(train(settings, tiny_models.rows(12), out)) == weights_of(unbroken)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"patience": 2}, "train: patience: expected evaluate_every above 0, got 0"),
        ({"keep_best": True}, "train: keep_best: expected evaluate_every above 0"),
        ({"processes": 2}, "train: processes: expected launch beside it, such as ddp, got none"),
        ({"neftune": -1.0}, "train: neftune: expected 0 or more"),
        ({"attention": "flash"}, "train: attention: expected one of sdpa, eager, flash_attention_2, got 'flash'"),
        ({"attention": "flash_attention_2"}, "needs the package flash-attn: pip install flash-attn"),
        ({"kernels": "liger"}, "needs the package liger-kernel"),
    ],
)
def test_settings_that_cannot_be_are_told(changes: dict[str, Any], text: str) -> None:
    import importlib.util

    for package in ("flash_attn", "liger_kernel"):
        if package.replace("_", "-") in text and importlib.util.find_spec(package):
            pytest.skip(f"{package} is installed")
    with pytest.raises(MashqError, match=text):
        check(TrainSettings(**changes))


def test_the_best_needs_validation_rows(student: Path, tmp_path: Path) -> None:
    with pytest.raises(MashqError, match="keep_best: expected rows of split validation, got none"):
        train(quick(student, keep_best=True, evaluate_every=1), tiny_models.rows(4), tmp_path / "out")
