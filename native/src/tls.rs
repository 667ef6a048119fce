//! TLS 1.3 by rustls: ephemeral server certificates, and clients that check no chain.
//!
//! Who the host is follows from the attestation inside the certificate, which qsh checks itself;
//! TLS has to prove only that the server holds the certificate's key (CertificateVerify).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, KeyLog, NoKeyLog, ServerConfig, SignatureScheme,
    version::TLS13,
};

/// Bytes from the cryptographic library's generator, which notices a fork.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    default_provider()
        .secure_random
        .fill(&mut bytes)
        .expect("the random generator of this machine works");
    bytes
}

/// Key exchange, the preferred first. A client's hello also carries the X25519 half of
/// X25519MLKEM768, so that a server without it needs no second round trip.
const GROUPS: [&dyn SupportedKxGroup; 4] = [
    kx_group::X25519MLKEM768,
    kx_group::X25519,
    kx_group::SECP256R1,
    kx_group::SECP384R1,
];

/// The groups of these names (RFC 8446 section 4.2.7, in any case), in their order, without those
/// that are not here; all of them if none is named.
fn groups(names: &[String]) -> Result<Vec<&'static dyn SupportedKxGroup>, Error> {
    if names.is_empty() {
        return Ok(GROUPS.to_vec());
    }
    let named = |name: &String| {
        let is_it = |group: &&dyn SupportedKxGroup| {
            format!("{:?}", group.name()).eq_ignore_ascii_case(name)
        };
        GROUPS.into_iter().find(is_it)
    };
    let found: Vec<_> = names.iter().filter_map(named).collect();
    if found.is_empty() {
        return Err(Error::General(format!(
            "no key exchange by {}",
            names.join(", ")
        )));
    }
    Ok(found)
}

/// AES-128 first: the fastest here, and QUIC's own.
fn provider(key_exchange: &[String]) -> Result<Arc<CryptoProvider>, Error> {
    Ok(Arc::new(CryptoProvider {
        kx_groups: groups(key_exchange)?,
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        ..default_provider()
    }))
}

/// A client's TLS. Without a `server_name` none is sent.
pub fn client(
    alpn: &[u8],
    key_exchange: &[String],
    send_server_name: bool,
    key_log: Option<&Path>,
) -> Result<ClientConfig, Error> {
    let provider = provider(key_exchange)?;
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyChain(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    config.enable_sni = send_server_name;
    config.resumption = rustls::client::Resumption::disabled();
    config.key_log = open_key_log(key_log);
    Ok(config)
}

/// A server's TLS, for one connection. `private_key` is PKCS#8.
pub fn server(
    alpn: &[u8],
    key_exchange: &[String],
    certificate: Vec<u8>,
    private_key: Vec<u8>,
    key_log: Option<&Path>,
) -> Result<ServerConfig, Error> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(private_key));
    let mut config = ServerConfig::builder_with_provider(provider(key_exchange)?)
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate)], key)?;
    config.alpn_protocols = vec![alpn.to_vec()];
    config.send_tls13_tickets = 0;
    config.key_log = open_key_log(key_log);
    Ok(config)
}

/// Whether TLS can carry `name` (RFC 6066 section 3: DNS names only).
pub fn is_dns_name(name: &str) -> bool {
    matches!(ServerName::try_from(name), Ok(ServerName::DnsName(_)))
}

/// Takes any certificate, and checks that the server holds its key.
#[derive(Debug)]
struct AnyChain(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyChain {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Secrets in NSS's format, for Wireshark. A file that cannot be opened logs nothing.
#[derive(Debug)]
struct KeyLogFile(Mutex<File>);

fn open_key_log(path: Option<&Path>) -> Arc<dyn KeyLog> {
    let file = path.and_then(|path| OpenOptions::new().create(true).append(true).open(path).ok());
    match file {
        Some(file) => Arc::new(KeyLogFile(Mutex::new(file))),
        None => Arc::new(NoKeyLog),
    }
}

impl KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        if let Ok(mut file) = self.0.lock() {
            // Debugging only: a full disk must not end the connection.
            let _ = file.write_all(line.as_bytes());
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
