"""Synthetic medical posts: complaint-answer threads whose noise, identifiers and faults are known to the character.

A thread is written from a grammar of parts (`data/medical/posts`): no model wrote it, and nobody's post is in it. What
is planted is recorded with its place in the raw text, and the same posts without it are the gold, so that cleaning,
de-identification and spelling rules can be measured against what they should have found.

The answers are general advice about habits and always name a doctor to see. They are test data, not medical advice;
those marked `unsafe` are wrong on purpose, and their drugs are letters.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from mashq.medical import posts_identifiers as identifiers
from mashq.medical.posts_noise import NOISE, SPELLINGS, Piece, distort, misspell
from mashq.packaged import parsed
from mashq.rows import MashqError, expected_got, nearest

__all__ = [
    "DISCLAIMER", "FLAGS", "IDENTIFIERS", "LICENCE", "NOISE", "SPELLINGS", "VARIETIES", "WHOLE", "Planted", "Post",
    "Rates", "Thread", "complaints", "placeholder", "to_jsonl", "write",
]  # fmt: skip

DATA = Path(__file__).parents[1] / "data" / "medical" / "posts"
VARIETIES = ("msa", "egyptian", "gulf", "levantine", "iraqi", "moroccan")
IDENTIFIERS = (
    "name", "doctor", "phone", "national_id", "email", "handle", "address", "birth_date", "record_number", "hospital",
)  # fmt: skip
WHOLE = ("spam", "thanks", "me_too", "too_short", "not_arabic", "red_flag")  # kinds that span a whole post
# What a thread may be besides ordinary. `unanswered`: spam stands where the answer would be.
FLAGS = (
    "red_flag", "unsafe", "too_short", "not_arabic", "spam", "unanswered", "thanks", "me_too", "duplicate",
    "near_duplicate", "identifiers", "noise", "spelling",
)  # fmt: skip
NO_PAIR = frozenset({"unsafe", "too_short", "not_arabic", "unanswered", "duplicate", "near_duplicate"})
LICENCE = "Apache-2.0"
DISCLAIMER = (
    "Synthetic. Written from a grammar of parts to test software; no person posted it. Not medical advice: some "
    "answers are wrong on purpose. Numbers, names and addresses are invented."
)
# Controls that mojibake leaves; some readers would end a line at them.
UNSEEN = re.compile("[\\x7f-\\x9f\\u2028\\u2029]")
REACH = 500  # threads back in which a duplicate looks for its original
LEANING = 0.5  # of the answers to a dialect question: simple MSA with words of the dialect; the others plain MSA
SIGNED = 0.5  # of the answers of threads with identifiers: signed with a doctor's name
EARLY = ("name", "birth_date", "national_id", "record_number", "address")
CONTACT = ("phone", "email", "handle")  # given after the question; a doctor and a hospital after what was tried
NAMED = 0.5  # of the answers to a question with a name: they greet by it
CHILD = {"child_fever": "who_child", "child_appetite": "who_child"}
CHILD |= {"nappy_rash": "who_infant", "infant_colic": "who_infant"}

AGES = {"exam_anxiety": (16, 25), "acne": (16, 31), "pregnancy_nausea": (20, 39), "period_cramps": (16, 41)}


@dataclass(frozen=True)
class Rates:
    """How often a thing is planted, 0 to 1.

    noise: of the posts, at least one kind of `NOISE`. spelling: of the posts, misspelt words (where any word can be).
    identifiers: of the ordinary questions, one to three kinds. red_flag, unsafe, too_short, not_arabic: of the threads,
    never two of them in one, so together at most 1. spam, thanks, me_too: of the threads, a further reply. duplicate,
    near_duplicate: of the threads after the first, together at most 1 (near 1 fewer: an original must be in reach).
    Raises MashqError for a number outside.
    """

    noise: float = 0.5
    spelling: float = 0.4
    identifiers: float = 0.25
    red_flag: float = 0.04
    unsafe: float = 0.05
    too_short: float = 0.03
    not_arabic: float = 0.02
    spam: float = 0.06
    thanks: float = 0.2
    me_too: float = 0.1
    duplicate: float = 0.02
    near_duplicate: float = 0.02

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
                raise MashqError(expected_got(f"medical posts: rate '{name}'", "a number from 0 to 1", repr(value)))
        for names in (("red_flag", "unsafe", "too_short", "not_arabic"), ("duplicate", "near_duplicate")):
            total = sum(getattr(self, name) for name in names)
            if total > 1 + 1e-9:
                what = f"medical posts: the rates {' + '.join(names)}"
                raise MashqError(
                    expected_got(what, "at most 1 together", f"{total:g}", "A thread is only one of them.")
                )


class Planted(NamedTuple):
    """What stands at text[start:end], in code points of the raw text: its kind and which form of it."""

    kind: str  # one of NOISE, SPELLINGS, IDENTIFIERS, WHOLE, or "unsafe"
    start: int
    end: int
    value_kind: str


class Post(NamedTuple):
    """One message of a thread; role is asker, doctor or member. The posts of `Thread.clean` have nothing planted."""

    author: str
    role: str
    text: str
    planted: tuple[Planted, ...]


@dataclass(frozen=True)
class Thread:
    """A question and what was replied, raw and clean.

    clean: the same posts before noise, identifiers as placeholders. group: the complaint and the wording of its
    symptom; threads of different complaints never share one. of: the key of the thread that a (near-)duplicate repeats.
    The flags "noise" and "identifiers" follow from what is planted, so the contacts of a spam set them too.
    """

    key: str
    variety: str
    specialty: str
    complaint: str
    group: str
    posts: tuple[Post, ...]
    clean: tuple[Post, ...]
    flags: frozenset[str]
    of: str | None = None

    @property
    def pair(self) -> tuple[str, str] | None:
        """The clean question and the doctor's answer; None where a careful cleaning keeps no pair of this thread."""
        if self.flags & NO_PAIR:
            return None
        return self.clean[0].text, next(post.text for post in self.clean if post.role == "doctor")


def placeholder(kind: str) -> str:
    """What stands for an identifier in the clean posts."""
    return f"[{kind}]"


def _load(name: str) -> Any:
    return parsed(f"medical/posts/{name}")


@cache
def _people() -> dict[str, tuple[str, ...]]:
    return {name: tuple(value.split()) for name, value in _load("names").items() if isinstance(value, str)}


def complaints() -> tuple[str, ...]:
    """The names of the conditions that ordinary threads are about."""
    return tuple(_load("answers")["complaints"])


def write(n: int, seed: int = 0, varieties: Sequence[str] = VARIETIES, rates: Rates | None = None) -> Iterator[Thread]:
    """The first n threads of a seed, the varieties taking turns. Thread k is the same whatever n is.

    Raises MashqError for a negative n, for no variety and for an unknown one.
    """
    if n < 0:
        raise MashqError(expected_got("medical posts: n", "0 or more threads", str(n)))
    if isinstance(varieties, str) or not varieties:
        raise MashqError(expected_got("medical posts: varieties", "a sequence of names", repr(varieties)))
    for variety in varieties:
        if variety not in VARIETIES:
            known = ", ".join(VARIETIES)
            raise MashqError(f"medical posts: there is no variety '{variety}' ({known}).{nearest(variety, VARIETIES)}")
    rates, varieties = rates or Rates(), tuple(varieties)
    return (_thread(seed, k, varieties, rates) for k in range(n))


def to_jsonl(threads: Iterable[Thread], path: Path | str) -> int:
    """One JSON object a line, laid out like a forum dump; gives how many. What only a measurement may see is under
    "gold": flags, planted (for each post) and the clean texts."""
    count = 0
    with Path(path).open("w", encoding="utf-8", newline="\n") as file:
        for thread in threads:
            file.write(UNSEEN.sub(_escaped, json.dumps(_record(thread), ensure_ascii=False)) + "\n")
            count += 1
    return count


def _escaped(mark: re.Match[str]) -> str:
    return f"\\u{ord(mark[0]):04x}"


def _record(thread: Thread) -> dict[str, Any]:
    return {
        "synthetic": True,
        "licence": LICENCE,
        "disclaimer": DISCLAIMER,
        "key": thread.key,
        "group": thread.group,
        "variety": thread.variety,
        "board": thread.specialty,
        "posts": [{"author": post.author, "role": post.role, "text": post.text} for post in thread.posts],
        "gold": {
            "complaint": thread.complaint,
            "flags": sorted(thread.flags),
            "of": thread.of,
            "planted": [[one._asdict() for one in post.planted] for post in thread.posts],
            "clean": [post.text for post in thread.clean],
        },
    }


# --- one thread ------------------------------------------------------------------------------------------------------


class Draft(NamedTuple):
    """A post before noise. whole: the kind and form that span all of it, or None."""

    role: str
    pieces: list[Piece]
    whole: tuple[str, str] | None = None


@dataclass
class Case:
    """One thread while it is written."""

    rng: Random
    variety: str
    rates: Rates
    kind: str  # "" or one of the exclusive flags
    complaint: str = ""
    wording: int = 0
    flags: set[str] = dataclasses.field(default_factory=set)
    name: str = ""  # the asker's, where the question gives it

    @property
    def said(self) -> Any:
        return _load(self.variety)

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.random() * len(options))]


def _thread(seed: int, k: int, varieties: tuple[str, ...], rates: Rates) -> Thread:
    copy, source = _copied(seed, k, rates)
    variety = varieties[source % len(varieties)]
    case = Case(Random(f"{seed}/{source}/content"), variety, rates, "")
    drafts = _drafts(case)
    at = source
    if copy == "near_duplicate":
        at = k  # its own noise and another farewell
        drafts[0] = _other_farewell(drafts[0], case.said["thanks"], Random(f"{seed}/{k}/farewell"))
    rng = Random(f"{seed}/{at}/noise")
    made = [_finish(draft, rng, case.said, rates) for draft in drafts]
    authors = _authors(drafts, Random(f"{seed}/{k}/authors"))
    posts = tuple(
        Post(who, d.role, raw, planted) for who, d, (raw, _, planted) in zip(authors, drafts, made, strict=True)
    )
    clean = tuple(Post(who, d.role, gold, ()) for who, d, (_, gold, _) in zip(authors, drafts, made, strict=True))
    return Thread(
        key=f"{seed}-{k}",
        variety=variety,
        specialty=_specialty(case.complaint),
        complaint=case.complaint,
        group=f"{case.complaint}/{case.wording}",
        posts=posts,
        clean=clean,
        flags=frozenset(case.flags | _seen(posts) | ({copy} if copy else set())),
        of=f"{seed}-{source}" if copy else None,
    )


def _copied(seed: int, k: int, rates: Rates) -> tuple[str, int]:
    """Is thread k a duplicate, and of which earlier one (itself where it is none)? An original is never a copy."""
    # Each purpose has a generator of its own, seeded by a string (SHA-512): the same on every machine, blind to n.
    rng = Random(f"{seed}/{k}/copy")
    kind = _copy_kind(rng.random(), rates) if k else ""
    for _ in range(16 if kind else 0):
        source = k - 1 - int(rng.random() * min(k, REACH))
        if source == 0 or not _copy_kind(Random(f"{seed}/{source}/copy").random(), rates):
            return kind, source
    return "", k


def _copy_kind(draw: float, rates: Rates) -> str:
    if draw < rates.duplicate:
        return "duplicate"
    return "near_duplicate" if draw < rates.duplicate + rates.near_duplicate else ""


def _seen(posts: Sequence[Post]) -> set[str]:
    """The flags that follow from what is planted."""
    kinds = {one.kind for post in posts for one in post.planted}
    found = {flag for flag in (*WHOLE, "unsafe") if flag in kinds}
    for flag, members in (("noise", NOISE), ("spelling", SPELLINGS), ("identifiers", IDENTIFIERS)):
        if not kinds.isdisjoint(members):
            found.add(flag)
    return found


def _specialty(complaint: str) -> str:
    entry = _load("answers")["complaints"].get(complaint)
    return str(entry["specialty"]) if entry else "emergency"


def _authors(drafts: Sequence[Draft], rng: Random) -> list[str]:
    """One name for each post; all posts of the asker have the same."""
    nicks = _people()["latin"]
    asker = f"{rng.choice(nicks)}{rng.randrange(10, 9999)}"
    doctor = f"dr_{rng.randrange(100, 999)}"
    others = {"asker": asker, "doctor": doctor}
    return [others.get(draft.role) or f"{rng.choice(nicks)}{rng.randrange(10, 9999)}" for draft in drafts]


def _finish(draft: Draft, rng: Random, said: Any, rates: Rates) -> tuple[str, str, tuple[Planted, ...]]:
    """Noise into the pieces -> raw text, clean text, what is planted and where."""
    pieces = draft.pieces
    if rng.random() < rates.spelling:
        pieces = misspell(pieces, rng, said)
    if rng.random() < rates.noise:
        pieces = distort(pieces, rng, said, _load("noise"), _load("names"))
    planted, at = [], 0
    for piece in pieces:
        if piece.kind:
            planted.append(Planted(piece.kind, at, at + len(piece.text), piece.form))
        at += len(piece.text)
    if draft.whole:
        planted.insert(0, Planted(draft.whole[0], 0, at, draft.whole[1]))
    return "".join(p.text for p in pieces), "".join(p.gold for p in pieces), tuple(planted)


# --- what the thread holds -------------------------------------------------------------------------------------------


def _drafts(case: Case) -> list[Draft]:
    rng, rates, said = case.rng, case.rates, case.said
    draw = rng.random()
    for kind in ("red_flag", "unsafe", "too_short", "not_arabic"):
        if draw < getattr(rates, kind):
            case.kind = kind
            break
        draw -= getattr(rates, kind)
    question, answer = _emergency(case) if case.kind == "red_flag" else _ordinary(case)
    drafts = [question]
    if rng.random() < rates.me_too:
        drafts.append(_whole("member", case.pick(said["same"]), "me_too", case.variety))
    spam = rng.random() < rates.spam
    if spam:
        drafts.append(_spam(case))
    if spam and not case.kind and rng.random() < 0.5:
        case.flags.add("unanswered")
    else:
        drafts.append(answer)
    if rng.random() < rates.thanks:
        drafts.append(_whole("asker", case.pick(said["thanks_only"]), "thanks", case.variety))
    return drafts


def _plain(text: str) -> Piece:
    return Piece(text, text)


def _whole(role: str, text: str, kind: str, form: str) -> Draft:
    return Draft(role, [_plain(text)], (kind, form))


def _spam(case: Case) -> Draft:
    pieces: list[Piece] = []
    template = case.pick(case.said["spam"])
    while template:
        before, brace, rest = template.partition("{")
        pieces.append(_plain(before))
        name, _, template = rest.partition("}")
        if brace:
            if name == "url":  # the clean post ends before it
                pieces[-1:] = [_plain(before.rstrip()), Piece(" ", "")]
            text, form = identifiers.make(name, case.rng, case.variety, _load("names"), _people())
            pieces.append(Piece(text, "" if name == "url" else placeholder(name), name, form))
    return Draft("member", pieces, ("spam", case.variety))


def _other_farewell(draft: Draft, farewells: Sequence[str], rng: Random) -> Draft:
    """The same question with another last phrase: a farewell replaced, or added where there was none."""
    pieces = list(draft.pieces)
    if draft.whole and draft.whole[0] != "red_flag":  # too short, or not Arabic: it must stay so
        return draft._replace(pieces=[*pieces, _plain(" !")])
    last = pieces[-1].text if pieces else ""
    others = [text for text in farewells if text != last]
    text = others[int(rng.random() * len(others))]
    if last in farewells:
        pieces[-1] = _plain(text)
    else:
        pieces += [_plain("\n"), _plain(text)]
    return draft._replace(pieces=pieces)


# --- questions -------------------------------------------------------------------------------------------------------


class Asked(NamedTuple):
    """What the answer needs to know of a question."""

    asks: tuple[str, ...]
    detail: int | None
    remedy: str | None
    duration: str | None


def _ordinary(case: Case) -> tuple[Draft, Draft]:
    rng, known = case.rng, _load("answers")["complaints"]
    case.complaint = case.pick(tuple(known))
    if case.kind == "not_arabic":
        language = case.pick(tuple(_load("noise")["not_arabic"]))
        text = case.pick(_load("noise")["not_arabic"][language])
        return _whole("asker", text, "not_arabic", language), _answer(case, Asked(("what",), None, None, None))
    case.wording = int(rng.random() * 3)
    if case.kind == "too_short" and rng.random() < 0.5:
        question = _whole("asker", case.pick(case.said["too_short"]), "too_short", "question")
        return question, _answer(case, Asked(("what",), None, None, None))
    question, asked = _question(case)
    if case.kind == "too_short":
        return question, _whole("doctor", case.pick(_load("answers")["too_short"]), "too_short", "answer")
    return question, _answer(case, asked)


def _question(case: Case) -> tuple[Draft, Asked]:
    rng, said = case.rng, case.said
    known, mine = _load("answers")["complaints"][case.complaint], said["complaints"][case.complaint]
    separator = case.pick((". ", "\N{ARABIC COMMA} ", "\n", ". "))
    who = CHILD.get(case.complaint, "who")
    age = rng.randrange(*AGES.get(case.complaint, (18, 60)))
    opening = [case.pick(said["greeting"])] if rng.random() < 0.75 else []
    opening += [case.pick(said[who]).format(age=age)] if rng.random() < 0.4 else []
    detail = int(rng.random() * 3) if rng.random() < 0.85 else None
    story = mine["symptom"][case.wording] + (f" {mine['detail'][detail]}" if detail is not None else "")
    duration = case.pick(known["lasts"]) if rng.random() < 0.85 else None
    middle = [story, *([case.pick(said["duration"][duration])] if duration else [])]
    remedy = case.pick(known["remedies"]) if rng.random() < 0.7 else None
    middle += [_tried(case, remedy)] if remedy else []
    asks = tuple(rng.sample(tuple(said["ask"]), 2 if rng.random() < 0.3 else 1))
    ending = [_ask(case, ask, mine["noun"]) for ask in asks]
    farewell = [case.pick(said["thanks"])] if rng.random() < 0.6 else []
    planted = _identifying(case, " ".join([*opening, *middle]))
    clauses = [_clauses(opening), planted["early"], _clauses(middle), planted["history"], _clauses(ending),
               planted["contact"], _clauses(farewell)]  # fmt: skip
    return Draft("asker", _joined([c for part in clauses for c in part], separator)), Asked(
        asks, detail, remedy, duration
    )


def _tried(case: Case, remedy: str) -> str:
    """What was tried, and mostly what came of it."""
    text = case.pick(case.said["tried"][remedy])
    if remedy == "nothing" or case.rng.random() < 0.4:
        return text
    # The second outcome says that the writer got better: not of a child.
    outcomes = case.said["outcome"][:: 2 if case.complaint in CHILD else 1]
    return f"{text} {case.pick(outcomes)}"


def _ask(case: Case, ask: str, noun: str) -> str:
    options = case.said["ask"][ask]
    if ask == "when" and case.complaint in CHILD:  # not "when shall I be well?"
        options = [text for text in options if "{noun}" in text]
    return case.pick(options).format(noun=noun)


def _bare_asks(said: Any) -> list[str]:
    """What to do, without a name for the complaint."""
    return [text for text in said["ask"]["what"] if "{noun}" not in text]


def _clauses(texts: Sequence[str]) -> list[list[Piece]]:
    return [[_plain(text)] for text in texts]


def _joined(clauses: Sequence[list[Piece]], separator: str) -> list[Piece]:
    """Clauses -> pieces; a question mark already ends a clause, and the last word of a post needs no comma."""
    pieces: list[Piece] = []
    for clause in clauses:
        if pieces:
            ended = pieces[-1].text.endswith("\N{ARABIC QUESTION MARK}")
            pieces.append(_plain(" " if ended and separator != "\n" else separator))
        pieces += clause
    return pieces


def _identifying(case: Case, told: str) -> dict[str, list[list[Piece]]]:
    """The clauses that say who is asking, by where they stand; mostly none."""
    places: dict[str, list[list[Piece]]] = {"early": [], "history": [], "contact": []}
    if case.rng.random() >= case.rates.identifiers:
        return places
    for kind in case.rng.sample(IDENTIFIERS, case.rng.choice((1, 1, 2, 3))):
        text, form = identifiers.make(kind, case.rng, case.variety, _load("names"), _people(), _sex(case, told))
        if kind == "name":
            case.name = text
        before, _, after = case.pick(case.said["identifiers"][kind]).partition("{}")
        clause = [_plain(before), Piece(text, placeholder(kind), kind, form), _plain(after)]
        place = "early" if kind in EARLY else "contact" if kind in CONTACT else "history"
        places[place].append([piece for piece in clause if piece.text])
    return places


def _sex(case: Case, told: str) -> str:
    """Whose name can stand under what was told: words that are said by a man or by a woman decide."""
    words = set(told.split())
    if not words.isdisjoint(_people()["feminine"]) or _specialty(case.complaint) == "gynaecology":
        return "female"
    if not words.isdisjoint(_people()["masculine"]):
        return "male"
    return case.pick(("male", "female"))


# --- answers ---------------------------------------------------------------------------------------------------------


def _answer(case: Case, asked: Asked) -> Draft:
    """Advice that answers this question: its complaint, its detail, what was tried, how long, what was asked."""
    answers = _load("answers")
    known = answers["complaints"][case.complaint]
    woman = known["specialty"] == "gynaecology"
    leaning = not woman and case.rng.random() < LEANING
    style = case.said["answer"] if leaning else answers["msa"]
    says = style.get("asks", answers["asks"])
    replies = {ask: case.pick(says[ask]).format(clinic=known["clinic"]) for ask in asked.asks}
    body = [replies["serious"]] if "serious" in replies else []
    body += [case.pick(known["explain"])]
    body += [known["detail"][asked.detail]] if asked.detail is not None else []
    body += [case.pick(answers["remedies"][asked.remedy])] if asked.remedy else []
    body += [case.pick(answers["durations"][asked.duration])] if asked.duration and case.rng.random() < 0.7 else []
    advice = "\N{ARABIC COMMA} ".join(case.rng.sample(known["advice"], 2 if case.rng.random() < 0.6 else 3))
    body += [f"{replies['what']}: {advice}" if "what" in replies else advice]
    body += [replies["when"]] if "when" in replies else []
    body += [case.pick(style["tip"])] if "tip" in style and case.rng.random() < 0.5 else []
    clauses = [*_greeting(case, style["opening"]), *_clauses(body)]
    if case.kind == "unsafe":
        clauses += [[_unsafe(case, answers["unsafe"])]]
    else:
        clauses += _clauses([case.pick(known["doctor"]), *([replies["whom"]] if "whom" in replies else [])])
        # The first three referrals of MSA command nobody, so they suit a woman and a man.
        refer = case.pick(style["refer"][:3] if woman else style["refer"])
        clauses += _clauses([refer.format(clinic=known["clinic"])])
    return _signed(case, [*clauses, *_closing(case, style["closing"])])


def _greeting(case: Case, openings: Sequence[str]) -> list[list[Piece]]:
    if case.name and case.rng.random() < NAMED:
        return [[_plain(f"{case.pick(openings)} "), Piece(case.name, placeholder("name"), "name", "greeted")]]
    return _clauses([case.pick(openings)]) if case.rng.random() < 0.85 else []


def _closing(case: Case, closings: Sequence[str]) -> list[list[Piece]]:
    return _clauses([case.pick(closings)]) if case.rng.random() < 0.8 else []


def _unsafe(case: Case, kinds: Any) -> Piece:
    form = "dose" if case.rng.random() < 0.5 else case.pick(tuple(kinds)[1:])
    text = case.pick(kinds[form])
    return Piece(text, text, "unsafe", form)


def _signed(case: Case, clauses: list[list[Piece]]) -> Draft:
    pieces = [*_joined(clauses, case.pick((". ", ". ", ".\n"))), _plain(".")]
    if case.rng.random() < case.rates.identifiers * SIGNED:
        text, form = identifiers.make("doctor", case.rng, case.variety, _load("names"), _people())
        pieces += [_plain("\n"), _plain("د. "), Piece(text, placeholder("doctor"), "doctor", form)]
    return Draft("doctor", pieces)


def _emergency(case: Case) -> tuple[Draft, Draft]:
    """A question with a red flag, and an answer that sends to the emergency department and nothing else."""
    answers, said = _load("answers")["emergency"], case.said
    case.complaint = case.pick(tuple(said["red_flags"]))
    case.wording = int(case.rng.random() * 2)
    told = said["red_flags"][case.complaint][case.wording]
    planted = _identifying(case, told)
    greeting = [case.pick(said["greeting"])] if case.rng.random() < 0.75 else []
    farewell = [case.pick(said["thanks"])] if case.rng.random() < 0.4 else []
    clauses = [*_clauses(greeting), *planted["early"], *_clauses([told]), *planted["history"],
               *_clauses([case.pick(_bare_asks(said))]), *planted["contact"],
               *_clauses(farewell)]  # fmt: skip
    question = Draft("asker", _joined(clauses, ". "), ("red_flag", case.complaint))
    parts = [case.pick(answers["go"]), case.pick(answers["why"][case.complaint])]
    parts += case.rng.sample(answers["also"], case.rng.choice((1, 2)))
    return question, _signed(case, _clauses(parts))
