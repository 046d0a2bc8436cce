"""Every rule by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mashq.clean import addresses, arabizi, characters, damage, habits, markup, posts, repeats, replies
from mashq.clean.arabert import arabert
from mashq.clean.arclean import arclean, arclean_many
from mashq.clean.rule import Rule

__all__ = ["RULES"]

_PUT = {"put": ""}  # what stands in the place of each; "" is a space

_ALL = (
    Rule("mojibake", "Arabic read in the wrong encoding is read rightly again", "edit", damage.mojibake,
         signs=("damaged", "accents")),
    Rule("html", "entities become characters, tags go", "edit", markup.html, signs=("entity",)),
    Rule("invisible", "bidi and zero-width marks, controls and glyph forms go; vowel marks stay", "edit",
         characters.invisible, signs=("hidden", "doubled")),
    Rule("spam", "an advertisement, or a post that an app writes", "drop", posts.spam, {"least_signs": 3},
         likely=posts.may_hold_spam, came=True),
    Rule("quoted", "RT @x: at the head, and what a reply quotes, go", "edit", replies.quoted,
         likely=replies.may_hold_quotation),
    Rule("boilerplate", "what apps and habit add goes: sent from my phone, (منقول)", "edit", habits.boilerplate),
    Rule("markup", "marks of Markdown and BBCode go, their words stay", "edit", markup.markup, signs=("markup",)),
    Rule("url", "links go, or are replaced", "edit", addresses.url, _PUT, signs=("link",)),
    Rule("email", "e-mail addresses go, or are replaced", "edit", addresses.email, _PUT, signs=("at",)),
    Rule("phone", "telephone numbers go, or are replaced", "edit", addresses.phone, _PUT, signs=("digit",),
         likely=addresses.may_hold_phone),
    Rule("mention", "handles go, or are replaced", "edit", addresses.mention, _PUT, signs=("at",)),
    Rule("hashtag", "#كلمة_أخرى becomes كلمة أخرى, or goes", "edit", addresses.hashtag, {"do": "words"},
         {"do": ("words", "drop")}, signs=("hash",)),
    Rule("emoji", "emoji go, stay, or are named in Arabic", "edit", markup.emoji, {"do": "drop"},
         {"do": ("drop", "keep", "name")}, signs=("pictograph",)),
    Rule("layout", "words typed on the wrong keyboard layout are typed again", "edit", damage.layout,
         {"least_letters": 8, "least_bits": 1.0}, signs=("latin", "rare"), likely=damage.may_hold_keys),
    Rule("transliterate", "the Latin words of an Arabizi post become Arabic letters", "edit", arabizi.transliterate,
         {"least_share": 0.3}, signs=("latin",)),
    Rule("arabizi", "a post in Arabizi", "drop", arabizi.arabizi, {"least_share": 0.3}, signs=("latin",)),
    Rule("lookalikes", "letters of other keyboards and scripts in Arabic words become Arabic", "edit",
         characters.lookalikes, {"glued": "apart"}, {"glued": ("apart", "keep")}, signs=("persian", "glued")),
    Rule("tatweel", "stretching goes", "edit", characters.tatweel, signs=("tatweel",)),
    Rule("letters", "a letter stands at most twice in a row, laughter is one word", "edit", repeats.letters,
         {"most": 2, "laughter": "ههه"}, signs=("triple", "laughter", "doubled")),
    Rule("marks", "runs of punctuation become one mark", "edit", repeats.marks, likely=repeats.may_hold_runs),
    Rule("spaces", "white space becomes single spaces", "edit", characters.spaces, {"lines": "keep"},
         {"lines": ("keep", "join")}, likely=characters.may_be_spaced),
    Rule("arclean", "the character map of camel-tools' arclean", "edit", arclean, bulk=arclean_many),
    Rule("arabert", "the preprocessing of AraBERT v0.2", "edit", arabert, {"emoji": "drop"},
         {"emoji": ("drop", "keep")}),
    Rule("not_arabic", "a post with too few letters that are Arabic", "drop", posts.not_arabic, {"least_share": 0.5},
         signs=("foreign",)),
    Rule("too_short", "a post of too few words", "drop", posts.too_short, {"least_words": 3},
         likely=posts.may_be_short),
    Rule("too_long", "a post of too many words", "drop", posts.too_long, {"most_words": 400},
         likely=posts.may_be_long),
    Rule("near_duplicate", "a post that repeats an earlier one of the column", "drop", posts.near_duplicate,
         {"least": 0.8, "run": 2}, column=True),
)  # fmt: skip

RULES: Mapping[str, Rule] = MappingProxyType({rule.name: rule for rule in _ALL})
