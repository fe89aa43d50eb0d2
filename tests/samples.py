"""A synthetic result with realistic numbers, for tests of what is drawn and written."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from gridedge.measure.finding import Finding
from gridedge.plot.network import NetworkPicture
from gridedge.spec import Assumption
from gridedge.study.result import Result

STRATEGIES = ["none", "dummy workload", "battery"]
BUSES = 179
SITE_BUS = 58
PERIOD_S = 4.2


def sample_waveforms(duration_s: float = 900.0, dt_s: float = 0.05) -> dict[str, xr.Dataset]:
    """Return a training job of 5 MW: iterations of 4.2 s, a checkpoint every 200 s, start-up at the front."""
    rng = np.random.default_rng(7)
    time_s = np.arange(round(duration_s / dt_s)) * dt_s
    busy = (time_s % PERIOD_S) < 0.78 * PERIOD_S
    p_it_mw = np.where(busy, 5.0, 2.1) + rng.normal(0, 0.05, time_s.size)
    p_it_mw[(time_s % 200.0) > 190.0] = 1.6
    p_it_mw *= np.clip(time_s / 20.0, 0.2, 1.0)
    p_before_mw = 1.06 * p_it_mw + 0.7
    floor_mw = np.maximum(p_before_mw, 4.9 * np.clip(time_s / 20.0, 0.2, 1.0))
    kernel = np.ones(round(3 * PERIOD_S / dt_s)) / round(3 * PERIOD_S / dt_s)
    smooth_mw = np.convolve(np.pad(p_before_mw, kernel.size // 2, "edge"), kernel, "valid")[: time_s.size]
    soc_pu = np.clip(0.5 + np.cumsum(smooth_mw - p_before_mw) * dt_s / 3600 / 0.05, 0, 1)
    after = {"none": p_before_mw, "dummy workload": floor_mw, "battery": smooth_mw}
    made = {}
    for label, p_mw in after.items():
        made[label] = xr.Dataset(
            {
                "p_it_mw": ("time", p_it_mw),
                "p_before_mw": ("time", p_before_mw),
                "p_mw": ("time", p_mw),
                "wasted_mw": ("time", np.maximum(p_mw - p_before_mw, 0) if label == "dummy workload" else 0 * p_mw),
            },
            {"time": time_s},
        )
    made["battery"]["soc_pu"] = ("time", soc_pu)
    return made


def sample_flow(p_site_mw: np.ndarray, background: np.ndarray, dt_s: float) -> xr.Dataset:
    """Return voltages and loadings that fall and rise with distance, background and site, as a feeder's would."""
    steps = p_site_mw.size
    depth = (np.arange(BUSES) % 60) / 60
    share = np.where((np.arange(BUSES) // 60) == SITE_BUS // 60, 1.0, 0.15) * np.minimum(depth, 0.95)
    drop_pu = 0.028 * np.outer(background, depth) + 0.0035 * np.outer(p_site_mw, share)
    elements = ["line"] * (BUSES - 3) + ["trafo", "trafo", "impedance"]
    index = [*range(BUSES - 3), 0, 1, 0]
    loading = 55 * np.outer(background, 1.05 - depth) + 8 * np.outer(p_site_mw, share * (1.1 - depth))
    loading[:, -3:-1] = np.outer(40 * background + 5 * p_site_mw, [1, 0.6])
    loading[:, -1] = np.nan
    branch = [f"{element}:{k}" for element, k in zip(elements, index, strict=True)]
    return xr.Dataset(
        {
            "vm_pu": (("time", "bus"), 1.012 - drop_pu),
            "loading_percent": (("time", "branch"), loading),
            "pl_mw": (("time", "branch"), 1e-4 * loading),
            "converged": ("time", np.ones(steps, dtype=bool)),
            "p_site_mw": ("time", p_site_mw),
        },
        {
            "time": np.arange(steps) * dt_s,
            "bus": np.arange(BUSES),
            "bus_name": ("bus", [f"MV bus {k}" for k in range(BUSES)]),
            "branch": branch,
            "element": ("branch", elements),
            "index": ("branch", index),
        },
        {"site_bus": SITE_BUS},
    )


def sample_network() -> NetworkPicture:
    """Return three feeders that leave one substation, in longitude and latitude."""
    rng = np.random.default_rng(3)
    k = np.arange(BUSES)
    feeder, depth = k // 60, (k % 60) / 60
    angle = np.radians(20 + 125 * feeder) + 0.8 * depth
    xy = np.column_stack([7.9 + 0.12 * depth * np.cos(angle), 48.45 + 0.08 * depth * np.sin(angle)])
    xy += rng.normal(0, 0.0012, xy.shape)
    pairs = [(a, a + 1) for a in range(BUSES - 1) if (a + 1) % 60] + [(0, 60), (0, 120), (59, 60)]
    courses = [np.linspace(xy[a], xy[b], 3) for a, b in pairs]
    branch = [f"line:{a}" for a in range(BUSES - 3)] + ["trafo:0", "trafo:1", "impedance:0"]
    names = [f"MV bus {a}" for a in range(BUSES)]
    return NetworkPicture(k, xy, names, branch, courses, SITE_BUS, degrees=True, branch_bus=np.array(pairs))


def sample_findings(label: str) -> list[Finding]:
    """Return a failure for no strategy but the battery, and one finding of each other kind."""
    change_mw = {"none": 3.1, "dummy workload": 1.4, "battery": 0.22}[label]
    calm = label == "battery"
    return [
        Finding(
            "change in 1 s", "Largest change of power at the meter within 1 s: at most 1.0 MW",
            "pass" if calm else "fail", change_mw, 1.0, "MW", 312.4, "site",
            authority="study", status="study's own", source="studies/default.yaml",
        ),
        Finding(
            "slow voltage", "Voltage of every bus between 0.95 and 1.05 pu, 10 min means", "pass", 0.9568, 0.95, "pu",
            68400.0, "bus 59", authority="EN 50160", status="in force", source="EN 50160:2010+A3:2019, 5.2.2",
        ),
        Finding("flicker", "Pst at most 1.0 in every 10 min", "cannot tell", None, 1.0, "",
                note="The waveform is 900 s long; Pst needs whole blocks of 600 s after settling."),
        Finding("ride through", "Stays connected at 0.5 pu for 150 ms", "not applicable", None, 0.15, "s",
                note="No fault was simulated."),
    ]  # fmt: skip


def sample_assumptions() -> list[Assumption]:
    """Return assumptions of all four marks."""
    return [
        Assumption("load.nodes", "560", "chosen", "set in the study"),
        Assumption("load.node_rated_kw", "10.2", "quoted", "DGX H100 datasheet, 2023"),
        Assumption("load.iteration_s", "4.2", "assumed", "between the 2 s and 10 s of published traces"),
        Assumption("load.floor_share", "0.42", "measured", "MLPerf Training v4.0 power logs, 64 nodes"),
        Assumption("site.pue", "1.12", "assumed", "liquid cooled, mild climate"),
        Assumption("strategies.2.battery.round_trip_efficiency", "0.88", "quoted", "NREL ATB 2024"),
    ]


def sample_result() -> Result:
    """Return a whole result: 3 strategies, 179 buses, 900 s of waveform, a day of quarter hours."""
    rng = np.random.default_rng(1)
    hours = np.arange(96) / 4
    background = 0.62 + 0.3 * np.sin((hours - 9) / 24 * 2 * np.pi) ** 2 + 0.05 * rng.normal(size=96).cumsum() / 10
    waveforms = sample_waveforms()
    data, rows = {}, {}
    for label, wave in waveforms.items():
        level_mw = float(wave["p_mw"].mean())
        p_season_mw = level_mw * (0.97 + 0.03 * np.cos(hours / 24 * 2 * np.pi))
        stretch_mw = wave["p_mw"].values[6000:6700]
        season = sample_flow(p_season_mw, background, 900.0)
        data[label] = xr.DataTree.from_dict(
            {
                "waveform": wave,
                "season": season,
                "window_peak": sample_flow(stretch_mw, np.full(700, background.max()), 0.05),
                "window_lightest": sample_flow(stretch_mw, np.full(700, background.min()), 0.05),
            }
        )
        rows[label] = {
            "p_max_mw": float(wave["p_mw"].max()),
            "p_mean_mw": level_mw,
            "vm_min_pu": float(season["vm_pu"].min()),
            "vm_max_pu": float(season["vm_pu"].max()),
            "loading_line_max_percent": float(season["loading_percent"].isel(branch=slice(0, -3)).max()),
            "loading_trafo_max_percent": float(season["loading_percent"].isel(branch=slice(-3, -1)).max()),
            "losses_mwh": float(season["pl_mw"].sum() / 4),
            "change_1s_mw": sample_findings(label)[0].measured,
            "change_5s_mw": {"none": 3.3, "dummy workload": 1.6, "battery": 0.61}[label],
            "ramp_mw_per_min": {"none": 4.4, "dummy workload": 3.9, "battery": np.nan}[label],
            "wasted_mwh": float(wave["wasted_mw"].mean() / 4),
            "lost_mwh": 0.021 if label == "battery" else 0.0,
        }
    return Result(
        title="A 5 MW training campus on a 20 kV feeder",
        question=(
            "Can a training campus of 560 nodes connect to this rural medium-voltage feeder, and which of two remedies "
            "makes its swings bearable? The study asks for changes below 1 MW within a second."
        ),
        answer=[
            "Only the battery meets every requirement that could be checked; flicker cannot be told.",
            "Without a remedy the power at the meter changes by 3.1 MW within 1 s, three times the limit.",
            "The dummy workload halves the change and wastes 0.14 MWh in a quarter of an hour.",
        ],
        facts=[
            ("Feeder", "mv_oberrhein, 20 kV, 179 buses"),
            ("Connected at", f"bus {SITE_BUS} (MV bus {SITE_BUS})"),
            ("Nameplate", "5.71 MW (560 nodes of 10.2 kW)"),
            ("IT power, mean", "4.28 MW"),
            ("At the meter, mean", "5.24 MW"),
            ("Power factor", "0.98 lagging"),
        ],
        notes=[
            "The external grid has no short-circuit power in the net's data; 300 MVA is assumed.",
            "Ratings of 2 lines are placeholders (99 999 A): they can never bind.",
        ],
        findings={label: sample_findings(label) for label in STRATEGIES},
        summary=pd.DataFrame.from_dict(rows, orient="index"),
        assumptions=sample_assumptions(),
        manifest={
            "gridedge": "0.1.0",
            "spec_hash": "9f" * 32,
            "versions": {"numpy": "2.4.6", "pandapower": "3.5.6"},
            "seed": 0,
            "engine": {"name": "batch", "error_pu": 1e-9, "threads": [0, 1]},
        },
        data=data,
        base=sample_flow(np.zeros(96), background, 900.0),
        network=sample_network(),
        limits={"vm_pu": (0.95, 1.05), "loading_percent": 100.0},
        zoom_s=PERIOD_S,
    )
