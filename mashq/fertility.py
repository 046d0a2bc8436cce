"""What a text costs in tokens: tokens a word, characters and bytes a token, by variety and in English.

Fertility is the number of tokens a word takes on average (Rust et al. 2021, arXiv 2012.15613, section 4). Words are
those of `mashq.arabic.words`, so a vocalised word is one word. Arabic that takes many tokens is slower to train and to
write, and fewer words of it fit into the same context.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from mashq import arabic
from mashq.rows import MashqError, expected_got, nearest

__all__ = ["Cost", "Fertility", "fertility", "texts_of", "tokenizer_of"]

AT_ONCE = 512  # texts in one call of the tokenizer
ENGLISH, OTHER, UNTOLD = "english", "other", "arabic"  # Latin script; neither; Arabic whose variety no row tells
# Above these a warning: tokens an Arabic word, and how many times the same tokenizer's English word. On the first 799
# sentence pairs of NTREX-128, tokenizers that were taught Arabic took 1.89 (o200k), 2.05 (Gemma 3), 2.26 (Qwen 3) and
# 2.30 (Llama 3) tokens a word, 1.54 to 1.86 times English; those that were not, 4.21 (cl100k, 3.4 times) and 5.94
# (`lm.toy`: a token a letter, whose English is as dear). An Arabic word carries articles, prepositions and pronouns, so
# some more than English is in the language. The limits stand in the gap.
MOST_PER_WORD, MOST_TO_ENGLISH = 2.5, 2.0
LEAST_WORDS = 50  # fewer are no measure


@dataclass(frozen=True)
class Cost:
    """Counts of some texts under one tokenizer; special tokens that frame a text are not in them."""

    texts: int = 0
    words: int = 0
    characters: int = 0
    bytes: int = 0
    tokens: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(one + two for one, two in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    @property
    def per_word(self) -> float | None:
        """Tokens a word; None where there is no word."""
        return self.tokens / self.words if self.words else None

    def as_dict(self) -> dict[str, Any]:
        """Counts and what follows from them, for a card; a ratio without a base is absent."""
        ratios = {
            "tokens_per_word": self.per_word,
            "characters_per_token": self.characters / self.tokens if self.tokens else None,
            "bytes_per_token": self.bytes / self.tokens if self.tokens else None,
        }
        return {**asdict(self), **{name: round(value, 4) for name, value in ratios.items() if value is not None}}


@dataclass(frozen=True)
class Fertility:
    """What texts cost under one tokenizer: `by` variety, `english` and `other`; texts with marks, and then without."""

    tokenizer: str
    by: Mapping[str, Cost]
    vocalised: Cost  # the Arabic texts that carry vowel marks, as they are
    bare: Cost  # the same texts without the marks

    @property
    def arabic(self) -> Cost:
        """All Arabic texts."""
        return sum((cost for name, cost in self.by.items() if name not in (ENGLISH, OTHER)), Cost())

    @property
    def warnings(self) -> list[str]:
        """Why Arabic is dear under this tokenizer; empty where it is not, or where there is too little text to say."""
        arabic_, english = self.arabic, self.by.get(ENGLISH, Cost())
        if arabic_.words < LEAST_WORDS or arabic_.per_word is None:
            return []
        said = []
        if arabic_.per_word > MOST_PER_WORD:
            said.append(f"an Arabic word takes {arabic_.per_word:.2f} tokens (limit {MOST_PER_WORD})")
        times = arabic_.per_word / english.per_word if english.words >= LEAST_WORDS and english.per_word else 0.0
        if times > MOST_TO_ENGLISH:
            said.append(
                f"an Arabic word takes {times:.2f} times the tokens of an English one (limit {MOST_TO_ENGLISH})"
            )
        do = "training and writing slow down by as much, and less text fits a row: take a tokenizer that knows Arabic"
        return [f"tokenizer {self.tokenizer}: {one}; {do}" for one in said]

    def as_dict(self) -> dict[str, Any]:
        """For a card or JSON."""
        return {
            "tokenizer": self.tokenizer,
            "by": {name: cost.as_dict() for name, cost in self.by.items()},
            **({"vocalised": self.vocalised.as_dict(), "bare": self.bare.as_dict()} if self.vocalised.texts else {}),
            "warnings": self.warnings,
        }

    def lines(self) -> list[str]:
        """A table for a terminal, and the warnings."""
        rows = [*self.by.items()]
        if self.vocalised.texts:
            rows += [("with vowel marks", self.vocalised), ("the same, bare", self.bare)]
        head = f"{'tokenizer ' + self.tokenizer:<30} {'texts':>8} {'words':>10} {'tokens':>10}"
        made = [f"{head} {'tokens/word':>12} {'chars/token':>12} {'bytes/token':>12}"]
        for name, cost in rows:
            found = cost.as_dict()
            ratios = [found.get(key) for key in ("tokens_per_word", "characters_per_token", "bytes_per_token")]
            shown = " ".join(f"{'-' if value is None else format(value, '.2f'):>12}" for value in ratios)
            made.append(f"{name:<30} {cost.texts:>8,} {cost.words:>10,} {cost.tokens:>10,} {shown}")
        return made + [f"warning: {one}" for one in self.warnings]


def fertility(
    texts: Iterable[str], tokenizer: Any, *, name: str = "", varieties: Sequence[str | None] | None = None
) -> Fertility:
    """What each text costs, put together by variety (of Arabic texts; "arabic" where it is not told), English, other.

    A text is Arabic or English by most of its letters (Latin script counts as English). `varieties`: one for each text;
    it says nothing of texts in other scripts. An empty text is passed over. Raises MashqError where no text is left.
    """
    listed = [arabic.whole(text) for text in texts]  # a lone surrogate is no text to a tokenizer
    told = list(varieties) if varieties is not None else [None] * len(listed)
    if len(told) != len(listed):
        raise MashqError(expected_got("fertility: varieties", f"{len(listed)}, one a text", str(len(told))))
    kept = [(text, variety) for text, variety in zip(listed, told, strict=True) if text.strip()]
    if not kept:
        raise MashqError(
            expected_got("fertility: texts", "at least one that is not empty", f"{len(listed)} empty ones")
        )
    by: dict[str, Cost] = {}
    vocalised = bare = Cost()
    costs = _costs([text for text, _ in kept], tokenizer)
    marked: list[str] = []
    for (text, variety), cost in zip(kept, costs, strict=True):
        kind = _kind(text, variety)
        by[kind] = by.get(kind, Cost()) + cost
        if kind not in (ENGLISH, OTHER) and any(mark in text for mark in arabic.TASHKEEL):
            marked.append(text)
            vocalised += cost
    for cost in _costs([arabic.normalise(text, ("tashkeel",)) for text in marked], tokenizer):
        bare += cost
    order = sorted(by, key=lambda kind: (kind == OTHER, kind == ENGLISH, -by[kind].words))
    return Fertility(name, {kind: by[kind] for kind in order}, vocalised, replace(bare, words=vocalised.words))


def _kind(text: str, variety: str | None) -> str:
    letters = [mark for mark in text if mark.isalpha()]
    of_arabic = sum(mark in _arabic_letters() for mark in letters)
    latin = sum(mark.isascii() or "\N{LATIN CAPITAL LETTER A WITH GRAVE}" <= mark <= "\u024f" for mark in letters)
    if not letters or max(of_arabic, latin) * 2 < len(letters):
        return OTHER
    return ENGLISH if latin > of_arabic else variety or UNTOLD


@functools.cache
def _arabic_letters() -> frozenset[str]:
    blocks = [(0x0600, 0x06FF), (0x0750, 0x077F), (0x0870, 0x08FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFF)]
    return frozenset(chr(code) for first, last in blocks for code in range(first, last + 1))


def _costs(texts: Sequence[str], tokenizer: Any) -> list[Cost]:
    costs = []
    for start in range(0, len(texts), AT_ONCE):
        some = list(texts[start : start + AT_ONCE])
        ids = tokenizer(some, add_special_tokens=False, return_attention_mask=False)["input_ids"]
        costs += [
            Cost(1, len(arabic.words(text)), len(text), len(text.encode()), len(found))
            for text, found in zip(some, ids, strict=True)
        ]
    return costs


def texts_of(rows: pa.Table) -> tuple[list[str], list[str | None]]:
    """The texts of rows, each with its row's variety: every turn, the first reference where no turn answers, raw text.

    Rows dropped before are passed over.
    """
    texts: list[str] = []
    varieties: list[str | None] = []
    for row in rows.select(["messages", "references", "text", "variety", "dropped"]).to_pylist():
        if row["dropped"] is not None:
            continue
        turns = row["messages"] or []
        found = [turn["content"] for turn in turns]
        if turns and turns[-1]["role"] != "assistant":
            found += (row["references"] or [])[:1]
        if not turns:
            found.append(row["text"])
        found = [text for text in found if text]
        texts += found
        varieties += [row["variety"]] * len(found)
    return texts, varieties


def tokenizer_of(spec: str, *, remote_code: bool = False) -> Any:
    """The tokenizer alone of a model by name (as `lm.weights.weights` takes it); no weights are read.

    Raises MashqError where there is none, saying where was looked.
    """
    from mashq.lm.toy import TOYS
    from mashq.lm.weights import EMBEDDED, quiet, small_files

    try:
        from transformers import AutoTokenizer
    except ModuleNotFoundError as error:
        raise MashqError("a tokenizer needs the package 'transformers': pip install 'mashq[train]'") from error
    files = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt")
    name, revision = small_files(spec, files, "tokenizer")
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=remote_code)
    except Exception as error:  # the hub's client raises its own, httpx's and OSError; all mean: not to be had
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        known = nearest(spec, [*EMBEDDED, *TOYS])
        raise MashqError(f"tokenizer '{spec}': it is not to be had ({first}).{known}") from error
