//! Calls itself until the stack ends.
#![allow(unconditional_recursion, reason = "that is the point")]
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        fn deeper(depth: u64) -> u64 {
            let place = std::hint::black_box([depth; 16]);
            deeper(depth + 1) + place.iter().sum::<u64>()
        }
        Err(deeper(0).to_string())
    }
}

export!(Plugin);
