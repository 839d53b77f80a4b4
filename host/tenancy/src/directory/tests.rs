use super::*;
use crate::{Token, generate_token};

fn agent(name: &str, tokens: &[&Token]) -> AgentSpec {
    AgentSpec {
        name: name.to_owned(),
        token_sha256: tokens.iter().map(|token| token.digest()).collect(),
        spiffe: Vec::new(),
        persona: None,
        may_explain: true,
        halted: false,
        rate: None,
        tools: ToolRules::default(),
    }
}

fn operator(name: &str, token: &Token, roles: &[&str]) -> OperatorSpec {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    OperatorSpec { name: name.to_owned(), token_sha256: vec![token.digest()], roles, runs: vec![] }
}

fn tenant(name: &str, agents: Vec<AgentSpec>, operators: Vec<OperatorSpec>) -> TenantSpec {
    TenantSpec { name: name.to_owned(), agents, operators, ..TenantSpec::default() }
}

fn fails(tenants: &[TenantSpec]) -> (String, Problem) {
    let error = Directory::new(tenants, None).unwrap_err();
    (error.path, error.problem)
}

#[test]
fn a_token_names_its_owner_and_nobody_else() {
    let tokens: Vec<Token> = (0..5).map(|_| generate_token().unwrap()).collect();
    let directory = Directory::new(
        &[
            tenant(
                "one",
                vec![agent("bot", &[&tokens[0], &tokens[1]])],
                vec![operator("ann", &tokens[2], &["approver"])],
            ),
            tenant("two", vec![agent("bot", &[&tokens[3]])], vec![]),
        ],
        None,
    )
    .unwrap();
    for (token, tenant) in [(0, "one"), (1, "one"), (3, "two")] {
        let principal = directory.authenticate(tokens[token].expose()).unwrap();
        assert_eq!(&**principal.tenant(), tenant);
        assert_eq!(&*principal.agent().unwrap().name, "bot");
        assert!(principal.operator().is_none());
    }
    let ann = directory.authenticate(tokens[2].expose()).unwrap();
    assert!(ann.operator().unwrap().has(roles::APPROVER) && !ann.operator().unwrap().has(roles::ADMIN));
    assert!(ann.agent().is_none());
    let long = "x".repeat(MAX_TOKEN + 1);
    for wrong in ["", "pct_", tokens[4].expose(), &tokens[0].digest().to_string(), &tokens[0].digest().hex(), &long] {
        assert!(directory.authenticate(wrong).is_none(), "{wrong}");
    }
    assert!(directory.open_agent().is_none());
    assert_eq!(directory.tenants(), ["one".into(), "two".into()]);
}

#[test]
fn open_mode_has_one_agent_without_a_token() {
    let token = generate_token().unwrap();
    let directory = Directory::open(vec![operator("owner", &token, &["approver", "admin"])]).unwrap();
    let local = directory.open_agent().unwrap();
    assert_eq!((&*local.tenant, &*local.name), (OPEN_TENANT, OPEN_AGENT));
    assert!(directory.authenticate("").is_none());
    assert!(directory.authenticate(token.expose()).unwrap().operator().is_some());
}

#[test]
fn halted_agents_and_spent_limits_are_refused() {
    let mut slow = agent("slow", &[]);
    slow.rate = Some(RateLimit { per_second: 0.1, burst: 2 });
    let mut stopped = agent("stopped", &[]);
    stopped.halted = true;
    let spec = [tenant("one", vec![slow, stopped, agent("free", &[])], vec![])];
    let directory = Directory::new(&spec, None).unwrap();
    assert_eq!(directory.admit("one", "stopped"), Err(Refused::Halted));
    assert_eq!(directory.admit("one", "nobody"), Err(Refused::Unknown));
    assert_eq!(directory.admit("two", "free"), Err(Refused::Unknown));
    for _ in 0..100 {
        assert_eq!(directory.admit("one", "free"), Ok(()));
    }
    assert_eq!(directory.admit("one", "slow"), Ok(()));
    assert_eq!(directory.admit("one", "slow"), Ok(()));
    assert_eq!(directory.admit("one", "slow"), Err(RateLimited { retry_after_s: 10 }.into()));

    // A reload does not refill what is spent.
    let next = Directory::new(&spec, Some(&directory)).unwrap();
    assert!(matches!(next.admit("one", "slow"), Err(Refused::RateLimited(_))));
    assert_eq!(Directory::new(&spec, None).unwrap().admit("one", "slow"), Ok(()));
}

#[test]
fn a_tenant_limit_counts_all_its_agents_and_costs_them_nothing_when_it_refuses() {
    let mut own = agent("a", &[]);
    own.rate = Some(RateLimit { per_second: 0.1, burst: 2 });
    let mut spec = tenant("one", vec![own, agent("b", &[])], vec![]);
    spec.rate = Some(RateLimit { per_second: 0.1, burst: 2 });
    let directory = Directory::new(std::slice::from_ref(&spec), None).unwrap();
    assert_eq!(directory.admit("one", "b"), Ok(()));
    assert_eq!(directory.admit("one", "a"), Ok(()));
    assert!(directory.admit("one", "b").is_err());
    assert!(directory.admit("one", "a").is_err());

    spec.rate = None;
    let directory = Directory::new(&[spec], Some(&directory)).unwrap();
    assert_eq!(directory.admit("one", "a"), Ok(()), "the refused call was given back");
    assert!(directory.admit("one", "a").is_err());
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let token = generate_token().unwrap();
    assert_eq!(fails(&[tenant("a b", vec![], vec![])]), ("tenant[0].name".into(), Problem::Label));
    assert_eq!(
        fails(&[tenant("a", vec![], vec![]), tenant("a", vec![], vec![])]),
        ("tenant[1].name".into(), Problem::Duplicate)
    );
    assert_eq!(
        fails(&[tenant("a", vec![agent("x", &[]), agent("x", &[])], vec![])]),
        ("tenant[0].agent[1].name".into(), Problem::Duplicate)
    );
    assert_eq!(
        fails(&[tenant("a", vec![agent("x", &[&token])], vec![operator("o", &token, &[])])]),
        ("tenant[0].operator[0].token_sha256[0]".into(), Problem::SharedToken)
    );
    assert_eq!(
        fails(&[tenant("a", vec![agent("x", &[&token, &token])], vec![])]),
        ("tenant[0].agent[0].token_sha256[1]".into(), Problem::SharedToken)
    );
    assert_eq!(
        fails(&[tenant("a", vec![], vec![operator("o", &token, &["viewer", "b d"])])]),
        ("tenant[0].operator[0].roles[1]".into(), Problem::Label)
    );
    let mut bad = agent("x", &[]);
    bad.rate = Some(RateLimit { per_second: f64::NAN, burst: 1 });
    assert_eq!(fails(&[tenant("a", vec![bad], vec![])]), ("tenant[0].agent[0].rate".into(), Problem::Rate));
    let mut bad = agent("x", &[]);
    bad.persona = Some("p".repeat(MAX_PERSONA + 1));
    assert_eq!(fails(&[tenant("a", vec![bad], vec![])]), ("tenant[0].agent[0].persona".into(), Problem::Persona));
}

#[test]
fn debug_output_shows_no_token() {
    let token = generate_token().unwrap();
    let directory = Directory::new(&[tenant("one", vec![agent("bot", &[&token])], vec![])], None).unwrap();
    assert!(!format!("{directory:?}").contains(token.expose()));
}

#[test]
fn an_agent_sees_what_its_tenant_and_it_may_see() {
    let list = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect::<Vec<_>>();
    let mut bot = agent("bot", &[]);
    bot.tools = ToolRules { allow: list(&["git/*", "files/read"]), hide: Vec::new() };
    let mut spec = tenant("one", vec![bot, agent("all", &[])], vec![]);
    spec.tools.hide = list(&["*push"]);
    let directory = Directory::new(std::slice::from_ref(&spec), None).unwrap();
    let sees = |name: &str, upstream: &str, tool: &str| directory.agent("one", name).unwrap().sees(upstream, tool);
    assert!(sees("bot", "git", "log") && sees("bot", "files", "read") && sees("all", "files", "write"));
    assert!(!sees("bot", "git", "push") && !sees("bot", "files", "write") && !sees("all", "git", "push"));
    assert!(directory.agent("one", "all").unwrap().has_tool_rules());

    spec.agents[1].tools.hide = list(&["ok", "bad["]);
    let (path, problem) = fails(&[spec]);
    assert!(path == "tenant[0].agent[1].tools.hide[1]" && matches!(problem, Problem::Tools(_)), "{path}: {problem}");
}

#[test]
fn a_spiffe_id_names_one_agent() {
    let with = |name: &str, ids: &[&str]| AgentSpec {
        spiffe: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..agent(name, &[])
    };
    let (bot, other) = ("spiffe://acme/agents/bot", "spiffe://acme/agents/other");
    let directory = Directory::new(
        &[
            tenant("one", vec![with("bot", &[bot, "spiffe://acme/old"])], vec![]),
            tenant("two", vec![with("b", &[other])], vec![]),
        ],
        None,
    )
    .unwrap();
    let found = |id: &str| {
        let agent = directory.workload(&SpiffeId::parse(id).unwrap())?;
        Some(format!("{}/{}", agent.tenant, agent.name))
    };
    assert_eq!(found(bot).as_deref(), Some("one/bot"));
    assert_eq!(found("spiffe://acme/old").as_deref(), Some("one/bot"));
    assert_eq!(found(other).as_deref(), Some("two/b"));
    assert_eq!(found("spiffe://acme/agents/Bot"), None);

    let twice = [tenant("one", vec![with("a", &[bot])], vec![]), tenant("two", vec![with("b", &[other, bot])], vec![])];
    assert_eq!(fails(&twice), ("tenant[1].agent[0].spiffe[1]".to_owned(), Problem::SharedSpiffe));
    let wrong = [tenant("one", vec![with("a", &["https://acme/a"])], vec![])];
    assert_eq!(fails(&wrong), ("tenant[0].agent[0].spiffe[0]".to_owned(), Problem::Spiffe));
    let many: Vec<String> = (0..=MAX_SPIFFE).map(|n| format!("spiffe://acme/{n}")).collect();
    let many = [tenant("one", vec![AgentSpec { spiffe: many, ..agent("a", &[]) }], vec![])];
    assert_eq!(fails(&many), ("tenant[0].agent[0].spiffe".to_owned(), Problem::TooManySpiffe));
}
