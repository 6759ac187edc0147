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
