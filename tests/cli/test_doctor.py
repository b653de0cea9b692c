"""``workbench doctor``: what is broken is named with advice, and shows in the exit code."""

import json
from pathlib import Path

import pytest

from workbench.cli import doctor, main

REPORT = {"torch": "2.99", "torchvision": "0.99", "threads": 2, "build": "CPU", "cuda": [], "mps": False}


@pytest.fixture(autouse=True)
def healthy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(doctor, "PROBE", f"print({json.dumps(REPORT)!r})")
    monkeypatch.setattr(doctor.shutil, "which", lambda program: None)


def ask(capsys: pytest.CaptureFixture[str], runs: Path) -> tuple[int, dict[str, str]]:
    """The exit code, and each line of the report by its subject."""
    code = main(["doctor", "--runs", str(runs)])
    lines = capsys.readouterr().out.splitlines()
    subjects = ("torch", "GPU", "cache", "runs")
    return code, {subject: line for line in lines for subject in subjects if subject in line[:14]}


def test_a_healthy_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = ask(capsys, tmp_path / "runs")
    assert code == 0
    assert all(line.startswith("✓") for line in report.values()) and len(report) == 4
    assert "2.99, built for CPU" in report["torch"]
    assert list(tmp_path.iterdir()) == []  # asking makes no folders


def test_a_gpu_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = REPORT | {"build": "CUDA 13.2", "cuda": [["H200", 150.1]]}
    monkeypatch.setattr(doctor, "PROBE", f"print({json.dumps(report)!r})")
    code, lines = ask(capsys, tmp_path / "runs")
    assert code == 0
    assert "H200 (150 GB)" in lines["GPU"]


def test_a_torch_without_cuda_beside_an_nvidia_driver(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda program: "/usr/bin/nvidia-smi")
    code, lines = ask(capsys, tmp_path / "runs")
    assert code == 1
    assert lines["GPU"].startswith("✗") and "CPU build" in lines["GPU"]


def test_a_broken_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "PROBE", "raise ImportError('libtorch.so: cannot open shared object file')")
    code, lines = ask(capsys, tmp_path / "runs")
    assert code == 1
    assert lines["torch"].startswith("✗") and "libtorch.so" in lines["torch"] and "Reinstall" in lines["torch"]


def test_a_runs_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    code, lines = ask(capsys, tmp_path / "file" / "runs")
    assert code == 1
    assert lines["runs"].startswith("✗") and "--runs" in lines["runs"]
