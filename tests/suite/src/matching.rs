use serde_json::Value;

/// Whether a value fits what a scenario expects: objects may have more members, arrays have exactly the expected items,
/// and the text `<any>` stands for anything. The error names the place.
///
/// # Errors
/// The first place that does not fit.
pub fn fits(expected: &Value, found: &Value) -> Result<(), String> {
    at("", expected, found)
}

fn at(place: &str, expected: &Value, found: &Value) -> Result<(), String> {
    match (expected, found) {
        (Value::String(any), _) if any == "<any>" => Ok(()),
        (Value::Object(expected), Value::Object(found)) => expected.iter().try_for_each(|(key, expected)| {
            let place = format!("{place}/{key}");
            match found.get(key) {
                Some(found) => at(&place, expected, found),
                None => Err(format!("{place} is missing")),
            }
        }),
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let mut both = expected.iter().zip(found).enumerate();
            both.try_for_each(|(index, (expected, found))| at(&format!("{place}/{index}"), expected, found))
        }
        _ if expected == found => Ok(()),
        _ => Err(format!("{place}: expected {expected}, found {found}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::fits;

    #[test]
    fn what_does_not_fit_is_named() {
        let found = json!({ "a": [1, { "b": "x", "c": 2 }], "d": null });
        assert_eq!(fits(&json!({ "a": [1, { "b": "<any>" }] }), &found), Ok(()));
        assert!(fits(&json!({ "a": [1] }), &found).is_err());
        assert!(fits(&json!({ "a": [1, { "b": "y" }] }), &found).unwrap_err().starts_with("/a/1/b"));
        assert_eq!(fits(&json!({ "e": "<any>" }), &found), Err("/e is missing".to_owned()));
    }
}
