//! Writes a log line that is larger than the host takes.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        portcullis::plugin::log::write(portcullis::plugin::log::Level::Info, &"x".repeat(1024 * 1024));
        Ok(Vec::new())
    }
}

export!(Plugin);
