"""``workbench train`` and ``workbench resume``.

A run's settings come in layers: the method's defaults, its preset, the configuration file, the flags. The first two
belong to :mod:`workbench.training`; here file and flags become one mapping of the settings that were given.
"""

import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, ArgumentCollection, Group, Parameter

from workbench.cli.options import RUNS, Reference, RunsFolder
from workbench.config import METHOD_KEY, RUN, Device, flatten, option_name, read_settings, read_yaml, replace_flat
from workbench.errors import WorkbenchError, unknown
from workbench.hints import command
from workbench.methods import METHODS, load_config
from workbench.store import find_run

CONFIG = "YAML file of settings, such as a run's config.yaml; flags override it."
ConfigFile = Annotated[Path | None, RUN, Parameter(name="--config", help=CONFIG)]

COMMON_ORDER = ("--data", "--epochs", "--max-steps", "--batch-size", "--lr", "--seed", "--name", "--device", "--runs")
EPILOGUE = "Presets may change the defaults shown above; --dry-run prints the resulting settings."

train = App(name="train", group_commands=Group("Methods"))
for _name, _entry in METHODS.items():
    train.command(f"workbench.cli.train:{_name}", name=_name, help=f"{_entry.summary} ({_entry.paper}).")


@train.default
def any_method(*tokens: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)]) -> int:
    """Train the method named in a configuration file."""
    if tokens and not tokens[0].startswith("-"):
        raise unknown("method", tokens[0], METHODS)
    files = [after for before, after in pairwise(tokens) if before == "--config"]
    files += [token.removeprefix("--config=") for token in tokens if token.startswith("--config=")]
    if not files:
        known = ", ".join(METHODS)
        raise WorkbenchError(f"No method given; run for example `{command('train', 'mocov3')}`. Methods: {known}.")
    method = read_yaml(Path(files[-1])).get("method")
    if method is None:
        example = command("train", "mocov3", "--config", files[-1])
        raise WorkbenchError(f'{files[-1]} has no key "method"; add it, or name the method: `{example}`.')
    if method not in METHODS:
        raise unknown("method", str(method), METHODS, files[-1])
    return train([method, *tokens])


def __getattr__(name: str) -> App:
    """The commands ``workbench train METHOD``; building one imports the method's configuration, not torch."""
    if name not in METHODS:
        raise AttributeError(name)
    return method_app(name)


def method_app(method: str) -> App:
    """The command that trains a method; its options are the fields of the method's configuration class."""
    config_class = load_config(method)
    defaults = config_class()
    own = Group(f"Options of {method}", sort_key=METHOD_KEY)
    flags, variables = set[str](), set[str]()

    def note_flags(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        flags.clear()
        variables.clear()
        for argument in arguments:
            if argument.tokens and argument.keys:
                key = ".".join(option_name(key) for key in argument.keys)
                (variables if argument.tokens[0].source == "env" else flags).add(key)

    def run(
        config: Annotated[config_class, Parameter(name="*", group=own)] = defaults,  # pyright: ignore
        *,
        config_file: ConfigFile = None,
        dry_run: Annotated[bool, RUN, Parameter(negative="")] = False,
    ) -> None:
        """Train.

        Args:
            dry_run: Print parameters, FLOPs per image, memory and estimated time without training.
        """
        where = str(config_file or "")
        settings = read_settings(config_file, method) if config_file else {}
        replace_flat(defaults, settings, where)  # so that an error in the file names the file
        given = flatten(config)
        settings = {key: given[key] for key in variables} | settings | {key: given[key] for key in sorted(flags)}
        planned = replace_flat(defaults, settings, where)
        if not dry_run:
            _announce(method, planned.data)
        from workbench import training

        training.start(method, settings, where=where, dry_run=dry_run)

    plain = Parameter(negative_iterable=(), consume_multiple=True)  # no --empty flags; a list follows its flag
    app = App(name=method, config=note_flags, default_parameter=plain, help_epilogue=EPILOGUE)
    app.help_formatter = _in_order_of_use
    app.default(run)
    return app


def _announce(method: str, data: str) -> None:
    """Print what is trained on which data, before torch is imported; bad input gets its error alone."""
    from workbench.data.datasets import CATALOGUE

    first = os.environ.get("RANK", "0") == "0"  # of several processes
    if first and (data in CATALOGUE or Path(data).expanduser().exists()):
        print(f"Training {method} on {data}.", file=sys.stderr, flush=True)


def _in_order_of_use(console: Any, options: Any, panel: Any) -> None:
    """Print a panel of the help; the common options come in the order in which one needs them."""
    from cyclopts.help import DefaultFormatter

    def place(entry: Any) -> int:
        return next((COMMON_ORDER.index(name) for name in entry.names if name in COMMON_ORDER), len(COMMON_ORDER))

    panel.entries.sort(key=place)
    DefaultFormatter()(console, options, panel)


def resume(
    run: Reference,
    /,
    *,
    epochs: Annotated[int | None, Parameter(help="New total number of epochs.")] = None,
    device: Annotated[Device | None, Parameter(help="Device to continue on; by default that of the run.")] = None,
    runs: RunsFolder = RUNS,
) -> None:
    """Continue an interrupted run exactly, or train a finished one for more epochs."""
    chosen = find_run(run, runs)
    from workbench import training

    training.resume(chosen, epochs, device)
