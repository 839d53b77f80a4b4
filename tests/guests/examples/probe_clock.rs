//! Reads the clock twice.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        use portcullis::plugin::clock::now_ms;
        Ok(vec![test_guests::finding!("probe.clock", 1.0, format!("{} {}", now_ms(), now_ms()))])
    }
}

export!(Plugin);
