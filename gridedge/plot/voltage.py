"""Voltages over the season and over the waveform's windows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from gridedge.errors import bad
from gridedge.measure.voltage import voltage_at
from gridedge.plot.style import DASHES, MUTED, PALETTE, blank, clock, draw, limit, width_of

Band = tuple[float | None, float | None]


def season_figure(
    seasons: Mapping[str, xr.Dataset], base: xr.Dataset | None = None, band_pu: Band | None = None
) -> go.Figure:
    """Draw the voltage at the connection and at the worst bus, of every strategy and without the site.

    The worst bus is the one with the lowest voltage of all strategies and steps.  Where some bus comes nearer to the
    upper limit than that one to the lower, it has a panel of its own.

    Parameters
    ----------
    seasons : mapping of str to xarray.Dataset
        By strategy label: ``vm_pu(time, bus)`` [pu], coordinates ``time`` [s], ``bus`` and, if known,
        ``busbus_words(bus)``; attribute ``site_bus``.
    base : xarray.Dataset, optional
        The same without the site.
    band_pu : tuple of float or None, optional
        Lowest and highest admissible voltage. [pu]

    Raises
    ------
    InputError
        If there is no strategy, or no step of any converged.
    """
    first = _first(seasons)
    site_bus = int(first.attrs["site_bus"])
    panels = [(f"at the connection: {bus_words(first, site_bus)}", site_bus)]
    panels += [(title, bus) for title, bus in _worst(seasons, band_pu) if bus != site_bus]
    figure = blank(
        "Voltage over the season: how near to its limits the site brings the feeder",
        row_titles=[title for title, _ in panels], row_px=230,
    )  # fmt: skip
    divisor, unit = clock(first["time"].values)
    for row, (_, bus) in enumerate(panels, start=1):
        if base is not None:
            draw(figure, base["time"].values / divisor, voltage_at(base, bus), "without the site", "pu",
                 row=row, colour=MUTED, width=1.2, held=True, legend=row == 1)  # fmt: skip
        for k, (label, data) in enumerate(seasons.items()):
            draw(figure, data["time"].values / divisor, voltage_at(data, bus), label, "pu", row=row, held=True,
                 colour=PALETTE[k % len(PALETTE)], width=width_of(k), dash=DASHES[k % len(DASHES)],
                 legend=row == 1)  # fmt: skip
        for value in near_limits(seasons, bus, band_pu):
            limit(figure, first["time"].values / divisor, value, "pu", row=row)
    figure.update_yaxes(title_text="voltage [pu]")
    figure.update_xaxes(title_text=f"time [{unit}]", row=len(panels), col=1)
    figure.update_layout(hovermode="x unified")
    return figure


def window_figure(windows: Mapping[str, Mapping[str, xr.Dataset]]) -> go.Figure:
    """Draw the voltage at the connection on the waveform's clock, one panel per window.

    Parameters
    ----------
    windows : mapping of str to mapping of str to xarray.Dataset
        By title of the window, then by strategy label: ``vm_pu(time, bus)`` or ``vm_at_pu(time, at)`` [pu],
        coordinate ``time`` [s], attribute ``site_bus``.

    Raises
    ------
    InputError
        If there is no window with a strategy.
    """
    windows = {title: strategies for title, strategies in windows.items() if strategies}
    if not windows:
        raise bad("there is no window to draw", "0 windows", "Solve the waveform at one hour at least.")
    figure = blank(
        "Voltage at the connection within seconds: the swing that lamps and neighbours feel",
        row_titles=list(windows), row_px=230,
    )  # fmt: skip
    listed: set[str] = set()
    for row, strategies in enumerate(windows.values(), start=1):
        for k, (label, data) in enumerate(strategies.items()):
            start_s = float(data["time"].values[0])
            vm_pu = voltage_at(data, int(data.attrs["site_bus"]))
            draw(figure, data["time"].values - start_s, vm_pu, label, "pu", row=row, held=True,
                 colour=PALETTE[k % len(PALETTE)], width=width_of(k), legend=label not in listed)  # fmt: skip
            listed.add(label)
    figure.update_yaxes(title_text="voltage [pu]")
    figure.update_xaxes(title_text="time in the window [s]", row=len(windows), col=1)
    return figure


def _first(seasons: Mapping[str, xr.Dataset]) -> xr.Dataset:
    for data in seasons.values():
        return data
    raise bad("there is no season to draw", "0 strategies", "Give at least one strategy with its power flow.")


def bus_words(data: xr.Dataset, bus: int) -> str:
    """Return a bus with its name, where it has one of its own."""
    if "bus_name" not in data.coords:
        return f"bus {bus}"
    name = str(data["bus_name"].sel(bus=bus).item())
    return f"bus {bus} ({name})" if name and name != str(bus) else f"bus {bus}"


def _lowest_and_highest(seasons: Mapping[str, xr.Dataset]) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the lowest and the highest voltage of every bus, over all strategies and steps."""
    _first(seasons)
    low = xr.concat([data["vm_pu"].min("time") for data in seasons.values()], "strategy").min("strategy")
    high = xr.concat([data["vm_pu"].max("time") for data in seasons.values()], "strategy").max("strategy")
    if not np.isfinite(low.values).any():
        raise bad("no step of the season converged", "every vm_pu is NaN", "Look at converged(time) of the result.")
    return low, high


def extremes(seasons: Mapping[str, xr.Dataset]) -> tuple[int, int]:
    """Return the buses with the lowest and with the highest voltage of all strategies and steps."""
    low, high = _lowest_and_highest(seasons)
    return int(low["bus"].values[np.nanargmin(low.values)]), int(high["bus"].values[np.nanargmax(high.values)])


def _worst(seasons: Mapping[str, xr.Dataset], band_pu: Band | None) -> list[tuple[str, int]]:
    """Return titles and buses of the lowest voltage and, where it is the nearer to its limit, of the highest."""
    first = _first(seasons)
    low, high = _lowest_and_highest(seasons)
    lowest, highest = extremes(seasons)
    worst = [(f"lowest of all buses: {bus_words(first, lowest)}", lowest)]
    if band_pu is not None and band_pu[1] is not None:
        room_above = band_pu[1] - float(high.max())
        if band_pu[0] is None or room_above < float(low.min()) - band_pu[0]:
            worst.append((f"highest of all buses: {bus_words(first, highest)}", highest))
    return worst


def near_limits(seasons: Mapping[str, xr.Dataset], bus: int, band_pu: Band | None) -> list[float]:
    """Return the limits worth drawing: a far one would press the curves into a line."""
    low, high = band_pu or (None, None)
    if low is None or high is None:
        return [value for value in (low, high) if value is not None]
    middle = (low + high) / 2
    seen = np.concatenate([voltage_at(data, bus) for data in seasons.values()])
    near_low, near_high = bool((seen < middle).any()), bool((seen > middle).any())
    return [value for value, near in ((low, near_low), (high, near_high)) if near] or [low]
