"""mashq: make Arabic training data, train a language model on it, and prove the gain."""

import os

# No usage reporting, ours or a dependency's. Set before Daft, Ray or the hub can be imported.
for _switch in ("DAFT_ANALYTICS_ENABLED", "RAY_USAGE_STATS_ENABLED"):
    os.environ[_switch] = "0"
for _switch in ("DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY", "SCARF_NO_ANALYTICS"):
    os.environ[_switch] = "1"

__version__ = "0.1.0"
__all__ = ["__version__"]
