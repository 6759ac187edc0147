"""`rclone serve s3` over a plain directory: the second real S3 server. It verifies SigV4 through --auth-key."""

import os
import shutil
import tempfile

from .endpoint import ACCESS_KEY, SECRET_KEY, S3Endpoint
from .process import Child, answers, free_ports, venv_tool, wait_until


class RcloneS3:
    """`with RcloneS3() as server:`; `server.endpoint` is an S3Endpoint, `server.root` the served directory.

    A bucket is a directory directly under `root`. No multipart server-side copy (rclone#7454).
    """

    def __init__(self, directory=None, die_with_parent=True):
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="sluice-rclone-")
        self.root = os.path.join(self.directory, "data")
        self.die_with_parent = die_with_parent
        self.child = None

    def start(self):
        os.makedirs(self.root, exist_ok=True)
        config = os.path.join(self.directory, "rclone.conf")
        open(config, "a", encoding="utf-8").close()
        port, = free_ports(1)
        # In the environment, not on the command line: other processes can read an argv.
        env = {"PATH": os.environ.get("PATH", ""), "HOME": self.directory,
               "RCLONE_AUTH_KEY": f'"{ACCESS_KEY},{SECRET_KEY}"'}  # CSV: the comma is part of one value.
        self.child = Child(
            [venv_tool("rclone"), "serve", "s3", "--config", config, "--addr", f"127.0.0.1:{port}",
             "--vfs-cache-mode", "off", "--no-cleanup", self.root],
            os.path.join(self.directory, "rclone.log"), self.die_with_parent, env=env, cwd=self.directory)
        self.endpoint = S3Endpoint("rclone", f"http://127.0.0.1:{port}")
        wait_until(lambda: answers(self.endpoint.url + "/"), "rclone serve s3", 30, self.child)
        return self

    def stop(self):
        if self.child:
            self.child.stop()
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
