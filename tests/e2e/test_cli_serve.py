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


def test_a_trace_is_played_faster_and_repeated():
    plain = CliRunner().invoke(app, ["serve", str(TRACE), "--replicas", "8"])
    more = CliRunner().invoke(app, ["serve", str(TRACE), "--replicas", "8", "--faster", "2", "--tile", "120"])
    assert more.exit_code == plain.exit_code == 0, more.output
    count = int(more.output.split(" requests in ")[0].replace(",", ""))
    # 400 requests as often as they fit into two minutes, at twice their rate.
    rates = [float(done.output.split("(")[1].split("/s)")[0]) for done in (plain, more)]
    assert count == pytest.approx(120 * 2 * _per_s(), rel=0.1)
    assert rates[1] > 1.5 * rates[0]


def test_a_profile_is_not_repeated():
    for words in (["--tile", "100"], ["--faster", "2"]):
        with pytest.raises(InputError, match="only a trace is played faster or repeated"):
            raise CliRunner().invoke(app, ["serve", "inference-chat-70b", *words]).exception
    with pytest.raises(InputError, match=r"repeated for no time \(got --tile 0\)"):
        raise CliRunner().invoke(app, ["serve", str(TRACE), "--tile", "0"]).exception


def _per_s():
    when = pd.to_datetime(pd.read_csv(TRACE, comment="#")["TIMESTAMP"])
    return (len(when) - 1) / (when.iloc[-1] - when.iloc[0]).total_seconds()
