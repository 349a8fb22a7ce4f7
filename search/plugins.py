"""Networks, spaces, heuristics and scores of the user's own: files to load, and what must reach the workers."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from search.errors import UsageError, first_line

if TYPE_CHECKING:
    from trainers.networks import Architecture


def load_plugins(paths: Sequence[Path]) -> None:
    """Run files that call `register_architecture`, `register_space`, `register_law` or `register_score`.

    They are programs, and run with all rights of this one: load only what you would run. A file is run once a
    process, and anew once its content has changed. What it prints goes to stderr: stdout may be a document.

    Raises:
        UsageError: a file that cannot be read or is no Python, or it raised.
    """
    for path in paths:
        name = _module_name(path)
        if name in sys.modules:
            continue
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise UsageError(f"a plugin must be a Python file, but got {path}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            with redirect_stdout(sys.stderr):
                spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:  # the user's code: whatever it raises is theirs to read
            del sys.modules[name]
            raise UsageError(f"{path}: the plugin raised {type(error).__name__}: {first_line(error)}") from error


def loaded_plugins() -> list[ModuleType]:
    """The modules of the files that were run."""
    return [module for name, module in sys.modules.items() if name.startswith(_PREFIX)]


def digest_of(paths: Sequence[Path]) -> list[str]:
    """Sixteen hexadecimal digits of each file's content: another program is another experiment."""
    return [hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in paths]


def own_architectures() -> dict[str, Architecture]:
    """The networks that were registered in this process: workers know only those that come with the packages."""
    networks = sys.modules.get("trainers.networks")  # a process that never loaded it has registered none
    if networks is None:
        return {}
    own: dict[str, Architecture] = {
        name: each for name, each in networks.ARCHITECTURES.items() if name not in networks.BUILT_IN
    }
    return own


_PREFIX = "winnow_plugin_"


def _module_name(path: Path) -> str:
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would wait, a device may never end
            raise UsageError(f"a plugin must be a Python file, but got {path}, which is no regular file")
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"a plugin must be a Python file, but got {path}: {error.strerror}") from error
    return _PREFIX + hashlib.sha256(str(path.absolute()).encode() + content).hexdigest()[:12]
