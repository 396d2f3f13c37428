//! `test`: everything that must hold, on this machine, in one command.

use std::collections::BTreeSet;
use std::env;
use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use tenure_e2e::helm::Helm;
use tenure_e2e::image::{self, build_operator};
use tenure_e2e::paths::{repository, target};
use tenure_e2e::stack::{Stack, Tool, ensure_in_background};

use crate::steps::Steps;
use crate::{cargo, generate, shown, system, tree};

/// How long a run may take on two cores when nothing is built yet, the Go programs included.
const COLD: Duration = Duration::from_secs(45 * 60);
/// How long it may take when everything is built.
const WARM: Duration = Duration::from_secs(10 * 60);

/// The help of `test`.
pub const LONG_ABOUT: &str = "\
Format check, lints, unit, definition, chart and end-to-end tests, the last ones on a real control plane.

Needs Rust and Go. etcd, the Kubernetes control plane, helm and what a node needs are built once, while the other steps run. \
As root on Debian the few system packages that tests call are installed; elsewhere what needs them is skipped with a printed \
reason. With CI=true a skip is a failure. A failed step does not stop the others.

Time budget on two cores: 45 minutes cold (Go builds included), 10 minutes warm.";

/// The test that runs the operator's image.
const NODE: &str = "node";
/// The package whose tests need the control plane.
const E2E: &str = "tenure-e2e";

/// Runs every step whose name contains `filter`; `arguments` go to the test binaries.
///
/// # Errors
///
/// When a step failed, or with `CI=true` was skipped.
pub fn run(filter: Option<&str>, arguments: &[String]) -> Result<()> {
    let ci = env::var("CI").is_ok_and(|value| value == "true");
    let mut steps = Steps::new(filter, ci);
    let cold = !is_built();
    // In the background from the start: on a fresh machine this is the longest of all.
    let stack = wants_stack(filter).then(ensure_in_background);

    steps.run("format", format);
    steps.run("generated files", || generate::run(true));
    steps.run("dependency tree", tree::run);
    steps.run("clippy", clippy);
    let missing = system_packages(&mut steps);

    let mut binaries = Vec::new();
    let built = build(&mut steps, &mut binaries);
    let (e2e, unit): (Vec<_>, Vec<_>) = binaries
        .into_iter()
        .partition(|binary| binary.package == E2E && binary.kind == "test");
    for binary in &unit {
        steps.run(&binary.step("test"), || binary.run(arguments));
    }
    if built {
        steps.run("doc tests", doc_tests);
    }

    let stack = stack.map(|thread| {
        thread
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the build of the control plane ended in a panic")))
    });
    with_stack(&mut steps, stack, &e2e, &missing, arguments);
    budget(steps.took(), cold);
    steps.close()
}

/// Format check, clippy and the dependency tree.
///
/// # Errors
///
/// When one of them found something.
pub fn lint() -> Result<()> {
    let mut steps = Steps::new(None, false);
    steps.run("format", format);
    steps.run("clippy", clippy);
    steps.run("dependency tree", tree::run);
    steps.close()
}

fn format() -> Result<()> {
    shown(cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    let mut command = cargo();
    command.args(["clippy", "--workspace", "--all-targets", "--locked"]);
    shown(command.args(["--", "-D", "warnings"]))
}

fn doc_tests() -> Result<()> {
    shown(cargo().args(["test", "--workspace", "--doc", "--locked"]))
}

/// Installs what tests call and is missing; what cannot be installed is returned.
fn system_packages(steps: &mut Steps) -> BTreeSet<&'static str> {
    let missing = system::missing();
    if missing.is_empty() || !system::can_install() {
        return missing.iter().map(|need| need.test).collect();
    }
    if steps.run("system packages", || system::install(&missing)) {
        return system::missing().iter().map(|need| need.test).collect();
    }
    missing.iter().map(|need| need.test).collect()
}

/// Whether every Go program is built.
fn is_built() -> bool {
    Tool::all().all(|tool| tool.binary().is_ok_and(|path| path.exists()))
}

/// Whether a step that needs the Go programs may run. The names of the end-to-end steps are known after the build only, so
/// every filter but that of a step known to do without counts.
fn wants_stack(filter: Option<&str>) -> bool {
    let without = [
        "format",
        "generated files",
        "dependency tree",
        "clippy",
        "build",
        "doc tests",
        "test: ",
    ];
    filter.is_none_or(|filter| !without.iter().any(|name| filter.starts_with(name)))
}

/// Builds every binary and test of the workspace at once, so that no later step builds with other features.
fn build(steps: &mut Steps, binaries: &mut Vec<Binary>) -> bool {
    // Whatever the filter, unless it is plainly for another step: without a build no test step is known.
    let mut build = || -> Result<()> {
        *binaries = build_all()?;
        Ok(())
    };
    if steps.wants("build") {
        return steps.run("build", build);
    }
    let others = [
        "format",
        "generated files",
        "dependency tree",
        "clippy",
        "chart: helm lint and template",
    ];
    if others.iter().any(|name| steps.wants_only(name)) {
        return false;
    }
    match build() {
        Ok(()) => true,
        Err(error) => steps.run_always("build", Err(error)),
    }
}

/// Everything that needs the Go programs.
fn with_stack(
    steps: &mut Steps,
    stack: Option<Result<Stack>>,
    e2e: &[Binary],
    missing: &BTreeSet<&str>,
    arguments: &[String],
) {
    let Some(stack) = stack else {
        return;
    };
    let stack = match stack {
        Ok(stack) => stack,
        Err(error) => {
            steps.run_always("control plane", Err(error));
            return;
        }
    };
    steps.run("chart: helm lint and template", || chart(&stack));
    if !missing.contains(NODE) {
        steps.run("static operator", || {
            build_operator(image::Profile::Trial).map(drop)
        });
    }
    for binary in e2e {
        run_e2e(steps, binary, missing, arguments);
    }
}

fn run_e2e(steps: &mut Steps, binary: &Binary, missing: &BTreeSet<&str>, arguments: &[String]) {
    let name = format!("e2e: {}", binary.target);
    if missing.contains(binary.target.as_str()) {
        let programs: Vec<_> = system::NEEDS
            .iter()
            .filter(|need| need.test == binary.target)
            .map(|need| need.program)
            .collect();
        steps.skip(
            &name,
            &format!("needs {}, which is not installed", programs.join(", ")),
        );
        return;
    }
    let mut all = vec!["--test-threads=4".to_owned()];
    all.extend_from_slice(arguments);
    steps.run(&name, || binary.run(&all));
}

fn chart(stack: &Stack) -> Result<()> {
    let folder = target().join("helm-offline");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let helm = Helm::offline(stack, &folder)?;
    let chart = repository().join("charts/tenure");
    let chart = chart
        .to_str()
        .context("the repository's path is not UTF-8")?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let lint = runtime
        .block_on(helm.run(&["lint", "--strict", chart]))?
        .success()?;
    print!("{lint}");
    let rendered = runtime
        .block_on(helm.run(&["template", "tenure", chart, "--namespace", "tenure-system"]))?
        .success()?;
    ensure!(!rendered.trim().is_empty(), "the chart renders nothing");
    println!("{} lines rendered", rendered.lines().count());
    Ok(())
}

fn budget(took: Duration, cold: bool) {
    let (word, budget) = if cold { ("cold", COLD) } else { ("warm", WARM) };
    let verdict = if took <= budget { "within" } else { "OVER" };
    println!(
        "\n{:.1} minutes, {verdict} the budget of {} ({word}, two cores)",
        took.as_secs_f64() / 60.0,
        budget.as_secs() / 60
    );
}

/// A built test binary.
#[derive(Debug, PartialEq, Eq)]
struct Binary {
    package: String,
    target: String,
    kind: String,
    path: PathBuf,
    folder: PathBuf,
}

impl Binary {
    fn step(&self, prefix: &str) -> String {
        if self.kind == "lib" {
            return format!("{prefix}: {}", self.package);
        }
        format!("{prefix}: {} {}", self.package, self.target)
    }

    /// Runs it as `cargo test` would: in its package's folder.
    ///
    /// # Errors
    ///
    /// When a test failed: then with what the failed ones said, which is far above the end of what is printed.
    fn run(&self, arguments: &[String]) -> Result<()> {
        let mut running = Command::new(&self.path)
            .args(arguments)
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder)
            // What a story's error says is in its words; of a panic the backtrace is still printed.
            .env("RUST_LIB_BACKTRACE", "0")
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.path.display()))?;
        let output = running.stdout.take().context("it has no output")?;
        let mut said = Said::default();
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("cannot read what the tests say")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            said.hear(&line);
        }
        let status = running.wait().context("cannot wait for the tests")?;
        if !status.success() {
            bail!("{} ended with {status}{said}", self.path.display());
        }
        Ok(())
    }
}

/// What failed tests said: those that panicked, and those that returned an error.
#[derive(Debug, Default)]
struct Said {
    lines: Vec<String>,
    inside: Option<Failure>,
}

/// What a test is saying.
#[derive(Clone, Copy, Debug)]
enum Failure {
    /// A panic's message, to the next empty line.
    Panic,
    /// A returned error with its causes, empty lines and ends of logs included.
    Error,
}

impl Said {
    /// Most lines that are kept.
    const MOST: usize = 80;
    /// Most characters of a line that are kept.
    const WIDTH: usize = 300;
    /// What follows is about the code, or about all tests.
    const ENDS: [&str; 5] = [
        "note: ",
        "stack backtrace:",
        "Stack backtrace:",
        "---- ",
        "failures:",
    ];

    fn hear(&mut self, line: &str) {
        self.inside = match self.inside {
            _ if line.starts_with("thread '") && line.contains("panicked at") => {
                Some(Failure::Panic)
            }
            _ if line.starts_with("Error: ") => Some(Failure::Error),
            _ if Self::ENDS.iter().any(|end| line.starts_with(end)) => None,
            Some(Failure::Panic) if line.is_empty() => None,
            inside => inside,
        };
        if self.inside.is_some() && !line.is_empty() && self.lines.len() < Self::MOST {
            self.lines.push(line.chars().take(Self::WIDTH).collect());
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines
            .iter()
            .try_for_each(|line| write!(f, "\n    {line}"))
    }
}

/// One line of cargo's JSON output; everything but test binaries is passed over.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    profile: Option<Profile>,
    manifest_path: Option<PathBuf>,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    test: bool,
}

fn build_all() -> Result<Vec<Binary>> {
    let mut command = cargo();
    command.args(["build", "--workspace", "--all-targets", "--locked"]);
    command.arg("--message-format=json-render-diagnostics");
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start `cargo build`")?;
    if !output.status.success() {
        bail!(
            "`cargo build --workspace --all-targets` ended with {}",
            output.status
        );
    }
    let mut binaries = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        binaries.extend(binary(line)?);
    }
    ensure!(!binaries.is_empty(), "cargo built no test");
    // Cargo names them in the order in which they happened to be ready.
    binaries
        .sort_by(|a, b| (&a.package, &a.kind, &a.target).cmp(&(&b.package, &b.kind, &b.target)));
    Ok(binaries)
}

fn binary(line: &str) -> Result<Option<Binary>> {
    let message: Message = serde_json::from_str(line)
        .with_context(|| format!("cannot read cargo's message {line}"))?;
    let (Some(target), Some(profile), Some(manifest), Some(path)) = (
        message.target,
        message.profile,
        message.manifest_path,
        message.executable,
    ) else {
        return Ok(None);
    };
    if message.reason != "compiler-artifact" || !profile.test {
        return Ok(None);
    }
    let folder = manifest.parent().context("a manifest lies in a folder")?;
    Ok(Some(Binary {
        package: package(&manifest)?,
        target: target.name,
        kind: target.kind.into_iter().next().unwrap_or_default(),
        path,
        folder: folder.to_owned(),
    }))
}

/// The name in a package's manifest.
fn package(manifest: &std::path::Path) -> Result<String> {
    #[derive(Deserialize)]
    struct Manifest {
        package: Package,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
    }
    let text = fs::read_to_string(manifest)
        .with_context(|| format!("cannot read {}", manifest.display()))?;
    let manifest: Manifest =
        toml::from_str(&text).with_context(|| format!("cannot read {}", manifest.display()))?;
    Ok(manifest.package.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(test: bool, executable: &str) -> String {
        format!(
            r#"{{"reason":"compiler-artifact","manifest_path":"{}/e2e/Cargo.toml","target":{{"name":"guards","kind":["test"]}},"profile":{{"test":{test}}},"executable":{executable}}}"#,
            repository().display()
        )
    }

    #[test]
    fn test_binaries_are_found_in_cargos_messages() {
        let found = binary(&message(true, r#""/target/guards-1""#))
            .unwrap()
            .unwrap();
        assert_eq!(found.package, E2E);
        assert_eq!(found.target, "guards");
        assert_eq!(found.path, PathBuf::from("/target/guards-1"));
        assert_eq!(found.folder, repository().join("e2e"));
    }

    #[test]
    fn what_a_failed_test_said_is_kept_and_nothing_else() {
        let mut said = Said::default();
        for line in [
            "test one ... FAILED",
            "---- one stdout ----",
            "── chapter",
            "thread 'one' (7) panicked at e2e/tests/demo.rs:118:5:",
            "assertion `left == right` failed",
            "  left: 1",
            "stack backtrace:",
            "failures:",
        ] {
            said.hear(line);
        }
        assert_eq!(said.lines.len(), 3, "{said}");
        assert!(said.to_string().ends_with("  left: 1"), "{said}");
    }

    #[test]
    fn what_a_story_returned_is_kept_with_its_causes() {
        let mut said = Said::default();
        for line in [
            "---- the_stories stdout ----",
            "Error: restored as it was",
            "",
            "Caused by:",
            "    operator still runs; the end of its log:",
            "    INFO leading",
            "",
            "Stack backtrace:",
            "   0: anyhow::error",
            "failures:",
            "    the_stories",
        ] {
            said.hear(line);
        }
        assert_eq!(said.lines.len(), 4, "{said}");
        assert!(said.to_string().ends_with("    INFO leading"), "{said}");
    }

    #[test]
    fn everything_else_is_passed_over() {
        assert_eq!(
            binary(&message(false, r#""/target/tenure""#)).unwrap(),
            None
        );
        assert_eq!(binary(&message(true, "null")).unwrap(), None);
        assert_eq!(
            binary(r#"{"reason":"build-finished","success":true}"#).unwrap(),
            None
        );
    }

    #[test]
    fn what_a_need_names_is_a_test_of_the_harness() {
        for need in &system::NEEDS {
            let file = repository().join(format!("e2e/tests/{}.rs", need.test));
            assert!(file.exists(), "{}", file.display());
        }
    }
}
