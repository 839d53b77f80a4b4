use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Rust, for `wasm32-unknown-unknown`.
    Rust,
    /// TypeScript, on QuickJS.
    Ts,
    /// JavaScript, on QuickJS.
    Js,
    /// Python, on CPython.
    Python,
    /// Go, with its own compiler.
    Go,
    /// C, with clang or `zig cc`.
    C,
    /// Zig.
    Zig,
    /// AssemblyScript.
    AssemblyScript,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Rust, Self::Ts, Self::Js, Self::Python, Self::Go, Self::C, Self::Zig, Self::AssemblyScript];

    /// The word used on the command line and in manifests; also the name of its folder in `sdk-guest`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Ts => "ts",
            Self::Js => "js",
            Self::Python => "python",
            Self::Go => "go",
            Self::C => "c",
            Self::Zig => "zig",
            Self::AssemblyScript => "assemblyscript",
        }
    }

    /// What installs the tools that a new project lists, run in its folder; none where they are not the project's.
    #[must_use]
    pub fn install(self) -> Option<&'static str> {
        match self {
            Self::Ts | Self::Js | Self::AssemblyScript => Some("npm install"),
            Self::Python => Some("python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"),
            Self::Rust | Self::Go | Self::C | Self::Zig => None,
        }
    }

    /// The folder of `sdk-guest` whose `sdk` a project of this language gets: TypeScript and JavaScript share one.
    pub(crate) fn sdk(self) -> &'static str {
        match self {
            Self::Ts => "js",
            other => other.as_str(),
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No such language.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no language {0:?}; there are rust, ts, js, python, go, c, zig and assemblyscript")]
pub struct UnknownLanguage(String);

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(text: &str) -> Result<Self, UnknownLanguage> {
        Self::ALL.into_iter().find(|one| one.as_str() == text).ok_or_else(|| UnknownLanguage(text.to_owned()))
    }
}
