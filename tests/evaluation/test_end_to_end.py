"""A real method on real images, trained for a moment: the parts fit one another."""

import numpy as np

import workbench
from workbench import store, training
from workbench.comparison import table
from workbench.evaluation import runner
from workbench.evaluation.features import Limits

LIMITS = Limits(train=120, val=60, test=90, reconstruct=16, samples=4, similarity=20)


def test_a_trained_run_is_evaluated_compared_and_loaded(tmp_path):
    folders = {"data.cache": str(tmp_path / "cache"), "runs": str(tmp_path / "runs")}
    settings = {"data": "digits", "device": "cpu", "max_steps": 2, "batch_size": 16, "monitor_every": 0}
    run = training.start("vae", folders | settings)
    assert run is not None
    runner.evaluate([run], device="cpu", limits=LIMITS, quiet=True)
    evaluations = run.evaluations()
    skipped = {name for name, content in evaluations.items() if "skipped" in content}
    assert set(evaluations) == set(runner.NAMES) and skipped == {"factors", "classify", "denoising"}
    fingerprint = run.info()["data"]["fingerprint"]
    ids = store.probe_of(run.path.parent, fingerprint).ids()
    assert ids is not None and len(ids) == 90
    models = [row["model"] for row in table.comparison_table([run]) if row["kind"] != "default space"]
    assert models[:3] == ["vae", "pixels", "untrained:vae"]

    model = workbench.load(run.id, runs=tmp_path / "runs", device="cpu")
    features = model.encode(np.zeros((3, 20, 10, 3), np.uint8))
    spaces = {row["space"] for row in evaluations["knn"]["rows"] if row["model"] == "run"}
    assert {space for space in features if features[space].shape[0] == 3} == spaces
