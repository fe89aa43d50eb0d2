"""Time in bands, worst buses and duration curves, on voltages that are counted by hand."""

import json

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.measure.voltage_report import SHARES_PERCENT, voltage_report

HOUR = 3600.0


def flow(vm, dt_s=HOUR, **more):
    vm = np.asarray(vm, dtype=float)
    count = vm.shape[1]
    names = ("bus", ["a", "b", "c"][:count])
    return xr.Dataset(
        {"vm_pu": (("time", "bus"), vm), "converged": ("time", np.isfinite(vm).any(axis=1))},
        coords={"time": dt_s * np.arange(len(vm)), "bus": [7, 3, 9][:count], "bus_name": names},
        attrs={"dt_s": dt_s, **more},
    )  # fmt: skip


#            bus 7  bus 3  bus 9
FOUR = flow([[1.00, 0.94, 1.02],
             [0.94, 0.93, 1.06],
             [1.00, 0.96, 1.07],
             [1.00, 0.95, 1.00]])  # fmt: skip


def test_hours_are_counted_bus_by_bus_and_over_all():
    found = voltage_report(FOUR, {"vm_pu": [0.95, 1.05]})
    (band,) = found.bands
    assert (band.below_h, band.above_h, band.hours) == (2.0, 2.0, 4.0)  # 0.95 itself keeps the limit
    assert (band.buses_below, band.buses_above) == (2, 1)
    assert (band.worst_below, band.worst_below_h) == ("bus 3", 2.0)
    assert (band.worst_above, band.worst_above_h) == ("bus 9", 2.0)
    assert band.within_percent == pytest.approx(25.0)  # hours 0, 1 and 2 have some bus outside
    assert band.worst_within_percent == pytest.approx(50.0)
    np.testing.assert_array_equal(found.data["below_h"].values, [[1.0, 2.0, 0.0]])
    np.testing.assert_array_equal(found.data["above_h"].values, [[0.0, 0.0, 2.0]])
    assert found.lowest[:2] == (3, 7)
    assert found.highest[0] == 9
    assert set(found.longest) == {3, 9, 7}
    assert found.data["vm_min_when_s"].sel(bus=3).item() == HOUR
    assert found.operations == {}


def test_duration_curves_are_the_sorted_steps():
    steps = 1001
    vm = np.random.default_rng(0).permutation(np.linspace(0.9, 1.1, steps))[:, None]
    curve = voltage_report(flow(vm)).data["vm_duration_pu"].values[:, 0]
    np.testing.assert_allclose(curve, 1.1 - 0.2 * np.array(SHARES_PERCENT) / 100.0, atol=1e-12)
    assert (np.diff(curve) < 0).all()


def test_moving_means_and_gaps():
    limit = {"limits": [{"limit": "voltage", "name": "two hours", "vm_pu": [0.95, 1.05], "mean_s": 7200}]}
    vm = [[0.94], [0.97], [0.92], [0.93], [np.nan], [0.90]]
    found = voltage_report(flow(vm), limit)
    # means 0.955, 0.945, 0.925, none, none
    assert found.bands[0].below_h == 2.0
    assert found.bands[0].hours == 3.0
    assert found.lost_steps == 1
    assert found.hours == 5.0
    assert "1 of 6 steps are not solved" in found.remarks[0]
    short = voltage_report(flow(vm[:1]), limit)
    assert short.bands[0].below_h == 1.0
    assert "shorter than its mean" in short.remarks[0]


def test_what_is_out_of_service_is_left_out_and_tables_are_plain():
    vm = np.array(FOUR["vm_pu"].values)
    vm[:, 1] = np.nan
    taps = xr.Dataset({"operations": ("changer", [6])}, coords={"changer": ["trafo:114"]})
    found = voltage_report(flow(vm), ("en50160", "ansi-c84.1-a", "ratings"), taps=taps, worst=1)
    assert list(found.data["bus"].values) == [7, 9]
    assert found.operations == {"trafo:114": 6}
    assert found.operations_per_day["trafo:114"] == pytest.approx(36.0)
    assert list(found.bands_table().index) == ["EN 50160 voltage band", "ANSI C84.1 range A"]
    assert "above_h ANSI C84.1 range A" in found.table().columns
    assert list(found.duration_table().columns) == [7, 9]
    said = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert said["tap_operations"] == {"trafo:114": 6}
    assert said["buses"][1]["vm_max_pu"] == 1.07
    assert len(said["duration_curves"]["vm_pu"]["7"]) == len(SHARES_PERCENT)


def test_longer_steps_are_longer_hours_and_a_wider_band_is_never_worse():
    day = flow(FOUR["vm_pu"].values, dt_s=900.0)
    narrow, wide = (voltage_report(day, {"vm_pu": band}).bands[0] for band in ([0.95, 1.05], [0.935, 1.065]))
    assert narrow.below_h == 0.5
    assert wide.below_h <= narrow.below_h
    assert wide.within_percent >= narrow.within_percent


def test_bad_input_says_what_to_do():
    with pytest.raises(gridedge.InputError, match="voltage of every step"):
        voltage_report(xr.Dataset({"vm_pu": (("reduction", "bus"), np.ones((2, 3)))}))
    with pytest.raises(gridedge.InputError, match="no voltage band"):
        voltage_report(FOUR, "ratings")
    with pytest.raises(gridedge.InputError, match="no step of the result is solved"):
        voltage_report(flow(np.full((2, 3), np.nan)))
    with pytest.raises(gridedge.InputError, match="one bus at least"):
        voltage_report(FOUR, worst=0)
    with pytest.raises(gridedge.InputError, match="unknown limit set"):
        voltage_report(FOUR, "en50169")
