"""`python -m benchmarks`: all works, each against the hand-written program in the same run.

The one thing to know: BLAS's threads, and when glibc gives memory back to the system, are settings of the process, read
when it starts. So this program starts itself anew with them pinned; unpinned, ratios swing by a fifth.
"""

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path
from time import perf_counter

PINNED = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"),
    **dict.fromkeys(("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"), str(1 << 30)),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, noisier figures")
    parser.add_argument("--examples", action="store_true", help="run the examples at full size instead")
    parser.add_argument("works", nargs="*", help="only those works whose name has one of these words in it")
    options = parser.parse_args()
    if any(os.environ.get(name) != setting for name, setting in PINNED.items()):
        command = [sys.executable, "-m", "benchmarks", *sys.argv[1:]]
        sys.exit(subprocess.run(command, env={**os.environ, **PINNED}).returncode)
    if options.examples:
        run_examples(options.works)
        return
    measure(5 if options.quick else 25, options.works)


def run_examples(words: list[str]) -> None:
    """Every example, in a process of its own: what it prints at last, and how long it took."""
    for path in sorted((Path(__file__).parent.parent / "examples").glob("*.py")):
        if words and not any(word in path.name for word in words):
            continue
        start = perf_counter()
        done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True)
        print(
            f"{path.name}: {perf_counter() - start:.1f} s" + (f", exit code {done.returncode}" * bool(done.returncode))
        )
        print("".join(f"    {line}\n" for line in (done.stdout + done.stderr).splitlines()[-6:]))


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
