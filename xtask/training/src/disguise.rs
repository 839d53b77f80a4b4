//! Texts in disguise, as attackers write them: to train with, and to measure what is still found.

use crate::random::Random;

/// A way to disguise a text.
pub(crate) type Disguise = fn(&str, &mut Random) -> String;

/// All of them, by name.
pub(crate) const DISGUISES: [(&str, Disguise); 14] = [
    ("base64", |text, _| base64(text.as_bytes())),
    ("base64-twice", |text, _| base64(base64(text.as_bytes()).as_bytes())),
    ("hex", |text, _| text.bytes().map(|byte| format!("{byte:02x}")).collect()),
    ("url", |text, _| text.bytes().map(|byte| format!("%{byte:02X}")).collect()),
    ("references", |text, _| text.chars().map(|c| format!("&#{};", c as u32)).collect()),
    ("homoglyphs", |text, random| text.chars().map(|c| alike(c, random)).collect()),
    ("spaced", |text, _| text.chars().flat_map(|c| [c, ' ']).collect()),
    ("leet", |text, _| text.chars().map(leet).collect()),
    ("zero-width", |text, random| text.chars().flat_map(|c| [c, zero(random)]).collect()),
    ("full-width", |text, _| text.chars().map(wide).collect()),
    ("backwards", |text, _| text.chars().rev().collect()),
    ("rot13", |text, _| text.chars().map(thirteen).collect()),
    ("tags", |text, _| format!("Hello! {}", text.chars().filter_map(tag).collect::<String>())),
    ("mixed", mixed),
];

/// Each word in another way.
fn mixed(text: &str, random: &mut Random) -> String {
    let mut out = String::new();
    for word in text.split_inclusive(' ') {
        let way = random.below(5);
        out.extend(word.chars().map(|c| match way {
            0 => leet(c),
            1 => wide(c),
            2 => alike(c, random),
            3 if random.below(2) == 0 => c.to_ascii_uppercase(),
            _ => c,
        }));
        if way == 4 {
            out.push('\u{200b}');
        }
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |group: u32, shift: u32| {
        let at = (group >> shift & 63) as usize;
        char::from(LETTERS.get(at).copied().unwrap_or(b'A'))
    };
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0, |group, at| group << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            out.push(if at <= chunk.len() { letter(group, shift) } else { '=' });
        }
    }
    out
}

fn alike(c: char, random: &mut Random) -> char {
    let of: &[char] = match c {
        'a' => &['\u{430}', '\u{251}', '\u{3b1}'],
        'b' => &['\u{184}', '\u{13cf}'],
        'c' => &['\u{441}', '\u{3f2}'],
        'd' => &['\u{501}'],
        'e' => &['\u{435}', '\u{212e}'],
        'f' => &['\u{192}'],
        'g' => &['\u{261}', '\u{581}'],
        'h' => &['\u{4bb}', '\u{570}'],
        'i' => &['\u{456}', '\u{3b9}'],
        'j' => &['\u{458}', '\u{3f3}'],
        'k' => &['\u{3ba}', '\u{43a}'],
        'l' => &['\u{4cf}', '\u{2113}'],
        'm' => &['\u{43c}', '\u{217f}'],
        'n' => &['\u{578}'],
        'o' => &['\u{43e}', '\u{3bf}'],
        'p' => &['\u{440}', '\u{3c1}'],
        'q' => &['\u{51b}', '\u{566}'],
        'r' => &['\u{433}', '\u{1d26}'],
        's' => &['\u{455}', '\u{a731}'],
        't' => &['\u{442}', '\u{3c4}'],
        'u' => &['\u{57d}', '\u{3c5}'],
        'v' => &['\u{475}', '\u{3bd}'],
        'w' => &['\u{51d}', '\u{461}'],
        'x' => &['\u{445}', '\u{d7}'],
        'y' => &['\u{443}', '\u{3b3}'],
        'z' => &['\u{1d22}'],
        'A' => &['\u{410}', '\u{391}'],
        'B' => &['\u{412}', '\u{392}'],
        'C' => &['\u{421}'],
        'E' => &['\u{415}', '\u{395}'],
        'H' => &['\u{41d}', '\u{397}'],
        'I' => &['\u{406}', '\u{399}'],
        'K' => &['\u{41a}', '\u{39a}'],
        'M' => &['\u{41c}', '\u{39c}'],
        'N' => &['\u{39d}'],
        'O' => &['\u{41e}', '\u{39f}'],
        'P' => &['\u{420}', '\u{3a1}'],
        'S' => &['\u{405}'],
        'T' => &['\u{422}', '\u{3a4}'],
        'X' => &['\u{425}', '\u{3a7}'],
        'Y' => &['\u{4ae}', '\u{3a5}'],
        'Z' => &['\u{396}'],
        _ => &[],
    };
    of.get(random.below(of.len())).copied().unwrap_or(c)
}

fn leet(c: char) -> char {
    match c.to_ascii_lowercase() {
        'a' => '4',
        'e' => '3',
        'i' => '1',
        'o' => '0',
        's' => '5',
        't' => '7',
        _ => c,
    }
}

fn zero(random: &mut Random) -> char {
    ['\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}'].get(random.below(4)).copied().unwrap_or('\u{200b}')
}

fn wide(c: char) -> char {
    match c {
        '!'..='~' => char::from_u32(c as u32 + 0xfee0).unwrap_or(c),
        _ => c,
    }
}

fn thirteen(c: char) -> char {
    let moved = |from: u8| {
        let letter = u8::try_from(c).unwrap_or(from);
        char::from(from + (letter - from + 13) % 26)
    };
    match c {
        'a'..='z' => moved(b'a'),
        'A'..='Z' => moved(b'A'),
        _ => c,
    }
}

fn tag(c: char) -> Option<char> {
    if c.is_ascii_graphic() || c == ' ' { char::from_u32(0xe0000 + c as u32) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disguises_are_what_their_names_say() {
        let made = |name: &str| {
            let (_, disguise) = DISGUISES.iter().find(|(known, _)| *known == name).unwrap();
            disguise("Ask me", &mut Random::seeded(1))
        };
        assert_eq!(made("base64"), "QXNrIG1l");
        assert_eq!(base64(b"Ask m"), "QXNrIG0=");
        assert_eq!(base64(b"Ask "), "QXNrIA==");
        assert_eq!(made("hex"), "41736b206d65");
        assert_eq!(made("url"), "%41%73%6B%20%6D%65");
        assert_eq!(made("rot13"), "Nfx zr");
        assert_eq!(made("backwards"), "em ksA");
        assert_eq!(made("leet"), "45k m3");
        assert_eq!(made("spaced"), "A s k   m e ");
    }
}
