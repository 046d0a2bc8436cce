"""Test items against every training stage: copies, shared spans, near-duplicates, twins across languages; clean scores.

The items are indexed and the training rows stream past them once, so memory grows with the items and with what they
share, not with the training data. All texts are compared as words in the profile `search` of `mashq.arabic`, which the
signature names: vowel marks, spellings of alef, ya and ta marbuta, digit shapes and punctuation do not hide a copy.

One index answers everything: runs of `RUN` words, as 64-bit hashes (n-grams of 10**5 item words and 10**10 training
words meet by chance once in 10**4 checks). Consecutive runs on one diagonal are a shared span; spans give the share of
n-grams and the longest copy. The Jaccard measure of the sets of runs is counted, not estimated: MinHash (`mashq.near`)
is for two large sides, and here one is small.

Wording that everybody shares is no evidence, and a run of it is left out of every count, above and below the line:
* runs in `Settings.groups` groups of items and in `Settings.template_share` of the items of one template: instructions;
* the same measured on training rows of that template: for templates that only a few items have;
* runs in `Settings.formula_groups` groups, and as many different texts, of training: quotations, formulae of prayer;
* runs of the texts that the caller names (`formulae`), such as a Qur'an or a list of proverbs;
* runs of five words of which fewer than three have a letter.
A text with fewer than `Settings.least` n-grams left, or with less than `Settings.own` of its n-grams, is too short to
tell, which is counted and is not "clean": what two prompts of one grid share beyond its pieces is no copy of a prompt.

Sources: shares of n-grams, 8 words in PaLM (Chowdhery et al. 2022, section 8), 13 in GPT-3 (Brown et al. 2020, appendix
C); the share of words in shared n-grams in Llama 2 (Touvron et al. 2023, appendix A.6); copied spans of 50 (Lee et al.
2022, "Deduplicating Training Data Makes Language Models Better", section 4.1). The limits are our own, see
docs/benchmarks/contamination.md for what they find.
"""

from mashq.contamination.check import KINDS, SUBSETS, Contamination, check_items, write
from mashq.contamination.passing import COLUMNS, RUN, Settings
from mashq.contamination.step import contamination
from mashq.contamination.subsets import subset_scores

__all__ = [
    "COLUMNS",
    "KINDS",
    "RUN",
    "SUBSETS",
    "Contamination",
    "Settings",
    "check_items",
    "contamination",
    "subset_scores",
    "write",
]
