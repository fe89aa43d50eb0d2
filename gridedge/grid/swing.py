"""A site whose power swings: one state of the net is held, its sources are EMFs, and every voltage follows the site.

Before the swing the slow controls have settled: the state is that of the net with its sources at their set-points.
Within the swing they do not act: every source keeps the EMF of that state behind its impedance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridedge.errors import RunError, bad
from gridedge.grid.emf import behind_impedance
from gridedge.grid.engines import reference
from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.model import Complex, Float, extract
from gridedge.grid.engines.newton import newton
from gridedge.grid.trial import Trial

_AGREE_PU = 1e-8
_SETTLED_PU = 1e-11  # change of a pass at which the fixed point has arrived
_PASSES = 60
_TERMS = (6, 10, 16, 24, 48)  # of the polynomials, as many as the tail asks for
_TAIL_PU = 1e-8  # a thousandth of what a flickermeter sees: Pst 1 is a swing of 3e-3 pu at its most sensitive
_ERROR_PU = 1e-7
_OF_RANGE = 1e-5  # of the widest range of a voltage: near the collapse the swing is so large that 1e-7 pu says nothing


@dataclass(frozen=True)
class Response:
    """The voltages over the power of one site, in one held state.

    Parameters
    ----------
    weight : ndarray, shape (bus, term)
        Chebyshev coefficients of the voltage over the range of the site's power, -1 to 1. [pu]
    low_mw, high_mw : float
        That range. [MW]
    error_pu : float
        Largest error at exact solutions that the polynomial has not seen: both ends and the mean.
    """

    weight: Float
    low_mw: float
    high_mw: float
    error_pu: float

    def at(self, bus: int, p_mw: Float) -> Float:
        """Return the voltage [pu] of the bus at a position while the site draws ``p_mw`` (time,)."""
        half = (self.high_mw - self.low_mw) / 2 or 1.0
        z = (p_mw - (self.high_mw + self.low_mw) / 2) / half
        return np.asarray(chebyshev.chebval(z, self.weight[bus]))


class Swing:
    """A net in one of its steps, with its sources as EMFs behind their impedance.

    Parameters
    ----------
    trial : Trial
        The net and its buses; who delivers is as it says.
    step : int
        The step that is held.
    sources : dict, optional
        ``s_sc_mva``, ``rx``, ``xd_transient_pu``, as for :func:`gridedge.grid.emf.behind_impedance`.

    Raises
    ------
    InputError
        If a device is no EMF behind an impedance.
    RunError
        If the net has no solution in this step.

    Notes
    -----
    The EMF of a source is E = V + Z I in the state before the swing: with the site at its mean, at full power before
    it trips, or without it before it starts.  The currents of that state are those of the net with its sources at their
    set-points, so it takes one solution of :class:`Trial`, and no new net.  How stiff a source is, is taken without the
    site: an assumption that follows what a source carries does not move with the size.

    The voltages between are interpolated at Chebyshev nodes (J. P. Boyd, Chebyshev and Fourier Spectral Methods, 2001,
    chapter 4), all exact solutions; three more say how large the error is.
    """

    def __init__(self, trial: Trial, step: int, sources: dict[str, Any] | None = None):
        self.trial, self.step = trial, step
        own = standing(trial, step)
        behind = behind_impedance(own, **(sources or {}))
        self.remarks = behind.remarks
        model = extract(own)
        if model is None or model.pv.size:
            cure = "Leave waveform= and limits on voltage steps out, or solve the swing with gridedge.solve."
            raise bad("the net cannot swing behind its sources", "an element that holds a voltage stays", cure)
        self.net, self.model = own, model
        out, there = trial.model.readout, model.readout
        row = dict(zip(there.bus_index.tolist(), there.bus_row.tolist(), strict=True))
        before = dict(zip(out.bus_index.tolist(), out.bus_row.tolist(), strict=True))
        self.bus_index = out.bus_index
        self.bus_row = np.array([row[b] for b in out.bus_index.tolist()], dtype=np.intp)
        self.live = np.flatnonzero((self.bus_row >= 0) & (out.bus_row >= 0))
        first = {int(r): int(b) for b, r in zip(out.bus_index[::-1], out.bus_row[::-1], strict=True)}
        self.site_row = np.array([row[first[int(r)]] for r in trial.rows], dtype=np.intp)
        # Sources at one bus count as one: the sum of their currents and admittances is all that the net sees.
        self._at = np.array([row[s.bus] for s in behind.sources], dtype=np.intp)
        self._at_before = np.array([before[s.bus] for s in behind.sources], dtype=np.intp)
        self._emf = np.array([row[s.emf_bus] for s in behind.sources], dtype=np.intp)
        if set(self._emf.tolist()) != set(model.ref.tolist()):
            raise bad("the net cannot swing behind its sources", "a reference that is no EMF", "Report the net.")
        held = np.setdiff1d(np.r_[trial.model.ref, trial.model.pv], self._at_before)
        if held.size:
            cure = "Replace the DC line or ward by the load that it is."
            raise bad("the net cannot swing behind its sources", f"{held.size} buses are held by something else", cure)
        self._admittance = -np.asarray(model.y[self._at, self._emf]).ravel()
        self._e0 = model.v0[self._emf]
        self._rows = model.pq
        self._lu = splu(sp.csc_matrix(model.y[model.pq][:, model.pq]))
        self._drive = sp.csr_matrix(model.y[model.pq][:, self._emf])

    def emfs(self, k: int, p_mw: float) -> Complex | None:
        """Return the EMFs [pu] of the state in which row ``k`` has drawn ``p_mw`` for long; None without a solution."""
        v = self.before(k, p_mw)
        if v is None:
            return None
        m = self.trial.model
        injected = (v * np.conj(m.y @ v))[self._at_before]  # what the net takes from each source's bus
        fixed = self.model.s0[self._at].copy()
        here = self._at == self.site_row[k]
        fixed[here] -= p_mw * complex(1.0, self.trial.q_per_p) / m.base_mva
        at = v[self._at_before]
        current = np.conj((injected - fixed) / at)
        e = np.empty_like(self._e0)
        for bus in np.unique(self._at):
            mine = self._at == bus
            y, e0 = self._admittance[mine], self._e0[mine]
            short = current[mine][0] - (y * (e0 - at[mine])).sum()
            e[mine] = e0 + short / y.sum()
        return e

    def before(self, k: int, p_mw: float) -> Complex | None:
        """Return the settled voltages (row of the trial,) with row ``k`` at ``p_mw``; None without a solution."""
        t = self.trial
        x = np.zeros((1, t.base.shape[1] + t.rows.size))
        x[0, : t.base.shape[1]] = t.base[self.step]
        x[0, t.base.shape[1] + k] = p_mw
        v = Lanes(t.model.v0.size, 1)
        if not t.solve(x, v).all():
            return None
        return np.asarray(v.take(np.array([0]))[:, 0])

    def within(self, k: int, p_mw: Float, e: Complex) -> Complex | None:
        """Return the voltages (row, state) with row ``k`` at ``p_mw`` (state,), EMFs given; None without a solution."""
        m = self.model
        s = np.repeat(m.s0[:, None], p_mw.size, axis=1)
        s[self.site_row[k]] -= p_mw * complex(1.0, self.trial.q_per_p) / m.base_mva
        v = np.repeat(m.v0[:, None], p_mw.size, axis=1)
        v[self._emf] = e[:, None]
        idle = self._lu.solve(-(self._drive @ e))
        wanted, found = np.conj(s[self._rows]), np.repeat(idle[:, None], p_mw.size, axis=1)
        with np.errstate(all="ignore"):
            for _ in range(_PASSES):
                now = idle[:, None] + self._lu.solve(wanted / np.conj(found))
                change = np.abs(now - found).max(initial=0.0)
                found = now
                if change < _SETTLED_PU:
                    v[self._rows] = found
                    return v
                if not np.isfinite(change):
                    break
        return self._one_by_one(v, s, e)

    def _one_by_one(self, v: Complex, s: Complex, e: Complex) -> Complex | None:
        """Solve by Newton what does not contract, the lightest load first, each from the one before."""
        start = self.model.v0.copy()
        start[self._emf] = e
        own = replace(self.model, v0=start)
        last: Complex | None = None
        for j in np.argsort(-s.sum(axis=0).real, kind="stable"):
            found = newton(own, s[:, j], last)
            if found is None or (np.abs(found) < 0.5 * np.abs(own.v0)).any():  # the lower root is no operating point
                return None
            v[:, j] = last = found
        return v

    def voltages(self, v: Complex) -> Float:
        """Return the voltages (bus, state) [pu] in the order of the trial's buses; NaN where there is no supply."""
        found = np.full((self.bus_index.size, v.shape[1]), np.nan)
        found[self.live] = np.abs(v[self.bus_row[self.live]])
        return found

    def response(self, k: int, low_mw: float, mean_mw: float, high_mw: float) -> Response | None:
        """Return the voltages of a site at row ``k`` that swings between two powers around a mean.

        Returns
        -------
        Response or None
            None where some power of the range has no solution, or lies so near the collapse that no polynomial follows.

        Raises
        ------
        RunError
            If the swing does not begin in the state that it shall.
        """
        e = self.emfs(k, mean_mw)
        settled = self.before(k, mean_mw)
        if e is None or settled is None:
            return None
        middle, half = (low_mw + high_mw) / 2, (high_mw - low_mw) / 2
        seen = np.array([low_mw, mean_mw, high_mw])
        found_there = self.within(k, seen, e)
        if found_there is None:
            return None
        truth = self.voltages(found_there)
        out = self.trial.model.readout
        apart = np.abs(truth[self.live, 1] - np.abs(settled[out.bus_row[self.live]])).max(initial=0.0)
        if not apart < _AGREE_PU:
            raise RunError(f"A swing begins {apart:.1e} pu away from the state that it is held at. Report the net.")
        wide = _OF_RANGE * float(np.nanmax(truth.max(axis=1) - truth.min(axis=1), initial=0.0))
        for terms in _TERMS:
            nodes = np.cos((np.arange(terms) + 0.5) * np.pi / terms)
            v = self.within(k, middle + half * nodes, e)
            if v is None:
                return None
            weight = self.voltages(v) @ (np.cos(np.outer(np.arange(terms), np.arccos(nodes))).T * 2.0 / terms)
            weight[:, 0] /= 2.0
            found = Response(weight, low_mw, high_mw, 0.0)
            if np.nanmax(np.abs(weight[:, -2:]).sum(axis=1), initial=0.0) < max(_TAIL_PU, wide):
                at = chebyshev.chebval((seen - middle) / (half or 1.0), weight.T)
                error = float(np.nanmax(np.abs(at - truth), initial=0.0))
                if error < max(_ERROR_PU, wide):
                    return replace(found, error_pu=error)
        return None

    def step_pu(self, k: int, p_mw: float) -> tuple[float, int]:
        """Return the largest change of a voltage [pu] when row ``k`` starts or trips at ``p_mw``, and at which bus.

        Returns
        -------
        float
            Infinite where a state has no solution.
        int
            Position of the bus.
        """
        worst, where = -1.0, 0
        for settled_mw, after_mw in ((0.0, p_mw), (p_mw, 0.0)):
            v0, e = self.before(k, settled_mw), self.emfs(k, settled_mw)
            v1 = None if e is None else self.within(k, np.array([after_mw]), e)
            if v0 is None or v1 is None:
                return np.inf, int(self.live[0])
            out = self.trial.model.readout
            change = np.abs(self.voltages(v1)[self.live, 0] - np.abs(v0[out.bus_row[self.live]]))
            if float(change.max()) > worst:
                worst, where = float(change.max()), int(self.live[change.argmax()])
        return worst, where


def standing(trial: Trial, step: int) -> Any:
    """Return a copy of the trial's net as it stands in one of its steps, dispatched as the trial dispatches it."""
    own = trial.net_at(step)
    if trial.within is not None:
        from gridedge.grid.engines.within import as_found

        x = trial.states(0, np.zeros(1), np.array([step]))
        as_found(own, trial.within.units, trial.within.supplied(x))
    if not reference.run_once(own):
        raise RunError(f"The net has no solution in step {step}.")
    return own


def heaviest_and_lightest(trial: Trial) -> NDArray[np.intp]:
    """Return the steps in which the net draws most and least, without a site; one where they are the same."""
    t = trial
    x = np.zeros((t.steps, t.base.shape[1] + t.rows.size))
    x[:, : t.base.shape[1]] = t.base
    drawn = -np.asarray((t.p @ x.T).sum(axis=0)).ravel()
    return np.asarray(list(dict.fromkeys([int(drawn.argmax()), int(drawn.argmin())])), dtype=np.intp)
