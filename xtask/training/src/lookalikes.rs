//! Strings that look like credentials and are none: what a detector of secrets must let through.

use crate::random::Random;

/// Makes one.
type Make = fn(&mut Random) -> String;

/// Every kind.
pub(crate) const KINDS: &[(&str, Make)] = &[
    ("uuid", uuids),
    ("git_commit", commits),
    ("digest", digests),
    ("integrity", integrity),
    ("image", images),
    ("placeholder", placeholders),
    ("documented_example", documented),
    ("template", templates),
    ("source", sources),
    ("minified_script", minified),
    ("public_key", public_keys),
    ("colours_and_styles", styles),
    ("licence_key_of_a_manual", licence_keys),
    ("object_id", object_ids),
    ("address_with_id", addresses),
    ("chain_address", chains),
    ("cursor", cursors),
    ("prose_about_secrets", prose),
    ("log_line", logs),
    ("name_of_a_resource", resources),
    ("count_of_tokens", counts),
];

const HEX: &[u8] = b"0123456789abcdef";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
pub(crate) const B64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
pub(crate) const URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

pub(crate) fn run(random: &mut Random, of: &[u8], length: usize) -> String {
    (0..length).filter_map(|_| of.get(random.below(of.len()))).map(|byte| char::from(*byte)).collect()
}

pub(crate) fn pick<'t>(random: &mut Random, of: &[&'t str]) -> &'t str {
    of.get(random.below(of.len())).copied().unwrap_or_default()
}

/// `@` in one of the texts becomes `value`.
fn within(random: &mut Random, texts: &[&str], value: &str) -> String {
    pick(random, texts).replace('@', value)
}

fn uuid(random: &mut Random) -> String {
    [8, 4, 4, 4, 12].map(|length| run(random, HEX, length)).join("-")
}

fn uuids(random: &mut Random) -> String {
    let value = uuid(random);
    within(
        random,
        &[
            "request @ took 31 ms",
            "{\"id\": \"@\", \"name\": \"Garden chair\"}",
            "X-Request-Id: @",
            "trace=@ span=3",
            "https://shop.test/orders/@/items",
            "The order @ has left the warehouse.",
            "tenant_id: @",
            "aws:cloudformation:stack-id/@",
            "volumes:\n  - name: pvc-@",
            "device @ is offline",
        ],
        &value,
    )
}

fn commits(random: &mut Random) -> String {
    let length = if random.below(3) == 0 { 7 } else { 40 };
    let value = run(random, HEX, length);
    within(
        random,
        &[
            "commit @\nAuthor: Ada Byron <ada@corp.test>",
            "fixed in @, please pull",
            "git checkout @",
            "https://github.com/org/repo/commit/@",
            "uses: actions/checkout@@ # v4",
            "rev = \"@\"",
            "HEAD is now at @ Tidy the shelves",
            "{\"sha\": \"@\", \"merged\": true}",
            "git+https://github.com/org/repo.git#@",
            "Subproject commit @",
        ],
        &value,
    )
}

fn digests(random: &mut Random) -> String {
    let length = [32, 40, 64, 96, 128].get(random.below(5)).copied().unwrap_or(64);
    let value = run(random, HEX, length);
    within(
        random,
        &[
            "sha256:@",
            "MD5 (image.iso) = @",
            "checksum = \"@\"",
            "@  release.tar.gz",
            "ETag: \"@\"",
            "image: nginx@sha256:@",
            "\"contentHash\": \"@\"",
            "fingerprint @",
            "digest: @",
            "the hash of the file is @",
        ],
        &value,
    )
}

fn integrity(random: &mut Random) -> String {
    let value = format!("{}==", run(random, B64, 86));
    let short = format!("{}=", run(random, B64, 43));
    match random.below(5) {
        0 => format!("\"integrity\": \"sha512-{value}\","),
        1 => format!(
            "  resolved \"https://registry.yarnpkg.com/left-pad/-/left-pad-1.3.0.tgz#{}\"",
            run(random, HEX, 40)
        ),
        2 => format!("golang.org/x/text v0.14.0 h1:{short}"),
        3 => format!("<script src=\"app.js\" integrity=\"sha384-{}\"></script>", run(random, B64, 64)),
        _ => format!("    --hash=sha256:{}", run(random, HEX, 64)),
    }
}

fn images(random: &mut Random) -> String {
    let length = 200 + random.below(400);
    let value = run(random, B64, length);
    match random.below(4) {
        0 => format!("<img src=\"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA{value}\">"),
        1 => format!("url(data:font/woff2;base64,d09GMgABAAAAA{value})"),
        2 => format!("{{\"thumbnail\": \"/9j/4AAQSkZJRgABAQ{value}\"}}"),
        _ => format!("![logo](data:image/gif;base64,R0lGODlhAQABAIA{value})"),
    }
}

fn placeholders(random: &mut Random) -> String {
    pick(
        random,
        &[
            "AWS_ACCESS_KEY_ID=AKIAXXXXXXXXXXXXXXXX",
            "api_key: YOUR_API_KEY_HERE",
            "token = \"<your-token>\"",
            "password: ********",
            "OPENAI_API_KEY=sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "export GITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "Authorization: Bearer <access_token>",
            "secret: changeme",
            "DB_PASSWORD=password",
            "SLACK_TOKEN=xoxb-000000000000-000000000000-xxxxxxxxxxxxxxxxxxxxxxxx",
            "stripe.api_key = \"sk_test_...\"",
            "\"client_secret\": \"REPLACE_ME\"",
            "private_key = \"-----BEGIN PRIVATE KEY-----\\n...\\n-----END PRIVATE KEY-----\"",
            "api_key=0123456789abcdef0123456789abcdef",
            "password = \"\"",
            "GITLAB_TOKEN=glpat-XXXXXXXXXXXXXXXXXXXX",
            "token: TODO",
            "curl -u user:password https://api.corp.test",
            "postgres://user:password@localhost/db",
            "SENDGRID_API_KEY=SG.xxxxxxxxxxxxxxxxxxxxxx.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "mysql://username:<password>@host:3306/database",
            "api-key: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "secret_key = 'insert-your-secret-key-here'",
            "TWILIO_AUTH_TOKEN=your_auth_token",
            "key: AIzaSyXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
        ],
    )
    .to_owned()
}

fn documented(random: &mut Random) -> String {
    pick(
        random,
        &[
            "aws_access_key_id = AKIAIOSFODNN7EXAMPLE",
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
            "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            "Authorization: Basic dXNlcjpwYXNzd29yZA==",
            "Authorization: Basic dXNlcm5hbWU6cGFzc3dvcmQ=",
            "https://user:pass@example.com/",
            "redis://:password@127.0.0.1:6379/0",
            "The header reads `Authorization: Bearer YOUR_TOKEN`.",
            "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
            "-----BEGIN RSA PRIVATE KEY-----\n(your key here)\n-----END RSA PRIVATE KEY-----",
            "mongodb://username:password@host:27017/db",
        ],
    )
    .to_owned()
}

fn templates(random: &mut Random) -> String {
    let name = pick(random, &["API_KEY", "DB_PASSWORD", "GITHUB_TOKEN", "CLIENT_SECRET", "STRIPE_SECRET_KEY"]);
    let lower = name.to_lowercase();
    let texts = [
        format!("{lower}: ${{{name}}}"),
        format!("{lower}: {{{{ .Values.{lower} }}}}"),
        format!("{name}: ${{{{ secrets.{name} }}}}"),
        format!("{lower} = var.{lower}"),
        format!("{lower} = os.environ[\"{name}\"]"),
        format!("const {lower} = process.env.{name};"),
        format!("{lower}: !vault |"),
        format!("export {name}=$(vault read -field=value secret/{lower})"),
        format!("{lower} = getpass.getpass()"),
        format!("--{} \"${name}\"", lower.replace('_', "-")),
        format!("{lower}: valueFrom: secretKeyRef: name: app-{}", lower.replace('_', "-")),
        format!("let {lower} = std::env::var(\"{name}\")?;"),
        format!("{lower} = config.get('{lower}')"),
        format!("{name}=%{name}%"),
    ];
    texts.get(random.below(texts.len())).cloned().unwrap_or_default()
}

fn sources(random: &mut Random) -> String {
    pick(
        random,
        &[
            "def check_password(self, password: str) -> bool:\n    return self.hasher.verify(password, self.password_hash)",
            "token = request.headers.get('Authorization', '').removeprefix('Bearer ')",
            "if (token === undefined) throw new MissingTokenError();",
            "password = models.CharField(max_length=128, verbose_name=\"password\")",
            "secret = Secret(name=\"db-credentials\", namespace=\"prod\")",
            "const apiKey = await keyStore.fetchApiKey(tenant.id);",
            "tokens = tokenizer.encode(text, add_special_tokens=False)",
            "auth_token: Optional[str] = None",
            "private readonly secretKey: SecretKeyProvider;",
            "assert_eq!(parse_token(\"abc\"), Token::Word);",
            "@Value(\"${app.jwt.secret}\") private String secret;",
            "key=lambda item: item.created_at",
            "public static final String PASSWORD_FIELD = \"user_password\";",
            "PASSWORD_RESET_TIMEOUT_DAYS = 3",
            "SELECT password_hash FROM users WHERE token_version = 3",
            "csrf_token: hidden field, set by the form helper",
            "access_token_lifetime: 3600",
            "api_key_header = APIKeyHeader(name=\"X-API-Key\", auto_error=False)",
            "key: node-role.kubernetes.io/control-plane",
            "AUTHENTICATION_BACKENDS = ['django.contrib.auth.backends.ModelBackend']",
        ],
    )
    .to_owned()
}

fn minified(random: &mut Random) -> String {
    let mut out = String::from("!function(e,t){\"use strict\";");
    for _ in 0..12 {
        let (a, b) = (run(random, b"abcdefghijklmnopqrstuvwxyz", 1), run(random, LOWER, 2));
        let piece = within(
            random,
            &[
                "var @=function(e){return e.token||e.key};",
                "@.prototype.getKey=function(){return this._key};",
                "e[\"@\"]=t(3421),n.d(t,{A:()=>@});",
                "if(@.length>16)throw Error(\"bad key\");",
                "const{password:@,...r}=e;",
                "@=Object.assign({secret:!0},@);",
            ],
            &format!("{a}{}", b.trim_start_matches(|c: char| c.is_ascii_digit())),
        );
        out.push_str(&piece);
    }
    out.push_str("}(this,window);");
    if random.below(2) == 0 {
        out.push_str(&format!("\n//# sourceMappingURL=main.{}.js.map", run(random, HEX, 8)));
    }
    out
}

fn public_keys(random: &mut Random) -> String {
    match random.below(6) {
        0 => format!("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ{} ada@corp.test", run(random, B64, 330)),
        1 => format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{} ada@corp.test", run(random, B64, 43)),
        2 => format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", run(random, B64, 64)),
        3 => format!("-----BEGIN CERTIFICATE-----\nMII{}\n-----END CERTIFICATE-----", run(random, B64, 61)),
        4 => format!("SHA256:{}", run(random, B64, 43)),
        _ => format!("public_key = \"{}=\"", run(random, B64, 43)),
    }
}

fn styles(random: &mut Random) -> String {
    let colours: Vec<String> = (0..4).map(|_| format!("#{}", run(random, HEX, 6))).collect();
    format!(".key-{} {{ color: {}; token: none }}", run(random, LOWER, 5), colours.join(", "))
}

fn licence_keys(random: &mut Random) -> String {
    let group = pick(random, &["XXXXX", "00000", "12345", "ABCDE"]);
    let value = [group; 5].join("-");
    within(
        random,
        &["Enter the product key (@) on the next page.", "license_key = \"@\"", "Your key looks like @", "serial: @"],
        &value,
    )
}

fn object_ids(random: &mut Random) -> String {
    let value = match random.below(5) {
        0 => run(random, HEX, 24),
        1 => format!("01{}", run(random, b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", 24)),
        2 => run(random, URL, 21),
        3 => format!("cus_{}", run(random, BASE58, 14)),
        _ => run(random, b"0123456789", 19),
    };
    within(
        random,
        &[
            "{\"_id\": \"@\", \"title\": \"Tea\"}",
            "user @ signed in",
            "order_id=@",
            "https://app.corp.test/board/@",
            "message id: @",
            "see document @ for more",
            "customer: @",
        ],
        &value,
    )
}

fn addresses(random: &mut Random) -> String {
    let (video, document, page) = (run(random, URL, 11), run(random, URL, 44), run(random, HEX, 32));
    let choices = [
        format!("https://www.youtube.com/watch?v={video}"),
        format!("https://docs.google.com/document/d/{document}/edit"),
        format!("https://www.notion.so/Plan-for-May-{page}"),
        format!("https://cdn.corp.test/assets/index-{}.js", run(random, URL, 8)),
        format!("https://s3.amazonaws.com/bucket/{}/{}.png", run(random, HEX, 2), run(random, HEX, 32)),
        format!("https://open.spotify.com/track/{}", run(random, BASE58, 22)),
        format!("https://www.figma.com/file/{}/Sketch", run(random, BASE58, 22)),
        format!("https://mail.corp.test/?utm_source=news&utm_campaign={}", run(random, LOWER, 12)),
    ];
    choices.get(random.below(choices.len())).cloned().unwrap_or_default()
}

fn chains(random: &mut Random) -> String {
    match random.below(4) {
        0 => format!("send it to 0x{}", run(random, HEX, 40)),
        1 => format!("transaction 0x{} is confirmed", run(random, HEX, 64)),
        2 => format!("bc1q{}", run(random, b"qpzry9x8gf2tvdw0s3jn54khce6mua7l", 38)),
        _ => format!("address: {}", run(random, BASE58, 44)),
    }
}

fn cursors(random: &mut Random) -> String {
    let length = 24 + random.below(40);
    let value = run(random, URL, length);
    within(
        random,
        &[
            "{\"nextPageToken\": \"@\", \"items\": []}",
            "{\"next_cursor\": \"@\"}",
            "?page_token=@&limit=20",
            "\"endCursor\": \"@\"",
            "continuation_token: @",
            "sync_token=@",
            "If-None-Match: W/\"@\"",
            "nonce-@",
        ],
        &value,
    )
}

fn prose(random: &mut Random) -> String {
    pick(
        random,
        &[
            "Forgot your password? We have sent a link to your address.",
            "The password must have at least 12 characters, one of them a digit.",
            "Rotate the API key every 90 days and keep the secret out of the repository.",
            "My password is not working since Monday, can you help?",
            "The token expires after 3600 seconds.",
            "Please never send me your PIN or password.",
            "Secret sharing splits a key into parts; 3 of 5 are enough.",
            "The key: patience. The secret: butter.",
            "Enter the access code you were given at the desk.",
            "Which secret manager do you use, and how long are its tokens?",
            "Passwords are hashed with bcrypt (cost 12).",
            "Basic authentication is switched off; use OAuth instead.",
            "The bearer of this letter is my sister.",
            "auth: required",
            "password: required, string, 8-64 characters",
            "The master key of the house hangs beside the door.",
            "api_key (string): The key of your account. Required.",
            "token: the value that POST /login gave",
        ],
    )
    .to_owned()
}

fn logs(random: &mut Random) -> String {
    let (id, hex) = (uuid(random), run(random, HEX, 16));
    let choices = [
        format!("2025-03-04T11:22:33.123Z INFO [{hex}] token refreshed for user 4711"),
        format!("level=warn msg=\"invalid password\" request_id={id}"),
        format!("127.0.0.1 - - [04/Mar/2025:11:22:33] \"GET /keys/{hex} HTTP/1.1\" 200 512"),
        format!("trace_id={}{} span_id={hex}", run(random, HEX, 16), run(random, HEX, 16)),
        format!("pod/api-{}-{} Running", run(random, LOWER, 10), run(random, LOWER, 5)),
        format!("0x00007ffd{} in auth_token_check ()", run(random, HEX, 8)),
        format!("Set-Cookie: theme=dark; id={id}; Path=/"),
    ];
    choices.get(random.below(choices.len())).cloned().unwrap_or_default()
}

fn resources(random: &mut Random) -> String {
    let id = run(random, LOWER, 8);
    let account = run(random, b"123456789", 12);
    let choices = [
        format!("arn:aws:secretsmanager:eu-west-1:{account}:secret:prod/db-{id}"),
        format!("projects/acme/secrets/db-password/versions/{}", 1 + random.below(9)),
        format!("client_id: {account}-{}.apps.googleusercontent.com", run(random, LOWER, 32)),
        format!("key_vault = \"https://acme-{id}.vault.azure.net/\""),
        format!("secretName: tls-{id}"),
        format!("kms_key_id = \"alias/{id}\""),
        format!("aws_iam_access_key.{id}.secret"),
        format!("subnet-0{}", run(random, HEX, 16)),
        format!("ami-0{}", run(random, HEX, 16)),
        format!("sitekey: 6Lc{}", run(random, UPPER, 3)),
    ];
    choices.get(random.below(choices.len())).cloned().unwrap_or_default()
}

fn counts(random: &mut Random) -> String {
    let value = (512 + random.below(9000)).to_string();
    within(
        random,
        &[
            "max_tokens: @",
            "{\"usage\": {\"prompt_tokens\": @, \"completion_tokens\": 12}}",
            "token_count=@",
            "keys: @ of 10000",
            "password_max_age = @",
            "secret_version: @",
        ],
        &value,
    )
}
