/// Most bytes of a label.
pub const MAX_LABEL: usize = 63;

/// Whether a text can name a tenant, agent, operator, role or plugin: 1 to 63 of `A-Z a-z 0-9 . _ -`.
#[must_use]
pub fn is_label(text: &str) -> bool {
    (1..=MAX_LABEL).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_and_plain() {
        for good in ["a", "Agent-7", "x.y_z", &"a".repeat(63)] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", " ", "a b", "a/b", "a:b", "ä", "a\0", "a\n", &"a".repeat(64)] {
            assert!(!is_label(bad), "{bad:?}");
        }
    }
}
