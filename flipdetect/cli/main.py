"""The command `flipdetect`: a sub-command per module, with options from the signature of its function."""

from __future__ import annotations

import logging
import math
import os
import re
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

import flipdetect
from flipdetect.atomic import explained
from flipdetect.cli.messages import INTERRUPTED, REFUSED, explain, set_up_logging, stop_on_signals
from flipdetect.errors import FlipdetectError

COMMANDS = {
    "train": "train",
    "predict": "predict",
    "evaluate": "evaluate",
    "audit": "data_sets",
    "prepare": "data_sets",
    "export": "export",
    "compare": "studies",
    "cross-validate": "studies",
    "tune": "studies",
    "render": "data_sets",
    "serve": "serve",
    "batch": "serve",
    "register": "serve",
    "demo": "serve",
    "configs": "configs",
}
"""Name of each command -> the module of this package that holds its function, in the order of `--help`."""
PASSED_ON = ("train",)
"""Commands whose options another parser reads: everything after their name is passed on to them."""

KINDS = {"file": "file", "directory": "folder", "path": "file or folder"}
"""What a path names, in Typer's words and in ours."""

logger = logging.getLogger(__name__)


def _print_version(asked: bool) -> None:
    if asked:
        print(flipdetect.__version__)
        raise typer.Exit


def _flipdetect(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Detect page turns in photos and videos of books, and extract one clean image per spread."""


class _Command(TyperCommand):
    """A command that refuses what is no number: it passes every comparison with a limit."""

    def invoke(self, ctx: Any) -> Any:
        for param in self.params:
            value = ctx.params.get(param.name)
            if isinstance(value, float) and math.isnan(value):
                raise typer.BadParameter("nan is no number", ctx=ctx, param=param)
        return super().invoke(ctx)


def build_app(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The program with some of its commands; each of them takes time to describe."""
    app = typer.Typer(
        name="flipdetect",
        help=_flipdetect.__doc__,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(_flipdetect)
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    for name in names:
        function = getattr(import_module(f"flipdetect.cli.{COMMANDS[name]}"), name.replace("-", "_"))
        title = " ".join(str(function.__doc__).split("\n\n", 1)[0].split())  # whole; by default it is cut off
        settings = passed_on if name in PASSED_ON else None
        app.command(name, cls=_Command, short_help=title, context_settings=settings)(function)
    return app


def main(args: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 1 (an error that a message explains), 2 (usage), 130 (Ctrl-C)."""
    set_up_logging()
    stop_on_signals()
    words = list(sys.argv[1:] if args is None else args)
    try:
        try:
            app = build_app(words[:1] if words[:1] and words[0] in COMMANDS else COMMANDS)
            status = app(args=words, prog_name="flipdetect", standalone_mode=False)
        except Exception as error:
            cause: BaseException | None = error
            while cause is not None:  # an import that Ctrl-C ends may say that the module is broken
                if isinstance(cause, KeyboardInterrupt):
                    return INTERRUPTED
                cause = cause.__cause__ or cause.__context__
            raise
    except typer.TyperException as error:
        return _usage_error(error, words)
    except FlipdetectError as error:
        return explain(error)
    except OSError as error:
        reason = explained(error)
        if reason is None:
            raise
        logger.error("%s", reason)
        return 1
    except ModuleNotFoundError as error:
        if str(error.name).startswith("flipdetect"):
            raise
        logger.error("%s is not installed: run pip install 'flipdetect[all]'", error.name)
        return 1
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except SystemExit as stop:
        if not isinstance(stop.__context__, BrokenPipeError):
            raise
        # The reader of the output has seen enough (`| head`). Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status if isinstance(status, int) else 0


def _usage_error(error: typer.TyperException, words: Sequence[str]) -> int:
    """Print what is wrong with the arguments in one line, and the command that lists the right ones."""
    context = getattr(error, "ctx", None)
    message = error.format_message().strip()
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message)
        return 0
    invalid = re.match(r"Invalid value for '(.+?)'(?: / '(.+?)')?: (?:Value error, )?(.*)", message)
    if invalid:  # the option as it was written, and the value that was received
        option = next((name for name in invalid.groups()[:2] if name in words[:-1]), invalid[1])
        what = f"{invalid[3][0].lower()}{invalid[3][1:]}"
        absent = re.match(r"(file|directory|path) '(.*)' does not exist", what)
        if absent:
            message = f"{option} {absent[2]}: no such {KINDS[absent[1]]}; correct the path"
        elif other := re.match(r"(file|directory) '(.*)' is a (file|directory)", what):
            message = f"{option} {other[2]} is a {KINDS[other[3]]}; give a {KINDS[other[1]]}"
        elif words.count(option) == 1 and option in words[:-1]:
            message = f"{option} {words[words.index(option) + 1]}: {what}"
    command = context.command_path if context is not None else "flipdetect"
    logger.error("%s. See: %s --help", message.rstrip("."), command)
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
