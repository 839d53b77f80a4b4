//! RFC 6901 JSON pointers.

use std::borrow::Cow;

/// The steps of a pointer, unescaped; none if it is not a pointer. The empty pointer has no steps.
#[must_use]
pub fn steps(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    Some(pointer.strip_prefix('/')?.split('/').map(|step| unescape(step).into_owned()).collect())
}

/// A pointer of these steps.
#[must_use]
pub fn from_steps<S: AsRef<str>>(steps: impl IntoIterator<Item = S>) -> String {
    steps.into_iter().fold(String::new(), |pointer, step| child(&pointer, step.as_ref()))
}

/// The pointer of a member or item of the value at `pointer`.
#[must_use]
pub fn child(pointer: &str, step: &str) -> String {
    format!("{pointer}/{}", escape(step))
}

/// The pointer of the value that holds this one; none for the root.
#[must_use]
pub fn parent(pointer: &str) -> Option<&str> {
    pointer.rfind('/').and_then(|at| pointer.get(..at))
}

/// The last step, unescaped: the name of the member or the index of the item; none for the root.
#[must_use]
pub fn last(pointer: &str) -> Option<Cow<'_, str>> {
    pointer.rfind('/').and_then(|at| pointer.get(at + 1..)).map(unescape)
}

/// Whether `pointer` is `ancestor` or lies in it.
#[must_use]
pub fn is_within(pointer: &str, ancestor: &str) -> bool {
    pointer.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A member name as it stands in a pointer.
#[must_use]
pub fn escape(step: &str) -> Cow<'_, str> {
    if step.contains(['~', '/']) { step.replace('~', "~0").replace('/', "~1").into() } else { step.into() }
}

/// A step of a pointer as a member name.
#[must_use]
pub fn unescape(step: &str) -> Cow<'_, str> {
    if step.contains('~') { step.replace("~1", "/").replace("~0", "~").into() } else { step.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_pointers_are_two_ways() {
        for steps_of in [vec![], vec!["a"], vec!["a/b", "m~n", "", "0"]] {
            let pointer = from_steps(&steps_of);
            assert_eq!(steps(&pointer).unwrap(), steps_of);
        }
        assert_eq!(from_steps(["a/b", "m~n"]), "/a~1b/m~0n");
        assert_eq!(steps("a"), None);
        assert_eq!(unescape("~01"), "~1", "the order of RFC 6901");
    }

    #[test]
    fn parents_and_children_are_found() {
        assert_eq!(parent("/a/b"), Some("/a"));
        assert_eq!(parent("/a"), Some(""));
        assert_eq!(parent(""), None);
        assert_eq!(last("/a/b~1c").as_deref(), Some("b/c"));
        assert_eq!(last(""), None);
        assert!(is_within("/a/b", "/a") && is_within("/a", "/a") && is_within("/a", ""));
        assert!(!is_within("/ab", "/a"));
    }
}
