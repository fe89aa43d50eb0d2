"""Every shipped fleet is what it says of itself; the figures are this package's own: a fleet stays what it is."""

import pytest

import gridedge
from gridedge import sources
from gridedge.sites.fleet.model import Fleet

NAMES = sources.names("fleets")
WEEK = {"duration_s": 7 * 86_400.0, "dt_s": 900.0}


def read(name):
    return Fleet.from_yaml(sources.find("fleets", name))


def test_there_is_a_metro_and_an_edge():
    assert {"metro-2035", "edge-dallas-20"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_fleet_shows_what_it_expects(name):
    spec = read(name)
    made = gridedge.fleet(name, **WEEK)
    total = made.load.p_mw.sum("site")
    requests = made.by_tier.requests / made.by_tier.requests.sum()
    found = {
        "accelerators": int(made.load.accelerators.sum()),
        "week_mean_mw": float(total.mean()),
        "week_peak_mw": float(total.max()),
        "homes_peak_mw": float(made.homes.p_mw.max()) if made.homes is not None else None,
    }
    for tier in made.by_tier.tier.values:
        found[f"{tier}_requests_pu"] = float(requests.sel(tier=tier))
        found[f"{tier}_pue"] = float(made.by_tier.pue.sel(tier=tier))
    assert len(spec.expected) >= 5
    for key, (value, tolerance) in spec.expected.items():
        assert found[key] == pytest.approx(value, abs=tolerance), key
    for stream, book in made.flow.books.items():
        rest = book["offered"] - sum(book[n] for n in ("in_time", "late", "refused", "in_system"))
        assert abs(rest) <= 1e-9 * book["offered"], stream
        assert book["late"] == book["refused"] == 0.0, stream
    for site in spec.sites:
        assert float(made.load.p_mw.sel(site=site.name).max()) <= site.p_mw


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_of_a_fleet_has_its_origin(name):
    spec = read(name)
    assert all((spec.title, spec.source, spec.licence))
    found = list(spec.assumptions())
    assert all(a.source for a in found)
    own = ("traffic", "places", "sites", "homes", "fill_pu", "tiers")
    assert not [a.name for a in found if a.source == "set in the file" and a.name.startswith(own)]
    rates = [a for a in found if a.name.endswith(".requests_per_s")]
    assert rates
    assert {a.mark for a in rates} == {"assumed"}


def test_a_wrong_name_is_answered_with_the_nearest():
    with pytest.raises(gridedge.InputError, match=r"unknown fleet .*metro-2035"):
        gridedge.fleet("metro-2053", **WEEK)
