"""Two-view augmentation at 32 px: images/s of ours against lightly's SimCLRTransform in worker processes.

    pip install -e '.[bench]' -c constraints.txt
    python -m benchmarks.augmentation

Both crop, jitter, grey, blur and flip with the same probabilities and strengths. The two take turns; it prints the
medians and the ratio of each turn.
"""

import statistics
import time

import torch

from benchmarks import peer_lightly, turns
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
    """Two-view images/s of the loader, with its workers running."""
    began = time.perf_counter()
    n = sum(len(batch[0]) for batch in loader)
    return n / (time.perf_counter() - began)


def main() -> None:
    options = turns.parser(__doc__, images=4096, batch_size=128, workers=2, blur=0.5, rounds=5).parse_args()
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
