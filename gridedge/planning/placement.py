"""The verb ``place_sites``: where the sites of a fleet connect, and what was refused on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from gridedge import schema
from gridedge.errors import bad, nearest
from gridedge.grid.buses import bus_names
from gridedge.grid.distance import By, Distances, distances
from gridedge.grid.inject import Background, private_copy
from gridedge.grid.towns import town_of
from gridedge.measure.limit_sets import Given
from gridedge.planning.fitting import Together
from gridedge.planning.hosting.result import HostingResult
from gridedge.planning.places import Where, ordered, pool_of
from gridedge.sites.fleet.routing import Points
from gridedge.sites.fleet.towns import SOURCE, known_towns

if TYPE_CHECKING:
    import pandas as pd

How = Literal["named", "best", "random", "town", "near", "corridor"]
_HOWS = ("named", "best", "random", "town", "near", "corridor")


@dataclass(frozen=True)
class Site:
    """One site of a fleet, and why it stands where it stands.

    Parameters
    ----------
    site : str
        Its name.
    bus : int
        Index in the net.
    bus_name, town : str
        The bus's name, and the town in it; empty where it names none.
    lat, lon : float
        Degrees; NaN where they are not known.
    p_mw : float
        Size at the meter. [MW]
    reason : str
        Why here.
    """

    site: str
    bus: int
    bus_name: str
    town: str
    lat: float
    lon: float
    p_mw: float
    reason: str


@dataclass(frozen=True)
class Refused:
    """A bus that was looked at and not taken.

    Parameters
    ----------
    bus : int
        Index in the net.
    bus_name : str
        Its name.
    why : str
        What spoke against it.
    """

    bus: int
    bus_name: str
    why: str


@dataclass(frozen=True)
class Placement:
    """Where the sites of a fleet stand.

    Parameters
    ----------
    sites : tuple of Site
        In the order in which they were placed.
    refused : tuple of Refused
        What was looked at and not taken.
    breaks : str
        What all sites together break; empty where all limits hold.
    power_factor : float
        Of every site.
    remarks : tuple of str
        How distances were measured, who delivers, and what else a reader must know.
    """

    sites: tuple[Site, ...]
    refused: tuple[Refused, ...]
    breaks: str
    power_factor: float
    remarks: tuple[str, ...]

    def load(self) -> xr.Dataset:
        """Return what all sites draw at their full size, one step, ready for :func:`gridedge.solve`."""
        p = np.array([[s.p_mw for s in self.sites]])
        tangent = np.copysign(np.tan(np.arccos(abs(self.power_factor))), self.power_factor)
        coords = {"time": [0.0], "site": [s.site for s in self.sites], "bus": ("site", [s.bus for s in self.sites])}
        data = {"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), p * tangent)}
        return schema.describe(xr.Dataset(data, coords=coords, attrs={"dt_s": 3600.0, "power": "at the meter"}))

    def points(self, weight: ArrayLike | None = None) -> Points:
        """Return the sites with their coordinates, as :func:`gridedge.sites.fleet.routing.route` takes them.

        Parameters
        ----------
        weight : array_like, shape (site,), optional
            Replicas of each; its megawatts if left out.

        Raises
        ------
        InputError
            If the place of a site is not known.
        """
        lost = [s.bus_name for s in self.sites if not np.isfinite(s.lat)]
        if lost:
            cure = "Place them by town, in a town whose place is known (gridedge.sites.fleet.towns.known_towns)."
            raise bad("the place of a site is not known", ", ".join(lost[:5]), cure)
        share = [s.p_mw for s in self.sites] if weight is None else weight
        lat, lon = (np.array([getattr(s, key) for s in self.sites]) for key in ("lat", "lon"))
        return Points([s.site for s in self.sites], lat, lon, np.asarray(share, dtype=float))

    def table(self) -> pd.DataFrame:
        """Return one row per site."""
        import pandas as pd

        return pd.DataFrame([asdict(s) for s in self.sites]).set_index("site")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; a coordinate that is not known is None."""
        plain = asdict(self)
        for site in plain["sites"]:
            site |= {key: site[key] if np.isfinite(site[key]) else None for key in ("lat", "lon")}
        return plain


def place_sites(
    net: Any,
    n: int,
    mw_each: float | Sequence[float],
    *,
    how: How = "best",
    where: Where | Sequence[Where] | None = None,
    spacing_km: float = 0.0,
    distance: By = "auto",
    per_bus: int = 1,
    vn_kv: tuple[float, float] | None = None,
    seed: int = 0,
    hosting: HostingResult | None = None,
    if_full: Literal["next", "note"] | None = None,
    power_factor: float = 0.98,
    limits: Given = ("en50160", "ratings"),
    existing: Literal["absolute", "no_worse"] = "no_worse",
    background: Background = None,
    supply: Literal["auto", "slack", "headroom"] = "auto",
    most_buses: int = 64,
) -> Placement:
    """Choose buses for the sites of a fleet, and hold all of them together against the limits of the net.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    n : int
        How many sites.
    mw_each : float or sequence of float
        Size of each at the meter, consumption positive. [MW]
    how : {"named", "best", "random", "town", "near", "corridor"}
        ``named``: at the buses of ``where``.  ``best``: the bus that takes most comes first.  ``random``: drawn with
        ``seed``.  ``town``: from one town of ``where`` to the next and around again, in each the bus with the largest
        load first.  ``near``: outwards from a bus or town, such as an exchange point.  ``corridor``: evenly along the
        shortest way through the net that joins the places of ``where``.
    where : int, str or sequence of these, optional
        Buses (index or name), towns, or ``dfw`` for all towns in and around Dallas and Fort Worth.  Without: the net.
    spacing_km : float
        Least distance of any two sites. [km]
    distance : {"auto", "coordinates", "length", "reactance"}
        How distances are measured; see :func:`gridedge.grid.distance.distances`.
    per_bus : int
        Most sites at a bus; more than one can have no spacing.
    vn_kv : (float, float), optional
        Lowest and highest nominal voltage of a bus. [kV]
    seed : int
        For ``random``.
    hosting : HostingResult, optional
        For ``best``: what each bus takes, if it was found already.  Without, the exact states of 12 sizes up to four
        times the site, then nine times finer, of the ``most_buses`` buses behind the least impedance.
    if_full : {"next", "note"}, optional
        A site that breaks a limit beside those placed before: take the next bus instead, or leave it and say so.
        Named sites are left, all others give way.
    power_factor : float
        Of every site at the meter, lagging; leading where negative.
    limits, existing, background, supply
        As for :func:`gridedge.hosting_capacity`; ``existing`` is ``no_worse`` here, so that a net that breaks a limit
        already can be studied.  Limits with durations are refused.
    most_buses : int
        How many buses ``best`` compares, where there are more.

    Returns
    -------
    Placement

    Raises
    ------
    InputError
        If a bus or town is unknown, sizes do not fit, or fewer than ``n`` sites find a place: the message says what
        spoke against the others.
    RunError
        If the net has no solution as it stands.

    Notes
    -----
    Sites are placed one after the other; the first k of them are solved together for every k, exactly, in all steps.
    The order matters: a bus that is refused because of those before it might have been taken before them. Buses at
    which a generator or the external grid stands, and those without supply, are no places, unless they are named.
    """
    sizes = _sizes(n, mw_each)
    _check(how, spacing_km, per_bus, if_full, most_buses)
    own, _ = private_copy(net)
    far = distances(own, distance)
    entries: list[Where] = [where] if isinstance(where, int | str | np.integer) else list(where or [])
    pool, notes = pool_of(own, far, how, entries, vn_kv)
    all_on = Together(
        own, pool, power_factor=power_factor, limits=limits, existing=existing, background=background, supply=supply
    )
    row = ordered(
        own, far, all_on, pool, how=how, entries=entries, count=n, most_mw=4 * max(sizes), seed=seed, hosting=hosting,
        most_buses=most_buses,
    )  # fmt: skip
    names = bus_names(own)
    note = (if_full or ("note" if how == "named" else "next")) == "note"
    taken, refused, breaks = _fill(
        all_on, row, sizes, far, spacing_km=spacing_km, per_bus=per_bus, note=note, names=names
    )
    sites = tuple(_site(k, bus, sizes[k], str(names[bus]), row[bus], far, len(sizes)) for k, bus in enumerate(taken))
    trial = all_on.trial
    said = [*notes, *all_on.remarks, *trial.remarks, f"Supply: {trial.supply}. {trial.method}."]
    said += [f"Distances {far.words}."] if spacing_km > 0 or how in ("near", "corridor") else []
    if far.place is None and any(np.isfinite(s.lat) for s in sites):
        said.append(f"Coordinates: {SOURCE}.")
    if not trial.real_ratings:
        said.append("Thermal limits are not known (placeholder ratings): that all sites fit is not shown.")
    return Placement(sites, tuple(refused), breaks, power_factor, tuple(said))


def _fill(
    all_on: Together,
    row: dict[int, str],
    sizes: list[float],
    far: Distances,
    *,
    spacing_km: float,
    per_bus: int,
    note: bool,
    names: Any,
) -> tuple[list[int], list[Refused], str]:
    """Place sites one after the other; return their buses, what was refused, and what they break."""
    n = len(sizes)
    taken: list[int] = []
    refused: list[Refused] = []
    left = [b for _ in range(per_bus) for b in row]  # every bus once before any twice
    around: dict[int, dict[int, float]] = {}

    def fits_beside(bus: int, others: Sequence[int]) -> str:
        for other in set(others):
            if other not in around:
                around[other] = dict(zip(row, far.km(other, list(row)), strict=True))
            if around[other][bus] < spacing_km:
                return f"{around[other][bus]:.1f} km from {names[other]}, which is nearer than {spacing_km:g} km"
        return ""

    while len(taken) < n:
        trial, spaced = list(taken), []
        for bus in left:
            why = fits_beside(bus, trial) if spacing_km > 0 and len(trial) < n else ""
            if len(trial) == n:
                break
            if why:
                spaced.append(Refused(bus, str(names[bus]), why))
            else:
                trial.append(bus)
        if len(trial) == len(taken):
            refused += spaced
            break
        found = all_on.row_of_sites(trial, sizes, held=len(taken))
        first = next((k for k, one in enumerate(found) if one is not None), None)
        if first is None or note:
            refused += spaced
            taken = trial
            if len(taken) < n:
                break
            return taken, refused, "" if found[-1] is None else str(found[-1])
        lost = trial[len(taken) + first]
        before = len(taken) + first
        beside = f"beside the {before} sites before it" if before > 1 else "beside the site before it"
        why = f"{beside if before else 'by itself'}: {found[first]}"
        refused.append(Refused(lost, str(names[lost]), why))
        taken = trial[: len(taken) + first]
        # Those that only stood too near to what was refused are looked at again.
        count = {b: taken.count(b) for b in set(taken)}
        out = {r.bus for r in refused}
        left = [b for turn in range(per_bus) for b in row if count.get(b, 0) <= turn and b not in out]
    if len(taken) < n:
        told = "; ".join(f"{r.bus_name}: {r.why}" for r in refused[-3:]) or "there are no more buses"
        cure = f"Name more places, allow more sites at a bus, or less of a spacing. Refused last: {told}."
        raise bad(f"only {len(taken)} of {n} sites find a place", f"{len(row)} buses looked at", cure)
    return taken, refused, ""


def _site(
    k: int, bus: int, p_mw: float, name: str, reason: str, far: Distances, count: int
) -> Site:  # fmt: skip
    town = town_of(name)
    place = known_towns().get(town)
    lat, lon = (np.nan, np.nan) if place is None else (place.lat, place.lon)
    if far.place is not None:
        lon, lat = (float(v) for v in far.place[far.rows([bus])[0]])
    if place is None and town in ("BUS", name.upper()):  # a number or a name of its own, and no town
        town = ""
    return Site(f"site-{k + 1:0{len(str(count))}d}", int(bus), name, town, lat, lon, float(p_mw), reason)


def _sizes(n: int, mw_each: float | Sequence[float]) -> list[float]:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise bad("n must be a whole number of sites, 1 or more", n, "Give 100.")
    sizes = np.atleast_1d(np.asarray(mw_each, dtype=float))
    if sizes.size == 1:
        sizes = np.repeat(sizes, n)
    if sizes.size != n:
        raise bad("sizes do not fit the number of sites", f"{sizes.size} for {n}", "Give one for all, or one each.")
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise bad("a site has no size", str(float(sizes.min())), "Give megawatts above 0.")
    return [float(s) for s in sizes]


def _check(how: str, spacing_km: float, per_bus: int, if_full: str | None, most_buses: int) -> None:
    if how not in _HOWS:
        raise bad("unknown way of placing", str(how), nearest(str(how), _HOWS))
    if if_full not in (None, "next", "note"):
        raise bad("unknown if_full", str(if_full), nearest(str(if_full), ("next", "note")))
    if not (np.isfinite(spacing_km) and spacing_km >= 0):
        raise bad("spacing_km must be 0 or more", spacing_km, "Give kilometres.")
    for name, value in (("per_bus", per_bus), ("most_buses", most_buses)):
        if isinstance(value, bool) or value < 1:
            raise bad(f"{name} must be a whole number, 1 or more", value, f"Give {name}=1 or more.")
    if per_bus > 1 and spacing_km > 0:
        raise bad("sites at one bus have no spacing", f"per_bus {per_bus}", "Leave one of the two out.")
