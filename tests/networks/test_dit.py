"""The ViT as a diffusion network and as an autoencoder."""

from typing import Any

import pytest
import torch
from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from workbench.errors import WorkbenchError
from workbench.methods.base import ImageSpec
from workbench.networks.dit import Conditioning, DiT, unpatchify
from workbench.networks.vit import ViT
from workbench.networks.vit_autoencoder import ViTDecoder, ViTEncoder

both = pytest.mark.parametrize("conditioning", ["adaptive", "token"])


def network(conditioning: Conditioning = "adaptive", classes: int = 0, **changes: int) -> DiT:
    """One whose zeros are not: as after training."""
    torch.manual_seed(0)
    model = DiT(8, 3, patch=2, width=24, depth=2, heads=3, classes=classes, conditioning=conditioning, **changes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


@both
def test_the_trunk_is_that_of_mocov3(conditioning: Conditioning) -> None:
    """Same blocks, position table and patch projection: weights can be exchanged."""
    trunk = ViT(8, 3, 2, 24, 2, 3, token="class" if conditioning == "token" else "mean").state_dict()
    model = network(conditioning)
    own = {name: value.shape for name, value in model.state_dict().items()}
    assert {name: value.shape for name, value in trunk.items()}.items() <= own.items()
    added = {name.split(".")[0] for name in own.keys() - trunk.keys()}
    assert added == {"time", "output"} | ({"modulations", "final_modulation"} if conditioning == "adaptive" else set())


@both
def test_it_starts_at_zero_and_every_parameter_learns(conditioning: Conditioning) -> None:
    x, t = torch.randn(2, 3, 8, 8), torch.tensor([3, 700])
    fresh = DiT(8, 3, 2, 24, 2, 3, classes=4, conditioning=conditioning)
    assert not fresh(x, t).sample.any()
    if conditioning == "adaptive":  # closed gates: the blocks pass on what they are given
        tokens = fresh.embed(x)
        modulation = fresh.modulations[0](torch.randn(2, 24))
        assert torch.equal(fresh._modulated(fresh.blocks[0], tokens, modulation), tokens)
    model = network(conditioning, classes=4)
    model(x, t, torch.tensor([1, 4])).sample.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
    assert all(parameter.grad.any() for parameter in model.parameters() if parameter.grad is not None)


def test_it_is_diffusers_dit() -> None:
    """Against an independent implementation with our weights in it."""
    model: Any = network(classes=4)
    # diffusers has one time embedding a block, no gain and bias in its norms, one label in training
    with torch.no_grad():
        for block in model.blocks:
            for norm in (block.norm1, block.norm2):
                norm.weight.fill_(1.0)
                norm.bias.fill_(0.0)
    theirs: Any = DiTTransformer2DModel(
        num_attention_heads=3, attention_head_dim=8, in_channels=3, out_channels=3, num_layers=2, sample_size=8,
        patch_size=2, num_embeds_ada_norm=5, dropout=0.0, activation_fn="gelu",
    ).eval()  # fmt: skip
    state = theirs.state_dict()
    modules: dict[str, Any] = {"pos_embed.proj": model.patch_embed.proj, "proj_out_1": model.final_modulation}
    modules |= {"proj_out_2": model.output}
    given: dict[str, Tensor] = {}
    for index, (block, modulation) in enumerate(zip(model.blocks, model.modulations, strict=True)):
        at = f"transformer_blocks.{index}."
        for number, layer in ((1, model.time[0]), (2, model.time[2])):
            modules[f"{at}norm1.emb.timestep_embedder.linear_{number}"] = layer
        modules |= {f"{at}norm1.linear": modulation, f"{at}attn1.to_out.0": block.attn.proj}
        modules |= {f"{at}ff.net.0.proj": block.mlp.fc1, f"{at}ff.net.2": block.mlp.fc2}
        labels = at + "norm1.emb.class_embedder.embedding_table.weight"
        given[labels] = torch.cat([model.label.weight, torch.zeros(len(state[labels]) - 5, 24)])
        for name, weight, bias in zip("qkv", block.attn.qkv.weight.chunk(3), block.attn.qkv.bias.chunk(3), strict=True):
            given |= {f"{at}attn1.to_{name}.weight": weight, f"{at}attn1.to_{name}.bias": bias}
    parameters = {f"{name}.{key}": value for name, part in modules.items() for key, value in part.state_dict().items()}
    theirs.load_state_dict(given | parameters)
    theirs.pos_embed.pos_embed = model.pos_embed
    for block in theirs.transformer_blocks:
        block.norm1.emb.time_proj.downscale_freq_shift = 0  # the paper's, which diffusers sets to 1 here
    x, t, labels = torch.randn(3, 3, 8, 8), torch.tensor([0, 10, 999]), torch.tensor([0, 3, 4])
    with torch.no_grad():
        torch.testing.assert_close(model(x, t, labels).sample, theirs(x, t, labels).sample, rtol=1e-4, atol=1e-4)


@both
def test_levels_and_labels_reach_the_output(conditioning: Conditioning) -> None:
    model, x = network(conditioning, classes=4), torch.randn(1, 3, 8, 8).expand(3, -1, -1, -1)
    by_level = model(x, torch.tensor([0, 10, 999])).sample
    by_label = model(x, 10, torch.tensor([0, 1, 4])).sample
    for output in (by_level, by_label):
        assert not torch.allclose(output[0], output[1], atol=1e-4)
        assert not torch.allclose(output[1], output[2], atol=1e-4)
    torch.testing.assert_close(by_label[2], by_level[1])  # the label after the last stands for none
    torch.testing.assert_close(model(x, torch.tensor(10)).sample[0], by_level[1])


@both
def test_recomputing_gives_the_same_gradients(conditioning: Conditioning) -> None:
    model, x, t = network(conditioning), torch.randn(2, 3, 8, 8), torch.tensor([3, 700])
    gradients = []
    for recompute in (False, True):
        model.set_grad_checkpointing(recompute)
        model.zero_grad()
        model(x, t).sample.square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_unpatchify_undoes_cutting_into_patches() -> None:
    image = torch.arange(2 * 3 * 6 * 6).float().view(2, 3, 6, 6)
    tokens = image.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 4, 5, 1).reshape(2, 9, 12)
    assert torch.equal(unpatchify(tokens, 2, 3), image)


@both
def test_operations_are_those_of_the_formula(conditioning: Conditioning) -> None:
    """Two a multiply-add, as published counts of multiply-adds are half of these: blocks of 12 w^2 a token and the
    attention's 2 N w, patches in and out, the time embedding and the modulations."""
    width, depth, patches, inputs = 24, 2, 16, 12
    tokens = patches + (conditioning == "token")
    blocks = depth * (tokens * 12 * width**2 + 2 * tokens**2 * width)
    expected = blocks + 2 * patches * inputs * width + 256 * width + width**2
    expected += width**2 * (6 * depth + 2) if conditioning == "adaptive" else 0
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(conditioning)(torch.randn(1, 3, 8, 8), 10)
    assert counter.get_total_flops() == 2 * expected


def test_autoencoder_has_shapes_stages_and_learns() -> None:
    images = ImageSpec(1, 8)
    encoder, decoder = ViTEncoder(images, 24, 2, 3, 4, 10), ViTDecoder(images, 24, 2, 3, 4, 5, 2)
    x = torch.randn(3, 1, 8, 8)
    stages, out = encoder.stages(x)
    torch.testing.assert_close(out, encoder(x))
    assert out.shape == (3, 10) and [stage.shape for stage in stages] == [(3, 24, 2, 2)] * 2
    images = decoder(out[:, :5])
    assert images.shape == (3, 2, 8, 8)
    images.square().sum().backward()
    for part in (encoder, decoder):
        assert all(parameter.grad is not None for parameter in part.parameters() if parameter.requires_grad)
    assert encoder.patch_embed.proj.weight.grad.any()


def test_a_stage_keeps_patches_in_their_places() -> None:
    """A changed corner of the image changes the first block's corner the most."""
    encoder, x = ViTEncoder(ImageSpec(1, 16), 24, 1, 3, 4, 10), torch.randn(1, 1, 16, 16)
    changed = x.clone()
    changed[..., 12:, :4] += 1.0  # the last row of patches, the first column
    change = (encoder.stages(changed)[0][0] - encoder.stages(x)[0][0]).square().sum(dim=(0, 1))
    assert change.argmax() == 3 * 4


@pytest.mark.parametrize(
    "build", [lambda: DiT(9, 3, 2, 24, 2, 3), lambda: ViTEncoder(ImageSpec(3, 9), 24, 2, 3, 2, 4)], ids=["dit", "vae"]
)
def test_patches_that_do_not_fit_are_refused(build) -> None:
    with pytest.raises(WorkbenchError, match=r"Images of 9 px cannot be cut into patches of 2 px; choose --patch"):
        build()
