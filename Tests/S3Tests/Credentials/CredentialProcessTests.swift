import SluiceBytes
import Synchronization
import Testing

@testable import SluiceS3

@Suite struct CredentialProcessTests {
    @Test(
        arguments: [
            ("a b  c", ["a", "b", "c"]), ("'a b' \"c d\"", ["a b", "c d"]), ("a\\ b", ["a b"]),
            ("\"a\\\"b\\\\c\\d\"", ["a\"b\\c\\d"]),
            ("'a\\b'", ["a\\b"]), ("a''b", ["ab"]), ("''", [""]), ("", []), ("  ", []),
            ("x \"$HOME\" '*' `y` ;", ["x", "$HOME", "*", "`y`", ";"]),
            ("--a='b c'd", ["--a=b cd"]),
        ] as [(String, [String])]
    )
    func quotingIsTheShells(text: String, words: [String]) throws {
        #expect(try CommandLineTokens.split(text) == words)
    }

    @Test(arguments: ["'a", "\"a", "a\\", "\"a\\"])
    func anUnfinishedQuoteIsRefused(text: String) {
        #expect(throws: CommandLineTokens.Failure.self) { try CommandLineTokens.split(text) }
    }

    private func process(_ script: String, timeout: Duration = .seconds(30)) -> CredentialProcess {
        CredentialProcess(
            command: "/bin/sh -c '\(script)'",
            profile: "p",
            variables: ["PATH": "/usr/bin:/bin", "CANARY": "x"],
            timeout: timeout
        )
    }

    @Test func theAnswerIsRead() async throws {
        let json = """
            {"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "S", "SessionToken": "T",
             "Expiration": "2013-05-24T01:00:00Z", "More": [1]}
            """
        let found = try await process("cat >/dev/null; echo \"\(json.escaped)\"").run()
        #expect(
            found
                == S3Credentials(
                    accessKeyID: "A",
                    secretKey: Secret("S"),
                    sessionToken: Secret("T"),
                    expiration: Fixture.now.advanced(by: 3600)
                )
        )
    }

    @Test(arguments: [
        "exit 3", "echo canary-secret", "echo \"{}\"", "kill -9 $$", "true",
        "echo \"{\\\"Version\\\":2,\\\"AccessKeyId\\\":\\\"A\\\",\\\"SecretAccessKey\\\":\\\"canary\\\"}\"",
        "head -c 100000 /dev/zero",
    ])
    func aFailureSaysNothingOfTheAnswer(script: String) async {
        let error = await #expect(throws: CredentialsError.self) { try await process(script).run() }
        #expect(error?.code == .processFailed)
        #expect(error?.description.contains("canary") == false)
    }

    @Test func aMissingCommandIsAFailure() async {
        let process = CredentialProcess(command: "/nonexistent/tool x", profile: "p", variables: [:])
        await #expect(throws: CredentialsError.self) { try await process.run() }
    }

    @Test(arguments: ["exec cat /dev/zero >/dev/null", "exec tail -f /dev/null"])
    func aSilentCommandIsEnded(script: String) async {
        await #expect(throws: CredentialsError.self) {
            try await process(script, timeout: .milliseconds(50)).run()
        }
    }

    /// Counts fetches; fails while told to.
    private actor Source {
        var fetches = 0
        var isBroken = false
        let life: Int64

        init(life: Int64) { self.life = life }

        func setBroken(_ broken: Bool) { isBroken = broken }

        func fetch() throws -> S3Credentials {
            fetches += 1
            if isBroken { throw CredentialsError(.processFailed, "broken", remedy: "none") }
            return S3Credentials(
                accessKeyID: "K\(fetches)",
                secretKey: Secret("s"),
                expiration: Fixture.now.advanced(by: life * Int64(fetches))
            )
        }
    }

    @Test func oneFetchForAllWhoAsk() async throws {
        let source = Source(life: 3600)
        let provider = RefreshingCredentials { try await source.fetch() }
        try await withThrowingTaskGroup(of: String?.self) { group in
            for _ in 0..<20 { group.addTask { try await provider.credentials(now: Fixture.now)?.accessKeyID } }
            for try await id in group { #expect(id == "K1") }
        }
        #expect(await source.fetches == 1)
    }

    @Test func theyAreRenewedAheadOfTheirEnd() async throws {
        let source = Source(life: 3600)
        let provider = RefreshingCredentials { try await source.fetch() }
        func id(after seconds: Int64) async throws -> String? {
            try await provider.credentials(now: Fixture.now.advanced(by: seconds))?.accessKeyID
        }
        #expect(try await id(after: 0) == "K1")
        #expect(try await id(after: 2600) == "K1")
        #expect(try await id(after: 2800) == "K2")
    }

    @Test func aFailedRenewalIsNotForever() async throws {
        let source = Source(life: 3600)
        let provider = RefreshingCredentials { try await source.fetch() }
        func id(after seconds: Int64) async throws -> String? {
            try await provider.credentials(now: Fixture.now.advanced(by: seconds))?.accessKeyID
        }
        #expect(try await id(after: 0) == "K1")
        await source.setBroken(true)
        #expect(try await id(after: 3000) == "K1")
        #expect(try await id(after: 3010) == "K1")
        #expect(await source.fetches == 2, "not asked again at once while the old ones hold")
        await #expect(throws: CredentialsError.self) { try await id(after: 3590) }
        await source.setBroken(false)
        #expect(try await id(after: 3591) == "K4")
    }
}

extension String {
    /// For a double-quoted word of sh.
    fileprivate var escaped: String {
        split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\"")
    }
}
