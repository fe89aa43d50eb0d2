"""Serving by hand: curves between and beyond their points, tables of a replica, a fluid on a straight curve."""

import numpy as np
import pytest

import gridedge
from gridedge.profiles.catalog import accelerator
from gridedge.profiles.generate import load_profile
from gridedge.profiles.inference import produce
from gridedge.profiles.inference.curve import BatchCurve, measured_curves
from gridedge.profiles.inference.estimate import SPREAD, estimated_curve
from gridedge.profiles.inference.fluid import SHARES, LoadCurve, carry
from gridedge.profiles.inference.models import model, models
from gridedge.profiles.inference.replica import Replica, rates

DAY_S = 86_400


def curve(power, token):
    return BatchCurve("mine", "H100", 4, np.array([2.0, 8.0, 32.0]), np.array(power), np.array(token))


def test_power_and_time_between_and_beyond_the_measured_batches():
    one = curve([300.0, 400.0, 600.0], [0.02, 0.05, 0.14])
    assert one.power_at([2, 4, 16, 32, 256]) == pytest.approx([300, 350, 500, 600, 600])
    assert one.power_at(1) == pytest.approx(250)  # with the slope of the first two
    assert curve([300.0, 500.0, 550.0], [0.02, 0.05, 0.14]).power_at(1) == pytest.approx(300 - 62.5)  # that of all
    assert one.token_s_at([1, 5, 8, 64]) == pytest.approx([0.015, 0.035, 0.05, 0.14 + 32 * 0.09 / 24])
    steep = curve([300.0, 400.0, 600.0], [0.02, 0.10, 0.14])
    assert steep.token_s_at(1) == pytest.approx(0.01)  # half of the first


def test_a_roofline_from_the_nearest_curve():
    keys = {k: v for k, v in measured_curves().items() if k[0] in models()}
    pairs = [(m, c, n) for m, c, n in keys if (m, c, 2 * n) in keys and (m, c, 4 * n) not in keys]
    assert pairs
    for name, chip, n in pairs:
        two = keys[name, chip, 2 * n]
        four = estimated_curve(model(name), chip, 4 * n)
        assert f"{name} on {2 * n} x {chip}" in four.source
        assert four.token_s == pytest.approx(two.token_s * 0.5**SPREAD)
        assert four.power_w == pytest.approx(two.power_w)
    name, chip, n = next(k for k in keys if k[1] == "B200")
    made, old, new = estimated_curve(model(name), "B300", n), accelerator("B200"), accelerator("B300")
    over = (new.tdp_w - new.idle_w) / (old.tdp_w - old.idle_w)
    assert made.power_w == pytest.approx(new.idle_w + (keys[name, chip, n].power_w - old.idle_w) * over)
    # A mixture of experts: few of its weights are read for a small batch, all for a large one.
    name, chip, n = next(k for k in keys if model(k[0]).active_b < 0.2 * model(k[0]).weights_b)
    known = model(name)
    more = known.model_copy(update={"name": "more", "weights_b": 1.2 * known.weights_b})
    made = estimated_curve(more, chip, n)
    assert f"{name} on {n} x {chip}" in made.source
    read = np.minimum(1.2 * known.weights_b, made.batch * known.active_b)
    ratio = read / np.minimum(known.weights_b, made.batch * known.active_b)
    assert made.token_s == pytest.approx(keys[name, chip, n].token_s * ratio)
    assert ratio.max() == pytest.approx(1.2)


def test_the_tables_of_a_replica():
    one, chip, known = rates(Replica()), accelerator("H100"), model("Llama-3.1-70B-Instruct")
    assert one.prefill_s_per_token == pytest.approx(2 * known.active_b * 1e9 / (4 * 989e12 * 0.5))
    assert one.prefill_w == pytest.approx(4 * 0.95 * chip.tdp_w + 440.0)
    assert one.idle_w == pytest.approx(4 * chip.idle_w + 440.0)
    assert one.context_tokens == int((4 * 80 * 0.9 - known.weights_gb) * 1e9 / known.context_bytes)
    assert one.peak_w == max(one.power_w.max(), one.prefill_w)
    apart = rates(Replica(linked=2, across_pu=0.5))
    assert apart.prefill_s_per_token == pytest.approx(2 * one.prefill_s_per_token)
    fits = min(256, one.context_tokens // 230)
    assert one.capacity_per_s(80, 150) == pytest.approx(
        1 / (80 * one.prefill_s_per_token + 150 * one.token_s[fits] / fits)
    )


def flat(hours=range(24), per_s=1.0):
    """Answers of one length, as many in each of these hours."""
    shape = [1.0 if h in hours else 0.0 for h in range(24)]
    one = {"name": "flat", "asker": "people", "weekday": shape, "tokens_in": [4.0, 0.0], "tokens_out": [5.0, 0.0]}
    one |= {"cv": 1.0, "noise_pu": 0.0, "first_token_s": 2.0, "token_s": 0.1}
    return {"requests_per_s": per_s, "kind": one}


def site(classes, **more):
    return load_profile({"kind": "inference", "traffic": {"zone": "UTC", "classes": classes}, **more})


def test_a_site_at_rest():
    spec = site({"a": flat()}, replicas=32, scaling={"minimum": 3}, pools={"prefill_replicas": 2})
    one = spec.rates
    assert spec.groups == 2
    assert spec.idle_mw == pytest.approx((6 + 26 * 0.1 + 2) * one.idle_w / 1e6)
    assert spec.nameplate_mw == pytest.approx(34 * spec.replica.rated_kw / 1e3)
    assert spec.accelerators == 34 * 4


def test_the_exact_run_begins_with_the_series_and_shares_its_requests():
    # Nobody asks until 0:30; then more with every minute, and all groups together what the metro asks.
    hours = {"a": flat(range(1, 23), per_s=22.0)}  # 24 a second from 1:30 on
    spec = site(hours, replicas=4, group=2)
    made = gridedge.generate(spec, duration_s=3600, dt_s=60, seed=2)
    p_mw, idle = made["p_mw"].values, spec.idle_mw
    assert p_mw[:29] == pytest.approx(idle)
    assert p_mw[33] > 1.2 * idle
    asked = 1800 * 12 / 2  # half an hour, up to 12 a second
    assert made.attrs["requests_offered"] == pytest.approx(asked, abs=5 * np.sqrt(asked))


def test_who_is_there_at_the_beginning_is_offered_too():
    spec = site({"a": flat(per_s=40.0)}, replicas=4)
    made = gridedge.generate(spec, duration_s=60, dt_s=1.0, seed=2)
    drawn = produce.group_requests(spec, 0, 60.0, seed=2, member=0)[0].at_s.size
    inside = made.attrs["requests_offered"] - drawn
    assert 0 < inside < 40.0 * 20  # an answer takes some seconds
    assert made.attrs["requests_served"] + made.attrs["requests_in_system"] == drawn + inside


def straight(capacity=10.0, spread=100.0):
    """1 kW and 2 kW more at full load; minutes deviate by 100 W, or lie up to 100 W above."""
    ends, zero = np.array([0.0, 1.0]), np.zeros(2)
    power = np.array([1e3, 3e3])
    minute_w = power + spread * SHARES[:, None]
    return LoadCurve(ends, power, zero + spread, np.zeros((3, 2)), np.zeros((3, 2)), capacity, zero, minute_w)


@pytest.mark.parametrize("groups", [4, 9])
def test_a_fluid_draws_its_minutes_from_the_curve(monkeypatch, groups):
    monkeypatch.setattr(produce, "curve_of", lambda _: straight())
    spec = site({"a": flat(per_s=0.5 * groups * 10.0)}, replicas=groups, group=1, method="fluid")
    fine = gridedge.generate(spec, duration_s=3 * DAY_S, dt_s=60, seed=2)
    p_w = fine["p_mw"].values * 1e6
    drawn = groups <= 8  # minutes of few groups are drawn one by one, those of many from the normal law
    mean, std = (2050.0, 100 / np.sqrt(12)) if drawn else (2000.0, 100.0)
    assert p_w.std() == pytest.approx(std * np.sqrt(groups), rel=0.04)
    assert p_w.mean() == pytest.approx(groups * mean, abs=5 * std * np.sqrt(groups / 4320))
    coarse = gridedge.generate(spec, duration_s=3 * DAY_S, dt_s=600, seed=2)
    assert coarse["p_mw"].values == pytest.approx(fine["p_mw"].values.reshape(-1, 10).mean(axis=1), rel=1e-12)


def test_classes_of_a_fluid_weigh_by_their_work(monkeypatch):
    monkeypatch.setattr(produce, "curve_of", lambda _: straight(spread=0.0))
    one, two = flat(range(12), 1.0), flat(range(12, 24), 1.0)
    two["kind"]["tokens_out"] = [7.0, 0.0]
    spec = site({"a": one, "b": two}, method="fluid")
    p_w = gridedge.generate(spec, duration_s=DAY_S, dt_s=60, seed=2)["p_mw"].values * 1e6
    load = (p_w - 1e3) / 2e3
    work = [1 / spec.rates.capacity_per_s(np.exp(4.0), np.exp(n)) for n in (5.0, 7.0)]
    assert load[18 * 60] / load[6 * 60] == pytest.approx(work[1] / work[0], rel=1e-9)
    assert load.mean() == pytest.approx(2 / 10, rel=1e-3)  # two requests/s of the mean mix, of ten


def test_a_fluid_that_has_no_patience_refuses_by_hand():
    # 10 a second are done; 15 are asked for two minutes, then 5: who would wait longer than 20 s is refused.
    rate = np.array([[15.0, 15.0, 5.0, 0.0]])
    found = carry(rate, 60.0, straight(), np.ones(1), patience_s=20.0)
    assert found.served[0] == pytest.approx([600, 600, 500, 0])
    assert found.waiting[0] == pytest.approx([200, 200, 0, 0])
    assert found.refused[0] == pytest.approx([100, 300, 0, 0])
    assert found.late[0] == pytest.approx([0, 600, 500, 0])  # what is served after a wait
    assert found.load_pu[0] == pytest.approx([1, 1, 500 / 600, 0])
    assert found.power_w[0] == pytest.approx([3000, 3000, 1000 + 2000 * 5 / 6, 1000])
