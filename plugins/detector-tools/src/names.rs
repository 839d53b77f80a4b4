//! Names of tools: which are mistaken for each other, and which contradict what the tool says of itself.

use std::collections::BTreeMap;

use plugin_effect::{Effect, of_name};
use plugin_text::folded;

/// Tools of a list whose names are compared letter by letter; beyond that only those that look the same are told.
const MOST_COMPARED: usize = 2000;

/// What a name looks like: letters that look alike are one, case and separators do not count.
pub(crate) fn skeleton(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in folded(name).chars() {
        match c.to_ascii_lowercase() {
            '0' => out.push('o'),
            '1' | 'l' | '|' => out.push('i'),
            '3' => out.push('e'),
            '5' => out.push('s'),
            '_' | '-' | '.' | '/' | ':' | ' ' => {}
            c => out.push(c),
        }
    }
    out.replace("rn", "m").replace("vv", "w")
}

/// A letter that stands twice counts once.
fn single(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if !out.ends_with(c) {
            out.push(c);
        }
    }
    out
}

/// Whether two names differ in their numbers only, as `step_12` and `step_21` do: a series, which nobody mistakes.
fn numbered(one: &str, other: &str) -> bool {
    let parts = |name: &str| {
        let (mut letters, mut numbers) = (String::new(), Vec::new());
        let mut number = String::new();
        for c in folded(name).chars() {
            if c.is_ascii_digit() {
                number.push(c);
                continue;
            }
            if !number.is_empty() {
                numbers.push(std::mem::take(&mut number));
            }
            letters.extend(c.is_alphabetic().then(|| c.to_ascii_lowercase()));
        }
        numbers.extend((!number.is_empty()).then_some(number));
        (letters, numbers)
    };
    let (one, other) = (parts(one), parts(other));
    one.0 == other.0 && one.1 != other.1
}

/// Whether a name has letters that only look like plain ones, beside plain ones.
pub(crate) fn mixed(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphabetic();
    !name.is_ascii() && name.chars().any(plain) && {
        let folded = folded(name);
        folded.chars().filter(|c| plain(*c)).count() > name.chars().filter(|c| plain(*c)).count()
    }
}

/// Pairs of names that are mistaken for each other: the numbers of both. Of three that look the same each but the first is told.
pub(crate) fn alike(names: &[(usize, &str)]) -> Vec<(usize, usize)> {
    let mut seen: BTreeMap<String, (usize, &str)> = BTreeMap::new();
    let mut pairs = Vec::new();
    for (number, (tool, name)) in names.iter().enumerate() {
        let skeleton = skeleton(name);
        if skeleton.len() < 3 {
            continue;
        }
        let mut forms = vec![skeleton];
        if number < MOST_COMPARED
            && let Some(form) = forms.first().filter(|form| form.len() >= 6)
        {
            let mut more = vec![format!("={}", single(form))];
            let letters: Vec<char> = form.chars().take(64).collect();
            // Two neighbours in either order are the same.
            for at in 0..letters.len().saturating_sub(1) {
                let mut swapped = letters.clone();
                swapped.swap(at, at + 1);
                more.push(swapped.into_iter().collect());
            }
            forms.extend(more);
        }
        let mut other = None;
        for (at, form) in forms.iter().enumerate() {
            match seen.get(form) {
                Some((first, known)) if known != name && !numbered(known, name) => other = other.or(Some(*first)),
                _ => {}
            }
            // Swapped letters are looked for, not kept.
            if at == 0 || form.starts_with('=') {
                seen.entry(form.clone()).or_insert((*tool, name));
            }
        }
        pairs.extend(other.map(|first| (first, *tool)));
    }
    pairs
}

/// How sure a name has to be of what it says before a hint that denies it is a contradiction.
const SURE: f32 = 0.8;

/// Whether a name says that the tool changes or sends something.
pub(crate) fn changes(name: &str) -> bool {
    let effects = of_name(name);
    Effect::ALL.into_iter().any(|effect| effect != Effect::Read && effects.score(effect) >= SURE)
}

/// Whether a name says that the tool destroys something.
pub(crate) fn destroys(name: &str) -> bool {
    of_name(name).score(Effect::Delete) >= SURE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<(usize, usize)> {
        let names: Vec<(usize, &str)> = names.iter().copied().enumerate().collect();
        alike(&names)
    }

    #[test]
    fn names_that_look_alike_are_told() {
        for (one, other) in [
            ("send_email", "send_emai1"),
            ("send_email", "send-email"),
            ("send_email", "sendEmail"),
            ("read_file", "raed_file"),
            ("read_file", "read_fille"),
            ("commit", "cornmit"),
            ("read_file", "re\u{430}d_file"),
        ] {
            assert_eq!(found(&[one, "something_else", other]), [(0, 2)], "{one} {other}");
        }
    }

    #[test]
    fn a_numbered_series_is_not_mistaken_for_itself() {
        let series: Vec<String> = (0..1000).map(|number| format!("tool_{number}")).collect();
        let mut series: Vec<&str> = series.iter().map(String::as_str).collect();
        assert_eq!(found(&series), []);
        assert_eq!(found(&["get_detail", "get_detail_1", "get_detail_11", "v12_export", "v21_export"]), []);
        // A digit in place of a letter stays one, also of a name with numbers.
        series.push("tooi_12");
        assert_eq!(found(&series).len(), 1);
        assert_eq!(found(&["tool_12", "t00l_12"]), [(0, 1)]);
        assert_eq!(found(&["tool_12", "tool-12"]), [(0, 1)]);
    }

    #[test]
    fn names_that_differ_are_left_alone() {
        assert_eq!(
            found(&["get_user", "set_user", "get_users", "step_1", "step_2", "list_tag", "list_tags", "add", "odd"]),
            []
        );
        assert_eq!(found(&["same", "same"]), []);
        assert!(mixed("re\u{430}d") && !mixed("read") && !mixed("\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}"));
        assert!(changes("deleteUser") && changes("send_mail") && !changes("get_deleted") && destroys("drop-table"));
        assert!(!changes("run_query") && !changes("mark_as_read_preview") && !destroys("cancel_order"));
    }
}
