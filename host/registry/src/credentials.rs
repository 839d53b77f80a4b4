//! How registries are spoken to: credentials, certificates, plain HTTP.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::files;

/// User and password, or a token that is sent as it is.
#[derive(Clone)]
pub struct Credentials {
    /// User.
    pub user: String,
    /// Password or access token.
    pub password: Zeroizing<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, …)", self.user)
    }
}

impl Credentials {
    /// The value of an `Authorization` header.
    pub(crate) fn basic(&self) -> Zeroizing<String> {
        let pair = Zeroizing::new(format!("{}:{}", self.user, *self.password));
        Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
    }
}

/// How one registry is spoken to.
#[derive(Clone, Debug, Default)]
pub struct HostSettings {
    /// Host, and port if references write one.
    pub host: String,
    /// Who we are there.
    pub credentials: Option<Credentials>,
    /// Certificates (PEM) of the only authorities that its certificate may come from.
    pub ca: Option<Vec<u8>>,
    /// Whether it is spoken to without TLS. Default: on loopback without `ca`.
    pub plain_http: Option<bool>,
}

impl HostSettings {
    pub(crate) fn plain(&self) -> bool {
        self.plain_http.unwrap_or_else(|| self.ca.is_none() && loopback(&self.host))
    }
}

/// Whether a host, with or without port, is this machine.
pub(crate) fn loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Largest `config.json`, in bytes.
const LARGEST: u64 = 1 << 20;

/// What docker's `config.json` says of a host. None where there is no file or no word of the host.
pub(crate) fn docker(path: &Path, host: &str) -> Result<Option<Credentials>, Error> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        auths: HashMap<String, Entry>,
        #[serde(default, rename = "credHelpers")]
        helpers: HashMap<String, String>,
        #[serde(default, rename = "credsStore")]
        store: Option<String>,
    }
    #[derive(Deserialize)]
    struct Entry {
        auth: Option<String>,
        username: Option<String>,
        password: Option<String>,
        identitytoken: Option<String>,
    }
    let fail = |why: String| Error::Login { path: path.to_owned(), why };
    let text = match files::read_text(path, LARGEST) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(format!("cannot be read: {error}"))),
    };
    // What serde says could quote a secret.
    let file: File = serde_json::from_str(&text).map_err(|error| {
        fail(format!("is not docker's config.json (line {}, column {})", error.line(), error.column()))
    })?;
    let names =
        [host.to_owned(), format!("https://{host}"), format!("https://{host}/v2/"), format!("https://{host}/v1/")];
    let hub = (host == "docker.io").then(|| "https://index.docker.io/v1/".to_owned());
    let entry = names.iter().chain(&hub).find_map(|name| file.auths.get(name));
    let unreadable = || fail(format!("its entry of {host} holds no user and password"));
    match entry {
        Some(Entry { identitytoken: Some(_), .. }) => Err(fail(format!(
            "its entry of {host} is an identity token, which is not known here; give `user` and a password"
        ))),
        Some(Entry { auth: Some(auth), .. }) if !auth.is_empty() => {
            let pair =
                STANDARD.decode(auth.trim()).ok().and_then(|pair| String::from_utf8(pair).ok()).map(Zeroizing::new);
            let pair = pair.ok_or_else(unreadable)?;
            let (user, password) = pair.split_once(':').ok_or_else(unreadable)?;
            let password = Zeroizing::new(password.trim_end_matches('\0').to_owned());
            Ok(Some(Credentials { user: user.to_owned(), password }))
        }
        Some(Entry { username: Some(user), password: Some(password), .. }) => {
            Ok(Some(Credentials { user: user.clone(), password: Zeroizing::new(password.clone()) }))
        }
        // An empty entry says: asked of a helper.
        _ if names.iter().any(|name| file.helpers.contains_key(name)) || (entry.is_some() && file.store.is_some()) => {
            Err(fail(format!(
                "the password of {host} is in a credential helper, which is not known here; give `user` and a password"
            )))
        }
        Some(_) => Err(unreadable()),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_logins_are_found_by_host() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert!(docker(&path, "a").unwrap().is_none());
        let file = r#"{"auths":{"a":{"auth":"dTpwOncK"},"https://b":{"username":"x","password":"y"},
            "https://index.docker.io/v1/":{"auth":"aHViOnB3"},"c":{"identitytoken":"t"},"d":{},"e":{"auth":"!"}},
            "credHelpers":{"f":"pass"},"credsStore":"desktop"}"#;
        std::fs::write(&path, file).unwrap();
        let found = |host: &str| docker(&path, host).unwrap().map(|found| (found.user, found.password.to_string()));
        assert_eq!(found("a"), Some(("u".to_owned(), "p:w\n".to_owned())));
        assert_eq!(found("b"), Some(("x".to_owned(), "y".to_owned())));
        assert_eq!(found("docker.io"), Some(("hub".to_owned(), "pw".to_owned())));
        assert_eq!(found("other"), None);
        for (host, why) in [("c", "identity token"), ("d", "helper"), ("e", "no user"), ("f", "helper")] {
            let said = docker(&path, host).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
        std::fs::write(&path, "{\"auths\": \"secret\"}").unwrap();
        let said = docker(&path, "a").unwrap_err().to_string();
        assert!(said.contains("line 1") && !said.contains("secret"), "{said}");
        let made = Credentials { user: "u".to_owned(), password: Zeroizing::new("hush".to_owned()) };
        assert_eq!(format!("{made:?}"), "Credentials(u, …)");
    }

    #[test]
    fn plain_http_is_for_loopback_unless_it_is_asked_for() {
        for (host, plain) in [
            ("localhost:5000", true),
            ("127.0.0.1", true),
            ("[::1]:5000", true),
            ("registry.example", false),
            ("10.0.0.1:5000", false),
            ("localhost.example", false),
        ] {
            let settings = HostSettings { host: host.to_owned(), ..HostSettings::default() };
            assert_eq!(settings.plain(), plain, "{host}");
            assert!(HostSettings { plain_http: Some(true), ..settings.clone() }.plain());
            assert!(!HostSettings { ca: Some(Vec::new()), ..settings }.plain());
        }
    }
}
