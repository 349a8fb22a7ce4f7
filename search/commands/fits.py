"""Commands that look at signals: predict, fit and run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from search.commands.shared import (
    DEFAULT_STORE,
    config_option,
    json_option,
    print_json,
    search_options,
    spec_of,
)
from search.config import StoreSettings
from search.errors import NothingFoundError, UsageError, WorldError, one_line, redact
from search.options import section_options

if TYPE_CHECKING:
    from spaces.parameters import Value
    from trainers.config import Progress


@click.command()
@click.argument("signals", nargs=-1, required=True, metavar="SIGNAL...")
@section_options("search", "heuristic", "space")
@section_options("signal")
@section_options("network", "width", "depth")
@section_options("fit", "steps")
@section_options("search", "seed", "plugin", "beyond_domain")
@json_option
def predict(signals: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Print the spectrum of each signal and every law's point for it, at once.

    With --heuristic fresh the selector renders untrained networks of --space, which takes seconds.
    """
    spec = spec_of(None, options)
    from search.point import predict as predict_signals

    document = predict_signals(
        signals,
        crop=spec.signal.to_crop(),
        heuristics=spec.search.heuristic,
        space=spec.search.space,
        width=spec.network.width,
        depth=spec.network.depth,
        steps=spec.fit.steps,
        seed=spec.search.seed,
        beyond_domain=spec.search.beyond_domain,
    )
    if as_json:
        print_json(document)
        return
    for entry in document["signals"]:
        click.echo(
            f"{one_line(entry['signal'])}: {entry['kind']}, {_spell_grid(entry)}, "
            f"centroid {entry['centroid']:.4f}, Nyquist {entry['nyquist_rad']:.0f} rad"
        )
        for name, point in entry["predictions"].items():
            click.echo(f"  {name:<10} " + "  ".join(f"{key} = {_spell_number(value)}" for key, value in point.items()))
        for reason in entry["silent"].values():
            click.echo(f"  ({reason})")


def _spell_number(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _spell_grid(entry: Mapping[str, Any]) -> str:
    """`4,096 samples at 16000 Hz` of a mono recording, `128 x 128 samples, 3 channels` of others."""
    size = " x ".join(f"{num:,}" for num in entry["shape"]) + " samples"
    rate, channels = entry["rate_hz"], entry["channels"]
    size += f" at {rate:g} Hz" if rate else ""
    if rate and channels == 1:
        return size
    return f"{size}, {channels} channel{'s' if channels > 1 else ''}"


@click.command()
@click.argument("signal", metavar="SIGNAL")
@section_options("search", "space")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="a parameter's value; repeatable")
@click.option("--heuristic", help="takes what --set leaves open from this heuristic")
@section_options("search", "beyond_domain")
@click.option(
    "--seeds", type=click.IntRange(1, 100_000), default=1, show_default=True, help="fits, each with its own seed"
)
@section_options("search", "seed", "plugin")
@section_options("signal")
@section_options("task")
@section_options("network", "width", "depth")
@section_options("fit")
@section_options("workers", "cpus_per_worker")
@json_option
def fit(
    signal: str, assignments: tuple[str, ...], heuristic: str | None, seeds: int, as_json: bool, **options: Any
) -> None:
    """Fit one point with several seeds; what --set leaves open is the space's published default."""
    spec = spec_of(None, options)
    partial = _assignments(assignments)
    if spec.fit.lr is not None and partial.setdefault("lr", spec.fit.lr) != spec.fit.lr:
        raise UsageError(f"--lr and --set lr must agree, but got {spec.fit.lr:g} and {partial['lr']}")
    from search.point import fit_point
    from search.trial import spell

    for line in spec.idle_task_options:
        click.echo(f"warning: {line}", err=True)
    document = fit_point(
        signal,
        partial,
        space=spec.search.space,
        heuristic=heuristic,
        beyond_domain=spec.search.beyond_domain,
        crop=spec.signal.to_crop(),
        task=spec.task_config,
        width=spec.network.width,
        depth=spec.network.depth,
        steps=spec.fit.steps,
        seeds=seeds,
        study_seed=spec.search.seed,
        threads=options["cpus_per_worker"] or 1,
        watch=None if as_json else _say_fit,
    )
    if as_json:
        print_json(document)
    else:
        from search.stats import describe

        sample = describe([value for value in document["psnr_db"] if value is not None] or [math.nan])
        spread = f", sd {sample.sd:.2f} dB" if sample.sd is not None else ""
        click.echo(f"{one_line(signal)}: {document['space']} {spell(document['params'])}, {document['steps']} steps")
        click.echo(f"  mean {sample.mean:.2f} dB{spread} over {sample.num} seed{'s' if sample.num > 1 else ''}")
        held = [value for value in document.get("held_psnr_db", ()) if value is not None]
        if held:
            click.echo(f"  held out: mean {describe(held).mean:.2f} dB")
    if all(value is None for value in document["psnr_db"]):
        raise WorldError(f"no fit of this point had a finite loss ({document['status'][0]})")


def _say_fit(repeat: int, progress: Progress) -> None:
    scored = (
        f"PSNR {progress.psnr_db:.2f} dB, SNR {progress.snr_db:.2f} dB"
        if progress.psnr_db is not None
        else "no finite loss"
    )
    scored += f", held out {progress.held_psnr_db:.2f} dB" if progress.held_psnr_db is not None else ""
    click.echo(f"  seed {repeat}: {scored} at step {progress.best_step} ({progress.status})")


@click.command()
@click.argument("signals", nargs=-1, metavar="SIGNAL...")
@click.option("--name", help="of the campaign; the same name resumes it  [default: made of space, date, settings]")
@config_option
@search_options
@section_options("workers")
@section_options("store")
@json_option
def run(signals: tuple[str, ...], name: str | None, config: Path | None, as_json: bool, **options: Any) -> None:
    """Search each signal's best point, compare it with baselines and predictions, keep everything in MLflow.

    The same command again continues the study.
    """
    spec = spec_of(config, options, {"name": name, "signals": signals})
    from search.display import Terminal
    from search.run import run_study

    document = run_study(spec, display=Terminal())
    nothing = [summary["study"] for summary in document["studies"] if summary["best"] is None]
    if as_json:
        print_json(document)
    else:
        print_summaries(document, spec.store)
    if nothing:
        raise NothingFoundError(f"every trial of {', '.join(nothing)} failed: see the warnings above")


def print_summaries(document: Mapping[str, Any], kept: StoreSettings) -> None:
    """Each study's table, what was found, and where it is kept."""
    from rich.console import Console

    from search.table import sentence_of, to_rich

    console = Console(highlight=False)
    store = f" --store {kept.store}" if kept.store != DEFAULT_STORE else ""
    for summary in document["studies"]:
        console.print(to_rich(summary))
        console.print(sentence_of(summary), markup=False, soft_wrap=True)
        console.print(f"pictures: {kept.store / 'studies' / summary['study']}", markup=False, soft_wrap=True)
        console.print(f"weights:  winnow export {summary['study']}{store}", markup=False, soft_wrap=True)
    where = f"at {redact(kept.tracking_uri)}" if kept.tracking_uri else f"winnow ui{store}"
    console.print(f"MLflow:   {where}", markup=False, soft_wrap=True)


def _assignments(texts: tuple[str, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set takes NAME=VALUE, but got {text!r}")
        try:
            values[name] = float(value)
        except ValueError:
            values[name] = value
    return values
