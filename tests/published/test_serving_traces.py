"""Azure LLM inference 2023 (CC-BY 4.0, Azure/AzurePublicDataset; Splitwise, ISCA 2024), replayed and served.

Rows p50 / mean / p95 of lengths, mean rate and coefficient of variation of the time between requests: as tabulated from
the traces.  The first 400 requests of each lie in ``tests/data``; the whole traces beside the checkout, if they are.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gridedge
from gridedge.profiles.traffic.replay import faster, read_requests, tiled

HERE = Path(__file__).resolve().parents[1] / "data" / "azure_llm_2023"
WHOLE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "azure_llm_2023"


def spread(at):
    gaps = np.diff(at)
    return gaps.std() / gaps.mean()


def kept(file):
    """Read a trace, and hold it against the file itself."""
    frame = pd.read_csv(file, comment="#")
    ask = read_requests(file)
    nanoseconds = pd.to_datetime(frame["TIMESTAMP"]).astype("datetime64[ns]").astype("int64").to_numpy()
    assert ask.at_s.size == len(frame)
    assert ask.tokens_in.sum() == frame["ContextTokens"].sum()
    assert ask.tokens_out.sum() == frame["GeneratedTokens"].sum()
    assert spread(ask.at_s) == pytest.approx(spread((nanoseconds - nanoseconds[0]) / 1e9), rel=1e-12)
    return ask


@pytest.mark.parametrize("name", ["code", "conv"])
def test_a_replayed_trace_is_the_trace(name):
    ask = kept(HERE / f"{name}.csv")
    assert spread(faster(ask, 3.0).at_s) == pytest.approx(spread(ask.at_s), rel=1e-9)
    span = float(ask.at_s[-1]) + 1.0
    twice = tiled(ask, 2 * span, span_s=span)
    assert twice.at_s.size == 2 * ask.at_s.size
    assert twice.tokens_out.sum() == 2 * ask.tokens_out.sum()


@pytest.mark.skipif(not WHOLE.is_dir(), reason="the whole traces are not beside this checkout (shared/data)")
@pytest.mark.parametrize(
    ("name", "count", "per_s", "cv", "read", "wrote"),
    [
        ("code", 8819, 2.57, 13.2, (1469, 2048, 7303), (13, 28, 90)),
        ("conv", 19366, 5.53, 1.09, (1020, 1155, 4083), (129, 211, 451)),
    ],
)
def test_the_whole_trace_has_the_tabulated_figures(name, count, per_s, cv, read, wrote):
    ask = kept(WHOLE / f"AzureLLMInferenceTrace_{name}.csv")
    assert ask.at_s.size == count
    assert count / ask.at_s[-1] == pytest.approx(per_s, rel=0.01)
    assert spread(ask.at_s) == pytest.approx(cv, rel=0.01)
    for tokens, figures in ((ask.tokens_in, read), (ask.tokens_out, wrote)):
        found = np.percentile(tokens, 50), tokens.mean(), np.percentile(tokens, 95)
        assert found == pytest.approx(figures, rel=0.01, abs=0.6)


def test_a_trace_is_served_and_its_books_close():
    answer = gridedge.serve(HERE / "conv.csv", replicas=1, first_token_s=2.0, token_s=0.1)
    books = answer.books
    assert books["offered"] == 400 == books["served"]
    assert answer.little == pytest.approx(1.0, abs=1e-9)
    assert answer.energy_error < 1e-9
    assert answer.to_dict()["books"]["served"] == 400
    power = answer.load["p_mw"]
    assert power.attrs["units"] == "MW"
    assert float(power.sum()) / 3600 == pytest.approx(answer.energy_mwh - answer.run.energy_after_j / 3.6e9)
