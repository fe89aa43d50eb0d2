"""The voltage section of the report and the duration curves, without a browser."""

import dataclasses

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.measure.voltage_report import voltage_report
from gridedge.plot.duration import curve, duration_figure
from gridedge.report.page import page
from gridedge.report.voltage import voltage_rows
from tests.samples import STRATEGIES, sample_flow, sample_result


@pytest.fixture(scope="module")
def seasons():
    background = 0.6 + 0.3 * np.sin(np.arange(96) / 96 * np.pi)
    return {
        label: sample_flow(np.full(96, p_mw), background, 900.0)
        for label, p_mw in zip(STRATEGIES, (7, 5, 4), strict=True)
    }


def test_a_curve_falls_over_the_whole_time():
    share, vm = curve(np.array([1.0, np.nan, 0.9, 1.1, 1.0]))
    np.testing.assert_allclose(share, [0, 25, 25, 50, 50, 75, 75, 100])
    np.testing.assert_allclose(vm, [1.1, 1.1, 1.0, 1.0, 1.0, 1.0, 0.9, 0.9])


def test_the_worst_buses_have_a_panel_each_with_the_limits_near_them(seasons):
    figure = duration_figure(seasons, None, (0.95, 1.05))
    names = [note.text for note in figure.layout.annotations]
    assert any(n.startswith("lowest of all buses: bus 59") for n in names)
    assert any(n.startswith("highest of all buses") for n in names)
    drawn = [t for t in figure.data if t.name == STRATEGIES[0]]
    assert len(drawn) == 2
    assert drawn[0].x[0] == 0
    assert drawn[0].x[-1] == 100
    assert (np.diff(np.asarray(drawn[0].y)) <= 0).all()
    assert min(drawn[0].y) == pytest.approx(float(seasons[STRATEGIES[0]]["vm_pu"].min()), abs=1e-6)
    assert any("limit 0.95" in n for n in names)
    with pytest.raises(InputError, match="no season"):
        duration_figure({})


def test_rows_say_how_long_where_and_how_often_taps_move(seasons):
    limits = {"vm_pu": [0.97, 1.05]}
    plain = {label: voltage_report(season, limits) for label, season in seasons.items()}
    first = plain[STRATEGIES[0]]
    moved = dataclasses.replace(first, operations={"trafo:0": 4, "trafo:1": 7})
    result = dataclasses.replace(sample_result(), voltage={**plain, STRATEGIES[0]: moved})
    rows = voltage_rows(result)
    assert [row.strategy for row in rows] == STRATEGIES
    assert rows[0].taps == "trafo:0: 4, trafo:1: 7"
    assert rows[1].taps == "held"
    assert rows[0].heads == [("voltage band", "0.97 to 1.05 pu")]
    band = first.bands[0]
    assert band.below_h > 0
    assert f"{band.below_h:.4g} h below" in rows[0].cells[0].times
    assert "bus 59" in rows[0].cells[0].buses
    text = page(result)
    assert 'id="voltage"' in text
    assert "trafo:0: 4, trafo:1: 7" in text
    assert 'id="voltage"' not in page(sample_result())
