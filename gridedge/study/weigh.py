"""The part of a study that weighs its strategies by what they waste, delay and cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gridedge.errors import bad
from gridedge.measure.rulebook import load_rulebook
from gridedge.planning.compare import Comparison, compare
from gridedge.planning.sizing import BatterySize, size_battery
from gridedge.sites.site import at_meter
from gridedge.study.campus import it_power, servers_of
from gridedge.study.model import Study, StudySpec


def weigh(study: Study, servers: int) -> tuple[Comparison | None, BatterySize | None]:
    """Compare the strategies of a study on its load.

    Parameters
    ----------
    study : Study
        Without ``compare`` there is nothing to do.
    servers : int
        How many servers the site has.
    """
    spec = study.spec
    wanted = spec.compare
    if wanted is None:
        return None, None
    with study.at("compare", "target"):
        target = load_rulebook(_target(spec, study.base))
    with study.at("load"):
        load = it_power(spec, study.base, servers, wanted.dt_s or spec.waveform.dt_s)
    strategies = {
        name: {"steps": [step.to_dict() for step in steps], "vary": wanted.vary.get(name, {})}
        for name, steps in spec.strategies.items()
    }
    settle_s, facility = spec.waveform.run_in_s, spec.site.facility
    with study.at("strategies"):
        found = compare(load, strategies, target=target, facility=facility, prices=wanted.prices, settle_s=settle_s)
    if not wanted.size_battery:
        return found, None
    inner = [step for step in spec.strategies.get(wanted.behind or "", ()) if step.place != "site"]
    metered = at_meter(load, facility, inner, site=spec.site.name)
    with study.at("compare", "battery"):
        sized = size_battery(metered, target=target, battery=wanted.battery, prices=wanted.prices, settle_s=settle_s)
    return found, sized


def weigh_alone(study: Study) -> tuple[Comparison, BatterySize | None]:
    """Compare the strategies of a study, without any power flow.

    Raises
    ------
    InputError
        If the study does not say what to compare by, or something it names cannot be used.
    """
    spec = study.spec
    if spec.compare is None:
        cure = "Add `compare:` with a target, or take studies/spike-mitigation.yaml as a start."
        raise bad("the study compares nothing", spec.title, cure)
    with study.at("load"):
        servers = servers_of(spec, study.base)
    found, battery = weigh(study, servers)
    assert found is not None
    return found, battery


def _target(spec: StudySpec, base: Path) -> Any:
    assert spec.compare is not None
    target = spec.compare.target
    if target is None:
        return [rule.to_dict() for rule in spec.requirement]
    if isinstance(target, str) and (base / target).is_file():
        return base / target
    return target
