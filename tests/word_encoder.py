"""An encoder that hears shared words, and conversations with their questions: for tests of the dialogue score."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from mashq import arabic


class Words:
    """A vector a text: each of its words in a place of its own."""

    name, identity, licence = "words", "words|test", "Apache-2.0"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        made = np.zeros((len(texts), 512), np.float32)
        for row, text in enumerate(texts):
            for word in arabic.words(text):
                made[
                    row, int(hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=2).hexdigest(), 16) % 512
                ] += 1
        lengths = np.linalg.norm(made, axis=1, keepdims=True)
        return made / np.maximum(lengths, 1e-9)


TALKS = [
    ("كيف أزرع الطماطم في البيت؟", "ازرع الطماطم في أصيص واسع، وضع الأصيص في الشمس، واسق الطماطم كل يوم."),
    ("ما أفضل وقت لزيارة مراكش؟", "الربيع أفضل وقت لزيارة مراكش، لأن حر الصيف في مراكش شديد."),
    ("كم ساعة أنام في الليل؟", "يحتاج البالغ إلى سبع ساعات من النوم في الليل، فلا تسهر."),
    ("لماذا يصدأ الحديد؟", "يصدأ الحديد حين يلتقي الحديد بالماء والهواء معا."),
]


def talk(question: str, reply: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]


def many(count: int) -> list[list[dict[str, str]]]:
    """Talks about things that have names of their own."""
    names = [f"شيء{chr(0x627 + i % 28)}{chr(0x628 + i // 28)}" for i in range(count)]
    return [talk(f"ما هو {name}؟ حدثني عن {name}.", f"إن {name} من صنع الناس، و{name} قديم.") for name in names]
