"""`python -m benchmarks`: all works, each against the hand-written program in the same run."""

import argparse
import platform
import sys

import numpy as np

from benchmarks import works
from benchmarks.measure import Row, table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, noisier figures")
    rounds = 5 if parser.parse_args().quick else 25
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}, medians of {rounds} rounds"
    )
    rows: list[Row] = []
    for work in works.WORKS:
        rows += work(rounds)
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(table(rows))


if __name__ == "__main__":
    main()
