//! What is read from a text: packages that are asked for, and where they come from.

use std::ops::Range;

use crate::name::Registry;

/// How sure it is that a package is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Via {
    /// A command in the midst of prose: words after it may be no names.
    Prose,
    /// A lock file: chosen by a tool, from names that were looked at before.
    Lock,
    /// A command, or a manifest.
    Asked,
}

/// A package, or where packages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A package.
    Package {
        /// From where; none if it is not said.
        registry: Option<Registry>,
        /// As written.
        name: String,
        /// Whether one version is named.
        pinned: bool,
        /// How sure.
        via: Via,
        /// Bytes of the text.
        range: Range<usize>,
    },
    /// Another place than the registry.
    Source {
        /// What is unusual about it.
        source: Source,
        /// Bytes of the text.
        range: Range<usize>,
    },
}

/// What is unusual about where packages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A repository of a forge that everybody knows.
    Forge,
    /// Scripts of packages are run though they were switched off.
    Scripts,
    /// A registry beside the usual one.
    Extra,
    /// Another registry.
    Registry,
    /// Certificates of a host are not checked.
    Unchecked,
    /// A repository on another host.
    Git,
    /// An archive from the network.
    Archive,
    /// Something that anybody on the way may change, or on a host without a name.
    Plain,
}

impl Source {
    /// How unusual.
    pub(crate) fn score(self) -> f32 {
        match self {
            Self::Forge => 0.35,
            Self::Scripts => 0.5,
            Self::Extra => 0.65,
            Self::Registry => 0.6,
            Self::Unchecked => 0.7,
            Self::Git => 0.65,
            Self::Archive => 0.75,
            Self::Plain => 0.85,
        }
    }

    /// For the person who decides.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Forge => {
                "A package is installed from a source repository instead of its registry: nobody but its owner has looked at it."
            }
            Self::Scripts => {
                "Install scripts of packages are switched on: they run as the user before any code is looked at."
            }
            Self::Extra => {
                "A second registry is asked beside the usual one: whoever has a name there may replace a package of that name."
            }
            Self::Registry => "Packages are taken from a registry that is not the usual one.",
            Self::Unchecked => "The certificate of a registry is not checked: anybody on the way may replace packages.",
            Self::Git => "A package is installed from a source repository on an unknown host.",
            Self::Archive => "A package is installed from an archive on the network instead of its registry.",
            Self::Plain => "A package comes over an unprotected connection or from a host without a name.",
        }
    }
}

/// Hosts of registries.
const REGISTRIES: &[&str] = &[
    "pypi.org",
    "files.pythonhosted.org",
    "pypi.python.org",
    "test.pypi.org",
    "registry.npmjs.org",
    "registry.npmjs.com",
    "registry.yarnpkg.com",
    "npm.pkg.github.com",
    "npm.jsr.io",
    "download.pytorch.org",
    "pypi.nvidia.com",
    "pypi.ngc.nvidia.com",
    "rubygems.org",
    "crates.io",
    "index.crates.io",
    "static.crates.io",
    "proxy.golang.org",
    "conda.anaconda.org",
    "repo.anaconda.com",
    "packagist.org",
    "repo.packagist.org",
    "registry.npmmirror.com",
    "pypi.tuna.tsinghua.edu.cn",
    "mirrors.aliyun.com",
    "storage.googleapis.com",
    "data.pyg.org",
];
/// Hosts of source repositories.
const FORGES: &[&str] =
    &["github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "git.sr.ht", "codeload.github.com", "dev.azure.com"];

/// The host of an address, and whether it is protected on the way.
fn host(address: &str) -> Option<(&str, bool)> {
    let (scheme, rest) = address.split_once("://")?;
    let scheme = scheme.rsplit('+').next().unwrap_or(scheme);
    Some((plugin_text::host_of(rest), !matches!(scheme, "http" | "ftp" | "git")))
}

/// A host without a name, which is not this machine.
fn bare(host: &str) -> bool {
    host.contains(':') || host.contains("xn--") || host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn local(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1") || host.ends_with(".local") || host.ends_with(".internal")
}

fn among(list: &[&str], own: &[String], host: &str) -> bool {
    let fits = |known: &str| host.eq_ignore_ascii_case(known);
    list.iter().any(|known| fits(known)) || own.iter().any(|known| fits(known))
}

/// What is unusual about a registry at this address; `extra` if it is asked beside the usual one.
pub(crate) fn registry(address: &str, extra: bool, own: &[String]) -> Option<Source> {
    let Some((host, safe)) = host(address) else {
        // A folder, or a name that is configured elsewhere.
        return None;
    };
    if local(host) || among(&[], own, host) {
        return None;
    }
    if !safe || bare(host) {
        return Some(Source::Plain);
    }
    (!among(REGISTRIES, own, host)).then_some(if extra { Source::Extra } else { Source::Registry })
}

/// What is unusual about a package that is named by an address; none if it is no address, or one that is known.
pub(crate) fn address(spec: &str, own: &[String]) -> Option<Source> {
    if let Some(rest) = spec.strip_prefix("git@").or_else(|| spec.strip_prefix("git+ssh://git@")) {
        let host = rest.split([':', '/']).next().unwrap_or(rest);
        return match (among(&[], own, host), among(FORGES, &[], host)) {
            (true, _) => None,
            (_, true) => Some(Source::Forge),
            _ => Some(Source::Git),
        };
    }
    if ["github:", "gitlab:", "bitbucket:", "gist:"].iter().any(|forge| spec.starts_with(forge)) {
        return Some(Source::Forge);
    }
    let (host, safe) = host(spec)?;
    if spec.starts_with("file:") || local(host) || among(&[], own, host) {
        return None;
    }
    if !safe || bare(host) {
        return Some(Source::Plain);
    }
    if among(REGISTRIES, own, host) {
        return None;
    }
    if among(FORGES, own, host) {
        return Some(Source::Forge);
    }
    let git = spec.starts_with("git")
        || spec.trim_end_matches('/').ends_with(".git")
        || spec.starts_with("ssh:")
        || spec.starts_with("hg+");
    Some(if git { Source::Git } else { Source::Archive })
}

/// A package of npm as written on a command line or in a manifest: its name, and whether one version is named.
pub(crate) fn npm(mut spec: &str) -> Option<(&str, bool)> {
    loop {
        let body = spec.strip_prefix('@').unwrap_or(spec);
        let scope = spec.len() - body.len();
        let Some(at) = body.find('@') else { return Some((spec, false)) };
        let (name, version) = spec.split_at_checked(scope + at)?;
        let version = version.get(1..).unwrap_or_default();
        // An alias: what counts is what stands behind it, and that may be one again.
        match version.strip_prefix("npm:") {
            Some(real) => spec = real,
            None => return Some((name, version.bytes().next().is_some_and(|byte| byte.is_ascii_digit()))),
        }
    }
}

/// The same of PyPI: `name[extra]==1.2; marker`, also `name @ address`.
pub(crate) fn pypi(spec: &str) -> Option<(&str, bool)> {
    let end = spec.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.')).unwrap_or(spec.len());
    let (name, rest) = spec.split_at_checked(end)?;
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(extra) => extra.split_once(']')?.1.trim_start(),
        None => rest,
    };
    let follows = rest.is_empty() || rest.starts_with(['=', '>', '<', '~', '!', ';', '@', ',', '(', '#']);
    (follows && !name.is_empty()).then_some((name, rest.starts_with("==")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged_by_their_host() {
        let own = ["git.acme.example".to_owned()];
        for (spec, wanted) in [
            ("https://files.example/x.tgz", Some(Source::Archive)),
            ("http://pypi.org/simple", Some(Source::Plain)),
            ("https://203.0.113.7/x.whl", Some(Source::Plain)),
            ("git+https://github.com/a/b.git", Some(Source::Forge)),
            ("git+https://code.example/a/b.git", Some(Source::Git)),
            ("git+ssh://git@git.acme.example/a/b", None),
            ("https://files.pythonhosted.org/x.whl", None),
            ("git@github.com:a/b.git", Some(Source::Forge)),
            ("left-pad", None),
            ("https://github.com@evil.example/x", Some(Source::Archive)),
            (r"https://evil.example\@github.com/x", Some(Source::Archive)),
            ("https://[2001:db8::1]/x.whl", Some(Source::Plain)),
            ("http://[::1]:8080/x.whl", None),
        ] {
            assert_eq!(address(spec, &own), wanted, "{spec}");
        }
        assert_eq!(registry("https://pypi.org/simple", true, &[]), None);
        assert_eq!(registry("https://simple.example/", true, &[]), Some(Source::Extra));
    }

    #[test]
    fn aliases_of_aliases_take_no_stack() {
        let many = format!("{}left-pad@1", "a@npm:".repeat(500_000));
        let small = std::thread::Builder::new().stack_size(64 * 1024);
        small.spawn(move || assert_eq!(npm(&many), Some(("left-pad", true)))).unwrap().join().unwrap();
    }

    #[test]
    fn names_are_cut_out_of_what_is_written() {
        assert_eq!(npm("@types/node@20.1.0"), Some(("@types/node", true)));
        assert_eq!(npm("a@npm:left-pad@^1"), Some(("left-pad", false)));
        assert_eq!(pypi("requests[socks]==2.31; python_version > '3'"), Some(("requests", true)));
        assert_eq!(pypi("flask >= 2"), Some(("flask", false)));
        assert_eq!(pypi("two words"), None);
        assert_eq!(pypi(""), None);
    }
}
