"""What feeds a bus: the substation's transformer bank, and the feeder behind it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gridedge.grid.buses import bus_names

if TYPE_CHECKING:
    import pandas as pd

_RATED_MVA = {"trafo": "sn_mva", "trafo3w": "sn_hv_mva", "impedance": "sn_mva"}
_SEPARATOR = "; "


@dataclass(frozen=True)
class _Fed:
    """How a bus is fed, as far as the way from the reference bus has told."""

    bank: tuple[str, ...] = ()
    substation: Any = None
    feeder: tuple[str, ...] = ()
    ring: bool = False


def feeding(net: Any) -> pd.DataFrame:
    """Return what feeds each bus, as the switches stand.

    Parameters
    ----------
    net : pandapowerNet
        Not changed.

    Returns
    -------
    DataFrame
        By bus index: ``substation`` (name of the bus that the bank feeds), ``bank`` (its transformers by name),
        ``bank_mva`` (their rating, NaN without) [MVA], ``feeder`` (label of the first branch behind the bank),
        ``vn_kv`` (nominal voltage) [kV], ``load_mw`` and ``generation_mw`` (of the net, at this bus, scaling applied)
        [MW].  Text is empty where there is no single answer.

    Notes
    -----
    The bank is the first transformer, counted from what holds a voltage (references and generators), that all ways to
    the bus pass; transformers in parallel are one bank.  The feeder is the first branch behind it (without a
    transformer: behind the reference bus) that all ways pass.  In a meshed net most buses have neither.  An impedance
    between two voltage levels is a transformer, as converters make them.
    """
    import pandas as pd

    node_of, edges = _graph(net)
    names = bus_names(net)
    fed = _walk(net, node_of, edges, names)
    rows = []
    for bus in net.bus.index.tolist():
        one = fed.get(node_of.get(bus), _Fed())
        rated = [_rating_mva(net, label) for label in one.bank]
        rows.append(
            {
                "substation": "" if one.substation is None else str(names[one.substation]),
                "bank": _SEPARATOR.join(_name(net, label) for label in one.bank),
                "bank_mva": float(np.sum(rated)) if rated else np.nan,
                "feeder": _SEPARATOR.join(one.feeder),
            }
        )
    table = pd.DataFrame(rows, index=pd.Index(net.bus.index, name="bus"))
    table["vn_kv"] = net.bus["vn_kv"]
    table["load_mw"] = _at_bus(net, ("load",))
    table["generation_mw"] = _at_bus(net, ("sgen", "gen"))
    return table


def transformer_labels(net: Any) -> set[str]:
    """Return the labels of all branches that change the voltage: transformers, and impedances between two levels."""
    labels = {f"{table}:{k}" for table in ("trafo", "trafo3w") for k in net[table].index}
    kv = net.bus["vn_kv"]
    for k, a, b in zip(net.impedance.index, net.impedance["from_bus"], net.impedance["to_bus"], strict=True):
        if kv.at[a] != kv.at[b]:
            labels.add(f"impedance:{k}")
    return labels


Edges = dict[tuple[Any, Any], list[str]]


def _graph(net: Any) -> tuple[dict[int, Any], Edges]:
    """Return the node of each bus in service (buses behind closed switches are one, sources too), and the edges."""
    import networkx as nx
    from pandapower.topology import create_nxgraph

    graph = create_nxgraph(net, respect_switches=True, include_dclines=False, multi=True)
    joined: nx.Graph[Any] = nx.Graph()
    joined.add_nodes_from(graph.nodes)
    joined.add_edges_from((a, b) for a, b, key in graph.edges(keys=True) if key[0] == "switch")
    sources = [b for b in _sources(net) if b in joined]
    joined.add_edges_from((sources[0], b) for b in sources[1:])
    node_of = {bus: k for k, part in enumerate(nx.connected_components(joined)) for bus in part}
    edges: Edges = {}
    for a, b, (table, index) in graph.edges(keys=True):
        label = f"{table}:{index}"
        if table == "switch" or node_of[a] == node_of[b]:
            continue
        # a transformer of three windings is a star: its triangle of pairs would look like a ring
        pairs = [(label, node_of[a]), (label, node_of[b])] if table == "trafo3w" else [(node_of[a], node_of[b])]
        for u, v in pairs:
            key = (v, u) if (v, u) in edges else (u, v)
            if label not in edges.setdefault(key, []):
                edges[key].append(label)
    return node_of, edges


def _sources(net: Any) -> list[int]:
    """Return the buses whose voltage is held: behind a generator's own transformer nobody else is fed."""
    return [
        int(b) for table in ("ext_grid", "gen") for b in net[table].loc[net[table]["in_service"].astype(bool), "bus"]
    ]


def _walk(net: Any, node_of: dict[int, Any], edges: Edges, names: Any) -> dict[Any, _Fed]:
    """Go from the reference outwards, and note what every way passes."""
    import networkx as nx

    graph: nx.Graph[Any] = nx.Graph()
    graph.add_nodes_from(node_of.values())
    graph.add_edges_from(edges)
    only = {frozenset(pair) for pair in nx.bridges(graph)}
    transformers = transformer_labels(net)
    buses: dict[Any, int] = {}
    for bus, node in node_of.items():  # of several buses behind switches, one that has a name of its own
        if node not in buses or str(names[bus]) < str(names[buses[node]]):
            buses[node] = bus
    start = [node_of[b] for b in _sources(net) if b in node_of][:1]
    fed = {node: _Fed() for node in start}
    queue = deque(start)
    while queue:
        here = queue.popleft()
        for there in graph.neighbors(here):
            if there in fed:
                continue
            labels = tuple(edges.get((here, there)) or edges[there, here])
            single = frozenset((here, there)) in only
            transforms = all(label in transformers for label in labels)
            fed[there] = _step(fed[here], labels, single, transforms, buses.get(there))
            queue.append(there)
    return fed


def _step(fed: _Fed, labels: tuple[str, ...], single: bool, transforms: bool, bus: int | None) -> _Fed:
    """Return how the far end of a branch is fed."""
    if transforms and labels == fed.bank:  # out of the star of a transformer of three windings
        return replace(fed, substation=bus)
    if single and transforms and not fed.bank:
        return _Fed(bank=labels, substation=bus)
    if fed.feeder or fed.ring:
        return fed
    return replace(fed, feeder=labels) if single else replace(fed, ring=True)


def _name(net: Any, label: str) -> str:
    table, _, index = label.partition(":")
    name = net[table].at[int(index), "name"] if "name" in net[table] else None
    return label if name is None or str(name) in ("", "nan", "None") else str(name)


def _rating_mva(net: Any, label: str) -> float:
    table, _, index = label.partition(":")
    row = net[table].loc[int(index)]
    return float(row[_RATED_MVA[table]]) * float(row.get("parallel", 1))


def _at_bus(net: Any, tables: tuple[str, ...]) -> pd.Series:
    import pandas as pd

    total = pd.Series(0.0, index=net.bus.index)
    for table in tables:
        frame = net[table]
        if len(frame):
            scaling = frame.get("scaling", 1.0)
            power = (frame["p_mw"] * scaling).where(frame["in_service"].astype(bool), 0.0)
            total = total.add(power.groupby(frame["bus"]).sum(), fill_value=0.0)
    return total.reindex(net.bus.index)
