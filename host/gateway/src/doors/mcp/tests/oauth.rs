//! Access tokens of our own for an upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_model::Outcome;
use zeroize::Zeroizing;

use super::support::*;
use crate::upstream::oauth::APART;
use crate::upstream::{ClientSecret, OauthSpec, Upstream};

const SECRET: &str = "s3cret/with+marks";

fn spec(endpoint: &Mock) -> OauthSpec {
    OauthSpec {
        token_url: format!("http://{}/token", endpoint.address),
        client_id: "portcullis:1".to_owned(),
        client_secret: ClientSecret::Text(Zeroizing::new(SECRET.to_owned())),
        scope: Some("tools read".to_owned()),
        resource: Some("https://tools.example/mcp".to_owned()),
    }
}

/// Gives out `token-1`, `token-2`, ….
async fn endpoint(expires_in: &'static str) -> Mock {
    let given = AtomicUsize::new(0);
    Mock::new(move |_| {
        let number = given.fetch_add(1, Ordering::SeqCst) + 1;
        json(&format!(r#"{{"access_token":"token-{number}","token_type":"Bearer","expires_in":{expires_in}}}"#))
    })
    .await
}

/// An upstream that takes the tokens that `takes` says.
async fn upstream(takes: impl Fn(&str) -> bool + Send + Sync + 'static) -> Mock {
    Mock::new(move |request| {
        let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        if !takes(token) {
            return reply(401, &[("www-authenticate", "Bearer")], "");
        }
        match &*method_of(&request.body) {
            "initialize" => json(INITIALIZED),
            _ => json(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#),
        }
    })
    .await
}

async fn door(upstream: &Mock, spec: OauthSpec) -> Served {
    let url = format!("http://{}/mcp", upstream.address);
    let upstream = Upstream::http("mock", &url, [("x-api-key", "upstream-key")]).unwrap().with_oauth(spec).unwrap();
    Served::new([upstream], quick()).await
}

fn tokens(upstream: &Mock) -> Vec<String> {
    let one = |request: &Received| request.header("authorization").unwrap_or("none").to_owned();
    upstream.received().iter().map(one).collect()
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_sent_instead_of_the_callers() {
    let endpoint = endpoint("3600").await;
    let upstream = upstream(|_| true).await;
    let served = door(&upstream, spec(&endpoint)).await;
    assert!(endpoint.received().is_empty(), "not before it is needed");
    served.initialize().await;
    for _ in 0..3 {
        let got = served.post().with("x-api-key", "callers").send(call("1", "t", "{}")).await;
        assert_eq!(got.json()["result"]["content"], serde_json::json!([]), "{}", got.text());
    }
    assert_eq!(tokens(&upstream), ["Bearer token-1"; 4]);
    for request in upstream.received() {
        assert!(!request.head.contains("Bearer agent") && !request.body.contains("Bearer agent"), "the caller's token");
        assert_eq!(request.head.matches("uthorization:").count(), 1);
        assert_eq!(request.header("x-api-key"), Some("upstream-key"));
    }
    let asked = endpoint.received();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].method(), "POST");
    assert_eq!(asked[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(
        asked[0].body,
        "grant_type=client_credentials&scope=tools+read&resource=https%3A%2F%2Ftools.example%2Fmcp"
    );
    let basic = STANDARD.encode("portcullis%3A1:s3cret%2Fwith%2Bmarks");
    assert_eq!(asked[0].header("authorization"), Some(&*format!("Basic {basic}")));
}

async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_token_near_its_end_is_not_used_again() {
    let endpoint = endpoint("100").await;
    let upstream = upstream(|_| true).await;
    let served = door(&upstream, spec(&endpoint)).await;
    served.initialize().await;
    for seconds in [80, 11] {
        pass(Duration::from_secs(seconds)).await;
        served.post().send(call("1", "t", "{}")).await;
    }
    assert_eq!(tokens(&upstream), ["Bearer token-1", "Bearer token-1", "Bearer token-2"]);
}

#[tokio::test]
async fn tokens_that_are_over_at_once_do_not_make_every_call_send_the_secret() {
    let endpoint = endpoint("0").await;
    let upstream = upstream(|_| true).await;
    let served = door(&upstream, spec(&endpoint)).await;
    served.initialize().await;
    for _ in 0..5 {
        served.post().send(call("1", "t", "{}")).await;
    }
    assert_eq!((tokens(&upstream).len(), endpoint.received().len()), (6, 1));
    pass(APART).await;
    served.post().send(call("1", "t", "{}")).await;
    assert_eq!(endpoint.received().len(), 2);
}

#[tokio::test]
async fn a_token_that_the_upstream_takes_no_more_is_replaced_and_the_request_repeated_once() {
    let endpoint = endpoint("3600").await;
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    // The first token is revoked after its first request.
    let upstream = upstream(move |token| token != "token-1" || seen.fetch_add(1, Ordering::SeqCst) == 0).await;
    let served = door(&upstream, spec(&endpoint)).await;
    served.initialize().await;
    pass(APART).await;
    let got = served.post().send(call("1", "t", "{}")).await;
    assert_eq!(got.json()["result"]["content"], serde_json::json!([]), "{}", got.text());
    assert_eq!(tokens(&upstream), ["Bearer token-1", "Bearer token-1", "Bearer token-2"]);
    assert_eq!(upstream.received()[1].body, upstream.received()[2].body);
    assert_eq!(served.journal.outcome().await, Outcome::Answered);
}

#[tokio::test]
async fn an_upstream_that_takes_no_token_is_not_asked_for_ever() {
    let endpoint = endpoint("3600").await;
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let upstream = upstream(move |_| seen.fetch_add(1, Ordering::SeqCst) == 0).await;
    let served = door(&upstream, spec(&endpoint)).await;
    served.initialize().await;
    for _ in 0..5 {
        let got = served.post().send(call("1", "t", "{}")).await;
        assert_eq!(got.json()["error"]["code"], -32603, "{}", got.text());
    }
    assert_eq!((tokens(&upstream).len(), endpoint.received().len()), (6, 1), "a token that is new is not replaced");
    pass(APART).await;
    for _ in 0..5 {
        let got = served.post().send(call("1", "t", "{}")).await;
        assert_eq!(got.json()["error"]["code"], -32603, "{}", got.text());
    }
    let sent = tokens(&upstream);
    assert_eq!(sent[6..8], ["Bearer token-1", "Bearer token-2"]);
    assert_eq!((sent.len(), endpoint.received().len()), (12, 2), "one fetch in so much time");
}

#[tokio::test]
async fn many_first_calls_share_one_fetch() {
    let given = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&given);
    let endpoint = Mock::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        let mut steps = vec![Step::Pause(300)];
        steps.extend(json(r#"{"access_token":"t","token_type":"bearer","expires_in":"3600"}"#));
        steps
    })
    .await;
    let upstream = upstream(|token| token == "t").await;
    let served = door(&upstream, spec(&endpoint)).await;
    let posts: Vec<_> = (0..10).map(|_| served.post()).collect();
    let calls = posts.iter().map(|post| post.send(INITIALIZE));
    for got in futures_util::future::join_all(calls).await {
        assert_eq!(got.status, 200, "{}", got.text());
    }
    assert_eq!(given.load(Ordering::SeqCst), 1);
    assert_eq!(upstream.received().len(), 10);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_nothing_is_told() {
    let long = format!(r#"{{"access_token":"{}","token_type":"Bearer"}}"#, "x".repeat(70_000));
    let bent = r#"{"access_token":"a\r\nb","token_type":"Bearer"}"#;
    let echo = format!(r#"{{"error":"invalid_client","error_description":"{SECRET}"}}"#);
    let kind = [("content-type", "application/json")];
    let answers: Vec<(&str, Vec<Step>)> = vec![
        ("refused", reply(401, &kind, &echo)),
        ("redirected", reply(307, &[("location", "http://127.0.0.1:1/token")], "")),
        ("a page", reply(200, &[("content-type", "text/html")], "<html>")),
        ("too large", json(&long)),
        ("another kind of token", json(r#"{"access_token":"t","token_type":"mac"}"#)),
        ("no token", json(r#"{"token_type":"Bearer"}"#)),
        ("an empty token", json(r#"{"access_token":"","token_type":"Bearer"}"#)),
        ("a token with line ends", json(bent)),
        ("a broken connection", vec![Step::Reset]),
    ];
    for (what, steps) in answers {
        let endpoint = Mock::new(move |_| steps.clone()).await;
        let upstream = upstream(|_| true).await;
        let served = door(&upstream, spec(&endpoint)).await;
        let got = served.post().send(call("1", "t", "{}")).await;
        let error = &got.json()["error"];
        assert_eq!(error["code"], -32603, "{what}: {}", got.text());
        assert_eq!(error["message"].as_str().map(|text| text.contains("access token")), Some(true), "{what}: {error}");
        assert!(!got.text().contains(SECRET), "{what}");
        assert!(upstream.received().is_empty(), "{what}");
        assert_eq!(served.journal.outcome().await, Outcome::Failed, "{what}: nothing can have run");
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_is_not_asked_by_every_call() {
    let endpoint = Mock::new(|_| reply(500, &[], "")).await;
    let upstream = upstream(|_| true).await;
    let served = door(&upstream, spec(&endpoint)).await;
    let posts: Vec<_> = (0..20).map(|_| served.post()).collect();
    let bodies: Vec<String> = (0..20).map(|id| call(&id.to_string(), "t", "{}")).collect();
    let calls = posts.iter().zip(bodies).map(|(post, body)| async move { post.send(body).await });
    let first = tokio::time::timeout(Duration::from_secs(10), futures_util::future::join_all(calls)).await.unwrap();
    assert!(first.iter().all(|got| got.json()["error"]["code"] == -32603));
    assert!(endpoint.received().len() < 20, "{}", endpoint.received().len());
}

#[tokio::test]
async fn the_secret_file_is_read_for_every_fetch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "one\n").unwrap();
    let endpoint = endpoint("0").await;
    let upstream = upstream(|_| true).await;
    let client_secret = ClientSecret::File(path.clone());
    let served = door(&upstream, OauthSpec { client_secret, ..spec(&endpoint) }).await;
    served.initialize().await;
    std::fs::write(&path, "two\n").unwrap();
    pass(APART).await;
    served.initialize().await;
    let sent: Vec<_> = endpoint.received().iter().map(|one| one.header("authorization").unwrap().to_owned()).collect();
    let basic = |secret| format!("Basic {}", STANDARD.encode(format!("portcullis%3A1:{secret}")));
    assert_eq!(sent, [basic("one"), basic("two")]);
}

#[tokio::test]
async fn a_token_is_only_for_http_upstreams_that_have_no_credential_yet() {
    let endpoint = endpoint("3600").await;
    let refused = |upstream: Upstream| upstream.with_oauth(spec(&endpoint)).unwrap_err().to_string();
    assert!(refused("a=stdio:true".parse().unwrap()).contains("over HTTP"));
    assert!(refused("a=http://tools.example/mcp".parse().unwrap()).contains("in the clear"));
    let own = Upstream::http("a", "https://tools.example/mcp", [("authorization", "Bearer x")]).unwrap();
    assert!(refused(own).contains("Authorization"));
    let good: Upstream = "a=https://tools.example/mcp".parse().unwrap();
    let shown = format!("{:?}", good.with_oauth(spec(&endpoint)).unwrap());
    assert!(!shown.contains(SECRET), "{shown}");
}
