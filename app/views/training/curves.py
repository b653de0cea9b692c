"""Curves: is it learning?"""

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from app import theme
from app.figures.lines import above_zero, curves, length
from app.reading import files
from app.reading.choice import Choice
from app.reading.curve import Curve
from app.reading.verdict import Measured, ranking
from app.state import chosen_runs
from app.widgets import gaps, page
from workbench.comparison.seeds import over_seeds

TITLE = "Curves"
QUESTION = "How do loss and accuracy develop during training?"
X_AXES = {"step": "step", "images": "images seen", "seconds": "time"}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")  # of a group's seeds
SMALL = {
    "lr": "learning rate",
    "images_per_second": "images per second",
    "grad_norm": "gradient norm",
    "grad_norm/first": "gradient norm, first block",
    "grad_norm/last": "gradient norm, last block",
    "memory_mb": "memory, MB",
}


def render() -> None:
    live = any(choice.status == "running" for choice in chosen_runs.networks(chosen_runs.choices()))
    st.fragment(content, run_every=3 if live else None)()


def content() -> None:
    conclusion()
    with st.container(horizontal=True, vertical_alignment="center", gap="large"):
        page.switch("x axis", X_AXES, "x")
        st.slider("Smoothing", 0.0, 0.98, 0.6, 0.02, key="smoothing", bind="query-params", width=220)
        st.toggle("Logarithmic loss", key="log", bind="query-params")
        icon = ":material/zoom_out_map:"
        st.button("Whole training", icon=icon, key="whole", on_click=keep_zoom, args=("",), disabled=not zoom())
    figures()


def zoom() -> tuple[float, float] | None:
    """The part of training that was dragged open, in units of the x axis as recorded; it stands in the URL."""
    text = st.query_params.get("zoom", st.session_state.get("zoom", ""))
    match = re.fullmatch(r"(\w+):(\d{1,15}(?:\.\d+)?)-(\d{1,15}(?:\.\d+)?)", text, re.ASCII)
    if match is None or match[1] != (st.session_state.get("x") or "step"):
        return None
    keep_zoom(text)
    return float(match[2]), float(match[3])


def keep_zoom(text: str) -> None:
    """Keep it in the URL and over a change of page."""
    st.session_state["zoom"] = text
    if text:
        st.query_params["zoom"] = text
    elif "zoom" in st.query_params:
        del st.query_params["zoom"]


def zoomed(key: str, x: str, scale: float) -> None:
    """Keep the part of training that one of the figures opened, or that it opened the whole."""
    ends = sorted(max(0.0, float(value)) * scale for value in st.session_state[key]["zoom"] or ())
    keep_zoom(f"{x}:{ends[0]:.2f}-{ends[1]:.2f}" if ends else "")


def styles_of(chosen: Sequence[Choice]) -> dict[Choice, tuple[str, str]]:
    """Dash and text at the end of every network's curve: seeds differ by the dash, the first one has the name."""
    return {
        network: (DASHES[place % len(DASHES)], "" if place else choice.label)
        for choice in chosen
        for place, network in enumerate(chosen_runs.networks([choice]))
    }


def curve(
    choice: Choice, style: tuple[str, str], columns: dict[str, np.ndarray], key: str, x: str, scale: float
) -> Curve | None:
    """One quantity of one run; None where the run did not record it.

    Args:
        style: of :func:`styles_of`.
    """
    if not {x, key} <= columns.keys():
        return None
    known = ~np.isnan(columns[x]) & ~np.isnan(columns[key])
    if not known.any():
        return None
    dash, end = style
    return Curve(choice.label, choice.colour, columns[x][known] / scale, columns[key][known], dash=dash, end=end)


def axis(x: str, metrics: Iterable[dict[str, np.ndarray]]) -> tuple[float, str]:
    """Divisor and title of the x axis, in a unit that suits the longest run."""
    longest = max((np.nanmax(columns[x]) for columns in metrics if x in columns), default=0.0)
    units = {
        "step": [(1.0, "step")],
        "images": [(1e6, "million images seen"), (1e3, "thousand images seen"), (1.0, "images seen")],
        "seconds": [(3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds")],
    }[x]
    return next(((size, title) for size, title in units if longest >= 2 * size), units[-1])


def figures() -> None:
    styles, state = styles_of(chosen_runs.choices()), st.session_state
    chosen = list(styles)
    x, smoothing, log = state.get("x") or "step", state.get("smoothing", 0.6), bool(state.get("log"))
    metrics = dict(zip(chosen, files.metrics_of([choice.run for choice in chosen]), strict=True))
    scale, x_title = axis(x, metrics.values())
    opened = zoom()
    window = (opened[0] / scale, opened[1] / scale) if opened else None

    def draw(curves_of: Sequence[Curve], title: str, key: str, **options: Any) -> None:
        figure = curves(curves_of, y_title=title, x_title=x_title, zoom=window, **options)
        page.linked_curves(figure, key, title, length(curves_of), partial(zoomed, key, x, scale))
        if options.get("log") and not above_zero(curves_of, window):
            page.note("no positive values, so the axis is linear")

    def lines(key: str, among: Sequence[Choice] = chosen) -> list[Curve]:
        lines_of = (curve(choice, styles[choice], metrics[choice], key, x, scale) for choice in among)
        return [line for line in lines_of if line is not None]

    if not any(metrics.values()):
        gaps.box(
            "No metrics yet",
            "Metrics appear here automatically after the first training steps.",
        )
    monitored = lines("knn")
    if monitored:
        st.subheader("kNN accuracy of the features", anchor=False)
        draw(monitored, "top-1, %", "knn-curve", references=pixels(chosen), height=380)
        page.note("not smoothed · one curve per seed: seeds of a model share a colour and differ in dash style")
        page.details("weighted kNN monitor · validation split (pixels: test split, for reference)")
    by_method: dict[str, list[Choice]] = {}
    for choice in chosen:
        by_method.setdefault(str(choice.summary.get("method")), []).append(choice)
    losses = {method: curves_of for method, runs in by_method.items() if (curves_of := lines("loss", runs))}
    if losses:
        st.subheader("Loss", anchor=False)
        for method, curves_of in page.side_by_side(losses.items()):
            page.heading(method, curves_of[0].colour if len({line.colour for line in curves_of}) == 1 else "")
            options = {"smoothing": smoothing, "log": log, "labels": sum(bool(line.end) for line in curves_of) > 1}
            draw(curves_of, f"{method} loss", f"loss-{method}", height=270, **options)
        page.note(f"training loss, smoothed by {smoothing:g}, raw values shown faintly · units differ between methods")
    small = {key: curves_of for key in SMALL if (curves_of := lines(key))}
    if small:
        st.subheader("Optimiser and throughput", anchor=False)
        for key, curves_of in page.side_by_side(small.items(), across=3):
            smoothed = 0.0 if key == "lr" else smoothing
            # Gradient norms of different methods lie orders of magnitude apart.
            norm = key.startswith("grad_norm")
            draw(curves_of, SMALL[key], f"small-{key}", smoothing=smoothed, log=norm, height=230, labels=False)
        page.note("hover for names and values · drag to zoom all figures, double-click to reset")
    for choice in chosen:
        explain_status(choice, bool(metrics[choice]))


def conclusion() -> None:
    """Who is where at the last reading of its kNN accuracy."""
    last, known = [], False
    for choice in chosen_runs.choices():
        readings = files.metrics_of(choice.members)
        known |= any(readings)
        curves_of = [curve(choice, ("solid", ""), columns, "knn", "step", 1.0) for columns in readings]
        values = [float(line.y[-1]) for line in curves_of if line is not None]
        if values:
            last.append(Measured(choice.label, *over_seeds(values, "top1")))
    unknown = "No kNN accuracy was recorded, and losses of different methods are not comparable." if known else ""
    page.verdict(ranking(last, "final kNN accuracy", "%") or unknown)


def explain_status(choice: Choice, has_metrics: bool) -> None:
    """What the curves of an unusual run mean."""
    if choice.status == "failed":
        reason = choice.run.info().get("error") or "The reason was not recorded."
        st.markdown(f":red[●] **{theme.literal(choice.label)}** failed. {reason}")
    elif choice.status == "running":
        page.note(f"{choice.label} is training: this page updates every three seconds and keeps your zoom.")
    elif not has_metrics:
        page.note(f"{choice.label}: no metrics were recorded ({choice.status}).")


def pixels(chosen: Sequence[Choice]) -> dict[str, float]:
    """kNN on raw pixels, where an evaluation has measured it: once for each data set."""
    accuracies: dict[str, tuple[str, float]] = {}
    for choice in chosen:
        for row in files.rows(choice.run.evaluation("knn"), model="pixels"):
            accuracies.setdefault(files.fingerprint(choice.run), (choice.label, row["value"]))
    alone = len(accuracies) == 1
    return {"pixels" if alone else f"pixels of {label}'s data": value for label, value in accuracies.values()}
