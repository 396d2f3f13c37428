//! The counter: `kubectl tenure`, what people ask of Tenure from a terminal.
//!
//! kubectl runs a program called `kubectl-tenure` that it finds in the PATH. What reads a record needs no cluster.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on panics")
)]

mod access;
mod cluster;
mod instant;
mod ledger;
mod new;
mod output;
mod place;
mod report;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tenure_crds::approval::Decision;

/// What the exit codes mean, at the end of the help.
const EXIT_CODES: &str = "\
Exit codes:
  0  it was done, and nothing is wrong
  1  it was done, and something is wrong: with the record, or a grant that was waited for is not active
  2  it could not be done: wrong usage, or something could not be read or written";

/// Tenants with signed data security agreements: access to them, what was recorded of them, and the first file of a new one.
#[derive(Parser)]
#[command(name = "kubectl-tenure", bin_name = "kubectl tenure", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The record: verify it, read it, make the keys that sign it. No cluster is needed.
    #[command(subcommand)]
    Ledger(Box<ledger::Command>),
    New(new::Arguments),
    Request(Box<access::request::Arguments>),
    #[command(about = "Approve what somebody else asked for, after reading what it is")]
    Approve(access::decide::Arguments),
    #[command(about = "Reject what somebody else asked for, after reading what it is")]
    Reject(access::decide::Arguments),
    Revoke(access::revoke::Arguments),
    Review(access::review::Arguments),
    /// What a customer may ask for, made from the record: who had access. No cluster is needed.
    #[command(subcommand)]
    Report(report::Command),
    Status(access::status::Arguments),
    WhoCan(access::who_can::Arguments),
    Login(access::login::Arguments),
    /// Print the version of this program.
    Version,
}

/// What came of a command that could be carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Fine,
    Findings,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let outcome = match command {
        Command::Ledger(command) => command.run().await,
        Command::New(arguments) => new::run(&arguments),
        Command::Request(arguments) => access::request::run(&arguments).await,
        Command::Approve(arguments) => arguments.run(Decision::Approve).await,
        Command::Reject(arguments) => arguments.run(Decision::Reject).await,
        Command::Revoke(arguments) => access::revoke::run(&arguments).await,
        Command::Review(arguments) => access::review::run(&arguments).await,
        Command::Status(arguments) => access::status::run(&arguments).await,
        Command::WhoCan(arguments) => access::who_can::run(&arguments).await,
        Command::Login(arguments) => access::login::run(&arguments).await,
        Command::Report(command) => command.run().await,
        Command::Version => version(),
    };
    match outcome {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::Findings) => ExitCode::from(1),
        // Who closed the pipe has read enough.
        Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::tell(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn version() -> anyhow::Result<Outcome> {
    output::print(&format!("kubectl-tenure {}\n", env!("CARGO_PKG_VERSION")))?;
    Ok(Outcome::Fine)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
