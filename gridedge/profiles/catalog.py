"""Accelerator servers: what they draw, each figure with its source and date."""

from __future__ import annotations

from dataclasses import dataclass

from gridedge.errors import bad, nearest


@dataclass(frozen=True)
class Server:
    """One server with its accelerators.

    Parameters
    ----------
    name : str
        Key in the catalogue.
    accelerators : int
        Accelerators per server.
    rated_kw : float
        Nameplate power of the server. [kW]
    idle_kw, typical_kw, peak_kw : float
        Measured at idle, in training, and at its highest. [kW]
    source : str
        Origin and date of the figures.
    """

    name: str
    accelerators: int
    rated_kw: float
    idle_kw: float
    typical_kw: float
    peak_kw: float
    source: str


_MLPERF = "measured: MLPerf Training power logs"
SERVERS = {
    server.name: server
    for server in (
        Server(
            "8xH100",
            8,
            10.2,
            2.8,
            7.7,
            8.65,
            f"rating quoted for DGX H100 (arXiv 2412.08602, 2024); {_MLPERF} v4.1 (2024), Dell XE9680, air cooled",
        ),
        Server(
            "8xB200",
            8,
            14.3,
            2.7,
            9.6,
            10.36,
            f"rating quoted for DGX B200 (NVIDIA data sheet, 2024); {_MLPERF} v5.0 (2025), Lenovo SR780a V3",
        ),
    )
}


def server(name: str) -> Server:
    """Return a server of the catalogue.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if name not in SERVERS:
        raise bad("unknown server", name, nearest(name, SERVERS))
    return SERVERS[name]
