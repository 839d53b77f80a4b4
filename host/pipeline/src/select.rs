use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use portcullis_model::{Call, Phase};

use crate::Selector;

/// Most globs of one list.
const MAX_GLOBS: usize = 256;

/// A compiled [`Selector`].
#[derive(Debug, Default)]
pub(crate) struct Selection {
    tools: Option<GlobSet>,
    upstreams: Option<GlobSet>,
    agents: Option<GlobSet>,
    phases: Vec<Phase>,
}

/// Why a selector does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectError {
    #[error("{0}")]
    Glob(globset::Error),
    #[error("at most {MAX_GLOBS} globs; join some with {{a,b}}")]
    TooMany,
}

impl Selection {
    /// Compiles a selector; the error comes with its place, for instance `tools[1]`.
    pub(crate) fn new(selector: &Selector) -> Result<Self, (String, SelectError)> {
        Ok(Self {
            tools: globs("tools", &selector.tools)?,
            upstreams: globs("upstreams", &selector.upstreams)?,
            agents: globs("agents", &selector.agents)?,
            phases: selector.phases.clone(),
        })
    }

    /// Whether the plugin sees this call.
    pub(crate) fn fits(&self, call: &Call) -> bool {
        let fits = |globs: &Option<GlobSet>, text: Option<&str>| {
            globs.as_ref().is_none_or(|globs| text.is_some_and(|text| globs.is_match(text)))
        };
        (self.phases.is_empty() || self.phases.contains(&call.phase))
            && fits(&self.tools, Some(&call.tool))
            && fits(&self.upstreams, call.upstream.as_deref())
            && fits(&self.agents, Some(&call.agent))
    }
}

pub(crate) fn globs(key: &str, list: &[String]) -> Result<Option<GlobSet>, (String, SelectError)> {
    if list.is_empty() {
        return Ok(None);
    }
    if list.len() > MAX_GLOBS {
        return Err((key.to_owned(), SelectError::TooMany));
    }
    let mut set = GlobSetBuilder::new();
    for (index, text) in list.iter().enumerate() {
        // In either case: an upstream that does not care about case must not be a way around a plugin.
        let mut glob = GlobBuilder::new(text);
        let glob = glob.case_insensitive(true).literal_separator(false).backslash_escape(true).build();
        set.add(glob.map_err(|error| (format!("{key}[{index}]"), SelectError::Glob(error)))?);
    }
    set.build().map(Some).map_err(|error| (key.to_owned(), SelectError::Glob(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::tests::call;

    fn list(globs: &[&str]) -> Vec<String> {
        globs.iter().map(|glob| (*glob).to_owned()).collect()
    }

    fn fits(globs: &[&str], tool: &str) -> bool {
        let selection = Selection::new(&Selector { tools: list(globs), ..Selector::default() }).unwrap();
        selection.fits(&Call { tool: tool.into(), ..call("{}") })
    }

    #[test]
    fn an_empty_selector_sees_everything() {
        let selection = Selection::new(&Selector::default()).unwrap();
        for phase in [Phase::Call, Phase::Result, Phase::Listing, Phase::Message] {
            assert!(selection.fits(&Call { phase, upstream: None, ..call("{}") }));
        }
    }

    #[test]
    fn globs_match_whole_names_and_slashes_are_nothing_special() {
        for tool in ["", "a", "fs/a", "fs/a/b.txt", "/", ".", "..", "a/..", "a\nb", "é"] {
            assert!(fits(&["*"], tool), "{tool:?}");
        }
        for tool in ["x.delete", "X.Delete", "fs/x.delete", ".delete", "..delete", "a/b.c.delete", "a\n.delete"] {
            assert!(fits(&["*.delete"], tool), "{tool:?}");
            assert!(fits(&["read_*", "*.delete"], tool), "{tool:?}");
        }
        for tool in ["delete", "x.delete.", "x.delete/", "x.delete\n"] {
            assert!(!fits(&["*.delete"], tool), "{tool:?}");
        }
        assert!(fits(&["fs/*"], "fs/a/b") && !fits(&["fs/*"], "xfs/a"));
        assert!(fits(&["{read,write}_[ab]?"], "write_b1") && !fits(&["{read,write}_[ab]?"], "write_c1"));
        assert!(fits(&["run"], "run") && !fits(&["run"], "rerun") && !fits(&["run"], "sh/run"));
    }

    #[test]
    fn every_list_must_fit() {
        let selector = Selector {
            tools: list(&["pay*"]),
            upstreams: list(&["bank"]),
            phases: vec![Phase::Call, Phase::Result],
            agents: list(&["bot-?"]),
        };
        let selection = Selection::new(&selector).unwrap();
        let good = Call { tool: "pay_all".into(), upstream: Some("bank".into()), agent: "bot-1".into(), ..call("{}") };
        assert!(selection.fits(&good));
        assert!(selection.fits(&Call { phase: Phase::Result, ..good.clone() }));
        for bad in [
            Call { tool: "list".into(), ..good.clone() },
            Call { upstream: None, ..good.clone() },
            Call { upstream: Some("shop".into()), ..good.clone() },
            Call { phase: Phase::Listing, ..good.clone() },
            Call { agent: "bot-12".into(), ..good.clone() },
        ] {
            assert!(!selection.fits(&bad), "{bad:?}");
        }
    }

    #[test]
    fn a_bad_glob_is_told_with_its_place() {
        let bad = Selector { tools: list(&["a", "b["]), ..Selector::default() };
        assert_eq!(Selection::new(&bad).unwrap_err().0, "tools[1]");
        let many = Selector { agents: vec!["a".to_owned(); MAX_GLOBS + 1], ..Selector::default() };
        assert_eq!(Selection::new(&many).unwrap_err(), ("agents".to_owned(), SelectError::TooMany));
    }
}
