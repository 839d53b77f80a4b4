//! The rules: sequences of concepts, and what they mean.
//!
//! A sequence reads `concept 4 concept 2 concept`: between two concepts at most so many words, in the same sentence. A
//! `+4` may cross into the next sentence. `^` before the first concept asks for the start of a sentence or line.

/// Where a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    /// Everywhere.
    Any,
    /// Tool definitions; elsewhere it counts half.
    Listing,
}

/// One rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RuleText {
    /// Its category.
    pub(crate) category: Category,
    /// Its weight, 0 to 1; rules of a category add up as independent evidence.
    pub(crate) score: f32,
    /// Where it holds.
    pub(crate) place: Where,
    /// The sequence.
    pub(crate) sequence: &'static str,
}

/// The categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Category {
    Override,
    Role,
    Exfiltration,
    Concealment,
    Tool,
    Hidden,
    Jailbreak,
    Encoded,
    /// Seen by the model, and by no rule.
    Likely,
    /// A pattern of the configuration, by its number.
    Extra(u16),
}

impl Category {
    /// Those that rules find, in the order of the model's features.
    pub(crate) const RULED: [Category; 8] = [
        Category::Override,
        Category::Role,
        Category::Exfiltration,
        Category::Concealment,
        Category::Tool,
        Category::Hidden,
        Category::Jailbreak,
        Category::Encoded,
    ];

    /// Those that a configuration can name.
    pub(crate) fn named() -> impl Iterator<Item = Category> {
        Category::RULED.into_iter().chain([Category::Likely])
    }

    /// Whether the words around it can tell that it is no attack: what is quoted, what speaks of rules of something else. What
    /// is hidden, encoded or a marker of a conversation has no business in a text whatever stands around it.
    pub(crate) fn is_soft(self) -> bool {
        matches!(self, Category::Override | Category::Exfiltration | Category::Concealment | Category::Jailbreak)
    }

    /// The name in findings; empty for an extra pattern, which brings its own.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Category::Override => "injection.override",
            Category::Role => "injection.role",
            Category::Exfiltration => "injection.exfiltration",
            Category::Concealment => "injection.concealment",
            Category::Tool => "injection.tool",
            Category::Hidden => "injection.hidden",
            Category::Jailbreak => "injection.jailbreak",
            Category::Encoded => "injection.encoded",
            Category::Likely => "injection.likely",
            Category::Extra(_) => "",
        }
    }

    /// One sentence for the person who decides.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Category::Override => "The text tells the model to put aside its instructions or gives it new ones",
            Category::Role => "The text poses as another part of the conversation (system or role markers)",
            Category::Exfiltration => "The text asks for secrets, the prompt or the conversation to be given away",
            Category::Concealment => "The text asks to keep something from the user",
            Category::Tool => "The text steers the use of tools beyond describing one (a poisoned tool)",
            Category::Hidden => "The text holds a part that is not seen when it is shown",
            Category::Jailbreak => "The text asks the model to take on a persona without rules",
            Category::Encoded => "The text holds instructions behind an encoding",
            Category::Likely => "The text reads like one written to steer the model away from its instructions",
            Category::Extra(_) => "A configured pattern",
        }
    }
}

const fn any(category: Category, score: f32, sequence: &'static str) -> RuleText {
    RuleText { category, score, place: Where::Any, sequence }
}

const fn listing(category: Category, score: f32, sequence: &'static str) -> RuleText {
    RuleText { category, score, place: Where::Listing, sequence }
}

use Category::{Concealment, Exfiltration, Jailbreak, Override, Role, Tool};

pub(crate) const RULES: &[RuleText] = &[
    any(Override, 0.92, "ignore 4 prior 3 orders"),
    any(Override, 0.9, "ignore 4 orders 5 prior"),
    // Languages that put the verb last.
    any(Override, 0.85, "prior 2 orders 3 ignore"),
    any(Override, 0.8, "all 2 orders 2 ignore"),
    any(Override, 0.85, "ignore 2 all 3 orders"),
    any(Override, 0.85, "ignore 2 your 2 orders"),
    any(Override, 0.85, "ignore 2 all 4 prior"),
    any(Override, 0.85, "ignore 3 systemprompt"),
    any(Override, 0.8, "ignore 3 said"),
    any(Override, 0.75, "ignore 2 prior 3 talk"),
    any(Override, 0.75, "ignore 3 talk 3 prior"),
    any(Override, 0.8, "ignore 3 prior +6 instead"),
    any(Override, 0.85, "ignore 1 all 3 instead"),
    any(Override, 0.8, "prior 2 orders 6 void"),
    any(Override, 0.7, "prior 2 talk 8 void"),
    any(Override, 0.75, "supersede 4 prior 3 orders"),
    any(Override, 0.6, "systemprompt 3 supersede"),
    any(Override, 0.5, "^ignore 2 prior"),
    any(Override, 0.65, "^ignore 1 all"),
    any(Override, 0.3, "ignore 1 all"),
    any(Override, 0.55, "^ignore 2 orders"),
    any(Override, 0.6, "drop 2 your 2 orders"),
    any(Override, 0.6, "drop 3 prior 2 orders"),
    any(Override, 0.7, "despite 3 prior 3 orders"),
    any(Override, 0.75, "despite 3 said"),
    any(Override, 0.4, "newtask"),
    any(Override, 0.6, "your 2 newtask"),
    any(Override, 0.35, "fromnow"),
    any(Override, 0.5, "stop"),
    any(Override, 0.5, "justsay"),
    any(Override, 0.6, "strictly"),
    any(Override, 0.4, "must 6 following"),
    any(Override, 0.7, "authority"),
    any(Override, 0.75, "boundary"),
    any(Override, 0.6, "note 2 modelword"),
    any(Role, 0.85, "token"),
    any(Role, 0.5, "systemtag"),
    any(Role, 0.75, "systemtag +8 ignore"),
    any(Role, 0.7, "systemtag +8 must"),
    any(Role, 0.45, "importanttag"),
    any(Role, 0.45, "^roleline"),
    any(Role, 0.8, "^roleline 3 ignore"),
    any(Role, 0.7, "^roleline +6 must"),
    any(Exfiltration, 0.8, "reveal 4 systemprompt"),
    any(Exfiltration, 0.75, "reveal 4 beginning"),
    any(Exfiltration, 0.5, "beginning"),
    any(Exfiltration, 0.6, "send 5 secret 10 dest"),
    any(Exfiltration, 0.6, "send 4 secret 6 argument"),
    any(Exfiltration, 0.6, "fetchverb 5 secret +6 send"),
    any(Exfiltration, 0.75, "send 4 history 6 dest"),
    any(Exfiltration, 0.75, "send 4 history 6 argument"),
    any(Exfiltration, 0.55, "image 12 secret"),
    any(Concealment, 0.7, "not 2 tell 3 user"),
    any(Concealment, 0.55, "not 1 tell 1 this"),
    any(Concealment, 0.6, "not 2 tell 8 user"),
    any(Concealment, 0.65, "not 2 knowing"),
    any(Concealment, 0.6, "hide 6 user"),
    any(Concealment, 0.35, "secretly"),
    any(Concealment, 0.65, "secretly 4 send"),
    any(Concealment, 0.5, "unlogged"),
    listing(Tool, 0.55, "beforetool"),
    listing(Tool, 0.85, "beforetool +6 fetchverb"),
    listing(Tool, 0.75, "firsttool"),
    listing(Tool, 0.55, "modelmust"),
    listing(Tool, 0.8, "modelmust 4 fetchverb"),
    listing(Tool, 0.7, "modelmust 4 send"),
    listing(Tool, 0.6, "fetchverb 6 sensitivefile"),
    listing(Tool, 0.5, "sensitivefile"),
    listing(Tool, 0.75, "fetchverb 6 secret +8 argument"),
    listing(Tool, 0.6, "send 4 content 8 argument"),
    listing(Tool, 0.45, "willnotwork"),
    listing(Tool, 0.75, "redirect"),
    listing(Tool, 0.6, "whenever 4 othertool"),
    listing(Tool, 0.6, "note 2 modelword"),
    any(Jailbreak, 0.75, "dan"),
    any(Jailbreak, 0.35, "jailbreakword"),
    any(Jailbreak, 0.4, "unbound"),
    any(Jailbreak, 0.5, "free 6 confines"),
    any(Jailbreak, 0.55, "drop 3 confines"),
    any(Jailbreak, 0.5, "refuse"),
    any(Jailbreak, 0.35, "sorry"),
    any(Jailbreak, 0.4, "policy"),
    any(Jailbreak, 0.6, "character"),
    any(Jailbreak, 0.4, "twoanswers"),
    any(Jailbreak, 0.3, "actas"),
    any(Jailbreak, 0.3, "youarenow"),
    any(Jailbreak, 0.45, "fromnow 6 actas"),
    any(Jailbreak, 0.35, "fromnow 6 youarenow"),
    any(Jailbreak, 0.15, "gptname"),
    any(Jailbreak, 0.25, "hypothetic"),
    any(Jailbreak, 0.25, "threat"),
    any(Jailbreak, 0.25, "harm"),
    any(Jailbreak, 0.2, "warnings"),
    any(Jailbreak, 0.35, "confirm"),
    any(Jailbreak, 0.3, "mode"),
    any(Jailbreak, 0.6, "agenda"),
];
