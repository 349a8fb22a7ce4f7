"""Commands for what is kept: sync, register, archive, restore, delete and ui."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from search.commands.shared import json_option, print_json, storage_option, store_option
from search.config import StoreSettings
from search.errors import UsageError, one_line

tracking_option = click.option("--tracking-uri", help="MLflow server or database in place of the store's own")


@click.command()
@click.argument("name")
@tracking_option
@store_option
@storage_option
@json_option
def sync(name: str, tracking_uri: str | None, store: Path, storage: str | None, as_json: bool) -> None:
    """Rebuild in MLflow what a campaign or study holds; again, it changes nothing."""
    from search.sync import sync_studies

    document = sync_studies(store, storage, name, tracking_uri)
    if as_json:
        print_json(document)
        return
    for entry in document["studies"]:
        click.echo(f"{entry['study']}: {entry['runs']} runs, {entry['logged']} of them new, {entry['status']}")
        if entry["warning"]:
            click.echo(f"warning: its model is not shown: {one_line(entry['warning'])}", err=True)


@click.command()
@click.argument("name")
@click.option("--model", help="its name in the registry  [default: the study's]")
@tracking_option
@store_option
@storage_option
@json_option
def register(
    name: str, model: str | None, tracking_uri: str | None, store: Path, storage: str | None, as_json: bool
) -> None:
    """Register a study's winner as a version of a model in MLflow's registry; again, it changes nothing."""
    from search.registry import register_winner

    document = register_winner(store, storage, name, model, tracking_uri)
    if as_json:
        print_json(document)
        return
    is_there = "" if document["new"] else ", which was there already"
    click.echo(f"{document['study']}: version {document['version']} of {document['model']}{is_there}")
    click.echo(f'mlflow.pyfunc.load_model("{document["uri"]}")')


@click.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="file to write  [default: NAME.winnow.zip]")
@store_option
@storage_option
@json_option
def archive(name: str, out: Path | None, store: Path, storage: str | None, as_json: bool) -> None:
    """Write a study, or a campaign, into one file: what storage holds, and its folder. It is not deleted."""
    from search.archive import archive_studies

    document = archive_studies(store, storage, name, out)
    if as_json:
        print_json(document)
        return
    for entry in document["studies"]:
        click.echo(f"archived {entry['study']} with {entry['files']} files")
    click.echo(document["file"])


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@store_option
@storage_option
@json_option
def restore(file: Path, store: Path, storage: str | None, as_json: bool) -> None:
    """Bring the studies of an archive back into a store where none has their names."""
    from search.archive import restore_studies
    from search.sync import sync_command

    document = restore_studies(file, store, storage)
    if as_json:
        print_json(document)
        return
    for entry in document["studies"]:
        click.echo(f"restored {entry['study']}")
    campaigns = sorted({entry["study"].split("/")[0] for entry in document["studies"]})
    for campaign in campaigns:
        click.echo(f"MLflow:   {sync_command(StoreSettings(store=store, storage=storage), campaign)}")


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="do not ask")
@click.option("--leave-runs", is_flag=True, help="ask no MLflow, and leave what it has")
@tracking_option
@store_option
@storage_option
@json_option
def delete(
    name: str,
    yes: bool,
    leave_runs: bool,
    tracking_uri: str | None,
    store: Path,
    storage: str | None,
    as_json: bool,
) -> None:
    """Delete a study, or a campaign: what storage, store and MLflow hold of it; registered models stay."""
    from search.removal import delete_studies, names_to_delete

    names = names_to_delete(store, storage, name)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("--yes must be given where nobody can be asked")
        what = "trials and files" if leave_runs else "trials, files and runs in MLflow"
        click.confirm(f"delete {', '.join(names)} with all {what}?", abort=True, err=True)
    document = delete_studies(store, storage, names, tracking_uri, leave_runs=leave_runs)
    if as_json:
        print_json(document)
        return
    for entry in document["studies"]:
        runs = "MLflow was not asked" if leave_runs else f"and {entry['runs']} runs in MLflow"
        click.echo(f"deleted {entry['study']}, {runs}")


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="address to bind; others can reach 0.0.0.0")
@store_option
def ui(port: int, host: str, store: Path) -> None:
    """Open the MLflow UI on the store, on this machine alone."""
    from search.server import serve_ui

    serve_ui(store, host, port)
