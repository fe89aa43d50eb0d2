"""Capacities of a series, with and without `no_worse`, judged by the verb solve and by check_limits."""

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.measure.limits import Limits, check_limits

pytest.importorskip("pandapower")
from pandapower import networks as nw

STEPS = 24


def day(net):
    rng = np.random.default_rng(3)
    factors = 0.7 + 0.3 * rng.random((STEPS, len(net.load)))  # every load by itself: the worst hour differs by bus
    load = {c: (("time", "load"), factors * net.load[c].to_numpy()) for c in ("p_mw", "q_mvar")}
    ds = xr.Dataset(load, coords={"time": 900.0 * np.arange(STEPS), "load": net.load.index})
    ds.attrs["dt_s"] = 900.0
    return ds


@pytest.mark.parametrize("existing", ["absolute", "no_worse"])
def test_solve_and_check_limits_find_the_same(existing):
    net = nw.create_cigre_network_mv(with_der="pv_wind")
    background = day(net)
    shape = 0.6 + 0.4 * np.sin(np.arange(STEPS)) ** 2
    vm_pu = (0.92, 1.05) if existing == "absolute" else (0.96, 1.05)
    found = gridedge.hosting_capacity(
        net, buses=[4, 9, 13], background=background, shape=shape, existing=existing,
        limits={"vm_pu": list(vm_pu), "loading_percent": 100},
    )  # fmt: skip
    limits = Limits(vm_pu=vm_pu, loading_percent=100, existing=existing)

    def solved(bus, p_mw):
        p = (shape * p_mw)[:, None]
        site = xr.Dataset(
            {"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), np.tan(np.arccos(0.98)) * p)},
            coords={"time": background["time"], "site": ["site"], "bus": ("site", [bus])}, attrs={"dt_s": 900.0},
        )  # fmt: skip
        return gridedge.solve(net, site, background=background)

    for bus in (4, 9, 13):
        mw = float(found.capacity_mw.sel(bus=bus))
        base = solved(bus, 0.0)
        holds = check_limits(solved(bus, mw), limits, where="at", base=base)
        breaks = check_limits(solved(bus, mw + 0.02), limits, where="above", base=base)
        assert mw > 0
        assert all(f.verdict == "pass" for f in holds), [str(f) for f in holds]
        assert any(f.verdict == "fail" for f in breaks)
