"""The curve of one bus: room to every kind of limit over the size of a site, with the break marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from gridedge.errors import bad
from gridedge.plot.style import INK, LIMIT, PALETTE, blank, draw, text

if TYPE_CHECKING:
    import xarray as xr

_LINES = {  # what is drawn, in which panel, and its factor
    "low": ("room_low_pu", 0, 100.0),
    "high": ("room_high_pu", 0, 100.0),
    "step": ("room_step_pu", 0, 100.0),
    "loading": ("room_loading_percent", 1, 1.0),
    "losses": ("room_losses_mw", 2, 1.0),
}
_WORDS = {
    "low": "lowest voltage",
    "high": "highest voltage",
    "step": "voltage step",
    "loading": "loading",
    "losses": "losses",
}
_PANELS = (("voltage: room in % of nominal", "%"), ("loading: room in % of rating", "%"), ("losses: room in MW", "MW"))


def margin_figure(data: xr.Dataset, bus: int) -> go.Figure:
    """Draw how near each kind of limit is at every size of a site at one bus.

    Parameters
    ----------
    data : Dataset
        ``data`` of a :class:`gridedge.planning.hosting.result.HostingResult` made with ``curve=True``.
    bus : int
        The bus.

    Raises
    ------
    InputError
        If there is no curve, or not of this bus.
    """
    if "curve_mw" not in data:
        raise bad("the result holds no curve", "curve=False", "Ask for it: hosting_capacity(..., curve=True).")
    if bus not in data["bus"].values:
        raise bad("the result holds no such bus", str(bus), f"It has {data['bus'].values[:8].tolist()}.")
    ds = data.sel(bus=bus)
    size_mw, capacity = ds["curve_mw"].values, float(ds["capacity_mw"])
    here = [kind for kind, (name, _, _) in _LINES.items() if name in ds]
    if not here:
        raise bad("there is no limit to draw", "limits=()", "Give limits that hold before the collapse.")
    panels = sorted({_LINES[kind][1] for kind in here})
    bound = "nothing binds" if str(ds["kind"].values) == "" else f"{ds['limit'].values} at {ds['element'].values}"
    title = f"Bus {bus}: {capacity:.4g} MW, then {bound}"
    figure = blank(title, row_titles=[_PANELS[p][0] for p in panels], row_px=220)
    for colour, kind in zip(PALETTE, here, strict=False):
        name, panel, factor = _LINES[kind]
        row = panels.index(panel) + 1
        draw(figure, size_mw, factor * ds[name].values, _WORDS[kind], _PANELS[panel][1], row=row, colour=colour)
    for row, panel in enumerate(panels, start=1):
        room = np.concatenate([_LINES[k][2] * ds[_LINES[k][0]].values for k in here if _LINES[k][1] == panel])
        ends = [min(0.0, float(np.nanmin(room))), max(0.0, float(np.nanmax(room)))]
        figure.add_hline(y=0.0, line={"color": LIMIT, "width": 1.2, "dash": "5px,3px"}, row=row, col=1)
        figure.add_trace(
            go.Scatter(
                x=[capacity, capacity], y=ends, mode="lines", name="first break", legendgroup="break",
                showlegend=row == 1, line={"color": INK, "width": 1.2, "dash": "dot"},
                hovertemplate=f"{capacity:.4g} MW<extra>{text(bound)}</extra>",
            ),
            row=row, col=1,
        )  # fmt: skip
        figure.update_yaxes(title_text=f"room [{_PANELS[panel][1]}]", row=row, col=1)
    figure.update_xaxes(title_text="size of the site [MW]", row=len(panels), col=1)
    return figure
