#!/usr/bin/env python3
"""Draws the rows of core_bench as bars: the time that the shared dictionary takes, with a private std::unordered_map as 1.

usage: plot.py core.json > core.svg      (needs nothing but Python 3)
"""
import json
import sys
from html import escape

LEFT, WIDTH, ROW, TOP = 190, 430, 24, 64
LIMIT = 2.0  # longer bars are cut off, and their number tells


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        data = json.load(file)
    rows = [row for row in data["rows"] if "fetch_add" not in row["name"]]
    height = TOP + ROW * len(rows) + 34
    scale = WIDTH / LIMIT
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 70} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="100%" height="100%" fill="white"/>',
        f'<text x="12" y="24" font-size="15">Time per operation, private std::unordered_map = 1</text>',
        f'<text x="12" y="44" fill="#555">{data["items"]} items of {data["key_size"]} + {data["value_size"]} bytes; '
        f'x2: two processes, each with a map of its own beside one dictionary</text>',
    ]
    for i, row in enumerate(rows):
        y = TOP + i * ROW
        ratio = row["time_ratio"]
        length = min(ratio, LIMIT) * scale
        colour = "#2b7a4b" if ratio <= 1 else "#b5651d"
        out.append(f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end">{escape(row["name"])}</text>')
        out.append(f'<rect x="{LEFT}" y="{y + 3}" width="{length:.1f}" height="{ROW - 8}" fill="{colour}"/>')
        out.append(f'<text x="{LEFT + length + 6:.1f}" y="{y + 15}">{ratio:.2f}</text>')
    one = LEFT + scale
    bottom = TOP + ROW * len(rows) + 4
    out.append(f'<line x1="{one}" y1="{TOP - 4}" x2="{one}" y2="{bottom}" stroke="#333" stroke-dasharray="4 3"/>')
    out.append(f'<text x="{one}" y="{bottom + 16}" text-anchor="middle" fill="#555">1: as long as the private map</text>')
    out.append("</svg>")
    print("\n".join(out))


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main()
