"""Colours of groups of seeds: the method's own first, and the same whatever comes later."""

from workbench.comparison.colours import METHODS, colour_indices
from workbench.palette import run_colour, run_colours

COLOURS = len(run_colours())
FREE = range(len(METHODS), COLOURS)


def test_a_method_has_its_own_colour_in_every_folder() -> None:
    assert colour_indices(["vae", "ddpm", "mocov3"]) == [METHODS.index(name) for name in ("vae", "ddpm", "mocov3")]
    assert colour_indices(METHODS) == list(range(len(METHODS)))


def test_a_second_group_of_a_method_takes_no_other_methods_colour() -> None:
    indices = colour_indices(["vae", "vae", "somebody's", "mocov3", "ddpm"])
    assert indices == [METHODS.index("vae"), FREE[0], FREE[1], METHODS.index("mocov3"), METHODS.index("ddpm")]


def test_further_groups_are_shades() -> None:
    indices = colour_indices(["vae"] * 30)
    assert len(set(indices)) == 30
    assert {index % COLOURS for index in indices} == {METHODS.index("vae"), *FREE}
    first = [run_colour(index) for index in indices[: 1 + len(FREE)]]
    assert set(first) <= set(run_colours()) and run_colour(indices[1 + len(FREE)]) not in run_colours()


def test_a_new_group_changes_no_colour() -> None:
    methods = ["mocov3", "mocov3", "x", "vae", "vae", "ddpm", "x", "y", "score", "mocov3"] * 3
    whole = colour_indices(methods)
    assert all(colour_indices(methods[:n]) == whole[:n] for n in range(len(methods)))
