"""What it takes to test a load against every operator's rules, and to draw its curve of changes and its spectra."""

from __future__ import annotations

import argparse

import numpy as np
import xarray as xr
from pinned import best_s, pin

import gridedge
from gridedge.measure.ramp import change_curve
from gridedge.measure.rulebook import load_rulebook
from gridedge.measure.spectrum import band_energy, spectrogram

DT_S = 0.001


def load(steps: int) -> xr.Dataset:
    """Return a 100 MW site whose jobs swing every 16.9 s, with noise."""
    t = DT_S * np.arange(steps)
    noise = np.random.default_rng(1).normal(scale=1.0, size=steps)
    p_mw = 70.0 + 20.0 * np.clip(5 * np.sin(2 * np.pi * t / 16.9), -1, 1) + noise
    return xr.Dataset({"p_mw": (("time", "site"), p_mw[:, None])}, {"time": t, "site": ["s"]}, {"size_mw": 100.0})


def main() -> None:
    """Print the shortest of three times of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="show that it runs; quote no figure from it")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    pin(given.threads)
    steps = 70_000 if given.quick else 600_000
    ds = load(steps)
    p_mw = ds["p_mw"].values[:, 0].copy()
    book = load_rulebook("operators")
    calls = {
        f"check against {len(book.rules)} operators' rules": lambda: gridedge.check(ds, book),
        "check against ERCOT's": lambda: gridedge.check(ds, "ercot"),
        "change_curve, all windows": lambda: change_curve(p_mw, DT_S),
        "spectrogram, 60 s": lambda: spectrogram(p_mw, DT_S),
        "band_energy": lambda: band_energy(p_mw, DT_S, (0.1, 20.0)),
    }
    print(f"{steps:,} samples of {DT_S:g} s")
    for name, call in calls.items():
        print(f"{name:<38} {best_s(call):6.3f} s")


if __name__ == "__main__":
    main()
