"""Runs of two data sets: pages show those of one and say so; ids and baselines of the other are not mixed in."""

import json
import shutil

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.pages import Copies, Show, figures, parameter, plain, probe_arrays, text
from tests.app.probes_fixture import layer_rows, write_price
from workbench.files import write_array, write_json
from workbench.store import Run, probe_of


@pytest.fixture
def two(copied: Copies) -> Copies:
    """mocov3 and vae on one data set; ddpm on another, whose ids are the same numbers and whose pixels do better."""
    folder, runs = copied
    for run, method in zip(runs, ("mocov3", "vae", "ddpm"), strict=True):
        run.write_evaluation("layers", {"protocol": "probes", "n": 1000, "rows": layer_rows(method)})
        write_price(run, method)
    other = runs[2]
    other.update_info(data=other.info()["data"] | {"fingerprint": "other"})
    shutil.copytree(probe_of(folder, "fixture01").path, probe_of(folder, "other").path)
    probe = probe_of(folder, "other")
    write_array(probe.path / "ids.npy", probe_arrays(folder)[0][::-1].copy())
    write_json(probe.path / "probe.json", probe.info() | {"fingerprint": "other"})
    for name in ("linear", "knn", "layers", "few_labels", "factors"):
        content = other.evaluation(name)
        for row in content["rows"]:
            if row["model"] == "pixels":
                row["value"] = 99.0
        other.write_evaluation(name, content)
    return folder, runs


@pytest.mark.parametrize("view", ["linear_probe", "layers", "labels_and_cost", "factors"])
def test_numbers_of_other_data_are_not_shown_and_that_is_said(show: Show, two: Copies, view: str) -> None:
    folder, runs = two
    app = show(folder, view, [run.id for run in runs])
    (warning,) = app.warning
    assert "trained on other data than mocov3" in warning.value and "ddpm" in warning.value
    drawn = json.dumps(figures(app))
    assert "mocov3" in drawn and "ddpm" not in drawn and "pixels 99" not in drawn
    assert "pixels 33" in drawn or view == "factors"


def test_curves_have_a_line_of_pixels_for_each_data_set(show: Show, two: Copies) -> None:
    folder, runs = two
    for chosen, names in ((runs, {"pixels of mocov3's data", "pixels of ddpm's data"}), (runs[:2], {"pixels"})):
        app = show(folder, "curves", [run.id for run in chosen])
        written = [note["text"] for note in figures(app)[0]["layout"]["annotations"] if "pixels" in note["text"]]
        assert set(written) == names


def test_each_network_has_its_own_untrained_curve(show: Show, copied: Copies) -> None:
    folder, (one, *_) = copied
    other = Run(shutil.copytree(one.path, folder / "another"))
    other.update_summary(name="wider")
    for run in (one, other):
        write_price(run, "mocov3")
    app = show(folder, "labels_and_cost", [one.id, other.id])
    labels = {plain(note["text"]) for note in figures(app)[0]["layout"]["annotations"]}
    assert labels == {"mocov3", "wider", "untrained mocov3", "untrained wider", "pixels"}
    assert {"untrained mocov3", "untrained wider"} <= set(app.dataframe[0].value["model"])


def test_without_probe_sets_other_data_are_told_apart_all_the_same(show: Show, two: Copies) -> None:
    folder, runs = two
    shutil.rmtree(folder / ".probes")
    app = show(folder, "linear_probe", [run.id for run in runs])
    assert not app.exception and len(app.warning) == 1 and "ddpm" not in json.dumps(figures(app))


def test_a_few_selected_images_are_not_those_of_other_data(show: Show, two: Copies) -> None:
    folder, runs = two
    app = show(folder, "linear_probe", [runs[0].id])
    app.text_input(key="image-search").set_value("id:3 class:circle").run()
    token = parameter(app, "images")
    assert token.endswith("~3") and app.button(key="chip_images").label == "1 image selected"
    for view in ("linear_probe", "embeddings", "neighbours"):
        other = show(folder, view, [runs[2].id], images=token)
        assert other.button(key="chip_images").label == "images of another data set selected" and not other.exception
        both = show(folder, view, [runs[2].id, runs[0].id], images=token)  # the first one's images are shown
        assert both.button(key="chip_images").label == "images of another data set selected"
        back = show(folder, view, [runs[0].id, runs[2].id], images=token)
        assert back.button(key="chip_images").label == "1 image selected"
    old = show(folder, "linear_probe", [runs[2].id], images="3")
    assert old.button(key="chip_images").label == "1 image selected"


def test_predictions_on_other_data_are_not_joined(show: Show, two: Copies, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, runs = two
    app = show(folder, "linear_probe", [run.id for run in runs])
    assert list(app.selectbox(key="cell-model").options) == ["mocov3", "vae"]
    monkeypatch.setenv("WORKBENCH_APP_RUNS", str(folder))
    imports = "from app.state import chosen_runs\nfrom app.widgets import verdict_table\n"
    table = AppTest.from_string(f"{imports}verdict_table.verdict_table(chosen_runs.choices())", default_timeout=30)
    table.query_params["runs"] = ",".join(f"{run.id}:{index}" for index, run in enumerate(runs))
    table.query_params["images"] = "3,10"
    page = text(table.run())
    assert "> vae</div>" in page and "> ddpm</div>" not in page and not table.exception
