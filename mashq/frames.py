r"""The chat frames: what stands around the turns of a conversation. `mashq.chat` makes ids of them.

A tokenizer with a chat template of its own uses that one (`template`). Base models have none; for them there are frames
of ours. In four of them a turn ends with a special token of the tokenizer:

| name     | a turn                                                                             | between turns |
|----------|------------------------------------------------------------------------------------|---------------|
| `gemma`  | `<start_of_turn>` role `\n` content `<end_of_turn>`                                | `\n`          |
| `chatml` | `<\|im_start\|>` role `\n` content `<\|im_end\|>`                                  | `\n`          |
| `llama3` | `<\|start_header_id\|>` role `<\|end_header_id\|>` `\n\n` content `<\|eot_id\|>`    | nothing       |
| `plain`  | role `:\n` content, then the tokenizer's end-of-text token                         | nothing       |

Roles are system, user and assistant; `gemma` calls the last one model.

Four more are pairs of a question and its answer, as their families were taught to chat. Turns alternate, a system turn
may come first, and an answer ends with the tokenizer's end-of-text token:

| name      | system                            | user                             | answer        |
|-----------|-----------------------------------|----------------------------------|---------------|
| `mistral` | `[INST]` content `\n\n`, and the user's without its `[INST]` | `[INST]` content `[/INST]`   | content |
| `llama2`  | `[INST] <<SYS>>\n` content `\n<</SYS>>\n\n`, as `mistral`    | the same                     | content |
| `jais-en` | `### Instruction:` content `\n\n` ask| `\n### Input: [\|Human\|]` … `\n### Response: [\|AI\|]` | content |
| `jais-ar` | the same, `ask` in Arabic             | the same                         | content       |

`llama2` writes the beginning of text again before each question after the first.
`ask` is Jais's "Complete the conversation below between [|Human|] and [|AI|]:"; without a system turn it stands alone.
Before a content of Jais stands a space. `mistral` and `llama2` write none: the SentencePiece tokenizers of these
families add it, those of later ones want none. Sources: docs.mistral.ai, "Demystifying Mistral's Instruct
Tokenization"; Touvron et al. 2023 (arXiv 2307.09288) and the `llama` repository's generation.py; the model card of
jais-13b-chat (its two prompts), whose persona is the user's to give as a system turn.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FRAMES", "Frame", "Pairs"]


@dataclass(frozen=True)
class Pairs:
    """The text around turns that come in pairs; `marks` stand within these texts, as special tokens where it has them.

    `system`, `user`: what stands before and after the content. A user turn after a system turn begins with `resumes`,
    the first of a conversation without system turn with `alone` before it. `lead` is written before every content and
    encoded with it. `rounds`: after an answer the beginning-of-text token comes again.
    """

    system: tuple[str, str]
    user: tuple[str, str]
    marks: tuple[str, ...]
    resumes: str = ""
    alone: str = ""
    lead: str = ""
    rounds: bool = False


@dataclass(frozen=True)
class Frame:
    """How a turn becomes ids: `opener` role `header` content `closer`, with `gap` between turns; or `pairs`.

    `opener`, `header_end` and `closer` are special tokens ("" = none; a `closer` of "" means the tokenizer's end of
    text); `header` and `gap` are plain text. `assistant` is the assistant's name in the model's eyes.
    """

    name: str
    opener: str = ""
    header_end: str = ""
    header: str = "\n"
    closer: str = ""
    gap: str = ""
    assistant: str = "assistant"
    pairs: Pairs | None = None

    def role_name(self, role: str) -> str:
        """The role as the model reads it."""
        return self.assistant if role == "assistant" else role


INST = ("[INST]", "[/INST]")
JAIS = ("[|Human|]", "[|AI|]", "### Instruction:", "### Input:", "### Response:")


def _jais(name: str, ask: str) -> Frame:
    user = ("\n### Input: [|Human|]", "\n### Response: [|AI|]")
    system = ("### Instruction:", f"\n\n{ask}")
    return Frame(name, pairs=Pairs(system, user, JAIS, resumes=user[0], alone=f"### Instruction: {ask}", lead=" "))


FRAMES: dict[str, Frame] = {
    frame.name: frame
    for frame in (
        Frame("template"),
        Frame("gemma", "<start_of_turn>", "", "\n", "<end_of_turn>", "\n", "model"),
        Frame("chatml", "<|im_start|>", "", "\n", "<|im_end|>", "\n"),
        Frame("llama3", "<|start_header_id|>", "<|end_header_id|>", "\n\n", "<|eot_id|>", ""),
        Frame("mistral", pairs=Pairs(("[INST]", "\n\n"), INST, INST)),
        Frame("plain", "", "", ":\n", "", ""),
        Frame(
            "llama2",
            pairs=Pairs(("[INST] <<SYS>>\n", "\n<</SYS>>\n\n"), INST, (*INST, "<<SYS>>", "<</SYS>>"), rounds=True),
        ),
        _jais("jais-en", "Complete the conversation below between [|Human|] and [|AI|]:"),
        _jais("jais-ar", "أكمل المحادثة أدناه بين [|Human|] و [|AI|]:"),
    )
}
