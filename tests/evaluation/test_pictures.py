"""Pictures say what the numbers say: places within their frame, names that can be read, areas that add up."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.pictures import Point, bars, risk_coverage_picture, scatter

POINTS = st.lists(
    st.builds(
        Point,
        st.sampled_from(["hybrid", "lexical", "a longer name of a configuration", "x"]),
        st.floats(0, 1),
        st.floats(0.01, 5000),
        st.sampled_from(["baseline", "better", "worse", "level"]),
    ),
    min_size=1,
    max_size=25,
)


def box(dot):
    wide = len(dot.point.name) * 7.3
    x, y = dot.label_at
    begins = {"start": x, "end": x - wide, "middle": x - wide / 2}[dot.anchor]
    return begins, y - 12, begins + wide, y + 3


@pytest.mark.parametrize("width", [350, 760])
@given(POINTS)
def test_points_lie_in_the_frame_in_their_order_and_names_do_not_overlap(width, points):
    found = scatter(points, width=width, height=340)

    for dot in found.dots:
        assert found.left <= dot.x <= found.right
        assert found.top <= dot.y <= found.bottom
    by_latency = sorted(found.dots, key=lambda dot: dot.point.latency_ms)
    assert [dot.x for dot in by_latency] == sorted(dot.x for dot in by_latency)
    by_quality = sorted(found.dots, key=lambda dot: -dot.point.quality)
    assert [dot.y for dot in by_quality] == sorted(dot.y for dot in by_quality)
    boxes = [box(dot) for dot in found.dots if dot.label_at]
    for number, one in enumerate(boxes):
        assert one[0] >= found.left
        assert one[2] <= width
        for other in boxes[:number]:
            assert one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]
    assert 2 <= len(found.y_ticks) <= 9
    assert len({tick.text for tick in found.y_ticks}) == len(found.y_ticks)


def test_latencies_far_apart_are_drawn_on_a_logarithmic_axis():
    points = [Point("a", 0.5, 1.0, "level"), Point("b", 0.6, 400.0, "level")]

    assert scatter(points, width=700, height=300).logarithmic
    assert not scatter([points[0], Point("b", 0.6, 3.0, "level")], width=700, height=300).logarithmic


@given(st.lists(st.floats(-1, 1), max_size=60))
def test_areas_begin_and_end_where_wins_and_losses_do(differences):
    largest = max(map(abs, differences), default=0.0)
    found = bars(differences, largest=largest)

    wins = sum(one > 0 for one in differences)
    losses = sum(one < 0 for one in differences)
    assert len(re.findall("H", found.wins)) == wins
    assert len(re.findall("H", found.losses)) == losses
    heights = [float(one) for one in re.findall(r"V(-?[\d.]+)H", found.wins + found.losses)]
    assert heights == sorted(heights)
    assert all(0 <= one <= found.height for one in heights)
    if losses:
        assert found.losses.endswith(f"H{found.width:.2f}V{found.zero:g}Z")
    assert found.wins_share * max(len(differences), 1) == pytest.approx(wins)


class TestRiskCoverage:
    @staticmethod
    def drawn(*curves, in_force=None):
        return risk_coverage_picture(curves, in_force, width=400, height=300)

    def test_the_ends_of_the_axes_are_the_frame(self):
        picture = self.drawn(("a", [(0.5, 0.0), (1.0, 0.5)]), in_force=(1.0, 0.5))
        assert picture.in_force == (picture.right, picture.top)
        assert picture.x_ticks[0].at == picture.left
        assert picture.x_ticks[-1].at == picture.right
        middle = (picture.left + picture.right) / 2
        assert picture.curves[0].path == (
            f"M{picture.left} {picture.bottom}H{middle}V{picture.bottom}H{picture.right}V{picture.top}"
        )

    def test_all_curves_share_one_scale(self):
        low, high = [(1.0, 0.1)], [(1.0, 0.4)]
        assert self.drawn(("a", low), ("b", high)).curves[0].path == self.drawn(("b", low), ("a", high)).curves[0].path

    def test_nothing_answered_and_no_risk_can_be_drawn(self):
        picture = self.drawn(("a", [(1.0, 0.0)]), ("b", []))
        assert picture.in_force is None
        assert picture.curves[1].path == ""
        assert picture.y_ticks[0].at == picture.bottom
