//! Query strings: known names, once each, in their form.

use std::borrow::Cow;

use crate::http::ApiError;

/// The values of `names`, in their order.
///
/// # Errors
/// 400 for another name, one that comes twice, or an escaped value (none of ours needs it).
pub(super) fn read<'q, const N: usize>(query: &'q str, names: [&str; N]) -> Result<[Option<&'q str>; N], ApiError> {
    let mut values = [None; N];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = names.iter().position(|known| *known == name).and_then(|index| values.get_mut(index));
        match place {
            Some(place) if place.is_none() && !value.contains('%') => *place = Some(value),
            _ => {
                let known =
                    if N == 0 { "none is used here".to_owned() } else { format!("known are {}", names.join(", ")) };
                return Err(ApiError::malformed("a query parameter is unknown, repeated or escaped", known));
            }
        }
    }
    Ok(values)
}

/// Values that may hold anything, decoded.
pub(super) struct Text<'q>(Vec<(&'static str, Cow<'q, str>)>);

impl<'q> Text<'q> {
    /// # Errors
    /// 400 for another name, or one that comes twice.
    pub(super) fn read(query: &'q str, names: &[&'static str]) -> Result<Self, ApiError> {
        let mut found: Vec<(&'static str, Cow<'q, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match names.iter().find(|known| **known == name) {
                Some(known) if found.iter().all(|(name, _)| name != known) => found.push((known, value)),
                _ => {
                    let known = format!("known are {}", names.join(", "));
                    return Err(ApiError::malformed("a query parameter is unknown or repeated", known));
                }
            }
        }
        Ok(Self(found))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }
}

/// A whole number, or the default.
///
/// # Errors
/// 400 for anything else, naming the parameter.
pub(super) fn number(
    name: &str,
    value: Option<&str>,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, ApiError> {
    let Some(value) = value else { return Ok(default) };
    let number = value.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (low, high) = range.into_inner();
        ApiError::malformed(format!("{name} must be a whole number from {low} to {high}"), "see /v1/openapi.json")
    })
}
