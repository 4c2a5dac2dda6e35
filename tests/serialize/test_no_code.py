"""Reading a file runs no code of the file's: checked under Python's audit hooks, in a process of its own."""

from pathlib import Path

from repository import run_python

SCRIPT = """
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
import ingot.serialize
from corpus import good_files, hostile_files
from ingot.ir.errors import FileFormatError

folder = Path(sys.argv[2])
files = {**good_files(), **hostile_files()}
for name, data in files.items():
    (folder / name).write_bytes(data)

# Reading opens the file and maps it, and does nothing else that Python tells auditors about.
events = []
current = ""

def audit(event, arguments):
    if not current or event in ("mmap.__new__", "builtins.id", "sys._getframe"):
        return
    if event == "open" and (arguments[0] == current or isinstance(arguments[0], int)):
        return
    events.append((Path(current).name, event, repr(arguments)[:200]))

sys.addaudithook(audit)
outcomes = {}
for name in files:
    path = str(folder / name)
    current = path
    try:
        ingot.serialize.load(path)
        outcome = "loaded"
    except FileFormatError:
        outcome = "refused"
    current = ""
    outcomes[name] = outcome

wrong = [name for name in files if outcomes[name] != ("loaded" if name in good_files() else "refused")]
if events or wrong:
    sys.exit(f"events: {events[:10]}; wrong outcomes: {wrong}")
print(len(outcomes), "files")
"""


def test_reading_opens_the_file_and_does_nothing_else(tmp_path: Path) -> None:
    support = Path(__file__).parents[1] / "support"
    done = run_python(["-c", SCRIPT, str(support), str(tmp_path)])
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 100
