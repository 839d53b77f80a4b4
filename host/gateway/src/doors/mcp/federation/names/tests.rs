use super::*;

fn members(names: &[&str]) -> Vec<Arc<Upstream>> {
    names.iter().map(|name| Arc::new(format!("{name}=http://h/").parse().unwrap())).collect()
}

#[test]
fn names_are_mapped_by_the_table_of_members_and_not_at_the_first_separator() {
    let members = members(&["a", "x__y", "b"]);
    assert_eq!(exposed(&members[0], "b__c"), "a__b__c");
    assert_eq!(resolve(&members, "a__b__c"), Some((0, "b__c")));
    assert_eq!(resolve(&members, "x__y__z"), Some((1, "z")));
    assert_eq!(resolve(&members, "a____"), Some((0, "__")));
    for unknown in ["", "a", "a__", "a_b", "c__b", "A__b", "x__z", "__b", " a__b"] {
        assert_eq!(resolve(&members, unknown), None, "{unknown}");
    }
}

#[test]
fn uris_come_back_as_they_were() {
    let members = members(&["files", "x.y-z_1"]);
    for uri in ["file:///a%20b?c#d", "urn:x", "portcullis:files:x", ":", "a b"] {
        for (index, member) in members.iter().enumerate() {
            assert_eq!(unwrapped(&members, &wrapped(member, uri)), Some((index, uri)));
        }
    }
    for foreign in
        ["file:///a", "portcullis:", "portcullis:files", "portcullis:files:", "portcullis:none:x", "Portcullis:files:x"]
    {
        assert_eq!(unwrapped(&members, foreign), None, "{foreign}");
    }
}

#[test]
fn names_that_a_model_interface_would_refuse_do_not_fit() {
    assert!(fits_tool("a__B.c-9") && fits_tool(&"x".repeat(128)));
    for name in ["", "a b", "a/b", "é", "a\u{430}", "a\n", &"x".repeat(129)] {
        assert!(!fits_tool(name), "{name}");
    }
    assert!(fits_prompt("Code review") && fits_prompt("é") && !fits_prompt("a\nb") && !fits_prompt(""));
}

#[test]
fn look_alikes_have_one_likeness() {
    for (one, other) in
        [("github__x", "GitHub__x"), ("github__x", "g1thub__x"), ("a-b__c", "a_b__c"), ("modern", "modem")]
    {
        assert_eq!(likeness(one), likeness(other));
    }
    assert_ne!(likeness("files__read"), likeness("git__read"));
}
