"""A series made finer on reading: the same as numpy's straight lines, wherever it is cut."""

import numpy as np
import pytest
import xarray as xr

from gridedge.errors import InputError
from gridedge.finer import interpolate


@pytest.fixture
def coarse():
    values = np.random.default_rng(0).normal(size=(6, 3))
    return xr.Dataset(
        {"p_mw": (("time", "load"), values)}, coords={"time": 900.0 * np.arange(6), "load": [4, 5, 9]}
    )  # fmt: skip


def test_straight_lines_between_the_samples_and_the_last_one_held(coarse):
    fine = interpolate(coarse, 60.0)
    assert fine.sizes["time"] == 90
    t = 60.0 * np.arange(90)
    np.testing.assert_allclose(fine["time"], t)
    for k in range(3):
        expected = np.interp(t, coarse["time"], coarse["p_mw"][:, k])
        np.testing.assert_allclose(fine["p_mw"][:, k], expected, rtol=0, atol=1e-14)


def test_any_cut_reads_what_the_whole_holds(coarse):
    whole = interpolate(coarse, 60.0)["p_mw"].values
    fine = interpolate(coarse, 60.0)["p_mw"]
    assert not fine.variable._in_memory
    for cut in (slice(0, 7), slice(13, 50), slice(88, 90), slice(3, 60, 7), [1, 44, 80]):
        np.testing.assert_allclose(fine.isel(time=cut), whole[cut], rtol=0, atol=1e-15)
    np.testing.assert_allclose(fine.isel(time=17, load=[0, 2]), whole[17][[0, 2]], rtol=0, atol=1e-15)


def test_a_step_that_does_not_fit_is_refused(coarse):
    with pytest.raises(InputError, match="coarse step"):
        interpolate(coarse, 7.0)
