"""Cleaning of Arabic social text: mashq's profiles beside camel-tools, AraBERT's preprocessing and smaller packages.

    python benchmarks/cleaning.py --peers peers/bin/python                 # prints the page
    python benchmarks/cleaning.py --peers peers/bin/python --write docs/benchmarks/cleaning.md

Peers live in an environment of their own, because AraBERT's package wants an old `emoji`:

    python -m venv peers && peers/bin/pip install --no-deps camel-tools==1.6.0 six docopt pyrsistent muddler \\
        editdistance emoji==1.4.2 arabert==1.0.1 PyArabic==0.6.15 arabic-norm==0.1.0 aranorm==1.2.0 \\
        arabic-cleaner==0.1.0

Lines are the tweets of $MASHQ_DATA/arsarcasm_v2_train.csv, or without it sentences of this file's own; they are cycled
and each gets a running number, until there are --lines of them. Where two contenders mean the same, their outputs are
compared first, on the lines without numbers. Then every contender runs --repeats times in turn, each in a process of
its own with one thread; a peer on --peer-lines lines. Times are CPU seconds of that process, without imports.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PROFILES = {
    "mashq minimal": ("minimal", {}),
    "mashq social": ("social", {}),
    "mashq social, copies kept": ("social", {"near_duplicate": {"on": False}}),
    "mashq arclean": ("arclean", {}),
    "mashq arabert": ("arabert", {}),
    "mashq arabert, tweets": ("arabert", {"arabert": {"emoji": "keep"}}),
}
SAME = {  # what means the same as a peer
    "camel-tools arclean": "mashq arclean",
    "arabert v0.2": "mashq arabert",
    "arabert v0.2 twitter": "mashq arabert, tweets",
}
OWN = (
    "@user_{0} شكرااااا على التوصيل السريع 😂😂 https://example.com/{0}",
    "الطلب رقم {0} وصل متأخر أسبوع كامل والدعم ما يرد!!!!",
    "RT @shop: خصم 20% على كل المنتجات #عروض_اليوم",
    "يا جماعة مين جرب الخدمة دي؟؟ أنا محتاجها ضروري هههههههه",
    "قَالَ المُدَرِّسُ: اِقْرَؤُوا الدَّرْسَ جَيِّدًا ثُمَّ أَجِيبُوا",
    "التطبيق ما يفتح من أمس، حاولت {0} مرات &amp; ولا فايدة",
    "الجو اليوم جمييييل #صباح_الخير 🌸",
    "واش كاين شي حل لهاد المشكل؟ عييت نعيط ليهم",
)

Work = Callable[[Sequence[str]], Sequence[str]]


def one_by_one(function: Callable[[str], str]) -> Work:
    """A function of one text as one of many."""
    return lambda lines: [function(line) for line in lines]


def _camel() -> Work:
    from camel_tools.utils.charmap import CharMapper

    return one_by_one(CharMapper.builtin_mapper("arclean").map_string)


def _arabert(model: str) -> Work:
    from arabert.preprocess import ArabertPreprocessor

    return one_by_one(ArabertPreprocessor(model).preprocess)


def _pyarabic() -> Work:
    from pyarabic import araby

    return one_by_one(lambda text: araby.strip_tatweel(araby.strip_tashkeel(text)))


def _arabic_norm() -> Work:
    import arabic_norm

    return one_by_one(arabic_norm.normalize)


def _aranorm() -> Work:
    from aranorm import ArabicNormalizationPipeline

    pipeline = ArabicNormalizationPipeline()
    return one_by_one(lambda text: pipeline.process(text).normalized_text)


def _arabic_cleaner() -> Work:
    import arabic_cleaner

    return one_by_one(arabic_cleaner.clean_text)


PEERS: dict[str, Callable[[], Work]] = {
    "camel-tools arclean": _camel,
    "arabert v0.2": lambda: _arabert("bert-base-arabertv02"),
    "arabert v0.2 twitter": lambda: _arabert("bert-base-arabertv02-twitter"),
    "pyarabic marks and tatweel": _pyarabic,
    "arabic-norm": _arabic_norm,
    "aranorm": _aranorm,
    "arabic-cleaner": _arabic_cleaner,
}


def _mashq(name: str) -> Work:
    from mashq import clean

    profile = clean.open_profile(*PROFILES[name])
    return lambda lines: clean.clean(lines, profile).texts


def worker(name: str, source: str, out: str) -> None:
    """Clean the lines of a file (JSON), write them where asked, print CPU seconds; one warm-up on 200 lines before."""
    lines = json.loads(Path(source).read_text(encoding="utf-8"))
    work = _mashq(name) if name in PROFILES else PEERS[name]()
    work(lines[:200])
    start = time.process_time()
    made = work(lines)
    took = time.process_time() - start
    if out:
        Path(out).write_text(json.dumps(list(made)), encoding="utf-8")
    print(json.dumps(took))


@dataclass(frozen=True)
class Contender:
    """What runs, and by which Python."""

    name: str
    python: str

    def run(self, source: Path, out: Path | None = None) -> float | str:
        """CPU seconds, or the last line of what went wrong."""
        command = [
            self.python,
            "-X",
            "utf8",
            str(Path(__file__).resolve()),
            "--worker",
            self.name,
            str(source),
            str(out or ""),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, check=False)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["no message"])[-1]
        return float(json.loads(done.stdout.strip().splitlines()[-1]))


# --- lines -----------------------------------------------------------------------------------------------------------


def real() -> list[str]:
    """The tweets, or an empty list where they are not there."""
    path = Path(os.environ.get("MASHQ_DATA", "")) / "arsarcasm_v2_train.csv"
    if not os.environ.get("MASHQ_DATA") or not path.exists():
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [row["tweet"] for row in csv.DictReader(file)]


def cycled(texts: Sequence[str], n: int) -> list[str]:
    """n lines: the texts over and over, each with a running number of its own."""
    return [f"{texts[place % len(texts)]} {place}" for place in range(n)]


PAGE = """# Cleaning Arabic social text: profiles, and other packages beside them

Made by `python benchmarks/cleaning.py {said}` on
{machine}.
The machine was shared with other work. Every contender runs in a process of its own with one thread, {repeats} times,
taking turns; times are CPU seconds of that process (median, least and most), without imports.

Lines: {lines:,}, from {told}, cycled, each with a running number; without it {unique:.1%} are unique. On average
{characters:.0f} characters. Peers run on the first {part:,}.

## Equal outputs

{same}

## Speed

They do not do the same work: pyarabic, arabic-norm and aranorm fold letters; arclean maps characters; arabert replaces
addresses and separates marks; minimal repairs damage; social runs its 24 rules until nothing changes.

| contender | lines | CPU s | lines/s |
|---|---|---|---|
{rows}
"""


# --- the page --------------------------------------------------------------------------------------------------------


def equality(peer: Contender, ours: Contender, texts: Sequence[str], folder: Path) -> str:
    """How many texts come out the same, and the first that do not."""
    source, theirs_out, ours_out = folder / "equal.json", folder / "theirs.json", folder / "ours.json"
    source.write_text(json.dumps(list(texts)), encoding="utf-8")
    for contender, out in ((peer, theirs_out), (ours, ours_out)):
        took = contender.run(source, out)
        if isinstance(took, str):
            return f"- {contender.name}: did not run ({took})"
    theirs, mine = (json.loads(path.read_text(encoding="utf-8")) for path in (theirs_out, ours_out))
    other = [(a, b, c) for a, b, c in zip(texts, theirs, mine, strict=True) if b != c]
    line = f"- {ours.name} and {peer.name}: {len(texts) - len(other):,} of {len(texts):,} lines equal."
    return "\n".join([line, *(f"  - differs: {_shown(b, c)}" for _, b, c in other[:5])])


def _shown(theirs: str, mine: str) -> str:
    """Two outputs from where they part."""
    at = next((i for i, (a, b) in enumerate(zip(theirs, mine, strict=False)) if a != b), min(len(theirs), len(mine)))
    return f"theirs `{theirs[max(0, at - 10) : at + 20]!a}`, ours `{mine[max(0, at - 10) : at + 20]!a}`"


def timings(contenders: Sequence[tuple[Contender, Path, int]], repeats: int) -> list[str]:
    """A row of the table for each; all take turns, repeat after repeat."""
    times: dict[str, list[float]] = {}
    faults: dict[str, str] = {}
    for _ in range(repeats):
        for contender, source, _n in contenders:
            if contender.name not in faults:
                took = contender.run(source)
                if isinstance(took, str):
                    faults[contender.name] = took
                else:
                    times.setdefault(contender.name, []).append(took)
    rows = []
    for contender, _source, n in contenders:
        if contender.name in faults:
            rows.append(f"| {contender.name} | did not run: {faults[contender.name]} | | |")
            continue
        took = sorted(times[contender.name])
        middle = statistics.median(took)
        rows.append(f"| {contender.name} | {n:,} | {middle:.2f} ({took[0]:.2f}-{took[-1]:.2f}) | {n / middle:,.0f} |")
    return rows


def page(arguments: argparse.Namespace, folder: Path) -> str:
    """The whole page."""
    from sheet import machine

    texts = real()
    told = f"{len(texts):,} tweets of ArSarcasm v2" if texts else f"{len(OWN)} sentences of this script's own"
    texts = texts or [text.format(place) for place, text in enumerate(OWN * 50)]
    lines = cycled(texts, arguments.lines)
    unique = len(dict.fromkeys(texts[: len(lines)])) / len(lines)
    whole, part = folder / "lines.json", folder / "part.json"
    whole.write_text(json.dumps(lines), encoding="utf-8")
    part.write_text(json.dumps(lines[: arguments.peer_lines]), encoding="utf-8")
    ours = {name: Contender(name, sys.executable) for name in PROFILES}
    peers = {name: Contender(name, arguments.peers) for name in PEERS} if arguments.peers else {}
    same = [equality(peers[peer], ours[mine], texts, folder) for peer, mine in SAME.items() if peer in peers]
    runs = [(contender, whole, len(lines)) for contender in ours.values()]
    runs += [(contender, part, min(len(lines), arguments.peer_lines)) for contender in peers.values()]
    return PAGE.format(
        said=" ".join(arguments.said),
        machine=machine("numpy", "pyarrow", "regex"),
        lines=len(lines),
        told=told,
        unique=unique,
        characters=statistics.mean(map(len, lines)),
        part=arguments.peer_lines,
        repeats=arguments.repeats,
        same="\n".join(same or ["No --peers were given."]),
        rows="\n".join(timings(runs, arguments.repeats)),
    )


def main() -> None:
    """Run a worker, or make the page."""
    if sys.argv[1:2] == ["--worker"]:
        worker(*sys.argv[2:5])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000, help="lines for mashq (default %(default)s)")
    parser.add_argument("--peer-lines", type=int, default=20_000, help="lines for each peer (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="how often each runs (default %(default)s)")
    parser.add_argument("--peers", help="the python of the environment that holds the peers")
    parser.add_argument("--write", type=Path, help="write the page to this file")
    arguments = parser.parse_args()
    arguments.said = [
        f"--lines {arguments.lines} --peer-lines {arguments.peer_lines} --repeats {arguments.repeats}",
        *(["--peers peers/bin/python"] if arguments.peers else []),
    ]
    from sheet import give

    with tempfile.TemporaryDirectory() as folder:
        give(page(arguments, Path(folder)), arguments.write)


if __name__ == "__main__":
    main()
