"""The figure of the impedance: a curve per model, and the orders that the site draws."""

import numpy as np
import pytest
import xarray as xr

from gridedge.errors import InputError
from gridedge.plot.impedance import impedance_figure


def test_a_curve_per_model_and_a_mark_per_order():
    data = xr.Dataset(coords={"loads": ["none", "cigre"], "order": np.arange(1.0, 51.0), "harmonic": np.arange(2, 51)})
    data["z_ohm"] = ("loads", "order"), np.outer([2.0, 1.0], np.arange(1.0, 51.0))
    data["i_percent"] = "harmonic", np.where(np.isin(data["harmonic"], [5, 7]), 3.0, 0.0)
    figure = impedance_figure(data)
    curves = [trace for trace in figure.data if trace.mode != "markers"]
    assert [np.max(trace.y) for trace in curves] == [100.0, 50.0]
    (marks,) = [trace for trace in figure.data if trace.mode == "markers"]
    assert list(marks.x) == [5, 7]
    assert figure.layout.yaxis.type == "log"
    with pytest.raises(InputError, match="no impedance"):
        impedance_figure(data.drop_vars("z_ohm"))
