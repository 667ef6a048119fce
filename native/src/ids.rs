//! Connection IDs and reset tokens that somebody else has made.
//!
//! quinn asks a generator for IDs and derives each reset token by an HMAC of the ID. Here both
//! come in pairs from one source (a server's IDs name the process that serves them, and its
//! tokens must be known to whoever outlives that process), so the generator keeps the token
//! until the "HMAC" asks for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quinn_proto::crypto::{CryptoError, HmacKey};
use quinn_proto::{ConnectionId, ConnectionIdGenerator};

use crate::tls::random_bytes;

/// Bytes of every connection ID of ours.
pub const ID_LENGTH: usize = 16;
/// Bytes of a stateless reset token (RFC 9000 section 10.3).
pub const TOKEN_LENGTH: usize = 16;
/// quinn gives at most 8 IDs to a peer at once; as many again may be on their way out.
const REMEMBERED: usize = 32;

/// A connection ID and the token that resets its connection.
#[derive(Clone, Copy)]
pub struct IssuedId {
    pub connection_id: [u8; ID_LENGTH],
    pub reset_token: [u8; TOKEN_LENGTH],
}

impl IssuedId {
    /// An ID that routes nowhere in particular.
    pub fn random() -> Self {
        Self {
            connection_id: random_bytes(),
            reset_token: random_bytes(),
        }
    }
}

/// Where IDs come from. None: the source failed, and a random ID must serve.
pub type IdSource = Box<dyn FnMut() -> Option<IssuedId> + Send>;

struct Ledger {
    source: IdSource,
    /// Tokens of the IDs that quinn has taken and not yet announced.
    tokens: HashMap<ConnectionId, [u8; TOKEN_LENGTH]>,
    recent: VecDeque<[u8; ID_LENGTH]>,
}

/// The generator and the token key of one endpoint.
#[derive(Clone)]
pub struct Ids(Arc<Mutex<Ledger>>);

impl Ids {
    pub fn new(source: IdSource) -> Self {
        Self(Arc::new(Mutex::new(Ledger {
            source,
            tokens: HashMap::new(),
            recent: VecDeque::new(),
        })))
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut ledger = self.ledger();
        let issued = (ledger.source)()
            // quinn asks again, for ever, when it gets an ID that it has already.
            .filter(|issued| !ledger.recent.contains(&issued.connection_id))
            .unwrap_or_else(IssuedId::random);
        ledger.recent.push_back(issued.connection_id);
        if ledger.recent.len() > REMEMBERED {
            ledger.recent.pop_front();
        }
        let id = ConnectionId::new(&issued.connection_id);
        // A client's first ID is announced without a token: it stays here, once.
        ledger.tokens.insert(id, issued.reset_token);
        id
    }

    fn cid_len(&self) -> usize {
        ID_LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

impl HmacKey for Ids {
    /// The token given with the ID `data`. quinn asks once, when it announces the ID; the entry
    /// goes then, so that a peer that retires IDs without end fills no memory. For a foreign ID
    /// it asks when it builds a stateless reset, which the engine never sends: zeros will do.
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        let token = match data.len() {
            ID_LENGTH => self.ledger().tokens.remove(&ConnectionId::new(data)),
            _ => None,
        };
        signature_out.copy_from_slice(&token.unwrap_or_default());
    }

    fn signature_len(&self) -> usize {
        TOKEN_LENGTH
    }

    fn verify(&self, _data: &[u8], _signature: &[u8]) -> Result<(), CryptoError> {
        Err(CryptoError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_of(ids: &Ids, id: &[u8]) -> [u8; TOKEN_LENGTH] {
        let mut token = [0; TOKEN_LENGTH];
        ids.sign(id, &mut token);
        token
    }

    #[test]
    fn the_token_is_the_one_given_with_the_id() {
        let mut next = 0;
        let mut ids = Ids::new(Box::new(move || {
            next += 1;
            Some(IssuedId {
                connection_id: [next; 16],
                reset_token: [next + 100; 16],
            })
        }));
        let first = ids.generate_cid();
        let second = ids.generate_cid();
        assert_eq!(&*first, &[1; 16]);
        assert_eq!(token_of(&ids, &second), [102; 16]);
        assert_eq!(token_of(&ids, &first), [101; 16]);
        assert_eq!(token_of(&ids, &first), [0; 16], "asked for once");
    }

    #[test]
    fn a_source_that_repeats_itself_or_fails_is_replaced_by_chance() {
        let mut ids = Ids::new(Box::new(|| {
            Some(IssuedId {
                connection_id: [7; 16],
                reset_token: [8; 16],
            })
        }));
        assert_eq!(&*ids.generate_cid(), &[7; 16]);
        assert_ne!(&*ids.generate_cid(), &[7; 16]);
        let mut failing = Ids::new(Box::new(|| None));
        assert_ne!(&*failing.generate_cid(), &*failing.generate_cid());
    }
}
