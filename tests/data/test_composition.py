"""The seven transformations of SimCLR's study against one image at a time with torchvision, SciPy and NumPy."""

import math

import numpy as np
import pytest
import torch
import yaml
from scipy import ndimage
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from workbench.config import replace_flat, write_yaml
from workbench.data import keyed, transforms
from workbench.data.augment import Augmentation, plain, to_float
from workbench.data.composition import NOISE, Composition, TwoViewConfig, transformation, two_views
from workbench.data.options import TRANSFORMATIONS

SIZE = 32


def images(n: int, channels: int = 3, size: int = SIZE) -> Tensor:
    return keyed.uniform(keyed.fork(keys(n), "pictures"), channels, size, size)


def keys(n: int) -> Tensor:
    return keyed.sample_keys(3, 0, torch.arange(n))


def test_cutout_covers_the_square_that_is_asked_for():
    batch, side = images(64), 12
    top, left = (keyed.integers(keyed.fork(keys(64), i), SIZE + side) - side for i in range(2))
    expected = batch.numpy().copy()
    for image, y, x in zip(expected, top.tolist(), left.tolist(), strict=True):
        image[:, max(y, 0) : max(y + side, 0), max(x, 0) : max(x + side, 0)] = 0.5
    assert np.array_equal(transforms.cutout(batch, top, left, side).numpy(), expected)


def test_sobel_equals_scipys():
    batch = images(8)
    batch[4:] = batch[4:].round()
    channels = batch.flatten(0, 1).numpy()
    down, across = ([ndimage.sobel(channel, axis, mode="nearest") for channel in channels] for axis in (0, 1))
    expected = np.hypot(down, across).reshape(batch.shape) / 4
    assert (expected > 1).any()
    np.testing.assert_allclose(transforms.sobel(batch).numpy(), expected.clip(max=1), atol=1e-5)
    step = torch.zeros(1, 1, 6, 6)
    step[..., 3:] = 1.0
    assert transforms.sobel(step)[0, 0, 2].tolist() == [0, 0, 1, 1, 0, 0]


def test_noise_is_white_and_has_its_deviation():
    sigma = torch.tensor([0.02, 0.05, 0.1])
    drawn = transforms.noise(torch.full((3, 3, 128, 128), 0.5), sigma, keys(3)) - 0.5
    for image, deviation in zip(drawn, sigma, strict=True):
        n = image.numel()
        assert abs(float(image.mean())) < 4 * deviation / math.sqrt(n)
        assert abs(float(image.std() / deviation) - 1) < 4 / math.sqrt(2 * n)
        beside = (image[..., 1:] * image[..., :-1]).mean() / deviation**2
        assert abs(float(beside)) < 4 / math.sqrt(n)
    loud = transforms.noise(images(4), torch.ones(4), keys(4))
    assert loud.min() == 0 and loud.max() == 1


def test_quarter_turns_equal_torchvisions():
    batch, turns = images(8), torch.arange(8) % 4
    expected = torch.stack([F.rotate(image, 90.0 * int(k)) for image, k in zip(batch, turns, strict=True)])
    torch.testing.assert_close(transforms.rotate(batch, turns), expected, atol=1e-6, rtol=0)


def test_blur_has_a_kernel_of_a_tenth_of_the_side():
    for size, width in ((8, 3), (32, 3), (64, 7), (96, 9), (224, 23)):
        batch = images(12, 1, size)
        view = transformation("blur", size)
        assert isinstance(view, Augmentation) and view.blur_radius == width // 2
        sigma = view.draw(keys(12), size, size).sigma
        assert sigma is not None and (sigma > 0).any()
        expected = batch.clone()
        for row in sigma.nonzero()[:, 0]:
            expected[row] = F.gaussian_blur(batch[row], [width, width], [float(sigma[row])])
        torch.testing.assert_close(view(batch, keys(12)), expected, atol=1e-5, rtol=0)


def test_crop_and_colour_are_drawn_as_published():
    crop, colour = transformation("crop", SIZE), transformation("colour", SIZE)
    assert isinstance(crop, Augmentation) and isinstance(colour, Augmentation)
    p = crop.draw(keys(4000), SIZE, SIZE)
    assert p.box is not None and p.flip is not None and p.jitter is None and p.grey is None and p.sigma is None
    area = (p.box[:, 2] * p.box[:, 3]).float() / SIZE**2
    assert 0.06 < area.min() < 0.1 and area.max() > 0.95 and abs(p.flip.float().mean() - 0.5) < 0.03
    p = colour.draw(keys(4000), SIZE, SIZE)
    assert p.factors is not None and p.jitter is not None and p.grey is not None and p.box is None and p.flip is None
    for column, (low, high) in enumerate([(0.2, 1.8), (0.2, 1.8), (0.2, 1.8), (-0.2, 0.2)]):
        values = p.factors[:, column]
        assert low <= values.min() < low + 0.01 and high - 0.01 < values.max() <= high
    assert abs(p.jitter.float().mean() - 0.8) < 0.03 and abs(p.grey.float().mean() - 0.2) < 0.03


def test_the_other_four_are_drawn_as_described():
    n, grey = 2000, torch.full((2000, 1, SIZE, SIZE), 0.25)
    covered = transformation("cutout", SIZE)(grey, keys(n)) == 0.5
    sides = covered[:, 0].any(dim=2).sum(dim=1), covered[:, 0].any(dim=1).sum(dim=1)
    assert all(side.min() == SIZE // 4 and side.max() == SIZE // 2 for side in sides)
    middle = torch.full((n, 1, SIZE, SIZE), 0.5)
    deviation = (transformation("noise", SIZE)(middle, keys(n)) - 0.5).std(dim=(1, 2, 3))
    assert deviation.min() < 0.02 and 0.9 * NOISE < deviation.max() < 1.05 * NOISE
    assert abs(deviation.mean() - NOISE / 2) < 0.01
    corner = torch.zeros(n, 1, SIZE, SIZE)
    corner[:, :, 0, 0] = 1.0
    turned = transformation("rotation", SIZE)(corner, keys(n))[:, 0]
    shares = [turned[:, y, x].mean() for y, x in ((0, 0), (-1, 0), (-1, -1), (0, -1))]
    assert shares[0] == 0 and all(abs(share - 1 / 3) < 0.05 for share in shares[1:])
    batch = images(4)
    assert torch.equal(transformation("sobel", SIZE)(batch, keys(4)), transforms.sobel(batch))


def test_strength_zero_changes_nothing():
    batch, none = images(16), torch.zeros(16, dtype=torch.int64)
    assert torch.equal(transforms.cutout(batch, none, none, 0), batch)
    assert torch.equal(transforms.noise(batch, torch.zeros(16), keys(16)), batch)
    assert torch.equal(transforms.rotate(batch, none), batch)
    assert torch.equal(transforms.rotate(batch, none + 4), batch)
    assert transforms.sobel(torch.full((1, 3, 8, 8), 0.7)).max() == 0
    assert torch.equal(Composition(SIZE, ())(batch, keys(16)), batch)


@pytest.mark.parametrize("name", TRANSFORMATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_does_not_depend_on_its_batch(name, channels: int):
    batch, view = (images(24, channels) * 255).round().to(torch.uint8), Composition(SIZE, (name,))
    together = view(batch, keys(24))
    assert together.shape == batch.shape and together.dtype == torch.float32
    assert together.min() >= 0 and together.max() <= 1
    order = torch.argsort(keyed.fork(keys(24), "shuffled"))
    torch.testing.assert_close(view(batch[order], keys(24)[order]), together[order], atol=1e-6, rtol=0)
    alone = torch.cat([view(batch[i : i + 1], keys(24)[i : i + 1]) for i in range(24)])
    torch.testing.assert_close(alone, together, atol=1e-6, rtol=0)
    assert not torch.equal(together, to_float(batch))
    if name != "sobel":
        assert not torch.equal(view(batch, keyed.fork(keys(24), 1)), together)


def test_two_transformations_follow_one_another():
    batch = images(16)
    cut_first = Composition(SIZE, ("cutout", "sobel"))(batch, keys(16))
    torch.testing.assert_close(cut_first, transforms.sobel(Composition(SIZE, ("cutout",))(batch, keys(16))))
    assert not torch.allclose(cut_first, Composition(SIZE, ("sobel", "cutout"))(batch, keys(16)))


def test_the_second_of_two_has_numbers_of_its_own():
    corner = torch.zeros(400, 1, SIZE, SIZE)
    corner[:, :, 0, 0] = 1.0
    twice = Composition(SIZE, ("rotation", "rotation"))(corner, keys(400))[:, 0]
    once = Composition(SIZE, ("rotation",))(corner, keys(400))[:, 0]
    opposite = once[:, -1, -1] == 1  # turned by 180 degrees; the second turn then takes it anywhere but there
    ends = [int(twice[opposite][:, y, x].sum()) for y, x in ((0, 0), (-1, 0), (0, -1), (-1, -1))]
    assert all(count > 20 for count in ends[:3]) and ends[3] == 0


def test_images_of_another_size_are_brought_to_the_views():
    batch = images(4, size=48)
    view = Composition(SIZE, ("sobel",))(batch, keys(4))
    torch.testing.assert_close(view, transforms.sobel(plain(SIZE)(batch, keys(4))))


def test_the_option_gives_one_view_the_transformations_and_leaves_the_other_plain():
    first, second = Augmentation(size=SIZE), plain(SIZE)
    assert two_views(TwoViewConfig(), SIZE, first, second) == (first, second)
    config = replace_flat(TwoViewConfig(), {"composition": ["crop", "blur"]})
    changed, left = two_views(config, SIZE, first, second)
    assert changed == Composition(SIZE, ("crop", "blur"))
    batch = images(4)
    assert torch.equal(left(batch, keys(4)), batch)


def test_the_option_is_stored_and_read_back():
    for config in (TwoViewConfig(), TwoViewConfig(composition=("noise",)), TwoViewConfig(composition=("crop", "blur"))):
        values = yaml.safe_load(write_yaml("any", config))
        values.pop("method")
        assert replace_flat(TwoViewConfig(), values) == config
