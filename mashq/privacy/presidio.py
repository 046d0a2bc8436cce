"""Both ways between Presidio and us: its recognisers here, ours in its engine.

We call recognisers straightly. Measured (presidio-analyzer 2.2.366, two cores): importing it takes 4.4 s, because it
loads spaCy and others, and its engine adds 0.36 ms to a post with a finding over calling the same twelve recognisers
(0.47 and 0.11 ms); all of ours take about 0.4 ms for a post. Nothing of it is imported before a Presidio recogniser is
given or `analyzer` is called. Nothing reaches the network: the engine gets our words instead of a spaCy model, and none
of Presidio's own recognisers (its e-mail one uses tldextract, which fetches a list).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from typing import Any

from mashq import arabic
from mashq.privacy.found import Found, Recogniser
from mashq.privacy.page import Page
from mashq.rows import MashqError, expected_got

__all__ = ["KIND_OF", "analyzer", "from_presidio", "nlp_engine", "to_presidio"]

# Presidio's names for our kinds; another name of theirs is a kind of its own, in lower case.
KIND_OF = {
    "PERSON": "name",
    "PHONE_NUMBER": "phone",
    "EMAIL_ADDRESS": "email",
    "IBAN_CODE": "iban",
    "LOCATION": "address",
    "MEDICAL_LICENSE": "record_number",
}
_TO_THEIRS = {"name": "PERSON", "phone": "PHONE_NUMBER", "email": "EMAIL_ADDRESS", "iban": "IBAN_CODE"}
NEED = "pip install 'mashq[privacy]'"


def _presidio(module: str = "presidio_analyzer") -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MashqError(f"de-identification: this needs the package 'presidio-analyzer': {NEED}") from error


def _words(text: str) -> tuple[list[str], list[int], list[str]]:
    """Words, where they begin, and the words without marks, in which context words are compared."""
    spans = arabic.word_spans(text)
    words = [text[start:end] for start, end in spans]
    bare = [arabic.normalise(word, ("tashkeel", "tatweel")).lower() for word in words]
    return words, [start for start, _ in spans], bare


@cache
def nlp_engine() -> Any:
    """A Presidio NlpEngine of our words: no model, no lemmas, nothing downloaded."""
    module = _presidio("presidio_analyzer.nlp_engine")

    class Words(module.NlpEngine):  # type: ignore[name-defined]
        """Splits by mashq.arabic.words."""

        def load(self) -> None:
            """Nothing to load."""

        def is_loaded(self) -> bool:
            return True

        def process_text(self, text: str, language: str) -> Any:
            words, starts, bare = _words(text)
            made = module.NlpArtifacts([], words, starts, bare, self, language)
            made.keywords = bare
            return made

        def process_batch(self, texts: Any, language: str, *unused: Any, **more: Any) -> Iterator[tuple[str, Any]]:
            for text in texts:
                yield text, self.process_text(text, language)

        def is_stopword(self, word: str, language: str) -> bool:
            return False

        def is_punct(self, word: str, language: str) -> bool:
            return False

        def get_supported_entities(self) -> list[str]:
            return []

        def get_supported_languages(self) -> list[str]:
            return ["ar"]

    return Words()


class _FromPresidio:
    """A Presidio EntityRecognizer as one of ours, with Presidio's context enhancement where it names context words."""

    def __init__(self, theirs: Any):
        self.theirs = theirs
        self.name = f"presidio {theirs.name}"
        self.version = str(getattr(theirs, "version", ""))
        self.kinds = tuple(KIND_OF.get(one, one.lower()) for one in theirs.supported_entities)
        self._enhancer = None
        if getattr(theirs, "context", None):
            module = _presidio("presidio_analyzer.context_aware_enhancers")
            self._enhancer = module.LemmaContextAwareEnhancer(context_matching_mode="whole_word")

    def find(self, page: Page) -> Iterator[Found]:
        text = page.flat  # masked where something was found; their patterns meet ASCII digits and one spelling
        artifacts = nlp_engine().process_text(text, "ar") if self._enhancer else None
        results = self.theirs.analyze(text, list(self.theirs.supported_entities), artifacts) or []
        if self._enhancer and results:
            results = self._enhancer.enhance_using_context(text, results, artifacts, [self.theirs])
        for one in results:
            kind = KIND_OF.get(one.entity_type, one.entity_type.lower())
            yield Found(kind, one.start, one.end, float(one.score), self.name)


def from_presidio(theirs: Any) -> Recogniser:
    """A Presidio EntityRecognizer (a PatternRecognizer, say) as a recogniser of ours.

    It reads the folded text (`Page.flat`): write its patterns and context words with ا for أ, ي for ى, ه for ة.
    Raises MashqError for anything without `analyze` and `supported_entities`.
    """
    if not hasattr(theirs, "analyze") or not hasattr(theirs, "supported_entities"):
        raise MashqError(
            expected_got(
                "de-identification: recognisers",
                "objects with find(page), or Presidio EntityRecognizers",
                type(theirs).__name__,
                "See docs/how-to/de-identify.md.",
            )
        )
    return _FromPresidio(theirs)


def to_presidio(ours: Recogniser) -> Any:
    """One of our recognisers as a Presidio EntityRecognizer for language "ar"."""
    package = _presidio()

    class Adapted(package.EntityRecognizer):  # type: ignore[name-defined]
        """Finds in a page, tells in Presidio's results."""

        def load(self) -> None:
            """Nothing to load."""

        def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Any]:
            page = Page(text)
            results = []
            for found in ours.find(page):
                entity = _TO_THEIRS.get(found.kind, found.kind.upper())
                if entity in entities or not entities:
                    start, end = page.places(found.start, found.end)
                    results.append(package.RecognizerResult(entity, start, end, found.score))
            return results

    entities = [_TO_THEIRS.get(kind, kind.upper()) for kind in ours.kinds]
    return Adapted(entities, name=f"mashq {ours.name}", supported_language="ar", version=ours.version)


def analyzer(recognisers: tuple[Recogniser, ...] | None = None) -> Any:
    """A Presidio AnalyzerEngine for "ar" with our recognisers only, for those whose pipeline is Presidio's.

    Call `.analyze(text, "ar")`; its results may overlap, as Presidio's do. Raises MashqError without presidio-analyzer.
    """
    from mashq.privacy.deidentify import OURS

    package = _presidio()
    registry = package.RecognizerRegistry([], supported_languages=["ar"])
    for one in recognisers or OURS:
        registry.add_recognizer(to_presidio(one))
    return package.AnalyzerEngine(registry=registry, nlp_engine=nlp_engine(), supported_languages=["ar"])
