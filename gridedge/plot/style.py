"""The look that all figures share: one template, one palette, one way to draw a series."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots

from gridedge.plot.downsample import thin

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
INK, MUTED, GRID, LIMIT = "#1f2933", "#7b8794", "#e4e7eb", "#b42318"
# Okabe and Ito's colours, told apart by colour-blind readers; dashes tell them apart on grey paper too.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#b0548f", "#a87900", "#2a9fd6", "#5b3f99", "#4d5761", "#7a1f1f", "#1f6b3a")
DASHES = (
    "solid",
    "dash",
    "dot",
    "dashdot",
    "longdash",
    "longdashdot",
    "2px,2px",
    "8px,2px,2px,2px",
    "12px,3px",
    "1px,4px",
)
_BELOW_PX = 92  # tick labels, axis title and legend
POINTS = 5_000
"""Points of one trace: some four per pixel of a wide screen, and half of the 10,000 that a page can bear."""


def blank(
    title: str, *, row_titles: Sequence[str] = ("",), row_px: int = 260, shared_y: bool = False, gap_px: int = 44
) -> go.Figure:
    """Return an empty figure with one panel under the other, sharing their x axis.

    Parameters
    ----------
    title : str
        What to look for.
    row_titles : sequence of str
        Title of each panel, from the top.
    row_px, gap_px : int
        Height of a panel, and of the gap between two. [px]
    shared_y : bool
        Whether all panels have the scale of the first.
    """
    rows = len(row_titles)
    inner_px = rows * row_px + (rows - 1) * gap_px
    spacing = {"vertical_spacing": gap_px / inner_px} if rows > 1 else {}
    figure = make_subplots(rows, 1, shared_xaxes=True, shared_yaxes="all" if shared_y else False, **spacing)
    top_px = 34 if any(row_titles) else 16
    figure.update_layout(
        template=_template(), title_text=text(title), height=inner_px + top_px + _BELOW_PX,
        margin={"t": top_px, "l": 62, "r": 14, "b": _BELOW_PX},
    )  # fmt: skip
    for row, row_title in enumerate(row_titles, start=1):
        if row_title:
            top = figure.layout["yaxis" if row == 1 else f"yaxis{row}"].domain[1]
            figure.add_annotation(
                text=text(row_title), x=0, xref="paper", xanchor="left", y=top, yref="paper", yanchor="bottom",
                yshift=4, showarrow=False, font={"size": 13, "color": INK},
            )  # fmt: skip
    return figure


def text(plain: str) -> str:
    """Return a plain text in a form that plotly shows as it stands, tags and all."""
    return html.escape(plain, quote=False)


def clock(time_s: ArrayLike) -> tuple[float, str]:
    """Return the divisor and the unit in which a time axis reads best."""
    span_s = float(np.ptp(np.asarray(time_s, dtype=np.float64))) if np.size(time_s) else 0.0
    if span_s >= 4 * 86400:
        return 86400.0, "d"
    if span_s >= 2 * 3600:
        return 3600.0, "h"
    return (60.0, "min") if span_s >= 600 else (1.0, "s")


def draw(
    figure: go.Figure,
    x: ArrayLike,
    y: ArrayLike,
    name: str,
    unit: str,
    *,
    row: int = 1,
    colour: str = INK,
    width: float = 1.5,
    dash: str = "solid",
    held: bool = False,
    legend: bool = True,
    rank: int = 1000,
) -> None:
    """Draw one series into a panel, thinned to at most ``POINTS`` points.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Figure of :func:`blank`; changed in place.
    x, y : array_like, shape (n,)
        Position and value of the samples; NaN breaks the line.
    name, unit : str
        Name in the legend, and unit of ``y``.
    row : int
        Panel, from 1.
    colour, width, dash
        Look of the line; width in px.
    held : bool
        Whether a sample is drawn as the mean over its step, as it is one: level up to the next.
    legend : bool
        Whether the legend lists it; panels after the first need not.
    rank : int
        Place in the legend: the lower, the earlier.
    """
    position, value = _closed(x, y) if held else (np.asarray(x, np.float64), np.asarray(y, np.float64))
    position, value = thin(position, value, POINTS)
    line = {"color": colour, "width": width, "dash": dash, "shape": "hv" if held else "linear"}
    figure.add_trace(
        go.Scatter(
            # 7 digits are more than a screen can show, and halve the page
            x=position, y=value.astype(np.float32), mode="lines", name=text(name), legendgroup=name,
            showlegend=legend, legendrank=rank, line=line,
            hovertemplate=f"%{{y:.5~g}} {unit}<extra>{text(name)}</extra>",
        ),
        row=row, col=1,
    )  # fmt: skip


def limit(figure: go.Figure, x: ArrayLike, value: float, unit: str, *, row: int = 1, word: str = "limit") -> None:
    """Draw a limit, or what else the word says, across a panel, with its value written at the line."""
    position, _ = _closed(x, x)
    figure.add_trace(
        go.Scatter(
            x=position[[0, -1]], y=[value, value], mode="lines", name=word, legendgroup=word, hoverinfo="skip",
            showlegend=not any(trace.name == word for trace in figure.data),
            line={"color": LIMIT, "width": 1.2, "dash": "5px,3px"},
        ),
        row=row, col=1,
    )  # fmt: skip
    axis = "" if row == 1 else str(row)
    figure.add_annotation(
        text=f"{word} {value:g} {unit}", x=0, xref=f"x{axis} domain", xanchor="left", y=value, yref=f"y{axis}",
        yanchor="bottom", showarrow=False, font={"size": 11, "color": LIMIT},
        bgcolor="rgba(255,255,255,0.75)", borderpad=1,
    )  # fmt: skip


def width_of(k: int) -> float:
    """Return the width of the k-th line in px: an earlier one shows beside a later one that lies on it."""
    return max(1.2, 2.8 - 0.7 * k)


def _closed(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the last sample its length too: that of the step before it."""
    position, value = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if position.size < 2:
        return position, value
    return np.append(position, 2 * position[-1] - position[-2]), np.append(value, value[-1])


def _template() -> go.layout.Template:
    axis = {
        "showline": True, "linecolor": MUTED, "gridcolor": GRID, "zeroline": False, "ticks": "outside", "ticklen": 4,
        "tickcolor": MUTED, "automargin": True, "title": {"standoff": 8},
    }  # fmt: skip
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 12, "color": INK},
            "paper_bgcolor": "#ffffff", "plot_bgcolor": "#ffffff", "colorway": list(PALETTE),
            "xaxis": axis, "yaxis": axis, "hovermode": "closest",
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 0, "yanchor": "bottom", "yref": "container"},
        }
    )  # fmt: skip
