"""What the tests of hubs as sources have in common."""

import os


def content_of(directory):
    """path -> bytes of all files below."""
    found = {}
    for at, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(at, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, directory)] = file.read()
    return found


def finished(result):
    """The events of transfers that ended well."""
    return [event for event in result.events if event["event"] == "finished"]


def outputs_hold(results, secret):
    """Whether any of the results' outputs has the secret in it."""
    return any(secret.encode() in output for result in results for output in (result.stdout, result.stderr))


def files_hold(directory, secret):
    """The files below that have the secret in them: state, temporaries, records, what was copied."""
    return [path for path, content in content_of(directory).items() if secret.encode() in content]


def damage(path):
    """Changes one byte of a file, and nothing else of it; returns what is there then."""
    with open(path, "r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
        file.seek(0)
        return file.read()


def mends(sluice, mirror, name, env):
    """A damaged file of a mirror is fetched again, and the mirror is sound then."""
    path = os.path.join(sluice.work, mirror, name)
    damage(path)
    assert sluice("verify", mirror).rc == 4
    mended = sluice("verify", "--repair", mirror, env=env)
    assert mended.rc == 0 and "1 of them repaired" in mended.err, str(mended)
    sluice.ok("verify", mirror)


def does_not_mend(sluice, mirror, name, env, *said):
    """The hub has another revision by now: that is told, and nothing is changed."""
    path = os.path.join(sluice.work, mirror, name)
    damaged = damage(path)
    before = content_of(os.path.join(sluice.work, mirror))
    result = sluice("verify", "--repair", mirror, env=env)
    assert result.rc == 4 and all(word in result.err for word in said), str(result)
    assert content_of(os.path.join(sluice.work, mirror)) == before and before[name] == damaged
