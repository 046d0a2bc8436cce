"""Replies of several systems on the same items -> samples, scores with intervals, and paired comparisons.

| part | what |
|---|---|
| `evaluation` | all of it: one call from reply rows to samples.parquet and scores.json |
| `items` | what several systems replied to the same items |
| `slices` | the cuts of a test set: task, variety, source, template, length, origin |
| `measure`, `scores` | one metric of one system by item; scores of every slice, and systems compared |
| `crossings` | two cuts at once: task x data set and others, described and not tested |
| `health` | what replies look like, and how much of them stands in the training data |
"""

from mashq.evaluate.evaluation import evaluate
from mashq.evaluate.measure import LIKELIHOOD
from mashq.evaluate.slices import SLICES

__all__ = ["LIKELIHOOD", "SLICES", "evaluate"]
