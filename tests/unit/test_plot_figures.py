"""What the figures hold, without a browser."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import xarray as xr

from gridedge.errors import InputError
from gridedge.plot.loading import highest_percent, loading_figure
from gridedge.plot.network import NetworkPicture, network_figure
from gridedge.plot.spectrum import spectrum_figure
from gridedge.plot.style import clock
from gridedge.plot.voltage import season_figure, window_figure
from gridedge.plot.waveform import soc_figure, waveform_figure, zoom_figure
from tests.samples import PERIOD_S, SITE_BUS, STRATEGIES, sample_flow, sample_network, sample_waveforms


@pytest.fixture(scope="module")
def waveforms():
    return sample_waveforms()


@pytest.fixture(scope="module")
def seasons():
    background = 0.6 + 0.3 * np.sin(np.arange(96) / 96 * np.pi)
    return {
        label: sample_flow(np.full(96, p_mw), background, 900.0)
        for label, p_mw in zip(STRATEGIES, (7, 5, 4), strict=True)
    }


def traces(figure, name):
    return [trace for trace in figure.data if trace.name == name]


def titles(figure):
    return [annotation.text for annotation in figure.layout.annotations]


def test_waveform_has_a_panel_per_strategy_over_what_was_before(waveforms):
    figure = waveform_figure(waveforms)
    assert titles(figure) == STRATEGIES
    before = traces(figure, "before any mitigation")
    assert [trace.yaxis for trace in before] == ["y2", "y3"]  # nothing to compare where nothing is done
    assert [trace.showlegend for trace in before] == [True, False]
    assert all(len(trace.x) <= 10_000 for trace in figure.data)
    battery = traces(figure, "battery")[0].y
    assert battery.max() == pytest.approx(float(waveforms["battery"]["p_mw"].max()), rel=1e-6)
    assert figure.layout.yaxis.matches == figure.layout.yaxis2.matches == "y3"
    assert figure.layout.xaxis3.title.text == "time [min]"
    assert figure.layout.yaxis.title.text == "power [MW]"


def test_zoom_shows_two_and_a_half_iterations_of_a_typical_stretch(waveforms):
    x = traces(zoom_figure(waveforms, PERIOD_S), "none")[0].x
    assert np.ptp(x) == pytest.approx(2.5 * PERIOD_S, abs=0.06)
    assert x[0] > 20.0  # past the start of the job
    assert traces(zoom_figure(waveforms, PERIOD_S), "none")[0].line.shape == "hv"
    assert np.ptp(traces(zoom_figure(waveforms), "none")[0].x) == pytest.approx(60.0, abs=0.06)
    short = {label: data.isel(time=slice(0, 50)) for label, data in waveforms.items()}
    assert np.ptp(traces(zoom_figure(short), "none")[0].x) == pytest.approx(2.5, abs=0.01)


def test_soc_shows_those_who_store(waveforms):
    figure = soc_figure(waveforms)
    assert [trace.name for trace in figure.data] == ["battery"]
    with pytest.raises(InputError, match="no waveform"):
        soc_figure({"none": waveforms["none"]})


def test_spectrum_keeps_every_peak(waveforms):
    figure = spectrum_figure(waveforms)
    none = traces(figure, "none")[0]
    peak = int(np.argmax(np.where(none.x > 0.1, none.y, 0)))
    assert none.x[peak] == pytest.approx(1 / PERIOD_S, rel=0.01)
    assert (np.diff(none.x) > 0).all()
    assert len(none.x) < 500
    assert traces(figure, "battery")[0].y[traces(figure, "battery")[0].x > 0.2].max() < 0.01 * none.y[peak]
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"


def test_spectrum_refuses_an_uneven_clock(waveforms):
    uneven = waveforms["none"].isel(time=[*range(50), *range(60, 100)])
    with pytest.raises(InputError, match="even clock"):
        spectrum_figure({"none": uneven})


def test_season_shows_the_connection_and_the_lowest_bus(seasons):
    figure = season_figure(seasons, sample_flow(np.zeros(96), np.full(96, 0.6), 900.0), (0.95, 1.05))
    assert titles(figure)[:2] == [
        f"at the connection: bus {SITE_BUS} (MV bus {SITE_BUS})",
        "lowest of all buses: bus 59 (MV bus 59)",
    ]
    assert titles(figure)[2:] == ["limit 0.95 pu", "limit 0.95 pu"]
    lowest = next(trace for trace in traces(figure, "none") if trace.yaxis == "y2")
    assert lowest.y.min() == pytest.approx(float(seasons["none"]["vm_pu"].min()), abs=1e-6)
    assert lowest.x[-1] == pytest.approx(24.0)  # the last quarter of an hour has its length too
    assert len(traces(figure, "without the site")) == 2


def test_a_high_voltage_is_not_hidden(seasons):
    high = seasons["none"].copy(deep=True)
    high["vm_pu"][5, 100] = 1.049
    figure = season_figure({"none": high}, None, (0.9, 1.05))
    assert "highest of all buses: bus 100 (MV bus 100)" in titles(figure)
    assert "limit 1.05 pu" in titles(figure)


def test_unsolved_steps_are_gaps(seasons):
    lost = seasons["none"].copy(deep=True)
    lost["vm_pu"][40:50] = np.nan
    figure = season_figure({"none": lost})
    assert np.isnan(figure.data[0].y).sum() == 10
    lost["vm_pu"][:] = np.nan
    with pytest.raises(InputError, match="no step of the season converged"):
        season_figure({"none": lost})


def test_windows_start_at_zero_and_share_a_legend(seasons):
    late = {label: data.assign_coords(time=data["time"] + 300.0) for label, data in seasons.items()}
    figure = window_figure({"at the peak": late, "at night": seasons, "never": {}})
    assert titles(figure) == ["at the peak", "at night"]
    assert all(trace.x[0] == 0 for trace in figure.data)
    assert [trace.name for trace in figure.data if trace.showlegend] == STRATEGIES
    with pytest.raises(InputError, match="no window"):
        window_figure({"never": {}})


def test_loading_is_the_highest_of_each_kind(seasons):
    found = highest_percent(seasons["none"])
    loading = seasons["none"]["loading_percent"]
    assert set(found) == {"lines", "transformers"}
    assert found["transformers"][1] == "trafo:0"
    assert found["lines"][0] == pytest.approx(loading.values[:, :-3].max(axis=1))
    figure = loading_figure(seasons, None, 100.0)
    assert [text for text in titles(figure) if text.startswith("limit")] == ["limit 100 %"] * 2
    assert max(traces(figure, "none")[0].y) == pytest.approx(float(found["lines"][0].max()), rel=1e-6)


def test_without_ratings_loading_says_so(seasons):
    unrated = {"none": seasons["none"].assign(loading_percent=seasons["none"]["loading_percent"] * np.nan)}
    with pytest.raises(InputError, match="Give the net its ratings"):
        loading_figure(unrated)


def test_network_shows_one_strategy_at_a_time(seasons):
    figure = network_figure(sample_network(), seasons, band_pu=(0.97, 1.05), limit_percent=60.0, shown="none")
    assert sum(trace.visible for trace in traces(figure, "buses")) == 1
    buses = traces(figure, "buses")[0]
    assert buses.visible
    assert buses.marker.color == pytest.approx(seasons["none"]["vm_pu"].min("time").values)
    ringed = traces(figure, "beyond a voltage limit")[0]
    assert len(ringed.x) == int((seasons["none"]["vm_pu"].min("time") < 0.97).sum()) > 0
    scales = {(trace.marker.cmin, trace.marker.cmax) for trace in traces(figure, "buses")}
    assert len(scales) == 1
    menu = figure.layout.updatemenus[0]
    assert [button.label for button in menu.buttons] == [f"strategy: {label}" for label in STRATEGIES]
    for label, button in zip(STRATEGIES, menu.buttons, strict=True):
        shown = [trace for trace, on in zip(figure.data, button.args[0]["visible"], strict=True) if on]
        assert [trace.name for trace in shown].count("the site") == 1
        low_pu = next(trace for trace in shown if trace.name == "buses").marker.color
        assert low_pu == pytest.approx(seasons[label]["vm_pu"].min("time").values)


def test_network_squares_what_is_beyond_and_dots_what_is_unknown(seasons):
    figure = network_figure(sample_network(), {"none": seasons["none"]}, limit_percent=60.0)
    full = seasons["none"]["loading_percent"].max("time").values
    middles = traces(figure, "branches")[0]
    assert (np.array(middles.marker.symbol) == "square-open").sum() == (full > 60.0).sum() > 0
    assert "impedance:0: no rating or no result" in middles.text
    drawn = sum(sum(x is None for x in trace.x) for trace in figure.data if trace.mode == "lines")
    assert drawn == len(full)


def test_degrees_are_drawn_to_scale(seasons):
    figure = network_figure(sample_network(), seasons)
    assert figure.layout.yaxis.scaleratio == pytest.approx(1 / math.cos(math.radians(48.45)), rel=0.01)
    plane = dataclasses.replace(sample_network(), degrees=False)
    assert network_figure(plane, seasons).layout.yaxis.scaleratio == 1
    untold = dataclasses.replace(sample_network(), degrees=None)
    assert network_figure(untold, seasons).layout.yaxis.scaleratio > 1.4
    metres = dataclasses.replace(untold, bus_xy=untold.bus_xy * 1e5)
    assert network_figure(metres, seasons).layout.yaxis.scaleratio == 1


def test_rings_tell_whom_the_limit_was_broken_by(seasons):
    band_pu = (0.99, 1.05)
    base = sample_flow(np.zeros(96), np.full(96, 0.9), 900.0)
    figure = network_figure(sample_network(), {"none": seasons["none"]}, base=base, band_pu=band_pu)
    low, before = (data["vm_pu"].min("time").values < band_pu[0] for data in (seasons["none"], base))
    ours = traces(figure, "beyond a voltage limit because of the site")[0]
    theirs = traces(figure, "beyond a voltage limit, without the site too")[0]
    assert len(ours.x) == (low & ~before).sum() > 0
    assert len(theirs.x) == (low & before).sum() > 0


def test_a_net_without_coordinates_is_a_scheme_or_a_refusal(seasons):
    picture = NetworkPicture(
        np.arange(3), None, ["a", "b", "c"], ["line:0", "line:1"], None, 2, branch_bus=np.array([[0, 1], [1, 2]])
    )
    small = xr.Dataset(
        {"vm_pu": (("time", "bus"), [[1.0, 0.99, 0.98]]), "loading_percent": (("time", "branch"), [[10.0, 20.0]])},
        {"time": [0.0], "bus": [0, 1, 2], "branch": ["line:0", "line:1"]},
    )
    figure = network_figure(picture, {"none": small})
    assert "a scheme, not a map" in figure.layout.title.text
    assert len(traces(figure, "loading 0 to 25 %")[0].x) == 6
    for missing in (None, np.array([[0, 1], [0, 1]])):
        with pytest.raises(InputError, match="this net has no coordinates"):
            network_figure(dataclasses.replace(picture, branch_bus=missing), {"none": small})


@pytest.mark.parametrize(
    ("span_s", "unit"), [(0.0, "s"), (599.0, "s"), (600.0, "min"), (7200.0, "h"), (86400.0, "h"), (7 * 86400.0, "d")]
)
def test_clock_suits_the_span(span_s, unit):
    assert clock([0.0, span_s])[1] == unit


def test_a_name_with_tags_is_shown_as_it_stands(seasons):
    figure = loading_figure({"<b>x</b> & y": seasons["none"]})
    assert figure.data[0].name == "&lt;b&gt;x&lt;/b&gt; &amp; y"
