"""The report: the same conclusions in every format, whole or not at all, whatever the runs' files look like."""

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.app.app_fixture import THREE, Folder, copy_as_seed, make_runs
from workbench import report
from workbench.comparison.differences import differences
from workbench.comparison.seeds import group_runs
from workbench.errors import WorkbenchError
from workbench.figures import tex
from workbench.headline import rows_of
from workbench.report import conclusions, writers
from workbench.report.document import Code, Document, Heading, Paragraph, Points, Table
from workbench.report.entries import entries
from workbench.store import Run

NASTY = r"50 % of $x_1 & {y} #2 ~ ^ \ <b>|*`"
VOID = {"meta", "link", "br", "img", "input", "hr"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    runs = tmp_path_factory.mktemp("runs")
    return runs, make_runs(runs)


@pytest.fixture
def three(folder: Folder) -> list[Run]:
    return [Run(folder[0] / folder[1][method]) for method in THREE]


@pytest.fixture
def seeds(three: list[Run], tmp_path: Path) -> list[Run]:
    """Three seeds of two methods, whose numbers differ a little."""
    shutil.copytree(three[0].path.parent / ".probes", tmp_path / ".probes")
    return [copy_as_seed(run, tmp_path / f"{run.id}{seed}", seed) for run in three[:2] for seed in range(3)]


class Page(HTMLParser):
    """Checks that tags are balanced; keeps text and what is referred to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_html_needs_nothing_else_and_says_what_was_tested(three: list[Run]) -> None:
    text = report.render(three, ".html")
    page = Page(text)
    assert page.links and all(link.startswith("data:image/png;base64,") for link in page.links)
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "<script" not in text
    words = "".join(page.words)
    assert "mocov3, vae and ddpm on shapes" in words
    for pair in differences(three):
        assert str(pair) in words
    for expected in ("Factors", "PSNR, dB", "FLOPs/image", "workbench train mocov3 --config"):
        assert expected in words
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg)
    assert text.count("<svg") == 4  # differences, probes, factors, reconstructions


def test_groups_of_seeds_are_one_row_with_their_interval(seeds: list[Run]) -> None:
    document = conclusions.gather(seeds)
    (table,) = [b for b in document.blocks if isinstance(b, Table) and "Linear probe" in b.title]
    row = next(row for row in table.rows if row[0] == "vae (3 seeds)")
    values = [rows_of(run, "linear")[0]["value"] for run in seeds[3:]]
    half = 4.30265 * np.std(values, ddof=1) / np.sqrt(3)
    assert row[2] == f"{np.mean(values):.1f} [{np.mean(values) - half:.1f}, {np.mean(values) + half:.1f}]"
    assert document.subtitle.startswith("6 runs in 2 groups")
    assert "over seeds (Student's t)" in " ".join(b.text for b in document.blocks if isinstance(b, Paragraph))


def test_csv_has_every_number_once(three: list[Run]) -> None:
    rows = list(csv.DictReader(io.StringIO(report.render(three, ".csv"))))
    assert list(rows[0])[:10] == ["run", "seed", "evaluation", "model", "space", "metric", "value", "low", "high", "n"]
    stored = [(run.id, name, row) for run in three for name in run.evaluations() for row in rows_of(run, name)]
    assert [(row["run"], row["evaluation"]) for row in rows] == [(run, name) for run, name, _ in stored]
    assert [float(row["value"]) for row in rows] == pytest.approx([row["value"] for *_, row in stored])
    factor = next(row for row in rows if row["evaluation"] == "factors")
    assert "factor=shape" in factor["detail"] and factor["n"] == "1000"


def pages(text: str) -> Document:
    table = Table(text, [text, "b"], [[text, text], ["[1, 2]", "*"]], note=text)
    return Document(text, text, [Heading(text), Paragraph(text), Points([(text, True)]), Code("a_b", text), table])


def test_markdown_tables_keep_their_columns_whatever_they_hold() -> None:
    lines = writers.write(pages(NASTY), ".md").splitlines()
    cells = [re.split(r"(?<!\\)\|", line) for line in lines if line.startswith("| ")]
    assert len(cells) == 4 and {len(row) for row in cells} == {4}


def test_no_name_is_markup() -> None:
    """A run's name may hold anything; whatever it is, readers see it as it is."""
    name = "</summary><script>alert(1)</script> ``` {{ 7 * 7 }} <% if %> \\input{x}"
    text = writers.write(pages(name), ".html")
    assert "<script" not in text and "{{ 7 * 7 }}" in "".join(Page(text).words)
    text = writers.write(pages(name), ".md")
    assert re.findall(r"(?<!\\)<(?!/?details>|/?summary>)", text) == []
    document = Document("a", "b", [Code(f"{name}\n```\n<b>", name)])
    assert writers.write(document, ".md").count("\n````\n") == 2
    text = writers.write(pages(name), ".tex")
    assert "\\input" not in text and "\\textbackslash{}input" in text and "7 * 7" in text


def test_markdown_leaves_code_and_nothing_else_as_it_is() -> None:
    assert writers.escape_markdown("a_b `c_d` [e]") == r"a\_b `c_d` \[e\]"


def test_latex_escapes_every_special_character() -> None:
    text = tex.escape(NASTY)
    bare = re.sub(r"\\[a-z]+\{\}|\\[&%$#_{}]", "", text)
    assert not set(bare) & set(r"\&%$#_{}~^<>|")
    assert tex.escape("R² · Łódź 漢 a\nb") == r"R\textsuperscript{2} \textperiodcentered{} Łódź ? a b"


def tables_of(text: str) -> Iterator[tuple[int, list[str]]]:
    for columns, body in re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n(.*?)\\end\{tabular\}", text, re.DOTALL):
        yield len(columns), [line for line in body.splitlines() if line.endswith(r"\\")]


def test_latex_is_balanced_and_its_rows_have_all_columns(three: list[Run]) -> None:
    text = report.render(three, ".tex")
    opened = re.findall(r"\\begin\{(\w+)\}", text)
    assert sorted(opened) == sorted(re.findall(r"\\end\{(\w+)\}", text))
    found = list(tables_of(text))
    assert len(found) >= 7
    for columns, lines in found:
        assert all(len(re.findall(r"(?<!\\)&", line)) == columns - 1 for line in lines)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex")
def test_latex_compiles(seeds: list[Run], tmp_path: Path) -> None:
    report.write(seeds, tmp_path / "runs.tex")
    report.write(seeds, tmp_path / "with pgf_%.tex", pgf=True)
    (tmp_path / "with pgf_%.tex").rename(tmp_path / "pgf.tex")
    (tmp_path / "alone.tex").write_text(report.render(seeds, ".tex"))
    (tmp_path / "nasty.tex").write_text(writers.write(pages(NASTY), ".tex"))
    names = {file.name for file in (tmp_path / "with_pgf__-figures").iterdir()}
    assert names == {"differences.pgf", "probes.pgf", "factors.pgf", "reconstructions.pdf"}
    assert "includegraphics" in (tmp_path / "runs.tex").read_text()
    for name in ("runs", "pgf", "alone", "nasty"):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("suffix", report.SUFFIXES)
def test_any_folder_of_runs_can_be_reported(folder: Folder, tmp_path: Path, suffix: str) -> None:
    runs, ids = folder
    shutil.copytree(runs, tmp_path / "runs")
    every = [Run(tmp_path / "runs" / run_id) for run_id in [*ids.values(), "somebody-elses"]]
    assert ids["mocov3"] in report.render(every, suffix)
    for run in every[:3]:
        for file in [*(run.path / "arrays").iterdir(), run.path / "config.yaml"]:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        for file in (run.path / "evaluations").iterdir():
            rows = [row | {"space": None, "low": "x"} for row in json.loads(file.read_text()).get("rows", [])]
            file.write_text(json.dumps({"rows": rows, "n": "many", "default": 3, "protocol": 5, "best": []}))
    assert ids["mocov3"] in report.render(every, suffix)
    assert report.render([every[3]], suffix)  # not evaluated


def test_other_formats_of_evaluations_have_their_sections(three: list[Run], tmp_path: Path) -> None:
    """Layers, few labels, invariance, retrieval, agreement, decoder and transfer, as docs/run-format.md has them."""
    run = Run(shutil.copytree(three[1].path, tmp_path / "run"))
    base = {"model": "run", "space": "posterior mean", "low": 40.0, "high": 60.0}
    top = base | {"metric": "top1"}
    layers = [
        top | {"layer": layer, "space": layer, "width": width, "value": value, "validation": 100 - value}
        for layer, width, value in (("a", "full", 51.0), ("b", "full", 52.0), ("a", 32, 53.0), ("b", 32, 54.0))
    ]
    agreement = base | {"other": "pixels", "other_space": "pixels", "metric": "cka", "value": 0.55}
    blur = base | {"transform": "blur", "metric": "kept"}
    written = {
        "layers": {"rows": layers, "best": {"full": "b", "32": "a"}},
        "few_labels": {"rows": [top | {"labels": share, "value": 41 + share} for share in (0.01, 1.0)]},
        "invariance": {"rows": [blur | {"strength": strength, "value": strength / 4} for strength in (1, 3)]},
        "retrieval": {"rows": [base | {"metric": "map@10", "value": 33.3}]},
        "agreement": {"rows": [agreement | {"expected": 0.21, "p_value": 0.0004}]},
        "decoder": {"rows": [base | {"metric": "psnr", "value": 21.9}]},
        "transfer": {"rows": [top | {"target": "digits", "value": 77.7}]},
        "linear_sgd": {"rows": [top | {"value": 49.4}]},
    }
    for name, evaluation in written.items():
        run.write_evaluation(name, evaluation)
    blocks = conclusions.gather([run]).blocks
    tables = {block.title: block for block in blocks if isinstance(block, Table)}

    def row(title: str) -> dict[str, str]:
        table = tables[title]
        return dict(zip(table.headings, table.rows[0], strict=True))

    widths = {"all features": "52.0 [40.0, 60.0]", "32 features": "53.0 [40.0, 60.0]"}
    assert row("Best layer at equal width") == {"model": "vae"} | widths
    labels = row("Few labels")
    assert labels["1 % of the labels"].startswith("41.0") and labels["100 % of the labels"].startswith("42.0")
    assert list(row("Invariance")) == ["model", "blur 3"]
    assert row("Mean average precision of the ten nearest images")["mAP@10, %"].startswith("33.3")
    assert list(row("Similarity of representations (best spaces)").values()) == [
        "vae",
        "pixels",
        "cka",
        "0.55",
        "0.21",
        "< 0.001",
    ]
    decoder = "Reconstruction by a decoder of fixed design, trained on frozen features"
    assert row(decoder)["PSNR, dB"].startswith("21.9")
    assert row("Top-1 on other data sets")["target"] == "digits"
    assert row("Linear probe and kNN, top-1 in %")["linear probe, SGD"].startswith("49.4")


def table_of(runs: list[Run], title: str) -> dict[str, list[str]]:
    (table,) = [block for block in conclusions.gather(runs).blocks if isinstance(block, Table) and block.title == title]
    return {row[0]: list(row[1:]) for row in table.rows}


def test_random_starts_are_each_groups_own_and_averaged_over_its_seeds(seeds: list[Run]) -> None:
    for index, run in enumerate(seeds):
        values = {"run": 60.0 + index, "random init": 30.0 + index}
        row = {"space": run.evaluation("linear")["default"], "metric": "top1", "low": 0.0, "high": 99.0}
        run.write_evaluation("finetune", {"rows": [row | {"model": m, "value": v} for m, v in values.items()]})
    rows = table_of(seeds, "Linear probe and kNN, top-1 in %")
    assert rows["random init mocov3"][-1].startswith("31.0 [28.5") and rows["random init vae"][-1].startswith("34.0 [")


def test_pixels_of_several_widths_are_told_apart(three: list[Run], tmp_path: Path) -> None:
    runs = []
    for run, width in zip(three[:2], (32, 128), strict=True):
        runs.append(Run(shutil.copytree(run.path, tmp_path / run.id)))
        row = {"variant": "", "metric": "psnr", "low": 1.0, "high": 99.0, "width": width}
        found = [row | {"model": "run", "space": "a", "value": 20.0}]
        found += [row | {"model": "pixels", "space": "pixels", "value": float(width)}]
        runs[-1].write_evaluation("decoder", {"rows": found})
    rows = table_of(runs, "Reconstruction by a decoder of fixed design, trained on frozen features")
    assert rows["pixels, 32 values"][-1].startswith("32.0") and rows["pixels, 128 values"][-1].startswith("128.0")


def test_a_mean_over_fewer_seeds_says_so_and_equal_seeds_are_over_images(seeds: list[Run]) -> None:
    (seeds[1].path / "evaluations" / "knn.json").unlink()
    for run in seeds[3:]:
        linear = run.evaluation("linear")
        run.write_evaluation("linear", linear | {"rows": [row | {"value": 44.0} for row in linear["rows"]]})
    rows = table_of(seeds, "Linear probe and kNN, top-1 in %")
    assert rows["mocov3 (3 seeds)"][-1].endswith("], 2 of 3 seeds") and "of 3" not in rows["mocov3 (3 seeds)"][-2]
    assert rows["vae (3 seeds)"][-2].startswith("44.0 [") and "[44.0, 44.0]" not in rows["vae (3 seeds)"][-2]
    assert "[44.0, 44.0]" not in rows["untrained vae"][-2]
    assert "the same value, its interval is over images" in report.render(seeds, ".md")


def test_commands_name_the_runs_where_they_are_and_what_was_measured(three: list[Run], tmp_path: Path) -> None:
    text = report.render(three, ".md")
    assert f"--config {three[0].path}/config.yaml" in text and "--thorough" not in text
    run = Run(shutil.copytree(three[0].path, tmp_path / "run"))
    row = {"model": "run", "space": "a", "metric": "top1", "value": 50.0}
    run.write_evaluation("finetune", {"rows": [row]})
    run.write_evaluation("transfer", {"rows": [row | {"target": "digits"}]})
    text = report.render([run], ".md")
    assert f"workbench evaluate {run.path} --thorough" in text
    assert f"workbench evaluate {run.path} --transfer-to digits" in text


def test_what_is_left_out_of_the_tests_is_told(three: list[Run], tmp_path: Path) -> None:
    run = Run(shutil.copytree(three[0].path, tmp_path / "run"))
    (run.path / "arrays" / "predicted-ids.npy").unlink()
    assert "Not tested: run, whose predictions are not stored" in report.render([run], ".md")


def test_runs_on_other_data_are_told_apart_and_not_tested(three: list[Run], tmp_path: Path) -> None:
    other = Run(shutil.copytree(three[0].path, tmp_path / "other"))
    other.update_info(data=other.info()["data"] | {"fingerprint": "elsewhere", "name": "digits"})
    text = report.render([three[0], other], ".md")
    assert "No differences were tested: The runs were trained on digits and shapes" in text
    found = entries(group_runs([three[0], other]), "linear", "space")
    names = {re.sub(r" \N{MIDDLE DOT} \w+", "", entry.model) for entry in found}
    assert {"mocov3 on shapes", "mocov3 on digits"} < names


def test_a_place_that_cannot_be_written_and_a_foreign_suffix(three: list[Run], tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"must end in \.html, \.md, \.tex or \.csv"):
        report.write(three, tmp_path / "report.pdf")
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(WorkbenchError, match="is a folder"):
        report.write(three, tmp_path / "folder.md")
    (tmp_path / "file").touch()
    with pytest.raises(WorkbenchError, match="Cannot write"):
        report.write(three, tmp_path / "file" / "report.md")


def test_a_report_is_replaced_whole_or_not_at_all(
    three: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.md"
    path.write_text("before")
    monkeypatch.setattr("workbench.files.os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(WorkbenchError, match="No space left"):
        report.write(three, path)
    assert [file.name for file in tmp_path.iterdir()] == ["report.md"] and path.read_text() == "before"
