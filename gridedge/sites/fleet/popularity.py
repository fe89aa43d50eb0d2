"""How popular models are, and what share of the requests a site answers that holds the popular ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.optimize import brentq

from gridedge.errors import bad
from gridedge.profiles.inference.models import Model, model
from gridedge.spec import Spec, quantity

Float = NDArray[np.float64]
_FIFTH = "a fifth of the tasks is four fifths of the compute: an expert's rule, no measurement stands behind it"


def zipf_shares(count: int, exponent: float) -> Float:
    r"""Return the shares of Zipf's law, :math:`p_k = k^{-s} / \sum_j j^{-s}`, the largest first, shape (count,).

    Parameters
    ----------
    count : int
        How many there are.
    exponent : float
        s, 0 or more; 0 makes all equal.
    """
    if count < 1 or not exponent >= 0:
        raise bad("no law of Zipf", f"{count} items, exponent {exponent:g}", "Give 1 or more, and an exponent >= 0.")
    weight = np.arange(1, count + 1, dtype=float) ** -exponent
    return np.asarray(weight / weight.sum())


def head_share(shares: Float, head_pu: float) -> float:
    """Return what the first ``head_pu`` of the items have together; a part of an item has its part."""
    grown = np.r_[0.0, np.cumsum(shares)]
    return float(np.interp(head_pu * shares.size, np.arange(grown.size), grown))


def zipf_exponent(count: int, *, head_pu: float, share_pu: float) -> float:
    r"""Return the exponent at which the most popular items have a given share.

    Parameters
    ----------
    count : int
        How many items there are, 2 or more.
    head_pu : float
        Which part of them, the most popular first. [pu of the items]
    share_pu : float
        What they have together. [pu of all]

    Returns
    -------
    float
        Root of :func:`head_share` by Brent's method.  For many items and a root below 1 it goes to
        :math:`1 - \ln(share) / \ln(head)`, 0.861 for a fifth and four fifths.

    Raises
    ------
    InputError
        If no exponent reaches it.
    """
    if count < 2 or not 0 < head_pu < 1 or not head_pu <= share_pu < 1:
        value = f"{head_pu:g} of {count} with {share_pu:g}"
        raise bad("no law of Zipf has such a head", value, "Give 2 items or more, and 0 < head_pu <= share_pu < 1.")
    most = head_share(zipf_shares(count, 60.0), head_pu)
    if most <= share_pu:
        value = f"{head_pu:g} of {count} items have {most:.3g} at most, {share_pu:g} asked"
        raise bad("no law of Zipf has such a head", value, "Name more items, or a smaller share.")
    if share_pu == head_pu:
        return 0.0
    return float(brentq(lambda s: head_share(zipf_shares(count, s), head_pu) - share_pu, 0.0, 60.0, xtol=1e-12))


class Popularity(Spec):
    """How the compute spreads over tasks; each task has its model, or its variant of one."""

    tasks: int = quantity(
        1000, mark="assumed", source="variants that a metro asks for; beyond 100 it hardly matters", ge=2
    )
    """How many tasks there are."""
    head_pu: float = quantity(0.2, mark="assumed", source=_FIFTH, gt=0, lt=1)
    """Which part of the tasks is the head. [pu of the tasks]"""
    share_pu: float = quantity(0.8, mark="assumed", source=_FIFTH, gt=0, lt=1)
    """What the head takes. [pu of the compute]"""
    exponent: float | None = Field(None, ge=0, le=60)
    """Zipf's exponent; that of head and share if left out."""

    @model_validator(mode="after")
    def _reached(self) -> Self:
        self.shares()
        return self

    def unused(self) -> set[str]:
        """Return head and share where the exponent is given."""
        return set() if self.exponent is None else {"head_pu", "share_pu"}

    def shares(self) -> Float:
        """Return the share of the compute of each task, the largest first, shape (task,)."""
        s = self.exponent
        if s is None:
            s = zipf_exponent(self.tasks, head_pu=self.head_pu, share_pu=self.share_pu)
        return zipf_shares(self.tasks, s)

    def of_models(self, count: int) -> Float:
        """Return the share of each of ``count`` models, each with as many neighbouring tasks, shape (count,)."""
        if not 1 <= count <= self.tasks:
            raise bad("more models than tasks", f"{count} for {self.tasks}", "Name fewer models, or more tasks.")
        grown = np.r_[0.0, np.cumsum(self.shares())]
        return np.asarray(np.diff(np.interp(np.linspace(0, self.tasks, count + 1), np.arange(grown.size), grown)))


@dataclass(frozen=True)
class Cache:
    """What a site holds, and what it can answer from it.

    Parameters
    ----------
    held : tuple of str
        Models, the most popular first.
    compute_pu : float
        Share of the compute of these models.
    requests_pu : float
        Share of the requests that ask for them.
    weights_gb : float
        Memory of their weights. [GB]
    """

    held: tuple[str, ...]
    compute_pu: float
    requests_pu: float
    weights_gb: float


def hit_share(shares: Float) -> Float:
    """Return the share of the requests that a cache of the k most popular answers, shape (count + 1,) for k from 0.

    It is the best that any rule of what to keep can reach where requests come independently of one another.
    """
    return np.asarray(np.r_[0.0, np.cumsum(np.sort(np.asarray(shares, dtype=float))[::-1])])


def cache_models(
    ranked: Sequence[str | Model],
    compute_pu: Float,
    *,
    memory_gb: float,
    work: Float | None = None,
) -> Cache:
    """Fill a memory with models in the order of their popularity.

    Parameters
    ----------
    ranked : sequence of str or Model
        Models, the most popular first.
    compute_pu : ndarray, shape (model,)
        Share of the compute of each.
    memory_gb : float
        Room for weights. [GB]
    work : ndarray, shape (model,), optional
        Work of one request of each, in any unit; equal if left out.  What is asked is compute over work.

    Raises
    ------
    InputError
        If shares and models do not fit together, or not one model fits.

    Notes
    -----
    A model that does not fit any more is passed over, and a smaller one behind it may still be held.
    """
    known = [model(m) for m in ranked]
    share = np.asarray(compute_pu, dtype=float)
    cost = np.ones(len(known)) if work is None else np.asarray(work, dtype=float)
    if share.shape != (len(known),) or cost.shape != share.shape or not (share >= 0).all() or not (cost > 0).all():
        raise bad("models and shares do not fit", f"{len(known)} models, {share.size} shares", "Give one for each.")
    left, held = float(memory_gb), []
    for k, one in enumerate(known):
        if one.weights_gb <= left:
            left -= one.weights_gb
            held.append(k)
    if not held:
        least = min(known, key=lambda m: m.weights_gb)
        value = f"{least.name} has {least.weights_gb:g} GB, the site {memory_gb:g} GB"
        raise bad("no model fits the site", value, "Give it more memory, or a smaller model.")
    asked = share / cost
    return Cache(
        tuple(known[k].name for k in held),
        float(share[held].sum() / share.sum()),
        float(asked[held].sum() / asked.sum()),
        float(memory_gb) - left,
    )
