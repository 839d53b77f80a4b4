//! Decides by thresholds on findings and a list of tools that want review. See the README for the configuration.

mod builtin;
mod config;
mod placeholder;

use portcullis_plugin::{
    AttributedFinding, Call, Finding, Payload, Phase, Reason, Redaction, Replacement, Rule, Verdict,
};
use wildmatch::WildMatch;

pub use config::{Action, Config, IgnoreConfig, RuleConfig};
pub use placeholder::Placeholder;

use placeholder::Marked;

/// The configured rule.
pub struct Baseline {
    rules: Vec<Threshold>,
    ignored: Vec<Ignored>,
    review_tools: Tools,
    placeholder_key: Option<String>,
}

/// One line of the rule list, ready to match.
struct Threshold {
    categories: Globs,
    min_score: f32,
    phases: Vec<Phase>,
    tools: Tools,
    action: Action,
    placeholder: Placeholder,
    reason: Reason,
}

/// Findings that do not count.
struct Ignored {
    categories: Globs,
    phases: Vec<Phase>,
    tools: Tools,
}

/// Tools by name: one of `globs`, none of `except`. Letters in either case.
struct Tools {
    globs: Globs,
    except: Globs,
}

struct Globs(Vec<WildMatch>);

/// What the rules have found so far.
#[derive(Default)]
struct Answer<'a> {
    denials: Vec<Reason>,
    reviews: Vec<Reason>,
    redactions: Vec<Reason>,
    replacements: Vec<Replacement>,
    marked: Marked<'a>,
}

impl Rule for Baseline {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        config.check()?;
        let mut rules = if config.builtin { builtin::rules() } else { Vec::new() };
        rules.extend(config.rules);
        Ok(Self {
            rules: rules.into_iter().map(Threshold::new).collect(),
            ignored: config.ignore.into_iter().map(Ignored::new).collect(),
            review_tools: Tools::new(&config.review_tools, &config.review_except),
            placeholder_key: config.placeholder_key,
        })
    }

    fn decide(&self, call: &Call, payload: &dyn Payload, findings: &[AttributedFinding]) -> Result<Verdict, String> {
        let mut answer = Answer::default();
        // Look-alike and invisible characters must not take a tool off the lists.
        let tool = plugin_text::folded(&call.tool).to_lowercase();
        if call.phase == Phase::Call && self.review_tools.contain(&tool) {
            answer.reviews.push(Reason::new("sensitive_tool", "this tool always wants a person's approval"));
        }
        // Rules outside, findings inside: reasons come in the order of the rules whatever the detectors' order was.
        for rule in self.rules.iter().filter(|rule| rule.looks_at(call.phase, &tool)) {
            for (index, AttributedFinding { finding, .. }) in findings.iter().enumerate() {
                let ignored = || self.ignored.iter().any(|ignored| ignored.fits(call.phase, &tool, finding));
                if rule.fits(finding) && !ignored() {
                    answer.add(rule, index, finding);
                }
            }
        }
        Ok(answer.into_verdict(call, payload, self.placeholder_key.as_deref().map(str::as_bytes)))
    }
}

portcullis_plugin::rule!(Baseline);

impl Threshold {
    fn new(config: RuleConfig) -> Self {
        Self {
            categories: Globs::new(&config.categories),
            min_score: config.min_score,
            phases: config.phases,
            tools: Tools::new(&config.tools, &config.except_tools),
            action: config.verdict,
            placeholder: config.placeholder,
            reason: Reason::new(config.code, config.message),
        }
    }

    fn looks_at(&self, phase: Phase, tool: &str) -> bool {
        self.phases.contains(&phase) && self.tools.contain(tool)
    }

    fn fits(&self, finding: &Finding) -> bool {
        finding.score >= self.min_score && self.categories.contain(&finding.category)
    }
}

impl Ignored {
    fn new(config: IgnoreConfig) -> Self {
        Self {
            categories: Globs::new(&config.categories),
            phases: config.phases,
            tools: Tools::new(&config.tools, &[]),
        }
    }

    fn fits(&self, phase: Phase, tool: &str, finding: &Finding) -> bool {
        self.phases.contains(&phase) && self.categories.contain(&finding.category) && self.tools.contain(tool)
    }
}

impl Tools {
    fn new(globs: &[String], except: &[String]) -> Self {
        Self { globs: Globs::new(globs), except: Globs::new(except) }
    }

    /// `tool` is in lower case.
    fn contain(&self, tool: &str) -> bool {
        self.globs.contain(tool) && !self.except.contain(tool)
    }
}

impl Globs {
    fn new(globs: &[String]) -> Self {
        Self(globs.iter().map(|glob| WildMatch::new(&glob.to_lowercase())).collect())
    }

    fn contain(&self, name: &str) -> bool {
        self.0.iter().any(|glob| glob.matches(name))
    }
}

impl<'a> Answer<'a> {
    fn add(&mut self, rule: &Threshold, index: usize, finding: &'a Finding) {
        match rule.action {
            Action::Deny => push(&mut self.denials, rule.reason.clone()),
            Action::Review => push(&mut self.reviews, rule.reason.clone()),
            // Nothing says what to take out, and forwarding it whole is what the rule forbids.
            Action::Redact if finding.spans.is_empty() => {
                let message =
                    format!("{}; it cannot be redacted, its place is not a string value", rule.reason.message);
                push(&mut self.denials, Reason { message, ..rule.reason.clone() });
            }
            Action::Redact if rule.placeholder != Placeholder::Category => {
                push(&mut self.redactions, rule.reason.clone());
                self.marked.add(index, finding, rule.placeholder);
            }
            Action::Redact => {
                push(&mut self.redactions, rule.reason.clone());
                let value = format!("[redacted:{}]", finding.category);
                let spans = finding.spans.iter();
                self.replacements.extend(spans.map(|span| Replacement { span: *span, value: value.clone() }));
            }
        }
    }

    fn into_verdict(self, call: &Call, payload: &dyn Payload, key: Option<&[u8]>) -> Verdict {
        if !self.denials.is_empty() {
            Verdict::Deny(self.denials)
        } else if !self.reviews.is_empty() {
            Verdict::Review(self.reviews)
        } else if !self.redactions.is_empty() {
            let mut replacements = self.replacements;
            replacements.extend(self.marked.replacements(call, payload, key));
            Verdict::Redact(Redaction { reasons: self.redactions, replacements })
        } else {
            Verdict::Allow
        }
    }
}

fn push(reasons: &mut Vec<Reason>, reason: Reason) {
    if !reasons.contains(&reason) {
        reasons.push(reason);
    }
}

#[cfg(test)]
mod tests;
