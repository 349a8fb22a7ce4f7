"""What a job on a cluster needs, as one folder: our packages, the signals, plugins, laws, and the settings.

The settings are the whole command line and the config, as one file: addresses may hold passwords, and a job's command
is shown to whoever may list jobs.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import search
import spaces
import trainers
from search.config import SearchSettings, StoreSettings, StudySpec
from search.errors import InputError, UsageError, redact
from search.heuristics import LAW_SUFFIX, SELECTORS
from search.plan import plan_studies
from trainers.signals import SYNTHETIC_PREFIX, path_and_member

SETTINGS, ENVIRONMENT = "job.toml", "job.env"

COMMAND = f"set -a; . ./{ENVIRONMENT}; set +a; exec python -m search run --config {SETTINGS} --json"
"""What the job runs, in the shell of the head, in the folder that came there."""

DISTRIBUTION = "winnow-inr"

MAX_BYTES = 100 * 2**20
"""What a dashboard takes at once (Ray's DASHBOARD_CLIENT_MAX_SIZE), which is less than its limit for packages."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_for_cluster(spec: StudySpec) -> list[str]:
    """Check on this side all that can be checked here: what is wrong must not be found out by a job.

    Returns:
        The names of the studies, as `winnow run` gives them.

    Raises:
        UsageError: a place for results that is no place of the cluster.
        InputError: files that are too large; and, as PointError and LawError, as `winnow run` has it.
    """
    _check_places(spec.store)
    _check_size(spec)
    # Selectors render networks, which is the job's work.
    named = tuple(each for each in spec.search.heuristic if each not in SELECTORS)
    search_here = spec.search.model_copy(update={"heuristic": named})
    return [plan.name for plan in plan_studies(spec.model_copy(update={"search": search_here}))]


def read_environment(names: Sequence[str]) -> dict[str, str]:
    """The variables of this process that the job gets.

    Raises:
        UsageError: one is not set here, or is no variable's name.
    """
    for name in names:
        if not _VARIABLE.fullmatch(name):
            raise UsageError("--env must name a variable of this environment, without a value")
        if name not in os.environ:
            raise UsageError(f"--env must name a variable of this environment, but {name} is not set")
    return {name: os.environ[name] for name in names}


def build_shipment(spec: StudySpec, folder: Path, environment: Mapping[str, str]) -> None:
    """Fill an empty folder, which the job has as its working directory.

    Files of one name stay apart, and a signal keeps its name: it is part of its study's.

    Args:
        spec: what is asked, with a name.
        folder: to be filled.
        environment: variables of the job's driver, such as passwords.
    """
    assert spec.name is not None
    for package in (spaces, trainers, search):
        source = Path(str(package.__file__)).parent
        shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    _write_metadata(folder)
    shipped = spec.model_copy(
        update={
            "signals": tuple(_ship_signal(source, folder, at) for at, source in enumerate(spec.signals, 1)),
            "search": _ship_search(spec.search, folder),
            "workers": spec.workers.model_copy(update={"address": "auto"}),
        }
    )
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in environment.items()]
    for name, text in ((SETTINGS, to_toml(shipped)), (ENVIRONMENT, "".join(lines))):
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o600)  # Ray keeps this where it unpacks them


def to_toml(spec: StudySpec) -> str:
    """A config that `read_spec` reads as these settings; what was not given is left out, and stays so."""
    data = spec.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    tables = {key: value for key, value in data.items() if isinstance(value, dict)}
    lines = [f"{key} = {_spell(value)}" for key, value in data.items() if key not in tables]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {_spell(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _check_places(store: StoreSettings) -> None:
    """A relative path would lie in the folder of the job, and end with it."""
    if not store.store.is_absolute():
        got = f"{store.store}" if "store" in store.model_fields_set else "none"
        raise UsageError(
            "--store must name a folder of the cluster that outlives it, such as a mounted volume, by its absolute "
            f"path, but got {got}"
        )
    places = {"--storage": store.storage, "--checkpoints": store.checkpoints, "--tracking-uri": store.tracking_uri}
    for option, place in places.items():
        scheme, separator, rest = (place or "/").partition("://")
        # SQLAlchemy's addresses of files have a third slash before the path: sqlite:///relative, sqlite:////absolute.
        path = rest.removeprefix("/") if scheme.startswith("sqlite") else scheme
        if (not separator or scheme.startswith("sqlite")) and not Path(path).is_absolute():
            raise UsageError(
                f"{option} must name a place that the cluster reaches, by address or absolute path, but got "
                f"{redact(str(place))}"
            )


def _check_size(spec: StudySpec) -> None:
    """What is refused on the way says no more than a number."""
    paths = [path_and_member(source)[0] for source in spec.signals if not source.startswith(SYNTHETIC_PREFIX)]
    paths += [*spec.search.plugin, *(Path(name) for name in spec.search.heuristic or () if name.endswith(LAW_SUFFIX))]
    num_bytes = sum(path.stat().st_size for path in paths if path.is_file())
    if num_bytes >= MAX_BYTES:
        raise InputError(
            [
                f"signals, plugins and laws of a job must stay below {MAX_BYTES // 2**20} MiB, but have "
                f"{num_bytes // 2**20}: put them on a volume of the cluster, and start `winnow run` there"
            ]
        )


def _spell(value: Any) -> str:
    """JSON's spelling is TOML's too, but for the character DEL."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")


def _ship_signal(source: str, folder: Path, at: int) -> str:
    if source.startswith(SYNTHETIC_PREFIX):
        return source
    path, member = path_and_member(source)
    shipped = _ship_file(path, folder, f"signals/{at}")
    return shipped if member is None else f"{shipped}:{member}"


def _ship_search(settings: SearchSettings, folder: Path) -> SearchSettings:
    """Only what was given: `model_copy` would give what is updated."""
    update: dict[str, Any] = {}
    if settings.plugin:
        plugins = enumerate(settings.plugin, 1)
        update["plugin"] = tuple(Path(_ship_file(path, folder, f"plugins/{at}")) for at, path in plugins)
    if settings.heuristic:
        named = enumerate(settings.heuristic, 1)
        update["heuristic"] = tuple(
            _ship_file(Path(name), folder, f"laws/{at}") if name.endswith(LAW_SUFFIX) else name for at, name in named
        )
    return settings.model_copy(update=update)


def _ship_file(path: Path, folder: Path, into: str) -> str:
    """Its new path, as the job sees it."""
    target = folder / into / path.name
    target.parent.mkdir(parents=True)
    shutil.copyfile(path, target)
    return f"{into}/{path.name}"


def _write_metadata(folder: Path) -> None:
    """What tells the packages their version where nothing is installed."""
    number = version(DISTRIBUTION)
    info = folder / f"{DISTRIBUTION.replace('-', '_')}-{number}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {number}\n", encoding="utf-8"
    )
