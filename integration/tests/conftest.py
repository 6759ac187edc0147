"""Fixtures of the integration tests; README.md beside this folder lists them."""

import contextlib
import functools
import os
import subprocess

import pytest

from ..program import Sluice, find_binary
from ..servers import fuse_hosts as fuse
from ..servers import loop_fs as loop
from ..servers.content import Content
from ..servers.dns import Dns
from ..servers.endpoint import external_endpoint
from ..servers.http_fault import HttpFault
from ..servers.http_proxy import HttpProxy
from ..servers.hub_civitai import CivitAI
from ..servers.hub_huggingface import HuggingFaceHub
from ..servers.hub_modelscope import ModelScope
from ..servers.hub_ollama import OllamaRegistry
from ..servers.network import Network
from ..servers.nginx import Nginx
from ..servers.rclone_s3 import RcloneS3
from ..servers.s3_fault import S3Fault
from ..servers.store_check import Store
from ..servers.tcp_proxy import TcpProxy
from ..servers.tls import Authority
from ..servers.weed import Weed
from .targets import FileTarget, S3Target


def pytest_addoption(parser):
    parser.addoption("--s3", default="weed", help="the real S3 server: weed, rclone, minio, or an endpoint URL with AWS_*")


def pytest_configure(config):
    config.addinivalue_line("markers", "invariant(number): holds one of the store's ten invariants (decision 0003)")


@pytest.fixture
def payload():
    """payload(size, seed=0) -> Content: .bytes() .sha256() .md5() .views(a, b) .write_to(path)."""
    return Content


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """The tests' certificate authority; .ca_file, .server_context(kind)."""
    return Authority(str(tmp_path_factory.mktemp("ca")))


@pytest.fixture(scope="session")
def ca_file(authority):
    """PEM file with the tests' CA."""
    return authority.ca_file


@pytest.fixture
def store(sluice, tmp_path):
    """A fresh content store: servers/store_check.py, which reads it as docs/store.md says."""
    sluice.ok("cas", "init", tmp_path / "store")
    return Store(tmp_path / "store")


@pytest.fixture
def sluice(tmp_path):
    """The built binary in a fresh home: sluice("cp", ...) -> Result; .popen, .ok, .home, .work."""
    binary = find_binary()
    if binary is None:
        pytest.fail("no sluice binary: `swift build`, or set SLUICE")
    return Sluice(binary, tmp_path / "sluice")


@pytest.fixture
def another_sluice(tmp_path):
    """another_sluice(name) -> Sluice with a home of its own (a second user or machine)."""
    return lambda name: Sluice(find_binary(), tmp_path / f"sluice-{name}")


@pytest.fixture
def to_file(sluice):
    """Copies to a file: .cp(url) -> Copy, .holds(copy, content), .refuses(copy, status, code, ...); targets.py."""
    return FileTarget(sluice)


@pytest.fixture
def to_s3(sluice, s3_fault):
    """The same to the S3 fault server."""
    return S3Target(sluice, s3_fault)


@pytest.fixture(params=["file", "s3"])
def to_any(request):
    """Both, one after the other."""
    return request.getfixturevalue(f"to_{request.param}")


@pytest.fixture
def origin():
    """A fresh scripted HTTP origin."""
    with HttpFault() as server:
        yield server


@pytest.fixture
def origin_tls(authority):
    """The same over TLS with the tests' CA."""
    with HttpFault(tls=authority.server_context()) as server:
        yield server


@pytest.fixture
def make_origin(authority):
    """make_origin(tls=None | a certificate kind of tls.KINDS, **HttpFault options): further origins."""
    started = []

    def make(tls=None, **options):
        context = authority.server_context("good" if tls is True else tls) if tls else None
        started.append(HttpFault(tls=context, **options).start())
        return started[-1]
    yield make
    for server in started:
        server.stop()


@pytest.fixture
def make_hub(authority):
    """make_hub(HuggingFaceHub, tls=None | a certificate kind, cdn_tls="same" | None | kind, **options): a fake hub."""
    with contextlib.ExitStack() as started:
        def context(kind):
            return authority.server_context("good" if kind is True else kind) if kind else None

        def make(hub, tls=None, cdn_tls="same", **options):
            cdn_tls = cdn_tls if cdn_tls == "same" else context(cdn_tls)
            ca_file = authority.ca_file if tls else None
            return started.enter_context(hub(tls=context(tls), cdn_tls=cdn_tls, ca_file=ca_file, **options))
        yield make


@pytest.fixture
def make_hugging_face(make_hub):
    """make_hugging_face(tls=, cdn_tls=, **HuggingFaceHub options): further fakes of the Hugging Face hub."""
    return functools.partial(make_hub, HuggingFaceHub)


@pytest.fixture
def hugging_face(make_hugging_face):
    """A fresh fake of the Hugging Face hub: .url, .model(name).commit({path: content})."""
    return make_hugging_face()


@pytest.fixture
def hugging_face_tls(make_hugging_face):
    """The same over TLS, hub and CDN: the official client reads a 401 only there."""
    return make_hugging_face(tls=True)


@pytest.fixture
def make_civitai(make_hub):
    """make_civitai(tls=, cdn_tls=, **CivitAI options): further fakes of CivitAI."""
    return functools.partial(make_hub, CivitAI)


@pytest.fixture
def civitai(make_civitai):
    """A fresh fake of CivitAI: .model(name).version(name).add(file name, content)."""
    return make_civitai()


@pytest.fixture
def modelscope(make_hub):
    """A fresh fake of ModelScope: .model(name).commit({path: content})."""
    return make_hub(ModelScope)


@pytest.fixture
def ollama(make_hub):
    """A fresh fake of Ollama's registry: .model(name).push(tag, {kind: content})."""
    return make_hub(OllamaRegistry)


@pytest.fixture
def make_s3_fault(authority):
    """make_s3_fault(tls=None | a certificate kind, **S3Fault options): further S3 fault servers."""
    started = []

    def make(tls=None, **options):
        context = authority.server_context("good" if tls is True else tls) if tls else None
        started.append(S3Fault(tls=context, ca_file=authority.ca_file if tls else None, **options).start())
        return started[-1]
    yield make
    for server in started:
        server.stop()


@pytest.fixture
def s3_fault(make_s3_fault):
    """A fresh S3 fault server over HTTP with the bucket "bucket"; .endpoint is its S3Endpoint."""
    return make_s3_fault()


@pytest.fixture
def s3_fault_tls(make_s3_fault):
    """The same over TLS."""
    return make_s3_fault(tls=True)


@pytest.fixture
def make_proxy():
    """make_proxy(server or port): a TcpProxy in front of it."""
    started = []

    def make(target):
        port, scheme = (target, "http") if isinstance(target, int) else (target.port, target.url.partition(":")[0])
        started.append(TcpProxy(port, scheme).start())
        return started[-1]
    yield make
    for proxy in started:
        proxy.stop()


@pytest.fixture
def make_forward_proxy():
    """make_forward_proxy(credentials="user:word", refuse=502): an HttpProxy; .url, .requests."""
    started = []

    def make(**options):
        started.append(HttpProxy(**options).start())
        return started[-1]
    yield make
    for proxy in started:
        proxy.stop()


@pytest.fixture
def public_network():
    """A network namespace with public addresses on its loopback; network.run(action). Needs root."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    with Network(["203.0.113.1", "203.0.113.2"]) as network:
        yield network


@pytest.fixture(scope="session")
def weed():
    """SeaweedFS; .endpoint. One for the session: use a bucket of your own (`bucket`)."""
    with Weed() as server:
        yield server


@pytest.fixture(scope="session")
def rclone_s3():
    """rclone serve s3; .endpoint, .root."""
    with RcloneS3() as server:
        yield server


@pytest.fixture(scope="session")
def s3(request):
    """The S3Endpoint of the real server that --s3 chose."""
    choice = request.config.getoption("--s3")
    if choice in ("weed", "rclone"):
        return request.getfixturevalue({"weed": "weed", "rclone": "rclone_s3"}[choice]).endpoint
    if choice == "minio":
        return external_endpoint("minio", os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"))
    return external_endpoint("external", choice)


@pytest.fixture
def bucket(s3, request):
    """A fresh bucket's name on the real server `s3`; emptied and removed afterwards."""
    name = f"t{os.getpid()}-{abs(hash(request.node.nodeid)) % 10**10}"
    s3.ensure_bucket(name)
    yield name
    empty_bucket(s3.client(), name)


def empty_bucket(client, name):
    """Removes objects, unfinished uploads and the bucket."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
        for item in page.get("Contents", []):
            client.delete_object(Bucket=name, Key=item["Key"])
    for upload in unfinished_uploads(client, name):
        client.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    client.delete_bucket(Bucket=name)


def unfinished_uploads(client, bucket):
    """The bucket's multipart uploads; rclone calls it NoSuchUpload where there are none."""
    try:
        return client.list_multipart_uploads(Bucket=bucket).get("Uploads") or []
    except client.exceptions.NoSuchUpload:
        return []


@pytest.fixture(scope="session")
def nginx(authority):
    """nginx with and without TLS over .root; .url, .tls_url, .log()."""
    with Nginx(authority=authority) as server:
        yield server


@pytest.fixture
def dns(tmp_path):
    """A DNS server whose answers a test chooses (N-08); sluice(..., prefix=dns.prefix) uses it. Needs root."""
    if os.geteuid() != 0:
        pytest.skip("port 53 and a mount namespace need root")
    with Dns(str(tmp_path / "resolv.conf")) as server:
        yield server


@pytest.fixture
def small_disk(tmp_path):
    """small_disk("16M", inodes=None) -> the path of a tmpfs of that size (L-01, L-02). Needs root."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    mounted = []

    def make(size, inodes=None):
        path = tmp_path / f"disk{len(mounted)}"
        path.mkdir()
        options = f"size={size}" + (f",nr_inodes={inodes}" if inodes else "")
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "sluice-test", path], check=True)
        mounted.append(path)
        return path
    yield make
    for path in mounted:
        subprocess.run(["umount", "--lazy", path], check=True)


@pytest.fixture
def fuse_hosts(tmp_path):
    """fuse_hosts("nfs3" | "nfs4" | "smb" | "local", **traits) -> FuseHosts: .a and .b are one directory (.backing), as
    two hosts see it. Needs root."""
    if reason := fuse.missing():
        pytest.skip(reason)
    with contextlib.ExitStack() as started:
        def make(personality="nfs3", **options):
            directory = tmp_path / f"hosts-{os.urandom(3).hex()}"
            return started.enter_context(fuse.FuseHosts(directory, personality, **options))
        yield make


@pytest.fixture
def loop_fs(tmp_path):
    """loop_fs("ext4" | "xfs" | "btrfs", "64M", inodes=None) -> LoopFs: .path, .cut(flush_log=), .remount(). Root."""
    with contextlib.ExitStack() as started:
        def make(kind="ext4", size="64M", **options):
            if reason := loop.missing(kind):
                pytest.skip(reason)
            return started.enter_context(loop.LoopFs(tmp_path, kind, size, **options))
        yield make
