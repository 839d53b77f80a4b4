use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

fn list(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn targets(hosts: &[&str], networks: &[&str]) -> Targets {
    Targets::new(&list(hosts), &list(networks), Duration::from_secs(2)).unwrap()
}

/// A server that answers every connection with these bytes; its port.
async fn serving(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                // Kept open: what is whole must be known by its framing.
                tokio::time::sleep(Duration::from_secs(30)).await;
            });
        }
    });
    port
}

async fn post(targets: &Targets, url: &str) -> Result<Answered, TargetError> {
    targets.post(&url.parse().unwrap(), HeaderMap::new(), Bytes::from_static(b"{}")).await
}

#[test]
fn addresses_that_are_not_public_are_known() {
    for address in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:1ff::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "4000::1",
    ] {
        assert!(!is_public(address.parse().unwrap()), "{address}");
    }
    for address in [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "198.17.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2001:200::1",
        "2606:4700::1111",
        "2a00::1",
    ] {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
}

#[test]
fn only_listed_hosts_and_plain_addresses_pass() {
    let targets = targets(&["hooks.example.com", "*.chat.example"], &[]);
    let check = |url: &str| targets.check(&url.parse().unwrap());
    for good in [
        "https://hooks.example.com/x",
        "https://HOOKS.example.com:8443/",
        "https://a.chat.example",
        "https://a.b.chat.example/",
    ] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for bad in [
        "https://hooks.example.com.evil.example/",
        "https://evilhooks.example.com/",
        "https://chat.example/",
        "https://evilchat.example/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "ftp://hooks.example.com/",
        "/hooks",
        "https://user@hooks.example.com/",
        "https://hooks.example.com@evil.example/",
        "hooks.example.com:443",
    ] {
        assert!(check(bad).is_err_and(|error| error.is_refusal()), "{bad}");
    }
    for rule in ["", "*", "*.", "a b", "https://x", "*.*.x", "x/y"] {
        let read = Targets::new(&list(&[rule]), &[], Duration::from_secs(1));
        assert_eq!(read.is_ok(), rule == "*", "{rule}");
    }
    for network in ["10.0.0.0/33", "x", "10.0.0.1-10.0.0.2"] {
        assert!(Targets::new(&[], &list(&[network]), Duration::from_secs(1)).is_err(), "{network}");
    }
}

#[tokio::test]
async fn private_addresses_are_refused_unless_their_network_is_listed() {
    let port = serving("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let url = format!("http://127.0.0.1:{port}/hook");
    let refused = post(&targets(&["*"], &[]), &url).await.unwrap_err();
    assert_eq!(refused, TargetError::Network("127.0.0.1".into(), "127.0.0.1".parse().unwrap()));
    // The same by names and other writings of that address.
    for host in ["localhost", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "[::1]"] {
        let error = post(&targets(&["*"], &[]), &format!("http://{host}:{port}/")).await.unwrap_err();
        assert!(
            matches!(error, TargetError::Network(..) | TargetError::Unknown(_) | TargetError::Address(_)),
            "{host}: {error}"
        );
    }
    let other = post(&targets(&["*"], &["10.0.0.0/8"]), &url).await.unwrap_err();
    assert!(matches!(other, TargetError::Network(..)), "{other}");
    let listed = post(&targets(&["127.0.0.1"], &["127.0.0.0/8"]), &url).await.unwrap();
    assert_eq!(listed.status, 200);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let secret = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let inside = secret.local_addr().unwrap().port();
    let answer = format!("HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:{inside}/\r\ncontent-length: 0\r\n\r\n");
    let port = serving(answer.leak()).await;
    let error = post(&targets(&["*"], &["127.0.0.0/8"]), &format!("http://127.0.0.1:{port}/")).await.unwrap_err();
    assert_eq!(error, TargetError::Redirect("127.0.0.1".into()));
    assert!(error.is_refusal());
    let asked = tokio::time::timeout(Duration::from_millis(200), secret.accept()).await;
    assert!(asked.is_err(), "somebody asked where the redirect leads");
}

#[tokio::test]
async fn every_wait_and_every_answer_is_bounded() {
    let targets = targets(&["*"], &["127.0.0.0/8"]);
    let at = |port: u16| format!("http://127.0.0.1:{port}/");
    let hangs = serving("").await;
    assert_eq!(post(&targets, &at(hangs)).await.unwrap_err(), TargetError::TooSlow("127.0.0.1".into()));
    // The status counts, whatever comes after it.
    let half = serving("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    let large: String = format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{}", "x".repeat(100_000));
    let large = serving(large.leak()).await;
    let encoded = serving("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 0\r\n\r\n").await;
    for port in [half, large, encoded] {
        assert_eq!(post(&targets, &at(port)).await.unwrap().status, 200);
    }
    let nonsense = serving("SSH-2.0-x\r\n\r\n").await;
    assert_eq!(post(&targets, &at(nonsense)).await.unwrap_err(), TargetError::Broken("127.0.0.1".into()));
    let waits = serving("HTTP/1.1 503 Later\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n").await;
    let answer = post(&targets, &at(waits)).await.unwrap();
    assert_eq!((answer.status, answer.retry_after), (503, Some(Duration::from_secs(7))));
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = post(&targets, &at(closed)).await.unwrap_err();
    assert!(matches!(error, TargetError::Unreachable(..)) && !error.is_refusal(), "{error}");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await.is_ok()
    });
    let url = format!("https://127.0.0.1:{port}/");
    let error = post(&targets(&["*"], &["127.0.0.0/8"]), &url).await.unwrap_err();
    assert!(matches!(error, TargetError::Unreachable(..)), "{error}");
    assert!(!serving.await.unwrap(), "nothing was sent to it");
}

#[test]
fn errors_name_hosts_and_no_paths() {
    let targets = targets(&["a.example"], &[]);
    let url = "https://b.example/services/T0/SECRET?token=SECRET".parse().unwrap();
    let error = targets.check(&url).unwrap_err().to_string();
    assert!(error.contains("b.example") && !error.contains("SECRET"), "{error}");
}

#[test]
fn private_addresses_are_known_in_every_disguise() {
    let private = [
        "127.0.0.1",
        "10.1.2.3",
        "172.31.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.0.1",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001::1",
        "2001:db8::1",
    ];
    for address in private {
        assert!(!is_public(address.parse().unwrap()), "{address}");
    }
    for address in ["1.1.1.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1"] {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
}
