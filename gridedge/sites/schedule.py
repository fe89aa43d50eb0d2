"""Jobs against each other in time: staggering them, and starting them one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gridedge.errors import bad
from gridedge.profiles import reshape
from gridedge.profiles.cluster import ClusterProfile
from gridedge.sites.regenerate import Work
from gridedge.sites.step import Around, Outcome
from gridedge.spec import Spec

Float = NDArray[np.float64]


class Stagger(Spec):
    """Jobs of a cluster shifted against each other, so that their iterations do not meet."""

    step: Literal["stagger"]
    place: Literal["chip"] = "chip"
    """Where it acts: in the schedule of the computers."""
    offsets_s: tuple[float, ...] | None = Field(None, min_length=1)
    """Shift of each job, in the cluster's order; even over one iteration if left out. [s]"""

    def reshaped(self, profile: Any) -> tuple[Work, Mapping[str, float]]:
        """Return the cluster with its jobs shifted."""
        if not isinstance(profile, ClusterProfile):
            cure = "Generate a cluster (kind: cluster) of several jobs; the servers of one job wait for each other."
            raise bad("stagger shifts the jobs of a cluster, and this load is one job", f"kind: {profile.kind}", cure)
        return reshape.stagger(profile, self.offsets_s), {"jobs": float(len(profile.jobs))}

    def act(self, p_mw: Float, around: Around) -> Outcome:  # noqa: ARG002  # the form of every step
        """Refuse a series: it is a sum, in which no job can be found again."""
        cure = "Stagger the profile of a cluster (kind: cluster): gridedge.generate(...), then this step first."
        raise bad("jobs cannot be shifted within a series", "stagger", cure)


class RampUp(Spec):
    """The start of the servers spread over time."""

    step: Literal["ramp_up"]
    place: Literal["chip"] = "chip"
    """Where it acts: in the schedule of the computers."""
    ramp_s: float = Field(gt=0)
    """Time over which the servers start. [s]"""

    def reshaped(self, profile: Any) -> tuple[Work, Mapping[str, float]]:
        """Return the profile with its start spread over time."""
        return reshape.ramp_up(profile, self.ramp_s)

    def act(self, p_mw: Float, around: Around) -> Outcome:
        """Hold a series below a line that rises from its first sample by its nameplate in ``ramp_s``."""
        if around.nameplate_mw is None:
            cure = 'Set load.attrs["nameplate_mw"] to the nameplate of the servers in MW.'
            raise bad("the load does not say its nameplate", "", cure)
        line = around.nameplate_mw * around.dt_s / self.ramp_s * np.arange(p_mw.shape[-1])
        after = np.minimum(p_mw, p_mw[..., :1] + line)
        delayed = p_mw - after
        mwh = float(delayed.sum()) * around.dt_s / 3600.0 / max(1, int(np.prod(p_mw.shape[:-1])))
        note = (
            f"ramp_up: this load is a series, whose servers cannot be told apart. It is held below a line that "
            f"rises by the nameplate in {self.ramp_s:g} s from its start; {mwh:.3g} MWh of work are put off and do not "
            "come back within it."
        )
        return Outcome(after, delayed_mw=delayed, notes=(note,), figures=(("delayed_mwh", mwh),))
