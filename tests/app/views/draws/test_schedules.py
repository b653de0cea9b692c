"""The page Schedules."""

from pathlib import Path

from tests.app.pages import Folder, Show, figures, numbers, text
from workbench.store import Run


def test_a_learned_schedule_stands_beside_fixed_ones_without_pure_noise(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    schedule, *_ = figures(show(folder, "schedules", [ids["ddpm"]]))
    assert [trace["name"] for trace in schedule["data"]] == ["DDPM, cosine", "ddpm, learned"]
    assert len(numbers(schedule["data"][1]["y"])) == 10  # of eleven; the last is pure noise


def test_the_mean_over_time_is_that_of_vdm_alone(show: Show, copied: tuple[Path, list[Run]]) -> None:
    folder, (_, _, ddpm) = copied
    said = text(show(folder, "schedules", [ddpm.id]))
    assert "not that of the likelihood of ddpm, a sum over its steps" in said and "vdm" not in said
    ddpm.update_info(method="vdm")
    said = text(show(folder, "schedules", [ddpm.id]))
    assert "as in the likelihood of vdm" in said and "not that of the likelihood" not in said
