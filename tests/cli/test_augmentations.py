"""``workbench augmentations``: a small matrix from end to end, what is kept of it, and what is refused."""

import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from tests.cli.conftest import Refused, csv_rows
from tests.figures.svg_texts import words_of
from tests.training.tiny import COMMON, TINY
from workbench import training
from workbench.cli import main
from workbench.errors import WorkbenchError
from workbench.figures.augmentations import Augmentations
from workbench.figures.style import FAINT
from workbench.store import list_runs
from workbench.studies.augmentations import Study
from workbench.training.trainer import Trainer

SETTINGS = COMMON | TINY["mocov3"] | {"epochs": 1, "monitor_every": 0}
NAMES = ("crop", "noise")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and its finished 2 x 2 study."""
    folder = tmp_path_factory.mktemp("composition")
    (folder / "tiny.yaml").write_text(yaml.safe_dump({"method": "mocov3"} | SETTINGS))
    assert command(folder) == 0
    return folder


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(made, tmp_path / "copy")


def command(folder: Path, names: tuple[str, ...] = NAMES[::-1]) -> int:
    words = ["--config", str(folder / "tiny.yaml"), "--output", str(folder / "study")]
    return main(["augmentations", "mocov3", *words, "--transformations", *names])


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "study" / "composition.json").read_text())


def results(folder: Path) -> dict[tuple[str, str | None], float]:
    return {(row["first"], row["second"]): row["value"] for row in record(folder)["rows"] if row["model"] == "run"}


def test_every_cell_is_a_run_with_its_composition(made: Path) -> None:
    runs = list_runs(made / "study" / "runs")
    trained = sorted(tuple(yaml.safe_load(run.config_text())["composition"]) for run in runs)
    assert trained == [("crop",), ("crop", "noise"), ("noise",), ("noise", "crop")]
    assert {run.summary()["status"] for run in runs} == {"finished"}
    assert {run.info()["name"] for run in runs} == {"crop", "crop, noise", "noise", "noise, crop"}


def test_the_table_has_cells_baselines_and_means_with_their_intervals(made: Path) -> None:
    content = record(made)
    runs = {run.id: run for run in list_runs(made / "study" / "runs")}
    assert [row["model"] for row in content["rows"]] == ["run"] * 4 + ["pixels", "untrained:mocov3"]
    assert list(results(made)) == [("crop", None), ("crop", "noise"), ("noise", "crop"), ("noise", None)]
    hits = {}
    for row in content["rows"]:
        assert row["low"] <= row["value"] <= row["high"] and row["low"] < row["high"]
        if row["model"] == "run":
            predicted, labels = (runs[row["run"]].array(name) for name in ("predicted-class_token", "predicted-labels"))
            assert predicted is not None and labels is not None and len(labels) == content["n"]
            assert row["value"] == pytest.approx(100 * np.mean(predicted == labels))
            hits[row["first"], row["second"] or row["first"]] = row["value"]
    means = {(mean.get("first"), mean.get("second")): mean for mean in content["means"]}
    assert len(means) == 4
    for name in NAMES:
        assert means[name, None]["value"] == pytest.approx(np.mean([hits[name, other] for other in NAMES]))
        assert means[None, name]["value"] == pytest.approx(np.mean([hits[other, name] for other in NAMES]))
    assert all(mean["low"] < mean["value"] < mean["high"] for mean in means.values())
    assert content["rows"][4]["value"] > 60  # digits are easy from their pixels
    assert content["transformations"] == list(NAMES)


def test_the_same_rows_as_csv_and_as_a_figure(made: Path) -> None:
    content = record(made)
    lines = csv_rows(made / "study" / "composition.csv")
    assert [float(line["value"]) for line in lines] == [row["value"] for row in (*content["rows"], *content["means"])]
    assert [line["model"] for line in lines[-4:]] == ["mean"] * 4
    assert (made / "study" / "composition.pdf").read_bytes().startswith(b"%PDF")
    texts = words_of(made / "study" / "composition.svg")
    assert all(f"{row['value']:.1f}" in texts for row in (*content["rows"][:4], *content["means"]))
    assert any(text.startswith("For comparison: pixels") for text in texts)


def test_nothing_is_done_twice(study: Path, calls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = results(study)
    times = {file: file.stat().st_mtime_ns for file in (study / "study" / "runs").rglob("*.npy")}
    assert command(study) == 0
    assert calls == [] and results(study) == before
    assert times == {file: file.stat().st_mtime_ns for file in (study / "study" / "runs").rglob("*.npy")}
    told = capsys.readouterr()
    assert told.err.splitlines()[-1] == "4 of 4 cells are already finished."
    assert "pixels" in told.out and "untrained:mocov3" in told.out and "composition.svg" in told.out


def test_a_missing_cell_is_trained_again(study: Path, calls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = results(study)
    row = next(row for row in record(study)["rows"] if row["model"] == "run" and row["second"] == "noise")
    shutil.rmtree(study / "study" / "runs" / row["run"])
    assert command(study) == 0
    assert calls == ["start"] and results(study) == before
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("cell 2 of 4  crop, noise  ") and line.endswith("0 s left")


def test_a_lost_table_is_measured_again_without_training(study: Path, calls: list[str]) -> None:
    before = results(study)
    (study / "study" / "composition.json").write_text('{"rows": [{"model": "run"}, 3], "torn')
    assert command(study) == 0
    assert calls == [] and results(study) == before


def test_cells_of_other_settings_do_not_count(study: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = study / "tiny.yaml"
    recipe.write_text(recipe.read_text() + "seed: 1\n")
    assert command(study) == 0
    assert calls == ["start"] * 4 and record(study)["seeds"] == [1]
    assert len(list_runs(study / "study" / "runs")) == 8


def test_a_narrower_study_keeps_all_results(study: Path, calls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = record(study)
    assert command(study, names=("crop",)) == 0
    told = capsys.readouterr()
    assert "1 of 1 cells" in told.err and "noise" not in told.out.splitlines()[0]
    assert record(study)["rows"] == before["rows"] and record(study)["means"] == before["means"]
    assert calls == []


def test_a_cell_evaluated_on_other_images_since_is_measured_again(study: Path, calls: list[str]) -> None:
    before = record(study)
    row = next(row for row in before["rows"] if row["model"] == "run")
    run = next(run for run in list_runs(study / "study" / "runs") if run.id == row["run"])
    for name in (f"predicted-{row['space']}", "predicted-ids", "predicted-labels"):
        array = run.array(name)
        assert array is not None
        run.write_array(name, np.array(array[:-5]))
    assert command(study) == 0
    assert calls == [] and record(study)["means"] == before["means"]
    again = run.array("predicted-ids")
    assert again is not None and len(again) == before["n"]


def test_ctrl_c_loses_nothing(
    made: Path, tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "stopped"
    folder.mkdir()
    shutil.copy(made / "tiny.yaml", folder)
    steps, real = [], Trainer.step

    def step(self: Trainer, *args: Any, **more: Any) -> Any:
        steps.append(args[2])
        if len(steps) == 14:  # in the middle of the second cell
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, *args, **more)

    monkeypatch.setattr(Trainer, "step", step)
    assert command(folder) == 130
    assert "Stopped in cell 2 of 4  crop, noise" in capsys.readouterr().err
    assert list(results(folder)) == [("crop", None)] and record(folder)["means"] == []
    assert command(folder) == 0
    assert calls == ["start", "start", "resume", "start", "start"]
    assert len(steps) == 40  # none twice
    assert results(folder) == results(made)


def test_a_cell_that_fails(study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    row = next(row for row in record(study)["rows"] if row["model"] == "run" and row["second"] == "crop")
    shutil.rmtree(study / "study" / "runs" / row["run"])

    def fail(*args: Any) -> None:
        raise WorkbenchError("The loss is not finite since step 3.")

    monkeypatch.setattr(training, "start", fail)
    assert command(study) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == "error: The cell noise, crop failed: The loss is not finite since step 3."
    assert list(results(study)) == [("crop", None), ("crop", "noise"), ("noise", None)]
    assert [mean.get("first", mean.get("second")) for mean in record(study)["means"]] == ["crop", "noise"]


def test_the_figure_of_a_study_that_has_only_begun() -> None:
    row = {"model": "run", "first": "crop", "second": None, "value": 50.0, "low": 40.0, "high": 60.0}
    content = {"transformations": list(NAMES), "rows": [row], "means": [], "protocol": "Probe.", "n": 9, "seeds": [0]}
    for rows in ([row], []):
        figure = Augmentations(content | {"rows": rows, "method": "m", "data": "a < b & c"})
        fills = re.findall(r'd="[^"]*" style="fill: (#\w+)', figure.svg())
        assert len(fills) == 1 + 4 and fills.count(FAINT) == 4 - len(rows)
        assert ElementTree.fromstring(figure.svg())[0].text == figure.heading() and "a < b & c" in figure.heading()


def test_a_parent_of_runs_is_the_default_place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Study, "train", lambda self, cell: (_ for _ in ()).throw(WorkbenchError(str(self.folder))))
    monkeypatch.chdir(tmp_path)
    for words, expected in ((["--runs", "there"], "there/compositions/tiny"), ([], "runs/compositions/tiny")):
        with monkeypatch.context() as patch:
            patch.setenv("WORKBENCH_DEBUG", "1")
            with pytest.raises(WorkbenchError, match=expected):
                main(["augmentations", "mocov3", "--config", str(made / "tiny.yaml"), *words])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["mocov"], 'Unknown method "mocov"; did you mean "mocov3"?'),
        (["vae"], "vae does not compare two views of an image; choose a method that does: mocov3."),
        (["mocov3", "--transformations", "crop", "blurr"], 'Unknown transformation "blurr"; did you mean "blur"?'),
        (["mocov3", "--config", "missing.yaml"], "There is no configuration file missing.yaml"),
        (["mocov3", "--config", "vae.yaml"], 'vae.yaml is for the method "vae", not "mocov3"'),
        (["mocov3", "--config", "composed.yaml"], '"composition" in composed.yaml is varied by this command'),
        (["mocov3", "--config", "typo.yaml"], 'Unknown key "temprature" in typo.yaml; did you mean "temperature"?'),
        (["mocov3", "--config", "data.yaml"], 'Unknown data set "shape"; did you mean "shapes"?'),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], expected: str, tmp_path: Path, refused: Refused) -> None:
    texts = ("method: vae\n", "composition: [crop]\n", "temprature: 1\n", "data: shape\n")
    for name, text in zip(("vae", "composed", "typo", "data"), texts, strict=True):
        Path(f"{name}.yaml").write_text(text)
    refused(["augmentations", *words], expected)
    assert len(list(tmp_path.iterdir())) == len(texts)


def test_the_former_name_still_works_and_is_not_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compose", "mocov"]) == 2
    assert 'did you mean "mocov3"' in capsys.readouterr().err
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert " augmentations " in listed and " compose " not in listed
