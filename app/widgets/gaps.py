"""Which of the chosen runs a page can show, and what appears in place of the others: the reason, or the command."""

from collections.abc import Callable, Sequence

import streamlit as st

from app import theme
from app.reading import files
from app.reading.choice import Choice
from app.state import chosen_runs, run_folder
from app.widgets import job_panel, page
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


def comparable(choices: Sequence[Choice]) -> tuple[list[Choice], Probe | None]:
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


def split(
    choices: Sequence[Choice], task: str, usable: Callable[[Choice], object] | None = None
) -> tuple[list[Choice], list[Choice]]:
    """The choices whose evaluation ``task`` is usable, and those whose is not, for :func:`explain`.

    Args:
        usable: whether an evaluation is; by default one with a row of the run.
    """
    usable = usable or (lambda choice: files.rows(choice.run.evaluation(task), model="run"))
    available = [choice for choice in choices if usable(choice)]
    return available, [choice for choice in choices if choice not in available]


def with_evaluation(
    task: str, usable: Callable[[Choice], object] | None = None
) -> tuple[list[Choice], list[Choice], Probe | None]:
    """The parts of :func:`split` of the chosen runs that are :func:`comparable`, and their probe set."""
    choices, probe = comparable(chosen_runs.choices())
    return *split(choices, task, usable), probe


def explain(missing: Sequence[Choice], task: str) -> None:
    """Why runs have no ``task``, a line for each, and the command for those that can have it."""
    without = []
    for choice in missing:
        reason = choice.run.evaluation(task).get("skipped")
        if isinstance(reason, str):
            page.note(reason if reason.startswith(choice.label) else f"{choice.label}: {reason}")
        elif reason := obstacle(choice, task):
            page.note(reason)
        else:
            without.append(choice)
    if without := evaluable(without, NAMES[task]):
        have = "have" if len(without) > 1 else "has"
        alone = task in THOROUGH or (task in LATER and all(choice.run.evaluation("knn") for choice in without))
        box(
            f"{page.names(without)} {have} no {NAMES[task]} yet",
            "This command makes it, then the page shows it:",
            evaluate(without, *([task] if alone else [])),
        )


def obstacle(choice: Choice, task: str) -> str:
    """What keeps a run from being evaluated now, or an empty text."""
    method = choice.summary.get("method", "this method")
    if choice.status == "unreadable":
        return f"{choice.label}: its run.json is missing or damaged, so nothing is known about it."
    if NEEDS.get(task) and NEEDS[task] not in files.capabilities(choice.run):
        return f"{choice.label}: {method} learns features only and cannot draw."
    if task in ONLY and method not in ONLY[task][0]:
        return f"{choice.label}: {method} {ONLY[task][1]}"
    if choice.status == "running":
        step, steps = choice.summary.get("step"), choice.summary.get("steps")
        return f"{choice.label}: still training (step {step} of {steps}); evaluate it when it has finished."
    if choice.status == "stalled":
        return f"{choice.label}: stopped without a word; `workbench resume {choice.run.id}` continues it."
    if choice.status == "failed":
        return f"{choice.label} failed: {choice.run.info().get('error') or 'the reason was not recorded.'}"
    return ""


def evaluable(choices: Sequence[Choice], what: str) -> list[Choice]:
    """The choices that can be evaluated; of those whose weights were deleted, says that they will not have ``what``."""
    gone = [choice for choice in choices if without_weights(choice)]
    if gone:
        page.note(f"{page.names(gone)}: no {what}, and none can be made, since the weights are not there any more.")
    return [choice for choice in choices if choice not in gone]


def without_weights(choice: Choice) -> bool:
    """Whether a run's weights were deleted."""
    return choice.run.checkpoint() is None and choice.run.had_checkpoint()


def evaluate(choices: Sequence[Choice], *tasks: str) -> str:
    """The command that evaluates runs, of some tasks only where any are given."""
    words = [word for task in tasks for word in ("--only", task)]
    return job_panel.command("evaluate", [choice.run.id for choice in choices], *words)


def box(title: str, text: str, *commands: str) -> None:
    """What is missing, why, and the commands that change it, ready to copy."""
    with st.container(border=True):
        st.markdown(f"**{theme.literal(title)}**")
        if text:
            st.caption(text)
        if commands:
            st.code("\n".join(commands), language="bash")
            job_panel.offer(title, *commands)


def no_runs() -> bool:
    """Where the folder holds no runs: say so, and how to make some. Returns whether that was the case."""
    folder = run_folder.runs_folder()
    if run_folder.summaries(folder):
        return False
    state = "is empty" if folder.is_dir() else "does not exist yet"
    text = f"The folder {folder} {state}. Train something, and it appears here:"
    box("No runs yet", text, "workbench train mocov3", "workbench demo")
    return True


def none_chosen() -> bool:
    """Where runs exist but none is chosen: say how. Returns whether that was the case."""
    if chosen_runs.choices():
        return False
    box(
        "Nothing chosen",
        "Tick up to eight runs on the page Runs: they are then compared on every page, each in its colour.",
    )
    return True
