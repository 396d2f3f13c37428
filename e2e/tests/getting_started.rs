//! The ten-minute path, exactly as `docs/getting-started.md` says it: every `console` block is run
//! by a shell, and what comes back is held against what the page shows.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use tenure_e2e::operator::{Operator, OperatorOptions};
use tenure_e2e::stack::Tool;
use tenure_e2e::{Identity, Plane, install, paths};
use tokio::process::Command;

/// One command of the page with the output it shows.
#[derive(Debug, Default, PartialEq)]
struct Step {
    command: String,
    shown: Vec<String>,
}

/// The commands of every `console` block, in order. A command starts with `$ ` and goes on over a
/// trailing backslash or to the end of its here-document.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut in_block = false;
    let mut open: Option<&str> = None;
    for line in page.lines() {
        match (in_block, line) {
            (false, "```console") => in_block = true,
            (true, "```") => in_block = false,
            (true, line) => {
                let continues = steps
                    .last()
                    .is_some_and(|step| step.command.ends_with('\\'));
                if let Some(command) = line
                    .strip_prefix("$ ")
                    .filter(|_| open.is_none() && !continues)
                {
                    steps.push(Step {
                        command: command.into(),
                        shown: Vec::new(),
                    });
                    open = command.contains("<<'EOF'").then_some("EOF");
                } else if let Some(step) = steps.last_mut() {
                    if open.is_some() || continues {
                        step.command.push('\n');
                        step.command.push_str(line);
                        open = open.filter(|end| *end != line);
                    } else {
                        step.shown.push(line.into());
                    }
                }
            }
            (false, _) => {}
        }
    }
    steps
}

/// Whether the output is what is shown; a line `...` stands for any lines, within a line for any text.
fn is_shown(shown: &[String], output: &[&str]) -> bool {
    match shown.split_first() {
        None => output.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=output.len()).any(|skip| is_shown(rest, &output[skip..]))
        }
        Some((first, rest)) => output
            .split_first()
            .is_some_and(|(line, more)| line_is(first, line) && is_shown(rest, more)),
    }
}

fn line_is(shown: &str, line: &str) -> bool {
    match shown.split_once("...") {
        None => shown == line,
        Some((before, after)) => {
            line.starts_with(before)
                && line.ends_with(after)
                && line.len() >= before.len() + after.len()
        }
    }
}

/// `uuidgen` for machines without it, behind whatever the machine has.
fn fallbacks(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let script = folder.join("uuidgen");
    fs::write(&script, "#!/bin/sh\ncat /proc/sys/kernel/random/uuid\n")?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

#[test]
fn a_page_is_read_as_it_is_written() {
    let page = "text\n```console\n$ one \\\n    two\nout\n$ cat <<'EOF'\n$ no command\nEOF\n```\n$ not in a block\n";
    let read = steps(page);
    assert_eq!(
        read[0],
        Step {
            command: "one \\\n    two".into(),
            shown: vec!["out".into()]
        }
    );
    assert_eq!(
        read[1],
        Step {
            command: "cat <<'EOF'\n$ no command\nEOF".into(),
            shown: Vec::new()
        }
    );
    assert_eq!(read.len(), 2);
    assert!(is_shown(
        &["a".into(), "...".into(), "z...".into()],
        &["a", "b", "c", "zebra"]
    ));
    assert!(!is_shown(&["a".into()], &["a", "b"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ten_minute_path_works_as_written() -> Result<()> {
    let plane = Plane::shared().await?;
    let kubeconfig = plane.kubeconfig(&Identity::admin())?;
    let folder = plane.folder().join("fallbacks");
    fallbacks(&folder)?;
    // Made anew each time, as on a machine that has never seen it.
    let made = paths::repository().join("target/record-key");
    let _ = fs::remove_dir_all(&made);
    let path = format!(
        "{}:{}:{}:{}:{}",
        paths::target().join("debug").display(),
        plane.stack().folder(Tool::Kubectl).display(),
        plane.stack().folder(Tool::Helm).display(),
        std::env::var("PATH")?,
        folder.display()
    );
    let page = fs::read_to_string(paths::repository().join("docs/getting-started.md"))?;
    let steps = steps(&page);
    ensure!(
        steps.len() >= 10,
        "only {} commands found on the page",
        steps.len()
    );
    let mut operator = None;
    for step in &steps {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &step.command])
            .current_dir(paths::repository())
            .env("PATH", &path)
            .env("KUBECONFIG", &kubeconfig)
            .env("HELM_CACHE_HOME", plane.folder().join("helm"))
            .env("HELM_CONFIG_HOME", plane.folder().join("helm"))
            .env("HELM_DATA_HOME", plane.folder().join("helm"))
            .output()
            .await
            .context("bash does not run")?;
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let must_fail = step
            .shown
            .first()
            .is_some_and(|line| line.starts_with("Error"));
        if output.status.success() == must_fail {
            bail!(
                "`{}` should {}:\n{text}",
                step.command,
                if must_fail { "be refused" } else { "work" }
            );
        }
        let lines: Vec<&str> = text.lines().collect();
        ensure!(
            is_shown(&step.shown, &lines),
            "`{}` shows\n{text}\nand the page says\n{}",
            step.command,
            step.shown.join("\n")
        );
        if step.command.starts_with("helm install") {
            // No node here runs the chart's pod: the same binary runs beside it, with the pod's account.
            install::guards_loaded(plane.access()).await?;
            operator = Some(Operator::start(plane.access(), OperatorOptions::default()).await?);
        }
    }
    operator.context("the page installs nothing")?.stop().await
}
