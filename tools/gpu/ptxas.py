"""What NVIDIA's compiler makes of the kernels, without a GPU: registers, spills, and the inner loops' instructions.

    deno run -A tools/gpu/kernel_sources.ts /tmp/kernels
    python3 tools/gpu/ptxas.py /tmp/kernels [NAME ...] [--arch sm_90] [--keep]

WGSL goes through naga (which Deno uses too), Slang and NVRTC. Needed, from PyPI and crates.io:

    pip install slangtorch triton nvidia-cuda-nvrtc-cu12 nvidia-cuda-runtime-cu12
    cargo install naga-cli --version ^29

What Vulkan's compiler makes differs in part: Slang keeps masks of the lanes at work (VOTE, MATCH, WARPSYNC; not counted
here) and loads by bytes, which is mended below for what is an array of vectors. Times are not to be had this way.
"""

import argparse
import ctypes
import importlib.util
import json
import pathlib
import re
import subprocess
import sys

COUNTED = {"FMA": "FFMA", "FMA of two f16": "HFMA2", "loads": "LDG", "from workgroup memory": "LDS", "to it": "STS"}
MASKS = re.compile(r"VOTE|MATCH|WARPSYNC|BRA\.DIV|BRA\.CONV")


def package(name: str) -> pathlib.Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"The Python package {name} is missing: see the beginning of {__file__}.")
    return pathlib.Path(spec.submodule_search_locations[0])


def run(*command, **options) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr[-2000:]}")
    return done.stdout


def closing(text: str, start: int) -> int:
    """Where the parenthesis that opens at `start` closes."""
    depth = 0
    for i in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if depth == 0:
            return i
    raise ValueError("a parenthesis does not close")


def typed_buffers(hlsl: str) -> str:
    """Makes buffers that are only loaded and stored as vectors of four or two words arrays of these."""
    for declared in list(re.finditer(r"(RW)?ByteAddressBuffer (\w+) :", hlsl)):
        name = declared[2]
        used = set(re.findall(rf"\b{name}\.(\w+)\(", hlsl))
        wide = next((n for n in (4, 2) if used and used <= {f"Load{n}", f"Store{n}", "Load"} and used != {"Load"}), None)
        if wide is None:
            continue
        out, end = "", 0
        pattern = re.compile(rf"\b{name}\.(Load|Store)({wide}|)\(")
        while found := pattern.search(hlsl, end):
            close = closing(hlsl, found.end() - 1)
            argument = hlsl[found.end() : close]
            whole = re.fullmatch(rf"(.*?)\*{4 * wide}(?:\+0)?(?:, (.*))?", argument, re.S)
            out += hlsl[end : found.start()]
            if not found[2]:
                out += f"{name}[({argument})/{4 * wide}][(({argument})/4)%{wide}]"
            elif whole is None:
                break
            else:
                out += f"{name}[{whole[1]}]" + (f" = ({whole[2]})" if whole[2] else "")
            end = close + 1
        else:
            out += hlsl[end:]
            hlsl = out.replace(declared[0], f"{declared[1] or ''}StructuredBuffer<uint{wide}> {name} :")
    return hlsl


def cubin(cuda: pathlib.Path, arch: str) -> pathlib.Path:
    nvidia = package("nvidia")
    nvrtc = ctypes.CDLL(str(nvidia / "cuda_nvrtc/lib/libnvrtc.so.12"))
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), cuda.read_bytes(), b"kernel.cu", 0, None, None)
    options = [
        f"--gpu-architecture={arch}",
        "--std=c++17",
        "-default-device",
        "-DSLANG_CUDA_ENABLE_HALF",
        f"-I{nvidia / 'cuda_runtime/include'}",
    ]
    words = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    failed = nvrtc.nvrtcCompileProgram(program, len(options), words)
    get = ("ProgramLog" if failed else "CUBIN")
    getattr(nvrtc, f"nvrtcGet{get}Size")(program, ctypes.byref(size))
    found = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{get}")(program, found)
    if failed:
        sys.exit(f"NVRTC failed on {cuda}: {found.value.decode()[-2000:]}")
    path = cuda.with_suffix(".cubin")
    path.write_bytes(found.raw)
    return path


def compile_kernel(wgsl: pathlib.Path, arch: str) -> tuple[str, str]:
    """The resources that a kernel uses, and its instructions, in words."""
    constants = json.loads(wgsl.with_suffix(".json").read_text())
    overrides = [word for name, value in constants.items() for word in ("--override", f"{name}={value}")]
    hlsl, cuda = wgsl.with_suffix(".hlsl"), wgsl.with_suffix(".cu")
    run("naga", *overrides, "--shader-model", "60", wgsl, hlsl)
    # Slang reads a cast to an array the other way round; that workgroup memory begins as zeros does not matter here.
    text = re.sub(r"\w+ = \(\w+(\[\d+\])+\)0;", "", hlsl.read_text())
    hlsl.write_text(typed_buffers(text))
    slang = package("slangtorch") / "bin"
    slangc = slang / "slangc"
    slangc.chmod(0o755)
    run(
        *[slangc, hlsl, "-lang", "hlsl", "-target", "cuda", "-entry", "main", "-stage", "compute", "-o", cuda],
        env={"LD_LIBRARY_PATH": str(slang)},
    )
    # Slang's prelude copies words byte by byte, since it knows of no alignment.
    copied = "        memcpy(&data, ((const char*)this->data) + index, sizeof(T));"
    loaded = "        data = *(const T*)((const char*)this->data + index);"
    cuda.write_text(cuda.read_text().replace(copied, loaded))
    binaries = package("triton") / "backends/nvidia/bin"
    code = cubin(cuda, arch)
    return run(binaries / "cuobjdump", "-res-usage", code), run(binaries / "nvdisasm", "-c", code)


def inner_loops(sass: str) -> list[list[str]]:
    """The instructions of each loop that has no loop in it."""
    labels, instructions = {}, []
    for line in sass.splitlines():
        if label := re.match(r"\.(L_x_\d+):", line):
            labels[label[1]] = len(instructions)
        elif instruction := re.search(r"/\*[0-9a-f]{4,5}\*/\s+(.*?);", line):
            instructions.append(instruction[1])
    loops = set()
    for end, instruction in enumerate(instructions):
        target = re.search(r"BRA.*`\(\.(L_x_\d+)\)", instruction)
        if target and not MASKS.search(instruction) and labels.get(target[1], end + 1) < end:
            loops.add((labels[target[1]], end))
    inner = [a for a in loops if not any(a != b and a[0] <= b[0] and b[1] <= a[1] for b in loops)]
    return [instructions[first : last + 1] for first, last in sorted(inner)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("names", nargs="*", help="kernels; default all")
    parser.add_argument("--arch", default="sm_90", help="default sm_90, Hopper")
    parser.add_argument("--keep", action="store_true", help="keep the instructions, as NAME.sass")
    args = parser.parse_args()
    kernels = [args.directory / f"{name}.wgsl" for name in args.names] or sorted(args.directory.glob("*.wgsl"))
    for wgsl in kernels:
        resources, sass = compile_kernel(wgsl, args.arch)
        if args.keep:
            wgsl.with_suffix(".sass").write_text(sass)
        found = re.search(r"REG:(\d+) STACK:(\d+) SHARED:(\d+)", resources)
        print(f"{wgsl.stem}: {found[1]} registers, {found[2]} bytes of stack, {found[3]} of workgroup memory")
        for loop in inner_loops(sass):
            body = [instruction for instruction in loop if not MASKS.search(instruction)]
            counts = {what: sum(bool(re.search(rf"\b{op}\b", i)) for i in body) for what, op in COUNTED.items()}
            # HFMA2 also loads constants.
            if counts["FMA"] < 8 and (counts["FMA of two f16"] < 8 or counts["from workgroup memory"] == 0):
                continue
            wide = sum(bool(re.search(r"\bLDG\b.*\.128", i)) for i in body)
            shown = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
            print(f"    a loop of {len(body)} instructions: {shown}; {wide} loads of 16 bytes")


if __name__ == "__main__":
    main()
