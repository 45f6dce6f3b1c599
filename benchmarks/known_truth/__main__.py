"""Train the tasks of known truth and store their labelled histories.

    python -m benchmarks.known_truth --out DIR --processes 2

Writes DIR/histories.parquet and DIR/labels.parquet. A task that is trained stays in DIR/parts, so that an
interrupted run goes on; --discard removes the parts at the end. Images are found by RIDGELINE_DATA.
"""

import argparse
import multiprocessing
import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from benchmarks.known_truth.parts import write_part
from benchmarks.known_truth.tables import write_tables
from benchmarks.known_truth.tasks import TASKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where the two tables go")
    parser.add_argument("--processes", type=int, default=2, help="tasks trained at a time, one core each")
    parser.add_argument("--only", default="", help="tasks whose name contains this")
    parser.add_argument("--discard", action="store_true", help="remove the trained parts at the end")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the processes that are started now
    tasks = [task for task in TASKS if options.only in task.name]
    parts, began = options.out / "parts", time.perf_counter()
    parts.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
        jobs = {pool.submit(write_part, task.name, parts): task.name for task in tasks}
        for done, job in enumerate(as_completed(jobs), 1):
            seconds = time.perf_counter() - began
            print(
                f"{done:3d} of {len(jobs)}, {seconds:5.0f} s: {jobs[job]} in {job.result():.0f} s", flush=True
            )
    write_tables(tasks, parts, options.out)
    if options.discard:
        shutil.rmtree(parts)


if __name__ == "__main__":
    main()
