"""The study that weighs its strategies: shortened, from its settings to its files and sentences."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import gridedge
from gridedge import sources
from gridedge.errors import InputError
from gridedge.study.fleet_model import load_fleet_study
from gridedge.study.hosting_model import load_hosting
from gridedge.study.kinds import kind_of
from gridedge.study.model import load_study
from gridedge.study.weigh import weigh_alone

STUDY = "spike-mitigation"
BOTH = "floor and battery"
SETTINGS = [
    "waveform={dt_s: 0.05, measure_s: 90, run_in_s: 30, window_s: 1, sources: held}",
    "site.size={servers: 500}",
    "background.shape={kind: shape, step_s: 43200, values: [0.7, 1]}",
    "rulebook=null",
    "requirement=[{rule: change, name: change, window_s: 5, limit_mw: 10}, "
    "{rule: ramp, name: ramp, limit_mw_per_min: 20}]",
    "strategies={no mitigation: [], floor and battery: [{step: power_floor, percent_tmp_floor: 90}, "
    "{step: battery, p_rated_mw: 40, e_rated_mwh: 5, law: {law: low_pass, tau_s: 60}}]}",
    "compare.vary={}",
    "site.ratings={battery: {cycles_per_day: 1}}",
]


def test_every_shipped_study_loads():
    names = sources.names("studies")
    assert {"default", "measured-campus", STUDY} <= set(names)
    for name in names:
        if kind_of(name) == "hosting":
            assert load_hosting(name).spec.question, name
            continue
        if kind_of(name) == "fleet":
            assert load_fleet_study(name).spec.layouts, name
            continue
        spec = load_study(name).spec
        assert spec.title, name
        assert spec.strategies, name


def test_the_shipped_study_varies_what_its_strategies_have():
    from gridedge.planning.strategies import variants

    spec = load_study(STUDY).spec
    assert set(spec.compare.vary) <= set(spec.strategies)
    found = variants({
        name: {"steps": [step.to_dict() for step in steps], "vary": spec.compare.vary.get(name, {})}
        for name, steps in spec.strategies.items()
    })  # fmt: skip
    # 1 + 4 + 3 + 3 + 9 + 8 + 12 + 6
    assert len(found) == 46
    assert {variant.strategy for variant in found} == set(spec.strategies)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return gridedge.run(STUDY, out=tmp_path_factory.mktemp("spike") / "out", settings=SETTINGS)


def test_the_comparison_says_what_the_study_says(result):
    table = result.comparison.table
    assert table.index.tolist() == ["no mitigation", BOTH]
    assert table["verdict"].tolist() == ["fail", "pass"]
    for label in table.index:
        mine = {f.name: f for f in result.findings[label] if f.name in ("change", "ramp")}
        weighed = {f.name: f for f in result.comparison.findings[label]}
        assert weighed.keys() == {"change", "ramp"}
        for name, found in weighed.items():
            assert found.measured == pytest.approx(mine[name].measured, rel=1e-9), (label, name)
            assert found.verdict == mine[name].verdict
    # What the study books over its day is what the comparison books over a year, the floor's share with its cooling.
    row, day = table.loc[BOTH], result.summary.loc[BOTH]
    wave = result.data[BOTH]["waveform"]
    draw = 1 / 0.96 + 0.10
    floor_mw = float(wave["wasted_mw"].mean())
    lost_mw = float(wave["lost_mw"].mean())
    assert row["wasted_mwh_per_year"] == pytest.approx((floor_mw * draw + lost_mw) * 8760)
    assert day["lost_mwh"] == pytest.approx(lost_mw * 24)
    assert (row["bought_mw"], row["bought_mwh"], row["capital"]) == (40.0, 5.0, 40 * 287_000 + 5 * 250_000)


def test_the_answer_ends_with_the_cheapest_and_the_smallest_battery(result):
    row = result.comparison.table.loc[BOTH]
    cheapest, battery = result.answer[-2:]
    assert cheapest == (
        f"Cheapest of 2 variants that meets the target: {BOTH}. It wastes {row['wasted_percent']:.3g} % of the energy "
        f"({row['wasted_mwh_per_year']:.4g} MWh a year), delays 0 % of the work, buys 40 MW and 5 MWh, and costs "
        f"{row['cost_per_year']:,.0f} EUR a year."
    )
    assert result.battery.meets
    assert f"{result.battery.p_rated_mw:.4g} MW" in battery
    assert f"{result.battery.e_rated_mwh:.4g} MWh" in battery
    assert result.battery.battery["delay_s"] == 0.005  # as compare.battery says


def test_the_files_are_read_back(result):
    out = result.out
    table = pd.read_csv(out / "comparison.csv", index_col="variant")
    pd.testing.assert_frame_equal(
        table.drop(columns="missed"),
        result.comparison.table.drop(columns="missed"),
        check_names=False,
        check_dtype=False,
        rtol=1e-9,
    )

    def refuse(word):
        raise AssertionError(word)

    weighed = json.loads((out / "comparison.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert weighed["table"][BOTH]["pareto"] is True
    assert weighed["table"][BOTH]["cost_per_year"] == pytest.approx(table.loc[BOTH, "cost_per_year"])
    assert [f["verdict"] for f in weighed["findings"]["no mitigation"]].count("fail") == 2
    assert weighed["before"] == weighed["findings"]["no mitigation"]
    assert weighed["smallest_battery"]["p_rated_mw"] == pytest.approx(result.battery.p_rated_mw)
    seen = json.loads((out / "equipment.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert {one["strategy"] for one in seen} == {"no mitigation", BOTH}
    cycles = [f for f in seen if f["strategy"] == BOTH and f["limit"] is not None]
    assert cycles
    assert cycles[0]["limit"] == 1
    listed = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["files"]
    assert sorted(path.name for path in out.iterdir()) == listed
    assert {"comparison.csv", "comparison.json", "equipment.json", "report.html"} <= set(listed)


def alone(*more):
    return weigh_alone(load_study(STUDY, [*SETTINGS, "compare.size_battery=false", *more]))


def test_a_coarser_step_and_other_prices_are_those_of_the_comparison():
    first, battery = alone("compare.dt_s=0.1")
    other, _ = alone("compare.dt_s=0.1", "compare.prices={energy_per_mwh: 160, currency: USD}")
    assert battery is None
    assert other.currency == "USD"
    twice = other.table.loc[BOTH, "wasted_cost_per_year"] / first.table.loc[BOTH, "wasted_cost_per_year"]
    assert twice == pytest.approx(2.0)
    # A mean over a longer step hides more of what passes before the converter acts.
    assert first.table.loc[BOTH, "excess_percent"] < alone()[0].table.loc[BOTH, "excess_percent"] - 10


def test_a_target_may_be_a_file_beside_the_study(tmp_path):
    rules = "title: Mine\nrules:\n  - {rule: ramp, name: mine, limit_mw_per_min: 1000}\n"
    (tmp_path / "mine.yaml").write_text(rules, encoding="utf-8")
    text = sources.find("studies", STUDY).read_text(encoding="utf-8")
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    study = load_study(tmp_path / "study.yaml", [*SETTINGS, "compare.size_battery=false", "compare.target=mine.yaml"])
    found, _ = weigh_alone(study)
    assert [f.name for f in found.before] == ["mine"]
    assert found.cheapest == "no mitigation"


def test_the_smallest_battery_may_stand_behind_a_floor():
    settings = [*SETTINGS, "compare.dt_s=0.1", f"compare.behind={BOTH}"]
    _, behind = weigh_alone(load_study(STUDY, settings))
    _, plain = weigh_alone(load_study(STUDY, [*SETTINGS, "compare.dt_s=0.1"]))
    assert behind.meets
    assert behind.p_rated_mw < 0.8 * plain.p_rated_mw


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("compare.target=iesso", r"--set compare.target=iesso: unknown rulebook \(got iesso\).*Did you mean 'ieso'"),
        ("compare.target={ramp: 3}", "unknown target"),
        ("compare.vary={no mitigation: {battery.p_rated_mw: [1]}}", "varies a step that it does not have"),
        ("compare.vary={floor and battery: {battery.p_rated_mw: 3}}", r"battery\.p_rated_mw cannot be used \(got 3\)"),
        ("compare.vary={floor and battery: {battery.p_rated_kw: [3]}}", r"strategy 'floor and battery: .*p_rated_kw"),
        ("compare.dt_s=0.07", "no whole number of steps"),
    ],
)
def test_what_cannot_be_compared_says_why(setting, words):
    with pytest.raises(InputError, match=words):
        alone(setting)
