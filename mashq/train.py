"""Train a student on rows: full or LoRA, one stage after another, with the lineage kept.

The loop is Transformers' Trainer, the adapters are PEFT's. What is ours stands around them: rows become ids and labels
in `chat`, a row that does not fit is refused with a reason and never cut, the loss is computed at supervised tokens
only and weighted by them across accumulated batches, batches hold rows of like length with the longest first (memory
fails at once, or never), and a killed run goes on to the same bits on CPU.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mashq import attention, chat, targets, train_card
from mashq.rows import MashqError, expected_got, nearest
from mashq.train_rows import Example, batch_of, bucketed, examples, hash_of, reasons, table_of

if TYPE_CHECKING:
    import torch

__all__ = ["TrainSettings", "train"]

METHODS = ("lora", "full")
PRECISIONS = ("auto", "bf16", "fp16", "fp32")
SUPERVISE = ("all", "last")
Step = Mapping[str, float | int]


@dataclass(frozen=True)
class TrainSettings:
    """How a student is trained. Defaults are ours, chosen on Gemma 3 270M with 2 CPU cores; see each field."""

    model: str = "gemma3-270m"  # embedded name, local folder or hub name
    frame: str = ""  # chat frame (chat.FRAMES); "" = the tokenizer's own template, else the first of ours that fits
    method: str = "lora"  # lora | full
    rank: int = 8  # LoRA rank
    alpha: int = 16  # LoRA scale is alpha / rank (alpha / sqrt(rank) where rslora)
    dropout: float = 0.0  # LoRA dropout, 0..1
    lora_targets: str = "all-linear"  # PEFT's target_modules: all-linear, or module names parted by commas
    rslora: bool = False  # rank-stabilised scale (Kalajdzievski 2023, arXiv 2312.03732)
    lr_peak: float = 2e-4  # learning rate after warm-up; for `full` take about a tenth
    warmup: float = 0.05  # share of all steps below 1, else a number of steps (paper 3: 200)
    schedule: str = "cosine"  # any name Transformers knows: cosine, linear, constant_with_warmup ...
    weight_decay: float = 0.0
    clip: float = 1.0  # largest norm of the gradient; 0 = no limit
    epochs: float = 1.0  # passes over the rows; ignored where steps > 0
    steps: int = 0  # optimiser steps; 0 = as epochs say
    rows_per_batch: int = 8  # rows a device holds at a time (paper 3: batch 8); 8 of 750 tokens take 7.6 GB, 4 take 4.8
    accumulate: int = 1  # batches a step
    max_tokens: int = 1024  # longest row in tokens; a longer one is refused
    supervise: str = "all"  # all | last: which assistant turns of a conversation are learnt
    precision: str = "auto"  # auto | bf16 | fp16 | fp32; auto = bf16 where the machine computes in it, else fp32
    recompute: bool = False  # gradient checkpointing: about a third slower, activations of one layer at a time
    save_every: int = 50  # steps between checkpoints: what a crash can cost
    evaluate_every: int = 0  # steps between validation losses; 0 = at the end only
    seed: int = 0


# --- training --------------------------------------------------------------------------------------------------------


def train(
    settings: TrainSettings,
    rows: pa.Table | Path | Sequence[Path],
    out: Path,
    *,
    validation: pa.Table | Path | Sequence[Path] | None = None,
    init: Path | None = None,
    data: Sequence[Mapping[str, Any]] = (),
    on_step: Callable[[Step], None] | None = None,
) -> Path:
    """Train and leave in `out`: adapter/ or model/, log.jsonl, loss.svg, card.json, README.md, refused.jsonl.

    `rows`, `validation`: tables of rows, Parquet files or folders of them. `init`: the folder of an earlier stage,
    whose adapter or model is trained on. `data`: what the card says of the rows ({"name", "fingerprint", "licences"},
    ...). `on_step` gets every line of the log. Called again on a folder that a crash left, it goes on from the last
    checkpoint; on a finished folder it returns at once. The weights are put in place last, whole.

    Raises MashqError for wrong settings, rows of a test split, no rows left, another run's folder, a loss that is not a
    number.
    """
    _check(settings)
    out.mkdir(parents=True, exist_ok=True)
    started = time.time()
    with _quiet():
        start = _Start.of(settings, init)
        tokenizer, frame = start.tokenizer, start.frame
        made = functools.partial(
            examples, tokenizer=tokenizer, frame=frame, max_tokens=settings.max_tokens, supervise=settings.supervise
        )
        learn, refused = made(table_of(rows))
        held, held_refused = ([], []) if validation is None else made(table_of(validation))
        if not learn:
            counts = ", ".join(f"{n} {kind}" for kind, n in reasons(refused).items()) or "there were none"
            raise MashqError(
                expected_got(
                    "train: rows", "at least one to train on", f"none ({counts})", "See max_tokens and references."
                )
            )
        plan = {
            "settings": dataclasses.asdict(settings),
            "rows": hash_of(learn),
            "validation": hash_of(held),
            "init": start.name,
        }
        if _finished(out, plan, settings.method):
            return out
        _write_lines(out / "refused.jsonl", [dataclasses.asdict(r) for r in [*refused, *held_refused]])
        run = _Run(settings, start, learn, held, out, on_step)
        result = run.go()
        partial = _save(run.model, tokenizer, settings, out)
        card = train_card.card(
            settings=dataclasses.asdict(settings),
            frame=frame.name,
            base=start.base,
            previous=start.card,
            data=[dict(d) for d in data],
            rows={
                "train": len(learn),
                "validation": len(held),
                "refused": len(refused) + len(held_refused),
                "reasons": reasons([*refused, *held_refused]),
            },
            run={**result, "this_process_s": round(time.time() - started, 1)},
            weights=partial,
        )
    train_card.write(out, card, partial)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return out


def _check(settings: TrainSettings) -> None:
    for name, known in (("method", METHODS), ("precision", PRECISIONS), ("supervise", SUPERVISE)):
        value = getattr(settings, name)
        if value not in known:
            raise MashqError(
                expected_got(
                    f"train: {name}", f"one of {', '.join(known)}", f"'{value}'", nearest(value, known).strip()
                )
            )
    for name in ("rank", "rows_per_batch", "accumulate", "max_tokens", "save_every"):
        if getattr(settings, name) < 1:
            raise MashqError(expected_got(f"train: {name}", "1 or more", str(getattr(settings, name))))
    if settings.steps <= 0 and settings.epochs <= 0:
        raise MashqError(
            expected_got("train: steps, epochs", "one of them above 0", f"{settings.steps}, {settings.epochs}")
        )


def _write_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def _finished(out: Path, plan: Mapping[str, Any], method: str) -> bool:
    """Whether the folder holds this very run, finished; a folder of another run is refused."""
    path = out / "plan.json"
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != plan:
            changed = ", ".join(sorted(k for k in plan if found.get(k) != plan[k]))
            raise MashqError(
                expected_got(f"train: folder {out}", "the run asked for", f"another run (different {changed})")
                + " Choose another folder, or delete this one."
            )
        return (out / _weights_folder(method)).is_dir()
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(plan, ensure_ascii=False, indent=1), encoding="utf-8")
    partial.replace(path)
    return False


def _weights_folder(method: str) -> str:
    return "adapter" if method == "lora" else "model"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the libraries below say of each other; none of it is about the user's run."""
    from mashq.lm.weights import quiet

    with quiet(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")  # peft 0.21 on transformers 5
        warnings.filterwarnings("ignore", message=".*fan_in_fan_out.*")  # peft sets it right for GPT-2 by itself
        warnings.filterwarnings("ignore", message=".*pin_memory.*")
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft|accelerate|torch).*")
        yield


# --- what a stage starts from ----------------------------------------------------------------------------------------


@dataclass
class _Start:
    """The model to train, its tokenizer and frame, and what came before."""

    model: Any
    tokenizer: Any
    frame: chat.Frame
    base: dict[str, Any]
    card: dict[str, Any] | None
    name: str
    precision: str

    @classmethod
    def of(cls, settings: TrainSettings, init: Path | None) -> _Start:
        """Load the base, or the earlier stage's model, and put the adapter on it."""
        from transformers import set_seed

        from mashq.lm.weights import load

        set_seed(settings.seed)
        previous = None if init is None else _previous(init, settings)
        precision = _precision(settings.precision)
        # Full training keeps its weights in fp32 and computes in bf16; a frozen base needs no more than bf16.
        half = settings.method == "lora" and precision != "fp32"
        dtype = {"bf16": "bfloat16", "fp16": "float16"}[precision] if half else "float32"
        folder = init / "model" if init is not None and (init / "model").is_dir() else None
        model, tokenizer = load(str(folder) if folder else settings.model, dtype=dtype)
        adapter = init / "adapter" if init is not None and (init / "adapter").is_dir() else None
        base = train_card.base(settings.model, model)
        model = _with_adapter(model, settings, adapter)
        model.config.use_cache = False
        name = "" if previous is None else str(previous["weights"])
        return cls(model, tokenizer, chat.frame_for(tokenizer, settings.frame), base, previous, name, precision)


def _previous(init: Path, settings: TrainSettings) -> dict[str, Any]:
    try:
        card = json.loads((init / "card.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MashqError(
            expected_got(f"train: init {init}", "the folder of a finished stage", "no card.json in it")
        ) from error
    if card["settings"]["model"] != settings.model:
        raise MashqError(
            expected_got(f"train: init {init}", f"a stage of {settings.model}", f"one of {card['settings']['model']}")
        )
    if card["settings"]["method"] == "lora" and settings.method == "lora" and card["settings"]["rank"] != settings.rank:
        raise MashqError(
            expected_got("train: rank", f"{card['settings']['rank']}, as in the stage before", str(settings.rank))
        )
    return dict(card)


def _with_adapter(model: Any, settings: TrainSettings, adapter: Path | None) -> Any:
    from peft import LoraConfig, PeftModel, get_peft_model

    if settings.method == "full":
        if adapter is not None:
            model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
        return model.requires_grad_(True)
    if adapter is not None:
        return PeftModel.from_pretrained(model, str(adapter), is_trainable=True)
    wanted: str | list[str] = settings.lora_targets
    if wanted != "all-linear":
        wanted = [name.strip() for name in settings.lora_targets.split(",")]
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=wanted,
        use_rslora=settings.rslora,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _precision(wanted: str) -> str:
    import torch

    gpu = torch.cuda.is_available()
    if wanted == "fp16" and not gpu:
        raise MashqError(expected_got("train: precision fp16", "a GPU", "none", "Use bf16, fp32 or auto on CPU."))
    if wanted != "auto":
        return wanted
    if gpu:
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    # Without these instructions bf16 on CPU is emulated and slower than fp32.
    able = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if able else "fp32"


# --- the run ---------------------------------------------------------------------------------------------------------


class _Run:
    """One stage: the Trainer, what it logs, and where it goes on after a crash."""

    def __init__(
        self,
        settings: TrainSettings,
        start: _Start,
        learn: Sequence[Example],
        held: Sequence[Example],
        out: Path,
        on_step: Callable[[Step], None] | None,
    ):
        self.settings, self.model, self.out = settings, start.model, out
        self.learn, self.held, self.on_step = learn, held, on_step
        self.precision = start.precision
        self.pad = start.tokenizer.pad_token_id if start.tokenizer.pad_token_id is not None else 0
        self.trainer = _trainer(self)

    def go(self) -> dict[str, Any]:
        """Train to the end; -> what the card says of it."""
        checkpoint = _last_checkpoint(self.out / "checkpoints")
        _rewind(self.out / "log.jsonl", 0 if checkpoint is None else _step_of(checkpoint))
        self._keep_adapter_inputs_narrow()
        with attention.in_blocks(self.model):
            self.trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        steps = self.trainer.state.global_step
        lines = [json.loads(line) for line in (self.out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        if self.held and not (lines and "eval_loss" in lines[-1]):
            lines.append(self.evaluate(steps))
        taken = [line for line in lines if "loss" in line]
        return {
            "steps": steps,
            "epochs": round(float(self.trainer.state.epoch or 0), 4),
            "seconds": round(sum(line["seconds"] for line in taken), 1),
            "tokens": {
                kind: sum(line[kind] for line in taken) for kind in ("supervised_tokens", "tokens", "padded_tokens")
            },
            "first_loss": taken[0]["loss"],
            "last_loss": sum(line["loss"] for line in taken[-10:]) / len(taken[-10:]),
            "eval_loss": next((line["eval_loss"] for line in reversed(lines) if "eval_loss" in line), None),
            "precision": self.precision,
            "trainable_parameters": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
        }

    def _keep_adapter_inputs_narrow(self) -> None:
        # Under autocast the adapter's input need not be widened to the fp32 of its weights and narrowed again.
        if self.precision != "fp32":
            for module in self.model.modules():
                if hasattr(module, "lora_A"):
                    module.cast_input_dtype_enabled = False

    def evaluate(self, step: int) -> dict[str, Any]:
        """The mean loss over the validation rows in nats a supervised token, written to the log."""
        import torch

        self.model.eval()
        nats, count = 0.0, 0
        order = sorted(range(len(self.held)), key=lambda i: -len(self.held[i].ids))
        size = self.settings.rows_per_batch
        device = next(self.model.parameters()).device
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        with torch.autocast(device.type, dtype=half, enabled=half is not None):
            for start in range(0, len(order), size):
                batch = batch_of([self.held[i] for i in order[start : start + size]], self.pad)
                found = targets.target_nats(self.model, batch["input_ids"].to(device), batch["labels"].to(device))
                nats, count = nats + float(found.sum()), count + len(found)
        self.model.train()
        line = {"step": step, "eval_loss": nats / count, "eval_tokens": count}
        self.log(line)
        return line

    def log(self, line: Mapping[str, Any]) -> None:
        """Append to log.jsonl and tell the caller."""
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self.on_step is not None:
            self.on_step(line)


def _trainer(run: _Run) -> Any:
    """Transformers' Trainer with our loss, our order of rows and our log."""
    import torch
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    settings, learn = run.settings, run.learn
    lengths = [len(e.ids) for e in learn]

    class Order(torch.utils.data.Sampler):
        epoch = 0

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

        def __len__(self) -> int:
            return len(lengths)

        def __iter__(self) -> Iterator[int]:
            return iter(bucketed(lengths, settings.rows_per_batch, settings.seed, self.epoch))

    class Tutor(Trainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return Order()

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(run.precision)
            device = inputs["input_ids"].device.type
            with torch.autocast(device, dtype=half, enabled=half is not None):
                total = targets.target_loss(model, inputs["input_ids"], inputs["labels"])
            # Every supervised token of the step weighs the same, whatever batch it came in.
            loss = total / num_items_in_batch
            log.add(inputs, float(loss.detach()))
            return loss

    class Log(TrainerCallback):
        def __init__(self) -> None:
            self.fresh()

        def fresh(self) -> None:
            self.loss, self.supervised, self.tokens, self.padded, self.at = 0.0, 0, 0, 0, time.monotonic()

        def add(self, inputs: Mapping[str, torch.Tensor], loss: float) -> None:
            self.loss += loss
            self.supervised += int((inputs["labels"][:, 1:] != targets.IGNORED).sum())
            self.tokens += int(inputs["lengths"].sum())
            self.padded += inputs["input_ids"].numel()

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.fresh()

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if self.loss != self.loss or self.loss in (float("inf"), float("-inf")):
                raise MashqError(
                    f"train: the loss of step {state.global_step + 1} is {self.loss}. The last good state is in"
                    f" {run.out / 'checkpoints'}. Lower lr_peak ({settings.lr_peak}), or use precision fp32."
                )
            self.lr = kwargs["optimizer"].param_groups[0]["lr"]

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            line = {
                "step": state.global_step,
                "epoch": round(float(state.epoch), 6),
                "loss": self.loss,
                "lr": self.lr,
                "supervised_tokens": self.supervised,
                "tokens": self.tokens,
                "padded_tokens": self.padded,
                "seconds": round(time.monotonic() - self.at, 4),
            }
            run.log(line)
            every = settings.evaluate_every
            if run.held and every and state.global_step % every == 0:
                run.evaluate(state.global_step)

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            # Written after all else is on disk: a checkpoint without it was cut off by a crash.
            _sync(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    log = Log()

    def collate(members: Sequence[Example]) -> dict[str, torch.Tensor]:
        return {**batch_of(members, run.pad), "lengths": torch.tensor([len(e.ids) for e in members])}

    arguments = TrainingArguments(
        output_dir=str(run.out / "checkpoints"),
        per_device_train_batch_size=settings.rows_per_batch,
        gradient_accumulation_steps=settings.accumulate,
        num_train_epochs=settings.epochs,
        max_steps=settings.steps if settings.steps > 0 else -1,
        learning_rate=settings.lr_peak,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        fp16=run.precision == "fp16",
        gradient_checkpointing=settings.recompute,
        gradient_checkpointing_kwargs={"use_reentrant": False} if settings.recompute else None,
        save_strategy="steps",
        save_steps=settings.save_every,
        save_total_limit=2,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        use_cpu=not torch.cuda.is_available(),
        seed=settings.seed,
        data_seed=settings.seed,
        optim="adamw_torch",
    )
    trainer: Any = Tutor(
        model=run.model, args=arguments, train_dataset=list(learn), data_collator=collate, callbacks=[log]
    )
    trainer.remove_callback(PrinterCallback)
    trainer.model_accepts_loss_kwargs = True  # our loss is divided by the step's supervised tokens already
    return trainer


def _sync(checkpoint: Path) -> None:
    for path in checkpoint.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    with (checkpoint / "whole").open("w") as file:
        file.flush()
        os.fsync(file.fileno())


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def _last_checkpoint(folder: Path) -> Path | None:
    """The latest checkpoint that was written whole; those that were not are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=_step_of)
    for path in found:
        if not (path / "whole").exists():
            shutil.rmtree(path)
    whole = [path for path in found if path.exists()]
    return whole[-1] if whole else None


def _rewind(log: Path, step: int) -> None:
    """Keep the log's lines up to a step; a last line that a crash cut is left out."""
    kept = []
    if log.exists():
        for line in log.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                if json.loads(line)["step"] <= step:
                    kept.append(line)
    log.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _save(model: Any, tokenizer: Any, settings: TrainSettings, out: Path) -> Path:
    """The weights under a name that says they are not in place yet; -> that folder."""
    import torch

    partial = out / f"{_weights_folder(settings.method)}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    if settings.method == "full":
        if _precision(settings.precision) == "bf16":
            model = model.to(torch.bfloat16)
        model.config.use_cache = True
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        return partial
    model.save_pretrained(partial, save_embedding_layers=False)
    (partial / "README.md").unlink(missing_ok=True)
    path = partial / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = settings.model  # the name a person can find, not this machine's cache
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return partial
