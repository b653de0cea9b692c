"""Settings that follow the data: what a first folder of one's own trains with."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workbench.errors import WorkbenchError
from workbench.methods import METHODS
from workbench.training import start
from workbench.training.loop import resolve


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 images of two classes, of which 43 are for training."""
    path = tmp_path_factory.mktemp("own") / "animals"
    rng = np.random.default_rng(0)
    for kind in ("cats", "dogs"):
        (path / kind).mkdir(parents=True)
        for number in range(30):
            image = Image.fromarray(rng.integers(0, 255, (40, 48, 3), dtype=np.uint8))
            image.save(path / kind / f"{number}.png")
    return path


@pytest.mark.parametrize("method", METHODS)
def test_a_small_folder_shrinks_the_batch(method: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, dataset = resolve(method, {"data": str(folder), "preset": "cpu"})
    assert len(dataset.train) == 43 and config.batch_size == 16
    assert "Batch size reduced from" in capsys.readouterr().err


def test_the_batch_of_the_user_stays(folder: Path, tmp_path: Path) -> None:
    settings = {"data": str(folder), "batch_size": 64, "runs": str(tmp_path / "runs")}
    assert resolve("vae", settings)[0].batch_size == 64
    with pytest.raises(WorkbenchError, match="batch size 64 is larger than the 43 training images"):
        start("vae", settings)
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_processes_and_parts_divide_the_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    config, _ = resolve("vae", {"data": str(folder), "preset": "cpu", "accumulate": 4})
    assert config.batch_size == 16
