"""The centroid of a recording as a script of ten lines has it: mean over channels, peak 1, one float64 spectrum."""

from __future__ import annotations

import sys

import numpy as np
import soundfile


def main() -> None:
    values, _ = soundfile.read(sys.argv[1], dtype="float64", always_2d=True)
    x = values.mean(axis=1)
    x = x / np.abs(x).max()
    amplitudes = np.abs(np.fft.rfft(x))
    psi = 2.0 * np.sum(np.fft.rfftfreq(len(x)) * amplitudes) / np.sum(amplitudes)
    sys.stdout.write(f"{psi:.6f}\n")


if __name__ == "__main__":
    main()
