"""The dashboard's entry: navigation, the chips on top, and the page. Started by ``workbench app``."""

from functools import partial
from html import escape
from pathlib import Path
from types import ModuleType

import streamlit as st

from app import theme
from app.state import chosen_runs, navigation, run_folder
from app.views import overview, report
from app.views.draws import denoising, latent, likelihood, reconstructions, samples
from app.views.knows import augmentations, factors, invariance, labels_and_cost, layers, linear_probe
from app.views.runs import differences, one_run, run_list, scatter
from app.views.sees import agreement, embeddings, neighbours, similarity
from app.views.training import curves, stability
from app.widgets import chips, downloads, gaps, job_panel, page

GROUPS: dict[str, tuple[str, tuple[ModuleType, ...]]] = {
    "Overview": ("leaderboard", (overview,)),
    "Runs": ("table_rows", (run_list, differences, scatter, one_run)),
    "Training": ("show_chart", (curves, stability)),
    "What it knows": ("school", (linear_probe, layers, factors, invariance, augmentations, labels_and_cost)),
    "How it sees": ("visibility", (similarity, agreement, embeddings, neighbours)),
    "What it draws": ("brush", (reconstructions, samples, denoising, latent, likelihood)),
    "Report": ("summarize", (report,)),
}

ICON = Path(__file__).with_name("icon.svg")
MERGED = {"Four views": denoising, "Schedules": denoising}  # tabs of earlier versions, by title
WITHOUT_CHOICE = (run_list, scatter, one_run)  # views that need no chosen runs


def slug(group: str) -> str:
    """A group's place in the URL."""
    return group.lower().replace(" ", "-")


def show(group: str) -> None:
    """A page: the chips, then a tab per question; only the open tab is computed."""
    views = GROUPS[group][1]
    chips.show()
    if len(views) == 1:
        view(views[0])
        return
    key = f"{slug(group)}-tab"
    if (old := st.query_params.get(key)) in MERGED:
        st.session_state[key] = MERGED[old].TITLE
        st.session_state.setdefault(MERGED[old].SECTION, old)
    gaps.dim_tabs(key, [gaps.tab_reason(module, chosen_runs.choices()) for module in views])
    tabs = st.tabs([module.TITLE for module in views], key=key, bind="query-params")
    for tab, module in zip(tabs, views, strict=True):
        if tab.open:
            with tab:
                view(module)


def view(module: ModuleType) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="head"):
        st.title(module.TITLE, anchor=False, width="content")
        st.html(f'<div class="wb-note">{escape(module.QUESTION)}</div>', width="content")
    if module is not overview and (reason := gaps.tab_reason(module, chosen_runs.choices())):
        page.verdict(reason)
    # Studies of augmentations may be all that a folder holds.
    if module is augmentations or not (gaps.no_runs() or (module not in WITHOUT_CHOICE and gaps.none_chosen())):
        module.render()


def pages() -> list[st.Page]:
    """The navigation's entries, and last the address without a page, which leads to Overview, or to Runs as long as no
    run is evaluated."""
    entries = [
        st.Page(partial(show, name), title=name, icon=f":material/{icon}:", url_path=slug(name))
        for name, (icon, _) in GROUPS.items()
    ]
    names = list(GROUPS)

    def land() -> None:
        landing = "Overview" if run_folder.evaluated(run_folder.runs_folder()) else "Runs"
        st.switch_page(entries[names.index(landing)], query_params=st.query_params.to_dict())

    return [*entries, st.Page(land, title="Workbench", default=True, visibility="hidden")]


def places(entries: list[st.Page]) -> dict[str, navigation.Place]:
    """Page and URL parameters of every view, by module."""
    return {
        module.__name__: (entry, {f"{slug(name)}-tab": module.TITLE} if len(views) > 1 else {})
        for entry, (name, (_, views)) in zip(entries, GROUPS.items(), strict=True)
        for module in views
    }


def main() -> None:
    st.set_page_config(page_title="Workbench", page_icon=str(ICON), layout="wide")
    entries = pages()
    navigation.register(places(entries[:-1]))
    chosen = st.navigation(entries, position="top")
    st.html(theme.CSS)
    downloads.prepare()
    page.prepare()
    job_panel.panel()
    chosen.run()


if __name__ == "__main__":
    main()
