//! Never finishes its configuration.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(config: String) -> Result<(), String> {
        let mut number = config.len() as u64 + 1;
        loop {
            number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005));
        }
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        Ok(Vec::new())
    }
}

export!(Plugin);
