"""What every method promises, whatever it is."""

import ast
import inspect
import textwrap
import warnings
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

from workbench.config import TrainConfig, flatten, replace_flat
from workbench.data import keyed
from workbench.methods import METHODS, load_method
from workbench.methods.base import Batch, ImageSpec, Method, evaluation_mode
from workbench.methods.capabilities import Conditional, Likelihood, Reconstructs, Samples

CLASSES = 5
UNET: dict[str, Any] = {"widths": (8, 16), "layers": 1, "dropout": 0.0, "feature_steps": (100,)}
SMALL: dict[str, dict[str, Any]] = {
    "mocov3": {"width": 48, "depth": 1, "heads": 2, "hidden": 32, "out_dim": 16, "patch": 4},
    "vae": {"width": 8, "latent_dim": 6},
    "hvae": {"width": 8, "latent_channels": 2, "groups": 3, "blocks": 1},
    "ddpm": UNET,
    "vdm": UNET,
    "score": UNET | {"ode_tolerance": 1e-3},
    "supervised": {"width": 48, "depth": 1, "heads": 2, "patch": 4, "classes": CLASSES},
}
CAPABILITIES = {"reconstructs": Reconstructs, "samples": Samples, "likelihood": Likelihood}
IMAGES = [ImageSpec(3, 16), ImageSpec(1, 8)]

everyone = pytest.mark.parametrize("name", METHODS)
every_size = pytest.mark.parametrize("images", IMAGES, ids=str)


def build(name: str, images: ImageSpec, seed: int = 0, **changes: Any) -> tuple[Method, TrainConfig]:
    method_class, config_class = load_method(name)
    sides: dict[str, Any] = {"attention_size": images.size // 2} if "widths" in SMALL[name] else {}
    config = config_class(**SMALL[name] | sides | changes)
    torch.manual_seed(seed)
    return method_class(config, images), config


def pictures(images: ImageSpec, n: int = 6) -> Tensor:
    keys = keyed.sample_keys(7, 0, torch.arange(n))
    return (keyed.uniform(keys, images.channels, images.size, images.size) * 255).round() / 255


def batch_of(name: str, config: TrainConfig, images: ImageSpec, ids: Tensor) -> Batch:
    """A batch as the trainer makes it, of the pictures with these ids."""
    keys = keyed.sample_keys(0, 0, ids)
    views = load_method(name)[0].augmentations(config, images)
    whole = pictures(images)[ids]
    return Batch(tuple(view(whole, keyed.fork(keys, index)) for index, view in enumerate(views)), keys, ids % CLASSES)


@everyone
def test_options_do_not_shadow_common_ones(name: str) -> None:
    _, config_class = load_method(name)
    bases = [base for base in config_class.__mro__[:-1] if base is not TrainConfig]
    own = {option for base in bases for option in base.__annotations__}
    commands = {"config", "config_file", "dry_run", "help", "version"}  # the command's own
    assert own and not own & ({field.name for field in fields(TrainConfig)} | commands)
    keys = list(flatten(config_class()))
    assert len(keys) == len(set(keys))


@everyone
def test_every_option_has_help(name: str) -> None:
    for config_class in load_method(name)[1].__mro__[:-1]:
        body = ast.parse(textwrap.dedent(inspect.getsource(config_class))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, after in zip(body.body, body.body[1:], strict=False):
            if isinstance(statement, ast.AnnAssign):
                assert isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant), ast.unparse(statement)


@everyone
@pytest.mark.parametrize("size", [8, 28, 32, 64, 96, 224])
def test_presets_name_real_options_and_build(name: str, size: int) -> None:
    method_class, config_class = load_method(name)
    presets = config_class.presets(size)
    assert set(presets) == {"cpu", "published"}
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ViT-S with 16 px patches is undercomplete, as published
        for values in presets.values():
            method_class(replace_flat(config_class(), values), ImageSpec(3, size))


@everyone
def test_capabilities_are_what_the_list_says(name: str) -> None:
    method_class, _ = load_method(name)
    has = {capability for capability, base in CAPABILITIES.items() if issubclass(method_class, base)}
    assert has == set(METHODS[name].capabilities)


@everyone
@every_size
def test_a_step_trains_everything_trainable(name: str, images: ImageSpec) -> None:
    method, config = build(name, images)
    batch = batch_of(name, config, images, torch.arange(6))
    method.before_step(0.0)
    step = method(batch, 0.0)
    step.loss.backward()
    assert step.loss.shape == () and torch.isfinite(step.loss)
    for term in step.logs.values():
        assert term.shape == () and not term.requires_grad
    for parameter_name, parameter in method.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, parameter_name
    method.after_step(0.0)


VARIANTS: list[dict[str, Any]] = [
    {"backbone": "resnet18"},
    {"backbone": "resnet50"},
    {"backbone": "conv", "conv_width": 8},
    {"backbone": "vit_tiny"},
    {"stem": "conv"},
    {"token": "mean"},
    {"mlp_norm": "batch"},
    {"position": "none"},
    {"head_norm": False},
    {"predictor": False},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_other_backbones_of_mocov3_train_too(changes: dict[str, Any]) -> None:
    method, config = build("mocov3", IMAGES[0], **changes)
    step = method(batch_of("mocov3", config, IMAGES[0], torch.arange(6)), 0.0)
    step.loss.backward()
    assert torch.isfinite(step.loss)
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)
    with evaluation_mode(method):
        features = method.encode(pictures(IMAGES[0]))
    assert method.default_feature in features and "projector" in features


@pytest.mark.parametrize("changes", VARIANTS[:-2], ids=str)
def test_a_classifier_of_mocov3s_other_backbones_trains_too(changes: dict[str, Any]) -> None:
    method, config = build("supervised", IMAGES[0], **changes)
    method(batch_of("supervised", config, IMAGES[0], torch.arange(6)), 0.0).loss.backward()
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)
    check_layers(method, pictures(IMAGES[0]))


@everyone
def test_bf16_is_near_fp32(name: str) -> None:
    method, config = build(name, IMAGES[0])
    batch = batch_of(name, config, IMAGES[0], torch.arange(6))
    method.eval()  # BatchNorm of six images would blow differences up
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = method(batch, 0.0).loss
    with torch.no_grad():
        full = method(batch, 0.0).loss
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=0.05, atol=0.05)


@everyone
@every_size
def test_loss_does_not_depend_on_the_order_of_samples(name: str, images: ImageSpec) -> None:
    method, config = build(name, images)
    ids = torch.arange(6)
    one = method(batch_of(name, config, images, ids), 0.5).loss
    other = method(batch_of(name, config, images, ids.flip(0)), 0.5).loss
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@everyone
@every_size
def test_features_belong_to_the_image_alone(name: str, images: ImageSpec) -> None:
    """Not to the batch, nor to how often one asks."""
    method, _ = build(name, images)
    whole = pictures(images)
    with evaluation_mode(method):
        together, again, alone = method.encode(whole), method.encode(whole), method.encode(whole[2:3])
    assert method.default_feature in together
    for space, features in together.items():
        assert features.ndim == 2 and len(features) == len(whole) and torch.isfinite(features).all()
        assert torch.equal(features, again[space])
        torch.testing.assert_close(features[2:3], alone[space], rtol=1e-4, atol=1e-5)


@everyone
@every_size
def test_with_equal_keys_a_small_change_of_an_image_changes_its_features_little(name: str, images: ImageSpec) -> None:
    """So that what a change does is not what other noise does."""
    method, _ = build(name, images)
    whole, keys = pictures(images), keyed.sample_keys(0, 0, torch.arange(len(pictures(images))))
    changed = whole.clone()
    changed[:, 0, 0, 0] = (changed[:, 0, 0, 0] - 1 / 255).abs()
    with evaluation_mode(method):
        before, after = method.encode(whole, keys), method.encode(changed, keys)
    for space, features in before.items():
        assert torch.cosine_similarity(features, after[space]).min() > 0.999, space


@everyone
@every_size
def test_layers_belong_to_the_image_alone_and_hold_the_features(name: str, images: ImageSpec) -> None:
    check_layers(build(name, images)[0], pictures(images))


OTHER_LAYERS = [VARIANTS[0], VARIANTS[2], {"stem": "conv", "depth": 3}, {"token": "mean", "depth": 2}]


@pytest.mark.parametrize("changes", OTHER_LAYERS, ids=str)
def test_layers_of_other_backbones_of_mocov3(changes: dict[str, Any]) -> None:
    check_layers(build("mocov3", IMAGES[0], **changes)[0], pictures(IMAGES[0]))


def check_layers(method: Method, whole: Tensor) -> None:
    everything: dict[str, Tensor] = {}
    with evaluation_mode(method):
        encoded = method.encode(whole)
        for level in method.levels:
            found, alone = method.layers(whole, level), method.layers(whole[2:3], level)
            assert list(found) == list(alone)
            depths = [layer.depth for layer in found]
            assert depths == sorted(depths) and set(depths) == set(range(depths[-1] + 1)) and len(set(depths)) > 1
            places = {layer.depth: layer.name for layer in found}
            assert len(set(places.values())) == len(places)
            assert all(places[layer.depth] == layer.name and layer.t == level for layer in found)
            for layer, features in found.items():
                assert features.ndim == 2 and len(features) == len(whole) and torch.isfinite(features).all()
                assert features.dtype == torch.float32 and features.std(dim=0).max() > 0, layer
                torch.testing.assert_close(features[2:3], alone[layer], rtol=1e-4, atol=1e-5)
                assert layer.space not in everything
                everything[layer.space] = features
        default = {layer.space: layer for layer in method.layers(whole)}[method.default_feature]
    assert default.t in method.levels
    for space, features in encoded.items():
        torch.testing.assert_close(everything[space], features, rtol=1e-4, atol=1e-5)


@everyone
def test_weights_are_the_whole_state(name: str) -> None:
    method, _ = build(name, IMAGES[0])
    other, _ = build(name, IMAGES[0], seed=1)
    whole = pictures(IMAGES[0])
    other.load_state_dict(method.state_dict())
    with evaluation_mode(method), evaluation_mode(other):
        for space, features in method.encode(whole).items():
            assert torch.equal(features, other.encode(whole)[space])


@everyone
def test_evaluation_leaves_the_training_mode_as_it_was(name: str) -> None:
    method, _ = build(name, IMAGES[0])
    method.train()
    before = {key: value.clone() for key, value in method.state_dict().items()}
    with evaluation_mode(method):
        assert not method.training
        method.encode(pictures(IMAGES[0]))
    assert method.training
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())


@everyone
@every_size
def test_reconstructions(name: str, images: ImageSpec) -> None:
    method, _ = build(name, images)
    if not isinstance(method, Reconstructs):
        pytest.skip("does not reconstruct")
    whole, keys = pictures(images), keyed.sample_keys(0, 0, torch.arange(6))
    with evaluation_mode(method):
        drawn, part = method.reconstruct(whole, keys), method.reconstruct(whole[:2], keys[:2])
        default = method.reconstruct(whole, keys, default_only=True)
    first = next(iter(drawn))
    assert list(default) == [first] and torch.equal(default[first], drawn[first])
    for variant, pixels in drawn.items():
        assert pixels.shape == whole.shape and pixels.min() >= 0 and pixels.max() <= 1
        torch.testing.assert_close(pixels[:2], part[variant], rtol=1e-3, atol=1e-3)


@everyone
@every_size
def test_samples_depend_on_the_seed_alone(name: str, images: ImageSpec) -> None:
    method, _ = build(name, images)
    if not isinstance(method, Samples):
        pytest.skip("does not sample")
    with evaluation_mode(method):
        steps = None if name in ("vae", "hvae") else 4
        four, two, other = (method.sample(n, seed, steps) for n, seed in ((4, 0), (2, 0), (2, 1)))
    assert four.shape == (4, *images[:1], images.size, images.size) and four.min() >= 0 and four.max() <= 1
    torch.testing.assert_close(four[:2], two, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(two, other, atol=1e-2)


@everyone
def test_likelihood_of_discrete_pixels_is_at_least_zero(name: str) -> None:
    """A probability mass is at most 1, so its negative logarithm cannot be below 0."""
    method, _ = build(name, IMAGES[0])
    if not isinstance(method, Likelihood):
        pytest.skip("has no likelihood")
    with evaluation_mode(method):
        keys = keyed.sample_keys(0, 0, torch.arange(6))
        nats, terms = method.nats_per_image(pictures(IMAGES[0]), keys), method.nats_terms(pictures(IMAGES[0]), keys)
    assert nats.shape == (6,) and (nats > 0).all()
    assert len(terms) > 1 and all(term.shape == (6,) for term in terms.values())
    torch.testing.assert_close(torch.stack(list(terms.values())).sum(dim=0), nats)
    assert method.likelihood_kind in ("lower bound", "exact", "estimate") and method.likelihood_note.endswith(".")


@pytest.mark.parametrize("name", ["vae", "ddpm"])
def test_a_class_conditional_model_keeps_the_promises_of_any_other(name: str) -> None:
    images = IMAGES[0]._replace(classes=CLASSES)
    method, config = build(name, images, conditional=True)
    assert isinstance(method, Conditional) and method.label_count == CLASSES
    assert isinstance(unconditional := build(name, images)[0], Conditional) and unconditional.label_count == 0
    batch = batch_of(name, config, images, torch.arange(6))
    method(batch, 0.5).loss.backward()
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)
    whole, keys = pictures(images), keyed.sample_keys(0, 0, torch.arange(6))
    with evaluation_mode(method):
        assert method.encode(whole)[method.default_feature].shape[0] == 6
        nats = torch.stack([method.label_nats(whole, keys, torch.full_like(keys, label)) for label in range(CLASSES)])
        mixed = method.label_nats(whole, keys, torch.arange(6) % CLASSES)
    assert nats.shape == (CLASSES, 6) and torch.isfinite(nats).all()
    torch.testing.assert_close(mixed, nats[torch.arange(6) % CLASSES, torch.arange(6)], rtol=1e-4, atol=1e-2)
