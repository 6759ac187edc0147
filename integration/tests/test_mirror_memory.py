"""Memory of a mirror: what each entry of the listing costs, whatever the hub's pages are, and each manifest of a
ref's history nothing."""

import copy
import json

from .test_mirror_others import stored

MIB = 1 << 20
# A path, its digest, its address, the page that it came in, and what is to be done with it.
MOST = 1_200
FEW, MANY = 2_000, 40_000


def test_each_entry_of_a_listing_costs_little(sluice, make_hugging_face):
    hub = make_hugging_face(page_size=1000)
    peaks = []
    for count in (FEW, MANY):
        name = f"org/m{count}"
        hub.model(name).commit({f"data/part-{index // 1000:04}/sample-{index:07}.json": b"x%d" % (index % 7)
                                for index in range(count)})
        # With a target of its own, so that nothing is there.
        result = sluice("mirror", "--check-only", f"hf://{name}", f"out-{count}/", env=hub.environment())
        assert result.rc == 1, str(result)
        peaks.append(result.max_rss)
    each = (peaks[1] - peaks[0]) / (MANY - FEW)
    print(f"{MANY} entries: {peaks[1] / MIB:.0f} MiB, {each:.0f} bytes each")
    assert each <= MOST


def test_a_long_history_is_read_one_manifest_after_the_other(sluice, hugging_face):
    """The first --delete asks what every earlier manifest has brought."""
    hugging_face.model("org/m").commit({"a": b"A"})
    sluice.ok("mirror", "hf://org/m", "mirror/", env=hugging_face.environment())
    directory = sluice.work + "/mirror"
    with open(f"{directory}/.sluice/refs/main.json", encoding="ascii") as file:
        ref = json.load(file)
    with open(f"{directory}/.sluice/manifests/{ref['history'][0]['manifest']}.json", encoding="utf-8") as file:
        manifest = json.load(file)
    peaks = []
    for count in (2, 12):
        history = ref["history"][:1]
        for number in range(count):
            old = copy.deepcopy(manifest)
            old["tool"] = f"sluice {number}"
            old["files"] += [{**old["files"][0], "path": f"old/{index:06}"} for index in range(10_000)]
            history.append({**history[0], "manifest": stored(directory, old)})
        with open(f"{directory}/.sluice/refs/main.json", "w", encoding="ascii") as file:
            json.dump({**ref, "history": history}, file)
        result = sluice("mirror", "--check-only", "--delete", "hf://org/m", "mirror/", env=hugging_face.environment())
        assert result.rc == 1 and "10000 gone" in result.out, str(result)
        peaks.append(result.max_rss)
    each = (peaks[1] - peaks[0]) / 10
    print(f"{each / MIB:.1f} MiB for each manifest of 10,000 files")
    assert each <= MIB
