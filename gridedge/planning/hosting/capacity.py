"""The verb ``hosting_capacity``: how many megawatts a bus can take, and what stops it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Literal

import xarray as xr

from gridedge.errors import bad
from gridedge.grid.buses import bus_names
from gridedge.grid.condition import condition
from gridedge.grid.inject import Background
from gridedge.grid.tap_data import TapControl, as_control
from gridedge.grid.trial import Trial
from gridedge.grid.trial_taps import SettledTrial
from gridedge.measure.limit_sets import Given, LimitSet, load_limits, strictest
from gridedge.planning.hosting.arguments import check_search, one_of, tangent
from gridedge.planning.hosting.curve import add_curve, add_step_curve
from gridedge.planning.hosting.hours import Hours, keep_worst
from gridedge.planning.hosting.losses import held_losses, losses_stops
from gridedge.planning.hosting.outage_limits import check_outage_arguments
from gridedge.planning.hosting.outages import after_every_outage
from gridedge.planning.hosting.request import add_request, requested
from gridedge.planning.hosting.result import Answer, HostingResult, dataset
from gridedge.planning.hosting.series import in_every_step
from gridedge.planning.hosting.unstudied import not_studied, sentence
from gridedge.planning.hosting.waveform import AtHours, read_waveform


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
    taps: Literal["held", "settled"] | TapControl | Mapping[str, Any] = "held",
    max_mw: float | None = None,
    tol_mw: float = 0.01,
    waveform: Any = None,
    waveform_hours: Sequence[float] | None = None,
    sources: Literal["emf", "held"] | Mapping[str, Any] = "emf",
    hours: Hours = "all",
    curve: bool = False,
    requested_mw: Any = None,
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
    taps : {"held", "settled"}, TapControl or dict
        Whether tap changers stay where they stand, or voltages and loadings are judged after they have settled in each
        state, from where the step without the site left them.  ``settled`` takes what
        :class:`gridedge.grid.tap_data.TapControl` assumes; a TapControl or a dict says which move, and how.  Voltage
        steps are always those with the taps of before.
    max_mw : float, optional
        Highest size of interest; without, beyond the collapse where there is one. [MW]
    tol_mw : float
        A capacity holds all limits, and less than this above it one is broken. [MW]
    waveform : Dataset, (array, dt_s) or str, optional
        How the site's power moves within seconds, scaled so that its peak is the site's size; for limits on flicker and
        rapid voltage changes, see :func:`gridedge.planning.hosting.waveform.read_waveform`.
    waveform_hours : sequence of float, optional
        Times of the background at which waveform and voltage step are solved, the net held [s]; without, where the net
        draws most and where it draws least.
    sources : {"emf", "held"} or dict
        What grids and machines do within seconds, as for :func:`gridedge.solve`: EMFs behind their impedance, with
        ``s_sc_mva``, ``rx`` and ``xd_transient_pu`` as given, as the net says, or assumed and stated.  ``held``: a
        voltage step is a lower bound.
    hours : {"all", "worst"}
        Whether every step is judged, or the worst ones by a stated rule (:mod:`gridedge.planning.hosting.hours`): then
        the capacity is at least that of all steps.
    curve : bool
        Whether to add how near each limit is at every size (:mod:`gridedge.planning.hosting.curve`).
    requested_mw : float, mapping or Series, optional
        Wished sizes, one for all or by bus: adds what is served, what stops the rest, and how long each limit is
        broken at the wished size (:mod:`gridedge.planning.hosting.request`). [MW]

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
    is not seen.  With settled taps the voltage over the size is a sawtooth, and such breaks lie before each move of a
    tap: levels are four times as close there, and a remark names a limit that lies inside a dead band.
    Of a net whose ratings are placeholders the thermal limits are not known: ``attrs["thermal"]`` says so, and a
    capacity is then an upper bound.

    A voltage step is the difference between the settled state and that a moment after the site, at its full size, has
    started or tripped: taps held, sources as EMFs.  It and the waveform are judged at ``waveform_hours``, at all buses.

    References
    ----------
    .. [1] Closed form of two buses: V1^2 = V2^2 + 2 (R P + X Q) + (R^2 + X^2) (P^2 + Q^2) / V2^2; see docs/hosting.md.
    """
    q_per_p = tangent(power_factor)
    check_search(existing, supply, max_mw, tol_mw)
    one_of("taps", taps if isinstance(taps, str) else "held", ("held", "settled"))
    one_of("hours", hours, ("all", "worst"))
    with_outages = check_outage_arguments(n_minus_1, emergency_percent, post_outage_vm_pu)
    if with_outages and taps != "held":
        raise bad("outages are judged with taps held", f"taps={taps!r}", 'Give taps="held", or leave n_minus_1 out.')
    no_worse, wanted = existing == "no_worse", load_limits(limits)
    if taps == "held":
        trial = Trial(net, buses, q_per_p, background, shape, supply)
    else:
        control = as_control(True if taps == "settled" else taps)
        trial = SettledTrial(net, buses, q_per_p, background, shape, supply, control)
    wishes = None if requested_mw is None else requested(trial, requested_mw, max_mw)
    wave = None if waveform is None else read_waveform(waveform, power_factor)
    within = AtHours(trial, wanted, wave, waveform_hours, sources)
    said = [keep_worst(trial, wanted)] if hours == "worst" else []
    series = in_every_step(trial, within.left(), no_worse, tol_mw, max_mw)
    answers, outages = series.answers, None
    if with_outages:
        outages = after_every_outage(
            trial, n_minus_1, wanted, answers, no_worse=no_worse, tol_mw=tol_mw,
            emergency_percent=emergency_percent, post_outage_vm_pu=post_outage_vm_pu,
        )  # fmt: skip
        answers = [a.narrowed(stops) for a, stops in zip(answers, outages.stops, strict=True)]
    answers = within.narrowed(answers, tol_mw, max_mw)
    if with_outages or within.swings:
        answers, left = _without_ranges(answers)
        said += left
    lost = losses_stops(trial, wanted, answers, no_worse, tol_mw)
    answers = [a.narrowed(stops) for a, stops in zip(answers, lost, strict=True)]
    names = bus_names(trial.own)
    ds = dataset(answers, trial.buses, [names[b] for b in trial.buses])
    thermal = series.thermal(trial)
    missing = not_studied()
    ds.attrs = {
        "thermal": thermal,
        "supply": trial.supply,
        "taps": "held" if taps == "held" else "settled",
        "waveform": within.judged,
        "existing": existing,
        "power_factor": power_factor,
        "tol_mw": tol_mw,
        "engine_detail": trial.method,
        "error_vm_pu": series.error_vm_pu,
        "hours": hours,
        "not_studied": missing,
        "remarks": [
            *trial.remarks,
            *condition(trial.own),
            *said,
            *series.remarks,
            *within.remarks,
            *_remarks(thermal, ds),
            *_of_taps(trial, wanted),
            *sentence(missing),
        ],
    }
    if outages is not None:
        ds["cut_off_by"] = ("bus", outages.cut_off_by)
        ds.attrs["outages"] = outages.count
        ds.attrs["supply_after_outage"] = trial.supply
        ds.attrs["error_vm_pu"] = max(series.error_vm_pu, outages.error_vm_pu)
        ds.attrs["remarks"] += outages.remarks
    if curve or wishes is not None:
        held = held_losses(trial, wanted, no_worse)
        if curve:
            add_curve(ds, trial, series.groups, held, series.base, answers)
            add_step_curve(ds, within)
        if wishes is not None:
            uncounted = ("step",) if within.steps else ()
            add_request(ds, trial, series.groups, held, series.base, answers, wishes, hours == "all", uncounted)
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


def _without_ranges(answers: list[Answer]) -> tuple[list[Answer], list[str]]:
    """Leave out the later ranges: neither outages nor what happens within seconds were looked at there."""
    some = sum(bool(a.ranges_mw) for a in answers)
    if not some:
        return answers, []
    text = f"At {some} buses limits hold again at larger sizes in the whole net, settled; "
    text += "outages, and what happens within seconds, were not looked at there: such sizes are left out."
    return [replace(a, ranges_mw=()) for a in answers], [text]


def _of_taps(trial: Trial, limits: LimitSet) -> list[str]:
    """Return what has to be said where taps settle."""
    if not isinstance(trial, SettledTrial):
        return []
    said = []
    if trial.hunted:
        said.append(f"Tap changers hunt in {trial.hunted} of the states tried: every position is judged there.")
    c = trial.changers
    for one in strictest(limits, trial.steps):
        inside = [n for n, low, high in zip(c.label, c.low, c.high, strict=True) if low < one.value < high]
        if one.kind in {"low", "high"} and inside:
            said.append(
                f"{one.limit.name}: {one.value:g} pu lies inside the dead band of {', '.join(inside)}: it may break "
                "just before a tap moves and hold again behind, and such a break is only seen where a level meets it."
            )
    return said
