"""The figures of the report: which there are, what feeds them, how they reach the page."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridedge.errors import InputError, bad
from gridedge.report.result import StudyResult
from gridedge.report.tables import best

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

    from gridedge.planning.compare import Comparison

_WINDOWS = {"window_peak": "at the peak of the network", "window_lightest": "at its lightest hour"}


@dataclass(frozen=True)
class Plot:
    """A figure on the page.

    Parameters
    ----------
    div : str
        Id of its element.
    title, note : str
        What to look for, and how to read it.
    data : str
        The figure as JSON, safe inside a script element; empty where it could not be drawn.
    height_px : int
        Its height. [px]
    reason : str
        Why it could not be drawn.
    """

    div: str
    title: str
    note: str
    data: str = ""
    height_px: int = 0
    reason: str = ""


def plots(result: StudyResult) -> list[Plot]:
    """Return every figure of the report, in order.

    A figure that cannot be drawn is there with its reason; only the state of charge is left out where nothing
    stores energy.
    """
    from gridedge.plot import change, spectrum, waveform

    waveforms = parts(result, "waveform")
    made = [
        drawn(
            "plot-waveform", "Power at the meter", lambda: waveform.waveform_figure(waveforms),
            "All panels have the same scale. Grey is the power that the meter would see with no mitigation.",
        ),
        drawn(
            "plot-zoom", "Power at the meter, close up", lambda: waveform.zoom_figure(waveforms, result.zoom_s),
            "Each level is the mean over one step. The stretch shown is a typical one: its swing is the median of "
            "all stretches of this length.",
        ),
        drawn(
            "plot-spectrum", "Spectrum", lambda: spectrum.spectrum_figure(waveforms, result.bands),
            "A sine of 1 MW reads 1 MW (Hann window, mean taken off); of crowded lines the highest is drawn. Swings "
            "between 0.1 and 2 Hz are those that can meet electromechanical modes of a large grid; lamps flicker most "
            "near 9 Hz. Bars mark the bands that rules speak of.",
        ),
        drawn(
            "plot-change", "Largest change", lambda: change.change_figure(waveforms, result.marks),
            "Each curve gives the largest max - min of the power in any window of that length. A curve under a mark "
            "keeps that rule; a rule that filters the power first (open mark) is judged on the filtered power, so a "
            "curve above its mark may still keep it.",
        ),
    ]  # fmt: skip
    if any("soc_pu" in data for data in waveforms.values()):
        made.append(
            drawn(
                "plot-soc", "State of charge", lambda: waveform.soc_figure(waveforms),
                "A curve that ends below its start lives on stored energy: the run is then too short to judge by.",
            )
        )  # fmt: skip
    if result.comparison is not None:
        made.append(_pareto(result.comparison))
    return made + _grid_plots(result)


def _pareto(comparison: Comparison) -> Plot:
    from gridedge.plot import pareto

    return drawn(
        "plot-pareto", "Strategies", lambda: pareto.pareto_figure(comparison.table, comparison.currency),
        "A filled mark meets the target, an open one does not; a larger mark delays more work. No other choice wastes "
        "less, delays less and costs less than one on the dotted line.",
    )  # fmt: skip


def parts(result: StudyResult, name: str) -> dict[str, xr.Dataset]:
    """Return the datasets of one name, by strategy; strategies without it are absent."""
    return {label: tree[name].to_dataset() for label, tree in result.data.items() if name in tree.children}


def unsolved(result: StudyResult) -> list[str]:
    """Return a sentence for every power flow of which some steps did not converge."""
    sentences = []
    for name in ("season", *_WINDOWS):
        for label, data in parts(result, name).items():
            if "converged" in data:
                lost = int((~data["converged"].values.astype(np.bool_)).sum())
                if lost:
                    total = data.sizes["time"]
                    what = name.replace("_", ", ")
                    sentences.append(
                        f"{label}: {lost} of {total} steps of the power flow ({what}) did not converge; the plots "
                        "have gaps there, and the extremes are those of the other steps."
                    )
    return sentences


def _grid_plots(result: StudyResult) -> list[Plot]:
    from gridedge.plot import duration, loading, network, voltage

    seasons = {label: _rated(season) for label, season in parts(result, "season").items()}
    base = None if result.base is None else _rated(result.base)
    windows = {title: parts(result, name) for name, title in _WINDOWS.items()}
    band_pu = result.limits.get("vm_pu")
    limit_percent = result.limits.get("loading_percent")

    def draw_network() -> go.Figure:
        if result.network is None:
            raise bad("the result holds no picture of the network", "None", "Run the study again.")
        return network.network_figure(
            result.network, seasons, base=base, band_pu=band_pu, limit_percent=limit_percent, shown=best(result)
        )

    return [
        drawn(
            "plot-voltage", "Voltage over the season", lambda: voltage.season_figure(seasons, base, band_pu),
            "A limit is drawn where the voltage is on its side of the band.",
        ),
        drawn(
            "plot-duration", "Voltage by duration", lambda: duration.duration_figure(seasons, base, band_pu),
            "Each curve gives the share of the time in which the voltage of that bus lies higher. A limit is drawn "
            "where the voltage is on its side of the band.",
        ),
        drawn(
            "plot-window-voltage", "Voltage within seconds", lambda: voltage.window_figure(windows),
            "The network's state is held as it is at that hour, and the site's power moves. A quasi-steady envelope: "
            "approximate above some 10 Hz.",
        ),
        drawn(
            "plot-loading", "Loading over the season",
            lambda: loading.loading_figure(seasons, base, limit_percent),
            "At every step the fullest line, or transformer, of the whole network; it need not be the same one "
            "all the time.",
        ),
        drawn(
            "plot-network", "The feeder", draw_network,
            "Extremes of the season: lowest voltage of every bus, highest loading of every line. Colour and width "
            "of a line both grow with its loading. The menu switches the strategy; the colours keep their scale.",
        ),
    ]  # fmt: skip


def _rated(season: xr.Dataset) -> xr.Dataset:
    """Return the season without the loadings that stand on no known rating."""
    if "rating_known" not in season.coords:
        return season
    return season.assign(loading_percent=season["loading_percent"].where(season["rating_known"]))


def drawn(div: str, title: str, draw: Callable[[], go.Figure], note: str) -> Plot:
    """Return a figure for the page, or the reason why it could not be drawn."""
    try:
        figure = draw()
    except InputError as error:
        return Plot(div, title, note, reason=str(error))
    # the heading stands in the page, where it can wrap on a phone
    heading = _plain(figure.layout.title.text) or title
    figure.layout.title = None
    return Plot(div, heading, note, _json(figure), int(figure.layout.height))


def _plain(text: str | None) -> str:
    return html.unescape(text or "")


def _json(figure: go.Figure) -> str:
    text: str = figure.to_json(validate=False)
    # inside JSON these stand in strings only; a page must not read them as the end of the script
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text
