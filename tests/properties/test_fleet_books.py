"""Whatever the fleet: requests and energy close, nothing is above its capacity, and shares are kept."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridedge.profiles.inference.replica import Replica, rates
from gridedge.profiles.traffic.classes import request_class
from gridedge.sites.fleet.capacity import class_curve
from gridedge.sites.fleet.device import Device, drawn_from_sockets
from gridedge.sites.fleet.fleet import fleet
from gridedge.sites.fleet.model import Fleet
from gridedge.sites.fleet.popularity import head_share, hit_share, zipf_exponent, zipf_shares
from gridedge.sites.fleet.routing import Outage
from gridedge.spec import build


@cache
def curves():
    return {k: class_curve(request_class(k), rates(Replica()), replicas=50) for k in ("conversation", "agents")}


where = st.builds(lambda lat, lon: {"lat": lat, "lon": lon}, st.floats(32.3, 33.3), st.floats(-97.6, -96.3))


@given(
    spots=st.lists(where, min_size=2, max_size=5),
    sizes=st.lists(st.floats(0.05, 2.0), min_size=5, max_size=5),
    per_s=st.floats(1.0, 3000.0),
    private=st.floats(0.0, 0.5),
    cloud=st.floats(0.0, 0.4),
    fails=st.floats(0.0, 20_000.0),
    back=st.floats(300.0, 10_000.0),  # an outage that falls between two steps is refused
    scaling=st.none() | st.fixed_dictionaries({"keep_s": st.floats(0.0, 900.0), "boot_s": st.floats(0.0, 900.0)}),
)
@settings(max_examples=25, deadline=None)
def test_books_and_capacity(spots, sizes, per_s, private, cloud, fails, back, scaling):
    sites = [
        {"name": f"s{k}", **at, "p_mw": mw, "tier": "edge"}
        for k, (at, mw) in enumerate(zip(spots, sizes, strict=False))
    ]
    sites[0]["tier"] = "cloud"
    plan = build(
        Fleet,
        {
            "traffic": {
                "classes": {"conversation": {"requests_per_s": per_s}, "agents": {"requests_per_s": per_s / 20}}
            },
            "tiers": {"cloud_pu": cloud, "edge_pu": 0.98 - cloud, "device_pu": 0.02},
            "serve": {"conversation": {"private_pu": private}},
            "places": [{"name": "here", **spots[0]}, {"name": "there", **spots[-1]}],
            "sites": sites,
            "scaling": scaling,
        },
    )
    outages = [Outage("s1", fails, fails + back)]
    made = fleet(plan, duration_s=21_600.0, dt_s=300.0, outages=outages, curves=curves())
    if scaling is not None:
        share = made.parked.awake_pu + made.parked.starting_pu
        assert float(share.max()) <= 1 + 1e-9
        assert float(share.min()) >= 0
        assert (made.flow.data.load_pu <= 0.8 * made.parked.awake_pu + 1e-9).all()
    for book in made.flow.books.values():
        rest = book["offered"] - book["in_time"] - book["late"] - book["refused"] - book["in_system"]
        assert abs(rest) <= 1e-9 * max(book["offered"], 1.0)
        assert min(book.values()) >= -1e-9 * max(book["offered"], 1.0)
    assert float(made.flow.data.load_pu.max()) <= plan.fill_pu + 1e-9
    mw = made.load.p_mw.values
    assert (mw <= np.array(sizes[: len(sites)]) + 1e-9).all()
    assert mw.sum() * 300 / 3600 == pytest.approx(made.by_tier.meter_mwh[:-1].sum().item(), rel=1e-9)
    time = made.load.time.values
    down = (time >= fails) & (time < fails + back)
    assert (mw[down, 1] == 0).all()
    home = made.homes.attrs
    chain = made.by_tier.sel(tier="device").meter_mwh.item()
    assert home["energy_drawn_mwh"] + home["energy_owed_mwh"] == pytest.approx(chain, rel=1e-9)


@given(st.integers(2, 3000), st.floats(0.05, 0.6), st.floats(0.0, 0.9))
def test_a_head_has_what_it_is_said_to_have(count, head, more):
    share = head + more * (min(1.0, head * count) - head) * 0.99
    if not head < share < head_share(zipf_shares(count, 60.0), head) - 1e-9:
        return
    shares = zipf_shares(count, zipf_exponent(count, head_pu=head, share_pu=share))
    assert head_share(shares, head) == pytest.approx(share, abs=1e-9)
    hits = hit_share(shares)
    assert (np.diff(hits) > 0).all()
    assert (np.diff(hits, 2) <= 1e-15).all()


@given(st.integers(1, 400), st.floats(60.0, 40_000.0), st.floats(0, 23.9), st.floats(0, 23.9), st.floats(0.5, 24))
def test_nothing_charged_is_lost(steps, dt_s, start, plug, hours):
    phone = Device(charge_from_h=plug, charge_hours=hours)
    used = np.random.default_rng(steps).uniform(0, 10, steps)
    drawn, owed = drawn_from_sockets(used, dt_s, phone, start_h=start)
    eta = phone.charger_efficiency
    want = used.sum() * dt_s * (phone.plugged_pu / eta + (1 - phone.plugged_pu) / eta / phone.battery_efficiency)
    assert drawn.sum() * dt_s + owed == pytest.approx(want, rel=1e-9)
    assert owed >= -1e-9 * want
    assert drawn.min() >= -1e-9 * want / dt_s
