"""Pages from templates: everything that is put in is escaped, and a page may load nothing."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """A page of `templates/`.

    Args:
        template: name of its file.
        values: what it names; names and paths of users are text, whatever stands in them.
    """
    loader = PackageLoader("search", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(values)
