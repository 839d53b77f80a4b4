//! Takes no configuration.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(config: String) -> Result<(), String> {
        Err(format!("line 1: {config:?} is not for me; \"quoted\" — ünïcode\nsecond line"))
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        Ok(Vec::new())
    }
}

export!(Plugin);
