"""The line on top of every page: chips of the chosen runs."""

from tests.app.pages import Folder, Show, parameter


def test_choice_before_anybody_chose_is_the_evaluated_run_of_each_method(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "linear_probe")
    expected = ",".join(f"{ids[method]}:{index}" for index, method in enumerate(("mocov3", "vae", "ddpm")))
    assert parameter(app, "runs") == expected


def test_a_chip_removes_its_run_and_the_others_keep_their_colours(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "linear_probe", [ids["mocov3"], ids["vae"], ids["ddpm"]])
    app.button(key="chip_0").click().run()
    assert parameter(app, "runs") == f"{ids['vae']}:1,{ids['ddpm']}:2"
    assert [button.label for button in app.button] == ["vae", "ddpm"]
