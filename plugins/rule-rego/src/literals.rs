//! The string literals of a Rego text: patterns among them are compiled before the snapshot instead of in every call.

/// Every string literal, as written (with its quotes), in order.
pub(crate) fn of(rego: &str) -> Vec<&str> {
    let bytes = rego.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let length = match byte {
            b'#' => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
            b'`' | b'"' => {
                let length = closed(rest, *byte);
                out.extend(rego.get(at..at + length));
                length
            }
            _ => 1,
        };
        at += length;
    }
    out
}

/// Whether a text is worth compiling: most plain strings are no patterns.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.len() <= 4096 && text.contains(['\\', '[', '(', '*', '+', '?', '^', '$', '|'])
}

/// Length of the literal that begins with `quote`, up to the end of the text if it is not closed.
fn closed(rest: &[u8], quote: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.iter().enumerate().skip(1) {
        if *byte == quote && !escaped {
            return at + 1;
        }
        escaped = quote == b'"' && *byte == b'\\' && !escaped;
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    #[test]
    fn strings_are_found_and_comments_are_not() {
        let rego = "x := \"a\\\"b\" # \"no\"\ny := `c\\`\nz := [\"\", \"d\"]\nw := \"open";
        assert_eq!(super::of(rego), ["\"a\\\"b\"", "`c\\`", "\"\"", "\"d\"", "\"open"]);
    }
}
