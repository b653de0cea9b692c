"""The evaluations that train something: the probe by SGD, fine-tuning, transfer, the common decoder."""

import numpy as np
import pytest
import torch

from tests.conftest import LIMITS, SIDE
from workbench.errors import WorkbenchError
from workbench.evaluation import fitting, runner
from workbench.evaluation.features import Material
from workbench.evaluation.generation import decoder
from workbench.evaluation.probes import finetune, linear_sgd, transfer
from workbench.evaluation.progress import EvaluationProgress
from workbench.headline import headline_value
from workbench.methods import load_method
from workbench.methods.base import ImageSpec, Method
from workbench.metrics.image import mse, psnr
from workbench.metrics.paired import paired_proportions

SMALL = {
    "mocov3": {"patch": 4, "width": 16, "depth": 1, "heads": 2, "hidden": 16, "out_dim": 8, "stem": "conv"},
    "vae": {"latent_dim": 6, "width": 8},
    "ddpm": {"widths": (8, 8), "layers": 1, "attention_size": None, "noise_steps": 50, "feature_steps": (5,)}
    | {"reconstruct_steps": (5,)},
}


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Recipes of a moment."""
    monkeypatch.setattr(linear_sgd.Recipe, "of", lambda device: linear_sgd.Recipe(6, 2, 30))
    monkeypatch.setattr(finetune.Recipe, "of", lambda device: finetune.Recipe(3, 30, (1e-3, 1e-1)))
    monkeypatch.setattr(decoder, "steps_on", lambda device: 30)


def small(name: str) -> Method:
    method_class, config_class = load_method(name)
    torch.manual_seed(0)
    return method_class(config_class(**SMALL[name]), ImageSpec(3, SIDE)).eval()


def rows_of(context, name):
    written = context.run.evaluation(name)
    assert written["checkpoint"] == "last, step 7" and written["protocol"].endswith(".")
    return written["rows"]


def test_heads_trained_side_by_side_are_what_each_would_be_alone():
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(60) % 3
    centres = 3 * torch.randn(3, 5, generator=generator)
    views = [centres[labels] + torch.randn(60, 5, generator=generator) for _ in range(2)]
    recipe = linear_sgd.Recipe(20, 2, 20)
    together = linear_sgd.fit_heads(views, labels, 3, recipe, (0.01, 1.0, 1e9))
    alone = linear_sgd.fit_heads(views, labels, 3, recipe, (1.0,))[0]
    torch.testing.assert_close(together[1].weight, alone.weight, rtol=1e-3, atol=1e-4)
    assert (together[1](views[0]).argmax(1) == labels).float().mean() > 0.9
    assert not torch.allclose(together[0].weight, together[1].weight)


def test_probe_by_sgd_holds_run_and_baselines(evaluation_of):
    context, _ = evaluation_of(linear_sgd)
    rows = rows_of(context, "linear_sgd")
    own = [(model, "quarters", 12) for model in ("run", "untrained:vae")]
    assert [(row["model"], row["space"], row["dim"]) for row in rows] == [*own, ("pixels", "pixels", 192)]
    assert all(0 <= row["low"] <= row["value"] <= row["high"] <= 100 for row in rows)
    assert all(row["base_lr"] in linear_sgd.BASE_LRS for row in rows)
    assert rows[0]["value"] > 80  # three colours


@pytest.mark.parametrize("evaluation", [linear_sgd, finetune])
def test_test_images_choose_nothing(make_context, make_run, evaluation):
    name = evaluation.__name__.rsplit(".")[-1]
    first, second = make_context(), make_context(make_run())
    second.material.test = second.material.test.take(np.arange(60)[::-1].copy())
    second.material.test.labels[:] = 0
    for context in (first, second):
        evaluation.evaluate(context)
    a, b = rows_of(first, name), rows_of(second, name)
    own = slice(0, 2)
    assert [r["base_lr"] for r in a[own]] == [r["base_lr"] for r in b[own]]
    assert [r["validation"] for r in a[own]] == [r["validation"] for r in b[own]]
    assert [r["value"] for r in a[own]] != [r["value"] for r in b[own]]


def test_images_are_mirrored_where_that_keeps_their_class(make_dataset):
    tiny = make_dataset()
    assert fitting.crop_and_flip(tiny).flip == 0.5
    digits = type(tiny)("digits", "f", 1, SIDE, None, tiny.train, tiny.val, tiny.test)
    assert fitting.crop_and_flip(digits).flip == 0 and "no flips" in fitting.describe(fitting.crop_and_flip(digits))


def test_fine_tuning_keeps_what_both_networks_told_and_leaves_the_run_as_it_is(make_context):
    context = make_context()
    before = {name: value.clone() for name, value in context.model.method.state_dict().items()}
    finetune.evaluate(context)
    rows = rows_of(context, "finetune")
    assert [row["model"] for row in rows] == ["run", "random init"]
    labels, ids = context.run.array("finetuned-labels"), context.run.array("finetuned-ids")
    assert np.array_equal(ids, context.material.test.ids)
    assert context.run.array("predicted-ids") is None  # those of the linear probe, which may be of other images
    right = [context.run.array(f"{name}-predicted") == labels for name in ("finetuned", "random-init")]
    assert [row["value"] for row in rows] == pytest.approx([100 * hits.mean() for hits in right])
    written = context.run.evaluation("finetune")
    assert written["p_value"] == pytest.approx(paired_proportions(*right)[1])
    assert written["difference"]["value"] == pytest.approx(rows[0]["value"] - rows[1]["value"])
    for name, value in context.model.method.state_dict().items():
        assert torch.equal(value, before[name])
    assert not any(parameter.grad is not None for parameter in context.model.method.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_every_method_is_trained_through_its_encoder(make_model, make_dataset, name):
    model, train = make_model(method=small(name)), make_dataset().train
    network = finetune.Classifier(model, 3)
    with torch.no_grad():
        network.head.weight.normal_(std=0.1)
    before = {key: value.clone() for key, value in network.method.named_parameters()}
    steps = fitting.schedule(len(train), 30, 25)
    finetune.fit(network, train, steps, len(steps), 5e-3, fitting.crop_and_flip(make_dataset()))
    first = {"mocov3": "backbone.patch_embed.proj.0.weight", "vae": "encoder.0.weight"}
    first |= {"ddpm": "ema.module.conv_in.weight"}
    changed = dict(network.method.named_parameters())[first[name]]
    assert not torch.allclose(changed, before[first[name]])
    assert (network.predict(train.images) == train.labels).mean() > 0.6  # a third by chance


@pytest.fixture
def targets(make_dataset, monkeypatch):
    """Data sets by name, instead of those on the disk."""
    known = {}
    for name in ("digits", "shapes", "letters"):
        tiny = make_dataset()
        known[name] = type(tiny)(name, f"print-{name}", 3, SIDE, tiny.classes, tiny.train, tiny.val, tiny.test)
    monkeypatch.setattr(transfer.datasets, "load", lambda name, options, download: known[name])
    return known


def test_transfer_gathers_targets_while_the_weights_are_the_same(evaluation_of, targets):
    context, _ = evaluation_of(transfer)
    transfer.evaluate(context, "letters")
    rows = rows_of(context, "transfer")
    found = [(row["target"], row["model"], row["space"]) for row in rows]
    one = [("run", "quarters"), ("run", "random"), ("untrained:vae", "quarters"), ("untrained:vae", "random")]
    one += [("pixels", "pixels")]
    assert found == [("letters", *rest) for rest in one] + [("digits", *rest) for rest in one]
    assert rows[0]["value"] > 80 and context.run.evaluation("transfer")["targets"] == ["letters", "digits"]
    written = context.run.evaluation("transfer")
    context.run.write_evaluation("transfer", written | {"checkpoint": "last, step 6"})
    transfer.evaluate(context, "letters")
    assert {row["target"] for row in rows_of(context, "transfer")} == {"letters"}


def test_fine_tuning_on_another_data_set_starts_from_the_run_and_from_random_weights(make_context, targets):
    context = make_context()
    transfer.evaluate_finetuned(context, "letters")
    transfer.evaluate_finetuned(context, "digits")
    rows = rows_of(context, "transfer_finetune")
    pairs = [(model, target) for target in ("digits", "letters") for model in ("run", "random init")]
    assert [(row["model"], row["target"]) for row in rows] == pairs
    assert rows[2]["value"] > 50  # a third by chance
    assert f"brought to {SIDE} px" in context.run.evaluation("transfer_finetune")["protocol"]


def test_images_take_the_shape_of_a_model(make_context, targets):
    material = Material(targets["digits"], LIMITS)
    shaped = material.shaped(ImageSpec(1, 2 * SIDE))
    assert shaped.train.images.shape[1:] == (2 * SIDE, 2 * SIDE, 1)
    assert (shaped.dataset.channels, shaped.dataset.size) == (1, 2 * SIDE)
    assert np.array_equal(shaped.test.ids, material.test.ids) and material.dataset.size == SIDE


def test_transfer_to_the_data_trained_on_is_refused(make_context, make_run, targets):
    with pytest.raises(WorkbenchError, match=r"trained on letters itself.*--transfer-to"):
        transfer.check([make_run(fingerprint="print-letters")], "letters")
    transfer.check([make_run()], "letters")
    context = make_context()
    context.run.update_info(data={"fingerprint": "print-digits"})
    transfer.evaluate(context)
    assert "no transfer" in context.run.evaluation("transfer")["skipped"]


def test_the_same_images_at_another_size_are_no_transfer(make_context, make_run, targets):
    run = make_run()
    with pytest.raises(WorkbenchError, match="itself"):
        transfer.check([run], "shapes")  # which the run's config names


def test_a_target_that_cannot_be_told_leaves_the_others(make_context, targets):
    context = make_context()
    transfer.evaluate(context, "letters")
    before = context.run.evaluation("transfer")["rows"]
    targets["digits"].train.labels[:] = 0
    with pytest.raises(WorkbenchError, match="all of one class"):
        transfer.check([context.run], "digits")
    transfer.evaluate(context)
    assert context.run.evaluation("transfer")["rows"] == before


def test_whitened_features_are_uncorrelated_and_keep_no_rounding_errors():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(300, 4)) @ np.diag([100, 10, 1, 0.1])
    features = np.concatenate([hidden, hidden @ rng.normal(size=(4, 5))], axis=1).astype(np.float32)
    train, test = decoder.whitened(features[:200], features[200:], 9)
    assert train.shape == (200, 4) and test.shape == (100, 4)  # nine dimensions, four of them independent
    np.testing.assert_allclose(np.cov(train.T), np.eye(4), atol=0.02)
    assert decoder.whitened(features[:200], features[200:], 2)[0].shape == (200, 2)


def test_decoders_stand_beside_baselines_of_equal_size(make_context, evaluation_of, make_run):
    context, _ = evaluation_of(decoder)
    rows = {row["model"]: row for row in rows_of(context, "decoder")}
    width = rows["run"]["width"]
    assert list(rows) == ["run", "untrained:vae", "pixels", f"pca-{width}", "mean image"]
    assert rows["pixels"]["width"] == rows[f"pca-{width}"]["width"] == width <= 12
    ids = context.run.array("decoded-ids")
    place = {int(sample): row for row, sample in enumerate(context.material.probe.ids)}
    images = context.material.probe.images[[place[int(sample)] for sample in ids]]
    for model, row in rows.items():
        drawn, errors = context.run.array(f"decoded-{model}-"), context.run.array(f"decoded-error-{model}-")
        assert drawn.shape == (9, SIDE, SIDE, 3) and drawn.dtype == np.uint8
        np.testing.assert_allclose(errors, mse(images / 255, drawn / 255), rtol=1e-4)
        assert row["low"] <= row["value"] <= row["high"]
        assert abs(row["value"] - psnr(errors).mean()) < 4  # nine of the twenty images that the row is about
    mean = np.rint(context.material.train.images.mean(axis=0))
    assert np.abs(context.run.array("decoded-mean image-")[0] - mean).max() <= 1
    kept = context.probe.path / "baselines" / "arrays" / f"decoded-pixels-{width}.npy"
    stamp = kept.stat().st_mtime_ns
    other = make_context(make_run())
    decoder.evaluate(other)
    assert kept.stat().st_mtime_ns == stamp  # the pixels' decoder is trained once
    assert np.array_equal(other.run.array("decoded-pixels-"), context.run.array("decoded-pixels-"))


def test_a_decoder_draws_what_the_features_hold(make_context, monkeypatch):
    monkeypatch.setattr(decoder, "steps_on", lambda device: 300)
    context = make_context()
    train, images = context.material.train.images, context.material.probe.images[:20]
    flat, wanted = (split.reshape(len(split), -1) / np.float32(255) for split in (train, images))
    noise = np.random.default_rng(0).normal(size=(len(train) + 20, 12)).astype(np.float32)
    scores = []
    for codes, others in (decoder.whitened(flat, wanted, 12), (noise[:-20], noise[-20:])):
        decoded = decoder.decode(context, "some", codes, others, 300)
        scores.append(psnr(mse(images / 255, decoded / 255)).mean())
    assert scores[0] > scores[1] + 3


def test_unlabelled_data_is_skipped_with_a_reason(make_context):
    context = make_context(labels=False)
    for evaluation in (linear_sgd, finetune):
        evaluation.evaluate(context)
        name = evaluation.__name__.rsplit(".")[-1]
        assert "no labels" in context.run.evaluation(name)["skipped"]
    decoder.evaluate(context)
    assert context.run.evaluation("decoder")["rows"]


def test_which_evaluations_are_wanted():
    assert runner._wanted((), False, None) == list(runner.NAMES)
    assert runner._wanted((), True, None) == [*runner.NAMES, *runner.THOROUGH]
    assert runner._wanted((), False, "digits") == ["transfer"]
    assert runner._wanted(("decoder", "knn"), False, None) == ["knn", "decoder"]
    assert runner._wanted(("knn",), False, "digits") == ["knn", "transfer"]
    assert runner._wanted(("transfer_finetune",), False, "digits") == ["transfer_finetune"]
    with pytest.raises(WorkbenchError, match='did you mean "finetune"'):
        runner._wanted(("fine-tune",), False, None)


def test_thorough_ones_are_done_where_they_are_asked_for(evaluate, make_run, targets, capsys):
    run = make_run()
    evaluate([run], only=["knn"], thorough=True, quiet=False)
    assert set(run.evaluations()) == {"knn", *runner.THOROUGH}
    said = capsys.readouterr().err
    assert "\x1b" not in said and "\r" not in said  # lines, where nobody watches
    assert [line.split(": ")[1].split(",")[0] for line in said.splitlines()[:-1]] == list(runner.THOROUGH)


def test_an_interrupt_leaves_what_is_finished_and_nothing_half_written(evaluate, make_run, monkeypatch):
    run = make_run()

    def interrupted(self, items, what):
        raise KeyboardInterrupt

    monkeypatch.setattr(EvaluationProgress, "track", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate([run], only=["knn", "linear_sgd", "decoder"])
    assert set(run.evaluations()) == {"knn"}
    assert run.summary()["knn"] == headline_value(run, "knn")
    left = [path.name for path in run.path.rglob("*") if path.name.startswith((".tmp", "decoded"))]
    assert not left


def test_tracked_items_come_one_by_one_and_their_bar_goes():
    with EvaluationProgress(1, quiet=True) as progress:
        assert list(progress.track([3, 1, 2], "loop")) == [3, 1, 2]
        assert [task.description for task in progress._bars.tasks] == [""]
