"""README and docs/ keep their word: their Python runs, their commands and settings are taken, their map is whole."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import soundfile

from search.cli import cli, main
from search.config import StudySpec, read_spec
from search.run import run_study
from search.status import export_winner

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
README = PAGES["README.md"]

RECORDING = Path("/usr/share/sounds/alsa/Front_Center.wav")
"""The tutorial's; Debian's alsa-utils has it."""


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    lines = [line for block in blocks(page, "console") for line in block.replace("\\\n", " ").splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


COMMANDS = sorted({line for page in PAGES for line in commands(page) if line.startswith("winnow ")})


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    for page, text in PAGES.items():
        fences = re.findall(r"^```(.*)$", text, re.MULTILINE)
        opened = {fence for fence in fences[::2] if not fence.startswith("{")}
        assert opened <= {"python", "console", "toml", "text"}, page
        assert set(fences[1::2]) <= {""}, page


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


def is_a_network(names: dict[str, Any]) -> bool:
    import torch

    return bool(names["network"](torch.linspace(-1, 1, 9)[:, None]).shape == (9, 1))


CHECKS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "docs/how-to/held-out.md": lambda names: len(names["study"]["front"]) > 0,
    "docs/how-to/laws.md": lambda names: names["law"].spell()[0] == "B / Nyquist = 0.5 psi^1, at most 1",
    "docs/how-to/own-code.md": is_a_network,
    "docs/how-to/python.md": lambda names: (
        names["study"]["best"]["confirmed"]["seeds"] == 3 and Path("regrets.png").exists()
    ),
    "docs/how-to/signals.md": lambda names: names["said"]["signals"][0]["samples"] == 4096,
    "docs/how-to/spaces.md": lambda names: (
        names["study"]["best"]["confirmed"]["seeds"] == 3
        and [score.keys() for score in names["scores"]] == [{"fresh", "rankme"}] * 10
    ),
    "docs/how-to/validate.md": lambda names: (
        [setting["signals"] for setting in names["judged"]["settings"]] == [2, 2] and Path("judged.png").exists()
    ),
    "docs/tutorial.md": lambda names: (
        names["fitted"]["psnr_db"][0] > 0 and soundfile.info("finer.wav").frames == names["finer"].shape[0] == 12_286
    ),
}
"""By page with Python: what holds when its blocks have run, one after the other."""


def test_every_page_with_python_has_a_check() -> None:
    assert {page for page in PAGES if blocks(page, "python")} == CHECKS.keys()


def write_stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise for the tutorial's recording, and for its winner one of a search of two steps."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 68_545)
    soundfile.write("Front_Center.wav", noise, 48_000)
    spec = StudySpec(
        name="speech",
        signals=("Front_Center.wav",),
        signal={"samples": 4096, "start": "loudest"},
        network={"width": 64},
        fit={"steps": 2},
        search={"trials": 1, "confirm": 0, "pruner": "none"},
        workers={"workers": 0},
        store={"tracking_uri": "nowhere://"},
    )
    run_study(spec)
    export_winner(spec.store.store, None, "speech", Path("winner"))
    monkeypatch.setattr(sys, "path", [*sys.path])  # the tutorial imports the snippet
    monkeypatch.delitem(sys.modules, "snippet", raising=False)


@pytest.mark.parametrize("page", CHECKS)
@pytest.mark.usefixtures("registries")
def test_its_python_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if page == "docs/tutorial.md":
        write_stand_ins(monkeypatch)
    names: dict[str, Any] = {"__name__": "docs"}
    for code in blocks(page, "python"):
        exec(compile(code, page, "exec"), names)
    assert CHECKS[page](names)


@pytest.mark.parametrize("line", COMMANDS)
def test_its_commands_are_ones_that_the_program_takes(line: str) -> None:
    _, name, *words = shlex.split(line, comments=True)
    command = cli.commands[name]
    with click.Context(command) as context:
        command.parse_args(context, words)


@pytest.mark.parametrize("page", PAGES)
def test_what_it_tells_to_run_is_there(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^\$ )make ([a-z-]+)", PAGES[page], re.MULTILINE):
        assert f"\n{target}:" in makefile, target
    for script in re.findall(r"python (tests/\S+\.py)", PAGES[page]):
        assert (ROOT / script).is_file(), script


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")])
def test_its_settings_files_are_taken(page: str, tmp_path: Path) -> None:
    for text in blocks(page, "toml"):
        (tmp_path / "study.toml").write_text(text)
        assert read_spec(tmp_path / "study.toml", {}).name


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        pytest.param(
            "docs/tutorial.md", marks=pytest.mark.skipif(not RECORDING.exists(), reason="needs Debian's alsa-utils")
        ),
    ],
)
def test_its_prediction_is_what_the_command_prints(
    page: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(RECORDING.parent if page == "docs/tutorial.md" else ROOT)
    [block] = [block for block in blocks(page, "console") if "$ winnow predict" in block]
    command, _, expected = block.partition("\n")
    monkeypatch.setattr(sys, "argv", shlex.split(command.removeprefix("$ ")))
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out == expected


def test_the_session_of_the_readme_is_what_make_demo_runs() -> None:
    [run] = [line for line in commands("README.md") if line.startswith("winnow run") and "--name demo" in line]
    assert f"DEMO := {run.removeprefix('winnow run ')}\n" in (ROOT / "Makefile").read_text()


def test_the_map_of_the_readme_names_every_file() -> None:
    for package in ("spaces", "trainers", "search"):
        for path in (ROOT / package).glob("*.py"):
            if not path.name.startswith("__"):
                assert f"`{path.name}`" in README, path.name
