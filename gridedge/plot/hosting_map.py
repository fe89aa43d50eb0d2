"""Hosting capacity on the map: which limit binds where, and how much fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from gridedge.grid.drawing import Drawing
from gridedge.plot.binding import LOOKS, counts
from gridedge.plot.scheme import scheme
from gridedge.plot.style import INK, MUTED, blank, text

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]
_NETWORK = "#b8c2cc"
_TOP = 0.95  # quantile of the capacities that has the largest mark: a few giants would make all others dots
_ROW_PX = 560


@dataclass(frozen=True, eq=False)
class HostingPicture:
    """What is drawn of the answers.

    Parameters
    ----------
    xy : ndarray, shape (n, 2)
        Where the buses lie that were asked.
    capacity_mw : ndarray, shape (n,)
        What each takes. [MW]
    binding : list of str
        Class of what binds at each.
    words : list of str
        What is known of each, in lines.
    course : list of ndarray, each of shape (point, 2)
        Branches of the whole net, and small ones between their buses.
    degrees : bool
        Whether ``xy`` are longitude and latitude.
    what : str
        "" for a map; else what the drawing is instead.
    """

    xy: Float
    capacity_mw: Float
    binding: list[str]
    words: list[str]
    course: list[Float]
    degrees: bool
    what: str

    def size_px(self, largest: float) -> Float:
        """Return the diameter of each mark, its area in proportion to the capacity between two bounds, in px."""
        top = self.top_mw
        return np.asarray(np.clip(largest * np.sqrt(self.capacity_mw / top), 0.3 * largest, 1.15 * largest))

    @property
    def top_mw(self) -> float:
        """Capacity that has the largest mark but few, in MW."""
        bound = self.bound
        seen = self.capacity_mw[bound] if bound.any() else self.capacity_mw
        return max(float(np.quantile(seen, _TOP)), 1e-9) if seen.size else 1.0

    @property
    def bound(self) -> NDArray[np.bool_]:
        """Where something binds."""
        return np.array([name != "not bound" for name in self.binding], dtype=bool)

    @property
    def widest_px(self) -> float:
        """Diameter of a large mark: what leaves a large net legible, in px."""
        n = len(self.binding)
        return 22.0 if n <= 60 else 17.0 if n <= 400 else 12.0


def hosting_picture(table: pd.DataFrame, net: Drawing) -> HostingPicture:
    """Return what is drawn of the answers.

    Parameters
    ----------
    table : DataFrame
        As :func:`gridedge.planning.hosting.published.published` returns it.
    net : Drawing
        The whole net.

    Raises
    ------
    InputError
        If the net has neither coordinates nor branches.
    """
    what = ""
    xy, degrees = net.places.xy, net.places.geographic
    if xy is None:
        xy, degrees = scheme(net.bus.size, net.ends, net.z_ohm), False
        what = "a scheme, not a map: near means electrically near"
    elif not degrees:
        what = "a drawing, not a map"
    course = [known if len(known) else xy[pair] for known, pair in zip(net.course, net.ends.tolist(), strict=True)]
    at = {bus: k for k, bus in enumerate(net.bus.tolist())}
    rows = [at[bus] for bus in table.index.tolist()]
    return HostingPicture(
        xy[rows], table["capacity_mw"].to_numpy(float), table["binding"].tolist(), bus_words(table),
        [c for c in course if np.isfinite(c).all()], degrees, what,
    )  # fmt: skip


def binding_figure(picture: HostingPicture) -> go.Figure:
    """Draw what binds at each bus: colour and shape by the class, area by the capacity; the legend counts."""
    figure = blank(_title("What stops a site, bus by bus", picture), row_px=_ROW_PX)
    _network(figure, picture)
    size = picture.size_px(picture.widest_px)
    classes = np.array(picture.binding, dtype=object)
    ranked = list(enumerate(counts(picture.binding).items()))
    # what is not bound goes to the bottom: it has the largest marks, and stands last in the legend all the same
    for rank, (name, count) in sorted(ranked, key=lambda item: item[1][0] != "not bound"):
        mine = np.flatnonzero(classes == name)
        mine = mine[np.argsort(-picture.capacity_mw[mine], kind="stable")]  # small ones on top
        look = LOOKS[name]
        edge = MUTED if name == "not bound" else "#ffffff" if name != "flicker" else MUTED
        figure.add_trace(
            go.Scatter(
                x=picture.xy[mine, 0], y=picture.xy[mine, 1], mode="markers", name=text(f"{name} ({count})"),
                legendrank=1000 + rank,
                marker={
                    "size": size[mine], "color": look.colour, "symbol": look.symbol, "opacity": 0.92,
                    "line": {"width": 1.6 if name == "not bound" else 0.7, "color": edge},
                },
                text=[picture.words[k] for k in mine], hovertemplate="%{text}<extra></extra>",
            )
        )  # fmt: skip
    figure.update_layout(legend={"itemsizing": "constant"})
    _axes(figure, picture)
    return figure


def capacity_figure(picture: HostingPicture) -> go.Figure:
    """Draw how much fits at each bus: colour by the capacity; open where nothing binds."""
    figure = blank(_title("How much fits, bus by bus", picture), row_px=_ROW_PX)
    _network(figure, picture)
    order = np.argsort(-picture.capacity_mw, kind="stable")
    bound = picture.bound
    size = 0.75 * picture.widest_px
    open_ = order[~bound[order]]
    if open_.size:
        figure.add_trace(
            go.Scatter(
                x=picture.xy[open_, 0], y=picture.xy[open_, 1], mode="markers", name=f"not bound ({open_.size})",
                marker={"size": size, "color": "#ffffff", "symbol": "circle", "line": {"width": 1.6, "color": MUTED}},
                text=[picture.words[k] for k in open_], hovertemplate="%{text}<extra></extra>", showlegend=True,
            )
        )  # fmt: skip
    mine = order[bound[order]]
    if mine.size:
        bar = {
            "orientation": "h", "y": 1.0, "yanchor": "bottom", "thickness": 10, "len": 0.9, "x": 0.5, "nticks": 6,
            "title": {"text": "hosting capacity [MW]", "side": "top"}, "outlinewidth": 0,
        }  # fmt: skip
        figure.add_trace(
            go.Scatter(
                x=picture.xy[mine, 0], y=picture.xy[mine, 1], mode="markers", name="capacity", showlegend=False,
                marker={
                    "size": size, "color": picture.capacity_mw[mine], "colorscale": "Viridis",
                    "cmin": min(float(picture.capacity_mw[mine].min()), picture.top_mw), "cmax": picture.top_mw,
                    "colorbar": bar, "line": {"width": 0.7, "color": "#ffffff"},
                },
                text=[picture.words[k] for k in mine], hovertemplate="%{text}<extra></extra>",
            )
        )  # fmt: skip
    _axes(figure, picture)
    figure.update_layout(margin={"t": 64})
    return figure


def ratio_of(picture: HostingPicture) -> float:
    """Return how much longer a degree of latitude is than one of longitude; 1 where there are no degrees."""
    if not picture.degrees:
        return 1.0
    return 1.0 / max(float(np.cos(np.radians(np.nanmean(picture.xy[:, 1])))), 0.01)


def _title(words: str, picture: HostingPicture) -> str:
    return f"{words} ({picture.what})" if picture.what else words


def bus_words(table: pd.DataFrame) -> list[str]:
    """Return what is known of each bus of published answers, in lines that plotly shows."""
    said = []
    for bus, row in zip(table.index.tolist(), table.to_dict("records"), strict=True):
        where = f" at {row['element']}" if row["element"] else ""
        lines = [
            f"<b>bus {bus} {text(str(row['bus_name']))}</b>, {row['vn_kv']:g} kV",
            f"{row['capacity_mw']:.4g} MW, {text(str(row['limit']))}{text(where)}",
        ]
        if np.isfinite(row["next_mw"]):
            next_at = f" at {row['next_element']}" if row["next_element"] else ""
            lines.append(f"next {row['next_mw']:.4g} MW, {text(str(row['next_limit']))}{text(next_at)}")
        if row["outage"]:
            lines.append(f"while {text(str(row['outage']))} is out")
        if row["bank"]:
            lines.append(f"fed by {text(str(row['bank']))}, feeder {text(str(row['feeder']) or 'none')}")
        said.append("<br>".join(lines))
    return said


def _network(figure: go.Figure, picture: HostingPicture) -> None:
    x: list[float | None] = []
    y: list[float | None] = []
    for course in picture.course:
        x += [*np.round(course[:, 0], 7).tolist(), None]
        y += [*np.round(course[:, 1], 7).tolist(), None]
    line = {"color": _NETWORK, "width": 1.1 if len(picture.course) <= 600 else 0.6}
    figure.add_trace(go.Scatter(x=x, y=y, mode="lines", name="the net", line=line, hoverinfo="skip", showlegend=False))


def _axes(figure: go.Figure, picture: HostingPicture) -> None:
    hidden = {"showgrid": False, "showline": False, "showticklabels": False, "ticks": ""}
    figure.update_xaxes(**hidden, constrain="domain")
    figure.update_yaxes(**hidden, scaleanchor="x", scaleratio=ratio_of(picture), constrain="domain")
    figure.update_layout(margin={"l": 8, "r": 8}, font={"color": INK})
