"""The sites of a fleet on the map, coloured by what binds at their buses; on a scheme where there are no places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from gridedge.grid.drawing import Drawing
from gridedge.plot.binding import LOOKS, counts
from gridedge.plot.scheme import scheme
from gridedge.plot.style import MUTED, blank, text

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]
_KM_PER_DEGREE = 111.2  # of latitude, on a sphere of 6371 km
_SPREAD = 0.017  # of the map's height between neighbours of one place: two marks of the least size touch
_LARGEST_PX, _LEAST_PX, _PLACE_PX = 34.0, 9.0, 26.0
_WIDTH_PX = 480.0  # of a panel on a desk: its height follows
_NETWORK, _PEOPLE = "#b8c2cc", "#d5dae0"
_NAME_WIDE, _NAME_HIGH = 0.32, 0.1  # of the map's height: room of a name on a phone
_NEAR_EDGE = 0.14  # of the map's width: a name there would be cut
_NAMED = 7  # places whose names are written


class Asking(Protocol):
    """Where people ask."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def lat(self) -> float:
        """Degrees north."""

    @property
    def lon(self) -> float:
        """Degrees east."""

    @property
    def weight(self) -> float:
        """Share of the people, in any unit."""


@dataclass(frozen=True, eq=False)
class FleetPicture:
    """What is drawn of the sites of all layouts.

    Parameters
    ----------
    sites : DataFrame
        By site: ``layout``, ``site``, ``bus``, ``bus_name``, ``vn_kv`` [kV], ``size_mw``, ``mean_mw``, ``peak_mw``,
        ``capacity_mw`` [MW], ``binding``, ``limit``, ``element``, ``step_percent`` [%].
    xy : ndarray, shape (site, 2)
        Where each mark stands: longitude and latitude, or a place in the scheme; NaN for a site at a bus that hangs
        together with no large part of the net, which is not drawn.
    moved : int
        Marks that stand beside the place of their site, because others have the same.
    apart : float
        Distance of two neighbours so moved, in km on a map, in the units of the scheme else.
    course : list of ndarray, each of shape (point, 2)
        Branches of the net; none on a map of a net without coordinates.
    places : sequence of Asking
        Where people ask; drawn on a map only.
    degrees : bool
        Whether ``xy`` are longitude and latitude.
    what : str
        "" for a map; else what the drawing is instead.
    ratio : float
        How much longer a degree of latitude is than one of longitude; 1 where there are no degrees.
    """

    sites: pd.DataFrame
    xy: Float
    moved: int
    apart: float
    course: list[Float]
    places: Sequence[Asking]
    degrees: bool
    what: str
    ratio: float

    @property
    def box(self) -> Float:
        """West, east, south, north of all that is drawn, shape (2, 2), with a margin."""
        points = [self.xy, *([np.array([[p.lon, p.lat] for p in self.places])] if self.places else [])]
        drawn = np.concatenate(points + ([] if self.degrees else [np.concatenate(self.course)] if self.course else []))
        low, high = np.nanmin(drawn, axis=0), np.nanmax(drawn, axis=0)
        least = 0.2 if self.degrees else 1e-3
        margin = np.maximum(0.08 * (high - low), least / 2)
        return np.stack([low - margin, high + margin], axis=1)


def fleet_picture(sites: pd.DataFrame, net: Drawing, places: Sequence[Asking] = ()) -> FleetPicture:
    """Return what is drawn of the sites.

    Parameters
    ----------
    sites : DataFrame
        Every site of every layout, with ``lat`` and ``lon`` [degree], NaN where they are not known.
    net : Drawing
        The whole net.
    places : sequence of Asking
        Where people ask.

    Raises
    ------
    InputError
        If a site has no coordinates, and the net neither coordinates nor branches.

    Notes
    -----
    Sites of one layout at one place are spread on a spiral of even density (the sunflower's: the k-th at the golden
    angle from the one before, at a distance in proportion to sqrt(k)), the first at the place itself.
    """
    where = sites[["lon", "lat"]].to_numpy(float)
    degrees = bool(np.isfinite(where).all())
    what, course = "", []
    if not degrees:
        xy = net.places.xy
        what = "a drawing, not a map"
        if xy is None:
            xy = scheme(net.bus.size, net.ends, net.z_ohm)
            what = "a scheme, not a map: near means electrically near"
        at = {bus: k for k, bus in enumerate(net.bus.tolist())}
        where = xy[[at[bus] for bus in sites["bus"].tolist()]]
        course = _courses(net, xy)
    elif net.places.geographic and net.places.xy is not None:
        course = _courses(net, net.places.xy)
    ratio = _ratio(where) if degrees else 1.0
    drawn = np.concatenate([where, *([np.array([[p.lon, p.lat] for p in places])] if places and degrees else [])])
    span = np.nanmax(drawn, axis=0) - np.nanmin(drawn, axis=0) if np.isfinite(drawn).any() else np.zeros(2)
    step = _SPREAD * max(float(span.max()), 0.2 if degrees else 1e-3)
    shift = np.zeros_like(where)
    seen: dict[tuple[Any, ...], int] = {}
    for k, key in enumerate(zip(sites["layout"], *np.round(where, 4).T.tolist(), strict=True)):
        if not np.isfinite(where[k]).all():
            continue  # nowhere in the scheme: beside nobody
        nth = seen[key] = seen.get(key, -1) + 1
        angle = nth * np.pi * (3.0 - np.sqrt(5.0))
        shift[k] = step * np.sqrt(nth) * np.array([ratio * np.cos(angle), np.sin(angle)])
    apart = step * (_KM_PER_DEGREE if degrees else 1.0)
    return FleetPicture(
        sites, where + shift, int(shift.any(axis=1).sum()), apart, course, list(places) if degrees else [], degrees,
        what, ratio,
    )  # fmt: skip


def layout_figure(picture: FleetPicture, layout: str) -> go.Figure:
    """Draw the sites of one layout: colour and shape by what binds at the bus, area by the size of the site.

    All layouts of a picture have one scale, for places and for sizes.
    """
    (west, east), (south, north) = picture.box
    high = _WIDTH_PX * (north - south) * picture.ratio / (east - west)
    figure = blank(layout, row_px=round(float(np.clip(high, 200.0, 480.0))))
    _below(figure, picture)
    mine = np.flatnonzero((picture.sites["layout"] == layout).to_numpy())
    largest = float(picture.sites["size_mw"].max())
    table = picture.sites.iloc[mine]
    size = np.maximum(_LARGEST_PX * np.sqrt(table["size_mw"].to_numpy(float) / largest), _LEAST_PX)
    said = site_words(table)
    classes = table["binding"].to_numpy(object)
    for name, count in counts(classes).items():
        here = np.flatnonzero(classes == name)
        look = LOOKS[name]
        open_ = name == "not bound"
        figure.add_trace(
            go.Scatter(
                x=picture.xy[mine[here], 0], y=picture.xy[mine[here], 1], mode="markers",
                name=text(f"{name} ({count})"), text=[said[k] for k in here], hovertemplate="%{text}<extra></extra>",
                marker={
                    "size": size[here], "color": look.colour, "symbol": look.symbol, "opacity": 0.92,
                    "line": {"width": 1.6 if open_ else 0.7, "color": MUTED if open_ else "#ffffff"},
                },
            )
        )  # fmt: skip
    _axes(figure, picture)
    return figure


def site_words(table: pd.DataFrame) -> list[str]:
    """Return what is known of each site, in lines that plotly shows."""
    said = []
    for row in table.to_dict("records"):
        where = f" at {row['element']}" if row["element"] else ""
        lines = [
            f"<b>{text(str(row['site']))}</b>, {row['size_mw']:.5g} MW",
            f"bus {row['bus']} {text(str(row['bus_name']))}, {row['vn_kv']:g} kV",
            f"draws {row['mean_mw']:.4g} MW on average, {row['peak_mw']:.4g} MW at most",
            f"alone the bus takes {row['capacity_mw']:.4g} MW: {text(str(row['limit']))}{text(where)}",
        ]
        if np.isfinite(row["step_percent"]):
            lines.append(f"when it is lost, the voltage steps by up to {row['step_percent']:.2g} %")
        said.append("<br>".join(lines))
    return said


def _ratio(xy: Float) -> float:
    return 1.0 / max(float(np.cos(np.radians(np.nanmean(xy[:, 1])))), 0.01)


def _courses(net: Drawing, xy: Float) -> list[Float]:
    course = [known if len(known) else xy[pair] for known, pair in zip(net.course, net.ends.tolist(), strict=True)]
    return [c for c in course if np.isfinite(c).all()]


def _below(figure: go.Figure, picture: FleetPicture) -> None:
    """Draw what lies below the sites: the net, and where people ask."""
    if picture.course:
        x: list[float | None] = []
        y: list[float | None] = []
        for course in picture.course:
            x += [*np.round(course[:, 0], 4).tolist(), None]
            y += [*np.round(course[:, 1], 4).tolist(), None]
        line = {"color": _NETWORK, "width": 1.1 if len(picture.course) <= 600 else 0.5}
        figure.add_trace(go.Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False))
    if not picture.places:
        return
    weight = np.array([p.weight for p in picture.places], dtype=float)
    size = np.maximum(_PLACE_PX * np.sqrt(weight / max(float(weight.max()), 1e-12)), 5.0)
    share = 100.0 * weight / max(float(weight.sum()), 1e-12)
    figure.add_trace(
        go.Scatter(
            x=[p.lon for p in picture.places], y=[p.lat for p in picture.places], mode="markers", name="people",
            marker={"size": size, "color": _PEOPLE, "line": {"width": 0}},
            text=[f"{text(p.name)}: {s:.2g} % of the people" for p, s in zip(picture.places, share, strict=True)],
            hovertemplate="%{text}<extra></extra>",
        )
    )  # fmt: skip
    (west, east), (south, north) = picture.box
    named: list[Asking] = []
    for k in np.argsort(-weight, kind="stable").tolist():
        one = picture.places[k]
        across = (one.lon - west) / (east - west)
        if not _NEAR_EDGE < across < 1.0 - _NEAR_EDGE:
            continue
        high = north - south
        near = [
            abs(one.lon - o.lon) / picture.ratio < _NAME_WIDE * high and abs(one.lat - o.lat) < _NAME_HIGH * high
            for o in named
        ]
        if not any(near):
            named.append(one)
        if len(named) == _NAMED:
            break
    figure.add_trace(  # a trace, no annotation: marks lie above the names
        go.Scatter(
            x=[p.lon for p in named], y=[p.lat for p in named], mode="markers+text", hoverinfo="skip", showlegend=False,
            marker={"size": _PLACE_PX, "color": "rgba(0,0,0,0)", "line": {"width": 0}},  # the name stands below it
            text=[text(p.name) for p in named], textfont={"size": 10, "color": MUTED},
            textposition="bottom center",
        )
    )  # fmt: skip


def _axes(figure: go.Figure, picture: FleetPicture) -> None:
    (west, east), (south, north) = picture.box
    hidden = {"showgrid": False, "showline": False, "showticklabels": False, "ticks": "", "constrain": "domain"}
    figure.update_xaxes(**hidden, range=[west, east])
    figure.update_yaxes(**hidden, scaleanchor="x", scaleratio=picture.ratio, range=[south, north])
    figure.update_layout(margin={"l": 8, "r": 8}, legend={"itemsizing": "constant"})
    if picture.degrees:
        _scale_bar(figure, picture)


def _scale_bar(figure: go.Figure, picture: FleetPicture) -> None:
    (west, east), (south, north) = picture.box
    wide_km = (east - west) / picture.ratio * _KM_PER_DEGREE
    round_km = 10.0 ** np.floor(np.log10(0.3 * wide_km))
    long_km = max(k * round_km for k in (1, 2, 5) if k * round_km <= 0.3 * wide_km)
    x0, y0 = west + 0.02 * (east - west), south + 0.02 * (north - south)
    x1 = x0 + long_km / _KM_PER_DEGREE * picture.ratio
    line = {"color": MUTED, "width": 2}
    figure.add_trace(go.Scatter(x=[x0, x1], y=[y0, y0], mode="lines", line=line, hoverinfo="skip", showlegend=False))
    figure.add_annotation(
        text=f"{long_km:g} km", x=(x0 + x1) / 2, y=y0, yanchor="bottom", showarrow=False,
        font={"size": 11, "color": MUTED},
    )  # fmt: skip
