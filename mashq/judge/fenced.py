"""The marks between which judged texts stand: no text can close them, end a turn or begin another."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence

from mashq import arabic

__all__ = ["fence", "without_turns"]

# What some servers would read as the end of a turn or the beginning of another, if a text could spell it: the first
# sign of a mark, where the rest of one follows. Words alone ("Human:") and what texts use (<b>, [1], [IMG]) are none.
TURN_MARK = re.compile(
    r"""
    <(?= \| [^\s<>|]{1,60} \|? > )              # <|im_end|>, <|eot_id|>, <｜User｜>, <|turn>
    | <(?= [\w/:-]{1,60} \| > )                 # <turn|>, <channel|>
    | <(?= /? (?:
        s | bos | eos | pad | unk | cls | sep | mask | sop | eop | eod | eot | eom | eog | eoh | eoa | eosys
        | sys | system | user | assistant | human | bot | role | 用户 | AI
        | think | thinking | thought | reasoning | tools | image
        | (?:tool|function)_(?:calls?|responses?|results?|outputs?|code) | fim_\w{1,20} | \w{1,30}_token
        | (?:start|end|begin|beginning)_of_\w{1,30} | seed:\w{1,30} | (?:extra_id|special|reserved)_\d{1,5}
        | unused_?\d{1,5} | tokens_unused_\d{1,5} | 0x[0-9a-f]{2}
      ) > )
    | \[(?= \| [^\s\[\]|]{1,60} \| \] )         # [|Human|], [|endofturn|]
    | \[(?= /? (?: INST | SYS | SYSTEM_PROMPT | (?-i:
        MODEL_SETTINGS | AVAILABLE_TOOLS | TOOL_(?:CALLS|RESULTS|CONTENT) | THINK | ARGS | CALL_ID
        | gMASK | sMASK | MASK | CLS | SEP | PAD | UNK | BOS | EOS | EOT | EOD
        | (?:UNUSED_TOKEN_|unused|control_)\d{1,5}
      ) ) \] )
    | \](?= ~!?b[\[\]] ) | \[(?= e~\[ )         # ]~!b[, ]~b] and [e~[
    | (?<!\#)\#(?= \#\#\ ?(?:Instruction|Input|Response|Human|User|Assistant|System)\ ?: )  # ### Instruction:
    """,
    re.I | re.X,
)
# Wide forms (U+FF01 to U+FF5E) count as what they are forms of: some tokenizers make them equal before they look.
NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}


def fence(texts: Sequence[str]) -> str:
    """16 hexadecimal digits that stand in none of the texts, however they are spaced: drawn from the texts themselves,
    so that a text cannot know them, and again until they are in none."""
    squeezed = re.sub(r"[^0-9a-f]", "", "\0".join(texts).lower())
    for draw in _draws("\0".join(texts)):
        if draw not in squeezed:
            return draw
    raise AssertionError("draws do not end")


def _draws(text: str) -> Iterator[str]:
    number = 0
    while True:
        data = f"{number}\0{text}".encode("utf-8", "surrogatepass")
        yield hashlib.blake2b(data, digest_size=8).hexdigest()
        number += 1


def without_turns(text: str) -> str:
    """A text in which no server can find the end of a turn: a space behind the first sign of each such mark.

    Lone surrogates are replaced: no request can hold one.
    """
    text = arabic.whole(text)
    ends = [0, *(found.end() for found in TURN_MARK.finditer(text.translate(NARROW))), len(text)]
    return " ".join(text[start:end] for start, end in itertools.pairwise(ends))
