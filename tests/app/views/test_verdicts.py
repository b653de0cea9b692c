"""The answer stands first: its sentence, where it stands, and the protocol behind a toggle."""

import pytest
from streamlit.testing.v1 import AppTest

from app.reading.verdict import Measured, listed, ranking
from tests.app.pages import Folder, Show

VIEWS = ("differences", "curves", "stability", "linear_probe", "factors", "invariance", "similarity", "agreement")
VIEWS += ("embeddings", "neighbours", "reconstructions", "samples", "denoising", "latent", "likelihood")


@pytest.mark.parametrize("view", VIEWS)
def test_the_answer_is_above_every_figure_and_protocols_are_closed(page: Show, view: str) -> None:
    app = page(view, "mocov3", "vae", "ddpm")
    bodies = [str(element.proto) for element in app.get("html")]
    assert sum("wb-verdict" in body for body in bodies) == 1
    assert not any("<details open" in body for body in bodies)
    answer = next(at for at, body in enumerate(bodies) if "wb-verdict" in body)
    assert not any("wb-protocol" in body for body in bodies[:answer])


def test_links_to_merged_pages_open_their_section(runs_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_RUNS", str(runs_folder[0]))
    for old in ("Four views", "Schedules"):
        app = AppTest.from_string("from app import main\nmain.show('What it draws')", default_timeout=30)
        app.query_params["what-it-draws-tab"] = old
        app.query_params["runs"] = f"{runs_folder[1]['ddpm']}:0"
        app.run()
        assert not app.exception
        assert [title.value for title in app.title] == ["Denoising"]
        assert app.session_state["denoising-section"] == old


def test_a_ranking_says_no_more_than_the_numbers_carry() -> None:
    a, b = Measured("a", 50.7, 49.1, 52.3), Measured("b", 36.9, 35.0, 38.8)
    assert ranking([b, a], "accuracy", "%") == (
        "a has the highest accuracy: 50.7 % (95 % CI 49.1 to 52.3) against 36.9 % (95 % CI 35.0 to 38.8) for b."
    )
    assert "overlap" in ranking([a, Measured("c", 50.0, 48.0, 52.0)], "accuracy", "%")
    assert "Without intervals" in ranking([a, Measured("c", 50.0)], "accuracy", "%")
    assert ranking([], "accuracy") == "" and "b has the lowest" in ranking([a, b], "accuracy", lowest=True)
    assert listed(["a", "b", "c", "d"]) == "a, b and 2 others"
