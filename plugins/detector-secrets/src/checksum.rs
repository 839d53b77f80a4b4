//! Checksums and structures that tokens carry inside.

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BECH32: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// CRC-32 (IEEE 802.3, reflected), as zip and GitHub tokens use it.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// A number in base 62 with six digits, the way GitHub and npm end their tokens.
pub(crate) fn base62(mut number: u32) -> [u8; 6] {
    let mut out = [b'0'; 6];
    for digit in out.iter_mut().rev() {
        *digit = BASE62.get((number % 62) as usize).copied().unwrap_or(b'0');
        number /= 62;
    }
    out
}

/// Whether the six characters at the end are the checksum of what stands between the prefix (up to `_`) and them.
pub(crate) fn crc62(token: &[u8]) -> bool {
    let body = token.splitn(2, |byte| *byte == b'_').nth(1).unwrap_or_default();
    body.split_last_chunk::<6>().is_some_and(|(random, sum)| *sum == base62(crc32(random)))
}

/// Whether the eight hexadecimal digits at the end are the checksum of what stands before their `_`.
pub(crate) fn grafana(token: &[u8]) -> bool {
    token.split_last_chunk::<9>().is_some_and(|(signed, sum)| format!("_{:08x}", crc32(signed)).as_bytes() == sum)
}

/// Whether a bech32 text (BIP 173) has the right sum. Letters all small or all capital.
pub(crate) fn bech32(text: &[u8]) -> bool {
    let text = text.to_ascii_lowercase();
    let Some(one) = text.iter().rposition(|byte| *byte == b'1') else { return false };
    let (prefix, data) = (text.get(..one).unwrap_or_default(), text.get(one + 1..).unwrap_or_default());
    let high = prefix.iter().map(|byte| byte >> 5);
    let low = prefix.iter().map(|byte| byte & 31);
    let mut sum = 1_u32;
    for value in high.chain([0]).chain(low) {
        sum = bech32_step(sum, value);
    }
    for byte in data {
        let Some(value) = BECH32.iter().position(|digit| digit == byte) else { return false };
        sum = bech32_step(sum, value as u8);
    }
    sum == 1
}

fn bech32_step(sum: u32, value: u8) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let top = sum >> 25;
    let shifted = (sum & 0x01ff_ffff) << 5 ^ u32::from(value);
    GENERATOR.iter().enumerate().fold(shifted, |sum, (bit, term)| if top >> bit & 1 == 1 { sum ^ term } else { sum })
}

/// Decodes base64 of either alphabet; padding may be missing. None if a byte is foreign or the length impossible.
pub(crate) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.get(..end)? {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    (count < 6).then_some(out)
}

/// Whether these bytes are `user:password`, both printable.
pub(crate) fn user_password(decoded: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(decoded) else { return false };
    !text.chars().any(char::is_control)
        && text.split_once(':').is_some_and(|(user, password)| !user.is_empty() && password.len() >= 3)
}

/// Whether a JSON Web Token's first part is a JOSE header.
pub(crate) fn jose_header(part: &[u8]) -> bool {
    base64(part).is_some_and(|json| {
        json.starts_with(b"{") && [&b"\"alg\""[..], b"\"enc\""].iter().any(|name| contains(&json, name))
    })
}

/// Whether a Discord token's first part is the base64 of a number, as its user's id is.
pub(crate) fn discord(token: &[u8]) -> bool {
    let id = token.split(|byte| *byte == b'.').next().unwrap_or_default();
    base64(id).is_some_and(|id| id.len() >= 15 && id.iter().all(u8::is_ascii_digit))
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32_of_the_check_string() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_published_revoked_token_has_the_right_sum() {
        // From GitHub's own announcement era; revoked long ago. In pieces for the sake of scanners.
        let token = ["ghp_zQWBuTSOoRi4A9s", "pHcVY5ncnsDkxkJ0mLq17"].concat();
        assert!(crc62(token.as_bytes()));
        assert!(!crc62(token.replace("0mLq", "0mLr").as_bytes()));
        assert!(!crc62(b"ghp_"));
    }

    #[test]
    fn bech32_of_the_standard() {
        assert!(bech32(b"A12UEL5L"));
        assert!(bech32(b"abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw"));
        assert!(!bech32(b"abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxq"));
        assert!(!bech32(b"nothing"));
    }

    #[test]
    fn base64_of_both_alphabets() {
        assert_eq!(base64(b"dXNlcjpwYXNz").unwrap(), b"user:pass");
        assert_eq!(base64(b"_-8=").unwrap(), base64(b"/+8").unwrap());
        assert_eq!(base64(b"a!"), None);
        assert_eq!(base64(b"abcde"), None);
    }
}
