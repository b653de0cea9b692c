"""Feature decoding: a decoder of one architecture and budget, trained on the frozen features of each model.

How well images can be decoded from features measures what these retain, also for encoders without a decoder of their
own. Features are whitened by PCA to at most :data:`CODE` numbers of equal variance. The baselines are the same decoder
on pixels reduced in the same way, the linear reconstruction from as many principal components, and the mean image.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from workbench.data.arrays import to_uint8
from workbench.data.augment import to_float
from workbench.evaluation import fitting
from workbench.evaluation.context import Context, Row, measured
from workbench.evaluation.features import spread
from workbench.evaluation.generation.reconstruction import baseline_images, quantised
from workbench.metrics.image import mse, pca_reconstruct, psnr
from workbench.networks.autoencoder import ConvDecoder

CODE = 128  # inputs of the decoder; features of more dimensions are reduced to as many
WIDTH, BATCH, LR, WARMUP = 16, 64, 3e-3, 0.05
NEGLIGIBLE = 1e-6  # share of the variance below which a component is left out: whitening would amplify rounding errors


def steps_on(device: torch.device) -> int:
    """Training steps, the same for every model."""
    return 600 if device.type == "cpu" else 10_000


def evaluate(context: Context) -> None:
    """Write ``decoder.json``, and images and errors of the probe images that ``reconstruction`` stores."""
    material, run, model = context.material, context.run, context.model
    if len(material.train) < 2:
        return context.skip("decoder", f"{material.dataset.name} has one training image, and a decoder takes two.")
    probe_rows = material.spread(context.limits.reconstruct)  # of the test images, too, which begin with the probe set
    chosen = material.probe.take(probe_rows)
    stored = spread(len(chosen), context.limits.samples)
    images, train = np.asarray(chosen.images), np.asarray(material.train.images)
    steps = steps_on(model.device)
    protocol = _protocol(images, train, steps)
    rows: list[Row] = []
    decoded: dict[str, NDArray[np.uint8]] = {}

    def add(name: str, space: str, width: int, result: NDArray[np.uint8]) -> None:
        decoded[name] = result
        rows.append({"model": name, "space": space, "width": width} | _score(images, result))

    for name, source in (("run", model), (f"untrained:{context.method}", context.untrained_model)):
        codes, test_codes = whitened(source.encode(train)[source.default], source.encode(images)[source.default])
        add(name, source.default, codes.shape[1], decode(context, name, codes, test_codes, steps))
    width = rows[0]["width"]  # that of the run, so that the baselines are of equal size
    pixels = f"decoded-pixels-{width}"

    def measure_pixels() -> list[Row]:
        train_pixels, _, test_pixels = material.pixels.of("pixels")
        codes, test_codes = whitened(train_pixels, test_pixels[probe_rows], width)
        result = decode(context, "pixels", codes, test_codes, steps)
        context.baselines.write_array(pixels, result)
        return [{"space": "pixels", "width": width} | _score(images, result)]

    rows += context.shared_rows(f"decoder-{width}", protocol, measure_pixels)
    known = context.baselines.array(pixels)
    if known is not None and known.shape == images.shape:
        decoded["pixels"] = np.asarray(known)
    fitted = baseline_images(train)
    add(f"pca-{width}", "", width, quantised(pca_reconstruct(fitted, images / np.float32(255), width)))
    add("mean image", "", 0, quantised(np.broadcast_to(fitted.mean(axis=0), images.shape)))
    for name, result in decoded.items():
        run.write_array(f"decoded-{name}-", result[stored])
        run.write_array(f"decoded-error-{name}-", _errors(images[stored], result[stored]))
    run.write_array("decoded-ids", np.asarray(chosen.ids[stored]))
    context.write("decoder", protocol, len(images), rows=rows, default="", features=model.default)


def _protocol(images: NDArray[np.uint8], train: NDArray[np.uint8], steps: int) -> str:
    weights = sum(parameter.numel() for parameter in _network(images).parameters())
    return (
        f"A convolutional decoder of {weights:,} weights, the same for every model, trained with squared error for "
        f"{steps:,} steps of {min(BATCH, len(train))} on frozen default features of {len(train):,} training images; "
        f"features whitened by PCA, at most {CODE} numbers, padded with zeros; nothing is chosen; PSNR and mean "
        f"squared error for pixels in [0, 1], averaged over {len(images):,} test images; pixels: the same decoder on "
        f"pixels reduced by PCA to the run's width; mean image and PCA fitted to {len(baseline_images(train)):,} of "
        "these images; 95 % bootstrap interval over images."
    )


def whitened(
    train: NDArray[np.floating], images: NDArray[np.floating], width: int = CODE
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features (n, D) and (m, D) as at most ``width`` uncorrelated numbers of variance 1, fitted to ``train``."""
    scaler = StandardScaler().fit(train)
    train, images = (np.asarray(scaler.transform(x), dtype=np.float32) for x in (train, images))
    pca = PCA(min(width, *train.shape), random_state=fitting.SEED).fit(train)
    used = max(1, int(np.sum(pca.explained_variance_ratio_ > NEGLIGIBLE)))
    scale = np.sqrt(np.maximum(pca.explained_variance_[:used], np.finfo(np.float32).tiny))
    first, second = (np.asarray(pca.transform(x)[:, :used] / scale, dtype=np.float32) for x in (train, images))
    return first, second


def _network(images: NDArray[np.uint8]) -> ConvDecoder:
    torch.manual_seed(fitting.SEED)
    return ConvDecoder(images.shape[-1], images.shape[1], WIDTH, CODE)


def decode(
    context: Context, name: str, codes: NDArray[np.float32], test_codes: NDArray[np.float32], steps: int
) -> NDArray[np.uint8]:
    """Train the decoder on the training images and decode others.

    Args:
        name: whose features they are.
        codes: (n, width) of the training images.
        test_codes: (m, width) of the images to decode.
        steps: of training.

    Returns:
        uint8 (m, H, W, C).
    """
    train, device = context.material.train, context.model.device
    network = _network(np.asarray(train.images[:1])).to(device)
    if device.type == "cpu":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    inputs, outputs = (F.pad(torch.from_numpy(x), (0, CODE - x.shape[1])).to(device) for x in (codes, test_codes))
    images = fitting.tensor(train.images, device)
    optimiser = torch.optim.Adam(network.parameters(), lr=LR)
    per_epoch = max(1, len(images) // BATCH)
    schedule = fitting.schedule(len(images), BATCH, -(-steps // per_epoch))[:steps]
    for step, (_, rows) in enumerate(context.track(schedule, f"decoder of {name}")):
        rows = rows.to(device)
        optimiser.param_groups[0]["lr"] = LR * min(1.0, (step + 1) / (WARMUP * steps)) * fitting.cosine(step, steps)
        loss = F.mse_loss(network(inputs[rows]) + 0.5, to_float(images[rows]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()
    with torch.inference_mode():
        return np.concatenate([to_uint8(network(part) + 0.5) for part in outputs.split(fitting.READ)])


def _errors(images: NDArray[np.uint8], result: NDArray[np.uint8]) -> NDArray[np.float64]:
    return mse(images / np.float32(255), result / np.float32(255))


def _score(images: NDArray[np.uint8], result: NDArray[np.uint8]) -> Row:
    errors = _errors(images, result)
    return {"variant": "", **measured("psnr", psnr(errors)), "mse": float(errors.mean())}
