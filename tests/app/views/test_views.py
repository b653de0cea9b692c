"""Every page on good, empty and broken folders, without a browser."""

import json
import shutil
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.launch import command
from app.reading import run_table
from workbench import palette
from workbench.store import Run

VIEWS = {
    "run_list": "What has been trained?",
    "differences": "What is not the same?",
    "curves": "Is it learning?",
    "stability": "Why did it dip?",
    "linear_probe": "Who knows more?",
    "factors": "What is kept?",
    "similarity": "What looks alike?",
    "agreement": "Do models see alike?",
    "embeddings": "What is near what?",
    "neighbours": "What does it retrieve?",
    "invariance": "What is it blind to?",
    "reconstructions": "What is lost?",
    "samples": "What can it imagine?",
    "denoising": "How does it get there?",
    "parametrisations": "What does it predict?",
    "schedules": "When does the noise go?",
    "latent": "What do its latent variables do?",
    "likelihood": "How surprised is it?",
}
TRAINING = ("run_list", "differences", "curves", "stability")  # show what training wrote, not evaluations
OF_DIFFUSION = ("vae is no diffusion model", "still training")  # failed and half are a vae, the one that trains a ddpm
REASONS = {
    "denoising": OF_DIFFUSION,
    "parametrisations": OF_DIFFUSION,
    "schedules": OF_DIFFUSION,
    "latent": ("workbench evaluate", "ddpm has no latent variables", "became NaN"),
}
# What each page draws of three evaluated runs: figures, and images as HTML.
FIGURES = {
    "curves": 10,
    "stability": 3,
    "linear_probe": 6,
    "factors": 2,
    "similarity": 9,
    "agreement": 2,
    "neighbours": 1,
    "invariance": 1,
    "denoising": 2,
    "parametrisations": 1,
    "schedules": 3,
    "latent": 1,
    "likelihood": 2,
}
Show = Callable[..., AppTest]
Folder = tuple[Path, dict[str, str]]


def text(app: AppTest) -> str:
    """All words on a page."""
    kinds = (app.markdown, app.caption, app.code, app.warning, app.error, app.get("html"))
    return "\n".join(str(getattr(element, "value", None) or element.proto) for kind in kinds for element in kind)


def chosen_in_url(app: AppTest) -> str:
    value = app.query_params["runs"]
    return value if isinstance(value, str) else value[0]


def figures(app: AppTest) -> list[dict]:
    return [json.loads(element.proto.spec) for element in app.get("plotly_chart")]


@pytest.mark.parametrize("view", VIEWS)
def test_three_evaluated_runs(show: Show, runs_folder: Folder, view: str) -> None:
    folder, ids = runs_folder
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    app = show(folder, view, [ids[method] for method in ("mocov3", "vae", "ddpm")])
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before  # it only reads
    assert not app.exception
    assert [title.value for title in app.title] == [VIEWS[view]]
    assert len(figures(app)) == FIGURES.get(view, 0)
    assert [button.label for button in app.button][:3] == ["mocov3", "vae", "ddpm"]
    assert "workbench evaluate" not in text(app)


@pytest.mark.parametrize("view", VIEWS)
def test_no_runs_yet(show: Show, tmp_path: Path, view: str) -> None:
    app = show(tmp_path / "nowhere", view)
    assert not app.exception
    assert "No runs yet" in text(app) and "workbench train mocov3" in text(app)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("view", VIEWS)
def test_good_runs_beside_broken_ones_and_those_not_evaluated(show: Show, runs_folder: Folder, view: str) -> None:
    folder, ids = runs_folder
    roles = ("vae", "half", "ddpm", "bare", "running", "failed")
    app = show(folder, view, [ids[role] for role in roles] + ["somebody-elses", "gone"])
    assert not app.exception
    assert [title.value for title in app.title] == [VIEWS[view]]
    assert bool(figures(app)) == (view in FIGURES)
    if view not in TRAINING:
        said = text(app)
        assert all(words in said for words in REASONS.get(view, ("workbench evaluate", "still training", "became NaN")))


@pytest.mark.parametrize("view", [view for view in VIEWS if view not in TRAINING])
def test_every_file_of_a_run_can_be_torn(show: Show, runs_folder: Folder, tmp_path: Path, view: str) -> None:
    folder, ids = runs_folder
    shutil.copytree(folder / ids["ddpm"], tmp_path / ids["ddpm"])
    shutil.copytree(folder / ".probes", tmp_path / ".probes")
    run = Run(tmp_path / ids["ddpm"])
    for file in sorted((run.path / "arrays").iterdir()):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert not show(tmp_path, view, [run.id]).exception
    for file in sorted((run.path / "evaluations").iterdir()):
        content = json.loads(file.read_text())
        foreign = {
            key: [value] if isinstance(value, dict) else "x" if key != "rows" else value
            for key, value in content.items()
        }
        file.write_text(json.dumps(foreign))
    assert not show(tmp_path, view, [run.id]).exception
    for file in sorted(path for path in (tmp_path / ".probes").rglob("*") if path.is_file()):
        file.write_bytes(file.read_bytes()[:40])
    assert not show(tmp_path, view, [run.id]).exception


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_chosen(show: Show, runs_folder: Folder, view: str) -> None:
    app = show(runs_folder[0], view, [])
    assert not app.exception
    assert ("Nothing chosen" in text(app)) == (view != "run_list")


def test_choice_before_anybody_chose_is_the_evaluated_run_of_each_method(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "linear_probe")
    expected = ",".join(f"{ids[method]}:{index}" for index, method in enumerate(("mocov3", "vae", "ddpm")))
    assert chosen_in_url(app) == expected


def test_a_chip_removes_its_run_and_the_others_keep_their_colours(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "linear_probe", [ids["mocov3"], ids["vae"], ids["ddpm"]])
    app.button(key="chip_0").click().run()
    assert chosen_in_url(app) == f"{ids['vae']}:1,{ids['ddpm']}:2"
    assert [button.label for button in app.button] == ["vae", "ddpm"]


def test_runs_can_be_filtered_by_typing(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "run_list")
    everything = app.dataframe[0].value
    assert len(everything) == 9 and set(everything["status"].str[0]) >= {"running", "failed", "stalled", "unreadable"}
    app.text_input(key="filter").set_value("VAE failed").run()
    assert list(app.dataframe[0].value["name"]) == [run_table.run_title({"id": ids["failed"]})]
    app.text_input(key="filter").set_value("no such run").run()
    assert not app.dataframe and "None of the 9 runs" in text(app)
    assert not app.exception


def test_the_run_list_tells_what_went_wrong(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    said = text(show(folder, "run_list"))
    assert "The loss became NaN at step 61" in said
    assert f"workbench resume {ids['stalled']}" in said
    assert "somebody-elses" in said


def test_differences_show_what_differs_and_how_to_repeat_it(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "differences", [ids["mocov3"], ids["bare"]])
    table = text(app)
    assert "optim.lr" in table and "<mark>0.003</mark>" in table
    assert "batch_size" not in table
    assert f"workbench train mocov3 --config {folder / ids['bare'] / 'config.yaml'}" in table
    app.toggle(key="same").set_value(True).run()
    assert "batch_size" in text(app)


def test_curves_by_time_smoothed_and_logarithmic(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "curves", [ids["mocov3"], ids["running"]])
    app.segmented_control(key="x").set_value("seconds")
    app.toggle(key="log").set_value(True).run()
    assert not app.exception
    drawn = figures(app)
    assert {figure["layout"]["xaxis"]["title"]["text"] for figure in drawn} == {"minutes"}
    assert drawn[1]["layout"]["yaxis"]["type"] == "log"
    assert "follows it" in text(app)


def numbers(array: Any) -> np.ndarray:
    """An array of a figure, which plotly may have packed."""
    return np.frombuffer(b64decode(array["bdata"]), array["dtype"]) if isinstance(array, dict) else np.array(array)


def copied(runs_folder: Folder, target: Path, *roles: str) -> list[Run]:
    """Some of the runs with their probe set, to be changed."""
    folder, ids = runs_folder
    shutil.copytree(folder / ".probes", target / ".probes")
    return [Run(shutil.copytree(folder / ids[role], target / ids[role])) for role in roles]


def log_rows(run: Run, **columns: list[float]) -> None:
    """Replace the metrics of a run."""
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("zoom", [{}, {"zoom": "step:20.00-40.00"}, {"zoom": "step:1.2.3-4"}])
def test_a_loss_below_zero_has_a_linear_axis_and_says_so(
    show: Show, runs_folder: Folder, tmp_path: Path, zoom: dict[str, str]
) -> None:
    (run,) = copied(runs_folder, tmp_path, "vae")
    log_rows(run, step=[10, 20, 30, 40], loss=[-5.0, -60.0, -90.0, -95.0])
    app = show(tmp_path, "curves", [run.id], **zoom)
    assert not app.exception and "axis is linear" not in text(app)
    app.toggle(key="log").set_value(True).run()
    assert not app.exception and "nothing here is above zero, so the axis is linear" in text(app)
    (loss,) = figures(app)
    assert loss["layout"]["yaxis"]["type"] == "linear"


def test_metrics_are_parsed_again_only_where_they_have_changed(
    show: Show, runs_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = copied(runs_folder, tmp_path, "vae", "ddpm")
    parsed, read = [], Path.read_bytes

    def noted(path: Path) -> bytes:
        if path.name == "metrics.jsonl":
            parsed.append(path.parent.name)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    app = show(tmp_path, "curves", [run.id for run in runs])
    assert sorted(parsed) == sorted(run.id for run in runs)
    app.run()
    assert len(parsed) == 2
    runs[1].log({"step": 410, "loss": 123.0})
    app.run()
    assert parsed[2:] == [runs[1].id]
    assert not app.exception and any(123.0 in numbers(trace["y"]) for f in figures(app) for trace in f["data"])


def test_readings_of_the_monitor_and_of_the_test_stand_apart(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "run_list")
    table = app.dataframe[0].value.set_index("name")
    summary = Run(folder / ids["vae"]).summary()
    row = table.loc[run_table.run_title({"id": ids["vae"]})]
    assert row["monitor"] == summary["knn_monitor"] == row["sparkline"][-1]
    assert (row["knn"], row["linear"]) == (summary["knn"], summary["linear"]) != (row["monitor"], row["monitor"])
    training = table.loc[run_table.run_title({"id": ids["running"]})]
    assert training["monitor"] > 0 and np.isnan(training["knn"]) and np.isnan(training["linear"])
    columns = json.loads(app.dataframe[0].proto.columns)
    labels = {name: columns[name]["label"] for name in ("monitor", "knn", "linear")}
    assert labels == {"monitor": "Val. kNN", "knn": "Test kNN", "linear": "Linear"}


@pytest.mark.parametrize("classes", [6, 12])
@pytest.mark.parametrize("known", [[0, 1, 4], []])
def test_classes_of_few_probe_images_are_empty_cells(
    show: Show, runs_folder: Folder, tmp_path: Path, classes: int, known: list[int]
) -> None:
    runs = copied(runs_folder, tmp_path, "vae", "mocov3")
    for run in runs:
        for space in run.evaluation("similarity")["spaces"]:
            table = np.full((classes, classes), np.nan, np.float32)
            table[np.ix_(known, known)] = 0.25
            if known:
                table[0, 0] = np.nan  # a class of one image
            run.write_array(f"class-similarity-{space}", table)
    app = show(tmp_path, "similarity", [run.id for run in runs])
    for scale in ("the same for every model", "each model its own"):
        app.segmented_control(key="scale").set_value(scale).run()
        assert not app.exception
        assert len(figures(app)) == 6 and "nan" not in text(app)
        assert "empty: no pair of different images" in text(app)


def test_a_class_without_test_images_is_left_out_of_the_comparison(
    show: Show, runs_folder: Folder, tmp_path: Path
) -> None:
    runs = copied(runs_folder, tmp_path, "vae", "mocov3")
    for run in runs:
        content = run.evaluation("linear")
        for row in content["rows"]:
            if "per_class" in row:
                row["per_class"][2], row["confusion"][2] = None, [0] * 6
        run.write_evaluation("linear", content)
    app = show(tmp_path, "linear_probe", [run.id for run in runs])
    assert not app.exception
    _, _, by_class, *confusions = figures(app)
    assert len(confusions) == 2
    assert set(by_class["layout"]["yaxis"]["ticktext"]) == {"circle", "square", "cross", "ring", "bar"}
    assert "left out: 1 of 6 classes, without test images" in text(app)


def test_untrained_networks_draw_in_grey_beside_the_other_baselines(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    page = text(show(folder, "reconstructions", [ids["vae"], ids["ddpm"]]))
    for label, small in (("untrained:vae", "1.4M parameters"), ("untrained:ddpm", "t=100, 3.96M parameters")):
        assert f'background:{palette.GREY}"></span> {label}<small>{small}</small>' in page
    assert page.index("untrained:vae") < page.index("untrained:ddpm") < page.index("mean image")


def test_the_probe_has_grey_reference_lines(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    figure = figures(show(folder, "linear_probe", [ids["mocov3"]]))[0]
    layout = figure["layout"]
    written = " ".join(annotation["text"] for annotation in layout["annotations"])
    assert "pixels 33" in written and "71 [69, 73]" in written
    assert any(shape["x0"] == shape["x1"] == 33 for shape in layout["shapes"])
    assert any("untrained" in trace["hovertemplate"] and trace["x"] == [25.0, 25.0] for trace in figure["data"])


def test_a_missing_capability_is_a_reason_not_an_error(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    said = text(show(folder, "samples", [ids["mocov3"], ids["bare"], ids["vae"]]))
    assert "no decoder that could draw" in said  # what evaluation wrote
    assert "mocov3 learns features only" in said  # what run.json says before any evaluation


def test_selected_images_are_shown_and_can_be_cleared(show: Show, runs_folder: Folder) -> None:
    folder, ids = runs_folder
    app = show(folder, "embeddings", [ids["vae"]], images=f"3,10,nonsense,--5,{'9' * 5000}")
    assert "circle · 3" in text(app) and "circle · 10" in text(app)
    assert app.button(key="chip_images").label == "2 images selected"
    app.button(key="chip_images").click().run()
    assert "circle · 3" not in text(app) and not app.exception


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
    app.segmented_control(key="variant-0").set_value("t=500").run()
    assert text(app) != page and not app.exception


def test_the_app_does_not_import_torch() -> None:
    heavy = "{'torch', 'timm', 'diffusers', 'torchvision'}"
    code = f"import sys, app.main, app.launch; sys.exit(str({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip().splitlines()[-1] == "set()"


def test_the_server_binds_to_loopback_unless_told_otherwise(tmp_path: Path) -> None:
    argv, environment = command(port=9000, runs=tmp_path)
    assert argv[argv.index("--server.address") + 1] == "127.0.0.1"
    assert argv[argv.index("--server.port") + 1] == "9000"
    assert environment["WORKBENCH_RUNS"] == str(tmp_path)
    assert "0.0.0.0" in command(host="0.0.0.0")[0]


def test_differences_are_told_in_words_and_runs_on_other_test_images_loudly(
    show: Show, runs_folder: Folder, tmp_path: Path
) -> None:
    folder, ids = runs_folder
    chosen = [ids["mocov3"], ids["vae"]]
    app = show(folder, "linear_probe", chosen)
    assert "Which differences are real?" in [subheader.value for subheader in app.subheader]
    said = text(app)
    assert "mocov3 (projector) tells the class of more images than" in said and "another training seed" in said
    shutil.copytree(folder, tmp_path / "runs")
    Run(tmp_path / "runs" / ids["vae"]).write_array("predicted-ids", np.arange(1000) + 5)
    app = show(tmp_path / "runs", "linear_probe", chosen)
    assert not app.exception and "probed on different test images" in text(app)
