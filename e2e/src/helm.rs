//! The real helm.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::command::{Output, run};
use crate::stack::{Stack, Tool};

/// Helm with its own cache, configuration and data folders and one kubeconfig.
#[derive(Debug, Clone)]
pub struct Helm {
    binary: PathBuf,
    home: PathBuf,
    kubeconfig: PathBuf,
}

impl Helm {
    pub(crate) fn new(stack: &Stack, folder: &Path, kubeconfig: PathBuf) -> Result<Self> {
        let home = folder.join("helm");
        fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
        Ok(Self {
            binary: stack.path(Tool::Helm).to_path_buf(),
            home,
            kubeconfig,
        })
    }

    /// Helm without a cluster, for `lint` and `template`.
    ///
    /// # Errors
    ///
    /// When its folders cannot be made.
    pub fn offline(stack: &Stack, folder: &Path) -> Result<Self> {
        Self::new(stack, folder, folder.join("no-kubeconfig"))
    }

    /// Runs helm with these arguments.
    ///
    /// # Errors
    ///
    /// When it cannot be started; a refusal is an [`Output`] that is not `ok`.
    pub async fn run(&self, args: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.binary);
        command
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HELM_CACHE_HOME", self.home.join("cache"))
            .env("HELM_CONFIG_HOME", self.home.join("config"))
            .env("HELM_DATA_HOME", self.home.join("data"));
        run(command, format!("helm {}", args.join(" ")), None).await
    }
}
