//! Where a request goes: metadata services in every spelling, private addresses, drop sites, dangerous schemes.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use plugin_text::{host_of, within};

use crate::report::{HTTP_EXFILTRATION, HTTP_PRIVATE, HTTP_SCHEME, METADATA, Report};

/// Addresses from which a cloud tells a machine its own credentials.
const METADATA_HOSTS: &[&str] = &[
    "metadata.google.internal",
    "metadata.goog",
    "metadata.azure.com",
    "metadata.packet.net",
    "metadata.platformequinix.com",
    "metadata.tencentyun.com",
    "instance-data",
    "instance-data.ec2.internal",
    "metadata",
];

/// Sites made for dropping data or catching requests.
const DROP_SITES: &[&str] = &[
    "webhook.site",
    "requestbin.com",
    "requestbin.net",
    "requestcatcher.com",
    "pipedream.net",
    "beeceptor.com",
    "hookbin.com",
    "ngrok.io",
    "ngrok-free.app",
    "ngrok.app",
    "serveo.net",
    "trycloudflare.com",
    "loca.lt",
    "burpcollaborator.net",
    "oastify.com",
    "oast.fun",
    "oast.pro",
    "oast.live",
    "oast.site",
    "oast.online",
    "oast.me",
    "interact.sh",
    "interactsh.com",
    "dnslog.cn",
    "ceye.io",
    "canarytokens.com",
    "pastebin.com",
    "paste.ee",
    "paste.rs",
    "hastebin.com",
    "dpaste.com",
    "dpaste.org",
    "ix.io",
    "sprunge.us",
    "termbin.com",
    "ghostbin.com",
    "rentry.co",
    "transfer.sh",
    "file.io",
    "0x0.st",
    "anonfiles.com",
    "bashupload.com",
    "gofile.io",
    "temp.sh",
    "oshi.at",
    "catbox.moe",
    "api.telegram.org",
];

/// What is looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) block_private: bool,
    pub(crate) sites: Vec<String>,
    pub(crate) allow_hosts: Vec<String>,
}

/// Most addresses of one text that are looked at.
const MOST_ADDRESSES: usize = 4096;

/// Looks at every address in `text`. `request` says that the text is there to be requested, not to be read.
pub(crate) fn inspect(text: &str, request: bool, options: &Options, report: &mut Report) {
    let mut from = 0;
    let mut left = MOST_ADDRESSES;
    while let Some(at) = text.get(from..).and_then(|rest| find(rest, "://")) {
        let colon = from + at;
        let scheme_start = text
            .get(..colon)
            .unwrap_or_default()
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-')))
            .map_or(0, |at| text.ceil_char_boundary(at + 1));
        let rest = text.get(colon + 3..).unwrap_or_default();
        let length = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`' | ')' | '}'))
            .unwrap_or(rest.len());
        let end = colon + 3 + length;
        let scheme = text.get(scheme_start..colon).unwrap_or_default().to_ascii_lowercase();
        url(&scheme, rest.get(..length).unwrap_or_default(), &(scheme_start..end), request, options, report);
        from = end.max(colon + 3);
        left -= 1;
        if left == 0 {
            return;
        }
    }
    // A host alone, where a host is expected.
    if request && from == 0 && text.len() < 256 && !text.trim().contains(char::is_whitespace) {
        let host = text.trim();
        let whole = 0..text.len();
        address(host, true, &whole, options, report);
    }
    // The address of the metadata service is told from any other text.
    if let Some(at) =
        find(text, "169.254.169.254").filter(|_| !report.seen.iter().any(|seen| seen.category == METADATA))
    {
        let score = if request { 0.9 } else { 0.5 };
        report.add(METADATA, score, "Names the metadata service of a cloud", &(at..at + 15));
    }
}

/// Like [`str::find`], and several times as quick where the first byte of `needle` is rare.
fn find(text: &str, needle: &str) -> Option<usize> {
    let (bytes, needle) = (text.as_bytes(), needle.as_bytes());
    memchr::memchr_iter(*needle.first()?, bytes)
        .find(|at| bytes.get(*at..).is_some_and(|rest| rest.starts_with(needle)))
}

/// The drop site named in `text`.
pub(crate) fn drop_site(text: &str) -> Option<&'static str> {
    if text.contains("discord.com/api/webhooks")
        || text.contains("discordapp.com/api/webhooks")
        || text.contains("hooks.slack.com/services")
    {
        return Some("a webhook of a chat");
    }
    let rest = text.split_once("://").map_or(text, |pair| pair.1);
    let host = host_of(rest);
    DROP_SITES.iter().find(|site| within(host, site)).copied()
}

fn url(scheme: &str, rest: &str, range: &Range<usize>, request: bool, options: &Options, report: &mut Report) {
    let weak = if request { 1.0 } else { 0.6 };
    match scheme {
        "gopher" | "dict" | "tftp" | "jar" | "netdoc" | "phar" | "expect" => {
            report.add(HTTP_SCHEME, 0.85 * weak, "Uses a scheme that reaches services behind the firewall", range);
        }
        "php" => report.add(HTTP_SCHEME, 0.85 * weak, "Uses a scheme that reads files of the server", range),
        "ldap" | "ldaps" | "rmi" if rest.len() > 3 && request => {
            report.add(HTTP_SCHEME, 0.5, "Uses a scheme that loads code", range)
        }
        "file" => {
            let path = rest.trim_start_matches("localhost");
            let secret = crate::unix::sensitive(path).is_some()
                || ["/etc/", "/proc/", "/root/", "/var/run/"].iter().any(|root| path.starts_with(root));
            report.add(
                HTTP_SCHEME,
                if secret { 0.85 * weak } else { 0.3 },
                "Reads a local file through an address",
                range,
            );
        }
        _ => {}
    }
    let host = host_of(rest);
    if options.allow_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)) {
        return;
    }
    address(host, request, range, options, report);
    let known = drop_site(&format!("x://{rest}")).is_some() || options.sites.iter().any(|site| within(host, site));
    let secret = secret_in_query(rest);
    if known {
        let score = if secret { 0.92 } else { 0.6 };
        report.add(HTTP_EXFILTRATION, score * weak, "Goes to a site made for dropping or catching data", range);
    } else if secret {
        report.add(HTTP_EXFILTRATION, 0.6 * weak, "Puts a secret into an address", range);
    }
}

/// Whether the query holds something that looks like a secret.
fn secret_in_query(rest: &str) -> bool {
    let Some((_, query)) = rest.split_once('?') else { return false };
    query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = name.to_ascii_lowercase();
        let told = [
            "password",
            "passwd",
            "secret",
            "api_key",
            "apikey",
            "access_token",
            "private_key",
            "token",
            "env",
            "cookie",
            "conversation",
            "history",
            "prompt",
        ]
        .iter()
        .any(|word| name == *word);
        let looks = ["sk-", "ghp_", "gho_", "AKIA", "xoxb-", "eyJhbGci", "-----BEGIN", "AIza"]
            .iter()
            .any(|start| value.starts_with(start));
        looks || (told && value.len() >= 16 && !value.starts_with(['{', '<', '$', '%']))
    })
}

fn address(host: &str, request: bool, range: &Range<usize>, options: &Options, report: &mut Report) {
    let weak = if request { 1.0 } else { 0.6 };
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    // `metadata` alone is a plain word elsewhere.
    if METADATA_HOSTS.contains(&name.as_str())
        && (request || name.contains('.'))
        && (name != "metadata" || range_is_url(range, host))
    {
        report.add(METADATA, 0.95 * weak, "Asks the metadata service of a cloud", range);
        return;
    }
    let v4 = ipv4(&name);
    let v6: Option<Ipv6Addr> = name.parse().ok();
    let v4 = v4.or_else(|| {
        v6.and_then(|v6| {
            v6.to_ipv4_mapped().or_else(|| if v6.segments().starts_with(&[0x64, 0xff9b]) { embedded(v6) } else { None })
        })
    });
    let metadata = v4.is_some_and(|ip| {
        matches!(
            ip.octets(),
            [169, 254, 169, 254 | 253 | 123] | [169, 254, 170, 2 | 23] | [100, 100, 100, 200] | [192, 0, 0, 192]
        ) || ip == Ipv4Addr::new(169, 254, 0, 23)
    }) || v6.is_some_and(|ip| {
        ip.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] || ip.segments() == [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
    });
    if metadata {
        report.add(METADATA, 0.95 * weak, "Asks the metadata service of a cloud", range);
        return;
    }
    if options.block_private {
        let private = name == "localhost"
            || name.ends_with(".localhost")
            || name.ends_with(".internal")
            || name.ends_with(".local")
            || v4.is_some_and(|ip| {
                ip.is_loopback()
                    || ip.is_private()
                    || ip.is_link_local()
                    || ip.is_unspecified()
                    || matches!(ip.octets(), [100, 64..=127, _, _])
            })
            || v6.is_some_and(|ip| {
                ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
            });
        if private {
            report.add(HTTP_PRIVATE, 0.85 * weak, "Goes to an address inside the network", range);
        }
    }
}

/// Whether the range is longer than the host: there was a scheme.
fn range_is_url(range: &Range<usize>, host: &str) -> bool {
    range.len() > host.len() + 3
}

/// The low 32 bits, where translated addresses keep theirs.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = v6.octets();
    Some(Ipv4Addr::new(a, b, c, d))
}

/// An IPv4 address as `inet_aton` reads it: one to four parts, decimal, hex (`0x`) or octal (`0`).
fn ipv4(host: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u64> = host
        .split('.')
        .map(|part| match part.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None if part.len() > 1 && part.starts_with('0') => u64::from_str_radix(part, 8).ok(),
            None if part.bytes().all(|byte| byte.is_ascii_digit()) => part.parse().ok(),
            None => None,
        })
        .collect::<Option<_>>()?;
    let (last, front) = parts.split_last()?;
    if front.len() > 3 || front.iter().any(|part| *part > 255) || *last >= 1 << (8 * (4 - front.len() as u32)) {
        return None;
    }
    // A small number alone is a number.
    if front.is_empty() && *last < 1 << 24 {
        return None;
    }
    let high = front.iter().fold(0, |sum, part| sum << 8 | part) << (8 * (4 - front.len() as u32));
    Some(Ipv4Addr::from(u32::try_from(high | last).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(text: &str, options: &Options) -> (&'static str, f32) {
        let mut report = Report::default();
        inspect(text, true, options, &mut report);
        report
            .seen
            .iter()
            .fold(("", 0.0), |best, seen| if seen.score > best.1 { (seen.category, seen.score) } else { best })
    }

    #[test]
    fn the_metadata_service_is_known_in_every_spelling() {
        for url in [
            "http://169.254.169.254/latest/meta-data/",
            "http://2852039166/latest",
            "http://0xa9fea9fe/",
            "http://0xa9.0xfe.0xa9.0xfe/",
            "http://0251.0376.0251.0376/",
            "http://169.254.43518/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[fd00:ec2::254]/latest",
            "http://user@169.254.169.254:80/",
            "http://METADATA.google.internal/computeMetadata/v1/",
            "http://metadata/computeMetadata/v1/",
            "http://169.254.170.2/v2/credentials",
            "http://100.100.100.200/latest/meta-data/",
            "169.254.169.254",
        ] {
            let (category, score) = best(url, &Options::default());
            assert!(category == METADATA && score >= 0.9, "{url} {category} {score}");
        }
    }

    #[test]
    fn private_addresses_count_when_asked() {
        let options = Options { block_private: true, ..Options::default() };
        for url in [
            "http://localhost:8080/",
            "http://127.0.0.1/",
            "http://127.1/",
            "http://10.1.2.3/",
            "http://[::1]/",
            "http://db.internal/",
        ] {
            assert_eq!(best(url, &options).0, HTTP_PRIVATE, "{url}");
            assert_eq!(best(url, &Options::default()).0, "", "{url}");
        }
        assert_eq!(best("https://example.com/a?page=127", &options).0, "");
    }

    #[test]
    fn drop_sites_and_schemes_are_known() {
        let own = Options { sites: vec!["Evil.example".into()], ..Options::default() };
        assert_eq!(
            best("https://abc.webhook.site/x?token=0123456789abcdef0123", &Options::default()).0,
            HTTP_EXFILTRATION
        );
        assert_eq!(best("https://drop.evil.example/", &own).0, HTTP_EXFILTRATION);
        assert_eq!(best("gopher://127.0.0.1:6379/_FLUSHALL", &Options::default()).0, HTTP_SCHEME);
        assert_eq!(best("file:///etc/passwd", &Options::default()).0, HTTP_SCHEME);
        assert_eq!(best("https://docs.example.com/file.io/guide?sort=asc", &Options::default()).0, "");
    }
}
