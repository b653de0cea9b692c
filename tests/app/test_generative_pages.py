"""The pages on generative models: what they say and draw of invented evaluations."""

import json
from pathlib import Path

import numpy as np
import pytest

from app import noise_levels, stacks
from app.noise_levels import Line
from app.stacks import Part, Stack
from tests.app.generative_fixture import COLLAPSE, TERMS
from tests.app.test_views import Folder, Show, figures, numbers, text
from workbench.store import Run


def test_parts_add_up_to_the_sum_and_negative_ones_lie_left_of_zero() -> None:
    parts = [Part("prior", 2.0), Part("diffusion", -1.5), Part("dequantisation", 3.0)]
    drawn = stacks.bars([Stack("a", "#0072B2", parts, 3.5, 3.4, 3.6, "estimate", "\N{ALMOST EQUAL TO} ")], "bits")
    figure = drawn.to_dict()
    assert figure["layout"]["barmode"] == "relative"
    heights = [trace["x"][0] for trace in figure["data"] if trace["type"] == "bar"]
    dot = next(trace for trace in figure["data"] if trace["type"] == "scatter")
    assert sum(heights) == pytest.approx(dot["x"][0]) and figure["layout"]["xaxis"]["range"][0] < -1.5
    assert figure["layout"]["xaxis"]["range"][1] > 5.0  # both positive parts are seen in full
    assert dot["error_x"]["array"][0] == pytest.approx(0.1)
    assert "\N{ALMOST EQUAL TO} 3.5" in figure["layout"]["annotations"][0]["text"]


def test_bands_surround_their_curves() -> None:
    x, y = np.arange(3.0), np.array([1.0, 10.0, 100.0])
    figure = noise_levels.by_level([Line("a", "#0072B2", x, y, y / 2, 2 * y)], "x", "y", log=True).to_dict()
    band, line = figure["data"]
    np.testing.assert_allclose(band["y"], [2, 20, 200, 50, 5, 0.5])
    np.testing.assert_allclose(numbers(line["y"]), y)
    assert figure["layout"]["yaxis"]["type"] == "log" and figure["layout"]["annotations"][0]["text"] == "a"


def test_every_sum_says_what_it_is_and_collapse_is_named(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "likelihood", [ids[role] for role in ("mocov3", "vae", "ddpm")])
    said, (bars, classes) = text(app), figures(app)
    assert COLLAPSE in said and "mocov3 does not say how probable" in said
    notes = " ".join(note["text"] for note in bars["layout"]["annotations"])
    assert notes.count("lower bound") == 2 and notes.count("exact") == 2 and "\N{LESS-THAN OR EQUAL TO} 3.3" in notes
    names = [trace["name"] for trace in bars["data"]]
    for method, terms in TERMS.items():
        assert all(f"{method} {term}" in names for term in terms)
    assert "vae, 50 importance samples" in names
    assert [trace["name"] for trace in classes["data"]] == ["ddpm by likelihood", "ddpm linear probe"]
    table = app.dataframe[0].value
    assert {"sum", "kl", "prior"} <= set(table["term"]) and "untrained:vae" in set(table["model"])


def test_a_run_evaluated_before_there_were_terms_has_its_sum(show: Show, copied: tuple[Path, list[Run]]) -> None:
    folder, (_, vae, _) = copied
    row = {"model": "run", "metric": "bits_per_dim", "value": 3.3, "low": 3.2, "high": 3.4, "kind": "lower bound"}
    vae.write_evaluation("likelihood", {"rows": [row], "n": 5, "protocol": "old"})
    app = show(folder, "likelihood", [vae.id])
    assert not app.exception and "\N{LESS-THAN OR EQUAL TO} 3.3" in figures(app)[0]["layout"]["annotations"][0]["text"]


def test_one_image_at_every_level_and_every_image_at_one(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "denoising", [ids["ddpm"]])
    said = text(app)
    assert "ln\N{NO-BREAK SPACE}SNR\N{NO-BREAK SPACE}\N{MINUS SIGN}5.0" in said and "estimate of x0" in said
    film = said.count("<img")
    assert film == 3 * 5 + 3 * 4  # original, x_t and estimate; five levels, then four images
    moved = app.slider[0].set_value(2).run()
    assert not moved.exception and text(moved) != said
    levels = app.select_slider[0].set_value("2.0").run()
    assert not levels.exception and "x_t at ln\N{NO-BREAK SPACE}SNR\N{NO-BREAK SPACE}2.0" in text(levels)
    eps, image = figures(app)
    references = [[trace["name"] for trace in figure["data"]][-1] for figure in (eps, image)]
    assert references == ["guess 0", "mean image"]


def test_four_readings_above_what_is_true_and_how_far_they_agree(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "four_views", [ids["ddpm"]])
    said = text(app)
    assert "predicts v" in said and said.count("what it was trained to say") == 1 and "at most 2e-14" in said
    assert said.count("<img") == 5 * (1 + 2 * 4)
    assert text(app.toggle[0].set_value(False).run()).count("<img") == 5 * (1 + 4)
    (figure,) = figures(app)
    np.testing.assert_allclose(numbers(figure["data"][0]["y"]), 2e-14)


def test_a_learned_schedule_stands_beside_fixed_ones_without_pure_noise(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    schedule, *_ = figures(show(folder, "schedules", [ids["ddpm"]]))
    assert [trace["name"] for trace in schedule["data"]] == ["DDPM, cosine", "ddpm, learned"]
    assert len(numbers(schedule["data"][1]["y"])) == 10  # of eleven; the last is pure noise


def test_latent_variables_are_sorted_and_walked_along(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "latent", [ids["vae"], ids["ddpm"]])
    said = text(app)
    assert COLLAPSE in said and "z, number 3" in said and "2.00 nats" in said and "ddpm has no latent" in said
    np.testing.assert_allclose(numbers(figures(app)[0]["data"][0]["y"]), [3, 2, 1, 1e-5])
    assert said.count("<img") == 2 * 5 + 7 + 2 * 7


def test_only_what_is_missing_is_made_where_the_rest_is_there(show: Show, copied: tuple[Path, list[Run]]) -> None:
    folder, (_, _, ddpm) = copied
    (ddpm.path / "evaluations" / "denoising.json").unlink()
    assert f"workbench evaluate {ddpm.id}" in text(show(folder, "denoising", [ddpm.id]))
    assert "--only denoising" in text(show(folder, "denoising", [ddpm.id]))


def test_pictures_of_another_number_of_levels_are_left_out(show: Show, copied: tuple[Path, list[Run]]) -> None:
    folder, (_, _, ddpm) = copied
    file = ddpm.path / "evaluations" / "denoising.json"
    content = json.loads(file.read_text())
    content["levels"] = content["levels"][:-1]
    file.write_text(json.dumps(content))
    for view in ("denoising", "four_views"):
        app = show(folder, view, [ddpm.id])
        assert not app.exception and "<img" not in text(app)
