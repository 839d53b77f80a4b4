use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};

/// A real OCI registry on loopback: Debian's `docker-registry`.
pub struct Registry {
    child: Child,
    /// Its address, as references write it.
    pub host: String,
    _storage: tempfile::TempDir,
}

impl Registry {
    /// None where it is not installed, which is said.
    ///
    /// # Errors
    /// It does not start, or is not installed where CI runs.
    pub fn start() -> Result<Option<Self>> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&paths).any(|folder| folder.join("docker-registry").is_file()) {
            ensure!(std::env::var_os("CI").is_none(), "docker-registry is not installed, and CI needs it");
            eprintln!("SKIPPED: docker-registry is not installed; `cargo xtask setup` installs it");
            return Ok(None);
        }
        let storage = tempfile::tempdir()?;
        let host = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let folder = storage.path().display();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {folder}/data}}\nhttp:\n  addr: {host}\n"
        );
        let file = storage.path().join("config.yml");
        fs::write(&file, config)?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        while TcpStream::connect(&host).is_err() {
            ensure!(child.try_wait()?.is_none(), "the registry ended");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(Self { child, host, _storage: storage }))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
