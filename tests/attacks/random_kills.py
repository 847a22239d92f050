"""kill -9 a serial search at random moments, and go on each time.

    python tests/attacks/random_kills.py [KILLS]

Each of KILLS searches (20 by default) is killed once, a moment after its journal has a random number of
lines, or while it starts; the same command then ends it. What is left must be what a search leaves that
nobody killed. Prints N of N.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import light

from nasplug.engine.ledger import read_ledger

SCRIPT = Path(light.__file__)


def left(folder):
    """The ledger without the clock, and the front."""
    table = read_ledger(folder, light.LightSpace())
    rows = [table.record(row) for row in range(len(table))]
    ledger = [(r.number, r.arch, getattr(r.outcome, "values", None)) for r in rows]
    front = [line.split(",")[0] for line in (folder / "front.csv").read_text().splitlines()]
    return ledger, front, len((folder / "results.csv").read_text().splitlines())


def start(folder):
    command = [sys.executable, str(SCRIPT), str(folder), "60", "0.01", "1"]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


def main():
    kills, dice, survived, measured = int([*sys.argv, 20][1]), random.Random(0), 0, []
    with tempfile.TemporaryDirectory() as home:
        begin = time.monotonic()
        assert start(Path(home) / "whole").wait() == 0
        took, want = time.monotonic() - begin, left(Path(home) / "whole")
        for i in range(kills):
            folder = Path(home) / str(i)
            process, lines = start(folder), dice.randrange(60)
            journal = folder / "journal.log"
            while lines and not (journal.exists() and journal.read_bytes().count(b"\n") > lines):
                time.sleep(0.002)
            time.sleep(dice.random() * (0.02 if lines else took))
            process.send_signal(signal.SIGKILL)
            process.wait()
            table = read_ledger(folder, light.LightSpace()) if folder.exists() else None
            measured.append(len(table) if table else 0)
            ended = start(folder).wait()
            survived += ended == 0 and left(folder) == want
    print(f"records when killed: {measured}")
    print(f"{survived} of {kills} kills survived")
    sys.exit(survived < kills)


if __name__ == "__main__":
    main()
