"""What of a revision is not in its mirror: refused by us, which is an error until it comes, or left out by the user."""

import os

import pytest

from .test_mirror import below, env, place, repo, wanted

NAME = "model.safetensors"


def contradict(page):
    """Another SHA-256 than the pointer that git names."""
    return [{**entry, "lfs": {**entry["lfs"], "oid": "0" * 64}} if entry["path"] == NAME else entry for entry in page]


@pytest.mark.parametrize("edit, path, status", [
    (contradict, NAME, 4),
    (lambda page: page + [{"type": "file", "oid": "0" * 40, "size": 1, "path": "sub/../x"}], "sub/../x", 1),
], ids=["digest", "name"])
def test_what_is_refused_is_an_error_until_it_comes(place, sluice, hugging_face, repo, env, edit, path, status):
    place = place("file")
    hugging_face.fault("tree", {"do": "edit", "edit": edit})
    for words in (["-n"], []):
        result = sluice("mirror", *words, "hf://org/m", place.location, env=env)
        assert result.rc == status and path in result.err, str(result)
    ref, manifest = place.records()
    assert [entry["path"] for entry in manifest["left_out"]] == [path] and "1 refused" in result.err
    hugging_face.forget()
    for words in ([], ["--check-only"]):
        again = sluice("mirror", *words, "hf://org/m", place.location, env=env)
        assert again.rc == status and path in again.err and "up to date" not in again.out, str(again)
    assert place.records() == (ref, manifest), "nothing is new"
    assert {request.operation for request in hugging_face.requests} == {"info", "tree"}
    hugging_face.clear_faults()
    sluice.ok("mirror", "hf://org/m", place.location, env=env)
    assert place.files() == wanted(repo) and place.records()[1]["left_out"] == []
    assert "up to date" in sluice.ok("mirror", "hf://org/m", place.location, env=env).out


def test_who_excludes_what_is_refused_has_no_error(place, sluice, hugging_face, repo, env):
    hugging_face.fault("tree", {"do": "edit", "edit": contradict})
    words = ["mirror", "--exclude", NAME, "hf://org/m", "mirror/"]
    sluice.ok(*words, env=env)
    assert "not selected" in place("file").records()[1]["left_out"][0]["reason"]
    assert "up to date" in sluice.ok(*words, env=env).out


def test_nothing_is_deleted_after_a_refusal_and_the_error_before_it_says_what_was(sluice, hugging_face, repo, env):
    sluice.ok("mirror", "hf://org/m", "mirror/", env=env)
    repo.commit({"empty": None})
    hugging_face.fault("tree", {"do": "edit", "edit": contradict})
    result = sluice("mirror", "--delete", "hf://org/m", "mirror/", env=env)
    assert result.rc == 1 and "nothing is deleted" in result.err and NAME in result.err, str(result)
    assert "-v" not in result.err and os.path.exists(sluice.work + "/mirror/empty")
