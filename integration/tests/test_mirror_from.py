"""`mirror --from models.yaml`: many models from one file, each with its own rules, and none that keeps another."""

import os

import pytest

from .test_mirror import MIB, below


@pytest.fixture
def hub(hugging_face, payload):
    one = hugging_face.model("org/one")
    one.commit({"config.json": b"{}", "model.safetensors": payload(1 * MIB, 1), "model.bin": payload(1 * MIB, 2)})
    two = hugging_face.model("org/two")
    two.tag("v1", two.commit({"config.json": b"[]", "old.txt": b"old"}))
    two.commit({"old.txt": None})
    hugging_face.two = two
    return hugging_face


@pytest.fixture
def env(hugging_face, s3_fault):
    return {**hugging_face.environment(), **s3_fault.endpoint.environment()}


@pytest.fixture
def mirror(sluice, env):
    """mirror(yaml, *words): the run with a file of this text."""
    def run(text, *words):
        path = os.path.join(sluice.work, "models.yaml")
        with open(path, "wb") as file:
            file.write(text.encode() if isinstance(text, str) else text)
        return sluice("mirror", "--from", "models.yaml", *words, env=env)
    return run


FULL = """
# All of them, unless they say otherwise.
defaults:
  to: all/
  exclude: ["*.bin"]
models:
  - hf://org/one
  - source: hf://org/two
    rev: [v1, main]
    to: s3://bucket/two/
    also: cas:{store}
    priority: 10
  - source: hf://org/one
    to: cache
    layout: hf-cache
    include:
      - "*.json"
      - "*.bin"
    exclude: []
"""


def test_each_model_goes_by_its_own_rules(sluice, mirror, hub, store, s3_fault):
    result = mirror(FULL.format(store=store.root), "--json")
    assert result.rc == 0, str(result)
    told = [(event["source"], event["done"]) for event in result.events if event["event"] == "model"]
    assert told == [("hf://org/two", True), ("hf://org/one", True), ("hf://org/one", True)], "priorities first"
    one = below(os.path.join(sluice.work, "all/org/one"))
    assert "model.safetensors" in one and "model.bin" not in one, "shared places have names, defaults hold"
    kept = set(s3_fault.buckets["bucket"].objects)
    assert {"two/@v1/old.txt", "two/@v1/config.json", "two/@main/config.json"} <= kept and "two/@main/old.txt" not in kept
    assert {"config.json", "old.txt"} <= set(store.tree("org/two", hub.two.head("v1"), kind="hf"))
    cache = below(os.path.join(sluice.work, "cache/models--org--one/snapshots"))
    assert {os.path.basename(path) for path in cache} == {"config.json", "model.bin"}
    hub.forget()
    again = mirror(FULL.format(store=store.root))
    assert again.rc == 0 and {request.operation for request in hub.requests} == {"info"} and len(hub.requests) == 4


def test_a_dry_run_tells_what_would_come(mirror, hub, sluice, store):
    result = mirror(FULL.format(store=store.root), "-n", "--json")
    plans = {(event["source"], event["target"]): event for event in result.events if event["event"] == "mirror_plan"}
    assert result.rc == 0 and len(plans) == 6, str(result)
    assert {plan["new_bytes"] for (source, _), plan in plans.items() if source == "hf://org/one"} == {MIB + 2}
    assert os.listdir(sluice.work) == ["models.yaml"] and hub.requests_for("resolve") == []
    assert mirror("models: [hf://org/one]", "--check-only", "all/").rc == 1
    assert mirror("models: [hf://org/one]", "all/").rc == 0
    assert mirror("models: [hf://org/one]", "--check-only", "all/").rc == 0


def test_a_model_that_fails_keeps_no_other(mirror, hub, sluice):
    result = mirror("models: [hf://org/none, hf://org/one, https://example.org/x, hf://org/two]", "all/")
    assert result.rc != 0 and "org/none" in result.err and "no revisions" in result.err
    assert "2 of 4 models failed" in result.err
    assert "mirrored  hf://org/two" in result.err and "failed    hf://org/none" in result.err
    assert {"org/one/config.json", "org/two/config.json"} <= set(below(os.path.join(sluice.work, "all")))


def test_a_target_of_the_command_line_is_for_those_that_name_none(mirror, hub, sluice):
    assert mirror("models:\n - hf://org/one\n - {source: hf://org/two, to: two}\n", "rest").rc == 0
    assert os.path.exists(os.path.join(sluice.work, "rest/org/one/config.json"))
    assert os.path.exists(os.path.join(sluice.work, "two/config.json"))


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi")) + "? *i\n: 1\n"


@pytest.mark.parametrize("text, line, part", [
    ("models:\n  - source: hf://org/one\n    exlude: ['*.bin']\n", 3, "'exlude'"),
    ("models: []\nmodel: x\n", 2, "'model'"),
    ("defaults:\n  source: hf://org/one\nmodels: []\n", 2, "'source'"),
    ("models:\n  - source: hf://org/one\n    priority: high\n", 3, "priority"),
    ("models:\n  - source: hf://org/one\n    priority: 1001\n", 3, "priority"),
    ("models:\n  - source: hf://org/one\n    layout: flat\n", 3, "hf-cache"),
    ("models:\n  - source: hf://org/one\n    rev:\n      a: b\n", 4, "rev"),
    ("models:\n  - source: hf://org/one\n    rev: [v1, v1]\n", 3, "twice"),
    ("models:\n  - source: hf://org/one\n    include: ['a{b']\n", 3, "include"),
    ("models:\n  - rev: v1\n", 2, "source"),
    ("models:\n  - hf://org/one\n  - nowhere://x\n", 3, "nowhere"),
    ("models:\n  - source: hf://org/one\n    source: hf://org/two\n", 2, "twice"),
    ("models: [hf://org/one\n", 2, "YAML"),
    ("- hf://org/one\n", 1, "mapping"),
    ("defaults: {to: x}\n", 1, "models"),
    ("models: [[hf://org/one]]\n", 1, "mapping"),
    ("models:\n  - &a hf://org/one\n", 2, "alias"),
    (BOMB, 1, "alias"),
])
def test_what_has_no_meaning_is_told_with_its_line(mirror, hub, sluice, text, line, part):
    result = mirror(text, "all/")
    assert result.rc == 2 and f"models.yaml:{line}:" in result.err and part in result.err, str(result)
    assert hub.requests == [] and not os.path.exists(os.path.join(sluice.work, "all"))


@pytest.mark.parametrize("text", [
    b"models: " + b"[" * 100_000, b"- " * 200_000 + b"x", b"models: [" + b"x, " * 500_000 + b"x]", b"\xff\xfe\x00",
    b"models: " + b"{a: " * 50_000, b"? " * 100_000, b"", b"models:\n" + b"- hf://a/b\n" * 20_000, b"\x00" * 100,
    b"models: {" + b"".join(b"? [%d]\n: 1\n, " % number for number in range(20_000)) + b"}",
    b"models:\n" + b"".join(b" " * depth + b"a:\n" for depth in range(1400)),
])
def test_a_hostile_file_is_refused_soon_and_in_little_memory(mirror, hub, text):
    result = mirror(text, "all/")
    assert result.rc == 2 and "models.yaml" in result.err, str(result)[:2000]
    assert result.max_rss < 300 * MIB and result.seconds < 60 and hub.requests == []


@pytest.mark.parametrize("words, part", [
    (["--rev", "v1"], "--rev"), (["--layout", "plain"], "--layout"), (["--include", "x"], "--include"),
    (["a", "b"], "only a target"), (["--also", "x"], "--also"), (["--priority", "1"], "--priority"), ([], "'to'"),
])
def test_what_the_file_says_is_not_said_twice(mirror, hub, words, part):
    result = mirror("models: [hf://org/one]", *words)
    assert result.rc == 2 and part in result.err, str(result)


def test_the_list_may_come_by_standard_input_and_must_be_there(sluice, hub, env):
    sluice.ok("mirror", "--from", "-", "all/", env=env, stdin=b"models: [hf://org/one]\n")
    result = sluice("mirror", "--from", "nowhere.yaml", "all/", env=env)
    assert result.rc == 2 and "nowhere.yaml" in result.err
