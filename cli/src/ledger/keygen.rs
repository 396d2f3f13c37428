//! `kubectl tenure ledger keygen`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use jiff::Timestamp;
use tenure_evidence::{KeyList, Signer};

use super::{key_list, time};
use crate::{Outcome, instant, output};

const PRIVATE: &str = "signing.pem";
const LIST: &str = "keys.json";

const HELP: &str = "\
Makes an Ed25519 key that signs the record (signing.pem: PKCS#8 PEM, readable by you alone) and the
dated key list by which everybody verifies it (keys.json: public). Neither is ever written over, and
the private key is never printed.

With --previous the new key takes over from the one in use: the list then holds both, the old one
ends where the new one begins, and what the old one signed before that stays verifiable. What the
old one signs from then on counts as forged: stop the operator first, or name a later moment with
--from and stop it before that; start it with the new key. Isolation holds meanwhile.";

const AFTER: &str = "\
Examples:
  kubectl tenure ledger keygen --out ./record-key
  kubectl tenure ledger keygen --out ./record-key-2 --previous ./record-key/keys.json --from 2026-07-01T06:00:00Z";

/// Make a key that signs the record, and the list by which others verify it.
#[derive(Args)]
#[command(long_about = HELP, after_help = AFTER)]
pub struct Arguments {
    /// Folder for the two files; made where it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The key list in use: the new key takes over from its last one.
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// From when the new key signs: 2026-01-31T12:00:00Z, or a day in UTC. Now, where absent.
    #[arg(long, value_name = "INSTANT", value_parser = instant::parse)]
    from: Option<Timestamp>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let from = arguments.from.unwrap_or_else(now);
    let previous = arguments.previous.as_deref().map(key_list).transpose()?;
    let signer = Signer::generate()?;
    let list = match &previous {
        Some(previous) => rotated(previous, &signer, from)?,
        None => KeyList::of(signer.public(from)),
    };
    let text = format!("{}\n", serde_json::to_string_pretty(&list)?);
    write(&arguments.out, &signer.to_pem()?, &text)?;
    let id = signer.id().to_string();
    output::print(&told(&arguments.out, &id, from, previous.is_some()))?;
    Ok(Outcome::Fine)
}

/// To the second: what people read is what counts.
fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The list with the new key at its end; refused where a key would end before it begins.
fn rotated(previous: &KeyList, signer: &Signer, from: Timestamp) -> anyhow::Result<KeyList> {
    let newest = previous.keys.iter().map(|key| key.not_before).max();
    if let Some(newest) = newest {
        ensure!(
            from > newest,
            "the new key would sign from {} on, and the newest of the previous list begins at {}: name a later moment with --from",
            time(from),
            time(newest)
        );
    }
    Ok(previous.rotated(signer, from))
}

/// Writes both files, or none.
fn write(folder: &Path, private: &str, list: &str) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    let (key_path, list_path) = (folder.join(PRIVATE), folder.join(LIST));
    let mut key = make(&key_path, 0o600)?;
    let written = make(&list_path, 0o644).and_then(|mut file| {
        fill(&mut key, private, &key_path)?;
        fill(&mut file, list, &list_path).inspect_err(|_| drop(fs::remove_file(&list_path)))
    });
    // Half a pair is of no use, and a key that nobody knows of is a risk.
    written.inspect_err(|_| drop(fs::remove_file(&key_path)))
}

/// Makes a file that was not there.
fn make(path: &Path, mode: u32) -> anyhow::Result<File> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
            "{} is there already and is not written over: name another folder with --out",
            path.display()
        ),
        made => made.with_context(|| format!("cannot make {}", path.display())),
    }
}

fn fill(file: &mut File, text: &str, path: &Path) -> anyhow::Result<()> {
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// What was made, and what to do with it.
fn told(folder: &Path, id: &str, from: Timestamp, is_rotation: bool) -> String {
    let folder = folder.display();
    let from = time(from);
    let rotation = if is_rotation {
        format!(
            "0. What the old key signs from {from} on counts as forged: stop the operator before, and go on after that moment.\n"
        )
    } else {
        String::new()
    };
    format!(
        "Made {folder}/{PRIVATE}: the private key, for the operator alone
Made {folder}/{LIST}: the key list, for everybody; it names the new key
  {id}, which signs from {from} on

What next
{rotation}\
1. Give both files to the operator as a Secret in its namespace, to nobody else, and start it:
     kubectl --namespace tenure-system create secret generic tenure-record-key \\
       --from-file={folder}/{PRIVATE} --from-file={folder}/{LIST} \\
       --dry-run=client --output=yaml | kubectl apply --filename -
2. Publish {LIST} where auditors and customers find it without asking the record: it is what they verify with.
3. Put {folder}/{PRIVATE} into a safe, or delete it. Whoever has it can sign as the operator; who has lost it makes a
   new one with --previous.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_begins_before_the_one_it_replaces() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (old, new) = (Signer::generate().unwrap(), Signer::generate().unwrap());
        let list = KeyList::of(old.public(at("2026-06-01T00:00:00Z")));
        let early = rotated(&list, &new, at("2026-06-01T00:00:00Z"));
        assert!(early.unwrap_err().to_string().contains("--from"));
        let list = rotated(&list, &new, at("2026-06-01T00:00:01Z")).unwrap();
        assert_eq!(list.keys[0].not_after, Some(list.keys[1].not_before));
    }

    #[test]
    fn who_made_a_key_is_told_what_to_do_with_it() {
        let from = "2026-06-01T00:00:00Z".parse().unwrap();
        let first = told(Path::new("keys"), "sha256:00", from, false);
        assert!(first.contains("--from-file=keys/signing.pem --from-file=keys/keys.json"));
        assert!(!first.contains("0. "), "{first}");
        let next = told(Path::new("keys"), "sha256:00", from, true);
        assert!(
            next.contains("0. What the old key signs from 2026-06-01T00:00:00Z on"),
            "{next}"
        );
    }
}
