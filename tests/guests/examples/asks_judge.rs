//! Asks the template that the tool's name says, with every text of the payload as a variable, and tells the answer.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(call: Call) -> Result<Vec<Finding>, String> {
        use portcullis::plugin::{judge, payload};
        let variable = |text: payload::Text| (text.pointer.trim_start_matches('/').to_owned(), text.value);
        let variables = payload::texts().into_iter().map(variable).collect();
        let seen = match judge::ask(&judge::Question { template: call.tool, variables }) {
            Ok(answer) => answer,
            Err(error) => format!("{error:?}"),
        };
        Ok(vec![test_guests::finding!("judge.seen", 1.0, seen)])
    }
}

export!(Plugin);
