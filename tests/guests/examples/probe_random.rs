//! Looks for anything that differs from call to call.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        use std::hash::BuildHasher as _;
        let seed = std::collections::hash_map::RandomState::new().hash_one(1);
        let (stack, heap) = (0_u8, Box::new(0_u8));
        let nan = std::hint::black_box(0.0_f32) / std::hint::black_box(0.0_f32);
        let bits = (std::hint::black_box(nan) * std::hint::black_box(-1.0)).to_bits();
        let places = (&raw const stack as usize, &raw const *heap as usize);
        Ok(vec![test_guests::finding!("probe.random", 1.0, format!("{seed:x} {places:?} {bits:x}"))])
    }
}

export!(Plugin);
