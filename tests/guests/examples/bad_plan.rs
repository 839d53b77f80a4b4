//! Plans an approval that nobody can give.
test_guests::world!("router");

use portcullis::plugin::types::AttributedFinding as Attributed;

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn route(_call: Call, _findings: Vec<Attributed>, _reasons: Vec<Reason>) -> Result<Plan, String> {
        Ok(Plan {
            approvers: Vec::new(),
            quorum: 1,
            deadline_seconds: 60,
            channels: Vec::new(),
            escalation: Vec::new(),
            summary: String::new(),
            may_modify: false,
        })
    }
}

export!(Plugin);
