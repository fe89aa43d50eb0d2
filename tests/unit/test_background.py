"""A background of one common shape: what is refused."""

import numpy as np
import pytest

from gridedge.errors import InputError

pp = pytest.importorskip("pandapower")

from gridedge.grid.inject import scaled_background  # noqa: E402


def one_load():
    net = pp.create_empty_network()
    pp.create_load(net, pp.create_bus(net, 20.0), 2.0, 0.5)
    return net


def test_lists_are_taken_as_arrays():
    ds = scaled_background(one_load(), "load", [1.0, 0.5], [0.0, 900.0])
    assert ds["p_mw"].values.ravel().tolist() == [2.0, 1.0]
    assert ds.attrs["dt_s"] == 900.0


@pytest.mark.parametrize(
    ("table", "shape", "message"),
    [
        ("lode", [1.0, 0.5], "unknown table of a background .* Did you mean 'load'"),
        ("load", [1.0], "differ"),
        ("load", [1.0, np.nan], "a gap .*at 900 s"),
    ],
)
def test_what_cannot_drive_a_net_is_refused(table, shape, message):
    with pytest.raises(InputError, match=message):
        scaled_background(one_load(), table, shape, [0.0, 900.0])
