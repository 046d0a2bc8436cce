"""A language model as rater, and how far it can be trusted.

| part | what |
|---|---|
| `rubrics` | criteria with questions and levels, in Arabic and English |
| `asking` | the requests: 1 to 5 by each criterion, or two replies in both orders |
| `words`, `patterns`, `values`, `claims` | what it said in one form; numbers and names in it; all that claims a score |
| `reply`, `verdict` | -> scores of one reply, or the better of two; what cannot be read has a reason |
| `family` | whether the judge is kin to what it judges |
| `framed` | a judge without a chat template, asked in the frame that fits it |
| `rows`, `run` | reply rows and finished evaluations, judged |
| `card` | the judge card; `probes` changes texts by rule, `measures` counts, `card_page` says it in words |
| `intervals`, `card_step` | intervals that have a width where all is equal; the card as a step of a recipe |
"""

from mashq.judge.asking import Case, Compared, Judge, Judged, JudgeSettings, Judging, Preferred, open_judge

__all__ = ["Case", "Compared", "Judge", "JudgeSettings", "Judged", "Judging", "Preferred", "open_judge"]
