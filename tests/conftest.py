"""What several tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent))

# Shared machines are noisy: an example may take long without being wrong.
settings.register_profile("gridedge", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("gridedge")


@pytest.fixture(scope="session")
def oberrhein():
    """The default feeder's net, loaded once; tests that change it must copy it."""
    from gridedge.grid.feeders import load_feeder

    return load_feeder("mv_oberrhein").net
