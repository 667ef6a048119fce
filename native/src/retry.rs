//! Retry tokens that somebody else has checked.
//!
//! The listener mints and checks Retry tokens before it starts a process for a client, so this
//! engine is told the facts (RFC 9000 section 8.1.2) and must take any token as proof of them.
//! quinn reads those facts from the token's plaintext: here the "decryption" writes them.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use quinn_proto::TimeSource;
use quinn_proto::crypto::{AeadKey, CryptoError, HandshakeTokenKey};

/// The client's address as it was last seen: quinn wants the token to name it.
#[derive(Clone, Default)]
pub struct SeenAddress(Arc<Mutex<Option<SocketAddr>>>);

impl SeenAddress {
    pub fn set(&self, remote: SocketAddr) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(remote);
    }

    fn get(&self) -> Option<SocketAddr> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes any token of a client that the listener has sent through a Retry.
pub struct TrustedToken {
    /// None: there was no Retry, and no token means anything.
    pub original_destination: Option<Vec<u8>>,
    pub seen: SeenAddress,
}

impl HandshakeTokenKey for TrustedToken {
    fn aead_from_hkdf(&self, _random_bytes: &[u8]) -> Box<dyn AeadKey> {
        let facts = self.original_destination.as_ref().zip(self.seen.get());
        let plaintext = facts.map(|(original, remote)| retry_plaintext(remote, original));
        Box::new(Opened(plaintext))
    }
}

struct Opened(Option<Vec<u8>>);

impl AeadKey for Opened {
    /// Never called: this server sends neither Retry nor NEW_TOKEN.
    fn seal(&self, _data: &mut Vec<u8>, _additional_data: &[u8]) -> Result<(), CryptoError> {
        Ok(())
    }

    /// Overwrites the token with quinn's plaintext, for which it must be long enough: 65 bytes
    /// always suffice (`MIN_TOKEN_LENGTH`); a sealed token that holds the same facts is longer.
    fn open<'a>(
        &self,
        data: &'a mut [u8],
        _additional_data: &[u8],
    ) -> Result<&'a mut [u8], CryptoError> {
        let plaintext = self.0.as_ref().ok_or(CryptoError)?;
        let opened = data.get_mut(..plaintext.len()).ok_or(CryptoError)?;
        opened.copy_from_slice(plaintext);
        Ok(opened)
    }
}

/// quinn's `TokenPayload::Retry`: type, address, connection ID, seconds since 1970.
fn retry_plaintext(remote: SocketAddr, original_destination: &[u8]) -> Vec<u8> {
    let mut plaintext = vec![0];
    match remote.ip() {
        IpAddr::V4(ip) => {
            plaintext.push(0);
            plaintext.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            plaintext.push(1);
            plaintext.extend_from_slice(&ip.octets());
        }
    }
    plaintext.extend_from_slice(&remote.port().to_be_bytes());
    plaintext.push(original_destination.len() as u8);
    plaintext.extend_from_slice(original_destination);
    plaintext.extend_from_slice(&0u64.to_be_bytes());
    plaintext
}

/// Tokens were checked for their age by the listener: for quinn it is always 1970.
pub struct FrozenTime;

impl TimeSource for FrozenTime {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest plaintext, and the 16 bytes that quinn cuts off as a nonce.
    const MIN_TOKEN_LENGTH: usize = 65;

    #[test]
    fn every_plaintext_fits_in_a_token_of_the_documented_length() {
        let remote = "[2001:db8::1]:65535".parse().unwrap();
        let plaintext = retry_plaintext(remote, &[1; 20]);
        assert_eq!(plaintext.len() + 16, MIN_TOKEN_LENGTH);
    }

    #[test]
    fn without_a_retry_no_token_opens() {
        let key = TrustedToken {
            original_destination: None,
            seen: SeenAddress::default(),
        };
        let aead = key.aead_from_hkdf(&[0; 16]);
        assert!(aead.open(&mut [0; 100], &[]).is_err());
    }
}
