"""The one door to language models."""

from mashq.lm.weights import gguf, licence, load, notice, weights

__all__ = ["gguf", "licence", "load", "notice", "weights"]
