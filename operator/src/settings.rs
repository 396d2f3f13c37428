//! The process's own settings, read in one place. The platform's are the TenancyPolicy.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use tenure_evidence::place::{LockChoice, Place, PlaceError, S3Options};
use tenure_evidence::s3_arguments;

/// How logs are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Text,
}

s3_arguments! {
    /// How the record's bucket is reached.
    pub struct RecordS3, "record-s3", "TENURE_RECORD_S3"
}

s3_arguments! {
    /// How the second place's bucket is reached.
    pub struct SecondPlaceS3, "record-second-place-s3", "TENURE_RECORD_SECOND_PLACE_S3"
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
    /// Namespace of the ServiceAccounts of sessions, in which no pod runs; the operator's own with `-sessions` without this.
    #[arg(long, env = "TENURE_SESSIONS_NAMESPACE")]
    pub sessions_namespace: Option<String>,
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
    /// Where the record lies, one per cluster: a folder that exists, or s3://bucket/prefix in a bucket that exists.
    #[arg(long, env = "TENURE_RECORD", value_name = "PLACE")]
    pub record: String,
    /// How its bucket is reached.
    #[command(flatten)]
    pub record_s3: RecordS3,
    /// For whom what is written to its bucket is locked: COMPLIANCE (everybody; so without this), GOVERNANCE, or none.
    #[arg(long, env = "TENURE_RECORD_S3_LOCK", value_name = "LOCK")]
    pub record_s3_lock: Option<LockChoice>,
    /// For how many days from its writing it is locked; 455 without this: a year, and the 90 days of an exit.
    #[arg(long, env = "TENURE_RECORD_S3_LOCK_DAYS", value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub record_s3_lock_days: Option<u32>,
    /// The Ed25519 key that signs the record: PKCS#8 PEM, as `kubectl tenure ledger keygen` makes it.
    #[arg(long, env = "TENURE_RECORD_KEY")]
    pub record_key: PathBuf,
    /// The dated list of every key that ever signed it; only the signing key is trusted without one.
    #[arg(long, env = "TENURE_RECORD_KEYS")]
    pub record_keys: Option<PathBuf>,
    /// Where checkpoints also go, and this process cannot overwrite them: a folder, or s3://bucket/prefix.
    #[arg(long, env = "TENURE_RECORD_SECOND_PLACE", value_name = "PLACE")]
    pub record_second_place: Option<String>,
    /// How its bucket is reached.
    #[command(flatten)]
    pub record_second_place_s3: SecondPlaceS3,
    /// As for the record.
    #[arg(long, env = "TENURE_RECORD_SECOND_PLACE_S3_LOCK", value_name = "LOCK")]
    pub record_second_place_s3_lock: Option<LockChoice>,
    /// As for the record.
    #[arg(long, env = "TENURE_RECORD_SECOND_PLACE_S3_LOCK_DAYS", value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub record_second_place_s3_lock_days: Option<u32>,
    /// Lets chains of the record that lost entries go on from what is there, and say so: once, after a loss that cannot be mended.
    #[arg(long, env = "TENURE_RECORD_ACCEPT_LOSS", default_value_t = false)]
    pub record_accept_loss: bool,
    /// A folder that outlives this process, for what happened and is not recorded yet.
    #[arg(long, env = "TENURE_STATE_FOLDER")]
    pub state_folder: Option<PathBuf>,
    /// For how long ended grants and what was decided about them stay in the cluster, as an ISO 8601 duration; the record keeps them.
    #[arg(long, env = "TENURE_ENDED_GRANTS_KEPT", value_name = "DURATION", default_value = "P31D", value_parser = duration)]
    pub ended_grants_kept: SignedDuration,
    /// Name of this process in events.
    #[arg(long, env = "POD_NAME")]
    pub instance: Option<String>,
}

/// Days are days of the clock.
fn duration(text: &str) -> Result<SignedDuration, String> {
    let span: Span = text
        .parse()
        .map_err(|error: jiff::Error| error.to_string())?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours());
    let duration = duration.map_err(|error| error.to_string())?;
    match duration.is_positive() {
        true => Ok(duration),
        false => Err("must be longer than nothing, such as P31D".into()),
    }
}

impl Settings {
    /// Where the record lies.
    ///
    /// # Errors
    /// Where that is no place.
    pub fn record(&self) -> Result<Place, PlaceError> {
        let options = S3Options {
            lock: self.record_s3_lock,
            lock_days: self.record_s3_lock_days,
            ..(&self.record_s3).into()
        };
        Place::parse(&self.record, &options)
    }

    /// Where its checkpoints also go.
    ///
    /// # Errors
    /// Where that is no place, or none is named and something is said of its bucket.
    pub fn second_place(&self) -> Result<Option<Place>, PlaceError> {
        let options = S3Options {
            lock: self.record_second_place_s3_lock,
            lock_days: self.record_second_place_s3_lock_days,
            ..(&self.record_second_place_s3).into()
        };
        match &self.record_second_place {
            Some(place) => Place::parse(place, &options).map(Some),
            None if options == S3Options::default() => Ok(None),
            None => Err(PlaceError {
                place: "(not named)".into(),
                why: "options of its bucket were given, and not which one: --record-second-place"
                    .into(),
            }),
        }
    }

    /// Where the ServiceAccounts of sessions are.
    pub fn sessions(&self) -> String {
        let named = self.sessions_namespace.clone();
        named.unwrap_or_else(|| format!("{}-sessions", self.namespace))
    }

    /// The namespaces that are the operator's own: never a tenant's.
    pub fn namespaces(&self) -> [String; 2] {
        [self.namespace.clone(), self.sessions()]
    }

    /// The user name under which the API server knows the operator.
    pub fn username(&self) -> String {
        format!(
            "system:serviceaccount:{}:{}",
            self.namespace, self.service_account
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::{Args as _, Command, FromArgMatches as _};
    use tenure_evidence::store::{Credentials, Lock, LockMode, S3Settings};

    use super::*;

    fn settings(further: &[&str]) -> Settings {
        let usual = [
            "operator",
            "--namespace=tenure-system",
            "--record-key=/key.pem",
        ];
        let command = Settings::augment_args(Command::new("operator"));
        let matches = command.try_get_matches_from([&usual[..], further].concat());
        Settings::from_arg_matches(&matches.unwrap()).unwrap()
    }

    fn bucket(place: Place) -> S3Settings {
        match place {
            Place::S3(settings) => settings,
            Place::Folder(folder) => panic!("a folder: {}", folder.display()),
        }
    }

    #[test]
    fn ended_grants_are_kept_for_a_month_or_for_as_long_as_is_said() {
        let kept = |text: &str| duration(text).map(|kept| kept.as_secs());
        let usual = settings(&["--record=/record"]).ended_grants_kept;
        assert_eq!(Ok(usual.as_secs()), kept("P31D"));
        assert_eq!(kept("PT1S"), Ok(1));
        assert_eq!(kept("P2D"), Ok(2 * 24 * 3600));
        for nonsense in ["", "P", "31", "P0D", "-P1D", "P1M", "P99999999D"] {
            assert!(kept(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn each_place_has_its_own_options() {
        let settings = settings(&[
            "--record=s3://records/one",
            "--record-s3-region=eu-central-1",
            "--record-second-place=s3://checkpoints",
            "--record-second-place-s3-endpoint=https://store:9000",
            "--record-second-place-s3-path-style",
            "--record-second-place-s3-ca-bundle=/ca.pem",
            "--record-second-place-s3-credentials=/credentials",
            "--record-second-place-s3-lock=GOVERNANCE",
            "--record-second-place-s3-lock-days=7",
        ]);
        let record = bucket(settings.record().unwrap());
        assert_eq!(record.region, "eu-central-1");
        assert_eq!(record.endpoint, None);
        assert!(!record.path_style && record.ca_bundle.is_none());
        assert!(matches!(record.credentials, Credentials::Standard));
        assert_eq!(record.lock.unwrap().mode, LockMode::Compliance);
        let second = bucket(settings.second_place().unwrap().unwrap());
        assert_eq!(second.endpoint.as_deref(), Some("https://store:9000"));
        assert_eq!(second.ca_bundle.as_deref(), Some(Path::new("/ca.pem")));
        assert!(second.path_style);
        assert!(
            matches!(second.credentials, Credentials::File(file) if file == Path::new("/credentials"))
        );
        let lock = Lock {
            mode: LockMode::Governance,
            days: 7,
        };
        assert_eq!(second.lock, Some(lock));
    }

    #[test]
    fn no_second_place_is_none_and_half_of_one_is_an_error() {
        let none = settings(&["--record=/record"]);
        assert!(matches!(none.record(), Ok(Place::Folder(_))));
        assert!(none.second_place().unwrap().is_none());
        for half in [
            "--record-second-place-s3-region=eu-west-1",
            "--record-second-place-s3-lock=none",
        ] {
            let error = settings(&["--record=/record", half]).second_place();
            let why = error.unwrap_err().to_string();
            assert!(why.contains("--record-second-place"), "{why}");
        }
    }
}
