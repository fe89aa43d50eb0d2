"""The admittance of a net at harmonic orders: what a current at a bus meets there, and what it does elsewhere.

Only the positive sequence.  Every branch is pandapower's own, from its internal bus-branch model, so that switches,
taps and three-winding transformers mean here what they mean to ``runpp``; only its reactances move with the order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from numpy.typing import ArrayLike, NDArray

from gridedge.errors import RunError, bad
from gridedge.grid.emf import behind_impedance
from gridedge.grid.emf_data import Given
from gridedge.grid.inject import private_copy

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]
LoadModel = Literal["none", "parallel", "cigre"]
LOAD_MODELS: tuple[LoadModel, ...] = ("none", "parallel", "cigre")
Resistance = Literal["constant", "sqrt"]
_ZERO_PU = 1e-12
_CIGRE_SERIES = 0.073  # CIGRE WG 36-05, Electra 77 (1981), from memory: Xs = 0.073 h R, Xp = h R / (6.7 tan phi - 0.74)
_CIGRE_SLOPE, _CIGRE_OFFSET = 6.7, 0.74
_SOURCES = "Every source is a short circuit behind its impedance R + jhX."
_OPEN = ("sgen", "storage", "motor", "asymmetric_load", "asymmetric_sgen", "ward", "xward")


@dataclass(frozen=True)
class HarmonicNet:
    """A net in a form that gives its admittances at any order.

    Parameters
    ----------
    from_row, to_row : ndarray of int, shape (branch,)
        Ends of the branches.
    r, x, x_back, r_back : ndarray, shape (branch,)
        Series impedance seen from the one end, and from the other. [pu]
    g, b, g_back, b_back : ndarray, shape (branch,)
        Shunt admittance, half of it at each end. [pu]
    turns : complex ndarray, shape (branch,)
        Ratio of the branch, phase shift included. [1]
    is_line, is_series : ndarray of bool, shape (branch,)
        Lines, whose length counts; and branches whose negative reactance is a capacitor in series.
    shunt_g, capacitive, inductive : ndarray, shape (row,)
        Shunts at the buses: conductance, susceptance of capacitors (positive) and of reactors (negative). [pu]
    load_p, load_q : ndarray, shape (row,)
        Power of the loads at nominal voltage. [pu]
    held : ndarray of int
        Rows behind a source without impedance: no harmonic voltage there.
    row_of : dict
        Row of each bus of the net that has a supply.
    vn_kv : ndarray, shape (row,)
        Nominal voltage. [kV]
    base_mva, f_hz : float
        Base power [MVA] and frequency of the fundamental [Hz].
    assumed : bool
        Whether the impedance of a source is an assumption.
    remarks : list of str
        What it stands on, in sentences.
    """

    from_row: NDArray[np.intp]
    to_row: NDArray[np.intp]
    r: Float
    x: Float
    r_back: Float
    x_back: Float
    g: Float
    b: Float
    g_back: Float
    b_back: Float
    turns: Complex
    is_line: NDArray[np.bool_]
    is_series: NDArray[np.bool_]
    shunt_g: Float
    capacitive: Float
    inductive: Float
    load_p: Float
    load_q: Float
    held: NDArray[np.intp]
    row_of: dict[int, int]
    vn_kv: Float
    base_mva: float
    f_hz: float
    assumed: bool
    remarks: list[str]

    def row(self, bus: int) -> int:
        """Return the row of a bus; InputError where no source reaches it."""
        if bus not in self.row_of:
            raise bad(f"bus {bus} has no supply", bus, "Close the switches towards it, or choose another bus.")
        return self.row_of[bus]

    def base_ohm(self, row: int) -> float:
        """Return what 1 pu of impedance is at a row, in ohm."""
        return float(self.vn_kv[row] ** 2 / self.base_mva)


def harmonic_net(
    net: Any, *, s_sc_mva: Given = None, rx: Given = None, xd_subtransient_pu: Given = None
) -> HarmonicNet:
    """Extract what a harmonic study needs of a net; the net is not changed.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net, a feeder's name, or a file.
    s_sc_mva, rx : float or mapping, optional
        Short-circuit power [MVA] and R/X of the external grids, as for :func:`gridedge.grid.emf.behind_impedance`.
    xd_subtransient_pu : float or mapping, optional
        Subtransient reactance x''d of the machines on their own rating, all or by index of ``net.gen``; before the
        net's ``xdss_pu``, this before 0.2. [pu]

    Returns
    -------
    HarmonicNet

    Raises
    ------
    InputError
        If a device has no model at harmonic orders, or a number cannot be used.
    RunError
        If the net has no solution as it stands.

    Notes
    -----
    A source is short-circuited behind its impedance R + jhX; a machine behind x''d, which is near the reactance that
    its rotor shows to harmonics.  Inverters, storage and motors are left open.
    """
    own, remarks = private_copy(net)
    if "step_dependency_table" in own.shunt and own.shunt.step_dependency_table.fillna(False).astype(bool).any():
        raise bad("shunts whose steps follow a table", "step_dependency_table", "Write their power into q_mvar.")
    for column in [c for c in own.load if c.startswith(("const_z", "const_i"))]:
        own.load[column] = 0.0  # a load's model at harmonic orders is stated apart
    behind = behind_impedance(own, s_sc_mva=s_sc_mva, rx=rx, xd_transient_pu=xd_subtransient_pu, subtransient=True)
    internal, lookups = own._ppc["internal"], own._pd2ppc_lookups
    rows, base_mva = internal["Ybus"].shape[0], float(internal["baseMVA"])
    branch, bus = internal["branch"], internal["bus"]
    kind = _kinds(lookups, np.asarray(internal["branch_is"], dtype=bool))
    tap = np.where(branch[:, 8].real == 0, 1.0, branch[:, 8].real)
    capacitive, inductive = _shunts(own, lookups["bus"], rows, base_mva, bus)
    p, q, weak = _loads(own, lookups["bus"], rows, base_mva)
    bus_index = own.bus.index.to_numpy()
    bus_row = np.asarray(lookups["bus"])[bus_index]
    live = own.bus.in_service.to_numpy(bool) & (bus_row >= 0) & (bus_row < rows)
    added = set(behind.added_buses)
    real = {name: branch[:, column].real.astype(float) for name, column in _COLUMNS.items()}
    return HarmonicNet(
        from_row=branch[:, 0].real.astype(np.intp),
        to_row=branch[:, 1].real.astype(np.intp),
        r=real["r"],
        x=real["x"],
        r_back=real["r"] + real["r_asym"],
        x_back=real["x"] + real["x_asym"],
        g=real["g"],
        b=real["b"],
        g_back=real["g"] + real["g_asym"],
        b_back=real["b"] + real["b_asym"],
        turns=tap * np.exp(1j * np.pi / 180 * branch[:, 9].real),
        is_line=kind == "line",
        is_series=(kind == "line") | (kind == "impedance"),
        shunt_g=bus[:, 4].real.astype(float) / base_mva,
        capacitive=capacitive,
        inductive=inductive,
        load_p=p,
        load_q=q,
        held=np.concatenate([np.asarray(internal[k], dtype=np.intp) for k in ("ref", "pv")]),
        row_of={int(b): int(row) for b, row, ok in zip(bus_index, bus_row, live, strict=True) if ok and b not in added},
        vn_kv=bus[:, 9].real.astype(float),
        base_mva=base_mva,
        f_hz=float(own.f_hz),
        assumed=any(s.stiffness.assumed for s in behind.sources),
        remarks=[*remarks, _SOURCES, *behind.remarks[1:], *_left_open(own, weak)],
    )


_COLUMNS = {"r": 2, "x": 3, "b": 4, "r_asym": 21, "x_asym": 22, "g": 23, "g_asym": 24, "b_asym": 25}  # of pypower


def admittance(
    net: HarmonicNet,
    order: float,
    *,
    loads: LoadModel = "none",
    resistance: Resistance = "constant",
    long_lines: bool = True,
) -> sp.csc_matrix:
    r"""Return the bus admittance matrix at a harmonic order.

    Parameters
    ----------
    net : HarmonicNet
        The net.
    order : float
        Frequency over that of the fundamental; need not be whole. [1]
    loads : {"none", "parallel", "cigre"}
        The other loads: left out; a resistance for P beside an inductance (or capacitor) for Q; or the CIGRE model.
    resistance : {"constant", "sqrt"}
        Of every branch: the same at all orders, or growing with the root of the order (skin effect).
    long_lines : bool
        Whether a line is distributed over its length; else one pi.

    Returns
    -------
    csc_matrix, shape (row, row)
        Admittances, held rows included. [pu]

    Notes
    -----
    Series R(h) + jhX, shunts G + jhB for capacitors and G + jB/h for reactors and magnetising branches.  Of a line
    with Z = R + jhX and Y = G + jhB over its whole length:

    .. math:: Z' = Z \frac{\sinh\sqrt{ZY}}{\sqrt{ZY}}, \quad Y' = Y \frac{\tanh(\sqrt{ZY}/2)}{\sqrt{ZY}/2}

    CIGRE's load: R in series with 0.073 h R, both beside h R / (6.7 tan φ - 0.74) where that is positive.

    References
    ----------
    .. [1] Arrillaga, Watson, Power System Harmonics, 2nd ed., 2003: long line; loads (from memory).
    .. [2] CIGRE WG 36-05, Electra 77, 1981: the model of loads (from memory).
    """
    values = _values(net, float(order), loads, resistance, long_lines)
    rows, columns = _places(net)
    return sp.csc_matrix((values, (rows, columns)), shape=(net.vn_kv.size, net.vn_kv.size))


def _places(net: HarmonicNet) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return row and column of each value of :func:`_values`."""
    f, t, own = net.from_row, net.to_row, np.arange(net.vn_kv.size)
    return np.concatenate([f, t, f, t, own]), np.concatenate([f, t, t, f, own])


def _values(net: HarmonicNet, h: float, loads: LoadModel, resistance: Resistance, long_lines: bool) -> Complex:
    """Return the admittances at an order: both ends of the branches, both ways through them, then the buses."""
    rise = np.sqrt(h) if resistance == "sqrt" else 1.0
    # A negative reactance in series is a capacitor; that of a leg of three windings is none.
    forth = net.r * rise + 1j * np.where(net.is_series & (net.x < 0), net.x / h, net.x * h)
    back = net.r_back * rise + 1j * np.where(net.is_series & (net.x_back < 0), net.x_back / h, net.x_back * h)
    shunt = net.g + 1j * np.where(net.b < 0, net.b / h, net.b * h)
    shunt_back = net.g_back + 1j * np.where(net.b_back < 0, net.b_back / h, net.b_back * h)
    if long_lines:
        series, across = _distributed(forth[net.is_line], shunt[net.is_line])
        forth[net.is_line] = back[net.is_line] = series
        shunt[net.is_line] = shunt_back[net.is_line] = across
    yf, yb = 1.0 / forth, 1.0 / back
    diagonal = net.shunt_g + 1j * (net.capacitive * h + net.inductive / h) + _load(net, h, loads)
    return np.concatenate(
        [
            (yf + shunt / 2) / np.abs(net.turns) ** 2,
            yb + shunt_back / 2,
            -yf / net.turns.conj(),
            -yb / net.turns,
            diagonal,
        ]
    )


def impedances(
    net: HarmonicNet,
    bus: int,
    orders: ArrayLike,
    *,
    loads: LoadModel = "none",
    resistance: Resistance = "constant",
    long_lines: bool = True,
) -> Complex:
    """Return the voltage at every row for 1 pu of current into a bus: the column of the impedance matrix.

    Parameters
    ----------
    net : HarmonicNet
        The net.
    bus : int
        Where the current enters.
    orders : array-like, shape (order,)
        Harmonic orders, above zero. [1]
    loads, resistance, long_lines
        As for :func:`admittance`.

    Returns
    -------
    complex ndarray, shape (row, order)
        Impedances; zero at held rows. [pu]

    Raises
    ------
    InputError
        If no source reaches the bus, or an order is not positive.
    RunError
        If the matrix is singular: a resonance without any resistance.
    """
    h = np.asarray(orders, dtype=float)
    if h.size and not (np.isfinite(h).all() and (h > 0).all()):
        raise bad("a harmonic order must be positive", str(h[~(h > 0)][:3]), "Give orders from 1 to 50.")
    row = net.row(bus)
    free = np.ones(net.vn_kv.size, dtype=bool)
    free[net.held] = False
    z = np.zeros((free.size, h.size), dtype=complex)
    if not free[row]:
        return z
    keep = np.flatnonzero(free)
    unit = np.zeros(keep.size, dtype=complex)
    unit[np.searchsorted(keep, row)] = 1.0
    rows, columns = _places(net)
    inside = free[rows] & free[columns]
    place = np.cumsum(free) - 1
    at = place[rows[inside]], place[columns[inside]]
    for k, order in enumerate(h):
        values = _values(net, float(order), loads, resistance, long_lines)[inside]
        y = sp.csc_matrix((values, at), shape=(keep.size, keep.size))
        try:
            z[keep, k] = spla.splu(y).solve(unit)
        except RuntimeError as error:
            raise RunError(f"The admittances at order {order:g} are singular: a part of the net resonates.") from error
    return z


def short_circuit_mva(net: HarmonicNet, bus: int) -> float:
    """Return the short-circuit power at a bus in MVA: Un² / Z at the fundamental, loads and all shunts left out.

    Infinite at a bus that is held.

    References
    ----------
    .. [1] IEC 60909-0: line capacitances and shunt admittances are neglected; the voltage factor c is 1 here.
    """
    none, no_row = np.zeros_like(net.b), np.zeros_like(net.capacitive)
    bare = replace(
        net, g=none, b=none, g_back=none, b_back=none, shunt_g=no_row, capacitive=no_row, inductive=no_row
    )  # fmt: skip
    z = impedances(bare, bus, [1.0], long_lines=False)[net.row(bus), 0]
    return float(net.base_mva / abs(z)) if abs(z) > _ZERO_PU else float("inf")


def _distributed(z: Complex, y: Complex) -> tuple[Complex, Complex]:
    """Return series and whole shunt of the pi that is exact at both ends of a uniform line."""
    gamma = np.sqrt(z * y)
    small = np.abs(gamma) < 1e-5  # below, the next term of the series is beyond double precision
    safe = np.where(small, 1.0, gamma)
    series = np.where(small, 1.0, np.sinh(safe) / safe)
    across = np.where(small, 1.0, np.tanh(safe / 2) / (safe / 2))
    return z * series, y * across


def _load(net: HarmonicNet, h: float, model: LoadModel) -> Complex:
    p = np.maximum(net.load_p, 0.0)  # a load that delivers is a converter: left open
    q = np.where(net.load_p > 0, net.load_q, 0.0)
    if model == "none":
        return np.zeros(p.size, dtype=complex)
    if model == "parallel":
        return p - 1j * np.where(q >= 0, q / h, q * h)
    if model == "cigre":
        tangent = np.divide(q, p, out=np.zeros_like(q), where=p > 0)
        beside = np.maximum(_CIGRE_SLOPE * tangent - _CIGRE_OFFSET, 0.0)
        return p / (1 + 1j * _CIGRE_SERIES * h) - 1j * p * beside / h
    raise bad("unknown model of loads", str(model), f"Known: {', '.join(LOAD_MODELS)}.")


def _kinds(lookups: Any, in_service: NDArray[np.bool_]) -> NDArray[np.str_]:
    kind = np.full(in_service.size, "other", dtype="U12")
    for table, (first, stop) in lookups["branch"].items():
        kind[first:stop] = table
    return kind[in_service]


def _shunts(net: Any, row_of: Any, rows: int, base_mva: float, bus: Any) -> tuple[Float, Float]:
    """Return the susceptances of capacitors and of reactors, apart: they move with the order in opposite ways."""
    parts = [np.zeros(rows), np.zeros(rows)]
    seen = np.zeros(rows)
    for k in net.shunt.index[net.shunt.in_service.astype(bool)]:
        shunt = net.shunt.loc[k]
        row = int(row_of[int(shunt.bus)])
        if not 0 <= row < rows or not bool(net.bus.at[int(shunt.bus), "in_service"]):
            continue
        own_kv = float(shunt.vn_kv) if np.isfinite(shunt.vn_kv) else float(net.bus.at[int(shunt.bus), "vn_kv"])
        b = -float(shunt.q_mvar) * float(shunt.step) * (bus[row, 9].real / own_kv) ** 2 / base_mva
        parts[0 if b > 0 else 1][row] += b
        seen[row] += b
    rest = bus[:, 5].real / base_mva - seen  # wards and the magnetising branch of three windings
    parts[0] += np.where(rest > _ZERO_PU, rest, 0.0)
    parts[1] += np.where(rest < -_ZERO_PU, rest, 0.0)
    return parts[0], parts[1]


def _loads(net: Any, row_of: Any, rows: int, base_mva: float) -> tuple[Float, Float, int]:
    p, q, delivering = np.zeros(rows), np.zeros(rows), 0
    for bus, p_mw, q_mvar, scaling, on in zip(
        *(net.load[c].to_numpy() for c in ("bus", "p_mw", "q_mvar", "scaling", "in_service")), strict=True
    ):
        row = int(row_of[int(bus)])
        if not on or not 0 <= row < rows:
            continue
        if p_mw * scaling <= 0 and (p_mw or q_mvar):
            delivering += 1
            continue
        p[row] += p_mw * scaling / base_mva
        q[row] += q_mvar * scaling / base_mva
    return p, q, delivering


def _left_open(net: Any, delivering: int) -> list[str]:
    counted = {t: int(net[t].in_service.astype(bool).sum()) for t in _OPEN if t in net and len(net[t])}
    counted = {t: n for t, n in counted.items() if n} | ({"load that draws no power": delivering} if delivering else {})
    if not counted:
        return []
    shown = ", ".join(f"{n} {t}" for t, n in counted.items())
    return [f"Left open at harmonic orders, for want of data: {shown} (of wards, their constant powers alone)."]
