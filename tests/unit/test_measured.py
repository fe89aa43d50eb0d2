"""Reading measured traces: every defect is refused by its name and line, every treatment leaves its mark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.profiles.measured import MeasuredProfile, Trace, measured_power_mw, read_trace

ROOT = Path(__file__).parents[2]
CLEAN = ["time_s,node_0,node_1", "0,1000,3000", "2,2000,5000", "4,6000,7000", "6,5000,4000"]


@pytest.fixture
def write(tmp_path: Path):
    def _write(lines: list[str] | str, encoding: str = "utf-8") -> str:
        path = tmp_path / "trace.csv"
        path.write_text(lines if isinstance(lines, str) else "\n".join(lines) + "\n", encoding, newline="")
        return str(path)

    return _write


def refused(trace: str, **settings: object) -> str:
    with pytest.raises(InputError) as caught:
        read_trace(MeasuredProfile(trace=trace, **settings))
    assert all(p.cure for p in caught.value.problems)
    return str(caught.value)


def said(trace: Trace, words: str) -> str:
    (sentence,) = [s for s in trace.report if words in s]
    return sentence


def test_a_clean_trace_is_read_as_it_is(write) -> None:
    trace = read_trace(MeasuredProfile(trace=write(CLEAN)))
    assert trace.dt_s == 2
    np.testing.assert_array_equal(trace.time_s, [0, 2, 4, 6])
    np.testing.assert_allclose(trace.p_node_kw, [[1, 3], [2, 5], [6, 7], [5, 4]], rtol=1e-15)
    assert trace.node_names == ("node_0", "node_1")
    assert trace.source.endswith("trace.csv")
    np.testing.assert_allclose(trace.p_mw(), [0.004, 0.007, 0.013, 0.009], rtol=1e-15)
    assert "above 0.25 Hz" in said(trace, "Step 2 s")
    assert "rows: 4, power columns: 2" in trace.report[0]


def test_scaling_multiplies_the_sum_and_says_that_copies_are_coherent(write) -> None:
    p_mw, dt_s, report = measured_power_mw(MeasuredProfile(trace=write(CLEAN), nodes=100))
    assert dt_s == 2
    np.testing.assert_allclose(p_mw, [0.2, 0.35, 0.65, 0.45], rtol=1e-15)
    assert "from 2 to 100 nodes (times 50)" in report[-1]
    assert "coherent" in report[-1]
    half, _, report = measured_power_mw(MeasuredProfile(trace=write(CLEAN), nodes=1))
    np.testing.assert_allclose(half, [0.002, 0.0035, 0.0065, 0.0045], rtol=1e-15)
    assert "lower bound" in report[-1]
    same, _, report = measured_power_mw(MeasuredProfile(trace=write(CLEAN)))
    np.testing.assert_allclose(same, p_mw / 50, rtol=1e-15)
    assert not any("Scaled" in s for s in report)


@pytest.mark.parametrize("nodes", [0, -3])
def test_no_node_is_no_campus(write, nodes: int) -> None:
    trace = read_trace(MeasuredProfile(trace=write(CLEAN)))
    with pytest.raises(InputError, match="nodes must be at least 1"):
        trace.p_mw(nodes)


def test_without_a_trace_it_says_where_they_are_published_and_how_to_name_one() -> None:
    with pytest.raises(InputError) as caught:
        read_trace(MeasuredProfile())
    for words in ("training_results_v4.0", "<submitter>/results/<system>/<benchmark>/power/", "Apache-2.0"):
        assert words in str(caught.value)
    assert "--set load.trace=FILE" in str(caught.value)


def test_a_file_that_is_not_there_is_named_with_the_folders_looked_in(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        read_trace(MeasuredProfile(trace="none.csv"), base=tmp_path / "studies")
    assert "none.csv" in str(caught.value)
    assert str(tmp_path / "studies") in str(caught.value)


def test_a_relative_path_means_the_study_folder_or_the_working_folder(tmp_path: Path, monkeypatch) -> None:
    study, work = tmp_path / "study", tmp_path / "work"
    study.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    (work / "w.csv").write_text("\n".join(CLEAN))
    (study / "s.csv").write_text("\n".join(CLEAN))
    for name in ("w.csv", "s.csv"):
        assert Path(read_trace(MeasuredProfile(trace=name), base=study).source).name == name
    (study / "w.csv").write_text("\n".join(CLEAN))
    with pytest.raises(InputError, match="two files answer"):
        read_trace(MeasuredProfile(trace="w.csv"), base=study)


def test_units_come_from_the_suffix(write) -> None:
    trace = read_trace(MeasuredProfile(trace=write(["time_s,a_w,B_kW,c_MW"] + [f"{t},500,2,0.003" for t in range(3)])))
    np.testing.assert_allclose(trace.p_node_kw, [[0.5, 2, 3]] * 3, rtol=1e-15)


def test_timestamps_count_from_the_first(write) -> None:
    rows = [f"2024-05-17T23:59:{s:02}+02:00,{p}" for s, p in ((58, 1), (59, 2))] + ["2024-05-18T00:00:00+02:00,3"]
    trace = read_trace(MeasuredProfile(trace=write(["timestamp,power_kw", *rows])))
    np.testing.assert_array_equal(trace.time_s, [0, 1, 2])
    assert "2024-05-17T23:59:58+02:00" in said(trace, "t = 0 is")


def test_a_byte_order_mark_spaces_and_empty_lines_do_no_harm(write) -> None:
    text = "time_s, power_kw\r\n0,1\r\n\r\n1,2\r\n2,3\r\n\r\n"
    trace = read_trace(MeasuredProfile(trace=write(text, encoding="utf-8-sig")))
    np.testing.assert_allclose(trace.p_node_kw[:, 0], [1, 2, 3])
    said(trace, "empty lines")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["time_s,node_0,power", "0,1,1", "1,1,1", "2,1,1"], ["trace.csv:1", "unit", "power", "_kw"]),
        (["time_s,node_temp", "0,1", "1,1", "2,1"], ["trace.csv:1", "unit", "node_temp"]),
        (["time_s,p_mW", "0,1", "1,1", "2,1"], ["milliwatt", "p_mW"]),
        (["time_s,power_w,node_0", "0,1,1", "1,1,2", "2,1,3"], ["trace.csv:1", "total", "power_w", "twice"]),
        (["seconds,node_0", "0,1", "1,1", "2,1"], ["trace.csv:1", "no column is a clock", "seconds", "time_s"]),
        (["time_s,time,node_0", "0,0,1"], ["several columns are a clock"]),
        (["time,power_w", "0,1", "1,1", "2,1"], ["trace.csv:1", "bare numbers", "time_s"]),
        (["time,power_w", "2024-01-01T00:00:00Z,1", "soon,1", "2024-01-01T00:00:02Z,1"], ["trace.csv:3", "'soon'"]),
        (
            ["time,power_w", "2024-01-01T00:00:00Z,1", "2024-01-01T00:00:01,1", "2024-01-01T00:00:02Z,1"],
            ["offset", "2 of 3"],
        ),
        (["time_s,node_0", "0,1", ",1", "2,1"], ["trace.csv:3", "time_s cannot be read", "empty cell"]),
        (["time_s,node_0", "0,1", "1,[N/S]", "2,1"], ["trace.csv:3", "node_0 is not a number", "[N/S]"]),
        (["time_s,node_0", "0,1", "1,inf", "2,1"], ["trace.csv:3", "node_0 is not a number", "inf"]),
        (["time_s,node_0", "0,True", "1,True", "2,True"], ["trace.csv:2", "node_0 is not a number", "and 2 more"]),
        (["time_s,node_0", "0,1", "1,1"], ["too few rows", "2", "at least 3"]),
        (["time_s,node_0"], ["too few rows", "0"]),
        (["time_s", "0", "1", "2"], ["no column holds power"]),
        (["time_s;node_0", "0;1", "1;1", "2;1"], ["trace.csv:1", "commas"]),
        (["time_s,node_0,node_0", "0,1,2"], ["trace.csv:1", "'node_0'", "once"]),
        (["time_s,node_0", "0,1,9", "1,2,9", "2,3,9"], ["more cells than the header"]),
        (["time_s,node_0", "0,1", "1,2", "2,3,9"], ["trace.csv:4", "different lengths"]),
        ([""], ["header"]),
        (["time_s,node_0,node_1", "0,1,", "1,1,", "2,1,"], ["every row", "node_1"]),
        (["time_s,node_0", "5,1", "5,2", "5,3"], ["does not advance"]),
    ],
)
def test_what_cannot_be_vouched_for_is_refused(write, lines: list[str], words: list[str]) -> None:
    message = refused(write(lines), gaps="drop-start", clock="keep-longest", negative="zero", duplicates="drop")
    for word in words:
        assert word in message


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\n".join(CLEAN), encoding="utf-16")
    assert "UTF-8" in refused(str(tmp_path / "t.csv"))


GAP_AT_START = ["time_s,node_0,node_1", "0,,1", "1,,2", "2,3,3", "3,4,4", "4,5,5"]
GAP_INSIDE = ["time_s,node_0,node_1", "0,1,1", "1,,2", "2,,3", "3,4,"]


def test_a_gap_at_the_start_is_refused_or_dropped(write) -> None:
    message = refused(write(GAP_AT_START))
    assert "trace.csv:2" in message
    assert "2 of 10 readings in 2 of 5 rows; first node_0 at 0 s" in message
    assert "load.gaps=drop-start" in message
    trace = read_trace(MeasuredProfile(trace=write(GAP_AT_START), gaps="drop-start"))
    np.testing.assert_array_equal(trace.time_s, [2, 3, 4])
    np.testing.assert_allclose(trace.p_node_kw[:, 0] * 1e3, [3, 4, 5])
    assert "before 2 s (rows: 2)" in said(trace, "Power is missing")


def test_a_gap_inside_is_refused_or_held(write) -> None:
    for gaps in ("refuse", "drop-start"):
        message = refused(write(GAP_INSIDE), gaps=gaps)
        assert "trace.csv:3" in message
        assert "load.gaps=hold" in message
    trace = read_trace(MeasuredProfile(trace=write(GAP_INSIDE), gaps="hold"))
    np.testing.assert_allclose(trace.p_node_kw * 1e3, [[1, 1], [1, 2], [1, 3], [4, 3]])
    assert "3 of 8 readings" in said(trace, "Power is missing")
    assert "up to 2 rows" in said(trace, "Power is missing")


def test_there_is_nothing_to_hold_before_the_first_reading(write) -> None:
    both = [*GAP_AT_START, "5,,6", "6,7,7"]
    message = refused(write(both), gaps="hold")
    assert "--set load.start_s=2 --set load.gaps=hold" in message
    trace = read_trace(MeasuredProfile(trace=write(both), gaps="hold", start_s=2))
    np.testing.assert_allclose(trace.p_node_kw[:, 0] * 1e3, [3, 4, 5, 5, 7])


JUMP = ["time_s,node_0", *(f"{t},{t}" for t in (0, 1, 2, 10, 11, 12, 13, 13, 14))]


def test_a_clock_that_jumps_is_refused_or_cut_to_its_longest_stretch(write) -> None:
    message = refused(write(JUMP))
    assert "trace.csv:5" in message
    assert "2 of 8 steps differ from 1 s" in message
    assert "2 s is followed by 10 s" in message
    assert "load.clock=keep-longest" in message
    trace = read_trace(MeasuredProfile(trace=write(JUMP), clock="keep-longest"))
    np.testing.assert_array_equal(trace.time_s, [10, 11, 12, 13])
    assert "4 of 9 rows, 10 s to 13 s" in said(trace, "clock jumps")


def test_a_lost_row_is_a_jump_but_a_wandering_logger_is_not(write) -> None:
    assert "4 s is followed by 8 s" in refused(write(["time_s,node_0", *(f"{t},1" for t in (0, 2, 4, 8, 10))]))
    trace = read_trace(MeasuredProfile(trace=write(["time_s,node_0", *(f"{t},1" for t in (0, 1, 2.009, 3, 4))])))
    assert "up to 0.90%" in said(trace, "Step 1 s")
    assert "jumps" in refused(write(["time_s,node_0", *(f"{t},1" for t in (0, 1, 2.011, 3, 4))]))


def test_seconds_since_1970_are_an_even_clock(write) -> None:
    rows = [f"{1_715_980_739.1 + 1e-5 * k!r},1" for k in range(50)]
    trace = read_trace(MeasuredProfile(trace=write(["time_s,node_0", *rows])))
    assert trace.dt_s == pytest.approx(1e-5, rel=0.024)  # a double resolves 2.4e-7 s at this date
    del rows[20]
    assert "1 of 48 steps" in refused(write(["time_s,node_0", *rows]))


def test_negative_power_is_refused_or_zero(write) -> None:
    lines = ["time_s,node_0", "0,5", "1,-2", "2,-4", "3,5"]
    message = refused(write(lines))
    assert "trace.csv:3" in message
    assert "2 of 4 readings, the lowest -0.004 kW; first node_0 at 1 s" in message
    assert "load.negative=zero" in message
    trace = read_trace(MeasuredProfile(trace=write(lines), negative="zero"))
    np.testing.assert_allclose(trace.p_node_kw[:, 0] * 1e3, [5, 0, 0, 5])
    assert "Taken as zero" in said(trace, "Power is negative")


def test_all_problems_of_a_file_come_together_with_their_lines(write) -> None:
    lines = ["time_s,node_0,node_1,gpu", "0,,5,1", "1,1,-2,1", "2,1,oops,1", "9,1,1,1", "10,1,1,1"]
    message = refused(write(lines))
    assert "1 of 10 readings" in message  # text is no gap
    lines_of = {line.split(": ")[1].split(" (")[0]: line.split(": ")[0] for line in message.splitlines()}
    assert lines_of == {
        "the unit of a column is not known": "trace.csv:1",
        "node_1 is not a number": "trace.csv:4",
        "the clock jumps": "trace.csv:5",
        "power is missing": "trace.csv:2",
        "power is negative": "trace.csv:3",
    }


TWINS = ["time_s,node_0,node_1,node_2", "0,1000,2000,1000", "1,3000,2500,3000", "2,1500,2000,1500"]


def test_identical_nodes_are_reported_or_used_once(write) -> None:
    kept = read_trace(MeasuredProfile(trace=write(TWINS)))
    assert kept.p_node_kw.shape == (3, 3)
    assert "Only 2 of 3" in said(kept, "distinct")
    assert "node_2 = node_0" in said(kept, "distinct")
    np.testing.assert_allclose(kept.p_mw() * 1e3, [4, 8.5, 5])
    once = read_trace(MeasuredProfile(trace=write(TWINS), duplicates="drop"))
    assert once.node_names == ("node_0", "node_1")
    assert once.nodes_in_file == 3
    np.testing.assert_allclose(once.p_mw() * 1e3, np.array([3, 5.5, 3.5]) * 3 / 2)
    np.testing.assert_allclose(once.p_mw(20) * 1e3, np.array([3, 5.5, 3.5]) * 10)


def test_a_cut_comes_first_and_is_half_open(write) -> None:
    lines = [*CLEAN, "8,-1,1", "10,,1"]
    trace = read_trace(MeasuredProfile(trace=write(lines), start_s=2, stop_s=8))
    np.testing.assert_array_equal(trace.time_s, [2, 4, 6])
    assert "Kept 3 of 6 rows, of 0 s to 10 s" in said(trace, "Kept")
    message = refused(write(CLEAN), start_s=100)
    assert "of the trace (got 0)" in message
    with pytest.raises(ValueError, match="start_s 5, stop_s 5"):
        MeasuredProfile(start_s=5, stop_s=5)


def test_a_wrong_unit_is_not_carried_to_a_whole_campus(write) -> None:
    kilowatt_as_watt = write(["time_s,node_0", "0,7.1", "1,7.2", "2,7.3"])
    assert "does not fit the node" in refused(kilowatt_as_watt, nodes=1000)
    assert "0.000716 of the nameplate" in said(read_trace(MeasuredProfile(trace=kilowatt_as_watt)), "Highest column")
    building = write(["time_s,power_mw", "0,30", "1,31", "2,29"])
    assert "load.node_rated_kw" in refused(building, nodes=1000)
    p_mw, _, _ = measured_power_mw(MeasuredProfile(trace=building, nodes=2, node_rated_kw=40e3))
    np.testing.assert_allclose(p_mw, [60, 62, 58])


def test_the_shipped_profile_reads_and_names_the_origin_of_its_nameplate() -> None:
    profile = MeasuredProfile.from_yaml(ROOT / "profiles" / "measured-mlperf" / "profile.yaml")
    (nameplate,) = [a for a in profile.assumptions() if a.name == "node_rated_kw"]
    assert (nameplate.value, nameplate.mark) == ("10.2", "quoted")
    with pytest.raises(InputError, match=r"--set load\.trace=FILE"):
        read_trace(profile)


def test_a_profile_survives_a_round_trip_and_refuses_unknown_treatments() -> None:
    profile = MeasuredProfile(trace="a.csv", nodes=3, gaps="hold")
    assert MeasuredProfile(**profile.to_dict()) == profile
    with pytest.raises(ValueError, match="drop-start"):
        MeasuredProfile(gaps="interpolate")
