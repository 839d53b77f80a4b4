//! Calls the host without end.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        loop {
            std::hint::black_box(portcullis::plugin::payload::get("/x"));
        }
    }
}

export!(Plugin);
