"""What the verbs about several sites share: their arguments, the net ready to be searched, and facts of the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gridedge.errors import bad, is_number
from gridedge.grid.buses import bus_names
from gridedge.grid.condition import condition
from gridedge.grid.inject import Background
from gridedge.grid.trial import Float, Trial
from gridedge.measure.limit_sets import FlickerLimit, Given, LimitSet, LossesLimit, RapidChangeLimit, load_limits
from gridedge.planning.hosting.arguments import check_search, tangent
from gridedge.planning.hosting.bounds import Base, groups_of
from gridedge.planning.hosting.climb import Climb
from gridedge.planning.hosting.series import SeriesFound


@dataclass
class Ready:
    """A net on which several sites can be tried.

    Parameters
    ----------
    climb : Climb
        The search for the first break.
    limits : LimitSet
        What must hold.
    facts : dict
        What every result says of itself, as in :class:`gridedge.planning.hosting.result.HostingResult`.
    remarks : list of str
        What a reader must know.
    """

    climb: Climb
    limits: LimitSet
    facts: dict[str, Any]
    remarks: list[str] = field(default_factory=list)

    @property
    def trial(self) -> Trial:
        """The net and its buses."""
        return self.climb.trial

    def names(self) -> list[str]:
        """Return the name of every bus asked for."""
        names = bus_names(self.trial.own)
        return [str(names[b]) for b in self.trial.buses]

    def attrs(self, error_vm_pu: float, **more: Any) -> dict[str, Any]:
        """Return the attributes of a result."""
        said = list(dict.fromkeys(self.remarks))
        return {**self.facts, "error_vm_pu": error_vm_pu, **more, "remarks": said}


def ready(
    net: Any,
    buses: Any,
    *,
    power_factor: float,
    limits: Given,
    existing: str,
    shape: Any,
    background: Background,
    supply: str,
    coincidence: float,
    max_mw: float | None,
    tol_mw: float,
) -> Ready:
    """Check what the verbs about several sites are given, and prepare the net.

    Raises
    ------
    InputError
        If an argument cannot be used, or a limit is of losses, flicker or rapid changes: they hold one site alone.
    RunError
        If the net has no solution as it stands.
    """
    q_per_p = tangent(power_factor)
    check_search(existing, supply, max_mw, tol_mw)
    if not is_number(coincidence) or not 0 <= coincidence <= 1:
        cure = "Give 1 where all sites peak together, less where the others draw only a share of theirs."
        raise bad("coincidence must lie between 0 and 1", coincidence, cure)
    wanted = load_limits(limits)
    alone = [x.name for x in wanted.limits if isinstance(x, LossesLimit | FlickerLimit | RapidChangeLimit)]
    if alone:
        cure = "Leave it out here, and ask gridedge.hosting_capacity."
        raise bad("losses, flicker and rapid changes are judged for one site alone", ", ".join(alone), cure)
    common, each = _shapes(shape, buses)
    trial = Trial(net, buses, q_per_p, background, common, supply)
    shapes = trial.shape[None, :] if each is None else _fitting(each, trial)
    still = trial.states_of(np.zeros((trial.steps, trial.rows.size)), np.arange(trial.steps, dtype=np.intp))
    vm, loading, _ = trial.full(still)
    base = Base(vm, loading)
    groups, remarks = groups_of(trial, wanted, base, existing == "no_worse")
    climb = Climb(trial, groups, base, shapes, float(coincidence), tol_mw)
    facts = {
        "thermal": SeriesFound([], groups, base, 0.0, []).thermal(trial),
        "supply": trial.supply,
        "taps": "held",
        "existing": existing,
        "power_factor": power_factor,
        "coincidence": float(coincidence),
        "tol_mw": tol_mw,
        "engine_detail": trial.method,
    }
    said = [*trial.remarks, *condition(trial.own), *remarks, _peaks(float(coincidence), each is not None)]
    if facts["thermal"] == "not known":
        said.append("Thermal limits are not known (placeholder ratings): every size is an upper bound.")
    if any(s.kind == "step" for g in groups for s in g.limits):
        said.append("Voltage steps are those of all sites at once, and lower bounds: sources hold their set-point.")
    return Ready(climb, wanted, facts, said)


def _peaks(coincidence: float, own: bool) -> str:
    shapes = "each site has a shape of its own" if own else "all sites have the same shape"
    if coincidence == 1.0:
        return f"Sites peak together (coincidence 1); {shapes}."
    return f"While one site draws all of its power, the others draw {coincidence:g} of theirs, in turn; {shapes}."


def _shapes(shape: Any, buses: Any) -> tuple[Any, Float | None]:
    """Return the shape that sets the clock, and that of each site where they differ."""
    if shape is None or np.ndim(getattr(shape, "values", shape)) < 2:
        return shape, None
    values = np.asarray(getattr(shape, "values", shape), dtype=float)
    if buses is None or isinstance(buses, int | str | np.integer) or values.shape[0] != len(buses) or values.ndim != 2:
        cure = "Give buses=, and one row of shape= for each of them: shape (bus, time)."
        raise bad("shapes of single sites do not fit the buses", f"shape {values.shape}", cure)
    common = shape.max(axis=0) if hasattr(shape, "dims") else values.max(axis=0)
    return common, values


def _fitting(each: Float, trial: Trial) -> Float:
    if not np.isfinite(each).all() or (each < 0).any() or not (each > 0).any(axis=1).all():
        raise bad("a site's shape is no share of its size", "negative, all zero or NaN", "Give values from 0 to 1.")
    if each.shape[1] != trial.steps:
        cure = "Give one value per step of the background."
        raise bad("the sites' shapes do not fit the clock", f"shape {each.shape}, {trial.steps} steps", cure)
    return np.ascontiguousarray(each)
