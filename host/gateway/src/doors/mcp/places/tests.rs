use super::*;

fn identity(tenant: &str, name: &str) -> AgentIdentity {
    AgentIdentity { tenant: tenant.into(), name: name.into(), persona: None, may_explain: false }
}

#[test]
fn no_agent_takes_more_than_its_share() {
    let places = Places::new(3, 2);
    let (one, two) = (identity("t", "one"), identity("t", "two"));
    let held = [places.take(&one).unwrap(), places.take(&one).unwrap()];
    assert_eq!(places.take(&one).err(), Some(NoPlace::Share));
    // An agent of that name of another tenant is another agent.
    let other = places.take(&identity("other", "one")).unwrap();
    assert_eq!(places.take(&two).err(), Some(NoPlace::Full));
    drop((held, other));
    assert!(places.take(&one).is_ok() && places.take(&two).is_ok());
}

#[test]
fn agents_without_a_place_are_forgotten() {
    let places = Places::new(8, 8);
    for agent in 0..1_000 {
        drop(places.take(&identity("t", &agent.to_string())).unwrap());
    }
    assert!(places.shards.iter().all(|shard| shard.taken().is_empty()));
}
