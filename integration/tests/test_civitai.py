"""CivitAI as a source, against the fake hub: what is copied, listed, shown and mirrored, by which requests, as whom.

Faults of the hub and its storage: test_civitai_faults.py.
"""

import hashlib
import json
import os

import pytest

from .hub_files import content_of, does_not_mend, finished, mends

MIB = 1 << 20
SIZE = 5 * MIB + 3
NAME, OTHER = "wai_v160.safetensors", "wai_v160_full.ckpt"


@pytest.fixture
def version(civitai, payload):
    version = civitai.model("WAI").version("v16.0")
    version.add(NAME, payload(SIZE, 7), size="pruned", fp="fp16")
    version.add(OTHER, payload(2000, 8), format="PickleTensor", size="full", fp="fp32")
    version.add("config.yaml", b"a: 1\n", kind="Config", format="Other")
    return version


@pytest.fixture
def env(civitai):
    return civitai.environment()


def at(version, *more):
    return f"civitai://models/{version.model.id}@{version.id}" + "".join(map(str, more))


def wanted(version):
    return {file.name: file.content.bytes() for file in version.files}


# One file

@pytest.mark.parametrize("form", [
    "{model}@{version}/{name}", "{model}/{name}", "{model}@{version}+{file}", "{model}@{version}+{file}/mine.bin",
    "versions", "versions by name", "air", "AIR"])
def test_a_file_is_copied_by_its_id_and_matches_the_published_digest(to_any, civitai, version, env, form):
    file = version.files[0]
    place = {"versions": f"civitai://versions/{version.id}+{file.id}",
             "versions by name": f"civitai://versions/{version.id}/{NAME}",
             "air": f"{version.air}+{file.id}.safetensors",
             "AIR": f"{version.air}+{file.id}".replace("urn:air", "URN:AIR")}.get(form) or "civitai://models/" + form.format(
                 model=version.model.id, version=version.id, name=NAME, file=file.id)
    copy = to_any.cp(place, env=env)
    to_any.holds(copy, file.content)
    assert copy.finished["proof"] == "published"
    assert {request.query for request in civitai.requests_for("download")} == {f"fileId={file.id}"}
    asked = [request.operation for request in civitai.requests]
    assert asked[:1 + ("@" not in place and "versions" not in place)] == (
        ["version"] if "@" in place or "versions" in place else ["model", "version"])
    assert asked.count("version") == 1 and {request.method for request in civitai.requests} == {"GET"}


@pytest.mark.parametrize("place, name", [
    ("{at}+{file}", NAME), ("{at}+{file}/mine.bin", "mine.bin"), ("{at}/" + NAME, NAME), ("{air}+{file}.safetensors", NAME),
    ("{url}/api/download/models/{version}", NAME), ("{url}/api/download/models/{version}?fileId={file}", NAME)])
def test_a_file_goes_into_a_directory_under_its_own_name(sluice, civitai, version, env, place, name):
    place = place.format(at=at(version), file=version.files[0].id, air=version.air, url=civitai.url, version=version.id)
    sluice.ok("cp", place, ".", env=env)
    assert list(content_of(sluice.work)) == [name]


@pytest.mark.parametrize("query, chosen", [
    ("", NAME), ("?type=Model&format=PickleTensor&size=full&fp=fp32", OTHER), ("?format=PickleTensor", OTHER),
    ("?type=Config", "config.yaml"), ("?type=Model", NAME)])
def test_a_pasted_download_is_the_file_that_its_words_choose(to_file, civitai, version, env, query, chosen):
    """Not the one that the account's preferences would choose: it is asked for by its id."""
    alice = civitai.token("alice", format="PickleTensor")
    copy = to_file.cp(civitai.download_url(version) + query, env=civitai.environment(alice))
    file = next(file for file in version.files if file.name == chosen)
    to_file.holds(copy, file.content)
    assert {request.query for request in civitai.requests_for("download")} == {f"fileId={file.id}"}


@pytest.mark.parametrize("form", ["/models/{model}?modelVersionId={version}", "/models/{model}/wai-xl",
                                  "/api/v1/model-versions/{version}", "/api/v1/models/{model}", "/model-versions/{version}"])
def test_a_pasted_page_is_copied_with_r(sluice, civitai, version, env, form):
    url = civitai.url + form.format(model=version.model.id, version=version.id)
    sluice.ok("cp", "-r", url, "out/", env=env)
    assert content_of(sluice.work + "/out") == wanted(version)
    result = sluice("cp", url, "other/", env=env)
    assert result.rc == 2 and "-r" in result.err


def test_headers_of_ones_own_ask_for_the_url_as_it_stands(sluice, civitai, version, env):
    url = civitai.download_url(version, version.files[0])
    result = sluice.ok("cp", "--json", "-H", "X-Mine: 1", url, "c", env=env)
    assert finished(result)[0]["proof"] == "transport" and civitai.requests_for("version") == []


def test_other_urls_do_not_care_for_the_hub(sluice, origin):
    url = origin.add("/x", body=b"x")
    sluice.ok("cp", url, "x", env={"CIVITAI_ENDPOINT": "nonsense"})
    result = sluice("cp", "civitai://models/1@2+3", "y", env={"CIVITAI_ENDPOINT": "nonsense"})
    assert result.rc == 2 and "CIVITAI_ENDPOINT" in result.err


# Whole versions

@pytest.mark.parametrize("target", ["file", "s3", "store"])
def test_a_version_is_copied_whole_and_a_second_run_moves_nothing(sluice, civitai, version, env, s3_fault, store, target):
    to = {"file": "out/", "s3": "s3://bucket/m/", "store": f"cas:{store.root}/wai"}[target]
    env = {**env, **s3_fault.endpoint.environment()}
    result = sluice.ok("cp", "--json", "-r", at(version), to, env=env)
    files = wanted(version)
    assert {event["proof"] for event in finished(result)} == {"published"} and len(finished(result)) == len(files)
    if target == "file":
        assert content_of(sluice.work + "/out") == files
    elif target == "s3":
        assert {path: s3_fault.object("bucket", f"m/{path}").bytes() for path in files} == files
    else:
        sluice.ok("cas", "checkout", f"cas:{store.root}/wai", "out")
        assert content_of(sluice.work + "/out") == files
    sent = civitai.bytes_sent()
    again = sluice.ok("cp", "--json", "-r", at(version), to, env=env)
    assert {event["state"] for event in finished(again)} == {"skipped"}
    assert civitai.bytes_sent() - sent <= len(files) * MIB, "a look, and no more"


def test_the_newest_published_version_is_the_models(sluice, civitai, version, env):
    draft = version.model.version("v17 draft")
    draft.add("x.safetensors", b"x" * 100)
    draft.status = "Draft"
    sluice.ok("cp", "-r", f"civitai://models/{version.model.id}", "out/", env=env)
    assert content_of(sluice.work + "/out") == wanted(version)
    draft.status = "Published"
    assert sluice.ok("ls", f"civitai://models/{version.model.id}", env=env).out == "x.safetensors\n"


def test_names_that_are_not_safe_or_not_alone_are_told_apart_by_ids(sluice, civitai, env):
    version = civitai.model("names").version("v1")
    files = [version.add(name, content) for name, content in [
        ("model.safetensors", b"fp16"), ("model.safetensors", b"fp32"), ("../../etc/passwd", b"evil"), ("..", b"up"),
        ("", b"none"), ("nul\0x", b"nul"), ("a b?#%.bin", b"odd"), ("M\u00fc.bin", b"nfc"), ("Mu\u0308.bin", b"nfd"),
        ("100001", b"a number"), ("case.bin", b"lower"), ("Case.bin", b"upper")]]
    paths = {f"{files[0].id}/model.safetensors": b"fp16", f"{files[1].id}/model.safetensors": b"fp32",
             f"{files[2].id}/..%2F..%2Fetc%2Fpasswd": b"evil", f"{files[3].id}/%2E%2E": b"up",
             f"{files[4].id}/unnamed": b"none", f"{files[5].id}/nul%00x": b"nul", "a b?#%.bin": b"odd",
             "M\u00fc.bin": b"nfc", "Mu\u0308.bin": b"nfd", f"{files[9].id}/100001": b"a number",
             "case.bin": b"lower", "Case.bin": b"upper"}
    sluice.ok("cp", "-r", at(version), "out/", env=env)
    assert content_of(sluice.work + "/out") == paths
    listed = sluice.ok("ls", at(version), env=env).out.splitlines()
    assert f"{files[0].id}/" in listed and "case.bin" in listed
    for path, body in paths.items():
        assert sluice.ok("cat", at(version, "/", path), env=env).stdout == body
    below = at(version, f"/{files[1].id}")
    assert sluice.ok("ls", below, env=env).out == "model.safetensors\n"
    assert sluice("cat", below, env=env).rc == 2, "a directory, though of one file"


def test_ls_stat_and_cat(sluice, civitai, version, env):
    assert sluice.ok("ls", at(version), env=env).out.splitlines() == ["config.yaml", NAME, OTHER]
    assert [request.operation for request in civitai.requests] == ["version"]
    entries = [json.loads(line) for line in sluice.ok("ls", "--json", at(version), env=env).out.splitlines()]
    for entry in entries:
        file = next(file for file in version.files if file.name == entry["key"])
        assert f"+{file.id}/" in entry["location"] and file.sha256 in entry["etag"]
        told = json.loads(sluice.ok("stat", "--json", entry["location"], env=env).out)
        assert told["digests"] == {"sha256": file.sha256} and told["size"] == file.content.size
        assert sluice.ok("cat", entry["location"], env=env).stdout == file.content.bytes()
    assert sluice.ok("cat", "--range", "2-9", at(version, "/", NAME), env=env).stdout == (
        version.files[0].content.bytes(2, 10))


def test_what_is_not_there_or_no_place_is_named(sluice, version, env):
    model = version.model.id
    for words, status, said in [
            (["cp", at(version, "/none"), "x"], 5, "no such file"), (["stat", at(version, "+7")], 5, "no such file"),
            (["stat", at(version)], 2, "names 3 files"), (["ls", "civitai://models/1"], 5, "does not have it"),
            (["ls", "civitai://versions/1"], 5, "does not have it"),
            (["ls", f"civitai://models/{model + 1}@{version.id}"], 5, f"of model {model}"),
            (["ls", "civitai://models"], 2, "MODEL"), (["ls", "civitai://models/x"], 2, "a number"),
            (["ls", "civitai://models/1@"], 2, "a number"), (["ls", "civitai://models/1@2/../x"], 2, "component"),
            (["ls", "urn:air:sdxl:lora:huggingface:org/x@main"], 2, "hf://"),
            (["ls", "urn:air:sdxl:lora:civitai:x"], 2, "a number"), (["ls", "urn:isbn:1"], 2, "urn:air:"),
            (["cp", "x", at(version)], 2, "civitai"), (["rm", at(version, "+7")], 2, "only objects"),
            (["cp", "x", version.air], 2, "urn")]:
        result = sluice(*words, env=env)
        assert result.rc == status and said in result.err, str(result)


def test_another_process_reads_the_same_files(sluice, civitai, version, env):
    sluice.ok("add", "-r", at(version), "out/", env=env)
    sluice.ok("run", env=env)
    assert content_of(sluice.work + "/out") == wanted(version)


def test_a_version_that_was_edited_since_it_was_queued_is_another_one(sluice, civitai, version, env, payload):
    sluice.ok("add", "-r", at(version), "out/", env=env)
    version.add("more.bin", payload(100, 9))
    result = sluice("run", env=env)
    assert result.rc == 4 and "was edited" in result.err, str(result)
    assert content_of(sluice.work) == {}


# Who asks

@pytest.mark.parametrize("variable", ["CIVITAI_TOKEN", "CIVITAI_API_TOKEN"])
def test_the_token_is_found_in_the_environment(sluice, civitai, version, variable):
    alice = civitai.token("alice")
    version.login = True
    sluice.ok("cp", at(version, "/", NAME), "f", env={"CIVITAI_ENDPOINT": civitai.url, variable: alice.secret + "\n"})
    assert {request.token for request in civitai.requests} - {""} == {"alice"}
    assert {request.token for request in civitai.requests if request.origin == "api"} == {"alice"}


@pytest.mark.parametrize("target", ["file", "s3", "mirror"])
def test_trap_3_the_token_goes_to_the_hub_alone(sluice, make_civitai, make_origin, s3_fault, payload, target):
    hub, foreign = make_civitai(), make_origin()
    version, alice = hub.model("m").version("v"), hub.token("alice")
    for index in range(3):
        version.add(f"f{index}.bin", payload((index + 1) * MIB, index))
    version.login = True
    to = {"file": "out/", "s3": "s3://bucket/m/", "mirror": "mirror/"}[target]
    words = ["mirror"] if target == "mirror" else ["cp", "-r", "--overwrite"]
    env = {**hub.environment(alice), **s3_fault.endpoint.environment()}
    outputs = []
    for form in ("-vv", "--json"):
        result = sluice.ok(*words, form, at(version), to, env=env)
        outputs += [result.stdout, result.stderr]
    hub.fault("version", {"do": "redirect", "to": foreign.url + "/x"})
    hub.fault("download", {"do": "status", "status": 403, "body": f"Forbidden for {alice.secret}"})
    for words in (["ls", "-vv", at(version)], ["cp", "-vv", "--json", at(version, "/f0.bin"), "y"]):
        result = sluice(*words, env=env)
        assert result.rc != 0, str(result)
        outputs += [result.stdout, result.stderr]
    hub.clear_faults()
    hub.fault("download", {"do": "status", "status": 403, "body": f"Forbidden for {alice.secret}"})
    result = sluice("cp", "-vv", at(version, "/f0.bin"), "z", env=env)
    assert result.rc == 3, str(result)
    outputs += [result.stdout, result.stderr]
    result = sluice("cp", f"{hub.download_url(version)}?token={alice.secret}", "z", env=env)
    assert result.rc == 2 and "CIVITAI_TOKEN" in result.err, str(result)
    outputs += [result.stdout, result.stderr]
    assert hub.cdn.requests and hub.seen_at("cdn", alice.secret) == [] and foreign.requests == []
    assert not any(request.authorized for request in hub.cdn.requests)
    assert not any("token=" in request.query for request in hub.requests)
    seen = [value for request in s3_fault.requests for _, value in request.headers]
    assert bool(seen) == (target == "s3") and not any(alice.secret in value for value in seen)
    assert not any(alice.secret.encode() in output for output in outputs)
    for path, content in content_of(sluice.directory).items():
        assert alice.secret.encode() not in content, path


def test_a_redirect_from_https_to_http_is_refused(sluice, make_civitai, payload):
    hub = make_civitai(tls=True, cdn_tls=None)
    version = hub.model("m").version("v")
    version.add("m.bin", payload(1000))
    result = sluice("cp", at(version, "/m.bin"), "out", env=hub.environment(hub.token("alice")))
    assert result.rc == 1 and "https to http" in result.err, str(result)
    assert hub.cdn.requests == [] and content_of(sluice.work) == {}


def test_over_tls_with_the_authority_of_the_environment(sluice, make_civitai, payload):
    hub = make_civitai(tls=True)
    version = hub.model("m").version("v")
    version.add("m.bin", payload(2 * MIB, 3))
    sluice.ok("cp", "-r", at(version), "out/", env=hub.environment())
    assert content_of(sluice.work + "/out") == wanted(version)


def test_nobody_is_told_that_a_browser_asks(sluice, civitai, version, env):
    """Browsers get login pages where programs get their errors."""
    sluice.ok("cp", "-r", at(version), "out/", env=env)
    agents = {value for request in civitai.requests for name, value in request.headers if name.lower() == "user-agent"}
    assert len(agents) == 1 and agents.pop().startswith("sluice/")


# Mirrors

def records(directory, ref):
    """The manifest that a ref points to, checked against its own name, and its listing's pages."""
    found = content_of(directory)
    history = json.loads(found[f".sluice/refs/{ref}.json"])["history"]
    raw = found[f".sluice/manifests/{history[0]['manifest']}.json"]
    assert hashlib.sha256(raw).hexdigest() == history[0]["manifest"]
    manifest = json.loads(raw)
    listing = found[f".sluice/listings/{manifest['listing']['sha256']}.json"]
    assert hashlib.sha256(listing).hexdigest() == manifest["listing"]["sha256"]
    return manifest


def mirrored(directory):
    return {path: body for path, body in content_of(directory).items() if not path.startswith(".sluice/")}


@pytest.mark.parametrize("place, ref", [("version", "{version}"), ("model", "latest"), ("air", "{version}"),
                                        ("page", "{version}")])
def test_a_version_is_mirrored_whole_with_proof_and_a_second_run_asks_little(sluice, civitai, version, env, place, ref):
    model = version.model.id
    place = {"version": at(version), "model": f"civitai://models/{model}", "air": version.air,
             "page": f"{civitai.url}/models/{model}?modelVersionId={version.id}"}[place]
    sluice.ok("mirror", place, "mirror/", env=env)
    assert mirrored(sluice.work + "/mirror") == wanted(version)
    manifest = records(sluice.work + "/mirror", ref.format(version=version.id))
    source = manifest["source"]
    assert (source["hub"], source["name"]) == ("civitai", str(model)) and source["about"]["air"] == version.air
    assert source["revision"].startswith(f"{version.id}.")
    assert {file["path"]: (file["sha256"], file["size"], file["evidence"]) for file in manifest["files"]} == {
        file.name: (file.sha256, file.content.size, ["sha256"]) for file in version.files}
    civitai.forget()
    again = sluice.ok("mirror", "--json", place, "mirror/", env=env)
    assert again.events[0]["event"] == "up_to_date" and len(civitai.requests) <= 2 and civitai.bytes_sent() == 0


def test_trap_8_a_version_whose_files_were_replaced_is_not_up_to_date(sluice, civitai, version, env, payload):
    sluice.ok("mirror", at(version), "mirror/", env=env)
    first = records(sluice.work + "/mirror", version.id)
    version.files[1] = version.add(OTHER, payload(3000, 9), format="PickleTensor")
    version.files.pop()
    civitai.forget()
    sluice.ok("mirror", at(version), "mirror/", env=env)
    assert mirrored(sluice.work + "/mirror") == wanted(version)
    second = records(sluice.work + "/mirror", version.id)
    assert second["source"]["revision"] != first["source"]["revision"]
    assert civitai.bytes_sent(file=NAME) <= 1, "only what was replaced is fetched"


@pytest.mark.parametrize("place", ["version", "model", "air", "page"])
def test_a_damaged_file_of_a_mirror_is_fetched_again(sluice, civitai, version, env, place):
    model = version.model.id
    sluice.ok("mirror", {"version": at(version), "model": f"civitai://models/{model}", "air": version.air,
                         "page": f"{civitai.url}/models/{model}?modelVersionId={version.id}"}[place], "mirror/", env=env)
    # The latest of the model is another by now; the version is there all the same.
    version.model.version("newer").add("new.safetensors", b"new")
    civitai.forget()
    mends(sluice, "mirror/", OTHER, env)
    assert civitai.bytes_sent(file=NAME) <= 1, "what is sound is not fetched"


def test_a_version_that_was_edited_mends_no_mirror_of_what_it_was(sluice, civitai, version, env):
    sluice.ok("mirror", at(version), "mirror/", env=env)
    revision = records(sluice.work + "/mirror", version.id)["source"]["revision"]
    version.add("more.bin", b"more")
    does_not_mend(sluice, "mirror/", OTHER, env, "answers with revision", revision, f"revision {version.id}.")


def test_a_version_is_mirrored_into_a_store_and_a_bucket_in_one_read(sluice, civitai, version, env, store, s3_fault):
    env = {**env, **s3_fault.endpoint.environment()}
    sluice.ok("mirror", at(version), f"cas:{store.root}", "--also", "s3://bucket/m/", env=env)
    assert {name: s3_fault.object("bucket", f"m/{name}").bytes() for name in wanted(version)} == wanted(version)
    assert civitai.bytes_sent(file=NAME) <= SIZE + 1
    trees = sluice.ok("cas", "ls", f"{store.root}").out
    assert f"civitai:{version.model.id}@{version.id}." in trees, trees


def test_rev_names_a_version(sluice, civitai, version, env, payload):
    newer = version.model.version("v17")
    newer.add("new.safetensors", payload(100, 1))
    place = f"civitai://models/{version.model.id}"
    sluice.ok("mirror", "--rev", version.id, place, "old/", env=env)
    assert mirrored(sluice.work + "/old") == wanted(version)
    sluice.ok("mirror", place, "new/", env=env)
    assert mirrored(sluice.work + "/new") == wanted(newer)
    result = sluice("mirror", "--rev", "v17", place, "x/", env=env)
    assert result.rc == 2 and "number" in result.err


@pytest.mark.parametrize("part", ["+{file}", "/" + NAME])
def test_a_part_of_a_version_is_no_revision_but_a_selection_is(sluice, civitai, version, env, part):
    result = sluice("mirror", at(version, part.format(file=version.files[0].id)), "mirror/", env=env)
    assert result.rc == 2 and "--include" in result.err and content_of(sluice.work) == {}, str(result)
    sluice.ok("mirror", "--include", NAME, at(version), "mirror/", env=env)
    assert mirrored(sluice.work + "/mirror") == {NAME: version.files[0].content.bytes()}
    assert len(records(sluice.work + "/mirror", version.id)["left_out"]) == 2


def test_a_file_without_a_digest_is_mirrored_as_such(sluice, civitai, version, env):
    version.files[0].hashes.clear()
    sluice.ok("mirror", at(version), "mirror/", env=env)
    manifest = records(sluice.work + "/mirror", version.id)
    evidence = {file["path"]: file["evidence"] for file in manifest["files"]}
    assert evidence == {NAME: ["transport"], OTHER: ["sha256"], "config.yaml": ["sha256"]}


@pytest.mark.parametrize("there", [False, True], ids=["fetched", "there already"])
def test_blake3_is_evidence_where_there_is_no_sha256(sluice, civitai, version, env, there):
    file = version.files[1]
    del file.hashes["SHA256"]
    if there:
        os.makedirs(sluice.work + "/mirror")
        with open(f"{sluice.work}/mirror/{OTHER}", "wb") as mine:
            mine.write(file.content.bytes())
    sluice.ok("mirror", at(version), "mirror/", env=env)
    [told] = [told for told in records(sluice.work + "/mirror", version.id)["files"] if told["path"] == OTHER]
    assert (told["sha256"], told["evidence"]) == (file.sha256, ["blake3"])


def test_a_mirror_without_access_leaves_nothing(sluice, civitai, version, env):
    version.early_access = "2027-01-01T00:00:00.000Z"
    result = sluice("mirror", at(version), "mirror/", env=env)
    assert result.rc == 3 and "early access" in result.err, str(result)
    assert content_of(sluice.work) == {}
