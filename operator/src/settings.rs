//! The process's own settings, read in one place. The platform's are the TenancyPolicy.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How logs are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Text,
}

/// Flags and environment of `tenure operator`.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Namespace the operator runs in; records, Leases and guard parameters live here.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,
    /// ServiceAccount the operator runs as.
    #[arg(
        long,
        env = "TENURE_SERVICE_ACCOUNT",
        default_value = "tenure-operator"
    )]
    pub service_account: String,
    /// Address of /healthz, /readyz and /metrics.
    #[arg(long, env = "TENURE_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Images that may run in the operator's namespace, as the release names them.
    #[arg(long, env = "TENURE_IMAGES", value_delimiter = ',')]
    pub images: Vec<String>,
    /// How logs are written.
    #[arg(long, env = "TENURE_LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// Seconds between full evaluation passes; also how often guards are proven alive.
    #[arg(long, env = "TENURE_INTERVAL_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=600))]
    pub interval_seconds: u64,
    /// Seconds between two runs of the probe pair, as the chart's CronJob starts its targets.
    #[arg(long, env = "TENURE_PROBE_INTERVAL_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(60..=3600))]
    pub probe_interval_seconds: u64,
    /// Where the record lies: a folder that exists, one per cluster.
    #[arg(long, env = "TENURE_RECORD")]
    pub record: String,
    /// The Ed25519 key that signs the record: PKCS#8 PEM, as `kubectl tenure ledger keygen` makes it.
    #[arg(long, env = "TENURE_RECORD_KEY")]
    pub record_key: PathBuf,
    /// The dated list of every key that ever signed it; only the signing key is trusted without one.
    #[arg(long, env = "TENURE_RECORD_KEYS")]
    pub record_keys: Option<PathBuf>,
    /// Where checkpoints also go, and this process cannot overwrite them: a folder.
    #[arg(long, env = "TENURE_RECORD_SECOND_PLACE")]
    pub record_second_place: Option<String>,
    /// Lets chains of the record that lost entries go on from what is there, and say so: once, after a loss that cannot be mended.
    #[arg(long, env = "TENURE_RECORD_ACCEPT_LOSS", default_value_t = false)]
    pub record_accept_loss: bool,
    /// A folder that outlives this process, for what happened and is not recorded yet.
    #[arg(long, env = "TENURE_STATE_FOLDER")]
    pub state_folder: Option<PathBuf>,
    /// Name of this process in events.
    #[arg(long, env = "POD_NAME")]
    pub instance: Option<String>,
}

impl Settings {
    /// The user name under which the API server knows the operator.
    pub fn username(&self) -> String {
        format!(
            "system:serviceaccount:{}:{}",
            self.namespace, self.service_account
        )
    }
}
