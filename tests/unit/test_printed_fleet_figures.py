"""Figures that docs/fleet.md and docs/footprint.md print, where they cost nothing to compute."""

import numpy as np
import pytest
import xarray as xr

from gridedge.measure.ambient import line_rating_pu, transformer_rating_pu
from gridedge.profiles.inference.replica import Replica
from gridedge.profiles.traffic.week import measured_week
from gridedge.sites.fleet.device import Device
from gridedge.sites.fleet.facility_tier import facility_tier
from gridedge.sites.fleet.footprint import TierUse, footprint, per_request
from gridedge.sites.fleet.popularity import Popularity, hit_share, zipf_exponent
from gridedge.sites.fleet.privacy import FineTuning, fine_tuning_load
from gridedge.sites.fleet.repurpose import Repurpose, repurposed
from gridedge.sites.fleet.smallest import requests_of_compute, smallest_sites

BUILDINGS = {
    "campus": (1.275, 1.135, 1.100, 1.086, 1.083, 1.126),
    "regional": (1.550, 1.270, 1.200, 1.172, 1.156, 1.266),
    "edge": (1.825, 1.405, 1.300, 1.258, 1.223, 1.415),
    "retrofit": (2.300, 1.650, 1.487, 1.422, 1.346, 1.700),
    "colocation": (2.155, 1.567, 1.420, 1.361, 1.304, 1.594),
    "average": (2.540, 1.756, 1.560, 1.482, 1.399, 1.802),
    "warm-water": (1.099, 1.049, 1.036, 1.031, 1.032, 1.042),
}


@pytest.mark.parametrize("name", BUILDINGS)
def test_the_table_of_buildings(name):
    one = facility_tier(name)
    found = [*one.pue_at([0.1, 0.3, 0.6, 1.0]), one.pue_at(0.6, 5.0), one.pue_at(0.6, 35.0)]
    assert found == pytest.approx(BUILDINGS[name], abs=6e-4)


def test_the_smallest_site_and_the_cache():
    ranked = [
        Replica(model="Qwen3-8B", accelerators=1),
        Replica(model="Qwen3-30B-A3B-Instruct-2507", accelerators=1),
        Replica(model="Llama-3.1-70B-Instruct", accelerators=4),
        Replica(model="gemma-3-27b-it", accelerators=2),
        Replica(model="Qwen3-235B-A22B-Instruct-2507-FP8", accelerators=8),
    ]
    found = smallest_sites(ranked, requests_of_compute(Popularity().of_models(5), ranked), kind="conversation")
    assert found.accelerators.values.tolist() == [2, 3, 10, 12, 24]
    assert found.meter_mw.values == pytest.approx([0.0019, 0.0029, 0.0097, 0.0117, 0.0234], abs=6e-5)
    assert found.requests_pu.values == pytest.approx([0.9116, 0.9767, 0.9847, 0.9957, 1.0], abs=6e-5)
    assert found.compute_pu.values == pytest.approx([0.8, 0.8870, 0.9373, 0.9727, 1.0], abs=6e-5)
    assert found.worth_requests_per_s.values == pytest.approx([8.8425, 12.8169, 40.7598, 47.6574, 93.1176], abs=6e-5)
    hits = hit_share(Popularity().shares())
    assert hits[[1, 10, 50, 100, 200, 500]] == pytest.approx([0.144, 0.413, 0.622, 0.712, 0.8, 0.915], abs=6e-4)
    assert zipf_exponent(1000, head_pu=0.2, share_pu=0.8) == pytest.approx(1.024, abs=6e-4)
    assert zipf_exponent(5, head_pu=0.2, share_pu=0.8) == pytest.approx(2.664, abs=6e-4)


def test_ratings_phones_and_fine_tuning():
    assert line_rating_pu([20.0, 42.0]) == pytest.approx([1.155, 0.919], abs=6e-4)
    assert transformer_rating_pu(31.0) == pytest.approx(0.99)
    phone = Device()
    assert phone.socket_j_per_token == pytest.approx(0.74, abs=0.005)
    assert phone.answer_s(717) == pytest.approx(80, abs=0.5)
    assert 19 * 60 < phone.answer_s(6988) < 20 * 60
    night = fine_tuning_load(FineTuning(), duration_s=86_400.0, dt_s=3600.0).p_mw.values * 1e3
    assert night[1:5] == pytest.approx(9.6, abs=0.05)
    assert np.r_[night[:1], night[5:]] == pytest.approx(2.7, abs=0.05)


def test_a_campus_that_comes_to_serve():
    plan = Repurpose(
        nameplate_mw=1000, years=(2026, 2028, 2030, 2032), trains_pu=(1.0, 0.7, 0.4, 0.1), busy_pu=0.5
    )  # fmt: skip
    out = repurposed(plan, measured_week("conversation").relative, dt_s=432)
    assert out.mean_mw.values == pytest.approx([776.0, 693.2, 610.4, 527.6], abs=0.06)
    assert out.peak_mw.values == pytest.approx([776.0, 807.5, 839.0, 870.4], abs=0.06)
    assert out.lowest_mw.values == pytest.approx([776.0, 609.8, 443.6, 277.4], abs=0.06)
    assert out.energy_mwh.values == pytest.approx([129809.3, 115958.5, 102107.7, 88256.9], abs=0.06)
    assert out.change_5s_mw.values == pytest.approx([670, 469, 268, 67])


def test_carbon_and_water_of_a_year_and_of_a_request():
    hours = 8784
    day = 0.6 + 0.3 * np.cos(2 * np.pi * (np.arange(hours) - 15) / 24)
    load = xr.Dataset(
        {"p_mw": (("time", "site"), np.outer(day, [1100.0, 14.0]))},
        coords={"time": 3600.0 * np.arange(hours), "site": ["campus", "edge"]},
        attrs={"dt_s": 3600.0},
    )
    found = footprint(load, pue=[1.1, 1.4], cooling=["evaporative", "dry"], accelerators=[1.2e6, 12e3])
    table = found.table()
    assert table.loc["campus"].round().tolist() == [5797440, 5270400, 1872714, 76477, 3900096, 5507568]
    assert table.loc["edge"].round().tolist() == [73786, 52704, 23835, 765, 0, 70096]
    tiers = {
        "cloud": TierUse(it_wh=0.10, busy_s=0.5, pue=1.1, cooling="evaporative", use_pu=0.6),
        "edge": TierUse(it_wh=0.10, busy_s=0.5, pue=1.4, cooling="dry", use_pu=0.4),
        "device": TierUse(it_wh=0.025, busy_s=15.0, device=True, use_pu=0.05),
    }
    each = per_request(tiers)
    assert each.meter_wh.values == pytest.approx([0.11, 0.14, 0.0333], abs=6e-5)
    assert each.embodied_g.values == pytest.approx([0.0017, 0.0025, 0.1412], abs=6e-5)
    assert each.total_g.values == pytest.approx([0.0383, 0.0491, 0.1523], abs=6e-5)
    assert each.water_site_ml.values == pytest.approx([0.074, 0, 0], abs=6e-5)
    assert each.water_generation_ml.values == pytest.approx([0.1045, 0.133, 0.0317], abs=6e-5)
