//! Answers with more than the host takes.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        Ok(vec![test_guests::finding!("big.message", 0.5, "x".repeat(1024 * 1024))])
    }
}

export!(Plugin);
