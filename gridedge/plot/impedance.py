"""What impedance a site's harmonic currents meet, over the order."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from gridedge.errors import bad
from gridedge.plot.style import PALETTE, blank, draw

_WORDS = {"none": "without other loads", "parallel": "loads R beside X", "cigre": "loads as CIGRE"}


def impedance_figure(data: xr.Dataset) -> go.Figure:
    """Draw the impedance at a bus over the harmonic order, one curve per model of the other loads.

    Parameters
    ----------
    data : Dataset
        ``data`` of :func:`gridedge.harmonic_screen`: ``z_ohm(loads, order)`` [ohm] and ``i_percent(harmonic)`` [%].

    Returns
    -------
    go.Figure
        The orders that the site draws are marked below the curves.

    Raises
    ------
    InputError
        If the data holds no impedance.
    """
    if "z_ohm" not in data:
        raise bad("there is no impedance to draw", "z_ohm is missing", "Give the data of a harmonic screen.")
    figure = blank("Impedance at the bus: where it peaks, a small current makes a large voltage", row_px=330)
    for k, model in enumerate(data["loads"].values):
        z = data["z_ohm"].sel(loads=model).values
        name = _WORDS.get(str(model), str(model))
        draw(figure, data["order"].values, z, name, "ohm", colour=PALETTE[k % len(PALETTE)])
    drawn = data["harmonic"].values[data["i_percent"].values > 0]
    low = float(data["z_ohm"].min())
    figure.add_trace(
        go.Scatter(
            x=drawn, y=np.full(drawn.size, low), mode="markers", name="orders that the site draws",
            marker={"symbol": "triangle-up", "size": 9, "color": "#444"},
        )
    )  # fmt: skip
    figure.update_xaxes(title_text="harmonic order")
    figure.update_yaxes(title_text="impedance, ohm", type="log")
    return figure
