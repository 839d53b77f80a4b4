/// Whether a character is not seen where text is shown, ends the line, or changes how what follows is shown: control
/// characters, those of no width, and those that turn the reading direction. Names come from strangers.
#[must_use]
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
