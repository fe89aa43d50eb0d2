"""The verb ``voltage_report``: how long voltages lie in which band, where they are worst, and how often taps move."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import bad, is_number
from gridedge.measure.limit_sets import Given, VoltageLimit, load_limits

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]
NOISE_PU = 1e-7  # what separates two solutions of the same state
SHARES_PERCENT = (0.0, 0.1, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.9, 100.0)
"""Points of a duration curve: shares of the time in which the voltage is exceeded. [%]"""


@dataclass(frozen=True)
class BandTime:
    """How long voltages lie below, within and above one band.

    Parameters
    ----------
    limit, standard, known : str
        Name of the limit, who asks for it, and how well its figures are known.
    low_pu, high_pu : float
        The band. [pu]
    mean_s : float
        Length of the moving mean that is held against it; 0 for every step. [s]
    hours : float
        Time that is known: that of the means, or of the steps that are solved. [h]
    below_h, above_h : float
        Time in which some bus lies below or above it. [h]
    buses_below, buses_above : int
        Buses that ever do.
    worst_below, worst_above : str
        Bus that does for the longest; empty where none does.
    worst_below_h, worst_above_h : float
        For how long. [h]
    within_percent : float
        Share of the known time in which every bus lies within the band. [%]
    worst_within_percent : float
        The same of the bus with the smallest share alone. [%]
    """

    limit: str
    standard: str
    known: str
    low_pu: float
    high_pu: float
    mean_s: float
    hours: float
    below_h: float
    above_h: float
    buses_below: int
    buses_above: int
    worst_below: str
    worst_above: str
    worst_below_h: float
    worst_above_h: float
    within_percent: float
    worst_within_percent: float


@dataclass(frozen=True)
class VoltageReport:
    """What the voltages of a run come to.

    Parameters
    ----------
    data : Dataset
        Per ``bus``: ``vm_min_pu``, ``vm_mean_pu``, ``vm_max_pu`` [pu], ``vm_min_when_s``, ``vm_max_when_s`` [s],
        ``below_h(limit, bus)`` and ``above_h(limit, bus)`` [h]; ``vm_duration_pu(share_percent, bus)`` [pu], the
        voltage that is exceeded in this share of the time, by linear interpolation between the sorted steps.
    bands : tuple of BandTime
        One per limit.
    lowest, highest, longest : tuple of int
        The worst buses, worst first: by lowest voltage, by highest, and by the time outside the first band.
    hours : float
        Length of the run that is solved. [h]
    lost_steps : int
        Steps without a solution: no number of the report knows them.
    operations : dict
        Tap operations in all, by transformer; empty where taps are held.
    operations_per_day : dict
        The same per day.
    remarks : tuple of str
        What a reader must know.
    """

    data: xr.Dataset
    bands: tuple[BandTime, ...]
    lowest: tuple[int, ...]
    highest: tuple[int, ...]
    longest: tuple[int, ...]
    hours: float
    lost_steps: int
    operations: dict[str, int]
    operations_per_day: dict[str, float]
    remarks: tuple[str, ...] = ()

    def table(self) -> pd.DataFrame:
        """Return one row per bus: extremes, mean, when, and the hours below and above each limit."""
        frame = self.data.drop_dims(["limit", "share_percent"]).to_dataframe()
        for name in self.data["limit"].values:
            for side in ("below", "above"):
                frame[f"{side}_h {name}"] = self.data[f"{side}_h"].sel(limit=name).values
        return frame

    def bands_table(self) -> pd.DataFrame:
        """Return one row per limit."""
        import pandas as pd

        return pd.DataFrame([asdict(b) for b in self.bands]).set_index("limit")

    def duration_table(self) -> pd.DataFrame:
        """Return the duration curves of the worst buses: a row per share of the time, a column per bus."""
        buses = list(dict.fromkeys((*self.lowest, *self.highest, *self.longest)))
        import pandas as pd

        curves = self.data["vm_duration_pu"].sel(bus=buses).values
        return pd.DataFrame(curves, index=pd.Index(SHARES_PERCENT, name="share_percent"), columns=buses)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: bands, worst buses with their duration curves, tap operations, and every bus."""
        worst = {"lowest": self.lowest, "highest": self.highest, "longest_outside": self.longest}
        curves = {str(bus): [_plain(v) for v in column] for bus, column in self.duration_table().items()}
        rows = self.table().reset_index().to_dict("records")
        return {
            "hours": self.hours,
            "steps_not_solved": self.lost_steps,
            "bands": [{k: _plain(v) for k, v in asdict(b).items()} for b in self.bands],
            "worst_buses": {name: list(buses) for name, buses in worst.items()},
            "duration_curves": {"share_percent": list(SHARES_PERCENT), "vm_pu": curves},
            "tap_operations": self.operations,
            "tap_operations_per_day": self.operations_per_day,
            "buses": [{str(k): _plain(v) for k, v in row.items()} for row in rows],
            "remarks": list(self.remarks),
        }


def voltage_report(
    result: xr.Dataset, limits: Given = ("en50160",), *, taps: xr.Dataset | None = None, worst: int = 5
) -> VoltageReport:
    """Report how long the voltages of a run lie in which band, where they are worst, and how often taps move.

    Parameters
    ----------
    result : Dataset
        As :func:`gridedge.solve` or :func:`gridedge.settle_taps` returns it, every step of it: ``vm_pu(time, bus)``.
    limits : str, path, dict or sequence of these
        Whose voltage bands are held against it (:func:`gridedge.measure.limit_sets.load_limits`); other limits are
        left out.  A band with ``mean_s`` is held against moving means.
    taps : Dataset, optional
        With ``operations(changer)``; without, those of ``result``, if it has any.
    worst : int
        How many worst buses are named.

    Returns
    -------
    VoltageReport

    Raises
    ------
    InputError
        If the result is reduced, has no solved step or no voltage band is asked for.

    Notes
    -----
    A step is the mean over its length; what happens within is not in it.  Steps without a solution are left out of
    all shares, and counted.  EN 50160 asks for its band in 95 % of the 10-minute means of a week (from memory): read
    ``worst_within_percent``; no verdict is given here.
    """
    if not isinstance(result, xr.Dataset):
        raise bad("a voltage report is made of a result", type(result).__name__, "Give that of gridedge.solve.")
    if "vm_pu" not in result or "time" not in result["vm_pu"].dims:
        cure = "Give the result of solve without reduce=, or of settle_taps."
        raise bad("a voltage report needs the voltage of every step", str(tuple(result.sizes)), cure)
    if not is_number(worst) or not worst >= 1:
        raise bad("worst must name one bus at least", worst, "Give worst=5.")
    bands = [one for one in load_limits(limits).limits if isinstance(one, VoltageLimit)]
    if not bands:
        cure = 'Give limits=("en50160",) or {"vm_pu": [0.95, 1.05]}.'
        raise bad("no voltage band is asked for", "limits without one", cure)
    dt_s = float(result.attrs["dt_s"]) if "dt_s" in result.attrs else schema.clock(result)
    vm = result["vm_pu"].transpose("time", "bus").values
    supplied = np.isfinite(vm).any(axis=0)
    if not supplied.any():
        raise bad("no step of the result is solved", "every vm_pu is NaN", "Look at converged(time) of the result.")
    vm, ds = vm[:, supplied], result.isel(bus=np.flatnonzero(supplied))
    solved = np.isfinite(vm).any(axis=1)
    remarks = []
    if (~supplied).any():
        remarks.append(f"{int((~supplied).sum())} buses have no voltage: left out.")
    if (~solved).any():
        remarks.append(f"{int((~solved).sum())} of {solved.size} steps are not solved: no share counts them.")
    below, above, told = [], [], []
    for one in bands:
        means, note = _means(vm, one.mean_s, dt_s, one.name)
        remarks += [note] if note else []
        under, over = means < one.vm_pu[0] - NOISE_PU, means > one.vm_pu[1] + NOISE_PU
        known = np.asarray(np.isfinite(means).any(axis=1))
        below.append(under.sum(axis=0) * dt_s / 3600.0)
        above.append(over.sum(axis=0) * dt_s / 3600.0)
        told.append(_band(one, under, over, known, dt_s, ds["bus"].values))
    data = _per_bus(ds, vm, np.array(below), np.array(above), [b.limit for b in told])
    outside = np.array(below[0]) + np.array(above[0])
    operations, per_day = _operations(result if taps is None else taps, solved.size * dt_s)
    lowest, highest = (_first(data, v, worst) for v in (data["vm_min_pu"].values, -data["vm_max_pu"].values))
    return VoltageReport(
        data, tuple(told), lowest, highest,
        tuple(b for b in _first(data, -outside, worst) if outside[data["bus"].values == b].item() > 0),
        float(solved.sum() * dt_s / 3600.0), int((~solved).sum()), operations, per_day, tuple(remarks),
    )  # fmt: skip


def _means(vm: Float, mean_s: float | None, dt_s: float, name: str) -> tuple[Float, str]:
    """Return what a band is held against: the steps, or moving means; NaN where a step of the mean is not solved."""
    window = max(1, round((mean_s or 0.0) / dt_s))
    if window > vm.shape[0]:
        return vm, f"{name}: the run is shorter than its mean of {mean_s:g} s, so every step is held against it."
    if window == 1:
        return vm, ""
    lost = ~np.isfinite(vm)
    total = np.cumsum(np.vstack([np.zeros(vm.shape[1]), np.where(lost, 0.0, vm)]), axis=0)
    gaps = np.cumsum(np.vstack([np.zeros(vm.shape[1]), lost]), axis=0)
    return np.where(gaps[window:] > gaps[:-window], np.nan, (total[window:] - total[:-window]) / window), ""


def _band(
    one: VoltageLimit, under: NDArray[np.bool_], over: NDArray[np.bool_], known: NDArray[np.bool_], dt_s: float,
    buses: NDArray[Any],
) -> BandTime:  # fmt: skip
    hour = dt_s / 3600.0
    low, high = under.sum(axis=0), over.sum(axis=0)
    steps = max(int(known.sum()), 1)
    within = 1.0 - (under | over).any(axis=1).sum() / steps
    return BandTime(
        one.name, one.standard, one.known, one.vm_pu[0], one.vm_pu[1], one.mean_s or 0.0, float(known.sum() * hour),
        float(under.any(axis=1).sum() * hour), float(over.any(axis=1).sum() * hour),
        int((low > 0).sum()), int((high > 0).sum()),
        f"bus {buses[low.argmax()]}" if low.any() else "", f"bus {buses[high.argmax()]}" if high.any() else "",
        float(low.max() * hour), float(high.max() * hour),
        float(100.0 * within), float(100.0 * (1.0 - (low + high).max() / steps)),
    )  # fmt: skip


def _per_bus(ds: xr.Dataset, vm: Float, below: Float, above: Float, names: list[str]) -> xr.Dataset:
    time_s = ds["time"].values
    data = xr.Dataset(coords={"bus": ds["bus"].values, "limit": names, "share_percent": list(SHARES_PERCENT)})
    if "bus_name" in ds.coords:
        data = data.assign_coords(bus_name=("bus", ds["bus_name"].values))
    for name, values in (
        ("vm_min_pu", np.nanmin(vm, axis=0)), ("vm_mean_pu", np.nanmean(vm, axis=0)),
        ("vm_max_pu", np.nanmax(vm, axis=0)),
    ):  # fmt: skip
        data[name] = ("bus", values)
    data["vm_min_when_s"] = ("bus", time_s[np.nanargmin(vm, axis=0)])
    data["vm_max_when_s"] = ("bus", time_s[np.nanargmax(vm, axis=0)])
    data["below_h"] = (("limit", "bus"), below)
    data["above_h"] = (("limit", "bus"), above)
    exceeded = np.nanquantile(vm, 1.0 - np.array(SHARES_PERCENT) / 100.0, axis=0)
    data["vm_duration_pu"] = (("share_percent", "bus"), exceeded)
    return schema.describe(data)


def _first(data: xr.Dataset, by: Float, count: int) -> tuple[int, ...]:
    return tuple(int(b) for b in data["bus"].values[np.argsort(by, kind="stable")[:count]])


def _operations(taps: xr.Dataset, length_s: float) -> tuple[dict[str, int], dict[str, float]]:
    if "operations" not in taps:
        return {}, {}
    pairs = zip(taps["changer"].values, taps["operations"].values, strict=True)
    found = {str(label): int(count) for label, count in pairs}
    return found, {label: count * 86400.0 / length_s for label, count in found.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value
