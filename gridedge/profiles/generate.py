"""The verb ``generate``: IT power over time from a profile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from gridedge import schema, sources, yamlfile
from gridedge.errors import bad, nearest
from gridedge.profiles.catalog import server
from gridedge.profiles.cluster import Cluster, ClusterProfile
from gridedge.profiles.ensemble import draw_member, varied
from gridedge.profiles.inference.profile import InferenceProfile
from gridedge.profiles.job import TrainingProfile, check_step
from gridedge.profiles.lazy import lazy_dataset
from gridedge.profiles.measured import MeasuredProfile, measured_power_mw
from gridedge.profiles.preset import merge_preset
from gridedge.profiles.training import Job
from gridedge.spec import build
from gridedge.timebase import coarsen, step_count

Profile = Annotated[TrainingProfile | ClusterProfile | InferenceProfile | MeasuredProfile, Field(discriminator="kind")]
AnyProfile = TrainingProfile | ClusterProfile | InferenceProfile | MeasuredProfile
_KINDS: dict[str, type[AnyProfile]] = {
    "training": TrainingProfile,
    "cluster": ClusterProfile,
    "inference": InferenceProfile,
    "measured": MeasuredProfile,
}
_HELD = 20_000_000  # samples held in memory, 160 MB in double precision; longer series are made where they are read
_Made = Job | Cluster


def generate(
    profile: str | Path | Mapping[str, Any] | AnyProfile,
    *,
    duration_s: float,
    dt_s: float,
    seed: int = 0,
    members: int | None = None,
) -> xr.Dataset:
    """Make the IT power of a profile.

    Parameters
    ----------
    profile : str, path, dict or spec
        A shipped profile's name, a YAML file, its content, or the spec itself.
    duration_s : float
        Length of the series. [s]
    dt_s : float
        Step length; an iteration holds two at least, and a measured trace is never made finer than it is. [s]
    seed : int
        Seed of the random numbers; the same seed gives the same bits.
    members : int, optional
        Make this many realisations.  Member 0 has the profile's own figures; the others draw those that are assumed
        from their ranges as well, evenly and one independent of another.

    Returns
    -------
    Dataset
        ``p_mw(time)``, or ``p_mw(member, time)``: IT power [MW], consumption positive, each sample the
        mean over its step.  ``active_pu`` of the same shape, only where it is not 1 throughout: the share of the
        servers whose job runs.  Above 2e7 samples both are made where they are read, block by block, with the
        same bits.  In the attributes: ``nameplate_mw``, ``servers`` and ``accelerators`` (their numbers), ``server``
        (its type), ``profile_json`` (builds the profile again), ``varied`` (what the members draw), ``notes`` (what was
        found in a trace, failures of the jobs, a queue without bound).  Of inference also ``method`` (exact or fluid)
        and the mean over the members of ``requests_offered``, ``_served``, ``_late``, ``_refused``, ``_in_system``.

    Raises
    ------
    InputError
        If the profile, the clock or the number of members cannot be used.
    """
    spec = load_profile(profile)
    steps = step_count(duration_s, dt_s)
    seed = _whole_number("seed", seed, 0)
    members = None if members is None else _whole_number("members", members, 1)
    attrs: dict[str, Any] = {"profile": spec.title or spec.kind, "spec_sha256": spec.hash(), "seed": seed}
    if isinstance(spec, MeasuredProfile):
        if members is not None:
            raise bad("a measured trace has one realisation", f"members={members}", "Leave members out.")
        p_mw, notes, nameplate_mw = _measured(spec, steps, dt_s)
        attrs |= {"nameplate_mw": nameplate_mw, "servers": spec.nodes, "notes": list(notes)}
        return schema.power_dataset(p_mw, dt_s, power="IT", attrs=attrs)
    if isinstance(spec, InferenceProfile):
        return _served(spec, steps, dt_s, seed, members, attrs)
    for job in spec.placed() if isinstance(spec, ClusterProfile) else (spec,):
        check_step(job, dt_s)
    made = [_make(draw_member(spec, m, seed=seed), steps * dt_s, seed, m) for m in range(members or 1)]
    attrs |= {
        "nameplate_mw": spec.nameplate_mw,
        "server": server(spec.server).name,
        "servers": spec.servers,
        "accelerators": spec.accelerators,
        "profile_json": json.dumps(spec.model_dump(mode="json", exclude_unset=True)),
        "varied": [str(item) for item in varied(spec)] if members is not None and members > 1 else [],
        "notes": _notes(made, steps * dt_s),
    }
    reads = {"p_mw": [partial(_power_mw, one, dt_s) for one in made]}
    if any(_pauses(one, steps * dt_s) for one in made):
        reads["active_pu"] = [partial(one.active_pu, dt_s) for one in made]
    if steps * len(made) > _HELD:
        return lazy_dataset(reads, steps, dt_s, members=members is not None, attrs=attrs)
    held = {name: np.stack([read(0, steps) for read in every]) for name, every in reads.items()}
    if members is None:
        held = {name: values[0] for name, values in held.items()}
    ds = schema.power_dataset(held["p_mw"], dt_s, power="IT", attrs=attrs)
    if "active_pu" in held:
        ds["active_pu"] = (ds["p_mw"].dims, held["active_pu"], {"cell_methods": "time: mean"})
    return schema.describe(ds)


def _served(
    spec: InferenceProfile, steps: int, dt_s: float, seed: int, members: int | None, attrs: dict[str, Any]
) -> xr.Dataset:
    """Make the power of a site that serves."""
    from gridedge.profiles.inference.produce import produce

    if steps * (members or 1) > _HELD:
        cure = "Use dt_s=60 or a multiple, a shorter series, or fewer members."
        raise bad("a series of inference is held in memory", f"{steps * (members or 1):.3g} samples", cure)
    drawn = [draw_member(spec, m, seed=seed) for m in range(members or 1)]
    made = [produce(one, steps, dt_s, seed=seed, member=m) for m, one in enumerate(drawn)]
    notes = [f"power and times: {spec.rates.source}"] if spec.rates.source.startswith("assumed") else []
    held = [one.saturated for one in made if one.saturated]
    if held:
        of = f" (in {len(held)} of {len(made)} members)" if len(made) > 1 else ""
        notes.append(f"{held[0]}{of}.")
    most = max(float(one.p_mw.max()) for one in made)
    if spec.capacity_mw is not None and most > spec.capacity_mw:
        notes.append(f"up to {most:.4g} MW are drawn; the site may draw {spec.capacity_mw:g} MW (capacity_mw).")
    counted = ("offered", "served", "late", "refused", "in_system")
    attrs |= {
        "nameplate_mw": spec.nameplate_mw,
        "server": spec.server,
        "servers": spec.servers,
        "accelerators": spec.accelerators,
        "profile_json": json.dumps(spec.model_dump(mode="json", exclude_unset=True)),
        "varied": [str(item) for item in varied(spec)] if members is not None and members > 1 else [],
        "notes": notes,
        "method": made[0].method,
        **{f"requests_{name}": float(np.mean([getattr(one, name) for one in made])) for name in counted},
    }
    p_mw = np.stack([one.p_mw for one in made])
    return schema.power_dataset(p_mw if members is not None else p_mw[0], dt_s, power="IT", attrs=attrs)


def _whole_number(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise bad(f"{name} must be a whole number of {least} or more", repr(value), f"Give {name}={least} or more.")
    return int(value)


def _make(spec: TrainingProfile | ClusterProfile, end_s: float, seed: int, member: int) -> _Made:
    if isinstance(spec, ClusterProfile):
        return Cluster(spec, end_s, seed=seed, member=member)
    return Job(spec, end_s, seed=seed, member=member)


def _power_mw(made: _Made, dt_s: float, start: int, stop: int) -> NDArray[np.float64]:
    return made.power_pu(dt_s, start, stop) * made.profile.nameplate_mw


def _jobs(made: _Made) -> tuple[Job, ...]:
    return made.jobs if isinstance(made, Cluster) else (made,)


def _pauses(made: _Made, end_s: float) -> bool:
    """Say whether servers are without a running job at any time."""
    whole = isinstance(made, Job) or made.all_work
    return not whole or any(job.profile.begin_s is not None or job.runs[0].idle_s < end_s for job in _jobs(made))


def _notes(made: list[_Made], end_s: float) -> list[str]:
    """Return what failed within the series, and the work that is done again."""
    counts, hangs, replay_s = [], [], []
    for one in made:
        failed = [r for job in _jobs(one) for r in job.runs if r.end in {"crash", "hang"} and 0 <= r.stop_s < end_s]
        counts.append(len(failed))
        hangs.append(sum(r.end == "hang" for r in failed))
        replay_s.append(sum(r.replay_s for r in failed))
    if not any(counts):
        return []
    if len(made) == 1:
        some = "failure stops" if counts[0] == 1 else "failures stop"
        return [
            f"{counts[0]} {some} a job within the series, {hangs[0]} of them as a hang; {replay_s[0]:.0f} s of "
            "training since the last checkpoints are done again and draw power as work."
        ]
    return [
        f"{min(counts)} to {max(counts)} failures stop a job within a member, on average {np.mean(counts):.3g}, "
        f"{np.mean(hangs):.3g} of them as a hang; on average {np.mean(replay_s):.0f} s of training are done again."
    ]


def _measured(spec: MeasuredProfile, steps: int, dt_s: float) -> tuple[np.ndarray, tuple[str, ...], float]:
    p_mw, trace_dt_s, notes = measured_power_mw(spec)
    if spec.nodes is None:
        raise bad("the number of servers is not stated", "nodes", "Set nodes, so that the nameplate is known.")
    factor = round(dt_s / trace_dt_s)
    if factor < 1 or abs(factor * trace_dt_s - dt_s) > 1e-6 * trace_dt_s:
        cure = f"Use dt_s={trace_dt_s:g} or a multiple; a trace is never interpolated finer."
        raise bad("dt_s is not the trace's step", f"{dt_s} s, the trace has {trace_dt_s:g} s", cure)
    have_s = p_mw.size // factor * dt_s
    if steps * factor > p_mw.size:
        raise bad("the trace is too short", f"{have_s:g} s < {steps * dt_s:g} s", f"Use duration_s={have_s:g}.")
    return coarsen(p_mw[: steps * factor], factor, "mean"), notes, spec.nodes * spec.node_rated_kw / 1e3


def load_profile(profile: Any) -> AnyProfile:
    """Turn a name, a path, a dict or a spec into a profile spec.

    A dict may name a shipped profile and change some of it: ``{"profile": "h100-at-scale", "period_s": 12}``.
    """
    if isinstance(profile, AnyProfile):
        return profile
    if isinstance(profile, str | Path):
        document = yamlfile.read(sources.resolve("profiles", profile))
    elif isinstance(profile, Mapping):
        document = yamlfile.Document(dict(profile))
    else:
        raise bad("cannot make a profile of this", type(profile).__name__, "Give a name, a path, a dict or a spec.")
    document = merge_preset(document, ())
    kind = str(document.data.get("kind"))
    if kind == "shape":
        cure = "It drives the feeder's loads: use it as background.shape of a study."
        raise bad("a daily shape has no power of its own", str(document.data.get("title")), cure)
    if kind not in _KINDS:
        raise bad("the profile's kind is unknown", kind, nearest(kind, _KINDS), document.where(("kind",)))
    return build(_KINDS[kind], document)
