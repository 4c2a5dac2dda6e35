"""The commands with their flags, and what becomes of errors: one message on the standard error, and status 2."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ..ir.errors import IngotError
from .terminal import visible

__all__ = ["app", "run_app"]

app = typer.Typer(
    help="Look into program files, run them, export them.",
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# Typer brings its own copy of click in some releases, and uses the installed one in others.
_USAGE_ERROR: Final[type[Any]] = typer.BadParameter.__mro__[1]
_CLICK_ERROR: Final[type[Any]] = typer.BadParameter.__mro__[2]

_File = Annotated[Path, typer.Argument(metavar="FILE", help="A program file.")]
_Entry = Annotated[
    str | None, typer.Option("--entry", metavar="NAME", help="The entry point; by default the main one.")
]


def run_app(arguments: list[str]) -> int:
    """Run the command with the given arguments; returns the exit status."""
    try:
        status = app(args=arguments, prog_name="ingot", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except _USAGE_ERROR as error:
        command = error.ctx.command_path if error.ctx is not None else "ingot"
        return _refuse(f"{error.format_message()}\n  see {command} --help")
    except _CLICK_ERROR as error:
        return _refuse(error.format_message())
    except BrokenPipeError:
        # Who reads has gone: nothing more to say, not even when Python closes the stream at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except IngotError as error:
        return _refuse(str(error))
    except OSError as error:
        name = f"{error.filename}: " if error.filename is not None else ""
        return _refuse(f"{name}{error.strerror or error}")
    except MemoryError:
        return _refuse("there is not enough memory")
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return 130


def _refuse(message: str) -> int:
    print(f"ingot: {visible(message, breaks=True)}", file=sys.stderr)
    return 2


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        print(f"ingot {__version__}")
        raise typer.Exit


@app.callback()
def _ingot(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Look into program files, run them, export them."""
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(2)


@app.command()
def show(
    file: _File,
    entry: _Entry = None,
    graph: Annotated[bool, typer.Option("--graph/--no-graph", help="Print the text of graphs.")] = True,
) -> None:
    """Show what a program takes and gives, its state, its ops, and its graphs."""
    from .show import show_program

    show_program(file, entry, graph)


@app.command()
def run(
    file: _File,
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="The folder for results.")],
    input: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME=FILE.npy", help="An input; once for each of the program's."),
    ] = None,
    entry: _Entry = None,
    backend: Annotated[str, typer.Option("--backend", metavar="NAME", help="What runs it.")] = "numpy",
) -> None:
    """Run a program on arrays from .npy files, and write its results as such."""
    from .run import run_program

    run_program(file, input or [], output, entry, backend)


@app.command()
def ledger(
    file: _File,
    other: Annotated[
        Path | None, typer.Argument(metavar="OTHER", help="A second program file: show what differs in it.")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="A kind of entries; may be given several times.")
    ] = None,
    entry: _Entry = None,
) -> None:
    """Show what the capture of a program froze, or compare two: status 1 where they differ."""
    from .ledger import compare_ledgers, show_ledger

    if other is None:
        show_ledger(file, kind or [], entry)
    elif compare_ledgers(file, other, kind or [], entry):
        raise typer.Exit(1)


@app.command()
def export(
    file: _File,
    onnx: Annotated[Path, typer.Option("--onnx", metavar="OUT", help="The ONNX file to write.")],
    entry: _Entry = None,
) -> None:
    """Export a program to ONNX."""
    from .export import export_program

    export_program(file, onnx, entry)
