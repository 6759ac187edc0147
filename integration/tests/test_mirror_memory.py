"""Memory of a mirror: what each entry of the listing costs, whatever the hub's pages are."""

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
