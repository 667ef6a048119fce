//! When the peer has moved, and the new path is validated.

use std::net::SocketAddr;

use quinn_proto::Connection;

/// quinn moves to a new address at once, validates it, and moves back when that fails; it reports
/// none of it. What can be seen is the address in use and how many PATH_RESPONSEs have come.
#[derive(Default)]
pub struct PathWatch {
    /// The address last reported; None before there is a connection.
    validated: Option<SocketAddr>,
    responses: u64,
}

impl PathWatch {
    pub fn new(connection: &Connection) -> Self {
        Self {
            validated: Some(connection.remote_address()),
            responses: connection.stats().frame_rx.path_response,
        }
    }

    /// A datagram from `remote` has been handled: the address that it validated, if it did.
    ///
    /// A response from the very address in use answers the challenge that went there. A peer
    /// that makes up responses can claim an address that is not its own, but quinn, which checks
    /// the token, goes on to send it no more than three times what comes from there.
    pub fn received(&mut self, connection: &Connection, remote: SocketAddr) -> Option<SocketAddr> {
        let current = connection.remote_address();
        if self.validated == Some(current) {
            return None;
        }
        let responses = connection.stats().frame_rx.path_response;
        let answered = responses > std::mem::replace(&mut self.responses, responses);
        if !answered || remote != current {
            return None;
        }
        self.validated = Some(current);
        self.validated
    }
}
