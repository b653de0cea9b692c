"""What happened in a training: its spikes, dips and collapses in sentences, and the images of unusual batches."""

import streamlit as st

from app import theme
from app.figures import image_grid
from app.reading import training_health
from app.reading.choice import Choice
from app.reading.training_health import Batch, Diagnosis, dip_sentence
from app.reading.verdict import listed
from app.widgets import page
from workbench.metrics.stability import Spike

Diagnoses = dict[Choice, Diagnosis]


def first_in(spike: Spike) -> str:
    return f", first in {spike.layer}" if spike.layer else ""


def answer(diagnoses: Diagnoses) -> str:
    """How many dips and collapses there were, the deepest dip, and which runs could not be judged."""
    followed = {choice: diagnosis for choice, diagnosis in diagnoses.items() if diagnosis.knn is not None}
    unknown = [choice.label for choice in diagnoses if choice not in followed]
    dips = [(dip.depth, choice, dip) for choice, diagnosis in followed.items() for dip in diagnosis.dips]
    collapsed = [choice.label for choice, diagnosis in diagnoses.items() if diagnosis.collapses]
    parts = []
    if dips:
        depth, choice, dip = max(dips, key=lambda entry: entry[0])
        count = "The kNN accuracy dipped once" if len(dips) == 1 else f"The kNN accuracy dipped {len(dips)} times"
        deepest = "" if len(dips) == 1 else "the deepest "
        parts.append(f"{count}: {deepest}by {depth:.1f} points at step {dip.step:,} of {choice.label}.")
    elif followed:
        parts.append("The kNN accuracy did not dip.")
    if collapsed:
        parts.append(f"Feature collapse in {listed(collapsed)}.")
    elif any("normalised_std" in diagnosis.health for diagnosis in diagnoses.values()):
        parts.append("No feature collapse was detected.")
    if unknown:
        parts.append(f"No kNN accuracy was recorded for {listed(unknown)}.")
    return " ".join(parts)


def sentences(diagnoses: Diagnoses) -> None:
    """Each dip with the spike before it, and each collapse."""
    st.subheader("Events", anchor=False)
    for choice, diagnosis in diagnoses.items():
        entries = []
        if diagnosis.knn is not None:
            first = diagnosis.gradients.name if diagnosis.gradients is not None else ""
            entries += [
                (dip.step, dip_sentence(dip, first, diagnosis.knn, diagnosis.gradients is not None))
                for dip in diagnosis.dips
            ]
        for collapse in diagnosis.collapses:
            over = f"; recovered at step {collapse.until:,}" if collapse.until is not None else ""
            entries.append((collapse.step, f"Step {collapse.step:,}: collapse, {collapse.reason}{over}."))
        linked = [spike for dip in diagnosis.dips for spike in dip.near]
        if rest := sum(spike not in linked for spike in diagnosis.spikes):
            after = (
                " not followed by a dip"
                if diagnosis.knn is not None
                else "; dips unknown, as no kNN accuracy was recorded"
            )
            entries.append((10**12, f"{rest} spike{'s' * (rest > 1)}{after}."))
        page.heading(choice.label, choice.colour, "" if entries else nothing_in(diagnosis))
        if entries:
            st.markdown("\n".join(f"- {theme.literal(text)}" for _, text in sorted(entries)))


def nothing_in(diagnosis: Diagnosis) -> str:
    """What was looked for in vain, and what was not recorded."""
    series_of = {"spike": diagnosis.gradients, "dip": diagnosis.knn, "collapse": diagnosis.health.get("normalised_std")}
    missing = {"spike": "gradients", "dip": "kNN accuracy", "collapse": "feature statistics"}
    absent = ", ".join(f"no {what}" for what, series in series_of.items() if series is not None)
    unrecorded = " and ".join(missing[what] for what, series in series_of.items() if series is None)
    return "; ".join(filter(None, (absent, unrecorded and f"not recorded: {unrecorded}")))


def batches(diagnoses: Diagnoses) -> None:
    """The images of the steps at which the gradient was unusual."""
    by_step = {text: batch for choice, diagnosis in diagnoses.items() for text, batch in unusual(choice, diagnosis)}
    if not by_step:
        return
    st.subheader("Batch at a spike", anchor=False)
    batch = by_step[st.selectbox("Step", list(by_step), key="batch", width=760) or next(iter(by_step))]
    if batch.images is not None:
        st.html(image_grid.wrapped_tiles(batch.images, [str(number) for number in batch.ids[: len(batch.images)]]))
    with st.expander(f"Ids of all {len(batch.ids):,} images"):
        st.code(", ".join(map(str, batch.ids)), language=None, wrap_lines=True)
    page.note("training images of this step with their ids")
    page.details(
        "training images of this step before augmentation, in batch order, with their sample ids · recorded where the "
        "maximum norm of a row, of all gradients or of the first layer, is a spike · contributions of single images "
        "are not recorded"
    )


def unusual(choice: Choice, diagnosis: Diagnosis) -> list[tuple[str, Batch]]:
    """The batches of a run that were kept, each with its step in words."""
    recorded, labelled = training_health.batches(choice.run), []
    for spike in diagnosis.spikes:
        for step in sorted({spike.start, spike.step} & recorded.keys()):
            part = "start" if step == spike.start else "peak"
            which = f"of a spike, {training_health.spike_height(spike)}{first_in(spike)}"
            labelled.append((f"{choice.label}: step {step:,}, {part} {which}", recorded[step]))
    for batch in recorded.values():
        if batch.of in ("loss", "gradient"):
            labelled.append((f"{choice.label}: step {batch.step:,}, whose {batch.of} was not finite", batch))
    return labelled
