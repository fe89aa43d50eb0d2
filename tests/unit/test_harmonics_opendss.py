"""The scan of a net against a second program: OpenDSS in its harmonics mode, through dss-python."""

import os

import numpy as np
import pandapower as pp
import pytest

from gridedge.grid.harmonic import harmonic_net, impedances

dss_python = pytest.importorskip("dss")

ORDERS = (2.5, 5.0, 6.3, 7.0, 8.9, 11.0, 13.0, 23.0, 41.0)
AMPERE = 10.0
CIRCUIT = """
Clear
Set DefaultBaseFrequency=50
New Spectrum.scan NumHarm=10 harmonic=(1 2.5 5 6.3 7 8.9 11 13 23 41) %mag=(100 100 100 100 100 100 100 100 100 100) angle=(0 0 0 0 0 0 0 0 0 0)
New Circuit.test basekv=110 pu=1.0 phases=3 bus1=grid basefreq=50 MVAsc3=2000 MVAsc1=2000 x1r1=10 x0r0=10
New Transformer.t phases=3 windings=2 buses=(grid mv) conns=(wye wye) kvs=(110 20) kvas=(25000 25000) xhl=12 %rs=(0.25 0.25) %noloadloss=0 %imag=0 ppm=0
New Line.feeder bus1=mv bus2=site phases=3 r1=0.16 x1=0.12 r0=0.16 x0=0.12 c1=250 c0=250 length=6 units=km rg=0 xg=0 basefreq=50
New Line.spur bus1=site bus2=end phases=3 r1=0.3 x1=0.35 r0=0.3 x0=0.35 c1=10 c0=10 length=4 units=km rg=0 xg=0 basefreq=50
New Capacitor.c bus1=end phases=3 kvar=1500 kv=20 basefreq=50
New Isource.inject bus1=site phases=3 amps=10 frequency=50 angle=0 spectrum=scan basefreq=50
New Monitor.m element=Line.feeder terminal=2 mode=0
New Monitor.e element=Line.spur terminal=2 mode=0
Set voltagebases=(110 20)
Calcvoltagebases
Solve
Solve mode=harmonics
"""  # noqa: E501


@pytest.fixture
def theirs(tmp_path):
    """Give the voltages at two buses, by order, from an engine that leaves its files in a folder of its own."""
    before = os.getcwd()
    engine = dss_python.DSS.NewContext()
    engine.AllowForms = False
    engine(f'set datapath="{tmp_path}"')
    for command in CIRCUIT.strip().splitlines():
        engine(command)
    found = {}
    for name in ("m", "e"):
        monitor = engine.ActiveCircuit.Monitors
        monitor.Name = name
        np.testing.assert_allclose(np.asarray(monitor.dblFreq)[1:], 50 * np.array(ORDERS))
        found[name] = np.asarray(monitor.Channel(1))[1:]  # without the fundamental, which the source makes
    os.chdir(before)
    return found


def ours():
    net = pp.create_empty_network(f_hz=50.0)
    grid, mv, site, end = (pp.create_bus(net, kv) for kv in (110.0, 20.0, 20.0, 20.0))
    pp.create_ext_grid(net, grid)
    pp.create_transformer_from_parameters(
        net, grid, mv, sn_mva=25.0, vn_hv_kv=110.0, vn_lv_kv=20.0, vkr_percent=0.5,
        vk_percent=float(np.hypot(12.0, 0.5)), pfe_kw=0.0, i0_percent=0.0,
    )  # fmt: skip
    values = {"r_ohm_per_km": 0.16, "x_ohm_per_km": 0.12, "c_nf_per_km": 250.0, "max_i_ka": 0.4}
    pp.create_line_from_parameters(net, mv, site, 6.0, **values)
    values = {"r_ohm_per_km": 0.3, "x_ohm_per_km": 0.35, "c_nf_per_km": 10.0, "max_i_ka": 0.2}
    pp.create_line_from_parameters(net, site, end, 4.0, **values)
    pp.create_shunt(net, end, q_mvar=-1.5)
    return harmonic_net(net, s_sc_mva=2000.0, rx=0.1), site, end


def test_driving_and_transfer_impedance_are_those_of_opendss(theirs):
    """Nominal pi lines on both sides; a monitor keeps single precision."""
    grid, site, end = ours()
    z = impedances(grid, site, ORDERS, long_lines=False)
    for name, bus in (("m", site), ("e", end)):
        row = grid.row(bus)
        np.testing.assert_allclose(theirs[name] / AMPERE, np.abs(z[row]) * grid.base_ohm(row), rtol=1e-5)
