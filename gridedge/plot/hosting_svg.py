"""The map of what binds as one SVG file, for a slide or a letter: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from gridedge.plot.binding import LOOKS, counts
from gridedge.plot.hosting_map import HostingPicture, ratio_of
from gridedge.plot.style import FONT, INK, MUTED

Float = NDArray[np.float64]
_WIDE, _HIGH, _TOP, _LEGEND, _EDGE = 1200.0, 860.0, 84.0, 250.0, 28.0  # px
_KM_PER_DEGREE = 111.195  # of latitude, on a sphere of 6371.0088 km
_NICE = (1, 2, 5)


def write_svg(picture: HostingPicture, path: Path, title: str, below: str) -> None:
    """Write the map.

    Parameters
    ----------
    picture : HostingPicture
        What is drawn.
    path : Path
        The file.
    title, below : str
        What it shows, and a line under it.
    """
    path.write_text("\n".join(_lines(picture, title, below)) + "\n", encoding="utf-8", newline="\n")


def _lines(picture: HostingPicture, title: str, below: str) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE:g} {_HIGH:g}" width="{_WIDE:g}" '
        f'height="{_HIGH:g}" font-family="{escape(FONT, {chr(34): "&quot;"})}" role="img">'
    )
    yield f"<title>{escape(title)}</title>"
    yield f'<rect width="{_WIDE:g}" height="{_HIGH:g}" fill="#ffffff"/>'
    yield _text(_EDGE, 40, title, 24, INK, bold=True)
    yield _text(_EDGE, 66, f"{below}; {picture.what}" if picture.what else below, 15, MUTED)
    place, px_per_unit = _onto(picture)
    yield f'<g fill="none" stroke="#b8c2cc" stroke-width="{1.4 if len(picture.course) <= 600 else 0.7:g}">'
    for course in picture.course:
        points = place(course)
        yield '<path d="M' + "L".join(f"{x:.1f},{y:.1f}" for x, y in points) + '"/>'
    yield "</g>"
    size = picture.size_px(1.1 * picture.widest_px)
    at = place(picture.xy)
    for k in np.argsort(-picture.capacity_mw, kind="stable").tolist():
        if np.isfinite(at[k]).all():
            words = picture.words[k].replace("<br>", "\n").replace("<b>", "").replace("</b>", "")
            yield _mark(picture.binding[k], float(at[k, 0]), float(at[k, 1]), float(size[k]), words)
    yield from _legend(picture)
    if picture.degrees:
        yield from _scale(px_per_unit / _KM_PER_DEGREE)
    yield "</svg>"


def _onto(picture: HostingPicture):  # type: ignore[no-untyped-def]
    """Return what puts coordinates onto the sheet, and px per unit of y."""
    every = np.concatenate([picture.xy, *picture.course]) if picture.course else picture.xy
    every = every[np.isfinite(every).all(axis=1)]
    low, high = every.min(axis=0), every.max(axis=0)
    ratio = ratio_of(picture)
    wide, tall = _WIDE - _LEGEND - 2 * _EDGE, _HIGH - _TOP - 2 * _EDGE
    unit = min(
        wide * ratio / max(float(high[0] - low[0]), 1e-12), tall / max(float(high[1] - low[1]), 1e-12)
    )  # px per unit of y; one of x is 1/ratio as long
    left = _EDGE + (wide - unit / ratio * float(high[0] - low[0])) / 2
    top = _TOP + _EDGE + (tall - unit * float(high[1] - low[1])) / 2

    def place(xy: Float) -> Float:
        return np.column_stack([left + (xy[:, 0] - low[0]) * unit / ratio, top + (high[1] - xy[:, 1]) * unit])

    return place, unit


def _legend(picture: HostingPicture) -> Iterator[str]:
    x, y = _WIDE - _LEGEND - _EDGE / 2, _TOP + 26
    yield _text(x, y, "What binds first (buses)", 15, INK, bold=True)
    for name, count in counts(picture.binding).items():
        y += 27
        yield _mark(name, x + 9, y - 5, 15, "")
        yield _text(x + 28, y, f"{name} ({count})", 15, INK)
    y += 46
    yield _text(x, y, "Size: hosting capacity", 15, INK, bold=True)
    top = picture.top_mw
    for share in (1.0, 0.5, 0.2):
        y += 27
        px = 1.1 * picture.widest_px * max(np.sqrt(share), 0.3)
        yield f'<circle cx="{x + 9:g}" cy="{y - 5:g}" r="{px / 2:.1f}" fill="none" stroke="{MUTED}"/>'
        more = " and more" if share == 1.0 else ""
        yield _text(x + 28, y, f"{share * top:.3g} MW{more}", 15, INK)


def _scale(px_per_km: float) -> Iterator[str]:
    """Draw a bar of a round length, about 150 px wide."""
    exponent = 10.0 ** np.floor(np.log10(150 / px_per_km))
    km = max((n * exponent for n in _NICE if n * exponent * px_per_km <= 150), default=exponent)
    x, y = _EDGE, _HIGH - 22
    yield f'<path d="M{x:g},{y - 6:g}v6h{km * px_per_km:.1f}v-6" fill="none" stroke="{INK}"/>'
    yield _text(x + km * px_per_km + 8, y, f"{km:g} km", 13, INK)


def _text(x: float, y: float, words: str, px: float, colour: str, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{px:g}" fill="{colour}"{weight}>{escape(words)}</text>'


_SHAPES = {
    "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "diamond": ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    "triangle-up": ((0, -1.2), (1.15, 0.9), (-1.15, 0.9)),
    "triangle-down": ((0, 1.2), (1.15, -0.9), (-1.15, -0.9)),
    "hexagon": ((0, -1.1), (0.95, -0.55), (0.95, 0.55), (0, 1.1), (-0.95, 0.55), (-0.95, -0.55)),
    "cross": tuple(
        (a, b)
        for a, b in (
            (-0.4, -1.1), (0.4, -1.1), (0.4, -0.4), (1.1, -0.4), (1.1, 0.4), (0.4, 0.4), (0.4, 1.1), (-0.4, 1.1),
            (-0.4, 0.4), (-1.1, 0.4), (-1.1, -0.4), (-0.4, -0.4),
        )
    ),
}  # fmt: skip
_SHAPES["x"] = tuple(((a - b) * 0.7071, (a + b) * 0.7071) for a, b in _SHAPES["cross"])


def _mark(name: str, x: float, y: float, px: float, words: str) -> str:
    look, r = LOOKS[name], px / 2
    edge, wide = (MUTED, 1.6) if name in ("not bound", "flicker") else ("#ffffff", 0.7)
    paint = f'fill="{look.colour}" stroke="{edge}" stroke-width="{wide:g}"'
    inside = f"<title>{escape(words)}</title>" if words else ""
    if look.symbol == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" {paint}>{inside}</circle>'
    points = " ".join(f"{x + 0.9 * r * a:.1f},{y + 0.9 * r * b:.1f}" for a, b in _SHAPES[look.symbol])
    return f'<polygon points="{points}" {paint}>{inside}</polygon>'
