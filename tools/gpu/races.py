"""Looks for data races in kernels, without a GPU. Where a CPU plays the device, subgroups run one after the other, so
that a barrier that is missing does not show.

    DITTO_RECORD=/tmp/record deno test -A tests/kernels
    python3 tools/gpu/races.py /tmp/record [--lanes 8] [--without-barriers] [STAGE ...]

The first command keeps some dispatches of each kernel of the tests, with what they read and wrote; the kernels are a
GPU's. The second runs them again, thread by thread, and reports what races/races.cpp says it does. LANES are those of the
device that was recorded: llvmpipe has 8, that of wide_llvmpipe.sh 32 or 64. With --without-barriers each
workgroupBarrier() is taken out in turn, to see that this is found; where it is not, another barrier does the same, or no
recorded run needs it.

With 32 lanes 339 runs, of all stages, had no reports (2026-11-25); with 8 lanes those of promptMatmulLanes have, which
reads rows past the last and throws them away.

Needed: naga (cargo install naga-cli --version ^29), Clang 15 or newer (on Debian clang-15 and libclang-common-15-dev).
"""

import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).parent / "races"
CLANG = next((name for name in ["clang++", *(f"clang++-{n}" for n in range(25, 14, -1))] if shutil.which(name)), None)
VECTOR = r"(?:metal::)?((?:float|half|int|uint|bool)[234])"


def run(*command) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {(done.stdout + done.stderr)[:2000]}")
    return done.stdout


def cpp(wgsl: str, metal: str, constants: dict) -> str:
    """Makes C++ of what naga wrote, with an entry that takes bindings by their numbers. `constants`: of the pipeline."""
    bindings = {name: int(n) for n, name in re.findall(r"@group\(0\) @binding\((\d+)\) var<[^>]*> (\w+)", wgsl)}
    text = re.sub(r"#include <.*>\n", "", metal).replace("using metal::uint;", f'#include "{HERE}/metal.h"')
    text = re.sub(r"^constant ", "static const ", text, flags=re.M)
    text = re.sub(r"\bconstant ", "", text)
    text = re.sub(rf"\bstatic_cast<{VECTOR}>\(", r"make<\1>(", text)
    text = re.sub(rf"\b{VECTOR}\(", r"make<\1>(", text)
    text = re.sub(r"(?<![\w.])(\d+\.\d+(?:e[-+]?\d+)?)(?![\w.])", r"\1f", text)
    start = text.index("kernel void main_(")
    parameters = re.split(r"\n, |\(\n", text[start : text.index(") {", start)])[1:]
    size = re.search(r"@workgroup_size\(([^)]*)\)", wgsl)[1].split(",")[0]
    known = dict(re.findall(r"\bconst (\w+) = (\d+)u;", wgsl)) | constants
    threads = math.prod(int(known.get(factor.strip(), factor)) for factor in size.split("*"))
    arguments, variables = [], []
    for parameter in parameters:
        kind = re.search(r"\[\[(.*?)\]\]|$", parameter)[1] or ""
        type_, name = re.match(r"(.*?)(\w+)$", re.sub(r"\[\[.*?\]\]", "", parameter).strip(), re.S).groups()
        base = re.sub(r"\b(threadgroup|device|const)\b|&", "", type_).strip()
        if "thread_index" in kind:
            arguments.append("index")
        elif "threadgroup_position" in kind:
            arguments.append("make<uint3>(grid[0], grid[1], grid[2])")
        elif "threadgroups_per_grid" in kind:
            arguments.append("make<uint3>(grid[3], grid[4], grid[5])")
        elif "thread_position" in kind:
            arguments.append(f"make<uint3>(grid[0] * {threads}u + index, grid[1], grid[2])")
        elif type_.startswith("threadgroup"):
            arguments.append(f"*({base}*)variables[{len(variables)}]")
            variables.append((base, name))
        elif name == "_buffer_sizes":
            arguments.append("no_sizes")
        else:
            arguments.append(f"*({base}*)buffers[{bindings[re.sub(r'_[0-9]*$', '', name)]}]")
    bound = {n: name for name, n in bindings.items()}
    text = re.sub(r"\[\[[^]]*\]\]", "", text)
    sizes = "static _mslBufferSizes no_sizes = {};" if "_mslBufferSizes" in text else ""
    return f"""{text}
{sizes}
extern "C" {{
extern const int thread_count = {threads}, variable_count = {len(variables)};
extern const unsigned long variable_bytes[] = {{{"".join(f"sizeof({base}), " for base, _ in variables)}0}};
extern const char* const variable_names[] = {{{strings(name for _, name in variables)}}};
extern const char* const binding_names[] = {{{strings(bound.get(i, "") for i in range(max(bound) + 1))}}};
void entry(void** buffers, void** variables, const uint* grid, uint index) {{ main_({", ".join(arguments)}); }}
}}
"""


def strings(names) -> str:
    return "".join(f'"{name}", ' for name in names) + "nullptr"


def runner(record: pathlib.Path) -> pathlib.Path:
    """Compiles races/races.cpp."""
    if CLANG is None or not shutil.which("naga"):
        sys.exit("naga or Clang is missing: see the beginning of tools/gpu/races.py.")
    races = record / "races"
    # Without builtins: memcpy() and memset() are its own.
    run("g++", "-std=c++20", "-O2", "-fno-builtin", "-fno-tree-loop-distribute-patterns", "-rdynamic", "-o", races,
        HERE / "races.cpp", "-ldl")
    return races


def recorded_runs(record: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """The directories of each kernel's runs."""
    runs = {}
    for directory in sorted((record / "runs").iterdir()):
        for kernel in set(re.findall(r"/kernels/(\S+)\.so ", (directory / "run.txt").read_text())):
            runs.setdefault(kernel, []).append(directory)
    return runs


def build(record: pathlib.Path, kernel: str) -> pathlib.Path:
    source = record / "kernels" / f"{kernel}.wgsl"
    return build_library(source, source.with_suffix(".json"))


def build_library(wgsl: pathlib.Path, constants: pathlib.Path) -> pathlib.Path:
    library = wgsl.with_suffix(".so")
    if library.exists():
        return library
    metal, source = wgsl.with_suffix(".metal"), wgsl.with_suffix(".cpp")
    values = json.loads(constants.read_text())
    overrides = ",".join(f"{name}={value}" for name, value in values.items())
    run("naga", wgsl, metal, "--metal-version", "2.4", *(["--override", overrides] if overrides else []))
    source.write_text(cpp(wgsl.read_text(), metal.read_text(), values))
    flags = "-std=c++20 -O1 -g -fPIC -shared -w -march=native -fsanitize=thread -mllvm -tsan-instrument-func-entry-exit=0"
    run(CLANG, *flags.split(), "-o", library, source)
    return library


def reports(races: pathlib.Path, directory: pathlib.Path, lanes: int) -> list[str]:
    try:
        done = subprocess.run([races, directory, str(lanes)], capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        return [f"{directory}: not done after 300 s"]
    lines = (done.stdout + done.stderr).splitlines()
    return lines if done.returncode >= 0 else [*lines, f"{directory}: ended by signal {-done.returncode}"]


def without_barriers(races: pathlib.Path, record: pathlib.Path, stage: str, runs: dict, lanes: int) -> list[str]:
    """Takes out one barrier of a stage after the other, and says which of them no run needs."""
    needed = {}
    for kernel in sorted(kernel for kernel in runs if kernel.split("-")[0] == stage):
        source = record / "kernels" / f"{kernel}.wgsl"
        text = source.read_text()
        inside = {}
        for barrier in re.finditer(r"workgroupBarrier\(\);", text):
            function = re.findall(r"fn (\w+)", text[: barrier.start()])[-1]
            inside[function] = inside.get(function, 0) + 1
            name = f"barrier {inside[function]} of {function}()"
            if needed.setdefault(name, False):
                continue
            place = record / "without" / f"{kernel}-{barrier.start()}"
            place.mkdir(parents=True, exist_ok=True)
            changed = place / "kernel.wgsl"
            changed.write_text(text[: barrier.start()] + text[barrier.end() :])
            library = build_library(changed, source.with_suffix(".json"))
            for directory in runs[kernel]:
                jobs = (directory / "run.txt").read_text()
                (place / "run.txt").write_text(jobs.replace(f"{source.with_suffix('.so')} ", f"{library} "))
                for file in ("before.bin", "after.bin"):
                    (place / file).unlink(missing_ok=True)
                    (place / file).symlink_to(directory / file)
                needed[name] = len(reports(races, place, lanes)) > 1
                if needed[name]:
                    break
    count = sum(needed.values())
    return [
        f"{stage}: {count} of {len(needed)} barriers were needed",
        *(f"{stage}: not {name}" for name, is_needed in needed.items() if not is_needed),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("record", type=pathlib.Path)
    parser.add_argument("stages", nargs="*", metavar="STAGE")
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--without-barriers", action="store_true")
    options = parser.parse_intermixed_args()
    record = options.record.resolve()
    races = runner(record)
    runs = recorded_runs(record)
    chosen = [kernel for kernel in sorted(runs) if not options.stages or kernel.split("-")[0] in options.stages]
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda kernel: build(record, kernel), sorted(runs)))
        if options.without_barriers:
            stages = sorted({kernel.split("-")[0] for kernel in chosen})
            jobs = [lambda s=stage: without_barriers(races, record, s, runs, options.lanes) for stage in stages]
        else:
            directories = sorted({directory for kernel in chosen for directory in runs[kernel]})
            jobs = [lambda d=directory: reports(races, d, options.lanes) for directory in directories]
        for lines in pool.map(lambda job: job(), jobs):
            print("\n".join(lines), flush=True)
            bad += not options.without_barriers and not re.search(r" 0 reports;", lines[-1])
    sys.exit(f"{bad} of {len(jobs)} runs have reports" if bad else 0)


if __name__ == "__main__":
    main()
