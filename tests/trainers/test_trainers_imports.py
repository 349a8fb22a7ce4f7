import subprocess
import sys

import pytest

TORCH_FREE = [
    "signals",
    "crops",
    "scaling",
    "audio",
    "images",
    "arrays",
    "synthetic",
    "tasks",
    "config",
    "checkpoint",
    "metrics",
]


def heavy_modules_after(statements: str) -> str:
    script = (
        f"import sys\n{statements}\n"
        "print(sorted({'torch', 'ray', 'optuna', 'mlflow', 'matplotlib', 'search'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("name", TORCH_FREE)
def test_importing_it_does_not_import_torch(name: str) -> None:
    assert heavy_modules_after(f"import trainers.{name}") == "[]"


def test_reading_a_signal_and_asking_the_laws_does_not_import_torch() -> None:
    statements = (
        "from spaces.catalog import build_space\n"
        "from trainers.signals import read_signal\n"
        "from trainers.tasks import build_task\n"
        "signal = read_signal('synthetic:tone')\n"
        "build_task(signal)\n"
        "build_space('siren2', signal.spectrum(), width=64).complete({})"
    )
    assert heavy_modules_after(statements) == "[]"


def test_a_fit_imports_torch_and_nothing_of_the_search() -> None:
    assert heavy_modules_after("import trainers.fit") == "['torch']"
