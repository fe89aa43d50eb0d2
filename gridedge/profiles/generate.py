"""The verb ``generate``: IT power over time from a profile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import xarray as xr
from pydantic import Field

from gridedge import schema, sources, yamlfile
from gridedge.errors import InputError, Problem, bad, nearest
from gridedge.profiles.measured import MeasuredProfile, measured_power_mw
from gridedge.profiles.training import TrainingProfile, training_power_mw
from gridedge.spec import build
from gridedge.timebase import coarsen, step_count

Profile = Annotated[TrainingProfile | MeasuredProfile, Field(discriminator="kind")]
_KINDS: dict[str, type[TrainingProfile] | type[MeasuredProfile]] = {
    "training": TrainingProfile,
    "measured": MeasuredProfile,
}
_MOST_SAMPLES = 200_000_000  # 1.6 GB in double precision


def generate(
    profile: str | Path | Mapping[str, Any] | TrainingProfile | MeasuredProfile,
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
        Step length; a measured trace is never made finer than it is. [s]
    seed : int
        Seed of the random numbers; the same seed gives the same bits.
    members : int, optional
        Make this many realisations that differ in their random numbers.

    Returns
    -------
    Dataset
        ``p_mw(time)``, or ``p_mw(member, time)``: IT power [MW], consumption positive, each sample the
        mean over its step.  ``attrs["nameplate_mw"]`` is the servers' nameplate, ``attrs["notes"]`` what
        was found in a trace.

    Raises
    ------
    InputError
        If the profile, the clock or the number of members cannot be used.
    """
    spec = load_profile(profile)
    steps = step_count(duration_s, dt_s)
    whole = isinstance(seed, int) and (members is None or isinstance(members, int))
    if not whole or seed < 0 or (members is not None and members < 1):
        cure = "Give seed >= 0 and members >= 1, both integers."
        raise bad("seed and members must be whole numbers", f"seed {seed}, members {members}", cure)
    if steps * (members or 1) > _MOST_SAMPLES:
        cure = f"At most {_MOST_SAMPLES:g} samples fit; use a coarser dt_s or a shorter duration_s."
        raise bad("the series is too long to hold", f"{steps * (members or 1)} samples", cure)
    attrs: dict[str, Any] = {"profile": spec.title or spec.kind, "spec_sha256": spec.hash(), "seed": seed}
    if isinstance(spec, MeasuredProfile):
        if members is not None:
            raise bad("a measured trace has one realisation", f"members={members}", "Leave members out.")
        p_mw, notes, nameplate_mw = _measured(spec, steps, dt_s)
        return schema.power_dataset(
            p_mw, dt_s, power="IT", attrs={**attrs, "nameplate_mw": nameplate_mw, "notes": list(notes)}
        )
    count = 1 if members is None else members
    p = np.stack([training_power_mw(spec, dt_s, 0, steps, seed=seed, member=m) for m in range(count)])
    attrs |= {"nameplate_mw": spec.nameplate_mw, "notes": []}
    return schema.power_dataset(p[0] if members is None else p, dt_s, power="IT", attrs=attrs)


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


def load_profile(profile: Any) -> TrainingProfile | MeasuredProfile:
    """Turn a name, a path, a dict or a spec into a profile spec.

    A dict may name a shipped profile and change some of it: ``{"profile": "h100-training", "period_s": 12}``.
    """
    if isinstance(profile, TrainingProfile | MeasuredProfile):
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


def merge_preset(document: yamlfile.Document, at: yamlfile.Loc) -> yamlfile.Document:
    """Put a shipped profile under what a document says at a path, where it names one."""
    parent: Any = document.data
    for key in at[:-1]:
        parent = parent.get(key) if isinstance(parent, Mapping) else None
    own = document.data if not at else (parent or {}).get(at[-1])
    if isinstance(own, str):
        own = {"profile": own}
    if not isinstance(own, Mapping) or "profile" not in own:
        return document
    name = own["profile"]
    if not isinstance(name, str):
        raise bad(
            "profile must be a name or a path",
            name,
            "Write `profile: h100-training`.",
            document.where((*at, "profile")),
        )
    try:
        preset = yamlfile.read(sources.resolve("profiles", name))
    except InputError as error:
        where = document.where((*at, "profile"))
        raise InputError([Problem(p.thing, p.value, p.cure, p.where or where) for p in error.problems]) from error
    changed = {k: v for k, v in own.items() if k != "profile"}
    merged = {**preset.data, **changed}
    if "origins" in merged:  # what is overridden no longer comes from where the preset had it
        merged["origins"] = {k: v for k, v in merged["origins"].items() if k not in changed}
    if at:
        parent[at[-1]] = merged
    else:
        document.data = merged
    for loc, place in preset.lines.items():
        document.lines.setdefault((*at, *loc), place)
    document.problems += preset.problems
    return document
