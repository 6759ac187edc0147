"""What `mirror --delete` may take away, where a place has more than one ref, or a ref more than one selection."""

import pytest

from .test_mirror import below, env, place
from .test_mirror_others import read


@pytest.fixture
def repo(hugging_face):
    """v1: a and b; main: a, b and c, then without a."""
    repo = hugging_face.model("org/m")
    repo.tag("v1", repo.commit({"a": b"A", "b": b"B"}))
    repo.commit({"c": b"C"})
    return repo


def files(found):
    return {path for path in found if not path.startswith(".sluice/")}


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_what_another_ref_of_the_place_has_stays(place, sluice, repo, env, kind):
    place = place(kind)
    for revision in ("v1", "main"):
        sluice.ok("mirror", "--rev", revision, "hf://org/m", place.location, env=env)
    repo.commit({"a": None, "c": None})
    for words in (["-n"], []):
        result = sluice("mirror", *words, "--delete", "--rev", "main", "hf://org/m", place.location, env=env)
        assert result.rc == 1 and "v1" in result.err and "/a: it is not deleted" in result.err, str(result)
    assert files(place.read()) == {"a", "b"}, "c is no other ref's"
    assert "up to date" in sluice.ok("mirror", "--rev", "v1", "hf://org/m", place.location, env=env).out
    # What the other ref does not have any more goes.
    repo.tag("v1", repo.head("main"))
    sluice.ok("mirror", "--rev", "v1", "hf://org/m", place.location, env=env)
    sluice.ok("mirror", "--delete", "--rev", "main", "hf://org/m", place.location, env=env)
    assert files(place.read()) == {"b"}


def test_other_bytes_than_another_ref_has_are_not_its_own(place, sluice, repo, env):
    place = place("file")
    sluice.ok("mirror", "--rev", "v1", "hf://org/m", place.location, env=env)
    repo.commit({"a": b"another"})
    sluice.ok("mirror", "--overwrite", "--rev", "main", "hf://org/m", place.location, env=env)
    repo.commit({"a": None})
    sluice.ok("mirror", "--delete", "--rev", "main", "hf://org/m", place.location, env=env)
    assert files(place.read()) == {"b", "c"}


def test_what_was_not_selected_for_a_while_goes_once_it_is_gone(place, sluice, repo, env):
    place = place("file")
    sluice.ok("mirror", "hf://org/m", place.location, env=env)
    sluice.ok("mirror", "--include", "a", "--delete", "hf://org/m", place.location, env=env)
    assert files(place.read()) == {"a", "b", "c"}
    repo.commit({"b": None})
    sluice.ok("mirror", "--include", "a", "--delete", "hf://org/m", place.location, env=env)
    assert files(place.read()) == {"a", "c"}


@pytest.mark.parametrize("kind", ["file", "s3", "store"])
def test_another_model_under_another_ref_is_refused(sluice, hugging_face, repo, env, store, s3_fault, kind):
    hugging_face.model("org/n").commit({"n": b"N"})
    hugging_face.model("org/n").tag("v1", hugging_face.model("org/n").head("main"))
    target = {"file": "mirror/", "s3": "s3://bucket/m/", "store": f"cas:{store.root}/tree/"}[kind]
    s3_fault.requests.clear()
    sluice.ok("mirror", "--rev", "main", "hf://org/m", target, env=env)
    if kind == "s3":
        assert len(s3_fault.requests_for("ListObjectsV2")) == 2, "whose place it is, and what is there"
    for words in (["-n"], []):
        result = sluice("mirror", *words, "--rev", "v1", "hf://org/n", target, env=env)
        assert result.rc == 1 and "another model" in result.err and "org/m" in result.err, str(result)
    assert hugging_face.requests_for("cache", repo="org/n") == []
    sluice.ok("mirror", "--rev", "v1", "hf://org/m", target, env=env)
