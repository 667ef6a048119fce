//! What an engine reports: the events of `qsh/quic/events.py`.

use std::net::SocketAddr;

use bytes::Bytes;
use quinn_proto::{ConnectionError, TransportErrorCode};

/// One thing that happened.
#[derive(Debug)]
pub enum Event {
    HandshakeCompleted {
        alpn: Vec<u8>,
        key_exchange: String,
    },
    StreamData {
        stream_id: u64,
        chunks: Vec<Bytes>,
        fin: bool,
    },
    StreamReset {
        stream_id: u64,
        code: u64,
    },
    StreamStopped {
        stream_id: u64,
        code: u64,
    },
    DatagramsReceived(Vec<Bytes>),
    PathChanged(SocketAddr),
    ConnectionClosed(Closed),
    PathTried(SocketAddr),
}

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    pub code: u64,
    pub reason: String,
    pub by_application: bool,
    pub local: bool,
}

impl Closed {
    /// A transport error of ours (RFC 9000 section 20.1).
    pub fn local_transport(code: TransportErrorCode, reason: &str) -> Self {
        Self {
            code: code.into(),
            reason: reason.to_owned(),
            by_application: false,
            local: true,
        }
    }

    /// Silence for longer than both sides bear: nobody closed anything.
    pub fn idle() -> Self {
        Self {
            code: 0,
            reason: "idle timeout".to_owned(),
            by_application: false,
            local: false,
        }
    }
}

impl From<ConnectionError> for Closed {
    fn from(error: ConnectionError) -> Self {
        let by_peer = |code, reason: &[u8], by_application| Self {
            code,
            reason: String::from_utf8_lossy(reason).into_owned(),
            by_application,
            local: false,
        };
        match error {
            ConnectionError::ApplicationClosed(close) => {
                by_peer(close.error_code.into_inner(), &close.reason, true)
            }
            ConnectionError::ConnectionClosed(close) => {
                by_peer(close.error_code.into(), &close.reason, false)
            }
            ConnectionError::TimedOut => Self::idle(),
            ConnectionError::Reset => by_peer(0, b"stateless reset", false),
            ConnectionError::VersionMismatch => by_peer(0, b"no common QUIC version", false),
            ConnectionError::TransportError(error) => {
                Self::local_transport(error.code, &error.to_string())
            }
            ConnectionError::LocallyClosed | ConnectionError::CidsExhausted => {
                Self::local_transport(TransportErrorCode::INTERNAL_ERROR, &error.to_string())
            }
        }
    }
}
