"""Making a load anew from a reshaped profile, so that its period and its spectrum move."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import bad
from gridedge.profiles.cluster import Cluster, ClusterProfile
from gridedge.profiles.ensemble import draw_member
from gridedge.profiles.generate import load_profile
from gridedge.profiles.job import TrainingProfile
from gridedge.profiles.training import Job

Float = NDArray[np.float64]
Work = TrainingProfile | ClusterProfile
"""What a profile can be whose work is still to be shaped."""
_COMPARED = 4096  # samples of each member that are held against its profile


class Reshaping(Protocol):
    """A step that shapes the work, not the series."""

    def reshaped(self, profile: Work) -> tuple[Work, Mapping[str, float]]:
        """Return the profile that the step makes, and its figures."""


def regenerate(load: xr.Dataset, steps: Sequence[Reshaping]) -> tuple[xr.Dataset, list[dict[str, float]]]:
    """Make a generated load again, from the profile that some steps make of its own.

    Each member draws what is assumed about the profile as before, and is shaped then: so that members are the same
    jobs with and without the steps.

    Parameters
    ----------
    load : Dataset
        IT power of :func:`gridedge.generate`, whole or cut, with ``attrs["profile_json"]`` and ``attrs["seed"]``.
    steps : sequence of steps
        In order; each turns the profile that the one before made.

    Returns
    -------
    made : Dataset
        ``p_mw`` and, where not all servers run a job all the time, ``active_pu``, on the same clock and of the same
        members; in the attributes what the nominal profile is now.
    figures : list of dict
        What each step says of itself, mean over the members.

    Raises
    ------
    InputError
        If the load is not what its profile makes, or a step cannot shape the profile.
    """
    profile = load_profile(json.loads(load.attrs["profile_json"]))
    if not isinstance(profile, Work):
        cure = "Delete attrs['profile_json'] to have the series cut."
        what = "a site that serves" if profile.kind == "inference" else "a measured trace"
        raise bad(f"{what} has no work that could be stretched", f"kind: {profile.kind}", cure)
    dt_s, seed = schema.clock(load), int(load.attrs.get("seed", 0))
    first, count = round(float(load["time"][0]) / dt_s), load.sizes["time"]
    there = load["p_mw"].transpose(..., "time")
    rows, shares, said = [], [], []
    for member in range(load.sizes.get("member", 1)):
        own = draw_member(profile, member, seed=seed)
        mine = there.isel(member=member) if "member" in there.dims else there
        _check_same(mine, _made(own, (first + count) * dt_s, seed, member), dt_s, first)
        shaped, found = _shaped(own, steps)
        made = _made(shaped, (first + count) * dt_s, seed, member)
        rows.append(_power_mw(made, dt_s, first, first + count))
        shares.append(made.active_pu(dt_s, first, first + count))
        said.append(found)
    out = xr.Dataset({"p_mw": (there.dims, np.stack(rows).reshape(there.shape))})
    if min(float(share.min(initial=1.0)) for share in shares) < 1.0:
        out["active_pu"] = (there.dims, np.stack(shares).reshape(there.shape), {"cell_methods": "time: mean"})
    nominal, _ = _shaped(profile, steps)
    out.attrs = {
        "profile_json": json.dumps(nominal.model_dump(mode="json", exclude_unset=True)),
        "spec_sha256": nominal.hash(),
    }
    figures = [{k: float(np.mean([one[n][k] for one in said])) for k in said[0][n]} for n in range(len(steps))]
    return out, figures


def _shaped(profile: Work, steps: Sequence[Reshaping]) -> tuple[Work, list[dict[str, float]]]:
    figures = []
    for step in steps:
        profile, found = step.reshaped(profile)
        figures.append({str(k): float(v) for k, v in found.items()})
    return profile, figures


def _made(profile: Work, end_s: float, seed: int, member: int) -> Job | Cluster:
    kind: Any = Cluster if isinstance(profile, ClusterProfile) else Job
    made: Job | Cluster = kind(profile, end_s, seed=seed, member=member)
    return made


def _power_mw(made: Job | Cluster, dt_s: float, start: int, stop: int) -> Float:
    return made.power_pu(dt_s, start, stop) * made.profile.nameplate_mw


def _check_same(there: xr.DataArray, made: Job | Cluster, dt_s: float, first: int) -> None:
    """Check that the load is what its profile makes: only then may the profile stand for it."""
    count = min(_COMPARED, there.sizes["time"])
    apart = np.abs(_power_mw(made, dt_s, first, first + count) - there.isel(time=slice(count)).values)
    if (apart > 1e-6 * made.profile.nameplate_mw).any():
        k = int(np.argmax(apart > 1e-6 * made.profile.nameplate_mw))
        cure = "Pass the load as gridedge.generate gave it, or delete attrs['profile_json'] to have the series cut."
        raise bad("the load is not what its profile makes", f"they part by {apart[k]:.3g} MW at step {k}", cure)
