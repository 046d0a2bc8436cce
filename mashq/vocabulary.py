"""More tokens for Arabic: merges learnt on top of a byte-pair tokenizer's own, and vectors to start them with.

A tokenizer that cuts Arabic into bytes or single letters makes every step dear. Here byte-pair learning (Sennrich et
al. 2016, arXiv 1508.07909) goes on where the tokenizer's maker stopped, on the words of the training rows as the
tokenizer cuts them now. New merges rank below all old ones, so a text without those words has the ids it had. A new
token's vector starts as the mean of the vectors of the tokens that it stands for.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import regex

from mashq.rows import MashqError, expected_got

__all__ = ["added", "extended", "grow", "learnt_merges", "trained_rows", "with_new_tokens"]

Merge = tuple[str, str]
Word = tuple[str, ...]
TEXTS = 1_000  # tokenised at a time
WORD_START = "▁"  # SentencePiece's mark for a space
ARABIC = regex.compile(r"\p{Arabic}")
BYTE = regex.compile(r"<0x[0-9A-F]{2}>")
NOTE = "mashq_new_tokens"  # in the tokenizer's settings: how many tokens were added


def learnt_merges(tokenizer: Any, texts: Iterable[str], count: int) -> list[Merge]:
    """The merges that make `count` new tokens, in their order; fewer where no pair stands twice. Ties by spelling.

    Raises MashqError for a tokenizer that does not merge pairs (Unigram, WordPiece).
    """
    known = set(_state(tokenizer)["model"]["vocab"])
    words = _words(tokenizer, texts)
    pairs: Counter[Merge] = Counter()
    where: dict[Merge, set[int]] = defaultdict(set)
    held = [list(word) for word in words]
    times = list(words.values())
    for place, word in enumerate(held):
        _count(word, times[place], place, pairs, where)
    merges: list[Merge] = []
    made = 0
    while made < count and pairs:
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs[best] < 2:
            break
        merges.append(best)
        made += "".join(best) not in known
        for place in sorted(where[best]):
            _count(held[place], -times[place], place, pairs, where)
            held[place] = _merged(held[place], best)
            _count(held[place], times[place], place, pairs, where)
    return merges


def _count(word: Sequence[str], times: int, place: int, pairs: Counter[Merge], where: dict[Merge, set[int]]) -> None:
    for pair in itertools.pairwise(word):
        if not any(map(BYTE.fullmatch, pair)):
            pairs[pair] += times
            where[pair].add(place)
            if not pairs[pair]:
                del pairs[pair]


def _merged(word: Sequence[str], pair: Merge) -> list[str]:
    made: list[str] = []
    for token in word:
        if made and (made[-1], token) == pair:
            made[-1] += token
        else:
            made.append(token)
    return made


def _words(tokenizer: Any, texts: Iterable[str]) -> Counter[Word]:
    """Words with Arabic in them as the tokenizer cuts them -> how often."""
    backend = tokenizer.backend_tokenizer
    found: Counter[Word] = Counter()
    batch: list[str] = []

    def take() -> None:
        for encoding in backend.encode_batch(batch, add_special_tokens=False):
            found.update(_cut(encoding.tokens, encoding.word_ids))
        batch.clear()

    for text in texts:
        batch.append(text)
        if len(batch) == TEXTS:
            take()
    take()
    return Counter({word: n for word, n in found.items() if len(word) > 1 and _is_arabic(backend, word)})


def _cut(tokens: Sequence[str], places: Sequence[int | None]) -> Iterator[Word]:
    word: list[str] = []
    before: int | None = None
    for token, place in zip(tokens, places, strict=True):
        if word and (place != before or token.startswith(WORD_START)):
            yield tuple(word)
            word = []
        word.append(token)
        before = place
    if word:
        yield tuple(word)


def _is_arabic(backend: Any, word: Word) -> bool:
    text = backend.decoder.decode(list(word)) if backend.decoder else "".join(word)
    return bool(ARABIC.search(text))


# --- a tokenizer with more tokens ------------------------------------------------------------------------------------


def extended(tokenizer: Any, merges: Sequence[Merge]) -> Any:
    """The tokenizer with these merges after its own, and a token for each that it had none for."""
    from transformers import AutoTokenizer

    state = _state(tokenizer)
    model, old = state["model"], state["model"]["merges"]
    spaced = bool(old) and isinstance(old[0], str)  # "a b", as tokenizers wrote before 0.20
    free = len(tokenizer)
    for one, two in merges:
        old.append(f"{one} {two}" if spaced else [one, two])
        if one + two not in model["vocab"]:
            model["vocab"][one + two] = free
            free += 1
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        place = Path(folder)
        (place / "tokenizer.json").write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
        about = json.loads((place / "tokenizer_config.json").read_text(encoding="utf-8"))
        about[NOTE] = free - len(tokenizer)
        (place / "tokenizer_config.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
        return _like(AutoTokenizer.from_pretrained(folder), tokenizer)


def with_new_tokens(model: Any, tokenizer: Any, adapter: Path) -> Any:
    """The tokenizer that an adapter brings for its new tokens, the model grown to it; else the one given."""
    if not (adapter / "tokenizer.json").exists():
        return tokenizer
    from transformers import AutoTokenizer

    own = _like(AutoTokenizer.from_pretrained(adapter), tokenizer)
    grow(model, own)
    return own


def _like(made: Any, tokenizer: Any) -> Any:
    if hasattr(tokenizer, "mashq_frame"):
        made.mashq_frame = tokenizer.mashq_frame
    return made


def _state(tokenizer: Any) -> dict[str, Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    state: dict[str, Any] = json.loads(backend.to_str()) if backend is not None else {"model": {"type": "no fast one"}}
    if state["model"]["type"] != "BPE":
        kind = state["model"]["type"]
        raise MashqError(expected_got("train: new_tokens", "a tokenizer that merges pairs (BPE)", kind, "Set it to 0."))
    return state


def added(tokenizer: Any) -> list[int]:
    """The ids of the tokens that `extended` added; they are the last ones."""
    count = int(tokenizer.init_kwargs.get(NOTE, 0))
    return list(range(len(tokenizer) - count, len(tokenizer)))


# --- a model with more vectors ---------------------------------------------------------------------------------------


def grow(model: Any, tokenizer: Any, merges: Sequence[Merge] = ()) -> None:
    """Vectors for all tokens: those of merges' tokens start as the mean of their parts', part after part.

    Without merges the vectors are only made room for (an adapter that is loaded next holds their values).
    """
    import torch

    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    tables = {id(layer.weight): layer.weight for layer in _layers(model).values()}
    parts = _parts(tokenizer, merges)
    with torch.no_grad():
        for table in tables.values():
            for token, those in parts.items():
                table[token] = table[those].float().mean(0).to(table.dtype)


def _parts(tokenizer: Any, merges: Sequence[Merge]) -> dict[int, list[int]]:
    """New token's id -> the old ids that stood in its place."""
    fresh = set(added(tokenizer))
    parts: dict[int, list[int]] = {}
    for one, two in merges:
        ids = [int(tokenizer.convert_tokens_to_ids(token)) for token in (one + two, one, two)]
        if ids[0] in fresh and ids[0] not in parts:
            parts[ids[0]] = [old for part in ids[1:] for old in parts.get(part, [part])]
    return parts


def _layers(model: Any) -> dict[str, Any]:
    """Name -> the layer that holds a vector a token: the first one, and the last where it has its own."""
    own = {"first": model.get_input_embeddings(), "last": model.get_output_embeddings()}
    names = {id(module): name for name, module in model.named_modules()}
    found = {names[id(layer)].rpartition(".")[2]: layer for layer in own.values() if layer is not None}
    first, *rest = found.items()
    return dict([first, *(one for one in rest if one[1].weight is not first[1].weight)])


def trained_rows(model: Any, tokenizer: Any) -> dict[str, list[int]] | None:
    """PEFT's `trainable_token_indices`: of each layer with vectors the rows that are trained; None without new ones."""
    ids = added(tokenizer)
    return dict.fromkeys(_layers(model), ids) if ids else None
