"""The console script `winnow`: its commands, and what an error becomes."""

from __future__ import annotations

import sys
import traceback

import click

from search.commands.fits import fit, predict, run
from search.commands.jobs import attach, cluster, submit
from search.commands.judging import calibrate, transfer, validate
from search.commands.keeping import archive, delete, register, restore, sync, ui
from search.commands.shared import DONE, INTERRUPTED, WORLD_FAILED, WRONG_USAGE, fail
from search.commands.studies import export, replay, report, status
from search.errors import InputError, Interrupted, UsageError, WorldError, one_line, redact


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="winnow-inr")
def cli() -> None:
    """Find the initialisation with which a neural network fits your signal best, and what a closed form would give.

    SIGNAL is an audio file (wav, flac, ogg, mp3), an image (png, jpeg, tiff, bmp, webp), an array (.npy, FILE.npz,
    FILE.npz:NAME) or synthetic:NAME (tone, pink, bright, mix-0 to mix-9999, texture, torus,
    blob).
    """


for _command in (
    *(predict, fit, run),
    *(submit, attach, cluster),
    *(validate, calibrate, transfer),
    *(status, replay, export, report),
    *(sync, register, archive, restore, delete, ui),
):
    cli.add_command(_command)


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
        code = fail(error.format_message(), WRONG_USAGE)
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
        return [fail(line, WRONG_USAGE) for line in error.lines][-1]
    if isinstance(error, (UsageError, SignalError, PointError, LawError, ScoreError, ConfigError)):
        return fail(str(error), WRONG_USAGE)
    if isinstance(error, (WorldError, OSError)):
        return fail(str(error), WORLD_FAILED)
    return None
