//! The real kubectl, of the same version as the server.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tokio::process::Command;

use crate::command::{Output, run};
use crate::stack::{Stack, Tool};

/// Kubectl with one kubeconfig and its own cache.
#[derive(Debug, Clone)]
pub struct Kubectl {
    binary: PathBuf,
    home: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub(crate) fn new(stack: &Stack, folder: &Path, kubeconfig: PathBuf) -> Self {
        Self {
            binary: stack.path(Tool::Kubectl).to_path_buf(),
            home: folder.join("kubectl"),
            kubeconfig,
        }
    }

    /// Runs kubectl with these arguments.
    ///
    /// # Errors
    ///
    /// When it cannot be started; a refusal is an [`Output`] that is not `ok`.
    pub async fn run(&self, args: &[&str]) -> Result<Output> {
        run(self.command(args), shown(args), None).await
    }

    /// Runs kubectl with `input` on standard input, such as `apply -f -`.
    ///
    /// # Errors
    ///
    /// As [`Kubectl::run`].
    pub async fn run_with(&self, args: &[&str], input: &str) -> Result<Output> {
        run(self.command(args), shown(args), Some(input)).await
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", self.home.join("cache"));
        command
    }
}

fn shown(args: &[&str]) -> String {
    format!("kubectl {}", args.join(" "))
}
