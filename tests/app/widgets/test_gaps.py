"""What is missing: what a method cannot, what came later, what is not evaluated yet, and the commands."""

import pytest

from app.reading.choice import Choice
from app.views.draws import denoising
from app.widgets import gaps
from app.widgets.gaps import Gap
from tests.app.pages import Copies, Show, text
from workbench.methods import METHODS, load_method
from workbench.methods.capabilities import Denoises, Latent
from workbench.store import Run

SECTIONS = ("Images", "Four views", "Schedules")


def choice_of(run: Run) -> Choice:
    return Choice(run, 0, "#0072B2", run.id, run.summary())


def test_each_kind_of_gap_has_its_own_message(show: Show, copied: Copies) -> None:
    folder, (_, vae, ddpm) = copied
    (ddpm.path / "evaluations" / "denoising.json").unlink()
    assert gaps.gap(choice_of(ddpm), "denoising") == (Gap.EARLIER, "")
    earlier = text(show(folder, "denoising", [ddpm.id]))
    assert "Evaluated with an earlier version" in earlier and f"evaluate {ddpm.id} --only denoising" in earlier
    for file in (ddpm.path / "evaluations").glob("*.json"):
        file.unlink()
    assert gaps.gap(choice_of(ddpm), "denoising") == (Gap.ABSENT, "")
    absent = text(show(folder, "denoising", [ddpm.id]))
    assert "Not evaluated yet" in absent and f"evaluate {ddpm.id}" in absent and "--only" not in absent
    assert gaps.gap(choice_of(vae), "denoising")[0] == Gap.CANNOT
    cannot = text(show(folder, "denoising", [vae.id]))
    assert "Not available for vae" in cannot and "workbench evaluate" not in cannot
    for said, others in (
        (earlier, ("Not evaluated", "Not avail")),
        (absent, ("with an earlier version", "Not avail")),
        (cannot, ("Not eval", "with an earlier version")),
    ):
        assert not any(words in said for words in others)


def test_what_an_earlier_version_measured_otherwise_is_measured_anew(show: Show, copied: Copies) -> None:
    folder, (mocov3, *_) = copied
    mocov3.write_evaluation("agreement", {"rows": []})
    said = text(show(folder, "agreement", [mocov3.id]))
    assert "Evaluated with an earlier version" in said and "--only agreement" in said


def test_tabs_say_why_they_have_nothing(copied: Copies) -> None:
    _, (_, vae, ddpm) = copied
    both = [choice_of(vae), choice_of(ddpm)]
    assert gaps.tab_reason(denoising, both) == gaps.tab_reason(denoising, []) == ""
    assert "diffusion model" in gaps.tab_reason(denoising, both[:1])
    (ddpm.path / "evaluations" / "denoising.json").unlink()
    assert "with an earlier version" in gaps.tab_reason(denoising, both)
    for file in (ddpm.path / "evaluations").glob("*.json"):
        file.unlink()
    assert "not evaluated yet" in gaps.tab_reason(denoising, both)


@pytest.mark.parametrize("section", [*SECTIONS, None])
def test_no_command_is_offered_for_what_a_method_cannot_have(show: Show, copied: Copies, section: str | None) -> None:
    folder, (_, vae, ddpm) = copied
    run, task = (vae, "denoising") if section else (ddpm, "latent")
    (run.path / "evaluations" / f"{task}.json").unlink()
    parameters = {denoising.SECTION: section} if section else {}
    said = text(show(folder, task, [run.id], **parameters))
    assert "workbench evaluate" not in said
    assert ("a diffusion model" if section else "has no latent variables") in said


@pytest.mark.parametrize(("task", "kind"), [("denoising", Denoises), ("latent", Latent)])
def test_the_methods_of_an_evaluation_are_those_that_can(task: str, kind: type) -> None:
    assert {name for name in METHODS if issubclass(load_method(name)[0], kind)} == set(gaps.ONLY[task][0])
