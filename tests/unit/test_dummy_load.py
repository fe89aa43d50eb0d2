"""Dummy work in software: what it is late by, what it steals, and when it dies."""

import numpy as np
import pytest

import gridedge
from gridedge import schema
from gridedge.errors import InputError
from gridedge.profiles.catalog import accelerator, server
from gridedge.sites.dummy import dummy_load

BOX = server("8xH100")
CHIP = accelerator(BOX.accelerator)
SERVERS = 1000
EXACT = {"reaction_s": 0, "sampling_s": 0}


def load(p_mw, dt_s=0.1, active_pu=None, servers=SERVERS):
    attrs = {"nameplate_mw": SERVERS * BOX.rated_kw / 1e3, "server": "8xH100", "servers": servers}
    ds = schema.power_dataset(np.asarray(p_mw, float), dt_s, power="IT", attrs=attrs)
    return ds if active_pu is None else ds.assign(active_pu=("time", np.asarray(active_pu, float)))


def dummy(**changes):
    return {"step": "dummy_load", "floor_pu": 0.6, **changes}


FLOOR_MW = 0.6 * SERVERS * BOX.rated_kw / 1e3
IDLE_MW = SERVERS * BOX.idle_kw / 1e3


def test_telemetry_is_late_by_its_latency_and_its_sampling():
    """Read every 0.5 s, 0.2 s late: the dip at 1.0 s shows at 1.2 s or later, and is read at 1.5 s for 1.7 s."""
    p = np.array([7.5] * 10 + [3.0] * 12 + [7.5] * 18)
    ds = gridedge.mitigate(load(p), [dummy(reaction_s=0.2, sampling_s=0.5)])
    fills = np.flatnonzero(ds["wasted_mw"].values > 0)
    assert fills[0] == 12  # the reading of 1.0 s, seen 0.2 s later
    assert fills[-1] == 26  # the reading of 2.0 s still shows the dip; that of 2.5 s is seen at 2.7 s
    late = gridedge.mitigate(load(np.roll(p, 1)), [dummy(reaction_s=0.2, sampling_s=0.5)])
    assert np.flatnonzero(late["wasted_mw"].values > 0)[0] == 17


def test_both_ways_late_means_an_overshoot_up_to_the_peak_limit():
    p = np.array([7.4] * 10 + [3.0] * 10 + [7.4] * 10)
    ds = gridedge.mitigate(load(p), [dummy(reaction_s=0.3, sampling_s=0)])
    limit_mw = SERVERS * (BOX.host_kw + BOX.accelerators * CHIP.edp_pu * CHIP.tdp_w / 1e3) / 1e3
    np.testing.assert_allclose(ds["p_mw"][10:13], 3.0)
    np.testing.assert_allclose(ds["p_mw"][13:20], FLOOR_MW)
    np.testing.assert_allclose(ds["p_mw"][20:23], limit_mw)
    figures = ds.attrs["figures"]["0:dummy_load"]
    assert figures["missed_floor_mw"] == pytest.approx(FLOOR_MW - 3.0)
    assert figures["overshoot_mw"] == pytest.approx(limit_mw - 7.4)
    assert any("late both ways" in note for note in ds.attrs["notes"])


def test_a_load_that_has_shown_more_than_the_limit_keeps_what_it_showed():
    p = np.array([9.0] * 10 + [3.0] * 10 + [7.4] * 10)
    ds = gridedge.mitigate(load(p), [dummy(reaction_s=0.3, sampling_s=0)])
    np.testing.assert_allclose(ds["p_mw"][20:23], 9.0)


def test_announced_work_is_late_by_its_launch_only():
    p = np.array([7.4] * 10 + [3.0] * 10 + [7.4] * 10)
    ds = gridedge.mitigate(load(p, dt_s=0.01), [dummy(trigger="announced", launch_s=0.02, reaction_s=5.0)])
    fills = np.flatnonzero(ds["wasted_mw"].values > 0)
    assert (fills[0], fills[-1]) == (12, 21)


def test_a_key_of_the_other_trigger_is_told_to_have_no_effect():
    said = gridedge.mitigate(load([7.5, 3.0, 7.5]), [dummy(launch_s=0.5)]).attrs["notes"]
    assert "dummy_load: launch_s 0.5 has no effect with trigger reactive." in said
    said = gridedge.mitigate(load([7.5, 3.0, 7.5]), [dummy()]).attrs["notes"]
    assert not any("no effect" in note for note in said)


def test_the_fill_of_a_server_dies_with_its_job():
    p = np.full(40, 3.0)
    share = np.array([1.0] * 20 + [0.5] * 10 + [0.0] * 10)
    p[20:30] = 0.5 * 3.0 + 0.5 * IDLE_MW
    p[30:] = IDLE_MW
    ds = gridedge.mitigate(load(p, active_pu=share), [dummy(reaction_s=0.5, sampling_s=0)])
    filled = ds["wasted_mw"].values
    np.testing.assert_allclose(filled[5:20], FLOOR_MW - 3.0)
    np.testing.assert_allclose(filled[20:30], 0.5 * (FLOOR_MW - 3.0))
    assert (filled[30:] == 0).all()


def test_what_is_stolen_is_delayed_and_made_up_for():
    p = np.array([7.4] * 10 + [3.0] * 10)
    ds = gridedge.mitigate(load(p), [dummy(**EXACT, steals_pu=0.1)])
    np.testing.assert_allclose(ds["delayed_mw"][10:], 0.3)
    np.testing.assert_allclose(ds["p_mw"][10:], FLOOR_MW)
    np.testing.assert_allclose(ds["wasted_mw"][10:], FLOOR_MW - 2.7)
    assert float(np.abs(ds["delayed_mw"][:10]).max()) == 0.0
    unknown = gridedge.mitigate(load(p), [dummy(**EXACT)])
    assert any("not known" in note for note in unknown.attrs["notes"])


def test_sampling_within_a_step_delays_by_half_of_it():
    p = np.tile([9.0, 9, 1, 1], 50)
    sampled = dummy_load(p, 2.0, floor_mw=6.0, reaction_s=0.1, sampling_s=0.2, most_mw=20.0)
    late = dummy_load(p, 2.0, floor_mw=6.0, reaction_s=0.2, most_mw=20.0)
    np.testing.assert_array_equal(sampled, late)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dummy(floor_pu=0.9), r"the floor lies above the ceiling of H100 .* Give floor_pu at most 0.77"),
        (dummy(steals_pu=1.0), r"steals_pu cannot be used \(got 1.0\)"),
        (dummy(sampling_s=-0.1), r"sampling_s cannot be used \(got -0.1\)"),
        (dummy(trigger="guessed"), r"trigger cannot be used \(got 'guessed'\)"),
    ],
)
def test_a_dummy_workload_that_cannot_be_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        gridedge.mitigate(load([5.0, 5.0]), [given])
