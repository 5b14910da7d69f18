"""The drawing: no extreme is hidden, no text leaves its place, and what has no value is marked."""

import random
import re

import pytest
from defusedxml import ElementTree

from airflow_nbjobs.core.chart.drawing import STYLES, Chart, Mark, Series, draw, swatch
from airflow_nbjobs.core.chart.scales import number_scale, time_scale
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
