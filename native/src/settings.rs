//! `qsh.quic.engine.EngineConfig`, and what quinn makes of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::{
    ClientConfig, ConnectionId, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, NoneTokenStore,
    ServerConfig, TransportConfig,
};

use crate::congestion::{self, Algorithm, Observations};
use crate::ids::Ids;
use crate::retry::{FrozenTime, SeenAddress, TrustedToken};
use crate::tls;

/// What a peer may send on one stream before any of it is consumed: enough for 1 Gbit/s at
/// 100 ms. qsh's channels have windows of their own, which are what bounds memory.
const STREAM_WINDOW: u32 = 16 << 20;
/// The same for the whole connection, once `raise_credit` has been called.
pub const CONNECTION_WINDOW: u32 = 24 << 20;
/// Until `raise_credit`. Set right after the connection is made, it keeps the peer at
/// `pre_login_credit` in all, however much of that is read: quinn takes the shrinking as a debt,
/// which the reads pay off.
pub const CLOSED_WINDOW: u32 = 0;
const MIN_PAYLOAD: u16 = 1200;
const MAX_PAYLOAD: u16 = 65_527;
/// Bytes of datagrams that wait in either direction; older ones make room for newer ones.
const DATAGRAM_BUFFER: usize = 1 << 20;
/// Until larger datagrams are tried again after those were lost that should have passed. A short
/// queue that overflows drops the large ones, too: a tunnel through it would stay narrow for quinn's
/// minute, and a probe costs one packet.
const BLACK_HOLE_COOLDOWN: Duration = Duration::from_secs(5);
/// Bytes that may arrive before the first packet has been answered: one flight.
const INCOMING_BUFFER: u64 = 64 << 10;

/// What both roles may set. Times in seconds, sizes in bytes.
#[derive(Clone, Debug)]
pub struct Settings {
    pub alpn: Vec<u8>,
    pub idle_timeout: f64,
    pub keep_alive: Option<f64>,
    pub max_datagram_size: u64,
    pub largest_datagram_size: u64,
    pub congestion_control: String,
    /// Names of TLS groups, the preferred first; none for all.
    pub key_exchange: Vec<String>,
    pub initial_rtt: f64,
    pub max_streams: u32,
    pub pre_login_credit: u64,
    pub key_log: Option<PathBuf>,
}

/// A setting that this engine cannot honour; the text is for the user.
#[derive(Debug)]
pub struct SettingsError(pub String);

impl From<rustls::Error> for SettingsError {
    fn from(error: rustls::Error) -> Self {
        Self(format!("TLS: {error}"))
    }
}

fn duration(seconds: f64) -> Result<Duration, SettingsError> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| SettingsError(format!("{seconds} seconds is no length of time")))
}

impl Settings {
    pub fn endpoint(&self, ids: &Ids) -> EndpointConfig {
        let mut config = EndpointConfig::new(Arc::new(ids.clone()));
        let ids = ids.clone();
        config
            .cid_generator(move || Box::new(ids.clone()))
            .supported_versions(vec![1])
            .rng_seed(Some(tls::random_bytes()));
        config
            .max_udp_payload_size(MAX_PAYLOAD)
            .expect("the largest UDP payload is allowed");
        config
    }

    pub fn transport(
        &self,
        observations: &Arc<Observations>,
    ) -> Result<TransportConfig, SettingsError> {
        let clamped = |size: u64| size.clamp(MIN_PAYLOAD.into(), MAX_PAYLOAD.into()) as u16;
        let payload = clamped(self.max_datagram_size);
        let mut discovery = MtuDiscoveryConfig::default();
        discovery.upper_bound(payload.max(clamped(self.largest_datagram_size)));
        discovery.black_hole_cooldown(BLACK_HOLE_COOLDOWN);
        let idle = IdleTimeout::try_from(duration(self.idle_timeout)?)
            .map_err(|_| SettingsError("the idle time-out is too long".to_owned()))?;
        let name = &self.congestion_control;
        let algorithm = Algorithm::named(name)
            .ok_or_else(|| SettingsError(format!("no congestion control {name:?} here")))?;
        observations.use_algorithm(algorithm);
        let credit = self.pre_login_credit.min(CONNECTION_WINDOW.into()) as u32;

        let mut config = TransportConfig::default();
        config
            .max_concurrent_bidi_streams(self.max_streams.into())
            .max_concurrent_uni_streams(self.max_streams.into())
            .max_idle_timeout(Some(idle))
            .keep_alive_interval(self.keep_alive.map(duration).transpose()?)
            .stream_receive_window(STREAM_WINDOW.into())
            .receive_window(credit.into())
            .initial_rtt(duration(self.initial_rtt)?)
            .initial_mtu(payload)
            .mtu_discovery_config(Some(discovery))
            .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
            .datagram_send_buffer_size(DATAGRAM_BUFFER)
            .congestion_controller_factory(congestion::factory(observations.clone()));
        Ok(config)
    }

    pub fn client(
        &self,
        transport: TransportConfig,
        send_server_name: bool,
        first_destination: ConnectionId,
    ) -> Result<ClientConfig, SettingsError> {
        let tls = tls::client(
            &self.alpn,
            &self.key_exchange,
            send_server_name,
            self.key_log.as_deref(),
        )?;
        let crypto = QuicClientConfig::try_from(tls).map_err(|e| SettingsError(e.to_string()))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config
            .transport_config(Arc::new(transport))
            .token_store(Arc::new(NoneTokenStore))
            .initial_dst_cid_provider(Arc::new(move || first_destination));
        Ok(config)
    }

    pub fn server(
        &self,
        transport: TransportConfig,
        certificate: Vec<u8>,
        private_key: Vec<u8>,
        token: TrustedToken,
    ) -> Result<ServerConfig, SettingsError> {
        let tls = tls::server(
            &self.alpn,
            &self.key_exchange,
            certificate,
            private_key,
            self.key_log.as_deref(),
        )?;
        let crypto = QuicServerConfig::try_from(tls).map_err(|e| SettingsError(e.to_string()))?;
        let mut config = ServerConfig::new(Arc::new(crypto), Arc::new(token));
        config
            .transport_config(Arc::new(transport))
            .max_incoming(1)
            .incoming_buffer_size(INCOMING_BUFFER)
            .incoming_buffer_size_total(INCOMING_BUFFER)
            .time_source(Arc::new(FrozenTime));
        Ok(config)
    }
}

/// What a server is told about its one client before the first packet.
pub struct Expected {
    /// Destination of the client's very first Initial.
    pub original_destination: Vec<u8>,
    /// Source of our Retry, and so destination of the Initial that answers it.
    pub retry_source: Option<Vec<u8>>,
    pub seen: SeenAddress,
}

impl Expected {
    /// Whether the datagram is an Initial of that client (RFC 8999 section 5.1: the header's
    /// form, version, and length and bytes of the destination are the same in all versions).
    pub fn matches(&self, datagram: &[u8]) -> bool {
        let destination = self
            .retry_source
            .as_ref()
            .unwrap_or(&self.original_destination);
        let Some((header, rest)) = datagram.split_at_checked(6) else {
            return false;
        };
        header[0] & 0x80 != 0
            && usize::from(header[5]) == destination.len()
            && rest.starts_with(destination)
    }

    pub fn token(&self) -> TrustedToken {
        TrustedToken {
            original_destination: self
                .retry_source
                .as_ref()
                .map(|_| self.original_destination.clone()),
            seen: self.seen.clone(),
        }
    }
}
