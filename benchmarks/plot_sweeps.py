#!/usr/bin/env python3
"""Draws what size_bench, items_bench and latency_bench write with --json as line charts, both axes logarithmic.

usage: plot_sweeps.py FILE.json OUTPUT_DIRECTORY      (needs nothing but Python 3)

size.json gives sizes.svg; items.json gives items.svg (time) and overhead.svg (bytes); latency.json gives latency.svg. The paths of what
was drawn are printed.
"""
import json
import math
import os
import sys
from collections import defaultdict
from html import escape

WIDTH, HEIGHT = 760, 470
LEFT, RIGHT, TOP, BOTTOM = 76, 236, 58, 56  # around the axes; the legend is on the right
COLOURS = ["#2b7a4b", "#b5651d", "#2f5d9b", "#8a3b8f", "#a02c2c", "#3a8f95", "#777777", "#c29b0c"]

# A chart: file, title, labels of the axes, and the lines as (name in the file, name in the legend, colour, dashed).
# Dashed lines stand for what is compared with.


def pairs(names: list[str], beside: str) -> list[tuple]:
    lines = []
    for i, name in enumerate(names):
        lines.append((name, name, i, False))
        lines.append((name + beside, None, i, True))
    return lines


CHARTS = {
    "size": [
        ("sizes.svg", "Time of an operation against the size of the value (dashed: memcpy of as much)", "bytes of the value",
         "median_ns", "time", [
             ("try_get", "try_get", 0, False), ("get", "get", 1, False), ("view", "view", 2, False),
             ("insert_or_assign", "insert_or_assign", 3, False),
             ("loan, memcpy into it, publish", "loan, fill, publish", 4, False),
             ("memcpy out of shared memory", "memcpy out", 0, True), ("memcpy into shared memory", "memcpy in", 3, True),
         ]),
    ],
    "items": [
        ("items.svg", "Time of an operation against the number of items (dashed: private std::unordered_map)", "items",
         "median_ns", "time",
         pairs(["read", "write", "insert", "erase+insert", "get_many of 64", "for_each", "fetch_add, long->long"],
               ", private map")),
        ("overhead.svg", "Memory of an item beyond its key and value, against the number of items", "items", "bytes", "bytes",
         [("overhead, 100-byte values", "100-byte values", 0, False),
          ("overhead, long->long", "long->long", 1, False)]),
    ],
    "latency": [
        ("latency.svg", "How long the slowest take (the last point: the worst)", "percentile", "median_ns", "time",
         [("no writer", "read, no writer", 0, False),
          ("beside a process that writes", "read beside a writer", 1, False),
          ("insert long->long", "insert, growing, long->long", 2, False),
          ("insert long->100 bytes", "insert, growing, 100 bytes", 3, False),
          ("attach", "attach", 4, False), ("create", "create", 5, False),
          ("the clock alone", "the clock alone", 6, True)]),
    ],
}


def time_text(ns: float) -> str:
    for unit, factor in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= factor:
            return f"{ns / factor:g} {unit}"
    return f"{ns:g} ns"


def bytes_text(size: float) -> str:
    for unit, factor in (("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size / factor:g} {unit}"
    return f"{size:g}"


def percentile_text(nines: float) -> str:
    return {2.0: "p99", 3.0: "p99.9", 4.0: "p99.99", 5.0: "worst"}.get(nines, "p50")


class Axis:
    """Places values between two pixels. Logarithmic, from one power of ten to another or between the outer values."""

    def __init__(self, values: list[float], low: float, high: float, ticks: list[float] | None = None):
        ends = values if ticks else [10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))]
        self.first, self.last = math.log10(min(ends)), math.log10(max(ends))
        if self.first == self.last:
            self.last += 1
        self.low, self.high = low, high
        self.ticks = ticks or [10**n for n in range(round(self.first), round(self.last) + 1)]

    def at(self, value: float) -> float:
        part = (math.log10(value) - self.first) / (self.last - self.first)
        return self.low + part * (self.high - self.low)


def x_of(benchmark: str, x: float) -> float:
    """Percentiles are drawn by the part above them; the worst is put where p99.999 would be."""
    if benchmark != "latency":
        return x
    return 1e5 if x >= 1 else round(1 / (1 - x), 6)


def x_text(benchmark: str, x: float) -> str:
    if benchmark == "latency":
        return percentile_text(round(math.log10(x), 3))
    if benchmark == "size":
        return bytes_text(x)
    return f"{x:,.0f}"


def spread_apart(ticks: list[float], axis: Axis, gap: float) -> list[float]:
    """Without those whose text would run into the one before."""
    kept: list[float] = []
    for tick in ticks:
        if not kept or axis.at(tick) - axis.at(kept[-1]) >= gap:
            kept.append(tick)
    return kept


def draw(benchmark: str, chart: tuple, points: dict) -> str:
    _, title, x_label, field, kind, lines = chart
    lines = [line for line in lines if points.get((line[0], field))]
    if not lines:
        raise ValueError("the file has none of the lines of this chart")
    all_points = [point for line in lines for point in points[(line[0], field)]]
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    xs = sorted({x for x, _ in all_points})
    x_axis = Axis(xs, LEFT, right, xs)
    y_axis = Axis([y for _, y in all_points], bottom, TOP)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="12" y="26" font-size="15">{escape(title)}</text>',
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 12}" text-anchor="middle" fill="#555">{escape(x_label)}</text>',
    ]
    for tick in spread_apart(x_axis.ticks, x_axis, 40):
        at = x_axis.at(tick)
        out.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{bottom}" stroke="#e4e4e4"/>')
        out.append(f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{x_text(benchmark, tick)}</text>')
    for tick in y_axis.ticks:
        at = y_axis.at(tick)
        text = time_text(tick) if kind == "time" else f"{tick:g} B"
        out.append(f'<line x1="{LEFT}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}" stroke="#e4e4e4"/>')
        out.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
    row = TOP + 8
    for name, legend, colour, dashed in lines:
        style = f'stroke="{COLOURS[colour]}" stroke-width="2"' + (' stroke-dasharray="5 4" opacity="0.75"' if dashed else "")
        placed = [(x_axis.at(x), y_axis.at(y)) for x, y in sorted(points[(name, field)])]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        out.append(f'<polyline points="{path}" fill="none" {style}/>')
        if not dashed:
            out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{COLOURS[colour]}"/>' for x, y in placed]
        if legend:
            out.append(f'<line x1="{right + 18}" y1="{row}" x2="{right + 44}" y2="{row}" {style}/>')
            out.append(f'<text x="{right + 52}" y="{row + 4}">{escape(legend)}</text>')
            row += 22
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main(source: str, directory: str) -> None:
    with open(source, encoding="utf-8") as file:
        data = json.load(file)
    benchmark = data.get("benchmark")
    if benchmark not in CHARTS:
        raise ValueError(f"there is no chart for the benchmark {benchmark!r}")
    points = defaultdict(list)
    for point in data["points"]:
        for field in ("median_ns", "bytes"):
            if point.get(field, 0) > 0:  # a logarithm of anything else does not exist
                points[(point["line"], field)].append((x_of(benchmark, point["x"]), point[field]))
    os.makedirs(directory, exist_ok=True)
    for chart in CHARTS[benchmark]:
        path = os.path.join(directory, chart[0])
        with open(path, "w", encoding="utf-8") as file:
            file.write(draw(benchmark, chart, points))
        print(path)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    try:
        main(sys.argv[1], sys.argv[2])
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"plot_sweeps.py: {sys.argv[1]}: {error}")
