//! The project's tasks: `cargo xtask <task>`.

mod bench;
mod demo;
mod generate;
mod steps;
mod system;
mod test;
mod tree;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use tenure_e2e::image::{Image, Profile, build_operator};
use tenure_e2e::paths::repository;

/// Everything one does with this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Show Tenure on a real control plane: install, two customers, their controls, attacks, repairs.
    ///
    /// Builds etcd, kube-apiserver, kube-controller-manager, kubectl and helm once (some minutes), starts them, and leaves
    /// nothing behind.
    Demo(DemoArgs),
    /// Format check, lints, unit, definition, chart and end-to-end tests.
    #[command(long_about = test::LONG_ABOUT)]
    Test(TestArgs),
    /// Measure the operator on a real control plane: memory, writes, latencies, as docs/benchmarks.md says.
    Bench(BenchArgs),
    /// Format check, clippy, and the dependency tree against deny.toml.
    Lint,
    /// Build the operator's image, without a container engine: a static program as an archive that containerd, Docker,
    /// Podman and skopeo read.
    Image {
        /// Where the archive goes.
        #[arg(long, value_name = "FILE", default_value = "target/image/tenure.tar")]
        output: PathBuf,
    },
    /// Write the files that are generated from code: definitions and reference pages.
    Generate {
        /// Write nothing; fail when a file is not what the code says.
        #[arg(long)]
        check: bool,
    },
}

/// What `demo` is told.
#[derive(Debug, Args)]
struct DemoArgs {
    /// Leave the control plane running at the end, and print its kubeconfig.
    #[arg(long)]
    keep: bool,
    /// Use this cluster instead of starting one; at the end what the demo made there is removed.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Write what each chapter did as JSON: `[{"chapter": .., "ok": .., "seconds": ..}]`.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What `bench` is told.
#[derive(Debug, Args)]
struct BenchArgs {
    /// Write the figures as JSON: `{"name": value}`.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How many tenants.
    #[arg(long, default_value_t = 1000)]
    tenants: usize,
    /// Pods of each tenant.
    #[arg(long, default_value_t = 20)]
    pods: usize,
    /// How many grants end at one instant; 10,000 where nothing is said.
    #[arg(long)]
    grants: Option<usize>,
    /// Only this part; may be given more than once.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Do nothing for one minute instead of ten; the figure then has another name.
    #[arg(long)]
    quick: bool,
}

/// What `test` is told.
#[derive(Debug, Args)]
struct TestArgs {
    /// Only the steps whose name contains this, e.g. `e2e` or `e2e: guards`.
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
    /// Handed to the test binaries, e.g. the name of one test.
    #[arg(last = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Demo(args) => demo::run(args),
        Task::Test(args) => test::run(args.filter.as_deref(), &args.arguments),
        Task::Bench(args) => bench::run(args),
        Task::Lint => test::lint(),
        Task::Image { output } => image(&output),
        Task::Generate { check } => generate::run(check),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn image(output: &Path) -> Result<()> {
    let image = Image::operator(build_operator(Profile::Release)?);
    image.write(output)?;
    println!("{} in {}", image.reference, output.display());
    Ok(())
}

/// The cargo that runs this, in the root of the repository.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(repository());
    command
}

/// Runs a command to its end, its output shown as it comes.
///
/// # Errors
///
/// When it cannot be started or does not end with 0.
fn shown(command: &mut Command) -> Result<()> {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let line = words.join(" ");
    let status = command
        .status()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}
