//! Asks for memory until there is none.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        let mut hoard = Vec::new();
        loop {
            hoard.push(std::hint::black_box(vec![1_u8; 1024 * 1024]));
        }
    }
}

export!(Plugin);
