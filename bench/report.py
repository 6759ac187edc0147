"""Medians, ratios and the machine, as text and JSON."""

import dataclasses
import os
import platform
import statistics
import subprocess

GIB = 1 << 30


def output(argv):
    """The first line that a program prints, or "" where it is not installed."""
    try:
        result = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return ""
    return (result.stdout or result.stderr).partition("\n")[0].strip()


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        info = dict(line.split(":", 1) for line in file.read().split("\n\n")[0].splitlines() if ":" in line)
    info = {name.strip(): value.strip() for name, value in info.items()}
    flags = set(info.get("flags", "").split())
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cpu": info.get("model name", platform.machine()), "cores": os.cpu_count(), "memory_gib": round(pages / GIB),
            "kernel": platform.release(),
            "cpu_flags": {name: name in flags for name in ("sha_ni", "avx2", "avx512f", "vaes", "pclmulqdq", "sse4_2")},
            "openssl_sha256_mib_s": sha256_speed()}


def sha256_speed():
    """What `openssl speed` says of SHA-256 over blocks of 1 MiB, in MiB/s."""
    argv = ["openssl", "speed", "-mr", "-seconds", "2", "-bytes", str(1 << 20), "-evp", "sha256"]
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    rates = [line.rsplit(":", 1)[1] for line in result.stdout.splitlines() if line.startswith("+F:")]
    return round(float(rates[0]) / (1 << 20)) if rates else None


def versions(sluice):
    commands = {"sluice": [sluice, "--version"], "curl": ["curl", "--version"], "aria2c": ["aria2c", "--version"],
                "s5cmd": ["s5cmd", "version"], "rclone": ["rclone", "version"], "openssl": ["openssl", "version"],
                "nginx": ["/usr/sbin/nginx", "-v"]}
    return {name: output(argv) for name, argv in commands.items() if argv[0]}


def spread(values, digits=2):
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}..{high:.{digits}f})"


def ratios(samples, bars):
    """One row for each bar: the ratio of each round, so that both sides met the same moment of the machine. The peer
    "the earliest possible" is what a contestant's server allowed it."""
    rows = []
    for (own, peer), limits in bars.items():
        if peer == "the earliest possible":
            samples = {**samples, peer: [dataclasses.replace(run, wall=run.earliest) for run in samples.get(own, [])]}
        if own not in samples or peer not in samples:
            continue
        for what, limit in limits.items():
            values = [getattr(a, what) / getattr(b, what) for a, b in zip(samples[own], samples[peer], strict=True)]
            rows.append({"own": own, "peer": peer, "what": what, "limit": limit, "median": statistics.median(values),
                         "min": min(values), "max": max(values), "holds": statistics.median(values) <= limit})
    return rows


def table(case, samples):
    """The case as Markdown."""
    lines = [f"### {case.title}", ""]
    if case.size:
        lines += ["| program | wall s | CPU s | CPU s/GiB | peak MiB |", "|---|---|---|---|---|"]
    else:
        lines += ["| program | wall ms | CPU ms | peak MiB |", "|---|---|---|---|"]
    for name, runs in samples.items():
        scale, digits = (1, 2) if case.size else (1000, 1)
        cells = [name, spread([run.wall * scale for run in runs], digits), spread([run.cpu * scale for run in runs], digits)]
        if case.size:
            cells.append(f"{statistics.median(run.cpu for run in runs) * GIB / case.size:.2f}")
        cells.append(f"{max(run.peak for run in runs) / (1 << 20):.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    rows = ratios(samples, case.bars)
    if rows:
        lines += ["", "| ratio | median (min..max) | bar | |", "|---|---|---|---|"]
        lines += [f"| {row['what']} {row['own']} / {row['peer']} | {row['median']:.2f} ({row['min']:.2f}..{row['max']:.2f}) "
                  f"| {row['limit']:.2f} | {'holds' if row['holds'] else 'missed'} |" for row in rows]
    return "\n".join(lines) + "\n"


def heading(about, programs, rounds, size):
    flags = " ".join(name if there else f"no {name}" for name, there in about["cpu_flags"].items())
    lines = [f"{about['cpu']}, {about['cores']} cores, {about['memory_gib']} GiB, Linux {about['kernel']}; {flags}; "
             f"openssl speed: SHA-256 {about['openssl_sha256_mib_s']} MiB/s.",
             "; ".join(f"{name}: {text}" for name, text in programs.items()) + ".",
             f"{rounds} rounds, {size / (1 << 20):,.0f} MiB; medians (min..max); ratios per round."]
    return "\n".join(lines) + "\n"
