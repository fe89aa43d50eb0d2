"""What a training profile is fitted to: a file, a log of accelerators or a dataset, in pu of its servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import bad
from gridedge.profiles.catalog import Server
from gridedge.profiles.catalog import server as find_server
from gridedge.profiles.measured import MeasuredProfile, read_trace
from gridedge.spec import build

Float = NDArray[np.float64]
_PLAUSIBLE = (0.02, 1.2)  # largest power over the nameplate


@dataclass(frozen=True)
class Source:
    """A trace in pu.

    Parameters
    ----------
    p_pu : ndarray, shape (time,)
        Power of all servers. [pu of nameplate]
    dt_s : float
        Step. [s]
    server : Server
        What one server is.
    servers : int
        How many the trace is the sum of.
    name : str
        File, or what it is.
    notes : list of str
        What was found and done.
    node_pu : ndarray, shape (column, time), or None
        The distinct columns of a file, each in pu of one server.
    edge_bound_s : float
        Edges shorter than this cannot be seen: the step, or what the recorder averages over. [s]
    """

    p_pu: Float
    dt_s: float
    server: Server
    servers: int
    name: str
    notes: list[str]
    node_pu: Float | None = None
    edge_bound_s: float = 0.0


def read_source(trace: Any, server: Any, servers: int | None) -> Source:
    """Return the trace in pu of its servers' nameplate."""
    if servers is not None and (isinstance(servers, bool) or not isinstance(servers, int) or servers < 1):
        raise bad(
            "servers must be a whole number of 1 or more", repr(servers), "Give the number the trace is the sum of."
        )
    notes: list[str] = []
    node_kw: Float | None = None
    average_s = 0.0
    if isinstance(trace, xr.Dataset):
        schema.require(trace, ["p_mw"], thing="the trace")
        if trace["p_mw"].dims != ("time",):
            cure = "Take one: ds.isel(member=0), or sum over the nodes."
            raise bad("the trace is not one series", ", ".join(map(str, trace["p_mw"].dims)), cure)
        chosen = server if server is not None else trace.attrs.get("server")
        count = servers if servers is not None else trace.attrs.get("servers")
        if count is None:
            raise bad("the number of servers is not stated", "servers", "Give servers=, the number the trace sums.")
        p_kw, dt_s, name = trace["p_mw"].values.astype(float) * 1e3, schema.clock(trace), "the dataset"
    else:
        spec = _measured(trace)
        if server is not None and "node_rated_kw" not in spec.model_fields_set:
            spec = spec.model_copy(update={"node_rated_kw": find_server(server).rated_kw})
        found = read_trace(spec)
        notes += found.report
        average_s = found.average_s
        chosen, name, dt_s = server, Path(found.source).name, found.dt_s
        machine = find_server("8xH100" if chosen is None else chosen)
        if found.of == "accelerator":
            host_kw = machine.host_kw / machine.accelerators
            each_kw = found.p_node_kw + host_kw
            p_kw = found.p_node_kw.mean(axis=1) * machine.accelerators + machine.host_kw
            count = servers if servers is not None else int(np.ceil(found.nodes_in_file / machine.accelerators))
            p_kw, node_kw = p_kw * count, each_kw.T * machine.accelerators
            notes.append(
                f"Power beside the accelerators, {machine.host_kw:.3g} kW per {machine.name}, is added as a constant "
                "(assumed)."
            )
        else:
            count = servers if servers is not None else spec.nodes or found.nodes_in_file
            p_kw, node_kw = found.p_mw(spec.nodes) * 1e3, found.p_node_kw.T
    machine = find_server("8xH100" if chosen is None else chosen)
    if chosen is None:
        notes.append("The server is taken as 8xH100 (assumed): give server= if it is another.")
    p_pu = p_kw / (count * machine.rated_kw)
    peak = float(p_pu.max())
    if not _PLAUSIBLE[0] <= peak <= _PLAUSIBLE[1]:
        value = f"peak {p_kw.max():.4g} kW, {peak:.3g} of {count} x {machine.rated_kw:g} kW"
        raise bad("the trace does not fit its servers", value, "Correct servers=, server= or the unit.")
    if p_pu.size < 12:
        raise bad("the trace is too short", f"{p_pu.size} samples", "Record at least three iterations.")
    if node_kw is not None:
        node_kw = np.unique(node_kw, axis=0) / machine.rated_kw
    return Source(p_pu, dt_s, machine, int(count), name, notes, node_kw, max(dt_s, average_s))


def _measured(trace: Any) -> MeasuredProfile:
    if isinstance(trace, MeasuredProfile):
        return trace
    if isinstance(trace, Mapping):
        return build(MeasuredProfile, {"kind": "measured", **trace})
    if isinstance(trace, str | Path):
        return MeasuredProfile(trace=str(trace))
    raise bad(
        "cannot read a trace from this", type(trace).__name__, "Give a path, a dict or a Dataset with p_mw(time)."
    )
