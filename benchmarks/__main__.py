"""`python -m benchmarks`: all works, each against the hand-written program in the same run.

The one thing to know: BLAS's threads, and when glibc gives memory back to the system, are settings of the process, read
when it starts. So this program starts itself anew with them pinned; unpinned, ratios swing by a fifth.
"""

import argparse
import os
import platform
import subprocess
import sys

PINNED = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"),
    **dict.fromkeys(("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"), str(1 << 30)),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, noisier figures")
    parser.add_argument("works", nargs="*", help="only those works whose name has one of these words in it")
    options = parser.parse_args()
    if any(os.environ.get(name) != setting for name, setting in PINNED.items()):
        command = [sys.executable, "-m", "benchmarks", *sys.argv[1:]]
        sys.exit(subprocess.run(command, env={**os.environ, **PINNED}).returncode)
    measure(5 if options.quick else 25, options.works)


def measure(rounds: int, words: list[str]) -> None:
    import numpy as np  # which reads the pinned settings when it is imported

    from benchmarks import works
    from benchmarks.measure import Row, table

    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}, medians of {rounds} rounds"
    )
    print("pinned: " + " ".join(f"{name}={setting}" for name, setting in PINNED.items()))
    rows: list[Row] = []
    for work in works.WORKS:
        if words and not any(word in work.__name__ for word in words):
            continue
        rows += work(rounds)
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(table(rows))


if __name__ == "__main__":
    main()
