"""Sources as EMFs behind their impedance, for changes of a second or less.

A bus that is held at its set-point hides the very swing that is asked about.  Within a second no tap changer or
governor has acted, and an exciter hardly: what stays is the voltage behind the impedance of the grid or the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import RunError, bad
from gridedge.grid.emf_data import Given, Stiffness, delivered_mva, known_indices, mva, of_ext_grid, of_gen
from gridedge.grid.engines import reference
from gridedge.grid.engines.moving import Moving

_AGREE_PU = 1e-8
_CONVERTERS = ("ssc", "vsc", "vsc_stacked", "vsc_bipolar")
_THYRISTORS = ("svc", "tcsc")
_SHOWN = 3
_BEYOND = 1.5  # of its rating, what a machine that is only run hard does not deliver


@dataclass(frozen=True)
class Source:
    """One source that was replaced.

    Parameters
    ----------
    element : {"ext_grid", "gen"}
        Its table.
    index, bus : int
        Its index, and the bus it held.
    stiffness : Stiffness
        The impedance and where it is from.
    vm_pu, va_degree : float
        The EMF, at the bus's nominal voltage. [pu, degree]
    emf_bus, impedance, ext_grid : int
        Indices of what was added: the bus of the EMF, the impedance to it, the external grid that holds it.
    """

    element: str
    index: int
    bus: int
    stiffness: Stiffness
    vm_pu: float
    va_degree: float
    emf_bus: int
    impedance: int
    ext_grid: int


@dataclass(frozen=True)
class Behind:
    """What was replaced and added by :func:`behind_impedance`.

    Parameters
    ----------
    sources : tuple of Source
        What was replaced.
    remarks : list of str
        What the result stands on, in sentences: values, units, origins.
    """

    sources: tuple[Source, ...]
    remarks: list[str]

    @property
    def added_buses(self) -> list[int]:
        """Return the buses of the EMFs, which no result shall show."""
        return [s.emf_bus for s in self.sources]

    @property
    def added_branches(self) -> list[str]:
        """Return the labels of the impedances, which no result shall show."""
        return [f"impedance:{s.impedance}" for s in self.sources]


def behind_impedance(
    net: Any,
    *,
    s_sc_mva: Given = None,
    rx: Given = None,
    xd_transient_pu: Given = None,
    subtransient: bool = False,
) -> Behind:
    """Replace every source of a net by an EMF behind its impedance, in place, and keep the state.

    The state of the net as it stands is solved; E = V + Z I, with the current I that the source delivers in it.
    Each EMF is a new bus with an external grid that holds E, joined to the old bus by an impedance.  After that
    every old bus floats.

    Parameters
    ----------
    net : pandapowerNet
        A private copy; it is changed and solved.  Sites and background stand at what the EMFs shall be taken
        for, see :func:`at_mean`.
    s_sc_mva : float or mapping, optional
        Short-circuit power: a number for every bus with external grids, which share it, or one per index of
        ``net.ext_grid``.  It comes before the net's ``s_sc_min_mva``, this before ``s_sc_max_mva``, this before
        what is assumed for the voltage.  Z = Un² / S. [MVA]
    rx : float or mapping, optional
        R/X of the external grids, all or by index; before the net's ``rx_min`` or ``rx_max``, this before 0.1.
    xd_transient_pu : float or mapping, optional
        Transient reactance x'd of the machines on their own rating, all or by index of ``net.gen``; before the
        columns ``xd_transient_pu`` and ``xdss_pu`` (x''d, times 1.5) of ``net.gen``, these before 0.3. [pu]
    subtransient : bool
        Whether machines stand behind x''d instead, which the number given is then: before ``xdss_pu``, this before
        ``xd_transient_pu`` over 1.5, this before 0.2.

    Returns
    -------
    Behind
        What was replaced, what was added, and sentences about it.

    Raises
    ------
    InputError
        If a device holds its voltage by a control of its own, or a number cannot be used.
    RunError
        If the net does not converge, or not to the state that it was in.

    Notes
    -----
    A machine is a constant EMF behind x'd: the classical model (Kundur, Power System Stability and Control, 13.1).
    How sources at one bus share its power makes no difference to the rest of the net: the sum of their currents at the
    base state and the sum of their admittances fix the Norton equivalent.  A DC line becomes the constant power that it
    draws at both ends: a converter has no EMF.  An extended ward keeps the source behind its own impedance.
    """
    _refuse(net)
    known_indices(s_sc_mva, net.ext_grid, "s_sc_mva")
    known_indices(rx, net.ext_grid, "rx")
    known_indices(xd_transient_pu, net.gen, "xd_subtransient_pu" if subtransient else "xd_transient_pu")
    if not reference.run_once(net):
        raise RunError("The power flow does not converge in the state that the EMFs shall be taken from.")
    buses = net.bus.index.to_numpy()
    before = _voltages(net, buses)
    v = dict(zip(buses.tolist(), before, strict=True))

    replaced = list(_stiffnesses(net, v, s_sc_mva, rx, xd_transient_pu, subtransient))
    beyond = _beyond_rating(net, replaced)
    sources = tuple(_put_behind(net, table, index, stiffness, v) for table, index, stiffness in replaced)
    remarks = _sentences(replaced) + beyond + _dc_lines(net, v)
    if (net.get("user_pf_options") or {}).pop("distributed_slack", False):
        remarks.append("The slack is distributed in the state that the EMFs are taken from, not in the waveform.")

    if not reference.run_once(net):
        raise RunError("The power flow does not converge any more with its sources as EMFs.")
    off_pu = float(np.abs(_voltages(net, buses) - before)[np.isfinite(before)].max())
    if not off_pu <= _AGREE_PU:
        raise RunError(f"With its sources as EMFs the net settles {off_pu:.1e} pu away from the state it was in.")
    return Behind(sources, remarks)


def at_mean(net: Any, moving: list[Moving]) -> list[Moving]:
    """Set what moves to its mean over the waveform, in place: the state that the slow controls have settled for.

    Parameters
    ----------
    net : pandapowerNet
        A private copy, with the sites on it.
    moving : list of Moving
        What moves; values that are no number do not count.

    Returns
    -------
    list of Moving
        What goes on moving: generators whose power is the same in every state now stand there.

    Raises
    ------
    InputError
        If the power of generators moves: behind an EMF it is a result, not an input.
    """
    for m in moving:
        if m.table == "gen" and not m.constant():
            cure = 'Move them as sgen, or solve with sources="held".'
            raise bad("the background moves generators, whose sources are EMFs", "gen", cure)
        mean = m.mean()
        if not np.isfinite(mean).all():
            raise RunError(f"The {m.column} of a moving {m.table} is no number at any step.")
        values = net[m.table][m.column].to_numpy(float).copy()
        values[m.rows] = mean
        net[m.table][m.column] = values
    return [m for m in moving if m.table != "gen"]


def _refuse(net: Any) -> None:
    """Raise InputError for a device that holds a voltage or a power by a control of its own."""
    for table in (*_CONVERTERS, *_THYRISTORS):
        if table not in net or not len(net[table]):
            continue
        active = net[table].in_service.to_numpy(bool)
        if table in _THYRISTORS:  # without control they are a fixed reactance
            active &= net[table].controllable.to_numpy(bool)
        if active.any():
            cure = 'Solve with sources="held", or put a shunt, load or impedance of its present state in its place.'
            raise bad(f"a device of table {table} is no EMF behind an impedance", _some(net[table].index[active]), cure)


def _stiffnesses(
    net: Any, v: dict[int, complex], s_sc_mva: Given, rx: Given, xd_transient_pu: Given, subtransient: bool
) -> Iterator[tuple[str, int, Stiffness]]:
    """Yield every source that takes part: its table, index and impedance."""
    nodes = net._pd2ppc_lookups["bus"]  # buses that a closed switch joins are one node
    live = {t: [int(i) for i in net[t].index if _alive(net, t, i, v)] for t in ("ext_grid", "gen")}
    at_node = np.array([nodes[net.ext_grid.at[i, "bus"]] for i in live["ext_grid"]], dtype=np.intp)
    res = net.res_ext_grid.loc[live["ext_grid"]]
    s_mva = res.p_mw.to_numpy(float) + 1j * res.q_mvar.to_numpy(float)
    for i, node in zip(live["ext_grid"], at_node, strict=True):
        here = at_node == node
        yield "ext_grid", i, of_ext_grid(net, i, s_sc_mva, rx, int(here.sum()), abs(s_mva[here].sum()) / here.sum())
    for i in live["gen"]:
        yield "gen", i, of_gen(net, i, xd_transient_pu, subtransient=subtransient)


def _put_behind(net: Any, table: str, index: int, stiffness: Stiffness, v: dict[int, complex]) -> Source:
    """Replace one source by its EMF behind its impedance, in place; the results of the base state are still there."""
    import pandapower as pp

    bus = int(net[table].at[index, "bus"])
    r_pu, x_pu, base_mva = stiffness.r_pu, stiffness.x_pu, stiffness.s_base_mva
    s_pu = complex(*net[f"res_{table}"].loc[index, ["p_mw", "q_mvar"]]) / base_mva
    e = v[bus] + complex(r_pu, x_pu) * (s_pu / v[bus]).conjugate()
    vm_pu, va_degree = float(np.abs(e)), float(np.degrees(np.angle(e)))
    name = f"EMF of {table} {index}"
    emf_bus = int(pp.create_bus(net, float(net.bus.at[bus, "vn_kv"]), name=name))
    impedance = int(pp.create_impedance(net, emf_bus, bus, r_pu, x_pu, base_mva, name=name))
    ext_grid = int(pp.create_ext_grid(net, emf_bus, vm_pu, va_degree, name=name))
    net[table].at[index, "in_service"] = False
    return Source(table, index, bus, stiffness, vm_pu, va_degree, emf_bus, impedance, ext_grid)


def _alive(net: Any, table: str, index: int, v: dict[int, complex]) -> bool:
    row = net[table].loc[index]
    return bool(row["in_service"]) and bool(np.isfinite(v[int(row["bus"])]))


def _voltages(net: Any, buses: NDArray[Any]) -> NDArray[np.complex128]:
    res = net.res_bus.loc[buses]
    return np.asarray(res.vm_pu.to_numpy(float) * np.exp(1j * np.radians(res.va_degree.to_numpy(float))))


def _dc_lines(net: Any, v: dict[int, complex]) -> list[str]:
    """Replace the DC lines by the power that they draw at their ends, in place; return sentences."""
    import pandapower as pp

    replaced = []
    for i in net.dcline.index[net.dcline.in_service.astype(bool)]:
        res = net.res_dcline.loc[i]
        for end in ("from", "to"):
            bus = int(net.dcline.at[i, f"{end}_bus"])
            if np.isfinite(v[bus]):
                p_mw, q_mvar = float(res[f"p_{end}_mw"]), float(res[f"q_{end}_mvar"])
                pp.create_sgen(net, bus, -p_mw, -q_mvar, name=f"{end} end of dcline {i}")
        net.dcline.at[i, "in_service"] = False
        replaced.append(i)
    said = "keeps the active and reactive power of the base state at both ends and holds no voltage, assumed"
    sentences = [f"dcline {_some(replaced)}: {said}."] if replaced else []
    wards = net.xward.index[net.xward.in_service.astype(bool)]
    if len(wards):
        sentences.append(f"xward {_some(wards)}: keeps the source behind its own impedance, from the net.")
    return sentences


def _sentences(replaced: list[tuple[str, int, Stiffness]]) -> list[str]:
    """Say what the sources stand on; those that share data share a sentence."""
    groups: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for table, index, s in replaced:
        groups.setdefault((table, s.words), []).append((index, s.s_base_mva))
    sentences = ["Every source is an EMF behind its impedance, constant over the waveform; no slow control acts."]
    for (table, words), members in groups.items():
        ratings = [s_mva for _, s_mva in members]
        small, large = min(ratings), max(ratings)
        span = mva(small) if small == large else f"{small:.4g} to {mva(large)}"
        rated = f", {span}" if table == "gen" else ""
        sentences.append(f"{table} {_some([i for i, _ in members])}: {words}{rated}.")
    return sentences


def _beyond_rating(net: Any, replaced: list[tuple[str, int, Stiffness]]) -> list[str]:
    """Say which machines deliver far more than they can: their EMFs keep the state, and are no machine's."""
    machines = [(i, delivered_mva(net, "gen", i), s.s_base_mva) for table, i, s in replaced if table == "gen"]
    beyond = [(i, carried, rated) for i, carried, rated in machines if carried > _BEYOND * rated]
    if not beyond:
        return []
    worst, carried, rated = max(beyond, key=lambda m: m[1] / m[2])
    return [
        f"gen {_some([i for i, _, _ in beyond])}: delivers more than {_BEYOND:g} times its rating, gen {worst} "
        f"{mva(carried)} of {mva(rated)}; the reactive limits of the net are not enforced, and such an EMF is none "
        "that a machine could have."
    ]


def _some(indices: Any) -> str:
    shown = [str(i) for i in indices]
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "")
