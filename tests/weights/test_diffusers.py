"""``workbench export --format diffusers`` and back: the far side knows nothing of the workbench."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

import workbench
from tests.weights.conftest import export, import_again, trained_run
from workbench.cli import main
from workbench.data import keyed
from workbench.methods.base import evaluation_mode
from workbench.methods.ddpm import DDPM
from workbench.store import Run, find_run, list_runs
from workbench.weights.diffusers_import import _left_out

TINY: dict[str, Any] = {"max_steps": 2, "precision": "fp32", "widths": [8, 16], "attention_size": 4}
KINDS: dict[str, dict[str, Any]] = {
    "eps": {},
    "x0, cosine": {"prediction": "x0", "noise_schedule": "cosine", "variance": "large"},
    "v, pure noise": {"prediction": "v", "noise_schedule": "zero_snr"},
    "learned variance": {"variance": "learned"},
    "labels": {"conditional": True},
}
FAR_SIDE = """
import sys
import numpy as np
import torch
import diffusers
from diffusers.pipelines.ddim import pipeline_ddim
from diffusers.pipelines.ddpm import pipeline_ddpm

start = torch.from_numpy(np.load("noise.npy"))
for module in (pipeline_ddpm, pipeline_ddim):
    module.randn_tensor = lambda *words, **named: start.clone()  # the first noise; schedulers have their own
for folder in sys.argv[1:]:
    drawn = {}
    for name in ("DDPM", "DDIM"):
        pipeline = getattr(diffusers, name + "Pipeline").from_pretrained(folder)
        pipeline.set_progress_bar_config(disable=True)
        if name == "DDIM" and pipeline.unet.config.out_channels > pipeline.unet.config.in_channels:
            continue
        words = {"use_clipped_model_output": True} if name == "DDIM" else {}
        generators = [torch.Generator().manual_seed(seed) for seed in np.load("seeds.npy").tolist()]
        images = pipeline(len(start), generators, num_inference_steps=8, output_type="np", **words).images
        drawn[name] = images[..., 0]
    np.savez(folder + ".npz", **drawn)
assert not any(name.split(".")[0] == "workbench" for name in sys.modules)
"""


def ddpm_run(runs: Path, **settings: Any) -> Run:
    """A run whose averaged weights are none of a random start's, whose last layer gives nearly nothing."""
    return trained_run("ddpm", TINY | settings, runs)


def pipeline(run: Run, output: Path) -> Path:
    return export(run, output, "--format", "diffusers")


def ddpm(run: Run) -> DDPM:
    method = workbench.load(run, device="cpu").method
    assert isinstance(method, DDPM)
    return method


def test_plain_diffusers_draws_our_samples_from_the_same_noise(tmp_path: Path) -> None:
    runs = {kind: ddpm_run(tmp_path / "runs", **settings) for kind, settings in KINDS.items()}
    for kind, run in runs.items():
        pipeline(run, tmp_path / kind)
    n, seed = 3, 5
    keys = keyed.sample_keys(seed, 0, torch.arange(n))
    np.save(tmp_path / "noise.npy", keyed.normal(keys, 1, 8, 8).numpy())
    np.save(tmp_path / "seeds.npy", (keys & (2**63 - 1)).numpy())
    bare = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", FAR_SIDE, *runs], check=True, cwd=tmp_path, env=bare)
    for kind, run in runs.items():
        method, drawn = ddpm(run), np.load(tmp_path / f"{kind}.npz")
        assert set(drawn) == ({"DDPM"} if kind == "learned variance" else {"DDPM", "DDIM"})
        for name in drawn:
            sampler: Any = {"DDPM": "ancestral", "DDIM": "ddim"}[name]
            # Levels end at 0 where variances are larger; a conditional model is told no label.
            levels = [125 * (8 - i) - (1 if method.config.variance == "small" else 125) for i in range(8)]
            with evaluation_mode(method):
                ours = method._sample_from(keyed.normal(keys, 1, 8, 8), levels, sampler, None, keys)
                if kind in ("eps", "v, pure noise"):
                    assert torch.equal(ours, method.sample(n, seed, 8, sampler))
            np.testing.assert_allclose(drawn[name], ours[:, 0], rtol=0, atol=2e-5, err_msg=f"{kind} {name}")
            assert ours.std() > 0.05 and ((ours > 0) & (ours < 1)).any()


@pytest.mark.parametrize("kind", ["eps", "x0, cosine", "v, pure noise", "learned variance"])
def test_import_takes_back_what_export_writes(kind: str, tmp_path: Path) -> None:
    run = ddpm_run(tmp_path / "runs", **KINDS[kind])
    folder = pipeline(run, tmp_path / "out")
    back = import_again(folder, tmp_path / "runs")
    info = back.info()
    assert info["method"] == "ddpm" and info["licence"] == "MIT" and info["source"]["kind"] == "diffusers' DDPMPipeline"
    one, other = ddpm(run), ddpm(back)
    for option in ("widths", "layers", "attention_size", "prediction", "noise_schedule", "variance", "noise_steps"):
        assert getattr(one.config, option) == getattr(other.config, option), option
    assert one.images == other.images
    with evaluation_mode(one), evaluation_mode(other):
        assert torch.equal(one.sample(2, 0, 5, "ancestral"), other.sample(2, 0, 5, "ancestral"))
    before = next(other.ema.parameters()).clone()
    other.after_step(0.0)
    torch.testing.assert_close(next(other.ema.parameters()), before)  # no warm-up throws imported weights away
    second = pipeline(back, tmp_path / "second")
    for file in ("unet/config.json", "scheduler/scheduler_config.json"):
        given, wanted = (json.loads((path / file).read_text()) for path in (second, folder))
        assert given == wanted
    assert 'license: "MIT"' in (second / "README.md").read_text()


def test_the_model_card_tells_how_to_draw(tmp_path: Path) -> None:
    run = ddpm_run(tmp_path / "runs", conditional=True)
    text = (pipeline(run, tmp_path / "out") / "README.md").read_text()
    for part in ("library_name: diffusers", "DDPMPipeline.from_pretrained('.')", run.id, "the network without a label"):
        assert part in text
    assert "timm" not in text.split("## Results")[0]


def test_published_pipelines_come_in(tmp_path: Path) -> None:
    """The layout and names of google/ddpm-cifar10-32: everything in one folder, attention in older names, a pickle."""
    torch.manual_seed(0)
    network = UNet2DModel(
        sample_size=8, in_channels=3, out_channels=3, block_out_channels=(32, 64), layers_per_block=2,
        down_block_types=("AttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "AttnUpBlock2D"),
        norm_num_groups=8, norm_eps=1e-6, attention_head_dim=None, flip_sin_to_cos=False, freq_shift=1,
        downsample_padding=0,
    )  # fmt: skip
    folder = tmp_path / "published"
    folder.mkdir()
    parts = {"scheduler": ["diffusers", "DDPMScheduler"], "unet": ["diffusers", "UNet2DModel"]}
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "DDPMPipeline"} | parts))
    (folder / "config.json").write_text(network.to_json_string())
    stated = {"_class_name": "DDPMScheduler", "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear",
              "clip_sample": True, "num_train_timesteps": 1000, "variance_type": "fixed_large"}  # fmt: skip
    (folder / "scheduler_config.json").write_text(json.dumps(stated))
    older = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = {}
    for name, value in network.state_dict().items():
        for now, then in older.items():
            name = name.replace(f".{now}.", f".{then}.") if "attentions" in name else name
        state[name] = value
    torch.save(state, folder / "diffusion_pytorch_model.bin")
    assert main(["import", str(folder), "--data", "shapes", "--name", "cifar", "--runs", str(tmp_path)]) == 0
    method = ddpm(find_run("cifar", tmp_path))
    assert method.config.variance == "large" and method.config.attention_size == 8 and method.config.layers == 2
    x, steps = torch.randn(2, 3, 8, 8), torch.tensor([0, 500])
    with evaluation_mode(method):
        prediction = method._output(method.ema, x, steps, None).prediction
        torch.testing.assert_close(prediction, network.eval()(x, steps).sample)


def rewritten(folder: Path, file: str, **changes: Any) -> None:
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("file", "changes", "says"),
    [
        ("unet/config.json", {"norm_eps": 1e-5}, "norm_eps 1e-05; only that of Ho et al. 2020 with 1e-06 can"),
        ("unet/config.json", {"attention_head_dim": 8}, "has attention_head_dim 8"),
        ("unet/config.json", {"num_class_embeds": 10}, "is conditional"),
        ("unet/config.json", {"block_out_channels": [8]}, "diffusers cannot build the U-Net"),
        ("unet/config.json", {"out_channels": 2}, "does not match its scheduler's variance_type 'fixed_small'"),
        ("scheduler/scheduler_config.json", {"beta_end": 0.03}, "has the schedule linear from 0.0001 to 0.03, which"),
        ("scheduler/scheduler_config.json", {"variance_type": "learned"}, "variance_type learned, which"),
        ("scheduler/scheduler_config.json", {"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr with the"),
        ("model_index.json", {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]},
         "contains a StableDiffusionPipeline, but only pipelines of one UNet2DModel"),
    ],
    ids=str,
)  # fmt: skip
def test_pipelines_of_another_kind_are_refused_in_one_sentence(
    file: str, changes: dict[str, Any], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pipeline(ddpm_run(tmp_path / "runs"), tmp_path / "out")
    rewritten(folder, file, **changes)
    assert main(["import", str(folder), "--data", "digits", "--runs", str(tmp_path / "other")]) != 0
    told = " ".join(capsys.readouterr().err.split())
    assert says in told and "Traceback" not in told
    assert not list_runs(tmp_path / "other")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"clip_sample_range": 2.0}, "left out: clip_sample_range 2.0"),
        ({"thresholding": True, "sample_max_value": 1.5}, "left out: dynamic thresholding, sample_max_value 1.5"),
        ({"clip_sample": False}, "left out: sampling without clipping"),
    ],
    ids=str,
)
def test_what_the_workbench_samples_otherwise_is_told(changes: dict[str, Any], says: str) -> None:
    assert ", ".join(_left_out({"clip_sample": True, "clip_sample_range": 1.0} | changes)) == says.split(": ", 1)[1]
    assert _left_out({}) == []


@pytest.mark.parametrize(
    ("method", "settings", "says"),
    [
        ("ddpm", {"prediction": "score"}, "predicts the score, which diffusers' DDPM schedulers do not support"),
        ("ddpm", {"network": "vit", "width": 24, "depth": 1, "heads": 3, "patch": 4}, "is a ddpm with a ViT"),
        ("vae", {"width": 8, "latent_dim": 4}, "is a vae, but only a ddpm's U-Net can be exported"),
    ],
    ids=str,
)
def test_what_diffusers_has_no_pipeline_for_is_refused(
    method: str, settings: dict[str, Any], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = {key: value for key, value in TINY.items() if method == "ddpm" or key not in ("widths", "attention_size")}
    run = trained_run(method, common | settings, tmp_path / "runs")
    words = ["--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "out"), "--format", "diffusers"]
    assert main(["export", run.id, *words]) != 0
    assert says in " ".join(capsys.readouterr().err.split()) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("steps", [1000, 200])
def test_the_schedule_in_the_folder_is_that_of_the_run(steps: int, tmp_path: Path) -> None:
    words: Any = {"noise_steps": steps, "feature_steps": [10], "reconstruct_steps": [20]}
    run = ddpm_run(tmp_path / "runs", prediction="v", noise_schedule="zero_snr", **words)
    folder = pipeline(run, tmp_path / "out")
    theirs: Any = DDPMScheduler.from_pretrained(folder / "scheduler")
    assert torch.equal(theirs.alphas_cumprod, ddpm(run).process.signal)
    assert theirs.config["beta_end"] == pytest.approx(0.02 * 1000 / steps)
    assert theirs.config["prediction_type"] == "v_prediction" and theirs.config["clip_sample"]
