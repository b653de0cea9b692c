"""The command line: parse, call, print. A command's module is imported when it is used, and torch with it."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Group

from workbench import __version__
from workbench.cli.options import KINDS_OF_WEIGHTS
from workbench.errors import WorkbenchError

TRAIN = Group.create_ordered("Train")
EVALUATE = Group.create_ordered("Evaluate")
LOOK = Group.create_ordered("Look")
KEEP = Group.create_ordered("Keep order")
OTHER = Group.create_ordered("Help and set-up")

app = App(
    name="workbench",
    help="Train contrastive and generative models on the same images and see what each has learnt.",
    help_epilogue="A RUN is an id, a unique beginning of one, a name or a path.",
    help_format="plaintext",  # as markdown it takes half as long again
    version=__version__,
    group_commands=OTHER,
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
    result_action="return_int_as_exit_code_else_zero",
)
app.register_install_completion_command(help="Install completion for this shell.")

for _group, _module, _name, _help in (
    (TRAIN, "train", "train", "Train a method; `workbench train METHOD --help` lists its options."),
    (TRAIN, "train", "resume", "Continue an interrupted run exactly, or a finished one for more epochs."),
    (TRAIN, "demo", "demo", "Train mocov3, vae and ddpm on the same images, compare them and open the app."),
    (TRAIN, "weights", "import", "Make a run of published weights: MoCo v3's, DeiT's, timm's or torchvision's."),
    (EVALUATE, "evaluate", "evaluate", "Measure what runs have learnt; the results are stored in them."),
    (
        EVALUATE,
        "augmentations",
        "augmentations",
        "Train a run per pair of augmentations and compare them, as SimCLR's figure 5.",
    ),
    (EVALUATE, "sweep", "sweep", "Train the runs of a recipe, such as a table of a paper, and compare them."),
    (EVALUATE, "evaluate", "compare", "Print runs side by side with their baselines."),
    (EVALUATE, "report", "report", "Write a comparison with its conclusions to one file: HTML, Markdown, LaTeX, CSV."),
    (LOOK, "output", "embed", "Write a run's features of a data set to a file."),
    (LOOK, "output", "reconstruct", "Write images and what a run makes of them to a picture."),
    (LOOK, "output", "sample", "Write images that a run has drawn to a picture."),
    (LOOK, "weights", "export", "Write a run's encoder for timm or as ONNX, with a model card."),
    (LOOK, "listing", "runs", "List the runs."),
    (LOOK, "serve", "app", "Open the app on the runs in the browser."),
    (KEEP, "actions", "tag", "Give a run tags, take them away, or print them."),
    (KEEP, "actions", "note", "Add to a run's note, or print it."),
    (KEEP, "actions", "rename", "Give a run another name."),
    (KEEP, "actions", "archive", "Hide runs from lists, or show them again."),
    (KEEP, "actions", "delete", "Move runs to the trash."),
    (KEEP, "actions", "trash", "List what is in the trash, bring a run back, or empty it."),
    (OTHER, "listing", "methods", "List the methods."),
    (OTHER, "listing", "datasets", "List the built-in data sets."),
    (OTHER, "doctor", "doctor", "Say what this machine has, and what is missing."),
):
    _function = "import_" if _name == "import" else _name  # which no function can be called
    _below = {"help_epilogue": KINDS_OF_WEIGHTS} if _name == "import" else {}
    _place = f"workbench.cli.{_module}:{_function}"
    app.command(_place, name=_name, help=_help, group=_group, sort_key=len([*app]), **_below)
app.command("workbench.cli.augmentations:augmentations", name="compose", show=False)  # its former name


def main(tokens: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 2 for bad input, 130 after Ctrl-C.

    With WORKBENCH_DEBUG=1 errors show their traceback.
    """
    # On a machine that others use too, threads that spin long at OpenMP's barriers slow a training step several times.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        code = app(sys.argv[1:] if tokens is None else tokens)
        sys.stdout.flush()
        return code
    except (WorkbenchError, CycloptsError) as error:
        if os.environ.get("WORKBENCH_DEBUG") == "1":
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
