"""Who may do what at the Hugging Face fake, and how it says no (hubs.md 1.5): the four meanings of 401 and the rest."""

import dataclasses

from .hub_origin import JSON_TYPE, Answer

ANONYMOUS_MISSING = "Invalid username or password."
BAD_TOKEN = "Invalid credentials in Authorization header"
DISABLED = "Access to this resource is disabled."
GATED = ("Access to {name} is restricted. You must have access to it and be authenticated to access it. "
         "Please log in.")
NOT_APPROVED = ("Access to {name} is restricted and you are not in the authorized list. "
                "Visit {page} to ask for access.")


@dataclasses.dataclass
class Token:
    """A user's token; `.secret` is what goes on the wire. `orgs`: whose private repositories it opens besides the
    user's own; `reads`: further repositories; `gated` False: a fine-grained token without that right; `revoked`."""

    secret: str
    name: str
    orgs: tuple = ()
    reads: tuple = ()
    gated: bool = True
    role: str = "read"
    revoked: bool = False

    def may_read(self, repo):
        return repo.namespace in (self.name, *self.orgs) or repo.id in self.reads

    def whoami(self):
        return {"type": "user", "id": "65f0aa0000000000000000aa", "name": self.name, "fullname": self.name.title(),
                "email": f"{self.name}@example.org", "emailVerified": True, "canPay": False, "isPro": False,
                "periodEnd": None, "avatarUrl": "/avatars/0.svg",
                "orgs": [{"type": "org", "name": name, "roleInOrg": "read"} for name in self.orgs],
                "auth": {"type": "access_token", "accessToken": {
                    "displayName": "sluice", "role": self.role, "createdAt": "2026-01-02T03:04:05.000Z"}}}


class Refused(Exception):
    """An answer that says no."""

    def __init__(self, status, code, message, commit=None):
        super().__init__(message)
        self.status, self.code, self.message, self.commit = status, code, message, commit

    def answer(self, api):
        """JSON from the API, plain text where files are."""
        headers = [("X-Error-Message", self.message)]
        headers += [("X-Error-Code", self.code)] if self.code else []
        headers += [("X-Repo-Commit", self.commit)] if self.commit else []
        if api:
            body = '{"error":"%s"}' % self.message.replace("\\", "\\\\").replace('"', '\\"')
            return Answer(body, self.status, JSON_TYPE, headers)
        return Answer(self.message, self.status, "text/plain; charset=utf-8", headers)


def missing(token):
    """What is not there, or not for this client to know of: 401 to nobody, 404 to somebody."""
    if token is None:
        return Refused(401, None, ANONYMOUS_MISSING)
    return Refused(404, "RepoNotFound", "Repository not found")


def closed(repo, token, host):
    """A gated repository to those who are not let in."""
    kind, where = repo.kind, f"{host}/{repo.prefix}{repo.id}"
    if token is None:
        return Refused(401, "GatedRepo", GATED.format(name=f"{kind} {repo.id}"))
    if not token.gated:
        return Refused(403, "GatedRepo", "Please enable access to public gated repositories in your fine-grained token "
                                         "settings to view this repository.")
    return Refused(403, "GatedRepo", NOT_APPROVED.format(name=f"{kind} {repo.id}", page=where))


def revision_not_found(revision):
    return Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")


def no_page():
    return Refused(404, None, "Sorry, we can't find the page you are looking for.")


def check_visible(repo, token):
    """Raises for a repository that this client may not know of."""
    if repo is None or (repo.private and (token is None or not token.may_read(repo))):
        raise missing(token)


def check_files(repo, token, host):
    """Raises for a repository whose files this client may not have."""
    if repo.disabled:
        raise Refused(403, None, DISABLED)
    if repo.gated and not (token and token.gated and (token.name in repo.approved or token.may_read(repo))):
        raise closed(repo, token, host)


# What the fault `error` says: status, X-Error-Code, message. The first four are the meanings of 401.
ERRORS = {
    "missing": (401, None, ANONYMOUS_MISSING),
    "private": (401, None, ANONYMOUS_MISSING),
    "gated": (401, "GatedRepo", GATED.format(name="model org/name")),
    "bad-token": (401, None, BAD_TOKEN),
    "not-approved": (403, "GatedRepo", NOT_APPROVED.format(name="model org/name",
                                                           page="https://huggingface.co/org/name")),
    "repo-not-found": (404, "RepoNotFound", "Repository not found"),
    "revision-not-found": (404, "RevisionNotFound", "Invalid rev id: main"),
    "entry-not-found": (404, "EntryNotFound", "Entry not found"),
    "disabled": (403, None, DISABLED),
}


def error(plan, kind):
    """One of the hub's refusals (ERRORS): "missing", "private", "gated", "bad-token" are the four meanings of 401."""
    refused = Refused(*ERRORS[kind]).answer(plan.request.path.startswith("/api/"))
    plan.replace_body(refused.body.encode(), refused.status, refused.content_type)
    for name in ("Location", "ETag", "Link", "X-Linked-Size", "X-Linked-ETag", "X-Xet-Hash"):
        plan.set_header(name, None)
    for name, value in refused.headers:
        plan.set_header(name, value)
