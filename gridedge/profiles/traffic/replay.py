"""Traces of real requests: read, scaled and tiled, nothing invented."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gridedge.errors import bad
from gridedge.profiles.inference.run import Requests

_FORMS = {
    ("TIMESTAMP", "ContextTokens", "GeneratedTokens"): "azure",
    ("timestamp_ms", "input_length", "output_length"): "mooncake",
}


def read_requests(path: str | Path) -> Requests:
    """Read a trace of requests.

    Parameters
    ----------
    path : str or path
        CSV of Azure (``TIMESTAMP, ContextTokens, GeneratedTokens``) or Mooncake (``timestamp_ms, input_length,
        output_length``).

    Returns
    -------
    Requests
        Times from the first request. [s]

    Raises
    ------
    InputError
        If the columns are neither's, there is no request, times are missing or run backwards, or a length is no whole
        number: of a prompt 0 or more, of an answer 1 or more.
    """
    file = Path(path)
    if not file.is_file():
        raise bad("there is no such trace", str(path), "Give the path of a CSV file.")
    try:
        frame = pd.read_csv(file, comment="#")
    except pd.errors.EmptyDataError as error:
        raise bad(f"{file.name} holds nothing", "no columns", "Give a trace of requests.") from error
    form = next((kind for columns, kind in _FORMS.items() if set(columns) <= set(frame.columns)), None)
    if form is None:
        cure = "Rename the columns to TIMESTAMP, ContextTokens, GeneratedTokens."
        raise bad(f"{file.name} is no trace of requests that is known", ", ".join(map(str, frame.columns[:6])), cure)
    if not len(frame):
        raise bad(f"{file.name} holds no request", "0 rows", "Give one at least.")
    if form == "azure":
        moments = pd.to_datetime(frame["TIMESTAMP"], errors="coerce")
        at = (moments - moments.iloc[0]).dt.total_seconds().to_numpy(dtype=float)
        lengths = frame["ContextTokens"], frame["GeneratedTokens"]
    else:
        at = pd.to_numeric(frame["timestamp_ms"], errors="coerce").to_numpy(dtype=float) / 1e3
        at = at - at[0]
        lengths = frame["input_length"], frame["output_length"]
    whole = [pd.to_numeric(column, errors="coerce").to_numpy(dtype=float) for column in lengths]
    gaps = np.flatnonzero(~np.isfinite(at) | ~np.isfinite(whole[0]) | ~np.isfinite(whole[1]))
    if gaps.size:
        raise bad(f"{file.name} has a gap", f"row {int(gaps[0]) + 2}", "Leave such rows out.")
    back = np.flatnonzero(np.diff(at) < 0)
    if back.size:
        k = int(back[0])
        value = f"row {k + 3} at {at[k + 1]:g} s after {at[k]:g} s, counted from the first"
        raise bad(f"{file.name}: the times of requests run backwards", value, "Sort the rows by their time.")
    for column, tokens, least in zip(lengths, whole, (0, 1), strict=True):
        wrong = np.flatnonzero((tokens < least) | (tokens != np.round(tokens)))
        if wrong.size:
            k = int(wrong[0])
            cure = f"Give whole numbers of {least} or more, or leave such rows out."
            raise bad(f"{file.name}: {column.name} is no number of tokens", f"row {k + 2}: {tokens[k]:g}", cure)
    return Requests(np.asarray(at, dtype=float), *(tokens.astype(np.int64) for tokens in whole))


def tiled(requests: Requests, duration_s: float, *, span_s: float | None = None) -> Requests:
    """Return a trace repeated until it fills a duration.

    Parameters
    ----------
    requests : Requests
        One pass.
    duration_s : float
        How long. [s]
    span_s : float, optional
        Length of one pass; from the first to the last request and a mean interval more, if left out. [s]
    """
    count = requests.at_s.size
    if count < 2:
        raise bad("a trace of one request cannot be repeated", f"{count} requests", "Give a longer one.")
    span = span_s if span_s is not None else float(requests.at_s[-1]) * count / (count - 1)
    if span < requests.at_s[-1]:
        raise bad("span_s is shorter than the trace", f"{span:g} s < {requests.at_s[-1]:g} s", "Lengthen it.")
    passes = int(np.ceil(duration_s / span))
    at = (np.arange(passes)[:, None] * span + requests.at_s).ravel()
    keep = at < duration_s
    return Requests(
        np.asarray(at[keep], dtype=float),
        np.tile(requests.tokens_in, passes)[keep],
        np.tile(requests.tokens_out, passes)[keep],
    )


def faster(requests: Requests, factor: float) -> Requests:
    """Return a trace whose clock runs faster: as many requests in less time, the same spread of intervals."""
    if not factor > 0:
        raise bad("a trace runs at a positive speed", factor, "Give 2 for twice as many requests per second.")
    return Requests(requests.at_s / factor, requests.tokens_in, requests.tokens_out)
