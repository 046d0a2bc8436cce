"""XLM-R's tokenizer: the ids that COMET checkpoints were trained with.

Read by `tokenizers` itself from `tokenizer.json`, or put together from `sentencepiece.bpe.model` as Transformers 4 did,
so that no later rebuilding of XLM-R's normaliser changes an id under a score. SentencePiece's own ids are others: it
knows no <s> or <mask> in a text, and it maps characters by longest match, not by grapheme (81 of 3,000 adverse strings
of marks, ligatures and rare spaces; ours equalled Transformers 4.57 on all).
"""

from __future__ import annotations

import functools
import importlib
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mashq.lm.weights import _first_line, _need
from mashq.rows import MashqError

__all__ = ["TOKENIZERS", "Tokens"]

NEED = "pip install 'mashq[translate]'"
TOKENIZERS = ("tokenizer.json", "sentencepiece.bpe.model")  # the first that a folder has is read


class Tokens:
    """Text -> ids as XLMRobertaTokenizerFast of Transformers 4 gives them, without the marks around them.

    `path` is the file that decides them; `start`, `end`, `pad` are the ids of <s>, </s>, <pad>; `size` counts the ids.
    Raises MashqError where the file is damaged or is not XLM-R's.
    """

    def __init__(self, folder: Path):
        tokenizers = _need("tokenizers", "a COMET checkpoint", NEED)
        self.path = next(folder / name for name in TOKENIZERS if (folder / name).is_file())
        try:
            fast = tokenizers.Tokenizer.from_file(str(self.path)) if self.path.suffix == ".json" else rebuilt(self.path)
        except Exception as error:  # tokenizers raises Exception itself
            raise MashqError(f"{self.path}: is no tokenizer ({_first_line(error)}). Download it again.") from error
        fast.no_truncation()
        fast.no_padding()
        marks = [fast.token_to_id(mark) for mark in ("<s>", "</s>", "<pad>")]
        if None in marks:
            raise MashqError(f"{self.path}: expected XLM-R's tokens <s>, </s> and <pad>; one of them is missing.")
        self.start, self.end, self.pad = marks
        self.size: int = fast.get_vocab_size()
        self.ids: Callable[[str], list[int]] = functools.lru_cache(1 << 16)(
            lambda text: fast.encode(text, add_special_tokens=False).ids
        )


def rebuilt(path: Path) -> Any:
    """A SentencePiece file -> a `tokenizers.Tokenizer`, put together as Transformers 4 does for XLM-R.

    Ids are fairseq's: <s>, <pad>, </s>, <unk>, the pieces from the fourth on, <mask>.
    """
    tokenizers = importlib.import_module("tokenizers")
    normalizers, metaspace = tokenizers.normalizers, tokenizers.pre_tokenizers.Metaspace
    pieces, charsmap = _pieces(path.read_bytes())
    marks = [(mark, 0.0) for mark in ("<s>", "<pad>", "</s>", "<unk>")]
    fast = tokenizers.Tokenizer(tokenizers.models.Unigram([*marks, *pieces[3:], ("<mask>", 0.0)], unk_id=3))
    steps = [normalizers.Strip(left=False, right=True), normalizers.Replace(tokenizers.Regex(" {2,}"), "▁")]
    fast.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap), *steps] if charsmap else steps)
    fast.pre_tokenizer = metaspace(replacement="▁", prepend_scheme="always")
    added = [tokenizers.AddedToken(mark, normalized=False, special=True) for mark, _ in marks]
    fast.add_special_tokens([*added, tokenizers.AddedToken("<mask>", lstrip=True, special=True)])
    return fast


def _pieces(data: bytes) -> tuple[list[tuple[str, float]], bytes]:
    """A serialised SentencePiece ModelProto -> its pieces with their scores, and its map of characters."""
    pieces, charsmap = [], b""
    for field, value in _fields(data):
        if field == 1:
            piece = dict(_fields(value))
            pieces.append((piece[1].decode(), struct.unpack("<f", piece.get(2, bytes(4)))[0]))
        elif field == 3:
            charsmap = dict(_fields(value)).get(2, b"")
    return pieces, charsmap


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Protocol buffers on the wire: (field number, int or bytes), in order. Raises ValueError, IndexError on damage."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while at < len(data):
        field, wire = divmod(number(), 8)
        if wire == 0:
            yield field, number()
            continue
        size = number() if wire == 2 else {1: 8, 5: 4}.get(wire, -1)
        if size < 0 or at + size > len(data):
            raise ValueError(f"no SentencePiece model: wire type {wire} at byte {at}")
        yield field, data[at : at + size]
        at += size
