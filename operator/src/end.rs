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
