"""At which frequencies a site swings, before and after mitigation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import NDArray

from gridedge.errors import bad
from gridedge.measure.spectrum import amplitude_spectrum
from gridedge.plot.style import LIMIT, PALETTE, blank, draw, text

_DECADES = 4.5  # what lies further below the highest peak is rounding, and would squeeze the rest

_PER_DECADE = 100  # above, the noise between the peaks would fill the plot and hide what lies behind


@dataclass(frozen=True)
class Band:
    """A band of frequencies in which a rule limits the swing.

    Parameters
    ----------
    name : str
        Short name of the rule.
    low_hz, high_hz : float
        The band. [Hz]
    """

    name: str
    low_hz: float
    high_hz: float


def spectrum_figure(waveforms: Mapping[str, xr.Dataset], bands: Sequence[Band] = ()) -> go.Figure:
    """Draw the amplitude spectrum of the power at the meter, of every strategy.

    Where more than 100 lines of the spectrum share a decade, each hundredth of the decade shows its highest one.

    Parameters
    ----------
    waveforms : mapping of str to xarray.Dataset
        By strategy label: ``p_before_mw(time)`` and ``p_mw(time)`` [MW], coordinate ``time`` [s], evenly spaced.
    bands : sequence of Band
        Bands of the rules, each drawn as a bar under the curves.

    Raises
    ------
    InputError
        If there is no strategy, the time is not evenly spaced, or a series has gaps.
    """
    if not waveforms:
        raise bad("there is no waveform to draw", "0 strategies", "Give at least one strategy with its waveform.")
    figure = blank("Spectrum: which frequencies the site swings at, and which of them a strategy takes out", row_px=330)
    first = next(iter(waveforms.values()))
    peak_mw = _add(figure, first, "p_before_mw", "before any mitigation", "#c5ccd5", 4)
    for k, (label, data) in enumerate(waveforms.items()):
        peak_mw = max(peak_mw, _add(figure, data, "p_mw", label, PALETTE[k % len(PALETTE)], 1.2))
    if peak_mw > 0:
        top = np.log10(peak_mw) + 0.3
        figure.update_yaxes(range=[top - _DECADES, top])
    for k, band in enumerate(bands):
        _draw_band(figure, band, k)
    figure.update_yaxes(type="log", title_text="amplitude [MW]", exponentformat="power", dtick=1)
    figure.update_xaxes(type="log", title_text="frequency [Hz]", exponentformat="none", dtick=1)
    return figure


def _draw_band(figure: go.Figure, band: Band, number: int) -> None:
    """Draw a band as a bar at the top of the panel, one under the other; its name stands within it."""
    top = 1.0 - 0.055 * number
    ends = np.log10([band.low_hz, band.high_hz])
    figure.add_shape(
        type="rect", xref="x", yref="y domain", x0=band.low_hz, x1=band.high_hz, y0=top - 0.045, y1=top,
        fillcolor=LIMIT, opacity=0.12, line={"width": 0}, layer="below",
    )  # fmt: skip
    words = band.name if "Hz" in band.name else f"{band.name}: {band.low_hz:g} to {band.high_hz:g} Hz"
    figure.add_annotation(
        text=text(words), xref="x", yref="y domain", x=ends.mean(),
        y=top - 0.0225, showarrow=False, font={"size": 10, "color": LIMIT},
    )  # fmt: skip


def _add(figure: go.Figure, data: xr.Dataset, variable: str, name: str, colour: str, width: float) -> float:
    f_hz, amplitude_mw = amplitude_spectrum(data[variable].values, _step_s(data))
    # a logarithmic axis has no place for 0 Hz, where the amplitude is zero anyway
    peak_hz, peak_mw = _peaks(f_hz[1:], amplitude_mw[1:])
    draw(figure, peak_hz, np.where(peak_mw > 0, peak_mw, np.nan), name, "MW", colour=colour, width=width)
    return float(amplitude_mw.max())


def _peaks(
    f_hz: NDArray[np.float64], amplitude_mw: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the highest line of every small part of a decade; all lines, where there are fewer."""
    part = np.floor(_PER_DECADE * np.log10(f_hz)).astype(np.int64)
    order = np.lexsort((amplitude_mw, part))
    highest = np.sort(order[np.r_[part[order][1:] != part[order][:-1], True]])
    return f_hz[highest], amplitude_mw[highest]


def _step_s(data: xr.Dataset) -> float:
    steps_s = np.diff(data["time"].values.astype(np.float64))
    if not steps_s.size:
        raise bad("a spectrum needs more than one sample", data.sizes["time"], "Give a longer waveform.")
    dt_s = float(np.median(steps_s))
    if np.abs(steps_s - dt_s).max() > 0.01 * dt_s:
        shown = f"steps from {steps_s.min():g} to {steps_s.max():g} s"
        raise bad("a spectrum needs an even clock", shown, "Resample the waveform to one step first.")
    return dt_s
