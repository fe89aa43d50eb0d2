"""The verb ``solve``: AC power flow of every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import RunError, bad, nearest
from gridedge.grid.engines import reference
from gridedge.grid.engines.choose import Engine, check_name, choose, held_out, judge
from gridedge.grid.engines.moving import Moving
from gridedge.grid.inject import Background, add_sites, moving_background, private_copy
from gridedge.grid.ratings import known_rating
from gridedge.grid.results import Readout

_REDUCTIONS = ("min", "max", "mean")
_LATER = ("beyond",)
_QUANTITIES = (("vm_pu", "bus"), ("va_degree", "bus"), ("loading_percent", "branch"), ("pl_mw", "branch"))


def solve(
    net: Any,
    injections: xr.Dataset | None = None,
    *,
    background: Background = None,
    engine: Engine = "auto",
    reduce: Sequence[str] | None = None,
    tol_vm_pu: float = 1e-6,
    on_progress: Callable[[int], None] | None = None,
) -> xr.Dataset:
    """Solve the AC power flow of every step.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    injections : Dataset, optional
        What the sites draw: ``p_mw(time, site)``, ``q_mvar(time, site)``, ``bus(site)``;
        consumption positive, added on top of the net's own loads, never scaled.
    background : Dataset or dict of Datasets, optional
        Series for the net's own elements, ``{"load": ds}`` with ``p_mw(time, load)`` labelled by the
        net's index.  A coarser clock is held from its labels on.
    engine : {"auto", "reference", "batch"}
        ``reference`` is ``runpp`` at 1e-10 MVA, step by step; ``batch`` solves all steps side by side.  ``auto``
        takes ``batch`` for many steps on a net that it covers.  ``attrs`` say which engine ran and why, and
        ``error_vm_pu`` is its largest difference from ``runpp`` at the lightest, heaviest, first and middle step.
        ``surface`` is refused by name.
    reduce : sequence of {"min", "max", "mean"}, optional
        Keep only these over time, without holding the series.
    tol_vm_pu : float
        Error that an interpolating engine may make; ``reference`` has none. [pu]
    on_progress : callable, optional
        Told how many steps are done.

    Returns
    -------
    Dataset
        ``vm_pu(time, bus)`` [pu], ``va_degree(time, bus)`` [degree], ``loading_percent(time, branch)`` [%],
        ``pl_mw(time, branch)`` [MW] and ``converged(time)``.  With ``reduce``, the dimension ``time`` of
        the four is replaced by ``reduction``.  A step that did not converge is NaN.

    Raises
    ------
    InputError
        If an input cannot be used.
    RunError
        If the net does not converge even as it stands, or no step converges.
    """
    check_name(engine)
    if not tol_vm_pu > 0:
        raise bad("tol_vm_pu must be positive", tol_vm_pu, "Give tol_vm_pu=1e-6.")
    _check_reductions(reduce)
    own, remarks = private_copy(net)
    time, dt_s = _time(injections, background)
    moving, idle = moving_background(own, background, time, dt_s)
    reference.base_state(own)
    if injections is not None:
        rows = add_sites(own, injections)
        for column in ("p_mw", "q_mvar"):
            values = injections[column].transpose("time", "site").values.astype(float)
            moving.append(Moving("sgen", column, rows, -values))
        if not reference.run_once(own):  # with the sites at zero, so that the model is there to be recycled
            raise RunError("The net does not converge any more once the site's load element is added.")

    total_mw = _total_mw(moving, time.size)
    flow = choose(own, moving, total_mw, engine, on_progress)
    if injections is not None:
        _supplied(own, flow.out, rows)
    keep: _Series | _Reduced = _Series(time.size, flow.out) if reduce is None else _Reduced(tuple(reduce), flow.out)
    converged = np.zeros(time.size, dtype=bool)
    judged = held_out(total_mw) if flow.engine != "reference" else np.empty(0, dtype=np.intp)
    sample: dict[int, NDArray[np.complex128]] = {}
    for states, v, solved in flow.blocks:
        converged[states] = solved
        keep.add(states, v, solved)
        sample |= {int(states[k]): v[:, k].copy() for k in np.flatnonzero(np.isin(states, judged) & solved)}
    if not converged.any():
        raise RunError(_no_step(injections, time.size))
    ds = _dataset(keep, flow.out, own, time, converged, injections)
    ds.attrs |= {"engine": flow.engine, "engine_detail": flow.detail, "engine_why": flow.why, "dt_s": dt_s}
    ds.attrs["remarks"] = remarks + idle
    ds.attrs["error_vm_pu"] = judge(own, moving, np.array(sorted(sample), dtype=np.intp), sample) if sample else 0.0
    return ds


def _supplied(net: Any, out: Readout, rows: NDArray[np.intp]) -> None:
    """Raise InputError for a site at a bus that no source reaches: it would draw nothing, and nobody would see it."""
    alive = set(out.bus_index[out.bus_row >= 0].tolist())
    for bus, name in zip(net.sgen.bus.to_numpy()[rows], net.sgen.name.to_numpy()[rows], strict=True):
        if int(bus) not in alive:
            cure = "Close the switches towards it, or choose another bus."
            raise bad(f"site {name!r} connects to a bus without supply", f"bus {bus}", cure)


def _check_reductions(reduce: Sequence[str] | None) -> None:
    for name in reduce or ():
        if name in _REDUCTIONS:
            continue
        if name in _LATER or name.startswith("q0"):
            raise bad("this reduction is not in this version", name, "Use min, max and mean.")
        raise bad("unknown reduction", name, nearest(name, _REDUCTIONS))
    if reduce is not None and not len(reduce):
        raise bad("reduce is empty", "[]", 'Give reduce=["min", "max"], or leave it out.')


def _time(injections: xr.Dataset | None, background: Background) -> tuple[NDArray[np.float64], float]:
    source = injections
    if source is None and background is not None:
        source = background if isinstance(background, xr.Dataset) else next(iter(background.values()), None)
    if source is None:
        return np.zeros(1), 1.0
    schema.require(source, [], thing="the load" if injections is not None else "the background")
    return source["time"].values.astype(float), schema.clock(source)


def _total_mw(moving: list[Moving], steps: int) -> NDArray[np.float64]:
    """Return the power that moves in each state, consumption positive."""
    total = np.zeros(steps)
    for m in moving:
        if m.column == "p_mw":
            total += m.values.sum(axis=1) * (1.0 if m.table in {"load", "storage"} else -1.0)
    return total


class _Series:
    """Keeps every step."""

    def __init__(self, steps: int, out: Readout):
        sizes = {"bus": out.bus_index.size, "branch": len(out.labels)}
        self.out = out
        self.dims = "time"
        self.values = {name: np.full((steps, sizes[dim]), np.nan) for name, dim in _QUANTITIES}

    def add(self, states: NDArray[np.intp], v: NDArray[np.complex128], solved: NDArray[np.bool_]) -> None:
        good = states[solved]
        for name, block in _block(self.out, v[:, solved]).items():
            self.values[name][good] = block


class _Reduced:
    """Keeps the smallest, largest and mean over the converged steps."""

    def __init__(self, names: tuple[str, ...], out: Readout):
        self.names, self.out, self.count = names, out, 0
        self.dims = "reduction"
        self.parts: dict[str, dict[str, NDArray[np.float64]]] = {}

    def add(self, _: NDArray[np.intp], v: NDArray[np.complex128], solved: NDArray[np.bool_]) -> None:
        if not solved.any():
            return
        for name, block in _block(self.out, v[:, solved]).items():
            fresh = {"min": block.min(axis=0), "max": block.max(axis=0), "mean": block.sum(axis=0)}
            old = self.parts.setdefault(name, fresh)
            if old is not fresh:
                old["min"] = np.minimum(old["min"], fresh["min"])
                old["max"] = np.maximum(old["max"], fresh["max"])
                old["mean"] = old["mean"] + fresh["mean"]
        self.count += int(solved.sum())

    @property
    def values(self) -> dict[str, NDArray[np.float64]]:
        return {
            name: np.stack([part[r] / (self.count if r == "mean" else 1) for r in self.names])
            for name, part in self.parts.items()
        }


def _block(out: Readout, v: NDArray[np.complex128]) -> dict[str, NDArray[np.float64]]:
    vm, va = out.voltages(v)
    loading, losses = out.branches(v)
    return {"vm_pu": vm, "va_degree": va, "loading_percent": loading, "pl_mw": losses}


def _dataset(
    keep: _Series | _Reduced,
    out: Readout,
    net: Any,
    time: NDArray[np.float64],
    converged: NDArray[np.bool_],
    injections: xr.Dataset | None,
) -> xr.Dataset:
    ds = xr.Dataset({name: ((keep.dims, dim), keep.values[name]) for name, dim in _QUANTITIES})
    ds["converged"] = ("time", converged)
    ds = ds.assign_coords(
        time=time,
        bus=out.bus_index,
        bus_name=("bus", [str(n) for n in net.bus.name]),
        branch=out.labels,
        element=("branch", out.element),
        index=("branch", out.index),
        rating_known=("branch", _known(net, out)),
    )
    if isinstance(keep, _Reduced):
        ds = ds.assign_coords(reduction=list(keep.names))
    ds.attrs = {
        "sources": "held at their set-point",
        "steps_not_converged": int((~converged).sum()),
    }
    if injections is not None:
        ds["p_site_mw"] = injections["p_mw"]
        ds["q_site_mvar"] = injections["q_mvar"]
    return schema.describe(ds)


def _known(net: Any, out: Readout) -> NDArray[np.bool_]:
    """Return, per branch, whether its rating is one, or a placeholder."""
    tables = dict.fromkeys(out.element)
    parts = [known_rating(net, table) for table in tables]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


def _no_step(injections: xr.Dataset | None, steps: int) -> str:
    text = f"The power flow converges in none of the {steps} steps: the net cannot carry this load."
    if injections is not None:
        peak = float(injections["p_mw"].max())
        text += f" The site asks for up to {peak:.3g} MW at the meter; connect less, or choose a stronger bus."
    return text
