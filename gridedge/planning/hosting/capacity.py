"""The verb ``hosting_capacity``: how many megawatts a bus can take, and what stops it."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, Literal

import numpy as np
import xarray as xr

from gridedge.errors import bad, nearest
from gridedge.grid.buses import bus_names
from gridedge.grid.condition import condition
from gridedge.grid.inject import Background
from gridedge.grid.trial import Trial
from gridedge.measure.limit_sets import Given, load_limits
from gridedge.planning.hosting.outage_limits import check_outage_arguments
from gridedge.planning.hosting.outages import after_every_outage
from gridedge.planning.hosting.result import HostingResult, dataset
from gridedge.planning.hosting.series import in_every_step


def hosting_capacity(
    net: Any,
    *,
    buses: int | str | Sequence[int | str] | None = None,
    power_factor: float = 0.98,
    limits: Given = ("en50160", "ratings"),
    existing: Literal["absolute", "no_worse"] = "absolute",
    shape: Any = None,
    background: Background = None,
    n_minus_1: bool | str | PathLike[str] | Sequence[str | Sequence[str]] = False,
    emergency_percent: float | str | None = None,
    post_outage_vm_pu: Sequence[float] | None = None,
    supply: Literal["auto", "slack", "headroom"] = "auto",
    taps: Literal["held"] = "held",
    max_mw: float | None = None,
    tol_mw: float = 0.01,
) -> HostingResult:
    """Find how much load each bus can take, one site at a time, and what stops it.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    buses : int, str or sequence of these, optional
        Where the site is tried; without, at every bus that has a supply.
    power_factor : float
        Of the site at the meter: lagging (it draws reactive power), or leading where negative.
    limits : str, path, dict or sequence of these
        What must hold; see :func:`gridedge.measure.limit_sets.load_limits`.  None at all ends at the collapse.
    existing : {"absolute", "no_worse"}
        What holds where the net breaks a limit already: the limit itself, so that the capacity is 0, or no worse than
        without the site, each element by itself (within 0.0005 pu and 0.1 %).
    shape : array-like, shape (time,), optional
        Power of the site in each step, of its size. [pu]
    background : Dataset or dict of Datasets, optional
        How the net's own elements move, as for :func:`gridedge.solve`; without, one step: the net as it stands.
    n_minus_1 : bool, str, path or sequence
        True: the limits hold after every outage of a line, transformer, impedance or generator too; "substation": of
        the transformers at the external grids; or labels and tuples of labels, or a file of these (YAML, CSV), see
        :func:`gridedge.planning.hosting.outage_list.read_outages`.
    emergency_percent : float or str, optional
        Highest loading after an outage, of the normal rating, or the column of the branch tables that holds it;
        without, the limits of ``limits`` (assumed). [%]
    post_outage_vm_pu : (float, float), optional
        Voltage band after an outage; without, that of ``limits`` (assumed). [pu]
    supply : {"auto", "slack", "headroom"}
        Who delivers what the site draws: the slack in a radial net, else all units with limits in proportion to
        their headroom.
    taps : {"held"}
        Tap changers stay where they stand.
    max_mw : float, optional
        Highest size of interest; without, beyond the collapse where there is one. [MW]
    tol_mw : float
        A capacity holds all limits, and less than this above it one is broken. [MW]

    Returns
    -------
    HostingResult

    Raises
    ------
    InputError
        If an argument cannot be used, a bus is unknown or has no supply, or limits contradict each other.
    RunError
        If the net has no solution as it stands, or an answer differs from ``runpp``.

    Notes
    -----
    The first break counted from zero is searched in levels, closer together for small sites, and refined between the
    two that enclose it.  All steps are solved at each level and at the answer.  A break that heals between two levels
    is not seen.  Of a net whose ratings are placeholders the thermal limits are not known: ``attrs["thermal"]`` says
    so, and a capacity is then an upper bound.

    A voltage step is the difference between the solution with and without the site, sources held at their set-point:
    that hides what their own impedance adds, so the step is a lower bound, and the result says so.

    References
    ----------
    .. [1] Closed form of two buses: V1^2 = V2^2 + 2 (R P + X Q) + (R^2 + X^2) (P^2 + Q^2) / V2^2; see docs/hosting.md.
    """
    q_per_p = _tangent(power_factor)
    _check(existing, supply, taps, max_mw, tol_mw)
    with_outages = check_outage_arguments(n_minus_1, emergency_percent, post_outage_vm_pu)
    wanted = load_limits(limits)
    trial = Trial(net, buses, q_per_p, background, shape, supply)
    series = in_every_step(trial, wanted, existing == "no_worse", tol_mw, max_mw)
    answers = series.answers
    outages = None
    if with_outages:
        outages = after_every_outage(
            trial, n_minus_1, wanted, answers, no_worse=existing == "no_worse", tol_mw=tol_mw,
            emergency_percent=emergency_percent, post_outage_vm_pu=post_outage_vm_pu,
        )  # fmt: skip
        answers = [a.narrowed(stops) for a, stops in zip(answers, outages.stops, strict=True)]
    names = bus_names(trial.own)
    ds = dataset(answers, trial.buses, [names[b] for b in trial.buses])
    thermal = series.thermal(trial)
    ds.attrs = {
        "thermal": thermal,
        "supply": trial.supply,
        "taps": taps,
        "existing": existing,
        "power_factor": power_factor,
        "tol_mw": tol_mw,
        "engine_detail": trial.method,
        "error_vm_pu": series.error_vm_pu,
        "remarks": [*trial.remarks, *condition(trial.own), *series.remarks, *_remarks(thermal, ds)],
    }
    if outages is not None:
        ds["cut_off_by"] = ("bus", outages.cut_off_by)
        ds.attrs["outages"] = outages.count
        ds.attrs["error_vm_pu"] = max(series.error_vm_pu, outages.error_vm_pu)
        ds.attrs["remarks"] += outages.remarks
    return HostingResult(ds, wanted, outages.cut_off if outages is not None else ())


def _remarks(thermal: str, ds: xr.Dataset) -> list[str]:
    said = []
    if thermal == "not known":
        said.append("Thermal limits are not known (placeholder ratings): every capacity is an upper bound.")
    if int(ds["at_slack"].sum()):
        buses = int(ds["at_slack"].sum())
        said.append(
            f"{buses} of {ds.sizes['bus']} capacities are bound by the slack's own branch, at the reference bus."
        )
    return said


def _tangent(power_factor: float) -> float:
    if isinstance(power_factor, bool) or not 0 < abs(power_factor) <= 1:
        cure = "Give 0.98 for lagging, -0.98 for leading, 1 for none of both."
        raise bad("a power factor must be above 0 and at most 1 in size", power_factor, cure)
    return float(np.copysign(np.tan(np.arccos(abs(power_factor))), power_factor))


def _check(existing: str, supply: str, taps: str, max_mw: float | None, tol_mw: float) -> None:
    for name, value, known in (
        ("existing", existing, ("absolute", "no_worse")),
        ("supply", supply, ("auto", "slack", "headroom")),
        ("taps", taps, ("held",)),
    ):
        if value not in known:
            raise bad(f"unknown {name}", str(value), nearest(str(value), known))
    if not tol_mw > 0:
        raise bad("tol_mw must be positive", tol_mw, "Give tol_mw=0.01.")
    if max_mw is not None and not 0 < max_mw < np.inf:
        raise bad("max_mw must be positive", max_mw, "Give the highest size of interest, or leave it out.")
