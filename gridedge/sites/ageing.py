"""What cycling and time do to a storage: cycles counted by rainflow, and the share of its life that they use."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gridedge.errors import bad
from gridedge.spec import Mark, Spec, quantity

Float = NDArray[np.float64]
_YEAR_S = 365.25 * 86_400.0
_MICRO_PU = 0.01
_SMALLEST_PU = 1e-9  # below, a reversal is rounding
_CYCLES_TESTED = (
    "quoted from a second source (SimSES): Naumann et al., J. Power Sources 451 (2020) 227666, loss of capacity "
    "(0.0630 C + 0.0971)(4.0253 (d - 0.6)^3 + 1.0923) sqrt(FEC) %, at 1 C, to 20 %"
)
_CALENDAR_TESTED = (
    "quoted from a second source (SimSES): Naumann et al., J. Energy Storage 17 (2018) 153, loss of capacity "
    "1.2571e-5 (2.8575 (z - 0.5)^3 + 0.60225) sqrt(t / s), at 25 degree C and half full, to 20 %"
)


@dataclass(frozen=True)
class Cycles:
    """Cycles of a series.

    Parameters
    ----------
    depth_pu : ndarray, shape (cycle,)
        Range of each. [pu]
    count : ndarray, shape (cycle,)
        1 for a full cycle, 0.5 for a half one of the residue.
    """

    depth_pu: Float
    count: Float


@dataclass(frozen=True)
class Ageing:
    """What a series of states of charge, repeated for a year, does to a storage.

    Parameters
    ----------
    full_equivalent_cycles_per_year : float
        Depth times count, added up.
    cycles_per_year : float
        Their number, whatever the depth.
    half_cycles_share : float
        Share of the cycle ageing that stands on half cycles of the residue, each counted 0.5; two of one depth are a
        cycle, as in a series that repeats without growing.
    cycle_life_used_per_year, calendar_life_used_per_year : float
        Share of the life that cycling alone, and time alone, use in a year.
    micro_share : float
        Share of the cycle ageing from cycles below 1 % depth, an extrapolation of every life curve.
    life_years : float
        Until the end of life by both; infinite where nothing ages it.
    depth_largest_pu : float
        Deepest cycle. [pu]
    mark, source : str
        How well the life curve is known, and where it is from.
    notes : tuple of str
        What a reader must know.
    """

    full_equivalent_cycles_per_year: float
    cycles_per_year: float
    half_cycles_share: float
    cycle_life_used_per_year: float
    calendar_life_used_per_year: float
    micro_share: float
    life_years: float
    depth_largest_pu: float
    mark: Mark
    source: str
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dict."""
        return asdict(self)


class Life(Spec):
    """How many cycles of each depth, and how many years, a storage lasts."""

    depth_pu: tuple[float, ...] = Field(min_length=1)
    """Depths of the curve, rising. [pu]"""
    cycles: tuple[float, ...] = Field(min_length=1)
    """Cycles of that depth until the end of life."""
    calendar_years: float = Field(gt=0)
    """Years until the end of life without cycling."""
    exponent: float = quantity(1.0, mark="assumed", source="ageing in proportion to its cause", gt=0, le=1)
    """Loss grows with this power of the cycles, and of the time: 0.5 for a square root."""
    mark: Mark = "assumed"
    """How well the curve is known."""
    source: str = ""
    """Where it is from."""

    @model_validator(mode="after")
    def _fits(self) -> Life:
        if len(self.depth_pu) != len(self.cycles):
            cure = "Give one number of cycles for each depth."
            raise bad("the life curve does not match", f"{len(self.depth_pu)} depths, {len(self.cycles)} cycles", cure)
        rising = all(a < b for a, b in zip(self.depth_pu, self.depth_pu[1:], strict=False))
        falling = all(a > b for a, b in zip(self.cycles, self.cycles[1:], strict=False))
        if not (rising and falling and self.depth_pu[0] > 0 and self.depth_pu[-1] <= 1 and self.cycles[-1] > 0):
            cure = "Depths rise within 0 to 1, and deeper cycles are fewer."
            raise bad("the life curve is not possible", f"depths {self.depth_pu}, cycles {self.cycles}", cure)
        return self


def _naumann(depth_pu: float) -> float:
    """Return the cycles to a loss of 20 % of a lithium iron phosphate cell at 1 C."""
    percent = (0.0630 * 1.0 + 0.0971) * (4.0253 * (depth_pu - 0.6) ** 3 + 1.0923)
    return float((20.0 / percent) ** 2 / depth_pu)


_DEPTHS = (0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
LITHIUM_IRON_PHOSPHATE = Life(
    depth_pu=_DEPTHS,
    cycles=tuple(_naumann(d) for d in _DEPTHS),
    calendar_years=(0.20 / (1.2571e-5 * 0.60225)) ** 2 / _YEAR_S,
    exponent=0.5,
    mark="quoted",
    source=f"cycles: {_CYCLES_TESTED}; years: {_CALENDAR_TESTED}",
)
"""Cells of a battery plant, a rack battery or a lithium UPS."""
SUPERCAPACITOR = Life(
    depth_pu=(1.0,),
    cycles=(1e6,),
    calendar_years=15.0,
    mark="assumed",
    source="a million full cycles, quoted from a marketing page; in proportion to throughput, and 15 years: assumed",
)
"""Supercapacitors."""
LIVES = {
    "battery": LITHIUM_IRON_PHOSPHATE,
    "rack_battery": LITHIUM_IRON_PHOSPHATE,
    "ups": LITHIUM_IRON_PHOSPHATE,
    "supercapacitor": SUPERCAPACITOR,
    "psu_capacitor": SUPERCAPACITOR,
}
"""The life curve of each step, and of each part of a hybrid."""


def count_cycles(soc_pu: Float) -> Cycles:
    """Count the cycles of a series by rainflow.

    Parameters
    ----------
    soc_pu : ndarray, shape (time,)
        State of charge, or any other series. [pu]

    Returns
    -------
    Cycles
        Full cycles count 1; what is left at the end, the residue, counts as half cycles.

    References
    ----------
    .. [1] ASTM E1049-85 (2017), "Standard Practices for Cycle Counting in Fatigue Analysis", section 5.4.4.
    """
    import rainflow

    turns = _turning_points(np.asarray(soc_pu, dtype=float))
    if turns.size < 2:
        return Cycles(np.empty(0), np.empty(0))
    if turns.size == 2:  # too few for the package: one half cycle
        return Cycles(np.array([abs(turns[1] - turns[0])]), np.array([0.5]))
    found = np.array([(depth, count) for depth, _, count, _, _ in rainflow.extract_cycles(turns.tolist())])
    return Cycles(found[:, 0], found[:, 1])


def _turning_points(values: Float) -> Float:
    """Return the first and last sample and every reversal between, without steps that are rounding."""
    if values.size < 2:
        return values
    moved = np.flatnonzero(np.abs(np.diff(values)) > 0)
    if not moved.size:
        return values[:1]
    kept = np.r_[values[0], values[moved + 1]]
    slope = np.sign(np.diff(kept))
    return np.asarray(kept[np.r_[True, slope[1:] != slope[:-1], True]])


def life_cycles(depth_pu: Float, life: Life) -> Float:
    """Return how many cycles of a depth a storage lasts.

    Parameters
    ----------
    depth_pu : ndarray
        Depths above 0. [pu]
    life : Life
        The curve.

    Returns
    -------
    ndarray
        Cycles: between the points of the curve straight in logarithms; below the shallowest, and above the deepest,
        in inverse proportion to the depth, so that energy ages it alike: below, the cautious side of most curves.
    """
    depth = np.asarray(depth_pu, dtype=float)
    x, y = np.log(life.depth_pu), np.log(life.cycles)
    inside = np.exp(np.interp(np.log(depth), x, y))
    shallow, deep = life.depth_pu[0], life.depth_pu[-1]
    return np.asarray(inside * np.where(depth < shallow, shallow / depth, np.where(depth > deep, deep / depth, 1.0)))


def ageing(soc_pu: Float, dt_s: float, life: Life = LITHIUM_IRON_PHOSPHATE) -> Ageing:
    r"""Return what a state of charge does to a storage in a year of such use.

    Parameters
    ----------
    soc_pu : ndarray, shape (time,)
        State of charge at the end of each step, without the first moments in which a law settles. [pu]
    dt_s : float
        Step length. [s]
    life : Life
        Cycles and years that it lasts.

    Returns
    -------
    Ageing
        Scaled from the length of the series to a year, as if it repeated.

    Raises
    ------
    InputError
        If the series has no sample or is not finite, or the step is not positive.

    Notes
    -----
    Cycles of depth :math:`d_i` and count :math:`n_i` use :math:`D_c = \sum_i n_i / N(d_i)` of the life (Palmgren and
    Miner), time uses :math:`D_t`, both per year.  Losses of capacity add up, each with the power :math:`z` of its cause
    (Naumann et al. 2020, where :math:`z = 1/2`), and reach the end of life after

    .. math:: T = (D_c^z + D_t^z)^{-1/z}\ \text{years}

    Neither the temperature nor the rate of each cycle is in it.
    """
    soc = np.asarray(soc_pu, dtype=float)
    if soc.ndim != 1 or not soc.size or not np.isfinite(soc).all():
        raise bad("the state of charge cannot be counted", f"shape {soc.shape}", "Give one finite series over time.")
    if soc.min() < -_SMALLEST_PU or soc.max() > 1 + _SMALLEST_PU:
        value = f"{soc.min():g} to {soc.max():g}"
        raise bad(
            "the state of charge lies outside 0 to 1 pu", value, "Give it in pu of the energy between empty and full."
        )
    if not dt_s > 0:
        raise bad("dt_s is not positive", dt_s, "Give the step in seconds.")
    cycles = count_cycles(soc)
    real = cycles.depth_pu > _SMALLEST_PU
    depth, count = cycles.depth_pu[real], cycles.count[real]
    per_year = _YEAR_S / (soc.size * dt_s)
    used = count / life_cycles(depth, life)
    total = float(used.sum())
    micro = float(used[depth < _MICRO_PU].sum()) / total if total else 0.0
    half = float(used[count < 1].sum()) / total if total else 0.0
    by_cycles, by_time = total * per_year, 1.0 / life.calendar_years
    z = life.exponent
    notes = []
    if micro > 0:
        share = f"{100 * micro:.3g} % of the cycle ageing"
        notes.append(f"{share} comes from cycles below 1 % depth, where no life curve is tested: an extrapolation.")
    if total and float(used.max()) > 0.5 * total:
        notes.append(f"One cycle makes most of the cycle ageing in {soc.size * dt_s:g} s: a longer series tells more.")
    return Ageing(
        float((depth * count).sum()) * per_year,
        float(count.sum()) * per_year,
        half,
        by_cycles,
        by_time,
        micro,
        float((by_cycles**z + by_time**z) ** (-1.0 / z)),
        float(depth.max(initial=0.0)),
        life.mark,
        life.source,
        tuple(notes),
    )
