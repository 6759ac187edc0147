"""The cases of hubs (docs/performance.md): a whole model from the fake of the Hugging Face hub, beside its own client.

Both speak plain HTTP: there is no Xet behind the fake. nginx serves the files, with the redirects and fields of the hub,
and leaves the few requests of the API to the fake: its Python would be what both wait for.
"""

import os

from integration.servers.content import Content
from integration.servers.hub_huggingface import HuggingFaceHub
from integration.servers.nginx import Nginx

from .cases import Case, gone
from .measure import BenchError, Contestant

def holds_model(directory, files):
    """Raises unless the files lie below `directory` (the client's cache has links)."""
    for path, size in files.items():
        found = [os.path.join(at, name) for at, _, names in os.walk(directory) for name in names
                 if os.path.join(at, name).endswith("/" + path)]
        if not found or os.path.getsize(found[0]) != size:
            raise BenchError(f"{directory} lacks {path} of {size} bytes")


def locations(api, commit):
    """Lines of nginx's configuration: where the hub has each file, as it answers (hubs.md 1.3)."""
    lines = [f"location /api/ {{ proxy_pass {api}; }}", "etag off;"]
    for path, file in commit.files.items():
        asked, commit_field = f"/org/m/resolve/{commit.sha}/{path}", f"add_header X-Repo-Commit {commit.sha};"
        if file.lfs:
            lines.append(f"location = {asked} {{ {commit_field} add_header X-Linked-Size {file.size}; "
                         f"add_header X-Linked-ETag '\"{file.etag}\"'; return 302 $scheme://localhost:$server_port/cdn/{path}; }}")
            lines.append(f"location = /cdn/{path} {{ add_header ETag '\"{file.etag}\"'; try_files /{path} =404; }}")
            continue
        cached = f"/api/resolve-cache/models/org/m/{commit.sha}/{path}"
        fields = f"{commit_field} add_header ETag '\"{file.etag}\"';"
        lines.append(f"location = {asked} {{ {fields} absolute_redirect off; return 307 {cached}; }}")
        lines.append(f"location = {cached} {{ {fields} try_files /{path} =404; }}")
    return "\n".join(lines)


def model(setting, place, title, files):
    """`files`: path -> bytes or Content."""
    hub = setting.stack.enter_context(HuggingFaceHub(page_size=10_000))
    repo = hub.model("org/m")
    repo.commit(files)
    commit = repo.resolve("main")
    root = os.path.join(setting.fast, title.split()[0])
    for path, file in commit.files.items():
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        file.content.write_to(os.path.join(root, path))
    front = setting.stack.enter_context(Nginx(root=root, locations=locations(hub.url, commit)))
    sizes = {path: file.size for path, file in commit.files.items()}
    last = dict(list(sizes.items())[-2:])
    base = setting.place(place)
    mirror, cache = os.path.join(base, "mirror"), os.path.join(base, "hf")
    seen = 0

    def before():
        nonlocal seen
        gone(mirror)
        gone(cache)
        seen = len(front.log())

    def requests():
        return len(front.log()) - seen

    address = {"HF_ENDPOINT": front.url}
    env = {**address, "HF_HOME": cache, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
           "HF_HUB_DISABLE_TELEMETRY": "1"}
    return Case(f"hub-{title.split()[0]}-{place}", f"hub: {title}, {place}", sum(sizes.values()), [
        Contestant("hf", ["hf", "download", "org/m"], env, before, lambda: holds_model(cache, last), requests=requests),
        Contestant("sluice", [setting.sluice, "mirror", "-q", "hf://org/m", mirror + "/"], address, before,
                   lambda: holds_model(mirror, last), requests=requests),
    ], {})


def large(setting, place):
    small = {f"d{index % 7}/f{index}.json": b"%d" % index * 200 for index in range(300)}
    case = model(setting, place, f"model of 2 shards of {setting.size >> 20:,} MiB and 300 small files",
                 {**small, "a.bin": Content(setting.size, 1), "b.bin": Content(setting.size, 2)})
    case.bars = {("sluice", "hf"): {"wall": 0.4, "cpu": 0.4, "requests": 0.55}}
    return case


def small(setting, place):
    case = model(setting, place, "small files, 2,500 of them",
                 {f"d{index % 23}/f{index}.json": b"%d" % index * 200 for index in range(2_500)})
    case.bars = {("sluice", "hf"): {"wall": 0.3}}
    return case


CASES = {
    "hub-model-disk": lambda setting: large(setting, "disk"),
    "hub-small-disk": lambda setting: small(setting, "disk"),
}
