//! Answers with everything it can see of the call.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(call: Call) -> Result<Vec<Finding>, String> {
        use portcullis::plugin::payload;
        let texts: Vec<String> =
            payload::texts().into_iter().map(|text| format!("{}={}", text.pointer, text.value)).collect();
        let seen = format!(
            "{} {:?} {} {} {:?} {:?} {:?} {:?} {} {}\nraw {}\ntexts {}\nnames {}\nget {:?} {:?}",
            call.id,
            call.phase,
            call.tenant,
            call.agent,
            call.session,
            call.persona,
            call.task,
            call.upstream,
            call.tool,
            call.digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            payload::raw(),
            texts.join(";"),
            payload::names().join(";"),
            payload::get("/a/0"),
            payload::get("/none"),
        );
        Ok(vec![test_guests::finding!("seen.call", 1.0, seen)])
    }
}

export!(Plugin);
