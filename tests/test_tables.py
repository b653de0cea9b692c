"""Tables fit a terminal: no line is wider, no word or id is cut, and what is left out is named."""

import re
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.store import create_run
from workbench.tables import Column, layout, wrapped

EXAMPLES = Path(__file__).parents[1] / "examples" / "runs"
LONG = "a-longer-name-with-batch-size-4096-and-learning-rate-0.0003"
COMPARED = [str(EXAMPLES / name) for name in ("20261124-034454-mocov3-shapes-6064", "20261124-040730-vae-shapes-e9cf")]
TABLES = {
    "runs": ["runs", "--runs", str(EXAMPLES)],
    "methods": ["methods"],
    "datasets": ["datasets"],
    "compare": ["compare", *COMPARED],
}


NOTE = "Left out; rows with values only there; Ids ids by their last four characters; --wide shows all."


def parts(text: str) -> set[str]:
    """Words, and the parts of names between hyphens."""
    return set(re.split(r"[\s\-_/;:,.]+", text))


def printed(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.tables.on_terminal", lambda: True)


@pytest.fixture
def long_names(tmp_path: Path) -> list[str]:
    """The words of a list of runs with long names, data from a long path, and tags."""
    for name in (LONG, LONG.replace("-", "_"), "short"):
        data = {"name": "photographs-of-birds-and-other-animals"}
        run = create_run(tmp_path, "method: vae\n", {"method": "vae", "data": data, "name": name})
        run.update_summary(knn=61.25, linear=70.0, knn_monitor=60.0, status="interrupted")
        assert main(["tag", run.id, "good", "candidate", "--runs", str(tmp_path)]) == 0
    return ["runs", "--runs", str(tmp_path)]


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("table", [*TABLES, "long names"])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_cut(
    table: str, width: int, long_names: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    words = TABLES.get(table, long_names)
    wide = printed([*words, "--wide"], capsys)
    monkeypatch.setenv("COLUMNS", str(width))
    narrow = printed(words, capsys)
    assert max(map(len, narrow.splitlines())) <= width
    assert parts(narrow) <= parts(wide + NOTE)
    shown, everything = (re.split(r"  +", text.splitlines()[0]) for text in (narrow, wide))
    left_out = [heading for heading in everything if heading not in shown]
    assert [*shown, *left_out] == sorted(everything, key=lambda heading: heading in left_out)
    assert not left_out or f"Left out: {', '.join(left_out)}" in narrow.replace(" \n", " ")
    assert ("--wide" in narrow) == bool(left_out or "last four" in narrow)


@pytest.mark.parametrize("table", TABLES)
def test_a_pipe_gets_whole_lines_and_all_columns(
    table: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert printed(TABLES[table], capsys) == printed([*TABLES[table], "--wide"], capsys)


@pytest.mark.usefixtures("terminal")
def test_ids_are_short_only_where_that_is_needed_and_unique(
    long_names: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = printed(TABLES["runs"], capsys).splitlines()
    assert lines[-3].startswith("6064  mocov3") or any(line.startswith("6064  mocov3") for line in lines)
    monkeypatch.setenv("COLUMNS", "120")
    assert "20261124-034454-mocov3-shapes-6064" in printed(TABLES["runs"], capsys)


def test_columns_go_by_rank_and_words_go_on_below() -> None:
    columns = [
        Column("name", ["one two three four five six seven"], words=True),
        Column("value", ["1.25"], 1, right=True),
        Column("cost", ["12 min"], 2),
    ]
    assert layout(columns).left_out == layout(columns, 48).left_out == ()
    assert [line for _, line in layout(columns, 40).lines()] == [
        "name                       value  cost",
        "one two three four five     1.25  12 min",
        "six seven",
    ]
    narrow = layout(columns, 32)
    assert narrow.left_out == ("cost",) and narrow.note == "Left out: cost; --wide shows all."
    assert [column.heading for column in layout(columns, 10).columns] == ["name"]


def test_rows_with_values_only_in_columns_left_out_are_named_below() -> None:
    columns = [
        Column("model", ["vae", "mean image", "nothing"]),
        Column("top-1", ["40.0", "", ""], 1, right=True),
        Column("psnr", ["31.1", "14.3", ""], 2, right=True),
    ]
    narrow = layout(columns, 17)
    assert [line for _, line in narrow.lines()] == ["model       top-1", "vae          40.0", "nothing"]
    assert narrow.note == "Left out: psnr; rows with values only there: mean image; --wide shows all."
    assert len(layout(columns).lines()) == 4


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("width", [80, 100, 120])
def test_every_row_of_a_comparison_has_a_value(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = printed(["compare", "mocov3", "vae", "ddpm", "--runs", str(EXAMPLES)], capsys)
    table = text[: text.index("Left out")].splitlines()
    assert {"mean image", "pca-32", "pca-64"} <= set(re.split(r"[:,;] ", " ".join(text.split())))
    without = [line for line in table[1:] if not re.search(r"\d\]", line)]
    assert all(line in ("seeds)", "space") for line in without)  # the end of a name


def test_words_and_names_break_where_a_reader_would() -> None:
    assert wrapped("lr-sweep_of/many parts", 9) == ["lr-sweep_", "of/many", "parts"]
    assert wrapped("unbreakable", 4) == ["unbreakable"]
    assert wrapped("a U-Net", 4) == ["a", "U-Net"]
    assert wrapped("", 4) == [""]
