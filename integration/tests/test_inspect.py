"""`inspect`: what the packages safetensors and gguf write is read right, and what is wrong with a model file is found.

The packages from PyPI are the oracle: tensors, shapes and sizes are those that they write and read themselves.
"""

import json
import os
import pickle

import gguf
import numpy
import pytest
import safetensors.numpy
from safetensors import safe_open

MIB = 1 << 20
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 123456\n"
PAGE = b"<!DOCTYPE html>\n<html><body>Sign in to download</body></html>"


def arrays():
    """Tensors of many types and shapes, by name."""
    random = numpy.random.default_rng(4)
    kinds = ["float32", "float16", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]
    made = {f"block.{index}.{kind}": random.integers(0, 2, (index + 1, 3, 5)).astype(kind)
            for index, kind in enumerate(kinds)}
    return made | {"scalar": numpy.array(3, "float32"), "empty": numpy.zeros((0, 4), "float32"),
                   "größe": numpy.ones(7, "uint8")}


def write_safetensors(path, tensors=None, **metadata):
    safetensors.numpy.save_file(arrays() if tensors is None else tensors, str(path), metadata=metadata or {"format": "np"})
    return path


def write_gguf(path, tensors=None, words=10, endianess=gguf.GGUFEndian.LITTLE, **options):
    writer = gguf.GGUFWriter(str(path), "llama", endianess=endianess, **options)
    writer.add_context_length(4096)
    writer.add_token_list([f"token-{index}" for index in range(words)])
    writer.add_token_scores([0.5] * words)
    for name, data in (floats() if tensors is None else tensors).items():
        writer.add_tensor(name, data)
    block = numpy.arange(2 * 4 * 34, dtype="uint8").reshape(2, 4 * 34)
    writer.add_tensor("quantised", block, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def floats():
    return {name: data for name, data in arrays().items() if data.dtype in ("float32", "float16", "float64", "int8")
            and data.size and data.ndim}


def write_shards(directory, pieces, total=None):
    """A model of shards with its index; `pieces` the tensors of each."""
    os.makedirs(directory, exist_ok=True)
    weight_map = {}
    for number, tensors in enumerate(pieces, 1):
        name = f"model-{number:05}-of-{len(pieces):05}.safetensors"
        write_safetensors(f"{directory}/{name}", tensors)
        weight_map |= {tensor: name for tensor in tensors}
    size = sum(data.nbytes for tensors in pieces for data in tensors.values()) if total is None else total
    index = f"{directory}/model.safetensors.index.json"
    with open(index, "w", encoding="utf-8") as file:
        json.dump({"metadata": {"total_size": size}, "weight_map": weight_map}, file)
    return index


PIECES = [{"a": numpy.zeros((4, 4), "float32"), "b": numpy.zeros(3, "float16")}, {"c": numpy.zeros(5, "int8")}]


def inspected(result):
    """The verdicts by base name."""
    return {os.path.basename(event["location"]): event for event in result.events if event["event"] == "inspected"}


def tensors_of(result):
    return {event["name"]: event for event in result.events if event["event"] == "tensor"}


def read(path):
    with open(path, "rb") as file:
        return file.read()


# What the packages write

def test_safetensors_is_read_as_its_own_package_reads_it(sluice, tmp_path):
    path = write_safetensors(tmp_path / "model.safetensors", source="test", text="two\nlines")
    result = sluice.ok("inspect", "--json", "--tensors", path)
    found = tensors_of(result)
    with safe_open(str(path), "numpy") as file:
        assert set(found) == set(file.keys())
        for name in file.keys():
            view = file.get_slice(name)
            assert (found[name]["shape"], found[name]["type"]) == (view.get_shape(), view.get_dtype())
    assert {name: event["length"] for name, event in found.items()} == {
        name: data.nbytes for name, data in arrays().items()}
    event = inspected(result)["model.safetensors"]
    assert (event["verdict"], event["kind"], event["tensors"]) == ("good", "safetensors", len(arrays()))
    assert event["parameters"] == sum(data.size for data in arrays().values())
    assert event["size"] == event["expected_size"] == os.path.getsize(path)
    assert event["metadata"]["source"] == "test" and event["types"]["F64"] == 1


@pytest.mark.parametrize("endianess", list(gguf.GGUFEndian))
def test_gguf_is_read_as_its_own_package_reads_it(sluice, tmp_path, endianess):
    path = write_gguf(tmp_path / "model.gguf", endianess=endianess)
    result = sluice.ok("inspect", "--json", "--tensors", path)
    found = tensors_of(result)
    reader = gguf.GGUFReader(str(path))
    assert {tensor.name: ([int(side) for side in tensor.shape], tensor.tensor_type.name, tensor.n_bytes)
            for tensor in reader.tensors} == {
        name: (event["shape"], event["type"], event["length"]) for name, event in found.items()}
    event = inspected(result)["model.gguf"]
    start = reader.tensors[0].data_offset
    assert [tensor.data_offset - start for tensor in reader.tensors] == [each["offset"] for each in found.values()]
    assert (event["verdict"], event["expected_size"]) == ("good", os.path.getsize(path))
    assert event["metadata"]["general.architecture"] == "llama" and event["metadata"]["llama.context_length"] == "4096"
    assert event["metadata"]["tokenizer.ggml.tokens"] == "[10 × string]"
    assert ("big-endian" in event.get("note", "")) == (endianess == gguf.GGUFEndian.BIG)


@pytest.mark.parametrize("kind", [kind for kind, (elements, _) in gguf.GGML_QUANT_SIZES.items() if elements > 1],
                         ids=lambda kind: kind.name)
def test_every_block_type_of_the_package_has_its_size(sluice, tmp_path, kind):
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_tensor("q", numpy.zeros((3, 2 * size), "uint8"), raw_dtype=kind)
    writer.add_tensor("next", numpy.zeros(8, "float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    result = sluice.ok("inspect", "--json", "--tensors", path)
    event, tensor = inspected(result)["model.gguf"], tensors_of(result)["q"]
    assert tensor["shape"] == [2 * elements, 3]
    if kind == gguf.GGMLQuantizationType.Q8_1:
        # The package says 40 bytes, ggml itself 36.
        assert event["verdict"] == "not_checkable"
    else:
        assert (event["verdict"], tensor["type"], tensor["length"]) == ("good", kind.name, 6 * size)


def test_a_split_model_of_the_package_is_checked_as_a_whole(sluice, tmp_path):
    tensors = {f"t{index}": numpy.zeros((64, 64), "float32") for index in range(4)}
    write_gguf(tmp_path / "m.gguf", tensors, split_max_tensors=2)
    names = sorted(os.listdir(tmp_path))
    names = [name for name in names if name.endswith(".gguf")]
    assert names == [f"m-{number:05}-of-00003.gguf" for number in (1, 2, 3)]
    found = inspected(sluice.ok("inspect", "--json", tmp_path))
    assert {event["verdict"] for event in found.values()} == {"good"}
    assert found["m"]["kind"] == "gguf_split" and found["m"]["files"] == 3
    os.rename(tmp_path / names[1], tmp_path / "kept")
    result = sluice("inspect", "--json", tmp_path)
    assert result.rc == 4 and names[1] in inspected(result)["m"]["reason"]
    os.rename(tmp_path / names[0], tmp_path / names[1])
    result = sluice("inspect", "--json", tmp_path / names[1])
    assert result.rc == 4 and inspected(result)[names[1]]["expected"].startswith("2 of 3")


# What is wrong

@pytest.mark.parametrize("write, name", [(write_safetensors, "m.safetensors"), (write_gguf, "m.gguf")])
def test_one_byte_more_or_less_is_found(sluice, tmp_path, write, name):
    whole = read(write(tmp_path / name))
    for data in (whole[:-1], whole + b"\0", whole[:len(whole) // 2], whole[:9], b""):
        (tmp_path / name).write_bytes(data)
        result = sluice("inspect", tmp_path / name)
        assert result.rc == 4 and result.out.startswith("bad "), result
    (tmp_path / name).write_bytes(whole[:-1])
    result = sluice("inspect", tmp_path / name)
    assert f"expected {len(whole)} bytes" in result.out and f"found {len(whole) - 1} bytes" in result.out


@pytest.mark.parametrize("data, says", [
    (POINTER, "a Git LFS pointer"), (PAGE, "a web page"), (b'{"error": "Please sign in first"}', "JSON text"),
    (pickle.dumps({"a": 1}, 4), "a pickle file"), (b"\x1f\x8b\x08\0" + b"x" * 99, "gzip data"), (b"\0" * 99, "zero bytes"),
    ((16).to_bytes(8, "little") + b"[" * 16, "'{'"),
], ids=["pointer", "page", "json", "pickle", "gzip", "zeros", "array"])
def test_what_lies_in_place_of_a_model_is_named(sluice, tmp_path, data, says):
    (tmp_path / "m.safetensors").write_bytes(data)
    result = sluice("inspect", tmp_path / "m.safetensors")
    assert result.rc == 4 and says in result.out, result


def test_pickle_is_named_and_is_no_fault(sluice, tmp_path):
    for name in ("pytorch_model.bin", "old.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps({"a": 1}, 2))
    result = sluice.ok("inspect", tmp_path)
    assert result.out.count("runs code when loaded") == 2
    assert {event["verdict"] for event in inspected(sluice.ok("inspect", "--json", tmp_path)).values()} == {"pickle"}


def test_an_index_is_compared_with_its_shards(sluice, tmp_path):
    index = write_shards(tmp_path / "good", PIECES)
    for place, count in ((tmp_path / "good", 3), (index, 3)):
        found = inspected(sluice.ok("inspect", "--json", place))
        assert len(found) == count and {event["verdict"] for event in found.values()} == {"good"}
        assert (found["model.safetensors.index.json"]["files"], found["model.safetensors.index.json"]["tensors"]) == (2, 3)
    write_shards(tmp_path / "total", PIECES, total=1)
    assert "total_size is 1, the tensors take 75 bytes" in sluice.ok("inspect", tmp_path / "total").out
    write_shards(tmp_path / "other", PIECES)
    write_safetensors(tmp_path / "other/model-00002-of-00002.safetensors", {"d": PIECES[1]["c"]})
    write_shards(tmp_path / "missing", PIECES)
    os.unlink(tmp_path / "missing/model-00001-of-00002.safetensors")
    for place, says in (("other", "'c'"), ("missing", "model-00001-of-00002.safetensors")):
        for what in (tmp_path / place, tmp_path / place / "model.safetensors.index.json"):
            result = sluice("inspect", "--json", what)
            event = inspected(result)["model.safetensors.index.json"]
            assert (result.rc, event["verdict"]) == (4, "bad") and says in event["reason"], result


# Where it is

def place(kind, sluice, origin, s3_fault, store, path):
    data = read(path)
    name = os.path.basename(path)
    if kind == "web":
        return origin.add("/m/" + name, body=data)
    if kind == "s3":
        s3_fault.put("bucket", "m/" + name, data)
        return "s3://bucket/m/" + name
    if kind == "store":
        sluice.ok("cp", path, store.at("m") + "/")
        return store.at("m") + "/" + name
    return str(path)


@pytest.mark.parametrize("kind", ["file", "web", "s3", "store"])
def test_every_kind_of_location_is_read_by_its_header(sluice, origin, s3_fault, store, tmp_path, kind):
    tensors = {"big": numpy.ones(4 * MIB, "float32"), "small": numpy.ones(3, "float16")}
    paths = [write_safetensors(tmp_path / "m.safetensors", tensors), write_gguf(tmp_path / "m.gguf", tensors)]
    for path in paths:
        location = place(kind, sluice, origin, s3_fault, store, path)
        found = inspected(sluice.ok("inspect", "--json", location, endpoint=s3_fault.endpoint))
        event = found[os.path.basename(path)]
        assert (event["verdict"], event["location"], event["size"]) == ("good", location, os.path.getsize(path))
    if kind == "web":
        header = 8 + int.from_bytes(read(paths[0])[:8], "little")
        requests = origin.requests_for("/m/m.safetensors")
        assert len(requests) <= 3 and all(request.range for request in requests)
        assert origin.bytes_sent("/m/m.safetensors") <= header, "the header, and no tensor"
        assert len(origin.requests_for("/m/m.gguf")) <= 3 and origin.bytes_sent("/m/m.gguf") <= 64 << 10
    if kind == "s3":
        assert len(s3_fault.requests_for("GetObject")) <= 4
        assert sum(entry.bytes_out for entry in s3_fault.requests_for("GetObject")) <= 66 << 10


def test_a_vocabulary_of_megabytes_takes_three_requests(sluice, origin, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", {"big": numpy.ones(16 * MIB, "float32")}, words=300_000)
    url = origin.add("/m.gguf", body=read(path))
    event = inspected(sluice.ok("inspect", "--json", url))["m.gguf"]
    assert event["metadata"]["tokenizer.ggml.tokens"] == "[300000 × string]" and event["verdict"] == "good"
    assert len(origin.requests_for("/m.gguf")) <= 3 and origin.bytes_sent("/m.gguf") <= 16 * MIB


def test_a_server_without_ranges_is_read_as_far_as_needed(sluice, origin, tmp_path):
    path = write_safetensors(tmp_path / "m.safetensors", {"big": numpy.ones(16 * MIB, "float32")})
    url = origin.add("/m.safetensors", body=read(path), faults=[{"do": "ignore_range"}])
    assert inspected(sluice.ok("inspect", "--json", url))["m.safetensors"]["verdict"] == "good"
    assert len(origin.requests_for("/m.safetensors")) == 1 and origin.bytes_sent("/m.safetensors") < 48 * MIB


def test_an_index_on_the_web_leads_to_its_shards(sluice, origin, tmp_path):
    index = write_shards(tmp_path, PIECES)
    names = [name for name in os.listdir(tmp_path) if "model" in name]
    urls = {name: origin.add("/org/a b/" + name, body=read(tmp_path / name)) for name in names}
    url = urls[os.path.basename(index)].replace("a b", "a%20b")
    found = inspected(sluice.ok("inspect", "--json", url))
    assert len(found) == 3 and {event["verdict"] for event in found.values()} == {"good"}
    result = sluice.ok("inspect", "--json", url + "?download=true")
    assert inspected(result)[os.path.basename(index) + "?download=…"]["verdict"] == "not_checkable", result


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_a_tree_is_gone_through(sluice, s3_fault, tmp_path, kind):
    write_shards(tmp_path / "t/one", PIECES)
    write_gguf(tmp_path / "t/one/q.gguf")
    os.makedirs(tmp_path / "t/two")
    (tmp_path / "t/two/bad.safetensors").write_bytes(POINTER)
    (tmp_path / "t/readme.md").write_bytes(b"no model")
    location = str(tmp_path / "t")
    if kind == "s3":
        for at, _, names in os.walk(location):
            for name in names:
                s3_fault.put("bucket", os.path.relpath(os.path.join(at, name), tmp_path), read(os.path.join(at, name)))
        location = "s3://bucket/t"
    result = sluice("inspect", "-r", "--json", location, endpoint=s3_fault.endpoint)
    found = {name: event["verdict"] for name, event in inspected(result).items()}
    assert result.rc == 4 and found.pop("bad.safetensors") == "bad"
    assert len(found) == 4 and set(found.values()) == {"good"}
    result = sluice("inspect", location, endpoint=s3_fault.endpoint)
    assert result.rc == 5 and "-r" in result.err
    result = sluice("inspect", "-r", location, endpoint=s3_fault.endpoint)
    assert "5 files: 4 good, 1 bad" in result.err and result.out.count("\n") >= 5
    if kind == "file":
        quiet = sluice("inspect", "-qr", location)
        assert quiet.rc == 4 and not quiet.out and "bad.safetensors" in quiet.err


def test_what_is_not_there_is_told_beside_what_is(sluice, origin, tmp_path):
    path = write_safetensors(tmp_path / "m.safetensors")
    result = sluice("inspect", path, tmp_path / "nothing.gguf")
    assert result.rc == 5 and "nothing.gguf" in result.err and "good" in result.out
    assert sluice("inspect", origin.url + "/nothing.safetensors").rc == 5
    (tmp_path / "bad.safetensors").write_bytes(POINTER)
    assert sluice("inspect", tmp_path / "bad.safetensors", tmp_path / "nothing.gguf").rc == 4


def test_metadata_and_hostile_names_are_shown_safely(sluice, tmp_path):
    path = write_safetensors(tmp_path / "m.safetensors", {"a\x1b[31m": numpy.zeros(2, "int8")}, note="x\x1b]0;y\x07")
    result = sluice.ok("inspect", "-v", "--tensors", path)
    assert "note = x\\x1b]0;y\\x07" in result.out and "a\\x1b[31m  I8 [2] at 0, 2 bytes" in result.out
    assert b"\x1b" not in result.stdout


def test_hostile_headers_cost_neither_memory_nor_time(sluice, tmp_path):
    path = tmp_path / "m.safetensors"
    nested = b'{"a":{"x":' + b"[" * (50 * MIB)
    path.write_bytes(len(nested).to_bytes(8, "little") + nested)
    result = sluice("inspect", path)
    assert result.rc == 4 and "at most 128 levels" in result.out and result.max_rss < 256 * MIB, result
    entries = b",".join(b'"%d":{"dtype":"U8","shape":[],"data_offsets":[0,0]}' % index for index in range(1_200_000))
    path.write_bytes((len(entries) + 2).to_bytes(8, "little") + b"{" + entries + b"}")
    result = sluice.ok("inspect", path, timeout=300)
    assert result.out.startswith("? ") and result.max_rss < 512 * MIB, result
