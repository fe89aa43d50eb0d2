"""From the power of a load to that of one accelerator, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import bad
from gridedge.profiles.catalog import Accelerator, accelerator, server
from gridedge.sites.step import Around

Float = NDArray[np.float64]
_NONE = 1e-9  # share of the servers below which no job runs


@dataclass(frozen=True)
class Chips:
    """The accelerators of a load, all alike, and the constant power beside them.

    ``P = host_mw + count * (active_pu * w + (1 - active_pu) * idle_w) / 1e6``, with w the power of an
    accelerator whose job runs.  The power beside the accelerators is taken as constant (assumed).

    Parameters
    ----------
    kind : Accelerator
        What one accelerator is.
    server_name : str
        The server that holds it.
    count : int
        Accelerators of all servers.
    host_mw : float
        Power of all servers beside their accelerators. [MW]
    """

    kind: Accelerator
    server_name: str
    count: int
    host_mw: float

    @property
    def idle_w(self) -> float:
        """Power of an accelerator without work, in W."""
        return self.kind.idle_w

    def of_one_w(self, p_mw: Float, active_pu: Float) -> Float:
        """Return the power of an accelerator whose job runs, in W; idle where none runs.

        Parameters
        ----------
        p_mw, active_pu : ndarray, shape (..., time)
            IT power [MW] and the share of the servers whose job runs [pu].
        """
        runs = active_pu > _NONE
        share = np.where(runs, active_pu, 1.0)
        mean_w = (p_mw - self.host_mw) * 1e6 / self.count
        return np.where(runs, (mean_w - (1.0 - share) * self.idle_w) / share, self.idle_w)

    def of_all_mw(self, w: float) -> float:
        """Return the IT power in MW while every accelerator draws ``w`` watts."""
        return self.host_mw + self.count * w / 1e6


def chips(around: Around, *, asked_by: str) -> Chips:
    """Return the accelerators of a load.

    Raises
    ------
    InputError
        If the load does not say which servers it has and how many, or the catalogue does not know them.
    """
    if around.server is None or around.servers is None:
        said = f"server {around.server}, servers {around.servers}"
        cure = 'Set load.attrs["server"] to a name of the catalogue, and load.attrs["servers"] to their number.'
        raise bad(f"{asked_by} acts in the accelerators, and the load does not say which it has", said, cure)
    box = server(around.server)
    return Chips(
        accelerator(box.accelerator), box.name, around.servers * box.accelerators, around.servers * box.host_kw / 1e3
    )


def active(p_mw: Float, around: Around) -> Float:
    """Return the share of the servers whose job runs, in the shape of the power."""
    return np.ones_like(p_mw) if around.active_pu is None else np.broadcast_to(around.active_pu, p_mw.shape)
