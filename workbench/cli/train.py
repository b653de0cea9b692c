"""``workbench train`` and ``workbench resume``.

What a run is told comes in layers: the method's defaults, its preset, the configuration file, the flags. The first two
belong to :mod:`workbench.training`; here the file and the flags become one mapping of the settings that were given.
"""

from itertools import pairwise
from pathlib import Path
from typing import Annotated

from cyclopts import App, ArgumentCollection, Group, Parameter

from workbench.cli.options import RUNS, Reference, RunsFolder
from workbench.config import Device, flatten, option_name, read_yaml, replace_flat
from workbench.errors import WorkbenchError, unknown
from workbench.methods import METHODS, load_method
from workbench.store import find_run

ConfigFile = Annotated[
    Path | None,
    Parameter(
        name="--config", group="Run", help="YAML file of settings, such as a run's config.yaml; flags override it."
    ),
]

EPILOGUE = (
    "What is not given follows the preset, which may differ from the defaults above; --dry-run says what it chooses."
)

train = App(name="train", group_commands=Group("Methods"))
for _name, _entry in METHODS.items():
    train.command(f"workbench.cli.train:{_name}", name=_name, help=f"{_entry.summary} ({_entry.paper}).")


@train.default
def any_method(*tokens: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)]) -> int:
    """Train the method that a configuration file names."""
    if tokens and not tokens[0].startswith("-"):
        raise unknown("method", tokens[0], METHODS)
    files = [after for before, after in pairwise(tokens) if before == "--config"]
    files += [token.removeprefix("--config=") for token in tokens if token.startswith("--config=")]
    if not files:
        raise WorkbenchError(
            f"Say which method to train, such as `workbench train mocov3`; there are: {', '.join(METHODS)}."
        )
    method = read_yaml(Path(files[-1])).get("method")
    if method is None:
        raise WorkbenchError(f'{files[-1]} has no key "method"; add one, or say `workbench train METHOD --config …`.')
    if method not in METHODS:
        raise unknown("method", str(method), METHODS, files[-1])
    return train([method, *tokens])


def __getattr__(name: str) -> App:
    """The commands ``workbench train METHOD``; making one imports its method, and torch."""
    if name not in METHODS:
        raise AttributeError(name)
    return method_app(name)


def method_app(method: str) -> App:
    """The command that trains a method, its options taken from the method's configuration class."""
    _, config_class = load_method(method)
    defaults = config_class()
    flags: set[str] = set()

    def note_flags(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        flags.clear()
        for argument in arguments:
            if argument.tokens and argument.keys:
                flags.add(".".join(option_name(key) for key in argument.keys))

    def run(
        config: Annotated[config_class, Parameter(name="*", group=f"Options of {method}")] = defaults,  # pyright: ignore
        *,
        config_file: ConfigFile = None,
        dry_run: Annotated[bool, Parameter(group="Run", negative="")] = False,
    ) -> None:
        """Train.

        Parameters
        ----------
        dry_run
            Print parameters, FLOPs per image, memory and an estimate of the time, and stop.
        """
        where = str(config_file or "")
        settings = read_yaml(config_file) if config_file else {}
        named = settings.pop("method", method)
        if named != method:
            raise WorkbenchError(f'{where} is for the method "{named}", not "{method}"; correct the one or the other.')
        replace_flat(defaults, settings, where)  # what is wrong in the file is said of the file
        given = flatten(config)
        settings |= {key: given[key] for key in sorted(flags)}
        from workbench import training

        training.start(method, settings, where=where, dry_run=dry_run)

    plain = Parameter(negative_iterable=(), consume_multiple=True)  # no flags for empty lists, lists after one flag
    app = App(name=method, config=note_flags, default_parameter=plain, help_epilogue=EPILOGUE)
    app.default(run)
    return app


def resume(
    run: Reference,
    /,
    *,
    epochs: Annotated[int | None, Parameter(help="Train up to this many epochs in all.")] = None,
    device: Annotated[Device | None, Parameter(help="Another device than the run was started on.")] = None,
    runs: RunsFolder = RUNS,
) -> None:
    """Continue an interrupted run exactly, or a finished one for more epochs."""
    found = find_run(run, runs)
    from workbench import training

    training.resume(found, epochs, device)
