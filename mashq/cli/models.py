"""Models: tokens, chat, ship, push, doctor."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mashq.cli.group import Lines, known_runs, runs_option, verbs
from mashq.rows import MashqError


@verbs.command()
@click.argument("what", nargs=-1, metavar="RUN|STEP|FILE...")
@click.option("--step", help="Which train step, where a run has several.")
@click.option("--batch", type=int, help="The batch of this step of training, from 1.  [default: 1]")
@click.option("--epoch", type=int, help="Count --batch within this epoch, from 1.")
@click.option("--row", help="This row alone, by its id (the first digits are enough), and in which steps it is learnt.")
@click.option("--rows", type=click.Path(path_type=Path, exists=True), help="Where a folder's rows lie, if not beside.")
@click.option("--fertility", "models", multiple=True, metavar="MODEL", help="Tokens a word, of rows or text files.")
@click.option("--format", "format_", default="text", show_default=True, type=click.Choice(["text", "json"]))
@runs_option
def tokens(what: Sequence[str], models: Sequence[str], format_: str, runs: Path, **asked: Any) -> None:
    """A training batch token by token: what the model read, what it was taught to say, what was padding.

    With --fertility: what rows or lines of text cost in tokens under a model's tokenizer, by variety and in English.

    Example: mashq tokens quickstart --batch 3
    """
    from mashq import train_view

    if not what:
        raise MashqError(f"tokens: expected a run, a step or files, got nothing.{known_runs(runs)}")
    if models:
        for line in train_view.fertility_lines(runs, what, models, format_):
            click.echo(line)
        return
    if len(what) != 1:
        raise MashqError(f"tokens: expected one run, got {len(what)}. Several files are for --fertility MODEL.")
    for line in train_view.shown(runs, what[0], train_view.Asked(**asked), format_, sys.stdout.isatty()):
        click.echo(line)


@verbs.command("chat")
@click.argument("model")
@click.option("--adapter", default="", help="A PEFT adapter's folder for a base MODEL.")
@click.option("--system", default="", help="What stands above the conversation.")
@click.option("--frame", default="", help="Chat frame, for a base model: gemma, chatml, plain …")
@click.option("--max-new-tokens", default=512, show_default=True, type=click.IntRange(1), help="Longest reply.")
@click.option("--temperature", default=0.0, show_default=True, type=click.FloatRange(0), help="0 = likeliest token.")
@click.option("--top-p", default=1.0, show_default=True, type=float)
@click.option("--top-k", default=0, show_default=True, type=click.IntRange(0), help="0 = all.")
@click.option("--repetition-penalty", default=1.0, show_default=True, type=float, help="1 = off.")
@click.option("--seed", default=0, show_default=True, help="Of draws at a temperature above 0.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="Of llama.cpp.")
@click.option(
    "--bidi",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "on", "off", "visual"]),
    help="How Arabic is written: isolates, plain, or in the order of sight for terminals without right to left.",
)
@click.option("--page", is_flag=True, help="A local page in place of the terminal.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the page.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port of the page. Default: any free one.")
@click.option("--open", "open_", is_flag=True, help="Open the page in the browser.")
@runs_option
def chat_(model: str, adapter: str, frame: str, threads: int, runs: Path, **options: Any) -> None:
    """Talk to MODEL: a trained step or its folder, a merged model, a .gguf file, an embedded or hub name, a server's
    address. From a pipe each line is a turn.

    Example: mashq chat toy-llama --max-new-tokens 20
    """
    from mashq.lm import Decoding
    from mashq.ship.trained import named
    from mashq.talk.speaker import open_speaker

    knobs = ("max_new_tokens", "temperature", "top_p", "top_k", "repetition_penalty", "seed")
    decoding = Decoding(**{name: options[name] for name in knobs})
    speaker = open_speaker(str(named(runs, model) or model), adapter=adapter, frame=frame, threads=threads)
    if not options["page"]:
        from mashq.talk.terminal import Talk, chat_in_terminal

        return chat_in_terminal(Talk(speaker, decoding, options["system"]), bidi=options["bidi"])
    from mashq.talk.page import serve

    def ready(address: str) -> None:
        click.echo(f"{address}\nWho has this address can talk to the model. Ctrl-C ends it.")
        if options["open_"]:
            click.launch(address)

    return serve(speaker, decoding, host=options["host"], port=options["port"], system=options["system"], ready=ready)


@verbs.group("ship", cls=Lines)
def ship_() -> None:
    """A trained model out of the door: merged, as GGUF, with its card, to the hub.

    Example: mashq ship merge tuned my-model
    """


@ship_.command("merge")
@click.argument("trained", metavar="STEP|FOLDER")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--dtype", default="auto", show_default=True, help="float32, bfloat16, float16; auto: float32 up to 1e9.")
@click.option("--base", default="", help="The base model, where it is not under the name that the training noted.")
@runs_option
def ship_merge(trained: str, out: Path, dtype: str, base: str, runs: Path) -> None:
    """Adapter and base as one model in the new folder OUT, with chat template and model card.

    Example: mashq ship merge tuned my-model
    """
    from mashq.ship.merge import merged
    from mashq.ship.trained import named

    told = merged(named(runs, trained) or Path(trained), out, dtype=dtype, base=base)["merge"]
    disk = told["on_disk"]
    click.echo(f"{out}: {told['dtype']}; beside the adapter logits differ by {told['merged']['logits']:.2g}")
    same = f"best token the same at {disk['same']} of {disk['positions']} places"
    click.echo(f"as written they differ by {disk['logits']:.2g}, {same}")
    if told["template"]:
        click.echo(f"no chat template was written: {told['template']}")


@ship_.command("gguf")
@click.argument("trained", metavar="STEP|FOLDER")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--type", "file_type", default="f16", show_default=True, help="f32, f16, bf16 or q8_0.")
@runs_option
def ship_gguf(trained: str, out: Path, file_type: str, runs: Path) -> None:
    """The model as a GGUF file for llama.cpp, loaded there and compared with what it was made from.

    Example: mashq ship gguf my-model my-model.gguf --type q8_0
    """
    from mashq.ship.gguf_file import gguf
    from mashq.ship.trained import named

    found = gguf(named(runs, trained) or Path(trained), out, file_type=file_type)
    same = f"{found.same_replies} of {found.replies} greedy replies are the same"
    click.echo(f"{out}: {out.stat().st_size:,} bytes; {same}")
    click.echo(f"log-probabilities of the likeliest tokens differ by at most {found.nats:.2g} nats")


@ship_.command("push")
@click.argument("trained", metavar="STEP|FOLDER")
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--licence", default="", help="Licence of the model, where the base's is not it: CC-BY-NC-4.0 …")
@click.option("--dry-run/--yes", "dry", default=True, help="Say what would be sent (default), or send it.")
@click.option("--public", is_flag=True, help="Make a new repository public. Default: private.")
@runs_option
def ship_push(trained: str, repo: str, licence: str, dry: bool, public: bool, runs: Path) -> None:
    """Files, sizes and checks of what would go to the Hugging Face hub; with --yes send it, with your own token.

    Example: mashq push my-model me/my-model
    """
    from mashq.ship.push import plan as planned
    from mashq.ship.push import push
    from mashq.ship.trained import named

    ready = planned(named(runs, trained) or Path(trained), repo, licence=licence)
    for line in ready.lines():
        click.echo(line)
    if dry:
        click.echo("dry run: nothing was sent. With --yes it is.")
        if ready.refused:
            sys.exit(1)
        return
    click.echo(f"sent: {push(ready, private=not public, say=click.echo)}")


verbs.add_command(ship_push, "push")


@verbs.command()
@runs_option
def doctor(runs: Path) -> None:
    """What is installed, GPU, keys (present or not), free disk, and how to mend what is missing.

    Example: mashq doctor
    """
    from mashq.doctor import examine

    for finding in examine(runs):
        click.echo(f"{finding.state:<8} {finding.what}")
        if finding.mend:
            click.echo(f"         -> {finding.mend}")
