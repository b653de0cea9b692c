"""``workbench train``: which settings reach training, and what is refused before it starts."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Refused, assert_refused
from workbench import training
from workbench.cli import main
from workbench.cli.train import COMMON_ORDER
from workbench.config import read_yaml, write_yaml
from workbench.methods import METHODS, load_method


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What training was asked for, in place of training."""
    calls: list[dict[str, Any]] = []

    def start(method: str, settings: dict[str, Any], where: str = "", dry_run: bool = False) -> None:
        calls.append({"method": method, "settings": settings, "where": where, "dry_run": dry_run})

    monkeypatch.setattr(training, "start", start)
    return calls


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text("method: mocov3\nepochs: 3\nbatch-size: 64\noptim:\n  lr: 1e-3\n  clip: 2\ntemperature: 0.3\n")
    return path


def test_bare_gives_nothing_so_that_preset_and_defaults_decide(started: list[dict[str, Any]]) -> None:
    assert main(["train", "mocov3"]) == 0
    assert started == [{"method": "mocov3", "settings": {}, "where": "", "dry_run": False}]


def test_flags_of_every_kind(started: list[dict[str, Any]]) -> None:
    flags = "--data digits --data.limit 50 --download --optim.lr 1e-3 --optim.no-scale-lr --name a --runs there "
    flags += "--temperature 0.5 --blur 0.5 0.2 --dry-run"
    assert main(["train", "mocov3", *flags.split()]) == 0
    settings = {"data": "digits", "data.limit": 50, "download": True, "optim.lr": 1e-3, "optim.scale_lr": False}
    settings |= {"name": "a", "runs": "there", "temperature": 0.5, "blur": [0.5, 0.2]}
    assert started[0]["settings"] == settings
    assert started[0]["dry_run"] is True


def test_a_list_follows_one_flag_or_comes_with_several(started: list[dict[str, Any]]) -> None:
    for words in (["--widths", "32", "64"], ["--widths", "32", "--widths", "64"]):
        assert main(["train", "ddpm", *words, "--epochs", "3"]) == 0
    assert [call["settings"] for call in started] == [{"widths": [32, 64], "epochs": 3}] * 2


@pytest.mark.parametrize("method", ["ddpm", "vdm", "score"])
def test_a_size_that_the_unet_cannot_halve_is_one_sentence(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = "--data digits --data.image-size 9 --widths 32 64 --dry-run --device cpu"
    sentence = "error: A U-Net of 2 resolutions cannot halve images of 9 px"
    assert_refused(["train", method, *words.split()], sentence, capsys)


def test_short_names_of_the_optimiser(started: list[dict[str, Any]]) -> None:
    assert main(["train", "vae", "--lr", "1e-3", "--wd", "0.05", "--warmup", "3"]) == 0
    assert started[0]["settings"] == {"optim.lr": 1e-3, "optim.weight_decay": 0.05, "optim.warmup_epochs": 3.0}


def test_the_first_line_names_method_and_data(
    started: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "mocov3", "--data", "digits"]) == 0
    assert capsys.readouterr().err == "Training mocov3 on digits.\n"
    assert main(["train", "mocov3", "--epochs", "0"]) == 2
    assert capsys.readouterr().err == 'error: The value of "epochs" must be at least 1, not 0.\n'


def test_a_flag_that_equals_the_default_still_counts_as_given(started: list[dict[str, Any]]) -> None:
    default = load_method("mocov3")[1]().epochs
    assert main(["train", "mocov3", "--epochs", str(default)]) == 0
    assert started[0]["settings"] == {"epochs": default}


def test_flags_of_one_call_do_not_leak_into_the_next(started: list[dict[str, Any]]) -> None:
    assert main(["train", "mocov3", "--epochs", "7"]) == main(["train", "mocov3", "--seed", "1"]) == 0
    assert started[1]["settings"] == {"seed": 1}


@pytest.mark.parametrize("words", [["train", "mocov3"], ["train"]], ids=["method named", "method from the file"])
def test_flags_override_the_file(words: list[str], file: Path, started: list[dict[str, Any]]) -> None:
    assert main([*words, "--config", str(file), "--epochs", "9", "--optim.clip", "1"]) == 0
    assert started[0]["method"] == "mocov3"
    assert started[0]["where"] == str(file)
    settings = started[0]["settings"]
    assert (settings["epochs"], settings["batch_size"], settings["temperature"]) == (9, 64, 0.3)
    assert (settings["optim.clip"], float(settings["optim.lr"])) == (1.0, 1e-3)
    assert len(settings) == 5


def test_the_variable_of_the_runs_folder_comes_before_defaults_and_after_file_and_flag(
    tmp_path: Path, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_RUNS", "variable")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("runs: file\n")
    for words in ([], ["--config", str(recipe)], ["--runs", "flag"]):
        assert main(["train", "vae", *words]) == 0
    assert [call["settings"] for call in started] == [{"runs": folder} for folder in ("variable", "file", "flag")]


@pytest.mark.parametrize("method", METHODS)
def test_a_stored_configuration_is_taken_back(method: str, tmp_path: Path, started: list[dict[str, Any]]) -> None:
    text = write_yaml(method, load_method(method)[1]())
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert main(["train", f"--config={path}"]) == 0
    assert {"method": method} | started[0]["settings"] == read_yaml(path)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "No method given"),
        (["--epochs", "3"], "No method given"),
        (["mocov"], 'Unknown method "mocov"; did you mean "mocov3"?'),
        (["mocov3", "--temprature", "1"], "--temprature. Did you mean --temperature?"),
        (["mocov3", "--data.limt", "1"], "--data.limt. Did you mean --data.limit?"),
        (["mocov3", "--epochs", "many"], '--epochs: unable to convert "many" into int'),
        (["mocov3", "--device", "gpu"], "--device. Choose from"),
        (["mocov3", "shapes"], "shapes"),
        (["mocov3", "--config", "missing.yaml"], "There is no configuration file missing.yaml"),
        (["--config", "missing.yaml"], "There is no configuration file missing.yaml"),
        (["mocov3", "--config", "broken.yaml"], "broken.yaml is not valid YAML (line 2)"),
        (["mocov3", "--config", "list.yaml"], "list.yaml must map keys to values"),
        (["mocov3", "--config", "typo.yaml"], 'Unknown key "temprature" in typo.yaml; did you mean "temperature"?'),
        (["mocov3", "--config", "typo.yaml", "--temperature", "1"], "typo.yaml"),
        (["mocov3", "--config", "type.yaml"], '"epochs" in type.yaml must be a whole number'),
        (["mocov3", "--config", "vae.yaml"], 'vae.yaml is for the method "vae"'),
        (["--config", "nameless.yaml"], 'nameless.yaml has no key "method"'),
        (["--config", "unheard.yaml"], 'Unknown method "vea" in unheard.yaml; did you mean "vae"?'),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_starts(
    words: list[str], expected: str, tmp_path: Path, started: list[dict[str, Any]], refused: Refused
) -> None:
    files = {
        "broken": "epochs: 3\nname: {]\n",
        "list": "- epochs\n",
        "typo": "temprature: 1\n",
        "type": "epochs: many\n",
        "vae": "method: vae\n",
        "nameless": "epochs: 3\n",
        "unheard": "method: vea\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    refused(["train", *words], expected)
    assert started == []
    assert len(list(tmp_path.iterdir())) == len(files)


def test_unknown_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "vae", "--data", "shape"]) == 2
    assert capsys.readouterr().err == 'error: Unknown data set "shape"; did you mean "shapes"?\n'
    assert list(tmp_path.iterdir()) == []


def test_help_groups_a_methods_own_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "mocov3", "--help"]) == 0
    text = capsys.readouterr().out
    own = text[text.index("Options of mocov3") :]
    assert "Softmax temperature" in own[: own.index("╰")]
    assert "--epochs" not in own[: own.index("╰")]
    assert text.index("─ Data ") < text.index("─ Optimiser ")


@pytest.mark.parametrize("method", METHODS)
def test_help_begins_with_the_common_options_in_the_order_of_use(
    method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", method, "--help"]) == 0
    titles, *groups = zip(*re.findall(r"─ ([A-Z][\w ]+) ─+╮\n(.*?)╰", capsys.readouterr().out, re.S), strict=True)
    own = f"Options of {method}"
    assert titles == ("Common options", "Model", own, "Augmentation", "Data", "Training", "Optimiser", "Run")
    common, *_ = groups[0]
    places = [common.index(f"{flag} ") for flag in COMMON_ORDER]
    assert places == sorted(places)
    assert common.count("│ --") == len(places)
