"""Texts -> texts: sentences split, made unique, translated once, each one judged, and put back.

| part | what |
|---|---|
| `texts` | sentences of many texts through one engine and its judges; the rule by which a text is kept |
| `fixed` | what people said of translations: fixed and rejected sentences, and their file |
| `settings` | settings -> engine, scorers, fixed translations |
| `rows` | prompt rows -> translated rows: choices, examples, tasks |
| `step` | the step that translates and judges; which sentences cost most |
| `show` | a row beside its translation |
"""

from mashq.translate.texts import Bar, Cut, Judge, Judged, Rule, Translator, below, cut, fixed_for, verdicts

__all__ = ["Bar", "Cut", "Judge", "Judged", "Rule", "Translator", "below", "cut", "fixed_for", "verdicts"]
