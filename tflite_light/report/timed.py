"""Times of files side by side, for a person."""

from tflite_light.report.terminal import console, headed
from tflite_light.runs.benchmarking import Benchmark

_SHOWN = 12  # kernels of a profile


def show(found: Benchmark) -> None:
    """Print the table, and the profiles, on stdout."""
    out = console(120)
    out.print(f"{found.runtime}; milliseconds for a picture, inference alone")
    names = ["", "threads", "median", "5 to 95 %", "ratio", "operators", "peak MiB"]
    table = headed(names, [""], folded=True)
    for row in found.rows:
        peak = found.peak_bytes.get(row.file)
        table.add_row(
            row.file,
            str(row.threads),
            f"{row.ms:.3f}",
            f"{row.p5_ms:.3f} to {row.p95_ms:.3f}",
            f"{row.ratio:.3f}",
            str(found.operators.get(row.file, "")),
            "" if peak is None else f"{peak / 2**20:.1f}",
        )
    out.print(table)
    out.print(f"ratio: to {found.against}", soft_wrap=True)
    for file, one in found.profiles.items():
        whole = sum(kernel.ms for kernel in one.kernels)
        outside = f", without {', '.join(one.outside)}" if one.outside else ""
        out.print(f"\n{file}: {one.partitions} part by XNNPACK{outside}", soft_wrap=True)
        table = headed(["kernel", "calls", "ms", "share"], ["kernel"], folded=True)
        for kernel in one.kernels[:_SHOWN]:
            share = f"{100 * kernel.ms / whole:.0f} %"
            table.add_row(kernel.kernel, str(kernel.calls), f"{kernel.ms:.3f}", share)
        out.print(table)
