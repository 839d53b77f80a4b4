//! Answers with a text that is none.
#![allow(unsafe_code, reason = "how the guest makes a text that is none")]
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        // SAFETY: none; a text that is not UTF-8 is what the host must refuse.
        let message = unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, 0xfe]) };
        Ok(vec![test_guests::finding!("some.category", 0.5, message)])
    }
}

export!(Plugin);
