"""mashq: make Arabic training data, train a language model on it, and prove the gain."""

import logging
import os

# No usage reporting, ours or a dependency's. Set before Daft, Ray or the hub can be imported.
for _switch in ("DAFT_ANALYTICS_ENABLED", "RAY_USAGE_STATS_ENABLED"):
    os.environ[_switch] = "0"
for _switch in ("DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY", "SCARF_NO_ANALYTICS"):
    os.environ[_switch] = "1"
# OpenMP's threads sleep while they wait. Spinning, two threads on two busy cores wrote 22 tokens a second with the
# embedded model, sleeping 123; on a quiet machine spinning is some 10 to 20 % faster. Set before torch can be imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# It warns, wherever PEFT is imported, that it could not fetch compiled code from the hub; `lm.weights` sees to that.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

__version__ = "0.1.0"
__all__ = ["__version__"]
