"""Hand pieces of work to any executor, and take the results in order; what the executor fails at is done here."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from gridedge.errors import GridedgeError, bad
from gridedge.grid.engines.threads import limited

_AHEAD = 3  # pieces handed out per worker before the first of them is back
_LOOK_S = 2.0  # how often a cluster is asked whether anybody is still there
_PATIENCE_S = 30.0  # how long it may have no worker: one that died is started again within seconds

Result = TypeVar("Result")


def alone(task: Callable[[], Result]) -> Result:
    """Do a piece of work with one thread, for there are other workers."""
    with limited(1):
        return task()


def spread(
    executor: Executor, tasks: Iterable[Callable[[], Result]], remarks: list[str], thing: str = "blocks"
) -> Generator[Result]:
    """Let an executor do pieces of work.

    Parameters
    ----------
    executor : Executor
        Threads, processes, or a cluster.
    tasks : iterable of callable
        Pieces that depend on nothing but themselves, and that can be pickled; read as they are needed.
    remarks : list of str
        What has to be said in the end is appended: how much was done in this process, and why.
    thing : str
        What the pieces are called in a remark.

    Yields
    ------
    Result
        Of each piece, in the order of ``tasks``.

    Raises
    ------
    InputError
        If the executor forks its processes: in a copy of a process that had threads, these threads are missing.
    """
    refuse_forks(executor)
    ahead = _AHEAD * max(1, _workers(executor))
    waiting: deque[tuple[Callable[[], Result], Future[Result] | None]] = deque()
    todo, lost, count, here = iter(tasks), "", 0, 0
    try:
        while True:
            while len(waiting) < ahead and (task := next(todo, None)) is not None:
                future = None
                if not lost:
                    try:
                        with _quiet(executor):
                            future = executor.submit(alone, task)
                    except Exception as error:  # every executor has errors of its own
                        lost = _said(error)
                waiting.append((task, future))
                count += 1
            if not waiting:
                break
            task, future = waiting[0]
            if future is not None and (not lost or future.done()):
                try:
                    result = _result(future, executor)
                except GridedgeError:
                    raise
                except Exception as error:
                    lost, future = lost or _said(error), None
            else:
                future = None
            if future is None:
                here += 1
                result = task()
            waiting.popleft()
            yield result
    finally:
        for _, open_future in waiting:
            if open_future is not None:
                open_future.cancel()
    if lost:
        remarks.append(f"The executor failed ({lost}): {here} of {count} {thing} were solved in this process.")


def refuse_forks(executor: Executor) -> None:
    """Raise InputError for processes that are forked: they could stop without a word, or hang."""
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        cure = 'Give ProcessPoolExecutor(n, mp_context=multiprocessing.get_context("spawn")).'
        raise bad("the executor forks its processes, which threads do not survive", type(executor).__name__, cure)


def pack(thing: Any) -> bytes:
    """Return a pandapower net, or what holds one, as bytes: it is to travel as it is now, whatever happens here.

    Raises
    ------
    InputError
        If it holds what cannot travel.
    """
    try:
        return pickle.dumps(thing)
    except Exception as error:  # whatever an element of the net raises
        raise bad("the net cannot be sent to workers", _said(error), "Leave executor out.") from error


def _result(future: Future[Result], executor: Executor) -> Result:
    """Wait for a result; raise RuntimeError where a cluster has no worker any more and none comes back."""
    client = getattr(executor, "_client", None)  # dask.distributed's executor
    if client is None:
        return future.result()
    without_s = 0.0
    while True:
        try:
            return future.result(timeout=_LOOK_S)
        except TimeoutError:
            if future.done():
                raise
        without_s = 0.0 if _anybody(client) else without_s + _LOOK_S
        if without_s >= _PATIENCE_S:
            raise RuntimeError(f"the cluster had no worker for {_PATIENCE_S:g} s")


def _anybody(client: Any) -> bool:
    """Say whether a cluster has a worker."""
    try:
        return client.status == "running" and bool(client.nthreads())
    except Exception:  # its scheduler is gone
        return False


def _workers(executor: Executor) -> int:
    """Return how many pieces an executor does at once, as far as it tells."""
    client = getattr(executor, "_client", None)
    if client is not None:
        return sum(client.nthreads().values()) if client.status == "running" else 1
    return int(getattr(executor, "_max_workers", 1) or 1)


def _quiet(executor: Executor) -> AbstractContextManager[Any]:
    """Keep dask from warning that a block of states is large: it is meant to be."""
    if getattr(executor, "_client", None) is None:
        return nullcontext()
    import dask

    found: AbstractContextManager[Any] = dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"})
    return found


def _said(error: BaseException) -> str:
    """Return an error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
