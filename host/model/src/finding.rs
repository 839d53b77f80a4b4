use serde::{Deserialize, Serialize};

/// A piece of one string of the payload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// RFC 6901 pointer of the string.
    pub pointer: String,
    /// First byte, counted in the decoded string.
    pub start: u32,
    /// One past the last byte, counted in the decoded string.
    pub end: u32,
}

/// What a detector saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Dotted category, for instance `secret.token`.
    pub category: String,
    /// Confidence, 0 to 1; never NaN.
    pub score: f32,
    /// One sentence for the person who decides.
    pub message: String,
    /// Where; empty if the finding is about the whole payload.
    pub spans: Vec<Span>,
}

/// A finding and the plugin that made it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttributedFinding {
    /// Name of the plugin in the pipeline.
    pub plugin: String,
    /// What it saw.
    #[serde(flatten)]
    pub finding: Finding,
}
