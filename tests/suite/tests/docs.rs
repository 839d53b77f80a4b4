//! Pages that are written from the code are current.

use std::fs;
use std::process::Command;

use test_suite::{binary, root};

#[test]
fn the_configuration_reference_is_current() {
    let output = Command::new(binary().unwrap()).arg("reference").output().unwrap();
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let hint = "run `target/release/portcullis reference > docs/configuration.md`";
    assert!(page == String::from_utf8_lossy(&output.stdout), "docs/configuration.md is not current; {hint}");
}

#[test]
fn links_of_the_readme_lead_somewhere() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let targets = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for target in targets.filter(|target| !target.starts_with("http")) {
        assert!(root().join(target).exists(), "README.md links to {target}");
    }
}
