"""How the same computing fluctuates at many sites, in one campus, and as synchronous training."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from gridedge.plot.style import DASHES, PALETTE, blank, draw, width_of

_CALM = 0.25  # of the largest deviation: loads below it are drawn close up, together


def traces_figure(traces: xr.Dataset) -> go.Figure:
    """Draw a few minutes of each load on one scale, and the calm ones again close up, about their own means.

    Parameters
    ----------
    traces : xarray.Dataset
        ``p_mw(load, time)``, IT power [MW]; ``time`` [s].
    """
    names = [str(name) for name in traces["load"].values]
    p = traces["p_mw"].values
    away = p - p.mean(axis=1, keepdims=True)
    swing = np.abs(away).max(axis=1)
    calm = [k for k in range(len(names)) if swing[k] < _CALM * swing.max()]
    titles = [*names, *(["the calm ones close up, about their means"] if calm else [])]
    figure = blank("The same power, minute by minute", row_titles=titles, row_px=125, gap_px=34)
    time_min = traces["time"].values / 60.0
    low, high = float(p.min()), float(p.max())
    margin = 0.05 * max(high - low, 1e-9)
    for k, name in enumerate(names):
        colour = PALETTE[k % len(PALETTE)]
        draw(figure, time_min, p[k], name, "MW", row=k + 1, colour=colour, width=1.2, held=True)
        if k in calm:
            draw(figure, time_min, away[k], name, "MW", row=len(titles), colour=colour, width=width_of(k),
                 dash=DASHES[k % len(DASHES)], held=True, legend=False)  # fmt: skip
    figure.update_yaxes(title_text="MW", range=[low - margin, high + margin])
    if calm:
        most = 1.1 * max(swing[k] for k in calm)
        figure.update_yaxes(range=[-most, most], row=len(titles), col=1)
    figure.update_xaxes(title_text="time [min]", row=len(titles), col=1)
    return figure
