from pathlib import Path

import pytest
from jinja2 import UndefinedError

from detkit.visualization.html import render, three_decimals

ROOT = Path(__file__).parents[2]


def test_values_are_escaped():
    text = render("page.html.j2", title="<script>alert('&')</script>")
    assert "<script>" not in text
    assert text.count("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;") == 2


def test_styles_are_part_of_the_page():
    text = render("page.html.j2", title="a")
    assert "prefers-color-scheme: dark" in text
    assert "<link" not in text


def test_a_missing_value_is_an_error():
    with pytest.raises(UndefinedError, match="'title' is undefined"):
        render("page.html.j2")


def test_numbers_without_a_value_are_dashes():
    assert [three_decimals(x) for x in (0.12345, float("nan"))] == ["0.123", "–"]  # noqa: RUF001


def test_a_wheel_contains_the_templates():
    wheel = pytest.importorskip("hatchling.builders.wheel")
    files = {
        file.distribution_path
        for file in wheel.WheelBuilder(str(ROOT)).recurse_included_files()
        if "templates" in file.distribution_path
    }
    templates = (ROOT / "detkit/visualization/templates").iterdir()
    assert {f"detkit/visualization/templates/{file.name}" for file in templates} <= files
