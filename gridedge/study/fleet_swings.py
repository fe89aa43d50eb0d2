"""How the fluctuations of a fleet study's layouts add up, beside one campus and beside synchronous training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from gridedge import schema
from gridedge.errors import InputError
from gridedge.measure.adding import sd_of_equal_mw
from gridedge.planning.swings import Swings, three_ways
from gridedge.study.fleet_layout import Served
from gridedge.study.fleet_model import FleetStudySpec

if TYPE_CHECKING:
    import pandas as pd

CAMPUS, TRAINING = "the same in one campus", "synchronous training"
_SHOWN_S = 600.0


def fluctuations(spec: FleetStudySpec, served: Mapping[str, Served]) -> tuple[pd.DataFrame, xr.Dataset, list[str]]:
    """Return how every layout fluctuates about its common shape, ten minutes to look at, and remarks.

    Returns
    -------
    DataFrame
        By load: ``sites``, ``mean_mw``, ``sd_site_mw``, ``rho``, ``sd_mw``, ``sd_law_mw``, which
        s sqrt(N (1 + (N - 1) rho)) gives with the rho of that row, ``change_5s_mw``, ``change_60s_mw``,
        ``change_600s_mw``. IT power. [MW]
    Dataset
        ``p_mw(load, time)``: the largest number of sites together, one campus, training. [MW]
    list of str
        What they are made of.
    """
    import pandas as pd

    how = spec.swings()
    assert how is not None
    asks = how.asks or next(iter(spec.traffic))
    made: dict[str, Swings] = {}
    largest = max(served, key=lambda label: served[label].layout.sites)
    for label, one in served.items():
        if one.layout.sites == 1 and label != largest:
            continue  # one site is the campus that the others are held against
        mean_mw, count = float(one.made.load["p_it_mw"].mean("time").sum()), max(one.layout.sites, 2)
        made[label] = three_ways(
            sites=count, mw_each=mean_mw / count, duration_s=how.duration_s, asks=one.plan.traffic.of(asks),
            replica=one.plan.how(asks).replica, load_pu=float(np.clip(_load_pu(one), 0.05, 0.95)),
            common_pu=how.common_pu, training=how.training, seed=spec.seed,
        )  # fmt: skip
    found = made[largest]
    single = {label for label, one in served.items() if one.layout.sites == 1}
    rows = {label: _row(found, "campus") if label in single else _row(made[label], "sites") for label in served}
    rows |= {CAMPUS: _row(found, "campus"), TRAINING: _row(found, "training")}
    most = largest
    shown = ({most: "sites"} if most not in single else {}) | {CAMPUS: "campus", TRAINING: "training"}
    series = []
    for key in shown.values():
        p = found.loads[key]["p_mw"]
        series.append((p.sum("site") if "site" in p.dims else p).values)
    dt_s = float(found.loads["campus"].attrs["dt_s"])
    steps = min(round(_SHOWN_S / dt_s), min(s.size for s in series))
    traces = xr.Dataset(
        {"p_mw": (("load", "time"), np.stack([s[:steps] for s in series]))},
        coords={"load": list(shown), "time": dt_s * np.arange(steps)},
        attrs={"dt_s": dt_s, "power": "IT"},
    )
    return (
        pd.DataFrame.from_dict(rows, orient="index"),
        schema.describe(traces),
        [f"Fluctuations: {r}" for r in found.remarks],
    )


def _load_pu(one: Served) -> float:
    """Return how busy the sites are on average, weighed by their accelerators."""
    busy = one.made.flow.data["load_pu"].values.mean(axis=1)
    count = one.made.load["accelerators"].values
    return float((busy * count).sum() / count.sum())


def _row(found: Swings, key: str) -> dict[str, float]:
    one = found.records[key]
    try:
        law = sd_of_equal_mw(one.sites, one.sd_site_mw, one.rho) if one.sites > 1 else one.sd_site_mw
    except InputError:  # more negative than so many sites can have
        law = np.nan
    changes = {f"change_{w:g}s_mw": v for w, v in one.change_mw.items()}
    whole = {"sites": one.sites, "mean_mw": one.mean_mw, "sd_site_mw": one.sd_site_mw, "rho": one.rho}
    return whole | {"sd_mw": one.sd_mw, "sd_law_mw": law} | changes
