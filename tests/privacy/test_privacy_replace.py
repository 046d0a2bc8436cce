"""Placeholders: consistent, idempotent, and nothing of what was removed is told anywhere."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq.privacy import KINDS, Deidentifier, Found, Names, Style, survey
from mashq.privacy.placeholders import style_of
from mashq.rows import MashqError

FIND = Deidentifier()
POST = "أنا محمد سالم العتيبي وجوالي 0551234567، كشفت عند د. هدى الخطيب في مستشفى السلام الدولي. محمد"

PIECES = st.sampled_from(
    [
        *("أنا", "اسمي", "د.", "الدكتورة", "محمد", "أحمد", "كريم", "أمل", "علي", "على", "باسم", "عبد", "الله", "الدين"),
        *("نور", "بن", "أبو", "أم", "الشمري", "مستشفى", "مركز", "الطبي", "الملك", "شارع", "حي", "عمارة", "شقة", "5"),
        *(
            "سورة",
            "متلازمة",
            "يا",
            "و",
            "ابني",
            "قالت",
            "مواليد",
            "1990",
            "3/5/1990",
            "0551234567",
            "+966",
            "رقم",
            "الملف",
        ),
        *("@user_1", "a@b.com", "انستا:", "x.y1", "Dr.", "Ahmed", "al", "Hassan", "Noor", "Hospital", "SA03", "8000"),
        *("[اسم 1]", "[هاتف 2]", "[", "]", "،", ".", "\n", "ً", "ـ", "\ud800", "\x00", "٠٥", "مُحَمَّد", "ﷲ", "ﻻ", "\u200f"),
    ]
)
TEXTS = st.one_of(
    st.text(max_size=60), st.lists(PIECES, max_size=14).map(" ".join), st.lists(PIECES, max_size=8).map("".join)
)


def test_each_person_and_number_has_one_placeholder():
    done = FIND.replace(POST)
    assert done.text == "أنا [اسم 1] وجوالي [هاتف 1]، كشفت عند د. [طبيب 1] في [مستشفى 1]. [اسم 1]"
    assert done.placeholders == ("[اسم 1]", "[هاتف 1]", "[طبيب 1]", "[مستشفى 1]", "[اسم 1]")


def test_a_thread_shares_its_placeholders():
    names = Names()
    first = FIND.replace("أنا أحمد الشمري", names)
    second = FIND.replace("سلامتك يا احمد، وسلم على خالد", names)
    assert (first.text, second.text) == ("أنا [اسم 1]", "سلامتك يا [اسم 1]، وسلم على [اسم 2]")


def test_one_phone_in_two_spellings_is_one():
    assert FIND.replace("0551234567 أو +966 55 123 4567").text == "[هاتف 1] أو [هاتف 1]"


def test_a_given_name_of_two_persons_is_not_guessed():
    names = Names()
    assert FIND.replace("أحمد الشمري وأحمد العتيبي", names).text == "[اسم 1] و[اسم 2]"
    assert FIND.replace("كلمني أحمد", names).text == "كلمني [اسم 3]"


def test_placeholders_that_stand_in_the_text_keep_their_numbers():
    assert FIND.replace("[اسم 1] كلم أحمد").text == "[اسم 1] كلم [اسم 2]"


def test_english_style_and_a_style_of_ones_own():
    assert Deidentifier(style="english").replace("أنا أحمد").text == "أنا <PERSON_1>"
    own = Deidentifier(style=Style("«{label}:{number}»", (("name", "س"),)))
    assert own.replace("أنا أحمد").text == "أنا «س:1»"


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_any_string_is_replaced_once_and_for_all(text):
    done = FIND.replace(text)
    assert FIND.replace(done.text).text == done.text
    assert FIND.find(done.text) == []


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_spans_are_ordered_apart_and_inside_the_text(text):
    found = FIND.find(text)
    assert found == FIND.find(text)
    ends = [0, *(one.end for one in found)]
    assert all(end <= one.start < one.end <= len(text) for end, one in zip(ends, found, strict=False))
    assert all(one.kind in KINDS and FIND.least <= one.score <= 1 for one in found)


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_what_is_kept_is_kept_letter_by_letter(text):
    done = FIND.replace(text)
    kept, position = [], 0
    for one in done.found:
        kept.append(text[position : one.start])
        position = one.end
    kept.append(text[position:])
    rebuilt = kept[0] + "".join(mark + piece for mark, piece in zip(done.placeholders, kept[1:], strict=True))
    assert rebuilt == done.text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\x00" * 50,
        "\ud800\udfff",
        "ـ" * 1000,
        "5 " * 3000,
        "أبو " * 3000,
        "مستشفى " * 3000,
        "السيد " * 3000,
        "الأستاذ الدكتور " * 2000,
        "a@" * 3000,
    ],
)
def test_odd_strings_do_no_harm(text):
    assert FIND.replace(FIND.replace(text).text).text == FIND.replace(text).text


def test_a_megabyte_is_read():
    text = "السلام عليكم عندي سؤال عن الدواء " * 30_000
    assert FIND.replace(text).text == text


def test_survey_counts_and_tells_no_text():
    done = [FIND.replace(POST), FIND.replace("لا شيء هنا")]
    told = survey(done)
    assert told["texts"] == 2
    assert told["texts_with_identifiers"] == 1
    assert told["kinds"] == {"phone": 1, "hospital": 1, "doctor": 1, "name": 2}
    assert sum(told["recognisers"].values()) == told["identifiers"] == 5
    assert not any(word in json.dumps(told, ensure_ascii=False) for word in ("محمد", "العتيبي", "0551234567", "هدى"))


def test_nothing_that_was_removed_is_shown_by_what_is_kept():
    names = Names()
    done = FIND.replace(POST, names)
    shown = repr(done) + repr(names) + str(names)
    assert not any(word in shown for word in ("محمد", "العتيبي", "0551234567", "الخطيب", "السلام الدولي"))
    assert repr(names) == "Names(4 placeholders)"
    with pytest.raises(MashqError, match="holds what was removed"):
        pickle.dumps(names)


def test_an_error_of_a_strangers_recogniser_is_told_without_the_text():
    class Breaks:
        name, version, kinds = "breaks", "1", ("badge",)

        def find(self, page):
            raise ValueError(f"cannot read {page.text}")

    with pytest.raises(MashqError, match="recogniser 'breaks' failed with ValueError") as caught:
        Deidentifier(recognisers=(Breaks(),)).find("سر محمد")
    assert "محمد" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_recogniser_of_ones_own_adds_a_kind():
    class Badges:
        name, version, kinds = "badges", "1", ("badge",)

        def find(self, page):
            for word in page.words:
                if word.text == "شارتي":
                    yield Found("badge", word.start, word.end, 0.9, self.name)

    own = Deidentifier(recognisers=(Badges(),))
    assert own.replace("هذه شارتي").text == "هذه [badge 1]"
    assert own.replace("هذه [badge 1]").text == "هذه [badge 1]"
    assert own.identity != FIND.identity


def test_identity_follows_settings():
    assert Deidentifier().identity == FIND.identity
    assert len({FIND.identity, Deidentifier(least=0.6).identity, Deidentifier(kinds=("name",)).identity}) == 3
    with pytest.raises(FrozenInstanceError):
        FIND.least = 0.1


def test_only_the_kinds_asked_for_are_replaced():
    assert Deidentifier(kinds=("phone",)).replace("أحمد 0551234567").text == "أحمد [هاتف 1]"


def test_wrong_settings_say_what_is_known():
    with pytest.raises(MashqError, match=r"got 'phones'\. Did you mean 'phone'"):
        Deidentifier(kinds=("phones",))
    with pytest.raises(MashqError, match=r"expected a score of 0..1, got 2"):
        Deidentifier(least=2)
    with pytest.raises(MashqError, match="style: expected arabic or english, got 'arabi'"):
        Deidentifier(style="arabi")
    with pytest.raises(MashqError, match="expected objects with find"):
        Deidentifier(recognisers=("name",))
    with pytest.raises(MashqError, match="with brackets"):
        Style("{label}{number}")


def test_every_kind_has_a_label_in_every_style():
    for name in ("arabic", "english"):
        labels = dict(style_of(name).labels)
        assert set(labels) == set(KINDS)
        assert len(set(labels.values())) == len(KINDS)


def test_finding_reaches_for_no_network(monkeypatch):
    import socket

    def refuse(*unused, **more):
        raise AssertionError("network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert Deidentifier().replace("راسلني a.b@example.com").text == "راسلني [بريد 1]"
