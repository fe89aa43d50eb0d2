"""How long requests wait for their first token, by class and layout."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from gridedge.errors import bad
from gridedge.plot.style import DASHES, LIMIT, PALETTE, blank, text, width_of

_WIDE = 200.0  # from here on, only whole decades are written at the axis


def classes_of(latency: Mapping[str, xr.Dataset]) -> list[str]:
    """Return the classes of requests that any layout serves, in order."""
    return list(dict.fromkeys(str(c) for ds in latency.values() for c in ds["class"].values))


def latency_figure(latency: Mapping[str, xr.Dataset], key: str) -> go.Figure:
    """Draw the share of a class's requests that still wait, over time, both logarithmic; the bound is marked.

    Parameters
    ----------
    latency : mapping of str to xarray.Dataset
        By layout: ``first_token_s(class, share)``, quantiles [s]; ``bound_s(class)`` [s].
    key : str
        The class.

    Raises
    ------
    InputError
        If no layout serves the class.
    """
    here = {label: ds.sel({"class": key}) for label, ds in latency.items() if key in ds["class"].values}
    if not here:
        raise bad("no layout serves this class", key, f"Choose one of {', '.join(classes_of(latency)) or 'none'}.")
    bound_s = float(next(iter(here.values()))["bound_s"])
    figure = blank(f"{key}: first token within {bound_s:g} s", row_px=230)
    low, high = bound_s, bound_s
    for k, (label, ds) in enumerate(here.items()):
        share, value = ds["share"].values, ds["first_token_s"].values
        left = 100.0 * (1.0 - share)
        low, high = min(low, float(value.min())), max(high, float(value.max()))
        figure.add_trace(
            go.Scatter(
                x=value.astype(np.float32), y=left.astype(np.float32), mode="lines", name=text(label),
                line={"color": PALETTE[k % len(PALETTE)], "dash": DASHES[k % len(DASHES)], "width": width_of(k)},
                hovertemplate=f"%{{y:.3~g}} % wait longer than %{{x:.3~g}} s<extra>{text(label)}</extra>",
            )
        )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=[bound_s, bound_s], y=[0.1, 100.0], mode="lines", name="bound", hoverinfo="skip",
            line={"color": LIMIT, "width": 1.2, "dash": "5px,3px"},
        )
    )  # fmt: skip
    near = (1.0, 2.0, 5.0) if high / low < _WIDE else (1.0,)
    marks = [k * 10.0**d for d in range(-4, 5) for k in near if low / 10 < k * 10.0**d < high * 10]
    figure.update_xaxes(
        type="log", title_text="time to the first token, network included [s]", tickvals=marks,
        ticktext=[f"{m:g}" for m in marks], range=[np.log10(0.8 * low), np.log10(1.25 * high)],
    )  # fmt: skip
    figure.update_yaxes(
        type="log", title_text="still waiting [%]", tickvals=[0.1, 1, 10, 100], ticktext=["0.1", "1", "10", "100"],
        range=[-1.05, 2.05],
    )  # fmt: skip
    return figure
