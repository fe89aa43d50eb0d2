"""The season of a net: its loads, shunts and following generation in every hour."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import InputError, Problem, RunError, bad, nearest
from gridedge.grid.engines import reference
from gridedge.grid.engines.model import covers
from gridedge.grid.follow import Plants, follow, outside, plants
from gridedge.grid.inject import add_sites, private_copy
from gridedge.grid.shunts import ShuntRule, shares_in

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]
_SETTLED_MW = 1e-6  # what may be left for the reference when one hour is made by runpp
_MOST = 12


@dataclass(frozen=True)
class Season:
    """What a net does in each hour; made by :func:`area_season` or :func:`gridedge.grid.texas.texas_season`.

    Parameters
    ----------
    net : pandapowerNet
        A private copy, solved as it stands; never changed.
    time_s : ndarray, shape (time,)
        Start of each hour. [s]
    dt_s : float
        How long an hour is: 3600, or any even step. [s]
    start : str
        The wall's time of the first, empty where none is known.
    groups : tuple of str
        Whose load is given: areas, or loads as ``load:12``.
    group_mw : ndarray, shape (time, group)
        Active power of each, as given. [MW]
    weight_pu : ndarray, shape (load, group)
        What each load of the net takes of a group's power. [MW/MW]
    ratio : ndarray, shape (load,)
        Reactive over active power, kept throughout. [Mvar/MW]
    units : Plants
        Who follows.
    share : ndarray, shape (time, shunt)
        How much of each shunt is in; 1 is as in the net. [pu]
    rule : str
        In words, what stands behind all this.
    remarks : tuple of str
        What has to be said of the net beside.
    """

    net: Any
    time_s: Float
    dt_s: float
    start: str
    groups: tuple[str, ...]
    group_mw: Float
    weight_pu: Float
    ratio: Float
    units: Plants
    share: Float
    rule: str
    remarks: tuple[str, ...] = ()

    @property
    def load_mw(self) -> Float:
        """Active power of all loads [MW], shape (time,)."""
        return np.asarray(self.group_mw @ self.weight_pu.sum(axis=0)) + float(self._kept_mw.sum())

    @property
    def _kept_mw(self) -> Float:
        """Power of the loads that no group moves, shape (load,)."""
        frame = self.net.load
        here = frame["p_mw"].to_numpy(float) * frame["scaling"].to_numpy(float) * frame["in_service"].to_numpy(bool)
        return np.where(self.moved, 0.0, here)

    @property
    def moved(self) -> NDArray[np.bool_]:
        """Which loads belong to a group, shape (load,)."""
        return np.asarray((self.weight_pu != 0).any(axis=1))

    @property
    def lightest(self) -> int:
        """The hour with the least load, counted from 0."""
        return int(self.load_mw.argmin())

    @property
    def heaviest(self) -> int:
        """The hour with the most load, counted from 0."""
        return int(self.load_mw.argmax())

    def net_at(
        self, hour: int, sites: xr.Dataset | None = None, *, at: int = 0, generation_mw: Float | None = None
    ) -> Any:
        """Return a pandapower net as it stands in one hour, solved by ``runpp``.

        Parameters
        ----------
        hour : int
            Counted from 0.
        sites : Dataset, optional
            What sites draw, as :func:`gridedge.connect` makes it.
        at : int
            Which of its steps.
        generation_mw : ndarray, shape (unit,), optional
            Power of the units; without it they follow until the reference has nothing left to take. [MW]

        Returns
        -------
        pandapowerNet
            With the sites as static generators of negative power.

        Raises
        ------
        InputError
            If there is no such hour, or a site cannot connect.
        RunError
            If ``runpp`` finds no solution.
        """
        if not 0 <= hour < self.time_s.size:
            raise bad("the season has no such hour", hour, f"Give 0 to {self.time_s.size - 1}.")
        own = copy.deepcopy(self.net)
        write_loads(own, self, hour)
        drawn_mw = 0.0
        if sites is not None:
            rows = add_sites(own, sites)
            for column in ("p_mw", "q_mvar"):
                values = sites[column].transpose("time", "site").values[at]
                own.sgen.iloc[rows, own.sgen.columns.get_loc(column)] = -values
                drawn_mw += float(values.sum()) if column == "p_mw" else 0.0
        if generation_mw is not None:
            write_units(own, self.units, generation_mw)
            if not reference.run_once(own):
                raise RunError(f"runpp finds no solution in hour {hour}.")
            return own
        total = np.array([float(self.units.p_mw.sum()) + self.load_mw[hour] - self._base_load_mw + drawn_mw])
        for _ in range(_MOST):
            share, short = follow(total, self.units.p_mw, self.units.min_p_mw, self.units.max_p_mw)
            write_units(own, self.units, share[0])
            if not reference.run_once(own):
                raise RunError(f"runpp finds no solution in hour {hour}.")
            rest = _references_mw(own) - float(share[0][self.units.reference].sum()) - float(short[0])
            if abs(rest) < _SETTLED_MW:
                break
            total += rest
        return own

    @property
    def _base_load_mw(self) -> float:
        frame = self.net.load
        return float((frame["p_mw"] * frame["scaling"] * frame["in_service"]).sum())


def as_season(season: Season | str) -> Season:
    """Return a season given by the name of its net.

    Raises
    ------
    InputError
        If no net of this name brings a season.
    """
    if isinstance(season, Season):
        return season
    if season != "texas2000":
        cure = "texas2000 does; make one of any other net by gridedge.area_season(net, loads)."
        raise bad("this net brings no season of its own", str(season), cure)
    from gridedge.grid.texas import texas_season

    return texas_season()


def _references_mw(net: Any) -> float:
    total = float(net.res_ext_grid["p_mw"].sum())
    if "slack" in net.gen:
        total += float(net.res_gen["p_mw"][net.gen["slack"].fillna(False).astype(bool)].sum())
    return total


def write_loads(net: Any, season: Season, hour: int) -> None:
    """Set loads and shunts of a net to those of an hour, in place."""
    frame, moved = net.load, season.moved
    p_mw = season.weight_pu @ season.group_mw[hour]
    scale = frame["scaling"].to_numpy(float) * frame["in_service"].to_numpy(bool)
    p_mw = np.divide(p_mw, scale, out=np.zeros_like(p_mw), where=scale != 0)
    net.load["p_mw"] = np.where(moved, p_mw, frame["p_mw"])
    net.load["q_mvar"] = np.where(moved, p_mw * season.ratio, frame["q_mvar"])
    for column in ("p_mw", "q_mvar"):
        net.shunt[column] = net.shunt[column].to_numpy(float) * season.share[hour]


def write_units(net: Any, units: Plants, generation_mw: Float) -> None:
    """Set the units of a net to what they deliver, in place; a static generator keeps its power factor."""
    for table in ("gen", "sgen"):
        mine = (units.table == table) & ~units.reference
        frame, rows = net[table], units.position[mine]
        scaling = frame["scaling"].to_numpy(float)[rows]
        p_mw = frame["p_mw"].to_numpy(float).copy()
        p_mw[rows] = generation_mw[mine] / scaling
        if table == "sgen":
            q_mvar = frame["q_mvar"].to_numpy(float).copy()
            q_mvar[rows] *= p_mw[rows] / frame["p_mw"].to_numpy(float)[rows]
            net.sgen["q_mvar"] = q_mvar
        net[table]["p_mw"] = p_mw


def area_season(
    net: Any,
    loads: xr.Dataset,
    *,
    areas: Mapping[int, Any] | pd.Series | None = None,
    shunts: ShuntRule | None = None,
    start: str = "",
) -> Season:
    """Return the season of a net whose loads are given by area, or one by one.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name or a file.
    loads : Dataset
        ``p_mw(time, area)``: what all loads of an area draw together; or ``p_mw(time, load)``, labelled by the
        net's own index, which replaces ``net.load.p_mw`` before ``scaling``.  ``time`` in seconds, even steps.
    areas : mapping or Series, optional
        Area of every bus, by bus index; without it the net's column ``bus["area"]``, or ``bus["zone"]``.
    shunts : ShuntRule, optional
        How shunts switch; by default :class:`gridedge.grid.shunts.ShuntRule` with its own values.
    start : str
        The wall's time of the first hour.

    Returns
    -------
    Season

    Raises
    ------
    InputError
        If an area has no load, is unknown, or is not covered; if a value is no number; if the net has what the batch
        engine cannot solve exactly.

    Notes
    -----
    *Loads*: an area's power is shared among its loads in proportion to their power in the net as it stands, and
    reactive power keeps its ratio.  *Generation*: :func:`gridedge.grid.follow.follow`.  *Shunts*:
    :class:`gridedge.grid.shunts.ShuntRule`, by the load of the bus's area; where loads are given one by one, by
    that of the whole net.  Taps and set-points are held.
    """
    rule = ShuntRule() if shunts is None else shunts
    own, _ = private_copy(net)
    reference.base_state(own)
    reasons = covers(own)
    if reasons:
        raise bad("a season cannot be solved exactly on this net", ", ".join(reasons), "Change the net.")
    dim = next((d for d in ("area", "load") if isinstance(loads, xr.Dataset) and d in loads.dims), "")
    schema.require(loads, ["p_mw"], thing="the loads of the season")
    if set(loads["p_mw"].dims) != {"time", dim}:
        raise bad("the loads of the season have other dimensions", f"p_mw{loads['p_mw'].dims}", "Give (time, area).")
    group_mw = loads["p_mw"].transpose("time", dim).values.astype(float)
    frame = own.load
    p_mw = frame["p_mw"].to_numpy(float)
    scale = frame["scaling"].to_numpy(float) * frame["in_service"].to_numpy(bool)
    labels = loads[dim].values
    if dim == "load":
        weight, groups = _by_load(own, labels, scale), tuple(f"load:{i}" for i in labels.tolist())
        total = group_mw @ weight.sum(axis=0) + float((p_mw * scale)[~(weight != 0).any(axis=1)].sum())
        load_pu = np.repeat((total / (p_mw * scale).sum())[:, None], len(own.shunt), axis=1)
    else:
        area_of = _areas(own, areas)
        weight, base_mw = _by_area(area_of, frame["bus"].to_numpy(), labels, p_mw * scale)
        groups = tuple(str(a) for a in labels.tolist())
        place = {a: k for k, a in enumerate(labels.tolist())}
        of_shunt = _of_shunts(own, area_of, place)
        load_pu = (group_mw / base_mw)[:, of_shunt]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(p_mw != 0, frame["q_mvar"].to_numpy(float) / np.where(p_mw != 0, p_mw, 1.0), 0.0)
    lost = (weight != 0).any(axis=1) & (p_mw == 0) & (frame["q_mvar"].to_numpy(float) != 0)
    if lost.any():
        cure = "Give it active power in the net, or leave it out of the series."
        which = f"load {frame.index[lost].tolist()}"
        raise bad("a load has reactive power alone: no power factor to keep", which, cure)
    share = shares_in(load_pu, own.shunt["q_mvar"].to_numpy(float), rule)
    words = (
        f"loads by {dim}, in proportion, at their power factor; generation in proportion within limits"
        " (wind, sun and water without a lower one); "
        + ("shunts as in the net" if rule.steps == 0 else f"capacitors in {rule.steps} steps, slope {rule.slope:g}")
        + ("" if rule.reactors_below_pu is None else f", reactors below {rule.reactors_below_pu:g} pu of load")
    )
    units = plants(own)
    return Season(
        own, loads["time"].values.astype(float), schema.clock(loads), start, groups, group_mw, weight, ratio,
        units, share, words, tuple(outside(own, units)),
    )  # fmt: skip


def _by_load(net: Any, labels: NDArray[Any], scale: Float) -> Float:
    """Return what each load takes of the series of a load, (load, group)."""
    missing = [int(i) for i in labels if i not in net.load.index]
    if missing:
        cure = f"net.load has indices {net.load.index.min()} to {net.load.index.max()}."
        raise bad("the season names a load that the net has not", str(missing[:5]), cure)
    weight = np.zeros((len(net.load), labels.size))
    rows = net.load.index.get_indexer(labels)
    weight[rows, np.arange(labels.size)] = scale[rows]
    return weight


def _areas(net: Any, areas: Mapping[int, Any] | pd.Series | None) -> dict[int, Any]:
    """Return the area of every bus."""
    if areas is not None:
        return {int(str(b)): a for b, a in areas.items()}
    for column in ("area", "zone"):
        if column in net.bus and net.bus[column].notna().all():
            return dict(zip(net.bus.index.tolist(), net.bus[column].tolist(), strict=True))
    raise bad("the net does not say which bus belongs to which area", "no areas=", "Give areas={bus: area, ...}.")


def _by_area(
    area_of: Mapping[int, Any], load_bus: NDArray[Any], labels: NDArray[Any], p_mw: Float
) -> tuple[Float, Float]:
    """Return what each load takes of an area's power (load, area), and the area's power in the net."""
    known = labels.tolist()
    mine = np.array([area_of.get(int(b)) for b in load_bus], dtype=object)
    problems = [
        Problem(f"area {a!r} of the net has loads and no series", "", nearest(str(a), map(str, known)))
        for a in dict.fromkeys(mine[p_mw != 0].tolist())
        if a not in known
    ]
    weight, base = np.zeros((load_bus.size, len(known))), np.zeros(len(known))
    for k, area in enumerate(known):
        here = mine == area
        base[k] = p_mw[here].sum()
        if not base[k] > 0:
            problems.append(Problem(f"area {area!r} has no load in the net", f"{base[k]:g} MW", "Leave it out."))
            continue
        weight[here, k] = p_mw[here] / base[k]
    if problems:
        raise InputError(problems)
    return weight, base


def _of_shunts(net: Any, area_of: Mapping[int, Any], place: Mapping[Any, int]) -> NDArray[np.intp]:
    """Return the position of each shunt's area."""
    buses = [int(b) for b in net.shunt["bus"]]
    lost = [b for b in buses if area_of.get(b) not in place]
    if lost:
        raise bad("a shunt stands in an area without a series", f"bus {lost[:5]}", "Give the series of its area.")
    return np.array([place[area_of[b]] for b in buses], dtype=np.intp)
