"""The command ``serve``: power, latencies and books of a trace and of a profile; and what it refuses."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from gridedge.cli import app
from gridedge.errors import InputError

TRACE = Path(__file__).resolve().parents[1] / "data" / "azure_llm_2023" / "conv.csv"


def test_a_trace_is_served_and_its_power_written(tmp_path):
    out = tmp_path / "power.csv"
    done = CliRunner().invoke(
        app,
        [
            "serve",
            str(TRACE),
            "--replicas",
            "4",
            "--park",
            "--first-token",
            "2",
            "--between-tokens",
            "0.1",
            "-o",
            str(out),
        ],
    )
    assert done.exit_code == 0, done.output
    assert "400 requests in" in done.output
    assert "Books: 400 served (" in done.output
    assert "0 refused, 0 in the system at the end" in done.output
    assert "% of the energy saved" in done.output
    assert "Note" not in done.output
    table = pd.read_csv(out, index_col="time")
    assert list(table.columns) == ["p_mw", "batch", "working"]
    assert (table["working"] == 1).all()  # one replica is enough
    assert table["p_mw"].max() < 5e-3


def test_a_profile_is_served_above_its_capacity():
    done = CliRunner().invoke(app, ["serve", "inference-chat-70b", "--replicas", "2", "--duration", "600"])
    assert done.exit_code == 0, done.output
    assert "Note: a queue without bound: " in done.output


def test_pools_are_told_apart():
    done = CliRunner().invoke(app, ["serve", str(TRACE), "--prefill", "1"])
    assert done.exit_code == 0, done.output
    assert all(f"\n{name}: " in done.output for name in ("prefill", "link", "decode"))


@pytest.mark.parametrize(
    ("more", "begins", "high"),
    [
        (["--start", "2027-01-08T13:30-06:00"], "2027-01-08T13:30", True),  # Friday, half past one in Dallas
        (["--start", "2027-01-09T02:30-06:00"], "2027-01-09T02:30", False),  # Saturday, half past two at night
        (["--set", "traffic.start=2027-01-08T13:30-06:00"], "2027-01-08T", True),
    ],
)
def test_the_week_begins_where_the_file_does(more, begins, high, tmp_path):
    out = tmp_path / "load.csv"
    found = CliRunner().invoke(
        app, ["generate", "inference-code-30b", "--duration", "1200", "--dt", "10", "-o", str(out), *more]
    )
    assert found.exit_code == 0, found.output
    assert f"from {begins}" in found.output
    table = pd.read_csv(out, comment="#")
    mean_kw = table[next(name for name in table.columns if "kw" in name.lower())].mean()
    assert bool(mean_kw > 2.5) is high, mean_kw


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["h100-at-scale"], "only a profile of inference is served"),
        (["none.csv"], "there is no such trace"),
        ([str(TRACE), "--model", "Llama-3.1-405B-Instruct"], "the model does not fit"),
        ([str(TRACE), "--max-batch", "0"], "max_batch"),
        ([str(TRACE), "--accelerator", "H1000"], "unknown accelerator"),
        ([str(TRACE), "--first-token", "nan"], "first_token_s is no latency"),
        ([str(TRACE), "--between-tokens", "0"], "token_s is no latency"),
    ],
)
def test_it_says_what_is_wrong(arguments, words):
    done = CliRunner().invoke(app, ["serve", *arguments])
    assert isinstance(done.exception, InputError)
    assert words in str(done.exception)
