"""Networks, spaces and heuristics of one's own, from files: on the command line, inline and on Ray's actors."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from search.config import StudySpec
from search.errors import StudyError
from search.run import run_study
from search.status import find_studies
from spaces.catalog import SPACES
from spaces.laws import LAWS
from trainers.config import WEIGHT_COUNTS
from trainers.networks import ARCHITECTURES

SpecOf = Callable[..., StudySpec]
Shell = Callable[..., tuple[int, str, str]]

BRIGHT = "synthetic:bright"
UNTRACKED = {"tracking_uri": "nowhere://"}  # what this is about is not MLflow
FAST = ["--samples", "256", "--width", "8", "--depth", "2", "--steps", "8"]
RUN = [*FAST, "--trials", "4", "--confirm", "1", "--tracking-uri", "nowhere://", "--json"]

PLUGIN = """
import torch
from torch import nn

from spaces.catalog import register_space
from spaces.laws import OwnLaw, register_law
from spaces.parameters import POSITIVE, Float
from spaces.space import Space
from trainers.modules import module_architecture
from trainers.networks import register_architecture


class Tiny(nn.Module):
    def __init__(self, dims, channels, width, depth, w):
        super().__init__()
        self.first, self.last, self.w = nn.Linear(dims, width), nn.Linear(width, channels), w

    def forward(self, x):
        return self.last(torch.sin(self.w * self.first(x)))


def tiny_space(spectrum, width):
    w = Float(name="w", low=10.0, high=spectrum.nyquist_rad, log=True, domain=POSITIVE)
    lr = Float(name="lr", low=1e-4, high=1e-2, log=True, domain=POSITIVE)
    return Space(name="tiny", architecture="tiny", parameters=(w, lr), defaults={"w": 30.0, "lr": 1e-3})


register_architecture("tiny", module_architecture(Tiny, {"w": 30.0}))
register_space("tiny", tiny_space)
half = OwnLaw(name="half", rule=lambda spectrum, width: {"w": spectrum.nyquist_rad / 2}, space="tiny")
register_law("half", half)
print("a plugin may print")
"""


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """What a test registers is gone after it."""
    known: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (each, dict(each)) for each in (SPACES, LAWS, ARCHITECTURES, WEIGHT_COUNTS)
    ]
    yield
    for registry, before in known:
        registry.clear()
        registry.update(before)
    for name in [name for name in sys.modules if name.startswith("winnow_plugin_")]:
        del sys.modules[name]


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(PLUGIN)
    return path


def test_a_plugin_s_network_space_and_heuristic_are_searched_inline_and_on_ray(
    shell: Shell, plugin: Path, local_ray: None
) -> None:
    own = ["--plugin", str(plugin), "--space", "tiny", "--heuristic", "half", "--deterministic"]
    documents = []
    for workers in ("0", "2"):
        code, out, err = shell("run", BRIGHT, *own, *RUN, "--workers", workers, "--store", workers)
        assert (code, "a plugin may print" in err) == (0, workers == "0")  # it is run once a process
        [summary] = json.loads(out)["studies"]
        documents.append(summary)
    inline, ray = documents
    assert inline["best"]["params"].keys() == {"w", "lr"}
    assert inline["trials"]["failed"] == 0
    assert inline["references"]["half"]["space"] == "tiny"
    assert inline["references"]["half"]["params"]["w"] == pytest.approx(0.25 * 3.141592653589793 * 255)
    assert set(inline["references"]) == {"siren-30", "siren-3000", "half", "tiny-default"}
    for key in ("trials", "best", "steps"):
        assert ray[key] == inline[key]
    assert {n: r["psnr_db"] for n, r in ray["references"].items()} == {
        name: reference["psnr_db"] for name, reference in inline["references"].items()
    }


def test_predict_and_fit_know_a_plugin_too(shell: Shell, plugin: Path) -> None:
    words = ["--plugin", str(plugin), "--space", "tiny", "--samples", "256"]
    code, out, _ = shell("predict", BRIGHT, *words, "--json")
    assert code == 0
    predicted = json.loads(out)["signals"][0]["predictions"]
    assert set(predicted) == {"winner", "bandwidth", "half"}
    sizes = ["--width", "8", "--depth", "2", "--steps", "5"]
    code, out, _ = shell("fit", BRIGHT, *words, *sizes, "--heuristic", "half", "--json")
    assert code == 0
    assert json.loads(out)["params"] == {**predicted["half"], "lr": 1e-3}
    code, _, err = shell("run", BRIGHT, *RUN, "--workers", "0", "--plugin", str(plugin), "--space", "no")
    assert (code, err.splitlines()[-1].split("known spaces: ")[1].split(", ")[-1]) == (2, "tiny")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none.py", None, "a plugin must be a Python file, but got {path}: No such file or directory"),
        ("folder.py", "", "a plugin must be a Python file, but got {path}: Is a directory"),
        ("own.txt", "x = 1", "a plugin must be a Python file, but got {path}"),
        ("syntax.py", "def (:\n", "{path}: the plugin raised SyntaxError: invalid syntax"),
        ("binary.py", "\0\1\2", "{path}: the plugin raised"),
        ("raises.py", "raise RuntimeError('no\\nway')", "{path}: the plugin raised RuntimeError: no"),
        ("exits.py", "import sys\nsys.exit(0)", "{path}: the plugin raised SystemExit: 0"),
        ("imports.py", "import no_such_module", "{path}: the plugin raised ModuleNotFoundError"),
    ],
)
@pytest.mark.parametrize("command", ["run", "fit", "predict"])
def test_a_plugin_that_cannot_be_used_is_one_line_and_exit_2(
    shell: Shell, tmp_path: Path, command: str, name: str, text: str | None, message: str
) -> None:
    path = tmp_path / name
    if name == "folder.py":
        path.mkdir()
    elif text is not None:
        path.write_text(text)
    code, out, err = shell(command, BRIGHT, "--plugin", str(path))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: " + message.format(path=path))
    assert list(Path.cwd().iterdir()) == []


def test_a_plugin_that_changed_is_another_experiment(small_spec: SpecOf, plugin: Path) -> None:
    search = {"space": "tiny", "trials": 2, "confirm": 0, "plugin": (plugin,)}
    spec = small_spec(search=search, store=UNTRACKED)
    run_study(spec)
    plugin.write_text(PLUGIN.replace("torch.sin", "torch.cos") + "# longer\n")
    with pytest.raises(StudyError, match=r"holds another experiment.*plugin_sha256"):
        run_study(spec)
    # Under another name it is the program that the file now holds.
    changed = small_spec(name="changed", search=search, store=UNTRACKED)
    run_study(changed)
    first, second = ([r.psnr_db for r in study.trials()] for study in find_studies(spec.store.store, None, None))
    assert first != second


def test_a_plugin_may_stand_in_a_settings_file(shell: Shell, plugin: Path) -> None:
    Path("study.toml").write_text(f'[search]\nspace = "tiny"\nplugin = ["{plugin}"]\n')
    code, out, err = shell("run", BRIGHT, *RUN, "--workers", "0", "--config", "study.toml")
    assert code == 0, err
    assert json.loads(out)["studies"][0]["space"] == "tiny"
