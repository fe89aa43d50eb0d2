"""Towns of a net whose buses are named after them: DALLAS 24 0 is a bus in DALLAS."""

from __future__ import annotations

import re
from typing import Any

from gridedge.errors import bad
from gridedge.grid.buses import bus_names

_NUMBERS = re.compile(r"(?:\s+\d+)+\s*$")


def town_of(name: str) -> str:
    """Return the town in a bus name: the name without the numbers at its end, in capitals."""
    return _NUMBERS.sub("", name.strip()).upper()


def towns(net: Any) -> dict[str, list[int]]:
    """Return the buses in service of every town, by name.

    Parameters
    ----------
    net : pandapowerNet
        Its bus names end in numbers, as those of ``texas2000`` do.

    Raises
    ------
    InputError
        If no two buses share a town: then the names carry none.
    """
    found: dict[str, list[int]] = {}
    on = net.bus["in_service"].astype(bool)
    for index, name in bus_names(net)[on].items():
        found.setdefault(town_of(str(name)), []).append(int(index))
    found.pop("BUS", None)  # a bus without a name, or one that is called by its number alone
    found.pop("", None)
    if not any(len(buses) > 1 for buses in found.values()):
        raise bad("the bus names carry no towns", str(next(iter(found), "no name")), "Name the buses.")
    return dict(sorted(found.items()))
