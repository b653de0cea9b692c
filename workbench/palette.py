"""Colours that app, figures and report share: the n-th run has the same one everywhere."""

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#F0E442")
"""Seven colours that people with any colour vision tell apart (Okabe and Ito 2008)."""

GREY = "#8b929a"
"""Baselines, and whatever belongs to no run."""

CLASS_COLOURS = ("#CC6677", "#5F56BD", "#DDCC77", "#117733", "#88CCEE", "#882255", "#44AA99", "#999933", "#AA4499")
"""Tol's "muted" scheme for classes, so that a class is not taken for a run; indigo is lighter, to be seen on dark."""

MAGNITUDE = "viridis"
CIRCULAR = "Phase"


def run_colours(dark: bool = False) -> tuple[str, ...]:
    """The eight colours of runs, in the order in which runs are chosen; the last is the theme's ink."""
    return (*OKABE_ITO, "#e8eaed" if dark else "#1c2024")


def run_colour(index: int | None) -> str:
    """The colour on white of a run, group of seeds or cell of a study by its index; grey for what is none of them."""
    return GREY if index is None else run_colours()[index % (len(OKABE_ITO) + 1)]


def rgba(colour: str, opacity: float) -> str:
    """A ``#rrggbb`` colour with an opacity in [0, 1], as CSS and plotly write it."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"
