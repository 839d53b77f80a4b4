//! What is not ASCII in a text: most readers of single characters want nothing else.

/// The highest bit of eight bytes.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The characters of a text beyond ASCII, with their places. Skips eight bytes at a time.
#[derive(Debug, Clone)]
pub(crate) struct Others<'t> {
    text: &'t str,
    at: usize,
}

/// The characters of `text` beyond ASCII, in order, with their places.
pub(crate) fn others(text: &str) -> Others<'_> {
    Others { text, at: 0 }
}

impl Iterator for Others<'_> {
    type Item = (usize, char);

    fn next(&mut self) -> Option<(usize, char)> {
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let plain = rest.first_chunk().is_some_and(|eight| u64::from_ne_bytes(*eight) & HIGH == 0);
            if plain {
                self.at += 8;
                continue;
            }
            // Among these eight, or the last few of the text.
            let at = self.at + rest.iter().position(|byte| !byte.is_ascii())?;
            let c = self.text.get(at..)?.chars().next()?;
            self.at = at + c.len_utf8();
            return Some((at, c));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_characters_beyond_ascii_wherever_they_stand() {
        for plain in 0..20 {
            for behind in 0..20 {
                let text = format!("{}\u{e9}\u{1f600}{}\u{200b}", "a".repeat(plain), "b".repeat(behind));
                let expected: Vec<_> = text.char_indices().filter(|(_, c)| !c.is_ascii()).collect();
                assert_eq!(others(&text).collect::<Vec<_>>(), expected, "{text:?}");
            }
        }
        assert_eq!(others("").next(), None);
        assert_eq!(others("only plain text, and more of it").next(), None);
    }
}
