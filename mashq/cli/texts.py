"""Templates, translations and varieties: lint, templates, translate, calibrate, variety."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mashq.cli.group import runs_option, verbs
from mashq.rows import MashqError


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
        from mashq.places import file_place
        from mashq.report.gallery import write_gallery

        html = file_place(html, "templates", "--html")
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
    from mashq.translate.settings import TranslationSettings, translator
    from mashq.translate.show import of_text

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
