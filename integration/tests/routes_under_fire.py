"""The routes that test_kills.py kills on: what is copied, what a server counted, and what is left."""

import hashlib
import os

from .leftovers import temporaries


class Route:
    """One object at a time on its way; `name` is new for each. `counted()` is what the servers gave or took so far."""

    sink_is_s3 = False

    def __init__(self, tmp_path, payload, size):
        self.root, self.payload, self.size = tmp_path, payload, size
        is_large = size >= 256 << 20
        # Small objects in small parts, or all of the object would be in flight; large ones as users copy them.
        self.connections = 4 if is_large else 2
        self.part = (8 if self.sink_is_s3 else 16) << 20 if is_large else (5 if self.sink_is_s3 else 1) << 20
        self.options = ["--connections", self.connections] + ([] if is_large else ["--part-size", self.part])
        self.environment = {}

    def content(self, name):
        return self.payload(self.size, seed=sum(name.encode()))

    def command(self, name):
        return ["cp", *self.options, self.source(name), self.target(name)]

    def file_source(self, name):
        path = self.root / f"source-{name}"
        if not path.exists():
            self.content(name).write_to(path)
        return path

    def check_file(self, name):
        """What the final name holds: None or the right bytes."""
        path = self.root / "out" / name
        if not path.exists():
            return None
        with open(path, "rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == self.content(name).sha256()
        return True

    def check_item(self, item, name):
        if item is None:
            return None
        assert item.sha256() == self.content(name).sha256()
        return True

    def forget(self, name):
        """Room on the disk for the next one."""
        for path in (self.root / "out" / name, self.root / f"source-{name}"):
            path.unlink(missing_ok=True)


class WebToFile(Route):
    servers = ("origin",)

    def __init__(self, server, *arguments):
        super().__init__(*arguments)
        self.origin, self.place = server, self.root / "out"

    def source(self, name):
        return self.origin.add(f"/{name}", size=self.size, seed=self.content(name).seed)

    def target(self, name):
        return self.root / "out" / name

    def counted(self):
        return {"served": self.origin.bytes_sent()}

    def check(self, name):
        return self.check_file(name)

    def leftovers(self):
        return temporaries(self.root / "out")


class S3ToFile(WebToFile):
    servers = ("s3",)

    def __init__(self, server, *arguments):
        Route.__init__(self, *arguments)
        self.server, self.place, self.environment = server, self.root / "out", {"endpoint": server.endpoint}

    def source(self, name):
        if self.server.object("bucket", name) is None:
            self.server.put("bucket", name, self.content(name))
        return f"s3://bucket/{name}"

    def counted(self):
        return {"served": sum(entry.bytes_out for entry in self.server.requests_for("GetObject"))}

    def forget(self, name):
        super().forget(name)
        self.server.buckets["bucket"].delete(name)


class FileToS3(Route):
    servers, sink_is_s3 = ("s3",), True

    def __init__(self, server, *arguments):
        super().__init__(*arguments)
        self.server, self.place, self.environment = server, "s3://bucket/", {"endpoint": server.endpoint}

    def source(self, name):
        return self.file_source(name)

    def target(self, name):
        return f"s3://bucket/{name}"

    def counted(self):
        return {"taken": sum(entry.bytes_in for entry in self.server.requests_for("UploadPart"))}

    def check(self, name):
        return self.check_item(self.server.object("bucket", name), name)

    def leftovers(self):
        return self.server.uploads()

    def forget(self, name):
        super().forget(name)
        self.server.buckets["bucket"].delete(name)


class WebToS3(FileToS3):
    servers = ("s3", "origin")

    def __init__(self, server, origin, *arguments):
        super().__init__(server, *arguments)
        self.origin = origin

    def source(self, name):
        return self.origin.add(f"/{name}", size=self.size, seed=self.content(name).seed)

    def counted(self):
        return super().counted() | {"served": self.origin.bytes_sent()}


class FileToWeed(Route):
    """A real server, which counts nothing: the proxy before it counts what went up, heads included."""

    servers, sink_is_s3 = ("weed",), True

    def __init__(self, server, *arguments):
        super().__init__(*arguments)
        self.endpoint, self.proxy, self.bucket = server
        self.client, self.place = self.endpoint.client(), f"s3://{self.bucket}/"
        self.environment = {"endpoint": self.endpoint}

    def source(self, name):
        return self.file_source(name)

    def target(self, name):
        return f"s3://{self.bucket}/{name}"

    def counted(self):
        return {"taken": self.proxy.bytes["up"]}

    def check(self, name):
        try:
            body = self.client.get_object(Bucket=self.bucket, Key=name)["Body"]
        except self.client.exceptions.NoSuchKey:
            return None
        digest = hashlib.sha256()
        for block in body.iter_chunks(1 << 20):
            digest.update(block)
        assert digest.hexdigest() == self.content(name).sha256()
        return True

    def leftovers(self):
        return self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads") or []

    def forget(self, name):
        super().forget(name)
        self.client.delete_object(Bucket=self.bucket, Key=name)


def sized(text):
    """16M, 1G or bytes."""
    return int(text[:-1]) << {"M": 20, "G": 30}[text[-1]] if text[-1] in "MG" else int(text)
