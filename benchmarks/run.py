"""Every benchmark, as one table of ratios: `make bench`.

    python benchmarks/run.py [NAME ...]

A name picks one module: import_time, eager, chains, net, calls, train_step, capture, scale. Ratios are taken within
this run, subjects in turns.
"""

from __future__ import annotations

import importlib
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from measure import Row, other_load
from rich.console import Console
from rich.table import Table

MODULES = ("import_time", "eager", "chains", "net", "calls", "train_step", "capture", "scale")


def _show(rows: list[Row], title: str, console: Console) -> None:
    table = Table(title=title, title_justify="left")
    for column, justify in (
        ("what", "left"),
        ("Ingot", "right"),
        ("reference", "right"),
        ("figure", "right"),
        ("limit", "right"),
        ("", "left"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        limit = "" if row.limit is None else f"{'>=' if row.at_least else '<='} {row.limit:g}"
        table.add_row(row.name, row.subject, row.reference, f"{row.figure:.2f} {row.unit}", limit, row.verdict)
    console.print(table)


def main(names: list[str]) -> int:
    """Run the modules of the given names, or all; 1 if a limit was missed on a quiet run."""
    unknown = [name for name in names if name not in MODULES]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are {', '.join(MODULES)}", file=sys.stderr)
        return 2
    console = Console()
    console.print(f"Python {platform.python_version()} on {platform.machine()}, other load {other_load():.1f}")
    missed = 0
    for name in names or MODULES:
        rows = importlib.import_module(name).rows()
        _show(rows, name, console)
        missed += sum(row.verdict == "MISSED" for row in rows)
    if missed:
        console.print(f"{missed} limits missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
