"""What must stay near its owner: requests served at home, and fine-tuning on the data that lies there."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from gridedge.errors import bad
from gridedge.profiles.generate import generate, load_profile
from gridedge.profiles.job import TrainingProfile
from gridedge.schema import power_dataset
from gridedge.spec import Spec, quantity
from gridedge.timebase import step_count

_DAY_S = 86_400.0


class FineTuning(Spec):
    """A small training job at an edge site, on data that may not leave it."""

    profile: str = quantity("b200-lora", mark="measured", source="MLPerf Training v5.0: LoRA on one 8xB200 server")
    """Profile of the job; its servers are replaced."""
    servers: int = quantity(1, mark="assumed", source="one server tunes an adapter", ge=1)
    """Servers of each site that tune."""
    from_h: float = quantity(1.0, mark="assumed", source="at night, when few ask", ge=0, lt=24)
    """When it begins, local time. [h]"""
    hours: float = quantity(4.0, mark="assumed", source="adapters of a day's data", gt=0, le=24)
    """How long it runs each day. [h]"""

    def job(self) -> TrainingProfile:
        """Return the profile of the job with its number of servers, for :func:`gridedge.generate`.

        Raises
        ------
        InputError
            If the profile is no single training job.
        """
        spec = load_profile(self.profile)
        if not isinstance(spec, TrainingProfile):
            raise bad("fine-tuning needs a training job", self.profile, "Name a profile of kind training.")
        return spec.model_copy(update={"servers": self.servers})


def fine_tuning_load(spec: FineTuning, *, duration_s: float, dt_s: float, start_h: float = 0.0) -> xr.Dataset:
    """Return the IT power of nightly fine-tuning on the season's clock.

    Parameters
    ----------
    spec : FineTuning
        Job, and when it runs.
    duration_s, dt_s : float
        Length and step. [s]
    start_h : float
        Local time of the first sample. [h]

    Returns
    -------
    Dataset
        ``p_mw(time)``: the job's mean power over ten minutes while it runs, the servers' idle power otherwise.  The
        waveform itself comes from ``generate(spec.job(), ...)``.
    """
    steps = step_count(duration_s, dt_s)
    job = spec.job()
    made = generate(job, duration_s=600.0, dt_s=0.5, seed=0)
    level = float(made["p_mw"].mean())
    idle = job.idle_level_pu * job.nameplate_mw
    edge = (np.arange(steps + 1) * dt_s + 3600.0 * (start_h - spec.from_h)) / _DAY_S
    long_days = spec.hours / 24.0
    # Time with the job on, up to each edge: whole days, and the part of the last one.
    on = np.floor(edge) * long_days + np.minimum(edge - np.floor(edge), long_days)
    share = np.diff(on) * _DAY_S / dt_s
    attrs: dict[str, Any] = {"nameplate_mw": job.nameplate_mw, "servers": job.servers, "profile": job.title}
    return power_dataset(np.asarray(idle + share * (level - idle)), dt_s, power="IT", attrs=attrs)
