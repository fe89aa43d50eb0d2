"""From limits to what every bus and branch of one net is held to, and how near a state of it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.trial import Bounds, Float, Trial
from gridedge.measure.limit_sets import LimitSet, Strictest, strictest

NOISE = 1e-7  # pu or %: what separates two solutions of the same state; a set-point at the limit holds it
NO_WORSE_PU, NO_WORSE_PERCENT = 0.0005, 0.1  # what an element may pass its own value without the site (conventions)
KINDS: tuple[Literal["low", "high", "loading", "step"], ...] = ("low", "high", "loading", "step")


@dataclass(frozen=True)
class Group:
    """Limits that are measured alike: over the same mean, with as many steps at which they may be broken.

    Parameters
    ----------
    bounds : Bounds
        What each element is held to.
    window : int
        Steps of the moving mean; 1 for every step.
    allowed : int
        Steps (or means) at which it may be broken.
    limits : tuple of Strictest
        Where the bounds come from.
    """

    bounds: Bounds
    window: int
    allowed: int
    limits: tuple[Strictest, ...]

    @property
    def plain(self) -> bool:
        """Whether every step is judged by itself, and none may break a limit."""
        return self.window == 1 and not self.allowed

    def source(self, kind: str, element: str) -> Strictest:
        """Return the limit behind a bound."""
        mine = [s for s in self.limits if s.kind == kind and s.element in ("", element)]
        return max(mine, key=lambda s: s.value) if kind == "low" else min(mine, key=lambda s: s.value)


@dataclass(frozen=True)
class Base:
    """The net without a site.

    Parameters
    ----------
    vm_pu : ndarray, shape (step, bus)
    loading_percent : ndarray, shape (step, branch)
    """

    vm_pu: Float
    loading_percent: Float


@dataclass
class Margins:
    """How near levels are to the limits of one group, step by step.

    Parameters
    ----------
    margin : ndarray, shape (kind, level, step)
        Smallest margin, infinite where there is no limit or no solution; the last kind is the second loading.
    where : ndarray, shape (kind, level, step)
        Position of the bus or branch that has it.
    """

    margin: Float
    where: NDArray[np.int64]
    at: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))


def groups_of(trial: Trial, limits: LimitSet, base: Base, no_worse: bool) -> tuple[list[Group], list[str]]:
    """Return what every element is held to, and what has to be said about it.

    Parameters
    ----------
    trial : Trial
        The net.
    limits : LimitSet
        What must hold.
    base : Base
        The net without a site.
    no_worse : bool
        Whether an element that breaks a limit already is held to its own worst value instead.
    """
    remarks: list[str] = []
    parts: dict[tuple[int, int], list[Strictest]] = {}
    for one in strictest(limits, trial.steps):
        window = max(1, round(one.mean_s / trial.dt_s)) if one.mean_s and trial.dt_s > 0 else 1
        if window > trial.steps:
            text = f"{one.limit.name}: the series is shorter than its mean of {one.mean_s:g} s, so every step is held"
            remarks += [text + " to it."] if text + " to it." not in remarks else []
            window = 1
        parts.setdefault((window, one.limit.allowed(trial.steps)), []).append(one)
    groups = [Group(_bounds(trial, ones), *key, tuple(ones)) for key, ones in parts.items()]
    if no_worse:
        groups = [_loosened(g, base) for g in groups]
    return groups, remarks


def _bounds(trial: Trial, limits: list[Strictest]) -> Bounds:
    out = trial.model.readout
    buses, branches = out.bus_index.size, len(out.labels)
    low, high, step = np.full(buses, -np.inf), np.full(buses, np.inf), np.full(buses, np.inf)
    full = np.full(branches, np.inf)
    table = np.asarray(out.element)
    for one in limits:
        if one.kind == "low":
            low = np.maximum(low, one.value)
        elif one.kind == "high":
            high = np.minimum(high, one.value)
        elif one.kind == "step":
            step = np.minimum(step, one.value)
        else:
            mine = (table == one.element) & trial.rating_known
            full[mine] = np.minimum(full[mine], one.value)
    full[out.dead] = np.inf
    return Bounds(low, high, full, step)


def _loosened(group: Group, base: Base) -> Group:
    """Return a group in which what breaks a limit without the site is held to its own worst value.

    A limit that is passed in no more steps than it allows is not broken: it stays as it is.
    """
    vm, loading = moving_mean(base.vm_pu, group.window), moving_mean(base.loading_percent, group.window)
    b = group.bounds
    low, high, full = b.low, b.high, b.full
    if _broken(vm < low - NOISE, group.allowed):
        least = np.where(np.isnan(vm), np.inf, vm).min(axis=0)
        low = np.where(least < low - NOISE, least - NO_WORSE_PU, low)
    if _broken(vm > high + NOISE, group.allowed):
        most = np.where(np.isnan(vm), -np.inf, vm).max(axis=0)
        high = np.where(most > high + NOISE, most + NO_WORSE_PU, high)
    if _broken(loading > full + NOISE, group.allowed):
        largest = np.where(np.isnan(loading), -np.inf, loading).max(axis=0)
        full = np.where(largest > full + NOISE, largest + NO_WORSE_PERCENT, full)
    bounds = Bounds(low, high, full, b.step)
    return Group(bounds, group.window, group.allowed, group.limits)


def _broken(beyond: NDArray[np.bool_], allowed: int) -> bool:
    """Say whether steps (step, element) with any element beyond its limit are more than are allowed."""
    return int(beyond.any(axis=1).sum()) > allowed


def moving_mean(values: Float, window: int) -> Float:
    """Return the means of all windows of so many steps, shape (step - window + 1, element)."""
    if window == 1:
        return values
    total = np.cumsum(np.concatenate([np.zeros((1, values.shape[1])), values]), axis=0)
    return np.asarray((total[window:] - total[:-window]) / window)


def of_means(group: Group, vm: Float, loading: Float) -> Margins:
    """Return the margins (kind, 1, window) of one level from its voltages (step, bus) and loadings (step, branch)."""
    vm, loading = moving_mean(vm, group.window), moving_mean(loading, group.window)
    b = group.bounds
    with np.errstate(invalid="ignore"):
        sides = [vm - b.low, b.high - vm, b.full - loading]
    sides = [np.where(np.isnan(side) | np.isinf(side), np.inf, side) for side in sides]
    steps = vm.shape[0]
    margin, where = np.full((5, steps), np.inf), np.full((5, steps), -1, dtype=np.int64)
    for kind, side in enumerate(sides):
        if side.shape[1]:
            where[kind] = side.argmin(axis=1)
            margin[kind] = side.min(axis=1)
    if sides[2].shape[1] > 1:
        sides[2][np.arange(steps), where[2]] = np.inf
        where[4], margin[4] = sides[2].argmin(axis=1), sides[2].min(axis=1)
    return Margins(margin[:, None], where[:, None])


def reduced(
    group: Group, found: Margins, lifted: tuple[int, int] | None
) -> tuple[Float, NDArray[np.int64], NDArray[np.intp]]:
    """Return the margin (kind, level) that decides, whose it is, and in which step.

    Parameters
    ----------
    group : Group
        The limits.
    found : Margins
        Step by step.
    lifted : (kind, element), optional
        A limit that is left out: of voltages altogether, of loadings that of one branch.
    """
    margin, where = found.margin[:4], found.where[:4]
    if lifted is not None:
        kind, element = lifted
        margin, where = margin.copy(), where.copy()
        if KINDS[kind] == "loading":
            mine = where[kind] == element
            margin[kind] = np.where(mine, found.margin[4], margin[kind])
            where[kind] = np.where(mine, found.where[4], where[kind])
        else:
            margin[kind] = np.inf
    if group.allowed:
        at = np.argsort(margin, axis=2, kind="stable")[..., min(group.allowed, margin.shape[2] - 1)]
    else:
        at = margin.argmin(axis=2)
    room = np.take_along_axis(margin, at[..., None], axis=2)[..., 0]
    return room, np.take_along_axis(where, at[..., None], axis=2)[..., 0], at
