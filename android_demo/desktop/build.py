"""The app's own libraries on a desktop: what they ask of Android, lent by glibc.

    python3 android_demo/desktop/build.py x86_64|arm64-v8a ...

The `.so` files are those of the APKs, byte for byte; `make apk` has built these. Beside them, in
build/desktop (x86_64: the JVM's tests) and build/desktop/arm64-v8a (`make phone`, under qemu), come
stand-ins for the libraries of Android that they need, and `answer`, which runs a file over raw
inputs.
Debian: gcc binutils libc6-dev; for arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross
qemu-user-static; for the GPU delegate pocl-opencl-icd ocl-icd-libopencl1.
"""

import re
import subprocess
import sys
import zipfile
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE.parent / "build"
COMPILERS = {"x86_64": "gcc", "arm64-v8a": "aarch64-linux-gnu-gcc"}
SHELLS = {"x86_64": "shell-x86_64.apk", "arm64-v8a": "shell.apk"}
JUMPS = {  # to the address in place {at} of a table, by a register that no call keeps
    "x86_64": "jmp *table+{at}(%rip)",
    "arm64-v8a": "adrp x16, table\\n add x16, x16, :lo12:table\\n ldr x16, [x16, #{at}]\\n br x16",
}
OPTIONS = ("-shared", "-fPIC", "-O1", "-w", "-fno-builtin")
OPENCL = (
    "-Wl,--no-as-needed",
    "-l:libOpenCL.so.1",
)  # whose other functions the delegate finds by it
STREAMS = "__sF"  # of libc: an array, not a function


def folder(abi: str) -> Path:
    return BUILD / "desktop" if abi == "x86_64" else BUILD / "desktop" / abi


def build(abi: str) -> Path:
    """The folder with everything for a kind of processor."""
    home = folder(abi)
    home.mkdir(parents=True, exist_ok=True)
    libraries = unpack(abi, home)
    compile_(abi, HERE / "bionic.c", home / "libbionic.so", *OPTIONS)
    for name, symbols in needs(libraries).items():
        stand_in(abi, home, name, sorted(symbols))
    silent(abi, home, libraries)
    compile_(abi, HERE / "answer.c", home / "answer", "-O2", "-w", "-ldl")
    if abi == "x86_64" and Path("/usr/lib/x86_64-linux-gnu/libOpenCL.so.1").exists():
        compile_(abi, HERE / "opencl.c", home / "libOpenCL.so", *OPTIONS, *OPENCL)
    return home


def unpack(abi: str, home: Path) -> list[Path]:
    with zipfile.ZipFile(BUILD / SHELLS[abi]) as apk:
        names = [name for name in apk.namelist() if name.startswith("lib/")]
        for name in names:
            (home / Path(name).name).write_bytes(apk.read(name))
    return [home / Path(name).name for name in names]


def needs(libraries: list[Path]) -> dict[str, set[str]]:
    """The symbols that the libraries want of each library of Android."""
    wanted: dict[str, set[str]] = defaultdict(set, {"libdl.so": set(), "libm.so": set()})
    for library in libraries:
        homes = versions(library)
        for line in readelf("--dyn-syms", library).splitlines():
            fields = line.split()
            if len(fields) < 8 or fields[6] != "UND":
                continue
            name, number = fields[7].split("@")[0], fields[8].strip("()") if fields[8:] else ""
            if number in homes:
                wanted[homes[number]].add(name)
            elif name.startswith("__android_log"):
                wanted["liblog.so"].add(name)
    return wanted


def versions(library: Path) -> dict[str, str]:
    """By the number of a symbol's version, the library that has it."""
    found, home = {}, ""
    for line in readelf("-V", library).partition("Version needs")[2].splitlines():
        if match := re.search(r"File: (\S+)", line):
            home = match[1]
        if match := re.search(r"Name: \S+ .*Version: (\d+)", line):
            found[match[1]] = home
    return found


def stand_in(abi: str, home: Path, name: str, symbols: list[str]) -> None:
    """A library of this name whose functions jump to where `bionic_fill` says."""
    functions = [symbol for symbol in symbols if symbol != STREAMS]
    names = ", ".join(f'"{function}"' for function in functions) or "0"
    streams = f"char {STREAMS}[456]; extern char *bionic_streams;" if STREAMS in symbols else ""
    jumps = [jump(abi, function, 8 * place) for place, function in enumerate(functions)]
    source = home / f"{name}.c"
    source.write_text(
        "void bionic_fill(void **, const char *const *, int);\n"
        f'__attribute__((visibility("hidden"))) void *table[{max(1, len(functions))}];\n'
        f"static const char *const names[] = {{{names}}};\n{streams}\n"
        "__attribute__((constructor)) static void fill(void) {\n"
        f"  {f'bionic_streams = {STREAMS};' if streams else ''}\n"
        f"  bionic_fill(table, names, {len(functions)});\n}}\n"
        f'__asm__(".text\\n{"".join(jumps)}");\n'
    )
    script = home / f"{name}.map"
    version = "" if name == "liblog.so" else "LIBC "
    script.write_text(f"{version}{{ global: {' '.join(f'{s};' for s in symbols) or 'none;'} }};\n")
    options = [*OPTIONS, "-nostartfiles", f"-Wl,-soname,{name}", f"-Wl,--version-script,{script}"]
    compile_(abi, source, home / name, *options, str(home / "libbionic.so"))


def jump(abi: str, function: str, at: int) -> str:
    code = JUMPS[abi].format(at=at)
    return f".globl {function}\\n.type {function}, %function\\n{function}:\\n {code}\\n"


def silent(abi: str, home: Path, libraries: list[Path]) -> None:
    """OpenGL that answers 0 to everything: the GPU delegate then takes OpenCL, or refuses."""
    wanted = {line.split()[7] for one in libraries for line in undefined(one)}
    for name, prefix in (("libEGL.so", "egl"), ("libGLESv3.so", "gl")):
        source = home / f"{name}.c"
        functions = [symbol for symbol in sorted(wanted) if re.match(f"{prefix}[A-Z]", symbol)]
        source.write_text("".join(f"void *{one}(void) {{ return 0; }}\n" for one in functions))
        compile_(abi, source, home / name, *OPTIONS, f"-Wl,-soname,{name}")


def undefined(library: Path) -> list[str]:
    lines = readelf("--dyn-syms", library).splitlines()
    return [line for line in lines if len(line.split()) == 8 and line.split()[6] == "UND"]


def compile_(abi: str, source: Path, target: Path, *options: str) -> None:
    soname = f"-Wl,-soname,{target.name}" if target.suffix == ".so" else "-Wl,--as-needed"
    command = [COMPILERS[abi], "-o", str(target), str(source), soname, *options]
    subprocess.run(command, check=True)


def readelf(what: str, library: Path) -> str:
    command = ["readelf", what, "-W", str(library)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    for chosen in sys.argv[1:]:
        print(build(chosen))
