"""The winner as a model of MLflow: loaded where winnow is not, replaced by a new one, registered once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mirror import assert_mlflow_equals_storage, everything, parents_of
from mlflow import MlflowClient
from mlflow_server import MlflowServer, Proxy

from search.config import StudySpec
from search.connection import default_tracking_uri
from search.folder import RECIPE, TARGET, WEIGHTS, study_folder
from search.logged_model import models_of
from search.run import run_study
from search.status import find_studies
from search.sync import sync_studies
from trainers.checkpoint import pack, unpack

Shell = Callable[..., tuple[int, str, str]]

ELSEWHERE = """
import json, sys
sys.path.append(sys.argv[1])  # the packages, without the .pth file that would bring winnow with them
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[2])
model = mlflow.pyfunc.load_model(sys.argv[3])
target = np.load(sys.argv[4])
output = model.predict(np.linspace(-1, 1, len(target))[:, None].astype(np.float32))
try:
    model.predict(np.zeros((3, 2), np.float32))
    refused = ""
except Exception as error:
    refused = str(error)
print(json.dumps({
    "psnr_db": 10 * np.log10(1 / np.mean((output - target) ** 2)).item(), "dtype": str(output.dtype),
    "shape": output.shape, "example": model.predict(model.input_example).shape, "refused": refused,
    "ours": sorted({"search", "spaces", "trainers"} & sys.modules.keys()),
}))
"""


class Studied:
    """A finished study, and what MLflow has of it."""

    def __init__(self, spec: StudySpec) -> None:
        self.store = spec.store.store
        run_study(spec)
        [self.study] = find_studies(self.store, None, "small")
        self.folder = study_folder(self.store, self.study.name)
        self.recipe = json.loads((self.folder / RECIPE).read_bytes())
        self.uri = default_tracking_uri(self.store)

    def sync(self, uri: str) -> dict[str, Any]:
        [entry] = sync_studies(self.store, None, "small", uri)["studies"]
        return dict(entry)

    def models(self, uri: str) -> list[Any]:
        client = MlflowClient(uri)
        [parent] = parents_of(client, self.study)
        return models_of(client, parent.info.experiment_id, self.study.facts("id"))


@pytest.fixture(scope="module")
def studied(shared_spec: Callable[..., StudySpec]) -> Studied:
    return Studied(shared_spec())


@pytest.fixture
def proxy(server: MlflowServer) -> Iterator[Proxy]:
    running = Proxy(server.port)
    yield running
    running.close()


def test_it_is_an_output_of_the_studys_run_with_point_and_scores(studied: Studied) -> None:
    [model] = studied.models(studied.uri)
    [parent] = parents_of(MlflowClient(studied.uri), studied.study)
    assert [output.model_id for output in parent.outputs.model_outputs] == [model.model_id]
    assert (model.source_run_id, str(model.status)) == (parent.info.run_id, "READY")
    assert float(model.params["s0"]) == studied.recipe["point"]["s0"]
    metrics = {metric.key: metric.value for metric in model.metrics}
    assert metrics["winner_psnr_db"] == studied.recipe["psnr_db"]
    shared = {key: value for key, value in parent.data.metrics.items() if key.startswith(("confirmed_", "regret_db"))}
    assert metrics.items() >= shared.items() >= {"confirmed_psnr_db": metrics["confirmed_psnr_db"]}.items()
    assert f'load_model("models:/{model.model_id}")' in model.tags["mlflow.note.content"]
    kept = [path.suffix for path in Path(model.artifact_location.removeprefix("file://")).rglob("*") if path.is_file()]
    assert sorted(kept) == ["", ".json", ".json", ".json", ".py", ".safetensors", ".txt", ".yaml"]


def test_where_winnow_is_not_it_gives_the_winners_reconstruction(studied: Studied) -> None:
    [model] = studied.models(studied.uri)
    packages = str(Path(mlflow.__file__).parents[1])
    words = [packages, studied.uri, f"models:/{model.model_id}", str(studied.folder / TARGET)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", ELSEWHERE, *words], env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found.pop("psnr_db") == pytest.approx(studied.recipe["psnr_db"], abs=1e-3)
    assert "does not match expected shape (-1, 1)" in found.pop("refused")
    assert found == {"dtype": "float32", "shape": [400, 1], "example": [5, 1], "ours": []}


def test_a_new_winner_replaces_it_and_one_that_is_registered_stays(
    studied: Studied, tmp_path: Path, shell: Shell
) -> None:
    uri = f"sqlite:///{tmp_path}/other.db"
    first = studied.sync(uri)["model_id"]
    weights = studied.folder / WEIGHTS
    before = weights.read_bytes()
    arrays, facts = unpack(before)
    arrays = {name: 0.5 * array for name, array in arrays.items()}
    try:
        weights.write_bytes(pack(arrays, facts))
        second = studied.sync(uri)["model_id"]
        assert [model.model_id for model in studied.models(uri)] == [second] != [first]
        assert_mlflow_equals_storage(uri, studied.study, studied.store)
        words = ["register", "small", "--model", "my.clip", "--store", str(studied.store), "--tracking-uri", uri]
        registered = json.loads(shell(*words, "--json")[1])
        assert registered.items() >= {"model": "my.clip", "version": 1, "new": True, "model_id": second}.items()
        weights.write_bytes(before)
        third = studied.sync(uri)["model_id"]
        assert {model.model_id for model in studied.models(uri)} == {second, third}
        history = everything(uri, studied.study)
        studied.sync(uri)
        assert everything(uri, studied.study) == history
        is_said = [shell(*words)[1].splitlines()[0] for _ in range(2)]
        said = f"{studied.study.name}: version 2 of my.clip"
        assert is_said == [said, f"{said}, which was there already"]
        grid = np.linspace(-1, 1, 9, dtype=np.float32)[:, None]
        versions = {version.version: version for version in MlflowClient(uri).search_model_versions()}
        halved, whole = (mlflow.pyfunc.load_model(versions[number].source).predict(grid) for number in (1, 2))
        assert not np.allclose(halved, whole)
        tags = versions[2].tags
        assert tags["winnow.study"] == studied.study.name
        assert tags["confirmed_psnr_db"] == f"{studied.recipe['confirmed']['mean_psnr_db']:.2f}"
        assert tags["winner_psnr_db"] == f"{studied.recipe['psnr_db']:.2f}"
        assert float(tags["regret_db"]) == pytest.approx(
            min(
                metric.value
                for metric in studied.models(uri)[0].metrics
                if metric.key in ("regret_db_winner", "regret_db_bandwidth")
            ),
            abs=0.01,
        )
    finally:
        weights.write_bytes(before)


def test_a_server_gets_it_and_one_that_has_no_models_gets_all_else(
    studied: Studied, server: MlflowServer, proxy: Proxy, shell: Shell
) -> None:
    proxy.status = 404
    proxy.refuses = lambda method, path: "logged-models" in path
    entry = studied.sync(proxy.uri)
    assert entry["model_id"] is None
    assert "the server takes none" in entry["warning"]
    [parent] = parents_of(MlflowClient(server.uri), studied.study)
    assert parent.info.status == "FINISHED"
    words = ["--store", str(studied.store), "--tracking-uri", proxy.uri]
    code, out, err = shell("sync", "small", *words)
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith("warning: its model is not shown: the server takes none")
    code, out, err = shell("register", "small", *words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    proxy.refuses = lambda method, path: False
    assert studied.sync(proxy.uri)["warning"] is None
    assert_mlflow_equals_storage(server.uri, studied.study, studied.store)
    code, out, err = shell("register", "small", *words, "--json")
    assert json.loads(out)["new"] is True


def test_a_damaged_winner_costs_the_model_alone(studied: Studied, tmp_path: Path, shell: Shell) -> None:
    uri = f"sqlite:///{tmp_path}/other.db"
    recipe = studied.folder / RECIPE
    before = recipe.read_bytes()
    try:
        recipe.write_bytes(before[:-10])
        entry = studied.sync(uri)
        code, out, err = shell("register", "small", "--store", str(studied.store), "--tracking-uri", uri)
    finally:
        recipe.write_bytes(before)
    assert entry.items() >= {"model_id": None, "status": "FINISHED"}.items()
    assert "recipe.json is damaged" in entry["warning"]
    assert (code, out) == (1, "")
    assert "recipe.json is damaged" in err.splitlines()[-1]
    assert studied.models(uri) == []


def test_what_cannot_be_registered_is_refused_in_one_line(studied: Studied, shell: Shell) -> None:
    words = ["--store", str(studied.store)]
    for arguments, rule in {
        ("nobody",): "there is no study 'nobody'",
        ("small", "--model", "a/b"): "a model's name must begin with a letter or digit",
    }.items():
        code, out, err = shell("register", *arguments, *words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert rule in err
