"""The section Schedules of the page Denoising."""

from tests.app.pages import Copies, Show, figures, numbers, text

SECTION = {"denoising-section": "Schedules"}


def test_a_learned_schedule_stands_beside_fixed_ones_without_pure_noise(page: Show) -> None:
    schedule, *_ = figures(page("denoising", "ddpm", **SECTION))
    assert [trace["name"] for trace in schedule["data"]] == ["DDPM, cosine", "ddpm, learned"]
    assert len(numbers(schedule["data"][1]["y"])) == 10  # of eleven; the last is pure noise


def test_the_mean_over_time_is_that_of_vdm_alone(show: Show, copied: Copies) -> None:
    folder, (_, _, ddpm) = copied
    said = text(show(folder, "denoising", [ddpm.id], **SECTION))
    assert "not that of the likelihood of ddpm, a sum over its steps" in said and "vdm" not in said
    ddpm.update_info(method="vdm")
    said = text(show(folder, "denoising", [ddpm.id], **SECTION))
    assert "as in the likelihood of vdm" in said and "not that of the likelihood" not in said
