"""The page Reconstructions."""

import numpy as np

from app.state import run_folder
from tests.app.pages import Folder, Show, text
from workbench import palette
from workbench.store import Run


def test_untrained_networks_draw_in_grey_beside_the_other_baselines(page: Show) -> None:
    said = text(page("reconstructions", "vae", "ddpm"))
    for label, small in (("untrained:vae", "1.4M parameters"), ("untrained:ddpm", "t=100, 3.96M parameters")):
        assert f'background:{palette.GREY}"></span> {label}<small>{small}</small>' in said
    assert said.index("untrained:vae") < said.index("untrained:ddpm") < said.index("mean image")


def test_reconstructions_are_sorted_by_error_and_by_noise_level(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "reconstructions", [ids["ddpm"]])
    app.segmented_control(key="order").set_value("error").run()
    run = Run(folder / ids["ddpm"])
    errors = run.array("reconstruction-error-run-t=100")
    assert errors is not None
    worst = f"{-10 * np.log10(errors.max()):.1f}"
    page = text(app)
    assert page.index(f"<figcaption>{worst}</figcaption>") == page.index("<figcaption>")
    place = run_folder.content(folder).place[ids["ddpm"]]
    app.segmented_control(key=f"variant-{place}").set_value("t=500").run()
    assert text(app) != page and not app.exception
