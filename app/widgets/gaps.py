"""Which of the chosen runs a page can show, and what appears in place of the others: the reason, or the command."""

import re
from collections.abc import Callable, Sequence
from enum import Enum
from types import ModuleType

import streamlit as st

from app import theme
from app.reading import files
from app.reading.choice import Choice
from app.state import chosen_runs, run_folder
from app.widgets import job_panel, page
from workbench.store import Probe

NAMES = {  # of evaluations, as people say them
    "linear": "linear probe",
    "layers": "layer probes",
    "factors": "factor probes",
    "similarity": "similarity matrix",
    "agreement": "comparison with other runs",
    "retrieval": "nearest neighbours",
    "invariance": "invariance profile",
    "projection": "map",
    "reconstruction": "reconstructions",
    "samples": "samples",
    "denoising": "denoising evaluation",
    "latent": "latent traversals",
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
ALWAYS = ("knn", "linear", "similarity", "retrieval", "projection")  # evaluations that every version makes
LATER = ("agreement", "denoising", "latent", "likelihood")  # evaluations that runs of earlier versions lack
NEEDS = {
    "reconstruction": "reconstructs",
    "samples": "samples",
    "denoising": "samples",
    "latent": "samples",
    "likelihood": "likelihood",
}  # the capability without which there is nothing to evaluate
CANNOT = {
    "reconstructs": "learns features only and cannot generate images.",
    "samples": "learns features only and cannot generate images.",
    "likelihood": "has no likelihood.",
}  # by capability, what is said of methods without it
ONLY = {
    "denoising": (("ddpm", "vdm", "score"), "is not a diffusion model."),
    "latent": (("vae", "hvae"), "has no latent variables."),
}  # the methods of which there is something to evaluate, and what is wrong with the others


def comparable(choices: Sequence[Choice]) -> tuple[list[Choice], Probe | None]:
    """The choices on the first one's data, and its probe set; neither images nor numbers of other data compare."""
    prints = {choice: files.fingerprint(choice.run) for choice in choices}
    with_probe = [choice for choice in choices if files.probe(choice.run) is not None]
    base = next((choice for choice in [*with_probe, *choices] if prints[choice]), None)
    other = [choice for choice in choices if base and prints[choice] not in ("", prints[base])]
    if base and other:
        names = ", ".join(f"{choice.label} ({choice.summary.get('data')})" for choice in other)
        text = f"Not shown, because they were trained on other data than {base.label}: {names}."
        st.warning(theme.literal(text))
    return [choice for choice in choices if choice not in other], files.probe(base.run) if base else None


def split(
    choices: Sequence[Choice], task: str, usable: Callable[[Choice], object] | None = None
) -> tuple[list[Choice], list[Choice]]:
    """The choices whose evaluation ``task`` is usable, and those whose is not, for :func:`explain`.

    Of a group whose representing run has none, another of its runs stands in; its ticked runs without one are among
    the latter.

    Args:
        usable: whether an evaluation is; by default one with a row of the run.
    """
    usable = usable or (lambda choice: files.rows(choice.run.evaluation(task), model="run"))
    folder = run_folder.content(run_folder.runs_folder())
    available, missing = [], []
    for choice in choices:
        runs = [] if choice.single else [run for run in choice.members if run.id != choice.run.id]
        others = [choice.with_run(run, folder.place[run.id]) for run in runs]
        usable_one = next((c for c in (choice, *others) if usable(c)), None)
        if usable_one is None:
            missing.append(choice)
            continue
        available.append(usable_one)
        ticked = [] if choice.single else chosen_runs.networks([choice], every=False)
        missing += [network for network in ticked if not usable(network)]
    return available, missing


def with_evaluation(
    task: str, usable: Callable[[Choice], object] | None = None
) -> tuple[list[Choice], list[Choice], Probe | None]:
    """The parts of :func:`split` of the chosen runs that are :func:`comparable`, and their probe set."""
    choices, probe = comparable(chosen_runs.choices())
    return *split(choices, task, usable), probe


class Gap(Enum):
    """Why a run has nothing to show for an evaluation."""

    CANNOT = "cannot"  # its method or data have nothing to evaluate
    GONE = "gone"  # its weights were deleted
    WAITING = "waiting"  # it is training, failed or is damaged
    EARLIER = "earlier"  # it was evaluated before this evaluation, or what a page shows of it, existed
    ABSENT = "absent"  # it is not evaluated yet


def gap(choice: Choice, task: str) -> tuple[Gap, str]:
    """Why a run has nothing to show for ``task``, with the reason where it cannot be evaluated now."""
    if reason := impossible(choice, task):
        return Gap.CANNOT, reason
    if reason := not_ready(choice):
        return Gap.WAITING, reason
    if without_weights(choice):
        return Gap.GONE, ""
    return (Gap.EARLIER if choice.run.evaluation(task) or precedes(choice, task) else Gap.ABSENT), ""


def precedes(choice: Choice, task: str) -> bool:
    """Whether a run was evaluated in full before ``task`` existed: it has what every version makes."""
    return task in LATER and all(choice.run.evaluation(name) for name in ALWAYS)


def explain(missing: Sequence[Choice], task: str) -> None:
    """Why runs have no ``task``: what a method cannot, what came with a later version, and what is not evaluated yet,
    the last two with the command that makes it."""
    reasons = {choice: gap(choice, task) for choice in missing}
    cannot: dict[str, list[Choice]] = {}
    for choice, (why, reason) in reasons.items():
        if why is Gap.CANNOT:
            cannot.setdefault(reason, []).append(choice)
        elif why is Gap.WAITING:
            page.note(reason)
    for reason, choices in cannot.items():
        method = str(choices[0].summary.get("method"))
        which = f", which{rest}" if (rest := reason.removeprefix(method)) != reason else f": {reason}"
        page.note(f"Not available for {page.names(choices)}{which}")
    evaluable([choice for choice, (why, _) in reasons.items() if why is Gap.GONE], NAMES[task])
    if earlier := [choice for choice, (why, _) in reasons.items() if why is Gap.EARLIER]:
        box(
            f"Evaluated with an earlier version: {page.names(earlier)}",
            f"That version had no {NAMES[task]}. This command adds only what is missing:",
            evaluate(earlier, task),
        )
    if absent := [choice for choice, (why, _) in reasons.items() if why is Gap.ABSENT]:
        box(
            f"Not evaluated yet: {page.names(absent)}",
            f"This command computes: {NAMES[task]}.",
            evaluate(absent, *([task] if task in THOROUGH else [])),
        )


def impossible(choice: Choice, task: str) -> str:
    """Why there is nothing to evaluate of a run's method or data, or an empty text."""
    method = choice.summary.get("method", "this method")
    reason = choice.run.evaluation(task).get("skipped")
    if isinstance(reason, str):
        return reason
    if choice.status == "unreadable":
        return ""
    if NEEDS.get(task) and NEEDS[task] not in files.capabilities(choice.run):
        return f"{method} {CANNOT[NEEDS[task]]}"
    if task in ONLY and method not in ONLY[task][0]:
        return f"{method} {ONLY[task][1]}"
    return ""


def not_ready(choice: Choice) -> str:
    """Why a run cannot be evaluated now, or an empty text."""
    if choice.status == "unreadable":
        return f"{choice.label}: run.json is missing or damaged."
    if choice.status == "running":
        step, steps = choice.summary.get("step"), choice.summary.get("steps")
        return f"{choice.label}: still training (step {step} of {steps}); evaluate it when it has finished."
    if choice.status == "stalled":
        return f"{choice.label}: stopped unexpectedly; run `{job_panel.command('resume', [choice.run.id])}`."
    if choice.status == "failed":
        return f"{choice.label} failed: {choice.run.info().get('error') or 'the reason was not recorded.'}"
    return ""


def obstacle(choice: Choice, task: str) -> str:
    """What keeps a run from being evaluated now, or an empty text."""
    reason = impossible(choice, task)
    if not reason:
        return not_ready(choice)
    return reason if reason.startswith(choice.label) else f"{choice.label}: {reason}"


def tab_reason(view: ModuleType, choices: Sequence[Choice]) -> str:
    """Why a view has nothing to show of the chosen runs, or an empty text; looks only at which evaluations exist."""
    if hasattr(view, "nothing"):
        return view.nothing()
    tasks = getattr(view, "EVALUATIONS", ())
    if not tasks or not choices:
        return ""
    found: dict[Gap, str] = {}
    for choice in choices:
        for task in tasks:
            evaluation = choice.run.evaluation(task)
            if evaluation and "skipped" not in evaluation:
                return ""
            why, reason = gap(choice, task)
            found.setdefault(why, reason)
    if Gap.EARLIER in found:
        return "The selected runs were evaluated with an earlier version. The command below adds this evaluation."
    if Gap.ABSENT in found:
        return "The selected runs are not evaluated yet. Run the command below."
    if Gap.GONE in found:
        return "The selected runs lack this evaluation, and their weights were deleted."
    return f"Not available for the selected runs: {found.get(Gap.WAITING) or found[Gap.CANNOT]}"


def dim_tabs(key: str, reasons: Sequence[str]) -> None:
    """Dim the tabs that have a reason, which appears where the pointer or the keyboard is on them."""
    rules = []
    for at, reason in enumerate(reasons, 1):
        if reason:
            tab = f'.st-key-{key} [role="tab"]:nth-of-type({at})'
            content = re.sub(r'["\\\n<>&]', " ", reason)
            rules.append(
                f'{tab} p{{color:var(--wb-muted);font-style:italic;font-weight:400}}{tab}{{--wb-why:"{content}"}}'
            )
            rules.append(f"{tab}:is(:hover,:focus-visible)::before{{content:var(--wb-why)}}")
    st.html(f"<style>{''.join(rules)}</style>" if rules else "<style></style>")


def evaluable(choices: Sequence[Choice], what: str) -> list[Choice]:
    """The choices that can be evaluated; of those whose weights were deleted, says that they will not have ``what``."""
    gone = [choice for choice in choices if without_weights(choice)]
    if gone:
        page.note(f"{page.names(gone)}: no {what}, and the weights were deleted.")
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
            job_panel.offer(f"{title} {text}", *commands)  # two gaps of a page may have one title and command


def no_runs() -> bool:
    """Where the folder holds no runs: say so, and how to make some. Returns whether that was the case."""
    folder = run_folder.runs_folder()
    if run_folder.summaries(folder):
        return False
    state = "is empty" if folder.is_dir() else "does not exist yet"
    text = f"The folder {folder} {state}. Train a first model:"
    box("No runs yet", text, job_panel.command("train", ["mocov3"]), job_panel.command("demo", []))
    return True


def none_chosen() -> bool:
    """Where runs exist but none is chosen: say how. Returns whether that was the case."""
    if chosen_runs.choices():
        return False
    box(
        "No runs selected",
        "Select runs on the page Runs to compare them on all pages. Runs that differ only in their seed count as one "
        "model.",
    )
    return True
