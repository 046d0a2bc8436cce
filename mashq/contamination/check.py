"""What the test items share with the training rows that streamed past: judged, summed up, written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mashq.contamination.passing import PARTS, RUN, SHOWN, Index, Seen, Settings, alive_rows, distinct, kin_of
from mashq.metrics.score import BINARY, mean_score
from mashq.rows import MashqError, expected_got, id_hex
from mashq.shards import write_whole

__all__ = ["KINDS", "SUBSETS", "Contamination", "check_items", "write"]

KINDS = ("exact", "pair", "ngram", "words", "span", "near", "twin")  # ngram stands for each order: ngram8, ngram13
SUBSETS = ("all", "clean", "untouched", "contaminated", "untold")
ROWS_AT_A_TIME = 2_048
PROMPT, REFERENCE = 0, 1


@dataclass(frozen=True)
class Contamination:
    """What was found. `items`: a line an item; `evidence`: a line per item, stage, part and kind; `summary`: JSON."""

    settings: Settings
    items: pa.Table = field(repr=False)
    evidence: pa.Table = field(repr=False)
    summary: dict[str, Any] = field(repr=False)

    def subset(self, name: str) -> set[str]:
        """Ids (hexadecimal) of the items of one of SUBSETS; `untouched` is what is clean and shares no n-gram at all.

        Raises MashqError for another name.
        """
        if name not in SUBSETS:
            raise MashqError(expected_got("contamination: subset", f"one of {', '.join(SUBSETS)}", f"'{name}'"))
        lines = self.items.select(["item", "verdict", "touched"]).to_pylist()
        wanted = "clean" if name == "untouched" else name
        return {
            line["item"]
            for line in lines
            if name == "all" or (line["verdict"] == wanted and not (name == "untouched" and line["touched"]))
        }


def check_items(
    items: pa.Table,
    stages: Mapping[str, Iterable[pa.Table]],
    *,
    lineage: Callable[[], Iterable[pa.Table]] | None = None,
    formulae: Sequence[str] = (),
    settings: Settings | None = None,
    private: bool = False,
) -> Contamination:
    """Look for test items (rows with `COLUMNS`) in the training rows of each stage, which are read once, in order.

    Prompt turns and references (or a last turn of the assistant) are judged apart, each text by itself:
    * exact: a training text has the same words; pair: a row has the same prompt and answer, of whatever length;
    * ngramN: the share of its n-grams that stand in any text of the stage; words: the share of its words that lie in
      such n-grams of the lowest order; span: the longest span that one text has;
    * near: the highest Jaccard measure with one training text;
    * twin: a training row is or descends from (through any parent) something on the item's own line (first parents; a
      few-shot example before a prompt is not what it was made from). `lineage` gives `id` and `parents` of the steps
      between, as often as asked; without it only the rows' own parents are known.
    An item is contaminated where a value reaches its limit, untold where no text of it is long enough to tell, else
    clean; `touched` where anything of it was found. The result depends on neither the order nor the cut of the tables.

    `private` items may name people: no word of theirs is in the result.

    Raises MashqError where there is no item or stage, two items have one id, a column is absent, a formula is no text.
    """
    chosen = settings or Settings()
    index = Index(alive_rows(items, "test items"), chosen, formulae, shown=0 if private else SHOWN)
    if not stages:
        raise MashqError(expected_got("contamination: stages", "at least one training stage", "none"))
    kin = kin_of(index, lineage)
    seen = Seen(index, kin, chosen)
    for stage, tables in stages.items():
        seen.stage(stage)
        for table in tables:
            alive = alive_rows(table, f"rows of stage '{stage}'")
            for start in range(0, alive.num_rows, ROWS_AT_A_TIME):
                seen.add(alive.slice(start, ROWS_AT_A_TIME))
    return _judged(index, seen, chosen)


# --- judging ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Spans:
    """Every run that a training text and a text of an item share: sorted so that a copied span lies together."""

    text: np.ndarray  # (matches,) of training
    own: np.ndarray  # (matches,) of the items
    at: np.ndarray  # (matches,) occurrence in the index
    left: np.ndarray  # (matches,) runs of the span from here to its end

    @classmethod
    def of(cls, index: Index, text: np.ndarray, place: np.ndarray, run: np.ndarray) -> _Spans:
        order = np.argsort(index.run, kind="stable")
        starts = np.searchsorted(index.run[order], np.arange(len(index.sieve.values) + 1))
        times = (starts[1:] - starts[:-1])[run]
        hit = np.repeat(np.arange(len(run)), times)
        at = order[np.arange(len(hit)) - np.repeat(np.cumsum(times) - times, times) + starts[run[hit]]]
        diagonal = place[hit] - index.place[at]
        order = np.lexsort((at, diagonal, index.text[at], text[hit]))
        text, diagonal, at = text[hit][order], diagonal[order], at[order]
        own = index.text[at]
        new = np.ones(len(at), bool)
        new[1:] = (np.diff(text) != 0) | (np.diff(own) != 0) | (np.diff(diagonal) != 0) | (np.diff(at) != 1)
        begins = np.flatnonzero(new)
        ends = np.append(begins, len(at))[1:]
        return cls(text, own, at, np.repeat(ends, ends - begins) - np.arange(len(at)))


@dataclass
class _Ledger:
    """The highest value of each item, stage, part and kind, with the training row that shows it."""

    lines: dict[tuple[int, int, str, str], tuple[float, float, bytes, str]] = field(default_factory=dict)

    def note(self, key: tuple[int, int, str, str], value: float, limit: float, row: bytes, detail: str = "") -> None:
        known = self.lines.get(key)
        if known is None or (-value, row, detail) < (-known[0], known[2], known[3]):
            self.lines[key] = (value, limit, row, detail)

    def table(self, index: Index, stages: Sequence[str]) -> pa.Table:
        order = sorted(self.lines, key=lambda key: (index.ids[key[0]], *key[1:]))
        found = [self.lines[key] for key in order]
        columns = {
            "item": pa.array([id_hex(index.ids[key[0]]) for key in order], pa.string()),
            "stage": pa.array([stages[key[1]] for key in order], pa.string()),
            "part": pa.array([key[2] for key in order], pa.string()),
            "kind": pa.array([key[3] for key in order], pa.string()),
            "value": pa.array([line[0] for line in found], pa.float64()),
            "limit": pa.array([line[1] for line in found], pa.float64()),
            "reached": pa.array([line[0] >= line[1] for line in found], pa.bool_()),
            "row": pa.array([id_hex(line[2]) for line in found], pa.string()),
            "detail": pa.array([line[3] for line in found], pa.string()),
        }
        return pa.table(columns)


def _judged(index: Index, seen: Seen, settings: Settings) -> Contamination:
    why = _shared_wording(index, seen, settings)
    content = why == ""
    ledger = _Ledger()
    _note_wholes(ledger, index, seen, np.isin(why, ("", "formula")), settings)
    text, place, run = seen.hits()
    lost = ~content[run]  # became common wording after they were kept
    sizes = np.array(seen.sizes, np.int64)
    if lost.any():
        sizes = sizes - distinct(text[lost], run[lost], len(sizes))
    spans = _Spans.of(index, text[~lost], place[~lost], run[~lost])
    touched = _note_spans(ledger, index, seen, spans, content, settings)
    _note_near(ledger, index, seen, spans, sizes, content, settings)
    evidence = ledger.table(index, seen.names)
    items = _item_lines(index, evidence, touched, content, settings)
    return Contamination(settings, items, evidence, _summary(index, seen, items, evidence, why, settings))


def _shared_wording(index: Index, seen: Seen, settings: Settings) -> np.ndarray:
    """For each run "" or why it is no evidence, now that the training rows are known."""
    why = index.common.copy()
    named = np.array([name != "" for name in index.templates])[index.home]  # rows of no template share none
    shares = seen.at_home / np.maximum(seen.of_template[index.home], 1)
    free = why == ""
    why[free & seen.formulae] = "formula"
    why[free & named & (seen.groups >= settings.groups) & (shares >= settings.template_share)] = "template"
    return why


def _note_wholes(ledger: _Ledger, index: Index, seen: Seen, content: np.ndarray, settings: Settings) -> None:
    """Exact copies, pairs of prompt and answer, and twins."""
    long = index.grams(min(settings.orders), content)[1] >= settings.least
    texts = np.flatnonzero(long & index.long)
    of_whole: dict[int, list[int]] = {}
    for text, hashed in zip(texts.tolist(), index.hashes[texts].tolist(), strict=True):
        of_whole.setdefault(hashed, []).append(text)
    for (stage, number), row in seen.wholes.items():
        for text in of_whole.get(int(index.whole.values[number]), ()):
            part = PARTS[index.texts.parts[text]]
            ledger.note((int(index.texts.rows[text]), stage, part, "exact"), 1.0, 1.0, row)
    of_pair: dict[int, list[int]] = {}
    for item, hashed in zip(index.pair_items.tolist(), index.pair_hashes.tolist(), strict=True):
        of_pair.setdefault(hashed, []).append(item)
    for (stage, number), row in seen.couples.items():
        for item in of_pair[int(index.answers.values[number])]:
            ledger.note((item, stage, "item", "pair"), 1.0, 1.0, row)
    for (stage, root), row in seen.twins.items():
        for item in seen.kin.items[root]:
            ledger.note((item, stage, "item", "twin"), 1.0, 1.0, row, id_hex(root))


def _note_spans(
    ledger: _Ledger, index: Index, seen: Seen, spans: _Spans, content: np.ndarray, settings: Settings
) -> set[int]:
    """Shares of n-grams and longest spans; gives the items of which an n-gram of the lowest order was found."""
    stage = np.array(seen.of_stage, np.int64)[spans.text]
    told = index.told(settings, content)
    touched: set[int] = set()
    for order in settings.orders:
        found = np.flatnonzero(spans.left >= order - RUN + 1)
        total = index.grams(order, content)[1]
        if order == min(settings.orders):
            touched = set(index.texts.rows[spans.own[found]].tolist())
        size = len(index.run)
        here = np.unique(stage[found] * size + spans.at[found])  # each n-gram of each stage once
        cells, counts = np.unique(here // size * len(told) + index.text[here % size], return_counts=True)
        best = _fullest(seen, index, spans, found)
        if order == min(settings.orders):
            _note_words(ledger, index, stage[found], spans.at[found], best, content, settings)
        for cell, count in zip(cells.tolist(), counts.tolist(), strict=True):
            number, text = divmod(cell, len(told))
            if told[text] and total[text] >= settings.least:
                key = (int(index.texts.rows[text]), number, PARTS[index.texts.parts[text]], f"ngram{order}")
                ledger.note(key, count / int(total[text]), settings.share, best[number, text])
    for at in _longest(seen.ids, stage, spans):
        own, place, words = int(spans.own[at]), int(index.place[spans.at[at]]), int(spans.left[at]) + RUN - 1
        if told[own]:
            key = (int(index.texts.rows[own]), int(stage[at]), PARTS[index.texts.parts[own]], "span")
            ledger.note(key, words, settings.span, seen.ids[spans.text[at]], index.words(own, place, words))
    return touched


def _note_words(
    ledger: _Ledger,
    index: Index,
    stage: np.ndarray,
    at: np.ndarray,
    best: Mapping[tuple[int, int], bytes],
    content: np.ndarray,
    settings: Settings,
) -> None:
    """Shares of words that lie in n-grams of the lowest order that a stage has."""
    order = min(settings.orders)
    every = index.covered(order, np.flatnonzero(index.grams(order, content)[0]))
    told = index.told(settings, content)
    for number in np.unique(stage).tolist():
        here = index.covered(order, np.unique(at[stage == number]))
        for text in np.flatnonzero((here > 0) & told).tolist():
            key = (int(index.texts.rows[text]), number, PARTS[index.texts.parts[text]], "words")
            ledger.note(key, int(here[text]) / int(every[text]), settings.share, best[number, text])


def _ranks(ids: Sequence[bytes]) -> np.ndarray:
    """The place of each id among all in sorted order; of equal values the row of the least id is shown."""
    return np.unique(np.array(ids, dtype="S16"), return_inverse=True)[1] if ids else np.zeros(0, np.int64)


def _fullest(seen: Seen, index: Index, spans: _Spans, found: np.ndarray) -> dict[tuple[int, int], bytes]:
    """For each stage and text of an item: the row of the training text that has most of its n-grams."""
    many, size = len(index.texts.rows), len(index.run)
    here = np.unique(spans.text[found] * size + spans.at[found])
    cells, counts = np.unique(here // size * many + index.text[here % size], return_counts=True)
    text, own = cells // many, cells % many
    stage = np.array(seen.of_stage, np.int64)[text]
    best: dict[tuple[int, int], bytes] = {}
    for place in np.lexsort((_ranks(seen.ids)[text], -counts, own, stage)).tolist():
        best.setdefault((int(stage[place]), int(own[place])), seen.ids[text[place]])
    return best


def _longest(ids: Sequence[bytes], stage: np.ndarray, spans: _Spans) -> list[int]:
    """For each stage and text of an item: the match at which the longest span begins."""
    order = np.lexsort((spans.at, _ranks(ids)[spans.text], -spans.left, spans.own, stage))
    pairs = np.stack([stage[order], spans.own[order]], axis=1)
    new = np.ones(len(order), bool)
    new[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return order[new].tolist()


def _note_near(
    ledger: _Ledger,
    index: Index,
    seen: Seen,
    spans: _Spans,
    sizes: np.ndarray,
    content: np.ndarray,
    settings: Settings,
) -> None:
    """Jaccard's measure of the runs of a training text and of a text of an item, without common wording in either."""
    told = index.told(settings, content)
    kept = content[index.run]
    mine = distinct(index.text[kept], index.run[kept], len(told))
    cells, cell = np.unique(spans.text * len(told) + spans.own, return_inverse=True)
    both = distinct(cell, index.run[spans.at], len(cells))  # a run that stands twice in a text counts once
    texts, owns = cells // len(told), cells % len(told)
    measure = both / np.maximum(sizes[texts] + mine[owns] - both, 1)
    for place in np.flatnonzero(told[owns] & (measure >= settings.near / 2)):
        text, own = int(texts[place]), int(owns[place])
        key = (int(index.texts.rows[own]), seen.of_stage[text], PARTS[index.texts.parts[own]], "near")
        ledger.note(key, float(measure[place]), settings.near, seen.ids[text])


# --- what is told ----------------------------------------------------------------------------------------------------


def _item_lines(
    index: Index, evidence: pa.Table, touched: set[int], content: np.ndarray, settings: Settings
) -> pa.Table:
    """One line an item, in the order of the ids."""
    kinds: dict[str, dict[str, None]] = {}
    stages: dict[str, dict[str, None]] = {}
    for line in evidence.filter(evidence["reached"]).to_pylist():
        kinds.setdefault(line["item"], {})[line["kind"]] = None
        stages.setdefault(line["item"], {})[line["stage"]] = None
    counts = index.grams(min(settings.orders), content)[1]
    told = np.bincount(index.texts.rows[index.told(settings, content)], minlength=len(index.ids)) > 0
    sums = [np.zeros(len(index.ids), np.int64) for _ in range(3)]
    for part in (PROMPT, REFERENCE):
        np.add.at(
            sums[part], index.texts.rows[index.texts.parts == part], index.texts.lengths[index.texts.parts == part]
        )
    np.add.at(sums[2], index.texts.rows, counts)
    order = sorted(range(len(index.ids)), key=lambda place: index.ids[place])
    names = [id_hex(index.ids[place]) for place in order]
    verdicts = [
        "contaminated" if name in kinds else "clean" if told[place] else "untold"
        for name, place in zip(names, order, strict=True)
    ]
    columns = {
        "item": pa.array(names, pa.string()),
        "group": pa.array([index.groups[place] for place in order], pa.string()),
        "template": pa.array([index.templates[index.template[place]] for place in order], pa.string()),
        "verdict": pa.array(verdicts, pa.string()),
        "touched": pa.array([place in touched or name in kinds for name, place in zip(names, order, strict=True)]),
        "kinds": pa.array([list(kinds.get(name, ())) for name in names], pa.list_(pa.string())),
        "stages": pa.array([list(stages.get(name, ())) for name in names], pa.list_(pa.string())),
        "prompt_words": pa.array(sums[PROMPT][order]),
        "reference_words": pa.array(sums[REFERENCE][order]),
        "ngrams": pa.array(sums[2][order]),
    }
    return pa.table(columns)


def _summary(
    index: Index, seen: Seen, items: pa.Table, evidence: pa.Table, why: np.ndarray, settings: Settings
) -> dict[str, Any]:
    names, groups = items["item"].to_pylist(), items["group"].to_pylist()
    verdicts = items["verdict"].to_pylist()
    reached = evidence.filter(evidence["reached"]).to_pylist()

    def share(having: set[str]) -> dict[str, Any]:
        values = [float(name in having) for name in names]
        score = mean_score(values, name="contaminated", signature=BINARY, groups=groups)
        return {"n": len(having), "share": score.value, "low": score.low, "high": score.high}

    by_order = [f"ngram{order}" for order in settings.orders]
    kinds = [name for kind in KINDS for name in (by_order if kind == "ngram" else [kind])]
    stages = []
    for stage, counts in zip(seen.names, seen.counts, strict=True):
        here = [line for line in reached if line["stage"] == stage]
        by_kind = {kind: share({line["item"] for line in here if line["kind"] == kind}) for kind in kinds}
        stages.append(
            {"stage": stage, **counts, "contaminated": share({line["item"] for line in here}), "kinds": by_kind}
        )
    whole = share({line["item"] for line in reached})
    untold = verdicts.count("untold")
    told = index.told(settings, why == "")
    return {
        "signature": settings.signature,
        "settings": asdict(settings),
        "items": len(names),
        "groups": len(set(groups)),
        **_verdict(whole, untold, len(names), settings),
        "contaminated": whole,
        "clean": verdicts.count("clean"),
        "untold": untold,
        "touched": sum(items["touched"].to_pylist()),
        "too_short": {part: _untold(index, place, told) for place, part in enumerate(PARTS)},
        "stages": stages,
        "common_wording": _wording_lines(index, seen, why),
    }


def _untold(index: Index, part: int, told: np.ndarray) -> int:
    """How many items have texts of this part of which none can be judged."""
    here = index.texts.parts == part
    return len(np.setdiff1d(index.texts.rows[here], index.texts.rows[here & told]))


def _verdict(whole: Mapping[str, Any], untold: int, n: int, settings: Settings) -> dict[str, str]:
    """The verdict on the whole test set and its reason."""
    said = f"{whole['n']} of {n} items ({whole['share']:.1%})"
    if whole["share"] > settings.most:
        return {"verdict": "contaminated", "reason": f"contaminated: {said} > {settings.most:.1%}"}
    if untold * 2 > n:
        return {"verdict": "untold", "reason": f"untold: {untold} of {n} items are too short to tell or shared wording"}
    return {"verdict": "clean", "reason": f"clean: {said} <= {settings.most:.1%}, {untold} too short to tell"}


def _wording_lines(index: Index, seen: Seen, why: np.ndarray) -> list[dict[str, Any]]:
    """The spans that were left out because they are shared, the most frequent first, at most `SHOWN`."""
    common = np.flatnonzero(why[index.run] != "")
    if not len(common):
        return []
    kind = why[index.run[common]]
    new = np.ones(len(common), bool)
    new[1:] = (np.diff(common) != 1) | (np.diff(index.text[common]) != 0) | (kind[1:] != kind[:-1])
    found: dict[tuple[bytes, str], list[int]] = {}
    for place, size in zip(np.flatnonzero(new), np.diff(np.append(np.flatnonzero(new), len(common))), strict=True):
        at = common[place : place + size]
        found.setdefault((index.run[at].tobytes(), str(kind[place])), []).append(int(at[0]))
    lines: list[dict[str, Any]] = []
    for (data, name), places in found.items():
        runs = np.frombuffer(data, dtype=index.run.dtype)
        words = index.words(int(index.text[places[0]]), int(index.place[places[0]]), len(runs) + RUN - 1)
        items = len(set(index.texts.rows[index.text[places]].tolist()))
        groups = min(int(seen.groups[runs].min()), seen.enough)  # counted no further
        lines.append({"text": words, "why": name, "items": items, "training_groups": groups})
    return sorted(lines, key=lambda line: (-line["items"], -line["training_groups"], line["text"]))[:SHOWN]


# --- writing ---------------------------------------------------------------------------------------------------------


def write(found: Contamination, out: Path, scores: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write `items.parquet`, `evidence.parquet` and `contamination.json` (the summary, and `subset_scores` under
    `scores`) into a folder, and give what the last holds. Equal findings give equal bytes.
    """
    out.mkdir(parents=True, exist_ok=True)
    document = {**found.summary, "scores": dict(scores) if scores is not None else None}
    for name, table in (("items", found.items), ("evidence", found.evidence)):
        with write_whole(out / f"{name}.parquet") as partial:
            pq.write_table(table, partial, compression="zstd")
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    with write_whole(out / "contamination.json") as partial:
        partial.write_text(text, encoding="utf-8")
    return document
