"""Recipes and their runs: list, make, plan, show, report, export, new."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

from mashq.cli.group import known_runs, runs_option, verbs
from mashq.rows import MashqError


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
@click.option("--local-tokens-per-second", type=click.FloatRange(0), default=0.0, help="Of a model in this process.")
@runs_option
def plan(target: str, **options: Any) -> None:
    """Say what a recipe would ask of language models, a judge and further systems among them (requests, tokens, money,
    time), and how much memory its trainings need. Nothing is sent, no weights are read.

    Example: mashq plan dialogue --size paper --price-in 0.15 --price-out 0.6 --tokens-per-second 2000
    """
    from mashq.make import Wish, chosen_steps
    from mashq.plan import Prices, planned, trainings, writing_steps
    from mashq.plan_asked import evaluations
    from mashq.run import Store

    wish = Wish(target, options["runs"], options["size"], options["assignments"], options["config"])
    named = ("price_in", "price_out", "kept", "reply_tokens", "tokens_per_second", "local_tokens_per_second")
    prices = Prices(**{name: options[name] for name in named})
    steps = chosen_steps(wish)[2]
    found = writing_steps(steps)
    if not found:
        click.echo(f"{target} asks no language model to write.")
    for step in found:
        for line in planned(Store(options["runs"]), step, prices).lines():
            click.echo(line)
    for line in evaluations(Store(options["runs"]), steps, prices, target):
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
    from mashq import lineage
    from mashq.make import first_rows
    from mashq.sources.columnar import raw_row
    from mashq.translate import show as translate_show

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
@click.option(
    "--lang",
    type=click.Choice(["ar", "en", "both"]),
    default="ar",
    show_default=True,
    help="Of page and Markdown; both: also report.en.html and report.en.md.",
)
@runs_option
def report(run: Sequence[str], out: Path | None, lang: Literal["ar", "en", "both"], runs: Path) -> None:
    """Write the report page of one or more runs anew: a recipe's name means its latest run.

    Example: mashq report quickstart --lang en
    """
    from mashq.record import find_record
    from mashq.report import write

    records = [find_record(runs, name) for name in run]
    if not records:
        raise MashqError(f"report: expected one or more runs, got none.{known_runs(runs)}")
    page = write(records, out or records[0].with_suffix(""), lang=lang)
    click.echo(f"report: {page}")
    if lang == "both":
        click.echo(f"in English: {page.with_name('report.en.html')}")


@verbs.command()
@click.argument("rows", metavar="RUN|STEP|FILE.parquet")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--to", required=True, type=click.Choice(["ni", "messages", "hub", "lm-eval"]), help="The format.")
@click.option("--gzip", is_flag=True, help="Pack the JSON lines of --to messages.")
@click.option(
    "--template", multiple=True, type=click.Path(path_type=Path), help="Own template file that says whom to cite."
)
@runs_option
def export(rows: str, out: Path, to: str, gzip: bool, template: tuple[Path, ...], runs: Path) -> None:
    """Write prompt rows into the new folder OUT, with data cards: Super-NaturalInstructions JSON (ni), chat JSON lines
    (messages), tasks for lm-evaluation-harness (lm-eval), or Parquet and a README as the hub takes them (hub).

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
