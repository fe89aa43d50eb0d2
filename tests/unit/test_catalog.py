"""The catalogue of accelerators and servers: complete, in order, and open to one's own."""

import json

import pytest

import gridedge
from gridedge.errors import InputError
from gridedge.profiles.catalog import (
    Accelerator,
    Server,
    accelerator,
    accelerators,
    describe_catalogue,
    server,
    servers,
)
from gridedge.profiles.generate import load_profile

TRAINING = {
    "kind": "training",
    "period_s": 10,
    "compute_pu": 0.8,
    "communication_pu": 0.3,
    "compute_share": 0.7,
    "rise_s": 0.2,
    "fall_s": 0.1,
}
OWN = {
    "name": "ours",
    "accelerator": "H100",
    "accelerators": 4,
    "rated_kw": 5.5,
    "idle_kw": 1.2,
    "typical_kw": 4,
    "peak_kw": 4.4,
}


def test_every_name_that_the_profiles_need_is_there():
    assert set(accelerators()) == {"A100", "H100", "H200", "B200", "B300", "GB200", "GB300"}
    wanted = {"8xA100", "8xH100", "8xH100-immersion", "8xH200", "8xB200", "8xB300"}
    assert set(servers()) == wanted | {"GB200-tray", "GB200-NVL72", "GB300-NVL72"}


@pytest.mark.parametrize("name", list(servers()))
def test_a_server_holds_its_accelerators(name):
    s = server(name)
    a = accelerator(s.accelerator)
    assert 0 < s.idle_kw < s.typical_kw < s.peak_kw < s.rated_kw
    assert s.host_kw == pytest.approx(s.idle_kw - s.accelerators * a.idle_w / 1e3)
    assert s.host_kw > 0
    # All accelerators at their ceiling and what stands beside them fit into the nameplate.
    assert s.accelerators * a.tdp_w / 1e3 + s.host_kw <= s.rated_kw


@pytest.mark.parametrize("item", [*servers().values(), *accelerators().values()], ids=lambda i: i.name)
def test_every_figure_has_an_origin_with_its_date(item):
    for key in type(item).model_fields:
        value = getattr(item, key)
        if isinstance(value, float) and key not in item.origins:
            assert key in {"edp_pu", "floor_max_pu"}, key
            assert key == "edp_pu" or value == 0
    for key, origin in item.origins.items():
        assert origin.mark == "assumed" or any(
            year in origin.source for year in ("2020", "2021", "2023", "2024", "2025", "2026")
        ), key
        if "from memory" in origin.source or "second source" in origin.source:
            assert origin.mark in {"quoted", "assumed"}, key
    assert item.source
    assert item.date


def test_only_blackwell_and_newer_hold_a_floor():
    assert {name for name, a in accelerators().items() if a.power_floor} == {"B200", "B300", "GB200", "GB300"}
    assert all(a.floor_max_pu == (0.9 if a.power_floor else 0) for a in accelerators().values())
    assert accelerator("GB300").psu_energy_j == 65
    assert accelerator("H100").psu_energy_j is None


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(InputError, match=r"unknown server \(got 8xh10\)\. Did you mean '8xH100'\?"):
        server("8xh10")
    with pytest.raises(InputError, match=r"unknown accelerator \(got B20\)\. Did you mean 'B200'\?"):
        accelerator("B20")
    with pytest.raises(InputError, match="neither a server nor an accelerator"):
        describe_catalogue("C3PO")


def test_an_own_server_as_dict_file_and_spec(tmp_path):
    from_dict = server(OWN)
    assert from_dict.host_kw == pytest.approx(1.2 - 4 * 0.074)
    path = tmp_path / "ours.yaml"
    path.write_text(from_dict.to_yaml())
    assert server(path) == server(str(path)) == server(from_dict) == from_dict
    assert isinstance(from_dict, Server)
    marks = {a.name: a.mark for a in from_dict.assumptions()}
    assert marks["rated_kw"] == "chosen"


def test_a_change_over_a_base_keeps_the_other_figures_and_their_origins():
    own = server({"base": "8xH100", "rated_kw": 11})
    assert (own.rated_kw, own.idle_kw, own.name) == (11, 2.85, "own 8xH100")
    assert "rated_kw" not in own.origins
    assert own.origins["idle_kw"].mark == "measured"


def test_an_own_accelerator_inside_an_own_server():
    chip = {"name": "next", "tdp_w": 2000, "idle_w": 300, "typical_w": 1800, "peak_w": 2200}
    own = server({**OWN, "accelerator": chip, "rated_kw": 12, "idle_kw": 1.5, "typical_kw": 9, "peak_kw": 10})
    assert isinstance(own.accelerator, Accelerator)
    assert own.host_kw == pytest.approx(0.3)


def test_a_profile_takes_an_own_server():
    spec = load_profile({**TRAINING, "server": OWN, "servers": 100})
    assert spec.nameplate_mw == pytest.approx(0.55)
    assert load_profile(json.loads(json.dumps(spec.to_dict()))) == spec
    ds = gridedge.generate(spec, duration_s=10, dt_s=0.1)
    assert ds.attrs["nameplate_mw"] == pytest.approx(0.55)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"idle_kw": 5}, r"ours: idle_kw is above typical_kw \(got 5 > 4\)"),
        ({"idle_kw": 0.2}, r"ours: the server idles below its accelerators \(got 0.2 kW < 4 x 74 W\)"),
        ({"rated": 5.5}, r"unknown key.*\(got rated\)\. Did you mean 'rated_kw'\?"),
        (
            {"rated_kw": 0.5},
            r"ours: rated_kw does not fit the server's own powers \(got 0.5 kW\). Give the nameplate in kW",
        ),
        ({"rated_kw": 5500}, r"ours: rated_kw does not fit the server's own powers \(got 5500 kW\)"),
        ({"accelerator": "H10"}, r"unknown accelerator \(got H10\)"),
    ],
)
def test_what_does_not_fit_is_named(change, words):
    with pytest.raises(InputError, match=words):
        server({**OWN, **change})
    with pytest.raises(InputError, match=words):
        load_profile({**TRAINING, "server": {**OWN, **change}})


def test_a_half_described_floor_is_refused():
    chip = {"name": "x", "tdp_w": 1, "idle_w": 0, "typical_w": 1, "peak_w": 1, "power_floor": True}
    with pytest.raises(InputError, match=r"the floor is half described \(got power_floor true, floor_max_pu 0\)"):
        accelerator(chip)


def test_the_listing_names_all_and_how_well_they_are_known():
    text = describe_catalogue()
    for name in [*servers(), *accelerators()]:
        assert name in text
    one = describe_catalogue("8xB200")
    assert "rated_kw = 14.3  quoted: " in one
    assert "1.58 kW beside them" in one
