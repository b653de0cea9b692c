"""The pages on generative models: what they say and draw of invented evaluations."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.figures import noise_levels, stacked_bars
from app.figures.stacked_bars import Stack, Term
from app.reading.curve import Curve
from app.widgets import gaps, protocol_line
from tests.app.generative_fixture import COLLAPSE, TERMS
from tests.app.views.test_views import Folder, Show, figures, numbers, text
from workbench.methods import METHODS, load_method
from workbench.methods.capabilities import Denoises, Latent
from workbench.store import Run, probe_of


def test_parts_add_up_to_the_sum_and_negative_ones_lie_left_of_zero() -> None:
    parts = [Term("prior", 2.0), Term("diffusion", -1.5), Term("dequantisation", 3.0)]
    drawn = stacked_bars.stacked_bars(
        [Stack("a", "#0072B2", parts, 3.5, 3.4, 3.6, "estimate", "\N{ALMOST EQUAL TO} ")], "bits"
    )
    figure = drawn.to_dict()
    assert figure["layout"]["barmode"] == "relative"
    heights = [trace["x"][0] for trace in figure["data"] if trace["type"] == "bar"]
    dot = next(trace for trace in figure["data"] if trace["type"] == "scatter")
    assert sum(heights) == pytest.approx(dot["x"][0]) and figure["layout"]["xaxis"]["range"][0] < -1.5
    assert 5.0 < figure["layout"]["xaxis"]["range"][1] < 6.5  # as far as both positive parts reach, and no further
    assert dot["error_x"]["array"][0] == pytest.approx(0.1)
    assert "\N{ALMOST EQUAL TO} 3.5" in figure["layout"]["annotations"][0]["text"]


def test_bands_surround_their_curves() -> None:
    x, y = np.arange(3.0), np.array([1.0, 10.0, 100.0])
    figure = noise_levels.level_curves([Curve("a", "#0072B2", x, y, y / 2, 2 * y)], "x", "y", log=True).to_dict()
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
    assert {"sum", "kl", "prior"} <= set(table["term"]) and "untrained:vae of vae" in set(table["model"])
    written = [note["text"] for note in classes["layout"]["annotations"]]
    assert "chance 20" in written and "pixels 33" in written  # of five classes; of the linear probe's evaluation


def test_a_run_evaluated_before_there_were_terms_has_its_sum(show: Show, copied: tuple[Path, list[Run]]) -> None:
    folder, (_, vae, _) = copied
    row = {"model": "run", "metric": "bits_per_dim", "value": 3.3, "low": 3.2, "high": 3.4, "kind": "lower bound"}
    vae.write_evaluation("likelihood", {"rows": [row], "n": 5, "protocol": "old"})
    app = show(folder, "likelihood", [vae.id])
    assert not app.exception and "\N{LESS-THAN OR EQUAL TO} 3.3" in figures(app)[0]["layout"]["annotations"][0]["text"]


def test_a_sum_that_is_no_number_is_not_an_importance_weighted_bound(
    show: Show, copied: tuple[Path, list[Run]]
) -> None:
    folder, (_, vae, ddpm) = copied
    content = vae.evaluation("likelihood")
    for row in content["rows"]:
        if row["model"] == "run" and row["kind"] == "lower bound" and "term" not in row:
            row["value"] = None
    vae.write_evaluation("likelihood", content)
    app = show(folder, "likelihood", [vae.id, ddpm.id])
    assert not app.exception and "vae: its likelihood was evaluated, but its sum is missing" in text(app)
    assert "workbench evaluate" not in text(app)
    names = [trace["name"] for trace in figures(app)[0]["data"]]
    assert "ddpm, sum" in names and not any(name.startswith("vae") for name in names)


def test_untrained_networks_of_two_runs_are_told_apart(show: Show, copied: tuple[Path, list[Run]]) -> None:
    folder, (_, vae, _) = copied
    other = Run(shutil.copytree(vae.path, folder / "another"))
    other.update_summary(name="wider")
    table = show(folder, "likelihood", [vae.id, other.id]).dataframe[0].value
    assert {"untrained:vae of vae", "untrained:vae of wider"} <= set(table["model"])
    assert list(table["model"]).count("pixels") == 2  # once, though both runs have them


def test_protocols_are_told_once_with_the_names_of_those_that_differ(
    show: Show, copied: tuple[Path, list[Run]]
) -> None:
    folder, (_, vae, ddpm) = copied
    middles = (
        "Kind: lower bound. Scaled to [-1, 1]; nothing is dequantised.",
        "Kind: estimate. Scaled to [-1, 1]; by an ODE.",
    )
    first, last = (f"Negative log-likelihood, in bits. {middle} 95 % over images." for middle in middles)
    assert protocol_line.once({"a": first, "b": last, "c": first}) == [
        "Negative log-likelihood, in bits. Scaled to [-1, 1]; 95 % over images",
        "a, c: Kind: lower bound. nothing is dequantised",
        "b: Kind: estimate. by an ODE",
    ]
    assert protocol_line.once({"a": first}) == [first.rstrip(".")] and protocol_line.once({}) == []
    assert protocol_line.once({"a": "x; y.", "b": "x."}) == ["x", "a: y"]
    for run, said in ((vae, first), (ddpm, last)):
        run.write_evaluation("likelihood", run.evaluation("likelihood") | {"protocol": said})
    said = text(show(folder, "likelihood", [vae.id, ddpm.id]))
    assert said.count("Negative log-likelihood, in bits") == 1 and "ddpm: Kind: estimate. by an ODE" in said


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
    app = show(folder, "parametrisations", [ids["ddpm"]])
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


@pytest.mark.parametrize("view", ["denoising", "parametrisations", "schedules", "latent"])
def test_no_command_is_offered_for_what_a_method_cannot_have(
    show: Show, copied: tuple[Path, list[Run]], view: str
) -> None:
    folder, (_, vae, ddpm) = copied
    run, task = (ddpm, "latent") if view == "latent" else (vae, "denoising")
    (run.path / "evaluations" / f"{task}.json").unlink()
    said = text(show(folder, view, [run.id]))
    assert "workbench evaluate" not in said
    assert ("ddpm has no latent variables" if view == "latent" else "vae is no diffusion model") in said


@pytest.mark.parametrize(("task", "kind"), [("denoising", Denoises), ("latent", Latent)])
def test_the_methods_of_an_evaluation_are_those_that_can(task: str, kind: type) -> None:
    assert {name for name in METHODS if issubclass(load_method(name)[0], kind)} == set(gaps.ONLY[task][0])


@pytest.mark.parametrize("kind", [np.float32, np.int64, "five channels"])
def test_arrays_that_are_no_images_are_left_out(show: Show, copied: tuple[Path, list[Run]], kind: Any) -> None:
    folder, runs = copied
    for run in runs:
        for file in (run.path / "arrays").glob("*.npy"):
            array = np.load(file)
            if array.dtype == np.uint8 and array.ndim > 3:
                other = array.astype(kind) if kind != "five channels" else np.repeat(array[..., :1], 5, axis=-1)
                run.write_array(file.stem, other)
    for view, role in (
        ("samples", 2),
        ("latent", 1),
        ("reconstructions", 2),
        ("denoising", 2),
        ("parametrisations", 2),
    ):
        app = show(folder, view, [runs[role].id])
        assert not app.exception and "<img" not in text(app) and f"workbench evaluate {runs[role].id}" in text(app)


def samplers(app: AppTest) -> dict[str, list[str]]:
    """What the boxes above the grids offer, by what they choose; of two with one name the last."""
    return {box.label: box.options for box in app.selectbox if box.label in ("Probe set", "Sampler")}


def test_samples_of_other_data_are_not_compared_and_images_may_have_no_labels(
    show: Show, copied: tuple[Path, list[Run]]
) -> None:
    folder, (_, vae, ddpm) = copied
    app = show(folder, "samples", [vae.id])
    assert samplers(app) == {"Probe set": ["every class · 240 images"], "Sampler": ["prior · 36 images in 0.033 s"]}
    (probe_of(folder, "fixture01").path / "labels.npy").unlink()
    ddpm.update_info(data=ddpm.info()["data"] | {"fingerprint": "other"})
    app = show(folder, "samples", [vae.id, ddpm.id])
    assert not app.exception and "Trained on other images than vae" in app.warning[0].value
    assert samplers(app) == {"Probe set": ["240 images"], "Sampler": ["prior · 36 images in 0.033 s"]}  # not ddpm's


def test_the_mean_over_time_is_that_of_vdm_alone(show: Show, copied: tuple[Path, list[Run]]) -> None:
    folder, (_, _, ddpm) = copied
    said = text(show(folder, "schedules", [ddpm.id]))
    assert "not that of the likelihood of ddpm, a sum over its steps" in said and "vdm" not in said
    ddpm.update_info(method="vdm")
    said = text(show(folder, "schedules", [ddpm.id]))
    assert "as in the likelihood of vdm" in said and "not that of the likelihood" not in said


def test_pictures_of_another_number_of_levels_are_left_out(show: Show, copied: tuple[Path, list[Run]]) -> None:
    folder, (_, _, ddpm) = copied
    file = ddpm.path / "evaluations" / "denoising.json"
    content = json.loads(file.read_text())
    content["levels"] = content["levels"][:-1]
    file.write_text(json.dumps(content))
    for view in ("denoising", "parametrisations"):
        app = show(folder, view, [ddpm.id])
        assert not app.exception and "<img" not in text(app)
