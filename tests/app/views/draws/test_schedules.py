"""The page Schedules."""

from tests.app.pages import Copies, Show, figures, numbers, text


def test_a_learned_schedule_stands_beside_fixed_ones_without_pure_noise(page: Show) -> None:
    schedule, *_ = figures(page("schedules", "ddpm"))
    assert [trace["name"] for trace in schedule["data"]] == ["DDPM, cosine", "ddpm, learned"]
    assert len(numbers(schedule["data"][1]["y"])) == 10  # of eleven; the last is pure noise


def test_the_mean_over_time_is_that_of_vdm_alone(show: Show, copied: Copies) -> None:
    folder, (_, _, ddpm) = copied
    said = text(show(folder, "schedules", [ddpm.id]))
    assert "not that of the likelihood of ddpm, a sum over its steps" in said and "vdm" not in said
    ddpm.update_info(method="vdm")
    said = text(show(folder, "schedules", [ddpm.id]))
    assert "as in the likelihood of vdm" in said and "not that of the likelihood" not in said
