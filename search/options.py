"""Command-line options made from the fields of a specification's sections: one source for names, rules and help."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from search.config import SECTIONS

Command = TypeVar("Command", bound=Callable[..., Any])


def section_options(section: str, *names: str) -> Callable[[Command], Command]:
    """Options for the named fields of a section (all unless given), `--cpus-per-worker` for `cpus_per_worker`.

    An option that was not given is None (an empty tuple where it is repeatable), so that a file's value stands.
    """
    fields = SECTIONS[section].model_fields

    def decorate(command: Command) -> Command:
        for name in reversed(names or tuple(fields)):
            command = _option(name, fields[name])(command)
        return command

    return decorate


def together(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several decorators as one, the first on top."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def given(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `values` that belong to a section and were given on the command line."""
    fields = SECTIONS[section].model_fields
    return {key: value for key, value in values.items() if key in fields and value not in (None, ())}


def _option(name: str, field: FieldInfo) -> Callable[[Command], Command]:
    flag = f"--{name.replace('_', '-')}"
    text = field.description or ""
    kind = _without_none(field.annotation)
    if kind is bool:
        return click.option(flag, name, is_flag=True, default=None, help=text)
    if get_origin(kind) is tuple:
        return click.option(flag, name, multiple=True, metavar="NAME", help=text)
    if field.default is not None:
        text += f"  [default: {field.default}]"
    return click.option(flag, name, type=_click_type(kind), default=None, help=text)


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        return parts[0] if len(parts) == 1 else str  # a union of kinds is told apart by the specification
    return annotation


def _click_type(kind: Any) -> Any:
    if get_origin(kind) is Literal:
        return click.Choice([str(choice) for choice in get_args(kind)])
    if kind is Path:
        return click.Path(path_type=Path)
    return kind
