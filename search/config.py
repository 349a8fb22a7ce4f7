"""StudySpec: what a user asks for, from a TOML file and the command line; validated, unknown keys refused."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from search.errors import SpecError

if TYPE_CHECKING:
    from trainers.signals import Crop
    from trainers.tasks import TaskConfig

CROP_PATTERN = r"[1-9][0-9]{0,8}(x[1-9][0-9]{0,8}){0,2}"
"""`--crop`: samples along each axis, or along all of them; Crop knows which grid it meets."""

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}"
"""Names become folders of the store, parts of study names and MLflow experiments."""

MLFLOWS_OWN = "Default"
"""The experiment that each MLflow has, for runs of anybody's."""

JUDGING_SEEDS = 8
"""Fresh seeds where heuristics are judged."""

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"

LABEL_PATTERN = rf"(?:[A-Za-z0-9.-]+/)?{_LABEL}=!?(?:{_LABEL}|in\({_LABEL}(?:, ?{_LABEL})*\))"
"""`--label-selector`: Kubernetes' syntax of labels, and Ray's of what is asked of them."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _is_a_truth_where_one_is_asked(cls, value: object, info: ValidationInfo) -> object:
        """Pydantic takes true for 1 and "no" for false."""
        is_asked = cls.model_fields[str(info.field_name)].annotation is bool
        if isinstance(value, bool) is not is_asked and (is_asked or isinstance(value, bool)):
            raise ValueError(f"{info.field_name} must {'' if is_asked else 'not '}be true or false")
        return value


class SignalSettings(_Section):
    """Which samples are fitted."""

    samples: int | None = Field(None, ge=1, description="samples to fit (all unless given)")
    start: float | Literal["loudest"] | None = Field(
        None, description="seconds from the beginning, or 'loudest' (the middle unless given)"
    )
    crop: str | None = Field(
        None, description="samples of an image or volume to fit, from its middle: 128x128, or 64 along every axis"
    )
    channels: Literal["mono", "all"] | None = Field(
        None, description="of a recording: their mean, or all of them (mono unless given)"
    )
    dims: int | None = Field(
        None, ge=1, le=3, description="leading axes of an array that are its grid (told by its shape unless given)"
    )
    kind: Literal["audio", "image", "volume", "occupancy"] | None = Field(
        None, description="of an array (told by its grid unless given)"
    )

    @field_validator("crop", mode="before")
    @classmethod
    def _is_sizes(cls, crop: object) -> object:
        text = str(crop).lower() if isinstance(crop, (int, str)) else ""
        if crop is not None and not re.fullmatch(CROP_PATTERN, text):
            raise ValueError("crop must be one to three sizes joined by x, such as 128x128")
        return None if crop is None else text

    def to_crop(self) -> Crop:
        """What the readers take."""
        from trainers.signals import Crop

        box = tuple(int(size) for size in self.crop.split("x")) if self.crop else None
        return Crop(
            samples=self.samples, start=self.start, box=box, channels=self.channels, dims=self.dims, kind=self.kind
        )


class TaskSettings(_Section):
    """What of the signal is trained on; each option says which tasks look at it."""

    task: Literal["fit", "holdout", "upsample", "denoise", "inpaint"] | None = Field(
        None,
        description="what is trained on (fit, or holdout where the objective needs held-out samples, unless given)",
    )
    holdout: float = Field(0.1, gt=0, lt=1, description="share of the samples held out (holdout, inpaint)")
    pattern: Literal["random", "every"] = Field(
        "random", description="held-out samples: random, or every k-th with k = 1 / holdout (holdout)"
    )
    factor: int = Field(2, ge=2, le=1024, description="train on every so many samples along each axis (upsample)")
    noise_db: float = Field(
        20.0, ge=-60, le=200, description="signal-to-noise ratio in dB of what is trained on (denoise)"
    )
    gap: int | None = Field(
        None, ge=1, description="samples of a gap along each axis (inpaint; a 64th of a recording unless given)"
    )


class NetworkSettings(_Section):
    """The network's size."""

    width: int = Field(128, ge=1, le=8192, description="features of a hidden layer")
    depth: int = Field(4, ge=2, le=64, description="hidden layers")
    max_weights: int | None = Field(
        None,
        ge=1,
        le=10**9,
        description="searches width and depth too, of networks with at most so many weights and biases",
    )


class FitSettings(_Section):
    """How long and how fast one network is trained."""

    steps: int = Field(500, ge=1, le=10_000_000, description="full-batch Adam steps of a fit")
    lr: float | None = Field(None, gt=0, le=1e3, description="fixes the learning rate instead of searching it")


class SearchSettings(_Section):
    """What is searched, and against what."""

    space: str = Field(
        "siren2",
        description="one of: siren, siren2, ws-siren, finer, fourier, positional, gauss, wire, siren-rff, any",
    )
    objective: Literal["fit", "holdout", "both"] = Field(
        "fit", description="PSNR that is maximised: on the trained samples (fit), the held-out ones (holdout), or both"
    )
    coordinates: Literal["ridge", "plain"] = Field(
        "ridge", description="what the sampler draws: the bandwidth (ridge) or the parameters (plain)"
    )
    heuristic: tuple[str, ...] = Field(
        (),
        description="prediction to compare with: a law, a law's JSON file, fresh, or laws for all that apply; "
        "repeatable (laws unless given)",
    )
    beyond_domain: bool = Field(
        False, description="let calibrated laws that are named speak outside the domain that they were calibrated on"
    )
    plugin: tuple[Path, ...] = Field(
        (), description="Python file that registers networks, spaces or heuristics of your own; repeatable"
    )
    trials: int = Field(64, ge=1, le=1_000_000, description="points to propose")
    pruner: Literal["asha", "none"] = Field("asha", description="stop weak trials at rungs, or none")
    confirm: int = Field(5, ge=0, le=1000, description="fresh seeds that confirm the result; 0 skips")
    confirm_untuned: bool = Field(
        False, description="confirm predictions that leave the learning rate open at the papers' 1e-4 too"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of the study")
    diagnose: bool = Field(
        False, description="log spectra by layer and of the tangent kernel, at start and end, of each trial that ends"
    )
    deterministic: bool = Field(False, description="same table of trials for any number of workers (CPU)")


class WorkerSettings(_Section):
    """Who fits."""

    workers: int | None = Field(
        None, ge=0, le=100_000, description="Ray actors (one per CPU or GPU unless given); 0 runs without Ray"
    )
    cpu_workers: int = Field(
        0, ge=0, le=100_000, description="Ray actors beside these that fit on CPUs alone, where others have GPUs"
    )
    cpus_per_worker: int = Field(1, ge=1, le=4096, description="CPUs, and threads, of each worker")
    gpus_per_worker: float | None = Field(
        None, ge=0, le=64, description="GPUs of each worker, fractions allowed (1 where there are GPUs unless given)"
    )
    label_selector: tuple[str, ...] = Field(
        (), description="nodes that workers may run on, KEY=VALUE of their labels (VALUE, !VALUE, in(A,B)); repeatable"
    )
    lanes: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = Field(
        1, description="trials that a worker fits side by side, or 'auto' to measure how many pay"
    )
    lease: float = Field(
        300.0, gt=0, le=86_400, description="seconds after which a worker that does not answer is replaced"
    )
    system_metrics: bool = Field(
        False, description="have workers report CPU, memory and GPU, which MLflow shows on the study's run"
    )
    address: str | None = Field(None, description="of a running Ray cluster, host:port or ray://host:port")

    @field_validator("label_selector")
    @classmethod
    def _selects_by_labels(cls, selectors: tuple[str, ...]) -> tuple[str, ...]:
        for selector in selectors:
            if not re.fullmatch(LABEL_PATTERN, selector):
                raise ValueError("a label selector must be KEY=VALUE, KEY=!VALUE or KEY=in(A,B)")
        return selectors

    @field_validator("gpus_per_worker")
    @classmethod
    def _is_share_or_whole(cls, gpus: float | None) -> float | None:
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise ValueError("a worker must have a share of one GPU or whole ones")
        return gpus

    @model_validator(mode="after")
    def _beside_others(self) -> Self:
        if self.workers == 0 and self.cpu_workers:
            raise ValueError(f"workers 0 runs without Ray and its actors, but got cpu_workers={self.cpu_workers}")
        return self

    @property
    def labels(self) -> dict[str, str]:
        """The selector's value by label."""
        pairs = (selector.partition("=") for selector in self.label_selector)
        return {key: value for key, _, value in pairs}

    @property
    def first_lanes(self) -> int:
        """Lanes that a pool begins with; it settles on others where they are to be measured."""
        return 1 if self.lanes == "auto" else self.lanes


class StoreSettings(_Section):
    """Where everything is kept."""

    store: Path = Field(Path("winnow-store"), description="folder of studies, journal and MLflow's database")
    storage: str | None = Field(None, description="Optuna storage URL in place of the store's journal")
    checkpoints: str | None = Field(
        None, description="folder or fsspec URL of running trials' states, in place of the store"
    )
    checkpoint_seconds: float = Field(
        20.0, gt=0, le=86_400, description="seconds after which a running trial's state is worth keeping"
    )
    tracking_uri: str | None = Field(None, description="MLflow server in place of the store's database")


class StudySpec(_Section):
    """All that `winnow run` needs; one section a table of the TOML file."""

    name: str | None = Field(None, description="of the campaign (space and date unless given)")
    signals: tuple[str, ...] = Field((), description="files or synthetic:NAME")
    signal: SignalSettings = SignalSettings()
    task: TaskSettings = TaskSettings()
    network: NetworkSettings = NetworkSettings()
    fit: FitSettings = FitSettings()
    search: SearchSettings = SearchSettings()
    workers: WorkerSettings = WorkerSettings()
    store: StoreSettings = StoreSettings()

    @field_validator("name")
    @classmethod
    def _stays_in_the_store(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(NAME_PATTERN, name):
            raise ValueError("a name must begin with a letter or digit and hold only those, '.', '_' and '-'")
        if name == MLFLOWS_OWN:
            raise ValueError(f"a name must not be {MLFLOWS_OWN}, which is MLflow's own experiment")
        return name

    @model_validator(mode="after")
    def _deterministic_has_one_lane(self) -> Self:
        if self.search.deterministic and self.workers.lanes != 1:
            raise ValueError(
                "deterministic studies have one lane, as stacked matrix products round otherwise, "
                f"but got lanes={self.workers.lanes}"
            )
        return self

    @model_validator(mode="after")
    def _held_out_samples_need_a_task(self) -> Self:
        if self.search.objective != "fit" and self.task.task == "fit":
            raise ValueError(
                f"objective {self.search.objective} needs a task that holds samples out "
                "(holdout, upsample, denoise, inpaint), but got task=fit"
            )
        return self

    @property
    def task_config(self) -> TaskConfig:
        """The task with its options."""
        from trainers.tasks import TaskConfig

        name = self.task.task or ("fit" if self.search.objective == "fit" else "holdout")
        return TaskConfig(name=name, **self.task.model_dump(exclude={"task"}))

    @property
    def idle_task_options(self) -> list[str]:
        """A line for each option of a task that was given, though this task does not look at it."""
        task = self.task_config
        idle = sorted(self.task.model_fields_set - {"task", *task.options()})
        return [f"--{name.replace('_', '-')} has no effect on task {task.name}" for name in idle]

    def settings_fingerprint(self) -> dict[str, Any]:
        """The settings that decide the results of a study; others may change when it is resumed."""
        search = self.search.model_dump(mode="json")
        free = ("trials", "confirm", "confirm_untuned", "heuristic", "beyond_domain", "plugin", "diagnose")
        return {
            **self.signal.model_dump(mode="json"),
            "task": self.task_config.name,
            **self.task_config.options(),
            **self.network.model_dump(mode="json"),
            **self.fit.model_dump(mode="json"),
            **{key: value for key, value in search.items() if key not in free},
        }

    def for_judging(self) -> StudySpec:
        """`JUDGING_SEEDS` and, for the final PSNR of all trials, no pruner, unless the search says otherwise."""
        given = self.search.model_fields_set
        defaults: dict[str, Any] = {"pruner": "none", "confirm": JUDGING_SEEDS}
        update = {key: value for key, value in defaults.items() if key not in given}
        return self.model_copy(update={"search": self.search.model_copy(update=update)})

    def default_name(self, date: str) -> str:
        """`<space>-<date>-<4 digits>`: the digits are of the settings, so that other settings get another name."""
        text = json.dumps(self.settings_fingerprint(), sort_keys=True)
        return f"{self.search.space}-{date}-{hashlib.sha256(text.encode()).hexdigest()[:4]}"


SECTIONS: Mapping[str, type[_Section]] = {
    "signal": SignalSettings,
    "task": TaskSettings,
    "network": NetworkSettings,
    "fit": FitSettings,
    "search": SearchSettings,
    "workers": WorkerSettings,
    "store": StoreSettings,
}


def read_spec(path: Path | None, given: Mapping[str, Mapping[str, Any]]) -> StudySpec:
    """A StudySpec from a TOML file (or none) and what the command line gave, which wins.

    Args:
        path: a file with keys of StudySpec and tables named after its sections.
        given: section to key to value; the section "" holds `name` and `signals`.

    Raises:
        SpecError: unreadable file, unknown key, or a value that breaks its rule.
    """
    data: dict[str, Any] = _read_toml(path) if path else {}
    for section, values in given.items():
        target = data if section == "" else data.setdefault(section, {})
        if not isinstance(target, dict):
            raise SpecError(f"{path}: [{section}] must be a table, but got {target!r}")
        target.update(values)
    try:
        return StudySpec.model_validate(data)
    except ValidationError as error:
        raise SpecError(_first_rule(error)) from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        if path.exists() and not path.is_file():  # a pipe would wait, a device may never end
            raise SpecError(f"{path}: cannot be read: a config must be a regular file")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read: {error}") from error
    except RecursionError:
        raise SpecError(f"{path}: must be TOML, but: it is nested too deeply") from None
    except ValueError as error:  # a TOMLDecodeError, or Python's own of a number with thousands of digits
        raise SpecError(f"{path}: must be TOML, but: {error}") from error


_RULES: Mapping[str, str] = {
    "greater_than_equal": "`{ge} <= {key}` must hold",
    "greater_than": "`{gt} < {key}` must hold",
    "less_than_equal": "`{key} <= {le}` must hold",
    "less_than": "`{key} < {lt}` must hold",
    "literal_error": "{key} must be one of {expected}",
    "finite_number": "{key} must be finite",
}


def _first_rule(error: ValidationError) -> str:
    """The first broken rule as one line: the rule, then what came."""
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    if first["type"] == "value_error":  # a rule of our own, said in full
        rule = str(first["ctx"]["error"])
        return f"{rule}, but got {location[-1]}={first['input']!r}" if location else rule  # several fields: it says all
    section = location[0] if location[0] in SECTIONS and len(location) > 1 else ""
    key = location[1] if section else location[0]
    if first["type"] == "extra_forbidden":
        model = SECTIONS[section] if section else StudySpec
        where = f" in [{section}]" if section else ""
        return f"unknown key {key!r}{where}; known keys: {', '.join(model.model_fields)}"
    if key == "start":
        return f"start must be a number of seconds or 'loudest', but got start={first['input']}"
    if key == "lanes":
        return f"lanes must be a whole number from 1 to 4096 or 'auto', but got lanes={first['input']}"
    template = _RULES.get(first["type"])
    rule = template.format(key=key, **first.get("ctx", {})) if template else f"{key}: {first['msg'].lower()}"
    return f"{rule}, but got {key}={first['input']}"
