"""Bad files, flags, configs, plugins and stores: a line that says the rule and what came, exit code 2 or 1, no change.

What is refused before this file was written stands in test_cli, test_config, test_signals_in_studies and the readers'.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from search.config import StudySpec
from search.run import run_study

Shell = Callable[..., tuple[int, str, str]]

BRIGHT = "synthetic:bright"
FAST = ["--samples", "256", "--width", "8", "--depth", "2", "--steps", "5"]


def wav(
    rate: int = 8000, channels: int = 1, bits: int = 16, tag: int = 1, data: bytes = bytes(range(256)) * 8
) -> bytes:
    """A recording whose header says what it likes."""
    align = channels * bits // 8
    chunk = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, channels, rate, rate * align & 0xFFFFFFFF, align & 0xFFFF, bits)
    body = b"WAVE" + chunk + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """An array whose header says what it likes."""
    return b"\x93NUMPY" + version + struct.pack("<H", len(header) + 1) + header.encode() + b"\n" + data


def png_of_no_pixels() -> bytes:
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 0, 20, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def write_sounds(folder: Path) -> None:
    wave = np.sin(np.arange(2000) * 0.3)
    soundfile.write(folder / "good.wav", wave, 8000)
    soundfile.write(folder / "opposite.wav", np.stack([wave, -wave], axis=1), 8000, subtype="FLOAT")
    soundfile.write(folder / "whole.flac", wave, 8000)
    whole = (folder / "whole.flac").read_bytes()
    (folder / "cut.flac").write_bytes(whole[: len(whole) // 2])
    (folder / "cut-header.wav").write_bytes((folder / "good.wav").read_bytes()[:20])
    (folder / "rate-0.wav").write_bytes(wav(rate=0))
    (folder / "channels-0.wav").write_bytes(wav(channels=0))
    (folder / "channels-65535.wav").write_bytes(wav(channels=65535))
    (folder / "bits-0.wav").write_bytes(wav(bits=0))
    (folder / "tag-unknown.wav").write_bytes(wav(tag=0x7777))
    (folder / "nan.wav").write_bytes(wav(bits=32, tag=3, data=struct.pack("<f", float("nan")) * 100))
    (folder / "headerless.raw").write_bytes(bytes(4000))
    (folder / "id3.mp3").write_bytes(b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(2000))
    (folder / "fifteen.wav").write_bytes(wav(data=bytes(range(30))))


def write_images(folder: Path) -> None:
    grey = (np.arange(400) % 251).astype(np.uint8).reshape(20, 20)
    Image.fromarray(grey).save(folder / "good.png")
    frames = [Image.fromarray(np.roll(grey, number)) for number in range(3)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    floats = grey / 255.0
    floats[3, 4] = np.nan
    Image.fromarray(floats.astype(np.float32)).save(folder / "nan.tif")
    (folder / "no-pixels.png").write_bytes(png_of_no_pixels())
    (folder / "drawing.png").write_text("<svg xmlns='http://www.w3.org/2000/svg' width='20' height='20'/>")
    whole = (folder / "good.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[:60])
    shutil.copy(folder / "good.png", folder / "picture.wav")
    shutil.copy(folder / "good.wav", folder / "sound.png")
    shutil.copy(folder / "good.wav", folder / "sound.npy")


def write_arrays(folder: Path) -> None:
    wave = np.sin(np.arange(2000) * 0.3)
    double = "{'descr': '<f8', 'fortran_order': False, 'shape': (%s), }"
    (folder / "huge.npy").write_bytes(npy(double % "10**12,", bytes(800)))
    (folder / "huge-literal.npy").write_bytes(npy(double % "1000000000000,", bytes(800)))
    (folder / "version.npy").write_bytes(npy(double % "100,", bytes(800), version=b"\x09\x00"))
    (folder / "python-2.npy").write_bytes(npy(double % "100L, 3L", bytes(24)))
    (folder / "no-shape.npy").write_bytes(npy("{'descr': '<f8', 'fortran_order': False}", bytes(800)))
    (folder / "nested.npy").write_bytes(npy("(" * 9000))
    (folder / "object-by-name.npy").write_bytes(npy(double.replace("<f8", "O") % "100,", bytes(800)))
    (folder / "voids.npy").write_bytes(npy(double.replace("<f8", "V8") % "100,", bytes(800)))
    (folder / "cut-fortran.npy").write_bytes(npy(double.replace("False", "True") % "40, 40,", bytes(800)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.save(folder / "fields.npy", np.zeros(100, dtype=[("left", "f8"), ("right", "f8")]))
    np.save(folder / "empty.npy", np.zeros((0, 3)))
    np.save(folder / "point.npy", np.float64(3.0))
    np.save(folder / "infinite.npy", np.where(np.arange(2000) == 7, np.inf, wave))
    np.save(folder / "one.npy", wave)
    np.savez(folder / "damaged.npz", x=wave)
    content = bytearray((folder / "damaged.npz").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / "damaged.npz").write_bytes(content)
    with zipfile.ZipFile(folder / "texts.npz", "w") as archive:
        archive.writestr("readme.txt", "no array")
    with zipfile.ZipFile(folder / "garbage.npz", "w") as archive:
        archive.writestr("../../outside.npy", b"garbage")


def write_specials(folder: Path) -> None:
    os.mkfifo(folder / "pipe.wav")
    os.mkfifo(folder / "pipe.toml")
    os.mkfifo(folder / "pipe.py")
    (folder / "broken-link.wav").symlink_to("nowhere")
    (folder / "loop.wav").symlink_to("loop.wav")
    (folder / "file").write_text("")
    (folder / "folder.wav").mkdir()
    (folder / "line\nend\x1b[31m.wav").write_text("no sound\n")


CONFIGS: dict[str, bytes] = {
    "latin.toml": "name = 'größe'\n".encode("latin-1"),
    "binary.toml": bytes(range(256)),
    "twice.toml": b"[fit]\nsteps = 3\nsteps = 4\n",
    "table-twice.toml": b"[fit]\nsteps = 3\n[fit]\nlr = 1e-3\n",
    "deep.toml": b"x = " + b"[" * 100_000,
    "digits.toml": b"[fit]\nsteps = 1" + b"0" * 5000 + b"\n",
    "steps-true.toml": b"[fit]\nsteps = true\n",
    "steps-list.toml": b"[fit]\nsteps = [300]\n",
    "steps-date.toml": b"[fit]\nsteps = 2026-01-01\n",
    "steps-half.toml": b"[fit]\nsteps = 0.5\n",
    "lr-text.toml": b"[fit]\nlr = 'fast'\n",
    "deterministic-number.toml": b"[search]\ndeterministic = 1\n",
    "signals-text.toml": b"signals = 'clip.wav'\n",
    "signals-number.toml": b"signals = [1]\n",
    "heuristic-table.toml": b"[search.heuristic]\nwinner = true\n",
    "search-list.toml": b"search = [1, 2]\n",
    "storage-number.toml": b"[store]\nstorage = 5\n",
    "section-in-section.toml": b"[fit.search]\ntrials = 3\n",
    "nul.toml": b'signals = ["a\\u0000b.wav"]\n',
    "surrogate.toml": b'signals = ["\\ud800.wav"]\n',
}

PLUGINS: dict[str, str] = {
    "raises.py": "raise ValueError('no\\nway')\n",
    "leaves.py": "import sys\nsys.exit('gone')\n",
    "no-python.py": "this is no Python\n",
    "nothing.py": "x = 1\n",
    "imports.py": "import no_such_module_of_mine\n",
    "nul.py": "x = 1\0\n",
    "text.txt": "x = 1\n",
}


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory, shared_spec: Callable[..., StudySpec]) -> Iterator[Path]:
    """A folder of everything that is bad, and of a finished study in a store, with damaged copies of it."""
    folder = tmp_path_factory.mktemp("things")
    write_sounds(folder)
    write_images(folder)
    write_arrays(folder)
    write_specials(folder)
    for name, content in CONFIGS.items():
        (folder / name).write_bytes(content)
    for name, text in PLUGINS.items():
        (folder / name).write_text(text)
    spec = shared_spec(
        search={"trials": 2, "confirm": 0}, store={"store": folder / "store", "tracking_uri": "nowhere://"}
    )
    run_study(spec)
    write_damaged_stores(folder)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(os.path.relpath(folder / "door.wav"))  # its path must be short
        yield folder


DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "weights-cut": ("winner.safetensors", lambda content: content[:-3]),
    "weights-empty": ("winner.safetensors", lambda content: b""),
    "recipe-broken": ("recipe.json", lambda content: content[:-10]),
    "recipe-list": ("recipe.json", lambda content: b"[1]"),
    "recipe-old": ("recipe.json", lambda content: b'{"format": 1}'),
    "recipe-deep": ("recipe.json", lambda content: b"[" * 200_000),
    "target-cut": ("target.npy", lambda content: content[:-5]),
}


def write_damaged_stores(folder: Path) -> None:
    for name, (file, damage) in DAMAGES.items():
        shutil.copytree(folder / "store", folder / name)
        [path] = (folder / name / "studies").rglob(file)
        path.write_bytes(damage(path.read_bytes()))
    shutil.copytree(folder / "store", folder / "linked-file")
    [path] = (folder / "linked-file" / "studies").rglob("target.npy")
    path.unlink()
    path.symlink_to("/etc/hostname")
    shutil.copytree(folder / "store", folder / "linked-folder")
    shutil.rmtree(folder / "linked-folder" / "studies")
    (folder / "linked-folder" / "studies").symlink_to(folder / "store" / "studies")
    (folder / "pipe-store").mkdir()
    os.mkfifo(folder / "pipe-store" / "journal.log")
    (folder / "folder-store" / "journal.log").mkdir(parents=True)
    for name in ("ui-garbage", "ui-store"):
        (folder / name).mkdir()
        (folder / name / "mlflow.db").write_bytes(b"garbage" * 100 if name == "ui-garbage" else b"")


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and bytes of everything in a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        found[str(path)] = (mode, path.read_bytes() if stat.S_ISREG(mode) else b"")
    return found


@pytest.fixture(scope="module")
def before(things: Path) -> dict[str, tuple[int, bytes]]:
    return contents(things)


def run(*words: str) -> list[str]:
    """`winnow run` of a signal, small in case that it is taken after all."""
    return ["run", *words, "--trials", "1", "--confirm", "0", "--workers", "0", "--tracking-uri", "nowhere://"]


def of_bright(*words: str) -> list[str]:
    return run(BRIGHT, *FAST, *words)


CASES: dict[str, tuple[list[str], str] | tuple[list[str], str, int]] = {}


def mend(case: str) -> tuple[list[str], str, int]:
    words, message, *code = CASES[case]
    return words, message, code[0] if code else 2


SOUNDS: dict[str, str] = {
    "cut-header.wav": "must be an audio file that libsndfile reads",
    "rate-0.wav": "must be an audio file that libsndfile reads",
    "channels-0.wav": "must be an audio file that libsndfile reads",
    "channels-65535.wav": "must be an audio file that libsndfile reads",
    "bits-0.wav": "must be an audio file that libsndfile reads",
    "tag-unknown.wav": "must be an audio file that libsndfile reads",
    "nan.wav": "every sample must be finite, but 100 are not",
    "opposite.wav": "must not be silent, but all samples are zero",
    "cut.flac": "must be an audio file that libsndfile reads",
    "headerless.raw": "must be an audio file with a header",
    "id3.mp3": "must be an audio file that libsndfile reads",
    "fifteen.wav": "at least 16 samples are needed, but it has 15",
    "picture.wav": "must be an audio file that libsndfile reads",
    "sound.png": "must be an image that Pillow reads, but: its content is not that of one",
    "sound.npy": "must be in numpy's format, never pickled",
    "moving.gif": "must have one frame, but it has 3",
    "nan.tif": "every sample must be finite, but 1 are not (the first is sample (3, 4))",
    "no-pixels.png": "must be an image that Pillow reads",
    "drawing.png": "must be an image that Pillow reads",
    "cut.png": "must be an image that Pillow reads",
    "huge.npy": "must be an array that numpy reads",
    "huge-literal.npy": "the file is truncated",
    "version.npy": "must be an array that numpy reads",
    "python-2.npy": "truncated",
    "no-shape.npy": "must be an array that numpy reads",
    "nested.npy": "must be an array that numpy reads",
    "object-by-name.npy": "nothing pickled",
    "voids.npy": "must hold real numbers, but its type is |V8",
    "cut-fortran.npy": "the file is truncated",
    "fields.npy": "must hold real numbers, but its type is [('left'",
    "empty.npy": "must hold samples, but its shape is (0, 3)",
    "point.npy": "it has 0 axes",
    "infinite.npy": "every sample must be finite, but 1 are not (the first is sample 7)",
    "one.npy:x": "no such file",
    "damaged.npz": "must be an array that numpy reads",
    "texts.npz": "must hold an array, but there is none in it",
    "garbage.npz:../../outside": "must hold real numbers, but its type is |S7",
    "garbage.npz:/etc/passwd": "unknown array '/etc/passwd'; known arrays: ../../outside",
    "pipe.wav": "must be a regular file",
    "door.wav": "must be a regular file",
    "broken-link.wav": "no such file",
    "loop.wav": "no such file",
    "folder.wav": "this is a directory",
    "file": "the file is empty",
    "file/x.wav": "no such file",
    "line\nend\x1b[31m.wav": "line end\\x1b[31m.wav: a signal must be an audio file",
    "\udcff.wav": "\\udcff.wav: the name of a file must be UTF-8; rename it",
}
CASES |= {f"predict {name!r}": (["predict", f"{{things}}/{name}"], message) for name, message in SOUNDS.items()}

CASES |= {
    "a device without an end": (["fit", "/dev/zero"], "must be a regular file"),
    "a device that is empty": (["fit", "/dev/null"], "must be a regular file"),
    "a name too long": (["predict", "x" * 5000 + ".wav"], "no such file"),
    "a name like an option": (["predict", "-x.wav"], "No such option"),
    "a name like an option, after --": (["predict", "--", "-x.wav"], "-x.wav: no such file"),
    "an address as a signal": (["predict", "https://example.org/x.wav"], "no such file"),
    "synthetic with a path": (["predict", "synthetic:../../x"], "unknown synthetic signal"),
    "no signal": (["predict"], "Missing argument 'SIGNAL...'"),
    "unknown command": (["search", BRIGHT], "No such command 'search'"),
    "an option without its value": (["predict", BRIGHT, "--width"], "Option '--width' requires an argument"),
    "a flag with a value": (["predict", BRIGHT, "--json=yes"], "Option '--json' does not take a value"),
}

NUMBERS: dict[str, tuple[str, str]] = {
    "--samples": ("1" + "0" * 30, "to the 32768 that there are, but got 1" + "0" * 30),
    "--start": ("nan", "a number of seconds or 'loudest', but got start=nan"),
    "--dims": ("0", "`1 <= dims` must hold, but got dims=0"),
    "--holdout": ("1", "`holdout < 1.0` must hold, but got holdout=1.0"),
    "--factor": ("1", "`2 <= factor` must hold, but got factor=1"),
    "--noise-db": ("1e9", "`noise_db <= 200.0` must hold"),
    "--gap": ("0", "`1 <= gap` must hold, but got gap=0"),
    "--width": ("99999999", "`width <= 8192` must hold, but got width=99999999"),
    "--depth": ("1.5", "'1.5' is not a valid integer"),
    "--max-weights": ("0", "`1 <= max_weights` must hold"),
    "--steps": ("99999999999999999999", "`steps <= 10000000` must hold"),
    "--lr": ("1e400", "lr must be finite, but got lr=inf"),
    "--trials": ("1e3", "'1e3' is not a valid integer"),
    "--confirm": ("1001", "`confirm <= 1000` must hold"),
    "--seed": ("4294967296", "`seed < 4294967296` must hold"),
    "--workers": ("-1", "`0 <= workers` must hold"),
    "--cpus-per-worker": ("0", "`1 <= cpus_per_worker` must hold"),
    "--gpus-per-worker": ("inf", "gpus_per_worker must be finite"),
    "--lanes": ("-3", "lanes must be a whole number from 1 to 4096 or 'auto', but got lanes=-3"),
    "--lease": ("0", "`0.0 < lease` must hold, but got lease=0.0"),
    "--checkpoint-seconds": ("-1", "`0.0 < checkpoint_seconds` must hold"),
    "--crop": ("9999999999", "crop must be one to three sizes"),
}
CASES |= {
    f"{option} {value}": (["run", BRIGHT, "--workers", "0", option, value], message)
    for option, (value, message) in NUMBERS.items()
}
CASES |= {
    "seeds without an end": (["fit", BRIGHT, *FAST, "--seeds", "1000000000"], "1000000000 is not in the range"),
    "a point beyond floats": (["fit", BRIGHT, *FAST, "--set", "s0=1e400"], "`0 <= s0` must hold, but got s0=inf"),
    "a point without a name": (["fit", BRIGHT, *FAST, "--set", "=3"], "--set takes NAME=VALUE, but got '=3'"),
    "an architecture that is none": (
        ["fit", BRIGHT, *FAST, "--space", "any", "--set", "architecture=os.system"],
        "architecture must be one of",
    ),
    "a law's file that is not there": (of_bright("--heuristic", "no.json"), "no.json: no such file"),
    "a law's file as a fit's heuristic": (["fit", BRIGHT, *FAST, "--heuristic", "/no/law.json"], "no such file"),
    "a name in letters of elsewhere": (of_bright("--name", "größe"), "a name must begin with a letter or digit"),
    "a name with a line's end": (of_bright("--name", "a\n"), "a name must begin with a letter or digit"),
    "a name of two parts": (of_bright("--name", "a/b"), "a name must begin with a letter or digit"),
    "a name of MLflow's": (of_bright("--name", "Default"), "a name must not be Default, which is MLflow's own"),
    "a name of dots": (of_bright("--name", ".."), "a name must begin with a letter or digit"),
    "a name too long": (of_bright("--name", "a" * 81), "a name must begin with a letter or digit"),
    "held-out samples of a fit": (of_bright("--objective", "both", "--task", "fit"), "needs a task that holds samples"),
    "lanes of a deterministic study": (of_bright("--deterministic", "--lanes", "2"), "have one lane"),
    "samples of an image": (run("synthetic:texture", "--samples", "256"), "--samples is for audio"),
    "weights for nothing": (of_bright("--max-weights", "20"), "max_weights"),
}

TOMLS: dict[str, str] = {
    "no.toml": "no such file",
    "folder.wav": "a config must be a regular file",
    "pipe.toml": "a config must be a regular file",
    "good.wav": "cannot be read",
    "latin.toml": "cannot be read",
    "binary.toml": "cannot be read",
    "twice.toml": "must be TOML, but: Cannot overwrite a value",
    "table-twice.toml": "must be TOML, but: Cannot declare ('fit',) twice",
    "deep.toml": "must be TOML, but: it is nested too deeply",
    "digits.toml": "must be TOML, but: Exceeds the limit",
    "steps-true.toml": "steps must not be true or false, but got steps=True",
    "steps-list.toml": "steps: input should be a valid integer, but got steps=[300]",
    "steps-date.toml": "steps: input should be a valid integer, but got steps=2026-01-01",
    "steps-half.toml": "steps: input should be a valid integer",
    "lr-text.toml": "lr: input should be a valid number",
    "deterministic-number.toml": "deterministic must be true or false, but got deterministic=1",
    "signals-text.toml": "signals: input should be a valid tuple, but got signals=clip.wav",
    "signals-number.toml": "signals: input should be a valid string, but got signals=1",
    "heuristic-table.toml": "heuristic: input should be a valid tuple",
    "search-list.toml": "[search] must be a table, but got [1, 2]",
    "storage-number.toml": "storage: input should be a valid string, but got storage=5",
    "section-in-section.toml": "unknown key 'search' in [fit]; known keys: steps, lr",
    "nul.toml": "a\\x00b.wav: no such file",
    "surrogate.toml": "must be TOML",
}
CASES |= {
    f"--config {name}": (["run", "--config", f"{{things}}/{name}", "--workers", "0"], message)
    for name, message in TOMLS.items()
}

MODULES: dict[str, str] = {
    "raises.py": "raises.py: the plugin raised ValueError: no",
    "leaves.py": "leaves.py: the plugin raised SystemExit: gone",
    "no-python.py": "no-python.py: the plugin raised SyntaxError",
    "imports.py": "the plugin raised ModuleNotFoundError: No module named 'no_such_module_of_mine'",
    "nul.py": "nul.py: the plugin raised",
    "text.txt": "a plugin must be a Python file, but got",
    "no.py": "a plugin must be a Python file, but got",
    "folder.wav": "a plugin must be a Python file, but got",
    "pipe.py": "which is no regular file",
    "nothing.py": "unknown space 'mine'; known spaces: siren",
}
CASES |= {
    f"--plugin {name}": (of_bright("--plugin", f"{{things}}/{name}", "--space", "mine"), message)
    for name, message in MODULES.items()
}

DAMAGED: dict[str, str] = {
    "weights-cut": "winner.safetensors is damaged: a checkpoint must be a safetensors file",
    "weights-empty": "winner.safetensors is damaged: a checkpoint must be a safetensors file",
    "recipe-broken": "recipe.json is damaged: a recipe must be a JSON object",
    "recipe-list": "recipe.json is damaged: a recipe must be a JSON object",
    "recipe-old": "recipe.json is damaged: a recipe must be of format 2, but got 1",
    "recipe-deep": "recipe.json is damaged: a recipe must be a JSON object",
    "target-cut": "target.npy is damaged: a target must be an array",
    "linked-file": "target.npy is a link to /etc/hostname",
    "linked-folder": "studies is a link to",
}
CASES |= {
    f"export of {name}": (["export", "small", "--store", f"{{things}}/{name}"], message, 1)
    for name, message in DAMAGED.items()
}
CASES |= {
    "export to a file": (
        ["export", "small", "--store", "{things}/store", "--out", "{things}/file"],
        "--out must be",
        1,
    ),
    "export below a file": (
        ["export", "small", "--store", "{things}/store", "--out", "{things}/file/x"],
        "--out must be a writable folder",
        1,
    ),
    "export to where nothing is written": (
        ["export", "small", "--store", "{things}/store", "--out", "/proc/winnow"],
        "--out must be a writable folder",
        1,
    ),
    "export of an unknown study": (["export", "smal", "--store", "{things}/store"], "there is no study 'smal'; known"),
    "status of an unknown study": (["status", "../small", "--store", "{things}/store"], "there is no study '../small'"),
    "status of a store that is a file": (["status", "--store", "{things}/file"], "there is no store at"),
    "status of a store of pipes": (["status", "--store", "{things}/pipe-store"], "must be a regular file", 1),
    "status of a store of folders": (["status", "--store", "{things}/folder-store"], "must be a regular file", 1),
    "run in a store of links": (of_bright("--store", "{things}/linked-folder", "--name", "n"), "is a link to", 1),
    "run in a store that cannot be": (of_bright("--store", "/proc/winnow"), "must be a writable folder", 1),
    "run in another study": (
        of_bright("--store", "{things}/store", "--name", "small", "--seed", "-1"),
        "`0 <= seed` must hold",
    ),
    "ui of a file": (["ui", "--store", "{things}/file"], "there is nothing to show"),
    "ui on no port": (["ui", "--store", "{things}/ui-store", "--port", "0"], "0 is not in the range 1<=x<=65535"),
    "ui on a port beyond": (["ui", "--store", "{things}/ui-store", "--port", "70000"], "70000 is not in the range"),
    "ui on a port in words": (
        ["ui", "--store", "{things}/ui-store", "--port", "http"],
        "'http' is not a valid integer",
    ),
    "ui on no host": (["ui", "--store", "{things}/ui-store", "--host", ""], "a host must be named"),
    "ui on a host of another": (
        ["ui", "--store", "{things}/ui-store", "--host", "192.0.2.77", "--port", "5999"],
        "192.0.2.77:5999 cannot be opened (Cannot assign requested address)",
        1,
    ),
    "ui on a host that is none": (
        ["ui", "--store", "{things}/ui-store", "--host", "no.such.host.invalid"],
        "no.such.host.invalid:5000 cannot be opened",
        1,
    ),
    "ui of another database": (
        ["ui", "--store", "{things}/ui-garbage", "--port", "5998"],
        "mlflow.db must be MLflow's database",
        1,
    ),
}

ADDRESSES: dict[str, str] = {
    "nowhere": "an address must be host:port or ray://host:port, but got 'nowhere'",
    "127.0.0.1:99999": "an address must be host:port or ray://host:port",
    "http://127.0.0.1:9": "an address must be host:port or ray://host:port",
    "ray://127.0.0.1:9": "no Ray cluster answers at ray://127.0.0.1:9",
    "no.such.host.invalid:6379": "no Ray cluster answers at no.such.host.invalid:6379",
    "127.0.0.1:9/x": "an address must be host:port or ray://host:port",
}


def error_in(err: str) -> str:
    """The one line that says it; a run may have said before what it is at."""
    *progress, line = err.splitlines()
    assert all(line == "starting workers" or line.endswith(" weights") for line in progress), err
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_a_line_and_an_exit_code_and_changes_nothing(
    shell: Shell, things: Path, before: dict[str, Any], case: str
) -> None:
    words, message, code = mend(case)
    given, out, err = shell(*[word.replace("{things}", str(things)) for word in words])
    assert (given, out) == (code, ""), err
    line = error_in(err)
    assert message in line
    assert line.isprintable()
    assert list(Path.cwd().iterdir()) == []
    assert contents(things) == before


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_without_a_cluster_is_a_line_and_nothing_is_written(shell: Shell, address: str) -> None:
    code, out, err = shell("run", BRIGHT, *FAST, "--address", address)
    assert (code, out) == (1, "")
    assert ADDRESSES[address] in error_in(err)
    assert list(Path.cwd().iterdir()) == []


def refuse_all(other: socket.socket) -> None:
    """A web server that has never heard of gRPC."""
    with contextlib.suppress(OSError):
        while True:
            with other.accept()[0] as caller:
                caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_something_else_than_ray_at_an_address_is_said_at_once(shell: Shell) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        answers = threading.Thread(target=refuse_all, args=(other,), daemon=True)
        answers.start()
        code, _, err = shell("run", BRIGHT, *FAST, "--address", address)
        other.shutdown(socket.SHUT_RDWR)
        answers.join()
    assert code == 1
    assert f"error: what answers at {address} must be a Ray cluster's head, but: " in err
    assert list(Path.cwd().iterdir()) == []


def test_there_are_sixty_cases_and_more() -> None:
    assert len(CASES) + len(ADDRESSES) >= 60


IN_A_SHELL = {
    "an undecodable name": ([b"predict", b"\xff\xfe.wav"], "\\udcff\\udcfe.wav: the name of a file must be UTF-8"),
    "a name that draws": ([b"predict", b"\x1b[2J\r.wav"], "\\x1b[2J .wav: no such file"),
    "a deep config": ([b"run", b"--config", b"{things}/deep.toml"], "nested too deeply"),
}


@pytest.mark.parametrize("case", IN_A_SHELL)
def test_a_real_shell_sees_the_same(things: Path, tmp_path: Path, case: str) -> None:
    words, message = IN_A_SHELL[case]
    command = [sys.executable, "-m", "search", *[word.replace(b"{things}", bytes(things)) for word in words]]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(command, capture_output=True, timeout=60, check=False, cwd=tmp_path, env=environment)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert message in ended.stderr.decode()
    assert ended.stderr.decode().startswith("error: ")
    assert ended.stderr.count(b"\n") == 1
    assert list(tmp_path.iterdir()) == []
