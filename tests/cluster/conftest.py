"""A cluster of real processes, its MLflow and its PostgreSQL; and the figures that its tests print."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from environments import build_python, build_wheel
from hosts import Network, network
from laptop import Laptop
from mlflow_server import MlflowServer
from postgres_server import PASSWORD, PostgresServer, postgres
from ray_nodes import RayNodes

FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def hosts() -> Iterator[Network]:
    with network() as made:
        yield made


@pytest.fixture(scope="session")
def pythons(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The cluster's, which lacks our packages, and the laptop's, with our wheel."""
    folder = tmp_path_factory.mktemp("pythons")
    wheel = build_wheel(folder / "wheel")
    return build_python(folder / "cluster"), build_python(folder / "laptop", wheel)


@pytest.fixture(scope="session")
def database() -> Iterator[PostgresServer]:
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mlflow(
    hosts: Network, database: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MlflowServer]:
    """MLflow with a password, runs and users in PostgreSQL, artifacts through the server; it may still start."""
    folder = tmp_path_factory.mktemp("mlflow")
    users = folder / "users.ini"
    users.write_text(
        f"[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = {database.new_database()}\n"
        "auth_cache_ttl_seconds = 300\n"  # or each request costs a slow hash
        f"admin_username = ada\nadmin_password = {PASSWORD}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    server = MlflowServer(
        folder,
        host=hosts.here.ip,
        backend=database.new_database(),
        words=["--app-name", "basic-auth", "--serve-artifacts", "--allowed-hosts", f"{hosts.here.ip}:*"],
        environment={
            "MLFLOW_AUTH_CONFIG_PATH": str(users),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
        },
    )
    server.start(wait=False)
    yield server
    server.kill()


@pytest.fixture(scope="session")
def cluster(hosts: Network, pythons: tuple[Path, Path], mlflow: MlflowServer) -> Iterator[RayNodes]:
    """A head and two nodes of one CPU each; MLflow has started too."""
    nodes = RayNodes(pythons[0], hosts)
    try:
        nodes.wait()
        mlflow.wait(240.0)
        for _ in range(2):  # one after the other: Ray gives a node 30 s to start, however busy the machine is
            nodes.wait_for(nodes.join())
        yield nodes
    finally:
        nodes.close()


@pytest.fixture(scope="session")
def laptop_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where commands run: no checkout is in it."""
    return tmp_path_factory.mktemp("laptop")


@pytest.fixture(scope="session")
def laptop(pythons: tuple[Path, Path], cluster: RayNodes, laptop_folder: Path) -> Laptop:
    user = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    return Laptop.of(pythons[1], laptop_folder, cluster.environment, **user)


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[Sequence[str]], None]:
    """Figures for the end of pytest's output, seen whatever passes."""
    return request.config.stash.setdefault(FIGURES, []).extend


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(FIGURES, [])
    if lines:
        terminalreporter.section("figures of the cluster test")
        for line in lines:
            terminalreporter.write_line(line)
