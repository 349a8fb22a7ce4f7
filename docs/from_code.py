"""What the pages take from the repository: texts outside docs/, docstrings as they are written, settings as tables."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

import click
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

ROOT = Path(__file__).parents[1]

OUTSIDE = {
    "project/changes": "CHANGELOG.md",
    "project/developers": "CONTRIBUTING.md",
    "project/security": "SECURITY.md",
    "project/deployment": "deploy/README.md",
}
"""Pages of the site whose text stands elsewhere in the repository."""

SETTINGS = "<!-- settings -->"
"""Where the tables of a settings file go."""

LINK = re.compile(r"\[([^\]\n]*)\]\(([^)#\s:]+)(#[^)\s]*)?\)")
LOADS = re.compile(r"""<(?:script|img|iframe|link)\b[^>]*(?:src|href)=["'](?:https?:)?//[^>]*>""")
TERM = re.compile(r"\w[\w, ]{0,30}:\s+\S")


def read_source(app: Sphinx, docname: str, content: list[str]) -> None:
    """Take a page's text from where it stands, its links as links of the site, and fill in what the code says."""
    source = OUTSIDE.get(docname, f"docs/{docname}.md")
    if docname in OUTSIDE:
        app.env.note_dependency(str(ROOT / source))
        content[0] = (ROOT / source).read_text(encoding="utf-8")
    pages = {path: name for name, path in OUTSIDE.items()}

    def to_site(link: re.Match[str]) -> str:
        text, target, anchor = link.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        there = f"{pages[path]}.md" if path in pages else path.removeprefix("docs/")
        if path in pages or path.startswith("docs/"):
            return f"[{text}]({posixpath.relpath(there, posixpath.dirname(docname) or '.')}{anchor or ''})"
        # Of the repository, but not of the site: the words alone. What does not exist stays, and fails the build.
        return text if (ROOT / path).exists() else link.group()

    content[0] = LINK.sub(to_site, content[0])
    if SETTINGS in content[0]:
        content[0] = content[0].replace(SETTINGS, settings_tables())


def docstring_lines(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with `code`: no other sign in them is markup, and a glossary keeps its lines."""
    if lines[:1] and lines[0].startswith("Alias for field number"):  # collections' own words
        lines.clear()
    for index, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [re.sub(r"([*|\\])|(?<=\w)(_)(?!\w)", r"\\\1\2", part) for part in parts[::2]]
        lines[index] = "`".join(parts)
    if what == "module":
        lines[:] = _glossary_lines(lines)
    if what in ("data", "attribute", "property"):
        lines[:0] = ["..", ""]  # a comment: of a first line, napoleon takes what stands before a colon for a type


def _glossary_lines(lines: Sequence[str]) -> list[str]:
    """Paragraphs of `symbol: meaning` as a block whose lines stay; what goes on in a next line is indented in it."""
    kept: list[str] = []
    for paragraph in "\n".join(lines).split("\n\n"):
        rows = paragraph.split("\n")
        if sum(bool(TERM.match(row)) for row in rows) > 1 and TERM.match(rows[0]):
            rows = [
                f"| **{row[: row.index(':')]}**{row[row.index(':') :]}" if TERM.match(row) else f"  {row.strip()}"
                for row in rows
            ]
        kept += [*rows, ""]
    return kept


def help_lines(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Help of the commands is plain text too: its options are code."""
    for index, line in enumerate(lines):
        if not line.lstrip().startswith(".."):
            lines[index] = re.sub(r"(?<![\w`-])(--[a-z][\w-]*)", r"``\1``", line)


def settings_tables() -> str:
    """A table for each section of a settings file."""
    from search.config import SECTIONS

    return "\n\n".join(_section_table(name, section) for name, section in SECTIONS.items())


def _section_table(name: str, section: Any) -> str:
    rows = [
        f"| `{key}` | {_spell_type(field.annotation)} | {_spell_default(field.default)} | {field.description} |"
        for key, field in section.model_fields.items()
    ]
    head = ["| key | takes | default | what |", "|---|---|---|---|"]
    return "\n".join([f"## [{name}]", "", section.__doc__, "", *head, *rows])


def check_offline(app: Sphinx, error: Exception | None) -> None:
    """Pages that load anything from the network fail the build; links may lead there."""
    for path in () if error else Path(app.outdir).rglob("*.html"):
        if loads := LOADS.search(path.read_text(encoding="utf-8")):
            raise ExtensionError(f"pages must load nothing from the network, but {path.name} has {loads.group()}")


TYPES = {int: "whole number", float: "number", bool: "true or false", str: "text", Path: "path"}


def _spell_type(annotation: Any) -> str:
    """`whole number`, `"random", "every"`: what a value may be; None stands for a key that is not given."""
    if annotation in TYPES:
        return TYPES[annotation]
    if isinstance(annotation, str):
        return f'`"{annotation}"`'
    spelled = [_spell_type(part) for part in get_args(annotation) if part not in (type(None), ...)]
    if get_origin(annotation) is tuple:
        return f"list of {spelled[0]}s"
    return ", ".join(spelled)


def _spell_default(default: Any) -> str:
    if default in (None, ()):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", read_source)
    app.connect("build-finished", check_offline)
    app.connect("autodoc-process-docstring", docstring_lines, priority=400)  # before napoleon's 500
    for part in ("description", "options"):
        app.connect(f"sphinx-click-process-{part}", help_lines)
    return {"parallel_read_safe": True}
