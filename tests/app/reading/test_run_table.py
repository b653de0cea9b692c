"""The table of runs as data: groups of seeds, filters, ticks."""

from pathlib import Path
from typing import Any

import pytest

from app.reading import run_table


def summary(run_id: str, **entries: Any) -> dict[str, Any]:
    return {"id": run_id, "status": "finished", "method": "vae", "data": "digits", "steps": 10} | entries


def lines(summaries: list[dict[str, Any]], grouping: str, *opened: str) -> list[run_table.TableRow]:
    return run_table.table_rows(summaries, grouping, opened, lambda one: one.get("group", one["id"]))


SEEDS = [summary(f"r{seed}", seed=seed, group="g", linear=70.0 + seed, knn=60.0) for seed in (2, 0, 1)]


def test_seeds_are_a_row_that_opens() -> None:
    everything = [*SEEDS, summary("alone", group="h"), summary("old")]
    shown = lines(everything, "seeds")
    assert [line.label for line in shown] == ["vae \N{MIDDLE DOT} 3 seeds", "alone", "old"]
    assert [line.heads for line in shown] == [True, False, False]
    opened = lines(everything, "seeds", shown[0].group)
    assert [line.ids for line in opened[:4]] == [("r2", "r0", "r1"), ("r2",), ("r0",), ("r1",)]
    headlines = {opened[0].ids: {"linear": "71.0 [68.5, 73.5]"}, ("r2",): {"linear": "71.9"}}
    frame = run_table.frame(opened, {"r0": "#000000"}, {shown[0].group}, headlines)
    assert list(frame["linear"][:3]) == ["71.0 [68.5, 73.5]", "71.9", "70.0"]
    first = frame.iloc[0].to_dict()
    assert (first["seed"], first["open"]) == ("0, 1, 2", run_table.OPEN)
    assert list(frame["open"].isna()) == [False] + [True] * 5


def test_an_unfinished_seed_does_not_enter_the_mean_of_finished_ones() -> None:
    late = summary("late", group="g", status="running", knn_monitor=10.0, step=1, linear=30.0)
    shown = lines([*(one | {"knn_monitor": 50.0} for one in SEEDS), late], "seeds")
    assert run_table.finished(shown[0]).ids == ("r2", "r0", "r1")
    frame = run_table.frame(shown, {}, ())
    assert list(frame["monitor"]) == [50.0] and list(frame["status"]) == [["finished", "running"]]


def test_a_group_of_different_settings_has_no_score() -> None:
    shown = lines([*SEEDS, summary("other", group="h", linear=10.0)], "method")
    headlines = run_table.headlines_of(shown, Path("nowhere"), lambda one: one["group"])
    assert run_table.frame(shown, {}, (), headlines)["linear"].tolist() == ["2 groups"]


def test_a_tick_on_a_group_chooses_its_runs_and_taking_it_away_leaves_the_rest() -> None:
    everything = [*SEEDS, summary("alone", group="h")]
    shown = lines(everything, "seeds", lines(everything, "seeds")[0].group)
    chosen = run_table.choice_after(shown, ["hidden"], [0])
    assert chosen == ["hidden", "r2", "r0", "r1"]
    assert run_table.ticked(shown, chosen) == [0, 1, 2, 3]
    assert run_table.choice_after(shown, chosen, [0, 1, 3]) == ["hidden", "r2", "r1"]  # one of the seeds
    assert run_table.choice_after(shown, chosen, [1, 2, 3]) == ["hidden"]  # the group


@pytest.mark.parametrize(
    ("text", "fits"),
    [("", True), ("VAE digits", True), ("paper", True), ("anna", True), ("seed=2", True), ("vae cifar", False)],
)
def test_every_word_that_is_typed_must_fit(text: str, fits: bool) -> None:
    assert run_table.matches(summary("x", tags=["paper"], owner="anna", seed=2), text) == fits


def test_columns_that_say_nothing_are_left_out() -> None:
    plain = run_table.frame(lines(SEEDS, ""), {}, ())
    assert not {"open", "tags", "owner"} & set(plain.columns)
    told = [*SEEDS, summary("x", tags=["good"], owner="anna"), summary("y", owner="bob")]
    assert {"tags", "owner"} <= set(run_table.frame(lines(told, ""), {}, ()).columns)


def test_a_run_without_a_name_is_called_by_what_its_columns_do_not_say() -> None:
    short = "20260102-030405 \N{HORIZONTAL ELLIPSIS} 0a1b"
    assert run_table.run_title({"id": "20260102-030405-vae-my-data-0a1b"}) == short
    assert run_table.run_title({"id": "somebody-elses"}) == "somebody-elses"
