"""How large a program file and its parts may be. What is beyond is refused before anything is allocated for it.

Writers keep the same limits as readers: a file that was written can be read.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "MAX_ATTRIBUTE_DEPTH",
    "MAX_BLOCK_DEPTH",
    "MAX_HEADER",
    "MAX_JSON_DEPTH",
    "MAX_JSON_LISTS",
    "MAX_NAME",
    "MAX_NODES",
    "MAX_RANK",
    "MAX_SIZE_TEXT",
    "MAX_TEXT",
    "MAX_TREE_DEPTH",
    "MAX_TYPE_PARTS",
]

MAX_HEADER: Final = 100_000_000
"""Bytes of the header: the safetensors format's own limit."""
MAX_JSON_DEPTH: Final = 256
"""Lists and objects inside each other, anywhere in the header or the document."""
MAX_JSON_LISTS: Final = 16_000_000
"""Lists and objects altogether: empty ones need two bytes in a file and some sixty in memory."""
MAX_NODES: Final = 5_000_000
"""Nodes of all graphs together."""
MAX_BLOCK_DEPTH: Final = 10_000
"""Blocks inside each other."""
MAX_RANK: Final = 64
"""Dimensions of a tensor: NumPy's own limit."""
MAX_ATTRIBUTE_DEPTH: Final = 64
"""Tuples inside each other in an attribute."""
MAX_TREE_DEPTH: Final = 64
"""Containers inside each other in an argument, a result or an extra."""
MAX_TYPE_PARTS: Final = 10_000
"""Types that one type consists of: shared parts count each time, for they are walked each time."""
MAX_NAME: Final = 4096
"""Characters of a name: of an op, a value, a graph, a piece of state, an attribute."""
MAX_TEXT: Final = 1 << 20
"""Characters of any other string: a source line, a sentence of the ledger, an attribute's or extra's text."""
MAX_SIZE_TEXT: Final = 8192
"""Characters of one size expression."""
