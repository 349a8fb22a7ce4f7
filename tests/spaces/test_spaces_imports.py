import pkgutil
import subprocess
import sys

import spaces


def test_nothing_in_spaces_imports_torch_or_the_packages_above() -> None:
    modules = [f"spaces.{module.name}" for module in pkgutil.iter_modules(spaces.__path__)]
    assert "spaces.catalog" in modules
    script = (
        f"import sys, {', '.join(modules)}\n"
        "heavy = {'torch', 'ray', 'optuna', 'mlflow', 'soundfile', 'trainers', 'search'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
