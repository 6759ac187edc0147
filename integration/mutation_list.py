"""The mutations of `integration.mutations`: what is taken out of the store's source, and which tests have to notice.

`old` is the exact text, after `before`; together they occur once in the file (`Sources/ContentStore/` where nothing else
is said). A statement is replaced by statements, `value=True` an expression by one of its type.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Mutation:
    name: str
    file: str
    old: str
    new: str = ""
    swift: str = ""         # the regular expression of `swift test --filter`
    python: tuple = ()      # what pytest shall run on the mutated binary, where no Swift test can see it
    value: bool = False
    before: str = ""
    more: str = ""          # declarations that `new` needs


STORE = "Sources/ContentStore"
DURABLE = "DurabilityTests|DurableChangesTests"
VIEWS = "ViewDurabilityTests"
POWER = ("test_store_invariants.py::test_what_was_just_reported_survives_the_cut",)
WRITE_BACK = ("test_store_invariants.py::test_an_error_of_the_last_write_back_is_heard",)


def _sync(name, file, old, swift=DURABLE, **rest):
    """Without this sync."""
    return Mutation(f"no sync: {name}", file, old, swift=swift, **rest)


def _value(name, file, old, new, swift="", **rest):
    return Mutation(name, file, old, new, swift, value=True, **rest)


SYNCS = [
    _sync("fsync(2) of files", f"{STORE}/Operations/SystemOperations.swift",
          'try durable("fsync") { fsync(file.raw) }', swift="", python=POWER),
    _sync("fsync(2) of directories", f"{STORE}/Operations/SystemOperations.swift",
          'try durable("fsync") { fsync(directory.raw) }', swift="", python=POWER),
    _sync("what close(2) reports", f"{STORE}/Operations/SystemOperations.swift",
          'if close(duplicate) != 0, errno != EINTR { throw SystemFailure("close", errno) }', swift="",
          new="_ = close(duplicate)", python=WRITE_BACK),
    _sync("a file", f"{STORE}/Operations/StoreFiles.swift", "try operations.sync(file)"),
    _sync("a file's close", f"{STORE}/Operations/StoreFiles.swift", "try operations.flush(file)", swift="PublishTests"),
    _sync("a record", f"{STORE}/Operations/StoreFiles.swift", "try syncFile(file, entry.path)"),
    _sync("a made directory's name", f"{STORE}/Operations/StoreFiles.swift", "try syncDirectory(parent)"),
    _sync("a replaced name", f"{STORE}/Operations/StoreFiles.swift", "try syncDirectory(to.directory)"),
    _sync("a blob", f"{STORE}/Publish/StoreWriter+Publish.swift", "try files.syncFile(staged.file, staged.entry.path)"),
    _sync("the names of published blobs", f"{STORE}/Publish/StoreWriter+Publish.swift",
          "store.syncShards(of: placed.map { BlobKey(blobs[$0].digest) })", new="[StoreName: SluiceError]()", value=True),
    _sync("the directories of blobs", f"{STORE}/ContentStore+Blobs.swift", "try files.syncDirectory(layout.blobs)"),
    _sync("a directory of blobs", f"{STORE}/ContentStore+Blobs.swift",
          "opened.append((name, shard))"),
    _sync("a blob that was linked back", f"{STORE}/ContentStore+Blobs.swift", "try files.syncDirectory(shard)",
          before="keeping: true)\n        "),
    _sync("the place of a blob that was set aside", f"{STORE}/ContentStore+Blobs.swift",
          "try files.syncDirectory(entry.directory)"),
    _sync("the blobs of a commit", f"{STORE}/Manifests/StoreWriter+Commit.swift",
          "if let failure = store.syncShards(of: Array(manifest.blobs.keys)).values.first { throw failure }"),
    _sync("a manifest", f"{STORE}/Manifests/StoreWriter+Commit.swift", "try files.syncDirectory(directory)"),
    _sync("merged manifests and removed files", f"{STORE}/Manifests/StoreWriter+Merge.swift",
          "try files.syncDirectory(directory)"),
    _sync("a removed tree", f"{STORE}/Manifests/ContentStore+Manifests.swift", "try files.syncDirectory(directory)"),
    _sync("a removed head", f"{STORE}/Manifests/ContentStore+Manifests.swift", "try files.syncDirectory(heads)"),
    _sync("the trash", f"{STORE}/Collect/Collector.swift", "try files.syncDirectory(run)"),
    _sync("the places of condemned blobs", f"{STORE}/Collect/Collector.swift",
          "for shard in shards.sorted(by: { $0.key < $1.key }).map(\\.value) { try files.syncDirectory(shard) }"),
    _sync("the place of a damaged manifest", f"{STORE}/Scrub/ScrubRun.swift",
          "try files.syncDirectory(manifest.directory)"),
    _sync("the place of a rotten blob", f"{STORE}/Scrub/ScrubRun+Shard.swift",
          "try files.syncDirectory(place.directory)"),
    _sync("the store's own name", f"{STORE}/ContentStore+Initialise.swift",
          "if let parent = try openRoot(path.parent, files) { try files.syncDirectory(parent) }"),
    _sync("the marker", f"{STORE}/ContentStore+Initialise.swift", "try files.syncDirectory(layout.root)"),
]

VIEW_SYNCS = [
    _sync("fsync(2) in views", f"{STORE}/Views/ViewCalls.swift",
          'try SystemFailure.check("fsync") { fsync(file.raw) }', swift="", python=POWER),
    _sync("syncfs(2) in views", f"{STORE}/Views/ViewCalls.swift",
          'try SystemFailure.check("syncfs") { sluice_syncfs(file.raw) }', swift="", python=POWER),
    _sync("a copy", f"{STORE}/Views/FilePlacer+Put.swift",
          "try together ? calls.writeBackStatus(copy.file) : calls.sync(copy.file)", VIEWS,
          new="if together { try calls.writeBackStatus(copy.file) }"),
    _sync("whether a copy was written back", f"{STORE}/Views/FilePlacer+Put.swift",
          "try together ? calls.writeBackStatus(copy.file) : calls.sync(copy.file)", VIEWS,
          new="if !together { try calls.sync(copy.file) }"),
    _sync("many copies", f"{STORE}/Views/FilePlacer+Put.swift", "try calls.syncFileSystem(directory.descriptor)", VIEWS),
    _sync("clones", f"{STORE}/Views/FilePlacer.swift", "try calls.syncFileSystem(directory.descriptor)", VIEWS),
    _sync("the clones of a checkout", f"{STORE}/Views/Materialiser.swift", "try placer.syncClones()", VIEWS),
    _sync("the directories of a checkout", f"{STORE}/Views/Materialiser.swift", "try calls.syncDirectory(directory)",
          VIEWS, before="            do throws(SystemFailure) {\n                "),
    _sync("the root of a checkout", "Sources/Pipeline/Paths/DirectoryRoot.swift", "try sync(parent)", VIEWS),
    _sync("what a checkout found", f"{STORE}/Views/FilePlacer+Occupant.swift", "try calls.sync(file)", VIEWS),
    _sync("the clones of a cache", f"{STORE}/Views/HuggingFaceView.swift", "try placer.syncClones()", VIEWS),
    _sync("the blobs of a cache", f"{STORE}/Views/HuggingFaceView.swift",
          "try cache.sync([place.repository + [HuggingFacePlace.blobs], place.repository, []])", VIEWS),
    _sync("a cache's branch", f"{STORE}/Views/HuggingFaceCache.swift", "try calls.sync(file)", VIEWS),
    _sync("the name of a cache's branch", f"{STORE}/Views/HuggingFaceCache.swift",
          "try sync((0...path.count).map { Array(path.prefix($0)) })", VIEWS),
    _sync("the links of a snapshot", f"{STORE}/Views/HuggingFaceCache+Snapshot.swift", "try sync(directories)", VIEWS),
    _sync("a snapshot's name", f"{STORE}/Views/HuggingFaceCache+Snapshot.swift",
          "try sync([place.snapshots, place.repository])", VIEWS,
          before="object: snapshots.path(of: Array(place.commit.utf8)))\n        }\n        "),
    _sync("the name of a snapshot that was there", f"{STORE}/Views/HuggingFaceCache+Snapshot.swift",
          "try sync([place.snapshots, place.repository])", VIEWS,
          before="try fill(place.snapshot, entries, replacing, substitute)\n        "),
]

COMMITS = [
    _value("commit: blobs are not opened again afterwards", f"{STORE}/Manifests/StoreWriter+Commit.swift",
           "missing(manifest)", "[Digest]()", "ManifestTests", before="try publish(manifest)\n        let missing = try "),
    _value("commit: blobs are not opened before", f"{STORE}/Manifests/StoreWriter+Commit.swift",
           "missing(manifest)", "[Digest]()", "ManifestTests",
           before="try pin(manifest.files.map(\\.digest))\n        let missing = try "),
    _value("commit: what stat shows is believed", f"{STORE}/Manifests/StoreWriter+Commit.swift",
           "store.open(digest)", "store.located(digest)", "ManifestTests", before="guard let found = try ",
           more="""
extension ContentStore {
    fileprivate func located(_ digest: Digest) throws(SluiceError) -> OpenBlob? {
        guard let found = try locate(digest) else { return nil }
        let size = ByteCount(found.status.size)
        return OpenBlob(file: layout.root.descriptor, size: size, links: found.status.links, status: found.status)
    }
}
"""),
    Mutation("commit: nothing is pinned", f"{STORE}/Manifests/StoreWriter+Commit.swift",
             "try pin(manifest.files.map(\\.digest))", "", "ManifestTests"),
    _value("commit: a lease that ran out is no reason to look again", f"{STORE}/Manifests/StoreWriter+Commit.swift",
           "lapses == self.lapses", "true", "ManifestTests"),
    _value("merge: who is late publishes all the same", f"{STORE}/Manifests/StoreWriter+Merge.swift",
           "own.map { [StoreEntry($0.name, in: directory)] } ?? []", "[StoreEntry]()", "TreeAdditionTests"),
    _value("merge: what is gone after publishing is not heeded", f"{STORE}/Manifests/StoreWriter+Merge.swift",
           "try files.open(entry) != nil", "true", "TreeAdditionTests"),
    _value("open: a file that another host removed meanwhile is an error", f"{STORE}/Operations/StoreFiles.swift",
           "error.number != ESTALE", "true", "WriterTests"),
    _value("merge: the old go before the new one is there", f"{STORE}/Manifests/StoreWriter+Merge.swift", "true",
           "(try { () throws(SluiceError) -> Bool in for each in entries { try files.remove(each) }; return true }())",
           "DurableChangesTests", before="var isFirst = "),
    _value("open: the trash is not looked into", f"{STORE}/ContentStore+Blobs.swift", "trashRuns()", "[StoreDirectory]()",
           "CollectorTests|ManifestTests", before="for run in try "),
    Mutation("open: nothing is linked back", f"{STORE}/ContentStore+Blobs.swift",
             "if unknownRules.isEmpty { try? resurrect(condemned, found.file, digest) }", "",
             "CollectorTests|ManifestTests"),
]

COLLECTIONS = [
    _value("gc: the mtime is the age", f"{STORE}/Writers/StoreTime.swift", "max(status.modified, status.changed)",
           "status.modified", "CollectionPlanTests|CollectionReadingTests"),
    _value("gc: the local clock is the present", f"{STORE}/Collect/Collector.swift",
           "(writer?.clock ?? store.clock()).skew()",
           "ClockSkew(server: (writer?.clock ?? store.clock()).skew().local, "
           "local: (writer?.clock ?? store.clock()).skew().local)", "CollectorTests",
           before="let skew = try "),
    _value("now: the local clock is the present", f"{STORE}/Writers/StoreClock.swift", 
           "StoreTime(modified: try files.operations.status(of: file))",
           "StoreTime(nanoseconds: time.wallMilliseconds() * 1_000_000)", "WriterTests"),
    Mutation("now: the probe is not stamped by the server", f"{STORE}/Writers/StoreClock.swift",
             "try files.operations.touch(file)", "", "WriterTests"),
    _value("gc: clocks may differ", f"{STORE}/Collect/Collector.swift", "skew.isTooLarge", "false", "CollectorTests",
           before="if "),
    _value("gc: roots are read once before condemning", f"{STORE}/Collect/Collector.swift",
           "readRoots(now: now, beside: roots)", "roots", "CollectionReadingTests",
           before="gate(.blobsListed)\n        let again = try "),
    _value("gc: roots are read once before removing", f"{STORE}/Collect/Collector+Trash.swift",
           "readRoots(now: now, beside: roots)", "roots", "CollectionReadingTests",
           before="// A manifest that came while the first were read.\n        let again = try "),
    _value("gc: roots are not read after condemning", f"{STORE}/Collect/Collector.swift",
           "readRoots(now: now, beside: roots)", "roots", "CollectionReadingTests",
           before="let after = try "),
    _value("gc: each directory is listed once", f"{STORE}/Writers/ContentStore+Leases.swift", "!isFirst", "true",
           "CollectionReadingTests", before="var isComplete = "),
    _value("gc: few manifests are no doubt", f"{STORE}/Collect/CollectionPlan.swift", "now < last - now", "false",
           "CollectionPlanTests|CollectorTests"),
    _value("gc: no manifest is no doubt", f"{STORE}/Collect/CollectionPlan.swift", "now == 0", "false",
           "CollectionPlanTests|CollectorTests", before="if "),
    _value("gc: a lost manifest is no doubt", f"{STORE}/Collect/Collector.swift", "!lost.isEmpty", "false", "ScrubTests"),
    _value("gc: a live writer does not stop --exclusive", f"{STORE}/Collect/CollectionPlan.swift", "!live.isEmpty", "false",
           "CollectionPlanTests|CollectorTests", before="if options.isExclusive, "),
    Mutation("gc: what cannot be read is not there", f"{STORE}/Collect/Collector.swift",
             "let nonce = try store.read(name, file, in: directory, as: BlobUse.self) { roots.add($0) }\n"
             "                guard nonce != nil else { return false }",
             "_ = try? store.read(name, file, in: directory, as: BlobUse.self) { roots.add($0) }",
             "CollectorTests"),
    _value("gc: no grace before condemning", f"{STORE}/Collect/CollectionPlan.swift", "age > options.condemnAfter", "true",
           "CollectionPlanTests|CollectorTests"),
    _value("gc: a grace of any length", f"{STORE}/Collect/CollectionPlan.swift",
           "max(grace, CollectionOptions.shortestGrace)", "grace", "CollectionPlanTests"),
    _value("gc: no grace before removing", f"{STORE}/Collect/Collector+Trash.swift", "condemnedAt.age(at: now) > age",
           "true", "CollectorTests"),
    _value("gc: leases may outlast the second grace", f"{STORE}/Collect/CollectionPlan.swift",
           "max(condemnAfter, longestTimeToLive + CollectionOptions.shortestGrace)", "condemnAfter",
           "CollectionReadingTests|CollectionPlanTests"),
    _value("gc: pins are not heeded", f"{STORE}/Collect/CollectionPlan.swift", "!options.isVoid(seen)", "false",
           "CollectorTests", before="guard "),
    _value("gc: pins end with the lease", f"{STORE}/Collect/CollectionPlan.swift",
           "seen.isForgotten(after: condemnAfter)", "!seen.isAlive", "CollectorTests"),
    _value("gc: a process that is gone pins nothing", f"{STORE}/Collect/CollectionPlan.swift",
           "isExclusive && seen.lease.isOver", "seen.lease.isOver", "CollectorTests", before="|| "),
    _value("gc: no last look before a blob is moved", f"{STORE}/Collect/Collector.swift",
           "plan.stands(candidate, status)", "true", "CollectionReadingTests"),
    _value("gc: what is needed again waits in the trash", f"{STORE}/Collect/Collector+Trash.swift",
           "roots.keeps(key)", "false", "CollectionReadingTests", before="if "),
    Mutation("gc: what is needed meanwhile is not linked back before removing", f"{STORE}/Collect/Collector+Trash.swift",
             "if try !resurrectIfRoom(key, from: run, &report) { late.append((run, key)) }", "", "CollectionReadingTests",
             before="for (run, key, _) in old where again.keeps(key) {\n            "),
    _value("gc: what is needed meanwhile is removed", f"{STORE}/Collect/Collector+Trash.swift",
           "!again.keeps(key)", "true", "CollectionReadingTests"),
    _value("gc: what is needed meanwhile is not moved back", f"{STORE}/Collect/Collector.swift",
           "after.keeps(candidate.key)", "false", "CollectionReadingTests"),
    Mutation("gc: the trash has no list", f"{STORE}/Collect/Collector.swift",
             "_ = try files.write(try StoreRecord.encode(record), to: entry)", "", "CollectorTests|DurableChangesTests"),
    Mutation("gc: what was seen is not remembered", f"{STORE}/Collect/Collector.swift", "try remember(again.revisions)", "",
             "CollectorTests"),
]

PUBLISHING = [
    _value("publish: renames over what is there", f"{STORE}/Publish/PublishLadder.swift", ".link", ".rename",
           "PublishTests|LadderTests", before="mutating func start() -> Action { "),
    _value("publish: a mount without links renames over what is there", f"{STORE}/Publish/PublishLadder.swift",
           ".renameWithoutReplacing", ".rename", "PublishTests|LadderTests",
           before="rung = .withoutReplacing\n            return "),
    _value("publish: a lost reply is a failure", f"{STORE}/Publish/PublishLadder.swift", ".look", ".end(.failed(failure))",
           "LadderTests|PublishTests", before="doubt = failure\n        return "),
    Mutation("publish: a replaced name whose reply is lost is a failure", f"{STORE}/Operations/StoreFiles.swift",
             "guard let status = try? operations.status(of: file), let now = try? self.status(to),\n"
             "                now.isSameFile(as: status), (try? self.status(from)) == .some(nil)\n"
             '            else { throw SluiceError(error, "rename to \\(to.path)", object: from.path) }',
             'throw SluiceError(error, "rename to \\(to.path)", object: from.path)', "invariant 4"),
    _value("publish: a removal whose reply is lost is a failure", f"{STORE}/Operations/StoreFiles.swift",
           "error.number != ENOENT", "true", "invariant 4", before="// Also after a lost reply.\n            if "),
    _value("publish: other bytes than the published ones", f"{STORE}/Publish/StoreWriter+Publish.swift",
           "expected != blob.digest", "false", "PublishTests"),
    _value("publish: another length than was hashed", f"{STORE}/Publish/StoreWriter+Publish.swift",
           "size == blob.size.bytes", "true", "PublishTests", before="guard "),
    _value("publish: what is there is not hashed before a copy is dropped", f"{STORE}/Publish/StoreWriter+Publish.swift",
           "true", "false", "PublishTests", before="hashing: "),
    Mutation("publish: blobs stay writable", f"{STORE}/Publish/StoreWriter+Publish.swift",
             "try files.setMode(files.modes.blob, of: staged.file, staged.entry.path)", "", "PublishTests"),
    Mutation("publish: what an fsync failed for is kept", f"{STORE}/Publish/StoreWriter+Publish.swift",
             "if error.retry == .restart { try? staged.discard() }", "", "PublishTests"),
    Mutation("quarantine: bad bytes are removed", f"{STORE}/Publish/Quarantine.swift",
             "try files.replace(entry, file, to: target)", "try files.remove(entry)", "PublishTests|ScrubTests"),
    _value("adopt: a dead writer's file is written on", f"{STORE}/Writers/Adoption.swift", "copy(source, digest, pool)",
           "same(mine, pool)", "WriterTests", before="let adopted = try ", more="""
extension StoreWriter {
    fileprivate func same(_ mine: StoreEntry, _ pool: BufferPool) throws(SluiceError) -> AdoptedBlob {
        let other = temporary(".part")
        let file = try files.attempt("adopt", mine.path) { () throws(SystemFailure) in
            try files.operations.link(mine, to: other)
            return try files.operations.reopen(other.name, in: other.directory.descriptor)
        }
        let staged = StagedBlob(entry: other, file: file, files: files)
        return AdoptedBlob(staged: staged, hash: try files.digest(of: file, pool: pool, other.path))
    }
}
"""),
]

SCRUBS = [
    _value("scrub: through the cache", f"{STORE}/Scrub/ScrubRun.swift", "options.isCached", "true", "ScrubTests",
           before="isCached: "),
    Mutation("scrub: the cache is not dropped", f"{STORE}/Scrub/BlobLook.swift",
             "if access == .dropped { try files.operations.dropCache(of: file) }", "", "ScrubTests"),
    Mutation("scrub: a bad read is not repeated", f"{STORE}/Scrub/BlobReader.swift",
             "if found == first.expected { return .sound(file, status) }",
             "return found == first.expected ? .sound(file, status) : .corrupt(file, status, found: found)", "ScrubTests"),
    _value("scrub: an unreadable blob is a bad one", f"{STORE}/Scrub/BlobReader.swift", ".unreadable(failure)", ".gone",
           "ScrubTests", before="return "),
    Mutation("scrub: a finding is not written before the move", f"{STORE}/Scrub/ScrubRun.swift", "try save(unit)",
             "", "invariant 9: exactly", before="unit.record.add(finding)\n        "),
    _value("scrub: verdicts come as looks end", f"{STORE}/Scrub/LookQueue.swift",
           "!looks[..<index].contains { $0.unit == looks[index].unit }", "true", "ScrubOrderTests",
           before="hasEnded(looks[index].look) && "),
    _value("scrub: any number of files is open behind a long blob", f"{STORE}/Scrub/LookQueue.swift",
           "looks.count < Self.limit", "true", "ScrubOrderTests"),
    _value("scrub: a unit ends before its last verdict", f"{STORE}/Scrub/ScrubUnit.swift", "underWay == 0", "true",
           "ScrubOrderTests", before="entries.isEmpty && "),
    Mutation("scrub: goes on one blob too far", f"{STORE}/Scrub/ScrubRun+Shard.swift",
             "if let next = unit.record.next, name.description < next { continue }",
             "if let next = unit.record.next, name.description <= next { continue }", "ScrubTests"),
    Mutation("scrub: begins each directory anew", f"{STORE}/Scrub/ScrubRun+Shard.swift",
             "if let next = unit.record.next, name.description < next { continue }", "", "ScrubTests"),
    _value("scrub: what is in the trash stays bad there", f"{STORE}/Scrub/ScrubRun+Shard.swift", "trashRuns()",
           "[StoreDirectory]()", "ScrubTests", before="let condemned = try "),
    _value("scrub: a good blob is moved with the bad one's name", f"{STORE}/Scrub/ScrubRun+Shard.swift",
           "moved.status.isSameFile(as: status)", "true", "ScrubSweepTests", before="if let moved, "),
    _value("scrub: an unfinished move is taken for done", f"{STORE}/Scrub/ScrubRun.swift", "isSetAside(finding)", "true",
           "invariant 9: exactly", before="guard try "),
    _value("repair: a copy is not hashed", f"{STORE}/Repair/StoreWriter+Heal.swift", "staged.digest == digest", "true",
           "RepairTests", before="guard "),
]

VIEWS_AND_SINKS = [
    _value("views: a writable file is a hard link", f"{STORE}/Views/LinkMode.swift", "writable", "false",
           "LinkModesTests|MaterialiserTests", before="} else if "),
    _value("views: a blob that can be written to is linked", f"{STORE}/Views/LinkMode.swift", "!isSealed", "false",
           "MaterialiserTests|LinkModesTests", before="} else if "),
    Mutation("views: a cache leads into the store by symbolic links", f"{STORE}/Views/HuggingFaceView.swift",
             "options.modes.removeAll { $0 == .symlink }", "", "HuggingFaceViewTests"),
    _value("views: a copy is not compared with its blob", f"{STORE}/Views/FilePlacer+Put.swift", "found != blob.digest",
           "false", "MaterialiserTests", before="if "),
    Mutation("index: another store's file", f"{STORE}/Index/IndexBlock.swift",
             "owner.store.append(to: &place)", "", "AlternateIndexTests"),
    Mutation("index: a block of an earlier edition", f"{STORE}/Index/IndexBlock.swift",
             "owner.edition.append(to: &place)", "", "AlternateIndexTests"),
    Mutation("index: a block of another place", f"{STORE}/Index/IndexBlock.swift",
             "UInt64(number).append(to: &place)", "", "AlternateIndexTests"),
    _value("index: damaged", f"{STORE}/Index/IndexBlock.swift",
           "hash(records, number, of: owner) == BlobKey(block, at: room)", "true", "AlternateIndexTests"),
    _value("index: of yesterday", f"{STORE}/Index/AlternateIndex.swift",
           "manifests.isSubset(of: kept.manifests)", "true", "AlternateIndexTests"),
    _value("index: what removed trees said", f"{STORE}/Index/AlternateIndex.swift", "isThere(row.manifest)", "true",
           "AlternateIndexTests", before="where "),
    _value("index: what is left of a damaged one is enough", f"{STORE}/Index/AlternateWriter.swift",
           "isWhole == false", "false", "AlternateIndexTests"),
    Mutation("manifest: files are given before it is proven", f"{STORE}/Manifests/ContentStore+Manifests.swift",
             "try prove(hash)", "", "ManifestReadingTests", before="hash.update(block) }) else { return nil }\n        "),
    _value("sink: what the tree says is there", "Sources/Sinks/CAS/CASTarget.swift",
           "place.share.store.open(file.digest)?.size == file.size", "true",
           python=("test_store_invariants.py::test_a_tree_whose_blob_is_gone_is_no_reason_to_skip_it",), before="try "),
    _value("sink: what another name stood for once is believed", "Sources/Sinks/CAS/CASTarget.swift",
           "FileContent.digest(digest.algorithm, of: blob.file, pool: BufferPool(retained: 1)) == digest", "true",
           python=("test_store_invariants.py::test_another_name_is_compared_with_the_bytes",), before="try "),
    _value("sink: what was linked unread is noted", "Sources/Sinks/CAS/CASTarget.swift",
           "plan.isOneVersion || plan.isRecalled", "true",
           python=("test_listed_versions.py::test_what_was_linked_unread_says_nothing_of_the_version",)),
    _value("sink: of two contents of a version one is taken", "Sources/Sinks/CAS/Alternates.swift",
           "plain.count == 1", "!plain.isEmpty",
           python=("test_listed_versions.py::test_a_tag_that_stood_for_two_contents_names_none",)),
]

MUTATIONS = SYNCS + VIEW_SYNCS + COMMITS + COLLECTIONS + PUBLISHING + SCRUBS + VIEWS_AND_SINKS
