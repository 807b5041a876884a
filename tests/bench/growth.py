"""Measures how figures grow and draws them.

    growth.py GROWTH KERNEL FLOOR TRUE TARGET    writes TARGET.json and TARGET.svg
    growth.py JSON SVG                           draws what was measured before
"""

import json
import math
import subprocess
import sys

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 360, 260, 64, 44, 52
COLOURS = {"value": "#0b6e4f", "floor": "#8a8a8a"}
NAMES = {"value": "Provium", "floor": "floor"}


def decades(low, high):
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [10.0 ** exponent for exponent in exponents]


def scale(ticks, start, end):
    low, high = math.log10(ticks[0]), math.log10(ticks[-1])
    return lambda value: start + (math.log10(value) - low) / (high - low) * (end - start)


def text(x, y, content, anchor="middle", more=""):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{more}>{content}</text>'


def number(value):
    for size, letter in (1e6, "M"), (1e3, "k"):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def axes(columns, rows, across, up, right):
    for tick in columns:
        yield (f'<path d="M{across(tick):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>' +
               text(across(tick), HEIGHT - BOTTOM + 15, number(tick)))
    for tick in rows:
        yield (f'<path d="M{LEFT} {up(tick):.1f}H{right}" stroke="#ddd"/>' +
               text(LEFT - 6, up(tick) + 4, number(tick), "end"))


def panel(points):
    """One curve and its floor, both axes logarithmic."""
    values = [point[which] for point in points for which in COLOURS]
    columns = decades(points[0]["amount"], points[-1]["amount"])
    rows = decades(min(values), max(values))
    right = WIDTH - 16
    across, up = scale(columns, LEFT, right), scale(rows, HEIGHT - BOTTOM, TOP)
    yield text((LEFT + right) / 2, 18, f'{points[0]["curve"]}, {points[0]["unit"]}',
               more=' font-weight="bold"')
    yield text((LEFT + right) / 2, 34, f'floor: {points[0]["floor_name"]}', more=' fill="#555"')
    yield from axes(columns, rows, across, up, right)
    higher = max(COLOURS, key=lambda which: points[-1][which])
    for which, colour in COLOURS.items():
        line = " ".join(f'{across(point["amount"]):.1f},{up(point[which]):.1f}' for point in points)
        yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield text(across(points[-1]["amount"]) - 4, up(points[-1][which]) +
                   (-7 if which == higher else 14), NAMES[which], "end", f' fill="{colour}"')
    yield text((LEFT + right) / 2, HEIGHT - 14, points[0]["of"])


def draw(document):
    curves = {}
    for point in document["figures"]:
        curves.setdefault(point["curve"], []).append(point)
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * len(curves)}" height="{HEIGHT}" '
           'font-family="sans-serif" font-size="11">')
    yield '<rect width="100%" height="100%" fill="#fff"/>'
    for column, points in enumerate(curves.values()):
        yield f'<g transform="translate({WIDTH * column} 0)">'
        yield from panel(points)
        yield "</g>"
    yield "</svg>"


def main(arguments):
    if len(arguments) == 5:
        source, target = arguments[4] + ".json", arguments[4] + ".svg"
        subprocess.run([*arguments[:4], source], check=True, timeout=1440)
    elif len(arguments) == 2:
        source, target = arguments
    else:
        sys.exit(__doc__)
    with open(source, encoding="utf-8") as file:
        document = json.load(file)
    with open(target, "w", encoding="utf-8") as file:
        file.write("\n".join(draw(document)) + "\n")


main(sys.argv[1:])
