"""The exact Newton behind the batch engine, with SciPy alone and with KLU, and which root it accepts."""

import numpy as np
import pytest

from gridedge.grid.engines import newton, reference
from gridedge.grid.engines.model import extract

pp = pytest.importorskip("pandapower")
from pandapower import networks as nw  # noqa: E402


@pytest.mark.parametrize("klu", [False, pytest.param(True, marks=pytest.mark.skipif(not newton.HAS_KLU, reason="klu"))])
def test_states_equal_runpp_with_and_without_klu(klu, monkeypatch):
    monkeypatch.setattr(newton, "HAS_KLU", klu)
    net = nw.case118()
    assert reference.run_once(net)
    model = extract(net)
    factors = np.array([0.7, 1.0, 1.2, np.nan, 40.0])
    s = model.s0[:, None] * factors
    v, solved = newton.exact(model, s)
    assert solved.tolist() == [True, True, True, False, False]
    assert np.isnan(v[:, 3:]).all()
    for k, factor in enumerate(factors[:3]):
        own = nw.case118()
        for table, columns in (("load", ["p_mw", "q_mvar"]), ("gen", ["p_mw"])):
            own[table][columns] *= factor
        pp.runpp(own, tolerance_mva=1e-10, calculate_voltage_angles=True)
        np.testing.assert_allclose(np.abs(v[:, k]), np.abs(own._ppc["internal"]["V"]), rtol=0, atol=1e-8)


def test_the_lower_root_is_not_the_operating_point():
    """Behind X = 0.1 pu, P = 1 pu: V = 0.9949 pu, and 0.1005 pu on the lower branch."""
    net = pp.create_empty_network(sn_mva=1.0)
    a, b = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, a)
    pp.create_impedance(net, a, b, rft_pu=0.0, xft_pu=0.1, sn_mva=1.0)
    pp.create_load(net, b, 0.1)
    assert reference.run_once(net)
    model = extract(net)
    s = model.s0.copy()
    s[1] = -1.0
    low = newton.newton(model, s, np.array([1.0, 0.1 * np.exp(-1.4j)]))
    high = newton.newton(model, s)
    assert abs(low[1]) == pytest.approx(np.sqrt(0.5 - np.sqrt(0.25 - 0.01)), abs=1e-8)
    assert abs(high[1]) == pytest.approx(np.sqrt(0.5 + np.sqrt(0.25 - 0.01)), abs=1e-8)
    upright = newton.determinant_sign(model, model.v0)
    assert newton.determinant_sign(model, high) == upright
    assert newton.determinant_sign(model, low) == -upright
