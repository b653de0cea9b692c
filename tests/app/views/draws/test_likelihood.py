"""The page Likelihood."""

import shutil

from tests.app.generative_fixture import COLLAPSE, TERMS
from tests.app.pages import THREE, Copies, Show, figures, text
from workbench.comparison.likelihood import CAUTION
from workbench.store import Run


def test_every_sum_says_what_it_is_and_collapse_is_named(page: Show) -> None:
    app = page("likelihood", *THREE)
    said, (bars, classes) = text(app), figures(app)
    assert said.count(CAUTION) == 1
    assert COLLAPSE in said and "mocov3, which does not say how probable" in said
    notes = " ".join(note["text"] for note in bars["layout"]["annotations"])
    assert (
        notes.count("upper bound") == 2
        and "lower bound" not in notes
        and notes.count("exact") == 2
        and "\N{LESS-THAN OR EQUAL TO} 3.3" in notes
    )
    names = [trace["name"] for trace in bars["data"]]
    for method, terms in TERMS.items():
        assert all(f"{method} {term}" in names for term in terms)
    assert "vae, 50 importance samples" in names
    assert [trace["name"] for trace in classes["data"]] == ["ddpm by likelihood", "ddpm linear probe"]
    table = app.dataframe[0].value
    assert {"sum", "kl", "prior"} <= set(table["term"]) and "untrained:vae of vae" in set(table["model"])
    written = [note["text"] for note in classes["layout"]["annotations"]]
    assert "chance 20" in written and "pixels 33" in written  # of five classes; of the linear probe's evaluation


def test_a_run_evaluated_before_there_were_terms_has_its_sum(show: Show, copied: Copies) -> None:
    folder, (_, vae, _) = copied
    row = {"model": "run", "metric": "bits_per_dim", "value": 3.3, "low": 3.2, "high": 3.4, "kind": "lower bound"}
    vae.write_evaluation("likelihood", {"rows": [row], "n": 5, "protocol": "old"})
    app = show(folder, "likelihood", [vae.id])
    assert not app.exception and "\N{LESS-THAN OR EQUAL TO} 3.3" in figures(app)[0]["layout"]["annotations"][0]["text"]


def test_a_sum_that_is_no_number_is_not_an_importance_weighted_bound(show: Show, copied: Copies) -> None:
    folder, (_, vae, ddpm) = copied
    content = vae.evaluation("likelihood")
    for row in content["rows"]:
        if row["model"] == "run" and row["kind"] == "lower bound" and "term" not in row:
            row["value"] = None
    vae.write_evaluation("likelihood", content)
    app = show(folder, "likelihood", [vae.id, ddpm.id])
    assert not app.exception and "vae: the likelihood was evaluated, but the total is missing" in text(app)
    assert "workbench evaluate" not in text(app)
    names = [trace["name"] for trace in figures(app)[0]["data"]]
    assert "ddpm, sum" in names and not any(name.startswith("vae") for name in names)


def test_untrained_networks_of_two_runs_are_told_apart(show: Show, copied: Copies) -> None:
    folder, (_, vae, _) = copied
    other = Run(shutil.copytree(vae.path, folder / "another"))
    other.update_summary(name="wider")
    table = show(folder, "likelihood", [vae.id, other.id]).dataframe[0].value
    assert {"untrained:vae of vae", "untrained:vae of wider"} <= set(table["model"])
    assert list(table["model"]).count("pixels") == 2  # once, though both runs have them
