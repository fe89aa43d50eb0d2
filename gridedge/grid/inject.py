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
from gridedge.grid.clock import Clock
from gridedge.grid.engines.moving import Moving, as_values
from gridedge.grid.feeders import find_bus, load_feeder
from gridedge.grid.results import Readout
from gridedge.timebase import hold

Background = Mapping[str, xr.Dataset] | xr.Dataset | None
_TABLES = ("load", "sgen", "gen", "storage")


def private_copy(net: Any) -> tuple[Any, list[str]]:
    """Return a copy of a net, given as a net, a feeder's name or a path, and what has to be said about it.

    The copy carries no controllers: a quasi-steady study holds taps.

    Raises
    ------
    InputError
        If the net asks for what no engine here does: reactive limits enforced, lines whose temperature follows
        the flow, loadings of transformers by power.
    """
    import pandapower as pp

    own = copy.deepcopy(net) if isinstance(net, pp.pandapowerNet) else load_feeder(net).net
    options = own.get("user_pf_options") or {}
    forget = "Call pandapower.set_user_pf_options(net, overwrite=True)"
    if options.get("enforce_q_lims"):
        cure = f"{forget}, and gridedge.solve(..., enforce_q_lims=True)."
        raise bad("the net asks for reactive limits to be enforced", "enforce_q_lims=True", cure)
    if options.get("tdpf"):  # the readout holds the admittances of one temperature
        cure = f"{forget}; consider_line_temperature=True takes one temperature for all steps."
        raise bad("the net asks for temperature-dependent lines", "tdpf=True", cure)
    if options.get("trafo_loading", "current") != "current":
        cure = f"{forget}: loadings here are by current."
        raise bad(
            "the net asks for loadings of transformers by power", f"trafo_loading={options['trafo_loading']!r}", cure
        )
    remarks = []
    if len(own.controller):
        remarks.append(f"{len(own.controller)} controllers of the net are not run: taps and set-points are held.")
        own.controller.drop(own.controller.index, inplace=True)
    return own, remarks


def add_sites(net: Any, load: xr.Dataset) -> NDArray[np.intp]:
    """Add one constant-power element per site to a net, in place; return their positions in ``net.sgen``.

    They are static generators of negative power: pandapower averages the voltage dependence of all loads at a bus,
    and a load of ours would change that of its neighbours.

    Parameters
    ----------
    net : pandapowerNet
        Changed in place.
    load : Dataset
        With ``p_mw(time, site)``, ``q_mvar(time, site)`` and coordinate ``bus(site)``.
    """
    import pandapower as pp

    first = len(net.sgen)
    buses = _site_buses(net, load)
    for site, index in zip(load["site"].values, buses, strict=True):
        pp.create_sgen(net, index, p_mw=0.0, q_mvar=0.0, name=str(site), scaling=1.0)
    return np.arange(first, len(net.sgen), dtype=np.intp)


def _site_buses(net: Any, load: xr.Dataset) -> list[int]:
    """Return the index of each site's bus in the net."""
    check_sites(load)
    given = [bus.item() if hasattr(bus, "item") else bus for bus in load["bus"].values]
    return [find_bus(net, bus)[0] for bus in given]


def check_sites(load: xr.Dataset) -> None:
    """Raise InputError unless a dataset says what each site draws, and at which bus."""
    schema.require(load, ["p_mw"], thing="the site load", finite=False)
    if set(load["p_mw"].dims) != {"time", "site"}:
        cure = "Pass it through gridedge.connect(load, facility, bus=...)."
        raise bad("the load is not connected to a bus yet", f"p_mw{load['p_mw'].dims}", cure)
    schema.require(load, ["q_mvar"], thing="the site load", finite=False)
    if "bus" not in load.coords or load["bus"].isnull().any() or (load["bus"].values == "").any():
        raise bad("the site has no bus", str(load["site"].values.tolist()), "Name it: connect(..., bus=118).")


def check_supply(net: Any, out: Readout, rows: NDArray[np.intp]) -> None:
    """Raise InputError for a site at a bus that no source reaches: it would draw nothing, and nobody would see it.

    Parameters
    ----------
    net : pandapowerNet
        With the sites on it, solved.
    out : Readout
        Its buses.
    rows : ndarray
        Positions of the sites in ``net.sgen``.
    """
    alive = set(out.bus_index[out.bus_row >= 0].tolist())
    for bus, name in zip(net.sgen.bus.to_numpy()[rows], net.sgen.name.to_numpy()[rows], strict=True):
        if int(bus) not in alive:
            cure = "Close the switches towards it, or choose another bus."
            raise bad(f"site {name!r} connects to a bus without supply", f"bus {bus}", cure)


def moving_background(net: Any, background: Background, clock: Clock) -> tuple[list[Moving], list[str]]:
    """Turn background series into the columns that move, one row per time.

    Values replace the net's columns as pandapower's ``ConstControl`` would; ``scaling``
    and ``in_service`` still apply, and what is not listed keeps its value.

    Returns
    -------
    moving : list of Moving
        The columns that move.
    remarks : list of str
        What moves without effect.

    Raises
    ------
    InputError
        If a table or an index is not in the net or named twice, or the series do not cover the clock or are finer.
    """
    moving, remarks = [], []
    for table, ds in _by_table(background).items():
        if table not in _TABLES:
            raise bad("unknown background table", table, nearest(table, _TABLES))
        columns = [c for c in ("p_mw", "q_mvar") if c in ds]
        schema.require(ds, columns or ["p_mw"], thing=f"background[{table!r}]", finite=False)
        if table not in ds.coords:
            raise bad(
                f"background[{table!r}] has no labels", "", f"Give the coordinate `{table}`: the net's own indices."
            )
        labels = ds[table].values
        if len(set(labels.tolist())) != labels.size:
            twice = [int(i) for i in labels if (labels == i).sum() > 1]
            raise bad(f"background names a {table} twice", str(twice[:5]), "Add the series up, or drop one.")
        missing = [int(i) for i in labels if i not in net[table].index]
        if missing:
            cure = f"net.{table} has indices {net[table].index.min()} to {net[table].index.max()}."
            raise bad(f"background names a {table} that the net has not", str(missing[:5]), cure)
        rows = np.asarray(net[table].index.get_indexer(labels), dtype=np.intp)
        idle = int((~net[table]["in_service"].to_numpy(bool)[rows]).sum())
        if idle:
            remarks.append(f"The background moves {idle} of table {table} that are out of service: without effect.")
        step_s = schema.clock(ds)
        if clock.steps > 1 and step_s < clock.dt_s * (1 - 1e-6):
            cure = "Reduce it first by a stated rule, e.g. ds.coarsen(time=n).mean()."
            raise bad(
                f"background[{table!r}] is finer than the step that is solved", f"{step_s:g} s < {clock.dt_s:g} s", cure
            )
        index = ds.xindexes["time"]
        same = index is clock.index or (ds.sizes["time"] == clock.steps and index.equals(clock.index))
        held = None if same else hold(clock.time_s(), np.asarray(ds["time"].values, dtype=float), step_s)
        for column in columns:
            if column not in net[table]:
                raise bad(f"net.{table} has no column", column, "Give p_mw only.")
            values = as_values(ds[column].transpose("time", table))
            moving.append(Moving(table, column, rows, values, held=held))
    return moving, remarks


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


def scaled_background(net: Any, table: str, shape: NDArray[np.float64], time_s: NDArray[np.float64]) -> xr.Dataset:
    """Return every element of a table of the net, times a common shape.

    Parameters
    ----------
    net : pandapowerNet
        Its table gives the values at shape 1.
    table : {"load", "sgen", "gen"}
        Which table.
    shape : ndarray, shape (time,)
        Factor on every element. [pu]
    time_s : ndarray, shape (time,)
        Start of each step. [s]

    Returns
    -------
    Dataset
        ``p_mw(time, load)`` and, but for ``gen``, ``q_mvar(time, load)``, before the net's ``scaling``.

    Raises
    ------
    InputError
        If there is no such table, shape and times differ in length, or the shape has a gap.
    """
    if table not in ("load", "sgen", "gen"):
        raise bad("unknown table of a background", str(table), nearest(str(table), ("load", "sgen", "gen")))
    shape, time_s = np.asarray(shape, dtype=float), np.asarray(time_s, dtype=float)
    if shape.ndim != 1 or shape.shape != time_s.shape:
        got = f"shapes {shape.shape} and {time_s.shape}"
        raise bad("shape and time_s of a background differ", got, "Give one factor per step.")
    if not np.isfinite(shape).all():
        first = float(time_s[np.argmax(~np.isfinite(shape))])
        raise bad("the shape of a background has a gap", f"at {first:g} s", "Fill it, or leave the steps out.")
    frame = net[table]
    columns = [c for c in ("p_mw", "q_mvar") if c in frame]
    ds = xr.Dataset(
        {c: (("time", table), np.outer(shape, frame[c].to_numpy(float))) for c in columns},
        coords={"time": time_s, table: frame.index.to_numpy()},
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
    buses = _site_buses(own, load)
    zip_columns = [c for c in own.load if c.startswith(("const_z", "const_i"))]
    for bus in buses:
        here = own.load[own.load.bus == bus]
        if (here[zip_columns].fillna(0) != 0).any(axis=None):
            cure = "Connect the site at a bus of its own behind a line or transformer."
            raise bad(
                f"bus {bus} carries loads that depend on the voltage", "pandapower would mix them with the site", cure
            )
    indices = pd.Index(
        [pp.create_load(own, b, 0.0, 0.0, name=str(n)) for b, n in zip(buses, load["site"].values, strict=True)]
    )
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
