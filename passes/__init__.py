"""The pass manager, its instruments, the rewrite engine, and one file per pass.

Importing this package registers every pass. To add one, write its file and name it in the import below.
"""

from ..ir import ops as _ops  # the registry of ops, which passes and rules look up
from . import (
    canonicalize,
    cse,
    dce,
    decompose,
    differentiate,
    drop_user_gradients,
    fold,
    fold_batch_norm,
    fuse,
    hoist,
    share,
)
from .bisect import first_wrong_change
from .control_gradients import node_gradients
from .decompose import open_composites
from .differentiate import Derivative, derivative
from .freeze import freeze
from .instruments import KEYS, Instrument, Limit, Print, Reproducer, Time, Verify, Why
from .manager import run_pipeline
from .partition import partition
from .pipeline import INFERENCE, SIMPLIFY, TRAINING, Pipeline, Stage, parse_pipeline
from .registered import Pass, all_passes, find_pass, register_pass, unregister_pass
from .rewrite import Rewriter, Rule, RuleSet, rule

__all__ = [
    "INFERENCE",
    "KEYS",
    "SIMPLIFY",
    "TRAINING",
    "Derivative",
    "Instrument",
    "Limit",
    "Pass",
    "Pipeline",
    "Print",
    "Reproducer",
    "Rewriter",
    "Rule",
    "RuleSet",
    "Stage",
    "Time",
    "Verify",
    "Why",
    "all_passes",
    "canonicalize",
    "cse",
    "dce",
    "decompose",
    "derivative",
    "differentiate",
    "drop_user_gradients",
    "find_pass",
    "first_wrong_change",
    "fold",
    "fold_batch_norm",
    "freeze",
    "fuse",
    "hoist",
    "node_gradients",
    "open_composites",
    "parse_pipeline",
    "partition",
    "register_pass",
    "rule",
    "run_pipeline",
    "share",
    "unregister_pass",
]
