import numpy as np
import pytest
from sklearn.decomposition import PCA

from workbench.metrics.image import mse, pca_reconstruct, psnr

rng = np.random.default_rng(0)


def test_psnr_of_one_grey_level_is_48_decibels():
    images = rng.uniform(0, 0.9, size=(3, 4, 4, 3))
    errors = mse(images, images + 1 / 255)
    np.testing.assert_allclose(psnr(errors), 48.1308, atol=1e-3)
    assert psnr(mse(images, images)).tolist() == [100, 100, 100]


def test_errors_are_per_image():
    images = np.zeros((2, 5, 5))
    other = images.copy()
    other[1, 0, 0] = 1
    np.testing.assert_allclose(mse(images, other), [0, 1 / 25])


def test_pca_error_is_the_variance_that_is_left():
    images = 0.5 + 0.01 * rng.normal(size=(300, 6, 6))
    flat = images.reshape(300, -1)
    rebuilt = pca_reconstruct(images, images, 10)
    left = PCA().fit(flat).explained_variance_[10:].sum() * 299 / 300 / 36
    assert mse(images, rebuilt).mean() == pytest.approx(left, rel=1e-3)
    np.testing.assert_allclose(pca_reconstruct(images, images, 500), images, atol=1e-5)


def test_pca_stays_in_the_range_of_images():
    images = rng.integers(0, 2, size=(50, 4, 4)).astype(float)
    rebuilt = pca_reconstruct(images, images, 3)
    assert rebuilt.min() >= 0 and rebuilt.max() <= 1
