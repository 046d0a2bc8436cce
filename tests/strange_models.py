"""A model folder that brings its own code: Jais's shape (ALiBi, SwiGLU, scaled embeddings and logits), tiny and random.

Its module leaves a file behind when it is executed, so that a test can tell whether it was.
"""

from __future__ import annotations

import json
from pathlib import Path

import tiny_models

CODE = """
import math
import os
from pathlib import Path

import torch
from torch import nn
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

Path(os.environ["MASHQ_TEST_TRACE"]).write_text("executed")


class JAISConfig(PretrainedConfig):
    model_type = "jais"

    def __init__(self, vocab_size=512, n_embd=32, n_layer=2, n_head=4, n_inner=64, n_positions=512, **more):
        self.vocab_size, self.n_embd, self.n_layer, self.n_head = vocab_size, n_embd, n_layer, n_head
        self.n_inner, self.n_positions = n_inner, n_positions
        self.hidden_size, self.num_hidden_layers, self.num_attention_heads = n_embd, n_layer, n_head
        self.max_position_embeddings = n_positions
        super().__init__(**more)


class Attention(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.heads, self.layer = config.n_head, layer
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd)

    def forward(self, hidden, mask, cache):
        rows, length, width = hidden.shape
        parts = self.c_attn(hidden).split(width, 2)
        query, key, value = (part.view(rows, length, self.heads, -1).transpose(1, 2) for part in parts)
        if cache is not None:
            key, value = cache.update(key, value, self.layer)
        seen = key.shape[2]
        slopes = 2.0 ** (-8.0 * torch.arange(1, self.heads + 1) / self.heads)
        here, there = torch.arange(seen - length, seen)[:, None], torch.arange(seen)[None]
        scores = query @ key.transpose(2, 3) / query.shape[-1] + slopes[:, None, None] * (there - here)
        unseen = (there > here)[None, None]
        if mask is not None:
            unseen = unseen | (mask[:, None, None, :seen] == 0)
        weights = scores.masked_fill(unseen, -1e9).softmax(-1)
        return self.c_proj((weights @ value).transpose(1, 2).reshape(rows, length, width))


class Block(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(config.n_embd), nn.LayerNorm(config.n_embd)
        self.attn = Attention(config, layer)
        self.c_fc = nn.Linear(config.n_embd, config.n_inner)
        self.c_fc2 = nn.Linear(config.n_embd, config.n_inner)
        self.c_proj = nn.Linear(config.n_inner, config.n_embd)

    def forward(self, hidden, mask, cache):
        hidden = hidden + self.attn(self.ln_1(hidden), mask, cache)
        inner = self.ln_2(hidden)
        return hidden + self.c_proj(self.c_fc(inner) * nn.functional.silu(self.c_fc2(inner)))


class JAISLMHeadModel(PreTrainedModel, GenerationMixin):
    config_class = JAISConfig
    base_model_prefix = "transformer"

    def __init__(self, config):
        super().__init__(config)
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.h = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self):
        return self.wte

    def get_output_embeddings(self):
        return self.lm_head

    def forward(self, input_ids, attention_mask=None, past_key_values=None, logits_to_keep=0, **more):
        hidden = self.wte(input_ids) * 14.6
        for block in self.h:
            hidden = block(hidden, attention_mask, past_key_values)
        hidden = self.ln_f(hidden)[:, -logits_to_keep:] if logits_to_keep else self.ln_f(hidden)
        return CausalLMOutputWithPast(logits=self.lm_head(hidden) * 0.111, past_key_values=past_key_values)
"""
SMALL = {"vocab_size": 512, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 64, "n_positions": 512}


def folder(path: Path, *, special: list[str] | None = None, kind: str = "jais") -> Path:
    """A model folder as its maker would publish it: config.json with auto_map, modeling_jais.py, safetensors."""
    import torch
    from safetensors.torch import save_file

    path.mkdir(parents=True)
    made = tiny_models.tokenizer(special or ["<pad>", "<eos>"])
    made.save_pretrained(path)
    named = {"AutoConfig": "modeling_jais.JAISConfig", "AutoModelForCausalLM": "modeling_jais.JAISLMHeadModel"}
    config = {"model_type": kind, "architectures": ["JAISLMHeadModel"], "auto_map": named, **SMALL}
    (path / "config.json").write_text(json.dumps({**config, "vocab_size": len(made), "eos_token_id": 1}))
    (path / "modeling_jais.py").write_text(CODE)
    torch.manual_seed(0)
    save_file(_tensors(len(made)), path / "model.safetensors", metadata={"format": "pt"})
    return path


def _tensors(vocabulary: int) -> dict:
    import torch

    width, inner = SMALL["n_embd"], SMALL["n_inner"]
    made = {"wte.weight": (vocabulary, width), "lm_head.weight": (vocabulary, width), "ln_f.weight": (width,)}
    for layer in range(SMALL["n_layer"]):
        for name, out, into in (
            ("attn.c_attn", 3 * width, width),
            ("attn.c_proj", width, width),
            ("c_fc", inner, width),
            ("c_fc2", inner, width),
            ("c_proj", width, inner),
        ):
            made |= {f"h.{layer}.{name}.weight": (out, into), f"h.{layer}.{name}.bias": (out,)}
        for name in ("ln_1", "ln_2"):
            made |= {f"h.{layer}.{name}.weight": (width,), f"h.{layer}.{name}.bias": (width,)}
    made["ln_f.bias"] = (width,)
    return {name: torch.randn(shape) * 0.1 for name, shape in made.items()}
