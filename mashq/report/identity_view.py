"""The models of a run as the page and the Markdown show them: every invisible character seen, every text escaped."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from mashq.report.cells import num
from mashq.report.lines import code, left_to_right, safe, table
from mashq.report.plots import number
from mashq.report.words import Words

__all__ = ["markdown", "view", "visible"]

LINE_END, SPACE = "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}", "\N{OPEN BOX}"
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # controls, direction marks, zero-width characters, no characters
FRAME_OF_DOOR = {"http": "frame_of_server", "llamacpp": "frame_of_file", "echo": "frame_of_none"}
FRAME_OF_DOOR |= {"scripted": "frame_of_none"}


def visible(text: str) -> str:
    """The text with what cannot be seen made seen; line ends and tabs stay.

    A space at an end of a line or beside another is `SPACE`; any other unseen character is its code point.
    """
    found = []
    for place, char in enumerate(text):
        around = {text[place - 1 : place], text[place + 1 : place + 2]}
        if char == " " and around & {"", " ", "\n"}:
            found.append(SPACE)
        elif char not in "\n\t" and unicodedata.category(char) in UNSEEN:
            found.append(f"⟨U+{ord(char):04X}⟩")
        else:
            found.append(char)
    return "".join(found)


# --- the page --------------------------------------------------------------------------------------------------------


def view(words: Words, identity: Mapping[str, Any]) -> dict[str, Any]:
    """{models, frames, asked} with the cells that the template lays out."""
    return {
        "models": [_model(words, model, identity["frames"]) for model in identity["models"]],
        "frames": [{**frame, "text": _seen(frame["pieces"])} for frame in identity["frames"]],
        "asked": [{**line, "price": _money(words, line)} for line in identity["asked"]],
        "incomplete": _incomplete(identity),
    }


def _incomplete(identity: Mapping[str, Any]) -> bool:
    models = identity["models"]
    lacking = any(one["seen"] is None and not one["door"] for one in models)
    return lacking or any(line["new_tokens"] is None for line in identity["asked"])


def _model(words: Words, model: Mapping[str, Any], frames: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    lines = [(key, _cell(values)) for key, values in _facts(words, model)]
    name = words.term("system_name", model["label"]) if model["label"] else ""
    return {**model, "name": name, "frame_text": frame_text(words, model), "lines": lines}


def frame_text(words: Words, model: Mapping[str, Any]) -> str:
    """The name of the frame, or why there is none to name."""
    if model["door"]:
        return words.plain(FRAME_OF_DOOR[model["door"]])
    return model["frame"] or words.plain("not_recorded")


def _facts(words: Words, model: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, bool]]]]:
    """What is told of one model: (key of its heading, [(text, is it a name or hash)])."""
    lacking = [(words.plain("not_recorded"), False)]
    trained = model["kind"] == "trained"
    stage = model["stage"]
    nothing = words.plain("from_the_base" if trained else "not_trained")
    adapter = [(f"{name} {value}", True) for name, value in model["adapter"].items()]
    machine = "; ".join(f"{one['name']}={one['text']}" for one in model["machine"])
    packages = "; ".join(f"{name} {version}" for name, version in model["packages"].items())
    decoding = " ".join(f"{one['name']}={one['text']}" for one in model["decoding"])
    known = [(str(model["tokens"]), True)] if model["tokens"] is not None else lacking
    found = [
        ("weights_hash", [(model["weights"], True)] if model["weights"] else lacking),
        ("parent_stage" if trained else "trained_in", [(_place(stage), True)] if stage else [(nothing, False)]),
        ("adapter_hash", adapter),
        ("data_manifest", [(f"{_place(one)} {one['hash'] or '–'}", True) for one in model["data"]]),
        ("tokenizer_hash", [(model["tokenizer"], True)] if model["tokenizer"] else lacking),
        ("tokens_known", known),
        ("chat_frame", [(frame_text(words, model), bool(model["frame"]))]),
        ("decoding", [(decoding, True)] if decoding else []),
        ("seed", [(str(model["seed"]), True)] if model["seed"] is not None else []),
        ("machine", [(machine, True)] if machine else []),
        ("packages", [(packages, True)] if packages else []),
    ]
    at_a_door = ("weights_hash", "tokenizer_hash", "tokens_known") if model["door"] else ()
    return [(key, values) for key, values in found if values and key not in at_a_door]


def _place(step: Mapping[str, str]) -> str:
    return f"{step['step']}@{step['fingerprint']}"


def _cell(values: Iterable[tuple[str, bool]]) -> Markup:
    """Values one under the other; names and hashes run left to right."""
    return Markup("<br>").join(
        Markup('<code dir="ltr">{}</code>').format(text) if is_name else escape(text) for text, is_name in values
    )


def _seen(pieces: Sequence[Mapping[str, Any]]) -> Markup:
    """A conversation in its frame: special tokens in boxes, every line of the rest with a direction of its own."""
    found = Markup()
    for piece in pieces:
        text = visible(piece["text"])
        if piece["special"]:
            found += Markup('<code class="token">{}</code>').format(text.replace("\n", LINE_END))
            continue
        ends = Markup('<span class="quiet">{}</span>\n').format(LINE_END)
        found += ends.join(Markup("<bdi>{}</bdi>").format(line) if line else Markup() for line in text.split("\n"))
    return found


def _money(words: Words, line: Mapping[str, Any]) -> Markup:
    if not line["far"]:
        return Markup('<span class="quiet">{}</span>').format(words.plain("on_this_machine"))
    if line["money"] is None:
        return Markup('<span class="quiet">{}</span>').format(words.plain("no_price"))
    return num(line["money"], 4)


# --- Markdown --------------------------------------------------------------------------------------------------------


def markdown(words: Words, run: Mapping[str, Any]) -> list[str]:
    """The section on the identity of a run: what made it, its steps' digests, its models, seeds and packages."""
    say, identity = words.plain, run["identity"]
    made = [
        (say("recipe"), code(f"{run['recipe']}/{run['name']}")),
        ("mashq", code(run["made_with"])),
        (say("started"), code(run["started"])),
        (say("machine"), code("; ".join(f"{one['name']}={one['text']}" for one in run["machine"]))),
        (say("packages"), code("; ".join(f"{name} {version}" for name, version in run["packages"].items()))),
        (say("seeds"), code("; ".join(f"{one['step']}: {one['name']}={one['seed']}" for one in run["seeds"]))),
    ]
    steps = [
        [safe(one["name"]), *(code(one[key] or "–", in_table=True) for key in ("fingerprint", "hash", "commit"))]
        for one in run["steps"]
    ]
    head = [say(key) for key in ("step", "fingerprint", "files_hash", "code")]
    lines = [f"### {say('identity')}", "", *(f"- {name}: {value}" for name, value in made), *table(head, steps)]
    lines += _markdown_models(words, identity) if identity["models"] else []
    for frame in identity["frames"]:
        lines += _markdown_frame(words, frame)
    return lines + (_markdown_asked(words, identity["asked"]) if identity["asked"] else [])


def _markdown_models(words: Words, identity: Mapping[str, Any]) -> list[str]:
    lines = [f"#### {words.plain('models_of_run')}", "", words.plain("models_note"), ""]
    lines += [words.plain("not_recorded_note"), ""] if _incomplete(identity) else []
    for model in identity["models"]:
        kind = words.plain("model_trained" if model["kind"] == "trained" else "model_asked")
        label = f" ({safe(words.term('system_name', model['label']))})" if model["label"] else ""
        lines.append(f"- **{safe(model['step'])}**{label}: {kind}{words.comma}{code(model['model'] or '–')}")
        for key, values in _facts(words, model):
            told = " ".join(code(text) if is_name else safe(text) for text, is_name in values)
            lines.append(f"  - {words.plain(key)}: {told}")
    return [*lines, ""]


def _markdown_frame(words: Words, frame: Mapping[str, Any]) -> list[str]:
    """HTML that a reader of Markdown shows as it is: its text is escaped, so that nothing in it can end it."""
    seen = visible("".join(piece["text"] for piece in frame["pieces"])).replace("\n", f"{LINE_END}\n")
    lines = [
        f"#### {words.plain('seen_by_model', frame=safe(frame['frame']))}",
        "",
        f"{words.plain('seen_in')}: {words.comma.join(safe(step) for step in frame['steps'])}",
        "",
        safe(frame["why_not"]) if frame["why_not"] else f'<pre dir="ltr">{html.escape(seen)}</pre>',
        "",
    ]
    if not frame["template"]["text"]:
        return lines
    source = html.escape(visible(frame["template"]["text"]))
    head = f"<details><summary>{html.escape(words.plain('template_source'))}</summary>"
    return [*lines, f'{head}<pre dir="ltr">{source}</pre></details>', ""]


def _markdown_asked(words: Words, asked: Sequence[Mapping[str, Any]]) -> list[str]:
    say = words.plain
    rows = []
    for line in asked:
        money = say("no_price") if line["money"] is None else left_to_right(words, number(line["money"], 4))
        tokens = [
            say("not_recorded") if line[key] is None else number(line[key]) for key in ("prompt_tokens", "new_tokens")
        ]
        named = [safe(line["step"]), code(line["asked"] or "–", in_table=True)]
        rows.append([*named, *tokens, money if line["far"] else say("on_this_machine")])
    keys = ("step", "asked_of", "written_prompt_tokens", "written_new_tokens", "money")
    return [f"#### {say('tokens_and_money')}", "", say("tokens_note"), *table([say(key) for key in keys], rows)]
