"""The Hugging Face hub's URLs, read and written (hubs.md 1.1)."""

import dataclasses
from urllib.parse import quote, unquote_to_bytes

KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
VERBS = ("revision", "tree", "paths-info", "refs", "commits", "auth-check", "xet-read-token")


@dataclasses.dataclass
class Where:
    """What a path means: the operation, and for one of a repository its name, revision and path within."""

    operation: str
    kind: str = "model"
    name: str = ""
    revision: str | None = None
    path: str = ""


def locate(path):
    """What a raw (still quoted) path means."""
    parts = [unquote_to_bytes(part).decode("utf-8", "surrogateescape") for part in path.lstrip("/").split("/")]
    if parts[:2] == ["api", "whoami-v2"]:
        return Where("whoami")
    if parts[:2] == ["api", "resolve-cache"] and len(parts) > 5 and parts[2] in KINDS:
        at = 4 if len(parts[4]) == 40 else 5
        return Where("cache", KINDS[parts[2]], "/".join(parts[3:at]), parts[at], "/".join(parts[at + 1:]))
    if parts[0] == "api":
        return of_repository(KINDS[parts[1]], parts[2:]) if parts[1] in KINDS and len(parts) > 2 else Where("other")
    return of_page(KINDS[parts[0]], parts[1:]) if parts[0] in ("datasets", "spaces") else of_page("model", parts)


def of_repository(kind, parts):
    """/api/models/NAME/...: a name has one segment or two."""
    length = 1 if len(parts) == 1 or parts[1] in VERBS else 2
    name, rest = "/".join(parts[:length]), parts[length:]
    if any("/" in part for part in parts[:length]):
        return Where("other", kind, name)       # org%2Fname: the hub says 400 to it
    if not rest:
        return Where("info", kind, name)
    verb, revision, path = rest[0], rest[1] if len(rest) > 1 else None, "/".join(rest[2:])
    if verb == "revision" and revision:
        return Where("info", kind, name, revision)
    if verb in ("refs", "auth-check") or (verb in VERBS[1:] and revision):
        return Where(verb, kind, name, revision, path)
    return Where("other")


def of_page(kind, parts):
    for length in (2, 1):
        if len(parts) > length + 1 and parts[length] in ("resolve", "raw"):
            return Where(parts[length], kind, "/".join(parts[:length]), parts[length + 1], "/".join(parts[length + 2:]))
    return Where("page", kind, "/".join(parts[:2])) if parts and parts[0] else Where("other")


def quoted(text, safe="/"):
    return quote(text, safe=safe, errors="surrogateescape")


def disposition(name):
    return "Content-Disposition", f"inline; filename*=UTF-8''{quoted(name, '')}; filename=\"{ascii_name(name)}\";"


def ascii_name(name):
    return "".join(char if " " <= char <= "~" and char not in '"\\' else "_" for char in name)


def is_text(file):
    try:
        return file.size <= 1 << 20 and "\0" not in file.bytes().decode()
    except UnicodeDecodeError:
        return False
