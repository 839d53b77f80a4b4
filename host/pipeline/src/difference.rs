//! What differs between two generations.

use std::sync::Arc;

use portcullis_model::Digest;
use serde::Serialize;
use serde_json::Value;

/// Most changes that are told of one plugin; the rest is counted.
pub(crate) const MAX_CHANGES: usize = 200;
/// Most bytes of a value that is told whole.
const MAX_VALUE: usize = 2048;

/// What differs between two generations of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The one before.
    pub from: Digest,
    /// The one after.
    pub to: Digest,
    /// What is not of one plugin: `/mode`, `/inspect_redacted`, `/order` of the plugins that both have.
    pub changes: Vec<Change>,
    /// Plugins that differ, in the order of their names.
    pub plugins: Vec<PluginDifference>,
}

/// How one plugin differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PluginDifference {
    /// Its name.
    pub plugin: Arc<str>,
    /// Whether it is new, gone or another.
    pub what: What,
    /// What changed of one that both have: `/digest`, `/config_digest`, `/config/…`, `/grants/…`, `/limits/…`, `/select/…`,
    /// `/on_failure`, `/stop_on`, `/quarantine/…`, `/role`. Names are escaped as in JSON pointers.
    pub changes: Vec<Change>,
    /// Changes beyond the first 200.
    pub more: usize,
}

/// How a plugin differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another.
    Changed,
}

/// One value that is another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Where.
    pub at: String,
    /// Before; none if it was not there.
    pub from: Option<Value>,
    /// After; none if it is gone.
    pub to: Option<Value>,
}

/// Everything of one plugin that a verdict depends on, but its place.
pub(crate) struct Described {
    pub(crate) name: Arc<str>,
    pub(crate) settings: Value,
}

/// The differences of two lists of plugins, and the order of those that both have if it is another.
pub(crate) fn plugins(from: &[Described], to: &[Described]) -> (Vec<PluginDifference>, Option<Change>) {
    let of = |list: &[Described], name: &str| list.iter().position(|one| *one.name == *name);
    let mut out = Vec::new();
    for old in from {
        let Some(new) = to.iter().find(|new| new.name == old.name) else {
            out.push(one(&old.name, What::Removed));
            continue;
        };
        let mut found = PluginDifference { changes: Vec::new(), ..one(&old.name, What::Changed) };
        compare(String::new(), &old.settings, &new.settings, &mut |change| {
            if found.changes.len() < MAX_CHANGES { found.changes.push(change) } else { found.more += 1 }
        });
        if !found.changes.is_empty() {
            out.push(found);
        }
    }
    out.extend(to.iter().filter(|new| of(from, &new.name).is_none()).map(|new| one(&new.name, What::Added)));
    out.sort_by(|a, b| a.plugin.cmp(&b.plugin));
    let common = |list: &[Described], other: &[Described]| -> Vec<Value> {
        let both = list.iter().filter(|plugin| of(other, &plugin.name).is_some());
        both.map(|plugin| Value::from(&*plugin.name)).collect()
    };
    let (before, after) = (Value::from(common(from, to)), Value::from(common(to, from)));
    let order = (before != after).then(|| change("/order".to_owned(), Some(&before), Some(&after)));
    (out, order)
}

fn one(name: &Arc<str>, what: What) -> PluginDifference {
    PluginDifference { plugin: Arc::clone(name), what, changes: Vec::new(), more: 0 }
}

/// Both are bounded in depth by how configurations are parsed.
fn compare(at: String, from: &Value, to: &Value, tell: &mut dyn FnMut(Change)) {
    match (from, to) {
        _ if from == to => {}
        (Value::Object(old), Value::Object(new)) => {
            for (name, old) in old {
                let at = format!("{at}/{}", escaped(name));
                match new.get(name) {
                    Some(new) => compare(at, old, new, tell),
                    None => tell(change(at, Some(old), None)),
                }
            }
            for (name, new) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
                tell(change(format!("{at}/{}", escaped(name)), None, Some(new)));
            }
        }
        (Value::Array(old), Value::Array(new)) if old.iter().chain(new).all(|value| value.is_object()) => {
            for index in 0..old.len().max(new.len()) {
                let at = format!("{at}/{index}");
                match (old.get(index), new.get(index)) {
                    (Some(old), Some(new)) => compare(at, old, new, tell),
                    (old, new) => tell(change(at, old, new)),
                }
            }
        }
        _ => tell(change(at, Some(from), Some(to))),
    }
}

pub(crate) fn change(at: String, from: Option<&Value>, to: Option<&Value>) -> Change {
    Change { at, from: from.map(told), to: to.map(told) }
}

fn told(value: &Value) -> Value {
    let text = value.to_string();
    if text.len() <= MAX_VALUE {
        return value.clone();
    }
    format!("{} bytes, {}", text.len(), Digest::of(text.as_bytes())).into()
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn described(name: &str, settings: Value) -> Described {
        Described { name: name.into(), settings }
    }

    fn places(found: &PluginDifference) -> Vec<&str> {
        found.changes.iter().map(|change| change.at.as_str()).collect()
    }

    #[test]
    fn plugins_are_added_removed_or_changed_at_a_place() {
        let from =
            [described("a", json!({ "digest": 1 })), described("b", json!({ "config": { "x/y": [1], "z": {} } }))];
        let to = [described("b", json!({ "config": { "x/y": [2], "n": 1 } })), described("c", json!({}))];
        let (found, order) = plugins(&from, &to);
        let whats: Vec<_> = found.iter().map(|one| (&*one.plugin, one.what)).collect();
        assert_eq!(whats, [("a", What::Removed), ("b", What::Changed), ("c", What::Added)]);
        assert_eq!(places(&found[1]), ["/config/x~1y", "/config/z", "/config/n"]);
        assert_eq!((&found[1].changes[1].from, &found[1].changes[1].to), (&Some(json!({})), &None));
        assert_eq!(order, None);
    }

    #[test]
    fn another_order_of_the_same_plugins_is_told() {
        let list = |names: [&str; 3]| names.map(|name| described(name, json!({})));
        let (found, order) = plugins(&list(["a", "b", "c"]), &list(["b", "a", "c"]));
        assert!(found.is_empty());
        assert_eq!(order.unwrap().to, Some(json!(["b", "a", "c"])));
    }

    #[test]
    fn changes_and_values_without_end_are_counted_and_cut() {
        let many = |value: u32| (0..500).map(|key| (key.to_string(), json!(value))).collect::<serde_json::Map<_, _>>();
        let (found, _) = plugins(&[described("a", many(1).into())], &[described("a", many(2).into())]);
        assert_eq!((found[0].changes.len(), found[0].more), (MAX_CHANGES, 300));
        let (found, _) =
            plugins(&[described("a", json!("x".repeat(5000)))], &[described("a", json!("y".repeat(5000)))]);
        assert!(found[0].changes[0].to.as_ref().unwrap().as_str().unwrap().starts_with("5002 bytes, sha256:"));
    }
}
