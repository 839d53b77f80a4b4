//! What tools do, as configured: globs of names.

use std::collections::BTreeMap;

use wildmatch::WildMatch;

use crate::{Effect, of_name};

/// Patterns of names: `*` is anything, `?` is one character. Letters in either case.
#[derive(Clone, Debug)]
pub struct Globs(Vec<WildMatch>);

impl Globs {
    /// Any name that fits one of these.
    #[must_use]
    pub fn new(globs: &[String]) -> Self {
        Self(globs.iter().map(|glob| WildMatch::new(&glob.to_lowercase())).collect())
    }

    /// Whether `name`, which is in lower case, fits one.
    #[must_use]
    pub fn contain(&self, name: &str) -> bool {
        self.0.iter().any(|glob| glob.matches(name))
    }
}

/// What tools do whose names do not tell.
#[derive(Clone, Debug)]
pub struct Overrides(Vec<(WildMatch, Effect)>);

impl Overrides {
    /// By globs of tools; the first in the order of the alphabet counts.
    ///
    /// # Errors
    /// A glob fits every name.
    pub fn new(effects: &BTreeMap<String, Effect>) -> Result<Self, String> {
        if effects.keys().any(|glob| fits_all(glob)) {
            return Err("effects: give globs of tools that do not fit every tool".to_owned());
        }
        Ok(Self(effects.iter().map(|(glob, effect)| (WildMatch::new(&glob.to_lowercase()), *effect)).collect()))
    }

    /// What a call of a tool does: as configured, or by its name. Of what nothing is known, it is believed that it writes.
    #[must_use]
    pub fn effect(&self, tool: &str) -> Effect {
        let name = tool.to_lowercase();
        let own = self.0.iter().find(|(glob, _)| glob.matches(&name)).map(|(_, effect)| *effect);
        own.or_else(|| of_name(tool).strongest()).unwrap_or(Effect::Write)
    }
}

/// Whether a glob fits every name, or none.
#[must_use]
pub fn fits_all(glob: &str) -> bool {
    glob.trim_matches('*').is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_fit_in_either_case_and_hold_stars_anywhere() {
        let of = |glob: &str, name: &str| Globs::new(&[glob.to_owned()]).contain(name);
        assert!(of("Get_*", "get_mail") && of("*_status", "set_status") && of("g*l", "get_mail") && of("a?", "ab"));
        assert!(!of("get_*", "forget_it") && !of("a?", "a") && !of("", "a") && of("*", ""));
    }

    #[test]
    fn what_is_configured_counts_before_the_name_and_the_name_before_a_guess() {
        let known = |glob: &str| Overrides::new(&BTreeMap::from([(glob.to_owned(), Effect::Read)]));
        let overrides = known("crm.*_RUN").unwrap();
        assert_eq!(overrides.effect("CRM.nightly_run"), Effect::Read);
        assert_eq!(overrides.effect("delete_run"), Effect::Delete);
        assert_eq!(overrides.effect("process"), Effect::Write);
        assert!(known("*").is_err() && known("").is_err());
    }
}
