"""The load of a fleet by tier, in the week with the net's heaviest hour."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from gridedge.errors import bad
from gridedge.plot.downsample import thin
from gridedge.plot.style import DASHES, INK, MUTED, PALETTE, blank, text

_POINTS = 2_500
_LOOKS = {"cloud": 0, "edge": 1, "device": 3}
_HOMES = "phones on homes' load"


def week_figure(week: Mapping[str, xr.Dataset], year: xr.Dataset) -> go.Figure:
    """Draw the power at the meters by tier, a panel per layout with one scale, below the load of the net itself.

    Parameters
    ----------
    week : mapping of str to xarray.Dataset
        By layout: ``p_mw(time, tier)`` [MW], ``time`` from the start of the year [s], ``dt_s`` and ``start`` in
        ``attrs``; ``homes_mw(time)``, what phones add to homes [MW], may be there.
    year : xarray.Dataset
        ``p_load_mw(time)``, the net's own load, NaN where it was not solved. [MW]

    Raises
    ------
    InputError
        If there is no layout.
    """
    if not week:
        raise bad("there is no layout", "0 layouts", "Give one or more.")
    first = next(iter(week.values()))
    start, dt_s = np.datetime64(str(first.attrs["start"]), "s"), float(first.attrs["dt_s"])
    begin, end = float(first["time"].values[0]), float(first["time"].values[-1]) + dt_s
    figure = blank(
        "A week with the heaviest hour: load by tier",
        row_titles=["the net's own load, without sites", *week], row_px=135, gap_px=36,
    )  # fmt: skip
    net_s, step_s = year["time"].values, float(year.attrs["dt_s"])
    here = (net_s + step_s > begin) & (net_s < end)
    _held(figure, start, net_s[here], year["p_load_mw"].values[here] / 1e3, step_s, "the net's own load", "GW", INK, 1)
    top = 0.0
    for row, data in enumerate(week.values(), start=2):
        time_s = data["time"].values
        lines = [(str(tier), data["p_mw"].sel(tier=tier).values) for tier in data["tier"].values.tolist()]
        if "homes_mw" in data:
            lines.append((_HOMES, data["homes_mw"].values))
        for name, value in lines:
            k = _LOOKS.get(name, 2)
            dash = DASHES[k] if len(lines) > 1 else "solid"
            _held(figure, start, time_s, value, dt_s, name, "MW", PALETTE[k], row, dash=dash)
            top = max(top, float(np.nanmax(value)))
    _heaviest(figure, start, year, begin, end, rows=1 + len(week))
    figure.update_yaxes(title_text="MW", range=[0.0, 1.08 * max(top, 1e-9)])
    figure.update_yaxes(title_text="GW", rangemode="tozero", autorange=True, row=1, col=1)
    figure.update_xaxes(type="date", tickformat="%a %d %b", dtick=86_400_000, hoverformat="%a %d %b %Y %H:%M")
    figure.update_xaxes(range=_dates(start, [begin, end]))
    return figure


def _heaviest(
    figure: go.Figure, start: np.datetime64, year: xr.Dataset, begin: float, end: float, rows: int
) -> None:  # fmt: skip
    load = year["p_load_mw"].values
    if not np.isfinite(load).any():
        return
    at_s, step_s = float(year["time"].values[np.nanargmax(load)]), float(year.attrs["dt_s"])
    if not begin <= at_s < end:
        return
    x = _dates(start, [at_s, at_s + step_s])
    for row in range(1, rows + 1):
        axis = "" if row == 1 else str(row)
        figure.add_shape(
            type="rect", x0=x[0], x1=x[1], y0=0, y1=1, xref=f"x{axis}", yref=f"y{axis} domain", layer="below",
            fillcolor="#f4c77b", line={"width": 0},
        )  # fmt: skip
    # written where the net is lightest: at the foot of the first panel, to the left or right of the hour
    late = at_s > (begin + end) / 2
    figure.add_annotation(
        text="heaviest hour", x=x[0] if late else x[1], y=0, xref="x", yref="y domain",
        xanchor="right" if late else "left", yanchor="bottom", showarrow=False, font={"size": 11, "color": MUTED},
        bgcolor="rgba(255,255,255,0.75)", borderpad=1,
    )  # fmt: skip


def _held(
    figure: go.Figure, start: np.datetime64, time_s: NDArray[np.float64], value: NDArray[np.float64], dt_s: float,
    name: str, unit: str, colour: str, row: int, *, dash: str = "solid",
) -> None:  # fmt: skip
    """Draw the means of steps over local time, the last one to its end."""
    if not time_s.size:
        return
    at, shown = thin(np.append(time_s, time_s[-1] + dt_s), np.append(value, value[-1]), _POINTS)
    figure.add_trace(
        go.Scatter(
            x=_dates(start, at), y=shown.astype(np.float32), mode="lines", name=text(name), legendgroup=name,
            showlegend=not any(trace.legendgroup == name for trace in figure.data),
            line={"color": colour, "width": 1.5, "dash": dash, "shape": "hv"},
            hovertemplate=f"%{{x}}: %{{y:.5~g}} {unit}<extra>{text(name)}</extra>",
        ),
        row=row, col=1,
    )  # fmt: skip


def _dates(start: np.datetime64, time_s: ArrayLike) -> list[str]:
    """Return local times as text: numbers would be moved into the time zone of the reader's browser."""
    moments = start + np.round(np.asarray(time_s, dtype=float)).astype("timedelta64[s]")
    return [str(m) for m in np.datetime_as_string(moments, unit="s")]
