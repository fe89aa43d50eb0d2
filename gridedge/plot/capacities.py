"""The capacities in order, coloured by what binds."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from gridedge.plot.binding import LOOKS, counts
from gridedge.plot.hosting_map import HostingPicture
from gridedge.plot.style import MUTED, blank, text
from gridedge.plot.style import limit as draw_limit


def sorted_figure(picture: HostingPicture, requested_mw: float | None = None) -> go.Figure:
    """Draw the capacity of every bus, the largest first, over the share of buses that take at least so much.

    Where nothing binds, a bus stands at the upper edge: its figure says how far the search went, no more.  So do a few
    buses that take far more than all others (twice what 95 % of them do), which would leave the others a flat line.

    Parameters
    ----------
    picture : HostingPicture
        The answers.
    requested_mw : float, optional
        A wished size, drawn across. [MW]
    """
    figure = blank("How many buses take how much", row_px=300)
    order = np.argsort(-picture.capacity_mw, kind="stable")
    share = 100.0 * (np.arange(order.size) + 1) / max(order.size, 1)
    classes = np.array(picture.binding, dtype=object)[order]
    bound = picture.capacity_mw[picture.bound]
    within = bound[bound <= 2.0 * picture.top_mw]
    edge_mw = 1.06 * max(float(within.max()) if within.size else float(picture.capacity_mw.max()), requested_mw or 0.0)
    shown = np.minimum(picture.capacity_mw, edge_mw)[order]
    for name, count in counts(picture.binding).items():
        mine = classes == name
        look = LOOKS[name]
        figure.add_trace(
            go.Scatter(
                x=share[mine], y=shown[mine], mode="markers", name=text(f"{name} ({count})"),
                marker={"size": 7, "color": look.colour, "symbol": look.symbol,
                        "line": {"width": 1.2 if name == "not bound" else 0.4, "color": MUTED}},
                text=[picture.words[k] for k in order[mine]], hovertemplate="%{text}<extra></extra>",
            )
        )  # fmt: skip
    if requested_mw is not None:
        draw_limit(figure, np.array([0.0, 100.0]), requested_mw, "MW", word="wished for")
    figure.update_xaxes(title_text="buses that take at least so much [%]", range=[0, 101])
    figure.update_yaxes(title_text="hosting capacity [MW]", range=[0, max(1.04 * edge_mw, 1e-6)])
    return figure
