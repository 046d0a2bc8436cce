"""One stage of training: Transformers' Trainer with our loss, our order of rows and our log.

The loss is computed at supervised tokens only and every one of a step weighs the same, whatever batch or process it
came in. A killed run goes on from its last whole checkpoint, to the same bits on CPU. What ends a run early (a loss
that is no number, a full disk, no memory left) leaves the last good state and says so.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from mashq import attention, chat, targets, vocabulary
from mashq.rows import MashqError
from mashq.train.checkpoints import at_end, last_whole, rewind, seal, step_of, thin_out, waited
from mashq.train.rows import Example, batch_of, bucketed, packed
from mashq.train.settings import TrainSettings, kept_as
from mashq.train.start import Start

__all__ = ["Run", "Step"]

Step = Mapping[str, float | int]
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Run:
    """One stage: the Trainer, what it logs, and where it goes on after a crash."""

    def __init__(
        self,
        settings: TrainSettings,
        start: Start,
        learn: Sequence[Example],
        held: Sequence[Example],
        out: Path,
        on_step: Callable[[Step], None] | None,
    ):
        self.settings, self.model, self.out = settings, start.model, out
        self.learn, self.held, self.on_step = learn, held, on_step
        self.tokenizer, self.precision = start.tokenizer, start.precision
        self.pad = chat.pad_id(start.tokenizer, start.model.get_input_embeddings().weight.shape[0])
        if settings.packing:
            _check_packing(self.model, self.tokenizer)
        self.log = _Log(self)
        self.trainer = _Tutor(self)
        self.first = self.trainer.is_world_process_zero()  # of several processes, the one that writes
        self.ended: str | None = None  # why the checkpoint that it goes on from leaves nothing to train

    def go(self) -> dict[str, Any]:
        """Train to the end; -> what the card says of it."""
        checkpoint = last_whole(self.out / "checkpoints", remove=self.first)
        if self.first:
            rewind(self.out / "log.jsonl", 0 if checkpoint is None else step_of(checkpoint))
        if checkpoint is not None:
            self.ended = at_end(checkpoint, self.settings.patience, self.settings.evaluate_every)
        self.log.stopped = self.ended == "patience"
        self._keep_adapter_inputs_narrow()
        with attention.in_blocks(self.model), self._told():
            self.trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        steps = self.trainer.state.global_step
        lines = self.lines()
        if self.held and not (lines and "eval_loss" in lines[-1]):
            lines.append(self.evaluate(steps))
        best = self._take_best()
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
            "best": best,
            "stopped_early": bool(self.log.stopped),
            "precision": self.precision,
            "processes": self.trainer.args.world_size,
            "trainable_parameters": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
        }

    def lines(self) -> list[dict[str, Any]]:
        """The log so far."""
        path = self.out / "log.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def _take_best(self) -> dict[str, Any] | None:
        """Where the best weights are kept, put them in the model's place; -> their step and validation loss."""
        step = self.trainer.state.best_global_step
        if not self.settings.keep_best or step is None:
            return None
        # Found by its step: the folder may have been moved as a whole since the run began.
        self.trainer.state.best_model_checkpoint = str(self.out / "checkpoints" / f"checkpoint-{step}")
        self.trainer._load_best_model()
        return {"step": step, "eval_loss": self.trainer.state.best_metric}

    def save(self) -> Path:
        """The weights under a name that says they are not in place yet; -> that folder."""
        settings = self.settings
        partial = self.out / f"{kept_as(settings.method)}.partial"
        if self.first:
            shutil.rmtree(partial, ignore_errors=True)
        full = not settings.adapter
        with self._told():
            if self.trainer.is_fsdp_enabled or self.trainer.is_deepspeed_enabled:
                self.trainer.save_model(str(partial))  # gathered from all processes
            elif self.first and full:
                model = self.model.to(torch.bfloat16) if self.precision == "bf16" else self.model
                model.config.use_cache = True
                model.save_pretrained(partial)
            elif self.first:
                self.model.save_pretrained(partial, save_embedding_layers=False)
        if self.first and (full or vocabulary.added(self.tokenizer)):
            self.tokenizer.save_pretrained(partial)
        if self.first and not full:
            _name_base(partial, settings.model)
        return partial

    def _keep_adapter_inputs_narrow(self) -> None:
        # Under autocast the adapter's input need not be widened to the fp32 of its weights and narrowed again.
        if self.precision != "fp32":
            for module in self.model.modules():
                if hasattr(module, "lora_A"):
                    module.cast_input_dtype_enabled = False

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What the machine lacks, said as what to do; the last whole checkpoint stays where it is."""
        kept = f"The last good state is in {self.out / 'checkpoints'}: the same command goes on from it."
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise MashqError(
                f"train: out of memory on the GPU ({_first_line(error)}). {_smaller(self.settings)}"
            ) from error
        except (OSError, RuntimeError, MemoryError) as error:
            said = str(error)
            if getattr(error, "errno", None) in FULL_DISK or any(os.strerror(one) in said for one in FULL_DISK):
                raise MashqError(f"train: {self.out}: the disk is full ({_first_line(error)}). {kept}") from error
            if isinstance(error, MemoryError) or "not enough memory" in said or "can't allocate memory" in said:
                raise MashqError(f"train: out of memory ({_first_line(error)}). {_smaller(self.settings)}") from error
            raise

    def evaluate(self, step: int) -> dict[str, Any]:
        """The mean loss over the validation rows in nats a supervised token, written to the log."""
        self.model.eval()
        nats, count = 0.0, 0
        order = sorted(range(len(self.held)), key=lambda i: -len(self.held[i].ids))
        size = self.settings.rows_per_batch
        device = next(self.model.parameters()).device
        half = HALF.get(self.precision)
        with torch.autocast(device.type, dtype=half, enabled=half is not None):
            for start in range(0, len(order), size):
                batch = batch_of([self.held[i] for i in order[start : start + size]], self.pad)
                found = targets.target_nats(self.model, batch["input_ids"].to(device), batch["labels"].to(device))
                nats, count = nats + float(found.sum()), count + len(found)
        self.model.train()
        line = {"step": step, "eval_loss": nats / count, "eval_tokens": count}
        self.write(line)
        return line

    def write(self, line: Mapping[str, Any]) -> None:
        """Append to log.jsonl and tell the caller."""
        if not self.first:
            return
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self.on_step is not None:
            self.on_step(line)


def _name_base(adapter: Path, model: str) -> None:
    (adapter / "README.md").unlink(missing_ok=True)
    path = adapter / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = model  # the name a person can find, not this machine's cache
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _smaller(settings: TrainSettings) -> str:
    half = max(1, settings.rows_per_batch // 2)
    less = f"rows_per_batch={half} with accumulate={settings.accumulate * settings.rows_per_batch // half}"
    return f"Set {less} for the same steps, a smaller max_tokens ({settings.max_tokens}), or recompute=true."


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


# --- the Trainer -----------------------------------------------------------------------------------------------------


class _Order(torch.utils.data.Sampler[int]):
    """Rows of like length side by side, the longest first; told the epoch by accelerate."""

    epoch = 0

    def __init__(self, lengths: Sequence[int], settings: TrainSettings):
        self.lengths, self.settings = lengths, settings

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(bucketed(self.lengths, self.settings.rows_per_batch, self.settings.seed, self.epoch))


class _Tutor(Trainer):
    """Transformers' Trainer with our loss, our order of rows and our log."""

    def __init__(self, run: Run):
        self.mashq = run
        together = packed if run.settings.packing else batch_of

        def collate(members: Sequence[Example]) -> dict[str, torch.Tensor]:
            return {**together(members, run.pad), "lengths": torch.tensor([len(e.ids) for e in members])}

        super().__init__(
            model=run.model,
            args=_arguments(run),
            train_dataset=list(run.learn),
            data_collator=collate,
            callbacks=[run.log],
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = True  # our loss is divided by the step's supervised tokens already

    def set_initial_training_values(self, *args: Any, **kwargs: Any) -> Any:
        """How long to train, its first value in epochs: none from a checkpoint at the end.

        Trainer looks for the end after a step alone, so it would take one more.
        """
        epochs, *rest = super().set_initial_training_values(*args, **kwargs)
        return (0 if self.mashq.ended else epochs, *rest)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return _Order([len(e.ids) for e in self.mashq.learn], self.mashq.settings)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """A checkpoint's weights: of an adapter without the base's vectors, which PEFT would add where new ones are."""
        if not self.mashq.settings.adapter:
            super()._save(output_dir, state_dict)
            return
        if self.args.should_save:
            folder = Path(output_dir or str(self.args.output_dir))
            self.mashq.model.save_pretrained(str(folder), state_dict=state_dict, save_embedding_layers=False)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        half = HALF.get(self.mashq.precision)
        with torch.autocast(inputs["input_ids"].device.type, dtype=half, enabled=half is not None):
            total = targets.target_loss(model, inputs["input_ids"], inputs["labels"], inputs.get("position_ids"))
        # Every supervised token of the step weighs the same, whatever batch it came in.
        loss = total / num_items_in_batch
        self.mashq.log.add(inputs, float(loss.detach()))
        return loss * self.args.world_size  # gradients are averaged over the processes


def _arguments(run: Run) -> TrainingArguments:
    settings = run.settings
    gpu = torch.cuda.is_available()
    optimiser = settings.optimiser or ("paged_adamw_32bit" if settings.method == "qlora" and gpu else "adamw_torch")
    return TrainingArguments(
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
        neftune_noise_alpha=settings.neftune or None,
        fp16=run.precision == "fp16",
        gradient_checkpointing=settings.recompute,
        gradient_checkpointing_kwargs={"use_reentrant": False} if settings.recompute else None,
        torch_compile=settings.compile,
        use_liger_kernel=settings.kernels == "liger",
        # The loss is ours: it never makes the logits of what is not learnt.
        liger_kernel_config={"cross_entropy": False, "fused_linear_cross_entropy": False},
        save_strategy="steps",
        save_steps=settings.save_every,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=False,
        use_cpu=not gpu,
        seed=settings.seed,
        data_seed=settings.seed,
        optim=optimiser,
    )


class _Log(TrainerCallback):
    """A line of the log for each step; stops at a loss that is no number, and where patience ends."""

    def __init__(self, run: Run):
        self.run, self.stopped, self.lr = run, False, 0.0
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
        if args.world_size > 1:
            self.loss, self.supervised, self.tokens, self.padded = self._summed()
        if not math.isfinite(self.loss):
            raise MashqError(
                f"train: the loss of step {state.global_step + 1} is {self.loss}. The last good state is in"
                f" {self.run.out / 'checkpoints'}. Lower lr_peak ({self.run.settings.lr_peak}), or use precision fp32."
            )
        self.lr = kwargs["optimizer"].param_groups[0]["lr"]

    def _summed(self) -> tuple[float, int, int, int]:
        """What all processes saw in this step."""
        device = next(self.run.model.parameters()).device
        both = torch.tensor([self.loss, self.supervised, self.tokens, self.padded], dtype=torch.float64, device=device)
        torch.distributed.all_reduce(both)
        loss, *counts = both.tolist()
        return loss, *map(int, counts)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.run.write(
            {
                "step": state.global_step,
                "epoch": round(float(state.epoch), 6),
                "loss": self.loss,
                "lr": self.lr,
                "supervised_tokens": self.supervised,
                "tokens": self.tokens,
                "padded_tokens": self.padded,
                "seconds": round(time.monotonic() - self.at, 4),
            }
        )
        every = self.run.settings.evaluate_every
        if self.run.held and every and state.global_step % every == 0:
            self._judge(self.run.evaluate(state.global_step)["eval_loss"], args, state, control)

    def _judge(self, loss: float, args: Any, state: Any, control: Any) -> None:
        """Keep what is best so far, and stop where nothing better came for too long."""
        settings = self.run.settings
        if not settings.keep_best and not settings.patience:
            return
        if state.best_metric is None or loss < state.best_metric:
            state.best_metric, state.best_global_step = loss, state.global_step
            if settings.keep_best:
                control.should_save = True
        since = waited(state.global_step, state.best_global_step, settings.evaluate_every)
        if settings.patience and since >= settings.patience:
            control.should_training_stop = self.stopped = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if args.world_size > 1:
            torch.distributed.barrier()  # each process writes its own random state
        if state.is_world_process_zero:
            folder = Path(args.output_dir)
            seal(folder / f"checkpoint-{state.global_step}")
            best = state.best_global_step if self.run.settings.keep_best else None
            thin_out(folder, None if best is None else folder / f"checkpoint-{best}")


# --- packing ---------------------------------------------------------------------------------------------------------


def _check_packing(model: Any, tokenizer: Any) -> None:
    """Two short rows, one after another and apart: their logits must be the same, or packing is refused."""
    draw = torch.Generator().manual_seed(0)
    size, device = len(tokenizer), next(model.parameters()).device
    first, second = (torch.randint(size // 4, size, (1, n), generator=draw).to(device) for n in (7, 9))
    both, places = torch.cat([first, second], 1), torch.arange(7 + 9, device=device)[None]
    restarted = torch.cat([places[:, :7], places[:, :9]], 1)
    training = model.training
    model.eval()

    def last(ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = model(input_ids=ids, position_ids=positions, use_cache=False).logits
        return logits[0, -9:].float()

    try:
        with torch.no_grad(), attention.in_blocks(model):
            alone = last(second, places[:, :9])
            apart, mixed = ((last(both, at) - alone).abs().max().item() for at in (restarted, places))
    except (TypeError, ValueError) as error:
        raise MashqError(_cannot_pack(model, f"it takes no positions ({_first_line(error)})")) from error
    finally:
        model.train(training)
    if apart > 0.05 * mixed:
        raise MashqError(_cannot_pack(model, f"a row sees the one before it: logits differ by up to {apart:.2g}"))


def _cannot_pack(model: Any, why: str) -> str:
    kind = model.config.model_type
    return f"train: packing: {kind} cannot keep rows that stand one after another apart: {why}. Set packing=false."
