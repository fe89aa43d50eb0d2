"""Every bus, level and step at once: the same rooms as a loop of plain runpp."""

import copy

import numpy as np
import pytest
import xarray as xr

from gridedge.errors import InputError
from gridedge.grid.sweep import sweep

pp = pytest.importorskip("pandapower")
from pandapower import networks as nw  # noqa: E402

LIMITS = {"vm_pu": (0.95, 1.05), "loading_percent": 100.0}


def room(net, limits):
    vm, loading = net.res_bus.vm_pu, np.r_[net.res_line.loading_percent, net.res_trafo.loading_percent]
    return min((vm - limits["vm_pu"][0]).min(), (limits["vm_pu"][1] - vm).min()), limits[
        "loading_percent"
    ] - loading.max()


def test_rooms_equal_a_loop_of_runpp():
    net = nw.create_cigre_network_mv(with_der="pv_wind")
    factors = np.array([0.4, 0.8, 1.0])
    background = xr.Dataset(
        {"p_mw": (("time", "load"), np.outer(factors, net.load.p_mw))},
        coords={"time": 900.0 * np.arange(3), "load": net.load.index},
    )
    found = sweep(net, [3, 7, 12], [0.5, 2.0, 6.0], q_per_p=0.2, background=background, limits=LIMITS)
    for bus in (3, 12):
        for p_mw in (0.5, 6.0):
            for k, factor in enumerate(factors):
                own = copy.deepcopy(net)
                own.load["p_mw"] *= factor
                pp.create_load(own, bus, p_mw, 0.2 * p_mw)
                pp.runpp(own, tolerance_mva=1e-10)
                here = found.sel(bus=bus, p_mw=p_mw).isel(time=k)
                vm_room, loading_room = room(own, LIMITS)
                assert float(here["vm_room_pu"]) == pytest.approx(vm_room, abs=1e-8)
                assert float(here["loading_room_percent"]) == pytest.approx(loading_room, abs=1e-3)


def test_what_breaks_without_a_site_is_held_to_its_own_worst():
    net = nw.create_cigre_network_mv(with_der=False)  # 0.923 pu and 101 % before anything is connected
    strict = sweep(net, [7], [0.0, 0.5], limits=LIMITS)
    loose = sweep(net, [7], [0.0, 0.5], limits=LIMITS, no_worse=True)
    assert (strict["vm_room_pu"] < 0).all()
    assert (strict["loading_room_percent"] < 0).all()
    assert float(loose["vm_room_pu"].sel(p_mw=0.0).min()) == pytest.approx(0.0, abs=1e-12)
    assert float(loose["loading_room_percent"].sel(p_mw=0.0).min()) == pytest.approx(0.0, abs=1e-9)
    assert float(loose["vm_room_pu"].sel(p_mw=0.5).min()) < 0


def test_a_state_that_cannot_be_is_nan_and_what_cannot_be_swept_is_refused():
    net = nw.case33bw()
    found = sweep(net, [17], [0.1, 900.0], limits={"vm_pu": (0.9, 1.1)})
    assert found["converged"].values[:, :, 0].tolist() == [[True, False]]
    assert np.isnan(found["vm_room_pu"].sel(p_mw=900.0)).all()
    assert np.isinf(found["loading_room_percent"].sel(p_mw=0.1)).all()  # no limit, no end of room
    net.load["const_z_p_percent"] = 100.0
    with pytest.raises(InputError, match="depend on the voltage"):
        sweep(net, [17], [0.1], limits=LIMITS)
