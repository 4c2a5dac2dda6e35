"""How long `import ingot` takes beyond NumPy's own import.

Each sample is a fresh process that times one import statement, so the start of the interpreter is not in it.
The two subjects take turns: what slows the machine down for a while slows both.  The answer is the difference
of the medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from measure import Row, Timing

LIMIT_MS = 60.0
NOISY_SPREAD = 0.25
"""Beyond this distance between the quartiles, as a share of the median, a run is too noisy to judge by."""

TIMED_IMPORT = """
import time
start = time.perf_counter()
import {module}
print((time.perf_counter() - start) * 1e3)
"""


def import_ms(module: str, folder: str) -> float:
    """Milliseconds that one import of `module` takes in a fresh process started in `folder`."""
    command = [sys.executable, "-c", TIMED_IMPORT.format(module=module)]
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its byte code
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def measure(rounds: int) -> dict[str, list[float]]:
    """`rounds` samples in milliseconds for NumPy and for Ingot, in turns, after one unmeasured turn each."""
    samples: dict[str, list[float]] = {"numpy": [], "ingot": []}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds + 1):
            for module, times in samples.items():
                elapsed = import_ms(module, folder)
                if turn:  # the first one fills the disk cache and writes the byte code
                    times.append(elapsed)
    return samples


def spread(times: list[float]) -> float:
    """The distance between the quartiles as a share of the median."""
    low, middle, high = statistics.quantiles(times, n=4)
    return (high - low) / middle


def rows() -> list[Row]:
    """The figure as a row of the table that `run.py` prints."""
    samples = measure(11)
    found = {name: Timing(statistics.median(t) / 1e3, min(t) / 1e3) for name, t in samples.items()}
    extra = statistics.median(samples["ingot"]) - statistics.median(samples["numpy"])
    noisy = any(spread(t) > NOISY_SPREAD for t in samples.values())
    times = [f"{1e3 * found[name].median:.1f} ms" for name in ("ingot", "numpy")]
    return [Row("import", *times, extra, "ms over", LIMIT_MS, False, noisy)]


def main() -> int:
    """Print the figures; the status is 1 when a quiet run is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="samples per subject (default %(default)s, at least 2)")
    samples = measure(max(2, parser.parse_args().rounds))
    for module, times in samples.items():
        print(f"import {module:6} median {statistics.median(times):6.1f} ms   minimum {min(times):6.1f} ms")
    over = statistics.median(samples["ingot"]) - statistics.median(samples["numpy"])
    noise = max(spread(times) for times in samples.values())
    if noise > NOISY_SPREAD:
        print(f"ingot over numpy {over:.1f} ms, limit {LIMIT_MS:.0f} ms: no verdict, spread {noise:.0%}")
        return 0
    passed = over <= LIMIT_MS
    print(f"ingot over numpy {over:.1f} ms, limit {LIMIT_MS:.0f} ms: {'kept' if passed else 'EXCEEDED'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
