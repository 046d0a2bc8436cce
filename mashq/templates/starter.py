"""The file that `mashq new template NAME` writes."""

from __future__ import annotations

import re

from mashq.rows import MashqError

__all__ = ["scaffold"]

_TEXT = """\
# قوالب «NAME»: ملف واحد لكل مجموعة بيانات. / Templates for one data set.
# Try it: mashq make tune --data my.csv --template NAME.yaml
dataset:
  name: NAME
  licence: ""        # SPDX, e.g. CC-BY-4.0; it travels into every row
  citation: ""       # whom to cite, with the address
  # The columns of your file and their types (string, integer, float, boolean, any; a list is [string], a record
  # {name: string}). A template that names another column is refused before a row is read.
  fields:
    question: string
    answer: string
  language: ar

templates:
  # The name is part of every row's id: choose it once.
  answer:
    task: open-question-answering
    variety: msa     # of the prompt: msa, egyptian, moroccan, gulf, levantine ...
    metrics: [rougeL, chrF++]
    prompt: |
      أجب عن السؤال الآتي بإيجاز.

      السؤال: {{ question }}
    target: "{{ answer }}"

  # The same data asked the other way round. A row with an empty prompt or target is dropped, with the reason.
  ask:
    task: question-generation
    variety: msa
    metrics: [rougeL, chrF++]
    prompt: |
      اكتب سؤالًا يكون جوابه: {{ answer }}
    target: "{{ question }}"
"""


def scaffold(name: str) -> str:
    """A template file to start from, which loads as it is and renders a file with the columns `question`, `answer`.

    Raises MashqError for a name that is no plain word: letters, digits, `-` and `_`.
    """
    if not re.fullmatch(r"[^\W_][\w-]*", name):
        raise MashqError(f"new template: expected a name of letters, digits, - and _, got '{name}'.")
    return _TEXT.replace("NAME", name)
