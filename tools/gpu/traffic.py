"""Counts what kernels ask of memory, without a GPU: cycles of workgroup memory, and sectors of buffers.

    DITTO_RECORD=/tmp/record deno test -A tests/kernels
    python3 tools/gpu/traffic.py /tmp/record [--lanes 8] [--places 3] [STAGE ...]

The first command is that of races.py, and so is what is needed. The second runs the first workgroups of each dispatch again
and counts by the rules in races/traffic.h. Of each stage it says what all its runs took, and how much of that is more than
the least there can be, where no two threads are in each other's way; then, of each kind of access, the places that took
most. A place is a line of the C++ that was made of the kernel, with the function it is in.
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

from races import build, recorded_runs, runner

WORKGROUPS = 4  # of a dispatch, that are run
KINDS = {
    ("1", "0"): "workgroup memory, read",
    ("1", "1"): "workgroup memory, written",
    ("0", "0"): "buffers, read",
    ("0", "1"): "buffers, written",
}


class Place:
    """What was counted at a line."""

    def __init__(self):
        self.times = self.cost = self.least = 0

    def add(self, times, cost, least):
        self.times, self.cost, self.least = self.times + times, self.cost + cost, self.least + least


def code_at(record: pathlib.Path, where: str, texts: dict) -> str:
    """The function and the line of a place, without the numbers that naga gives names."""
    file, line = re.match(r"(\S+\.cpp):(\d+)", where).groups()
    if file not in texts:
        texts[file] = (record / "kernels" / file).read_text().splitlines()
    lines, at = texts[file], int(line) - 1
    functions = (re.match(r"(?:kernel void|[\w:]+) (\w+)\($", text) for text in reversed(lines[: at + 1]))
    function = next((found[1] for found in functions if found), "?")
    return f"{function}(): " + re.sub(r"\b([a-z]\w*?)_\d*\b", r"\1", lines[at].strip()).replace(".inner", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("record", type=pathlib.Path)
    parser.add_argument("stages", nargs="*", metavar="STAGE")
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--places", type=int, default=3, help="of each kind, that are shown")
    options = parser.parse_intermixed_args()
    record = options.record.resolve()
    races = runner(record)
    runs = recorded_runs(record)
    stages = options.stages or sorted({kernel.split("-")[0] for kernel in runs})
    kernels = {kernel: found for kernel, found in runs.items() if kernel.split("-")[0] in stages}
    directories = sorted({directory for found in kernels.values() for directory in found})

    def count(directory):
        done = subprocess.run([races, directory, str(options.lanes), str(WORKGROUPS)], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{directory}: {done.stdout}{done.stderr}")
        return done.stdout.splitlines()

    counted, texts = collections.defaultdict(lambda: collections.defaultdict(Place)), {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda kernel: build(record, kernel), sorted(runs)))
        for lines in pool.map(count, directories):
            for line in lines:
                shared, written, size, times, cost, least, name, where = line.split(" ", 8)[1:]
                stage = where.split("-")[0]
                if stage not in stages:
                    continue
                code = f"{name}, {size} bytes, {code_at(record, where, texts)}"
                if code.endswith("= {};"):  # zeros before a workgroup begins, which a driver puts there in its own way
                    continue
                counted[stage, KINDS[shared, written]][code].add(int(times), int(cost), int(least))
    for (stage, kind), places in sorted(counted.items()):
        cost, least = (sum(getattr(place, what) for place in places.values()) for what in ("cost", "least"))
        unit = "cycles" if kind.startswith("workgroup") else "sectors"
        print(f"{stage}: {kind}: {cost} {unit}, {cost / least:.2f} times the least")
        for code, place in sorted(places.items(), key=lambda item: -item[1].cost)[: options.places]:
            print(f"    {place.cost / cost:4.0%}, {place.cost / place.least:.2f} times the least, {place.times} times: {code}")


if __name__ == "__main__":
    main()
