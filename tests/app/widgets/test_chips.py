"""The line on top of every page: chips of the chosen groups of seeds."""

from pathlib import Path
from typing import Any

import pytest

from app.reading import files
from tests.app.app_fixture import THREE, evaluate, make_probe, make_run, set_status
from tests.app.pages import Folder, Show, button, chip_labels, figures, open_chip, parameter, text
from workbench.store import Run


def short(run_id: str) -> str:
    return run_id[-4:]


def test_choice_before_anybody_chose_is_the_evaluated_run_of_each_method(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "linear_probe")
    assert parameter(app, "runs") == ",".join(short(ids[method]) for method in THREE)


def test_a_chip_opens_and_removes_its_group(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "linear_probe", [ids["mocov3"], ids["vae"], ids["ddpm"]])
    assert chip_labels(app) == ["mocov3", "vae", "ddpm"]
    open_chip(app, ids["mocov3"])
    assert short(ids["mocov3"]) in app.get("button_group")[0].proto.options[0].content
    button(app, "Remove").click().run()
    assert parameter(app, "runs") == f"{short(ids['vae'])},{short(ids['ddpm'])}"
    assert chip_labels(app) == ["vae", "ddpm"]


@pytest.fixture
def seeded(tmp_path: Path) -> list[Run]:
    """Two groups, of three seeds and of one, with evaluations."""
    probe = make_probe(tmp_path, "fixture01")
    runs = [make_run(tmp_path, "mocov3", lr=0.1, seed=seed) for seed in range(3)]
    runs.append(make_run(tmp_path, "vae", lr=0.1))
    for index, run in enumerate(runs):
        evaluate(run, probe, {other.id: "mocov3" for other in runs if other is not run})
        content = run.evaluation("linear")
        for row in content["rows"]:
            row["value"] += index if row["model"] == "run" else 0
        run.write_evaluation("linear", content)
        set_status(run, "finished", linear=70.0)
    return runs


def test_a_ticked_run_chooses_its_group_in_the_sense_of_the_switch(
    tmp_path: Path, seeded: list[Run], show: Show
) -> None:
    ticked = [seeded[1].id, seeded[3].id]
    app = show(tmp_path, "linear_probe", ticked)
    assert chip_labels(app) == ["mocov3 (3 seeds)", "vae"]
    every = [dot for dot in figures(app)[0]["data"] if str(dot.get("name")).startswith("mocov3")]
    assert any("mocov3 (3 seeds)" in str(dot["name"]) for dot in every)
    app.toggle(key="all-seeds").set_value(False).run()
    assert chip_labels(app) == ["mocov3", "vae"] and not app.exception
    assert not any("seeds)" in str(dot.get("name")) for dot in figures(app)[0]["data"])
    assert parameter(app, "runs") == ",".join(map(short, ticked))


def test_the_popover_includes_seeds_and_says_which_one_stands_for_the_group(
    tmp_path: Path, seeded: list[Run], show: Show
) -> None:
    app = show(tmp_path, "similarity", [seeded[0].id], **{"all-seeds": "false"})
    open_chip(app, seeded[0].id)
    included: Any = app.get("button_group")[0]
    assert [option.content for option in included.proto.options] == [
        f"seed {seed} \N{MIDDLE DOT} {short(run.id)}" for seed, run in enumerate(seeded[:3])
    ]
    included.set_value([seeded[0].id, seeded[2].id]).run()
    assert parameter(app, "runs") == f"{short(seeded[0].id)},{short(seeded[2].id)}"
    assert chip_labels(app) == ["mocov3 (2 seeds)"]
    assert f"One seed per model: mocov3 seed 0 ({short(seeded[0].id)}) of 2." in text(app)


def test_a_group_is_shown_by_a_seed_that_has_what_the_page_shows(tmp_path: Path, seeded: list[Run], show: Show) -> None:
    (seeded[0].path / "evaluations" / "similarity.json").unlink()
    files._parsed.cache_clear()
    app = show(tmp_path, "similarity", [seeded[0].id])
    assert f"seed 1 ({short(seeded[1].id)}) of 3" in text(app)
