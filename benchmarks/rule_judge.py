"""A judge on loopback that is no language model: it scores by rules and has two faults planted on purpose.

    python benchmarks/rule_judge.py      # prints its port, serves until standard input ends
    mashq make stages --set proof.judge.model=http://127.0.0.1:PORT/v1#scripted-rules --set proof.card=24

It shows a report with every section where no judge can be had. What a reply takes from the prompt, four words or more
in a row, does not count. Fluency and consistency lose by the share of words that are repeated, coherence by that of
sentences, following instructions gains by the prompt's words that come again, variety by whether the reply reads as the
Arabic that was asked for. Planted: a reply in Egyptian or Moroccan loses one step of fluency, and of two replies the
first shown is called better one time in four, whatever they are. A judge card must find both.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Sequence

import llm_server

from mashq import arabic
from mashq.obedience import own_words
from mashq.sentences import sentences
from mashq.variety_asked import reads_as

TEXTS = re.compile(r"BEGIN (\S+)\n(.*?)\nEND \1", re.S)
SHAPE = re.compile(r'\{("\w+": [NX](?:, "\w+": [NX])*)\}')
ASKED = {"المصرية": "egyptian", "المغربية": "moroccan", "الفصحى": "msa"}
FIRST = 0.25  # share of the pairs whose first reply wins unread
LEAST = 5  # words of a reply that can be judged; below it everything is 1
DIALECT = 1.0  # steps of fluency that a dialect loses


def judgement(messages: Sequence[tuple[str, str]]) -> str:
    """The reply to one request of `mashq.judge`, as JSON."""
    question = messages[-1][1]
    texts = [text for _, text in TEXTS.findall(question)]
    shapes = SHAPE.findall(question)
    if len(texts) < 2 or not shapes:
        return "I can only judge what stands between marks."
    names = re.findall(r'"(\w+)": [NX]', shapes[-1])
    asked = variety_asked(question)
    if ": X" not in shapes[-1]:
        found = scores(texts[0], texts[-1], asked)
        return json.dumps({name: found.get(name, 3) for name in names})
    first, second = (sum(scores(texts[0], text, asked).values()) for text in texts[-2:])
    better = "first" if first > second or unread(question) else "second" if second > first else "tie"
    return json.dumps(dict.fromkeys(names, better))


def variety_asked(question: str) -> str:
    """The variety that the question names outside the texts, "" for none."""
    outside = TEXTS.sub("", question)
    return next((variety for name, variety in ASKED.items() if name in outside), "")


def scores(prompt: str, reply: str, asked: str) -> dict[str, int]:
    """1 to 5 by criterion, by rule."""
    reply = own_words(prompt, reply)
    words, said = arabic.words(reply), [one.strip() for one in sentences(reply)]
    if len(words) < LEAST:
        return dict.fromkeys(("fluency", "coherence", "following_instructions", "consistency", "variety"), 1)
    repeated = 1 - len(set(words)) / len(words)
    again = 1 - len(set(said)) / len(said)
    wanted = {word for word in arabic.words(prompt) if len(word) > 3}
    obeyed = len(wanted & set(words)) / len(wanted) if wanted else 0.5
    read = reads_as(reply, asked) if asked else None
    told = {
        "fluency": 5 - 5 * max(0.0, repeated - 0.2) - (DIALECT if asked in ("egyptian", "moroccan") else 0),
        "coherence": 5 - 5 * again,
        "following_instructions": 1 + 8 * obeyed,
        "consistency": 5 - 4 * max(0.0, repeated - 0.3),
        "variety": 5 if read == asked else 3 if not read else 1,
    }
    return {name: min(5, max(1, round(value))) for name, value in told.items()}


def unread(question: str) -> bool:
    """Whether this pair's first reply wins whatever it is, drawn by what was asked."""
    return int.from_bytes(hashlib.blake2b(question.encode(), digest_size=8).digest()) / 2**64 < FIRST


if __name__ == "__main__":
    llm_server.answer_to = judgement
    asyncio.run(llm_server.serve())
