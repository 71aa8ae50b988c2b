"""Curves as an SVG, without a library."""

WIDTH, HEIGHT, MARGIN = 720, 440, 64
COLOURS = ["#555555", "#0a66c2", "#c2410c", "#15803d"]


def ticks(top, count=5):
    step = 10 ** len(str(int(top / count))) / 10 if top >= count else 1
    while top / step > count:
        step *= 2 if str(step)[0] != "2" else 2.5
    return [i * step for i in range(int(top / step) + 1)]


def curves(named_points, x_title, y_title):
    """named_points: {name: [(x, y), ...]}."""
    top_x = max(x for points in named_points.values() for x, _ in points)
    top_y = max(y for points in named_points.values() for _, y in points) * 1.05
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']

    def at(x, y):
        return (MARGIN + x / top_x * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - y / top_y * (HEIGHT - 2 * MARGIN))

    for x in ticks(top_x):
        px, py = at(x, 0)
        out.append(f'<line x1="{px:.1f}" y1="{py:.1f}" x2="{px:.1f}" y2="{MARGIN}" stroke="#dddddd"/>'
                   f'<text x="{px:.1f}" y="{py + 18:.1f}" text-anchor="middle">{x:,.0f}</text>')
    for y in ticks(top_y):
        px, py = at(0, y)
        out.append(f'<line x1="{px}" y1="{py:.1f}" x2="{WIDTH - MARGIN}" y2="{py:.1f}" stroke="#dddddd"/>'
                   f'<text x="{px - 6}" y="{py + 4:.1f}" text-anchor="end">{y:,.0f}</text>')
    for i, (name, points) in enumerate(named_points.items()):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*p) for p in points))
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
                   f'<text x="{MARGIN + 8}" y="{MARGIN + 16 * (i + 1)}" fill="{colour}">{name}</text>')
    out.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 16}" text-anchor="middle">{x_title}</text>'
               f'<text x="16" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 16 {HEIGHT / 2})">{y_title}</text></svg>')
    return "\n".join(out) + "\n"
