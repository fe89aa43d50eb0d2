"""What a file holds: active and reactive power on an even clock, read block by block."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import bad
from gridedge.formats.clock import Clock, zone_name

Float = NDArray[np.float64]
POWER_FACTOR = 0.98
POWER_FACTOR_SOURCE = "planning default for electronic load"  # assumed, as sites/facility.py has it
_BLOCK = 1 << 18  # samples of all channels that are held at once
_BESIDE_TIME = ("member", "site")


@dataclass(frozen=True)
class Block:
    """A stretch of a series; arrays of shape (channel, time)."""

    first: int
    stop: int
    p_mw: Float
    q_mvar: Float
    p_max_mw: Float | None


@dataclass(frozen=True)
class Facts:
    """What one reading of a series shows: its mean and its extremes over all channels."""

    p_mean_mw: float
    p_max_mw: float
    p_min_mw: float
    q_max_mvar: float
    """Largest magnitude. [Mvar]"""
    q_min_mvar: float
    """Smallest value, negative where it leads. [Mvar]"""


@dataclass(frozen=True)
class Series:
    """A load on its way into a file.

    Parameters
    ----------
    load : Dataset
        ``p_mw`` over ``time``, and over ``member`` and ``site`` where it has them; ``q_mvar`` and ``p_max_mw`` likewise
        where there are any.
    clock : Clock
        Wall clock of its samples.
    tan_phi : float or None
        Reactive over active power; None where the load has ``q_mvar``.
    reactive : str
        Where the reactive power comes from, in words.
    form : str
        ``waveform``, ``15min`` or ``8760``.
    """

    load: xr.Dataset
    clock: Clock
    tan_phi: float | None
    reactive: str
    form: str

    @property
    def steps(self) -> int:
        """Number of samples of a channel."""
        return int(self.load.sizes["time"])

    @cached_property
    def beside(self) -> tuple[str, ...]:
        """Dimensions beside time that hold more than one: ``member``, ``site``, both or none."""
        dims = self.load["p_mw"].dims
        return tuple(d for d in _BESIDE_TIME if d in dims and self.load.sizes[d] > 1)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Name of each channel; one empty name where there is one channel."""
        names = [[_name(d, value) for value in self.values_of(d)] for d in self.beside]
        return tuple("_".join(parts) for parts in itertools.product(*names))

    def values_of(self, dim: str) -> list[Any]:
        """Return the labels of a dimension, counted from 0 where it has none."""
        if dim in self.load.coords:
            return list(self.load[dim].values.tolist())
        return list(range(self.load.sizes[dim]))

    def columns(self, name: str) -> tuple[str, ...]:
        """Return the column of each channel for a quantity, such as ``kw`` or ``kw_m0``."""
        return tuple(f"{name}_{label}" if label else name for label in self.labels)

    def blocks(self) -> Iterator[Block]:
        """Yield the samples in order, a bounded number at once."""
        size = max(1, _BLOCK // len(self.labels))
        for first in range(0, self.steps, size):
            yield self.block(first, min(self.steps, first + size))

    def block(self, first: int, stop: int) -> Block:
        """Return samples ``first`` to ``stop - 1``."""
        part = self.load.isel(time=slice(first, stop))
        p = self._read(part, "p_mw")
        q = p * self.tan_phi if self.tan_phi is not None else self._read(part, "q_mvar")
        top = self._read(part, "p_max_mw") if "p_max_mw" in part else None
        return Block(first, stop, p, q, top)

    def _read(self, part: xr.Dataset, name: str) -> Float:
        array = part[name].transpose(*(d for d in _BESIDE_TIME if d in part[name].dims), "time")
        return np.asarray(array.values, dtype=float).reshape(len(self.labels), -1)

    @cached_property
    def facts(self) -> Facts:
        """Mean and extremes, from one reading of all samples.

        Raises
        ------
        InputError
            If a sample is missing or infinite.
        """
        total, high, low, q_most, q_low = 0.0, -np.inf, np.inf, 0.0, np.inf
        for block in self.blocks():
            for name, values in (("p_mw", block.p_mw), ("q_mvar", block.q_mvar)):
                wrong = ~np.isfinite(values).all(axis=0)
                if wrong.any():
                    cure = "Fill or cut the gap first; gridedge does not guess power."
                    step = block.first + int(np.argmax(wrong))
                    raise bad(
                        f"the load: {name} is not a number", f"{int(wrong.sum())} samples, first at step {step}", cure
                    )
            total += float(block.p_mw.sum())
            top = block.p_mw if block.p_max_mw is None else block.p_max_mw
            high, low = max(high, float(top.max())), min(low, float(block.p_mw.min()))
            q_most, q_low = max(q_most, float(np.abs(block.q_mvar).max())), min(q_low, float(block.q_mvar.min()))
        return Facts(total / (self.steps * len(self.labels)), high, low, q_most, q_low)

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be known of the load, in sentences of one line each."""
        found = self.load.attrs.get("notes") or ()
        return tuple(map(_line, [found] if isinstance(found, str) else found))

    @cached_property
    def origin(self) -> dict[str, str]:
        """What every file says of itself: program, model, seed, sources, power, clock; values of one line each."""
        attrs, spec = self.load.attrs, _profile(self.load)
        clock = self.clock
        said = {
            "program": program(),
            "model": attrs.get("profile") or spec.get("title") or "not stated",
            "spec_sha256": attrs.get("spec_sha256", "not stated"),
            "seed": attrs.get("seed", "not stated"),
            "source": attrs.get("source") or spec.get("source") or "not stated",
            "licence": attrs.get("licence") or spec.get("licence"),
            "facility": attrs.get("facility"),
            "power": f"{attrs.get('power', 'not stated')}; consumption positive",
            "reactive": f"{self.reactive}; lagging (inductive) positive",
            "samples": f"{self.steps}, each the mean over [t, t + {clock.dt_s:.12g} s); its time is the start, t",
            "start": str(clock.labels(0, 1)[0]) + (f" ({attrs['start_is']})" if "start_is" in attrs else ""),
            "time_zone": zone_name(clock.start.tzinfo),
            "form": self.form,
            "reduced": attrs.get("reduced"),
        }
        return {key: _line(value) for key, value in said.items() if value is not None}


def from_load(load: xr.Dataset, clock: Clock, form: str, power_factor: float | None) -> Series:
    """Make a series of a load, with its reactive power.

    Raises
    ------
    InputError
        If the load has other dimensions, or reactive power is stated twice or impossible.
    """
    strange = [str(d) for name in ("p_mw", "q_mvar") if name in load for d in load[name].dims]
    strange = sorted(set(strange) - {"time", *_BESIDE_TIME})
    if strange:
        raise bad("the load has a dimension that no file holds", ", ".join(strange), "Choose one with load.isel(...).")
    same = _two_alike(Series(load, clock, None, "", form).labels)
    if same:
        raise bad("two channels would have one name", same, "Rename a site with load.assign_coords(site=[...]).")
    if "q_mvar" in load:
        if power_factor is not None:
            cure = "Leave power_factor out, or the variable: load.drop_vars('q_mvar')."
            raise bad("the load has reactive power already", f"q_mvar, and power_factor={power_factor:g}", cure)
        if set(load["q_mvar"].dims) != set(load["p_mw"].dims):
            raise bad(
                "q_mvar has not the dimensions of p_mw", str(load["q_mvar"].dims), "Give one value for each of p_mw."
            )
        return Series(load, clock, None, _as_connected(load), form)
    if power_factor is None:
        words = f"power factor {POWER_FACTOR:g} lagging, assumed ({POWER_FACTOR_SOURCE})"
        return Series(load, clock, tan_phi(POWER_FACTOR), words, form)
    tan = tan_phi(power_factor)
    words = f"power factor {abs(power_factor):g} {'leading' if power_factor < 0 else 'lagging'}, chosen"
    return Series(load, clock, tan, words, form)


def _two_alike(names: tuple[str, ...]) -> str:
    """Return a name that comes twice, letters alike in both cases; files and OpenDSS do not tell them apart."""
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            return name
        seen.add(name.lower())
    return ""


def _as_connected(load: xr.Dataset) -> str:
    """Say where the reactive power of a load comes from that has its own."""
    if "power_factor" not in load.coords:
        return "the load's own"
    factors = dict.fromkeys(np.atleast_1d(load["power_factor"].values).tolist())
    words = ", ".join(f"{abs(f):g} {'leading' if f < 0 else 'lagging'}" for f in factors)
    return f"the load's own, power factor {words} at the meter"


def tan_phi(power_factor: float) -> float:
    """Return reactive over active power at a power factor, negative where it leads."""
    if not 0 < abs(power_factor) <= 1:
        raise bad("power_factor is not possible", power_factor, "Give 0 < power_factor <= 1, negative for leading.")
    return float(np.tan(np.arccos(abs(power_factor))) * np.sign(power_factor))


def program() -> str:
    """Return the name and version of the program."""
    try:
        return f"gridedge {importlib.metadata.version('gridedge')}"
    except importlib.metadata.PackageNotFoundError:
        return "gridedge, version not known"


def read_clock(load: xr.Dataset, start: Any) -> Clock:
    """Return the wall clock of a load whose time 0 is at ``start``."""
    schema.require(load, ["p_mw"], thing="the load", finite=False)
    if "time" not in load["p_mw"].dims or not load.sizes["time"]:
        raise bad("the load has no samples in time", str(load["p_mw"].dims), "Give p_mw(time).")
    if load["time"].dtype.kind not in "fiu":
        cure = "Give seconds in time, and the date with start=..."
        raise bad("time is not in seconds", str(load["time"].dtype), cure)
    clock = Clock(start, float(load["time"][0]), schema.clock(load))
    clock.check(load.sizes["time"])
    return clock


def _profile(load: xr.Dataset) -> dict[str, Any]:
    try:
        found = json.loads(load.attrs.get("profile_json", "{}"))
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _name(dim: str, value: Any) -> str:
    """Return a label as columns have it: members are counted with an m, signs become underscores."""
    text = f"m{value}" if dim == "member" else str(value)
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in text)


def _line(value: Any) -> str:
    return " ".join(str(value).split())
