import pytest

from mashq.lm import unfenced, without_thoughts


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("صباح الخير", "صباح الخير"),
        ("  <think>أفكر</think>\n\nصباح الخير\n", "صباح الخير"),
        ("أفكر بلا علامة بداية\n</think>\nصباح الخير", "صباح الخير"),
        ("<think>أولًا</think><think>ثانيًا</think>صباح الخير", "صباح الخير"),
        ("اكتب <think> قبل الفكرة و</think> بعدها", "اكتب <think> قبل الفكرة و</think> بعدها"),
        ("<think>أفكر ثم", None),
        ("<think>أولًا</think><think>ثم", None),
        ("", ""),
    ],
)
def test_a_thought_before_a_reply_is_cut(reply, said):
    assert without_thoughts(reply) == said


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("```\nصباح الخير\n```", "صباح الخير"),
        ("```text\nصباح\nالخير\n```\n", "صباح\nالخير"),
        ("```json\n{}```", "{}"),
        ("قال: ```صباح```", "قال: ```صباح```"),
        ("```\nصباح", "```\nصباح"),
    ],
)
def test_a_fence_around_a_whole_text_is_taken_away(text, inside):
    assert unfenced(text) == inside
