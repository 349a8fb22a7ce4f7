"""StudySpec: precedence, unknown keys, rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.config import StudySpec, read_spec
from search.errors import SpecError, redact
from trainers.signals import Crop


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


def test_command_line_wins_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, 'name = "file"\nsignals = ["a.wav"]\n[fit]\nsteps = 7\n[network]\nwidth = 9\n')
    spec = read_spec(path, {"": {"name": "line"}, "fit": {"steps": 8}})
    assert (spec.name, spec.signals, spec.fit.steps, spec.network.width) == ("line", ("a.wav",), 8, 9)
    assert spec.network.depth == StudySpec().network.depth


def test_an_unknown_key_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"^unknown key 'lr_rate' in \[fit\]; known keys: steps, lr$"):
        read_spec(write(tmp_path, "[fit]\nlr_rate = 1\n"), {})


def test_an_unknown_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"^unknown key 'fitt'; known keys: name, signals, signal, task, network"):
        read_spec(write(tmp_path, "[fitt]\nsteps = 1\n"), {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[network]\nwidth = 0", "`1 <= width` must hold, but got width=0"),
        ("[fit]\nsteps = -3", "`1 <= steps` must hold, but got steps=-3"),
        ("[fit]\nlr = 0", "`0.0 < lr` must hold, but got lr=0"),
        ("[fit]\nlr = nan", "lr must be finite, but got lr=nan"),
        ("[search]\ntrials = 0", "`1 <= trials` must hold, but got trials=0"),
        ('[search]\npruner = "median"', "pruner must be one of 'asha' or 'none', but got pruner=median"),
        ('[signal]\nstart = "soon"', "start must be a number of seconds or 'loudest', but got start=soon"),
        ("[signal]\ncrop = 0", "crop must be one to three sizes joined by x, such as 128x128, but got crop=0"),
        ("[signal]\ncrop = true", "crop must be one to three sizes joined by x, such as 128x128, but got crop=True"),
        (
            "[signal]\ncrop = [8, 8]",
            "crop must be one to three sizes joined by x, such as 128x128, but got crop=[8, 8]",
        ),
        ("[signal]\ndims = 4", "`dims <= 3` must hold, but got dims=4"),
        ('[signal]\nchannels = "left"', "channels must be one of 'mono' or 'all', but got channels=left"),
        (
            '[signal]\nkind = "video"',
            "kind must be one of 'audio', 'image', 'volume' or 'occupancy', but got kind=video",
        ),
        (
            "[workers]\ngpus_per_worker = 1.5",
            "a worker must have a share of one GPU or whole ones, but got gpus_per_worker=1.5",
        ),
        ("[workers]\ngpus_per_worker = -1", "`0.0 <= gpus_per_worker` must hold, but got gpus_per_worker=-1"),
        ('name = "../out"', "a name must begin with a letter or digit"),
        ("name = 3", "name: input should be a valid string, but got name=3"),
        ("fit = 3", "fit: input should be a valid dictionary or instance of fitsettings, but got fit=3"),
        ("steps 3", "must be TOML"),
        ("[workers]\nlanes = 'all'", "lanes must be a whole number from 1 to 4096 or 'auto', but got lanes=all"),
        ("[workers]\nlanes = 0", "lanes must be a whole number from 1 to 4096 or 'auto', but got lanes=0"),
        ("[search]\ndeterministic = true\n[workers]\nlanes = 'auto'", "deterministic studies have one lane"),
        ("[search]\ndeterministic = true\n[workers]\nlanes = 2", "deterministic studies have one lane"),
    ],
)
def test_a_broken_rule_is_said_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_spec(write(tmp_path, text), {})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("crop", ["", "x", "0", "-5", "1e3", "8.5", "8x", "x8", "8x0", "axb", "8 x 8", "8x8x8x8", "٨",
                                  "9" * 10, "8x8\n"])  # fmt: skip
def test_a_crop_that_names_no_sizes_is_refused(crop: str) -> None:
    with pytest.raises(
        SpecError, match=r"^crop must be one to three sizes joined by x, such as 128x128, but got crop="
    ):
        read_spec(None, {"signal": {"crop": crop}})


@pytest.mark.parametrize(
    ("crop", "box"), [("128x64", (128, 64)), ("8X9x10", (8, 9, 10)), ("64", (64,)), (64, (64,)), (None, None)]
)
def test_a_crop_names_samples_along_each_axis(crop: object, box: tuple[int, ...] | None) -> None:
    assert read_spec(None, {"signal": {"crop": crop}}).signal.to_crop() == Crop(box=box)


def test_every_signal_setting_reaches_the_readers() -> None:
    values = {"samples": 100, "start": "loudest", "channels": "all", "dims": 1, "kind": "audio"}
    assert read_spec(None, {"signal": values}).signal.to_crop() == Crop(**values)  # type: ignore[arg-type]


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file"):
        read_spec(tmp_path / "none.toml", {})
    with pytest.raises(SpecError, match="cannot be read"):
        read_spec(tmp_path, {})


def test_the_default_name_follows_the_settings_that_decide_results() -> None:
    def name(**search: object) -> str:
        return StudySpec.model_validate({"search": search}).default_name("20260101")

    assert name(trials=3, confirm=1) == name(trials=9)
    assert name(seed=1) != name()
    assert name().startswith("siren2-20260101-")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ada:pw@db:5432/x failed", "postgresql://***@db:5432/x failed"),
        ("http://u:p@ss@host/a b", "http://***@host/a b"),
        ("get 'https://host/api?token=s3cret&x=1' failed", "get 'https://host/api?***' failed"),
        ("sqlite:///home/a/b.db and c@d.org", "sqlite:///home/a/b.db and c@d.org"),
    ],
)
def test_credentials_are_taken_out_of_what_is_shown(text: str, shown: str) -> None:
    assert redact(text) == shown
