"""Figures over time as SVG: memory, disk and latencies of a run, one above the other."""

LEFT, WIDTH, HEIGHT, GAP, RIGHT = 70, 720, 130, 50, 20
MIB = 1 << 20


def _round_up(value):
    """The next of 1, 2, 5, 10, 20, ..."""
    step = 1.0
    while True:
        for factor in (1, 2, 5):
            if value <= step * factor:
                return step * factor
        step *= 10


def _text(x, y, content, anchor="start", weight="normal"):
    return (f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="12" font-weight="{weight}" fill="#333">'
            f"{content}</text>")


def _panel(top, title, seconds, lines):
    """`lines` are (label, color, [(second, value)])."""
    most = _round_up(max((value for _, _, points in lines for _, value in points), default=1) or 1)
    shapes = [_text(LEFT, top - 8, title, weight="bold"),
              f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>']
    for share in (0, 0.5, 1):
        y = top + HEIGHT * (1 - share)
        shapes.append(_text(LEFT - 6, y + 4, f"{most * share:g}", anchor="end"))
    x = LEFT + 200
    for label, color, points in lines:
        way = " ".join(f"{LEFT + WIDTH * at / seconds:.1f},{top + HEIGHT * (1 - min(value / most, 1)):.1f}"
                       for at, value in points)
        shapes.append(f'<polyline points="{way}" fill="none" stroke="{color}" stroke-width="1.3"/>')
        shapes.append(f'<rect x="{x}" y="{top - 17}" width="10" height="10" fill="{color}"/>')
        shapes.append(_text(x + 14, top - 8, label))
        x += 110
    return shapes


def over_time(samples, probes):
    seconds = max(samples[-1]["at"], probes[-1]["at"], 1)
    panels = (
        ("memory, MiB", [("resident", "#1f6f8b", [(s["at"], s["rss"] / MIB) for s in samples])]),
        ("disk, MiB", [("segments", "#1f6f8b", [(s["at"], s["disk"] / MIB) for s in samples]),
                       ("alive", "#d9a441", [(s["at"], s["live"] / MIB) for s in samples])]),
        ("single records, ms", [("slowest", "#c8ccd0", [(p["at"], p["max_ms"]) for p in probes]),
                                ("p99", "#1f6f8b", [(p["at"], p["p99_ms"]) for p in probes]),
                                ("p50", "#d9a441", [(p["at"], p["p50_ms"]) for p in probes])]),
    )
    shapes, top = [], 40
    for title, lines in panels:
        shapes += _panel(top, title, seconds, lines)
        top += HEIGHT + GAP
    for share in (0, 0.25, 0.5, 0.75, 1):
        shapes.append(_text(LEFT + WIDTH * share, top - GAP + 16, f"{seconds * share:.0f} s", anchor="middle"))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + RIGHT}" height="{top - GAP + 30}" '
            'font-family="sans-serif">\n<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(shapes) + "\n</svg>\n")
