"""Arabic normal forms: mashq's column and string paths beside a plain `re` implementation and two packages.

    python benchmarks/arabic_forms.py \\
        --rival camel=/path/to/venv/bin/python --rival arabic-normalize=/path/to/venv/bin/python

Prints Markdown. Rivals live in environments of their own (the python of each is an option; without it the one that runs
this script is tried, and a package that is not there is said to be so):

    python -m venv camel
    camel/bin/pip install --no-deps camel-tools==1.6.0 six docopt pyrsistent muddler emoji editdistance
    python -m venv an && an/bin/pip install arabic-normalize==0.1.0

Lines come from a seeded generator, and from the texts in $MASHQ_DATA where it is set. Outputs are compared first: both
of mashq's paths must equal the plain one on every line, else the script fails; differences from the packages are listed
character by character. Then every contender runs in turn, repeat after repeat, each in a process of its own with one
thread; times are CPU time of that process.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext, redirect_stdout
from importlib import metadata
from pathlib import Path
from typing import Any

# --- the plain implementation: one compiled pattern a form, in order -----------------------------------

TASHKEEL = re.compile(
    "[\u0610-\u061a\u064b-\u0652\u0656-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u0898-\u089f\u08ca-\u08e1"
    "\u08e3-\u08ff]"
)
PRESENTATION = re.compile("[\ufb50-\ufdf9\ufdfb\ufdfe-\ufdff\ufe70-\ufefe]")
PHRASES = {"\ufdfa": "صلى الله عليه وسلم", "\ufdfb": "جل جلاله", "\ufdfc": "ريال", "\ufdfd": "بسم الله الرحمن الرحيم"}
PUNCTUATION = (
    {"،": ",", "؛": ";", "؟": "?", "۔": ".", "٪": "%", "…": "...", "٭": "*", "\ufd3e": ")", "\ufd3f": "("}
    | dict.fromkeys("‐‑‒–—―−", "-")
    | dict.fromkeys("«»“”„‟", '"')
    | dict.fromkeys("‘’‚‛‹›", "'")
)
HORIZONTAL = re.compile("[\t \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
STRETCHED = re.compile(
    "([\u0620-\u063f\u0641-\u064a\u066e\u066f\u0671-\u06d3\u06d5\u06ee\u06ef\u06fa-\u06fc\u06ff\u0750-\u077f"
    "\u08a0-\u08c8])\\1{2,}"
)
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
ZERO_WIDTH = re.compile("[\u00ad\u034f\u180e\u200b\u200c\u2060\ufeff]")
PICTOGRAPH = "\u2190-\u2bff\U0001f000-\U0001faff"
JOINER = re.compile(f"(?<![\ufe0f{PICTOGRAPH}])\u200d|\u200d(?![{PICTOGRAPH}])")
ALEF = re.compile("[\u0622\u0623\u0625\u0671]")
ALEF_MARKS = re.compile("(?<=[\u0627\u0622\u0623\u0625\u0671])[\u0653-\u0655]+")
LINE_EDGES = re.compile("^ | $|(?<=[\r\n]) | (?=[\r\n])")
WESTERN = dict(zip("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹٫٬", "01234567890123456789.,", strict=True))
ARABIC_INDIC = dict(zip("0123456789۰۱۲۳۴۵۶۷۸۹", "٠١٢٣٤٥٦٧٨٩٠١٢٣٤٥٦٧٨٩", strict=True))
PERSIAN = dict(zip("کیےہھەۀۃ", "كييههههة", strict=True))


def _replacing(table: dict[str, str]) -> Callable[[str], str]:
    """A character class with a callback: several times as fast as str.translate where most characters stay."""
    pattern = re.compile("[" + "".join(table) + "]")
    return lambda text: pattern.sub(lambda match: table[match[0]], text)


def _letters(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", match[0]).lstrip(" ")


def _unpunctuated(text: str) -> str:
    return "".join(" " if char < "\U00010000" and unicodedata.category(char)[0] == "P" else char for char in text)


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


PLAIN: list[tuple[str, Callable[[str], str]]] = [
    ("nfkc", lambda text: unicodedata.normalize("NFKC", text)),
    ("phrases", lambda text: re.sub("[\ufdfa-\ufdfd]", lambda match: PHRASES[match[0]], text)),
    ("presentation", lambda text: PRESENTATION.sub(lambda m: m[0] if m[0] in PHRASES else _letters(m), text)),
    ("bidi", lambda text: BIDI.sub("", text)),
    ("zero_width", lambda text: ZERO_WIDTH.sub("", JOINER.sub("", text))),
    ("tatweel", lambda text: re.sub("\u0640", "", text)),
    ("tashkeel", lambda text: TASHKEEL.sub("", text)),
    ("nfc", _nfc),
    ("madda", lambda text: _nfc(re.sub("\u0653", "", text))),  # what NFC left of it stands on no alef
    ("alef", lambda text: ALEF.sub("\u0627", ALEF_MARKS.sub("", text))),
    ("hamza", lambda text: re.sub("[\u0653-\u0655]", "", re.sub("\u0626", "\u064a", re.sub("\u0624", "\u0648", text)))),
    ("persian", _replacing(PERSIAN)),
    ("ya", lambda text: re.sub("\u0649", "\u064a", text)),
    ("ta_marbuta", lambda text: re.sub("\u0629", "\u0647", text)),
    ("digits", _replacing(WESTERN)),
    ("digits_arabic", _replacing(ARABIC_INDIC)),
    ("punctuation", _replacing(PUNCTUATION)),
    ("unpunctuated", _unpunctuated),
    ("one_line", lambda text: re.sub("[\n\v\f\r\u0085\u2028\u2029]", " ", text)),
    ("nfc", _nfc),
    ("elongation", lambda text: STRETCHED.sub(r"\1\1", text)),
    ("spaces", lambda text: LINE_EDGES.sub("", HORIZONTAL.sub(" ", text))),
]


def plain(forms: Sequence[str]) -> Callable[[str], str]:
    """The plain implementation of a set of forms; "nfkc" implies "nfc"."""
    wanted = {*forms, "nfc"} if "nfkc" in forms else set(forms)
    wanted |= {"madda"} if {"tashkeel", "nfc"} <= wanted else set()
    steps = [step for name, step in PLAIN if name in wanted]

    def run(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return run


# --- jobs ------------------------------------------------------------------------------------------------------------

LETTERS = ("tashkeel", "alef", "ya", "ta_marbuta")
LOOSE = ("bidi", "zero_width", "tatweel", "tashkeel", "alef", "hamza", "persian", "ya", "ta_marbuta", "digits")
CLEAN = ("nfc", "presentation", "bidi", "zero_width", "spaces")
ROUGE = ("nfc", "presentation", "bidi", "zero_width", "tatweel", "tashkeel")
SEARCH = (
    "nfc", "phrases", "presentation", "bidi", "zero_width", "tatweel", "tashkeel", "alef", "hamza", "persian", "ya",
    "ta_marbuta", "digits", "punctuation", "one_line", "elongation", "spaces",
)  # fmt: skip
JOBS: dict[str, tuple[str, ...]] = {
    "vowel marks": ("tashkeel",),
    "four folds": LETTERS,
    "ten folds": LOOSE,
    "clean": CLEAN,
    "rouge": ROUGE,
    "search": SEARCH,
}
PACKAGES = {"camel": "camel-tools", "arabic-normalize": "arabic-normalize"}
Work = Callable[[Any], Any]


def _camel(job: str) -> Work | None:
    from camel_tools.utils.dediac import dediac_ar
    from camel_tools.utils.normalize import normalize_alef_ar, normalize_alef_maksura_ar, normalize_teh_marbuta_ar

    def four(text: str) -> str:
        return normalize_teh_marbuta_ar(normalize_alef_maksura_ar(normalize_alef_ar(dediac_ar(text))))

    one = {"vowel marks": dediac_ar, "four folds": four}.get(job)
    return None if one is None else lambda lines: [one(line) for line in lines]


def _arabic_normalize(job: str) -> Work | None:
    from arabic_normalize import Normalizer

    off = dict.fromkeys(
        ("diacritics", "tatweel", "alef", "alef_maqsura", "ta_marbuta", "hamza", "persian", "bidi_marks"), False
    )
    four = {"diacritics": True, "alef": True, "alef_maqsura": True, "ta_marbuta": True}
    made = {
        "vowel marks": lambda: Normalizer(**{**off, "diacritics": True}),
        "four folds": lambda: Normalizer(**{**off, **four}),
        "ten folds": lambda: Normalizer(**dict.fromkeys(off, True), digits="western"),
    }
    return made[job]().normalize_many if job in made else None


def _utf16(job: str) -> Work | None:
    """One table over UTF-16 code units, the other way to do this in numpy. Only for what needs no neighbours."""
    import numpy as np
    import pyarrow as pa

    if job not in ("vowel marks", "four folds"):
        return None
    one = plain(JOBS[job])
    gone = 0xFFFF
    low = np.array([ord(image) if (image := one(chr(code))) else gone for code in range(0xD800)], dtype="<u2")
    table = pa.array(np.concatenate([low, np.arange(0xD800, 1 << 16, dtype="<u2")]))

    def run(column: Any) -> Any:
        return pa.concat_arrays([block(column.slice(at, 20_000)) for at in range(0, len(column), 20_000)])

    def block(rows: Any) -> Any:
        offsets = np.frombuffer(rows.buffers()[1], dtype="<i4")[rows.offset : rows.offset + len(rows) + 1]
        data = np.frombuffer(rows.buffers()[2], dtype=np.uint8)[offsets[0] : offsets[-1]]
        units = np.frombuffer(data.tobytes().decode().encode("utf-16-le"), dtype="<u2")
        mapped = table.take(pa.array(units)).to_numpy()
        removed = np.flatnonzero(mapped == gone)
        kept = mapped[mapped != gone]
        # Where rows begin: in code units of the input, in those kept, in bytes of the output.
        units_before = np.cumsum((data & 0xC0 != 0x80).view(np.int8) + (data >= 0xF0), dtype=np.int32)
        starts = np.concatenate([[0], units_before])[offsets - offsets[0]]
        starts = starts - np.searchsorted(removed, starts)
        surrogate = (kept & 0xF800) == 0xD800
        bytes_before = np.cumsum(1 + (kept >= 0x80).view(np.int8) + (kept >= 0x800) - surrogate, dtype=np.int32)
        starts = np.concatenate([[0], bytes_before])[starts].astype("<i4")
        text = kept.tobytes().decode("utf-16-le").encode()
        return pa.Array.from_buffers(pa.string(), len(rows), [None, pa.py_buffer(starts.tobytes()), pa.py_buffer(text)])

    return run


def _contender(name: str, job: str) -> Work | None:
    """What runs for a job; None where the contender does not offer it. Takes and gives a list, or an Arrow column."""
    forms = JOBS[job]
    if name == "camel":
        return _camel(job)
    if name == "arabic-normalize":
        return _arabic_normalize(job)
    if name == "UTF-16 table, column":
        return _utf16(job)
    import pyarrow as pa

    one = plain(forms)
    if name == "re, strings":
        return lambda lines: [one(line) for line in lines]
    if name == "re, column":
        return lambda column: pa.array([one(line) for line in column.to_pylist()], pa.string())
    from mashq import arabic

    if name == "mashq, strings":
        return lambda lines: [arabic.normalise(line, forms) for line in lines]
    if name == "mashq, list through column":
        return lambda lines: arabic.normalise_column(pa.array(lines, pa.string()), forms).to_pylist()
    return lambda column: arabic.normalise_column(column, forms)


OURS = ("mashq, column", "mashq, list through column", "mashq, strings")
BASES = ("re, column", "re, strings", "UTF-16 table, column")


# --- lines -----------------------------------------------------------------------------------------------------------

WORDS = """
كتاب مدرسة إلى على أحمد الذي التي في من هذا هذه كان كانت قال قالت مدينة القاهرة الرباط بيروت سؤال مسؤول شيء هدى مستشفى
آخر أول إسلام قرية جميلة صباح مساء الخير السلام عليكم ورحمة الله وبركاته بيئة رئيس دولة عاصمة لغة عربية أطفال حكاية
قصة قصيرة طويل كبير صغير جدا ثم لكن لأن حتى متى أين كيف لماذا ماذا الشمس القمر البحر الصحراء نهر جبل
""".split()  # noqa: SIM905 (a list of 70 words in quotes is no easier to read)
VOWELS = "\u064e\u064f\u0650\u0652\u064b\u064c\u064d"
LAM_ALEF = {"لا": "\ufefb", "لأ": "\ufef7", "لإ": "\ufef9"}


def _vocalised(word: str, rng: random.Random) -> str:
    marked = []
    for letter in word:
        marked.append(letter)
        if rng.random() < 0.1:
            marked.append("\u0651")  # shadda before its vowel, as people type it
        if rng.random() < 0.7:
            marked.append(rng.choice(VOWELS))
    return "".join(marked)


def _line(rng: random.Random) -> str:
    kind = rng.random()
    words = rng.choices(WORDS, k=rng.randint(3, 40))
    if kind < 0.15:
        words = [_vocalised(word, rng) for word in words]
    for place in range(len(words)):
        roll = rng.random()
        if roll < 0.02:
            words[place] = words[place][:1] + "\u0640" * rng.randint(1, 4) + words[place][1:]
        elif roll < 0.03:
            words[place] += words[place][-1] * rng.randint(2, 6)
        elif roll < 0.05:
            words[place] = rng.choice(["٢٠٢٤", "3.5", "٣٫٥", "۱۲", "100%"])
        elif roll < 0.06:
            words[place] = rng.choice(["\u200f", "\u200e"]) + words[place]
        elif roll < 0.07:
            words[place] = rng.choice(["model", "https://example.org/a?b=1", "@user", "GPT"])
        elif roll < 0.10:
            words[place] += rng.choice(["،", "؛", "؟", ".", "!", "..."])
    if kind > 0.97:
        words.append(rng.choice(["😂😂", "❤\ufe0f", "👨\u200d👩\u200d👧", "🇪🇬"]))
    line = rng.choices([" ", "  "], [0.98, 0.02])[0].join(words)
    if 0.15 < kind < 0.16:
        for letters, glyph in LAM_ALEF.items():
            line = line.replace(letters, glyph)
    return line


def generated(n: int) -> list[str]:
    """n lines of Arabic words with marks, stretching, digits, Latin, emoji; equal for equal n (seed 0)."""
    rng = random.Random(0)
    return [_line(rng) for _ in range(n)]


def real(folder: Path) -> list[str]:
    """The lines of the stories, tweets and news in a folder of real data."""
    lines: list[str] = []
    for name, column in (
        ("arastories_msa.csv", "Story"), ("arastories_egyptian.csv", "Story"), ("arastories_moroccan.csv", "Story"),
        ("arsarcasm_v2_train.csv", "tweet"),
    ):  # fmt: skip
        if (folder / name).exists():
            with (folder / name).open(encoding="utf-8-sig", newline="") as file:
                lines += [line for row in csv.DictReader(file) for line in row[column].split("\n") if line]
    if (folder / "ntrex_en_ar.tsv").exists():
        text = (folder / "ntrex_en_ar.tsv").read_text(encoding="utf-8")
        lines += [line.split("\t")[1] for line in text.splitlines()[1:]]
    return lines


# --- one process a contender -----------------------------------------------------------------------------------------


def worker(name: str) -> None:
    """Answer requests on stdin, a JSON object a line: {"job", "lines": file, "out": file | null} -> {"cpu", "wall"}."""
    held: dict[str, Any] = {}
    works: dict[str, Work | None] = {}
    for request in map(json.loads, sys.stdin):
        if request["lines"] not in held:
            lines = json.loads(Path(request["lines"]).read_text(encoding="utf-8"))
            held = {request["lines"]: _as_taken(name, lines)}
        if request["job"] not in works:
            works[request["job"]] = _contender(name, request["job"])
        work = works[request["job"]]
        if work is None:
            print(json.dumps(None), flush=True)
            continue
        cpu, wall = time.process_time(), time.perf_counter()
        made = work(held[request["lines"]])
        took = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        if request["out"]:
            Path(request["out"]).write_text(json.dumps(list(_as_list(made))), encoding="utf-8")
        print(json.dumps(took), flush=True)


def _as_taken(name: str, lines: list[str]) -> Any:
    if not name.endswith(", column"):
        return lines
    import pyarrow as pa

    return pa.array(lines, pa.string())


def _as_list(made: Any) -> Iterable[str]:
    return made if isinstance(made, list) else made.to_pylist()


class Contender:
    """A contender in its own process."""

    def __init__(self, name: str, python: str):
        self.name = name
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
        self.process = subprocess.Popen(
            [python, __file__, "--worker", name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def ask(self, job: str, lines: Path, out: Path | None = None) -> dict[str, float] | None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps({"job": job, "lines": str(lines), "out": out and str(out)}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"arabic_forms: the process of '{self.name}' ended; its message stands above.")
        return json.loads(answer)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def installed(package: str, python: str) -> str | None:
    """The version of a package in another python's environment, or None."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


# --- comparison and timing -------------------------------------------------------------------------------------------


def outputs(contender: Contender, job: str, lines: Path) -> list[str] | None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        return None if contender.ask(job, lines, out) is None else json.loads(out.read_text(encoding="utf-8"))


def check_ours(contenders: Sequence[Contender], job: str, lines: Path) -> list[str]:
    """The plain output. Exits where one of mashq's paths differs from it on any line."""
    by_name = {contender.name: contender for contender in contenders}
    expected = outputs(by_name["re, strings"], job, lines)
    assert expected is not None
    for name in (*BASES, *OURS):
        got = outputs(by_name[name], job, lines)
        if got is None:
            continue
        wrong = [place for place, pair in enumerate(zip(got, expected, strict=True)) if pair[0] != pair[1]]
        if wrong:
            raise SystemExit(
                f"arabic_forms: '{name}' differs from re on {len(wrong)} lines of job '{job}', first: {wrong[0]}"
            )
    return expected


def _names(chars: Sequence[str]) -> str:
    """Characters in ascending order -> their names, runs of neighbours as first and last."""
    runs: list[list[str]] = []
    for char in chars:
        if runs and ord(char) == ord(runs[-1][-1]) + 1:
            runs[-1].append(char)
        else:
            runs.append([char])
    said = []
    for run in runs:
        first, last = run[0], run[-1]
        text = f"U+{ord(first):04X} {unicodedata.name(first, '(no name)')}"
        said.append(text if first == last else f"{text} to U+{ord(last):04X} {unicodedata.name(last, '(no name)')}")
    return "; ".join(said)


def differences(rival: Contender, ours: Contender, job: str, folder: Path) -> list[str] | None:
    """Characters that a rival maps otherwise than mashq does, alone: one Markdown line a group of equal outcome."""
    chars = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    path = folder / "characters.json"
    path.write_text(json.dumps(chars), encoding="utf-8")
    theirs, mine = outputs(rival, job, path), outputs(ours, job, path)
    if theirs is None or mine is None:
        return None
    groups: dict[str, list[str]] = {}
    for char, their, my in zip(chars, theirs, mine, strict=True):
        if their != my:
            say = [f"'{to}'" if to and to.isprintable() else "removed" for to in (my, their)]
            say = ["kept" if to == char else text for to, text in zip((my, their), say, strict=True)]
            groups.setdefault(f"mashq: {say[0]}, {rival.name}: {say[1]}", []).append(char)
    return [f"{outcome}: {_names(found)}" for outcome, found in groups.items()]


def timed(contenders: Sequence[Contender], job: str, lines: Path, repeats: int) -> dict[str, list[float]]:
    """CPU seconds of each contender, one figure a repeat; all run in turn within a repeat, after one warm-up each."""
    ready = [contender for contender in contenders if contender.ask(job, lines) is not None]
    seconds: dict[str, list[float]] = {contender.name: [] for contender in ready}
    for repeat in range(repeats):
        for contender in ready if repeat % 2 == 0 else reversed(ready):
            took = contender.ask(job, lines)
            assert took is not None
            seconds[contender.name].append(took["cpu"])
    return seconds


def table(seconds: dict[str, list[float]], lines: Sequence[str]) -> list[str]:
    """Markdown rows: median, quartiles, lines and characters a second, median of the ratios repeat by repeat."""
    chars = sum(map(len, lines))
    rows = [
        "| contender | CPU s: median (quartiles) | lines/s | Mchar/s | times `re`, same shape |",
        "|---|---|---|---|---|",
    ]
    for name, took in seconds.items():
        low, median, high = statistics.quantiles(took, n=4)
        base = "re, column" if name.endswith(", column") else "re, strings"
        ratio = statistics.median(theirs / mine for theirs, mine in zip(seconds[base], took, strict=True))
        rows.append(
            f"| {name} | {median:.3f} ({low:.3f}-{high:.3f}) | {len(lines) / median:,.0f} | {chars / median / 1e6:.0f}"
            f" | {ratio:.1f}x |"
        )
    return rows


def machine() -> str:
    """Processor, cores, memory, system and versions."""
    processor = platform.machine()
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        processor = found[1] if found else processor
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("numpy", "pyarrow"))
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rival", action="append", default=[], metavar="NAME=PYTHON", help=f"one of {', '.join(PACKAGES)}"
    )
    parser.add_argument("--lines", type=int, default=40_000, help="generated lines")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page here, not to the screen")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker)
        return
    pythons = dict.fromkeys(PACKAGES, sys.executable) | dict(item.split("=", 1) for item in options.rival)
    unknown = sorted(set(pythons) - set(PACKAGES))
    if unknown:
        parser.error(f"there is no rival '{unknown[0]}' ({', '.join(PACKAGES)})")
    target = options.write.open("w", encoding="utf-8") if options.write else nullcontext(sys.stdout)
    with target as file, redirect_stdout(file):
        report(pythons, options.lines, options.repeats)


PREFACE = """# Arabic normal forms: columns and strings beside plain `re` and two packages

Made by `{command}` on {machine}.

Every contender runs in a process of its own with one thread; all take turns, repeat after repeat, the order reversed
each time; times are CPU seconds of that process, after one warm-up. "column" takes and gives an Arrow column, the
others a list of strings. `re` is one compiled pattern a form, one after another. "UTF-16 table" maps code units instead
of mashq's pairs of UTF-8 bytes. Before timing, the paths of mashq are compared with `re` on every line: they are equal,
or this page does not appear.

Packages:
"""


def report(pythons: dict[str, str], n: int, repeats: int) -> None:
    given = "MASHQ_DATA=... " if os.environ.get("MASHQ_DATA") else ""
    command = f"{given}python benchmarks/{Path(__file__).name} {shlex.join(sys.argv[1:])}".strip()
    print(PREFACE.format(command=command, machine=machine()))
    contenders = [Contender(name, sys.executable) for name in (*OURS, *BASES)]
    for name, python in pythons.items():
        version = installed(PACKAGES[name], python)
        print(f"- {PACKAGES[name]}: {version or 'not installed'}")
        if version:
            contenders.append(Contender(name, python))
    texts = {f"Generated lines (seed 0, n = {n:,})": generated(n)}
    if os.environ.get("MASHQ_DATA"):
        texts["Real lines: stories, tweets, news from $MASHQ_DATA"] = real(Path(os.environ["MASHQ_DATA"]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, (title, lines) in enumerate(texts.items()):
            path = folder / f"lines{number}.json"
            path.write_text(json.dumps(lines), encoding="utf-8")
            mean = sum(map(len, lines)) / len(lines)
            print(f"\n## {title}\n\n{len(lines):,} lines, {mean:.0f} characters each on average.")
            for job in JOBS:
                _print_job(contenders, job, path, lines, repeats)
        print("\n## Where a package differs, character by character\n")
        print("Every code point alone. The effect on the lines above stands under each table.\n")
        for rival in contenders[len(OURS) + len(BASES) :]:
            for job in JOBS:
                found = differences(rival, contenders[0], job, folder)
                for line in ["none"] if found == [] else found or []:
                    print(f"- {PACKAGES[rival.name]}, {job}: {line}")
    for contender in contenders:
        contender.close()


def _print_job(contenders: Sequence[Contender], job: str, path: Path, lines: Sequence[str], repeats: int) -> None:
    print(f"\n### {job}\n\nForms: {', '.join(JOBS[job])}.\n")
    expected = check_ours(contenders, job, path)
    print("\n".join(table(timed(contenders, job, path, repeats), lines)))
    print("\nmashq's three paths equal `re` on every line.", end="")
    for rival in contenders[len(OURS) + len(BASES) :]:
        got = outputs(rival, job, path)
        if got is not None:
            wrong = sum(one != other for one, other in zip(got, expected, strict=True))
            print(f" {PACKAGES[rival.name]}: {wrong:,} lines differ.", end="")
    print()


if __name__ == "__main__":
    main()
