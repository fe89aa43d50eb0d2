"""Executors: threads, processes and a Dask cluster give the bits of one process, whoever dies on the way."""

import functools
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
import xarray as xr
from conftest import ROOT

import gridedge
from gridedge.errors import InputError, RunError
from gridedge.grid.engines import march, secure, slow, spread, threads
from gridedge.study.tasks import FlowTask, solve_all

nw = pytest.importorskip("pandapower.networks")
distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.timeout(120),
    # What dask leaves open when a worker is killed is not ours to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def moving(net, steps, seed=0):
    """Return series for every load and generator of a net."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.8, 1.0, (steps, 1))
    found = {}
    for table, columns in (("load", ("p_mw", "q_mvar")), ("gen", ("p_mw",))):
        frame = net[table]
        values = {c: (("time", table), share * frame[c].to_numpy(float)) for c in columns}
        found[table] = xr.Dataset(values, {"time": 60.0 * np.arange(steps), table: frame.index}, {"dt_s": 60.0})
    return found


def campus(bus, steps):
    """Return a site whose active and reactive power move apart."""
    p, q = np.random.default_rng(1).uniform([0.0, 0.0], [0.4, 0.2], (steps, 2)).T[..., None]
    coords = {"time": 0.01 * np.arange(steps), "site": ["campus"], "bus": ("site", [bus])}
    return xr.Dataset({"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), q)}, coords, {"dt_s": 0.01})


def by_batch(executor=None):
    net = nw.case118()
    reduce = ["min", "max", "mean", "q0.9", "beyond"]
    return gridedge.solve(
        net, background=moving(net, 10000), engine="batch", reduce=reduce, at=[3, 5], executor=executor
    )


def by_batch_in_full(executor=None):
    net = nw.case118()
    return gridedge.solve(net, background=moving(net, 9000), engine="batch", executor=executor)


def by_surface(executor=None):
    result = gridedge.solve(
        nw.case33bw(), campus(20, 20000), engine="surface", reduce=["min", "max", "mean", "q0.5"], executor=executor
    )
    assert result.attrs["engine"] == "surface"
    return result


def by_reference(executor=None, **more):
    net = nw.case30()
    return gridedge.solve(net, background=moving(net, 40), engine="reference", executor=executor, **more)


def without_one(executor=None):
    net = nw.case118()
    return gridedge.contingencies(net, background=moving(net, 10), keep=["line:3"], executor=executor)


def without_one_by_runpp(executor=None):
    net = nw.case9()
    for column in ("const_z_p_percent", "const_z_q_percent"):
        net.load[column] = 20.0
    result = gridedge.contingencies(net, background=moving(net, 2), executor=executor)
    assert result.attrs["engine"] == "reference"
    return result


WORK = (by_batch, by_batch_in_full, by_surface, by_reference, without_one, without_one_by_runpp)


def same_bits(a, b):
    assert set(a.variables) == set(b.variables)
    for name in a.variables:
        np.testing.assert_array_equal(a[name].values, b[name].values, err_msg=name)


def lost(result):
    return [remark for remark in result.attrs["remarks"] if "solved in this process" in remark]


@pytest.fixture(scope="module", autouse=True)
def small_pieces():
    """Cut the work into many pieces, so that a test of seconds has something to share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(march, "_BY_RUNPP", 8)
        patch.setattr(march, "_TOGETHER_BYTES", 4 << 20)
        patch.setattr(secure, "_TOGETHER", 4)
        patch.setattr(slow, "_TOGETHER", 3)
        yield


@pytest.fixture(scope="module")
def serial(small_pieces):
    """What one process finds, each worked out when it is first asked for."""
    return functools.lru_cache(None)(lambda work: work())


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def client():
    """Two worker processes of one thread each, at ports that are free."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.parametrize("work", WORK)
def test_threads(work, serial):
    with ThreadPoolExecutor(3) as pool:
        result = work(pool)
    same_bits(result, serial(work))
    assert not lost(result)


@pytest.mark.parametrize("work", WORK)
def test_spawned_processes(work, serial, processes):
    result = work(processes)
    same_bits(result, serial(work))
    assert not lost(result)


@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="not on this system")
def test_a_fork_server(serial):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as pool:
        result = by_batch(pool)
    same_bits(result, serial(by_batch))
    assert not lost(result)


@pytest.mark.parametrize("work", WORK)
def test_a_dask_cluster(work, serial, client):
    result = work(client.get_executor())
    same_bits(result, serial(work))
    assert not lost(result)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="not on this system")
@pytest.mark.parametrize("work", [by_reference, without_one])
def test_forked_processes_are_refused(work):
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool,
        pytest.raises(InputError, match="spawn"),
    ):
        work(pool)


def test_a_process_that_dies_leaves_the_rest_to_this_one(serial):
    killed = []

    def kill(done):
        if not killed:
            killed.extend(pool._processes.values())
            killed[0].kill()

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        result = by_reference(pool, on_progress=kill)
    same_bits(result, serial(by_reference))
    assert len(lost(result)) == 1
    assert "BrokenProcessPool" in lost(result)[0]


def test_a_dask_worker_that_is_killed_costs_only_time(serial, client):
    killed = []

    def kill(done):
        if not killed:
            killed.extend(pids)
            os.kill(pids[0], getattr(signal, "SIGKILL", signal.SIGTERM))

    client.wait_for_workers(2, timeout=30)
    pids = list(client.run(os.getpid).values())
    result = by_reference(client.get_executor(), on_progress=kill)
    assert killed
    same_bits(result, serial(by_reference))
    assert not lost(result)


def test_a_cluster_that_loses_every_worker(serial, client, monkeypatch):
    monkeypatch.setattr(spread, "_AHEAD", 1)
    monkeypatch.setattr(spread, "_LOOK_S", 0.2)
    monkeypatch.setattr(spread, "_PATIENCE_S", 1.0)

    def stop(done):
        client.cluster.scale(0)
        until = time.monotonic() + 30
        while client.nthreads() and time.monotonic() < until:
            time.sleep(0.05)

    result = by_reference(client.get_executor(), on_progress=stop)
    same_bits(result, serial(by_reference))
    assert "no worker" in lost(result)[0]


def test_solving_in_threads_at_once_gives_the_same_bits():
    work = functools.partial(gridedge.solve, nw.case33bw(), engine="batch", reduce=["min", "q0.5"])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, [campus(20, 9000)] * 4))
    for ds in found[1:]:
        np.testing.assert_array_equal(ds["vm_pu"], found[0]["vm_pu"])


def test_a_worker_uses_one_thread_and_leaves_the_number_as_it_was():
    with ThreadPoolExecutor(1) as pool:
        before = pool.submit(threads.threads).result()
        assert pool.submit(spread.alone, threads.threads).result() == 1
        assert pool.submit(threads.threads).result() == before


def test_results_come_in_order_and_pieces_are_read_as_they_are_needed():
    read = []

    def tasks():
        for k in range(40):
            read.append(k)
            yield functools.partial(lambda k: (time.sleep(0.01 * (k % 3)), k)[1], k)

    remarks: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        found = spread.spread(pool, tasks(), remarks)
        assert next(found) == 0
        assert len(read) <= 2 * spread._AHEAD + 1
        assert list(found) == list(range(1, 40))
    assert remarks == []


def test_what_an_executor_fails_at_is_done_here_and_said():
    here = threading.get_ident()

    def task(k):
        if k == 3 and threading.get_ident() != here:
            raise MemoryError("no room")
        return k

    remarks: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        found = list(spread.spread(pool, [functools.partial(task, k) for k in range(9)], remarks, "pieces"))
    assert found == list(range(9))
    assert re.fullmatch(
        r"The executor failed \(MemoryError: no room\): \d of 9 pieces were solved in this process\.", remarks[0]
    )


def test_an_error_of_ours_is_raised_and_what_is_open_is_cancelled():
    def fail():
        raise RunError("it cannot be")

    class Counting(ThreadPoolExecutor):
        futures: list[Future] = []

        def submit(self, *arguments):
            self.futures.append(super().submit(*arguments))
            return self.futures[-1]

    with Counting(1) as pool, pytest.raises(RunError, match="it cannot be"):
        list(spread.spread(pool, [fail, *[functools.partial(time.sleep, 0.2)] * 9], []))
    assert any(future.cancelled() for future in Counting.futures)


def test_a_study_whose_executor_is_broken_is_solved_here():
    class Broken(Executor):
        def submit(self, *arguments, **more):
            raise BrokenProcessPool("it is gone")

    shape = np.array([0.5, 1.0])
    tasks = [
        FlowTask("", part, "case33bw", None, "hold", None, shape, 900.0 * np.arange(2), 900.0) for part in ("a", "b")
    ]
    expected, found = solve_all(tasks, None, None), solve_all(tasks, Broken(), None)
    assert list(found) == list(expected)
    for key, result in found.items():
        same_bits(result, expected[key])
    assert "2 of 2 power-flow tasks were solved in this process" in " ".join(lost(found["", "a"]))


def test_the_page_runs_as_printed(tmp_path):
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    script, printed = re.search(r"```python\n(.+?)```.+?```text\n(.+?)```", page, re.DOTALL).groups()
    (tmp_path / "campuses.py").write_text(script, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "campuses.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=100, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout == printed
