"""The README keeps its word."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from search.cli import cli, main
from search.config import read_spec

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


SESSION = [line for block in blocks("") for line in block.splitlines() if line.startswith("$ winnow ")]


@pytest.fixture
def registries() -> Iterator[None]:
    """What a script registers is gone after it."""
    import spaces.catalog
    import spaces.laws
    import spaces.scores
    import trainers.config
    import trainers.networks

    known: tuple[dict[str, Any], ...] = (
        spaces.catalog.SPACES,
        spaces.laws.LAWS,
        spaces.scores.SCORES,
        trainers.networks.ARCHITECTURES,
        trainers.config.WEIGHT_COUNTS,
    )
    before = [dict(registry) for registry in known]
    yield
    for registry, entries in zip(known, before, strict=True):
        registry.clear()
        registry.update(entries)


@pytest.mark.parametrize("code", blocks("python"), ids=["scores", "own", "from-python", "validate", "own-code"])
@pytest.mark.usefixtures("registries")
def test_its_python_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    if "network" in names:
        import torch

        assert names["network"](torch.linspace(-1, 1, 9)[:, None]).shape == (9, 1)
    elif "scores" in names:
        assert [score.keys() for score in names["scores"]] == [{"fresh", "rankme"}] * 10
    elif "judged" in names:
        assert [setting["signals"] for setting in names["judged"]["settings"]] == [2, 2]
        assert Path("judged.png").exists()
    else:
        assert names["study"]["best"]["confirmed"]["seeds"] == 3


@pytest.mark.parametrize("line", SESSION)
def test_its_commands_are_ones_that_the_program_takes(line: str) -> None:
    _, _, name, *words = shlex.split(line, comments=True)
    command = cli.commands[name]
    with click.Context(command) as context:
        command.parse_args(context, words)


def test_its_prediction_is_what_the_command_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [block] = [block for block in blocks("") if "$ winnow predict" in block]
    command, _, expected = block.partition("\n")
    monkeypatch.setattr(sys, "argv", shlex.split(command.removeprefix("$ ")))
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out == expected


def test_its_settings_file_is_one(tmp_path: Path) -> None:
    [text] = blocks("toml")
    (tmp_path / "study.toml").write_text(text)
    assert read_spec(tmp_path / "study.toml", {}).search.trials == 48


def test_its_demo_is_what_make_demo_runs() -> None:
    [run] = [line for line in SESSION if line.startswith("$ winnow run")]
    assert f"DEMO := {run.removeprefix('$ winnow run ')}\n" in (ROOT / "Makefile").read_text()


def test_its_map_names_every_file() -> None:
    for package in ("spaces", "trainers", "search"):
        for path in (ROOT / package).glob("*.py"):
            if not path.name.startswith("__"):
                assert f"`{path.name}`" in README, path.name
