"""What a fleet hands to the grid is what the grid takes."""

import gridedge
from gridedge.grid.feeders import load_feeder


def test_solve_takes_a_fleet():
    dallas = {"lat": 32.78, "lon": -96.80}
    made = gridedge.fleet(
        {
            "traffic": {"zone": "America/Chicago", "classes": {"conversation": {"requests_per_s": 30.0}}},
            "places": [{"name": "Dallas", **dallas}],
            "sites": [
                {"name": "a", **dallas, "p_mw": 0.05, "bus": 5},
                {"name": "b", **dallas, "p_mw": 0.04, "bus": 7},
            ],
        },
        duration_s=1800.0,
        dt_s=900.0,
    )
    net = load_feeder("case33bw").net
    base = gridedge.solve(net, engine="reference")
    result = gridedge.solve(net, made.load, engine="reference")
    assert bool(result["converged"].all())
    assert result.sizes["time"] == 2
    drop = base["vm_pu"].isel(time=0).sel(bus=5) - result["vm_pu"].sel(bus=5)
    assert (drop.values > 0).all()
    assert 0.02 < float(made.load["p_mw"].sum("site").max()) <= 0.09
