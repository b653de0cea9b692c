"""The page Differences."""

from tests.app.pages import Folder, Show, text


def test_differences_show_what_differs_and_how_to_repeat_it(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "differences", [ids["mocov3"], ids["bare"]])
    table = text(app)
    assert "optim.lr" in table and "<mark>0.003</mark>" in table
    assert "batch_size" not in table
    assert f"workbench train mocov3 --config {folder / ids['bare'] / 'config.yaml'}" in table
    app.toggle(key="same").set_value(True).run()
    assert "batch_size" in text(app)
