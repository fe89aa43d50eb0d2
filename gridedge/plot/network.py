"""The feeder, drawn with its coordinates and coloured by what the site does to it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import NDArray

from gridedge.errors import bad
from gridedge.plot.style import INK, LIMIT, MUTED, blank, text

_SCHEMATIC_BUSES = 300  # beyond, the layout takes minutes and shows a knot
# share of the limit up to which a class reaches, its colour and its width in px
_CLASSES = ((0.25, "#b4c0cc", 1.6), (0.50, "#6f93b5", 2.4), (0.75, "#e0a030", 3.4), (1.00, "#d9661f", 4.4))
_BEYOND = (LIMIT, 6.0)
Lines = tuple[list[float | None], list[float | None]]


@dataclass(frozen=True, eq=False)
class NetworkPicture:
    """Where the buses and branches of a net are drawn.

    Parameters
    ----------
    bus_index : ndarray of int, shape (n,)
        Index of the buses in the net.
    bus_xy : ndarray, shape (n, 2), or None
        Their coordinates; None where the net has none, NaN where a bus has none.
    bus_name : list of str
        Their names.
    branch : list of str
        Labels of the branches, ``line:12``, in the order of the results.
    branch_xy : list of ndarray, each of shape (k, 2), or None
        Their courses; an empty one is not drawn.
    site_bus : int
        Index of the bus at which the site connects.
    degrees : bool, optional
        Whether coordinates are longitude and latitude in degrees, whose scales differ; if absent, they are taken
        for such where every one could be.
    branch_bus : ndarray of int, shape (m, 2), optional
        Indices of the two buses of each branch.  A net without coordinates is then drawn as a scheme, and straight
        lines stand in for courses that are not known.
    """

    bus_index: NDArray[np.int64]
    bus_xy: NDArray[np.float64] | None
    bus_name: list[str]
    branch: list[str]
    branch_xy: list[NDArray[np.float64]] | None
    site_bus: int
    degrees: bool | None = None
    branch_bus: NDArray[np.int64] | None = None


def network_figure(
    picture: NetworkPicture,
    seasons: Mapping[str, xr.Dataset],
    *,
    base: xr.Dataset | None = None,
    band_pu: tuple[float | None, float | None] | None = None,
    limit_percent: float | None = None,
    shown: str | None = None,
) -> go.Figure:
    """Draw the feeder: buses by their lowest voltage of the season, branches by their highest loading.

    Parameters
    ----------
    picture : NetworkPicture
        Where things are.
    seasons : mapping of str to xarray.Dataset
        By strategy label: ``vm_pu(time, bus)`` [pu] and ``loading_percent(time, branch)`` [%].
    base : xarray.Dataset, optional
        The season without the site; tells a limit that the site breaks from one that was broken before.
    band_pu : tuple of float or None, optional
        Lowest and highest admissible voltage; buses that leave it are ringed. [pu]
    limit_percent : float, optional
        Admissible loading, 100 % if absent. [%]
    shown : str, optional
        Strategy that is seen first, the last if absent; a menu switches to the others.

    Raises
    ------
    InputError
        If there is no strategy, or neither coordinates nor a scheme can be had.
    """
    if not seasons:
        raise bad("there is no season to draw", "0 strategies", "Give at least one strategy with its power flow.")
    seen_first = shown if shown is not None and shown in seasons else list(seasons)[-1]
    bus_xy, schematic = _places(picture)
    courses = _courses(picture, bus_xy)
    figure = blank(
        "The feeder: where the voltage is lowest and what is fullest" + (" (a scheme, not a map)" if schematic else ""),
        row_px=520,
    )
    low_pu = {label: data["vm_pu"].min("time").reindex(bus=picture.bus_index).values for label, data in seasons.items()}
    scale_pu = _scale_pu(list(low_pu.values()))
    before_pu = None if base is None else _outside(base, picture, band_pu)
    owner: list[str | None] = []
    for label, data in seasons.items():
        before = len(figure.data)
        full_percent = data["loading_percent"].max("time").reindex(branch=picture.branch).values
        _branches(figure, picture, courses, full_percent, limit_percent or 100.0)
        _rings(figure, bus_xy, _outside(data, picture, band_pu), before_pu)
        _buses(figure, picture, bus_xy, low_pu[label], scale_pu)
        owner += [label] * (len(figure.data) - before)
    _site(figure, picture, bus_xy)
    owner.append(None)
    for trace, own in zip(figure.data, owner, strict=True):
        trace.visible = own in (None, seen_first)
    _menu(figure, list(seasons), owner, seen_first)
    _map_axes(figure, picture, bus_xy)
    return figure


def _places(picture: NetworkPicture) -> tuple[NDArray[np.float64], bool]:
    if picture.bus_xy is not None and np.isfinite(picture.bus_xy).all(axis=1).any():
        return picture.bus_xy, False
    n = len(picture.bus_index)
    if picture.branch_bus is None or n > _SCHEMATIC_BUSES:
        raise bad("this net has no coordinates", f"{n} buses", "Give its buses coordinates to have it drawn.")
    import networkx as nx

    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(picture.bus_index.tolist())
    graph.add_edges_from(picture.branch_bus.tolist())
    if not nx.is_connected(graph):
        raise bad("this net has no coordinates, and it falls into parts that no scheme can place",
                  f"{nx.number_connected_components(graph)} parts", "Give its buses coordinates.")  # fmt: skip
    place = nx.kamada_kawai_layout(graph)
    return np.array([place[bus] for bus in picture.bus_index.tolist()], dtype=np.float64), True


def _courses(picture: NetworkPicture, bus_xy: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the course of each branch; the straight line between its buses where only these are known."""
    known = picture.branch_xy or [np.empty((0, 2))] * len(picture.branch)
    if picture.branch_bus is None:
        return list(known)
    row = {bus: k for k, bus in enumerate(picture.bus_index.tolist())}
    straight = [bus_xy[[row[a], row[b]]] for a, b in picture.branch_bus.tolist()]
    return [course if len(course) else line for course, line in zip(known, straight, strict=True)]


def _scale_pu(low_pu: list[NDArray[np.float64]]) -> tuple[float, float]:
    """Return one colour scale for all strategies, so that switching compares them."""
    seen = np.concatenate(low_pu)
    seen = seen[np.isfinite(seen)]
    if not seen.size:
        raise bad("no step of the season converged", "every vm_pu is NaN", "Look at converged(time) of the result.")
    return float(seen.min()), max(float(seen.max()), float(seen.min()) + 1e-4)


def _outside(
    data: xr.Dataset, picture: NetworkPicture, band_pu: tuple[float | None, float | None] | None
) -> NDArray[np.bool_]:
    low, high = band_pu or (None, None)
    vm_pu = data["vm_pu"].reindex(bus=picture.bus_index)
    out = np.zeros(len(picture.bus_index), dtype=np.bool_)
    if low is not None:
        out |= (vm_pu.min("time") < low).values
    if high is not None:
        out |= (vm_pu.max("time") > high).values
    return out


def _branches(
    figure: go.Figure,
    picture: NetworkPicture,
    courses: list[NDArray[np.float64]],
    full_percent: NDArray[np.float64],
    limit_percent: float,
) -> None:
    edges = [0.0] + [share * limit_percent for share, _, _ in _CLASSES]
    looks = [(colour, width) for _, colour, width in _CLASSES] + [_BEYOND]
    # an upper edge belongs to the class below it: at the limit is not beyond the limit
    kind = np.searchsorted(edges[1:], full_percent, side="left")
    names = [f"{a:g} to {b:g} %" for a, b in itertools.pairwise(edges)] + [f"beyond {limit_percent:g} % (squared)"]
    unknown = ~np.isfinite(full_percent)
    _course_trace(figure, courses, unknown, "no rating or no result", MUTED, 1.0, "dot")
    for k, (name, (colour, width)) in enumerate(zip(names, looks, strict=True)):
        _course_trace(figure, courses, ~unknown & (kind == k), f"loading {name}", colour, width, "solid")
    middle = [(k, course.mean(axis=0)) for k, course in enumerate(courses) if len(course)]
    # a transformer's line is often too short to be seen: what is beyond the limit is squared too
    beyond = [bool(full_percent[k] > limit_percent) for k, _ in middle]
    figure.add_trace(
        go.Scatter(
            x=[xy[0] for _, xy in middle], y=[xy[1] for _, xy in middle], mode="markers", showlegend=False,
            marker={
                "size": [14 if out else 9 for out in beyond],
                "symbol": ["square-open" if out else "circle" for out in beyond],
                "color": [LIMIT if out else "rgba(0,0,0,0)" for out in beyond],
            },
            name="branches", hovertemplate="%{text}<extra></extra>",
            text=[f"{text(picture.branch[k])}: {_shown(full_percent[k], '.1f', '%')}" for k, _ in middle],
        )
    )  # fmt: skip


def _course_trace(
    figure: go.Figure, courses: list[NDArray[np.float64]], chosen: NDArray[np.bool_], name: str, colour: str,
    width: float, dash: str,
) -> None:  # fmt: skip
    x: list[float | None] = []
    y: list[float | None] = []
    for course in (courses[k] for k in np.flatnonzero(chosen) if len(courses[k])):
        x += [*course[:, 0].tolist(), None]
        y += [*course[:, 1].tolist(), None]
    if x:
        line = {"color": colour, "width": width, "dash": dash}
        figure.add_trace(go.Scatter(x=x, y=y, mode="lines", name=name, line=line, hoverinfo="skip"))


def _buses(
    figure: go.Figure, picture: NetworkPicture, bus_xy: NDArray[np.float64], low_pu: NDArray[np.float64],
    scale_pu: tuple[float, float],
) -> None:  # fmt: skip
    bar = {
        "orientation": "h", "y": 1.0, "yanchor": "bottom", "thickness": 10, "len": 0.9, "x": 0.5, "tickformat": ".3f",
        "nticks": 5, "title": {"text": "lowest voltage of the season [pu]", "side": "top"}, "outlinewidth": 0,
    }  # fmt: skip
    named = zip(picture.bus_index.tolist(), picture.bus_name, low_pu, strict=True)
    figure.add_trace(
        go.Scatter(
            x=bus_xy[:, 0], y=bus_xy[:, 1], mode="markers", name="buses", showlegend=False,
            marker={
                "size": _bus_px(len(low_pu)), "color": low_pu, "colorscale": "Viridis",
                "cmin": scale_pu[0], "cmax": scale_pu[1],
                "line": {"width": 0.6, "color": "#ffffff"}, "colorbar": bar,
            },
            text=[f"bus {bus} {text(name)}: {_shown(low, '.4f', 'pu')}" for bus, name, low in named],
            hovertemplate="%{text}<extra></extra>",
        )
    )  # fmt: skip


def _rings(
    figure: go.Figure, bus_xy: NDArray[np.float64], outside: NDArray[np.bool_], before: NDArray[np.bool_] | None
) -> None:
    if before is None:
        kinds = [(outside, "beyond a voltage limit", LIMIT, 2.0)]
    else:
        kinds = [
            (outside & before, "beyond a voltage limit, without the site too", MUTED, 1.0),
            (outside & ~before, "beyond a voltage limit because of the site", LIMIT, 2.0),
        ]
    for chosen, name, colour, width in kinds:
        if chosen.any():
            marker = {"size": 13, "symbol": "circle-open", "color": colour, "line": {"width": width}}
            x, y = bus_xy[chosen].T
            figure.add_trace(go.Scatter(x=x, y=y, mode="markers", name=name, marker=marker, hoverinfo="skip"))


def _in_degrees(picture: NetworkPicture, bus_xy: NDArray[np.float64]) -> bool:
    if picture.degrees is not None:
        return picture.degrees
    return bool(np.nanmax(np.abs(bus_xy[:, 0])) <= 180 and np.nanmax(np.abs(bus_xy[:, 1])) <= 85)


def _bus_px(n: int) -> int:
    """Return how large a bus is drawn: small enough to leave the lines of a large net visible."""
    return 9 if n <= 60 else 6 if n <= 400 else 4


def _site(figure: go.Figure, picture: NetworkPicture, bus_xy: NDArray[np.float64]) -> None:
    at = bus_xy[picture.bus_index == picture.site_bus]
    figure.add_trace(
        go.Scatter(
            x=at[:, 0], y=at[:, 1], mode="markers", name="the site",
            marker={"size": 17, "symbol": "diamond-open", "color": INK, "line": {"width": 2.5}},
            hovertemplate=f"the site, at bus {picture.site_bus}<extra></extra>",
        )
    )  # fmt: skip


def _shown(value: float, form: str, unit: str) -> str:
    return f"{value:{form}} {unit}" if np.isfinite(value) else "no rating or no result"


def _menu(figure: go.Figure, labels: list[str], owner: list[str | None], shown: str) -> None:
    buttons = [
        {
            "label": text(f"strategy: {label}"),
            "method": "restyle",
            "args": [{"visible": [own in (None, label) for own in owner]}],
        }
        for label in labels
    ]
    figure.update_layout(
        updatemenus=[
            {
                "buttons": buttons, "active": labels.index(shown),
                "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom",
                "bgcolor": "#ffffff", "bordercolor": MUTED, "pad": {"b": 62}, "font": {"size": 12},
            }
        ]
    )  # fmt: skip


def _map_axes(figure: go.Figure, picture: NetworkPicture, bus_xy: NDArray[np.float64]) -> None:
    ratio = 1.0
    if picture.bus_xy is not None and _in_degrees(picture, bus_xy):
        ratio = 1.0 / max(float(np.cos(np.radians(np.nanmean(bus_xy[:, 1])))), 0.01)
    hidden = {"showgrid": False, "showline": False, "showticklabels": False, "ticks": ""}
    figure.update_xaxes(**hidden, constrain="domain")
    figure.update_yaxes(**hidden, scaleanchor="x", scaleratio=ratio, constrain="domain")
    figure.update_layout(margin={"t": 112, "l": 8, "r": 8})
