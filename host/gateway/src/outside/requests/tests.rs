use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::super::{CourierLimits, SecretSpec};
use super::*;
use crate::metrics::{Metrics, Snapshot};
use crate::ports::JournalHealth;
use crate::upstream::ClientSecret;

const SECRET: &str = "sk-live-0123456789abcdef";
const AMPLE: Duration = Duration::from_secs(20);

/// A server that gives each connection to `answer`, and what it was asked.
fn serving(answer: impl Fn(&mut TcpStream) + Clone + Send + 'static) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, tell, answer) = (stream.unwrap(), tell.clone(), answer.clone());
            thread::spawn(move || {
                let _ = tell.send(read_request(&mut stream));
                answer(&mut stream);
            });
        }
    });
    (port, told)
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let read = stream.read(&mut part).unwrap_or(0);
        bytes.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            body.len() >= length.unwrap_or(0)
        });
        if whole || read == 0 {
            return text;
        }
    }
}

fn says(text: &'static str) -> impl Fn(&mut TcpStream) + Clone + Send + 'static {
    move |stream| stream.write_all(text.as_bytes()).unwrap()
}

struct Setup {
    courier: Arc<Courier>,
    secrets: Secrets,
    metrics: Arc<Metrics>,
}

fn setup(hosts: &[String]) -> Setup {
    setup_with(hosts, CourierLimits { requests: 8, per_tenant: 4 })
}

fn setup_with(hosts: &[String], limits: CourierLimits) -> Setup {
    let metrics = Arc::new(Metrics::new());
    let value = ClientSecret::text(SECRET.to_owned());
    let (name, tenants) = ("api-key".to_owned(), vec!["acme".to_owned()]);
    let secrets = Secrets::new(vec![SecretSpec { name, value, tenants, hosts: hosts.to_vec() }]).unwrap();
    Setup { courier: Courier::new(limits, Arc::clone(&metrics)), secrets, metrics }
}

impl Setup {
    fn open(&self, hosts: &[String], networks: &[&str], secrets: &[&str]) -> Result<Requests, (&'static str, String)> {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let (networks, secrets) = (list(networks), list(secrets));
        let spec = RequestsSpec {
            tenant: "acme",
            plugin: "asks",
            digest: Digest::of(b"plugin"),
            hosts,
            networks: &networks,
            secrets: &secrets,
            authorities: None,
            most: 4096,
        };
        Requests::new(Arc::clone(&self.courier), &self.secrets, &PlaceholderKey::new([7; 32]), &spec)
    }

    fn figures(&self) -> String {
        let journal = JournalHealth { queued: 0, writable: true, problem: None };
        self.metrics.render(&Snapshot { journal, generations: &[], approvals_pending: 0, uptime: Duration::ZERO })
    }
}

/// A plugin that may call this port of this machine.
fn granted(port: u16) -> (Setup, Requests) {
    let hosts = vec![format!("http://127.0.0.1:{port}")];
    let setup = setup(&hosts);
    let requests = setup.open(&hosts, &["127.0.0.0/8"], &["api-key"]).unwrap();
    (setup, requests)
}

fn get(url: impl Into<String>) -> PluginRequest {
    PluginRequest { method: "GET".to_owned(), url: url.into(), headers: Vec::new(), body: Vec::new() }
}

fn forbidden(answer: Result<PluginResponse, RequestError>) -> String {
    match answer {
        Err(RequestError::Forbidden(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_goes_out_as_it_was_given_and_the_answer_comes_back_whole() {
    let (port, told) = serving(says("HTTP/1.1 201 Created\r\nX-One: 1\r\nx-one: 2\r\ncontent-length: 4\r\n\r\nbody"));
    let (setup, requests) = granted(port);
    let request = PluginRequest {
        method: "POST".to_owned(),
        url: format!("http://127.0.0.1:{port}/v1/check?q=a%20b"),
        headers: vec![("X-Trace".to_owned(), "1".to_owned()), ("x-trace".to_owned(), "2".to_owned())],
        body: b"{\"a\":1}".to_vec(),
    };
    let answer = requests.send(request, AMPLE).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (201, &b"body"[..]));
    let pairs: Vec<_> = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("x-one", "1"), ("x-one", "2"), ("content-length", "4")]);
    let agent = concat!("portcullis/", env!("CARGO_PKG_VERSION"));
    let expected = format!(
        "POST /v1/check?q=a%20b HTTP/1.1\r\nx-trace: 1\r\nx-trace: 2\r\naccept-encoding: identity\r\n\
         host: 127.0.0.1:{port}\r\nuser-agent: {agent}\r\ncontent-length: 7\r\n\r\n{{\"a\":1}}"
    );
    assert_eq!(told.recv().unwrap(), expected);
    let line = format!(
        "portcullis_plugin_requests_total{{plugin=\"asks\",host=\"http://127.0.0.1:{port}\",outcome=\"answered\"}} 1"
    );
    assert!(setup.figures().contains(&line), "{}", setup.figures());
}

#[test]
fn what_is_not_granted_is_never_sent() {
    let (port, told) = serving(says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    let (setup, requests) = granted(port);
    for url in [
        format!("https://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{}/", port ^ 1),
        format!("http://localhost:{port}/"),
        format!("http://127.0.0.1.evil.example:{port}/"),
        format!("http://user@127.0.0.1:{port}/"),
        format!("http://2130706433:{port}/"),
        "/relative".to_owned(),
        "gopher://127.0.0.1/".to_owned(),
        String::new(),
        format!("http://127.0.0.1:{port}/{}", "x".repeat(MAX_URL)),
    ] {
        forbidden(requests.send(get(url), AMPLE));
    }
    let url = format!("http://127.0.0.1:{port}/");
    for method in ["CONNECT", "TRACE", "get", "", "GET / HTTP/1.1\r\nx:"] {
        forbidden(requests.send(PluginRequest { method: method.to_owned(), ..get(&url) }, AMPLE));
    }
    for (name, value) in [
        ("Host", "other.example"),
        ("Content-Length", "0"),
        ("transfer-encoding", "chunked"),
        ("Connection", "close"),
        ("upgrade", "h2c"),
        ("accept-encoding", "gzip"),
        ("bad name", "x"),
        ("", "x"),
        ("x-split", "a\r\nx-evil: 1"),
    ] {
        let headers = vec![(name.to_owned(), value.to_owned())];
        forbidden(requests.send(PluginRequest { headers, ..get(&url) }, AMPLE));
    }
    let many = vec![("x".to_owned(), "y".to_owned()); MAX_HEADERS + 1];
    forbidden(requests.send(PluginRequest { headers: many, ..get(&url) }, AMPLE));
    assert!(told.try_recv().is_err(), "something was sent");
    assert!(setup.figures().contains("host=\"none\",outcome=\"forbidden\""));
}

#[test]
fn private_addresses_need_their_network_named() {
    let (port, told) = serving(says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    let hosts = vec![format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}")];
    let setup = setup(&hosts);
    let requests = setup.open(&hosts, &[], &[]).unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let why = forbidden(requests.send(get(format!("http://{host}:{port}/")), AMPLE));
        assert!(why.contains("not public"), "{why}");
    }
    assert!(told.try_recv().is_err(), "something was sent");
    // A name that leads there goes where its network is listed.
    let requests = setup.open(&hosts, &["127.0.0.0/8", "::1/128"], &[]).unwrap();
    assert_eq!(requests.send(get(format!("http://localhost:{port}/")), AMPLE).unwrap().status, 200);
}

#[test]
fn a_name_without_an_address_is_unreachable() {
    let hosts = vec!["no-such-host.invalid".to_owned()];
    let requests = setup(&hosts).open(&hosts, &[], &[]).unwrap();
    let answer = requests.send(get("https://no-such-host.invalid/"), AMPLE);
    assert!(matches!(answer, Err(RequestError::Unreachable(_) | RequestError::TimedOut)), "{answer:?}");
}

#[test]
fn redirects_are_answers_and_are_not_followed() {
    let (port, told) =
        serving(says("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"));
    let (_setup, requests) = granted(port);
    let answer = requests.send(get(format!("http://127.0.0.1:{port}/")), AMPLE).unwrap();
    assert_eq!(answer.status, 302);
    assert!(answer.headers.contains(&("location".to_owned(), "http://169.254.169.254/".to_owned())));
    assert_eq!(told.iter().take(1).count(), 1);
    assert!(told.try_recv().is_err(), "it was followed");
}

#[test]
fn answers_that_are_late_large_broken_or_rubbish_are_errors() {
    let send = |answer: fn(&mut TcpStream), within| {
        let (port, _told) = serving(answer);
        let (setup, requests) = granted(port);
        (requests.send(get(format!("http://127.0.0.1:{port}/")), within), setup)
    };
    let late = send(|_| thread::sleep(Duration::from_secs(30)), Duration::from_millis(150));
    assert_eq!(late.0, Err(RequestError::TimedOut));
    assert!(late.1.figures().contains("outcome=\"timed_out\"} 1"));
    let announced = |stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5000000\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    };
    assert_eq!(send(announced, AMPLE).0, Err(RequestError::TooLarge));
    let endless = |stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while stream.write_all(b"400\r\n").and_then(|()| stream.write_all(&[b'x'; 0x400])).is_ok()
            && stream.write_all(b"\r\n").is_ok()
        {}
    };
    assert_eq!(send(endless, AMPLE).0, Err(RequestError::TooLarge));
    let heads = |stream: &mut TcpStream| {
        let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(8000));
        let _ = stream.write_all(head.as_bytes());
    };
    assert_eq!(send(heads, AMPLE).0, Err(RequestError::TooLarge));
    for broken in [
        (|stream: &mut TcpStream| _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"))
            as fn(&mut TcpStream),
        |stream| _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx-unfin"),
        |stream| _ = stream.write_all(b"\x00\x01\x02 no HTTP at all\r\n\r\n"),
        |_| {},
    ] {
        let answer = send(broken, AMPLE).0;
        assert!(matches!(answer, Err(RequestError::Unreachable(_))), "{answer:?}");
    }
    // Nobody listens.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (_setup, requests) = granted(port);
    let answer = requests.send(get(format!("http://127.0.0.1:{port}/")), AMPLE);
    assert!(matches!(answer, Err(RequestError::Unreachable(_))), "{answer:?}");
}

#[test]
fn requests_under_way_are_bounded_and_others_wait_within_their_time() {
    let most = Arc::new(AtomicUsize::new(0));
    let now = Arc::new(AtomicUsize::new(0));
    let (seen, open) = (Arc::clone(&most), Arc::clone(&now));
    let (port, _told) = serving(move |stream| {
        seen.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(60));
        open.fetch_sub(1, Ordering::SeqCst);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    });
    let hosts = vec![format!("http://127.0.0.1:{port}")];
    let setup = setup_with(&hosts, CourierLimits { requests: 8, per_tenant: 2 });
    let requests = setup.open(&hosts, &["127.0.0.0/8"], &[]).unwrap();
    let url = format!("http://127.0.0.1:{port}/");
    thread::scope(|threads| {
        let all: Vec<_> = (0..10).map(|_| threads.spawn(|| requests.send(get(&url), AMPLE))).collect();
        for one in all {
            assert_eq!(one.join().unwrap().unwrap().status, 200);
        }
    });
    assert!((1..=2).contains(&most.load(Ordering::SeqCst)), "{}", most.load(Ordering::SeqCst));
    let (hangs, _told) = serving(|_| thread::sleep(Duration::from_secs(30)));
    let hosts = vec![format!("http://127.0.0.1:{hangs}")];
    let setup = setup_with(&hosts, CourierLimits { requests: 1, per_tenant: 1 });
    let requests = setup.open(&hosts, &["127.0.0.0/8"], &[]).unwrap();
    let url = format!("http://127.0.0.1:{hangs}/");
    thread::scope(|threads| {
        let long = threads.spawn(|| requests.send(get(&url), Duration::from_secs(2)));
        thread::sleep(Duration::from_millis(100));
        assert_eq!(requests.send(get(&url), Duration::from_millis(50)), Err(RequestError::TimedOut));
        assert_eq!(long.join().unwrap(), Err(RequestError::TimedOut));
    });
}

#[test]
fn a_secret_is_sent_and_never_seen() {
    let (port, told) = serving(|stream| {
        let body = format!("{{\"you\":\"{SECRET}\",\"b64\":\"dXNlcjpzay1saXZlLTAxMjM0NTY3ODlhYmNkZWY=\"}}");
        let head = format!("HTTP/1.1 200 OK\r\nx-echo: Bearer {SECRET}\r\ncontent-length: {}\r\n\r\n", body.len());
        let _ = stream.write_all((head + &body).as_bytes());
    });
    let (_setup, requests) = granted(port);
    let placeholder = requests.placeholder("api-key").unwrap();
    assert_eq!(requests.placeholder("api-key"), Ok(placeholder.clone()), "the same in every call");
    assert!(!placeholder.contains("sk-live") && placeholder.starts_with("{{secret:api-key:"), "{placeholder}");
    assert!(requests.placeholder("other").is_err());
    let request = PluginRequest {
        method: "POST".to_owned(),
        headers: vec![("authorization".to_owned(), format!("Bearer {placeholder}"))],
        body: placeholder.clone().into_bytes(),
        ..get(format!("http://127.0.0.1:{port}/"))
    };
    // Anywhere but in headers the placeholder stays as it is.
    let answer = requests.send(request, AMPLE).unwrap();
    let sent = told.recv().unwrap();
    assert!(sent.contains(&format!("authorization: Bearer {SECRET}\r\n")), "{sent}");
    assert!(sent.ends_with(&placeholder), "{sent}");
    let seen = format!("{answer:?} {}", String::from_utf8_lossy(&answer.body));
    assert!(!seen.contains("sk-live") && !seen.contains("c2stbGl2ZS"), "{seen}");
    assert!(answer.headers.contains(&("x-echo".to_owned(), format!("Bearer {placeholder}"))), "{seen}");
    assert!(answer.headers.contains(&("content-length".to_owned(), answer.body.len().to_string())), "{seen}");
    // Also with a request that was sent without it.
    let answer = requests.send(get(format!("http://127.0.0.1:{port}/")), AMPLE).unwrap();
    assert!(!String::from_utf8_lossy(&answer.body).contains("sk-live"));
}

#[test]
fn a_secret_goes_only_to_its_own_hosts_and_tenants() {
    let (port, told) = serving(says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    let hosts = vec![format!("http://127.0.0.1:{port}")];
    let setup = setup(&["api.example.com".to_owned()]);
    let requests = setup.open(&hosts, &["127.0.0.0/8"], &["api-key"]).unwrap();
    let headers = vec![("x-key".to_owned(), requests.placeholder("api-key").unwrap())];
    let why = forbidden(requests.send(PluginRequest { headers, ..get(format!("http://127.0.0.1:{port}/")) }, AMPLE));
    assert!(why.contains("\"api-key\" is not for 127.0.0.1"), "{why}");
    assert!(told.try_recv().is_err(), "something was sent");
    assert_eq!(setup.open(&hosts, &[], &["other"]).err().unwrap().0, "secrets");
    assert!(setup.secrets.get("globex", "api-key").is_none(), "it is acme's");
    let debug = format!("{:?}", setup.secrets);
    assert!(debug.contains("api-key") && !debug.contains("sk-live"), "{debug}");
}

#[test]
fn an_answer_that_cannot_be_searched_is_not_handed_on() {
    let (port, _told) =
        serving(says("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\n\x1f\x0b\x08"));
    let (_setup, requests) = granted(port);
    let answer = requests.send(get(format!("http://127.0.0.1:{port}/")), AMPLE);
    assert!(matches!(&answer, Err(RequestError::Unreachable(why)) if why.contains("packs")), "{answer:?}");
}

#[test]
fn placeholders_differ_between_plugins_tenants_and_installations() {
    let key = PlaceholderKey::new([1; 32]);
    let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
    let all = [
        key.placeholder("a", "p", one, "s"),
        key.placeholder("b", "p", one, "s"),
        key.placeholder("a", "q", one, "s"),
        key.placeholder("a", "p", two, "s"),
        key.placeholder("a", "p", one, "t"),
        PlaceholderKey::new([2; 32]).placeholder("a", "p", one, "s"),
    ];
    let different: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
    assert_eq!(all[0].len(), "{{secret:s:}}".len() + 32);
}

#[test]
fn a_secret_that_cannot_be_used_is_refused_at_the_start() {
    let spec = |value: &str, name: &str, hosts: &[&str]| SecretSpec {
        name: name.to_owned(),
        value: ClientSecret::text(value.to_owned()),
        tenants: Vec::new(),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
    };
    for bad in [
        spec("short", "s", &["a.example"]),
        spec("with\na line break", "s", &["a.example"]),
        spec("größer-als-ascii", "s", &["a.example"]),
        spec(SECRET, "no label", &["a.example"]),
        spec(SECRET, "s", &[]),
        spec(SECRET, "s", &["*"]),
        SecretSpec { value: ClientSecret::File("/nonexistent".into()), ..spec("", "s", &["a.example"]) },
    ] {
        let error = Secrets::new(vec![bad]).unwrap_err().1.to_string();
        assert!(!error.contains(SECRET), "{error}");
    }
    let twice = vec![spec(SECRET, "s", &["a.example"]), spec(SECRET, "s", &["a.example"])];
    assert_eq!(Secrets::new(twice).unwrap_err(), (1, crate::outside::SecretError::Taken));
}

/// A server that speaks TLS with this certificate and answers `ok`.
fn serving_tls(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> u16 {
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            let mut head = [0; 4096];
            // Who is not trusted is not sent anything.
            if stream.read(&mut head).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
                let _ = stream.flush();
            }
        }
    });
    port
}

#[test]
fn a_certificate_must_come_from_an_authority_that_is_configured() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let port = serving_tls(&made);
    let hosts = vec![format!("localhost:{port}"), format!("127.0.0.1:{port}")];
    let setup = setup(&hosts);
    let networks = ["127.0.0.0/8".to_owned(), "::1/128".to_owned()];
    let send = |authorities: Option<String>, host: &str| {
        let spec = RequestsSpec {
            tenant: "acme",
            plugin: "asks",
            digest: Digest::of(b"plugin"),
            hosts: &hosts,
            networks: &networks,
            secrets: &[],
            authorities: authorities.as_ref().map(|pem| pem.as_bytes()),
            most: 4096,
        };
        let courier = Arc::clone(&setup.courier);
        let requests = Requests::new(courier, &setup.secrets, &PlaceholderKey::new([7; 32]), &spec).unwrap();
        requests.send(get(format!("https://{host}:{port}/")), AMPLE)
    };
    assert_eq!(send(Some(made.cert.pem()), "localhost").unwrap().body, b"ok");
    for (authorities, host) in
        [(None, "localhost"), (Some(other.cert.pem()), "localhost"), (Some(made.cert.pem()), "127.0.0.1")]
    {
        let answer = send(authorities, host);
        assert!(matches!(answer, Err(RequestError::Unreachable(_))), "{answer:?}");
    }
}
