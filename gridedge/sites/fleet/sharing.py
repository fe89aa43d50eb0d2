"""What sharing hardware gains: installed over served, by the number of sites that share a metro's load."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, pdtr
from scipy.stats import norm

from gridedge.errors import bad

Float = NDArray[np.float64]


def erlang_b(load: float, servers: int) -> float:
    r"""Return the share of calls lost by servers without a queue.

    Parameters
    ----------
    load : float
        Arrivals times service time. [Erlang]
    servers : int
        How many.

    Notes
    -----
    :math:`B(c, a) = \frac{a^c / c!}{\sum_{k \le c} a^k / k!}`, Poisson's probability of c over that of c or fewer.

    References
    ----------
    .. [1] A. K. Erlang, "Solution of some problems in the theory of probabilities of significance in automatic
       telephone exchanges", 1917; as in any textbook on queues.
    """
    below = float(pdtr(servers, load))
    if below <= 0.0:  # far below the load: all but c/a are lost
        return 1.0 - servers / load
    return float(np.exp(servers * np.log(load) - load - gammaln(servers + 1.0))) / below


def erlang_c(load: float, servers: int) -> float:
    r"""Return the share of requests that wait, :math:`C = B / (1 - \rho (1 - B))`; 1 where the load is not carried."""
    if load <= 0:
        return 0.0
    if servers <= load:
        return 1.0
    b = erlang_b(load, servers)
    return b / (1.0 - load / servers * (1.0 - b))


def servers_needed(load: float, *, wait_pu: float) -> int:
    """Return the fewest servers at which no more than ``wait_pu`` of the requests wait, by Erlang's C.

    Parameters
    ----------
    load : float
        Work that is asked, in servers. [Erlang]
    wait_pu : float
        Share of the requests that may wait. [pu]
    """
    _check(load, wait_pu)
    if load == 0:
        return 0
    # C falls as servers are added: double the distance from the load until it is small enough, then halve.
    low = int(np.floor(load))
    high, step = low + 1, 1
    while erlang_c(load, high) > wait_pu:
        low, step = high, 2 * step
        high += step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if erlang_c(load, middle) <= wait_pu else (middle, high)
    return high


def servers_normal(load: ArrayLike, *, wait_pu: float, peakedness: float = 1.0, spread_pu: float = 0.0) -> Float:
    r"""Return the servers that a load exceeds with probability ``wait_pu``, by the normal law.

    Parameters
    ----------
    load : array-like
        Mean work that is asked, in servers. [Erlang]
    wait_pu : float
        Share of the time. [pu]
    peakedness : float
        Variance over mean of the work under way; see :func:`peakedness`.
    spread_pu : float
        Standard deviation of the rate itself about its mean, that all requests share. [pu of the load]

    Returns
    -------
    ndarray
        :math:`a + z \sqrt{Z a + (\sigma a)^2}`, not rounded.  [servers]
    """
    a = np.asarray(load, dtype=float)
    _check(float(a.min(initial=np.inf)) if a.size else 0.0, wait_pu)
    return np.asarray(a + norm.isf(wait_pu) * np.sqrt(peakedness * a + (spread_pu * a) ** 2))


def peakedness(cv: float) -> float:
    r"""Return variance over mean of the number under way where arrivals have a coefficient of variation.

    :math:`Z = 1 + (c^2 - 1)/2`, of renewal arrivals and exponential service in heavy traffic; 1 for Poisson.

    References
    ----------
    .. [1] W. Whitt, "Heavy-traffic approximations for service systems with blocking", AT&T Bell Labs Tech. J. 63, 1984
       (from memory).
    """
    if not cv > 0:
        raise bad("arrivals have no such variation", f"cv {cv:g}", "Give cv > 0; 1 is Poisson.")
    return 1.0 + (cv**2 - 1.0) / 2.0


def thinned_cv(cv: float, share: float) -> float:
    r"""Return the coefficient of variation of what remains where each request is kept with a probability.

    :math:`c'^2 = 1 + p (c^2 - 1)`: a renewal stream spread at random over many sites comes to each as a Poisson one.
    """
    if not (cv > 0 and 0 <= share <= 1):
        raise bad("no part of a stream", f"cv {cv:g}, share {share:g}", "Give cv > 0 and a share from 0 to 1.")
    return float(np.sqrt(1.0 + share * (cv**2 - 1.0)))


def failover_factor(sites: int, lost: int = 1) -> float:
    """Return installed over needed where the others take over what ``lost`` of equal sites did: N / (N - lost).

    Raises
    ------
    InputError
        If no site is left to take over.
    """
    if lost < 0 or sites <= lost:
        cure = "Give more sites than may be lost."
        raise bad("no site is left to take over", f"{sites} sites, {lost} lost", cure)
    return sites / (sites - lost)


def peaks_together(load: Float) -> float:
    """Return the sum of the classes' own peaks over the peak of their sum, from ``load`` of shape (class, time).

    It is what one hardware for all classes gains over one for each: 1 where all peak together.
    """
    together = float(load.sum(axis=0).max())
    if not together > 0:
        raise bad("no load to share", together, "Give the work of each class over time.")
    return float(load.max(axis=1).sum()) / together


def installed_over_served(
    load: ArrayLike,
    sites: ArrayLike,
    *,
    wait_pu: float = 0.01,
    lost: int = 1,
    shared: bool = True,
    slots: int = 1,
    cv: ArrayLike = 1.0,
    spread_pu: ArrayLike = 0.0,
) -> xr.Dataset:
    r"""Return how much has to be installed for what is served at the peak, by the number of equal sites.

    Parameters
    ----------
    load : array-like, shape (class,) or (class, time)
        Work that the metro asks, in replicas (rate over the capacity of a replica).
    sites : array-like of int, shape (n,)
        Numbers of sites to compare.
    wait_pu : float
        Share of the requests that may wait for a place in a batch; 1 % is chosen. [pu]
    lost : int
        Sites that may be lost while the others serve all; 0 for no reserve.
    shared : bool
        Whether a site's hardware serves all classes, or each class has replicas of its own.
    slots : int
        Requests that a replica serves at once.  1 takes it for one fast server, which needs the most.
    cv : array-like, scalar or (class,)
        Coefficient of variation of a class's arrivals in the metro.
    spread_pu : array-like, scalar or (class,)
        Standard deviation of a class's rate about its shape, common to the metro. [pu]

    Returns
    -------
    Dataset
        By ``sites``: ``erlang_pu`` and ``normal_pu``, installed over served with the reserve, in whole replicas at each
        site; ``pooling_pu``, the part of ``erlang_pu`` without reserve; ``reserve_pu``, N / (N - lost).  NaN where no
        site is left to take over.

    Notes
    -----
    Each site is dimensioned for its share of the metro when ``lost`` sites are gone, so that the gain of pooling and
    N / (N - lost) multiply up to rounding.  The normal law takes bursts and the common spread, Erlang's C neither.
    """
    work = np.atleast_1d(np.asarray(load, dtype=float))
    peak = work.max(axis=1) if work.ndim == 2 else work
    at_peak = work[:, int(np.argmax(work.sum(axis=0)))] if work.ndim == 2 else work
    if not np.isfinite(work).all() or (work < 0).any() or not peak.sum() > 0:
        raise bad("no load to serve", "negative, NaN or all 0", "Give the work of each class in replicas.")
    if slots < 1:
        raise bad("a replica serves nothing at once", slots, "Give slots >= 1.")
    number = np.atleast_1d(np.asarray(sites, dtype=int))
    bursts = np.broadcast_to(np.asarray(cv, dtype=float), peak.shape)
    spread = np.broadcast_to(np.asarray(spread_pu, dtype=float), peak.shape)
    served = float(at_peak.sum())
    rows = {"erlang_pu": [], "normal_pu": [], "pooling_pu": [], "reserve_pu": []}  # type: dict[str, list[float]]
    for n in number.tolist():
        if n < 1:
            raise bad("a fleet has no site", n, "Give 1 or more.")
        left = n - lost
        alone = _erlang(at_peak if shared else peak, n, n, wait_pu, slots, shared)
        rows["pooling_pu"].append(alone / served)
        if left < 1:
            for name in ("erlang_pu", "normal_pu", "reserve_pu"):
                rows[name].append(np.nan)
            continue
        rows["reserve_pu"].append(failover_factor(n, lost))
        rows["erlang_pu"].append(_erlang(at_peak if shared else peak, n, left, wait_pu, slots, shared) / served)
        z = np.array([peakedness(thinned_cv(float(c), 1.0 / left)) for c in bursts])
        if shared:
            a = at_peak / left
            # Variances of independent classes add; each has its own peakedness and spread.
            std = np.sqrt((z * a * slots).sum() + ((spread * a * slots) ** 2).sum())
            each = np.ceil((a.sum() * slots + norm.isf(wait_pu) * std) / slots - 1e-9)
        else:
            a = peak / left
            std_each = np.sqrt(z * a * slots + (spread * a * slots) ** 2)
            each = np.ceil((a * slots + norm.isf(wait_pu) * std_each) / slots - 1e-9).sum()
        rows["normal_pu"].append(float(n * each / served))
    data = {k: ("sites", np.array(v, dtype=float), {"units": "1"}) for k, v in rows.items()}
    return xr.Dataset(
        data, coords={"sites": number}, attrs={"wait_pu": wait_pu, "lost": lost, "served_replicas": served}
    )


def _erlang(load: Float, sites: int, left: int, wait_pu: float, slots: int, shared: bool) -> float:
    parts = [float(load.sum())] if shared else [float(x) for x in load if x > 0]
    # Slots come in whole replicas.
    return sites * sum(float(np.ceil(servers_needed(x * slots / left, wait_pu=wait_pu) / slots)) for x in parts)


def _check(load: float, wait_pu: float) -> None:
    if not (np.isfinite(load) and load >= 0 and 0 < wait_pu < 1):
        cure = "Give a load of 0 or more and 0 < wait_pu < 1."
        raise bad("no such queue", f"load {load:g}, wait_pu {wait_pu:g}", cure)
