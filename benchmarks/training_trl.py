"""The part of `training.py` that runs TRL, in an environment of its own: it knows nothing of mashq.

python training_trl.py JOB.json     # prints a line of JSON: losses, seconds and tokens a step, the largest memory
"""

import json
import resource
import sys
import time
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer


def main(job):
    torch.set_num_threads(job["threads"])
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[job["precision"]]
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=dtype)
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if job["adapter"]:
        model = PeftModel.from_pretrained(model, job["adapter"], is_trainable=True)
    else:
        model = get_peft_model(
            model, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
        )
    with Path(job["rows"]).open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    taken = []

    class Told(SFTTrainer):
        def compute_loss(self, *given, **named):
            loss = super().compute_loss(*given, **named)
            taken.append(float((loss[0] if isinstance(loss, tuple) else loss).detach()))
            return loss

        def training_step(self, model, inputs, *given, **named):
            tokens.append(int((inputs["attention_mask"] == 1).sum()))
            padded.append(inputs["input_ids"].numel())
            return super().training_step(model, inputs, *given, **named)

    tokens, padded, ends = [], [], []
    arguments = SFTConfig(
        output_dir=job["out"],
        use_cpu=not torch.cuda.is_available(),
        per_device_train_batch_size=job["rows_per_batch"],
        max_steps=job["steps"],
        learning_rate=job["lr"],
        lr_scheduler_type="cosine",
        warmup_steps=job["warmup"],
        max_grad_norm=1.0,
        weight_decay=0.0,
        optim="adamw_torch",
        bf16=job["precision"] == "bf16",
        max_length=None,
        packing=False,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        gradient_checkpointing=job.get("recompute", False),
        seed=7,
        **job["options"],
    )

    class Clock(TrainerCallback):
        def on_step_begin(self, *given, **named):
            self.at = time.monotonic()

        def on_step_end(self, *given, **named):
            ends.append(time.monotonic() - self.at)

    trainer = Told(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[Clock()],
    )
    trainer.train()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    found = {"losses": taken, "seconds": ends, "tokens": tokens, "padded": padded, "peak": peak, "gpu": gpu}
    print(json.dumps(found))


if __name__ == "__main__":
    with Path(sys.argv[1]).open(encoding="utf-8") as given:
        main(json.load(given))
