"""The answers with the fields that utilities publish on their maps of hosting capacity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gridedge.grid.feeding import feeding, transformer_labels
from gridedge.grid.places import places
from gridedge.planning.hosting.result import NOT_BOUND, HostingResult

if TYPE_CHECKING:
    import pandas as pd

_CLASS = {
    "low": "voltage too low",
    "high": "voltage too high",
    "step": "voltage step",
    "flicker": "flicker",
    "rapid_change": "rapid voltage change",
    "losses": "losses",
    "supply": "supply",
    "collapse": "collapse",
}
BINDING = (
    "voltage too low", "voltage too high", "line", "transformer", "voltage step", "flicker", "rapid voltage change",
    "losses", "outage", "supply", "collapse", "other", NOT_BOUND,
)  # fmt: skip
"""Classes of what binds, in the order of legends."""
NOT_KNOWN = ("queued_load_mw", "queued_generation_mw", "cost_share", "series_link")
"""Fields of published maps that no net knows; left empty, so that a utility may fill them in."""


def binding(kind: str, element: str, outage: str, limit: str, transformers: set[str] | frozenset[str]) -> str:
    """Return the class of what binds, one of ``BINDING``.

    Parameters
    ----------
    kind, element, outage, limit : str
        As in a :class:`~gridedge.planning.hosting.result.HostingResult`.
    transformers : set of str
        Labels of the branches that change the voltage.
    """
    if limit == NOT_BOUND:
        return NOT_BOUND
    if outage:
        return "outage"
    if kind == "loading":
        return "transformer" if element in transformers else "line"
    return _CLASS.get(kind, "other")


def published(found: HostingResult, net: Any, date: str) -> pd.DataFrame:
    """Return the answers with the fields of published maps.

    Parameters
    ----------
    found : HostingResult
        The answers.
    net : pandapowerNet
        The net they are about.
    date : str
        When they were found, ``2026-11-22``.

    Returns
    -------
    DataFrame
        By bus index.  ``date``; ``bus_name``, ``vn_kv`` [kV]; ``substation``, ``bank``, ``bank_mva`` [MVA], ``feeder``
        as :func:`gridedge.grid.feeding.feeding` gives them; ``capacity_mw``; ``feeder_min_mw`` and ``feeder_max_mw``,
        lowest and highest capacity of the buses that were asked on the same feeder [MW]; ``binding``, the class of
        ``BINDING``; what binds and what is next, as in the result; ``hour``, hours from the start of the series [h];
        ``load_mw`` and ``generation_mw`` at the bus, ``feeder_load_mw`` and ``feeder_generation_mw`` on its feeder as
        the net stands [MW]; ``lon``, ``lat`` [degree, WGS 84], NaN where the net has no places on the earth; and
        ``NOT_KNOWN``, empty.

    Notes
    -----
    The fields are those of the pop-ups of the New York joint utilities: date, local capacity, substation or bank,
    feeder, bank rating, voltage, lowest and highest capacity, the criterion violated, items of cost sharing, queued
    and connected generation, a link to the year's series.  Their bank rating is in MW; a net knows MVA.
    """
    table = found.table()
    fed = feeding(net)
    transformers = transformer_labels(net)
    here = fed.loc[table.index]
    result = table.copy()
    result.insert(0, "date", date)
    for place, name in enumerate(("vn_kv", "substation", "bank", "bank_mva", "feeder"), start=2):
        result.insert(place, name, here[name])
    rows = zip(table["kind"], table["element"], table["outage"], table["limit"], strict=True)
    result.insert(result.columns.get_loc("limit"), "binding", [binding(*row, transformers) for row in rows])  # type: ignore[arg-type]
    result["hour"] = table["time_s"] / 3600.0
    whole = fed[fed["feeder"] != ""].groupby("feeder")[["load_mw", "generation_mw"]].sum()
    asked = table.loc[here["feeder"] != "", "capacity_mw"].groupby(here["feeder"])
    result["feeder_min_mw"] = here["feeder"].map(asked.min())
    result["feeder_max_mw"] = here["feeder"].map(asked.max())
    for name in ("load_mw", "generation_mw"):
        result[name] = here[name]
        result[f"feeder_{name}"] = here["feeder"].map(whole[name])
    lie = places(net)
    lonlat = np.full((len(net.bus), 2), np.nan)
    if lie.geographic and lie.xy is not None:
        lonlat = lie.xy
    at = net.bus.index.get_indexer(table.index)
    result["lon"], result["lat"] = lonlat[at, 0], lonlat[at, 1]
    for name in NOT_KNOWN:
        result[name] = ""
    return result
