"""Where sites connect and how the rest of the net moves; the caller's net is never changed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import bad, nearest
from gridedge.grid.engines.moving import Moving
from gridedge.grid.feeders import find_bus, load_feeder
from gridedge.timebase import hold

Background = Mapping[str, xr.Dataset] | xr.Dataset | None
_TABLES = ("load", "sgen", "gen", "storage")


def private_copy(net: Any) -> Any:
    """Return a copy of a net, given as a net, a feeder's name or a path.

    The copy carries no results and no controllers: a quasi-steady study holds taps.
    """
    import pandapower as pp

    own = copy.deepcopy(net) if isinstance(net, pp.pandapowerNet) else load_feeder(net).net
    if len(own.controller):
        own.controller.drop(own.controller.index, inplace=True)
    return own


def add_sites(net: Any, load: xr.Dataset) -> NDArray[np.intp]:
    """Add one load per site to a net, in place; return their positions in ``net.load``.

    Parameters
    ----------
    net : pandapowerNet
        Changed in place.
    load : Dataset
        With ``p_mw(time, site)``, ``q_mvar(time, site)`` and coordinate ``bus(site)``.
    """
    import pandapower as pp

    check_sites(load)
    first = len(net.load)
    for site, bus in zip(load["site"].values, load["bus"].values, strict=True):
        index, _ = find_bus(net, bus.item() if hasattr(bus, "item") else bus)
        pp.create_load(net, index, p_mw=0.0, q_mvar=0.0, name=str(site), scaling=1.0)
    return np.arange(first, len(net.load), dtype=np.intp)


def check_sites(load: xr.Dataset) -> None:
    """Raise InputError unless a dataset says what each site draws, and at which bus."""
    schema.require(load, ["p_mw", "q_mvar"], thing="the site load")
    if set(load["p_mw"].dims) != {"time", "site"}:
        cure = "Pass it through gridedge.connect(load, facility, bus=...)."
        raise bad("the load is not connected to a bus yet", f"p_mw{load['p_mw'].dims}", cure)
    if "bus" not in load.coords or load["bus"].isnull().any() or (load["bus"].values == "").any():
        raise bad("the site has no bus", str(load["site"].values.tolist()), "Name it: connect(..., bus=118).")


def moving_background(net: Any, background: Background, time_s: NDArray[np.float64]) -> list[Moving]:
    """Turn background series into the columns that move, one row per time.

    Values replace the net's columns as pandapower's ``ConstControl`` would; ``scaling``
    and ``in_service`` still apply, and what is not listed keeps its value.

    Raises
    ------
    InputError
        If a table or an index is not in the net, or the series do not cover ``time_s``.
    """
    moving = []
    for table, ds in _by_table(background).items():
        if table not in _TABLES:
            raise bad("unknown background table", table, nearest(table, _TABLES))
        columns = [c for c in ("p_mw", "q_mvar") if c in ds]
        schema.require(ds, columns or ["p_mw"], thing=f"background[{table!r}]")
        labels = ds[table].values
        missing = [int(i) for i in labels if i not in net[table].index]
        if missing:
            cure = f"net.{table} has indices {net[table].index.min()} to {net[table].index.max()}."
            raise bad(f"background names a {table} that the net has not", str(missing[:5]), cure)
        rows = np.asarray(net[table].index.get_indexer(labels), dtype=np.intp)
        held = hold(time_s, ds["time"].values.astype(float), schema.clock(ds))
        for column in columns:
            if column not in net[table]:
                raise bad(f"net.{table} has no column", column, "Give p_mw only.")
            values = ds[column].transpose("time", table).values.astype(float)
            moving.append(Moving(table, column, rows, values[held]))
    return moving


def _by_table(background: Background) -> dict[str, xr.Dataset]:
    if background is None:
        return {}
    if isinstance(background, xr.Dataset):
        tables = [t for t in _TABLES if t in background.dims]
        if len(tables) != 1:
            cure = 'Give one of load, sgen, gen as dimension, or a dict {"load": ds}.'
            raise bad("cannot tell what this background drives", str(tuple(background.dims)), cure)
        return {tables[0]: background}
    return dict(background)


def scaled_loads(net: Any, shape: NDArray[np.float64], time_s: NDArray[np.float64]) -> xr.Dataset:
    """Return every load of the net, times a common shape.

    Parameters
    ----------
    net : pandapowerNet
        Its ``load`` table gives the values at shape 1.
    shape : ndarray, shape (time,)
        Factor on every load. [pu]
    time_s : ndarray, shape (time,)
        Start of each step. [s]

    Returns
    -------
    Dataset
        ``p_mw(time, load)`` and ``q_mvar(time, load)``, before the net's ``scaling``.
    """
    ds = xr.Dataset(
        {
            "p_mw": (("time", "load"), np.outer(shape, net.load.p_mw.to_numpy(float))),
            "q_mvar": (("time", "load"), np.outer(shape, net.load.q_mvar.to_numpy(float))),
        },
        coords={"time": time_s, "load": net.load.index.to_numpy()},
    )
    if time_s.size > 1:
        ds.attrs["dt_s"] = float(time_s[1] - time_s[0])
    return schema.describe(ds)


def to_pandapower(load: xr.Dataset, net: Any) -> Any:
    """Return a copy of the net on which pandapower's own ``run_timeseries`` plays the load.

    Parameters
    ----------
    load : Dataset
        As :func:`gridedge.connect` makes it: ``p_mw(time, site)``, ``q_mvar(time, site)``, ``bus(site)``.
    net : pandapowerNet, str or path
        A net, a feeder's name or a file.

    Returns
    -------
    pandapowerNet
        With one load per site (named after it), a ``DFData`` source and two ``ConstControl``;
        time step ``k`` of ``run_timeseries`` is sample ``k`` of the load.

    Raises
    ------
    InputError
        If the load has no bus, or its bus is not in the net.

    Examples
    --------
    >>> ready = to_pandapower(load, "mv_oberrhein")  # doctest: +SKIP
    >>> pandapower.timeseries.run_timeseries(ready, range(load.sizes["time"]))  # doctest: +SKIP
    """
    import pandapower as pp
    import pandas as pd
    from pandapower.control import ConstControl
    from pandapower.timeseries import DFData

    own = copy.deepcopy(net) if isinstance(net, pp.pandapowerNet) else load_feeder(net).net
    rows = add_sites(own, load)
    indices = own.load.index[rows]
    names = [str(s) for s in load["site"].values]
    frame = pd.DataFrame(
        np.hstack([load[c].transpose("time", "site").values for c in ("p_mw", "q_mvar")]),
        columns=[f"{n} {c}" for c in ("p_mw", "q_mvar") for n in names],
    )
    source = DFData(frame)
    for column in ("p_mw", "q_mvar"):
        profile = [f"{n} {column}" for n in names]
        ConstControl(own, "load", column, element_index=indices, data_source=source, profile_name=profile)
    first = frame.iloc[0].to_numpy()
    own.load.loc[indices, "p_mw"] = first[: len(names)]
    own.load.loc[indices, "q_mvar"] = first[len(names) :]
    return own
