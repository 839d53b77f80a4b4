//! New projects.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portcullis_model::Role;

use crate::embedded;
use crate::language::Language;
use crate::manifest::is_label;

/// What a new project is to be.
#[derive(Clone, Debug)]
pub struct NewProject<'a> {
    /// Its name, which is the plugin's, too.
    pub name: &'a str,
    /// What it is written in.
    pub language: Language,
    /// What it is.
    pub role: Role,
    /// Where it is made; must not exist, or be an empty folder.
    pub folder: &'a Path,
}

/// A project cannot be made; nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// The name is no label.
    #[error(
        "the name {0:?} cannot be used: use 1 to 63 letters, digits, `.`, `_` or `-`, beginning with a letter or digit"
    )]
    Name(String),
    /// Something is there.
    #[error("{}: there is something already; choose another name, or another folder with --path", .0.display())]
    Exists(PathBuf),
    /// This build has no template.
    #[error("this build has no template for a {role} in {language}")]
    NoTemplate {
        /// Which language.
        language: Language,
        /// Which role.
        role: &'static str,
    },
    /// It cannot be written.
    #[error("{}: cannot be written", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes a project from the templates: manifest, source, cases, the SDK of its language. The paths of its files, sorted.
///
/// # Errors
/// The name or the place cannot be used, or the disk is full; then nothing is left.
pub fn create(new: &NewProject<'_>) -> Result<Vec<PathBuf>, NewError> {
    if !is_label(new.name) {
        return Err(NewError::Name(new.name.to_owned()));
    }
    let failed = |source| NewError::Write { path: new.folder.to_owned(), source };
    let free = match fs::read_dir(new.folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if !free {
        return Err(NewError::Exists(new.folder.to_owned()));
    }
    let files = files(new)?;
    // Beside it, and renamed when it is whole.
    let mut beside = new.folder.as_os_str().to_owned();
    beside.push(format!(".new-{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let write = || -> io::Result<()> {
        for (name, content) in &files {
            let path = beside.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&beside))?;
            fs::write(&path, content)?;
        }
        fs::rename(&beside, new.folder)
    };
    write().map_err(failed).inspect_err(|_| {
        let _ = fs::remove_dir_all(&beside);
    })?;
    let mut paths: Vec<PathBuf> = files.into_iter().map(|(name, _)| name.into()).collect();
    paths.sort();
    Ok(paths)
}

/// Every file of the project, by its path in there.
fn files(new: &NewProject<'_>) -> Result<Vec<(String, Vec<u8>)>, NewError> {
    let template = format!("sdk-guest/{}/template", new.language);
    let role = new.role.as_str();
    let mut files = Vec::new();
    for part in ["common", role] {
        for (name, content) in embedded::below(&format!("{template}/{part}")) {
            files.push((place(name), render(content, new)));
        }
    }
    if !files.iter().any(|(name, _)| name == crate::manifest::FILE) {
        return Err(NewError::NoTemplate { language: new.language, role });
    }
    if new.language == Language::Rust {
        let sdk = embedded::below("sdk-guest/rust").filter(|(name, _)| !name.starts_with("template/"));
        files.extend(sdk.map(|(name, content)| (format!("sdk/{name}"), standalone(name, content))));
    } else {
        let sdk = embedded::below(&format!("sdk-guest/{}/sdk", new.language.sdk()));
        files.extend(sdk.map(|(name, content)| (format!("sdk/{name}"), content.to_vec())));
    }
    let cases = embedded::below(&format!("sdk-guest/vectors/{role}"));
    files.extend(cases.map(|(name, content)| (format!("cases/{name}"), content.to_vec())));
    Ok(files)
}

/// Where a template's file goes: `gitignore` stands for the name that git would obey in the template.
fn place(name: &str) -> String {
    if name == "gitignore" { ".gitignore".to_owned() } else { name.replace("Cargo.toml.in", "Cargo.toml") }
}

/// The text with the project's name in its place. Other bytes stay as they are.
fn render(content: &[u8], new: &NewProject<'_>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(content) else { return content.to_vec() };
    let identifier: String =
        new.name.chars().map(|one| if one.is_ascii_alphanumeric() { one.to_ascii_lowercase() } else { '_' }).collect();
    // Cargo takes no dots, and no digit in front.
    let prefix = if new.name.starts_with(|first: char| first.is_ascii_digit()) { "plugin-" } else { "" };
    let package = format!("{prefix}{}", new.name.replace('.', "-"));
    let text = text.replace("{{name}}", new.name).replace("{{ident}}", &identifier).replace("{{crate}}", &package);
    text.replace("{{role}}", new.role.as_str()).into_bytes()
}

/// The SDK's crate outside of its workspace.
fn standalone(name: &str, content: &[u8]) -> Vec<u8> {
    if name != "Cargo.toml" {
        return content.to_vec();
    }
    String::from_utf8_lossy(content).replace("\n[lints]\nworkspace = true\n", "\n").into_bytes()
}
