#!/usr/bin/env python3
"""Draws what the benchmarks wrote with --json, as SVG.      (needs nothing but Python 3)

usage: plot.py [KIND] FILE.json > FILE.svg
  core       core.json: the time that the shared dictionary takes, with a private std::unordered_map as 1 (default)
  peers      peers.json: throughput of each peer in each operation
  processes  peers.json: throughput by number of processes
  writes     peers.json: throughput by share of writes
  zipf       peers.json: throughput where some keys are asked for far more often than others
"""
import json
import math
import sys
from html import escape

GREY = "#555"
OURS = "#2b7a4b"
# Peers in the order of the file: the private maps grey, the others as different as can be.
COLOURS = ["#b5651d", "#1f5fa8", "#8a3ab9", "#c2185b", "#d4a017", "#0097a7", "#6d4c41", "#e53935"]


class Chart:
    """White ground, a title, a line that explains it, and below them what is drawn."""

    def __init__(self, width: float, height: float, title: str, explanation: str) -> None:
        self.out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
            '<rect width="100%" height="100%" fill="white"/>',
        ]
        self.text(12, 24, title, size=15)
        self.text(12, 44, explanation, fill=GREY)

    def text(self, x: float, y: float, words: str, anchor: str = "start", fill: str = "", size: int = 0, bold: bool = False) -> None:
        extra = f' text-anchor="{anchor}"' if anchor != "start" else ""
        extra += f' fill="{fill}"' if fill else ""
        extra += f' font-size="{size}"' if size else ""
        extra += ' font-weight="bold"' if bold else ""
        self.out.append(f'<text x="{x:.5g}" y="{y:.5g}"{extra}>{escape(words)}</text>')

    def line(self, x1: float, y1: float, x2: float, y2: float, stroke: str = "#ddd", extra: str = "") -> None:
        self.out.append(f'<line x1="{x1:.5g}" y1="{y1:.5g}" x2="{x2:.5g}" y2="{y2:.5g}" stroke="{stroke}"{extra}/>')

    def bar(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        self.out.append(f'<rect x="{x:.5g}" y="{y:.5g}" width="{width:.5g}" height="{height:.5g}" fill="{fill}"/>')

    def dot(self, x: float, y: float, colour: str, ours: bool) -> None:
        self.out.append(f'<circle cx="{x:.5g}" cy="{y:.5g}" r="{6 if ours else 4.5}" fill="{colour}" stroke="white"/>')

    def path(self, points: list[tuple[float, float]], colour: str, ours: bool) -> None:
        joined = " ".join(f"{x:.5g},{y:.5g}" for x, y in points)
        self.out.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="{3 if ours else 1.6}"/>')

    def __str__(self) -> str:
        return "\n".join([*self.out, "</svg>"])


class LogScale:
    """From the values to the place between two ends; its ticks are powers of ten."""

    def __init__(self, values: list[float], first: float, last: float) -> None:
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)
        self.first, self.last = first, last

    def __call__(self, value: float) -> float:
        return self.first + (math.log10(value) - self.low) / (self.high - self.low) * (self.last - self.first)

    def ticks(self) -> list[tuple[str, float]]:
        return [(f"{10.0 ** power:g}", self(10.0**power)) for power in range(self.low, self.high + 1)]


def sizes(data: dict) -> str:
    return f'{data["items"]} items of {data["key_size"]} + {data["value_size"]} bytes'


def rows_of(data: dict, section: str) -> list[dict]:
    rows = [row for row in data["rows"] if row.get("section") == section and row["peers"]]
    if not rows:
        raise ValueError(f"it has no figures of the section '{section}'")
    return rows


def figures(rows: list[dict]) -> list[float]:
    return [peer["mops"] for row in rows for peer in row["peers"].values()]


def colours(data: dict) -> dict[str, str]:
    """The same ones in all charts."""
    chosen, others, greys = {}, iter(COLOURS), iter(["#777", "#aaa"])
    for name in data["peers"]:
        chosen[name] = OURS if name == "SharedDict" else next(greys if name.startswith("private") else others, "black")
    return chosen


def core(data: dict) -> Chart:
    left, width, step, top = 190, 430, 24, 64
    limit = 2.0  # longer bars are cut off, and their number tells
    rows = [row for row in data["rows"] if "fetch_add" not in row["name"]]
    scale = width / limit
    chart = Chart(
        left + width + 70,
        top + step * len(rows) + 34,
        "Time per operation, private std::unordered_map = 1",
        f"{sizes(data)}; x2: two processes, each with a map of its own beside one dictionary",
    )
    for i, row in enumerate(rows):
        y = top + i * step
        ratio = row["time_ratio"]
        length = min(ratio, limit) * scale
        chart.text(left - 10, y + 15, row["name"], anchor="end")
        chart.bar(left, y + 3, length, step - 8, OURS if ratio <= 1 else "#b5651d")
        chart.text(left + length + 6, y + 15, f"{ratio:.2f}")
    one, bottom = left + scale, top + step * len(rows) + 4
    chart.line(one, top - 4, one, bottom, stroke="#333", extra=' stroke-dasharray="4 3"')
    chart.text(one, bottom + 16, "1: as long as the private map", anchor="middle", fill=GREY)
    return chart


def dots(data: dict, section: str, title: str) -> Chart:
    left, width, step, top = 130, 520, 30, 70
    rows = rows_of(data, section)
    colour = colours(data)
    names = [name for name in data["peers"] if any(name in row["peers"] for row in rows)]
    bottom = top + step * len(rows)
    chart = Chart(
        left + width + 240,
        max(bottom + 44, top + 24 * len(names) + 20),
        title,
        f"{sizes(data)}; x2: two processes, on {data['cores']} cores; private maps aren't shared: the limit",
    )
    scale = LogScale(figures(rows), left, left + width)
    for label, x in scale.ticks():
        chart.line(x, top - 6, x, bottom)
        chart.text(x, bottom + 18, label, anchor="middle", fill=GREY)
    for i, row in enumerate(rows):
        y = top + step * i + step / 2
        chart.text(left - 12, y + 4, row["name"], anchor="end")
        chart.line(left, y, left + width, y)
        for name in reversed(names):  # SharedDict, the first one, on top
            if name in row["peers"]:
                chart.dot(scale(row["peers"][name]["mops"]), y, colour[name], name == "SharedDict")
    for i, name in enumerate(names):
        y = top + 24 * i + 12
        chart.dot(left + width + 26, y, colour[name], name == "SharedDict")
        chart.text(left + width + 40, y + 4, name, bold=name == "SharedDict")
    return chart


def peers(data: dict) -> Chart:
    return dots(data, "rows", "Million operations per second, all processes together (logarithmic)")


def zipf(data: dict) -> Chart:
    return dots(data, "zipf", "Million operations per second, keys drawn from a Zipf distribution, s = 0.99 (logarithmic)")


def lines(data: dict, section: str, title: str, below: str, label) -> Chart:
    left, width, top, height = 60, 440, 70, 300
    rows = rows_of(data, section)
    colour = colours(data)
    chart = Chart(left + width + 200, top + height + 60, title, f"{sizes(data)}, {data['cores']} cores; the scale is logarithmic")
    scale = LogScale(figures(rows), top + height, top)
    places = [left + 20 + (width - 40) * i / max(len(rows) - 1, 1) for i in range(len(rows))]
    for words, y in scale.ticks():
        chart.line(left, y, left + width, y)
        chart.text(left - 8, y + 4, words, anchor="end", fill=GREY)
    for row, x in zip(rows, places):
        chart.text(x, top + height + 20, label(row), anchor="middle")
    chart.text(left + width / 2, top + height + 42, below, anchor="middle", fill=GREY)
    ends = []
    for name in reversed(data["peers"]):
        points = [(x, scale(row["peers"][name]["mops"])) for row, x in zip(rows, places) if name in row["peers"]]
        if not points:
            continue
        chart.path(points, colour[name], name == "SharedDict")
        for x, y in points:
            chart.dot(x, y, colour[name], name == "SharedDict")
        ends.append((points[-1][1], name))
    lowest = -math.inf
    for y, name in sorted(ends):  # the names don't overlap
        lowest = max(y + 4, lowest + 16)
        chart.text(left + width + 6, lowest, name, fill=colour[name], bold=name == "SharedDict")
    return chart


def processes(data: dict) -> Chart:
    title = "Million operations per second, 95 % reads and 5 % writes"
    return lines(data, "processes", title, "processes", lambda row: str(row["processes"]))


def writes(data: dict) -> Chart:
    title = "Million operations per second of two processes"
    return lines(data, "writes", title, "share of writes", lambda row: f'{row["writes"]} %')


KINDS = {"core": core, "peers": peers, "processes": processes, "writes": writes, "zipf": zipf}


def main() -> None:
    arguments = sys.argv[1:]
    kind = arguments.pop(0) if len(arguments) == 2 else "core"
    if kind not in KINDS or len(arguments) != 1 or arguments[0].startswith("-"):
        sys.exit(__doc__)
    try:
        with open(arguments[0], encoding="utf-8") as file:
            data = json.load(file)
        expected = "core" if kind == "core" else "peers"
        if not isinstance(data, dict) or data.get("benchmark") != expected:
            raise ValueError(f"it isn't what {expected}_bench writes")
        print(KINDS[kind](data))
    except (OSError, ValueError) as error:
        sys.exit(f"plot.py: {arguments[0]}: {error}")


if __name__ == "__main__":
    main()
