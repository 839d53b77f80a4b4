//! A real registry (Debian's `docker-registry`), and one that means harm.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_model::Digest;
use portcullis_registry::{
    Credentials, Error, HostSettings, KeyKind, OciReference, PrivateKey, PublicKey, Reference, Registry,
    RegistryConfig, Trust, Unsigned, generate,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// `secret` for the user `ann`, as htpasswd writes it with bcrypt.
const HTPASSWD: &str = "ann:$2b$04$cmj6iaMSVzyVuDa6QJNsM.PqPcJ93CnzZVDeN0ghIttQ9NA13b0vy\n";

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn found(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// Whether a program that the test needs is missing, which is said.
fn skipped(program: &str) -> bool {
    let missing = !found(program);
    if missing {
        assert!(std::env::var_os("CI").is_none(), "{program} is not installed, and CI needs it");
        eprintln!("SKIPPED: {program} is not installed; `cargo xtask setup` installs it");
    }
    missing
}

/// Debian's registry on loopback. Killed when dropped.
struct Real {
    child: Child,
    folder: TempDir,
    host: String,
}

impl Real {
    fn start(more: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), more, None)
    }

    fn start_in(folder: TempDir, more: &str, host: Option<String>) -> Self {
        let host = host.unwrap_or_else(|| {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().to_string()
        });
        let path = |name: &str| folder.path().join(name).display().to_string();
        let more = more.replace("FOLDER", &folder.path().display().to_string());
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\nhttp:\n  addr: {host}\n{more}",
            path("storage")
        );
        fs::write(path("config.yml"), config).unwrap();
        let mut child = Command::new("docker-registry")
            .args(["serve", &path("config.yml")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while TcpStream::connect(&host).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "the registry ended");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, folder, host }
    }

    fn stop(self) -> (TempDir, String) {
        let mut this = std::mem::ManuallyDrop::new(self);
        this.child.kill().unwrap();
        this.child.wait().unwrap();
        let host = std::mem::take(&mut this.host);
        let nowhere = tempfile::tempdir().unwrap();
        (std::mem::replace(&mut this.folder, nowhere), host)
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A component that is unlike others: nothing but a custom section.
fn wasm(text: &str) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    bytes.extend([0, u8::try_from(text.len() + 2).unwrap(), 1, b'x']);
    bytes.extend(text.as_bytes());
    bytes
}

fn oci(text: &str) -> OciReference {
    match text.parse().unwrap() {
        Reference::Oci(oci) => oci,
        other => panic!("{other}"),
    }
}

fn kept(data: &Path) -> Registry {
    Registry::new(RegistryConfig {
        data: Some(data.to_owned()),
        timeout: Duration::from_secs(20),
        ..RegistryConfig::default()
    })
}

fn nothing_kept() -> Registry {
    Registry::new(RegistryConfig { timeout: Duration::from_secs(20), ..RegistryConfig::default() })
}

fn here() -> PathBuf {
    PathBuf::from(".")
}

fn key(kind: KeyKind) -> (PrivateKey, PublicKey) {
    let (private, public) = generate(kind, None).unwrap();
    (PrivateKey::from_pem("signer.key", &private, None).unwrap(), PublicKey::from_pem("signer.pub", &public).unwrap())
}

fn trusting(keys: &[&PublicKey]) -> Trust {
    Trust { keys: keys.iter().map(|key| (*key).clone()).collect(), unsigned: Unsigned::Refuse }
}

fn admitted(registry: &Registry, reference: &str, trust: &Trust) -> Result<(Vec<u8>, Vec<Digest>), Error> {
    let mut loaded = registry.load(&reference.parse()?, &here())?;
    let keys = registry.admit(&mut loaded, trust)?;
    Ok((loaded.bytes.to_vec(), keys))
}

fn allow() -> Trust {
    Trust { keys: Vec::new(), unsigned: Unsigned::Allow }
}

#[test]
fn what_is_pushed_is_pulled_by_tag_and_by_digest() {
    if skipped("docker-registry") {
        return;
    }
    let real = Real::start("");
    let registry = nothing_kept();
    let plugin = wasm("one");
    let tag = format!("oci://{}/acme/one:1.0.0", real.host);
    let pushed = registry.push(&plugin, &oci(&tag)).unwrap();
    assert_eq!(pushed.digest, Digest::of(&plugin));
    // The same file gives the same manifest, so its signatures stay good.
    assert_eq!(registry.push(&plugin, &oci(&tag)).unwrap().manifest, pushed.manifest);
    let exact = format!("oci://{}/acme/one@{}", real.host, pushed.manifest);
    for reference in [tag.clone(), exact, format!("{tag}@{}", pushed.manifest)] {
        assert_eq!(admitted(&registry, &reference, &allow()).unwrap().0, plugin);
    }
    for (reference, why) in [
        (format!("oci://{}/acme/one:2.0.0", real.host), "not in the registry"),
        (format!("oci://{}/acme/two:1.0.0", real.host), "not in the registry"),
        (format!("oci://{}/acme/one@{}", real.host, Digest::of(b"x")), "not in the registry"),
    ] {
        let said = admitted(&registry, &reference, &allow()).unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
    assert!(registry.push(b"MZ no plugin", &oci(&tag)).unwrap_err().to_string().contains("not WebAssembly"));
    assert!(registry.push(&plugin, &oci(&format!("{tag}@{}", pushed.manifest))).is_err());
}

#[test]
fn large_plugins_come_whole() {
    if skipped("docker-registry") {
        return;
    }
    let real = Real::start("");
    // A custom section of 10 MiB and 2 bytes: its length in LEB128, the name `x`, bytes.
    let mut plugin = b"\0asm\x0d\0\x01\0\0\x82\x80\x80\x05\x01x".to_vec();
    plugin.resize(plugin.len() + (10 << 20), 7);
    let tag = oci(&format!("oci://{}/large:1", real.host));
    nothing_kept().push(&plugin, &tag).unwrap();
    assert_eq!(admitted(&nothing_kept(), &tag.to_string(), &allow()).unwrap().0, plugin);
}

#[test]
fn a_private_registry_over_tls_wants_its_authority_and_the_password() {
    if skipped("docker-registry") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let ca = made.cert.pem();
    fs::write(folder.path().join("cert.pem"), &ca).unwrap();
    fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
    let more = "  tls: {certificate: FOLDER/cert.pem, key: FOLDER/key.pem}\nauth:\n  htpasswd: {realm: r, path: FOLDER/htpasswd}\n";
    let real = Real::start_in(folder, more, None);
    let login = |password: &str| Credentials { user: "ann".to_owned(), password: Zeroizing::new(password.to_owned()) };
    let with = |ca: Option<&str>, credentials: Option<Credentials>, docker: Option<PathBuf>| {
        let plain_http = Some(false);
        let ca = ca.map(|ca| ca.as_bytes().to_vec());
        let host = HostSettings { host: real.host.clone(), credentials, ca, plain_http };
        Registry::new(RegistryConfig { hosts: vec![host], docker_config: docker, ..RegistryConfig::default() })
    };
    let (plugin, tag) = (wasm("private"), format!("oci://{}/private:1", real.host));
    let good = with(Some(&ca), Some(login("secret")), None);
    good.push(&plugin, &oci(&tag)).unwrap();
    assert_eq!(admitted(&good, &tag, &allow()).unwrap().0, plugin);
    // Docker's own file does as well.
    let docker = real.folder.path().join("config.json");
    fs::write(&docker, format!(r#"{{"auths":{{"{}":{{"auth":"YW5uOnNlY3JldA=="}}}}}}"#, real.host)).unwrap();
    assert_eq!(admitted(&with(Some(&ca), None, Some(docker)), &tag, &allow()).unwrap().0, plugin);
    for (registry, why) in [
        (with(Some(&ca), None, None), "status 401"),
        (with(Some(&ca), Some(login("wrong-password")), None), "status 401"),
        (with(None, Some(login("secret")), None), "cannot be reached"),
    ] {
        let said = admitted(&registry, &tag, &allow()).unwrap_err().to_string();
        assert!(said.contains(why) && !said.contains("wrong-password"), "{said}");
    }
}

#[test]
fn only_what_a_trusted_key_signed_is_admitted() {
    if skipped("docker-registry") {
        return;
    }
    let real = Real::start("");
    let data = tempfile::tempdir().unwrap();
    let registry = kept(data.path());
    let tag = format!("oci://{}/acme/signed:1", real.host);
    registry.push(&wasm("signed"), &oci(&tag)).unwrap();
    let ((ann, ann_public), (bob, bob_public)) = (key(KeyKind::EcdsaP256), key(KeyKind::Ed25519));
    let refused = |trust: &Trust| admitted(&registry, &tag, trust).unwrap_err().to_string();

    let said = refused(&trusting(&[&ann_public]));
    assert!(said.contains("not signed") && said.contains("plugin sign") && said.contains("signer.pub"), "{said}");
    let said = refused(&Trust { keys: Vec::new(), unsigned: Unsigned::Files });
    assert!(said.contains("trusts no key") && said.contains("tenant.trust.keys"), "{said}");

    // Wrongly signed: by somebody else.
    registry.sign(&tag.parse().unwrap(), &here(), &bob).unwrap();
    let said = refused(&trusting(&[&ann_public]));
    assert!(said.contains("none of its signatures"), "{said}");
    assert!(!data.path().join("plugins.lock").exists(), "what is not trusted is not recorded");

    // Both keys now, each enough for itself; signing twice leaves one signature of each.
    for _ in 0..2 {
        registry.sign(&tag.parse().unwrap(), &here(), &ann).unwrap();
    }
    assert_eq!(admitted(&registry, &tag, &trusting(&[&ann_public])).unwrap().1, [ann_public.id()]);
    assert_eq!(admitted(&registry, &tag, &trusting(&[&bob_public])).unwrap().1, [bob_public.id()]);
    let mut both = vec![ann_public.id(), bob_public.id()];
    both.sort();
    assert_eq!(admitted(&registry, &tag, &trusting(&[&ann_public, &bob_public])).unwrap().1, both);
    assert_eq!(registry.locked().unwrap()[0].keys, both);

    // A removed key: the same plugin, now refused, also when only the cache can be asked.
    let (_, new) = key(KeyKind::EcdsaP256);
    let said = refused(&trusting(&[&new]));
    assert!(said.contains("none of its signatures"), "{said}");
    let (_folder, _) = real.stop();
    let said = refused(&trusting(&[&new]));
    assert!(said.contains("none of its signatures") && said.contains("from the cache only"), "{said}");
    assert!(admitted(&registry, &tag, &trusting(&[&new, &bob_public])).is_ok());
}

#[test]
fn what_was_changed_after_signing_is_refused() {
    if skipped("docker-registry") {
        return;
    }
    let real = Real::start("");
    let registry = nothing_kept();
    let (ann, public) = key(KeyKind::EcdsaP256);
    let tag = format!("oci://{}/acme/changed:1", real.host);
    let before = registry.push(&wasm("before"), &oci(&tag)).unwrap();
    registry.sign(&tag.parse().unwrap(), &here(), &ann).unwrap();
    assert!(admitted(&registry, &tag, &trusting(&[&public])).is_ok());
    let after = registry.push(&wasm("after"), &oci(&tag)).unwrap();
    let said = admitted(&registry, &tag, &trusting(&[&public])).unwrap_err().to_string();
    assert!(said.contains("not signed"), "{said}");
    // The old signature under the name of the new plugin's.
    let url = |digest: Digest| format!("http://{}/v2/acme/changed/manifests/sha256-{}.sig", real.host, digest.hex());
    let manifest = ureq::get(url(before.manifest))
        .header("Accept", OCI_MANIFEST)
        .call()
        .unwrap()
        .body_mut()
        .read_to_vec()
        .unwrap();
    let put = ureq::put(url(after.manifest)).header("Content-Type", OCI_MANIFEST);
    put.send(&manifest[..]).unwrap();
    let said = admitted(&registry, &tag, &trusting(&[&public])).unwrap_err().to_string();
    assert!(said.contains("changed after signing"), "{said}");
}

#[test]
fn a_moved_tag_is_not_followed_until_it_is_asked_for() {
    if skipped("docker-registry") {
        return;
    }
    let real = Real::start("");
    let data = tempfile::tempdir().unwrap();
    let registry = kept(data.path());
    let (ann, public) = key(KeyKind::EcdsaP256);
    let trust = trusting(&[&public]);
    let tag = format!("oci://{}/acme/moved:1", real.host);
    let first = registry.push(&wasm("first"), &oci(&tag)).unwrap();
    registry.sign(&tag.parse().unwrap(), &here(), &ann).unwrap();
    assert_eq!(admitted(&registry, &tag, &trust).unwrap().0, wasm("first"));
    let second = registry.push(&wasm("second"), &oci(&tag)).unwrap();
    registry.sign(&tag.parse().unwrap(), &here(), &ann).unwrap();
    // A start anew, and one that lost its cache: still the first, fetched by its digest.
    assert_eq!(admitted(&kept(data.path()), &tag, &trust).unwrap().0, wasm("first"));
    fs::remove_dir_all(data.path().join("registry")).unwrap();
    assert_eq!(admitted(&kept(data.path()), &tag, &trust).unwrap().0, wasm("first"));
    assert_eq!(registry.locked().unwrap()[0].manifest, first.manifest);
    let mut change = registry.resolve_anew(&oci(&tag)).unwrap();
    assert_eq!(change.old.unwrap().manifest, first.manifest);
    registry.admit(&mut change.loaded, &trust).unwrap();
    assert_eq!(registry.locked().unwrap()[0].manifest, second.manifest);
    // Without any registry: from the lock file and the cache.
    let (_folder, host) = real.stop();
    let offline = kept(data.path());
    assert_eq!(admitted(&offline, &tag, &trust).unwrap().0, wasm("second"));
    assert_eq!(
        admitted(&offline, &format!("oci://{host}/acme/moved@{}", second.manifest), &trust).unwrap().0,
        wasm("second")
    );
    let said = admitted(&offline, &format!("oci://{host}/acme/other:1"), &trust).unwrap_err();
    assert!(said.is_away(), "{said}");
    // A cached plugin with other bytes is not used.
    let blob = data.path().join("registry/blobs").join(second.digest.hex());
    fs::write(&blob, wasm("seconD")).unwrap();
    assert!(admitted(&offline, &tag, &trust).unwrap_err().is_away());
    assert!(!blob.exists());
    let gone = offline.prune(&HashSet::from([tag])).unwrap();
    assert_eq!(gone.len(), 1);
}

#[test]
fn a_lock_file_that_does_not_fit_its_manifest_is_an_error() {
    if skipped("docker-registry") {
        return;
    }
    let real = Real::start("");
    let data = tempfile::tempdir().unwrap();
    let registry = kept(data.path());
    let tag = format!("oci://{}/locked:1", real.host);
    registry.push(&wasm("locked"), &oci(&tag)).unwrap();
    admitted(&registry, &tag, &allow()).unwrap();
    let path = data.path().join("plugins.lock");
    let text = fs::read_to_string(&path).unwrap();
    let digest = Digest::of(&wasm("locked")).to_string();
    assert!(text.starts_with('#') && text.contains(&digest) && text.contains(&tag), "{text}");
    fs::write(&path, text.replace(&digest, &Digest::of(b"other").to_string())).unwrap();
    let said = admitted(&registry, &tag, &allow()).unwrap_err().to_string();
    assert!(said.contains("plugins.lock") && said.contains("remove it"), "{said}");
}

#[test]
fn files_carry_their_signature_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let registry = nothing_kept();
    let path = folder.path().join("mine.wasm");
    fs::write(&path, wasm("mine")).unwrap();
    let (ann, public) = key(KeyKind::EcdsaP256);
    let (_, other) = key(KeyKind::Ed25519);
    let admit = |reference: &str, trust: &Trust| {
        let mut loaded = registry.load(&reference.parse().unwrap(), folder.path())?;
        registry.admit(&mut loaded, trust)
    };
    let said = admit("mine.wasm", &Trust::default()).unwrap_err().to_string();
    assert!(said.contains("trusts no key") && said.contains("mine.wasm") && said.contains("\"files\""), "{said}");
    let said = admit("mine.wasm", &trusting(&[&public])).unwrap_err().to_string();
    assert!(said.contains("not signed") && said.contains("mine.wasm.sig") && said.contains("signer.pub"), "{said}");
    let files = Trust { unsigned: Unsigned::Files, ..trusting(&[&public]) };
    assert!(admit("mine.wasm", &files).unwrap().is_empty());
    registry.sign(&"mine.wasm".parse().unwrap(), folder.path(), &ann).unwrap();
    assert_eq!(admit("mine.wasm", &trusting(&[&other, &public])).unwrap(), [public.id()]);
    assert_eq!(admit("./mine", &trusting(&[&public])).unwrap(), [public.id()]);
    let said = admit("mine.wasm", &trusting(&[&other])).unwrap_err().to_string();
    assert!(said.contains("not good with a key"), "{said}");
    // As cosign's sign-blob and `openssl dgst -sha256` make and check them.
    fs::write(folder.path().join("signer.pub"), public.to_pem()).unwrap();
    let script = "base64 -d mine.wasm.sig > raw && openssl dgst -sha256 -verify signer.pub -signature raw mine.wasm";
    assert!(Command::new("sh").args(["-c", script]).current_dir(folder.path()).output().unwrap().status.success());
    fs::write(&path, wasm("mime")).unwrap();
    let said = admit("mine.wasm", &trusting(&[&public])).unwrap_err().to_string();
    assert!(said.contains("changed after signing"), "{said}");
}

// Another reader and writer of the same things.

fn skopeo(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("skopeo").args(arguments).current_dir(folder).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(String::from_utf8_lossy(&output.stdout).into_owned()) } else { Err(errors) }
}

#[test]
fn other_tools_read_our_plugins_and_verify_our_signatures() {
    if skipped("docker-registry") || skipped("skopeo") {
        return;
    }
    let real = Real::start("");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let registry = nothing_kept();
    let (ann, public) = key(KeyKind::EcdsaP256);
    let tag = format!("oci://{}/acme/shared:1", real.host);
    let plugin = wasm("shared");
    let pushed = registry.push(&plugin, &oci(&tag)).unwrap();
    registry.sign(&tag.parse().unwrap(), &here(), &ann).unwrap();
    // A client of containers: what is there is well formed, and it hashes everything itself.
    let docker = |tag: &str| format!("docker://{}/acme/shared:{tag}", real.host);
    let manifest = skopeo(folder.path(), &["inspect", "--tls-verify=false", "--raw", &docker("1")]).unwrap();
    assert_eq!(Digest::of(manifest.as_bytes()), pushed.manifest);
    let parts: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(parts["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(parts["layers"][0]["mediaType"], "application/wasm");
    let copy = |tag: &str, to: &str| {
        skopeo(folder.path(), &["--insecure-policy", "copy", "--src-tls-verify=false", &docker(tag), to]).unwrap();
    };
    copy("1", "dir:plugin");
    assert_eq!(fs::read(at("plugin").join(pushed.digest.hex())).unwrap(), plugin);
    let config = parts["config"]["digest"].as_str().unwrap().trim_start_matches("sha256:");
    let config: Value = serde_json::from_slice(&fs::read(at("plugin").join(config)).unwrap()).unwrap();
    assert_eq!((&config["architecture"], &config["os"]), (&json!("wasm"), &json!("wasip2")));
    assert_eq!(config["layerDigests"], json!([pushed.digest]));
    // The signature, where cosign looks for it, checked by openssl.
    copy(&format!("sha256-{}.sig", pushed.manifest.hex()), "dir:signature");
    let manifest: Value = serde_json::from_slice(&fs::read(at("signature/manifest.json")).unwrap()).unwrap();
    let layer = &manifest["layers"][0];
    assert_eq!(layer["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");
    let payload = at("signature").join(layer["digest"].as_str().unwrap().trim_start_matches("sha256:"));
    let said: Value = serde_json::from_slice(&fs::read(&payload).unwrap()).unwrap();
    assert_eq!(said["critical"]["image"]["docker-manifest-digest"], json!(pushed.manifest));
    assert_eq!(said["critical"]["identity"]["docker-reference"], format!("{}/acme/shared", real.host));
    fs::write(at("b64"), layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap()).unwrap();
    fs::write(at("key.pub"), public.to_pem()).unwrap();
    let script = "base64 -d b64 > raw && openssl dgst -sha256 -verify key.pub -signature raw \"$0\"";
    let output = Command::new("sh").args(["-c", script]).arg(&payload).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_signature_that_others_made_and_stored_is_good() {
    if skipped("docker-registry") {
        return;
    }
    let real = Real::start("");
    let folder = tempfile::tempdir().unwrap();
    let registry = nothing_kept();
    let tag = format!("oci://{}/acme/theirs:1", real.host);
    let pushed = registry.push(&wasm("theirs"), &oci(&tag)).unwrap();
    // The steps of cosign's key mode, by hand: its spelling of the payload, openssl's key and signature.
    let payload = format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"mirror.example/acme/theirs"}},"image":{{"docker-manifest-digest":"{}"}},"type":"cosign container image signature"}},"optional":{{"creator":"somebody"}}}}"#,
        pushed.manifest
    );
    fs::write(folder.path().join("payload"), &payload).unwrap();
    let script = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out k && openssl pkey -in k -pubout -out k.pub \
                  && openssl dgst -sha256 -sign k payload | base64 -w0";
    let output = Command::new("sh").args(["-c", script]).current_dir(folder.path()).output().unwrap();
    let signature = String::from_utf8(output.stdout).unwrap();
    let put_blob = |bytes: &str| {
        let begin = ureq::post(format!("http://{}/v2/acme/theirs/blobs/uploads/", real.host)).send_empty().unwrap();
        let to = begin.headers()["location"].to_str().unwrap().to_owned();
        ureq::put(format!("{to}&digest={}", Digest::of(bytes.as_bytes()))).send(bytes).unwrap();
        json!({ "digest": Digest::of(bytes.as_bytes()), "size": bytes.len() })
    };
    let (mut layer, mut config) = (put_blob(&payload), put_blob("{}"));
    layer["mediaType"] = json!("application/vnd.dev.cosign.simplesigning.v1+json");
    layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": signature, "dev.sigstore.cosign/bundle": "" });
    config["mediaType"] = json!("application/vnd.oci.image.config.v1+json");
    let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer] });
    let tagged = format!("http://{}/v2/acme/theirs/manifests/sha256-{}.sig", real.host, pushed.manifest.hex());
    ureq::put(tagged).header("Content-Type", OCI_MANIFEST).send(manifest.to_string()).unwrap();
    let theirs = PublicKey::read(&folder.path().join("k.pub")).unwrap();
    assert_eq!(admitted(&registry, &tag, &trusting(&[&theirs])).unwrap().1, [theirs.id()]);
    let (ours, our_public) = key(KeyKind::Ed25519);
    assert!(admitted(&registry, &tag, &trusting(&[&our_public])).is_err());
    // Ours joins it, and theirs stays.
    registry.sign(&tag.parse().unwrap(), &here(), &ours).unwrap();
    assert_eq!(admitted(&registry, &tag, &trusting(&[&theirs, &our_public])).unwrap().1.len(), 2);
}

// A registry that means harm.

type Answer = dyn Fn(&str, &mut TcpStream) + Send + Sync;

/// A server that answers each request by a function of its first line, and keeps what it was sent.
struct Hostile {
    host: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Hostile {
    fn start(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (notes, answer): (_, Arc<Answer>) = (Arc::clone(&heard), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, notes, answer) = (stream.unwrap(), Arc::clone(&notes), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let mut head = String::new();
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while reader.read_line(&mut head).is_ok_and(|read| read > 0) && !head.ends_with("\r\n\r\n") {}
                    notes.lock().unwrap().push(head.clone());
                    answer(&head, &mut stream);
                    let _closed = stream.shutdown(std::net::Shutdown::Write);
                    let _rest = stream.read_to_end(&mut Vec::new());
                });
            }
        });
        Self { host, heard }
    }

    fn heard(&self) -> String {
        self.heard.lock().unwrap().join("\n")
    }
}

fn say(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    let _sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

fn manifest_of(layer: &[u8]) -> Vec<u8> {
    let (digest, size) = (Digest::of(layer), layer.len());
    format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"{digest}","size":1}},"layers":[{{"mediaType":"application/wasm","digest":"{digest}","size":{size}}}]}}"#
    )
    .into_bytes()
}

fn within(seconds: u64, host: &str, login: bool) -> Registry {
    let credentials =
        login.then(|| Credentials { user: "ann".to_owned(), password: Zeroizing::new("hush".to_owned()) });
    let host = HostSettings { host: host.to_owned(), credentials, ..HostSettings::default() };
    Registry::new(RegistryConfig {
        hosts: vec![host],
        timeout: Duration::from_secs(seconds),
        ..RegistryConfig::default()
    })
}

fn refused(hostile: &Hostile, seconds: u64, login: bool) -> Error {
    let reference = format!("oci://{}/a/b:1", hostile.host);
    admitted(&within(seconds, &hostile.host, login), &reference, &allow()).unwrap_err()
}

#[test]
fn a_registry_that_is_away_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = admitted(&nothing_kept(), &format!("oci://{free}/a/b:1"), &allow()).unwrap_err();
    assert!(error.is_away() && error.to_string().contains(&free.to_string()), "{error}");
    let error = admitted(&nothing_kept(), "oci://no-such-host.invalid/a/b:1", &allow()).unwrap_err();
    assert!(error.is_away() && error.to_string().contains("no-such-host.invalid"), "{error}");
}

#[test]
fn a_registry_that_is_slow_does_not_hold_us() {
    let silent = Hostile::start(|_, _| std::thread::sleep(Duration::from_secs(600)));
    let error = refused(&silent, 1, false);
    assert!(matches!(error, Error::Slow { seconds: 1, .. }), "{error}");
    // One that sends a byte now and then is as bad.
    let dripping = Hostile::start(|_, stream| {
        let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let error = refused(&dripping, 1, false);
    assert!(matches!(error, Error::Slow { .. }), "{error}");
}

#[test]
fn other_bytes_than_the_digest_says_are_refused() {
    let hostile = Hostile::start(|head, stream| match head.contains("/manifests/") {
        true => say(stream, "200 OK", "", &manifest_of(&wasm("good"))),
        false => say(stream, "200 OK", "", &wasm("evil")),
    });
    let error = refused(&hostile, 5, false);
    assert!(matches!(error, Error::OtherBytes { .. }), "{error}");
    // Of the manifest too, whether the digest is ours or the registry's own promise.
    let exact = format!("oci://{}/a/b@{}", hostile.host, Digest::of(b"another"));
    let error = admitted(&within(5, &hostile.host, false), &exact, &allow()).unwrap_err();
    assert!(matches!(error, Error::OtherBytes { .. }), "{error}");
    let lying = Hostile::start(|_, stream| {
        let promise = format!("Docker-Content-Digest: {}\r\n", Digest::of(b"another"));
        say(stream, "200 OK", &promise, &manifest_of(&wasm("good")));
    });
    let error = refused(&lying, 5, false);
    assert!(matches!(error, Error::OtherBytes { .. }), "{error}");
    // Fewer bytes than were promised.
    let short = Hostile::start(|head, stream| match head.contains("/manifests/") {
        true => say(stream, "200 OK", "", &manifest_of(&wasm("good"))),
        false => {
            let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort");
        }
    });
    assert!(admitted(&within(5, &short.host, false), &format!("oci://{}/a/b:1", short.host), &allow()).is_err());
}

#[test]
fn answers_without_an_end_are_cut_off() {
    fn endless(stream: &mut TcpStream, status: &str) {
        let _sent = stream.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n").as_bytes());
        while stream.write_all(&[b' '; 65536]).is_ok() {}
    }
    let manifest = Hostile::start(|_, stream| endless(stream, "200 OK"));
    let said = refused(&manifest, 60, false).to_string();
    assert!(said.contains("sends more than 4194304 bytes"), "{said}");
    let blob = Hostile::start(|head, stream| match head.contains("/manifests/") {
        true => say(stream, "200 OK", "", &manifest_of(&wasm("good"))),
        false => endless(stream, "200 OK"),
    });
    let said = refused(&blob, 60, false).to_string();
    assert!(said.contains("sends more than"), "{said}");
    let complaint = Hostile::start(|_, stream| endless(stream, "500 Oops"));
    let said = refused(&complaint, 60, false).to_string();
    assert!(said.contains("answered 500"), "{said}");
    let token = Hostile::start(|head, stream| match head.contains("/token") {
        true => endless(stream, "200 OK"),
        false => {
            let host =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("host: ").map(str::to_owned)).unwrap();
            say(stream, "401 Who", &format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\"\r\n"), b"");
        }
    });
    let said = refused(&token, 60, true).to_string();
    assert!(said.contains("sends more than"), "{said}");
}

#[test]
fn a_redirect_gets_no_credentials_and_changes_no_digest() {
    let evil = Hostile::start(|_, stream| say(stream, "200 OK", "", &wasm("evil")));
    let good = Hostile::start(|_, stream| say(stream, "200 OK", "", &wasm("good")));
    for (target, fine) in [(&good, true), (&evil, false)] {
        let to = target.host.clone();
        let registry = Hostile::start(move |head, stream| {
            if !head.to_lowercase().contains("authorization: basic") {
                say(stream, "401 Who", "WWW-Authenticate: Basic realm=\"x\"\r\n", b"");
            } else if head.contains("/manifests/") {
                say(stream, "200 OK", "", &manifest_of(&wasm("good")));
            } else {
                say(stream, "307 Elsewhere", &format!("Location: http://{to}/bytes?signed=1\r\n"), b"");
            }
        });
        let reference = format!("oci://{}/a/b:1", registry.host);
        let got = admitted(&within(5, &registry.host, true), &reference, &allow());
        match fine {
            true => assert_eq!(got.unwrap().0, wasm("good")),
            false => assert!(matches!(got.unwrap_err(), Error::OtherBytes { .. })),
        }
        assert!(registry.heard().to_lowercase().contains("authorization: basic"));
        let heard = target.heard();
        assert!(heard.contains("/bytes?signed=1") && !heard.to_lowercase().contains("authorization"), "{heard}");
    }
}

#[test]
fn a_redirect_target_that_asks_who_we_are_is_not_told() {
    let curious = Hostile::start(|_, stream| say(stream, "401 Who", "WWW-Authenticate: Basic realm=\"x\"\r\n", b""));
    let to = curious.host.clone();
    let registry = Hostile::start(move |head, stream| match head.contains("/manifests/") {
        true => say(stream, "200 OK", "", &manifest_of(&wasm("good"))),
        false => say(stream, "302 Elsewhere", &format!("Location: http://{to}/bytes\r\n"), b""),
    });
    let error = refused(&registry, 5, true);
    assert!(matches!(error, Error::Credentials { status: 401, .. }), "{error}");
    assert_eq!(curious.heard.lock().unwrap().len(), 1);
    assert!(!curious.heard().to_lowercase().contains("authorization"));
}

#[test]
fn redirects_that_lead_astray_are_not_followed() {
    for (location, why) in [
        ("http://203.0.113.7/bytes", "not https"),
        ("ftp://127.0.0.1/bytes", "not https"),
        ("file:///etc/passwd", "address that is none"),
        ("https://user:pass@203.0.113.7/x", "not https"),
        ("//203.0.113.7/x", "not whole"),
        ("bytes", "not whole"),
    ] {
        let registry = Hostile::start(move |head, stream| match head.contains("/manifests/") {
            true => say(stream, "200 OK", "", &manifest_of(&wasm("good"))),
            false => say(stream, "302 Elsewhere", &format!("Location: {location}\r\n"), b""),
        });
        let said = refused(&registry, 5, false).to_string();
        assert!(said.contains(why) && !said.contains("pass"), "{location}: {said}");
    }
    // Round and round.
    let round = Hostile::start(|head, stream| match head.contains("/manifests/") {
        true => say(stream, "200 OK", "", &manifest_of(&wasm("good"))),
        false => say(stream, "302 Elsewhere", "Location: /v2/a/b/blobs/again\r\n", b""),
    });
    assert!(refused(&round, 5, false).to_string().contains("too many"));
    assert_eq!(round.heard.lock().unwrap().len(), 5);
    // Manifests and uploads stay where they are.
    let manifest = Hostile::start(|_, stream| say(stream, "302 Elsewhere", "Location: https://203.0.113.7/m\r\n", b""));
    let error = refused(&manifest, 5, false);
    assert!(matches!(error, Error::Redirect { .. }), "{error}");
    let upload = Hostile::start(|head, stream| match head.starts_with("POST") {
        true => say(stream, "202 Accepted", "Location: https://203.0.113.7/upload\r\n", b""),
        false => say(stream, "404 No", "", b""),
    });
    let reference = oci(&format!("oci://{}/a/b:1", upload.host));
    let error = within(5, &upload.host, true).push(&wasm("x"), &reference).unwrap_err();
    assert!(matches!(error, Error::Redirect { .. }), "{error}");
}

#[test]
fn a_token_service_without_tls_elsewhere_gets_no_password() {
    let registry = Hostile::start(|_, stream| {
        say(stream, "401 Who", "WWW-Authenticate: Bearer realm=\"http://203.0.113.7/token\"\r\n", b"");
    });
    let error = refused(&registry, 5, true);
    assert!(matches!(error, Error::Redirect { .. }) && error.to_string().contains("https only"), "{error}");
}

#[test]
fn a_token_is_asked_for_and_sent() {
    let registry = Hostile::start(|head, stream| {
        let host = head.lines().find_map(|line| line.to_lowercase().strip_prefix("host: ").map(str::to_owned)).unwrap();
        let heard = head.to_lowercase();
        if heard.contains("/token?") {
            assert!(heard.contains("service=s") && heard.contains("scope=repository%3aa%2fb%3apull"), "{head}");
            assert!(heard.contains("authorization: basic"), "{head}");
            say(stream, "200 OK", "", br#"{"token":"t0ken","expires_in":60}"#);
        } else if !heard.contains("authorization: bearer t0ken") {
            let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"s\"\r\n");
            say(stream, "401 Who", &challenge, b"");
        } else if heard.contains("/manifests/") {
            say(stream, "200 OK", "", &manifest_of(&wasm("good")));
        } else {
            say(stream, "200 OK", "", &wasm("good"));
        }
    });
    let reference = format!("oci://{}/a/b:1", registry.host);
    assert_eq!(admitted(&within(5, &registry.host, true), &reference, &allow()).unwrap().0, wasm("good"));
    assert_eq!(registry.heard.lock().unwrap().len(), 4);
}
