"""CGMES: two buses and a line in the three profiles that a power flow needs, as a folder and as an archive."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from gridedge.grid.feeders import load_feeder

pp = pytest.importorskip("pandapower")
pytest.importorskip("lxml")

SCHEMA = "http://iec.ch/TC57/2013/CIM-schema-cim16#"
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    f'xmlns:cim="{SCHEMA}" xmlns:md="http://iec.ch/TC57/61970-552/ModelDescription/1#">'
)
TERMINALS = {"t1": ("line", "a"), "t2": ("line", "b"), "t3": ("load", "b"), "t4": ("grid", "a")}


def _element(kind: str, name: str, *, about: bool = False, **values: str) -> str:
    """One CIM object; ``Class__field`` becomes the tag, a value that begins with # or http a reference."""
    identity = f'rdf:about="#_{name}"' if about else f'rdf:ID="_{name}"'
    fields = "" if about else f"<cim:IdentifiedObject.name>{name}</cim:IdentifiedObject.name>"
    for key, value in values.items():
        tag = key.replace("__", ".")
        is_reference = value.startswith(("#", "http"))
        fields += f'<cim:{tag} rdf:resource="{value}"/>' if is_reference else f"<cim:{tag}>{value}</cim:{tag}>"
    return f"<cim:{kind} {identity}>{fields}</cim:{kind}>"


def _profile(profile: str, elements: list[str]) -> str:
    model = (
        f'<md:FullModel rdf:about="urn:uuid:{profile.split("/")[0]}">'
        f"<md:Model.profile>http://entsoe.eu/CIM/{profile}</md:Model.profile></md:FullModel>"
    )
    return HEAD + model + "".join(elements) + "</rdf:RDF>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    equipment = [
        _element("GeographicalRegion", "region"),
        _element("SubGeographicalRegion", "subregion", SubGeographicalRegion__Region="#_region"),
        _element("BaseVoltage", "kv110", BaseVoltage__nominalVoltage="110"),
        _element(
            "ACLineSegment",
            "line",
            ConductingEquipment__BaseVoltage="#_kv110",
            Conductor__length="10",
            ACLineSegment__r="1",
            ACLineSegment__x="4",
            ACLineSegment__bch="0",
            ACLineSegment__gch="0",
        ),
        _element("EnergyConsumer", "load", Equipment__EquipmentContainer="#_level_b"),
        _element(
            "ExternalNetworkInjection",
            "grid",
            Equipment__EquipmentContainer="#_level_a",
            ExternalNetworkInjection__maxP="100",
            ExternalNetworkInjection__minP="-100",
            ExternalNetworkInjection__maxQ="100",
            ExternalNetworkInjection__minQ="-100",
            RegulatingCondEq__RegulatingControl="#_control",
        ),
        _element(
            "RegulatingControl",
            "control",
            RegulatingControl__Terminal="#_t4",
            RegulatingControl__mode=f"{SCHEMA}RegulatingControlModeKind.voltage",
        ),
        _element("OperationalLimitType", "patl"),
        _element("OperationalLimitSet", "limits", OperationalLimitSet__Terminal="#_t1"),
        _element(
            "CurrentLimit",
            "limit",
            OperationalLimit__OperationalLimitSet="#_limits",
            OperationalLimit__OperationalLimitType="#_patl",
            CurrentLimit__value="500",
        ),
    ]
    topology, state = (
        [],
        [
            _element("EnergyConsumer", "load", about=True, EnergyConsumer__p="30", EnergyConsumer__q="5"),
            _element(
                "ExternalNetworkInjection",
                "grid",
                about=True,
                ExternalNetworkInjection__p="0",
                ExternalNetworkInjection__q="0",
                ExternalNetworkInjection__referencePriority="1",
                RegulatingCondEq__controlEnabled="true",
            ),
            _element(
                "RegulatingControl",
                "control",
                about=True,
                RegulatingControl__enabled="true",
                RegulatingControl__targetValue="110",
                RegulatingControl__discrete="false",
            ),
        ],
    )
    for side in "ab":
        equipment += [
            _element("Substation", f"station_{side}", Substation__Region="#_subregion"),
            _element(
                "VoltageLevel",
                f"level_{side}",
                VoltageLevel__BaseVoltage="#_kv110",
                VoltageLevel__Substation=f"#_station_{side}",
            ),
        ]
        topology.append(
            _element(
                "TopologicalNode",
                f"node_{side}",
                TopologicalNode__BaseVoltage="#_kv110",
                TopologicalNode__ConnectivityNodeContainer=f"#_level_{side}",
            )
        )
    for terminal, (owner, side) in TERMINALS.items():
        number = "2" if terminal == "t2" else "1"
        equipment.append(
            _element(
                "Terminal", terminal, Terminal__ConductingEquipment=f"#_{owner}", ACDCTerminal__sequenceNumber=number
            )
        )
        topology.append(_element("Terminal", terminal, about=True, Terminal__TopologicalNode=f"#_node_{side}"))
        state.append(_element("Terminal", terminal, about=True, ACDCTerminal__connected="true"))
    place = tmp_path / "cgmes"
    place.mkdir()
    for name, profile, elements in (
        ("eq", "EquipmentCore/3/1", equipment),
        ("tp", "Topology/4/1", topology),
        ("ssh", "SteadyStateHypothesis/1/1", state),
    ):
        (place / f"{name}.xml").write_text(_profile(profile, elements), encoding="utf-8")
    return place


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_two_buses(folder: Path, packed: bool) -> None:
    path = Path(shutil.make_archive(str(folder), "zip", folder)) if packed else folder
    feeder = load_feeder(path)
    assert feeder.notes == ("Read as CGMES 2.4.15.",)
    net = feeder.net
    pp.runpp(net, tolerance_mva=1e-10)
    assert net.line["max_i_ka"].tolist() == [0.5]
    # Sending end at 1 pu: v2^2 + 2(RP + XQ) + |Z|^2 |S|^2 / v2^2 = 1.
    r, x, p, q = 1 / 110**2, 4 / 110**2, 30.0, 5.0
    b, c = 1 - 2 * (r * p + x * q), (r**2 + x**2) * (p**2 + q**2)
    assert net.res_bus.vm_pu.min() == pytest.approx(np.sqrt((b + np.sqrt(b**2 - 4 * c)) / 2), abs=1e-9)
