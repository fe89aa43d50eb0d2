"""What happens when a site of a fleet is lost: power and requests over time, and voltage steps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from gridedge.errors import bad
from gridedge.plot.style import INK, LIMIT, MUTED, PALETTE, blank, draw, text


def loss_figure(layout: str, lost: xr.Dataset) -> go.Figure:
    """Draw the loss of the largest site: its power, that of all others together, and requests refused or late.

    Parameters
    ----------
    layout : str
        Its label.
    lost : xarray.Dataset
        ``p_mw(time, site)`` [MW], ``refused_per_s(time)``, ``late_per_s(time)``, ``offered_per_s(time)`` [1/s]; in
        ``attrs`` the site ``lost``, ``at_s``, when, and ``dt_s``.
    """
    name = str(lost.attrs["lost"])
    others = lost["site"].values != name
    time_min = (lost["time"].values - float(lost.attrs["at_s"])) / 60.0
    titles = [f"power of {name}, which is lost"]
    titles += [f"power of the {int(others.sum())} others together"] if others.any() else []
    figure = blank(layout, row_titles=[*titles, "requests per second"], row_px=120, gap_px=34)
    p = lost["p_mw"].values
    draw(figure, time_min, p[:, ~others].sum(axis=1), "the lost site", "MW", colour=INK, held=True, legend=False)
    row = 2
    if others.any():
        draw(figure, time_min, p[:, others].sum(axis=1), "all others", "MW", row=row, colour=PALETTE[0], held=True,
             legend=False)  # fmt: skip
        row = 3
    draw(figure, time_min, lost["offered_per_s"].values, "offered", "requests/s", row=row, colour=MUTED, dash="dash",
         width=1.2)  # fmt: skip
    draw(figure, time_min, lost["late_per_s"].values, "late", "requests/s", row=row, colour=PALETTE[1], held=True)
    draw(figure, time_min, lost["refused_per_s"].values, "refused", "requests/s", row=row, colour=LIMIT, held=True,
         dash="dot", width=2.0)  # fmt: skip
    for k in range(1, row + 1):
        axis = "" if k == 1 else str(k)
        figure.add_shape(
            type="line", x0=0, x1=0, y0=0, y1=1, xref=f"x{axis}", yref=f"y{axis} domain",
            line={"color": MUTED, "width": 1, "dash": "dot"},
        )  # fmt: skip
    figure.update_yaxes(title_text="MW")
    figure.update_yaxes(rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="1/s", rangemode="tozero", row=row, col=1)
    figure.update_xaxes(title_text="time after the loss [min]", row=row, col=1)
    return figure


def steps_figure(lost_grid: Mapping[str, xr.Dataset]) -> go.Figure:
    """Draw the largest voltage step of any bus for every site that is lost, layout beside layout.

    Parameters
    ----------
    lost_grid : mapping of str to xarray.Dataset
        By layout: ``vm_step_pu(case, bus)`` [pu], ``bus_name(bus)``, ``converged_step(case)``.

    Raises
    ------
    InputError
        If there is no layout, or no step of any was solved.
    """
    figure = blank("The largest voltage step of any bus, by the site that is lost", row_px=260)
    top = 0.0
    for k, (label, ds) in enumerate(lost_grid.items()):
        step = 100.0 * np.abs(ds["vm_step_pu"].values)
        solved = np.isfinite(step).any(axis=1)
        if not solved.any():
            continue
        worst = np.nanargmax(np.where(np.isfinite(step), step, -1.0), axis=1)
        largest = step[np.arange(step.shape[0]), worst]
        top = max(top, float(largest[solved].max()))
        count = int(solved.sum())
        # beside each other, as an even low-discrepancy sequence: points of one size would hide each other
        aside = 0.5 * ((np.arange(count) * 0.618034 + 0.5) % 1.0 - 0.5)
        names = ds["bus_name"].values
        figure.add_trace(
            go.Scatter(
                x=k + aside, y=largest[solved], mode="markers", name=text(label), showlegend=False,
                marker={"size": 11 if count < 30 else 6, "color": PALETTE[k % len(PALETTE)], "opacity": 0.8,
                        "line": {"width": 0.5, "color": "#ffffff"}},
                text=[f"{text(str(case))} of {text(label)} lost<br>at bus {text(str(names[b]))}"
                      for case, b in zip(ds["case"].values[solved], worst[solved], strict=True)],
                hovertemplate="%{text}: %{y:.3~g} %<extra></extra>",
            )
        )  # fmt: skip
    if not figure.data:
        raise bad("no voltage step was solved", f"{len(lost_grid)} layouts", "Look at the notes of the study.")
    figure.update_xaxes(
        tickvals=list(range(len(lost_grid))), ticktext=[text(label) for label in lost_grid],
        range=[-0.6, len(lost_grid) - 0.4], showgrid=False,
    )  # fmt: skip
    figure.update_yaxes(title_text="largest step [%]", range=[0.0, 1.08 * max(top, 1e-9)])
    return figure
