"""The drawing: no extreme is hidden, no text leaves its place, and what has no value is marked."""

import itertools
import random
import re

import msgspec
import pytest
from defusedxml import ElementTree

from airflow_nbjobs.core.chart.drawing import STYLES, Chart, Mark, Series, draw, swatch
from airflow_nbjobs.core.chart.scales import Scale, Tick, number_scale, time_scale
from airflow_nbjobs.core.chart.thinning import thinned

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</script><img src=x onerror=alert(1)>\"'&\u202eevil\0"


def chart(
    values, *, marks=(), failed=(), title="accuracy", describe=lambda place: (f"/dags/{place}", f"run {place}"), **more
):
    moments = [float(place) for place in range(len(values))]
    known = [value for value in values if value is not None]
    return Chart(
        ident="c",
        title=title,
        description="three runs",
        across=time_scale([*moments, *(mark.moment for mark in marks)]),
        up=number_scale(known),
        series=[Series(style=0, moments=moments, values=values, places=range(len(values)))],
        marks=list(marks),
        describe=describe,
        failed=frozenset(failed),
        **more,
    )


def parsed(made):
    svg, _ = draw(made)
    return ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def lines(root):
    return [path.get("d") for path in root.iter(f"{SVG}path") if path.get("class") == "line"]


def test_each_point_is_a_link_with_its_title_and_the_chart_says_what_it_is():
    root = parsed(chart([0.5, 0.7, 0.6]))
    links = [each for each in root.iter(f"{SVG}a") if each.get("data-outer") is not None]
    assert [(each.get("href"), each[0].text) for each in links] == [(f"/dags/{n}", f"run {n}") for n in range(3)]
    assert (root[0].text, root[1].text) == ("accuracy", "three runs")
    assert root.get("aria-labelledby") == "c-title c-description"
    assert root.get("role") == "img"
    assert len(lines(root)) == 1
    heights = [float(each.get("cy")) for each in root.iter(f"{SVG}circle")]
    assert heights[1] < heights[2] < heights[0]  # the greatest is on top


def test_a_gap_is_a_gap():
    (line,) = lines(parsed(chart([1, 2, None, 3, 4])))
    assert line.count("M") == 2
    assert lines(parsed(chart([1]))) == []
    assert lines(parsed(chart([]))) == []


def test_what_has_no_value_is_marked_at_the_foot_and_many_marks_are_one():
    marks = [Mark(float(place), place, "failed") for place in range(3000)] + [Mark(5.0, 9999, "running")]
    root = parsed(chart([], marks=marks))
    groups = [each.get("class") for each in root.iter(f"{SVG}g")]
    assert 10 < groups.count("mark-failed") < 200
    assert groups.count("mark-running") == 1
    titles = [each.text for each in root.iter(f"{SVG}title")]
    assert any(re.fullmatch(r"\d+ without a value here; the last: run 2999", title) for title in titles)


def test_a_value_of_a_task_that_failed_is_told_from_the_others():
    root = parsed(chart([1, 2, 3], failed=[1]))
    assert [each.get("class") for each in root.iter(f"{SVG}path")].count("cross") == 1


def test_ten_thousand_points_are_thinned_and_none_of_their_extremes_is_hidden():
    chance = random.Random(7)
    values = [chance.random() for _ in range(10_000)]
    extremes = {4321: -50.0, 17: 90.0, 9998: 40.0}
    for place, value in extremes.items():
        values[place] = value
    svg, drawn = draw(chart(values))
    assert drawn <= 1200
    assert len(svg) < 250_000
    shown = {int(each) for each in re.findall(r'href="/dags/(\d+)"', svg)}
    assert extremes.keys() | {0, 9999} <= shown


@pytest.mark.parametrize("stretches", [1, 7, 300])
def test_of_each_stretch_the_first_the_least_the_greatest_and_the_last_are_kept(stretches):
    chance = random.Random(stretches)
    values = [chance.gauss(0, 1) for _ in range(5000)]
    shares = sorted(chance.random() for _ in values)
    kept = thinned(shares, values, stretches=stretches)
    assert kept == sorted(set(kept))
    assert len(kept) <= 4 * stretches
    for stretch in range(stretches):
        own = [place for place, share in enumerate(shares) if min(int(share * stretches), stretches - 1) == stretch]
        if own:
            wanted = {own[0], own[-1], min(own, key=values.__getitem__), max(own, key=values.__getitem__)}
            assert {values[place] for place in wanted} <= {values[place] for place in kept}


def test_few_points_are_all_drawn_also_equal_ones():
    assert thinned([0.5] * 4, [1.0] * 4, stretches=1) == [0, 1, 2, 3]
    assert thinned([], [], stretches=1) == []
    assert len(thinned([0.5] * 100, [1.0] * 100, stretches=1)) == 2


def test_no_text_becomes_markup_and_the_unseen_is_seen():
    made = chart([1, 2], title=HOSTILE, describe=lambda place: (f"javascript:{HOSTILE}", HOSTILE))
    svg, _ = draw(made)
    root = parsed(made)
    assert "<img" not in svg
    assert "</script>" not in svg
    assert "\u202e" not in svg
    assert root[0].text.startswith("</script><img")
    assert "⟦U+202E⟧evil␀" in root[0].text


@pytest.mark.parametrize("values", [[1e308, -1e308], [5e-324], [2.0**63], [0.1, None]])
def test_numbers_of_any_size_lie_within_the_picture(values):
    svg, _ = draw(chart(values))
    assert "nan" not in svg
    assert "inf" not in svg
    for circle in parsed(chart(values)).iter(f"{SVG}circle"):
        assert 0 <= float(circle.get("cx")) <= 600
        assert 0 <= float(circle.get("cy")) <= 230


def test_a_strict_policy_of_content_allows_the_drawing():
    """It has neither styles nor scripts of its own."""
    svg, _ = draw(chart([1, 2], marks=[Mark(3.0, 3, "failed")]))
    assert not re.search(r"style|<script|onload|url\(|href=\"(?!/)", svg)


def test_series_differ_by_more_than_their_colours():
    assert len({swatch(style) for style in range(STYLES)}) == STYLES
    shapes = {re.sub(r"s\d", "", swatch(style)) for style in range(STYLES)}
    assert len(shapes) == 4


CHARACTER = 6.3  # pixels, of the widest digit at the axes' size


def points(root):
    return [(float(each.get("cx")), float(each.get("cy"))) for each in root.iter(f"{SVG}circle")]


def axis(root):
    """Returns the heights of the grid's lines with their ends, the places of the marks at the foot, and the labels: text, left, right, anchor's height."""
    group = next(each for each in root.iter(f"{SVG}g") if each.get("class") == "axis")
    paths = [each.get("d") for each in group if each.tag == f"{SVG}path"]
    grid = [tuple(map(float, found)) for d in paths for found in re.findall(r"^M(.+),(.+)H(.+)$", d)]
    feet = [tuple(map(float, found)) for d in paths for found in re.findall(r"^M(.+),(.+)v5$", d)]
    assert len(grid) + len(feet) == len(paths)
    texts = []
    for each in group.iter(f"{SVG}text"):
        wide, x = len(each.text) * CHARACTER, float(each.get("x"))
        left = {"end": x - wide, "middle": x - wide / 2}[each.get("text-anchor")]
        texts.append((each.text, left, left + wide, float(each.get("y"))))
    return grid, feet, texts


def test_points_lie_on_the_grid_where_their_values_are_ticks():
    made = chart([0, 50, 100])
    grid, feet, texts = axis(parsed(made))
    heights = {text: y for text, _, _, y in texts}
    (x0, y0), (x1, y1), (x2, y2) = points(parsed(made))
    assert (y0, y2) == (heights["0"], heights["100"])
    assert y1 == pytest.approx((y0 + y2) / 2, abs=0.1)
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert sorted(y for _, y, _ in grid) == sorted(heights[tick.label] for tick in made.up.ticks)
    assert {(left, right) for left, _, right in grid} == {(x0, x2)}, "the grid is as wide as the line"
    assert {y for _, y in feet} == {y0}, "time is written at the foot of the grid"
    assert [x for x, _ in feet] == pytest.approx([x0 + tick.share * (x2 - x0) for tick in made.across.ticks], abs=0.1)


@pytest.mark.parametrize("values", [[0, 50, 100], [0.000123, 0.000456], [-123_456.5, 999_999.5], [1e300, -1e-300], []])
def test_labels_lie_within_the_picture_beside_the_grid_and_not_on_one_another(values):
    root = parsed(chart(values))
    grid, feet, texts = axis(root)
    foot = max(y for _, y in feet)
    beside = [text for text in texts if text[3] <= foot]
    below = [text for text in texts if text[3] > foot]
    assert len(beside) == len(grid)
    assert below
    assert all(left >= 0 and right <= grid[0][0] for _, left, right, _ in beside), beside
    assert all(left >= 0 and right <= 600 for _, left, right, _ in below), below
    assert all(before[2] < after[1] for before, after in itertools.pairwise(below)), below
    assert all(foot + 8 < y <= 230 for *_, y in below)


def test_of_labels_that_would_lie_on_one_another_the_first_stays():
    ticks = [Tick(0.0, "a first label"), Tick(0.05, "in its way"), Tick(0.5, "a second"), Tick(1.0, "the last label")]
    made = msgspec.structs.replace(chart([1, 2]), across=Scale(0.0, 1.0, ticks))
    _, feet, texts = axis(parsed(made))
    assert [text for text, *_ in texts[len(made.up.ticks) :]] == ["a first label", "a second", "the last label"]
    assert len(feet) == 4, "its place is marked all the same"


def test_the_drawing_says_how_many_points_it_has():
    assert draw(chart([1, None, 3]))[1] == 2
    assert draw(chart([]))[1] == 0


def test_a_line_leads_from_the_first_point_to_the_last_through_all():
    root = parsed(chart([3, 1]))
    (line,) = lines(root)
    first, last = ((f"{x:.1f}", f"{y:.1f}") for x, y in points(root))
    assert line == f"M{first[0]},{first[1]}L{last[0]},{last[1]}"


def test_a_line_over_a_gap_begins_anew_behind_it():
    (line,) = lines(parsed(chart([None, 1, 2, None, None, 3])))
    assert re.sub(r"[^ML]", "", line) == "MLM"


def test_many_points_are_smaller_and_few_are_not():
    few, many = (parsed(chart([float(n % 7) for n in range(count)])) for count in (300, 301))
    sizes = [{float(each.get("r")) for each in root.iter(f"{SVG}circle")} for root in (few, many)]
    assert len(sizes[0]) == len(sizes[1]) == 1
    assert 0 < max(sizes[1]) < max(sizes[0])


def two_series(count, **more):
    made = chart([float(n % 7) for n in range(count)], **more)
    other = msgspec.structs.replace(made.series[0], style=1)
    return msgspec.structs.replace(made, series=[*made.series, other])


def test_other_shapes_shrink_as_circles_do():
    shapes = [
        {re.sub(r"translate\(.*?\)", "", each.get("transform") or "") for each in parsed(made).iter(f"{SVG}path")}
        - {""}
        for made in (two_series(300), two_series(301))
    ]
    assert shapes[0] == set()
    (scaled,) = shapes[1]
    assert 0 < float(re.fullmatch(r" scale\((.+)\)", scaled)[1]) < 1


def test_all_series_share_the_number_of_points_that_a_chart_may_have():
    _, one = draw(chart([float(n % 7) for n in range(5000)], most_points=400))
    _, two = draw(two_series(5000, most_points=400))
    assert 200 < one <= 400
    assert 200 < two <= 400
    assert draw(chart([1.0] * 50, most_points=1))[1] == 2


def test_each_series_is_drawn_in_its_style():
    root = parsed(two_series(3))
    assert [each.get("class") for each in root.iter(f"{SVG}g") if (each.get("class") or "").startswith("s")] == [
        "s0",
        "s1",
    ]
    assert len(lines(root)) == 2
    assert len(points(root)) == 3


def test_a_thinned_line_has_no_gaps():
    values = [None if n % 2 else float(n % 7) for n in range(5000)]
    (line,) = lines(parsed(chart(values, most_points=400)))
    assert line.count("M") == 1


def test_points_of_thinned_series_lead_to_their_own_places():
    values = [0.0] * 3000
    values[1500] = 9.0
    root = parsed(chart(values, most_points=40, failed=[1500]))
    (cross,) = [each for each in root.iter(f"{SVG}a") if each[1].get("class") == "cross"]
    assert cross.get("href") == "/dags/1500"


def test_a_mark_lies_below_the_grid_at_its_time_and_leads_to_its_place():
    marks = [Mark(0.0, 7, "running"), Mark(2.0, 8, "failed"), Mark(1.0, 9, "none")]
    made = chart([1, 2, 3], marks=marks)
    root = parsed(made)
    _, feet, texts = axis(root)
    foot = feet[0][1]
    groups = {
        each.get("class"): each[0] for each in root.iter(f"{SVG}g") if (each.get("class") or "").startswith("mark")
    }
    assert {name: link.get("href") for name, link in groups.items()} == {
        "mark-running": "/dags/7",
        "mark-failed": "/dags/8",
        "mark-none": "/dags/9",
    }
    assert {link[0].text for link in groups.values()} == {"run 7", "run 8", "run 9"}
    where = {
        float(groups[name][1].get("cx")): float(groups[name][1].get("cy")) for name in ("mark-running", "mark-none")
    }
    crossed = re.fullmatch(r"translate\((.+),(.+)\)", groups["mark-failed"][1].get("transform"))
    where[float(crossed[1])] = float(crossed[2])
    lined = [(x, y) for x, y in points(root) if y <= foot]
    assert sorted(where) == [x for x, _ in lined]
    assert all(foot + 3 < y < texts[-1][3] - 8 for y in where.values()), "between the grid and its labels"


def test_two_marks_become_one_only_where_they_would_lie_on_one_another():
    near, apart = (
        parsed(chart([1.0] * 1000, marks=[Mark(at, 1, "none"), Mark(at + by, 2, "none")]))
        for at, by in ((0.0, 1.0), (0.0, 30.0))
    )
    titles = [
        [group[0][0].text for group in root.iter(f"{SVG}g") if group.get("class") == "mark-none"]
        for root in (near, apart)
    ]
    assert titles == [["2 without a value here; the last: run 2"], ["run 1", "run 2"]]


def shapes(svg):
    return re.findall(r'<circle[^>]*r="[\d.]+"/>|<path d="[^"]*" transform="[^"]*"/>', svg)


@pytest.mark.parametrize("style", range(STYLES))
def test_a_legend_shows_the_colour_and_shape_of_the_line(style):
    series = msgspec.structs.replace(chart([1, 2]).series[0], style=style)
    svg, _ = draw(msgspec.structs.replace(chart([1, 2]), series=[series]))
    of_legend, *of_points = [
        re.sub(r' (cx|cy|transform)="[^"]*"', "", shape) for shape in shapes(swatch(style)) + shapes(svg)
    ]
    assert of_points == [of_legend, of_legend]
    assert 'aria-hidden="true"' in swatch(style)
    for drawn in (svg, swatch(style)):
        assert f'<g class="s{style}"><path class="line" d="M' in drawn
