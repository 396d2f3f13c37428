//! `tenure`: one binary, a subcommand for each process.

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

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { command } = Cli::parse();
    // One TLS provider for the whole tree; the only error is that one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match command {
        Command::Operator(settings) => {
            observe::logs::init(settings.log_format);
            run::operator(*settings).await
        }
        Command::UninstallCheck => uninstall::check().await,
        Command::Probe(settings) => probe::target::run(settings).await,
    }
}
