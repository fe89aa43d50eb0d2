"""Shipped profiles of inference against what they say of themselves, and the fluid against the exact run.

``replica_idle_kw`` is NLR's (arXiv 2604.07345, 2026); the figures of the week are this package's own, on the sources
that each profile names: they hold that a profile stays what it is.
"""

import numpy as np
import pytest

import gridedge
from gridedge import sources
from gridedge.profiles.catalogue import read_profile
from gridedge.profiles.inference.profile import InferenceProfile

PRESETS = {
    n: p
    for n in sources.names("profiles")
    if isinstance(p := read_profile(sources.find("profiles", n)), InferenceProfile)
}
WEEK_S = 7 * 86_400


@pytest.mark.parametrize("name", PRESETS)
def test_a_profile_shows_what_it_expects(name):
    spec = PRESETS[name]
    ds = gridedge.generate(name, duration_s=WEEK_S, dt_s=60, seed=1)
    assert ds.attrs["method"] == "fluid"
    p_mw = ds["p_mw"].values
    found = {
        "replica_idle_kw": spec.rates.idle_w / 1e3,
        "nameplate_mw": ds.attrs["nameplate_mw"],
        "week_mean_mw": p_mw.mean(),
        "week_p99_mw": np.quantile(p_mw, 0.99),
        "week_lowest_mw": p_mw.min(),
    }
    assert len(spec.expected) >= 4
    for key, (value, tolerance) in spec.expected.items():
        assert found[key] == pytest.approx(value, abs=tolerance), key


def test_every_figure_of_a_preset_has_its_origin():
    for name, spec in PRESETS.items():
        for assumption in spec.assumptions():
            if not assumption.name.startswith("expected"):
                assert assumption.source, f"{name}: {assumption.name}"


@pytest.mark.parametrize(
    ("kind", "per_s", "more"),
    [
        ("conversation", 4.0, {}),
        ("coding", 1.5, {}),  # bursts with a coefficient of variation of 13.2
        ("agents", 0.5, {}),
        ("coding", 3.0, {"replicas": 2, "scaling": {}}),
    ],
)
def test_the_fluid_against_the_exact_run_over_a_day(kind, per_s, more):
    spec = {"kind": "inference", "traffic": {"zone": "America/Chicago", "classes": {kind: {"requests_per_s": per_s}}}}
    exact, fluid = (
        gridedge.generate({**spec, **more, "method": how}, duration_s=86_400, dt_s=60, seed=1)["p_mw"].values
        for how in ("exact", "fluid")
    )
    assert fluid.mean() == pytest.approx(exact.mean(), rel=0.02)
    assert np.quantile(fluid, 0.99) == pytest.approx(np.quantile(exact, 0.99), rel=0.05)
