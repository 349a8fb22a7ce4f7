"""What commands share: options, the specification they make, and how they print a document."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from search.config import StoreSettings, StudySpec, read_spec
from search.errors import one_line
from search.options import given, section_options, together
from search.plugins import load_plugins

DONE, WORLD_FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

DEFAULT_STORE = StoreSettings().store

json_option = click.option("--json", "as_json", is_flag=True, help="print one JSON document and nothing else")
store_option = click.option(
    "--store", type=click.Path(path_type=Path), default=DEFAULT_STORE, show_default=True, help="folder of the studies"
)
config_option = click.option(
    "--config", type=click.Path(path_type=Path), help="TOML file; the command line wins over it"
)
search_options = together(*(section_options(name) for name in ("search", "signal", "task", "network", "fit")))
"""What is searched, for which signals; not who fits, nor where it is kept."""

storage_option = click.option("--storage", help="Optuna storage URL in place of the store's journal")


def spec_of(config: Path | None, options: Mapping[str, Any], top: Mapping[str, Any] | None = None) -> StudySpec:
    """The specification of a file and of the options that were given, its plugins loaded."""
    sections = ("signal", "task", "network", "fit", "search", "workers", "store")
    named = {key: value for key, value in (top or {}).items() if value not in (None, ())}
    spec = read_spec(config, {"": named, **{section: given(section, options) for section in sections}})
    load_plugins(spec.search.plugin)
    return spec


def print_json(document: Any) -> None:
    """The one document on stdout."""
    click.echo(json.dumps(to_finite(document), indent=2))


def to_finite(value: Any) -> Any:
    """JSON has no NaN: what is not finite becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: to_finite(item) for key, item in value.items()}
    return [to_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def fail(message: str, code: int) -> int:
    """Say an error; its exit code."""
    click.echo(f"error: {one_line(message)}", err=True)
    return code
