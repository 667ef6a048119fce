//! What an engine knows about its connection.

use std::net::SocketAddr;

use quinn_proto::Connection;
use quinn_proto::crypto::rustls::HandshakeData;
use rustls::pki_types::CertificateDer;

use crate::engine::{Engine, StateError};
use crate::events::Event;

/// Facts about the connection; `None` where there is no connection yet, or any more.
#[derive(Default)]
pub struct Stats {
    pub smoothed_rtt: f64,
    pub latest_rtt: f64,
    pub packets_sent: u64,
    pub packets_received: u64,
    pub packets_lost: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub congestion_window: u64,
    pub bytes_in_flight: u64,
    pub datagram_size: u16,
    pub remote: Option<SocketAddr>,
}

impl Engine {
    pub fn export_keying_material(
        &self,
        label: &[u8],
        context: &[u8],
        length: usize,
    ) -> Result<Vec<u8>, StateError> {
        const REFUSED: StateError = StateError("no keying material before the handshake is done");
        let (_, connection) = self.link.as_ref().ok_or(REFUSED)?;
        if connection.is_handshaking() {
            return Err(REFUSED);
        }
        let mut material = vec![0; length.min(1 << 16)];
        connection
            .crypto_session()
            .export_keying_material(&mut material, label, context)
            .map_err(|_| StateError("TLS exports no keying material of that length"))?;
        Ok(material)
    }

    /// The server's certificate in DER; None at the server, and before the handshake is done.
    pub fn peer_certificate(&self) -> Option<Vec<u8>> {
        let (_, connection) = self.link.as_ref()?;
        if connection.is_handshaking() {
            return None;
        }
        let identity = connection.crypto_session().peer_identity()?;
        let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
        chain.first().map(|certificate| certificate.to_vec())
    }

    pub fn original_destination(&self) -> &[u8] {
        &self.original_destination
    }

    pub fn stats(&self) -> Stats {
        let Some((_, connection)) = &self.link else {
            return Stats::default();
        };
        let stats = connection.stats();
        Stats {
            smoothed_rtt: stats.path.rtt.as_secs_f64(),
            latest_rtt: self.observations.latest_rtt(),
            packets_sent: stats.path.sent_packets,
            packets_received: self.datagrams_received,
            packets_lost: stats.path.lost_packets,
            bytes_sent: stats.udp_tx.bytes,
            bytes_received: self.bytes_received,
            congestion_window: stats.path.cwnd,
            bytes_in_flight: self.observations.bytes_in_flight(),
            datagram_size: stats.path.current_mtu,
            remote: Some(connection.remote_address()),
        }
    }
}

/// What the two ends have agreed on.
pub(crate) fn handshake_completed(connection: &Connection) -> Event {
    let data = connection
        .crypto_session()
        .handshake_data()
        .and_then(|data| data.downcast::<HandshakeData>().ok());
    let group = data.as_ref().map(|data| data.negotiated_key_exchange_group);
    Event::HandshakeCompleted {
        alpn: data.and_then(|data| data.protocol).unwrap_or_default(),
        key_exchange: group.map(|group| format!("{group:?}")).unwrap_or_default(),
    }
}
