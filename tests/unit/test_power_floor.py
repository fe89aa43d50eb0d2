"""The power floor in the accelerator: closed forms, each parameter by itself, messages."""

import numpy as np
import pytest

import gridedge
from gridedge import schema
from gridedge.errors import InputError
from gridedge.profiles.catalog import accelerator, server
from gridedge.sites import compiled
from gridedge.sites.floor import PRESETS, PowerFloor, hold_floor, moving_mean

SERVERS = 1000
BOX = server("8xB200")
CHIP = accelerator(BOX.accelerator)
IDLE, CEILING = CHIP.idle_w, CHIP.tdp_w
FAST = {"ramp_up_w_per_s": 1e12, "ramp_down_w_per_s": 1e12}
IDEAL = {**FAST, "ramp_down_hysteresis_ms": 1e12}
OFF = {**FAST, "immediate_ramp_down": True}


def load(work_w, dt_s=0.1, active_pu=None, **attrs):
    """Return the IT power of servers whose accelerators draw ``work_w`` where their job runs."""
    share = np.ones(np.shape(work_w)) if active_pu is None else np.asarray(active_pu, float)
    each_w = share * np.asarray(work_w, float) + (1 - share) * IDLE
    p_mw = SERVERS * (BOX.host_kw + BOX.accelerators * each_w / 1e3) / 1e3
    size = {"nameplate_mw": SERVERS * BOX.rated_kw / 1e3, "servers": SERVERS, "server": "8xB200"}
    ds = schema.power_dataset(p_mw, dt_s, power="IT", attrs={**size, **attrs})
    return ds if active_pu is None else ds.assign(active_pu=(ds["p_mw"].dims, share))


def drawn_w(ds):
    """Return the mean power of one accelerator."""
    return (ds["p_mw"].values * 1e3 / SERVERS - BOX.host_kw) * 1e3 / BOX.accelerators


def floor(percent=80.0, **changes):
    return {"step": "power_floor", "percent_tmp_floor": percent, **changes}


def test_an_ideal_floor_costs_its_duty_times_what_is_missing():
    """Square wave: energy overhead = duty of the low part x (floor - low), of the accelerators."""
    work = np.tile([0.95 * CEILING] * 7 + [0.3 * CEILING] * 3, 40)
    ds = gridedge.mitigate(load(work), [floor(80, **IDEAL)])
    extra_mw = SERVERS * BOX.accelerators * 0.3 * 0.5 * CEILING / 1e6
    assert float(ds["wasted_mw"].mean()) == pytest.approx(extra_mw, rel=1e-12)
    assert float(ds["delayed_mw"].max()) == 0.0
    np.testing.assert_allclose(drawn_w(ds), np.maximum(work, 0.8 * CEILING), rtol=1e-12)
    assert ds.attrs["figures"]["0:power_floor"]["missed_floor_mw"] == pytest.approx(0, abs=1e-9)


def test_the_floor_is_of_the_accelerators_ceiling_not_of_the_server():
    ds = gridedge.mitigate(load(np.full(50, IDLE)), [floor(50, **IDEAL)])
    host_mw = SERVERS * BOX.host_kw / 1e3
    expected = host_mw + SERVERS * BOX.accelerators * 0.5 * CEILING / 1e6
    np.testing.assert_allclose(ds["p_mw"], expected, rtol=1e-12)
    assert ds.attrs["figures"]["0:power_floor"]["floor_mw"] == pytest.approx(expected)


def test_the_hysteresis_is_waited_out_then_the_floor_ramps_down():
    work = np.array([900.0] * 10 + [IDLE] * 90)
    ds = gridedge.mitigate(load(work), [floor(80, ramp_down_w_per_s=100, ramp_down_hysteresis_ms=1000)])
    held = drawn_w(ds)[10:]
    np.testing.assert_allclose(held[:10], 800, rtol=1e-12)
    expected = np.maximum(800 - 10.0 * np.arange(1, 81), IDLE)
    np.testing.assert_allclose(held[10:], expected, rtol=1e-12)


def test_an_immediate_ramp_down_waits_for_nothing():
    work = np.array([900.0] * 10 + [IDLE] * 90)
    given = floor(80, ramp_down_w_per_s=100, ramp_down_hysteresis_ms=1000, immediate_ramp_down=True)
    held = drawn_w(gridedge.mitigate(load(work), [given]))[10:]
    np.testing.assert_allclose(held, np.maximum(800 - 10.0 * np.arange(1, 91), IDLE), rtol=1e-12)


def test_the_ramp_up_holds_work_back_until_the_floor_is_reached():
    """From idle, work of 950 W: power rises at the ramp to the floor, then all of it passes."""
    work = np.array([IDLE] * 20 + [950.0] * 100)
    given = floor(80, ramp_up_w_per_s=200, ramp_down_w_per_s=1e9, immediate_ramp_down=True)
    ds = gridedge.mitigate(load(work), [given])
    rise = drawn_w(ds)[20:]
    steps = int((800 - IDLE) // 20) - 1  # the step that reaches the floor lets the work go
    np.testing.assert_allclose(rise[:steps], IDLE + 20.0 * np.arange(1, steps + 1), rtol=1e-12)
    np.testing.assert_allclose(rise[steps:], 950, rtol=1e-12)
    missing_w = (950 - rise[:steps]).sum()
    count = SERVERS * BOX.accelerators
    assert float(ds["delayed_mw"].sum()) == pytest.approx(missing_w * count / 1e6)
    assert float(ds["wasted_mw"].sum()) == 0.0


def test_a_floor_that_lets_go_says_by_how_much_it_is_missed():
    work = np.tile([900.0] * 10 + [300.0] * 30, 5)
    ds = gridedge.mitigate(load(work), [floor(80, **FAST, ramp_down_hysteresis_ms=1000)])
    missed = SERVERS * BOX.accelerators * 500 / 1e6
    assert ds.attrs["figures"]["0:power_floor"]["missed_floor_mw"] == pytest.approx(missed)
    assert any(f"missed by up to {missed:.3g} MW" in n for n in ds.attrs["notes"])


def test_the_activation_says_what_counts_as_work():
    """Work at 40 % of the ceiling keeps a floor that activates at 30 %, and not one that activates at 50 %."""
    work = np.array([900.0] * 10 + [400.0] * 50)
    keeps = gridedge.mitigate(load(work), [floor(80, **OFF, activation_percent=30)])
    lets_go = gridedge.mitigate(load(work), [floor(80, **OFF, activation_percent=50)])
    np.testing.assert_allclose(drawn_w(keeps)[10:], 800)
    np.testing.assert_allclose(drawn_w(lets_go)[10:], 400)


def test_the_secondary_floor_holds_while_the_average_is_high():
    """With an activation window of 1 s: dips shorter than it are filled to the secondary floor only."""
    given = floor(
        70, **IDEAL, secondary_power_floor_w=400, primary_floor_act_win_mult=100, primary_floor_act_offset_w=100
    )
    work = np.array([900.0] * 40 + [200.0] * 2 + [900.0] * 40 + [200.0] * 40)
    after = drawn_w(gridedge.mitigate(load(work), [given]))
    np.testing.assert_allclose(after[40:42], 400)
    quiet = moving_mean(work, 0.1, window_s=1.0) < 500
    np.testing.assert_allclose(after[82:], np.where(quiet[82:], 700, 400))
    # (10 - k) samples at 900 W and k at 200 W fall below 500 W from k = 6 on.
    assert np.flatnonzero(quiet[82:])[0] == 5


def test_the_target_window_makes_the_average_the_floor():
    given = floor(80, **IDEAL, primary_floor_tar_win_mult=200)
    work = np.array([900.0] * 40 + [500.0] * 60)
    after = drawn_w(gridedge.mitigate(load(work), [given]))
    average = np.minimum(moving_mean(work, 0.1, window_s=2.0), CHIP.floor_max_pu * CEILING)
    np.testing.assert_allclose(after, np.maximum(work, average), rtol=1e-12)


def test_a_moving_mean_is_that_of_the_samples_in_its_window():
    x = np.arange(6.0)
    assert moving_mean(x, 0.5, window_s=1.5).tolist() == [0, 0.5, 1, 2, 3, 4]


def test_the_peak_limit_lets_an_overshoot_pass_for_50_ms():
    work = np.array([900.0] * 10 + [1300.0] * 20 + [900.0] * 5)
    ds = gridedge.mitigate(load(work, dt_s=0.01), [floor(50, **IDEAL, peak_limit=True)])
    after = drawn_w(ds)
    np.testing.assert_allclose(after[10:15], CHIP.edp_pu * CEILING)
    np.testing.assert_allclose(after[15:30], CEILING)
    free = gridedge.mitigate(load(work, dt_s=0.01), [floor(50, **IDEAL)])
    np.testing.assert_allclose(drawn_w(free), work)
    assert any("peak limit is 1100 W" in n for n in free.attrs["notes"])


def test_the_circuit_outlives_the_job_and_ramps_down():
    share = np.array([1.0] * 20 + [0.0] * 80)
    given = floor(80, ramp_down_w_per_s=200, ramp_down_hysteresis_ms=500)
    after = drawn_w(gridedge.mitigate(load(np.full(100, 900.0), active_pu=share), [given]))
    np.testing.assert_allclose(after[20:25], 900)
    np.testing.assert_allclose(after[25:], np.maximum(900 - 20.0 * np.arange(1, 76), IDLE))


def test_only_servers_whose_job_runs_start_their_floor():
    share = np.full(60, 0.25)
    after = drawn_w(gridedge.mitigate(load(np.full(60, 300.0), active_pu=share), [floor(80, **IDEAL)]))
    np.testing.assert_allclose(after, 0.25 * 800 + 0.75 * IDLE)


def test_a_job_that_starts_among_others_ramps_up_by_itself():
    share = np.concatenate((np.full(10, 0.5), np.full(50, 1.0)))
    given = floor(80, ramp_up_w_per_s=100, ramp_down_w_per_s=1e9, ramp_down_hysteresis_ms=1e9)
    ds = gridedge.mitigate(load(np.full(60, 900.0), active_pu=share), [given])
    after = drawn_w(ds)
    assert after[10] == pytest.approx(0.5 * (800 + IDLE) + 10)  # the mean level of old and new, one step up
    assert after[-1] == pytest.approx(900)
    assert (np.diff(after[10:]) >= -1e-9).all()


def test_the_lifetime_is_the_time_that_the_circuit_burns():
    work = np.tile([900.0] * 5 + [200.0] * 5, 36)
    ds = gridedge.mitigate(load(work), [floor(80, **IDEAL, lifetime_h=1.0)])
    figures = ds.attrs["figures"]["0:power_floor"]
    assert figures["circuit_active_h"] == pytest.approx(18 / 3600)
    assert figures["lifetime_used_percent"] == pytest.approx(0.5)
    assert figures["lifetime_years"] == pytest.approx(2 / 8760)


def test_a_preset_fills_in_and_gives_way():
    spec = PowerFloor.model_validate({"step": "power_floor", "preset": "firmus-70", "ramp_up_w_per_s": 999})
    assert (spec.percent_tmp_floor, spec.ramp_up_w_per_s) == (70, 999)
    assert (spec.ramp_down_w_per_s, spec.ramp_down_hysteresis_ms) == (200, 2000)
    told = {a.name: a for a in spec.assumptions()}
    assert told["ramp_down_w_per_s"].mark == "quoted"
    assert "not NVIDIA's" in told["ramp_down_w_per_s"].source
    assert told["ramp_up_w_per_s"].mark == "chosen"
    assert PowerFloor.model_validate(spec.to_dict()) == spec


def test_presets_are_the_published_ones():
    """Firmus module, quoted by a second source: floor [%], ramp [W/s], hysteresis [s]."""
    said = [(90, 70, 5), (80, 150, 3), (70, 200, 2), (50, 500, 1)]
    have = [
        (p["percent_tmp_floor"], p["ramp_down_w_per_s"], p["ramp_down_hysteresis_ms"] / 1e3) for p in PRESETS.values()
    ]
    assert have == said


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (floor(95), r"percent_tmp_floor 95 > 90"),
        (floor(10), "below the idle power of B200"),
        (floor(60, activation_percent=70), r"activation_percent 70 > percent_tmp_floor 60"),
        (floor(60, secondary_power_floor_w=100), "secondary floor is never used"),
        (floor(60, secondary_power_floor_w=700, primary_floor_act_win_mult=5), "700 > 600 W"),
        (floor(60, ramp_up_w_per_s=-1), r"ramp_up_w_per_s cannot be used \(got -1\)"),
        (floor(60, preset="firmus-60"), "firmus-90"),
        ({"step": "power_floor"}, "percent_tmp_floor is missing"),
    ],
)
def test_a_floor_that_cannot_be_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        gridedge.mitigate(load(np.full(5, 500.0)), [given])


def test_older_accelerators_have_no_floor():
    with pytest.raises(InputError, match=r"8xH100 have no power floor \(got H100\). Use a dummy workload"):
        gridedge.mitigate(load(np.full(5, 500.0), server="8xH100"), [floor(60)])


def test_a_load_must_say_what_its_servers_are():
    ds = load(np.full(5, 500.0))
    del ds.attrs["servers"]
    with pytest.raises(InputError, match="power_floor acts in the accelerators"):
        gridedge.mitigate(ds, [floor(60)])
    with pytest.raises(InputError, match="unknown server"):
        gridedge.mitigate(load(np.full(5, 500.0), server="8xB2OO"), [floor(60)])


def test_a_long_series_has_the_bits_of_a_short_one(monkeypatch):
    """Long series run compiled, short ones as Python."""
    rng = np.random.default_rng(5)
    work = 600 + 500 * np.repeat(rng.random(60) - 0.4, 50)
    share = np.repeat(rng.choice([0.0, 0.3, 0.7, 1.0], 30), 100)
    spec = PowerFloor.model_validate(
        floor(
            80, secondary_power_floor_w=300, primary_floor_act_win_mult=20, ramp_down_hysteresis_ms=150, peak_limit=True
        )
    )
    runs = []
    for short in (work.size + 1, 1):
        monkeypatch.setattr(compiled, "SHORT", short)
        monkeypatch.setattr(compiled, "_MACHINE", {})
        runs.append(hold_floor(work, share, 0.01, spec, CHIP))
    for slow, fast in zip(*runs, strict=True):
        assert slow.tobytes() == fast.tobytes()
