//! C and C++, with clang or with `zig cc`, whichever is there.
//!
//! The SDK speaks the canonical ABI itself, so nothing is generated: its source and the project's are compiled and linked, and
//! the types of the contract are embedded afterwards.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_model::Role;

use crate::build::{self, BuildError, Job, zig};
use crate::component::Output;
use crate::tool::{self, ToolError};

/// Names a clang to use instead of what is found; it must be able to make and link `wasm32-wasi`.
const CLANG: &str = "PORTCULLIS_CLANG";
/// Releases of clang that are looked for, the newest first. From 16 on they know what is needed here.
const RELEASES: std::ops::RangeInclusive<u32> = 16..=30;
/// Where Debian's wasi-libc puts its headers.
const HEADERS: &str = "/usr/include/wasm32-wasi";
/// Checks whose failure ends the call: what C leaves undefined must not become an answer.
const CHECKS: &[&str] = &["-fsanitize=undefined", "-fsanitize-trap=undefined"];
const LINK: &[&str] = &["-mexec-model=reactor", "-Wl,-z,stack-size=65536", "-Wl,--strip-all"];

pub(super) fn build(job: &Job<'_>) -> Result<Output, BuildError> {
    let compiler = Compiler::find(job.root())?;
    (job.progress)(&format!("compiling with {}", compiler.name()));
    let root = build::absolute(job.root())?;
    let module = build::absolute(&job.made("c/plugin.core.wasm")?)?;
    let mut objects = Vec::new();
    for (index, source) in sources(&root)?.iter().enumerate() {
        let object = module.with_file_name(format!("{index}.o"));
        let mut command = compiler.command(source.extension().is_some_and(|end| end != "c"));
        command.current_dir(&root).args(["-O2", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Isdk", "-Isrc"]);
        if index == 0 {
            // The SDK's own tests run with these checks; in plugins they would cost a search half of its speed.
            command.arg(match job.manifest().role {
                Role::Detector => "-DPORTCULLIS_DETECTOR",
                Role::Rule => "-DPORTCULLIS_RULE",
                Role::Router => "-DPORTCULLIS_ROUTER",
            });
        } else {
            command.args(CHECKS);
        }
        command.arg("-c").arg(source).arg("-o").arg(&object);
        tool::run_noted(&mut command, job.progress)?;
        objects.push(object);
    }
    let mut link = compiler.command(false);
    link.args(LINK).args(compiler.linker()).args(&objects).arg("-o").arg(&module);
    tool::run_noted(&mut link, job.progress)?;
    Ok(Output::Bare(build::read(&module)?))
}

/// The SDK's source and the project's, by their paths from its folder.
fn sources(root: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let mut found = Vec::new();
    let folder = root.join("src");
    walk(&folder, &mut found).map_err(|source| BuildError::File { path: folder.clone(), source })?;
    if found.is_empty() {
        let source = io::Error::new(io::ErrorKind::NotFound, "there is no .c, .cc or .cpp file in it");
        return Err(BuildError::File { path: folder, source });
    }
    let from_root = |path: PathBuf| path.strip_prefix(root).map(Path::to_owned).unwrap_or(path);
    Ok(std::iter::once("sdk/portcullis.c".into()).chain(found.into_iter().map(from_root)).collect())
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|end| end == "c" || end == "cc" || end == "cpp") {
            found.push(path);
        }
    }
    Ok(())
}

/// What compiles.
enum Compiler {
    Clang {
        program: PathBuf,
        /// The linker of the same release, if it has a name of its own.
        linker: Option<PathBuf>,
    },
    Zig(PathBuf),
}

impl Compiler {
    /// The one that `PORTCULLIS_CLANG` or `PORTCULLIS_ZIG` names, else clang with linker and library, else zig.
    fn find(project: &Path) -> Result<Self, ToolError> {
        if let Some(program) = std::env::var_os(CLANG).filter(|name| !name.is_empty()) {
            return Ok(Self::Clang { program: program.into(), linker: tool::find(&["wasm-ld"], &[]) });
        }
        if let Some(program) = zig::named() {
            return Ok(Self::Zig(program));
        }
        if Path::new(HEADERS).is_dir() {
            for release in RELEASES.rev() {
                let find = |name: &str| tool::find(&[&format!("{name}-{release}")], &[]);
                let builtins =
                    format!("/usr/lib/llvm-{release}/lib/clang/{release}/lib/wasi/libclang_rt.builtins-wasm32.a");
                if let (Some(program), Some(linker), true) =
                    (find("clang"), find("wasm-ld"), Path::new(&builtins).is_file())
                {
                    return Ok(Self::Clang { program, linker: Some(linker) });
                }
            }
        }
        zig::find(project).map(Self::Zig).ok_or_else(|| ToolError::Missing {
            tool: "a C compiler for WebAssembly".to_owned(),
            install: format!(
                "on Debian: apt-get install --no-install-recommends clang-22 lld-22 wasi-libc libclang-rt-22-dev-wasm32; \
                 anywhere: {}",
                zig::INSTALL
            ),
        })
    }

    fn name(&self) -> String {
        match self {
            Self::Clang { program, .. } => program.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Zig(_) => "zig cc".to_owned(),
        }
    }

    /// The compiler for C or C++.
    fn command(&self, cpp: bool) -> Command {
        let mut command = match self {
            Self::Clang { program, .. } => {
                let mut command = Command::new(program);
                // Debian's library lies under the name without a version, at which newer compilers frown.
                command.args(["--target=wasm32-wasi", "-Wno-deprecated"]);
                command
            }
            Self::Zig(program) => {
                let mut command = Command::new(program);
                // Its stack protector would ask WASI for random bytes.
                command.args([if cpp { "c++" } else { "cc" }, "-target", "wasm32-wasi", "-fno-stack-protector"]);
                command
            }
        };
        if cpp {
            command.args(["-std=c++17", "-fno-exceptions", "-fno-rtti"]);
        } else {
            command.arg("-std=c11");
        }
        command
    }

    fn linker(&self) -> Vec<String> {
        // Deep recursion ends in a trap, not in other data, when the stack lies below everything else. Zig does so anyway.
        match self {
            Self::Clang { linker, .. } => {
                let linker = linker.as_ref().map(|linker| format!("-fuse-ld={}", linker.display()));
                linker.into_iter().chain(["-Wl,--stack-first".to_owned()]).collect()
            }
            Self::Zig(_) => Vec::new(),
        }
    }
}
