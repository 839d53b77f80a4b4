use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Digest, Document};

/// Where in its life a call is being looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Before the tool runs; the payload is the arguments.
    #[default]
    Call,
    /// After the tool ran; the payload is its output.
    Result,
    /// A tool list on its way to the agent; the payload is the array of definitions.
    Listing,
    /// Other text on its way to the model.
    Message,
}

impl Phase {
    /// The word used on the wire, in configuration and in entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Result => "result",
            Self::Listing => "listing",
            Self::Message => "message",
        }
    }
}

/// Whether a tenant's verdicts take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Verdicts take effect.
    #[default]
    Enforce,
    /// The true verdict is recorded and reported; nothing is held back.
    Observe,
}

impl Mode {
    /// The word used on the wire, in configuration and in entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

/// The three things a plugin can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Call in, findings out.
    Detector,
    /// Call and findings in, verdict out.
    Rule,
    /// Review in, approval plan out.
    Router,
}

impl Role {
    /// The word used on the wire, in configuration and as the name of the WIT world.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detector => "detector",
            Self::Rule => "rule",
            Self::Router => "router",
        }
    }
}

/// One tool call in one phase, as every door hands it to the pipeline.
///
/// Tenant and agent come from the credential, never from the payload.
#[derive(Clone, Debug)]
pub struct Call {
    /// Identity of the call; the same in every phase.
    pub id: Uuid,
    /// What is being looked at.
    pub phase: Phase,
    /// Owner of the traffic.
    pub tenant: Arc<str>,
    /// Who makes the call.
    pub agent: Arc<str>,
    /// The run of the agent this call belongs to (at most 256 bytes).
    pub session: Option<Arc<str>>,
    /// What the agent is for (at most 4 KiB).
    pub persona: Option<Arc<str>>,
    /// What the user asked for in this session (at most 16 KiB).
    pub task: Option<Arc<str>>,
    /// Name of the upstream that owns the tool (at most 256 bytes).
    pub upstream: Option<Arc<str>>,
    /// Tool name, 1 to 1024 bytes.
    pub tool: Arc<str>,
    /// The arguments, output, listing or message: parsed once, read by everybody.
    pub payload: Arc<Document>,
    /// Milliseconds since the Unix epoch at which the door took the call: what plugins see as "now".
    pub time_ms: u64,
    /// Digest of what goes to the upstream with the payload and is no part of it: a client's answers to the upstream's
    /// questions, and the state that it brings back. An approval is for the call with just these.
    pub attached: Option<Digest>,
}

impl Call {
    /// SHA-256 over everything a verdict may depend on but the clock: phase, tenant, agent, session, persona, task,
    /// upstream, tool and the canonical payload, each with its length in front; and what is attached, if anything is.
    #[must_use]
    pub fn digest(&self) -> Digest {
        fn optional(field: Option<&Arc<str>>) -> &[u8] {
            field.map_or(&[], |text| text.as_bytes())
        }
        let present = [&self.session, &self.persona, &self.task, &self.upstream].map(|field| u8::from(field.is_some()));
        let attached = self.attached.as_ref().map(|attached| &attached.0[..]);
        let parts = [
            &b"portcullis call 1"[..],
            self.phase.as_str().as_bytes(),
            self.tenant.as_bytes(),
            self.agent.as_bytes(),
            &present,
            optional(self.session.as_ref()),
            optional(self.persona.as_ref()),
            optional(self.task.as_ref()),
            optional(self.upstream.as_ref()),
            self.tool.as_bytes(),
            &self.payload.digest().0,
        ];
        Digest::of_parts(parts.into_iter().chain(attached))
    }
}
