"""What an accelerator draws, and how long a token takes, at a batch size: measured, and read between the points."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridedge.errors import bad, nearest

Float = NDArray[np.float64]
_FILE = Path(__file__).resolve().parent / "power_vs_batch.csv"
SOURCE = "ML.ENERGY Benchmark v3 (arXiv 2601.22076, 2026), steady state, repeats averaged"
CHAT = "lm-arena-chat"


@dataclass(frozen=True)
class BatchCurve:
    """Power and time between tokens of one model on one kind of accelerator, by batch size.

    Parameters
    ----------
    model, accelerator : str
        What runs on what.
    accelerators : int
        That share one replica.
    batch : ndarray, shape (point,)
        Sequences that are decoded together, rising.
    power_w : ndarray, shape (point,)
        Mean power of one accelerator. [W]
    token_s : ndarray, shape (point,)
        Time between two tokens of a sequence. [s]
    source : str
        Where the points come from.
    """

    model: str
    accelerator: str
    accelerators: int
    batch: Float
    power_w: Float
    token_s: Float
    source: str = SOURCE

    def __post_init__(self) -> None:
        arrays = (self.batch, self.power_w, self.token_s)
        if len({a.shape for a in arrays}) != 1 or self.batch.ndim != 1 or self.batch.size < 1:
            raise bad("a curve needs batch, power and time of every point", str([a.shape for a in arrays]), "Give all.")
        if (np.diff(self.batch) <= 0).any() or self.batch[0] < 1:
            raise bad("batch sizes must rise from 1 or more", self.batch.tolist(), "Sort them, without repeats.")
        if not all(np.isfinite(a).all() and (a > 0).all() for a in arrays):
            raise bad("a curve holds what is not positive", self.model, "Leave the point out.")

    def power_at(self, batch: ArrayLike) -> Float:
        """Return the power of one accelerator at a batch size, in W.

        Linear in the logarithm of the batch between the points; below the first with the slope of the first two, at
        most that of the whole curve, above the last held.  The mean leave-one-out error of this rule on the measured
        curves is below 2 % on H100 and 5 % on B200.
        """
        b = np.log2(np.asarray(batch, dtype=float))
        x = np.log2(self.batch)
        inside = np.interp(b, x, self.power_w)
        if x.size == 1:
            return np.asarray(inside)
        whole = max((self.power_w[-1] - self.power_w[0]) / (x[-1] - x[0]), 0.0)
        slope = float(np.clip((self.power_w[1] - self.power_w[0]) / (x[1] - x[0]), 0.0, whole))
        return np.asarray(np.where(b < x[0], np.maximum(self.power_w[0] + slope * (b - x[0]), 0.0), inside))

    def token_s_at(self, batch: ArrayLike) -> Float:
        """Return the time between two tokens at a batch size, in s.

        Linear in the batch: reading the weights takes a fixed time, each sequence adds its context.  Below the first
        point with the slope of the first two, at least half of the first time (assumed: what does not depend on the
        batch; it binds no measured curve), above the last with the slope of the last two.
        """
        b = np.asarray(batch, dtype=float)
        inside = np.interp(b, self.batch, self.token_s)
        if self.batch.size == 1:
            return np.asarray(inside)
        first, last = (np.diff(self.token_s[s]) / np.diff(self.batch[s]) for s in (slice(0, 2), slice(-2, None)))
        low = self.token_s[0] + max(float(first[0]), 0.0) * (b - self.batch[0])
        high = self.token_s[-1] + max(float(last[0]), 0.0) * (b - self.batch[-1])
        low = np.maximum(low, 0.5 * self.token_s[0])
        return np.asarray(np.where(b < self.batch[0], low, np.where(b > self.batch[-1], high, inside)))


@cache
def measured_curves(task: str = CHAT) -> dict[tuple[str, str, int], BatchCurve]:
    """Return the measured curves of a task, by model, accelerator and number of accelerators."""
    rows: dict[tuple[str, str, int], dict[float, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    with _FILE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            if row["task"] != task:
                continue
            key = row["model_id"].split("/")[-1], row["gpu_model"], int(row["num_gpus"])
            point = float(row["W_per_gpu"]), float(row["median_itl_ms"]) / 1e3
            rows[key][float(row["max_num_seqs"])].append(point)
    curves = {}
    for key, points in rows.items():
        batch = np.array(sorted(points))
        mean = np.array([np.mean(points[b], axis=0) for b in batch])
        curves[key] = BatchCurve(*key, batch, mean[:, 0], mean[:, 1])
    return curves


def measured_curve(model: str, accelerator: str, accelerators: int, task: str = CHAT) -> BatchCurve:
    """Return the measured curve of a model on so many accelerators.

    Raises
    ------
    InputError
        If it was not measured; the message names what was.
    """
    curves = measured_curves(task)
    if (model, accelerator, accelerators) in curves:
        return curves[model, accelerator, accelerators]
    known = [f"{m} on {n} x {a}" for m, a, n in curves]
    asked = f"{model} on {accelerators} x {accelerator}"
    raise bad("no measured curve", asked, nearest(asked, known))


def leave_one_out(curve: BatchCurve) -> Float:
    """Return the relative error of every interior point's power, read from its neighbours, shape (point - 2,)."""
    x = np.log2(curve.batch)
    share = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
    read = curve.power_w[:-2] * (1 - share) + curve.power_w[2:] * share
    return np.asarray(np.abs(read - curve.power_w[1:-1]) / curve.power_w[1:-1])
