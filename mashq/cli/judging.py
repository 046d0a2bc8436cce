"""Judges and people: judge, rate, agree; and bertscore-baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mashq.cli.group import runs_option, verbs

__all__: list[str] = []


@verbs.command()
@click.argument("what", metavar="RUN|STEP|FOLDER|FILE")
@click.option("--model", required=True, help="The judge: http://host/v1#name, a folder, an embedded or hub name …")
@click.option("--evaluation", default="", help="Of a run: which one.  [default: the only one, or gain]")
@click.option("--rubric", default="stories", show_default=True, help="stories, prompts, dialogue, medical, or a file.")
@click.option("--language", type=click.Choice(["ar", "en"]), default="ar", show_default=True, help="Of the rubric.")
@click.option("--pairwise", is_flag=True, help="Each system beside the baseline, in both orders, in place of scores.")
@click.option("--card", is_flag=True, help="Measure the judge itself on these replies: what its scores are worth.")
@click.option("--replies", default=60, show_default=True, type=click.IntRange(1), help="Of --card: so many at most.")
@click.option("--apart", is_flag=True, help="A request for each criterion, so that none colours the next.")
@click.option("--own-family", is_flag=True, help="Allow a judge of the family of what it judges.")
@click.option("--budget-requests", type=click.IntRange(0), help="The most requests; those in the ledger count.")
@click.option("--budget-tokens", type=click.IntRange(0), help="The most tokens, of prompts and replies together.")
@click.option("--budget-money", type=click.FloatRange(0), help="The most money, at --price-in and --price-out.")
@click.option("--price-in", type=click.FloatRange(0), default=0.0, help="For a million tokens of prompts.")
@click.option("--price-out", type=click.FloatRange(0), default=0.0, help="For a million tokens of replies.")
@click.option("--out", type=click.Path(path_type=Path), default="judged", show_default=True, help="Folder.")
@runs_option
def judge(what: str, model: str, pairwise: bool, card: bool, out: Path, **asked: Any) -> None:
    """Let a language model rate the replies of an evaluation by a rubric.

    It is named by its run (a recipe's name means its latest run; or RECIPE/NAME, a record's path), its step, its folder
    or its samples.parquet.

    Example: mashq judge stories --model http://localhost:8000/v1#judge
    """
    from mashq.judge import JudgeSettings
    from mashq.judge.run import card_of_samples, judge_samples, lines
    from mashq.lm.budget import BudgetSettings
    from mashq.record import find_evaluation
    from mashq.rows import MashqError

    if pairwise and card:
        raise MashqError("judge: expected --pairwise or --card, got both. The card judges in pairs too.")
    replies = asked.pop("replies")
    path = find_evaluation(asked.pop("runs"), what, asked.pop("evaluation"), click.echo)
    limits = {name: asked.pop(f"budget_{name}") for name in ("requests", "tokens", "money")}
    named = ", ".join(f"--budget-{name}" for name, most in limits.items() if most is not None)
    prices = {name: asked.pop(name) for name in ("price_in", "price_out")}
    budget = BudgetSettings(**limits, **prices).open(named)
    settings = JudgeSettings(model=model, **asked)
    if card:
        for line in card_of_samples(path, settings, out, say=click.echo, budget=budget, most=replies):
            click.echo(line)
        return click.echo(f"every number: {out / 'judge_card.md'}, .ar.md and .json")
    for line in lines(judge_samples(path, settings, out, pairwise=pairwise, budget=budget)):
        click.echo(line)
    found = f"{out / 'pairs.md'}, .ar.md, .json and .parquet" if pairwise else f"{out / 'judged.json'} and .parquet"
    return click.echo(f"every judgement: {found}")


@verbs.command()
@click.argument("study", metavar="STUDY.yaml|RUN|FOLDER|PAIRS.tsv|RATINGS.sqlite")
@click.option("--out", default="ratings.sqlite", show_default=True, type=click.Path(path_type=Path), help="Answers.")
@click.option("--raters", default=0, type=click.IntRange(0, 500), help="Links to begin with; more on the admin page.")
@click.option(
    "--kind",
    type=click.Choice(["absolute", "pairwise", "check", "render"]),
    help="Of a run: replies scored (absolute) or in pairs, sentences of a translation, renders of templates.",
)
@click.option("--rubric", default="dialogue", show_default=True, help="Of replies: the criteria.")
@click.option("--evaluation", default="", help="Of a run: which one.  [default: the only one, or gain]")
@click.option("--items", default=0, type=click.IntRange(0), help="So many. Default: all; 100 of check and render.")
@click.option("--corrections", type=click.Path(path_type=Path), help="Write what was agreed on there; serve nothing.")
@click.option("--export", type=click.Path(path_type=Path), help="Write every download to this folder; serve nothing.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the pages.")
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="Links hold at this port.")
@click.option("--name", "names", multiple=True, help="Host name by which a proxy with TLS passes the pages on.")
@click.option("--new-admin", is_flag=True, help="Another admin link in place of a lost one.")
@runs_option
def rate(study: str, out: Path, raters: int, host: str, port: int, names: tuple[str, ...], **asked: Any) -> None:
    """Serve pages on which people rate replies, and check translations and templates. Links are shown once.

    STUDY is a study's file, a run, a step's folder, a file of pairs, or the answers so far, to go on.

    Example: mashq rate study.yaml --out ratings.sqlite --raters 3
    """
    from mashq.places import file_place
    from mashq.rating.begin import Wanted, study_at
    from mashq.rating.serve import begun, serve

    if asked["corrections"] or asked["export"]:
        return _come_out(Path(study), asked["corrections"], asked["export"])
    made = None
    if study.endswith(".sqlite"):
        out = Path(study)
    else:
        out = file_place(out, "rate")
        wanted = Wanted(asked["kind"] or "", asked["rubric"], asked["items"], asked["evaluation"])
        made = study_at(study, asked["runs"], wanted)

    def ready(told: str) -> None:
        if not told.startswith("http"):
            return click.echo(told, err=True)
        address = f"https://{names[0]}" if names else told
        for who, path in begun(out, made, raters=raters, admin=asked["new_admin"]):
            click.echo(f"{who}: {address}{path}")
        return click.echo(f"{told}: Ctrl-C ends it. Links are shown this once; they go on working after a restart.")

    return serve(out, host, port, ready, names=names)


def _come_out(ratings: Path, corrections: Path | None, export: Path | None) -> None:
    """What `--corrections` and `--export` write of the answers in a store."""
    from mashq.rating.corrections import lines, write_corrections
    from mashq.rating.downloads import write_downloads
    from mashq.rating.store import Store
    from mashq.rows import MashqError, expected_got

    if ratings.suffix != ".sqlite":
        do = "It is what `mashq rate STUDY --out RATINGS.sqlite` made."
        raise MashqError(expected_got("rate --corrections and --export", "RATINGS.sqlite", str(ratings), do))
    with Store.open(ratings) as store:
        if corrections:
            for line in lines(*write_corrections(store, corrections)):
                click.echo(line)
        for path in write_downloads(store, export) if export else ():
            click.echo(f"wrote {path}")


@verbs.command()
@click.argument("ratings", metavar="RATINGS.sqlite", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Every number with its signature, as JSON.")
@click.option("--withdrawn", is_flag=True, help="Raters who were withdrawn count too.")
def agree(ratings: Path, as_json: bool, withdrawn: bool) -> None:
    """How far raters agree, by criterion and variety: alpha, kappas, rho with 95 % intervals; who is severe. Of checks
    the verdicts: nominal alpha and the share that is the same.

    Example: mashq agree ratings.sqlite
    """
    from mashq.rating.agreements import agreements, as_text
    from mashq.rating.store import Store

    store = Store.open(ratings)
    try:
        click.echo(as_text(agreements(store, withdrawn=withdrawn), as_json=as_json))
    finally:
        store.close()


@verbs.command("bertscore-baseline")
@click.argument("encoder")
@click.option("--texts", required=True, type=click.Path(path_type=Path), help="Arabic texts, one a line or record.")
@click.option(
    "--out", type=click.Path(path_type=Path), default="baseline.tsv", show_default=True, help="File to write."
)
@click.option("--text-field", default="text", show_default=True, help="Field of the text.")
@click.option("--licence", help="Of the texts, SPDX. Default: what their rows say.")
@click.option("--pairs", default=2000, show_default=True, type=click.IntRange(100), help="Random pairs, at most.")
@click.option("--most-words", default=31, show_default=True, type=click.IntRange(0), help="Of a text; 0 = any number.")
@click.option("--layer", "layers", multiple=True, type=int, help="Repeatable. Default: every layer.")
@click.option("--seed", default=0, show_default=True)
def bertscore_baseline(
    encoder: str, texts: Path, out: Path, text_field: str, licence: str | None, **drawn: Any
) -> None:
    """What unrelated Arabic texts score by BERTScore under ENCODER: a baseline to rescale from, made offline.

    Example: mashq bertscore-baseline ./encoder --texts sentences.txt --licence CC-BY-4.0
    """
    from mashq.metrics.baseline import BaselineSettings, measure_baseline, texts_of_file, write_baseline
    from mashq.places import file_place

    place = file_place(out, "bertscore-baseline")
    listed, source, terms = texts_of_file(texts, text_field, licence)
    settings = BaselineSettings(**{**drawn, "layers": tuple(drawn["layers"]) or None})
    made = measure_baseline(
        encoder, listed, settings, source=source, licence=terms, tell=lambda line: click.echo(line, err=True)
    )
    write_baseline(made, place)
    click.echo("\n".join([*made.lines(), f"wrote {out}"]))
