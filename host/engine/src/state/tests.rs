use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;

const SCOPE: Scope<'_> = Scope { tenant: "acme", plugin: "counter" };
const NOW: u64 = 1_700_000_000_000;

#[test]
fn a_counter_forgets_what_left_its_window() {
    let state = MemoryState::default();
    assert_eq!(state.increment(SCOPE, "k", 2, 60, NOW), Ok(2));
    assert_eq!(state.increment(SCOPE, "k", 3, 60, NOW + 30_000), Ok(5));
    assert_eq!(state.increment(SCOPE, "k", 1, 60, NOW + 61_000), Ok(4));
    assert_eq!(state.increment(SCOPE, "k", 1, 60, NOW + 600_000), Ok(1));
}

#[test]
fn a_window_of_zero_never_forgets() {
    let state = MemoryState::default();
    for expected in 1..=5 {
        assert_eq!(state.increment(SCOPE, "k", 1, 0, NOW + expected * 100_000_000), Ok(expected));
    }
}

#[test]
fn a_busy_counter_stays_small() {
    let state = MemoryState::default();
    for millisecond in 0..100_000 {
        state.increment(SCOPE, "k", 1, 10, NOW + millisecond).unwrap();
    }
    let shard = state.scopes.lock((SCOPE.tenant, SCOPE.plugin)).unwrap();
    let Some(Slot::Counter { steps, .. }) = shard.values().next().unwrap().slots.get("k") else { panic!("no counter") };
    assert!(steps.len() as u64 <= STEPS + 1, "{}", steps.len());
}

#[test]
fn replace_is_compare_and_swap() {
    let state = MemoryState::default();
    assert_eq!(state.replace(SCOPE, "k", None, Some(b"1"), 0, NOW), Ok(true));
    assert_eq!(state.replace(SCOPE, "k", None, Some(b"2"), 0, NOW), Ok(false));
    assert_eq!(state.replace(SCOPE, "k", Some(b"1"), Some(b"2"), 5, NOW), Ok(true));
    assert_eq!(state.get(SCOPE, "k", NOW + 4_999), Ok(Some(b"2".to_vec())));
    assert_eq!(state.get(SCOPE, "k", NOW + 5_000), Ok(None));
    assert_eq!(state.replace(SCOPE, "k", None, Some(b"3"), 0, NOW + 5_000), Ok(true));
    assert_eq!(state.replace(SCOPE, "k", Some(b"3"), None, 0, NOW), Ok(true));
    assert_eq!(state.get(SCOPE, "k", NOW), Ok(None));
}

#[test]
fn plugins_and_tenants_do_not_share_keys() {
    let state = MemoryState::default();
    state.increment(SCOPE, "k", 7, 0, NOW).unwrap();
    for other in [Scope { tenant: "globex", ..SCOPE }, Scope { plugin: "other", ..SCOPE }] {
        assert_eq!(state.increment(other, "k", 1, 0, NOW), Ok(1));
    }
}

#[test]
fn the_store_is_bounded() {
    let state = MemoryState::default();
    for key in 0..MAX_KEYS {
        state.increment(SCOPE, &key.to_string(), 1, 60, NOW).unwrap();
    }
    assert_eq!(state.increment(SCOPE, "one more", 1, 60, NOW), Err(StoreError::Full("the state of this plugin")));
    assert_eq!(state.increment(SCOPE, "5", 1, 60, NOW), Ok(2), "a known key still counts");
    assert_eq!(state.increment(SCOPE, "one more", 1, 60, NOW + 120_000), Ok(1), "what expired makes room");
    let long = "k".repeat(MAX_KEY + 1);
    assert_eq!(state.get(SCOPE, &long, NOW), Err(StoreError::TooLong { what: "the key", most: MAX_KEY }));
    let large = vec![0; MAX_VALUE + 1];
    assert!(matches!(state.replace(SCOPE, "v", None, Some(&large), 0, NOW), Err(StoreError::TooLong { .. })));
}

#[test]
fn a_key_is_a_counter_or_a_value() {
    let state = MemoryState::default();
    state.increment(SCOPE, "counter", 1, 0, NOW).unwrap();
    state.replace(SCOPE, "value", None, Some(b"x"), 0, NOW).unwrap();
    assert_eq!(state.get(SCOPE, "counter", NOW), Err(StoreError::Kind("counter")));
    assert_eq!(state.increment(SCOPE, "value", 1, 0, NOW), Err(StoreError::Kind("value")));
}

#[derive(Default)]
struct Kept(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Persist for Kept {
    fn put(&self, key: &[u8], value: Option<&[u8]>) {
        let mut map = self.0.lock().unwrap();
        match value {
            Some(value) => map.insert(key.to_vec(), value.to_vec()),
            None => map.remove(key),
        };
    }

    fn load(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.0.lock().unwrap().iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

#[test]
fn what_expired_goes_from_the_disk_too() {
    let kept = Arc::new(Kept::default());
    let state = MemoryState::new(Some(kept.clone()));
    for round in 0..3 {
        for key in 0..MAX_KEYS {
            let now = NOW + round * 120_000;
            state.increment(SCOPE, &format!("session {round}/{key}"), 1, 60, now).unwrap();
        }
        assert_eq!(kept.0.lock().unwrap().len(), MAX_KEYS);
    }
    // A key whose time was made shorter makes room when it is over.
    let now = NOW + 240_000;
    state.increment(SCOPE, "session 2/7", 1, 1, now).unwrap();
    assert_eq!(state.increment(SCOPE, "new", 1, 60, now), Err(StoreError::Full("the state of this plugin")));
    assert_eq!(state.increment(SCOPE, "new", 1, 60, now + 1_500), Ok(1));
}

#[test]
fn what_was_kept_is_there_after_a_restart() {
    let kept = Arc::new(Kept::default());
    kept.put(b"not a key", Some(b"noise"));
    let state = MemoryState::new(Some(kept.clone()));
    state.increment(SCOPE, "counter", 4, 3600, NOW).unwrap();
    state.replace(SCOPE, "value", None, Some(b"x"), 0, NOW).unwrap();
    state.replace(SCOPE, "gone", None, Some(b"x"), 0, NOW).unwrap();
    state.replace(SCOPE, "gone", Some(b"x"), None, 0, NOW).unwrap();
    let state = MemoryState::new(Some(kept));
    assert_eq!(state.increment(SCOPE, "counter", 1, 3600, NOW), Ok(5));
    assert_eq!(state.get(SCOPE, "value", NOW), Ok(Some(b"x".to_vec())));
    assert_eq!(state.get(SCOPE, "gone", NOW), Ok(None));
}

#[test]
fn counting_from_many_threads_loses_nothing() {
    let state = MemoryState::default();
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                for _ in 0..1_000 {
                    state.increment(SCOPE, "k", 1, 0, NOW).unwrap();
                }
            });
        }
    });
    assert_eq!(state.increment(SCOPE, "k", 0, 0, NOW), Ok(8_000));
}

#[test]
fn a_value_in_a_full_store_can_still_change() {
    let state = MemoryState::default();
    let value = vec![0_u8; MAX_VALUE];
    for index in 0..MAX_BYTES / MAX_VALUE {
        assert_eq!(state.replace(SCOPE, &format!("k{index}"), None, Some(&value), 0, NOW), Ok(true));
    }
    let full = Err(StoreError::Full("the state of this plugin"));
    assert_eq!(state.replace(SCOPE, "one more", None, Some(b"x"), 0, NOW), full);
    let other = vec![1_u8; MAX_VALUE];
    assert_eq!(state.replace(SCOPE, "k0", Some(&value), Some(&other), 0, NOW), Ok(true));
    assert_eq!(state.replace(SCOPE, "k0", Some(&other), Some(b"x"), 0, NOW), Ok(true));
    assert_eq!(state.replace(SCOPE, "k0", Some(b"x"), Some(&other), 0, NOW), Ok(true));
    assert_eq!(state.replace(SCOPE, "one more", None, Some(b"x"), 0, NOW), full);
}

#[test]
fn the_keys_of_values_are_listed_by_prefix_in_order() {
    let state = MemoryState::default();
    for key in ["pin/2", "pin/1", "other", "pi"] {
        state.replace(SCOPE, key, None, Some(b"x"), 0, NOW).unwrap();
    }
    state.replace(SCOPE, "pin/over", None, Some(b"x"), 1, NOW).unwrap();
    state.increment(SCOPE, "pin/counter", 1, 0, NOW).unwrap();
    assert_eq!(state.keys(SCOPE, "pin/", NOW + 5_000), Ok(vec!["pin/1".to_owned(), "pin/2".to_owned()]));
    let (elsewhere, nobody) = (Scope { tenant: "globex", ..SCOPE }, Scope { plugin: "other", ..SCOPE });
    assert_eq!(state.keys(elsewhere, "pin/", NOW), Ok(Vec::new()));
    assert_eq!(state.keys(nobody, "", NOW), Ok(Vec::new()));
}
