//! Container images without a container engine: one static program each, as an archive that containerd, Docker,
//! Podman and skopeo read.
//!
//! The same program gives the same archive, bit by bit: owners, times and order are fixed.

use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::paths::{repository, target};

/// The user a program runs as where it needs no other: nobody's, as in distroless images.
const NON_ROOT: &str = "65532:65532";

/// What an image is made of.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its reference, `localhost/tenure:0.1.0`.
    pub reference: String,
    /// The static program.
    pub program: PathBuf,
    /// Where the program lies in the image, absolute.
    pub path: String,
    /// Further names of the program (links), absolute.
    pub links: Vec<String>,
    /// What runs when nothing else is said.
    pub entrypoint: Vec<String>,
    /// `user:group`.
    pub user: String,
}

impl Image {
    /// The operator's: the program alone, as nobody.
    pub fn operator(program: PathBuf) -> Self {
        Self {
            reference: crate::install::IMAGE.to_owned(),
            program,
            path: "/tenure".to_owned(),
            links: Vec::new(),
            entrypoint: vec!["/tenure".to_owned()],
            user: NON_ROOT.to_owned(),
        }
    }

    /// Writes the archive.
    ///
    /// # Errors
    ///
    /// When the program cannot be read or the archive not written.
    pub fn write(&self, archive: &Path) -> Result<()> {
        let layer = self.layer()?;
        let digest = hex(&layer);
        let configuration = serde_json::to_vec(&self.configuration(&digest))?;
        let name = format!("{}.json", hex(&configuration));
        let layer_name = format!("{digest}/layer.tar");
        let manifest =
            json!([{ "Config": name, "RepoTags": [self.reference], "Layers": [layer_name] }]);
        let file =
            File::create(archive).with_context(|| format!("cannot write {}", archive.display()))?;
        let mut tar = tar::Builder::new(file);
        add(&mut tar, &name, &configuration, 0o644)?;
        add(&mut tar, &layer_name, &layer, 0o644)?;
        add(
            &mut tar,
            "manifest.json",
            &serde_json::to_vec(&manifest)?,
            0o644,
        )?;
        tar.into_inner()?.flush()?;
        Ok(())
    }

    fn layer(&self) -> Result<Vec<u8>> {
        let bytes = fs::read(&self.program)
            .with_context(|| format!("cannot read {}", self.program.display()))?;
        let mut tar = tar::Builder::new(Vec::new());
        add(&mut tar, self.path.trim_start_matches('/'), &bytes, 0o755)?;
        for link in &self.links {
            let mut header = header(0, 0o777);
            header.set_entry_type(tar::EntryType::Symlink);
            tar.append_link(&mut header, link.trim_start_matches('/'), &self.path)?;
        }
        Ok(tar.into_inner()?)
    }

    fn configuration(&self, layer: &str) -> Value {
        json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "User": self.user,
                "Env": ["PATH=/bin"],
                "WorkingDir": "/",
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
        })
    }
}

/// How much the compiler does.
#[derive(Debug, Clone, Copy)]
pub enum Profile {
    /// All it can: what is released.
    Release,
    /// Little, and soon: what tests run.
    Trial,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Trial => "trial",
        }
    }
}

/// Builds the operator as a static program, and returns where it lies.
///
/// # Errors
///
/// When cargo fails.
pub fn build_operator(profile: Profile) -> Result<PathBuf> {
    let triple = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let folder = target().join("image");
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(repository())
        .args([
            "build",
            "--profile",
            profile.name(),
            "--locked",
            "--package",
            "tenure-operator",
        ])
        // The explicit triple keeps the flag away from build scripts and macros, which must stay dynamic.
        .args(["--target", &triple, "--target-dir"])
        .arg(&folder)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("the static operator does not build ({status})");
    }
    let built = folder.join(triple).join(profile.name());
    Ok(built.join("tenure"))
}

fn architecture() -> &'static str {
    match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn add(
    tar: &mut tar::Builder<impl std::io::Write>,
    name: &str,
    bytes: &[u8],
    mode: u32,
) -> Result<()> {
    let mut header = header(bytes.len() as u64, mode);
    tar.append_data(&mut header, name, bytes)
        .with_context(|| format!("cannot write {name} into the archive"))
}

fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_program_gives_the_same_archive() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, b"\x7fELF").unwrap();
        let image = Image::operator(program);
        let (one, two) = (folder.path().join("1.tar"), folder.path().join("2.tar"));
        image.write(&one).unwrap();
        image.write(&two).unwrap();
        assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
    }
}
