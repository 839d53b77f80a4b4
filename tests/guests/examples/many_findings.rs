//! Answers with more findings than the host takes.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        Ok(vec![test_guests::finding!("many.findings", 0.5, String::new()); 1_001])
    }
}

export!(Plugin);
