"""Sites, campus and training of one size: equal means, like fluctuations, and surrogates that keep their spectrum."""

from __future__ import annotations

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.planning.swings import _surrogates, three_ways


@pytest.fixture(scope="module")
def found():
    return three_ways(sites=12, duration_s=900.0, seed=4)


def test_the_three_have_the_same_mean(found):
    means = found.table["mean_mw"]
    assert float(means.sel(load="campus")) == pytest.approx(float(means.sel(load="sites")), rel=0.005)
    assert float(means.sel(load="training")) == pytest.approx(float(means.sel(load="campus")), rel=0.005)
    assert float(means.sel(load="sites")) == pytest.approx(120, rel=0.1)
    assert found.replicas_each * 12 * 2.0e-3 < 120 < found.replicas_each * 12 * 3.0e-3  # 2 to 3 kW a replica


def test_one_campus_fluctuates_like_the_sites_and_training_does_not(found):
    sd = found.table["sd_mw"]
    # single requests are drawn anew, and a curve is bent: 1 % in 40 seeds
    assert float(sd.sel(load="campus")) == pytest.approx(float(sd.sel(load="sites")), rel=0.05)
    assert float(sd.sel(load="training")) > 5 * float(sd.sel(load="sites"))
    fast = found.table["change_5s_mw"]
    assert float(fast.sel(load="training")) > 20 * float(fast.sel(load="sites"))
    record = three_ways(sites=40, duration_s=3600.0, memory_s=60.0, seed=4).records["sites"]
    assert record.sd_predicted_mw == pytest.approx(record.sd_mw, rel=0.1)  # 20 sites and 60 memories tell the rest
    assert record.sd_independent_mw < record.sd_mw < record.sd_in_step_mw


def test_rates_in_step_and_rates_apart():
    close, apart = (
        three_ways(sites=12, duration_s=600.0, common_pu=c, memory_s=60.0, seed=4).records["sites"] for c in (1.0, 0.0)
    )
    assert close.rho > 0.95
    assert abs(apart.rho) < 0.25
    assert close.sd_mw == pytest.approx(12 * close.sd_site_mw, rel=0.03)


@pytest.mark.parametrize("steps", [500, 501])
def test_surrogates_keep_the_power_of_every_line(steps):
    rng = np.random.default_rng(1)
    series = rng.normal(size=(1, steps)).cumsum(axis=1)
    spectrum = np.abs(np.fft.rfft(series - series.mean())) ** 2
    spectrum = spectrum[0]
    spectrum[0] = 0.0
    made = _surrogates(spectrum, 4000, steps, rng)
    mean = (np.abs(np.fft.rfft(made)) ** 2).mean(axis=0)
    np.testing.assert_allclose(mean[1:], spectrum[1:], rtol=0.15)
    assert float((made**2).mean()) == pytest.approx(float(series.var()), rel=0.05)
    assert abs(made.mean()) < 1e-9


def test_what_is_refused():
    for wrong in ({"sites": 1}, {"mw_each": 0.0}, {"load_pu": 1.2}, {"common_pu": -0.1}, {"training": "mixed-campus"}):
        with pytest.raises(InputError):
            three_ways(**{"sites": 2, "duration_s": 120.0, **wrong})
