//! What GitOps tools would say of objects, by their own libraries: kstatus, and health scripts in Argo CD's interpreter.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::command::run;
use crate::stack::{Stack, Tool};

/// What is said of one object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Answer {
    /// `Current`, `InProgress` ... of kstatus, `Healthy`, `Progressing` ... of a health script.
    pub status: String,
    /// Why.
    #[serde(default)]
    pub message: String,
}

/// The tool of `e2e/stack/gitops`.
#[derive(Debug, Clone)]
pub struct Gitops {
    binary: PathBuf,
}

impl Gitops {
    /// Builds it if need be (blocking: seconds).
    ///
    /// # Errors
    ///
    /// When it cannot be built.
    pub fn ensure() -> Result<Self> {
        let stack = Stack::ensure_one(Tool::Gitops)?;
        Ok(Self {
            binary: stack.path(Tool::Gitops).to_path_buf(),
        })
    }

    /// What kstatus makes of each object.
    ///
    /// # Errors
    ///
    /// When the tool fails, with what it said.
    pub async fn kstatus(&self, objects: &[Value]) -> Result<Vec<Answer>> {
        self.ask(&["kstatus"], objects).await
    }

    /// What a health script of Argo CD makes of each object.
    ///
    /// # Errors
    ///
    /// When the script fails, with what the interpreter said.
    pub async fn health(&self, script: &Path, objects: &[Value]) -> Result<Vec<Answer>> {
        let script = script.to_str().context("the path is not valid UTF-8")?;
        self.ask(&["health", script], objects).await
    }

    async fn ask(&self, args: &[&str], objects: &[Value]) -> Result<Vec<Answer>> {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string();
        let mut command = Command::new(&self.binary);
        command.args(args);
        let shown = format!("gitops {}", args.join(" "));
        let said = run(command, shown, Some(&list)).await?.success()?;
        serde_json::from_str(&said).with_context(|| format!("no list of answers: {said}"))
    }
}
