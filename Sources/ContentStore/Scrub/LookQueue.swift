import SluiceBytes

/// The order of looks that were begun and have no verdict yet. Pure.
///
/// Verdicts come out in the order of a unit's names, for its record says no more than where to go on. Units do not wait
/// for each other.
struct LookQueue<Look> {
    /// Files that stay open, and claims that are held, behind a blob that takes long.
    static var limit: Int { 16 }

    private var looks: [(unit: StoreName, look: Look)] = []
    private let hasEnded: (Look) -> Bool

    init(hasEnded: @escaping (Look) -> Bool) {
        self.hasEnded = hasEnded
    }

    var isEmpty: Bool { looks.isEmpty }
    var hasRoom: Bool { looks.count < Self.limit }
    var underWay: [Look] { looks.map(\.look).filter { !hasEnded($0) } }

    mutating func append(_ look: Look, of unit: StoreName) { looks.append((unit, look)) }

    /// Takes out one that has ended and is the first of its unit; nil if there is none.
    mutating func next() -> Look? {
        let due = looks.indices.first { index in
            hasEnded(looks[index].look) && !looks[..<index].contains { $0.unit == looks[index].unit }
        }
        return due.map { looks.remove(at: $0).look }
    }
}
