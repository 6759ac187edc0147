import SluiceBytes
import SluicePipeline
import SluiceTransport

/// A hub as one user reaches it.
package struct HubAccess: Sendable {
    package let endpoint: HTTPURL
    /// Sent to that origin and to no other.
    package let token: Secret?
    package let client: any HTTPClient
    package let retrying: Retrying
    package let time: any TimeSource
    /// Told why nothing moves, when the hub's limits are used up for a while.
    package let onWait: @Sendable (String) -> Void

    package init(
        endpoint: HTTPURL,
        token: Secret?,
        client: any HTTPClient,
        retrying: Retrying,
        time: any TimeSource,
        onWait: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.endpoint = endpoint
        self.token = token
        self.client = client
        self.retrying = retrying
        self.time = time
        self.onWait = onWait
    }

    /// The same user at another address.
    func at(_ endpoint: HTTPURL, token: Secret?) -> HubAccess {
        HubAccess(
            endpoint: endpoint,
            token: token,
            client: client,
            retrying: retrying,
            time: time,
            onWait: onWait
        )
    }
}
