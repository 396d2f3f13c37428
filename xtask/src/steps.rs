//! Running steps one after another and saying what became of each.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// What became of a step.
#[derive(Debug)]
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// One step that ran, or was skipped.
#[derive(Debug)]
struct Step {
    name: String,
    outcome: Outcome,
    took: Duration,
}

/// A run of steps: it goes on after a failed one, and the end says what failed.
#[derive(Debug)]
pub struct Steps {
    filter: Option<String>,
    /// With `CI=true` nothing may be skipped: a green run has run everything.
    skip_is_failure: bool,
    began: Instant,
    done: Vec<Step>,
}

impl Steps {
    /// A run of the steps whose name contains `filter` (all of them without one).
    pub fn new(filter: Option<&str>, skip_is_failure: bool) -> Self {
        Self {
            filter: filter.map(str::to_owned),
            skip_is_failure,
            began: Instant::now(),
            done: Vec::new(),
        }
    }

    /// Whether the filter lets a step of this name run.
    pub fn wants(&self, name: &str) -> bool {
        self.filter
            .as_deref()
            .is_none_or(|filter| name.contains(filter))
    }

    /// Whether the filter names exactly this step.
    pub fn wants_only(&self, name: &str) -> bool {
        self.filter.as_deref() == Some(name)
    }

    /// Runs a step, unless the filter leaves it out. Returns whether it did not fail.
    pub fn run(&mut self, name: &str, step: impl FnOnce() -> Result<()>) -> bool {
        if !self.wants(name) {
            return true;
        }
        eprintln!("\n=== {name}");
        let began = Instant::now();
        let outcome = match step() {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        self.finish(name, outcome, began.elapsed())
    }

    /// Notes the failure of something that steps stand on, whatever the filter. Returns whether it did not fail.
    pub fn run_always(&mut self, name: &str, result: Result<()>) -> bool {
        let filter = self.filter.take();
        let good = self.run(name, || result);
        self.filter = filter;
        good
    }

    /// Notes that a step cannot be run here, and why. Returns whether that is no failure.
    pub fn skip(&mut self, name: &str, reason: &str) -> bool {
        if !self.wants(name) {
            return true;
        }
        eprintln!("\n=== {name}");
        let outcome = if self.skip_is_failure {
            Outcome::Failed(format!("with CI=true nothing may be skipped: {reason}"))
        } else {
            Outcome::Skipped(reason.to_owned())
        };
        self.finish(name, outcome, Duration::ZERO)
    }

    /// How long the whole run has taken so far.
    pub fn took(&self) -> Duration {
        self.began.elapsed()
    }

    fn finish(&mut self, name: &str, outcome: Outcome, took: Duration) -> bool {
        match &outcome {
            Outcome::Passed => eprintln!("--- {name}: passed in {}", seconds(took)),
            Outcome::Failed(why) => eprintln!("--- {name}: FAILED in {}: {why}", seconds(took)),
            Outcome::Skipped(why) => eprintln!("--- {name}: skipped: {why}"),
        }
        let good = !matches!(outcome, Outcome::Failed(_));
        self.done.push(Step {
            name: name.to_owned(),
            outcome,
            took,
        });
        good
    }

    /// The table of all steps and the closing line.
    fn summary(&self) -> String {
        let mut text = String::new();
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for Step {
            name,
            outcome,
            took,
        } in &self.done
        {
            let (word, why) = match outcome {
                Outcome::Passed => ("passed", None),
                Outcome::Failed(why) => ("FAILED", why.lines().next()),
                Outcome::Skipped(why) => ("skipped", why.lines().next()),
            };
            match outcome {
                Outcome::Passed => passed += 1,
                Outcome::Failed(_) => failed += 1,
                Outcome::Skipped(_) => skipped += 1,
            }
            let line = format!(
                "{name:<32} {word:<8} {:>8}  {}",
                seconds(*took),
                why.unwrap_or_default()
            );
            text.push_str(line.trim_end());
            text.push('\n');
            if let Outcome::Failed(why) = outcome {
                // Whoever sees only the end of a long run sees what went wrong.
                why.lines()
                    .skip(1)
                    .for_each(|line| text.push_str(&format!("{line}\n")));
            }
        }
        text.push_str(&format!(
            "\n{passed} passed, {failed} failed, {skipped} skipped\n"
        ));
        text
    }

    /// Prints what became of every step.
    ///
    /// # Errors
    ///
    /// When a step failed, or none ran.
    pub fn close(self) -> Result<()> {
        println!("\n{}", self.summary());
        if self.done.is_empty() {
            let filter = self.filter.unwrap_or_default();
            bail!("no step has `{filter}` in its name; `cargo xtask test` runs and names them all");
        }
        let failed: Vec<_> = self
            .done
            .iter()
            .filter(|step| matches!(step.outcome, Outcome::Failed(_)))
            .map(|step| step.name.as_str())
            .collect();
        if failed.is_empty() {
            return Ok(());
        }
        bail!("failed: {}", failed.join(", "))
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn closing(steps: &Steps) -> String {
        steps.summary().lines().last().unwrap().to_owned()
    }

    #[test]
    fn a_failed_step_does_not_stop_the_others() {
        let mut steps = Steps::new(None, false);
        assert!(steps.run("one", || Ok(())));
        assert!(!steps.run("two", || Err(anyhow!("broken\n    because of this"))));
        assert!(steps.skip("three", "not here"));
        assert!(steps.run("four", || Ok(())));
        assert_eq!(closing(&steps), "2 passed, 1 failed, 1 skipped");
        assert!(steps.summary().contains("broken\n    because of this\n"));
        assert_eq!(steps.close().unwrap_err().to_string(), "failed: two");
    }

    #[test]
    fn a_skip_is_no_failure_except_in_ci() {
        let mut steps = Steps::new(None, false);
        steps.skip("one", "not here");
        assert!(steps.close().is_ok());

        let mut steps = Steps::new(None, true);
        assert!(!steps.skip("one", "not here"));
        assert_eq!(closing(&steps), "0 passed, 1 failed, 0 skipped");
        assert!(steps.close().is_err());
    }

    #[test]
    fn a_filter_leaves_steps_out_and_must_meet_one() {
        let mut steps = Steps::new(Some("e2e"), false);
        assert!(steps.run("format", || Err(anyhow!("never run"))));
        assert!(steps.run("e2e: guards", || Ok(())));
        assert_eq!(closing(&steps), "1 passed, 0 failed, 0 skipped");
        assert!(steps.close().is_ok());

        let mut steps = Steps::new(Some("e3e"), false);
        steps.run("format", || Ok(()));
        assert!(steps.close().is_err());
    }
}
