"""Profiles as a power cap, a frequency cap, a stagger or a slow start would make them.

Each takes a spec and returns a spec, with figures of what it costs: the job itself changes, so that its
period and its spectrum move, which no filter of a finished series can show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from gridedge.errors import bad, is_number
from gridedge.profiles.cluster import ClusterJob, ClusterProfile
from gridedge.profiles.job import TrainingProfile
from gridedge.spec import build

P = TypeVar("P", TrainingProfile, ClusterProfile)
_LEVELS = ("compute_pu", "overshoot_pu", "taper_pu", "residual_pu", "dip_pu", "evaluation_pu")
EXPONENT = 2.0
"""Power above idle goes with frequency to this power; assumed, between 1 (voltage fixed) and 3 (voltage follows)."""
COMPUTE_BOUND_PU = 0.8
"""Share of the compute phase whose time goes with 1/frequency; assumed, the rest waits for memory."""


def cap_frequency(
    profile: P,
    frequency_pu: float,
    *,
    exponent: float = EXPONENT,
    compute_bound_pu: float = COMPUTE_BOUND_PU,
) -> tuple[P, dict[str, float]]:
    r"""Run the accelerators of a profile at a lower frequency.

    Parameters
    ----------
    profile : TrainingProfile or ClusterProfile
        What runs; of a cluster, every job is capped.
    frequency_pu : float
        Highest frequency, over that of the profile, above 0 and up to 1.
    exponent : float
        Power above idle goes with frequency to this power.
    compute_bound_pu : float
        Share of the compute phase whose time goes with 1/frequency.

    Returns
    -------
    profile : TrainingProfile or ClusterProfile
        The slower job.
    figures : dict
        ``frequency_pu``; ``slowdown_pu``, the lengthening of an iteration over its length; ``delayed_pu``, the
        share of the work that is not done in the same time; of a cluster all are means by servers.

    Raises
    ------
    InputError
        If a value is outside its range.

    Notes
    -----
    .. math:: P - P_{idle} \sim f^a, \qquad T_{compute} \sim \frac{s}{f} + 1 - s

    Power of clocked logic goes with :math:`f V^2`; with the voltage following the frequency a is 3, with a fixed one
    it is 1 (Weste and Harris, CMOS VLSI Design, 4th ed., 2011, section 5.2).  Both a and s are assumed.  Every
    level above idle is lowered, communication too: its kernels spin on the same clock.  The time of the communication
    stays: the network keeps its own.
    """
    _check_profile(profile, TrainingProfile, ClusterProfile)
    _check_numbers(frequency_pu=frequency_pu)
    if not 0 < frequency_pu <= 1:
        raise bad("frequency_pu cannot be held", frequency_pu, "Give 0 < frequency_pu <= 1, over the profile's own.")
    _check_law(exponent, compute_bound_pu)
    if isinstance(profile, ClusterProfile):
        law = {"exponent": exponent, "compute_bound_pu": compute_bound_pu}
        return _each(profile, lambda job: cap_frequency(job, frequency_pu, **law))
    idle, factor = profile.idle_level_pu, frequency_pu**exponent

    def lower(level: float) -> float:
        return idle + (level - idle) * factor if level > idle else level

    changed: dict[str, Any] = {"notch_pu": profile.notch_pu * factor}
    for name in (*_LEVELS, "communication_pu"):
        level = getattr(profile, name)
        if level is not None:
            changed[name] = lower(level)
    return _stretched(profile, changed, frequency_pu, compute_bound_pu)


def cap_power(
    profile: P,
    cap_pu: float,
    *,
    exponent: float = EXPONENT,
    compute_bound_pu: float = COMPUTE_BOUND_PU,
) -> tuple[P, dict[str, float]]:
    """Cap the power of a profile's servers.

    Parameters
    ----------
    profile : TrainingProfile or ClusterProfile
        What runs; of a cluster, every job is capped.
    cap_pu : float
        Highest power of a running server. [pu of nameplate]
    exponent, compute_bound_pu : float
        As for :func:`cap_frequency`.

    Returns
    -------
    profile : TrainingProfile or ClusterProfile
        The slower job.  Noise is added to the capped power as before: a real cap cuts it too.
    figures : dict
        As for :func:`cap_frequency`.

    Raises
    ------
    InputError
        If the cap does not lie above the communication level, or a value is outside its range.

    Notes
    -----
    The accelerators lower their frequency until the compute level meets the cap, by the law of
    :func:`cap_frequency` turned round: f = ((cap - idle) / (compute - idle))^(1/a).  What lies below the cap stays.
    """
    _check_profile(profile, TrainingProfile, ClusterProfile)
    _check_numbers(cap_pu=cap_pu)
    _check_law(exponent, compute_bound_pu)
    if isinstance(profile, ClusterProfile):
        law = {"exponent": exponent, "compute_bound_pu": compute_bound_pu}
        return _each(profile, lambda job: cap_power(job, cap_pu, **law))
    lowest = max(profile.communication_pu, profile.idle_level_pu)
    if not cap_pu > lowest:
        cure = f"Give cap_pu above {lowest:g}."
        raise bad("the cap does not lie above communication and idle power", f"cap_pu {cap_pu}", cure)
    levels = {name: getattr(profile, name) for name in _LEVELS if getattr(profile, name) is not None}
    if cap_pu >= max(levels.values()):
        return profile, {"frequency_pu": 1.0, "slowdown_pu": 0.0, "delayed_pu": 0.0}
    changed: dict[str, Any] = {name: min(level, cap_pu) for name, level in levels.items()}
    # A notch keeps its bottom; what of it lay above the cap is gone.
    changed["notch_pu"] = max(0.0, min(profile.notch_pu, cap_pu - (profile.compute_pu - profile.notch_pu)))
    idle = profile.idle_level_pu
    frequency_pu = min(1.0, (cap_pu - idle) / (profile.compute_pu - idle)) ** (1.0 / exponent)
    return _stretched(profile, changed, frequency_pu, compute_bound_pu)


def stagger(cluster: ClusterProfile, offsets_s: Sequence[float] | None = None) -> ClusterProfile:
    """Shift the jobs of a cluster against each other.

    Parameters
    ----------
    cluster : ClusterProfile
        Two jobs or more.
    offsets_s : sequence of float, optional
        How much later each job does everything; job k of n by k/n of its own period if left out. [s]

    Returns
    -------
    ClusterProfile

    Raises
    ------
    InputError
        If there is one job only, whose servers must stay in step, or not one offset per job.

    Notes
    -----
    With periods that jitter or differ, offsets are forgotten: jobs drift apart by about jitter times
    the root of the number of iterations.
    """
    _check_profile(cluster, ClusterProfile)
    count = len(cluster.jobs)
    if count < 2:
        cure = "A single job's servers wait for each other; give the cluster two jobs or more."
        raise bad("one job cannot be staggered", f"{count} job", cure)
    if offsets_s is None:
        offsets_s = [k / count * part.job.period_s for k, part in enumerate(cluster.jobs)]
    if len(offsets_s) != count:
        raise bad("offsets_s has not one value per job", f"{len(offsets_s)} for {count} jobs", "Give one for each.")
    for offset_s in offsets_s:
        _check_numbers(offsets_s=offset_s)
    parts = [_changed(part, {"offset_s": float(o)}) for part, o in zip(cluster.jobs, offsets_s, strict=True)]
    return _changed(cluster, {"jobs": tuple(parts)})


def ramp_up(profile: P, ramp_s: float, *, begin_s: float = 0.0) -> tuple[P, dict[str, float]]:
    """Start a profile slowly.

    Parameters
    ----------
    profile : TrainingProfile or ClusterProfile
        What runs.
    ramp_s : float
        A job grows from its init power to its full swing over this time; the jobs of a cluster begin one after the
        other, evenly over it, each growing over its part. [s]
    begin_s : float
        When the first job's init phase begins. [s]

    Returns
    -------
    profile : TrainingProfile or ClusterProfile
        Jobs with ``begin_s`` and ``warm_up_s``.
    figures : dict
        ``delayed_s``: by how much later the work is done, mean by servers; half of a job's own growth and its wait.

    Raises
    ------
    InputError
        If a time is negative, or the ramp has no length.
    """
    _check_profile(profile, TrainingProfile, ClusterProfile)
    _check_numbers(ramp_s=ramp_s, begin_s=begin_s)
    if not ramp_s > 0 or begin_s < 0:
        raise bad("the ramp cannot be held", f"ramp_s {ramp_s}, begin_s {begin_s}", "Give ramp_s > 0, begin_s >= 0.")
    if isinstance(profile, TrainingProfile):
        changed = {"begin_s": begin_s, "running_s": 0.0, "warm_up_s": ramp_s}
        return _changed(profile, changed), {"delayed_s": ramp_s / 2}
    count = len(profile.jobs)
    parts, delayed_s, servers = [], 0.0, 0.0
    for number, part in enumerate(profile.jobs):
        wait_s, grow_s = number * ramp_s / count, ramp_s / count
        job = _changed(part.job, {"begin_s": begin_s + wait_s, "running_s": 0.0, "warm_up_s": grow_s})
        parts.append(_changed(part, {"job": job, "offset_s": 0.0}))
        delayed_s += part.share_pu * (wait_s + grow_s / 2)
        servers += part.share_pu
    return _changed(profile, {"jobs": tuple(parts)}), {"delayed_s": delayed_s / servers}


def _check_profile(profile: Any, *kinds: type) -> None:
    if not isinstance(profile, kinds):
        shown = repr(profile) if isinstance(profile, str) else type(profile).__name__
        names = " or ".join(kind.__name__ for kind in kinds)
        raise bad(f"reshaping takes a {names}", shown, "Make one with gridedge.profiles.generate.load_profile(...).")


def _check_numbers(**values: Any) -> None:
    for name, value in values.items():
        if not is_number(value):
            raise bad(f"{name} must be a number", repr(value), "The unit is in its name.")


def _check_law(exponent: float, compute_bound_pu: float) -> None:
    _check_numbers(exponent=exponent, compute_bound_pu=compute_bound_pu)
    if not exponent > 0 or not 0 <= compute_bound_pu <= 1:
        value = f"exponent {exponent}, compute_bound_pu {compute_bound_pu}"
        raise bad("the law of power and speed is not possible", value, "Give exponent > 0, 0 <= compute_bound_pu <= 1.")


def _stretched(
    profile: TrainingProfile, changed: dict[str, Any], frequency_pu: float, compute_bound_pu: float
) -> tuple[TrainingProfile, dict[str, float]]:
    """Lengthen the compute phase and what counts in its work, and say what that costs."""
    longer = compute_bound_pu / frequency_pu + 1.0 - compute_bound_pu
    busy_s = profile.compute_share * profile.period_s
    period_s = profile.period_s + (longer - 1.0) * busy_s
    slower = period_s / profile.period_s
    changed |= {"period_s": period_s, "compute_share": longer * busy_s / period_s, "taper_s": longer * profile.taper_s}
    for name in ("dip_at_s", "dip_fall_s", "dip_hold_s", "dip_recovery_s", "evaluation_s"):
        changed[name] = longer * getattr(profile, name)
    if profile.notch_s is not None:
        changed["notch_s"] = longer * profile.notch_s
    # Jobs evaluate and save after so many iterations, which now take longer.
    for name in ("checkpoint_interval_s", "evaluation_interval_s"):
        if getattr(profile, name) is not None:
            changed[name] = slower * getattr(profile, name)
    figures = {"frequency_pu": frequency_pu, "slowdown_pu": slower - 1.0, "delayed_pu": 1.0 - 1.0 / slower}
    return _changed(profile, changed), figures


def _each(cluster: ClusterProfile, change: Any) -> tuple[ClusterProfile, dict[str, float]]:
    total = sum(part.share_pu for part in cluster.jobs)
    parts: list[ClusterJob] = []
    figures: dict[str, float] = {}
    for part in cluster.jobs:
        job, costs = change(part.job)
        parts.append(_changed(part, {"job": job}))
        for name, value in costs.items():
            figures[name] = figures.get(name, 0.0) + part.share_pu / total * value
    return _changed(cluster, {"jobs": tuple(parts)}), figures


S = TypeVar("S", TrainingProfile, ClusterProfile, ClusterJob)


def _changed(spec: S, values: dict[str, Any]) -> S:
    """Return a spec with some values changed, checked anew; what was changed has no origin of its own any more."""
    copy = spec.model_copy(update=values)
    data = copy.model_dump(mode="json", exclude_unset=True)
    if "origins" in data:
        data["origins"] = {k: v for k, v in data["origins"].items() if k not in values}
    return build(type(spec), data)
