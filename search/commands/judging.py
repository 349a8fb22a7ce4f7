"""Commands that judge heuristics: validate, calibrate and transfer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from search.commands.shared import config_option, json_option, print_json, spec_of
from search.config import JUDGING_SEEDS, StudySpec
from search.options import section_options, together

seeds_option = click.option(
    "--seeds", type=click.IntRange(2, 1000), help=f"fresh seeds that judge  [default: {JUDGING_SEEDS}]"
)


corpus_options = together(
    section_options("signal", "start", "crop", "channels", "dims", "kind"),
    section_options("task"),
    section_options("network", "depth"),
    section_options("fit"),
    section_options("workers"),
    section_options("store"),
    json_option,
)
"""Of a command that searches several signals at several sizes, but for the search itself."""


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
    return together(samples, width, size)(command)


@click.command()
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
@corpus_options
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
        _with_seeds(spec, seeds),
        samples=samples,
        widths=width,
        sizes=[Size.read(text) for text in sizes],
        scores=scores or None,
        display=Terminal(),
    )
    if as_json:
        print_json(document)
        return
    from search.validation_table import print_parts

    print_parts(document)


@click.command()
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
@corpus_options
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
        _with_seeds(spec, seeds),
        out=out,
        samples=samples,
        widths=width,
        sizes=[Size.read(text) for text in sizes],
        display=Terminal(),
    )
    if as_json:
        print_json(document)
        return
    from search.validation_table import calibration_lines

    for line in calibration_lines(document):
        click.echo(line)


@click.command()
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
    spec = spec_of(None, options, {"name": name, "signals": signals})
    from search.display import Terminal
    from search.transfers import transfer as transfer_points

    document = transfer_points(_with_seeds(spec, seeds), times=times, trials_there=trials_there, display=Terminal())
    if as_json:
        print_json(document)
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
    return spec_of(config, {**options, **first}, {"name": name, "signals": signals})


def _with_seeds(spec: StudySpec, seeds: int | None) -> StudySpec:
    if seeds is None:
        return spec
    return spec.model_copy(update={"search": spec.search.model_copy(update={"confirm": seeds})})
