"""How full lines and transformers are over the season."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import NDArray

from gridedge.errors import bad
from gridedge.plot.style import DASHES, MUTED, PALETTE, blank, clock, draw, limit, width_of

_PANELS = {"lines": ("line",), "transformers": ("trafo", "trafo3w")}


def loading_figure(
    seasons: Mapping[str, xr.Dataset], base: xr.Dataset | None = None, limit_percent: float | None = None
) -> go.Figure:
    """Draw the highest loading of all lines, and of all transformers, at every step.

    Parameters
    ----------
    seasons : mapping of str to xarray.Dataset
        By strategy label: ``loading_percent(time, branch)`` [%], coordinates ``time`` [s], ``element(branch)``.
    base : xarray.Dataset, optional
        The same without the site.
    limit_percent : float, optional
        Admissible loading. [%]

    Raises
    ------
    InputError
        If there is no strategy, or no line and no transformer of any has a loading.
    """
    highest = {label: highest_percent(data) for label, data in seasons.items()}
    panels = [panel for panel in _PANELS if any(panel in of for of in highest.values())]
    if not panels:
        raise bad("no line and no transformer has a loading", f"{len(seasons)} strategies", "Give the net its ratings.")
    without = highest_percent(base) if base is not None else {}
    figure = blank(
        "Loading over the season: what fills up, and when",
        row_titles=[_title(panel, highest) for panel in panels], row_px=210,
    )  # fmt: skip
    time_s = next(iter(seasons.values()))["time"].values
    divisor, unit = clock(time_s)
    for row, panel in enumerate(panels, start=1):
        if base is not None and panel in without:
            draw(figure, base["time"].values / divisor, without[panel][0], "without the site", "%",
                 row=row, colour=MUTED, width=1.2, held=True, legend=row == 1)  # fmt: skip
        for k, (label, data) in enumerate(seasons.items()):
            if panel in highest[label]:
                draw(figure, data["time"].values / divisor, highest[label][panel][0], label, "%", row=row, held=True,
                     colour=PALETTE[k % len(PALETTE)], width=width_of(k), dash=DASHES[k % len(DASHES)],
                     legend=row == 1)  # fmt: skip
        if limit_percent is not None:
            limit(figure, time_s / divisor, limit_percent, "%", row=row)
    figure.update_yaxes(title_text="highest loading [%]", rangemode="tozero")
    figure.update_xaxes(title_text=f"time [{unit}]", row=len(panels), col=1)
    figure.update_layout(hovermode="x unified")
    return figure


def highest_percent(data: xr.Dataset) -> dict[str, tuple[NDArray[np.float64], str]]:
    """Return the highest loading of all lines, and of all transformers, and the branch that holds the record.

    Parameters
    ----------
    data : xarray.Dataset
        ``loading_percent(time, branch)`` [%], coordinate ``element(branch)``.

    Returns
    -------
    dict
        Under ``"lines"`` and ``"transformers"``: loading by time [%], NaN where none has one; label of the branch
        whose loading is the highest of all times.  Kinds of which no branch has a loading are absent.
    """
    found: dict[str, tuple[NDArray[np.float64], str]] = {}
    for panel, elements in _PANELS.items():
        part = data["loading_percent"].isel(branch=np.isin(data["element"].values, elements))
        if not np.isfinite(part.values).any():
            continue
        record = part["branch"].values[np.nanargmax(part.max("time").values)]
        found[panel] = (part.max("branch").values, str(record))
    return found


def _title(panel: str, highest: Mapping[str, dict[str, tuple[NDArray[np.float64], str]]]) -> str:
    records = dict.fromkeys(of[panel][1] for of in highest.values() if panel in of)
    return f"fullest of all {panel} (highest: {', '.join(records)})"
