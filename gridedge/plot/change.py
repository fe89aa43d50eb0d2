"""How much the power changes within every length of time, against the rules that limit it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from gridedge import schema
from gridedge.errors import bad
from gridedge.measure.ramp import change_curve
from gridedge.plot.style import DASHES, LIMIT, PALETTE, blank, draw, text, width_of

_NEAR = 1.5


@dataclass(frozen=True)
class Mark:
    """A limit on a change, as a point of the plot.

    Parameters
    ----------
    name : str
        Short name of the rule.
    window_s : float
        Its window. [s]
    limit_mw : float
        Largest change in that window. [MW]
    filtered : bool
        Whether the rule filters the power first, so that the unfiltered curve may pass above an unbroken limit.
    """

    name: str
    window_s: float
    limit_mw: float
    filtered: bool = False


def change_figure(waveforms: Mapping[str, xr.Dataset], marks: Sequence[Mark] = ()) -> go.Figure:
    """Draw the largest change of the power at the meter within any window, by the length of the window.

    Parameters
    ----------
    waveforms : mapping of str to xarray.Dataset
        By strategy label: ``p_before_mw(time)`` and ``p_mw(time)`` [MW], coordinate ``time`` [s].
    marks : sequence of Mark
        Limits to draw; those beyond one and a half times the highest change are left out.

    Raises
    ------
    InputError
        If there is no strategy.
    """
    if not waveforms:
        raise bad("there is no waveform to draw", "0 strategies", "Give at least one strategy with its waveform.")
    figure = blank("Largest change within a window, for every length of the window", row_px=330)
    first = next(iter(waveforms.values()))
    highest_mw = _add(figure, first, "p_before_mw", "before any mitigation", "#c5ccd5", 5, "solid")
    for k, (label, data) in enumerate(waveforms.items()):
        look = (PALETTE[k % len(PALETTE)], width_of(k), DASHES[k % len(DASHES)])
        highest_mw = max(highest_mw, _add(figure, data, "p_mw", label, *look))
    near = [mark for mark in marks if mark.limit_mw <= _NEAR * highest_mw]  # a far one would press the curves flat
    if near:
        _draw_marks(figure, near)
    figure.update_yaxes(title_text="change [MW]", rangemode="tozero")
    figure.update_xaxes(type="log", title_text="window [s]", exponentformat="none", dtick=1)
    return figure


def _add(figure: go.Figure, data: xr.Dataset, name: str, label: str, colour: str, width: float, dash: str) -> float:
    windows_s, change_mw = change_curve(data[name].values.astype(np.float64), schema.clock(data))
    draw(figure, windows_s, change_mw, label, "MW", colour=colour, width=width, dash=dash)
    return float(change_mw.max())


def _draw_marks(figure: go.Figure, marks: Sequence[Mark]) -> None:
    names = [f"{m.name}{' (filtered)' if m.filtered else ''}" for m in marks]
    figure.add_trace(
        go.Scatter(
            x=[m.window_s for m in marks], y=[m.limit_mw for m in marks], mode="markers", name="limits of the rules",
            marker={"symbol": ["diamond-open" if m.filtered else "triangle-down" for m in marks], "size": 10,
                    "color": LIMIT, "line": {"width": 2, "color": LIMIT}},
            text=[text(n) for n in names], hovertemplate="%{text}: %{y:g} MW in %{x:g} s<extra></extra>",
        ),
        row=1, col=1,
    )  # fmt: skip
