"""One extraction of a net into arrays: admittances, bus types, injections, and how results are read.

Everything comes from pandapower's internal bus-branch model after its own preparation, so
that switches, taps, shunts and wards mean what they mean to ``runpp``.  The extraction holds no
net: it is what workers get.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridedge.grid.engines.moving import Moving
from gridedge.grid.results import Readout, readout

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]
_SIGN = {"load": -1.0, "storage": -1.0, "sgen": 1.0, "gen": 1.0}
_FACTS = ("svc", "tcsc", "ssc", "vsc")
_FIT_PU = 1e-6  # mismatch at the solved base state above which the extraction is not trusted


@dataclass(frozen=True)
class Model:
    """A net as arrays, in the order of pandapower's internal buses.

    Parameters
    ----------
    y : csr_matrix, shape (row, row)
        Bus admittances. [pu]
    ref, pv, pq : ndarray
        Rows of the slack, voltage-controlled and other buses.
    v0 : ndarray, shape (row,)
        Voltages of the solved base state. [pu]
    s0 : ndarray, shape (row,)
        Injections of the base state, generation positive. [pu]
    base_mva : float
        Base power. [MVA]
    readout : Readout
        From voltages to results.
    """

    y: sp.csr_matrix
    ref: NDArray[np.intp]
    pv: NDArray[np.intp]
    pq: NDArray[np.intp]
    v0: Complex
    s0: Complex
    base_mva: float
    readout: Readout


def covers(net: Any) -> list[str]:
    """Return what an engine on :class:`Model` cannot do exactly on this net; empty where it can."""
    reasons = []
    for column in ("const_z_p_percent", "const_i_p_percent", "const_z_q_percent", "const_i_q_percent"):
        if column in net.load and (net.load[column].fillna(0) != 0).any():
            reasons.append("loads that depend on the voltage")
            break
    if (net.get("user_pf_options") or {}).get("distributed_slack"):
        reasons.append("a distributed slack")
    if (net.get("user_pf_options") or {}).get("tdpf"):
        reasons.append("temperature-dependent lines")
    reasons += [f"a device of table {table}" for table in _FACTS if table in net and len(net[table])]
    return reasons


def extract(net: Any) -> Model | None:
    """Extract a net that ``runpp`` has just solved; None where the arrays do not reproduce its solution."""
    internal = net._ppc["internal"]
    y = sp.csr_matrix(internal["Ybus"])
    v0, s0 = np.asarray(internal["V"]).copy(), np.asarray(internal["Sbus"]).copy()
    ref, pv, pq = (np.asarray(internal[k], dtype=np.intp) for k in ("ref", "pv", "pq"))
    mismatch = v0 * np.conj(y @ v0) - s0
    off = max(np.abs(mismatch.real[np.r_[pv, pq]]).max(initial=0.0), np.abs(mismatch.imag[pq]).max(initial=0.0))
    if not off < _FIT_PU * max(1.0, float(np.abs(s0).max())) or ref.size + pv.size + pq.size != v0.size:
        return None
    return Model(y, ref, pv, pq, v0, s0, float(internal["baseMVA"]), readout(net))


def injection(net: Any, model: Model, moving: list[Moving]) -> list[tuple[sp.csr_matrix, Float]]:
    """Return, per moving column, how its values become injections.

    Returns
    -------
    list of (matrix, base)
        ``matrix`` (row, element) turns values into complex injections [pu per MW or Mvar]; ``base`` (element,) is
        what stands in the net. [MW or Mvar]
    """
    row_of = dict(zip(model.readout.bus_index.tolist(), model.readout.bus_row.tolist(), strict=True))
    parts = []
    for m in moving:
        frame = net[m.table]
        buses = frame["bus"].to_numpy()[m.rows]
        rows = np.array([row_of[int(b)] for b in buses], dtype=np.intp)
        alive = (rows >= 0) & frame["in_service"].to_numpy(bool)[m.rows]
        scale = frame["scaling"].to_numpy(float)[m.rows] if "scaling" in frame else np.ones(m.rows.size)
        unit = 1.0 if m.column == "p_mw" else 1j
        weight = _SIGN[m.table] * unit * scale * alive / model.base_mva
        shape = (model.v0.size, m.rows.size)
        matrix = sp.csr_matrix((weight, (np.where(alive, rows, 0), np.arange(m.rows.size))), shape=shape)
        parts.append((matrix, frame[m.column].to_numpy(float)[m.rows].copy()))
    return parts
