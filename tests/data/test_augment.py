import dataclasses
import math

import pytest
import torch
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as F

from workbench.data import keyed
from workbench.data.augment import Augmentation, Parameters, plain, to_float
from workbench.data.transforms import BRIGHTNESS, CONTRAST, HUE, SATURATION

FULL = Augmentation(size=32, blur=0.5, solarise=0.5)


def images(n: int, size: int = 32, channels: int = 3) -> torch.Tensor:
    """Smooth random uint8 images, so that differences of resizing show."""
    coarse = torch.rand(n, channels, size // 4, size // 4, generator=torch.Generator().manual_seed(0))
    fine = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)
    return (fine * 255).round().to(torch.uint8)


def keys(n: int) -> torch.Tensor:
    return keyed.sample_keys(0, 0, torch.arange(n))


def resized(image: torch.Tensor, box: torch.Tensor, size: int) -> torch.Tensor:
    top, left, height, width = box.tolist()
    return F.resized_crop(image, top, left, height, width, [size, size], antialias=True)


def crops(batch: torch.Tensor, parameters: Parameters, size: int) -> torch.Tensor:
    """torchvision's crops of a batch at the boxes that were drawn."""
    assert parameters.box is not None
    return torch.stack([resized(*pair, size) for pair in zip(to_float(batch), parameters.box, strict=True)])


@pytest.mark.parametrize(("source", "size", "n"), [(32, 32, 64), (500, 224, 4), (48, 32, 16), (8, 32, 8)])
def test_crops_equal_torchvisions_antialiased_ones(source: int, size: int, n: int):
    batch = images(n, source)
    augmentation = Augmentation(size=size, flip=0.0, jitter=0.0, grey=0.0)
    parameters = augmentation.draw(keys(n), source, source)
    expected = crops(batch, parameters, size)
    torch.testing.assert_close(augmentation.apply(batch, parameters), expected, atol=1e-4, rtol=0)
    mirrored = dataclasses.replace(parameters, flip=torch.ones(n, dtype=torch.bool))
    torch.testing.assert_close(augmentation.apply(batch, mirrored), expected.flip(-1), atol=1e-4, rtol=0)


def test_crops_of_images_that_are_not_square():
    batch = images(8, 64)[:, :, :40]
    augmentation = Augmentation(size=24, flip=0.0, jitter=0.0, grey=0.0)
    parameters = augmentation.draw(keys(8), 40, 64)
    torch.testing.assert_close(augmentation.apply(batch, parameters), crops(batch, parameters, 24), atol=1e-4, rtol=0)


def test_boxes_are_distributed_as_torchvisions():
    torch.manual_seed(0)
    blank = torch.zeros(3, 32, 32)
    reference = torch.tensor([RandomResizedCrop.get_params(blank, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)])
    boxes = Augmentation(size=32).draw(keys(4000), 32, 32).box
    assert boxes is not None
    assert (boxes[:, 0] + boxes[:, 2]).max() <= 32 and (boxes[:, 1] + boxes[:, 3]).max() <= 32
    for column in range(4):
        ours, theirs = boxes[:, column].double(), reference[:, column].double()
        assert abs(ours.mean() - theirs.mean()) < 4 * theirs.std() * math.sqrt(2 / 4000)
        assert abs(ours.std() / theirs.std() - 1) < 0.06


def test_a_box_that_never_fits_falls_back_to_the_centre():
    boxes = Augmentation(size=8, crop_min=0.99).draw(keys(50), 10, 100).box
    assert boxes is not None and (boxes == torch.tensor([0, 43, 10, 13])).all()


@pytest.mark.parametrize(
    ("operation", "adjust", "low", "high"),
    [
        (BRIGHTNESS, F.adjust_brightness, 0.6, 1.4),
        (CONTRAST, F.adjust_contrast, 0.6, 1.4),
        (SATURATION, F.adjust_saturation, 0.0, 2.0),
        (HUE, F.adjust_hue, -0.5, 0.5),
    ],
)
@pytest.mark.parametrize("grey_pixels", [False, True])
def test_colour_operations_equal_torchvisions(operation: int, adjust, low: float, high: float, grey_pixels: bool):
    batch = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    if grey_pixels:
        batch[:, :, ::2] = batch[:, :1, ::2]
        batch[:, :, :, 0] = 0.0
        batch[:, :, :, 1] = 1.0
    factors = torch.tensor([1.0, 1.0, 1.0, 0.0]).repeat(16, 1)
    factors[:, operation] = torch.linspace(low, high, 16)
    order = torch.tensor([[3, 1, 0, 2]]).repeat(16, 1)
    parameters = Parameters(jitter=torch.ones(16, dtype=torch.bool), factors=factors, order=order)
    expected = torch.stack([adjust(image, float(f)) for image, f in zip(batch, factors[:, operation], strict=True)])
    torch.testing.assert_close(plain(32).apply(batch, parameters), expected, atol=2e-5, rtol=0)


def one_by_one(batch: torch.Tensor, p: Parameters, augmentation: Augmentation) -> torch.Tensor:
    """The same operations, image by image, with torchvision's functions."""
    assert p.box is not None and p.jitter is not None and p.factors is not None and p.order is not None
    assert p.sigma is not None and p.solarise is not None and p.flip is not None and p.grey is not None
    adjust = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
    radius = math.ceil(3 * augmentation.blur_sigma[1])
    results = []
    for i, image in enumerate(to_float(batch)):
        x = resized(image, p.box[i], augmentation.size)
        if p.jitter[i]:
            for operation in p.order[i].tolist():
                x = adjust[operation](x, float(p.factors[i, operation]))
        if p.grey[i]:
            x = F.rgb_to_grayscale(x, num_output_channels=x.shape[0])
        if p.sigma[i] > 0:
            x = F.gaussian_blur(x, [2 * radius + 1] * 2, [float(p.sigma[i])])
        if p.solarise[i]:
            x = F.solarize(x, augmentation.solarise_threshold)
        results.append(F.horizontal_flip(x) if p.flip[i] else x)
    return torch.stack(results)


def test_the_whole_recipe_equals_torchvisions_image_by_image():
    batch = images(128)
    parameters = FULL.draw(keys(128), 32, 32)
    difference = (FULL.apply(batch, parameters) - one_by_one(batch, parameters, FULL)).abs()
    # A value within rounding of the threshold may be solarised here and not there.
    assert (difference > 1e-4).float().mean() < 1e-4


def test_blur_equals_torchvisions():
    batch = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    sigma = torch.linspace(0.1, 2.0, 8)
    blurred = plain(32).apply(batch, Parameters(sigma=sigma))
    expected = torch.stack([F.gaussian_blur(x, [13, 13], [float(s)]) for x, s in zip(batch, sigma, strict=True)])
    torch.testing.assert_close(blurred, expected, atol=1e-5, rtol=0)


def test_solarise_has_the_threshold_128_of_256():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    changed = plain(16).apply(levels, Parameters(solarise=torch.tensor([True]))).mul(255).round().flatten()
    assert changed.tolist() == [level if level < 128 else 255 - level for level in range(256)]


def test_parameters_have_their_probabilities_and_ranges():
    p = dataclasses.replace(FULL, blur=0.1, solarise=0.2).draw(keys(20_000), 32, 32)
    assert p.flip is not None and p.jitter is not None and p.grey is not None and p.solarise is not None
    assert p.sigma is not None and p.factors is not None and p.order is not None
    shares = [p.flip, p.jitter, p.grey, p.sigma > 0, p.solarise]
    for share, expected in zip(shares, (0.5, 0.8, 0.2, 0.1, 0.2), strict=True):
        assert abs(share.float().mean() - expected) < 0.015
    assert p.sigma[p.sigma > 0].min() >= 0.1 and p.sigma.max() <= 2.0
    for column, (low, high) in enumerate([(0.6, 1.4), (0.6, 1.4), (0.8, 1.2), (-0.1, 0.1)]):
        values = p.factors[:, column]
        assert low <= values.min() < low + 0.01 and high - 0.01 < values.max() <= high
    orders = torch.bincount((p.order * torch.tensor([64, 16, 4, 1])).sum(dim=1), minlength=256)
    assert (orders > 0).sum() == 24 and orders[orders > 0].min() > 600


def test_an_image_does_not_depend_on_its_batch():
    batch = images(32)
    together = FULL(batch, keys(32))
    alone = torch.cat([FULL(batch[i : i + 1], keys(32)[i : i + 1]) for i in range(32)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert not torch.equal(together, FULL(batch, keyed.fork(keys(32), 1)))


def test_grey_images_keep_one_channel():
    batch = images(16, channels=1)
    result = FULL(batch, keys(16))
    assert result.shape == (16, 1, 32, 32) and result.min() >= 0 and result.max() <= 1
    parameters = FULL.draw(keys(16), 32, 32)
    jitter = dataclasses.replace(parameters, sigma=torch.zeros(16), solarise=torch.zeros(16, dtype=torch.bool))
    torch.testing.assert_close(FULL.apply(batch, jitter), one_by_one(batch, jitter, FULL), atol=1e-4, rtol=0)


def test_plain_changes_nothing_but_the_type():
    batch = images(8)
    assert torch.equal(plain(32)(batch, keys(8)), to_float(batch))
    floats = to_float(batch)
    copy = plain(32)(floats, keys(8))
    assert torch.equal(copy, floats) and copy.data_ptr() != floats.data_ptr()
    mirrored = plain(32, flip=1.0)(batch, keys(8))
    assert torch.equal(mirrored, to_float(batch).flip(-1))
    expected = F.resize(to_float(batch), [16, 16], antialias=True)
    torch.testing.assert_close(plain(16)(batch, keys(8)), expected, atol=1e-5, rtol=0)


def test_the_input_is_left_as_it_was():
    floats = to_float(images(8))
    before = floats.clone()
    FULL(floats, keys(8))
    dataclasses.replace(FULL, crop_min=1.0, flip=0.0)(floats, keys(8))
    assert torch.equal(floats, before)


def test_changing_every_image_and_keeping_some_is_changing_some(monkeypatch: pytest.MonkeyPatch):
    """What a GPU does, which is never asked which images are chosen, is what the CPU does."""
    batch = images(64)
    some = FULL(batch, keys(64))
    monkeypatch.setattr("workbench.data.transforms._selects", lambda device: False)
    torch.testing.assert_close(FULL(batch, keys(64)), some, rtol=0, atol=1e-6)
