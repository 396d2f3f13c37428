//! The end of a process that cannot go on.

use std::thread;
use std::time::Duration;

/// How long saying why, and what runs at an end, may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Says why and ends the process, whatever hangs: that may be standard error, too.
pub fn at_once(say: impl FnOnce() + Send + 'static) -> ! {
    let end = move || {
        say();
        std::process::exit(1);
    };
    // Where there is no thread to say it, it ends unsaid.
    drop(thread::Builder::new().name("end".into()).spawn(end));
    thread::sleep(PATIENCE);
    std::process::abort();
}

/// Tests of what ends a process.
#[cfg(test)]
pub mod trial {
    use std::process::Command;
    use std::time::{Duration, Instant};

    const CHILD: &str = "TENURE_TEST_ENDS";
    /// How long a process lives that nothing ends.
    const ALIVE: Duration = Duration::from_secs(60);

    /// Runs the test of this path once more, as a process of its own that does `deed` there and then lives on for a minute; fails unless
    /// it ended before that, and not as if all were well. Answers what it said.
    pub fn ended_by(path: &str, deed: impl FnOnce()) -> String {
        if std::env::var_os(CHILD).is_some() {
            deed();
            std::thread::sleep(ALIVE);
            std::process::exit(0);
        }
        let begun = Instant::now();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", path, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stderr).into_owned();
        assert!(!child.status.success(), "{said}");
        assert!(begun.elapsed() < ALIVE, "{said}");
        said
    }
}
