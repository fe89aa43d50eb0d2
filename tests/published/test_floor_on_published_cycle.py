"""What an ideal floor buys on the published at-scale cycle, through the verb itself.

Source: Choukse et al., arXiv:2508.14318 (2025), one digitised cycle of a DGX-H100 job, scaled to rated power; the
arithmetic of an ideal floor at 0.60 on it: energy +6.9 %, largest change in 5 s 0.317 pu of rated.  Tolerances: one
point of energy and 0.03 pu, as the shape of the preset is tuned to other features of the cycle.
"""

import numpy as np
import pytest

import gridedge
from gridedge.measure.ramp import largest_change

IDEAL = {"step": "dummy_load", "floor_pu": 0.60, "reaction_s": 0, "sampling_s": 0}


def test_an_ideal_floor_on_the_published_cycle():
    still = {"period_jitter_pu": 0.0, "noise_pu": 0.0, "evaluation_interval_s": None, "checkpoint_interval_s": None}
    load = gridedge.generate({"profile": "h100-at-scale", "servers": 1000, **still}, duration_s=169.0, dt_s=0.01)
    ds = gridedge.mitigate(load, [IDEAL])
    before, after = ds["p_before_mw"].values, ds["p_mw"].values
    floor_mw = 0.60 * load.attrs["nameplate_mw"]
    np.testing.assert_allclose(after, np.maximum(before, floor_mw), rtol=1e-12)
    assert 100 * (after.mean() / before.mean() - 1) == pytest.approx(6.9, abs=1.0)
    change_pu = largest_change(after, 0.01, window_s=5.0).value / load.attrs["nameplate_mw"]
    assert change_pu == pytest.approx(0.317, abs=0.03)
