import numpy as np
from sklearn.linear_model import RidgeClassifier

from workbench.data import shapes


def test_images_are_the_same_every_time_and_in_every_number():
    few, more = shapes.generate("train", 50), shapes.generate("train", 80)
    assert few.images.shape == (50, 32, 32, 3) and few.images.dtype == np.uint8
    assert np.array_equal(few.images, more.images[:50]) and np.array_equal(few.labels, more.labels[:50])
    assert not np.array_equal(few.images, shapes.generate("test", 50).images)


def test_factors_lie_in_their_ranges_and_are_independent():
    made = shapes.generate("test")
    for name, (low, high) in shapes.RANGES.items():
        assert low <= made.factors[name].min() and made.factors[name].max() <= high
    table = np.stack([made.labels, *made.factors.values()])
    correlation = np.corrcoef(table) - np.eye(len(table))
    assert np.abs(correlation).max() < 0.08
    assert np.bincount(made.labels, minlength=6).min() > 280


def test_factors_are_what_the_image_shows():
    middle = {"hue": 0.0, "size": 9.0, "x": 16.0, "y": 16.0, "rotation": 0.0, "background": 0.2}

    def render(label: int, **changes: float) -> np.ndarray:
        factors = {name: np.array([value], dtype=np.float32) for name, value in (middle | changes).items()}
        return shapes.render(label, factors)[0].astype(int)

    for label in range(len(shapes.CLASSES)):
        image = render(label)
        assert (image[0, 0] == 51).all()
        assert image[..., 0].max() == round(0.95 * 255) and image[..., 0].argmax() != 0
        assert np.array_equal(np.roll(image, (2, -3), axis=(0, 1)), render(label, x=13.0, y=18.0))
        assert np.abs(np.rot90(image, k=-1) - render(label, rotation=90.0)).max() <= 1
        assert np.array_equal(image[..., [1, 0, 2]], render(label, hue=120.0))
        covered = [(render(label, size=size)[..., 0] - 51).sum() / 191 for size in (7.0, 10.0)]
        assert abs(covered[1] / covered[0] / (100 / 49) - 1) < 0.1
        assert (render(label, x=11.0, size=11.0)[:, 31] == 51).all()


def test_shapes_differ_at_every_rotation():
    turns = np.linspace(0, 360, 36, endpoint=False, dtype=np.float32)
    fixed = {"hue": 0.0, "size": 9.0, "x": 16.0, "y": 16.0, "background": 0.0}
    columns = {name: np.full(36, value, dtype=np.float32) for name, value in fixed.items()}
    images = [shapes.render(label, columns | {"rotation": turns})[..., 0] / 255 for label in range(len(shapes.CLASSES))]
    areas = [image.sum(axis=(1, 2)).mean() for image in images]
    for a in range(6):
        for b in range(a):
            difference = np.abs(images[a][:1] - images[b]).sum(axis=(1, 2)).min()
            assert difference > 0.15 * min(areas[a], areas[b]), (shapes.CLASSES[a], shapes.CLASSES[b])


def test_pixels_do_not_give_the_label_away():
    train, test = shapes.generate("train", 2000), shapes.generate("test", 1000)
    features = [made.images.reshape(len(made.images), -1) / 255 - 0.5 for made in (train, test)]
    probe = RidgeClassifier(alpha=100.0, solver="cholesky").fit(features[0], train.labels)
    assert probe.score(features[1], test.labels) < 0.45
