"""Train a student on rows: full, LoRA or QLoRA, one stage after another, with the lineage kept.

| part | what |
|---|---|
| `settings` | what a training is asked for, and what cannot go together |
| `training` | one training from rows to a folder; goes on where a crash left it |
| `rows` | rows -> ids and labels, batches of like length, or packed; what does not fit is refused |
| `start`, `fit`, `loop` | the model that is begun with; a training in this process; the Trainer with our loss |
| `launch` | the same in several processes |
| `cost`, `memory` | what it took, and what it would take |
| `card` | what a model says of itself |
"""

from mashq.train.settings import TrainSettings
from mashq.train.training import train

__all__ = ["TrainSettings", "train"]
