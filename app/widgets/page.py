"""What every page is made of: the question, the chips, the grey line, and what stands where something is missing."""

import shlex
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import theme
from app.figures import image_grid
from app.reading import files
from app.reading.choice import Choice
from app.state import chosen_runs, run_folder
from app.widgets import downloads, image_picker, job_panel, protocol_line
from workbench.store import Probe

NAMES = {  # of evaluations, as people say them
    "linear": "linear probe",
    "layers": "probes of every layer",
    "factors": "factor probes",
    "similarity": "similarity matrix",
    "agreement": "comparison with other runs",
    "retrieval": "retrieved images",
    "invariance": "invariance profile",
    "projection": "map",
    "reconstruction": "reconstructions",
    "samples": "samples",
    "denoising": "steps of denoising",
    "latent": "walks through a latent space",
    "likelihood": "likelihood",
    "few_labels": "label curve",
    "linear_sgd": "linear probe by SGD",
    "finetune": "fine-tuning",
    "transfer": "transfer",
    "transfer_finetune": "transfer by fine-tuning",
    "decoder": "common decoder",
}
# Evaluations that are made only where asked for
THOROUGH = ("linear_sgd", "finetune", "transfer", "transfer_finetune", "decoder")
LATER = ("denoising", "latent", "likelihood")  # evaluations that runs of earlier versions lack, and not the others
NEEDS = {
    "reconstruction": "reconstructs",
    "samples": "samples",
    "denoising": "samples",
    "latent": "samples",
    "likelihood": "likelihood",
}  # the capability without which there is nothing to evaluate
ONLY = {
    "denoising": (("ddpm", "vdm", "score"), "is no diffusion model, so there is no noise to take away."),
    "latent": (("vae", "hvae"), "has no latent variables to walk through."),
}  # the methods of which there is something to evaluate, and what is wrong with the others
CHART = {"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "autoScale2d"]}


def note(text: str) -> None:
    """The grey line under a figure."""
    st.html(f'<div class="wb-note">{escape(text)}</div>')


def protocol(choices: Sequence[Choice], task: str, *more: str) -> str:
    """What a figure's numbers are: protocol, split, n, seeds and checkpoint of its evaluations, each said once; what
    not all of them say of their protocol stands after the labels of those that do."""
    evaluations = [choice.run.evaluation(task) for choice in choices]
    texts = {choice.label: str(found.get("protocol") or "") for choice, found in zip(choices, evaluations, strict=True)}
    parts = protocol_line.once({label: text for label, text in texts.items() if text})
    for told in (_split, _n, _seeds, _checkpoint):
        parts.append(" / ".join(dict.fromkeys(filter(None, map(told, evaluations)))))
    return " · ".join(part for part in (*parts, *more) if part)


def _split(evaluation: dict) -> str:
    split = evaluation.get("split")
    return {"probe": "probe set", "none": "", None: ""}.get(split, f"{split} split")


def _n(evaluation: dict) -> str:
    return f"n = {evaluation['n']:,}" if isinstance(evaluation.get("n"), int) else ""


def _seeds(evaluation: dict) -> str:
    seeds = evaluation.get("seeds")
    return f"{len(seeds)} seed{'s' * (len(seeds) > 1)}" if isinstance(seeds, list) and seeds else ""


def _checkpoint(evaluation: dict) -> str:
    return f"checkpoint {evaluation['checkpoint']}" if evaluation.get("checkpoint") else ""


def name(label: str, colour: str = "", small: str = "") -> None:
    """A model's name above its figure."""
    dot = f'<span class="wb-dot" style="background:{colour}"></span>' if colour else ""
    more = f"<small>{escape(small)}</small>" if small else ""
    st.html(f'<div class="wb-name">{dot}<span>{escape(label)}</span>{more}</div>')


def chart(figure: go.Figure, key: str, alt: str, **selecting: Any) -> None:
    """A figure that keeps its zoom over reruns and can be saved; ``selecting``: Streamlit's options for selections."""
    st.plotly_chart(figure, key=key, config=CHART, alt=alt, **selecting)
    downloads.buttons(key)


def empty(title: str, text: str, *commands: str) -> None:
    """A designed gap: what is missing, why, and the commands that change it, ready to copy."""
    with st.container(border=True):
        st.markdown(f"**{theme.literal(title)}**")
        if text:
            st.caption(text)
        if commands:
            st.code("\n".join(commands), language="bash")
            job_panel.offer(title, *commands)


def evaluate_command(choices: Sequence[Choice]) -> str:
    """The command that evaluates these runs."""
    folder = run_folder.runs_folder()
    where = "" if str(folder) == "runs" else f" --runs {shlex.quote(str(folder))}"
    return "workbench evaluate " + " ".join(shlex.quote(choice.run.id) for choice in choices) + where


def evaluable(choices: Sequence[Choice], what: str) -> list[Choice]:
    """The choices that can be evaluated; of those whose weights were deleted, says that they will not have ``what``."""
    gone = [choice for choice in choices if choice.run.checkpoint() is None and choice.run.had_checkpoint()]
    if gone:
        names = ", ".join(choice.label for choice in gone)
        note(f"{names}: no {what}, and none can be made, since the weights are not there any more.")
    return [choice for choice in choices if choice not in gone]


def having(
    choices: Sequence[Choice], task: str, usable: Callable[[Choice, dict], object]
) -> tuple[list[Choice], list[Choice]]:
    """The choices whose evaluation ``task`` is usable, and those whose is not, for :func:`lacking`."""
    found = [choice for choice in choices if usable(choice, choice.run.evaluation(task))]
    return found, [choice for choice in choices if choice not in found]


def lacking(missing: Sequence[Choice], task: str) -> None:
    """Say in one line a reason why runs have no ``task``, and the command where there is one."""
    left = []
    for choice in missing:
        reason = choice.run.evaluation(task).get("skipped")
        if isinstance(reason, str):
            note(reason if reason.startswith(choice.label) else f"{choice.label}: {reason}")
        elif choice.status == "unreadable":
            note(f"{choice.label}: its run.json is missing or damaged, so nothing is known about it.")
        elif NEEDS.get(task) and NEEDS[task] not in files.capabilities(choice.run):
            note(f"{choice.label}: {choice.summary.get('method', 'this method')} learns features only and cannot draw.")
        elif task in ONLY and choice.summary.get("method") not in ONLY[task][0]:
            note(f"{choice.label}: {choice.summary.get('method', 'this method')} {ONLY[task][1]}")
        elif choice.status == "running":
            done = choice.summary.get("step"), choice.summary.get("steps")
            note(f"{choice.label}: still training (step {done[0]} of {done[1]}); evaluate it when it has finished.")
        elif choice.status == "stalled":
            note(f"{choice.label}: stopped without a word; `workbench resume {choice.run.id}` continues it.")
        elif choice.status == "failed":
            note(f"{choice.label} failed: {choice.run.info().get('error') or 'the reason was not recorded.'}")
        else:
            left.append(choice)
    if left := evaluable(left, NAMES[task]):
        have = "have" if len(left) > 1 else "has"
        names = ", ".join(choice.label for choice in left)
        alone = task in THOROUGH or (task in LATER and all(choice.run.evaluation("knn") for choice in left))
        command = evaluate_command(left) + (f" --only {task}" if alone else "")
        empty(f"{names} {have} no {NAMES[task]} yet", "This command makes it, then the page shows it:", command)


def no_runs() -> bool:
    """Where there is nothing to look at: say so, and say what to type. Returns whether that was the case."""
    folder = run_folder.runs_folder()
    if not run_folder.summaries(folder):
        state = "is empty" if folder.is_dir() else "does not exist yet"
        empty(
            "No runs yet",
            f"The folder {folder} {state}. Train something, and it appears here:",
            "workbench train mocov3",
            "workbench demo",
        )
        return True
    return False


def none_chosen() -> bool:
    """Where runs exist but none is chosen: say how. Returns whether that was the case."""
    if not chosen_runs.choices():
        empty(
            "Nothing chosen",
            "Tick up to eight runs on the page Runs: they are then compared on every page, each in its colour.",
        )
        return True
    return False


def same_probe(choices: Sequence[Choice]) -> tuple[list[Choice], Probe | None]:
    """The choices on the first one's data, and its probe set; neither images nor numbers of other data compare."""
    prints = {choice: files.fingerprint(choice.run) for choice in choices}
    with_probe = [choice for choice in choices if files.probe(choice.run) is not None]
    base = next((choice for choice in [*with_probe, *choices] if prints[choice]), None)
    other = [choice for choice in choices if base and prints[choice] not in ("", prints[base])]
    if base and other:
        names = ", ".join(f"{choice.label} ({choice.summary.get('data')})" for choice in other)
        text = f"Trained on other images than {base.label}, so not comparable, and not shown here: {names}."
        st.warning(theme.literal(text))
    return [choice for choice in choices if choice not in other], files.probe(base.run) if base else None


def latents(choice: Choice) -> dict[str, Any]:
    """What the likelihood's evaluation tells of a run's latent variables, or nothing."""
    found = choice.run.evaluation("likelihood").get("latent")
    return found if isinstance(found, dict) else {}


def collapsed(chosen: Sequence[Choice]) -> None:
    """Warn of the runs whose posterior has collapsed, in the evaluation's words."""
    for choice in chosen:
        if isinstance(collapse := latents(choice).get("collapse"), str):
            st.warning(theme.literal(f"{choice.label}: {collapse}"))


def columns_of(n: int) -> list:
    """Places for ``n`` figures side by side, at most four in a row and never fewer than two wide."""
    width = min(max(n, 2), 4)
    places = []
    for _ in range(-(-n // width)):
        places += st.columns(width, gap="medium")
    return places[:n]


def side_of(n: int) -> int:
    """Height in pixels of a square figure among ``n`` side by side."""
    return {3: 400, 4: 310}.get(min(max(n, 2), 4), 560)


def thumbnails(images: np.ndarray, captions: Sequence[str]) -> None:
    """Images in a row that wraps."""
    st.html(image_grid.wrapped_tiles(images, captions))


def chips() -> None:
    """The chosen runs in their colours, the probe set, and the selected images, each with a way to clear."""
    chosen = chosen_runs.choices()
    if not chosen:
        return
    style = "".join(
        f".st-key-chip_{c.index} button{{border:1.5px solid {c.colour}}}"
        f".st-key-chip_{c.index} button::before{{background:{c.colour}}}"
        for c in chosen
    )
    st.html(f"<style>{style}</style>")
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="chips"):
        for choice in chosen:
            state = (
                "" if choice.status == "finished" else f" :{theme.STATUS.get(choice.status, 'gray')}[{choice.status}]"
            )
            rest = [other.run.id for other in chosen if other is not choice]
            st.button(
                theme.literal(choice.label) + state,
                key=f"chip_{choice.index}",
                icon=":material/close:",
                icon_position="right",
                help=f"{choice.run.id}: click to remove",
                on_click=chosen_runs.choose,
                args=(rest,),
            )
        image_picker.chip(chosen)
        st.html(f'<span class="wb-note">{escape(probe_line(chosen))}</span>')


def probe_line(chosen: Sequence[Choice]) -> str:
    """The probe sets of the chosen runs in words."""
    sets = {}
    for choice in chosen:
        found = files.probe(choice.run)
        if found is not None:
            info = found.info()
            sets[found.path.name] = f"{info.get('data', 'probe set')}, {info.get('n', '?')} images"
    if not sets:
        return "no probe set yet"
    return ("probe set: " if len(sets) == 1 else f"{len(sets)} different probe sets: ") + "; ".join(sets.values())
