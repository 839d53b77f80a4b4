//! Decides by thresholds on findings and a list of tools that want review. See the README for the configuration.

mod builtin;
mod config;
mod placeholder;

use std::collections::BTreeMap;

use plugin_effect::{Effect, Effects, Globs, LIKELY, of_name};
use portcullis_plugin::{
    AttributedFinding, Call, Finding, Payload, Phase, Reason, Redaction, Replacement, Rule, Span, Verdict,
};

pub use config::{Action, Config, Extent, IgnoreConfig, RuleConfig};
pub use placeholder::Placeholder;

use placeholder::Marked;

/// The configured rule.
pub struct Baseline {
    rules: Vec<Threshold>,
    ignored: Vec<Ignored>,
    review_tools: Tools,
    /// The lists are the built-in ones: what a tool does counts for more than how it is called.
    review_by_effect: bool,
    placeholder_key: Option<String>,
}

/// One line of the rule list, ready to match.
struct Threshold {
    categories: Globs,
    except_categories: Globs,
    min_score: f32,
    phases: Vec<Phase>,
    tools: Tools,
    effects: Option<Vec<Effect>>,
    action: Action,
    placeholder: Placeholder,
    extent: Extent,
    reason: Reason,
}

/// Most places of findings whose whole strings are redacted; with more of them a detector may have left some out.
const MOST_PLACES: usize = 1000;

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

/// What the rules have found so far.
#[derive(Default)]
struct Answer<'a> {
    denials: Vec<Reason>,
    reviews: Vec<Reason>,
    redactions: Vec<Reason>,
    replacements: Vec<Replacement>,
    /// Strings that are taken out whole, by their index in the payload, and why.
    whole: BTreeMap<u32, &'a str>,
    places: usize,
    marked: Marked<'a>,
}

impl Rule for Baseline {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        config.check()?;
        let mut rules = if config.builtin { builtin::rules() } else { Vec::new() };
        rules.extend(config.rules);
        let review_by_effect = config.review_tools.is_none() && config.review_except.is_none();
        let review_tools = config.review_tools.unwrap_or_else(builtin::review_tools);
        let review_except = config.review_except.unwrap_or_else(builtin::review_except);
        Ok(Self {
            rules: rules.into_iter().map(Threshold::new).collect(),
            ignored: config.ignore.into_iter().map(Ignored::new).collect(),
            review_tools: Tools::new(&review_tools, &review_except),
            review_by_effect,
            placeholder_key: config.placeholder_key,
        })
    }

    fn decide(&self, call: &Call, payload: &dyn Payload, findings: &[AttributedFinding]) -> Result<Verdict, String> {
        let mut answer = Answer::default();
        // Look-alike and invisible characters must not take a tool off the lists.
        let folded = plugin_text::folded(&call.tool);
        let tool = folded.to_lowercase();
        let effects = effects_of(&folded, findings);
        if call.phase == Phase::Call && self.wants_review(&tool, effects) {
            answer.reviews.push(Reason::new(builtin::SENSITIVE.0, builtin::SENSITIVE.1));
        }
        // Rules outside, findings inside: reasons come in the order of the rules whatever the detectors' order was.
        for rule in self.rules.iter().filter(|rule| rule.looks_at(call.phase, &tool) && rule.wants(effects)) {
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

impl Baseline {
    /// Whether the tool is on the list. On the built-in one `refund_status` is not, and `get_payment_and_send_it` is.
    fn wants_review(&self, tool: &str, effects: Effects) -> bool {
        match (self.review_by_effect, effects.acts()) {
            (true, true) => self.review_tools.globs.contain(tool),
            (true, false) => false,
            (false, _) => self.review_tools.contain(tool),
        }
    }
}

/// What the call can do: as an earlier detector found, or else by the tool's name. A tool of which nothing is known counts
/// as one that writes.
fn effects_of(tool: &str, findings: &[AttributedFinding]) -> Effects {
    let mut effects = Effects::default();
    for AttributedFinding { finding, .. } in findings.iter().filter(|found| found.finding.score >= LIKELY) {
        if let Some(effect) = finding.category.strip_prefix("effect.").and_then(Effect::from_name) {
            effects.raise(effect, finding.score);
        }
    }
    if !effects.known() {
        effects = of_name(tool);
    }
    if !effects.known() {
        effects.raise(Effect::Write, LIKELY);
    }
    effects
}

impl Threshold {
    fn new(config: RuleConfig) -> Self {
        Self {
            categories: Globs::new(&config.categories),
            except_categories: Globs::new(&config.except_categories),
            min_score: config.min_score,
            phases: config.phases,
            tools: Tools::new(&config.tools, &config.except_tools),
            effects: config.effects,
            action: config.verdict,
            placeholder: config.placeholder,
            extent: config.extent,
            reason: Reason::new(config.code, config.message),
        }
    }

    fn looks_at(&self, phase: Phase, tool: &str) -> bool {
        self.phases.contains(&phase) && self.tools.contain(tool)
    }

    fn fits(&self, finding: &Finding) -> bool {
        finding.score >= self.min_score
            && self.categories.contain(&finding.category)
            && !self.except_categories.contain(&finding.category)
    }

    fn wants(&self, effects: Effects) -> bool {
        self.effects.as_ref().is_none_or(|wanted| wanted.iter().any(|effect| effects.has(*effect)))
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

impl<'a> Answer<'a> {
    fn add(&mut self, rule: &Threshold, index: usize, finding: &'a Finding) {
        match rule.action {
            Action::Deny => push(&mut self.denials, rule.reason.clone()),
            Action::Review => push(&mut self.reviews, rule.reason.clone()),
            // Nothing says what to take out.
            Action::Redact if finding.spans.is_empty() => {
                self.cannot_redact(rule, "its place is not a string value");
            }
            Action::Redact if rule.extent == Extent::Text => {
                push(&mut self.redactions, rule.reason.clone());
                self.places += finding.spans.len();
                if self.places > MOST_PLACES {
                    self.cannot_redact(rule, "there are too many places");
                }
                for span in &finding.spans {
                    self.whole.entry(span.text).or_insert(&finding.category);
                }
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

    /// Forwarding it whole is what the rule forbids; one reason with its code is enough.
    fn cannot_redact(&mut self, rule: &Threshold, why: &str) {
        if self.denials.iter().any(|reason| reason.code == rule.reason.code) {
            return;
        }
        let message = format!("{}; it cannot be redacted, {why}", rule.reason.message);
        push(&mut self.denials, Reason { message, ..rule.reason.clone() });
    }

    fn into_verdict(self, call: &Call, payload: &dyn Payload, key: Option<&[u8]>) -> Verdict {
        if !self.denials.is_empty() {
            Verdict::Deny(self.denials)
        } else if !self.reviews.is_empty() {
            Verdict::Review(self.reviews)
        } else if !self.redactions.is_empty() {
            let mut replacements = self.replacements;
            if !self.whole.is_empty() {
                let texts = payload.texts();
                replacements.extend(self.whole.into_iter().filter_map(|(index, category)| {
                    let text = texts.get(usize::try_from(index).ok()?)?;
                    let value = format!("[redacted:{category}]");
                    Some(Replacement { span: Span::of(usize::try_from(index).ok()?, 0..text.value.len()), value })
                }));
            }
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
