"""Directories, prefixes and many sources: what goes where, with the right bytes (docs/cli.md, "What goes where")."""

import pytest

from .test_routes import MIB, Place, finished, rclone, server  # noqa: F401 (fixtures)

TREE = {"a.bin": 10, "b/c.bin": 70_000, "b/d/e.bin": 9 * MIB, "b/empty": 0, "z.txt": 3}


def contents(payload):
    return {key: payload(size, seed).bytes() for seed, (key, size) in enumerate(TREE.items())}


def make_tree(root, payload):
    for seed, (key, size) in enumerate(TREE.items()):
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        payload(size, seed).write_to(root / key)
    return root


def read_tree(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def read_prefix(place, prefix=""):
    return {key.removeprefix(prefix): place.bytes(key) for key in place.keys() if key.startswith(prefix)}


def test_a_directory_goes_to_a_prefix_and_back(sluice, server, payload, tmp_path):  # noqa: F811
    make_tree(tmp_path / "tree", payload)
    result = sluice.ok("cp", "-r", "--json", tmp_path / "tree", server.url("models/x/"), endpoint=server.endpoint)
    assert read_prefix(server, "models/x/") == contents(payload), str(result)
    sluice.ok("cp", "-r", server.url("models/x/"), tmp_path / "back", endpoint=server.endpoint)
    assert read_tree(tmp_path / "back") == contents(payload)


def test_a_directory_is_copied_to_a_directory(sluice, payload, tmp_path):
    make_tree(tmp_path / "tree", payload)
    sluice.ok("cp", "-r", tmp_path / "tree", tmp_path / "copy")
    assert read_tree(tmp_path / "copy") == contents(payload)


@pytest.mark.parametrize("where", ["one endpoint", "two endpoints"])
def test_a_prefix_is_copied_to_another_prefix(sluice, s3, bucket, rclone, payload, where):  # noqa: F811
    source = Place(s3, bucket)
    target = source if where == "one endpoint" else rclone
    for seed, (key, size) in enumerate(TREE.items()):
        source.put("from/" + key, payload(size, seed))
    source.put("from-not-this", payload(5, 99))
    sluice.ok("cp", "-r", "--source-endpoint-url", s3.url, source.url("from"), target.url("to/"),
              endpoint=target.endpoint)
    assert read_prefix(target, "to/") == contents(payload)


def test_a_container_without_r_is_refused(sluice, s3_fault, payload, tmp_path):
    make_tree(tmp_path / "tree", payload)
    s3_fault.put("bucket", "p/a", b"x")
    for source in (tmp_path / "tree", "s3://bucket/p/"):
        result = sluice("cp", source, f"{tmp_path}/out/", endpoint=s3_fault.endpoint)
        assert result.rc == 2 and "add -r" in result.err, str(result)
    assert not (tmp_path / "out").exists()


def test_patterns_choose_what_is_copied(sluice, s3_fault, payload, tmp_path):
    make_tree(tmp_path / "tree", payload)
    sluice.ok("cp", "-r", "--exclude", "b/d/", "--include", "*.bin", tmp_path / "tree", "s3://bucket",
              endpoint=s3_fault.endpoint)
    assert sorted(s3_fault.buckets["bucket"].objects) == ["a.bin", "b/c.bin"]


def test_many_sources_of_every_kind_go_below_one_container(sluice, origin, s3_fault, payload, tmp_path):
    """A URL with an encoded name, a file, an object and a list of further ones, in one command."""
    url = origin.add("/dir/web file.bin", size=70_000, seed=1).replace(" ", "%20")
    listed = origin.add("/listed.bin", size=80_000, seed=4)
    path = payload(60_000, 2).write_to(tmp_path / "file.bin")
    s3_fault.put("bucket", "p/object.bin", payload(50_000, 3))
    (tmp_path / "list").write_text(f"# the rest\n\n{listed}\n")
    wanted = {"web file.bin": payload(70_000, 1), "file.bin": payload(60_000, 2), "object.bin": payload(50_000, 3),
              "listed.bin": payload(80_000, 4)}
    words = ["cp", url + "?v=1", path, "s3://bucket/p/object.bin", "--from", tmp_path / "list"]
    sluice.ok(*words, "s3://bucket/all/", endpoint=s3_fault.endpoint)
    sluice.ok(*words, f"{tmp_path}/all/", endpoint=s3_fault.endpoint)
    for name, content in wanted.items():
        assert s3_fault.object("bucket", "all/" + name).sha256() == content.sha256()
        assert (tmp_path / "all" / name).read_bytes() == content.bytes()
    assert len(read_tree(tmp_path / "all")) == len(wanted)


def test_sources_come_from_standard_input_too(sluice, origin, payload, tmp_path):
    urls = [origin.add(f"/{index}.bin", size=1000 + index, seed=index) for index in range(20)]
    result = sluice.ok("cp", "--json", "--from", "-", f"{tmp_path}/out/", stdin="\n".join(urls).encode())
    assert len(finished(result)) == 20
    assert read_tree(tmp_path / "out") == {f"{i}.bin": payload(1000 + i, i).bytes() for i in range(20)}


def test_many_sources_need_a_container(sluice, origin, tmp_path):
    urls = [origin.add(f"/{index}", size=5) for index in range(2)]
    result = sluice("cp", *urls, tmp_path / "one")
    assert result.rc == 2 and "end the target in /" in result.err, str(result)
    assert not (tmp_path / "one").exists() and not origin.requests


def test_one_missing_source_leaves_the_others_untouched(sluice, origin, s3_fault, payload):
    urls = [origin.add(f"/{index}", size=1000, seed=index) for index in range(3)]
    result = sluice("cp", urls[0], origin.url + "/missing", urls[1], "s3://bucket/absent", urls[2], "s3://bucket/to/",
                    endpoint=s3_fault.endpoint)
    assert result.rc == 5, str(result)
    assert "/missing" in result.err and "s3://bucket/absent" in result.err, str(result)
    for index in range(3):
        assert s3_fault.object("bucket", f"to/{index}").sha256() == payload(1000, index).sha256()
