"""Contrasts by WCAG 2.2 (1.4.3 text, 1.4.11 graphics); order of the steps in grey."""

from __future__ import annotations

import itertools
import re
from importlib import resources

import pytest

from harmless.report.shell import palette

THEMES = ("light", "dark")


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_has_the_highest_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("text", ["ink", "soft", "accent", "good", "warn", "bad"])
@pytest.mark.parametrize("ground", ["bg", "surface", "sunk"])
def test_text_can_be_read(theme: str, text: str, ground: str) -> None:
    colours = palette()[theme]
    assert contrast(colours[text], colours[ground]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("number", range(7))
def test_text_on_each_step_can_be_read(theme: str, number: int) -> None:
    colours = palette()[theme]
    assert contrast(colours[f"t{number}"], colours[f"s{number}"]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("mark", ["before", "accent", "strong", "bad"])
def test_marks_and_borders_of_controls_stand_out(theme: str, mark: str) -> None:
    colours = palette()[theme]
    assert contrast(colours[mark], colours["surface"]) >= 3


@pytest.mark.parametrize("theme", THEMES)
def test_the_steps_keep_their_order_without_colour(theme: str) -> None:
    steps = [palette()[theme][f"s{i}"] for i in range(7)]
    lights = [luminance(colour) for colour in steps]
    assert lights == sorted(lights, reverse=theme == "light")
    assert min(contrast(a, b) for a, b in itertools.pairwise(steps)) >= 1.1


def test_both_themes_have_the_same_colours() -> None:
    assert palette()["light"].keys() == palette()["dark"].keys()


def test_the_style_sheet_uses_only_colours_that_exist() -> None:
    style = (resources.files("harmless.report") / "templates" / "style.css").read_text()
    own = {"fill", "on", "edge", "tone"}
    assert set(re.findall(r"var\(--([\w-]+)\)", style)) - own <= palette()["light"].keys()
