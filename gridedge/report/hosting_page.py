"""The report of hosting capacity: answer, map, tables and what was not studied, in one file without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from markupsafe import Markup

from gridedge.plot.binding import LOOKS, counts
from gridedge.report.page import render, write_whole
from gridedge.report.plots import Plot, drawn
from gridedge.report.result import Assuming
from gridedge.report.tables import assumption_rows, manifest_groups
from gridedge.report.tables import marks as count_marks
from gridedge.report.words import moment, number

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from gridedge.plot.hosting_map import HostingPicture

_SHOWN = 10  # buses at either end of the table


class HostingStudy(Assuming, Protocol):
    """The parts of a hosting study's result that its report shows."""

    @property
    def title(self) -> str:
        """Title of the study."""

    @property
    def question(self) -> str:
        """What was asked, in plain sentences."""

    @property
    def answer(self) -> Sequence[str]:
        """What came out, in sentences."""

    @property
    def facts(self) -> Sequence[tuple[str, str]]:
        """What was asked of what: labels, and values with their units."""

    @property
    def notes(self) -> Sequence[str]:
        """What a reader must know before trusting a number."""

    @property
    def table(self) -> pd.DataFrame:
        """By bus, the fields of published maps."""

    @property
    def bottlenecks(self) -> Sequence[Mapping[str, Any]]:
        """The elements that stop most buses."""

    @property
    def limits(self) -> Sequence[Mapping[str, str]]:
        """What was held, by whom it is asked, and how well that is known."""

    @property
    def not_studied(self) -> Sequence[str]:
        """What the answer says nothing about."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Versions, hashes, engine, measured error; may be nested."""

    @property
    def picture(self) -> HostingPicture | None:
        """What is drawn."""

    @property
    def not_drawn(self) -> str:
        """Why there is no map."""

    @property
    def no_places(self) -> str:
        """Why there are no places on the earth; empty where there are."""

    @property
    def requested_mw(self) -> float | None:
        """A wished size, in MW."""


@dataclass(frozen=True)
class BusRow:
    """One bus as the table shows it."""

    bus: str
    name: str
    kv: str
    capacity: str
    colour: str
    binding: str
    limit: str
    element: str
    when: str
    following: str
    fed: str


def write_hosting_report(result: HostingStudy, path: Path) -> None:
    """Write the report; a file that is there is replaced when the new one is complete.

    Parameters
    ----------
    result : HostingStudy
        What the study found.
    path : Path
        The HTML file; its folder is made if need be.
    """
    write_whole(hosting_page(result), path)


def hosting_page(result: HostingStudy) -> str:
    """Return the report as HTML; the same result gives the same text."""
    table = result.table
    ordered = table.assign(_bound=table["binding"] != "not bound").sort_values(
        ["_bound", "capacity_mw"], ascending=[True, False], kind="stable"
    )
    most, least = ordered.head(_SHOWN), ordered.tail(max(0, min(_SHOWN, len(ordered) - _SHOWN)))
    return render(
        "hosting.html.jinja",
        result=result,
        classes=[(name, count, LOOKS[name].colour) for name, count in counts(table["binding"]).items()],
        most=_rows(most),
        least=_rows(least.iloc[::-1]),
        every=_rows(table),
        bottlenecks=[
            {**row, "range": _range(row["low_mw"], row["high_mw"]), "colour": LOOKS[row["binding"]].colour}
            for row in result.bottlenecks
        ],
        assumptions=assumption_rows(result),
        marks=count_marks(result),
        manifest=manifest_groups(result.manifest),
        plots=[(plot, Markup(plot.data)) for plot in _plots(result)],
    )


def _plots(result: HostingStudy) -> list[Plot]:
    from gridedge.errors import bad
    from gridedge.plot import capacities, hosting_map

    def of(draw: Any, *more: Any) -> Any:
        def made() -> go.Figure:
            if result.picture is None:
                raise bad(result.not_drawn or "there is no picture of the net", "", "Give its buses coordinates.")
            return draw(result.picture, *more)

        return made

    return [
        drawn(
            "plot-binding", "What stops a site, bus by bus", of(hosting_map.binding_figure),
            "Colour and shape say which limit breaks first when a site grows at that bus alone; the area of a mark "
            "grows with what fits. Point at a mark for its figures; click an entry of the legend to hide it.",
        ),
        drawn(
            "plot-capacity", "How much fits, bus by bus", of(hosting_map.capacity_figure),
            "The scale ends where 95 % of the buses lie below; an open mark has no limit that binds as far as the "
            "search went.",
        ),
        drawn(
            "plot-sorted", "How many buses take how much", of(capacities.sorted_figure, result.requested_mw),
            "Every bus once, the largest first, coloured by what stops it. Where nothing binds, and where a bus takes "
            "far more than nearly all others, it stands at the upper edge. Capacities do not add up: each bus is asked "
            "alone.",
        ),
    ]  # fmt: skip


def _rows(table: pd.DataFrame) -> list[BusRow]:
    rows = []
    for bus, row in zip(table.index.tolist(), table.to_dict("records"), strict=True):
        outage = f", while {row['outage']} is out" if row["outage"] else ""
        following = ""
        if np.isfinite(row["next_mw"]):
            at = f" at {row['next_element']}" if row["next_element"] else ""
            following = f"{number(row['next_mw'])} MW: {row['next_limit']}{at}"
        fed = ", ".join(filter(None, (str(row["bank"]), f"feeder {row['feeder']}" if row["feeder"] else "")))
        rows.append(
            BusRow(
                str(bus), str(row["bus_name"]), f"{row['vn_kv']:g}", number(row["capacity_mw"]),
                LOOKS[row["binding"]].colour, str(row["binding"]), str(row["limit"]) + outage, str(row["element"]),
                moment(row["time_s"]) if np.isfinite(row["time_s"]) else "", following, fed,
            )
        )  # fmt: skip
    return rows


def _range(low: float, high: float) -> str:
    return number(low) if number(low) == number(high) else f"{number(low)} to {number(high)}"
