//! Reports an error of its own.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(call: Call) -> Result<Vec<Finding>, String> {
        Err(format!("no model for {}", call.tool))
    }
}

export!(Plugin);
