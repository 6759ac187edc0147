internal import CCurl

/// One `CURL *` with its error text and the header list it borrows. Belongs to the loop's thread.
struct EasyHandle: ~Copyable {
    let raw: UnsafeMutableRawPointer
    /// libcurl writes here until the handle is gone (CURLOPT_ERRORBUFFER(3): "must be kept available").
    private let errorText: UnsafeMutablePointer<CChar>
    private var headers: UnsafeMutablePointer<curl_slist>?

    init?() {
        guard let raw = curl_easy_init() else { return nil }
        self.raw = raw
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        sluice_setopt_pointer(raw, CURLOPT_ERRORBUFFER, errorText)
    }

    deinit {
        curl_easy_cleanup(raw)
        curl_slist_free_all(headers)
        errorText.deallocate()
    }

    func set(_ option: CURLoption, _ value: Int) throws(TransportError) {
        try check(sluice_setopt_long(raw, option, value), option)
    }

    func set(_ option: CURLoption, count: UInt64) throws(TransportError) {
        try check(sluice_setopt_off(raw, option, curl_off_t(clamping: count)), option)
    }

    /// libcurl copies the text.
    func set(_ option: CURLoption, _ value: String) throws(TransportError) {
        try check(sluice_setopt_string(raw, option, value), option)
    }

    func set(_ option: CURLoption, _ value: UnsafeMutableRawPointer?) throws(TransportError) {
        try check(sluice_setopt_pointer(raw, option, value), option)
    }

    /// Sets the lines of the request's head; libcurl borrows the list as long as the handle lives.
    mutating func setHeaders(_ lines: [String]) throws(TransportError) {
        for line in lines {
            guard let longer = curl_slist_append(headers, line) else {
                let code = Int32(CURLE_OUT_OF_MEMORY.rawValue)
                throw TransportError(.other, "no memory for the request's head", curlCode: code)
            }
            headers = longer
        }
        try check(sluice_setopt_slist(raw, CURLOPT_HTTPHEADER, headers), CURLOPT_HTTPHEADER)
    }

    func check(_ code: CURLcode, _ option: CURLoption) throws(TransportError) {
        guard code != CURLE_OK else { return }
        throw TransportError(
            .other,
            "libcurl refused option \(option.rawValue): \(String(cString: curl_easy_strerror(code)))",
            curlCode: Int32(code.rawValue)
        )
    }

    /// What libcurl says about its failure; empty if nothing.
    var failureText: String { String(cString: errorText) }

    func long(_ info: CURLINFO) -> Int {
        var value = 0
        sluice_getinfo_long(raw, info, &value)
        return value
    }
}
