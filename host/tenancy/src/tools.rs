use globset::{GlobBuilder, GlobMatcher};

/// Most globs of one list.
const MAX_GLOBS: usize = 256;

/// Which tools an agent may know of, as configured. A glob is written `TOOL` or `UPSTREAM/TOOL`; it knows `*`, `?`, `[…]`
/// and `{a,b}` and does not tell small letters from capitals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ToolRules {
    /// Only these; without any, all.
    pub allow: Vec<String>,
    /// Not these, even if they are allowed.
    pub hide: Vec<String>,
}

/// Compiled [`ToolRules`].
#[derive(Clone, Debug, Default)]
pub(crate) struct ToolFilter {
    allow: Vec<ToolGlob>,
    hide: Vec<ToolGlob>,
}

/// Why rules do not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToolRulesError {
    /// Not a glob.
    #[error("{0}")]
    Glob(String),
    /// Too many globs.
    #[error("at most {MAX_GLOBS} globs; join some with {{a,b}}")]
    TooMany,
}

#[derive(Clone, Debug)]
struct ToolGlob {
    /// None: every upstream.
    upstream: Option<GlobMatcher>,
    tool: GlobMatcher,
}

impl ToolFilter {
    /// Compiles rules; the error comes with its place, for instance `hide[1]`.
    pub(crate) fn new(rules: &ToolRules) -> Result<Self, (String, ToolRulesError)> {
        Ok(Self { allow: globs("allow", &rules.allow)?, hide: globs("hide", &rules.hide)? })
    }

    /// Whether it says anything at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.hide.is_empty()
    }

    /// Whether the tool may be known.
    pub(crate) fn shows(&self, upstream: &str, tool: &str) -> bool {
        let any = |globs: &[ToolGlob]| globs.iter().any(|glob| glob.fits(upstream, tool));
        (self.allow.is_empty() || any(&self.allow)) && !any(&self.hide)
    }
}

impl ToolGlob {
    fn fits(&self, upstream: &str, tool: &str) -> bool {
        self.tool.is_match(tool) && self.upstream.as_ref().is_none_or(|glob| glob.is_match(upstream))
    }
}

fn globs(key: &str, list: &[String]) -> Result<Vec<ToolGlob>, (String, ToolRulesError)> {
    if list.len() > MAX_GLOBS {
        return Err((key.to_owned(), ToolRulesError::TooMany));
    }
    let one = |(index, text): (usize, &String)| {
        let compiled = |text: &str| {
            // In either case: an upstream that does not care about case must not be a way around.
            let glob = GlobBuilder::new(text).case_insensitive(true).literal_separator(false).build();
            let place = || format!("{key}[{index}]");
            glob.map(|glob| glob.compile_matcher()).map_err(|error| (place(), ToolRulesError::Glob(error.to_string())))
        };
        Ok(match text.split_once('/') {
            Some((upstream, tool)) => ToolGlob { upstream: Some(compiled(upstream)?), tool: compiled(tool)? },
            None => ToolGlob { upstream: None, tool: compiled(text)? },
        })
    };
    list.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(allow: &[&str], hide: &[&str]) -> ToolFilter {
        let list = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect();
        ToolFilter::new(&ToolRules { allow: list(allow), hide: list(hide) }).unwrap()
    }

    #[test]
    fn without_rules_every_tool_is_shown() {
        assert!(filter(&[], &[]).shows("files", "read") && filter(&[], &[]).is_empty());
    }

    #[test]
    fn a_glob_is_about_all_upstreams_or_one() {
        let hide = filter(&[], &["write_*", "git/*", "{sh,ex}/run"]);
        assert!(!hide.shows("files", "write_file") && !hide.shows("git", "log") && !hide.shows("ex", "run"));
        assert!(hide.shows("files", "read") && hide.shows("digit", "log") && hide.shows("files", "run"));
    }

    #[test]
    fn hiding_wins_over_allowing_and_case_is_no_way_around() {
        let both = filter(&["files/*"], &["*delete*"]);
        assert!(both.shows("files", "read") && !both.shows("git", "read"));
        assert!(!both.shows("files", "Delete_All") && !both.shows("FILES", "DELETE"));
    }

    #[test]
    fn a_bad_glob_is_told_with_its_place() {
        let rules = |hide: Vec<String>| ToolFilter::new(&ToolRules { allow: Vec::new(), hide }).unwrap_err().0;
        assert_eq!(rules(vec!["a".to_owned(), "b/c[".to_owned()]), "hide[1]");
        assert_eq!(rules(vec!["a".to_owned(); MAX_GLOBS + 1]), "hide");
    }
}
