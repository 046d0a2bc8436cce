"""Texts for `metrics.py`'s comparison of ROUGE: seeded pairs of Arabic texts, and pairs whose score is known."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

SIZES = {20: 600, 60: 250, 200: 60}  # words in a text: pairs in a repeat
LETTERS = "بتثجحخدذرزسشصضطعغفقكلمنهوي"
PATTERNS = ("{}{}{}", "{}ا{}{}", "م{}{}و{}", "{}{}ي{}", "ت{}{}ي{}", "ا{}ت{}ا{}", "است{}{}ا{}", "م{}{}{}ة")
PREFIXES = ("", "", "", "ال", "وال", "بال", "لل", "و", "ف")
SUFFIXES = ("", "", "", "ه", "ها", "هم", "ون", "ات")
PARTICLES = ("في", "من", "إلى", "على", "عن", "مع", "ثم", "أو", "لا", "ما", "هذا", "التي", "كان", "قد")
FORMS = 60_000  # with the exponent below 30,000 words hold 10,200 different ones; real stories 9,700
EXPONENT = 1.0  # of the Zipf-Mandelbrot law
PLAIN = "ذهب الولد إلى المدرسة في الصباح"
UNRELATED = "ارتفعت أسعار النفط أمس بعد قرار المنظمة"


@cache
def lexicon() -> tuple[list[str], list[float]]:
    """Word forms and their cumulated weights: particles first, then roots in patterns, under affixes."""
    generator = random.Random(0)
    forms = dict.fromkeys(PARTICLES)
    while len(forms) < FORMS:
        stem = generator.choice(PATTERNS).format(*generator.sample(LETTERS, 3))
        forms[generator.choice(PREFIXES) + stem + generator.choice(SUFFIXES)] = None
    weights = accumulate(1 / (rank + 2.7) ** EXPONENT for rank in range(FORMS))
    return list(forms), list(weights)


def sentence(generator: random.Random, words: int) -> list[str]:
    """So many words, drawn from the lexicon."""
    forms, weights = lexicon()
    return generator.choices(forms, cum_weights=weights, k=words)


def pairs(words: int, count: int, seed: int) -> tuple[list[str], list[str]]:
    """Replies and references of so many words; a reply keeps about half of its reference's words, in order."""
    generator = random.Random(seed)
    replies, references = [], []
    for _ in range(count):
        reference = sentence(generator, words)
        fresh = sentence(generator, words)
        reply = [old if generator.random() < 0.5 else new for old, new in zip(reference, fresh, strict=True)]
        references.append(punctuated(generator, reference))
        replies.append(punctuated(generator, reply))
    return replies, references


def punctuated(generator: random.Random, words: list[str]) -> str:
    """One text with a comma or full stop after about every eighth word."""
    return " ".join(word + generator.choice(("،", ".")) if generator.random() < 0.13 else word for word in words)


# --- pairs whose score is known --------------------------------------------------------------------------------------

SMALL = 0.2  # two texts of seven words that share a number and nothing else: 1 / 7


@dataclass(frozen=True)
class Case:
    """A pair of texts, and what ROUGE-L must say of it."""

    name: str
    reply: str
    reference: str
    must: str  # F; "small": below `SMALL`, and not 0

    def holds(self, f: float) -> bool:
        """Whether an F is what it must be; nan, where a package stopped, is not."""
        return 0 < f < SMALL if self.must == "small" else abs(f - float(self.must)) < 5e-4


def cases() -> list[Case]:
    """What a reader of Arabic takes for equal scores 1; what shares no word scores 0."""
    vocalised = "ذَهَبَ الوَلَدُ إِلَى المَدْرَسَةِ فِي الصَّبَاحِ"
    stretched = PLAIN.replace("ل", "ل\N{ARABIC TATWEEL}\N{ARABIC TATWEEL}")
    shaped = PLAIN.replace("لد", "\N{ARABIC LETTER LAM MEDIAL FORM}\N{ARABIC LETTER DAL FINAL FORM}")
    hidden = f"\N{RIGHT-TO-LEFT MARK}{PLAIN}".replace("المد", "الم\N{ZERO WIDTH NON-JOINER}د")
    return [
        Case("identity", PLAIN, PLAIN, "1"),
        Case("the first half of the words", " ".join(PLAIN.split()[:3]), PLAIN, "0.6667"),
        Case("unrelated", UNRELATED, PLAIN, "0"),
        Case("vocalised against plain", vocalised, PLAIN, "1"),
        Case("vocalised against itself", vocalised, vocalised, "1"),
        Case("stretched with tatweel", stretched, PLAIN, "1"),
        Case("alef without its hamza", PLAIN.replace("إ", "ا"), PLAIN, "1"),
        Case("presentation forms", shaped, PLAIN, "1"),
        Case("hidden marks", hidden, PLAIN, "1"),
        Case("Arabic-Indic digits", f"{PLAIN} ١٩٥٢", f"{PLAIN} 1952", "1"),
        Case("only the digits shared", f"{UNRELATED} 1952", f"{PLAIN} 1952", "small"),
        Case("punctuation", f"{PLAIN.replace('المدرسة', 'المدرسة،')}.", PLAIN, "1"),
        Case("punctuation alone shared", "،؟!", "،؟!", "0"),
        Case("empty reply", "", PLAIN, "0"),
        Case("both empty", "", "", "0"),
    ]
