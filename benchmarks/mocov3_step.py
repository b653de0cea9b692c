"""A MoCo v3 training step end to end, data included: ours against one built from lightly's modules.

    pip install -e '.[bench]' -c constraints.txt
    python -m benchmarks.mocov3_step                    # fp32
    python -m benchmarks.mocov3_step --precision bf16
    python -m benchmarks.mocov3_step --precision auto    # the defaults of each side: ours chooses, theirs is fp32
    python -m benchmarks.mocov3_step --compile ours     # or both: with torch.compile

ViT of width 192, depth 12, patch 4 on 32 px images, heads of the published sizes, batch 128, AdamW. Each side runs
in a process of its own, in turns; it prints the median step, the ratio of each turn and the peak memory (including
workers).
"""

import argparse
import tempfile
from typing import TYPE_CHECKING

from benchmarks import turns

if TYPE_CHECKING:
    from workbench.training.trainer import Trainer

SIZE, WIDTH, DEPTH, HEADS, PATCH = 32, 192, 12, 3, 4


def trainer(batch_size: int, precision: str = "fp32", compiled: bool = False) -> "Trainer":
    """The trainer that `workbench train` uses, with the benchmark's network."""
    from workbench.training.loop import resolve
    from workbench.training.trainer import Trainer

    with tempfile.TemporaryDirectory() as runs:
        settings = {
            "runs": runs, "data": "shapes", "epochs": 1, "batch_size": batch_size, "precision": precision,
            "compile": compiled, "width": WIDTH, "depth": DEPTH, "heads": HEADS, "patch": PATCH, "stem": "patch",
            "frozen_patch": False, "hidden": 4096, "out_dim": 256, "crop_min": 0.08, "blur": [0.5, 0.5],
            "solarise": [0.0, 0.0],
        }  # fmt: skip
        config, dataset = resolve("mocov3", settings)
        return Trainer("mocov3", config, dataset)


def ours(options: argparse.Namespace) -> list[float]:
    """Seconds of each step, data included."""
    return turns.time_trainer(trainer(options.batch_size, options.precision, options.compile != "neither"), options)


def theirs(options: argparse.Namespace) -> list[float]:
    """Seconds of each step, from a loader with two workers."""
    import torch
    from timm.models.vision_transformer import VisionTransformer

    from benchmarks import peer_lightly
    from workbench.data import shapes

    backbone = VisionTransformer(
        img_size=SIZE, patch_size=PATCH, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS, num_classes=0
    )
    model = peer_lightly.MoCo(backbone, WIDTH)
    if options.compile == "both":
        model.backbone.compile()
        model.backbone_momentum.compile()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.5e-4, weight_decay=0.1)
    pixels = shapes.generate("train", (options.steps + options.warmup + 2) * options.batch_size).images

    def step(views: list[torch.Tensor]) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
            loss = model.loss(views)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return turns.time_steps(peer_lightly.loader(pixels, options.batch_size, workers=2, blur=0.5), step, options)


def main() -> None:
    parser = turns.step_parser(__doc__, 128)
    parser.add_argument("--compile", choices=("neither", "ours", "both"), default="neither")
    options = parser.parse_args()
    sides = {"workbench": ours, "lightly's parts": theirs}
    turns.run(options, sides, f"{options.precision}, compiled: {options.compile}")


if __name__ == "__main__":
    main()
