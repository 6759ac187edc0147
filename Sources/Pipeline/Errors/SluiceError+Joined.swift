import SluiceBytes

extension SluiceError {
    /// The failures of several origins of one object as one: wrong bytes count most, then what a retry may mend, then
    /// what came first; the others are told with it.
    static func joined(_ failures: [SluiceError]) -> SluiceError? {
        var distinct: [SluiceError] = []
        for failure in failures
        where !distinct.contains(where: { $0.object == failure.object && $0.message == failure.message }) {
            distinct.append(failure)
        }
        let first =
            distinct.firstIndex { $0.code == .digestMismatch }
            ?? distinct.firstIndex { $0.retry != .never && $0.retry != .restart && $0.retry != .park }
            ?? distinct.indices.first
        guard let first else { return nil }
        // An origin that was not heard may have what is right: then nothing is given up yet.
        let later = distinct.first { $0.retry != .never && $0.retry != .restart && $0.retry != .park }
        var joined = distinct.remove(at: first)
        if let later { joined.retry = later.retry }
        for other in distinct {
            joined.message += "; " + (other.object.map { "\(Printable.text($0)): " } ?? "") + other.message
        }
        return joined
    }
}
