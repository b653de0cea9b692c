"""Protocols of several runs in one line."""

from pathlib import Path

from app.widgets import protocol_line
from tests.app.pages import Copies, Show, text
from workbench.comparison.seeds import Group
from workbench.store import Run


def test_training_seeds_are_named_and_groups_counted(tmp_path: Path) -> None:
    evaluations = [("a", {"seeds": [1]}), ("b", {"seeds": [0]}), ("c", {})]
    assert protocol_line.describe(evaluations) == "training seeds 0, 1"
    assert protocol_line.describe(evaluations[:1]) == "training seed 1"
    runs = tuple(Run(tmp_path / str(seed)) for seed in range(3))
    three, alone = Group("a", runs, (0, 1, 2)), Group("b", runs[:1], (0,))
    assert protocol_line.describe(evaluations, groups=[three, three]) == "mean of 3 training seeds"
    assert protocol_line.describe(evaluations, groups=[three, alone]) == "training seeds: a 3, b 1"
    bits = {"protocol": "In bits. Kind: lower bound. An estimate of a lower bound on the likelihood."}
    assert "Kind: upper bound. An estimate of a lower bound" in protocol_line.describe([("a", bits)])


def test_protocols_are_told_once_with_the_names_of_those_that_differ(show: Show, copied: Copies) -> None:
    folder, (_, vae, ddpm) = copied
    middles = ("lower bound. Scaled to [-1, 1]; nothing is dequantised.", "estimate. Scaled to [-1, 1]; by an ODE.")
    first, last = (f"Negative log-likelihood, in bits. Kind: {middle} 95 % over images." for middle in middles)
    assert protocol_line.once({"a": first, "b": last, "c": first}) == [
        "Negative log-likelihood, in bits. Scaled to [-1, 1]; 95 % over images",
        "a, c: Kind: lower bound. nothing is dequantised",
        "b: Kind: estimate. by an ODE",
    ]
    assert protocol_line.once({"a": first}) == [first.rstrip(".")] and protocol_line.once({}) == []
    assert protocol_line.once({"a": "x; y.", "b": "x."}) == ["x", "a: y"]
    for run, said in ((vae, first), (ddpm, last)):
        run.write_evaluation("likelihood", run.evaluation("likelihood") | {"protocol": said})
    said = text(show(folder, "likelihood", [vae.id, ddpm.id]))
    assert said.count("Negative log-likelihood, in bits") == 1 and "ddpm: Kind: estimate. by an ODE" in said
