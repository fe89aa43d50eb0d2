"""The figures of a fleet study's report: which there are, and how to read each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gridedge.errors import InputError
from gridedge.report.plots import Plot, drawn

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from gridedge.report.fleet_page import FleetStudy


def maps(result: FleetStudy, layouts: Sequence[str]) -> tuple[list[Plot], str]:
    """Return a map per layout, and how to read them."""
    from gridedge.plot.fleet_map import fleet_picture, layout_figure

    try:
        picture = fleet_picture(result.sites, result.drawing, result.places)
    except InputError as error:
        return [Plot("plot-map-1", "Map", "", reason=str(error))], ""

    def of(label: str) -> Callable[[], go.Figure]:
        return lambda: layout_figure(picture, label)

    made = [drawn(f"plot-map-{k}", label, of(label), "") for k, label in enumerate(layouts, start=1)]
    words = (
        "Colour and shape say what stops more at a site's bus, if it alone grew there at the heaviest hour; open marks "
        "are bound by nothing as far as the search went. The area of a mark grows with the size of the site, down to a "
        "least one. All panels have one scale. Point at a mark for its figures."
    )
    if picture.what:
        lacking = int(result.sites[["lat", "lon"]].isna().any(axis=1).sum())
        words += f" This is {picture.what}: {lacking} of {len(result.sites)} sites have no coordinates."
        hidden = int((~np.isfinite(picture.xy)).any(axis=1).sum())
        if hidden:
            words += f" Not drawn, outside the largest part of the net that hangs together: {hidden} of them."
    elif picture.places:
        words += " Grey circles: where people ask, by the weight that the study gives them."
    if picture.moved:
        apart = f"{picture.apart:.1f} km" if picture.degrees else f"{picture.apart:.2g} of the scheme's width"
        one = picture.moved == 1
        where = f"place of {'its' if one else 'their'} town" if picture.degrees else "bus"
        who = f"One site shares the {where}" if one else f"{picture.moved} sites share the {where}"
        words += (
            f" {who} with another one and {'is' if one else 'are'} drawn beside it, on a spiral of {apart} a step: "
            "that is for the eye, and says nothing of where a site is."
        )
    return made, words


def week(result: FleetStudy) -> list[Plot]:
    """Return the week with the heaviest hour."""
    from gridedge.plot.fleet_week import week_figure

    if not result.week:
        return []
    load, words = result.year["p_load_mw"].values, ""
    if np.isfinite(load).any():
        passed = np.timedelta64(round(float(result.year["time"].values[np.nanargmax(load)])), "s")
        words = f", {str(np.datetime64(str(result.year.attrs['start']), 's') + passed).replace('T', ' ')[:16]},"
    return [
        drawn(
            "plot-week", "A week with the heaviest hour: load by tier", lambda: week_figure(result.week, result.year),
            "Power at the meters, means of steps, local time; the panels of the layouts have one scale. The heaviest "
            f"hour{words} is that of the net's own load.",
        )
    ]  # fmt: skip


def losses(result: FleetStudy) -> list[Plot]:
    """Return the loss of the largest site over time, a figure per layout."""
    from gridedge.plot.fleet_loss import loss_figure

    def of(label: str) -> Callable[[], go.Figure]:
        return lambda: loss_figure(label, result.lost[label])

    return [drawn(f"plot-loss-{k}", label, of(label), "") for k, label in enumerate(result.lost, start=1)]


def steps(result: FleetStudy) -> list[Plot]:
    """Return the voltage step by lost site."""
    from gridedge.plot.fleet_loss import steps_figure

    if not result.lost_grid:
        return []
    return [
        drawn(
            "plot-steps", "The largest voltage step", lambda: steps_figure(result.lost_grid),
            "Every mark is one site lost at the heaviest hour, before its load lands elsewhere; its height is the step "
            "of the bus that sees most. Points are moved sideways only to tell them apart.",
        )
    ]  # fmt: skip


def latencies(result: FleetStudy) -> list[Plot]:
    """Return the time to the first token, a figure per class."""
    from gridedge.plot.fleet_latency import classes_of, latency_figure

    def of(key: str) -> Callable[[], go.Figure]:
        return lambda: latency_figure(result.latency, key)

    made = []
    for k, key in enumerate(classes_of(result.latency), start=1):
        late = [
            f"{label} {100.0 * float(ds['late_pu'].sel({'class': key})):.2g} %"
            for label, ds in result.latency.items()
            if key in ds["class"].values
        ]
        made.append(drawn(f"plot-latency-{k}", key, of(key), f"Beyond the bound: {', '.join(late)}."))
    return made


def traces(result: FleetStudy) -> list[Plot]:
    """Return a few minutes of sites, campus and training."""
    from gridedge.plot.fleet_swings import traces_figure

    known = result.traces
    if known is None:
        return []
    return [
        drawn(
            "plot-traces", "The same power, minute by minute", lambda: traces_figure(known),
            "IT power. The first panels have one scale; the last shows the calm loads about their own means.",
        )
    ]  # fmt: skip


def room(result: FleetStudy) -> list[Plot]:
    """Return what every bus takes alone, the largest first."""
    from gridedge.plot.capacities import sorted_figure
    from gridedge.plot.hosting_map import HostingPicture, bus_words

    if result.room.empty:
        return []
    single = bool(result.room["single"].any())
    table = result.room[result.room["single"]] if single else result.room
    picture = HostingPicture(
        np.zeros((len(table), 2)), table["capacity_mw"].to_numpy(float), table["binding"].tolist(), bus_words(table),
        [], False, "",
    )  # fmt: skip
    wanted_mw = float(result.sites["size_mw"].max())
    return [
        drawn(
            "plot-room", "What else would fit", lambda: sorted_figure(picture, wanted_mw),
            (
                "Every bus that the one large site could have"
                if single
                else "Every bus at which a site of some layout stands"
            )
            + f", each asked alone at the heaviest hour; the line is the largest size that was asked for, "
            f"{wanted_mw:g} MW. Capacities do not add up.",
        )
    ]  # fmt: skip
