//! `tenure`: one binary, a subcommand for each process.

use std::time::Duration;

use clap::{Parser, Subcommand};
use tenure_operator::settings::Settings;
use tenure_operator::{observe, probe, run, uninstall};

/// Turns signed data security agreements into enforced, continuously proven controls.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Keeps every tenant as its agreement demands.
    Operator(Box<Settings>),
    /// Fails while an uninstall would leave something live behind. The chart's pre-delete hook runs it.
    UninstallCheck,
    /// The far end of the probe pair: listens for a while, in a pod of its own. The chart's CronJob runs it.
    Probe(probe::target::Settings),
}

/// How long what still runs when all is done may take to stop.
const LAST: Duration = Duration::from_secs(5);

fn main() -> anyhow::Result<()> {
    let Cli { command } = Cli::parse();
    // One TLS provider for the whole tree; the only error is that one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new()?;
    let done = runtime.block_on(execute(command));
    // What hangs keeps no process from its end.
    runtime.shutdown_timeout(LAST);
    done
}

async fn execute(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Operator(settings) => {
            observe::logs::init(settings.log_format);
            observe::panics::end_the_process();
            run::operator(*settings).await
        }
        Command::UninstallCheck => uninstall::check().await,
        Command::Probe(settings) => probe::target::run(settings).await,
    }
}
