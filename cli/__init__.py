"""The `ingot` command: look into a program file, run it, export it.

What lives here: the way in, which needs nothing but Python to say what is missing. The commands' flags are in `app`,
what they do in `show`, `run` and `export`, how anything from a file is made fit for a terminal in `terminal`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: those of the command line by default.

    Returns:
        The exit status: 0, 2 for a mistake in a flag, a file or a shape, 130 when interrupted.

    >>> main(["show", "no/such/file.ingot"])  # the message goes to the standard error
    2
    """
    try:
        from .app import run_app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich"):
            raise
        print('the ingot command needs typer and rich: pip install "ingot[cli]"', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return run_app(sys.argv[1:] if arguments is None else list(arguments))
