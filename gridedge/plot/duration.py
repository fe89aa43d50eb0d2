"""Duration curves: in which share of the time a voltage is exceeded."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import NDArray

from gridedge.measure.voltage import voltage_at
from gridedge.plot.style import DASHES, MUTED, PALETTE, blank, draw, limit, width_of
from gridedge.plot.voltage import Band, bus_words, extremes, near_limits


def duration_figure(
    seasons: Mapping[str, xr.Dataset], base: xr.Dataset | None = None, band_pu: Band | None = None
) -> go.Figure:
    """Draw the voltages of the lowest and of the highest bus, sorted, of every strategy and without the site.

    Parameters
    ----------
    seasons : mapping of str to xarray.Dataset
        By strategy label: ``vm_pu(time, bus)`` [pu].
    base : xarray.Dataset, optional
        The same without the site.
    band_pu : tuple of float or None, optional
        Lowest and highest admissible voltage. [pu]

    Raises
    ------
    InputError
        If there is no strategy, or no step of any converged.
    """
    lowest, highest = extremes(seasons)
    first = next(iter(seasons.values()))
    panels = [("lowest of all buses", lowest)] + ([("highest of all buses", highest)] if highest != lowest else [])
    figure = blank(
        "Voltage by duration: for how long the worst buses are near their limits",
        row_titles=[f"{title}: {bus_words(first, bus)}" for title, bus in panels], row_px=230,
    )  # fmt: skip
    for row, (_, bus) in enumerate(panels, start=1):
        if base is not None:
            share, vm = curve(voltage_at(base, bus))
            draw(figure, share, vm, "without the site", "pu", row=row, colour=MUTED, width=1.2, legend=row == 1)
        for k, (label, data) in enumerate(seasons.items()):
            share, vm = curve(voltage_at(data, bus))
            draw(figure, share, vm, label, "pu", row=row, colour=PALETTE[k % len(PALETTE)], width=width_of(k),
                 dash=DASHES[k % len(DASHES)], legend=row == 1)  # fmt: skip
        for value in near_limits(seasons, bus, band_pu):
            limit(figure, np.array([0.0, 100.0]), value, "pu", row=row)
    figure.update_yaxes(title_text="voltage [pu]")
    figure.update_xaxes(range=[0, 100])
    figure.update_xaxes(title_text="share of the time [%]", row=len(panels), col=1)
    return figure


def curve(vm_pu: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the corners of a duration curve: shares of the time [%], and the voltage held over them, falling. [pu]."""
    vm = np.sort(vm_pu[np.isfinite(vm_pu)])[::-1]
    share = 100.0 * np.arange(vm.size + 1) / max(vm.size, 1)
    return np.repeat(share, 2)[1:-1], np.repeat(vm, 2)
