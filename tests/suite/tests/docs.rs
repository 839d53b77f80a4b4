//! Pages that are written from the code are current.

use std::fs;
use std::path::Path;
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
fn configurations_in_the_pages_are_good() {
    let pages = fs::read_dir(root().join("docs")).unwrap().map(|page| page.unwrap().path());
    let mut checked = 0;
    for page in pages.filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(&page).unwrap();
        let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        // Whole files; what shows a few keys of one names no tenant.
        for block in blocks.filter(|block| block.contains("[[tenant]]")) {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("portcullis.toml"), block).unwrap();
            // The certificates that the page has its reader make.
            if let Some(commands) = text.split("```sh\n").nth(1).filter(|_| block.contains("[tls]")) {
                let commands = commands.split("```").next().unwrap();
                let made = Command::new("sh").args(["-e", "-c", commands]).current_dir(folder.path()).output().unwrap();
                assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            }
            let mut check = Command::new(binary().unwrap());
            check.args(["check", "--config", "portcullis.toml"]).current_dir(folder.path());
            let output = check.output().unwrap();
            assert!(output.status.success(), "{}: {}", page.display(), String::from_utf8_lossy(&output.stderr));
            checked += 1;
        }
    }
    assert!(checked > 0);
}

#[test]
fn links_of_the_readme_lead_somewhere() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let targets = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for target in targets.filter(|target| !target.starts_with("http")) {
        assert!(root().join(target).exists(), "README.md links to {target}");
    }
}

#[test]
fn every_test_that_the_page_about_mcp_names_is_there() {
    let page = fs::read_to_string(root().join("docs/mcp.md")).unwrap();
    let checklist = page.split("## The checklist").nth(1).unwrap();
    let mut functions = String::new();
    for folder in ["host", "tests", "plugins"] {
        collect(&root().join(folder), &mut functions);
    }
    let mut named = 0;
    for row in checklist.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| topic")) {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for name in tests.split('`').skip(1).step_by(2) {
            assert!(functions.contains(&format!("fn {name}(")), "docs/mcp.md names the test {name}");
            named += 1;
        }
    }
    assert!(named > 50, "{named}");
}

fn collect(folder: &Path, out: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            collect(&entry, out);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            out.push_str(&fs::read_to_string(entry).unwrap());
        }
    }
}
