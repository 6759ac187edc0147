"""Starts and stops the servers for demo, bench and people.

    python -m integration.serve start NAME [--state-dir D] [--root DIR] [--bucket B]... [--tls]
    python -m integration.serve stop|status NAME [--state-dir D]

NAME: weed, rclone-s3, nginx, http-fault, s3-fault, s3-discard. `start` waits until the server answers and prints
`name=value` lines (endpoint, access_key, secret_key, region, url, tls_url, ca_file, root, pid); a second start
prints the same. `stop` ends it by its own process id and removes its data. `status` exits 3 when it does not run.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

NAMES = ("weed", "rclone-s3", "nginx", "http-fault", "s3-fault", "s3-discard")


def build(name, directory, options):
    """A context manager for the server and a function that gives its lines."""
    from .servers.http_fault import HttpFault
    from .servers.nginx import Nginx
    from .servers.rclone_s3 import RcloneS3
    from .servers.s3_fault import S3Fault
    from .servers.tls import Authority
    from .servers.weed import Weed
    authority = Authority(directory)
    context = authority.server_context() if options.tls else None
    ca_file = authority.ca_file if options.tls else None
    if name == "weed":
        server = Weed(directory)
    elif name == "rclone-s3":
        server = RcloneS3(directory)
    elif name == "nginx":
        server = Nginx(options.root and os.path.abspath(options.root), authority, directory=directory)
        return server, lambda: [f"url={server.url}", f"tls_url={server.tls_url}", f"ca_file={server.ca_file}", f"root={server.root}"]
    elif name == "http-fault":
        server = HttpFault(tls=context)
        return server, lambda: [f"url={server.url}"] + ([f"ca_file={ca_file}"] if ca_file else [])
    else:
        server = S3Fault(tls=context, ca_file=ca_file, discard=name == "s3-discard")

    def lines():
        for bucket in options.bucket or ["bucket"]:
            server.endpoint.ensure_bucket(bucket)
        return server.endpoint.lines()
    return server, lines


def run(name, directory, options):
    """The supervisor: holds the server until SIGTERM. Its children die with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server, lines = build(name, directory, options)
    with server:
        text = "\n".join(lines() + [f"pid={os.getpid()}"]) + "\n"
        with open(os.path.join(directory, "ready.new"), "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(os.path.join(directory, "ready.new"), os.path.join(directory, "ready"))
        while True:
            signal.pause()


def running_pid(directory, name):
    """The supervisor's process id if it still is that process, else None."""
    try:
        with open(os.path.join(directory, "pid"), encoding="utf-8") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if b"integration.serve" in words and name.encode() in words else None


def start(name, directory, options, arguments):
    process = None
    if running_pid(directory, name) is None:
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory, mode=0o755)
        with open(os.path.join(directory, "log"), "ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "integration.serve", "_run", *arguments[1:]],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        with open(os.path.join(directory, "pid"), "w", encoding="utf-8") as file:
            file.write(str(process.pid))
    ready = os.path.join(directory, "ready")
    for _ in range(900):
        if os.path.exists(ready):
            with open(ready, encoding="utf-8") as file:
                print(file.read(), end="")
            return 0
        # Not by its command line: while it is being executed it has none.
        if process is not None and process.poll() is not None:
            break
        time.sleep(0.1)
    with open(os.path.join(directory, "log"), encoding="utf-8", errors="replace") as file:
        print(f"{name} did not start:\n{file.read()[-4000:]}", file=sys.stderr)
    return 1


def stop(name, directory):
    if (pid := running_pid(directory, name)) is not None:
        os.kill(pid, signal.SIGTERM)
        for _ in range(200):
            if running_pid(directory, name) is None:
                break
            time.sleep(0.1)
        else:
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(directory, ignore_errors=True)
    return 0


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m integration.serve", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("start", "stop", "status", "_run"))
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--state-dir", default=os.path.join(tempfile.gettempdir(), f"sluice-serve-{os.getuid()}"))
    parser.add_argument("--root", help="nginx: the directory to serve")
    parser.add_argument("--bucket", action="append", help="S3 servers: create this bucket (default: bucket)")
    parser.add_argument("--tls", action="store_true", help="the fault servers: serve TLS")
    options = parser.parse_args(arguments)
    directory = os.path.join(os.path.abspath(options.state_dir), options.name)
    if options.verb == "start":
        return start(options.name, directory, options, arguments)
    if options.verb == "stop":
        return stop(options.name, directory)
    if options.verb == "_run":
        return run(options.name, directory, options)
    if running_pid(directory, options.name) is None:
        print(f"{options.name} is not running")
        return 3
    return start(options.name, directory, options, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
