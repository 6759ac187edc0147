"""SeaweedFS as a real S3 server: one process with master, volume, filer and S3, all on loopback.

Every port is given, because a default one kills a second instance at start: each has a gRPC twin at +10000,
and the Iceberg and Lance gateways are switched off with port 0.
"""

import glob
import json
import os
import shutil
import tempfile

from .endpoint import ACCESS_KEY, REGION, SECRET_KEY, S3Endpoint
from .process import Child, answers, free_ports, venv_tool, wait_until

IDENTITY = {"identities": [{
    "name": "sluice", "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
    "actions": ["Admin", "Read", "List", "Tagging", "Write"]}]}


class Weed:
    """`with Weed() as weed:` gives a running server; `weed.endpoint` is an S3Endpoint.

    `directory` keeps data, configuration and log (default: a temporary one, removed at the end).
    """

    def __init__(self, directory=None, die_with_parent=True):
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="sluice-weed-")
        self.die_with_parent = die_with_parent
        self.child = None
        self.ports = []

    def start(self):
        data = os.path.join(self.directory, "data")
        os.makedirs(data, exist_ok=True)
        config = os.path.join(self.directory, "s3.json")
        with open(config, "w", encoding="utf-8") as file:
            json.dump(IDENTITY, file)
        self.ports = master, volume, filer, s3, admin = free_ports(5, twin=10_000)
        self.child = Child([
            venv_tool("weed"), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}",
            f"-master.port={master}", f"-master.port.grpc={master + 10_000}",
            f"-volume.port={volume}", f"-volume.port.grpc={volume + 10_000}", "-volume.max=100",
            f"-filer.port={filer}", f"-filer.port.grpc={filer + 10_000}",
            "-s3", f"-s3.port={s3}", f"-s3.port.grpc={s3 + 10_000}", f"-s3.config={config}",
            "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=1024",
            "-master.telemetry=false",
        ], os.path.join(self.directory, "weed.log"), self.die_with_parent, cwd=self.directory,
            # Its own logs go there.
            env={**os.environ, "TMPDIR": self.directory})
        self.endpoint = S3Endpoint("weed", f"http://127.0.0.1:{s3}", region=REGION)
        wait_until(lambda: answers(self.endpoint.url + "/"), "weed S3", 60, self.child)
        # The gateway answers before a volume can be allocated: a bucket and an object prove the way through.
        wait_until(self._accepts_objects, "weed volumes", 60, self.child)
        return self

    def _accepts_objects(self):
        client = self.endpoint.client()
        try:
            self.endpoint.ensure_bucket("sluice-ready")
            client.put_object(Bucket="sluice-ready", Key="probe", Body=b"ready")
            client.delete_object(Bucket="sluice-ready", Key="probe")
            client.delete_bucket(Bucket="sluice-ready")
            return True
        except Exception:  # botocore's errors have no common base with urllib's; any of them means "not yet".
            return False

    def stop(self):
        if self.child:
            # A clean end takes it 5 s; the data of a temporary directory needs none.
            self.child.stop(0.2 if self.own_directory else 10)
        # It makes these wherever TMPDIR points, and does not remove them when it is killed.
        for port in self.ports:
            for path in glob.glob(f"/tmp/seaweedfs-*-{port}.sock") + glob.glob(f"/tmp/seaweedfs-*-{port + 10_000}.sock"):
                os.unlink(path)
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
