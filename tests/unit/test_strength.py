"""The short-circuit power of every bus, against pandapower's IEC 60909, and the first check that stands on it."""

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.grid.strength import accept_site, strength_mva
from gridedge.measure.flicker_limits import count_changes

pp = pytest.importorskip("pandapower")


def transformer_net():
    net = pp.create_empty_network(sn_mva=100.0)
    a, b, c, d = (pp.create_bus(net, v) for v in (110.0, 20.0, 20.0, 20.0))
    pp.create_ext_grid(net, a, s_sc_max_mva=5000.0, s_sc_min_mva=3000.0, rx_max=0.1, rx_min=0.15)
    pp.create_transformer(net, a, b, "25 MVA 110/20 kV")
    net.trafo[["i0_percent", "pfe_kw"]] = 0.0  # IEC 60909 leaves what lies across out
    pp.create_line_from_parameters(net, b, c, 10.0, 0.2, 0.3, 0.0, 0.4)
    net.line["endtemp_degree"] = 20.0
    pp.create_load(net, c, 3.0)
    net.bus.loc[d, "in_service"] = False
    return net


def test_it_is_the_smallest_of_iec_60909():
    import pandapower.shortcircuit as sc

    net = transformer_net()
    found = strength_mva(net)
    pp.runpp(net)
    sc.calc_sc(net, case="min")
    # c is 1.0 at medium and high voltage in the smallest case
    live = [0, 1, 2]
    np.testing.assert_allclose(found["s_sc_mva"].values[live], net.res_bus_sc.skss_mw.to_numpy()[live], rtol=1e-6)
    assert np.isnan(found["s_sc_mva"].values[3])
    angle = np.degrees(np.arctan2(net.res_bus_sc.xk_ohm, net.res_bus_sc.rk_ohm))
    np.testing.assert_allclose(found["psi_degree"].values[live], angle.to_numpy()[live], rtol=1e-6)


def test_the_first_check_knows_the_bus():
    net = transformer_net()
    strong, weak = (accept_site(net, bus, 0.3, 60.0, sources={"s_sc_mva": 3000.0}) for bus in (1, 2))
    assert strong.verdict == "pass"
    assert weak.verdict == "cannot tell"
    assert weak.measured == pytest.approx(100 * 0.3 / dict(weak.figures)["s_sc_mva"])
    assert "bus 2" in weak.where
    with pytest.raises(InputError, match="out of service"):
        accept_site(net, 3, 0.3, 60.0)


def test_changes_are_counted_from_one_outer_quarter_to_the_other():
    t = np.arange(6000) * 0.01
    swing, per_min = count_changes(2.0 + np.sign(np.sin(2 * np.pi * t / 4.0 + 0.1)), 0.01)
    assert swing == 2.0
    assert per_min == pytest.approx(30.0, abs=1.0)
    assert count_changes(np.ones(100), 0.01) == (0.0, 0.0)
    noisy = 2.0 + np.sign(np.sin(2 * np.pi * t / 4.0 + 0.1)) + 0.2 * np.random.default_rng(0).standard_normal(t.size)
    assert count_changes(noisy, 0.01)[1] == pytest.approx(30.0, abs=1.0)
