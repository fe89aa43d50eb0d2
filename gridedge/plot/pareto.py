"""Strategies side by side: what each wastes and what it costs, and which no other beats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from gridedge.errors import bad
from gridedge.plot.style import INK, PALETTE, blank, text

if TYPE_CHECKING:
    import pandas as pd

_MILLION = 1e6


def pareto_figure(table: pd.DataFrame, currency: str) -> go.Figure:
    """Draw what every variant wastes against what it buys.

    A filled mark meets the target, an open one does not; those on the front are joined by a line.  The larger the
    mark, the more work is delayed.

    Parameters
    ----------
    table : DataFrame
        As in :class:`gridedge.planning.compare.Comparison`.
    currency : str
        Currency of the capital.

    Raises
    ------
    InputError
        If the table is empty.
    """
    if not len(table):
        raise bad("there is nothing to compare", "0 variants", "Give at least one strategy.")
    figure = blank("Strategies: energy wasted against capital, and which of them no other beats", row_px=380)
    front = table[table["pareto"]].sort_values("capital")
    if len(front) > 1:
        figure.add_trace(
            go.Scatter(
                x=front["capital"] / _MILLION, y=front["wasted_percent"], mode="lines", name="not beaten",
                line={"color": INK, "width": 1.2, "dash": "dot", "shape": "hv"}, hoverinfo="skip",
            ),
            row=1, col=1,
        )  # fmt: skip
    for k, (strategy, rows) in enumerate(table.groupby("strategy", sort=False)):
        colour = PALETTE[k % len(PALETTE)]
        meets = (rows["verdict"] == "pass").to_numpy()
        size = 9.0 + 12.0 * np.sqrt(np.clip(rows["delayed_percent"].to_numpy(dtype=float), 0.0, 25.0) / 25.0)
        figure.add_trace(
            go.Scatter(
                x=rows["capital"] / _MILLION, y=rows["wasted_percent"], mode="markers", name=text(str(strategy)),
                cliponaxis=False,
                marker={"symbol": ["circle" if m else "circle-open" for m in meets], "size": size, "color": colour,
                        "line": {"width": 2, "color": colour}},
                customdata=_shown(rows, currency), hovertemplate="%{customdata}<extra></extra>",
            ),
            row=1, col=1,
        )  # fmt: skip
    figure.update_xaxes(title_text=f"capital [million {text(currency)}]", range=_from_zero(table["capital"] / _MILLION))
    figure.update_yaxes(title_text="energy wasted [%]", range=_from_zero(table["wasted_percent"]))
    figure.update_layout(showlegend=True)
    return figure


def _from_zero(values: pd.Series[float]) -> list[float]:
    """Return a range with room around zero and the largest value, so that no mark is cut."""
    top = float(values.max()) or 1.0
    return [-0.03 * top, 1.06 * top]


def _shown(rows: pd.DataFrame, currency: str) -> list[str]:
    return [
        f"{text(str(label))}<br>{row['verdict']}, {row['excess_percent']:+.3g} % of the limit<br>"
        f"{row['wasted_mwh_per_year']:.3g} MWh/a wasted, {row['delayed_percent']:.3g} % of the work delayed<br>"
        f"{row['bought_mw']:.3g} MW and {row['bought_mwh']:.3g} MWh bought<br>"
        f"{row['cost_per_year'] / _MILLION:.3g} million {text(currency)} a year"
        for label, row in rows.iterrows()
    ]
