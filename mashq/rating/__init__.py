"""Human rating studies: what raters are shown, what they answered, and the tables that come out of it.

| part | what it holds |
|---|---|
| `study` | a study: criteria, items, guidelines; from a file or from evaluation samples |
| `checks` | pairs to be checked: of a file, of a translation step, of a step that renders templates; a study of them |
| `begin` | the study of whatever `mashq rate` is given |
| `dealing` | which rater rates which items, in which order and on which sides |
| `answers` | what an answer may be, made clean; answers as rows |
| `store` | the SQLite file of a study: raters, their links, their lists, their answers; survives kill -9 |
| `keeping` | an answer into the store's tables: what it replaces, and the time of every visit |
| `table` | answers as rows, with their columns |
| `exports` | CSV, JSON, Parquet |
| `corrections` | what people agree on of translations and renders, on its way back |
| `label_studio` | tasks and configuration for Label Studio, and its export read back |
"""

from mashq.rating.checks import study_of_checks
from mashq.rating.store import Progress, Rater, Shown, Store
from mashq.rating.study import Criterion, Item, Study, read_study, study_of_samples

__all__ = [
    "Criterion",
    "Item",
    "Progress",
    "Rater",
    "Shown",
    "Store",
    "Study",
    "read_study",
    "study_of_checks",
    "study_of_samples",
]
