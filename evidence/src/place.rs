//! Where a record lies, as people write it: the same words for whoever writes it and whoever reads it.

use std::path::PathBuf;

use thiserror::Error;

use crate::store::{Credentials, Lock, LockMode, S3Settings};

/// The region of a server of one's own that was given none: most take themselves to be there.
const REGION_OF_OTHERS: &str = "us-east-1";

/// A place of a record.
#[derive(Clone, Debug)]
pub enum Place {
    /// A folder.
    Folder(PathBuf),
    /// A bucket, or a part of one.
    S3(S3Settings),
}

/// What `s3://bucket/prefix` does not say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct S3Options {
    /// The bucket's region.
    pub region: Option<String>,
    /// Address of a server other than AWS's own.
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path of an address instead of its host name.
    pub path_style: bool,
    /// Certificates (PEM) of the authorities to trust instead of the machine's.
    pub ca_bundle: Option<PathBuf>,
    /// A file of credentials; without one they are found as AWS's own tools find them.
    pub credentials: Option<PathBuf>,
    /// Whether, and for whom, what is written is locked.
    pub lock: Option<LockChoice>,
    /// For how many days.
    pub lock_days: Option<u32>,
}

/// Whether, and for whom, what is written to a bucket is locked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LockChoice {
    /// For these.
    Locked(LockMode),
    /// For nobody: whoever may delete can delete.
    Unlocked,
}

impl LockChoice {
    /// Every choice, under the name that it is written with.
    pub const ALL: [(&str, Self); 3] = [
        ("COMPLIANCE", Self::Locked(LockMode::Compliance)),
        ("GOVERNANCE", Self::Locked(LockMode::Governance)),
        ("none", Self::Unlocked),
    ];
}

impl std::str::FromStr for LockChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|(name, _)| *name == text);
        found
            .map(|(_, choice)| choice)
            .ok_or_else(|| "a lock is COMPLIANCE, GOVERNANCE or none".into())
    }
}

/// A place that cannot be one.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
#[error("{place}: {why}")]
pub struct PlaceError {
    /// What was written, without credentials.
    pub place: String,
    /// What is wrong with it, and what would be right.
    pub why: String,
}

impl Place {
    /// Reads a place: a folder, or `s3://bucket/prefix` with options.
    ///
    /// # Errors
    /// Where it is neither, or the options do not go with it.
    pub fn parse(place: &str, options: &S3Options) -> Result<Self, PlaceError> {
        let read = match place.split_once("://") {
            None => folder(place, options),
            Some(("s3", path)) => bucket(path, options).map(Self::S3),
            Some((scheme, _)) => Err(format!(
                "a place is a folder or s3://bucket/prefix, not {scheme}://"
            )),
        };
        read.map_err(|why| PlaceError {
            // What stands before an @ may be a password.
            place: match place.rsplit_once('@') {
                Some((_, rest)) if place.contains("://") => format!("...@{rest}"),
                _ => place.to_owned(),
            },
            why,
        })
    }
}

fn folder(place: &str, options: &S3Options) -> Result<Place, String> {
    if place.is_empty() || place.starts_with("s3:") {
        return Err("a place is a folder or s3://bucket/prefix".into());
    }
    if *options != S3Options::default() {
        return Err(
            "this is a folder, and options of a bucket were given; take them out, or name s3://bucket/prefix"
                .into(),
        );
    }
    Ok(Place::Folder(place.into()))
}

fn bucket(path: &str, options: &S3Options) -> Result<S3Settings, String> {
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    if bucket.is_empty() {
        return Err("the bucket has no name; a place is s3://bucket/prefix".into());
    }
    let fits =
        |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || ".-".contains(char);
    if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(fits) {
        return Err(
            "a bucket's name has 3 to 63 lower case letters, digits, dots and hyphens; \
             regions, addresses and credentials are options of their own"
                .into(),
        );
    }
    let prefix = prefix.trim_end_matches('/');
    let is_part = |part: &str| {
        !["", ".", ".."].contains(&part)
            && !part.contains(['?', '#', '\\'])
            && !part.contains(char::is_control)
    };
    if !prefix.is_empty() && !prefix.split('/').all(is_part) {
        return Err(
            "the prefix has an empty part, `.`, `..`, `?`, `#` or a backslash in it".into(),
        );
    }
    let region =
        match (&options.region, &options.endpoint) {
            (Some(region), _) => region.clone(),
            (None, Some(_)) => REGION_OF_OTHERS.into(),
            (None, None) => return Err(
                "the bucket's region is missing, or the address of a server other than AWS's own"
                    .into(),
            ),
        };
    let credentials = options.credentials.clone();
    Ok(S3Settings {
        bucket: bucket.into(),
        prefix: prefix.into(),
        region,
        endpoint: options.endpoint.clone(),
        path_style: options.path_style,
        ca_bundle: options.ca_bundle.clone(),
        credentials: credentials.map_or(Credentials::Standard, Credentials::File),
        lock: lock(options)?,
    })
}

fn lock(options: &S3Options) -> Result<Option<Lock>, String> {
    let choice = options
        .lock
        .unwrap_or(LockChoice::Locked(LockMode::Compliance));
    match (choice, options.lock_days) {
        (LockChoice::Unlocked, None) => Ok(None),
        (LockChoice::Unlocked, Some(_)) => Err(
            "days of a lock were given, and that there is none; leave out one of the two".into(),
        ),
        (LockChoice::Locked(mode), days) => Ok(Some(Lock {
            mode,
            days: days.unwrap_or(Lock::DAYS),
        })),
    }
}

/// Declares a `clap::Args` of the options that say how a bucket is reached, each under this prefix; and with a second one, in the
/// environment too. `From` makes [`S3Options`] of it. A program that knows two places has them twice.
#[macro_export]
macro_rules! s3_arguments {
    ($(#[$about:meta])* $visibility:vis struct $name:ident, $flag:literal $(, $variable:literal)?) => {
        $(#[$about])*
        #[derive(clap::Args, Clone, Debug, Default)]
        $visibility struct $name {
            /// Region of the bucket; us-east-1 for a server with an address of its own, where absent.
            #[arg(id = concat!($flag, "-region"), long = concat!($flag, "-region"), value_name = "REGION" $(, env = concat!($variable, "_REGION"))?)]
            region: Option<String>,
            /// Address of a server other than AWS's own: https://, a name, a port.
            #[arg(id = concat!($flag, "-endpoint"), long = concat!($flag, "-endpoint"), value_name = "URL" $(, env = concat!($variable, "_ENDPOINT"))?)]
            endpoint: Option<String>,
            /// The bucket stands in the path of an address instead of its host name; servers of one's own mostly want that.
            #[arg(id = concat!($flag, "-path-style"), long = concat!($flag, "-path-style") $(, env = concat!($variable, "_PATH_STYLE"))?)]
            path_style: bool,
            /// Certificates (PEM) of the authorities to trust instead of the machine's.
            #[arg(id = concat!($flag, "-ca-bundle"), long = concat!($flag, "-ca-bundle"), value_name = "FILE" $(, env = concat!($variable, "_CA_BUNDLE"))?)]
            ca_bundle: Option<std::path::PathBuf>,
            /// Credentials, as AWS's own tools keep them ([default] counts); where absent they are found as those tools find them.
            #[arg(id = concat!($flag, "-credentials"), long = concat!($flag, "-credentials"), value_name = "FILE" $(, env = concat!($variable, "_CREDENTIALS"))?)]
            credentials: Option<std::path::PathBuf>,
        }

        impl From<&$name> for $crate::place::S3Options {
            fn from(given: &$name) -> Self {
                Self {
                    region: given.region.clone(),
                    endpoint: given.endpoint.clone(),
                    path_style: given.path_style,
                    ca_bundle: given.ca_bundle.clone(),
                    credentials: given.credentials.clone(),
                    ..Self::default()
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_region() -> S3Options {
        S3Options {
            region: Some("eu-central-1".into()),
            ..S3Options::default()
        }
    }

    fn why(place: &str, options: &S3Options) -> String {
        Place::parse(place, options).unwrap_err().to_string()
    }

    fn s3(place: &str, options: &S3Options) -> S3Settings {
        match Place::parse(place, options).unwrap() {
            Place::S3(settings) => settings,
            Place::Folder(folder) => panic!("a folder: {}", folder.display()),
        }
    }

    #[test]
    fn a_folder_is_a_path_and_has_no_options() {
        for path in ["/var/lib/record", "record", "./a b", "c@d"] {
            let place = Place::parse(path, &S3Options::default()).unwrap();
            assert!(matches!(place, Place::Folder(folder) if folder.to_str() == Some(path)));
            assert!(why(path, &in_region()).contains("this is a folder"));
            let unlocked = S3Options {
                lock: Some(LockChoice::Unlocked),
                ..S3Options::default()
            };
            assert!(why(path, &unlocked).contains("this is a folder"));
        }
    }

    #[test]
    fn a_bucket_has_a_name_a_prefix_and_a_region() {
        for (place, bucket, prefix) in [
            ("s3://record", "record", ""),
            ("s3://record/", "record", ""),
            ("s3://re.cord-1/clusters/one", "re.cord-1", "clusters/one"),
            ("s3://record/clusters/one/", "record", "clusters/one"),
        ] {
            let settings = s3(place, &in_region());
            assert_eq!((&*settings.bucket, &*settings.prefix), (bucket, prefix));
            assert_eq!(settings.region, "eu-central-1");
            assert!(matches!(settings.credentials, Credentials::Standard));
        }
        assert!(why("s3://record", &S3Options::default()).contains("region"));
        let own = S3Options {
            endpoint: Some("https://store:9000".into()),
            credentials: Some("/etc/credentials".into()),
            ..S3Options::default()
        };
        let own = s3("s3://record", &own);
        assert_eq!(own.region, "us-east-1");
        assert!(matches!(own.credentials, Credentials::File(_)));
    }

    #[test]
    fn what_is_neither_says_what_would_be_right() {
        for (place, word) in [
            ("", "a folder or s3://bucket/prefix"),
            ("ftp://host/record", "not ftp://"),
            ("S3://record", "not S3://"),
            ("s3:record", "s3://bucket/prefix"),
            ("s3:/record", "s3://bucket/prefix"),
            ("s3://", "no name"),
            ("s3:///prefix", "no name"),
            ("s3://Record", "lower case"),
            ("s3://re", "3 to 63"),
            ("s3://record?region=eu", "options of their own"),
            ("s3://record/a//b", "empty part"),
            ("s3://record//a", "empty part"),
            ("s3://record/../other", "`..`"),
            ("s3://record/a?region=eu", "`?`"),
        ] {
            let why = why(place, &in_region());
            assert!(why.starts_with(place) && why.contains(word), "{why}");
        }
        let why = why("s3://me:sesame@record/a", &in_region());
        assert!(
            why.starts_with("...@record/a: ") && !why.contains("sesame"),
            "{why}"
        );
    }

    #[test]
    fn what_is_written_is_locked_unless_somebody_says_otherwise() {
        let with = |lock: Option<&str>, lock_days| S3Options {
            lock: lock.map(|lock| lock.parse().unwrap()),
            lock_days,
            ..in_region()
        };
        let lock = |options| s3("s3://record", &options).lock;
        let (compliance, governance) = (LockMode::Compliance, LockMode::Governance);
        let of = |mode, days| Some(Lock { mode, days });
        assert_eq!(lock(with(None, None)), of(compliance, Lock::DAYS));
        assert_eq!(lock(with(None, Some(7))), of(compliance, 7));
        assert_eq!(
            lock(with(Some("COMPLIANCE"), None)),
            of(compliance, Lock::DAYS)
        );
        assert_eq!(lock(with(Some("GOVERNANCE"), Some(9))), of(governance, 9));
        assert_eq!(lock(with(Some("none"), None)), None);
        assert!(why("s3://record", &with(Some("none"), Some(7))).contains("one of the two"));
        for wrong in ["", "None", "compliance", "forever"] {
            assert!(wrong.parse::<LockChoice>().is_err(), "{wrong}");
        }
    }
}
