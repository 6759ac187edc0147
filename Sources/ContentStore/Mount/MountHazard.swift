import Glibc
import SluiceBytes

/// Something about a mount that who keeps a store on it should know.
package struct MountHazard: Hashable, Sendable, CustomStringConvertible {
    package enum Grade: String, Hashable, Sendable, Comparable {
        /// Slower or larger, never wrong.
        case ok
        /// The store copes, at a price.
        case warning
        /// A store here can lose or damage what it holds.
        case unsafe

        private var rank: Int { self == .unsafe ? 2 : self == .warning ? 1 : 0 }
        package static func < (left: Grade, right: Grade) -> Bool { left.rank < right.rank }
    }

    package let grade: Grade
    /// A trait's or an option's name.
    package let subject: String
    /// What is the matter.
    package let what: String
    /// What comes of it.
    package let why: String
    package let remedy: String?

    package var description: String {
        "\(subject): \(what): \(why)" + (remedy.map { ". \($0)" } ?? "")
    }
}

extension MountProbeReport {
    /// The gravest grade; `.ok` if nothing was found.
    package var grade: MountHazard.Grade { hazards.map(\.grade).max() ?? .ok }

    /// What follows from the findings, the gravest first.
    package var hazards: [MountHazard] {
        let all = MountTrait.allCases.compactMap { hazard($0) } + clockHazards + optionHazards
        return MountHazard.all(all)
    }

    private func hazard(_ trait: MountTrait) -> MountHazard? {
        guard let finding = self[trait] else { return nil }
        if trait == .foldsCase { return finding.holds ? foldedCase : nil }
        if trait == .clones, finding.holds { return cloneHazard }
        if finding.holds { return nil }
        let (grade, why, remedy) = verdict(trait, finding)
        return MountHazard(grade, trait.rawValue, finding.reason ?? "it does not hold", why, remedy)
    }

    private typealias Verdict = (MountHazard.Grade, String, String?)

    /// What the lack of a trait means.
    private func verdict(_ trait: MountTrait, _ finding: MountFinding) -> Verdict {
        switch trait {
        case .exclusiveCreate: (.unsafe, "two writers can get one file", otherMount)
        case .fileSync: (.unsafe, "a power cut can empty files that were reported as arrived", otherMount)
        case .directorySync: directorySync(finding)
        case .hardLinks: noLinks
        case .linkRefusesExisting: (.unsafe, "a blob that others read can be replaced unnoticed", otherMount)
        case .renameRefusesExisting:
            holds(.hardLinks)
                ? (.ok, "hard links publish blobs, and this is not needed", nil)
                : (.ok, "NFS answers so for any flag of renameat2(2)", nil)
        case .renameReplaces: (.unsafe, "heads and leases cannot be renewed", otherMount)
        case .reopenAfterReplace: (.unsafe, "a head or a lease that was renewed is read as it was before", otherMount)
        default: lesser(trait)
        }
    }

    private func lesser(_ trait: MountTrait) -> Verdict {
        switch trait {
        case .modes: (.warning, "anybody who may write in the directory can change a blob's bytes", onlySluice)
        case .symbolicLinks: (.ok, "views are made of hard links or copies", nil)
        case .clones: (.ok, "what comes out is hard-linked or copied", nil)
        case .longNames: (.warning, "models and files with long names cannot be kept", nil)
        case .reserves: (.ok, "a full disk is seen when the bytes come, not before", nil)
        case .localLocks: (.ok, "the store needs no locks; other programs here may", nil)
        case .oneMount:
            (.unsafe, "what is published cannot be linked, only copied", "Mount one file system over the whole store")
        default: (.warning, "it was expected", nil)
        }
    }

    private var otherMount: String { "Do not keep a store on this mount" }
    private var onlySluice: String { "Let nothing but Sluice write there" }

    private func directorySync(_ finding: MountFinding) -> Verdict {
        let isKnown = [EINVAL, ENOENT, ENOTSUP].contains(finding.number)
        return isKnown
            ? (.warning, "a power cut of the server can take names whose files had arrived", "Run scrub after a cut")
            : (.unsafe, "whether names last is not known", "Look at the server's and the kernel's log")
    }

    private var noLinks: Verdict {
        holds(.renameRefusesExisting)
            ? (.ok, "blobs are published by a rename that does not replace", nil)
            : (
                .warning,
                "blobs are published by a rename: a second writer of the same content replaces the first one's file, and "
                    + "who has it open on another host gets ESTALE or SIGBUS",
                "Use a mount with hard links where several hosts write"
            )
    }

    private var foldedCase: MountHazard {
        MountHazard(
            .ok,
            MountTrait.foldsCase.rawValue,
            "upper and lower case are one",
            "the store's own names are all lower case; a tree that is copied here can have two names that collide",
            nil
        )
    }

    private var cloneHazard: MountHazard? {
        guard let mount, mount.type == "zfs" else { return nil }
        return MountHazard(
            .warning,
            MountTrait.clones.rawValue,
            "this is ZFS",
            "its block cloning has put zeros into copies (OpenZFS #15526, #15933)",
            "Use a release that has both mended, and verify after checkout"
        )
    }

    private var clockHazards: [MountHazard] {
        guard let skew, skew.isTooLarge else { return [] }
        return [
            MountHazard(
                .warning,
                "clock",
                skew.description,
                "garbage collection refuses while they differ by more than five minutes",
                "Set the clock that is wrong (NTP on both)"
            )
        ]
    }

    private var optionHazards: [MountHazard] {
        guard let mount else { return [] }
        let known = MountOption.known.filter { $0.applies(to: mount) }
        return known.map { MountHazard($0.grade, $0.name, "the mount has this option", $0.why, $0.remedy) }
            + (["tmpfs", "ramfs"].contains(mount.type) ? [inMemory(mount)] : [])
    }

    private func inMemory(_ mount: MountDescription) -> MountHazard {
        MountHazard(.warning, mount.type, "this file system is in memory", "the next start finds it empty", nil)
    }
}

extension MountHazard {
    fileprivate init(_ grade: Grade, _ subject: String, _ what: String, _ why: String, _ remedy: String?) {
        self.init(grade: grade, subject: subject, what: what, why: why, remedy: remedy)
    }

    /// The gravest first, otherwise in their order.
    fileprivate static func all(_ hazards: [MountHazard]) -> [MountHazard] {
        [.unsafe, .warning, .ok].flatMap { (grade: Grade) in hazards.filter { $0.grade == grade } }
    }
}

/// A mount option that changes what a network file system promises; see nfs(5).
private struct MountOption {
    let name: String
    let grade: MountHazard.Grade
    let why: String
    let remedy: String

    /// `local_lock=none` is the default written out.
    func applies(to mount: MountDescription) -> Bool {
        if name == "local_lock" { return mount.value(of: name).map { $0 != "none" } ?? false }
        return mount.has(name)
    }

    static let known = [
        MountOption(
            name: "soft",
            grade: .warning,
            why: "nfs(5): \"a so-called soft timeout can cause silent data corruption in certain cases\"",
            remedy: "mount it with hard"
        ),
        MountOption(
            name: "softerr",
            grade: .warning,
            why: "a request that timed out is given up, whether the server did it or not",
            remedy: "mount it with hard"
        ),
        MountOption(
            name: "nolock",
            grade: .warning,
            why: "locks are granted to every host: the store needs none, other programs here may",
            remedy: "mount it without nolock if anything else locks there"
        ),
        MountOption(
            name: "local_lock",
            grade: .warning,
            why: "locks are granted to every host: the store needs none, other programs here may",
            remedy: "mount it with local_lock=none if anything else locks there"
        ),
        MountOption(
            name: "nocto",
            grade: .warning,
            why: "an open file may be an old one: heads and leases of other hosts are seen late",
            remedy: "mount it with cto"
        ),
        MountOption(
            name: "noac",
            grade: .warning,
            why: "nothing is cached and every write waits for the server: right, and very slow",
            remedy: "mount it with ac"
        ),
    ]
}
