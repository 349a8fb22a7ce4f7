"""The commands, from predict to ui; slow imports happen inside."""

from __future__ import annotations

import json
import math
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from search.config import StoreSettings, StudySpec, WorkerSettings, read_spec
from search.errors import InputError, Interrupted, NothingFoundError, UsageError, WorldError, one_line, redact
from search.options import given, section_options
from search.plugins import load_plugins

if TYPE_CHECKING:
    from search.ray_jobs import Job, Jobs
    from spaces.parameters import Value
    from trainers.config import Progress

DONE, WORLD_FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

DEFAULT_STORE = StoreSettings().store

JUDGING_SEEDS = 8
"""Fresh seeds of a validation."""

json_option = click.option("--json", "as_json", is_flag=True, help="print one JSON document and nothing else")
store_option = click.option(
    "--store", type=click.Path(path_type=Path), default=DEFAULT_STORE, show_default=True, help="folder of the studies"
)
config_option = click.option(
    "--config", type=click.Path(path_type=Path), help="TOML file; the command line wins over it"
)
seeds_option = click.option(
    "--seeds", type=click.IntRange(2, 1000), help=f"fresh seeds that judge  [default: {JUDGING_SEEDS}]"
)
storage_option = click.option("--storage", help="Optuna storage URL in place of the store's journal")


def sizes_options(command: Callable[..., None]) -> Callable[..., None]:
    """Sizes, each of which is searched."""
    width = click.option(
        "--width",
        type=click.IntRange(1, 8192),
        multiple=True,
        help="features of a hidden layer; repeatable  [default: 128]",
    )
    samples = click.option(
        "--samples", type=click.IntRange(1), multiple=True, help="samples to fit; repeatable (all unless given)"
    )
    size = click.option(
        "--size",
        "sizes",
        multiple=True,
        metavar="NxWIDTHxSTEPS",
        help="samples, width and steps together, such as 4096x64x300; repeatable",
    )
    return samples(width(size(command)))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="winnow-inr")
def cli() -> None:
    """Find the initialisation with which a neural network fits your signal best, and what a closed form would give.

    SIGNAL is an audio file (wav, flac, ogg, mp3), an image (png, jpeg, tiff, bmp, webp), an array (.npy, FILE.npz,
    FILE.npz:NAME) or synthetic:NAME (tone, pink, bright, mix-0 to mix-9999, texture, torus,
    blob).
    """


@cli.command()
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
    spec = _spec(None, options)
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
        _print_json(document)
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


@cli.command()
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
    spec = _spec(None, options)
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
        _print_json(document)
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


@cli.command()
@click.argument("signals", nargs=-1, metavar="SIGNAL...")
@click.option("--name", help="of the campaign; the same name resumes it  [default: made of space, date, settings]")
@config_option
@section_options("search")
@section_options("signal")
@section_options("task")
@section_options("network")
@section_options("fit")
@section_options("workers")
@section_options("store")
@json_option
def run(signals: tuple[str, ...], name: str | None, config: Path | None, as_json: bool, **options: Any) -> None:
    """Search each signal's best point, compare it with baselines and predictions, keep everything in MLflow.

    The same command again continues the study.
    """
    spec = _spec(config, options, {"name": name, "signals": signals})
    from search.display import Terminal
    from search.run import run_study

    document = run_study(spec, display=Terminal())
    nothing = [summary["study"] for summary in document["studies"] if summary["best"] is None]
    if as_json:
        _print_json(document)
    else:
        _print_summaries(document, spec.store)
    if nothing:
        raise NothingFoundError(f"every trial of {', '.join(nothing)} failed: see the warnings above")


def _print_summaries(document: Mapping[str, Any], kept: StoreSettings) -> None:
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


dashboard_option = click.option("--address", required=True, help="of the cluster's dashboard, http://host:8265")


@cli.command()
@click.argument("signals", nargs=-1, metavar="SIGNAL...")
@dashboard_option
@click.option("--name", help="of the campaign; the same name resumes it  [default: made of space, date, settings]")
@click.option("--wait/--no-wait", default=True, help="follow the job until it ends, or leave once it is there")
@click.option("--env", multiple=True, metavar="NAME", help="variable of this environment that the job gets; repeatable")
@config_option
@section_options("search")
@section_options("signal")
@section_options("task")
@section_options("network")
@section_options("fit")
@section_options("workers", *[name for name in WorkerSettings.model_fields if name != "address"])
@section_options("store")
@json_option
def submit(
    signals: tuple[str, ...],
    address: str,
    name: str | None,
    wait: bool,
    env: tuple[str, ...],
    config: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Search as `run` does, as a job of a Ray cluster, and follow it; the same command again continues the study.

    Signals, plugins and laws are files of this machine and are sent; --store is a folder of the cluster. Ctrl-C leaves
    the job alone: `winnow attach` follows it again.
    """
    spec = _spec(config, options, {"name": name, "signals": signals})
    from search.ray_jobs import Jobs
    from search.submit import submit_study

    def say(line: str) -> None:
        click.echo(line, err=True)

    jobs = Jobs(address)
    job = submit_study(spec, jobs, env=env, say=say)
    say(f"job {job.id}")
    if wait:
        return _follow(job, jobs, as_json)
    if as_json:
        _print_json({"job": job.id, "address": jobs.address})
    else:
        say(f"winnow attach {job.id} --address {jobs.address} follows it")
    return DONE


@cli.command()
@click.argument("name", metavar="JOB|NAME")
@dashboard_option
@click.option("--stop", is_flag=True, help="ask the job to end first; what it has is kept")
@json_option
def attach(name: str, address: str, stop: bool, as_json: bool) -> int:
    """Follow a job of `submit`, by its id or its campaign's name: all that it has said, and what comes, to its end."""
    from search.ray_jobs import Jobs

    jobs = Jobs(address)
    job = jobs.find(name)
    if stop:
        jobs.stop(job.id)
    return _follow(job, jobs, as_json)


@cli.command()
@section_options("workers", "address", "workers", "cpu_workers", "cpus_per_worker", "gpus_per_worker", "label_selector")
@config_option
@json_option
def cluster(config: Path | None, as_json: bool, **options: Any) -> None:
    """Show a Ray cluster's nodes, what of them is free, and what a run with these options would use.

    Without --address, those of a Ray that a run would start on this machine.
    """
    spec = _spec(config, options)
    from search.cluster import describe_cluster, lines_of

    document = describe_cluster(spec.workers)
    if as_json:
        _print_json(document)
        return
    for line in lines_of(document):
        click.echo(one_line(line) if not line.startswith(" ") else f"  {one_line(line)}")


def _follow(job: Job, jobs: Jobs, as_json: bool) -> int:
    """Show a job to its end; its exit code."""
    from search.submit import check_document, follow_job

    try:
        ended = follow_job(job, jobs, lambda line: click.echo(redact(line), err=True))
    except KeyboardInterrupt:
        click.echo(f"detached: the job goes on; winnow attach {job.id} --address {jobs.address} follows it", err=True)
        return INTERRUPTED
    if not ended.exit_code:
        check_document(ended)
    if ended.document is not None and as_json:
        _print_json(ended.document)
    elif ended.document is not None:
        _print_summaries(ended.document, ended.store)
        click.echo(f"{ended.store.store} is a folder of the cluster: run these commands where it is mounted")
    return _fail(ended.failure, ended.exit_code) if ended.exit_code else DONE


@cli.command()
@click.argument("signals", nargs=-1, metavar="SIGNAL...")
@click.option(
    "--name", help="of the validation; the same name resumes it, and without SIGNALs it is read from the store"
)
@config_option
@seeds_option
@sizes_options
@click.option("--score", "scores", multiple=True, metavar="NAME", help="zero-cost score; repeatable (all unless given)")
@section_options(
    "search", "heuristic", "beyond_domain", "space", "objective", "trials", "pruner", "seed", "plugin", "deterministic"
)
@section_options("signal", "start", "crop", "channels", "dims", "kind")
@section_options("task")
@section_options("network", "depth")
@section_options("fit")
@section_options("workers")
@section_options("store")
@json_option
def validate(
    signals: tuple[str, ...],
    name: str | None,
    config: Path | None,
    seeds: int | None,
    samples: tuple[int, ...],
    width: tuple[int, ...],
    sizes: tuple[str, ...],
    scores: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Judge heuristics and zero-cost scores over several signals: regret and rank correlation, with intervals.

    Each signal is searched at each size, and the found point and every heuristic's are fitted on the same fresh seeds.
    """
    spec = _sized_spec(config, options, name, signals, samples, width)
    from search.corpus import Size
    from search.corpus import validate as validate_signals
    from search.display import Terminal

    document = validate_signals(
        _judging(spec, seeds),
        samples=samples,
        widths=width,
        sizes=[Size.read(text) for text in sizes],
        scores=scores or None,
        display=Terminal(),
    )
    if as_json:
        _print_json(document)
        return
    from search.validation_table import print_parts

    print_parts(document)


@cli.command()
@click.argument("signals", nargs=-1, metavar="SIGNAL...")
@click.option(
    "--name",
    help="of law and campaigns; the same name resumes, and without SIGNALs its campaigns are read from the store",
)
@config_option
@click.option("--out", type=click.Path(path_type=Path), help="the law's file  [default: STORE/laws/NAME.json]")
@seeds_option
@sizes_options
@section_options("search", "space", "objective", "trials", "pruner", "seed", "deterministic")
@section_options("signal", "start", "channels")
@section_options("task")
@section_options("network", "depth")
@section_options("fit")
@section_options("workers")
@section_options("store")
@json_option
def calibrate(
    signals: tuple[str, ...],
    name: str | None,
    config: Path | None,
    out: Path | None,
    seeds: int | None,
    samples: tuple[int, ...],
    width: tuple[int, ...],
    sizes: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Fit a law to the searched landscapes of a corpus, and judge it on the signals that it has not seen.

    The law, a JSON file, is a heuristic everywhere: --heuristic law.json.
    """
    spec = _sized_spec(config, options, name, signals, samples, width)
    from search.calibration import calibrate as calibrate_law
    from search.corpus import Size
    from search.display import Terminal

    document = calibrate_law(
        _judging(spec, seeds),
        out=out,
        samples=samples,
        widths=width,
        sizes=[Size.read(text) for text in sizes],
        display=Terminal(),
    )
    if as_json:
        _print_json(document)
        return
    from search.validation_table import calibration_lines

    for line in calibration_lines(document):
        click.echo(line)


@cli.command()
@click.argument("signals", nargs=-1, required=True, metavar="SIGNAL...")
@click.option("--name", required=True, help="of the transfer; the same name resumes it")
@click.option("--times", type=click.IntRange(2, 1024), default=4, show_default=True, help="as many samples and steps")
@click.option("--trials-there", type=click.IntRange(1), help="of the search there  [default: as many as here]")
@seeds_option
@section_options("search", "heuristic", "beyond_domain", "objective", "trials", "pruner", "seed", "deterministic")
@section_options("signal", "samples", "start", "channels")
@section_options("task")
@section_options("network", "width", "depth")
@section_options("fit")
@section_options("workers")
@section_options("store")
@json_option
def transfer(
    signals: tuple[str, ...],
    name: str,
    times: int,
    trials_there: int | None,
    seeds: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Search each signal's crop, and judge the found point at --times as many samples and steps.

    It is carried over in relative units (bandwidth over Nyquist) and in absolute ones.
    """
    spec = _spec(None, options, {"name": name, "signals": signals})
    from search.display import Terminal
    from search.transfers import transfer as transfer_points

    document = transfer_points(_judging(spec, seeds), times=times, trials_there=trials_there, display=Terminal())
    if as_json:
        _print_json(document)
        return
    from search.validation_table import print_parts, transfer_line

    print_parts({"settings": [document["there"]]})
    click.echo(transfer_line(document))


def _sized_spec(
    config: Path | None,
    options: Mapping[str, Any],
    name: str | None,
    signals: tuple[str, ...],
    samples: tuple[int, ...],
    width: tuple[int, ...],
) -> StudySpec:
    """Of the first size: what is checked of it holds for all."""
    first = {key: values[0] for key, values in (("samples", samples), ("width", width)) if values}
    return _spec(config, {**options, **first}, {"name": name, "signals": signals})


def _judging(spec: StudySpec, seeds: int | None) -> StudySpec:
    """What judges has more seeds than what finds, and the final PSNR of all trials, unless the user says otherwise."""
    given_here = spec.search.model_fields_set
    update: dict[str, Any] = {} if "pruner" in given_here else {"pruner": "none"}
    if seeds is not None or "confirm" not in given_here:
        update["confirm"] = JUDGING_SEEDS if seeds is None else seeds
    return spec.model_copy(update={"search": spec.search.model_copy(update=update)})


@cli.command()
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
        _print_json(document)
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


@cli.command()
@click.argument("name")
@section_options("search", "plugin")
@store_option
@storage_option
@json_option
def replay(name: str, store: Path, storage: str | None, as_json: bool, **options: Any) -> None:
    """Propose a study's points again, from its seed and the order of its log, without a fit.

    They must agree bit for bit with those that were searched; exit code 1 where one does not.
    """
    _spec(None, options)
    from search.replay import replay as replay_study
    from search.status import find_studies
    from search.trial import spell

    replayed = [replay_study(study) for study in find_studies(store, storage, name)]
    if as_json:
        _print_json({"studies": replayed})
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


@cli.command()
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
        _print_json({"study": name, "files": [str(path) for path in written]})
        return
    for path in written:
        click.echo(path)


@cli.command()
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
    _spec(None, options)
    from search.report import write_report

    path = write_report(store, storage, name, out)
    if as_json:
        _print_json({"files": [str(path)]})
    else:
        click.echo(path)


@cli.command()
@click.argument("name")
@click.option("--tracking-uri", help="MLflow server or database in place of the store's own")
@store_option
@storage_option
@json_option
def sync(name: str, tracking_uri: str | None, store: Path, storage: str | None, as_json: bool) -> None:
    """Rebuild in MLflow what a campaign or study holds; again, it changes nothing."""
    from search.sync import sync_studies

    document = sync_studies(store, storage, name, tracking_uri)
    if as_json:
        _print_json(document)
        return
    for entry in document["studies"]:
        click.echo(f"{entry['study']}: {entry['runs']} runs, {entry['logged']} of them new, {entry['status']}")
        if entry["warning"]:
            click.echo(f"warning: its model is not shown: {one_line(entry['warning'])}", err=True)


@cli.command()
@click.argument("name")
@click.option("--model", help="its name in the registry  [default: the study's]")
@click.option("--tracking-uri", help="MLflow server or database in place of the store's own")
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
        _print_json(document)
        return
    is_there = "" if document["new"] else ", which was there already"
    click.echo(f"{document['study']}: version {document['version']} of {document['model']}{is_there}")
    click.echo(f'mlflow.pyfunc.load_model("{document["uri"]}")')


@cli.command()
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
        _print_json(document)
        return
    for entry in document["studies"]:
        click.echo(f"archived {entry['study']} with {entry['files']} files")
    click.echo(document["file"])


@cli.command()
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
        _print_json(document)
        return
    for entry in document["studies"]:
        click.echo(f"restored {entry['study']}")
    campaigns = sorted({entry["study"].split("/")[0] for entry in document["studies"]})
    for campaign in campaigns:
        click.echo(f"MLflow:   {sync_command(StoreSettings(store=store, storage=storage), campaign)}")


@cli.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="do not ask")
@click.option("--tracking-uri", help="MLflow server or database in place of the store's own")
@store_option
@storage_option
@json_option
def delete(name: str, yes: bool, tracking_uri: str | None, store: Path, storage: str | None, as_json: bool) -> None:
    """Delete a study, or a campaign: what storage, store and MLflow hold of it; registered models stay."""
    from search.removal import delete_studies, names_to_delete

    names = names_to_delete(store, storage, name)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("--yes must be given where nobody can be asked")
        click.confirm(f"delete {', '.join(names)} with all trials, files and runs in MLflow?", abort=True, err=True)
    document = delete_studies(store, storage, name, tracking_uri)
    for entry in document["studies"]:
        if entry["lacks_runs"]:
            where = f"{document['tracking_uri']} had no run of {entry['study']}"
            click.echo(f"warning: MLflow at {where}: is it on another server (--tracking-uri)?", err=True)
        if not as_json:
            click.echo(f"deleted {entry['study']}, and {entry['runs']} runs in MLflow")
    if as_json:
        _print_json(document)


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="address to bind; others can reach 0.0.0.0")
@store_option
def ui(port: int, host: str, store: Path) -> None:
    """Open the MLflow UI on the store, on this machine alone."""
    from search.server import serve_ui

    serve_ui(store, host, port)


def main() -> None:
    """The console script: one line for each error, and its exit code."""
    try:
        result = cli.main(prog_name="winnow", standalone_mode=False)
        code = result if isinstance(result, int) else DONE
    except click.exceptions.Abort:
        code = INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = WRONG_USAGE
    except click.ClickException as error:
        code = _fail(error.format_message(), WRONG_USAGE)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:  # the outermost edge: what is known gets its line, the rest its traceback
        known = _known(error)
        if known is None:
            click.echo(redact(traceback.format_exc()), err=True, nl=False)
        code = WORLD_FAILED if known is None else known
    sys.stdout.flush()
    sys.exit(code)


def _known(error: Exception) -> int | None:
    """Say an error that we foresaw, and give its exit code; None for those that we did not."""
    from spaces.laws import LawError
    from spaces.parameters import PointError
    from spaces.scores import ScoreError
    from trainers.config import ConfigError
    from trainers.signals import SignalError

    if isinstance(error, Interrupted):
        click.echo(f"interrupted: {one_line(str(error))}; the same command continues", err=True)
        return INTERRUPTED
    if isinstance(error, InputError):
        return [_fail(line, WRONG_USAGE) for line in error.lines][-1]
    if isinstance(error, (UsageError, SignalError, PointError, LawError, ScoreError, ConfigError)):
        return _fail(str(error), WRONG_USAGE)
    if isinstance(error, (WorldError, OSError)):
        return _fail(str(error), WORLD_FAILED)
    return None


def _fail(message: str, code: int) -> int:
    click.echo(f"error: {one_line(message)}", err=True)
    return code


def _spec(config: Path | None, options: Mapping[str, Any], top: Mapping[str, Any] | None = None) -> StudySpec:
    sections = ("signal", "task", "network", "fit", "search", "workers", "store")
    named = {key: value for key, value in (top or {}).items() if value not in (None, ())}
    spec = read_spec(config, {"": named, **{section: given(section, options) for section in sections}})
    load_plugins(spec.search.plugin)
    return spec


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


def _print_json(document: Any) -> None:
    click.echo(json.dumps(_finite(document), indent=2))


def _finite(value: Any) -> Any:
    """JSON has no NaN: what is not finite becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
