//! Labels the session with the tool and tells all labels.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(call: Call) -> Result<Vec<Finding>, String> {
        use portcullis::plugin::labels;
        let added = labels::add("tool", &call.tool);
        let all: Vec<String> = labels::all().into_iter().map(|(label, value)| format!("{label}={value}")).collect();
        Ok(vec![test_guests::finding!("labels.all", 1.0, format!("{added:?} {}", all.join(" ")))])
    }
}

export!(Plugin);
