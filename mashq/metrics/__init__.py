"""Metrics: replies and references to numbers that carry their recipe, their interval and their n.

One file per metric. `CATALOGUE` holds those that score a reply against its references; perplexity and bits per byte
need a model's likelihoods, novelty the training text, health the reply alone. Those that score a reply against its
prompt are `mashq.obedience.METRICS`.
"""

from mashq.metrics import chrf, exact, rouge
from mashq.metrics.paired import Comparison, compare, compare_ratio, holm
from mashq.metrics.profile import PROFILES, Profile
from mashq.metrics.score import Metric, Score, mean_score, ratio_score

__all__ = [
    "CATALOGUE",
    "PROFILES",
    "Comparison",
    "Metric",
    "Profile",
    "Score",
    "compare",
    "compare_ratio",
    "holm",
    "mean_score",
    "ratio_score",
]

CATALOGUE: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        rouge.metric("rougeL"),
        rouge.metric("rouge1"),
        rouge.metric("rouge2"),
        chrf.metric(),
        exact.metric(),
    )
}
