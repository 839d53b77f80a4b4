//! HMAC-SHA256, by which messages are signed and decision links are sealed.

use hmac::digest::Key;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// HMAC-SHA256 over these parts, one after the other.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    // As RFC 2104 has it: a key longer than a block is hashed first, a shorter one is followed by zeros.
    let mut block = Key::<Hmac<Sha256>>::default();
    let long = block.len() < key.len();
    let hashed = long.then(|| Sha256::digest(key));
    let key = hashed.as_ref().map_or(key, |hashed| hashed.as_slice());
    block.iter_mut().zip(key).for_each(|(place, byte)| *place = *byte);
    let mut mac = Hmac::<Sha256>::new(&block);
    for part in parts {
        mac.update(part);
    }
    mac
}

/// The same in hexadecimal.
pub(crate) fn hmac_hex(key: &[u8], parts: &[&[u8]]) -> String {
    hmac(key, parts).finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_rfc_4231() {
        let signature = hmac_hex(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(signature, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        // A key that is longer than a block.
        let text = b"Test Using Larger Than Block-Size Key - Hash Key First";
        let signature = hmac_hex(&[0xaa; 131], &[text]);
        assert_eq!(signature, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }
}
