"""Commands for a cluster: submit and attach, which search there, and cluster, which shows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from search.commands.fits import print_summaries
from search.commands.shared import (
    DONE,
    INTERRUPTED,
    config_option,
    fail,
    json_option,
    print_json,
    search_options,
    spec_of,
)
from search.config import WorkerSettings
from search.errors import one_line, redact
from search.options import section_options

if TYPE_CHECKING:
    from search.ray_jobs import Job, Jobs


dashboard_option = click.option("--address", required=True, help="of the cluster's dashboard, http://host:8265")


@click.command()
@click.argument("signals", nargs=-1, metavar="SIGNAL...")
@dashboard_option
@click.option("--name", help="of the campaign; the same name resumes it  [default: made of space, date, settings]")
@click.option("--wait/--no-wait", default=True, help="follow the job until it ends, or leave once it is there")
@click.option("--env", multiple=True, metavar="NAME", help="variable of this environment that the job gets; repeatable")
@config_option
@search_options
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
    spec = spec_of(config, options, {"name": name, "signals": signals})
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
        print_json({"job": job.id, "address": jobs.address})
    else:
        say(f"winnow attach {job.id} --address {jobs.address} follows it")
    return DONE


@click.command()
@click.argument("name", metavar="JOB|NAME")
@dashboard_option
@click.option("--stop", is_flag=True, help="ask the job to end first; what it has is kept")
@json_option
def attach(name: str, address: str, stop: bool, as_json: bool) -> int:
    """Follow a job of `submit`, by its id or its campaign's name: all that it has said, and what comes, to its end."""
    from search.ray_jobs import Jobs

    jobs = Jobs(address)
    job = jobs.find(name)
    if stop and not jobs.stop(job.id):
        click.echo(f"job {job.id} had ended already", err=True)
    return _follow(job, jobs, as_json, is_asked_to_end=stop)


@click.command()
@section_options("workers", "address", "workers", "cpu_workers", "cpus_per_worker", "gpus_per_worker", "label_selector")
@config_option
@json_option
def cluster(config: Path | None, as_json: bool, **options: Any) -> None:
    """Show a Ray cluster's nodes, what of them is free, and what a run with these options would use.

    Without --address, those of a Ray that a run would start on this machine.
    """
    spec = spec_of(config, options)
    from search.cluster import describe_cluster, lines_of

    document = describe_cluster(spec.workers)
    if as_json:
        print_json(document)
        return
    for line in lines_of(document):
        click.echo(one_line(line) if not line.startswith(" ") else f"  {one_line(line)}")


def _follow(job: Job, jobs: Jobs, as_json: bool, *, is_asked_to_end: bool = False) -> int:
    """Show a job to its end; its exit code, or 0 where it was stopped as asked."""
    from search.submit import check_document, follow_job

    try:
        ended = follow_job(job, jobs, lambda line: click.echo(redact(line), err=True))
    except KeyboardInterrupt:
        click.echo(f"detached: the job goes on; winnow attach {job.id} --address {jobs.address} follows it", err=True)
        return INTERRUPTED
    if is_asked_to_end and ended.job.status == "STOPPED":
        if as_json:
            print_json({"job": job.id, "status": ended.job.status})
        click.echo(ended.failure, err=True)
        return DONE
    if not ended.exit_code:
        check_document(ended)
    if ended.document is not None and as_json:
        print_json(ended.document)
    elif ended.document is not None:
        print_summaries(ended.document, ended.store)
        click.echo(f"{ended.store.store} is a folder of the cluster: run these commands where it is mounted")
    return fail(ended.failure, ended.exit_code) if ended.exit_code else DONE
