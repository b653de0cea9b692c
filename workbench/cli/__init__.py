"""The command line. Each command's module, and torch with it, is imported only when the command is called."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Group

from workbench import __version__
from workbench.cli.options import KINDS_OF_WEIGHTS
from workbench.errors import WorkbenchError

TRAIN = Group.create_ordered("Train")
EVALUATE = Group.create_ordered("Evaluate")
OUTPUT = Group.create_ordered("Inspect and export")
MANAGE = Group.create_ordered("Manage runs")
OTHER = Group.create_ordered("Help and setup")

app = App(
    name="workbench",
    help="Train contrastive and generative models on the same images and compare what each has learnt.",
    help_epilogue="RUN is a run's id, a unique prefix of its id, its name or its path.",
    help_format="plaintext",  # rendering markdown takes half as long again
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
    (TRAIN, "train", "resume", "Continue an interrupted run exactly, or train a finished one for more epochs."),
    (TRAIN, "demo", "demo", "Train mocov3, vae and ddpm on the same images, compare them and open the app."),
    (TRAIN, "weights", "import", "Import published weights as a run: MoCo v3, DeiT, timm, torchvision or diffusers."),
    (EVALUATE, "evaluate", "evaluate", "Evaluate runs; the results are stored in their folders."),
    (
        EVALUATE,
        "augmentations",
        "augmentations",
        "Train a run per pair of augmentations and compare linear probes (SimCLR, figure 5).",
    ),
    (EVALUATE, "sweep", "sweep", "Train every run of a study, such as a table of a paper, and compare them."),
    (EVALUATE, "evaluate", "compare", "Print a table of runs and their baselines, with tests of the differences."),
    (EVALUATE, "report", "report", "Write a comparison and its conclusions to one file: HTML, Markdown, LaTeX or CSV."),
    (OUTPUT, "output", "embed", "Write a run's features of a data set to a file."),
    (OUTPUT, "output", "reconstruct", "Write images and their reconstructions to an image file."),
    (OUTPUT, "output", "sample", "Write samples of a generative model to an image file."),
    (OUTPUT, "weights", "export", "Export a run's weights for timm, ONNX or diffusers."),
    (OUTPUT, "listing", "runs", "List the runs."),
    (OUTPUT, "serve", "app", "Serve the app, which shows the runs in a browser."),
    (MANAGE, "actions", "tag", "Add, remove or print a run's tags."),
    (MANAGE, "actions", "note", "Add to a run's note, or print it."),
    (MANAGE, "actions", "rename", "Rename a run."),
    (MANAGE, "actions", "archive", "Hide runs from lists, or list them again."),
    (MANAGE, "actions", "delete", "Move runs to the trash."),
    (MANAGE, "actions", "trash", "List the trash, restore a run from it, or empty it."),
    (OTHER, "listing", "methods", "List the methods."),
    (OTHER, "listing", "datasets", "List the built-in data sets."),
    (OTHER, "doctor", "doctor", "Check this machine: packages, devices, folders and free space."),
):
    _function = "import_" if _name == "import" else _name  # `import` is a keyword
    _epilogue = {"help_epilogue": KINDS_OF_WEIGHTS} if _name == "import" else {}
    _place = f"workbench.cli.{_module}:{_function}"
    app.command(_place, name=_name, help=_help, group=_group, sort_key=len([*app]), **_epilogue)
app.command("workbench.cli.augmentations:augmentations", name="compose", show=False)  # its former name


def main(tokens: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 2 for bad input, 130 after Ctrl-C.

    With WORKBENCH_DEBUG=1 errors show their traceback.
    """
    # On a shared machine, threads that spin at OpenMP's barriers slow a training step down several times.
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
    except BrokenPipeError:  # the reader, such as `head`, closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
