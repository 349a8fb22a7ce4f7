"""Commands that show studies: status, replay, export and report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from search.commands.shared import json_option, print_json, spec_of, storage_option, store_option
from search.errors import WorldError, one_line
from search.options import section_options


@click.command()
@click.argument("name", required=False)
@store_option
@storage_option
@json_option
def status(name: str | None, store: Path, storage: str | None, as_json: bool) -> None:
    """Show where studies stand: all of them, a campaign's, or one."""
    from search.lock import Holder
    from search.status import find_studies, status_of
    from search.table import sentence_of
    from search.trial import spell

    document = {"studies": [status_of(study, store, storage) for study in find_studies(store, storage, name)]}
    if as_json:
        print_json(document)
        return
    for entry in document["studies"]:
        done, best = sum(entry["trials"].values()), entry["best"]
        state = f"{entry['state']} (running: {Holder(**entry['driver'])})" if entry["running"] else entry["state"]
        asked = entry["asked"]
        size = f"{asked['crop'] or asked['samples'] or 'all'} samples, width {asked['width']}, {asked['steps']} steps"
        task = "" if asked["task"] == "fit" else f", task {asked['task']}, objective {entry['objective']}"
        signal = one_line(entry["signal"])
        click.echo(f"{entry['study']}: {state}, {done}/{entry['budget']} trials of {signal}, {size}{task}")
        if best and entry["state"] == "done":
            click.echo(f"  {sentence_of(entry)}")
        elif best:
            scored = f"{best['psnr_db']:.1f} dB"
            scored += f", held out {best['held_psnr_db']:.1f} dB," if "held_psnr_db" in best else ""
            click.echo(f"  best so far #{best['number']} {spell(best['params'])}, {scored} on one seed")


@click.command()
@click.argument("name")
@section_options("search", "plugin")
@store_option
@storage_option
@json_option
def replay(name: str, store: Path, storage: str | None, as_json: bool, **options: Any) -> None:
    """Propose a study's points again, from its seed and the order of its log, without a fit.

    They must agree bit for bit with those that were searched; exit code 1 where one does not.
    """
    spec_of(None, options)
    from search.replay import replay as replay_study
    from search.status import find_studies
    from search.trial import spell

    replayed = [replay_study(study) for study in find_studies(store, storage, name)]
    if as_json:
        print_json({"studies": replayed})
    else:
        for entry in replayed:
            click.echo(f"{entry['study']}: {entry['agree']} of {entry['proposals']} proposals agree bit for bit")
    for entry in replayed:
        if first := entry["first_difference"]:
            points = {key: spell(first[key]) for key in ("stored", "proposed")}
            raise WorldError(
                f"proposal #{first['number']} of {entry['study']} must be {points['stored']}, as stored, but the "
                f"sampler gives {points['proposed']}: another version of Optuna or NumPy, or another kind of CPU?"
            )


@click.command()
@click.argument("name")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("winner"), show_default=True, help="folder to write"
)
@store_option
@storage_option
@json_option
def export(name: str, out: Path, store: Path, storage: str | None, as_json: bool) -> None:
    """Write a study's winner: weights (safetensors), recipe (JSON), and a snippet for one's own code."""
    from search.status import export_winner

    written = export_winner(store, storage, name, out)
    if as_json:
        print_json({"study": name, "files": [str(path) for path in written]})
        return
    for path in written:
        click.echo(path)


@click.command()
@click.argument("name")
@click.option(
    "--out", type=click.Path(path_type=Path), help="file to write  [default: report.html in the folder of NAME]"
)
@section_options("search", "plugin")
@store_option
@storage_option
@json_option
def report(name: str, out: Path | None, store: Path, storage: str | None, as_json: bool, **options: Any) -> None:
    """Write a page with all that a study, or a campaign, asked and found: one file, for an appendix.

    A study that came to its end has written its own; this one is of how things stand now.
    """
    spec_of(None, options)
    from search.report import write_report

    path = write_report(store, storage, name, out)
    if as_json:
        print_json({"files": [str(path)]})
    else:
        click.echo(path)
