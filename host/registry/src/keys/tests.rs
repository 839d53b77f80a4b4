use std::process::Command;

use super::*;

fn openssl(folder: &Path, arguments: &[&str]) -> bool {
    Command::new("openssl").args(arguments).current_dir(folder).output().unwrap().status.success()
}

#[test]
fn openssl_verifies_what_we_sign_and_we_what_it_signs() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let message = b"some bytes";
    std::fs::write(at("message"), message).unwrap();
    for kind in [KeyKind::EcdsaP256, KeyKind::Ed25519] {
        // Our keys, their tool.
        let (private, public) = generate(kind, None).unwrap();
        std::fs::write(at("ours.key"), private.as_bytes()).unwrap();
        std::fs::write(at("ours.pub"), &public).unwrap();
        assert!(openssl(folder.path(), &["pkey", "-in", "ours.key", "-pubout", "-out", "same.pub"]));
        assert_eq!(std::fs::read_to_string(at("same.pub")).unwrap(), public);
        let signature = PrivateKey::read(&at("ours.key"), None).unwrap().sign(message).unwrap();
        std::fs::write(at("ours.sig"), &signature).unwrap();
        let verify: &[&str] = match kind {
            KeyKind::EcdsaP256 => &["dgst", "-sha256", "-verify", "ours.pub", "-signature", "ours.sig", "message"],
            KeyKind::Ed25519 => &[
                "pkeyutl", "-verify", "-pubin", "-inkey", "ours.pub", "-rawin", "-sigfile", "ours.sig", "-in",
                "message",
            ],
        };
        assert!(openssl(folder.path(), verify));
        std::fs::write(at("message"), b"other bytes").unwrap();
        assert!(!openssl(folder.path(), verify));
        std::fs::write(at("message"), message).unwrap();
        // Their keys, our code.
        let generate: &[&str] = match kind {
            KeyKind::EcdsaP256 => {
                &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "theirs.key"]
            }
            KeyKind::Ed25519 => &["genpkey", "-algorithm", "ed25519", "-out", "theirs.key"],
        };
        assert!(openssl(folder.path(), generate));
        assert!(openssl(folder.path(), &["pkey", "-in", "theirs.key", "-pubout", "-out", "theirs.pub"]));
        let sign: &[&str] = match kind {
            KeyKind::EcdsaP256 => &["dgst", "-sha256", "-sign", "theirs.key", "-out", "theirs.sig", "message"],
            KeyKind::Ed25519 => {
                &["pkeyutl", "-sign", "-inkey", "theirs.key", "-rawin", "-out", "theirs.sig", "-in", "message"]
            }
        };
        assert!(openssl(folder.path(), sign));
        let theirs = PublicKey::read(&at("theirs.pub")).unwrap();
        assert_eq!(theirs.kind(), kind);
        let signature = std::fs::read(at("theirs.sig")).unwrap();
        assert!(theirs.verifies(message, &signature));
        assert!(!theirs.verifies(b"other bytes", &signature));
        assert!(!theirs.verifies(message, &[]));
        assert!(!PublicKey::from_pem("ours", &public).unwrap().verifies(message, &signature));
        assert_eq!(PrivateKey::read(&at("theirs.key"), None).unwrap().public().id(), theirs.id());
    }
}

#[test]
fn an_encrypted_key_needs_its_password() {
    let (private, public) = generate(KeyKind::EcdsaP256, Some("correct horse")).unwrap();
    assert!(private.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----"));
    let opened = PrivateKey::from_pem("k", &private, Some("correct horse")).unwrap();
    assert_eq!(opened.public().to_pem(), public);
    for (password, why) in [(None, "COSIGN_PASSWORD"), (Some("wrong"), "not that of this key"), (Some(""), "not that")]
    {
        let said = PrivateKey::from_pem("k", &private, password).unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
    let wild = r#"{"kdf":{"name":"scrypt","params":{"N":1099511627776,"r":8,"p":1},"salt":""},"cipher":{"name":"nacl/secretbox","nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"ciphertext":""}"#;
    let wild = pem::encode(&Pem::new(ENCRYPTED[1], wild));
    let said = PrivateKey::from_pem("k", &wild, Some("")).unwrap_err().to_string();
    assert!(said.contains("out of bounds"), "{said}");
}

/// Made by cosign; from the test data of its Rust library (sigstore/sigstore-rs, Apache-2.0).
const COSIGN_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENptdY/l3nB0yqkXLBWkZWQwo6+cu
OSWS1X9vPavpiQOoTTGC0xX57OojUadxF1cdQmrsiReWg2Wn4FneJfa8xw==
-----END PUBLIC KEY-----
";
const COSIGN_PAYLOAD: &str = r#"{"critical":{"identity":{"docker-reference":"registry-testing.svc.lan/busybox"},"image":{"docker-manifest-digest":"sha256:f3cfc9d0dbf931d3db4685ec659b7ac68e2a578219da4aae65427886e649b06b"},"type":"cosign container image signature"},"optional":null}"#;
const COSIGN_SIGNATURE: &str =
    "MEUCIQD6q/COgzOyW0YH1Dk+CCYSt4uAhm3FDHUwvPI55zwnlwIgE0ZK58ZOWpZw8YVmBapJhBqCfdPekIknimuO0xH8Jh8=";
const COSIGN_PRIVATE: &str = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6
OCwicCI6MX0sInNhbHQiOiJFY3pJR3Z0bnpFcCsxaEpudERnbGI1UnoxN3gwQVMy
YklvWGRNcDQrU1NJPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiJtSVVKbG1OMzNINExvZ0dhaG5MamdmK3R4SmJwci93MCJ9LCJj
aXBoZXJ0ZXh0IjoiM3FtS2FidXRuYm1WT1IvTkZGM2NDaUErTXp1WWQ5L0VERDVI
MVlUSGhQVzZsSzAvdjVqdDZCQzlsME12NGV5am9qZkl0d3B6a2JJOXQrZGx5VXZ3
VUgvMWZjbkFZT2dEdXRLQzkvSkNiOE02SVY2VHpVaDF5c0ZFWDFzeG9xb1FzeUpL
bjM0UVlldFNlaVdDaGtmUHUyZXByQjFEV0pwekdzTGZIakxNVTkzOEdmNk1xM1A0
N0ZSd2syZzY1cFZnSGMwVWV1L1N1OUs0Zmc9PSJ9
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
";

#[test]
fn what_cosign_made_is_read() {
    let public = PublicKey::from_pem("cosign.pub", COSIGN_PUBLIC).unwrap();
    assert_eq!(public.to_pem(), COSIGN_PUBLIC);
    let signature = STANDARD.decode(COSIGN_SIGNATURE).unwrap();
    assert!(public.verifies(COSIGN_PAYLOAD.as_bytes(), &signature));
    assert!(!public.verifies(COSIGN_PAYLOAD.replace("busybox", "busybux").as_bytes(), &signature));
    // Ours is written letter for letter as cosign's.
    let manifest = "sha256:f3cfc9d0dbf931d3db4685ec659b7ac68e2a578219da4aae65427886e649b06b".parse().unwrap();
    let ours = crate::signature::payload("registry-testing.svc.lan/busybox", manifest);
    assert_eq!(String::from_utf8(ours).unwrap(), COSIGN_PAYLOAD);
    // An encrypted key of its own, with an empty password.
    let private = PrivateKey::from_pem("cosign.key", COSIGN_PRIVATE, Some("")).unwrap();
    assert!(private.public().verifies(b"bytes", &private.sign(b"bytes").unwrap()));
}

#[test]
fn keys_of_other_kinds_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(openssl(folder.path(), &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sec1.key"]));
    assert!(openssl(folder.path(), &["genpkey", "-algorithm", "RSA", "-out", "rsa.key"]));
    assert!(openssl(folder.path(), &["pkey", "-in", "rsa.key", "-pubout", "-out", "rsa.pub"]));
    for (name, why) in [
        ("sec1.key", "openssl pkcs8 -topk8"),
        ("rsa.key", "neither"),
        ("rsa.pub", "public key"),
        ("none", "cannot be read"),
    ] {
        let said = PrivateKey::read(&at(name), None).unwrap_err().to_string();
        assert!(said.contains(why) && said.contains(name), "{said}");
    }
    std::fs::write(at("text.pub"), "ssh-ed25519 AAAA").unwrap();
    std::fs::write(at("empty.pub"), "").unwrap();
    std::fs::write(at("large.pub"), vec![b'a'; 100_000]).unwrap();
    for (name, why) in [
        ("rsa.pub", "neither"),
        ("rsa.key", "keep the private one elsewhere"),
        ("text.pub", "no PEM"),
        ("empty.pub", "no PEM"),
        ("large.pub", "larger"),
        ("none", "cannot be read"),
    ] {
        let said = PublicKey::read(&at(name)).unwrap_err().to_string();
        assert!(said.contains(why) && said.contains(name), "{name}: {said}");
    }
}
