#!/usr/bin/env python3
"""Makes tables of what the benchmarks wrote with --json, as Markdown, for README.md.      (needs nothing but Python 3)

usage: tables.py DIRECTORY > TABLES.md

Of the directory's size.json, items.json, peers.json and latency.json it takes those that are there.
"""
import json
import os
import sys
from collections.abc import Iterator

Rows = list[list[str]]


def markdown(title: str, head: list[str], rows: Rows) -> str:
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: list[str]) -> str:
        padded = [cells[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:]))]
        return "| " + " | ".join(padded) + " |"

    return "\n".join([f"### {title}", "", line(head), line(rule), *map(line, rows), ""])


def digits(figure: float) -> str:
    """Three of them, and none behind the point that nobody needs."""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def time(ns: float) -> str:
    for unit, factor in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= factor:
            return f"{digits(ns / factor)} {unit}"
    return f"{digits(ns)} ns"


def size(count: float) -> str:
    for unit, factor in (("MiB", 2**20), ("KiB", 2**10)):
        if count >= factor:
            return f"{count / factor:g} {unit}"
    return f"{count:g} B"


class Points:
    """What a sweep has measured, by line and place."""

    def __init__(self, data: dict) -> None:
        self.all = {(point["line"], point["x"]): point for point in data["points"]}

    def places(self, line: str) -> list[float]:
        return sorted(x for name, x in self.all if name == line)

    def cell(self, line: str, x: float, text, field: str = "median_ns") -> str:
        point = self.all.get((line, x))
        return text(point[field]) if point and field in point else ""


def of_size(data: dict) -> Iterator[str]:
    points = Points(data)
    columns = [
        ("memcpy out", "memcpy out of shared memory", False),
        ("try_get", "try_get", True),
        ("get", "get", True),
        ("view", "view", False),
        ("memcpy in", "memcpy into shared memory", False),
        ("insert_or_assign", "insert_or_assign", True),
        ("loan, fill, publish", "loan, memcpy into it, publish", True),
    ]
    rows = []
    for x in points.places("try_get"):
        row = [size(x)]
        for _, line, compared in columns:
            ratio = points.cell(line, x, lambda r: f" ({r:.2f})", "ratio") if compared else ""
            row.append(points.cell(line, x, time) + ratio)
        rows.append(row)
    yield markdown("Time against the size of the value (in brackets: memcpy = 1)", ["value", *(c[0] for c in columns)], rows)


def of_items(data: dict) -> Iterator[str]:
    points = Points(data)
    places = points.places("read")
    names = ["insert", "read", "write", "erase+insert", "get_many of 64", "fetch_add, long->long"]

    def row(name: str, label: str) -> list[str]:
        return [label, *(points.cell(name, x, time) + points.cell(name, x, lambda r: f" ({r:.2f})", "ratio") for x in places)]

    heads = [f"{x:,.0f} items" for x in places]
    yield markdown("Time against the number of items (in brackets: private unordered_map = 1)", ["operation", *heads],
                   [row(name, name) for name in names])
    yield markdown("Iteration, for each item (in brackets: private unordered_map = 1)", ["", *heads],
                   [row("for_each", "for_each"), row("for_each, private map", "private unordered_map")])
    yield markdown("Bytes of an item beyond key and value", ["", *heads],
                   [[name, *(points.cell(f"overhead, {name}", x, lambda b: f"{b:.1f}", "bytes") for x in places)]
                    for name in ("100-byte values", "long->long")])


def of_peers(data: dict) -> Iterator[str]:
    titles = {
        "rows": "Operations, million a second, all processes together",
        "processes": "95 % reads, 5 % writes, by the number of processes, million a second together",
        "writes": "Two processes, by the share of writes, million a second together",
        "zipf": "Keys drawn from a Zipf distribution (s = 0.99), million a second together",
    }
    for section, title in titles.items():
        columns = [row for row in data["rows"] if row["section"] == section and row["peers"]]
        names = [name for name in data["peers"] if any(name in row["peers"] for row in columns)]
        if not columns:
            continue

        def cell(row: dict, name: str) -> str:
            figures = row["peers"].get(name)
            if not figures:
                return ""
            # The factor stands beside the peer: how many times its throughput the dictionary's is.
            factor = figures.get("factor") if name != "SharedDict" else None
            return digits(figures["mops"]) + (f" ({digits(factor)})" if factor else "")

        yield markdown(f"{title} (in brackets: SharedDict's, that of the peer = 1)", ["", *(row["name"] for row in columns)],
                       [[name, *(cell(row, name) for row in columns)] for name in names])


def of_latency(data: dict) -> Iterator[str]:
    points = Points(data)
    lines = list(dict.fromkeys(point["line"] for point in data["points"]))
    places = points.places("the clock alone")
    heads = ["worst" if x == 1 else f"p{x * 100:g}" for x in places]
    yield markdown("How long the slowest take", ["", *heads], [[line, *(points.cell(line, x, time) for x in places)] for line in lines])


TABLES = {"size": of_size, "items": of_items, "peers": of_peers, "latency": of_latency}


def main(directory: str) -> None:
    found = False
    for benchmark, tables in TABLES.items():
        path = os.path.join(directory, f"{benchmark}.json")
        if not os.path.exists(path):
            continue
        found = True
        try:
            with open(path, encoding="utf-8") as file:
                data = json.load(file)
            if data.get("benchmark") != benchmark:
                raise ValueError(f"it isn't what {benchmark}_bench writes")
            for table in tables(data):
                print(table)
        except (OSError, ValueError, KeyError) as error:
            sys.exit(f"tables.py: {path}: {error}")
    if not found:
        sys.exit(f"tables.py: {directory} has none of {', '.join(name + '.json' for name in TABLES)}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(sys.argv[1])
