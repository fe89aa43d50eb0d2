"""Power at the meter over seconds and minutes, before and after mitigation, and what storage did meanwhile."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import NDArray

from gridedge.errors import bad
from gridedge.plot.style import DASHES, MUTED, PALETTE, blank, clock, draw, width_of

_BEFORE = "before any mitigation"
_WITHOUT_PERIOD_S = 60.0
_CANDIDATES = 201  # places at which the zoom may start


def waveform_figure(waveforms: Mapping[str, xr.Dataset]) -> go.Figure:
    """Draw the power at the meter, one panel per strategy, over the power before any mitigation.

    Parameters
    ----------
    waveforms : mapping of str to xarray.Dataset
        By strategy label: ``p_before_mw(time)`` and ``p_mw(time)`` [MW], coordinate ``time`` [s].

    Raises
    ------
    InputError
        If there is no strategy.
    """
    first = _first(waveforms)
    divisor, unit = clock(first["time"].values)
    labels = list(waveforms)
    figure = blank(
        "Power at the meter: how much of the swing each strategy takes away",
        row_titles=labels, row_px=165, shared_y=True,
    )  # fmt: skip
    for row, (label, data) in enumerate(waveforms.items(), start=1):
        time = data["time"].values / divisor
        if not np.array_equal(data["p_before_mw"].values, data["p_mw"].values):
            shown = any(trace.name == _BEFORE for trace in figure.data)
            draw(figure, time, data["p_before_mw"].values, _BEFORE, "MW",
                 row=row, colour="#b8c1cc", width=1, legend=not shown, rank=1)  # fmt: skip
        draw(figure, time, data["p_mw"].values, label, "MW", row=row, colour=PALETTE[(row - 1) % len(PALETTE)], width=1)
    figure.update_yaxes(title_text="power [MW]")
    figure.update_xaxes(title_text=f"time [{unit}]", row=len(labels), col=1)
    return figure


def zoom_figure(waveforms: Mapping[str, xr.Dataset], zoom_s: float | None = None) -> go.Figure:
    """Draw a short stretch of the power at the meter, all strategies in one panel, step by step.

    The stretch is the one whose swing before mitigation is the median of all stretches of its length: neither the
    calmest nor the start of the job.

    Parameters
    ----------
    waveforms : mapping of str to xarray.Dataset
        As for :func:`waveform_figure`.
    zoom_s : float, optional
        Length of one iteration, of which two and a half are shown; without it 60 s are shown. [s]

    Raises
    ------
    InputError
        If there is no strategy.
    """
    first = _first(waveforms)
    span_s = 2.5 * zoom_s if zoom_s else _WITHOUT_PERIOD_S
    start_s = _typical_start_s(first["time"].values, first["p_before_mw"].values, span_s)
    what = "one iteration after the other" if zoom_s else f"a stretch of {span_s:g} s"
    figure = blank(f"Power at the meter, close up: {what}, what is cut and what is filled", row_px=330)
    before = _between(first, start_s, span_s)
    draw(figure, before["time"].values, before["p_before_mw"].values, _BEFORE, "MW",
         colour="#c5ccd5", width=6, held=True)  # fmt: skip
    for k, (label, data) in enumerate(waveforms.items()):
        part = _between(data, start_s, span_s)
        draw(figure, part["time"].values, part["p_mw"].values, label, "MW",
             colour=PALETTE[k % len(PALETTE)], width=width_of(k), dash=DASHES[k % len(DASHES)], held=True)  # fmt: skip
    figure.update_yaxes(title_text="power [MW]")
    figure.update_xaxes(title_text="time [s]")
    return figure


def soc_figure(waveforms: Mapping[str, xr.Dataset]) -> go.Figure:
    """Draw the state of charge of every strategy that has a storage.

    Parameters
    ----------
    waveforms : mapping of str to xarray.Dataset
        As for :func:`waveform_figure`, some with ``soc_pu(time)`` or ``soc_pu(storage, time)``
        [pu of the energy].

    Raises
    ------
    InputError
        If no strategy has ``soc_pu``.
    """
    stored = {label: data for label, data in waveforms.items() if "soc_pu" in data}
    first = _first(stored)
    divisor, unit = clock(first["time"].values)
    figure = blank("State of charge: whether the storage drifts, or runs empty or full", row_px=230)
    for k, (label, data) in enumerate(waveforms.items()):
        if label not in stored:
            continue
        for j, (name, soc) in enumerate(_stores(label, data["soc_pu"])):
            draw(figure, data["time"].values / divisor, soc.values, name, "pu", colour=PALETTE[k % len(PALETTE)],
                 dash=DASHES[j % len(DASHES)])  # fmt: skip
    for full in (0.0, 1.0):
        figure.add_hline(full, line={"color": MUTED, "width": 1, "dash": "dot"})
    figure.update_yaxes(title_text="state of charge [pu]", range=[-0.05, 1.05])
    figure.update_xaxes(title_text=f"time [{unit}]")
    figure.update_layout(showlegend=True)
    return figure


def _stores(label: str, soc: xr.DataArray) -> list[tuple[str, xr.DataArray]]:
    """Return each store of a strategy with its name; one alone needs none."""
    if "storage" not in soc.dims:
        return [(label, soc)]
    return [(f"{label}: {str(k).partition(':')[2] or k}", soc.sel(storage=k)) for k in soc["storage"].values]


def _first(waveforms: Mapping[str, xr.Dataset]) -> xr.Dataset:
    for data in waveforms.values():
        return data
    raise bad("there is no waveform to draw", "0 strategies", "Give at least one strategy with its waveform.")


def _between(data: xr.Dataset, start_s: float, span_s: float) -> xr.Dataset:
    time_s = data["time"].values
    return data.isel(time=(time_s >= start_s) & (time_s < start_s + span_s))


def _typical_start_s(time_s: NDArray[np.float64], p_mw: NDArray[np.float64], span_s: float) -> float:
    """Return where the stretch of median swing starts."""
    last = float(time_s[-1]) - span_s
    if last <= time_s[0]:
        return float(time_s[0])
    starts_s = np.linspace(float(time_s[0]), last, _CANDIDATES)
    edges = np.searchsorted(time_s, np.column_stack([starts_s, starts_s + span_s]))
    swings_mw = np.array([np.ptp(p_mw[a:b]) if b > a else 0.0 for a, b in edges])
    return float(starts_s[np.argsort(swings_mw, kind="stable")[_CANDIDATES // 2]])
