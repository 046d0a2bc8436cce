"""One run of one client against the loopback server, started by `llm_client.py` in that client's own environment.

    PYTHON llm_clients.py NAME JOB.json

A job says where the server is (`url`), the system text, the prompts, how many requests may be in flight, how long a try
may take, a folder (`home`) that keeps what the client keeps between runs, and where the texts go (`out`: {number of the
prompt: text}, without those that the client has no text for). Every client is called as its documentation shows; what
is set beyond its defaults is the number in flight, the timeout, and rate limits out of the way.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

MODEL = "loopback"
NEW_TOKENS = 256
NO_LIMIT = 1_000_000_000  # a minute

Job = dict[str, Any]
Texts = dict[int, str]


def mashq(job: Job) -> Texts:
    """`generate` with a ledger."""
    from mashq.lm import Decoding, Request, generate, open_model

    decoding = Decoding(max_new_tokens=NEW_TOKENS)
    requests = [
        Request(messages=(("system", job["system"]), ("user", prompt)), decoding=decoding) for prompt in job["prompts"]
    ]
    model = open_model(f"{job['url']}#{MODEL}", concurrency=job["in_flight"], timeout_s=job["timeout_s"])
    replies = generate(model, requests, ledger=Path(job["home"]) / "ledger.jsonl", budget=None)
    return {number: reply.text for number, reply in enumerate(replies) if reply.finish != "error"}


def curator(job: Job) -> Texts:
    """Bespoke Curator: a subclass of LLM over a dataset."""
    from bespokelabs import curator as library
    from datasets import Dataset

    class Writer(library.LLM):
        def prompt(self, input: dict[str, Any]) -> str:
            return input["prompt"]

        def parse(self, input: dict[str, Any], response: str) -> dict[str, Any]:
            return {"number": input["number"], "text": response}

    writer = Writer(
        model_name=MODEL,
        backend="openai",
        system_prompt=job["system"],
        generation_params={"temperature": 0.0, "max_tokens": NEW_TOKENS},
        backend_params={
            "base_url": job["url"],
            "max_concurrent_requests": job["in_flight"],
            "request_timeout": job["timeout_s"],
            "max_requests_per_minute": NO_LIMIT,
            "max_tokens_per_minute": NO_LIMIT,
            "require_all_responses": False,  # else one failed request leaves no dataset at all
        },
    )
    rows = [{"number": number, "prompt": prompt} for number, prompt in enumerate(job["prompts"])]
    said = writer(Dataset.from_list(rows), working_dir=str(Path(job["home"]) / "curator"))
    return {row["number"]: row["text"] for row in said.dataset if row["text"]}


def data_designer(job: Job) -> Texts:
    """NeMo Data Designer: a seed file with the prompts, a text column of one model, resumed where it can be."""
    import data_designer.config as dd
    from data_designer.interface import DataDesigner

    home = Path(job["home"])
    seeds = home / "seeds.jsonl"
    rows = [{"number": number, "prompt": prompt} for number, prompt in enumerate(job["prompts"])]
    seeds.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    kept = dd.ChatCompletionInferenceParams(
        temperature=0.0, max_tokens=NEW_TOKENS, max_parallel_requests=job["in_flight"], timeout=job["timeout_s"]
    )
    model = dd.ModelConfig(alias="writer", model=MODEL, provider="loopback", inference_parameters=kept)
    builder = dd.DataDesignerConfigBuilder(model_configs=[model])
    builder.with_seed_dataset(dd.LocalFileSeedSource(path=str(seeds)))
    builder.add_column(
        dd.LLMTextColumnConfig(name="text", model_alias="writer", prompt="{{ prompt }}", system_prompt=job["system"])
    )
    provider = dd.ModelProvider(name="loopback", endpoint=job["url"], api_key="none")
    designer = DataDesigner(artifact_path=home / "artifacts", model_providers=[provider])
    designer.set_run_config(dd.RunConfig(otel_metrics_port=None))
    results = designer.create(builder, num_records=len(rows), dataset_name="texts", resume=dd.ResumeMode.IF_POSSIBLE)
    said = results.load_dataset()
    return {int(number): text for number, text in zip(said["number"], said["text"], strict=True) if text}


def distilabel(job: Job) -> Texts:
    """distilabel: a pipeline of two steps, batches as large as the requests in flight, its cache on."""
    from distilabel.models import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps import LoadDataFromDicts
    from distilabel.steps.tasks import TextGeneration

    rows = [{"number": number, "instruction": prompt} for number, prompt in enumerate(job["prompts"])]
    with Pipeline(name="texts", cache_dir=str(Path(job["home"]) / "distilabel")) as pipeline:
        load = LoadDataFromDicts(data=rows, batch_size=job["in_flight"])
        llm = OpenAILLM(
            model=MODEL,
            base_url=job["url"],
            api_key="none",
            timeout=job["timeout_s"],
            generation_kwargs={"temperature": 0.0, "max_new_tokens": NEW_TOKENS},
        )
        write = TextGeneration(llm=llm, system_prompt=job["system"], input_batch_size=job["in_flight"])
        load >> write
    said = pipeline.run(use_cache=True)["default"]["train"]
    return {row["number"]: row["generation"] for row in said if row["generation"]}


CLIENTS = {"mashq": mashq, "curator": curator, "data_designer": data_designer, "distilabel": distilabel}


def main() -> None:
    """Run the job and write its texts; how the process ends is left to the client."""
    name, path = sys.argv[1:]
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    texts = CLIENTS[name](job)
    Path(job["out"]).write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
