"""Two-view augmentation at 32 px: images/s of ours against lightly's SimCLRTransform in worker processes.

    pip install -e '.[bench]' -c constraints.txt
    python -m benchmarks.augmentation

Both crop, jitter, grey, blur and flip with the same probabilities and strengths. The two take turns; the medians and
the ratio of each turn are printed.
"""

import argparse
import statistics
import time

import torch

from benchmarks import peer_lightly
from workbench.data import keyed, shapes
from workbench.data.augment import Augmentation


def ours(images: torch.Tensor, batch_size: int, blur: float) -> float:
    """Two-view images/s of the batched augmentation in this process."""
    views = [Augmentation(size=images.shape[-1], blur=blur) for _ in range(2)]
    began = time.perf_counter()
    for start in range(0, len(images) - batch_size + 1, batch_size):
        keys = keyed.sample_keys(0, 0, torch.arange(start, start + batch_size))
        for index, view in enumerate(views):
            view(images[start : start + batch_size], keyed.fork(keys, index))
    return len(images) // batch_size * batch_size / (time.perf_counter() - began)


def theirs(loader) -> float:
    """Two-view images/s of the loader, its workers already running."""
    began = time.perf_counter()
    n = sum(len(batch[0]) for batch in loader)
    return n / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--blur", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    pixels = shapes.generate("train", options.images).images
    tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    loader = peer_lightly.loader(pixels, options.batch_size, options.workers, options.blur)
    theirs(loader)  # starts the workers
    ours(tensor, options.batch_size, options.blur)
    rounds = [(ours(tensor, options.batch_size, options.blur), theirs(loader)) for _ in range(options.rounds)]
    mine, peer = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratios = [a / b for a, b in rounds]
    print(f"workbench, {torch.get_num_threads()} threads     {mine:8.0f} images/s, two views each")
    print(f"lightly, {options.workers} workers       {peer:8.0f} images/s, two views each")
    print(f"ratio                    {statistics.median(ratios):8.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
