"""What every metric of the catalogue promises."""

import subprocess
import sys

import pytest

from mashq import __version__
from mashq.metrics import CATALOGUE, mean_score

TEXT = "كتب الطالب رسالة إلى صديقه في القاهرة"


def test_the_catalogue_is_what_the_docs_name():
    assert list(CATALOGUE) == ["rougeL", "rouge1", "rouge2", "chrF++", "exact"]


@pytest.mark.parametrize("metric", CATALOGUE.values(), ids=CATALOGUE.keys())
def test_identity_is_the_top_and_unrelated_the_bottom(metric):
    top = {"0..1": 1.0, "0..100": 100.0, "0 or 1": 1.0}[metric.unit]
    values = metric.per_item([TEXT, "xyz", "", TEXT], [[TEXT], [TEXT], [TEXT], ["xyz", TEXT]])
    assert values == [top, 0.0, 0.0, top]
    assert all(type(value) is float for value in values)
    assert metric.higher_is_better


@pytest.mark.parametrize("metric", CATALOGUE.values(), ids=CATALOGUE.keys())
def test_signature_starts_with_the_name_and_ends_with_the_version(metric):
    assert metric.signature.startswith(f"{metric.name}|")
    assert "|norm:nfc-" in metric.signature
    assert metric.signature.endswith(f"|mashq:{__version__}")
    score = mean_score(metric.per_item([TEXT], [[TEXT]]), name=metric.name, signature=metric.signature)
    assert "|agg:mean|ci:" in score.signature


def test_importing_the_metrics_brings_no_heavy_package():
    heavy = ("torch", "transformers", "daft", "matplotlib", "scipy", "sacrebleu")
    code = f"import sys, mashq.metrics; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
