//! `kubectl tenure report`: what an agreement lets a customer ask for, made from the record (DSA 2.9). No cluster is needed.

mod access;
mod log;
mod words;

use clap::Subcommand;

use crate::Outcome;

#[derive(Subcommand)]
pub enum Command {
    Access(Box<access::Arguments>),
}

impl Command {
    pub async fn run(self) -> anyhow::Result<Outcome> {
        match self {
            Self::Access(arguments) => access::run(&arguments).await,
        }
    }
}
