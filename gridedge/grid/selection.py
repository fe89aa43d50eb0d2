"""Buses by what they are: those with a supply, those with a load, those of a region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gridedge.errors import bad, nearest
from gridedge.grid.buses import find_bus


def select_buses(
    net: Any, which: str | Sequence[int | str], within: Mapping[str, Any] | None = None
) -> tuple[list[int], list[str]]:
    """Return the indices of buses, and what has to be said about the choice.

    Parameters
    ----------
    net : pandapowerNet
        Not changed.
    which : {"all", "loads"} or sequence of int or str
        All buses with a supply, those of them at which a load in service stands, or indices and names.
    within : mapping, optional
        Columns of ``net.bus`` and the value that they must have; a name of a region may be text or number.

    Raises
    ------
    InputError
        If a bus or a column is unknown, or nothing is left.
    """
    from pandapower.topology import unsupplied_buses

    said: list[str] = []
    if isinstance(which, str):
        dark = unsupplied_buses(net)
        out = set(net.bus.index[~net.bus["in_service"].astype(bool)].tolist())
        chosen = [int(b) for b in net.bus.index if b not in dark and b not in out]
        if which == "loads":
            loads = net.load.loc[net.load["in_service"].astype(bool), "bus"]
            at = set(loads.tolist())
            chosen = [b for b in chosen if b in at]
        left = len(dark | out)
        if left and which == "all":
            words = "1 bus is out of service or has" if left == 1 else f"{left} buses are out of service or have"
            said.append(f"{words} no supply: left out.")
    else:
        chosen = [find_bus(net, b)[0] for b in which]
    for column, value in (within or {}).items():
        if column not in net.bus.columns:
            raise bad("the buses of this net have no such column", column, nearest(column, map(str, net.bus.columns)))
        kept = [b for b in chosen if _same(net.bus.at[b, column], value)]
        if not kept:
            there = sorted({str(_plain(v)) for v in net.bus.loc[chosen, column].dropna()})
            shown = ", ".join(there[:12]) + (", ..." if len(there) > 12 else "")
            cure = f"There are: {shown}." if there else f"The net fills {column} for none of them: leave it out."
            raise bad("no bus is left", f"{column}: {value}", cure)
        chosen = kept
    if not chosen:
        raise bad("no bus is left", str(which), "No load in service has a supply; write buses: all.")
    return chosen, said


def _same(own: Any, wanted: Any) -> bool:
    if own is None or (isinstance(own, float) and np.isnan(own)):  # the net says nothing of this bus
        return False
    if isinstance(wanted, int | float) and not isinstance(own, str):
        return bool(np.isclose(float(own), float(wanted), rtol=1e-9, atol=0.0))
    return str(_plain(own)) == str(wanted)


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float | np.floating) and float(value).is_integer() else value
