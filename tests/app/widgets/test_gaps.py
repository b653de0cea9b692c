"""What is missing: which commands are offered, and which are not."""

import pytest

from app.widgets import gaps
from tests.app.pages import Copies, Show, text
from workbench.methods import METHODS, load_method
from workbench.methods.capabilities import Denoises, Latent


def test_only_what_is_missing_is_made_where_the_rest_is_there(show: Show, copied: Copies) -> None:
    folder, (_, _, ddpm) = copied
    (ddpm.path / "evaluations" / "denoising.json").unlink()
    assert f"workbench evaluate {ddpm.id}" in text(show(folder, "denoising", [ddpm.id]))
    assert "--only denoising" in text(show(folder, "denoising", [ddpm.id]))


@pytest.mark.parametrize("view", ["denoising", "parametrisations", "schedules", "latent"])
def test_no_command_is_offered_for_what_a_method_cannot_have(show: Show, copied: Copies, view: str) -> None:
    folder, (_, vae, ddpm) = copied
    run, task = (ddpm, "latent") if view == "latent" else (vae, "denoising")
    (run.path / "evaluations" / f"{task}.json").unlink()
    said = text(show(folder, view, [run.id]))
    assert "workbench evaluate" not in said
    assert ("ddpm has no latent variables" if view == "latent" else "vae is no diffusion model") in said


@pytest.mark.parametrize(("task", "kind"), [("denoising", Denoises), ("latent", Latent)])
def test_the_methods_of_an_evaluation_are_those_that_can(task: str, kind: type) -> None:
    assert {name for name in METHODS if issubclass(load_method(name)[0], kind)} == set(gaps.ONLY[task][0])
