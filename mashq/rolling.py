"""Rolling likelihood: how likely a model finds whole texts, for perplexity and bits per byte without a prompt.

Equal to lm-evaluation-harness's `loglikelihood_rolling` on the same texts (`benchmarks/lm_eval.py`), the token that
begins a text apart, see `rolling`. Finished batches stand in a book beside the ledger and are not computed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mashq import chat, targets
from mashq.choices import first_id, plain_ids, target_sums
from mashq.generate import ROWS_PER_BATCH, Likelihood, Student, _batches, _Book
from mashq.rows import MashqError, expected_got

__all__ = ["rolling"]

WINDOW = 2048  # ids read at once by a model that does not say how many it was built for


def rolling(
    student: Student,
    texts: Sequence[str],
    *,
    window: int | None = None,
    begin: str = "once",
    ledger: Path | None = None,
) -> list[Likelihood | None]:
    """-log P of whole texts without a prompt, in nats, with their tokens and UTF-8 bytes; None for an empty text.

    The first token is read after the tokenizer's beginning-of-text token (its end-of-text token where it has none),
    which is not charged. A text longer than `window` ids (default: the model's positions, 2,048 where it does not say)
    is read in windows: each begins after the last id of the one before, and the last one reaches back to be full.

    begin: "once" charges the text's own ids alone. "tokenizer" charges what the tokenizer puts before a text too: so
    lm-evaluation-harness does where a tokenizer adds its beginning of text (Gemma, Llama), and with it every text has
    one token more, the beginning of text after itself. For other tokenizers the two are one.

    Raises MashqError for a window below 1, an unknown `begin`, a tokenizer with neither token, and a text with half of
    a surrogate pair.
    """
    first = first_id(student.tokenizer)
    if first is None:
        raise MashqError("rolling: this tokenizer has no token that begins or ends a text, so none to read after.")
    if begin not in ("once", "tokenizer"):
        raise MashqError(expected_got("rolling: begin", "'once' or 'tokenizer'", repr(begin)))
    window = window if window is not None else student.longest or WINDOW
    if window < 1:
        raise MashqError(expected_got("rolling: window", "at least 1 token", str(window)))
    _check_texts(texts)
    spoken = [place for place, text in enumerate(texts) if text]
    how = "tokenizer" if begin == "tokenizer" else "never"
    ids = plain_ids([texts[place] for place in spoken], student.tokenizer, how)
    pieces = [(place, *cut) for place, one in zip(spoken, ids, strict=True) for cut in _windows(one, first, window)]
    sums = dict.fromkeys(spoken, 0.0)
    for (place, _, _), nats in zip(pieces, _piece_nats(student, [cut for _, *cut in pieces], ledger), strict=True):
        sums[place] += nats
    known = dict(zip(spoken, map(len, ids), strict=True))
    return [
        Likelihood(sums[place], known[place], len(text.encode())) if known.get(place) else None
        for place, text in enumerate(texts)
    ]


def _check_texts(texts: Sequence[str]) -> None:
    for place, text in enumerate(texts):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            got = f"half of a surrogate pair at character {error.start + 1}"
            raise MashqError(expected_got(f"rolling: text {place}", "Unicode text", got)) from error


def _windows(ids: Sequence[int], first: int, window: int) -> Iterator[tuple[list[int], list[int]]]:
    """(ids that are only read, ids that are charged) of each window; every id is charged once.

    After lm-evaluation-harness's rolling windows with a context of one id.
    """
    done = 0
    while done < len(ids):
        end = min(done + window, len(ids))
        start = max(end - window, 0)  # the model reads `window` ids: the one before `start` and all but the last
        before = [first] if start == 0 else [ids[start - 1]]
        yield [*before, *ids[start:done]], list(ids[done:end])
        done = end


def _piece_nats(student: Student, pieces: Sequence[Sequence[list[int]]], ledger: Path | None) -> list[float]:
    """The summed nats of the second list of each pair after the first."""
    book = _Book(ledger, "rolling", [student.identity])
    pad = chat.pad_id(student.tokenizer, student.model.get_input_embeddings().weight.shape[0])
    sums = [0.0] * len(pieces)
    lengths = {place: len(read) + len(charged) for place, (read, charged) in enumerate(pieces)}
    for members in _batches(lengths, ROWS_PER_BATCH):
        part = [ids for place in members for ids in pieces[place]]
        stored = book.get(part)
        if stored is None:
            whole = [read + charged for read, charged in (pieces[place] for place in members)]
            labels = [[targets.IGNORED] * len(read) + charged for read, charged in (pieces[place] for place in members)]
            stored = [{"nats": nats} for nats in target_sums(student.model, whole, labels, pad)]
            book.put(part, stored)
        for place, one in zip(members, stored, strict=True):
            sums[place] = one["nats"]
    return sums
