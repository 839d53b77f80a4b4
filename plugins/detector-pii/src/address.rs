//! IP addresses that lead to somebody.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::context::{Context, Topics};
use crate::hit::{Hit, LABELLED};
use crate::kind::Kind;
use crate::number::{byte, byte_before, is_word};

/// Longest way to write an address.
const LONGEST: usize = 45;
/// Name servers that everybody writes into configurations.
const SERVERS: [[u8; 4]; 7] =
    [[1, 0, 0, 1], [1, 1, 1, 1], [8, 8, 4, 4], [8, 8, 8, 8], [9, 9, 9, 9], [208, 67, 220, 220], [208, 67, 222, 222]];

/// What stands at a run of digits and dots.
pub(crate) enum Dotted {
    /// An address of version 4.
    Address(Hit),
    /// Numbers with dots that are something else, up to here.
    Other(usize),
    /// No such run.
    None,
}

/// The address of version 4 whose first digit is at `start`, where a word begins.
pub(crate) fn find_v4(bytes: &[u8], start: usize, context: &mut Context<'_>) -> Dotted {
    let rest = bytes.get(start..).unwrap_or_default();
    let first = rest.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    if first > 3 || byte(rest, first) != b'.' || !byte(rest, first + 1).is_ascii_digit() {
        return Dotted::None;
    }
    let run = rest.iter().take(LONGEST).take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let text = rest.get(..run).unwrap_or_default();
    let text = text.strip_suffix(b".").unwrap_or(text);
    let end = start + text.len();
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<Ipv4Addr>().ok());
    let Some(address) = parsed else {
        let dots = text.iter().filter(|byte| **byte == b'.').count();
        // Groups of a telephone number are joined by dots, too, but not four of three digits or many of one.
        let parts = || text.split(|byte| *byte == b'.').map(<[u8]>::len);
        let other = dots >= 3 && (parts().all(|part| part == 1) || (dots == 3 && parts().max() == Some(3)));
        return if other { Dotted::Other(end) } else { Dotted::None };
    };
    let before = byte_before(bytes, start);
    if is_word(before) || before == b'.' || is_word(byte(bytes, end)) {
        return Dotted::Other(end);
    }
    let topics = context.around(start, end);
    // `Chrome/120.0.0.0`, `libfoo-1.2.3.4`, `foo==1.2.3.4`, `1.2.3.4-rc1`.
    let glued = match before {
        b'/' | b'-' => byte_before(bytes, start - 1).is_ascii_alphabetic(),
        b'=' | b'~' | b'^' => b"=<>~^!".contains(&byte_before(bytes, start - 1)) || before != b'=',
        _ => byte(bytes, end) == b'-' && byte(bytes, end + 1).is_ascii_alphabetic(),
    };
    let small = address.octets().iter().all(|octet| *octet < 32);
    let score = match (topics.any(Topics::SOFTWARE) || glued, topics.any(Topics::IP)) {
        (true, _) => 0.2,
        (_, true) => LABELLED,
        _ if small => 0.3,
        _ => 0.8,
    };
    let name = address.to_string().into_bytes();
    Dotted::Address(Hit { kind: Kind::Ip, range: start..end, score, name, quiet: !leads_somewhere(address) })
}

/// The address of version 6 around the colon at `colon`, and where its run ends.
pub(crate) fn find_v6(bytes: &[u8], colon: usize, context: &mut Context<'_>) -> (Option<Hit>, usize) {
    let part = |byte: &&u8| byte.is_ascii_hexdigit() || **byte == b':';
    let before = bytes.get(colon.saturating_sub(4)..colon).unwrap_or_default();
    let start = colon - before.iter().rev().take_while(part).count();
    let rest = bytes.get(start..).unwrap_or_default();
    let mut run = rest.iter().take_while(part).count();
    let stop = start + run;
    #[cfg(test)]
    crate::tests::looked_at(run);
    // The last four bytes may be written as an address of version 4.
    if byte(bytes, stop) == b'.' {
        run += rest
            .get(run..)
            .unwrap_or_default()
            .iter()
            .take(16)
            .take_while(|b| b.is_ascii_digit() || **b == b'.')
            .count();
    }
    let text = rest.get(..run.min(LONGEST + 1)).unwrap_or_default();
    // A colon at the end ends a sentence; two are part of the address.
    let text = if text.ends_with(b"::") { text } else { text.strip_suffix(b":").unwrap_or(text) };
    let text = text.strip_suffix(b".").unwrap_or(text);
    let end = start + text.len();
    let parts = text.split(|byte| *byte == b':').filter(|part| !part.is_empty());
    let bare = parts.clone().count() < 3 || !text.iter().any(u8::is_ascii_digit);
    // Eight pairs are the address of a network card.
    let card = parts.clone().all(|part| part.len() == 2);
    if run > LONGEST || is_word(byte_before(bytes, start)) || is_word(byte(bytes, end)) || bare || card {
        return (None, stop);
    }
    let Some(address) = std::str::from_utf8(text).ok().and_then(|text| text.parse::<Ipv6Addr>().ok()) else {
        return (None, stop);
    };
    let labelled = context.around(start, end).any(Topics::IP);
    let score = if labelled { LABELLED } else { 0.85 };
    let name = address.to_string().into_bytes();
    let hit = Hit { kind: Kind::Ip, range: start..end, score, name, quiet: !leads_somewhere_v6(address) };
    (Some(hit), stop.max(end))
}

/// Whether an address is neither private nor reserved nor one of the public name servers.
fn leads_somewhere(address: Ipv4Addr) -> bool {
    let octets = address.octets();
    let [a, b, c, _] = octets;
    let reserved = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_broadcast()
        || matches!((a, b, c), (0 | 224.., ..) | (100, 64..=127, _) | (198, 18 | 19, _) | (192, 0, 0) | (192, 88, 99));
    !reserved && !SERVERS.contains(&octets)
}

fn leads_somewhere_v6(address: Ipv6Addr) -> bool {
    if let Some(old) = address.to_ipv4_mapped() {
        return leads_somewhere(old);
    }
    let [first, second, ..] = address.segments();
    let documentation = (first == 0x2001 && second == 0xdb8) || (first == 0x3fff && second < 0x1000);
    let local = address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unicast_link_local()
        || address.is_unique_local()
        || first == 0;
    let servers = (first == 0x2606 && second == 0x4700 && address.segments().get(2) == Some(&0x4700))
        || (first == 0x2001 && second == 0x4860 && address.segments().get(2) == Some(&0x4860));
    !(documentation || local || servers)
}
