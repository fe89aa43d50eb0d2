"""The figures that the page on planning prints are those of the program."""

from __future__ import annotations

import re
from pathlib import Path

import gridedge
from gridedge.study.model import load_study
from gridedge.study.weigh import weigh_alone

PAGE = (Path(__file__).parents[2] / "docs" / "planning.md").read_text(encoding="utf-8")


def test_the_front_of_the_shipped_study_is_the_printed_one():
    found, battery = weigh_alone(load_study("spike-mitigation", ["compare.size_battery=false"]))
    assert battery is None
    for label, row in found.front.iterrows():
        line = next(line for line in PAGE.splitlines() if line.startswith(str(label)) and "not beaten" in line)
        cells = re.split(r" {2,}", line)[1:]
        shown = [
            row["verdict"],
            *(f"{row[key]:.3g}" for key in ("excess_percent", "wasted_percent", "delayed_percent", "bought_mw")),
            f"{row['bought_mwh']:.3g}",
            f"{row['cost_per_year'] / 1e3:,.0f}",
            "not beaten",
        ]
        assert cells == shown
    assert PAGE.count("not beaten\n") == len(found.front)


def test_the_sizes_are_the_printed_ones():
    code = PAGE[PAGE.index("racks = [") :].partition("for name, inside")[0]
    names: dict[str, list[dict[str, object]]] = {}
    exec(code, names)
    job = {"profile": "gb300-campus", "servers": 677, "failures_per_accelerator_h": 0}
    load = gridedge.generate(job, duration_s=900, dt_s=0.005, seed=1)
    metered = gridedge.connect(gridedge.mitigate(load, names["racks"]), {})
    found = gridedge.size_battery(metered, target="ercot", settle_s=300)
    line = (
        f"behind capacitors in the racks: {found.p_rated_mw:.3g} MW, {found.e_rated_mwh:.3g} MWh, meets: {found.meets}"
    )
    assert line in PAGE
    assert f"  {found.note}" in PAGE
