//! A part that dies takes the process with it: one that goes on without a watch or a worker looks alive, and is not.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

use crate::end;

/// From now on every panic, in whatever thread, is logged and ends the process. Whoever runs it starts it again, and what was begun
/// is found on record.
pub fn end_the_process() {
    std::panic::set_hook(Box::new(|panic| {
        let said = Said::of(panic);
        end::at_once(move || said.log());
    }));
}

/// What is said of a panic.
struct Said {
    at: String,
    why: String,
    backtrace: Backtrace,
}

impl Said {
    fn of(panic: &PanicHookInfo<'_>) -> Self {
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        Self {
            at: panic
                .location()
                .map(ToString::to_string)
                .unwrap_or_default(),
            why: text.unwrap_or("no reason was given").to_owned(),
            backtrace: Backtrace::capture(),
        }
    }

    fn log(&self) {
        let Self { at, why, backtrace } = self;
        if backtrace.status() == BacktraceStatus::Captured {
            tracing::error!(at, why, %backtrace, "a defect of the operator: the process ends");
            return;
        }
        tracing::error!(at, why, "a defect of the operator: the process ends");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::end::trial::ended_by;
    use crate::observe::logs;
    use crate::settings::LogFormat;

    #[test]
    fn a_part_that_dies_takes_the_process_with_it() {
        let path = "observe::panics::tests::a_part_that_dies_takes_the_process_with_it";
        let log = ended_by(path, || {
            logs::init(LogFormat::Json);
            end_the_process();
            let _ = std::thread::spawn(|| panic!("of a test")).join();
        });
        assert!(log.contains(r#""why":"of a test""#), "{log}");
    }
}
