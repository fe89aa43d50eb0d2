"""Carbon and water beside energy, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from gridedge.errors import InputError
from gridedge.sites.fleet.factors import (
    COOLING_L_PER_KWH,
    ERCOT_MIX_2023,
    FootprintFactors,
    carbon_intensity,
    water_of_mix,
)
from gridedge.sites.fleet.footprint import TierUse, footprint, per_request


def fleet(p_mw, dt_s=3600.0, t0_s=0.0):
    p = np.asarray(p_mw, dtype=float)
    time = t0_s + dt_s * np.arange(p.shape[1])
    return xr.Dataset(
        {"p_mw": (("time", "site"), p.T)},
        coords={"time": time, "site": [f"s{k}" for k in range(p.shape[0])]},
        attrs={"dt_s": dt_s},
    )


def series(values, dt_s=3600.0):
    return xr.DataArray(np.asarray(values, float), dims="time", coords={"time": dt_s * np.arange(len(values))})


def test_two_sites_over_two_hours_by_hand():
    found = footprint(
        fleet([[10.0, 20.0], [1.0, 1.0]]),
        pue=[1.25, 1.0],
        cooling=["tower", "dry"],
        carbon=series([400.0, 100.0]),
        accelerators=[1000, 0],
        requests=[6e6, 1e5],
        factors={"water_generation_l_per_kwh": 2.0, "accelerator_kg": 365.25, "accelerator_life_years": 5.0},
    )
    d = found.data
    assert d["energy_mwh"].values.tolist() == [30.0, 2.0]
    assert d["it_mwh"].values.tolist() == [24.0, 2.0]
    assert d["carbon_t"].values == pytest.approx([10 * 0.4 + 20 * 0.1, 0.5])
    assert d["carbon_kg"].values == pytest.approx([4400.0, 2100.0])
    # 365.25 kg in 5 years of 365.25 days are 0.2 kg a day and accelerator
    assert d["embodied_t"].values == pytest.approx([1000 * 0.2 * 2 / 24 / 1000, 0.0])
    assert d["water_site_m3"].values == pytest.approx([24 * 1.8, 0.0])
    assert d["water_generation_m3"].values == pytest.approx([60.0, 4.0])
    assert d["wh_per_request"].values == pytest.approx([5.0, 20.0])
    assert d["g_per_request"].values == pytest.approx([(6.0 + 1 / 60) / 6, 5.0])
    assert d["ml_per_request"].values == pytest.approx([(43.2 + 60) / 6, 40.0])
    whole = found.table().loc["all"]
    assert whole["carbon_t"] == pytest.approx(6.5)
    assert whole["wh_per_request"] == pytest.approx(32e6 / 6.1e6)
    assert whole["g_per_request"] == pytest.approx((6.5 + 1 / 60) * 1e6 / 6.1e6)
    assert whole["ml_per_request"] == pytest.approx((43.2 + 60 + 4) * 1e6 / 6.1e6)
    marks = {a.name: a.mark for a in found.assumptions}
    assert "carbon_g_per_kwh" not in marks  # the series was given
    assert marks["cooling.tower_l_per_kwh"] == "assumed"
    assert found.to_dict()["table"]["s1"]["energy_mwh"] == 2.0


def test_the_default_series_has_its_mean_and_its_lowest_hour():
    f = FootprintFactors()
    day = carbon_intensity(24, f)
    assert float(day.mean()) == pytest.approx(f.carbon_g_per_kwh, rel=1e-12)
    assert f.carbon_g_per_kwh == pytest.approx(733.862 / 2.20462262, abs=0.05)  # lb to kg
    assert int(day.argmin("time")) in (12, 13)
    assert float(day.max() / day.min()) == pytest.approx(1.15 / 0.85, rel=0.02)
    # Mean over each hour of the cosine itself, by its integral.
    edge = np.sin(2 * np.pi * (np.arange(25) - 13) / 24) * 24 / (2 * np.pi)
    assert day.values == pytest.approx(f.carbon_g_per_kwh * (1 - 0.15 * np.diff(edge)), rel=1e-12)
    later = carbon_intensity(24, f, start_hour=6)
    np.testing.assert_allclose(later.values, np.roll(day.values, -6))
    flat = footprint(fleet([[5.0] * 24]), pue=1.2)
    assert float(flat.data["carbon_t"][0]) == pytest.approx(120 * f.carbon_g_per_kwh / 1e3, rel=1e-12)
    assert "carbon_g_per_kwh" in {a.name for a in flat.assumptions}
    # a site that runs at noon only has less, and steps of half an hour or half a day agree with the hours
    noon = footprint(fleet([[0.0] * 11 + [10.0] * 4 + [0.0] * 9]), pue=1.0)
    assert float(noon.data["carbon_t"][0]) / 40 < 0.88 * f.carbon_g_per_kwh / 1e3
    fine = footprint(fleet([[5.0] * 24], dt_s=1800.0), pue=1.0).data["carbon_t"]
    coarse = footprint(fleet([[5.0]], dt_s=43200.0), pue=1.0).data["carbon_t"]
    assert float(fine[0]) == pytest.approx(float(coarse[0]), rel=1e-12)
    begun = footprint(fleet([[5.0] * 6], t0_s=9 * 3600.0), pue=1.0).data["carbon_kg"].values
    assert begun == pytest.approx(5 * day.values[9:15])
    moved = footprint(fleet([[5.0] * 6], t0_s=9 * 3600.0), pue=1.0, start_hour=6.0).data["carbon_kg"].values
    assert moved == pytest.approx(5 * day.values[15:21])


def test_a_request_in_three_tiers_by_hand():
    f = {"carbon_g_per_kwh": 500.0, "water_generation_l_per_kwh": 1.0, "device_kg": 52.0, "device_life_years": 2.0}
    f |= {"accelerator_kg": 320.0, "accelerator_life_years": 4.0, "charger_pu": 0.5}
    cloud = TierUse(it_wh=1.0, busy_s=2.0, pue=1.1, cooling="tower")
    found = per_request(
        {
            "cloud": cloud,
            "edge": TierUse(it_wh=1.0, busy_s=2.0, pue=1.43, cooling="tower"),
            "device": TierUse(it_wh=0.2, busy_s=100.0, device=True),
        },
        factors=f,
    ).sel(tier=["cloud", "edge", "device"])
    assert found["meter_wh"].values == pytest.approx([1.1, 1.43, 0.4])
    assert found["carbon_g"].values == pytest.approx([0.55, 0.715, 0.2])
    year = 365.25 * 86400
    assert found["embodied_g"].values == pytest.approx([640e3 / (4 * year)] * 2 + [5200e3 / (2 * year)])
    assert found["water_site_ml"].values == pytest.approx([1.8, 1.8, 0.0])
    assert found["water_generation_ml"].values == pytest.approx([1.1, 1.43, 0.4])
    # the penalty of the edge is the ratio of the PUEs, all else equal
    assert float(found["carbon_g"][1] / found["carbon_g"][0]) == pytest.approx(1.43 / 1.1, rel=1e-12)
    clean = per_request({"cloud": cloud}, carbon_g_per_kwh=100.0, factors=f)
    assert float(clean["carbon_g"][0]) == pytest.approx(0.11)
    half = per_request({"a": TierUse(1.0, 2.0, 1.1, use_pu=0.5)}, factors=f)
    assert float(half["embodied_g"][0]) == pytest.approx(2 * float(found["embodied_g"][0]))


def test_water_of_the_mix():
    assert water_of_mix({"gas": 0.5, "wind": 0.5}) == pytest.approx(0.375)
    assert water_of_mix(ERCOT_MIX_2023) == pytest.approx(FootprintFactors().water_generation_l_per_kwh, abs=0.02)
    assert all(mark in ("quoted", "assumed") and source for _, mark, source in COOLING_L_PER_KWH.values())
    own = FootprintFactors(cooling_l_per_kwh={"lake": 0.3})
    assert own.water_site("lake") == 0.3


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"pue": 0.9}, "pue"),
        ({"pue": [1.1, 1.2, 1.3]}, "pue"),
        ({"cooling": "towers"}, "tower"),
        ({"cooling": ["dry", "dry", "dry"]}, "cooling"),
        ({"accelerators": -1}, "accelerators"),
        ({"carbon": series([1.0, 2.0])}, "does not cover"),
        ({"carbon": series([1.0, np.nan, 2.0, 3.0])}, "no number"),
        ({"carbon": series([1.0] * 99, 60.0)}, "finer"),
        ({"factors": {"accelerator_kgs": 1}}, "accelerator_kg"),
    ],
)
def test_what_is_refused(more, word):
    load = fleet([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    with pytest.raises(InputError, match=word):
        footprint(load, **{"pue": 1.1, **more})


def test_more_that_is_refused():
    with pytest.raises(InputError, match="negative power"):
        footprint(fleet([[-1.0, 1.0]]), pue=1.0)
    with pytest.raises(InputError, match="add to one"):
        water_of_mix({"gas": 0.5})
    with pytest.raises(InputError, match="gas"):
        water_of_mix({"gass": 1.0})
    with pytest.raises(InputError, match="pue"):
        per_request({"edge": TierUse(1.0, 1.0, 0.5)})
