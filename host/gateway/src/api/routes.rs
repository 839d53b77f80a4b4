//! The table of routes. The OpenAPI document is made from it, so it describes what is served.

use hyper::Method;

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Inspect,
    InspectBatch,
    LedgerEntries,
    LedgerEntry,
    LedgerAnswers,
    LedgerHead,
    LedgerVerify,
    Plugins,
    Generations,
    Activate,
    History,
    Generation,
    Difference,
    ActivateKept,
    Rollback,
    Trial,
    Promote,
    DropCandidate,
    Approvals,
    Approval,
    Arguments,
    Decide,
    DecideMany,
    Claim,
    Unclaim,
    Comment,
    Modify,
    Outbox,
    RetryMessage,
    DecisionPage,
    DecideByLink,
    SlackInteraction,
    Pins,
    Pin,
    AcceptPin,
    Policies,
    Policy,
    ReplacePolicy,
    Events,
    Health,
    Ready,
    Metrics,
    OpenApi,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody.
    Open,
    /// Agents.
    Agent,
    /// Agents and operators.
    Any,
    /// Operators.
    Operator,
}

/// One route.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    /// `{…}` stands for one segment.
    pub(super) path: &'static str,
    pub(super) operation: Operation,
    pub(super) access: Access,
    /// One line for the API's description.
    pub(super) summary: &'static str,
}

const fn route(
    method: Method,
    path: &'static str,
    operation: Operation,
    access: Access,
    summary: &'static str,
) -> Route {
    Route { method, path, operation, access, summary }
}

/// All routes, the busiest first.
pub(super) static ROUTES: &[Route] = &[
    route(Method::POST, "/v1/inspect", Operation::Inspect, Access::Agent, "Ask for the verdict on one call"),
    route(
        Method::POST,
        "/v1/inspect/batch",
        Operation::InspectBatch,
        Access::Agent,
        "Ask for the verdicts on 1 to 128 calls; the strongest stands for all",
    ),
    route(
        Method::GET,
        "/v1/ledger/entries",
        Operation::LedgerEntries,
        Access::Any,
        "Read entries of the caller's tenant, oldest first",
    ),
    route(Method::GET, "/v1/ledger/entries/{seq}", Operation::LedgerEntry, Access::Any, "Read one entry"),
    route(
        Method::GET,
        "/v1/ledger/answers/{digest}",
        Operation::LedgerAnswers,
        Access::Operator,
        "What a plugin was told, by the digest in an entry, where the tenant keeps it: administrators",
    ),
    route(Method::GET, "/v1/ledger/head", Operation::LedgerHead, Access::Any, "The newest entry's number and hash"),
    route(
        Method::GET,
        "/v1/ledger/verify",
        Operation::LedgerVerify,
        Access::Any,
        "Read and check the whole log of the caller's tenant; one check runs at a time",
    ),
    route(Method::GET, "/v1/plugins", Operation::Plugins, Access::Any, "The plugins of the live pipeline"),
    route(Method::GET, "/v1/generations", Operation::Generations, Access::Any, "The live generation"),
    route(
        Method::POST,
        "/v1/generations",
        Operation::Activate,
        Access::Any,
        "Read the configuration again, validate it and activate it: administrators, or anybody in open mode",
    ),
    route(
        Method::GET,
        "/v1/generations/history",
        Operation::History,
        Access::Any,
        "The generation in force and those kept before it, latest first: operators, or anybody in open mode",
    ),
    route(
        Method::GET,
        "/v1/generations/diff",
        Operation::Difference,
        Access::Any,
        "What differs between two kept generations, by default the one before and the one in force: operators; values of \
         configurations for administrators",
    ),
    route(
        Method::POST,
        "/v1/generations/rollback",
        Operation::Rollback,
        Access::Any,
        "Put the generation before the present one in force again: administrators, or anybody in open mode",
    ),
    route(
        Method::GET,
        "/v1/generations/shadow",
        Operation::Trial,
        Access::Any,
        "The generation that is tried beside the one in force, and what it said of copies of calls: operators, or anybody in \
         open mode",
    ),
    route(
        Method::POST,
        "/v1/generations/candidate/promote",
        Operation::Promote,
        Access::Any,
        "Put the candidate in force: administrators, or anybody in open mode",
    ),
    route(
        Method::POST,
        "/v1/generations/candidate/drop",
        Operation::DropCandidate,
        Access::Any,
        "Try the candidate no longer: administrators, or anybody in open mode",
    ),
    route(
        Method::GET,
        "/v1/generations/{id}",
        Operation::Generation,
        Access::Any,
        "One kept generation: operators, or anybody in open mode",
    ),
    route(
        Method::POST,
        "/v1/generations/{id}/activate",
        Operation::ActivateKept,
        Access::Any,
        "Put a kept generation in force: administrators, or anybody in open mode",
    ),
    route(
        Method::GET,
        "/v1/approvals",
        Operation::Approvals,
        Access::Any,
        "Parked calls, newest first: of the agent, or of the operator's tenant; held until something changes if asked to",
    ),
    route(
        Method::GET,
        "/v1/approvals/{id}",
        Operation::Approval,
        Access::Any,
        "One parked call; held until it is decided if asked to",
    ),
    route(
        Method::POST,
        "/v1/approvals/{id}/decide",
        Operation::Decide,
        Access::Operator,
        "Approve or deny a parked call",
    ),
    route(
        Method::POST,
        "/v1/approvals/decide",
        Operation::DecideMany,
        Access::Operator,
        "Approve or deny up to 100 parked calls, each for itself",
    ),
    route(
        Method::GET,
        "/v1/approvals/{id}/arguments",
        Operation::Arguments,
        Access::Operator,
        "The arguments of a parked call, for those who may change them",
    ),
    route(
        Method::POST,
        "/v1/approvals/{id}/modify",
        Operation::Modify,
        Access::Operator,
        "Replace scalar values in the arguments of a parked call; it is judged again, and votes begin anew",
    ),
    route(
        Method::POST,
        "/v1/approvals/{id}/claim",
        Operation::Claim,
        Access::Operator,
        "Tell others that you look at a parked call, for five minutes; it keeps nobody from deciding",
    ),
    route(Method::POST, "/v1/approvals/{id}/unclaim", Operation::Unclaim, Access::Operator, "Give a claim back"),
    route(
        Method::POST,
        "/v1/approvals/{id}/comment",
        Operation::Comment,
        Access::Operator,
        "Say something of a parked call, also after it was decided",
    ),
    route(
        Method::GET,
        "/v1/outbox",
        Operation::Outbox,
        Access::Operator,
        "Messages about parked calls that were not delivered yet, or are dead, newest first",
    ),
    route(
        Method::POST,
        "/v1/outbox/{id}/retry",
        Operation::RetryMessage,
        Access::Operator,
        "Send a message now, dead or not: administrators",
    ),
    route(
        Method::GET,
        "/v1/decisions/{link}",
        Operation::DecisionPage,
        Access::Open,
        "The page behind a decision link, which asks once more and decides nothing; the link is the credential",
    ),
    route(
        Method::POST,
        "/v1/decisions/{link}",
        Operation::DecideByLink,
        Access::Open,
        "Approve or deny by a decision link, once",
    ),
    route(
        Method::POST,
        "/v1/slack/interactions",
        Operation::SlackInteraction,
        Access::Open,
        "A button pressed in Slack; the request's signature is the credential",
    ),
    route(
        Method::GET,
        "/v1/pins",
        Operation::Pins,
        Access::Operator,
        "Tools and how their latest definition stands to the accepted one, by upstream and name",
    ),
    route(
        Method::GET,
        "/v1/pins/{id}",
        Operation::Pin,
        Access::Operator,
        "One tool: the accepted definition, the one that waits, and how they differ",
    ),
    route(
        Method::POST,
        "/v1/pins/{id}/accept",
        Operation::AcceptPin,
        Access::Operator,
        "Accept the definition that waits, named by its digest: approvers and administrators",
    ),
    route(
        Method::GET,
        "/v1/policies",
        Operation::Policies,
        Access::Operator,
        "The policies of the pipeline's plugins that take theirs from operators",
    ),
    route(Method::GET, "/v1/policies/{plugin}", Operation::Policy, Access::Operator, "The policies of one plugin"),
    route(
        Method::POST,
        "/v1/policies/{plugin}",
        Operation::ReplacePolicy,
        Access::Operator,
        "Replace the policies of one plugin, all or nothing: administrators",
    ),
    route(
        Method::GET,
        "/v1/events",
        Operation::Events,
        Access::Any,
        "Verdicts, approvals and generations of the caller's tenant as they happen, without arguments",
    ),
    route(Method::GET, "/healthz", Operation::Health, Access::Open, "Whether the process answers"),
    route(
        Method::GET,
        "/readyz",
        Operation::Ready,
        Access::Open,
        "Whether calls can be decided, and what is wrong if not",
    ),
    route(Method::GET, "/metrics", Operation::Metrics, Access::Open, "Figures for Prometheus"),
    route(Method::GET, "/v1/openapi.json", Operation::OpenApi, Access::Open, "This description"),
];

/// What stands at a path.
pub(super) enum Found<'p> {
    /// This route, and the text of its parameter.
    Route(&'static Route, Option<&'p str>),
    /// Nothing for this method; the value for `Allow`.
    Methods(&'static str),
    /// Nothing.
    Nothing,
}

/// Finds the route of a request.
pub(super) fn find<'p>(method: &Method, path: &'p str) -> Found<'p> {
    let mut other = None;
    for route in ROUTES {
        let Some(parameter) = matches(route.path, path) else { continue };
        if route.method == *method {
            return Found::Route(route, parameter);
        }
        other = Some(match (other, &route.method) {
            (None, method) if *method == Method::GET => "GET",
            (None, _) => "POST",
            (Some(_), _) => "GET, POST",
        });
    }
    other.map_or(Found::Nothing, Found::Methods)
}

/// The parameter, if the path is of this pattern.
fn matches<'p>(pattern: &str, path: &'p str) -> Option<Option<&'p str>> {
    let Some((before, rest)) = pattern.split_once('{') else { return (pattern == path).then_some(None) };
    let (_, after) = rest.split_once('}')?;
    let parameter = path.strip_prefix(before)?.strip_suffix(after)?;
    (!parameter.is_empty() && !parameter.contains('/')).then_some(Some(parameter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_one_segment() {
        assert_eq!(matches("/a/{x}/b", "/a/1/b"), Some(Some("1")));
        for path in ["/a//b", "/a/1/2/b", "/a/1", "/a/1/b/", "/b/1/b"] {
            assert_eq!(matches("/a/{x}/b", path), None, "{path}");
        }
    }

    #[test]
    fn other_methods_are_named() {
        let allow = |method, path| match find(&method, path) {
            Found::Methods(allow) => allow,
            _ => "",
        };
        assert_eq!(allow(Method::GET, "/v1/inspect"), "POST");
        assert_eq!(allow(Method::DELETE, "/v1/generations"), "GET, POST");
        assert_eq!(allow(Method::DELETE, "/v1/approvals/x"), "GET");
        assert!(matches!(find(&Method::GET, "/v1"), Found::Nothing));
    }
}
