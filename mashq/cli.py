"""The `mashq` command: one verb for each thing people do."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mashq import __version__
from mashq.rows import MashqError

__all__ = ["EXIT_CODES", "main"]

EXIT_CODES = {
    0: "done",
    1: "a clear error: what, where, expected, got, what to do",
    2: "the command's words are off",
    3: "a bug in mashq or in your recipe; the traceback lies in the file that the message names",
    130: "stopped with Ctrl-C; the same command goes on where it stopped",
}


class _Lines(click.Group):
    """A group whose help keeps the order in which the verbs are written."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


runs_option = click.option(
    "--runs", default="runs", show_default=True, type=click.Path(path_type=Path), help="Where runs lie."
)


@click.group(cls=_Lines, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mashq")
def verbs() -> None:
    """mashq: make Arabic training data, train a language model on it, and prove the gain.

    Example: mashq make quickstart
    """


@verbs.command("list")
@click.argument("recipe", required=False)
@click.option("--size", help="Settings of this size.")
def list_(recipe: str | None, size: str | None) -> None:
    """Recipes; or one recipe's steps and settings with what each means.

    Example: mashq list quickstart
    """
    from mashq import recipes
    from mashq.settings import describe

    if recipe is None:
        for name in recipes.names():
            click.echo(f"{name:<12} {recipes.load(name).caption}")
        return
    found = recipes.load(recipe)
    click.echo(f"{found.name}: {found.caption}\nsizes: {', '.join(found.sizes)}\n\nsettings:")
    for name, value, doc in describe(found.settings(size)):
        click.echo(f"  {name:<28} {json.dumps(value, ensure_ascii=False):<24} {doc}")
    if recipe == "sweeps":
        from mashq.sweep import summary

        click.echo("\nready-made (--set name=NAME):")
        for name, question in summary().items():
            click.echo(f"  {name:<28} {question}")


@verbs.command()
@click.argument("target", metavar="RECIPE[/STEP]")
@click.option("--size", help="A named size: small (runs on a laptop), paper, …  Default: the recipe's first.")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Change a setting; repeatable.")
@click.option("--config", type=click.Path(path_type=Path), help="A YAML file of settings.")
@click.option("--data", help="Short for --set data=PATH: your own file or folder.")
@click.option("--template", help="Short for --set template=PATH: your own template file.")
@click.option("--templates", help="Short for --set templates=DIR: your own folder of templates.")
@click.option("--engine", default="local", show_default=True, help="local, ray (started here) or ray://host:port.")
@click.option("--workers", type=click.IntRange(1), help="Processes for row work. Default: one a core.")
@click.option("--force", is_flag=True, help="Make anew what is there already (of STEP alone where one is named).")
@click.option("--dry-run", is_flag=True, help="Say what would be made; make nothing.")
@click.option("--name", help="The run's name. Default: a hash of its settings.")
@click.option("--open", "open_", is_flag=True, help="Open the report in the browser when done.")
@runs_option
def make(target: str, **options: Any) -> None:
    """Run a recipe, or one of its steps and what that needs. What is made already is reused.

    Example: mashq make stories --size small --set train.epochs=3
    """
    from mashq.make import Wish, make_recipe

    shorts = [f"{name}={options[name]}" for name in ("data", "template", "templates") if options[name] is not None]
    wish = Wish(
        target=target,
        size=options["size"],
        assignments=(*options["assignments"], *shorts),
        config=options["config"],
        engine=options["engine"],
        workers=options["workers"],
        force=options["force"],
        name=options["name"],
        runs=options["runs"],
    )
    page = make_recipe(wish, say=click.echo, dry_run=options["dry_run"])
    if page is not None:
        click.echo(f"\nreport: {page}")
        if options["open_"]:
            click.launch(str(page))


@verbs.command()
@click.argument("target", metavar="RECIPE[/STEP]")
@click.option("--size", help="A named size of the recipe.")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Change a setting; repeatable.")
@click.option("--config", type=click.Path(path_type=Path), help="A YAML file of settings.")
@click.option("--price-in", type=click.FloatRange(0), default=0.0, help="For a million tokens of prompts.")
@click.option("--price-out", type=click.FloatRange(0), default=0.0, help="For a million tokens of replies.")
@click.option(
    "--kept", type=float, default=0.7, show_default=True, help="Share of replies worth keeping, as you expect."
)
@click.option("--reply-tokens", type=click.IntRange(0), default=0, help="Of a usual reply. Default: half of the limit.")
@click.option("--tokens-per-second", type=click.FloatRange(0), default=0.0, help="Of replies, all together.")
@runs_option
def plan(target: str, **options: Any) -> None:
    """Say what a recipe would ask of language models (requests, tokens, money, time) and how much memory its trainings
    need. Nothing is sent, no weights are read.

    Example: mashq plan dialogue --size paper --price-in 0.15 --price-out 0.6 --tokens-per-second 2000
    """
    from mashq.make import Wish, chosen_steps
    from mashq.plan import Prices, planned, trainings, writing_steps
    from mashq.run import Store

    wish = Wish(target, options["runs"], options["size"], options["assignments"], options["config"])
    prices = {name: options[name] for name in ("price_in", "price_out", "kept", "reply_tokens", "tokens_per_second")}
    steps = chosen_steps(wish)[2]
    found = writing_steps(steps)
    if not found:
        click.echo(f"{target} asks no language model to write.")
    for step in found:
        for line in planned(Store(options["runs"]), step, Prices(**prices)).lines():
            click.echo(line)
    for line in trainings(Store(options["runs"]), steps):
        click.echo(line)


@verbs.command()
@click.argument("what", metavar="ID|STEP")
@click.option("-n", "count", default=5, show_default=True, help="Rows to list of a step.")
@click.option("--dropped", is_flag=True, help="List the step's dropped rows.")
@runs_option
def show(what: str, count: int, dropped: bool, runs: Path) -> None:
    """A row's whole life by its id (the first digits are enough), or the first rows of a step.

    Example: mashq show 3f9a1c
    """
    from mashq import lineage, translate_show
    from mashq.make import first_rows
    from mashq.sources.columnar import raw_row

    hexadecimal = len(what) >= 4 and all(digit in "0123456789abcdef" for digit in what.lower())
    found = lineage.life(runs, what.lower(), raw_row) if hexadecimal else first_rows(runs, what, count, dropped)
    for one in found:
        beside = translate_show.lines(translate_show.sides(runs, one, found)) if hexadecimal else ()
        for line in (*lineage.lines(one), *beside):
            click.echo(line)
        click.echo()


@verbs.command()
@click.argument("run", nargs=-1, metavar="RUN...")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the page. Default: beside the run.")
@runs_option
def report(run: Sequence[str], out: Path | None, runs: Path) -> None:
    """Write the report page of one or more runs anew: a recipe's name means its latest run.

    Example: mashq report quickstart
    """
    from mashq.make import find_record
    from mashq.report import write

    records = [find_record(runs, name) for name in run]
    if not records:
        raise MashqError(f"report: expected one or more runs, got none.{_known_runs(runs)}")
    click.echo(f"report: {write(records, out or records[0].with_suffix(''))}")


def _known_runs(runs: Path) -> str:
    known = sorted({path.parent.name for path in runs.glob("*/*.json")})
    return f" Runs here: {', '.join(known)}." if known else f" There are no runs in {runs}: mashq make quickstart."


@verbs.command()
@click.argument("rows", metavar="RUN|STEP|FILE.parquet")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--to", required=True, type=click.Choice(["ni", "messages", "hub"]), help="The format.")
@click.option("--gzip", is_flag=True, help="Pack the JSON lines of --to messages.")
@click.option(
    "--template", multiple=True, type=click.Path(path_type=Path), help="Own template file that says whom to cite."
)
@runs_option
def export(rows: str, out: Path, to: str, gzip: bool, template: tuple[Path, ...], runs: Path) -> None:
    """Write prompt rows into the new folder OUT, with data cards: Super-NaturalInstructions JSON (ni), chat JSON lines
    (messages), or Parquet and a README as the Hugging Face hub takes them (hub).

    Example: mashq export prompts --to hub arabic-prompts
    """
    from mashq.export import export as write
    from mashq.licences import uses
    from mashq.make import find_rows

    survey = write(find_rows(runs, rows), out, to, gzip=gzip, templates=template)
    click.echo(f"{out}: {survey.rows:,} rows, data sets: {len(survey.by('source')):,}")
    for name, n in survey.by("licence").items():
        forbidden = ", whose terms forbid passing this on" * (uses(name).redistribute == "no")
        click.echo(f"  licence {name or 'unknown'}: {n:,}{forbidden}")
    for reason, n in survey.left_out_reasons().items():
        click.echo(f"  left out: {reason}: {n:,}")


@verbs.command()
@click.argument("kind", type=click.Choice(["recipe", "template"]))
@click.argument("name")
def new(kind: str, name: str) -> None:
    """Write a recipe or template file to start from, in this folder.

    Example: mashq new template my_questions
    """
    from mashq import recipes, templates

    if not name.isidentifier():
        raise MashqError(f"new: expected a name of letters, digits and '_', got '{name}'.")
    path = Path(f"{name}.py" if kind == "recipe" else f"{name}.yaml")
    if path.exists():
        raise MashqError(f"new: {path} is there already. Choose another name, or move it away.")
    path.write_text(recipes.scaffold(name) if kind == "recipe" else templates.scaffold(name), "utf-8")
    run = f"mashq make ./{path}" if kind == "recipe" else f"mashq make tune --data my.csv --template {path}"
    click.echo(f"wrote {path}. Try it: {run}")


@verbs.command()
@click.argument("what", nargs=-1, metavar="[FILE|FOLDER|LIBRARY_NAME]...")
@click.option("--data", help="A data file or folder: real rows in place of the sample rows in the template file.")
@click.option("--rows", default=200, show_default=True, type=click.IntRange(1), help="Rows to take of --data.")
@click.option("--fix", is_flag=True, help="Mend in the files what is mechanical: entities, glyph forms, hidden marks …")
@click.option("--format", "format_", default="text", show_default=True, type=click.Choice(["text", "json"]))
def lint(what: Sequence[str], data: str | None, rows: int, fix: bool, format_: str) -> None:
    """Render templates on rows and say what is wrong with them. Without names: the whole library.

    Example: mashq lint my_questions.yaml --data my.csv
    """
    from mashq.metrics import CATALOGUE
    from mashq.templates.lint import files_named, lint_files, mend_files, rows_of

    paths = files_named(what)
    if data and len(paths) != 1:
        raise MashqError(f"lint: --data is for the templates of one data set; expected one file, got {len(paths)}.")
    real = rows_of(data, rows) if data else None
    report = lint_files(paths, real, metrics=tuple(CATALOGUE))
    mended = mend_files(report) if fix else 0
    if mended:
        report = lint_files(paths, real, metrics=tuple(CATALOGUE))
    click.echo(report.json(mended) if format_ == "json" else report.page(mended))
    if report.count("error"):
        sys.exit(1)


@verbs.command("templates")
@click.argument("what", required=False, metavar="[NAME[/TEMPLATE]|FILE[/TEMPLATE]|FOLDER]")
@click.option("--task", help="Templates of this task: sentiment-analysis …")
@click.option("--variety", help="Templates whose prompt is in this variety: msa, egyptian …")
@click.option("--licence", help="Data sets under this licence; also `unknown`, `custom` (terms of their own).")
@click.option("--search", metavar="WORDS", help="Words that stand in data set or template, however they are spelt.")
@click.option("--row", type=int, metavar="N", help="Show the template on this sample row, from 1.")
@click.option("--html", type=click.Path(path_type=Path), metavar="OUT.html", help="Write a page to review offline.")
@click.option(
    "--bidi",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "on", "off"]),
    help="Unicode isolates around Arabic lines; auto: on a terminal only.",
)
def templates_(what: str | None, row: int | None, html: Path | None, bidi: str, **wanted: str | None) -> None:
    """The library of templates, one data set of it, or one template on a sample row; your own files likewise.

    Example: mashq templates arcd/answer
    """
    from mashq.templates import catalogue, terminal

    entries = catalogue.find(what)
    one = entries[0].templates[0] if entries[0].by_name else None
    if row is not None and (one is None or html is not None):
        raise MashqError("templates: --row shows one template; expected NAME/TEMPLATE and no --html.")
    entries = catalogue.chosen(entries, catalogue.Wanted(**wanted))
    if html is not None:
        from mashq.report.gallery import write_gallery

        size = write_gallery(entries, html)
        count = sum(len(entry.templates) for entry in entries)
        click.echo(f"wrote {html}: data sets: {len(entries):,}, templates: {count:,}, bytes: {size:,}")
        return
    paper = terminal.paper(bidi)
    if one is not None:
        lines = terminal.one_template(one, paper, row)
    elif what is not None and len(entries) == 1:
        lines = terminal.data_set(entries[0], paper)
    else:
        lines = terminal.listing(entries, paper)
    for line in lines:
        click.echo(line)


@verbs.command("translate")
@click.argument("text", metavar="TEXT|FILE")
@click.option("--with", "engine", required=True, help="Folder or hub name of a model, lm:MODEL, or transliterate.")
@click.option("--to", "variety", default="msa", show_default=True, help="Variety of Arabic.")
@click.option("--scorer", default="cosine:e5", show_default=True, help='What scores the pairs; "" = nothing.')
@click.option("--threshold", type=float, help="Least score. Default: the scorer's calibrated one.")
@click.option("--calibration", default="", help="File that `mashq calibrate` wrote, or: published.")
@click.option("--fixed", default="", help="YAML file of sentences and their translations, used before the engine.")
@runs_option
def translate_(text: str, **options: Any) -> None:
    """A text, or the lines of a text file, sentence by sentence: translation, score, and whether it would be kept.

    Example: mashq translate "Where is the old market? It closes at 5." --with transliterate
    """
    from mashq.translate_settings import TranslationSettings, translator
    from mashq.translate_show import of_text

    runs = options.pop("runs")
    opened = translator(TranslationSettings(**options), runs)
    for line in of_text(_text_or_file(text), opened):
        click.echo(line)


def _text_or_file(text: str) -> str:
    """What the file of that name holds; where there is none, the text itself."""
    try:
        return Path(text).read_text("utf-8") if Path(text).is_file() else text
    except UnicodeDecodeError as error:
        raise MashqError(f"{text}: expected a text file in UTF-8, got other bytes ({error.reason}).") from error
    except (OSError, ValueError):  # too long for a name, or with signs that no name has
        return text


@verbs.command()
@click.argument("pairs", type=click.Path(path_type=Path), metavar="PAIRS.tsv")
@click.option("--scorer", "scorers", multiple=True, help="Repeatable: cosine:e5, margin:e5, comet:FOLDER, numbers …")
@click.option("--out", type=click.Path(path_type=Path), default="calibration", show_default=True, help="Folder.")
@click.option("--anchors", type=click.Path(path_type=Path), help="True pairs that a margin compares with; else PAIRS.")
@click.option("--good-at", type=float, help="With a column `score` of people's judgements: good from here on.")
@click.option("--share-bad", default=0.2, show_default=True, help="Of what will be filtered: an assumption.")
@click.option("--seed", default=0, show_default=True)
def calibrate(pairs: Path, scorers: tuple[str, ...], out: Path, anchors: Path | None, **options: Any) -> None:
    """How well scorers tell true translations from bad ones, and the thresholds that follow.

    Without people's judgements in PAIRS.tsv mashq spoils the pairs itself: words dropped, numbers swapped, negation
    removed, another sentence, another variety …

    Example: mashq calibrate pairs.tsv --scorer cosine:e5 --scorer numbers --out calibration
    """
    from mashq.calibrate import run
    from mashq.detection import Settings

    said = " ".join(f"--scorer {name}" for name in scorers)
    run(
        pairs,
        scorers or ("cosine:e5", "length", "numbers", "entities", "translated"),
        out,
        anchors=anchors,
        command=f"mashq calibrate {pairs.name} {said}".strip(),
        settings=Settings(**options),
    )
    click.echo(f"wrote {out / 'report.md'} and {out / 'calibration.yaml'}")


@verbs.group("variety")
def variety_() -> None:
    """Which Arabic is it: tell, and train what tells.

    Example: mashq variety tell "عايزين نروح السينما النهارده"
    """


@variety_.command("tell")
@click.argument("text", metavar="TEXT|FILE")
@click.option("--model", default="shipped", show_default=True, help="shipped, an .npz file, a folder or a hub name.")
@click.option("--why", is_flag=True, help="The words that decided.")
def variety_tell(text: str, model: str, why: bool) -> None:
    """The variety of a text, or of each line of a text file, with its probability.

    Example: mashq variety tell "شلونك؟ وين رايح هالحين؟" --why
    """
    from mashq.variety import open_teller

    teller = open_teller(model)
    lines = [line for line in _text_or_file(text).splitlines() if line.strip()]
    if not lines:
        raise MashqError("variety tell: expected a text or a file with one, got nothing to read.")
    told = teller.tell(lines)
    for line, label, odds in zip(lines, told.labels, told.probabilities, strict=True):
        order = sorted(range(len(odds)), key=lambda place: -odds[place])[:2]
        likely = ", ".join(f"{teller.labels[place]} {odds[place]:.2f}" for place in order)
        note = " (experimental)" if label in told.experimental else ""
        click.echo(f"{label}{note}\t{likely}\t{line}")
        for marker in teller.why(line) if why else ():
            side = "for" if marker.weight > 0 else "against"
            click.echo(f"\t{abs(marker.weight):.2f} {side} {marker.label}\t{marker.word}")


@variety_.command("train")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@click.option("--out", type=click.Path(path_type=Path), default="variety.npz", show_default=True, help="Model file.")
@click.option("--plan", type=click.Path(path_type=Path), help="YAML list of files, their columns, labels and licences.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the files that a plan names under `data:`.")
@click.option("--text-field", default="text", show_default=True, help="Column of the text.")
@click.option("--label-field", default="label", show_default=True, help="Column of the label.")
@click.option("--label", "labels", multiple=True, metavar="VALUE=LABEL", help="Repeatable: what a value stands for.")
@click.option("--licence", default="unknown", show_default=True, help="Licence of the files, SPDX.")
@click.option("--name", default="variety", show_default=True, help="Name of the model; in its file and its card.")
@click.option("--date", default="", help="Date that the model file states; equal files and dates give equal bytes.")
def variety_train(
    files: Sequence[Path], out: Path, plan: Path | None, data: Path | None, name: str, date: str, **options: Any
) -> None:
    """Train what tells varieties, from labelled files or from a plan; its card says how it did on what it had not seen.

    Without files and plan the shipped model is trained anew from its own plan; --data names its published files. The
    columns and labels named here are those of the files named here; a plan names its own.

    Example: mashq train-variety tweets.csv --text-field tweet --label-field dialect --label egypt=egyptian
    """
    from mashq.variety_training import PLAN, TrainingSettings, labelled, read_plan, train

    listed = [labelled(path, **options) for path in files]
    if plan is not None or not listed:
        listed += read_plan(plan or PLAN, data)
    train(listed, out, TrainingSettings(name=name, date=date), tell=click.echo)
    click.echo(f"wrote {out} and {out.with_suffix('.md')}")


verbs.add_command(variety_train, "train-variety")


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
        raise MashqError(f"tokens: expected a run, a step or files, got nothing.{_known_runs(runs)}")
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


@verbs.group("ship", cls=_Lines)
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every fault becomes one clear text and an exit code (`EXIT_CODES`)."""
    try:
        verbs(args=list(sys.argv[1:] if arguments is None else arguments), standalone_mode=False)
    except click.UsageError as error:
        _explain_usage(error)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nstopped. Nothing is lost: the same command goes on where it stopped.", err=True)
        sys.exit(130)
    except MashqError as error:
        click.echo(f"mashq: {error}", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        click.echo(_not_installed(error) or _bug(), err=True)
        sys.exit(1 if _not_installed(error) else 3)
    except Exception:
        click.echo(_bug(), err=True)
        sys.exit(3)


def _not_installed(error: ModuleNotFoundError) -> str | None:
    """What to install, where the missing module is one that an extra of mashq brings."""
    from mashq.doctor import extra_of

    extra = extra_of((error.name or "").split(".")[0])
    return extra and f"mashq: this needs the package {error.name}, which is not installed: pip install 'mashq[{extra}]'"


def _explain_usage(error: click.UsageError) -> None:
    click.echo(f"mashq: {error.format_message()} See mashq --help.", err=True)


def _bug() -> str:
    path = Path(f"mashq-error-{datetime.now(UTC):%Y%m%d-%H%M%S}-{time.monotonic_ns() % 10_000}.txt")
    last = traceback.format_exc()
    reason = last.strip().splitlines()[-1]
    try:
        path.write_text(last, "utf-8")
    except OSError:
        return f"mashq: a bug: {reason}\n{last}"
    return (
        f"mashq: a bug in mashq or in your recipe: {reason}\nThe traceback is in {path}; nothing that was made is lost."
    )


if __name__ == "__main__":
    main()
