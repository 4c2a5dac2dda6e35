"""`python -m ingot` is the `ingot` command."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
