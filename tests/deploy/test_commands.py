"""Every `winnow` command that stands under deploy/ is one that the program takes."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from manifests import DEPLOY, winnow_commands

from search.cli import cli

PATHS = sorted(path for path in DEPLOY.rglob("*") if path.suffix in (".md", ".sbatch", ".yaml"))
COMMANDS = [(path, words) for path in PATHS for words in winnow_commands(path)]
README = (DEPLOY / "README.md").read_text(encoding="utf-8")


def test_all_of_them_are_found() -> None:
    names = {path.name for path, _ in COMMANDS}
    assert names >= {"README.md", "rayjob.yaml", "winnow.sbatch"}
    assert len([path for path, _ in COMMANDS if path.name == "rayjob.yaml"]) == 2
    assert {words[0] for path, words in COMMANDS if path.name == "README.md"} >= {"run", "fit", "submit", "attach"}


@pytest.mark.parametrize(("path", "words"), COMMANDS, ids=[" ".join(words)[:60] for _, words in COMMANDS])
def test_its_options_are_ones_that_the_program_has(path: Path, words: list[str]) -> None:
    command = cli.commands[words[0]]
    signals = ["clip.wav"] if path.suffix == ".sbatch" else []  # what sbatch hands on
    with click.Context(command) as context:
        command.parse_args(context, words[1:] + signals)


def test_a_study_that_may_be_resumed_has_a_name() -> None:
    for path, words in COMMANDS:
        if words[0] in ("run", "submit") and path.suffix != ".sbatch":
            assert "--name" in words, f"{path}: {words}"


def test_what_it_names_is_there() -> None:
    for name in re.findall(r"deploy/([\w./-]+)", README):
        assert (DEPLOY / name).exists() or name == ".env", name
    for target in re.findall(r"\]\(#([\w-]+)\)", README):
        titles = [
            re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall("^## (.*)$", README, re.M)
        ]
        assert target in titles
