"""The verb ``solve``: AC power flow of every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import RunError, bad, nearest
from gridedge.grid.clock import Clock, clock_of
from gridedge.grid.emf import Behind, at_mean, behind_impedance
from gridedge.grid.emf_data import Given
from gridedge.grid.engines import reference
from gridedge.grid.engines.choose import Engine, Supply, check_name, choose, held_out, judge
from gridedge.grid.engines.march import march
from gridedge.grid.engines.moving import Moving, as_values
from gridedge.grid.feeders import find_bus
from gridedge.grid.gather import OnDisk, Reduced, Whole
from gridedge.grid.inject import Background, add_sites, check_supply, moving_background, private_copy
from gridedge.grid.keep import Part, Plan, check_names
from gridedge.grid.ratings import known_ratings
from gridedge.grid.results import Readout
from gridedge.measure.limits import Limits

_BEYOND = {"vm_pu": (0.9, 1.1), "loading_percent": 100.0}  # EN 50160: the declared voltage +-10 %; every rating
_LOOKED_AT = 4096  # steps without a solution that are looked at for their cause


def solve(
    net: Any,
    injections: xr.Dataset | None = None,
    *,
    background: Background = None,
    engine: Engine = "auto",
    reduce: Sequence[str] | None = None,
    tol_vm_pu: float = 1e-6,
    limits: Limits | Mapping[str, Any] | None = None,
    at: Sequence[int | str] | None = None,
    sources: Literal["held", "emf"] | Mapping[str, Given] = "held",
    supply: Literal["slack", "headroom"] = "slack",
    enforce_q_lims: bool = False,
    store: str | Path | None = None,
    executor: Executor | None = None,
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
    engine : {"auto", "reference", "batch", "surface"}
        ``reference`` is ``runpp`` at 1e-10 MVA, step by step; ``batch`` solves all steps side by side, as exactly;
        ``surface`` interpolates the voltages over the power of few sites, within ``tol_vm_pu``.  ``auto`` takes
        what is fastest for the net and the steps.  ``attrs`` say which engine ran and why, and ``error_vm_pu`` is
        its largest difference from ``runpp`` at the lightest, heaviest, first and middle step.
    reduce : sequence of {"min", "max", "mean", "q0.95", "beyond"}, optional
        Keep only these over time, without holding the series: a quantile ``q`` between 0 and 1 is the value that the
        fraction ``q`` of the steps does not exceed, within the stated ``*_quantile_error``; ``beyond`` is the time
        spent outside ``limits``.
    tol_vm_pu : float
        Error that ``surface`` may make; the others make none above 1e-8. [pu]
    limits : Limits or dict, optional
        For ``beyond``: ``vm_pu`` (low, high) [pu] and ``loading_percent`` [%].  Without: 0.9 to 1.1 pu (EN 50160, the
        declared voltage within 10 %) and 100 %.
    at : sequence of int or str, optional
        Buses whose voltage is kept at every step beside the reduction.
    sources : {"held", "emf"} or dict
        What an external grid or a voltage-controlled machine does.  ``held``: it holds its set-point.  ``emf``: it is a
        constant EMF behind its impedance, set at the mean of all steps, as within a second after a change; what the
        net does not say is assumed and stated in ``attrs["remarks"]``.  A dict sets it: ``s_sc_mva``, ``rx``,
        ``xd_transient_pu``, as in :func:`gridedge.grid.emf.behind_impedance`.
    supply : {"slack", "headroom"}
        Who delivers a change of load and of losses against the net as it stands: the reference alone, or every unit
        with limits in proportion to what it has left (``max_p_mw`` less ``p_mw``; for a fall ``p_mw`` less
        ``min_p_mw``), within them.  A step that asks for more than there is, is not converged.
    enforce_q_lims : bool
        Whether generators keep ``min_q_mvar`` and ``max_q_mvar``: their bus then leaves its set-point, and returns to
        it when it can.  With either, the series has ``p_unit_mw(time, unit)``, ``q_unit_mvar(time, unit_bus)`` and
        ``at_limit(time, unit_bus)`` (1 at the upper, -1 at the lower limit); a ``store`` holds the four alone.
    store : str or path, optional
        Write the series of every step to a new Zarr store there, block by block, and return it lazily; needs
        the extra ``[zarr]``.
    executor : concurrent.futures.Executor, optional
        Works on the blocks of steps: processes, or a cluster through ``dask.distributed.Client.get_executor()``.
        The numbers are those of one process, to the last bit.
    on_progress : callable, optional
        Told how many steps are done.

    Returns
    -------
    Dataset
        ``vm_pu(time, bus)`` [pu], ``va_degree(time, bus)`` [degree], ``loading_percent(time, branch)`` [%],
        ``pl_mw(time, branch)`` [MW] and ``converged(time)``.  With ``reduce``, the dimension ``time`` of the four is
        replaced by ``reduction``; ``beyond`` gives ``vm_beyond_s(bus)`` and ``loading_beyond_s(branch)`` [s], and
        ``at`` gives ``vm_at_pu(time, at)`` [pu].  A step that did not converge, or whose input is no number, is NaN.

    Raises
    ------
    InputError
        If an input cannot be used.
    RunError
        If the net does not converge even as it stands, or no step converges.
    """
    check_name(engine)
    _check_sources(sources)
    if supply not in {"slack", "headroom"}:
        raise bad("unknown supply", str(supply), nearest(str(supply), ("slack", "headroom")))
    if not tol_vm_pu > 0:
        raise bad("tol_vm_pu must be positive", tol_vm_pu, "Give tol_vm_pu=1e-6.")
    names = check_names(reduce)
    if names is None and at is not None:
        raise bad("at= keeps the series of some buses beside a reduction", "reduce is missing", "Give reduce=[...].")
    if names is not None and store is not None:
        raise bad("store= is for the whole series", f"reduce={list(names)}", "Leave one of the two out.")
    own, remarks = private_copy(net)
    clock = clock_of(injections, background)
    time, dt_s = clock.steps, clock.dt_s
    moving, idle = moving_background(own, background, clock)
    rows = None
    if injections is not None:
        rows = add_sites(own, injections)  # at zero for now, so that they are in the base state's model
        for column in ("p_mw", "q_mvar"):
            values = as_values(injections[column].transpose("time", "site"))
            moving.append(Moving("sgen", column, rows, values, sign=-1.0))
    reference.base_state(own)
    behind = Behind((), [])
    if sources != "held":
        moving = at_mean(own, moving)
        given: dict[str, Any] = {} if sources == "emf" else dict(sources)
        behind = behind_impedance(own, **given)
    flow = choose(own, moving, time, engine, tol_vm_pu, Supply(enforce_q_lims, supply == "headroom"))
    if rows is not None:
        check_supply(own, flow.out, rows)
    plan = _plan(own, flow.out, names, limits, at)
    keep: Whole | OnDisk | Reduced
    if names is not None:
        keep = Reduced(flow.out, plan, time, dt_s)
    else:
        keep = Whole(flow.out, time) if store is None else OnDisk(flow.out, time, Path(store), clock)
    converged = np.zeros(time, dtype=bool)
    said: Counter[str] = Counter()

    def on_part(first: int, part: Part) -> None:
        converged[first : first + part.solved.size] = part.solved
        said.update(part.said)
        keep.add(first, part)
        if on_progress is not None:
            on_progress(first + part.solved.size)

    judged = held_out(moving, time) if flow.engine != "reference" else np.empty(0, dtype=np.intp)
    sample, lost = march(flow.segments, moving, plan, flow.out, judged, on_part, executor)
    if not converged.any():
        raise RunError(_no_step(injections, time))
    ds = as_dataset(keep, plan, flow.segments, flow.out, own, clock, converged, injections)
    ds.attrs |= {"engine": flow.engine, "engine_detail": flow.detail, "engine_why": flow.why, "dt_s": dt_s}
    if behind.sources:
        ds = ds.drop_sel(bus=behind.added_buses, branch=behind.added_branches)
        ds.attrs["sources"] = "EMFs behind impedance"
    ds.attrs["remarks"] = remarks + idle + behind.remarks + lost + _void(moving, converged)
    ds.attrs["remarks"] += [f"{count} steps are not solved: {reason}." for reason, count in said.items()]
    ds.attrs["error_vm_pu"] = judge(own, moving, sample, flow) if sample else 0.0
    return ds


def _check_sources(sources: Any) -> None:
    known = ("s_sc_mva", "rx", "xd_transient_pu")
    if isinstance(sources, Mapping):
        for name in sources:
            if name not in known:
                raise bad("unknown data of sources", str(name), nearest(str(name), known))
    elif sources not in {"held", "emf"}:
        raise bad("unknown sources", str(sources), nearest(str(sources), ("held", "emf")))


def _void(moving: list[Moving], converged: NDArray[np.bool_]) -> list[str]:
    """Say how many steps are lost because their input is no number."""
    lost = np.flatnonzero(~converged)
    void = 0
    for first in range(0, min(lost.size, _LOOKED_AT), 256):
        here = lost[first : first + 256]
        void += int((~np.isfinite(np.concatenate([m.at_each(here) for m in moving], axis=1))).any(axis=1).sum())
    return [f"{void} steps have an input that is no number; they are not solved."] if void else []


def _plan(
    net: Any,
    out: Readout,
    names: tuple[str, ...] | None,
    limits: Limits | Mapping[str, Any] | None,
    at: Sequence[int | str] | None,
) -> Plan:
    """Return what to keep."""
    buses, branches = out.bus_index.size, len(out.labels)
    low, high = np.full(2 * (buses + branches), -np.inf), np.full(2 * (buses + branches), np.inf)
    if "beyond" in (names or ()):
        wanted = limits if isinstance(limits, Limits) else Limits(**(limits if limits is not None else _BEYOND))
        if wanted.vm_pu is not None:
            low[:buses], high[:buses] = wanted.vm_pu
        if wanted.loading_percent is not None:
            high[2 * buses : 2 * buses + branches] = wanted.loading_percent
    position = {int(b): k for k, b in enumerate(out.bus_index)}
    chosen = np.array([position[find_bus(net, b)[0]] for b in at or ()], dtype=np.intp)
    return Plan(names, low, high, chosen)


def as_dataset(
    keep: Whole | OnDisk | Reduced,
    plan: Plan,
    segments: Any,
    out: Readout,
    net: Any,
    clock: Clock,
    converged: NDArray[np.bool_],
    injections: xr.Dataset | None,
) -> xr.Dataset:
    """Return what is kept of all steps as the dataset that ``solve`` describes."""
    ds = xr.Dataset(keep.variables())
    ds["converged"] = ("time", converged)
    ds = ds.assign_coords(clock.coordinate()).assign_coords(
        bus=out.bus_index,
        bus_name=("bus", [str(n) for n in net.bus.name]),
        branch=out.labels,
        element=("branch", out.element),
        index=("branch", out.index),
        rating_known=("branch", known_ratings(net, out.element)),
    )
    if "reduction" in ds.dims:
        ds = ds.assign_coords(reduction=[n for n in plan.names or () if n != "beyond"])
    labels = getattr(segments[0][2], "coordinates", None)
    if labels is not None and isinstance(keep, Whole):
        ds = ds.assign_coords(labels())
    if plan.at.size:
        ds = ds.assign_coords(at=out.bus_index[plan.at])
    ds.attrs = {
        "sources": "held at their set-point",
        "steps_not_converged": int((~converged).sum()),
    }
    if injections is not None:
        # As plain variables: to align two long clocks xarray would write both out.
        own = {n: c.variable for n, c in injections.coords.items() if "time" not in c.dims and n != "bus"}
        ds = ds.assign_coords(own)
        ds["p_site_mw"] = injections["p_mw"].variable
        ds["q_site_mvar"] = injections["q_mvar"].variable
    return schema.describe(ds)


def _no_step(injections: xr.Dataset | None, steps: int) -> str:
    text = f"The power flow converges in none of the {steps} steps: the net cannot carry this load."
    if injections is not None:
        peak = float(injections["p_mw"].max())
        text += f" The site asks for up to {peak:.3g} MW at the meter; connect less, or choose a stronger bus."
    return text
