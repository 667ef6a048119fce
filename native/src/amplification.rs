//! RFC 9000 section 8.1, to the byte: an address that has proved nothing gets at most three times
//! what came from it.
//!
//! quinn lets one datagram begin while a single byte of that is left; a server of qsh waits.

/// What a server has got from its client, and sent to it, before the client's address is proved.
#[derive(Default)]
pub struct Amplification {
    received: u64,
    sent: u64,
    /// The address is proved, or there is nothing to prove (at a client, after a Retry).
    lifted: bool,
}

impl Amplification {
    pub fn lift(&mut self) {
        self.lifted = true;
    }

    /// A Handshake packet proves the address (RFC 9000 section 8.1). Whether this one is genuine
    /// only quinn knows, which goes on to hold its own, looser limit.
    pub fn received(&mut self, datagram: &[u8]) {
        self.received += datagram.len() as u64;
        self.lifted |= has_handshake_packet(datagram);
    }

    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// How many datagrams of that size may leave; None for no limit.
    pub fn allowance(&self, datagram_size: usize) -> Option<usize> {
        let left = (3 * self.received).saturating_sub(self.sent);
        (!self.lifted).then_some(left as usize / datagram_size)
    }
}

/// Walks the packets that share a datagram (RFC 9000 sections 12.2 and 17.2).
fn has_handshake_packet(datagram: &[u8]) -> bool {
    const HANDSHAKE: u8 = 2;
    const INITIAL: u8 = 0;
    let mut rest = datagram;
    loop {
        match long_packet(rest) {
            Some((HANDSHAKE, _)) => return true,
            Some((INITIAL, next)) => rest = next,
            _ => return false,
        }
    }
}

/// The type of the long packet at the beginning, and what follows the packet.
fn long_packet(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if first & 0x80 == 0 {
        return None;
    }
    let kind = first >> 4 & 3;
    let (_version, rest) = rest.split_at_checked(4)?;
    let rest = skip_block(rest, 1)?;
    let mut rest = skip_block(rest, 1)?;
    if kind == 0 {
        rest = skip_varint_block(rest)?;
    }
    Some((kind, skip_varint_block(rest)?))
}

/// Skips `width` bytes of length and as many bytes as they say.
fn skip_block(bytes: &[u8], width: usize) -> Option<&[u8]> {
    let (length, rest) = bytes.split_at_checked(width)?;
    let length = length
        .iter()
        .fold(0usize, |value, byte| value << 8 | usize::from(*byte));
    rest.get(length..)
}

/// The same for a length of variable width (RFC 9000 section 16).
fn skip_varint_block(bytes: &[u8]) -> Option<&[u8]> {
    let width = 1 << (bytes.first()? >> 6);
    let mut length = [0; 8];
    length[8 - width..].copy_from_slice(bytes.get(..width)?);
    length[8 - width] &= 0x3f;
    let length = usize::try_from(u64::from_be_bytes(length)).ok()?;
    bytes.get(width..)?.get(length..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(kind: u8, payload: usize) -> Vec<u8> {
        let mut packet = vec![0xc0 | kind << 4, 0, 0, 0, 1, 2, 9, 9, 1, 8];
        if kind == 0 {
            packet.extend([3, 7, 7, 7]);
        }
        packet.extend([0x40 | (payload >> 8) as u8, payload as u8]);
        packet.resize(packet.len() + payload, 5);
        packet
    }

    #[test]
    fn a_handshake_packet_is_found_behind_an_initial() {
        let both = [long(0, 300), long(2, 40)].concat();
        assert!(has_handshake_packet(&both));
        assert!(has_handshake_packet(&long(2, 1)));
        assert!(!has_handshake_packet(&long(0, 300)));
        assert!(!has_handshake_packet(&[0x40; 100]));
        for end in 0..both.len() - 42 {
            assert!(!has_handshake_packet(&both[..end]));
        }
    }

    #[test]
    fn three_times_what_came_may_leave() {
        let mut limit = Amplification::default();
        limit.received(&long(0, 1186));
        assert_eq!(limit.allowance(1200), Some(3));
        limit.sent(1300);
        assert_eq!(limit.allowance(1200), Some(1));
        limit.received(&long(2, 10));
        assert_eq!(limit.allowance(1200), None);
    }
}
