import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceContentStore

@Suite struct MountReportTests {
    private static let all = Dictionary(
        uniqueKeysWithValues: MountTrait.allCases.filter { $0 != .foldsCase }.map { ($0, MountFinding.yes) }
    )

    private func report(_ type: String, _ options: String) -> MountProbeReport {
        let line = "42 27 0:39 / /mnt/nas rw,relatime shared:1 - \(type) host:/export \(options)"
        return MountProbeReport(MountReportTests.all, MountDescription.find(42, in: Array(line.utf8)), nil)
    }

    @Test func `a line of the kernel's table is understood`() throws {
        let table = """
            22 1 8:1 / / rw - ext4 /dev/root rw
            garbage
            42 27 0:39 /a\\040b /mnt/my\\040nas rw,relatime shared:1 master:2 - nfs4 host:/export rw,vers=4.2,soft

            """
        let mount = try #require(MountDescription.find(42, in: Array(table.utf8)))
        #expect(mount.type == "nfs4" && mount.source == "host:/export" && mount.point == "/mnt/my nas")
        #expect(mount.options == ["rw", "relatime", "vers=4.2", "soft"])
        #expect(mount.value(of: "vers") == "4.2" && mount.isNFS)
        #expect(MountDescription.find(7, in: Array(table.utf8)) == nil)
    }

    @Test(arguments: [
        "", "42", "42 27 0:39 / /mnt rw - ", "42 27 0:39 / /mnt rw shared:1 nfs4 host rw", "x 27 0:39 / /m rw - a b c",
        "42 27 0:39 / /mnt\\9 rw shared:1 -",
    ])
    func `a line that cannot be understood is no mount`(line: String) {
        #expect(MountDescription.find(42, in: Array(line.utf8)) == nil)
    }

    @Test(arguments: [
        ("rw,hard,local_lock=none", []), ("rw,soft", ["soft"]), ("rw,softerr,nolock", ["softerr", "nolock"]),
        ("rw,local_lock=all", ["local_lock"]), ("rw,nocto,noac", ["nocto", "noac"]),
    ])
    func `options that weaken a network file system are told`(options: String, subjects: [String]) {
        let report = report("nfs4", options)
        #expect(report.hazards.map(\.subject) == subjects)
        #expect(report.hazards.allSatisfy { $0.grade == .warning && $0.remedy != nil })
    }

    @Test func `clones on ZFS are not trusted`() {
        #expect(report("zfs", "rw").hazards.map(\.subject) == ["clones"])
        #expect(report("xfs", "rw").hazards.isEmpty)
        #expect(report("xfs", "rw").grade == .ok)
    }

    @Test func `a report comes back as it was`() throws {
        var findings = MountReportTests.all
        findings[.clones] = .no("clone: Operation not supported", 95)
        findings[.oneMount] = nil
        let skew = ClockSkew(server: StoreTime(nanoseconds: 4_000_000_000), local: StoreTime(nanoseconds: 1))
        let report = MountProbeReport(findings, report("nfs4", "rw,soft").mount, skew)
        let again = try MountProbeReport.decode(try report.encoded(), "the report")
        #expect(again == report && again.skew == skew && again[.oneMount] == nil && again[.clones]?.number == 95)
    }

    @Test(arguments: [
        "", "{}", "[]", "null", #"{"version":2,"findings":{}}"#, #"{"version":1,"findings":[]}"#,
        #"{"version":1,"findings":{"modes":{"holds":1}}}"#, #"{"version":1,"findings":{"modes":{}}}"#,
        #"{"version":1,"findings":{},"serverTime":1e300}"#, #"{"version":1,"findings":{},"mount":{"type":"x"}}"#,
    ])
    func `what is no report is refused`(text: String) throws {
        let error = try failure { _ = try MountProbeReport.decode(Array(text.utf8), "cache/mount.json") }
        #expect(error.object == "cache/mount.json" && error.remedy != nil)
    }

    @Test func `a report is bounded`() throws {
        let padded = #"{"version":1,"findings":{}}"# + String(repeating: " ", count: 70_000)
        let error = try failure { _ = try MountProbeReport.decode(Array(padded.utf8), "mount.json") }
        #expect(error.code == .badAnswer && "\(error)".contains("65536"))
    }

    @Test func `nothing in a report drives a terminal`() throws {
        let hostile = String(repeating: "\\u001b[2J\\u202e", count: 400)
        let text = """
            {"version":1,"findings":{"modes":{"holds":false,"reason":"\(hostile)","number":1},"other":{"holds":true}},
            "mount":{"type":"nfs\\u001b","source":"\(hostile)","point":"/","options":["soft","\\u0007"]},
            "serverTime":9223372036854775807,"localTime":-9223372036854775808}
            """
        let report = try MountProbeReport.decode(Array(text.utf8), "mount.json")
        let mount = try #require(report.mount)
        let shown = report.hazards.map(\.description).joined() + mount.source + mount.type + mount.options.joined()
        #expect(shown.unicodeScalars.allSatisfy { Printable.isPlain($0) })
        #expect(report[.modes]?.reason.map { $0.utf8.count < 4_000 } == true)
        #expect(report.hazards.map(\.subject).contains("clock"))
    }

    @Test func `the gravest hazard comes first`() {
        var findings = MountReportTests.all
        findings[.clones] = .no("no")
        findings[.modes] = .no("no")
        findings[.fileSync] = .no("no")
        let report = MountProbeReport(findings, nil, nil)
        #expect(report.hazards.map(\.grade) == [.unsafe, .warning, .ok])
        #expect(report.grade == .unsafe)
        #expect(MountHazard.Grade.ok < .warning && MountHazard.Grade.warning < .unsafe)
    }
}
