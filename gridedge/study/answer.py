"""What the numbers of a study say: a summary row per strategy, and sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from gridedge.measure.finding import Finding
from gridedge.measure.ramp import largest_change, largest_ramp
from gridedge.measure.voltage import swing_pu
from gridedge.sites.storage import Battery

if TYPE_CHECKING:
    from gridedge.planning.compare import Comparison
    from gridedge.planning.sizing import BatterySize


def summary_row(data: Mapping[str, xr.Dataset], dt_s: float) -> dict[str, float]:
    """Return the scalar results of one strategy.

    Parameters
    ----------
    data : mapping
        The strategy's datasets: ``waveform``, ``season``, ``season_mean``, ``window_peak``, ``window_lightest``.
    dt_s : float
        Step of the waveform. [s]

    Returns
    -------
    dict
        Power and its changes at the meter on the measured stretch; voltages and loadings of the season with the
        site at its highest power, and of the two windows; losses of the network with the site at its mean;
        energies are those of the season, the stretch's means held throughout.
    """
    wave, season, mean = data["waveform"], data["season"], data["season_mean"]
    p = wave["p_mw"].values[:, 0]
    hours = float(mean.attrs["dt_s"]) * mean.sizes["time"] / 3600.0
    windows = [data["window_peak"], data["window_lightest"]]
    grids = [season, *windows]
    losses = mean["pl_mw"].values.sum(axis=1)
    return {
        "p_max_mw": float(p.max()),
        "p_mean_mw": float(p.mean()),
        "p_min_mw": float(p.min()),
        "change_1s_mw": largest_change(p, dt_s, window_s=1.0).value,
        "change_5s_mw": _exact_change(p, dt_s, 5.0),
        "ramp_mw_per_min": largest_ramp(p, dt_s).value,
        "vm_min_pu": min(_extreme(g["vm_pu"].values, np.nanmin) for g in grids),
        "vm_max_pu": max(_extreme(g["vm_pu"].values, np.nanmax) for g in grids),
        "vm_swing_site_peak_percent": _site_swing(windows[0]),
        "vm_swing_site_lightest_percent": _site_swing(windows[1]),
        **{
            name: max(_loading(g, *elements) for g in grids)
            for name, elements in _LOADED.items()
            if _has(season, elements)
        },
        "losses_mwh": float(losses.mean()) * hours if np.isfinite(losses).all() else float("nan"),
        "wasted_mwh": float(wave["wasted_mw"].mean()) * hours,
        "lost_mwh": float(wave["lost_mw"].mean()) * hours,
    }


def _exact_change(p: np.ndarray, dt_s: float, window_s: float) -> float:
    found = largest_change(p, dt_s, window_s=window_s)
    return found.value if found.exact else float("nan")


def _extreme(values: np.ndarray, how: Callable[[np.ndarray], float]) -> float:
    return float(how(values)) if np.isfinite(values).any() else float("nan")


def _site_swing(window: xr.Dataset) -> float:
    return 100.0 * swing_pu(window, int(window.attrs["site_bus"]))


_LOADED = {
    "loading_line_max_percent": ("line",),
    "loading_trafo_max_percent": ("trafo", "trafo3w", "impedance"),
}


def _has(grid: xr.Dataset, elements: tuple[str, ...]) -> bool:
    return bool(np.isin(grid["element"].values, elements).any())


def _loading(grid: xr.Dataset, *elements: str) -> float:
    here = np.isin(grid["element"].values, elements) & grid["rating_known"].values
    values = grid["loading_percent"].values[:, here]
    return float(np.nanmax(values)) if np.isfinite(values).any() else float("nan")


def sentences(
    findings: Mapping[str, Sequence[Finding]], summary: Mapping[str, Mapping[str, float]], days: float
) -> list[str]:
    """Return the verdict of each strategy, and what it costs, in words."""
    lines = []
    for label, found in findings.items():
        broken = list({f.name: f for f in reversed(found) if f.decides and f.verdict == "fail"}.values())[::-1]
        unsure = list({f.name: f for f in found if f.verdict == "cannot tell" and f.decides}.values())
        row = summary[label]
        if broken:
            what = "; ".join(f"{f.name} {_value(f)} against {f.limit:.4g} {f.unit}" for f in broken[:4])
            more = f" and {len(broken) - 4} more" if len(broken) > 4 else ""
            text = f"{label}: fails. {what}{more}."
        elif unsure:
            text = f"{label}: cannot tell. {'; '.join(f'{f.name}: {f.note}' for f in unsure[:3])}."
        else:
            text = f"{label}: meets the study's limits and requirements."
        cost = []
        if row["wasted_mwh"] > 0:
            cost.append(f"{row['wasted_mwh']:.3g} MWh wasted")
        if row["lost_mwh"] > 0:
            cost.append(f"{row['lost_mwh']:.3g} MWh lost in storage")
        lines.append(
            text
            + (f" Over the season of {days:g} day{'s' if days != 1 else ''}: {' and '.join(cost)}." if cost else "")
        )
    return lines


def weighed(comparison: Comparison | None, battery: BatterySize | None, behind: str | None = None) -> list[str]:
    """Return which strategy meets the comparison's target at the lowest cost, and the smallest battery, in words."""
    lines = []
    if comparison is not None:
        best = comparison.cheapest
        lines += comparison.notes
        if best is not None:
            row = comparison.table.loc[best]
            lines.append(
                f"Cheapest of {len(comparison.table)} variants that meets the target: {best}. It wastes "
                f"{row['wasted_percent']:.3g} % of the energy ({row['wasted_mwh_per_year']:.4g} MWh a year), delays "
                f"{row['delayed_percent']:.3g} % of the work, buys {row['bought_mw']:.3g} MW and "
                f"{row['bought_mwh']:.3g} MWh, and costs {row['cost_per_year']:,.0f} {comparison.currency} a year."
            )
    if battery is not None and battery.meets and battery.battery:
        needs = f", of which the target needs {battery.e_needed_mwh:.3g} MWh" if _more(battery) else ""
        delay_s = Battery.model_validate(battery.battery).delay_s
        where = f"A battery behind what {behind!r} has inside the site" if behind else "A battery alone"
        lines.append(
            f"{where} meets the target from {battery.p_rated_mw:.4g} MW and {battery.e_rated_mwh:.4g} MWh on{needs}, "
            f"if its converter is no later than {delay_s:g} s."
        )
    elif battery is not None:
        lines.append(battery.note)
    return lines


def _more(battery: BatterySize) -> bool:
    return battery.e_rated_mwh > battery.e_needed_mwh * 1.001


def _value(finding: Finding) -> str:
    return "none" if finding.measured is None else f"{finding.measured:.4g} {finding.unit}"
