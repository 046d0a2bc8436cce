"""The steps that recipes share, one function each: of rows, of rows of any number, of models."""

from mashq.steps.many_rows import deduplicated, examples, few_shot, held_out, mixture, with_shots
from mashq.steps.models import (
    EncoderSettings,
    StudentSettings,
    asked_for_replies,
    evaluation,
    frequent_answers,
    replies,
    run_training,
    train,
)
from mashq.steps.rows import (
    SplitSettings,
    data_folder,
    prompts,
    prompts_of_columns,
    published,
    read,
    split,
    take,
    together,
    with_licence,
)

__all__ = [
    "EncoderSettings",
    "SplitSettings",
    "StudentSettings",
    "asked_for_replies",
    "data_folder",
    "deduplicated",
    "evaluation",
    "examples",
    "few_shot",
    "frequent_answers",
    "held_out",
    "mixture",
    "prompts",
    "prompts_of_columns",
    "published",
    "read",
    "replies",
    "run_training",
    "split",
    "take",
    "together",
    "train",
    "with_licence",
    "with_shots",
]
