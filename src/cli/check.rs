//! `takt check`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use oee::plant::Plant;
use oee::tables::PLANT_FILES;

use super::terminal;

/// Find every mistake in a plant file
///
/// Each mistake is one line, `file:line:column: what is wrong / what to do`, and the exit code is 1. A plant without
/// mistakes prints what it declares.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The plant file
    #[arg(value_name = "PLANT", default_value = "plant.toml")]
    plant: PathBuf,
}

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let file = args.plant.display();
    let text = fs::read_to_string(&args.plant).with_context(|| format!("cannot read the plant file {file}"))?;
    match Plant::parse(&text) {
        Ok(plant) => {
            terminal::say(format_args!("{file}: OK, {}", summary(&plant)))?;
            if let Some(told) = unscheduled(&plant) {
                terminal::say(format_args!("{file}: {told}"))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(mistakes) => {
            for mistake in &mistakes {
                let (line, column) = (mistake.line, mistake.column);
                terminal::say(format_args!("{file}:{line}:{column}: {} / {}", mistake.message, mistake.remedy))?;
            }
            terminal::complain(format_args!("takt: {} to mend in {file}", counted(mistakes.len(), "mistake")));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What the plant declares, table by table.
fn summary(plant: &Plant) -> String {
    let declared = plant.master_rows().into_iter().filter(|(table, _)| *table != PLANT_FILES.name);
    let counts: Vec<String> = declared.map(|(table, rows)| format!("{} {table}", rows.len())).collect();
    counts.join(", ")
}

/// Machines that work round the clock because nothing says when they do: whoever forgot it reads an OEE that is too low.
fn unscheduled(plant: &Plant) -> Option<String> {
    const NAMED: usize = 3;
    let machines = plant.machines().map(|machine| machine.path.as_str());
    let without: Vec<&str> = machines.filter(|path| plant.calendar(path).is_none()).collect();
    let named = without.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = if without.len() > NAMED { format!(" and {} more", without.len() - NAMED) } else { String::new() };
    let counts = "without a calendar all time is scheduled";
    (!without.is_empty())
        .then(|| format!("note: {counts}, so it is for {named}{more}; give them `calendar` if they have shifts"))
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
