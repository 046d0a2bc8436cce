"""What the data steps of the medical recipe do to synthetic posts, against what was planted in them.

    python benchmarks/medical_posts.py --threads 2000 --write docs/benchmarks/medical_posts.md

The posts (`mashq/medical/posts.py`) and the parts that clean them were written apart from one another: neither saw the
other's lists. Kept threads are looked through for the planted characters; pairs are compared with the writer's flags.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from mashq.medical import posts as medical_posts
from mashq.make import Wish, made
from mashq.medical.posts import IDENTIFIERS, NOISE
from mashq.metrics.score import wilson
from mashq.run import read_rows

COMMAND = "python benchmarks/medical_posts.py --threads 2000 --write docs/benchmarks/medical_posts.md"
