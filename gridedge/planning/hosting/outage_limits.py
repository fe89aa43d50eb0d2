"""What holds after an outage: voltage band, emergency rating, and what is assumed where none is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gridedge.errors import bad, is_number
from gridedge.grid.engines.secured import Held
from gridedge.grid.trial import Trial
from gridedge.measure.limit_sets import GridLimit, LimitSet, LoadingLimit, VoltageLimit, load_limits, refuse_per_unit
from gridedge.planning.hosting.bounds import NO_WORSE_PERCENT, NO_WORSE_PU, NOISE, Group

_TABLES = ("line", "trafo", "trafo3w", "impedance")


def limits_after(
    limits: LimitSet, emergency_percent: float | str | None, post_outage_vm_pu: Sequence[float] | None
) -> tuple[LimitSet, list[str]]:
    """Return what holds after an outage, and what has to be said about it.

    Parameters
    ----------
    limits : LimitSet
        What holds in the whole net.
    emergency_percent, post_outage_vm_pu
        As for :func:`after_every_outage`.

    Returns
    -------
    (LimitSet, list of str)
        Bands and loadings hold in every step: a mean or an allowance is for the whole net.  A limit of the step of
        voltage is about the site, not about an outage.
    """
    kept: list[GridLimit] = []
    said = []
    for limit in limits.limits:
        if isinstance(limit, VoltageLimit) and post_outage_vm_pu is not None:
            continue
        if isinstance(limit, LoadingLimit) and is_number(emergency_percent):
            continue
        if isinstance(limit, VoltageLimit | LoadingLimit):
            kept.append(limit.model_copy(update={"mean_s": None, "steps_allowed": None, "of_steps": None}))
            if limit.mean_s is not None or limit.steps_allowed is not None:
                said.append(f"{limit.name}: after an outage it holds in every step, means and allowances left out.")
    if post_outage_vm_pu is not None:
        band = [float(x) for x in post_outage_vm_pu]
        one = {"limit": "voltage", "name": "post-outage band", "vm_pu": band}
        kept += load_limits(one).limits
    if is_number(emergency_percent):
        two = {"limit": "loading", "name": "emergency rating", "loading_percent": float(emergency_percent)}  # type: ignore[arg-type]
        kept += load_limits(two).limits
    elif emergency_percent is None and any(isinstance(x, LoadingLimit) for x in kept):
        said.append("No emergency rating is given: after an outage the normal rating holds (assumed).")
    if post_outage_vm_pu is None and any(isinstance(x, VoltageLimit) for x in kept):
        said.append("No voltage band after an outage is given: that of the whole net holds (assumed).")
    return LimitSet(title="after an outage", limits=tuple(kept)), said


def check_outage_arguments(given: Any, emergency_percent: Any, post_outage_vm_pu: Any) -> bool:
    """Say whether outages are asked for; raise InputError where what belongs to them is given without, or is wrong."""
    if given is False or given is None:
        for name, value in (("emergency_percent", emergency_percent), ("post_outage_vm_pu", post_outage_vm_pu)):
            if value is not None:
                raise bad(f"{name} is about outages", repr(value), "Give n_minus_1=True, or leave it out.")
        return False
    if emergency_percent is not None and not isinstance(emergency_percent, str):
        usable = is_number(emergency_percent) and emergency_percent > 0
        if not usable:
            cure = "Give a percentage of the normal rating, such as 120, or a column of the net."
            raise bad("emergency_percent must be positive", repr(emergency_percent), cure)
        refuse_per_unit("emergency_percent", float(emergency_percent), 2.0, 120)
    if post_outage_vm_pu is not None:
        pair = isinstance(post_outage_vm_pu, Sequence) and len(post_outage_vm_pu) == 2
        if not pair or not all(is_number(x) for x in post_outage_vm_pu):
            raise bad("post_outage_vm_pu is a band", repr(post_outage_vm_pu), "Give (0.90, 1.10).")
        low, high = post_outage_vm_pu
        if not 0 < low < high < 2:
            raise bad("post_outage_vm_pu is an empty band", repr(post_outage_vm_pu), "Give (0.90, 1.10), in pu.")
    return True


def held_after(trial: Trial, group: Group | None, column: float | str | None, no_worse: bool) -> tuple[Held, list[str]]:
    """Return what every element is held to, the emergency ratings of the net's own column included."""
    out = trial.model.readout
    buses, branches = out.bus_index.size, len(out.labels)
    low, high, full = np.full(buses, -np.inf), np.full(buses, np.inf), np.full(branches, np.inf)
    if group is not None:
        low, high, full = group.bounds.low.copy(), group.bounds.high.copy(), group.bounds.full.copy()
    said = []
    if isinstance(column, str):
        tables = [t for t in _TABLES if len(trial.own[t]) and column in trial.own[t]]
        if not tables:
            known = sorted(
                {str(c) for t in _TABLES if len(trial.own[t]) for c in trial.own[t].columns if "percent" in c}
            )
            cure = f"Give a number, or write the column first. Columns in percent: {', '.join(known) or 'none'}."
            raise bad("no branch table has this column of emergency ratings", column, cure)
        missing = 0
        for k, (table, index) in enumerate(zip(out.element, out.index.tolist(), strict=True)):
            value = float(trial.own[table].at[index, column]) if table in tables else 0.0
            if not trial.rating_known[k]:
                continue
            if np.isfinite(value) and value > 0:
                full[k] = value
            else:
                missing += 1
        full[out.dead] = np.inf
        if missing:
            said.append(f"{missing} branches have no {column}: after an outage their normal rating holds (assumed).")
    return Held(low, high, full, no_worse, NO_WORSE_PU, NO_WORSE_PERCENT, NOISE), said
